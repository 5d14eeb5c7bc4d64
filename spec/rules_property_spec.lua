--- Properties of rules that must hold for every rule set and every event, tried with random ones.
-- STREAM_EVENTS_SEED chooses another sequence, STREAM_EVENTS_SETS how many rule sets there are. What
-- fails says seed, rule set and event.
local core = require "stream_events.core"
local generator = require "support.rule_generator"
local oracle = require "support.rule_oracle"
local peer = require "support.peer"
local rules = require "stream_events.rules"

local SEED = tonumber(os.getenv "STREAM_EVENTS_SEED" or "20260101")
local SETS = tonumber(os.getenv "STREAM_EVENTS_SETS" or "150")
local EVENTS = 60
local SELF = "eve"
local START = 1767225600

local DELIVERED = { allow = true, flag = true, rewrite = true }

-- Equal down to the kind of number, and to which tables are lists.
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b and oracle.is_integer(a) == oracle.is_integer(b)
  end
  if getmetatable(a) ~= getmetatable(b) then return false end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

--- Calls body(random, model, case) for each rule set; what it raises gets the seed and the rules.
local function each_set(count, body)
  for number = 1, count do
    local random = generator.random(SEED * 1009 + number)
    local model = generator.rule_set(random)
    local case = { number = number }
    local ok, problem = pcall(body, random, model, case)
    if not ok then
      error(("seed %d, set %d\n%s\nevent: %s\n%s"):format(SEED, number, generator.text(model),
        case.text or "(none)", tostring(type(problem) == "table" and problem.message or problem)), 0)
    end
  end
end

--- An engine with this rule set in force.
local function engine_for(model)
  local engine = core.rules {}
  engine:use(assert(core.rule_set(model)))
  return engine
end

--- Random events with random pauses between them: { text =, odd =, now = }.
local function history(random, model, count)
  local list, now = {}, START
  for i = 1, count do
    now = now + random:pick { 0, 0, 0, 0.25, 0.5, 1, 4, 64 }
    local text, odd = generator.event(random, model)
    list[i] = { text = text, odd = odd, now = now }
  end
  return list
end

local function decide(engine, event)
  return engine:decide(event.text, { self = SELF, now = event.now, trace = event.trace })
end

local function fail(...) error(("%s: expected %s, got %s"):format(...), 0) end

