-- Proxies: HTTP and SOCKS, with and without credentials, for requests and WebSockets; and what is said
-- when one does not do what it should. Nobody is shown a password.
local core = require "stream_events.core"
local errors = require "stream_events.error"
local lua = require "support.lua"
local peer = require "support.peer"
local process = require "support.process"
local proxies = require "support.proxy"
local stream_events = require "stream_events"
local tls = require "support.tls"

local NAME = "stream.invalid" -- resolved by proxies alone
local transport

after_each(function()
  if transport then transport:close() end
  transport = nil
  peer.stop_all()
  process.end_all()
end)

-- A server for both kinds of traffic: its port.
local function server()
  local websockets = peer.websocket(function(connection) connection:say(peer.frame("text", "hello")) end)
  local pages = peer.http(function(_, connection) connection:answer(200, "page") end)
  return pages.port, websockets.port
end

-- The answer to a request and the first message of a WebSocket, or kind and message of what went wrong.
local function both(proxy, http_url, ws_url, ca_file)
  transport = core.transport { proxy = proxy, ca_file = ca_file }
  local answer, message
  transport:request { method = "GET", url = http_url }
  local connection = transport:connect { url = ws_url }
  peer.pump(transport, function()
    local id, status, body, text = transport:next_response()
    if id then answer = status and { status, body } or { body, text } end
    local data = connection:next()
    if data then message = { data } end
    local state, kind, reason = connection:state()
    if state == "closed" then message = { kind, reason } end
    return answer and message
  end)
  transport:close()
  return answer, message
end

local function urls(host)
  local pages, websockets = server()
  return ("http://%s:%d/a?token=hidden"):format(host, pages),
    ("ws://%s:%d/b?token=hidden"):format(host, websockets)
end

