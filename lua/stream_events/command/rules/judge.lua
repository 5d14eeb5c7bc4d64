--- Judges lines of a log by a rule set, at the time at which they were written down.
-- Knows what `listen --record` writes; any other JSON object a line is taken as it is.
local lines = require "stream_events.command.lines"
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"

local M = {}

-- The clock of a log that names no time: one second a line from here (2026-01-01) on.
local START = 1767225600
local LATEST = 253402300799 -- end of the year 9999: what is beyond is no time
-- The verdict of what was flagged is told apart by `flagged`.
local SHOWN = { flag = "allow" }

-- A recorder puts the time behind everything else. It was no part of what arrived.
local RECORDED = '^(.*),"received_at":%d+%.%d+}%s*$'

--- The text of an event as it is written into a log: in one line, with the time.
---@param text string JSON of an event, a good one
---@param received_at number
---@return string
function M.recorded(text, received_at)
  -- Between values line breaks are white space, and within a text they are written as escapes.
  text = text:gsub("[\r\n]", " ")
  local members, written = native.json.members(text), false
  for _, member in ipairs(members or {}) do written = written or member[1] == "received_at" end
  if written then
    local parts = {}
    for _, member in ipairs(members) do
      if member[1] ~= "received_at" then
        parts[#parts + 1] = native.json.encode(member[1]) .. ":" .. member[2]
      end
    end
    text = "{" .. table.concat(parts, ",") .. "}"
  end
  return ('%s,"received_at":%.6f}'):format(text:match("^(.*)}%s*$"), received_at)
end

local function point_in_time(value)
  if type(value) == "string" then value = timestamp.parse(value) end
  if type(value) == "number" and value >= 0 and value <= LATEST then return value + 0.0 end
  return nil
end

-- The event in a line, or nil, and when it was received.
local function read(line, number)
  local event = native.event.new(line)
  local now
  if event then
    now = point_in_time(event.raw_data.received_at) or point_in_time(event.created_at)
  end
  return event, now or START + number + 0.0
end

local function too_long(number)
  return {
    line = number, verdict = "drop", reason = "malformed", steps = {},
    text = ("the line has more than %d bytes"):format(lines.LONGEST),
    instructions = 0, seconds = 0, bytes = 0,
  }
end

---@class stream_events.command.Judgement
---@field line integer
---@field type string? nil: no event
---@field verdict "allow"|"rewrite"|"quarantine"|"drop"
---@field flagged boolean?
---@field judged string? in audit mode: what would have been done
---@field rule string?
---@field reason string?
---@field text string
---@field changed string? JSON of the event as it is delivered
---@field tripped boolean?
---@field steps { step: string, reason: string?, text: string }[]
---@field instructions integer of functions
---@field seconds number of the whole decision
---@field bytes integer of memory that functions took, beyond what they had

-- What the rules decided, in the words of the command.
local function judgement(number, event, seconds, verdict, decision)
  decision = decision or {}
  local judged = decision.judged
  return {
    line = number, type = event and event.type or nil,
    verdict = SHOWN[verdict] or verdict, flagged = verdict == "flag" or nil,
    judged = judged ~= verdict and judged or nil,
    rule = decision.rule, reason = decision.reason, text = decision.text or "",
    changed = decision.changed, tripped = decision.tripped or nil, steps = decision.steps or {},
    instructions = decision.instructions or 0, seconds = seconds, bytes = decision.bytes or 0,
  }
end

--- Makes a judge with a memory of its own: rates and marks go from line to line.
---@param set table of stream_events.rules
---@param options { self: string?, direction: "in"|"out"|nil, trace: boolean? }
---@return fun(line: string|false, number: integer): stream_events.command.Judgement
function M.new(set, options)
  local rules = native.rules {}
  rules:use(set.core)
  local input = {
    self = options.self, direction = options.direction, trace = options.trace,
    trust = options.direction == "out" and "any" or nil,
  }
  return function(line, number)
    if not line then return too_long(number) end
    local event
    event, input.now = read(line, number)
    local arrived = line:match(RECORDED)
    local text = arrived and arrived .. "}" or line
    local begun = native.now()
    local verdict, decision = rules:decide(text, input)
    return judgement(number, event, native.now() - begun, verdict, decision)
  end
end

return M
