-- Rules on a connection: which events they keep back, and what next() tells of it. Rule sets are made
-- by hand here, out of descriptions; the decisions themselves are in rules_engine_spec.
local core = require "stream_events.core"
local garbage = require "support.garbage"
local lua = require "support.lua"
local peer = require "support.peer"
local rules = require "stream_events.rules"

local transport

before_each(function() transport = core.transport() end)
after_each(function()
  transport:close()
  peer.stop_all()
end)

local HASH = "0123456789ab"

local function set_of(list, more)
  local description = { rules = list, default = "drop", mode = "enforce", hash = HASH }
  for name, value in pairs(more or {}) do description[name] = value end
  return assert(core.rule_set(description))
end

local function engine_of(list, more)
  local engine = core.rules()
  engine:use(set_of(list, more))
  return engine
end

local function router_of(engine, wants)
  local router = core.router()
  assert(router:set(wants or { custom = true }))
  router:rules(engine)
  return router
end

-- An event of jane's in a channel, as text.
local function text_of(type, data, sender)
  local fields = { type = type, cid = "messaging:general", user = { id = sender or "jane", role = "user" } }
  for name, value in pairs(data or {}) do fields[name] = value end
  return core.json.encode(fields)
end

-- A connection on which these texts come, once they are asked for.
local function connect(router, texts, self)
  local frames = {}
  for i, text in ipairs(texts) do frames[i] = peer.frame("text", text) end
  local server = peer.websocket(function(far) far:say(table.concat(frames)) end)
  local connection = assert(transport:connect { url = server:url "ws", router = router, self = self })
  peer.pump(transport, function() return connection:state() == "open" end, "open")
  return connection
end

