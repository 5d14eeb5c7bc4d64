--- How large things may be that a server is sent: what is allowed to the last byte, and what one more gets.
local native = require "stream_events.native"
local http_client = require "support.http_client"
local server_fixture = require "support.server"

local EVENT = "/channels/messaging/lobby/event"

local fixture

local function start(options)
  fixture = server_fixture.start(options)
  local users = {}
  for i = 1, 102 do users[i] = "u" .. i end
  fixture:users(table.unpack(users, 1, 90))
  fixture:users(table.unpack(users, 91))
  fixture:users("john", { id = "admin", role = "admin" })
  fixture:channel("messaging:lobby", { "john" })
end

setup(function() start() end)
teardown(function() fixture:stop() end)

-- An event with that many bytes.
local function sized(bytes)
  local head = #'{"type":"x","t":""}'
  return ('{"event":{"type":"x","t":"%s"}}'):format(("y"):rep(bytes - head))
end

-- Custom data with that many bytes.
local function data(bytes)
  return { t = ("y"):rep(bytes - #'{"t":""}') }
end

local function list(count, make)
  local all = native.json.array {}
  for i = 1, count do all[i] = make(i) end
  return all
end

local function name(i) return "u" .. i end

local serial = 0
local function fresh(prefix)
  serial = serial + 1
  return prefix .. serial
end

-- Each case: the most that is allowed, as a call; the same with one more; and what the message names.
-- A call is { who, method, path, body }.
local CASES = {
  ["an event to a channel"] = { 5120, "5121 bytes, 5120 are allowed", function(n)
    return { "john", "POST", EVENT, sized(n) }
  end },
  ["an event that a backend sends for a user"] = { 5120, "bytes, 5120 are allowed", function(n)
    local event = sized(n - #'"user_id":"john",')
    return { "server", "POST", EVENT, (event:gsub('"type"', '"user_id":"john","type"')) }
  end },
  ["an event to a user"] = { 5120, "5121 bytes, 5120 are allowed", function(n)
    return { "server", "POST", "/users/john/event", sized(n) }
  end },
  ["an event whose size is in its white space"] = { 5120, "5121 bytes, 5120 are allowed", function(n)
    return { "john", "POST", EVENT, '{"event":{"type":' .. (" "):rep(n - #'{"type":"x"}') .. '"x"}}' }
  end },
  ["the data of a new channel"] = { 5120, "the custom data of a channel", function(n)
    return { "john", "POST", "/channels/messaging/" .. fresh "c" .. "/query", { data = data(n) } }
  end },
  ["the data of a channel"] = { 5120, "the custom data of a channel", function(n)
    return { "john", "POST", "/channels/messaging/lobby", { data = data(n) } }
  end },
  ["the data of a channel after a partial update"] = { 5120, "the custom data of a channel", function(n)
    return { "john", "PATCH", "/channels/messaging/lobby", { set = data(n) } }
  end },
  ["members of a new channel"] = { 100, "members holds 101 members, 100 are allowed", function(n)
    return { "server", "POST", "/channels/messaging/" .. fresh "c" .. "/query",
      { data = { created_by_id = "john", members = list(n, name) } } }
  end },
  ["members that are added"] = { 100, "add_members holds 101 members", function(n)
    return { "server", "POST", "/channels/messaging/lobby", { add_members = list(n, name) } }
  end },
  ["members that are added as objects"] = { 100, "add_members holds 101 members", function(n)
    return { "server", "POST", "/channels/messaging/lobby",
      { add_members = list(n, function(i) return { user_id = name(i) } end) } }
  end },
  ["members that are removed"] = { 100, "remove_members holds 101 members", function(n)
    return { "server", "POST", "/channels/messaging/lobby", { remove_members = list(n, name) } }
  end },
  ["members that become moderators"] = { 100, "add_moderators holds 101 members", function(n)
    return { "server", "POST", "/channels/messaging/lobby", { add_moderators = list(n, name) } }
  end },
  ["moderators that are none any more"] = { 100, "demote_moderators holds 101 members", function(n)
    return { "server", "POST", "/channels/messaging/lobby",
      { add_members = list(100, name), demote_moderators = list(n, name) } }
  end },
  ["roles that are given"] = { 100, "assign_roles holds 101 entries", function(n)
    return { "server", "POST", "/channels/messaging/lobby", { add_members = list(100, name),
      assign_roles = list(n, function(i)
        return { user_id = name(i), channel_role = "channel_member" }
      end) } }
  end },
  ["users in one call"] = { 100, "users holds 101 users, 100 are allowed", function(n)
    local users = {}
    for i = 1, n do users[name(i)] = { id = name(i) } end
    return { "server", "POST", "/users", { users = users } }
  end },
  ["users that are changed in one call"] = { 100, "users holds 101 users, 100 are allowed", function(n)
    return { "server", "PATCH", "/users", { users = list(n, function(i) return { id = name(i) } end) } }
  end },
  ["users that are deleted in one call"] = { 100, "user_ids holds 101 users, 100 are allowed", function(n)
    return { "server", "POST", "/users/delete", { user_ids = list(n, name), user = "soft" } }
  end, last = true },
}

local function is_good(status)
  return status == 200 or status == 201
end

describe("of", function()
  local function check(what, case)
    it(what .. " so much is allowed, and not one more", function()
      local call = case[3](case[1])
      local status, body = fixture:call(table.unpack(call))
      assert.is_true(is_good(status), body and body.message)
      call = case[3](case[1] + 1)
      status, body = fixture:call(table.unpack(call))
      assert.equal(413, status)
      assert.equal(413, body.StatusCode)
      assert.equal(22, body.code)
      assert.matches(case[2], body.message, 1, true)
      assert.matches('^%a+ failed with error: "', body.message)
    end)
  end
  for what, case in pairs(CASES) do
    if not case.last then check(what, case) end
  end
  for what, case in pairs(CASES) do
    if case.last then check(what, case) end
  end

  -- What belongs to a user beside its custom fields counts as well.
  for what, call in pairs {
    ["a user"] = function(user) return { "server", "POST", "/users", { users = { jim = user } } } end,
    ["a user by its own doing"] = function(user)
      user.id = "john"
      return { "john", "POST", "/users", { users = { john = user } } }
    end,
    ["a user that is changed"] = function(user)
      return { "server", "PATCH", "/users", { users = { { id = "john", set = user } } } }
    end,
    ["a guest"] = function(user)
      user.id = "g"
      return { "anonymous", "POST", "/guest", { user = user } }
    end,
  } do
    it("the data of " .. what .. " 5 KB are allowed", function()
      local status, body = fixture:call(table.unpack(call(data(5000))))
      assert.is_true(is_good(status), body and body.message)
      status, body = fixture:call(table.unpack(call(data(5121))))
      assert.equal(413, status)
      assert.equal(22, body.code)
    end)
  end

  it("the data that a user connects with 5 KB are allowed", function()
    fixture:connect("john", data(5000)):close()
    local details = data(5121)
    details.id = "john"
    local socket = fixture:open { api_key = "devkey", authorization = fixture:user_token "john",
      json = { user_id = "john", user_details = details } }
    local err = socket:next().error
    assert.equal(22, err.code)
    assert.equal(413, err.StatusCode)
    socket:closed()
  end)

  -- Not sizes of what is sent, but input that is wrong.
  for what, call in pairs {
    ["a channel id with 65 characters"] =
      { "john", "POST", "/channels/messaging/" .. ("x"):rep(65) .. "/query", {} },
    ["a channel type with 65 characters"] = { "server", "POST", "/channeltypes", { name = ("x"):rep(65) } },
    ["a user id with 256 characters"] =
      { "server", "POST", "/users", { users = { [("x"):rep(256)] = { id = ("x"):rep(256) } } } },
    ["a role with 65 characters"] = { "server", "POST", "/roles", { name = ("x"):rep(65) } },
    ["an event type with 256 bytes"] = { "john", "POST", EVENT, { event = { type = ("x"):rep(256) } } },
    ["256 channels in one sync"] = { "john", "POST", "/sync", { last_sync_at = "2026-01-01T00:00:00Z",
      channel_cids = list(256, function() return "messaging:lobby" end) } },
    ["31 channels in one query"] = { "john", "POST", "/channels", { limit = 31 } },
    ["101 users in one query"] = { "server", "GET", "/users", nil,
      { payload = { filter_conditions = {}, limit = 101 } } },
  } do
    it(what .. " there can be none: 400 with code 4", function()
      local status, body = fixture:call(table.unpack(call, 1, 5))
      assert.equal(400, status, body.message)
      assert.equal(4, body.code)
    end)
  end
end)

-- What the listener answers by itself.
describe("a request", function()
  local function ask(request)
    local socket = http_client.dial(fixture.server.host, fixture.server.port)
    socket.tcp:write(request)
    http_client.wait("the end", function() return socket.ended end)
    local status, body = socket.received:match "^HTTP/1.1 (%d+) .-\r\n\r\n(.*)$"
    return tonumber(status), assert(native.json.decode(body)), socket.received
  end

  local HEAD = "POST /hi HTTP/1.1\r\nHost: x\r\n"

  for what, case in pairs {
    ["whose body is announced too long"] = { HEAD .. "Content-Length: 1048577\r\n\r\n", 413, 22 },
    ["whose chunks become too long"] = { HEAD .. "Transfer-Encoding: chunked\r\n\r\n100001\r\n", 413, 22 },
    ["whose headers are too long"] = { HEAD .. "A: " .. ("x"):rep(16384) .. "\r\n\r\n", 431, 24 },
    ["with too many headers"] = { HEAD .. ("A: b\r\n"):rep(101) .. "\r\n", 431, 24 },
    ["whose URL is too long"] = { "GET /" .. ("x"):rep(16384) .. " HTTP/1.1\r\nHost: x\r\n\r\n", 431, 24 },
    ["whose query is too long"] =
      { "GET /hi?" .. ("x"):rep(16384) .. " HTTP/1.1\r\nHost: x\r\n\r\n", 431, 24 },
    ["that is none"] = { "hello\r\n\r\n", 400, 4 },
  } do
    it(what .. " is answered with an envelope like any other", function()
      local status, body, text = ask(case[1])
      assert.equal(case[2], status)
      assert.equal(case[2], body.StatusCode)
      assert.equal(case[3], body.code)
      assert.matches('^Request failed with error: ".+"$', body.message)
      assert.equal("https://getstream.io/chat/docs/api_errors_response", body.more_info)
      assert.same({}, body.details)
      assert.matches("^%d+%.%d%dms$", body.duration)
      assert.matches("\r\nContent-Type: application/json\r\n", text, 1, true)
    end)
  end

  it("may have a body up to the last byte", function()
    local body = '{"event":{"type":"x"}}'
    body = body .. (" "):rep(1048576 - #body)
    assert.equal(201, (fixture:call("john", "POST", EVENT, body)))
  end)
end)

describe("a WebSocket message", function()
  it("may have 64 KiB; one byte more ends the connection with 1009", function()
    local socket = fixture:connect "john"
    socket:send(("x"):rep(65536))
    assert.equal("health.check", socket:next().type)
    socket:send(("x"):rep(65537))
    assert.equal(1009, socket:closed())
  end)
end)
