--- Receiving: this plugin beside other clients, by how many of the events are wanted.
local bench = require "bench.lib"
local turns = require "bench.turns"

local PLUGIN = "this plugin"
local NODE = "(a) Node, ws + JSON.parse"
local LUV = "(b) lua-luv + lua-cjson by hand"
local FLOOR = "(c) floor: frames found, nothing done"

local function receive(title, mix, place, wanted, bar)
  print(title)
  local function against(name, command, count)
    return {
      name = name, command = command, count = count,
      feeder = { bench.BENCH .. "blast", mix, tostring(count), place },
    }
  end
  local figures = turns.rounds_of {
    against(PLUGIN, bench.LUA .. " spec/bench/plugin_client.lua PORT " .. wanted, 1000000),
    against(NODE, "node spec/bench/node_client.js ws://127.0.0.1:PORT/ " .. wanted, 200000),
    against(LUV, bench.LUA .. " spec/bench/luv_client.lua PORT " .. wanted, 100000),
    place == "first" and against(FLOOR, bench.BENCH .. "floor_client PORT", 2000000) or nil,
  }
  bench.verdict("(a) / this plugin", bench.ratios(figures[NODE], figures[PLUGIN]), "at least", bar)
  bench.verdict("(b) / this plugin", bench.ratios(figures[LUV], figures[PLUGIN]))
  if place == "first" then
    bench.verdict("this plugin / (c)", bench.ratios(figures[PLUGIN], figures[FLOOR]))
  end
end

return function()
  receive("receive (i): every event wanted", "all", "first", "wanted", 3)
  receive("receive (ii): one in ten wanted", "tenth", "first", "wanted", 15)
  receive("receive (iii): none wanted", "all", "first", "none", 15)
  receive("receive (i), type last", "all", "last", "wanted")
  receive("receive (ii), type last", "tenth", "last", "wanted", 6)
  receive("receive (iii), type last", "all", "last", "none", 6)
end
