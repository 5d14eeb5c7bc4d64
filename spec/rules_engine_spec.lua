--- The engine of rules: types, senders, rates, honeypots, audit, functions and counters. What is declared
-- about data is in rules_engine_fields_spec; what functions of rule files may do, in sandbox_spec.
local core = require "stream_events.core"
local engines = require "support.engine"
local garbage = require "support.garbage"

local set_of, engine_of, decide, event = engines.set_of, engines.engine_of, engines.decide, engines.event
local NOW = engines.NOW

describe("a rule", function()
  local function rule(more)
    local result = { name = "poke", kind = "event", extra = "keep" }
    for key, value in pairs(more) do result[key] = value end
    return engine_of { result }
  end

  it("asks who it may trust", function()
    local server, user = '{"type":"poke"}', event ""
    for trust, expected in pairs {
      server = { true, false, false }, self = { false, true, false }, user = { false, false, true },
    } do
      local engine = rule { trust = { trust } }
      for i, case in ipairs { { server }, { user, { self = "bob" } }, { user, { self = "eve" } } } do
        local verdict, reason = decide(engine, case[1], case[2])
        assert.equal(expected[i] and "allow" or "drop", verdict)
        assert.equal(not expected[i] and "trust" or nil, reason)
      end
    end
    assert.equal("allow", (decide(rule { trust = { "self", "user" } }, user)))
    assert.equal("allow", (decide(rule { trust = { "user" } }, user, { trust = "any", direction = "out" })))
    assert.equal("trust", select(2, decide(rule { trust = { "server" } }, user, { trust = "any" })))
  end)

  local conditions = {
    { { user = { list = { "bob", "al" } } }, true, false },
    { { user = { list = { "bob" }, none = true } }, false, true },
    { { user = { list = { "eve" }, none = true } }, true, true },
    { { role = { list = { "user" } } }, true, false },
    { { role = { list = { "admin" } } }, false, false },
    { { role = { list = { "user" }, none = true } }, false, true },
    { { channel_type = { list = { "messaging", "livestream" } } }, true, false },
    { { channel_type = { list = { "messaging" }, none = true } }, false, true },
    { { cid = { list = { "messaging:general" } } }, true, false },
    { { cid = { list = { "messaging:other" } } }, false, false },
    { { cid = { list = { "messaging:general" }, none = true } }, false, true },
    { { user = { list = { "bob" } }, role = { list = { "admin" } } }, false, false },
  }
  for i, case in ipairs(conditions) do
    it("asks where an event is from: " .. i, function()
      local engine = rule { from = case[1] }
      for n, text in ipairs { event "", '{"type":"poke"}' } do
        local verdict, reason = decide(engine, text)
        assert.equal(case[n + 1] and "allow" or "drop", verdict)
        assert.equal(not case[n + 1] and "from" or nil, reason)
      end
    end)
  end

  it("takes the role that a handler will see", function()
    local engine = rule { from = { role = { list = { "admin" } } } }
    local text = '{"type":"poke","cid":"messaging:a","user":{"id":"bob",%s}}'
    for user, verdict in pairs { ['"role":"admin"'] = "allow", ['"role":"admin","role":"user"'] = "drop",
      ['"role":"user","role":"admin"'] = "allow", [ [["r\u006fle":"\u0061dmin"]] ] = "allow",
      ['"role":"admin","role":1'] = "drop", ['"role":null'] = "drop", ['"x":{"role":"admin"}'] = "drop" } do
      assert.equal(verdict, (decide(engine, text:format(user))), user)
    end
    assert.equal("allow", (decide(engine, '{"type":"poke","cid":"messaging:a"}', { sender = "x",
      role = "admin" })))
  end)

  it("takes from its caller what the text does not say", function()
    local engine = rule { from = { user = { list = { "bob" } }, cid = { list = { "messaging:a" } },
      channel_type = { list = { "messaging" } } } }
    assert.equal("allow", (decide(engine, '{"type":"poke"}', { sender = "bob", cid = "messaging:a",
      direction = "out" })))
    assert.equal("from", select(2, decide(engine, '{"type":"poke"}', { sender = "eve",
      cid = "messaging:a" })))
  end)

  it("bounds the size", function()
    local text = event '"f":1'
    assert.equal("allow", (decide(rule { size = #text }, text)))
    local _, reason, decision = decide(rule { size = #text - 1 }, text)
    assert.equal("too-large", reason)
    assert.equal(("the event has %d bytes, and the rule accepts at most %d"):format(#text, #text - 1),
      decision.text)
  end)

  it("can flag or quarantine all that passes", function()
    local verdict, reason, decision = decide(rule { flag = "look" }, event "")
    assert.same({ "flag", nil, "look" }, { verdict, reason, decision.text })
    verdict, reason, decision = decide(rule { quarantine = "wait", flag = "look" }, event "")
    assert.same({ "quarantine", nil, "wait" }, { verdict, reason, decision.text })
    verdict, reason = decide(rule { quarantine = "wait", size = 1 }, event "")
    assert.same({ "drop", "too-large" }, { verdict, reason })
  end)

  it("judges in an order that a rate need not pay for", function()
    local engine = rule { trust = { "user" }, from = { user = { list = { "bob" } } }, size = 200,
      fields = { f = { kind = "integer" } }, extra = "refuse", rates = { { count = 1, seconds = 60 } } }
    local long = ('"f":"%s"'):format(("x"):rep(200))
    assert.equal("trust", select(2, decide(engine, '{"type":"poke"}')))
    assert.equal("from", select(2, decide(engine, (event(long):gsub("bob", "eve")))))
    assert.equal("too-large", select(2, decide(engine, event(long))))
    assert.equal("field-type", select(2, decide(engine, event '"f":"x"')))
    assert.equal("allow", (decide(engine, event '"f":1')))
    assert.equal("rate", select(2, decide(engine, event '"f":1')))
    assert.equal("field-type", select(2, decide(engine, event '"f":"x"')))
  end)

  it("tells its steps", function()
    local engine = rule { from = { user = { list = { "bob" } } }, rates = { { count = 1, seconds = 60 } } }
    local _, _, first = decide(engine, event "", { trace = true })
    local names = {}
    for i, step in ipairs(first.steps) do names[i] = step.step end
    assert.same({ "type", "trust", "from", "fields", "rate" }, names)
    local _, _, second = decide(engine, event "", { trace = true })
    assert.same({ step = "rate", reason = "rate", text = "more than 1 in 60 seconds from one sender" },
      second.steps[5])
  end)
end)

describe("a rate", function()
  local function at(engine, seconds, more, data)
    local input = { now = NOW + seconds }
    for key, value in pairs(more or {}) do input[key] = value end
    return (decide(engine, data or event "", input))
  end
  local function of(...)
    return engine_of { { name = "poke", kind = "event", extra = "keep", rates = { ... } } }
  end
  local EVE, ELSEWHERE = (event "":gsub("bob", "eve")), (event "":gsub("general", "other"))

  it("is a bucket of its own, wherever it stands in a long list", function()
    local rates = {}
    for i = 1, 12 do rates[i] = { count = 1000, seconds = 60, per = "channel" } end
    rates[2].count, rates[12].count = 1, 1
    local engine = engine_of { { name = "poke", kind = "event", extra = "keep", rates = rates } }
    for _, cid in ipairs { "1messaging:a", "messaging:a" } do
      assert.equal("allow", at(engine, 0, nil, (event "":gsub("messaging:general", cid))), cid)
    end
  end)

  it("is a bucket that fills again", function()
    local engine = of { count = 2, seconds = 10 }
    for i, case in ipairs { { 0, "allow" }, { 0, "allow" }, { 0, "drop" }, { 4.9, "drop" }, { 5, "allow" },
      { 5.1, "drop" }, { 9.9, "drop" }, { 10, "allow" }, { 100, "allow" }, { 100, "allow" }, { 100,
        "drop" } } do
      assert.equal(case[2], at(engine, case[1]), "step " .. i)
    end
  end)

  it("is per sender, per channel or for all, and per direction", function()
    for per, expected in pairs { sender = { "allow", "drop", "allow" }, channel = { "drop", "allow",
      "allow" },
      all = { "drop", "drop", "allow" } } do
      local engine = of { count = 1, seconds = 60, per = per }
      assert.equal("allow", at(engine, 0))
      local given = { at(engine, 0, nil, EVE), at(engine, 0, nil, ELSEWHERE), at(engine, 0,
        { direction = "out" }) }
      assert.same(expected, given)
    end
  end)

  it("counts those without a sender together, and as nobody else", function()
    local engine = of { count = 1, seconds = 60 }
    assert.equal("allow", at(engine, 0, nil, '{"type":"poke"}'))
    assert.equal("drop", at(engine, 0, nil, '{"type":"poke"}'))
    assert.equal("allow", at(engine, 0, { sender = "" }, '{"type":"poke"}'))
  end)

  it("may be one of several, of which all must have a token", function()
    local engine = of({ count = 1, seconds = 1 }, { count = 3, seconds = 100, per = "all" })
    assert.equal("allow", at(engine, 0))
    assert.equal("drop", at(engine, 0)) -- takes nothing from the second
    assert.equal("allow", at(engine, 1))
    assert.equal("allow", at(engine, 2))
    local _, reason, decision = decide(engine, event "", { now = NOW + 3 })
    assert.equal("rate", reason)
    assert.equal("more than 3 in 100 seconds from all together", decision.text)
    assert.equal("allow", at(engine, 34))
  end)

  it("survives a reload, and is another one for each rule", function()
    local rules = { { name = "poke", kind = "event", extra = "keep", rates = { { count = 1,
      seconds = 60 } } },
      { name = "nudge", kind = "event", extra = "keep", rates = { { count = 1, seconds = 60 } } } }
    local engine = engine_of(rules)
    assert.equal("allow", at(engine, 0))
    assert.equal("allow", at(engine, 0, nil, event("", "nudge")))
    engine:use(set_of(rules, { hash = "other" }))
    assert.equal("drop", at(engine, 0))
  end)

  it("is not stopped by a clock that jumps back for longer than its period", function()
    local engine = of { count = 2, seconds = 10 }
    at(engine, 0)
    at(engine, 0)
    assert.equal("drop", at(engine, -5))
    assert.equal("drop", at(engine, -100000))
    assert.equal("allow", at(engine, -100000 + 5))
    assert.equal("drop", at(engine, -100000 + 5))
    assert.equal("allow", at(engine, 1e9))
    for _, now in ipairs { 0 / 0, math.huge, -math.huge } do
      assert.is_string((engine:decide(event "", { now = now })))
    end
  end)

  it("does not let a sender in whose id is too long to remember", function()
    local engine = of { count = 10, seconds = 10 }
    assert.equal("allow", at(engine, 0, nil, (event "":gsub("bob", ("b"):rep(255)))))
    assert.equal("drop", at(engine, 0, nil, (event "":gsub("bob", ("b"):rep(600)))))
  end)
end)

describe("a type", function()
  local ANY = { kind = "event", extra = "keep" }
  local function named(name, more)
    local result = { name = name }
    for key, value in pairs(more or ANY) do result[key] = value end
    return result
  end

  it("never speaks about what keeps the connection alive", function()
    local set = set_of { { name = "health.*", kind = "refuse" } }
    assert.is_nil(set:find "health.check")
    assert.equal("health.*", set:find "health.mine")
    local engine = engine_of { { name = "health.*", kind = "refuse" } }
    assert.equal("pass", (engine:route "health.check"))
  end)

  it("belongs to its own name before a prefix, and to the longest prefix", function()
    local set = set_of { named "trade_*", named "trade_offer", named "*", named "trade_of*",
      named "message.*",
      named "typing.start" }
    for type, name in pairs { trade_offer = "trade_offer", trade_offers = "trade_of*", trade_of = "trade_of*",
      trade_o = "trade_*", trade_ = "trade_*", trade = "*", x = "*", ["a.b"] = "*", ["message.new"] =
        "message.*",
      ["message.custom"] = "message.*", ["typing.start"] = "typing.start" } do
      assert.equal(name, set:find(type))
    end
    for _, type in ipairs { "typing.stop", "health.check", "connection.changed" } do
      assert.is_nil(set:find(type))
    end
  end)

  it("is found among thousands", function()
    local rules = {}
    for i = 1, 1500 do rules[i] = named("kind" .. i) end
    for i = 1, 1500 do rules[#rules + 1] = named(("p"):rep(i % 200 + 1) .. i .. "_*") end
    local set = set_of(rules)
    assert.equal("kind777", set:find "kind777")
    assert.equal("p1400_*", set:find "p1400_x")
    assert.is_nil(set:find "kind")
  end)

  it("cannot be declared twice", function()
    local set, kind = core.rule_set { rules = { named "a", named "a" } }
    assert.is_nil(set)
    assert.equal("argument", kind)
    assert.is_table(set_of { named "a", named "a*" } and {})
  end)

  it("is routed as it is decided", function()
    for _, default in ipairs { "drop", "allow" } do
      for _, mode in ipairs { "enforce", "audit" } do
        local engine = engine_of({ named "poke", named("bad", { kind = "refuse" }), named("worse_*",
          { kind = "refuse" }),
          named("trap", { kind = "honeypot" }), named "message.*" }, { default = default, mode = mode })
        for _, type in ipairs { "poke", "bad", "worse_x", "trap", "other", "message.new", "typing.start",
          "connection.changed", "connection.error", "health.check", "x.y" } do
          local route, reason, rule, audit = engine:route(type)
          local verdict, given, decision = decide(engine, ('{"type":"%s"}'):format(type))
          if route == "refuse" or route == "trap" then
            assert.equal(audit and "allow" or "drop", verdict)
            assert.equal("drop", decision.judged)
            assert.equal(reason, given)
            assert.equal(rule, decision.rule)
          else
            assert.equal("allow", verdict)
            assert.is_nil(reason)
          end
        end
        assert.equal(default == "drop" and "refuse" or "pass", (engine:route "other"))
        assert.equal("pass", (engine:route "typing.start"))
        assert.equal("ask", (engine:route "message.new"))
      end
    end
  end)

  for type, case in pairs {
    bad = { "refused", "the rules refuse this type" },
    other = { "undeclared-type", "no rule declares this type" },
    trap = { "honeypot", "this type is a trap: nobody has reason to send it" },
    ["connection.recovered"] = { "reserved-type", "only the client itself makes events of this type" },
  } do
    it("is dropped: " .. type, function()
      local engine = engine_of { named("bad", { kind = "refuse" }), named("trap", { kind = "honeypot" }) }
      local verdict, reason, decision = decide(engine, event("", type))
      assert.same({ "drop", case[1], case[2] }, { verdict, reason, decision.text })
    end)
  end

  it("of a text that is no event is none", function()
    local engine = engine_of {}
    for _, text in ipairs { "", "x", "[]", "{}", '{"type":1}', '{"type":"a","type":"b"}', '{"type":""}' } do
      local verdict, reason, decision = decide(engine, text)
      assert.same({ "drop", "malformed" }, { verdict, reason })
      assert.is_truthy(decision.text:find "at byte %d+$")
    end
    assert.equal("malformed", select(2, decide(engine, '{"event":[]}', { member = "event" })))
    assert.equal("malformed", select(2, decide(engine, '{"x":{}}', { member = "event" })))
    assert.equal("undeclared-type", select(2, decide(engine, '{"event":{"type":"a"}}', { member = "event" })))
  end)

  it("passes whatever it is where no rules are in force", function()
    local engine = core.rules()
    assert.equal("pass", (engine:route "x"))
    assert.equal("allow", (decide(engine, '{"type":"x"}')))
    engine:use(set_of {})
    assert.equal("drop", (decide(engine, '{"type":"x"}')))
    engine:use(nil)
    assert.equal("allow", (decide(engine, '{"type":"x"}')))
  end)
end)

describe("a honeypot", function()
  local function traps(more)
    return engine_of({ { name = "trap", kind = "honeypot", seconds = 100, mark = "thief" },
      { name = "poke", kind = "event", extra = "keep" }, { name = "message.new", kind = "event",
        extra = "keep" } }, more)
  end

  it("marks who falls into it, for all that would pass", function()
    local engine = traps { default = "allow" }
    assert.equal("allow", (decide(engine, event "")))
    assert.equal("honeypot", select(2, decide(engine, event("", "trap"))))
    assert.is_true(engine:marked("bob", "thief", NOW))
    for _, type in ipairs { "poke", "other", "message.new" } do
      local verdict, reason, decision = decide(engine, event("", type))
      assert.same({ "drop", "marked", "the sender fell into a trap before" }, { verdict, reason,
        decision.text })
    end
    assert.equal("allow", (decide(engine, event("", "message.updated")))) -- no rule sees it
    assert.equal("allow", (decide(engine, (event "":gsub("bob", "eve")))))
    assert.equal("allow", (decide(engine, event "", { now = NOW + 100 })))
  end)

  it("marks nobody else", function()
    for _, input in ipairs { { self = "bob" }, { direction = "out", trust = "any" }, { trust = "server" } } do
      local engine = traps()
      assert.equal("honeypot", select(2, decide(engine, event("", "trap"), input)))
      assert.equal(0, engine:sizes().marks)
    end
    local engine = traps { mode = "audit" }
    local verdict, reason, decision = decide(engine, event("", "trap"))
    assert.same({ "allow", "honeypot", "drop" }, { verdict, reason, decision.judged })
    assert.equal(0, engine:sizes().marks)
    assert.equal("allow", (decide(traps(), '{"type":"poke"}')))
  end)

  it("shares its mark with who marks by hand", function()
    local engine = traps()
    engine:mark("bob", "honeypot", 10, NOW)
    assert.equal("allow", (decide(engine, event "")))
    engine:mark("bob", "thief", 10, NOW)
    assert.equal("marked", select(2, decide(engine, event "")))
    engine:mark("bob", "thief", 0, NOW)
    assert.equal("allow", (decide(engine, event "")))
  end)

  it("marks under its usual name for an hour", function()
    local engine = engine_of { { name = "trap", kind = "honeypot" } }
    decide(engine, event("", "trap"))
    assert.is_true(engine:marked("bob", "honeypot", NOW + 3599))
    assert.is_false(engine:marked("bob", "honeypot", NOW + 3600))
  end)
end)

describe("audit", function()
  local RULES = { { name = "poke", kind = "event", mode = "audit", fields = {}, flag = "x" },
    { name = "nudge", kind = "event", fields = {} }, { name = "bad", kind = "refuse" } }

  it("of a rule lets everything of it through, unchanged, and records it", function()
    local engine = engine_of(RULES)
    local verdict, reason, decision = decide(engine, event '"evil":1')
    assert.same({ "allow", "extra-field", "drop", "poke" }, { verdict, reason, decision.judged,
      decision.rule })
    verdict, reason, decision = decide(engine, event "")
    assert.same({ "allow", nil, "flag" }, { verdict, reason, decision.judged })
    assert.equal("drop", (decide(engine, event('"evil":1', "nudge"))))
    assert.equal("drop", (decide(engine, event("", "bad"))))
    assert.same({ audit = { ["extra-field"] = 1, [""] = 1 } }, engine:counts().poke)
  end)

  it("of the file lets everything through", function()
    local engine = engine_of(RULES, { mode = "audit" })
    for type, reason in pairs { nudge = "extra-field", bad = "refused", other = "undeclared-type" } do
      local verdict, given, decision = decide(engine, event('"evil":1', type))
      assert.same({ "allow", reason, "drop" }, { verdict, given, decision.judged })
    end
    assert.equal("drop", (decide(engine, event("", "connection.changed"))))
  end)

  it("does not change an event", function()
    local engine = engine_of { { name = "poke", kind = "event", mode = "audit", extra = "strip" } }
    local verdict, _, decision = decide(engine, event '"evil":1', { trace = true })
    assert.equal("allow", verdict)
    assert.is_nil(decision.changed)
  end)
end)

describe("a function", function()
  local words = core.verdicts
  local function asking(check, more)
    local rule = { name = "poke", kind = "event", extra = "keep", check = check }
    for key, value in pairs(more or {}) do rule[key] = value end
    return engine_of { rule }
  end
  local function giving(value) return function() return value end end

  for name, case in pairs {
    allow = { words.allow, "allow" },
    drop = { words.drop, "drop", "check" },
    ["drop with a text"] = { words.drop "no", "drop", "check", "no" },
    flag = { words.flag "hm", "flag", "check", "hm" },
    quarantine = { words.quarantine "later", "quarantine", "check", "later" },
    ["no verdict"] = { true, "drop", "bad-verdict" },
    ["nothing"] = { nil, "drop", "bad-verdict" },
  } do
    it("answers " .. name, function()
      local verdict, reason, decision = decide(asking(giving(case[1])), event "")
      assert.equal(case[2], verdict)
      assert.equal(case[3], reason)
      if case[4] then assert.equal(case[4], decision.text) end
    end)
  end

  it("that raises drops the event", function()
    local engine = asking(function() error "oh" end)
    for _ = 1, 10 do assert.equal("check-error", select(2, decide(engine, event ""))) end
    assert.same({}, engine:tripped())
  end)

  it("is not asked about what is dropped anyway", function()
    local asked = 0
    local engine = asking(function() asked = asked + 1 return words.allow end, { size = 200,
      rates = { { count = 1, seconds = 60 } } })
    decide(engine, event(('"x":"%s"'):format(("x"):rep(200))))
    assert.equal(0, asked)
    decide(engine, event "")
    decide(engine, event "")
    assert.equal(1, asked)
  end)

  it("sees what was stripped no more", function()
    local seen
    local engine = asking(function(given) seen = { given.keep, given.evil } return words.allow end,
      { extra = "strip", fields = { keep = { kind = "integer" } } })
    local verdict, _, decision = decide(engine, event '"evil":1,"keep":2')
    assert.same({ "allow", { 2 } }, { verdict, seen })
    assert.equal(event '"keep":2', decision.changed)
  end)

  it("rewrites the data, and leaves the envelope", function()
    local engine = asking(giving(words.rewrite { text = "clean", n = 1 }))
    local text = event '"watcher_count":3,"text":"dirty","x":[1]'
    local verdict, reason, decision = decide(engine, text)
    assert.same({ "rewrite", "check" }, { verdict, reason })
    assert.same(core.json.decode(event '"watcher_count":3,"text":"clean","n":1'),
      core.json.decode(decision.changed))
  end)

  it("cannot rewrite to what the rule does not accept", function()
    local fields = { text = { kind = "string", max = 5 } }
    for reason, data in pairs { ["field-length"] = { text = "too long" }, ["field-missing"] = {},
      ["extra-field"] = { text = "x", y = 1 }, ["field-type"] = { text = 1 } } do
      local engine = asking(giving(words.rewrite(data)), { fields = fields, extra = "refuse" })
      local verdict, given, decision = decide(engine, event '"text":"x"')
      assert.same({ "drop", reason }, { verdict, given })
      assert.is_nil(decision.changed)
    end
    for _, name in ipairs { "type", "cid", "user", "user_id", "channel_id", "created_at", "trust",
      "verdict" } do
      local _, given, decision = decide(asking(giving(words.rewrite { [name] = "x" })), event "")
      assert.equal("extra-field", given)
      assert.equal("a rewrite cannot set " .. name, decision.text)
    end
    local _, reason = decide(asking(giving(words.rewrite { x = ("x"):rep(200) }), { size = 200 }), event "")
    assert.equal("too-large", reason)
  end)

  it("takes an empty table of a rewrite for a list where the rule asks for one", function()
    local list = { kind = "array" }
    local fields = { tags = list, box = { kind = "object", extra = "refuse", fields = { inner = list } } }
    local engine = asking(giving(words.rewrite { tags = {}, box = { inner = {} } }),
      { fields = fields, extra = "refuse" })
    local given = event '"tags":["x"],"box":{"inner":[1]}'
    local verdict, _, decision = decide(engine, given)
    assert.equal("rewrite", verdict)
    assert.truthy(decision.changed:find('"tags":[]', 1, true), decision.changed)
    assert.truthy(decision.changed:find('"box":{"inner":[]}', 1, true), decision.changed)
    for _, other in ipairs { '"tags":{},"box":{"inner":[1]}', '"tags":[],"box":{"inner":{}}' } do
      local _, reason = decide(engine, event(other)) -- a sender has to say what it means
      assert.equal("field-type", reason)
    end
    local _, reason = decide(asking(giving(words.rewrite { tags = { x = 1 }, box = { inner = {} } }),
      { fields = fields, extra = "refuse" }), given)
    assert.equal("field-type", reason)
  end)

  it("has its rewrite stripped like anything else", function()
    local engine = asking(giving(words.rewrite { text = "a", evil = 1 }),
      { extra = "strip", fields = { text = { kind = "string" } } })
    local verdict, _, decision = decide(engine, event '"text":"x","bad":1')
    assert.equal("rewrite", verdict)
    assert.same(core.json.decode(event '"text":"a"'), core.json.decode(decision.changed))
  end)

  it("may rewrite after another has flagged", function()
    local engine = asking(giving(words.flag "hm"),
      { rewrite = function(given) return { text = given.text .. "!" } end })
    local verdict, _, decision = decide(engine, event '"text":"a"')
    assert.equal("rewrite", verdict)
    assert.equal("a!", core.json.decode(decision.changed).text)
    engine = asking(giving(words.flag "hm"), { rewrite = giving(words.allow) })
    verdict, _, decision = decide(engine, event '"text":"a"')
    assert.same({ "flag", "hm" }, { verdict, decision.text })
    engine = asking(giving(words.drop), { rewrite = function() error "never asked" end })
    assert.equal("check", select(2, decide(engine, event '"text":"a"')))
    engine = asking(nil, { rewrite = giving(words.drop "no") })
    assert.equal("check", select(2, decide(engine, event '"text":"a"')))
  end)

  -- On some Luas nothing else bounds that but the size of the C stack.
  it("may not have the engine decide about the same again, without end", function()
    local engine, depth, deepest, reason, text = nil, 0, 0, nil, nil
    engine = engine_of { { name = "poke", kind = "event", extra = "keep", check = function()
      depth = depth + 1
      deepest = math.max(deepest, depth)
      local _, decision = engine:decide(event "")
      if decision and not reason then reason, text = decision.reason, decision.text end
      depth = depth - 1
      return words.allow
    end } }
    for _ = 1, 2 do
      assert.equal("allow", (decide(engine, event "")))
      assert.equal(20, deepest)
      assert.equal("check-error", reason)
      assert.equal("rules that ask the rules again, without end", text)
      deepest, reason = 0, nil
    end
  end)

  it("may have the engine decide, use other rules and collect everything in between", function()
    local engine, other
    local strip = { name = "other", kind = "event", extra = "strip" }
    local function check(given)
      assert.equal(event("", "other"), select(3, decide(engine, event('"evil":1,"created_at":"now"',
        "other"))).changed)
      other = (other or 0) + 1
      engine:use(other % 2 == 0 and set_of { strip } or nil)
      collectgarbage()
      return words.rewrite { text = given.text }
    end
    local rules = { { name = "poke", kind = "event", extra = "strip", fields = { text = { kind = "string" } },
      check = check, rewrite = check, flag = "x" }, strip }
    for _ = 1, 20 do
      engine = engine_of(rules)
      local verdict, _, decision = decide(engine, event '"evil":1,"text":"abc"')
      assert.equal("rewrite", verdict)
      assert.equal("poke", decision.rule)
      assert.same(core.json.decode(event '"text":"abc"'), core.json.decode(decision.changed))
    end
  end)

  describe("of a rule file", function()
    local function loaded(text, limits, more)
      local state = assert(core.rule_state(limits or {}))
      local statements = assert(state:load("rules.lua", text, { functions = {}, fields = {} }))
      local rule = { name = "poke", kind = "event", extra = "keep" }
      for key, value in pairs(statements[1].value) do rule[key] = value.reference or value end
      for key, value in pairs(more or {}) do rule[key] = value end
      return { rule, { name = "nudge", kind = "event", extra = "keep" } }, { state = state }
    end
    local ENDLESS = 'event "poke" { check = function() while true do end end }'

    it("outlives the object of its state", function()
      local engine = engine_of(loaded 'event "poke" { check = function(e) return drop(e.text) end }')
      garbage.collect()
      assert.equal("abc", select(3, decide(engine, event '"text":"abc"')).text)
    end)

    it("that breaks its budget too often is off until other rules are used", function()
      local rules, more = loaded(ENDLESS, { instructions = 10000 })
      local engine = engine_of(rules, more, { breaches = 3 })
      for i = 1, 3 do
        local verdict, reason, decision = decide(engine, event "")
        assert.same({ "drop", "budget-instructions" }, { verdict, reason })
        assert.equal(i == 3 or nil, decision.tripped)
        assert.is_true(decision.instructions >= 9900)
        assert.same(i == 3 and { "poke" } or {}, engine:tripped())
      end
      local verdict, reason, decision = decide(engine, event "")
      assert.same({ "drop", "tripped", "poke" }, { verdict, reason, decision.rule })
      assert.same({ "refuse", "tripped", "poke" }, { engine:route "poke" } and { (engine:route "poke"),
        (select(2, engine:route "poke")), (select(3, engine:route "poke")) })
      assert.equal("allow", (decide(engine, event("", "nudge"))))
      engine:use(set_of(rules, more))
      assert.same({}, engine:tripped())
      assert.equal("ask", (engine:route "poke"))
      assert.equal("budget-instructions", select(2, decide(engine, event "")))
      assert.same({ ["budget-instructions"] = 4, tripped = 1 }, engine:counts().poke.drop)
    end)

    it("is forgiven a broken budget after an hour without another", function()
      local rules, more = loaded(ENDLESS, { instructions = 10000 })
      local engine = engine_of(rules, more, { breaches = 2 })
      local now = 1000000
      for _ = 1, 5 do
        engine:decide(event "", { now = now })
        assert.same({}, engine:tripped())
        now = now + 3601
      end
      engine:decide(event "", { now = now })
      engine:decide(event "", { now = now + 3599 })
      assert.same({ "poke" }, engine:tripped())
      now = now + 100000
      assert.equal("tripped", select(2, engine:decide(event "", { now = now })).reason) -- that stays
    end)

    it("breaks budgets of memory and time", function()
      for reason, text in pairs {
        ["budget-memory"] =
          'event "poke" { check = function() local t = {} for i = 1, 1e7 do t[i] = "x" .. i end end }',
        ["budget-time"] = ENDLESS,
      } do
        local engine = engine_of(loaded(text, { memory = 1048576, instructions = 1e12, seconds = 0.2 }))
        assert.equal(reason, select(2, decide(engine, event "")))
      end
    end)

    it("in audit mode trips as well, and lets everything through", function()
      local rules, more = loaded(ENDLESS, { instructions = 10000 }, { mode = "audit" })
      local engine = engine_of(rules, more, { breaches = 1 })
      for _, expected in ipairs { "budget-instructions", "tripped" } do
        local verdict, reason, decision = decide(engine, event "")
        assert.same({ "allow", expected, "drop" }, { verdict, reason, decision.judged })
      end
    end)

    it("shares what the engine remembers", function()
      local engine = engine_of(loaded [[event "poke" { check = function(event, context)
        if context.marked(event.user.id, "cheater") then return drop "cheater" end
        if context.count("pokes", 1, 60) > 2 then context.mark(event.user.id, "cheater", 10) end
        return allow
      end }]])
      local given = {}
      for i = 1, 4 do given[i] = (decide(engine, event "")) end
      assert.same({ "allow", "allow", "allow", "drop" }, given)
      assert.is_true(engine:marked("bob", "cheater", NOW))
      assert.same({ buckets = 0, marks = 1, counts = 1 }, engine:sizes())
    end)
  end)
end)

describe("the counters", function()
  it("are by type, verdict and reason", function()
    local engine = engine_of { { name = "poke", kind = "event", fields = {} } }
    for _ = 1, 3 do decide(engine, event "") end
    decide(engine, event '"x":1')
    decide(engine, event("", "y"))
    decide(engine, "no")
    assert.same({ poke = { allow = { [""] = 3 }, drop = { ["extra-field"] = 1 } },
      y = { drop = { ["undeclared-type"] = 1 } }, ["*"] = { drop = { malformed = 1 } } }, engine:counts())
  end)

  it("stay bounded however many types there are, and right", function()
    local engine = engine_of { { name = "b*", kind = "event", extra = "keep" } }
    for i = 1, 3000 do
      assert.equal(i % 2 == 0 and "allow" or "drop", (decide(engine, event("",
        (i % 2 == 0 and "b" or "a") .. i))))
    end
    local counts, total, types = engine:counts(), 0, 0
    for _, verdicts in pairs(counts) do
      types = types + 1
      for _, reasons in pairs(verdicts) do
        for _, count in pairs(reasons) do total = total + count end
      end
    end
    assert.equal(3000, total)
    assert.equal(1025, types)
    assert.same({ allow = { [""] = 988 }, drop = { ["undeclared-type"] = 988 } }, counts["*"])
  end)
end)

describe("rule_set", function()
  for name, rule in pairs {
    ["no kind of field"] = { name = "a", fields = { x = {} } },
    ["an unknown kind of field"] = { name = "a", fields = { x = { kind = "strin" } } },
    ["a field that is no table"] = { name = "a", fields = { x = 1 } },
    ["a field whose name is no string"] = { name = "a", fields = { { kind = "any" } } },
    ["a bound that is no number"] = { name = "a", fields = { x = { kind = "string", max = "5" } } },
    ["a bound that is not a number"] = { name = "a", fields = { x = { kind = "number", max = 0 / 0 } } },
    ["a list that is none"] = { name = "a", fields = { x = { kind = "string", glob = "x" } } },
    ["a list of other things"] = { name = "a", fields = { x = { kind = "string", one_of = { {} } } } },
    ["no name"] = { kind = "event" },
    ["a name that is too long"] = { name = ("x"):rep(256) },
    ["an unknown kind"] = { name = "a", kind = "rule" },
    ["a reference without a state"] = { name = "a", check = 1 },
    ["a rate of nothing"] = { name = "a", rates = { { count = 0, seconds = 1 } } },
    ["a rate in no time"] = { name = "a", rates = { { count = 1, seconds = 0 } } },
    ["an endless rate"] = { name = "a", rates = { { count = 1, seconds = math.huge } } },
    ["a rate per something else"] = { name = "a", rates = { { count = 1, seconds = 1, per = "user" } } },
    ["an unknown word for extra keys"] = { name = "a", extra = "drop" },
    ["a source that is no table"] = { name = "a", from = { user = "bob" } },
    ["a rule that is no table"] = 5,
  } do
    it("raises for " .. name, function()
      assert.has_error(function() core.rule_set { rules = { rule } } end)
    end)
  end

  it("raises for fields that are nested too deep, and takes those that are not", function()
    local function nested(depth)
      local field = { kind = "any" }
      for _ = 2, depth do field = { kind = "object", fields = { x = field } } end
      return { rules = { { name = "a", fields = { x = field } } } }
    end
    assert.is_truthy(core.rule_set(nested(32)))
    assert.has_error(function() core.rule_set(nested(33)) end)
    local endless = { kind = "array" }
    endless.items = endless
    assert.has_error(function() core.rule_set { rules = { { name = "a", fields = { x = endless } } } } end)
  end)

  it("takes a name of 255 bytes, and one more with a star", function()
    local name = ("x"):rep(255)
    local set = set_of { { name = name, kind = "refuse" }, { name = name .. "*", kind = "refuse" } }
    assert.equal(name, set:find(name))
  end)
end)
