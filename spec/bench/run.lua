-- run.lua -- runs every comparison in interleaved rounds and prints ratios beside their bars.
-- usage: lua run.lua [ROUNDS [receive|rules|send|fanout|idle]...]
-- A round runs every contender once, in turn, so that a machine that gets slower meanwhile gets
-- slower for all of them; a ratio is taken within its round. Shown: median (lowest-highest).
-- What is measured and what feeds it run on cores of their own where there are two: moving about
-- and sharing caches costs more than most of what is compared here.
local uv = require "luv"

local BENCH, LUA = "build/bench/", arg[-1]
local rounds = tonumber(arg[1] or 5)
local only = {}
for i = 2, #arg do only[arg[i]] = true end

local function chosen(name) return next(only) == nil or only[name] end

local function read_file(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

--------------------------------------------------------------------------------------- processes

local cores = #uv.cpu_info()
local MEASURED, OTHER = 0, math.min(1, cores - 1)

-- What programs say besides their figures; kept, for when one of them fails.
local REMARKS = BENCH .. "remarks.txt"
local remarks = assert(uv.fs_open(REMARKS, "w", 420)) -- rw-r--r--

local running = {} -- by pid: ended with this program, however it ends

--- Starts a program on a core; returns it with the first line it printed.
local function start(core, command, ...)
  local out = uv.new_pipe()
  local process = { text = "" }
  local options = { args = { "-c", tostring(core), command, ... }, stdio = { nil, out, remarks } }
  process.handle, process.pid = uv.spawn("taskset", options, function(code) process.code = code end)
  if not process.handle then
    out:close()
    error(command .. ": " .. process.pid)
  end
  running[process.pid] = process
  out:read_start(function(_, data) process.text = process.text .. (data or "") end)
  while not process.text:find("\n", 1, true) do
    assert(not process.code, command .. " ended early, see " .. REMARKS)
    uv.run "once"
  end
  process.out = out
  process.line = process.text:match "^[^\n]*"
  return process
end

local function stop(process)
  if not process.code then process.handle:kill "sigterm" end
  while not process.code do uv.run "once" end
  running[process.pid] = nil
  process.out:close()
  process.handle:close()
  uv.run "nowait"
end

--- Runs a command to its end; its CPU seconds, user and system.
local function cpu_seconds(command)
  local report = BENCH .. "cpu.txt"
  os.remove(report)
  os.execute(("taskset -c %d %scpu %s %s 2>%scpu.err"):format(MEASURED, BENCH, report, command, BENCH))
  local user, system, _, status = read_file(report):match "(%S+) (%S+) (%S+) (%S+)"
  if status ~= "0" then error(command .. " failed: " .. read_file(BENCH .. "cpu.err")) end
  return tonumber(user) + tonumber(system)
end

------------------------------------------------------------------------------------------ figures

local function summary(values)
  local sorted = { table.unpack(values) }
  table.sort(sorted)
  local n = #sorted
  local median = n % 2 == 1 and sorted[(n + 1) // 2] or (sorted[n // 2] + sorted[n // 2 + 1]) / 2
  return median, sorted[1], sorted[n]
end

local missed = 0
--- One line: a ratio with its spread, and the bar it has to reach ("at least" or "at most").
local function verdict(label, values, word, bar)
  local median, low, high = summary(values)
  local text = ("  %-58s %8.2f  (%.2f-%.2f)"):format(label, median, low, high)
  if bar then
    local reached
    if word == "at least" then reached = median >= bar else reached = median <= bar end
    if not reached then missed = missed + 1 end
    text = ("%s   bar: %s %g  %s"):format(text, word, bar, reached and "reached" or "MISSED")
  end
  print(text)
end

--- Runs contenders in interleaved rounds. Returns name -> list of figures.
local function rounds_of(contenders)
  local figures = {}
  for _ = 1, rounds do
    for _, contender in ipairs(contenders) do
      figures[contender.name] = figures[contender.name] or {}
      table.insert(figures[contender.name], contender.run())
    end
  end
  for _, contender in ipairs(contenders) do
    local median, low, high = summary(figures[contender.name])
    print(("  %-58s %8.3f  (%.3f-%.3f) %s"):format(contender.name, median, low, high, contender.unit))
  end
  return figures
end

local function ratios(above, below)
  local values = {}
  for i = 1, #above do values[i] = above[i] / below[i] end
  return values
end

------------------------------------------------------------------------------------------ receive

local PLUGIN = "this plugin"
local NODE = "(a) Node, ws + JSON.parse"
local LUV = "(b) lua-luv + lua-cjson by hand"
local FLOOR = "(c) floor: frames found, nothing done"

local function receive(title, mix, place, wanted, bar)
  print(title)
  local function against(name, command, count)
    return {
      name = name, unit = "us CPU per event",
      run = function()
        local sender = start(OTHER, BENCH .. "blast", mix, tostring(count), place)
        local seconds = cpu_seconds(command:gsub("PORT", sender.line))
        stop(sender)
        return seconds * 1e6 / count
      end,
    }
  end
  local figures = rounds_of {
    against(PLUGIN, LUA .. " spec/bench/plugin_client.lua PORT " .. wanted, 1000000),
    against(NODE, "node spec/bench/node_client.js ws://127.0.0.1:PORT/ " .. wanted, 200000),
    against(LUV, LUA .. " spec/bench/luv_client.lua PORT " .. wanted, 100000),
    place == "first" and against(FLOOR, BENCH .. "floor_client PORT", 2000000) or nil,
  }
  verdict("(a) / this plugin", ratios(figures[NODE], figures[PLUGIN]), "at least", bar)
  verdict("(b) / this plugin", ratios(figures[LUV], figures[PLUGIN]))
  if place == "first" then verdict("this plugin / (c)", ratios(figures[PLUGIN], figures[FLOOR])) end
end


-------------------------------------------------------------------------------------------- rules

--- The seconds that a client under rules prints when it is fed with `count` events of one type.
local function under_rules(mode, count)
  local sender = start(OTHER, BENCH .. "blast", "all", tostring(count), "first")
  local command = ("taskset -c %d %s spec/bench/rules_client.lua %s %s 2>%scpu.err"):format(
    MEASURED, LUA, sender.line, mode, BENCH)
  local client = io.popen(command)
  local seconds = tonumber(client:read "a")
  local ok = client:close()
  stop(sender)
  if not ok then error(command .. " failed: " .. read_file(BENCH .. "cpu.err")) end
  return seconds
end

local function rules()
  print "rules: receiving under them"
  local function against(name, mode, count)
    return {
      name = name, unit = "us CPU per event",
      run = function() return under_rules(mode, count) * 1e6 / count end,
    }
  end
  local figures = rounds_of {
    against("no rules, no handler", "none", 1000000),
    against("a refused type", "refused", 1000000),
    against("no rules, delivered", "plain", 1000000),
    against("three fields and a rate", "declared", 1000000),
    against("a check function", "checked", 400000),
    against("as three fields, in a file of 10 rules", "few", 1000000),
    against("as three fields, in a file of 1000 rules", "many", 1000000),
  }
  local function ratio(label, above, below, bar)
    verdict(label, ratios(figures[above], figures[below]), "at most", bar)
  end
  ratio("refused / no rules, no handler", "a refused type", "no rules, no handler", 1.1)
  ratio("three fields and a rate / no rules", "three fields and a rate", "no rules, delivered", 1.35)
  ratio("a check function / no rules", "a check function", "no rules, delivered", 2.5)
  ratio("1000 rules / 10 rules", "as three fields, in a file of 1000 rules",
    "as three fields, in a file of 10 rules", 1.2)

  print "rules: the longest time between two events in traffic, 1000 rules"
  local still, reloading = {}, {}
  for i = 1, rounds do
    still[i], reloading[i] = under_rules("still", 1000000) * 1e3, under_rules("reload", 1000000) * 1e3
  end
  verdict("left alone, ms CPU", still)
  verdict("reloaded all the time, ms CPU", reloading, "at most", 5)
end

--------------------------------------------------------------------------------------------- send

local function send(in_flight)
  print(("send: %s"):format(in_flight == 1 and "one after another" or in_flight .. " in flight"))
  local count = 40000
  local function against(name, command)
    return {
      name = name, unit = "us CPU per event",
      run = function()
        local sink = start(OTHER, BENCH .. "sink")
        local seconds = cpu_seconds(("%s %s %d %d"):format(command, sink.line, count, in_flight))
        stop(sink)
        return seconds * 1e6 / count
      end,
    }
  end
  local figures = rounds_of {
    against("this plugin", LUA .. " spec/bench/plugin_sender.lua"),
    against("libcurl alone", BENCH .. "curl_sender"),
  }
  local ratio = ratios(figures["this plugin"], figures["libcurl alone"])
  verdict("this plugin / libcurl alone", ratio, "at most", 1.3)
end


------------------------------------------------------------------------------------------- fanout

local SECRET = "lan-dev-secret"

local function start_server()
  local server = start(MEASURED, LUA, "lua/bin/stream-events", "serve", "--port", "0", "--data", ":memory:",
    "--api-key", "devkey", "--api-secret", SECRET)
  server.port = server.line:match ":(%d+)$"
  return server
end

-- A server that prints nothing but its port.
local function plain(command, ...)
  local arguments = { ... }
  return function()
    local server = start(MEASURED, command, table.unpack(arguments))
    server.port = server.line
    return server
  end
end

-- Every watcher is a user of its own.
local function write_tokens(count)
  local path = BENCH .. "tokens.txt"
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
          OTHER, BENCH, server.port, server.pid, watchers, events, in_flight, tokens_path))
        local cpu, deliveries, bytes = (swarm:read "l" or ""):match "(%S+) (%S+) (%S+)"
        swarm:close()
        stop(server)
        assert(cpu, name .. ": the load did not finish")
        memory[name] = memory[name] or {}
        table.insert(memory[name], tonumber(bytes))
        return tonumber(deliveries) / tonumber(cpu) / 1000
      end,
    }
  end
  local events = math.max(in_flight * 10, 400000 // watchers)
  local figures = rounds_of {
    against("this server", start_server, tokens, in_flight > 1 and events * 4 or events),
    against("Node, ws", plain("node", "spec/bench/node_server.js"), "-", events),
    against("floor: ready frames", plain(BENCH .. "floor_server"), "-", events * 4),
  }
  local server, node, floor = figures["this server"], figures["Node, ws"], figures["floor: ready frames"]
  local large = watchers == 1000
  verdict("this server / Node, deliveries per CPU second", ratios(server, node), "at least",
    large and (in_flight > 1 and 6 or 1) or nil)
  verdict("this server / floor, CPU per delivery", ratios(floor, server), "at most",
    large and in_flight == 1 and 1.35 or nil)
  if large then
    verdict("memory per idle connection, KiB", (function()
      local kib = {}
      for i, bytes in ipairs(memory["this server"]) do kib[i] = bytes / 1024 end
      return kib
    end)(), "at most", 4)
  end
end


--------------------------------------------------------------------------------------------- idle

--- User and system ticks a process has used.
local function ticks(pid)
  local rest = read_file("/proc/" .. pid .. "/stat"):match "%) (.*)"
  local fields = {}
  for field in rest:gmatch "%S+" do fields[#fields + 1] = field end
  return tonumber(fields[12]) + tonumber(fields[13])
end

local function idle()
  print "idle client, connected"
  local memory, used = {}, {}
  for i = 1, rounds do
    local sink = start(OTHER, BENCH .. "sink")
    local client = start(MEASURED, LUA, "spec/bench/idle_client.lua", sink.line)
    local before = ticks(client.pid)
    local timer = uv.new_timer()
    local over = false
    timer:start(3000, 0, function() over = true end)
    while not over do uv.run "once" end
    timer:close()
    used[i] = ticks(client.pid) - before
    local pages = read_file("/proc/" .. client.pid .. "/smaps_rollup")
    memory[i] = tonumber(pages:match "Anonymous:%s+(%d+)") / 1024
    stop(client)
    stop(sink)
  end
  verdict("anonymous memory, MB", memory, "at most", 4)
  verdict("CPU ticks (10 ms) used in 3 s", used, "at most", 0)

  print "process start to first event handled, ms"
  local function against(name, command)
    return {
      name = name, unit = "ms",
      run = function()
        local sender = start(OTHER, BENCH .. "blast", "all", "1000", "first")
        local began = uv.hrtime()
        os.execute(("taskset -c %d "):format(MEASURED) .. command:gsub("PORT", sender.line))
        local took = (uv.hrtime() - began) / 1e6
        stop(sender)
        return took
      end,
    }
  end
  local figures = rounds_of {
    against("this plugin", LUA .. " spec/bench/first_event.lua PORT"),
    against("Node, ws", "node spec/bench/node_first.js ws://127.0.0.1:PORT/"),
  }
  verdict("this plugin, ms", figures["this plugin"], "at most", 25)
end

-------------------------------------------------------------------------------------------- main

local function main()
  if chosen "receive" then
    receive("receive (i): every event wanted", "all", "first", "wanted", 3)
    receive("receive (ii): one in ten wanted", "tenth", "first", "wanted", 15)
    receive("receive (iii): none wanted", "all", "first", "none", 15)
    receive("receive (i), type last", "all", "last", "wanted")
    receive("receive (ii), type last", "tenth", "last", "wanted", 6)
    receive("receive (iii), type last", "all", "last", "none", 6)
  end
  if chosen "rules" then rules() end
  if chosen "send" then
    send(1)
    send(32)
  end
  if chosen "fanout" then
    fanout(100, 1)
    fanout(100, 32)
    fanout(1000, 1)
    fanout(1000, 32)
  end
  if chosen "idle" then idle() end
  print(missed == 0 and "every bar reached" or missed .. " bars missed")
end

local ok, problem = xpcall(main, debug.traceback)
for _, process in pairs(running) do stop(process) end
if not ok then io.stderr:write(problem, "\n") end
os.exit(ok and 0 or 1, true)
