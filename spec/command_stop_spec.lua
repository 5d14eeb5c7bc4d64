--- How `stream-events serve` ends: in an orderly way, within its limit, or at once.
local command = require "support.command"
local fixtures = require "support.server"
local folders = require "support.folder"
local http_client = require "support.http_client"
local log = require "stream_events.command.log"
local native = require "stream_events.native"
local process = require "support.process"
local prometheus = require "support.prometheus"

local EVENT = "/channels/messaging/lobby/event"

describe("serve, told to stop", function()
  local own, fixture

  local function start(...)
    local url
    own, url = command.serve { ... }
    fixture = fixtures.attach {
      host = "127.0.0.1", port = tonumber(url:match ":(%d+)$"), api_key = "devkey",
      api_secret = "lan-dev-secret",
    }
    fixture:users("alice", "bob")
    fixture:channel("messaging:lobby", { "alice", "bob" })
  end

  after_each(function()
    fixture:stop()
    process.end_all()
  end)

  -- A request whose body is on its way. Gives what sends the rest.
  local function begin_request()
    local socket = http_client.dial("127.0.0.1", fixture.server.port)
    local body = '{"event":{"type":"last_words"}}'
    socket.tcp:write(("POST %s?api_key=devkey HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\n"
      .. "stream-auth-type: jwt\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"):format(
      EVENT, fixture:user_token "alice", #body))
    http_client.wait("the head to be read", function() return socket.received:find "100 Continue" end)
    socket.received = ""
    return socket, function() socket.tcp:write(body) end
  end

  local function until_refused()
    own:wait_for("stderr", "the server is stopping signal=sigterm")
    http_client.wait("the end of the listening socket", function()
      return not pcall(function() http_client.dial("127.0.0.1", fixture.server.port).close() end)
    end)
  end

  it("accepts nothing more, answers what is in flight, closes WebSockets with 1012, ends with 0", function()
    start()
    local socket = fixture:connect "bob"
    fixture:watch(socket, "messaging:lobby")
    local request, finish = begin_request()
    own:kill "sigterm"
    until_refused()
    assert.equal(1012, socket:closed())
    assert.is_nil(own.code)
    finish()
    http_client.wait("the answer", function() return request.ended end)
    assert.matches("^HTTP/1.1 201 Created\r\n", request.received)
    assert.matches('"type":"last_words"', request.received, 1, true)
    assert.equal(0, own:finish())
    assert.matches(" info  the server has stopped\n$", own.stderr)
  end)

  it("waits no longer than its limit for a request that never comes, and still ends with 0", function()
    start("--stop-timeout", "0.2", "--body-timeout", "3600")
    local request = begin_request()
    own:kill "sigterm"
    assert.equal(0, own:finish())
    http_client.wait("the end of the request", function() return request.ended end)
    assert.equal("", request.received)
  end)

  local function queued_bytes()
    local text = fixture.client:request("GET", "/metrics").text
    return prometheus.parse(text):value "stream_events_output_queued_bytes"
  end

  it("does not wait for clients that do not read", function()
    start("--stop-timeout", "0.2", "--max-event", "300000", "--max-output", "100000000")
    local socket = fixture:connect "bob"
    fixture:watch(socket, "messaging:lobby")
    socket.socket.tcp:read_stop()
    local text = ("x"):rep(250000)
    repeat
      assert.equal(201, (fixture:call("alice", "POST", EVENT, { event = { type = "flood", text = text } })))
    until queued_bytes() > 0
    own:kill "sigterm"
    assert.equal(0, own:finish())
    socket:abort()
  end)

  it("ends at once on a second signal", function()
    start("--stop-timeout", "3600", "--body-timeout", "3600")
    local request = begin_request()
    own:kill "sigterm"
    until_refused()
    own:kill "sigint"
    assert.equal(130, own:finish())
    request.close()
  end)

  it("has in its data what it answered last", function()
    local folder = folders.new()
    own = command.start { "serve", "--port", "0", "--data", folder:at "server.db" }
    local env = { STREAM_BASE_URL = own:wait_for("stdout", "listening on (%S+)\n") }
    fixture = fixtures.attach { host = "127.0.0.1", port = 1, api_key = "devkey", api_secret = "x" }
    assert.equal(0, command.run({ "send", "messaging:kept", "a", "--as", "jane" }, env).code)
    own:kill "sigterm"
    assert.equal(0, own:finish())
    local check = command.run { "serve", "--check-data", "--data", folder:at "server.db", "--json" }
    local report = native.json.decode(check.stdout)
    assert.same({ true, 1 }, { report.ok, report.documents.channel })
    folder:remove()
  end)

  it("goes on when whoever read its log has gone", function()
    start("--access-log")
    own.err:close()
    own.open = own.open - 1
    for _ = 1, 3 do assert.equal(200, fixture.client:request("GET", "/hi").status) end
    own:kill "sigterm"
    assert.equal(0, own:finish())
  end)
end)

describe("a line of the log", function()
  local fields = {
    a = "\27]0;owned\7", b = "\n2026 error x", c = "\u{9b}2J\u{202E}", d = "\255\254", e = 'q"\\',
    f = "\127", g = 7, h = 0.5, i = true, j = 0 / 0, k = ("x"):rep(10000),
    level = "fake", time = "fake", message = "fake",
  }

  it("holds any bytes as JSON", function()
    local line = log.line("json", "info", "m\n\27", fields)
    assert.is_nil(line:find "[%z\1-\31\127\194\226]")
    local entry = assert(native.json.decode(line))
    assert.same({ "info", "m\n\27", "fake", "fake", "fake" },
      { entry.level, entry.message, entry.level_, entry.time_, entry.message_ })
    assert.same({ fields.a, fields.b, fields.c, "??", fields.e, fields.f, 7, 0.5, true },
      { entry.a, entry.b, entry.c, entry.d, entry.e, entry.f, entry.g, entry.h, entry.i })
    assert.is_string(entry.j)
    assert.equal(8195, #entry.k)
  end)

  it("holds any bytes as text", function()
    local line = log.line("text", "info", "m\n\27", fields)
    assert.is_nil(line:find "[%c\128-\255]")
    assert.matches([[info  m\u000a\u001b a="\u001b]0;owned\u0007" b="\u000a2026 error x" c="\u009b2J\u202e"]],
      line, 1, true)
    assert.matches([[ d="??" e="q\"\\" f="\u007f" g=7 h=0.5 i=true]], line, 1, true)
  end)
end)

describe("the log of serve", function()
  local own, fixture
  after_each(function()
    fixture:stop()
    process.end_all()
  end)

  local function start(...)
    local url
    own, url = command.serve { "--access-log", ... }
    fixture = fixtures.attach {
      host = "127.0.0.1", port = tonumber(url:match ":(%d+)$"), api_key = "devkey",
      api_secret = "lan-dev-secret",
    }
  end

  -- A type that would end the line, steer the terminal, and begin another entry.
  local HOSTILE = 'a.\u{202E}\u{2028} b="x'

  local function send_hostile()
    fixture:users "alice"
    fixture:channel("messaging:lobby", { "alice" })
    assert.equal(201, (fixture:call("alice", "POST", EVENT, { event = { type = HOSTILE } })))
    fixture.client:request("GET", "/a%0A%1B[31m/%ff\"")
    local socket = fixture:connect "alice"
    socket:abort()
    own:kill "sigterm"
    assert.equal(0, own:finish())
  end

  it("is JSON, one object a line, with ids and without secrets", function()
    start("--log-format", "json")
    send_hostile()
    local entries, by_message = {}, {}
    for line in own.stderr:gmatch "([^\n]*)\n" do
      local entry = assert(native.json.decode(line), line)
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", entry.time)
      assert.is_string(entry.level)
      assert.is_string(entry.message)
      entries[#entries + 1] = entry
      by_message[entry.message] = entry
    end
    assert.matches("\n$", own.stderr)
    assert.is_nil(own.stderr:find "[%z\1-\9\11-\31\127\194\226]")
    assert.equal("the server is listening", entries[1].message)
    local dotted = by_message["a custom event type holds a '.', the mark of built-in types"]
    assert.same({ "warn", HOSTILE }, { dotted.level, dotted.type })
    local of_send
    for _, entry in ipairs(entries) do
      if entry.message == "request" and entry.endpoint == "SendEvent" then of_send = entry end
    end
    assert.equal(dotted.request_id, of_send.request_id)
    assert.same({ 201, "127.0.0.1", "alice" }, { of_send.status, of_send.address, of_send.user })
    assert.is_nil(own.stderr:find("eyJ", 1, true))
    assert.is_nil(own.stderr:find("lan-dev-secret", 1, true))
  end)

  it("leaves the address of the dashboard to standard output, when it is JSON", function()
    start("--log-format", "json")
    own:wait_for("stdout", "Dashboard: (http://%S+/dashboard#key=%x+)\n")
    assert.is_nil(own.stderr:find("Dashboard", 1, true))
    own:kill "sigterm"
    assert.equal(0, own:finish())
  end)

  it("is text, one entry a line, that steers no terminal", function()
    start()
    send_hostile()
    local lines = 0
    for line in own.stderr:gsub("^.-Dashboard[^\n]*\n", ""):gmatch "([^\n]*)\n" do
      lines = lines + 1
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ %l+ +%S", line)
      assert.is_nil(line:find "[%c\128-\255]")
    end
    assert.is_true(lines >= 6)
    assert.matches('type="a.\\u202e\\u2028 b=\\"x"', own.stderr, 1, true)
    assert.is_nil(own.stderr:find("eyJ", 1, true))
  end)

  it("leaves out what --log-level says", function()
    start("--log-level", "error", "--log-format", "json")
    send_hostile()
    assert.equal("", own.stderr)
  end)
end)
