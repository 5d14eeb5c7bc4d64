--- /roles and /permissions, and grants made of them, up to single event types.
local folders = require "support.folder"
local native = require "stream_events.native"
local server = require "support.server"

local NONE = native.json.array {}

local fixture

local function call(who, method, path, body, query)
  local status, answer = fixture:call(who, method, path, body, query)
  return status, answer
end

local function ask(method, path, body, query)
  local status, answer = call("server", method, path, body, query)
  assert(status < 300, answer and answer.message)
  return answer
end

local function refused(code, text, method, path, body)
  local status, answer = call("server", method, path, body)
  assert.same({ code == 16 and 404 or 400, code }, { status, answer.code })
  assert.matches(text, answer.message, 1, true)
end

local function send(who, event_type, id)
  return call(who, "POST", ("/channels/messaging/%s/event"):format(id or "lobby"),
    { event = { type = event_type or "wave" } })
end

local function query(who, id)
  return call(who, "POST", ("/channels/messaging/%s/query"):format(id or "lobby"), { state = true })
end

local function grant(role, ...)
  ask("PUT", "/channeltypes/messaging", { grants = { [role] = native.json.array { ... } } })
end

local function find(list, field, value)
  for _, each in ipairs(list) do
    if each[field] == value then return each end
  end
end

local function start()
  fixture = server.start()
  fixture:users("alice", "bob", "carol", { id = "root", role = "admin" })
  fixture:channel("messaging:lobby", { "alice", "bob" })
end

