--- Runs one admin command: checks, asks where something would be lost, calls as the backend, and shows
--- what came of it.
local acting = require "stream_events.command.acting"
local errors = require "stream_events.error"
local format = require "stream_events.command.format"
local luv = require "luv"
local output = require "stream_events.command.output"
local pages = require "stream_events.command.admin.page"
local settings = require "stream_events.command.settings"

local M = {}

local STDIN = 0

-- Whether it is to be done; nil and what to end with when it is not.
local function confirmed(command, args)
  local question = command.confirm and not args.yes and command.confirm(args)
  if not question then return true end
  if luv.guess_handle(STDIN) ~= "tty" then
    return nil, output.misuse(("%s Say --yes: there is nobody to ask"):format(question))
  end
  io.stderr:write(format.plain(question), " [y/N] ")
  local answer = (io.read "l" or ""):lower():match "^%s*(.-)%s*$"
  if answer == "y" or answer == "yes" then return true end
  output.note "nothing was changed"
  return nil, output.FAILURE
end

-- What is wrong with the first word that is no text; nil: all are.
local function odd_word(value)
  if type(value) == "string" and not utf8.len(value) then return ("'%s' is not UTF-8"):format(value) end
  for _, inner in pairs(type(value) == "table" and value or {}) do
    local wrong = odd_word(inner)
    if wrong then return wrong end
  end
end

local function backend()
  local values, message = settings.read()
  if not values then return nil, message end
  if not values.secret then
    return nil, "STREAM_API_SECRET is not set: admin commands are a backend's, and need the secret"
  end
  return acting.client(values, false, values.secret), values
end

-- The error, saying what to do about it with this command.
local function explained(err, values, command, args)
  local hint = command.hints and err.code and command.hints[err.code]
  if type(hint) == "function" then hint = hint(args) end
  if hint then err.hint = hint end
  return acting.explain(err, values)
end

--- Runs it.
---@param command stream_events.command.AdminCommand
---@param args table of argparse
---@return integer exit code
function M.run(command, args)
  if command.alone then return command.alone(args) end
  local wrong = odd_word(args) or (command.check and command.check(args))
  if wrong then return output.misuse(wrong) end
  local client, values = backend()
  if not client then return output.misuse(values --[[@as string]]) end
  local ok, code = confirmed(command, args)
  if not ok then
    client:close()
    return code
  end
  local value, err = command.run(client, args)
  client:close()
  if value == nil then
    err = err or errors.new { kind = "protocol", message = "the answer lacks what was asked for" }
    return output.fail(explained(err, values, command, args), args.json)
  end
  if args.json then
    output.line(format.encoded(value))
  else
    command.show(pages.new(), value, args)
  end
  return output.OK
end

return M