describe("a proxy", function()
  for what, case in pairs {
    ["for HTTP"] = { "http", "http", NAME, "CONNECT %s:%d" },
    ["for SOCKS5"] = { "socks5", "socks5", "127.0.0.1", "SOCKS5 %s:%d" },
    ["for SOCKS5 that resolves names"] = { "socks5", "socks5h", NAME, "SOCKS5 %s:%d" },
    ["for SOCKS4"] = { "socks4", "socks4", "127.0.0.1", "SOCKS4 %s:%d" },
    ["for SOCKS4a"] = { "socks4", "socks4a", NAME, "SOCKS4 %s:%d" },
  } do
    for _, credentials in ipairs { "", "john:p@ss word" } do
      if credentials == "" or case[1] ~= "socks4" then
        it(what .. (credentials == "" and "" or " with credentials") .. " carries both", function()
          local wants = credentials ~= "" and credentials or nil
          local proxy = proxies.start(case[1], { wants = wants })
          local http_url, ws_url = urls(case[3])
          local answer, message = both(proxy:url(case[2], wants and "john:p%40ss%20word"), http_url, ws_url)
          assert.same({ 200, case[1] == "http" and "by proxy" or "page" }, answer)
          assert.same({ "hello" }, message)
          assert.equal(2, #proxy.asked)
          table.sort(proxy.asked)
          local function asked(url) return case[4]:format(case[3], tonumber(url:match(":(%d+)/"))) end
          local expected = { asked(ws_url), case[1] == "http" and "GET " .. http_url or asked(http_url) }
          table.sort(expected)
          assert.same(expected, proxy.asked)
          if wants then assert.same({ credentials, credentials }, proxy.given) end
        end)
      end
    end
  end

  it("for SOCKS4 is told the user's name", function()
    local proxy = proxies.start "socks4"
    both(proxy:url("socks4a", "john"), urls(NAME))
    assert.same({ "john", "john" }, proxy.given)
  end)

  it("sees nothing of what goes through it by TLS, and no token in what it is asked", function()
    local certificates = tls.certificates { good = "DNS:" .. NAME }
    local pages = peer.http(function(_, connection) connection:answer(200, "page") end)
    local port, stop = tls.forward(certificates.path "good.pem", certificates.path "good.key", pages.port)
    for _, kind in ipairs { "http", "socks5" } do
      local proxy = proxies.start(kind)
      transport = core.transport {
        proxy = proxy:url(kind == "http" and "http" or "socks5h"), ca_file = certificates.path "good.pem",
      }
      transport:request {
        method = "GET", url = ("https://%s:%d/?token=hidden"):format(NAME, port),
        headers = { "Authorization: hidden" },
      }
      local status
      peer.pump(transport, function()
        local id, answer = transport:next_response()
        status = answer
        return id
      end)
      assert.equal(200, status)
      assert.same({ ("%s %s:%d"):format(kind == "http" and "CONNECT" or "SOCKS5", NAME, port) }, proxy.asked)
      if kind == "http" then assert.is_nil(proxy.seen[1].headers.authorization) end
      transport:close()
    end
    stop()
    certificates.remove()
  end)

  it("that is spoken to by TLS carries both, and has to have a certificate that is trusted", function()
    local certificates = tls.certificates { good = "IP:127.0.0.1" }
    local proxy = proxies.start("http", { wants = "john:secret" })
    local port, stop = tls.forward(certificates.path "good.pem", certificates.path "good.key", proxy.port)
    local url = ("https://john:secret@127.0.0.1:%d"):format(port)
    local http_url, ws_url = urls(NAME)
    local answer, message = both(url, http_url, ws_url, certificates.path "good.pem")
    assert.same({ 200, "by proxy" }, answer)
    assert.same({ "hello" }, message)
    answer, message = both(url, http_url, ws_url)
    assert.equal("trust", answer[1])
    assert.truthy(answer[2]:find("the certificate of the proxy (subject CN=good", 1, true), answer[2])
    assert.same(answer, message)
    stop()
    certificates.remove()
  end)

  local CREDENTIALS = "asks for a user name and a password, or refuses those it was given"
  for what, case in pairs {
    ["HTTP without credentials"] = { "http", "http", { wants = "john:secret" }, nil, CREDENTIALS },
    ["HTTP with wrong credentials"] = { "http", "http", { wants = "john:secret" }, "john:wrong",
      CREDENTIALS },
    ["HTTP that does not want to"] = { "http", "http", { refuses = 403 }, nil,
      "the proxy did not connect to the server (HTTP status 403)" },
    ["SOCKS5 without credentials"] = { "socks5", "socks5h", { wants = "john:secret" }, nil, CREDENTIALS },
    ["SOCKS5 with wrong credentials"] = { "socks5", "socks5h", { wants = "john:secret" }, "john:wrong",
      CREDENTIALS },
    ["SOCKS5 that does not want to"] = { "socks5", "socks5h", { refuses = 2 }, nil,
      "does not allow connections to the server" },
    ["SOCKS5 to a server that is not there"] = { "socks5", "socks5h", { refuses = 5 }, nil,
      "the proxy was refused by the server" },
    ["SOCKS5 to a host that is not there"] = { "socks5", "socks5h", { refuses = 4 }, nil,
      "the proxy cannot reach the server" },
    ["SOCKS4 that does not want to"] = { "socks4", "socks4a", { refuses = 91 }, nil,
      "does not allow connections to the server" },
    ["HTTP where SOCKS5 was meant"] = { "http", "socks5h", {}, nil, "SOCKS" },
    ["SOCKS5 where HTTP was meant"] = { "socks5", "http", {}, nil, "the proxy ended the connection" },
  } do
    it("for " .. what .. " is named as what is wrong", function()
      local proxy = proxies.start(case[1], case[3])
      local http_url, ws_url = urls(NAME)
      local answer, message = both(proxy:url(case[2], case[4]), http_url, ws_url)
      assert.equal("proxy", message[1])
      assert.truthy(message[2]:find(case[5], 1, true), message[2])
      assert.is_nil(message[2]:find("wrong", 1, true))
      if type(answer[1]) == "number" then
        assert.equal(case[3].wants and 407 or 403, answer[1])
      elseif case[2] ~= "http" then
        assert.same(message, answer)
      end
    end)
  end

  it("that is not there is named as what is wrong", function()
    local gone = peer.listen()
    local port = gone.port
    gone:stop()
    for _, scheme in ipairs { "http", "socks5h", "socks4a" } do
      local answer, message = both(("%s://john:secret@127.0.0.1:%d"):format(scheme, port), urls "127.0.0.1")
      for _, said in ipairs { answer, message } do said[2] = said[2]:gsub("after %d+ ms", "in time") end
      assert.same(message, answer)
      assert.equal("proxy", message[1])
      assert.truthy(message[2]:find("the proxy cannot be reached: ", 1, true), message[2])
      assert.is_nil(message[2]:find("secret", 1, true))
    end
    local answer, message = both("http://john:secret@proxy.invalid:1", urls "127.0.0.1")
    assert.same(message, answer)
    assert.same({ "proxy", "the proxy's name cannot be resolved" }, message)
  end)

  it("has no part in what fails behind it", function()
    local proxy = proxies.start "http"
    local gone = peer.listen()
    local port = gone.port
    gone:stop()
    transport = core.transport { proxy = proxy:url "http" }
    local connection = transport:connect { url = ("ws://%s:%d/"):format(NAME, port) }
    peer.pump(transport, function() return connection:state() == "closed" end)
    local _, kind, message = connection:state()
    -- A proxy that just hangs up: nothing else can be known.
    assert.equal("proxy", kind)
    assert.truthy(message:find("ended the connection", 1, true), message)
  end)
end)

describe("the proxy of the environment", function()
  -- Kind or status, and message or body, of a request and a WebSocket in a program of their own.
  local function run(environment, http_url, ws_url)
    local all = { http_proxy = false, https_proxy = false, HTTPS_PROXY = false, all_proxy = false,
      ALL_PROXY = false, no_proxy = false, NO_PROXY = false }
    for name, value in pairs(environment) do all[name] = value end
    local child = process.start(lua.INTERPRETER, { "-e", ([[
      local transport = require("stream_events.core").transport()
      transport:request { method = "GET", url = "%s", timeout = 5 }
      local connection = transport:connect { url = "%s", timeout = 5 }
      local answer, state, kind, message
      repeat
        transport:step()
        transport:wait(1)
        local id, status, body, text = transport:next_response()
        if id then answer = tostring(status or body) .. "|" .. tostring(status and body or text) end
        connection:next()
        state, kind, message = connection:state()
      until answer and state ~= "connecting"
      print(answer)
      print(state == "open" and state or kind .. "|" .. message)
    ]]):format(http_url, ws_url) }, all)
    assert.equal(0, child:finish(), child.stderr)
    return child.stdout:match("^(.-)\r?\n(.-)\r?\n")
  end

  it("is used for both, by the names that programs know", function()
    local proxy = proxies.start("socks5", { wants = "john:secret" })
    for _, name in ipairs { "http_proxy", "all_proxy", "ALL_PROXY" } do
      local answer, state = run({ [name] = proxy:url("socks5h", "john:secret") }, urls(NAME))
      assert.same({ "200|page", "open" }, { answer, state })
    end
    assert.equal(6, #proxy.asked)
  end)

  it("is passed by where no_proxy says so", function()
    local proxy = proxies.start("http")
    local answer, state = run({ http_proxy = proxy:url "http", no_proxy = "127.0.0.1" }, urls "127.0.0.1")
    assert.same({ "200|page", "open" }, { answer, state })
    assert.same({}, proxy.asked)
  end)

  it("is not to blame for a server that is reached without", function()
    local gone = peer.listen()
    local port = gone.port
    gone:stop()
    local answer, ending = run({ http_proxy = "http://proxy.invalid:1", no_proxy = "127.0.0.1,[::1]" },
      ("http://127.0.0.1:%d/"):format(port), ("ws://127.0.0.1:%d/"):format(port))
    for _, said in ipairs { answer, ending } do
      assert.truthy(said:find("^network|Failed to connect"), said)
    end
  end)

  it("is refused when its URL is none, and its password not shown", function()
    for _, wrong in ipairs {
      "ftp://john:secret@127.0.0.1:1", "ftp://john:sec/ret@127.0.0.1:1", "http://john:secret@",
    } do
      local answer, ending = run({ http_proxy = wrong }, "http://127.0.0.1:1/", "ws://127.0.0.1:1/")
      for _, said in ipairs { answer, ending } do
        assert.truthy(said:find("proxy|the proxy's URL cannot be used", 1, true), said)
        assert.is_nil(said:find("sec", 1, true))
        assert.is_nil(said:find("john", 1, true))
      end
    end
  end)
end)

describe("option proxy", function()
  local function with(proxy)
    return function()
      local client = stream_events.new { api_key = "k", base_url = "http://127.0.0.1:1", proxy = proxy }
      return client
    end
  end

  for _, good in ipairs {
    "", "127.0.0.1", "proxy.test:3128", "http://proxy.test", "http://proxy.test:3128/",
    "https://proxy.test:443", "HTTP://proxy.test", "socks4://10.0.0.1:1080", "socks4a://p:1",
    "socks5://p:1", "socks5h://john:pass@p:1",
    "http://john:pass@[::1]:3128", "http://[fe80::1%25eth0]:1", "john:pass@p:1", "http://john@p",
  } do
    it(("may be '%s'"):format(good), function() with(good)():close() end)
  end

  for _, bad in ipairs {
    "ftp://p:1", "http:/p", "http://", "http://john:secret@", "socks6://p", "http://p:0", "http://p:65536",
    "http://p:x",
    "http://p/path", "http://p?x", "http://john:sec/ret@p:1", "http://john:secret@p q", "://p", "http://[::1",
    "http://john:sec#ret@p:1",
  } do
    it(("may not be '%s', which is not shown"):format(bad), function()
      local ok, message = pcall(with(bad))
      assert.is_false(ok)
      assert.truthy(message:find("option 'proxy' must be like", 1, true), message)
      assert.truthy(message:find("proxy_spec.lua", 1, true), message)
      assert.is_nil(message:find("sec", 1, true))
    end)
  end
end)

describe("a client behind a proxy", function()
  it("says what is wrong with the proxy in errors and changes, and never its password", function()
    local proxy = proxies.start("http", { wants = "john:other" })
    local said = {}
    local client = stream_events.new {
      api_key = "devkey", base_url = "http://" .. NAME .. ":1", developer_tokens = true,
      proxy = proxy:url("http", "john:secret"),
      logger = function(level, message, fields)
        said[#said + 1] = level .. message
        for name, value in pairs(fields) do said[#said + 1] = name .. tostring(value) end
      end,
    }
    local failures = {}
    client:connect_user({ id = "john" }, nil, function(_, err) failures.connect = err end)
    client:connect_guest({ id = "jane" }, function(_, err) failures.guest = err end)
    transport = nil
    local deadline = core.now() + 20
    local uv = require "luv"
    while not (failures.connect and failures.guest) do
      assert(core.now() < deadline)
      client:poll(0.001)
      uv.run "nowait"
    end
    assert.equal("network", failures.connect.kind)
    assert.truthy(failures.connect.message:find("asks for a user name and a password", 1, true))
    assert.truthy(failures.connect.hint:find("option proxy", 1, true))
    said[#said + 1] = tostring(failures.connect)
    said[#said + 1] = tostring(failures.guest)
    client:close()
    for _, text in ipairs(said) do assert.is_nil(text:find("secret", 1, true), text) end
  end)

  it("is told of a refusal that came as an answer", function()
    local err = errors.from_response(407, "<html>Proxy Authentication Required</html>")
    assert.same({ "network", 407 }, { err.kind, err.status })
    assert.truthy(err.message:find("the proxy asks for a user name", 1, true))
    assert.truthy(err.hint:find("option proxy", 1, true))
  end)
end)
