--- Bans: who may ban whom, what it does to sending and watching, and who is told.
local bans = require "stream_events.server.bans"
local hook = require "support.hook"
local models = require "support.models"
local moderation = require "stream_events.server.moderation"
local native = require "stream_events.native"
local server = require "support.server"
local timestamp = require "stream_events.timestamp"

local fixture

local function call(who, method, path, body, query)
  local status, answer = fixture:call(who, method, path, body, query)
  return status, answer
end

local function ban(who, body)
  local status, answer = call(who, "POST", "/moderation/ban", body)
  return status, answer
end

local function unban(who, query)
  local status, answer = call(who, "DELETE", "/moderation/ban", nil, query)
  return status, answer
end

local function send(who, event_type)
  local status, answer = call(who, "POST", "/channels/messaging/lobby/event",
    { event = { type = event_type or "wave" } })
  return status, answer
end

local function query(who, body, parameters)
  return call(who, "POST", "/channels/messaging/lobby/query", body or { state = true }, parameters)
end

local function watcher(who)
  local socket = fixture:connect(who)
  fixture:watch(socket, "messaging:lobby")
  socket:settled()
  return socket
end

local function types_of(socket)
  local types = {}
  for i, event in ipairs(socket:settled()) do types[i] = event.type end
  return types
end

local function may_send(channel)
  for _, name in ipairs(channel.own_capabilities) do
    if name == "send-custom-events" then return true end
  end
  return false
end

local function member_of(answer, user_id)
  for _, member in ipairs(answer.members) do
    if member.user_id == user_id then return member end
  end
end

