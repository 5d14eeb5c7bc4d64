--- Sends that wait: for the connection, for their turn, for the service's rate; and what becomes of them.
local fakes = require "support.fake_transport"
local native = require "stream_events.native"
local stream_events = require "stream_events"

local fake, client, channel

local function begin(options, config)
  fake = fakes.new()
  fake.usual = fake.answer
  fake.answer = function(request)
    if config and request.path:find "query$" then
      return 201, native.json.encode { channel = {
        type = "messaging", id = "general", cid = "messaging:general", config = config,
      } }
    end
    return fake.usual(request)
  end
  client = fake.connected(options)
  channel = client:channel("messaging", "general")
  if config then assert(channel:query()) end
  fake.requests = {}
end

-- Sends with a callback; the answer will be in the result.
local function send(event_type, options, to)
  local answer = { type = event_type, count = 0 }
  local function back(event, err)
    answer.count = answer.count + 1
    answer.event, answer.err = event, err
  end
  if options then
    (to or channel):send_event(event_type, nil, options, back)
  else
    (to or channel):send_event(event_type, nil, back)
  end
  return answer
end

local function poll(turns)
  for _ = 1, turns or 3 do client:poll() end
end

-- Moves the clock on, with turns where the client asks for them.
local function pass(seconds)
  local ends = fake.clock.now() + seconds
  repeat
    client:poll(math.max(0, ends - fake.clock.now()))
  until fake.clock.now() >= ends
  poll()
end

-- The connection breaks, and none is to be had until back_online().
local function go_offline()
  fake.on_connect = function() end
  fake.socket:finish("network", "reset by peer")
  poll()
  assert.is_false(client:online())
end

local function back_online()
  fake.on_connect = function(socket) socket:greet() end
  for _ = 1, 20 do
    pass(5)
    if client:online() then return end
  end
  error "the client does not come back"
end

-- Requests are left without an answer.
local function leave_open()
  fake.answer = function() return nil end
end

local function reply(i, status, body, headers, unsent)
  fake.reply(fake.requests[i], status, body, headers, unsent)
  poll()
end

local function reply_well(i)
  reply(i, fake.usual_answer(fake.requests[i]))
end

-- The next so many requests fail; the others are answered well.
local function fail(times, ...)
  local failure, usual = { ... }, fake.answer
  fake.answer = function(request)
    if times == 0 then return usual(request) end
    times = times - 1
    fake.reply(request, failure[1], failure[2], failure[3], failure[4])
  end
end

local function types_sent()
  local types = {}
  for i, request in ipairs(fake.requests) do
    types[i] = native.json.decode(request.body or "{}").event
    types[i] = types[i] and types[i].type or "-"
  end
  return table.concat(types, " ")
end

local function assert_failed(answer, kind)
  assert.equal(1, answer.count, answer.type)
  assert.is_nil(answer.event)
  assert.equal(kind, answer.err.kind, tostring(answer.err))
end

local function assert_sent(answer)
  assert.equal(1, answer.count, answer.type)
  assert.is_nil(answer.err)
  assert.equal(answer.type, answer.event.type)
end

