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

-- What the service adds to an event, or what follows from its cid.
local ADDED = { created_at = true, channel_type = true, channel_id = true }
local FIRST = { type = 1, cid = 2, user = 3 }

-- An event to try: an example that is allowed, else one of the first rule's type.
local function event_to_try(set)
  local example = set:example()
  if not example then
    return set.names[1] and file.EVENT:format(format.encoded((set.names[1]:gsub("%*$", "example"))), "")
  end
  local members, parts = {}, {}
  for _, member in ipairs(native.json.members(example)) do
    if not ADDED[member[1]] then members[#members + 1] = member end
  end
  table.sort(members, function(a, b)
    local x, y = FIRST[a[1]] or 4, FIRST[b[1]] or 4
    return x < y or x == y and a[1] < b[1]
  end)
  for i, member in ipairs(members) do parts[i] = format.encoded(member[1]) .. ":" .. member[2] end
  return "{" .. table.concat(parts, ",") .. "}"
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
  return ("%s\nNext:\n  %s"):format(text,
    table.concat(file.next(args.file, args, event_to_try(set)), "\n  ", 2))
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
