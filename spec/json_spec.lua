--- The strict JSON decoder and encoder of the C core.
local lua = require "support.lua"
local uv = require "luv"
local core = require "stream_events.core"
local json = core.json

local function decoded(text)
  local value, kind, message = json.decode(text)
  assert(kind == nil, message)
  return value
end

--- What is refused, and the byte where it shows.
local BAD = {
  -- structure
  { "", 1 }, { " ", 2 }, { "[", 2 }, { "{", 2 }, { "]", 1 }, { "}", 1 }, { "[1", 3 }, { "[1,", 4 },
  { "[1,]", 4 }, { "[,1]", 2 }, { "[1,,2]", 4 }, { "[1 2]", 4 }, { "[1}", 3 }, { '{"a":1]', 7 },
  { "[1]]", 4 }, { "{}{}", 3 }, { "1 2", 3 }, { "[][", 3 }, { "[]x", 3 }, { "[]\0", 3 },
  { '{"a"}', 5 }, { '{"a":}', 6 }, { '{"a":1,}', 8 }, { '{,"a":1}', 2 }, { '{"a":1 "b":2}', 8 },
  { '{"a",1}', 5 }, { "{a:1}", 2 }, { "{1:1}", 2 }, { "{'a':1}", 2 }, { '{"a"::1}', 6 },
  { '{"a":1,,"b":2}', 8 }, { "{null:1}", 2 }, { "{[]:1}", 2 }, { '{"a":1,"b"}', 11 },
  { ":", 1 }, { ",", 1 }, { '["a":1]', 5 }, { "[1;2]", 3 }, { "(1)", 1 }, { "<html>", 1 },
  { "/* c */1", 1 }, { "[1]// c", 4 }, { "# c", 1 }, { "=1", 1 }, { "@", 1 }, { "*", 1 },
  { "[\v1]", 2 }, { "[\f1]", 2 }, { "[\xC2\xA01]", 2 }, { "\xEF\xBB\xBF1", 1 }, { "\0", 1 },
  -- words
  { "tru", 4 }, { "truE", 1 }, { "True", 1 }, { "TRUE", 1 }, { "fals", 5 }, { "falsy", 1 },
  { "nul", 4 }, { "nil", 1 }, { "Null", 1 }, { "nulll", 5 }, { "truefalse", 5 }, { "undefined", 1 },
  { "NaN", 1 }, { "nan", 1 }, { "Infinity", 1 }, { "-Infinity", 2 }, { "inf", 1 }, { "-nan", 2 },
  { "yes", 1 }, { "[t", 3 }, { "[n]", 2 },
  -- numbers
  { "-", 2 }, { "+1", 1 }, { "--1", 2 }, { "01", 1 }, { "-01", 2 }, { "00", 1 }, { "1.", 3 },
  { ".5", 1 }, { "-.5", 2 }, { "1.e1", 3 }, { "1e", 3 }, { "1e+", 4 }, { "1e-", 4 }, { "1E+ 1", 4 },
  { "1e1.5", 4 }, { "1.2.3", 4 }, { "0x10", 2 }, { "1_000", 2 }, { "1,5", 2 }, { "0e", 3 },
  { "1a", 2 }, { "[1-2]", 3 }, { "- 1", 2 }, { "1e999", 1 }, { "-1e999", 1 }, { "[1,1e309]", 4 },
  { "1.8e308", 1 }, { "\xEF\xBC\x91", 1 }, { "012", 1 }, { "1ee1", 3 }, { "1e00000000000000999", 1 },
  { ("9"):rep(400), 1 },
  -- strings
  { '"', 2 }, { '"a', 3 }, { '"\\"', 4 }, { "'a'", 1 }, { '"a\nb"', 3 }, { '"a\tb"', 3 },
  { '"a\0b"', 3 }, { '"\x1F"', 2 }, { '"\\x41"', 3 }, { '"\\a"', 3 }, { '"\\\0"', 3 }, { '"\\0"', 3 },
  { '"\\', 3 }, { '"\\u', 4 }, { '"\\u12', 6 }, { '"\\u12"', 6 }, { '"\\u00g0"', 6 }, { '"\\U0041"', 3 },
  { '"\\u 041"', 4 }, { '"\\u-041"', 4 }, { '"\\u00A"', 7 }, { '"\\ "', 3 }, { '"\\\n"', 3 },
  { '"\\ud800"', 2 }, { '"\\uDBFFx"', 2 }, { '"\\udc00"', 2 }, { '"\\ud800\\n"', 2 },
  { '"\\ud800\\ud800"', 2 }, { '"\\ud800\\u0041"', 2 }, { '"a\\uDFFF\\uD800"', 3 },
  { '"\\ud800', 8 }, { '"\\ud800\\', 9 }, { '"\\ud800\\u', 10 }, { '"\\ud800\\udc0"', 13 },
  { ('"%s\1"'):format(("x"):rep(100)), 102 }, { ('"%s'):format(("x"):rep(100)), 102 },
  { "[\"a\"x]", 5 }, { '"a""b"', 4 },
  -- UTF-8
  { '"\x80"', 2 }, { '"\xC0\x80"', 2 }, { '"\xC1\xBF"', 2 }, { '"\xC3"', 2 }, { '"\xE2\x82"', 2 },
  { '"\xE0\x80\x80"', 2 }, { '"\xED\xA0\x80"', 2 }, { '"\xF0\x80\x80\x80"', 2 },
  { '"\xF4\x90\x80\x80"', 2 }, { '"\xF5\x80\x80\x80"', 2 }, { '"\xFF"', 2 }, { '"a\xFE"', 3 },
  { '{"\xE9":1}', 3 }, { ('"%s\xFF%s"'):format(("x"):rep(40), ("y"):rep(40)), 42 },
  -- what the grammar allows and this does not
  { '{"a":1,"a":1}', 8 }, { '{"":1,"":2}', 7 }, { '{"a":1,"\\u0061":2}', 8 },
  { '{"a":{},"b":1,"a":[]}', 15 },
  { ("["):rep(33) .. ("]"):rep(33), 33 }, { ('{"a":'):rep(33) .. "1" .. ("}"):rep(33), 161 },
  { ("["):rep(100000), 33 },
}

