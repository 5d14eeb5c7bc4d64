--- GET /metrics and GET /healthz: what they say, and to whom.
local expositions = require "stream_events.server.exposition"
local fixtures = require "support.server"
local histograms = require "stream_events.server.histogram"
local hooks = require "support.hook"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local prometheus = require "support.prometheus"

local EVENT = "/channels/messaging/lobby/event"

describe("a histogram", function()
  it("puts each number into the first class that it does not exceed", function()
    local histogram = histograms.new { 1, 10 }
    for _, value in ipairs { 0, 1, 1.5, 10, 11, 1000 } do histogram:add(value) end
    assert.same({ 2, 2, 2 }, histogram.counts)
    assert.equal(1023.5, histogram.sum)
  end)

  it("does so whatever came before", function()
    local class_of = { [0] = 1, [1] = 1, [1.5] = 2, [10] = 2, [11] = 3, [100] = 3, [101] = 4 }
    for before in pairs(class_of) do
      for value, class in pairs(class_of) do
        local histogram = histograms.new { 1, 10, 100 }
        histogram:add(before)
        histogram:add(value)
        local expected = { 0, 0, 0, 0 }
        for _, each in ipairs { class_of[before], class } do expected[each] = expected[each] + 1 end
        assert.same(expected, histogram.counts)
      end
    end
  end)
end)

describe("the text of metrics", function()
  it("keeps hostile label values in their quotes", function()
    local out = expositions.new()
    local values = { 'a"} 1\nevil 2', "back\\slash", "\27[31m\r\0", "\255\254", "ä" }
    local samples = {}
    for i, value in ipairs(values) do samples[i] = { labels = { "v", value }, value = i } end
    out:family("gauge", "hostile", "Help.", samples)
    local metrics = prometheus.parse(out:text())
    assert.equal(1, metrics:value("hostile", { v = values[1] }))
    assert.equal(2, metrics:value("hostile", { v = values[2] }))
    assert.equal(3, metrics:value("hostile", { v = "?[31m??" }))
    assert.equal(4, metrics:value("hostile", { v = "??" }))
    assert.equal(5, metrics:value("hostile", { v = "ä" }))
  end)

  it("writes numbers as the format has them", function()
    local out = expositions.new()
    out:family("gauge", "a", "Help.", 2 ^ 53)
    out:family("gauge", "b", "Help.", 1 / 0)
    out:family("gauge", "c", "Help.", 0.1)
    assert.matches("\na 9.00719925474099e%+15\n.*\nb %+Inf\n.*\nc 0.1\n", out:text())
  end)
end)

