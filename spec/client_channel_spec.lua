--- Channels: watching, sending, members, capabilities, and what is checked before the network.
local fakes = require "support.fake_transport"
local garbage = require "support.garbage"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local SECRET = "lan-dev-secret"

local function body(request) return native.json.decode(request.body) end

local function answer_of(channel, more)
  local answer = {
    channel = {
      type = channel.type, id = channel.id or "!members-abc", cid = "x",
      config = { custom_events = true }, own_capabilities = { "send-custom-events" },
    },
    members = native.json.array {}, watcher_count = 2,
  }
  for name, value in pairs(more or {}) do answer.channel[name] = value end
  return native.json.encode(answer)
end

describe("client:channel", function()
  it("gives the same object for the same channel", function()
    local client = fakes.new().connected()
    local channel = client:channel("messaging", "general")
    assert.equal(channel, client:channel("messaging", "general", { name = "General" }))
    assert.not_equal(channel, client:channel("team", "general"))
    assert.equal("messaging:general", channel.cid)
    assert.equal("General", channel.data.name)
    assert.equal("channel messaging:general", tostring(channel))
  end)

  it("forgets channels that nobody holds", function()
    local client = fakes.new().connected()
    for i = 1, 10 do client:channel("messaging", "c" .. i) end
    garbage.collect()
    assert.is_nil(next(client.context.channels))
  end)

  for name, case in pairs {
    ["no type"] = { nil, "x", says = "a channel type must be a string" },
    ["a type with a colon"] = { "a:b", "x", says = "a channel type may hold only" },
    ["an id with a slash"] = { "messaging", "../x", says = "a channel id may hold only" },
    ["an empty id"] = { "messaging", "", says = "a channel id must not be empty" },
    ["neither id nor members"] = { "messaging", nil, says = "needs { members = { ... } }" },
    ["data that is none"] = { "messaging", "x", 7, says = "the data of a channel must be a table" },
    ["data that is no JSON"] = { "messaging", "x", { f = print }, says = "the data of a channel: at f" },
  } do
    it("raises on " .. name, function()
      local client = fakes.new().connected()
      local ok, message = pcall(function() local _ = client:channel(case[1], case[2], case[3]) end)
      assert.is_false(ok)
      assert.truthy(message:find(case.says, 1, true), message)
      assert.truthy(message:find("client_channel_spec", 1, true), "blames the caller: " .. message)
    end)
  end
end)

