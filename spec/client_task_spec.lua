--- The three forms of every call, and what becomes of calls when the client is closed.
local fakes = require "support.fake_transport"
local garbage = require "support.garbage"
local lua = require "support.lua"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local SECRET = "lan-dev-secret"

-- Answers in which every call finds what it looks for.
local function answer_all(fake)
  fake.answer = function(request)
    if request.path:find("/query$") or request.path:find("/event$") then
      if not request.path:find("^/users") then return fake.usual_answer(request) end
    end
    if request.path == "/guest" then
      return 201, ('{"user":{"id":"guest-1"},"access_token":"%s"}'):format(tokens.user(SECRET, "guest-1"))
    end
    return 201, '{"users":{"a":{"id":"a"}},"channel_types":{},"app":{},"channels":[],"events":[],"name":"x"}'
  end
end

-- Every call that waits for something. `alone`: made by a client that is not connected.
local CALLS = {
  connect_user = { alone = true, function(client, callback)
    return client:connect_user({ id = "john" }, tokens.user(SECRET, "john"), callback)
  end },
  connect_guest = { alone = true, function(client, callback)
    return client:connect_guest({ id = "bob" }, callback)
  end },
  connect_anonymous = { alone = true, function(client, callback)
    return client:connect_anonymous(callback)
  end },
  disconnect = { function(client, callback) return client:disconnect(callback) end },
  watch = { function(client, callback) return client:channel("a", "b"):watch(callback) end },
  query = { function(client, callback) return client:channel("a", "b"):query(callback) end },
  create = { function(client, callback) return client:channel("a", "b"):create(callback) end },
  stop_watching = { function(client, callback) return client:channel("a", "b"):stop_watching(callback) end },
  add_members = { function(client, callback)
    return client:channel("a", "b"):add_members({ "x" }, callback)
  end },
  remove_members = { function(client, callback)
    return client:channel("a", "b"):remove_members({ "x" }, callback)
  end },
  send_event = { function(client, callback)
    return client:channel("a", "b"):send_event("poke", { a = 1 }, callback)
  end },
  send_user_custom_event = { function(client, callback)
    return client:send_user_custom_event("jane", { type = "poke" }, callback)
  end },
  upsert_users = { function(client, callback) return client:upsert_users({ { id = "a" } }, callback) end },
  update_users = { function(client, callback)
    return client:update_users({ { id = "a", set = { x = 1 } } }, callback)
  end },
  query_users = { function(client, callback) return client:query_users({}, callback) end },
  list_channel_types = { function(client, callback) return client:list_channel_types(callback) end },
  get_channel_type = { function(client, callback) return client:get_channel_type("a", callback) end },
  create_channel_type = { function(client, callback) return client:create_channel_type("a", callback) end },
  update_channel_type = { function(client, callback)
    return client:update_channel_type("a", { custom_events = false }, callback)
  end },
  delete_channel_type = { function(client, callback) return client:delete_channel_type("a", callback) end },
  get_app = { function(client, callback) return client:get_app(callback) end },
  update_app = { function(client, callback) return client:update_app({ name = "x" }, callback) end },
  query_channels = { function(client, callback) return client:query_channels({}, callback) end },
  sync = { function(client, callback) return client:sync({ "a:b" }, "2026-01-01T00:00:00Z", callback) end },
}

local function client_for(case)
  local fake = fakes.new()
  answer_all(fake)
  local client = stream_events.new(fake.options { secret = SECRET })
  if not case.alone then assert(client:connect_user { id = "john" }) end
  fake.requests, fake.steps_before = {}, fake.transport.steps
  return fake, client
end

