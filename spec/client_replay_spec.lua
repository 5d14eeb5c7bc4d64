--- What a client makes of the answers to its syncs after a reconnect: good ones, late ones, bad ones.
local fakes = require "support.fake_transport"
local native = require "stream_events.native"
local pacing = require "stream_events.pacing"

local NO_CONNECTION = '{"code":46,"message":"no such connection","StatusCode":400}'
local KEPT = { custom_events = true, custom_event_retention = { seconds = 60, count = 10 } }
local fake, client, channel, got, recovered

-- A channel, watched.
local function view(cid)
  local made = fakes.view(cid)
  made.channel.config, made.watched_at = KEPT, "2026-01-01T00:00:00.5Z"
  return made
end

-- A server that keeps events; syncs are answered by `sync(body, request)`, nil: not at all.
local function begin(sync, more)
  fake = fakes.new()
  fake.answer = function(request)
    if request.path == "/sync" then return sync(native.json.decode(request.body), request) end
    local id = request.path:match "^/channels/messaging/([^/]+)/query$"
    if id then return 201, native.json.encode(view("messaging:" .. id)) end
    local cids = fakes.cids_of(request)
    if not cids then return fake.usual_answer(request) end
    local views = native.json.array {}
    for i, cid in ipairs(cids) do views[i] = view(cid) end
    return 201, native.json.encode { channels = views }
  end
  client = fake.connected(more)
  channel = client:channel("messaging", "general")
  assert(channel:watch())
  got, recovered = {}, {}
  client:subscribe_for("tick", function(event) got[#got + 1] = event.n end)
  client:subscribe_for("connection.recovered", function(event) recovered[#recovered + 1] = event end)
end

local function event(n, at, cid)
  return { type = "tick", n = n, cid = cid or "messaging:general", created_at = at or
    ("2026-01-01T00:00:%02dZ"):format(n), user = { id = "jane" } }
end

local function receive(n, at) fake.socket:receive(event(n, at)) end

local function lose()
  fake.socket:finish("network", "reset")
end

local function polls(count)
  for _ = 1, count do client:poll(5) end
end

local function answer(events, gaps, more)
  local body = {
    events = native.json.array(events), gap_cids = native.json.array(gaps or {}),
    synced_at = "2026-01-01T00:00:50Z",
  }
  for name, value in pairs(more or {}) do body[name] = value end
  return 201, native.json.encode(body)
end

-- Begins, and notes since when what was missed is asked for; each answer has these events.
local function begin_noting(events)
  local asked = {}
  begin(function(body)
    asked[#asked + 1] = body.last_sync_at
    return answer(events or {})
  end)
  return asked
end

describe("after a reconnect", function()
  it("the server is asked from the last event on that came, not by the client's clock", function()
    local asked = {}
    begin(function(body)
      asked[#asked + 1] = body
      return answer { event(4), event(5) }
    end)
    receive(2)
    client:poll()
    receive(3, "2026-01-01T00:00:03.25Z")
    client:poll()
    lose()
    polls(6)
    assert.same({ channel_cids = { "messaging:general" }, last_sync_at = "2026-01-01T00:00:03.25Z",
      watch = true }, asked[1])
    assert.same({ 2, 3, 4, 5 }, got)
    assert.same({ false, {}, 2 }, { recovered[1].gap, recovered[1].gap_cids, recovered[1].replayed })
    assert.equal(0, client:stats().gaps)
    assert.truthy(fake.last("/sync").query:find("connection_id=connection-2", 1, true))
  end)

  it("the beginning of the watch counts where nothing came, and health checks count as well", function()
    local asked = begin_noting()
    lose()
    polls(6)
    fake.socket:receive { type = "health.check", cid = "*", created_at = "2026-01-01T00:00:59Z",
      connection_id = "connection-2" }
    client:poll()
    lose()
    polls(6)
    assert.same({ "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:59Z" }, asked)
  end)

  it("what was missed comes before what is live, although that came first", function()
    local request
    begin(function(_, given) request = given end)
    lose()
    fake.on_connect = function(socket)
      socket:greet()
      socket:receive(event(9))
    end
    for _ = 1, 10 do if not request then client:poll(5) end end
    for _ = 1, 5 do client:poll() end
    assert.same({}, got)
    fake.reply(request, answer { event(1), event(2) })
    polls(4)
    assert.same({ 1, 2, 9 }, got)
    assert.is_false(recovered[1].gap)
  end)

  it("what was missed stays away when its channel is not watched any more by then", function()
    local request
    begin(function(_, given) request = given end)
    lose()
    for _ = 1, 10 do if not request then client:poll(5) end end
    channel:stop_watching(function() end)
    fake.reply(request, answer { event(1) })
    polls(4)
    assert.same({ {}, 0 }, { got, recovered[1].replayed })
  end)

  it("an answer that comes when the connection is lost again is left out", function()
    local requests = {}
    begin(function(_, request) requests[#requests + 1] = request end)
    lose()
    for _ = 1, 10 do if not requests[1] then client:poll(5) end end
    fake.socket:finish("network", "reset")
    fake.socket.inbox = {}
    client:poll()
    fake.socket.ended = { kind = "network", message = "reset" }
    for _ = 1, 20 do if not requests[2] then client:poll(1) end end
    fake.reply(requests[1], answer { event(1) })
    client:poll()
    assert.same({}, got)
    fake.reply(requests[2], answer { event(2) })
    polls(3)
    assert.same({ 2 }, got)
  end)

  it("what came while the watch was being asked for is known as well", function()
    local asked = begin_noting()
    assert(channel:stop_watching())
    local usual, query = fake.answer, nil
    fake.answer = function(request)
      if request.path:find "query$" then
        query = request
        return nil
      end
      return usual(request)
    end
    fake.socket.tracks = false
    channel:watch(function() end)
    client:poll()
    receive(5)
    client:poll()
    fake.answer = usual
    fake.reply(query, usual(query))
    client:poll()
    lose()
    polls(6)
    assert.same({ "2026-01-01T00:00:05Z" }, asked)
  end)

  it("what is left of it is not waited with until something else happens", function()
    begin(function() return answer { event(1), event(2) } end)
    fake.on_connect = function(socket)
      socket:greet()
      local next_text = socket.next
      local left = 20
      socket.next = function(self) -- as one that gives up looking after long judging
        if self.missed and left > 0 then
          left = left - 1
          return nil
        end
        return next_text(self)
      end
    end
    lose()
    for _ = 1, 10 do if not fake.last "/sync" then client:poll(5) end end
    local began = fake.clock.now()
    for _ = 1, 20 do if #got < 2 then client:poll(5) end end
    assert.same({ 1, 2 }, got)
    assert.equal(began, fake.clock.now())
  end)

  it("events that are known already, and those of other channels, are left out", function()
    begin(function()
      return answer { event(1), event(2), event(3), event(4, nil, "messaging:other") }
    end)
    receive(2)
    client:poll()
    lose()
    polls(6)
    assert.same({ 2, 3 }, got)
  end)

  it("a sync without an answer holds nothing up for longer than a request may take", function()
    begin(function() return nil end)
    lose()
    fake.on_connect = function(socket)
      socket:greet()
      socket:receive(event(9))
    end
    local began = fake.clock.now()
    for _ = 1, 20 do
      if not recovered[1] then client:poll(5) end
    end
    assert.same({ 9 }, got)
    assert.same({ true, { "messaging:general" } }, { recovered[1].gap, recovered[1].gap_cids })
    assert.is_true(fake.clock.now() - began < 12)
  end)

  it("a sync without an answer may make the program close the client, and all is answered once", function()
    begin(function() return nil end, {
      logger = function(_, message)
        if message:find "missed" then client:close() end
      end,
    })
    lose()
    while not fake.last "/sync" do client:poll(1) end
    local answers = {}
    fake.answer = function() return nil end
    for i = 1, 20 do
      client:channel("messaging", "c" .. i):query(function() answers[i] = (answers[i] or 0) + 1 end)
    end
    fake.clock.advance(7)
    for _ = 1, 3 do client:poll() end
    assert.same({ 20, 0 }, { #answers, client:stats().in_flight })
    for _, count in ipairs(answers) do assert.equal(1, count) end
  end)

  it("a broken connection of HTTP is tried again", function()
    local calls = 0
    begin(function()
      calls = calls + 1
      if calls < 3 then return nil, "network" end
      return answer { event(1) }
    end)
    local sync = fake.answer
    fake.answer = function(request)
      local status, body = sync(request)
      if not status and body then
        fake.reply(request, nil, "network", "reset")
        return nil
      end
      return status, body
    end
    lose()
    polls(8)
    assert.same({ 3, { 1 }, false }, { calls, got, recovered[1].gap })
  end)

  it("what was missed comes over the next connection when this one is gone for the server: no gap", function()
    local asked = {}
    begin(function(body)
      asked[#asked + 1] = body.last_sync_at
      if #asked > 1 then return answer { event(1), event(2) } end
      fake.socket:event("note", { created_at = "2026-01-01T00:00:05Z" }) -- to the user; of no channel
      fake.socket:finish("closed", "restart", 1012)
      return 400, NO_CONNECTION
    end)
    local notes = 0
    client:subscribe_for("note", function() notes = notes + 1 end)
    lose()
    for _ = 1, 12 do if not recovered[1] then client:poll(5) end end
    assert.same({ "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.5Z" }, asked)
    assert.same({ { 1, 2 }, 1, 1, false }, { got, notes, #recovered, recovered[1].gap })
  end)

  it("there is a gap when the server knows no such connection, and it goes on all the same", function()
    local calls = 0
    begin(function()
      calls = calls + 1
      return 400, NO_CONNECTION
    end)
    lose()
    polls(6)
    receive(5)
    polls(2)
    assert.same({ 1, { 5 }, true, { "messaging:general" } },
      { calls, got, recovered[1].gap, recovered[1].gap_cids })
    lose()
    polls(6)
    assert.same({ 2, true }, { calls, recovered[2].gap })
  end)

  for status, has_gap in pairs { [429] = false, [503] = true } do
    it(("so, behind a %d: %s"):format(status, has_gap and "it may have been done all the same" or "no gap"),
      function()
        local calls = 0
        begin(function()
          calls = calls + 1
          if calls == 1 then return status, ('{"code":9,"message":"busy","StatusCode":%d}'):format(status) end
          if calls == 3 then return answer { event(1) } end
          fake.socket:event("note", { created_at = "2026-01-01T00:00:00.7Z" }) -- to the user; of no channel
          fake.socket:finish("closed", "restart", 1012)
          return 400, NO_CONNECTION
        end)
        client:subscribe_for("note", function() end)
        lose()
        for _ = 1, 20 do if not recovered[1] then client:poll(5) end end
        assert.same({ 3, { 1 }, has_gap }, { calls, got, recovered[1].gap })
      end)
  end

  it("there is no gap in a channel that is not watched any more when that is known", function()
    local request
    begin(function(_, given) request = given end)
    assert(client:channel("messaging", "other"):watch())
    lose()
    for _ = 1, 10 do if not request then client:poll(5) end end
    fake.reply(request, 400, NO_CONNECTION)
    client:poll(0)
    channel:stop_watching(function() end)
    polls(6)
    assert.same({ true, { "messaging:other" } }, { recovered[1].gap, recovered[1].gap_cids })
  end)

  it("what came live is given once when a sync had no answer, and the next one no connection", function()
    local asked = {}
    begin(function(body, request)
      asked[#asked + 1] = body.last_sync_at
      if #asked > 2 then return answer { event(4), event(5), event(6) } end
      if #asked == 2 then return 400, NO_CONNECTION end
      receive(5) -- the server has heard of the sync, and events of it are watched
      fake.reply(request, nil, "network", "reset")
      fake.socket:finish("closed", "restart", 1012)
    end)
    lose()
    for _ = 1, 12 do if not recovered[1] then client:poll(5) end end
    assert.same({ { "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:05Z" }, { 5, 6 } },
      { asked, got })
    assert.same({ true, { "messaging:general" } }, { recovered[1].gap, recovered[1].gap_cids })
  end)

  it("what comes live as well, since a sync whose answer was lost began the watch, is given once", function()
    local calls = 0
    begin(function(_, request)
      calls = calls + 1
      if calls == 2 then return answer { event(4), event(5) } end
      receive(5)
      fake.socket:event("note", { created_at = "2026-01-01T00:00:05.5Z" })
      fake.reply(request, nil, "network", "reset")
    end)
    local notes = 0
    client:subscribe_for("note", function() notes = notes + 1 end)
    lose()
    polls(6)
    receive(6)
    receive(7)
    polls(2)
    assert.same({ { 4, 5, 6, 7 }, 1, 2 }, { got, notes, recovered[1].replayed })
  end)

  it("what a sync has given is not asked for again, whenever the program's own watch began", function()
    local asked, held = {}, nil
    begin(function(body, request)
      asked[#asked + 1], held = body.last_sync_at, request
    end)
    lose()
    while not held do client:poll(1) end
    channel:watch(function() end) -- watched since 00.5, says the answer
    fake.reply(held, answer { event(4) })
    polls(4)
    lose()
    polls(4)
    assert.same({ { 4 }, "2026-01-01T00:00:50Z" }, { got, asked[2] })
  end)

  it("what was given of a channel whose sync had no answer is not asked for again", function()
    local asked = {}
    begin(function(body) asked[#asked + 1] = body.last_sync_at end)
    local usual = fake.answer
    fake.answer = function(request)
      if fakes.cids_of(request) then return nil end
      return usual(request)
    end
    lose()
    while #asked < 1 do client:poll(1) end
    fake.clock.advance(7)
    receive(5) -- the server has heard of the sync
    polls(3)
    lose()
    polls(4)
    assert.same({ { 5 }, "2026-01-01T00:00:05Z" }, { got, asked[2] })
  end)

  it("what was given while a watch was being asked for counts, whatever others are watched", function()
    local asked, held = begin_noting(), nil
    assert(channel:stop_watching())
    local usual = fake.answer
    fake.answer = function(request)
      if request.path:find("general/query", 1, true) then
        held = request
        return nil
      elseif request.path:find("plain/query", 1, true) then
        return 201, native.json.encode(fakes.view "messaging:plain")
      end
      return usual(request)
    end
    channel:watch(function() end)
    client:poll()
    receive(3)
    client:poll()
    assert(client:channel("messaging", "plain"):watch())
    fake.reply(held, 201, native.json.encode(view "messaging:general"))
    polls(1)
    fake.answer = usual
    lose()
    polls(4)
    assert.same({ { 3 }, { "2026-01-01T00:00:03Z" } }, { got, asked })
  end)

  it("what was given since a watch that had no answer, though the server has heard of it, counts", function()
    local asked = begin_noting()
    assert(channel:stop_watching())
    local usual = fake.answer
    fake.answer = function() return 201, native.json.encode(fakes.view "messaging:plain") end
    assert(client:channel("messaging", "plain"):watch())
    fake.answer = function(request) fake.reply(request, nil, "network", "reset") end
    assert.is_nil((channel:watch()))
    receive(3)
    client:poll()
    fake.answer = usual
    assert(channel:watch()) -- which goes on since 00.5, says the server
    lose()
    polls(4)
    assert.same({ { 3 }, { "2026-01-01T00:00:03Z" } }, { got, asked })
  end)

  it("a call that was one too many is made again when that may be; nothing is delivered before", function()
    local asked = {}
    begin(function()
      asked[#asked + 1] = fake.clock.now()
      if #asked == 1 then
        fake.socket:receive(event(9))
        return 429, '{"code":9,"message":"too many","StatusCode":429}', { ["retry-after"] = "1" }
      end
      return answer { event(1) }
    end)
    lose()
    for _ = 1, 12 do if not recovered[1] then client:poll(5) end end
    polls(2)
    assert.same({ { 1, 9 }, false }, { got, recovered[1].gap })
    assert.equal(2, #asked)
    assert.is_true(asked[2] - asked[1] >= 1 and asked[2] - asked[1] < 3)
  end)

  it("a call that is one too many for longer is a gap", function()
    begin(function()
      return 429, '{"code":9,"message":"too many","StatusCode":429}', { ["retry-after"] = "60" }
    end)
    lose()
    for _ = 1, 12 do if not recovered[1] then client:poll(5) end end
    assert.same({ true, { "messaging:general" } }, { recovered[1].gap, recovered[1].gap_cids })
  end)

  for name, bad in pairs {
    ["an error"] = { 500, '{"code":-1,"message":"x","StatusCode":500}' },
    ["the hosted service's answer"] = { 201, '{"events":[],"duration":"1ms"}' },
    ["no JSON"] = { 201, "oops" },
    ["a list"] = { 201, "[]" },
    ["no list of events"] = { 201, '{"events":{},"gap_cids":[]}' },
    ["events twice"] = { 201, '{"events":[],"events":[],"gap_cids":[]}' },
    ["gaps that are none"] = { 201, '{"events":[],"gap_cids":5}' },
    ["half a text"] = { 201, '{"events":[{"type":"tick"' },
  } do
    it("an answer that is " .. name .. " is a gap, and no more", function()
      begin(function() return bad[1], bad[2] end)
      lose()
      fake.on_connect = function(socket)
        socket:greet()
        socket:receive(event(9))
      end
      polls(8)
      assert.same({ 9 }, got)
      assert.same({ true, { "messaging:general" } }, { recovered[1].gap, recovered[1].gap_cids })
      assert.is_true(channel.watching)
    end)
  end

  it("strange events in an answer end nothing", function()
    begin(function()
      return 201, '{"gap_cids":[5,{},"messaging:unknown"],"synced_at":{},"events":['
        .. '5,{"type":"tick","n":1,"cid":"messaging:general","created_at":5},{"type":7},'
        .. '{"type":"tick","n":2,"cid":"messaging:general","created_at":"2026-01-01T00:00:02Z"},'
        .. '{"type":"tick","n":3,"cid":"messaging:general"},'
        .. '{"type":"tick","n":4,"cid":"messaging:general","created_at":"tomorrow"}]}'
    end)
    lose()
    polls(6)
    assert.same({ 2 }, got)
    assert.equal(3, client:stats().malformed)
    assert.is_false(recovered[1].gap)
  end)

  it("an event may be nested as deep as a live one", function()
    local deep = ('{"a":'):rep(31) .. "1" .. ("}"):rep(31)
    begin(function()
      return 201, '{"gap_cids":[],"synced_at":"2026-01-01T00:00:50Z","events":[{"type":"tick","n":1,'
        .. '"cid":"messaging:general","created_at":"2026-01-01T00:00:02Z","deep":' .. deep .. "}]}"
    end)
    lose()
    polls(6)
    assert.same({ { 1 }, false }, { got, recovered[1].gap })
  end)

  it("no more is held than one answer may have: the newest", function()
    begin(function()
      local events = {}
      for n = 1, 40 do
        events[n] = event(n)
        events[n].text = ("x"):rep(100)
      end
      return answer(events)
    end, { limits = { answer_size = 4000 } })
    lose()
    polls(6)
    assert.is_true(#got > 5 and #got < 40)
    assert.equal(40, got[#got])
    assert.same({ true, { "messaging:general" } }, { recovered[1].gap, recovered[1].gap_cids })
  end)

  it("a gap is reported even when the connection is lost again before it could be", function()
    local calls = 0
    begin(function()
      calls = calls + 1
      return answer({}, calls == 1 and { "messaging:general" } or nil)
    end)
    local usual = fake.answer
    fake.answer = function(request)
      if calls == 1 and request.path == "/channels" then return lose() end
      return usual(request)
    end
    lose()
    for _ = 1, 12 do
      if not recovered[1] then client:poll(5) end
    end
    assert.equal(2, calls)
    assert.equal(1, #recovered)
    assert.same({ true, { "messaging:general" } }, { recovered[1].gap, recovered[1].gap_cids })
  end)

  it("what was given stays away when the connection is lost before the channel was queried", function()
    local asked = begin_noting({ event(1) })
    local usual = fake.answer
    fake.answer = function(request)
      if #asked == 1 and request.path == "/channels" then return nil end
      return usual(request)
    end
    lose()
    for _ = 1, 10 do if not got[1] then client:poll(5) end end
    lose()
    polls(6)
    assert.same({ "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:50Z" }, asked)
    assert.same({ 1 }, got)
    assert.is_false(recovered[1].gap)
  end)

  it("a channel that cannot be watched again is a gap, whatever came of it", function()
    local usual
    begin(function()
      fake.answer = function(request)
        if request.path == "/channels" then return 201, '{"channels":[]}' end
        return usual(request)
      end
      return answer { event(1) }
    end)
    usual = fake.answer
    lose()
    polls(6)
    assert.same({ 1 }, got)
    assert.same({ true, { "messaging:general" } }, { recovered[1].gap, recovered[1].gap_cids })
    assert.equal("api", recovered[1].failed["messaging:general"].kind)
  end)

  it("a channel that is gone by what was missed is reported as lost, and is a gap", function()
    begin(function()
      return answer { event(4), { type = "notification.channel_deleted", cid = "messaging:general",
        created_at = "2026-01-01T00:00:05Z", user = { id = "jane" } } }
    end)
    lose()
    polls(6)
    assert.same({ { 4 }, true, { "messaging:general" }, {}, false },
      { got, recovered[1].gap, recovered[1].gap_cids, recovered[1].restored, channel.watching })
    local err = recovered[1].failed["messaging:general"]
    assert.same({ "api", false }, { err.kind, err.retryable })
    assert.is_nil(fake.last "/channels")
    -- What is gone while the client is there is told by that event alone.
    assert.equal(1, #recovered)
  end)

  it("nothing is asked of a service that keeps nothing, and everything is a gap", function()
    begin(function() error "asked" end)
    fake.answer = fake.usual_answer
    assert(channel:watch())
    lose()
    polls(6)
    assert.is_nil(fake.last "/sync")
    assert.same({ true, { "messaging:general" }, 0 },
      { recovered[1].gap, recovered[1].gap_cids, recovered[1].replayed })
    assert.is_false(fake.socket.tracks)
  end)

  it("a channel that is no longer watched is not asked for", function()
    begin(function() error "asked" end)
    assert(channel:stop_watching())
    lose()
    polls(6)
    assert.is_nil(fake.last "/sync")
    -- What a backend sent to the user meanwhile is lost.
    assert.same({ true, {} }, { recovered[1].gap, recovered[1].gap_cids })
  end)

  it("a channel that is no longer watched by then is not asked for again, nor told to have a gap", function()
    local asked = 0
    begin(function(_, request)
      asked = asked + 1
      fake.reply(request, 503, "busy")
    end)
    lose()
    while asked == 0 do client:poll(1) end
    channel:stop_watching(function() end) -- before the call is made once more
    polls(6)
    assert.equal(1, asked)
    assert.same({ {}, {} }, { recovered[1].gap_cids, recovered[1].failed })
    assert.equal("/channels/messaging/general/stop-watching", fake.requests[#fake.requests].path)
  end)

  it("a channel that is no longer watched when its answer comes is left again, and nothing of it given",
  function()
    local held = {}
    begin(function(_, request) held[#held + 1] = request end)
    assert(client:channel("messaging", "second"):watch())
    lose()
    while not held[1] do client:poll(1) end
    channel:stop_watching(function() end)
    polls(1)
    fake.requests = {}
    fake.reply(held[1], answer({ event(4), event(5, nil, "messaging:second") }, { "messaging:general" }))
    polls(3)
    assert.same({ { 5 }, { "messaging:second" }, {} },
      { got, recovered[1].restored, recovered[1].gap_cids })
    -- The server may have heard of it before it answered.
    assert.equal("/channels/messaging/general/stop-watching", fake.requests[1].path)
    assert.is_false(channel.watching)
  end)

  it("what was found in a channel that is no longer watched when the last answer comes stays away", function()
    local held = {}
    begin(function(_, request) held[#held + 1] = request end)
    for i = 1, 100 do assert(client:channel("messaging", "c" .. i):watch()) end
    lose()
    while not held[2] do
      client:poll(1)
      -- Until an answer has come there is one call at a time.
      if held[1] and not held[2] then fake.reply(held[1], answer { event(4, nil, "messaging:c1") }) end
    end
    client:channel("messaging", "c1"):stop_watching(function() end)
    fake.reply(held[2], answer { event(5) })
    while not recovered[1] do client:poll(1) end
    assert.same({ 5 }, got)
  end)

  it("what a channel brought while it was not watched stays away", function()
    local asked = begin_noting()
    receive(2)
    client:poll()
    assert(channel:stop_watching())
    assert(channel:watch()) -- at a moment that the server gives
    lose()
    polls(6)
    assert.same({ "2026-01-01T00:00:02Z" }, asked)
  end)
end)

describe("what was missed in 500 channels", function()
  local asked

  -- One event was missed in each; answers come 50 ms later, with what the server says of its rates.
  local function begin_many(headers, options)
    asked = {}
    begin(function(body, request)
      asked[#asked + 1] = { at = fake.clock.now(), cids = body.channel_cids }
      local events = {}
      for i, cid in ipairs(body.channel_cids) do
        local n = tonumber(cid:match "%d+$") or 0
        events[i] = event(n, ("2026-01-01T00:00:%02d.%03dZ"):format(10 + n % 7, n), cid)
      end
      fake.at(0.05, function()
        local status, text = answer(events)
        fake.reply(request, status, text, headers)
      end)
    end, options)
    for i = 1, 499 do
      client:channel("messaging", "c" .. i):watch(function() end)
      client:poll()
    end
    lose()
    fake.on_connect = function(socket)
      socket:greet()
      socket:receive(event(1000, "2026-01-01T00:00:59Z"))
    end
    for _ = 1, 200 do
      if not recovered[1] then client:poll(1) end
    end
  end

  it("is asked for 100 channels at a time, and delivered once, in order, before what is live", function()
    begin_many()
    local seen = {}
    assert.equal(5, #asked)
    for _, call in ipairs(asked) do
      assert.equal(100, #call.cids)
      for _, cid in ipairs(call.cids) do
        assert.is_nil(seen[cid])
        seen[cid] = true
      end
    end
    assert.equal(501, #got)
    assert.equal(1000, got[501])
    local last = ""
    for i = 1, 500 do
      local at = ("%02d.%03d"):format(10 + got[i] % 7, got[i])
      assert.is_true(at > last)
      last = at
    end
    assert.same({ false, 500 }, { recovered[1].gap, recovered[1].replayed })
  end)

  it("is asked for no faster than the server allows, and waited for that long", function()
    begin_many({ ["x-ratelimit-limit"] = "10", ["x-ratelimit-remaining"] = "9", -- one a second
      ["x-ratelimit-reset"] = tostring(1767225660) }, { timeouts = { request = 2 } })
    assert.equal(5, #asked)
    for i = 2, 5 do assert.is_true(asked[i].at - asked[i - 1].at >= 1) end
    assert.same({ 501, false }, { #got, recovered[1].gap })
  end)

  it("is given up where the rate leaves no call for longer than one may take", function()
    begin_many { ["x-ratelimit-limit"] = "60", ["x-ratelimit-remaining"] = "0",
      ["x-ratelimit-reset"] = tostring(1767225650) }
    assert.equal(1, #asked)
    assert.same({ 101, true, 400 }, { #got, recovered[1].gap, #recovered[1].gap_cids })
  end)
end)

describe("where a channel was left off", function()
  local replay = require "stream_events.replay"
  local asked, missed, one, two

  -- Two channels on a connection, each watched since a date.
  before_each(function()
    asked = nil
    local function watched(at)
      return { config = KEPT, watched_at = at, watching = true }
    end
    one, two = watched "2026-01-01T00:00:08Z", watched "2026-01-01T00:00:11Z"
    missed = replay.new {
      clock = { now = function() return 0 end }, options = { timeouts = { request = 6 } },
      api = { call = function(_, options) asked = options.body end }, log = function() end,
      paces = pacing.endpoints(),
    }
  end)

  -- Where the sync would begin for each of the channels.
  local function since(...)
    missed:left_off({ ["a:one"] = one, ["a:two"] = two }, ...)
    local first = missed.since["a:one"]
    local second = missed.since["a:two"]
    one.watched_at, two.watched_at = nil, nil
    return first and first:sub(18, -2), second and second:sub(18, -2)
  end

  it("is the last event, but never before the watch", function()
    assert.same({ "10", "11" }, { since("2026-01-01T00:00:10Z", false) })
  end)

  it("is the beginning of the watch where nothing came", function()
    assert.same({ "08", "11" }, { since(nil, false) })
  end)

  it("is, in the middle of what was missed, no later than the sync of the channel", function()
    assert.same({ "08", "10" }, { since("2026-01-01T00:00:10Z", true) })
  end)

  it("stays what it was where nothing was given, or no sync answered", function()
    since("2026-01-01T00:00:05Z", false)
    one.watched_at, two.watched_at = "2026-01-01T00:00:20Z", "2026-01-01T00:00:20Z"
    assert.same({ "08", "11" }, { since(nil, true) })
    assert.same({ "08", "11" }, { since("2026-01-01T00:00:30Z", false) })
  end)

  it("is asked for all channels of a call from the earliest", function()
    since("2026-01-01T00:00:10Z", false)
    assert.is_true(missed:begin({ ["a:one"] = one, ["a:two"] = two }, error))
    assert.same({ { "a:one", "a:two" }, "2026-01-01T00:00:10Z" }, { asked.channel_cids, asked.last_sync_at })
  end)
end)
