--- Sends that are repeated: with an id, where ids count, an event is delivered once, and whoever sends
-- it again gets the same answer. Elsewhere `id` is a field like any other.
local folder = require "support.folder"
local hooks = require "support.hook"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local repeats = require "stream_events.server.repeats"
local servers = require "support.server"

local LOBBY = "messaging:lobby"
local fixture

local function count_ids(yes, channel_type)
  local status, body = fixture:call("server", "PUT", "/channeltypes/" .. (channel_type or "messaging"),
    { custom_event_ids = yes })
  assert(status == 201, body.message)
end

local function send(who, event, cid)
  return fixture:call(who, "POST", "/channels/" .. (cid or LOBBY):gsub(":", "/") .. "/event",
    { event = event })
end

local function begin(options)
  fixture = servers.start(options)
  fixture:users("alice", "bob")
  fixture:channel(LOBBY, { "alice", "bob" })
  fixture:channel("messaging:hall", { "alice", "bob" })
end

-- The ticks that a connection got.
local function ticks(socket)
  local list = {}
  for _, event in ipairs(socket:settled()) do
    if event.type == "tick" then list[#list + 1] = event.n end
  end
  return list
end

after_each(function()
  fixture:stop()
end)

describe("an event with an id", function()
  it("is one like any other where ids do not count", function()
    begin()
    local bob = fixture:connect "bob"
    fixture:watch(bob, LOBBY)
    for _, id in ipairs { "a", "a", 7, { 1 }, ("x"):rep(100), "" } do
      local status, body = send("alice", { type = "tick", n = 1, id = id })
      assert.equal(201, status)
      assert.same(id, body.event.id)
    end
    assert.equal(6, #ticks(bob))
    assert.is_nil(fixture:channel(LOBBY, { "alice" }).config.custom_event_ids)
    -- The sender's text is passed on to the byte.
    local _, _, whole = fixture:call("alice", "POST", "/channels/messaging/lobby/event",
      '{"event":{"type":"tick","id" : 1.50,"z":[]}}')
    assert.truthy(whole.text:find('"z":[],"id":1.50}', 1, true), whole.text)
    _, _, whole = fixture:call("alice", "POST", "/channels/messaging/lobby/event",
      '{"event":{"id":null,"type":"tick"}}')
    assert.truthy(whole.text:find(',"id":null}', 1, true), whole.text)
  end)

  it("is delivered once where they do, and a repeated send has the same answer", function()
    begin()
    count_ids(true)
    assert.is_true(fixture:channel(LOBBY, { "alice" }).config.custom_event_ids)
    local bob, alice = fixture:connect "bob", fixture:connect "alice"
    fixture:watch(bob, LOBBY)
    fixture:watch(alice, LOBBY)
    local _, first = send("alice", { type = "tick", n = 1, id = "a" })
    local status, again = send("alice", { type = "tick", n = 1, id = "a" })
    assert.same({ 201, first.event }, { status, again.event })
    -- The first one counts, whatever comes later under its id.
    status, again = send("alice", { type = "tick", n = 2, id = "a" })
    assert.same({ 201, first.event }, { status, again.event })
    send("alice", { type = "tick", n = 3, id = "b" })
    send("alice", { type = "tick", n = 4 })
    send("alice", { type = "tick", n = 4 })
    assert.same({ 1, 3, 4, 4 }, ticks(bob))
    assert.same({ 1, 3, 4, 4 }, ticks(alice))
    assert.same({ 2, 4 }, { fixture.server:stats().outcomes.repeated,
      fixture.server:stats().outcomes.accepted })
    count_ids(false)
    send("alice", { type = "tick", n = 5, id = "a" })
    assert.same({ 5 }, ticks(bob))
  end)

  it("is another one of another sender, and in another channel", function()
    begin()
    count_ids(true)
    local bob = fixture:connect "bob"
    fixture:watch(bob, LOBBY)
    fixture:watch(bob, "messaging:hall")
    send("alice", { type = "tick", n = 1, id = "a" })
    send("bob", { type = "tick", n = 2, id = "a" })
    send("alice", { type = "tick", n = 3, id = "a" }, "messaging:hall")
    -- A backend that sends for alice is alice.
    local _, body = send("server", { type = "tick", n = 4, id = "a", user_id = "alice" })
    assert.equal(1, body.event.n)
    assert.same({ 1, 2, 3 }, ticks(bob))
  end)

  it("is refused with an id that is none, where ids count", function()
    begin()
    count_ids(true)
    for _, id in ipairs { 7, { 1 }, "", ("x"):rep(65), "a\nb", true, native.json.null } do
      local status, body = send("alice", { type = "tick", id = id })
      assert.same({ 400, 4 }, { status, body.code })
      assert.truthy(body.message:find("event.id", 1, true))
    end
    assert.equal(201, (send("alice", { type = "tick", id = ("x"):rep(64) })))
    assert.equal(201, (send("alice", { type = "typing.start", id = 7 })))
  end)

  it("is looked at like every send: who may no longer send gets no answer to a repeated one", function()
    begin { rules = folder.new():write("rules.lua", [[event "tick" {
      fields = { n = integer { max = 9 }, id = optional(string { max = 64 }) },
      rate = { count = 2, seconds = 60 },
    }]]) }
    count_ids(true)
    assert.equal(403, (send("alice", { type = "tick", n = 10, id = "a" })))
    assert.equal(201, (send("alice", { type = "tick", n = 1, id = "a" }))) -- what was refused was never sent
    for _ = 1, 5 do assert.equal(201, (send("alice", { type = "tick", n = 1, id = "a" }))) end
    assert.equal(201, (send("alice", { type = "tick", n = 1, id = "b" })))
    fixture:call("server", "POST", "/channels/messaging/lobby", { remove_members = { "alice" } })
    fixture:call("server", "PUT", "/channeltypes/messaging", { grants = { user = native.json.array {} } })
    assert.equal(403, (send("alice", { type = "tick", n = 1, id = "a" })))
  end)

  it("comes once from /sync as well", function()
    begin()
    count_ids(true)
    fixture:call("server", "PUT", "/channeltypes/messaging",
      { custom_event_retention = { seconds = 60, count = 10 } })
    local _, first = send("alice", { type = "tick", n = 0 })
    for _ = 1, 3 do send("alice", { type = "tick", n = 1, id = "a" }) end
    local _, body = fixture:call("bob", "POST", "/sync",
      { channel_cids = { LOBBY }, last_sync_at = first.event.created_at })
    assert.equal(1, #body.events)
  end)
end)

describe("a user event with an id", function()
  local function gift(event)
    event.type = "gift"
    return (fixture:call("server", "POST", "/users/bob/event", { event = event }))
  end

  local function gifts(socket)
    local list = {}
    for _, event in ipairs(socket:settled()) do list[#list + 1] = event.n end
    return list
  end

  it("is delivered once to all connections of the user, where the app says so", function()
    begin()
    local first, second = fixture:connect "bob", fixture:connect "bob"
    assert.equal(201, gift { n = 1, id = "a" })
    assert.equal(201, gift { n = 1, id = "a" })
    assert.same({ 1, 1 }, gifts(first))
    assert.same({ 1, 1 }, gifts(second))
    assert.equal(200, (fixture:call("server", "PATCH", "/app", { custom_event_ids = true })))
    for _ = 1, 3 do assert.equal(201, gift { n = 2, id = "a" }) end
    assert.equal(201, gift { n = 3, id = "b" })
    assert.equal(400, gift { n = 4, id = 5 })
    assert.same({ 2, 3 }, gifts(first))
    assert.same({ 2, 3 }, gifts(second))
  end)
end)

describe("the copy of a repeated send", function()
  it("goes to webhooks once, and is made up for when it could not be kept", function()
    local receiver = hooks.start(function() return 200 end)
    finally(function() receiver:stop() end)
    begin()
    count_ids(true)
    assert.equal(200, (fixture:call("server", "PATCH", "/app", { event_hooks = { {
      hook_type = "webhook", enabled = true, webhook_url = receiver.url, should_send_custom_events = true,
    } } })))
    local bob = fixture:connect "bob"
    fixture:watch(bob, LOBBY)
    local store = fixture.server.parts.store
    store.quick_transaction = function() error "the disk is full" end
    assert.equal(500, (send("alice", { type = "tick", n = 1, id = "a" })))
    assert.equal(500, (send("alice", { type = "tick", n = 1, id = "a" })))
    store.quick_transaction = nil
    for _ = 1, 3 do assert.equal(201, (send("alice", { type = "tick", n = 1, id = "a" }))) end
    assert.equal(201, (send("alice", { type = "tick", n = 2, id = "b" })))
    http_client.wait("the copies", function() return #receiver.requests >= 2 end)
    assert.same({ 1, 2 }, { receiver.requests[1].event.n, receiver.requests[2].event.n })
    assert.same({ 1, 2 }, ticks(bob))
    assert.equal(2, #receiver.requests)
  end)

  -- The statuses of sends that come in together, over connections of their own.
  local function together(...)
    local clients, statuses = {}, {}
    for i = 1, select("#", ...) do
      clients[i] = http_client.new(fixture.server)
      assert.equal(200, clients[i]:request("GET", "/hi").status)
    end
    for i, client in ipairs(clients) do
      client:send("POST", "/channels/messaging/lobby/event?api_key=devkey",
        { Authorization = fixture:user_token "alice", ["stream-auth-type"] = "jwt" },
        native.json.encode { event = { type = "tick", id = (select(i, ...)) } })
    end
    for i, client in ipairs(clients) do
      statuses[i] = client:next_answer().status
      client:close()
    end
    return statuses
  end

  it("is waited for by all who send it while it is being kept, and is one", function()
    local receiver = hooks.start(function() return 200 end)
    finally(function() receiver:stop() end)
    begin()
    count_ids(true)
    assert.equal(200, (fixture:call("server", "PATCH", "/app", { event_hooks = { {
      hook_type = "webhook", enabled = true, webhook_url = receiver.url, should_send_custom_events = true,
    } } })))
    local store = fixture.server.parts.store
    store.quick_transaction = function() error "the disk is full" end
    local full = store.quick_transaction
    for _ = 1, 2 do assert.same({ 500, 500, 500 }, together("a", "a", "a")) end
    store.quick_transaction = nil
    assert.same({ 201, 201, 201 }, together("a", "a", "a"))
    store.quick_transaction = full
    assert.same({ 500, 201 }, together("b", "a")) -- which is kept
    store.quick_transaction = nil
    assert.equal(201, (send("alice", { type = "tick", id = "c" })))
    http_client.wait("the copies", function() return #receiver.requests >= 2 end)
    assert.same({ "a", "c" }, { receiver.requests[1].event.id, receiver.requests[2].event.id })
  end)
end)

describe("what is remembered", function()
  local function new(more)
    local options = { event_id_seconds = 10, event_id_count = 3 }
    for name, value in pairs(more or {}) do options[name] = value end
    return repeats.new { options = options }
  end

  before_each(function() fixture = { stop = function() end } end)

  it("is bounded in time", function()
    local sent = new()
    sent:note("a", "c:d", "1", "text", 100, false)
    assert.equal("text", sent:find("a", "c:d", "1", 110).text)
    assert.is_nil(sent:find("a", "c:d", "1", 110.1))
    assert.equal(0, sent:count())
  end)

  it("is bounded in number", function()
    local sent = new()
    for i = 1, 5 do sent:note("a", "c:d", tostring(i), "text", 100, false) end
    assert.equal(3, sent:count())
    assert.is_nil(sent:find("a", "c:d", "2", 100))
    assert.is_table(sent:find("a", "c:d", "3", 100))
  end)

  it("is bounded in bytes", function()
    local sent = new { event_id_count = 1000 }
    for i = 1, 100 do sent:note("a", "c:d", tostring(i), ("x"):rep(1 << 20), 100, false) end
    assert.is_true(sent:count() <= 32 and sent:count() > 20)
    assert.is_true(sent.bytes <= 32 << 20)
  end)

  it("knows what a sender was told is lost, until that is made up for", function()
    local sent = new()
    sent:note("a", "c:d", "1", "text", 100, true)
    sent:note("a", "c:d", "2", "text", 100, false)
    sent:settled(false)
    local entry = sent:find("a", "c:d", "1", 100)
    assert.is_true(entry.is_owed)
    assert.is_false(sent:find("a", "c:d", "2", 100).is_owed)
    sent:owe_again(entry)
    sent:settled(true)
    assert.is_false(entry.is_owed)
  end)
end)
