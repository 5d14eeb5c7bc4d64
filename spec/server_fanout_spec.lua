--- The fan-out over real sockets: who gets what, in which order, and what happens to slow readers.
local frames = require "support.frames"
local listening = require "support.listening"

local CLOSE = 0x88

local fixture, listener

local function open(options)
  fixture = listening.open(options)
  listener = fixture.listener
end

after_each(function()
  fixture:close()
  fixture = nil
end)

-- Closes every client's WebSocket so that all it will ever receive is there, and returns the texts.
local function texts_of(client)
  client:finish()
  local texts, got, rest = {}, client:frames()
  assert.equal("", rest)
  for _, frame in ipairs(got) do
    if frame[1] == 0x81 then texts[#texts + 1] = frame[2] end
  end
  return texts
end

describe("groups", function()
  before_each(function() open() end)

  it("know who is in them", function()
    local client, one = fixture:websocket()
    local _, two = fixture:websocket()
    assert.equal(0, listener:group_size(7))
    assert.is_true(listener:join(7, one))
    assert.is_false(listener:join(7, one))
    assert.is_true(listener:join(7, two))
    assert.is_true(listener:join(-7, two))
    assert.equal(2, listener:group_size(7))
    assert.equal(1, listener:group_size(-7))
    assert.is_true(listener:leave(7, two))
    assert.is_false(listener:leave(7, two))
    assert.is_false(listener:leave(8, two))
    assert.equal(1, listener:group_size(7))
    client:close()
    fixture:expect "closed"
    assert.equal(0, listener:group_size(7))
    assert.is_false(listener:join(7, one))
    assert.is_false(listener:leave(7, one))
  end)

  it("have no members but WebSockets", function()
    local client = fixture:client()
    client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    local number = fixture:expect "request"
    assert.is_false(listener:join(1, number))
    assert.is_false(listener:send(number, "x"))
    assert.is_false(listener:join(1, 12345))
  end)

  it("may be many", function()
    local client, number = fixture:websocket()
    for group = 1, 500 do assert.is_true(listener:join(group, number)) end
    for group = 1, 500 do assert.equal(1, listener:broadcast(group, tostring(group))) end
    listener:flush()
    local got = client:expect_frames(500)
    for group = 1, 500 do assert.equal(tostring(group), got[group][2]) end
    for group = 500, 1, -1 do assert.is_true(listener:leave(group, number)) end
    assert.equal(0, listener:broadcast(250, "x"))
  end)
end)

describe("a broadcast", function()
  before_each(function() open() end)

  it("reaches every member and nobody else", function()
    local clients, numbers = {}, {}
    for i = 1, 5 do clients[i], numbers[i] = fixture:websocket() end
    for i = 1, 4 do listener:join(1, numbers[i]) end
    assert.equal(4, listener:broadcast(1, "ä"))
    listener:flush()
    listener:send(numbers[5], "alone")
    listener:flush()
    for i = 1, 4 do assert.same({ { 0x81, "ä" } }, (clients[i]:expect_frames(1))) end
    assert.same({ { 0x81, "alone" } }, (clients[5]:expect_frames(1)))
  end)

  it("may be of any length", function()
    local client, number = fixture:websocket()
    listener:join(1, number)
    local lengths = { 0, 1, 125, 126, 127, 65535, 65536, 200000 }
    for _, len in ipairs(lengths) do listener:broadcast(1, ("x"):rep(len)) end
    listener:flush()
    for i, frame in ipairs((client:expect_frames(#lengths))) do
      assert.equal(lengths[i], #frame[2])
    end
  end)

  it("must be UTF-8, since every member would end its connection", function()
    local _, number = fixture:websocket()
    listener:join(1, number)
    assert.error(function() listener:broadcast(1, "\xc3") end)
    assert.error(function() listener:send(number, "\xff") end)
    assert.is_true(listener:send(number, "\xff", "binary"))
    assert.error(function() listener:send(number, "x", "ping") end)
  end)

  it("waits for the flush", function()
    local client, number = fixture:websocket()
    listener:join(1, number)
    listener:broadcast(1, "first")
    listener:step()
    listener:send(number, "second")
    listener:step()
    assert.same({}, (client:frames()))
    listener:flush()
    listener:flush()
    assert.same({ "first", "second" }, (client:expect_frames(2)) and client:payloads())
  end)

  it("keeps the order of the calls, over groups and what is sent alone", function()
    local client, number = fixture:websocket()
    local other_client, other = fixture:websocket()
    for group = 1, 3 do listener:join(group, number) end
    listener:join(2, other)
    for round = 0, 2 do
      listener:broadcast(2, round .. "a")
      listener:send(number, round .. "b")
      listener:broadcast(1, round .. "c")
      listener:broadcast(1, round .. "d")
      listener:broadcast(3, round .. "e")
      listener:send(number, round .. "f", "binary")
      listener:broadcast(2, round .. "g")
      listener:flush()
    end
    client:expect_frames(21)
    assert.equal("0a0b0c0d0e0f0g1a1b1c1d1e1f1g2a2b2c2d2e2f2g", table.concat(client:payloads()))
    other_client:expect_frames(6)
    assert.equal("0a0g1a1g2a2g", table.concat(other_client:payloads()))
  end)

  it("reaches who is a member at that moment", function()
    local client, number = fixture:websocket()
    local _, stays = fixture:websocket()
    listener:join(1, stays)
    listener:broadcast(1, "before")
    listener:join(1, number)
    listener:broadcast(1, "1")
    listener:leave(1, number)
    listener:broadcast(1, "outside")
    listener:send(number, "2")
    listener:join(1, number)
    listener:broadcast(1, "3")
    listener:leave(1, number)
    listener:leave(1, stays)
    listener:flush()
    listener:join(1, number)
    listener:broadcast(1, "4")
    listener:flush()
    client:expect_frames(4)
    assert.same({ "1", "2", "3", "4" }, client:payloads())
  end)

  it("is flushed unasked before a turn grows without bound", function()
    fixture:close()
    open { max_output = 64 << 20 }
    local client, number = fixture:websocket()
    listener:join(1, number)
    local text = ("x"):rep(1 << 20)
    for _ = 1, 10 do listener:broadcast(1, text) end
    fixture:wait("some arrive without a flush", function() return #client:text() > 1 << 20 end)
    listener:flush()
    assert.equal(10, #client:expect_frames(10))
  end)

  -- Random joins, leaves, broadcasts, sends, flushes and closings against a list for each client.
  for seed = 1, 20 do
    it("agrees with a simple model, seed " .. seed, function()
      math.randomseed(seed)
      local clients, numbers, expected, member = {}, {}, {}, {}
      for i = 1, 6 do
        clients[i], numbers[i] = fixture:websocket()
        expected[i], member[i] = {}, {}
      end
      for op = 1, 400 do
        local i, group = math.random(6), math.random(4)
        local dice = numbers[i] and math.random(100) or 99 -- one that was closed does nothing more
        if dice <= 25 then
          assert.equal(not member[i][group], listener:join(group, numbers[i]))
          member[i][group] = true
        elseif dice <= 40 then
          assert.equal(member[i][group] or false, listener:leave(group, numbers[i]))
          member[i][group] = nil
        elseif dice <= 75 then
          local count = 0
          for j = 1, 6 do
            if member[j][group] then
              count = count + 1
              table.insert(expected[j], "all " .. op)
            end
          end
          assert.equal(count, listener:broadcast(group, "all " .. op))
        elseif dice <= 85 then
          assert.is_true(listener:send(numbers[i], "own " .. op))
          table.insert(expected[i], "own " .. op)
        elseif dice <= 99 then
          listener:flush()
        elseif math.random(3) == 1 then
          listener:close(numbers[i], 1000)
          numbers[i], member[i] = nil, {}
        end
      end
      listener:shutdown()
      for i = 1, 6 do
        clients[i]:frame("close", frames.close(1000))
        assert.same(expected[i], texts_of(clients[i]))
      end
    end)
  end
end)

describe("a client that reads slowly", function()
  -- Fills the way to a client that does not read, until something has to wait.
  local function fill(group, text)
    local count = 0
    repeat
      listener:broadcast(group, text)
      listener:flush()
      count = count + 1
    until listener:stats().queued_bytes > 0
    return count
  end

  it("gets everything in order once it reads again", function()
    open { max_output = 64 << 20 }
    local client, number = fixture:websocket()
    listener:join(1, number)
    listener:join(2, number)
    client:stop_reading()
    local filler = ("x"):rep(50000)
    local count = fill(1, filler)
    local expected = {}
    for i = 1, 300 do
      local text = i .. ":" .. ("y"):rep(i % 7 * 1000)
      expected[i] = text
      if i % 3 == 0 then listener:send(number, text) else listener:broadcast(i % 3, text) end
      if i % 5 == 0 then listener:flush() end
      if i % 50 == 0 then fixture:turn() end
    end
    listener:flush()
    client:read()
    client:expect_frames(count + 300)
    local got = client:payloads()
    for i = 1, count do assert.is_true(got[i] == filler) end
    for i = 1, 300 do assert.equal(expected[i], got[count + i]) end
    assert.equal(0, listener:stats().queued_bytes)
    assert.equal(0, listener:stats().too_slow)
  end)

  it("is closed with 1013 when too much waits, after whole frames", function()
    open { max_output = 100000 }
    local slow, number = fixture:websocket()
    local quick, other = fixture:websocket()
    listener:join(1, number)
    listener:join(1, other)
    slow:stop_reading()
    local most, sent = 0, 0
    while #fixture.results == 0 do
      sent = sent + 1
      listener:broadcast(1, sent .. (":"):rep(997))
      if sent % 10 == 0 then
        fixture:turn()
        quick:expect_frames(sent)
      end
      most = math.max(most, listener:stats().queued_bytes)
    end
    assert.same({ number, 1013 }, { fixture:expect "closed" })
    assert.is_true(most <= 100000 + 10 * 1010, most)
    assert.equal(1, listener:stats().too_slow)
    assert.equal(1, listener:group_size(1))
    slow:read()
    slow:frame("close", frames.close(1013))
    slow:finish()
    local got, rest = slow:frames()
    assert.equal("", rest)
    assert.same({ CLOSE, frames.close(1013, "too slow") }, table.remove(got))
    for i, frame in ipairs(got) do assert.equal(i .. (":"):rep(997), frame[2]) end
    listener:broadcast(1, "the others go on")
    listener:flush()
    assert.same({ 0x81, "the others go on" }, quick:expect_frames(#quick:frames() + 1)[#quick:frames()])
  end)

  it("has slow_timeout to read that it is closed, not the time of other goodbyes", function()
    for _, seconds in ipairs { 0.5, 500 } do
      open { max_output = 100000, slow_timeout = seconds, idle_timeout = 1000 }
      local slow, number = fixture:websocket()
      listener:join(1, number)
      slow:stop_reading()
      while listener:stats().too_slow == 0 do
        listener:broadcast(1, ("x"):rep(10000))
        listener:flush()
      end
      local left = listener:timeout()
      assert.is_true(left <= seconds and left > seconds / 2 - 1, left)
      slow:frame("ping", "still there") -- is read, and does not win it more
      fixture:turn()
      assert.is_true(listener:timeout() <= left)
      fixture:close()
    end
    open()
  end)

  it("and never reads again is dropped", function()
    open { max_output = 100000, slow_timeout = 0.05 }
    local slow, number = fixture:websocket()
    listener:join(1, number)
    slow:stop_reading()
    while listener:stats().too_slow == 0 do
      listener:broadcast(1, ("x"):rep(10000))
      listener:flush()
    end
    assert.is_true(listener:stats().queued_bytes < 20000)
    fixture:wait("dropped", function() return listener:stats().connections == 0 end)
  end)

  it("cannot make its pongs pile up", function()
    open { max_output = 20000 }
    local slow = fixture:websocket()
    slow:stop_reading()
    local pings = frames.frame("ping", ("p"):rep(125), { key = true }):rep(500)
    fixture:wait("closed", function()
      if #fixture.results == 0 or fixture.results[#fixture.results][1] ~= "closed" then
        slow:post(pings)
      end
      fixture.results = { fixture.results[#fixture.results] }
      return fixture.results[1] and fixture.results[1][1] == "closed"
    end)
    assert.equal(1013, fixture.results[1][3])
    assert.is_true(listener:stats().queued_bytes < 20000)
  end)

  it("pays for the smallest messages too", function()
    open { max_output = 20000 }
    local slow, number = fixture:websocket()
    listener:join(1, number)
    slow:stop_reading()
    fill(1, ("x"):rep(5000))
    local sent = 0
    while listener:stats().too_slow == 0 do
      listener:send(number, "")
      listener:flush()
      sent = sent + 1
    end
    assert.is_true(sent <= 20000 / 64)
  end)
end)
