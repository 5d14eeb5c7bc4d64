--- The listener's WebSockets over real sockets: handshake, frames, closing, and ends of all kinds.
local core = require "stream_events.server.core"
local frames = require "support.frames"
local listening = require "support.listening"

local HANDSHAKE, KEY = listening.HANDSHAKE, listening.KEY
local CLOSE = 0x88

local function without(name)
  local text, count = HANDSHAKE:gsub(name:gsub("%-", "%%-") .. ":[^\r]*\r\n", "")
  assert(count == 1, name)
  return text
end

local function with(name, value)
  return without(name):gsub("\r\n\r\n", "\r\n" .. name .. ": " .. value .. "\r\n\r\n")
end

local fixture

local function open(options)
  fixture = listening.open(options)
  return fixture.listener
end

after_each(function()
  if fixture then fixture:close() end
  fixture = nil
end)

describe("a handshake", function()
  it("is handed out, and accepted with the value of RFC 6455", function()
    local listener = open()
    local client = fixture:client()
    client:write(HANDSHAKE)
    local number, request = fixture:expect "upgrade"
    assert.equal("/connect", request.path)
    assert.equal("a=b", request.query)
    assert.equal("websocket", request.headers.upgrade)
    assert.equal(0, listener:stats().websockets)
    assert.is_true(listener:accept(number))
    assert.equal(1, listener:stats().websockets)
    local head = client:expect "^(.-)\r\n\r\n$"
    assert.equal("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ..
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", head)
    assert.is_false(listener:accept(number))
    assert.is_false(listener:respond(number, 200, ""))
  end)

  it("may be cut anywhere, with frames behind it", function()
    open { messages = true }
    local text = HANDSHAKE .. frames.frame("text", "one", { key = true }) ..
      frames.frame("binary", "two", { key = true })
    for cut = 1, #text - 1 do
      local client = fixture:client()
      client:write(text:sub(1, cut))
      fixture:turn()
      if cut >= #HANDSHAKE then fixture.listener:accept(fixture:expect "upgrade") end
      client:write(text:sub(cut + 1))
      if cut < #HANDSHAKE then fixture.listener:accept(fixture:expect "upgrade") end
      local _, data, kind = fixture:expect "message"
      assert.same({ "one", "text" }, { data, kind })
      _, data, kind = fixture:expect "message"
      assert.same({ "two", "binary" }, { data, kind })
      client:close()
    end
  end)

  it("with other words in Connection and Upgrade is one", function()
    open()
    for _, text in ipairs {
      (with("Connection", "keep-alive , UPGRADE")), (with("Upgrade", "h2c, WebSocket")),
      -- Fields that are there several times are one list (RFC 9110 §5.3).
      (with("Connection", "keep-alive\r\nconnection: Upgrade")),
      (with("Connection", "Upgrade\r\nCONNECTION: keep-alive")),
      (with("Upgrade", "h2c\r\nupgrade: websocket")), (with("Upgrade", "websocket\r\nUPGRADE: h2c")),
    } do
      local client = fixture:client()
      client:write(text)
      fixture:expect "upgrade"
    end
  end)

  it("without one of the two words is a plain request", function()
    open()
    for _, text in ipairs {
      without "Connection", without "Upgrade", (with("Connection", "close")),
    } do
      local client = fixture:client()
      client:write(text)
      local number = fixture:expect "request"
      assert.is_false(fixture.listener:accept(number))
      assert.is_true(fixture.listener:respond(number, 400, "{}"))
    end
  end)

  for name, case in pairs {
    ["of another version"] = { with("Sec-WebSocket-Version", "8"), 426 },
    ["without a version"] = { without "Sec-WebSocket-Version", 426 },
    ["without a key"] = { without "Sec-WebSocket-Key", 400 },
    ["with two keys"] =
      { HANDSHAKE:gsub("\r\n\r\n", "\r\nSec-WebSocket-Key: " .. KEY .. "\r\n\r\n"), 400 },
    ["with a short key"] = { HANDSHAKE:gsub("dGhl", ""), 400 },
    ["with a key that is no base64"] = { HANDSHAKE:gsub("dGhl", "d*hl"), 400 },
    ["with a key of 18 bytes"] = { HANDSHAKE:gsub("ZQ==", "ZQAB"), 400 },
    ["by POST"] = { HANDSHAKE:gsub("^GET", "POST"), 400 },
    ["by HTTP/1.0"] = { HANDSHAKE:gsub("HTTP/1.1", "HTTP/1.0"), 400 },
    ["with a body"] = { HANDSHAKE:gsub("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nab"), 400 },
  } do
    it(name .. " is refused", function()
      open()
      local client = fixture:client()
      client:write(case[1])
      local text = client:finish()
      assert.matches(("^HTTP/1.1 %d "):format(case[#case]), text)
      assert.equal(case[#case] == 426, text:find("Sec-WebSocket-Version: 13\r\n", 1, true) ~= nil)
      assert.same({}, fixture.results)
    end)
  end

  it("may be answered with HTTP, which ends the connection", function()
    local listener = open()
    local client = fixture:client()
    client:write(HANDSHAKE .. frames.frame("text", "too early", { key = true }))
    local number = fixture:expect "upgrade"
    assert.is_true(listener:respond(number, 401, '{"code":2}'))
    assert.matches('^HTTP/1.1 401 Unauthorized\r\n.*Connection: close\r\n.*{"code":2}$', client:finish())
    assert.is_false(listener:accept(number))
    assert.same({}, fixture.results)
  end)
end)

describe("a message", function()
  it("is noted once a turn, however many there are", function()
    local listener = open()
    local client, number = fixture:websocket()
    client:write(frames.frame("text", "x", { key = true }):rep(1000))
    assert.equal(number, fixture:expect "message")
    assert.same({}, fixture.results)
    client:frame("binary", "y")
    assert.equal(number, fixture:expect "message")
    assert.equal(1, listener:stats().websockets)
  end)

  it("is handed out with its bytes when that is wanted", function()
    open { messages = true, max_message = 300000 }
    local client, number = fixture:websocket()
    local big = ("0123456789"):rep(30000)
    client:frame("text", "ä€")
    client:frame("binary", "\0\255")
    client:frame("text", "")
    client:frame("text", big:sub(1, 1000), { fin = false })
    client:frame("ping", "p")
    client:frame("continuation", big:sub(1001))
    for _, expected in ipairs {
      { "ä€", "text" }, { "\0\255", "binary" }, { "", "text" }, { "p", "ping" }, { big, "text" },
    } do
      local connection, data, kind = fixture:expect "message"
      assert.equal(number, connection)
      assert.equal(expected[2], kind)
      assert.is_true(expected[1] == data)
    end
    assert.same({ { 0x8A, "p" } }, (client:expect_frames(1)))
  end)

  it("that is a ping is answered, one that is a pong is not noted", function()
    open()
    local client, number = fixture:websocket()
    client:frame("pong", "unasked")
    client:frame("ping", "payload")
    assert.same({ { 0x8A, "payload" } }, (client:expect_frames(1)))
    assert.equal(number, fixture:expect "message")
    assert.same({}, fixture.results)
    client:frame("pong", "unasked")
    client:frame("close", frames.close(1000))
    assert.same({ number, 1000 }, { fixture:expect "closed" })
  end)

  for name, case in pairs {
    ["not masked"] = { frames.frame("text", "x"), 1002 },
    ["with reserved bits"] = { frames.frame("text", "x", { rsv = 4, key = true }), 1002 },
    ["a continuation of nothing"] = { frames.frame("continuation", "x", { key = true }), 1002 },
    ["not UTF-8"] = { frames.frame("text", "\xff", { key = true }), 1007 },
    ["too long"] = { frames.frame("text", "", { announce = 1001, width = 16, key = true }), 1009 },
  } do
    it(name .. " ends the connection", function()
      open { max_message = 1000 }
      local client, number = fixture:websocket()
      client:write(case[1])
      assert.same({ number, case[2] }, { fixture:expect "closed" })
      client:finish()
      local got = client:frames()
      assert.equal(CLOSE, got[#got][1])
      assert.equal(case[2], string.unpack(">I2", got[#got][2]))
      assert.equal(0, fixture.listener:stats().websockets)
    end)
  end
end)

describe("the end of a WebSocket", function()
  it("by the client is answered with its own code", function()
    for _, code in ipairs { 1000, 1001, 1011, 3000, 4999 } do
      if not fixture then open() end
      local client, number = fixture:websocket()
      client:frame("close", frames.close(code, "bye"))
      assert.same({ number, code }, { fixture:expect "closed" })
      client:finish()
      assert.same({ { CLOSE, frames.close(code) } }, (client:frames()))
      client:close()
    end
    fixture:wait("all gone", function() return fixture.listener:stats().connections == 0 end)
  end)

  it("without a code is 1005, without a close frame 1006", function()
    open()
    local client, number = fixture:websocket()
    client:frame "close"
    assert.same({ number, 1005 }, { fixture:expect "closed" })
    client, number = fixture:websocket()
    client:shut()
    assert.same({ number, 1006 }, { fixture:expect "closed" })
    client, number = fixture:websocket()
    client.tcp:close_reset()
    assert.same({ number, 1006 }, { fixture:expect "closed" })
  end)

  it("by us says code and reason behind what was sent, and waits for the client's", function()
    local listener = open { messages = true }
    local client, number = fixture:websocket()
    listener:join(1, number)
    listener:send(number, "one")
    listener:broadcast(1, "two")
    listener:close(number, 4001, "because")
    assert.is_false(listener:send(number, "late"))
    assert.is_false(listener:join(2, number))
    assert.equal(0, listener:group_size(1))
    assert.equal(0, listener:broadcast(1, "late"))
    assert.same({ number, 4001 }, { fixture:expect "closed" })
    assert.same({ { 0x81, "one" }, { 0x81, "two" }, { CLOSE, frames.close(4001, "because") } },
      (client:expect_frames(3)))
    assert.is_false(client.ended)
    client:frame("text", "nobody reads this")
    client:frame("close", frames.close(4001))
    client:finish()
    client:close()
    fixture:wait("gone", function() return listener:stats().connections == 0 end)
    assert.same({}, fixture.results)
  end)

  it("comes for a client that shows no sign of life", function()
    open { idle_timeout = 0.05 }
    local client, number = fixture:websocket()
    assert.same({ number, 1001 }, { fixture:expect "closed" })
    assert.same({ { CLOSE, frames.close(1001, "idle") } }, (client:expect_frames(1)))
    assert.equal(1, fixture.listener:stats().timed_out)
  end)

  it("comes also when the client never answers our close frame", function()
    local listener = open()
    local client, number = fixture:websocket()
    listener:close(number, 1000)
    local left = listener:timeout()
    assert.is_true(left > 0 and left <= 3)
    client:finish()
    assert.equal(0, listener:stats().connections)
  end)

  for name, args in pairs {
    ["a code that is never sent"] = { 1005 },
    ["a code for broken connections"] = { 1006 },
    ["a code that is none"] = { 999 },
    ["a code over the range"] = { 5000 },
    ["a code that wraps around"] = { 65536 + 1000 },
    ["a reason over 123 bytes"] = { 1000, ("x"):rep(124) },
    ["a reason that is not UTF-8"] = { 1000, "\xff" },
  } do
    it("by us raises for " .. name, function()
      local listener = open()
      local _, number = fixture:websocket()
      assert.error(function() listener:close(number, table.unpack(args)) end)
      assert.equal(1, listener:stats().websockets)
    end)
  end
end)

describe("shutdown", function()
  it("sends everybody away with 1012 and accepts nobody else", function()
    local listener = open()
    local client, number = fixture:websocket()
    local idle, busy = fixture:client(), fixture:client()
    busy:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    local owed = fixture:expect "request"
    local undecided = fixture:client()
    undecided:write(HANDSHAKE)
    local handshake = fixture:expect "upgrade"
    listener:send(number, "last words")
    listener:shutdown()
    assert.same({ number, 1012 }, { fixture:expect "closed" })
    assert.same({ { 0x81, "last words" }, { CLOSE, frames.close(1012) } }, (client:expect_frames(2)))
    assert.equal("", idle:finish())
    listener:respond(owed, 200, "still served")
    assert.matches("Connection: close\r\n.*still served$", busy:finish())
    assert.is_false(listener:accept(handshake))
    assert.matches("^HTTP/1.1 503 ", undecided:finish())
    client:frame("close", frames.close(1012))
    client:finish()
    for _, each in ipairs(fixture.clients) do each:close() end
    fixture:wait("all gone", function() return listener:stats().connections == 0 end)
    local again = assert(core.listen { port = fixture.port }) -- the port is free
    again:close_all()
  end)

  it("ends an HTTP connection whose answer was on its way, once that is out", function()
    local body = ("x"):rep(8 * 1024 * 1024)
    local listener = open { max_output = 16 * 1024 * 1024 }
    local client = fixture:client()
    client:stop_reading()
    client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    local number = fixture:expect "request"
    assert(listener:respond(number, 200, body))
    assert.is_true(listener:stats().queued_bytes > 0)
    listener:shutdown()
    client:read()
    assert.matches("Connection: keep%-alive", client:finish():sub(1, 300))
    assert.equal(body, client:text():sub(-#body))
    client:close()
    fixture:wait("all gone", function() return listener:stats().connections == 0 end)
  end)

  it("takes another code, and may be said twice", function()
    local listener = open()
    local client, number = fixture:websocket()
    assert.error(function() listener:shutdown(1006) end)
    listener:shutdown(1001)
    listener:shutdown(1012)
    assert.same({ number, 1001 }, { fixture:expect "closed" })
    assert.same({ { CLOSE, frames.close(1001) } }, (client:expect_frames(1)))
  end)
end)

describe("a closed listener", function()
  it("still answers every call, and finds nobody", function()
    local listener = open()
    local _, number = fixture:websocket()
    listener:join(1, number)
    listener:broadcast(1, "never sent")
    listener:close_all()
    listener:close_all()
    fixture.closed = true
    listener:step()
    listener:flush()
    listener:close(number, 1000)
    listener:shutdown()
    assert.is_nil(listener:next())
    assert.is_nil(listener:timeout())
    assert.is_false(listener:respond(number, 200, ""))
    assert.is_false(listener:accept(number))
    assert.is_false(listener:send(number, "x"))
    assert.is_false(listener:join(1, number))
    assert.is_false(listener:leave(1, number))
    assert.equal(0, listener:group_size(1))
    assert.equal(0, listener:broadcast(1, "x"))
    assert.equal(0, listener:stats().connections)
    assert.same({ "", 0 }, { listener:address() })
    assert.error(function() listener:pollfd() end)
  end)

  it("may be collected with connections in every state", function()
    local listener = open { messages = true, max_output = 64 << 20 }
    local _, member = fixture:websocket()
    local slow, blocked = fixture:websocket()
    local _, closing = fixture:websocket()
    fixture:client():write "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
    fixture:client():write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    fixture:expect "request"
    fixture:client():write(HANDSHAKE .. "\1")
    fixture:expect "upgrade"
    fixture:client():write "rubbish\r\n"
    slow:stop_reading()
    listener:join(1, member)
    listener:join(1, blocked)
    listener:join(2, blocked)
    listener:send(blocked, ("x"):rep(16 << 20))
    listener:flush()
    listener:broadcast(1, "in this turn")
    listener:send(member, "own")
    listener:leave(1, member)
    listener:close(closing, 1000)
    fixture.clients[1]:frame("text", "not fetched")
    listener:step()
    fixture.closed, fixture.listener = true, { close_all = function() end }
    listener = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    for _, client in ipairs(fixture.clients) do
      if client ~= slow then
        local deadline = 1000
        while not (client.ended or client.broken) and deadline > 0 do
          require "luv".run "once"
          deadline = deadline - 1
        end
        assert.is_truthy(client.ended or client.broken)
      end
    end
  end)

  it("is closed at the end of its scope", function()
    local port
    do
      local listener <close> = assert(core.listen())
      port = select(2, listener:address())
    end
    local again <close> = assert(core.listen { port = port })
    assert.equal(port, select(2, again:address()))
  end)

  it("does not take a foreign object for itself", function()
    local listener = open()
    assert.error(function() listener.step(io.stdout) end)
    assert.error(function() listener.step() end)
  end)
end)
