--- Rate limits of a real server: who is limited, what an answer says, what the plugin makes of it.
local native = require "stream_events.native"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"
local http_client = require "support.http_client"
local server_fixture = require "support.server"

local fixture
local PATIENCE = 20 -- seconds: a guard

local function start(options)
  fixture = server_fixture.start(options)
  fixture:users("john", "jane")
  fixture:channel("messaging:lobby", { "john", "jane" })
end

after_each(function()
  if fixture then fixture:stop() end
  fixture = nil
end)

-- The counts begin anew with every second and minute of the clock: does the work again, with another
-- server, when one of them has begun meanwhile.
local function within(seconds, options, work)
  local deadline = native.now() + PATIENCE
  while true do
    start(options)
    local begun = native.time() // seconds
    local ok, err = pcall(work)
    if native.time() // seconds == begun then
      if not ok then error(err, 0) end
      return
    end
    assert(native.now() < deadline, "no second was long enough")
    fixture:stop()
  end
end

-- One send is allowed in a minute.
local ONE = { rate_limits = "hosted", rate_user = 1 }

local function send(who, query)
  local status, body, answer = fixture:call(who, "POST", "/channels/messaging/lobby/event",
    { event = { type = "flare", user_id = who == "server" and "john" or nil } }, query)
  return status, body, answer.headers
end

local function has_headers(headers)
  return headers["x-ratelimit-limit"] ~= nil
end

describe("without the setting rate_limits", function()
  it("nothing is limited, and answers have no such headers", function()
    start()
    for _ = 1, 200 do
      local status, _, headers = send "john"
      assert.equal(201, status)
      assert.is_false(has_headers(headers))
    end
    local status, body = fixture:call("server", "GET", "/rate_limits")
    assert.equal(200, status)
    assert.same({}, body.web)
  end)
end)

