--- Ten thousand connections that do nothing, and an event to all of them.
local bench = require "bench.lib"
local load = require "bench.load"

local SERVER, FLOOR = "this server", "floor: ready frames"
local WATCHERS, EVENTS = 10000, 40

return function()
  print(("crowd: %d connections, one event at a time to all of them"):format(WATCHERS))
  local tokens, memory = load.tokens(WATCHERS + 1), {}
  local function against(name, starter, tokens_path)
    memory[name] = {}
    return {
      name = name, unit = "ms CPU per event",
      run = function()
        local figures = load.swarm(starter, {
          watchers = WATCHERS, events = EVENTS, in_flight = 1, tokens = tokens_path,
        })
        table.insert(memory[name], figures.bytes / 1024)
        return figures.cpu * 1000 / EVENTS
      end,
    }
  end
  local figures = bench.rounds_of {
    against(SERVER, load.this_server { "--max-connections", tostring(WATCHERS + 100) }, tokens),
    against(FLOOR, load.plain(bench.BENCH .. "floor_server"), "-"),
  }
  bench.verdict("this server / floor, CPU per event", bench.ratios(figures[SERVER], figures[FLOOR]),
    "at most", 1.5)
  bench.verdict("memory per idle connection, KiB", memory[SERVER], "at most", 4)
end
