--- A relay between a client and a server, in this process: what is between them can be cut, as a
-- network does it, without a word to either.
local uv = require "luv"

local M = {}

local Relay = {}
Relay.__index = Relay

local function close(socket, how)
  if not socket:is_closing() then socket[how](socket) end
end

local function pass_on(from, to, sees)
  from:read_start(function(err, bytes)
    if to:is_closing() then return end
    if bytes and sees then sees(from, bytes) end
    if bytes then to:write(bytes) else close(to, err and "close_reset" or "close") end
    if not bytes then close(from, "close") end
  end)
end

local function accept(self)
  local near, far = uv.new_tcp(), uv.new_tcp()
  self.socket:accept(near)
  self.pairs[#self.pairs + 1] = { near, far }
  far:connect(self.host, self.to, function(err)
    if err or near:is_closing() then
      close(near, "close")
      return close(far, "close")
    end
    pass_on(near, far)
    pass_on(far, near, self.sees)
  end)
end

--- Listens on a free port and passes on to a server's. Of what the server sends, the field `sees` is told:
--- a function(connection, bytes).
---@param host string
---@param port integer
function M.to(host, port)
  local self = setmetatable({ host = host, to = port, pairs = {}, socket = uv.new_tcp() }, Relay)
  assert(self.socket:bind("127.0.0.1", 0))
  self.url = ("http://127.0.0.1:%d"):format(self.socket:getsockname().port)
  assert(self.socket:listen(128, function(err)
    assert(not err, err)
    accept(self)
  end))
  return self
end

--- Resets every connection there is, in both directions.
function Relay:cut()
  for _, pair in ipairs(self.pairs) do
    close(pair[1], "close_reset")
    close(pair[2], "close_reset")
  end
  self.pairs = {}
end

--- From now on nothing passes on the connections there are, which stay open at both ends: both are left
--- half open. New ones are served.
function Relay:freeze()
  for _, pair in ipairs(self.pairs) do
    for _, socket in ipairs(pair) do
      if not socket:is_closing() then socket:read_stop() end
    end
  end
end

--- Ends it.
function Relay:close()
  self:cut()
  close(self.socket, "close")
end

return M
