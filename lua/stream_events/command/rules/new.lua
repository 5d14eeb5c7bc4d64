--- `stream-events rules new`: a rule file to start from. It says what each part is for, and passes
--- `rules check` as it is.
local file = require "stream_events.command.rules.file"
local format = require "stream_events.command.format"
local luv = require "luv"
local native = require "stream_events.native"
local output = require "stream_events.command.output"

local M = {}

M.TEXT = [==[
-- What this program accepts of custom events. Everything that is not written down here is dropped.
--   stream-events rules check FILE      finds mistakes, and tries the examples below
--   stream-events rules test FILE       the same as a test report
--   stream-events rules explain FILE    shows each step of the decision about events you type in

default "drop"   -- types that no line here names; the other choice is "allow"
-- mode "audit"  -- deliver everything, and only record what would have been dropped

-- Values can be shared: give them a name.
local short = string { min = 1, max = 280 } -- characters, not bytes

-- An event type, and what its data must look like. What `fields` does not name is refused.
event "friendship_request" {
  fields = {
    text = short,
    mood = optional(one_of { "happy", "sad" }),
  },
  rate = { count = 5, seconds = 60 }, -- so many per sender and minute
  -- Tried by `rules check` and at each reload: a file whose examples do not hold is not used.
  examples = {
    allow = { { text = "Hey there" }, { text = "Hey", mood = "happy" } },
    drop = {
      { reason = "field-missing" },                  -- no text at all
      { text = "", reason = "field-length" },
      { text = "Hey", mood = "angry", reason = "field-value" },
      { text = "Hey", admin = true, reason = "extra-field" },
    },
  },
}

-- A '*' at the end: every type that begins so. An exact name beats it.
event "trade_*" {
  from = { role = { "user", "moderator" } },         -- also: user, channel_type, cid; none_of { ... }
  fields = {
    item = string { max = 64 },
    price = integer { min = 0, max = 100000 },
  },
  -- What fields cannot say. It runs apart from your program, and with little time.
  check = function(event, context)
    if context.marked(event.user.id, "cheater") then return drop "the sender is marked as a cheater" end
    return allow -- or drop "why", flag "why", quarantine "why", rewrite { ... }
  end,
  examples = {
    allow = { { type = "trade_offer", user = { id = "ann", role = "user" }, item = "rope", price = 12 } },
    drop = {
      { type = "trade_offer", user = { id = "ann", role = "user" }, item = "rope", price = -1,
        reason = "field-range" },
      { type = "trade_offer", user = { id = "tom", role = "guest" }, item = "rope", price = 1,
        reason = "from" },
    },
  },
}

-- Only from your backend: as an event sent to the user, which no other user can send.
event "password_reset" {
  trust = "server",
  fields = {}, -- no data
  examples = { allow = { { trust = "server" } }, drop = { { trust = "user", reason = "trust" } } },
}

refuse "noise"          -- a type you know and never accept
honeypot "grant_admin"  -- no honest program sends it: whoever does is ignored for an hour
]==]

-- Writes the file, unless something of that name is there.
local function write(path, program)
  local fd, message = luv.fs_open(path, "wx", 420) -- rw-r--r--
  if not fd then
    if message:find("^EEXIST") then
      return nil, ("%s is there already and was left alone; give another name, or see what is wrong "
        .. "with it: %s rules check %s"):format(path, program, format.word(path))
    end
    return nil, "cannot write " .. format.file_failure(message)
  end
  local written
  written, message = luv.fs_write(fd, M.TEXT, -1)
  luv.fs_close(fd)
  if written == #M.TEXT then return true end
  luv.fs_unlink(path)
  return nil, ("cannot write %s: %s"):format(path, message or "no space left")
end

---@param args { file: string?, json: boolean? }
---@return integer exit code
function M.run(args)
  if args.file then
    local ok, message = write(args.file, args.program)
    if not ok then return output.misuse(message) end
  end
  local commands = file.next(args.file or "rules.lua", args)
  if args.json then
    output.line(format.encoded { file = args.file, text = M.TEXT, next = native.json.array(commands) })
    return output.OK
  end
  if args.file then
    output.line("wrote " .. format.plain(args.file))
  elseif not output.write(M.TEXT) then
    return output.FAILURE
  end
  output.note(("Next%s:\n  1. change it to the events of your program"):format(
    args.file and "" or ", when it is in a file"))
  for i, each in ipairs(commands) do output.note(("  %d. %s"):format(i + 1, each)) end
  return output.OK
end

return M
