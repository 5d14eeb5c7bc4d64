--- Custom events kept for those who were away, over real sockets: which come back, in which order, and
--- how a client learns that some do not.
local clock = require "stream_events.server.clock"
local event_rings = require "stream_events.server.event_ring"
local folder = require "support.folder"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local process = require "support.process"
local servers = require "support.server"
local timestamp = require "stream_events.timestamp"

local ROOT = debug.getinfo(1, "S").source:match("^@(.*)spec/[^/]*$")
local LOBBY = "messaging:lobby"
local fixture

local function keep(setting, channel_type)
  local status, body = fixture:call("server", "PUT", "/channeltypes/" .. (channel_type or "messaging"),
    { custom_event_retention = setting })
  assert(status == 201, body.message)
  return body
end

local function send(who, cid, event)
  if who == "server" then event.user_id = event.user_id or "alice" end
  local status, body = fixture:call(who, "POST", "/channels/" .. cid:gsub(":", "/") .. "/event",
    { event = event })
  assert(status == 201, body.message)
  return body.event
end

-- Numbered events from one place to another; gives what was distributed.
local function send_many(from, to, cid, more)
  local sent = {}
  for n = from, to do
    local event = { type = "tick", n = n }
    for name, value in pairs(more or {}) do event[name] = value end
    sent[#sent + 1] = send("alice", cid or LOBBY, event)
  end
  return sent
end

local function sync(since, more, who, query)
  local body = { channel_cids = { LOBBY }, last_sync_at = since }
  for name, value in pairs(more or {}) do body[name] = value end
  local status, answer, whole = fixture:call(who or "bob", "POST", "/sync", body, query)
  assert(status == 201, answer.message)
  return answer, whole.text
end

local function numbers(events)
  local list = {}
  for i, event in ipairs(events) do list[i] = event.n end
  return list
end

local function begin(options)
  fixture = servers.start(options)
  fixture:users("alice", "bob", "carol")
  fixture:channel(LOBBY, { "alice", "bob" })
end

-- Has time pass as a function says; afterwards it is as if that had never been.
local function clock_shows(time)
  native.time = time
  finally(function()
    native.time = nil
    clock.stamp()
    clock.highest = 0
  end)
end

after_each(function()
  if fixture then fixture:stop() end
  fixture = nil
end)

describe("stamps", function()
  local real = native.time

  it("grow, whatever the clock does", function()
    local _, last = clock.stamp()
    local text = clock.stamp()
    for _ = 1, 1000 do
      local now, micros = clock.stamp()
      assert.is_true(micros > last)
      assert.is_true(now:sub(1, -2) > text:sub(1, -2))
      assert.equal(micros, clock.micros(now))
      text, last = now, micros
    end
    local jumps = clock.jumps
    clock_shows(function() return real() - 3 end)
    local _, behind = clock.stamp()
    assert.equal(last + 1, behind)
    assert.equal(jumps, clock.jumps)
  end)

  it("are written without zeros at the end", function()
    for i, expected in ipairs {
      "01.000001Z", "02Z", "03.5Z", "04.00012Z", "05.12Z", "06.10001Z", "07.0007Z",
    } do
      local second, fraction = expected:match "^(%d+)(.*)Z$"
      clock_shows(function() return 4102444800 + tonumber(second) + (tonumber("0" .. fraction) or 0) end)
      local text, micros = clock.stamp()
      assert.equal("2100-01-01T00:00:" .. expected, text, i)
      assert.equal(micros, clock.micros(text))
    end
  end)

  it("follow a clock that was set back far, and say so", function()
    local _, before = clock.stamp()
    local jumps = clock.jumps
    clock_shows(function() return real() - 10 end)
    local _, after = clock.stamp()
    assert.is_true(after < before)
    assert.equal(jumps + 1, clock.jumps)
    assert.is_true(clock.highest >= before)
  end)
end)

describe("the setting custom_event_retention", function()
  before_each(function() begin() end)

  it("is off at first, and stands in the config of channels once it is set", function()
    assert.is_nil(fixture:channel("messaging:a", { "alice" }).config.custom_event_retention)
    assert.same({ seconds = 60, count = 5 }, keep({ seconds = 60, count = 5 }).custom_event_retention)
    assert.same({ seconds = 60, count = 5 },
      fixture:channel("messaging:b", { "alice" }).config.custom_event_retention)
    assert.is_nil(keep(native.json.null).custom_event_retention)
    assert.is_nil(fixture:channel("messaging:c", { "alice" }).config.custom_event_retention)
  end)

  it("is refused when it is not one", function()
    for name, case in pairs {
      ["no object"] = { 5, "object with seconds and count" },
      ["a list"] = { native.json.array { 1, 2 }, "object with seconds and count" },
      ["no count"] = { { seconds = 5 }, "needs count" },
      ["no seconds"] = { { count = 5 }, "needs seconds" },
      ["no whole number"] = { { seconds = 1.5, count = 5 }, "seconds" },
      ["zero"] = { { seconds = 60, count = 0 }, "count" },
      ["too many"] = { { seconds = 60, count = 10001 }, "count" },
      ["too long"] = { { seconds = 30 * 86400 + 1, count = 1 }, "seconds" },
      ["another field"] = { { seconds = 60, count = 5, bytes = 1 }, "bytes" },
    } do
      local status, body = fixture:call("server", "PUT", "/channeltypes/messaging",
        { custom_event_retention = case[1] })
      assert.same({ 400, 4 }, { status, body.code }, name)
      assert.truthy(body.message:find(case[2], 1, true), body.message)
    end
  end)

  it("belongs to the type, not to one channel", function()
    local status = fixture:call("server", "PATCH", "/channels/messaging/lobby",
      { set = { config_overrides = { custom_event_retention = { seconds = 60, count = 5 } } } })
    assert.equal(400, status)
  end)
end)

describe("a sync", function()
  before_each(function()
    begin()
    keep { seconds = 600, count = 50 }
  end)

  it("gives what was sent after its moment, byte for byte and in order, and says that it is all", function()
    local sent = send_many(1, 5)
    local status, answer, whole = fixture:call("alice", "POST", "/channels/messaging/lobby/event",
      [[{"event":{"type":"odd","n":6,"x":1.50,"big":12345678901234567890123,"none":[],"q":"\u00e9"}}]])
    assert.equal(201, status)
    assert.equal(6, answer.event.n)
    local distributed = whole.text:match('^{"event":(.*),"duration"')
    local body, text = sync(sent[2].created_at)
    assert.same({ 3, 4, 5, 6 }, numbers(body.events))
    assert.same({}, body.gap_cids)
    assert.truthy(text:find(distributed, 1, true))
    assert.same(sent[3], body.events[1])
    assert.same({}, sync(answer.event.created_at).events)
    assert.same({}, sync(body.synced_at).events)
  end)

  it("takes dates of other zones and precisions", function()
    local first = send_many(1, 2)[1].created_at
    local seconds = timestamp.parse(first)
    local shifted = timestamp.format(seconds + 7200):sub(1, -2) .. "+02:00"
    assert.same({ 2 }, numbers(sync(shifted).events))
  end)

  it("names every channel of which nothing is kept, or that the caller does not reach", function()
    fixture:channel("team:room", { "alice", "bob" })
    fixture:channel("messaging:closed", { "alice" })
    local since = send_many(1, 1)[1].created_at
    send("alice", "team:room", { type = "tick", n = 1 })
    send("alice", "messaging:closed", { type = "tick", n = 1 })
    local body = sync(since, {
      channel_cids = { "team:room", LOBBY, "messaging:closed", "messaging:none", LOBBY },
      with_inaccessible_cids = true,
    })
    assert.same({}, body.events)
    assert.same({ "messaging:closed", "messaging:none", "team:room" }, body.gap_cids)
    assert.same({ "messaging:closed", "messaging:none" }, body.inaccessible_cids)
  end)

  it("gives the events of several channels as one row", function()
    fixture:channel("messaging:hall", { "alice", "bob" })
    local since = send("alice", LOBBY, { type = "tick", n = 0 }).created_at
    for n = 1, 9 do send("alice", n % 3 == 0 and "messaging:hall" or LOBBY, { type = "tick", n = n }) end
    local body = sync(since, { channel_cids = { "messaging:hall", LOBBY, LOBBY } })
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, numbers(body.events))
    assert.same({}, body.gap_cids)
  end)

  it("keeps neither user events nor what built-in events say", function()
    local since = send_many(1, 1)[1].created_at
    send("alice", LOBBY, { type = "typing.start" })
    assert.equal(201, (fixture:call("server", "POST", "/users/bob/event", { event = { type = "gift" } })))
    assert.same({}, sync(since).events)
  end)

  it("marks the gap when more was sent than is kept", function()
    local sent = send_many(1, 60)
    local body = sync(sent[5].created_at)
    assert.same({ LOBBY }, body.gap_cids)
    assert.equal(50, #body.events)
    assert.equal(11, body.events[1].n)
    -- Who had the tenth has missed nothing.
    body = sync(sent[10].created_at)
    assert.same({}, body.gap_cids)
    assert.equal(50, #body.events)
    assert.equal(50, fixture.server:stats().retention.events)
  end)

  it("marks the gap before the time from which events are kept, and after now", function()
    local before = timestamp.format(native.time() - 60)
    send_many(1, 1)
    local body = sync(before)
    assert.same({ 1 }, numbers(body.events))
    assert.same({ LOBBY }, body.gap_cids)
    body = sync(timestamp.format(native.time() + 3600))
    assert.same({ {}, { LOBBY } }, { body.events, body.gap_cids })
  end)

  it("is as complete as before when the setting changes, and not when it was away", function()
    local since = send_many(1, 3)[1].created_at
    keep { seconds = 1200, count = 60 }
    assert.same({}, sync(since).gap_cids)
    keep(native.json.null)
    keep { seconds = 1200, count = 60 }
    assert.same({ LOBBY }, sync(since).gap_cids)
  end)

  it("begins the watch with its answer: what came before is in it, what comes after is live", function()
    local socket = fixture:connect "bob"
    local since = send_many(1, 1)[1].created_at
    send_many(2, 3)
    local body = sync(since, { watch = true }, "bob", { connection_id = socket.id })
    send_many(4, 5)
    assert.same({ 2, 3 }, numbers(body.events))
    assert.same({ 4, 5 }, { socket:expect("tick").n, socket:expect("tick").n })
    -- The same connection has been sent the rest: only what was before its watch comes again.
    body = sync(since, { watch = true }, "bob", { connection_id = socket.id })
    assert.same({ 2, 3 }, numbers(body.events))
    assert.same({ 2, 3 }, numbers(sync(since, nil, "bob", { connection_id = socket.id }).events))
    assert.same({ 2, 3, 4, 5 }, numbers(sync(since).events))
  end)

  it("gives a connection nothing that it was sent, because it watched before events were kept", function()
    keep(native.json.null)
    local socket = fixture:connect "bob"
    fixture:watch(socket, LOBBY)
    keep { seconds = 600, count = 50 }
    local since = send_many(1, 3)[1].created_at
    assert.same({}, sync(since, nil, "bob", { connection_id = socket.id }).events)
    assert.same({ 2, 3 }, numbers(sync(since).events))
  end)

  it("is complete from the first event of a type that was made to keep them", function()
    assert.equal(201, (fixture:call("server", "POST", "/channeltypes",
      { name = "game", custom_event_retention = { seconds = 600, count = 5 } })))
    fixture:channel("game:one", { "alice", "bob" })
    local since = send_many(1, 2, "game:one")[1].created_at
    local body = sync(since, { channel_cids = { "game:one" } })
    assert.same({ { 2 }, {} }, { numbers(body.events), body.gap_cids })
  end)

  it("loses and doubles nothing while senders and a sync are at work at once", function()
    local socket = fixture:connect "bob"
    local since = send_many(0, 0)[1].created_at
    local others = {}
    for i = 1, 4 do others[i] = http_client.new(fixture.server) end
    local headers = { Authorization = fixture:user_token "alice", ["stream-auth-type"] = "jwt" }
    for n = 1, 10 do
      for _, other in ipairs(others) do
        other:send("POST", "/channels/messaging/lobby/event?api_key=devkey", headers,
          native.json.encode { event = { type = "tick", n = n } })
      end
      if n == 5 then
        others[1].synced = true
        others[1]:send("POST", "/sync?api_key=devkey&connection_id=" .. socket.id,
          { Authorization = fixture:user_token "bob", ["stream-auth-type"] = "jwt" },
          native.json.encode { channel_cids = { LOBBY }, last_sync_at = since, watch = true })
      end
    end
    local answer, stamps
    for _, other in ipairs(others) do
      for _ = 1, other.synced and 11 or 10 do
        local given = other:next_answer()
        assert.equal(201, given.status)
        if given.body.events then answer = given.body end
      end
      other:close()
    end
    stamps = {}
    for _, event in ipairs(answer.events) do stamps[#stamps + 1] = event.created_at end
    for _, event in ipairs(socket:settled()) do
      if event.type == "tick" then stamps[#stamps + 1] = event.created_at end
    end
    assert.equal(40, #stamps)
    for i = 2, #stamps do assert.is_true(stamps[i]:sub(1, -2) > stamps[i - 1]:sub(1, -2)) end
  end)

  it("tells a query that watches since when it does, and no other", function()
    local socket = fixture:connect "bob"
    assert.is_nil(fixture:channel(LOBBY, { "alice" }).watched_at)
    local first = fixture:watch(socket, LOBBY).watched_at
    assert.is_number(timestamp.parse(first))
    assert.equal(first, fixture:watch(socket, LOBBY).watched_at)
    local _, many = fixture:call("bob", "POST", "/channels", { watch = true }, { connection_id = socket.id })
    assert.equal(first, many.channels[1].watched_at)
    fixture:channel("team:room", { "bob" })
    assert.is_nil(fixture:watch(socket, "team:room").watched_at)
  end)

  it("gives the newest that an answer holds, and marks the gap", function()
    keep { seconds = 600, count = 3000 }
    local sender = http_client.new(fixture.server)
    local headers = { Authorization = fixture:user_token "alice", ["stream-auth-type"] = "jwt" }
    local since = send_many(0, 0)[1].created_at
    for n = 1, 2100 do
      sender:send("POST", "/channels/messaging/lobby/event?api_key=devkey", headers,
        ('{"event":{"type":"tick","n":%d}}'):format(n))
      if n % 100 == 0 then for _ = 1, 100 do assert.equal(201, sender:next_answer().status) end end
    end
    sender:close()
    local body = sync(since)
    assert.equal(2000, #body.events)
    assert.same({ 101, 2100 }, { body.events[1].n, body.events[2000].n })
    assert.same({ LOBBY }, body.gap_cids)
  end)

  it("gives 4 MiB at most, all of what fits", function()
    keep { seconds = 600, count = 3000 }
    fixture:channel("messaging:hall", { "alice", "bob" })
    local since = send_many(0, 0)[1].created_at
    local pad = ("x"):rep(4900)
    for n = 1, 900, 2 do
      send_many(n, n, LOBBY, { pad = pad })
      send_many(n + 1, n + 1, "messaging:hall", { pad = pad })
    end
    local body, text = sync(since, { channel_cids = { LOBBY, "messaging:hall" } })
    local got = #body.events
    assert.is_true(#text < (4 << 20) + 1000 and #text > (4 << 20) - 6000)
    assert.same({ 901 - got, 900 }, { body.events[1].n, body.events[got].n })
    assert.same({ "messaging:hall", LOBBY }, body.gap_cids)
  end)
end)

describe("what is kept", function()
  it("is forgotten at once when the setting goes, and smaller when it shrinks", function()
    begin()
    keep { seconds = 600, count = 50 }
    local sent = send_many(1, 20)
    keep { seconds = 600, count = 5 }
    local body = sync(sent[1].created_at)
    assert.same({ 16, 17, 18, 19, 20 }, numbers(body.events))
    assert.same({ LOBBY }, body.gap_cids)
    keep { seconds = 600, count = 8 }
    send_many(21, 30)
    assert.same({ 23, 24, 25, 26, 27, 28, 29, 30 }, numbers(sync(sent[1].created_at).events))
    keep(native.json.null)
    body = sync(sent[20].created_at)
    assert.same({ {}, { LOBBY } }, { body.events, body.gap_cids })
    assert.same({ events = 0, bytes = 0, channels = 0 }, fixture.server:stats().retention)
    keep { seconds = 600, count = 8 }
    assert.same({ LOBBY }, sync(sent[20].created_at).gap_cids)
  end)

  it("is given to nobody while custom events are switched off, which is a gap", function()
    begin()
    keep { seconds = 600, count = 50 }
    local sent = send_many(1, 3)
    local function switch(on)
      assert.equal(201, (fixture:call("server", "PUT", "/channeltypes/messaging", { custom_events = on })))
    end
    switch(false)
    local body = sync(sent[1].created_at)
    assert.same({ {}, { LOBBY } }, { body.events, body.gap_cids })
    assert.same({}, sync(sent[3].created_at).gap_cids)
    switch(true)
    body = sync(sent[1].created_at)
    assert.same({ { 2, 3 }, {} }, { numbers(body.events), body.gap_cids })
  end)

  it("goes when it is too old", function()
    begin()
    keep { seconds = 60, count = 50 }
    local real, ahead = native.time, 0
    clock_shows(function() return real() + ahead end)
    local first = send_many(1, 2)
    ahead = 50
    send_many(3, 3)
    assert.same({ 2, 3 }, numbers(sync(first[1].created_at).events))
    ahead = 70
    local body = sync(first[1].created_at)
    assert.same({ { 3 }, { LOBBY } }, { numbers(body.events), body.gap_cids })
    assert.same({}, sync(first[2].created_at).gap_cids)
  end)

  it("is forgotten when the clock is set back, which is a gap", function()
    begin()
    keep { seconds = 600, count = 50 }
    local real, behind = native.time, 0
    clock_shows(function() return real() - behind end)
    local sent = send_many(1, 2)
    behind = 30
    local later = send_many(3, 4)
    local body = sync(sent[1].created_at)
    assert.same({ LOBBY }, body.gap_cids)
    assert.same({ LOBBY }, sync(later[1].created_at).gap_cids)
    behind = 0
    assert.same({ LOBBY }, sync(sent[2].created_at).gap_cids)
    sent = send_many(5, 6)
    assert.same({ { 6 }, {} },
      { numbers(sync(sent[1].created_at).events), sync(sent[1].created_at).gap_cids })
  end)

  it("is bounded in bytes, for one channel and for all", function()
    begin { retention_bytes = 160000 }
    keep { seconds = 600, count = 10000 }
    local since = send_many(0, 0)[1].created_at
    send_many(1, 100, LOBBY, { text = ("x"):rep(400) })
    local stats = fixture.server:stats().retention
    assert.is_true(stats.bytes <= 10000 and stats.events < 20 and stats.events > 5)
    local body = sync(since)
    assert.equal(100, body.events[#body.events].n)
    assert.same({ LOBBY }, body.gap_cids)
    for i = 1, 30 do
      local cid = "messaging:room" .. i
      fixture:channel(cid, { "alice" })
      send_many(1, 15, cid, { text = ("x"):rep(400) })
      assert.is_true(fixture.server:stats().retention.bytes <= 160000)
    end
    -- Who has little keeps it, or most of it; nobody is left with nothing.
    for i = 1, 30 do
      body = sync(since, { channel_cids = { "messaging:room" .. i } }, "alice")
      assert.equal(15, body.events[#body.events].n)
    end
  end)

  it("is shared among the channels that have something, not with those that had", function()
    begin { retention_bytes = 160000 }
    keep { seconds = 60, count = 10000 }
    local real, ahead = native.time, 0
    clock_shows(function() return real() + ahead end)
    for i = 1, 60 do
      fixture:channel("messaging:old" .. i, { "alice" })
      send_many(1, 1, "messaging:old" .. i)
    end
    ahead = 120
    fixture.server.parts.retention:tick()
    assert.equal(0, fixture.server:stats().retention.events)
    for i = 1, 20 do
      fixture:channel("messaging:new" .. i, { "alice" })
      send_many(1, 16, "messaging:new" .. i, { text = ("x"):rep(300) })
    end
    local retention = fixture.server:stats().retention
    assert.is_true(retention.bytes > 100000 and retention.bytes <= 160000)
  end)

  it("goes with its channel", function()
    begin()
    keep { seconds = 600, count = 50 }
    local since = send_many(1, 3)[1].created_at
    assert.equal(200, (fixture:call("server", "DELETE", "/channels/messaging/lobby")))
    assert.equal(0, fixture.server:stats().retention.bytes)
    fixture:channel(LOBBY, { "alice", "bob" })
    assert.same({}, sync(since).events)
  end)

  it("goes with who sent it, when that user is deleted for good, which is a gap", function()
    begin()
    keep { seconds = 600, count = 10 }
    local before = send("bob", LOBBY, { type = "tick", n = 0 }).created_at
    send_many(1, 2)
    local last = send("server", LOBBY, { type = "tick", n = 3, user_id = "alice" }).created_at
    send("bob", LOBBY, { type = "tick", n = 4, user = { id = "alice" }, data = { user = { id = "alice" } } })
    local bytes = fixture.server:stats().retention.bytes
    assert.equal(200, (fixture:call("server", "DELETE", "/users/alice")))
    assert.same({ 1, 2, 3, 4 }, numbers(sync(before).events))
    assert.same({}, sync(before).gap_cids)
    assert.equal(201, (fixture:call("server", "POST", "/users/delete",
      { user_ids = { "alice" }, user = "hard" })))
    local answer = sync(before)
    assert.same({ 4 }, numbers(answer.events))
    assert.same({ LOBBY }, answer.gap_cids)
    assert.same({}, sync(last).gap_cids)
    local stats = fixture.server:stats().retention
    assert.same({ 2, true }, { stats.events, stats.bytes < bytes })
    send("bob", LOBBY, { type = "tick", n = 5 })
    assert.same({ 4, 5 }, numbers(sync(last).events))
  end)

  it("goes with all of several users at once, and is looked through once for them", function()
    begin()
    keep { seconds = 600, count = 10 }
    local before = send("bob", LOBBY, { type = "tick", n = 0 }).created_at
    send("server", LOBBY, { type = "tick", n = 1, user_id = "alice" })
    send("server", LOBBY, { type = "tick", n = 2, user_id = "carol" })
    send("bob", LOBBY, { type = "tick", n = 3 })
    local retention, calls = fixture.server.parts.retention, 0
    local forget = retention.forget_senders
    retention.forget_senders = function(...)
      calls = calls + 1
      return forget(...)
    end
    assert.equal(201, (fixture:call("server", "POST", "/users/delete",
      { user_ids = { "alice", "carol" }, user = "hard" })))
    assert.same({ 3 }, numbers(sync(before).events))
    assert.equal(1, calls)
  end)

  it("of which some went is a gap still when older ones go as well", function()
    local ring = event_rings.new(10)
    for stamp, text in ipairs { "bob", "bob", "alice", "bob" } do ring:push(text, stamp) end
    ring:remove(function(text) return text == "alice" end)
    assert.same({ 3, 3 }, { ring.count, ring.lost })
    ring:drop()
    assert.same({ 2, 3 }, { ring.count, ring.lost })
    ring:drop()
    ring:drop()
    assert.equal(4, ring.lost)
  end)

  it("touches no database", function()
    begin()
    keep { seconds = 600, count = 50 }
    local store = fixture.server.parts.store
    local writes = 0
    for _, name in ipairs { "put", "delete", "transaction", "each" } do
      local method = store[name]
      store[name] = function(...)
        writes = writes + 1
        return method(...)
      end
    end
    local since = send_many(1, 5)[1].created_at
    assert.equal(4, #sync(since).events)
    assert.equal(0, writes)
  end)
end)

describe("over a restart", function()
  local data

  before_each(function() data = folder.new():at "server.db" end)

  local function restart()
    fixture:stop()
    fixture = servers.start { data = data }
  end

  it("what was kept is there after a stop in good order, once", function()
    begin { data = data }
    keep { seconds = 600, count = 5 }
    local sent = send_many(1, 8)
    restart()
    local body = sync(sent[4].created_at)
    assert.same({ { 5, 6, 7, 8 }, {} }, { numbers(body.events), body.gap_cids })
    assert.same({ LOBBY }, sync(sent[2].created_at).gap_cids)
    assert.is_true(send_many(9, 9)[1].created_at > sent[8].created_at)
    restart()
    assert.same({ 5, 6, 7, 8, 9 }, numbers(sync(sent[4].created_at).events))
    for _ in fixture.server.parts.store:each "kept_events" do error "it was not removed" end
  end)

  it("stamps go on from where the last server was, even if the clock has not yet come there", function()
    begin { data = data }
    keep { seconds = 600, count = 5 }
    local _, now = clock.stamp()
    fixture.server.parts.retention.save = function(self)
      self.store:put("kept_events", "state",
        { policies = native.json.decode "{}", floor = 0, last = now + 3000000 })
    end
    restart()
    assert.is_true(clock.micros(send_many(1, 1)[1].created_at) > now + 3000000)
  end)

  it("nothing is there when the type keeps nothing", function()
    begin { data = data }
    keep { seconds = 600, count = 5 }
    local sent = send_many(1, 2)
    keep(native.json.null)
    restart()
    assert.same({ LOBBY }, sync(sent[1].created_at).gap_cids)
  end)

  it("a kill is a gap, and brings nothing back that was there before", function()
    local function serve()
      local child = process.start("lua5.4", {
        (ROOT == "" and "./" or ROOT) .. "lua/bin/stream-events", "serve", "--port", "0", "--data", data,
        "--api-key", "devkey", "--api-secret", "lan-dev-secret",
      })
      local port = child:wait_for("stdout", "listening on http://127%.0%.0%.1:(%d+)")
      fixture = servers.attach { host = "127.0.0.1", port = tonumber(port), api_key = "devkey",
        api_secret = "lan-dev-secret" }
      return child
    end
    finally(process.end_all)
    local child = serve()
    fixture:users("alice", "bob")
    fixture:channel(LOBBY, { "alice", "bob" })
    keep { seconds = 600, count = 5 }
    local sent = send_many(1, 3)
    fixture:stop()
    child:kill "sigterm"
    assert.equal(0, child:finish())
    child = serve()
    assert.same({ 2, 3 }, numbers(sync(sent[1].created_at).events))
    send_many(4, 5)
    fixture:stop()
    child:kill "sigkill"
    child:finish()
    child = serve()
    local body = sync(sent[1].created_at)
    assert.same({ {}, { LOBBY } }, { body.events, body.gap_cids })
    local after = send_many(6, 7)
    body = sync(after[1].created_at)
    assert.same({ { 7 }, {} }, { numbers(body.events), body.gap_cids })
    fixture:stop()
    child:kill "sigterm"
    child:finish()
    fixture = nil
  end)
end)
