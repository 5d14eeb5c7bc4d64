--- How much one poll() may do: so many events, so much time, and what waits for the next one.
local fakes = require "support.fake_transport"

local fake, client

before_each(function()
  fake = fakes.new()
  client = fake.connected()
end)

local function arrive(count)
  for i = 1, count do fake.socket:event("poke", { n = i }) end
end

--- A handler that notes what it was called for, and takes that long.
local function slow(log, name, milliseconds)
  return function(event)
    log[#log + 1] = name .. event.raw_data.n
    fake.clock.advance(milliseconds / 1000)
  end
end

describe("poll with a limit of time", function()
  it("begins no handler once the time is over, and goes on in the next turn", function()
    local log = {}
    client:subscribe_for("poke", slow(log, "", 2))
    arrive(5)
    assert.equal(2, client:poll { max_milliseconds = 3 })
    assert.same({ "1", "2" }, log)
    assert.equal(0, client:timeout())
    assert.equal(2, client:poll { max_milliseconds = 3 })
    assert.equal(1, client:poll { max_milliseconds = 3 })
    assert.same({ "1", "2", "3", "4", "5" }, log)
    assert.equal(5, client:stats().delivered)
  end)

  it("leaves handlers of one event for the next turn, in their order", function()
    local log = {}
    for _, name in ipairs { "a", "b", "c" } do client:subscribe_for("poke", slow(log, name, 2)) end
    arrive(2)
    assert.equal(2, client:poll { max_milliseconds = 3 })
    assert.equal(2, client:poll { max_milliseconds = 3 })
    assert.equal(2, client:poll { max_milliseconds = 3 })
    assert.same({ "a1", "b1", "c1", "a2", "b2", "c2" }, log)
    assert.equal(2, client:stats().delivered)
  end)

  it("lets one event through, however late it is", function()
    local log = {}
    client:subscribe_for("poke", slow(log, "", 50))
    arrive(3)
    for _ = 1, 3 do assert.equal(1, client:poll { max_milliseconds = 0 }) end
    assert.same({ "1", "2", "3" }, log)
    assert.equal(0, client:poll { max_milliseconds = 0 })
  end)

  it("lets one event through although callbacks take all of the time", function()
    local log = {}
    client:subscribe_for("poke", slow(log, "", 1))
    arrive(2)
    for i = 1, 4 do
      client:spawn(function()
        log[#log + 1] = "job" .. i
        fake.clock.advance(0.01)
      end)
    end
    client:poll { max_milliseconds = 5 }
    client:poll { max_milliseconds = 5 }
    assert.same({ "job1", "1", "job2", "2" }, log)
    client:poll { max_milliseconds = 15 }
    assert.same({ "job1", "1", "job2", "2", "job3", "job4" }, log)
  end)

  it("lets no more suspended handlers go on than there is time for", function()
    local log, requests = {}, {}
    fake.answer = function(request)
      requests[#requests + 1] = request
      return nil
    end
    local channel = client:channel("messaging", "general")
    for i = 1, 3 do
      client:spawn(function()
        channel:send_event("ping", {})
        log[#log + 1] = i
        fake.clock.advance(0.01)
      end)
    end
    client:poll()
    for _, request in ipairs(requests) do fake.reply(request, fake.usual_answer(request)) end
    for i = 1, 3 do
      client:poll { max_milliseconds = 1 }
      assert.equal(i, #log)
    end
  end)

  it("lets no more handlers that yielded go on than there is time for", function()
    local log = {}
    for i = 1, 3 do
      client:spawn(function()
        coroutine.yield()
        log[#log + 1] = i
        fake.clock.advance(0.01)
      end)
    end
    client:poll()
    for i = 1, 3 do
      client:poll { max_milliseconds = 1 }
      assert.equal(i, #log)
    end
  end)

  it("does not count what it has slept", function()
    local log = {}
    client:subscribe_for("poke", slow(log, "", 0))
    fake.at(2, function() arrive(3) end)
    assert.equal(3, client:poll { seconds = 5, max_milliseconds = 1 })
  end)

  it("holds beside a limit of events", function()
    local log = {}
    client:subscribe_for("poke", slow(log, "", 1))
    arrive(6)
    assert.equal(2, client:poll { max_events = 2, max_milliseconds = 10 })
    assert.equal(3, client:poll { max_events = 10, max_milliseconds = 2.5 })
    assert.equal(1, client:poll { max_events = 2 })
  end)
end)

describe("answers that have come", function()
  it("are taken in as long as there is time, and at least one is", function()
    local ticking = fakes.new()
    local now = ticking.clock.now
    ticking.clock.now = function() -- time goes by while it is looked at
      ticking.clock.advance(0.001)
      return now()
    end
    local busy = ticking.connected()
    local waiting = {}
    ticking.answer = function(request)
      waiting[#waiting + 1] = request
      return nil
    end
    local channel = busy:channel("messaging", "general")
    for _ = 1, 4 do channel:send_event("ping", {}, function() end) end
    for _, request in ipairs(waiting) do ticking.reply(request, ticking.usual_answer(request)) end
    for left = 3, 0, -1 do
      busy:poll { max_milliseconds = 0.5 }
      assert.equal(left, busy:stats().in_flight)
    end
  end)
end)

describe("the options of poll", function()
  it("are the arguments by name", function()
    client:subscribe_for("poke", function() end)
    arrive(3)
    local options = { seconds = 0, max_events = 2 }
    assert.equal(2, client:poll(options))
    assert.equal(1, client:poll(options))
    assert.equal(0, client:poll {})
  end)

  for text, options in pairs {
    ["poll has no option 'max_event': did you mean 'max_events'?"] = { max_event = 1 },
    ["poll has no option '1'"] = { 5 },
    ["seconds must be a number, not negative"] = { seconds = -1 },
    ["max_events must be a positive number"] = { max_events = 0 },
    ["max_milliseconds must be a number, not negative"] = { max_milliseconds = 0 / 0 },
  } do
    it("are refused: " .. text, function()
      local ok, message = pcall(client.poll, client, options)
      assert.is_false(ok)
      assert.truthy(message:find(text, 1, true), message)
    end)
  end

  it("do not go with a second argument", function()
    assert.has_error(function() client:poll({}, 3) end, "poll takes a table, or seconds and max_events")
  end)
end)

describe("stats().longest_poll", function()
  it("is the time of the longest turn, with its handlers and without its sleep", function()
    local log = {}
    client:subscribe_for("poke", slow(log, "", 4))
    fake.at(3, function() arrive(2) end)
    local before = client:stats().longest_poll
    client:poll(5)
    assert.is_true(before < 0.008)
    assert.near(0.008, client:stats().longest_poll, 1e-6)
    client:poll(20)
    assert.near(0.008, client:stats().longest_poll, 1e-6)
  end)
end)

describe("a closed client", function()
  it("tells its callbacks within the limit of time too", function()
    local told = 0
    fake.answer = function() return nil end
    for _ = 1, 3 do
      client:channel("messaging", "general"):send_event("ping", {}, function()
        told = told + 1
        fake.clock.advance(0.01)
      end)
    end
    client:close()
    for i = 1, 3 do
      client:poll { max_milliseconds = 1 }
      assert.equal(i, told)
    end
    assert.is_nil(client:timeout())
  end)
end)