describe("roles", function()
  before_each(start)
  after_each(function() fixture:stop() end)

  it("are listed with what they are granted", function()
    local roles = ask("GET", "/roles").roles
    assert.equal(9, #roles)
    local user = find(roles, "name", "user")
    assert.is_false(user.custom)
    assert.same({ ".app", "commerce", "gaming", "livestream", "messaging", "team" }, (function()
      table.sort(user.scopes)
      return { table.unpack(user.scopes) }
    end)())
    assert.is_string(user.created_at)
    assert.same({}, { table.unpack(find(roles, "name", "global_admin").scopes) })
  end)

  it("can be added, given to users and members, granted and found", function()
    local role = ask("POST", "/roles", { name = "trader" }).role
    assert.same({ "trader", true }, { role.name, role.custom })
    grant("trader", "read-channel", "send-custom-event")
    assert.same({ "messaging" }, { table.unpack(find(ask("GET", "/roles").roles, "name", "trader").scopes) })
    local found = ask("GET", "/roles/search", nil, { query = "TRAD" }).roles
    assert.same({ "trader" }, { found[1].name, found[2] })
    assert.same({}, { table.unpack(ask("GET", "/roles/search", nil, { query = "%" }).roles) })
    assert.equal(10, #ask("GET", "/roles/search").roles)

    assert.equal(403, (send "carol"))
    ask("PATCH", "/users", { users = { { id = "carol", set = { role = "trader" } } } })
    assert.equal(201, (send "carol"))
    grant("trader")
    assert.equal(403, (send "carol"))
    ask("POST", "/channels/messaging/lobby",
      { assign_roles = { { user_id = "bob", channel_role = "trader" } } })
    assert.equal(403, (send "bob"))
    grant("trader", "send-custom-event")
    assert.equal(201, (send "bob"))
  end)

  for name, case in pairs {
    ["without a name"] = { {}, "name of a role" },
    ["with an empty name"] = { { name = "" }, "name of a role" },
    ["with a name of another kind"] = { { name = 7 }, "name of a role" },
    ["with a name of 65 letters"] = { { name = ("x"):rep(65) }, "64" },
    ["with a name of other signs"] = { { name = "a b" }, "letters" },
    ["that are there already"] = { { name = "user" }, "already" },
    ["that members have already"] = { { name = "channel_member" }, "already" },
  } do
    it("cannot be added " .. name, function() refused(4, case[2], "POST", "/roles", case[1]) end)
  end

  it("can be 25, with names of 64 letters that are words elsewhere", function()
    ask("POST", "/roles", { name = "__index" })
    ask("POST", "/roles", { name = "constructor" })
    for i = 3, 25 do ask("POST", "/roles", { name = ("%064d"):format(i) }) end
    refused(4, "25", "POST", "/roles", { name = "another" })
    ask("DELETE", "/roles/constructor")
    ask("POST", "/roles", { name = "another" })
  end)

  it("can be deleted when nothing uses them", function()
    ask("POST", "/roles", { name = "trader" })
    refused(16, "no role", "DELETE", "/roles/nobody")
    refused(4, "built in", "DELETE", "/roles/user")
    ask("PATCH", "/users", { users = { { id = "carol", set = { role = "trader" } } } })
    refused(4, 'in use by the user "carol"', "DELETE", "/roles/trader")
    local plain = { id = "carol", set = { role = "user", note = '"role":"trader"' } }
    ask("PATCH", "/users", { users = { plain } })
    ask("POST", "/channels/messaging/lobby",
      { assign_roles = { { user_id = "bob", channel_role = "trader" } } })
    refused(4, 'a member of the channel "messaging:lobby"', "DELETE", "/roles/trader")
    ask("POST", "/channels/messaging/lobby", { demote_moderators = { "bob" } })
    grant("trader", "read-channel")
    refused(4, 'the grants of the channel type "messaging"', "DELETE", "/roles/trader")
    grant("trader")
    ask("PATCH", "/app", { grants = { trader = { "search-user" } } })
    refused(4, "the grants of the app", "DELETE", "/roles/trader")
    ask("PATCH", "/app", { grants = { trader = NONE } })
    local overrides = { grants = { trader = { "!read-channel" } } }
    ask("PATCH", "/channels/messaging/lobby", { set = { config_overrides = overrides } })
    refused(4, 'the grants of the channel "messaging:lobby"', "DELETE", "/roles/trader")
    ask("PATCH", "/channels/messaging/lobby", { unset = { "config_overrides" } })
    overrides = { grants = { trader = NONE } }
    ask("PATCH", "/channels/messaging/lobby", { set = { config_overrides = overrides } })
    ask("DELETE", "/roles/trader")
    -- What is shown can be sent back as it is.
    ask("PUT", "/channeltypes/messaging", { grants = ask("GET", "/channeltypes/messaging").grants })
    ask("PATCH", "/app", { grants = ask("GET", "/app").app.grants })
    overrides = { grants = select(2, query("server")).channel.config.grants }
    ask("PATCH", "/channels/messaging/lobby", { set = { config_overrides = overrides } })
    refused(4, "unknown role", "PUT", "/channeltypes/messaging", { grants = { trader = NONE } })
    refused(4, "role", "PATCH", "/users", { users = { { id = "carol", set = { role = "trader" } } } })
  end)

  it("of users and of members are two things, unless an operator added them", function()
    refused(4, "role", "PATCH", "/users", { users = { { id = "bob", set = { role = "channel_member" } } } })
    refused(4, "role", "PATCH", "/users", { users = { { id = "bob", set = { role = "anonymous" } } } })
    refused(4, "channel_role", "POST", "/channels/messaging/lobby",
      { assign_roles = { { user_id = "bob", channel_role = "admin" } } })
  end)

  it("and permissions are a backend's to see and to change", function()
    for _, case in ipairs {
      { "GET", "/roles" }, { "GET", "/roles/search" }, { "POST", "/roles" }, { "DELETE", "/roles/user" },
      { "GET", "/permissions" }, { "POST", "/permissions" }, { "GET", "/permissions/read-channel" },
      { "PUT", "/permissions/x" }, { "DELETE", "/permissions/x" },
    } do
      assert.equal(403, (call("root", case[1], case[2], case[1]:find "^P" and {} or nil)))
    end
  end)
end)

describe("permissions", function()
  before_each(start)
  after_each(function() fixture:stop() end)

  it("are listed, the built-in ones in words", function()
    local list = ask("GET", "/permissions").permissions
    assert.is_true(#list > 100)
    assert.same({
      id = "send-custom-event-owner", name = "Send Custom Event, in what one made oneself",
      description = "Grants the action SendCustomEvent, in what one made oneself.",
      action = "SendCustomEvent", owner = true, same_team = false, custom = false, level = "channel",
      owner_resource = "", tags = {},
    }, (function()
      local found = find(list, "id", "send-custom-event-owner")
      found.tags = { table.unpack(found.tags) }
      return found
    end)())
    assert.equal("app", find(list, "id", "ban-user").level)
    local pin = ask("GET", "/permissions/pin-message").permission
    assert.equal("Has no effect on this server.", pin.description)
    refused(16, "no permission", "GET", "/permissions/dance")
  end)

  it("of an operator's own stand for an action, everywhere or in what is one's own", function()
    local shout = { id = "shout", name = "Shout", action = "SendCustomEvent", tags = { "loud" } }
    assert.is_true(ask("POST", "/permissions", shout).permission.custom)
    ask("POST", "/permissions", { id = "own", action = "SendCustomEvent", owner = true })
    assert.same({ "loud" }, { table.unpack(ask("GET", "/permissions/shout").permission.tags) })
    grant("channel_member", "read-channel", "own")
    assert.equal(201, (send "alice")) -- who made it
    assert.equal(403, (send "bob"))
    grant("channel_member", "read-channel", "own", "shout")
    assert.equal(201, (send "bob"))
    ask("PATCH", "/channels/messaging/lobby",
      { set = { config_overrides = { grants = { channel_member = { "!shout" } } } } })
    assert.equal(403, (send "bob"))
    assert.equal(201, (send "alice"))
  end)

  it("can be changed, and deleted when no grant names them", function()
    ask("POST", "/permissions", { id = "shout", action = "JoinChannel", description = "d" })
    local changed = ask("PUT", "/permissions/shout", { action = "SendCustomEvent" }).permission
    assert.same({ "SendCustomEvent", "d" }, { changed.action, changed.description })
    grant("channel_member", "read-channel", "shout")
    assert.equal(201, (send "bob"))
    ask("PUT", "/permissions/shout", { owner = true })
    assert.equal(403, (send "bob"))
    refused(4, 'in use by the grants of the channel type "messaging"', "DELETE", "/permissions/shout")
    ask("PUT", "/channeltypes/messaging", { grants = native.json.null })
    local overrides = { grants = { user = { "!shout" } } }
    ask("PATCH", "/channels/messaging/lobby", { set = { config_overrides = overrides } })
    refused(4, 'the grants of the channel "messaging:lobby"', "DELETE", "/permissions/shout")
    ask("PATCH", "/channels/messaging/lobby", { unset = { "config_overrides" } })
    ask("DELETE", "/permissions/shout")
    refused(16, "no permission", "DELETE", "/permissions/shout")
    refused(4, "unknown permission", "PUT", "/channeltypes/messaging", { grants = { user = { "shout" } } })
  end)

  local GOOD = { id = "shout", name = "Shout", action = "SendCustomEvent" }
  for name, case in pairs {
    ["without an id"] = { { id = native.json.null }, "id must have" },
    ["with an id of other signs"] = { { id = "send-custom-event:x" }, "letters" },
    ["with an id of 65 letters"] = { { id = ("x"):rep(65) }, "64" },
    ["that are built in"] = { { id = "read-channel" }, "already" },
    ["without an action"] = { { action = native.json.null }, "action is a required field" },
    ["for what is not judged here"] = { { action = "PinMessage" }, "it judges BanChannelMember" },
    ["for an action that is a word of Lua"] = { { action = "__index" }, "none that this server judges" },
    ["for a team"] = { { same_team = true }, "same_team can only be false" },
    ["with a condition"] = { { condition = { a = 1 } }, "condition is not offered" },
    ["at another level"] = { { level = "app" }, 'is "channel"' },
    ["with an owner of another kind"] = { { owner = "yes" }, "owner must be true or false" },
    ["with a name that is a book"] = { { name = ("x"):rep(256) }, "255" },
    ["with tags that are books"] = { { tags = { ("x"):rep(256) } }, "255" },
    ["with very many tags"] = { { tags = { "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a",
      "a", "a", "a", "a" } }, "16" },
  } do
    it("cannot be added " .. name, function()
      local body = {}
      for field, value in pairs(GOOD) do body[field] = value end
      for field, value in pairs(case[1]) do body[field] = value end
      refused(4, case[2], "POST", "/permissions", body)
    end)
  end

  it("that are built in stay as they are, and ids are for ever", function()
    refused(4, "built in", "PUT", "/permissions/read-channel", { action = "JoinChannel" })
    refused(4, "built in", "DELETE", "/permissions/read-channel")
    refused(16, "no permission", "PUT", "/permissions/shout", { action = "JoinChannel" })
    ask("POST", "/permissions", GOOD)
    refused(4, "already", "POST", "/permissions", GOOD)
    refused(4, "cannot be changed", "PUT", "/permissions/shout", { id = "whisper" })
    ask("PUT", "/permissions/shout", { id = "shout", same_team = false })
  end)
end)

describe("grants for single event types", function()
  before_each(start)
  after_each(function() fixture:stop() end)

  local function override(grants)
    ask("PATCH", "/channels/messaging/lobby", { set = { config_overrides = { grants = grants } } })
  end

  local function may(who, types)
    for event_type, expected in pairs(types) do
      local status, answer = send(who, event_type)
      assert.equal(expected and 201 or 403, status, event_type)
      if not expected then assert.equal(17, answer.code) end
    end
  end

  local function sends_some(who)
    for _, name in ipairs(select(2, query(who)).channel.own_capabilities) do
      if name == "send-custom-events" then return true end
    end
    return false
  end

  it("let a role send just those", function()
    grant("channel_member", "read-channel", "send-custom-event:trade_offer", "send-custom-event:größe x")
    may("bob", { trade_offer = true, ["größe x"] = true, trade = false, trade_offers = false, wave = false })
    assert.is_true(sends_some "bob")
    local _, answer = send("bob", "wave")
    assert.matches("in scope 'messaging' with events of type 'wave'", answer.message, 1, true)
    may("root", { trade_offer = true, wave = true })
  end)

  it("change nothing for a role that may send everything", function()
    grant("channel_member", "read-channel", "send-custom-event", "send-custom-event:trade_offer",
      "send-custom-event-owner:kick")
    may("bob", { trade_offer = true, kick = true, wave = true })
  end)

  it("hold for the owner alone with -owner, for all with -any-team", function()
    grant("channel_member", "read-channel", "send-custom-event-owner:kick", "send-custom-event-any-team:hi")
    grant("user", "read-channel")
    may("alice", { kick = true, hi = true, wave = false })
    may("bob", { kick = false, hi = true, wave = false })
    grant("channel_member", "read-channel", "send-custom-event-owner:kick")
    assert.is_true(sends_some "alice")
    assert.is_false(sends_some "bob")
    local _, answer = send("bob", "kick")
    assert.not_matches("with events of type", answer.message, 1, true)
  end)

  it("add up over the roles of a user", function()
    grant("channel_member", "read-channel", "send-custom-event:a")
    grant("user", "send-custom-event:b")
    may("bob", { a = true, b = true, c = false })
  end)

  it("are added by a channel", function()
    override { guest = { "read-channel" }, user = { "read-channel", "send-custom-event:wave" } }
    may("carol", { wave = true, poke = false })
  end)

  it("are taken away by a channel, even from who may send everything", function()
    override { channel_member = { "!send-custom-event:cheat" }, admin = { "!send-custom-event:cheat" } }
    may("bob", { cheat = false, wave = true })
    may("root", { cheat = false, wave = true })
    assert.is_true(sends_some "bob")
    -- alice made the channel, and her user role is another that grants it.
    may("alice", { cheat = true })
    override {
      channel_member = { "!send-custom-event:cheat" }, user = { "!send-custom-event-owner:cheat" },
    }
    may("alice", { cheat = false, wave = true })
    override { channel_member = { "!send-custom-event:cheat" }, user = { "!send-custom-event:cheat" } }
    may("alice", { cheat = false, wave = true })
  end)

  it("that are taken away win over those that are added, whatever the order", function()
    override {
      channel_member = { "!send-custom-event:x", "send-custom-event:x", "!send-custom-event",
        "send-custom-event:y" },
    }
    may("bob", { x = false, y = true, z = false })
  end)

  it("that are all forbidden are nothing that could be sent", function()
    grant("channel_member", "read-channel", "send-custom-event-owner:kick")
    grant("user", "read-channel")
    assert.is_true(sends_some "alice")
    override { channel_member = { "!send-custom-event:kick" } }
    assert.is_false(sends_some "alice")
    may("alice", { kick = false })
    override { channel_member = { "!send-custom-event-owner:kick" } }
    assert.is_false(sends_some "alice")
    may("alice", { kick = false })
  end)

  it("keep only what is left when the plain one is taken away", function()
    grant("channel_member", "read-channel", "send-custom-event", "send-custom-event:wave")
    override { channel_member = { "!send-custom-event" } }
    may("bob", { wave = true, poke = false })
  end)

  it("take names as dull data", function()
    grant("channel_member", "read-channel", "send-custom-event:__index", "send-custom-event:constructor",
      "send-custom-event:a:b")
    may("bob", { __index = true, constructor = true, ["a:b"] = true, __newindex = false, a = false })
  end)

  for name, case in pairs {
    ["of another permission"] = { "read-channel:wave", "only permissions to send custom events" },
    ["of a permission that does not exist"] = { "dance:wave", "only permissions to send custom events" },
    ["that are none"] = { "send-custom-event:", "no event type" },
    ["that are too long"] = { "send-custom-event:" .. ("x"):rep(256), "no event type" },
    ["with control characters"] = { "send-custom-event:a\nb", "no event type" },
    ["of the service's own"] = { "send-custom-event:message.new", "no custom event type" },
    ["that clients make themselves"] = { "send-custom-event:connection.changed", "no custom event type" },
    ["that are taken away where nothing is granted yet"] =
      { "!send-custom-event:x", "takes away in one channel" },
  } do
    it("refuse types " .. name, function()
      refused(4, case[2], "PUT", "/channeltypes/messaging", { grants = { user = { case[1] } } })
    end)
  end

  it("are bounded", function()
    local list = native.json.array {}
    for i = 1, 512 do list[i] = "send-custom-event:t" .. i end
    ask("PUT", "/channeltypes/messaging", { grants = { user = list } })
    list[513] = "send-custom-event:more"
    refused(4, "512", "PUT", "/channeltypes/messaging", { grants = { user = list } })
  end)
end)

describe("after a restart", function()
  local folder

  before_each(function()
    folder = folders.new()
    fixture = server.start { data = folder:at "state.db" }
    fixture:users("alice", "bob", "carol", { id = "root", role = "admin" })
    fixture:channel("messaging:lobby", { "alice", "bob", "carol" })
    ask("POST", "/roles", { name = "trader" })
    ask("POST", "/roles", { name = "referee" })
    ask("POST", "/permissions", { id = "whistle", action = "SendCustomEvent" })
  end)
  after_each(function()
    fixture:stop()
    folder:remove()
  end)

  local function restart()
    fixture:stop()
    fixture = server.start { data = folder:at "state.db" }
  end

  it("roles are as much in use as before, whoever has been looked at", function()
    ask("PATCH", "/users", { users = { { id = "carol", set = { role = "trader" } } } })
    ask("POST", "/channels/messaging/lobby",
      { assign_roles = { { user_id = "bob", channel_role = "referee" } } })
    restart()
    refused(4, 'the user "carol"', "DELETE", "/roles/trader")
    refused(4, 'a member of the channel "messaging:lobby"', "DELETE", "/roles/referee")
    assert.equal(201, (query "alice"))
    refused(4, 'a member of the channel "messaging:lobby"', "DELETE", "/roles/referee")
  end)

  it("grants, bans and locks hold", function()
    grant("channel_member", "read-channel", "whistle")
    grant("referee", "read-channel", "send-custom-event:foul")
    ask("POST", "/channels/messaging/lobby",
      { assign_roles = { { user_id = "bob", channel_role = "referee" } } })
    ask("POST", "/moderation/ban", { target_user_id = "carol", channel_cid = "messaging:lobby" })
    ask("POST", "/users/root/deactivate")
    restart()
    assert.equal(201, (send("alice", "wave")))
    assert.equal(201, (send("bob", "foul")))
    assert.equal(403, (send("bob", "wave")))
    assert.equal(403, (query "carol"))
    assert.equal(401, (query "root"))
    ask("DELETE", "/moderation/ban", nil, { target_user_id = "carol", channel_cid = "messaging:lobby" })
    ask("POST", "/users/root/reactivate")
    ask("PUT", "/channeltypes/messaging", { grants = native.json.null })
    ask("DELETE", "/permissions/whistle")
    restart()
    assert.equal(201, (query "carol"))
    assert.equal(201, (query "root"))
    refused(16, "no permission", "GET", "/permissions/whistle")
  end)
end)
