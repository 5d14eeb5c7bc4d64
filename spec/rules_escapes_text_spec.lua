--- Rule files that are wrong on purpose: byte code, texts that burden the parser, statements that are
--- none, includes that lead elsewhere. A file is the operator's, who may be wrong or deceived; it ends
--- in an error that can be shown, or in rules that hold. See support.rule_case.
local lua = require "support.lua"
local rule_case = require "support.rule_case"

local MIB = 1024 * 1024
local CHECK = 'event "attack" { extra = "keep", check = function(event, context) return allow end }\n'

local function file(name, source, expected, text, more)
  local case = { name, source, expected, "", text = text }
  for key, value in pairs(more or {}) do case[key] = value end
  return case
end

-- What this Lua may read otherwise than another one does; the rules that are then there must hold.
local function doubtful(name, source, text)
  return file(name, source, rule_case.is_lua(text) and "allow|load|undeclared-type" or "load", text,
    { spoilt = true })
end

local function refused(name, source, text, more) return file(name, source, "load", text, more) end

-- A function with constants, an upvalue and a loop, as byte code.
local function attack_code(strip)
  return string.dump(assert(lua.load(CHECK .. "for i = 1, 3 do local _ = i .. 'x' end")), strip)
end

local byte_code = {
  refused("of this Lua", "Redis #13555", attack_code()),
  refused("of this Lua, stripped", "kikito/sandbox", attack_code(true)),
  refused("that is cut off", "", attack_code():sub(1, 60)),
  refused("that is damaged", "", (attack_code():gsub("attack", ("\255"):rep(6)))),
  refused("behind a comment for the shell", "", "#!/usr/bin/lua\n" .. attack_code()),
  refused("behind a byte order mark", "", "\239\187\191" .. attack_code()),
  refused("behind both", "", "\239\187\191#!lua\n" .. attack_code()),
  refused("behind a blank", "", " " .. attack_code()),
  refused("from an include", "Luanti #7621", 'include "code.lua"\n' .. CHECK,
    { read = function() return attack_code() end }),
  refused("from an include, behind a comment for the shell", "", 'include "code.lua"\n' .. CHECK,
    { read = function() return "#\n" .. attack_code() end }),
}
for _, version in ipairs { 0x24, 0x32, 0x40, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0xFF } do
  byte_code[#byte_code + 1] = refused(("by its header: Lua %X"):format(version), "",
    "\27Lua" .. string.char(version) .. ("\0"):rep(200))
end
for version = 1, 3 do
  byte_code[#byte_code + 1] = refused("by its header: LuaJIT " .. version, "Redis #13555",
    "\27LJ" .. string.char(version) .. ("\2"):rep(200))
