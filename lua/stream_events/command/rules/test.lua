--- `stream-events rules test`: the examples of a rule file and a table of cases, as a report.
local check = require "stream_events.command.rules.check"
local file = require "stream_events.command.rules.file"
local native = require "stream_events.native"
local output = require "stream_events.command.output"
local report = require "stream_events.command.rules.report"
local spec = require "stream_events.command.rules.spec"

local M = {}

local START = 1767225600 -- 2026-01-01: when each case begins

-- A verdict with the reason that goes with it.
local function wanted(verdict, reason)
  return reason and ("%s (%s)"):format(verdict, reason) or verdict
end

local function from_example(result)
  local test = {
    name = ("%s: %s example %d"):format(result.rule, result.kind, result.index),
    ok = result.ok,
    expected = wanted(result.kind, result.expected), verdict = result.verdict, rule = result.rule,
    reason = result.reason, text = result.text, file = result.file, line = result.line,
  }
  if not result.ok then test.message = check.failed_example(result).message end
  return test
end

-- What of an expectation does not hold; nil: all of it does.
local function mismatch(case, index, verdict, decision)
  local expected = case.verdicts[index]
  if not expected then return nil end
  local found = expected == "allow" and verdict == "flag" and "allow" or verdict
  if found ~= expected then return ("expected %s, found %s"):format(expected, verdict) end
  if index < #case.events then return nil end
  local reason = decision and decision.reason
  if case.reason and reason ~= case.reason then
    return ("expected the reason %s, found %s"):format(case.reason, reason or "none")
  end
  return nil
end

local function wrong_data(case, text, decision)
  if not case.becomes then return nil end
  local found = spec.decoded(decision and decision.changed or text)
  if spec.holds(case.becomes, found) then return nil end
  return "the data are not as in `becomes`: " .. assert(native.json.encode(found))
end

-- Runs a case to its end or to the first event that is not judged as expected.
local function run_case(set, case, path)
  local rules = native.rules {}
  rules:use(set.core)
  local verdict, decision, message
  local index = 0
  while not message and index < #case.events do
    index = index + 1
    local event = case.events[index]
    verdict, decision = rules:decide(event.text, {
      now = START + case.at[index], direction = case.direction,
      trust = case.direction == "out" and "any" or event.trust,
    })
    if decision then verdict = decision.judged end -- in audit mode it is what would have been done
    message = mismatch(case, index, verdict, decision)
    if index == #case.events then message = message or wrong_data(case, event.text, decision) end
  end
  if message and #case.events > 1 then message = ("event %d: %s"):format(index, message) end
  decision = decision or {}
  return {
    name = case.name, ok = message == nil, message = message,
    expected = wanted(case.verdicts[index], index == #case.events and case.reason or nil),
    verdict = verdict, rule = decision.rule, reason = decision.reason, text = decision.text, file = path,
  }
end

local function broken(writer, err, path)
  local problems = {}
  for i, problem in ipairs(file.problems(err, path)) do problems[i] = file.line(problem) end
  writer:broken(problems)
  return output.FAILURE
end

---@param args { file: string, spec: string?, format: "tap"|"junit", json: boolean? }
---@return integer exit code
function M.run(args)
  local ok, message = file.readable(args.file, args)
  if not ok then return output.misuse(message) end
  local cases = {}
  if args.spec then
    cases, message = spec.read(args.spec)
    if not cases then return output.misuse(message) end
  end
  local writer = report.new(args.json and "json" or args.format, args.file)
  local set, err = require("stream_events.rules").load(args.file)
  if not set then return broken(writer, err, args.file) end

  local results = {}
  for _, result in ipairs(set:test()) do results[#results + 1] = from_example(result) end
  for _, case in ipairs(cases) do results[#results + 1] = run_case(set, case, args.spec) end
  local failed = 0
  writer:begin(#results)
  for _, result in ipairs(results) do
    if not result.ok then failed = failed + 1 end
    writer:case(result)
  end
  writer:finish(#results - failed, failed)
  return failed == 0 and output.OK or output.FAILURE
end

return M
