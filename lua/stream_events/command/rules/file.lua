--- Rule files as the subcommands take them: loaded, or told what is wrong with them.
local format = require "stream_events.command.format"
local luv = require "luv"
local native = require "stream_events.native"
local output = require "stream_events.command.output"
local problems = require "stream_events.rules.problems"

local M = {}

--- Whether there is a file to read; what it says is another matter.
---@param path string
---@param args { program: string } how the command was called
---@return boolean? ok
---@return string? message
function M.readable(path, args)
  local stat, message = luv.fs_stat(path)
  if not stat then
    if message:find("^ENOENT") then
      message = path == "" and "the name of a rule file must not be empty"
        or ("there is no file %s; `%s rules new %s` makes one"):format(path, args.program, format.word(path))
    end
    return nil, message
  end
  if stat.type == "directory" then return nil, ("%s is a folder, not a rule file"):format(path) end
  local fd
  fd, message = luv.fs_open(path, "r", 0)
  if not fd then return nil, "cannot read " .. format.file_failure(message) end
  luv.fs_close(fd)
  return true
end

--- JSON of an event: its type, and its data, each member with a comma before it.
M.EVENT = '{"type":%s,"cid":"messaging:general","user":{"id":"ann","role":"user"}%s}'

--- The commands that a rule file goes through, in their order.
---@param path string
---@param args { program: string }
---@param event string? JSON of one to try; default: one of `rules new`
---@return string[]
function M.next(path, args, event)
  local name, program = format.word(path), args.program
  local text = format.word(event or M.EVENT:format('"friendship_request"', ',"text":"Hi"'))
  return {
    ("%s rules check %s"):format(program, name),
    ("%s rules test %s"):format(program, name),
    ("echo %s | %s rules explain %s"):format(text, program, name),
    ("%s listen messaging:general --as YOU --rules %s"):format(program, name),
  }
end

--- A problem in one line, as editors and people read it.
---@param problem stream_events.rules.Problem
---@return string
function M.line(problem)
  if problem.severity ~= "warning" then return format.plain(problems.format(problem)) end
  local warning = { message = "warning: " .. problem.message }
  return format.plain(problems.format(setmetatable(warning, { __index = problem })))
end

--- The problems behind an error of loading; where it names none, the error is the problem.
---@param err stream_events.Error
---@param path string
---@return stream_events.rules.Problem[]
function M.problems(err, path)
  if err.problems and err.problems[1] then return err.problems end
  return { { file = path, message = err.message, severity = "error" } }
end

--- Problems as values for JSON.
---@param found stream_events.rules.Problem[]
---@param list table[]? to which they are added
---@return table[] list
function M.plain_list(found, list)
  list = list or native.json.array {}
  for _, problem in ipairs(found) do
    list[#list + 1] = {
      file = problem.file, line = problem.line, message = problem.message,
      suggestion = problem.suggestion, severity = problem.severity,
    }
  end
  return list
end

--- Reports that a rule file cannot be used, and why; returns the number to end with.
---@param err stream_events.Error
---@param path string
---@param args { program: string, json: boolean? }
---@return integer
function M.fail(err, path, args)
  local found = M.problems(err, path)
  if args.json then
    output.note(format.encoded { error = {
      kind = err.kind, message = err.message, problems = M.plain_list(found),
    } })
  else
    for _, problem in ipairs(found) do output.note(M.line(problem)) end
    output.note(("stream-events: %s cannot be used; `%s rules check %s` looks at it again"):format(
      format.plain(path), args.program, format.word(path)))
  end
  return output.FAILURE
end

--- Loads a rule file that is there to be used; what is wrong with it goes to standard error.
---@param path string
---@param args { program: string, json: boolean? }
---@return stream_events.RuleSet? set
---@return integer? code to end with
function M.load(path, args)
  local ok, message = M.readable(path, args)
  if not ok then return nil, output.misuse(message) end
  local set, err = require("stream_events.rules").load(path)
  if set then return set end
  return nil, M.fail(err, path, args)
end

return M
