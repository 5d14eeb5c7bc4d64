--- Rights that change while somebody watches: at once, for every connection, and only where they do.
local native = require "stream_events.native"
local rights_changes = require "stream_events.server.rights_changes"
local server = require "support.server"

local NONE = native.json.array {}

local fixture

local function start()
  fixture = server.start()
  fixture:users("alice", "bob", "carol", { id = "root", role = "admin" })
  fixture:channel("messaging:lobby", { "alice", "bob" })
end

local function call(who, method, path, body, query)
  local status, answer = fixture:call(who, method, path, body, query)
  return status, answer
end

local function change(method, path, body)
  local status, answer = call("server", method, path, body)
  assert(status < 300, answer and answer.message)
  return answer
end

local function send(who, cid, event_type)
  return call(who, "POST", "/channels/" .. cid:gsub(":", "/") .. "/event",
    { event = { type = event_type or "wave" } })
end

local function query(who, cid)
  return call(who, "POST", "/channels/" .. cid:gsub(":", "/") .. "/query", { state = true })
end

local function has(list, name)
  for _, each in ipairs(list) do
    if each == name then return true end
  end
  return false
end

local function may_send(answer)
  return has(answer.channel.own_capabilities, "send-custom-events")
end

-- A connection that watches, with the events of its arrival behind it.
local function watcher(who, cid)
  local socket = fixture:connect(who)
  fixture:watch(socket, cid)
  socket:settled()
  return socket
end

-- The types of what a connection got, in order; and the last event.
local function heard(socket)
  local types, last = {}, nil
  for i, event in ipairs(socket:settled()) do types[i], last = event.type, event end
  return types, last
end