describe("while offline a send", function()
  it("fails at once", function()
    begin()
    go_offline()
    local event, err = channel:send_event "a"
    assert.is_nil(event)
    assert.same({ "network", true }, { err.kind, err.retryable })
    assert.equal("not sent: offline (reset by peer)", err.message)
    assert.matches("queue = true", err.hint)
    assert.is_nil(err.maybe_sent)
    local later = send "b"
    poll()
    assert_failed(later, "network")
    back_online()
    assert.is_nil(types_sent():find "[ab]")
  end)

  it("with queue waits, and goes out once, in order, when the connection is back", function()
    begin()
    go_offline()
    local answers = {}
    for i, name in ipairs { "a", "b", "c" } do answers[i] = send(name, { queue = true }) end
    pass(1)
    assert.equal("", types_sent())
    assert.equal(3, client:stats().queued)
    leave_open()
    back_online()
    assert.equal("a", types_sent()) -- the others wait for its answer
    for i = 1, 3 do reply_well(i) end
    assert.equal("a b c", types_sent())
    for i = 1, 3 do assert_sent(answers[i]) end
    assert.equal(0, client:stats().queued)
  end)

  it("with queue suspends the handler that it is made in", function()
    begin()
    go_offline()
    local event
    client:spawn(function() event = assert(channel:send_event("a", nil, { queue = true })) end)
    pass(1)
    assert.is_nil(event)
    back_online()
    assert.equal("a", event.type)
  end)

  it("fails at once when too many wait", function()
    begin { limits = { queued = 2 } }
    go_offline()
    local answers = {}
    for i = 1, 3 do answers[i] = send("a" .. i, { queue = true }) end
    poll()
    assert_failed(answers[3], "full")
    assert.is_true(answers[3].err.retryable)
    back_online()
    assert_sent(answers[1])
    assert_sent(answers[2])
  end)

  it("fails when it has waited too long, each by its own limit", function()
    begin { timeouts = { queued = 10 } }
    go_offline()
    local short = send("short", { queue = true, max_age = 0.5 })
    local usual = send("usual", { queue = true })
    local long = send("long", { queue = true, max_age = 60 })
    pass(0.49)
    assert.equal(0, short.count)
    pass(0.02)
    assert_failed(short, "timeout")
    assert.equal("not sent: it waited for 0.5 seconds", short.err.message)
    pass(9.4)
    assert.equal(0, usual.count)
    pass(0.2)
    assert_failed(usual, "timeout")
    assert.equal(2, client:stats().expired)
    back_online()
    assert_sent(long)
    assert.equal("long", types_sent())
  end)

  it("ends with the session when the user disconnects", function()
    begin()
    go_offline()
    local answer = send("a", { queue = true })
    assert(client:disconnect())
    poll()
    assert_failed(answer, "closed")
    assert_failed((function()
      local late = send("b", { queue = true })
      poll()
      return late
    end)(), "closed")
  end)

  it("ends when the client is closed", function()
    begin()
    go_offline()
    local answer = send("a", { queue = true })
    client:close()
    poll()
    assert_failed(answer, "closed")
    assert.equal("the client is closed", answer.err.message)
  end)

  it("ends when the session does for good, and none waits from then on", function()
    begin()
    go_offline()
    local answer = send("a", { queue = true })
    fake.on_connect = function(socket) socket:refuse(43, "signature is not valid") end
    pass(5)
    assert_failed(answer, "auth")
    assert.equal(43, answer.err.code)
    assert.is_false(answer.err.retryable)
    local later = send("b", { queue = true })
    poll()
    assert_failed(later, "auth")
    assert.same({}, fake.requests)
  end)
end)

describe("before the first connection stands a send", function()
  local function connecting(token)
    fake = fakes.new()
    fake.usual = fake.answer
    fake.on_connect = function() end
    client = stream_events.new(fake.options())
    channel = client:channel("messaging", "general")
    client:connect_user({ id = "john" }, token or fake.token, function() end)
    poll()
  end

  it("fails at once, and with queue waits for it", function()
    connecting()
    local now, later = send "now", send("later", { queue = true })
    poll()
    assert_failed(now, "network")
    fake.socket:greet()
    poll()
    assert_sent(later)
  end)

  it("waits for the token as well", function()
    local waiting
    connecting(function()
      while not waiting do coroutine.yield() end
      return fake.token
    end)
    local answer = send("a", { queue = true })
    poll()
    waiting = true
    for _ = 1, 5 do client:poll(0.1) end
    fake.socket:greet()
    poll()
    assert_sent(answer)
    assert.truthy(fake.last("/event").headers:find(fake.token, 1, true))
  end)

  it("ends with the error of connecting", function()
    connecting()
    local answer = send("a", { queue = true })
    fake.socket:refuse(5, "no")
    poll()
    assert_failed(answer, "auth")
  end)

  it("does not go out as another user", function()
    connecting()
    local answer = send("a", { queue = true })
    fake.socket:finish("network", "refused")
    poll()
    assert_failed(answer, "network")
    fake.on_connect = function(socket) socket:greet() end
    assert(client:connect_user({ id = "jane" }, require("stream_events.token").user("s", "jane")))
    poll()
    assert.same({}, fake.requests)
  end)
end)

