--- A client with nothing to do, and how soon a process handles its first event.
local bench = require "bench.lib"
local uv = require "luv"

--- User and system ticks a process has used.
local function ticks(pid)
  local rest = bench.read_file("/proc/" .. pid .. "/stat"):match "%) (.*)"
  local fields = {}
  for field in rest:gmatch "%S+" do fields[#fields + 1] = field end
  return tonumber(fields[12]) + tonumber(fields[13])
end

local function idle()
  print "idle client, connected"
  local memory, used = {}, {}
  for i = 1, bench.rounds do
    local sink = bench.start(bench.OTHER, bench.BENCH .. "sink")
    local client = bench.start(bench.MEASURED, bench.LUA, "spec/bench/idle_client.lua", sink.line)
    local before = ticks(client.pid)
    local timer = uv.new_timer()
    local over = false
    timer:start(3000, 0, function() over = true end)
    while not over do uv.run "once" end
    timer:close()
    used[i] = ticks(client.pid) - before
    local pages = bench.read_file("/proc/" .. client.pid .. "/smaps_rollup")
    memory[i] = tonumber(pages:match "Anonymous:%s+(%d+)") / 1024
    bench.stop(client)
    bench.stop(sink)
  end
  bench.verdict("anonymous memory, MB", memory, "at most", 4)
  bench.verdict("CPU ticks (10 ms) used in 3 s", used, "at most", 0)

  print "process start to first event handled, ms"
  local function against(name, command)
    return {
      name = name, unit = "ms",
      run = function()
        local sender = bench.start(bench.OTHER, bench.BENCH .. "blast", "all", "1000", "first")
        local began = uv.hrtime()
        os.execute(("taskset -c %d "):format(bench.MEASURED) .. command:gsub("PORT", sender.line))
        local took = (uv.hrtime() - began) / 1e6
        bench.stop(sender)
        return took
      end,
    }
  end
  local figures = bench.rounds_of {
    against("this plugin", bench.LUA .. " spec/bench/first_event.lua PORT"),
    against("Node, ws", "node spec/bench/node_first.js ws://127.0.0.1:PORT/"),
  }
  bench.verdict("this plugin, ms", figures["this plugin"], "at most", 25)
end

return idle
