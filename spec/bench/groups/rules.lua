--- Receiving under rules, beside receiving without them; and rules reloaded in traffic.
local bench = require "bench.lib"

--- The seconds that a client under rules prints when it is fed with `count` events of one type.
local function under_rules(mode, count)
  local sender = bench.start(bench.OTHER, bench.BENCH .. "blast", "all", tostring(count), "first")
  local command = ("taskset -c %d %s spec/bench/rules_client.lua %s %s 2>%scpu.err"):format(
    bench.MEASURED, bench.LUA, sender.line, mode, bench.BENCH)
  local client = io.popen(command)
  local seconds = tonumber(client:read "a")
  local ok = client:close()
  bench.stop(sender)
  if not ok then error(command .. " failed: " .. bench.read_file(bench.BENCH .. "cpu.err")) end
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
  local figures = bench.rounds_of {
    against("no rules, no handler", "none", 1000000),
    against("a refused type", "refused", 1000000),
    against("no rules, delivered", "plain", 1000000),
    against("three fields and a rate", "declared", 1000000),
    against("a check function", "checked", 400000),
    against("as three fields, in a file of 10 rules", "few", 1000000),
    against("as three fields, in a file of 1000 rules", "many", 1000000),
  }
  local function ratio(label, above, below, bar)
    bench.verdict(label, bench.ratios(figures[above], figures[below]), "at most", bar)
  end
  ratio("refused / no rules, no handler", "a refused type", "no rules, no handler", 1.1)
  ratio("three fields and a rate / no rules", "three fields and a rate", "no rules, delivered", 1.35)
  ratio("a check function / no rules", "a check function", "no rules, delivered", 2.5)
  ratio("1000 rules / 10 rules", "as three fields, in a file of 1000 rules",
    "as three fields, in a file of 10 rules", 1.2)

  print "rules: the longest time between two events in traffic, 1000 rules"
  local still, reloading = {}, {}
  for i = 1, bench.rounds do
    still[i], reloading[i] = under_rules("still", 1000000) * 1e3, under_rules("reload", 1000000) * 1e3
  end
  bench.verdict("left alone, ms CPU", still)
  bench.verdict("reloaded all the time, ms CPU", reloading, "at most", 5)
end

return rules