describe("GET /metrics", function()
  local fixture
  local function start(options) fixture = fixtures.start(options) end
  after_each(function() fixture:stop() end)

  local function read(headers, query)
    return fixture.client:request("GET", "/metrics", { headers = headers, query = query })
  end

  local function metrics()
    local answer = read()
    assert.equal(200, answer.status)
    return prometheus.parse(answer.text), answer
  end

  it("counts connections, events by outcome, receivers, rule verdicts, requests and their time", function()
    start { rules = { default = "drop", events = { flare = { extra = "keep" } } } }
    fixture:users("alice", "bob", "carol")
    fixture:channel("messaging:lobby", { "alice", "bob" })
    local bob = fixture:connect "bob"
    fixture:watch(bob, "messaging:lobby")
    fixture:connect "bob"
    local hostile = 'x"} 1\n'
    for _, case in ipairs { { "alice", "flare", 201 }, { "alice", "flare", 201 }, { "alice", hostile, 400 },
      { "alice", "undeclared", 403 }, { "carol", "flare", 403 } } do
      assert.equal(case[3], (fixture:call(case[1], "POST", EVENT, { event = { type = case[2] } })))
    end
    fixture.client:request("GET", "/no/such/path")
    local found, answer = metrics()
    assert.equal(expositions.CONTENT_TYPE, answer.headers["content-type"])
    assert.equal("no-store", answer.headers["cache-control"])
    for _, case in ipairs {
      { 2, "connections", { kind = "websocket" } }, { 1, "connections", { kind = "http" } },
      { 3, "connections_accepted_total" }, { 0, "output_queued_bytes" }, { 2, "signed_in_connections" },
      { 1, "online_users" }, { 1, "watches" }, { 1, "channels" },
      { 2, "custom_events_total", { outcome = "accepted", reason = "" } },
      { 1, "custom_events_total", { outcome = "refused", reason = "undeclared-type" } },
      { 1, "custom_events_total", { outcome = "refused", reason = "not-allowed" } },
      { 0, "custom_event_receivers_bucket", { le = "0" } },
      { 2, "custom_event_receivers_bucket", { le = "1" } },
      { 2, "custom_event_receivers_sum" },
      { 2, "rule_verdicts_total", { verdict = "allow", reason = "" } },
      { 1, "rule_verdicts_total", { verdict = "drop", reason = "undeclared-type" } },
      { 2, "http_requests_total", { endpoint = "SendEvent", status = "201" } },
      { 2, "http_requests_total", { endpoint = "SendEvent", status = "403" } },
      { 2, "http_requests_total", { endpoint = "Connect", status = "101" } },
      { 1, "http_requests_total", { endpoint = "none", status = "404" } },
      { 5, "http_request_seconds_count", { endpoint = "SendEvent" } },
      { 1, "build_info", { version = native.version, lua = "Lua 5.4" } },
    } do
      assert.equal(case[1], found:value("stream_events_" .. case[2], case[3]), case[2])
    end
    assert.is_true(found:value "process_cpu_seconds_total" > 0)
    assert.is_true(found:value "stream_events_lua_heap_bytes" > 0)
    assert.is_true(found:value "stream_events_start_time_seconds" > 1.7e9)
    assert.is_nil(answer.text:find("undeclared\"", 1, true))
    assert.is_nil(answer.text:find("alice", 1, true))
  end)

  it("counts refused connects by the status they stand for", function()
    start()
    local socket = fixture:open {
      api_key = "devkey", authorization = "rubbish", ["stream-auth-type"] = "jwt",
    }
    assert.equal("connection.error", socket:next().type)
    assert.equal(1, metrics():value("stream_events_http_requests_total",
      { endpoint = "Connect", status = "401" }))
  end)

  it("counts what was written to the database: transactions, and what is alone, and no event", function()
    start()
    local name, store = "stream_events_database_commit_seconds_count", fixture.server.parts.store
    local function written(work)
      local before = metrics():value(name)
      work()
      return metrics():value(name) - before
    end
    assert.equal(1, written(function() store:put("app", "x", {}) end))
    assert.equal(1, written(function()
      store:transaction(function()
        for _ = 1, 3 do store:put("app", "x", {}) end
      end)
    end))
    fixture:users "alice"
    fixture:channel("messaging:lobby", { "alice" })
    assert.equal(0, written(function()
      assert.equal(201, (fixture:call("alice", "POST", EVENT, { event = { type = "flare" } })))
    end))
  end)

  it("counts what became of webhooks, by hook", function()
    start { webhook_retry = 0.001 }
    fixture:users "alice"
    fixture:channel("messaging:lobby", { "alice" })
    assert.equal(200, (fixture:call("server", "PATCH", "/app", { event_hooks = native.json.array { {
      id = "h", webhook_url = "http://127.0.0.1:1/", should_send_custom_events = true,
    } } })))
    assert.equal(201, (fixture:call("alice", "POST", EVENT, { event = { type = "flare" } })))
    http_client.wait("the end of a webhook", function()
      return fixture.server:stats().webhooks.failed == 1
    end)
    local found = metrics()
    local name = "stream_events_webhook_deliveries_total"
    assert.equal(1, found:value(name, { hook = "h", outcome = "failed" }))
    assert.equal(0, found:value(name, { hook = "h", outcome = "delivered" }))
    assert.equal(2, found:value("stream_events_webhook_attempts_total", { hook = "h" }))
  end)

  it("measures how long webhooks take, by hook", function()
    local held
    local hook = hooks.start(function(request)
      held = request
      return request.event.type == "later" and "hang" or 200
    end)
    finally(function() hook:stop() end)
    start()
    fixture:users "alice"
    fixture:channel("messaging:lobby", { "alice" })
    assert.equal(200, (fixture:call("server", "PATCH", "/app", { event_hooks = native.json.array { {
      id = "h", webhook_url = hook.url, should_send_custom_events = true,
    } } })))
    local function send(event_type)
      assert.equal(201, (fixture:call("alice", "POST", EVENT, { event = { type = event_type } })))
    end
    local function delivered(number)
      http_client.wait("a delivery", function()
        return fixture.server:stats().webhooks.delivered == number
      end)
      return metrics()
    end
    local name = "stream_events_webhook_delivery_seconds"
    send "now"
    local before = delivered(1)
    assert.equal(1, before:value(name .. "_count", { hook = "h" }))
    local sum = before:value(name .. "_sum", { hook = "h" })
    assert.is_true(sum > 0)
    send "later"
    hook:expect(2)
    assert.equal(1, metrics():value(name .. "_count", { hook = "h" }))
    held.reply(200)
    local after = delivered(2)
    assert.equal(2, after:value(name .. "_count", { hook = "h" }))
    assert.is_true(after:value(name .. "_sum", { hook = "h" }) > sum)
  end)

  it("is for this machine when there is no key, and not for who comes through a proxy on it", function()
    start()
    assert.equal(200, read().status)
    for _, header in ipairs { "X-Forwarded-For", "Forwarded", "X-Real-IP", "Via" } do
      local answer = read { [header] = "127.0.0.1" }
      assert.equal(401, answer.status, header)
      assert.equal('Bearer realm="metrics"', answer.headers["www-authenticate"])
      assert.is_nil(answer.text:find("stream_events_", 1, true))
    end
  end)

  it("is for a page that calls this machine by a name of its own no more than for strangers", function()
    start()
    fixture.client:close()
    local socket = http_client.dial("127.0.0.1", fixture.server.port)
    socket.tcp:write "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    http_client.wait("an answer", function() return socket.received:find "\r\n\r\n" end)
    assert.matches("^HTTP/1.1 401 ", socket.received)
    socket.close()
  end)

  it("is for who has the key, when there is one, and for backends", function()
    start { metrics_key = "scrape-me" }
    fixture:users "alice"
    local server = { Authorization = fixture:server_token(), ["stream-auth-type"] = "jwt" }
    local user = { Authorization = fixture:user_token "alice", ["stream-auth-type"] = "jwt" }
    for name, case in pairs {
      ["nothing"] = { nil, nil, 401 },
      ["the key"] = { { Authorization = "Bearer scrape-me" }, nil, 200 },
      ["the key in lower case"] = { { Authorization = "bearer scrape-me" }, nil, 200 },
      ["another key"] = { { Authorization = "Bearer scrape-you" }, nil, 401 },
      ["the beginning of the key"] = { { Authorization = "Bearer scrape" }, nil, 401 },
      ["no key"] = { { Authorization = "Bearer " }, nil, 401 },
      ["a backend"] = { server, { api_key = "devkey" }, 200 },
      ["a backend without an API key"] = { server, nil, 401 },
      ["a user"] = { user, { api_key = "devkey" }, 401 },
    } do
      assert.equal(case[3], read(case[1], case[2]).status, name)
    end
  end)
end)

