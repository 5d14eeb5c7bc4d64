--- A listener and raw TCP clients in one process, for specs that say every byte themselves.
local uv = require "luv"
local core = require "stream_events.server.core"
local frames = require "support.frames"

local M = {}

local PATIENCE = 20000 -- milliseconds; only a guard, specs wait for conditions

M.KEY = "dGhlIHNhbXBsZSBub25jZQ==" -- RFC 6455 §1.3
M.HANDSHAKE = "GET /connect?a=b HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" ..
  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " .. M.KEY .. "\r\n\r\n"

---@class support.RawClient
---@field ended boolean the server has shut its side
---@field broken string? a reset, or another error
local Client = {}
Client.__index = Client

--- Writes, and waits until the system has taken the bytes.
function Client:write(data)
  local taken
  self.tcp:write(data, function() taken = true end)
  self.fixture:wait("the bytes are sent", function() return taken end)
end

--- Writes what the server may never take.
function Client:post(data)
  self.tcp:write(data)
end

function Client:read()
  self.tcp:read_start(function(err, data)
    if err then
      self.broken = err
    elseif data then
      self.parts[#self.parts + 1] = data
    else
      self.ended = true
    end
  end)
end

function Client:stop_reading()
  self.tcp:read_stop()
end

--- Everything received so far.
function Client:text()
  if self.joined ~= #self.parts then
    self.joined, self.all = #self.parts, table.concat(self.parts)
  end
  return self.all
end

--- Shuts our side: the server reads the end of the stream.
function Client:shut()
  self.tcp:shutdown()
end

function Client:close()
  if not self.tcp:is_closing() then self.tcp:close() end
end

--- Waits until the text received matches, and returns the captures.
function Client:expect(pattern)
  self.fixture:wait("received " .. pattern, function() return self:text():find(pattern) end)
  return self:text():match(pattern)
end

--- Waits until what was received ends so, without looking at the rest of it.
function Client:expect_end(text)
  self.fixture:wait("received " .. text, function()
    return self.parts[1] and self.parts[#self.parts]:sub(-#text) == text
  end)
end

--- Waits for the end of the stream.
function Client:finish()
  self.fixture:wait("the server ends the stream", function() return self.ended or self.broken end)
  return self:text()
end

-- The opcode byte of the frame at that place, its payload, and the place behind it; or nil.
local function parse_frame(text, at)
  local first, len = text:byte(at, at + 1)
  local start = at + 2
  if len == 126 and #text >= at + 3 then
    len, start = string.unpack(">I2", text, start)
  elseif len == 127 and #text >= at + 9 then
    len, start = string.unpack(">I8", text, start)
  end
  if len and #text >= start + len - 1 and (start > at + 2 or len < 126) then
    return first, text:sub(start, start + len - 1), start + len
  end
end

--- The frames received after the head of the handshake, as { opcode, payload }; and what is left.
function Client:frames()
  if self.seen < #self.parts then
    self.rest = self.rest .. table.concat(self.parts, "", self.seen + 1)
    self.seen = #self.parts
  end
  local at = 1
  if not self.upgraded then
    local _, last = self.rest:find("\r\n\r\n", 1, true)
    if not last then return self.found, self.rest end
    self.upgraded, at = true, last + 1
  end
  while true do
    local first, payload, behind = parse_frame(self.rest, at)
    if not first then break end
    self.found[#self.found + 1] = { first, payload }
    at = behind
  end
  self.rest = self.rest:sub(at)
  return self.found, self.rest
end

--- Waits for that many frames.
function Client:expect_frames(count)
  self.fixture:wait(count .. " frames", function() return #self:frames() >= count end)
  return self:frames()
end

--- The payloads of all frames.
function Client:payloads()
  local payloads = {}
  for i, frame in ipairs((self:frames())) do payloads[i] = frame[2] end
  return payloads
end

--- Sends a masked frame.
function Client:frame(opcode, data, options)
  options = options or {}
  options.key = true
  self:write(frames.frame(opcode, data, options))
end

---@class support.Listening
---@field listener stream_events.server.core.Listener
---@field results table[] { what, connection, detail, kind } not yet looked at
local Fixture = {}
Fixture.__index = Fixture

--- One turn of the listener.
function Fixture:turn()
  self.listener:step()
  while true do
    local what, connection, detail, kind = self.listener:next()
    if not what then break end
    self.results[#self.results + 1] = { what, connection, detail, kind }
  end
  self.listener:flush()
end

--- Lets listener and clients go on until `condition()` gives something, and returns that.
function Fixture:wait(what, condition)
  local late = false
  local guard, ring, poll = uv.new_timer(), uv.new_timer(), nil
  local result = condition()
  uv.update_time() -- the loop's own is that of its last turn, which may be long ago
  guard:start(PATIENCE, 0, function() late = true end)
  if not self.closed then
    poll = uv.new_poll(self.listener:pollfd())
    poll:start("r", function() end)
  end
  while not result and not late do
    if not self.closed then
      local seconds = self.listener:timeout()
      ring:stop()
-- Repeats, because a run "once" whose timer rings first goes on to wait for something else.
      if seconds then ring:start(math.ceil(seconds * 1000), 10, function() end) end
    end
    uv.run "once"
    if not self.closed then self:turn() end
    result = condition()
  end
  guard:close()
  ring:close()
  if poll then poll:close() end
  if not result then error("waited in vain until " .. what, 2) end
  return result
end

--- Waits for the next result of that kind; those before it are forgotten.
function Fixture:expect(what)
  self:wait("a result " .. what, function()
    while self.results[1] and self.results[1][1] ~= what do table.remove(self.results, 1) end
    return self.results[1]
  end)
  return table.unpack(table.remove(self.results, 1), 2, 4)
end

--- Connects a client.
---@param source string? the address it comes from, such as 127.0.0.2
---@return support.RawClient
function Fixture:client(source)
  local client = setmetatable({
    fixture = self, tcp = uv.new_tcp(), ended = false,
    parts = {}, all = "", joined = 0, -- what was received
    seen = 0, rest = "", found = {}, -- how far it was read as frames
  }, Client)
  self.clients[#self.clients + 1] = client
  local connected
  if source then assert(client.tcp:bind(source, 0)) end
  local host = (source or self.host) == "::1" and "::1" or "127.0.0.1"
  client.tcp:connect(host, self.port, function(err)
    assert(not err, err)
    connected = true
  end)
  self:wait("connected", function() return connected end)
  client.tcp:nodelay(true)
  client:read()
  return client
end

--- Connects a client that is a WebSocket; returns it and its number.
function Fixture:websocket()
  local client = self:client()
  client:write(M.HANDSHAKE)
  local number = self:expect "upgrade"
  assert(self.listener:accept(number))
  client:expect "\r\n\r\n"
  return client, number
end

function Fixture:close()
  for _, client in ipairs(self.clients) do client:close() end
  self.listener:close_all()
  self.closed = true
  for _ = 1, 3 do uv.run "nowait" end
end

--- Opens a listener on a free port.
---@param options stream_events.server.ListenOptions?
---@return support.Listening
function M.open(options)
  local listener = assert(core.listen(options))
  local host, port = listener:address()
  return setmetatable({
    listener = listener, host = host, port = port, results = {}, clients = {},
  }, Fixture)
end

return M
