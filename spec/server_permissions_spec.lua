--- Who may do what: the default grants of the protocol as a matrix, overrides, capabilities.
local app = require "stream_events.server.app"
local channel_types = require "stream_events.server.channel_types"
local models = require "support.models"
local grants_module = require "stream_events.server.grants"
local permissions = require "stream_events.server.permissions"
local custom_permissions = require "stream_events.server.custom_permissions"
local roles = require "stream_events.server.roles"
local store = require "stream_events.server.store"

local json = models.json

local TYPES = { "messaging", "team", "gaming", "commerce", "livestream" }
local ROLES = { "admin", "moderator", "user", "guest", "anonymous" }

-- The table of the protocol. R, S, C: read, send, create; Ro, So: only in one's own channels; M, Mo:
-- change members, only in one's own channels.
local DEFAULTS = {
  messaging = { admin = "R S C M", moderator = "R S C M", user = "Ro So C Mo", member = "R S" },
  team = { admin = "R S C M", moderator = "R S C M", user = "Ro So C Mo", member = "R S" },
  gaming = { admin = "R S C M", moderator = "R S", user = "Ro So", member = "R S" },
  commerce = {
    admin = "R S C M", moderator = "R S C M", user = "Ro So Mo", guest = "Ro C", member = "R S",
  },
  livestream = {
    admin = "R S C M", moderator = "R S C", user = "R S C", guest = "R", anonymous = "R", member = "",
  },
}
local ACTIONS = { R = "ReadChannel", S = "SendCustomEvent", C = "CreateChannel", M = "UpdateChannelMembers" }

local function grants(list, letter, owner)
  for word in (list or ""):gmatch "%S+" do
    if word == letter or (owner and word == letter .. "o") then return true end
  end
  return false
end

