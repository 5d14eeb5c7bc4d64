--- The server's HTTP side: routes, who may call, refusals and their envelopes, hostile requests.
local DBI = require "DBI"
local http = require "stream_events.server.http"
local listener = require "stream_events.server.listener"
local logs = require "stream_events.server.log"
local native = require "stream_events.native"
local proxies = require "stream_events.server.proxies"
local requests = require "stream_events.server.requests"
local server = require "stream_events.server"
local fixtures = require "support.server"
local http_client = require "support.http_client"
local store = require "stream_events.server.store"
local token = require "stream_events.token"
local url = require "stream_events.server.url"

local SECRET = "lan-dev-secret"
local USER, SERVER = token.user(SECRET, "alice"), token.server(SECRET)

describe("url", function()
  for text, expected in pairs {
    ["plain"] = "plain", ["a%20b"] = "a b", ["%21x"] = "!x", ["%41%42"] = "AB", ["%c3%A9"] = "é",
    ["%"] = false, ["%4"] = false, ["a%zz"] = false, ["%4g"] = false, ["ok%"] = false, ["%%41"] = false,
  } do
    it(("decodes %q or refuses it"):format(text), function()
      assert.equal(expected or nil, url.decode(text))
    end)
  end

  it("takes a query string apart", function()
    assert.same({ a = "1", b = "x y", c = "", ["d&"] = "=" }, url.query("a=1&b=x+y&c&&d%26=%3D"))
  end)

  it("takes 64 parameters and no more", function()
    local parts = {}
    for i = 1, 65 do parts[i] = "p" .. i end
    assert.equal("", url.query(table.concat(parts, "&", 1, 64)).p64)
    local query, failure = url.query(table.concat(parts, "&"))
    assert.is_nil(query)
    assert.equal(4, failure.code)
  end)

  it("refuses a parameter that is given twice", function()
    local query, failure = url.query("a=1&b=2&a=1")
    assert.is_nil(query)
    assert.equal(4, failure.code)
  end)
end)

describe("the duration in an answer", function()
  local now = native.now
  after_each(function() native.now = now end)

  it("is in milliseconds, to a hundredth", function()
    for seconds, expected in pairs {
      [0] = "0.00ms", [0.000004] = "0.00ms", [0.000006] = "0.01ms", [0.00123] = "1.23ms",
      [0.00999] = "9.99ms", [0.01] = "10.00ms", [1.5] = "1500.00ms", [100000.25] = "100000250.00ms",
    } do
      native.now = function() return 4096 + seconds end
      for _ = 1, 2 do assert.equal(expected, http.duration(4096)) end
    end
  end)
end)

