--- Tokens over time: renewed ahead of their end, asked for once, by a function that fails at times.
local fakes = require "support.fake_transport"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local SECRET = "lan-dev-secret"

-- A client on a fake transport, connected with a token function. Tokens last for `life` seconds by the
-- server's clock, which is `ahead` of ours, and `drift` more with each health check; `slept` as of a clock.
local function supplied(life, more)
  more = more or {}
  local fake = fakes.new()
  fake.clock.slept = more.slept
  local world = { fake = fake, asked = {}, given = {}, changes = {} }
  local function exact_time() return fake.clock.time() + (more.ahead or 0) end
  local function server_time() return math.floor(exact_time()) end
  function world.provide(user_id)
    local at = fake.clock.now() - 1000
    world.asked[#world.asked + 1] = at
    if world.failing then return nil, world.failing end
    local token = tokens.user(SECRET, user_id, { exp = server_time() + life, iat = #world.asked })
    world.given[#world.given + 1] = token
    return token
  end
  local timestamp = require "stream_events.timestamp"
  fake.on_connect = function(socket)
    socket.on_send = function(self)
      more.ahead = (more.ahead or 0) + (more.drift or 0)
      self:receive { type = "health.check", cid = "*", connection_id = "connection-1",
        created_at = timestamp.format(exact_time()) }
    end
    socket:greet(nil, timestamp.format(exact_time()))
  end
  world.client = stream_events.new(fake.options(more.options))
  world.client:subscribe_for("connection.*", function(event) world.changes[#world.changes + 1] = event end)
  assert(world.client:connect_user({ id = "john" }, more.token or world.provide))
  function world.pass(seconds)
    local ends = fake.clock.now() + seconds
    while fake.clock.now() < ends do world.client:poll(ends - fake.clock.now()) end
  end
  return world
end

local function token_of(request)
  return request.headers:match("Authorization: (%S+)")
end

local EXPIRED = '{"code":40,"message":"token is expired","StatusCode":401}'

-- Has the fake service refuse some tokens.
local function refuse(fake, is_refused)
  fake.answer = function(request)
    if is_refused(token_of(request)) then return 401, EXPIRED end
    return fake.usual_answer(request)
  end
end

describe("a token that runs out", function()
  it("is replaced a minute before, while the connection stays", function()
    local world = supplied(3600)
    world.pass(3539)
    assert.same({ 0 }, world.asked)
    world.pass(2)
    assert.same({ 0, 3540 }, world.asked)
    assert.equal(1, #world.fake.sockets)
    assert.is_true(world.client:online())
    assert(world.client:channel("messaging", "general"):send_event("poke"))
    assert.equal(world.given[2], token_of(world.fake.last "/event"))
    assert.same({ 1767225600 + 3540 + 3600 }, { world.client:token_expires() })
    assert.equal(1767225600 + 3540 + 3600, world.client:stats().token_expires)
    assert.equal(2, world.client:stats().tokens_asked)
  end)

  it("is replaced when four fifths of a short life are over", function()
    local world = supplied(10)
    world.pass(17)
    assert.same({ 0, 8, 16 }, world.asked)
  end)

  for name, ahead in pairs { ["ahead of"] = 1000, behind = -1000 } do
    it(("is timed by the server's clock, when that is %s ours"):format(name), function()
      local world = supplied(3600, { ahead = ahead })
      world.pass(3539)
      assert.same({ 0 }, world.asked)
      world.pass(2)
      assert.same({ 0, 3540 }, world.asked)
    end)
  end

  it("is timed by the frames that were not late", function()
    local world = supplied(3600)
    world.pass(3530)
    world.fake.socket:receive {
      type = "health.check", created_at = "2026-01-01T00:57:00Z", -- almost two minutes ago
    }
    world.client:poll()
    world.pass(11)
    assert.same({ 0, 3540 }, world.asked)
  end)

  it("is timed anew when our clock was set, or the machine was asleep", function()
    local world = supplied(3600)
    local time = world.fake.clock.time
    world.fake.clock.time = function() return time() + 3590 end
    world.client:poll()
    assert.equal(2, #world.asked)
    assert.equal(1, world.client:stats().sleeps)
  end)

  for name, seconds in pairs { forwards = 7200, back = -7200 } do
    it(("is replaced in time although our clock was set %s"):format(name), function()
      local server = { slept = function() return 0 end }
      local world = supplied(600, server)
      world.pass(100)
      local clock = world.fake.clock
      local time = clock.time
      clock.time = function() return time() + seconds end
      server.ahead = -seconds
      world.pass(1550)
      assert.same({ 0, 540, 1080, 1620 }, world.asked)
      assert.equal(0, world.client:stats().sleeps)
    end)
  end

  it("is taken by the next connection, whatever token the one before had", function()
    local world = supplied(3600)
    world.pass(3541)
    world.fake.socket:finish("network", "reset")
    world.pass(3)
    assert.equal(2, #world.fake.sockets)
    assert.truthy(world.fake.socket.options.url:find(world.given[2], 1, true))
    assert.equal(2, #world.asked)
  end)

  it("needs no other when the connection is ended because of the old one", function()
    local world = supplied(3600)
    assert(world.client:channel("messaging", "general"):watch())
    world.pass(3541)
    world.fake.socket:refuse(40, "expired")
    for _ = 1, 8 do world.client:poll(0.1) end
    assert.equal(2, #world.asked)
    assert.equal(2, #world.fake.sockets)
    assert.truthy(world.fake.socket.options.url:find(world.given[2], 1, true))
    local last = world.changes[#world.changes]
    assert.equal("connection.recovered", last.type)
    assert.same({ "messaging:general" }, last.restored)
  end)

  it("is replaced nowhere when nobody is connected", function()
    local world = supplied(3600)
    world.client:disconnect()
    assert.is_nil(world.client:token_expires())
    world.fake.clock.advance(4000)
    world.client:poll()
    assert.same({ 0 }, world.asked)
    assert.is_nil(world.client:timeout())
  end)

  it("is not asked for in circles when the function gives the same one again", function()
    local fake = fakes.new()
    local client, asked = stream_events.new(fake.options()), 0
    local token = tokens.user(SECRET, "john", { exp = math.floor(fake.clock.time()) + 100 })
    fake.on_connect = function(socket)
      socket:greet()
      socket.on_send = function(self) self:receive { type = "health.check" } end
    end
    assert(client:connect_user({ id = "john" }, function()
      asked = asked + 1
      return token
    end))
    local ends = fake.clock.now() + 300
    while fake.clock.now() < ends do client:poll(ends - fake.clock.now()) end
    assert.is_true(asked > 2 and asked < 20, asked)
    assert.is_true(client:online())
    local exp = math.floor(fake.clock.time()) + 1000
    token = tokens.user(SECRET, "john", { exp = exp })
    for _ = 1, 30 do client:poll(1) end
    assert.equal(exp, (client:token_expires()))
  end)
end)

describe("a token function", function()
  it("is asked once for everybody, before the end, for calls and for the connection", function()
    local world = supplied(3600)
    local wake
    local client, fake = world.client, world.fake
    local calls = 0
    world.client:disconnect()
    assert(client:connect_user({ id = "john" }, function(user_id)
      calls = calls + 1
      if calls > 1 then
        repeat coroutine.yield() until wake
      end
      return world.provide(user_id)
    end))
    local first = world.given[#world.given]
    refuse(fake, function(token) return token == first end)
    world.pass(3539)
    fake.clock.advance(2)
    client:poll() -- renews
    local results = {}
    for i = 1, 3 do
      client:channel("messaging", "general"):send_event("poke", { i = i }, function(event, err)
        results[i] = event or err
      end)
    end
    client:poll()
    fake.socket:refuse(40)
    for _ = 1, 5 do client:poll() end
    assert.equal(2, calls)
    assert.same({}, results)
    wake = true
    for _ = 1, 10 do client:poll(0.01) end
    assert.equal(2, calls)
    for i = 1, 3 do assert.equal(i, results[i].i) end
    assert.is_true(client:online())
    assert.truthy(fake.socket.options.url:find(world.given[#world.given], 1, true))
  end)

  it("is asked once although it takes its time, and the server's frames go on telling the time", function()
    local world = supplied(3600, { drift = 0.001 })
    local calls = 0
    world.client:disconnect()
    assert(world.client:connect_user({ id = "john" }, function(user_id)
      calls = calls + 1
      if calls == 2 then
        local ends = world.fake.clock.now() + 12
        repeat coroutine.yield() until world.fake.clock.now() >= ends
      end
      return world.provide(user_id)
    end))
    world.pass(3541)
    for i = 1, 10 do
      world.fake.socket:receive {
        type = "health.check", created_at = ("2026-01-01T00:59:%02d.9Z"):format(i),
      }
      world.pass(1)
    end
    assert.equal(2, calls)
    world.pass(5)
    assert.equal(2, calls)
    assert.equal(3, #world.given)
  end)

  it("of a session that is over gives nothing to the next one of the same user", function()
    local world, late = supplied(3600), nil
    local old = tokens.user(SECRET, "john", { exp = 2000000000 })
    world.client:disconnect()
    world.client:connect_user({ id = "john" }, function()
      repeat coroutine.yield() until late
      return old
    end, function() end)
    world.client:poll(0.1)
    world.client:disconnect()
    assert(world.client:connect_user({ id = "john" }, tokens.user(SECRET, "john", { exp = 1999999999 })))
    late = true
    world.pass(1)
    assert.equal(1999999999, (world.client:token_expires()))
  end)

  it("that fails is not asked at once because a server ends the connection with code 40", function()
    local world = supplied(3600)
    world.failing = "the login server is down"
    world.pass(3555) -- some attempts have failed, the next is seconds away
    local asked = #world.asked
    world.fake.socket:refuse(40)
    for _ = 1, 5 do world.client:poll() end
    assert.equal(asked, #world.asked)
    local last = world.changes[#world.changes]
    assert.same({ false, true }, { last.online, last.will_retry })
    assert.truthy(last.reason:find("the login server is down", 1, true))
    world.failing = nil
    world.pass(30)
    assert.is_true(world.client:online())
  end)

  it("that fails is asked again with growing pauses, and everybody can see why", function()
    local world = supplied(3600)
    world.failing = "the login server is down"
    world.pass(3540 + 59)
    -- 3540, then 1.375, 3.25, 5.25, ... seconds later: the middle of what the protocol has for retries
    local expected = { 0, 3540 }
    for _, pause in ipairs { 1.375, 3.25, 5.25, 7.25, 9.25, 11.25 } do
      expected[#expected + 1] = expected[#expected] + pause
    end
    for i, at in ipairs(expected) do assert.near(at, world.asked[i], 0.02) end
    assert.is_true(world.client:online())
    local exp, err = world.client:token_expires()
    assert.equal(1767225600 + 3600, exp)
    assert.equal("auth", err.kind)
    assert.truthy(err.message:find("the login server is down", 1, true))
    local warning = world.fake.logged "warning"[1]
    assert.truthy(warning.fields.error:find("the login server is down", 1, true))
    assert.near(1.375, warning.fields.again_in, 0.001)
    assert.is_true(world.client:stats().tokens_failed >= 6)
    world.failing = nil
    world.pass(30)
    assert.is_nil(select(2, world.client:token_expires()))
    assert.equal(2, #world.given)
  end)

  it("that fails fails the calls that need it, at once while it is left alone", function()
    local world = supplied(3600)
    refuse(world.fake, function() return true end)
    world.failing = "the login server is down"
    local channel = world.client:channel("messaging", "general")
    for i = 1, 20 do
      local event, err = channel:send_event("poke")
      assert.is_nil(event)
      assert.truthy(err.message:find("the login server is down", 1, true))
      assert.is_true(err.retryable)
      if i > 1 then assert.is_true(err.retry_after > 0 and err.retry_after <= 1.375) end
    end
    assert.equal(2, #world.asked)
    refuse(world.fake, function() return false end)
    world.failing = nil
    world.pass(2)
    assert.is_truthy(channel:send_event("poke"))
  end)

  it("that fails keeps the reconnect waiting, and connection.changed says so", function()
    local world = supplied(3600)
    world.fake.socket:refuse(40)
    world.failing = "the login server is down"
    world.pass(8)
    local asked, reasons = #world.asked, {}
    assert.is_true(asked >= 3 and asked <= 4, asked)
    for _, change in ipairs(world.changes) do
      if change.kind == "auth" and change.retry_in ~= 0 then reasons[#reasons + 1] = change.reason end
    end
    assert.is_true(#reasons >= 2)
    for _, reason in ipairs(reasons) do assert.truthy(reason:find("login server is down", 1, true)) end
    world.failing = nil
    world.pass(10)
    assert.is_true(world.client:online())
  end)

  it("that fails keeps no reconnect waiting while the old token is good", function()
    for _, left in ipairs { 30, 3 } do -- seconds; with less than 5 the function is waited for
      local world = supplied(3600)
      world.failing = "the login server is down"
      world.pass(3600 - left)
      world.fake.socket:finish("network", "reset")
      world.pass(2)
      assert.is_true(world.client:online())
      assert.truthy(world.fake.socket.options.url:find(world.given[1], 1, true))
      assert.equal(2, #world.fake.sockets)
    end
  end)

  it("that hangs keeps no reconnect waiting while the old token is good", function()
    local world, first = supplied(3600), true
    world.client:disconnect()
    assert(world.client:connect_user({ id = "john" }, function(user_id)
      if first then
        first = false
        return world.provide(user_id)
      end
      while true do coroutine.yield() end
    end))
    world.pass(3545)
    world.fake.socket:finish("network", "reset")
    world.pass(2)
    assert.is_true(world.client:online())
  end)

  it("that does not come back counts as failed, and what it brings at last is taken", function()
    local fake, calls, late = fakes.new(), 0, nil
    local client = stream_events.new(fake.options())
    fake.on_connect = function(socket)
      socket:greet()
      socket.on_send = function(self) self:receive { type = "health.check" } end
    end
    local function sign(life)
      return tokens.user(SECRET, "john", { exp = math.floor(fake.clock.time()) + life })
    end
    assert(client:connect_user({ id = "john" }, function()
      calls = calls + 1
      if calls == 1 then return sign(100) end
      if calls == 2 then
        repeat coroutine.yield() until late
        return late
      end
      return nil, "still not"
    end))
    local ends = fake.clock.now() + 97
    while fake.clock.now() < ends do client:poll(0.5) end
    assert.is_true(calls > 2)
    assert.truthy(fake.logged "warning"[1].fields.error:find("nothing within 15 seconds", 1, true))
    late = sign(1000)
    for _ = 1, 3 do client:poll(0.1) end
    assert.is_nil(select(2, client:token_expires()))
    assert(client:channel("messaging", "general"):send_event("poke"))
    assert.equal(late, token_of(fake.last "/event"))
  end)

  it("whose new tokens are refused as well is left alone for longer and longer", function()
    local world = supplied(3600)
    refuse(world.fake, function() return true end)
    local channel = world.client:channel("messaging", "general")
    local ends = world.fake.clock.now() + 60
    local failures = 0
    while world.fake.clock.now() < ends do
      local _, err = channel:send_event("poke")
      assert.equal(40, err.code)
      failures = failures + 1
      world.fake.clock.advance(0.1)
    end
    assert.is_true(failures > 500, failures)
    assert.is_true(#world.asked <= 12, #world.asked)
    refuse(world.fake, function() return false end)
    assert.is_truthy(channel:send_event("poke"))
  end)

  it("is not asked in a loop by a server that greets and then says that the token has expired", function()
    local world = supplied(3600)
    world.fake.on_connect = function(socket)
      socket:greet()
      socket:receive {
        type = "connection.error", error = { code = 40, message = "expired", StatusCode = 401 },
      }
      socket:finish("closed", "", 1000)
    end
    world.fake.socket:refuse(40)
    world.pass(60)
    assert.is_true(#world.asked <= 12, #world.asked)
    assert.is_true(#world.fake.sockets <= 12, #world.fake.sockets)
  end)
end)

describe("a fixed token", function()
  it("is warned of once before it runs out, and ends in a state that says why", function()
    local fake_time = fakes.new().clock.time()
    local token = tokens.user(SECRET, "john", { exp = fake_time + 3600 })
    local world = supplied(0, { token = token, drift = 0.001 })
    local client, fake = world.client, world.fake
    world.pass(3539)
    assert.same({}, fake.logged "warning")
    world.pass(50)
    local warnings = fake.logged "warning"
    assert.equal(1, #warnings)
    assert.truthy(warnings[1].message:find("about to expire, and it is a fixed one", 1, true))
    assert.equal(60, warnings[1].fields.seconds_left)
    world.pass(20)
    assert.is_true(client:online()) -- nobody ends a connection for that
    refuse(fake, function() return true end)
    local _, err = client:channel("messaging", "general"):send_event("poke")
    assert.equal(40, err.code)
    assert.truthy(err.hint:find("give connect_user a function", 1, true))
    fake.on_connect = function(socket) socket:refuse(40, "token is expired") end
    fake.socket:finish("network", "reset")
    local ok, failure = client:run()
    assert.is_nil(ok)
    assert.same({ "auth", 40 }, { failure.kind, failure.code })
    assert.truthy(failure.hint:find("fixed one", 1, true))
    local last = world.changes[#world.changes]
    assert.same({ false, 40, false, "token is expired" },
      { last.online, last.code, last.will_retry, last.reason })
    assert.equal(1, #fake.logged "warning")
  end)

  it("without an end is never looked at", function()
    local fake = fakes.new()
    local client = fake.connected()
    assert.is_nil(client:token_expires())
    assert.near(25, client:timeout(), 1e-6)
  end)
end)

describe("the end of a token", function()
  for name, exp in pairs {
    ["is no number"] = '"soon"', ["is far away"] = "1e308", ["is before all time"] = "-1e308",
    ["is null"] = "null",
  } do
    it("that " .. name .. " does no harm", function()
      local fake = fakes.new()
      local part = native.crypto.base64url_encode
      local token = part '{"alg":"HS256","typ":"JWT"}' .. "."
        .. part('{"user_id":"john","exp":' .. exp .. "}") .. ".x"
      local client, asked = stream_events.new(fake.options()), 0
      assert(client:connect_user({ id = "john" }, function()
        asked = asked + 1
        return token
      end))
      fake.socket.on_send = function(self) self:receive { type = "health.check" } end
      local ends = fake.clock.now() + 100
      while fake.clock.now() < ends do client:poll(ends - fake.clock.now()) end
      assert.equal(1, asked)
      assert.is_true(client:timeout() <= 25)
    end)
  end
end)