-- All that next() gives until so many events have come in.
local function receive(connection, router, count)
  local got = {}
  peer.pump(transport, function()
    local item = lua.pack(connection:next())
    while item[1] ~= nil do
      got[#got + 1] = item
      item = lua.pack(connection:next())
    end
    return router:totals().received >= count or connection:state() == "closed"
  end, "events")
  return got
end

-- What comes of texts under rules; wants default to every custom event.
local function judge(engine, texts, wants, self)
  local router = router_of(engine, wants)
  return receive(connect(router, texts, self), router, #texts), router
end

local function types_of(got)
  local types = {}
  for i, item in ipairs(got) do types[i] = item[1] and item[2] or tostring(item[2]) end
  return types
end

describe("rules on a connection", function()
  it("let through what they allow, as it came", function()
    local text = text_of("poke", { text = "hi" })
    local engine = engine_of { { name = "poke", kind = "event", extra = "keep" } }
    local got, router = judge(engine, { text })
    assert.same({ "poke" }, types_of(got))
    assert.equal("messaging:general", got[1][3])
    assert.equal(text, core.event.text(got[1][1]))
    assert.is_nil(got[1][1].verdict)
    assert.same({ received = 1, delivered = 1, unwanted = 0, refused = 0 }, router:totals())
    assert.same({ poke = { allow = { [""] = 1 } } }, engine:counts())
  end)

  it("refuse a type without reading on, and count it in both places", function()
    local engine = engine_of { { name = "noise", kind = "refuse" } }
    local got, router = judge(engine, { '{"type":"noise", and so on', text_of "noise", text_of "unheard" })
    assert.same({}, got)
    assert.same({ received = 3, delivered = 0, unwanted = 0, refused = 3 }, router:totals())
    local counts = { noise = { refused = 2 }, unheard = { ["undeclared-type"] = 1 } }
    assert.same(counts, router:counts())
    assert.same({ noise = { drop = counts.noise }, unheard = { drop = counts.unheard } }, engine:counts())
  end)

  it("refuse a type also where nobody wants it", function()
    local engine = engine_of { { name = "noise", kind = "refuse" } }
    local _, router = judge(engine, { text_of "noise" }, {})
    assert.same({ noise = { refused = 1 } }, router:counts())
  end)

  it("are not asked about what nobody wants", function()
    local asked = 0
    local engine = engine_of {
      { name = "poke", kind = "event", check = function()
        asked = asked + 1
        return core.verdicts.allow
      end },
    }
    local _, router = judge(engine, { text_of "poke" }, {})
    assert.same({ poke = { unwanted = 1 } }, router:counts())
    assert.same({}, engine:counts())
    assert.equal(0, asked)
  end)

  it("catch a honeypot's sender where nobody wants the type", function()
    local engine = engine_of {
      { name = "grant_admin", kind = "honeypot", mark = "honeypot", seconds = 60 },
      { name = "poke", kind = "event" },
    }
    local got, router = judge(engine, { text_of("grant_admin", nil, "eve"), text_of("poke", nil, "eve"),
      text_of("poke", nil, "jane") }, { types = { "poke" } })
    assert.equal(1, #got)
    assert.equal("jane", got[1][1].user.id)
    assert.is_true(engine:marked("eve", "honeypot"))
    assert.same({ grant_admin = { honeypot = 1 }, poke = { marked = 1 } }, router:counts())
    assert.same({ received = 3, delivered = 1, unwanted = 0, refused = 2 }, router:totals())
  end)

  it("keep a marked sender away from types that no rule speaks about", function()
    local engine = engine_of({ { name = "grant_admin", kind = "honeypot" } }, { default = "allow" })
    engine:mark("eve", "honeypot", 60)
    local got = judge(engine, { text_of("poke", nil, "eve"), text_of "poke" })
    assert.same({ "poke" }, types_of(got))
    assert.equal("jane", got[1][1].user.id)
  end)

  it("leave the service's own types alone", function()
    local engine = engine_of {}
    local got = judge(engine, { '{"type":"message.new","cid":"a:b"}', '{"type":"health.check"}',
      '{"type":"connection.error"}', '{"type":"connection.changed"}', '{"type":"made.up"}' },
      { types = { "message.new", "health.check", "connection.error" }, custom = true })
    assert.same({ "message.new", "health.check", "connection.error" }, types_of(got))
    assert.same({ ["made.up"] = { drop = { ["undeclared-type"] = 1 } },
      ["connection.changed"] = { drop = { ["reserved-type"] = 1 } } }, engine:counts())
  end)

  it("judge one of the service's types that a rule names", function()
    local engine = engine_of { { name = "typing.start", kind = "event", extra = "keep", size = 10 } }
    local got, router = judge(engine, { '{"type":"typing.start","cid":"a:b"}' },
      { types = { "typing.start" } })
    assert.same({}, got)
    assert.same({ ["typing.start"] = { ["too-large"] = 1 } }, router:counts())
  end)

  it("know from the transport who sent an event", function()
    local engine = engine_of {
      { name = "own", kind = "event", trust = { "self" } },
      { name = "app", kind = "event", trust = { "server" } },
      { name = "members", kind = "event", trust = { "user" } },
    }
    local texts = {}
    for _, type in ipairs { "own", "app", "members" } do
      texts[#texts + 1] = text_of(type, nil, "john")
      texts[#texts + 1] = text_of(type, nil, "jane")
      texts[#texts + 1] = ('{"type":"%s"}'):format(type)
    end
    local got, router = judge(engine, texts, nil, "john")
    assert.same({ "own", "app", "members" }, types_of(got))
    assert.same({ "self", "server", "user" }, { got[1][1].trust, got[2][1].trust, got[3][1].trust })
    assert.same({ own = { trust = 2 }, app = { trust = 2 }, members = { trust = 2 } }, router:counts())
  end)

  for what, case in pairs {
    ["flag"] = {
      rule = { flag = "look at it" }, data = { text = "hi" },
      verdict = { verdict = "flag", judged = "flag", text = "look at it" },
    },
    ["strip"] = {
      rule = { extra = "strip", fields = { text = { kind = "string" } } },
      data = { text = "hi", more = 1 },
      gone = "more",
    },
    ["rewrite"] = {
      rule = {
        fields = { text = { kind = "string" } },
        rewrite = function() return core.verdicts.rewrite { text = "ho" } end,
      },
      data = { text = "hi" }, text = "ho", verdict = { verdict = "rewrite", judged = "rewrite" },
    },
    ["audit"] = {
      rule = { mode = "audit", size = 10 }, data = { text = "hi" },
      verdict = { verdict = "audit", judged = "drop", reason = "too-large" },
    },
  } do
    it(("deliver with the verdict %q"):format(what), function()
      local rule = { name = "chat_*", kind = "event", extra = "keep" }
      for name, value in pairs(case.rule) do rule[name] = value end
      local got, router = judge(engine_of { rule }, { text_of("chat_line", case.data) })
      assert.equal(1, #got)
      local event = got[1][1]
      assert.equal(case.text or "hi", event.text)
      assert.equal("jane", event.user.id)
      if case.gone then assert.is_nil(event[case.gone]) end
      assert.equal(1, router:totals().delivered)
      for name, value in pairs(case.verdict or {}) do assert.equal(value, event.verdict[name]) end
      if case.verdict then
        assert.same({ "chat_*", HASH }, { event.verdict.rule, event.verdict.hash })
        assert.is_nil(event.verdict.changed)
      end
    end)
  end

  it("let nobody write a verdict into an event", function()
    local engine = engine_of { { name = "poke", kind = "event", extra = "keep" } }
    local got = judge(engine, { text_of("poke", { verdict = { verdict = "flag" } }) })
    assert.is_nil(got[1][1].verdict)
    assert.same({ verdict = "flag" }, got[1][1].raw_data.verdict)
  end)

  it("hand out what they quarantine, with the event", function()
    local engine = engine_of {
      { name = "odd", kind = "event", extra = "keep", quarantine = "somebody should look at this" },
    }
    local text = text_of("odd", { text = "hi" })
    local got, router = judge(engine, { text })
    assert.same({ false, "quarantined" }, { got[1][1], got[1][2] })
    local report = got[1][3]
    assert.equal(text, core.event.text(report.event))
    assert.same({ "quarantine", "odd", "somebody should look at this", HASH, "odd", "messaging:general",
      "jane", "user", #text },
      { report.verdict, report.rule, report.text, report.hash, report.type, report.cid,
        report.user_id, report.trust, report.size })
    assert.same({ received = 1, delivered = 0, unwanted = 0, refused = 1 }, router:totals())
  end)

  it("tell of each event they drop, where that is observed, but not what it holds", function()
    local engine = engine_of {
      { name = "noise", kind = "refuse" },
      { name = "poke", kind = "event", fields = { n = { kind = "integer", max = 3 } } },
    }
    local texts = { text_of("noise", { secret = "s3cret" }), text_of("poke", { n = 4 }), text_of "unheard",
      text_of("poke", { n = 3 }), '{"type":"connection.changed"}' }
    engine:observe(true)
    local got, router = judge(engine, texts, { types = { "poke" } })
    assert.same({ "dropped", "dropped", "dropped", "poke", "dropped" }, types_of(got))
    assert.equal("reserved-type", got[5][3].reason)
    local reasons = {}
    for i = 1, 3 do
      local report = got[i][3]
      reasons[i] = report.reason
      assert.same({ "drop", "messaging:general", "jane", "user", #texts[i], HASH },
        { report.verdict, report.cid, report.user_id, report.trust, report.size, report.hash })
      assert.equal("number", type(report.received_at))
      assert.is_nil(report.event)
      for _, value in pairs(report) do
        assert.is_nil(type(value) == "string" and value:find("s3cret", 1, true) or nil)
      end
    end
    assert.same({ "refused", "field-range", "undeclared-type" }, reasons)
    assert.same({ noise = { refused = 1 }, poke = { ["field-range"] = 1 },
      unheard = { ["undeclared-type"] = 1 }, ["connection.changed"] = { ["reserved-type"] = 1 } },
      router:counts())
    assert.equal(1, engine:counts().noise.drop.refused)
  end)

  it("stop telling when nobody observes any more", function()
    local engine = engine_of { { name = "poke", kind = "event", size = 1 }, { name = "end", kind = "event" } }
    local router = router_of(engine)
    engine:observe(true)
    local connection = connect(router, { text_of "poke", text_of "noise", text_of "poke", text_of "noise",
      text_of "end" })
    peer.pump(transport, function() return connection:next() == false end, "the first report")
    engine:observe(false)
    assert.same({ "end" }, types_of(receive(connection, router, 5)))
    assert.same({ poke = { ["too-large"] = 2 }, noise = { ["undeclared-type"] = 2 } }, router:counts())
  end)

  it("report a function that misbehaves, and that it was switched off", function()
    local engine = core.rules { breaches = 2 }
    local answers = { function() error("boom", 0) end, function() return 42 end }
    engine:use(set_of {
      { name = "raises", kind = "event", check = answers[1] },
      { name = "odd", kind = "event", check = answers[2] },
    })
    local got = judge(engine, { text_of "raises", text_of "odd", text_of "raises" })
    assert.same({ "fault", "fault", "fault" }, types_of(got))
    assert.same({ "check-error", "bad-verdict", "check-error" },
      { got[1][3].reason, got[2][3].reason, got[3][3].reason })
    assert.truthy(got[1][3].text:find "boom")
    assert.same({}, engine:tripped()) -- only broken budgets do that
  end)

  it("give the turn back to the program when their functions take long", function()
    local engine = core.rules()
    engine:use(assert(rules.parse([[
      event "slow" { check = function() for i = 1, 200000 do local x = i + 1 end return drop end }
      event "end" {}
    ]], { limits = { instructions = 1e9, seconds = 60 } })).core)
    local router = router_of(engine)
    local texts = {}
    for i = 1, 50 do texts[i] = text_of "slow" end
    texts[51] = text_of "end"
    local connection = connect(router, texts)
    local most, before, last = 0, 0, nil
    peer.pump(transport, function()
      last = select(2, connection:next())
      local received = router:totals().received
      most, before = math.max(most, received - before), received
      return last
    end, "the last event")
    assert.equal("end", last)
    assert.same({ slow = { check = 50 } }, router:counts())
    assert.is_true(most < 50, "all in one call")
  end)

  it("switch a rule off whose functions break their budgets, and refuse its type from then on", function()
    local engine = core.rules { breaches = 2 }
    engine:use(assert(rules.parse('event "slow_*" { check = function() while true do end end }',
      { limits = { instructions = 1000 } })).core)
    local got, router = judge(engine, { text_of "slow_a", text_of "slow_b", text_of "slow_a",
      '{"type":"slow_c", and so on' })
    assert.same({ "fault", "fault" }, types_of(got))
    assert.same({ "budget-instructions", "slow_*" }, { got[1][3].reason, got[1][3].rule })
    assert.is_nil(got[1][3].tripped)
    assert.is_true(got[2][3].tripped)
    assert.same({ "slow_*" }, engine:tripped())
    assert.same({ slow_a = { ["budget-instructions"] = 1, tripped = 1 },
      slow_b = { ["budget-instructions"] = 1 }, slow_c = { tripped = 1 } }, router:counts())
  end)

  it("change with the set in force, for types that were seen before", function()
    local engine = engine_of { { name = "a", kind = "event" } }
    local router = router_of(engine)
    local function round(expected)
      local got = receive(connect(router, { text_of "a", text_of "b" }), router, router:totals().received + 2)
      assert.same(expected, types_of(got))
    end
    round { "a" }
    engine:use(set_of { { name = "b", kind = "event" } })
    round { "b" }
    engine:use(nil)
    round { "a", "b" }
    engine:use(set_of {})
    round {}
    router:rules(nil)
    round { "a", "b" }
  end)

  it("stay bounded however many types are invented", function()
    local engine = engine_of { { name = "declared", kind = "event" } }
    local texts = {}
    for i = 1, 3000 do texts[i] = text_of("invented_" .. i) end
    texts[#texts + 1] = text_of "declared"
    for _, observed in ipairs { false, true } do
      engine:observe(observed)
      local got, router = judge(engine, texts)
      assert.equal(observed and 3001 or 1, #got)
      assert.equal("declared", got[#got][2])
      for _, counts in ipairs { router:counts(), engine:counts() } do
        local size = 0
        for _ in pairs(counts) do size = size + 1 end
        assert.is_true(size <= 1025, "too many types: " .. size)
      end
      assert.equal(3000, router:totals().refused)
    end
    assert.equal(6000 - 1024 * 2, engine:counts()["*"].drop["undeclared-type"])
  end)

  it("say what they are, and nothing else is taken for them", function()
    local router = core.router()
    for _, wrong in ipairs { {}, "x", 1, router } do
      assert.has_error(function() router:rules(wrong) end)
    end
    router:set { custom = true }
    router:rules(core.rules()) -- no set: everything is allowed
    assert.same({ "x" }, types_of(receive(connect(router, { text_of "x" }), router, 1)))
  end)
end)

-- A function of the program's own can do anything while an event is judged.
describe("a check of the program's own", function()
  local connection, router, engine, kept

  -- What next() gives when the check of the second of three events does this.
  local function with(act)
    local count = 0
    engine = core.rules()
    local set = set_of { { name = "poke", kind = "event", extra = "keep", check = function(event)
      count = count + 1
      if count == 2 then act(event) end
      return core.verdicts.allow
    end } }
    engine:use(set)
    set = nil -- luacheck: ignore
    router = router_of(engine)
    local texts = {}
    for i = 1, 3 do texts[i] = text_of("poke", { n = i, pad = ("x"):rep(300) }) end
    connection = connect(router, texts)
    local got = receive(connection, router, 3)
    local numbers = {}
    for i, item in ipairs(got) do numbers[i] = item[1] and item[1].n end
    return numbers
  end

  for what, case in pairs {
    ["aborts the connection"] = { function() connection:abort() end, { 1 } },
    ["closes the transport"] = { function() transport:close() end, { 1 } },
    ["closes the connection in an orderly way"] = {
      function() connection:close() end, { 1, 2, 3 },
    },
    ["puts no rules in force"] = { function() engine:use(nil) end, { 1, 2, 3 } },
    ["puts other rules in force"] = {
      function() engine:use(set_of {}) end, { 1, 2 },
    },
    ["takes the rules away"] = { function() router:rules(nil) end, { 1, 2, 3 } },
    ["lets go of everything"] = {
      function()
        router:rules(nil)
        engine = nil
        garbage.collect()
      end, { 1, 2, 3 },
    },
    ["takes the next event itself"] = { function() connection:next() end, { 1, 2 } },
    ["wants nothing any more"] = { function() router:set {} end, { 1, 2 } },
    ["pauses the connection"] = { function() connection:pause(false) end, { 1, 2, 3 } },
    ["decides about another event"] = {
      function() engine:decide(text_of("poke", { n = 9 })) end, { 1, 2, 3 },
    },
    ["keeps the event it was shown"] = { function(event) kept = event end, { 1, 2, 3 } },
    ["raises"] = { function() error("no", 0) end, { 1, false, 3 } },
  } do
    it(what, function()
      assert.same(case[2], with(case[1]))
      if kept then assert.equal(2, kept.n) end
      kept = nil
    end)
  end
end)
