--- Fan-out: the server beside another one and beside the least that can be done.
local bench = require "bench.lib"
local load = require "bench.load"

local SERVER, HOOKED = "this server", "this server, a webhook"
local COPYING = "this server, a webhook for every event"
local NODE, FLOOR = "Node, ws", "floor: ready frames"

local WITH_WEBHOOK = bench.BENCH .. "webhooks.db" -- a file: then every turn is written to a disk

-- A server with a webhook, as it is by default, or one that gets a copy of each event: that is a request
-- of the server's own, and two statements of the database, for each.
local function with_webhook(sink, copying)
  local starter = load.this_server({ "--data", WITH_WEBHOOK }, function(client)
    assert(client:update_app { event_hooks = { {
      webhook_url = "http://127.0.0.1:" .. sink.line, should_send_custom_events = copying,
    } } })
  end)
  return function()
    for _, suffix in ipairs { "", "-wal", "-shm", "-lock" } do os.remove(WITH_WEBHOOK .. suffix) end
    return starter()
  end
end

-- Contenders with their figures of memory, by name.
local function contenders(watchers, in_flight)
  local memory = {}
  local function against(name, starter, tokens_path, events)
    memory[name] = {}
    return {
      name = name, unit = "thousand deliveries per CPU second",
      run = function()
        local figures = load.swarm(starter, {
          watchers = watchers, events = events, in_flight = in_flight, tokens = tokens_path,
        })
        table.insert(memory[name], figures.bytes / 1024)
        return figures.deliveries / figures.cpu / 1000
      end,
    }
  end
  return against, memory
end

local function fanout(watchers, in_flight)
  print(("fan-out: %d watchers, %d in flight"):format(watchers, in_flight))
  local tokens = load.tokens(watchers + 1)
  local against, memory = contenders(watchers, in_flight)
  local events = math.max(in_flight * 10, 400000 // watchers)
  local own_events = in_flight > 1 and events * 4 or events
  local sink = bench.start(bench.OTHER, bench.BENCH .. "sink")
  local large = watchers == 1000
  local figures = bench.rounds_of {
    against(SERVER, load.this_server(), tokens, own_events),
    against(HOOKED, with_webhook(sink, false), tokens, own_events),
    against(COPYING, with_webhook(sink, true), tokens, own_events),
    against(NODE, load.plain("node", "spec/bench/node_server.js"), "-", events),
    against(FLOOR, load.plain(bench.BENCH .. "floor_server"), "-", events * 4),
  }
  bench.stop(sink)
  bench.verdict("this server / Node, deliveries per CPU second", bench.ratios(figures[SERVER], figures[NODE]),
    "at least", large and (in_flight > 1 and 6 or 1) or nil)
  bench.verdict("this server / floor, CPU per delivery", bench.ratios(figures[FLOOR], figures[SERVER]),
    "at most", large and in_flight == 1 and 1.35 or nil)
  bench.verdict("with a webhook / without, CPU per delivery", bench.ratios(figures[SERVER], figures[HOOKED]),
    "at most", large and 1.1 or nil)
  bench.verdict("a webhook for every event / without", bench.ratios(figures[SERVER], figures[COPYING]))
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
