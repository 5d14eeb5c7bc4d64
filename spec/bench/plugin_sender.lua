-- plugin_sender.lua -- this plugin sending, one after another or several in flight.
-- usage: lua plugin_sender.lua PORT COUNT IN_FLIGHT
local stream_events = require "stream_events"

local count, in_flight = tonumber(arg[2]), tonumber(arg[3])
local client = stream_events.new { api_key = "devkey", base_url = "http://127.0.0.1:" .. arg[1] }
assert(client:connect_user({ id = "alice" }, stream_events.developer_token "alice"))
local channel = client:channel("messaging", "lobby")
local data = { x = 12, y = 40 }

if in_flight == 1 then
  for _ = 1, count do assert(channel:send_event("position", data)) end
else
  local started, finished = 0, 0
  local function send()
    started = started + 1
    channel:send_event("position", data, function(event, err)
      assert(event, err)
      finished = finished + 1
      if started < count then send() end
    end)
  end
  for _ = 1, in_flight do send() end
  while finished < count do client:poll(1) end
end
