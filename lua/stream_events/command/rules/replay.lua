--- `stream-events rules replay`: where two rule files differ about the events of a log.
local file = require "stream_events.command.rules.file"
local format = require "stream_events.command.format"
local judge = require "stream_events.command.rules.judge"
local lines = require "stream_events.command.lines"
local output = require "stream_events.command.output"
local progress = require "stream_events.command.progress"
local show = require "stream_events.command.rules.show"
local spec = require "stream_events.command.rules.spec"

local M = {}

-- What makes a difference to a handler or to a counter. Texts and names of rules do not.
local COMPARED = { "verdict", "flagged", "judged", "reason" }

-- Whether two texts hold the same data: what a function made has no order of its own.
local function same_data(old, new)
  if old == new then return true end
  if not old or not new then return false end
  old, new = spec.decoded(old), spec.decoded(new)
  return spec.holds(old, new) and spec.holds(new, old)
end

local function differ(old, new)
  for _, name in ipairs(COMPARED) do
    if old[name] ~= new[name] then return true end
  end
  return not same_data(old.changed, new.changed)
end

local function side(judged)
  return ("{%s%s}"):format(show.members(judged), show.remarks(judged))
end

local function json(old, new)
  return ('{"line":%d,"type":%s,"old":%s,"new":%s}'):format(old.line, show.encoded(old.type),
    side(old), side(new))
end

local function text(old, new)
  local result = ("line %d: %s: %s -> %s"):format(old.line, old.type or "no event",
    show.headline(old), show.headline(new))
  if not same_data(old.changed, new.changed) then
    result = ("%s; becomes %s instead of %s"):format(result, new.changed or "nothing else",
      old.changed or "what it was")
  end
  return format.plain(result)
end

local function summary(args, count, differences, old, new)
  if args.json then
    return format.encoded {
      lines = count, differences = differences, old_hash = old.hash, new_hash = new.hash,
    }
  end
  return ("%d line%s, %s"):format(count, count == 1 and "" or "s",
    differences == 0 and "no difference" or differences == 1 and "1 difference"
    or differences .. " differences")
end

---@param args { old: string, new: string, log: string, self: string?, direction: string, json: boolean? }
---@return integer exit code
function M.run(args)
  local source, message = lines.open(args.log)
  if not source then return output.misuse(message) end
  local old, new, code
  old, code = file.load(args.old, args)
  if not old then return code end
  new, code = file.load(args.new, args)
  if not new then return code end
  -- Traced, for the names of the rules that let something pass.
  local options = { self = args.self, direction = args.direction, trace = true }
  local by_old, by_new = judge.new(old, options), judge.new(new, options)
  local differences, told = 0, progress.new("replaying " .. source.name)
  local line
  line, message = source:next()
  while line ~= nil do
    told:at(source:share(), source.number, "lines")
    local before, after = by_old(line, source.number), by_new(line, source.number)
    if differ(before, after) then
      differences = differences + 1
      if not output.line(args.json and json(before, after) or text(before, after)) then
        return output.FAILURE
      end
    end
    line, message = source:next()
  end
  told:clear()
  source:close()
  if message then return output.fail(message) end
  output.line(summary(args, source.number, differences, old, new))
  return differences == 0 and output.OK or output.FAILURE
end

return M