end
byte_code[#byte_code + 1] = refused("by its first byte alone", "", "\27")

local BIG = { limits = { memory = 8 * MIB, instructions = 10000000 } }

-- Much of something, where a parser would go too deep or count too far.
local function nested(open, close, count, middle)
  return "local x = " .. open:rep(count) .. (middle or "1") .. close:rep(count) .. "\n" .. CHECK
end
local function blocks(open, count)
  return open:rep(count) .. (" end"):rep(count) .. "\n" .. CHECK
end

local function names(count)
  local list = {}
  for i = 1, count do list[i] = "v" .. i end
  return table.concat(list, ", ")
end

local parser = {
  refused("300 parentheses", "foundations", nested("(", ")", 300), BIG),
  refused("100000 parentheses", "", nested("(", ")", 100000), BIG),
  refused("100000 parentheses that are never closed", "", "x = " .. ("("):rep(100000), BIG),
  refused("100000 tables in each other", "", nested("{", "}", 100000), BIG),
  refused("10000 functions in each other", "", nested("function() return ", " end", 10000), BIG),
  refused("10000 blocks in each other", "", blocks("do ", 10000), BIG),
  refused("10000 conditions in each other", "", blocks("if true then ", 10000), BIG),
  refused("10000 loops in each other", "", blocks("while false do ", 10000), BIG),
  refused("10000 minus signs", "", nested("- ", "", 10000), BIG),
  refused("10000 nots", "", nested("not ", "", 10000), BIG),
  refused("10000 texts joined", "", "local x = 'a'" .. (" .. 'a'"):rep(10000) .. "\n" .. CHECK, BIG),
  refused("10000 powers", "", "local x = 1" .. (" ^ 1"):rep(10000) .. "\n" .. CHECK, BIG),
  file("10000 sums", "", "allow|load", "local x = 1" .. (" + 1"):rep(10000) .. "\n" .. CHECK, BIG),
  refused("10000 calls of nothing", "", "local x = nil" .. "\nx" .. ("()"):rep(10000) .. "\n" .. CHECK, BIG),
  refused("10000 names behind each other", "",
    "local x = {}\nx = x" .. (".a"):rep(10000) .. "\n" .. CHECK, BIG),
  refused("10000 else-ifs that are not closed", "", "if x then" .. (" elseif x then"):rep(10000), BIG),
  file("10000 else-ifs", "", "allow|load",
    "local x\nif x then" .. (" elseif x then"):rep(10000) .. " end\n" ..
    CHECK, BIG),
  refused("a long bracket without end", "Redis CVE-2025-46819", "x = [" .. ("="):rep(1000000), BIG),
  refused("a long bracket that does not begin", "Redis CVE-2025-46819",
    "x = [" .. ("="):rep(1000000) .. "x", BIG),
  refused("a long text without end", "Redis CVE-2025-46819",
    "x = [" .. ("="):rep(10000) .. "[" .. ("]="):rep(100000), BIG),
  refused("a long text that nearly ends", "Redis CVE-2025-46819",
    "x = [" .. ("="):rep(10000) .. "[ ]" .. ("="):rep(9999) .. "]", BIG),
  file("a long bracket that ends", "Redis CVE-2025-46819", "allow|load",
    "local x = [" .. ("="):rep(10000) .. "[x]" .. ("="):rep(10000) .. "]\n" .. CHECK, BIG),
  refused("a comment without end", "", "--[==[" .. ("x"):rep(100000), BIG),
  refused("a text without end", "", "x = 'abc", BIG),
  refused("a text that ends in an escape", "", "x = 'abc\\", BIG),
  refused("a text that skips to the end", "", "x = 'abc\\z   \n\n\n", BIG),
  refused("a byte over 255", "", "local x = '\\999'\n" .. CHECK),
  doubtful("a byte of one digit", "", "local x = '\\x1'\n" .. CHECK),
  refused("a character without end", "", "local x = '\\u{7FFF"),
  doubtful("a character beyond all", "", "local x = '\\u{FFFFFFFFFFFFFFFFFFFF}'\n" .. CHECK),
  file("the last character there could be", "", "allow|load", "local x = '\\u{7FFFFFFF}'\n" .. CHECK),
  refused("a number that is none", "", "local x = 0x\n" .. CHECK),
  refused("a number with letters", "", "local x = 12abc\n" .. CHECK),
  refused("a number of a million digits with a letter", "",
    "local x = " .. ("9"):rep(1000000) .. "z\n" .. CHECK,
    BIG),
  file("a number of 100000 digits", "", "allow|load",
    "local x = " .. ("9"):rep(100000) .. "\n" .. CHECK, BIG),
  file("a number that is infinite", "", "allow|load", "local x = 1e99999\n" .. CHECK),
  file("a name of a million letters", "", "allow|load", "local " .. ("n"):rep(1000000) .. "\n" .. CHECK, BIG),
  refused("a name of a million letters that nobody knows", "CVE-2022-33099",
    ("n"):rep(1000000) .. "()\n" .. CHECK,
    BIG),
  refused("an error at a text of a million letters", "CVE-2020-24342",
    "x x '" .. ("n"):rep(1000000) .. "'", BIG),
  file("a text of a million letters", "", "allow|load",
    "local x = '" .. ("n"):rep(1000000) .. "'\n" .. CHECK, BIG),
  refused("201 local names", "", "local " .. names(201) .. "\n" .. CHECK, BIG),
  refused("300 upvalues", "", ("do local a, b, c end\n"):rep(3) .. "local " .. names(150) ..
    "\nlocal function f()\nlocal w = {}\nreturn function() return " .. names(150) .. ", " ..
    (names(150):gsub("v", "w.v")) .. ", x end end\nx = f\n" .. CHECK, BIG),
  refused("256 parameters", "CVE-2014-5461", "local function f(" .. names(256) .. ") end\n" .. CHECK, BIG),
  file("250 arguments", "CVE-2014-5461", "allow|load",
    "local function f(...) return ... end\nf(" .. ("1, "):rep(249) .. "1)\n" .. CHECK, BIG),
  file("100000 constants", "", "allow|load", "local x = { " .. (function()
    local list = {}
    for i = 1, 100000 do list[i] = i + 0.5 end
    return table.concat(list, ", ")
  end)() .. " }\n" .. CHECK, BIG),
  file("100000 statements", "", "allow|load", "local x = 1\n" .. ("x = x\n"):rep(100000) .. CHECK, BIG),
  file("a loop that is too long to jump back", "", "allow|load",
    "local x = 1\nwhile x == 0 do\n" .. ("x = x\n"):rep(100000) .. "end\n" .. CHECK, BIG),
  file("1000000 lines", "", "allow|load", ("\n"):rep(1000000) .. CHECK, BIG),
  refused("an error in line 1000000", "", ("\n"):rep(999999) .. "x x", BIG),
  refused("a label that is missing", "", "goto nowhere\n" .. CHECK),
  refused("a label that is there twice", "", "::a:: ::a::\n" .. CHECK),
  refused("a jump into the scope of a name", "", "goto a\nlocal x\n::a::\nx = 1\n" .. CHECK),
  refused("a jump into a block", "", "goto a\ndo ::a:: end\n" .. CHECK),
  refused("a break of nothing", "", "break\n" .. CHECK),
  refused("an attribute that is none", "", "local x <evil> = 1\n" .. CHECK),
  refused("a constant that is set", "", "local x <const> = 1\nx = 2\n" .. CHECK),
  refused("two names to be closed at once", "", "local x <close>, y <close> = nil, nil\n" .. CHECK),
  refused("variable arguments where there are none", "", "local function f() return ... end\n" .. CHECK),
  refused("a constant environment", "CVE-2022-28805",
    "local _ENV <const> = {}\nlocal function f() return x.y end\nf()"),
  refused("a constant environment that is nothing", "CVE-2022-28805",
    "local _ENV <const> = nil\nlocal x = y"),
  doubtful("zero", "", "local x = 1\0\n" .. CHECK),
  file("zero in a text", "", "allow|load", "local x = 'a\0b'\n" .. CHECK),
  refused("zero at its beginning", "", "\0" .. CHECK),
  doubtful("bytes beyond ASCII for a name", "", "local \195\164 = 1\n" .. CHECK),
  file("bytes beyond ASCII in a comment", "", "allow", "-- \255\254\195\n" .. CHECK),
  file("a byte order mark", "", "allow|load", "\239\187\191" .. CHECK),
  file("half a byte order mark", "", "load", "\239\187" .. CHECK),
  file("a comment for the shell", "", "allow|load", "#!/usr/bin/env lua\n" .. CHECK),
  doubtful("a comment for the shell and nothing else", "", "#"),
  refused("an error that would be a line of its own", "", "x x\27[2J\r\n" .. CHECK),
}
-- Byte for byte: a file that ends anywhere.
for length = 1, #CHECK - 2, 3 do
  parser[#parser + 1] = file(("a file cut after %d bytes"):format(length), "", "load", CHECK:sub(1, length))
end
for index = 0, 255, 5 do
  parser[#parser + 1] = file(("a file with the byte %d in it"):format(index), "", "allow|load",
    ("local x = 1 %s\n"):format(string.char(index)) .. CHECK)
end

local function running(name, source, text, more)
  local case = refused(name, source, text .. "\n" .. CHECK, more)
  return case
end

local loading = {
  running("turns for ever", "mozilla lua_sandbox", "while true do end"),
  running("turns for ever by tail calls", "mesecons #241", "local function f() return f() end f()"),
  running("turns for ever in a comparator", "", "table.sort({ 1, 2 }, function() while true do end end)"),
  running("takes all memory", "mesecons #516", "local s = 'x' while true do s = s .. s end"),
  running("takes all memory by a table", "", "local t = {} for i = 1, 1e9 do t[i] = i end",
    { limits = { instructions = 1000000000 } }),
  running("takes all memory while the parser needs it", "CVE-2025-49844",
    "local t = {} for i = 1, 100 do t[i] = ('x'):rep(10000) end error(t[1])"),
  running("goes too deep", "", "local function f() return 1 + f() end f()"),
  running("raises a text", "", "error 'no'", { message = "no" }),
  running("raises a table", "", "error {}"),
  running("raises a verdict", "", "error(allow)"),
  running("raises nothing", "", "error()"),
  running("raises a text of a million letters", "", "error(('x'):rep(60000))"),
  running("raises broken text", "", "error '\\255\\0\\27[2J'"),
  running("sets a global", "Redis #2854", "stolen = 1"),
  running("makes a global function", "", "function stolen() end"),
  running("changes a library", "CVE-2022-24735", "string.rep = nil"),
  running("changes a word of its own", "", "event = nil"),
  running("changes the environment", "", "_ENV = {}"),
  running("reads what is not there", "", "local x = require 'os'"),
  running("looks at an event", "", "local x = event.text"),
  running("looks at the context", "", "local x = context.now"),
  file("gives a verdict, and ends", "", "undeclared-type|load",
    "do return allow end\n" .. CHECK, { spoilt = true }),
  running("uses what a statement gives", "", "local x = (refuse 'a').x"),
  running("declares in a loop without end", "", "local i = 0 while true do i = i + 1 refuse('n' .. i) end"),
  running("declares the same again and again", "", "while true do refuse 'same' end"),
  running("declares a long list", "", "local t = {} for i = 1, 1e7 do t[i] = 'n' .. i end refuse(t)",
    { limits = { instructions = 1000000000 } }),
  file("declares a thousand in a loop", "", "allow", "for i = 1, 1000 do refuse('n' .. i) end\n" .. CHECK,
    { limits = { instructions = 1000000, memory = 4 * MIB } }),
  file("keeps a verdict", "", "allow", "local kept = drop 'x'\n" .. CHECK),
  file("has a helper that turns for ever, and does not call it", "", "allow",
    "local function f() while true do end end\n" .. CHECK),
}

-- Each of these is where a name, a value or a table is expected.
local HOSTILE = {
  "nil", "true", "0", "-1", "1.5", "0/0", "math.huge", "-math.huge", "math.mininteger", "''", "' '", "'\\0'",
  "'a\\0b'", "'a\\nb'", "'\\255'", "('x'):rep(300)", "('x'):rep(60000)", "'*'", "'**'", "'a*b'", "'a**'",
  "{}", "{ {} }", "{ {}, x = {} }", "{ [1.5] = 1 }", "{ [true] = 1 }", "{ nil, 2 }", "{ [1 << 40] = 'x' }",
  "{ [0] = 'x' }", "function() end", "string", "string {}", "math", "string.rep", "allow", "drop", "drop 'x'",
  "rewrite {}", "event", "refuse", "include", "one_of", "optional", "optional(string)", "one_of { 1 }",
  "none_of 'x'", "(function() local t = {} t.t = t return t end)()",
  "(function() local t = {} t[1] = t return t end)()",
  "(function() local t = {} for _ = 1, 1000 do t = { t } end return t end)()",
  "(function() local t = {} for _ = 1, 1000 do t = { x = t } end return t end)()",
  "(function() local t = {} for _ = 1, 1000 do t = { fields = { f = object(t) } } end return t end)()",
  "(function() local t = string for _ = 1, 1000 do t = array { items = t } end return t end)()",
  "(function() local t = {} t.fields = { f = object(t) } return t end)()",
  "(function() local t = { 'x' } for _ = 1, 20 do t = { t, t } end return t end)()",
}
-- Where each of them stands. A place may well have a use for it: then there are rules, and they hold.
local PLACES = {
  ["event NAME"] = "event(%s) { extra = 'keep' }",
  ["event VALUE"] = "event 'other' (%s)",
  ["refuse"] = "refuse(%s)",
  ["honeypot NAME"] = "honeypot(%s)",
  ["honeypot VALUE"] = "honeypot 'trap' (%s)",
  ["honeypot seconds"] = "honeypot 'trap' { seconds = %s }",
  ["honeypot mark"] = "honeypot 'trap' { mark = %s }",
  ["default"] = "default(%s)",
  ["mode"] = "mode(%s)",
  ["include"] = "include(%s)",
  ["fields"] = "event 'other' { fields = %s }",
  ["a field"] = "event 'other' { fields = { f = %s } }",
  ["a field's min"] = "event 'other' { fields = { f = string { min = %s } } }",
  ["an integer's max"] = "event 'other' { fields = { f = integer { max = %s } } }",
  ["starts_with"] = "event 'other' { fields = { f = string { starts_with = %s } } }",
  ["glob"] = "event 'other' { fields = { f = string { glob = %s } } }",
  ["one_of"] = "event 'other' { fields = { f = one_of(%s) } }",
  ["optional"] = "event 'other' { fields = { f = optional(%s) } }",
  ["items"] = "event 'other' { fields = { f = array { items = %s } } }",
  ["keys"] = "event 'other' { fields = { f = object { keys = %s, each = any } } }",
  ["each"] = "event 'other' { fields = { f = object { each = %s } } }",
  ["object"] = "event 'other' { fields = { f = object(%s) } }",
  ["extra"] = "event 'other' { extra = %s }",
  ["trust"] = "event 'other' { extra = 'keep', trust = %s }",
  ["from"] = "event 'other' { extra = 'keep', from = %s }",
  ["from.user"] = "event 'other' { extra = 'keep', from = { user = %s } }",
  ["from.cid"] = "event 'other' { extra = 'keep', from = { cid = none_of(%s) } }",
  ["size"] = "event 'other' { extra = 'keep', size = %s }",
  ["rate"] = "event 'other' { extra = 'keep', rate = %s }",
  ["rate.count"] = "event 'other' { extra = 'keep', rate = { count = %s, seconds = 1 } }",
  ["rate.seconds"] = "event 'other' { extra = 'keep', rate = { count = 1, seconds = %s } }",
  ["rate.per"] = "event 'other' { extra = 'keep', rate = { count = 1, seconds = 1, per = %s } }",
  ["check"] = "event 'other' { extra = 'keep', check = %s }",
  ["rewrite"] = "event 'other' { extra = 'keep', rewrite = %s }",
  ["quarantine"] = "event 'other' { extra = 'keep', quarantine = %s }",
  ["flag"] = "event 'other' { extra = 'keep', flag = %s }",
  ["examples"] = "event 'other' { extra = 'keep', examples = %s }",
  ["an example"] = "event 'other' { extra = 'keep', examples = { allow = { %s } } }",
  ["an example's data"] = "event 'other' { extra = 'keep', examples = { allow = { { d = %s } } } }",
  ["an example's user"] = "event 'other' { extra = 'keep', examples = { drop = { { user = %s } } } }",
  ["a rule's mode"] = "event 'other' { extra = 'keep', mode = %s }",
}
local values = {}
for place, template in pairs(PLACES) do
  local cases = {}
  for i, value in ipairs(HOSTILE) do
    cases[i] = file(value, "", "allow|load", template:format((value:gsub("%%", "%%%%"))) .. "\n" .. CHECK,
      { read = function() return "return 1" end, limits = { instructions = 2000 } })
  end
  values[#values + 1] = { place = place, cases = cases }
end
table.sort(values, function(a, b) return a.place < b.place end)

local function reading(files)
  return function(name)
    local text = files[name]
    if type(text) == "function" then return text(name) end
    if text then return text end
    return nil, "no such file"
  end
end

local asked = {}
local function never(name)
  asked[#asked + 1] = name
  return "return 1"
end

local includes = {}
for _, name in ipairs { "../x.lua", "/etc/passwd", "..", "", "a/b.lua", "./x.lua", "a\\\\b.lua",
  "x\\0.lua",
  "x.lua\\0/../../etc/passwd", "/", "~/x.lua", "C:x.lua", "..\\\\x.lua", "x\\n.lua" } do
  includes[#includes + 1] = refused('"' .. name .. '"', "Luanti #7621",
    ('include "%s"\n'):format(name) .. CHECK, { read = never })
end
for _, name in ipairs { "x.lua:", "http:x.lua", "-", ".", "\\255.lua", "-x.lua", "CON",
  ("n"):rep(300) .. ".lua", "*.lua",
  "$HOME",
  "`id`", "|id" } do
  includes[#includes + 1] = file('"' .. name:sub(1, 20) .. '" is a name like another, or refused', "",
    "allow|load",
    ('include "%s"\n'):format(name) .. CHECK, { read = function() return "return 1" end })
end
for _, case in ipairs {
  refused("what is not there", "", 'include "gone.lua"\n' .. CHECK, { read = reading {} }),
  refused("itself", "", 'include "attack.lua"\n' .. CHECK,
    { read = reading { ["attack.lua"] = 'include "attack.lua"\n' .. CHECK } }),
  refused("a circle of two", "", 'include "a.lua"\n' .. CHECK,
    { read = reading { ["a.lua"] = 'include "b.lua"', ["b.lua"] = 'include "a.lua"' } }),
  refused("a chain without end", "", 'include "n1.lua"\n' .. CHECK, { read = function(name)
    return ('include "n%d.lua"'):format(tonumber(name:match "%d+") + 1)
  end, limits = { memory = 8 * MIB, instructions = 10000000 } }),
  refused("others without end",
    "", 'local i = 0 while true do i = i + 1 include("n" .. i .. ".lua") end\n' .. CHECK,
    { read = function() return "return {}" end }),
  file("the same one a hundred times", "Luanti #10877", "allow",
    'for _ = 1, 100 do include "a.lua" end\n' .. CHECK, { read = reading { ["a.lua"] = "return {}" } }),
  refused("what is no Lua",
    "", 'include "a.lua"\n' .. CHECK, { read = reading { ["a.lua"] = "root:x:0:0" } }),
  refused("what raises", "", 'include "a.lua"\n' .. CHECK, { read = reading { ["a.lua"] = "error {}" } }),
  refused("what turns for ever", "", 'include "a.lua"\n' .. CHECK,
    { read = reading { ["a.lua"] = "while true do end" } }),
  refused("what sets a global", "Luanti #10877", 'include "a.lua"\n' .. CHECK,
    { read = reading { ["a.lua"] = "stolen = 1" } }),
  refused("what changes the environment", "", 'include "a.lua"\n' .. CHECK,
    { read = reading { ["a.lua"] = "string.rep = nil" } }),
  file("what changes its own environment only", "", "allow|load", 'include "a.lua"\n' .. CHECK,
    { read = reading { ["a.lua"] = "_ENV = {}" } }),
  refused("megabytes", "", 'include "a.lua"\n' .. CHECK, { read = function() return ("-"):rep(4 * MIB) end }),
  refused("a text that is longer than the memory", "", 'include "a.lua"\n' .. CHECK,
    { read = function() return "return '" .. ("x"):rep(2 * MIB) .. "'" end }),
  refused("a number", "", 'include(1)\n' .. CHECK, { read = never }),
  refused("two names", "", 'include("a.lua", "/etc/passwd").x()\n' .. CHECK, { read = never }),
  refused("an answer that is no text", "", 'include "a.lua"\n' .. CHECK, { read = function() return {} end }),
  refused("an answer of nothing", "", 'include "a.lua"\n' .. CHECK, { read = function() end }),
} do includes[#includes + 1] = case end

local GROUPS = {
  ["byte code"] = byte_code,
  ["a text for the parser:"] = parser,
  ["a file that"] = loading,
  ["an include of"] = includes,
}

setup(rule_case.warm_up)
before_each(function() asked = {} end)

for name, cases in pairs(GROUPS) do
  describe(name, function()
    for _, case in ipairs(cases) do
      it(rule_case.title(case), function()
        rule_case.run(case)
        for _, path in ipairs(asked) do assert.is_falsy(path:find "[/\\%z]" or path:find "^%.") end
      end)
    end
  end)
end

describe("anything at all as", function()
  for _, place in ipairs(values) do
    it(place.place, function() rule_case.run_all(place.cases) end)
  end
end)

describe("the texts' part of the corpus", function()
  it("leaves nothing in the host's memory", function()
    local bytes = rule_case.growth(GROUPS)
    assert.is_true(bytes < 256 * 1024, bytes)
  end)
end)
