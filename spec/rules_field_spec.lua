--- Fields, trust, sender, size and rates of a rule: what they compile to, and what is wrong with them.
local compile = require "stream_events.rules.compile"
local problems = require "stream_events.rules.problems"
local rules = require "stream_events.rules"

local string_, integer, number, boolean = rules.string, rules.integer, rules.number, rules.boolean
local array, object, any = rules.array, rules.object, rules.any
local one_of, optional, none_of = rules.one_of, rules.optional, rules.none_of

local HERE = (debug.getinfo(1, "S").source:gsub("^@", ""))

-- The compiled rule of a table, and what is wrong with it: "MESSAGE [SUGGESTION]" of each problem.
local function compiled(given, name)
  local report = problems.new {}
  local statement = { kind = "event", name = name or "x", value = given, file = "f", line = 1 }
  local rule
  compile.compile(compile.one_by_one { statement }, report, function(each) rule = each end)
  local list = {}
  for i, problem in ipairs(report.problems) do
    list[i] = problem.message:gsub('^event ".-": ', "")
    if problem.suggestion then list[i] = ("%s [%s]"):format(list[i], problem.suggestion) end
  end
  return rule, list
end

local function wrong_with_field(field)
  local _, list = compiled { fields = { f = field } }
  return list
end

local function deep(levels)
  local field = string_
  for _ = 1, levels do field = array { items = field } end
  return field
end

