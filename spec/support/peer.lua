--- Servers on loopback that say exactly what a spec wants, at any speed, right or wrong; and the
--- pump that drives them and a transport in one process until something has happened.
-- Nothing here sleeps: pump() waits for descriptors and raises when its deadline is over.
local uv = require "luv"
local core = require "stream_events.core"
local lua = require "support.lua"

local M = {}

-- A peer may write to who has gone: that is an error of the write, and must not end the process.
local broken_pipe = uv.new_signal()
broken_pipe:start("sigpipe", function() end)
broken_pipe:unref()

local PATIENCE = 20 -- seconds until a spec that waits for something is given up

--------------------------------------------------------------------------------- connections

---@class support.PeerConnection one accepted connection
---@field received string all bytes that came and were not taken
---@field ended boolean the other side has closed, or reset
---@field reset boolean it was a reset
local Connection = {}
Connection.__index = Connection

--- Sends bytes as they are.
function Connection:say(bytes, done)
  if not self.socket:is_closing() then
    self.socket:write(bytes, done)
  elseif done then
    done("closed")
  end
end

--- Sends bytes one at a time, each in a write and a turn of the loop of its own.
function Connection:drip(bytes, done, at)
  at = at or 1
  if at > #bytes then
    if done then done() end
    return
  end
  self:say(bytes:sub(at, at), function(err)
    if not err then self:drip(bytes, done, at + 1) end
  end)
end

