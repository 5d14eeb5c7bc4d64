-- Two clients in a controller of cqueues, beside a thread of the program. Start `stream-events serve` first.
local cqueues = require "cqueues"
local attach = require("stream_events.loop.cqueues").attach
local stream_events = require "stream_events"

local function sign_in(id)
  local client = stream_events.new {
    api_key = "devkey", base_url = "http://127.0.0.1:3030", secret = "lan-dev-secret",
  }
  attach(client) -- from here on the controller that runs does what poll() does elsewhere
  assert(client:connect_user { id = id }) -- suspends this thread; the others go on
  local lobby = client:channel("livestream", "lobby")
  assert(lobby:watch())
  return client, lobby
end

local loop, frames, over = cqueues.new(), 0, false
loop:wrap(function()
  while not over do
    cqueues.sleep(0.001)
    frames = frames + 1
  end
end)
loop:wrap(function()
  local ann, here = sign_in "ann"
  local bob, there = sign_in "bob"
  there:subscribe_for("poke", function(event)
    print("bob was poked by " .. event.user.id)
    ann:close() -- a client that is closed leaves the controller
    bob:close()
    over = true
  end)
  here:send_event("poke", {})
end)
assert(loop:loop()) -- ends when no thread is left
print(frames > 0 and "the thread ran as well" or "nothing else ran")
