-- idle_client.lua -- one connected client that has nothing to do; says on standard output when it is
-- connected, then waits to be killed. usage: lua idle_client.lua PORT
local stream_events = require "stream_events"

local client = stream_events.new { api_key = "devkey", base_url = "http://127.0.0.1:" .. arg[1] }
client:subscribe_for("position", function() end)
assert(client:connect_user({ id = "alice" }, stream_events.developer_token "alice"))
io.stdout:write("connected\n")
io.stdout:flush()
client:run()
