--- Fan-out: the server beside another one and beside the least that can be done.
local bench = require "bench.lib"
local load = require "bench.load"

local SERVER, HOOKED = "this server", "this server, a webhook"
local COPYING = "this server, a webhook for every event"
local NODE, FLOOR = "Node, ws", "floor: ready frames"

-- A server with a webhook, as it is by default, or one that gets a copy of each event: that is a request
-- of the server's own, and two statements of the database, for each. The state is in a file: then every
-- turn is written to a disk.
local function with_webhook(sink, name, copying)
  local state = bench.BENCH .. "webhook-" .. name .. ".db"
  local starter = load.this_server({ "--data", state }, function(client)
    assert(client:update_app { event_hooks = { {
      webhook_url = "http://127.0.0.1:" .. sink.line, should_send_custom_events = copying,
    } } })
  end)
  return function()
    for _, suffix in ipairs { "", "-wal", "-shm", "-lock" } do os.remove(state .. suffix) end
    return starter()
  end
end

local TURNS, OPENINGS = 20, 4

local function fanout(watchers, in_flight)
  print(("fan-out: %d watchers, %d in flight"):format(watchers, in_flight))
  local tokens = load.tokens(watchers + 1)
  local function against(name, starter, tokens_path, events)
    return {
      name = name, starter = starter, watchers = watchers, in_flight = in_flight,
      tokens = tokens_path, events = events,
    }
  end
  local few = math.max(in_flight, 8000 // watchers) -- in a burst
  local many = few * 8
  local sink = bench.start(bench.OTHER, bench.BENCH .. "sink")
  local large = watchers == 1000
  local cpu, memory = load.rounds_of({
    against(SERVER, load.this_server(), tokens, many),
    against(HOOKED, with_webhook(sink, "off", false), tokens, many),
    against(COPYING, with_webhook(sink, "on", true), tokens, many),
    against(NODE, load.plain("node", "spec/bench/node_server.js"), "-", few),
    against(FLOOR, load.plain(bench.BENCH .. "floor_server"), "-", many),
  }, TURNS, OPENINGS)
  bench.stop(sink)
  local least = large and (in_flight > 1 and 6 or 1) or nil
  local most = large and in_flight == 1 and 1.35 or nil
  bench.verdict("Node / this server, CPU per event", bench.ratios(cpu[NODE], cpu[SERVER]), "at least", least)
  bench.verdict("Node / this server, a webhook for every event", bench.ratios(cpu[NODE], cpu[COPYING]),
    "at least", least)
  bench.verdict("this server / floor", bench.ratios(cpu[SERVER], cpu[FLOOR]), "at most", most)
  bench.verdict("this server, a webhook for every event / floor", bench.ratios(cpu[COPYING], cpu[FLOOR]),
    "at most", most)
  bench.verdict("a webhook / none", bench.ratios(cpu[HOOKED], cpu[SERVER]), "at most", large and 1.1 or nil)
  bench.verdict("a webhook for every event / none", bench.ratios(cpu[COPYING], cpu[SERVER]),
    "at most", large and 1.1 or nil)
  if large then
    bench.verdict("memory per idle connection, KiB", memory[SERVER], "at most", 4)
  end
end

return function()
  fanout(100, 1)
  fanout(100, 32)
  fanout(1000, 1)
  fanout(1000, 32)
end
