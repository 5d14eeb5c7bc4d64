--- The envelope scan: what is let through as an event, and what is refused. Seen through event.new,
--- which checks a text with the scan and with nothing else.
local core = require "stream_events.core"
local lua = require "support.lua"
local json, event = core.json, core.event

local FRAME = '{"type":"flare","cid":"messaging:lobby","channel_id":"lobby","channel_type":"messaging",'
  .. '"user":{"id":"alice","name":"Al\\u00e9","teams":[]},"created_at":"2026-01-01T00:00:05.25Z",'
  .. '"x":12,"y":-4.5e1,"tags":["red",null,true,{}]}'

--- What is well-formed and still no event.
local REFUSED = {
  ["an event is an object"] = { "[]", "1", "null", '"type"', '[{"type":"a"}]' },
  ["type is missing"] = { "{}", '{"typ":"a"}', '{"Type":"a"}', '{"user":{"type":"a"}}',
    '{"event":{"type":"a"}}' },
  ["type is no string"] = { '{"type":1}', '{"type":null}', '{"type":{}}', '{"type":["a"]}',
    '{"type":true}' },
  ["type is empty"] = { '{"type":""}' },
  ["type is too long"] = { '{"type":"' .. ("x"):rep(256) .. '"}',
    '{"type":"' .. ("\\u00e9"):rep(128) .. '"}' },
  ["control character in type"] = { '{"type":"a\\n"}', '{"type":"\\u0000"}', '{"type":"a\127"}',
    '{"type":"\\u001f"}' },
  ["cid is no string"] = { '{"type":"a","cid":1}', '{"cid":{},"type":"a"}', '{"type":"a","cid":false}' },
  ["channel_type is no string"] = { '{"type":"a","channel_type":[]}' },
  ["channel_id is no string"] = { '{"type":"a","channel_id":7}' },
  ["created_at is no string"] = { '{"type":"a","created_at":1767225600}' },
  ["user is no object"] = { '{"type":"a","user":"alice"}', '{"user":[],"type":"a"}',
    '{"type":"a","user":1}' },
  ["user.id is no string"] = { '{"type":"a","user":{"id":1}}', '{"user":{"id":{}},"type":"a"}' },
  ["user.id comes twice"] = { '{"type":"a","user":{"id":"x","id":"y"}}',
    '{"user":{"id":null,"id":"y"},"type":"a"}' },
  ["user.id in disguise"] = { '{"type":"a","user":{"\\u0069d":"x"}}',
    '{"type":"a","user":{"id":"x","i\\u0064":"y"}}' },
  ["envelope key in disguise"] = {
    '{"ty\\u0070e":"a"}', '{"type":"a","\\u0063id":"messaging:x"}', '{"type":"a","use\\u0072":{}}',
    '{"type":"a","channel\\u005Ftype":"m"}', '{"type":"a","channel_i\\u0064":"m"}',
    '{"type":"a","create\\u0064_at":"m"}',
    '{"\\u0074\\u0079\\u0070\\u0065":"b","type":"a"}',
  },
  ["duplicate key"] = {
    '{"type":"a","type":"a"}', '{"type":"a","cid":null,"cid":"m:x"}', '{"type":"a","cid":"m:x","cid":null}',
    '{"type":"a","user":{},"user":{}}', '{"x":1,"type":"a","x":1}', '{"type":"a","x":1,"\\u0078":2}',
    '{"type":"a","\\u0079":1,"\\u0079":2}', '{"type":"a","":1,"":2}', '{"type":"a","é":1,"\\u00e9":2}',
    '{"type":"a","😀":1,"\\ud83d\\ude00":2}', '{"type":"a","\\n":1,"\\u000a":2}',
  },
  ["channel_type and channel_id are not those of the cid"] = {
    '{"type":"a","cid":"m:x","channel_type":"n"}', '{"type":"a","cid":"m:x","channel_id":"y"}',
    '{"type":"a","cid":"m:x","channel_type":"m","channel_id":"y"}',
    '{"type":"a","cid":"m:xy","channel_type":"m","channel_id":"y"}',
    '{"channel_type":"mm","type":"a","cid":"m:x"}', '{"type":"a","cid":"*","channel_type":"m"}',
    '{"type":"a","cid":"m:x:y","channel_type":"m","channel_id":"y"}',
    '{"type":"a","cid":"","channel_id":""}',
    '{"type":"a","cid":"m:x","channel_type":"m:x"}', '{"type":"a","cid":"m:x","channel_id":"m:x"}',
  },
  ["envelope value with escapes is too long"] = { '{"type":"a","cid":"' .. ("\\u0041"):rep(300) .. '"}' },
  ["user.id with escapes is too long"] = { '{"type":"a","user":{"id":"' .. ("\\u0041"):rep(300) .. '"}}' },
  ["too many keys"] = {},
}

