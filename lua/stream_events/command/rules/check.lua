--- `stream-events rules check`: what is wrong with a rule file, and whether its examples hold.
local examples = require "stream_events.rules.examples"
local file = require "stream_events.command.rules.file"
local format = require "stream_events.command.format"
local native = require "stream_events.native"
local output = require "stream_events.command.output"

local M = {}

local function plural(count, word)
  return ("%d %s%s"):format(count, word, count == 1 and "" or "s")
end

--- An example that did not end as it says, as a problem.
---@param result stream_events.rules.Result
---@return stream_events.rules.Problem
function M.failed_example(result)
  return { file = result.file, line = result.line, message = examples.explain(result), severity = "error" }
end

-- Everything there is to say about the file.
local function examine(args)
  local set, err = require("stream_events.rules").load(args.file)
  if not set then
    return { errors = file.problems(err, args.file), warnings = {}, passed = 0, failed = 0 }
  end
  local report = { set = set, errors = {}, warnings = set.problems or {}, passed = 0, failed = 0 }
  for _, result in ipairs(set:test()) do
    if result.ok then
      report.passed = report.passed + 1
    else
      report.failed = report.failed + 1
      report.errors[#report.errors + 1] = M.failed_example(result)
    end
  end
  return report
end

local function json(args, report, ok)
  local set = report.set
  local problems = file.plain_list(report.warnings, file.plain_list(report.errors))
  return format.encoded {
    file = args.file, ok = ok, problems = problems,
    examples = { passed = report.passed, failed = report.failed },
    rules = set and set.size, hash = set and set.hash, mode = set and set.mode,
    default = set and set.default, files = set and native.json.array(set.files),
  }
end

-- The last line: how it stands, and what to do now.
local function summary(args, report, ok)
  local set, path = report.set, format.plain(args.file)
  local counts = { plural(#report.errors, "problem") }
  if report.warnings[1] then counts[2] = plural(#report.warnings, "warning") end
  if not ok then
    return ("%s: %s. Put that right, then again: %s"):format(path, table.concat(counts, ", "),
      file.next(args.file, args)[1])
  end
  counts[1] = plural(set.size, "rule")
  counts[#counts + 1] = report.passed == 0 and "no example"
    or plural(report.passed, "example") .. (report.passed == 1 and " holds" or " hold")
  local text = ("%s is fine: %s; default %s, mode %s, hash %s."):format(path, table.concat(counts, ", "),
    set.default, set.mode, set.hash)
  local event_type = set.names[1] and set.names[1]:gsub("%*$", "example") or nil
  return ("%s\nNext:\n  %s"):format(text, table.concat(file.next(args.file, args, event_type), "\n  ", 2))
end

---@param args { file: string, strict: boolean?, json: boolean? }
---@return integer exit code
function M.run(args)
  local readable, message = file.readable(args.file, args)
  if not readable then return output.misuse(message) end
  local report = examine(args)
  local ok = not report.errors[1] and not (args.strict and report.warnings[1])
  if args.json then
    output.line(json(args, report, ok))
  else
    for _, problem in ipairs(report.errors) do output.line(file.line(problem)) end
    for _, problem in ipairs(report.warnings) do output.line(file.line(problem)) end
    output.line(summary(args, report, ok))
  end
  return ok and output.OK or output.FAILURE
end

return M