local GOOD = {
  { "null", json.null }, { "true", true }, { "false", false }, { '""', "" }, { '"a"', "a" },
  { " \t\r\n1 \t\r\n", 1 },
  { '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\/\b\f\n\r\t' },
  { '"\\u0000"', "\0" }, { '"\\u001f\x7F"', "\x1F\x7F" }, { '"\\u00e9\\u00C9"', "éÉ" },
  { '"\\u20ac"', "€" }, { '"\\uFFFF\\uFFFD"', "\u{FFFF}\u{FFFD}" },
  { '"\\ud83d\\ude00"', "😀" }, { '"\\uDBFF\\uDFFF"', "\u{10FFFF}" }, { '"\\uD800\\uDC00"', "\u{10000}" },
  { '"é€😀"', "é€😀" }, { '"\u{2028}\u{2029}"', "\u{2028}\u{2029}" },
  { ('"%s\\n%s"'):format(("x"):rep(31), ("y"):rep(700)), ("x"):rep(31) .. "\n" .. ("y"):rep(700) },
  { '"\\\\u0041"', "\\u0041" }, { '"constructor"', "constructor" },
}

local ZERO = 0.0
local NEGATIVE_ZERO = -ZERO -- Lua 5.1 does not tell two constants apart that are equal

local NUMBERS = {
  { "0", 0 }, { "-1", -1 }, { "10", 10 }, { "9007199254740993", 9007199254740993 },
  { "9223372036854775807", lua.MAX_INTEGER }, { "-9223372036854775808", lua.MIN_INTEGER },
  { "9223372036854775808", 2.0 ^ 63 }, { "-9223372036854775809", -2.0 ^ 63 },
  { "18446744073709551615", 18446744073709551615.0 },
  { "123456789012345678901234567890", 1.2345678901234568e29 },
  { "-0", NEGATIVE_ZERO }, { "-0.0", NEGATIVE_ZERO }, { "0.0", 0.0 }, { "1.0", 1.0 },
  { "1e0", 1.0 }, { "1E2", 100.0 },
  { "1e+2", 100.0 }, { "100e-2", 1.0 }, { "0.1", 0.1 }, { "-12.5", -12.5 }, { "1e300", 1e300 },
  { "1e-999", 0.0 }, { "-1e-999", NEGATIVE_ZERO }, { "5e-324", 5e-324 },
  { "2.2250738585072011e-308", 2.2250738585072011e-308 },
  { "1.7976931348623157e308", 1.7976931348623157e308 }, { "1e23", 1e23 }, { "8.5e-23", 8.5e-23 },
  { "9007199254740993.0", 9007199254740992.0 },
  { "9007199254740992.99999999999999999999", 9007199254740992.0 },
  { "9007199254740993.00000000000000000000000000000000001", 9007199254740994.0 },
  { "0." .. ("0"):rep(400) .. "1e401", 1.0 }, { "1" .. ("0"):rep(400) .. "e-400", 1.0 },
  { "0e99999999999999999999", 0.0 }, { "1e-99999999999999999999", 0.0 }, { "1e0000000000000000002", 100.0 },
  { "0." .. ("3"):rep(900), 1 / 3 }, { "0.5" .. ("0"):rep(900) .. "1", 0.5 },
}

