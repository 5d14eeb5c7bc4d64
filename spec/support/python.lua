--- Runs a Python script with the system's python3-websockets, which shares no code with ours.
local process = require "support.process"

local M = {}

local PYTHON = "/usr/bin/python3" -- the system's own, which has the system's packages
-- A sanitizer that is loaded into these specs would report what Python itself leaks.
local ENVIRONMENT = { LD_PRELOAD = false }

--- Starts a script; raises when the library is missing, since a spec that is skipped says nothing.
---@param script string
---@param ... string its arguments
---@return support.Process
function M.start(script, ...)
  local probe = process.run(PYTHON, { "-c", "import websockets" }, ENVIRONMENT)
  if probe.code ~= 0 then
    error("python3-websockets is needed: " .. probe.stderr, 2)
  end
  return process.start(PYTHON, { script, ... }, ENVIRONMENT)
end

return M