describe("channel:watch", function()
  it("queries with the connection's id and takes the state over", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", "general", { members = { "john", "jane" }, name = "G" })
    assert.is_nil(channel:can "send-custom-events")
    assert.equal(channel, assert(channel:watch()))
    local request = fake.requests[1]
    assert.same({ "POST", "/channels/messaging/general/query" }, { request.method, request.path })
    assert.equal("api_key=devkey&user_id=john&connection_id=connection-1", request.query)
    assert.same({
      data = { members = { "john", "jane" }, name = "G" }, state = true, watch = true, presence = false,
    }, body(request))
    assert.truthy(request.headers:find("Authorization: " .. fake.token, 1, true))
    assert.truthy(request.headers:find("stream-auth-type: jwt", 1, true))
    assert.is_true(channel.watching)
    assert.is_true(channel.config.custom_events)
    assert.equal(1, channel.watcher_count)
    assert.equal("john", channel.members.john.user_id)
    assert.is_nil(channel.data.config)
  end)

  it("keeps an empty list of members a list", function()
    local fake = fakes.new()
    local channel = fake.connected():channel("messaging", "general", { members = {} })
    assert(channel:watch())
    assert.truthy(fake.requests[1].body:find('"members":[]', 1, true))
  end)

  it("needs a connection, and says which kind of one is missing", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options())
    local channel = client:channel("messaging", "general")
    local ok, err = channel:watch()
    assert.is_nil(ok)
    assert.equal("closed", err.kind)
    assert(client:connect_user({ id = "john" }, fake.token))
    fake.on_connect = function() end
    fake.socket:finish("network", "reset")
    client:poll()
    ok, err = channel:watch()
    assert.is_nil(ok)
    assert.same({ "network", true }, { err.kind, err.retryable })
    assert.same({}, fake.requests)
  end)

  it("gives the service's refusal and watches nothing", function()
    local fake = fakes.new()
    fake.answer = function() return 403, '{"code":17,"message":"not allowed","StatusCode":403}' end
    local client = fake.connected()
    local channel = client:channel("messaging", "general")
    local ok, err = channel:watch()
    assert.is_nil(ok)
    assert.same({ "api", 17, 403 }, { err.kind, err.code, err.status })
    assert.is_false(channel.watching)
    assert.equal(0, client:stats().watched)
  end)

  for name, answer in pairs {
    ["HTML"] = "<html>", ["a number"] = "7", ["members that are a text"] = '{"channel":{},"members":"x"}',
    ["lists of odd kinds"] = '{"channel":{"own_capabilities":[1,{},"a"]},"members":[1,"x",{"user":7}]}',
    ["null everywhere"] = '{"channel":null,"members":null,"membership":null,"watcher_count":null}',
  } do
    it("copes with an answer that is or holds " .. name, function()
      local fake = fakes.new()
      fake.answer = function() return 201, answer end
      local channel = fake.connected():channel("messaging", "general")
      local _, err = channel:watch()
      assert.is_true(err == nil or err.kind == "protocol")
    end)
  end

  it("finds the id of a channel of members with its first answer", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", nil, { members = { "john", "jane" } })
    assert.is_nil(channel.cid)
    assert.equal("channel messaging (no id yet)", tostring(channel))
    local seen = 0
    channel:subscribe_for("poke", function() seen = seen + 1 end)
    local _, err = channel:send_event("poke")
    assert.equal("protocol", err.kind)
    fake.answer = function() return 201, answer_of(channel) end
    assert(channel:watch())
    assert.equal("/channels/messaging/query", fake.requests[1].path)
    assert.equal("messaging:!members-abc", channel.cid)
    assert.equal(channel, client:channel("messaging", "!members-abc"))
    fake.socket:event("poke", {}, "messaging:!members-abc")
    client:poll()
    assert.equal(1, seen)
    fake.answer = fake.usual_answer
    assert(channel:send_event("poke"))
    assert.equal("/channels/messaging/!members-abc/event", fake.last("/event").path)
  end)

  it("joins the handlers of two objects that turn out to be one channel", function()
    local fake = fakes.new()
    local client = fake.connected()
    local known = client:channel("messaging", "!members-abc")
    local seen = {}
    known:subscribe_for("poke", function() seen[#seen + 1] = "known" end)
    local channel = client:channel("messaging", { members = { "john", "jane" } })
    local mine = channel:subscribe_for({ "poke", "p*" }, function() seen[#seen + 1] = "mine" end)
    fake.answer = function() return 201, answer_of(channel) end
    assert(channel:watch())
    fake.socket:event("poke", {}, "messaging:!members-abc")
    client:poll()
    assert.same({ "known", "mine" }, seen)
    mine:dispose()
    channel:subscribe_for("poke", function() seen[#seen + 1] = "later" end)
    fake.socket:event("poke", {}, "messaging:!members-abc")
    client:poll()
    assert.same({ "known", "mine", "known", "later" }, seen)
  end)

  it("refuses an answer that names no channel", function()
    local fake = fakes.new()
    local channel = fake.connected():channel("messaging", { members = { "john", "jane" } })
    fake.answer = function() return 201, '{"channel":{"id":"a/b"}}' end
    local ok, err = channel:watch()
    assert.is_nil(ok)
    assert.equal("protocol", err.kind)
  end)
end)

describe("channel:query and channel:create", function()
  it("read or create without watching", function()
    local fake = fakes.new()
    local channel = fake.connected():channel("messaging", "general")
    assert(channel:query())
    assert.same({ state = true, watch = false, presence = false }, body(fake.requests[1]))
    assert.is_nil(fake.requests[1].query:find("connection_id", 1, true))
    assert(channel:create())
    assert.same({ state = false, watch = false, presence = false }, body(fake.requests[2]))
    assert.is_false(channel.watching)
  end)

  it("work for a backend that is not connected", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options { secret = SECRET })
    assert(client:channel("messaging", "general", { created_by_id = "john" }):create())
    assert.equal("api_key=devkey", fake.requests[1].query)
    assert.truthy(fake.requests[1].headers:find("Authorization: " .. tokens.server(SECRET), 1, true))
  end)
end)

describe("channel:stop_watching", function()
  it("ends the watch and keeps the subscriptions", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", "general")
    assert(channel:watch())
    assert.is_true(channel:stop_watching())
    local request = fake.requests[2]
    assert.equal("/channels/messaging/general/stop-watching", request.path)
    assert.truthy(request.query:find("connection_id=connection-1", 1, true))
    assert.equal("{}", request.body)
    assert.is_false(channel.watching)
    fake.socket:finish("network", "reset")
    for _ = 1, 4 do client:poll(5) end
    assert.equal(2, #fake.requests) -- nothing is watched again
  end)

  -- Calls of one channel made at once; gives the ends of their paths as the service met them.
  local function at_once(...)
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", "general")
    local met, done = {}, 0
    fake.answer = function(request)
      fake.at(1, function()
        met[#met + 1] = request.path:match "[^/]+$"
        fake.reply(request, fake.usual_answer(request))
      end)
    end
    for _, method in ipairs { ... } do
      channel[method](channel, function(ok, err)
        assert(ok, tostring(err))
        done = done + 1
      end)
      assert.is_true(#fake.requests <= 1)
    end
    for _ = 1, 20 do client:poll(1) end
    assert.equal(select("#", ...), done)
    return met, channel.watching, client:stats().watched
  end

  it("and watching are done one after the other, in the order of the calls", function()
    assert.same({ { "query", "stop-watching" }, false, 0 }, { at_once("watch", "stop_watching") })
    assert.same({ { "query", "stop-watching", "query" }, true, 1 },
      { at_once("watch", "stop_watching", "watch") })
  end)

  it("has nothing to ask for while there is no connection", function()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", "general")
    assert(channel:watch())
    fake.on_connect = function() end
    fake.socket:finish("network", "reset")
    client:poll()
    assert.is_true(channel:stop_watching())
    assert.equal(1, #fake.requests)
    assert.equal(0, client:stats().watched)
  end)
end)

describe("a watched channel", function()
  local function watched()
    local fake = fakes.new()
    local client = fake.connected()
    local channel = client:channel("messaging", "general")
    assert(channel:watch())
    return fake, client, channel
  end

  it("follows its members and its fields", function()
    local fake, client, channel = watched()
    local jane = { user_id = "jane", user = { id = "jane" }, channel_role = "x" }
    fake.socket:event("member.added", { member = jane })
    client:poll()
    assert.equal("x", channel.members.jane.channel_role)
    fake.socket:event("member.removed", { member = { user_id = "john" }, user = { id = "john" } })
    client:poll()
    assert.is_nil(channel.members.john)
    fake.socket:event("channel.updated", { channel = { name = "New", config = { custom_events = false } } })
    client:poll()
    assert.same({ "New", false }, { channel.data.name, channel.config.custom_events })
  end)

  it("is not harmed by such events with odd contents", function()
    local fake, client, channel = watched()
    for _, event_type in ipairs {
      "member.added", "member.removed", "member.updated", "channel.updated", "channel.deleted",
    } do
      for _, odd in ipairs { 7, "x", {}, { user_id = 7 }, { user = "x" }, native.json.null } do
        fake.socket:event(event_type, { member = odd, channel = odd })
        fake.socket:event(event_type, { member = odd, channel = odd }, "messaging:unknown")
        fake.socket:event(event_type, { member = odd, channel = odd }, "")
      end
    end
    for _ = 1, 3 do client:poll() end
    assert.equal(0, client:stats().handler_errors)
    assert.is_true(client:online())
    assert.is_false(channel.watching)
  end)

  for _, event_type in ipairs {
    "channel.deleted", "notification.channel_deleted", "notification.removed_from_channel",
  } do
    it("is watched no more after " .. event_type, function()
      local fake, client, channel = watched()
      local told
      channel:subscribe_for(event_type, function(event) told = event.type end)
      fake.socket:event(event_type)
      client:poll()
      assert.equal(event_type, told)
      assert.is_false(channel.watching)
      assert.equal(0, client:stats().watched)
    end)
  end

  it("tells when its capabilities are others than before", function()
    local fake, client, channel = watched()
    local changes = {}
    client:subscribe_for("capabilities.changed", function(event) changes[#changes + 1] = event end)
    channel:subscribe_for("capabilities.changed", function(event) changes[#changes + 1] = event.cid end)
    assert(channel:query())
    client:poll()
    assert.same({}, changes)
    fake.answer = function() return 201, answer_of(channel, { own_capabilities = { "read-events" } }) end
    assert(channel:query())
    client:poll()
    assert.equal(2, #changes)
    assert.same({ "messaging:general", { "read-events" } }, { changes[1].cid, changes[1].own_capabilities })
    assert.equal("messaging:general", changes[2])
    assert.is_false(channel:can "send-custom-events")
  end)

  describe("follows what the service says of its user's capabilities", function()
    local function updated(fake, channel)
      fake.socket:event("channel.updated", { channel = channel }, "messaging:general")
    end

    local function following()
      local fake, client, channel = watched()
      local changes = {}
      client:subscribe_for("capabilities.changed", function(event) changes[#changes + 1] = event end)
      return fake, client, channel, changes
    end

    for _, event_type in ipairs { "channel.updated", "notification.removed_from_channel" } do
      it("in " .. event_type, function()
        local fake, client, channel, changes = following()
        local fields = { own_capabilities = native.json.array { "read-events" } }
        fake.socket:event(event_type, { channel = fields }, "messaging:general")
        client:poll()
        client:poll()
        assert.is_false(channel:can "send-custom-events")
        assert.is_true(channel:can "read-events")
        assert.same({ "read-events" }, changes[1].own_capabilities)
        assert.equal("messaging:general", changes[1].cid)
        assert.is_nil(channel.data.own_capabilities)
      end)
    end

    it("and says nothing when they are the same", function()
      local fake, client, channel, changes = following()
      updated(fake, { own_capabilities = native.json.array { "read-events", "send-custom-events" } })
      client:poll()
      client:poll()
      assert.same({}, changes)
      assert.is_true(channel:can "send-custom-events")
    end)

    local many = {}
    for i = 1, 257 do many[i] = "c" .. i end
    for name, value in pairs {
      ["a text"] = "send-custom-events", ["a number"] = 7, ["an object"] = { a = "read-events" },
      ["null"] = native.json.null,
      ["a list of other things"] = native.json.array { 1, true, { "x" } },
      ["names that are too long"] = native.json.array { ("x"):rep(65) },
      ["too many names"] = native.json.array(many),
    } do
      it("but not " .. name, function()
        local fake, client, channel, changes = following()
        updated(fake, { own_capabilities = value })
        client:poll()
        client:poll()
        assert.same({}, changes)
        assert.is_true(channel:can "send-custom-events")
      end)
    end

    it("and takes the names out of a list that holds other things, too", function()
      local fake, client, channel = following()
      local odd = native.json.array { 1, "read-events", native.json.null, "__index" }
      updated(fake, { own_capabilities = odd })
      client:poll()
      assert.same({ "read-events", "__index" }, channel.own_capabilities)
      assert.is_false(channel:can "constructor")
    end)

    it("in a refusal because custom events are off", function()
      local fake, client, channel, changes = following()
      fake.answer = function() return 400, '{"code":18,"message":"off","StatusCode":400}' end
      assert.equal(18, select(2, channel:send_event("poke")).code)
      client:poll()
      assert.is_false(channel:can "send-custom-events")
      assert.is_true(channel:can "read-events")
      assert.is_false(channel.config.custom_events)
      assert.equal(1, #changes)
      channel:send_event("poke")
      client:poll()
      assert.equal(1, #changes)
    end)

    for name, case in pairs {
      ["of a built-in type"] = { "typing.start", 400, 18 }, ["for another reason"] = { "poke", 403, 17 },
    } do
      it("but not in a refusal " .. name, function()
        local fake, client, channel, changes = following()
        fake.answer = function()
          return case[2], ('{"code":%d,"message":"no","StatusCode":%d}'):format(case[3], case[2])
        end
        assert.equal(case[3], select(2, channel:send_event(case[1])).code)
        client:poll()
        assert.is_true(channel:can "send-custom-events")
        assert.same({}, changes)
      end)
    end

    it("and asks once, without watching, when custom events come on and nothing more is said", function()
      local fake, client, channel = following()
      updated(fake, { config = { custom_events = true } })
      client:poll()
      local before = #fake.requests
      updated(fake, { config = { custom_events = false } })
      updated(fake, { config = { custom_events = true } })
      updated(fake, { config = { custom_events = true } })
      client:poll()
      client:poll()
      assert.equal(before + 1, #fake.requests)
      local request = fake.requests[#fake.requests]
      assert.equal("/channels/messaging/general/query", request.path)
      assert.is_false(body(request).watch)
      assert.is_true(channel:can "send-custom-events")
      assert.is_true(channel.watching)
    end)

    it("and asks nothing when all is said", function()
      local fake, client = following()
      local all = native.json.array { "read-events", "send-custom-events" }
      updated(fake, { config = { custom_events = false }, own_capabilities = native.json.array {} })
      client:poll()
      local before = #fake.requests
      updated(fake, { config = { custom_events = true }, own_capabilities = all })
      client:poll()
      client:poll()
      assert.equal(before, #fake.requests)
    end)

    it("and asks not again while it waits for the answer", function()
      local fake, client = following()
      fake.answer = function() end
      local before = #fake.requests
      for _ = 1, 3 do
        updated(fake, { config = { custom_events = false } })
        updated(fake, { config = { custom_events = true } })
      end
      client:poll()
      client:poll()
      assert.equal(before + 1, #fake.requests)
    end)

    it("and asks after a refusal, when the service says that they are on again", function()
      local fake, client, channel, changes = following()
      fake.answer = function() return 400, '{"code":18,"message":"off","StatusCode":400}' end
      channel:send_event("poke")
      fake.answer = fake.usual_answer
      updated(fake, { config = { custom_events = true } })
      client:poll()
      client:poll()
      client:poll()
      assert.is_true(channel:can "send-custom-events")
      assert.equal(2, #changes)
    end)

    it("and survives when the question has no answer", function()
      local fake, client, channel = following()
      updated(fake, { config = { custom_events = false } })
      fake.answer = function() return 403, '{"code":17,"message":"no","StatusCode":403}' end
      updated(fake, { config = { custom_events = true } })
      client:poll()
      client:poll()
      assert.is_true(channel:can "send-custom-events")
      assert.equal("what may be done in a channel is not known for certain",
        fake.logs[#fake.logs][2] or fake.logs[#fake.logs].message)
    end)
  end)

  it("knows what its user can do, by either name", function()
    local _, _, channel = watched()
    for _, name in ipairs { "send-custom-events", "send-custom-event", "read-events" } do
      assert.is_true(channel:can(name), name)
    end
    for _, name in ipairs { "send-message", "", "__index", "s" } do
      assert.is_false(channel:can(name), name)
    end
    assert.has_error(function() channel:can(nil) end)
  end)
end)

describe("channel members", function()
  it("are added and removed", function()
    local fake = fakes.new()
    local channel = fake.connected():channel("messaging", "general")
    assert(channel:query())
    fake.answer = function()
      return 201, native.json.encode {
        channel = { id = "general", type = "messaging" },
        members = { { user_id = "jane", user = { id = "jane" } } },
      }
    end
    assert.equal(channel, assert(channel:add_members { "jane", { user_id = "bob", channel_role = "x" } }))
    assert.same({ add_members = { "jane", { user_id = "bob", channel_role = "x" } } }, body(fake.requests[2]))
    assert.equal("/channels/messaging/general", fake.requests[2].path)
    assert.is_truthy(channel.members.jane)
    fake.answer = function() return 201, '{"channel":{},"members":[]}' end
    assert(channel:remove_members "jane")
    assert.same({ remove_members = { "jane" } }, body(fake.requests[3]))
    assert.is_nil(channel.members.jane)
    for _, bad in ipairs { {}, 7, false, { 7 }, { print }, { {} }, { "john doe" } } do
      local ok, message = pcall(function() local _ = channel:add_members(bad) end)
      assert.is_false(ok)
      assert.truthy(message:find("client_channel_spec", 1, true), "blames the caller: " .. message)
    end
  end)

  it("give the refusal", function()
    local fake = fakes.new()
    fake.answer = function() return 403, '{"code":17,"message":"no","StatusCode":403}' end
    local ok, err = fake.connected():channel("messaging", "general"):add_members { "jane" }
    assert.is_nil(ok)
    assert.equal(17, err.code)
  end)
end)

describe("send_event", function()
  it("sends type and data flat, and gives the event as it was distributed", function()
    local fake = fakes.new()
    local channel = fake.connected():channel("messaging", "general")
    local data = {
      text = "Hey there", n = 9007199254740993, list = stream_events.array {}, none = stream_events.null,
    }
    local event = assert(channel:send_event("friendship_request", data))
    local request = fake.requests[1]
    assert.same({ "POST", "/channels/messaging/general/event" }, { request.method, request.path })
    assert.equal("api_key=devkey&user_id=john", request.query)
    local sent = body(request).event
    assert.same({ "friendship_request", "Hey there", 9007199254740993 }, { sent.type, sent.text, sent.n })
    assert.truthy(request.body:find('"list":[]', 1, true))
    assert.truthy(request.body:find('"none":null', 1, true))
    assert.same({ "friendship_request", "messaging:general", "john", "self" },
      { event.type, event.cid, event.user.id, event.trust })
    assert.equal("2026-01-01T00:00:02Z", event.created_at)
  end)

  it("needs no data, and no watch", function()
    local fake = fakes.new()
    local channel = fake.connected():channel("messaging", "general")
    assert(channel:send_event("ready"))
    assert.equal('{"event":{"type":"ready"}}', fake.requests[1].body)
    assert(channel:send_event("ready", {}))
    assert.equal(fake.requests[1].body, fake.requests[2].body)
  end)

  it("uses one table of headers and one URL for all of them", function()
    local fake = fakes.new()
    local channel = fake.connected():channel("messaging", "general")
    for _ = 1, 3 do assert(channel:send_event("poke", { a = 1 })) end
    assert.equal(fake.requests[1].header_table, fake.requests[3].header_table)
    assert.equal(fake.requests[1].url, fake.requests[3].url)
  end)

  for _, event_type in ipairs { "__index", "a.b", 'quo"te', "größe", "back\\slash", ("x"):rep(255) } do
    it("takes the type " .. event_type:sub(1, 12) .. " as it is", function()
      local fake = fakes.new()
      local channel = fake.connected():channel("messaging", "general")
      assert(channel:send_event(event_type, { ["__proto__"] = 1 }))
      assert.equal(event_type, body(fake.requests[1]).event.type)
    end)
  end

  for name, case in pairs {
    ["an empty type"] = { "", kind = "protocol", says = "must not be empty" },
    ["a type with a line break"] = { "a\nb", kind = "protocol", says = "without control characters" },
    ["a type that is too long"] = { ("x"):rep(256), kind = "protocol", says = "256 characters" },
    ["a type that is no UTF-8"] = { "\255", kind = "protocol", says = "UTF-8" },
    ["the name user"] = { "x", { user = "me" }, kind = "protocol", says = "'user' is a name" },
    ["the name type"] = { "x", { type = "y" }, kind = "protocol", says = "'type' is a name" },
    ["the name created_at"] = { "x", { created_at = 1 }, kind = "protocol", says = "'created_at' is a name" },
    ["the name received_at"] = { "x", { received_at = 1 }, kind = "protocol", says = "'received_at'" },
    ["the name watcher_count"] = { "x", { watcher_count = 1 }, kind = "protocol", says = "'watcher_count'" },
    ["the name message_id"] = { "x", { message_id = 1 }, kind = "protocol", says = "'message_id'" },
    ["too much"] = {
      "x", { text = ("x"):rep(5120) }, kind = "full", says = "5142 bytes long, 5120 are allowed",
    },
  } do
    it("refuses " .. name .. " before the network sees it", function()
      local fake = fakes.new()
      local channel = fake.connected():channel("messaging", "general")
      local event, err = channel:send_event(case[1], case[2])
      assert.is_nil(event)
      assert.equal(case.kind, err.kind)
      assert.truthy(err.message:find(case.says, 1, true), err.message)
      assert.is_false(err.retryable)
      assert.same({}, fake.requests)
    end)
  end

  it("sends up to the limit, and to another one where the options say so", function()
    local head = #'{"type":"x","text":""}'
    local usual = fakes.new().connected()
    assert(usual:channel("messaging", "a"):send_event("x", { text = ("x"):rep(5120 - head) }))
    local client = fakes.new().connected { limits = { event_size = 100 } }
    assert(client:channel("messaging", "a"):send_event("x", { text = ("x"):rep(100 - head) }))
    local _, err = client:channel("messaging", "a"):send_event("x", { text = ("x"):rep(101 - head) })
    assert.equal("full", err.kind)
  end)

  it("lets built-in events that clients may send keep their own fields", function()
    local fake = fakes.new()
    local channel = fake.connected():channel("messaging", "general")
    assert(channel:send_event("typing.start", { parent_id = "m1" }))
    assert(channel:send_event("ai_indicator.update", { ai_state = "x", message_id = "m", ai_message = "y" }))
    local _, err = channel:send_event("typing.start", { user = {} })
    assert.equal("protocol", err.kind)
  end)

  for name, case in pairs {
    ["no type"] = { nil, says = "an event type must be a string, not a nil" },
    ["data that is a text"] = { "x", "y", says = "the data of an event must be a table, not a string" },
    ["a list as data"] = { "x", { 1, 2 }, says = "a list has none" },
    ["a function in the data"] = { "x", { f = print }, says = "at f" },
    ["NaN in the data"] = { "x", { n = { 0 / 0 } }, says = "NaN" },
    ["an unknown option"] = { "x", {}, { userid = "a" }, says = "unknown option 'userid'" },
    ["an option without its value"] = { "x", {}, {}, says = "a user id must be a string" },
    ["an id that is a number"] = { "x", {}, { id = 5 }, says = "1 to 64 bytes" },
    ["an id that is empty"] = { "x", {}, { id = "" }, says = "1 to 64 bytes" },
    ["an id that is too long"] = { "x", {}, { id = ("x"):rep(65) }, says = "1 to 64 bytes" },
    ["an id with a control character"] = { "x", {}, { id = "a\n" }, says = "control characters" },
    ["two ids"] = { "x", { id = "a" }, { id = "b" }, says = "an id twice" },
    ["a switch that is none"] = { "x", {}, { idempotent = 1 }, says = "'idempotent' must be" },
    ["options that are a text"] = { "x", {}, "jane", says = "options must be a table" },
    ["a callback that is none"] = { "x", {}, nil, 7, says = "the callback must be a function" },
  } do
    it("raises on " .. name, function()
      local fake = fakes.new()
      local channel = fake.connected { secret = SECRET }:channel("messaging", "general")
      local ok, message = pcall(function()
        local _ = channel:send_event(case[1], case[2], case[3], case[4])
      end)
      assert.is_false(ok)
      assert.truthy(message:find(case.says, 1, true), message)
      assert.truthy(message:find("client_channel_spec", 1, true), "blames the caller: " .. message)
      assert.same({}, fake.requests)
    end)
  end

  for name, case in pairs {
    ["custom events that are off"] = { 400, '{"code":18,"message":"off","StatusCode":400}', "api", 18 },
    ["a missing grant"] = { 403, '{"code":17,"message":"no","StatusCode":403}', "api", 17 },
    ["a missing channel"] = { 404, '{"code":16,"message":"what","StatusCode":404}', "api", 16 },
    ["too many calls"] = { 429, '{"code":9,"message":"slow","StatusCode":429}', "api", 9 },
    ["a proxy's page"] = { 502, "<html>", "api" },
    ["an answer that is no event"] = { 201, '{"duration":"1ms"}', "protocol" },
    ["an answer that is no JSON"] = { 200, "OK", "protocol" },
  } do
    it("gives the error of " .. name, function()
      local fake = fakes.new()
      fake.answer = function() return case[1], case[2], { ["retry-after"] = "7" } end
      local event, err = fake.connected():channel("messaging", "general"):send_event("x")
      assert.is_nil(event)
      assert.same({ case[3], case[4] }, { err.kind, err.code })
      if case[1] == 429 then assert.same({ 7, true }, { err.retry_after, err.retryable }) end
      if case[4] == 18 then assert.truthy(err.hint:find("custom_events = true", 1, true)) end
    end)
  end

  it("gives the error of the network", function()
    local fake = fakes.new()
    fake.answer = function(request) fake.reply(request, nil, "network", "could not connect", true) end
    local _, err = fake.connected():channel("messaging", "general"):send_event("x")
    assert.same({ "network", "could not connect", true }, { err.kind, err.message, err.retryable })
    assert.is_nil(err.maybe_sent)
  end)

  it("gives an error when too many wait already", function()
    local fake = fakes.new()
    local channel = fake.connected():channel("messaging", "general")
    fake.refuses = true
    local _, err = channel:send_event("x")
    assert.equal("full", err.kind)
  end)

  it("ends after its timeout when nothing answers, also while it waits for its turn", function()
    local fake = fakes.new()
    fake.answer = function() return nil end
    local client = fake.connected { timeouts = { request = 4 } }
    local began = fake.clock.now()
    local _, err = client:channel("messaging", "general"):send_event("x")
    assert.same({ "timeout", true }, { err.kind, err.retryable })
    assert.near(4, fake.clock.now() - began, 1e-6)
    assert.is_true(fake.cancelled[1])
    assert.same({ 1, 1, 0 }, { client:stats().sends, client:stats().failed, client:stats().in_flight })
  end)

  it("needs somebody to send for", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options())
    local _, err = client:channel("messaging", "general"):send_event("x")
    assert.same({ "closed", "no user is connected: call connect_user first" }, { err.kind, err.message })
    _, err = fake.connected():channel("messaging", "general"):send_event("x", {}, { user_id = "jane" })
    assert.equal("auth", err.kind)
    assert.same({}, fake.requests)
  end)

  it("of a backend names the sender", function()
    local fake = fakes.new()
    local client = stream_events.new(fake.options { secret = SECRET })
    local channel = client:channel("messaging", "general")
    local event = assert(channel:send_event("round", { n = 3 }, { user_id = "jane" }))
    assert.same({ type = "round", n = 3, user_id = "jane" }, body(fake.requests[1]).event)
    assert.equal("api_key=devkey", fake.requests[1].query)
    assert.truthy(fake.requests[1].headers:find("Authorization: " .. tokens.server(SECRET), 1, true))
    assert.equal("jane", event.user.id)
    assert.equal("user", event.trust)
  end)

  it("of a connected user with the secret is the user's, unless it names another", function()
    local fake = fakes.new()
    local channel = fake.connected { secret = SECRET }:channel("messaging", "general")
    assert(channel:send_event("a"))
    assert.truthy(fake.requests[1].query:find("user_id=john", 1, true))
    local got
    channel:send_event("b", nil, { user_id = "jane" }, function(event) got = event end)
    for _ = 1, 2 do channel.client:poll() end
    assert.equal("jane", got.user.id)
    assert.is_nil(fake.requests[2].query:find("user_id", 1, true))
  end)
end)
