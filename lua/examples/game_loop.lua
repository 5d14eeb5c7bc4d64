-- A game loop: two seconds of frames that share positions. Start `stream-events serve` first.
local client = require("stream_events").new {
  api_key = "devkey", base_url = "http://127.0.0.1:3030", secret = "lan-dev-secret",
}
local arena, positions = client:channel("livestream", "arena"), {}
assert(client:connect_user { id = "player" } and arena:watch())
arena:subscribe_for("move", function(event) positions[event.user.id] = event.x end)
for frame = 1, 120 do
  client:poll(0, 32) -- never waits; delivers at most 32 events
  if frame % 30 == 0 then arena:send_event("move", { x = frame }, function() end) end
  require("luv").sleep(16) -- your game draws its frame here
end
print("the player is at", positions.player)