describe("the server over HTTP", function()
  local fixture
  setup(function()
    fixture = fixtures.start { max_body = 20000 }
    fixture:users("alice", "bob")
    fixture:channel("messaging:lobby", { "alice" })
  end)
  teardown(function() fixture:stop() end)

  local function refused(answer, status, code)
    assert.same({ status, code }, { answer.status, answer.body and answer.body.code })
    assert.equal(status, answer.body.StatusCode)
    assert.is_string(answer.body.message)
    assert.is_string(answer.body.duration)
    assert.matches("%[%]", answer.text:match('"details":(%b[])'))
    assert.is_string(answer.body.more_info)
  end

  it("answers GET /hi to everybody, without a key", function()
    local answer = fixture.client:request("GET", "/hi")
    assert.equal(200, answer.status)
    assert.matches("^%d+%.%d%dms$", answer.body.duration)
    assert.matches("^application/json", answer.headers["content-type"])
  end)

  local JWT = { Authorization = USER, ["stream-auth-type"] = "jwt" }
  local BACKEND = { Authorization = SERVER, ["stream-auth-type"] = "jwt" }
  local KEY = { api_key = "devkey" }
  local SYNC = "/sync"
  local function with(text) return { Authorization = text, ["stream-auth-type"] = "jwt" } end

  -- Each: method, target, headers, body, then the status and the code of the refusal.
  local cases = {
    ["an unknown path"] = { "GET", "/nothing", {}, nil, 404, 16 },
    ["the root"] = { "GET", "/", {}, nil, 404, 16 },
    ["a path that is longer than a route"] = { "POST", "/sync/more", {}, nil, 404, 16 },
    ["a slash at the end"] = { "POST", "/sync/?api_key=devkey", JWT, "{}", 404, 16 },
    ["a path with too many segments"] = { "GET", ("/a"):rep(500), {}, nil, 404, 16 },
    ["an empty path parameter"] = { "POST", "/channels//lobby/query?api_key=devkey", JWT, "{}", 404, 16 },
    ["a wrong method"] = { "DELETE", "/sync", {}, nil, 405, 16 },
    ["another wrong method"] = { "PUT", "/channels/messaging/lobby/event", {}, "{}", 405, 16 },
    ["a path that is not encoded correctly"] = { "GET", "/channels/%zz/lobby", {}, nil, 400, 4 },
    ["a query that is not encoded correctly"] = { "POST", "/sync?api_key=%f", JWT, "{}", 400, 4 },
    ["a parameter given twice"] = { "POST", "/sync?api_key=devkey&api_key=x", JWT, "{}", 400, 4 },
    ["a path that is not UTF-8"] = { "GET", "/%ff", {}, nil, 404, 16 },
    ["a parameter that is not UTF-8 and given twice"] =
      { "POST", "/sync?%ff=1&%ff=2", JWT, "{}", 400, 4 },
    ["a key that is not UTF-8"] = { "POST", "/sync?api_key=%ff", JWT, "{}", 401, 2 },
    ["a connection id that is not UTF-8"] = { "POST",
      "/channels/messaging/lobby/query?api_key=devkey&connection_id=%ff", JWT, '{"watch":true}', 400, 46 },
    ["a user id that is not UTF-8"] =
      { "POST", "/users/%ff/event?api_key=devkey", BACKEND, '{"event":{"type":"x"}}', 400, 4 },
    ["a payload that is not UTF-8"] = { "GET", "/users?api_key=devkey&payload=%ff", BACKEND, nil, 400, 4 },
    ["no API key"] = { "POST", "/sync", JWT, "{}", 401, 2 },
    ["an empty API key"] = { "POST", "/sync?api_key=", JWT, "{}", 401, 2 },
    ["the key of another app"] = { "POST", "/sync?api_key=other", JWT, "{}", 401, 2 },
    ["no token"] = { "POST", "/sync?api_key=devkey", {}, "{}", 401, 5 },
    ["a token that is none"] = { "POST", "/sync?api_key=devkey", with "abc", "{}", 401, 5 },
    ["an expired token"] = { "POST", "/sync?api_key=devkey",
      with(token.user(SECRET, "alice", { exp = os.time() - 10 })), "{}", 401, 40 },
    ["a token signed with another secret"] =
      { "POST", "/sync?api_key=devkey", with(token.user("other", "alice")), "{}", 401, 43 },
    ["an unsigned token"] =
      { "POST", "/sync?api_key=devkey", with(USER:match("^(.*%.)")), "{}", 401, false },
    ["a developer token"] = { "POST", "/sync?api_key=devkey", with(token.developer "alice"), "{}", 401, 5 },
    ["a body that is no JSON"] = { "POST", "/sync?api_key=devkey", JWT, "{", 400, 4 },
    ["a body with text behind it"] = { "POST", "/sync?api_key=devkey", JWT, "{} x", 400, 4 },
    ["a list as body"] = { "POST", "/sync?api_key=devkey", JWT, "[]", 400, 4 },
    ["a number as body"] = { "POST", "/sync?api_key=devkey", JWT, "1", 400, 4 },
    ["null as body"] = { "POST", "/sync?api_key=devkey", JWT, "null", 400, 4 },
    ["a body with a key twice"] = { "POST", "/sync?api_key=devkey", JWT, '{"a":1,"a":2}', 400, 4 },
    ["a body that is nested too deep"] =
      { "POST", "/sync?api_key=devkey", JWT, '{"a":' .. ("["):rep(5000) .. ("]"):rep(5000) .. "}", 400, 4 },
    ["a body that is not UTF-8"] = { "POST", "/sync?api_key=devkey", JWT, '{"a":"\255"}', 400, 4 },
    ["a payload that is no JSON"] = { "GET", "/users?api_key=devkey&payload=%7B", BACKEND, nil, 400, 4 },
    ["a payload that is a list"] = { "GET", "/users?api_key=devkey&payload=[]", BACKEND, nil, 400, 4 },
    ["a server's call with a user's token"] =
      { "POST", "/users/bob/event?api_key=devkey", JWT, '{"event":{"type":"x"}}', 403, 17 },
    ["/connect without a handshake"] = { "GET", "/connect", {}, nil, 400, 4 },
  }
  for name, case in pairs(cases) do
    it("refuses " .. name, function()
      fixture.client:send(case[1], case[2], case[3], case[4])
      local answer = fixture.client:next_answer()
      refused(answer, case[5], case[6] or answer.body.code)
    end)
  end

  for name, header in pairs {
    ["alg none"] = '{"alg":"none","typ":"JWT"}', ["HS512"] = '{"alg":"HS512","typ":"JWT"}',
    ["RS256"] = '{"alg":"RS256","typ":"JWT"}',
  } do
    it(("refuses a token with %s, signed or not"):format(name), function()
      local body = native.crypto.base64url_encode(header) .. "." .. USER:match("%.(.-)%.")
      local signature = native.crypto.base64url_encode(native.crypto.hmac_sha256(SECRET, body))
      for _, text in ipairs { body .. ".", body .. "." .. signature } do
        fixture.client:send("POST", "/sync?api_key=devkey", with(text), "{}")
        local answer = fixture.client:next_answer()
        assert.equal(401, answer.status)
      end
    end)
  end

  it("prefixes messages with the endpoint, but not those from before it", function()
    local answer = fixture.client:request("POST", SYNC, { query = KEY, headers = JWT, body = "{}" })
    assert.matches('^Sync failed with error: "', answer.body.message)
    answer = fixture.client:request("POST", SYNC, { query = KEY, headers = with "abc", body = "{}" })
    assert.not_matches("failed with error", answer.body.message)
  end)

  it("refuses bytes in a path that belong in none", function()
    for _, path in ipairs { "/\255", "/a\1b", "/channels/\195/x" } do
      local other = http_client.new(fixture.server)
      other:send("GET", path)
      local answer = other:next_answer()
      assert.is_true(answer.status == 400 or answer.status == 404)
      assert.is_table(answer.body)
      other:close()
    end
  end)

  it("names the methods that a path has", function()
    local answer = fixture.client:request("PUT", "/channels/messaging/lobby")
    assert.equal(405, answer.status)
    assert.equal("DELETE, GET, PATCH, POST", answer.headers.allow)
  end)

  it("takes literal segments before parameters, and parameters where those lead nowhere", function()
    local status, body = fixture:call("server", "POST", "/channels/messaging/query/query",
      { data = { created_by_id = "alice" } })
    assert.equal(201, status)
    assert.equal("messaging:query", body.channel.cid)
  end)

  it("takes a parameter where the literal has not got the method", function()
    assert.equal(201, (fixture:call("server", "POST", "/roles", { name = "search" })))
    assert.equal(200, (fixture:call("server", "DELETE", "/roles/search")))
    fixture:users("delete")
    local status, body = fixture:call("server", "DELETE", "/users/delete")
    assert.same({ 200, "delete" }, { status, body.user and body.user.id })
    local answer = fixture.client:request("PUT", "/users/delete")
    assert.same({ 405, "DELETE, POST" }, { answer.status, answer.headers.allow })
  end)

  it("decodes path segments", function()
    local status, body = fixture:call("alice", "GET", "/channels/messaging/l%6Fbby")
    assert.equal(200, status)
    assert.equal("messaging:lobby", body.channel.cid)
  end)

  it("gives one answer each, in order, to requests that were sent at once", function()
    for i = 1, 40 do
      fixture.client:send("POST", "/channels/messaging/lobby/event?api_key=devkey", JWT,
        ('{"event":{"type":"tick","n":%d}}'):format(i))
    end
    for i = 1, 40 do
      assert.equal(i, fixture.client:next_answer().body.event.n)
    end
  end)

  it("refuses a body over the limit with 413 and goes on with others", function()
    local other = http_client.new(fixture.server)
    other:send("POST", "/sync?api_key=devkey", JWT, ("x"):rep(20001))
    refused(other:next_answer(), 413, 22)
    other:close()
    assert.equal(200, fixture.client:request("GET", "/hi").status)
  end)
end)