describe("a field", function()
  for name, case in pairs {
    ["a bare word"] = { string_, { kind = "string" } },
    ["called with nothing"] = { string_ {}, { kind = "string" } },
    ["a string with all bounds"] = {
      string_ { min = 1, max = 9, starts_with = "a", ends_with = { "b", "c" }, contains = "d", glob = "a*" },
      { kind = "string", min = 1, max = 9, starts_with = { "a" }, ends_with = { "b", "c" },
        contains = { "d" },
        glob = { "a*" } },
    },
    ["a string out of a few"] = { string_ { one_of = { "a", "b" } }, { kind = "string", one_of = { "a",
      "b" } } },
    ["a string, with one_of as a word"] = { string_ { one_of = one_of { "a" } },
      { kind = "string", one_of = { "a" } } },
    ["repeated texts"] = { string_ { contains = { "a", "b", "a" } }, { kind = "string", contains = { "a",
      "b" } } },
    ["an integer"] = { integer { min = -5, max = 100 }, { kind = "integer", min = -5, max = 100 } },
    ["an integer out of a few"] = { integer { one_of = { 1, 3 } }, { kind = "integer", one_of = { 1, 3 } } },
    ["a number"] = { number { min = -0.5, max = 1.5 }, { kind = "number", min = -0.5, max = 1.5 } },
    ["a boolean"] = { boolean, { kind = "boolean" } },
    ["anything"] = { any, { kind = "any" } },
    ["one of a few"] = { one_of { "a", 3, true, 0.5, "" }, { kind = "one_of", one_of = { "a", 3, true, 0.5,
      "" } } },
    ["optional"] = { optional(string_ { max = 3 }), { kind = "string", max = 3, optional = true } },
    ["an optional bare word"] = { optional(any), { kind = "any", optional = true } },
    ["an array"] = { array, { kind = "array" } },
    ["an array of something"] = { array { items = integer { min = 0 }, min = 1, max = 3 },
      { kind = "array", min = 1, max = 3, items = { kind = "integer", min = 0 } } },
    ["any object"] = { object, { kind = "object", extra = "keep" } },
    ["any object of so many keys"] = { object { max = 3 }, { kind = "object", extra = "keep", max = 3 } },
    ["an object with fields"] = { object { fields = { x = number, user = optional(string_) } },
      { kind = "object", extra = "refuse",
        fields = { x = { kind = "number" }, user = { kind = "string", optional = true } } } },
    ["an object without fields"] = { object { fields = {} }, { kind = "object", extra = "refuse",
      fields = {} } },
    ["an object with other fields"] = { object { fields = { x = any }, extra = "strip" },
      { kind = "object", extra = "strip", fields = { x = { kind = "any" } } } },
    ["a map"] = { object { keys = string_ { max = 3 }, each = integer, max = 10 },
      { kind = "object", max = 10, keys = { kind = "string", max = 3 }, each = { kind = "integer" } } },
    ["a map of known names"] = { object { keys = one_of { "a", "b" } },
      { kind = "object", keys = { kind = "one_of", one_of = { "a", "b" } }, each = { kind = "any" } } },
    ["as deep as events are"] = { deep(31) },
  } do
    it("compiles: " .. name, function()
      local rule, list = compiled { fields = { f = case[1] } }
      assert.same({}, list)
      assert.same({ name = "x", kind = "event", extra = "refuse",
        fields = { f = case[2] or rule.fields.f } }, rule)
    end)
  end

  local must = "must say what it may hold: string, integer, number, boolean, array, object, one_of, "
    .. "optional or any, not "
  for name, case in pairs {
    ["a type in quotes"] = { "integer", must .. '"integer" [integer]' },
    ["a misspelt type in quotes"] = { "integr", must .. '"integr" [integer]' },
    ["something in quotes"] = { "whatever", must .. '"whatever"' },
    ["a number"] = { 5, must .. "5" },
    ["a boolean"] = { true, must .. "true" },
    ["a function"] = { print, must .. "a function" },
    ["a list"] = { { "a", "b" }, must .. "a table [one_of { ... }]" },
    ["fields without object"] = { { a = string_, b = any }, must .. "a table [object { fields = { ... } }]" },
    ["a table"] = { { a = 1 }, must .. "a table" },
    ["none_of"] = { none_of { "a" },
      "'none_of' is for 'from': a field is string, integer, number, boolean, array, object, one_of, "
        .. "optional or any" },
    ["a word called with a text"] = { string_ "x", "string takes a table: string { ... }" },
    ["an array called with a field"] = { array(string_), "array takes a table: array { items = ... }" },
    ["an unknown option"] = { string_ { mx = 1 }, "unknown key 'mx' [max]" },
    ["an option of another kind"] = { integer { glob = "*" }, "unknown key 'glob'" },
    ["an option of other tools"] = { string_ { pattern = "a" }, "unknown key 'pattern' [glob]" },
    ["an option of a boolean"] = { boolean { max = 1 }, "unknown key 'max'" },
    ["a value without a name"] = { string_ { "a" },
      "what is this value for? It has no name (its key is 1)" },
    ["bounds of another type"] = { string_ { max = "9" }, [['max' must be a whole number, not "9"]] },
    ["a length with a fraction"] = { string_ { min = 0.5 }, "'min' must be a whole number, not 0.5" },
    ["a negative length"] = { string_ { min = -1 }, "'min' must not be below 0" },
    ["lengths the wrong way round"] = { string_ { min = 3, max = 2 },
      "'min' (3) is above 'max' (2): nothing fits" },
    ["numbers the wrong way round"] = { number { min = 1.5, max = 1.25 },
      "'min' (1.5) is above 'max' (1.25): nothing fits" },
    ["an integer's bound with a fraction"] = { integer { max = 1.5 },
      "'max' must be a whole number, not 1.5" },
    ["no number"] = { number { max = 0 / 0 }, "'max' must be a number, not " .. tostring(0 / 0) },
    ["an endless number"] = { number { max = math.huge }, "'max' must be a number, not "
      .. tostring(math.huge) },
    ["an empty matcher"] = { string_ { starts_with = "" }, "must not be empty" },
    ["a matcher of another type"] = { string_ { contains = 5 }, "must be a string, not 5" },
    ["an empty list of matchers"] = { string_ { glob = {} }, "an empty list fits nothing" },
    ["a wrong element of a list"] = { string_ { glob = { "a", false } }, "must be a string, not false" },
    ["a named element of a list"] = { string_ { glob = { a = "b" } }, 'must be a list, like { "a", "b" }' },
    ["a matcher that is no UTF-8"] = { string_ { contains = "\255" }, "is not UTF-8: no event holds it" },
    ["a matcher that is too long"] = { string_ { max = 2, starts_with = { "abc", "äöü" } },
      "'starts_with' is longer than 'max' (2): nothing fits" },
    ["choices of another type"] = { string_ { one_of = { 1 } }, "must be a string, not 1" },
    ["choices that are no integers"] = { integer { one_of = { 1.5 } }, "must be a whole number, not 1.5" },
    ["choices that are no numbers"] = { number { one_of = { "1" } }, [[must be a number, not "1"]] },
    ["choices outside of the bounds"] = { integer { max = 5, one_of = { 3, 6 } },
      "6 is outside of 'min' and 'max'" },
    ["choices that are too long"] = { string_ { max = 2, one_of = { "äö", "abc" } },
      [["abc" is outside of 'min' and 'max']] },
    ["choices that begin otherwise"] = { string_ { starts_with = { "a", "b" }, one_of = { "ab", "ca" } },
      [["ca" does not fit 'starts_with']] },
    ["choices that end otherwise"] = { string_ { ends_with = "abc", one_of = { "xabc", "bc" } },
      [["bc" does not fit 'ends_with']] },
    ["choices that hold something else"] = { string_ { contains = "a.", one_of = { "a.b", "ab" } },
      [["ab" does not fit 'contains']] },
    ["no choices"] = { one_of {}, "an empty list fits nothing" },
    ["one_of without a list"] = { one_of, 'one_of takes a list of values, like one_of { "happy", "sad" }' },
    ["one_of with a text"] = { one_of "a", 'must be a list, like { "a", "b" }' },
    ["one_of tables"] = { one_of { {} }, "must be a string, a number or a boolean, not a table" },
    ["optional without a field"] = { optional, "optional(...) takes what the field may hold, like "
      .. "optional(string { max = 10 })" },
    ["optional with a table"] = { optional { max = 3 }, "optional(...) takes what the field may hold, like "
      .. "optional(string { max = 10 })" },
    ["optional twice"] = { optional(optional(any)), "optional twice" },
    ["optional elements"] = { array { items = optional(any) }, "'items' cannot be optional" },
    ["optional values"] = { object { each = optional(any) }, "'each' cannot be optional" },
    ["elements of no kind"] = { array { items = "string" }, must .. '"string" [string]' },
    ["keys that are no strings"] = { object { keys = integer },
      "the names of keys are strings: 'keys' must be string or string { ... }" },
    ["keys out of numbers"] = { object { keys = one_of { 1 } }, "the names of keys are strings" },
    ["extra beside each"] = { object { each = any, extra = "keep" },
      "'extra' says nothing where 'keys' or 'each' speaks about all other keys" },
    ["extra of another word"] = { object { extra = "kep" },
      [[must be "keep", "refuse" or "strip", not "kep" [keep] ]] },
    ["more fields than keys"] = { object { fields = { a = any, b = any, c = optional(any) }, max = 1 },
      "it has 2 fields that may not be missing, and 'max' is 1: nothing fits" },
    ["fewer fields than keys"] = { object { fields = { a = any, b = optional(any) }, min = 3 },
      "it has 2 fields and no others, and 'min' is 3: nothing fits" },
    ["fields that are none"] = { object { fields = 5 },
      "must be a table of fields, like { text = string }, not 5" },
    ["fields without names"] = { object { fields = { any } }, "fields have names: { text = string }" },
    ["deeper than events are"] = { deep(32), "events are not nested deeper than 32" },
  } do
    it("is refused: " .. name, function()
      local list = wrong_with_field(case[1])
      assert.equal(1, #list, table.concat(list, "\n"))
      local message = list[1]:gsub("^fields[%w_.%[%]]*: ", "")
      assert.equal((case[2]:gsub(" $", "")), message)
    end)
  end

  it("is refused with the path to what is wrong", function()
    assert.same({ "fields.f.items.fields.x.one_of[2]: must be a string, not true" },
      wrong_with_field(array { items = object { fields = { x = string_ { one_of = { "a", true } } } } }))
  end)

  it("is refused where its constructor was called", function()
    local report = problems.new {}
    local line = debug.getinfo(1, "l").currentline + 1
    local value = { fields = { f = optional(string_ { maxx = 1 }) } }
    local statement = { kind = "event", name = "x", file = "f", line = 1, value = value }
    compile.compile(compile.one_by_one { statement }, report)
    assert.same({ HERE, line }, { report.problems[1].file, report.problems[1].line })
  end)

  it("may hold itself without harm", function()
    local fields = {}
    fields.again = object { fields = fields }
    local _, list = compiled { fields = fields }
    assert.equal(1, #list)
    assert.truthy(list[1]:find("events are not nested deeper than 32", 1, true))
  end)

  for name, says in pairs {
    type = "the name behind 'event' speaks about it", cid = "from = { cid = ... }",
      user = "from = { user = ... }",
    channel_type = "from = { channel_type = ... }", channel_id = "cid", user_id = "user",
      trust = "trust = ...",
    created_at = "context.now", received_at = "context.now", watcher_count = "its own", verdict = "its own",
    raw_data = "its own",
  } do
    it("cannot be called " .. name .. ", but a key of an object can", function()
      local _, list = compiled { fields = { [name] = any } }
      assert.equal(1, #list)
      assert.truthy(list[1]:find("'" .. name .. "' is no data: every event has its own", 1, true))
      assert.truthy(list[1]:find(says, 1, true))
      assert.same({}, wrong_with_field(object { fields = { [name] = any } }))
    end)
  end

  it("cannot have a name that no event can hold", function()
    local _, list = compiled { fields = { ["\255"] = any } }
    assert.same({ "fields: the name of a field is not UTF-8: no event holds it" }, list)
  end)

  it("is one of at most 256", function()
    local fields = {}
    for i = 1, 257 do fields["f" .. i] = any end
    local _, list = compiled { fields = fields }
    assert.same({ "fields: 257 fields: no event has more than 256" }, list)
    fields.f257 = nil
    assert.same({}, select(2, compiled { fields = fields }))
  end)
end)

describe("a condition", function()
  for name, case in pairs {
    ["trust in one"] = { { trust = "server" }, { trust = { "server" } } },
    ["trust in several"] = { { trust = { "user", "self", "user" } }, { trust = { "user", "self" } } },
    ["a user"] = { { from = { user = "bob" } }, { from = { user = { list = { "bob" } } } } },
    ["all sources"] = {
      { from = { user = { "a", "b" }, role = "admin", channel_type = none_of "messaging",
        cid = none_of { "livestream:x" } } },
      { from = { user = { list = { "a", "b" } }, role = { list = { "admin" } },
        channel_type = { list = { "messaging" }, none = true },
        cid = { list = { "livestream:x" }, none = true } } } },
    ["one_of as a word"] = { { from = { role = one_of { "a" } } }, { from = { role = { list = { "a" } } } } },
    ["no sources"] = { { from = {} }, {} },
    ["a cid of its channel type"] = { { from = { channel_type = "a", cid = "a:b" } },
      { from = { channel_type = { list = { "a" } }, cid = { list = { "a:b" } } } } },
    ["a size"] = { { size = 100 }, { size = 100 } },
    ["a rate"] = { { rate = { count = 5, seconds = 60 } },
      { rates = { { count = 5, seconds = 60, per = "sender" } } } },
    ["several rates"] = {
      { rate = { { count = 5, seconds = 0.5, per = "all" }, { count = 1.5, seconds = 60,
        per = "channel" } } },
      { rates = { { count = 5, seconds = 0.5, per = "all" }, { count = 1.5, seconds = 60,
        per = "channel" } } } },
    ["a mode"] = { { mode = "audit" }, { mode = "audit" } },
    ["quarantine with a text"] = { { quarantine = "look at it" }, { quarantine = "look at it" } },
    ["a flag"] = { { flag = true }, { flag = "flagged by its rule" } },
    ["neither"] = { { flag = false, quarantine = false }, {} },
    ["functions of the program's"] = { { check = print, rewrite = print }, { check = print,
      rewrite = print } },
    ["nobody excluded, as with an empty block list"] = { { from = { user = none_of {} } }, {} },
    ["a server's own events, whoever is excluded"] = { { trust = "server", from = { role = none_of "x" } },
      { trust = { "server" }, from = { role = { list = { "x" }, none = true } } } },
  } do
    it("compiles: " .. name, function()
      case[1].fields = {}
      local rule, list = compiled(case[1])
      assert.same({}, list)
      case[2].name, case[2].kind, case[2].fields, case[2].extra = "x", "event", {}, "refuse"
      assert.same(case[2], rule)
    end)
  end

  local trust = [[trust: must be "self", "server" or "user", not ]]
  for name, case in pairs {
    ["a misspelt trust"] = { { trust = "sever" }, trust .. '"sever" [server]' },
    ["one misspelt trust"] = { { trust = { "user", "slef" } }, trust:gsub(":", "[2]:", 1)
      .. '"slef" [self]' },
    ["no trust"] = { { trust = {} }, [[trust: must be "server", "self" or "user", or a list of them]] },
    ["trust of another type"] = { { trust = 5 },
      [[trust: must be "server", "self" or "user", or a list of them]] },
    ["from of another type"] = { { from = "bob" },
      [[from: must be a table of conditions, like { role = "admin" }, not "bob"]] },
    ["a misspelt source"] = { { from = { rol = "x" } }, "from: unknown key 'rol' [role]" },
    ["a source of other words"] = { { from = { channel = "a:b" } }, "from: unknown key 'channel' [cid]" },
    ["a list without names"] = { { from = { "bob" } },
      "from: what is this value for? It has no name (its key is 1)" },
    ["an impossible user"] = { { from = { user = "a b" } },
      "from.user: cannot be: a user id may hold only letters, digits, '@', '_' and '-'" },
    ["one impossible user"] = { { from = { user = { "a", "" } } },
      [[from.user[2]: "" cannot be: a user id must not be empty]] },
    ["an impossible channel type"] = { { from = { channel_type = "a:b" } },
      "from.channel_type: cannot be: a channel type may hold only letters, digits, '_' and '-'" },
    ["an impossible cid"] = { { from = { cid = "general" } },
      "from.cid: cannot be: a channel is named type:id, for example messaging:general" },
    ["an impossible role"] = { { from = { role = "a\n" } }, "from.role: cannot be a role" },
    ["a role of another type"] = { { from = { role = 5 } }, "from.role: must be a string, not 5" },
    ["an empty list"] = { { from = { role = {} } }, "from.role: an empty list fits nothing" },
    ["an empty one_of"] = { { from = { role = one_of {} } }, "from.role: an empty list fits nothing" },
    ["a bare none_of"] = { { from = { role = none_of } }, "from.role: none_of takes a string or a list" },
    ["a field as a source"] = { { from = { role = string_ } },
      "from.role: must be a string, a list or none_of { ... }, not 'string'" },
    ["a cid of another channel type"] = { { from = { channel_type = "a", cid = { "a:x", "b:x" } } },
      [[from: "b:x" is excluded by 'channel_type']] },
    ["a cid of an excluded channel type"] = { { from = { channel_type = none_of "b", cid = "b:x" } },
      [[from: "b:x" is excluded by 'channel_type']] },
    ["a server's events in a channel"] = { { trust = "server", from = { cid = "a:b" } },
      "from: 'cid' never holds: what only a server can send has no channel and no sender" },
    ["a server's events of a user"] = { { trust = { "server" }, from = { user = "a" } },
      "from: 'user' never holds: what only a server can send has no channel and no sender" },
    ["a size of another type"] = { { size = "1k" }, [[size: must be a whole number of bytes, not "1k"]] },
    ["a size with a fraction"] = { { size = 100.5 }, "size: must be a whole number of bytes, not 100.5" },
    ["a size that no event has"] = { { size = 11 }, "size: no event of this type is shorter than 12 bytes" },
    ["a rate of another type"] = { { rate = 5 },
      "rate: must be a table, like { count = 5, seconds = 60 }, not 5" },
    ["a rate without its count"] = { { rate = { seconds = 5 } },
      "rate: a rate needs 'count', like { count = 5, seconds = 60 }" },
    ["a rate without its time"] = { { rate = { count = 5 } },
      "rate: a rate needs 'seconds', like { count = 5, seconds = 60 }" },
    ["a count that lets nothing through"] = { { rate = { count = 0.5, seconds = 1 } },
      "rate: 'count' must be a number from 1 to 1000000000, not 0.5" },
    ["no time"] = { { rate = { count = 1, seconds = 0 } },
      "rate: 'seconds' must be a number from 0.001 to 31622400, not 0" },
    ["endless time"] = { { rate = { count = 1, seconds = math.huge } },
      "rate: 'seconds' must be a number from 0.001 to 31622400, not " .. tostring(math.huge) },
    ["per something else"] = { { rate = { count = 1, seconds = 1, per = "user" } },
      [[rate.per: must be "all", "channel" or "sender", not "user"]] },
    ["a misspelt key of one of the rates"] = { { rate = { { count = 1, seconds = 1, pr = "all" } } },
      "rate[1]: unknown key 'pr' [per]" },
    ["no rates"] = { { rate = {} },
      "rate: must be one rate, like { count = 5, seconds = 60 }, or a list of up to 16" },
    ["a check that is none"] = { { check = "allow" },
      "'check' must be a function, like function(event, context) return allow end, not \"allow\"" },
    ["a rewrite that is none"] = { { rewrite = { a = 1 } },
      "'rewrite' must be a function, like function(event, context) return allow end, not a table" },
    ["a quarantine of another type"] = { { quarantine = 5 }, "'quarantine' must be true or a text, not 5" },
    ["a flag without a text"] = { { flag = "" }, [['flag' must be true or a text, not ""]] },
    ["both"] = { { quarantine = true, flag = true },
      "'flag' never shows: 'quarantine' takes all that passes" },
    ["another mode"] = { { mode = "adit" }, [[mode: must be "audit" or "enforce", not "adit" [audit] ]] },
    ["another extra"] = { { extra = true }, [[extra: must be "keep", "refuse" or "strip", not true]] },
    ["a misspelt key"] = { { filds = {} }, "unknown key 'filds' [fields]" },
    ["a key of other words"] = { { schema = {} }, "unknown key 'schema' [fields]" },
    ["a condition in the wrong place"] = { { role = "admin" }, "unknown key 'role' [from]" },
    ["fields of another type"] = { { fields = string_ },
      "fields: must be a table of fields, like { text = string }, "
      .. "not 'string'" },
  } do
    it("is refused: " .. name, function()
      if case[1].fields == nil then case[1].fields = {} end
      local _, list = compiled(case[1])
      assert.equal(1, #list, table.concat(list, "\n"))
      assert.equal((case[2]:gsub(" $", "")), list[1])
    end)
  end

  it("on events of servers alone cannot be for a type with a dot", function()
    local _, list = compiled({ trust = "server", fields = {} }, "message.new")
    assert.same({ "no event is reached: what only a server can send has no '.' in its type" }, list)
  end)

  it("may be on a size that the shortest event of a prefix has", function()
    assert.same({}, select(2, compiled({ size = 13, fields = {} }, "ab*")))
  end)
end)
