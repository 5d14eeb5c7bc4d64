--- Echoes every message of a WebSocket server, with its type, until the connection is closed.
--- usage: lua5.4 ws_echo_client.lua URL
-- For WebSocket conformance suites: they test exactly the connection code that ships. Ends with
-- status 0 after a clean closing handshake, 1 after any other end, which it names.
local core = require "stream_events.core"

local LIMIT = 64 * 1024 * 1024

local url = arg[1]
if not url then
  io.stderr:write("usage: ws_echo_client.lua URL\n")
  os.exit(2)
end

local transport = core.transport {}
local connection, _, problem = transport:connect {
  url = url, max_message = LIMIT, max_output = LIMIT,
}
if not connection then
  io.stderr:write("cannot connect: ", problem, "\n")
  os.exit(1)
end

local held, held_kind -- a message that had no room yet: nothing more is read until it has

--- Sends back what came; returns whether there may be more.
local function echo()
  if not held then
    held, held_kind = connection:next()
    if not held then return false end
  end
  local ok, kind = connection:send(held, held_kind)
  if not ok and kind == "full" then return false end
  held = nil
  return true
end

local state, kind, message, code
repeat
  transport:step()
  repeat until not echo()
  state, kind, message, code = connection:state()
  if state ~= "closed" then
    -- While a message is held back, only room for it counts: step() says when the socket took some.
    connection:pause(held ~= nil)
    transport:wait(1)
  end
until state == "closed"
transport:close()

if kind ~= "closed" then
  io.stderr:write(("%s: %s (%s)\n"):format(kind, message, tostring(code)))
  os.exit(1)
end
