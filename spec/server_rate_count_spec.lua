--- The counting of calls, with a clock of the spec's own: minutes, seconds, users, addresses, platforms.
local option_table = require "stream_events.server.options"
local rates = require "stream_events.server.rates"
local rate_settings = require "stream_events.server.rate_settings"

local ENDPOINTS = { SendEvent = true, Connect = true, CreateGuest = true, UpdateApp = true, Sync = true }
local START = 1767225600 -- at a full minute

local clock, options, counted, logged

-- Begins anew at a full minute.
local function open(given)
  given = given or {}
  given.rate_limits = "hosted"
  clock, logged = START, {}
  options = option_table.check(given, 1)
  counted = rates.new(options, ENDPOINTS, function(level, message, fields)
    logged[#logged + 1] = { level, message, fields }
  end, function() return clock end)
end

local function user(id) return { kind = "user", id = id } end
local SERVER, ANONYMOUS = { kind = "server" }, { kind = "anonymous", id = "!anon" }

local function take(caller, endpoint, address, sdk)
  return counted:take(clock, endpoint or "SendEvent", caller, address or "10.0.0.1", sdk)
end

-- Takes as many calls as there are, each in a second of its own where `spread` says so.
local function exhaust(caller, endpoint, address, sdk)
  local count = 0
  while take(caller, endpoint, address, sdk) do count = count + 1 end
  return count
end

local function headers_of(lines)
  local values = {}
  for _, line in ipairs(lines) do
    local name, value = line:match "^([^:]+): (.*)$"
    values[name] = tonumber(value)
  end
  return values
end

-- What the lines must say.
local function limit(most, left, reset, wait)
  return { ["X-RateLimit-Limit"] = most, ["X-RateLimit-Remaining"] = left, ["X-RateLimit-Reset"] = reset,
    ["Retry-After"] = wait }
end

describe("a user", function()
  it("may call an endpoint twice a second and sixty times a minute", function()
    open()
    local john, total = user "john", 0
    for second = 0, 59 do
      clock = START + second + 0.25
      local count = exhaust(john)
      assert.equal(second < 30 and 2 or 0, count, second)
      total = total + count
    end
    assert.equal(60, total)
    clock = START + 60
    assert.equal(2, exhaust(john))
  end)

  it("is told what is left of the minute, and when it ends", function()
    open()
    clock = START + 10.5
    assert.same(limit(60, 59, START + 60),
      headers_of(take(user "john")))
    clock = START + 11.5
    assert.equal(58, headers_of(take(user "john"))["X-RateLimit-Remaining"])
    clock = START + 65
    assert.same(limit(60, 59, START + 120),
      headers_of(take(user "john")))
  end)

  it("is told of the limit that is over: that of the second", function()
    open()
    clock = START + 10.5
    exhaust(user "john")
    local lines, failure = take(user "john")
    assert.is_nil(lines)
    assert.equal(9, failure.code)
    assert.equal(429, failure.status)
    assert.equal("Too many requests: a user may call this 2 times a second, try again in 1 s",
      failure.message)
    assert.same(limit(2, 0, START + 11, 1), headers_of(failure.headers))
  end)

  it("is told of the limit that is over: that of the minute", function()
    open { rate_user = 1 }
    clock = START + 10.5
    assert.equal(1, exhaust(user "john"))
    clock = START + 11.5
    local _, failure = take(user "john")
    assert.equal("Too many requests: a user may call this 1 time a minute, try again in 49 s",
      failure.message)
    assert.same(limit(1, 0, START + 60, 49), headers_of(failure.headers))
  end)

  it("loses nothing by calls that were refused", function()
    open()
    exhaust(user "john")
    for _ = 1, 1000 do assert.is_nil(take(user "john")) end
    clock = START + 1
    assert.equal(57, headers_of(take(user "john"))["X-RateLimit-Remaining"])
  end)

  it("has its own count, at each endpoint", function()
    open()
    assert.equal(2, exhaust(user "john"))
    assert.equal(2, exhaust(user "jane"))
    assert.equal(2, exhaust(user "john", "Connect"))
    assert.equal(2, exhaust { kind = "guest", id = "guest-1" })
    -- Whatever the name is, it is only a name.
    for _, name in ipairs { "__index", "constructor", "minute", "10.0.0.1" } do
      assert.equal(2, exhaust(user(name)))
    end
  end)

  it("is known by its id, wherever it calls from", function()
    open()
    take(user "john", "SendEvent", "10.0.0.1")
    take(user "john", "SendEvent", "10.0.0.2")
    assert.is_nil(take(user "john", "SendEvent", "10.0.0.3"))
  end)
end)

describe("callers without a user", function()
  it("are counted by address", function()
    open()
    assert.equal(2, exhaust(ANONYMOUS, "CreateGuest", "10.0.0.1"))
    assert.equal(2, exhaust(ANONYMOUS, "CreateGuest", "10.0.0.2"))
    local _, failure = take(ANONYMOUS, "CreateGuest", "10.0.0.2")
    assert.equal("Too many requests: an address may call this 2 times a second, try again in 1 s",
      failure.message)
  end)

  it("are counted by the first half of an IPv6 address", function()
    open()
    take(ANONYMOUS, "CreateGuest", "2001:db8:1:2::1")
    take(ANONYMOUS, "CreateGuest", "2001:db8:1:2:ffff:ffff:ffff:ffff")
    assert.is_nil(take(ANONYMOUS, "CreateGuest", "2001:db8:1:2:3::"))
    assert.is_table(take(ANONYMOUS, "CreateGuest", "2001:db8:1:3::1"))
  end)

  it("are told from a user whose id looks like an address", function()
    open()
    exhaust(ANONYMOUS, "SendEvent", "john")
    assert.equal(2, exhaust(user "john"))
  end)
end)

describe("the app", function()
  it("has limits for each platform, of the minute and of a thirtieth of it in a second", function()
    open { rate_user = 0 }
    assert.equal(334, exhaust(user "john")) -- 10000 / 30, rounded up
    local _, failure = take(user "jane")
    assert.equal("Too many requests: all clients of this kind together may call this 334 times a second, "
      .. "try again in 1 s", failure.message)
    assert.equal(334, exhaust(user "john", "SendEvent", nil, "stream-chat-android-client-6.0"))
    assert.equal(334, exhaust(SERVER))
    local total = 334
    for second = 1, 59 do
      clock = START + second
      total = total + exhaust(user "jane")
    end
    assert.equal(10000, total)
    assert.equal(0, headers_of(select(2, take(user "john")).headers)["X-RateLimit-Remaining"])
  end)

  for endpoint, most in pairs { SendEvent = 10000, Connect = 10000, CreateGuest = 1000, UpdateApp = 60 } do
    it(("allows %s %d times a minute"):format(endpoint, most), function()
      open()
      assert.equal(most, headers_of(take(SERVER, endpoint))["X-RateLimit-Limit"])
      assert.same({ limit = most, remaining = most - 1, reset = START + 60 },
        counted:describe({ "server_side" }, { endpoint }).server_side[endpoint])
    end)
  end

  it("is what a user is told of where it has less left than the user", function()
    open { rate_user = 600, rate_app_endpoints = "SendEvent=30" }
    assert.equal(30, headers_of(take(user "john"))["X-RateLimit-Limit"])
  end)

  it("is not counted down by what a user's own limit has refused", function()
    open()
    exhaust(user "john")
    assert.equal(9998, counted:describe({ "web" }, { "SendEvent" }).web.SendEvent.remaining)
  end)

  it("does not count a user down when it refuses", function()
    open { rate_app_endpoints = "SendEvent=30" } -- one in a second
    take(user "jane")
    assert.is_nil(take(user "john"))
    clock = START + 30
    take(user "jane")
    options.rate_app_endpoints = "SendEvent=3000"
    clock = START + 31
    assert.equal(59, headers_of(take(user "john"))["X-RateLimit-Remaining"])
  end)

  for sdk, platform in pairs {
    ["stream-chat-javascript-client-browser-9.0"] = "web",
    ["stream-chat-js-v9.49.0-node|client_bundle=x"] = "web",
    ["stream-chat-android-client-6.0|os=Android 14"] = "android",
    ["stream-chat-swift-client-v4.5"] = "ios",
    ["app|os=iOS 17|device=iPhone"] = "ios",
    ["stream-chat-unity-client-4.4.0|os=Android|platform=Android"] = "unity",
    ["stream-events-0.1"] = "web",
    ["axios/curios"] = "web",
    [("x"):rep(10000) .. "android"] = "web",
    [""] = "web",
  } do
    it(("counts %q as %s"):format(sdk:sub(1, 60), platform), function()
      open()
      take(user "john", "SendEvent", nil, sdk)
      for name, limits in pairs(counted:describe(nil, { "SendEvent" })) do
        assert.equal(name == platform and 9999 or 10000, limits.SendEvent.remaining, name)
      end
    end)
  end

  it("describes every endpoint that there is, and none that is not", function()
    open()
    local all = counted:describe()
    for _, platform in ipairs { "server_side", "android", "ios", "web", "unity" } do
      local names = {}
      for name, found in pairs(all[platform]) do
        names[name] = true
        assert.equal(found.limit, found.remaining)
      end
      assert.same(ENDPOINTS, names)
    end
    assert.same({ web = {} }, counted:describe({ "web" }, { "SendMessage", "__index" }))
  end)

  it("has no limits to describe when there are none", function()
    open()
    options.rate_limits = "off"
    assert.same({ web = {} }, counted:describe({ "web" }, { "SendEvent" }))
  end)
end)

describe("settings", function()
  it("give other numbers, for all endpoints or some; 0 is no limit", function()
    open { rate_user = 300, rate_user_endpoints = "Connect=30,Sync = 0",
      rate_app_endpoints = "Sync=0, Connect=90" }
    assert.equal(10, exhaust(user "john"))
    assert.equal(1, exhaust(user "john", "Connect"))
    assert.equal(2, exhaust(user "jane", "Connect") + exhaust(user "jill", "Connect"))
    assert.is_nil(take(user "june", "Connect") and take(user "juno", "Connect"))
    for _ = 1, 5000 do assert.same({}, take(user "john", "Sync")) end
  end)

  it("may change while it runs: by the next second the new ones are in force", function()
    open()
    exhaust(user "john")
    options.rate_user = 6000
    clock = START + 1
    assert.equal(200, exhaust(user "john"))
  end)

  it("that name an endpoint which is not there are told of, once", function()
    open { rate_user_endpoints = "SendEvnt=3" }
    for second = 0, 3 do
      clock = START + second
      take(user "john")
    end
    assert.same({ { "warn", "a rate is set for an endpoint that is not there",
      { endpoint = "SendEvnt", meant = "SendEvent" } } }, logged)
  end)

  for _, text in ipairs { "SendEvent", "SendEvent=", "=3", "SendEvent=-1", "SendEvent=1.5", "SendEvent=1e3",
    "SendEvent=10000000000", "SendEvent=1;Connect=2", "Send Event=1" } do
    it("are refused: " .. text, function()
      assert.matches("must name endpoints", rate_settings.wrong(text), 1, true)
      assert.error_matches(function() option_table.check({ rate_app_endpoints = text }, 1) end,
        'option "rate_app_endpoints" must name endpoints', 1, true)
    end)
  end
end)

describe("memory", function()
  it("is bounded: beyond so many callers in a minute the others share one's calls", function()
    open { rate_app_endpoints = "SendEvent=0,CreateGuest=0" }
    for i = 1, 100000 do take(user("u" .. i)) end
    assert.is_table(take(user "late"))
    assert.is_table(take(user "later"))
    assert.is_nil(take(user "latest"))
    assert.is_nil((take(user "late")))
    -- Those who were there before go on as before, and addresses have room of their own.
    assert.is_table(take(user "u1"))
    assert.is_nil((take(user "u1")))
    assert.equal(2, exhaust(ANONYMOUS, "CreateGuest", "10.9.9.9"))
    clock = START + 60
    assert.equal(2, exhaust(user "latest"))
  end)

  it("is given back when the minute is over", function()
    open { rate_app_endpoints = "SendEvent=0" }
    local function use()
      collectgarbage()
      return collectgarbage "count"
    end
    take(user "u")
    local before = use()
    for i = 1, 50000 do take(user("u" .. i)) end
    assert.is_true(use() > before + 1000)
    clock = START + 60
    take(user "u")
    assert.is_true(use() < before + 100)
  end)

  it("is not taken by hostile names of clients", function()
    open { rate_user = 0, rate_app_endpoints = "SendEvent=0" }
    collectgarbage()
    local before = collectgarbage "count"
    for i = 1, 20000 do counted:platform(user "john", ("sdk-%d-"):format(i) .. ("x"):rep(200)) end
    collectgarbage()
    assert.is_true(collectgarbage "count" < before + 1000)
  end)
end)

describe("failed authentications", function()
  local failures = require "stream_events.server.failure"

  it("of one address are answered as they are, up to a limit in a minute", function()
    open { max_auth_failures = 5 }
    local bad = failures.new(43, "signature is not valid")
    for _ = 1, 5 do assert.equal(bad, counted:auth_failed(clock, "10.0.0.1", bad)) end
    local refused = counted:auth_failed(clock, "10.0.0.1", bad)
    assert.equal(9, refused.code)
    assert.equal(429, refused.status)
    assert.equal("Too many failed attempts to authenticate: 5 a minute are allowed to an address",
      refused.message)
    assert.equal(60, headers_of(refused.headers)["Retry-After"])
    assert.equal(bad, counted:auth_failed(clock, "10.0.0.2", bad))
    clock = START + 60
    assert.equal(bad, counted:auth_failed(clock, "10.0.0.1", bad))
  end)

  it("are only those of who has no good token", function()
    open { max_auth_failures = 1 }
    for _, code in ipairs { 4, 40, 41, 42 } do -- malformed; a token that is good, at another time
      local other = failures.new(code, "something else")
      for _ = 1, 5 do assert.equal(other, counted:auth_failed(clock, "10.0.0.1", other)) end
    end
    for _, code in ipairs { 2, 5, 43 } do
      open { max_auth_failures = 1 }
      local bad = failures.new(code, "no good token")
      assert.equal(bad, counted:auth_failed(clock, "10.0.0.1", bad))
      assert.equal(9, counted:auth_failed(clock, "10.0.0.1", bad).code)
    end
  end)

  it("may be any number", function()
    open { max_auth_failures = 0 }
    local bad = failures.new(43, "signature is not valid")
    for _ = 1, 5000 do assert.equal(bad, counted:auth_failed(clock, "10.0.0.1", bad)) end
  end)
end)
