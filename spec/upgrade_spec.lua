-- The opening handshake of a WebSocket (RFC 6455 §4): what is asked, and what is taken for a yes.
local core = require "stream_events.core"

local KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

-- An answer as a server should give it; `changes` replaces (or, with false, leaves out) a line, and
-- its array part adds lines.
local function answer(changes)
  changes = changes or {}
  local lines = { changes.status or "HTTP/1.1 101 Switching Protocols" }
  for _, header in ipairs {
    { "Upgrade", "websocket" }, { "Connection", "Upgrade" }, { "Sec-WebSocket-Accept", ACCEPT },
  } do
    local value = changes[header[1]]
    if value == nil then value = header[2] end
    if value then lines[#lines + 1] = header[1] .. ": " .. value end
  end
  for _, extra in ipairs(changes) do lines[#lines + 1] = extra end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

describe("upgrade_accept", function()
  it("computes the example of RFC 6455 §1.3", function()
    assert.equal(ACCEPT, core.upgrade_accept(KEY))
  end)

  it("takes a key of any length", function()
    for _, key in ipairs { "", "x", ("k"):rep(10000), "a\0b" } do
      local digest = core.crypto.sha1(key .. "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
      assert.equal(core.crypto.base64_encode(digest), core.upgrade_accept(key))
    end
  end)
end)

describe("upgrade_key", function()
  it("is 16 bytes in base64, new each time", function()
    local key = core.upgrade_key()
    assert.equal(16, #core.crypto.base64_decode(key))
    assert.not_equal(key, core.upgrade_key())
  end)
end)

describe("upgrade_request", function()
  it("asks for a WebSocket, and for nothing else", function()
    assert.equal("GET /connect?a=b HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\n"
      .. "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " .. KEY
      .. "\r\n\r\n", (core.upgrade_request("example.com:8080", "/connect?a=b", KEY)))
  end)

  it("carries further lines", function()
    local request = core.upgrade_request("h", "/", KEY, "Authorization: t\r\nX-Y:\r\n")
    assert.equal("Authorization: t\r\nX-Y:\r\n\r\n", request:match "==\r\n(.*)$")
  end)

  for name, case in pairs {
    ["a space in the target"] = { "h", "/a b" },
    ["a line break in the target"] = { "h", "/a\r\nX: y" },
    ["a line feed in the host"] = { "h\nX: y", "/" },
    ["a tab in the host"] = { "h\t", "/" },
    ["DEL in the target"] = { "h", "/\127" },
    ["no host"] = { "", "/" },
    ["no target"] = { "h", "" },
    ["a header without its end"] = { "h", "/", "A: b" },
    ["a header with half its end"] = { "h", "/", "A: b\n" },
    ["a header without a colon"] = { "h", "/", "A b\r\n" },
    ["a header without a name"] = { "h", "/", ": b\r\n" },
    ["a space before the colon"] = { "h", "/", "A : b\r\n" },
    ["an empty line among the headers"] = { "h", "/", "A: b\r\n\r\nGET / HTTP/1.1\r\n" },
    ["a bare carriage return in a header"] = { "h", "/", "A: b\rc\r\n" },
  } do
    it("refuses " .. name, function()
      local request, kind, message = core.upgrade_request(case[1], case[2], KEY, case[3])
      assert.is_nil(request)
      assert.equal("argument", kind)
      assert.is_string(message)
    end)
  end

  it("raises for a zero byte", function()
    assert.has_error(function() core.upgrade_request("h\0i", "/", KEY) end)
  end)
end)

-- Feeds the answer as it would arrive: nothing is known before its last byte, or it is refused.
local function accepts_at(bytes)
  for i = 0, #bytes do
    local used, _, message = core.upgrade_response(bytes:sub(1, i), KEY)
    if used ~= 0 then return i, used, message end
  end
end

describe("upgrade_response accepts", function()
  for name, changes in pairs {
    ["the usual answer"] = {},
    ["no reason phrase"] = { status = "HTTP/1.1 101" },
    ["an empty reason phrase"] = { status = "HTTP/1.1 101 " },
    ["other letters in Upgrade"] = { Upgrade = "WebSocket" },
    ["other letters in Connection"] = { Connection = "UPGRADE" },
    ["a list in Connection"] = { Connection = "keep-alive,\tUpgrade , x" },
    ["two lines of Connection"] = { Connection = "keep-alive", "connection: upgrade" },
    ["much white space"] = {
      Upgrade = " \t websocket \t ", ["Sec-WebSocket-Accept"] = "\t" .. ACCEPT .. " " },
    ["names in other letters"] = {
      Upgrade = false, Connection = false, ["Sec-WebSocket-Accept"] = false,
      "UPGRADE:websocket", "cOnNeCtIoN:Upgrade", "sec-websocket-accept:" .. ACCEPT },
    ["headers that nobody knows"] = { "Server: x", "Date: now", "X-Empty:", "Set-Cookie: a=\xe9\tb" },
    ["an extensions line without extensions"] = { "Sec-WebSocket-Extensions:" },
    ["just under 16 KiB"] = { "X: " .. ("x"):rep(16384 - #answer {} - 5) },
  } do
    it(name .. ", at its last byte", function()
      local bytes = answer(changes)
      local at, used, message = accepts_at(bytes)
      assert.is_nil(message)
      assert.equal(#bytes, at)
      assert.equal(#bytes, used)
    end)
  end

  it("frames that came with the answer, without touching them", function()
    local bytes = answer()
    assert.equal(#bytes, (core.upgrade_response(bytes .. "\x81\x02hi\r\n\r\n", KEY)))
  end)
end)

describe("upgrade_response refuses", function()
  for name, case in pairs {
    ["200"] = { answer { status = "HTTP/1.1 200 OK" }, 200 },
    ["401"] = { answer { status = "HTTP/1.1 401 Unauthorized" }, 401 },
    ["503 by HTTP/1.0"] = { answer { status = "HTTP/1.0 503 Busy" }, 503 },
    ["301"] = { answer { status = "HTTP/1.1 301 Moved", "Location: /" }, 301 },
    ["100"] = { "HTTP/1.1 100 Continue\r\n\r\n" .. answer(), 100 },
    ["101 by HTTP/1.0"] = { answer { status = "HTTP/1.0 101 Switching Protocols" }, 101 },
    ["HTTP/2"] = { answer { status = "HTTP/2 101" } },
    ["HTTP/1.2"] = { answer { status = "HTTP/1.2 101 Switching Protocols" } },
    ["http in small letters"] = { answer { status = "http/1.1 101 Switching Protocols" } },
    ["two spaces before the status"] = { answer { status = "HTTP/1.1  101 Switching Protocols" } },
    ["a status of two digits"] = { answer { status = "HTTP/1.1 10 Switching" } },
    ["a status of four digits"] = { answer { status = "HTTP/1.1 1010 Switching" } },
    ["HTML"] = { "<!DOCTYPE html><html><body>It works!</body></html>" },
    ["an SSH server"] = { "SSH-2.0-OpenSSH_9.2\r\n" },
    ["TLS"] = { "\x15\x03\x01\x00\x02\x02\x46" },
    ["an empty line first"] = { "\r\n" .. answer() },
    ["a control character in the status line"] = { answer { status = "HTTP/1.1 101 a\1b" } },
    ["a zero byte in the status line"] = { answer { status = "HTTP/1.1 101 a\0b" } },
    ["no Upgrade"] = { answer { Upgrade = false }, 101 },
    ["another Upgrade"] = { answer { Upgrade = "h2c" }, 101 },
    ["a list in Upgrade"] = { answer { Upgrade = "websocket, h2c" }, 101 },
    ["an empty Upgrade"] = { answer { Upgrade = "" }, 101 },
    ["no Connection"] = { answer { Connection = false }, 101 },
    ["another Connection"] = { answer { Connection = "close" }, 101 },
    ["Connection with more than the word"] = { answer { Connection = "upgraded, up grade" }, 101 },
    ["no Sec-WebSocket-Accept"] = { answer { ["Sec-WebSocket-Accept"] = false }, 101 },
    ["the accept value of another key"] = {
      answer { ["Sec-WebSocket-Accept"] = core.upgrade_accept "x" }, 101 },
    ["the accept value in small letters"] = {
      answer { ["Sec-WebSocket-Accept"] = ACCEPT:lower() }, 101 },
    ["an accept value that is cut"] = { answer { ["Sec-WebSocket-Accept"] = ACCEPT:sub(1, 27) }, 101 },
    ["an accept value with more behind it"] = { answer { ["Sec-WebSocket-Accept"] = ACCEPT .. "=" }, 101 },
    ["the key itself"] = { answer { ["Sec-WebSocket-Accept"] = KEY }, 101 },
    ["an accept value given twice"] = { answer { "Sec-WebSocket-Accept: " .. ACCEPT }, 101 },
    ["an extension"] = { answer { "Sec-WebSocket-Extensions: permessage-deflate" }, 101 },
    ["a sub-protocol"] = { answer { "Sec-WebSocket-Protocol: chat" }, 101 },
    ["a folded line"] = { answer { "X-Y: a", " b" }, 101 },
    ["a folded line by a tab"] = { answer { "X-Y: a", "\tb" }, 101 },
    ["a space before a colon"] = { answer { "X-Y : a" }, 101 },
    ["a line without a colon"] = { answer { "nonsense" }, 101 },
    ["a line without a name"] = { answer { ": a" }, 101 },
    ["a zero byte in a name"] = { answer { "X\0Y: a" }, 101 },
    ["a zero byte in a value"] = { answer { "X-Y: a\0b" }, 101 },
    ["a carriage return in a value"] = { answer { "X-Y: a\rb" }, 101 },
    ["bare line feeds"] = { (answer():gsub("\r\n", "\n")) },
    ["a bare line feed in the headers"] = { (answer { "X-Y: a" }:gsub("a\r\n", "a\n")), 101 },
    ["a bare line feed at the end"] = { answer():sub(1, -3) .. "\n", 101 },
    ["a head over 16 KiB"] = { answer { "X: " .. ("x"):rep(16384 - #answer {} - 4) }, 101 },
    ["a head that never ends"] = { answer():sub(1, -3) .. ("X: y\r\n"):rep(4000), 101 },
    ["a status line that never ends"] = { "HTTP/1.1 101 " .. ("x"):rep(20000) },
  } do
    it(name, function()
      local bytes, status = case[1], case[2]
      local used, kind, message, got = core.upgrade_response(bytes, KEY)
      assert.is_nil(used)
      assert.equal("protocol", kind)
      assert.is_string(message)
      assert.equal(status, got)
      -- The same, however it arrives; never a yes on the way.
      local step = #bytes > 1000 and 97 or 1
      for i = 0, #bytes, step do
        local part_used, _, part_message, part_status = core.upgrade_response(bytes:sub(1, i), KEY)
        if part_used == nil then
          assert.equal(message, part_message)
          assert.equal(status, part_status)
        else
          assert.equal(0, part_used)
        end
      end
    end)
  end

  it("what cannot become HTTP at its first byte", function()
    for _, bytes in ipairs {
      "<", "h", "\0", " ", "\r", "HTTq", "HTTP/2", "HTTP/1.9", "HTTP/1.1x", "HTTP/1.1 1x", "HTTP/1.1 1010",
    } do
      assert.equal(0, (core.upgrade_response(bytes:sub(1, -2), KEY)), bytes)
      assert.is_nil((core.upgrade_response(bytes, KEY)), bytes)
    end
  end)

  it("another status as soon as its line is there", function()
    local head = "HTTP/1.1 503 Service Unavailable\r"
    assert.equal(0, (core.upgrade_response(head, KEY)))
    local used, kind, message, status = core.upgrade_response(head .. "\n", KEY)
    assert.is_nil(used)
    assert.same({ "protocol", "the server refused to upgrade", 503 }, { kind, message, status })
  end)
end)
