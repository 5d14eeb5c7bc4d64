--- The Lua state of rule files: what is in it, what it gives out, and what nothing in it can do.
local core = require "stream_events.core"
local engine = require "support.engine"

local FUNCTIONS, FIELDS = {}, {}
local EVENT = '{"type":"poke","cid":"messaging:general","user":{"id":"bob","role":"user"},'
  .. '"created_at":"2026-01-01T00:00:00Z","text":"hello","n":12,"verdict":"mine","none":null,'
  .. '"list":[1,[2,{"a":"deep"}],"three"],"object":{"z":1,"y":{},"x":[]}}'

-- Loads a file in a new state, or in one that is given. Returns what load() does, and the state.
local function load_file(text, more)
  more = more or {}
  local state = more.state or assert(core.rule_state(more.limits))
  local list, kind, message = state:load(more.name or "rules.lua", text,
    { functions = FUNCTIONS, fields = FIELDS, read = more.read })
  return list, kind, message, state
end

local function statements(text, more)
  local list, _, message, state = load_file(text, more)
  assert.is_nil(message)
  return list, state
end

local function load_error(text, more)
  local list, kind, message = load_file(text, more)
  assert.is_nil(list, text)
  return message, kind
end

-- An engine whose rule for "poke" has the functions of this file's first event.
local function engine_of(text, limits)
  local list, state = statements(text, { limits = limits })
  local value = list[1].value
  local rule = { name = "poke", kind = "event", extra = "keep",
    check = value.check and value.check.reference, rewrite = value.rewrite and value.rewrite.reference }
  return engine.engine_of({ rule }, { state = state }, { breaches = 1000000 })
end

local function with_check(body, limits)
  return engine_of("event 'poke' { check = function(event, context) " .. body .. " end }", limits)
end

-- What a check function with this body leads to: verdict, reason, text, the whole decision.
local function check(body, limits, input)
  local verdict, reason, decision = engine.decide(with_check(body, limits), EVENT, input)
  return verdict, reason, decision.text, decision
end

-- The text that a check function gives with `return drop(...)`.
local function said(expression, input)
  local verdict, reason, text = check("return drop(tostring(" .. expression .. "))", nil, input)
  assert.same({ "drop", "check" }, { verdict, reason }, text)
  return text
end

local ALLOWED = {
  [""] = "any allow array assert boolean default drop error event flag honeypot include integer ipairs math "
    .. "mode next none_of number object one_of optional pairs quarantine refuse rewrite select string table "
    .. "tonumber tostring type utf8",
  ["string."] = "byte char contains ends_with find format glob len lower rep reverse starts_with sub upper",
  ["table."] = "concat insert remove sort unpack",
  ["math."] = "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi "
    .. "rad sin sqrt tan tointeger type",
  ["utf8."] = "char codepoint codes len offset",
}

-- Names that some Lua has somewhere.
local OTHERS = "getfenv setfenv jit ffi bit loadstring newproxy pack foreach gcinfo gfind charpattern null "
  .. "_G print random dump gsub match gmatch pcall load move coroutine debug os io require package "
  .. "getmetatable setmetatable rawset rawget rawequal rawlen collectgarbage dofile loadfile xpcall"

