--- Connecting, staying connected, coming back: what a client says to a server, and understands.
local errors = require "stream_events.error"
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
    ["that is empty"] = { "", says = "not empty" },
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

  for code, kind in pairs { [2] = "auth", [5] = "auth", [40] = "auth", [43] = "auth", [9] = "api", [99] = "api" } do
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
    ["as a health check"] = '{"type":"health.check","connection_id":"c","error":{"code":43,"message":"bad signature"}}',
    ["without a type, and long"] = '{"connection_id":"","error":{"code":43,"message":"bad signature","StatusCode":401,'
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
      return tokens.user(SECRET, "john", { exp = math.floor(fake.clock.time()) + 10 })
    end)
    fake.clock.advance(20)
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
        user = { id = guest, name = "Bob", role = "guest", created_at = "x", updated_at = "x", online = false },
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
    assert.same({ id = guest, name = "Bob", role = "guest" },
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

describe("a connection", function()
  it("sends its health check 25 s after the last one came, with the id of user and client", function()
    local fake = fakes.new()
    local client = fake.connected()
    local socket = fake.socket
    socket.on_send = function(self) self:receive { type = "health.check", cid = "*", connection_id = "connection-1" } end
    local times = {}
    local began = fake.clock.now()
    for _ = 1, 400 do
      client:poll(0.25)
      if #socket.sent > #times then times[#times + 1] = fake.clock.now() - began end
    end
    assert.same({ 25, 50, 75, 100 }, times)
    local check = native.json.decode(socket.sent[1])
    assert.equal("health.check", check[1].type)
    assert.truthy(check[1].client_id:find("^john%-%-%x+%-%x+%-%x+%-%x+%-%x+$"))
    assert.equal(socket.sent[1], socket.sent[2])
    assert.equal(1, #fake.sockets)
  end)

  it("is dead after 35 s of silence, and is made anew", function()
    local fake = fakes.new()
    local client = fake.connected()
    local changes = {}
    client:subscribe_for("connection.changed", function(change)
      changes[#changes + 1] = { fake.clock.now() - 1000, change.online, change.kind, change.retry_in }
    end)
    local ends = fake.clock.now() + 45
    while fake.clock.now() < ends do client:poll(ends - fake.clock.now()) end
    assert.equal(2, #fake.sockets)
    assert.is_true(fake.sockets[1].aborted)
    assert.near(35, changes[1][1], 0.01)
    assert.same({ false, "timeout", 1.375 }, { changes[1][2], changes[1][3], changes[1][4] })
    assert.is_true(changes[2][2])
    assert.near(36.375, changes[2][1], 0.01)
  end)

  it("is not declared dead for what was only not read", function()
    local fake = fakes.new()
    local client = fake.connected()
    fake.clock.advance(60) -- the program did something else, the bytes lie in the socket
    local heard = fake.socket.heard_at
    fake.socket:event("poke")
    assert.is_true(fake.socket.heard_at > heard)
    client:poll()
    assert.is_true(client:online())
  end)

  it("names only the id when it comes back, so that older data overwrites nothing", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options())
    assert(client:connect_user({ id = "john", name = "Old" }, fake.token))
    fake.socket:finish("network", "reset")
    for _ = 1, 4 do client:poll(5) end
    assert.equal(2, #fake.sockets)
    assert.same({ user_id = "john", user_details = { id = "john" } },
      native.json.decode(parameter(fake.socket.options.url, "json")))
  end)

  it("is retried at exactly the times the protocol gives, without turning in between", function()
    local fake = fakes.new()
    local client = fake.connected()
    fake.on_connect = function(socket) socket:finish("network", "connection refused") end
    fake.socket:finish("closed", "restart", 1012)
    local waits, last = {}, fake.clock.now()
    client:subscribe_for("connection.changed", function(change)
      waits[#waits + 1] = change.retry_in
    end)
    local steps = fake.transport.steps
    local gaps = {}
    while #fake.sockets < 9 do
      local count = #fake.sockets
      client:poll(100)
      if #fake.sockets > count then
        gaps[#gaps + 1] = fake.clock.now() - last
        last = fake.clock.now()
      end
    end
    assert.is_true(fake.transport.steps - steps < 60)
    -- random() is 0.5: the middle of what the protocol allows for n = 1 to 8
    local middle = { 1.375, 3.25, 5.25, 7.25, 9.25, 11.25, 13.25, 15.25 }
    for n = 1, 8 do
      assert.near(middle[n], gaps[n], 0.0011)
      assert.near(middle[n], waits[n], 1e-9)
    end
  end)

  it("watches everything again after a reconnect, then says so", function()
    local fake = fakes.new()
    local client = fake.connected()
    local general, lobby = client:channel("messaging", "general"), client:channel("messaging", "lobby")
    assert(general:watch() and lobby:watch())
    local seen, recovered = {}, {}
    general:subscribe_for("poke", function(event) seen[#seen + 1] = event.n end)
    client:subscribe_for("connection.recovered", function(event) recovered[#recovered + 1] = event end)
    fake.requests = {}
    fake.clock.advance(10)
    fake.socket:receive { type = "health.check" }
    client:poll()
    fake.clock.advance(5)
    fake.socket:finish("network", "reset")
    for _ = 1, 6 do client:poll(5) end
    assert.equal(2, #fake.requests)
    for i, path in ipairs { "/channels/messaging/general/query", "/channels/messaging/lobby/query" } do
      assert.equal(path, fake.requests[i].path)
      assert.truthy(fake.requests[i].query:find("connection_id=connection-2", 1, true))
      assert.is_true(native.json.decode(fake.requests[i].body).watch)
    end
    assert.equal(1, #recovered)
    assert.is_true(recovered[1].gap)
    assert.same({ "messaging:general", "messaging:lobby" }, recovered[1].restored)
    assert.same({}, recovered[1].failed)
    assert.equal("2026-01-01T00:00:10Z", recovered[1].since) -- when it was heard last
    fake.socket:event("poke", { n = 1 })
    client:poll()
    assert.same({ 1 }, seen)
    assert.equal(1, client:stats().reconnects)
  end)

  it("has a bounded number of queries in flight when it comes back to many channels", function()
    local fake = fakes.new()
    local client = fake.connected()
    for i = 1, 30 do assert(client:channel("messaging", "c" .. i):watch()) end
    fake.requests = {}
    fake.answer = function() return nil end
    fake.socket:finish("network", "reset")
    local most, done = 0, 0
    for _ = 1, 200 do
      client:poll(0.1)
      local open = #fake.requests - done
      most = math.max(most, open)
      if open > 0 then
        done = done + 1
        fake.reply(fake.requests[done], fake.usual_answer(fake.requests[done]))
      end
    end
    assert.equal(30, #fake.requests)
    assert.equal(8, most)
  end)

  it("tries a channel again that could not be restored, and forgets one that is lost", function()
    local fake = fakes.new()
    local client = fake.connected()
    local general, lobby = client:channel("messaging", "general"), client:channel("messaging", "lobby")
    assert(general:watch() and lobby:watch())
    local tries = { general = 0, lobby = 0 }
    fake.answer = function(request)
      local id = request.path:match("/messaging/([^/]+)/query")
      tries[id] = tries[id] + 1
      if id == "lobby" then return 403, '{"code":17,"message":"no member","StatusCode":403}' end
      if tries[id] < 3 then return 429, "slow down" end
      return fake.usual_answer(request)
    end
    local recovered
    client:subscribe_for("connection.recovered", function(event) recovered = event end)
    fake.socket:finish("network", "reset")
    while not recovered do client:poll(5) end
    assert.same({ general = 3, lobby = 1 }, tries)
    assert.same({ "messaging:general" }, recovered.restored)
    assert.equal(17, recovered.failed["messaging:lobby"].code)
    assert.same({ true, false }, { general.watching, lobby.watching })
    assert.equal(1, client:stats().watched)
  end)

  it("says that it recovered also when there was nothing to restore", function()
    local fake = fakes.new()
    local client = fake.connected()
    local recovered = 0
    client:subscribe_for("connection.recovered", function() recovered = recovered + 1 end)
    fake.socket:finish("network", "reset")
    for _ = 1, 4 do client:poll(5) end
    assert.equal(1, recovered)
  end)

  it("binds a watch to the new connection when it was lost while the query was under way", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", "general")
    local held
    fake.answer = function(request) held = held or request return nil end
    channel:watch(function() end)
    fake.answer = fake.usual_answer
    fake.socket:finish("network", "reset")
    while #fake.sockets < 2 or not client:online() do client:poll(1) end
    fake.reply(held, fake.usual_answer(held))
    for _ = 1, 3 do client:poll() end
    assert.equal(2, #fake.requests)
    assert.truthy(fake.requests[2].query:find("connection_id=connection-2", 1, true))
    assert.is_true(channel.watching)
  end)

  for _, code in ipairs { 2, 5, 41, 42, 43, 40 } do
    it(("stays away when the reconnect is refused with code %d"):format(code), function()
      local fake = fakes.new()
      local client = fake.connected()
      fake.on_connect = function(socket) socket:refuse(code, "go away") end
      fake.socket:finish("network", "reset")
      local last
      client:subscribe_for("connection.changed", function(change) last = change end)
      local ok, err = client:run()
      assert.is_nil(ok)
      assert.equal(code, err.code)
      assert.same({ false, code, false }, { last.online, last.code, last.will_retry })
      fake.clock.advance(1000)
      client:poll()
      assert.equal(2, #fake.sockets)
      fake.on_connect = function(socket) socket:greet() end
      assert.is_truthy(client:connect_user({ id = "john" }, fake.token))
    end)
  end

  it("that is told by an error frame that the token has expired comes back with a new one", function()
    local fake, asked = fakes.new(), 0
    local client = stream_events.new(fake.options())
    assert(client:connect_user({ id = "john" }, function()
      asked = asked + 1
      return tokens.user(SECRET, "john", { exp = 4000000000 + asked })
    end))
    fake.socket:refuse(40, "expired")
    for _ = 1, 4 do client:poll(1) end
    assert.same({ 2, 2 }, { asked, #fake.sockets })
    assert.is_true(client:online())
  end)

  it("reads what came before it ended", function()
    local fake = fakes.new()
    local client = fake.connected()
    local seen = 0
    client:subscribe(function() seen = seen + 1 end)
    for _ = 1, 5 do fake.socket:event("poke") end
    fake.socket:finish("closed", "restart", 1012)
    client:poll(0, 2)
    assert.is_true(client:online())
    client:poll(0, 10)
    assert.equal(5, seen)
    client:poll(0)
    assert.is_false(client:online())
  end)

  it("reports malformed messages, counts them and goes on", function()
    local fake = fakes.new()
    local client = fake.connected()
    local dropped, seen = {}, 0
    client:subscribe_for("event.dropped", function(event) dropped[#dropped + 1] = event end)
    client:subscribe(function() seen = seen + 1 end)
    fake.socket:receive('{"type":"poke","type":"poke"}')
    fake.socket:event("poke")
    fake.socket:receive("not json " .. fake.token)
    client:poll()
    assert.equal(2, #dropped)
    assert.equal(1, seen)
    assert.same({ "event.dropped", "malformed" }, { dropped[1].type, dropped[1].reason })
    assert.truthy(dropped[1].detail:find("duplicate", 1, true), dropped[1].detail)
    assert.is_nil(dropped[2].excerpt:find(fake.token, 1, true))
    local stats = client:stats()
    assert.equal(2, stats.malformed)
    assert.equal(2, stats.dropped["*"].malformed)
    assert.is_true(client:online())
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

describe("secrets", function()
  it("are in no error and no log line, whatever goes wrong", function()
    local fake = fakes.new()
    local said = {}
    local function hear(...)
      for _, value in ipairs { ... } do
        said[#said + 1] = type(value) == "table" and not errors.is(value)
          and native.json.encode(value) or tostring(value)
      end
    end
    local secret = "a-secret-nobody-may-see"
    local token = tokens.user(secret, "john")
    local server_token = tokens.server(secret)
    local client = stream_events.new(fake.options {
      secret = secret,
      logger = function(level, message, fields)
        hear(level, message)
        for name, value in pairs(fields) do hear(name, tostring(value)) end
      end,
    })
    client:subscribe_for({ "connection.*", "event.dropped" }, function(event)
      for name, value in pairs(event) do hear(name, tostring(value)) end
    end)
    local url = "ws://fake.test/connect?authorization=" .. token .. "&api_key=x"
    -- Everything that fails, with texts that repeat what was sent.
    for _, ending in ipairs { { "network", "cannot open " .. url }, { "protocol", token }, { "closed", token, 1008 } } do
      fake.on_connect = function(socket) socket:finish(ending[1], ending[2], ending[3]) end
      hear(select(2, client:connect_user({ id = "john" }, token)))
    end
    for _, text in ipairs { "token invalid: " .. token, '{"error":{"code":5,"message":"' .. token .. '"}}' } do
      fake.on_connect = function(socket)
        socket.now_state = "open"
        socket:receive(text)
      end
      hear(select(2, client:connect_user({ id = "john" }, token)))
    end
    hear(select(2, client:connect_user({ id = "jane" }, token)))
    hear(select(2, client:connect_user({ id = "john" }, function() error("cannot read " .. token) end)))
    fake.on_connect = function(socket) socket:greet() end
    assert(client:connect_user({ id = "john" }, token))
    local channel = client:channel("messaging", "general")
    for _, answer in ipairs {
      { 401, '{"code":43,"message":"bad ' .. token .. '"}' }, { 500, token }, { nil, "network", url },
    } do
      fake.answer = function(request)
        fake.reply(request, answer[1], answer[2], answer[3])
      end
      hear(select(2, channel:send_event("poke")))
      hear(select(2, client:get_app()))
    end
    channel:subscribe(function(event) error("seen " .. event.text) end)
    fake.socket:event("poke", { text = server_token })
    fake.socket:receive("garbage " .. token)
    fake.socket:finish("network", "reset " .. url)
    for _ = 1, 5 do client:poll(5) end
    hear(tostring(client), client:stats())
    client:close()
    hear(select(2, channel:send_event("poke")))
    local text = table.concat(said, "\n")
    assert.is_true(#said > 60)
    for name, hidden in pairs { secret = secret, token = token, server = server_token } do
      assert.is_nil(text:find(hidden, 1, true), name .. " was shown")
      local signature = hidden:match("[^.]+$")
      assert.is_nil(text:find(signature, 1, true), "the end of the " .. name .. " was shown")
    end
  end)
end)