--- Compares a decision with a judgement of the oracle.
local function compare(verdict, decision, judgement, event)
  local reason = decision and decision.reason
  local judged = decision and decision.judged or verdict
  if judged == "drop" and (event.odd or judgement.why and judgement.why[reason]) then
    if verdict ~= judgement.verdict and not event.odd then fail("verdict", judgement.verdict, verdict) end
    return
  end
  local expected = {}
  for why in pairs(judgement.why or {}) do expected[#expected + 1] = why end
  if judged ~= judgement.judged or judged == "drop" then
    fail("judged", judgement.judged .. " " .. table.concat(expected, "/"), judged .. " " .. tostring(reason))
  end
  if verdict ~= judgement.verdict then fail("verdict", judgement.verdict, verdict) end
  if verdict == "drop" then return end
  local got = core.json.decode(decision and decision.changed or event.text)
  for name, value in pairs(got) do
    if value == core.json.null and judgement.event[name] == nil then got[name] = nil end
  end
  local wanted = judgement.data
  if wanted.channel_type and got.channel_type == nil then got.channel_type = wanted.channel_type end
  if not same(wanted, got) then fail("data", core.json.encode(wanted), core.json.encode(got)) end
end

describe("random rules and random events (seed " .. SEED .. ")", function()
  it("are decided as a second, naive reading of the manual decides them", function()
    local seen = {}
    each_set(SETS, function(random, model, case)
      local engine, judge = engine_for(model), oracle.new(model, SELF)
      for _, event in ipairs(history(random, model, EVENTS)) do
        case.text = event.text
        local verdict, decision = decide(engine, event)
        local judgement = judge:judge(event.text, event.now)
        compare(verdict, decision, judgement, event)
        seen[decision and decision.reason or verdict] = true
      end
    end)
    -- The generator has to be worth something: all that declarations can say is said.
    for reason in ("allow undeclared-type refused honeypot marked malformed too-large trust from rate "
      .. "field-missing field-type field-range field-length field-value extra-field"):gmatch "%S+" do
      assert.is_true(seen[reason], "never seen: " .. reason)
    end
  end)

  it("never deliver a custom type that nobody declared", function()
    each_set(SETS, function(random, model, case)
      if model.default ~= "drop" or model.mode ~= "enforce" then return end
      local engine, set = engine_for(model), core.rule_set(model)
      for _, event in ipairs(history(random, model, EVENTS)) do
        case.text = event.text
        local verdict, decision = decide(engine, event)
        if DELIVERED[verdict] then
          local object = core.event.new(decision and decision.changed or event.text)
          local custom = core.type_class(object.type) == "custom"
          if custom and not set:find(object.type) then fail("undeclared", "drop", verdict) end
        end
      end
    end)
  end)

  it("deliver nothing that does not satisfy the fields of its rule", function()
    each_set(SETS, function(random, model, case)
      local engine, judge = engine_for(model), oracle.new(model, SELF)
      for _, event in ipairs(history(random, model, EVENTS)) do
        case.text = event.text
        local verdict, decision = decide(engine, event)
        local object = core.event.new(event.text)
        local _, _, rule = judge:route(object and object.type or "")
        if object and rule and rule.kind == "event" and DELIVERED[verdict]
          and (not decision or decision.judged ~= "drop") then
          local delivered = core.json.decode(decision and decision.changed or event.text)
          local sender = object.cid and type(object.user) == "table" and object.user.id or nil
          local why = oracle.judge_fields(rule, delivered, sender)
          if next(why) then fail("fields", "nothing wrong", next(why)) end
        end
      end
    end)
  end)

  it("are decided alike by the type and by the whole event", function()
    each_set(SETS, function(random, model, case)
      local engine, judge = engine_for(model), oracle.new(model, SELF)
      for _, event in ipairs(history(random, model, EVENTS)) do
        case.text = event.text
        local object = core.event.new(event.text)
        if object and core.type_class(object.type) ~= "local" then
          local route, reason, name, audit = engine:route(object.type)
          local expected, why, rule = judge:route(object.type)
          if route ~= expected then fail("route", expected, route) end
          if reason ~= why then fail("reason of the route", tostring(why), tostring(reason)) end
          if name ~= (rule and rule.name) then fail("rule", tostring(rule and rule.name), tostring(name)) end
          local verdict, decision = decide(engine, event)
          local refused = route == "refuse" or route == "trap"
          if refused ~= (decision ~= nil and decision.reason == reason and reason ~= nil) then
            fail("refused", tostring(refused), tostring(decision and decision.reason))
          end
          if refused and (verdict == "drop") == audit then fail("audit", tostring(audit), verdict) end
        end
      end
    end)
  end)

  it("get the same decisions whenever the same happened before, traced or not", function()
    each_set(SETS, function(random, model, case)
      local one, two = engine_for(model), engine_for(model)
      for _, event in ipairs(history(random, model, EVENTS)) do
        case.text = event.text
        local verdict, decision = decide(one, event)
        event.trace = true
        local again, traced = decide(two, event)
        if verdict ~= again then fail("verdict", verdict, again) end
        for _, key in ipairs { "judged", "reason", "rule", "text", "changed", "hash" } do
          local value = decision and decision[key]
          if decision and value ~= traced[key] then fail(key, tostring(value), tostring(traced[key])) end
        end
        local steps = traced.reason == "malformed" or #traced.steps > 0
        if not steps then fail("steps", "some", "none") end
      end
    end)
  end)

  it("are counted, each once", function()
    each_set(SETS, function(random, model, case)
      local engine, expected, total = engine_for(model), {}, 0
      for _, event in ipairs(history(random, model, EVENTS)) do
        case.text = event.text
        local verdict, decision = decide(engine, event)
        local reason = decision and decision.reason or ""
        if decision and decision.judged ~= verdict then verdict = "audit" end
        expected[verdict .. " " .. reason] = (expected[verdict .. " " .. reason] or 0) + 1
      end
      local got = {}
      for _, verdicts in pairs(engine:counts()) do
        for verdict, by_reason in pairs(verdicts) do
          for reason, count in pairs(by_reason) do
            total = total + count
            got[verdict .. " " .. reason] = (got[verdict .. " " .. reason] or 0) + count
          end
        end
      end
      if not same(expected, got) then fail("counts", core.json.encode(expected), core.json.encode(got)) end
      if total ~= EVENTS then fail("decisions", EVENTS, total) end
    end)
  end)

  it("come to the same whether they are given as a description or as a rule file", function()
    each_set(SETS, function(random, model, case)
      local text = generator.text(model)
      local set, err = rules.parse(text, { name = "rules.lua" })
      if not set then error(err.message, 0) end
      local described, written = engine_for(model), core.rules {}
      written:use(set.core)
      for _, event in ipairs(history(random, model, EVENTS)) do
        case.text = event.text
        local verdict, decision = decide(described, event)
        local again, other = decide(written, event)
        if verdict ~= again then fail("verdict", verdict, again) end
        for _, key in ipairs { "judged", "reason", "rule", "text", "changed" } do
          local a, b = decision and decision[key], other and other[key]
          if a ~= b then fail(key, tostring(a), tostring(b)) end
        end
      end
    end)
  end)
end)

-- What functions of rules say, and what comes of it.
local SAID = {
  { body = "return allow" },
  { body = "return drop", verdict = "drop", reason = "check" },
  { body = 'return drop("\\0\\255 no")', verdict = "drop", reason = "check" },
  { body = 'return flag "look"', verdict = "flag", reason = "check" },
  { body = 'return quarantine "look"', verdict = "quarantine", reason = "check" },
  { body = "return rewrite { n = 1 }", verdict = "rewrite", reason = "check", data = { n = 1 } },
  { body = 'return rewrite { text = "aa" }', verdict = "rewrite", reason = "check", data = { text = "aa" } },
  { body = "return { n = 1 }", verdict = "drop", reason = "bad-verdict" },
  { body = "return", verdict = "drop", reason = "bad-verdict" },
  { body = "return true", verdict = "drop", reason = "bad-verdict" },
  { body = "error {}", verdict = "drop", reason = "check-error" },
  { body = "event.n = 1", verdict = "drop", reason = "check-error" },
  { body = "return event.nothing.at.all", verdict = "drop", reason = "check-error" },
  { body = "while true do end", verdict = "drop", reason = "budget-instructions" },
  { body = "local s = 'x' while true do s = s .. s end", verdict = "drop", reason = "budget-memory" },
  { body = "for k, v in pairs(event) do assert(event[k] == v) end assert(event.type) return allow" },
}

--- Functions for some rules of a set: what they say by name of the rule, and their bodies.
local function speakers(random, model)
  local said, bodies = {}, {}
  for _, rule in ipairs(model.rules) do
    if rule.kind == "event" and random:chance(0.7) then
      local word = random:pick(SAID)
      if word.data then rule.size = nil end -- how long the new text is, is another matter
      said[rule.name], bodies[rule.name] = word, { check = word.body }
    end
  end
  return said, bodies
end

--- What the judgement of the declarations becomes by what a function says.
local function after(judgement, word)
  local result, rule = {}, judgement.rule
  for key, value in pairs(judgement) do result[key] = value end
  local judged = word.verdict or judgement.judged
  if word.data then
    local changed = oracle.with_data(judgement.event, judgement.sender, word.data)
    local why, left = oracle.judge_fields(rule, changed, judgement.sender)
    if next(why) then
      result.why, judged = why, "drop"
    else
      result.data = left
    end
  end
  result.why = result.why or { [word.reason or ""] = true }
  if judged ~= "drop" and rule.quarantine then judged = "quarantine" end
  local audit = result.verdict ~= result.judged or (rule.mode or result.mode) == "audit"
  result.judged, result.verdict = judged, audit and "allow" or judged
  if audit then result.data = judgement.event end
  return result
end

describe("random functions of rules (seed " .. SEED .. ")", function()
  it("are asked about what the declarations allow, and their word is what happens", function()
    local seen = {}
    each_set(math.ceil(SETS / 2), function(random, model, case)
      local said, bodies = speakers(random, model)
      local limits = { instructions = 20000, seconds = 5, memory = 1048576 }
      local set, err = rules.parse(generator.text(model, bodies), { limits = limits })
      if not set then error(err.message, 0) end
      local engine, judge = core.rules { breaches = 1000000 }, oracle.new(model, SELF)
      engine:use(set.core)
      for _, event in ipairs(history(random, model, EVENTS)) do
        case.text = event.text
        local verdict, decision = decide(engine, event)
        local judgement = judge:judge(event.text, event.now)
        local rule = judgement.rule
        local word = rule and judgement.judged ~= "drop" and said[rule.name]
        judgement.mode = model.mode
        if word and not event.odd then judgement = after(judgement, word) end
        if not (word and event.odd) then compare(verdict, decision, judgement, event) end
        seen[decision and decision.reason or verdict] = true
      end
      if #engine:tripped() > 0 then fail("tripped", "none", #engine:tripped()) end
    end)
    for reason in ("check check-error bad-verdict budget-instructions budget-memory"):gmatch "%S+" do
      assert.is_true(seen[reason], "never seen: " .. reason)
    end
  end)
end)

describe("random events on a connection (seed " .. SEED .. ")", function()
  -- What follows each event, so that nothing of one is taken for another's.
  local MARK = '{"type":"app.updated","created_at":"2026-01-01T00:00:00Z"}'

  after_each(peer.stop_all)

  -- Time goes on by itself here: nothing may depend on it.
  local function timeless(model)
    for _, rule in ipairs(model.rules) do
      for _, rate in ipairs(rule.rates or {}) do rate.seconds = 1e9 end
      if rule.kind == "honeypot" then rule.seconds = 1e9 end
    end
  end

  --- Sends texts to a connection whose router asks these rules; returns what came of each.
  local function received(engine, texts)
    local frames = {}
    for i, text in ipairs(texts) do frames[i] = peer.frame("text", text) .. peer.frame("text", MARK) end
    local server = peer.websocket(function(connection) connection:say(table.concat(frames)) end)
    local transport, router = core.transport(), core.router()
    router:set { types = { "message.new", "typing.start", "app.updated", "bench.none" }, custom = true }
    router:rules(engine)
    engine:observe(true)
    local connection = assert(transport:connect { url = server:url "ws", router = router, self = SELF })
    local results, current = {}, {}
    peer.pump(transport, function()
      local event, kind, detail = connection:next()
      while event ~= nil do
        if kind == "app.updated" then
          results[#results + 1], current = current, {}
        else
          current[#current + 1] = { event = event, kind = kind, detail = detail }
        end
        event, kind, detail = connection:next()
      end
      return #results == #texts or connection:state() == "closed"
    end, "all events")
    transport:close()
    server:stop()
    assert.equal(#texts, #results)
    return results, router
  end

  it("meet the same decisions as when they are asked about", function()
    each_set(math.ceil(SETS / 10), function(random, model, case)
      timeless(model)
      local texts = {}
      while #texts < EVENTS do
        local text = generator.event(random, model)
        if not text:find "\255" then texts[#texts + 1] = text end -- that ends the connection
      end
      local connected, asked = engine_for(model), engine_for(model)
      local results = received(connected, texts)
      for i, text in ipairs(texts) do
        case.text = text
        local verdict, decision = asked:decide(text, { self = SELF })
        local reason = decision and decision.reason
        local result = results[i][1]
        if #results[i] > 1 then fail("results", "one", #results[i]) end
        if DELIVERED[verdict] then
          if not (result and result.event) then
            fail("delivered", verdict, result and result.kind or "nothing")
          end
          local wanted = core.json.decode(decision and decision.changed or text)
          local got = core.json.decode(core.event.text(result.event))
          if not same(wanted, got) then fail("data", core.json.encode(wanted), core.json.encode(got)) end
          local noted = (result.event.verdict or {}).reason
          if noted ~= reason then fail("event.verdict", tostring(reason), tostring(noted)) end
        elseif reason == "malformed" then
          if result.kind ~= "malformed" then fail("malformed", "malformed", tostring(result.kind)) end
        elseif reason ~= "reserved-type" then
          local got = not result and "nothing" or result.event and "delivered" or result.detail.reason
          if got ~= reason then fail("dropped", reason, got) end
        end
      end
    end)
  end)
end)
