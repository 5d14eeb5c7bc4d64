-- first_event.lua -- ends as soon as it has handled its first event. usage: lua first_event.lua PORT
local stream_events = require "stream_events"

local client = stream_events.new { api_key = "devkey", base_url = "http://127.0.0.1:" .. arg[1] }
client:subscribe_for("position", function() os.exit(0, false) end)
assert(client:connect_user({ id = "alice" }, stream_events.developer_token "alice"))
client:run()
