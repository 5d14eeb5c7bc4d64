--- Channels over the server's API: made, queried, watched, changed, removed; who may, who is told.
local fixtures = require "support.server"
local native = require "stream_events.native"

local now = os.time()
local function date(seconds) return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds) end

-- An object in an object in an object ...
local function nested(depth)
  local value = { 1 }
  for _ = 2, depth do value = { x = value } end
  return value
end

describe("channels", function()
  local fixture
  before_each(function()
    fixture = fixtures.start()
    fixture:users("alice", "bob", "carol", { id = "root", role = "admin" }, { id = "gerd", role = "guest" })
  end)
  after_each(function() fixture:stop() end)

  local function query(who, cid, body, parameters)
    return fixture:call(who, "POST", "/channels/" .. cid:gsub(":", "/") .. "/query", body or {}, parameters)
  end

  local function has(list, wanted)
    for _, item in ipairs(list) do
      if item == wanted then return true end
    end
    return false
  end

  local function cids(body)
    local list = {}
    for i, entry in ipairs(body.channels) do list[i] = entry.channel.cid end
    return list
  end

  describe("query", function()
    it("makes a channel that is missing", function()
      local status, body, answer = query("alice", "messaging:lobby",
        { data = { members = { "alice", "bob" }, name = "Lobby", nested = { a = {} } }, state = true })
      assert.equal(201, status)
      local channel = body.channel
      assert.same({ "lobby", "messaging", "messaging:lobby", 2, "Lobby", "alice" },
        { channel.id, channel.type, channel.cid, channel.member_count, channel.name, channel.created_by.id })
      assert.same({ false, false }, { channel.frozen, channel.disabled })
      assert.is_true(channel.config.custom_events)
      assert.is_true(has(channel.own_capabilities, "send-custom-events"))
      assert.same({ "alice", "bob" }, { body.members[1].user_id, body.members[2].user_id })
      assert.same({ "owner", "channel_member" }, { body.members[1].role, body.members[1].channel_role })
      assert.same({ "member", "channel_member" }, { body.members[2].role, body.members[2].channel_role })
      assert.equal("bob", body.members[2].user.id)
      assert.equal("alice", body.membership.user.id)
      assert.is_nil(body.watcher_count)
      assert.is_nil(body.watchers)
      for _, list in ipairs { "messages", "pinned_messages", "read", "threads" } do
        assert.matches(('"%s":[]'):format(list), answer.text, 1, true)
      end
    end)

    it("finds it again as it was and ignores new data", function()
      query("alice", "messaging:lobby", { data = { members = { "alice" }, name = "Lobby" } })
      local status, body = query("alice", "messaging:lobby",
        { data = { members = { "bob" }, name = "Other" } })
      assert.equal(201, status)
      assert.same({ "Lobby", 1 }, { body.channel.name, body.channel.member_count })
    end)

    it("leaves members out without state, but never the caller's own membership", function()
      query("alice", "messaging:lobby", { data = { members = { "alice" } } })
      local _, body, answer = query("alice", "messaging:lobby")
      assert.matches('"members":[]', answer.text, 1, true)
      assert.equal("alice", body.membership.user_id)
    end)

    it("gives members and watchers by page", function()
      fixture:channel("livestream:show", { "alice", "bob", "carol" }, { created_by_id = "root" })
      local sockets = {}
      for _, who in ipairs { "alice", "bob" } do
        sockets[who] = fixture:connect(who)
        fixture:watch(sockets[who], "livestream:show")
      end
      local _, body = query("alice", "livestream:show", {
        state = true, members = { limit = 1, offset = 1 }, watchers = { limit = 1, offset = 1 },
      })
      assert.same({ 1, "bob" }, { #body.members, body.members[1].user_id })
      assert.same({ 1, "bob" }, { #body.watchers, body.watchers[1].id })
      assert.equal(2, body.watcher_count)
    end)

    it("needs somebody who makes it when a server asks", function()
      local status, body = query("server", "messaging:new")
      assert.same({ 400, 4 }, { status, body.code })
      assert.equal(404, (fixture:call("server", "GET", "/channels/messaging/new")))
      for i, data in ipairs { { created_by_id = "alice" }, { created_by = { id = "alice" } } } do
        status, body = query("server", "messaging:new" .. i, { data = data })
        assert.same({ 201, "alice" }, { status, body.channel.created_by.id })
      end
    end)

    it("makes a channel for a distinct set of members, the same for every order", function()
      local function distinct(who, members)
        return fixture:call(who, "POST", "/channels/messaging/query", { data = { members = members } })
      end
      local status, body = distinct("alice", { "alice", "bob" })
      assert.equal(201, status)
      assert.matches("^!members%-[%w_%-]+$", body.channel.id)
      assert.is_true(#body.channel.id <= 64)
      local _, again = distinct("bob", { "bob", "alice", "bob" })
      assert.equal(body.channel.cid, again.channel.cid)
      local _, other = distinct("alice", { "alice", "carol" })
      assert.not_equal(body.channel.cid, other.channel.cid)
      status = query("bob", body.channel.cid)
      assert.equal(201, status)
      status, body = distinct("alice", { "alice", "alice" })
      assert.same({ 400, 4 }, { status, body.code })
      status, body = distinct("alice", nil)
      assert.same({ 400, 4 }, { status, body.code })
    end)

    -- Each: who, cid, body, query parameters; status and code.
    local refusals = {
      ["a type with bad characters"] = { "alice", "a.b:lobby", {}, nil, 400, 4 },
      ["a type that is too long"] = { "alice", ("a"):rep(65) .. ":lobby", {}, nil, 400, 4 },
      ["an id with bad characters"] = { "alice", "messaging:a%3Ab", {}, nil, 400, 4 },
      ["an id with a slash"] = { "alice", "messaging:a%2Fb", {}, nil, 400, 4 },
      ["an id with a zero byte"] = { "alice", "messaging:a%00", {}, nil, 400, 4 },
      ["an enormous id"] = { "alice", "messaging:" .. ("x"):rep(5000), {}, nil, 400, 4 },
      ["an id like those of distinct channels"] = { "alice", "messaging:!members-x", {}, nil, 400, 4 },
      ["an unknown type"] = { "alice", "nothing:lobby", {}, nil, 404, 16 },
      ["data that is no object"] = { "alice", "messaging:new", { data = 5 }, nil, 400, 4 },
      ["data that is a list"] = { "alice", "messaging:new", '{"data":[]}', nil, 400, 4 },
      ["a watch that is no boolean"] = { "alice", "messaging:new", { watch = "yes" }, nil, 400, 4 },
      ["members that are no list"] =
        { "alice", "messaging:new", { data = { members = "bob" } }, nil, 400, 4 },
      ["members that are numbers"] =
        { "alice", "messaging:new", { data = { members = { 1 } } }, nil, 400, 4 },
      ["members that are null"] =
        { "alice", "messaging:new", '{"data":{"members":[null]}}', nil, 400, 4 },
      ["members that do not exist"] =
        { "alice", "messaging:new", { data = { members = { "alice", "ghost" } } }, nil, 400, 4 },
      ["member objects without an id"] =
        { "alice", "messaging:new", '{"data":{"members":[{}]}}', nil, 400, 4 },
      ["a channel role from a client"] = { "alice", "messaging:new",
        { data = { members = { { user_id = "alice", channel_role = "channel_moderator" } } } },
        nil, 403, 17 },
      ["a channel role that is none"] = { "server", "messaging:new",
        { data = { created_by_id = "alice", members = { { user_id = "alice", channel_role = "king" } } } },
        nil, 400, 4 },
      ["overrides from a client"] = { "alice", "messaging:new",
        { data = { config_overrides = { typing_events = false } } }, nil, 403, 17 },
      ["overrides of custom_events"] = { "server", "messaging:new",
        { data = { created_by_id = "alice", config_overrides = { custom_events = false } } }, nil, 400, 4 },
      ["a creator who does not exist"] =
        { "server", "messaging:new", { data = { created_by_id = "ghost" } }, nil, 400, 4 },
      ["custom data over 5 KB"] =
        { "alice", "messaging:new", { data = { text = ("x"):rep(5200) } }, nil, 413, 22 },
      ["custom data that is nested too deep to be shown in lists"] =
        { "alice", "messaging:new", { data = { x = nested(17) } }, nil, 400, 4 },
      ["a page that is too long"] = { "alice", "messaging:new", { members = { limit = 1000 } }, nil, 400, 4 },
      ["a negative offset"] = { "alice", "messaging:new", { members = { offset = -1 } }, nil, 400, 4 },
      ["watching without a connection"] = { "alice", "messaging:new", { watch = true }, nil, 400, 4 },
      ["presence without a connection"] = { "alice", "messaging:new", { presence = true }, nil, 400, 4 },
      ["watching with an unknown connection"] =
        { "alice", "messaging:new", { watch = true }, { connection_id = "abc" }, 400, 46 },
      ["watching as a server"] = { "server", "messaging:new",
        { watch = true, data = { created_by_id = "alice" } }, nil, 400, 4 },
    }
    for name, case in pairs(refusals) do
      it("refuses " .. name .. " and makes nothing", function()
        local status, body = query(case[1], case[2], case[3], case[4])
        assert.same({ case[5], case[6] }, { status, body.code })
        assert.matches('^GetOrCreateChannel failed with error: "', body.message)
        local _, all = fixture:call("server", "POST", "/channels", {})
        assert.same({}, all.channels)
      end)
    end

    it("refuses another user's connection id", function()
      local bob = fixture:connect("bob")
      local status, body = query("alice", "messaging:new", { watch = true }, { connection_id = bob.id })
      assert.same({ 400, 46 }, { status, body.code })
      local anonymous = fixture:connect("anonymous")
      status, body = query("alice", "messaging:new", { watch = true }, { connection_id = anonymous.id })
      assert.same({ 400, 46 }, { status, body.code })
    end)

    it("takes the connection id from the body as well", function()
      local alice = fixture:connect("alice")
      local status, body = query("alice", "messaging:new",
        { watch = true, connection_id = alice.id, data = { members = { "alice" } } })
      assert.same({ 201, 1 }, { status, body.watcher_count })
    end)

    -- The default grants: who may read and who may make a channel of each type.
    local roles = {
      admin = "root", owner = "alice", member = "bob", user = "carol", guest = "gerd",
      anonymous = "anonymous",
    }
    local grants = {
      messaging = { reads = { "admin", "owner", "member" }, makes = { "admin", "user" } },
      team = { reads = { "admin", "owner", "member" }, makes = { "admin", "user" } },
      gaming = { reads = { "admin", "owner", "member" }, makes = { "admin" } },
      commerce = { reads = { "admin", "owner", "member" }, makes = { "admin", "guest" } },
      livestream = {
        reads = { "admin", "owner", "member", "user", "guest", "anonymous" }, makes = { "admin", "user" },
      },
    }
    for channel_type, may in pairs(grants) do
      for role, who in pairs(roles) do
        it(("follows the grants of %s for a %s"):format(channel_type, role), function()
          fixture:channel(channel_type .. ":lobby", { "bob" }, { created_by_id = "alice" })
          local status, body = query(who, channel_type .. ":lobby")
          if has(may.reads, role) then
            assert.equal(201, status)
          else
            assert.same({ 403, 17 }, { status, body.code })
            assert.matches("is not allowed to perform action ReadChannel in scope '" .. channel_type,
              body.message)
          end
          if role ~= "owner" and role ~= "member" then
            status, body = query(who, channel_type .. ":new")
            if has(may.makes, role) then
              assert.equal(201, status)
            else
              assert.same({ 403, 17 }, { status, body.code })
            end
          end
        end)
      end
    end
  end)

  describe("watching", function()
    before_each(function() fixture:channel("messaging:lobby", { "alice", "bob" }) end)

    it("tells all watchers, the new one included, and counts users", function()
      local alice, bob = fixture:connect("alice"), fixture:connect("bob")
      assert.equal(1, fixture:watch(alice, "messaging:lobby").watcher_count)
      local start = alice:expect("user.watching.start")
      assert.same({ "messaging:lobby", "lobby", "messaging", "alice", 1 },
        { start.cid, start.channel_id, start.channel_type, start.user.id, start.watcher_count })
      assert.equal(2, fixture:watch(bob, "messaging:lobby").watcher_count)
      for _, socket in ipairs { alice, bob } do
        start = socket:expect("user.watching.start")
        assert.same({ "bob", 2 }, { start.user.id, start.watcher_count })
      end
      local again = fixture:connect("bob")
      assert.equal(2, fixture:watch(again, "messaging:lobby").watcher_count)
      assert.same({}, alice:settled())
      again:close()
      assert.same({}, alice:settled())
      bob:close()
      local stop = alice:expect("user.watching.stop")
      assert.same({ "messaging:lobby", "bob", 1 }, { stop.cid, stop.user.id, stop.watcher_count })
    end)

    it("says nothing when a connection watches already", function()
      local alice = fixture:connect("alice")
      fixture:watch(alice, "messaging:lobby")
      alice:expect("user.watching.start")
      assert.equal(1, fixture:watch(alice, "messaging:lobby").watcher_count)
      assert.same({}, alice:settled())
    end)

    it("counts every anonymous connection for itself", function()
      fixture:channel("livestream:show", { "alice" })
      fixture:watch(fixture:connect("anonymous"), "livestream:show")
      local second = fixture:connect("anonymous")
      assert.equal(2, fixture:watch(second, "livestream:show").watcher_count)
      assert.matches("^!anon", second:expect("user.watching.start").user.id)
    end)

    it("ends with stop-watching", function()
      local alice, bob = fixture:connect("alice"), fixture:connect("bob")
      fixture:watch(alice, "messaging:lobby")
      fixture:watch(bob, "messaging:lobby")
      local path = "/channels/messaging/lobby/stop-watching"
      local status = fixture:call("bob", "POST", path, {}, { connection_id = bob.id })
      assert.equal(201, status)
      assert.equal(1, alice:expect("user.watching.stop").watcher_count)
      fixture:call("server", "POST", "/channels/messaging/lobby/event",
        { event = { type = "ping", user_id = "alice" } })
      alice:expect("ping")
      for _, event in ipairs(bob:settled()) do assert.not_equal("ping", event.type) end
      assert.equal(201, (fixture:call("bob", "POST", path, {}, { connection_id = bob.id })))
      for name, case in pairs {
        ["without a connection"] = { "bob", path, nil, 400, 4 },
        ["with another's connection"] = { "bob", path, alice.id, 400, 46 },
        ["in a channel that is not there"] =
          { "bob", "/channels/messaging/none/stop-watching", bob.id, 404, 16 },
      } do
        local refused, body = fixture:call(case[1], "POST", case[2], {}, { connection_id = case[3] })
        assert.same({ name, case[4], case[5] }, { name, refused, body.code })
      end
    end)

    it("says nothing when connect_events are off", function()
      fixture:call("server", "PUT", "/channeltypes/messaging", { connect_events = false })
      local alice = fixture:connect("alice")
      fixture:watch(alice, "messaging:lobby")
      assert.same({}, alice:settled())
    end)

    it("in a crowd, announces at most once in a while", function()
      fixture:channel("livestream:show", { "alice" })
      local alice = fixture:connect("alice")
      fixture:watch(alice, "livestream:show")
      for _ = 1, 120 do
        local socket = fixture:connect("anonymous")
        fixture:call("anonymous", "POST", "/channels/livestream/show/query", { watch = true },
          { connection_id = socket.id })
      end
      local count, last = 0, 0
      for _, event in ipairs(alice:settled()) do
        assert.equal("user.watching.start", event.type)
        count, last = count + 1, event.watcher_count
      end
      assert.equal(100, count)
      assert.equal(100, last)
      assert.equal(121, select(2, query("alice", "livestream:show")).watcher_count)
      -- Once the while is over the last of them is announced, once.
      local real = native.now
      native.now = function() return real() + 5.5 end
      finally(function() native.now = nil end)
      fixture.server.parts.watching:tick()
      fixture.server.parts.watching:tick()
      local events = alice:settled()
      assert.same({ 1, "user.watching.start", 121 },
        { #events, events[1].type, events[1].watcher_count })
    end)

    it("says nothing of the end when connect_events are off, and both when they are on again", function()
      local alice, bob = fixture:connect("alice"), fixture:connect("bob")
      fixture:watch(alice, "messaging:lobby")
      fixture:call("server", "PUT", "/channeltypes/messaging", { connect_events = false })
      alice:settled()
      fixture:watch(bob, "messaging:lobby")
      fixture:call("bob", "POST", "/channels/messaging/lobby/stop-watching", {}, { connection_id = bob.id })
      assert.same({}, alice:settled())
      fixture:call("server", "PUT", "/channeltypes/messaging", { connect_events = true })
      fixture:watch(bob, "messaging:lobby")
      bob:close()
      assert.equal(2, alice:expect("user.watching.start").watcher_count)
      assert.equal(1, alice:expect("user.watching.stop").watcher_count)
    end)
  end)

  describe("query of many", function()
    before_each(function()
      fixture:channel("messaging:one", { "alice", "bob" }, { color = "red", level = 1 })
      fixture:channel("messaging:two", { "alice" }, { color = "blue", level = 2 })
      fixture:channel("livestream:show", { "bob" }, { level = 3 })
    end)

    local by_level = { { field = "level", direction = 1 } }
    for name, case in pairs {
      ["cids"] = { { cid = { ["$in"] = { "messaging:one", "messaging:none", "livestream:show" } } },
        { "messaging:one", "livestream:show" } },
      ["one cid"] = { { cid = "messaging:two" }, { "messaging:two" } },
      ["$eq"] = { { cid = { ["$eq"] = "messaging:two" } }, { "messaging:two" } },
      ["a type"] = { { type = "messaging" }, { "messaging:one", "messaging:two" } },
      ["members"] = { { members = { ["$in"] = { "bob" } } }, { "messaging:one", "livestream:show" } },
      ["a member"] = { { members = "bob" }, { "messaging:one", "livestream:show" } },
      ["exactly these members"] = { { members = { ["$eq"] = { "alice" } } }, { "messaging:two" } },
      ["type and members"] =
        { { type = "messaging", members = { ["$in"] = { "bob" } } }, { "messaging:one" } },
      ["members inside $and"] = { { ["$and"] = { { members = { ["$in"] = { "bob" } } }, { level = 3 } } },
        { "livestream:show" } },
      ["$or"] =
        { { ["$or"] = { { color = "red" }, { level = 3 } } }, { "messaging:one", "livestream:show" } },
      ["custom data"] = { { color = "blue" }, { "messaging:two" } },
      ["nothing"] = { {}, { "messaging:one", "messaging:two", "livestream:show" } },
      ["nobody"] = { { members = { ["$in"] = { "ghost" } } }, {} },
    } do
      it("filters by " .. name, function()
        local status, body = fixture:call("server", "POST", "/channels",
          { filter_conditions = case[1], sort = by_level })
        assert.equal(201, status)
        assert.same(case[2], cids(body))
      end)
    end

    it("sorts and pages", function()
      local function page(direction, limit, offset)
        return cids(select(2, fixture:call("server", "POST", "/channels", {
          sort = { { field = "level", direction = direction } }, limit = limit, offset = offset,
        })))
      end
      assert.same({ "livestream:show", "messaging:two" }, page(-1, 2, 0))
      assert.same({ "messaging:two", "livestream:show" }, page(1, 10, 1))
      assert.same({}, page(1, 10, 3))
      assert.same({}, page(1, 0, 0))
    end)

    it("shows a client only what it may read", function()
      assert.same({ "livestream:show" }, cids(select(2, fixture:call("carol", "POST", "/channels", {}))))
    end)

    it("lets the connection watch all of them", function()
      local alice = fixture:connect("alice")
      local status, body = fixture:call("alice", "POST", "/channels", {
        filter_conditions = { cid = { ["$in"] = { "messaging:one", "messaging:two" } } }, watch = true,
        state = true, sort = by_level,
      }, { connection_id = alice.id })
      assert.equal(201, status)
      assert.same({ 1, 2 }, { body.channels[1].watcher_count, #body.channels[1].members })
      assert.equal(2, fixture.server:stats().watches)
    end)

    it("lets no other connection of the user watch, and says of each channel what the user may", function()
      local alice, elsewhere = fixture:connect "alice", fixture:connect "alice"
      local _, body = fixture:call("alice", "POST", "/channels", {
        filter_conditions = { cid = { ["$in"] = { "messaging:one", "messaging:two" } } }, watch = true,
        state = false, limit = 30, message_limit = 1,
      }, { connection_id = alice.id })
      for _, view in ipairs(body.channels) do
        local may = {}
        for _, name in ipairs(view.channel.own_capabilities) do may[name] = true end
        assert.is_true(may["send-custom-events"] and may["read-events"])
        fixture:call("alice", "POST", "/channels/messaging/" .. view.channel.id .. "/event",
          { event = { type = "poke", at = view.channel.id } })
        local event = alice:next()
        while event.type ~= "poke" do event = alice:next() end
        assert.equal(view.channel.id, event.at)
      end
      elsewhere:send ""
      assert.equal("health.check", elsewhere:next().type) -- nothing came before it
    end)

    for name, case in pairs {
      ["a limit over 30"] = { { limit = 31 } },
      ["an offset over 1000"] = { { offset = 1001 } },
      ["a filter that is a list"] = { '{"filter_conditions":[]}' },
      ["an unknown operator"] = { { filter_conditions = { cid = { ["$regex"] = "x" } } } },
      ["an unknown combination"] = { { filter_conditions = { ["$xor"] = {} } } },
      ["members compared with numbers"] = { { filter_conditions = { members = { ["$in"] = { 1 } } } } },
      ["members without a value"] = { '{"filter_conditions":{"members":{}}}' },
      ["a sort that is no list"] = { { sort = { field = "x" } } },
      ["a sort without a field"] = { { sort = { { direction = 1 } } } },
      ["a sort in no direction"] = { { sort = { { field = "x", direction = 2 } } } },
      ["watching without a connection"] = { { watch = true } },
      ["a filter nested very deep"] =
        { '{"filter_conditions":' .. ('{"$and":['):rep(12) .. "{}" .. ("]}"):rep(12) .. "}" },
    } do
      it("refuses " .. name, function()
        local status, body = fixture:call("alice", "POST", "/channels", case[1])
        assert.same({ 400, 4 }, { status, body.code })
      end)
    end
  end)

  describe("update", function()
    local function update(who, body, cid)
      return fixture:call(who, "POST", "/channels/" .. (cid or "messaging:lobby"):gsub(":", "/"), body)
    end
    local function members()
      local _, body = fixture:call("server", "GET", "/channels/messaging/lobby")
      local ids = {}
      for _, member in ipairs(body.members) do ids[#ids + 1] = member.user_id end
      table.sort(ids)
      return table.concat(ids, " ")
    end
    before_each(function() fixture:channel("messaging:lobby", { "alice", "bob" }) end)

    it("adds members and tells watchers, and new members where they do not watch", function()
      local alice, carol = fixture:connect("alice"), fixture:connect("carol")
      fixture:watch(alice, "messaging:lobby")
      local status, body = update("alice", { add_members = { "carol", "bob" } })
      assert.equal(201, status)
      assert.equal(3, body.channel.member_count)
      assert.equal(3, #body.members)
      local added = alice:expect("member.added")
      assert.same({ "messaging:lobby", "carol", "carol" }, { added.cid, added.user.id, added.member.user_id })
      local notice = carol:expect("notification.added_to_channel")
      assert.same({ "messaging:lobby", "lobby", 3 },
        { notice.cid, notice.channel.id, notice.channel.member_count })
      assert.same({}, alice:settled())
    end)

    it("tells the members of a new channel, but not who watches it already", function()
      local alice, bob = fixture:connect("alice"), fixture:connect("bob")
      query("alice", "messaging:fresh", { data = { members = { "alice", "bob" } }, watch = true },
        { connection_id = alice.id })
      assert.equal("messaging:fresh", bob:expect("notification.added_to_channel").cid)
      for _, event in ipairs(alice:settled()) do assert.equal("user.watching.start", event.type) end
    end)

    it("tells the members of a new channel that its maker may not read", function()
      assert.equal(201, (fixture:call("server", "PUT", "/channeltypes/messaging",
        { grants = { user = { "create-channel" } } })))
      local bob = fixture:connect("bob")
      assert.equal(403, (query("alice", "messaging:fresh", { data = { members = { "bob" } } })))
      assert.equal("messaging:fresh", bob:expect("notification.added_to_channel").cid)
    end)

    it("removes members; who can no longer read stops watching", function()
      local alice, bob = fixture:connect("alice"), fixture:connect("bob")
      fixture:watch(alice, "messaging:lobby")
      fixture:watch(bob, "messaging:lobby")
      assert.equal(201, (update("alice", { remove_members = { "bob", "carol" } })))
      assert.equal("bob", alice:expect("member.removed").user.id)
      assert.equal(1, alice:expect("user.watching.stop").watcher_count)
      bob:expect("member.removed")
      assert.equal("messaging:lobby", bob:expect("notification.removed_from_channel").cid)
      fixture:call("alice", "POST", "/channels/messaging/lobby/event", { event = { type = "secret" } })
      assert.same({}, bob:settled())
      assert.equal("alice", members())
    end)

    it("lets a removed member go on watching what everybody may read", function()
      fixture:channel("livestream:show", { "bob" }, { created_by_id = "root" })
      local bob = fixture:connect("bob")
      fixture:watch(bob, "livestream:show")
      update("root", { remove_members = { "bob" } }, "livestream:show")
      bob:expect("member.removed")
      assert.equal(1, fixture.server:stats().watches)
    end)

    it("gives roles when a server asks", function()
      local bob = fixture:connect("bob")
      fixture:watch(bob, "messaging:lobby")
      local status = update("server",
        { assign_roles = { { user_id = "bob", channel_role = "channel_moderator" } } })
      assert.equal(201, status)
      local updated = bob:expect("member.updated")
      assert.same({ "channel_moderator", "moderator" }, { updated.member.channel_role, updated.member.role })
      update("server", { demote_moderators = { "bob" } })
      assert.equal("channel_member", bob:expect("member.updated").member.channel_role)
      update("server", { add_moderators = { "carol" } })
      local added = bob:expect("member.added")
      assert.same({ "carol", "channel_moderator" }, { added.user.id, added.member.channel_role })
    end)

    it("replaces custom data and tells watchers", function()
      local bob = fixture:connect("bob")
      fixture:watch(bob, "messaging:lobby")
      update("alice", { data = { color = "red", name = "Lobby" } })
      local _, body = update("alice", { data = { name = "Hall" } })
      assert.same({ "Hall" }, { body.channel.name, body.channel.color })
      bob:expect("channel.updated")
      local event = bob:expect("channel.updated")
      assert.same({ "Hall", "alice", "messaging:lobby" }, { event.channel.name, event.user.id, event.cid })
    end)

    it("lets users of a livestream join and leave by themselves", function()
      fixture:channel("livestream:show", { "bob" }, { created_by_id = "root" })
      assert.equal(201, (update("carol", { add_members = { "carol" } }, "livestream:show")))
      assert.equal(201, (update("carol", { remove_members = { "carol" } }, "livestream:show")))
      assert.equal(403, (update("carol", { add_members = { "alice" } }, "livestream:show")))
      assert.equal(403, (update("carol", { remove_members = { "bob" } }, "livestream:show")))
    end)

    it("does not add members to a distinct channel", function()
      local _, made = fixture:call("alice", "POST", "/channels/messaging/query",
        { data = { members = { "alice", "bob" } } })
      local status, body = update("alice", { add_members = { "carol" } }, made.channel.cid)
      assert.same({ 403, 17 }, { status, body.code })
      assert.matches("cannot add members to the distinct channel", body.message)
    end)

    local many = {}
    for i = 1, 101 do many[i] = "user" .. i end
    for name, case in pairs {
      ["a channel that is missing"] = { "alice", {}, 404, 16, "messaging:none" },
      ["an id with bad characters"] = { "alice", {}, 400, 4, "messaging:a%20b" },
      ["a stranger"] = { "carol", {}, 403, 17 },
      ["a stranger who adds himself"] = { "carol", { add_members = { "carol" } }, 403, 17 },
      ["a member who adds others"] = { "bob", { add_members = { "carol" } }, 403, 17 },
      ["a member who removes others"] = { "bob", { remove_members = { "alice" } }, 403, 17 },
      ["a member who changes the data"] = { "bob", { data = { name = "x" } }, 403, 17 },
      ["roles from a client"] =
        { "alice", { assign_roles = { { user_id = "bob", channel_role = "channel_moderator" } } }, 403, 17 },
      ["moderators from a client"] = { "alice", { add_moderators = { "bob" } }, 403, 17 },
      ["demoting from a client"] = { "alice", { demote_moderators = { "bob" } }, 403, 17 },
      ["a role for somebody who is no member"] =
        { "server", { assign_roles = { { user_id = "carol", channel_role = "channel_member" } } }, 400, 4 },
      ["a role that is none"] =
        { "server", { assign_roles = { { user_id = "bob", channel_role = 5 } } }, 400, 4 },
      ["a role for nobody"] = { "server", { assign_roles = { "bob" } }, 400, 4 },
      ["members that do not exist"] = { "alice", { add_members = { "carol", "ghost" } }, 400, 4 },
      ["too many members"] = { "alice", { add_members = many }, 413, 22 },
      ["members that are no list"] = { "alice", { add_members = "carol" }, 400, 4 },
      ["adding and removing the same user"] =
        { "alice", { add_members = { "carol" }, remove_members = { "carol" } }, 400, 4 },
      ["too much data"] =
        { "alice", { add_members = { "carol" }, data = { x = ("x"):rep(5200) } }, 413, 22 },
      ["disabling from a client"] = { "alice", { data = { disabled = true } }, 403, 17 },
    } do
      it(("refuses %s and changes nothing"):format(name), function()
        local status, body = update(case[1], case[2], case[5])
        assert.same({ case[3], case[4] }, { status, body.code })
        assert.matches('^UpdateChannel failed with error: "', body.message)
        assert.equal("alice bob", members())
      end)
    end

    it("says which role it is that nobody can have", function()
      local _, body = update("server", { assign_roles = { { user_id = "bob", channel_role = "king" } } })
      assert.matches('channel_role "king" is not the name of a role', body.message, 1, true)
    end)

    it("closes a disabled channel for clients only", function()
      update("server", { data = { disabled = true } })
      for _, call in ipairs {
        { "GET", "/channels/messaging/lobby" }, { "POST", "/channels/messaging/lobby/query", {} },
        { "POST", "/channels/messaging/lobby/event", { event = { type = "x" } } },
      } do
        local status, body = fixture:call("alice", call[1], call[2], call[3])
        assert.same({ 403, 17 }, { status, body.code })
      end
      assert.equal(200, (fixture:call("server", "GET", "/channels/messaging/lobby")))
      update("server", { data = { disabled = false } })
      assert.equal(200, (fixture:call("alice", "GET", "/channels/messaging/lobby")))
    end)
  end)

  describe("partial update", function()
    before_each(function()
      fixture:channel("messaging:lobby", { "alice", "bob" }, { name = "Lobby", color = "red" })
    end)
    local function patch(who, body)
      return fixture:call(who, "PATCH", "/channels/messaging/lobby", body)
    end

    it("sets and takes away", function()
      local status, body = patch("alice", { set = { name = "Hall", size = 3 }, unset = { "color" } })
      assert.equal(200, status)
      assert.same({ "Hall", 3 }, { body.channel.name, body.channel.size, body.channel.color })
    end)

    it("switches off what it switched on, and no less", function()
      for _, name in ipairs { "frozen", "disabled" } do
        for _, value in ipairs { true, false } do
          assert.equal(200, (patch("server", { set = { [name] = value } })))
          local _, body = fixture:call("server", "POST", "/channels",
            { filter_conditions = { cid = "messaging:lobby", [name] = value } })
          assert.same({ 1, value }, { #body.channels, body.channels[1] and body.channels[1].channel[name] })
        end
      end
    end)

    it("takes the right to send away from one channel", function()
      local event = { event = { type = "x" } }
      assert.equal(201, (fixture:call("bob", "POST", "/channels/messaging/lobby/event", event)))
      local status = patch("server", { set = { config_overrides = { grants = {
        channel_member = { "!send-custom-event" },
        user = { "!send-custom-event", "!send-custom-event-owner" },
      } } } })
      assert.equal(200, status)
      for _, who in ipairs { "alice", "bob" } do
        assert.equal(403, (fixture:call(who, "POST", "/channels/messaging/lobby/event", event)))
      end
      local _, body = query("bob", "messaging:lobby")
      assert.is_false(has(body.channel.own_capabilities, "send-custom-events"))
      assert.equal(200, (patch("server", { unset = { "config_overrides" } })))
      assert.equal(201, (fixture:call("bob", "POST", "/channels/messaging/lobby/event", event)))
    end)

    for name, case in pairs {
      ["a member"] = { "bob", { set = { name = "x" } }, 403, 17 },
      ["overrides from a client"] = { "alice", { set = { config_overrides = {} } }, 403, 17 },
      ["taking away what a channel is made of"] = { "alice", { unset = { "created_by" } }, 400, 4 },
      ["names that are none"] = { "alice", { unset = { 1 } }, 400, 4 },
      ["too much data"] = { "alice", { set = { x = ("x"):rep(5200) } }, 413, 22 },
      ["data that is nested too deep"] = { "alice", { set = { x = nested(17) } }, 400, 4 },
    } do
      it("refuses " .. name, function()
        local status, body = patch(case[1], case[2])
        assert.same({ case[3], case[4] }, { status, body.code })
        local _, after = fixture:call("server", "GET", "/channels/messaging/lobby")
        assert.equal("Lobby", after.channel.name)
      end)
    end
  end)

  describe("delete", function()
    it("removes the channel and tells those who watch and those who do not", function()
      fixture:channel("messaging:lobby", { "alice", "bob" })
      local alice, bob = fixture:connect("alice"), fixture:connect("bob")
      fixture:watch(alice, "messaging:lobby")
      assert.equal(403, (fixture:call("bob", "DELETE", "/channels/messaging/lobby")))
      local status, body = fixture:call("alice", "DELETE", "/channels/messaging/lobby")
      assert.same({ 200, "messaging:lobby" }, { status, body.channel.cid })
      local event = alice:expect("channel.deleted")
      assert.equal("messaging:lobby", event.channel.cid)
      assert.equal(body.channel.deleted_at, event.channel.deleted_at)
      assert.is_true(body.channel.deleted_at > body.channel.updated_at)
      assert.equal("messaging:lobby", bob:expect("notification.channel_deleted").channel.cid)
      assert.equal(404, (fixture:call("server", "GET", "/channels/messaging/lobby")))
      assert.equal(0, fixture.server:stats().watches)
      local _, again = query("alice", "messaging:lobby", { data = { members = { "alice" } } })
      assert.equal(1, again.channel.member_count)
      assert.is_nil(again.watcher_count)
    end)
  end)

  describe("sync", function()
    local function sync(body, parameters)
      return fixture:call("alice", "POST", "/sync", body, parameters)
    end
    before_each(function()
      fixture:channel("messaging:lobby", { "alice" })
      fixture:channel("messaging:closed", { "bob" })
    end)

    local cids_asked = { "messaging:lobby", "messaging:closed", "messaging:none" }

    it("has nothing to repeat, and names what cannot be reached when asked", function()
      local status, body, answer = sync({ channel_cids = cids_asked, last_sync_at = date(now - 60) },
        { with_inaccessible_cids = "true" })
      assert.equal(201, status)
      assert.matches('"events":[]', answer.text, 1, true)
      assert.same({ "messaging:closed", "messaging:none" }, body.inaccessible_cids)
    end)

    it("says by events what cannot be reached, when no list is asked for", function()
      local status, body = sync { channel_cids = cids_asked, last_sync_at = date(now - 60) }
      assert.equal(201, status)
      assert.is_nil(body.inaccessible_cids)
      local told = {}
      for i, event in ipairs(body.events) do
        told[i] = { event.type, event.cid, event.channel_type, event.channel_id, event.user.id }
        assert.is_string(event.created_at)
      end
      local removed = "notification.removed_from_channel"
      assert.same({
        { removed, "messaging:closed", "messaging", "closed", "alice" },
        { removed, "messaging:none", "messaging", "none", "alice" },
      }, told)
    end)

    it("watches when asked", function()
      local alice = fixture:connect("alice")
      assert.equal(201, (sync({ channel_cids = { "messaging:lobby", "messaging:closed" },
        last_sync_at = date(now), watch = true }, { connection_id = alice.id })))
      assert.equal("messaging:lobby", alice:expect("user.watching.start").cid)
      assert.equal(1, fixture.server:stats().watches)
    end)

    local many = {}
    for i = 1, 256 do many[i] = "messaging:lobby" end
    for name, body in pairs {
      ["no channels"] = { channel_cids = {}, last_sync_at = date(now) },
      ["too many channels"] = { channel_cids = many, last_sync_at = date(now) },
      ["a cid that is none"] = { channel_cids = { "lobby" }, last_sync_at = date(now) },
      ["no date"] = { channel_cids = { "messaging:lobby" } },
      ["a date that is none"] = { channel_cids = { "messaging:lobby" }, last_sync_at = "yesterday" },
      ["a date too long ago"] =
        { channel_cids = { "messaging:lobby" }, last_sync_at = date(now - 31 * 86400) },
      ["nothing"] = {},
    } do
      it("refuses " .. name, function()
        local status, refused = sync(body)
        assert.same({ 400, 4 }, { status, refused.code })
      end)
    end
  end)

  it("are still there after a restart, with members, roles and data", function()
    local path = os.tmpname()
    local first = fixtures.start { data = path }
    first:users("alice", "bob")
    first:channel("messaging:lobby", { "alice", "bob" }, { name = "Lobby", list = { 1 } })
    first:call("server", "POST", "/channels/messaging/lobby",
      { assign_roles = { { user_id = "bob", channel_role = "channel_moderator" } } })
    first:channel("messaging:gone", { "alice" })
    first:call("server", "DELETE", "/channels/messaging/gone")
    local _, before = first:call("alice", "GET", "/channels/messaging/lobby")
    first:stop()
    local second = fixtures.start { data = path }
    local _, after = second:call("alice", "GET", "/channels/messaging/lobby")
    before.duration, after.duration = nil, nil
    assert.same(before, after)
    assert.equal(404, (second:call("server", "GET", "/channels/messaging/gone")))
    second:stop()
    for _, suffix in ipairs { "", "-lock", "-wal", "-shm" } do os.remove(path .. suffix) end
  end)
end)
