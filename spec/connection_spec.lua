-- WebSocket connections, against servers in this process that keep to the protocol, break it, drip,
-- stall and hang up. Frames by themselves are in ws_spec, the parts of the upgrade in upgrade_spec.
local garbage = require "support.garbage"
local lua = require "support.lua"
local uv = require "luv"
local core = require "stream_events.core"
local peer = require "support.peer"

local transport

before_each(function() transport = core.transport() end)
after_each(function()
  transport:close()
  peer.stop_all()
end)

local function connect(server, options)
  options = options or {}
  options.url = options.url or server:url "ws"
  return assert(transport:connect(options))
end

local function wait_for_state(connection, state)
  peer.pump(transport, function() return connection:state() == state end, "state " .. state)
  return connection:state()
end

local function open(server, options)
  local connection = connect(server, options)
  wait_for_state(connection, "open")
  return connection, server.connections[#server.connections]
end

--- Pumps and pulls until condition() or the connection is closed; returns what was received, each
--- as a list of next()'s results.
local function pull(connection, condition)
  local got = {}
  peer.pump(transport, function()
    repeat
      local item = lua.pack(connection:next())
      if item[1] ~= nil then got[#got + 1] = item end
    until item[1] == nil
    if condition then return condition(got) end
    return connection:state() == "closed"
  end, "messages")
  return got
end

local function ending(connection)
  pull(connection)
  local state, kind, message, code = connection:state()
  assert.equal("closed", state)
  assert.equal("string", type(message))
  assert.is_nil(message:find("secret", 1, true))
  return kind, code, message
end

--------------------------------------------------------------------------------- the upgrade

describe("connecting", function()
  it("says what RFC 6455 asks for, and our header lines", function()
    local seen
    local server = peer.websocket(function(_, request) seen = request end)
    open(server, { url = server:url("ws", "/connect?a=b%20c&token=secret"),
      headers = { "Authorization: secret", "X-Other: y" } })
    assert.equal("GET", seen.method)
    assert.equal("/connect?a=b%20c&token=secret", seen.target)
    assert.equal("127.0.0.1:" .. server.port, seen.headers.host)
    assert.equal("websocket", seen.headers.upgrade)
    assert.equal("Upgrade", seen.headers.connection)
    assert.equal("13", seen.headers["sec-websocket-version"])
    assert.equal(24, #seen.headers["sec-websocket-key"])
    assert.equal("secret", seen.headers.authorization)
    assert.equal("y", seen.headers["x-other"])
    assert.is_nil(seen.headers["sec-websocket-extensions"])
    assert.is_nil(seen.headers["sec-websocket-protocol"])
  end)

  it("takes a path from a URL that has none", function()
    local seen
    local server = peer.websocket(function(_, request) seen = request.target end)
    open(server, { url = server:url("ws", "") })
    assert.equal("/", seen)
    open(server, { url = server:url("ws", "?x=y") })
    assert.equal("/?x=y", seen)
  end)

  local function accept_of(connection)
    local request = connection:take_request()
    return request and peer.accept(request)
  end

  -- What the server does as soon as the request has come, and how the connection must end.
  local HTML = "<html><body>hello</body></html>"
  for what, case in pairs {
    ["an HTML page"] = { "protocol", 200, say = function()
      return "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: " .. #HTML .. "\r\n\r\n"
        .. HTML
    end },
    ["a bare HTML page"] = { "protocol", 1006, say = function() return HTML end },
    ["another protocol"] = { "protocol", 1006, say = function() return "SSH-2.0-x\r\n" end },
    ["a wrong accept value"] = { "protocol", 1006, say = function(accept)
      return (accept:gsub("Accept: ....", "Accept: AAAA"))
    end },
    ["no accept value"] = { "protocol", 1006, say = function(accept)
      return (accept:gsub("Sec%-WebSocket%-Accept[^\n]*\n", ""))
    end },
    ["an extension nobody asked for"] = { "protocol", 1006, say = function(accept)
      return (accept:gsub("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"))
    end },
    ["an endless head"] = { "protocol", 1006, say = function()
      return "HTTP/1.1 101 X\r\n" .. ("X-Filler: 0123456789\r\n"):rep(2000)
    end },
    ["a redirect"] = { "protocol", 302, say = function()
      return "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
    end },
    ["401"] = { "auth", 401, say = function()
      return "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    end },
    ["403"] = { "auth", 403, say = function()
      return "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    end },
    ["503"] = { "protocol", 503, say = function()
      return "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    end },
    ["half a head, and the end"] = { "protocol", 1006, close = true, say = function(accept)
      return accept:sub(1, 40)
    end },
    ["nothing, and the end"] = { "network", 1006, close = true, say = function() return "" end },
  } do
    it("is over when the server answers " .. what, function()
      local server = peer.listen(function(connection)
        function connection.on_bytes()
          local accept = accept_of(connection)
          if not accept then return end
          connection:say(case.say(accept))
          if case.close then connection:close() end
        end
      end)
      local connection = connect(server, { url = server:url("ws", "/?token=secret"), timeout = 10 })
      local kind, code = ending(connection)
      assert.same({ case[1], case[2] }, { kind, code })
      assert.same({ nil, "closed" }, { (connection:send "x"), (select(2, connection:send "x")) })
      assert.is_nil(connection:next())
    end)
  end

  for what, case in pairs {
    ["seconds"] = { "Retry-After: 7", "7", "" },
    ["a date, and its own"] = {
      "RETRY-AFTER:Sun, 06 Nov 1994 08:49:37 GMT\r\nDate:  Sun, 06 Nov 1994 08:49:07 GMT ",
      "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:07 GMT",
    },
    ["its date alone"] = { "Date: Sun, 06 Nov 1994 08:49:07 GMT" },
    ["more than a date is long"] = { "Retry-After: " .. ("7"):rep(48) },
    ["something behind a line that is none"] = { "none\r\nRetry-After: 7" },
  } do
    it("is over when the server refuses, and says when to come back: " .. what, function()
      local server = peer.listen(function(connection)
        function connection.on_bytes()
          if not connection:take_request() then return end
          connection:say("HTTP/1.1 503 Busy\r\n" .. case[1] .. "\r\n\r\n")
        end
      end)
      local connection = connect(server)
      local kind, code = ending(connection)
      assert.same({ "protocol", 503 }, { kind, code })
      assert.same({ case[2], case[3] }, { select(5, connection:state()) })
    end)
  end

  for what, act in pairs {
    ["says nothing"] = function() end,
    ["says half a head"] = function(connection) connection:say "HTTP/1.1 101 Swi" end,
    ["takes nothing"] = function(connection) connection:stall() end,
  } do
    it("is over in time when the server " .. what, function()
      local server = peer.listen(act)
      local kind, code, message = ending(connect(server, { timeout = 0.05 }))
      assert.same({ "timeout", 1006 }, { kind, code })
      assert.truthy(message:find "0.05 seconds")
    end)
  end

  it("is over when nobody listens", function()
    local server = peer.listen()
    server:stop()
    local kind, _, message = ending(connect(server, { url = server:url("ws", "/?token=secret") }))
    assert.equal("network", kind)
    assert.truthy(message:find("connect", 1, true))
  end)

  it("is over when the server closes or resets at once", function()
    for _, act in ipairs { "close", "abort" } do
      local server = peer.listen(function(connection) connection[act](connection) end)
      assert.equal("network", (ending(connect(server))))
    end
  end)

  it("is over when the server resets after its answer", function()
    local server = peer.websocket(function(connection) connection:abort() end)
    local kind, code = ending(connect(server))
    assert.same({ "network", 1006 }, { kind, code })
  end)

  it("refuses what it cannot connect to, without a word about the query", function()
    for _, url in ipairs { "", "http://127.0.0.1/", "ws:/x", "wss//x", "ws://", "ws://:80/",
      "ws://127.0.0.1:99999/?token=secret", "ws://a b/?token=secret", "ws://127.0.0.1/ x",
      "ws://127.0.0.1/\r\nX: y", "ws://u:secret@127.0.0.1/" } do
      local connection, kind, message = transport:connect { url = url }
      assert.is_nil(connection, url)
      assert.equal("argument", kind)
      assert.is_nil(message:find("secret", 1, true))
    end
    for _, header in ipairs { "no colon", ": x", "A\0: b" } do
      assert.is_false((pcall(function()
        assert(transport:connect { url = "ws://127.0.0.1:9/", headers = { header } })
      end)))
    end
    assert.is_nil(transport:timeout())
  end)

  it("raises for wrong arguments", function()
    for _, wrong in ipairs { false, {}, { url = 1 }, { url = "ws://a/\0" }, { url = "ws://a/",
      headers = "x" }, { url = "ws://a/", headers = { 1 } }, { url = "ws://a/",
      headers = { "A: b\r\nC: d" } }, { url = "ws://a/", router = {} }, { url = "ws://a/",
      timeout = "1" }, { url = "ws://a/", max_message = 0 }, { url = "ws://a/", self = {} } } do
      assert.has_error(function() transport:connect(wrong) end)
    end
  end)

  it("goes through a proxy by CONNECT, also for ws://", function()
    local asked
    local server = peer.listen(function(connection)
      function connection.on_bytes()
        local request = connection:take_request()
        if not request then return end
        if request.method == "CONNECT" then
          asked = request.target
          connection:say "HTTP/1.1 200 OK\r\n\r\n"
        else
          connection:say(peer.accept(request) .. peer.frame("text", "through"))
        end
      end
    end)
    local connection = connect(server, { url = "ws://stream.invalid:81/x",
      proxy = server:url("http", "") })
    local got = pull(connection, function(got) return got[1] end)
    assert.equal("stream.invalid:81", asked)
    assert.equal("through", got[1][1])
  end)

  it("says no secret of a proxy that refuses", function()
    local server = peer.http(function(_, connection) connection:answer(407) end)
    local connection = connect(server, { url = "ws://stream.invalid/?token=secret",
      proxy = ("http://user:secret@127.0.0.1:%d"):format(server.port) })
    assert.equal("proxy", (ending(connection)))
  end)
end)

----------------------------------------------------------------------------------- receiving

describe("next", function()
  it("gives messages and their kind, in order, however they are cut", function()
    local whole = peer.frame("text", "one") .. peer.frame("ping", "p")
      .. peer.frame("binary", "\0\1")
      .. peer.frame("text", "tw", { fin = false }) .. peer.frame("pong", "")
      .. peer.frame("continuation", "o") .. peer.frame("text", "")
      .. peer.frame("text", ("é"):rep(100))
      .. peer.close_frame(3456, "done")
    local expected = { { "one", "text" }, { "\0\1", "binary" }, { "two", "text" }, { "", "text" },
      { ("é"):rep(100), "text" } }
    local function check(server)
      local connection = connect(server)
      local got = pull(connection)
      for i, item in ipairs(got) do got[i] = { item[1], item[2] } end
      assert.same(expected, got)
      local _, kind, message, code = connection:state()
      assert.same({ "closed", "done", 3456 }, { kind, message, code })
    end
    local at
    local server = peer.listen(function(connection)
      function connection.on_bytes()
        local request = connection:take_request()
        if not request then return end
        local all = peer.accept(request) .. whole
        local function done() connection:shut() end
        if at == 0 then
          connection:drip(all, done)
        else
          connection:say(all:sub(1, at), function()
            connection:say(all:sub(at + 1), done)
          end)
        end
      end
    end)
    at = 0
    check(server)
    -- Every cut of the last byte of the head, and of the frames.
    for cut = 125, 129 + #whole do
      at = cut
      check(server)
    end
  end)

  it("gives many messages that came in one read", function()
    local server = peer.websocket(function(connection)
      local frames = {}
      for i = 1, 5000 do frames[i] = peer.frame("text", "message " .. i) end
      connection:say(table.concat(frames))
    end)
    local got = pull(open(server), function(got) return #got == 5000 end)
    for i = 1, 5000 do assert.equal("message " .. i, got[i][1]) end
  end)

  it("gives a message that is larger than what is read at once", function()
    local text = ("0123456789abcdef"):rep(50000)
    local server = peer.websocket(function(connection) connection:say(peer.frame("text", text)) end)
    local got = pull(open(server), function(got) return got[1] end)
    assert.is_true(got[1][1] == text)
  end)

  it("answers pings with what was in them", function()
    local server = peer.websocket(function(connection)
      connection:say(peer.frame("ping", "") .. peer.frame("ping", "are you there?"))
    end)
    local connection, far = open(server)
    pull(connection, function() return far.items[2] end)
    assert.same({ "pong", "pong" }, { far.items[1].kind, far.items[2].kind })
    assert.same({ "", "are you there?" }, { far.items[1].data, far.items[2].data })
  end)

  it("knows when bytes came last", function()
    local before = core.now()
    local connection, far = open(peer.websocket())
    local opened = connection:heard()
    assert.is_true(opened >= before and opened <= core.now())
    far:say(peer.frame("pong", ""))
    pull(connection, function() return connection:heard() > opened end)
    assert.is_true(connection:heard() <= core.now())
  end)

  for what, case in pairs {
    ["a masked frame"] = { 1002, peer.frame("text", "x", { mask = true }) },
    ["a reserved bit"] = { 1002, peer.frame("text", "x", { rsv = 0x40 }) },
    ["an unknown opcode"] = { 1002, peer.frame(3, "x") },
    ["a fragmented ping"] = { 1002, peer.frame("ping", "x", { fin = false }) },
    ["a continuation of nothing"] = { 1002, peer.frame("continuation", "x") },
    ["a forbidden close code"] = { 1002, peer.close_frame(1005) },
    ["a text that is not UTF-8"] = { 1007, peer.frame("text", "\xC3\x28") },
    ["a message over the limit"] = { 1009, peer.frame("text", ("x"):rep(1001)) },
    ["a header that announces too much"] = { 1009, peer.frame("text", "", { length = 2 ^ 40 }) },
    ["fragments over the limit"] = { 1009, peer.frame("text", ("x"):rep(600), { fin = false })
      .. peer.frame("continuation", ("x"):rep(600)) },
  } do
    it(("ends with %d after %s, and tells the server"):format(case[1], what), function()
      -- More follows than will be read: the server must get the close frame all the same.
      local server = peer.websocket(function(connection)
        local after = peer.frame("text", ("after"):rep(1000)):rep(1000)
        connection:say(peer.frame("text", "before") .. case[2] .. after,
          function(err) connection.said = err or "all of it" end)
      end)
      local connection = connect(server, { max_message = 1000 })
      local got = pull(connection)
      local far = server.connections[1]
      assert.equal(1, #got)
      assert.equal("before", got[1][1])
      local kind, code = ending(connection)
      assert.same({ "protocol", case[1] }, { kind, code })
      peer.pump(transport, function() return far.ended and far.said end, "the end")
      assert.equal("all of it", far.said) -- bytes that are left unread would break it off
      assert.equal("close", far.items[1].kind)
      assert.equal(case[1], far.items[1].code)
    end)
  end

  it("hands out what came before the connection was lost", function()
    for _, act in ipairs { "close", "abort" } do
      local server = peer.websocket(function(connection)
        connection:say(peer.frame("text", "last words"), function() connection[act](connection) end)
      end)
      local connection = connect(server)
      local got = pull(connection)
      local _, kind, _, code = connection:state()
      assert.same({ "network", 1006 }, { kind, code })
      if act == "close" then assert.equal("last words", got[1][1]) end -- a reset may destroy them
    end
  end)

  it("hands out what came before a close frame, even if it is asked late", function()
    local server = peer.websocket(function(connection)
      connection:say(peer.frame("text", "last words") .. peer.close_frame(1012, "restart"),
        function() connection:close() end)
    end)
    local connection = open(server)
    peer.pump(transport, function() return server.connections[1].socket:is_closing() end)
    for _ = 1, 5 do transport:step() end
    assert.equal("last words", (connection:next()))
    local kind, code, message = ending(connection)
    assert.same({ "closed", 1012, "restart" }, { kind, code, message })
  end)
end)

--------------------------------------------------------------------------------- flow control

describe("reading", function()
  local function burst(count, text)
    return peer.websocket(function(connection)
      connection:say(peer.frame("text", text):rep(count))
    end)
  end

  it("stops while it is paused, and goes on with nothing lost", function()
    local connection, far = open(peer.websocket())
    connection:pause(true)
    far:say(peer.frame("text", "x"):rep(10))
    local fence = connect(peer.websocket(function(other)
      other:say(peer.frame("text", "fence"))
    end))
    pull(fence, function(got) return got[1] end)
    assert.is_nil(connection:next())
    assert.is_nil(transport:timeout())
    connection:pause(false)
    assert.equal(10, #pull(connection, function(got) return #got == 10 end))
  end)

  it("goes on within what was read while it is paused, but reads no more", function()
    local connection = open(burst(100, "0123456789"))
    pull(connection, function(got) return got[1] end)
    connection:pause(true)
    assert.is_nil(connection:next())
  end)

  it("stops at the budget of a turn, and the timeout says that there is more", function()
    local text, turns, most, total = ("x"):rep(16000), 0, 0, 0
    local connection, far = open(peer.websocket())
    far:say(peer.frame("text", text):rep(2000)) -- makes the kernel enlarge its buffers
    pull(connection, function(got) return #got == 2000 end)
    connection:pause(true)
    far:say(peer.frame("text", text):rep(500))
    for _ = 1, 100 do uv.run "nowait" end -- fills what the two sockets hold
    connection:pause(false)
    peer.pump(transport, function()
      local taken = 0
      while connection:next() do taken = taken + #text end
      if taken > 1024 * 1024 - 2 * #text then assert.equal(0, transport:timeout()) end
      turns, most, total = turns + 1, math.max(most, taken), total + taken
      return total == 500 * #text
    end)
    assert.is_true(turns >= 8, turns .. " turns")
    assert.is_true(most <= 1280 * 1024 + #text, most .. " bytes in one turn")
  end)

  it("reports time to act while messages are there that nobody has taken", function()
    local connection = open(burst(10, "x"))
    peer.pump(transport, function() return connection:next() end)
    assert.equal(0, transport:timeout())
    while connection:next() do end
    peer.pump(transport, function() return transport:timeout() == nil end)
  end)
end)

describe("send", function()
  it("sends every kind, masked", function()
    local connection, far = open(peer.websocket())
    for _, case in ipairs { { "hé" }, { "text", "text" }, { "\0\255", "binary" }, { "p", "ping" },
      { "q", "pong" }, { "" } } do
      assert.is_true(connection:send(case[1], case[2]))
    end
    peer.pump(transport, function() return #far.items == 6 end)
    local kinds = {}
    for i, item in ipairs(far.items) do kinds[i] = item.kind .. ":" .. item.data end
    assert.same({ "text:hé", "text:text", "binary:\0\255", "ping:p", "pong:q", "text:" }, kinds)
  end)

  it("refuses what may not be sent", function()
    local connection = open(peer.websocket())
    assert.equal("argument", (select(2, connection:send "\xC3\x28")))
    assert.equal("argument", (select(2, connection:send(("x"):rep(126), "ping"))))
    assert.has_error(function() connection:send("x", "close") end)
    assert.has_error(function() connection:send() end)
    assert.is_true(connection:send "still fine")
  end)

  it("says closed before it is open", function()
    assert.equal("closed", (select(2, connect(peer.websocket()):send "x")))
  end)

  it("is full at max_output, and takes more when the server has read", function()
    local connection, far = open(peer.websocket(), { max_output = 100000 })
    far:stall()
    local text, sent = ("x"):rep(10000), 0
    local ok, kind, message
    peer.pump(transport, function()
      repeat
        ok, kind, message = connection:send(text)
        if ok then sent = sent + 1 end
      until not ok
      return transport:timeout() == nil
    end)
    assert.same({ "full", "string" }, { kind, type(message) })
    assert.equal("full", (select(2, connection:send(("x"):rep(100001)))))
    far:resume()
    peer.pump(transport, function() return #far.items == sent end, "all that was taken")
    for i = 1, sent do assert.equal(10000, #far.items[i].data) end
    assert.is_true(connection:send(text))
  end)

  it("answers no more pings than the server takes pongs, and forgets none", function()
    local count = 60000
    local connection, far = open(peer.websocket(), { max_output = 1000 })
    far:stall()
    far:say(peer.frame("ping", ("p"):rep(125)):rep(count), function() far.said = true end)
    -- Neither side takes the other's bytes any more: the pings stay where they are.
    local quiet
    peer.pump(transport, function()
      connection:next()
      quiet = transport:timeout() == nil and (quiet or 0) + 1 or 0
      return quiet > 3 or far.said
    end)
    far:resume()
    pull(connection, function() return #far.items == count end)
    assert.is_true(far.items[count].data == ("p"):rep(125))
  end)
end)

--------------------------------------------------------------------------------------- closing

describe("close", function()
  local function closing_server(on_close)
    return peer.websocket(nil, function(connection, item)
      if item.kind == "close" then on_close(connection, item) end
    end)
  end
  local function answering()
    return closing_server(function(connection)
      connection:say(connection.ws:output())
      connection:close()
    end)
  end

  it("shakes hands, with the code and reason given", function()
    for _, case in ipairs { { 1000, "" }, { 1000, "", 1000 }, { 3001, "bye", 3001, "bye" } } do
      local connection, far = open(answering())
      connection:close(case[3], case[4])
      assert.equal("closing", (connection:state()))
      assert.equal("closed", (select(2, connection:send "x")))
      local kind, code = ending(connection)
      assert.same({ "closed", case[1] }, { kind, code })
      local said = far.items[1]
      assert.same({ case[1], case[2] }, { said.code, said.reason or said.data })
    end
  end)

  it("shakes hands though nobody pulls the messages that come before the answer", function()
    local server = closing_server(function(connection)
      connection:say(peer.frame("text", "late"):rep(1000) .. connection.ws:output())
      connection:close()
    end)
    local connection = open(server)
    connection:close()
    wait_for_state(connection, "closed")
    assert.equal("closed", (select(2, connection:state())))
  end)

  it("hands out what comes before the answer to who pulls it", function()
    local server = closing_server(function(connection)
      connection:say(peer.frame("text", "late"):rep(1000) .. connection.ws:output())
      connection:close()
    end)
    local connection = open(server)
    connection:close()
    assert.equal(1000, #pull(connection))
  end)

  it("ends in time when the server does not answer", function()
    local server = closing_server(function() end)
    local connection = open(server)
    connection:close(1000, "", 0.05)
    local kind, code = ending(connection)
    assert.same({ "timeout", 1006 }, { kind, code })
  end)

  it("reports a server that hangs up instead of answering", function()
    local connection = open(closing_server(function(far) far:close() end))
    connection:close()
    local kind, code = ending(connection)
    assert.same({ "network", 1006 }, { kind, code })
  end)

  it("answers the server's close frame with its code", function()
    for _, code in ipairs { 1000, 1001, 1012, 3000, 4999 } do
      local connection, far = open(peer.websocket(function(far)
        far:say(peer.close_frame(code, "reason"))
      end))
      local kind, seen, message = ending(connection)
      assert.same({ "closed", code, "reason" }, { kind, seen, message })
      peer.pump(transport, function() return far.items[1] end)
      assert.same({ "close", code }, { far.items[1].kind, far.items[1].code })
    end
  end)

  it("leaves it to the server to end the TCP connection", function()
    local connection, far = open(peer.websocket(nil, function() end))
    far:say(peer.close_frame(1000))
    pull(connection, function() return far.items[1] end)
    assert.equal("closing", (connection:state()))
    assert.is_false(far.ended)
    far:shut()
    assert.equal("closed", (ending(connection)))
    peer.pump(nil, function() return far.ended end)
    assert.is_false(far.reset)
  end)

  it("says why, whatever becomes of the socket after that", function()
    local connection, far = open(peer.websocket(nil, function(far) far:abort() end))
    far:say(peer.frame("text", "x", { rsv = 0x40 }))
    local kind, code, message = ending(connection)
    assert.same({ "protocol", 1002 }, { kind, code })
    assert.matches("reserved bits", message)
  end)

  it("reports 1005 for a close frame without a code", function()
    local connection = open(peer.websocket(function(far) far:say(peer.frame("close", "")) end))
    local kind, code = ending(connection)
    assert.same({ "closed", 1005 }, { kind, code })
  end)

  it("ends at once what is not open yet", function()
    local connection = connect(peer.listen())
    connection:close()
    local state, kind = connection:state()
    assert.same({ "closed", "closed" }, { state, kind })
  end)

  it("is harmless again, and after the end", function()
    local connection = open(answering())
    connection:close(3000)
    connection:close(3001)
    assert.equal(3000, (select(2, ending(connection))))
    connection:close()
    connection:abort()
    assert.equal(3000, (select(4, connection:state())))
  end)

  it("raises for codes and reasons that may not be sent, in any state", function()
    local connection = open(answering())
    for _ = 1, 2 do
      for _, wrong in ipairs { { 0 }, { 999 }, { 1005 }, { 1006 }, { 1015 }, { 2000 }, { 5000 },
        { "x" }, { 1000, ("x"):rep(124) }, { 1000, "\xFF" }, { 1000, "", -1 },
        { 1000, "", 0 / 0 } } do
        assert.has_error(function() connection:close(lua.unpack(wrong)) end)
      end
      connection:abort()
    end
  end)
end)

describe("abort", function()
  it("ends a connection in any state, as often as one likes", function()
    local connections = { connect(peer.listen()), (open(peer.websocket())),
      (open(peer.websocket())) }
    connections[3]:close()
    for _, connection in ipairs(connections) do
      connection:abort()
      connection:abort()
      local state, kind, message, code = connection:state()
      assert.same({ "closed", "closed", "string", 1006 }, { state, kind, type(message), code })
      assert.is_nil(connection:next())
      connection:pause(true)
      connection:pause(false)
      assert.equal("number", type(connection:heard()))
    end
    assert.is_nil(transport:timeout())
    transport:step()
  end)

  if lua.closing then
    it("is what leaving a scope does", function()
      local connection = open(peer.websocket())
      lua.closing(connection, function() end)
      assert.equal("closed", (connection:state()))
    end)
  end
end)

---------------------------------------------------------------------------------------- events

describe("events", function()
  local function says(...)
    local frames = {}
    for i, text in ipairs { ... } do frames[i] = peer.frame("text", text) end
    return peer.websocket(function(connection) connection:say(table.concat(frames)) end)
  end

  it("come with type and cid", function()
    local router = core.router()
    router:set { custom = true }
    local connection = open(says(
      '{"type":"friendship_request","cid":"messaging:general","user":{"id":"jane"},"text":"hé"}',
      '{"type":"user_event","user":{"id":"john"},"n":12345678901}',
      '{"type":"ping","cid":"messaging:general","user":{"id":"john"}}'),
      { router = router, self = "john" })
    local before = core.time()
    local got = pull(connection, function(got) return #got == 3 end)
    assert.same({ "friendship_request", "messaging:general" }, { got[1][2], got[1][3] })
    assert.equal("friendship_request", got[1][1].type)
    assert.equal("hé", got[1][1].text)
    assert.equal("user", got[1][1].trust)
    assert.is_true(math.abs(got[1][1].received_at - before) < 60)
    assert.same({ "user_event" }, { got[2][2], got[2][3] })
    assert.equal(12345678901, got[2][1].n)
    assert.equal("server", got[2][1].trust)
    assert.equal("self", got[3][1].trust)
  end)

  -- Types that come, and those of them that the wants let through.
  local TYPES = { "a", "ab", "abc", "b", "trade_offer", "trade_", "message.new", "message.read",
    "health.check", "connection.error", "connection.changed", "channel.deleted", "user.custom" }
  for what, case in pairs {
    ["nothing"] = { {}, {} },
    ["types"] = { { types = { "ab", "message.new", "connection.error" } },
      { "ab", "message.new", "connection.error" } },
    ["a prefix without a dot"] = { { prefixes = { "trade_", "m", "c", "h" } },
      { "trade_offer", "trade_" } },
    ["a prefix with a dot"] = { { prefixes = { "message.", "connection." } },
      { "message.new", "message.read" } },
    ["prefixes of each other"] = { { prefixes = { "abc", "ab", "user." } },
      { "ab", "abc", "user.custom" } },
    ["the empty prefix"] = { { prefixes = { "" } },
      { "a", "ab", "abc", "b", "trade_offer", "trade_", "user.custom" } },
    ["every custom type"] = { { custom = true },
      { "a", "ab", "abc", "b", "trade_offer", "trade_", "user.custom" } },
    ["custom types but some"] = { { custom = true, refused = { a = "noise", b = "noise" } },
      { "ab", "abc", "trade_offer", "trade_", "user.custom" } },
    ["a local type"] = {
      { types = { "connection.changed" }, prefixes = { "connection." }, custom = true },
      { "a", "ab", "abc", "b", "trade_offer", "trade_", "user.custom" } },
    ["a type that is refused too"] = { { types = { "a", "b" }, refused = { a = "rule" } },
      { "b" } },
  } do
    it("are let through when the router wants " .. what, function()
      local router = core.router()
      assert.is_true(router:set(case[1]))
      local texts = {}
      for _, round in ipairs { 1, 2 } do -- the second time, decisions are remembered
        for i, type in ipairs(TYPES) do
          texts[(round - 1) * #TYPES + i] = ('{"type":%q,"cid":"m:x"}'):format(type)
        end
      end
      local got = pull(open(says(lua.unpack(texts)), { router = router }), function()
        return router:totals().received == 2 * #TYPES
      end)
      local types = {}
      for i, item in ipairs(got) do types[i] = item[2] end
      local expected = {}
      for i = 1, 2 * #case[2] do expected[i] = case[2][(i - 1) % #case[2] + 1] end
      assert.same(expected, types)
      local totals = router:totals()
      assert.equal(#expected, totals.delivered)
      assert.equal(2 * #TYPES, totals.delivered + totals.unwanted + totals.refused)
      local counts = router:counts()
      assert.same({ ["reserved-type"] = 2 }, counts["connection.changed"])
      for type, reason in pairs(case[1].refused or {}) do
        assert.same({ [reason] = 2 }, counts[type])
      end
    end)
  end

  it("are counted under what was decided when they came", function()
    local router = core.router()
    local connection, far = open(peer.websocket(), { router = router })
    local total = 0
    local function say(...)
      for _, type in ipairs { ... } do far:say(peer.frame("text", ('{"type":%q}'):format(type))) end
      total = total + select("#", ...)
      pull(connection, function() return router:totals().received == total end)
    end
    say("a", "a", "b")
    router:set { types = { "a" }, refused = { b = "first" } }
    say("a", "b", "b")
    router:set { refused = { b = "second", a = "first" } }
    say("a", "b")
    router:set {}
    say("a")
    assert.same({ a = { unwanted = 3, first = 1 }, b = { unwanted = 1, first = 2, second = 1 } },
      router:counts())
    assert.same({ received = 9, delivered = 1, unwanted = 4, refused = 4 }, router:totals())
  end)

  it("of more types than are remembered are counted together", function()
    local router = core.router()
    router:set { types = { "wanted" }, refused = { refused = "rule" } }
    local texts = {}
    for i = 1, 1500 do texts[i] = ('{"type":"type_%d"}'):format(i) end
    for i, type in ipairs { "wanted", "refused", "*" } do
      texts[1500 + i] = ('{"type":%q}'):format(type)
    end
    local got = pull(open(says(lua.unpack(texts)), { router = router }), function()
      return router:totals().received == 1503
    end)
    assert.equal(1, #got)
    local counts = router:counts()
    assert.same({ unwanted = 1500 - 1024 + 1, rule = 1 }, counts["*"])
    local types = 0
    for _ in pairs(counts) do types = types + 1 end
    assert.equal(1025, types)
  end)

  it("that are none are reported with a reason and their first 200 bytes", function()
    local router = core.router()
    router:set { custom = true }
    local long = '{"type":"x","a":' .. ("1"):rep(300)
    for _, text in ipairs { "", "hello", "[]", "{}", '{"type":1}', '{"type":"x"', '{"type":"x"} x',
      '{"type":"a","type":"b"}', '{"ty\\u0070e":"x"}', '{"type":"x","cid":5}', long, "null" } do
      local connection = open(says(text, '{"type":"fine"}'), { router = router })
      local got = pull(connection, function(got) return #got == 2 end)
      assert.equal(false, got[1][1], text)
      assert.equal("malformed", got[1][2])
      assert.truthy(got[1][3]:find " at byte %d+$", got[1][3])
      assert.equal(text:sub(1, 200), got[1][4])
      assert.equal("fine", got[2][2])
      connection:abort()
    end
  end)

  it("do not come in binary messages", function()
    local router = core.router()
    router:set { custom = true }
    local connection = open(peer.websocket(function(far)
      far:say(peer.frame("binary", '{"type":"x"}'))
    end), { router = router })
    local got = pull(connection, function(got) return got[1] end)
    assert.same({ false, "malformed" }, { got[1][1], got[1][2] })
  end)

  it("nobody wants are passed over whatever follows their type", function()
    local router = core.router()
    local connection = open(says('{"type":"x", and so on', '{"type":"x","type":"y"}'),
      { router = router })
    local got = pull(connection, function() return router:totals().received == 2 end)
    assert.same({}, got)
    assert.same({ x = { unwanted = 2 } }, router:counts())
  end)

  it("are known by their type wherever it stands", function()
    local cases = {
      { '{"cid":"a:b","type":"yes"}', "yes" },
      { '{"cid":"a:b" , "type" : "yes" } ', "yes" },
      { '{"cid":"a:b","type":"yes","text":"no"}', "yes" },
      { [[{"text":"\",\"type\":\"no\"","type":"yes"}]], "yes" },
      { '{"text":{"type":"no"},"type":"y\\u0065s"}', "yes" },
      { '{"type":"yes","text":{"type":"no"}}', "yes" },
      { '{"a":{"b":1,"type":"no"},"type":"yes","list":["x","type","no"]}', "yes" },
      { '{"cid":"a:b","type":"no"}' },
      { '{"cid":"a:b", and so on,"type":"no"}' }, -- nobody wants it, so nobody reads it
      { [[{"cid":"a:b","a":"\"type\":\"yes\"","type":"no"}]] },
      { '{"cid":"a:b","type":"no","type":"yes"}', false },
      { '{"cid":"a:b", and so on,"type":"yes"}', false },
      { '{"cid":"a:b","a":"b,"type":"yes"}', false },
      { '{"cid":"a:b","type":"yes","b":"}', false },
    }
    local texts, expected = {}, {}
    for i, case in ipairs(cases) do
      texts[i] = case[1]
      if case[2] ~= nil then expected[#expected + 1] = case[2] end
    end
    local router = core.router()
    router:set { types = { "yes" } }
    local connection = open(says(lua.unpack(texts)), { router = router })
    local got = pull(connection, function(got) return #got == #expected end)
    for i, item in ipairs(got) do got[i] = item[1] and item[2] end
    assert.same(expected, got)
    assert.equal(3, router:totals().unwanted)
  end)
end)

--------------------------------------------------------------------------------- ends of lives

describe("objects", function()
  it("end a connection when they are collected", function()
    local server = peer.websocket()
    local connection, far = open(server)
    assert.equal("open", (connection:state()))
    connection = nil -- luacheck: ignore
    garbage.collect()
    peer.pump(transport, function() return far.ended end, "the end")
    assert.is_nil(transport:timeout())
  end)

  it("keep the transport and the router of a connection", function()
    local server = peer.websocket(function(far) far:say(peer.frame("text", '{"type":"x"}')) end)
    local connection
    do
      local other = core.transport()
      local router = core.router()
      router:set { custom = true }
      connection = other:connect { url = server:url "ws", router = router }
      peer.pump(other, function() return connection:state() == "open" end)
      peer.pump(other, function() return connection:next() end)
    end
    garbage.collect()
    assert.equal("open", (connection:state()))
    connection = nil -- luacheck: ignore
    garbage.collect()
    peer.pump(nil, function() return server.connections[1].ended end)
  end)

  it("are closed with their transport, in whatever state", function()
    local connections = { connect(peer.listen()), connect(peer.websocket()),
      (open(peer.websocket())), (open(peer.websocket())) }
    connections[4]:close()
    transport:close()
    transport:close()
    for _, connection in ipairs(connections) do
      local state, kind = connection:state()
      assert.same({ "closed", "closed" }, { state, kind })
      assert.is_nil(connection:next())
      assert.equal("closed", (select(2, connection:send "x")))
      connection:close()
      connection:pause(true)
      connection:abort()
    end
    connections = nil -- luacheck: ignore
    collectgarbage()
  end)

  it("may go in any order, in any state", function()
    local server = peer.websocket()
    for order = 1, 6 do
      for _, state in ipairs { "connecting", "open", "closing", "closed" } do
        local objects = { core.transport(), core.router() }
        objects[3] = objects[1]:connect { url = server:url "ws", router = objects[2] }
        if state ~= "connecting" then
          peer.pump(objects[1], function() return objects[3]:state() == "open" end)
        end
        if state == "closing" then objects[3]:close() end
        if state == "closed" then objects[3]:abort() end
        if order % 2 == 0 then objects[1]:close() end
        for step = 0, 2 do
          objects[(order + step) % 3 + 1] = nil
          collectgarbage()
        end
      end
    end
  end)
end)
