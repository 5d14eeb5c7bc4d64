--- `stream-events doctor`: each check, seen to pass and seen to fail, at real servers and at false ones.
local command = require "support.command"
local folders = require "support.folder"
local native = require "stream_events.native"
local peers = require "support.peer"
local process = require "support.process"
local tls = require "support.tls"
local token = require "stream_events.token"

local SECRET = "doctor-secret-1"

local server, base_url

local function run(args, changes)
  local values = {
    STREAM_BASE_URL = base_url, STREAM_API_SECRET = SECRET, STREAM_CA_FILE = false, no_proxy = "127.0.0.1",
    http_proxy = false, https_proxy = false, HTTPS_PROXY = false, all_proxy = false, ALL_PROXY = false,
  }
  for name, value in pairs(changes or {}) do values[name] = value end
  return command.run({ "doctor", table.unpack(args) }, values)
end

-- What was found, by the names of the checks.
local function findings(changes, ...)
  local child = run({ "--json", "--timeout", "2", ... }, changes)
  assert.equal("", child.stderr)
  local answer = assert(native.json.decode(child.stdout))
  assert.equal(answer.failed == 0 and 0 or 1, child.code)
  assert.equal(answer.failed == 0, answer.ok)
  local found = {}
  for _, finding in ipairs(answer.checks) do found[finding.name] = finding end
  return found, answer
end

local function assert_finding(state, says, finding, advice)
  assert.equal(state, finding.state, finding.text)
  assert.matches(says, finding.text)
  if advice then assert.matches(advice, finding.advice) end
end

-- A server of nobody's: answers everything alike.
local function false_server(status, body, headers)
  return peers.http(function(_, connection) connection:answer(status, body, headers) end)
end

local function date(seconds)
  return os.date("!Date: %a, %d %b %Y %H:%M:%S GMT", math.floor(seconds))
end

