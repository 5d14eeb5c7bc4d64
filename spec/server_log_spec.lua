--- The server's log: levels, the ids of requests, and what must not be in it.
local fixtures = require "support.server"
local http_client = require "support.http_client"
local logs = require "stream_events.server.log"
local native = require "stream_events.native"
local server = require "stream_events.server"

describe("the log", function()
  local lines, options
  before_each(function()
    lines = {}
    options = { log_level = "info", logger = function(level, message, fields)
      lines[#lines + 1] = { level = level, message = message, fields = fields }
    end }
  end)

  it("leaves out what is less important than the level, which may change", function()
    local log = logs.new(options)
    for _, level in ipairs { "debug", "info", "warn", "error" } do log(level, level) end
    assert.equal(3, #lines)
    options.log_level = "error"
    log("warn", "unheard")
    assert.equal(3, #lines)
    options.log_level = "debug"
    log("debug", "heard")
    assert.equal("heard", lines[4].message)
    assert.same({ debug = 1, info = 1, warn = 1, error = 1 }, log.counts)
  end)

  it("takes out tokens, credentials and the server's own secrets", function()
    options.api_secret, options.metrics_key = "s3cr(e)t%", "metrics-key"
    local log = logs.new(options)
    local fields = { url = "http://u:p@host/?authorization=abc", n = 7, error = "key metrics-key", b = true }
    log("info", "the secret is s3cr(e)t% and eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiYSJ9.c2ln", fields)
    assert.equal("the secret is [hidden] and [token]", lines[1].message)
    assert.same({
      url = "http://[credentials]@host/?authorization=[hidden]", n = 7, error = "key [hidden]", b = true,
    }, lines[1].fields)
    assert.equal("key metrics-key", fields.error)
  end)

  it("takes out secrets that a server has made up for itself", function()
    local started = assert(server.start { data = ":memory:", logger = options.logger })
    local parts = started.parts
    parts.log("info", parts.app.api_secret .. " " .. parts.dashboard.keys.key)
    assert.equal("[hidden] [hidden]", lines[#lines].message)
    local done
    started:stop(function() done = true end)
    http_client.wait("the end", function() return done end)
    http_client.settle()
  end)

  it("does not end what it was told of when the logger raises", function()
    options.logger = function() error "broken" end
    assert.has_no.errors(function() logs.new(options)("error", "x") end)
  end)
end)

describe("a request", function()
  local fixture
  before_each(function()
    fixture = fixtures.start()
    fixture:users("alice")
    fixture:channel("messaging:lobby", { "alice" })
  end)
  after_each(function() fixture:stop() end)

  local function hi(id)
    local answer = fixture.client:request("GET", "/hi", { headers = { ["x-client-request-id"] = id } })
    return answer.headers["x-request-id"]
  end

  it("has an id, its own or one that nobody else has", function()
    local first, second = hi(), hi()
    assert.matches("^%x+%-%d+$", first)
    assert.not_equal(first, second)
    assert.equal("0f4f1b0e-5d3c-4c55-9b43-2a8a6f0a7d11", hi "0f4f1b0e-5d3c-4c55-9b43-2a8a6f0a7d11")
    for _, id in ipairs { "", " ", "a b", "a\"b", ("x"):rep(65), "a\u{9b}b", "{}", "a,b" } do
      assert.matches("^%x+%-%d+$", hi(id))
    end
    assert.equal(("x"):rep(64), hi(("x"):rep(64)))
  end)

  it("has an id of its own however many there were", function()
    local seen = {}
    for i = 1, 2100 do
      local id = hi()
      assert.is_nil(seen[id], id)
      seen[id] = i
    end
  end)

  it("tells its id in refusals, too, with their own headers left alone", function()
    for _ = 1, 2 do
      local answer = fixture.client:request("DELETE", "/hi")
      assert.equal(405, answer.status)
      assert.equal("GET", answer.headers.allow)
      assert.matches("^%x+%-%d+$", answer.headers["x-request-id"])
    end
  end)

  it("leaves the headers alone that a route gives to all its answers", function()
    local always = { "X-Always: here" }
    fixture.server.parts.router:add { { "GET", "/always", endpoint = "Always", access = "open",
      handler = function() return 200, {}, always end } }
    for _ = 1, 2 do
      local answer = fixture.client:request("GET", "/always")
      assert.equal("here", answer.headers["x-always"])
      assert.matches("^%x+%-%d+$", answer.headers["x-request-id"])
    end
    assert.same({ "X-Always: here" }, always)
  end)

  it("is named in every line about it, and in none about others", function()
    fixture.client:request("POST", "/channels/messaging/lobby/event", {
      headers = { Authorization = fixture:user_token "alice", ["stream-auth-type"] = "jwt",
        ["x-client-request-id"] = "mine" },
      query = { api_key = "devkey" }, body = { event = { type = "with.dot" } },
    })
    assert.same({ "warn", "mine", "with.dot" },
      { fixture.log[1].level, fixture.log[1].fields.request_id, fixture.log[1].fields.type })
    fixture.server.parts.log("info", "later")
    assert.is_nil(fixture.log[2].fields.request_id)
    fixture.server.parts.options.access_log = true
    fixture.client:request("GET", "/hi", { headers = { ["x-client-request-id"] = "lan-dev-secret" } })
    assert.equal("[hidden]", fixture.log[3].fields.request_id)
  end)

  it("is not logged unless access_log says so, and then without its query", function()
    hi()
    assert.equal(0, #fixture.log)
    fixture.server.parts.options.access_log = true
    local socket = fixture:connect "alice"
    fixture:call("alice", "POST", "/channels/messaging/lobby/event", { event = { type = "flare" } })
    fixture:call("anonymous", "GET", "/nothing")
    local connect, send, nothing = table.unpack(fixture.log)
    assert.equal(3, #fixture.log)
    assert.same({ "GET", "/connect", 101, "Connect", "127.0.0.1", "alice" }, {
      connect.fields.method, connect.fields.path, connect.fields.status, connect.fields.endpoint,
      connect.fields.address, connect.fields.user,
    })
    assert.same({ 201, "SendEvent", "alice", "user" },
      { send.fields.status, send.fields.endpoint, send.fields.user, send.fields.by })
    assert.same({ 404, "/nothing" }, { nothing.fields.status, nothing.fields.path })
    assert.is_number(send.fields.milliseconds)
    assert.is_string(send.fields.request_id)
    local all = native.json.encode(fixture.log)
    for _, secret in ipairs { "eyJ", "api_key", "lan%-dev%-secret" } do assert.not_matches(secret, all) end
    socket:abort()
  end)
end)
