--- Users locked out and let in again, deleted and restored; tokens revoked; the switches for who may come
-- in: live connections included.
local hook = require "support.hook"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local server = require "support.server"
local stream_events = require "stream_events"
local timestamp = require "stream_events.timestamp"
local tokens = require "stream_events.token"

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

local function send(who)
  return call(who, "POST", "/channels/messaging/lobby/event", { event = { type = "wave" } })
end

local function watcher(who)
  local socket = fixture:connect(who)
  fixture:watch(socket, "messaging:lobby")
  socket:settled()
  return socket
end

-- What a connection that is ended gets: an error frame, then 1000.
local function ended(socket, code, text)
  local frame = socket:expect "connection.error"
  assert.same({ code, socket.id }, { frame.error.code, frame.connection_id })
  assert.matches(text, frame.error.message, 1, true)
  assert.equal(1000, socket:closed())
end

local function connect_error(who)
  local socket = fixture:open {
    api_key = "devkey", authorization = fixture:user_token(who), ["stream-auth-type"] = "jwt",
    json = { user_id = who, user_details = { id = who } },
  }
  return socket:next().error
end

describe("users who are locked out", function()
  before_each(function()
    fixture = server.start()
    fixture:users({ id = "alice", name = "Alice" }, "bob", "carol", { id = "root", role = "admin" })
    fixture:channel("messaging:lobby", { "alice", "bob" })
  end)
  after_each(function() fixture:stop() end)

  describe("by being deactivated", function()
    it("lose their connections, and can neither call nor connect", function()
      local first, second, bob = watcher "alice", fixture:connect "alice", watcher "bob"
      for _, socket in ipairs { first, second, bob } do socket:settled() end
      local answer = ask("POST", "/users/alice/deactivate")
      assert.is_string(answer.user.deactivated_at)
      assert.is_false(answer.user.online) -- by then its connections are no more
      assert.equal("user.deactivated", first:next().type)
      ended(first, 5, "was deactivated")
      ended(second, 5, "was deactivated")
      assert.equal("alice", bob:expect("user.deactivated").user.id)
      bob:expect "user.watching.stop"
      local status, refusal = send "alice"
      assert.same({ 401, 5 }, { status, refusal.code })
      assert.matches("was deactivated", connect_error("alice").message)
      status, refusal = call("server", "POST", "/channels/messaging/lobby/event",
        { event = { type = "wave", user_id = "alice" } })
      assert.same({ 403, 17 }, { status, refusal.code })
      assert.equal(0, fixture.server:stats().outcomes.accepted)
    end)

    it("are told of to who follows their presence, once", function()
      local carol = fixture:connect "carol"
      local follow = { payload = '{"filter_conditions":{"id":"alice"},"presence":true}' }
      follow.connection_id = carol.id
      assert.equal(200, (call("carol", "GET", "/users", nil, follow)))
      local bob = watcher "bob"
      follow.connection_id = bob.id
      assert.equal(200, (call("bob", "GET", "/users", nil, follow)))
      ask("POST", "/users/alice/deactivate")
      for _, socket in ipairs { carol, bob } do
        local told = 0
        for _, event in ipairs(socket:settled()) do
          if event.type == "user.deactivated" then told = told + 1 end
        end
        assert.equal(1, told)
      end
    end)

    it("come back as they were", function()
      ask("POST", "/users/alice/deactivate")
      local bob = watcher "bob"
      local answer = ask("POST", "/users/alice/reactivate", { name = "Alice again" })
      assert.same({ "Alice again" }, { answer.user.name, answer.user.deactivated_at })
      assert.equal("alice", bob:expect("user.reactivated").user.id)
      assert.equal(201, (send "alice"))
      watcher "alice"
    end)

    for name, case in pairs {
      ["twice"] = { "POST", "/users/alice/deactivate", 400, "already" },
      ["who are not there"] = { "POST", "/users/nobody/deactivate", 404, "nobody" },
      ["whose id is none"] = { "POST", "/users/a%20b/deactivate", 400, "user id" },
      ["and then brought back although they were not"] =
        { "POST", "/users/bob/reactivate", 400, "not deactivated" },
      ["and then brought back although nobody knows them"] = { "POST", "/users/x/reactivate", 404, "x" },
    } do
      it("are not those " .. name, function()
        ask("POST", "/users/alice/deactivate")
        local status, answer = call("server", case[1], case[2])
        assert.equal(case[3], status)
        assert.matches(case[4], answer.message, 1, true)
      end)
    end
  end)

  describe("by being deleted", function()
    it("softly can be restored with all they had", function()
      local alice, bob = watcher "alice", watcher "bob"
      alice:settled()
      local answer = ask("DELETE", "/users/alice")
      assert.is_string(answer.user.deleted_at)
      assert.equal("Alice", answer.user.name)
      ended(alice, 5, "was deleted")
      local event = bob:expect "user.deleted"
      assert.same({ "alice", false }, { event.user.id, event.hard_delete })
      assert.equal(401, (send "alice"))
      assert.equal(404, (call("server", "POST", "/users/alice/event", { event = { type = "x" } })))
      assert.equal(400, (call("server", "POST", "/users", { users = { alice = { id = "alice" } } })))
      assert.equal(404, (call("server", "POST", "/users/alice/deactivate")))
      assert.equal("alice", ask("POST", "/users/restore", { user_ids = { "alice" } }).users[1].id)
      bob:expect "user.reactivated"
      assert.equal(201, (send "alice"))
      local _, found = call("server", "POST", "/channels/messaging/lobby/query", { state = true })
      assert.equal(2, found.channel.member_count)
    end)

    it("for good lose name, memberships and bans, and never come back", function()
      ask("POST", "/moderation/ban", { target_user_id = "alice" })
      local alice, bob = watcher "alice", watcher "bob"
      local answer = ask("DELETE", "/users/alice", nil, { hard_delete = "true" })
      assert.is_nil(answer.user.name)
      assert.is_false(answer.user.banned)
      ended(alice, 5, "was deleted")
      assert.equal("alice", bob:expect("member.removed").member.user_id)
      assert.is_true(bob:expect("user.deleted").hard_delete)
      local _, found = call("server", "POST", "/channels/messaging/lobby/query", { state = true })
      assert.equal(1, found.channel.member_count)
      assert.equal("alice", found.channel.created_by.id)
      assert.is_nil(found.channel.created_by.last_active)
      local status, refusal = call("server", "POST", "/users/restore", { user_ids = { "alice" } })
      assert.equal(400, status)
      assert.matches("deleted for good", refusal.message)
      assert.equal(5, connect_error("alice").code)
      assert.equal(404, (call("server", "DELETE", "/users/alice", nil, { hard_delete = "true" })))
      assert.equal(404, (call("server", "POST", "/moderation/ban", { target_user_id = "alice" })))
      assert.equal(400, (call("server", "POST", "/channels/messaging/lobby", { add_members = { "alice" } })))
      assert.equal(400, (call("server", "POST", "/channels/messaging/new/query",
        { data = { created_by_id = "alice" } })))
    end)

    it("many at a time, of which a task tells", function()
      local answer = ask("POST", "/users/delete", { user_ids = { "alice", "bob", "alice" }, user = "soft" })
      assert.equal(36, #answer.task_id)
      assert.equal(401, (send "alice"))
      assert.equal(401, (send "bob"))
      ask("POST", "/users/delete", { user_ids = { "alice" }, user = "soft" })
      ask("POST", "/users/delete", { user_ids = { "alice", "carol" }, user = "hard" })
      ask("POST", "/users/restore", { user_ids = { "bob" } })
      assert.equal(400, (call("server", "POST", "/users/restore", { user_ids = { "alice" } })))
      assert.equal(400, (call("server", "POST", "/users/restore", { user_ids = { "carol" } })))
    end)

    local many = native.json.array {}
    for i = 1, 101 do many[i] = "u" .. i end
    for name, case in pairs {
      ["no list"] = { "/users/delete", {}, 400, "user_ids" },
      ["an empty list"] = { "/users/delete", { user_ids = native.json.array {} }, 400, "user_ids" },
      ["a list of other things"] = { "/users/restore", { user_ids = { 1 } }, 400, "user_ids" },
      ["too many"] = { "/users/delete", { user_ids = many }, 413, "100" },
      ["nobody"] = { "/users/delete", { user_ids = { "alice", "nobody" } }, 404, "nobody" },
      ["another way to delete"] =
        { "/users/delete", { user_ids = { "alice" }, user = "softly" }, 400, "soft" },
      ["another owner"] =
        { "/users/delete", { user_ids = { "alice" }, new_channel_owner_id = "bob" }, 400, "not offered" },
      ["a restore of who is there"] = { "/users/restore", { user_ids = { "alice" } }, 400, "not deleted" },
    } do
      it("but not " .. name, function()
        local status, answer = call("server", "POST", case[1], case[2])
        assert.equal(case[3], status)
        assert.matches(case[4], answer.message, 1, true)
        assert.equal(201, (send "alice"))
      end)
    end
  end)

  it("are so by backends alone", function()
    for _, case in ipairs {
      { "POST", "/users/bob/deactivate" }, { "POST", "/users/bob/reactivate" }, { "DELETE", "/users/bob" },
      { "POST", "/users/delete" }, { "POST", "/users/restore" },
    } do
      local status, answer = call("root", case[1], case[2], case[1] == "POST" and {} or nil)
      assert.same({ 403, 17 }, { status, answer.code })
    end
  end)

  it("are told to webhooks", function()
    local receiver = hook.start(200)
    ask("PATCH", "/app", { event_hooks = { { webhook_url = receiver.url } } })
    ask("POST", "/users/alice/deactivate")
    ask("POST", "/users/alice/reactivate")
    ask("DELETE", "/users/alice")
    ask("DELETE", "/users/bob", nil, { hard_delete = "true" })
    receiver:expect(5)
    local types = receiver:types()
    table.sort(types)
    assert.same({ "member.removed", "user.deactivated", "user.deleted", "user.deleted", "user.reactivated" },
      types)
    receiver:stop()
  end)

  describe("of the plugin", function()
    it("do not come back for ever", function()
      local changes = {}
      local client = stream_events.new { api_key = "devkey", base_url = fixture.server.url }
      local connected
      client:connect_user({ id = "carol" }, tokens.user("lan-dev-secret", "carol"), function(me, err)
        connected = assert(me, err)
      end)
      client:subscribe_for("connection.changed", function(event) changes[#changes + 1] = event end)
      local function wait(condition)
        local ends = native.now() + 20
        while not condition() do
          assert(native.now() < ends, "waited in vain")
          client:poll(0.001)
          require("luv").run "nowait"
        end
      end
      wait(function() return connected end)
      client:poll()
      fixture:call("server", "POST", "/users/carol/deactivate")
      wait(function() return changes[#changes] and changes[#changes].online == false end)
      assert.same({ false, 5 }, { changes[#changes].will_retry, changes[#changes].code })
      client:close()
    end)
  end)
end)

describe("tokens that are revoked", function()
  local NOW = 1767225600
  before_each(function()
    fixture = server.start()
    fixture:users("alice", "bob")
    fixture:channel("messaging:lobby", { "alice", "bob" })
  end)
  after_each(function() fixture:stop() end)

  local function connect(who, options)
    local socket = fixture:open {
      api_key = "devkey", authorization = fixture:user_token(who, options), ["stream-auth-type"] = "jwt",
      json = { user_id = who, user_details = { id = who } },
    }
    local first = socket:next()
    assert(first.me, first.error and first.error.message)
    socket.id = first.connection_id
    return socket
  end

  local REVOKED = "2026-01-01T00:00:00Z" -- NOW

  it("for a user end what is open with them, and nothing else", function()
    local old, new = connect("alice", { iat = NOW - 1 }), connect("alice", { iat = NOW })
    local without = connect "alice"
    local bob = connect "bob"
    local revoke = { id = "alice", set = { revoke_tokens_issued_before = REVOKED } }
    ask("PATCH", "/users", { users = { revoke } })
    ended(old, 40, "revoked")
    ended(without, 40, "revoked")
    assert.same({}, new:settled())
    assert.same({}, bob:settled())
    assert.equal(401, (send "alice"))
    ask("PATCH", "/users", { users = { { id = "alice", unset = { "revoke_tokens_issued_before" } } } })
    assert.equal(201, (send "alice"))
  end)

  it("for the app end those of everybody that say when they were issued", function()
    local old, new = connect("alice", { iat = NOW - 1 }), connect("bob", { iat = NOW })
    local without = connect "bob"
    ask("PATCH", "/app", { revoke_tokens_issued_before = REVOKED })
    ended(old, 40, "revoked")
    assert.same({}, without:settled())
    assert.same({}, new:settled())
    assert.equal(201, (send "bob"))
    ask("PATCH", "/app", { revoke_tokens_issued_before = native.json.null })
    connect("alice", { iat = NOW - 1 })
  end)

  it("end a plugin's session only until it has one that counts, in as many tries as it takes", function()
    local now, given = os.time(), 0
    -- Issued long before, in the second of the revocation, and after it.
    local issued = { now - 100, now - 10, now }
    local client <close> = stream_events.new { api_key = "devkey", base_url = fixture.server.url }
    local connected
    client:connect_user({ id = "alice" }, function()
      given = given + 1
      return tokens.user("lan-dev-secret", "alice", { iat = issued[given] })
    end, function(me, err) connected = assert(me, err) end)
    local ways = {}
    client:subscribe_for("connection.changed", function(change)
      if not change.online then ways[("%s, %s"):format(change.code, change.will_retry)] = true end
    end)
    local function wait(condition)
      http_client.wait("the plugin", function()
        client:poll(0.001)
        return condition()
      end, 30000)
    end
    wait(function() return connected end)
    ask("PATCH", "/users", { users = { { id = "alice",
      set = { revoke_tokens_issued_before = timestamp.format(now - 9.5) } } } })
    wait(function() return given == 3 and client:online() end)
    assert.same({ ["40, true"] = true }, ways)
  end)
end)

describe("the switches of the app", function()
  before_each(function()
    fixture = server.start()
    fixture:users("alice")
    fixture:channel("messaging:lobby", { "alice" })
  end)
  after_each(function() fixture:stop() end)

  local HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
  -- The spellings of both kinds of clients.
  local DEVELOPER = {
    HEADER .. "eyJ1c2VyX2lkIjoiYWxpY2UifQ==.devtoken", HEADER .. "eyJ1c2VyX2lkIjoiYWxpY2UifQ.devToken",
  }

  local function send_with(token)
    local answer = fixture.client:request("POST", "/channels/messaging/lobby/event", {
      headers = { Authorization = token, ["stream-auth-type"] = "jwt" }, query = { api_key = "devkey" },
      body = { event = { type = "wave" } },
    })
    return answer.status, answer.body
  end

  local function connect_with(token)
    return fixture:open {
      api_key = "devkey", authorization = token, ["stream-auth-type"] = "jwt",
      json = { user_id = "alice", user_details = { id = "alice" } },
    }:next()
  end

  it("let developer tokens in, in both spellings, as long as it is on", function()
    for _, on in ipairs { false, true, false } do
      ask("PATCH", "/app", { disable_auth_checks = on })
      for _, token in ipairs(DEVELOPER) do
        local status, answer = send_with(token)
        local first = connect_with(token)
        if on then
          assert.same({ 201, "alice", "alice" }, { status, answer.event.user.id, first.me.id })
        else
          assert.same({ 401, 5, 5 }, { status, answer.code, first.error.code })
          assert.matches("development tokens are not allowed for this application", answer.message, 1, true)
        end
      end
    end
  end)

  it("end connections that nobody checked when tokens are checked again, and no others", function()
    ask("PATCH", "/app", { disable_auth_checks = true })
    local function open_with(token)
      local socket = fixture:open { api_key = "devkey", authorization = token, ["stream-auth-type"] = "jwt",
        json = { user_id = "alice" } }
      socket.id = socket:next().connection_id
      return socket
    end
    local unchecked = open_with(DEVELOPER[1])
    local forged = open_with(tokens.user("another secret", "alice"))
    local good, anonymous = fixture:connect "alice", fixture:connect "anonymous"
    ask("PATCH", "/app", { name = "still off" })
    assert.same({}, unchecked:settled())
    ask("PATCH", "/app", { disable_auth_checks = false })
    ended(unchecked, 5, "checked again")
    ended(forged, 5, "checked again")
    assert.same({}, good:settled())
    assert.same({}, anonymous:settled())
  end)

  it("let guests be made, as long as it is off", function()
    local body = { user = { id = "visitor" } }
    assert.equal(201, (call("anonymous", "POST", "/guest", body)))
    ask("PATCH", "/app", { guest_user_creation_disabled = true })
    local status, answer = call("anonymous", "POST", "/guest", body)
    assert.same({ 403, 17 }, { status, answer.code })
    ask("PATCH", "/app", { guest_user_creation_disabled = false })
    assert.equal(201, (call("anonymous", "POST", "/guest", body)))
  end)
end)
