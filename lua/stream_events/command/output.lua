--- What the command writes, and the numbers it ends with.
local errors = require "stream_events.error"
local format = require "stream_events.command.format"
local luv = require "luv"

local M = {}

M.OK, M.FAILURE, M.USAGE = 0, 1, 2
M.INTERRUPTED, M.TERMINATED = 130, 143 -- as shells count an end by SIGINT or SIGTERM

--- The number to end with at once when a signal has come.
---@param signal "sigint"|"sigterm"
---@return integer
function M.code_of(signal)
  return signal == "sigterm" and M.TERMINATED or M.INTERRUPTED
end

--- Whether errors are for programs: set once the command line says so.
M.json = false

--- Whether to use colours on standard output.
---@return boolean
function M.colour()
  local no_color = os.getenv "NO_COLOR"
  return luv.guess_handle(1) == "tty" and (no_color == nil or no_color == "") and os.getenv "TERM" ~= "dumb"
end

local EPIPE = 32 -- nobody reads any more, as after `| head`: an end like any other

--- Why something could not be written, the first time that happened; nil: it never did.
---@type string?
M.unwritten = nil

--- Called before anything is written: takes away what is only there for the moment.
---@type fun()?
M.on_write = nil

--- Writes text at once, so that a reader behind a pipe sees it. False when it cannot be written, or
--- nobody reads any more.
---@param ... string
---@return boolean
function M.write(...)
  if M.on_write then M.on_write() end
  local ok, message, code = io.stdout:write(...)
  if ok then ok, message, code = io.stdout:flush() end
  if not ok and code ~= EPIPE then M.unwritten = M.unwritten or message end
  return ok ~= nil
end

--- Writes a line at once.
---@param line string
---@return boolean as of write()
function M.line(line)
  return M.write(line, "\n")
end

--- Something to know that is no result.
---@param text string
function M.note(text)
  if M.on_write then M.on_write() end
  io.stderr:write(text, "\n")
end

--- A logger: what whoever runs the command should know, a line, and below it the details, a traceback
--- in several. Of mere information only what is about rules: they have been replaced.
---@param level string
---@param message string
---@param fields table<string, any>?
function M.log(level, message, fields)
  local details = {}
  if level == "info" and fields and fields.hash then
    return M.note(("%s (%s)"):format(message, fields.hash))
  elseif level ~= "warn" and level ~= "error" then
    return
  end
  for name, value in pairs(fields or {}) do
    details[#details + 1] = name .. ": " .. tostring(value):gsub("\t", "  ")
  end
  table.sort(details)
  M.note(format.plain(level .. ": " .. message))
  for line in table.concat(details, "\n"):gmatch("[^\n]+") do M.note("  " .. format.plain(line)) end
end

-- What is wrong where there is no error of the plugin's that says it.
local function say(kind, message)
  if M.json then return M.note(format.encoded { error = { kind = kind, message = message } }) end
  M.note("stream-events: " .. format.plain(message))
end

--- Reports an error; returns the number to end with.
---@param err stream_events.Error|string
---@param as_json boolean?
---@return integer
function M.fail(err, as_json)
  if type(err) == "string" then
    say("failure", err)
  elseif as_json then
    M.note(format.error_json(err))
  else
    M.note("stream-events: " .. format.plain(errors.headline(err)))
    if err.hint then M.note("  " .. format.plain(err.hint)) end
  end
  return M.FAILURE
end

--- The number to end with once all is written: what could not be written is a failure, and is reported.
---@param code integer what it is else
---@return integer
function M.ended(code)
  if not M.unwritten then return code end
  local failed = M.fail("the output cannot be written: " .. M.unwritten)
  return code == M.OK and failed or code
end

--- Reports that the command was called in a way that cannot work.
---@param message string
---@return integer
function M.misuse(message)
  say("usage", message)
  return M.USAGE
end

return M
