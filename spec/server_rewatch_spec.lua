--- A client of many channels that was cut off from the real server, which limits calls as the hosted
-- service does: all that can be watched again is, and no call is refused for its rate.
local native = require "stream_events.native"
local relays = require "support.relay"
local servers = require "support.server"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"
local uv = require "luv"

local PATIENCE = 20 -- seconds: a guard, specs wait on conditions
local CHANNELS = 70 -- three calls, where a second may have two

local fixture, relay, client, refused

local function wait(condition, what)
  local ends = native.now() + PATIENCE
  while not condition() do
    assert(native.now() < ends, "waited in vain for " .. what)
    client:poll(0.001)
    uv.run "nowait"
  end
end

local function cid(i) return "messaging:c" .. i end

-- A client of alice's who watches all channels.
local function begin()
  fixture = servers.start {
    rate_limits = "hosted", rate_user_endpoints = "GetOrCreateChannel=100000",
    rate_app_endpoints = "GetOrCreateChannel=100000",
  }
  relay = relays.to(fixture.server.host, fixture.server.port)
  refused = 0
  relay.sees = function(_, bytes)
    for _ in bytes:gmatch "HTTP/1%.1 429 " do refused = refused + 1 end
  end
  fixture:users("alice", "bob")
  for i = 1, CHANNELS do fixture:channel(cid(i), { "bob", "alice" }) end
  client = assert(stream_events.new {
    api_key = "devkey", base_url = relay.url, random = function() return 0 end,
  })
  local left = CHANNELS + 1
  local function done(ok, err)
    assert(ok, err)
    left = left - 1
  end
  client:connect_user({ id = "alice" }, tokens.user("lan-dev-secret", "alice"), function(...)
    done(...)
    for i = 1, CHANNELS do client:channel("messaging", "c" .. i):watch(done) end
  end)
  wait(function() return left == 0 end, "the watches")
end

describe("a client of many channels that was cut off", function()
  before_each(begin)
  after_each(function()
    client:close()
    relay:close()
    fixture:stop()
  end)

  it("watches what there still is of them, below the rate, and says what it lost", function()
    local recovered, changed
    client:subscribe_for("connection.recovered", function(event) recovered = event end)
    client:subscribe_for("capabilities.changed", function(event) changed = event end)
    relay:cut()
    wait(function() return fixture.server:stats().watches == 0 end, "the end of the connection")
    assert(200 == fixture:call("server", "DELETE", "/channels/messaging/c7"))
    assert(201 == fixture:call("server", "POST", "/channels/messaging/c8", { remove_members = { "alice" } }))
    assert(201 == fixture:call("server", "POST", "/channels/messaging/c9",
      { data = { config_overrides = { typing_events = false } } }))
    wait(function() return recovered end, "connection.recovered")

    assert.equal(0, refused)
    assert.equal(CHANNELS - 2, #recovered.restored)
    local lost = {}
    for name, err in pairs(recovered.failed) do lost[name] = err.kind end
    assert.same({ [cid(7)] = "api", [cid(8)] = "api" }, lost)
    assert.equal(404, (fixture:call("server", "GET", "/channels/messaging/c7"))) -- not made anew
    assert.same({ CHANNELS - 2, CHANNELS - 2 }, { fixture.server:stats().watches, client:stats().watched })

    assert.equal(cid(9), changed.cid)
    assert.is_false(client:channel("messaging", "c9"):can "send-typing-events")
    assert.is_true(client:channel("messaging", "c9"):can "send-custom-events")

    local got
    client:channel("messaging", "c70"):subscribe_for("poke", function(event) got = event.user.id end)
    assert(201 == fixture:call("bob", "POST", "/channels/messaging/c70/event", { event = { type = "poke" } }))
    wait(function() return got end, "an event")
    assert.equal("bob", got)
  end)
end)
