-- A bot: answers every friendship_request in livestream:lobby. Start `stream-events serve` first.
local client = require("stream_events").new {
  api_key = "devkey", base_url = "http://127.0.0.1:3030", secret = "lan-dev-secret",
}
assert(client:connect_user { id = "greeter" })
local lobby = client:channel("livestream", "lobby")
assert(lobby:watch())
lobby:subscribe_for("friendship_request", function(event)
  lobby:send_event("friendship_answer", { text = "Hello, " .. event.user.id .. "!" })
end)
client:run()
