--- The real command as child processes, and a real server started by it.
local luv = require "luv"
local process = require "support.process"

local M = {}

M.ROOT = (debug.getinfo(1, "S").source:match("^@(.*)spec/support/command%.lua$") or "")
M.COMMAND = M.ROOT .. "lua/bin/stream-events"

-- Nothing of the developer's own environment decides what a spec sees.
local CLEAN = {
  STREAM_BASE_URL = false, STREAM_API_KEY = false, STREAM_API_SECRET = false, STREAM_USER_TOKEN = false,
  NO_COLOR = false,
}
for name in pairs(luv.os_environ()) do
  if name:find "^STREAM_EVENTS_" then CLEAN[name] = false end
end

local function with(env)
  local result = {}
  for name, value in pairs(CLEAN) do result[name] = value end
  for name, value in pairs(env or {}) do result[name] = value end
  return result
end

--- Makes sure that build/ holds the modules, for what looks there and nowhere else. Specs may run
--- against another build, with that one missing.
function M.need_build()
  local file = io.open(M.ROOT .. "build/stream_events/core.so")
  if file then return file:close() end
  local make = process.run("make", { "-s", "build" }, { LD_PRELOAD = false, MAKEFLAGS = false },
    M.ROOT ~= "" and M.ROOT or nil)
  assert(make.code == 0, make.stderr)
end

--- Starts the command.
---@param args string[]
---@param env table<string, string|false>?
---@return support.Process
function M.start(args, env)
  return process.start(M.COMMAND, args, with(env))
end

--- Runs the command to its end.
---@param args string[]
---@param env table<string, string|false>?
---@param input string? for its standard input
---@return support.Process
function M.run(args, env, input)
  return process.run(M.COMMAND, args, with(env), nil, input)
end

--- Starts `serve` on a free port, in memory.
---@param more string[]? further arguments
---@return support.Process process
---@return string base_url
function M.serve(more)
  local args = { "serve", "--port", "0", "--data", ":memory:" }
  for _, word in ipairs(more or {}) do args[#args + 1] = word end
  local server = M.start(args)
  return server, (server:wait_for("stdout", "listening on (%S+)\n"))
end

return M
