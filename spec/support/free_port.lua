--- Ports that nothing listens on: for programs that are told theirs.
local luv = require "luv"
local process = require "support.process"

local M = {}

local function port_of(socket)
  assert(socket:bind("127.0.0.1", 0))
  local port = socket:getsockname().port
  local closed = false
  socket:close(function() closed = true end)
  process.wait(function() return closed end, "the port is free")
  return port
end

--- One of 127.0.0.1 that is free now. Nobody else in a spec asks for a certain one.
---@return integer
function M.tcp() return port_of(assert(luv.new_tcp())) end

---@return integer
function M.udp() return port_of(assert(luv.new_udp())) end

return M
