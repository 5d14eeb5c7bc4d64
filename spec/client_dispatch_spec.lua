--- Who gets an event: subscriptions, their order and their end, and handlers that misbehave.
local fakes = require "support.fake_transport"
local garbage = require "support.garbage"
local lua = require "support.lua"
local stream_events = require "stream_events"

-- A connected client with a watched channel.
local function connected(more)
  local fake = fakes.new()
  local client = fake.connected(more)
  local channel = client:channel("messaging", "general")
  assert(channel:watch())
  client:poll()
  return fake, client, channel
end

local function recorder()
  local seen = {}
  return seen, function(name)
    return function(event) seen[#seen + 1] = name and name .. ":" .. event.type or event.type end
  end
end

describe("subscribe_for", function()
  for name, case in pairs {
    ["an exact type"] = { types = "poke", gets = { "poke" } },
    ["several types"] = { types = { "poke", "trade" }, gets = { "poke", "trade" } },
    ["a prefix"] = { types = "trade_*", gets = { "trade_offer", "trade_" } },
    ["exact types and prefixes together"] = {
      types = { "trade_offer", "trade_*", "poke" }, gets = { "poke", "trade_offer", "trade_" },
    },
    ["two prefixes that overlap"] = { types = { "trade_*", "trade_o*" }, gets = { "trade_offer", "trade_" } },
    ["the same type twice"] = { types = { "poke", "poke" }, gets = { "poke" } },
    ["a built-in type"] = { types = "message.new", gets = { "message.new" } },
    ["a prefix that custom and built-in types share"] = { types = "m*", gets = { "message.odd" } },
    ["a prefix with a dot"] = { types = "message.*", gets = { "message.new", "message.odd" } },
    ["names of Lua's own"] = { types = { "__index", "__proto__", "constructor", "next" },
      gets = { "__index", "__proto__", "constructor", "next" } },
  } do
    it("on " .. name .. " gets each of its events once", function()
      local fake, client, channel = connected()
      local seen, record = recorder()
      channel:subscribe_for(case.types, record())
      for _, event_type in ipairs {
        "poke", "trade", "trade_offer", "trade_", "message.new", "message.odd", "__index", "__proto__",
        "constructor", "next", "__gc", "tostring",
      } do
        fake.socket:event(event_type)
      end
      for _ = 1, 3 do client:poll() end
      assert.same(case.gets, seen)
    end)
  end

  it("gives an event that decodes what was sent", function()
    local fake, client, channel = connected()
    local event
    channel:subscribe_for("friendship_request", function(given) event = given end)
    fake.socket:event("friendship_request", { text = "Hey", n = 9007199254740993, trust = "server" })
    client:poll()
    assert.same({ "friendship_request", "messaging:general", "messaging", "general", "jane" },
      { event.type, event.cid, event.channel_type, event.channel_id, event.user.id })
    assert.same({ "Hey", 9007199254740993, "user" }, { event.text, event.n, event.trust })
    assert.equal("server", event.raw_data.trust)
  end)

  it("of a channel gets its own channel's events only, of the client all", function()
    local fake, client, channel = connected()
    local seen, record = recorder()
    local other = client:channel("messaging", "lobby")
    assert(other:watch())
    channel:subscribe_for("poke", record "general")
    other:subscribe_for("poke", record "lobby")
    client:subscribe_for("poke", function(event) seen[#seen + 1] = "client:" .. tostring(event.cid) end)
    fake.socket:event("poke", {}, "messaging:lobby")
    fake.socket:event("poke", {}, "messaging:general")
    fake.socket:event("poke", {}, "messaging:third")
    fake.socket:event("poke", {}, "")
    client:poll()
    assert.same({
      "client:messaging:lobby", "lobby:poke", "client:messaging:general", "general:poke",
      "client:messaging:third", "client:nil",
    }, seen)
  end)

  it("gets user events on the client, with the trust of the server", function()
    local fake, client = connected()
    local trust
    client:subscribe_for("reward", function(event) trust = event.trust end)
    fake.socket:event("reward", {}, "")
    client:poll()
    assert.equal("server", trust)
  end)

  it("calls handlers of the client before those of the channel, older before newer", function()
    local fake, client, channel = connected()
    local seen, record = recorder()
    channel:subscribe_for("poke", record "channel 1")
    client:subscribe_for("p*", record "client 1")
    client:subscribe(record "client 2")
    client:subscribe_for("poke", record "client 3")
    channel:subscribe(record "channel 2")
    channel:subscribe_for({ "x", "po*" }, record "channel 3")
    fake.socket:event("poke")
    client:poll()
    assert.same({
      "client 1:poke", "client 2:poke", "client 3:poke", "channel 1:poke", "channel 2:poke", "channel 3:poke",
    }, seen)
  end)

  for name, case in pairs {
    ["no type"] = { nil, print, says = "event types expected" },
    ["an empty list"] = { {}, print, says = "must name at least one" },
    ["a number"] = { 7, print, says = "an event type must be a string, not a number" },
    ["an empty type"] = { "", print, says = "must not be empty" },
    ["a star alone"] = { "*", print, says = "subscribe(handler) is for every event" },
    ["a star in the middle"] = { "a*b", print, says = "may only be the last character" },
    ["no handler"] = { "poke", nil, says = "a handler must be a function, not a nil" },
    ["a list that holds something else"] = { { "poke", 7 }, print, says = "must be a string" },
  } do
    it("raises on " .. name, function()
      local _, client, channel = connected()
      for _, on in ipairs { client, channel } do
        for _, method in ipairs { "subscribe_for", "subscribe_for_single" } do
          local ok, message = pcall(function() local _ = on[method](on, case[1], case[2]) end)
          assert.is_false(ok)
          assert.truthy(message:find(case.says, 1, true), message)
          assert.truthy(message:find("client_dispatch_spec", 1, true), "blames the caller: " .. message)
        end
      end
    end)
  end

  it("of a channel refuses the events that belong to the client", function()
    local _, _, channel = connected()
    local ok, message = pcall(channel.subscribe_for, channel, "connection.changed", print)
    assert.is_false(ok)
    assert.truthy(message:find("belongs to the client", 1, true))
    assert.is_truthy(channel:subscribe_for("capabilities.changed", print))
  end)

  it("tells the router what is wanted, and no more", function()
    local fake, client, channel = connected()
    local function wants()
      fake.socket:event("x") -- makes the client look
      client:poll()
      local found = { custom = fake.router.wants.custom }
      for _, kind in ipairs { "types", "prefixes" } do
        for _, wanted in ipairs(fake.router.wants[kind]) do found[wanted] = kind end
      end
      return found
    end
    local before = wants()
    assert.equal("types", before["health.check"])
    assert.equal("types", before["connection.error"])
    assert.is_nil(before.poke)
    assert.equal("reserved-type", fake.router.wants.refused["event.dropped"])
    local first = channel:subscribe_for({ "poke", "trade_*", "connection.*" }, print)
    local second = client:subscribe_for("poke", print)
    local all = client:subscribe(function() end)
    client:subscribe_for("connection.changed", print)
    local during = wants()
    assert.same({ true, "types", "prefixes" }, { during.custom, during.poke, during["trade_"] })
    assert.is_nil(during["connection.changed"])
    all:dispose()
    first:dispose()
    local after = wants()
    assert.same({ false, "types" }, { after.custom, after.poke })
    assert.is_nil(after["trade_"])
    second:dispose()
    local sets = fake.router.sets
    assert.is_nil(wants().poke)
    assert.equal(sets + 1, fake.router.sets)
    client:subscribe_for_single("message.new", print):dispose()
  end)

  it("falls back to every custom type when there are too many names for the router", function()
    local fake, client, channel = connected()
    local set = fake.router.set
    fake.router.set = function(self, wants)
      if #wants.types > 100 then return nil, "full", "too many names" end
      return set(self, wants)
    end
    local seen = 0
    for i = 1, 200 do channel:subscribe_for("type" .. i, function() seen = seen + 1 end) end
    channel:subscribe_for("message.new", function() seen = seen + 1 end)
    for i = 0, 200 do fake.socket:event("type" .. i) end
    fake.socket:event("message.new")
    client:poll()
    assert.is_true(fake.router.wants.custom)
    assert.equal(201, seen)
  end)

  it("keeps no list for ever, whatever types and channels strangers invent", function()
    local fake, client = connected()
    local seen = 0
    client:subscribe(function() seen = seen + 1 end)
    for i = 1, 10000 do
      fake.socket:event("t" .. i, {}, "messaging:c" .. i)
      client:poll()
    end
    assert.equal(10000, seen)
    local count = 0
    for _, by_cid in pairs(client.context.registry.lists) do
      for _ in pairs(by_cid) do count = count + 1 end
    end
    assert.is_true(count <= 4096, tostring(count))
  end)
end)

describe("a disposable", function()
  it("ends its own subscription and no other, also when they share the handler", function()
    local fake, client, channel = connected()
    local seen, record = recorder()
    local handler = record()
    local first, second = channel:subscribe_for("poke", handler), channel:subscribe_for("poke", handler)
    fake.socket:event("poke")
    client:poll()
    assert.equal(2, #seen)
    first:dispose()
    first:dispose()
    assert.is_true(first:disposed())
    assert.is_false(second:disposed())
    fake.socket:event("poke")
    client:poll()
    assert.equal(3, #seen)
    second:dispose()
    fake.socket:event("poke")
    client:poll()
    assert.equal(3, #seen)
  end)

  if lua.closing then
    it("ends its subscription at the end of a block", function()
      local fake, client, channel = connected()
      local seen, record = recorder()
      lua.closing(channel:subscribe(record()), function()
        fake.socket:event("poke")
        client:poll()
      end)
      fake.socket:event("poke")
      client:poll()
      assert.same({ "poke" }, seen)
    end)
  end

  it("stops delivery at once, even of the event that is being delivered", function()
    local fake, client, channel = connected()
    local seen, record = recorder()
    local later
    channel:subscribe_for("poke", function() later:dispose() end)
    later = channel:subscribe_for("poke", record())
    fake.socket:event("poke")
    fake.socket:event("poke")
    client:poll()
    assert.same({}, seen)
  end)

  it("may be disposed by its own handler", function()
    local fake, client, channel = connected()
    local seen = 0
    local mine
    mine = channel:subscribe_for("poke", function()
      seen = seen + 1
      mine:dispose()
    end)
    local others, record = recorder()
    channel:subscribe_for("poke", record())
    fake.socket:event("poke")
    fake.socket:event("poke")
    client:poll()
    assert.equal(1, seen)
    assert.equal(2, #others)
  end)

  it("says what it is for", function()
    local _, client, channel = connected()
    local made = channel:subscribe_for({ "poke", "trade_*" }, print)
    assert.equal("subscription to poke, trade_*", tostring(made))
    made:dispose()
    assert.equal("subscription to poke, trade_* (disposed)", tostring(made))
    assert.equal("subscription to every custom event", tostring(client:subscribe(print)))
  end)

  it("is not needed to keep a subscription alive", function()
    local fake, client = connected()
    local seen, record = recorder()
    client:channel("messaging", "weak"):subscribe(record())
    garbage.collect()
    fake.socket:event("poke", {}, "messaging:weak")
    client:poll()
    assert.same({ "poke" }, seen)
  end)
end)

describe("subscribe_for_single", function()
  it("gets the first event of any of its types, and is over", function()
    local fake, client, channel = connected()
    local seen, record = recorder()
    local made = channel:subscribe_for_single({ "ready", "go_*" }, record())
    fake.socket:event("go_now")
    fake.socket:event("ready")
    fake.socket:event("go_now")
    client:poll()
    assert.same({ "go_now" }, seen)
    assert.is_true(made:disposed())
  end)

  it("is over before its handler runs, so that one that raises or waits is not called again", function()
    local fake, client, channel = connected()
    local seen = 0
    channel:subscribe_for_single("ready", function()
      seen = seen + 1
      error("once is enough")
    end)
    client:subscribe_for_single("ready", function()
      seen = seen + 1
      channel:send_event("slow")
    end)
    fake.socket:event("ready")
    fake.socket:event("ready")
    client:poll()
    assert.equal(2, seen)
  end)

  it("can be subscribed anew by its handler", function()
    local fake, client, channel = connected()
    local seen = 0
    local function handler()
      seen = seen + 1
      channel:subscribe_for_single("ready", handler)
    end
    channel:subscribe_for_single("ready", handler)
    for _ = 1, 3 do fake.socket:event("ready") end
    client:poll()
    assert.equal(3, seen)
  end)
end)

describe("subscribe", function()
  it("gets every custom event, dotted ones too, and no other", function()
    local fake, client, channel = connected()
    local seen, record = recorder()
    channel:subscribe(record())
    for _, event_type in ipairs { "poke", "call.initiated", "message.new", "typing.start", "health.check" } do
      fake.socket:event(event_type)
    end
    fake.socket:event("poke", {}, "messaging:other")
    client:poll()
    assert.same({ "poke", "call.initiated" }, seen)
  end)

  it("of the client gets no events that the client makes itself", function()
    local fake, client = connected()
    local seen, record = recorder()
    client:subscribe(record())
    fake.socket:receive("garbage")
    fake.socket:finish("network", "reset")
    for _ = 1, 5 do client:poll(1) end
    assert.same({}, seen)
  end)
end)

describe("a handler", function()
  it("that raises is reported with a traceback, and the next one still runs", function()
    local fake, client, channel = connected()
    local seen, record = recorder()
    channel:subscribe_for("poke", function() error("handler is broken") end)
    channel:subscribe_for("poke", record())
    channel:subscribe_for("poke", function() error(setmetatable({}, { __tostring = error })) end)
    channel:subscribe_for("poke", record())
    fake.socket:event("poke")
    fake.socket:event("poke")
    assert.equal(8, client:poll())
    assert.equal(4, #seen)
    assert.equal(4, client:stats().handler_errors)
    local logged = fake.logged("error")
    assert.equal(4, #logged)
    assert.equal("a handler failed", logged[1].message)
    assert.truthy(logged[1].fields.error:find("handler is broken", 1, true))
    assert.truthy(logged[1].fields.traceback:find("client_dispatch_spec.lua", 1, true))
  end)

  it("that raises lets go of what it held to its end", function()
    if not coroutine.close then return end -- Lua before 5.4 has no such variables
    local fake, client, channel = connected { secret = "lan-dev-secret" }
    local closed, answer = {}, nil
    local hold = load [[
      local closed, name, at_close = ...
      local held <close> = setmetatable({}, { __close = function()
        closed[#closed + 1] = name
        at_close()
      end })
      error "handler is broken"
    ]]
    channel:subscribe_for("poke", function() hold(closed, "first", function() end) end)
    channel:subscribe_for("poke", function() hold(closed, "second", function() error "cannot close" end) end)
    channel:subscribe_for("poke", function()
      hold(closed, "third", function() answer = channel:send_event "sorry" end)
    end)
    fake.socket:event("poke")
    client:poll()
    assert.same({ "first", "second", "third" }, closed)
    assert.equal("sorry", answer.type)
    assert.equal(4, client:stats().handler_errors) -- three handlers, and what the second closed
  end)

  it("that raises harms nothing when the logger raises too", function()
    local fake, client, channel = connected { logger = function() error("logger is broken") end }
    local seen, record = recorder()
    channel:subscribe_for("poke", function() error("handler is broken") end)
    channel:subscribe_for("poke", record())
    fake.socket:event("poke")
    client:poll()
    assert.same({ "poke" }, seen)
  end)

  it("may subscribe: from the next event on", function()
    local fake, client, channel = connected()
    local seen, record = recorder()
    channel:subscribe_for_single("poke", function() channel:subscribe_for({ "poke", "new" }, record()) end)
    fake.socket:event("poke")
    fake.socket:event("new")
    fake.socket:event("poke")
    client:poll()
    assert.same({ "new", "poke" }, seen)
  end)

  it("may close the client: nothing is delivered after that", function()
    local fake, client, channel = connected()
    local seen, record = recorder()
    channel:subscribe_for("poke", function() client:close() end)
    channel:subscribe_for("poke", record())
    fake.socket:event("poke")
    fake.socket:event("poke")
    client:poll()
    client:poll()
    assert.same({}, seen)
    assert.is_true(fake.transport.closed)
  end)

  it("may stop run()", function()
    local fake, client, channel = connected()
    channel:subscribe_for("quit", function() client:stop() end)
    fake.at(20, function() fake.socket:event("quit") end)
    assert.is_true(client:run())
    assert.near(1020, fake.clock.now(), 0.01)
  end)

  it("may wait: the others go on meanwhile, and it continues where it was", function()
    local fake, client, channel = connected()
    local log = {}
    fake.answer = function() return nil end
    channel:subscribe_for("poke", function(event)
      log[#log + 1] = "asks " .. event.n
      local answer = assert(channel:send_event("reply", { n = event.n }))
      log[#log + 1] = "got " .. answer.n
    end)
    channel:subscribe_for("poke", function(event) log[#log + 1] = "other " .. event.n end)
    fake.socket:event("poke", { n = 1 })
    fake.socket:event("poke", { n = 2 })
    client:poll()
    assert.same({ "asks 1", "other 1", "asks 2", "other 2" }, log)
    assert.equal(2, client:stats().handlers_waiting)
    local first, second = fake.requests[#fake.requests - 1], fake.requests[#fake.requests]
    fake.reply(second, fake.usual_answer(second))
    client:poll()
    fake.reply(first, fake.usual_answer(first))
    client:poll()
    assert.same({ "got 2", "got 1" }, { log[5], log[6] })
    assert.equal(0, client:stats().handlers_waiting)
  end)

  it("that waits and then raises is reported once", function()
    local fake, client, channel = connected()
    channel:subscribe_for("poke", function()
      channel:send_event("reply")
      error("after the wait")
    end)
    local seen, record = recorder()
    channel:subscribe_for("poke", record())
    fake.socket:event("poke")
    for _ = 1, 3 do client:poll() end
    assert.equal(1, client:stats().handler_errors)
    assert.equal(0, client:stats().handlers_waiting)
    assert.same({ "poke" }, seen)
  end)

  it("may yield by itself, and goes on in the next turn", function()
    local fake, client, channel = connected()
    local steps = 0
    channel:subscribe_for("poke", function()
      for _ = 1, 3 do
        steps = steps + 1
        coroutine.yield()
      end
    end)
    fake.socket:event("poke")
    client:poll()
    assert.equal(1, steps)
    client:poll()
    assert.equal(2, steps)
    local began = fake.clock.now()
    client:poll(1) -- it has time, and does not spin
    assert.equal(3, steps)
    assert.near(1, fake.clock.now() - began, 0.02)
  end)

  it("may call where it cannot wait: the loop runs, and no other event is delivered meanwhile", function()
    local fake, client, channel = connected()
    local log = {}
    channel:subscribe_for("sort", function(event)
      log[#log + 1] = "begin " .. event.n
      local list = { 2, 1 }
      table.sort(list, function(a, b)
        assert(channel:send_event("compare"))
        return a < b
      end)
      coroutine.wrap(function() assert(channel:send_event("inner")) end)()
      log[#log + 1] = "end " .. event.n
    end)
    channel:subscribe_for("sort", function(event) log[#log + 1] = "other " .. event.n end)
    fake.socket:event("sort", { n = 1 })
    fake.socket:event("sort", { n = 2 })
    client:poll()
    assert.same({ "begin 1", "end 1", "other 1", "begin 2", "end 2", "other 2" }, log)
    assert.equal(0, client:stats().handler_errors)
  end)

  it("that waited goes on inside such a call, and leaves the other event to its own turn", function()
    local fake, client, channel = connected()
    local log = {}
    local held
    fake.answer = function(request)
      if request.body:find("slow", 1, true) then held = request return nil end
      fake.reply(held, fake.usual_answer(held))
      return fake.usual_answer(request)
    end
    channel:subscribe_for("first", function()
      channel:send_event("slow")
      log[#log + 1] = "first goes on"
    end)
    channel:subscribe_for("second", function()
      coroutine.wrap(function() channel:send_event("inner") end)()
      log[#log + 1] = "second"
    end)
    channel:subscribe_for("second", function() log[#log + 1] = "second's other" end)
    channel:subscribe_for("third", function() log[#log + 1] = "third" end)
    for _, event_type in ipairs { "first", "second", "third" } do fake.socket:event(event_type) end
    assert.equal(4, client:poll())
    assert.same({ "first goes on", "second", "second's other", "third" }, log)
    assert.equal(0, client:stats().handler_errors)
  end)

  it("may not call poll or run: it runs inside them", function()
    local fake, client, channel = connected()
    local errors = {}
    channel:subscribe_for("poke", function()
      for _, method in ipairs { "poll", "run" } do
        local _, message = pcall(client[method], client)
        errors[#errors + 1] = message
      end
    end)
    fake.socket:event("poke")
    client:poll()
    assert.truthy(errors[1]:find("client:poll called in a handler", 1, true), errors[1])
    assert.truthy(errors[2]:find("client:run called in a handler", 1, true), errors[2])
  end)

  it("of another client may call a client's blocking form", function()
    local fake, client, channel = connected()
    local other_fake = fakes.new()
    local other = other_fake.connected()
    local answer
    channel:subscribe_for("poke", function()
      answer = other:channel("messaging", "elsewhere"):send_event("relay")
    end)
    fake.socket:event("poke")
    client:poll()
    assert.equal("relay", answer.type)
  end)

  it("pauses reading when too many of them wait, and reading goes on afterwards", function()
    local fake, client, channel = connected { limits = { handlers = 10 }, timeouts = { request = 100 } }
    local began = 0
    fake.answer = function() return nil end
    channel:subscribe_for("poke", function()
      began = began + 1
      channel:send_event("reply")
    end)
    for _ = 1, 25 do fake.socket:event("poke") end
    for _ = 1, 5 do client:poll() end
    assert.equal(10, began)
    assert.is_true(fake.socket.paused)
    assert.equal(10, client:stats().handlers_waiting)
    fake.clock.advance(40)
    client:poll()
    assert.is_true(client:online()) -- what is not read is no silence
    for i = #fake.requests - 9, #fake.requests do
      fake.reply(fake.requests[i], fake.usual_answer(fake.requests[i]))
    end
    for _ = 1, 3 do client:poll() end
    assert.equal(20, began)
  end)
end)

describe("poll", function()
  it("delivers no more events than it is told, and the rest in the next turns", function()
    local fake, client, channel = connected()
    local seen = 0
    channel:subscribe(function() seen = seen + 1 end)
    channel:subscribe(function() seen = seen + 1 end)
    for _ = 1, 5 do fake.socket:event("poke") end
    assert.equal(4, client:poll(0, 2))
    assert.equal(0, client:timeout())
    assert.equal(6, client:poll(0, 100))
    assert.equal(0, client:poll(0, 100))
    assert.equal(10, seen)
  end)

  it("with 0 seconds never sleeps, with some sleeps until something ran", function()
    local fake, client, channel = connected()
    channel:subscribe(function() end)
    fake.transport.wait = function() error("slept") end
    assert.equal(0, client:poll(0))
    assert.equal(0, client:poll())
    fake.transport.wait = nil
    fake.at(3, function() fake.socket:event("poke") end)
    local began = fake.clock.now()
    assert.equal(1, client:poll(10))
    assert.near(3, fake.clock.now() - began, 1e-6)
    assert.equal(0, client:poll(2))
    assert.near(5, fake.clock.now() - began, 1e-6)
  end)

  for name, case in pairs {
    ["a negative time"] = { -1 }, ["no number"] = { "1" }, ["NaN"] = { 0 / 0 },
    ["no events at all"] = { 0, 0 }, ["a text as a number of events"] = { 0, "5" },
  } do
    it("raises on " .. name, function()
      local client = stream_events.new(fakes.new().options())
      assert.has_error(function() client:poll(case[1], case[2]) end)
    end)
  end

  it("warns once of a channel that has handlers but is not watched", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options())
    local unwatched, watched = client:channel("messaging", "general"), client:channel("messaging", "lobby")
    local function handler() end
    unwatched:subscribe(handler)
    watched:subscribe(handler)
    assert(client:connect_user({ id = "john" }, fake.token))
    assert(watched:watch())
    assert.same({}, fake.logged("warning")) -- there was no time to watch yet
    for _ = 1, 3 do client:poll() end
    local warnings = fake.logged("warning")
    assert.equal(1, #warnings)
    assert.equal("messaging:general", warnings[1].fields.cid)
    unwatched:subscribe(handler)
    client:poll()
    assert.equal(1, #fake.logged("warning"))
  end)

  it("does not warn while the watch is under way", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", "general")
    fake.answer = function() return nil end
    channel:subscribe(print)
    channel:watch(function() end)
    client:poll()
    assert.same({}, fake.logged("warning"))
  end)
end)

describe("foreign event loops", function()
  it("get descriptor, events and the time of the next turn", function()
    local fake = fakes.new()
    local client = fake.connected()
    client:poll()
    assert.equal(42, client:pollfd())
    assert.equal("r", client:events())
    assert.near(25, client:timeout(), 1e-6) -- the health check
    fake.clock.advance(10)
    assert.near(15, client:timeout(), 1e-6)
    client:spawn(function() end)
    assert.equal(0, client:timeout())
  end)

  it("are told that a closed client has no descriptor", function()
    local client = fakes.new().connected()
    client:close()
    local ok, message = pcall(function() return (client:pollfd()) end)
    assert.is_false(ok)
    assert.truthy(message:find("client_dispatch_spec.lua:%d+: the client is closed"), message)
    assert.is_nil(client:timeout())
  end)

  it("need no turn of a client that does nothing", function()
    assert.is_nil(stream_events.new(fakes.new().options()):timeout())
  end)
end)
