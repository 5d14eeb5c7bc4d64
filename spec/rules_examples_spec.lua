--- The examples of rules: how they become events, and how they are judged.
local core = require "stream_events.core"
local examples = require "stream_events.rules.examples"
local problems = require "stream_events.rules.problems"
local rules = require "stream_events.rules"

-- What the events of examples are made of, decoded; and the messages of problems.
local function encoded(given, rule)
  rule = rule or { name = "x" }
  local report = problems.new {}
  local list = {}
  examples.compile(given, rule, report:statement { kind = "event", name = rule.name, file = "f", line = 1 },
    list)
  local events, messages = {}, {}
  for i, each in ipairs(list) do events[i] = core.json.decode(each.text) end
  for i, each in ipairs(report.problems) do messages[i] = each.message:gsub('^event ".-": ', "") end
  return events, messages, list
end

local function one(given, rule)
  local events, messages, list = encoded({ allow = { given } }, rule)
  assert.same({}, messages)
  return events[1], list[1]
end

-- "KIND INDEX VERDICT [REASON]" of each result, with "!" where it is not as it should be.
local function results(text, step)
  local set = assert(rules.parse(text))
  local list = {}
  for i, result in ipairs(set:test(step)) do
    list[i] = ("%s%s %d %s"):format(result.ok and "" or "!", result.kind, result.index, result.verdict)
    if result.reason then list[i] = list[i] .. " " .. result.reason end
  end
  return list, set
end

