--- Sends that reach one watcher: what a request costs the server, from its token to the frame.
-- The sender is a member of the channel, so that its own role is asked in vain first; the token is
-- verified as each server does it: by Node for each request, by this server once for all that carry it.
local bench = require "bench.lib"
local load = require "bench.load"

local SERVER, KEEPING = "this server", "this server, events kept"
local NODE = "Node: http, node:crypto and one ws send"
local EVENTS, IN_FLIGHT, TURNS = 8000, 32, 15

local function with_channel(retention)
  return function(client)
    if retention then
      assert(client:update_channel_type("messaging", { custom_event_retention = retention }))
    end
    assert(client:upsert_users { { id = load.user(1) }, { id = load.user(2) } })
    assert(client:channel("messaging", "bench", {
      members = { load.user(1), load.user(2) }, created_by_id = load.user(2),
    }):create())
  end
end

return function()
  print(("post: one event, one watcher, %d in flight"):format(IN_FLIGHT))
  local tokens = load.tokens(2)
  local function against(name, starter)
    return {
      name = name, starter = starter, watchers = 1, events = EVENTS, in_flight = IN_FLIGHT, tokens = tokens,
      channel = "messaging/bench",
    }
  end
  local cpu = load.rounds_of({
    against(SERVER, load.this_server(nil, with_channel())),
    against(KEEPING, load.this_server(nil, with_channel { seconds = 3600, count = 1000 })),
    against(NODE, load.plain("node", "spec/bench/node_verifying.js")),
  }, TURNS)
  bench.verdict("this server / Node, requests per CPU second", bench.ratios(cpu[NODE], cpu[SERVER]),
    "at least", 2)
  bench.verdict("events kept / not kept, CPU per request", bench.ratios(cpu[KEEPING], cpu[SERVER]),
    "at most", 1.2)
end