describe("a send without an answer", function()
  it("is not repeated: its error says that it may have arrived", function()
    for _, kind in ipairs { "network", "timeout" } do
      for _, options in ipairs { false, { queue = true } } do
        begin()
        fail(1, nil, kind, "reset")
        local answer = send("a", options or nil)
        pass(40)
        assert_failed(answer, kind)
        assert.is_true(answer.err.maybe_sent)
        assert.equal("reset; whether the event has arrived is not known", answer.err.message)
        assert.equal("a", types_sent())
      end
    end
  end)

  it("that never left is not said to have arrived", function()
    begin()
    fake.answer = function(request) fake.reply(request, nil, "network", "could not connect", true) end
    local answer = send "a"
    poll()
    assert_failed(answer, "network")
    assert.is_nil(answer.err.maybe_sent)
  end)

  it("that never left goes again with queue, ever later, until it is too old", function()
    begin()
    fake.answer = function(request) fake.reply(request, nil, "network", "could not connect", true) end
    local answer = send("a", { queue = true })
    pass(10)
    assert.equal(0, answer.count)
    assert.is_true(#fake.requests >= 3 and #fake.requests <= 5, #fake.requests)
    pass(25)
    assert.equal(1, answer.count)
    assert.is_true(answer.err.kind == "timeout" or answer.err.kind == "network")
    assert.is_nil(answer.err.maybe_sent)
    local tries = #fake.requests
    fake.answer = fake.usual_answer
    pass(60)
    assert.equal(tries, #fake.requests)
  end)

  it("that a server fails on goes again no sooner than ever, though it says at once", function()
    begin(nil, { custom_event_ids = true })
    fake.answer = function(request) fake.reply(request, 503, "busy", { ["retry-after"] = "0" }) end
    local answer = send("a", { queue = true })
    pass(10)
    assert.equal(0, answer.count)
    assert.is_true(#fake.requests >= 3 and #fake.requests <= 5, #fake.requests)
  end)

  it("that never left goes again sooner after one that went well", function()
    begin()
    local unreached = function(request) fake.reply(request, nil, "network", "could not connect", true) end
    fake.answer = unreached
    assert_sent((function()
      local answer = send("a", { queue = true })
      pass(10)
      fake.answer = fake.usual
      pass(10)
      return answer
    end)())
    fake.requests, fake.answer = {}, unreached
    send("b", { queue = true })
    pass(2)
    assert.equal(2, #fake.requests)
  end)

  it("that never left goes again at once when the connection is new", function()
    begin()
    fake.answer = function(request) fake.reply(request, nil, "network", "could not connect", true) end
    local answer = send("a", { queue = true })
    pass(11) -- the next try is seconds away
    fake.answer = fake.usual
    fake.socket:finish("network", "reset by peer")
    pass(1.5)
    assert.is_true(client:online())
    assert_sent(answer)
  end)

  it("is not even tried by others that could not wait until the next try", function()
    begin()
    fake.answer = function(request) fake.reply(request, nil, "network", "could not connect", true) end
    send("a", { queue = true, max_age = 60 })
    pass(18)
    fake.requests = {}
    local answer = send("b", { max_age = 0.01 })
    poll()
    assert_failed(answer, "network")
    assert.is_nil(answer.err.code)
    assert.is_true(answer.err.retry_after > 0.01)
    assert.equal("", types_sent())
  end)

  it("may have arrived also when an earlier try had not even left", function()
    begin()
    local times = 0
    fake.answer = function(request)
      times = times + 1
      if times == 1 then fake.reply(request, nil, "network", "could not connect", true) end
    end
    local answer = send("a", { queue = true })
    pass(12)
    assert_failed(answer, "timeout")
    assert.is_true(answer.err.maybe_sent)
  end)

  it("has not arrived when the transport did not take it, or a token was refused for it", function()
    begin()
    fake.refuses = true
    local answer = send "a"
    poll()
    assert_failed(answer, "full")
    assert.is_nil(answer.err.maybe_sent)
    fake = fakes.new()
    client = stream_events.new(fake.options())
    local asked = 0
    assert(client:connect_user({ id = "john" }, function()
      asked = asked + 1
      return asked == 1 and fake.token or nil
    end))
    fail(1, 401, '{"code":40,"message":"expired","StatusCode":401}')
    answer = send("a", nil, client:channel("messaging", "general"))
    poll(5)
    assert_failed(answer, "auth")
    assert.is_nil(answer.err.maybe_sent)
  end)

  it("has the error of a server that failed, with the doubt", function()
    begin()
    fail(1, 502, "<html>")
    local answer = send("a", { queue = true })
    pass(5)
    assert_failed(answer, "api")
    assert.is_true(answer.err.maybe_sent)
    fail(1, 403, '{"code":17,"message":"no","StatusCode":403}')
    answer = send("b", { queue = true })
    pass(5)
    assert_failed(answer, "api")
    assert.is_nil(answer.err.maybe_sent)
    assert.equal(17, answer.err.code)
  end)

  it("when the client is closed may have arrived", function()
    begin()
    leave_open()
    local answer = send "a"
    poll()
    client:close()
    poll()
    assert_failed(answer, "closed")
    assert.is_true(answer.err.maybe_sent)
  end)
end)

describe("a send of a user who is gone", function()
  it("does not go out again as the next one", function()
    begin()
    leave_open()
    local answer = send("a", { queue = true })
    poll()
    assert(client:disconnect())
    fake.answer = fake.usual
    assert(client:connect_user({ id = "jane" }, require("stream_events.token").user("s", "jane")))
    reply(1, 429, "slow", { ["retry-after"] = "1" })
    pass(3)
    assert_failed(answer, "closed")
    assert.equal("a", types_sent())
  end)

  it("does not go out again in the next session of the same one, nor wait for that", function()
    begin()
    leave_open()
    local answer = send("a", { queue = true })
    poll()
    assert(client:disconnect())
    reply(1, nil, "network", "refused", true)
    assert_failed(answer, "closed")
    fake.answer = fake.usual
    assert(client:connect_user({ id = "john" }, require("stream_events.token").user("s", "john")))
    pass(3)
    assert.equal("a", types_sent())
  end)

  it("may have arrived, and says so, when it broke on its way", function()
    begin()
    leave_open()
    local answer = send("a", { queue = true })
    poll()
    assert(client:disconnect())
    reply(1, nil, "network", "reset by peer")
    assert_failed(answer, "network")
    assert.is_true(answer.err.maybe_sent)
  end)
end)

describe("a send that goes again", function()
  it("carries the token that is in use by then", function()
    fake = fakes.new()
    fake.usual = fake.answer
    client = stream_events.new(fake.options())
    channel = client:channel("messaging", "general")
    local asked, sign = 0, require("stream_events.token").user
    assert(client:connect_user({ id = "john" }, function()
      asked = asked + 1
      return sign("secret " .. asked, "john")
    end))
    local expired = '{"code":40,"message":"expired","StatusCode":401}'
    fail(1, 429, "slow", { ["retry-after"] = "5" })
    fail(1, 401, expired) -- the first answer
    local answer = send("a", { queue = true })
    pass(1)
    fake.on_connect = function(socket)
      fake.on_connect = function(other) other:greet() end
      socket:refuse(40, "expired")
    end
    fake.socket:finish("network", "reset by peer")
    pass(8)
    assert_sent(answer)
    assert.equal(3, #fake.requests)
    for i, request in ipairs(fake.requests) do
      assert.truthy(request.headers:find(sign("secret " .. i, "john"), 1, true), "request " .. i)
    end
  end)

  it("waits for a second at least when it was refused for the rate", function()
    -- The second: a service whose clock is behind ours.
    for _, headers in ipairs { { ["retry-after"] = "0" }, { ["x-ratelimit-reset"] = "1767225000" } } do
      begin()
      fake.answer = function(request)
        fake.at(0.02, function() fake.reply(request, 429, "slow", headers) end)
        return nil
      end
      local answer = send("a", { max_age = 5 })
      pass(8)
      assert_failed(answer, "api")
      assert.is_true(#fake.requests <= 6, #fake.requests)
    end
  end)

  it("has its whole time for an answer again", function()
    begin()
    fail(1, 429, "slow", { ["retry-after"] = "5" })
    local answer = send("a", { max_age = 30 })
    poll()
    leave_open()
    pass(8)
    reply_well(2)
    assert_sent(answer)
  end)

  it("does not wait for a connection unless it is to", function()
    begin()
    leave_open()
    local plain = send "a"
    poll()
    go_offline()
    reply(1, 429, "slow", { ["retry-after"] = "1" })
    assert_failed(plain, "api")
  end)
end)

describe("where ids count a send with queue", function()
  local function sent(i) return native.json.decode(fake.requests[i].body).event end

  it("gets an id, and goes again with it until there is an answer", function()
    for _, failure in ipairs { { nil, "network", "reset" }, { nil, "timeout", "late" }, { 503, "busy" } } do
      begin(nil, { custom_event_ids = true })
      fail(2, failure[1], failure[2], failure[3])
      local answer = send("a", { queue = true })
      pass(20)
      assert_sent(answer)
      assert.equal("a a a", types_sent())
      assert.equal(36, #sent(1).id)
      assert.same(sent(1), sent(3))
      assert.equal(2, client:stats().retried)
    end
  end)

  it("has none elsewhere", function()
    begin(nil, { custom_event_ids = false })
    assert(channel:send_event("a", nil, { queue = true }))
    assert.is_nil(sent(1).id)
  end)

  it("keeps the id that it was given, in the options or in the data", function()
    begin(nil, { custom_event_ids = true })
    fail(1, nil, "network", "reset")
    assert(channel:send_event("a", { id = "mine" }, { queue = true }))
    assert.same({ "mine", "mine" }, { sent(1).id, sent(2).id })
    assert(channel:send_event("a", nil, { queue = true, id = "yours" }))
    assert.equal("yours", sent(3).id)
    assert(channel:send_event("a", { id = 7 }, { queue = true }))
    assert.equal(7, sent(4).id)
  end)

  it("is sent once when the connection broke while it was on its way", function()
    begin(nil, { custom_event_ids = true })
    leave_open()
    local answer = send("a", { queue = true })
    poll()
    go_offline()
    reply(1, nil, "network", "reset")
    assert.equal(0, answer.count)
    fake.answer = fake.usual
    back_online()
    assert_sent(answer)
    assert.same(sent(1), sent(2))
    assert.equal("a a", types_sent())
  end)

  it("says that it may have arrived when it becomes too old after all", function()
    begin(nil, { custom_event_ids = true })
    fake.answer = function(request) fake.reply(request, nil, "network", "reset") end
    local answer = send("a", { queue = true, max_age = 3 })
    pass(10)
    assert.equal(1, answer.count)
    assert.is_true(answer.err.maybe_sent)
    assert.matches("same id", answer.err.hint)
  end)

  it("goes without one where the client's own rules want none", function()
    begin({ rules = { events = { a = { fields = {} } } } }, { custom_event_ids = true })
    fail(1, nil, "network", "reset")
    local answer = send("a", { queue = true })
    pass(5)
    assert_failed(answer, "network")
    assert.is_true(answer.err.maybe_sent)
    assert.is_nil(sent(1).id)
  end)
end)

describe("a send that is refused for its rate", function()
  it("waits as long as it is told to, and goes again", function()
    begin()
    fail(1, 429, '{"code":9,"message":"slow","StatusCode":429}', { ["retry-after"] = "3" })
    local answer = send "a"
    pass(2.9)
    assert.equal("a", types_sent())
    assert.equal(0, answer.count)
    pass(0.2)
    assert_sent(answer)
    assert.equal("a a", types_sent())
    assert.equal(1, client:stats().retried)
  end)

  it("goes by the time at which the limit is lifted, when nothing else is said", function()
    begin()
    fail(1, 429, "no JSON", { ["x-ratelimit-reset"] = tostring(os.time() + 4) })
    local answer = send "a"
    pass(2)
    assert.equal(0, answer.count)
    pass(3)
    assert_sent(answer)
  end)

  it("fails with that when it would be too old by then, and the next ones without being sent", function()
    begin()
    fail(1, 429, '{"code":9,"message":"slow","StatusCode":429}', { ["retry-after"] = "20" })
    local answer = send "a"
    poll()
    assert_failed(answer, "api")
    assert.same({ 9, 20 }, { answer.err.code, answer.err.retry_after })
    pass(1)
    local next_one = send "b"
    poll()
    assert_failed(next_one, "full")
    assert.same({ 9, 19 }, { next_one.err.code, math.floor(next_one.err.retry_after + 0.5) })
    local patient = send("c", { max_age = 30 })
    pass(20)
    assert_sent(patient)
    assert.equal("a c", types_sent())
    local plain = send "d"
    poll()
    assert_sent(plain)
  end)
end)

describe("pacing", function()
  it("keeps a user below what the hosted service allows", function()
    begin { base_url = "https://chat.stream-io-api.com" }
    local answers = {}
    for i = 1, 6 do answers[i] = send "a" end
    poll()
    assert.equal(2, #fake.requests)
    pass(1.1)
    assert.equal(4, #fake.requests)
    pass(2)
    for i = 1, 6 do assert_sent(answers[i]) end
    assert.equal(4, client:stats().paced)
  end)

  it("never meets its limits, however many are sent", function()
    begin { base_url = "https://chat.stream-io-api.com" }
    local usual, times = fake.answer, {}
    fake.answer = function(request)
      times[#times + 1] = fake.clock.now()
      return usual(request)
    end
    local answers = {}
    for _ = 1, 600 do
      answers[#answers + 1] = send("a", { max_age = 10 })
      pass(0.2)
    end
    for i, from in ipairs(times) do
      local second, minute = 0, 0
      for j = i, #times do
        if times[j] < from + 1 then second = second + 1 end
        if times[j] < from + 60 then minute = minute + 1 end
      end
      assert.is_true(second <= 2 and minute <= 60, ("%d %d at %g"):format(second, minute, from))
      -- It slows down, and does not stop for half a minute.
      assert.is_true(not times[i + 1] or times[i + 1] - from < 6, ("%g %g"):format(from, times[i + 1] or 0))
    end
    assert.is_true(#times >= 100)
    pass(20)
    for _, answer in ipairs(answers) do assert.equal(1, answer.count) end
  end)

  it("leaves a server of one's own alone until it names a rate", function()
    begin()
    for _ = 1, 30 do send "a" end
    poll()
    assert.equal(30, #fake.requests)
    local usual = fake.answer
    fake.answer = function(request)
      local status, body = usual(request)
      return status, body, {
        ["x-ratelimit-limit"] = "60", ["x-ratelimit-remaining"] = "40",
        ["x-ratelimit-reset"] = tostring(fake.clock.time() + 30),
      }
    end
    send "b"
    poll()
    fake.requests = {}
    for _ = 1, 5 do send "c" end
    poll()
    assert.is_true(#fake.requests <= 2)
    pass(4)
    assert.equal(5, #fake.requests)
  end)

  it("does not hold back a backend", function()
    begin { base_url = "https://chat.stream-io-api.com", secret = "s" }
    for _ = 1, 20 do send("a", { user_id = "jane" }) end
    poll()
    assert.equal(20, #fake.requests)
  end)
end)

describe("priority", function()
  it("lets urgent sends overtake those that wait, and bulk wait for the others", function()
    begin()
    go_offline()
    for _, name in ipairs { "b1", "n1", "u1", "b2", "n2", "u2" } do
      local priority = ({ b = "bulk", n = "normal", u = "urgent" })[name:sub(1, 1)]
      send(name, { queue = true, priority = priority })
    end
    back_online()
    assert.equal("u1 u2 n1 n2 b1 b2", (types_sent():gsub("%- ?", "")))
  end)

  it("is not gone round by a plain send", function()
    begin()
    leave_open()
    send("u1", { priority = "urgent" })
    send("u2", { priority = "urgent" })
    send "plain"
    poll()
    assert.equal("u1", types_sent())
    reply_well(1)
    assert.equal("u1 u2 plain", types_sent())
  end)

  it("counts where calls are under way already as many as may be", function()
    begin { limits = { in_flight = 2 } }
    leave_open()
    for _, name in ipairs { "p1", "p2", "p3", "p4" } do send(name) end
    send("urgent", { priority = "urgent" })
    poll()
    assert.equal("p1 p2", types_sent())
    reply_well(1)
    assert.equal("p1 p2 urgent", types_sent())
    reply_well(2)
    reply_well(3)
    assert.equal("p1 p2 urgent p3 p4", types_sent())
  end)
end)

describe("coalesce", function()
  local function position(i, more, to)
    local options = { coalesce = "position" }
    for name, value in pairs(more or {}) do options[name] = value end
    return send("p" .. i, options, to)
  end

  it("lets the newest take the place of the one that waits, which ends with an error of its own", function()
    begin()
    leave_open()
    local answers = {}
    for i = 1, 4 do answers[i] = position(i) end
    poll()
    assert.equal("p1", types_sent()) -- on its way: no newer one may overtake it
    for i = 2, 3 do
      assert_failed(answers[i], "full")
      assert.is_true(answers[i].err.superseded)
      assert.is_false(answers[i].err.retryable)
    end
    reply_well(1)
    reply_well(2)
    assert.equal("p1 p4", types_sent())
    assert_sent(answers[1])
    assert_sent(answers[4])
    assert.equal(2, client:stats().superseded)
  end)

  it("takes room for one, however many there are, while offline", function()
    begin { limits = { queued = 2 } }
    go_offline()
    local other = send("other", { queue = true })
    local answers = {}
    for i = 1, 50 do answers[i] = position(i, { queue = true }) end
    poll()
    assert.equal(2, client:stats().queued)
    back_online()
    assert_sent(other)
    assert_sent(answers[50])
    assert.equal("other p50", types_sent():match "other p%d+")
  end)

  it("is for each channel, and for each user that a backend sends for", function()
    begin { secret = "s" }
    leave_open()
    local other = client:channel("messaging", "other")
    position(1)
    position(1, nil, other)
    position(1, { user_id = "a" })
    poll()
    local first = { position(2), position(2, nil, other), position(2, { user_id = "a" }),
      position(2, { user_id = "b" }) }
    poll()
    for _, answer in ipairs(first) do assert.equal(0, answer.count) end
    local second = position(3)
    poll()
    assert.same({ 1, 0, 0, 0 }, { first[1].count, first[2].count, first[3].count, first[4].count })
    assert.equal(0, second.count)
  end)

  it("does not send one again that is superseded by then", function()
    begin()
    leave_open()
    local old = position(1)
    poll()
    local new = position(2)
    fake.answer = fake.usual
    reply(1, 429, "slow", { ["retry-after"] = "1" })
    pass(2)
    assert_failed(old, "full")
    assert.is_true(old.err.superseded)
    assert_sent(new)
    assert.equal("p1 p2", types_sent())
  end)
end)

describe("an event to a user", function()
  local function begin_backend()
    fake = fakes.new()
    client = stream_events.new(fake.options { secret = "s" })
  end

  local function send_to(user_id, event_type, options)
    local answer = { type = event_type, count = 0 }
    client:send_user_custom_event(user_id, { type = event_type }, options, function(ok, err)
      answer.count, answer.ok, answer.err = answer.count + 1, ok, err
    end)
    return answer
  end

  it("waits with queue while the server cannot be reached", function()
    begin_backend()
    local usual, times = fake.answer, 0
    fake.answer = function(request)
      times = times + 1
      if times > 2 then return usual(request) end
      fake.reply(request, nil, "network", "could not connect", true)
    end
    local fails, waits = send_to("a", "x"), send_to("a", "y", { queue = true })
    pass(20)
    assert.same({ 1, "network" }, { fails.count, fails.err.kind })
    assert.same({ 1, true }, { waits.count, waits.ok })
  end)

  it("coalesces for each user, and waits when it is refused for its rate", function()
    begin_backend()
    leave_open()
    local flying = send_to("a", "p1", { coalesce = "p" })
    local old, other = send_to("a", "p2", { coalesce = "p" }), send_to("b", "p2", { coalesce = "p" })
    local new = send_to("a", "p3", { coalesce = "p" })
    poll()
    assert.is_true(old.err.superseded)
    assert.equal(0, other.count)
    fake.answer = fake.usual_answer
    reply(1, 201, "{}")
    reply(2, 429, "slow", { ["retry-after"] = "2" })
    pass(3)
    assert.same({ true, true, true }, { flying.ok, other.ok, new.ok })
  end)

  it("needs an answer that is one", function()
    begin_backend()
    fake.answer = function() return 200, "<html>" end
    local answer = send_to("a", "x")
    poll()
    assert.equal("protocol", answer.err.kind)
  end)
end)

describe("a backend without a connection", function()
  it("just sends", function()
    fake = fakes.new()
    client = stream_events.new(fake.options { secret = "s" })
    channel = client:channel("messaging", "general")
    local plain, queued = send("a", { user_id = "jane" }), send("b", { user_id = "jane", queue = true })
    poll()
    assert_sent(plain)
    assert_sent(queued)
  end)
end)

describe("the options of a send", function()
  it("are checked", function()
    begin()
    for text, options in pairs {
      ["queue"] = { queue = 1 }, ["did you mean \"urgent\""] = { priority = "urgnet" },
      ["priority"] = { priority = 1 }, ["coalesce"] = { coalesce = true },
      ["coalesce' must"] = { coalesce = "" }, ["max_age"] = { max_age = 0 },
      ["max_age' must"] = { max_age = 0 / 0 }, ["at most"] = { max_age = math.huge },
      ["unknown option 'age'"] = { age = 1 },
    } do
      for _, call in ipairs {
        function() channel:send_event("a", nil, options) end,
        function() client:send_user_custom_event("a", { type = "a" }, options) end,
      } do
        local ok, message = pcall(call)
        assert.is_false(ok)
        assert.truthy(message:find(text, 1, true), message)
        assert.truthy(message:find("client_sending_spec", 1, true), message)
      end
    end
    assert.same({}, fake.requests)
  end)
end)

describe("a client with sends that wait", function()
  it("ends them in time also while they wait for something later", function()
    begin()
    leave_open()
    local long, short = send("long", { max_age = 30 }), send("short", { max_age = 3 })
    poll()
    reply(1, 429, "slow", { ["retry-after"] = "5" })
    assert.near(3, client:timeout(), 1e-9)
    pass(3)
    assert_failed(short, "timeout")
    assert.equal(0, long.count)
  end)

  it("sends nothing that became too old while it had no turn", function()
    begin()
    fail(1, 429, "slow", { ["retry-after"] = "2" })
    local old = send("old", { max_age = 3 })
    poll()
    fake.clock.advance(1000)
    local new = send("new", { max_age = 3 })
    poll()
    assert_failed(old, "timeout")
    assert_sent(new)
    assert.equal("old new", types_sent())
  end)

  it("says when it wants its next turn", function()
    begin()
    go_offline()
    send("a", { queue = true, max_age = 0.25 })
    assert.near(0.25, client:timeout(), 1e-9)
    begin()
    fail(1, 429, "slow", { ["retry-after"] = "2" })
    send "a"
    poll()
    assert.near(2, client:timeout(), 1e-9)
  end)
end)
