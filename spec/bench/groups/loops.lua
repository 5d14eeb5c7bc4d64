--- Receiving through the adapters for other loops, beside client:run().
local bench = require "bench.lib"
local turns = require "bench.turns"

local OWN = "client:run()"
local MOST = 1.15

local function receive(title, mix, wanted, count)
  print(title)
  local function against(name, command)
    return {
      name = name, command = command, count = count,
      feeder = { bench.BENCH .. "blast", mix, tostring(count), "first" },
    }
  end
  local contenders = { against(OWN, bench.LUA .. " spec/bench/plugin_client.lua PORT " .. wanted) }
  local adapters = { "luv", "cqueues", "copas" }
  for _, name in ipairs(adapters) do
    contenders[#contenders + 1] =
      against(name, ("%s spec/bench/loop_client.lua PORT %s %s"):format(bench.LUA, wanted, name))
  end
  local figures = turns.rounds_of(contenders)
  for _, name in ipairs(adapters) do
    bench.verdict(name .. " / " .. OWN, bench.ratios(figures[name], figures[OWN]), "at most", MOST)
  end
end

return function()
  receive("loops (i): every event wanted", "all", "wanted", 1000000)
  receive("loops (ii): one in ten wanted", "tenth", "wanted", 2000000)
  receive("loops (iii): none wanted", "all", "none", 8000000)
end
