--- Fan-out: the server beside another one and beside the least that can be done.
local bench = require "bench.lib"

local SECRET = "lan-dev-secret"

local function start_server()
  local server = bench.start(bench.MEASURED, bench.LUA, "lua/bin/stream-events", "serve", "--port", "0",
    "--data", ":memory:", "--api-key", "devkey", "--api-secret", SECRET)
  server.port = server.line:match ":(%d+)$"
  return server
end

-- A server that prints nothing but its port.
local function plain(command, ...)
  local arguments = { ... }
  return function()
    local server = bench.start(bench.MEASURED, command, table.unpack(arguments))
    server.port = server.line
    return server
  end
end

-- Every watcher is a user of its own.
local function write_tokens(count)
  local path = bench.BENCH .. "tokens.txt"
  local file = assert(io.open(path, "w"))
  for i = 1, count do
    local user = "watcher-" .. i
    file:write(user, " ", require("stream_events.token").user(SECRET, user), "\n")
  end
  file:close()
  return path
end

local function fanout(watchers, in_flight)
  print(("fan-out: %d watchers, %d in flight"):format(watchers, in_flight))
  local tokens = write_tokens(watchers + 1)
  local memory = {}
  local function against(name, starter, tokens_path, events)
    return {
      name = name, unit = "thousand deliveries per CPU second",
      run = function()
        local server = starter()
        local swarm = io.popen(("taskset -c %d %sswarm %s %d %d %d %d %s"):format(
          bench.OTHER, bench.BENCH, server.port, server.pid, watchers, events, in_flight, tokens_path))
        local cpu, deliveries, bytes = (swarm:read "l" or ""):match "(%S+) (%S+) (%S+)"
        swarm:close()
        bench.stop(server)
        assert(cpu, name .. ": the load did not finish")
        memory[name] = memory[name] or {}
        table.insert(memory[name], tonumber(bytes))
        return tonumber(deliveries) / tonumber(cpu) / 1000
      end,
    }
  end
  local events = math.max(in_flight * 10, 400000 // watchers)
  local figures = bench.rounds_of {
    against("this server", start_server, tokens, in_flight > 1 and events * 4 or events),
    against("Node, ws", plain("node", "spec/bench/node_server.js"), "-", events),
    against("floor: ready frames", plain(bench.BENCH .. "floor_server"), "-", events * 4),
  }
  local server, node, floor = figures["this server"], figures["Node, ws"], figures["floor: ready frames"]
  local large = watchers == 1000
  bench.verdict("this server / Node, deliveries per CPU second", bench.ratios(server, node), "at least",
    large and (in_flight > 1 and 6 or 1) or nil)
  bench.verdict("this server / floor, CPU per delivery", bench.ratios(floor, server), "at most",
    large and in_flight == 1 and 1.35 or nil)
  if large then
    bench.verdict("memory per idle connection, KiB", (function()
      local kib = {}
      for i, bytes in ipairs(memory["this server"]) do kib[i] = bytes / 1024 end
      return kib
    end)(), "at most", 4)
  end
end

return function()
  fanout(100, 1)
  fanout(100, 32)
  fanout(1000, 1)
  fanout(1000, 32)
end