describe("GET /healthz", function()
  it("is for everybody, and says ok", function()
    local fixture = fixtures.start()
    for _, headers in ipairs { {}, { ["X-Forwarded-For"] = "192.0.2.1" } } do
      local answer = fixture.client:request("GET", "/healthz", { headers = headers })
      assert.same({ 200, "ok" }, { answer.status, answer.body.status })
    end
    fixture:stop()
  end)

  it("says 503 when the database cannot be written, and tries it only once in a while", function()
    local fixture = fixtures.start()
    local store, tries, broken = fixture.server.parts.store, 0, true
    local health = fixture.server.parts.health
    function store.try_to_write()
      tries = tries + 1
      if broken then error "the disk is full" end
    end
    local answer = fixture.client:request("GET", "/healthz")
    assert.same({ 503, "database" }, { answer.status, answer.body.status })
    assert.equal(503, fixture.client:request("GET", "/healthz").status)
    assert.equal(1, tries)
    assert.matches("the disk is full", fixture.log[1].fields.error, 1, true)
    assert.is_nil(answer.text:find("disk", 1, true))
    broken, health.tried = false, nil
    assert.equal(200, fixture.client:request("GET", "/healthz").status)
    assert.equal("the database can be written again", fixture.log[2].message)
    assert.equal(2, #fixture.log)
    fixture:stop()
  end)

  it("finds a database that nobody may write", function()
    local fixture = fixtures.start()
    local store = fixture.server.parts.store
    assert.has_no.errors(function() store:try_to_write() end)
    store:close()
    assert.equal(503, fixture.client:request("GET", "/healthz").status)
    fixture:stop()
  end)

  it("says 503 to requests that were on their way when the server was told to stop", function()
    local fixture = fixtures.start()
    local socket = http_client.dial(fixture.server.host, fixture.server.port)
    socket.tcp:write "GET /healthz HTTP/1.1\r\n"
    http_client.wait("the connection", function() return fixture.server:stats().accepted == 1 end)
    http_client.settle()
    local done
    fixture.server:stop(function() done = true end)
    http_client.wait("the listening socket's end", function()
      return not pcall(http_client.dial, fixture.server.host, fixture.server.port)
    end)
    socket.tcp:write "Host: localhost\r\n\r\n"
    http_client.wait("an answer", function() return socket.received:find '"stopping"' end)
    assert.matches("^HTTP/1.1 503 ", socket.received)
    socket.close()
    http_client.wait("the end", function() return done end)
    http_client.settle()
  end)
end)
