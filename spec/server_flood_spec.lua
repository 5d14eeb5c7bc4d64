--- Clients that take more than their share of a listener: connections, requests, messages, time.
local uv = require "luv"
local core = require "stream_events.server.core"
local frames = require "support.frames"
local listening = require "support.listening"
local server_fixture = require "support.server"

local GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

local fixture

after_each(function()
  if fixture.close then fixture:close() else fixture:stop() end
  fixture = nil
end)

-- Whether a new client is let in; it stays.
local function is_let_in(source)
  local client = fixture:client(source)
  client:write(GET)
  fixture:wait("an answer or a request", function() return fixture.results[1] or client.ended end)
  if client.ended then return false, client end
  fixture.listener:respond(fixture:expect "request", 200, "{}")
  client:expect "{}$"
  return true, client
end

local function count_let_in(count, source)
  local let_in, clients = 0, {}
  for i = 1, count do
    local is_in, client = is_let_in(source)
    if is_in then let_in = let_in + 1 end
    clients[i] = client
  end
  return let_in, clients
end

describe("connections from one address", function()
  it("are limited: more are answered 503 with code 71, and counted", function()
    fixture = listening.open { max_connections_per_address = 3 }
    local let_in, clients = count_let_in(5)
    assert.equal(3, let_in)
    assert.matches('^HTTP/1.1 503 .*"code":71,"message":"Request failed with error: '
      .. '\\"too many connections from this address\\"', clients[5]:text())
    local stats = fixture.listener:stats()
    assert.equal(3, stats.connections)
    assert.equal(2, stats.refused_by_address)
    assert.equal(2, stats.refused)
  end)

  it("make room for others when they end, however that happens", function()
    fixture = listening.open { max_connections_per_address = 2 }
    for _ = 1, 3 do
      local let_in, clients = count_let_in(3)
      assert.equal(2, let_in)
      clients[1]:close()
      clients[2].tcp:close_reset()
      fixture:wait("both are gone", function() return fixture.listener:stats().connections == 0 end)
    end
    local socket = fixture:websocket()
    assert.is_true(is_let_in())
    assert.is_false(is_let_in())
    socket:frame("close", frames.close(1000))
    socket:finish()
    socket:close()
    fixture:wait("the WebSocket is gone", function() return fixture.listener:stats().connections == 1 end)
    assert.is_true((is_let_in()))
  end)

  for name, case in pairs {
    ["an address"] = { { "127.0.0.1" }, 4 },
    ["a network"] = { { "10.0.0.0/8", "127.0.0.0/8" }, 4 },
    ["a network of everybody"] = { { "0.0.0.0/0" }, 4 },
    ["a network whose last byte is divided"] = { { "127.0.0.0/31" }, 4 },
    ["another part of a divided byte"] = { { "127.0.0.2/31" }, 2 },
    ["another address"] = { { "127.0.0.2" }, 2 },
    ["an IPv6 network of everybody"] = { { "::/0" }, 2 },
    ["nobody"] = { {}, 2 },
  } do
    it("are not limited for who is exempt: " .. name, function()
      fixture = listening.open { max_connections_per_address = 2 }
      fixture.listener:exempt(case[1])
      assert.equal(case[2], (count_let_in(4)))
    end)
  end

  -- Every address of 127.0.0.0/8 is this machine's own where the system is Linux.
  if uv.os_uname().sysname == "Linux" then
    it("take nothing from those from other addresses", function()
      fixture = listening.open { max_connections_per_address = 2 }
      fixture.listener:exempt { "127.0.0.3" }
      assert.equal(2, (count_let_in(3, "127.0.0.1")))
      assert.equal(2, (count_let_in(3, "127.0.0.2")))
      assert.equal(3, (count_let_in(3, "127.0.0.3")))
      assert.equal(2, (count_let_in(3, "127.0.1.1")))
      assert.equal(3, fixture.listener:stats().refused_by_address)
    end)

    it("are counted for hundreds of addresses", function()
      fixture = listening.open { max_connections_per_address = 1 }
      local clients = {}
      for i = 1, 200 do
        local source = ("127.1.%d.%d"):format(i % 7, i)
        assert.is_true(is_let_in(source))
        clients[i] = source
      end
      for i = 1, 200, 20 do assert.is_false((is_let_in(clients[i]))) end
    end)
  end

  it("are as many as there are when nobody says", function()
    fixture = listening.open()
    assert.equal(20, (count_let_in(20)))
  end)

  for name, list in pairs {
    ["no list"] = "127.0.0.1",
    ["a number"] = { 7 },
    ["a name"] = { "localhost" },
    ["a length that is too great"] = { "127.0.0.0/33" },
    ["a length that is none"] = { "127.0.0.0/" },
    ["a length with a sign"] = { "127.0.0.0/-1" },
    ["a cut address"] = { "127.0.0" },
    ["a text that is no address by far"] = { ("1"):rep(1000) },
  } do
    it("cannot be exempted by " .. name .. ", and all stays as it was", function()
      fixture = listening.open { max_connections_per_address = 2 }
      fixture.listener:exempt { "127.0.0.0/8" }
      assert.error(function() fixture.listener:exempt(list) end)
      assert.equal(3, (count_let_in(3)))
    end)
  end

  -- Whether IPv6 is there to be tried; where it is not, the listener cannot be opened.
  local six = core.listen { host = "::1" }
  if six then
    six:close_all()

    it("count by the first half of an IPv6 address, and are exempt by networks of it", function()
      fixture = listening.open { host = "::1", max_connections_per_address = 1 }
      assert.equal(1, (count_let_in(2)))
      fixture.listener:exempt { "::/64" }
      assert.equal(2, (count_let_in(2)))
    end)

    it("are of an IPv4 address, when they come to a socket for both", function()
      fixture = listening.open { host = "::", max_connections_per_address = 1 }
      fixture.listener:exempt { "127.0.0.1" }
      assert.equal(2, (count_let_in(2)))
    end)
  end
end)

