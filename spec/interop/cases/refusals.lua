--- Refusals of calls: the status, the code and the whole envelope; and what must not be refused.
-- Each is one call, so that curl can make it too.
local native = require "stream_events.native"
local shape = require "support.shape"

local crypto = native.crypto

local SECRET = "lan-dev-secret"
local EVENT = "/channels/messaging/lobby/event"
local QUERY = "/channels/messaging/lobby/query"
local FLARE = '{"event":{"type":"flare"}}'

-- A token with any header and claims, as texts.
local function signed(claims, secret, header)
  local text = crypto.base64url_encode(header or '{"alg":"HS256","typ":"JWT"}') .. "."
    .. crypto.base64url_encode(claims)
  return text .. "." .. crypto.base64url_encode(crypto.hmac_sha256(secret or SECRET, text))
end

local function at(seconds) return os.time() + seconds end

-- A token of alice's with one more claim, as text.
local function claiming(claim) return signed(('{"user_id":"alice",%s}'):format(claim)) end

-- Tokens that are refused, and each one's code (§2.1, §2.7).
local TOKENS = {
  ["no token"] = { 5, function() return false end },
  ["a token of one part"] = { 5, function() return "abc" end },
  ["a token that is no base64"] = { 5, function() return "a*b.c*d.e" end },
  ["a token that names nobody"] = { 5, function() return signed "{}" end },
  ["a developer token"] = { 5, function()
    return "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoiYWxpY2UifQ==.devtoken"
  end },
  ["an unsigned token"] = { 5, function()
    return signed('{"user_id":"alice"}', nil, '{"alg":"none","typ":"JWT"}'):gsub("[^.]*$", "")
  end },
  ["another algorithm"] = { 5, function()
    return signed('{"user_id":"alice"}', nil, '{"alg":"HS512","typ":"JWT"}')
  end },
  ["an exp that is a text"] = { 5, function() return claiming '"exp":"tomorrow"' end },
  ["an exp that is no integer"] = { 5, function() return claiming '"exp":4102444800.5' end },
  ["an expired token"] = { 40, function() return claiming('"exp":' .. at(-60)) end },
  ["the expired token of §2.3"] = { 40, function()
    return "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoiYWxpY2UiLCJpYXQiOjE3NjcyMjU2MDAsImV4cCI6"
      .. "MTc2NzIyOTIwMH0.0pqBgbYQaivXTQblOJPJkTGt8Cr5kkT6fGAwx8IX_-4"
  end },
  ["a token of tomorrow"] = { 41, function() return claiming('"nbf":' .. at(86400)) end },
  ["a token issued tomorrow"] = { 42, function() return claiming('"iat":' .. at(86400)) end },
  ["another secret"] = { 43, function() return signed('{"user_id":"alice"}', "other") end },
  ["a signature cut short"] = { 43, function() return (signed('{"user_id":"alice"}'):sub(1, -3)) end },
}

local calls, connects = {}, {}

-- A call that is refused: who makes it, where to, with what; code and status.
local function refused(section, title, code, status, who, method, path, body, more)
  calls[#calls + 1] = shape.with(more or {}, {
    section = section, title = title, code = code, status = status, who = who, method = method, path = path,
    body = body,
  })
end

