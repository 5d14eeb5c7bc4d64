--- Rules as a Lua table: the same meaning as the same words in a file.
local core = require "stream_events.core"
local rules = require "stream_events.rules"

local HERE = (debug.getinfo(1, "S").source:gsub("^@", ""))

local FILE = [[
default "drop"
event "friendship_request" {
  fields = { text = string { max = 10 }, mood = optional(one_of { "happy", 3, true }) },
  rate = { count = 2, seconds = 60 },
}
event "trade_*" {
  from = { role = { "user", "moderator" }, user = none_of "eve" },
  size = 300,
  fields = { item = string { min = 1, glob = "sword*" }, price = integer { min = 0, max = 100 },
    tags = optional(array { items = string, max = 2 }),
    place = optional(object { fields = { x = number }, extra = "keep" }) },
  extra = "strip",
  check = function(event, context)
    if event.price == 13 then return drop "unlucky" elseif event.price == 14 then return quarantine
    elseif event.price == 15 then return flag "odd" elseif event.price == 16 then
      return rewrite { item = "sword", price = 1 }
    elseif context.marked(event.user.id, "honeypot") then return drop end
    return allow
  end,
}
event "reset" { trust = "server", fields = {} }
event "kept" { extra = "keep", quarantine = "for a look" }
event "shown" { extra = "keep", flag = true, mode = "audit", trust = "self" }
refuse { "noise", "trade_noise" }
honeypot "grant_admin" { seconds = 60, mark = "cheater" }
honeypot "root"
]]

local function table_of_rules()
  local string_, integer, number = rules.string, rules.integer, rules.number
  return {
    default = "drop",
    events = {
      friendship_request = {
        fields = { text = string_ { max = 10 }, mood = rules.optional(rules.one_of { "happy", 3, true }) },
        rate = { count = 2, seconds = 60 },
      },
      ["trade_*"] = {
        from = { role = { "user", "moderator" }, user = rules.none_of "eve" },
        size = 300,
        fields = {
          item = string_ { min = 1, glob = "sword*" }, price = integer { min = 0, max = 100 },
          tags = rules.optional(rules.array { items = string_, max = 2 }),
          place = rules.optional(rules.object { fields = { x = number }, extra = "keep" }),
        },
        extra = "strip",
        check = function(event, context)
          if event.price == 13 then return rules.drop "unlucky" elseif event.price == 14 then
            return rules.quarantine
          elseif event.price == 15 then return rules.flag "odd" elseif event.price == 16 then
            return rules.rewrite { item = "sword", price = 1 }
          elseif context.marked(event.user.id, "honeypot") then return rules.drop end
          return rules.allow
        end,
      },
      reset = { trust = "server", fields = {} },
      kept = { extra = "keep", quarantine = "for a look" },
      shown = { extra = "keep", flag = true, mode = "audit", trust = "self" },
    },
    refuse = { "noise", "trade_noise" },
    honeypot = { grant_admin = { seconds = 60, mark = "cheater" }, "root" },
  }
end

local function event(type, data, user, role)
  return ('{"type":"%s","cid":"messaging:general","channel_type":"messaging","channel_id":"general",'
    .. '"user":{"id":"%s","role":"%s"},"created_at":"2026-01-01T00:00:00Z"%s}'):format(type, user or "bob",
    role or "user", data and "," .. data or "")
end

