--- Sending: this plugin beside libcurl alone.
local bench = require "bench.lib"

local function send(in_flight)
  print(("send: %s"):format(in_flight == 1 and "one after another" or in_flight .. " in flight"))
  local count = 40000
  local function against(name, command)
    return {
      name = name, unit = "us CPU per event",
      run = function()
        local sink = bench.start(bench.OTHER, bench.BENCH .. "sink")
        local seconds = bench.cpu_seconds(("%s %s %d %d"):format(command, sink.line, count, in_flight))
        bench.stop(sink)
        return seconds * 1e6 / count
      end,
    }
  end
  local figures = bench.rounds_of {
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
