--- What is done with the server's database beside the server: `stream-events serve --check-data`, and
--- `stream-events backup`.
local bundled = require "stream_events.command.bundled"
local format = require "stream_events.command.format"
local luv = require "luv"
local output = require "stream_events.command.output"
local progress = require "stream_events.command.progress"
local serve_settings = require "stream_events.command.serve_settings"

local M = {}

-- Whether the data is a file at all; else the number to end with.
local function is_file(data)
  if data == "" then return false, output.misuse "--data must not be empty" end
  if data ~= ":memory:" then return true end
  return false, output.misuse "data must be a file: :memory: ends with its server"
end

-- Whoever runs a server as a service has its data elsewhere.
local function fail(err, found, args)
  if found.origins.data.from == "default" then
    err.hint = "--data or --config names the data of a server that has it elsewhere."
  end
  return output.fail(err, args.json)
end

local function line_of(problem)
  local subject = problem.kind or "the file"
  if problem.key then subject = ("%s %q"):format(subject:gsub("_", " "), problem.key) end
  return format.plain(("%s: %s"):format(subject, problem.message))
end

-- "2 channels, 3 users", in the order of their names.
local function counts(documents)
  local kinds = {}
  for kind in pairs(documents) do kinds[#kinds + 1] = kind end
  table.sort(kinds)
  for i, kind in ipairs(kinds) do
    kinds[i] = ("%s: %d"):format(kind:gsub("_", " "), documents[kind])
  end
  return table.concat(kinds, ", ")
end

local function show(report)
  for _, problem in ipairs(report.problems) do output.line(line_of(problem)) end
  if report.problem_count > #report.problems then
    output.line(("... and %d more"):format(report.problem_count - #report.problems))
  end
  local verdict = report.problem_count == 0 and "sound"
    or ("damaged in %d %s"):format(report.problem_count, report.problem_count == 1 and "place" or "places")
  output.line(("%s is %s (schema %d; %s)"):format(format.plain(report.path), verdict, report.schema,
    counts(report.documents)))
end

--- Looks through the data and says what is wrong with it, a problem a line; changes nothing.
---@param found stream_events.command.ServeSettings
---@param args { json: boolean? }
---@return integer exit code 0 when nothing is wrong
function M.check(found, args)
  local data = found.values.data
  local ok, code = is_file(data)
  if not ok then return code end
  local told = progress.new("checking " .. data)
  local report, err = require "stream_events.server.check".run(data, function(done, total)
    told:at(total and done / total, done, "documents")
  end)
  told:clear()
  if not report then return fail(err, found, args) end
  if args.json then
    output.line(format.encoded {
      path = report.path, schema = report.schema, documents = report.documents,
      ok = report.problem_count == 0, problem_count = report.problem_count,
      problems = report.problems,
    })
  else
    show(report)
  end
  return report.problem_count == 0 and output.OK or output.FAILURE
end

--- Copies the data into a file, also while a server is using it.
---@param args { config: string?, data: string?, file: string, json: boolean? }
---@return integer exit code
function M.backup(args)
  if args.file == "" then return output.misuse "the name of the backup must not be empty" end
  local backup, message = bundled.load "stream_events.server.backup"
  if not backup then return output.fail(message) end
  local found
  found, message = serve_settings.gather({ config = args.config, data = args.data }, true)
  if not found then return output.misuse(message) end
  local data = found.values.data
  local ok, code = is_file(data)
  if not ok then return code end
  local err
  local stat = luv.fs_stat(data)
  ok, err = backup.write(data, args.file, function(partial)
    return progress.of_file("copying " .. data, partial, stat and stat.size or 0)
  end)
  if not ok then return fail(err, found, args) end
  if args.json then
    output.line(format.encoded { data = data, backup = args.file })
  else
    output.line(format.plain(("copied %s to %s"):format(data, args.file)))
  end
  return output.OK
end

return M