local EVENTS = {
  event("friendship_request", '"text":"hi"'), event("friendship_request", '"text":"hi","mood":"happy"'),
  event("friendship_request", '"text":"hi"'), event("friendship_request", '"text":"hi","mood":3', "amy"),
  event("friendship_request", '"text":"hi","mood":"sad"', "amy"), event("friendship_request"),
  event("friendship_request", '"text":"12345678901"'), event("friendship_request", '"text":5'),
  event("friendship_request", '"text":"hi","more":1'), event("undeclared"), event("trade_noise"),
    event("noise"),
  event("trade_a", '"item":"sword","price":1'), event("trade_a",
    '"item":"sword","price":1,"more":[1,{"a":2}]'),
  event("trade_a", '"item":"sword of x","price":101'), event("trade_a", '"item":"shield","price":1'),
  event("trade_a", '"item":"sword","price":1', "eve"), event("trade_a", '"item":"sword","price":1', "bob",
    "guest"),
  event("trade_a", '"item":"sword","price":13'), event("trade_a", '"item":"sword","price":14'),
  event("trade_a", '"item":"sword","price":15'), event("trade_a", '"item":"sword","price":16'),
  event("trade_a", '"item":"sword","price":1,"tags":["a","b"]'), event("trade_a",
    '"item":"sword","price":1,"tags":[1]'),
  event("trade_a", '"item":"sword","price":1,"tags":["a","b","c"]'),
  event("trade_a", '"item":"sword","price":1,"place":{"x":0.5,"y":1}'),
  event("trade_a", '"item":"sword","price":1,"place":{"y":1}'),
  event("trade_a", '"item":"sword","price":1,"x":"' .. ("x"):rep(300) .. '"'),
  event("reset"), '{"type":"reset","created_at":"2026-01-01T00:00:00Z"}', event("kept", '"a":1'),
  event("shown", '"a":1'), event("shown", '"a":1', "me"), event("grant_admin", nil, "mallory"),
  event("friendship_request", '"text":"hi"', "mallory"), event("root", nil, "carl"),
  event("trade_a", '"item":"sword","price":1', "carl"), event("message.new", '"text":"a"'), "{", "[]",
    '{"type":5}',
}

-- Every decision about the events, in their order, without what it cost.
local function decisions(set)
  local judge, list = core.rules(), {}
  judge:use(set.core)
  for i, text in ipairs(EVENTS) do
    local verdict, decision = judge:decide(text, { self = "me", now = 1767225600 + i / 100 })
    decision = decision or {}
    list[i] = {
      verdict = verdict, judged = decision.judged, reason = decision.reason, rule = decision.rule,
      text = decision.text, changed = decision.changed and core.json.decode(decision.changed),
    }
  end
  return list
end

