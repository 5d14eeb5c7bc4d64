--- Sending: this plugin beside libcurl alone.
local bench = require "bench.lib"
local turns = require "bench.turns"

local COUNT = 40000

local function send(in_flight)
  print(("send: %s"):format(in_flight == 1 and "one after another" or in_flight .. " in flight"))
  local function against(name, command)
    return {
      name = name, count = COUNT, feeder = { bench.BENCH .. "sink" },
      command = ("%s PORT %d %d"):format(command, COUNT, in_flight),
    }
  end
  local figures = turns.rounds_of {
    against("this plugin", bench.LUA .. " spec/bench/plugin_sender.lua"),
    against("libcurl alone", bench.BENCH .. "curl_sender"),
  }
  local ratio = bench.ratios(figures["this plugin"], figures["libcurl alone"])
  bench.verdict("this plugin / libcurl alone", ratio, "at most", 1.3)
end

return function()
  send(1)
  send(32)
end
