--- Sends that were allowed are not judged again, until anything is written that could forbid them.
local fixtures = require "support.server"

local EVENT, TYPE = "/channels/messaging/lobby/event", "/channeltypes/messaging"

describe("a send that was allowed", function()
  local fixture, judged
  before_each(function()
    fixture = fixtures.start()
    fixture:users("alice", "bob", { id = "root", role = "admin" })
    fixture:channel("messaging:lobby", { "alice", "bob" }, { created_by_id = "bob" })
    local permissions = fixture.server.parts.permissions
    local check_send = permissions.check_send
    judged = 0
    permissions.check_send = function(...)
      judged = judged + 1
      return check_send(...)
    end
  end)
  after_each(function() fixture:stop() end)

  local function send(event_type, who)
    return (fixture:call(who or "alice", "POST", EVENT, { event = { type = event_type or "flare" } }))
  end

  local function backend(method, path, body, query)
    local status, answer = fixture:call("server", method, path, body, query)
    assert(status >= 200 and status < 300, answer.message)
  end

  it("is not judged again", function()
    for _ = 1, 5 do assert.equal(201, send()) end
    assert.equal(1, judged)
    send "other"
    send("flare", "bob")
    assert.equal(3, judged)
  end)

  it("is forgotten when a caller sends very many types", function()
    for i = 1, 40 do send("type" .. i) end
    judged = 0
    for i = 1, 40 do send("type" .. i) end
    assert.is_true(judged > 0)
  end)

  for what, case in pairs {
    ["custom events are switched off"] = { "PUT", TYPE, { custom_events = false }, 400 },
    ["the role loses its grant"] = { "PUT", TYPE, { grants = { channel_member = { "read-channel" } } } },
    ["the channel takes it away"] = { "PATCH", "/channels/messaging/lobby",
      { set = { config_overrides = { grants = { channel_member = { "!send-custom-event" } } } } } },
    ["the channel is disabled"] = { "PATCH", "/channels/messaging/lobby", { set = { disabled = true } } },
    ["the sender is no member any more"] = { "POST", "/channels/messaging/lobby",
      { remove_members = { "alice" } } },
    ["the sender is banned from the app"] = { "POST", "/moderation/ban",
      { target_user_id = "alice", banned_by_id = "root" } },
    ["the sender is banned from the channel"] = { "POST", "/moderation/ban",
      { target_user_id = "alice", channel_cid = "messaging:lobby", banned_by_id = "root", timeout = 5 } },
    ["the sender is deactivated"] = { "POST", "/users/alice/deactivate", {}, 401 },
    ["the channel is deleted"] = { "DELETE", "/channels/messaging/lobby", nil, 404 },
  } do
    it("is refused as soon as " .. what, function()
      assert.equal(201, send())
      assert.equal(201, send())
      backend(case[1], case[2], case[3])
      assert.equal(case[4] or 403, send())
    end)
  end

  it("is refused as soon as permissions are checked again", function()
    backend("PATCH", "/app", { disable_permissions_checks = true })
    fixture:users "carol"
    assert.equal(201, send("flare", "carol"))
    backend("PATCH", "/app", { disable_permissions_checks = false })
    assert.equal(403, send("flare", "carol"))
  end)

  it("is refused as soon as the sender has another role", function()
    fixture:users { id = "root", role = "admin" }
    assert.equal(201, send("flare", "root"))
    fixture:users { id = "root", role = "user" }
    assert.equal(403, send("flare", "root"))
  end)
end)