local ACCEPTED = {
  FRAME,
  '{"type":"a"}', ' { "type" : "a" } \n', '{"type":"é.x-y_z !"}', '{"type":"' .. ("x"):rep(255) .. '"}',
  '{"type":"\\u0061"}', '{"type":"__index"}', '{"type":"constructor","__proto__":{"type":"b"}}',
  '{"type":"a","user":null}', '{"type":"a","user":{}}', '{"type":"a","user":{"id":null}}',
  '{"user":{"ID":1,"idx":2},"type":"a"}',
  '{"type":"a","user":{"user":{"id":1},"list":[{"id":2}]}}',
  '{"type":"a","cid":null,"channel_type":null,"created_at":null}',
  '{"type":"health.check","cid":"*","created_at":"2026-01-01T00:00:00Z"}', '{"type":"a","cid":"m:x"}',
  '{"type":"a","cid":"m:x","channel_type":"m"}', '{"type":"a","channel_id":"x","cid":"m:x"}',
  '{"type":"a","cid":""}',
  '{"type":"a","channel_type":"m","channel_id":"x"}',
  '{"type":"a","cid":"m:!members-x","channel_id":"!members-x"}',
  '{"type":"a","cid":"m\\u003ax","channel_type":"\\u006d","channel_id":"\\u0078"}',
  '{"type":"a","x":{"x":1,"x":2}}', '{"type":"a","Type":"b","TYPE":"c","ty\\\\u0070e":"d"}',
  '{"type":"a","a\\"b":1,"a":2,"a\\\\":3,"b":4}',
}