--- Ends our side in an orderly way, after what was said; goes on reading.
function Connection:shut(done)
  if self.socket:is_closing() then return end
  if self.shutting == "done" then
    if done then done() end
  elseif self.shutting then -- what was said may still be on its way
    self.shutting[#self.shutting + 1] = done
  else
    self.shutting = { done }
    local function over()
      local waiting = self.shutting
      self.shutting = "done"
      for _, call in ipairs(waiting) do call() end
    end
    if not self.socket:shutdown(over) then over() end
  end
end

--- Ends the connection in an orderly way, after what was said.
function Connection:close()
  self:shut(function()
    if not self.socket:is_closing() then self.socket:close() end
  end)
end

--- Ends it with a reset.
function Connection:abort()
  if not self.socket:is_closing() then self.socket:close_reset() end
end

--- Stops and goes on reading: a peer that does not take what it is sent.
function Connection:stall() self.socket:read_stop() end
function Connection:resume() self:read() end

function Connection:read()
  self.socket:read_start(function(err, bytes)
    if bytes then
      self.received = self.received .. bytes
      if self.on_bytes then self:on_bytes() end
    else
      self.ended, self.reset = true, err ~= nil
      if self.ws then self:close() end
    end
  end)
end

--- Takes a whole HTTP request from the front of what was received, or returns nil.
---@return { method: string, target: string, headers: table<string,string>, body: string }?
function Connection:take_request()
  local head_end = select(2, self.received:find("\r\n\r\n", 1, true))
  if not head_end then return nil end
  local request = { headers = {} }
  local head = self.received:sub(1, head_end)
  request.method, request.target = head:match "^(%S+) (%S+) HTTP/1%.1\r\n"
  for name, value in head:gmatch "\n([^:\r\n]+): *([^\r\n]*)" do
    request.headers[name:lower()] = value
  end
  local length = tonumber(request.headers["content-length"] or "0")
  if #self.received < head_end + length then return nil end
  request.body = self.received:sub(head_end + 1, head_end + length)
  self.received = self.received:sub(head_end + length + 1)
  return request
end

--- Answers a request; headers is a list of lines.
function Connection:answer(status, body, headers)
  body = body or ""
  local lines = { ("HTTP/1.1 %d Whatever"):format(status), "Content-Length: " .. #body }
  for _, line in ipairs(headers or {}) do lines[#lines + 1] = line end
  self:say(table.concat(lines, "\r\n") .. "\r\n\r\n" .. body)
end

--- The answer that accepts the upgrade in `request`.
function M.accept(request)
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    .. "Sec-WebSocket-Accept: " .. core.upgrade_accept(request.headers["sec-websocket-key"])
    .. "\r\n\r\n"
end

----------------------------------------------------------------------------------- frames

local OPCODES = { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 }

--- One frame as a server writes it, or wrong on purpose.
---@param kind string|integer
---@param payload string
---@param how { fin: boolean?, rsv: integer?, mask: boolean?, length: integer? }?
function M.frame(kind, payload, how)
  how = how or {}
  local first = (OPCODES[kind] or kind) + (how.fin == false and 0 or 0x80) + (how.rsv or 0)
  local length, bit = how.length or #payload, how.mask and 0x80 or 0
  local head
  if length < 126 then
    head = string.char(first, length + bit)
  elseif length < 65536 then
    head = string.char(first, 126 + bit) .. lua.big_endian(length, 2)
  else
    head = string.char(first, 127 + bit) .. lua.big_endian(length, 8)
  end
  return head .. (how.mask and "\0\0\0\0" or "") .. payload
end

function M.close_frame(code, reason)
  return M.frame("close", lua.big_endian(code, 2) .. (reason or ""))
end

---------------------------------------------------------------------------------- servers

---@class support.Peer
---@field port integer
---@field connections support.PeerConnection[] in the order in which they were accepted
local Peer = {}
Peer.__index = Peer

local open_peers = {}

--- Listens on a free port of loopback; on_connection(connection) is called for each.
---@param on_connection fun(connection: support.PeerConnection)?
---@return support.Peer
function M.listen(on_connection)
  local self = setmetatable({ connections = {}, socket = uv.new_tcp() }, Peer)
  assert(self.socket:bind("127.0.0.1", 0))
  self.port = self.socket:getsockname().port
  assert(self.socket:listen(128, function(err)
    assert(not err, err)
    local connection = setmetatable({ socket = uv.new_tcp(), received = "", ended = false },
      Connection)
    self.socket:accept(connection.socket)
    connection.socket:nodelay(true)
    self.connections[#self.connections + 1] = connection
    if on_connection then on_connection(connection) end
    connection:read()
  end))
  open_peers[#open_peers + 1] = self
  return self
end

--- Answers every HTTP request by handler(request, connection), which says something on the
--- connection, now or later.
---@param handler fun(request: table, connection: support.PeerConnection)
function M.http(handler)
  return M.listen(function(connection)
    function connection.on_bytes()
      local request = connection:take_request()
      while request do
        handler(request, connection)
        request = connection:take_request()
      end
    end
  end)
end

--- Accepts WebSockets. connection.items holds the frames that came, as core.ws gives them;
--- on_item(connection, item) is called for each; without it, a close frame is not answered, but our
--- side is ended, as that of a server that has sent its own close frame.
---@param on_open fun(connection: support.PeerConnection, request: table)?
---@param on_item fun(connection: support.PeerConnection, item: table)?
function M.websocket(on_open, on_item)
  return M.listen(function(connection)
    connection.items = {}
    function connection.on_bytes()
      if not connection.ws then
        local request = connection:take_request()
        if not request then return end
        connection.ws = core.ws("server", 1024 * 1024 * 1024)
        connection:say(M.accept(request))
        if on_open then on_open(connection, request) end
      end
      local bytes = connection.received
      connection.received = ""
      for _, item in ipairs(connection.ws:read(bytes)) do
        connection.items[#connection.items + 1] = item
        if on_item then
          on_item(connection, item)
        elseif item.kind == "close" then
          connection:shut()
        end
      end
    end
  end)
end

function Peer:url(scheme, path)
  return ("%s://127.0.0.1:%d%s"):format(scheme, self.port, path or "/")
end

function Peer:stop()
  if not self.socket:is_closing() then self.socket:close() end
  for _, connection in ipairs(self.connections) do
    if not connection.socket:is_closing() then connection.socket:close() end
  end
end

--- Ends every peer; for after_each.
function M.stop_all()
  for _, peer in ipairs(open_peers) do peer:stop() end
  open_peers = {}
  uv.run "nowait"
end

--------------------------------------------------------------------------------------- pump

--- Drives peers and transport until condition() is true, and returns what it returned.
---@generic T
---@param transport stream_events.core.Transport? nil: only the peers
---@param condition fun(): T
---@param what string? what is waited for, for the error
---@return T
function M.pump(transport, condition, what)
  local deadline = core.now() + PATIENCE
  local poll = transport and uv.new_poll(transport:pollfd())
  local timer = uv.new_timer()
  local function noop() end
  if poll then poll:start("r", noop) end
  local result
  local ok, err = pcall(function()
    repeat
      if transport then transport:step() end
      result = condition()
      if not result then
        local left = deadline - core.now()
        assert(left > 0, "waited in vain for " .. (what or "a condition"))
        local seconds = math.min(left, transport and transport:timeout() or left)
        -- A timer that is due before the loop looks at its descriptors would no longer bound that
        -- look: it has to repeat.
        local milliseconds = math.ceil(seconds * 1000)
        timer:start(milliseconds, milliseconds, noop)
        uv.run(milliseconds > 0 and "once" or "nowait")
      end
    until result
  end)
  timer:close()
  if poll then
    poll:stop()
    poll:close()
  end
  uv.run "nowait"
  if not ok then error(err, 2) end
  return result
end

return M
