-- Two clients under copas, beside turns of the program's own. Start `stream-events serve` first.
local copas = require "copas"
local attach = require("stream_events.loop.copas").attach
local stream_events = require "stream_events"

local function sign_in(id)
  local client = stream_events.new {
    api_key = "devkey", base_url = "http://127.0.0.1:3030", secret = "lan-dev-secret",
  }
  attach(client) -- from here on copas does what poll() does elsewhere
  assert(client:connect_user { id = id }) -- suspends this coroutine; the others go on
  local lobby = client:channel("livestream", "lobby")
  assert(lobby:watch())
  return client, lobby
end

local frames, over = 0, false
copas.addthread(function()
  local ann, here = sign_in "ann"
  local bob, there = sign_in "bob"
  there:subscribe_for("poke", function(event)
    print("bob was poked by " .. event.user.id)
    ann:close() -- a client that is closed leaves copas
    bob:close()
    over = true
  end)
  here:send_event("poke", {})
end)
while not over do
  copas.step(1)
  frames = frames + 1
end
print(frames > 1 and "other turns ran as well" or "nothing else ran")
