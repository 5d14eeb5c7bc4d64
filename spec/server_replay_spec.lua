--- A client that was cut off from the real server: what was sent meanwhile comes back before what is
--- live, in order and once, is judged like it, and what cannot come back is named.
local folder = require "support.folder"
local free_port = require "support.free_port"
local native = require "stream_events.native"
local process = require "support.process"
local relays = require "support.relay"
local servers = require "support.server"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"
local uv = require "luv"

local SECRET = "lan-dev-secret"
local ROOT = debug.getinfo(1, "S").source:match("^@(.*)spec/[^/]*$")
local PATIENCE = 20 -- seconds: a guard, specs wait on conditions
local LOBBY, HALL = "messaging:lobby", "messaging:hall"

local fixture, relay, clients

local function set_up()
  fixture:users("alice", "bob")
  for _, name in ipairs { "messaging", "gaming" } do
    assert(201 == fixture:call("server", "PUT", "/channeltypes/" .. name,
      { custom_event_retention = { seconds = 600, count = 20 } }))
  end
  fixture:channel(LOBBY, { "alice", "bob" })
  fixture:channel(HALL, { "alice", "bob" })
  fixture:channel("team:room", { "alice", "bob" })
end

local function begin(options)
  fixture, clients = servers.start(options), {}
  relay = relays.to(fixture.server.host, fixture.server.port)
  set_up()
end

after_each(function()
  for _, client in ipairs(clients) do client:close() end
  relay:close()
  fixture:stop()
end)

-- Turns of the clients and of the server's loop, until it is so.
local function wait(condition, what)
  local ends = native.now() + PATIENCE
  while not condition() do
    assert(native.now() < ends, "waited in vain for " .. (what or "a condition"))
    for _, client in ipairs(clients) do client:poll(0.001) end
    uv.run "nowait"
  end
end

-- The result of a call of the client's.
local function ask(object, method, ...)
  local done, result, err
  local arguments = table.pack(...)
  arguments[arguments.n + 1] = function(given, failure) done, result, err = true, given, failure end
  object[method](object, table.unpack(arguments, 1, arguments.n + 1))
  wait(function() return done end, method)
  return assert(result, err)
end

