--- Rule files: what they say, and everything that may be wrong with them, with its line.
local core = require "stream_events.core"
local rules = require "stream_events.rules"

-- "LINE MESSAGE [SUGGESTION]" of each problem.
local function listed(problems)
  local list = {}
  for i, problem in ipairs(problems) do
    list[i] = ("%s %s"):format(problem.line or "-", problem.message)
    if problem.suggestion then list[i] = ("%s [%s]"):format(list[i], problem.suggestion) end
  end
  return list
end

local function problems_of(text)
  local set, err = rules.parse(text)
  assert.is_nil(set)
  assert.equal("rule", err.kind)
  return listed(err.problems), err
end

local DESIGN = [[
-- What this client accepts. Anything not named here is dropped.
default "drop"

event "friendship_request" {
  fields = { text = string { max = 280 }, mood = optional(one_of { "happy", "sad" }) },
  rate   = { count = 5, seconds = 60 },                  -- per sender
}

event "trade_*" {
  from   = { role = { "user", "moderator" } },           -- also: user id, channel type, cid
  fields = { item = string { max = 64 }, price = integer { min = 0, max = 100000 } },
  check  = function(event, context)
    if context.marked(event.user.id, "cheater") then return drop "sender is marked" end
    return allow
  end,
}

event "password_reset" { trust = "server" }              -- only as a user event
refuse "noise"                                            -- named, and never accepted
honeypot "grant_admin"                                    -- dropped, and its sender is marked
]]

