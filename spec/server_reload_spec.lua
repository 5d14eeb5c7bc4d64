--- Other options for a running server: what changes, what needs a restart, and what stays when
-- something is wrong.
local fixtures = require "support.server"
local folders = require "support.folder"
local http_client = require "support.http_client"

local EVENT = "/channels/messaging/lobby/event"
local GIVEN = { port = 0, data = ":memory:", api_key = "devkey", api_secret = "lan-dev-secret" }

describe("Server:reload", function()
  local fixture, folder, given

  local function start(options)
    given = {}
    for name, value in pairs(GIVEN) do given[name] = value end
    for name, value in pairs(options or {}) do given[name] = value end
    fixture = fixtures.start(given)
    given.logger = fixture.server.parts.options.logger
    fixture:users("alice")
    fixture:channel("messaging:lobby", { "alice" })
  end

  after_each(function()
    fixture:stop()
    if folder then folder:remove() end
    folder = nil
  end)

  local function reload(changes)
    for name, value in pairs(changes or {}) do given[name] = value end
    local result
    fixture.server:reload(given, function(report, err) result = { report, err } end)
    http_client.wait("the end of a reload", function() return result end)
    return result[1], result[2]
  end

  local function send(event)
    return (fixture:call("alice", "POST", EVENT, { event = event }))
  end

  it("changes what may change, and drops no connection", function()
    start()
    local socket = fixture:connect "alice"
    fixture:watch(socket, "messaging:lobby")
    assert.equal(201, send { type = "long", text = ("x"):rep(200) })
    local report = reload { max_event = 100, access_log = true, trusted_proxies = "10.0.0.1" }
    assert.same({ changed = { "access_log", "max_event", "trusted_proxies" }, restart = {} }, report)
    assert.same({ "info", "settings have changed", "access_log, max_event, trusted_proxies" },
      { fixture.log[1].level, fixture.log[1].message, fixture.log[1].fields.settings })
    assert.equal(413, send { type = "long", text = ("x"):rep(200) })
    assert.equal(201, send { type = "short" })
    socket:expect "short"
    assert.same({ changed = {}, restart = {} }, reload())
  end)

  it("gives back the default to what is left out", function()
    start { max_event = 100 }
    given.max_event = nil
    assert.same({ "max_event" }, reload().changed)
    assert.equal(201, send { type = "long", text = ("x"):rep(200) })
  end)

  it("names what needs a restart, and leaves that as it is", function()
    start()
    local report = reload { port = 1, api_secret = "another-secret", max_event = 200 }
    assert.same({ changed = { "max_event" }, restart = { "port", "api_secret" } }, report)
    local last = fixture.log[#fixture.log]
    assert.same({ "warn", "port, api_secret" }, { last.level, last.fields.settings })
    assert.equal(201, send { type = "flare" })
    assert.equal("lan-dev-secret", fixture.server.parts.options.api_secret)
  end)

  it("lets the listening socket have its new limits and time-outs, also for what is open", function()
    start { idle_timeout = 3600 }
    local socket = fixture:connect "alice"
    assert.same({ "max_connections", "max_body", "idle_timeout" },
      reload({ max_connections = 2, max_body = 50, idle_timeout = 0.05 }).changed)
    assert.equal(1001, socket:closed())
    assert.equal(413, send { type = "long", text = ("x"):rep(50) })
    fixture.client:close()
    fixture.client = http_client.new(fixture.server)
    http_client.wait("an empty server", function() return fixture.server:stats().connections == 0 end)
    reload { max_connections = 1 }
    assert.equal(200, fixture.client:request("GET", "/hi").status)
    local second = http_client.dial(fixture.server.host, fixture.server.port)
    http_client.wait("a refusal", function() return second.ended end)
    assert.matches("^HTTP/1.1 503 ", second.received)
  end)

  it("reads the rules again, and changes nothing when they cannot be used", function()
    folder = folders.new()
    local path = folder:write("rules.lua", 'default "drop"\nevent "flare" { extra = "keep" }\n')
    start { rules = path }
    assert.equal(403, send { type = "other" })
    folder:write("rules.lua", 'default "drop"\nevnt "flare" {}\n')
    local report, err = reload { max_event = 30 }
    assert.is_nil(report)
    assert.equal("rule", err.kind)
    assert.equal(201, send { type = "flare", text = ("x"):rep(30) })
    folder:write("rules.lua", 'default "drop"\nevent "other" { extra = "keep" }\n')
    assert.same({ "max_event" }, reload().changed)
    assert.equal(201, send { type = "other" })
    assert.equal(413, send { type = "other", text = ("x"):rep(30) })
    assert.equal(403, send { type = "flare" })
  end)

  it("raises for options that are wrong, and changes nothing", function()
    start()
    local function refuses(options, why)
      assert.error_matches(function() fixture.server:reload(options) end, why, 1, true)
    end
    refuses({ max_event = 30, idle_timeout = 0 }, "idle_timeout")
    refuses({ max_evnt = 30 }, 'did you mean "max_event"')
    assert.equal(201, send { type = "flare", text = ("x"):rep(30) })
  end)

  it("does nothing any more when the server is told to stop", function()
    start()
    fixture.server:stop()
    local report, err = reload { max_event = 30 }
    assert.is_nil(report)
    assert.equal("closed", err.kind)
  end)
end)