-- A client of a user's, who watches channels; got holds the numbers of the ticks, recovered the signals.
local function watcher(id, cids, more)
  local options = {
    api_key = "devkey", base_url = relay.url, random = function() return 0 end,
  }
  for name, value in pairs(more or {}) do options[name] = value end
  local client = assert(stream_events.new(options))
  clients[#clients + 1] = client
  ask(client, "connect_user", { id = id }, tokens.user(SECRET, id))
  local self = { client = client, got = {}, recovered = {} }
  client:subscribe_for("tick", function(event)
    self.got[#self.got + 1] = event.n
    self.last = event
  end)
  client:subscribe_for("connection.recovered", function(event)
    self.recovered[#self.recovered + 1] = event
  end)
  for _, cid in ipairs(cids) do
    ask(client:channel(cid:match "^(.-):", cid:match ":(.*)$"), "watch")
  end
  return self
end

local function tick(from, to, cid, who)
  for n = from, to do
    local status, body = fixture:call(who or "alice", "POST",
      "/channels/" .. (cid or LOBBY):gsub(":", "/") .. "/event", { event = { type = "tick", n = n } })
    assert(status == 201, body.message)
  end
end

local function numbers(from, to)
  local list = {}
  for n = from, to do list[#list + 1] = n end
  return list
end

-- Cuts whatever there is between clients and server, and waits until the server knows.
local function cut(id)
  local connections = fixture.server.parts.connections
  relay:cut()
  wait(function() return next(connections:of(id)) == nil end, "the end of the connection")
end

-- The bodies of the syncs that the server is asked for.
local function note_syncs()
  local router = fixture.server.parts.router
  local answer, asked = router.answer, {}
  router.answer = function(self, number, request)
    if request.path == "/sync" then asked[#asked + 1] = native.json.decode(request.body) end
    return answer(self, number, request)
  end
  return asked
end

describe("a client that was cut off", function()
  it("gets what was sent meanwhile before what is live, once and in order, and no gap is reported", function()
    begin()
    local bob = watcher("bob", { LOBBY })
    tick(1, 3)
    wait(function() return #bob.got == 3 end)
    cut "bob"
    tick(4, 9)
    wait(function() return bob.recovered[1] end)
    tick(10, 12)
    wait(function() return #bob.got >= 12 end)
    assert.same(numbers(1, 12), bob.got)
    assert.same({ false, {}, 6 },
      { bob.recovered[1].gap, bob.recovered[1].gap_cids, bob.recovered[1].replayed })
    assert.same({ LOBBY }, bob.recovered[1].restored)
  end)

  it("gets nothing twice that came just before, and nothing from before its watch", function()
    begin()
    tick(1, 2)
    local bob = watcher("bob", { LOBBY })
    cut "bob"
    wait(function() return bob.recovered[1] end)
    tick(3, 3)
    wait(function() return #bob.got > 0 end)
    cut "bob"
    wait(function() return bob.recovered[2] end)
    assert.same({ 3 }, bob.got)
    assert.same({ 0, 0 }, { bob.recovered[1].replayed, bob.recovered[2].replayed })
    assert.same({ false, false }, { bob.recovered[1].gap, bob.recovered[2].gap })
  end)

  it("gets what had been sent to it, and was not read", function()
    begin()
    local bob = watcher("bob", { LOBBY })
    tick(1, 3)
    tick(4, 8) -- no turn of the client's: all of it lies in the socket, and is lost with it
    relay:cut()
    wait(function() return bob.recovered[1] and #bob.got >= 8 end)
    assert.same(numbers(1, 8), bob.got)
  end)

  it("learns in which channels more was sent than is kept, or nothing is kept", function()
    begin()
    local bob = watcher("bob", { LOBBY, HALL, "team:room" })
    cut "bob"
    tick(1, 25, LOBBY)
    tick(101, 103, HALL)
    tick(201, 203, "team:room")
    wait(function() return bob.recovered[1] and #bob.got >= 23 end)
    local expected = numbers(6, 25)
    for n = 101, 103 do expected[#expected + 1] = n end
    assert.same(expected, bob.got)
    assert.same({ true, { LOBBY, "team:room" } }, { bob.recovered[1].gap, bob.recovered[1].gap_cids })
    -- What was reported once is not reported again.
    ask(bob.client:channel("team", "room"), "stop_watching")
    cut "bob"
    wait(function() return bob.recovered[2] end)
    assert.same({ false, {} }, { bob.recovered[2].gap, bob.recovered[2].gap_cids })
  end)

  it("gets the events of two channels as one row", function()
    begin()
    local bob = watcher("bob", { LOBBY, HALL })
    cut "bob"
    for n = 1, 12 do tick(n, n, n % 3 == 0 and HALL or LOBBY) end
    wait(function() return bob.recovered[1] and #bob.got >= 12 end)
    assert.same(numbers(1, 12), bob.got)
  end)

  it("has them judged by its rules, with the same trust as live ones", function()
    begin()
    local path = folder.new():write("rules.lua",
      'event "tick" { fields = { n = integer { max = 100 } } }\nevent "gift" { trust = "server" }\n')
    local bob = watcher("bob", { LOBBY }, { rules = path })
    local dropped, trusts = {}, {}
    bob.client:subscribe_for("event.dropped", function(event)
      dropped[#dropped + 1] = event.envelope.type .. " " .. event.reason
    end)
    bob.client:subscribe_for("gift", error)
    bob.client:subscribe_for("tick", function(event) trusts[#trusts + 1] = event.trust end)
    cut "bob"
    tick(1, 1)
    tick(101, 101)
    assert(201 == fixture:call("alice", "POST", "/channels/messaging/lobby/event",
      { event = { type = "gift" } }))
    tick(2, 2, LOBBY, "bob")
    wait(function() return bob.recovered[1] and #bob.got >= 2 end)
    assert.same({ 1, 2 }, bob.got)
    assert.same({ "user", "self" }, trusts)
    assert.same({ "tick field-range", "gift trust" }, dropped)
    assert.equal(1, bob.client:stats().dropped.gift.trust)
  end)

  it("counts what nobody wants, and delivers none of it", function()
    begin()
    local bob = watcher("bob", { LOBBY })
    cut "bob"
    assert(201 == fixture:call("alice", "POST", "/channels/messaging/lobby/event",
      { event = { type = "noise" } }))
    wait(function() return bob.recovered[1] end)
    assert.equal(1, bob.recovered[1].replayed)
    wait(function() return (bob.client:stats().dropped.noise or {}).unwanted == 1 end)
  end)

  it("goes on where it was when it is cut off again, in the middle of what was missed", function()
    begin()
    local bob = watcher("bob", { LOBBY })
    cut "bob"
    tick(1, 15)
    local ends = native.now() + PATIENCE
    while #bob.got < 5 do -- one event a turn
      assert(native.now() < ends)
      bob.client:poll(0.001, 1)
      uv.run "nowait"
    end
    relay:cut()
    tick(16, 18)
    wait(function() return #bob.got >= 18 and bob.recovered[1] end)
    assert.same(numbers(1, 18), bob.got)
    assert.is_false(bob.recovered[#bob.recovered].gap)
  end)

  it("asks for 250 channels in three calls", function()
    begin()
    local cids = {}
    for i = 1, 250 do
      cids[i] = "gaming:g" .. i
      fixture:channel(cids[i], { "alice", "bob" })
    end
    local bob = watcher("bob", cids)
    local asked = note_syncs()
    cut "bob"
    for i = 1, 250, 10 do tick(i, i, cids[i]) end
    wait(function() return bob.recovered[1] and #bob.got >= 25 end)
    assert.equal(3, #asked)
    local count = 0
    for _, body in ipairs(asked) do
      assert.is_true(#body.channel_cids <= 100)
      assert.is_true(body.watch)
      count = count + #body.channel_cids
    end
    assert.equal(250, count)
    local expected = {}
    for i = 1, 250, 10 do expected[#expected + 1] = i end
    assert.same(expected, bob.got)
    assert.same({ false, 250 }, { bob.recovered[1].gap, #bob.recovered[1].restored })
  end)

  it("gets what was sent while its server was started again", function()
    local data, port = folder.new():at "server.db", free_port.tcp()
    begin { data = data, port = port }
    local bob = watcher("bob", { LOBBY })
    tick(1, 1)
    wait(function() return #bob.got == 1 end)
    cut "bob"
    tick(2, 4)
    fixture:stop()
    fixture = servers.start { data = data, port = port }
    tick(5, 6)
    wait(function() return bob.recovered[1] and #bob.got >= 6 end)
    assert.same(numbers(1, 6), bob.got)
    assert.is_false(bob.recovered[1].gap)
  end)

  it("gets what a stopped server has left to the next one, and learns what a killed one has not", function()
    local data, child = folder.new():at "server.db", nil
    finally(process.end_all)
    local function serve()
      child = process.start("lua5.4", {
        (ROOT == "" and "./" or ROOT) .. "lua/bin/stream-events", "serve", "--port", "0", "--data", data,
        "--api-key", "devkey", "--api-secret", SECRET,
      })
      local port = tonumber(child:wait_for("stdout", "listening on http://127%.0%.0%.1:(%d+)"))
      if fixture then fixture:stop() end
      fixture = servers.attach { host = "127.0.0.1", port = port, api_key = "devkey", api_secret = SECRET }
      if relay then relay.to = port else relay = relays.to("127.0.0.1", port) end
    end
    fixture, relay, clients = nil, nil, {}
    serve()
    set_up()
    local bob = watcher("bob", { LOBBY })
    tick(1, 1)
    wait(function() return #bob.got == 1 end)
    relay:cut()
    tick(2, 4)
    child:kill "sigterm"
    assert.equal(0, child:finish())
    serve()
    wait(function() return bob.recovered[1] and #bob.got >= 4 end)
    assert.same({ numbers(1, 4), false }, { bob.got, bob.recovered[1].gap })
    relay:cut()
    tick(5, 6)
    child:kill "sigkill"
    child:finish()
    serve()
    wait(function() return bob.recovered[2] end)
    tick(7, 7)
    wait(function() return #bob.got >= 5 end)
    assert.same({ { 1, 2, 3, 4, 7 }, true, { LOBBY } },
      { bob.got, bob.recovered[2].gap, bob.recovered[2].gap_cids })
    bob.client:close()
    child:kill "sigterm"
    child:finish()
  end)

  it("loses and doubles nothing when it is cut off again and again under load", function()
    begin()
    assert(201 == fixture:call("server", "PUT", "/channeltypes/messaging",
      { custom_event_retention = { seconds = 600, count = 10000 } }))
    local bob = watcher("bob", { LOBBY, HALL })
    local sent = 0
    for round = 1, 5 do
      for _ = 1, 20 do
        sent = sent + 1
        tick(sent, sent, sent % 2 == 0 and HALL or LOBBY)
        bob.client:poll(0, sent % 5 + 1)
        uv.run "nowait"
      end
      local connections = fixture.server.parts.connections
      if round % 2 == 0 then
        relay:cut()
      else
        for connection in pairs(connections:of "bob") do
          connections.listener:close(connection.number, 1012, "")
        end
      end
      if round > 2 then wait(function() return bob.client:online() and #bob.recovered >= round - 2 end) end
    end
    wait(function() return #bob.got >= sent end)
    wait(function() return bob.client:online() end)
    assert.same(numbers(1, sent), bob.got)
    for _, signal in ipairs(bob.recovered) do assert.is_false(signal.gap) end
  end)
end)

describe("client:sync", function()
  it("gives custom events, where they are kept", function()
    begin()
    local bob = watcher("bob", {})
    tick(1, 1)
    local since = ask(bob.client:channel("messaging", "lobby"), "query") and native.time()
    tick(2, 3)
    local events = ask(bob.client, "sync", { LOBBY }, require("stream_events.timestamp").format(since))
    assert.same({ 2, 3 }, { events[1].n, events[2].n })
  end)
end)
