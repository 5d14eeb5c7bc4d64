--- Staying connected and coming back: health checks, retries, watching again.
local fakes = require "support.fake_transport"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local SECRET = "lan-dev-secret"

local function decoded(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

describe("a connection", function()
  it("sends its health check 25 s after the last one came, with the id of user and client", function()
    local fake = fakes.new()
    local client = fake.connected()
    local socket = fake.socket
    socket.on_send = function(self)
      self:receive { type = "health.check", cid = "*", connection_id = "connection-1" }
    end
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
    fake.socket:event("poke")
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
      native.json.decode(decoded(fake.socket.options.url:match("json=([^&]*)"))))
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

  it("is not tried for as long as a server asks that refuses it, by its own clock", function()
    local fake = fakes.new()
    local client = fake.connected()
    local changes = {}
    client:subscribe_for("connection.changed", function(change) changes[#changes + 1] = change end)
    fake.on_connect = function(socket)
      socket:finish("protocol", "busy", 503, "Sun, 06 Nov 1994 08:50:07 GMT", "Sun, 06 Nov 1994 08:49:37 GMT")
    end
    fake.socket:finish("network", "reset")
    while #changes < 2 do client:poll(100) end
    assert.near(30 + 3.25, changes[2].retry_in, 1e-9)
    assert.same({ 30, true, 503 },
      { changes[2].error.retry_after, changes[2].error.retryable, changes[2].code })
  end)

  it("says with a first connect that is refused when to come back", function()
    local fake = fakes.new()
    local client = fake.connected()
    assert(client:disconnect())
    fake.on_connect = function(socket) socket:finish("protocol", "slow down", 429, "7") end
    local _, err = client:connect_user({ id = "john" }, tokens.user(SECRET, "john"))
    assert.same({ 429, 7, true }, { err.code, err.retry_after, err.retryable })
    fake.on_connect = function(socket) socket:finish("protocol", "no such page", 404, "soon") end
    _, err = client:connect_user({ id = "john" }, tokens.user(SECRET, "john"))
    assert.same({ 404, false }, { err.code, err.retryable })
    assert.is_nil(err.retry_after)
  end)

  it("is made anew at once when the program says that the network is back", function()
    local fake = fakes.new()
    local client = fake.connected()
    local up = false
    fake.on_connect = function(socket)
      if up then socket:greet() else socket:finish("network", "unreachable") end
    end
    fake.socket:finish("network", "unreachable")
    while #fake.sockets < 8 do client:poll(100) end
    client:poll(1)
    local now = fake.clock.now()
    up = true
    assert.is_true(client:reconnect_now())
    client:poll(1)
    assert.is_true(client:online())
    assert.is_true(fake.clock.now() - now <= 1)
  end)

  it("that still stands stays when it is checked, and one that is dead is noticed within 3 s", function()
    local fake = fakes.new()
    local client = fake.connected()
    fake.socket.on_send = function(self) self:receive { type = "health.check", cid = "*" } end
    fake.clock.advance(1)
    assert.is_true(client:reconnect_now())
    fake.clock.advance(0.1)
    for _ = 1, 3 do client:poll(2) end
    assert.same({ 1, 1, true }, { #fake.sockets, #fake.socket.sent, client:online() })
    fake.socket.on_send = nil
    assert.is_true(client:reconnect_now())
    local began, lost = fake.clock.now(), nil
    client:subscribe_for("connection.changed", function(change)
      lost = lost or { fake.clock.now() - began, change.kind }
    end)
    for _ = 1, 5 do client:poll(2) end
    assert.near(3, lost[1], 0.01)
    assert.equal("timeout", lost[2])
    assert.equal(2, #fake.sockets)
  end)

  it("cannot be made anew where there is none to be", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options())
    local ok, err = client:reconnect_now()
    assert.same({ nil, "closed" }, { ok, err.kind })
    assert(client:connect_user({ id = "john" }, fake.token))
    fake.socket:refuse(43, "wrong secret")
    client:poll()
    ok, err = client:reconnect_now()
    assert.same({ nil, "closed", 43 }, { ok, err.kind, err.cause.code })
    assert.truthy(err.message:find("wrong secret", 1, true))
    client:poll(1)
    assert.equal(1, #fake.sockets)
    client:close()
    ok, err = client:reconnect_now()
    assert.same({ nil, "closed" }, { ok, err.kind })
  end)

  it("that is refused ends for good when 1000 follows, and comes back when another code does", function()
    for code, state in pairs { [1000] = "failed", [1012] = "online" } do
      local fake = fakes.new()
      local client = fake.connected()
      local seen = 0
      client:subscribe(function() seen = seen + 1 end)
      fake.socket:refuse(99, "the app is suspended")
      fake.socket:event("poke") -- not after an error frame
      fake.socket.ended.code = code
      for _ = 1, 4 do client:poll(2) end
      assert.same({ state == "online", 0 }, { client:online(), seen })
      assert.equal(code == 1000 and 1 or 2, #fake.sockets)
    end
  end)

  it("asks for presence where it was asked for, after a reconnect as well", function()
    local fake = fakes.new()
    local client = fake.connected()
    local general, lobby = client:channel("messaging", "general"), client:channel("messaging", "lobby")
    assert(general:watch { presence = true })
    assert(lobby:watch())
    local seen
    client:subscribe_for("user.presence.changed", function(event) seen = event end)
    fake.socket:receive { type = "user.presence.changed", user = { id = "jane", online = true } }
    client:poll()
    assert.is_true(seen.user.online)
    fake.socket:finish("network", "reset")
    for _ = 1, 6 do client:poll(5) end
    local asked = {}
    for _, request in ipairs(fake.requests) do
      local cids = fakes.cids_of(request)
      local who = cids and table.concat(cids, " ") or request.path:match "([^/]+)/query$"
      asked[#asked + 1] = who .. " " .. tostring(native.json.decode(request.body).presence)
    end
    assert.same({ "general true", "lobby false", "messaging:lobby false", "messaging:general true" }, asked)
    for _, bad in ipairs { { presence = 1 }, { precense = true }, "x" } do
      assert.is_false(pcall(general.watch, general, bad))
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
    assert.equal(1, #fake.requests)
    assert.truthy(fake.requests[1].query:find("connection_id=connection-2", 1, true))
    assert.same({
      filter_conditions = { cid = { ["$in"] = { "messaging:lobby", "messaging:general" } } },
      watch = true, state = true, presence = false, limit = 30, member_limit = 100, message_limit = 1,
    }, native.json.decode(fake.requests[1].body))
    assert.equal(1, #recovered)
    assert.is_true(recovered[1].gap)
    assert.same({ "messaging:general", "messaging:lobby" }, recovered[1].restored)
    assert.same({}, recovered[1].failed)
    assert.equal("2026-01-01T00:00:10Z", recovered[1].since) -- when it was heard last
    fake.socket:event("poke", { n = 1 })
    client:poll()
    assert.same({ 1 }, seen)
    local stats = client:stats()
    assert.same({ 1, 1, "reset" }, { stats.reconnects, stats.gaps, stats.last_reason })
  end)

  it("misses events since the last health check, by the server's date: what came after may have been late",
  function()
    local fake = fakes.new()
    local client = fake.connected()
    assert(client:channel("messaging", "general"):watch())
    local recovered
    client:subscribe_for("connection.recovered", function(event) recovered = event end)
    fake.clock.advance(10)
    fake.socket:receive { type = "health.check", created_at = "2026-01-01T00:59:59.25Z" }
    client:poll()
    fake.clock.advance(5)
    fake.socket:event("poke")
    client:poll()
    fake.socket:finish("network", "reset")
    while not recovered do client:poll(5) end
    assert.equal("2026-01-01T00:59:59.25Z", recovered.since)
    assert.is_true(recovered.gap)
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

  it("ends with disconnect a watch that is under way, and the next session knows nothing of it", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", "general")
    local held, watched, failure, recovered
    fake.answer = function(request) held = request return nil end
    channel:watch(function(same, err) watched, failure = same, err end)
    client:subscribe_for("connection.recovered", function() recovered = true end)
    client:poll()
    assert(client:disconnect())
    fake.reply(held, fake.usual_answer(held))
    assert(client:connect_user({ id = "john" }, fake.token))
    for _ = 1, 3 do client:poll(1) end
    assert.same({ nil, "closed", false }, { watched, failure.kind, channel.watching })
    assert.is_nil(recovered)
  end)

  it("binds a watch to the new connection when it was lost while the query was under way", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", "general")
    local held
    fake.answer = function(request) held = held or request return nil end
    local watched
    channel:watch(function(same) watched = same end)
    fake.socket:finish("network", "reset")
    while #fake.sockets < 2 or not client:online() do client:poll(1) end
    fake.reply(held, fake.usual_answer(held))
    for _ = 1, 3 do client:poll() end
    assert.equal(2, #fake.requests)
    assert.truthy(fake.requests[2].query:find("connection_id=connection-2", 1, true))
    -- What comes before the second answer need not have reached this client.
    assert.same({ false, nil }, { channel.watching, watched })
    fake.reply(fake.requests[2], fake.usual_answer(fake.requests[2]))
    for _ = 1, 3 do client:poll() end
    assert.is_true(channel.watching)
    assert.equal(channel, watched)
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
      local before = fake.clock.now()
      ok, err = client:run()
      assert.same({ nil, code }, { ok, err.code })
      assert.equal(before, fake.clock.now()) -- did not sleep over it
      fake.on_connect = function(socket) socket:greet() end
      assert.is_truthy(client:connect_user({ id = "john" }, fake.token))
    end)
  end

  it("watches again what it watched before it was refused, when the same user connects anew", function()
    local fake = fakes.new()
    local client = fake.connected()
    assert(client:channel("messaging", "general"):watch())
    fake.socket:refuse(43)
    client:poll()
    fake.requests = {}
    assert(client:connect_user({ id = "john" }, fake.token))
    for _ = 1, 3 do client:poll(1) end
    assert.equal(1, #fake.requests)
    assert.truthy(fake.requests[1].query:find("connection_id=connection-2", 1, true))
    fake.socket:refuse(43)
    client:poll()
    assert(client:connect_user({ id = "jane" }, tokens.user(SECRET, "jane")))
    for _ = 1, 3 do client:poll(1) end
    assert.equal(1, #fake.requests) -- jane never asked for it
    assert.equal(0, client:stats().watched)
  end)

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