-- A connect that is refused.
local function unwelcome(section, title, code, status, changes)
  connects[#connects + 1] =
    { section = section, title = title, code = code, status = status, changes = changes }
end

for name, token in pairs(TOKENS) do
  local function headers() return { headers = { Authorization = (token[2]()) } } end
  refused("§2.7", name, token[1], 401, nil, "POST", EVENT, FLARE, { changes = headers })
  unwelcome("§2.7", name, token[1], 401, function() return { authorization = (token[2]()) } end)
end
for name, key in pairs { ["no API key"] = false, ["an unknown key"] = "other", ["an empty key"] = "" } do
  local query = { query = { api_key = key } }
  refused("§2.7", name, 2, 401, "alice", "POST", EVENT, FLARE, { changes = function() return query end })
  unwelcome("§2.7", name, 2, 401, function() return { api_key = key } end)
end
refused("§2.7", "an unknown kind of authentication", 5, 401, "alice", "POST", EVENT, FLARE,
  { changes = function() return { headers = { ["stream-auth-type"] = "magic" } } end })
refused("§2.7", "a revoked token", 40, 401, "alice", "POST", EVENT, FLARE, { before = function(world)
  world:done("server", "PATCH", "/users", { users = { { id = "alice",
    set = { revoke_tokens_issued_before = os.date("!%Y-%m-%dT%H:%M:%SZ", at(60)) } } } })
end })

local function named(id, details)
  return function() return { json = { user_id = id, user_details = details } } end
end
unwelcome("§2.1", "another user than the token's", 5, 401, named("bob", { id = "bob" }))
unwelcome("§2.1", "the details of another user", 5, 401, named("alice", { id = "bob" }))
unwelcome("§3.1", "json that is none", 4, 400, function() return { json = "{" } end)
unwelcome("§3.1", "bad values in reserved fields", 4, 400,
  named("alice", { id = "alice", created_at = "helloworld" }))
unwelcome("§3.1", "user data above 5 KB", 22, 413, named("alice", { id = "alice", text = ("x"):rep(6000) }))
unwelcome("§2.2", "a server token", 5, 401, function()
  return { authorization = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzZXJ2ZXIiOnRydWV9.dcnk_GeJ2iHa5XBTHNBl"
    .. "bXV5-dwNU8jv-xgw112Xkgw" }
end)

-- §5.7, and what belongs to it.
local BODIES = {
  ["a body that is no JSON"] = "{", ["an empty body"] = "", ["a list"] = "[]", ["no event"] = "{}",
  ["an event that is none"] = '{"event":"flare"}', ["an event of null"] = '{"event":null}',
  ["no type"] = '{"event":{"x":1}}', ["a type that is a number"] = '{"event":{"type":1}}',
  ["an empty type"] = '{"event":{"type":""}}',
  ["a type of 256 bytes"] = '{"event":{"type":"' .. ("t"):rep(256) .. '"}}',
}
for name, body in pairs(BODIES) do
  refused("§5.7", name, 4, 400, "alice", "POST", EVENT, body, { says = "^SendEvent failed with error: " })
end
refused("§5.7", "an event above 5 KiB", 22, 413, "alice", "POST", EVENT,
  '{"event":{"type":"flare","text":"' .. ("x"):rep(6000) .. '"}}')
refused("§5.7", "a channel that is missing", 16, 404, "alice", "POST", "/channels/messaging/x/event", FLARE,
  { says = "Can't find channel with id messaging:x" })
refused("§5.7", "a type of channel that is missing", 16, 404, "alice", "POST", "/channels/nothing/x/query",
  "{}")
refused("§5.7", "a sender without the grant", 17, 403, "carol", "POST", EVENT, FLARE, { says =
  "SendEvent failed with error: \"User 'carol' with roles ['user'] is not allowed to perform action "
  .. "SendCustomEvent in scope 'messaging'\"" })
refused("§2.6", "a send of an anonymous user", 17, 403, "anonymous", "POST", EVENT, FLARE)
refused("§9.2", "a banned sender", 17, 403, "alice", "POST", EVENT, FLARE, { before = function(world)
  world:done("server", "POST", "/moderation/ban", { target_user_id = "alice", banned_by_id = "bob" })
end })
local function switched_off(name)
  return function(world) world:done("server", "PUT", "/channeltypes/messaging", { [name] = false }) end
end
refused("§5.7", "custom events that are off", 18, 400, "alice", "POST", EVENT, FLARE, {
  before = switched_off "custom_events",
  says = 'SendEvent failed with error: "Channel type messaging does not support custom events"',
})
refused("§5.7", "typing events that are off", 18, 400, "alice", "POST", EVENT,
  '{"event":{"type":"typing.stop"}}', {
  before = switched_off "typing_events",
  says = "does not support events of type typing.stop",
})
for _, event_type in ipairs {
  "message.new", "channel.deleted", "health.check", "notification.added_to_channel", "user.banned",
  "connection.error", "connection.changed", "connection.recovered", "capabilities.changed", "member.added",
} do
  refused("§5.6", "the forged type " .. event_type, 18, 400, "alice", "POST", EVENT,
    '{"event":{"type":"' .. event_type .. '"}}', { says = "does not support events of type " .. event_type })
end
refused("§5.1", "a backend that names no sender", 4, 400, "server", "POST", EVENT, FLARE,
  { says = "either event.user or event.user_id must be provided when using server side auth." })
refused("§5.1", "a backend that names the sender twice", 4, 400, "server", "POST", EVENT,
  '{"event":{"type":"flare","user_id":"alice","user":{"id":"alice"}}}',
  { says = "cannot set both event.user and event.user_id." })
refused("§6", "an event to a user by a client", 17, 403, "alice", "POST", "/users/bob/event", FLARE,
  { says = "^SendUserCustomEvent failed with error: " })
refused("§6", "an event to nobody", 16, 404, "server", "POST", "/users/nobody/event", FLARE)
refused("§6", "a dot in the type of an event to a user", 4, 400, "server", "POST", "/users/bob/event",
  '{"event":{"type":"friend.request"}}')
refused("§4.2", "a watch without a connection", 4, 400, "alice", "POST", QUERY, '{"watch":true}', { says =
  'GetOrCreateChannel failed with error: "Watch or Presence requires an active websocket connection, please '
  .. 'make sure to include your websocket connection_id"' })
refused("§4.2", "a watch with an unknown connection", 46, 400, "alice", "POST", QUERY, '{"watch":true}',
  { changes = function() return { query = { connection_id = "7b1d0c52-0a15-4c22-8200-00000000048f" } } end })
refused("§4.2", "a backend that names no creator", 4, 400, "server", "POST", "/channels/messaging/new/query",
  '{"data":{}}', { says =
  "either data.created_by or data.created_by_id must be provided when using server side auth." })
refused("§4.2", "a channel that may not be read", 17, 403, "carol", "POST", QUERY, "{}",
  { says = "^GetOrCreateChannel failed with error: " })
refused("§4.2", "a new channel by somebody who may make none", 17, 403, "anonymous", "POST",
  "/channels/messaging/new/query", "{}", { says = "^GetOrCreateChannel failed with error: " })
refused("§9.2", "a watch of who is banned in the channel", 17, 403, "alice", "POST", QUERY, "{}", {
  before = function(world)
    world:done("server", "POST", "/moderation/ban", {
      target_user_id = "alice", banned_by_id = "bob", channel_cid = "messaging:lobby",
    })
  end })
refused("§4.1", "an id with a colon", 4, 400, "alice", "POST", "/channels/messaging/a%3Ab/query", "{}")
refused("§4.1", "an id of 65 characters", 4, 400, "alice", "POST",
  "/channels/messaging/" .. ("x"):rep(65) .. "/query", "{}")
refused("§4.5", "a channel of one", 4, 400, "alice", "POST", "/channels/messaging/query",
  '{"data":{"members":["alice"]}}', { says = "When using member based IDs specify at least 2 members" })
refused("§4.4", "a role given by a client", 17, 403, "alice", "POST", "/channels/messaging/lobby",
  '{"assign_roles":[{"user_id":"bob","channel_role":"channel_moderator"}]}')
refused("§4.4", "101 members at once", 22, 413, "server", "POST", "/channels/messaging/lobby",
  ('{"add_members":["m"%s]}'):format((',"m"'):rep(100)))
refused("§4.4", "a query of 31 channels", 4, 400, "alice", "POST", "/channels",
  '{"filter_conditions":{},"limit":31}', { says = "^QueryChannels failed with error: " })
refused("§4.4", "a query from the 1001st channel on", 4, 400, "alice", "POST", "/channels",
  '{"filter_conditions":{},"offset":1001}')
refused("§4.4", "an event to a disabled channel", 17, 403, "alice", "POST", EVENT, FLARE, {
  before = function(world)
    world:done("server", "PATCH", "/channels/messaging/lobby", { set = { disabled = true } })
  end })
refused("§4.5", "a member more in a distinct channel", 17, 403, "server", "POST", nil,
  '{"add_members":["carol"]}', { says = "cannot add members to the distinct channel they don't belong to" })
local distinct = calls[#calls]
function distinct.before(world)
  local made = world:call("server", "POST", "/channels/messaging/query",
    '{"data":{"members":["alice","bob"],"created_by_id":"alice"}}')
  distinct.path = "/channels/messaging/" .. made.body.channel.id
end
refused("§4.4", "a channel that is not there", 16, 404, "server", "GET", "/channels/messaging/x")
refused("§3.10", "a sync from long ago", 4, 400, "alice", "POST", "/sync",
  '{"channel_cids":["messaging:lobby"],"last_sync_at":"2020-01-01T00:00:00Z"}',
  { says = "Too old last_sync_at time" })
refused("§3.10", "a sync of no channels", 4, 400, "alice", "POST", "/sync",
  '{"channel_cids":[],"last_sync_at":"' .. os.date("!%Y-%m-%dT%H:%M:%SZ") .. '"}',
  { says = "^Sync failed with error: " })
refused("§3.10", "a sync of 256 channels", 4, 400, "alice", "POST", "/sync",
  ('{"channel_cids":["messaging:lobby"%s],"last_sync_at":"%s"}'):format((',"messaging:lobby"'):rep(255),
    os.date "!%Y-%m-%dT%H:%M:%SZ"), { says = "^Sync failed with error: " })
refused("§7.1", "a setting by a client", 17, 403, "alice", "PUT", "/channeltypes/messaging", "{}")
refused("§7.1", "a type of channel that is not there", 16, 404, "server", "GET", "/channeltypes/nothing")
refused("§7.1", "a name in the body", 4, 400, "server", "PUT", "/channeltypes/messaging", '{"name":"x"}')
refused("§7.1", "a date in the body", 4, 400, "server", "PUT", "/channeltypes/messaging",
  '{"updated_at":"2026-01-01T00:00:00Z"}')
refused("§7.1", "an unknown command", 4, 400, "server", "PUT", "/channeltypes/messaging",
  '{"commands":["make_tea"]}')
refused("§8.3", "a role made by a client", 17, 403, "alice", "POST", "/roles", '{"name":"boss"}')
refused("§8.3", "the end of a role that is the service's", 4, 400, "server", "DELETE", "/roles/user")
refused("§7.1", "a type of channel that is there already", 4, 400, "server", "POST", "/channeltypes",
  '{"name":"messaging"}')
refused("§7.1", "the end of a type that is in use", 4, 400, "server", "DELETE", "/channeltypes/messaging")
refused("§9.1", "another user's data", 17, 403, "alice", "POST", "/users", '{"users":{"bob":{"id":"bob"}}}')
refused("§9.1", "a role that a client gives itself", 17, 403, "alice", "POST", "/users",
  '{"users":{"alice":{"id":"alice","role":"admin"}}}')
refused("§9.1", "a query of 101 users", 4, 400, "server", "GET", "/users", nil, { changes = function()
  return { query = { payload = '{"filter_conditions":{},"limit":101}' } }
end })
refused("§3.1", "who was deactivated", 5, 401, "alice", "POST", EVENT, FLARE, { before = function(world)
  world:done("server", "POST", "/users/alice/deactivate", {})
end, says = "was deactivated" })
refused("§2.5", "a guest where there are to be none", 17, 403, "anonymous", "POST", "/guest",
  '{"user":{"id":"gerd"}}', { before = function(world)
    world:done("server", "PATCH", "/app", { guest_user_creation_disabled = true })
  end })
refused("§15", "a path where there is nothing", 16, 404, "server", "GET", "/nothing")
refused("§12.2", "a call too many", 9, 429, "alice", "POST", EVENT, FLARE, {
  server = { rate_limits = "hosted", rate_user = 60, rate_user_endpoints = "SendEvent=1" },
  before = function(world) world:call("alice", "POST", EVENT, FLARE) end,
  headers = { ["x-ratelimit-limit"] = "^1$", ["x-ratelimit-remaining"] = "^0$",
    ["x-ratelimit-reset"] = "^%d+$", ["retry-after"] = "^%d+$" },
})

return { calls = calls, connects = connects }
