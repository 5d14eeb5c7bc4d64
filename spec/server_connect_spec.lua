--- Connecting over WebSocket: who is let in and who is not, the first frame, health checks, what
-- being online means, and what ends with a connection.
local fixtures = require "support.server"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local token = require "stream_events.token"

local SECRET = "lan-dev-secret"
local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

local function parameters(changes)
  local result = {
    api_key = "devkey", authorization = token.user(SECRET, "alice"), ["stream-auth-type"] = "jwt",
    json = { user_id = "alice", user_details = { id = "alice", name = "Alice" } },
  }
  for name, value in pairs(changes or {}) do result[name] = value or nil end
  return result
end

describe("connecting", function()
  local fixture
  before_each(function() fixture = fixtures.start() end)
  after_each(function() fixture:stop() end)

  it("gives a health check with the user itself as the first frame", function()
    local socket = fixture:open(parameters())
    local first, text = socket:next()
    assert.equal("health.check", first.type)
    assert.equal("*", first.cid)
    assert.matches(UUID, first.connection_id)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z$", first.created_at)
    assert.equal("alice", first.me.id)
    assert.equal("Alice", first.me.name)
    assert.equal("user", first.me.role)
    assert.is_true(first.me.online)
    assert.equal(0, first.me.total_unread_count)
    for _, list in ipairs { "teams", "devices", "mutes", "channel_mutes" } do
      assert.matches(('"%s":[]'):format(list), text, 1, true)
    end
  end)

  it("gives every connection an id of its own", function()
    assert.not_equal(fixture:connect("alice").id, fixture:connect("alice").id)
  end)

  it("takes the token out of headers as well, but the query goes first", function()
    local headers = { Authorization = token.user(SECRET, "alice"), ["Stream-Auth-Type"] = "jwt" }
    local no_query = parameters { authorization = false, ["stream-auth-type"] = false }
    assert.equal("health.check", fixture:open(no_query, headers):next().type)
    local bad_query = parameters { authorization = token.user("other", "alice") }
    assert.equal("connection.error", fixture:open(bad_query, headers):next().type)
  end)

  it("makes the user, and later adds to it and changes it, without ever taking away", function()
    fixture:connect("alice", { name = "Alice", color = "red" })
    local me = fixture:connect("alice", { color = "blue", level = 3 }).me
    assert.same({ "Alice", "blue", 3 }, { me.name, me.color, me.level })
    assert.same({ "Alice", "blue", 3 }, { fixture:connect("alice").me.name, me.color, me.level })
  end)

  it("does not take a role or teams from a client", function()
    local me = fixture:connect("alice", { role = "admin", teams = { "red" } }).me
    assert.equal("user", me.role)
    assert.same({}, me.teams)
  end)

  it("keeps the role that a backend gave", function()
    fixture:users { id = "alice", role = "admin" }
    assert.equal("admin", fixture:connect("alice", { role = "user" }).me.role)
  end)

  it("lets anonymous users in, whatever they call themselves and send as token", function()
    local socket = fixture:open {
      api_key = "devkey", authorization = "undefined", ["stream-auth-type"] = "anonymous",
      json = { user_id = "b6e5", user_details = { id = "b6e5", anon = true } },
    }
    local me = socket:next().me
    assert.equal("!anon", me.id)
    assert.equal("anonymous", me.role)
  end)

  it("lets guests in with the token they were given", function()
    local answer = fixture.client:request("POST", "/guest", {
      query = { api_key = "devkey" }, headers = { ["stream-auth-type"] = "anonymous" },
      body = { user = { id = "gerd", name = "Gerd" } },
    })
    assert.equal(201, answer.status)
    local id = answer.body.user.id
    local me = fixture:open(parameters {
      authorization = answer.body.access_token, json = { user_id = id, user_details = { id = id } },
    }):next().me
    assert.same({ id, "guest", "Gerd" }, { me.id, me.role, me.name })
  end)

  it("takes developer tokens only while the app says so", function()
    local query = parameters { authorization = token.developer "alice" }
    assert.equal(5, fixture:open(query):next().error.code)
    assert.equal(200, (fixture:call("server", "PATCH", "/app", { disable_auth_checks = true })))
    assert.equal("alice", fixture:open(query):next().me.id)
  end)

  local refusals = {
    ["no API key"] = { { api_key = false }, 2, 401 },
    ["the key of another app"] = { { api_key = "other" }, 2, 401 },
    ["no token"] = { { authorization = false }, 5, 401 },
    ["a token that is none"] = { { authorization = "abc" }, 5, 401 },
    ["an expired token"] =
      { { authorization = token.user(SECRET, "alice", { exp = os.time() - 10 }) }, 40, 401 },
    ["a wrong signature"] = { { authorization = token.user("other", "alice") }, 43, 401 },
    ["another user's token"] = { { authorization = token.user(SECRET, "bob") }, 5, 401 },
    ["a server token"] = { { authorization = token.server(SECRET) }, 5, 401 },
    ["an unsigned token"] = { {
      authorization = native.crypto.base64url_encode '{"alg":"none","typ":"JWT"}' .. "."
        .. native.crypto.base64url_encode '{"user_id":"alice"}' .. ".",
    }, nil, 401 },
    ["a bad user id"] = { {
      authorization = token.user(SECRET, "a b"),
      json = { user_id = "a b", user_details = { id = "a b" } },
    }, nil, nil },
    ["json that is none"] = { { json = "{" }, 4, 400 },
    ["json that is a list"] = { { json = "[]" }, 4, 400 },
    ["details of another user"] = { { json = { user_id = "alice", user_details = { id = "bob" } } }, 5, 401 },
    ["details that are no object"] = { { json = { user_id = "alice", user_details = 5 } }, 4, 400 },
    ["a reserved field with a bad value"] = { {
      json = { user_id = "alice", user_details = { id = "alice", created_at = "helloworld" } },
    }, 4, 400 },
    ["more than 5 KB of details"] = { {
      json = { user_id = "alice", user_details = { id = "alice", text = ("x"):rep(6000) } },
    }, 22, 413 },
  }
  for name, case in pairs(refusals) do
    it(("refuses %s in the first frame and closes with 1000"):format(name), function()
      local socket = fixture:open(parameters(case[1]))
      assert.equal(101, socket.status)
      local first = socket:next()
      assert.equal("connection.error", first.type)
      assert.equal("", first.connection_id)
      assert.matches('^Connect failed with error: "', first.error.message)
      assert.equal(case[2] or first.error.code, first.error.code)
      assert.equal(case[3] or first.error.StatusCode, first.error.StatusCode)
      assert.equal(1000, socket:closed())
      assert.equal(0, fixture.server:stats().signed_in)
      -- Nothing of a refused user stays.
      local _, body = fixture:call("server", "GET", "/users", nil, { payload = "{}" })
      assert.same({}, body.users)
    end)
  end

  it("refuses a query string that is written wrongly in the first frame", function()
    for _, query in ipairs { "api_key=%zz", "api_key=devkey&api_key=devkey" } do
      local socket = http_client.websocket(fixture.server, "/connect?" .. query)
      assert.equal(4, socket:next().error.code)
      assert.equal(1000, socket:closed())
      socket:abort()
    end
  end)

  it("answers a handshake on another path over HTTP", function()
    local socket = http_client.websocket(fixture.server, "/elsewhere?api_key=devkey")
    assert.equal(404, socket.status)
    socket:abort()
  end)
end)

