--- Connecting, as each SDK does it: what is asked for, and exactly what comes back.
local native = require "stream_events.native"
local shape = require "support.shape"

local crypto, json = native.crypto, native.json

local HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

local function base64_of(user_id) return crypto.base64_encode(('{"user_id":"%s"}'):format(user_id)) end

local function without_padding(text) return (text:gsub("=", "")) end

local list = {}
local function case(section, title, run)
  list[#list + 1] = { section = section, title = title, run = run }
end

-- What the query parameter `json` holds besides user_id and user_details, and what the SDK sends beside it.
local SDKS = {
  JS = {
    json = { client_request_id = "0f4f1b0e-5d3c-4c55-9b43-2a8a6f0a7d11" },
    query = { ["X-Stream-Client"] = "stream-chat-js-v9.49.0-node|client_bundle=node-cjs" },
  },
  Unity = {
    json = { user_token = "copy", server_determines_connection_id = true },
    query = { ["X-Stream-Client"] = "stream-chat-unity-client-4.4.0|os=Linux|platform=LinuxPlayer" },
  },
  Flutter = { json = { user_token = "copy", server_determines_connection_id = true } },
  Android = {
    json = {
      user_token = "copy", server_determines_connection_id = true,
      ["X-Stream-Client"] = "stream-chat-android-6.0.0",
    },
  },
  Swift = { json = { server_determines_connection_id = true }, in_headers = true },
  ["a device, an included field and fields of tomorrow"] = {
    json = {
      device = { id = "d", push_provider = "firebase" }, member_custom_include = { "rank" },
      of_tomorrow = { list = { 1, json.null } },
    },
    query = { of_tomorrow = "yes" }, headers = { ["X-Of-Tomorrow"] = "yes" },
  },
}

for name, sdk in pairs(SDKS) do
  case("§3.1", "lets a user in as does " .. name, function(world)
    local asked = shape.with(sdk.json, { user_id = "alice", user_details = { id = "alice", name = "Alice" } })
    if asked.user_token then asked.user_token = world.fixture:user_token "alice" end
    local query = world:parameters("alice", shape.with(sdk.query or {}, { json = asked }))
    local headers = shape.with({}, sdk.headers or {})
    if sdk.in_headers then
      headers.Authorization, headers["Stream-Auth-Type"] = query.authorization, query["stream-auth-type"]
      query.authorization, query["stream-auth-type"] = nil, nil
    end
    shape.check(world:open(query, headers):next(), shape.welcome("alice", { name = "Alice" }),
      "the first frame")
  end)
end

case("§3.1", "keeps a user's fields when it comes back with its id alone", function(world)
  local fields = { name = "Alice", image = "https://example.com/a.png", level = 3 }
  world:connect("alice", fields)
  local first = world:open(world:parameters "alice"):next()
  shape.check(first, shape.welcome("alice", fields), "the first frame")
end)

case("§3.1", "takes the token of the query before that of the headers", function(world)
  local alice, bob = world.fixture:user_token "alice", world.fixture:user_token "bob"
  local headers = { Authorization = bob, ["Stream-Auth-Type"] = "anonymous" }
  shape.check(world:open(world:parameters("alice", { authorization = alice }), headers):next(),
    shape.welcome "alice", "the first frame")
  headers.Authorization = alice
  local refused = world:open(world:parameters("alice", { authorization = bob }), headers):next()
  assert(refused.error and refused.error.code == 5, json.encode(refused))
end)

case("§2.1", "takes further claims and times in a token", function(world)
  local now = os.time()
  local token = world.fixture:user_token("alice", { iat = now - 10, exp = now + 600 })
  shape.check(world:open(world:parameters("alice", { authorization = token })):next(),
    shape.welcome "alice", "the first frame")
end)

-- A token's payload and what stands for its signature (§2.4).
local DEVELOPER = {
  ["JS: padding, devtoken"] = function(id) return base64_of(id) .. ".devtoken" end,
  ["Unity: no padding, devToken"] = function(id) return without_padding(base64_of(id)) .. ".devToken" end,
  ["standard base64 that needs its own letters"] = function(id)
    local payload = crypto.base64_encode(('{"user_id":"%s","note":"~~~~???"}'):format(id))
    assert(payload:find "[+/]", payload)
    return payload .. ".DEVTOKEN"
  end,
  ["base64url that needs its own letters"] = function(id)
    local payload = crypto.base64url_encode(('{"user_id":"%s","note":"~~~~???"}'):format(id))
    assert(payload:find "[-_]", payload)
    return payload .. ".DevToken"
  end,
}
for name, rest in pairs(DEVELOPER) do
  case("§2.4", "takes a developer token as " .. name .. ", only while checks are off", function(world)
    local token = HEADER .. "." .. rest "alice"
    local query = world:parameters("alice", { authorization = token })
    local refused = world:open(query):next().error
    assert(refused.code == 5 and refused.message:find("development tokens are not allowed", 1, true),
      refused.message)
    world:done("server", "PATCH", "/app", { disable_auth_checks = true })
    shape.check(world:open(query):next(), shape.welcome "alice", "the first frame")
    world:done(nil, "POST", "/channels", {}, { headers = { Authorization = token } })
  end)
end

case("§2.4", "takes any badly signed token while checks are off, but none is none", function(world)
  world:done("server", "PATCH", "/app", { disable_auth_checks = true })
  local token = world.fixture:user_token("alice"):gsub("[^.]*$", "AAAA")
  shape.check(world:open(world:parameters("alice", { authorization = token })):next(),
    shape.welcome "alice", "the first frame")
  local refused = world:open(world:parameters("alice", { authorization = false })):next()
  assert(refused.error.code == 5)
end)

case("§2.5", "lets a guest in under the id that it was given", function(world)
  local answer = world:done("anonymous", "POST", "/guest", { user = { id = "gerd", name = "Gerd" } })
  assert(answer.status == 201)
  local user, token = answer.body.user, answer.body.access_token
  shape.check(answer.body, { user = shape.user(user.id, { role = "guest", name = "Gerd" }),
    access_token = shape.text, duration = shape.text }, "the answer")
  assert(user.id:find "^guest%-%x+%-%x+%-%x+%-%x+%-%x+%-gerd$", user.id)
  shape.check(world:open(world:parameters(user.id, { authorization = token })):next(),
    shape.welcome(user.id, { role = "guest", name = "Gerd" }), "the first frame")
end)

case("§2.6", "lets an anonymous user in, whose token is the word undefined", function(world)
  local id = "c1a5f6c2-9a3f-4a53-8c55-b4b1d5e8d7aa"
  local first = world:open({
    api_key = "devkey", authorization = "undefined", ["stream-auth-type"] = "anonymous",
    json = { user_id = id, user_details = { id = id, anon = true } },
  }):next()
  shape.check(first.me.id, "!anon", "me.id")
  shape.check(first.me.role, "anonymous", "me.role")
end)

case("§1.1", "agrees on no compression of frames, whatever is offered", function(world)
  shape.check(world:open(world:parameters "alice").extensions, "", "extensions")
end)

-- What each SDK sends while it is connected (§3.4); each gets exactly one health check.
local HEALTH = {
  ["a list, as JS sends it"] = function(socket)
    socket:send '[{"type":"health.check","client_id":"alice--5f3a9c1e-7a39-4d0b-9a55-1f0c7ad1c001"}]'
  end,
  ["the first frame again, as Android sends it"] = function(socket) socket:send(socket.first) end,
  ["an object with the connection's id, as Flutter sends it"] = function(socket)
    socket:send(('{"type":"health.check","connection_id":"%s"}'):format(socket.id))
  end,
  ["an object, as Unity sends it"] = function(socket)
    socket:send(('{"type":"health.check","connection_id":"%s","cid":"*"}'):format(socket.id))
  end,
  ["a ping, as Swift sends it"] = function(socket) socket:ping() end,
  ["an empty text, as Unreal sends it"] = function(socket) socket:send "" end,
  ["a text that is no JSON"] = function(socket) socket:send "{{{ \u{1F600}" end,
  ["JSON that is no health check"] = function(socket) socket:send '{"type":"message.new","cid":"a:b"}' end,
}
for name, send in pairs(HEALTH) do
  case("§3.4", "answers " .. name .. ", with one health check", function(world)
    local socket = world:open(world:parameters "alice")
    local first, text = socket:next()
    socket.id, socket.first = first.connection_id, text
    send(socket)
    shape.check(socket:next(), shape.health(socket.id), "the health check")
    -- What comes next is what is sent next: there was no second one.
    world:done("server", "POST", "/users/alice/event", { event = { type = "after" } })
    shape.check(socket:next().type, "after", "what comes next")
  end)
end

case("§3.4", "answers a health check that comes in fragments", function(world)
  if world.client == "aiohttp" then return end -- it sends none
  local socket = world:connect "alice"
  socket:send_fragments('[{"type":"hea', 'lth.check","client_id":"alice--1"', "}]")
  shape.check(socket:next(), shape.health(socket.id), "the health check")
end)

case("§3.5", "answers a normal end with 1000, and others with their own code", function(world)
  for _, code in ipairs { 1000, 1011 } do
    local socket = world:connect "alice"
    socket:close(code)
    shape.check(socket:closed(), code, "the close code")
  end
end)

case("§3.5", "sends everybody away with a code that asks them back when it stops", function(world)
  local socket = world:connect "alice"
  world.fixture.server:stop()
  shape.check(socket:closed(), 1012, "the close code")
end)

case("§3.8", "gives every connection an id of its own", function(world)
  assert(world:connect("alice").id ~= world:connect("alice").id)
end)

return list