describe("stream_events.server.permissions", function()
  local types, settings, subject, role_names, custom, known

  before_each(function()
    local database = assert(store.open ":memory:")
    role_names, custom = roles.new(database), custom_permissions.new(database)
    known = grants_module.new(role_names, custom)
    types = channel_types.new(database, { grants = known })
    settings = app.new(database, { grants = known })
    subject = permissions.new(types, settings, custom)
  end)

  local function caller(role)
    if role == "anonymous" then return { kind = "anonymous", id = "!anon", user = { role = role } } end
    return { kind = role == "guest" and "guest" or "user", id = "alice", user = { role = role } }
  end

  local function channel(name, owner, overrides)
    return {
      type = name, created_by_id = owner and "alice" or "bob",
      config_overrides = overrides and { grants = overrides },
    }
  end

  local MEMBER = { channel_role = "channel_member" }
  local MODERATOR = { channel_role = "channel_moderator" }

  describe("default grants", function()
    for _, name in ipairs(TYPES) do
      for _, role in ipairs(ROLES) do
        for _, member in ipairs { false, MEMBER, MODERATOR } do
          for _, owner in ipairs { false, true } do
            local title = ("%s: %s, %s, %s"):format(name, role,
              member and member.channel_role or "no member", owner and "owner" or "not the owner")
            it(title, function()
              for letter, action in pairs(ACTIONS) do
                local own = DEFAULTS[name][role]
                local expected = grants(own, letter, owner)
                  or (member and grants(DEFAULTS[name].member, letter, owner)) or false
                local where = channel(name, owner)
                local allowed = subject:allowed(caller(role), action, name, where, member or nil)
                assert.equal(expected, allowed, action)
                local capabilities = table.concat(
                  subject:capabilities(caller(role), where, member or nil), " ")
                local shown = expected and role ~= "anonymous" -- who can only read
                if letter == "S" then
                  assert.equal(shown, capabilities:find("send-custom-events", 1, true) ~= nil)
                elseif letter == "M" then
                  assert.equal(shown, capabilities:find("update-channel-members", 1, true) ~= nil)
                end
              end
            end)
          end
        end
        it(("%s: whether a %s may create"):format(name, role), function()
          assert.equal(grants(DEFAULTS[name][role], "C", true),
            (subject:allowed(caller(role), "CreateChannel", name)))
        end)
      end
    end

    it("of a new type are those of messaging", function()
      assert(types:create(json '{"name":"lobby"}'))
      assert.same(grants_module.defaults "messaging", types:grants "lobby")
      local where = channel("lobby", false)
      assert.is_true(subject:allowed(caller "user", "SendCustomEvent", "lobby", where, MEMBER))
      assert.is_false((subject:allowed(caller "user", "SendCustomEvent", "lobby", where)))
    end)

    it("of a type that does not exist are none", function()
      assert.is_false((subject:allowed(caller "admin", "ReadChannel", "nope", channel("nope", true), MEMBER)))
    end)

    it("of the app let everybody with an id look for users and change themselves", function()
      for _, role in ipairs(ROLES) do
        local expected = role ~= "anonymous"
        assert.equal(expected, (subject:allowed(caller(role), "SearchUser", grants_module.APP)))
        assert.equal(expected, (subject:allowed(caller(role), "UpdateUser", grants_module.APP)))
      end
    end)
  end)

  it("does not judge server tokens", function()
    for _, action in pairs(ACTIONS) do
      assert.is_true(subject:allowed({ kind = "server" }, action, "messaging", channel("messaging", false)))
    end
  end)

  it("judges nobody while the app has its permission checks off", function()
    assert(settings:update { disable_permissions_checks = true })
    local where = channel("messaging", false)
    assert.is_true(subject:allowed(caller "anonymous", "SendCustomEvent", "messaging", where))
    assert(settings:update { disable_permissions_checks = false })
    assert.is_false((subject:allowed(caller "anonymous", "SendCustomEvent", "messaging", where)))
  end)

  it("takes nobody without an id for the owner of a channel without one", function()
    local orphan = { type = "messaging" }
    local nobody = { kind = "user", user = { role = "user" } }
    assert.is_false((subject:allowed(nobody, "ReadChannel", "messaging", orphan)))
  end)

  it("raises for an action that does not exist", function()
    assert.has_error(function() subject:allowed(caller "user", "Dance", "messaging") end)
  end)

  describe("check", function()
    it("names the user, the roles, the action and the scope", function()
      local ok, failure =
        subject:check(caller "guest", "SendCustomEvent", "team", channel("team", false), nil)
      assert.is_nil(ok)
      assert.equal(17, failure.code)
      assert.equal(403, failure.status)
      assert.equal("User 'alice' with roles ['guest'] is not allowed to perform action SendCustomEvent "
        .. "in scope 'team'", failure.message)
      assert(types:update("team", json '{"grants":{"channel_member":[]}}'))
      local _, both = subject:check(caller "guest", "SendCustomEvent", "team", channel("team", false), MEMBER)
      assert.matches("['guest', 'channel_member']", both.message, 1, true)
    end)
  end)

  describe("grants of a channel type", function()
    local function may_send(role, owner, member)
      local where = channel("messaging", owner)
      return (subject:allowed(caller(role), "SendCustomEvent", "messaging", where, member))
    end

    it("replace the list of each role they name, and no other", function()
      assert(types:update("messaging", json '{"grants":{"guest":["send-custom-event"],"user":[]}}'))
      assert.is_true(may_send("guest", false))
      assert.is_false(may_send("user", true))
      assert.is_true(may_send("user", false, MEMBER))
      assert.is_true(may_send("moderator", false))
    end)

    it("go back to the defaults with null", function()
      assert(types:update("messaging", json '{"grants":{"user":[]}}'))
      assert.is_false(may_send("user", true))
      assert(types:update("messaging", json '{"grants":null}'))
      assert.is_true(may_send("user", true))
    end)

    it("with -owner hold only for the owner, with -any-team everywhere", function()
      assert(types:update("messaging", json '{"grants":{"guest":["send-custom-event-owner"]}}'))
      assert.is_true(may_send("guest", true))
      assert.is_false(may_send("guest", false))
      assert(types:update("messaging", json '{"grants":{"guest":["send-custom-event-any-team"]}}'))
      assert.is_true(may_send("guest", false))
    end)
  end)

  describe("overrides of a channel", function()
    local function may_send(overrides, role, owner, member)
      local checked = assert(types:check_overrides({ grants = json(overrides) }))
      return (subject:allowed(caller(role), "SendCustomEvent", "messaging",
        channel("messaging", owner, checked.grants), member))
    end

    for name, case in pairs {
      ["add a permission"] = { '{"guest":["send-custom-event"]}', "guest", false, nil, true },
      ["take one away"] = { '{"channel_member":["!send-custom-event"]}', "user", false, MEMBER, false },
      ["leave other roles alone"] =
        { '{"channel_member":["!send-custom-event"]}', "admin", false, MEMBER, true },
      ["of one role do not take what another role grants"] =
        { '{"channel_member":["!send-custom-event"]}', "user", true, MEMBER, true },
      ["silence a channel when they name both roles"] = {
        '{"channel_member":["!send-custom-event"],"user":["!send-custom-event","!send-custom-event-owner"]}',
        "user", true, MEMBER, false,
      },
      ["let ! win over a bare permission, whatever the order"] =
        { '{"guest":["!send-custom-event","send-custom-event"]}', "guest", false, nil, false },
      ["change nothing when empty"] = { '{"user":[]}', "user", true, nil, true },
    } do
      it(name, function()
        assert.equal(case[5], may_send(case[1], case[2], case[3], case[4]))
      end)
    end

    it("follow a change of the type", function()
      local checked = assert(types:check_overrides(json '{"grants":{"guest":["read-channel"]}}'))
      local where = channel("messaging", false, checked.grants)
      assert.is_false((subject:allowed(caller "guest", "SendCustomEvent", "messaging", where)))
      assert(types:update("messaging", json '{"grants":{"guest":["send-custom-event"]}}'))
      assert.is_true(subject:allowed(caller "guest", "SendCustomEvent", "messaging", where))
      assert.is_true(subject:allowed(caller "guest", "ReadChannel", "messaging", where))
    end)
  end)

  describe("check_grants", function()
    for name, case in pairs {
      ["a list"] = { "[]", "object" },
      ["a text"] = { '"user"', "object" },
      ["an unknown role"] = { '{"usr":[]}', 'unknown role "usr"' },
      ["a role that is a word of Lua"] = { '{"__index":[]}', 'unknown role "__index"' },
      ["a permission alone"] = { '{"user":"read-channel"}', "list of permissions" },
      ["null for a list"] = { '{"user":null}', "list of permissions" },
      ["an unknown permission"] = { '{"user":["read-chanel"]}', "unknown permission" },
      ["a number for a permission"] = { '{"user":[1]}', "list of permissions" },
      ["a capability for a permission"] = { '{"user":["send-custom-events"]}', 'mean "send%-custom%-event"' },
      ["an override where there is nothing to override"] =
        { '{"user":["!read-channel"]}', "takes away in one channel" },
      ["an override of one event type where there is nothing to override"] =
        { '{"user":["!send-custom-event:cheat"]}', "takes away in one channel" },
      ["a pattern of event types"] = { '{"user":["send-custom-event:trade_*"]}', "one event type in full" },
    } do
      it("refuses " .. name, function()
        local checked, failure = known:check(json(case[1]))
        assert.is_nil(checked)
        assert.equal(4, failure.code)
        assert.matches(case[2], failure.message)
      end)
    end

    it("takes what the hosted service grants for things that are not here", function()
      assert.same({ user = { "create-message", "pin-message-owner" } },
        known:check(json '{"user":["create-message","pin-message-owner","create-message"]}'))
    end)
  end)

  describe("capabilities", function()
    local function of(role, where, member)
      return { table.unpack(subject:capabilities(caller(role), where, member)) }
    end

    it("are sorted and whole", function()
      assert.same({
        "connect-events", "delete-channel", "delivery-events", "join-channel", "leave-channel",
        "read-events", "send-custom-events", "send-typing-events", "typing-events", "update-channel",
        "update-channel-members",
      }, of("user", channel("messaging", true), MEMBER))
      assert.same({ "connect-events", "delivery-events" }, of("anonymous", channel("livestream", false)))
    end)

    it("lose send-custom-events where the type has custom events off", function()
      assert(types:update("messaging", json '{"custom_events":false}'))
      for _, name in ipairs(of("admin", channel("messaging", true), MEMBER)) do
        assert.not_equal("send-custom-events", name)
      end
      assert(types:update("messaging", json '{"custom_events":true}'))
      assert.matches("send%-custom%-events", table.concat(of("admin", channel("messaging", true)), " "))
    end)

    it("follow what the channel overrides", function()
      local where = channel("messaging", false)
      where.config_overrides = assert(types:check_overrides(json
        '{"typing_events":false,"grants":{"channel_member":["!send-custom-event"]}}'))
      assert.same({ "connect-events", "delivery-events", "join-channel", "leave-channel", "read-events" },
        of("user", where, MEMBER))
    end)
  end)
end)
