--- What rules declare about the data of events, compared with their text.
local core = require "stream_events.core"
local engines = require "support.engine"

local engine_of, decide, event, FROM_BOB = engines.engine_of, engines.decide, engines.event, engines.FROM_BOB

describe("a field", function()
  -- spec, then texts of values: those that fit, and those that do not by their reason.
  for name, case in pairs {
    ["string"] = { { kind = "string" }, fits = { '""', '"x"', [["\u0000é\n"]] },
      ["field-type"] = { "1", "null", "true", "[]", "{}" } },
    ["string with lengths"] = { { kind = "string", min = 2, max = 3 },
      fits = { '"ab"', '"abc"', '"ééé"', [["\u00e9\u00e9\u00e9"]], [["\ud83d\ude00\ud83d\ude00"]],
        '"😀😀😀"' },
      ["field-length"] = { '""', '"a"', '"é"', '"abcd"', '"éééé"', [["\ud83d\ude00"]], [["\n"]] } },
    ["string with fractions as lengths"] = { { kind = "string", min = 1.5, max = 2.5 },
      fits = { '"ab"' }, ["field-length"] = { '"a"', '"abc"' } },
    ["string from a list"] = { { kind = "string", one_of = { "happy", "sad" } },
      fits = { '"happy"', [["\u0073ad"]] }, ["field-value"] = { '"happ"', '"Sad"', '""', '"happy "' } },
    ["string with a beginning"] = { { kind = "string", starts_with = { "a", "héé" } },
      fits = { '"a"', '"abc"', '"hééy"', [["h\u00e9\u00e9"]] }, ["field-value"] = { '""', '"ba"', '"hé"' } },
    ["string with an end"] = { { kind = "string", ends_with = { ".png", ".gif" } },
      fits = { '"x.png"', '".gif"' }, ["field-value"] = { '"x.pn"', '"png"', '"x.png "' } },
    ["string with a part"] = { { kind = "string", contains = { "ab", "aab" } },
      fits = { '"ab"', '"xxab"', '"aaab"', '"acacab"' }, ["field-value"] = { '"a b"', '"ba"', '""' } },
    ["string with wildcards"] = { { kind = "string", glob = { "a*z", "?" } },
      fits = { '"az"', '"abcz"', '"é"', '"azz"' }, ["field-value"] = { '""', '"ab"', '"bz"', '"azb"' } },
    ["string with several demands"] = { { kind = "string", starts_with = { "a" }, ends_with = { "z" },
      max = 3 },
      fits = { '"az"', '"abz"' }, ["field-value"] = { '"ab"', '"bz"' }, ["field-length"] = { '"abcz"' } },

    ["integer"] = { { kind = "integer" }, fits = { "0", "-5", "9223372036854775807", "-9223372036854775808" },
      ["field-type"] = { "1.0", "1e2", "-0", "9223372036854775808", '"1"', "null" } },
    ["integer with bounds"] = { { kind = "integer", min = -1, max = 100 },
      fits = { "-1", "0", "100" }, ["field-range"] = { "-2", "101", "9223372036854775807" } },
    ["integer with a bound that few floats hold"] = { { kind = "integer", min = 9007199254740992 },
      fits = { "9007199254740992" }, ["field-range"] = { "9007199254740991", "-9223372036854775808" } },
    ["integer with fractions as bounds"] = { { kind = "integer", min = -1.5, max = 1.5 },
      fits = { "-1", "0", "1" }, ["field-range"] = { "-2", "2" } },
    ["integer with endless bounds"] = { { kind = "integer", min = -math.huge, max = math.huge },
      fits = { "9223372036854775807", "-9223372036854775808" } },
    ["integer from a list"] = { { kind = "integer", one_of = { 1, 3.0 } },
      fits = { "1", "3" }, ["field-value"] = { "2", "-1" }, ["field-type"] = { "3.0" } },

    ["number"] = { { kind = "number" }, fits = { "1", "1.5", "-0", "1e300", "9223372036854775808" },
      ["field-type"] = { '"1"', "null", "true" } },
    ["number with bounds"] = { { kind = "number", min = 0, max = 0.5 },
      fits = { "0", "-0", "0.5", "5e-1", "1e-320" }, ["field-range"] = { "-0.1", "0.51", "1", "1e300" } },
    ["number from a list"] = { { kind = "number", one_of = { 1, 2.5 } },
      fits = { "1", "1.0", "10e-1", "2.5" }, ["field-value"] = { "2", "2.4999" } },

    ["boolean"] = { { kind = "boolean" }, fits = { "true", "false" },
      ["field-type"] = { "0", '"true"', "null", "[]" } },
    ["any"] = { { kind = "any" }, fits = { "null", "1", '"x"', "[1,[2]]", '{"a":{"b":null}}', "true" } },
    ["one_of"] = { { kind = "one_of", one_of = { "happy", 3, true } },
      fits = { '"happy"', "3", "3.0", "true", [["h\u0061ppy"]] },
      ["field-value"] = { '"sad"', "4", "false", "null", "[]", "{}" } },

    ["array"] = { { kind = "array" }, fits = { "[]", "[1,[2,{}],null]" }, ["field-type"] = { "{}", '"[]"',
      "null" } },
    ["array with lengths"] = { { kind = "array", min = 1, max = 2 },
      fits = { "[1]", "[ [ ] , { } ]" }, ["field-length"] = { "[]", "[1,2,3]" } },
    ["array with items"] = { { kind = "array", items = { kind = "integer", max = 5 } },
      fits = { "[]", "[1,5]" }, ["field-type"] = { '["x"]', "[1,null]" }, ["field-range"] = { "[1,6]" } },
    ["array in an array"] = { { kind = "array", items = { kind = "array", items = { kind = "boolean" } } },
      fits = { "[[],[true]]" }, ["field-type"] = { "[true]", "[[1]]" } },

    ["object"] = { { kind = "object" }, fits = { "{}", '{"a":1,"b":{"c":[]}}' }, ["field-type"] = { "[]",
      "1" } },
    ["object with keys to count"] = { { kind = "object", min = 1, max = 2 },
      fits = { '{"a":1}', '{"a":1,"b":2}' },
      ["field-length"] = { "{}", '{"a":1,"b":2,"c":3}' } },
    ["object whose keys must differ to count"] = { { kind = "object", min = 2 },
      fits = { '{"a":1,"b":2}' }, ["field-length"] = { '{"a":1,"a":2}', [[{"a":1,"\u0061":2}]] } },
    ["object with fields"] = { { kind = "object", fields = { x = { kind = "integer" },
        y = { kind = "integer", optional = true } } },
      fits = { '{"x":1}', '{"y":2,"x":1}', [[{"\u0078":1}]] },
      ["field-missing"] = { "{}", '{"y":2}' }, ["field-type"] = { '{"x":1,"y":null}', '{"x":null}' },
      ["extra-field"] = { '{"x":1,"z":1}', '{"x":1,"x":1}', [[{"x":1,"\u0078":1}]], '{"x":1,"":1}' } },
    ["object with fields that keeps others"] = { { kind = "object", fields = { x = { kind = "any" } },
      extra = "keep" },
      fits = { '{"x":1,"z":{}}' }, ["field-missing"] = { '{"z":1}' } },
    ["object of like values"] = { { kind = "object", keys = { kind = "string", max = 3 },
      each = { kind = "integer" } },
      fits = { "{}", '{"abc":1,"b":2}' }, ["field-length"] = { '{"abcd":1}' }, ["field-type"] =
        { '{"a":"x"}' } },
    ["object of keys alone"] = { { kind = "object", keys = { kind = "string", one_of = { "a", "b" } } },
      fits = { '{"a":1,"b":[]}', [[{"\u0061":1}]] }, ["field-value"] = { '{"c":1}' } },
    ["object with fields and like values"] = {
      { kind = "object", fields = { x = { kind = "string" } }, each = { kind = "integer" } },
      fits = { '{"x":"s","n":1}' }, ["field-type"] = { '{"x":1}', '{"x":"s","n":"s"}' } },
    ["objects of objects that count"] = {
      { kind = "object", min = 1, each = { kind = "object", min = 1, each = { kind = "integer" } } },
      fits = { '{"a":{"b":1},"c":{"d":2}}' },
      ["field-length"] = { "{}", '{"a":{}}', '{"a":{"b":1},"c":{}}' } },
  } do
    local spec = case[1]
    for reason, texts in pairs(case) do
      for i, text in ipairs(type(reason) == "string" and texts or {}) do
        it(("%s: %s %s (%d)"):format(name, text, reason, i), function()
          local engine = engine_of { { name = "poke", kind = "event", fields = { f = spec } } }
          local verdict, given = decide(engine, event('"f":' .. text))
          assert.equal(reason == "fits" and "allow" or "drop", verdict)
          assert.equal(reason ~= "fits" and reason or nil, given)
          -- White space and the order of keys mean nothing.
          assert.equal(verdict, (decide(engine, (' { "f" : %s , %s "type" : "poke" } '):format(text,
            FROM_BOB))))
        end)
      end
    end
  end

  it("is compared as exactly as it is written", function()
    local function integer(min) return { { name = "poke", kind = "event",
      fields = { f = { kind = "integer", min = min } } } } end
    local bound = core.json.decode "9007199254740993"
    if bound == 2 ^ 53 then return end -- this Lua has no such integer
    assert.equal("allow", (decide(engine_of(integer(bound)), event '"f":9007199254740993')))
    assert.equal("drop", (decide(engine_of(integer(bound)), event '"f":9007199254740992')))
  end)

  it("may be optional, which is not null", function()
    local engine = engine_of { { name = "poke", kind = "event",
      fields = { f = { kind = "string", optional = true } } } }
    assert.equal("allow", (decide(engine, event "")))
    assert.equal("field-type", select(2, decide(engine, event '"f":null')))
  end)

  it("is found under a name with escapes, in any of many", function()
    local fields = {}
    for i = 1, 200 do fields["field" .. i] = { kind = "integer", optional = true } end
    local engine = engine_of { { name = "poke", kind = "event", fields = fields } }
    assert.equal("allow", (decide(engine, event '"field1":1,"field200":2,"field77":3')))
    assert.equal("field-type", select(2, decide(engine, event [["\u0066ield77":"x"]])))
    assert.equal("extra-field", select(2, decide(engine, event '"field201":1')))
  end)

  it("is told by its path, and nothing hostile is quoted", function()
    local rule = { name = "poke", kind = "event", fields = {
      position = { kind = "object", optional = true, fields = { x = { kind = "integer", max = 100 } } },
      list = { kind = "array", optional = true, items = { kind = "array", items = { kind = "string",
        max = 1 } } },
      names = { kind = "object", optional = true, keys = { kind = "string", max = 2 },
        each = { kind = "boolean" } },
    } }
    local engine = engine_of { rule }
    for data, text in pairs {
      ['"position":{"x":101}'] = "field position.x must be at most 100",
      ['"position":{}'] = "field position.x is missing",
      ['"position":[]'] = "field position must be an object",
      ['"list":[[],["a","bc"]]'] = "field list[2][2] must have at most 1 character",
      ['"names":{"abc":true}'] = "the key of field names.* must have at most 2 characters",
      ['"names":{"a":1}'] = "field names.* must be true or false",
      ['"evil":1'] = "the event has a field that the rule does not name: evil",
      [ [["\u0065vil":1]] ] = "the event has a field that the rule does not name",
      ['"<b> x":1'] = "the event has a field that the rule does not name",
      ['"é":1'] = "the event has a field that the rule does not name",
      ['"' .. ("k"):rep(1000) .. '":1'] = "the event has a field that the rule does not name: "
        .. ("k"):rep(32) .. "...",
      ['"position":{"x":1,"q":1}'] = "field position has a field that the rule does not name: q",
    } do
      assert.equal(text, select(3, decide(engine, event(data))).text)
    end
  end)

  it("has a text that ends with a whole character", function()
    local name = ("é"):rep(200)
    local engine = engine_of { { name = "poke", kind = "event", fields = { [name] = { kind = "string" } } } }
    local text = select(3, decide(engine, event "")).text
    assert.is_true(#text < 240 and #text > 230)
    assert.equal(text, core.json.decode('"' .. text .. '"')) -- which takes nothing but UTF-8
  end)

  -- Anything but time in proportion to the length would be minutes.
  it("takes no time beyond its length, however it is written", function()
    local long, many = 200000, {}
    for i = 1, 100000 do many[i] = i end
    for text, spec in pairs {
      ['"' .. ("a"):rep(long) .. '"'] = { kind = "string", contains = { ("a"):rep(1000) .. "b" } },
      ['"' .. ("ab"):rep(long) .. '"'] = { kind = "string", glob = { ("*ab"):rep(300) .. "c" } },
      ['"' .. ("\\u0061"):rep(long) .. '"'] = { kind = "string", max = 10 },
      ['{' .. ('"a":1,'):rep(long) .. '"a":1}'] = { kind = "object", min = 2 },
      ['[' .. ('{"a":1},'):rep(long) .. '1]'] = { kind = "array", items = { kind = "object", min = 1 } },
      ['[' .. ('100000,'):rep(long) .. '"x"]'] = { kind = "array",
        items = { kind = "one_of", one_of = many } },
      ['[' .. ('100000,'):rep(long) .. '1.5]'] = { kind = "array",
        items = { kind = "integer", one_of = many } },
    } do
      local engine = engine_of { { name = "poke", kind = "event", fields = { f = spec } } }
      assert.equal("drop", (decide(engine, event('"f":' .. text))))
    end
  end)
end)

describe("a long list of matchers", function()
  local NAMES = {}
  for i = 1, 2000 do NAMES[i] = ("name%04d"):format(i) end

  local function of(ways)
    local spec = { kind = "string" }
    for _, way in ipairs(ways) do spec[way] = NAMES end
    return engine_of { { name = "poke", kind = "event",
      fields = { f = { kind = "array", items = spec } } } }
  end

  it("fits what it lists", function()
    local honest = ('"%sname2000"'):format(("."):rep(5000))
    assert.equal("allow", (decide(of { "contains", "ends_with" }, event('"f":[' .. honest .. "]"))))
    local verdict, _, decision = decide(of { "contains" }, event('"f":["name2000","name"]'))
    assert.equal("drop", verdict)
    assert.equal("field f[2] does not contain what the rule asks for", decision.text)
  end)

  it("is given up where event and list together take too long", function()
    local long = ('"%sname2000"'):format(("."):rep(5000))
    for _, way in ipairs { "contains", "ends_with" } do
      local item, count = '"name2000"', 100000
      if way == "contains" then item, count = long, 100 end
      local verdict, reason, decision = decide(of { way }, event('"f":[' .. item .. ("," .. item):rep(count)
        .. "]"))
      assert.same({ "drop", "field-value" }, { verdict, reason })
      assert.truthy(decision.text:find("takes too long to compare", 1, true), decision.text)
    end
    -- The next one is judged by itself.
    assert.equal("allow", (decide(of { "contains" }, event('"f":[' .. long .. "]"))))
  end)

  it("is given up for wildcards, too", function()
    local patterns = {}
    for i = 1, 50 do patterns[i] = "*" .. ("a"):rep(900) .. i end
    local engine = engine_of { { name = "poke", kind = "event", fields = { f = { kind = "string",
      glob = patterns } } } }
    local _, reason, decision = decide(engine, event('"f":"' .. ("a"):rep(3000) .. '50"'))
    assert.equal("field-value", reason)
    assert.truthy(decision.text:find("takes too long to compare", 1, true), decision.text)
    assert.equal("allow", (decide(engine, event('"f":"' .. ("a"):rep(900) .. '50"'))))
  end)
end)

describe("extra keys", function()
  local function of(extra, fields)
    return engine_of { { name = "poke", kind = "event", extra = extra, fields = fields or {} } }
  end

  it("are refused by default, kept, or stripped", function()
    local text = event '"evil":1'
    assert.equal("extra-field", select(2, decide(of(nil), text)))
    assert.equal("extra-field", select(2, decide(of "refuse", text)))
    local verdict, _, decision = decide(of "keep", text)
    assert.equal("allow", verdict)
    assert.is_nil(decision.changed)
    verdict, _, decision = decide(of "strip", text)
    assert.equal("allow", verdict)
    assert.equal(event('"x"'):gsub(',"x"', ""), decision.changed)
  end)

  it("do not include the envelope", function()
    local engine = of "refuse"
    assert.equal("allow", (decide(engine, '{"type":"poke","cid":"messaging:a","channel_type":"messaging",'
      .. '"channel_id":"a","user":{"id":"bob"},"user_id":"bob","created_at":"x","watcher_count":3,'
      .. '"received_at":"y"}')))
    assert.equal("allow", (decide(engine, '{"type":"poke","received_at":1.5}')))
    for _, data in ipairs { '"watcher_count":"3"', '"watcher_count":1.5', '"watcher_count":null',
      '"user_id":"eve"', '"user_id":1', '"user_id":{}', '"received_at":{}', '"received_at":null',
        '"trust":"server"',
      '"verdict":1', '"raw_data":1', '"Type":"x"', '"":1', [["user\u005fid":"eve"]] } do
      assert.equal("extra-field", select(2, decide(engine, event(data))), data)
    end
    assert.equal("allow", (decide(engine, event [["user\u005fid":"bob"]])))
    assert.equal("extra-field", select(2, decide(engine, '{"type":"poke","user_id":"bob"}')))
  end)

  local NESTED = { a = { kind = "object", optional = true, extra = "strip",
      fields = { x = { kind = "any", optional = true },
        y = { kind = "object", extra = "strip", optional = true, fields = { z = { kind = "any",
          optional = true } } } } },
    list = { kind = "array", optional = true,
      items = { kind = "object", extra = "strip", fields = { n = { kind = "integer" } } } } }

  for text, expected in pairs {
    ['{"type":"poke"}'] = false,
    ['{"q":1,"type":"poke"}'] = '{"type":"poke"}',
    ['{"type":"poke","q":1}'] = '{"type":"poke"}',
    [' { "q" : [1] , "type" : "poke" , "r" : "}" , "s":{} } '] = ' {"type" : "poke" } ',
    ['{"p":1,"q":2,"type":"poke","r":3,"created_at":"x","s":4}'] = '{"type":"poke","created_at":"x"}',
    ['{"type":"poke","a":{}}'] = false,
    ['{"type":"poke","a":{"q":1}}'] = '{"type":"poke","a":{}}',
    ['{"type":"poke","a":{"q":1,"x":{"q":1},"r":2}}'] = '{"type":"poke","a":{"x":{"q":1}}}',
    ['{"q":0,"a":{"q":1,"y":{"q":2,"z":3,"r":4},"r":5},"r":6,"type":"poke"}'] =
      '{"a":{"y":{"z":3}},"type":"poke"}',
    ['{"q":0,"a":{"y":{"q":2}},"type":"poke"}'] = '{"a":{"y":{}},"type":"poke"}',
    ['{"type":"poke","list":[{"n":1,"q":1},{"q":1,"n":2},{"n":3}]}'] =
      '{"type":"poke","list":[{"n":1},{"n":2},{"n":3}]}',
    [ [[{"type":"poke","a":{"\u0071":1,"\u0078":"\""}}]] ] = [[{"type":"poke","a":{"\u0078":"\""}}]],
  } do
    it("are stripped from " .. text, function()
      local verdict, _, decision = decide(of("strip", NESTED), text)
      assert.equal("allow", verdict)
      assert.equal(expected or nil, decision.changed)
      if expected then assert.same(core.json.decode(expected), core.json.decode(decision.changed)) end
    end)
  end

  it("that were stripped do not count", function()
    local engine = of("refuse", { a = { kind = "object", extra = "strip", max = 1,
      fields = { x = { kind = "any" } } } })
    assert.equal("allow", (decide(engine, event '"a":{"x":1,"y":2,"z":3}')))
    engine = of("refuse", { a = { kind = "object", extra = "strip", min = 2,
      fields = { x = { kind = "any" } } } })
    assert.equal("field-length", select(2, decide(engine, event '"a":{"x":1,"y":2,"z":3}')))
  end)
end)
