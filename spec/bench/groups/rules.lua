--- Receiving under rules, beside receiving without them; and rules reloaded in traffic.
local bench = require "bench.lib"
local turns = require "bench.turns"

-- A client under rules that is fed with `count` events of one type, and prints its figure.
local function under_rules(name, mode, count)
  return {
    name = name, count = count, prints = true,
    command = ("%s spec/bench/rules_client.lua PORT %s"):format(bench.LUA, mode),
    feeder = { bench.BENCH .. "blast", "all", tostring(count), "first" },
  }
end

local RELOADED = "reloaded all the time"

local function longest_wait(name, mode)
  local client = under_rules(name, mode, 1000000)
  client.unit, client.times = "ms CPU", 1e3
  return client
end

local function rules()
  print "rules: receiving under them"
  local figures = turns.rounds_of {
    under_rules("no rules, no handler", "none", 1000000),
    under_rules("a refused type", "refused", 1000000),
    under_rules("no rules, delivered", "plain", 1000000),
    under_rules("three fields and a rate", "declared", 1000000),
    under_rules("a check function", "checked", 400000),
    under_rules("as three fields, in a file of 10 rules", "few", 1000000),
    under_rules("as three fields, in a file of 1000 rules", "many", 1000000),
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
  local longest = turns.rounds_of { longest_wait("left alone", "still"), longest_wait(RELOADED, "reload") }
  bench.verdict("reloaded all the time, ms CPU", longest[RELOADED], "at most", 5)
end

return rules