describe("a table of rules", function()
  it("decides about every event as the same rules in a file do", function()
    local from_file = decisions(assert(rules.parse(FILE)))
    assert.same(from_file, decisions(assert(rules.new(table_of_rules()))))
    local seen = {}
    for _, decision in ipairs(from_file) do seen[decision.verdict] = true end
    assert.same({ allow = true, drop = true, quarantine = true, flag = true, rewrite = true }, seen)
  end)

  it("says what it is", function()
    local set = assert(rules.new(table_of_rules()))
    assert.equal(9, set.size)
    assert.same({ "friendship_request", "kept", "reset", "shown", "trade_*", "noise", "trade_noise", "root",
      "grant_admin" }, set.names)
    assert.same({}, set.files)
    assert.same({ "drop", "enforce" }, { set.default, set.mode })
    assert.truthy(set.hash:find("^%x%x%x%x%x%x%x%x%x%x%x%x$"))
    assert.is_true(rules.is_set(set))
    set = assert(rules.new { default = "allow", mode = "audit", refuse = "x", honeypot = "y" })
    assert.same({ "allow", "audit", 2 }, { set.default, set.mode, set.size })
    assert.equal(0, assert(rules.new {}).size)
  end)

  it("has the same hash as the same table, and another one than any other", function()
    local function hash(given) return assert(rules.new(given)).hash end
    assert.equal(hash(table_of_rules()), hash(table_of_rules()))
    local seen = {}
    for _, given in ipairs {
      {}, { default = "allow" }, { mode = "audit" }, { refuse = "x" }, { refuse = { "x", "y" } },
        { honeypot = "x" },
      { events = { x = { fields = {} } } }, { events = { x = { fields = { a = rules.string } } } },
      { events = { x = { fields = { a = rules.string {} } } } },
        { events = { x = { fields = { a = rules.any } } } },
      { events = { x = { fields = { a = rules.string { max = 1 } } } } },
      { events = { x = { fields = { a = rules.string { max = 2 } } } } },
      { events = { x = { fields = {}, check = function() return rules.allow end } } },
      { events = { x = { fields = {}, check = function() return rules.drop end } } },
      { events = { y = { fields = {} } } }, { events = { x = { extra = "keep" } } },
    } do
      local it = hash(given)
      assert.is_nil(seen[it])
      seen[it] = true
    end
  end)

  it("is refused with all that is wrong, and where", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local set, err = rules.new {
      defalt = "drop",
      events = {
        trade = { filds = {}, fields = { a = rules.string { maxx = 1 } } },
        ["connection.changed"] = { fields = {} },
      },
      refuse = { "trade" },
    }
    assert.is_nil(set)
    assert.equal("rule", err.kind)
    local list = {}
    for i, each in ipairs(err.problems) do
      assert.equal(HERE, each.file)
      list[i] = ("%d %s"):format(each.line - line, each.message)
      if each.suggestion then list[i] = ("%s [%s]"):format(list[i], each.suggestion) end
    end
    table.sort(list)
    for i, text in ipairs(list) do list[i] = text:gsub("^%-?%d+ ", "") end
    table.sort(list)
    assert.same({
      'event "connection.changed": no rule is asked about it: the client keeps this type to itself',
      "event \"trade\": fields.a: unknown key 'maxx' [max]",
      "event \"trade\": unknown key 'filds' [fields]",
      ('refuse "trade": declared twice: %s:%d has it already'):format(HERE, err.problems[1].line),
      "rules: unknown key 'defalt' [default]",
    }, list)
  end)

  it("is told by the line of the program also where a function of C called", function()
    local _, set, err = pcall(rules.new, { events = 5 })
    assert.is_nil(set)
    assert.same({ HERE, debug.getinfo(1, "l").currentline - 2 },
      { err.problems[1].file, err.problems[1].line })
  end)

  it("has the line of a constructor in what is wrong with it", function()
    local line = debug.getinfo(1, "l").currentline + 2
    local _, err = rules.new { events = { trade = { fields = {
      a = rules.optional(rules.string { maxx = 1 }) } } } }
    assert.equal(line, err.problems[1].line)
  end)

  for name, case in pairs {
    ["no events"] = { { events = 5 }, "rules: 'events' must be a table of rules by name, not 5" },
    ["a rule without a name"] = { { events = { { fields = {} } } },
      "event: 1: no event can be called so: an event type must be a string, not a number" },
    ["a rule that is no table"] = { { events = { x = "y" } },
      [[event "x": must be followed by a table: event "x" { ... }]] },
    ["a refusal that is no name"] = { { refuse = { 5 } },
      "refuse: 5: no event can be called so: an event type must be a string, not a number" },
    ["a honeypot that is no name"] = { { honeypot = 5 },
      "honeypot: 5: no event can be called so: an event type must be a string, not a number" },
    ["a honeypot with something else"] = { { honeypot = { x = 5 } },
      [[honeypot "x": takes a table, like { seconds = 3600, mark = "honeypot" }]] },
    ["a verdict as a field"] = { { events = { x = { fields = { a = rules.allow } } } } },
    ["a verdict as a check"] = { { events = { x = { fields = {}, check = rules.allow } } } },
  } do
    it("is refused: " .. name, function()
      local set, err = rules.new(case[1])
      assert.is_nil(set)
      assert.equal(1, #err.problems)
      if case[2] then assert.equal(case[2], err.problems[1].message) end
      assert.equal(HERE, err.problems[1].file)
    end)
  end

  it("that holds itself is refused without harm", function()
    local loop = {}
    loop.events = { x = { fields = { a = rules.object { fields = loop } } } }
    loop.a = rules.object { fields = loop }
    assert.is_nil((rules.new(loop)))
  end)

  it("is judged by its own examples", function()
    local set = assert(rules.new { events = { x = {
      fields = { n = rules.integer, list = rules.optional(rules.array) },
      examples = { allow = { { n = 1 }, { n = 1, list = {} } }, drop = { { n = "a",
        reason = "field-type" } } },
    } } })
    assert.is_true(set:check())
    set = assert(rules.new { events = { x = { fields = {}, examples = { drop = { {} } } } } })
    local ok, err = set:check()
    assert.is_nil(ok)
    assert.truthy(err.message:find("example 1 of 'drop' was allowed", 1, true))
  end)

  it("takes events that are marked as lists and null in data", function()
    local set = assert(rules.new { events = { x = { fields = { a = rules.any, b = rules.array },
      examples = { allow = { { a = core.json.null, b = core.json.array {} } } } } } })
    assert.is_true(set:check())
  end)
end)

describe("a constructor", function()
  it("is called once, with something", function()
    assert.has_error(function() rules.string() end, "string is called with a table")
    assert.has_error(function() rules.string {} {} end, "string { ... } is called once")
  end)

  it("is there for every word of a rule file", function()
    local words = require "stream_events.rules.words"
    for word in pairs(words.FIELDS) do assert.truthy(rules[word], word) end
    for word in ("none_of allow drop quarantine flag rewrite"):gmatch("%S+") do assert.truthy(rules[word],
      word) end
  end)
end)