describe("requests that come together on one connection", function()
  it("are handed out one in a turn, so that others come between", function()
    fixture = listening.open()
    local greedy, other = fixture:client(), fixture:client()
    local text = {}
    for i = 1, 1000 do text[i] = ("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(i) end
    greedy:write(table.concat(text))
    other:write "GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
    local listener, seen, turns = fixture.listener, {}, 0
    fixture:wait("the other one's request", function()
      turns = turns + 1
      local in_turn = #fixture.results
      for _, result in ipairs(fixture.results) do
        seen[#seen + 1] = result[3].path
        listener:respond(result[2], 200, "{}")
      end
      fixture.results = {}
      assert.is_true(in_turn <= 2, in_turn)
      return seen[#seen] == "/other" or seen[#seen - 1] == "/other"
    end)
    assert.is_true(#seen <= 10, #seen)
    -- The rest follows, in order, although nothing new comes from the client.
    while #seen < 1001 do
      local number, request = fixture:expect "request"
      seen[#seen + 1] = request.path
      listener:respond(number, 200, "{}")
    end
    local last = 0
    for _, path in ipairs(seen) do
      if path ~= "/other" then
        assert.equal("/" .. last + 1, path)
        last = last + 1
      end
    end
  end)

  it("wait no longer than the loop sleeps", function()
    fixture = listening.open()
    local client = fixture:client()
    client:write(GET .. GET)
    fixture.listener:respond(fixture:expect "request", 200, "{}")
    assert.equal(0, fixture.listener:timeout())
    fixture.listener:step()
    local what, number = fixture.listener:next()
    assert.equal("request", what)
    fixture.listener:respond(number, 200, "{}")
    assert.is_true(fixture.listener:timeout() > 0)
  end)

  it("stay in order with what arrives in the meantime, at whatever place it is cut", function()
    local text = (GET:gsub("/", "/%%d", 1)):rep(3):format(1, 2, 3)
    for cut = #GET + 1, #text - 1 do
      fixture = fixture or listening.open()
      local client = fixture:client()
      client:write(text:sub(1, cut))
      local number, request = fixture:expect "request"
      assert.equal("/1", request.path)
      client:write(text:sub(cut + 1))
      for i = 2, 3 do
        fixture.listener:respond(number, 200, "{}")
        number, request = fixture:expect "request"
        assert.equal("/" .. i, request.path)
      end
      fixture.listener:respond(number, 200, "{}")
      client:close()
    end
  end)

  it("may be given up while they wait", function()
    for _, results_wait in ipairs { false, true } do
      fixture = listening.open()
      local client, other = fixture:client(), fixture:client()
      client:write(GET:rep(50))
      local number = fixture:expect "request"
      other:write(GET)
      fixture:turn()
      client.tcp:close_reset()
      fixture.listener:respond(number, 200, "{}")
      if results_wait then
        other:write(GET)
        fixture.listener:step()
        fixture.listener:step()
      end
      fixture:wait("gone", function()
        for _, result in ipairs(fixture.results) do fixture.listener:respond(result[2], 200, "{}") end
        fixture.results = {}
        return fixture.listener:stats().connections == 1
      end)
      fixture:close()
    end
  end)

  it("end with the answer that a shutdown lets through", function()
    fixture = listening.open()
    local client = fixture:client()
    client:write(GET:rep(3))
    fixture.listener:respond(fixture:expect "request", 200, "first")
    fixture.listener:shutdown()
    fixture.listener:respond(fixture:expect "request", 200, "second")
    assert.matches("Connection: keep%-alive.*firstHTTP.*Connection: close.*second$", client:finish())
    assert.same({}, fixture.results)
  end)
end)

describe("messages over one WebSocket", function()
  for name, opcode in pairs { messages = "text", pings = "ping", pongs = "pong" } do
    it("are limited, " .. name .. " too: more closes it with 1008", function()
      fixture = listening.open { max_message_rate = 20 }
      local client, number = fixture:websocket()
      client:write(frames.frame(opcode, "x", { key = true }):rep(45))
      assert.same({ number, 1008 }, { fixture:expect "closed" })
      assert.equal(1, fixture.listener:stats().too_busy)
      client:frame("close", frames.close(1008))
      client:finish()
      local got = client:frames()
      assert.same({ 0x88, frames.close(1008, "too many messages") }, got[#got])
    end)
  end

  it("may be that many in every second", function()
    fixture = listening.open { max_message_rate = 20 }
    local client = fixture:websocket()
    local ticking = uv.new_timer()
    ticking:start(0, 10, function() end) -- lets wait() look at its condition
    local function second() return uv.hrtime() // 1000000000 end
    for count = 1, 3 do -- each time half of what is allowed: two of them may fall into one second
      local began = second()
      client:write(frames.frame("ping", "x", { key = true }):rep(10))
      client:expect_frames(10 * count)
      fixture:wait("another second", function() return second() > began end)
    end
    ticking:close()
    assert.equal(0, fixture.listener:stats().too_busy)
    assert.equal(1, fixture.listener:stats().websockets)
  end)

  it("are as many as there are when nobody says", function()
    fixture = listening.open()
    local client = fixture:websocket()
    client:write(frames.frame("ping", "x", { key = true }):rep(500))
    client:expect_frames(500)
  end)
end)

describe("time for a whole", function()
  -- Sends a text, then one part again and again, until the server has had enough.
  local function trickle(begin, part)
    local client = fixture:client()
    local ticking = uv.new_timer()
    client:write(begin)
    ticking:start(0, 5, function()
      if not client.ended and not client.tcp:is_closing() then client:post(part) end
    end)
    local text = client:finish()
    ticking:close()
    return text
  end

  for name, case in pairs {
    ["head"] = { { header_timeout = 0.2 }, "GET / HTTP/1.1\r\nHost: x\r\nA: ", "b" },
    ["head of short lines"] = { { header_timeout = 0.2, max_header = 60000 },
      "GET / HTTP/1.1\r\nHost: x\r\n", "A:\r\n" },
    ["request of empty lines"] = { { header_timeout = 0.2 }, "\r\n", "\r\n" },
    ["body"] = { { body_timeout = 0.2 },
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", "b" },
    ["body in chunks"] = { { body_timeout = 0.2 },
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n" },
    ["list of trailers"] = { { body_timeout = 0.2 },
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n" },
  } do
    it(name .. " runs out, however busily it comes in parts", function()
      fixture = listening.open(case[1])
      assert.matches('^HTTP/1.1 408 .*"code":23', trickle(case[2], case[3]))
      assert.same({}, fixture.results)
    end)
  end

  it("head runs since the connection was made, for the first one", function()
    fixture = listening.open { header_timeout = 100 }
    local client = fixture:client()
    fixture:turn()
    local left = fixture.listener:timeout()
    client:write "GET / HTTP/1.1\r\n"
    fixture:turn()
    assert.is_true(fixture.listener:timeout() <= left)
  end)

  it("goodbye is not won by a WebSocket that goes on sending", function()
    fixture = listening.open()
    local client, number = fixture:websocket()
    fixture.listener:close(number, 1000, "")
    local left = fixture.listener:timeout()
    assert.is_true(left < 4, left)
    for _ = 1, 5 do
      client:frame("text", "but")
      fixture:turn()
      assert.is_true(fixture.listener:timeout() <= left)
    end
  end)
end)

describe("a server", function()
  it("does not hold this machine to the limit of an address", function()
    fixture = server_fixture.start { max_connections_per_address = 1 }
    fixture:users("john", "jane")
    for _, who in ipairs { "john", "jane", "john" } do fixture:connect(who) end
    assert.equal(0, fixture.server:stats().refused_by_address)
  end)

  it("closes a client that floods it, counts that, and goes on with the others", function()
    fixture = server_fixture.start { max_message_rate = 10 }
    fixture:users("john", "jane")
    fixture:channel("messaging:lobby", { "john", "jane" })
    local john, jane = fixture:connect "john", fixture:connect "jane"
    fixture:watch(jane, "messaging:lobby")
    for _ = 1, 25 do john:send "" end
    assert.equal(1008, john:closed())
    assert.equal(1, fixture.server:stats().too_busy)
    assert.equal(1, fixture.server:stats().signed_in)
    jane:send ""
    jane:settled()
    assert.equal(201, (fixture:call("jane", "POST", "/channels/messaging/lobby/event",
      { event = { type = "x" } })))
    jane:expect "x"
  end)

  it("answers each request of a pipeline, with others between them", function()
    fixture = server_fixture.start()
    fixture:users "john"
    local target = "/app?api_key=devkey"
    local headers = { Authorization = fixture:user_token "john", ["stream-auth-type"] = "jwt" }
    for _ = 1, 500 do fixture.client:send("GET", target, headers) end
    -- The other one is answered long before the pipeline is done.
    local other = server_fixture.attach(fixture.server)
    assert.equal(200, (other:call("john", "GET", "/app")))
    local answers = 0
    for _ in fixture.client.socket.received:gmatch "HTTP/1.1 200" do answers = answers + 1 end
    assert.is_true(answers < 250, answers)
    for _ = 1, 500 do assert.equal(200, fixture.client:next_answer().status) end
    other:stop()
  end)
end)