describe("doctor", function()
  setup(function()
    server, base_url = command.serve { "--api-secret", SECRET }
  end)
  teardown(process.end_all)
  after_each(peers.stop_all)

  it("finds all well where it is, a line a check", function()
    local child = run {}
    assert.equal("", child.stderr)
    assert.equal(0, child.code, child.stdout)
    for _, name in ipairs {
      "lua", "plugin", "libraries", "lua libraries", "server files", "settings", "token", "dns", "tcp",
      "http", "clock", "secret", "websocket", "round trip",
    } do
      assert.matches("\nok    " .. name .. " +%S", "\n" .. child.stdout, 1)
    end
    assert.matches("\nskip  tls ", child.stdout)
    assert.matches("\n16 checks: 14 ok, 0 warnings, 0 failed, 2 skipped\n$", child.stdout)
    assert.is_nil(child.stdout:find("\27", 1, true))
  end)

  it("shows neither secrets nor tokens", function()
    local signed = token.user(SECRET, "joe")
    for _, args in ipairs { {}, { "--json" } } do
      local child = run(args, { STREAM_USER_TOKEN = signed })
      local all = child.stdout .. child.stderr
      assert.is_nil(all:find(SECRET, 1, true))
      assert.is_nil(all:find(signed:sub(1, 20), 1, true))
      assert.matches(("STREAM_API_SECRET set %%(%d characters%%)"):format(#SECRET), all)
    end
  end)

  it("deletes its channel, and leaves nothing at all when it is only to read", function()
    local env = { STREAM_BASE_URL = base_url, STREAM_API_SECRET = SECRET }
    local found = findings(nil, "--read-only", "--as", "reader")
    assert_finding("skip", "%-%-read%-only", found.websocket)
    assert_finding("skip", "%-%-read%-only", found["round trip"])
    assert_finding("warn", "does not exist", found.access, "Without %-%-read%-only")
    assert.is_nil(command.run({ "admin", "users", "list", "--json" }, env).stdout:find("reader", 1, true))
    assert_finding("ok", "came back", findings()["round trip"])
    assert.equal("[]\n", command.run({ "admin", "channels", "list", "--json" }, env).stdout)
  end)

  describe("settings", function()
    for what, case in pairs {
      ["no URL"] = { { STREAM_BASE_URL = "chat.example.com" }, "fail", "must begin with http" },
      ["a URL with a query"] =
        { { STREAM_BASE_URL = "http://127.0.0.1:1/?a=b" }, "fail", "STREAM_BASE_URL must" },
      ["no key for a server elsewhere"] =
        { { STREAM_BASE_URL = "https://chat.invalid" }, "fail", "STREAM_API_KEY is not set" },
      ["a key that cannot be one"] = { { STREAM_API_KEY = "a b" }, "fail", "STREAM_API_KEY is needed" },
      ["a file of certificates that is not there"] =
        { { STREAM_CA_FILE = "/nowhere/ca.pem" }, "fail", "no file /nowhere/ca.pem" },
      ["a secret with a line end"] =
        { { STREAM_API_SECRET = SECRET .. "\n" }, "warn", "STREAM_API_SECRET begins or ends with white" },
      ["a secret in quotes"] = { { STREAM_API_SECRET = '"x"' }, "warn", "has quotes around it" },
      ["the known secret elsewhere"] = {
        {
          STREAM_BASE_URL = "https://chat.invalid", STREAM_API_KEY = "k",
          STREAM_API_SECRET = "lan-dev-secret",
        },
        "warn", "everybody knows",
      },
      ["no TLS elsewhere"] =
        { { STREAM_BASE_URL = "http://chat.invalid", STREAM_API_KEY = "k" }, "warn", "in the clear" },
      ["neither secret nor token"] = {
        { STREAM_BASE_URL = "https://chat.invalid", STREAM_API_KEY = "k", STREAM_API_SECRET = false },
        "warn", "neither",
      },
    } do
      it("are looked at: " .. what, function()
        local found = findings(case[1], "--read-only")
        assert_finding(case[2], case[3], found.settings, "%a")
        if case[2] == "fail" then assert_finding("skip", "needs settings", found.dns) end
      end)
    end
  end)

  describe("a token", function()
    local function of(claims, secret) return { STREAM_USER_TOKEN = token.sign(secret or SECRET, claims) } end
    local now = math.floor(native.time())
    for what, case in pairs {
      ["is taken"] = { of { user_id = "joe" }, "ok", "for joe, for ever" },
      ["may be good for a while"] = { of { user_id = "joe", exp = now + 7200 }, "ok", "until %d%d%d%d%-" },
      ["may be gone soon"] = { of { user_id = "joe", exp = now + 200 }, "warn", "expires soon" },
      ["has expired"] = { of { user_id = "joe", exp = now - 10 }, "fail", "has expired" },
      ["is not valid yet"] = { of { user_id = "joe", iat = now + 3600 }, "fail", "not valid before" },
      ["is good for longer than there are calendars"] =
        { of { user_id = "joe", exp = 9007199254740992 }, "ok", "no calendar" },
      ["has an odd time"] = { of { user_id = "joe", exp = "soon" }, "fail", "no whole number" },
      ["has another secret's signature"] = { of({ user_id = "joe" }, "other"), "fail", "not signed with" },
      ["names nobody"] = { of { server = true }, "fail", "names no user" },
      ["is none"] = { { STREAM_USER_TOKEN = "hello" }, "fail", "is no token" },
      ["is a developer's"] =
        { { STREAM_USER_TOKEN = token.developer "joe" }, "warn", "developer token for joe" },
    } do
      it(what, function()
        local found = findings(case[1], "--read-only")
        assert_finding(case[2], case[3], found.token)
        if case[2] == "fail" then assert_finding("skip", "needs token", found.access) end
      end)
    end

    it("must be that of the user who is named", function()
      local found = findings(of { user_id = "joe" }, "--as", "jane", "--read-only")
      assert_finding("fail", "for joe, not for jane", found.token, "%-%-as joe")
    end)

    it("is refused by the service, which then is not connected to", function()
      local signed = token.sign("other", { user_id = "joe" })
      local found = findings { STREAM_USER_TOKEN = signed, STREAM_API_SECRET = false }
      assert_finding("ok", "for joe", found.token)
      assert_finding("skip", "another than the one of this machine", found.secret)
      assert_finding("fail", "code 43", found.access, "another secret")
      assert_finding("skip", "needs access", found.websocket)
    end)

    it("is enough where there is no secret", function()
      local found = findings { STREAM_USER_TOKEN = token.user(SECRET, "joe"), STREAM_API_SECRET = false }
      assert_finding("ok", "connected as joe", found.websocket)
      assert_finding("ok", "came back", found["round trip"])
    end)
  end)

  it("tells a wrong secret and a wrong key", function()
    local found = findings { STREAM_API_SECRET = "wrong" }
    assert_finding("fail", "code 43", found.secret, "STREAM_API_SECRET")
    assert_finding("skip", "needs secret", found.access)
    found = findings { STREAM_API_KEY = "wrong" }
    assert_finding("fail", "code 2", found.secret, "STREAM_API_KEY")
    assert_finding("skip", "needs access", found.websocket)
  end)

  describe("the way there", function()
    it("ends where nobody listens, and says what was not tried", function()
      local gone = peers.listen()
      local url = gone:url("http", "")
      gone:stop()
      local found, answer = findings { STREAM_BASE_URL = url }
      assert_finding("fail", "refuses connections", found.tcp, "stream%-events serve")
      assert.equal(1, answer.failed)
      for _, name in ipairs { "tls", "http", "clock", "secret", "access", "websocket", "round trip" } do
        assert_finding("skip", "not tried", found[name])
      end
    end)

    it("ends at a name that is none", function()
      local found = findings { STREAM_BASE_URL = "https://name.invalid", STREAM_API_KEY = "k" }
      assert_finding("fail", "name.invalid has no address: %l", found.dns, "STREAM_BASE_URL")
      assert_finding("skip", "needs dns", found.tcp)
    end)

    it("takes no longer than it is told where nobody answers", function()
      local found = findings({ STREAM_BASE_URL = peers.listen():url("http", "") }, "--timeout", "1")
      assert_finding("ok", "answers", found.tcp)
      assert_finding("fail", "1 second", found.http)
    end)

    it("is left to a proxy where there is one", function()
      local found = findings { http_proxy = "http://127.0.0.1:1", no_proxy = "" }
      assert_finding("ok", "proxy of http_proxy", found.dns)
      assert_finding("fail", "proxy", found.http, "http_proxy")
      assert_finding("ok", "127.0.0.1", findings { http_proxy = "http://127.0.0.1:1" }.dns)
    end)

    for what, case in pairs {
      ["a page of somebody's"] = { 200, "<html>", "no service of this protocol %(HTTP 200, text/html%)" },
      ["what is not found"] = { 404, "", "no service" },
      ["JSON of somebody's"] = { 200, '{"hello":1}', "no service" },
      ["a service in trouble"] = { 500, '{"code":-1,"duration":""}', "in trouble: HTTP 500" },
    } do
      it("leads to " .. what, function()
        local other = false_server(case[1], case[2], { "Content-Type: text/html" })
        assert_finding("fail", case[3], findings { STREAM_BASE_URL = other:url("http", "") }.http)
      end)
    end
  end)

  it("tells that the service wants fewer calls", function()
    local other = false_server(429, "slow down", { "Retry-After: 5", date(native.time()) })
    local found = findings({ STREAM_BASE_URL = other:url("http", "") }, "--read-only")
    assert_finding("warn", "fewer calls", found.http, "Wait")
  end)

  describe("the clock", function()
    for what, case in pairs {
      ["agrees"] = { 0, "ok", "agree" },
      ["is a little ahead"] = { -30, "warn", "%d+ s ahead of" },
      ["is far behind"] = { 3600, "fail", "%d+ s behind" },
    } do
      it(what, function()
        local other = peers.http(function(_, connection)
          connection:answer(200, '{"duration":"0.00ms"}', { date(native.time() + case[1]) })
        end)
        local found = findings({ STREAM_BASE_URL = other:url("http", "") }, "--read-only")
        assert_finding(case[2], case[3], found.clock, case[2] ~= "ok" and "NTP" or nil)
      end)
    end

    it("is not known where the server says nothing, or something else", function()
      for _, headers in ipairs { {}, { "Date: yesterday" }, { "Date: Sun, 99 Foo 1994 08:49:37 GMT" } } do
        local other = false_server(200, '{"duration":""}', headers)
        local found = findings({ STREAM_BASE_URL = other:url("http", "") }, "--read-only")
        assert_finding("warn", "does not say", found.clock)
      end
    end)
  end)

  describe("TLS", function()
    local certificates, stops = nil, {}

    setup(function()
      certificates = tls.certificates { own = "IP:127.0.0.1", other = "DNS:other.test" }
      tls.authority(certificates, "authority")
      tls.issue(certificates, "authority", "expired", "/CN=old", "IP:127.0.0.1", "20200101000000Z",
        "20210101000000Z")
      tls.issue(certificates, "authority", "long", "/CN=long", "IP:127.0.0.1", "20200101000000Z",
        "20491231000000Z")
    end)
    teardown(function() certificates.remove() end)
    after_each(function()
      for _, stop in ipairs(stops) do stop() end
      stops = {}
    end)

    local function before(name)
      local port, stop = tls.forward(certificates.path(name .. ".pem"), certificates.path(name .. ".key"),
        tonumber(base_url:match ":(%d+)$"))
      stops[#stops + 1] = stop
      return "https://127.0.0.1:" .. port
    end

    it("is refused with a certificate that nobody vouches for", function()
      local found = findings { STREAM_BASE_URL = before "own" }
      assert_finding("fail", "self%-signed.*%(trusting ", found.tls, "STREAM_CA_FILE")
      assert_finding("skip", "needs tls", found.http)
    end)

    it("works with the file that vouches for it, and tells whose it is and until when", function()
      local ca_file = certificates.path "authority.pem"
      local found, answer = findings { STREAM_BASE_URL = before "long", STREAM_CA_FILE = ca_file }
      assert_finding("ok", "^CN=long, from CN=authority, until 2049%-12%-31", found.tls)
      assert.matches("STREAM_CA_FILE " .. ca_file, found.tls.text, 1, true)
      assert_finding("ok", "came back", found["round trip"])
      assert.is_true(answer.ok)
    end)

    it("warns of a certificate that ends soon", function()
      local found = findings({ STREAM_BASE_URL = before "own", STREAM_CA_FILE = certificates.path "own.pem" },
        "--read-only")
      assert_finding("warn", ": 1 days? left$", found.tls, "renew")
    end)

    it("is refused with a certificate for another name, and one that has expired", function()
      local found = findings {
        STREAM_BASE_URL = before "other", STREAM_CA_FILE = certificates.path "other.pem",
      }
      assert_finding("fail", "for other names: other.test", found.tls, "names in the certificate")
      found = findings {
        STREAM_BASE_URL = before "expired", STREAM_CA_FILE = certificates.path "authority.pem",
      }
      assert_finding("fail", "has expired", found.tls)
    end)

    it("is not spoken by a server without", function()
      local found = findings { STREAM_BASE_URL = base_url:gsub("^http:", "https:") }
      assert_finding("fail", "does not speak TLS", found.tls, "http://")
    end)
  end)

  it("tells a WebSocket that is not let through", function()
    local other = peers.http(function(request, connection)
      if request.target:find "^/connect" then return connection:answer(403, "no") end
      connection:answer(200, '{"duration":"","app":{}}', { date(native.time()) })
    end)
    local found = findings { STREAM_BASE_URL = other:url("http", "") }
    assert_finding("ok", "secret", found.secret)
    assert_finding("fail", "403", found.websocket)
    assert_finding("skip", "needs websocket", found["round trip"])
  end)

  describe("the round trip", function()
    local env, restricted

    setup(function()
      local url
      restricted, url = command.serve { "--api-secret", SECRET }
      env = { STREAM_BASE_URL = url, STREAM_API_SECRET = SECRET }
    end)
    teardown(function() restricted:kill "sigkill" end)

    it("fails where custom events are switched off, and says how to switch them on", function()
      local switch = { "admin", "channel-types", "custom-events", "off", "messaging" }
      assert.equal(0, command.run(switch, env).code)
      assert_finding("fail", "code 18", findings(env)["round trip"], "Switch them on")
      assert.equal("[]\n", command.run({ "admin", "channels", "list", "--json" }, env).stdout)
      switch[4] = "on"
      assert.equal(0, command.run(switch, env).code)
    end)

    it("is not tried by who may make no channel", function()
      local child = command.run({ "admin", "grants", "remove", "messaging", "user", "create-channel" }, env)
      assert.equal(0, child.code, child.stderr)
      local found = findings {
        STREAM_BASE_URL = env.STREAM_BASE_URL, STREAM_API_SECRET = false,
        STREAM_USER_TOKEN = token.user(SECRET, "joe"),
      }
      assert_finding("warn", "joe may not make a channel", found["round trip"], "STREAM_API_SECRET")
      assert_finding("ok", "came back", findings(env)["round trip"])
    end)
  end)

  it("tells what is missing for the server", function()
    local folder = folders.new()
    folder:write("DBI.lua", "error('it is broken', 0)")
    local found = findings({ LUA_PATH = folder.path .. "/?.lua;" .. package.path }, "--read-only")
    assert_finding("fail", "^DBI: it is broken", found["server files"], "lua%-dbi%-sqlite3")
    folder:remove()
  end)

  describe("of parts that do not fit", function()
    local checks = {}
    for _, check in ipairs(require "stream_events.command.doctor.machine".CHECKS) do
      checks[check.name] = check.run
    end

    it("tells Lua modules and a C module of two versions", function()
      local loaded = package.loaded["stream_events"]
      package.loaded["stream_events"] = { version = "9.9.9" }
      local state, text, advice = checks.plugin()
      package.loaded["stream_events"] = loaded
      assert.equal("fail", state)
      assert.matches("9.9.9.*do not belong together", text)
      assert.matches("LUA_CPATH", advice)
    end)

    for what, case in pairs {
      ["no TLS"] = { { curl_tls = false }, "fail", "no TLS" },
      ["a libcurl older than at build time"] =
        { { curl = "8.1.0", curl_built_with = "8.2.0" }, "warn", "8.2.0" },
      ["an old libcurl"] = { { curl = "7.81.0" }, "warn", "7.81.0" },
      ["another OpenSSL"] = { { same_openssl = false }, "warn", "in the C module" },
      ["what is good"] = { {}, "ok", "8.5.0 with OpenSSL/3" },
    } do
      it("tells of " .. what, function()
        local fake = {
          curl = "8.5.0", curl_built_with = "7.1.0", curl_tls = "OpenSSL/3.0.1", same_openssl = true,
          openssl = "OpenSSL 3.0.2",
        }
        for name, value in pairs(case[1]) do fake[name] = value end
        rawset(native, "libraries", function() return fake end)
        local state, text = checks.libraries()
        rawset(native, "libraries", nil)
        assert.equal(case[2], state)
        assert.matches(case[3], text)
      end)
    end
  end)

  it("ends with 2 for what cannot be", function()
    for _, args in ipairs { { "--timeout", "0" }, { "--timeout", "61" }, { "now" } } do
      assert.equal(2, run(args).code)
    end
    assert_finding("fail", "user id", findings(nil, "--as", "a b").token, "%-%-as")
  end)

  it("is ended by Ctrl-C as shells count it", function()
    local asked
    local silent = peers.listen(function(connection)
      function connection.on_bytes() asked = true end
    end)
    local child = command.start({ "doctor" }, { STREAM_BASE_URL = silent:url("http", "") })
    process.wait(function() return asked end, "it has asked")
    child:kill "sigint"
    assert.equal(130, child:finish())
    assert.equal("", child.stderr)
  end)

  it("finds the server down once it is", function()
    server:kill "sigterm"
    server:finish()
    assert_finding("fail", "refuses connections", findings().tcp)
  end)
end)
