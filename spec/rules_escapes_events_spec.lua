--- Hostile events against ordinary rules, and rules that abuse what they are given with an event: kept
--- from one call to the next, used after its time, asked for too much. See support.rule_case.
local core = require "stream_events.core"
local garbage = require "support.garbage"
local host_state = require "support.host_state"
local rule_case = require "support.rule_case"
local rules = require "stream_events.rules"

local json = core.json

local function event_of(members)
  return '{"type":"attack","cid":"messaging:general","user":{"id":"mallory"}' .. members .. "}"
end

-- A check that looks at all it can see.
local LOOK = [[
  local function look(value, depth)
    local n = 1
    if type(value) == "string" then
      return #value + #(value:upper()) + (value:find("x") or 0)
    elseif type(value) ~= "table" then
      return #tostring(value)
    end
    for key, inner in pairs(value) do
      n = n + #tostring(key) + look(inner, depth + 1)
    end
    return n
  end
  for key, value in pairs(event) do look(value, 1) end
  if event.type ~= "attack" or event.user.id ~= "mallory" then return drop "forged" end
  return allow]]

local hostile = {}
local function hostile_event(name, expected, members, more)
  local case = { name, "", expected, LOOK, event = event_of(members),
    limits = { instructions = 10000000, memory = 8 * 1024 * 1024 } }
  for key, value in pairs(more or {}) do case[key] = value end
  hostile[#hostile + 1] = case
end

for _, name in ipairs { "__index", "__newindex", "__gc", "__close", "__metatable", "__name", "__mode",
  "__call",
  "__pairs", "__len", "__eq", "__tostring", "__proto__", "constructor", "toString", "_G", "_ENV", "self",
  "allow", "drop", "nil", "end", "verdict", "trust", "raw_data", "received_at", "now", "user_id", "n", "1",
    "0",
  "-1", "1.0" } do
  hostile_event(("a member named %s"):format(name), "allow",
    (',"%s":{"allow":true,"id":"admin"},"x":{"%s":"server"}'):format(name, name))
end
hostile_event("a member without a name", "allow", ',"":1,"x":{"":{"":2}}')
hostile_event("a name with zero in it", "allow", ',"a\\u0000b":1,"\\u0000":{"\\u0000":2}')
hostile_event("names that only look alike", "allow", ',"typ\\u0435":"x","user\\u0000":1,"User":2')
hostile_event("a name of 10000 letters", "allow", (',"%s":1'):format(("k"):rep(10000)))
hostile_event("a name by its escapes", "drop|malformed|allow", ',"\\u0078":1')
hostile_event("the type once more", "malformed", ',"type":"probe"')
hostile_event("the type once more, by its escapes", "malformed", ',"\\u0074ype":"probe"')
hostile_event("the sender once more", "malformed", ',"user":{"id":"admin"}')
hostile_event("numbers at the edge", "allow",
  ',"a":9223372036854775807,"b":-9223372036854775808,"c":9223372036854775808,"d":1e308,"e":-0.0,"f":5e-324')
hostile_event("numbers beyond", "malformed|allow", ',"a":1e309')
hostile_event("a text of 200000 bytes", "allow", (',"a":"%s"'):format(("x"):rep(200000)))
hostile_event("a text of escapes", "allow", (',"a":"%s"'):format(("\\u0001"):rep(20000)))
hostile_event("a list of 10000", "allow", (',"a":[%s1]'):format(("1,"):rep(9999)))
hostile_event("a list of 10000 empty ones", "allow", (',"a":[%s{}]'):format(("[],"):rep(9999)))
hostile_event("depth 31", "allow", (',"a":%s1%s'):format(("["):rep(30), ("]"):rep(30)))
hostile_event("depth 33", "malformed", (',"a":%s1%s'):format(("["):rep(33), ("]"):rep(33)))
hostile_event("depth 100000", "malformed", (',"a":%s'):format(("["):rep(100000)))
hostile_event("nulls", "allow", ',"a":null,"b":[null,null],"c":{"d":null}')
hostile_event("a list with nulls between", "allow", ',"a":[1,null,2,null,null]')
hostile_event("broken text", "malformed", ',"a":"\255"')
hostile_event("half a pair of surrogates", "malformed", ',"a":"\\ud800"')
hostile_event("nothing behind it", "malformed", ',"a":')
do
  local members = {}
  for i = 1, 250 do members[i] = (',"k%d":%d'):format(i, i) end
  hostile_event("250 members", "allow", table.concat(members))
  for i = 251, 400 do members[i] = (',"k%d":%d'):format(i, i) end
  hostile_event("400 members", "malformed", table.concat(members))
  local inner = {}
  for i = 1, 20000 do inner[i] = ('"k%d":%d'):format(i, i) end
  hostile_event("20000 members in one", "allow|malformed", (',"a":{%s}'):format(table.concat(inner, ",")))
end
-- What does not fit into the state is a drop, not a crash, and the next event is judged as ever.
local SMALL = { limits = { memory = 256 * 1024, instructions = 10000000 } }
for _, size in ipairs { 100000, 1000000, 4000000 } do
  hostile_event(("a text of %d bytes in a small state"):format(size), "allow|budget-memory",
    (',"a":"%s"'):format(("x"):rep(size)), SMALL)
  hostile_event(("a list of %d in a small state"):format(size / 10),
    "allow|budget-memory|budget-instructions",
    (',"a":[%s1]'):format(("1,"):rep(size / 10)), SMALL)
end

local function kept(name, source, expected, text, more)
  local case = { name, source, expected, "", text = text, times = 3 }
  for key, value in pairs(more or {}) do case[key] = value end
  return case
end

local keeping = {
  kept("the event, and its fields at the next call", "Luanti #3132", "allow|check-error", [[
    local last
    event "attack" { extra = "keep", check = function(event)
      local before = last
      last = event
      if before and (before.text ~= "hello" or before.list[2] ~= 1 or before.user.id ~= "mallory") then
        return drop "another event"
      end
      return allow
    end }]]),
  kept("the event, first looked into at the next call", "", "allow|check-error", [[
    local last
    event "attack" { extra = "keep", check = function(event)
      local before = last
      last = event
      if before then
        local n = 0
        for key, value in pairs(before) do n = n + #tostring(key) + #tostring(value) end
        if before.nested.deep.x ~= 1 then return drop "another event" end
      end
      return allow
    end }]]),
  kept("a list of the event", "", "allow|check-error", [[
    local last
    event "attack" { extra = "keep", check = function(event)
      local before = last
      last = event.list
      if before and (#before ~= 3 or before[1] ~= 3) then return drop "another list" end
      return allow
    end }]]),
  kept("the context, and its functions at the next call", "", "allow|check-error", [[
    local last
    event "attack" { extra = "keep", check = function(event, context)
      local before = last
      last = context
      if before then
        before.mark("alice", "kept", 60)
        if not context.marked("alice", "kept") then return drop "another memory" end
      end
      return allow
    end }]]),
  kept("a function of the context", "", "allow|check-error", [[
    local mark
    event "attack" { extra = "keep", check = function(event, context)
      local before = mark
      mark = context.mark
      if before then before("alice", "kept", 60) end
      return allow
    end }]]),
  kept("an iterator over the event", "", "allow|check-error", [[
    local step, state, key
    event "attack" { extra = "keep", check = function(event)
      if not step then step, state, key = pairs(event) end
      key = step(state, key)
      return allow
    end }]], { times = 30 }),
  kept("an iterator over a list of the event", "", "allow|check-error", [[
    local step, state, key
    event "attack" { extra = "keep", check = function(event)
      if not step then step, state, key = ipairs(event.list) end
      key = key and step(state, key)
      return allow
    end }]], { times = 30 }),
  kept("a key of an iteration, for another event", "", "allow|check-error", [[
    local key
    event "attack" { extra = "keep", check = function(event)
      key = next(event, key)
      return allow
    end }]], { times = 30 }),
  kept("a key of an iteration that the event does not have", "", "check-error|allow", [[
    event "attack" { extra = "keep", check = function(event)
      local _ = next(event, "no such member")
      for _, k in ipairs { 0, -1, 1.5, true, "", {} } do next(event.list, k) end
      return allow
    end }]]),
  kept("a counter of its own", "", "check", [[
    local calls = 0
    event "attack" { extra = "keep", check = function()
      calls = calls + 1
      if calls == 3 then return drop "third" end
      return allow
    end }]]),
  kept("the context of another rule", "", "allow|check-error", [[
    local shared
    event "attack" { extra = "keep", check = function(event, context)
      shared = shared or context
      if shared.trust == "server" then return drop "not mine" end
      return allow
    end }
    event "other" { extra = "keep", check = function(event, context) shared = context return allow end }]]),
}

local context = {
  { "tells what it promises", "", "allow", [[
    if context.now ~= 1750000000 or context.trust ~= "user" or context.cid ~= "messaging:general"
      or context.direction ~= "in" or context.size < 100 then return drop "wrong" end
    return allow]] },
  { "counts without end", "", "budget-instructions|allow|check-error", [[
    local i = 0
    while true do
      i = i + 1
      context.count("k" .. i, 1, 60)
    end]], limits = { instructions = 2000000 }, times = 1 },
  { "marks without end", "", "budget-instructions|allow|check-error", [[
    local i = 0
    while true do
      i = i + 1
      context.mark("u" .. i, "m", 60)
    end]], limits = { instructions = 2000000 }, times = 1 },
  { "has marks by names that could be taken for others", "", "allow", [[
    context.mark("a", "bc", 60)
    context.mark("x\0y", "z", 60)
    if context.marked("ab", "c") or context.marked("x", "y\0z") or context.marked("", "abc")
      or not context.marked("a", "bc") or not context.marked("x\0y", "z") then return drop "taken" end
    return allow]] },
  { "gives another sender's mark to nobody", "", "allow", [[
    context.mark("alice", "m", 60)
    if context.marked("mallory", "m") then return drop end
    return allow]] },
}
for _, call in ipairs {
  "context.count()", "context.count(nil, 1, 60)", "context.count({}, 1, 60)", "context.count('k', 0/0, 60)",
  "context.count('k', math.huge, 60)", "context.count('k', -math.huge, 60)", "context.count('k', -1, 60)",
  "context.count('k', 1, 0)", "context.count('k', 1, -1)", "context.count('k', 1, 0/0)",
  "context.count('k', 1, math.huge)", "context.count('k', 1, 1e308)", "context.count('k', 1, 5e-324)",
  "context.count('k', 'x', 60)", "context.count('k', 1)", "context.count('', 1, 60)",
  "context.count('a\\0b', 1, 60)", "context.count('\\255', 1, 60)", "context.count(('k'):rep(511), 1, 60)",
  "context.count(('k'):rep(60000), 1, 60)", "context:count('k', 1, 60)", "context.count(event, 1, 60)",
  "context.count('k', 1, 60, 1, 2, 3)", "context.mark()", "context.mark('u')", "context.mark('u', 'm')",
  "context.mark('u', 'm', 0/0)", "context.mark('u', 'm', math.huge)", "context.mark('u', 'm', -math.huge)",
  "context.mark('u', 'm', -1)", "context.mark('u', 'm', 'x')", "context.mark(nil, 'm', 60)",
  "context.mark('', '', 60)", "context.mark('a\\0b', '\\0', 60)", "context.mark(('u'):rep(60000), 'm', 60)",
  "context.mark('u', ('m'):rep(60000), 60)", "context.mark({}, {}, {})", "context.mark(event.user, 'm', 60)",
  "context:mark('u', 'm', 60)", "context.marked()", "context.marked('u')", "context.marked(nil, nil)",
  "context.marked({}, 'm')", "context.marked(('u'):rep(60000), 'm')", "context.marked('u', 'm', 1, 2)",
  "context.marked(0/0, 1)", "context.marked(event, context)",
} do
  context[#context + 1] = { "does not mind " .. call, "", "allow|refused|check",
    "local value = " .. call .. " if value then return allow end return drop" }
end

rule_case.specs("the events'", {
  ["an event with"] = hostile,
  ["a check that keeps"] = keeping,
  ["the context"] = context,
}, { describe = describe, it = it, setup = setup })

local NOW = 1750000000
local function parsed(text, limits)
  return assert(rules.parse(text, { name = "rules.lua", limits = limits }))
end
local function engine_of(set, limits)
  local engine = core.rules(limits)
  engine:use(set.core)
  return engine
end

describe("a rule set in two engines", function()
  local TEXT = [[
    local last
    event "attack" { extra = "keep", check = function(event, context)
      local before = last
      last = context
      if before then
        before.mark(event.user.id, "kept", 60)
        before.count("k", 1, 60)
        if before.marked(event.user.id, "other") then return drop "other" end
      end
      return allow
    end }]]

  it("cannot use what the one remembered in a call of the other", function()
    local set = parsed(TEXT)
    local one, two = engine_of(set), engine_of(set)
    one:mark("mallory", "other", 60, NOW)
    one:decide(event_of "", { now = NOW })
    local verdict, decision = two:decide(event_of "", { now = NOW })
    assert.is_true(verdict == "allow" or decision.reason == "check-error")
    assert.is_false(one:marked("mallory", "kept", NOW))
  end)

  it("does not use what an engine remembered that is gone", function()
    local set = parsed(TEXT)
    for _ = 1, 20 do
      engine_of(set):decide(event_of "", { now = NOW })
      garbage.collect()
    end
    local verdict, decision = engine_of(set):decide(event_of "", { now = NOW })
    assert.is_true(verdict == "allow" or decision.reason == "check-error")
  end)

  it("outlives the set that was given", function()
    local engine = engine_of(parsed(TEXT))
    garbage.collect()
    for _ = 1, 3 do engine:decide(event_of "", { now = NOW }) end
    engine:use(nil)
    garbage.collect()
    assert.equal("allow", (engine:decide(event_of "", { now = NOW })))
  end)
end)

describe("a rule", function()
  local TEXT = [[
    event "attack" { extra = "keep", check = function(event)
      if event.how == "loop" then while true do end end
      if event.how == "memory" then local s = "x" while true do s = s .. s end end
      if event.how == "deep" then local function f() return 1 + f() end return f() end
      if event.how == "error" then error {} end
      if event.how == "nothing" then return end
      return flag(event.how)
    end }
    event "probe" { extra = "keep", check = function(event) return drop(event.how) end }]]
  local LIMITS = { instructions = 20000, seconds = 600, memory = 512 * 1024 }

  it("answers after hundreds of bad ends of all kinds as after none", function()
    local engine = engine_of(parsed(TEXT, LIMITS), { breaches = 100000 })
    local EXPECTED = { loop = "budget-instructions", memory = "budget-memory", error = "check-error",
      nothing = "bad-verdict" }
    for i = 1, 100 do
      for how, reason in pairs(EXPECTED) do
        local verdict, decision = engine:decide(event_of((',"how":"%s"'):format(how)), { now = NOW })
        assert.same({ "drop", reason }, { verdict, decision.reason })
      end
      assert.equal("drop", (engine:decide(event_of ',"how":"deep"', { now = NOW })))
      local verdict, decision = engine:decide(event_of((',"how":"n%d"'):format(i)), { now = NOW })
      assert.same({ "flag", "n" .. i }, { verdict, decision.text })
    end
  end)

  it("is off after five broken budgets, whichever, and whole again after a reload", function()
    local set = parsed(TEXT, LIMITS)
    local engine = engine_of(set, { breaches = 5 })
    local reasons = {}
    for _, how in ipairs { "loop", "memory", "error", "loop", "nothing", "memory", "loop", "fine", "loop" } do
      local verdict, decision = engine:decide(event_of((',"how":"%s"'):format(how)), { now = NOW })
      assert.equal("drop", verdict)
      reasons[#reasons + 1] = decision.reason
    end
    assert.same({ "budget-instructions", "budget-memory", "check-error", "budget-instructions", "bad-verdict",
      "budget-memory", "budget-instructions", "tripped", "tripped" }, reasons)
    assert.same({ "attack" }, engine:tripped())
    local probe = '{"type":"probe","cid":"a:b","user":{"id":"bob"},"how":"still"}'
    assert.equal("still", select(2, engine:decide(probe, { now = NOW })).text)
    engine:use(set.core)
    assert.same({}, engine:tripped())
    assert.equal("flag", (engine:decide(event_of ',"how":"fine"', { now = NOW })))
  end)

  it("gives the same verdict for the same event, always", function()
    local set = parsed [[
      event "attack" { extra = "keep", check = function(event)
        local names = {}
        for key in pairs(event) do names[#names + 1] = tostring(key) end
        return drop(table.concat(names, " "))
      end }]]
    local first
    for _ = 1, 20 do
      local text = select(2, engine_of(set):decide(rule_case.EVENT, { now = NOW })).text
      first = first or text
      assert.equal(first, text)
    end
  end)

  it("sees of an event what a handler sees of it", function()
    local set = parsed [[
      event "attack" { extra = "keep", check = function(event) return rewrite { text = event.text,
        number = event.number, list = event.list, nested = event.nested, flag = event.flag } end }]]
    local verdict, decision = engine_of(set):decide(rule_case.EVENT, { now = NOW })
    if verdict == "rewrite" then
      local before, after = json.decode(rule_case.EVENT), json.decode(decision.changed)
      before.nothing = nil
      assert.same(before, after)
    else
      assert.equal("bad-verdict", decision.reason)
    end
  end)

  it("takes no more of the host's memory for more events", function()
    local engine = engine_of(parsed(TEXT, LIMITS), { breaches = 1000000 })
    local function round()
      for i = 1, 200 do engine:decide(event_of((',"how":"n%d"'):format(i)), { now = NOW }) end
    end
    round()
    local before = host_state.bytes()
    round()
    assert.is_true(host_state.bytes() - before < 16 * 1024)
  end)
end)
