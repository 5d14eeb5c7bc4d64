-- luv_client.lua -- a client by hand: luv for the socket, lua-cjson for the events, as one writes it
-- in an afternoon. usage: lua luv_client.lua PORT wanted|none
local uv = require "luv"
local cjson = require "cjson"

local handlers, count, sum = {}, 0, 0
if arg[2] == "wanted" then
  handlers["position"] = function(event)
    count = count + 1
    sum = sum + event.x
  end
end
local socket = uv.new_tcp()
handlers["bench.done"] = function()
  io.stderr:write(count, " ", sum, "\n")
  socket:close()
end

local buffer, upgraded = "", false
local function take_frames()
  local at = 1
  while #buffer - at >= 1 do
    local _, second = buffer:byte(at, at + 1)
    local length, header = second & 127, 2
    if length == 126 then
      if #buffer - at + 1 < 4 then break end
      length, header = string.unpack(">I2", buffer, at + 2), 4
    elseif length == 127 then
      if #buffer - at + 1 < 10 then break end
      length, header = string.unpack(">I8", buffer, at + 2), 10
    end
    if #buffer - at + 1 < header + length then break end
    local event = cjson.decode(buffer:sub(at + header, at + header + length - 1))
    at = at + header + length
    local handler = handlers[event.type]
    if handler then handler(event) end
  end
  buffer = buffer:sub(at)
end

socket:connect("127.0.0.1", tonumber(arg[1]), function(failure)
  assert(not failure, failure)
  socket:write("GET /connect HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    .. "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
  socket:read_start(function(problem, data)
    assert(not problem, problem)
    if not data then return socket:close() end
    buffer = buffer .. data
    if not upgraded then
      local _, last = buffer:find("\r\n\r\n", 1, true)
      if not last then return end
      buffer, upgraded = buffer:sub(last + 1), true
    end
    take_frames()
  end)
end)
uv.run()