describe("bans", function()
  before_each(function()
    fixture = server.start()
    fixture:users("alice", "bob", "carol", { id = "root", role = "admin" },
      { id = "mod", role = "moderator" })
    fixture:channel("messaging:lobby", { "alice", "bob", "carol" })
  end)
  after_each(function() fixture:stop() end)

  describe("of the whole app", function()
    it("keep a user from sending and not from watching, and are told to it", function()
      local bob, alice = watcher "bob", watcher "alice"
      bob:settled()
      assert.equal(201, (ban("server", { target_user_id = "bob", reason = "spam", banned_by_id = "root" })))
      local event = bob:expect "user.banned"
      assert.same({ "bob", true, "spam", "root" },
        { event.user.id, event.user.banned, event.reason, event.created_by.id })
      assert.is_nil(event.cid)
      assert.is_false(may_send(bob:expect("channel.updated").channel))
      assert.same({}, types_of(alice))
      local status, answer = send "bob"
      assert.same({ 403, 17 }, { status, answer.code })
      assert.equal(403, (send("bob", "typing.start")))
      status, answer = query "bob"
      assert.equal(201, status)
      assert.is_false(may_send(answer.channel))
      assert.is_true(member_of(answer, "bob").user.banned)
      assert.equal(201, (send "alice"))
      bob:expect "wave"
    end)

    it("end when somebody ends them", function()
      local bob = watcher "bob"
      ban("server", { target_user_id = "bob" })
      assert.equal(200, (unban("server", { target_user_id = "bob" })))
      assert.same({ "user.banned", "channel.updated", "user.unbanned", "channel.updated" }, types_of(bob))
      assert.equal(201, (send "bob"))
      assert.is_false(member_of(select(2, query "bob"), "bob").user.banned)
      assert.equal(200, (unban("server", { target_user_id = "bob" })))
      assert.same({ "wave" }, types_of(bob))
    end)

    it("leave no other way to reach somebody, and the way out", function()
      fixture:channel("messaging:own", { "bob", "alice" })
      local alice = fixture:connect "alice"
      fixture:watch(alice, "messaging:own")
      alice:settled()
      ban("server", { target_user_id = "bob" })
      for _, case in ipairs {
        { "POST", "/channels/messaging/new/query", { data = { members = { "alice" }, name = "hear me" } } },
        { "PATCH", "/channels/messaging/own", { set = { name = "hear me" } } },
        { "POST", "/channels/messaging/own", { data = { name = "hear me" } } },
        { "POST", "/channels/messaging/own", { add_members = { "carol" } } },
        { "POST", "/channels/messaging/own", { remove_members = { "alice" } } },
        { "DELETE", "/channels/messaging/own" },
      } do
        local status, answer = call("bob", case[1], case[2], case[3])
        assert.same({ 403, 17 }, { status, answer.code })
      end
      assert.same({}, types_of(alice))
      local _, answer = call("bob", "POST", "/channels/messaging/own/query", {})
      assert.same({ "connect-events", "delivery-events", "leave-channel", "read-events", "send-typing-events",
        "typing-events" }, answer.channel.own_capabilities)
      assert.equal(201, (call("bob", "POST", "/channels/messaging/own", { remove_members = { "bob" } })))
    end)

    it("do not keep a backend from sending in the user's name", function()
      ban("server", { target_user_id = "bob" })
      assert.equal(201, (call("server", "POST", "/channels/messaging/lobby/event",
        { event = { type = "wave", user_id = "bob" } })))
    end)
  end)

  describe("of a channel", function()
    local function in_lobby(more)
      local body = { target_user_id = "bob", channel_cid = "messaging:lobby" }
      for name, value in pairs(more or {}) do body[name] = value end
      return body
    end

    it("keep a user from sending and watching there, and end its watch", function()
      fixture:channel("messaging:other", { "bob" })
      local bob, alice = watcher "bob", watcher "alice"
      bob:settled()
      assert.equal(201, (ban("server", in_lobby { reason = "spam" })))
      local event = alice:expect "user.banned"
      assert.same({ "messaging:lobby", "bob", "spam" }, { event.cid, event.user.id, event.reason })
      alice:expect "user.watching.stop"
      assert.same({ "user.banned", "notification.removed_from_channel" }, types_of(bob))
      for _, answer in ipairs {
        table.pack(send "bob"), table.pack(query("bob", { watch = true }, { connection_id = bob.id })),
      } do
        assert.same({ 403, 17 }, { answer[1], answer[2].code })
      end
      send "alice"
      assert.same({}, types_of(bob))
      local status, channels = call("bob", "POST", "/channels",
        { filter_conditions = { cid = { ["$in"] = { "messaging:lobby", "messaging:other" } } } })
      assert.same({ 201, 1 }, { status, #channels.channels })
      local member = member_of(select(2, query "alice"), "bob")
      assert.same({ true, false }, { member.banned, member.user.banned })
    end)

    it("end, and the user may watch again", function()
      ban("server", in_lobby())
      local alice = watcher "alice"
      unban("server", { target_user_id = "bob", channel_cid = "messaging:lobby" })
      assert.same({ "user.unbanned" }, types_of(alice))
      watcher "bob"
      assert.equal(201, (send "bob"))
    end)

    it("can be named as older clients do", function()
      ban("server", { target_user_id = "bob", type = "messaging", id = "lobby" })
      assert.equal(403, (send "bob"))
      unban("server", { target_user_id = "bob", type = "messaging", id = "lobby" })
      assert.equal(201, (send "bob"))
    end)

    it("and of the app are two bans", function()
      ban("server", { target_user_id = "bob" })
      ban("server", in_lobby())
      unban("server", { target_user_id = "bob" })
      assert.equal(403, (send "bob"))
      unban("server", { target_user_id = "bob", channel_cid = "messaging:lobby" })
      assert.equal(201, (send "bob"))
    end)

    it("go with the channel", function()
      ban("server", in_lobby())
      assert.equal(200, (call("server", "DELETE", "/channels/messaging/lobby")))
      fixture:channel("messaging:lobby", { "alice", "bob" })
      assert.equal(201, (send "bob"))
    end)
  end)

  describe("in the shadow", function()
    it("let a user see its own events, and nobody else", function()
      local bob, second, alice = watcher "bob", watcher "bob", watcher "alice"
      local elsewhere = fixture:connect "bob"
      for _, socket in ipairs { bob, second, alice } do socket:settled() end
      assert.equal(201, (ban("server",
        { target_user_id = "bob", channel_cid = "messaging:lobby", shadow = true, timeout = 5 })))
      local status, answer = send "bob"
      assert.same({ 201, "wave" }, { status, answer.event.type })
      send("bob", "typing.start")
      for _, socket in ipairs { bob, second } do
        assert.same({ "wave", "typing.start" }, types_of(socket))
      end
      assert.same({}, types_of(alice))
      assert.same({}, types_of(elsewhere))
      local member = member_of(select(2, query "bob"), "bob")
      assert.same({ false, false }, { member.banned, member.shadow_banned })
      assert.is_nil(member.ban_expires)
      member = member_of(select(2, query("server", { state = true })), "bob")
      assert.same({ false, true }, { member.banned, member.shadow_banned })
      assert.is_string(member.ban_expires)
      unban("server", { target_user_id = "bob", channel_cid = "messaging:lobby" })
      send "bob"
      assert.same({ "wave" }, types_of(alice))
    end)

    it("hold in the whole app, too, and only backends see it", function()
      local alice = watcher "alice"
      ban("server", { target_user_id = "bob", shadow = true })
      assert.equal(201, (send "bob"))
      assert.same({}, types_of(alice))
      local wanted = { query = { payload = '{"filter_conditions":{"id":"bob"}}' } }
      local _, answer = call("server", "GET", "/users", nil, wanted.query)
      assert.same({ false, true }, { answer.users[1].banned, answer.users[1].shadow_banned })
      _, answer = call("alice", "GET", "/users", nil, wanted.query)
      assert.is_nil(answer.users[1].shadow_banned)
    end)
  end)

  describe("by users", function()
    local LOBBY = "messaging:lobby"
    for name, case in pairs {
      ["an admin, everywhere"] = { "root", nil, 201 },
      ["a moderator, everywhere"] = { "mod", nil, 201 },
      ["an admin, in a channel"] = { "root", LOBBY, 201 },
      ["a channel moderator, in its channel"] = { "carol", LOBBY, 201 },
      ["a channel moderator, everywhere"] = { "carol", nil, 403 },
      ["a channel moderator, elsewhere"] = { "carol", "messaging:other", 403 },
      ["a member"] = { "alice", LOBBY, 403 },
      ["nobody in particular"] = { "anonymous", nil, 403 },
    } do
      it(("are %s: %s"):format(case[3] == 201 and "allowed" or "refused", name), function()
        fixture:channel("messaging:other", { "alice", "bob" })
        call("server", "POST", "/channels/messaging/lobby",
          { assign_roles = { { user_id = "carol", channel_role = "channel_moderator" } } })
        local body = { target_user_id = "bob", channel_cid = case[2] }
        assert.equal(case[3], (ban(case[1], body)))
        if case[3] == 201 then
          assert.equal(403, (send "bob"))
          assert.equal(200, (unban(case[1], { target_user_id = "bob", channel_cid = case[2] })))
          assert.equal(201, (send "bob"))
        else
          assert.equal(403, (unban(case[1], { target_user_id = "bob", channel_cid = case[2] })))
        end
      end)
    end

    it("need the permission for others: that of an owner is none", function()
      call("server", "PATCH", "/app", { grants = { user = { "ban-user-owner" } } })
      assert.equal(403, (ban("alice", { target_user_id = "bob" })))
      call("server", "PATCH", "/app", { grants = { user = { "ban-user" } } })
      assert.equal(201, (ban("alice", { target_user_id = "bob" })))
    end)

    it("are theirs, whoever they name", function()
      local status, answer = ban("root", { target_user_id = "bob", banned_by_id = "mod" })
      assert.same({ 403, 17 }, { status, answer.code })
      local bob = fixture:connect "bob"
      ban("root", { target_user_id = "bob" })
      assert.equal("root", bob:expect("user.banned").created_by.id)
    end)

    it("who are banned themselves are refused", function()
      ban("server", { target_user_id = "mod" })
      assert.equal(403, (ban("mod", { target_user_id = "bob" })))
      assert.equal(403, (unban("mod", { target_user_id = "mod" })))
    end)
  end)

  describe("are listed", function()
    local LOBBY = "messaging:lobby"

    -- "user cid" of each, in the order of the answer.
    local function list(who, payload)
      local status, answer = call(who, "GET", "/query_banned_users", nil, { payload = payload })
      if status ~= 200 then return status, answer end
      local found = {}
      for i, each in ipairs(answer.bans) do
        found[i] = each.user.id .. " " .. (each.channel and each.channel.cid or "everywhere")
      end
      return found, answer.bans
    end

    before_each(function()
      fixture:channel("messaging:other", { "alice", "bob" })
      for _, body in ipairs {
        { target_user_id = "bob", channel_cid = LOBBY, timeout = 30, reason = "spam", banned_by_id = "mod" },
        { target_user_id = "bob" },
        { target_user_id = "alice", channel_cid = "messaging:other" },
        { target_user_id = "carol", channel_cid = "messaging:other", shadow = true },
      } do
        assert.equal(201, (ban("server", body)))
      end
    end)

    it("with all that is known of them, the newest first", function()
      local found, bans_found = list "server"
      assert.same({ "carol messaging:other", "alice messaging:other", "bob everywhere", "bob " .. LOBBY },
        found)
      local oldest = bans_found[4]
      assert.same({ "mod", "spam", false }, { oldest.banned_by.id, oldest.reason, oldest.shadow })
      assert.equal(30 * 60, math.floor(
        timestamp.parse(oldest.expires) - timestamp.parse(oldest.created_at) + 0.5))
      assert.is_nil(bans_found[3].expires)
      assert.is_true(bans_found[1].shadow)
      assert.equal(200, (unban("server", { target_user_id = "bob", channel_cid = LOBBY })))
      assert.same({ "bob everywhere" }, (list("server", { filter_conditions = { user_id = "bob" } })))
    end)

    it("by filter, in an order, by page", function()
      local function where(conditions, more)
        more = more or {}
        more.filter_conditions = conditions
        return (list("server", more))
      end
      assert.same({ "bob " .. LOBBY }, where { channel_cid = LOBBY })
      assert.same({ "bob everywhere" }, where { channel_cid = { ["$exists"] = false } })
      assert.same({ "bob " .. LOBBY }, where { banned_by_id = "mod", reason = { ["$eq"] = "spam" } })
      assert.same({ "carol messaging:other" }, where { shadow = true })
      local by_user = native.json.array { { field = "user_id", direction = 1 } }
      assert.same({ "bob everywhere", "bob " .. LOBBY },
        where({}, { sort = by_user, limit = 2, offset = 1 }))
      assert.same({}, where { user_id = "nobody" })
    end)

    it("to who may ban: shadow bans only to backends, those of one channel to who may ban there", function()
      call("server", "POST", "/channels/messaging/lobby",
        { assign_roles = { { user_id = "carol", channel_role = "channel_moderator" } } })
      local of_lobby = { filter_conditions = { channel_cid = LOBBY } }
      local of_other = { filter_conditions = { channel_cid = { ["$eq"] = "messaging:other" } } }
      assert.same({ "alice messaging:other", "bob everywhere", "bob " .. LOBBY }, (list "mod"))
      assert.same({}, (list("mod", { filter_conditions = { shadow = true } })))
      assert.same({ "bob " .. LOBBY }, (list("carol", of_lobby)))
      assert.equal(403, (list("carol", of_other)))
      assert.equal(403, (list "carol"))
      local several = { channel_cid = { ["$in"] = native.json.array { LOBBY } } }
      assert.equal(403, (list("carol", { filter_conditions = several })))
      assert.equal(403, (list("alice", of_lobby)))
      assert.equal(403, (list("anonymous", of_lobby)))
    end)

    it("but not to a query that is none", function()
      for _, payload in ipairs {
        { limit = 301 }, { limit = -1 }, { offset = 1001 }, { sort = "created_at" },
        { filter_conditions = native.json.array { "x" } }, { filter_conditions = { channel_cid = "lobby" } },
      } do
        assert.equal(400, (list("server", payload)))
      end
      assert.equal(404, (list("server", { filter_conditions = { channel_cid = "messaging:nowhere" } })))
    end)
  end)

  describe("refuse", function()
    for name, case in pairs {
      ["no target"] = { {}, 400, "target_user_id is a required field" },
      ["a target that is no user id"] = { { target_user_id = "a b" }, 400, "user id" },
      ["a target of another kind"] = { { target_user_id = 7 }, 400, "target_user_id must be a string" },
      ["an unknown target"] = { { target_user_id = "nobody" }, 404, "nobody" },
      ["an unknown channel"] = { { target_user_id = "bob", channel_cid = "team:x" }, 404, "team:x" },
      ["what is no channel"] = { { target_user_id = "bob", channel_cid = "lobby" }, 400, "channel_cid" },
      ["half a channel"] = { { target_user_id = "bob", type = "messaging" }, 400, "channel_cid" },
      ["an address"] = { { target_user_id = "bob", ip_ban = true }, 400, "ip_ban is not offered" },
      ["no time at all"] = { { target_user_id = "bob", timeout = 0 }, 400, "number of minutes" },
      ["half a minute"] = { { target_user_id = "bob", timeout = 0.5 }, 400, "timeout" },
      ["a time without end"] = { { target_user_id = "bob", timeout = 2 ^ 53 // 1 | 0 }, 400, "minutes" },
      ["a reason that is a book"] = { { target_user_id = "bob", reason = ("x"):rep(1025) }, 400, "1024" },
      ["an unknown judge"] = { { target_user_id = "bob", banned_by_id = "nobody" }, 404, "nobody" },
      ["oneself"] = { { target_user_id = "bob", banned_by_id = "bob" }, 400, "itself" },
    } do
      it(name, function()
        local status, answer = ban("server", case[1])
        assert.equal(case[2], status)
        assert.matches(case[3], answer.message, 1, true)
        assert.equal(201, (send "bob"))
      end)
    end
  end)

  it("in the shadow keep events from webhooks", function()
    local receiver = hook.start(200)
    call("server", "PATCH", "/app",
      { event_hooks = { { webhook_url = receiver.url, should_send_custom_events = true } } })
    ban("server", { target_user_id = "bob", shadow = true })
    assert.equal(201, (send("bob", "hidden")))
    assert.equal(201, (send("alice", "seen")))
    receiver:expect(2)
    local types = receiver:types()
    table.sort(types)
    assert.same({ "seen", "user.banned" }, types)
    receiver:stop()
  end)

  it("are told to webhooks, those in the shadow, too", function()
    local receiver = hook.start(200)
    call("server", "PATCH", "/app", { event_hooks = { { webhook_url = receiver.url } } })
    ban("server", { target_user_id = "bob", shadow = true })
    ban("server", { target_user_id = "carol", channel_cid = "messaging:lobby" })
    unban("server", { target_user_id = "carol", channel_cid = "messaging:lobby" })
    local events = {}
    receiver:expect(3)
    for _, request in ipairs(receiver.requests) do
      events[request.event.type .. " " .. request.event.user.id] = request.event
    end
    assert.is_true(events["user.banned bob"].shadow)
    assert.equal("messaging:lobby", events["user.banned carol"].cid)
    assert.is_truthy(events["user.unbanned carol"])
    receiver:stop()
  end)
end)

describe("stream_events.server.bans", function()
  local model, subject

  local function reload()
    local options = { now = function() return model.clock end }
    subject = bans.new(model.store, model.users, options)
  end

  before_each(function()
    model = models.new()
    assert(model.users:upsert("bob", {}, { trusted = true }))
    reload()
  end)

  it("ends a ban when its time is over", function()
    subject:add { target_user_id = "bob", cid = "messaging:x", timeout = 2 }
    subject:add { target_user_id = "bob", timeout = 1 }
    subject:add { target_user_id = "bob", cid = "messaging:y" }
    model.clock = model.clock + 59
    assert.same({}, subject:tick())
    assert.is_truthy(subject:in_app "bob")
    local view = model.users:public(model.users:get "bob")
    assert.same({ true, "2026-01-01T00:01:00Z" }, { view.banned, view.ban_expires })
    model.clock = model.clock + 1
    assert.is_nil(subject:in_app "bob") -- before anybody has looked
    assert.equal(2, #subject:all())
    local ended = subject:tick()
    assert.equal(1, #ended)
    assert.is_nil(ended[1].cid)
    assert.is_false(model.users:public(model.users:get "bob").banned)
    assert.is_true(subject:silences("bob", "messaging:x"))
    model.clock = model.clock + 60
    assert.equal("messaging:x", subject:tick()[1].cid)
    assert.is_false(subject:silences("bob", "messaging:x"))
    assert.is_true(subject:silences("bob", "messaging:y"))
    reload()
    assert.is_nil(subject:get("bob", "messaging:x"))
    assert.is_truthy(subject:get("bob", "messaging:y"))
  end)

  it("remembers over a restart, and that time went on meanwhile", function()
    subject:add { target_user_id = "bob", reason = "spam", timeout = 1, banned_by_id = "root" }
    subject:add { target_user_id = "bob", cid = "messaging:x", shadow = true }
    model.clock = model.clock + 61
    reload()
    assert.is_nil(subject:in_app "bob")
    assert.equal("spam", subject:get("bob").reason)
    assert.equal(1, #subject:tick())
    assert.is_true(subject:shadows("bob", "messaging:x"))
    assert.is_false(subject:silences("bob", "messaging:x"))
  end)

  it("replaces a ban in the same place, its end included", function()
    subject:add { target_user_id = "bob", timeout = 1 }
    subject:add { target_user_id = "bob" }
    model.clock = model.clock + 3600
    assert.same({}, subject:tick())
    assert.is_true(subject:silences("bob", "messaging:x"))
  end)

  it("tries again when the end cannot be written", function()
    subject:add { target_user_id = "bob", timeout = 1 }
    model.clock = model.clock + 60
    local transaction = model.store.transaction
    model.store.transaction = function() error "disk full" end
    assert.has_error(function() subject:tick() end)
    model.store.transaction = transaction
    assert.equal(1, #subject:tick())
    assert.same({}, subject:tick())
  end)
end)

describe("stream_events.server.moderation", function()
  it("tells of bans that end by themselves, and gives the rights back", function()
    local model = models.new()
    assert(model.users:upsert("bob", {}, { trusted = true }))
    local subject = bans.new(model.store, model.users, { now = function() return model.clock end })
    local told, copied, changed = {}, {}, {}
    local acting = moderation.new {
      bans = subject, users = model.users, connections = { of = function() return {} end },
      channels = { get = function(_, cid) return { cid = cid } end }, views = model.views,
      events = {
        text = function(_, event_type) return event_type end,
        to_user = function(_, id, text) told[#told + 1] = id .. " " .. text end,
        to_watchers = function(_, channel, text) told[#told + 1] = channel.cid .. " " .. text end,
        to_user_elsewhere = function() end,
      },
      webhooks = { copy = function(_, _, event_type) copied[#copied + 1] = event_type end },
      rights = {
        of_ban = function(_, id, channel, silenced)
          changed[#changed + 1] = { id, channel and channel.cid or "app", silenced("messaging:x") }
        end,
      },
    }
    local context = { caller = { kind = "server" } }
    acting:ban(context, { target_user_id = "bob", timeout = 1 })
    acting:ban(context, { target_user_id = "bob", cid = "messaging:x", timeout = 1 })
    acting:tick()
    assert.same({ "bob user.banned", "messaging:x user.banned" }, told)
    told, copied, changed = {}, {}, {}
    model.clock = model.clock + 60
    acting:tick()
    table.sort(told)
    assert.same({ "bob user.unbanned", "messaging:x user.unbanned" }, told)
    assert.same({ "user.unbanned", "user.unbanned" }, copied)
    table.sort(changed, function(a, b) return a[2] < b[2] end)
    assert.same({ { "bob", "app", true }, { "bob", "messaging:x", true } }, changed)
  end)
end)