describe("an example", function()
  it("is an event of a user in a channel, with its data", function()
    assert.same({
      type = "x", cid = "messaging:general", channel_type = "messaging", channel_id = "general",
      user = { id = "example", role = "user" }, created_at = "2026-01-01T00:00:00Z", text = "hi", n = 5,
    }, (one({ text = "hi", n = 5 })))
  end)

  for name, case in pairs {
    ["its sender by id"] = { {}, { user = "bob" }, { user = { id = "bob", role = "user" } } },
    ["its sender with a role"] = { {}, { user = { id = "bob", role = "admin" } },
      { user = { id = "bob", role = "admin" } } },
    ["a role alone"] = { {}, { user = { role = "admin" } }, { user = { id = "example", role = "admin" } } },
    ["more about its sender"] = { {}, { user = { name = "Bob" } },
      { user = { id = "example", role = "user", name = "Bob" } } },
    ["its channel"] = { {}, { cid = "team:a" },
      { cid = "team:a", channel_type = "team", channel_id = "a" } },
    ["the sender that the rule asks for"] = {
      { from = { user = { list = { "bob", "eve" } }, role = { list = { "admin" } } } }, {},
      { user = { id = "bob", role = "admin" } } },
    ["a sender that the rule does not exclude"] = {
      { from = { user = { list = { "example", "example1" }, none = true }, role = { list = { "user" },
        none = true } } },
      {}, { user = { id = "example2", role = "user1" } } },
    ["the channel that the rule asks for"] = { { from = { cid = { list = { "team:a" } } } }, {},
      { cid = "team:a", channel_type = "team", channel_id = "a" } },
    ["a channel of the type that the rule asks for"] = { { from = { channel_type = { list = { "team" } } } },
      {},
      { cid = "team:general", channel_type = "team", channel_id = "general" } },
    ["a channel that the rule does not exclude"] = {
      { from = { cid = { list = { "messaging:general", "team:general1" }, none = true } } }, {},
      { cid = "messaging:general1", channel_type = "messaging", channel_id = "general1" } },
    ["a channel of a type that the rule does not exclude"] = {
      { from = { channel_type = { list = { "messaging" }, none = true } } }, {},
      { cid = "messaging1:general", channel_type = "messaging1", channel_id = "general" } },
    ["the type of a prefix rule"] = { { name = "trade_*" }, {}, { type = "trade_example" } },
    ["a type of its own for a prefix rule"] = { { name = "trade_*" }, { type = "trade_sword" },
      { type = "trade_sword" } },
    ["the type of any type"] = { { name = "*" }, {}, { type = "example" } },
  } do
    it("has " .. name, function()
      case[1].name = case[1].name or "x"
      local event = one(case[2], case[1])
      for key, value in pairs(case[3]) do assert.same(value, event[key]) end
    end)
  end

  for name, case in pairs {
    ["a user's"] = { nil, {}, "user", "messaging:general" },
    ["of whom it says"] = { nil, { trust = "self" }, "self", "messaging:general" },
    ["a server's where only that may send"] = { { "server" }, {}, "server", nil },
    ["a user's where that may send"] = { { "server", "user" }, {}, "user", "messaging:general" },
    ["the client's own where only that may send"] = { { "self" }, {}, "self", "messaging:general" },
    ["a server's where it says so"] = { nil, { trust = "server" }, "server", nil },
  } do
    it("is " .. name, function()
      local event, example = one(case[2], { name = "x", trust = case[1] })
      assert.equal(case[3], example.trust)
      assert.equal(case[4], event.cid)
      assert.equal(case[3] == "server", event.user == nil)
      assert.is_nil(event.trust)
    end)
  end

  it("has empty lists where the fields ask for arrays", function()
    local array, object = { kind = "array" }, { kind = "object" }
    local rule = { name = "x", fields = {
      list = array, map = object, other = { kind = "any" },
      deep = { kind = "array", items = { kind = "object", fields = { list = array } } },
      each = { kind = "object", each = array },
    } }
    local _, _, list = encoded({ allow = { {
      list = {}, map = {}, other = {}, deep = { { list = {} } }, each = { a = {} },
    } } }, rule)
    for _, part in ipairs { '"list":[]', '"map":{}', '"other":{}', '"deep":[{"list":[]}]',
      '"each":{"a":[]}' } do
      assert.truthy(list[1].text:find(part, 1, true), part)
    end
  end)

  it("has `reason` as data only where it must be allowed, or the rule has such a field", function()
    local given = { allow = { { reason = "a" } }, drop = { { reason = "check" } } }
    local events, messages, list = encoded(given)
    assert.same({}, messages)
    assert.equal("a", events[1].reason)
    assert.is_nil(events[2].reason)
    assert.same({ nil, "check" }, { list[1].reason, list[2].reason })
    events, messages, list = encoded(given, { name = "x", fields = { reason = { kind = "string" } } })
    assert.same({}, messages)
    assert.equal("check", events[2].reason)
    assert.is_nil(list[2].reason)
  end)

  for name, case in pairs {
    ["no table"] = { 5, "must be a table, like { allow = { ... }, drop = { ... } }, not 5" },
    ["another word"] = { { alow = {} }, "unknown key 'alow'" },
    ["no list"] = { { allow = { text = "a" } },
      "allow: must be a list of events, like { { text = \"hello\" } }" },
    ["a text"] = { { allow = { "a" } },
      [[allow[1]: an example is a table of data, like { text = "hello" }, not "a"]] },
    ["another type"] = { { drop = { {}, { type = "y" } } }, [[drop[2]: "y" is no event of this rule]] },
    ["a type that is none"] = { { drop = { { type = 5 } } },
      "drop[1]: 'type': an event type must be a string, not a number" },
    ["another trust"] = { { allow = { { trust = "usr" } } },
      [[allow[1].trust: must be "self", "server" or "user", not "usr"]] },
    ["a sender of another type"] = { { allow = { { user = 5 } } },
      "allow[1]: 'user' must be an id or { id = ..., role = ... }, not 5" },
    ["a role of another type"] = { { allow = { { user = { role = 5 } } } },
      "allow[1].user: 'role' must be a string" },
    ["a cid that is none"] = { { allow = { { cid = "general" } } },
      "allow[1]: 'cid': a channel is named type:id, for example messaging:general" },
    ["an unknown reason"] = { { drop = { { reason = "field-rang" } } },
      [[drop[1]: there is no reason "field-rang"]] },
    ["a name of the envelope"] = { { allow = { { created_at = "x" } } },
      "allow[1]: 'created_at' is no data: every event has its own" },
    ["no JSON"] = { { allow = { { n = 0 / 0 } } },
      "allow[1]: this is no event: at n: NaN cannot be encoded" },
  } do
    it("is refused: " .. name, function()
      local _, messages = encoded(case[1])
      assert.equal(1, #messages)
      assert.equal(case[2], messages[1])
    end)
  end

  it("that holds itself is refused", function()
    local loop = {}
    loop.loop = loop
    for _, field in ipairs { { kind = "any" }, { kind = "object", each = { kind = "any" } } } do
      local _, messages = encoded({ allow = { { a = loop } } }, { name = "x", fields = { a = field } })
      assert.equal(1, #messages)
    end
  end)
end)

describe("examples", function()
  it("are judged, each alone", function()
    local steps = 0
    assert.same({
      "allow 1 allow", "allow 2 allow", "drop 1 drop field-length", "drop 2 drop field-missing",
      "drop 3 drop field-value", "drop 4 drop extra-field", "drop 5 drop trust",
    }, (results([[
event "friendship_request" {
  trust = "user",
  fields = { text = string { max = 10 }, mood = optional(one_of { "happy", "sad" }) },
  rate = { count = 1, seconds = 60 },
  examples = {
    allow = { { text = "hi" }, { text = "hi", mood = "sad" } },
    drop = {
      { text = string.rep("x", 11), reason = "field-length" },
      { mood = "sad", reason = "field-missing" },
      { text = "hi", mood = "angry" },
      { text = "hi", more = 1 },
      { text = "hi", trust = "server", reason = "trust" },
    },
  },
}]], function() steps = steps + 1 end)))
    assert.equal(7, steps)
  end)

  it("are judged by all rules of the file", function()
    assert.same({ "allow 1 allow", "drop 1 drop refused", "drop 2 drop honeypot" }, (results [[
event "trade_*" { fields = {}, examples = { allow = { {} },
  drop = { { type = "trade_noise", reason = "refused" }, { type = "trade_admin", reason = "honeypot" } } } }
refuse "trade_noise" honeypot "trade_admin"]]))
  end)

  it("are judged with what functions say", function()
    assert.same({
      "allow 1 allow", "allow 2 flag check", "allow 3 rewrite check", "drop 1 drop check",
        "drop 2 quarantine check",
      "drop 3 drop check-error", "drop 4 drop bad-verdict",
    }, (results [[
event "x" {
  fields = { n = integer },
  check = function(event, context)
    if event.n == 1 then return allow elseif event.n == 2 then return flag elseif event.n == 3 then
      return rewrite { n = 1 } elseif event.n == 4 then return drop "no" elseif event.n == 5 then
      return quarantine elseif event.n == 6 then error "oops" end
  end,
  examples = { allow = { { n = 1 }, { n = 2 }, { n = 3 } },
    drop = { { n = 4, reason = "check" }, { n = 5 }, { n = 6, reason = "check-error" },
      { n = 7, reason = "bad-verdict" } } },
}]]))
  end)

  it("are judged as if the rules were enforced", function()
    assert.same({ "drop 1 drop field-type", "drop 2 drop refused" }, (results [[
mode "audit" event "x*" { fields = { n = integer },
  examples = { drop = { { n = "a", reason = "field-type" }, { type = "xy" } } } }
refuse "xy"]]))
  end)

  it("are judged at the same time on every day", function()
    assert.same({ "allow 1 allow" }, (results [[
event "x" { fields = {}, check = function(event, context)
  return context.now == 1767225600 and allow or drop end, examples = { allow = { {} } } }]]))
  end)

  it("of a server's, of the client's own and of everything else are judged as such", function()
    assert.same({ "allow 1 allow" },
      (results 'event "x" { trust = "server", fields = {}, examples = { allow = { {} } } }'))
    assert.same({ "allow 1 allow" },
      (results 'event "x" { trust = "self", fields = {}, examples = { allow = { {} } } }'))
    assert.same({ "allow 1 allow", "drop 1 drop from", "drop 2 drop from" }, (results [[
event "x" { from = { role = "admin", cid = none_of "messaging:general" }, fields = {},
  examples = { allow = { {} },
  drop = { { user = { role = "user" }, reason = "from" }, { cid = "messaging:general",
    reason = "from" } } } }]]))
  end)

  it("that are not as they should be are told with their line", function()
    local list, set = results [[
event "x" {
  fields = { n = integer { max = 5 } },
  examples = {
    allow = { { n = 1 },
      { n = 6 } },
    drop = {
      { n = 2 },
      { n = 7, reason = "field-type" },
      { n = 8, reason = "field-range" },
    },
  },
}]]
    assert.same({
      "allow 1 allow", "!allow 2 drop field-range", "!drop 1 allow", "!drop 2 drop field-range",
      "drop 3 drop field-range",
    }, list)
    local lines = {}
    for i, result in ipairs(set:test()) do
      assert.equal("rules.lua", result.file)
      lines[i] = result.line
    end
    assert.same({ 4, 5, 7, 8, 9 }, lines)
    local ok, err = set:check()
    assert.is_nil(ok)
    assert.equal("rule", err.kind)
    assert.equal(3, #err.problems)
    local range = "field n must be at most 5"
    assert.same({
      "event \"x\": example 2 of 'allow' was dropped (field-range): " .. range,
      "event \"x\": example 1 of 'drop' was allowed",
      "event \"x\": example 2 of 'drop' was dropped (field-range) instead of dropped (field-type): " .. range,
    }, { err.problems[1].message, err.problems[2].message, err.problems[3].message })
    assert.equal("rules.lua:5: " .. err.problems[1].message .. " (and 2 more)", err.message)
  end)

  it("that are all as they should be are fine", function()
    local _, set = results [[event "x" { fields = {}, examples = { allow = { {} } } }]]
    assert.is_true(set:check())
    assert.is_true(assert(rules.parse("")):check())
  end)

  it("stand where their rule is when they are not written out", function()
    local _, set = results [[
local list = {}
for i = 1, 2 do list[i] = { n = i } end
event "x" { fields = { n = integer }, examples = { allow = list } }]]
    assert.equal(3, set:test()[2].line)
  end)
end)
