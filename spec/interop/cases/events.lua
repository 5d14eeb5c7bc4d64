--- Watching, custom events, events to users, members: the frames that arrive, field by field.
local native = require "stream_events.native"
local shape = require "support.shape"

local json = native.json

local list = {}
local function case(section, title, run, server)
  list[#list + 1] = { section = section, title = title, run = run, server = server }
end

local LOBBY = "messaging:lobby"
local EVENT = "/channels/messaging/lobby/event"
local QUERY = "/channels/messaging/lobby/query"

-- Alice, and bob, in one channel that both watch.
local function two(world)
  world.fixture:users({ id = "alice", name = "Alice" }, "bob")
  local alice, bob = world:connect("alice", { name = "Alice" }), world:connect "bob"
  world:watch(alice, LOBBY, { members = { "alice", "bob" }, name = "Lobby" })
  bob:await "notification.added_to_channel"
  world:watch(bob, LOBBY)
  alice:await "user.watching.start"
  return alice, bob
end

local function member(id, more)
  return shape.with({
    user_id = id, user = shape.user(id), status = "member", created_at = shape.date, updated_at = shape.date,
    banned = false, shadow_banned = false, role = "member", channel_role = "channel_member",
    notifications_muted = false,
  }, more or {})
end

local function contains(...)
  local wanted = { ... }
  return function(given)
    local there = {}
    for _, name in ipairs(shape.is_list(given) and given or {}) do there[name] = true end
    for _, name in ipairs(wanted) do
      if not there[name] then return false end
    end
    return true
  end
end

local function config(given)
  for name, value in pairs {
    name = "messaging", custom_events = true, typing_events = true, read_events = true, connect_events = true,
    max_message_length = 5000, message_retention = "infinite", automod = "disabled",
    automod_behavior = "flag", blocklist_behavior = "flag",
  } do
    if given[name] ~= value then return false end
  end
  return shape.is_list(given.commands) and shape.date(given.created_at) and shape.date(given.updated_at)
end

case("§4.2, §14.5", "makes and shows a channel", function(world)
  world.fixture:users({ id = "alice", name = "Alice" }, "bob")
  local alice = world:connect("alice", { name = "Alice" })
  local body = world:watch(alice, LOBBY, { members = { "alice", "bob" }, name = "Lobby" })
  table.sort(body.members, function(a, b) return a.user_id < b.user_id end)
  shape.check(body, {
    channel = {
      id = "lobby", type = "messaging", cid = LOBBY, created_at = shape.date, updated_at = shape.date,
      created_by = shape.user "alice", frozen = false, disabled = false, member_count = 2, config = config,
      own_capabilities = contains("connect-events", "join-channel", "leave-channel", "read-events",
        "send-custom-events", "send-typing-events", "typing-events", "update-channel-members"),
      hidden = false, blocked = false, message_count = 0, name = "Lobby",
    },
    messages = shape.empty_list, pinned_messages = shape.empty_list, watcher_count = 1,
    read = shape.empty_list, threads = shape.empty_list, duration = shape.text,
    members = { member("alice", { role = "owner" }), member "bob" },
    membership = member("alice", { role = "owner" }),
  }, "the answer")
end)

case("§4.2", "leaves the watchers out where there are none, and lists them when asked", function(world)
  world.fixture:users "alice"
  world.fixture:channel(LOBBY, { "alice" })
  local answer = world:done("alice", "POST", QUERY, { state = true }).body
  shape.check(answer.watcher_count, nil, "watcher_count")
  shape.check(answer.watchers, nil, "watchers")
  local alice = world:connect "alice"
  world:watch(alice, LOBBY)
  answer = world:done("alice", "POST", QUERY, { watchers = { limit = 5, offset = 0 } }).body
  shape.check(answer.watchers, { shape.user "alice" }, "watchers")
  shape.check(answer.watcher_count, 1, "watcher_count")
end)

case("§4.3, §14.6", "tells watchers of one who comes, and those who stay of one who goes", function(world)
  world.fixture:users("alice", "bob")
  world.fixture:channel(LOBBY, { "alice", "bob" })
  local alice, bob = world:connect "alice", world:connect "bob"
  world:watch(alice, LOBBY)
  world:done("bob", "POST", QUERY, { watch = true }, { query = { connection_id = bob.id } })
  local start = shape.event("user.watching.start", LOBBY, "bob", { watcher_count = 2 })
  local stop = shape.event("user.watching.stop", LOBBY, "bob", { watcher_count = 1 })
  shape.check(bob:next(), start, "for bob himself")
  shape.check(alice:next(), start, "for alice")
  local answer = world:done("bob", "POST", "/channels/messaging/lobby/stop-watching", {},
    { query = { connection_id = bob.id } })
  shape.check({ answer.status, answer.body }, { 201, { duration = shape.text } }, "the answer")
  shape.check(alice:next(), stop, "for alice")
  world:done("bob", "POST", QUERY, { watch = true }, { query = { connection_id = bob.id } })
  shape.check(alice:next(), start, "for alice again")
  bob:close(1000)
  shape.check(alice:next(), stop, "at the end")
end)

case("§4.3", "counts users, not connections, and says nothing where connect_events are off", function(world)
  world.fixture:users("alice", "bob")
  world.fixture:channel(LOBBY, { "alice", "bob" })
  local alice, again = world:connect "alice", world:connect "alice"
  world:watch(alice, LOBBY)
  local answer = world:done("alice", "POST", QUERY, { watch = true },
    { query = { connection_id = again.id } })
  shape.check(answer.body.watcher_count, 1, "watcher_count")
  world:done("server", "PUT", "/channeltypes/messaging", { connect_events = false })
  local bob = world:connect "bob"
  world:done("bob", "POST", QUERY, { watch = true }, { query = { connection_id = bob.id } })
  world:done("bob", "POST", EVENT, { event = { type = "next" } })
  local seen = alice:next()
  if seen.type == "channel.updated" then seen = alice:next() end -- what the type can do has changed
  shape.check(seen.type, "next", "what comes next")
end)

-- Custom data as it may be, and how each member has to arrive.
local DATA = [=["x":12,"y":-40.5,"large":1152921504606846976,"none":null,"yes":true,"no":false,"empty":[],]=]
  .. [=["nothing":{},"tags":["red",[],{},null],"text":"ä\u20ac\ud83d\ude00\"\\\/\n","note":{"list":[[1]]}]=]

case("§5.1, §14.7, §14.8", "delivers a custom event to each who watches, as it answers", function(world)
  local alice, bob = two(world)
  local answer = world:done("alice", "POST", EVENT, '{"event":{"type":"flare",' .. DATA .. "}}",
    { query = { connection_id = alice.id } })
  local data = json.decode("{" .. DATA .. "}")
  local event = shape.event("flare", LOBBY, "alice", data)
  event.large = function(value) return math.abs(value - 2 ^ 60) < 1000 end -- more exactly, not in Node
  event.empty, event.nothing = shape.empty_list, shape.empty_object
  event.user = shape.user("alice", { name = "Alice" })
  shape.check(answer.status, 201, "the status")
  shape.check(answer.body, { event = event, duration = shape.text }, "the answer")
  for _, socket in ipairs { bob, alice } do
    local frame, text = socket:next()
    shape.check(frame, event, "the frame of " .. socket.who)
    assert(text:find('"large":1152921504606846976', 1, true), text)
    shape.check(frame.created_at, answer.body.event.created_at, "created_at")
    assert(json.encode(frame.tags) == '["red",[],{},null]')
  end
end)

case("§5.1", "keeps parent_id at the top, and an object named custom as a field", function(world)
  local _, bob = two(world)
  world:done("alice", "POST", EVENT, { event = { type = "flare", parent_id = "m1", custom = { a = 1 } } })
  shape.check(bob:next(), shape.event("flare", LOBBY, "alice", { parent_id = "m1", custom = { a = 1 } }),
    "the frame")
end)

case("§5.3", "delivers to those who watch at that moment, not to other members", function(world)
  local alice, bob = two(world)
  world:done("bob", "POST", "/channels/messaging/lobby/stop-watching", {},
    { query = { connection_id = bob.id } })
  alice:await "user.watching.stop"
  world:done("alice", "POST", EVENT, { event = { type = "flare" } })
  shape.check(alice:next().type, "flare", "for alice")
  world:done("server", "POST", "/users/bob/event", { event = { type = "after" } })
  local seen = bob:next()
  while seen.type:find "watching" do seen = bob:next() end
  shape.check(seen.type, "after", "for bob")
end)

case("§5.3", "keeps the order of one sender", function(world)
  local _, bob = two(world)
  for i = 1, 20 do world:done("alice", "POST", EVENT, { event = { type = "count", i = i } }) end
  for i = 1, 20 do shape.check(bob:next().i, i, "event " .. i) end
end)

case("§5.5", "overwrites what is the server's to say, and drops what never travels", function(world)
  local _, bob = two(world)
  world:done("alice", "POST", EVENT, { event = {
    type = "flare", user = { id = "bob" }, user_id = "bob", cid = "messaging:other", channel_id = "other",
    channel_type = "team", created_at = "0001-01-01T00:00:00Z", received_at = "x", me = { id = "bob" },
    connection_id = "x", x = 1,
  } })
  shape.check(bob:next(), shape.event("flare", LOBBY, "alice", { x = 1 }), "the frame")
end)

for name, sender in pairs {
  ["user_id"] = { user_id = "alice" },
  ["user, and the date of never, as Go sends it"] =
    { user = { id = "alice" }, created_at = "0001-01-01T00:00:00Z" },
} do
  case("§5.1, §14.9", "takes a send of a backend with " .. name, function(world)
    local alice, bob = two(world)
    local answer = world:done("server", "POST", EVENT,
      { event = shape.with({ type = "round_start", round = 3 }, sender) })
    local event = shape.event("round_start", LOBBY, "alice",
      { round = 3, user = shape.user("alice", { name = "Alice" }) })
    shape.check(answer.body, { event = event, duration = shape.text }, "the answer")
    shape.check(alice:next(), event, "for alice")
    shape.check(bob:next(), event, "for bob")
  end)
end

for event_type, fields in pairs {
  ["typing.start"] = { parent_id = "m1" }, ["typing.stop"] = {}, ["message.read"] = {},
  ["ai_indicator.update"] = { ai_state = "AI_STATE_THINKING", message_id = "m1", ai_message = "hm" },
  ["ai_indicator.clear"] = {}, ["ai_indicator.stop"] = {},
} do
  case("§5.6", "passes on " .. event_type .. ", which clients send themselves", function(world)
    local _, bob = two(world)
    world:done("alice", "POST", EVENT, { event = shape.with({ type = event_type }, fields) })
    shape.check(bob:next(), shape.event(event_type, LOBBY, "alice", fields), "the frame")
  end)
end

case("§5.6", "takes types with a dot that are nobody's", function(world)
  local _, bob = two(world)
  world:done("alice", "POST", EVENT, { event = { type = "call.initiated" } })
  shape.check(bob:next(), shape.event("call.initiated", LOBBY, "alice"), "the frame")
end)

case("§6, §14.9", "delivers an event to a user on all its connections", function(world)
  world.fixture:users "bob"
  local one, other = world:connect "bob", world:connect "bob"
  local answer = world:done("server", "POST", "/users/bob/event",
    { event = { type = "friend_request", from = "alice", created_at = "0001-01-01T00:00:00Z" } })
  shape.check({ answer.status, answer.body }, { 201, { duration = shape.text } }, "the answer")
  local event = { type = "friend_request", user = shape.user "bob", from = "alice",
    created_at = function(date) return shape.date(date) and date > "2000" end }
  shape.check(one:next(), event, "on one")
  shape.check(other:next(), event, "on the other")
end)

case("§6", "accepts an event to a user who is away, and loses it", function(world)
  world.fixture:users "bob"
  world:done("server", "POST", "/users/bob/event", { event = { type = "lost" } })
  local bob = world:connect "bob"
  world:done("server", "POST", "/users/bob/event", { event = { type = "next" } })
  shape.check(bob:next().type, "next", "what comes")
end)

case("§4.4", "tells watchers of members who come and go, and those who do not watch", function(world)
  world.fixture:users("alice", "bob")
  world.fixture:channel(LOBBY, { "alice" })
  local alice, bob = world:connect "alice", world:connect "bob"
  world:watch(alice, LOBBY)
  local answer = world:done("server", "POST", "/channels/messaging/lobby", { add_members = { "bob" } })
  assert(answer.status == 201 and answer.body.channel.cid == LOBBY and shape.is_list(answer.body.members))
  shape.check(alice:await "member.added",
    shape.event("member.added", LOBBY, "bob", { member = member "bob" }), "for alice")
  local added = bob:next()
  shape.check(added.channel.cid, LOBBY, "channel.cid")
  added.channel = nil
  shape.check(added, { type = "notification.added_to_channel", cid = LOBBY, channel_id = "lobby",
    channel_type = "messaging", created_at = shape.date, member = shape.optional(member "bob"),
    user = shape.optional(shape.user "bob") }, "for bob")
  world:done("server", "POST", "/channels/messaging/lobby",
    { assign_roles = { { user_id = "bob", channel_role = "channel_moderator" } } })
  shape.check(alice:await "member.updated", shape.event("member.updated", LOBBY, "bob",
    { member = member("bob", { channel_role = "channel_moderator", role = "moderator" }) }), "for alice")
  world:done("server", "POST", "/channels/messaging/lobby", { remove_members = { "bob" } })
  local removed = alice:await "member.removed"
  shape.check({ removed.cid, removed.user.id, removed.member.user_id }, { LOBBY, "bob", "bob" }, "for alice")
  shape.check(bob:next().type, "notification.removed_from_channel", "for bob")
end)

case("§4.4", "ends the watch of a member who may no longer read", function(world)
  local alice, bob = two(world)
  world:done("server", "POST", "/channels/messaging/lobby", { remove_members = { "bob" } })
  alice:await "user.watching.stop"
  world:done("alice", "POST", EVENT, { event = { type = "secret" } })
  world:done("server", "POST", "/users/bob/event", { event = { type = "after" } })
  local seen = bob:next()
  while seen.type ~= "after" do
    assert(seen.type ~= "secret", "who was removed still got an event")
    seen = bob:next()
  end
end)

case("§4.4", "tells of a channel that is changed and deleted", function(world)
  local alice = two(world)
  world:done("alice", "PATCH", "/channels/messaging/lobby",
    { set = { name = "Hall" }, unset = json.array {} })
  local updated = alice:await "channel.updated"
  shape.check({ updated.cid, updated.channel.name, updated.user.id }, { LOBBY, "Hall", "alice" },
    "channel.updated")
  world:done("server", "DELETE", "/channels/messaging/lobby")
  shape.check(alice:await "channel.deleted".cid, LOBBY, "channel.deleted")
end)

case("§4.4, §3.8", "watches many channels again with the one call that JS makes", function(world)
  world.fixture:users("alice", "bob")
  for _, id in ipairs { "a", "b", "c" } do world.fixture:channel("messaging:" .. id, { "alice", "bob" }) end
  local alice = world:connect "alice"
  local answer = world:done("alice", "POST", "/channels", {
    filter_conditions = { cid = { ["$in"] = { "messaging:a", "messaging:b", "messaging:unknown" } } },
    sort = json.array { { field = "last_message_at", direction = -1 } },
    state = true, watch = true, presence = false, limit = 30,
  }, { query = { connection_id = alice.id } })
  shape.check({ answer.status, #answer.body.channels }, { 201, 2 }, "the answer")
  for _, id in ipairs { "c", "b" } do
    world:done("bob", "POST", "/channels/messaging/" .. id .. "/event", { event = { type = "flare" } })
  end
  shape.check(alice:await "flare".cid, "messaging:b", "what comes first")
end)

case("§4.5", "finds the channel of the same people again", function(world)
  world.fixture:users("alice", "bob")
  local first = world:done("alice", "POST", "/channels/messaging/query",
    { data = { members = { "alice", "bob" } } })
  local again = world:done("bob", "POST", "/channels/messaging/query",
    { data = { members = { "bob", "alice" } } })
  shape.check(again.body.channel.cid, first.body.channel.cid, "cid")
  assert(first.body.channel.id:find "^!members%-", first.body.channel.id)
end)

case("§3.10, §14.11", "replays no custom event where it is not asked to keep any", function(world)
  two(world)
  local before = os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() - 10)
  world:done("alice", "POST", EVENT, { event = { type = "flare" } })
  local answer = world:done("bob", "POST", "/sync", { channel_cids = { LOBBY }, last_sync_at = before })
  shape.check(answer.status, 201, "the status")
  for _, event in ipairs(answer.body.events) do assert(event.type ~= "flare") end
  assert(shape.is_list(answer.body.events) and shape.text(answer.body.duration))
end)

case("§14.12", "refuses what a type no longer has, and says so in the capabilities", function(world)
  two(world)
  local answer = world:done("server", "PUT", "/channeltypes/messaging", { custom_events = false })
  shape.check({ answer.status, answer.body.name, answer.body.custom_events, answer.body.typing_events },
    { 201, "messaging", false, true }, "the answer")
  for _, who in ipairs { "alice", "server" } do
    local refused = world:call(who, "POST", EVENT, { event = { type = "flare",
      user_id = who == "server" and "alice" or nil } })
    shape.check(refused.body, shape.envelope(18, 400), "the refusal of " .. who)
    assert(refused.body.message == 'SendEvent failed with error: "Channel type messaging does not support '
      .. 'custom events"', refused.body.message)
  end
  local channel = world:done("alice", "POST", QUERY, {}).body.channel
  for _, capability in ipairs(channel.own_capabilities) do assert(capability ~= "send-custom-events") end
end)

return list
