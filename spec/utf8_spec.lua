-- UTF-8 as RFC 3629 has it, seen through the framing: whole texts by writing one, texts in parts by
-- reading one.
local core = require "stream_events.core"
local frames = require "support.frames"

local sender = core.ws("client")

local function is_valid(text)
  local ok, kind = sender:write(text)
  sender:output()
  assert(ok or kind == "argument", kind)
  return ok == true
end

-- Number of the byte at which a text is refused, or nil; one past the last byte: at its end.
local function fails_at(text)
  local whole = frames.frame("text", text)
  local cut = frames.frame("text", text, { announce = #text + 1 }) -- never complete
  local head = #cut - #text
  local bytewise, found = core.ws("client"), nil
  bytewise:read(cut:sub(1, head))
  for i = 1, #text do
    local item = bytewise:read(text:sub(i, i))[1]
    local at_once = core.ws("client"):read(cut:sub(1, head + i))[1]
    found = found or item and i
    assert.equal(found ~= nil, at_once ~= nil)
    assert.equal(1007, (item or at_once or { code = 1007 }).code)
  end
  local item = core.ws("client"):read(whole)[1]
  assert.equal(item.kind == "failed" and 1007 or nil, item.code)
  return found or item.kind == "failed" and #text + 1 or nil
end

-- Bytes, and which of them shows that this is no UTF-8; one past the last: that it ends there.
local BAD = {
  ["a continuation byte alone"] = { "\x80", 1 },
  ["the last continuation byte alone"] = { "\xbf", 1 },
  ["FE"] = { "\xfe", 1 },
  ["FF"] = { "\xff", 1 },
  ["an overlong slash in 2 bytes"] = { "\xc0\xaf", 1 },
  ["the longest overlong form in 2 bytes"] = { "\xc1\xbf", 1 },
  ["an overlong slash in 3 bytes"] = { "\xe0\x80\xaf", 2 },
  ["the longest overlong form in 3 bytes"] = { "\xe0\x9f\xbf", 2 },
  ["an overlong slash in 4 bytes"] = { "\xf0\x80\x80\xaf", 2 },
  ["the longest overlong form in 4 bytes"] = { "\xf0\x8f\xbf\xbf", 2 },
  ["five bytes"] = { "\xf8\x88\x80\x80\x80", 1 },
  ["six bytes"] = { "\xfc\x84\x80\x80\x80\x80", 1 },
  ["the first surrogate"] = { "\xed\xa0\x80", 2 },
  ["the last surrogate"] = { "\xed\xbf\xbf", 2 },
  ["a pair of surrogates"] = { "\xed\xa0\x81\xed\xb0\x80", 2 },
  ["U+110000"] = { "\xf4\x90\x80\x80", 2 },
  ["over U+13FFFF"] = { "\xf5\x80\x80\x80", 1 },
  ["ASCII after a lead byte of 2"] = { "\xc3A", 2 },
  ["ASCII after 2 bytes of 3"] = { "\xe2\x82A", 3 },
  ["ASCII after 3 bytes of 4"] = { "\xf0\x9f\x98A", 4 },
  ["a lead byte after a lead byte"] = { "\xc3\xc3", 2 },
  ["a lead byte in the third place"] = { "\xe2\x82\xc3", 3 },
  ["a lead byte in the fourth place"] = { "\xf0\x9f\x98\xff", 4 },
  ["an end after 1 byte of 2"] = { "\xc3", 2 },
  ["an end after 1 byte of 3"] = { "\xe2", 2 },
  ["an end after 2 bytes of 3"] = { "\xe2\x82", 3 },
  ["an end after 3 bytes of 4"] = { "\xf0\x9f\x98", 4 },
}

local GOOD = {
  ["nothing"] = "", ["ASCII"] = "Hello, World", ["a zero byte"] = "\0", ["DEL"] = "\x7f",
  ["U+0080"] = "\u{80}", ["U+07FF"] = "\u{7ff}", ["U+0800"] = "\u{800}", ["U+D7FF"] = "\u{d7ff}",
  ["U+E000"] = "\u{e000}", ["U+FFFD"] = "\u{fffd}", ["U+FFFF"] = "\u{ffff}", ["U+10000"] = "\u{10000}",
  ["U+10FFFF"] = "\u{10ffff}", ["a byte order mark"] = "\u{feff}x",
  ["many scripts"] = "κόσμε, Здравствуй, 你好, 🎮 déjà vu",
}

describe("a whole text", function()
  for name, text in pairs(GOOD) do
    it("may be " .. name, function() assert.is_true(is_valid(text)) end)
  end

  for name, case in pairs(BAD) do
    it("may not be " .. name, function() assert.is_false(is_valid(case[1])) end)
  end

  it("is judged alike wherever the blocks of the check begin", function()
    for padding = 0, 140 do
      local before = ("a"):rep(padding)
      for name, text in pairs(GOOD) do
        assert.is_true(is_valid(before .. text), name)
        assert.is_true(is_valid(before .. text .. before), name)
      end
      for name, case in pairs(BAD) do
        assert.is_false(is_valid(before .. case[1]), name)
        assert.is_false(is_valid(before .. case[1] .. before), name)
        assert.is_false(is_valid("é" .. before .. case[1] .. "é" .. before), name)
      end
    end
  end)

  -- Lua's own check is strict, too, and is nobody's code that is under test here.
  local function agrees(text)
    if is_valid(text) ~= (utf8.len(text) ~= nil) then
      error(("disagrees about %s"):format(core.crypto.hex(text)))
    end
  end

  if _VERSION == "Lua 5.4" then -- 5.3 takes surrogates
    it("agrees with Lua about all sequences of 1 and 2 bytes", function()
      for first = 0, 255 do
        agrees(string.char(first))
        for second = 0, 255 do agrees(string.char(first, second)) end
      end
    end)

    it("agrees with Lua about sequences of 3 and 4 bytes at all borders", function()
      local borders = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xff }
      for first = 0x7f, 0xff do
        for _, second in ipairs(borders) do
          for _, third in ipairs(borders) do
            agrees(string.char(first, second, third))
            if first >= 0xef then
              for _, fourth in ipairs(borders) do agrees(string.char(first, second, third, fourth)) end
            end
          end
        end
      end
    end)
  end
end)

describe("a text in parts", function()
  for name, text in pairs(GOOD) do
    it("may be " .. name, function() assert.is_nil(fails_at(text)) end)
  end

  for name, case in pairs(BAD) do
    it("fails at the very byte with " .. name, function()
      assert.equal(case[2], fails_at(case[1]))
      assert.equal(case[2] + 3, fails_at("aé" .. case[1]))
    end)
  end
end)
