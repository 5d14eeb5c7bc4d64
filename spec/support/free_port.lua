--- Ports that nothing listens on: for programs that are told theirs, and servers that come back on the same.
local luv = require "luv"
local process = require "support.process"

local M = {}

-- Bound, and never listening: whoever asks for any port is not given one of these, and whoever asks for this
-- one gets it, since both say SO_REUSEADDR. They are held to the end of the program, because a port that is
-- free now may be somebody else's a moment later: when a server is away, or not there yet.
local held = {}

--- One of 127.0.0.1, where connections are refused until a program of the spec listens.
---@return integer
function M.tcp()
  local socket = assert(luv.new_tcp())
  assert(socket:bind("127.0.0.1", 0))
  held[#held + 1] = socket
  return socket:getsockname().port
end

--- One that is free now. Nobody else in a spec asks for a certain one.
---@return integer
function M.udp()
  local socket = assert(luv.new_udp())
  assert(socket:bind("127.0.0.1", 0))
  local port = socket:getsockname().port
  local closed = false
  socket:close(function() closed = true end)
  process.wait(function() return closed end, "the port is free")
  return port
end

return M
