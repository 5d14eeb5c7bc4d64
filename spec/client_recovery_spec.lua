--- How the watches of many channels are restored after a reconnect: grouped, paced, tried again, reported.
local fakes = require "support.fake_transport"
local native = require "stream_events.native"

local HOSTED = "https://chat.stream-io-api.com"

local fake, client, channels, recovered

-- A client that watches so many channels, c1 first.
local function begin(count, options)
  fake = fakes.new()
  fake.on_connect = function(socket)
    socket:greet()
    socket.on_send = function(self) self:receive { type = "health.check", cid = "*" } end
  end
  client = fake.connected(options)
  channels, recovered = {}, {}
  for i = 1, count do
    channels[i] = client:channel("messaging", "c" .. i, { name = "Channel " .. i })
    channels[i]:watch(function() end)
    client:poll()
  end
  for i = 1, count do assert.is_true(channels[i].watching) end
  client:subscribe_for("connection.recovered", function(event) recovered[#recovered + 1] = event end)
  fake.requests = {}
end

local function lose() fake.socket:finish("network", "reset") end

local function poll_until(test, seconds)
  for _ = 1, 400 do
    if test() then return end
    client:poll(seconds or 5)
  end
  error("it did not come to pass", 2)
end

local function is_recovered() return recovered[1] ~= nil end

local function cid(i) return "messaging:c" .. i end

-- Answers a request as usual, without some channels.
local function without(request, ...)
  local views = native.json.array {}
  local left_out = {}
  for _, name in ipairs { ... } do left_out[name] = true end
  for _, name in ipairs(fakes.cids_of(request)) do
    if not left_out[name] then views[#views + 1] = fakes.view(name) end
  end
  return 201, native.json.encode { channels = views }
end

local function refusal(status, code)
  return status, ('{"code":%d,"message":"no","StatusCode":%d}'):format(code, status)
end

local function sizes()
  local list = {}
  for i, request in ipairs(fake.requests) do list[i] = #fakes.cids_of(request) end
  return list
end

describe("after a reconnect, the watched channels", function()
  it("are asked for in groups, each once, the most recently used first", function()
    begin(70)
    client:channel("messaging", "c7"):query()
    channels[30]:send_event("wave")
    channels[50]:subscribe_for("poke", function() end)
    fake.socket:event("poke", {}, cid(50))
    client:poll()
    fake.requests = {}
    lose()
    poll_until(is_recovered)
    assert.same({ 30, 30, 10 }, sizes())
    local asked, seen = {}, {}
    for _, request in ipairs(fake.requests) do
      for _, name in ipairs(fakes.cids_of(request)) do
        assert.is_nil(seen[name])
        seen[name], asked[#asked + 1] = true, name
      end
    end
    assert.equal(70, #asked)
    assert.same({ cid(50), cid(30), cid(7), cid(70), cid(69) },
      { asked[1], asked[2], asked[3], asked[4], asked[5] })
    assert.equal(cid(1), asked[70])
    assert.same({ 70, {}, 70 }, { #recovered[1].restored, recovered[1].failed, client:stats().watched })
  end)

  it("keep their handlers and disposables", function()
    begin(2)
    local seen = {}
    channels[1]:subscribe_for("poke", function(event) seen[#seen + 1] = event.n end)
    local disposable = channels[2]:subscribe_for("poke", function(event) seen[#seen + 1] = event.n end)
    lose()
    poll_until(is_recovered)
    fake.socket:event("poke", { n = 1 }, cid(1))
    fake.socket:event("poke", { n = 2 }, cid(2))
    client:poll()
    disposable:dispose()
    fake.socket:event("poke", { n = 3 }, cid(2))
    client:poll()
    assert.same({ 1, 2 }, seen)
  end)

  it("are asked for a few calls at a time, and one before anything is known of the server", function()
    begin(500)
    fake.answer = function() return nil end
    lose()
    local most, answered, first = 0, 0, nil
    poll_until(function()
      local open = #fake.requests - answered
      if open > 0 and answered == 0 then first = first or open end
      most = math.max(most, open)
      if open > 0 then
        answered = answered + 1
        fake.reply(fake.requests[answered], fake.usual_answer(fake.requests[answered]))
      end
      return is_recovered()
    end, 0.1)
    assert.same({ 1, 4, 17 }, { first, most, #fake.requests })
  end)

  -- Times of the calls, each answered 50 ms later.
  local function timed(headers)
    local times = {}
    fake.answer = function(request)
      times[#times + 1] = fake.clock.now()
      fake.at(0.05, function()
        local status, body = fake.usual_answer(request)
        fake.reply(request, status, body, headers)
      end)
      return nil
    end
    return times
  end

  local function most_in(times, seconds)
    local most = 0
    for i = 1, #times do
      local count = 0
      for j = i, #times do
        if times[j] < times[i] + seconds then count = count + 1 end
      end
      most = math.max(most, count)
    end
    return most
  end

  it("are asked for no faster than the hosted service allows from the first call on", function()
    begin(500, { base_url = HOSTED })
    local times = timed()
    lose()
    poll_until(is_recovered)
    assert.equal(17, #times)
    assert.equal(2, most_in(times, 1))
    assert.equal(times[1], times[2])
    local least = 8 * (1.01 + 0.05)
    assert.near(least, times[17] - times[1], 0.1)
  end)

  it("are asked for no faster than a server says that it allows", function()
    begin(500)
    local times = timed { ["x-ratelimit-limit"] = "60", ["x-ratelimit-remaining"] = "40",
      ["x-ratelimit-reset"] = tostring(fake.clock.time() + 30) }
    lose()
    poll_until(is_recovered)
    assert.equal(17, #times)
    assert.is_true(most_in(times, 1) <= 2)
    assert.is_true(times[17] - times[1] < 9.5)
  end)

  it("wait for the next minute when this one has no call left", function()
    begin(40)
    local times = timed { ["x-ratelimit-limit"] = "60", ["x-ratelimit-remaining"] = "0",
      ["x-ratelimit-reset"] = tostring(fake.clock.time() + 30) }
    local lost_at = fake.clock.now()
    lose()
    poll_until(is_recovered)
    assert.near(lost_at + 30, times[2], 0.5)
  end)

  it("stay one group when the call is one too many, and are asked for when that may be", function()
    begin(20)
    local times = {}
    fake.answer = function(request)
      times[#times + 1] = fake.clock.now()
      if #times < 3 then
        local status, body = refusal(429, 9)
        return status, body, { ["retry-after"] = "7" }
      end
      return fake.usual_answer(request)
    end
    lose()
    poll_until(is_recovered)
    assert.same({ 20, 20, 20 }, sizes())
    assert.is_true(times[2] - times[1] >= 7 and times[3] - times[2] >= 7)
    assert.equal(20, #recovered[1].restored)
  end)

  it("begin at a moment that chance decides", function()
    for random, after in pairs { [0] = 0, [0.5] = 0.1, [0.99] = 0.198 } do
      begin(3, { random = function() return random end })
      local online, asked
      client:subscribe_for("connection.changed", function(change)
        if change.online then online = fake.clock.now() end
      end)
      fake.answer = function(request)
        asked = asked or fake.clock.now()
        return fake.usual_answer(request)
      end
      lose()
      poll_until(is_recovered)
      assert.near(after, asked - online, 1e-6)
    end
  end)
end)

describe("a channel that cannot be watched again", function()
  it("because the service leaves it out is lost: reported once, and never asked for again", function()
    begin(40)
    fake.answer = function(request) return without(request, cid(3), cid(33)) end
    lose()
    poll_until(is_recovered)
    assert.equal(2, #fake.requests) -- and no query, which might create it
    assert.equal(38, #recovered[1].restored)
    for _, i in ipairs { 3, 33 } do
      local err = recovered[1].failed[cid(i)]
      assert.same({ "api", false, false }, { err.kind, err.retryable, channels[i].watching })
    end
    assert.is_true(recovered[1].gap)
    local gap = {}
    for _, name in ipairs(recovered[1].gap_cids) do gap[name] = true end
    assert.is_true(gap[cid(3)] and gap[cid(33)])
    recovered, fake.requests, fake.answer = {}, {}, fake.usual_answer
    lose()
    poll_until(is_recovered)
    assert.same({ { 30, 8 }, {} }, { sizes(), recovered[1].failed })
  end)

  for _, case in ipairs { { 403, 17 }, { 400, 4 }, { 403, 70 }, { 201 } } do
    it(("with its group (%d, code %s) is queried by itself, without creating it")
      :format(case[1], tostring(case[2])), function()
      begin(33)
      fake.answer = function(request)
        if fakes.cids_of(request) then
          if not case[2] then return 201, '{"channels":"all of them"}' end
          return refusal(case[1], case[2])
        end
        if request.path:find "/c5/" then return refusal(403, 17) end
        return fake.usual_answer(request)
      end
      lose()
      poll_until(is_recovered)
      assert.same({ 32, 17 }, { #recovered[1].restored, recovered[1].failed[cid(5)].code })
      assert.same({ false, 32 }, { channels[5].watching, client:stats().watched })
      local alone = {}
      for _, request in ipairs(fake.requests) do
        if request.path:find "/query$" then
          alone[#alone + 1] = request.path:match "/(c%d+)/query$"
          local body = native.json.decode(request.body)
          assert.same({ nil, true }, { body.data, body.watch })
        end
      end
      assert.equal(33, #alone)
      assert.equal("c33", alone[1])
    end)
  end

  it("is tried again by itself while others are there already", function()
    begin(3)
    local tries = 0
    fake.answer = function(request)
      if fakes.cids_of(request) then return refusal(400, 4) end
      if not request.path:find "/c2/" then return fake.usual_answer(request) end
      tries = tries + 1
      if tries < 3 then return 503, "later" end
      return fake.usual_answer(request)
    end
    lose()
    poll_until(is_recovered)
    assert.same({ 3, 3 + 2 + 1, 3 }, { tries, #fake.requests, #recovered[1].restored })
  end)

  it("is tried again when the answer says that it may be", function()
    begin(2)
    local times = {}
    fake.answer = function(request)
      times[#times + 1] = fake.clock.now()
      if #times == 1 then return 503, "later", { ["retry-after"] = "20" } end
      return fake.usual_answer(request)
    end
    lose()
    poll_until(is_recovered)
    assert.is_true(times[2] - times[1] >= 20)
  end)

  it("for long is reported, and tried on as late as the service wants", function()
    begin(70)
    local times = {}
    fake.answer = function(request)
      times[#times + 1] = fake.clock.now()
      if #times == 1 then return 429, "later", { ["retry-after"] = "1800" } end
      return fake.usual_answer(request)
    end
    lose()
    poll_until(is_recovered)
    assert.is_true(fake.clock.now() - times[1] < 5)
    local count, err = 0, nil
    for _, failure in pairs(recovered[1].failed) do count, err = count + 1, failure end
    assert.same({ 70, "full", true, 1800 }, { count, err.kind, err.retryable, math.ceil(err.retry_after) })
    poll_until(function() return recovered[2] end)
    assert.is_true(times[2] - times[1] >= 1800)
    assert.same({ 70, {} }, { #recovered[2].restored, recovered[2].failed })
  end)

  it("and is then watched by the program is not reported", function()
    begin(31)
    local held
    fake.answer = function(request)
      local cids = fakes.cids_of(request)
      if not cids then return fake.usual_answer(request) end
      if #cids == 1 then held = request return nil end
      return without(request, cid(30))
    end
    lose()
    poll_until(function() return held and not channels[30].watching end)
    channels[30]:watch(function() end)
    poll_until(function() return channels[30].watching end, 0)
    fake.reply(held, fake.usual_answer(held))
    poll_until(is_recovered)
    assert.same({ {}, 31 }, { recovered[1].failed, client:stats().watched })
  end)

  it("is given up after some tries, reported, and tried again after the next reconnect", function()
    begin(2)
    fake.answer = function() return 503, "later" end
    lose()
    poll_until(is_recovered)
    assert.equal(5, #fake.requests)
    assert.same({ 503, 503, {} }, { recovered[1].failed[cid(1)].status, recovered[1].failed[cid(2)].status,
      recovered[1].restored })
    assert.equal(2, client:stats().watched)
    recovered, fake.answer = {}, fake.usual_answer
    lose()
    poll_until(is_recovered)
    assert.equal(2, #recovered[1].restored)
  end)

  it("for now is tried on after it was reported, and reported once more when it is watched", function()
    begin(3)
    local broken, calls = true, {}
    fake.answer = function(request)
      if not fakes.cids_of(request) then return fake.usual_answer(request) end
      calls[#calls + 1] = fake.clock.now()
      if broken then return 503, "later" end
      return fake.usual_answer(request)
    end
    lose()
    poll_until(is_recovered)
    assert.same({ 5, 3, {} }, { #calls, client:stats().watched, recovered[1].restored })
    poll_until(function() return #calls == 12 end)
    for i = 6, 12 do
      local wait = calls[i] - calls[i - 1]
      assert.is_true(wait >= 8 and wait <= 25, tostring(wait))
    end
    assert.equal(1, #recovered)
    assert(channels[2]:stop_watching())
    broken = false
    poll_until(function() return recovered[2] end)
    local late = recovered[2]
    assert.same({ { cid(1), cid(3) }, {}, true, { cid(1), cid(3) }, recovered[1].since },
      { late.restored, late.failed, late.gap, late.gap_cids, late.since })
    local count = #calls
    client:poll(100)
    assert.equal(count, #calls)
  end)

  it("for now is forgotten when the program stops to watch it, or disconnects", function()
    for _, stop in ipairs {
      function() assert(channels[1]:stop_watching()) end, function() assert(client:disconnect()) end,
    } do
      begin(1)
      fake.answer = function(request)
        if fakes.cids_of(request) then return 503, "later" end
        return fake.usual_answer(request)
      end
      lose()
      poll_until(is_recovered)
      stop()
      fake.requests = {}
      for _ = 1, 6 do client:poll(5) end
      assert.same({ {}, 1 }, { fake.requests, #recovered })
    end
  end)

  it("for now has its gap since the first loss, when the connection is lost once more", function()
    begin(1)
    fake.answer = function() return 503, "later" end
    lose()
    poll_until(is_recovered)
    fake.answer = fake.usual_answer
    fake.clock.advance(1)
    fake.socket:receive { type = "health.check", cid = "*", created_at = "2026-01-01T01:00:00Z" }
    client:poll()
    lose()
    poll_until(function() return recovered[2] end)
    assert.same({ { cid(1) }, recovered[1].since }, { recovered[2].restored, recovered[2].since })
  end)

  it("for an answer that never comes is tried again, and recovered comes all the same", function()
    begin(2)
    fake.answer = function() return nil end
    lose()
    poll_until(is_recovered)
    assert.equal(5, #fake.requests)
    assert.equal("timeout", recovered[1].failed[cid(1)].kind)
  end)

  it("because the token is no longer good is reported, and stays watched for the next reconnect", function()
    begin(40)
    fake.answer = function() return refusal(401, 43) end
    lose()
    poll_until(is_recovered)
    assert.equal(2, #fake.requests)
    assert.equal(43, recovered[1].failed[cid(7)].code)
    for _ = 1, 12 do client:poll(5) end
    assert.equal(2, #fake.requests)
    assert.equal(40, client:stats().watched)
  end)

  it("in an answer too large for the client is queried by itself", function()
    begin(2)
    fake.answer = function(request)
      if not fakes.cids_of(request) then return fake.usual_answer(request) end
      fake.reply(request, nil, "full", "the answer is larger than allowed")
      return nil
    end
    lose()
    poll_until(is_recovered)
    assert.same({ 3, 2 }, { #fake.requests, #recovered[1].restored })
  end)

  it("is told from others by a strange answer as well", function()
    begin(3)
    fake.answer = function()
      return 201, '{"channels":[5,{},{"channel":7},{"channel":{"cid":[]}},{"channel":{"cid":"messaging:c9"}},'
        .. native.json.encode(fakes.view(cid(2))) .. ',' .. native.json.encode(fakes.view(cid(2))) .. "]}"
    end
    lose()
    poll_until(is_recovered)
    assert.same({ cid(2) }, recovered[1].restored)
    assert.is_truthy(recovered[1].failed[cid(1)] and recovered[1].failed[cid(3)])
  end)
end)

describe("while channels are watched again", function()
  it("a reconnect begins anew, not twice, and what was lost before is reported", function()
    begin(40)
    local held = {}
    fake.answer = function(request)
      if #held == 0 then
        held[1] = request
        return without(request, cid(40))
      end
      held[#held + 1] = request
      return nil
    end
    lose()
    poll_until(function() return #held == 2 end)
    lose()
    fake.answer = fake.usual_answer
    fake.requests = {}
    poll_until(function() return #fake.sockets == 3 and client:online() end, 0.05)
    assert.equal(0, #fake.requests) -- chance has not let it begin so far
    fake.reply(held[2], without(held[2], cid(1))) -- too late: what it says means nothing any more
    poll_until(is_recovered)
    client:poll(30)
    assert.same({ 30, 9 }, sizes())
    assert.equal(1, #recovered)
    assert.same({ 39, "api" }, { #recovered[1].restored, recovered[1].failed[cid(40)].kind })
    assert.is_nil(recovered[1].failed[cid(1)])
    for _, request in ipairs(fake.requests) do
      assert.truthy(request.query:find("connection_id=connection-3", 1, true))
    end
    lose()
    poll_until(function() return recovered[2] end)
    assert.same({}, recovered[2].failed) -- told once
  end)

  it("what was lost before a reconnect, and is watched again by the program, is not reported", function()
    begin(40)
    local count = 0
    fake.answer = function(request)
      if not fakes.cids_of(request) then return fake.usual_answer(request) end
      count = count + 1
      if count == 1 then return without(request, cid(40)) end
      return nil
    end
    lose()
    poll_until(function() return count == 2 end)
    lose()
    poll_until(function() return count >= 3 end)
    channels[40]:watch(function() end)
    poll_until(function() return channels[40].watching end, 0)
    fake.answer = fake.usual_answer
    poll_until(is_recovered)
    assert.same({ {}, 40 }, { recovered[1].failed, client:stats().watched })
  end)

  it("nothing is asked for over a connection that an error frame has ended", function()
    begin(3)
    fake.on_connect = function(socket)
      socket:greet()
      fake.at(0.05, function()
        socket:refuse(99, "the app is suspended")
        socket.ended = nil -- its close frame is still to come
      end)
    end
    lose()
    poll_until(function() return #fake.sockets == 2 and client:online() end, 0.1)
    poll_until(function() return not client:online() end, 0.1)
    client:poll(0.5)
    assert.same({}, fake.requests)
  end)

  -- Loses the connection, and gives the call that watches the channels anew before its answer.
  local function hold_the_group()
    local held
    fake.answer = function(request)
      if not fakes.cids_of(request) then return fake.usual_answer(request) end
      held = request
      return nil
    end
    lose()
    poll_until(function() return held end)
    return held
  end

  it("a channel that the program watches itself is not asked for again", function()
    begin(60)
    local held
    fake.answer = function(request)
      if fakes.cids_of(request) and not held then
        held = request
        return nil
      end
      return fake.usual_answer(request)
    end
    lose()
    poll_until(function() return held end)
    local done
    channels[1]:watch(function(ok) done = ok end)
    local new = client:channel("messaging", "new")
    new:watch(function() end)
    poll_until(function() return done end)
    fake.reply(held, fake.usual_answer(held))
    poll_until(is_recovered)
    local last = fake.requests[#fake.requests]
    assert.same({ 30, 29 }, { #fakes.cids_of(fake.requests[1]), #fakes.cids_of(last) })
    assert.same({ 60, {}, true, 61 },
      { #recovered[1].restored, recovered[1].failed, new.watching, client:stats().watched })
  end)

  it("a channel that the program stops to watch stays so", function()
    begin(3)
    local held = hold_the_group()
    assert(channels[2]:stop_watching())
    fake.requests = {}
    fake.reply(held, fake.usual_answer(held))
    poll_until(is_recovered)
    assert.same({ { cid(1), cid(3) }, false }, { recovered[1].restored, channels[2].watching })
    -- The server may have heard of it before it answered the group.
    assert.same({ 1, "/channels/messaging/c2/stop-watching" }, { #fake.requests, fake.requests[1].path })
  end)

  it("a channel that is stopped and watched anew is not stopped once more", function()
    begin(3)
    local held = hold_the_group()
    assert(channels[2]:stop_watching())
    assert(channels[2]:watch())
    fake.requests = {}
    fake.reply(held, fake.usual_answer(held))
    poll_until(is_recovered)
    assert.same({ {}, 3 }, { fake.requests, client:stats().watched })
  end)

  it("disconnect ends it, and nothing is reported", function()
    begin(60)
    fake.answer = function(request)
      if fakes.cids_of(request) then return nil end
      return fake.usual_answer(request)
    end
    lose()
    poll_until(function() return #fake.requests > 0 end)
    client:disconnect()
    for _ = 1, 5 do client:poll(20) end
    assert.same({ 1, 0, 0 }, { #fake.requests, #recovered, client:stats().watched })
  end)

  it("what is known of the channels becomes what the answer says, and changed rights are told", function()
    begin(3)
    local changed = {}
    client:subscribe_for("capabilities.changed", function(event) changed[#changed + 1] = event.cid end)
    fake.answer = function(request)
      local views = native.json.array {}
      for i, name in ipairs(fakes.cids_of(request)) do
        local view = fakes.view(name)
        if name == cid(2) then
          view.channel.own_capabilities = { "read-events" }
          view.channel.name = "Another"
          view.channel.config = { custom_events = false }
          view.members = native.json.array { { user_id = "jane", user = { id = "jane" } } }
          view.membership = { user = { id = "john" } }
          view.watcher_count = 9
        end
        views[i] = view
      end
      return 201, native.json.encode { channels = views }
    end
    lose()
    poll_until(is_recovered)
    assert.same({ cid(2) }, changed)
    local channel = channels[2]
    assert.same({ false, "Another", 9, false }, { channel:can "send-custom-events", channel.data.name,
      channel.watcher_count, channel.config.custom_events })
    assert.same({ true, nil, "john" },
      { channel.members.jane ~= nil, channel.members.john, channel.membership.user.id })
    assert.is_true(channels[1]:can "send-custom-events")
  end)
end)
