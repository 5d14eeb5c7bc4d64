--- Objects taken apart: some members by name, the rest as it was written.
local json = require "stream_events.native".json

local splitter = json.splitter({ "type", "user" }, { "cid", "created_at" })

describe("json.split", function()
  it("gives the values that are wanted, and all but what is left out as one text", function()
    local text = '{"x" : 1 , "cid":{"a":[]},"type":"flare","tags":["a", 2],"created_at":1}'
    assert.same({ '"x":1,"tags":["a", 2]', 5, #text, '"flare"' }, { json.split(splitter, text) })
  end)

  it("keeps what it passes on to the byte", function()
    local written = '"big":123456789012345678901234567890,"one":1.0,"e":[],"o":{},'
      .. '"k\\u00fc":"\\u00e4\\/","":null'
    assert.equal(written, (json.split(splitter, "{" .. written .. "}")))
  end)

  it("knows names in disguise", function()
    local rest, count, _, kind, user = json.split(splitter,
      '{"ty\\u0070e":1,"\\u0063id":2,"user":{"id":"a"}}')
    assert.same({ "", 3, "1", '{"id":"a"}' }, { rest, count, kind, user })
  end)

  it("takes apart a member of the text", function()
    local rest, count, bytes, kind = json.split(splitter,
      '{"a":{"type":1},"event":{"type":"x","y":2}}', "event")
    assert.same({ '"y":2', 2, 18, '"x"' }, { rest, count, bytes, kind })
    assert.same({ nil, "missing" }, { json.split(splitter, '{"a":1}', "event") })
  end)

  it("has room for texts of any length", function()
    local long = '"long":"' .. ("x"):rep(100000) .. '"'
    assert.equal(long, (json.split(splitter, '{"type":"a",' .. long .. "}")))
  end)

  local many = {}
  for i = 1, 257 do many[i] = ('"k%d":%d'):format(i, i) end

  it("takes 256 members", function()
    local text = table.concat(many, ",", 1, 256)
    local rest, count = json.split(splitter, "{" .. text .. "}")
    assert.same({ text, 256 }, { rest, count })
  end)

  for text, message in pairs {
    ["{" .. table.concat(many, ",") .. "}"] = "too many members",
    ['{"a":1,"b":2,"a":3}'] = "duplicate key",
    ['{"a":1,"\\u0061":3}'] = "duplicate key",
    ['{"type":1,"type":2}'] = "duplicate key",
    ["[]"] = "an object is expected",
    ["1"] = "an object is expected",
    [""] = "",
    ['{"a":1'] = "",
    ['{"a":}'] = "",
    ['{"a":1}x'] = "",
    ['{"a":"\255"}'] = "invalid UTF-8",
    ['{"a":"\\ud800"}'] = "",
    ['{"a":' .. ("["):rep(40) .. ("]"):rep(40) .. "}"] = "",
  } do
    it(("refuses %s"):format(text:sub(1, 24)), function()
      for _, member in ipairs { false, "event" } do
        local rest, kind, reason = json.split(splitter, member and '{"event":' .. text .. "}" or text,
          member or nil)
        assert.is_nil(rest)
        assert.equal("protocol", kind)
        assert.matches(message, reason, 1, true)
        assert.matches("at byte %d+$", reason)
      end
    end)
  end

  it("raises for what is no splitter, and for too many names", function()
    assert.has_error(function() json.split({}, "{}") end)
    assert.has_error(function() json.splitter({ 1 }, {}) end)
    local names = {}
    for i = 1, 33 do names[i] = "n" .. i end
    assert.has_error(function() json.splitter(names, {}) end)
  end)
end)
