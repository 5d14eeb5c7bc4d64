--- The client against a server that is broken or hostile: every failure has its error, and the
--- client goes on.
local luv = require "luv"
local native = require "stream_events.native"
local peers = require "support.peer"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local TOKEN = tokens.user("lan-dev-secret", "john")
local GREETING = native.json.encode {
  type = "health.check", connection_id = "c-1", cid = "*", created_at = "2026-01-01T00:00:00Z",
  me = { id = "john", role = "user" },
}

-- Where the spec is about nothing happening.
local SHORT = { timeouts = { connect = 0.1, request = 0.1 } }

local open = {}

-- A server on one port. `upgrade` is called with each request for a WebSocket, `answer` with every
-- other request; what they do not say, nobody says.
local function serve(behaviour)
  return peers.listen(function(connection)
    function connection.on_bytes()
      if connection.is_websocket then
        -- The only frame clients begin with that is looked at here: a goodbye is answered.
        if connection.received:byte(1) == 0x88 then connection:close() end
        connection.received = ""
        return
      end
      local request = connection:take_request()
      while request do
        if request.headers.upgrade then
          connection.is_websocket = true
          return behaviour.upgrade(connection, request)
        end
        behaviour.answer(connection, request)
        request = connection:take_request()
      end
    end
  end)
end

local function greet(connection, request)
  connection:say(peers.accept(request) .. peers.frame("text", GREETING))
end

