--- Webhooks of the server: what is copied, how it is sent, and that nothing accepted gets lost.
local DBI = require "DBI"
local command = require "support.command"
local fixtures = require "support.server"
local folders = require "support.folder"
local free_port = require "support.free_port"
local hooks = require "support.hook"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local process = require "support.process"
local server = require "stream_events.server"

local EVENT = "/channels/messaging/lobby/event"
local SECRET = "lan-dev-secret"

describe("webhooks", function()
  local fixture, opened, folder
  before_each(function() opened = {} end)
  after_each(function()
    for _, hook in ipairs(opened) do hook:stop() end
    if fixture then fixture:stop() end
    process.end_all()
    if folder then folder:remove() end
    fixture, folder = nil, nil
  end)

  local function receiver(answers, port)
    opened[#opened + 1] = hooks.start(answers, port)
    return opened[#opened]
  end

  local function start(options)
    options = options or {}
    options.webhook_retry = options.webhook_retry or 0.001
    fixture = fixtures.start(options)
    fixture:users({ id = "alice", name = "Alice" }, "bob", { id = "root", role = "admin" })
    fixture:channel("messaging:lobby", { "alice", "bob" })
  end

  local function set(settings)
    local status, body = fixture:call("server", "PATCH", "/app", settings)
    assert(status == 200, body.message)
  end

  local function hook_to(target, more)
    local hook = { id = "h", webhook_url = target.url, should_send_custom_events = true }
    for name, value in pairs(more or {}) do hook[name] = value end
    return hook
  end

  local function set_hooks(...) set { event_hooks = native.json.array { ... } } end

  local function send(event, who)
    local status, body = fixture:call(who or "alice", "POST", EVENT, { event = event })
    assert(status == 201, body.message)
    return body.event
  end

  local function stats() return fixture.server:stats().webhooks end

  local function wait_for(what, number)
    http_client.wait(("%d %s"):format(number, what), function() return stats()[what] >= number end)
    return stats()
  end

  local function logged(message)
    local found = {}
    for _, line in ipairs(fixture.log) do
      if line.message:find(message, 1, true) then found[#found + 1] = line end
    end
    return found
  end

  describe("send a copy", function()
    it("of a custom event: body, headers and signature as the protocol has them", function()
      local target = receiver(200)
      start()
      set_hooks(hook_to(target))
      local answer = fixture.client:request("POST", EVENT, {
        headers = { Authorization = fixture:user_token "alice", ["User-Agent"] = "game/1",
          ["X-Stream-Client"] = "stream-events-0.1", ["x-stream-ext"] = "lan" },
        query = { api_key = "devkey" }, body = '{"event":{"type":"flare","x":1.50,"list":[],'
          .. '"request_info":{"type":"forged"}}}',
      })
      local distributed = answer.text:match('^{"event":(.*)},"duration"')
      local request = target:expect(1)
      assert.equal(distributed .. ',"request_info":' .. request.text:match('"request_info":(.*)}$') .. "}",
        request.text)
      assert.same({ type = "client", ip = "127.0.0.1", user_agent = "game/1", sdk = "stream-events-0.1",
        ext = "lan" }, request.event.request_info)
      assert.matches("^POST /hooks HTTP/1.1", request.head)
      assert.is_true(hooks.is_signed(request, SECRET))
      local headers = request.headers
      assert.same({ "devkey", "1", "application/json", nil, nil },
        { headers["x-api-key"], request.attempt, headers["content-type"], headers["content-encoding"],
          headers["accept"] })
      assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", request.id)
      wait_for("delivered", 1)
    end)

    it("of an event to a user, which no client can have caused", function()
      local target = receiver(200)
      start()
      set_hooks(hook_to(target))
      assert.equal(201, (fixture:call("server", "POST", "/users/bob/event",
        { event = { type = "friend_request", from = "alice", request_info = { type = "forged" } } })))
      local event = target:expect(1).event
      assert.same({ "friend_request", "bob", "alice" }, { event.type, event.user.id, event.from })
      assert.same({}, { event.cid, event.request_info })
    end)

    it("compressed when that is switched on, signed as it is without", function()
      local target = receiver(200)
      start()
      set_hooks(hook_to(target))
      set { enable_hook_payload_compression = true }
      send { type = "flare", text = ("x"):rep(2000) }
      local request = target:expect(1)
      assert.equal("gzip", request.headers["content-encoding"])
      assert.is_true(#request.raw < 1000)
      assert.equal(2000, #request.event.text)
      assert.is_true(hooks.is_signed(request, SECRET))
      set { enable_hook_payload_compression = false }
      send { type = "flare" }
      assert.is_nil(target:expect(2).headers["content-encoding"])
    end)

    it("as the rules have changed it, and of nothing that was refused or is typing", function()
      local target = receiver(200)
      folder = folders.new()
      start { webhook_in_flight = 1, rules = folder:write("rules.lua",
        'default "drop" event "note" { fields = { text = string }, extra = "strip" }') }
      set_hooks(hook_to(target))
      for _, event_type in ipairs { "message.new", "other" } do
        local status = fixture:call("alice", "POST", EVENT, { event = { type = event_type } })
        assert.is_true(status >= 400)
      end
      send { type = "typing.start" }
      send { type = "note", text = "a", more = "b" }
      local event = target:expect(1).event
      assert.same({ "note", "a" }, { event.type, event.text })
      assert.is_nil(event.more)
    end)

    it("of channels' own events to those who want them, with the members", function()
      local target, custom = receiver(200), receiver(200)
      start()
      set_hooks(hook_to(target, { should_send_custom_events = false }), hook_to(custom,
        { id = "c", event_types = { "flare", "member.added" } }))
      assert.equal(201, (fixture:call("server", "POST", "/channels/messaging/lobby",
        { add_members = { "root" } })))
      send { type = "flare" }
      assert.equal(200, (fixture:call("server", "PATCH", "/channels/messaging/lobby",
        { set = { name = "Lobby" } })))
      assert.equal(201, (fixture:call("server", "POST", "/channels/messaging/lobby",
        { remove_members = { "root" } })))
      assert.equal(200, (fixture:call("server", "DELETE", "/channels/messaging/lobby")))
      target:expect(4)
      custom:expect(2)
      local types = target:types()
      table.sort(types)
      assert.same({ "channel.deleted", "channel.updated", "member.added", "member.removed" }, types)
      types = custom:types()
      table.sort(types)
      assert.same({ "flare", "member.added" }, types)
      for _, request in ipairs(target.requests) do
        if request.event.type == "member.added" then assert.equal(3, #request.event.members) end
      end
    end)

    -- Each hook gets one more event at the end, which all of them want.
    for name, case in pairs {
      ["every custom event"] = { { should_send_custom_events = true }, { "flare", "shot" } },
      ["none without the switch"] = { { should_send_custom_events = false }, {} },
      ["those that it names"] = { { event_types = { "shot", "member.added" } }, { "shot" } },
      ["none when it names others"] = { { event_types = { "member.added" } }, {} },
      ["none when it is disabled"] = { { enabled = false }, {} },
    } do
      it("to a hook that wants " .. name, function()
        local target, all = receiver(200), receiver(200)
        start()
        set_hooks(hook_to(target, case[1]), hook_to(all, { id = "all" }))
        send { type = "flare" }
        send { type = "shot" }
        all:expect(2)
        wait_for("delivered", 2 + #case[2])
        assert.same({ 0, 0, 2 + #case[2] }, { stats().queued, stats().in_flight, stats().attempts })
        local types = target:types()
        table.sort(types)
        assert.same(case[2], types)
      end)
    end

    it("to the older webhook_url: custom events that webhook_events names", function()
      local target = receiver(200)
      start()
      set { webhook_url = target.url }
      send { type = "flare" }
      assert.equal(201, (fixture:call("server", "POST", "/channels/messaging/lobby",
        { add_members = { "root" } })))
      assert.equal("member.added", target:expect(1).event.type)
      set { webhook_events = { "flare" } }
      send { type = "shot" }
      send { type = "flare" }
      assert.equal("flare", target:expect(2).event.type)
      set { webhook_url = "" }
      send { type = "flare" }
      assert.equal(2, wait_for("delivered", 2).attempts)
      assert.equal(0, stats().queued)
    end)

    it("with one id to all hooks of one event, and another for the next event", function()
      local one, other = receiver(200), receiver(200)
      start()
      set_hooks(hook_to(one), hook_to(other, { id = "o" }))
      send { type = "flare" }
      send { type = "flare" }
      one:expect(2)
      other:expect(2)
      local ids = {}
      for _, request in ipairs(one.requests) do ids[request.id] = 1 end
      for _, request in ipairs(other.requests) do ids[request.id] = ids[request.id] + 1 end
      local counts = {}
      for _, count in pairs(ids) do counts[#counts + 1] = count end
      assert.same({ 2, 2 }, counts)
    end)

    it("in the order of the events, when one is under way at a time", function()
      local target = receiver(function(_, number) return number % 3 == 0 and 500 or 200 end)
      start { webhook_in_flight = 1 }
      set_hooks(hook_to(target))
      for i = 1, 20 do
        fixture.client:send("POST", EVENT .. "?api_key=devkey",
          { Authorization = fixture:user_token "alice" }, ('{"event":{"type":"tick","n":%d}}'):format(i))
      end
      for _ = 1, 20 do assert.equal(201, fixture.client:next_answer().status) end
      wait_for("delivered", 20)
      assert.equal(1, target.most_open)
      local last = 0
      for _, request in ipairs(target.requests) do
        local expected = request.attempt == "1" and last + 1 or last
        assert.equal(expected, request.event.n)
        last = request.event.n
      end
      assert.equal(20, last)
    end)
  end)

  describe("are tried again", function()
    -- What a hook answers to everything, and how often it is asked.
    for name, case in pairs {
      ["three times for 500"] = { 500, 3 },
      ["three times for 503"] = { 503, 3 },
      ["three times for 408"] = { 408, 3 },
      ["three times for 429"] = { 429, 3 },
      ["three times when no answer comes"] = { "hang", 3 },
      ["twice when the connection ends"] = { "close", 2 },
      ["twice for rubbish"] = { "what do you want?\r\n\r\n", 2 },
      ["twice for an answer without end"] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" .. ("x"):rep(100000), 2 },
      ["not at all for 400"] = { 400, 1 },
      ["not at all for 404"] = { 404, 1 },
      ["not at all for a redirect"] = { hooks.answer(307, "Location: http://127.0.0.1:1/\r\n"), 1 },
      ["not at all for 200"] = { 200, 1 },
      ["not at all for 204"] = { "HTTP/1.1 204 No Content\r\n\r\n", 1 },
    } do
      it(name, function()
        local target = receiver(case[1])
        start()
        set_hooks(hook_to(target, { timeout_ms = case[1] == "hang" and 100 or 6000 }))
        send { type = "flare" }
        http_client.wait("the end of it", function() return stats().delivered + stats().failed == 1 end)
        assert.equal(case[2], stats().attempts)
        -- On a busy machine the time of an attempt may be over before it has come.
        if case[1] ~= "hang" then assert.equal(case[2], #target.requests) end
        for i, request in ipairs(target.requests) do
          assert.equal(target.requests[1].id, request.id)
          if case[1] ~= "hang" then assert.equal(tostring(i), request.attempt) end
        end
        local lines = logged "a webhook was not delivered"
        if stats().delivered == 1 then return assert.equal(0, #lines) end
        assert.equal(1, #lines)
        assert.same({ "error", "h", "flare", case[2] }, { lines[1].level, lines[1].fields.hook,
          lines[1].fields.type, lines[1].fields.attempts })
        if target.requests[1] then assert.equal(target.requests[1].id, lines[1].fields.webhook_id) end
      end)
    end

    it("twice when nobody is there", function()
      local target = receiver(200)
      target:stop()
      start()
      set_hooks(hook_to(target))
      send { type = "flare" }
      assert.equal(2, wait_for("failed", 1).attempts)
    end)

    it("until it works", function()
      local target = receiver(function(_, number) return number < 3 and 500 or 200 end)
      start()
      set_hooks(hook_to(target))
      send { type = "flare" }
      assert.equal(3, wait_for("delivered", 1).attempts)
      assert.same({}, logged "a webhook was not delivered")
    end)

    it("not when the hook asks for more time than there is", function()
      local target = receiver(hooks.answer(429, "Retry-After: 60\r\n"))
      start()
      set_hooks(hook_to(target))
      send { type = "flare" }
      assert.equal(1, wait_for("failed", 1).attempts)
    end)

    it("not when the hook asks to wait until a date that is too far away, by its own clock", function()
      local target = receiver(hooks.answer(503, "Date: Sun, 06 Nov 1994 08:49:07 GMT\r\n"
        .. "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n"))
      start()
      set_hooks(hook_to(target))
      send { type = "flare" }
      assert.equal(1, wait_for("failed", 1).attempts)
    end)

    it("no longer than all of it may take", function()
      local target = receiver("hang")
      start { webhook_total = 0.05, webhook_retry = 3600 }
      set_hooks(hook_to(target, { timeout_ms = 15000 }))
      send { type = "flare" }
      assert.equal(1, wait_for("failed", 1).attempts)
    end)
  end)

  describe("that hang", function()
    it("slow down neither events nor other hooks, and are asked so much at a time", function()
      local hanging, fine = receiver("hang"), receiver(200)
      start { webhook_in_flight = 4 }
      set_hooks(hook_to(hanging, { id = "hanging", timeout_ms = 15000 }), hook_to(fine))
      local bob = fixture:connect "bob"
      fixture:watch(bob, "messaging:lobby")
      for i = 1, 50 do
        send { type = "tick", n = i }
        assert.equal(i, bob:expect("tick").n)
      end
      fine:expect(50)
      hanging:expect(4)
      assert.equal(4, hanging.most_open)
      assert.same({ 46, 4 }, { stats().hooks.hanging.queued, stats().hooks.hanging.in_flight })
      http_client.wait("the other hook", function() return stats().hooks.h.delivered == 50 end)
    end)

    it("fill their queue, and what does not go in is reported", function()
      local hanging, fine = receiver("hang"), receiver(200)
      start { webhook_in_flight = 1, webhook_queue = 3 }
      set_hooks(hook_to(hanging, { id = "hanging", timeout_ms = 15000 }), hook_to(fine))
      for i = 1, 10 do
        send { type = "tick", n = i }
        -- With so small a queue, and one request at a time, the other must keep up.
        fine:expect(i)
        wait_for("delivered", i)
      end
      assert.same({ 3, 1, 6, 0 }, { stats().hooks.hanging.queued, stats().hooks.hanging.in_flight,
        stats().hooks.hanging.refused, stats().hooks.h.refused })
      http_client.wait("the report", function()
        local events = 0
        for _, line in ipairs(logged "events were not taken for a webhook") do
          assert.same({ "error", "hanging", 3 }, { line.level, line.fields.hook, line.fields.limit })
          events = events + line.fields.events
        end
        return events == 6
      end)
    end)

    it("are given up at once when they are removed, and what waits is reported", function()
      local hanging = receiver("hang")
      start { webhook_in_flight = 1 }
      set_hooks(hook_to(hanging, { timeout_ms = 15000 }))
      for _ = 1, 3 do send { type = "tick" } end
      local request = hanging:expect(1)
      set_hooks()
      assert.equal(2, stats().failed)
      request.reply(500) -- and is not asked again
      local last = wait_for("failed", 3)
      assert.same({ 1, 0 }, { last.attempts, last.in_flight })
      assert.equal(3, #logged "a webhook was not delivered")
      -- What others do adds to what those did that are gone.
      local other = receiver(200)
      set_hooks(hook_to(other, { id = "other" }))
      send { type = "tick" }
      last = wait_for("delivered", 1)
      assert.same({ 2, 3 }, { last.attempts, last.failed })
      assert.same({ 1, 0 }, { last.hooks.other.attempts, last.hooks.other.failed })
    end)

    it("do not keep the server from stopping", function()
      local hanging = receiver("hang")
      start { stop_timeout = 0.05 }
      set_hooks(hook_to(hanging, { timeout_ms = 15000 }))
      for _ = 1, 10 do send { type = "tick" } end
      hanging:expect(8)
      fixture:stop()
      local lines = logged "the server was stopped, and its state was in memory"
      assert.same({ 1, 10 }, { #lines, lines[1].fields.deliveries })
    end)
  end)

  it("go where the hook leads now", function()
    local first, second = receiver("hang"), receiver(200)
    start { webhook_in_flight = 1 }
    set_hooks(hook_to(first, { timeout_ms = 15000 }))
    send { type = "one" }
    send { type = "two" }
    local request = first:expect(1)
    set_hooks(hook_to(second))
    request.reply(500)
    second:expect(2)
    assert.same({ "one", "two" }, second:types())
    assert.same({ request.id, "2" }, { second.requests[1].id, second.requests[1].attempt })
  end)

  it("keep their connections when other settings change, and end them with what leads elsewhere", function()
    local target, other = receiver(200), receiver(200)
    local function connections(of)
      local count = 0
      for _ in pairs(of.sockets) do count = count + 1 end
      return count
    end
    local function expect(of, number)
      send { type = "poke" }
      of:expect(number)
      wait_for("delivered", target == of and number or #target.requests + number)
    end
    start()
    collectgarbage "stop" -- which would end them, some time
    finally(function() collectgarbage "restart" end)
    local socket
    set_hooks(hook_to(target))
    expect(target, 1)
    socket = next(target.sockets)
    set_hooks(hook_to(target, { timeout_ms = 5000 }))
    expect(target, 2)
    assert.same({ [socket] = true }, target.sockets)
    set { enable_hook_payload_compression = true }
    http_client.wait("the end of the first", function() return not target.sockets[socket] end)
    expect(target, 3)
    assert.equal("gzip", target.requests[3].headers["content-encoding"])
    set_hooks(hook_to(other))
    http_client.wait("the end of the second", function() return connections(target) == 0 end)
    expect(other, 1)
    set_hooks()
    http_client.wait("the end of the last", function() return connections(other) == 0 end)
  end)

  it("never show a secret in the log", function()
    start()
    set_hooks({ id = "h", webhook_url = "http://127.0.0.1:1/x?token=hunter2",
      should_send_custom_events = true })
    send { type = "flare" }
    wait_for("failed", 1)
    local text = native.json.encode(fixture.log)
    for _, secret in ipairs { SECRET, "hunter2" } do assert.is_nil(text:find(secret, 1, true)) end
  end)

  it("are taken by the backend of the examples, each once", function()
    local port = free_port.tcp()
    folder = folders.new()
    local file = assert(io.open(command.ROOT .. "lua/examples/webhooks.lua"))
    local text = file:read("a"):gsub("3040", port)
    file:close()
    local backend = process.start("lua5.4", { folder:write("webhooks.lua", text) })
    backend:wait_for("stdout", "listening")
    local client = http_client.new { host = "127.0.0.1", port = port }
    assert.equal(401, client:request("POST", "/", { body = "{}" }).status)
    client:close()
    start()
    set_hooks(hook_to { url = ("http://127.0.0.1:%d/"):format(port) })
    set { enable_hook_payload_compression = true }
    send { type = "flare" }
    wait_for("delivered", 1)
    backend:wait_for("stdout", "flare\t{.*}\n")
  end)

  describe("settings", function()
    local function patch(body) return fixture:call("server", "PATCH", "/app", body) end
    local function get() return (select(2, fixture:call("server", "GET", "/app"))).app end

    it("are shown as they hold, and can be sent back as they were read", function()
      start()
      assert.same({ {}, "", {}, false, false }, { get().event_hooks, get().webhook_url,
        get().webhook_events, get().enable_hook_payload_compression, get().use_hook_v2 })
      set { event_hooks = { { webhook_url = "https://example.org/a" }, { id = "b", enabled = false,
        webhook_url = "http://10.0.0.7:8080", hook_type = "webhook", product = "chat", timeout_ms = 100,
        event_types = { "flare" }, should_send_custom_events = true, callback = native.json.null,
        failover_config = {} } }, webhook_url = "http://localhost/x", webhook_events = { "shot" } }
      local app = get()
      assert.same({ true, "http://localhost/x", { "shot" } },
        { app.use_hook_v2, app.webhook_url, app.webhook_events })
      local first, second = app.event_hooks[1], app.event_hooks[2]
      assert.same({ "webhook", true, {}, 6000, "all", false, "https://example.org/a" }, { first.hook_type,
        first.enabled, first.event_types, first.timeout_ms, first.product, first.should_send_custom_events,
        first.webhook_url })
      assert.matches("^%x+%-%x+%-", first.id)
      assert.same({ "b", false, { "flare" }, 100, "chat", true }, { second.id, second.enabled,
        second.event_types, second.timeout_ms, second.product, second.should_send_custom_events })
      set { event_hooks = app.event_hooks }
      assert.same(app.event_hooks, get().event_hooks)
      second.timeout_ms = 200
      set { event_hooks = app.event_hooks }
      local changed = get().event_hooks
      assert.same({ first, second.created_at }, { changed[1], changed[2].created_at })
      assert.not_equal(second.updated_at, changed[2].updated_at)
    end)

    it("are not for clients, neither to read nor to change", function()
      start()
      set { webhook_url = "http://localhost/x" }
      assert.equal(403, (fixture:call("root", "PATCH", "/app", { webhook_url = "" })))
      assert.equal(403, (fixture:call("root", "GET", "/hook/events")))
      local _, body = fixture:call("root", "GET", "/app")
      assert.is_nil(body.app.webhook_url)
    end)

    it("know the built-in events that are copied", function()
      start()
      local status, body = fixture:call("server", "GET", "/hook/events")
      assert.equal(200, status)
      local found = {}
      for i, event in ipairs(body.events) do found[i] = event.name end
      assert.same({ "channel.deleted", "channel.updated", "member.added", "member.removed",
        "member.updated", "user.banned", "user.deactivated", "user.deleted", "user.reactivated",
        "user.unbanned" }, found)
    end)

    local URL = '"webhook_url":"http://x"'
    it("ignore an unknown field", function()
      start()
      assert.equal(200, (patch('{"event_hooks":[{' .. URL .. ',"should_send":true}]}')))
      assert.is_nil(get().event_hooks[1].should_send)
      assert.is_false(get().event_hooks[1].should_send_custom_events)
    end)

    for name, case in pairs {
      ["a hook without a URL"] = { '{"event_hooks":[{"id":"a"}]}', "webhook_url is missing" },
      ["a URL of another kind"] = { '{"event_hooks":[{"webhook_url":"ftp://x"}]}', "http://" },
      ["a URL without a host"] = { '{"webhook_url":"http:///x"}', "host" },
      ["a URL with a port that is none"] = { '{"webhook_url":"http://x:65536/"}', "a port from 1 to 65535" },
      ["an IPv6 address with such a port"] = { '{"webhook_url":"http://[::1]:0/"}', "a port from 1" },
      ["a URL with a port that is a name"] = { '{"webhook_url":"http://x:http/"}', "a port from 1" },
      ["a URL with a password"] = { '{"webhook_url":"http://a:b@x/"}', "password" },
      ["a URL of two lines"] = { '{"webhook_url":"http://x/\\r\\nA: b"}', "must be a URL" },
      ["a URL that is too long"] = { { webhook_url = "http://x/" .. ("y"):rep(2048) }, "2048" },
      ["a time-out of nothing"] = { '{"event_hooks":[{' .. URL .. ',"timeout_ms":0}]}', "1 to 15000" },
      ["a time-out of an hour"] = { '{"event_hooks":[{' .. URL .. ',"timeout_ms":3600000}]}',
        "1 to 15000" },
      ["a queue of another kind"] = { '{"event_hooks":[{' .. URL .. ',"hook_type":"sqs"}]}', '"webhook"' },
      ["another product"] = { '{"event_hooks":[{' .. URL .. ',"product":"video"}]}', "product" },
      ["a place for what fails"] = { '{"event_hooks":[{' .. URL .. ',"failover_config":{"a":1}}]}',
        "not offered" },
      ["the same id twice"] = { '{"event_hooks":[{"id":"a",' .. URL .. '},{"id":"a",' .. URL .. "}]}",
        "two hooks" },
      ["the id of the older form"] = { '{"event_hooks":[{"id":"webhook_url",' .. URL .. "}]}", "id must be" },
      ["event types that are none"] = { '{"event_hooks":[{' .. URL .. ',"event_types":[""]}]}',
        "event_types" },
      ["event types that are no list"] = { '{"webhook_events":{"a":1}}', "webhook_events" },
      ["too many hooks"] = { '{"event_hooks":[' .. ("{" .. URL .. "},"):rep(16) .. "{" .. URL .. "}]}",
        "at most 16 hooks" },
      ["what is no list"] = { '{"event_hooks":{}}', "event_hooks must be a list" },
    } do
      it("refuse " .. name, function()
        start()
        local before = get()
        local status, answer = patch(case[1])
        assert.same({ 400, 4 }, { status, answer.code })
        assert.matches(case[2], answer.message, 1, true)
        assert.same(before, get())
      end)
    end

    it("of the server itself are checked", function()
      for _, options in ipairs {
        { webhook_queue = 0 }, { webhook_queue = 1.5 }, { webhook_in_flight = 61 }, { webhook_total = 0 },
        { webhook_retry = -1 }, { webhook_retry = "1" },
      } do
        assert.has_error(function() server.start(options) end)
      end
    end)
  end)

  describe("in the database", function()
    local ROUNDS = 3

    -- The bundled server as a process of its own, which can be killed.
    local function serve()
      local child = command.start({ "serve", "--port", "0", "--data", folder:at "state.db" },
        { STREAM_API_KEY = "devkey", STREAM_API_SECRET = SECRET })
      local port = tonumber(child:wait_for("stdout", "listening on http://127%.0%.0%.1:(%d+)\n"))
      if fixture then fixture:stop() end
      fixture = fixtures.attach {
        host = "127.0.0.1", port = port, api_key = "devkey", api_secret = SECRET,
      }
      return child
    end

    local function begin()
      folder = folders.new()
      local child = serve()
      fixture:users("alice")
      fixture:channel("messaging:lobby", { "alice" })
      return child
    end

    local function post(n)
      fixture.client:send("POST", EVENT .. "?api_key=devkey",
        { Authorization = fixture:user_token "alice" }, ('{"event":{"type":"tick","n":%d}}'):format(n))
    end

    local function ids_of(target)
      local ids = {}
      for _, request in ipairs(target.requests) do
        local n = request.event.n
        assert.is_true(ids[n] == nil or ids[n] == request.id)
        ids[n] = request.id
      end
      return ids
    end

    it("are all there after a kill -9, in their order, with the same ids", function()
      local answer = "hang"
      local target = receiver(function() return answer end)
      local child = begin()
      set_hooks(hook_to(target))
      for n = 1, 30 do post(n) end
      for _ = 1, 30 do assert.equal(201, fixture.client:next_answer().status) end
      target:expect(8)
      child:kill "sigkill"
      assert.same({ nil, 9 }, { child:finish() })
      local before = #target.requests
      answer = 200
      child = serve()
      target:expect(before + 30)
      ids_of(target)
      local seen = {}
      for i = before + 1, before + 30 do seen[target.requests[i].event.n] = true end
      for n = 1, 30 do assert.is_true(seen[n]) end
      -- What was delivered is not sent again.
      child:kill "sigterm"
      assert.equal(0, child:finish())
      child = serve()
      post(31)
      assert.equal(31, target:expect(before + 31).event.n)
      child:kill "sigterm"
      assert.equal(0, child:finish())
    end)

    it("lack nothing that was answered, whenever the server is killed", function()
      local target = receiver(200)
      local child = begin()
      set_hooks(hook_to(target))
      local n = 0
      for round = 1, ROUNDS do
        for _ = 1, 40 do
          n = n + 1
          post(n)
        end
        for _ = 1, round * 10 do assert.equal(201, fixture.client:next_answer().status) end
        child:kill "sigkill"
        child:finish()
        child = serve()
        -- The answers of a round come in order: the first of its events are acknowledged.
        http_client.wait("the rest of the round", function()
          local ids = ids_of(target)
          for i = n - 39, n - 40 + round * 10 do
            if not ids[i] then return false end
          end
          return true
        end)
      end
      local seen = {}
      for number, id in pairs(ids_of(target)) do
        assert.is_nil(seen[id], number)
        seen[id] = true
      end
    end)

    -- Another program that lets nobody write; ends with close().
    local function writer()
      local other = assert(DBI.Connect("SQLite3", folder:at "state.db"))
      other:autocommit(true)
      local begun = assert(other:prepare "BEGIN IMMEDIATE")
      assert(begun:execute())
      begun:close()
      return other
    end

    it("are nowhere when nobody wants them: then no event touches it", function()
      local target = receiver(200)
      folder = folders.new()
      start { data = folder:at "state.db" }
      set_hooks(hook_to(target, { event_types = { "shot" } }))
      local other = writer()
      send { type = "flare" }
      assert.equal(201, (fixture:call("server", "POST", "/users/bob/event", { event = { type = "flare" } })))
      other:close()
      send { type = "shot" }
      assert.equal("shot", target:expect(1).event.type)
    end)

    it("are not answered for when they cannot be written", function()
      local target = receiver(200)
      folder = folders.new()
      start { data = folder:at "state.db" }
      set_hooks(hook_to(target))
      local other = writer()
      local status, body = fixture:call("alice", "POST", EVENT, { event = { type = "lost" } })
      other:close()
      assert.same({ 500, -1 }, { status, body.code })
      assert.equal(1, #logged "cannot be written")
      assert.same({ 0, 0 }, { stats().queued, stats().in_flight })
      send { type = "kept" }
      assert.equal("kept", target:expect(1).event.type)
      wait_for("delivered", 1)
      assert.same({ "kept" }, target:types())
    end)

    it("are reported when their hook is gone by the next start", function()
      local target = receiver "hang"
      local child = begin()
      set_hooks(hook_to(target))
      send { type = "tick" }
      target:expect(1)
      set_hooks()
      child:kill "sigkill"
      child:finish()
      child = serve()
      child:wait_for("stderr", "a webhook was not delivered")
      child:wait_for("stderr", "the hook was removed or switched off")
    end)
  end)
end)