describe("a connection", function()
  local fixture
  before_each(function() fixture = fixtures.start() end)
  after_each(function() fixture:stop() end)

  for name, case in pairs {
    ["the array that JavaScript sends"] = { '[{"type":"health.check","client_id":"alice--1"}]' },
    ["an object"] = { '{"type":"health.check"}' },
    ["an empty message"] = { "" },
    ["something else"] = { "hello" },
    ["a binary message"] = { "\0\1", "binary" },
    ["a ping"] = { "x", "ping" },
  } do
    it(("answers %s with a health check"):format(name), function()
      local socket = fixture:connect("alice")
      socket:send(case[1], case[2])
      local check = socket:next()
      assert.same({ "health.check", "*", socket.id }, { check.type, check.cid, check.connection_id })
      assert.is_string(check.created_at)
      assert.is_nil(check.me)
    end)
  end

  it("has its user online as long as one is open", function()
    local function online()
      local _, body = fixture:call("server", "GET", "/users", nil, { payload = "{}" })
      return body.users[1].online
    end
    local first, second = fixture:connect("alice"), fixture:connect("alice")
    assert.is_true(online())
    first:close()
    assert.is_true(online())
    second:abort()
    http_client.wait("the server to notice", function() return fixture.server:stats().signed_in == 0 end)
    assert.is_false(online())
  end)

  it("is closed with 1001 when nothing comes from it for too long", function()
    local other = fixtures.start { idle_timeout = 0.3 }
    local socket = other:connect("alice")
    assert.equal(1001, socket:closed())
    other:stop()
  end)

  it("ends its watches and tells those who stay", function()
    fixture:users("alice", "bob")
    fixture:channel("messaging:lobby", { "alice", "bob" })
    local alice, bob = fixture:connect("alice"), fixture:connect("bob")
    fixture:watch(alice, "messaging:lobby")
    fixture:watch(bob, "messaging:lobby")
    for _, leave in ipairs { "close", "abort" } do
      alice[leave](alice)
      local stop = bob:expect("user.watching.stop")
      assert.same({ "alice", 1 }, { stop.user.id, stop.watcher_count })
      alice = fixture:connect("alice")
      fixture:watch(alice, "messaging:lobby")
    end
    assert.equal(2, fixture.server:stats().watches)
  end)
end)
