--- The elements of a list in an object, as they were written.
local json = require "stream_events.native".json

describe("json.list", function()
  it("gives each element's own text, and the object without them", function()
    local elements, rest = json.list('{"a":[1],"events" : [ {"x": 1.50} ,"t\\u00e9",[ ],null, 7 ],"b":{}}',
      "events")
    assert.same({ '{"x": 1.50}', '"t\\u00e9"', "[ ]", "null", "7" }, elements)
    assert.equal('{"a":[1],"events" : [],"b":{}}', rest)
    assert.same({ {}, '{"events":[]}' }, { json.list('{"events":[]}', "events") })
  end)

  it("knows the name in disguise", function()
    assert.same({ "1" }, (json.list('{"ev\\u0065nts":[1]}', "events")))
  end)

  it("lets each element be nested as deep as a text of its own, and no deeper", function()
    local function nested(depth)
      return '{"events":[' .. ("["):rep(depth) .. ("]"):rep(depth) .. '],"more":{"a":{}}}'
    end
    assert.equal(64, #json.list(nested(32), "events")[1])
    assert.is_nil((json.list(nested(33), "events")))
  end)

  for text, message in pairs {
    ['{"events":[1],"events":[2]}'] = "duplicate key",
    ['{"a":[]}'] = "no member 'events'",
    ['{"events":{}}'] = "a list is expected",
    ['{"events":1}'] = "a list is expected",
    ["[]"] = "an object is expected",
    [""] = "",
    ['{"events":['] = "",
    ['{"events":[1'] = "",
    ['{"events":[1,]}'] = "",
    ['{"events":[1]'] = "",
    ['{"events":[1]}x'] = "",
    ['{"events":["\255"]}'] = "invalid UTF-8",
    ['{"events":["\\ud800"]}'] = "",
    ['{"events":[1],"more":' .. ("["):rep(40) .. ("]"):rep(40) .. "}"] = "nested too deep",
  } do
    it(("refuses %s"):format(text:sub(1, 40)), function()
      local elements, kind, said = json.list(text, "events")
      assert.same({ nil, "protocol" }, { elements, kind })
      assert.truthy(said:find(message, 1, true), said)
    end)
  end
end)
