--- Events and errors as lines of text.
-- What comes from the network is hostile: no control character of it reaches a terminal, so it can
-- neither move the cursor nor make one event look like two. JSON values are passed on as they were
-- written, so that no digit is lost.
local native = require "stream_events.native"

local json = native.json

local M = {}

-- What is told by other columns, or by other members of the JSON line.
local ENVELOPE = {
  type = true, cid = true, channel_type = true, channel_id = true, user = true, created_at = true,
}

-- Characters that are more than one byte and still steer a terminal or reorder what is shown: C1
-- controls, directional marks, line and paragraph separators.
local STEERING = {
  "\194[\128-\159]", "\216\156", "\226\128[\142\143\168-\174]", "\226\129[\166-\169]", "\239\187\191",
}

local function escape_steering(text)
  for _, pattern in ipairs(STEERING) do
    text = text:gsub(pattern, function(char) return ("\\u%04x"):format(utf8.codepoint(char)) end)
  end
  return text
end

--- Any text, in one line, with control characters shown as escapes.
---@param text string
---@return string
function M.plain(text)
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  text = text:gsub("%c", function(char) return ("\\u%04x"):format(char:byte()) end)
  return escape_steering(text)
end

--- What luv says of a file, as other programs say it: which one, then what is wrong.
---@param message string such as "ENOENT: no such file or directory: log.jsonl"
---@return string
function M.file_failure(message)
  local what, path = message:match "^E%u+: ([^:]+): (.+)$"
  return what and ("%s: %s"):format(path, what) or message
end

--- A word as a shell takes it.
---@param word string
---@return string
function M.word(word)
  if word ~= "" and not word:find("[^%w_./-]") then return word end
  return "'" .. M.plain(word):gsub("'", "'\\''") .. "'"
end

--- How to call a program in a shell: by its name, if that finds it.
---@param path string
---@return string
function M.program(path)
  local folder, name = path:match("^(.*)/([^/]+)$")
  for each in (os.getenv "PATH" or ""):gmatch("[^:]+") do
    if each == folder then return name end
  end
  return M.word(path)
end

--- JSON text in one line that steers no terminal. In good JSON control characters stand only between
--- values, except for DEL, which may be in a string.
---@param text string
---@return string
function M.one_line(text)
  text = text:gsub("\127", "\\u007f"):gsub("%c", " ")
  return escape_steering(text)
end

local function object(members)
  local parts = {}
  for i, member in ipairs(members) do
    parts[i] = M.one_line(json.encode(member[1]) .. ":" .. member[2])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- The members of an event apart from its envelope, and the envelope's by name.
local function split(event)
  local data, envelope = {}, {}
  for _, member in ipairs(json.members(native.event.text(event)) or {}) do
    if ENVELOPE[member[1]] then
      envelope[member[1]] = member[2]
    else
      data[#data + 1] = member
    end
  end
  return data, envelope
end

--- One JSON object: type, cid, user, created_at as they came; trust, received_at; what rules remarked
--- in `verdict`; and in `data` what the sender wrote.
---@param event stream_events.Event
---@param remark table?
---@return string
function M.json(event, remark)
  local data, envelope = split(event)
  local members = {}
  for _, name in ipairs { "type", "cid", "user", "created_at" } do
    if envelope[name] then members[#members + 1] = { name, envelope[name] } end
  end
  members[#members + 1] = { "trust", json.encode(event.trust) }
  members[#members + 1] = { "received_at", json.encode(event.received_at) }
  if remark then members[#members + 1] = { "verdict", json.encode(remark) } end
  members[#members + 1] = { "data", object(data) }
  return object(members)
end

local PLAIN_STYLE = { time = "%s", cid = "%s", type = "%s", sender = "%s", data = "%s" }
local COLOUR_STYLE = {
  time = "\27[2m%s\27[0m", cid = "\27[36m%s\27[0m", type = "\27[1;33m%s\27[0m", sender = "\27[32m%s\27[0m",
  data = "%s",
}

-- "[flag, check (rule trade_*): a text]"
local function remarked(remark)
  local text = remark.verdict
  if remark.judged ~= remark.verdict then text = ("%s: would be %s"):format(text, remark.judged) end
  if remark.reason then text = ("%s, %s"):format(text, remark.reason) end
  if remark.rule then text = ("%s (%s)"):format(text, remark.rule) end
  if remark.text and remark.text ~= "" then text = ("%s: %s"):format(text, remark.text) end
  return (" [%s]"):format(M.plain(text))
end

--- When an event came, for people.
---@param at number
---@return string
function M.clock(at)
  return os.date("%H:%M:%S", math.floor(at)) .. (".%03d"):format(math.floor(at % 1 * 1000))
end

--- Where an event came to. A user event has no channel, and its user is the one it is for.
---@param event stream_events.Event
---@return string
function M.place(event)
  local user = event.user
  return M.plain(event.cid or user and user.id and "@" .. user.id or "-")
end

--- One line for people: time, cid, type, sender, data, and what rules remarked.
---@param event stream_events.Event
---@param colour boolean?
---@param remark { verdict: string, judged: string, rule: string?, reason: string?, text: string? }?
---@return string
function M.line(event, colour, remark)
  local style = colour and COLOUR_STYLE or PLAIN_STYLE
  local user = event.user
  local sender = event.trust == "server" and "server" or user and user.id or "-"
  return table.concat({
    style.time:format(M.clock(event.received_at)),
    style.cid:format(M.place(event)),
    style.type:format(M.plain(event.type)),
    style.sender:format(M.plain(sender)),
    style.data:format(object((split(event)))),
  }, " ") .. (remark and remarked(remark) or "")
end

-- A copy without what no JSON can hold: names of files and the like may be any bytes.
local function well_formed(value)
  if type(value) == "string" then return utf8.len(value) and value or (value:gsub("[\128-\255]", "?")) end
  if type(value) ~= "table" then return value end
  local copy = setmetatable({}, getmetatable(value))
  for key, inner in pairs(value) do copy[well_formed(key)] = well_formed(inner) end
  return copy
end

--- A value as JSON, in one line that steers no terminal.
---@param value any plain data
---@return string
function M.encoded(value)
  return M.one_line(json.encode(value) or assert(json.encode(well_formed(value))))
end

--- An error as one JSON object.
---@param err stream_events.Error
---@return string
function M.error_json(err)
  return (json.encode {
    error = {
      kind = err.kind, message = err.message, code = err.code, status = err.status,
      reason = err.reason, retryable = err.retryable, retry_after = err.retry_after, hint = err.hint,
    },
  })
end

return M
