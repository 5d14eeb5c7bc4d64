-- WebSocket framing (RFC 6455), both sides, without sockets.
local core = require "stream_events.core"
local frames = require "support.frames"

local SIDES = { "client", "server" }
local OTHER = { client = "server", server = "client" }

-- Frames as the peer of `side` sends them: a client masks, a server does not.
local function peer_of(side)
  return function(opcode, data, options)
    options = options or {}
    if options.key == nil then options.key = side == "server" or nil end
    if options.key == false then options.key = nil end
    return frames.frame(opcode, data, options)
  end
end

local function line(item)
  return table.concat({ item.kind, tostring(item.code), tostring(item.data), tostring(item.reason) }, " ")
end

-- Feeds the pieces one after another. Returns what came, as lines, and what was answered: the
-- answers are read by the other side, so that masks do not matter.
local function feed(side, pieces, max_message)
  local ws, mirror = core.ws(side, max_message), core.ws(OTHER[side])
  local lines, answers = {}, {}
  for _, piece in ipairs(pieces) do
    for _, item in ipairs((assert(ws:read(piece)))) do lines[#lines + 1] = line(item) end
    for _, item in ipairs((assert(mirror:read(ws:output())))) do answers[#answers + 1] = line(item) end
  end
  return lines, answers
end

local function each_byte(text)
  local pieces = {}
  for i = 1, #text do pieces[i] = text:sub(i, i) end
  return pieces
end

for _, side in ipairs(SIDES) do
  local peer = peer_of(side)
  local no_mask = side == "server" and "\0\0\0\0" or nil -- what follows stands for itself
  local close = function(code, reason) return peer("close", frames.close(code, reason)) end

  -- Each: what the peer sends, what is read, what is answered.
  local STREAMS = {
    ["a text"] = { peer("text", "Hello"), { "text nil Hello nil" }, {} },
    ["an empty text"] = { peer "text", { "text nil  nil" }, {} },
    ["a binary message"] = { peer("binary", "\0\xff\x80"), { "binary nil \0\xff\x80 nil" }, {} },
    ["lengths in 16 bits"] = {
      peer("text", ("x"):rep(126)) .. peer("text", ("y"):rep(300)),
      { "text nil " .. ("x"):rep(126) .. " nil", "text nil " .. ("y"):rep(300) .. " nil" }, {} },
    ["a text of many scripts"] = { peer("text", "κόσμε, 你好 🎮"), { "text nil κόσμε, 你好 🎮 nil" }, {} },
    ["two fragments"] = {
      peer("text", "Hel", { fin = false }) .. peer("continuation", "lo"), { "text nil Hello nil" }, {} },
    ["fragments that cut a character"] = {
      peer("text", "\xf0\x9f", { fin = false }) .. peer("continuation", "\x8e", { fin = false })
        .. peer("continuation", "\xae!"),
      { "text nil 🎮! nil" }, {} },
    ["empty fragments"] = {
      peer("text", "", { fin = false }) .. peer("continuation", "", { fin = false })
        .. peer("continuation", "a", { fin = false }) .. peer("continuation", "")
        .. peer("binary", "", { fin = false }) .. peer("continuation", ""),
      { "text nil a nil", "binary nil  nil" }, {} },
    ["binary fragments with what is no text"] = {
      peer("binary", "\xff", { fin = false }) .. peer("continuation", "\xc0"),
      { "binary nil \xff\xc0 nil" }, {} },
    ["a ping and a pong between fragments"] = {
      peer("text", "Hel\xc3", { fin = false }) .. peer("ping", "p1") .. peer("pong", "")
        .. peer("continuation", "\xa9lo") .. peer("ping"),
      { "ping nil p1 nil", "pong nil  nil", "text nil Helélo nil", "ping nil  nil" },
      { "pong nil p1 nil", "pong nil  nil" } },
    ["the largest ping"] = {
      peer("ping", ("\xfe"):rep(125)), { "ping nil " .. ("\xfe"):rep(125) .. " nil" },
      { "pong nil " .. ("\xfe"):rep(125) .. " nil" } },
    ["a close frame, and nothing after it"] = {
      peer("text", "a") .. close(1000, "bye") .. peer("text", "b") .. "\xff\xff\xff",
      { "text nil a nil", "close 1000 nil bye" }, { "close 1000 nil " } },
    ["a close frame without a code"] = {
      peer "close", { "close 1005 nil " }, { "close 1005 nil " } },
    ["the longest reason"] = {
      close(4999, ("r"):rep(123)), { "close 4999 nil " .. ("r"):rep(123) }, { "close 4999 nil " } },
    ["a close frame inside a message"] = {
      peer("text", "a", { fin = false }) .. close(1001), { "close 1001 nil " }, { "close 1001 nil " } },
    ["a text that is wrong at its end"] = {
      peer("text", "ok") .. peer("text", "no\xff"), { "text nil ok nil",
      "failed 1007 nil a text is not UTF-8" }, { "close 1007 nil " } },
    ["an unknown opcode after a message"] = {
      peer("text", "ok") .. peer(3, "no") .. peer("text", "never"),
      { "text nil ok nil", "failed 1002 nil unknown opcode" }, { "close 1002 nil " } },
  }

  describe("a " .. side .. " reads", function()
    for name, case in pairs(STREAMS) do
      it(name, function()
        local lines, answers = feed(side, { case[1] })
        assert.same(case[2], lines)
        assert.same(case[3], answers)
      end)

      it(name .. ", cut at any byte", function()
        for cut = 0, #case[1] do
          local lines, answers = feed(side, { case[1]:sub(1, cut), case[1]:sub(cut + 1) })
          assert.same(case[2], lines, cut)
          assert.same(case[3], answers, cut)
        end
      end)

      it(name .. ", byte by byte", function()
        local lines, answers = feed(side, each_byte(case[1]))
        assert.same(case[2], lines)
        assert.same(case[3], answers)
      end)
    end

    it("all streams one after another, in pieces of every size", function()
      local all, expected, replies = {}, {}, {}
      for name, case in pairs(STREAMS) do
        if not table.concat(case[2]):find "close %d" and not table.concat(case[2]):find "failed" then
          all[#all + 1] = case[1]
          for _, item in ipairs(case[2]) do expected[#expected + 1] = item end
          for _, reply in ipairs(case[3]) do replies[#replies + 1] = reply end
        end
        assert.is_string(name)
      end
      local stream = table.concat(all)
      for size = 1, 300 do
        local pieces = {}
        for i = 1, #stream, size do pieces[#pieces + 1] = stream:sub(i, i + size - 1) end
        local lines, answers = feed(side, pieces)
        assert.same(expected, lines, size)
        assert.same(replies, answers, size)
      end
    end)

    it("masks and lengths of every phase", function()
      for length = 0, 70 do
        local text = ("0123456789"):rep(7):sub(1, length)
        for before = 0, 8 do
          local lines = feed(side, { peer("text", ("-"):rep(before)) .. peer("text", text) })
          assert.equal("text nil " .. text .. " nil", lines[2])
        end
      end
    end)

    it("messages of all kinds of lengths", function()
      for _, length in ipairs { 1, 125, 126, 127, 65535, 65536, 70001 } do
        local text = ("z"):rep(length)
        local lines = feed(side, { peer("text", text) })
        assert.same({ "text nil " .. text .. " nil" }, lines, length)
        lines = feed(side, { peer("text", text):sub(1, 9), peer("text", text):sub(10) })
        assert.same({ "text nil " .. text .. " nil" }, lines, length)
      end
    end)

    it("16 MiB in one frame and in fragments of 64 bytes", function()
      local size = 16 * 1024 * 1024
      local chunk = ("0123456789abcdef"):rep(4096) -- 64 KiB
      local fragments = peer("continuation", chunk:sub(1, 64), { fin = false }):rep(1024)
      local ws = core.ws(side, size)
      local items = ws:read(peer("binary", "", { announce = size, key = no_mask }))
      for _ = 1, 256 do
        assert.equal(0, #items)
        items = ws:read(chunk)
      end
      assert.equal(chunk:rep(256), items[1].data)
      items = ws:read(peer("text", "", { fin = false }))
      for _ = 1, 256 do
        assert.equal(0, #items)
        items = ws:read(fragments)
      end
      items = ws:read(peer("continuation", ""))
      assert.equal(chunk:rep(256), items[1].data)
    end)
  end)

  -- What breaks the protocol, and the close code that says so.
  local BAD = {
    ["reserved bit 1"] = { peer("text", "a", { rsv = 4 }), 1002 },
    ["reserved bit 2"] = { peer("text", "a", { rsv = 2 }), 1002 },
    ["reserved bit 3"] = { peer("text", "a", { rsv = 1 }), 1002 },
    ["all reserved bits on a ping"] = { peer("ping", "", { rsv = 7 }), 1002 },
    ["a reserved bit on a close frame"] = { peer("close", "", { rsv = 4 }), 1002 },
    ["a reserved bit on a continuation"] = {
      peer("text", "a", { fin = false }) .. peer("continuation", "b", { rsv = 4 }), 1002 },
    ["the wrong side's masking"] = { peer("text", "a", { key = side == "client" }), 1002 },
    ["the wrong side's masking, nothing in it"] = { peer("text", "", { key = side == "client" }), 1002 },
    ["the wrong side's masking of a ping"] = { peer("ping", "a", { key = side == "client" }), 1002 },
    ["a continuation without a message"] = { peer("continuation", "a"), 1002 },
    ["a continuation without a message, not final"] = { peer("continuation", "a", { fin = false }), 1002 },
    ["a continuation after the last one"] = {
      peer("text", "a", { fin = false }) .. peer("continuation", "b") .. peer("continuation", "c"), 1002 },
    ["a text inside a text"] = { peer("text", "a", { fin = false }) .. peer("text", "b"), 1002 },
    ["a binary inside a text"] = {
      peer("text", "a", { fin = false }) .. peer("binary", "b", { fin = false }), 1002 },
    ["a text inside a text that is empty so far"] = {
      peer("text", "", { fin = false }) .. peer("text", "b"), 1002 },
    ["a fragmented ping"] = { peer("ping", "a", { fin = false }) .. peer("continuation", "b"), 1002 },
    ["a fragmented close frame"] = { peer("close", frames.close(1000), { fin = false }), 1002 },
    ["a ping of 126 bytes"] = { peer("ping", ("a"):rep(126)), 1002 },
    ["a pong of 126 bytes"] = { peer("pong", ("a"):rep(126)), 1002 },
    ["a close frame of 126 bytes"] = { peer("close", frames.close(1000, ("a"):rep(124))), 1002 },
    ["a ping with its length in 64 bits"] = { peer("ping", "a", { width = 64 }), 1002 },
    ["a ping with its length in 16 bits"] = { peer("ping", "a", { width = 16 }), 1002 },
    ["a length of 0 in 16 bits"] = { peer("text", "", { width = 16 }), 1002 },
    ["a length of 125 in 16 bits"] = { peer("text", ("a"):rep(125), { width = 16 }), 1002 },
    ["a length of 126 in 64 bits"] = { peer("text", ("a"):rep(126), { width = 64 }), 1002 },
    ["a length of 65535 in 64 bits"] = { peer("text", ("a"):rep(65535), { width = 64 }), 1002 },
    ["a length with its top bit set"] = {
      peer("binary", "", { announce = 2 ^ 63, width = 64 }), 1002 },
    ["a length of -1"] = { peer("binary", "", { announce = -1, width = 64 }), 1002 },
    ["the largest length"] = {
      peer("binary", "", { announce = "\x7f" .. ("\xff"):rep(7), width = 64 }), 1009 },
    ["a message over the limit"] = { peer("text", "", { announce = 1001 }), 1009, 1000 },
    ["a short message over the limit"] = { peer("text", ("a"):rep(11)), 1009, 10 },
    ["fragments over the limit together"] = {
      peer("text", ("a"):rep(6), { fin = false }) .. peer("continuation", ("b"):rep(5)), 1009, 10 },
    ["half a close code"] = { peer("close", "\x03"), 1002 },
    ["half a close code, after a ping with the other half"] = {
      peer("ping", "\x03\xe8") .. peer("close", "\x03"), 1002 },
    ["a close reason that is not UTF-8"] = { close(1000, "a\xff"), 1007 },
    ["a close reason that ends inside a character"] = { close(1000, "a\xe2\x82"), 1007 },
    ["a text that is not UTF-8"] = { peer("text", "a\xc0\xaf"), 1007 },
    ["a long text that is not UTF-8"] = { peer("text", ("a"):rep(70000) .. "\xed\xa0\x80"), 1007 },
    ["a text that ends inside a character"] = { peer("text", "a\xe2\x82"), 1007 },
    ["a fragmented text that ends inside a character"] = {
      peer("text", "a\xe2", { fin = false }) .. peer("continuation", "\x82"), 1007 },
    ["a character that a fragment breaks"] = {
      peer("text", "a\xe2", { fin = false }) .. peer("continuation", "b", { fin = false }), 1007 },
    ["a last, empty fragment inside a character"] = {
      peer("text", "\xe2", { fin = false }) .. peer("continuation", ""), 1007 },
  }
  for opcode = 3, 15 do
    if opcode < 8 or opcode > 10 then
      BAD["opcode " .. opcode] = { peer(opcode, "a"), 1002 }
      BAD["opcode " .. opcode .. ", not final"] = { peer(opcode, "", { fin = false }), 1002 }
      BAD["opcode " .. opcode .. " inside a message"] = {
        peer("text", "a", { fin = false }) .. peer(opcode, "a"), 1002 }
    end
  end

  describe("a " .. side .. " refuses", function()
    for name, case in pairs(BAD) do
      it(name, function()
        local stream, code, max_message = case[1], case[2], case[3]
        local lines, answers = feed(side, { stream, peer("text", "later") }, max_message)
        local reason = lines[#lines]:match("^failed " .. code .. " nil (.+)$")
        assert.is_string(reason, lines[#lines])
        assert.equal(("close %d nil "):format(code), answers[#answers])
        -- However it is cut, the same comes out of it.
        assert.same(lines, (feed(side, each_byte(stream), max_message)))
      end)
    end
  end)

  describe("a " .. side .. " fails at once", function()
    for name, case in pairs {
      ["with text that can never become UTF-8, in a frame that is not complete"] = {
        peer("text", "", { announce = 100, key = no_mask }), "abc\xc0", 1007 },
      ["with a character that a later fragment cannot save"] = {
        peer("text", "\xf0\x9f", { fin = false })
          .. peer("continuation", "", { announce = 9, key = no_mask }),
        "\x8ea", 1007 },
      ["with a first byte that is wrong"] = { "", "\x83", 1002 },
      ["with a second byte that is wrong"] = { "\x89", side == "server" and "\xfe" or "\x7e", 1002 },
      ["with a size over the limit, before the mask"] = {
        "\x82" .. (side == "server" and "\xff" or "\x7f") .. "\0\0\0\0\0\x10\0", "\1", 1009 },
    } do
      it(name, function()
        local ws = core.ws(side)
        assert.same({}, (ws:read(case[1])))
        for i = 1, #case[2] - 1 do assert.same({}, (ws:read(case[2]:sub(i, i)))) end
        local items = ws:read(case[2]:sub(-1))
        assert.equal("failed", items[1] and items[1].kind)
        assert.equal(case[3], items[1].code)
      end)
    end
  end)

  describe("a " .. side .. " and the close codes:", function()
    local function may_be_sent(code)
      return code >= 1000 and code <= 1003 or code >= 1007 and code <= 1014
        or code >= 3000 and code <= 4999
    end

    it("reads and echoes the valid ones, refuses all others", function()
      for code = 0, 5100 do
        local lines, answers = feed(side, { close(code, "why") })
        if may_be_sent(code) then
          assert.same({ ("close %d nil why"):format(code) }, lines)
          assert.same({ ("close %d nil "):format(code) }, answers)
        else
          assert.same({ "failed 1002 nil a close code that may not be sent" }, lines, code)
          assert.same({ "close 1002 nil " }, answers, code)
        end
      end
      assert.equal("failed", core.ws(side):read(close(65535))[1].kind)
    end)

    it("sends the valid ones, and none other", function()
      for code = 1, 5100 do
        local ws = core.ws(side)
        local ok, kind = ws:close(code, "why")
        if may_be_sent(code) then
          assert.is_true(ok)
          local item = core.ws(OTHER[side]):read(ws:output())[1]
          assert.equal(("close %d nil why"):format(code), line(item))
        else
          assert.equal("argument", kind, code)
          assert.equal("", ws:output())
        end
      end
      for _, code in ipairs { -1, 65536, 66536 } do
        assert.equal("argument", select(2, core.ws(side):close(code)))
      end
    end)
  end)

  describe("a " .. side .. " writes", function()
    it("what the other side reads, whatever the length", function()
      local ws, other = core.ws(side), core.ws(OTHER[side])
      for _, length in ipairs {
        0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 125, 126, 127, 1000, 65535, 65536, 99999,
      } do
        local data = ("0123456789"):rep(10000):sub(1, length)
        assert.is_true((ws:write(data)))
        assert.is_true((ws:write(data, "binary")))
        local items = other:read(ws:output())
        assert.equal(2, #items)
        assert.equal(data, items[1].data)
        assert.equal("binary", items[2].kind)
        assert.equal(data, items[2].data)
      end
    end)

    it("headers of the shortest form, with a mask only when it is the client", function()
      local ws = core.ws(side)
      local masked, more = side == "client" and 0x80 or 0, side == "client" and 4 or 0
      for _, case in ipairs {
        { 0, string.char(0x81, masked) }, { 125, string.char(0x81, masked + 125) },
        { 126, string.char(0x81, masked + 126, 0, 126) },
        { 65535, string.char(0x81, masked + 126, 255, 255) },
        { 65536, string.char(0x81, masked + 127, 0, 0, 0, 0, 0, 1, 0, 0) },
      } do
        ws:write(("a"):rep(case[1]))
        local bytes = ws:output()
        assert.equal(#case[2] + more + case[1], #bytes)
        assert.equal(case[2], bytes:sub(1, #case[2]))
      end
    end)

    it("pings and pongs of at most 125 bytes", function()
      local ws, other = core.ws(side), core.ws(OTHER[side])
      assert.is_true((ws:write(("p"):rep(125), "ping")))
      assert.is_true((ws:write("", "pong")))
      local items = other:read(ws:output())
      assert.same({ kind = "ping", data = ("p"):rep(125) }, items[1])
      assert.same({ kind = "pong", data = "" }, items[2])
      assert.equal("argument", select(2, ws:write(("p"):rep(126), "ping")))
      assert.equal("argument", select(2, ws:write(("p"):rep(126), "pong")))
      assert.equal("", ws:output())
    end)

    it("no text that is not UTF-8, but any binary", function()
      local ws = core.ws(side)
      assert.equal("argument", select(2, ws:write "a\xff"))
      assert.equal("argument", select(2, ws:write "a\xe2\x82"))
      assert.equal("", ws:output())
      assert.is_true((ws:write("a\xff", "binary")))
    end)
  end)

  describe("closing by a " .. side, function()
    it("says its code and reason once, and sends nothing more", function()
      local ws, other = core.ws(side), core.ws(OTHER[side])
      assert.is_true((ws:close(1000, "bye")))
      assert.is_true((ws:close(1001, "again")))
      assert.equal("closed", select(2, ws:write "late"))
      assert.equal("closed", select(2, ws:write("late", "ping")))
      assert.same({ { kind = "close", code = 1000, reason = "bye" } }, (other:read(ws:output())))
    end)

    it("still reads messages until the answer comes, and answers no ping", function()
      local ws = core.ws(side)
      ws:close(1000)
      ws:output()
      local items = ws:read(peer("text", "a") .. peer("ping", "b") .. close(1000) .. peer("text", "c"))
      assert.same({ "text nil a nil", "ping nil b nil", "close 1000 nil " },
        { line(items[1]), line(items[2]), items[3] and line(items[3]) })
      assert.equal(3, #items)
      assert.equal("", ws:output())
    end)

    it("needs no code", function()
      local ws, other = core.ws(side), core.ws(OTHER[side])
      assert.is_true((ws:close()))
      assert.same({ { kind = "close", code = 1005, reason = "" } }, (other:read(ws:output())))
      local frame = other:output()
      assert.same({ { kind = "close", code = 1005, reason = "" } }, (ws:read(frame)))
    end)

    it("takes a reason of up to 123 bytes of UTF-8, and none without a code", function()
      assert.is_true((core.ws(side):close(1000, ("r"):rep(123))))
      for _, case in ipairs { { 1000, ("r"):rep(124) }, { 1000, "\xff" }, { nil, "why" }, { 0, "why" } } do
        local ws = core.ws(side)
        assert.equal("argument", select(2, ws:close(case[1], case[2])))
        assert.equal("", ws:output())
        assert.is_true((ws:write "still open"))
      end
    end)

    it("is over after the peer's close: nothing is sent any more", function()
      local ws = core.ws(side)
      ws:read(close(1000))
      ws:output()
      assert.equal("closed", select(2, ws:write "late"))
      assert.is_true((ws:close(1000)))
      assert.equal("", ws:output())
      assert.same({}, (ws:read(peer("text", "more"))))
    end)

    it("does not follow a failure", function()
      local ws = core.ws(side)
      ws:read "\xff"
      assert.is_true(#ws:output() > 0)
      assert.equal("closed", select(2, ws:write "late"))
      assert.is_true((ws:close(1000)))
      assert.equal("", ws:output())
    end)

    it("fails without a second close frame when one was sent", function()
      local ws = core.ws(side)
      ws:close(1000)
      ws:output()
      assert.equal("failed", ws:read("\xff")[1].kind)
      assert.equal("", ws:output())
    end)
  end)

  describe("a " .. side .. " whose output is full", function()
    local full = 2 + (side == "client" and 4 or 0) + 20 -- one pong of 20 bytes

    it("stops at a ping, and goes on after it where it stopped", function()
      local stream = peer("ping", ("1"):rep(20)) .. peer("text", "a") .. peer("ping", ("2"):rep(20))
        .. peer("text", "b") .. peer("ping", ("3"):rep(20)) .. close(1000)
      for cut = 0, #stream do
        local ws, other, lines, answers = core.ws(side, nil, full), core.ws(OTHER[side]), {}, {}
        local function read(bytes)
          local items, blocked = assert(ws:read(bytes))
          for _, item in ipairs(items) do lines[#lines + 1] = line(item):sub(1, 8) end
          return blocked
        end
        for _, piece in ipairs { stream:sub(1, cut), stream:sub(cut + 1) } do
          local blocked = read(piece)
          while blocked do
            assert.is_true(read "") -- nothing changes before there is room
            assert.equal("full", select(2, ws:read "more"))
            local out = ws:output(1) .. ws:output()
            for _, item in ipairs((other:read(out))) do answers[#answers + 1] = line(item):sub(1, 10) end
            blocked = read ""
          end
        end
        for _, item in ipairs((other:read(ws:output()))) do answers[#answers + 1] = line(item):sub(1, 10) end
        assert.same({ "ping nil", "text nil", "ping nil", "text nil", "ping nil", "close 10" }, lines, cut)
        assert.same({ "pong nil 1", "pong nil 2", "pong nil 3", "close 1000" }, answers, cut)
      end
    end)

    it("stops at a failure until it can say so", function()
      local ws = core.ws(side, nil, full)
      assert.is_true((ws:write(("x"):rep(20))))
      local items, blocked = ws:read "\xff\xff\xff"
      assert.same({}, items)
      assert.is_true(blocked)
      assert.equal("closed", select(2, ws:write "more"))
      local other = core.ws(OTHER[side])
      other:read(ws:output())
      items, blocked = ws:read ""
      assert.equal("failed", items[1].kind)
      assert.is_false(blocked)
      assert.equal(1002, other:read(ws:output())[1].code)
    end)

    it("closes without a pong when it was told to close meanwhile", function()
      local ws = core.ws(side, nil, full)
      ws:write(("x"):rep(20))
      assert.is_true(select(2, ws:read(peer("ping", "p"))))
      ws:output()
      ws:close(1001)
      assert.equal("ping", ws:read("")[1].kind)
      local items = core.ws(OTHER[side]):read(ws:output())
      assert.equal("close", items[1].kind)
      assert.is_nil(items[2])
    end)

    it("refuses a message and a close frame that do not fit, whole", function()
      local ws = core.ws(side, nil, full)
      assert.equal("full", select(2, ws:write(("x"):rep(21))))
      assert.is_true((ws:write(("x"):rep(20))))
      assert.equal("full", select(2, ws:write ""))
      assert.equal("full", select(2, ws:close(1000)))
      assert.equal(full, #ws:output())
      assert.is_true((ws:close(1000)))
    end)
  end)
end

describe("RFC 6455 §5.7", function()
  for name, case in pairs {
    ["a single-frame unmasked text message"] = { "client", "\x81\x05Hello", { "text nil Hello nil" } },
    ["a single-frame masked text message"] = {
      "server", "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", { "text nil Hello nil" } },
    ["a fragmented unmasked text message"] = {
      "client", "\x01\x03Hel\x80\x02lo", { "text nil Hello nil" } },
    ["an unmasked ping"] = { "client", "\x89\x05Hello", { "ping nil Hello nil" } },
    ["a masked pong"] = {
      "server", "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", { "pong nil Hello nil" } },
    ["256 bytes of binary"] = { "client", "\x82\x7e\x01\x00" .. ("b"):rep(256),
      { "binary nil " .. ("b"):rep(256) .. " nil" } },
    ["64 KiB of binary"] = { "client", "\x82\x7f\0\0\0\0\0\1\0\0" .. ("b"):rep(65536),
      { "binary nil " .. ("b"):rep(65536) .. " nil" } },
  } do
    it("reads " .. name, function() assert.same(case[3], (feed(case[1], { case[2] }))) end)
  end

  it("answers its ping as a server does", function()
    local ws = core.ws "server"
    ws:read "\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
    assert.equal("\x8a\x05Hello", ws:output())
  end)
end)

describe("a client's masks", function()
  it("are new for every frame, also beyond what is drawn at a time", function()
    local ws, seen, frames_count, zero = core.ws "client", {}, 5000, 0
    for _ = 1, frames_count do
      ws:write ""
      local mask = ws:output():sub(3)
      assert.equal(4, #mask)
      seen[mask] = (seen[mask] or 0) + 1
      if mask == "\0\0\0\0" then zero = zero + 1 end
    end
    local different = 0
    for _ in pairs(seen) do different = different + 1 end
    -- Of 5000 random masks two are the same in 0.3 % of all runs; four pairs never.
    assert.is_true(different >= frames_count - 3)
    assert.is_true(zero <= 1)
  end)

  it("differ between connections", function()
    local a, b = core.ws "client", core.ws "client"
    a:write(("\0"):rep(32), "binary")
    b:write(("\0"):rep(32), "binary")
    assert.not_equal(a:output(), b:output())
  end)
end)

describe("the memory of a message", function()
  local function mapped_pages()
    local file = io.open "/proc/self/statm"
    if not file then return nil end
    local pages = file:read  "*n"
    file:close()
    return pages
  end

  it("grows with what arrived, not with what a header announces", function()
    local before = mapped_pages()
    if not before then return pending "no /proc here" end
    local held = {}
    for i = 1, 500 do
      held[i] = core.ws("server", 64 * 1024 * 1024)
      local head = frames.frame("binary", "", { announce = 64 * 1024 * 1024, key = true })
      assert.same({}, (held[i]:read(head .. "a")))
    end
    assert.is_true(mapped_pages() - before < 64 * 1024 * 1024 / 4096)
  end)

  it("is given back in any state", function()
    for _, side in ipairs(SIDES) do
      local peer = peer_of(side)
      local stream = peer("text", "a", { fin = false }) .. peer("ping", "b") .. peer("continuation", "c")
      for cut = 0, #stream do
        local ws = core.ws(side)
        ws:read(stream:sub(1, cut))
        ws:write "never sent"
      end
    end
    collectgarbage()
    collectgarbage()
  end)
end)

describe("ws", function()
  it("raises for what is misuse", function()
    assert.has_error(function() core.ws() end)
    assert.has_error(function() core.ws "peer" end)
    assert.has_error(function() core.ws("client", 0) end)
    assert.has_error(function() core.ws("client", -1) end)
    assert.has_error(function() core.ws("client", 1, 0) end)
    local ws = core.ws "client"
    assert.has_error(function() ws:write("a", "close") end)
    assert.has_error(function() ws:write(nil) end)
    assert.has_error(function() ws:read() end)
    assert.has_error(function() ws:output(-1) end)
    assert.has_error(function() ws.read({}, "a") end)
  end)

  it("hides its metatable", function()
    assert.is_false(getmetatable(core.ws "client"))
  end)
end)
