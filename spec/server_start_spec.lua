--- A server that starts with a database somebody has filled: everything is there, whatever is asked
--- for first, and only what is asked for is decoded.
local fixtures = require "support.server"
local folders = require "support.folder"
local sql = require "support.sql"
local store = require "stream_events.server.store"
local channels = require "stream_events.server.channels"
local users = require "stream_events.server.users"

describe("a server started with a filled database", function()
  local folder, fixture

  local function start()
    fixture = fixtures.start { data = folder:at "state.db" }
    return fixture
  end

  local function restart()
    fixture:stop()
    return start()
  end

  before_each(function()
    folder = folders.new()
    start()
    fixture:users("alice", "bob", { id = "carol", role = "admin", guild = "red" }, "dave")
    fixture:channel("messaging:lobby", { "alice", "bob" }, { name = "Lobby" })
    fixture:channel("messaging:lobby-2", { "bob" })
    fixture:call("server", "POST", "/channels/messaging/empty/query", { data = { created_by_id = "alice" } })
    fixture:channel("gaming:lobby", { "alice", "carol" })
    restart()
  end)

  after_each(function()
    fixture:stop()
    folder:remove()
  end)

  local function members(body)
    local ids = {}
    for _, member in ipairs(body.members) do ids[#ids + 1] = member.user_id end
    return ids
  end

  local function query(who, cid, body)
    return fixture:call(who, "POST", "/channels/" .. cid:gsub(":", "/") .. "/query", body or { state = true })
  end

  local function found(filter)
    local _, body = fixture:call("server", "POST", "/channels", { filter_conditions = filter })
    local cids = {}
    for i, state in ipairs(body.channels) do cids[i] = state.channel.cid end
    table.sort(cids)
    return cids
  end

  it("knows a channel and its members", function()
    local status, body = query("alice", "messaging:lobby")
    assert.equal(201, status)
    assert.equal("Lobby", body.channel.name)
    assert.equal(2, body.channel.member_count)
    assert.same({ "alice", "bob" }, members(body))
    assert.same({}, members(select(2, query("server", "messaging:empty"))))
  end)

  it("finds channels by member, by number of members, by other fields, and all of them", function()
    assert.same({ "messaging:lobby", "messaging:lobby-2" }, found { members = { ["$in"] = { "bob" } } })
    restart()
    assert.same({ "gaming:lobby", "messaging:lobby" }, found { member_count = 2 })
    restart()
    assert.same({ "messaging:lobby" }, found { name = "Lobby" })
    restart()
    assert.same({ "gaming:lobby", "messaging:empty", "messaging:lobby", "messaging:lobby-2" }, found {})
    assert.same({ "gaming:lobby" }, found { members = { ["$in"] = { "carol", "nobody" } } })
  end)

  it("lets a member send, and delivers to who watches", function()
    local bob = fixture:connect("bob")
    fixture:watch(bob, "messaging:lobby")
    restart()
    bob = fixture:connect("bob")
    fixture:watch(bob, "messaging:lobby")
    bob:next() -- user.watching.start
    assert.equal(201, (fixture:call("alice", "POST", "/channels/messaging/lobby/event",
      { event = { type = "poke" } })))
    assert.equal("alice", bob:next().user.id)
    -- In the type gaming only members may send.
    assert.equal(201, (fixture:call("carol", "POST", "/channels/gaming/lobby/event",
      { event = { type = "poke" } })))
    assert.equal(403, (fixture:call("dave", "POST", "/channels/messaging/lobby-2/event",
      { event = { type = "poke" } })))
  end)

  it("changes members that nobody has looked at, and keeps that", function()
    assert.equal(201, (fixture:call("server", "POST", "/channels/messaging/lobby",
      { add_members = { "dave" }, remove_members = { "bob" } })))
    for _ = 1, 2 do
      assert.same({ "alice", "dave" }, members(select(2, query("server", "messaging:lobby"))))
      assert.same({ "messaging:lobby-2" }, found { members = { ["$in"] = { "bob" } } })
      assert.same({ "messaging:lobby" }, found { members = { ["$in"] = { "dave" } } })
      restart()
    end
  end)

  it("deletes a channel that nobody has looked at, with its members", function()
    assert.equal(200, (fixture:call("server", "DELETE", "/channels/messaging/lobby")))
    for _ = 1, 2 do
      assert.same({ "messaging:lobby-2" }, found { members = { ["$in"] = { "bob" } } })
      assert.same({ "gaming:lobby" }, found { members = { ["$in"] = { "alice" } } })
      restart()
    end
    fixture:channel("messaging:lobby", { "carol" })
    assert.same({ "carol" }, members(select(2, query("server", "messaging:lobby"))))
  end)

  it("knows that a channel type is in use", function()
    assert.equal(400, (fixture:call("server", "DELETE", "/channeltypes/gaming")))
    assert.equal(200, (fixture:call("server", "DELETE", "/channeltypes/livestream")))
  end)

  it("knows users, by id and by what is known of them, and what they may do", function()
    local function ids(filter)
      local _, body = fixture:call("server", "GET", "/users", nil,
        { payload = { filter_conditions = filter } })
      local list = {}
      for i, user in ipairs(body.users) do list[i] = user.id end
      table.sort(list)
      return list
    end
    assert.same({ "alice", "carol" }, ids { id = { ["$in"] = { "carol", "alice", "carol", "nobody" } } })
    assert.same({ "bob" }, ids { id = "bob" })
    assert.same({ "bob" }, ids { id = { ["$eq"] = "bob" } })
    assert.same({}, ids { id = { ["$in"] = { "carol" }, ["$ne"] = "carol" } })
    restart()
    assert.same({ "carol" }, ids { guild = "red" })
    assert.same({ "alice", "bob", "carol", "dave" }, ids {})
    assert.equal("admin", fixture:connect("carol").me.role)
  end)

  it("changes and locks out users nobody has asked for", function()
    local status, body = fixture:call("server", "PATCH", "/users",
      { users = { { id = "carol", set = { level = 3 } } } })
    assert.equal(200, status)
    assert.same({ "red", 3, "admin" },
      { body.users.carol.guild, body.users.carol.level, body.users.carol.role })
    restart()
    local _, listed = fixture:call("server", "GET", "/users",
      nil, { payload = { filter_conditions = { id = "carol" } } })
    assert.same({ "red", 3 }, { listed.users[1].guild, listed.users[1].level })
  end)
end)

describe("models of a filled database", function()
  local database

  -- A store that counts what is decoded.
  local function counting()
    local counts = { user = 0, channel = 0, member = 0 }
    return setmetatable({
      decode = function(_, kind, ...)
        counts[kind] = counts[kind] + 1
        return database:decode(kind, ...)
      end,
    }, { __index = function(_, name)
      return function(_, ...) return database[name](database, ...) end
    end }), counts
  end

  before_each(function()
    database = assert(store.open ":memory:")
    local model, list = users.new(database), {}
    for i = 1, 50 do list[i] = { id = "user-" .. i, fields = {} } end
    assert(model:upsert_all(list, { trusted = true }))
    local all = channels.new(database)
    for i = 1, 20 do
      all:create({ type = "messaging", id = "channel-" .. i },
        { { user_id = "user-" .. i }, { user_id = "user-50" } })
    end
  end)

  after_each(function() database:close() end)

  it("are not made out of a member that is damaged", function()
    local damaged = folders.new()
    local path = damaged:at "state.db"
    store.open(path):close()
    sql(path, "INSERT INTO channels VALUES ('messaging:a', '{}')",
      "INSERT INTO members VALUES ('messaging:a/alice', '{\"cid\":')")
    local opened = assert(store.open(path))
    local ok, problem = pcall(channels.new, opened)
    assert.is_false(ok)
    assert.matches('member "messaging:a/alice" is damaged', problem.message)
    opened:close()
    damaged:remove()
  end)

  it("decode a user when it is asked for, and once", function()
    local counted, counts = counting()
    local model = users.new(counted)
    assert.is_nil(model:get "nobody")
    assert.equal(0, counts.user)
    local user = model:get "user-7"
    assert.equal("user-7", user.id)
    assert.equal(user, model:get "user-7")
    assert.equal(1, counts.user)
    assert.equal(1, #model:query { filter_conditions = { id = "user-8" } })
    assert.equal(2, counts.user)
  end)

  it("decode a channel when it is asked for, and its members when they are", function()
    local counted, counts = counting()
    local model = channels.new(counted)
    assert.equal(20, model.count)
    assert.is_true(model:uses_type "messaging")
    assert.is_false(model:uses_type "message")
    assert.same({ user = 0, channel = 0, member = 0 }, counts)
    local channel = model:get "messaging:channel-3"
    assert.equal(channel, model:get "messaging:channel-3")
    assert.is_nil(channel.team)
    assert.same({ user = 0, channel = 1, member = 0 }, counts)
    assert.equal("user-3", channel.members["user-3"].user_id)
    assert.equal(2, channel.member_count)
    assert.is_nil(getmetatable(channel))
    assert.same({ user = 0, channel = 1, member = 1 }, counts)
    assert.same({ ["messaging:channel-3"] = channel }, model:of_member "user-3")
    local theirs = 0
    for _ in pairs(model:of_member "user-50") do theirs = theirs + 1 end
    assert.equal(20, theirs)
    assert.same({ user = 0, channel = 20, member = 1 }, counts)
    model:change(channel, { remove = { "user-3", "user-50" } })
    assert.same({}, model:of_member "user-3")
    assert.is_nil(model:of_member("user-50")["messaging:channel-3"])
  end)
end)
