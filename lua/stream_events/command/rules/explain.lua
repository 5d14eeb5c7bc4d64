--- `stream-events rules explain`: every step of the decision about each event of a log.
local file = require "stream_events.command.rules.file"
local format = require "stream_events.command.format"
local judge = require "stream_events.command.rules.judge"
local lines = require "stream_events.command.lines"
local luv = require "luv"
local output = require "stream_events.command.output"
local progress = require "stream_events.command.progress"
local show = require "stream_events.command.rules.show"

local M = {}

-- Members in an order that people can rely on, which no table has.
local function json(judged, hash)
  local steps = {}
  for i, step in ipairs(judged.steps) do
    steps[i] = ('{"step":%s,"reason":%s,"text":%s}'):format(
      show.encoded(step.step), show.encoded(step.reason), show.encoded(step.text or ""))
  end
  local cost = ('"instructions":%d,"microseconds":%s,"bytes":%d'):format(judged.instructions,
    show.encoded(show.microseconds(judged)), judged.bytes)
  return ('{"line":%d,"type":%s,%s,"steps":[%s],%s,"hash":%s%s}'):format(
    judged.line, show.encoded(judged.type), show.members(judged), table.concat(steps, ","), cost,
    show.encoded(hash), show.remarks(judged))
end

local COLOURS = { allow = "\27[32m", rewrite = "\27[33m", quarantine = "\27[35m", drop = "\27[31m" }

local function text(judged, colour)
  local headline = format.plain(show.headline(judged))
  if colour then headline = headline:gsub("^%a+", COLOURS[judged.verdict] .. "%0\27[0m") end
  local result = { ("line %d: %s -> %s"):format(
    judged.line, judged.type and format.plain(judged.type) or "no event", headline) }
  for _, step in ipairs(judged.steps) do
    local words = {}
    words[1] = step.reason
    if step.text and step.text ~= "" then words[#words + 1] = step.text end
    result[#result + 1] = ("  %-10s %s"):format(step.step,
      words[1] and format.plain(table.concat(words, ": ")) or "passed")
  end
  if judged.changed then result[#result + 1] = "  becomes    " .. format.plain(judged.changed) end
  result[#result + 1] = ("  cost       %d instructions, %.1f us, %d bytes"):format(
    judged.instructions, show.microseconds(judged), judged.bytes)
  if judged.tripped then
    result[#result + 1] = "  the rule is off from here on: its functions broke budgets too often"
  end
  return table.concat(result, "\n")
end

local function summary(count, verdicts)
  local parts = {}
  for _, verdict in ipairs { "allow", "rewrite", "quarantine", "drop" } do
    if verdicts[verdict] then parts[#parts + 1] = ("%d %s"):format(verdicts[verdict], verdict) end
  end
  return ("%d line%s%s"):format(count, count == 1 and "" or "s",
    parts[1] and ": " .. table.concat(parts, ", ") or "")
end

---@param args { file: string, events: string?, self: string?, direction: string, json: boolean? }
---@return integer exit code
function M.run(args)
  local source, message = lines.open(args.events)
  if not source then return output.misuse(message) end
  local set, code = file.load(args.file, args)
  if not set then return code end
  local decide = judge.new(set, { self = args.self, direction = args.direction, trace = true })
  local colour = not args.json and output.colour()
  local verdicts = {}
  if source:is_keyboard() then
    output.note "type events, one JSON object a line; Ctrl-D ends"
  end
  -- At a terminal what comes out shows how far it is.
  local told = luv.guess_handle(1) ~= "tty" and progress.new("explaining " .. source.name)
  local line
  line, message = source:next()
  while line ~= nil do
    if told then told:at(source:share(), source.number, "lines") end
    local judged = decide(line, source.number)
    verdicts[judged.verdict] = (verdicts[judged.verdict] or 0) + 1
    -- Nobody reads any more, as after `| head`: an end like any other.
    if not output.line(args.json and json(judged, set.hash) or text(judged, colour)) then return output.OK end
    line, message = source:next()
  end
  if told then told:clear() end
  source:close()
  if message then return output.fail(message) end
  if not args.json then output.note(summary(source.number, verdicts)) end
  return output.OK
end

return M
