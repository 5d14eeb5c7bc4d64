--- Rule files as the subcommands take them: loaded, or told what is wrong with them.
local format = require "stream_events.command.format"
local luv = require "luv"
local native = require "stream_events.native"
local output = require "stream_events.command.output"

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
      message = ("there is no file %s; `%s rules new %s` makes one"):format(path, args.program,
        format.word(path))
    end
    return nil, message
  end
  if stat.type == "directory" then return nil, ("%s is a folder, not a rule file"):format(path) end
  local fd
  fd, message = luv.fs_open(path, "r", 0)
  if not fd then return nil, "cannot read " .. message end
  luv.fs_close(fd)
  return true
end

--- The commands that a rule file goes through, in their order.
---@param path string
---@param args { program: string }
---@return string[]
function M.next(path, args)
  local name, program = format.word(path), args.program
  return {
    ("%s rules check %s"):format(program, name),
    ("%s rules test %s"):format(program, name),
    ([[echo '{"type":"friendship_request","text":"Hi"}' | %s rules explain %s]]):format(program, name),
    ("%s listen messaging:general --as YOU --rules %s"):format(program, name),
  }
end

---@class stream_events.command.Problem
---@field file string
---@field line integer? absent where none is to blame
---@field message string
---@field suggestion string?

--- A problem in one line, as editors and people read it.
---@param problem stream_events.command.Problem
---@param severity "error"|"warning"|nil
---@return string
function M.line(problem, severity)
  local where = problem.file or "?"
  if problem.line then where = ("%s:%d"):format(where, problem.line) end
  local text = ("%s: %s%s"):format(where, severity == "warning" and "warning: " or "", problem.message)
  if problem.suggestion then text = ("%s; %s"):format(text, problem.suggestion) end
  return format.plain(text)
end

--- The problems behind an error of loading; where it names none, the error is the problem.
---@param err stream_events.Error
---@param path string
---@return stream_events.command.Problem[]
function M.problems(err, path)
  if err.problems and err.problems[1] then return err.problems end
  return { { file = path, message = err.message } }
end

---@param problems stream_events.command.Problem[]
---@param severity "error"|"warning"
---@return table[] for JSON
function M.plain_list(problems, severity)
  local list = {}
  for i, problem in ipairs(problems) do
    list[i] = {
      file = problem.file, line = problem.line, message = problem.message,
      suggestion = problem.suggestion, severity = severity,
    }
  end
  return native.json.array(list)
end

--- Reports that a rule file cannot be used, and why; returns the number to end with.
---@param err stream_events.Error
---@param path string
---@param args { program: string, json: boolean? }
---@return integer
function M.fail(err, path, args)
  local problems = M.problems(err, path)
  if args.json then
    output.note(format.encoded { error = {
      kind = err.kind, message = err.message, problems = M.plain_list(problems, "error"),
    } })
  else
    for _, problem in ipairs(problems) do output.note(M.line(problem)) end
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