describe("rights that change", function()
  before_each(start)
  after_each(function() fixture:stop() end)

  describe("of a channel type", function()
    it("switch custom events off and on again for everybody at once", function()
      local alice, bob = watcher("alice", "messaging:lobby"), watcher("bob", "messaging:lobby")
      alice:settled()
      change("PUT", "/channeltypes/messaging", { custom_events = false })
      for _, socket in ipairs { alice, bob } do
        local event = socket:expect "channel.updated"
        assert.is_false(event.channel.config.custom_events)
        assert.is_false(may_send(event))
        assert.equal("messaging:lobby", event.cid)
      end
      local status, answer = send("alice", "messaging:lobby")
      assert.same({ 400, 18 }, { status, answer.code })
      status, answer = call("server", "POST", "/channels/messaging/lobby/event",
        { event = { type = "wave", user_id = "alice" } })
      assert.same({ 400, 18 }, { status, answer.code })
      assert.is_false(may_send(select(2, query("alice", "messaging:lobby"))))
      change("PUT", "/channeltypes/messaging", { custom_events = true })
      for _, socket in ipairs { alice, bob } do
        local event = socket:expect "channel.updated"
        assert.is_true(event.channel.config.custom_events)
        assert.is_true(may_send(event))
      end
      assert.equal(201, (send("alice", "messaging:lobby")))
      assert.is_true(may_send(select(2, query("alice", "messaging:lobby"))))
      assert.equal("wave", bob:expect("wave").type)
    end)

    it("say to each what it may itself, and nothing to whom nothing changes", function()
      local member, root = watcher("bob", "messaging:lobby"), watcher("root", "messaging:lobby")
      member:settled()
      change("PUT", "/channeltypes/messaging", { grants = { channel_member = { "read-channel" } } })
      local types, event = heard(member)
      assert.same({ "channel.updated" }, types)
      assert.is_false(may_send(event))
      assert.same({}, (heard(root)))
    end)

    it("tell who made a channel from those who did not", function()
      fixture:watch(fixture:connect "carol", (fixture:channel("messaging:other", { "carol" }).cid))
      local owner, member = watcher("alice", "messaging:lobby"), watcher("bob", "messaging:lobby")
      owner:settled()
      change("PUT", "/channeltypes/messaging", { grants = { user = NONE } })
      local event = owner:expect "channel.updated"
      assert.is_false(has(event.channel.own_capabilities, "delete-channel"))
      assert.same({}, (heard(member)))
    end)

    it("say nothing when a change changes nothing, or is about another type", function()
      local member = watcher("bob", "messaging:lobby")
      change("PUT", "/channeltypes/messaging", { custom_events = true })
      change("PUT", "/channeltypes/team", { custom_events = false })
      change("PUT", "/channeltypes/messaging", { grants = { guest = { "read-channel" } } })
      assert.same({}, (heard(member)))
    end)

    it("say nothing to who is banned where a change changes nothing for it", function()
      local member = watcher("bob", "messaging:lobby")
      assert.equal(201, (call("server", "POST", "/moderation/ban", { target_user_id = "bob" })))
      heard(member)
      change("PUT", "/channeltypes/messaging", { grants = { guest = { "read-channel" } } })
      assert.same({}, (heard(member)))
    end)

    it("say what may be done in each channel, of one with overrides as of the others", function()
      fixture:channel("messaging:quiet", { "alice", "bob" })
      change("PATCH", "/channels/messaging/quiet", { set = { config_overrides = {
        grants = { channel_member = { "!send-custom-event" } } } } })
      local member = watcher("bob", "messaging:lobby")
      fixture:watch(member, "messaging:quiet")
      member:settled()
      change("PUT", "/channeltypes/messaging",
        { grants = { channel_member = { "read-channel", "send-custom-event", "update-channel" } } })
      local sends = {}
      for _ = 1, 2 do
        local event = member:expect "channel.updated"
        sends[event.cid] = may_send(event)
        assert.is_true(has(event.channel.own_capabilities, "update-channel"))
      end
      assert.same({ ["messaging:lobby"] = true, ["messaging:quiet"] = false }, sends)
    end)

    it("end the watch of who may no longer read, and say so", function()
      local member, owner = watcher("bob", "messaging:lobby"), watcher("alice", "messaging:lobby")
      member:settled()
      change("PUT", "/channeltypes/messaging", { grants = { channel_member = NONE } })
      local event = member:expect "notification.removed_from_channel"
      assert.equal("messaging:lobby", event.channel.cid)
      assert.is_false(may_send(event))
      assert.same({ "channel.updated", "user.watching.stop" }, (function()
        local types = heard(owner)
        table.sort(types)
        return types
      end)())
      assert.equal(201, (send("alice", "messaging:lobby")))
      assert.same({ "wave" }, (heard(owner)))
      assert.same({}, (heard(member)))
    end)

    it("let who has no token do no more than read, whatever is granted", function()
      fixture:channel("livestream:show", { "alice" })
      change("PUT", "/channeltypes/livestream", { grants = { anonymous = {
        "read-channel", "send-custom-event", "create-channel", "update-channel", "leave-channel" } } })
      local _, answer = query("anonymous", "livestream:show")
      assert.same({ "connect-events", "delivery-events" }, answer.channel.own_capabilities)
      for _, case in ipairs {
        { "POST", "/event", { event = { type = "wave" } } }, { "PATCH", "", { set = { name = "x" } } },
        { "DELETE", "" },
      } do
        local status, refusal = call("anonymous", case[1], "/channels/livestream/show" .. case[2], case[3])
        assert.same({ 403, 17 }, { status, refusal.code })
      end
      assert.equal(403, (query("anonymous", "livestream:new")))
      assert.equal(404, (call("server", "GET", "/channels/livestream/new")))
    end)

    it("reach anonymous watchers, too", function()
      fixture:channel("livestream:show", { "alice" })
      local viewer = watcher("anonymous", "livestream:show")
      change("PUT", "/channeltypes/livestream", { custom_events = false })
      assert.is_false(viewer:expect("channel.updated").channel.config.custom_events)
      change("PUT", "/channeltypes/livestream", { grants = { anonymous = NONE } })
      viewer:expect "notification.removed_from_channel"
    end)

    describe("before very many watchers", function()
      local sockets

      before_each(function()
        fixture:channel("livestream:show", { "alice" })
        sockets = {}
        for i = 1, 510 do
          local socket = fixture:connect "anonymous"
          fixture:watch(socket, "livestream:show")
          sockets[i] = socket
        end
      end)

      it("reach all of them, each once", function()
        change("PUT", "/channeltypes/livestream", { custom_events = false })
        for _, socket in ipairs(sockets) do
          assert.is_false(socket:expect("channel.updated").channel.config.custom_events)
        end
        for _, socket in ipairs(sockets) do
          for _, event in ipairs(socket:settled()) do assert.not_equal("channel.updated", event.type) end
        end
      end)

      it("end with what was said last, however fast things change", function()
        local client, headers = fixture.client, { Authorization = fixture:server_token() }
        for i = 1, 4 do
          client:send("PUT", "/channeltypes/livestream?api_key=devkey", headers,
            ('{"custom_events":%s}'):format(i % 2 == 0))
        end
        for _ = 1, 4 do assert.equal(201, client:next_answer().status) end
        change("PUT", "/channeltypes/livestream", { custom_events = false, max_message_length = 77 })
        for _, socket in ipairs(sockets) do
          local config
          repeat
            config = socket:expect("channel.updated").channel.config
          until config.max_message_length == 77
          assert.is_false(config.custom_events)
          -- What comes behind it, if anything, says the same.
          for _, event in ipairs(socket:settled()) do
            if event.type == "channel.updated" then
              assert.equal(77, event.channel.config.max_message_length)
            end
          end
        end
      end)
    end)
  end)

  describe("of a channel", function()
    it("follow its overrides", function()
      local member, root = watcher("bob", "messaging:lobby"), watcher("root", "messaging:lobby")
      member:settled()
      change("PATCH", "/channels/messaging/lobby", { set = { config_overrides = {
        grants = { channel_member = { "!send-custom-event" } },
      } } })
      local types, event = heard(member)
      assert.same({ "channel.updated" }, types)
      assert.is_false(may_send(event))
      types, event = heard(root)
      assert.same({ "channel.updated" }, types)
      assert.is_true(may_send(event))
      assert.equal(403, (send("bob", "messaging:lobby")))
      assert.equal(201, (send("root", "messaging:lobby")))
      change("PATCH", "/channels/messaging/lobby", { unset = { "config_overrides" } })
      assert.is_true(may_send(member:expect "channel.updated"))
      assert.equal(201, (send("bob", "messaging:lobby")))
    end)

    it("end all watches when it is disabled, and let nobody but backends in", function()
      local member = watcher("bob", "messaging:lobby")
      change("PATCH", "/channels/messaging/lobby", { set = { disabled = true } })
      assert.is_true(member:expect("notification.removed_from_channel").channel.disabled)
      assert.equal(403, (query("alice", "messaging:lobby")))
      assert.equal(403, (send("root", "messaging:lobby")))
      assert.equal(201, (query("server", "messaging:lobby")))
      assert.equal(201, (call("server", "POST", "/channels/messaging/lobby/event",
        { event = { type = "wave", user_id = "alice" } })))
    end)

    it("leave custom events alone when it is frozen", function()
      local member = watcher("bob", "messaging:lobby")
      change("PATCH", "/channels/messaging/lobby", { set = { frozen = true } })
      local event = member:expect "channel.updated"
      assert.is_true(event.channel.frozen)
      assert.is_nil(event.channel.own_capabilities)
      assert.is_true(may_send(select(2, query("alice", "messaging:lobby"))))
      assert.equal(201, (send("alice", "messaging:lobby")))
      member:expect "wave"
    end)

    it("go to everybody as one event when only its data changes", function()
      local member = watcher("bob", "messaging:lobby")
      change("PATCH", "/channels/messaging/lobby", { set = { name = "Lobby" } })
      local types, event = heard(member)
      assert.same({ "channel.updated" }, types)
      assert.is_nil(event.channel.own_capabilities)
    end)
  end)

  describe("of a member", function()
    before_each(function()
      change("POST", "/roles", { name = "listener" })
      change("PUT", "/channeltypes/messaging", { grants = { listener = { "read-channel" } } })
    end)

    it("follow its channel role", function()
      local bob, alice = watcher("bob", "messaging:lobby"), watcher("alice", "messaging:lobby")
      bob:settled()
      change("POST", "/channels/messaging/lobby",
        { assign_roles = { { user_id = "bob", channel_role = "listener" } } })
      local types, event = heard(bob)
      assert.same({ "member.updated", "channel.updated" }, types)
      assert.is_false(may_send(event))
      assert.same({ "member.updated" }, (heard(alice)))
      assert.equal(403, (send("bob", "messaging:lobby")))
    end)

    it("end its watch with a role that may not read", function()
      change("PUT", "/channeltypes/messaging", { grants = { listener = { "join-channel" } } })
      local bob = watcher("bob", "messaging:lobby")
      change("POST", "/channels/messaging/lobby",
        { assign_roles = { { user_id = "bob", channel_role = "listener" } } })
      assert.same({ "member.updated", "notification.removed_from_channel" }, (heard(bob)))
    end)

    it("begin and end with its membership where everybody may read", function()
      change("PUT", "/channeltypes/messaging", { grants = { user = { "read-channel" } } })
      local carol = watcher("carol", "messaging:lobby")
      change("POST", "/channels/messaging/lobby", { add_members = { "carol" } })
      local types, event = heard(carol)
      assert.same({ "member.added", "channel.updated" }, types)
      assert.is_true(may_send(event))
      change("POST", "/channels/messaging/lobby", { remove_members = { "carol" } })
      types, event = heard(carol)
      assert.same({ "member.removed", "channel.updated" }, types)
      assert.is_false(may_send(event))
    end)
  end)

  it("of a user follow its role, in all that it watches", function()
    fixture:channel("messaging:other", { "alice" })
    local root = watcher("root", "messaging:lobby")
    fixture:watch(root, "messaging:other")
    root:settled()
    change("PATCH", "/users", { users = { { id = "root", set = { role = "user" } } } })
    local types = heard(root)
    assert.same({ "notification.removed_from_channel", "notification.removed_from_channel" }, types)
    local bob = watcher("bob", "messaging:lobby")
    change("POST", "/users", { users = { bob = { id = "bob", role = "admin" } } })
    local event = bob:expect "channel.updated"
    assert.is_true(has(event.channel.own_capabilities, "ban-channel-members"))
    change("PATCH", "/users", { users = { { id = "bob", set = { name = "Bob" } } } })
    assert.same({}, (heard(bob)))
  end)

  it("of all follow the switch for permission checks", function()
    local bob = watcher("bob", "messaging:lobby")
    change("PATCH", "/app", { disable_permissions_checks = true })
    assert.is_true(has(bob:expect("channel.updated").channel.own_capabilities, "delete-channel"))
    assert.equal(201, (send("carol", "messaging:lobby")))
    change("PATCH", "/app", { disable_permissions_checks = false })
    assert.is_false(has(bob:expect("channel.updated").channel.own_capabilities, "delete-channel"))
    assert.equal(403, (send("carol", "messaging:lobby")))
  end)

  it("follow a custom permission that is changed", function()
    change("POST", "/permissions", { id = "shout", name = "Shout", action = "SendCustomEvent" })
    change("PUT", "/channeltypes/messaging", { grants = { channel_member = { "read-channel", "shout" } } })
    local bob = watcher("bob", "messaging:lobby")
    assert.equal(201, (send("bob", "messaging:lobby")))
    bob:settled()
    change("PUT", "/permissions/shout", { action = "JoinChannel" })
    assert.is_false(may_send(bob:expect "channel.updated"))
    assert.equal(403, (send("bob", "messaging:lobby")))
    change("PUT", "/permissions/shout", { action = "SendCustomEvent", owner = true })
    assert.equal(403, (send("bob", "messaging:lobby")))
    assert.equal(201, (send("alice", "messaging:lobby")))
  end)
end)

describe("stream_events.server.rights_changes", function()
  it("lets who changes things too fast wait, and forgets nothing", function()
    local sent = 0
    local permissions = { capabilities = function() return native.json.array {} end }
    local connection = { number = 1, caller = { kind = "user", id = "bob", user = { role = "user" } } }
    local channel = {
      cid = "messaging:x", type = "messaging", members = {}, audience = { present = { bob = {} } },
    }
    connection.watches = { [channel.cid] = channel }
    permissions.check = function() return true end
    local subject = rights_changes.new {
      permissions = permissions,
      bans = { in_channel = function() end, silences = function() return false end },
      connections = { behind = function() return { [connection] = true } end },
      views = { channel = function() return {} end },
      events = { text = function() return "text" end },
      listener = { send = function() sent = sent + 1 end },
    }
    for _ = 1, 32 do subject:of_channel(channel) end
    assert.equal(0, sent)
    subject:of_channel(channel)
    assert.equal(1, sent)
    assert.is_false(subject:step())
    assert.equal(33, sent)
    assert.is_false(subject:step())
    assert.equal(33, sent)
  end)
end)
