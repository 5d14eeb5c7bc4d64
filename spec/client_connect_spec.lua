--- Connecting and disconnecting: what a client says to a server, and what it understands.
local fakes = require "support.fake_transport"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local SECRET = "lan-dev-secret"

local function decoded(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function parameter(url, name)
  local value = url:match("[?&]" .. name:gsub("%-", "%%-") .. "=([^&]*)")
  return value and decoded(value)
end

describe("connect_user", function()
  it("opens the URL of the protocol and gives the own user", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options())
    fake.on_connect = function(socket) socket:greet { id = "john", role = "admin", name = "J & Söhne" } end
    local me = assert(client:connect_user({ id = "john", name = "J & Söhne" }, fake.token))
    assert.equal("admin", me.role)
    assert.equal(me, client:user())
    assert.is_true(client:online())
    local url = fake.socket.options.url
    assert.same({ user_id = "john", user_details = { id = "john", name = "J & Söhne" } },
      native.json.decode(parameter(url, "json")))
    assert.equal("devkey", parameter(url, "api_key"))
    assert.equal(fake.token, parameter(url, "authorization"))
    assert.equal("jwt", parameter(url, "stream-auth-type"))
    assert.truthy(parameter(url, "X-Stream-Client"):find("^stream%-events%-lua%-"))
    assert.equal("john", fake.socket.options.self)
  end)

  it("announces the connection before the call returns to a handler, with connection.changed", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options())
    local changes = {}
    client:subscribe_for("connection.changed", function(change) changes[#changes + 1] = change end)
    assert(client:connect_user({ id = "john" }, fake.token))
    client:poll()
    assert.equal(1, #changes)
    assert.is_true(changes[1].online)
    assert.equal(fake.clock.time(), changes[1].received_at)
  end)

  for name, case in pairs {
    ["no user"] = { nil, "t", says = "a user must be a table with an id, not a nil" },
    ["a user without an id"] = { {}, "t", says = "a user id must be a string, not a nil" },
    ["an id with a space"] = { { id = "a b" }, "t", says = "a user id may hold only" },
    ["data that is no JSON"] = { { id = "john", f = print }, "t", says = "the user's data: at f" },
    ["no token"] = { { id = "john" }, nil, says = "a token expected" },
    ["a token that is a number"] = { { id = "john" }, 7, says = "a token must be a string or a function" },
    ["a callback that is none"] = { { id = "john" }, "t", {}, says = "the callback must be a function" },
  } do
    it("raises on " .. name, function()
      local client = stream_events.new(fakes.new().options())
      local ok, message = pcall(function()
        local _ = client:connect_user(case[1], case[2], case[3])
      end)
      assert.is_false(ok)
      assert.truthy(message:find(case.says, 1, true), message)
      assert.truthy(message:find("client_connect_spec", 1, true), "blames the caller: " .. message)
    end)
  end

  for name, case in pairs {
    ["of another user"] = { tokens.user(SECRET, "jane"), says = "for the user 'jane', not for 'john'" },
    ["of a backend"] = { tokens.server(SECRET), says = "a backend's token" },
    ["with a line break"] = { tokens.user(SECRET, "john") .. "\n", says = "a line break" },
    ["that is empty"] = { "", says = "must not be empty" },
  } do
    it("refuses a token " .. name .. " before the network sees it", function()
      local fake = fakes.new()
      local client = stream_events.new(fake.options())
      local me, err = client:connect_user({ id = "john" }, case[1])
      assert.is_nil(me)
      assert.equal("auth", err.kind)
      assert.truthy(err.message:find(case.says, 1, true), err.message)
      assert.same({}, fake.sockets)
      assert.is_truthy(client:connect_user({ id = "john" }, fake.token)) -- and can be mended
    end)
  end

  it("signs the token itself when it has the secret", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options { secret = SECRET })
    assert(client:connect_user { id = "john" })
    assert.is_truthy(tokens.verify(parameter(fake.socket.options.url, "authorization"), SECRET))
  end)

  it("uses developer tokens where the options say so", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options { developer_tokens = true })
    assert(client:connect_user { id = "john" })
    assert.equal(stream_events.developer_token("john"), parameter(fake.socket.options.url, "authorization"))
  end)

  for code, kind in pairs {
    [2] = "auth", [5] = "auth", [40] = "auth", [43] = "auth", [9] = "api", [99] = "api",
  } do
    it(("gives the error of a refusal with code %d, and connects no more"):format(code), function()
      local fake = fakes.new()
      fake.on_connect = function(socket) socket:refuse(code, "no " .. code) end
      local client = stream_events.new(fake.options())
      local me, err = client:connect_user({ id = "john" }, fake.token)
      assert.is_nil(me)
      assert.same({ kind, code, "no " .. code }, { err.kind, err.code, err.message })
      fake.clock.advance(100)
      client:poll()
      assert.equal(1, #fake.sockets)
      assert.is_nil(client:user())
    end)
  end

  it("says of an expired fixed token that a function would be asked for a new one", function()
    local fake = fakes.new()
    fake.on_connect = function(socket) socket:refuse(40) end
    local client = stream_events.new(fake.options())
    local _, err = client:connect_user({ id = "john" }, fake.token)
    assert.truthy(err.hint:find("a function", 1, true), err.hint)
  end)

  for name, text in pairs {
    ["without a type"] = '{"error":{"code":43,"message":"bad signature","StatusCode":401}}',
    ["as a health check"] = '{"type":"health.check","connection_id":"c",'
      .. '"error":{"code":43,"message":"bad signature"}}',
    ["without a type, and long"] = '{"connection_id":"","error":{"code":43,'
      .. '"message":"bad signature","StatusCode":401,'
      .. '"duration":"","more_info":"https://getstream.io/chat/docs/api_errors_response/'
      .. ("x"):rep(200) .. '","details":[]}}',
  } do
    it("understands a refusal " .. name, function()
      local fake = fakes.new()
      fake.on_connect = function(socket)
        socket.now_state = "open"
        socket:receive(text)
        socket:finish("closed", "", 1000)
      end
      local client = stream_events.new(fake.options())
      local _, err = client:connect_user({ id = "john" }, fake.token)
      assert.same({ "auth", 43, "bad signature" }, { err.kind, err.code, err.message })
    end)
  end

  for name, text in pairs {
    ["plain text"] = "token invalid", ["HTML"] = "<html><body>hello</body></html>", ["nothing"] = "",
    ["an array"] = "[]", ["half an object"] = '{"type":"health.check","me"',
  } do
    it("survives a first frame that is " .. name, function()
      local fake = fakes.new()
      fake.on_connect = function(socket)
        socket.now_state = "open"
        socket:receive(text)
      end
      local client = stream_events.new(fake.options())
      local me, err = client:connect_user({ id = "john" }, fake.token)
      assert.is_nil(me)
      assert.equal("protocol", err.kind)
      assert.truthy(fake.socket.aborted)
      fake.on_connect = function(socket) socket:greet() end
      assert.is_truthy(client:connect_user({ id = "john" }, fake.token))
    end)
  end

  it("is not connected before the greeting, whatever else comes", function()
    local fake = fakes.new()
    fake.on_connect = function(socket)
      socket.now_state = "open"
      socket:event("early", {})
      socket:receive { type = "health.check", cid = "*" } -- no connection id
      fake.at(3, function() socket:greet() end)
    end
    local client = stream_events.new(fake.options())
    local seen = 0
    client:subscribe(function() seen = seen + 1 end)
    local started = fake.clock.now()
    assert(client:connect_user({ id = "john" }, fake.token))
    assert.equal(3, fake.clock.now() - started)
    assert.equal(0, seen)
  end)

  for name, case in pairs {
    ["is refused"] = { "network", "connection refused", kind = "network" },
    ["is answered with HTML"] = { "protocol", "HTTP status 200 is no upgrade", 200, kind = "protocol" },
    ["is closed at once"] = { "closed", "going away", 1001, kind = "network" },
    ["takes too long"] = { "timeout", "connect timed out", kind = "timeout" },
  } do
    it("gives the error of a connection that " .. name, function()
      local fake = fakes.new()
      fake.on_connect = function(socket) socket:finish(case[1], case[2], case[3]) end
      local client = stream_events.new(fake.options())
      local _, err = client:connect_user({ id = "john" }, fake.token)
      assert.same({ case.kind, case[2], case[3] }, { err.kind, err.message, err.code })
    end)
  end

  it("gives up after 15 s of silence", function()
    local fake = fakes.new()
    fake.on_connect = function(socket) socket.now_state = "open" end
    local client = stream_events.new(fake.options())
    local started = fake.clock.now()
    local _, err = client:connect_user({ id = "john" }, fake.token)
    assert.equal("timeout", err.kind)
    assert.near(15, fake.clock.now() - started, 0.01)
    assert.is_true(fake.socket.aborted)
  end)

  it("gives the error when not even the attempt can begin", function()
    local fake = fakes.new()
    fake.refuses_connect = true
    local client = stream_events.new(fake.options())
    local _, err = client:connect_user({ id = "john" }, fake.token)
    assert.same({ "network", "no route" }, { err.kind, err.message })
  end)

  it("refuses to connect twice", function()
    local fake = fakes.new()
    local client = fake.connected()
    local _, err = client:connect_user({ id = "jane" }, tokens.user(SECRET, "jane"))
    assert.equal("protocol", err.kind)
    assert.truthy(err.message:find("already connected as 'john'", 1, true))
    assert.is_true(client:online())
  end)
end)

describe("a token provider", function()
  local function provide(fake, provider)
    local client = stream_events.new(fake.options())
    return client, client:connect_user({ id = "john" }, provider)
  end

  it("is asked once, with the user's id", function()
    local fake, asked = fakes.new(), {}
    local _, me = provide(fake, function(...)
      asked[#asked + 1] = { ... }
      return fake.token
    end)
    assert.is_truthy(me)
    assert.same({ { "john" } }, asked)
  end)

  it("may wait for an answer of another call", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options { secret = SECRET })
    local me = client:connect_user({ id = "john" }, function()
      assert(client:get_app() == nil) -- the fake's answer has no app in it; what matters is the wait
      return fake.token
    end)
    assert.is_truthy(me)
    assert.equal("/app", fake.requests[1].path)
  end)

  for name, case in pairs {
    ["raises"] = { function() error("no network here", 0) end, says = "it raised: no network here" },
    ["raises a table"] = { function() error({}) end, says = "it raised: table" },
    ["gives nothing"] = { function() end, says = "gave no token" },
    ["gives a reason"] = { function() return nil, "not logged in" end, says = "not logged in" },
    ["gives a number"] = { function() return 7 end, says = "not a number" },
    ["gives another user's token"] = {
      function() return tokens.user(SECRET, "jane") end, says = "for the user 'jane'",
    },
  } do
    it("that " .. name .. " fails the connect with that", function()
      local fake = fakes.new()
      local client, me, err = provide(fake, case[1])
      assert.is_nil(me)
      assert.equal("auth", err.kind)
      assert.truthy(err.message:find(case.says, 1, true), err.message)
      assert.same({}, fake.sockets)
      assert.equal(0, client:stats().handler_errors)
    end)
  end

  it("that never comes back fails the connect after 15 s", function()
    local fake = fakes.new()
    local _, me, err = provide(fake, function() while true do coroutine.yield() end end)
    assert.is_nil(me)
    assert.same({ "timeout", "no token within 15 seconds" }, { err.kind, err.message })
  end)

  it("is asked again when the service says that the token has expired", function()
    local fake, asked = fakes.new(), 0
    fake.on_connect = function(socket)
      if #fake.sockets == 1 then socket:refuse(40) else socket:greet() end
    end
    local _, me = provide(fake, function()
      asked = asked + 1
      return tokens.user(SECRET, "john", { exp = 4000000000 + asked })
    end)
    assert.is_truthy(me)
    assert.equal(2, asked)
    assert.equal(tokens.user(SECRET, "john", { exp = 4000000002 }),
      parameter(fake.socket.options.url, "authorization"))
  end)

  it("is asked once for all calls that failed with code 40, which are then repeated", function()
    local fake, asked = fakes.new(), 0
    local first, second = fake.token, tokens.user(SECRET, "john", { exp = 4000000000 })
    local client = provide(fake, function()
      asked = asked + 1
      return asked == 1 and first or second
    end)
    fake.answer = function(request)
      if request.headers:find(first, 1, true) then
        return 401, '{"code":40,"message":"expired","StatusCode":401}'
      end
      return fake.usual_answer(request)
    end
    local channel, results = client:channel("messaging", "general"), {}
    for i = 1, 3 do
      channel:send_event("poke", { i = i }, function(event, err) results[i] = event or err end)
    end
    for _ = 1, 5 do client:poll() end
    for i = 1, 3 do assert.equal(i, results[i].i) end
    assert.equal(2, asked)
    assert.equal(6, #fake.requests)
  end)

  it("is not asked for ever by a call that fails with code 40 again and again", function()
    local fake, asked = fakes.new(), 0
    local client = provide(fake, function()
      asked = asked + 1
      return tokens.user(SECRET, "john", { exp = 4000000000 + asked })
    end)
    fake.answer = function() return 401, '{"code":40,"message":"expired","StatusCode":401}' end
    local event, err = client:channel("messaging", "general"):send_event("poke")
    assert.is_nil(event)
    assert.equal(40, err.code)
    assert.equal(2, asked)
  end)

  it("is asked before a reconnect with a token whose time is over", function()
    local fake, asked = fakes.new(), 0
    local client = provide(fake, function()
      asked = asked + 1
      return tokens.user(SECRET, "john", { exp = math.floor(fake.clock.time()) + 1000 })
    end)
    fake.clock.advance(2000)
    fake.socket:receive { type = "health.check" }
    fake.socket:finish("network", "reset")
    for _ = 1, 5 do client:poll(5) end
    assert.equal(2, #fake.sockets)
    assert.equal(2, asked)
    assert.is_true(client:online())
  end)
end)

describe("connect_guest", function()
  it("asks for a guest without a token and connects as the one it is given", function()
    local fake = fakes.new()
    local guest = "guest-1234-bob"
    local token = tokens.user(SECRET, guest)
    fake.answer = function()
      return 201, native.json.encode {
        user = {
          id = guest, name = "Bob", role = "guest", created_at = "x", updated_at = "x", online = false,
        },
        access_token = token, duration = "1ms",
      }
    end
    local client = stream_events.new(fake.options())
    local me = assert(client:connect_guest { id = "bob", name = "Bob" })
    assert.equal(guest, me.id)
    local request = fake.requests[1]
    assert.same({ "POST", "/guest", "api_key=devkey" }, { request.method, request.path, request.query })
    assert.same({ user = { id = "bob", name = "Bob" } }, native.json.decode(request.body))
    assert.is_nil(request.headers:lower():find("authorization", 1, true))
    assert.truthy(request.headers:find("stream-auth-type: anonymous", 1, true))
    local url = fake.socket.options.url
    assert.equal(token, parameter(url, "authorization"))
    assert.same({ id = guest, name = "Bob" },
      native.json.decode(parameter(url, "json")).user_details)
  end)

  for name, answer in pairs {
    ["nothing"] = "{}", ["no token"] = '{"user":{"id":"guest-1"}}', ["no user"] = '{"access_token":"x"}',
    ["no JSON"] = "<html>", ["an id with a colon"] = '{"user":{"id":"a:b"},"access_token":"x"}',
  } do
    it("copes with an answer that holds " .. name, function()
      local fake = fakes.new()
      fake.answer = function() return 201, answer end
      local client = stream_events.new(fake.options())
      local me, err = client:connect_guest { id = "bob" }
      assert.is_nil(me)
      assert.equal("protocol", err.kind)
      assert.same({}, fake.sockets)
    end)
  end

  it("gives the service's refusal", function()
    local fake = fakes.new()
    fake.answer = function() return 403, '{"code":17,"message":"no guests","StatusCode":403}' end
    local _, err = stream_events.new(fake.options()):connect_guest { id = "bob" }
    assert.equal(17, err.code)
  end)
end)

describe("connect_anonymous", function()
  it("connects without a token, and reads as nobody", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options())
    local me = assert(client:connect_anonymous())
    assert.equal("!anon", me.id)
    local url = fake.socket.options.url
    assert.is_nil(parameter(url, "authorization"))
    assert.equal("anonymous", parameter(url, "stream-auth-type"))
    assert.is_nil(fake.socket.options.self)
    assert(client:channel("livestream", "news"):watch())
    local request = fake.last("/query")
    assert.is_nil(request.headers:lower():find("authorization", 1, true))
  end)
end)

describe("disconnect", function()
  it("closes with 1000 and waits for the goodbye", function()
    local fake = fakes.new()
    local client = fake.connected()
    local changes = {}
    client:subscribe_for("connection.changed", function(change) changes[#changes + 1] = change end)
    assert(client:channel("messaging", "general"):watch())
    assert.is_true(client:disconnect())
    assert.equal(1000, fake.socket.close_code)
    client:poll()
    local last = changes[#changes]
    assert.same({ false, false, 1000 }, { last.online, last.will_retry, last.code })
    assert.equal(0, client:stats().watched)
    assert.is_nil(client:user())
  end)

  it("waits no longer than a second or so", function()
    local fake = fakes.new()
    fake.answers_close = false
    local client = fake.connected()
    local began = fake.clock.now()
    assert.is_true(client:disconnect())
    assert.is_true(fake.clock.now() - began <= 1.6)
    assert.is_true(fake.socket.aborted)
  end)

  it("has nothing to do without a connection, and ends one that is being made", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options())
    assert.is_true(client:disconnect())
    fake.on_connect = function() end
    local result
    client:connect_user({ id = "john" }, fake.token, function(_, err) result = err end)
    client:poll()
    assert.is_true(client:disconnect())
    client:poll()
    assert.equal("closed", result.kind)
    assert.is_true(fake.socket.aborted)
  end)

  it("ends the making of a guest", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options())
    fake.answer = function() return nil end
    local failure
    client:connect_guest({ id = "bob" }, function(_, err) failure = err end)
    client:poll()
    assert.is_true(client:disconnect())
    fake.reply(fake.requests[1], 201,
      ('{"user":{"id":"guest-1"},"access_token":"%s"}'):format(tokens.user(SECRET, "guest-1")))
    for _ = 1, 3 do client:poll() end
    assert.equal("closed", failure.kind)
    assert.same({}, fake.sockets)
  end)

  it("forgets a provider that is still at work: the next user's own is asked", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options())
    local failure
    client:connect_user({ id = "john" }, function()
      for _ = 1, 3 do coroutine.yield() end
      return fake.token
    end, function(_, err) failure = err end)
    client:poll()
    assert.is_true(client:disconnect())
    local me = assert(client:connect_user({ id = "jane" }, function(id) return tokens.user(SECRET, id) end))
    assert.equal("jane", me.id)
    for _ = 1, 5 do client:poll() end
    assert.equal("closed", failure.kind)
    assert.equal(1, #fake.sockets)
    assert.equal(tokens.user(SECRET, "jane"), client.context.identity.token)
  end)

  it("leaves a client that can connect as somebody else", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", "general")
    local seen = 0
    channel:subscribe(function() seen = seen + 1 end)
    assert(channel:watch())
    assert(client:disconnect())
    assert.is_false(channel.watching)
    assert(client:connect_user({ id = "jane" }, tokens.user(SECRET, "jane")))
    assert(channel:watch())
    assert.truthy(fake.last("/query").query:find("user_id=jane", 1, true))
    fake.socket:event("poke")
    client:poll()
    assert.equal(1, seen)
  end)
end)
