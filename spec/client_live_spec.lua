--- The client against the real server, over real sockets: what users do, from end to end.
local free_port = require "support.free_port"
local lua = require "support.lua"
local luv = require "luv"
local native = require "stream_events.native"
local process = require "support.process"
local stream_events = require "stream_events"
local timestamp = require "stream_events.timestamp"
local tokens = require "stream_events.token"

local SECRET = "lan-dev-secret"
local ROOT = debug.getinfo(1, "S").source:match("^@(.*)spec/[^/]*$")
local PATIENCE = 20 -- seconds: a guard, specs wait on conditions

local server, url, backend
local open = {}

local function serve(port, data)
  local child = process.start("lua5.4", {
    (ROOT == "" and "./" or ROOT) .. "lua/bin/stream-events", "serve", "--port", tostring(port),
    "--data", data, "--api-key", "devkey", "--api-secret", SECRET,
  })
  return child, child:wait_for("stdout", "listening on (%S+)")
end

local function new(more)
  local options = { api_key = "devkey", base_url = url }
  for name, value in pairs(more or {}) do options[name] = value end
  local client = stream_events.new(options)
  open[#open + 1] = client
  return client
end

local function user(id)
  -- The first retry comes after about a second: time enough for a server to start.
  local client = new { random = function() return 0.3 end }
  assert(client:connect_user({ id = id }, tokens.user(SECRET, id)))
  return client
end

-- Runs clients until the condition holds.
local function wait(condition, ...)
  local ends = native.now() + PATIENCE
  local clients = { ... }
  while not condition() do
    if native.now() > ends then error("waited in vain", 2) end
    for _, client in ipairs(clients) do client:poll(0.002) end
  end
end

-- Two users in one channel, both watching.
local function pair(id, data)
  local john, jane = user "john", user "jane"
  data = data or {}
  data.members = { "john", "jane" }
  local here = assert(john:channel("messaging", id, data):watch())
  local there = assert(jane:channel("messaging", id):watch())
  return john, jane, here, there
end

describe("a client and the server", function()
  setup(function()
    server, url = serve(0, ":memory:")
    backend = stream_events.new { api_key = "devkey", base_url = url, secret = SECRET }
    local users = {}
    for i, id in ipairs { "john", "jane", "stranger" } do users[i] = { id = id } end
    assert(backend:upsert_users(users))
  end)

  after_each(function()
    for _, client in ipairs(open) do client:close() end
    open = {}
  end)

  teardown(function()
    backend:close()
    server:kill "sigterm"
    server:finish()
    process.end_all()
  end)

  it("exchange a custom event, the sender's own copy included", function()
    local john, jane, here, there = pair "exchange"
    local got = {}
    there:subscribe_for("friendship_request", function(event) got.jane = event end)
    here:subscribe_for("friendship_request", function(event) got.john = event end)
    local before = native.time()
    local sent = assert(here:send_event("friendship_request", { text = "Hey there, long time no see!" }))
    wait(function() return got.jane and got.john end, john, jane)
    local event = got.jane
    assert.same({ "friendship_request", "messaging:exchange", "messaging", "exchange", "john", "user" },
      { event.type, event.cid, event.channel_type, event.channel_id, event.user.id, event.trust })
    assert.equal("Hey there, long time no see!", event.text)
    assert.equal("Hey there, long time no see!", event.raw_data.text)
    assert.is_true(event.received_at >= before)
    assert.same({ "self", "self" }, { got.john.trust, sent.trust })
    assert.equal(sent.created_at, event.created_at)
  end)

  it("lose nothing of what the data holds", function()
    local john, jane, here, there = pair "values"
    local data = {
      big = 9007199254740993, least = lua.MIN_INTEGER, float = 0.1, whole = 1.0, text = "\0\u{10FFFF}\"\\/",
      list = stream_events.array {}, object = {}, none = stream_events.null, yes = true,
      nested = { { { "deep" } } }, ["__index"] = "dull", ["größe"] = 1,
    }
    local event
    there:subscribe(function(given) event = given end)
    assert(here:send_event("constructor", data))
    wait(function() return event end, john, jane)
    assert.equal("constructor", event.type)
    for name, value in pairs(data) do
      assert.same(value, event.raw_data[name], name)
      assert.equal(lua.number_type(value), lua.number_type(event.raw_data[name]), name)
    end
    assert.equal("[]", native.json.encode(event.list))
    assert.equal("{}", native.json.encode(event.object))
    assert.is_nil(event.constructor)
  end)

  it("deliver to handlers what was subscribed, and count the rest", function()
    local john, jane, here, there = pair "wanted"
    local seen = {}
    there:subscribe_for({ "trade_*", "ready" }, function(event) seen[#seen + 1] = event.type end)
    for _, event_type in ipairs { "password_reset", "trade_offer", "trade", "ready", "trade_done" } do
      assert(here:send_event(event_type))
    end
    wait(function() return #seen == 3 end, john, jane)
    assert.same({ "trade_offer", "ready", "trade_done" }, seen)
    assert.equal(1, jane:stats().dropped.password_reset.unwanted)
  end)

  it("bring a user event to every connection of that user, with the server's trust", function()
    local first, second, other = user "jane", user "jane", user "john"
    local got = {}
    for name, client in pairs { first = first, second = second, other = other } do
      client:subscribe_for("gift", function(event)
        got[name] = { event.trust, event.cid or "no cid", event.coins }
      end)
    end
    assert.is_true(backend:send_user_custom_event("jane", { type = "gift", coins = 5 }))
    wait(function() return got.first and got.second end, first, second, other)
    assert.same({ first = { "server", "no cid", 5 }, second = { "server", "no cid", 5 } }, got)
  end)

  it("let a handler answer in the blocking form, while other events come in", function()
    local john, jane, here, there = pair "answers"
    local pongs, order = 0, {}
    there:subscribe_for("ping", function(event)
      assert(there:send_event("pong", { n = event.n }))
      order[#order + 1] = event.n
    end)
    here:subscribe_for("pong", function() pongs = pongs + 1 end)
    for n = 1, 20 do
      here:send_event("ping", { n = n }, function(_, err) assert(not err, tostring(err)) end)
    end
    wait(function() return pongs == 20 and #order == 20 end, john, jane)
    assert.equal(0, jane:stats().handler_errors)
  end)

  it("run a bot until it is told to stop", function()
    local john, _, here, there = pair "bot"
    there:subscribe_for("quit", function() there.client:stop() end)
    here:send_event("quit", nil, function() end)
    wait(function() return john:stats().in_flight == 0 end, john)
    assert.is_true(there.client:run())
  end)

  it("know guests and anonymous users", function()
    local guest = new()
    local me = assert(guest:connect_guest { id = "bob", name = "Bob" })
    assert.truthy(me.id:find("bob", 1, true))
    assert.equal("guest", me.role)
    assert(backend:channel("livestream", "news", { created_by_id = "john" }):create())
    local channel = guest:channel("livestream", "news")
    assert(channel:watch())
    assert.is_false(channel:can "send-custom-events")
    local _, err = channel:send_event("hello")
    assert.same({ "api", 17, 403 }, { err.kind, err.code, err.status })
    local nobody = new()
    assert.equal("!anon", assert(nobody:connect_anonymous()).id)
    local got
    local news = nobody:channel("livestream", "news")
    news:subscribe_for("flash", function(event) got = event end)
    assert(news:watch())
    assert(backend:channel("livestream", "news"):send_event("flash", { n = 1 }, { user_id = "john" }))
    wait(function() return got end, nobody)
    assert.same({ "john", "user" }, { got.user.id, got.trust })
  end)

  it("refuse what is not allowed, with the protocol's codes", function()
    local john = user "john"
    assert(john:channel("messaging", "private", { members = { "john" } }):watch())
    local stranger = user("stranger"):channel("messaging", "private")
    for name, case in pairs {
      ["a stranger watches"] = { 17, function() return stranger:watch() end },
      ["a stranger sends"] = { 17, function() return stranger:send_event("poke") end },
      ["a forged event"] = {
        18, function() return john:channel("messaging", "private"):send_event("message.new") end,
      },
      ["a channel that is missing"] = {
        16, function() return john:channel("messaging", "nowhere"):send_event("poke") end,
      },
      ["a channel type that is missing"] = { 16, function() return john:channel("nothing", "x"):watch() end },
      ["a user that is missing"] = {
        16, function() return backend:send_user_custom_event("nobody", { type = "gift" }) end,
      },
      ["a user event with a dot"] = {
        4, function() return backend:send_user_custom_event("jane", { type = "gift.big" }) end,
      },
      ["a backend that names no sender"] = {
        4, function() return backend:channel("messaging", "private"):send_event("poke") end,
      },
    } do
      local result, err = case[2]()
      assert.is_nil(result, name)
      assert.same({ "api", case[1] }, { err.kind, err.code }, name)
    end
  end)

  for name, case in pairs {
    ["signed with another secret"] = { 43, tokens.user("another secret", "john") },
    ["that has expired"] = { 40, tokens.user(SECRET, "john", { exp = 1000000000 }) },
    ["from the future"] = { 42, tokens.user(SECRET, "john", { iat = 4000000000 }) },
    ["without a signature"] = { 5, stream_events.developer_token("john") },
    ["that is none"] = { 5, "token" },
  } do
    it("refuse a token " .. name, function()
      local me, err = new():connect_user({ id = "john" }, case[2])
      assert.is_nil(me)
      assert.same({ "auth", case[1] }, { err.kind, err.code })
      assert.is_nil(tostring(err):find(case[2]:match("[^.]+$"), 1, true) and #case[2] > 10 or nil)
    end)
  end

  it("refuse an API key that is unknown", function()
    local client = new { api_key = "otherkey" }
    local _, err = client:connect_user({ id = "john" }, tokens.user(SECRET, "john"))
    assert.same({ "auth", 2 }, { err.kind, err.code })
  end)

  it("take developer tokens once the app allows them", function()
    assert.is_true(backend:update_app { disable_auth_checks = true })
    assert.is_truthy(new { developer_tokens = true }:connect_user { id = "john" })
    assert.is_true(backend:update_app { disable_auth_checks = false })
    assert.equal(false, assert(backend:get_app()).disable_auth_checks)
  end)

  it("ask the provider for a new token when the old one has expired", function()
    local asked = 0
    local client = new()
    assert(client:connect_user({ id = "john" }, function(id)
      asked = asked + 1
      return tokens.user(SECRET, id, asked == 1 and { exp = 1000000000 } or nil)
    end))
    assert.equal(2, asked)
  end)

  it("switch custom events off and on again", function()
    local john = user "john"
    local channel = john:channel("gaming", "arena", { members = { "john" } })
    assert(backend:channel("gaming", "arena", { created_by_id = "john", members = { "john" } }):create())
    assert(channel:query())
    assert.is_true(channel:can "send-custom-event")
    local changed
    john:subscribe_for("capabilities.changed", function(event) changed = event end)
    assert.is_false(assert(backend:update_channel_type("gaming", { custom_events = false })).custom_events)
    local _, err = channel:send_event("poke")
    assert.equal(18, err.code)
    assert.truthy(err.hint:find("custom_events = true", 1, true))
    assert(channel:query())
    john:poll()
    assert.is_false(channel:can "send-custom-events")
    assert.equal("gaming:arena", changed.cid)
    assert(backend:update_channel_type("gaming", { custom_events = true }))
    assert(channel:send_event("poke"))
  end)

  it("follow capabilities that change while they watch", function()
    local members = { "john", "jane" }
    assert(backend:channel("team", "plaza", { created_by_id = "john", members = members }):create())
    local john, jane = user "john", user "jane"
    local here = assert(john:channel("team", "plaza"):watch())
    local there = assert(jane:channel("team", "plaza"):watch())
    local changes = {}
    jane:subscribe_for("capabilities.changed", function(event) changes[#changes + 1] = event end)
    assert(backend:update_channel_type("team", { custom_events = false }))
    wait(function() return not here:can "send-custom-events" and not there:can "send-custom-events" end,
      john, jane)
    assert.equal(18, select(2, there:send_event("poke")).code)
    assert(backend:update_channel_type("team", { custom_events = true }))
    wait(function() return here:can "send-custom-events" and there:can "send-custom-events" end, john, jane)
    jane:poll()
    assert.equal(2, #changes)
    assert.equal("team:plaza", changes[1].cid)
    assert(there:send_event("poke"))
    assert(backend:channel("team", "plaza"):remove_members { "jane" })
    wait(function() return not there.watching end, jane)
    assert.is_true(here.watching)
  end)

  it("add and remove members", function()
    local john = user "john"
    local channel = assert(john:channel("messaging", "team", { members = { "john" } }):watch())
    local seen = {}
    channel:subscribe_for("member.*", function(event) seen[#seen + 1] = event.type end)
    assert(channel:add_members { "jane" })
    assert.is_truthy(channel.members.jane)
    assert(user("jane"):channel("messaging", "team"):send_event("hello"))
    assert(channel:remove_members { "jane" })
    assert.is_nil(channel.members.jane)
    wait(function() return #seen == 2 end, john)
  end)

  it("find the one channel of two members", function()
    local john, jane = user "john", user "jane"
    local here = john:channel("messaging", { members = { "john", "jane" } })
    local there = jane:channel("messaging", { members = { "jane", "john" } })
    local got
    there:subscribe_for("wave", function(event) got = event end)
    assert(here:watch() and there:watch())
    assert.equal(here.cid, there.cid)
    assert(here:send_event("wave"))
    wait(function() return got end, john, jane)
    assert.equal(here.cid, got.cid)
  end)

  it("stop delivering when watching stops", function()
    local john, jane, here, there = pair "stopping"
    local seen = {}
    there:subscribe(function(event) seen[#seen + 1] = event.n end)
    assert(here:send_event("count", { n = 1 }))
    wait(function() return #seen == 1 end, jane)
    assert(there:stop_watching())
    assert(here:send_event("count", { n = 2 }))
    assert(there:watch())
    assert(here:send_event("count", { n = 3 }))
    wait(function() return #seen == 2 end, john, jane)
    assert.same({ 1, 3 }, seen)
  end)

  it("serve a backend", function()
    local users = assert(backend:upsert_users { { id = "amy", name = "Amy", shoe = 38 }, { id = "ann" } })
    assert.same({ "Amy", 38 }, { users.amy.name, users.amy.shoe })
    users = assert(backend:update_users { { id = "amy", set = { shoe = 39 }, unset = { "name" } } })
    assert.same({ 39 }, { users.amy.shoe, users.amy.name })
    local filter = { id = { ["$in"] = { "amy", "ann", "nobody" } } }
    local found = assert(backend:query_users(filter, { limit = 10 }))
    assert.equal(2, #found)
    assert.is_truthy(assert(backend:list_channel_types()).messaging)
    assert.equal("lan", assert(backend:create_channel_type("lan")).name)
    assert.is_true(assert(backend:get_channel_type("lan")).custom_events)
    assert.is_true(backend:delete_channel_type("lan"))
    local _, err = backend:get_channel_type("lan")
    assert.equal(16, err.code)
    assert.same({}, backend:sync({ "messaging:exchange" }, timestamp.format(native.time())))
  end)

  it("watch many channels with one query", function()
    local john = user "john"
    for i = 1, 5 do assert(john:channel("messaging", "many" .. i, { members = { "john" } }):create()) end
    local cids = {}
    for i = 1, 5 do cids[i] = "messaging:many" .. i end
    local channels = assert(john:query_channels({ cid = { ["$in"] = cids } }, { watch = true }))
    assert.equal(5, #channels)
    local seen = 0
    for _, channel in ipairs(channels) do
      channel:subscribe_for("poke", function() seen = seen + 1 end)
      assert(channel:send_event("poke"))
    end
    wait(function() return seen == 5 end, john)
  end)

  it("keep the order of events that are sent one after another", function()
    local john, jane, here, there = pair "order"
    local seen = {}
    there:subscribe_for("n", function(event) seen[#seen + 1] = event.n end)
    for n = 1, 100 do assert(here:send_event("n", { n = n })) end
    wait(function() return #seen == 100 end, john, jane)
    for n = 1, 100 do assert.equal(n, seen[n]) end
  end)

  it("lose nothing and deliver nothing twice with many events in flight", function()
    local john, jane, here, there = pair "burst"
    local count, seen = 0, {}
    there:subscribe_for("n", function(event)
      assert(not seen[event.n])
      seen[event.n] = true
      count = count + 1
    end)
    local answered = 0
    for n = 1, 500 do
      here:send_event("n", { n = n, pad = ("x"):rep(n) }, function(event, err)
        assert(event, tostring(err))
        answered = answered + 1
      end)
      if n % 25 == 0 then wait(function() return answered == n end, john, jane) end
    end
    wait(function() return count == 500 end, john, jane)
    assert.same({ 0, 0 }, { john:stats().handler_errors, jane:stats().handler_errors })
  end)

  it("work in a foreign loop, by descriptor, events and timeout", function()
    local john, _, here = pair "loop"
    local got
    here:subscribe_for("poke", function(event) got = event end)
    here:send_event("poke", nil, function() end)
    local poll, timer = luv.new_poll(john:pollfd()), luv.new_timer()
    local function turn()
      john:poll(0)
      local seconds = john:timeout()
      timer:stop()
      if seconds then timer:start(math.ceil(seconds * 1000), 0, turn) end
    end
    poll:start(john:events(), turn)
    turn()
    process.wait(function() return got end, "the event came")
    poll:stop()
    for _, handle in ipairs { poll, timer } do handle:close() end
    local closed = false
    luv.new_timer():close(function() closed = true end)
    process.wait(function() return closed end, "handles were closed")
  end)

  -- John with a token function, `sign` making its tokens by number; and what came of it.
  local function supplied(sign)
    local world = { asked = 0, changes = {}, heard = {} }
    local client = new { random = function() return 0 end }
    client:subscribe_for({ "connection.changed", "connection.recovered" }, function(event)
      world.changes[#world.changes + 1] = event
    end)
    world.me = assert(client:connect_user({ id = "john" }, function()
      world.asked = world.asked + 1
      return tokens.user(SECRET, "john", sign(world.asked))
    end))
    return client, world
  end

  it("stay connected over the end of a token, and make their calls with the next one", function()
    local first = math.floor(native.time()) + 4 -- until then it has to be connected
    local john, world = supplied(function(number) return { exp = first + (number == 1 and 0 or 3600) } end)
    local jane = user "jane"
    local here = assert(john:channel("messaging", "tokens", { members = { "john", "jane" } }):watch())
    here:subscribe_for("poke", function(event) world.heard[#world.heard + 1] = event.i end)
    wait(function() return native.time() > first + 0.1 end, john, jane)
    assert(jane:channel("messaging", "tokens"):send_event("poke", { i = 1 }))
    wait(function() return #world.heard == 1 end, john, jane)
    assert(here:send_event("poke", { i = 2 }))
    assert.equal(2, world.asked)
    assert.same({ first + 3600 }, { john:token_expires() })
    assert.same({ 0, 1 }, { john:stats().reconnects, #world.changes })
  end)

  it("come back at once, with a new token and all they had, when ended with code 40", function()
    local now = math.floor(native.time())
    local john, world = supplied(function(number) return { iat = now - (number == 1 and 100 or 0) } end)
    local jane = user "jane"
    local here = assert(john:channel("messaging", "revoked", { members = { "john", "jane" } }):watch())
    here:subscribe_for("poke", function(event) world.heard[#world.heard + 1] = event.i end)
    assert(backend:revoke_user_tokens({ "john" }, timestamp.format(now - 50)))
    wait(function() return world.changes[#world.changes].type == "connection.recovered" end, john, jane)
    assert.equal(2, world.asked)
    local lost, back, recovered = world.changes[2], world.changes[3], world.changes[4]
    assert.same({ false, 40, true, 0 }, { lost.online, lost.code, lost.will_retry, lost.retry_in })
    assert.is_true(back.online)
    assert.same({ { "messaging:revoked" }, 4 }, { recovered.restored, #world.changes })
    assert(jane:channel("messaging", "revoked"):send_event("poke", { i = 1 }))
    wait(function() return #world.heard == 1 end, john, jane)
    assert(backend:revoke_user_tokens({ "john" }, stream_events.null))
  end)
end)

describe("a client whose server goes away and comes back", function()
  it("watches again, and goes on receiving", function()
    local data = os.tmpname()
    local child
    local port = free_port.tcp()
    child, url = serve(port, data)
    local boss = new { secret = SECRET }
    assert(boss:upsert_users { { id = "john" }, { id = "jane" } })
    local john, jane, here, there = pair "restart"
    local seen, changes, recovered = {}, {}, nil
    there:subscribe_for("n", function(event) seen[#seen + 1] = event.n end)
    jane:subscribe_for("connection.changed", function(change) changes[#changes + 1] = change end)
    jane:subscribe_for("connection.recovered", function(event) recovered = event end)
    assert(here:send_event("n", { n = 1 }))
    wait(function() return #seen == 1 end, john, jane)
    child:kill "sigterm"
    wait(function() return #changes > 0 and not john:online() end, john, jane)
    child:finish()
    assert.same({ false, 1012, true }, { changes[1].online, changes[1].code, changes[1].will_retry })
    local _, err = here:send_event("n", { n = 2 })
    assert.equal("network", err.kind)
    child = serve(port, data)
    wait(function() return recovered and john:online() end, john, jane)
    assert.is_true(changes[#changes].online)
    assert.is_true(recovered.gap)
    assert.same({ "messaging:restart" }, recovered.restored)
    assert(here:send_event("n", { n = 3 }))
    wait(function() return #seen == 2 end, john, jane)
    assert.same({ 1, 3 }, seen)
    for _, client in ipairs(open) do client:close() end
    open = {}
    child:kill "sigterm"
    child:finish()
    process.end_all()
    for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(data .. suffix) end
  end)

  it("delivers once and in order what was sent meanwhile, with a send on its way when it went", function()
    local data = os.tmpname()
    local child
    local port = free_port.tcp()
    child, url = serve(port, data)
    local admin = new { secret = SECRET }
    assert(admin:upsert_users { { id = "john" }, { id = "jane" } })
    assert(admin:update_channel_type("messaging", {
      custom_event_ids = true, custom_event_retention = { seconds = 60, count = 100 },
    }))
    local john, jane, here, there = pair "waiting"
    local seen, answers = {}, {}
    there:subscribe_for("n", function(event) seen[#seen + 1] = event.n end)
    local function send(n)
      here:send_event("n", { n = n }, { queue = true }, function(event, err)
        answers[n] = event or tostring(err)
      end)
    end
    send(1)
    -- The sender is answered before the watchers' sockets are written to: killed between the two,
    -- it would be lost.
    wait(function() return answers[1] and #seen == 1 end, john, jane)
    child:kill "sigstop" -- from here on there are no answers
    send(2)
    for _ = 1, 3 do john:poll() end
    child:kill "sigkill"
    wait(function() return not john:online() and not jane:online() end, john, jane)
    for n = 3, 20 do send(n) end
    child:finish()
    child = serve(port, data)
    wait(function() return answers[20] and #seen >= 20 end, john, jane)
    for n = 1, 20 do
      assert.equal(n, answers[n].n, tostring(answers[n]))
      assert.equal(n, seen[n])
    end
    assert.equal(20, #seen)
    for _, client in ipairs(open) do client:close() end
    open = {}
    child:kill "sigterm"
    child:finish()
    process.end_all()
    for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(data .. suffix) end
  end)
end)
