-- Two clients in luv's loop, beside a timer of the program. Start `stream-events serve` first.
local uv = require "luv"
local attach = require("stream_events.loop.luv").attach
local stream_events = require "stream_events"

local function sign_in(id)
  local client = stream_events.new {
    api_key = "devkey", base_url = "http://127.0.0.1:3030", secret = "lan-dev-secret",
  }
  attach(client) -- from here on the loop does what poll() does elsewhere
  assert(client:connect_user { id = id }) -- suspends this coroutine; the loop goes on
  local lobby = client:channel("livestream", "lobby")
  assert(lobby:watch())
  return client, lobby
end

local frames, timer = 0, uv.new_timer()
timer:start(0, 1, function() frames = frames + 1 end)
coroutine.wrap(function()
  local ann, here = sign_in "ann"
  local bob, there = sign_in "bob"
  there:subscribe_for("poke", function(event)
    print("bob was poked by " .. event.user.id)
    ann:close() -- a client that is closed leaves the loop
    bob:close()
    timer:close()
  end)
  here:send_event("poke", {})
end)()
uv.run() -- ends when nothing is left in the loop
print(frames > 0 and "the timer ran as well" or "nothing else ran")
