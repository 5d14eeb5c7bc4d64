--- The event object of the C core: decodes what is looked at, shows the envelope, changes for nobody.
local core = require "stream_events.core"
local lua = require "support.lua"
local json, event = core.json, core.event

local FRAME = '{"type":"flare","cid":"messaging:lobby","channel_id":"lobby","channel_type":"messaging",'
  .. '"user":{"id":"alice","name":"Alice","teams":[]},"created_at":"2026-01-01T00:00:05.25Z",'
  .. '"x":12,"y":-4.5,"list":["red",{"deep":[]}],"none":null,"text":"a\\n\\u00e9\\ud83d\\ude00",'
  .. '"\\u006bey":true}'

local function make(text, options) return (assert(event.new(text, options))) end

describe("an event", function()
  it("answers the names of the envelope", function()
    local got = make(FRAME, { received_at = 12.5 })
    assert.same({ "flare", "messaging:lobby", "messaging", "lobby", "2026-01-01T00:00:05.25Z", 12.5,
      "user" },
      { got.type, got.cid, got.channel_type, got.channel_id, got.created_at, got.received_at, got.trust })
    assert.equal("alice", got.user.id)
    assert.equal("Alice", got.raw_data.user.name)
  end)

  it("reads every other key out of what came", function()
    local got = make(FRAME)
    assert.equal(12, got.x)
    assert.equal("integer", lua.number_type(got.x))
    assert.equal(-4.5, got.y)
    assert.equal("red", got.list[1])
    assert.equal(json.null, got.none)
    assert.equal("a\né😀", got.text)
    assert.is_true(got.key)
    assert.is_nil(got.missing)
    assert.is_nil(got[1])
    assert.is_nil(got[true])
    assert.is_nil(got[""])
  end)

  it("gives the same table each time, whichever way one comes to it", function()
    for _, first in ipairs { "list", "user", "raw_data" } do
      local got = make(FRAME)
      local kept = got[first]
      assert.equal(kept, got[first])
      assert.equal(got.raw_data, got.raw_data)
      assert.equal(got.list, got.raw_data.list)
      assert.equal(got.list, got.list)
      assert.equal(got.user, got.raw_data.user)
      assert.equal(kept, got[first])
      local all = got.raw_data
      assert.same(json.decode(FRAME), all)
    end
  end)

  it("shows in its fields what a program did to raw_data, but not in the envelope", function()
    local got = make(FRAME)
    got.raw_data.x = 13
    got.raw_data.type = "other"
    got.raw_data.new = 1
    assert.equal(13, got.x)
    assert.equal(1, got.new)
    assert.equal("flare", got.type)
  end)

  it("takes the channel out of the cid where the service does not repeat it", function()
    for text, expect in pairs {
      ['{"type":"a","cid":"m:x"}'] = { "m", "x" },
      ['{"type":"a","cid":"m:x:y"}'] = { "m", "x:y" },
      ['{"type":"a","cid":"m:x","channel_type":"m"}'] = { "m", "x" },
      ['{"type":"a","cid":"m\\u003ax"}'] = { "m", "x" },
      ['{"type":"a","cid":"*"}'] = {},
      ['{"type":"a"}'] = {},
    } do
      local got = make(text)
      assert.same(expect, { got.channel_type, got.channel_id })
    end
  end)

  it("takes trust from where the event came from, never from what it says", function()
    for _, case in ipairs {
      { '{"type":"a"}', "server" },
      { '{"type":"a","user":{"id":"me"}}', "server" },
      { '{"type":"a","trust":"self","channel_id":"x"}', "server" },
      { '{"type":"a","cid":"m:x","user":{"id":"me"}}', "self" },
      { '{"type":"a","cid":"m:x","user":{"id":"m\\u0065"}}', "self" },
      { '{"type":"a","cid":"m:x","user":{"id":"mee"}}', "user" },
      { '{"type":"a","cid":"m:x","user":{"id":"you"},"trust":"server"}', "user" },
      { '{"type":"a","cid":"m:x","user":{}}', "user" },
      { '{"type":"a","cid":"m:x"}', "user" },
      { '{"type":"a","cid":"","trust":"server"}', "user" },
      { '{"type":"a","cid":"*"}', "user" },
    } do
      assert.equal(case[2], make(case[1], { self = "me" }).trust, case[1])
    end
    assert.equal("user", make('{"type":"a","cid":"m:x","user":{"id":""}}').trust)
  end)

  it("does not let a sender hide the names of the envelope", function()
    local got = make('{"type":"a","trust":"server","received_at":1,"raw_data":{"type":"b"},"cid":"m:x"}',
      { received_at = 5 })
    assert.equal("user", got.trust)
    assert.equal(5, got.received_at)
    assert.equal("a", got.raw_data.type)
    assert.same({ "server", 1, { type = "b" } }, { got.raw_data.trust, got.raw_data.received_at,
      got.raw_data.raw_data })
  end)

  it("keeps the name of the rules' verdict for the rules", function()
    local got = make('{"type":"a","verdict":{"verdict":"flag"},"x":1}')
    assert.is_nil(got.verdict)
    assert.equal("flag", got.raw_data.verdict.verdict)
    assert.is_nil(got.verdict)
    for key in pairs(lua.HAS_PAIRS and got or {}) do assert.not_equal("verdict", key) end
  end)

  it("has nil for what is absent or null", function()
    for _, text in ipairs { '{"type":"a"}',
      '{"type":"a","cid":null,"user":null,"created_at":null,"channel_id":null}' } do
      local got = make(text)
      for _, name in ipairs { "cid", "channel_type", "channel_id", "user", "created_at" } do
        assert.is_nil(got[name], name)
      end
    end
    assert.equal(json.null, make('{"type":"a","user":null}').raw_data.user)
  end)

  it("is dull about names that mean something to Lua", function()
    local got = make('{"type":"constructor","__index":1,"__newindex":{},"__gc":2,'
      .. '"__metatable":3,"__proto__":4}')
    assert.equal("constructor", got.type)
    assert.same({ 1, {}, 2, 3, 4 }, { got.__index, got.__newindex, got.__gc, got.__metatable,
      got.__proto__ })
    assert.is_nil(make('{"type":"a"}').__index)
    assert.is_nil(make('{"type":"a"}').__gc)
  end)

  it("cannot be written to", function()
    local got = make(FRAME)
    for _, key in ipairs { "type", "x", "new", 1 } do
      assert.error_matches(function() got[key] = 1 end, "events are read%-only")
    end
    assert.is_string(getmetatable(got))
    assert.has_error(function() setmetatable(got, {}) end)
    assert.equal("flare", got.type)
  end)

  if lua.HAS_PAIRS then
    it("goes through pairs: the envelope, then the rest", function()
      local got = make('{"type":"a","x":1,"trust":9,"\\u0079":[],"cid":"m:c","raw_data":0,'
        .. '"user":{"id":"u"},"z":null}', { received_at = 3 })
      local order, seen = {}, {}
      for key, value in pairs(got) do
        order[#order + 1] = key
        seen[key] = value
      end
      assert.same({ "type", "cid", "channel_type", "channel_id", "user", "received_at", "trust",
        "raw_data", "x", "y", "z" }, order)
      assert.equal("user", seen.trust)
      assert.equal(3, seen.received_at)
      assert.equal(got.user, seen.user)
      assert.equal(got.raw_data, seen.raw_data)
      assert.equal(got.y, seen.y)
      assert.equal(json.null, seen.z)
      local count = 0
      for _ in pairs(make '{"type":"a"}') do count = count + 1 end
      assert.equal(4, count) -- type, received_at, trust, raw_data
    end)
  end

  it("goes through pairs as it came on every Lua", function()
    local seen = {}
    for key, value in pairs(make('{"type":"a","trust":9,"x":null}').raw_data) do seen[key] = value end
    assert.same({ type = "a", trust = 9, x = json.null }, seen)
  end)

  it("says what it is", function()
    assert.equal("event flare in messaging:lobby", tostring(make(FRAME)))
    assert.equal("event a", tostring(make '{"type":"a"}'))
  end)

  it("encodes as the text it came as", function()
    local got = make(FRAME)
    assert.equal('{"event":' .. FRAME .. "}", json.encode { event = got })
    local deep = make('{"type":"a","x":' .. ("["):rep(31) .. ("]"):rep(31) .. "}")
    assert.is_string(json.encode(deep))
    assert.same({ n = 3, nil, "argument", "at [1]: an event nested deeper than 32 cannot be encoded" },
      lua.pack(json.encode { deep }))
  end)

  it("lives on by itself", function()
    local list = {}
    for i = 1, 200 do
      list[i] = make(('{"type":"t%d","cid":"m\\u003a%d","data":{"n":[%d]},"text":"%s"}'):format(i, i, i,
        ("x"):rep(i)))
    end
    collectgarbage()
    for i, got in ipairs(list) do
      assert.equal("t" .. i, got.type)
      assert.equal(tostring(i), got.channel_id)
      local data = got.data
      collectgarbage "step"
      assert.equal(i, data.n[1])
      assert.equal(data, got.data)
      assert.equal(i, #got.text)
    end
  end)

  it("keeps its metamethods to itself", function()
    if not debug then return end
    local meta = debug.getmetatable(make(FRAME))
    for _, name in ipairs { "__index", "__tostring", "__pairs" } do
      for _, other in ipairs { io.stdout, {}, "x", false } do
        assert.has_error(function() meta[name](other, "type") end)
      end
      assert.has_error(function() meta[name]() end)
    end
  end)
end)

describe("event.new", function()
  it("takes the event from a member", function()
    local body = '{"duration":"7ms","event":' .. FRAME .. ',"more":[1]}'
    local got = make(body, { member = "event", self = "alice" })
    assert.equal(FRAME, event.text(got))
    assert.equal("self", got.trust)
  end)

  it("refuses a body without it", function()
    for text, message in pairs {
      ['{"duration":"1ms"}'] = "there is no member 'event'",
      ["[]"] = "an object is expected at byte 1",
      ["<html>"] = "a value is missing at byte 1",
      ["{"] = "the text ends too early at byte 2",
      ['{"event":{"type":"a"},"event":{"type":"b"}}'] = "duplicate key at byte 23",
      ['{"event":{"type":"a"}} x'] = "text after the value at byte 24",
      ['{"event":{"type":"a"},"x":}'] = "a value is missing at byte 27",
      ['{"event":"x"}'] = "an event is an object at byte 10",
      ['{"event":{"x":"\xFF","type":"a"}}'] = "invalid UTF-8 at byte 16",
    } do
      assert.same({ n = 3, nil, "protocol", message }, lua.pack(event.new(text, { member = "event" })))
    end
  end)

  it("sets the time of arrival by itself", function()
    local before = core.time()
    local got = make(FRAME)
    assert(got.received_at >= before and got.received_at <= core.time())
  end)

  it("raises for arguments of a wrong type", function()
    for _, arguments in ipairs { { nil }, { {} }, { FRAME, 1 }, { FRAME, { self = {} } },
      { FRAME, { member = {} } },
      { FRAME, { received_at = "soon" } } } do
      assert.has_error(function() event.new(lua.unpack(arguments, 1, 2)) end)
    end
  end)
end)

describe("event.text", function()
  it("raises for what is no event", function()
    for _, other in ipairs { {}, "x", io.stdout, 1 } do
      assert.has_error(function() event.text(other) end)
    end
  end)
end)