describe("a rule file", function()
  it("compiles to a set that says what it is", function()
    local set = assert(rules.parse(DESIGN))
    assert.equal(5, set.size)
    assert.same({ "friendship_request", "trade_*", "password_reset", "noise", "grant_admin" }, set.names)
    assert.equal("drop", set.default)
    assert.equal("enforce", set.mode)
    assert.same({ "rules.lua" }, set.files)
    assert.truthy(set.hash:find("^%x%x%x%x%x%x%x%x%x%x%x%x$"))
    assert.is_true(rules.is_set(set))
    assert.is_false(rules.is_set({}))
    for type, name in pairs {
      friendship_request = "friendship_request", trade_sword = "trade_*", trade_ = "trade_*", noise = "noise",
    } do
      assert.equal(name, set.core:find(type))
    end
    assert.is_nil(set.core:find("trade"))
  end)

  it("decides as it says", function()
    local judge = core.rules()
    judge:use(assert(rules.parse(DESIGN)).core)
    local function decide(text, input)
      local verdict, decision = judge:decide(text, input or { now = 1 })
      return verdict .. (decision and " " .. decision.reason or "")
    end
    local function event(type, data, user, role)
      return ('{"type":"%s","cid":"messaging:a","user":{"id":"%s","role":"%s"}%s}'):format(type,
        user or "bob",
        role or "user", data and "," .. data or "")
    end
    for _, case in ipairs {
      { "allow", event("friendship_request", '"text":"hi","mood":"sad"') },
      { "drop field-value", event("friendship_request", '"text":"hi","mood":"angry"') },
      { "allow", event("trade_sword", '"item":"sword","price":5') },
      { "drop from", event("trade_sword", '"item":"sword","price":5', "bob", "guest") },
      { "drop field-range", event("trade_sword", '"item":"sword","price":-1') },
      { "drop field-type", event("trade_sword", '"item":"sword","price":0.5') },
      { "drop trust", event("password_reset") },
      { "allow", '{"type":"password_reset"}' },
      { "drop refused", event("noise") },
      { "drop undeclared-type", event("anything") },
      { "drop honeypot", event("grant_admin", nil, "eve") },
      { "drop marked", event("trade_sword", '"item":"sword","price":5', "eve") },
      { "allow", event("message.new", '"text":"hi"') },
    } do
      assert.equal(case[1], decide(case[2]), case[2])
    end
    judge:mark("bob", "cheater", 60, 1)
    assert.equal("drop check", decide(event("trade_sword", '"item":"sword","price":5')))
  end)

  it("says what is odd in it, and compiles all the same", function()
    local set = assert(rules.parse(DESIGN))
    assert.same({ '18 event "password_reset": accepts no data, since it names no fields: '
      .. "'fields = {}' says that this is meant, 'extra = \"keep\"' takes any" }, listed(set.problems))
    assert.equal("warning", set.problems[1].severity)
    for _, text in ipairs { "fields = {}", "extra = 'keep'", "extra = 'strip'" } do
      assert.same({}, assert(rules.parse("event 'x' { " .. text .. " }")).problems)
    end
  end)

  it("may be empty", function()
    local set = assert(rules.parse(""))
    assert.equal(0, set.size)
    assert.equal("drop", set.default)
    local message = "declares nothing: every custom event is dropped"
    assert.same({ { file = "rules.lua", severity = "warning", message = message } }, set.problems)
    assert.same({}, assert(rules.parse "honeypot 'x'").problems)
    local inline = assert(rules.new {})
    assert.same({ message, debug.getinfo(1, "l").currentline - 1 },
      { inline.problems[1].message, inline.problems[1].line })
  end)

  it("may refuse an empty list, as of files that share one", function()
    local set = assert(rules.parse("refuse {}\nrefuse { 'x' }", { name = "rules.lua" }))
    assert.same({ "x" }, set.names)
  end)

  it("sets default and mode", function()
    local set = assert(rules.parse("default 'allow' mode 'audit'"))
    assert.same({ "allow", "audit" }, { set.default, set.mode })
  end)

  for _, text in ipairs {
    "event '*' { fields = {} }", "event 'message.new' { extra = 'keep' }",
      "event 'message.*' { extra = 'keep' }",
    "refuse 'a*' refuse { 'b', 'c*' }", "honeypot 'a' { seconds = 0.5, mark = 'x' } honeypot 'b*'",
    "event 'a' { fields = {} } event 'a*' { fields = {} } event '*' { fields = {} }",
    "for i = 1, 3 do event('t' .. i) { fields = { n = integer { max = i } } } end",
    "local shared = { n = integer } event 'a' { fields = shared } event 'b' { fields = shared }",
    "event 'Grüße 日本' { fields = { ['größe x'] = any } }", "event('x')({ fields = {} })",
  } do
    it("may say: " .. text, function()
      assert(rules.parse(text))
    end)
  end

  local none = "no event can be called so: "
  for name, case in pairs {
    ["a misspelt key"] = { 'event "trade" {\n  fields = {},\n  extr = "keep" }',
      [[3 event "trade": unknown key 'extr' [extra] ]] },
    ["a key in a constructor"] = {
      'event "trade" {\n  fields = {\n    price = integer {\n  min = 1,\n mx = 2 } } }',
      [[5 event "trade": fields.price: unknown key 'mx' [max] ]] },
    ["a key in a shared value"] = {
      'local price = integer {\n mx = 2 }\nevent "trade" {\n fields = { price = price } }',
      [[2 event "trade": fields.price: unknown key 'mx' [max] ]] },
    ["a value in a shared table"] = {
      'local shared = {\n price = "integr" }\nevent "trade" {\n fields = shared }',
      [[2 event "trade": fields.price: must say what it may hold: string, integer, number, boolean, array, ]]
        .. [[object, one_of, optional or any, not "integr" [integer] ]] },
    ["a key of one of several statements"] = {
      'event "a" { fields = {} } event "b" { fields = {} }\nevent "c" { feilds = {}, extra = "keep" }',
      [[2 event "c": unknown key 'feilds' [fields] ]] },
    ["a key in a statement of a loop"] = {
      'for i = 1, 1 do\n event("t" .. i) {\n extra = "keep",\n  frm = {} }\nend',
      [[4 event "t1": unknown key 'frm' [from] ]] },
    ["a key behind a function with commas and tables"] = {
      'event "a" {\n check = function(e, c) if e then for i = 1, 2 do local x = { frm = 1, 2 } end '
        .. 'end\n return allow end,\n frm = {}, extra = "keep" }',
      [[4 event "a": unknown key 'frm' [from] ]] },
    ["a key in brackets"] = { 'event "a" {\n ["extra"] = "keep",\n ["a b"] = 1 }',
      "3 event \"a\": unknown key 'a b'" },
    ["the second of a list"] = { 'event "a" { extra = "keep",\n from = { role = { "x",\n  5 } } }',
      '3 event "a": from.role[2]: must be a string, not 5' },
    ["a nested comment and strings"] = {
      'event "a" { -- } [[\n --[[ { ]]\n extra = [==[keep]==], x = "}{", \n filds = {} }',
      [[4 event "a": unknown key 'filds' [fields] ]], [[3 event "a": unknown key 'x']] },
    ["no table"] = { "\nevent 'x'", '2 the table is missing: event "x" { ... }' },
    ["no name"] = { "event {}", '1 event takes a name: event "NAME"' },
    ["an empty name"] = { "refuse ''", '1 refuse "": ' .. none .. "an event type must not be empty" },
    ["a name that is too long"] = { "refuse(('x'):rep(256))", '1 refuse "' .. ("x"):rep(60) .. '...": '
      .. none
      .. "an event type is 256 characters long, 255 are allowed" },
    ["a name with control characters"] = { "refuse 'a\\n'", '1 refuse "a\\10": ' .. none
      .. "an event type may hold only text without control characters" },
    ["a star in the middle"] = { "event 'a*b' { fields = {} }",
      [[1 event "a*b": no event is reached: '*' may only be the last character of a name]] },
    ["two stars"] = { "refuse '**'",
      [[1 refuse "**": no event is reached: '*' may only be the last character of a name]] },
    ["a local type"] = { "event 'connection.changed' { fields = {} }",
      '1 event "connection.changed": no rule is asked about it: the client keeps this type to itself' },
    ["connection.error"] = { "refuse 'connection.error'",
      '1 refuse "connection.error": no rule is asked about it: the client keeps this type to itself' },
    ["health.check"] = { "honeypot 'health.check'",
      '1 honeypot "health.check": no rule is asked about it: the client keeps this type to itself' },
    ["a name twice"] = { "event 'x' { fields = {} }\n\nrefuse 'x'",
      '3 refuse "x": declared twice: rules.lua:1 has it already' },
    ["a prefix twice"] = { "honeypot 'x*'\nevent 'x*' { fields = {} }",
      '2 event "x*": declared twice: rules.lua:1 has it already' },
    ["a name twice in a list"] = { "refuse {\n'x',\n'y',\n'x' }",
      '4 refuse "x": declared twice: rules.lua:1 has it already' },
    ["a name in a list that is none"] = { "refuse { 'x',\n5 }",
      "2 refuse: 5: " .. none .. "an event type must be a string, not a number" },
    ["conditions behind refuse"] = { "refuse 'x' { trust = 'user' }",
      "1 refuse takes a name and nothing more: what has conditions is an 'event'" },
    ["another default"] = { "default 'drp'",
      [[1 default "drp": must be "allow" or "drop", not "drp" [drop] ]] },
    ["a verdict as the default"] = { "default(5)", [[1 default: must be "allow" or "drop", not 5]] },
    ["default twice"] = { "default 'drop'\ndefault 'allow'",
      '2 default "allow": said twice: rules.lua:1 has it already' },
    ["another mode"] = { "mode 'enforced'",
      [[1 mode "enforced": must be "audit" or "enforce", not "enforced" [enforce] ]] },
    ["mode twice"] = { "mode 'audit' mode 'audit'",
      '1 mode "audit": said twice: rules.lua:1 has it already' },
    ["a misspelt key of a honeypot"] = { "honeypot 'x' {\n second = 5 }",
      [[2 honeypot "x": unknown key 'second' [seconds] ]] },
    ["no time in a honeypot"] = { "honeypot 'x' { seconds = 0 }",
      [[1 honeypot "x": 'seconds' must be a positive number, not 0]] },
    ["no name of a mark"] = { "honeypot 'x' { mark = '' }",
      [[1 honeypot "x": 'mark' must be a name of up to 128 bytes]] },
    ["a honeypot with a text"] = { "honeypot 'x' 'y'",
      '1 honeypot takes a table: honeypot "NAME" { ... }' },
    ["a server's rule for a type with a dot"] = { "event 'message.new' { fields = {},\n trust = 'server' }",
      [[2 event "message.new": no event is reached: what only a server can send has no '.' in its type]] },
    ["an unknown name"] = { "local x = 1\nevnt 'x' {}", "2 unknown name 'evnt' [event]" },
    ["an unknown name in a function that no event called yet"] = {
      "event 'x' { fields = {}, check = function(event)\n return alow end }",
        "2 unknown name 'alow' [allow]" },
    ["a global variable"] = { "\nlimit = 5", "2 'limit' is no local variable, and rules set no globals: "
      .. "make it local [local limit]" },
  } do
    it("is refused: " .. name, function()
      local list = problems_of(case[1])
      local expected = {}
      for i = #case, 2, -1 do expected[#expected + 1] = (case[i]:gsub(" $", "")) end
      assert.same(expected, list)
    end)
  end

  it("is refused with all that is wrong, in the order of the text", function()
    local list, err = problems_of [[
event "trade" {
  filds = { item = string },
  fields = { item = string { maximum = 64 },
    price = "integer" },
  trust = "sever",
}
evnt "x" {}
refuse "trade"]]
    assert.equal("7 unknown name 'evnt' [event]", list[#list])
    assert.equal(1, #list) -- running the file ended there
    assert.equal("rule: rules.lua:7: unknown name 'evnt': did you mean 'event'?", tostring(err))
    list, err = problems_of [[
event "trade" {
  filds = { item = string },
  fields = { item = string { maximum = 64 },
    price = "integer" },
  check = function(event, context) return alow end,
  trust = "sever",
}
refuse "trade"]]
    assert.same({
      [[2 event "trade": unknown key 'filds' [fields] ]],
      [[3 event "trade": fields.item: unknown key 'maximum' [max] ]],
      [[4 event "trade": fields.price: must say what it may hold: string, integer, number, boolean, array, ]]
        .. [[object, one_of, optional or any, not "integer" [integer] ]],
      [[5 unknown name 'alow' [allow] ]],
      [[6 event "trade": trust: must be "self", "server" or "user", not "sever" [server] ]],
      [[8 refuse "trade": declared twice: rules.lua:1 has it already ]],
    }, (function()
      for i, text in ipairs(list) do list[i] = text .. " " end
      return list
    end)())
    assert.equal([[rules.lua:2: event "trade": unknown key 'filds': did you mean 'fields'? (and 5 more)]],
      err.message)
    assert.same({ file = "rules.lua", line = 2, message = [[event "trade": unknown key 'filds']],
      suggestion = "fields", severity = "error" }, err.problems[1])
  end)

  for name, case in pairs {
    ["in the text"] = { "event 'x' {\n  fields = {\n", 3 },
    ["at a word"] = { "event 'x' {}\nlocal function end", 2 },
    ["in a string"] = { "\n\nlocal x = 'abc", 3 },
  } do
    it("is refused with the compiler's own words for a syntax error " .. name, function()
      local _, err = problems_of(case[1])
      assert.equal(1, #err.problems)
      assert.equal(case[2], err.problems[1].line)
      assert.equal("rules.lua", err.problems[1].file)
    end)
  end

  it("is refused when running it raises an error, with its line", function()
    local list = problems_of("local x\n\nerror('not today')")
    assert.equal(1, #list)
    assert.truthy(list[1]:find("^3 not today"), list[1])
    list = problems_of("local x\nx.y = 1")
    assert.truthy(list[1]:find("^2 "), list[1])
  end)

  it("is refused as bytecode, in few words", function()
    local _, err = rules.parse("\27Lua", { name = "byte.lua" })
    assert.same({ file = "byte.lua", severity = "error", message = "this is bytecode; rules are text" },
      err.problems[1])
  end)

  it("is refused when it never ends", function()
    local set, err = rules.parse("while true do end")
    assert.is_nil(set)
    assert.equal("rule", err.kind)
    assert.equal(1, #err.problems)
  end)

  it("has at most a hundred problems told", function()
    local list = {}
    for i = 1, 300 do list[i] = ("event 'x%d' { extra = 1 }"):format(i) end
    assert.equal(100, #problems_of(table.concat(list, "\n")))
  end)

  it("names the text as the program says", function()
    local _, err = rules.parse("default 'x'", { name = "folder/own.lua" })
    assert.equal("folder/own.lua", err.problems[1].file)
    assert.truthy(err.message:find("^folder/own.lua:1: "))
  end)

  it("is compiled in pieces where the program asks for it", function()
    local steps, list = 0, {}
    for i = 1, 100 do list[i] = ("event 'x%d' { fields = { n = integer } }"):format(i) end
    assert(rules.parse(table.concat(list, "\n"), { step = function() steps = steps + 1 end }))
    assert.is_true(steps >= 100)
  end)

  it("is compiled within a coroutine that yields in between", function()
    local co = coroutine.create(function()
      return rules.parse(DESIGN, { step = coroutine.yield })
    end)
    local turns, ok, set = 0
    repeat
      ok, set = coroutine.resume(co)
      turns = turns + 1
    until not ok or coroutine.status(co) == "dead"
    assert.is_true(ok, tostring(set))
    assert.equal(5, set.size)
    assert.is_true(turns > 5)
  end)

  it("is given as text, by its path or as a table: anything else is the program's mistake", function()
    assert.has_error(function() rules.parse(5) end)
    assert.has_error(function() rules.load(nil) end)
    assert.has_error(function() rules.load("") end)
    assert.has_error(function() rules.new("x") end)
    assert.has_error(function() rules.parse("", 5) end)
  end)
end)
