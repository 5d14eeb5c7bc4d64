--- Who is told that somebody came or went: connections that asked for it, as long as they may.
local native = require "stream_events.native"
local servers = require "support.server"

local fixture

local function query(socket, cid, more)
  local body = { presence = true }
  for name, value in pairs(more or {}) do body[name] = value end
  return fixture:call(socket.who, "POST", "/channels/" .. cid:gsub(":", "/") .. "/query", body,
    { connection_id = socket.id })
end

local function query_users(socket, filter, more)
  local payload = { filter_conditions = filter, presence = true }
  for name, value in pairs(more or {}) do payload[name] = value end
  return fixture:call(socket.who, "GET", "/users", nil,
    { payload = native.json.encode(payload), connection_id = socket.id })
end

-- What a connection was told since the last look: "bob +" when bob came, "bob -" when he went.
local function told(socket)
  local list = {}
  for _, event in ipairs(socket:settled()) do
    if event.type == "user.presence.changed" then
      list[#list + 1] = event.user.id .. (event.user.online and " +" or " -")
      assert.is_string(event.created_at)
      assert.is_nil(event.cid)
    end
  end
  return list
end

-- Waits until the server knows of the end.
local function leave(socket)
  socket:close()
end

before_each(function()
  fixture = servers.start()
  fixture:users("alice", "bob", "carol", "dave")
  fixture:channel("messaging:lobby", { "alice", "bob" })
end)

after_each(function() fixture:stop() end)

describe("a query with presence", function()
  it("tells of members that come and go, and of nobody else", function()
    local alice = fixture:connect "alice"
    assert.equal(201, (query(alice, "messaging:lobby")))
    local bob, carol = fixture:connect "bob", fixture:connect "carol"
    assert.same({ "bob +" }, told(alice))
    leave(bob)
    leave(carol)
    assert.same({ "bob -" }, told(alice))
  end)

  it("tells only the connection that asked, and only the first and the last of a user's", function()
    local alice, other = fixture:connect "alice", fixture:connect "alice"
    query(alice, "messaging:lobby")
    local first = fixture:connect "bob"
    local second = fixture:connect "bob"
    leave(first)
    assert.same({ "bob +" }, told(alice))
    leave(second)
    assert.same({ "bob -" }, told(alice))
    assert.same({}, told(other))
  end)

  it("tells of those who became members later, and no more of those who left", function()
    local alice = fixture:connect "alice"
    query(alice, "messaging:lobby")
    fixture:call("server", "POST", "/channels/messaging/lobby",
      { add_members = { "carol" }, remove_members = { "bob" } })
    fixture:connect "carol"
    fixture:connect "bob"
    assert.same({ "carol +" }, told(alice))
  end)

  it("ends with stop-watching, with the channel, and where the channel may no longer be read", function()
    local alice, bob = fixture:connect "alice", fixture:connect "bob"
    query(alice, "messaging:lobby", { watch = true })
    fixture:call("alice", "POST", "/channels/messaging/lobby/stop-watching", {}, { connection_id = alice.id })
    leave(bob)
    assert.same({}, told(alice))
    query(alice, "messaging:lobby")
    fixture:call("server", "POST", "/channels/messaging/lobby", { remove_members = { "alice" } })
    fixture:call("server", "PUT", "/channeltypes/messaging", { grants = { user = native.json.array {} } })
    bob = fixture:connect "bob"
    assert.same({}, told(alice))
    fixture:call("server", "POST", "/channels/messaging/lobby", { add_members = { "alice" } })
    leave(bob)
    assert.same({ "bob -" }, told(alice))
    fixture:call("server", "DELETE", "/channels/messaging/lobby")
    fixture:channel("messaging:lobby", { "alice", "bob" })
    fixture:connect "bob"
    assert.same({}, told(alice))
  end)

  it("is possible for many channels at once, and tells once of who is in several", function()
    fixture:channel("messaging:hall", { "alice", "bob" })
    local alice = fixture:connect "alice"
    assert.equal(201, (fixture:call("alice", "POST", "/channels", { presence = true },
      { connection_id = alice.id })))
    fixture:connect "bob"
    assert.same({ "bob +" }, told(alice))
  end)

  it("says nothing of invisible users, until they show themselves", function()
    local alice = fixture:connect "alice"
    query(alice, "messaging:lobby")
    fixture:call("server", "PATCH", "/users", { users = { { id = "bob", set = { invisible = true } } } })
    local bob = fixture:connect "bob"
    assert.same({}, told(alice))
    fixture:call("server", "PATCH", "/users", { users = { { id = "bob", set = { invisible = false } } } })
    assert.same({ "bob +" }, told(alice))
    fixture:call("server", "PATCH", "/users", { users = { { id = "bob", set = { invisible = true } } } })
    assert.same({ "bob -" }, told(alice))
    leave(bob)
    assert.same({}, told(alice))
  end)

  it("needs a connection of the caller's", function()
    local alice = fixture:connect "alice"
    for _, parameters in ipairs { {}, { connection_id = "none" } } do
      local status = fixture:call("alice", "POST", "/channels/messaging/lobby/query", { presence = true },
        parameters)
      assert.equal(400, status)
      status = fixture:call("alice", "GET", "/users", nil,
        { payload = '{"presence":true}', connection_id = parameters.connection_id })
      assert.equal(400, status)
    end
    assert.equal(400, (fixture:call("bob", "POST", "/channels/messaging/lobby/query", { presence = true },
      { connection_id = alice.id })))
    assert.equal(400, (fixture:call("server", "GET", "/users", nil, { payload = '{"presence":true}' })))
  end)
end)

describe("a query of users with presence", function()
  it("tells of those it found", function()
    local alice = fixture:connect "alice"
    local status, body = query_users(alice, { id = { ["$in"] = { "carol", "dave" } } })
    assert.same({ 200, 2 }, { status, #body.users })
    local carol = fixture:connect "carol"
    fixture:connect "bob"
    leave(carol)
    assert.same({ "carol +", "carol -" }, told(alice))
    -- Without presence nobody is followed.
    fixture:call("alice", "GET", "/users", nil, { payload = '{"filter_conditions":{"id":"bob"}}',
      connection_id = alice.id })
    fixture:connect "bob"
    assert.same({}, told(alice))
  end)

  it("tells of what changes about them as well", function()
    local alice, other = fixture:connect "alice", fixture:connect "alice"
    query_users(alice, { id = "carol" })
    fixture:call("server", "PATCH", "/users", { users = { { id = "carol", set = { name = "C" } },
      { id = "dave", set = { name = "D" } } } })
    local names = {}
    for _, event in ipairs(alice:settled()) do
      if event.type == "user.updated" then names[#names + 1] = event.user.name end
    end
    assert.same({ "C" }, names)
    for _, event in ipairs(other:settled()) do assert.is_true(event.type ~= "user.updated") end
  end)

  it("ends with its connection, and leaves nothing behind", function()
    local alice = fixture:connect "alice"
    query(alice, "messaging:lobby")
    query_users(alice, { id = "carol" })
    local presence = fixture.server.parts.presence
    assert.equal(2, presence.count)
    query_users(alice, { id = "carol" })
    assert.equal(2, presence.count)
    leave(alice)
    fixture:connect "carol"
    assert.same({ 0, {}, {} }, { presence.count, presence.users, presence.channels })
  end)

  it("is bounded, with an error that says so", function()
    local alice = fixture:connect "alice"
    for from = 0, 900, 100 do
      local users = {}
      for i = from + 1, from + 100 do users["u" .. i] = { id = "u" .. i, from = from } end
      assert.equal(201, (fixture:call("server", "POST", "/users", { users = users })))
      assert.equal(200, (query_users(alice, { from = from }, { limit = 100 })))
    end
    local status, body = query(alice, "messaging:lobby")
    assert.same({ 400, 4 }, { status, body.code })
    assert.truthy(body.message:find("1000", 1, true))
    assert.equal(200, (query_users(alice, { from = 0 }, { limit = 100 }))) -- followed already
    assert.equal(201, (fixture:call("alice", "POST", "/channels/messaging/lobby/query", {})))
  end)
end)
