--- Custom events through the server: who may send what, what arrives where, and to the byte how.
local fixtures = require "support.server"
local native = require "stream_events.native"

local EVENT = "/channels/messaging/lobby/event"

describe("events", function()
  local fixture
  before_each(function()
    fixture = fixtures.start()
    fixture:users({ id = "alice", name = "Alice" }, "bob", "carol", { id = "root", role = "admin" },
      { id = "gerd", role = "guest" })
    fixture:channel("messaging:lobby", { "alice", "bob" })
  end)
  after_each(function() fixture:stop() end)

  local function watching(who, cid)
    local socket = fixture:connect(who)
    fixture:watch(socket, cid or "messaging:lobby")
    socket:settled()
    return socket
  end

  describe("to a channel", function()
    it("reach every watching connection, the sender's too, exactly as the answer has them", function()
      local alice, bob, again = watching "alice", watching "bob", watching "bob"
      for _, socket in ipairs { alice, bob, again } do socket:settled() end
      local idle = fixture:connect("bob")
      local status, body, answer = fixture:call("alice", "POST", EVENT,
        '{"event":{"type":"flare","x":12,"y":40.0,"tags":["red"],"empty":[],"none":null}}')
      assert.equal(201, status)
      local event = body.event
      assert.same({ "flare", "messaging:lobby", "lobby", "messaging", 12 },
        { event.type, event.cid, event.channel_id, event.channel_type, event.x })
      assert.same({ "alice", "Alice", "user" }, { event.user.id, event.user.name, event.user.role })
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d[.%d]*Z$", event.created_at)
      assert.matches("^%d+%.%d%dms$", body.duration)
      for _, socket in ipairs { alice, bob, again } do
        local _, text = socket:expect("flare")
        assert.equal(text, answer.text:match('^{"event":(.*),"duration":"[^"]*"}$'))
      end
      assert.same({}, idle:settled())
    end)

    it("are accepted when nobody watches", function()
      assert.equal(201, (fixture:call("alice", "POST", EVENT, { event = { type = "flare" } })))
    end)

    it("pass on what the sender wrote without losing a digit", function()
      local bob = watching "bob"
      local written = '"big":123456789012345678901234567890,"one":1.0,"small":1e-7,"huge":9007199254740993,'
        .. '"list":[],"object":{},"text":"\\u00e4\\/\\n","k\\u00fc":true,"a\\"b":1,"null":null,'
        .. '"custom":{"x":1}'
      fixture:call("alice", "POST", EVENT, '{"event":{"type":"flare",' .. written .. "}}")
      local event, text = bob:expect("flare")
      for _, part in ipairs {
        '"big":123456789012345678901234567890', '"one":1.0', '"small":1e-7', '"huge":9007199254740993',
        '"list":[]', '"object":{}', '"text":"\\u00e4\\/\\n"', '"null":null', '"custom":{"x":1}',
      } do
        assert.matches(part, text, 1, true)
      end
      assert.is_true(event["kü"])
      assert.equal(1, event['a"b'])
    end)

    it("keep the order in which one sender sent them", function()
      local bob = watching "bob"
      for i = 1, 50 do
        fixture.client:send("POST", EVENT .. "?api_key=devkey",
          { Authorization = fixture:user_token "alice" }, ('{"event":{"type":"tick","n":%d}}'):format(i))
      end
      for i = 1, 50 do assert.equal(i, bob:expect("tick").n) end
      for _ = 1, 50 do assert.equal(201, fixture.client:next_answer().status) end
    end)

    it("let nobody say what only the server says", function()
      local bob = watching "bob"
      fixture:call("alice", "POST", EVENT, { event = {
        type = "flare", cid = "messaging:other", channel_id = "other", channel_type = "team",
        user = { id = "bob" }, user_id = "bob", created_at = "2000-01-01T00:00:00Z", received_at = "x",
        me = { id = "bob" }, connection_id = "x", watcher_count = 99, total_unread_count = 9,
        unread_channels = 9, parent_id = "p1", text = "hello",
      } })
      local event, text = bob:expect("flare")
      assert.same({ "messaging:lobby", "lobby", "messaging", "alice", "p1", "hello" },
        { event.cid, event.channel_id, event.channel_type, event.user.id, event.parent_id, event.text })
      assert.not_matches("^2000", event.created_at)
      for _, name in ipairs {
        "user_id", "received_at", "me", "connection_id", "watcher_count", "total_unread_count",
        "unread_channels",
      } do
        assert.is_nil(event[name])
      end
      for _, name in ipairs { "cid", "user", "created_at" } do
        assert.equal(1, select(2, text:gsub('"' .. name .. '":', "")) - (name == "created_at" and 1 or 0))
      end
    end)

    it("are the same under a disguised key", function()
      local bob = watching "bob"
      fixture:call("alice", "POST", EVENT,
        '{"event":{"ty\\u0070e":"flare","c\\u0069d":"x:y","us\\u0065r":{"id":"bob"}}}')
      local event, text = bob:expect("flare")
      assert.same({ "messaging:lobby", "alice" }, { event.cid, event.user.id })
      assert.not_matches("\\u", text, 1, true)
    end)

    it("tell a type without the escapes that its sender wrote, each time", function()
      local bob = watching "bob"
      for _ = 1, 2 do
        fixture:call("alice", "POST", EVENT, '{"event":{"type":"fl\\u0061r\\u0065"}}')
        local _, text = bob:expect("flare")
        assert.matches('"type":"flare"', text, 1, true)
      end
    end)

    it("can be read by the plugin's own scanner", function()
      local bob = watching "bob"
      fixture:call("alice", "POST", EVENT, { event = { type = "fl\u{e4}re", text = "x" } })
      local _, text = bob:expect("fl\u{e4}re")
      local event = assert(native.event.new(text, { self = "bob" }))
      assert.same({ "fl\u{e4}re", "messaging:lobby", "user" }, { event.type, event.cid, event.trust })
    end)

    it("show a change of the sender from the next event on", function()
      local bob = watching "bob"
      fixture:call("alice", "POST", EVENT, { event = { type = "flare" } })
      assert.equal("Alice", bob:expect("flare").user.name)
      fixture:users { id = "alice", name = "Alicia" }
      fixture:call("alice", "POST", EVENT, { event = { type = "flare" } })
      assert.equal("Alicia", bob:expect("flare").user.name)
    end)

    it("do not show what is private about the sender", function()
      fixture:users { id = "alice", invisible = true, privacy_settings = {} }
      local bob = watching "bob"
      fixture:call("alice", "POST", EVENT, { event = { type = "flare" } })
      local user = bob:expect("flare").user
      for _, name in ipairs { "invisible", "privacy_settings", "devices", "shadow_banned" } do
        assert.is_nil(user[name])
      end
    end)

    it("warn once in the log about a '.' in a custom type", function()
      for _ = 1, 3 do
        assert.equal(201, (fixture:call("alice", "POST", EVENT, { event = { type = "call.started" } })))
      end
      local warnings = 0
      for _, entry in ipairs(fixture.log) do
        if entry.level == "warn" then warnings = warnings + 1 end
      end
      assert.equal(1, warnings)
    end)

    describe("from a server", function()
      for name, fields in pairs {
        ["user_id"] = { user_id = "bob" }, ["user"] = { user = { id = "bob", name = "ignored" } },
      } do
        it("are from the user in " .. name, function()
          local alice = watching "alice"
          fields.type, fields.round = "round_start", 3
          local status, body = fixture:call("server", "POST", EVENT, { event = fields })
          assert.equal(201, status)
          assert.same({ "bob", 3 }, { body.event.user.id, body.event.round })
          assert.is_nil(body.event.user_id)
          assert.equal("bob", alice:expect("round_start").user.id)
        end)
      end

      for name, case in pairs {
        ["a user without an id"] =
          { '{"event":{"type":"x","user":{}}}', 400, 4, "event.user must be an object with an id" },
        ["a user that is no object"] =
          { '{"event":{"type":"x","user":"bob"}}', 400, 4, "event.user must be an object with an id" },
        ["nobody"] = { '{"event":{"type":"x"}}', 400, 4, "either event.user or event.user_id must" },
        ["null"] = { '{"event":{"type":"x","user":null,"user_id":null}}', 400, 4, "either event.user" },
        ["both"] =
          { '{"event":{"type":"x","user":{"id":"bob"},"user_id":"bob"}}', 400, 4, "cannot set both" },
        ["a user who does not exist"] = { '{"event":{"type":"x","user_id":"ghost"}}', 404, 16, "ghost" },
        ["a user id that is none"] =
          { '{"event":{"type":"x","user_id":5}}', 400, 4, "event.user_id must be a string" },
        ["a user that is a list"] =
          { '{"event":{"type":"x","user":[]}}', 400, 4, "event.user must be an object with an id" },
      } do
        it(("are refused for %s"):format(name), function()
          local status, body = fixture:call("server", "POST", EVENT, case[1])
          assert.same({ case[2], case[3] }, { status, body.code })
          assert.matches(case[4], body.message, 1, true)
        end)
      end
    end)

    -- Each: who, path, body; status and code. Nothing of it may reach anybody.
    local deep = ("["):rep(40) .. ("]"):rep(40)
    local many = {}
    for i = 1, 250 do many[i] = ('"k%d":1'):format(i) end
    local refusals = {
      ["an empty body"] = { "alice", EVENT, "", 400, 4 },
      ["a body that is no JSON"] = { "alice", EVENT, "hello", 400, 4 },
      ["a truncated body"] = { "alice", EVENT, '{"event":{"type":"flare"}', 400, 4 },
      ["a list"] = { "alice", EVENT, '[{"type":"flare"}]', 400, 4 },
      ["no event"] = { "alice", EVENT, "{}", 400, 4 },
      ["an event that is null"] = { "alice", EVENT, '{"event":null}', 400, 4 },
      ["an event that is a list"] = { "alice", EVENT, '{"event":[]}', 400, 4 },
      ["an event that is a text"] = { "alice", EVENT, '{"event":"flare"}', 400, 4 },
      ["two events"] = { "alice", EVENT, '{"event":{"type":"flare"},"event":{"type":"flare"}}', 400, 4 },
      ["no type"] = { "alice", EVENT, '{"event":{"x":1}}', 400, 4 },
      ["an empty type"] = { "alice", EVENT, '{"event":{"type":""}}', 400, 4 },
      ["a type that is a number"] = { "alice", EVENT, '{"event":{"type":1}}', 400, 4 },
      ["a type that is null"] = { "alice", EVENT, '{"event":{"type":null}}', 400, 4 },
      ["two types"] = { "alice", EVENT, '{"event":{"type":"flare","type":"x"}}', 400, 4 },
      ["two types, one disguised"] =
        { "alice", EVENT, '{"event":{"type":"x","ty\\u0070e":"flare"}}', 400, 4 },
      ["a type of 256 bytes"] =
        { "alice", EVENT, ('{"event":{"type":"%s"}}'):format(("x"):rep(256)), 400, 4 },
      ["a type with a control character"] = { "alice", EVENT, '{"event":{"type":"a\\u0000b"}}', 400, 4 },
      ["a type with a lone surrogate"] = { "alice", EVENT, '{"event":{"type":"\\ud800"}}', 400, 4 },
      ["a type that is not UTF-8"] = { "alice", EVENT, '{"event":{"type":"\255"}}', 400, 4 },
      ["data that is nested too deep"] =
        { "alice", EVENT, ('{"event":{"type":"flare","x":%s}}'):format(deep), 400, 4 },
      ["too many fields"] =
        { "alice", EVENT, ('{"event":{"type":"flare",%s}}'):format(table.concat(many, ",")), 400, 4 },
      ["NaN"] = { "alice", EVENT, '{"event":{"type":"flare","x":NaN}}', 400, 4 },
      ["text behind it"] = { "alice", EVENT, '{"event":{"type":"flare"}} x', 400, 4 },
      ["a channel that is missing"] = { "alice", "/channels/messaging/none/event",
        { event = { type = "flare" } }, 404, 16 },
      ["an id with bad characters"] = { "alice", "/channels/messaging/a%20b/event",
        { event = { type = "flare" } }, 400, 4 },
      ["a stranger"] = { "carol", EVENT, { event = { type = "flare" } }, 403, 17 },
      ["a guest"] = { "gerd", EVENT, { event = { type = "flare" } }, 403, 17 },
      ["an anonymous user"] = { "anonymous", EVENT, { event = { type = "flare" } }, 403, 17 },
      ["5121 bytes"] = { "alice", EVENT,
        ('{"event":{"type":"flare","x":"%s"}}'):format(("x"):rep(5121 - #'{"type":"flare","x":""}')),
        413, 22 },
      ["a stranger before the size"] =
        { "carol", EVENT, { event = { type = "flare", x = ("x"):rep(6000) } }, 403, 17 },
      ["a forged type before the stranger"] =
        { "carol", EVENT, { event = { type = "message.new" } }, 400, 18 },
      ["the missing channel before the forged type"] =
        { "alice", "/channels/messaging/none/event", { event = { type = "message.new" } }, 404, 16 },
      ["the body before the missing channel"] = { "alice", "/channels/messaging/none/event", "{", 400, 4 },
    }
    for name, case in pairs(refusals) do
      it("are refused: " .. name, function()
        local bob = watching "bob"
        local status, body = fixture:call(case[1], "POST", case[2], case[3])
        assert.same({ case[4], case[5] }, { status, body.code })
        assert.matches('^SendEvent failed with error: "', body.message)
        assert.same({}, bob:settled())
      end)
    end

    it("may have 250 fields, which receivers still take", function()
      local fields = '"type":"flare",' .. table.concat(many, ",", 2)
      assert.equal(201, (fixture:call("alice", "POST", EVENT, ('{"event":{%s}}'):format(fields))))
    end)

    it("may have 5120 bytes, or what the server is told", function()
      local function sized(bytes)
        return ('{"event":{"type":"flare","x":"%s"}}'):format(("x"):rep(bytes - #'{"type":"flare","x":""}'))
      end
      assert.equal(201, (fixture:call("alice", "POST", EVENT, sized(5120))))
      local other = fixtures.start { max_event = 100 }
      other:users("alice")
      other:channel("messaging:lobby", { "alice" })
      assert.equal(201, (other:call("alice", "POST", EVENT, sized(100))))
      assert.equal(413, (other:call("alice", "POST", EVENT, sized(101))))
      other:stop()
    end)

    for _, event_type in ipairs {
      "message.new", "message.deleted", "channel.deleted", "channel.updated", "health.check",
      "member.added", "user.banned", "user.watching.start", "notification.removed_from_channel",
      "notification.message_new", "reaction.new", "poll.updated", "thread.updated", "app.updated",
      "connection.error", "connection.changed", "connection.recovered", "transport.changed",
      "capabilities.changed", "channels.queried", "messag\\u0065.new",
    } do
      it("cannot be of the type " .. event_type, function()
        local bob = watching "bob"
        local text = ('{"event":{"type":"%s","user_id":"alice"}}'):format(event_type)
        for _, who in ipairs { "alice", "server" } do
          local status, body = fixture:call(who, "POST", EVENT, text)
          assert.same({ 400, 18 }, { status, body.code })
          assert.matches("does not support events of type", body.message)
        end
        assert.same({}, bob:settled())
      end)
    end

    for _, event_type in ipairs {
      "typing.start", "typing.stop", "message.read", "ai_indicator.update", "ai_indicator.clear",
      "ai_indicator.stop",
    } do
      it(("let members send %s, and nobody who cannot read"):format(event_type), function()
        local bob = watching "bob"
        local event = { event = { type = event_type, parent_id = "p" } }
        assert.equal(201, (fixture:call("alice", "POST", EVENT, event)))
        local received = bob:expect(event_type)
        assert.same({ "alice", "p" }, { received.user.id, received.parent_id })
        assert.equal(403, (fixture:call("carol", "POST", EVENT, event)))
      end)
    end

    it("keep to what the channel type allows", function()
      fixture:channel("livestream:show", { "alice" }, { created_by_id = "root" })
      local path = "/channels/livestream/show/event"
      for _, event_type in ipairs { "typing.start", "message.read" } do
        local status, body = fixture:call("alice", "POST", path, { event = { type = event_type } })
        assert.same({ 400, 18 }, { status, body.code })
      end
      fixture:call("server", "PUT", "/channeltypes/livestream",
        { custom_events = false, typing_events = true })
      for _, who in ipairs { "alice", "root", "server" } do
        local status, body = fixture:call(who, "POST", path,
          { event = { type = "flare", user_id = "alice" } })
        assert.same({ 400, 18 }, { status, body.code })
        assert.matches("Channel type livestream does not support custom events", body.message, 1, true)
      end
      assert.equal(201, (fixture:call("alice", "POST", path, { event = { type = "typing.start" } })))
      local _, queried = fixture:call("alice", "POST", "/channels/livestream/show/query", {})
      for _, capability in ipairs(queried.channel.own_capabilities) do
        assert.not_equal("send-custom-events", capability)
      end
      fixture:call("server", "PUT", "/channeltypes/livestream", { custom_events = true })
      assert.equal(201, (fixture:call("carol", "POST", path, { event = { type = "flare" } })))
    end)

    it("of typing are not told to a crowd, custom ones are", function()
      fixture:channel("livestream:show", { "alice" }, { created_by_id = "root" })
      fixture:call("server", "PUT", "/channeltypes/livestream",
        { typing_events = true, connect_events = false })
      local alice = watching("alice", "livestream:show")
      for _ = 1, 100 do
        local socket = fixture:connect("anonymous")
        fixture:call("anonymous", "POST", "/channels/livestream/show/query", { watch = true },
          { connection_id = socket.id })
      end
      local path = "/channels/livestream/show/event"
      assert.equal(201, (fixture:call("alice", "POST", path, { event = { type = "typing.start" } })))
      assert.equal(201, (fixture:call("alice", "POST", path, { event = { type = "flare" } })))
      local events = alice:settled()
      assert.same({ 1, "flare" }, { #events, events[1].type })
    end)

    -- The default grants for sending, by channel type.
    local roles = {
      admin = "root", owner = "alice", member = "bob", user = "carol", guest = "gerd",
      anonymous = "anonymous",
    }
    local usual = { admin = true, owner = true, member = true }
    for channel_type, may in pairs {
      messaging = usual, team = usual, gaming = usual, commerce = usual,
      livestream = { admin = true, owner = true, member = true, user = true },
    } do
      for role, who in pairs(roles) do
        it(("follow the grants of %s for a %s"):format(channel_type, role), function()
          fixture:channel(channel_type .. ":room", { "bob" }, { created_by_id = "alice" })
          local status, body = fixture:call(who, "POST", ("/channels/%s/room/event"):format(channel_type),
            { event = { type = "flare" } })
          assert.same(may[role] and { 201 } or { 403, 17 }, { status, body.code })
        end)
      end
    end
  end)

  describe("to a user", function()
    it("reach all connections of that user and no others", function()
      local first, second, other = watching "bob", fixture:connect("bob"), watching "alice"
      first:settled()
      local status, body = fixture:call("server", "POST", "/users/bob/event",
        { event = { type = "friend_request", from = "alice", user = { id = "alice" },
          cid = "messaging:lobby", channel_id = "lobby", channel_type = "messaging",
          created_at = "0001-01-01T00:00:00Z" } })
      assert.equal(201, status)
      assert.is_nil(body.event)
      assert.is_string(body.duration)
      for _, socket in ipairs { first, second } do
        local event = socket:expect("friend_request")
        assert.same({ "bob", "alice" }, { event.user.id, event.from })
        assert.same({}, { event.cid, event.channel_id, event.channel_type })
        assert.not_matches("^0001", event.created_at)
      end
      assert.same({}, other:settled())
    end)

    it("are lost when the user is offline", function()
      assert.equal(201, (fixture:call("server", "POST", "/users/bob/event", { event = { type = "x" } })))
      assert.same({}, fixture:connect("bob"):settled())
    end)

    for name, case in pairs {
      ["by a client"] = { "alice", "bob", { event = { type = "x" } }, 403, 17 },
      ["by an admin"] = { "root", "bob", { event = { type = "x" } }, 403, 17 },
      ["by anonymous users"] = { "anonymous", "bob", { event = { type = "x" } }, 403, 17 },
      ["to an unknown user"] = { "server", "ghost", { event = { type = "x" } }, 404, 16 },
      ["to an id with bad characters"] = { "server", "a%20b", { event = { type = "x" } }, 400, 4 },
      ["with a '.' in the type"] = { "server", "bob", { event = { type = "a.b" } }, 400, 4 },
      ["with a built-in type"] = { "server", "bob", { event = { type = "health.check" } }, 400, 4 },
      ["without a type"] = { "server", "bob", { event = { x = 1 } }, 400, 4 },
      ["without an event"] = { "server", "bob", {}, 400, 4 },
      ["that are too large"] = { "server", "bob", { event = { type = "x", y = ("x"):rep(6000) } }, 413, 22 },
    } do
      it("are refused " .. name, function()
        local bob = fixture:connect("bob")
        local status, body = fixture:call(case[1], "POST", "/users/" .. case[2] .. "/event", case[3])
        assert.same({ case[4], case[5] }, { status, body.code })
        assert.matches('^SendUserCustomEvent failed with error: "', body.message)
        assert.same({}, bob:settled())
      end)
    end
  end)

  it("are counted", function()
    local bob = watching "bob"
    local before = fixture.server:stats()
    fixture:call("alice", "POST", EVENT, { event = { type = "flare" } })
    bob:expect("flare")
    local after = fixture.server:stats()
    assert.same({ 1, 1 }, { after.events - before.events, after.deliveries - before.deliveries })
  end)
end)