--- A document with everything in it, for truncation.
local RICH = '{"type":"flare","list":[1,-2.5e+3,true,false,null,"a\\u00e9\\ud83d\\ude00é"],'
  .. '"deep":{"a":{"b":[[],{}]}},"s":"' .. ("long "):rep(12) .. '"}'

local MIXED = "a table with keys that are neither 1 to n nor all strings cannot be encoded"

local function same_number(a, b)
  return lua.number_type(a) == lua.number_type(b) and a == b and (a ~= 0 or 1 / a == 1 / b)
end

describe("json.decode", function()
  it("refuses what is no JSON, with the byte where it shows", function()
    for _, case in ipairs(BAD) do
      local value, kind, message, position = json.decode(case[1])
      local name = ("%q: %s"):format(case[1]:sub(1, 60), message)
      assert.is_nil(value, name)
      assert.equal("protocol", kind, name)
      assert.equal(case[2], position, name)
      assert.truthy(message:find(" at byte " .. case[2], 1, true), name)
    end
  end)

  it("says what is wrong", function()
    for text, reason in pairs {
      ['{"x":1,"type":1,"type":2}'] = "duplicate key 'type' at byte 17",
      ["[1e999]"] = "number too large at byte 2",
      ['"\\ud800"'] = "lone surrogate at byte 2",
      ["[007]"] = "leading zero at byte 2",
      ['"\xFF"'] = "invalid UTF-8 at byte 2",
      ["[1"] = "the text ends too early at byte 3",
      ["1 1"] = "text after the value at byte 3",
      ['"\1"'] = "control character in a string at byte 2",
    } do
      assert.same({ n = 4, nil, "protocol", reason, tonumber(reason:match "%d+$") },
        lua.pack(json.decode(text)))
    end
  end)

  it("reads scalars", function()
    for _, case in ipairs(GOOD) do assert.equal(case[2], decoded(case[1]), case[1]) end
  end)

  it("keeps integers of 64 bits and rounds everything else correctly", function()
    for _, case in ipairs(NUMBERS) do
      local value = decoded(case[1])
      assert(same_number(case[2], value), case[1]:sub(1, 60) .. " gave " .. tostring(value))
    end
  end)

  it("reads objects and arrays of every size", function()
    for n = 0, 70 do
      local items, members = {}, {}
      for i = 1, n do
        items[i] = tostring(i)
        members[i] = ('"k%d" : %d'):format(i, i)
      end
      local array = decoded("[" .. table.concat(items, " , ") .. "]")
      local object = decoded("{" .. table.concat(members, " ,") .. "}")
      assert.equal(n, #array)
      local count = 0
      for key, value in pairs(object) do
        assert.equal("k" .. value, key)
        count = count + 1
      end
      assert.equal(n, count)
      for i = 1, n do assert.equal(i, array[i]) end
    end
  end)

  it("tells empty arrays from empty objects", function()
    local value = decoded '{"list":[],"object":{}}'
    assert.equal(json.array_mt, getmetatable(value.list))
    assert.is_nil(getmetatable(value.object))
  end)

  it("takes the last of keys that come twice inside, and none of another object", function()
    assert.same({ a = { b = 2 }, b = 3 }, decoded '{"a":{"b":1,"b":2},"b":3}')
  end)

  it("takes 32 levels", function()
    assert.is_table(decoded(("["):rep(32) .. ("]"):rep(32)))
    assert.is_table(decoded(('{"a":'):rep(31) .. "[1]" .. ("}"):rep(31)))
  end)

  it("treats names that mean something to a language as plain data", function()
    local text = '{"constructor":1,"__index":2,"__proto__":3,"__gc":4,"toString":5,"nil":6}'
    local value = decoded(text)
    assert.is_nil(getmetatable(value))
    assert.same({ constructor = 1, __index = 2, __proto__ = 3, __gc = 4, toString = 5, ["nil"] = 6 }, value)
  end)

  it("refuses every beginning of a document", function()
    assert.is_table(decoded(RICH))
    for len = 0, #RICH - 1 do
      local value, kind, _, position = json.decode(RICH:sub(1, len))
      assert.is_nil(value, len)
      assert.equal("protocol", kind)
      assert(position <= len + 1, len)
    end
  end)

  it("raises for what is no string", function()
    assert.has_error(function() json.decode(nil) end)
    assert.has_error(function() json.decode({}) end)
  end)
end)

describe("json.encode", function()
  it("writes numbers exactly, and floats as floats", function()
    for text, value in pairs {
      ["-0.0"] = NEGATIVE_ZERO, ["0.1"] = 0.1, ["1e300"] = 1e300,
      ["-12.5"] = -12.5, ["0.3333333333333333"] = 1 / 3, ["5e-324"] = 5e-324, ["0.0001"] = 0.0001,
      ["1.5e-7"] = 1.5e-7, ["1e23"] = 1e23,
      ["1.7976931348623157e308"] = 1.7976931348623157e308,
      ["2.2250738585072014e-308"] = 2.2250738585072014e-308,
      ["5.684341886080802e-14"] = 2.0 ^ -44, ["6.256509672447191e-148"] = 2.0 ^ -489,
      ["0.1234567890123456"] = 0.1234567890123456,
      ["-1e-300"] = -1e-300, ["0.30000000000000004"] = 0.1 + 0.2,
    } do
      assert.equal(text, json.encode(value))
      assert(same_number(value, decoded(text)), text)
    end
  end)

  it("writes whole numbers as integers, and as floats where they are", function()
    for text, value in pairs(lua.HAS_INTEGERS and {
      ["0"] = 0, ["-1"] = -1, ["9223372036854775807"] = lua.MAX_INTEGER,
      ["-9223372036854775808"] = lua.MIN_INTEGER, ["9007199254740993"] = 9007199254740993,
      ["0.0"] = 0.0, ["1.0"] = 1.0, ["100.0"] = 100.0, ["9007199254740992.0"] = 2.0 ^ 53,
      ["12345678901234568.0"] = 12345678901234568.0, ["1.2345678901234568e17"] = 123456789012345680.0,
    } or {
      ["0"] = 0.0, ["-1"] = -1, ["100"] = 100.0, ["9007199254740992"] = 2 ^ 53,
      ["12345678901234568"] = 12345678901234568.0, ["-9223372036854775808"] = -2 ^ 63,
      ["9223372036854774784"] = 2 ^ 63 - 1024, ["9.223372036854776e18"] = 2 ^ 63,
    }) do
      assert.equal(text, json.encode(value))
      assert(same_number(value, decoded(text)), text)
    end
  end)

  it("writes any float so that it reads back, in no more digits than needed", function()
    local seed = 20240229
    local function random(limit) -- the same in every run
      seed = (seed * 1103515245 + 12345) % 2147483648
      return math.floor(seed / 2 ^ 31 * limit)
    end
    for _ = 1, 20000 do
      local value = (random(2 ^ 26) * 2 ^ 27 + random(2 ^ 27)) * 2 ^ (random(2046) - 1074)
      if value == value and value ~= math.huge and value ~= -math.huge then
        local text = json.encode(value)
        assert(same_number(value, decoded(text)), text)
        local digits = text:gsub("e.*", ""):gsub("[-.]", ""):gsub("^0+", ""):gsub("0+$", "")
        if not lua.HAS_INTEGERS and value == math.floor(value) then digits = "" end
        assert(#digits <= 17, text)
        if #digits == 17 then assert.not_equal(value, tonumber(("%.15e"):format(value)), text) end
      end
    end
    for exponent = -1074, 1023 do
      local value = 2.0 ^ exponent
      assert(same_number(value, decoded(json.encode(value))), exponent)
    end
  end)

  it("does not ask the locale", function()
    -- A locale with a decimal comma, made for this spec: a fresh machine has none.
    local folder = assert(uv.fs_mkdtemp("/tmp/stream-events-locale-XXXXXX"))
    assert(os.execute(("LD_PRELOAD= localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8"):format(folder)))
    uv.os_setenv("LOCPATH", folder)
    local before = os.setlocale(nil)
    assert.equal("de_DE.UTF-8", os.setlocale("de_DE.UTF-8"))
    if not lua.IS_JIT then assert.equal("0,5", ("%g"):format(0.5)) end -- LuaJIT never asks it
    local numbers = { 1234.5678901234567, 0.1, 1 / 3, 2.5e-300, 5e-324, 1e22, 1e23 }
    local text = json.encode(numbers)
    local value = json.decode(text)
    os.setlocale(before)
    uv.os_unsetenv("LOCPATH")
    os.execute("rm -r " .. folder)
    assert.equal("[1234.5678901234567,0.1,0.3333333333333333,2.5e-300,5e-324,1e22,1e23]", text)
    assert.same(numbers, value)
  end)

  it("escapes what must be escaped and nothing else", function()
    for byte = 0, 127 do
      local c = string.char(byte)
      local text = json.encode(("x"):rep(byte % 20) .. c)
      assert.equal(("x"):rep(byte % 20) .. c, decoded(text))
      if byte >= 0x20 and c ~= '"' and c ~= "\\" then
        assert.equal('"' .. ("x"):rep(byte % 20) .. c .. '"', text)
      else
        assert.falsy(text:find("%c"))
      end
    end
    assert.equal('"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\127é😀"',
      json.encode '"\\/\b\f\n\r\t\0\x1F\x7Fé😀')
  end)

  it("keeps arrays and objects apart", function()
    for text, value in pairs {
      ["{}"] = {}, ["[]"] = json.array {}, ["[1,2,3]"] = { 1, 2, 3 }, ["[[],{}]"] = { json.array {}, {} },
      ["[null]"] = { json.null }, ["null"] = json.null, ['{"1":2}'] = { ["1"] = 2 },
      ['[{"a":[true]}]'] = { { a = { true } } },
    } do
      assert.equal(text, json.encode(value))
    end
  end)

  it("looks past metatables and never calls them", function()
    local loud = setmetatable({ a = 1 }, {
      __index = function() error "called" end, __pairs = function() error "called" end,
      __len = function() error "called" end, __tojson = function() error "called" end,
    })
    assert.equal('{"a":1}', json.encode(loud))
  end)

  it("refuses what JSON cannot say, and names the place", function()
    local loop = { a = {} }
    loop.a.b = loop
    local deep = 1
    for _ = 1, 33 do deep = { deep } end
    for message, value in pairs {
      ["at data.position.x: NaN cannot be encoded"] = { data = { position = { x = 0 / 0 } } },
      ["at list[2]: infinity cannot be encoded"] = { list = { 1, math.huge } },
      ["at [1][2]: infinity cannot be encoded"] = { { 1, -math.huge } },
      ["NaN cannot be encoded"] = 0 / 0,
      ["at f: a function cannot be encoded"] = { f = print },
      ["at [1]: a coroutine cannot be encoded"] = { coroutine.create(function() end) },
      ["a userdata cannot be encoded"] = io.stdout,
      [MIXED] = { 1, 2, x = 3 },
      ["at s: " .. MIXED] = { s = { [1] = 1, [3] = 3 } },
      ["at t: " .. MIXED] = { t = { [2] = 1 } },
      ["at u: " .. MIXED] = { u = { [1.5] = 1 } },
      ["at v: " .. MIXED] = { v = { [true] = 1 } },
      ["an array with keys other than 1 to n cannot be encoded"] = json.array { 1, x = 2 },
      ["at a: an array with keys other than 1 to n cannot be encoded"] = { a = json.array { nil, 2 } },
      ["at s: a string that is not UTF-8 cannot be encoded"] = { s = "a\xFF" },
      ["at [1]: a string that is not UTF-8 cannot be encoded"] = { "\xED\xA0\x80" },
      ["at o: a key that is not UTF-8 cannot be encoded"] = { o = { ["\xC0\x80"] = 1 } },
      ["at a.b: a table that contains itself cannot be encoded"] = loop,
      ["at " .. ("[1]"):rep(32) .. ": tables nested deeper than 32 cannot be encoded"] = deep,
    } do
      assert.same({ n = 3, nil, "argument", message }, lua.pack(json.encode(value)))
    end
    assert.same({ n = 3, nil, "argument", "nil cannot be encoded" }, lua.pack(json.encode(nil)))
    assert.has_error(function() json.encode() end)
  end)

  it("takes 32 levels, and the same table twice side by side", function()
    local deep = 1
    for _ = 1, 32 do deep = { deep } end
    assert.equal(("["):rep(32) .. "1" .. ("]"):rep(32), json.encode(deep))
    local shared = { 1 }
    assert.equal("[[1],[1]]", json.encode { shared, shared })
  end)

  it("writes texts much longer than its first buffer", function()
    local list = {}
    for i = 1, 3000 do list[i] = { name = ("n"):rep(i % 50), n = i } end
    assert.same(list, decoded(json.encode(list)))
    local long = ("\n"):rep(100000)
    assert.equal(long, decoded(json.encode(long)))
  end)

  it("gives back what was decoded", function()
    local function value_of(depth, random)
      local pick = random(depth > 0 and 9 or 6)
      if pick == 1 then return random(-1000000000, 1000000000) * 4294967296 + random(0, 1000000) end
      if pick == 2 then return random(-1000, 1000) / 8 end
      if pick == 3 then return ({ true, false, json.null })[random(3)] end
      if pick <= 6 then
        local parts = {}
        for i = 1, random(0, 30) do parts[i] = lua.utf8_char(random(0, 0xD7FF)) end
        return table.concat(parts)
      end
      local result = pick == 9 and json.array {} or {}
      for i = 1, random(0, 20) do
        result[pick == 9 and i or ("k%d\n"):format(random(1000))] = value_of(depth - 1, random)
      end
      return result
    end
    math.randomseed(20240229)
    for _ = 1, 300 do
      local value = value_of(4, math.random)
      local text = assert(json.encode(value))
      local again = decoded(text)
      assert.same(value, again)
      assert.equal(#text, #json.encode(again)) -- empty arrays and floats too
    end
  end)
end)

describe("json.extend", function()
  for expected, case in pairs {
    ['{"a":1,"b":2}'] = { '{"a":1', { b = 2 }, "}" },
    ['{"a":1}'] = { '{"a":1', {}, "}" },
    ['{"a":{"b":[]}}'] = { '{"a":{"b":[]', {}, "}}" },
    ['{"a":1,"b":{"c":[{}]},"d":"e"}'] = { '{"a":1', { b = { c = { {} } } }, ',"d":"e"}' },
    [',"":"{"'] = { "", { [""] = "{" }, "" },
    [""] = { "", {}, "" },
  } do
    it("gives " .. expected, function()
      assert.equal(expected, json.extend(case[1], case[2], case[3]))
    end)
  end

  it("finds room for whatever stands before, in and after the object", function()
    for _, lengths in ipairs { { 0, 2000, 0 }, { 2000, 0, 0 }, { 0, 0, 2000 }, { 1020, 1, 1020 },
      { 1023, 0, 1 }, { 1024, 5, 9 }, { 5000, 50000, 500000 } } do
      local before, text, after = ("b"):rep(lengths[1]), ("x"):rep(lengths[2]), ("a"):rep(lengths[3])
      assert.equal(before .. ',"k":"' .. text .. '"' .. after, json.extend(before, { k = text }, after))
      assert.equal(before .. after, json.extend(before, {}, after))
    end
  end)

  it("refuses what json.encode refuses, and lists", function()
    for says, object in pairs {
      ["at n[1]: NaN cannot be encoded"] = { n = { 0 / 0 } },
      ["an object must have names, a list has none"] = json.array {},
      ["keys that are neither"] = { 1, x = 2 },
    } do
      local text, kind, message = json.extend("{", object, "}")
      assert.is_nil(text)
      assert.equal("argument", kind)
      assert.truthy(message:find(says, 1, true), message)
    end
    assert.is_nil((json.extend("{", { 1 }, "}")))
  end)

  it("refuses members with a name that is taken, the outermost ones", function()
    local taken = { cid = true, type = true, text = false }
    for _, data in ipairs { { cid = 1 }, { a = 1, b = 2, type = {} } } do
      local text, kind = json.extend("{", data, "}", taken)
      assert.same({ nil, "argument" }, { text, kind })
    end
    local text = json.extend('{"a":1', { text = { cid = { { type = 1 } } } }, "}", taken)
    assert.equal('{"a":1,"text":{"cid":[{"type":1}]}}', text)
    assert.equal('{"a":1,"cid":2}', json.extend('{"a":1', { cid = 2 }, "}"))
  end)

  it("takes texts, tables and nothing else", function()
    for _, wrong in ipairs { { "{", "x", "}" }, { nil, {}, "}" }, { "{", {} }, { "{" } } do
      assert.has_error(function() json.extend(wrong[1], wrong[2], wrong[3]) end)
    end
    assert.has_error(function() json.extend("{", {}, "}", "cid") end)
  end)
end)

describe("json.array", function()
  it("marks a table and returns it", function()
    local list = {}
    assert.equal(list, json.array(list))
    assert.equal(json.array_mt, getmetatable(list))
    assert.has_error(function() json.array "x" end)
  end)
end)

describe("json.members", function()
  it("gives every value as it was written", function()
    assert.same({
      { "id", "12345678901234567890" }, { "f", "1.50e+01" }, { "é", '"\\u00e9"' },
      { "o", '{ "b" : [ ] }' },
      { "a", "[1 ,2]" }, { "n", "null" }, { "", "true" },
    },
      (json.members(' { "id" : 12345678901234567890, "f":1.50e+01 ,"\\u00e9":"\\u00e9",'
        .. '"o":{ "b" : [ ] },"a":[1 ,2],"n":null,"":true } ')))
    assert.same({}, (json.members "{}"))
  end)

  it("refuses what decode refuses", function()
    for _, case in ipairs(BAD) do
      local text = '{"x":1,"y":' .. case[1] .. "}"
      if not json.decode(text) then
        local list, kind, message = json.members(text)
        assert.is_nil(list, text)
        assert.equal("protocol", kind)
        assert.equal(select(3, json.decode(text)), message)
      end
    end
    for text, reason in pairs {
      ["[]"] = "an object is expected at byte 1", ["1"] = "an object is expected at byte 1",
      ['{"a":1,"\\u0061":2}'] = "duplicate key '\\u0061' at byte 8",
      ["{}x"] = "text after the value at byte 3",
      ['{"a":1'] = "the text ends too early at byte 7",
    } do
      assert.same({ nil, "protocol", reason }, { lua.unpack({ json.members(text) }, 1, 3) })
    end
  end)
end)

describe("json beside lua-cjson", function()
  local cjson = require "cjson"
  local TEXT = '{"i":1,"big":9007199254740993,"f":1e15,"list":[],"object":{},"none":null,"path":"a/b"}'

  local function results()
    local value = decoded(TEXT)
    local parts = { lua.number_type(value.i), json.encode(value.big), json.encode(value.f),
      json.encode(value.list), json.encode(value.object), json.encode(value.none), json.encode(value.path) }
    return table.concat(parts, " ")
  end
  local EXPECTED = (lua.HAS_INTEGERS and "integer 9007199254740993 1000000000000000.0"
    or "integer 9007199254740992 1000000000000000") .. ' [] {} null "a/b"'

  after_each(function() package.loaded.cjson = cjson end)

  it("shares null with the installed one", function()
    assert.equal(cjson.null, json.null)
    assert.equal(cjson.null, decoded "null")
    assert.equal("null", json.encode(cjson.null))
    assert.equal(EXPECTED, results())
  end)

  it("is the same beside the other one", function()
    local other = require "support.cjson_standin"
    package.loaded.cjson = other
    -- what makes it another one: integers stay integers and are written exactly
    assert.equal("integer", lua.number_type(other.decode "[1]"[1]))
    if lua.HAS_INTEGERS then
      assert.equal("9007199254740993", other.encode(other.decode "9007199254740993"))
    end
    assert.equal("{}", other.encode(other.decode "[]"))
    assert.equal(other.null, json.null)
    assert.equal(EXPECTED, results())
    assert.same(other.decode '{"a":[1,2.5,"x\\u00e9\\n",true,null],"b":{"c":-1}}',
      decoded '{"a":[1,2.5,"x\\u00e9\\n",true,null],"b":{"c":-1}}')
  end)

  it("does not mind how the installed one is configured", function()
    local before = cjson.encode_number_precision()
    cjson.encode_number_precision(3)
    local got = results()
    cjson.encode_number_precision(before)
    assert.equal(EXPECTED, got)
  end)
end)