local function client_of(peer, more)
  local options = {
    api_key = "devkey", base_url = peer:url("http", ""), random = function() return 0 end,
  }
  for name, value in pairs(more or {}) do options[name] = value end
  local client = stream_events.new(options)
  open[#open + 1] = client
  return client
end

local function pump(client, condition, what)
  return peers.pump({
    pollfd = function() return client:pollfd() end,
    step = function() client:poll(0) end,
    timeout = function() return client:timeout() end,
  }, condition, what)
end

-- Connects, and gives what connect_user gave.
local function connect(client)
  local result
  client:connect_user({ id = "john" }, TOKEN, function(me, err) result = { me, err } end)
  pump(client, function() return result end, "the connect")
  return result[1], result[2]
end

local function connected(behaviour, more)
  behaviour.upgrade = behaviour.upgrade or greet
  local peer = serve(behaviour)
  local client = client_of(peer, more)
  assert(connect(client))
  return client, peer
end

-- The connections of a peer that became WebSockets.
local function sockets(peer)
  local list = {}
  for _, connection in ipairs(peer.connections) do
    if connection.is_websocket then list[#list + 1] = connection end
  end
  return list
end

local function accept_and(...)
  local parts = { ... }
  return function(connection, request)
    connection:say(peers.accept(request) .. table.concat(parts))
  end
end

local function http(head, ending)
  return function(connection)
    connection:say(head)
    if ending then connection[ending](connection) end
  end
end

describe("connecting to a hostile server", function()
  after_each(function()
    for _, client in ipairs(open) do client:close() end
    open = {}
    peers.stop_all()
  end)

  local HTML = "<html><body>Hello</body></html>"
  for name, case in pairs {
    ["answers 200 and HTML"] = {
      http("HTTP/1.1 200 OK\r\nContent-Length: " .. #HTML .. "\r\n\r\n" .. HTML), code = 200,
    },
    ["redirects"] = {
      http "HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", code = 301,
    },
    ["answers 401"] = { http "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", code = 401 },
    ["answers 429"] = { http "HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n", code = 429 },
    ["answers 503"] = { http "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n", code = 503 },
    ["accepts another key"] = {
      http("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        .. "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"), kind = "protocol",
    },
    ["accepts without a key"] = {
      http "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
      kind = "protocol",
    },
    ["says half a head and hangs up"] = { http("HTTP/1.1 101 Swit", "close") },
    ["says half a head and nothing more"] = { http "HTTP/1.1 101 Swit", kind = "timeout" },
    ["says nothing"] = { http "", kind = "timeout" },
    ["hangs up"] = { http("", "close") },
    ["resets"] = { http("", "abort") },
    ["speaks another language"] = { http "220 smtp.example.com ESMTP\r\n\r\n", kind = "protocol" },
    ["sends header lines without end"] = {
      function(connection) connection:say("HTTP/1.1 101 X\r\n" .. ("A: b\r\n"):rep(20000)) end,
      kind = "protocol",
    },
    ["greets with nothing"] = { accept_and(peers.frame("text", "")), kind = "protocol" },
    ["greets with plain text"] = { accept_and(peers.frame("text", "token invalid")), kind = "protocol" },
    ["greets with bytes"] = { accept_and(peers.frame("binary", "\0\1")) },
    ["greets with what is no UTF-8"] = { accept_and(peers.frame("text", "\255")) },
    ["greets with a masked frame"] = { accept_and(peers.frame("text", "{}", { mask = true })) },
    ["greets with a reserved bit"] = { accept_and(peers.frame("text", GREETING, { rsv = 0x40 })) },
    ["greets with an unknown opcode"] = { accept_and(peers.frame(3, GREETING)) },
    ["greets with more than a frame may hold"] = {
      accept_and(peers.frame("text", "x", { length = 2 ^ 40 })),
    },
    ["closes instead of greeting"] = { accept_and(peers.close_frame(1008, "no")), code = 1008 },
    ["closes with 1000 and says nothing"] = { accept_and(peers.close_frame(1000)), code = 1000 },
    ["closes with a code that does not exist"] = { accept_and(peers.close_frame(999)) },
    ["never greets"] = { accept_and(), kind = "timeout" },
    ["pings for ever"] = {
      function(connection, request)
        connection:say(peers.accept(request))
        local function ping()
          if not connection.ended then connection:say(peers.frame("ping", "x"), ping) end
        end
        ping()
      end, kind = "timeout",
    },
    ["greets with an error"] = {
      accept_and(peers.frame("text", '{"type":"connection.error","error":{"code":43,"message":"bad"}}'),
        peers.close_frame(1000)), kind = "auth", code = 43,
    },
    ["greets with an error without a type"] = {
      accept_and(peers.frame("text", '{"error":{"code":2,"message":"bad"}}'), peers.close_frame(1000)),
      kind = "auth", code = 2,
    },
  } do
    it("that " .. name .. " is an error, and the client can try again", function()
      local peer = serve { upgrade = case[1], answer = function() end }
      local client = client_of(peer, case.kind == "timeout" and SHORT or nil)
      local me, err = connect(client)
      assert.is_nil(me)
      assert.truthy(({ network = true, protocol = true, timeout = true, auth = true, full = true })[err.kind])
      if case.kind then assert.equal(case.kind, err.kind) end
      if case.code then assert.equal(case.code, err.code) end
      assert.is_nil(tostring(err):find(TOKEN, 1, true))
      assert.is_false(client:online())
      local again = serve { upgrade = greet, answer = function() end }
      assert.is_truthy(connect(client_of(again)))
    end)
  end

  it("that is not there is an error", function()
    local peer = serve { upgrade = greet }
    peer:stop()
    local _, err = connect(client_of(peer))
    assert.equal("network", err.kind)
  end)

  it("that says everything one byte at a time is no problem", function()
    local client, peer = connected {
      upgrade = function(connection, request)
        connection:drip(peers.accept(request) .. peers.frame("ping", "hi")
          .. peers.frame("text", GREETING))
      end,
    }
    assert.equal("john", client:user().id)
    local got
    client:subscribe(function(event) got = event end)
    sockets(peer)[1]:drip(peers.frame("text", '{"type":"po', { fin = false }) .. peers.frame("ping", "")
      .. peers.frame("continuation", 'ke","n":1,"created_at":"2026-01-01T00:00:00Z","user":{"id":"a"}}'))
    pump(client, function() return got end, "the event")
    assert.same({ "poke", 1 }, { got.type, got.n })
  end)
end)

describe("a hostile server", function()
  after_each(function()
    for _, client in ipairs(open) do client:close() end
    open = {}
    peers.stop_all()
  end)

  local function event(event_type)
    return peers.frame("text", ('{"type":"%s","created_at":"2026-01-01T00:00:00Z","cid":"a:b",'
      .. '"channel_type":"a","channel_id":"b","user":{"id":"x"}}'):format(event_type))
  end

  for name, text in pairs {
    ["no JSON"] = "hello", ["half an object"] = '{"type":"poke"',
    ["two types"] = '{"type":"poke","type":"poke"}',
    ["a hidden type"] = '{"ty\\u0070e":"poke"}', ["no type"] = '{"cid":"a:b"}', ["a list"] = "[]",
    ["depth"] = '{"type":"poke","x":' .. ("["):rep(200) .. ("]"):rep(200) .. "}",
    ["a lone surrogate"] = '{"type":"poke","x":"\\ud800"}', ["NaN"] = '{"type":"poke","x":NaN}',
    ["a cid that contradicts itself"] = '{"type":"poke","cid":"a:b","channel_type":"c","channel_id":"d"}',
    ["a type of 300 bytes"] = '{"type":"' .. ("x"):rep(300) .. '"}', ["an empty type"] = '{"type":""}',
  } do
    it("that sends " .. name .. " loses that message and no other", function()
      local client, peer = connected {}
      local seen, dropped = {}, {}
      client:subscribe(function(given) seen[#seen + 1] = given.type end)
      client:subscribe_for("event.dropped", function(given) dropped[#dropped + 1] = given end)
      sockets(peer)[1]:say(event "before" .. peers.frame("text", text) .. event "after")
      pump(client, function() return #seen == 2 end, "both events")
      assert.same({ "before", "after" }, seen)
      assert.equal(1, #dropped)
      assert.equal("malformed", dropped[1].reason)
      assert.equal(1, client:stats().malformed)
      assert.is_true(client:online())
    end)
  end

  it("cannot forge what the client tells itself", function()
    local client, peer = connected {}
    local seen, done = {}, false
    client:subscribe_for({ "connection.*", "event.dropped", "capabilities.changed" }, function(given)
      seen[#seen + 1] = given.type
    end)
    client:subscribe_for("done", function() done = true end)
    local forged = {}
    for _, event_type in ipairs {
      "connection.changed", "connection.recovered", "capabilities.changed", "event.dropped",
    } do
      forged[#forged + 1] = event(event_type)
    end
    sockets(peer)[1]:say(table.concat(forged) .. event "done")
    pump(client, function() return done end, "the last event")
    assert.same({}, seen)
    assert.equal(4, client:stats().refused)
  end)

  for name, case in pairs {
    ["a masked frame"] = { peers.frame("text", "{}", { mask = true }) },
    ["what is no UTF-8"] = { peers.frame("text", '{"type":"\255"}') },
    ["a frame beyond the limit"] = { peers.frame("text", "", { length = 2 * 1024 * 1024 }) },
    ["a continuation of nothing"] = { peers.frame("continuation", "x") },
    ["a ping that is too long"] = { peers.frame("ping", ("x"):rep(126)) },
    ["a close with 1001"] = { peers.close_frame(1001), code = 1001 },
    ["a close with 1011"] = { peers.close_frame(1011, "oops"), code = 1011 },
    ["a close with 1012"] = { peers.close_frame(1012), code = 1012 },
    ["a close with 4000"] = { peers.close_frame(4000, "bye"), code = 4000 },
    ["a close with 1000, without an error before it"] = { peers.close_frame(1000), code = 1000 },
    ["the end of the connection"] = { "", ending = "close" },
    ["a reset"] = { "", ending = "abort" },
    ["half a frame and the end"] = { peers.frame("text", ("x"):rep(1000)):sub(1, 500), ending = "close" },
  } do
    it("that sends " .. name .. " is left, and come back to", function()
      local client, peer = connected {}
      local changes = {}
      client:subscribe_for("connection.changed", function(change) changes[#changes + 1] = change end)
      local seen = {}
      client:subscribe(function(given) seen[#seen + 1] = given.type end)
      sockets(peer)[1]:say(event "last" .. case[1])
      if case.ending == "close" then
        sockets(peer)[1]:close()
      elseif case.ending then
        pump(client, function() return #seen == 1 end, "the last event")
        sockets(peer)[1]:abort()
      end
      pump(client, function() return #sockets(peer) == 2 and #changes == 2 end, "the reconnect")
      assert.same({ "last" }, seen)
      assert.same({ false, true, 0.25 }, { changes[1].online, changes[1].will_retry, changes[1].retry_in })
      if case.code then assert.equal(case.code, changes[1].code) end
      assert.is_true(changes[2].online)
      assert.equal(1, client:stats().reconnects)
    end)
  end

  it("that refuses with a fatal error is not come back to", function()
    local client, peer = connected {}
    local last
    client:subscribe_for("connection.changed", function(change) last = change end)
    local refusal = '{"type":"connection.error","error":{"code":5,"message":"out"}}'
    sockets(peer)[1]:say(peers.frame("text", refusal) .. peers.close_frame(1000))
    pump(client, function() return last end, "the change")
    assert.same({ false, 5, false }, { last.online, last.code, last.will_retry })
    assert.is_nil(client:timeout())
  end)

  for name, case in pairs {
    ["HTML"] = { function(connection) connection:answer(200, "<html>") end, kind = "protocol" },
    ["HTML and 502"] = {
      function(connection) connection:answer(502, "<html>") end, kind = "api", status = 502,
    },
    ["nothing"] = { function() end, kind = "timeout" },
    ["half a head"] = { function(connection) connection:say "HTTP/1.1 20" end, kind = "timeout" },
    ["less than it announced"] = {
      function(connection)
        connection:say("HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{}")
        connection:close()
      end, kind = "network",
    },
    ["a reset"] = { function(connection) connection:abort() end, kind = "network" },
    ["an answer without end"] = {
      function(connection)
        connection:say("HTTP/1.1 201 Created\r\n\r\n" .. ("x"):rep(200000))
      end, kind = "full",
    },
    ["an answer that is too long"] = {
      function(connection) connection:answer(201, ("x"):rep(200000)) end, kind = "full",
    },
    ["JSON that is no event"] = {
      function(connection) connection:answer(201, '{"event":{"type":7}}') end, kind = "protocol",
    },
    ["a redirect"] = {
      function(connection) connection:answer(302, "", { "Location: http://127.0.0.1:1/" }) end,
      kind = "api", status = 302,
    },
    ["429 and a time to wait"] = {
      function(connection) connection:answer(429, "slow down", { "Retry-After: 300" }) end,
      kind = "api", status = 429, retry_after = 300, is_obeyed = true,
    },
  } do
    it("that answers a send with " .. name .. " gives an error, and the client goes on", function()
      local first = true
      local client = connected({
        answer = function(connection)
          if first then
            first = false
            return case[1](connection)
          end
          connection:answer(201, '{"event":{"type":"poke","created_at":"2026-01-01T00:00:00Z"}}')
        end,
      }, {
        limits = { answer_size = 100000 }, timeouts = case.kind == "timeout" and SHORT.timeouts or nil,
      })
      local results = {}
      local channel = client:channel("messaging", "general")
      channel:send_event("poke", nil, function(given, err) results[1] = { given, err } end)
      pump(client, function() return results[1] end, "the first answer")
      assert.is_nil(results[1][1])
      local err = results[1][2]
      assert.same({ case.kind, case.status, case.retry_after }, { err.kind, err.status, err.retry_after })
      assert.is_nil(tostring(err):find(TOKEN, 1, true))
      channel:send_event("poke", nil, function(given, failure) results[2] = { given, failure } end)
      pump(client, function() return results[2] end, "the second answer")
      if not case.is_obeyed then return assert.is_truthy(results[2][1], tostring(results[2][2])) end
      local obeyed = results[2][2]
      assert.equal("full", obeyed.kind)
      assert.is_true(obeyed.retry_after > 200 and obeyed.retry_after <= 300)
    end)
  end

  it("that floods with events is read within bounds, a piece at a time", function()
    local client, peer = connected {}
    local seen = 0
    client:subscribe(function() seen = seen + 1 end)
    local many = event("poke"):rep(2000)
    for _ = 1, 10 do sockets(peer)[1]:say(many) end
    local most = 0
    peers.pump({
      pollfd = function() return client:pollfd() end,
      step = function() most = math.max(most, client:poll(0, 50)) end,
      timeout = function() return client:timeout() end,
    }, function() return seen == 20000 end, "all events")
    assert.equal(50, most)
  end)

  it("that floods while a handler waits where it cannot suspend does not keep the client busy", function()
    local asked
    local client, peer = connected {
      answer = function(connection) asked = { connection, native.now() + 0.1 } end,
    }
    local channel, seen, waits = client:channel("messaging", "general"), 0, 0
    -- The server lives in this process: it has to run while the client sleeps.
    local transport = client.context.transport
    client.context.transport = setmetatable({
      wait = function(_, seconds)
        waits = waits + 1
        luv.run "nowait"
        if asked and native.now() >= asked[2] then
          asked[1]:answer(201, '{"event":{"type":"poke","created_at":"2026-01-01T00:00:00Z"}}')
          asked = nil
        end
        transport:wait(math.min(seconds, 0.01))
      end,
    }, { __index = function(_, name)
      return function(_, ...) return transport[name](transport, ...) end
    end })
    local answer
    client:subscribe(function()
      seen = seen + 1
      if seen ~= 1 then return end
      coroutine.wrap(function() answer = assert(channel:send_event("poke")) end)()
      assert.equal(1, seen)
    end)
    sockets(peer)[1]:say(event("poke"):rep(500))
    pump(client, function() return seen == 500 end, "all events")
    assert.is_truthy(answer)
    assert.equal(0, client:stats().handler_errors)
    assert.is_true(waits < 50, waits .. " turns")
  end)

  it("that is closed from a handler in the middle of a flood is left at once", function()
    local client, peer = connected {}
    local seen = 0
    client:subscribe(function()
      seen = seen + 1
      if seen == 10 then client:close() end
    end)
    sockets(peer)[1]:say(event("poke"):rep(1000))
    pump(client, function() return seen == 10 end, "ten events")
    for _ = 1, 3 do client:poll(0) end
    assert.equal(10, seen)
    local socket = sockets(peer)[1]
    -- The peer may have seen a close frame first, and have ended its side by itself.
    peers.pump(nil, function() return socket.ended or socket.socket:is_closing() end,
      "the end of the connection")
  end)

  it("that no longer answers is left by closing, whatever is under way", function()
    local client, peer = connected { answer = function() end }
    local results = {}
    local channel = client:channel("messaging", "general")
    for i = 1, 50 do
      channel:send_event("poke", { i = i }, function(_, err) results[i] = err.kind end)
    end
    client:spawn(function()
      local _, err = channel:watch()
      results.watch = err.kind
    end)
    pump(client, function() return #peer.connections > 2 end, "requests under way")
    client:close()
    client:poll(0)
    for i = 1, 50 do assert.equal("closed", results[i]) end
    assert.equal("closed", results.watch)

  end)
end)
