--- A WebSocket server that echoes: lua5.4 ws_echo_server.lua PORT
-- Uses exactly the accept and frame code of the server, so that a conformance suite can be run
-- against what ships. Port 0 takes a free one. Ends on SIGTERM and SIGINT.
local uv = require "luv"
local core = require "stream_events.server.core"

local LARGEST = 64 * 1024 * 1024 -- conformance suites send single messages of 16 MiB

local listener, kind, message = core.listen {
  port = assert(tonumber(arg[1]), "usage: ws_echo_server.lua PORT"),
  max_message = LARGEST,
  max_output = LARGEST * 2,
  messages = true,
}
if not listener then
  io.stderr:write(kind, ": ", message, "\n")
  os.exit(1)
end

local timer = uv.new_timer()

local function turn()
  listener:step()
  for what, connection, data, opcode in listener.next, listener do
    if what == "upgrade" then
      listener:accept(connection)
    elseif what == "request" then
      listener:respond(connection, 426, "this server only echoes WebSocket messages\n",
        { "Content-Type: text/plain", "Upgrade: websocket" })
    elseif what == "message" and opcode ~= "ping" then
      listener:send(connection, data, opcode)
    end
  end
  listener:flush()
  local seconds = listener:timeout()
  timer:stop()
  if seconds then timer:start(math.ceil(seconds * 1000), 0, turn) end
end

local poll = uv.new_poll(listener:pollfd())
poll:start("r", turn)

for _, name in ipairs { "sigterm", "sigint" } do
  uv.new_signal():start(name, function()
    poll:stop()
    listener:close_all()
    uv.stop()
  end)
end

local host, port = listener:address()
print(("listening on ws://%s:%d"):format(host, port))
io.stdout:flush()
turn()
uv.run()