describe("a user that calls too often", function()
  it("gets 429 with code 9, the endpoint's name, and when to come back", function()
    within(60, ONE, function()
      local status, _, headers = send "john"
      assert.equal(201, status)
      local reset = (native.time() // 60 + 1) * 60
      assert.equal("1", headers["x-ratelimit-limit"])
      assert.equal("0", headers["x-ratelimit-remaining"])
      assert.equal(reset, tonumber(headers["x-ratelimit-reset"]))
      assert.is_nil(headers["retry-after"])
      local body
      status, body, headers = send "john"
      assert.equal(429, status)
      assert.equal(9, body.code)
      assert.equal(429, body.StatusCode)
      assert.matches('^SendEvent failed with error: "Too many requests: a user may call this '
        .. '1 time a minute, try again in %d+ s"$', body.message)
      assert.equal("0", headers["x-ratelimit-remaining"])
      assert.equal(reset, tonumber(headers["x-ratelimit-reset"]))
      local wait = tonumber(headers["retry-after"])
      assert.is_true(wait >= 1 and wait <= 60)
      assert.is_string(headers["x-request-id"])
    end)
  end)

  it("is limited by the second as well", function()
    within(1, { rate_limits = "hosted" }, function()
      assert.equal(201, (send "john"))
      assert.equal(201, (send "john"))
      local status, body, headers = send "john"
      assert.equal(429, status)
      assert.matches("2 times a second", body.message, 1, true)
      assert.equal("1", headers["retry-after"])
    end)
  end)

  it("keeps others and other endpoints free, and backends, too", function()
    within(60, ONE, function()
      assert.equal(201, (send "john"))
      assert.equal(429, (send "john"))
      assert.equal(201, (send "jane"))
      assert.equal(200, (fixture:call("john", "GET", "/app")))
      for _ = 1, 10 do assert.equal(201, (send "server")) end
    end)
  end)

  it("is refused before its event is read, and that is noted", function()
    within(60, ONE, function()
      send "john"
      local seen = {}
      local stop = fixture.server.parts.outcomes:observe(function(outcome) seen[#seen + 1] = outcome end)
      local status, body = fixture:call("john", "POST", "/channels/messaging/lobby/event", "no JSON")
      assert.equal(429, status)
      assert.equal(9, body.code)
      stop()
      assert.equal(1, #seen)
      assert.equal("rate-limited", seen[1].reason)
      assert.equal("messaging:lobby", seen[1].cid)
      assert.equal("john", seen[1].sender)
      assert.is_nil(seen[1].type)
      assert.equal(1, fixture.server:stats().outcomes.reasons["rate-limited"])
    end)
  end)

  it("cannot send more by asking from elsewhere, or as another client", function()
    within(60, ONE, function()
      send "john"
      assert.equal(429, (send("john", { ["X-Stream-Client"] = "stream-chat-android-client-6.0" })))
      assert.equal(429, (send("john", { user_id = "jane" })))
    end)
  end)
end)

describe("the headers", function()
  for name, case in pairs {
    ["a success"] = { 201, "john", "POST", "/channels/messaging/lobby/query", {} },
    ["a body that is wrong"] = { 400, "john", "POST", "/channels/messaging/lobby/query", "no JSON" },
    ["what is not there"] = { 404, "john", "POST", "/channels/messaging/nowhere/event",
      { event = { type = "x" } } },
    ["what is not allowed"] = { 403, "john", "PATCH", "/app", {} },
    ["a backend's call"] = { 200, "server", "GET", "/app" },
  } do
    it("are in the answer to " .. name, function()
      start { rate_limits = "hosted" }
      local status, _, answer = fixture:call(case[2], case[3], case[4], case[5])
      assert.equal(case[1], status)
      assert.is_true(has_headers(answer.headers))
    end)
  end

  it("stand beside an answer's own", function()
    start { rate_limits = "hosted" }
    fixture.server.parts.router:add { { "GET", "/own", endpoint = "Own", handler = function()
      return 200, {}, { "X-Own: 1", "Cache-Control: no-store" }
    end } }
    local status, _, answer = fixture:call("john", "GET", "/own")
    assert.equal(200, status)
    assert.is_true(has_headers(answer.headers))
    assert.equal("1", answer.headers["x-own"])
    assert.equal("no-store", answer.headers["cache-control"])
  end)

  it("count down the limit of the app for a backend", function()
    within(60, { rate_limits = "hosted" }, function()
      for i = 1, 3 do
        local _, _, headers = send "server"
        assert.equal("10000", headers["x-ratelimit-limit"])
        assert.equal(tostring(10000 - i), headers["x-ratelimit-remaining"])
      end
    end)
  end)
end)

describe("the limit of the app", function()
  it("is for all users of a platform together", function()
    within(60, { rate_limits = "hosted", rate_app_endpoints = "SendEvent=1" }, function()
      local android = { ["X-Stream-Client"] = "stream-chat-android-client-6.0" }
      assert.equal(201, (send "john"))
      local status, body = send "jane"
      assert.equal(429, status)
      assert.matches("all clients of this kind together", body.message, 1, true)
      assert.equal(201, (send("jane", android)))
      assert.equal(429, (send("john", android)))
      assert.equal(201, (send "server"))
      assert.equal(429, (send "server"))
    end)
  end)
end)

describe("callers without a user", function()
  local function guest(headers)
    local all = { ["stream-auth-type"] = "anonymous" }
    for name, value in pairs(headers or {}) do all[name] = value end
    return fixture.client:request("POST", "/guest", { query = { api_key = "devkey" }, headers = all,
      body = { user = { id = "g" } } }).status
  end

  it("are limited by their address: nobody fills the server with guests", function()
    within(60, ONE, function()
      assert.equal(201, guest())
      assert.equal(429, guest())
    end)
  end)

  it("are known behind a trusted proxy, and cannot make up an address elsewhere", function()
    within(60, { rate_limits = "hosted", rate_user = 1, trusted_proxies = "127.0.0.1" }, function()
      assert.equal(201, guest { ["X-Forwarded-For"] = "192.0.2.1" })
      assert.equal(429, guest { ["X-Forwarded-For"] = "192.0.2.1" })
      assert.equal(201, guest { ["X-Forwarded-For"] = "192.0.2.2" })
    end)
    fixture:stop()
    within(60, ONE, function()
      assert.equal(201, guest { ["X-Forwarded-For"] = "192.0.2.1" })
      assert.equal(429, guest { ["X-Forwarded-For"] = "192.0.2.2" })
    end)
  end)
end)

describe("a WebSocket", function()
  local function refused(parameters)
    parameters.api_key = "devkey"
    local socket = fixture:open(parameters)
    local first = socket:next()
    assert.equal("connection.error", first.type)
    assert.equal(1000, socket:closed())
    return first.error
  end

  it("is refused in its first frame with code 9, and its user is left alone", function()
    within(60, ONE, function()
      fixture:connect("john", { name = "John" })
      local err = refused { authorization = fixture:user_token "john", json = {
        user_details = { id = "john", name = "Another" },
      } }
      assert.equal(9, err.code)
      assert.equal(429, err.StatusCode)
      assert.matches("^Connect failed with error: \"Too many requests: a user ", err.message)
      local _, body = fixture:call("server", "GET", "/users",
        nil, { payload = { filter_conditions = { id = "john" } } })
      assert.equal("John", body.users[1].name)
      assert.equal(1, fixture.server:stats().signed_in)
      fixture:connect "jane"
    end)
  end)

  it("of nobody in particular is refused by address", function()
    within(60, ONE, function()
      fixture:connect "anonymous"
      local err = refused { ["stream-auth-type"] = "anonymous" }
      assert.equal(9, err.code)
      assert.matches("an address may call this", err.message, 1, true)
    end)
  end)

  for name, place in pairs {
    ["the query"] = function(sdk) return { ["X-Stream-Client"] = sdk, json = {} } end,
    ["its json"] = function(sdk) return { json = { ["X-Stream-Client"] = sdk } } end,
  } do
    it("belongs to the platform that it names in " .. name, function()
      within(60, { rate_limits = "hosted" }, function()
        local parameters = place "stream-chat-android-client-6.0"
        parameters.api_key, parameters.authorization = "devkey", fixture:user_token "john"
        fixture:open(parameters):next()
        local _, body = fixture:call("server", "GET", "/rate_limits", nil, { endpoints = "Connect" })
        assert.equal(9999, body.android.Connect.remaining)
        assert.equal(10000, body.web.Connect.remaining)
      end)
    end)
  end

  for name, sdk in pairs { ["a number"] = 5, ["an object"] = {}, ["true"] = true } do
    it("belongs to the Web when it names its platform with " .. name, function()
      within(60, { rate_limits = "hosted" }, function()
        local socket = fixture:open {
          api_key = "devkey", authorization = fixture:user_token "john", json = { ["X-Stream-Client"] = sdk },
        }
        assert.equal("health.check", socket:next().type)
        local _, body = fixture:call("server", "GET", "/rate_limits", nil, { endpoints = "Connect" })
        assert.equal(9999, body.web.Connect.remaining)
      end)
    end)
  end
end)

describe("failed authentications", function()
  local BAD = tokens.user("another secret", "john")

  local function bad_call()
    return fixture.client:request("GET", "/app", { query = { api_key = "devkey" },
      headers = { Authorization = BAD, ["stream-auth-type"] = "jwt" } })
  end

  it("are bounded for an address, whether rates are limited or not; who has a good token goes on", function()
    within(60, { max_auth_failures = 3 }, function()
      for _ = 1, 3 do
        local answer = bad_call()
        assert.equal(401, answer.status)
        assert.equal(43, answer.body.code)
      end
      local answer = bad_call()
      assert.equal(429, answer.status)
      assert.equal(9, answer.body.code)
      assert.is_truthy(tonumber(answer.headers["retry-after"]))
      local socket = fixture:open { api_key = "devkey", authorization = BAD }
      assert.equal(9, socket:next().error.code)
      socket:closed()
      assert.equal(201, (send "john"))
      fixture:connect "john"
    end)
  end)

  it("of WebSockets count as those of calls", function()
    within(60, { max_auth_failures = 1 }, function()
      assert.equal(43, fixture:open({ api_key = "devkey", authorization = BAD }):next().error.code)
      assert.equal(429, bad_call().status)
    end)
  end)

  it("say nothing about another key either, once there were too many", function()
    within(60, { max_auth_failures = 1 }, function()
      local function call()
        return fixture.client:request("GET", "/app", { query = { api_key = "wrong" } }).body.code
      end
      assert.equal(2, call())
      assert.equal(9, call())
    end)
  end)

  it("are wrong keys for the metrics, too; the right one is let in", function()
    within(60, { max_auth_failures = 1, metrics_key = "scrape-me" }, function()
      local function status(key)
        local headers = { Authorization = "Bearer " .. key }
        return fixture.client:request("GET", "/metrics", { headers = headers }).status
      end
      assert.same({ 401, 429, 200 }, { status "wrong", status "wrong", status "scrape-me" })
    end)
  end)

  it("are not those whose token is too old: they get to know", function()
    within(60, { max_auth_failures = 1 }, function()
      local old = fixture:user_token("john", { exp = 1 })
      for _ = 1, 3 do
        local answer = fixture.client:request("GET", "/app", { query = { api_key = "devkey" },
          headers = { Authorization = old, ["stream-auth-type"] = "jwt" } })
        assert.equal(40, answer.body.code)
      end
    end)
  end)
end)

describe("GET /rate_limits", function()
  it("tells backends what is left, by platform and endpoint", function()
    within(60, { rate_limits = "hosted" }, function()
      send "john"
      send "server"
      local status, body = fixture:call("server", "GET", "/rate_limits", nil,
        { server_side = "true", web = "true", endpoints = "SendEvent,Connect" })
      assert.equal(200, status)
      local reset = math.tointeger((native.time() // 60 + 1) * 60)
      assert.is_string(body.duration)
      body.duration = nil
      assert.same({
        server_side = { SendEvent = { limit = 10000, remaining = 9999, reset = reset },
          Connect = { limit = 10000, remaining = 10000, reset = reset } },
        web = { SendEvent = { limit = 10000, remaining = 9999, reset = reset },
          Connect = { limit = 10000, remaining = 10000, reset = reset } },
      }, body)
    end)
  end)

  it("tells all of all when nothing in particular is asked for", function()
    start { rate_limits = "hosted" }
    local _, body = fixture:call("server", "GET", "/rate_limits")
    for _, platform in ipairs { "server_side", "android", "ios", "web", "unity" } do
      for _, endpoint in ipairs { "SendEvent", "SendUserCustomEvent", "Connect", "GetOrCreateChannel",
        "StopWatchingChannel", "Sync", "UpdateApp" } do
        assert.is_table(body[platform][endpoint], platform .. " " .. endpoint)
      end
      for _, endpoint in ipairs { "Hi", "Health", "Metrics", "Dashboard" } do -- are not limited
        assert.is_nil(body[platform][endpoint], platform .. " " .. endpoint)
      end
    end
  end)

  for name, query in pairs {
    ["a switch that is none"] = { web = "perhaps" },
    ["too many endpoints"] = { endpoints = ("SendEvent,"):rep(201) },
  } do
    it("refuses " .. name, function()
      start { rate_limits = "hosted" }
      local status, body = fixture:call("server", "GET", "/rate_limits", nil, query)
      assert.equal(400, status)
      assert.equal(4, body.code)
      assert.matches("^GetRateLimits failed with error: ", body.message)
    end)
  end

  it("is not for users", function()
    start { rate_limits = "hosted" }
    local status, body = fixture:call("john", "GET", "/rate_limits")
    assert.equal(403, status)
    assert.equal(17, body.code)
  end)
end)

describe("the settings of a running server", function()
  it("that name an endpoint which is not there are warned of at once, and so after a reload", function()
    local logged = {}
    local function logger(level, message, fields)
      if level == "warn" and fields.endpoint then
        logged[#logged + 1] = ("%s: %s"):format(message, fields.endpoint)
      end
    end
    start { rate_user_endpoints = "SendEvents=5", logger = logger }
    local done
    fixture.server:reload({ rate_app_endpoints = "Conect=5", logger = logger }, function() done = true end)
    http_client.wait("the new settings", function() return done end)
    assert.same({
      "a rate is set for an endpoint that is not there: SendEvents",
      "a rate is set for an endpoint that is not there: Conect",
    }, logged)
  end)

  it("may change: off takes effect at once", function()
    within(60, ONE, function()
      send "john"
      assert.equal(429, (send "john"))
      local done
      local options = { api_key = "devkey", api_secret = "lan-dev-secret", rate_limits = "off" }
      fixture.server:reload(options, function() done = true end)
      http_client.wait("the new settings", function() return done end)
      local status, _, headers = send "john"
      assert.equal(201, status)
      assert.is_false(has_headers(headers))
    end)
  end)
end)

describe("the plugin", function()
  -- The server runs in this process: the client must not wait by itself.
  local function result_of(client, call)
    local got
    call(function(...) got = table.pack(...) end)
    http_client.wait("the client's result", function()
      client:poll(0)
      return got
    end)
    return table.unpack(got, 1, got.n)
  end

  it("makes an error of it that says when to try again", function()
    within(60, ONE, function()
      -- No time to wait until it may send again.
      local client = stream_events.new {
        api_key = "devkey", base_url = fixture.server.url, timeouts = { request = 1 },
      }
      assert(result_of(client, function(back)
        client:connect_user({ id = "john" }, fixture:user_token "john", back)
      end))
      local channel = client:channel("messaging", "lobby")
      assert(result_of(client, function(back) channel:watch(back) end))
      assert.equal(201, (send "john"))
      local sent, err = result_of(client, function(back) channel:send_event("flare", { x = 2 }, back) end)
      assert.is_nil(sent)
      assert.equal("api", err.kind)
      assert.equal(9, err.code)
      assert.equal(429, err.status)
      assert.is_true(err.retryable)
      assert.is_true(err.retry_after >= 1 and err.retry_after <= 60)
      assert.matches("^Too many calls: wait retry_after seconds", err.hint)
      sent, err = result_of(client, function(back) channel:send_event("flare", { x = 3 }, back) end)
      assert.is_nil(sent) -- and the server was not even asked
      assert.same({ "full", 9, true }, { err.kind, err.code, err.retryable })
      assert.is_true(err.retry_after > 0 and err.retry_after <= 60)
      client:close()
    end)
  end)

  it("lets a backend ask what is left", function()
    within(60, { rate_limits = "hosted" }, function()
      send "john"
      local client = stream_events.new { api_key = "devkey", secret = "lan-dev-secret",
        base_url = fixture.server.url }
      local limits = assert(result_of(client, function(back)
        client:rate_limits({ endpoints = { "SendEvent" }, web = true }, back)
      end))
      assert.equal(9999, limits.web.SendEvent.remaining)
      assert.is_nil(limits.server_side)
      client:close()
    end)
  end)

  it("says so when it may not connect", function()
    within(60, ONE, function()
      fixture:connect "john"
      local client = stream_events.new { api_key = "devkey", base_url = fixture.server.url }
      local me, err = result_of(client, function(back)
        client:connect_user({ id = "john" }, fixture:user_token "john", back)
      end)
      assert.is_nil(me)
      assert.equal("api", err.kind)
      assert.equal(9, err.code)
      assert.is_true(err.retryable)
      client:close()
    end)
  end)
end)
