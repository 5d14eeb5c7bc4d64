--- The dashboard over sockets: its page, its key, its tickets, its API and its live stream.
local fixtures = require "support.server"
local http_client = require "support.http_client"
local keys = require "stream_events.server.dashboard.keys"
local first = require "stream_events.server.first"
local native = require "stream_events.native"

local KEY = "a key of our own"
local API = "/dashboard/api"

describe("the dashboard", function()
  local fixture
  local function start(options)
    options = options or {}
    options.dashboard_key = options.dashboard_key or KEY
    fixture = fixtures.start(options)
    fixture:users("alice", "bob", "carol")
    fixture:channel("messaging:lobby", { "alice", "bob" })
    return fixture
  end
  after_each(function()
    if fixture then fixture:stop() end
    fixture = nil
  end)

  -- A request of the page, with the key unless another is given.
  local function api(method, path, body, key)
    local answer = fixture.client:request(method, API .. path,
      { headers = { ["X-Dashboard-Key"] = key or KEY }, body = body })
    return answer.status, answer.body, answer
  end

  local function look(headers)
    local _, answer = api("POST", "/tickets")
    local socket = http_client.websocket(fixture.server, "/dashboard/live?ticket=" .. answer.ticket, headers)
    fixture.opened[#fixture.opened + 1] = socket
    return socket
  end

  local function send(who, event, path)
    return fixture:call(who, "POST", path or "/channels/messaging/lobby/event", { event = event })
  end

  describe("page", function()
    local FILES = {
      ["/dashboard"] = "text/html; charset=utf-8", ["/dashboard/style.css"] = "text/css; charset=utf-8",
      ["/dashboard/main.js"] = "text/javascript; charset=utf-8", ["/dashboard/icon.svg"] = "image/svg+xml",
    }

    it("is there without a key, and lets a browser run nothing but its own files", function()
      start()
      for path, kind in pairs(FILES) do
        local answer = fixture.client:request("GET", path)
        local headers = answer.headers
        assert.equal(200, answer.status)
        assert.equal(kind, headers["content-type"])
        for directive in ([[default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';
            img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';
            require-trusted-types-for 'script'; trusted-types 'none']]):gmatch "[^;\n]+" do
          assert.truthy(headers["content-security-policy"]:find(directive:match "^%s*(.*)$", 1, true))
        end
        assert.is_nil(headers["content-security-policy"]:find("unsafe", 1, true))
        assert.equal("nosniff", headers["x-content-type-options"])
        assert.equal("no-referrer", headers["referrer-policy"])
        assert.equal("DENY", headers["x-frame-options"])
        assert.equal("same-origin", headers["cross-origin-opener-policy"])
        assert.equal("same-origin", headers["cross-origin-resource-policy"])
      end
    end)

    it("holds no script, style or handler of its own, and nothing from elsewhere", function()
      start()
      local text = fixture.client:request("GET", "/dashboard").text
      assert.is_nil(text:find "<style")
      assert.is_nil(text:find "%sstyle=")
      assert.is_nil(text:find "%son%a+=")
      assert.is_nil(text:find "//")
      for attributes in text:gmatch "<script([^>]*)>" do assert.truthy(attributes:find "src=") end
    end)

    it("names only files that are served", function()
      start()
      local seen, queue = {}, { "main.js" }
      local text = fixture.client:request("GET", "/dashboard").text
      for file in text:gmatch '"dashboard/([%w.]+)"' do queue[#queue + 1] = file end
      while queue[1] do
        local file = table.remove(queue)
        if not seen[file] then
          seen[file] = true
          local answer = fixture.client:request("GET", "/dashboard/" .. file)
          assert.equal(200, answer.status, file)
          for name in answer.text:gmatch 'from "%./([%w.]+)"' do queue[#queue + 1] = name end
        end
      end
      assert.truthy(seen["events.js"] and seen["style.css"] and seen["icon.svg"])
    end)

    it("is sent again only when it has changed", function()
      start()
      local headers = fixture.client:request("GET", "/dashboard").headers
      assert.equal("no-cache", headers["cache-control"])
      local again = fixture.client:request("GET", "/dashboard",
        { headers = { ["If-None-Match"] = headers.etag } })
      assert.equal(304, again.status)
      assert.equal("", again.text)
      assert.equal(headers.etag, again.headers.etag)
      assert.equal(200, fixture.client:request("GET", "/dashboard",
        { headers = { ["If-None-Match"] = '"other"' } }).status)
    end)

    it("is found with a slash behind its name, too", function()
      start()
      local answer = fixture.client:request("GET", "/dashboard/")
      assert.equal(308, answer.status)
      assert.equal("../dashboard", answer.headers.location)
    end)

    it("is not there when it is switched off, nor is anything below it", function()
      fixture = fixtures.start { dashboard = false }
      assert.is_nil(fixture.server.dashboard_url)
      for _, path in ipairs { "/dashboard", "/dashboard/main.js", "/dashboard/live", API .. "/channels" } do
        assert.equal(404, fixture.client:request("GET", path).status)
      end
      assert.equal(404, http_client.websocket(fixture.server, "/dashboard/live?ticket=x").status)
    end)
  end)

  describe("key", function()
    it("is made up anew for each start, and shown in the address behind #", function()
      fixture = fixtures.start()
      local url, key = fixture.server.dashboard_url:match "^(.*)/dashboard#key=(%x+)$"
      assert.equal(fixture.server.url, url)
      assert.equal(32, #key)
      assert.equal(200, (api("GET", "/counters", nil, key)))
      local other = fixtures.start()
      assert.not_equal(key, other.server.dashboard_url:match "#key=(%x+)$")
      other:stop()
    end)

    it("is not shown when it was given", function()
      start()
      assert.equal(fixture.server.url .. "/dashboard", fixture.server.dashboard_url)
      assert.equal(200, (api("GET", "/counters")))
    end)

    it("that is given must be long enough", function()
      assert.error_matches(function() require "stream_events.server".start { dashboard_key = "short" } end,
        "dashboard_key")
    end)

    local ROUTES = {
      { "GET", "/counters" }, { "GET", "/channels" }, { "GET", "/channels/messaging/lobby" },
      { "GET", "/connections" }, { "GET", "/channeltypes" }, { "POST", "/tickets" },
      { "PUT", "/channeltypes/messaging", { custom_events = false } },
      { "POST", "/channels/messaging/lobby/event", { event = { type = "flare", user_id = "alice" } } },
      { "POST", "/users/bob/event", { event = { type = "flare" } } },
    }
    for _, route in ipairs(ROUTES) do
      it(("is needed for %s %s, and its answer is not kept"):format(route[1], route[2]), function()
        start()
        local status, body = api(route[1], route[2], route[3], "wrong")
        assert.equal(401, status)
        assert.equal(5, body.code)
        assert.equal(401, fixture.client:request(route[1], API .. route[2], { body = route[3] }).status)
        -- Nothing else opens it: no token, no query parameter, no cookie.
        assert.equal(401, (fixture:call("server", route[1], API .. route[2], route[3], { key = KEY })))
        assert.equal(401, fixture.client:request(route[1], API .. route[2],
          { headers = { Cookie = "key=" .. KEY }, body = route[3] }).status)
        local _, _, answer = api(route[1], route[2], route[3])
        assert.truthy(answer.status < 300)
        assert.equal("no-store", answer.headers["cache-control"])
        assert.equal("nosniff", answer.headers["x-content-type-options"])
      end)
    end

    it("is compared only so often a second, and the right one waits, too", function()
      local now = 1000.0
      local guard = keys.new("right", function() return now end)
      for _ = 1, 5 do assert.equal(401, select(2, guard:check("wrong", "10.0.0.1")).status) end
      local ok, failure = guard:check("right", "10.0.0.1")
      assert.is_nil(ok)
      assert.equal(429, failure.status)
      assert.same({ "Retry-After: 1" }, failure.headers)
      assert.is_true(guard:check("right", "10.0.0.2"))
      now = 1001.0
      assert.is_true(guard:check("right", "10.0.0.1"))
    end)

    it("is not found by trying from many addresses", function()
      local guard = keys.new("right", function() return 1000 end)
      for i = 1, 1024 do guard:check("wrong", "address " .. i) end
      assert.equal(429, select(2, guard:check("right", "one more")).status)
    end)

    it("is tried no more often with all the addresses of an IPv6 network", function()
      local guard = keys.new("right", function() return 1000 end)
      for i = 1, 5 do guard:check("wrong", "2001:db8:0:1::" .. i) end
      assert.equal(429, select(2, guard:check("right", "2001:db8:0:1:ffff::9")).status)
      assert.is_true(guard:check("right", "2001:db8:0:2::1"))
    end)

    it("that is missing is no try", function()
      local guard = keys.new("right", function() return 1000 end)
      for _ = 1, 20 do assert.equal(401, select(2, guard:check(nil, "10.0.0.1")).status) end
      assert.is_true(guard:check("right", "10.0.0.1"))
    end)

    it("tried too often is answered 429 over the wire", function()
      start()
      local status, body, answer
      repeat status, body, answer = api("GET", "/counters", nil, "wrong") until status ~= 401
      assert.equal(429, status)
      assert.equal(9, body.code)
      assert.equal("1", answer.headers["retry-after"])
    end)

    it("is in no log and no answer", function()
      start()
      api("GET", "/counters")
      api("GET", "/channels?q=x")
      look():abort()
      for _, line in ipairs(fixture.log) do
        assert.is_nil(native.json.encode { line.message, line.fields }:find(KEY, 1, true))
      end
      for _, path in ipairs { "/counters", "/channeltypes", "/channels", "/connections" } do
        assert.is_nil(select(3, api("GET", path)).text:find(KEY, 1, true))
      end
    end)
  end)

  describe("ticket", function()
    it("opens the stream once", function()
      start()
      local _, answer = api("POST", "/tickets")
      local target = "/dashboard/live?ticket=" .. answer.ticket
      local socket = http_client.websocket(fixture.server, target)
      assert.equal(101, socket.status)
      assert.equal("counters", socket:next().type)
      socket:close()
      assert.equal(401, http_client.websocket(fixture.server, target).status)
    end)

    it("is needed: neither nothing nor the key will do", function()
      start()
      for _, query in ipairs { "", "?ticket=", "?ticket=" .. ("0"):rep(32), "?key=a%20key%20of%20our%20own",
        "?ticket=a%20key%20of%20our%20own" } do
        assert.equal(401, http_client.websocket(fixture.server, "/dashboard/live" .. query,
          { ["X-Dashboard-Key"] = KEY }).status)
      end
      assert.equal(400, http_client.websocket(fixture.server, "/dashboard/live?ticket=a&ticket=b").status)
    end)

    it("is good for half a minute", function()
      local now = 1000
      local guard = keys.new(nil, function() return now end)
      local early, late = guard:ticket(), guard:ticket()
      now = 1029
      assert.is_true(guard:redeem(early))
      now = 1030
      assert.is_false(guard:redeem(late))
    end)

    it("goes when there are too many newer ones", function()
      local guard = keys.new()
      local oldest = guard:ticket()
      local second = guard:ticket()
      for _ = 1, 63 do guard:ticket() end
      assert.is_false(guard:redeem(oldest))
      assert.is_true(guard:redeem(second))
    end)

    it("of another page's is not taken", function()
      start()
      for origin, status in pairs {
        ["http://localhost"] = 101, ["http://localhost:80"] = 101, ["http://localhost:8080"] = 403,
        ["http://evil.example"] = 403, ["null"] = 403, ["http://localhost.evil.example"] = 403,
      } do
        assert.equal(status, look({ Origin = origin }).status, origin)
      end
    end)

    it("is not given to a page whose handshake would fail", function()
      start()
      for origin, status in pairs { ["http://localhost"] = 201, ["https://chat.example"] = 403 } do
        local answer = fixture.client:request("POST", API .. "/tickets",
          { headers = { ["X-Dashboard-Key"] = KEY, Origin = origin } })
        assert.equal(status, answer.status)
        assert.equal(status == 403, (answer.body.message or ""):find("Host header", 1, true) ~= nil)
      end
    end)

    it("is asked for a WebSocket only", function()
      start()
      assert.equal(400, fixture.client:request("GET", "/dashboard/live").status)
    end)
  end)

  describe("API", function()
    it("refuses what is no page of a list", function()
      start()
      for _, path in ipairs { "/channels", "/connections", "/channels/messaging/lobby" } do
        for _, query in ipairs { "limit=0", "limit=101", "limit=x", "limit=-1", "offset=1001", "offset=1.5",
          "q=" .. ("x"):rep(256), "limit=99999999999999999999" } do
          local status, body = api("GET", path .. "?" .. query)
          assert.equal(400, status, query)
          assert.equal(4, body.code)
        end
      end
      assert.equal(404, (api("GET", "/channels/messaging/none")))
      assert.equal(400, (api("GET", "/channels/messaging/no%20name")))
      assert.equal(405, (api("DELETE", "/channels")))
      assert.equal(405, (api("DELETE", "/channeltypes/messaging")))
    end)

    it("lists channels, the most watched first, a page at a time", function()
      start()
      for i = 1, 9 do fixture:channel("team:room-" .. i, { "alice" }) end
      fixture:watch(fixture:connect "alice", "team:room-7")
      local _, all = api("GET", "/channels?limit=3")
      assert.equal(10, all.total)
      assert.same({ "team:room-7", "messaging:lobby", "team:room-1" },
        { all.channels[1].cid, all.channels[2].cid, all.channels[3].cid })
      assert.same({ 1, 0 }, { all.channels[1].watcher_count, all.channels[2].watcher_count })
      assert.equal(2, all.channels[2].member_count)
      local _, rest = api("GET", "/channels?limit=3&offset=9")
      assert.equal(1, #rest.channels)
      assert.equal("team:room-9", rest.channels[1].cid)
      local _, found = api("GET", "/channels?q=LOBB")
      assert.same({ 1, "messaging:lobby" }, { found.total, found.channels[1].cid })
      assert.same({ 0, {} }, { select(2, api("GET", "/channels?q=%25d")).total, native.json.array {} })
    end)

    it("lists who watches a channel and who is connected", function()
      start()
      fixture:watch(fixture:connect "alice", "messaging:lobby")
      fixture:watch(fixture:connect "alice", "messaging:lobby")
      fixture:connect "bob"
      fixture:connect "anonymous"
      local _, answer = api("GET", "/channels/messaging/lobby")
      assert.equal(1, answer.total)
      assert.same({ "alice", 2, true },
        { answer.watchers[1].id, answer.watchers[1].connections, answer.watchers[1].is_member })
      _, answer = api("GET", "/connections")
      assert.equal(4, answer.total)
      local users = {}
      for i, connection in ipairs(answer.connections) do users[i] = connection.user end
      assert.same({ "!anon", "alice", "alice", "bob" }, users)
      assert.same({ "messaging:lobby" }, { table.unpack(answer.connections[2].channels) })
      assert.equal(8, #answer.connections[1].id)
      assert.equal(1, select(2, api("GET", "/connections?q=bo")).total)
    end)

    it("counts", function()
      start()
      fixture:watch(fixture:connect "alice", "messaging:lobby")
      send("alice", { type = "flare" })
      send("carol", { type = "flare" })
      for _ = 1, 2 do send("alice", { type = "message.new" }) end
      local _, answer = api("GET", "/counters")
      assert.same({ 1, 3, 1, 1, 1, 1 }, { answer.accepted, answer.refused, answer.deliveries,
        answer.connections, answer.watches, answer.channels })
      assert.same({ { reason = "not-supported", count = 2 }, { reason = "not-allowed", count = 1 } },
        { answer.reasons[1], answer.reasons[2] })
    end)

    it("changes channel types as backends do, at once", function()
      start()
      assert.equal(201, (send("alice", { type = "flare" })))
      local status, body = api("PUT", "/channeltypes/messaging", { custom_events = false })
      assert.equal(201, status)
      assert.is_false(body.custom_events)
      assert.equal(18, select(2, send("alice", { type = "flare" })).code)
      local nothing = { channel_member = native.json.array {} }
      assert.equal(201, (api("PUT", "/channeltypes/messaging", { grants = nothing })))
      api("PUT", "/channeltypes/messaging", { custom_events = true })
      assert.equal(17, select(2, send("bob", { type = "flare" })).code)
      status, body = api("PUT", "/channeltypes/messaging", { grants = { user = { "send-custom-events" } } })
      assert.equal(400, status)
      assert.matches("send%-custom%-events", body.message)
      assert.equal(400, (api("PUT", "/channeltypes/messaging", "[]")))
      assert.equal(404, (api("PUT", "/channeltypes/none", { custom_events = true })))
    end)

    it("sends as a user, with that user's rights, or in the name of one", function()
      start()
      local bob = fixture:connect "bob"
      fixture:watch(bob, "messaging:lobby")
      local path = "/channels/messaging/lobby/event"
      assert.equal(201, (api("POST", path .. "?as=alice", { event = { type = "flare", x = 1 } })))
      local event = bob:expect "flare"
      assert.same({ "alice", 1 }, { event.user.id, event.x })
      local status, body = api("POST", path .. "?as=carol", { event = { type = "flare" } })
      assert.same({ 403, 17 }, { status, body.code })
      assert.equal(201, (api("POST", path, { event = { type = "flare", user_id = "carol" } })))
      assert.equal("carol", bob:expect "flare".user.id)
      assert.equal(400, (api("POST", path, { event = { type = "flare" } })))
      assert.equal(400, (api("POST", path, "{")))
      assert.equal(404, (api("POST", path .. "?as=nobody", { event = { type = "flare" } })))
      assert.equal(400, (api("POST", path .. "?as=no%20name", { event = { type = "flare" } })))
      assert.equal(201, (api("POST", "/users/bob/event", { event = { type = "bonus", coins = 5 } })))
      assert.equal(5, bob:expect "bonus".coins)
      assert.equal(404, (api("POST", "/users/nobody/event", { event = { type = "bonus" } })))
    end)

    it("does nothing but send as a user", function()
      start()
      for _, call in ipairs {
        { "POST", "/users/bob/event", { event = { type = "bonus" } } }, { "GET", "/channeltypes" },
        { "PUT", "/channeltypes/messaging", { custom_events = false } }, { "GET", "/connections" },
        { "POST", "/tickets" },
      } do
        assert.equal(403, (api(call[1], call[2] .. "?as=alice", call[3])))
      end
    end)

    it("does not act as a user who is gone", function()
      start()
      fixture.server.parts.users:deactivate "alice"
      local path = "/channels/messaging/lobby/event?as=alice"
      local status, body = api("POST", path, { event = { type = "flare" } })
      -- The page takes 401 for a wrong key.
      assert.same({ 403, 17 }, { status, body.code })
    end)
  end)

  describe("live stream", function()
    it("tells what becomes of each event, and why", function()
      start { rules = { default = "drop", events = { flare = { extra = "keep" } } } }
      local viewer = look()
      send("alice", { type = "flare", x = 1 })
      send("alice", { type = "grant_admin" })
      send("server", { type = "flare" }, "/users/bob/event")
      local events = {}
      while #events < 3 do
        for _, event in ipairs(viewer:expect("events").events) do events[#events + 1] = event end
      end
      local accepted, refused, to_user = table.unpack(events)
      assert.same({ "accepted", "flare", "messaging:lobby", "alice", "user", 0 }, { accepted.outcome,
        accepted.type, accepted.cid, accepted.sender, accepted.by, accepted.receivers })
      assert.matches('"x":1', accepted.body, 1, true)
      assert.equal(#accepted.body, accepted.size)
      assert.same({ "refused", "undeclared-type" }, { refused.outcome, refused.reason })
      assert.truthy(refused.message)
      assert.same({ "bob", "server" }, { to_user.target, to_user.by })
    end)

    it("is text that is UTF-8 and not long, whatever was sent", function()
      start()
      local viewer = look()
      local hostile = '{"event":"\255\254' .. ("\u{20AC}"):rep(2000) .. '"}'
      fixture:call("alice", "POST", "/channels/messaging/lobby/event", hostile)
      fixture:call("alice", "POST", "/channels/mess%FFaging/" .. ("x"):rep(3000) .. "/event",
        { event = { type = "a" } })
      local events = viewer:expect("events").events
      while #events < 2 do events[2] = viewer:expect("events").events[1] end
      for _, event in ipairs(events) do
        assert.truthy(utf8.len(event.body))
        assert.truthy(#event.body <= 1024 + 8)
        assert.truthy(#(event.cid) <= 260)
        assert.truthy(#(event.message) <= 520)
      end
      assert.equal(#hostile, events[1].size)
      assert.truthy(events[1].body:find("\u{FFFD}\u{FFFD}", 1, true))
    end)

    it("shows so many of a burst, and counts the others", function()
      start()
      local viewer = look()
      for _ = 1, 200 do
        fixture.client:send("POST", "/channels/messaging/none/event?api_key=devkey",
          { Authorization = fixture:user_token "alice" }, '{"event":{"type":"flare"}}')
      end
      for _ = 1, 200 do fixture.client:next_answer() end
      local shown, more = 0, 0
      while shown + more < 200 do
        local frame = viewer:expect "events"
        assert.truthy(#frame.events <= 40)
        shown, more = shown + #frame.events, more + frame.more
      end
      assert.equal(200, shown + more)
    end)

    it("says the counters at once, and again every second", function()
      start()
      local viewer = look()
      local frame = viewer:next()
      assert.same({ "counters", 0, 60 }, { frame.type, frame.accepted, frame.idle_timeout })
      send("alice", { type = "flare" })
      repeat frame = viewer:expect "counters" until frame.accepted == 1
    end)

    it("costs nothing when nobody looks", function()
      start()
      local outcomes = fixture.server.parts.outcomes
      assert.equal(0, #outcomes.observers)
      local one, other = look(), look()
      assert.equal(1, #outcomes.observers)
      one:close()
      assert.equal(1, #outcomes.observers)
      other:close()
      http_client.wait("the end", function() return #outcomes.observers == 0 end)
    end)

    it("is no connection of a user: it is not counted, and what it says is not answered", function()
      start()
      local viewer = look()
      viewer:next()
      viewer:send ""
      viewer:send "{}"
      repeat
        local frame = viewer:next()
        assert.equal("counters", frame.type)
        assert.equal(0, frame.connections)
      until frame.uptime and #viewer.frames == 0
      assert.equal(0, fixture.server:stats().signed_in)
    end)

    it("leaves a page that does not read behind", function()
      start { max_output = 65536 }
      local viewer = look()
      viewer.socket.tcp:read_stop()
      local live = fixture.server.parts.dashboard.live
      local number = next(live.viewers)
      assert.truthy(number)
      -- What the system keeps for a socket is megabytes: a batch of which one event comes over the wire.
      local outcomes, text = fixture.server.parts.outcomes, ("x"):rep(900)
      local context = {
        event_type = "flare", caller = { kind = "user", id = "alice" },
        params = { type = "messaging", id = "lobby" },
      }
      http_client.wait("the slow page is dropped", function()
        send("alice", { type = "flare", text = text })
        for _ = 2, 40 do outcomes:accepted(context, text, 0) end
        live:flush()
        return next(live.viewers) == nil
      end)
      assert.equal(1, fixture.server:stats().too_slow)
    end)

    it("is for sixteen at a time", function()
      start()
      local sockets = {}
      for i = 1, 16 do sockets[i] = look() end
      assert.equal(101, sockets[16].status)
      assert.equal(503, look().status)
      sockets[1]:close()
      assert.equal(101, look().status)
    end)
  end)

  it("keeps the first of many in order", function()
    local numbers = {}
    for i = 1, 500 do numbers[i] = (i * 7919) % 1009 end
    local kept = first.new(20, function(a, b) return a < b end)
    for _, each in ipairs(numbers) do kept:add(each) end
    table.sort(numbers)
    assert.same({ table.unpack(numbers, 1, 20) }, kept:sorted())
  end)
end)
