-- plugin_client.lua -- this plugin receiving: what a user would write.
-- usage: lua plugin_client.lua PORT wanted|none
local stream_events = require "stream_events"

local count, sum = 0, 0
local client = stream_events.new { api_key = "devkey", base_url = "http://127.0.0.1:" .. arg[1] }
if arg[2] == "wanted" then
  client:subscribe_for("position", function(event)
    count = count + 1
    sum = sum + event.x
  end)
end
client:subscribe_for("bench.done", function() client:stop() end)
assert(client:connect_user({ id = "alice" }, stream_events.developer_token "alice"))
client:run()
io.stderr:write(count, " ", sum, "\n")
