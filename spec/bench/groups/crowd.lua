--- Ten thousand connections that do nothing, and an event to all of them.
local bench = require "bench.lib"
local load = require "bench.load"

local SERVER, FLOOR = "this server", "floor: ready frames"
local WATCHERS, EVENTS, TURNS = 10000, 5, 10

return function()
  print(("crowd: %d connections, one event at a time to all of them"):format(WATCHERS))
  local tokens = load.tokens(WATCHERS + 1)
  local function against(name, starter, tokens_path)
    return {
      name = name, starter = starter, watchers = WATCHERS, events = EVENTS, in_flight = 1,
      tokens = tokens_path,
    }
  end
  local cpu, memory = load.rounds_of({
    against(SERVER, load.this_server { "--max-connections", tostring(WATCHERS + 100) }, tokens),
    against(FLOOR, load.plain(bench.BENCH .. "floor_server"), "-"),
  }, TURNS)
  bench.verdict("this server / floor, CPU per event", bench.ratios(cpu[SERVER], cpu[FLOOR]),
    "at most", 1.5)
  bench.verdict("memory per idle connection, KiB", memory[SERVER], "at most", 4)
end
