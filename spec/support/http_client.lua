--- A small HTTP and WebSocket client on luv for the specs of the server, which runs in the same loop.
-- Every wait is for a condition and ends with an error when it does not come true in time.
local uv = require "luv"
local native = require "stream_events.native"

local M = {}

local PATIENCE = 30000 -- milliseconds; only a guard, conditions are waited for

--- Runs the loop until `condition()` gives something, and returns that.
---@param patience integer? milliseconds until it is given up
function M.wait(what, condition, patience)
  local result = condition()
  if result then return result end
  local late = false
  local timer = uv.new_timer()
  uv.update_time() -- specs may have run for long without the loop, and it counts from when it last looked
  timer:start(patience or PATIENCE, 0, function() late = true end)
  while not result and not late do
    uv.run("once")
    result = condition()
  end
  timer:close()
  if not result then error("waited in vain for " .. what, 2) end
  return result
end

--- Lets luv finish what was closed: it must not be left to the end of the program.
function M.settle()
  uv.run("nowait")
  uv.run("nowait")
end

--- Percent-encodes.
function M.encode(text)
  return (tostring(text):gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- A query string out of pairs; tables become JSON.
function M.query(parameters)
  local parts = {}
  for name, value in pairs(parameters) do
    if type(value) == "table" then value = native.json.encode(value) end
    parts[#parts + 1] = name .. "=" .. M.encode(value)
  end
  table.sort(parts)
  return table.concat(parts, "&")
end

-- A TCP connection that gathers what it receives.
local function dial(host, port)
  local socket = { received = "", tcp = uv.new_tcp() }
  socket.tcp:connect(host, port, function(err)
    if err then socket.failed = err return end
    socket.connected = true
    socket.tcp:read_start(function(read_err, data)
      if data then
        socket.received = socket.received .. data
      else
        socket.ended = read_err or true
        socket.close()
      end
    end)
  end)
  function socket.close()
    if not socket.tcp:is_closing() then socket.tcp:close() end
  end
  M.wait("a TCP connection", function() return socket.connected or socket.failed end)
  if socket.failed then
    socket.close()
    error("cannot connect: " .. socket.failed, 3)
  end
  return socket
end

M.dial = dial

-- One complete answer at the beginning of a text: status, headers, body, and how many bytes it took.
local function parse(received)
  local head, body_at = received:match("^(.-)\r\n\r\n()")
  if not head then return nil end
  local status = tonumber(head:match("^HTTP/1%.1 (%d%d%d)"))
  if not status then error("no HTTP answer: " .. head) end
  local headers = {}
  for name, value in head:gmatch("\r\n([^:]+):%s*([^\r\n]*)") do headers[name:lower()] = value end
  local length = status == 101 and 0 or tonumber(headers["content-length"]) or 0
  if #received < body_at - 1 + length then return nil end
  return { status = status, headers = headers, text = received:sub(body_at, body_at - 1 + length),
    used = body_at - 1 + length }
end

local function head(method, target, headers, body)
  local lines = { ("%s %s HTTP/1.1"):format(method, target), "Host: localhost" }
  for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  if body then lines[#lines + 1] = "Content-Length: " .. #body end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

local Client = {}
Client.__index = Client

--- A client of one server, over one kept connection.
---@param address { host: string, port: integer, patience: integer? }
function M.new(address)
  return setmetatable({ host = address.host, port = address.port, patience = address.patience }, Client)
end

--- Sends a request without waiting; answers come in order from next_answer().
function Client:send(method, target, headers, body)
  if not self.socket or self.socket.ended then self.socket = dial(self.host, self.port) end
  self.socket.tcp:write(head(method, target, headers, body))
end

--- The next answer, if it is there already: { status, headers, text, body = decoded }.
function Client:take_answer()
  local socket = self.socket
  local answer = parse(socket.received)
  if not answer then return nil end
  socket.received = socket.received:sub(answer.used + 1)
  answer.body = native.json.decode(answer.text)
  return answer
end

--- The next answer.
function Client:next_answer()
  local socket = self.socket
  local answer = M.wait("an answer", function()
    return self:take_answer() or (socket.ended and "ended")
  end, self.patience)
  if answer == "ended" then error("the server closed the connection: " .. socket.received, 2) end
  return answer
end

--- One request and its answer.
---@param options { query: table?, headers: table?, body: any }? a table as body becomes JSON
function Client:request(method, path, options)
  options = options or {}
  local target = path
  if options.query then target = target .. "?" .. M.query(options.query) end
  local body = options.body
  if type(body) == "table" then body = assert(native.json.encode(body)) end
  self:send(method, target, options.headers, body)
  return self:next_answer()
end

function Client:close()
  if self.socket then self.socket.close() end
end

local Socket = {}
Socket.__index = Socket

--- Opens a WebSocket; `target` is path and query.
function M.websocket(address, target, headers)
  local socket = dial(address.host, address.port)
  local key = native.crypto.base64_encode(native.crypto.random(16))
  local lines = { Upgrade = "websocket", Connection = "Upgrade", ["Sec-WebSocket-Version"] = "13",
    ["Sec-WebSocket-Key"] = key }
  for name, value in pairs(headers or {}) do lines[name] = value end
  socket.tcp:write(head("GET", target, lines))
  local answer = M.wait("the handshake", function()
    return parse(socket.received) or (socket.ended and "ended")
  end)
  assert(answer ~= "ended", "the server ended the handshake")
  local self = setmetatable({ socket = socket, status = answer.status, answer = answer, frames = {},
    ws = native.ws("client") }, Socket)
  socket.received = socket.received:sub(answer.used + 1)
  assert(answer.status ~= 101
    or answer.headers["sec-websocket-accept"] == native.upgrade_accept(key), "wrong accept key")
  return self
end

-- Reads what has arrived into frames.
local function gather(self)
  local bytes = self.socket.received
  self.socket.received = ""
  for _, item in ipairs(bytes ~= "" and self.ws:read(bytes) or {}) do
    if item.kind == "text" then
      self.frames[#self.frames + 1] = { text = item.data, event = native.json.decode(item.data) }
    elseif item.kind == "close" then
      self.close_code = item.code
    elseif item.kind == "pong" then
      self.pongs = (self.pongs or 0) + 1
    end
  end
  local output = self.ws:output()
  if output ~= "" and not self.socket.tcp:is_closing() then self.socket.tcp:write(output) end
  return self.frames[1]
end

--- The next frame's event and its text.
function Socket:next()
  M.wait("a frame", function() return gather(self) end)
  local frame = table.remove(self.frames, 1)
  return frame.event, frame.text
end

--- The next event of a type; those before it are thrown away.
function Socket:expect(event_type)
  while true do
    local event, text = self:next()
    if event.type == event_type then return event, text end
  end
end

--- The events that have arrived by the time the server has answered a message of ours: everything
--- that was sent to us before. That answer, a health check, is left out.
function Socket:settled()
  self:send("")
  local events = {}
  while true do
    local event = self:next()
    if event.type == "health.check" then return events end
    events[#events + 1] = event
  end
end

function Socket:send(text, kind)
  assert(self.ws:write(text, kind))
  self.socket.tcp:write(self.ws:output())
end

--- Waits for the end and gives the code of the server's close frame.
function Socket:closed()
  M.wait("the end of the WebSocket", function()
    gather(self)
    return self.socket.ended
  end)
  return self.close_code
end

--- Closes and waits until the server has answered.
function Socket:close(code)
  self.ws:close(code or 1000)
  self.socket.tcp:write(self.ws:output())
  self:closed()
  self.socket.close()
end

--- Ends it without a word.
function Socket:abort()
  self.socket.close()
end

return M