describe("a router", function()
  local log
  local function router(handler)
    log = {}
    local options = { log_level = "info", logger = function(level, message, fields)
      log[#log + 1] = { level = level, message = message, fields = fields }
    end }
    local server_parts = {
      auth = { http = function() return { kind = "server" } end }, options = options,
      proxies = proxies.new(options), log = logs.new(options),
    }
    server_parts.requests = requests.new(server_parts)
    local made = http.new(server_parts)
    made:add { { "POST", "/do/{what}", endpoint = "Do", handler = handler } }
    return made
  end
  local function ask(handler, body)
    local status, text = router(handler):answer(1,
      { method = "POST", path = "/do/it", query = "", headers = {}, body = body or "" })
    return status, native.json.decode(text), text
  end

  it("answers what a handler raises with 500, says nothing about it, and logs it", function()
    local status, body = ask(function() error("the secret reason") end)
    assert.same({ 500, -1 }, { status, body.code })
    assert.not_matches("secret reason", body.message)
    assert.equal("error", log[1].level)
    assert.matches("the secret reason", log[1].fields.error)
  end)

  it("answers 500 when a handler's answer cannot be encoded", function()
    local status, body = ask(function() return 200, { x = 0 / 0 } end)
    assert.same({ 500, -1 }, { status, body.code })
  end)

  it("gives handlers an empty object where there is no body", function()
    local status, body = ask(function(context)
      return 201, { got = context.body, it = context.params.what }
    end)
    assert.equal(201, status)
    assert.same({}, body.got)
    assert.equal("it", body.it)
    assert.is_string(body.duration)
  end)

  it("passes on a text as it is", function()
    local _, _, text = ask(function() return 201, '{"a":1.0}' end)
    assert.equal('{"a":1.0}', text)
  end)

  it("refuses two routes for one thing", function()
    local made = router(function() end)
    assert.has_error(function() made:add { { "POST", "/do/{other}", endpoint = "Do" } } end)
  end)
end)

describe("start", function()
  it("refuses options it does not know", function()
    assert.has_error(function() server.start { prot = 1 } end)
    assert.has_error(function() server.start { port = "1" } end)
  end)

  it("says that an address is taken", function()
    local fixture = fixtures.start()
    local second, err = server.start { port = fixture.server.port }
    assert.is_nil(second)
    assert.equal("network", err.kind)
    fixture:stop()
  end)

  it("says that the data cannot be opened", function()
    local second, err = server.start { data = "/nonexistent/folder/x.db" }
    assert.is_nil(second)
    assert.is_string(err.message)
  end)

  for name, value in pairs {
    data = "", host = "", api_key = "", api_secret = "", max_event = 0, port = 70000,
  } do
    it(("refuses %q as %s and holds on to nothing"):format(tostring(value), name), function()
      local path = os.tmpname()
      local options = { data = path, [name] = value }
      assert.has_error(function() assert(server.start(options)) end)
      local after = assert(server.start { data = path })
      after:stop()
      http_client.settle()
      for _, suffix in ipairs { "", "-lock" } do os.remove(path .. suffix) end
    end)
  end

  it("gives an error for data that is damaged, and leaves nothing open", function()
    local path = os.tmpname()
    local database = assert(store.open(path))
    database:put("user", "alice", { id = "alice" })
    database:close()
    local connection = DBI.Connect("SQLite3", path)
    connection:autocommit(true)
    local damage = assert(connection:prepare "UPDATE users SET document = '{'")
    assert(damage:execute())
    damage:close() -- one left open would keep the database open
    connection:close()
    for _ = 1, 2 do
      local damaged, err = server.start { data = path }
      assert.is_nil(damaged)
      assert.matches("damaged", err.message)
    end
    for _, suffix in ipairs { "", "-lock" } do os.remove(path .. suffix) end
  end)

  it("goes on serving when its logger raises", function()
    local fixture = fixtures.start { logger = function() error "the disk is full" end }
    fixture:users("alice")
    local socket = fixture:connect("alice")
    socket:abort()
    assert.equal(200, fixture.client:request("GET", "/hi").status)
    fixture:stop()
  end)

  it("makes a key and a secret up when it is given none", function()
    local fixture = fixtures.start()
    local other = assert(server.start())
    assert.is_string(other.api_key)
    assert.is_true(#other.api_secret >= 32)
    assert.not_equal(fixture.server.api_secret, other.api_secret)
    local done
    other:stop(function() done = true end)
    http_client.wait("the end", function() return done end)
    fixture:stop()
  end)
end)

describe("a loop whose handlers fail", function()
  -- Who asked would wait for ever otherwise.
  it("answers 500, and goes on", function()
    local seen, done = {}, false
    local loop = assert(listener.open { port = 0 })
    loop:start {
      request = function(_, request)
        if request.path == "/good" then return 200, "{}" end
        if request.path == "/line" then return 200, "{}", { "no header line" } end
        error "request"
      end,
      upgrade = function() error "upgrade" end,
      unsettled = function() return '{"sorry":true}' end,
      second = function() end, message = function() end, closed = function() end,
      failed = function(what) seen[#seen + 1] = what end,
    }
    local _, port = loop.core:address()
    local client = http_client.new { host = "127.0.0.1", port = port }
    for _, path in ipairs { "/bad", "/line" } do
      local answer = client:request("GET", path)
      assert.same({ 500, { sorry = true } }, { answer.status, answer.body })
    end
    assert.equal(200, client:request("GET", "/good").status)
    assert.equal(500, http_client.websocket({ host = "127.0.0.1", port = port }, "/").status)
    assert.same({ "request", "answer", "upgrade" }, seen)
    client:close()
    loop:stop(1012, native.now() + 5, function() done = true end)
    http_client.wait("the end", function() return done end)
  end)

  it("gives the answers it has when it cannot be told what else came in", function()
    local seen, done, refuses = {}, false, false
    local loop = assert(listener.open { port = 0 })
    local core = loop.core
    loop.core = setmetatable({
      next = function()
        if refuses then
          refuses = false
          error "no memory"
        end
        return core:next()
      end,
    }, { __index = function(_, name)
      return function(_, ...) return core[name](core, ...) end
    end })
    loop:start {
      request = function()
        refuses = true
        return 200, "{}"
      end,
      second = function() end, message = function() end, closed = function() end, upgrade = function() end,
      failed = function(what) seen[#seen + 1] = what end,
    }
    local _, port = core:address()
    local client = http_client.new { host = "127.0.0.1", port = port }
    for _ = 1, 2 do assert.equal(200, client:request("GET", "/").status) end
    assert.same({ "turn", "turn" }, seen)
    client:close()
    loop:stop(1012, native.now() + 5, function() done = true end)
    http_client.wait("the end", function() return done end)
  end)

  -- What is left of a turn would wait until something else comes in.
  it("handles what came in behind it in the same turn", function()
    local seen, done = {}, false
    local loop = assert(listener.open { port = 0 })
    loop:start {
      request = function(_, request)
        seen[#seen + 1] = request.path
        if request.path == "/bad" then error "request" end
        return 200, "{}"
      end,
      flushed = function()
        if seen[1] and seen[#seen] ~= "turn" then seen[#seen + 1] = "turn" end
      end,
      upgrade = function(number) loop.core:accept(number) end,
      closed = function()
        seen[#seen + 1] = "closed"
        error "closed"
      end,
      second = function() end, message = function() end, failed = function() end,
    }
    local _, port = loop.core:address()
    local clients = {}
    for i = 1, 3 do
      clients[i] = http_client.new { host = "127.0.0.1", port = port }
      assert.equal(200, clients[i]:request("GET", "/").status)
    end
    seen = {}
    for _, client in ipairs(clients) do client:send("GET", "/bad") end
    for _, client in ipairs(clients) do assert.equal(500, client:next_answer().status) end
    assert.same({ "/bad", "/bad", "/bad", "turn" }, seen)
    local sockets = {}
    for i = 1, 3 do sockets[i] = http_client.websocket({ host = "127.0.0.1", port = port }, "/") end
    seen = {}
    for _, socket in ipairs(sockets) do socket:abort() end
    http_client.wait("their ends", function() return #seen >= 4 end)
    assert.same({ "closed", "closed", "closed", "turn" }, seen)
    for _, client in ipairs(clients) do client:close() end
    loop:stop(1012, native.now() + 5, function() done = true end)
    http_client.wait("the end", function() return done end)
  end)
end)

describe("stop", function()
  it("closes WebSockets with 1012, answers what was sent, and may be called twice", function()
    local fixture = fixtures.start()
    fixture:users("alice")
    fixture:channel("messaging:lobby", { "alice" })
    local socket = fixture:connect("alice")
    fixture:watch(socket, "messaging:lobby")
    fixture.client:send("POST", "/channels/messaging/lobby/event?api_key=devkey",
      { Authorization = USER, ["stream-auth-type"] = "jwt" }, '{"event":{"type":"last"}}')
    local answer = fixture.client:next_answer()
    assert.equal(201, answer.status)
    local ends = 0
    fixture.server:stop(function() ends = ends + 1 end)
    fixture.server:stop(function() ends = ends + 1 end)
    socket:expect("last")
    assert.equal(1012, socket:closed())
    http_client.wait("both callbacks", function() return ends == 2 end)
    assert.has_error(function() http_client.dial(fixture.server.host, fixture.server.port) end)
    fixture.server:stop(function() ends = ends + 1 end)
    assert.equal(3, ends)
    socket:abort()
    fixture.client:close()
    http_client.settle()
  end)
end)