describe("the environment of rules", function()
  for prefix, list in pairs(ALLOWED) do
    it("has the names " .. prefix .. "*", function()
      for name in list:gmatch "%S+" do
        assert.is_nil((select(3, load_file(("local x = %s%s assert(x ~= nil)"):format(prefix, name)))), name)
      end
    end)

    it("has no others of Lua's " .. prefix .. "*", function()
      local allowed, tried = {}, 0
      for name in list:gmatch "%S+" do allowed[name] = true end
      local candidates = {}
      for name in OTHERS:gmatch "%S+" do candidates[#candidates + 1] = name end
      for name in pairs(prefix == "" and _G or _G[prefix:sub(1, -2)] or {}) do
        if type(name) == "string" then candidates[#candidates + 1] = name end
      end
      for _, name in ipairs(candidates) do
        if not allowed[name] and name:find "^[%a_][%w_]*$" then
          tried = tried + 1
          assert.matches("^rules.lua:1: unknown name '" .. prefix:gsub("%.", "%%.") .. name .. "'",
            load_error(("local x = %s%s"):format(prefix, name)))
        end
      end
      assert.is_true(tried > 20)
    end)
  end

  it("says what was perhaps meant", function()
    for text, expect in pairs {
      ["intger {}"] = "unknown name 'intger': did you mean 'integer'?",
      ["evnet 'x' {}"] = "unknown name 'evnet': did you mean 'event'?",
      ["local x = string.ends_wiht"] = "unknown name 'string.ends_wiht': did you mean 'string.ends_with'?",
      ["local x = nothing_like_it"] = "unknown name 'nothing_like_it'",
      ["x = 1"] = "'x' is set as a global: make it local",
      ["event = 1"] = "'event' is set as a global: make it local",
      ["string = nil"] = "'string' is set as a global: make it local",
    } do
      assert.equal("rules.lua:1: " .. expect, (load_error(text)))
    end
  end)

  it("is frozen", function()
    for text, expect in pairs {
      ["string.len = 1"] = "libraries are read%-only",
      ["string.new = 1"] = "libraries are read%-only",
      ["math.pi = 3"] = "libraries are read%-only",
      ["table.sort = nil"] = "libraries are read%-only",
      ["utf8.len = nil"] = "libraries are read%-only",
      ["integer.x = 1"] = "fields are read%-only",
      ["allow.x = 1"] = "verdicts are read%-only",
      ["local s = 'x' s.y = 1"] = "attempt to index",
      ["table.insert(string, 1)"] = "table expected",
      ["for name in pairs(string) do end"] = "table expected",
      ["next(math)"] = "table expected",
    } do
      assert.matches(expect, load_error(text), text)
    end
  end)

  it("gives its functions to texts as methods", function()
    assert.equal("xx,5,true,ABC", said [[("x"):rep(2) .. "," .. ("hello"):len() .. ","
      .. tostring(("abc"):starts_with("ab")) .. "," .. ("abc"):upper()]])
    assert.matches("unknown name 'string.gsub'", (select(3, check "return ('x'):gsub('x', 'y')")))
  end)

  it("shows no addresses", function()
    assert.equal("table function nil userdata table table null", said [[tostring({}) .. " "
      .. tostring(error) .. " " .. tostring(nil) .. " " .. tostring(string) .. " " .. tostring(event)
      .. " " .. tostring(event.list) .. " " .. type(event.none)]])
    assert.equal("check-error", (select(2, check "return drop(string.format('%p', {}))")))
  end)

  it("goes through tables always in the same order", function()
    for of, expect in pairs {
      ['{ z = 3, "a", "b", [true] = "t", [7] = "s", b = 2, a = 1 }'] = "1 2 7 a b z true ",
      ["event"] = "type cid channel_type channel_id created_at user received_at trust raw_data "
        .. "text n none list object ",
      ["event.list"] = "1 2 3 ",
      ["event.object"] = "x y z ",
    } do
      assert.equal(expect, said([[(function() local s = ""
        for key, value in pairs(]] .. of .. [[) do s = s .. tostring(key) .. " " assert(value ~= nil) end
        return s end)()]]))
    end
    assert.equal("x y z nil", said [[(function() local s, k = "" for _ = 1, 4 do k = next(event.object, k)
      s = s .. tostring(k) .. " " end return s:sub(1, -2) end)()]])
  end)

  it("reckons as Lua does", function()
    for expression, expect in pairs {
      ["string.format('%05d|%-5s|%5s|%.2f|%x|%%|%c', 42, 'ab', 'cd', 1.005, 255, 65)"]
        = "00042|ab   |   cd|1.00|ff|%|A",
      ["string.format('%s %s %.3s', true, nil, 'abcdef')"] = "true nil abc",
      ["('hello world'):find('o', 6)"] = "8",
      ["('a.b'):find('.')"] = "2",
      ["('abc'):find('')"] = "1",
      ["('abc'):find('', 5)"] = "nil",
      ["('abc'):find('abcd')"] = "nil",
      ["('héllo'):len()"] = "6",
      ["utf8.len('héllo')"] = "5",
      ["utf8.len('h\\233llo')"] = "nil",
      ["utf8.char(233, 128512)"] = "é😀",
      ["utf8.codepoint('é')"] = "233",
      ["utf8.offset('aéb', 3)"] = "4",
      ["utf8.offset('aéb', -1)"] = "4",
      ["('abc'):sub(-2)"] = "bc",
      ["('abc'):sub(2, -2)"] = "b",
      ["('abc'):byte(-1)"] = "99",
      ["string.char(104, 105)"] = "hi",
      ["('ab'):rep(3, '-')"] = "ab-ab-ab",
      ["#('ab'):rep(0)"] = "0",
      ["('abc'):reverse()"] = "cba",
      ["('Äb'):lower() .. ('äB'):upper()"] = "ÄbäB",
      ["('abc'):contains('bc') and ('abc'):ends_with('bc') and not ('abc'):contains('x')"] = "true",
      ["('photo.exe'):glob('*.exe')"] = "true",
      ["('é'):glob('??')"] = "false",
      ["table.concat({ 1, 'b', 3 }, '-', 2)"] = "b-3",
      ["table.concat(event.list[2], '-', 1, 1)"] = "2",
      ["select('#', table.unpack({ 1, nil, 3 }, 1, 3))"] = "3",
      ["select(-1, 'a', 'b')"] = "b",
      ["tonumber('0x10')"] = "16",
      ["tonumber('zz', 36)"] = "1295",
      ["tonumber('8', 8)"] = "nil",
      ["tonumber('1e1x')"] = "nil",
      ["math.floor(-1.5)"] = "-2",
      ["math.max(3, 10, 7) + math.min(3, 10)"] = "13",
      ["math.tointeger(3.5)"] = "nil",
      ["math.fmod(-7, 3)"] = "-1",
      ["math.huge > 1e308"] = "true",
      ["'10' + 5 == 15"] = "true",
      ["#event.list"] = "3",
      ["math.type(event.n)"] = "integer",
    } do
      assert.equal(expect, said(expression), expression)
    end
  end)

  it("sorts, whatever the comparison answers", function()
    for comparison, expect in pairs {
      [""] = "1,2,3,5,8,9",
      [", function(a, b) return a > b end"] = "9,8,5,3,2,1",
    } do
      assert.equal(expect, said("(function() local t = { 5, 2, 9, 1, 8, 3 } table.sort(t" .. comparison
        .. ") return table.concat(t, ',') end)()"))
    end
    for _, answer in ipairs { "true", "false", "a ~= b", "table.remove(t)" } do
      local verdict = check("local t = { 5, 2, 9, 1, 8, 3 } table.sort(t, function(a, b) return " .. answer
        .. " end) return allow")
      assert.equal("allow", verdict, answer)
    end
    assert.matches("attempt to compare", (select(3, check "table.sort { 1, 'x' } return allow")))
  end)
end)

describe("a rule file", function()
  it("gives its statements, with functions and fields as they were written", function()
    local list = statements [[
default "allow"
mode "audit"
event "a" {
  fields = { text = string { max = 3 }, n = integer, o = optional(number { min = 1 }) },
  from = { user = none_of "x", role = one_of { "a", "b" } },
  check = function(event, context)
    return allow
  end,
}
refuse { "b", "c" }
refuse "d"
honeypot "e"
honeypot "f" { seconds = 5 }]]
    local places = {}
    for i, statement in ipairs(list) do
      places[i] = ("%s:%d"):format(statement.kind, statement.line)
      assert.equal("rules.lua", statement.file)
    end
    assert.same({ "default:1", "mode:2", "event:3", "refuse:10", "refuse:11", "honeypot:12", "honeypot:13" },
      places)
    assert.same({ "allow", "audit", "a" }, { list[1].name, list[2].name, list[3].name })
    assert.same({ "b", "c" }, list[4].name)
    assert.is_nil(list[6].value)
    assert.same({ seconds = 5 }, list[7].value)
    local value = list[3].value
    assert.equal(FUNCTIONS, getmetatable(value.check))
    assert.same({ "rules.lua", 6 }, { value.check.file, value.check.line })
    assert.is_number(value.check.reference)
    assert.equal(FIELDS, getmetatable(value.fields.text))
    assert.same({ kind = "string", options = { max = 3 }, file = "rules.lua", line = 4 }, value.fields.text)
    assert.same({ kind = "integer", file = "rules.lua", line = 3 }, value.fields.n)
    assert.equal("optional", value.fields.o.kind)
    assert.same({ min = 1 }, value.fields.o.options.options)
    assert.same({ "none_of", "x" }, { value.from.user.kind, value.from.user.options })
    assert.same({ "a", "b" }, value.from.role.options)
  end)

  it("shares functions and values between its rules", function()
    local list = statements [[
local function fair(event) return allow end
local name = string { max = 64 }
event "a" { check = fair, fields = { a = name } }
event "b" { check = fair, fields = { b = name } }]]
    assert.equal(list[1].value.check.reference, list[2].value.check.reference)
    assert.same(list[1].value.fields.a, list[2].value.fields.b)
  end)

  it("is refused with the line where it is wrong", function()
    for text, expect in pairs {
      ["\nevent 'x'"] = "rules.lua:2: the table is missing",
      ["event {}"] = "rules.lua:1: event takes a name",
      ["event 'x' 'y'"] = "rules.lua:1: event takes a table",
      ["event 'x' {} {}"] = "rules.lua:1: attempt to call",
      ["local e = event 'x' e {}\ne {}"] = "rules.lua:2: a second table",
      ["refuse()"] = "rules.lua:1: refuse takes a name",
      ["string {} {}"] = "rules.lua:1: 'string' is called twice",
      ["\n\nerror 'no'"] = "rules.lua:3: no",
      ["("] = "rules.lua:1: unexpected symbol",
      ["event 'x' { check = string.len }"] = "rules.lua:1: a function of the library",
      ["event 'x' { check = allow }"] = "rules.lua:1: allow cannot stand here",
      ["event 'x' { [{}] = 1 }"] = "rules.lua:1: a table cannot be the key",
      ["local t = {} t.t = t\nevent 'x' { t = t }"] = "rules.lua:2: a table that contains itself",
      ["\27Lua"] = "rules.lua: this is bytecode",
      [string.dump(function() return 1 end)] = "rules.lua: this is bytecode",
      ["--" .. ("x"):rep(1024 * 1024)] = "rules.lua: longer than 1048576 bytes",
      ["error { 'x' }"] = "rules.lua:1: error with a value that is no text %(table%)",
      ["error()"] = "rules.lua:1: error with a value that is no text",
      ["error('\\27[31m\\0x\\255\\226\\128\\174')"] = "rules.lua:1:  %[31m x%? $",
    } do
      local message, kind = load_error(text)
      assert.matches("^" .. expect:gsub("%.", "%%."), message)
      assert.equal("argument", kind)
    end
  end)

  it("cannot use its words later", function()
    for _, word in ipairs { "event 'x' {}", "refuse 'x'", "honeypot 'x'", "default 'drop'", "mode 'audit'",
      "include 'x.lua'", "string {}", "integer {}", "none_of 'x'" } do
      local rules = engine_of("event 'poke' { check = function() " .. word .. " return allow end }")
      local _, reason, decision = engine.decide(rules, EVENT)
      assert.equal("check-error", reason)
      assert.matches("means something only while the file is loaded", decision.text)
    end
  end)

  it("may hold much, but not without end", function()
    local message = load_error("local t = {} for i = 1, 30 do t = { t, t } end event 'x' { t = t }")
    assert.matches("hold too much", message)
    assert.equal(1000, #statements "for i = 1, 1000 do event('x' .. i) { size = i } end")
  end)

  it("uses up its budgets like every other function", function()
    local message, kind = load_error("while true do end", { limits = { instructions = 100 } })
    assert.same({ "rules.lua:1: more than 10000 instructions", "full" }, { message, kind })
    message, kind = load_error "local s = 'x' while true do s = s .. s end"
    assert.matches("more than 8388608 bytes of memory", message)
    assert.equal("full", kind)
    message, kind = load_error("local s = {} for i = 1, 1e9 do s[i] = i end",
      { limits = { memory = 200000 } })
    assert.matches("more than 200000 bytes", message)
    assert.equal("full", kind)
  end)

  it("can be followed by another in the same state", function()
    local _, _, state = load_error "x = 1"
    local list
    list, state = statements("event 'a' {}", { state = state })
    assert.equal("a", list[1].name)
    assert.equal("b", statements("event 'b' {}", { state = state })[1].name)
    assert.is_true(state:memory() > 1000)
  end)
end)

describe("include", function()
  local FILES = {
    ["list.lua"] = "calls = nil",
    ["words.lua"] = "local bad = { 'a', 'b' } event 'from_words' {} return bad, 2, nil",
    ["nested.lua"] = "return include 'words.lua'",
    ["loop.lua"] = "include 'pool.lua'",
    ["pool.lua"] = "include 'loop.lua'",
    ["wrong.lua"] = "\n\nlocal x = nonsense",
    ["syntax.lua"] = "\nlocal",
    ["bytecode.lua"] = "\27Lua",
    ["mark.lua"] = "\239\187\191return 1",
  }
  for i = 1, 20 do FILES["deep" .. i .. ".lua"] = "include 'deep" .. i + 1 .. ".lua'" end
  local asked
  local function read(name)
    asked[#asked + 1] = name
    if name == "raises.lua" then error "disk on fire" end
    if name == "value.lua" then return 42 end
    if FILES[name] then return FILES[name] end
    return nil, "no \27such file"
  end
  before_each(function() asked = {} end)

  it("runs the file in the same environment, once, and gives what it returns", function()
    local list = statements([[
event "first" {}
local bad, two, none = include "words.lua"
local again = include "words.lua"
local nested = include "nested.lua"
assert(bad[2] == "b" and two == 2 and none == nil and again == bad and nested == bad)
event "last" { bad = bad }]], { read = read })
    assert.same({ "first", "from_words", "last" }, { list[1].name, list[2].name, list[3].name })
    assert.same({ "words.lua", "rules.lua" }, { list[2].file, list[3].file })
    assert.same({ "words.lua", "nested.lua" }, asked)
  end)

  it("names files beside the one that includes them", function()
    local list = statements("include 'words.lua'", { read = read, name = "etc/chat/rules.lua" })
    assert.equal("etc/chat/words.lua", list[1].file)
    assert.same({ "words.lua" }, asked)
  end)

  it("takes a mark at the beginning of a file for none", function()
    statements("assert(include 'mark.lua' == 1)", { read = read })
  end)

  it("says what is wrong, and where", function()
    for text, expect in pairs {
      ["include 'wrong.lua'"] = "^wrong%.lua:3: unknown name 'nonsense'",
      ["include 'syntax.lua'"] = "^syntax%.lua:2: ",
      ["include 'bytecode.lua'"] = "^rules%.lua:1: bytecode%.lua: this is bytecode",
      ["\ninclude 'missing.lua'"] = "^rules%.lua:2: 'missing%.lua' cannot be included: no  such file$",
      ["include 'value.lua'"] = "^rules%.lua:1: 'value%.lua' cannot be included: there is no such file$",
      ["include 'raises.lua'"] = "^rules%.lua:1: 'raises%.lua' cannot be included: .*disk on fire$",
      ["include 'loop.lua'"] = "^pool%.lua:1: 'loop%.lua' includes itself",
      ["include 'rules.lua'"] = "^rules%.lua:1: 'rules%.lua' includes itself",
      ["include 'deep1.lua'"] = "more than 16 files",
      ["include '../x.lua'"] = "without a folder",
      ["include '/etc/passwd'"] = "without a folder",
      ["include 'a\\\\b'"] = "without a folder",
      ["include 'a\\0b'"] = "without a folder",
      ["include ''"] = "without a folder",
      ["include {}"] = "takes the name of a file",
    } do
      assert.matches(expect, (load_error(text, { read = read })), text)
    end
    assert.matches("files cannot be included here", (load_error "include 'x.lua'"))
  end)

  it("does not let a reader into the state it is read for", function()
    local state = assert(core.rule_state())
    local inner
    local list = statements("include 'x.lua'", { state = state, read = function()
      inner = { pcall(state.load, state, "inner.lua", "", { functions = FUNCTIONS, fields = FIELDS }) }
      return ""
    end })
    assert.same({}, list)
    assert.is_false(inner[1])
    assert.matches("loading a file already", inner[2])
  end)
end)

describe("a function of a rule", function()
  it("answers with a verdict and a text", function()
    for body, expect in pairs {
      ["return allow"] = { "allow" },
      ["return drop"] = { "drop", "check", nil },
      ["return drop 'no'"] = { "drop", "check", "no" },
      ["return flag 'hm'"] = { "flag", "check", "hm" },
      ["return quarantine 'hm'"] = { "quarantine", "check", "hm" },
      ["return quarantine"] = { "quarantine", "check", nil },
      ["return drop('a\\27\\10b\\255')"] = { "drop", "check", "a  b?" },
    } do
      local verdict, reason, text = check(body)
      assert.same(expect, { verdict, reason, text }, body)
    end
    local _, _, text = check "return drop(('é'):rep(1000))"
    assert.equal(("é"):rep(119), text)
  end)

  it("answers with new data", function()
    local _, _, _, decision = check "return rewrite { a = event.list, b = { 'x', event.n }, c = event.none }"
    local data = core.json.decode(decision.changed)
    assert.same({ 1, { 2, { a = "deep" } }, "three" }, data.a)
    assert.same({ "x", 12 }, data.b)
    assert.equal(core.json.null, data.c)
    assert.equal("rewrite", (check "return rewrite(event.object)"))
    local _, _, other = engine.decide(
      engine_of "event 'poke' { rewrite = function() return { x = 1 } end }", EVENT)
    assert.equal(1, core.json.decode(other.changed).x)
    assert.equal("allow", (engine.decide(
      engine_of "event 'poke' { rewrite = function() return allow end }", EVENT)))
  end)

  it("is refused every other answer", function()
    for body, expect in pairs {
      [""] = "check gave nil",
      ["return true"] = "check gave true",
      ["return 1"] = "check gave a number",
      ["return 'allow'"] = "check gave a string",
      ["return { a = 1 }"] = "check gave a table",
      ["return event"] = "check gave a userdata",
      ["return string"] = "check gave a userdata",
      ["return error"] = "check gave a function",
      ["return drop(1)"] = "drop takes a text",
      ["return drop(drop)"] = "drop takes a text",
      ["return drop 'a' 'b'"] = "drop is called twice",
      ["return allow 'x'"] = "allow takes nothing",
      ["return rewrite"] = "rewrite takes the new data",
      ["return rewrite 'x'"] = "rewrite takes the new data",
      ["return rewrite { 1, 2 }"] = "not a list",
      ["return rewrite(event.list)"] = "not a list",
      ["return rewrite { f = error }"] = "at f: a function cannot be encoded",
      ["return rewrite { f = allow }"] = "at f: a userdata cannot be encoded",
      ["return rewrite { f = 0 / 0 }"] = "at f: NaN",
      ["return rewrite { f = '\\255' }"] = "at f: a string that is not UTF%-8",
      ["local t = {} t.t = t return rewrite(t)"] = "contains itself",
      ["local t = {} for i = 1, 40 do t = { name_of_a_key = t } end return rewrite(t)"]
        = "nested deeper than 32",
    } do
      local verdict, reason, text = check(body)
      assert.same({ "drop", "bad-verdict" }, { verdict, reason }, body)
      assert.matches(expect, text)
    end
  end)

  it("drops what it raises at", function()
    for body, expect in pairs {
      ["error 'boo'"] = "rules.lua:1: boo",
      ["error {}"] = "no text",
      ["error(event)"] = "no text",
      ["error('boo', 0)"] = "^boo$",
      ["assert(false)"] = "assertion failed",
      ["assert(nil, 'because')"] = "because",
      ["local x = nil + 1"] = "attempt to perform arithmetic",
      ["return alow"] = "did you mean 'allow'",
      ["return context.nwo"] = "unknown name in the context",
      ["local function f() table.sort({ 1, 2, 3 }, f) end f()"] = "too deeply",
      ["error(event.text:rep(1000))"] = "hellohello",
    } do
      local verdict, reason, text = check(body)
      assert.same({ "drop", "check-error" }, { verdict, reason }, body)
      assert.matches(expect, text)
      assert.is_true(#text < 240)
    end
  end)

  it("sees the event, which nothing can change", function()
    assert.equal("bob messaging:general messaging general user hello deep",
      said [[table.concat({ event.user.id, event.cid, event.channel_type, event.channel_id, event.trust,
        event.text, event.list[2][2].a }, " ")]])
    assert.equal("nil mine", said "tostring(event.verdict) .. ' ' .. event.raw_data.verdict")
    for _, same in ipairs { "event.list == event.raw_data.list", "event.list[2] == event.list[2]",
      "event.user == event.raw_data.user", "event.raw_data == event.raw_data" } do
      assert.equal("true", said(same))
    end
    for _, part in ipairs { "event", "event.list", "event.user", "event.raw_data" } do
      assert.equal("table", said("type(" .. part .. ")"))
    end
    for _, write in ipairs { "event.text = 1", "event.list[1] = 1", "event.list[2][2].a = 1",
      "event.user.id = 'x'", "event.raw_data.x = 1", "event.new = 1", "context.now = 1",
      "context.mark = error" } do
      local _, reason, text = check(write)
      assert.equal("check-error", reason)
      assert.matches("read%-only", text)
    end
    for _, write in ipairs { "table.insert(event.list, 1)", "table.remove(event.list)",
      "table.sort(event.list)" } do
      assert.matches("table expected", (select(3, check(write))))
    end
  end)

  it("sees what is known from elsewhere of an event that does not say it", function()
    local rules = with_check [[return drop(table.concat({ event.user.id, event.user.role, event.cid,
      event.channel_type, event.channel_id, event.trust, context.trust, context.cid,
      context.direction }, " "))]]
    local verdict, _, decision = engine.decide(rules, '{"type":"poke"}',
      { direction = "out", trust = "any", sender = "zoe", cid = "messaging:there", role = "admin" })
    assert.same({ "drop", "zoe admin messaging:there messaging there user user messaging:there out" },
      { verdict, decision.text })
  end)

  it("has a context", function()
    assert.equal(("%d user messaging:general %d in"):format(engine.NOW, #EVENT),
      said [[string.format("%d %s %s %d %s", context.now, context.trust, context.cid, context.size,
        context.direction)]])
    assert.equal("false true false", said [[(function()
      local a = context.marked("bob", "m")
      context.mark("bob", "m", 10)
      local b = context.marked("bob", "m")
      context.mark("bob", "m", 0)
      return tostring(a) .. " " .. tostring(b) .. " " .. tostring(context.marked("bob", "m")) end)()]])
    assert.equal("2 5", said "context.count('k', 2, 60) .. ' ' .. context.count('k', 3, 60)")
    for _, call in ipairs { "context.marked('bob')", "context.marked(nil, 'x')",
      "context.mark('a', 'b', 0 / 0)", "context.mark('a', 'b', 1 / 0)", "context.count('k', 1, 0)",
      "context.count('k', 0 / 0, 1)", "context.count({}, 1, 1)", "context.mark(('x'):rep(1000), 'm', 1)",
      "context[1]" } do
      assert.equal("check-error", (select(2, check("local x = " .. call .. " return allow"))), call)
    end
  end)

  it("keeps nothing of a context but what is of the present call", function()
    local rules = engine_of [[
local kept
event "poke" { check = function(event, context)
  if kept then return drop(kept.cid .. " " .. kept.size) end
  kept = context
  return allow
end }]]
    assert.equal("allow", (engine.decide(rules, EVENT)))
    local text = '{"type":"poke","cid":"messaging:other"}'
    local _, _, decision = engine.decide(rules, text)
    assert.equal("messaging:other " .. #text, decision.text)
  end)

  it("keeps an event as long as it likes, within its memory", function()
    local rules = engine_of [[
local kept
event "poke" { check = function(event)
  local before = kept
  kept = event
  return before and drop(before.text .. before.list[2][2].a) or allow
end }]]
    assert.equal("allow", (engine.decide(rules, EVENT)))
    local _, _, decision = engine.decide(rules, '{"type":"poke"}')
    assert.equal("hellodeep", decision.text)
  end)
end)

describe("a budget", function()
  local SPIN = "while true do end"
  local LONG = { instructions = 1e12, seconds = 0.002 }
  local MANY = { instructions = 20000, seconds = 100 }
  local SMALL = { instructions = 1e12, seconds = 100, memory = 300000 }
  local TOO_MANY, TOO_LONG, TOO_MUCH = "budget-instructions", "budget-time", "budget-memory"

  for name, case in pairs {
    ["instructions of a loop"] = { SPIN, MANY, TOO_MANY },
    ["instructions of tail calls"] = { "local function f() return f() end f()", MANY, TOO_MANY },
    ["instructions of a sort"] = {
      "local t = {} for i = 1, 2000 do t[i] = i end table.sort(t)", MANY, TOO_MANY,
    },
    ["instructions of a comparison"] = {
      "table.sort({ 3, 2, 1 }, function() while true do end end)", MANY, TOO_MANY,
    },
    ["work on texts"] = { "local s = ('ab'):rep(50000) for i = 1, 100 do s:find('ac') end", MANY, TOO_MANY },
    ["work of one look that begins again and again"] = {
      "local s = ('a'):rep(20000) s:find(('a'):rep(10000) .. 'b')", MANY, TOO_MANY,
    },
    ["work of globs"] = {
      "local s = ('a'):rep(1000) for i = 1, 1000 do s:glob('*a*a*a*a*b') end", MANY, TOO_MANY,
    },
    ["work of pairs"] = {
      "local t = {} for i = 1, 500 do t[i] = i end while true do for _ in pairs(t) do break end end",
      MANY, TOO_MANY,
    },
    ["work of next"] = {
      "local t = {} for i = 1, 500 do t[i] = i end local k for i = 1, 500 do k = next(t, k) end",
      MANY, TOO_MANY,
    },
    ["time of a loop"] = { SPIN, LONG, TOO_LONG },
    ["time of C functions"] = { "local s = ('x'):rep(1000000) while true do s:upper() end", LONG, TOO_LONG },
    ["time of making texts"] = {
      "local s = ('x'):rep(1000000) while true do local t = s .. 'y' end", LONG, TOO_LONG,
    },
    ["time of comparing texts"] = {
      "local s = ('x'):rep(1000000) .. 'y' local t = ('x'):rep(1000001) while true do local u = s "
        .. "== t end", LONG, TOO_LONG,
    },
    ["time of garbage"] = { "while true do local t = { {}, {} } end", LONG, TOO_LONG },
    ["time of a rewrite"] = {
      "local t = {} for i = 1, 28 do t = { a = t, b = t } end return rewrite(t)", LONG, TOO_LONG,
    },
    ["memory by growth of a text"] = { "local s = 'x' while true do s = s .. s end", SMALL, TOO_MUCH },
    ["memory by one text"] = { "return drop(('x'):rep(1e9))", SMALL, TOO_MUCH },
    ["memory by a text of more than a quarter"] = {
      "local s = ('x'):rep(50000) local t = s .. s", SMALL, TOO_MUCH,
    },
    ["memory by a length that overflows"] = {
      "return drop(('xx'):rep(math.maxinteger, 'yy'))", SMALL, TOO_MUCH,
    },
    ["memory by growth of a table"] = { "local t = {} for i = 1, 1e9 do t[i] = i end", SMALL, TOO_MUCH },
    ["memory by many first allocations"] = { "local t = {} while true do t = { t } end", SMALL, TOO_MUCH },
    ["memory by closures"] = {
      "local f while true do local g = f f = function() return g end end", SMALL, TOO_MUCH,
    },
    ["memory by concat"] = {
      "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1000) end return drop(table.concat(t))",
      SMALL, TOO_MUCH,
    },
    ["memory by format"] = {
      "local s = ('x'):rep(60000) return drop(string.format('%s%s%s%s%s%s', s, s, s, s, s, s))",
      SMALL, TOO_MUCH,
    },
  } do
    it("ends the " .. name .. ", and the next call has a whole one", function()
      local rules = engine_of("local bad = true event 'poke' { check = function(event, context) "
        .. "if event.text == 'again' then return allow end " .. case[1] .. " end }", case[2])
      for _ = 1, 3 do
        local verdict, reason, decision = engine.decide(rules, EVENT)
        assert.same({ "drop", case[3] }, { verdict, reason }, decision.text)
        assert.equal("allow", (engine.decide(rules, '{"type":"poke","text":"again"}')))
      end
    end)
  end

  it("is not used up by what earlier calls left lying around", function()
    local rules = with_check("local t = {} for i = 1, 200 do t[i] = { i } end return allow",
      { memory = 300000, seconds = 100 })
    for _ = 1, 500 do assert.equal("allow", (engine.decide(rules, EVENT))) end
  end)

  it("is counted: instructions, bytes and seconds", function()
    local _, _, _, decision = check("for i = 1, 1000 do end return drop", { seconds = 100 })
    assert.is_true(decision.instructions >= 1000 and decision.instructions < 3000)
    _, _, _, decision = check("return drop(('x'):rep(100000))", { seconds = 100 })
    assert.is_true(decision.bytes >= 100000 and decision.bytes < 500000)
    assert.is_true(decision.seconds > 0)
    local function exactly(body) return select(4, check(body, nil, { trace = true })).instructions end
    local one, three = exactly "return drop", exactly "local a = event.text local b = a return drop"
    assert.is_true(one > 0 and one < three and three < 20)
  end)

  it("ends a stack that grows without end", function()
    for _, body in ipairs { "local function f() return 1 + f() end f()",
      "local function f(...) f(1, ...) end f()" } do
      local verdict, reason = check(body, { seconds = 100 })
      assert.equal("drop", verdict)
      assert.is_true(reason == TOO_MUCH or reason == "check-error" or reason == TOO_MANY, reason)
    end
  end)
end)

describe("a state that loads another file", function()
  it("decides nothing meanwhile, and goes on afterwards", function()
    local list, state = statements "event 'poke' { check = function() return flag end }"
    local rule = { name = "poke", kind = "event", extra = "keep", check = list[1].value.check.reference }
    local rules, answers = engine.engine_of({ rule }, { state = state }), {}
    local function ask() answers[#answers + 1] = { engine.decide(rules, EVENT) } end
    ask()
    statements("local x = include 'other.lua' assert(x == 5)", { state = state, read = function()
      ask()
      return "return 5"
    end })
    ask()
    assert.equal("the rules are being loaded", answers[2][3].text)
    for i = 1, 3 do answers[i][3] = nil end
    assert.same({ { "flag", "check" }, { "drop", "check-error" }, { "flag", "check" } }, answers)
  end)
end)

describe("an escape", function()
  for name, body in pairs {
    ["through a coroutine"] = "coroutine.wrap(function() end)()",
    ["through pcall"] = "pcall(error)",
    ["through load"] = "load('return 1')()",
    ["through a pattern"] = "return ('x'):match('.-.-.-b')",
    ["through the metatable of texts"] = "getmetatable('').__index.len = nil",
    ["through a finaliser"] = "setmetatable({}, { __gc = function() end })",
    ["through string.dump"] = "string.dump(function() end)",
    ["through the environment of a function"] = "getfenv(1)",
    ["through debug"] = "debug.sethook()",
    ["through the collector"] = "collectgarbage 'stop'",
    ["through a table of its own in place of the globals"] = "table.insert(_ENV, 1) error 'x'",
    ["through unpack with bounds that overflow"] = "table.unpack({}, 0, math.maxinteger)",
    ["through unpack with bounds at both ends"] = "table.unpack({}, math.mininteger, math.maxinteger)",
    ["through a format of an address"] = "return drop(string.format('%p', event))",
    ["through a format with a wide field"] = "return drop(string.format('%1000d', 1))",
    ["through a place far outside a text"]
      = "return drop(('x'):byte(1, 1e9) and utf8.codepoint('x', 1, 1e9))",
    ["through concat without an end"] = "return drop(table.concat({}, 'x', 1, math.maxinteger))",
  } do
    it(name .. " ends in a dropped event", function()
      local verdict, reason = check(body)
      assert.same({ "drop", "check-error" }, { verdict, reason })
    end)
  end

  it("leaves texts and globals of the program alone", function()
    local index, len = getmetatable("").__index, string.len
    check "string.len = nil"
    assert.equal(index, getmetatable("").__index)
    assert.equal(len, string.len)
    assert.is_nil(rawget(_G, "allow"))
    assert.is_nil(debug.gethook())
  end)
end)

describe("a state without memory", function()
  local TEXT = [[
local list = include "other.lua"
event "poke" { fields = { a = optional(string { max = 3 }), b = one_of { 1, "x" } },
  check = function(event, context)
    local s = {}
    for k, v in pairs(event) do s[#s + 1] = k .. tostring(v) end
    table.sort(s)
    context.mark(event.user.id, "x", 3)
    local text = table.concat(s, ","):upper():rep(20)
    if context.marked(event.user.id, "x") and list[1] == "q" then
      return rewrite { a = event.list, b = { text = string.format("%s %d", text, event.n) } }
    end
    return drop(text)
  end }]]

  local function load_into(state)
    return state:load("rules.lua", TEXT, { functions = FUNCTIONS, fields = FIELDS,
      read = function() return "return { 'q', 'r' }" end })
  end

  local function rules_of(state, list)
    local rule = { name = "poke", kind = "event", extra = "keep", check = list[1].value.check.reference }
    return engine.engine_of({ rule }, { state = state }, { breaches = 1000 })
  end

  it("answers cleanly whichever allocation fails, and is whole afterwards", function()
    local seen, n, whole = {}, 0, 0
    repeat
      local failed = "none"
      local state, kind = core.rule_state { fail_after = n, seconds = 100 }
      if not state then
        assert.equal("memory", kind)
        failed = "making"
      else
        local list
        list, kind = load_into(state)
        if not list then
          assert.equal("full", kind)
          failed = "loading"
          list = assert(load_into(state))
        end
        local rules = rules_of(state, list)
        local verdict, reason = engine.decide(rules, EVENT)
        if verdict ~= "rewrite" then
          assert.same({ "drop", "budget-memory" }, { verdict, reason })
          failed = "calling"
          verdict = engine.decide(rules, EVENT)
        end
        assert.equal("rewrite", verdict)
      end
      seen[failed] = (seen[failed] or 0) + 1
      whole = failed == "none" and whole + 1 or 0
      n = n + 1
    until whole == 4
    assert.is_true(seen.making > 50 and seen.loading > 50 and seen.calling > 30)
  end)

  it("answers cleanly under every cap", function()
    local seen = {}
    for cap = 1000, 150000, 211 do
      local state = core.rule_state { memory = cap, seconds = 100 }
      local list, kind
      if state then list, kind = load_into(state) end
      if list then
        local rules = rules_of(state, list)
        for _ = 1, 10 do
          local verdict, reason = engine.decide(rules, EVENT)
          assert.is_true(verdict == "rewrite" or reason == "budget-memory")
          seen[verdict] = true
        end
      else
        assert.is_true(state == nil or kind == "full", tostring(kind) .. cap)
        seen[state and "loading" or "making"] = true
      end
    end
    assert.is_true(seen.making and seen.rewrite)
    assert.is_true(seen.loading or seen.drop)
  end)
end)

describe("a function of the program's own", function()
  local verdicts = core.verdicts

  local function ask(f, which)
    local rule = { name = "poke", kind = "event", extra = "keep" }
    rule[which or "check"] = f
    local verdict, reason, decision = engine.decide(engine.engine_of { rule }, EVENT)
    return verdict, reason, decision.text, decision
  end

  it("answers with the same words", function()
    for _, case in ipairs {
      { function() return verdicts.allow end, "allow" },
      { function() return verdicts.drop end, "drop", "check" },
      { function() return verdicts.drop "no" end, "drop", "check", "no" },
      { function() return verdicts.flag "hm" end, "flag", "check", "hm" },
      { function() return verdicts.quarantine end, "quarantine", "check" },
      { function() return verdicts.drop(1) end, "drop", "bad-verdict", 'drop takes a text: drop "..."' },
      { function() return "allow" end, "drop", "bad-verdict", "check gave a string, which is no verdict" },
      { function() return { a = 1 } end, "drop", "bad-verdict", "check gave a table, which is no verdict" },
      { function() error "boo" end, "drop", "check-error" },
      { function() error({}) end, "drop", "check-error", "an error without a text" },
      { function() coroutine.yield() end, "drop", "check-error" },
    } do
      local verdict, reason, text = ask(case[1])
      assert.same({ case[2], case[3] }, { verdict, reason })
      if case[4] then assert.equal(case[4], text) end
    end
  end)

  it("does not run metamethods of what it answers", function()
    local function never() error "run" end
    local trap = setmetatable({ a = 1 },
      { __index = never, __pairs = never, __len = never, __tostring = never })
    local _, _, _, decision = ask(function() return trap end, "rewrite")
    assert.equal(1, core.json.decode(decision.changed).a)
    assert.equal("check-error", (select(2, ask(function() error(trap) end))))
  end)

  it("sees a frozen event and the context", function()
    local seen = {}
    ask(function(event, context)
      seen = { event.text, event.user.id, #event.list, event.list[2][2].a, context.cid, context.trust,
        context.marked("bob", "x"), pcall(function() event.list[1] = 2 end) }
      return verdicts.allow
    end)
    assert.matches("read%-only", table.remove(seen))
    assert.same({ "hello", "bob", 3, "deep", "messaging:general", "user", false, false }, seen)
  end)

  it("gets at nothing behind a frozen event, nor with its functions at anything else", function()
    local other = io.stdout -- a userdata of another kind, with no value of its own
    local failed = {}
    local verdict = ask(function(event)
      local meta = debug.getmetatable(event.object)
      for _, name in ipairs { "__index", "__len", "__pairs" } do
        failed[#failed + 1] = select(2, pcall(meta[name], other, "x"))
      end
      failed[#failed + 1] = select(2, pcall(meta.__pairs(event.object), other))
      failed[#failed + 1] = select(2, pcall(setmetatable, event.object, {}))
      return verdicts.flag(getmetatable(event.object))
    end)
    assert.same({ "flag", 5 }, { verdict, #failed })
    for i = 1, 4 do assert.matches("part of an event expected", failed[i]) end
  end)

  it("has no use for the context afterwards", function()
    local kept
    ask(function(_, context) kept = context return verdicts.allow end)
    assert.error_matches(function() return kept.now end, "only good while its rule runs")
  end)

  it("may lead to another decision", function()
    local inner = engine.engine_of { { name = "poke", kind = "event", extra = "keep",
      check = function(_, context) return verdicts.drop(context.cid) end } }
    local _, _, text = ask(function(_, context)
      local _, _, decision = engine.decide(inner, '{"type":"poke","cid":"m:inner"}')
      return verdicts.drop(decision.text .. " " .. context.cid)
    end)
    assert.equal("m:inner messaging:general", text)
  end)
end)
