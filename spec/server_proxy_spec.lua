--- The server behind real reverse proxies, with the settings that the manual has: the plugin connects by
-- TLS, watches, sends and receives; the client's own address arrives, and what it claims does not.
local command = require "support.command"
local fixtures = require "support.server"
local folders = require "support.folder"
local free_port = require "support.free_port"
local luv = require "luv"
local manual = require "support.manual"
local native = require "stream_events.native"
local process = require "support.process"
local stream_events = require "stream_events"
local tls = require "support.tls"
local tokens = require "stream_events.token"

local SECRET = "behind-a-proxy"
local PATIENCE = 20 -- seconds: a guard, the spec waits on conditions

-- Programs for servers are not on everybody's path; no sanitizer that these specs run under is theirs.
local ENVIRONMENT = { PATH = os.getenv "PATH" .. ":/usr/sbin:/usr/local/sbin", LD_PRELOAD = false }

local function start_nginx(folder, certificate, key, backend)
  local port = tostring(free_port.tcp())
  local server = manual.with(manual.block "nginx", {
    { "listen 443 ssl", ("listen 127.0.0.1:%s ssl"):format(port) },
    { "127.0.0.1:3030", backend },
    { "/etc/letsencrypt/live/chat.example.com/fullchain.pem", certificate },
    { "/etc/letsencrypt/live/chat.example.com/privkey.pem", key },
    { "/var/log/nginx/", folder.path .. "/" },
    { "chat.example.com", "localhost" },
  })
  local temporary = {}
  for _, kind in ipairs { "client_body", "proxy", "fastcgi", "uwsgi", "scgi" } do
    temporary[#temporary + 1] = ("%s_temp_path %s/%s;"):format(kind, folder.path, kind)
  end
  local path = folder:write("nginx.conf", ("daemon off; master_process off; pid %s/nginx.pid;\n"
    .. "events {}\nhttp {\n%s\n%s}\n"):format(folder.path, table.concat(temporary, "\n"), server))
  return process.start("nginx", { "-c", path, "-e", "stderr" }, ENVIRONMENT), port, "stream-events.log"
end

local function start_caddy(folder, certificate, key, backend)
  local port = tostring(free_port.tcp())
  local site = manual.with(manual.block "caddy", {
    { "chat.example.com {",
      ("https://localhost:%s {\n  bind 127.0.0.1\n  tls %s %s\n"):format(port, certificate, key) },
    { "127.0.0.1:3030", backend },
  })
  local path = folder:write("Caddyfile", "{\n  admin off\n  auto_https disable_redirects\n}\n" .. site)
  local env = { HOME = folder.path, XDG_DATA_HOME = folder.path, XDG_CONFIG_HOME = folder.path }
  for name, value in pairs(ENVIRONMENT) do env[name] = value end
  return process.start("caddy", { "run", "--adapter", "caddyfile", "--config", path }, env), port
end

for name, start in pairs { nginx = start_nginx, Caddy = start_caddy } do
  describe("the server behind " .. name, function()
    local folder, certificates, server, proxy, port, access_log
    local clients = {}

    setup(function()
      folder = folders.new()
      certificates = tls.certificates { localhost = "DNS:localhost" }
      local url
      server = command.start({
        "serve", "--port", "0", "--data", ":memory:", "--trusted-proxies", "127.0.0.1",
        "--access-log", "--log-format", "json",
      }, { STREAM_API_SECRET = SECRET })
      url = server:wait_for("stdout", "listening on (%S+)\n")
      proxy, port, access_log = start(folder, certificates.path "localhost.pem",
        certificates.path "localhost.key", url:gsub("^http://", "") .. "")
      process.wait(function()
        assert(not proxy.code, proxy.stderr)
        local socket, connected = luv.new_tcp(), nil
        socket:connect("127.0.0.1", tonumber(port), function(err) connected = not err end)
        while connected == nil do luv.run "once" end
        socket:close()
        return connected
      end, name .. " listens")
    end)

    teardown(function()
      for _, client in ipairs(clients) do client:close() end
      process.end_all()
      certificates.remove()
      process.run("rm", { "-r", folder.path })
    end)

    local function new(options)
      options.api_key, options.base_url = "devkey", "https://localhost:" .. port
      options.ca_file = certificates.path "localhost.pem"
      clients[#clients + 1] = stream_events.new(options)
      return clients[#clients]
    end

    local function wait(condition, ...)
      local ends = native.now() + PATIENCE
      while not condition() do
        assert(native.now() < ends, "waited in vain")
        for _, client in ipairs { ... } do client:poll(0.01) end
      end
    end

    local function logged(test)
      local found
      process.wait(function()
        for line in server.stderr:gmatch "([^\n]*)\n" do
          local entry = native.json.decode(line)
          if entry and test(entry) then found = entry end
        end
        return found
      end, "the server logged it")
      return found
    end

    it("is reached by TLS: users connect, watch, send, and receive", function()
      local john, jane = new {}, new {}
      assert(john:connect_user({ id = "john" }, tokens.user(SECRET, "john")))
      assert(jane:connect_user({ id = "jane" }, tokens.user(SECRET, "jane")))
      local here = assert(john:channel("messaging", "lobby", { members = { "john", "jane" } }):watch())
      local there = assert(jane:channel("messaging", "lobby"):watch())
      local heard
      there:subscribe_for("friendship_request", function(event) heard = event end)
      assert(here:send_event("friendship_request", { text = "Hey there" }))
      wait(function() return heard end, john, jane)
      assert.same({ "john", "Hey there" }, { heard.user.id, heard.text })
    end)

    it("takes a body as large as it allows itself", function()
      local backend = new { secret = SECRET, limits = { event_size = 1 << 20 } }
      assert(backend:upsert_users { { id = "large" } })
      local sent, err = backend:send_user_custom_event("large", { type = "large", text = ("x"):rep(900000) })
      assert.is_nil(sent)
      assert.same({ 22, 413 }, { err.code, err.status }) -- the server's own limit of an event
    end)

    local function request(path, ...)
      local child = process.run("python3", {
        command.ROOT .. "spec/support/https_request.py", port, "127.0.0.9",
        certificates.path "localhost.pem", path, ...,
      }, { LD_PRELOAD = false })
      assert.equal(0, child.code, child.stderr)
      return child.stdout
    end

    it("knows its clients by their own addresses, whatever they claim", function()
      local claimed = {
        "X-Forwarded-For:203.0.113.7", "Forwarded:for=203.0.113.8", "X-Real-IP:203.0.113.9",
        "X-Client-Request-Id:claims",
      }
      assert.matches("^200 ", request("/hi", table.unpack(claimed)))
      assert.equal("127.0.0.9", logged(function(entry) return entry.request_id == "claims" end).address)
    end)

    it("does not take who comes through the proxy for its own machine", function()
      assert.matches("^401 ", request "/metrics")
      assert.matches("^200 ", request "/healthz")
    end)

    it("knows the dashboard's own page, on whatever port it is", function()
      local handshake = { "Upgrade:websocket", "Connection:Upgrade", "Sec-WebSocket-Version:13",
        "Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==" }
      local function status(origin)
        local answer = request("/dashboard/live?ticket=none", "Origin:" .. origin, table.unpack(handshake))
        return answer:match "^%d+"
      end
      assert.equal("401", status("https://localhost:" .. port)) -- it is the ticket that is wrong
      assert.equal("403", status "https://localhost:1")
    end)

    it("has no token in any log", function()
      -- Proxies log a WebSocket when it has ended.
      local client = new {}
      assert(client:connect_user({ id = "john" }, tokens.user(SECRET, "john")))
      client:disconnect()
      local function of_proxy() return access_log and folder:read(access_log) or proxy.stderr end
      if access_log then wait(function() return of_proxy():find "/connect" end, client) end
      local all = server.stderr .. of_proxy()
      assert.matches("/connect", all, 1, true)
      assert.not_matches("eyJ", all)
      assert.not_matches("authorization=", all)
    end)
  end)
end

describe("the manual", function()
  it("has settings that can be used", function()
    local folder = folders.new()
    local rules = folder:write("rules.lua", 'default "drop"')
    local path = folder:write("settings.lua",
      manual.with(manual.block "lua", { { "/etc/stream-events/rules.lua", rules } }))
    local child = command.run({ "serve", "--config", path, "--print-config" },
      { STREAM_API_SECRET = SECRET })
    assert.same({ 0, "" }, { child.code, child.stderr })
    folder:remove()
  end)

  it("names every metric there is, and no other", function()
    local file = assert(io.open(command.ROOT .. "lua/stream_events/doc/server.md"))
    local rows = file:read("a"):match "\n| Metric, after `stream_events_`[^\n]*\n(.-)\n\n"
    file:close()
    local named, offered = {}, {}
    for cell in rows:gmatch "\n(|[^|]*|)" do
      for name in cell:gmatch "`([^`]+)`" do
        local head, list, tail = name:match "^([%l_]+_){([%l_,]+)}([%l_]+)$" -- several in one
        for each in (list or ""):gmatch "[^,]+" do named[head .. each .. tail] = true end
        if not list then named[name:match "^[%l_]+"] = true end
      end
    end
    local fixture = fixtures.start { rules = { default = "allow" } }
    local text = fixture.client:request("GET", "/metrics").text
    fixture:stop()
    for name in text:gmatch "# TYPE stream_events_([%l_]+) " do offered[name] = true end
    assert.same(offered, named)
  end)
end)