--- Why a decoded value is no event, said once more without the scan; nil: it is one. Takes no key
--- that comes twice or in disguise, which a decoded value cannot show.
local function objection(value)
  local function text(v) return type(v) == "string" end
  if type(value) ~= "table" or getmetatable(value) == json.array_mt then return "object" end
  if not text(value.type) or not value.type:find "^%C+$" or #value.type > 255 then return "type" end
  for _, name in ipairs { "cid", "channel_type", "channel_id", "created_at" } do
    if value[name] == json.null then value[name] = nil end
    if value[name] ~= nil and not text(value[name]) then return name end
  end
  if value.user == json.null then value.user = nil end
  if value.user ~= nil then
    if type(value.user) ~= "table" or getmetatable(value.user) == json.array_mt then return "user" end
    local id = value.user.id
    if id ~= nil and id ~= json.null and not text(id) then return "user.id" end
  end
  if value.cid then
    local kind, id = value.channel_type, value.channel_id
    if kind and value.cid:sub(1, #kind + 1) ~= kind .. ":" then return "cid" end
    if id and value.cid:sub(-#id - 1) ~= ":" .. id then return "cid" end
    if kind and id and value.cid ~= kind .. ":" .. id then return "cid" end
  end
end

--- Both readings of one text must agree.
local function check_agreement(text)
  local value, _, message = json.decode(text)
  local got, kind, reason = event.new(text)
  local name = ("%q: decoder %s, scan %s"):format(text, message or "ok", reason or "ok")
  if got then
    assert(value ~= nil, name)
    assert(objection(value) == nil, name)
    assert(got.type == value.type and got.cid == value.cid and got.created_at == value.created_at, name)
    assert((got.user and got.user.id) == (value.user and value.user.id), name)
    local raw = got.raw_data
    assert.same(json.decode(text), raw)
  else
    assert(kind == "protocol" and reason:find " at byte %d+$", name)
    assert(value == nil or objection(value) ~= nil, name)
  end
end

describe("the envelope scan", function()
  -- Were all of them compared with each other to their ends, it would be a minute.
  it("takes no time beyond their length for keys that are alike", function()
    local keys, alike = {}, ("\\u0061"):rep(40000)
    for i = 1, 250 do keys[i] = ('"%s%03dz":%d'):format(alike, i, i) end
    local got = assert(event.new('{"type":"a",' .. table.concat(keys, ",") .. "}"))
    assert.equal(250, got[("a"):rep(40000) .. "250z"])
    keys[250] = keys[3]
    local _, _, message = event.new('{"type":"a",' .. table.concat(keys, ",") .. "}")
    assert.truthy(message:find("duplicate key", 1, true))
  end)

  it("refuses what is no event, and says why", function()
    local keys = {}
    for i = 1, 256 do keys[i] = ('"k%d":0'):format(i) end
    REFUSED["too many keys"][1] = '{"type":"a",' .. table.concat(keys, ",") .. "}"
    for reason, texts in pairs(REFUSED) do
      assert(#texts > 0)
      for _, text in ipairs(texts) do
        local got, kind, message = event.new(text)
        assert.is_nil(got, text)
        assert.equal("protocol", kind)
        assert.equal(reason, (message:gsub(" at byte %d+$", "")), text)
      end
    end
  end)

  it("accepts what is one, and it decodes", function()
    for _, text in ipairs(ACCEPTED) do
      local got, _, message = event.new(text)
      assert(got, text .. ": " .. tostring(message))
      local raw = got.raw_data
      assert.same(json.decode(text), raw)
      assert.equal(text, event.text(got))
    end
  end)

  it("takes 256 keys", function()
    local keys = {}
    for i = 1, 255 do keys[i] = ('"k%d":%d'):format(i, i) end
    local got = assert(event.new('{"type":"a",' .. table.concat(keys, ",") .. "}"))
    for i = 1, 255 do assert.equal(i, got["k" .. i]) end
  end)

  it("finds a key that comes twice among many", function()
    for _, place in ipairs { 1, 2, 40, 100, 199 } do
      local keys = { [200] = ('"key%d":true'):format(place) }
      for i = 1, 199 do keys[i] = ('"key%d":%d'):format(i, i) end
      local got, _, message = event.new('{"type":"a",' .. table.concat(keys, ",") .. "}")
      assert.is_nil(got)
      assert.truthy(message:find("duplicate key", 1, true))
    end
  end)

  it("names the byte", function()
    for text, message in pairs {
      ['{"type":"a","x":1,"x":2}'] = "duplicate key at byte 19",
      ['{"x":1,"ty\\u0070e":"a"}'] = "envelope key in disguise at byte 8",
      ['{"type":"a","user":{"id":"x","id":"y"}}'] = "user.id comes twice at byte 30",
      ['{"type":"a","x":01}'] = "leading zero at byte 17",
      ['{"type":"a"}}'] = "text after the value at byte 13",
      ['{"type":"a","s":"\xFF"}'] = "invalid UTF-8 at byte 18",
    } do
      assert.same({ n = 3, nil, "protocol", message }, lua.pack(event.new(text)))
    end
    local _, _, message = event.new('{"event":{"type":1}}', { member = "event" })
    assert.equal("type is no string at byte 18", message)
  end)

  it("refuses every beginning of an event", function()
    assert(event.new(FRAME))
    for len = 0, #FRAME - 1 do
      local got, kind = event.new(FRAME:sub(1, len))
      assert.is_nil(got, len)
      assert.equal("protocol", kind)
    end
  end)

  it("agrees with the decoder about every event with one byte changed", function()
    for at = 1, #FRAME do
      local before, after = FRAME:sub(1, at - 1), FRAME:sub(at + 1)
      check_agreement(before .. after)
      for byte = 0, 255 do check_agreement(before .. string.char(byte) .. after) end
    end
  end)

  it("agrees with the decoder about events with parts moved, doubled and dropped", function()
    math.randomseed(8259)
    local random = math.random
    local pieces = { '"type"', '"cid"', '"user"', '"id"', '"a"', '"m:x"', "{", "}", "[", "]", ":", ",",
      "1", "-0", "1e9", "null", "true", '"\\u00e9"', '"\\ud800"', " ", "\n", '"', "\\", "\xC3\xA9", "\xC3",
      "\0", "0", ".", "e" }
    for _ = 1, 20000 do
      local text = FRAME
      for _ = 1, random(3) do
        local from = random(#text)
        local to = math.min(#text, from + random(0, 12))
        local pick = random(3)
        if pick == 1 then
          text = text:sub(1, from - 1) .. text:sub(to + 1)
        elseif pick == 2 then
          text = text:sub(1, from - 1) .. pieces[random(#pieces)] .. text:sub(from)
        else
          text = text:sub(1, from - 1) .. pieces[random(#pieces)] .. text:sub(to + 1)
        end
      end
      -- a key that comes twice or in disguise is the scan's own objection
      local _, _, reason = event.new(text)
      if not (reason and (reason:find "duplicate" or reason:find "twice" or reason:find "disguise")) then
        check_agreement(text)
      end
    end
  end)
end)