for name, case in pairs(CALLS) do
  local run = case[1]
  describe(name, function()
    it("runs the loop until it has its result", function()
      local _, client = client_for(case)
      local result, err = run(client)
      assert.is_nil(err)
      assert.is_truthy(result)
    end)

    it("with a callback returns at once and calls it once, in a later turn", function()
      local fake, client = client_for(case)
      local calls = {}
      assert.equal(0, select("#", run(client, function(...) calls[#calls + 1] = { ... } end)))
      assert.same({}, calls)
      assert.equal(fake.steps_before, fake.transport.steps)
      for _ = 1, 5 do client:poll(0.1) end
      assert.equal(1, #calls)
      assert.is_truthy(calls[1][1])
      assert.is_nil(calls[1][2])
    end)

    it("suspends the coroutine of the client's that it is made in", function()
      local _, client = client_for(case)
      local log = {}
      client:spawn(function()
        log[#log + 1] = "begins"
        local result, err = run(client)
        log[#log + 1] = err and tostring(err) or (result and "result" or "nothing")
      end)
      client:spawn(function() log[#log + 1] = "meanwhile" end)
      for _ = 1, 5 do client:poll(0.1) end
      assert.same({ "begins", "meanwhile", "result" }, log)
    end)

    it("gets an error of kind closed when the client is closed meanwhile, in every form", function()
      local fake, client = client_for(case)
      fake.answer = function() return nil end
      fake.on_connect = function() end
      fake.answers_close = false
      local results = {}
      run(client, function(_, err) results.callback = err or "no error" end)
      client:spawn(function()
        if case.alone then return end -- one at a time
        local _, err = run(client)
        results.coroutine = err or "no error"
      end)
      client:poll()
      client:close()
      assert.is_nil(results.callback)
      client:poll()
      for form, err in pairs(results) do
        if name == "disconnect" or name == "stop_watching" and err == "no error" then
          assert.equal("no error", err) -- closing has done what was asked for
        else
          assert.equal("closed", err.kind, form)
        end
      end
      assert.is_truthy(results.callback)
      assert.is_truthy(case.alone or results.coroutine)
    end)

    it("gets an error of kind closed on a client that is closed", function()
      local fake, client = client_for(case)
      client:close()
      local result, err = run(client)
      if name == "disconnect" or name == "stop_watching" then
        assert.is_true(result)
      else
        assert.is_nil(result)
        assert.equal("closed", err.kind)
        assert.equal("the client is closed", err.message)
      end
      local called = 0
      run(client, function() called = called + 1 end)
      client:poll()
      assert.equal(1, called)
      assert.same({}, fake.requests)
    end)

    it("gets an error of kind closed when a handler closes the client under it", function()
      if name == "disconnect" then return end
      local fake, client = client_for(case)
      fake.answer = function() return nil end
      fake.on_connect = function() end
      client:spawn(function() client:close() end)
      local result, err = run(client)
      if name == "stop_watching" and result then return end
      assert.is_nil(result)
      assert.equal("closed", err.kind)
    end)
  end)
end

describe("a handler that yields by itself", function()
  it("goes on in the next turn, which comes soon", function()
    local fake = fakes.new()
    local client = fake.connected()
    local ended = 0
    client:channel("a", "b"):subscribe_for("news", function()
      coroutine.yield()
      ended = ended + 1
    end)
    client:poll(0)
    fake.socket:event("news", {}, "a:b")
    client:poll(0)
    assert.equal(0, ended)
    assert.near(0, client:timeout(), 0.01)
    client:poll(0)
    assert.equal(1, ended)
  end)
end)

describe("a call that waits for its answer", function()
  it("looks at the timers meanwhile, however soon the one before had its answer", function()
    local fake = fakes.new()
    local client = fake.connected { timeouts = { health = 2 } }
    local began, said = fake.clock.now(), nil
    fake.socket.on_send = function() said = said or fake.clock.now() - began end
    local channel = client:channel("a", "b")
    for _ = 1, 3 do assert(channel:send_event "poke") end
    fake.answer = function(request)
      fake.at(5, function() fake.reply(request, fake.usual_answer(request)) end)
    end
    assert(channel:send_event "poke")
    assert.equal(5, math.floor(fake.clock.now() - began + 0.5))
    assert.near(2, said, 0.01)
  end)

  it("lets go on at once what need not wait", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("a", "b")
    for _ = 1, 3 do assert(channel:send_event "poke") end
    local began, ran = fake.clock.now(), nil
    client:spawn(function() ran = fake.clock.now() - began end)
    fake.answer = function(request)
      fake.at(5, function() fake.reply(request, fake.usual_answer(request)) end)
    end
    assert(channel:send_event "poke")
    assert.equal(0, ran)
  end)

  it("does not look at events first, and delivers them before long", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("a", "b")
    local ran = 0
    channel:subscribe_for("news", function() ran = ran + 1 end)
    client:poll(0)
    fake.socket:event("news", {}, "a:b")
    local sends = 0
    while ran == 0 do
      assert(channel:send_event "poke")
      sends = sends + 1
      assert(sends <= 50, "the event is held up")
    end
  end)
end)

describe("a callback", function()
  it("that raises is reported, and the next one still runs", function()
    local fake, client = client_for(CALLS.send_event)
    local done = 0
    local channel = client:channel("a", "b")
    channel:send_event("x", nil, function() error("callback is broken") end)
    channel:send_event("x", nil, function() done = done + 1 end)
    for _ = 1, 3 do client:poll() end
    assert.equal(1, done)
    local logged = fake.logged("error")
    assert.equal("a callback failed", logged[1].message)
    assert.truthy(logged[1].fields.error:find("callback is broken", 1, true))
    assert.truthy(logged[1].fields.traceback:find("client_task_spec", 1, true))
    assert.equal(1, client:stats().handler_errors)
  end)

  it("may wait, call on, and close the client", function()
    local _, client = client_for(CALLS.send_event)
    local channel = client:channel("a", "b")
    local types = {}
    channel:send_event("one", nil, function(event)
      types[1] = event.type
      types[2] = assert(channel:send_event("two")).type
      channel:send_event("three", nil, function(third)
        types[3] = third.type
        client:close()
      end)
    end)
    for _ = 1, 8 do client:poll() end
    assert.same({ "one", "two", "three" }, types)
  end)

  it("that always starts a call that fails at once does not hold up a turn", function()
    local fake, client = client_for(CALLS.send_event)
    fake.refuses = true
    local channel = client:channel("a", "b")
    local calls = 0
    local function again()
      calls = calls + 1
      channel:send_event("x", nil, again)
    end
    again()
    client:poll()
    client:poll()
    assert.equal(3, calls)
  end)
end)

describe("spawn", function()
  it("runs a function with its arguments, nils too", function()
    local _, client = client_for(CALLS.send_event)
    local given
    client:spawn(function(...) given = { n = select("#", ...), ... } end, 1, nil, 3, nil)
    assert.is_nil(given)
    client:poll()
    assert.same({ n = 4, 1, nil, 3 }, given)
    assert.has_error(function() client:spawn("x") end)
  end)
end)

describe("close", function()
  it("may be called any number of times, and ends everything", function()
    local fake, client = client_for(CALLS.send_event)
    client:close()
    client:close()
    assert.is_true(fake.transport.closed)
    assert.is_true(fake.socket.aborted)
    assert.equal(1000, fake.socket.close_code)
    assert.is_false(client:online())
    assert.equal(0, client:poll(10))
    assert.is_nil(client:timeout())
    assert.truthy(tostring(client):find("closed", 1, true))
    assert.is_true(client:run())
    assert.equal(0, client:stats().in_flight)
  end)

  if lua.closing then
    it("happens at the end of a block", function()
      local fake = fakes.new()
      lua.closing(fake.connected(), function(client) client:poll() end)
      assert.is_true(fake.transport.closed)
    end)
  end

  it("happens when the client is forgotten", function()
    local fake = fakes.new()
    fake.connected()
    garbage.collect()
    assert.is_true(fake.transport.closed)
  end)

  it("leaves nothing behind of handlers and calls that waited", function()
    local fake, client = client_for(CALLS.send_event)
    fake.answer = function() return nil end
    local channel = client:channel("a", "b")
    local witness = setmetatable({}, { __mode = "k" })
    do
      local mark = {}
      witness[mark] = true
      channel:subscribe(function()
        channel:send_event("x")
        return mark
      end)
    end
    fake.socket:event("poke", {}, "a:b")
    client:poll()
    client:close()
    client:poll()
    client, channel = nil, nil -- luacheck: ignore
    fake.sockets, fake.socket, fake.replies = {}, nil, {}
    garbage.collect()
    assert.is_nil(next(witness))
  end)
end)

describe("stats", function()
  it("is up to date also inside a handler, and inside a call made there", function()
    local fake, client = client_for(CALLS.send_event)
    local channel = client:channel("a", "b")
    local counted = {}
    channel:subscribe_for("poke", function()
      counted[#counted + 1] = client:stats().delivered
      coroutine.wrap(function() assert(channel:send_event("inner")) end)()
      counted[#counted + 1] = client:stats().delivered
    end)
    for _ = 1, 3 do fake.socket:event("poke", {}, "a:b") end
    client:poll()
    assert.same({ 1, 1, 2, 2, 3, 3 }, counted)
    assert.equal(3, client:stats().delivered)
    channel:subscribe_for("bye", function() client:close() end)
    fake.socket:event("bye", {}, "a:b")
    client:poll()
    assert.equal(4, client:stats().delivered)
  end)

  it("counts", function()
    local fake, client = client_for(CALLS.send_event)
    local channel = client:channel("a", "b")
    assert(channel:watch())
    channel:subscribe_for("poke", function() end)
    client:subscribe_for("poke", function() end)
    for _ = 1, 3 do fake.socket:event("poke", {}, "a:b") end
    for _ = 1, 2 do fake.socket:event("other", {}, "a:b") end
    fake.socket:receive("x")
    client:poll()
    local stats = client:stats()
    assert.is_true(stats.online)
    assert.equal(3, stats.delivered)
    assert.equal(2, stats.unwanted)
    assert.equal(1, stats.malformed)
    assert.equal(1, stats.sends)
    assert.equal(2, stats.subscriptions)
    assert.equal(1, stats.watched)
    assert.equal(0, stats.reconnects)
    fake.socket:finish("network", "reset by peer")
    for _ = 1, 4 do client:poll(5) end
    assert.same({ 1, "reset by peer" }, { client:stats().reconnects, client:stats().last_reason })
  end)
end)
