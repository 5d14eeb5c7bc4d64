--- The rules of a client: where they come from, how they are replaced, and what they do to events that
--- come in or go out. What they decide is in the specs of the engine and of the language.
local engines = require "stream_events.rules.engine"
local fakes = require "support.fake_transport"
local lua = require "support.lua"
local native = require "stream_events.native"
local process = require "support.process"
local rules = require "stream_events.rules"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local path, block_path

local function write(text, at)
  local file = assert(io.open(at or path, "wb"))
  file:write(text)
  file:close()
end

before_each(function()
  path = os.tmpname()
  block_path = path .. "_block"
end)
after_each(function()
  os.remove(path)
  os.remove(block_path)
end)

local CHAT = [[
event "chat" { fields = { text = string { max = 5 } } }
]]

local function event_of(request) return native.json.decode(request.body).event end

describe("the option rules", function()
  local fake
  before_each(function() fake = fakes.new() end)

  local function new(more)
    local client, err = stream_events.new(fake.options(more))
    return client, err
  end

  it("takes a path, a table and a rule set", function()
    write(CHAT)
    for _, given in ipairs {
      path,
      { events = { chat = { fields = { text = rules.string { max = 5 } } } } },
      (assert(rules.parse(CHAT))),
      (assert(rules.load(path))),
    } do
      local client = assert(new { rules = given })
      local stats = client:stats().rules
      assert.same({ "enforce", 1, {}, {}, 0, 0 },
        { stats.mode, stats.size, stats.types, stats.tripped, stats.quarantined, stats.reloads })
      assert.truthy(stats.hash:find "^%x+$")
      assert.equal(client.context.rules.core, fake.router.ruled_by)
    end
  end)

  it("is nothing that everybody has", function()
    local client = new()
    assert.is_nil(client:stats().rules)
    assert.same({}, client:quarantined())
    assert.is_nil(fake.router.ruled_by)
    local ok, err = client:reload_rules()
    assert.same({ nil, "rule", "this client has no rules" }, { ok, err.kind, err.message })
  end)

  it("costs nothing where it is not used: its modules are not even loaded", function()
    local child = assert(io.popen(lua.INTERPRETER .. [[ -e "
      local client = require('stream_events').new { api_key = 'devkey' }
      for name in pairs(package.loaded) do
        if name:find('^stream_events.rules') then print(name) end
      end
      client:close()" 2>&1]]))
    local said = child:read "*a"
    child:close()
    assert.equal("", said)
  end)

  for what, case in pairs {
    ["a file that is not there"] = { says = "cannot read the rules" },
    ["a file that is no Lua"] = { text = "event \"chat\" {", says = ":1:", problems = 1 },
    ["a misspelt word"] = { text = "evnt \"chat\" {}", says = "did you mean 'event'?", problems = 1 },
    ["an example that does not hold"] = {
      text = 'event "chat" {\n  fields = { n = integer { max = 3 } },\n'
        .. '  examples = { allow = { { n = 3 }, { n = 4 } }, drop = { { n = 1 } } },\n}',
      says = "was dropped (field-range)", problems = 2,
    },
  } do
    it("gives an error and no client for " .. what, function()
      if case.text then write(case.text) else os.remove(path) end
      local client, err = new { rules = path }
      assert.is_nil(client)
      assert.equal("rule", err.kind)
      assert.truthy(err.message:find(case.says, 1, true), err.message)
      assert.equal(case.problems, err.problems and #err.problems)
      assert.same({}, fake.sockets)
    end)
  end

  it("says where in the program a table is wrong", function()
    local client, err = new { rules = { events = { chat = { feilds = {} } } } }
    assert.is_nil(client)
    assert.truthy(err.message:find("client_rules_spec.lua:%d+: .*did you mean 'fields'"), err.message)
  end)
end)

describe("what a client with rules sends", function()
  local fake, client, channel

  local function connect(given, more)
    fake = fakes.new()
    fake.on_connect = function(socket) socket:greet { id = "john", role = "user" } end
    local options = { rules = given }
    for name, value in pairs(more or {}) do options[name] = value end
    client = fake.connected(options)
    channel = client:channel("messaging", "general")
  end

  local function sends()
    local count = 0
    for _, request in ipairs(fake.requests) do
      if request.path:find("/event$") then count = count + 1 end
    end
    return count
  end

  it("goes out as it is where they allow it", function()
    connect { events = { chat = { fields = { text = rules.string } } } }
    local event = assert(channel:send_event("chat", { text = "hi" }))
    assert.equal("hi", event.text)
    assert.same({ type = "chat", text = "hi" }, event_of(fake.last "/event"))
  end)

  for what, case in pairs {
    ["of a type nobody declared"] = { "shout", { text = "hi" }, reason = "undeclared-type" },
    ["of a refused type"] = { "noise", nil, reason = "refused", rule = "noise" },
    ["that holds what it should not"] = {
      "chat", { text = "too long" }, reason = "field-length", rule = "chat", says = "text",
    },
    ["that a check drops"] = { "checked", nil, reason = "check", rule = "checked", says = "no thanks" },
    ["that would be quarantined"] = { "odd", nil, reason = "quarantine", rule = "odd", says = "look" },
    ["into a honeypot"] = { "grant_admin", nil, reason = "honeypot", rule = "grant_admin" },
    ["that only a server sends"] = { "reset", nil, reason = "trust", rule = "reset" },
    ["as somebody else"] = { "staff", nil, reason = "from", rule = "staff" },
    ["elsewhere"] = { "elsewhere", nil, reason = "from", rule = "elsewhere" },
  } do
    it("is an event " .. what .. ": refused before any network", function()
      connect {
        events = {
          chat = { fields = { text = rules.string { max = 5 } } },
          checked = { check = function() return rules.drop "no thanks" end },
          odd = { quarantine = "look at it" },
          reset = { trust = "server" },
          staff = { from = { role = "admin" } },
          elsewhere = { from = { cid = "messaging:other" } },
        },
        refuse = { "noise" }, honeypot = { "grant_admin" },
      }
      local event, err = channel:send_event(case[1], case[2])
      assert.is_nil(event)
      assert.same({ "rule", case.rule, case.reason, false },
        { err.kind, err.rule, err.reason, err.retryable })
      assert.equal(client:stats().rules.hash, err.hash)
      assert.truthy(err.message:find(case.says or ".", 1, case.says ~= nil), err.message)
      assert.equal(0, sends())
      assert.equal(0, client:stats().refused) -- nothing came in
      assert.same({}, client:quarantined())
      assert.is_false(client.context.rules.core:marked("john", "honeypot"))
    end)
  end

  it("is known by sender, role and channel", function()
    local seen
    connect { events = { chat = {
      from = { user = "john", role = "user", cid = "messaging:general", channel_type = "messaging" },
      check = function(event, context)
        seen = { event.user and event.user.id, context.direction, context.cid, context.trust }
        return rules.allow
      end,
    } } }
    assert(channel:send_event("chat"))
    assert.same({ "out", "messaging:general" }, { seen[2], seen[3] })
  end)

  it("goes out as a rule rewrites it, and a flag is for those who receive it", function()
    connect { events = {
      chat = {
        fields = { text = rules.string }, flag = "hm",
        rewrite = function(event) return { text = event.text:upper() } end,
      },
      trim = { fields = { text = rules.string }, extra = "strip" },
    } }
    assert(channel:send_event("chat", { text = "hi" }))
    assert.same({ type = "chat", text = "HI" }, event_of(fake.last "/event"))
    assert(channel:send_event("trim", { text = "hi", more = { 1 } }))
    assert.same({ type = "trim", text = "hi" }, event_of(fake.last "/event"))
  end)

  it("stays within the size that is allowed when a rule makes it longer", function()
    connect { events = { chat = {
      fields = { text = rules.string },
      rewrite = function() return { text = ("x"):rep(6000) } end,
    } } }
    local event, err = channel:send_event("chat", { text = "hi" })
    assert.same({ nil, "full" }, { event, err.kind })
    assert.equal(0, sends())
  end)

  it("may come too often, which passes", function()
    connect { events = { chat = { rate = { count = 1, seconds = 10 } } } }
    assert(channel:send_event("chat"))
    local event, err = channel:send_event("chat")
    assert.same({ nil, "rule", "rate", true }, { event, err.kind, err.reason, err.retryable })
    fake.clock.advance(11)
    assert(channel:send_event("chat"))
  end)

  it("takes no token when it cannot go out for another reason", function()
    connect { events = { chat = { rate = { count = 1, seconds = 10 } } } }
    local refused = select(2, client:channel("messaging", { members = { "john" } }):send_event("chat"))
    assert.equal("protocol", refused.kind)
    refused = select(2, channel:send_event("chat", { user = "x" }))
    assert.equal("protocol", refused.kind)
    assert(channel:send_event("chat"))
  end)

  it("is judged by the service's types only where a rule names them", function()
    connect { events = { chat = {} } }
    assert(channel:send_event("typing.start"))
    connect { events = { ["typing.start"] = { from = { role = "admin" } } } }
    assert.equal("from", select(2, channel:send_event("typing.start")).reason)
  end)

  it("tells a callback too, and the handler it was sent in", function()
    connect { events = { chat = {} } }
    local told
    assert.is_nil(channel:send_event("shout", nil, function(event, err) told = { event, err.reason } end))
    client:spawn(function() told = { told, (select(2, channel:send_event("shout"))).reason } end)
    client:poll()
    client:poll()
    assert.same({ { nil, "undeclared-type" }, "undeclared-type" }, told)
  end)

  it("is judged for a backend as sent by the user it names, or by the server", function()
    fake = fakes.new()
    local seen = {}
    client = assert(stream_events.new(fake.options { secret = "lan-dev-secret", rules = { events = {
      chat = { from = { user = "jane" } },
      notice = { trust = "server", fields = { text = rules.string { max = 3 } }, extra = "strip" },
      poke = { trust = "user", check = function(_, context)
        seen[#seen + 1] = context.trust
        return rules.allow
      end },
    } } }))
    channel = client:channel("messaging", "general")
    assert(channel:send_event("chat", nil, { user_id = "jane" }))
    assert.same({ type = "chat", user_id = "jane" }, event_of(fake.last "/event"))
    assert.equal("from", select(2, channel:send_event("chat", nil, { user_id = "john" })).reason)
    assert.equal("trust", select(2, channel:send_event("notice", nil, { user_id = "john" })).reason)
    assert(client:send_user_custom_event("tommaso", { type = "notice", text = "abc", more = 1 }))
    assert.same({ type = "notice", text = "abc" }, event_of(fake.last "/event"))
    local _, err = client:send_user_custom_event("tommaso", { type = "notice", text = "abcd" })
    assert.same({ "rule", "field-length" }, { err.kind, err.reason })
    assert.equal("trust", select(2, client:send_user_custom_event("tommaso", { type = "poke" })).reason)
  end)

  it("logs a function that misbehaves, once", function()
    connect { events = { chat = { check = function() error("boom", 0) end } } }
    for _ = 1, 3 do
      assert.equal("check-error", select(2, channel:send_event("chat")).reason)
    end
    local logged = fake.logged "error"
    assert.equal(1, #logged)
    assert.same({ "chat", "check-error" }, { logged[1].fields.rule, logged[1].fields.reason })
  end)
end)

describe("what is quarantined", function()
  local engine

  before_each(function()
    engine = assert(engines.new {
      rules = { events = { odd = { quarantine = true } } }, log = function() end,
      limits = { rule_breaches = 5, quarantine = 4 },
      clock = { now = native.now, time = native.time },
    })
  end)

  local function keep(n, size)
    engine:keep { type = "odd", size = size, event = { n = n }, trust = "user", received_at = 1 }
  end

  local function kept()
    local numbers = {}
    for i, entry in ipairs(engine:list()) do numbers[i] = entry.event and entry.event.n or "too large" end
    return numbers
  end

  it("is no more than so many events", function()
    for i = 1, 10 do keep(i, 100) end
    assert.same({ 7, 8, 9, 10 }, kept())
    assert.equal(10, engine:stats().quarantined)
  end)

  it("is no more than 1 MiB of text together", function()
    keep(1, 1048576)
    assert.same({ 1 }, kept())
    keep(2, 1)
    assert.same({ 2 }, kept())
    keep(3, 500000)
    keep(4, 500000)
    assert.same({ 2, 3, 4 }, kept())
    keep(5, 500000)
    assert.same({ 4, 5 }, kept())
  end)

  it("is kept without its event when that is too large by itself", function()
    keep(1, 10)
    keep(2, 1048577)
    assert.same({ 1, "too large" }, kept())
    assert.equal(1048577, engine:list()[2].size)
  end)

  it("is handed out as a list of its own", function()
    keep(1, 10)
    engine:list()[1] = nil
    assert.same({ 1 }, kept())
  end)
end)

describe("a reload", function()
  local fake, client

  local function start(text, more)
    write(text)
    fake = fakes.new()
    local options = { rules = path }
    for name, value in pairs(more or {}) do options[name] = value end
    client = assert(stream_events.new(fake.options(options)))
  end

  local function allows(type)
    local verdict = client.context.rules.core:decide(('{"type":"%s","cid":"a:b"}'):format(type))
    return verdict == "allow"
  end

  it("puts the new rules in force, and keeps limits and marks", function()
    start 'event "a" { rate = { count = 1, seconds = 60 } }'
    local core, before = client.context.rules.core, client:stats().rules.hash
    core:mark("eve", "cheater", 60, fake.clock.time())
    assert.is_true(allows "a")
    assert.is_false(allows "a")
    write 'event "a" { rate = { count = 1, seconds = 60 } }\nevent "b" {}'
    assert.is_true(client:reload_rules())
    assert.is_true(allows "b")
    assert.is_false(allows "a")
    assert.is_true(core:marked("eve", "cheater", fake.clock.time()))
    local stats = client:stats().rules
    assert.not_equal(before, stats.hash)
    assert.same({ 1, 2 }, { stats.reloads, stats.size })
    assert.same({ hash = stats.hash, before = before }, fake.logged("info")[1].fields)
  end)

  it("has a function that misbehaves still logged again", function()
    start 'event "a" { check = function() error "no" end }'
    local engine = client.context.rules
    local function fail()
      engine:note_fault((select(2, engine.core:decide '{"type":"a","cid":"a:b"}')))
      return #fake.logged "error"
    end
    assert.same({ 1, 1 }, { fail(), fail() })
    assert.is_true(client:reload_rules())
    assert.equal(2, fail())
  end)

  for what, text in pairs {
    ["that is no Lua"] = 'event "b" {',
    ["with a misspelt word"] = 'event "b" { feilds = {} }',
    ["whose example does not hold"] = 'event "b" { examples = { drop = { {} } } }',
    ["that never ends"] = 'while true do end',
    ["that takes all memory"] = 'local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end',
    ["that includes what is not there"] = 'include "nowhere.lua"',
  } do
    it("keeps the old rules when there is a file " .. what, function()
      start 'event "a" {}'
      local before = client:stats().rules.hash
      write(text)
      local ok, err = client:reload_rules()
      assert.same({ nil, "rule" }, { ok, err.kind })
      assert.is_true(allows "a")
      local stats = client:stats().rules
      assert.same({ before, 0, tostring(err) }, { stats.hash, stats.reloads, stats.last_error })
      assert.equal(1, #fake.logged "error")
      write 'event "b" {}'
      assert.is_true(client:reload_rules())
      assert.is_nil(client:stats().rules.last_error)
      assert.is_true(allows "b")
    end)
  end

  it("keeps the old rules when the file is gone", function()
    start 'event "a" {}'
    os.remove(path)
    local ok, err = client:reload_rules()
    assert.same({ nil, "rule" }, { ok, err.kind })
    assert.is_true(allows "a")
  end)

  it("comes in all three forms, also inside a handler and while another one is under way", function()
    start 'event "a" {}'
    local told = {}
    assert.is_nil(client:reload_rules(function(ok) told[#told + 1] = { "callback", ok } end))
    client:spawn(function()
      local ok = client:reload_rules()
      told[#told + 1] = { "handler", ok }
    end)
    write 'event "b" {}'
    for _ = 1, 50 do client:poll() end
    assert.is_true(client:reload_rules())
    table.sort(told, function(x, y) return x[1] < y[1] end)
    assert.same({ { "callback", true }, { "handler", true } }, told)
    assert.is_true(allows "b")
    assert.is_nil(client:timeout())
  end)

  it("reads again what changes while it is under way", function()
    start 'event "a" {}'
    local told = 0
    client:reload_rules(function() told = told + 1 end)
    client.context.rules.job.slice.ends = 0
    client:poll() -- a slice: the file may have been read in it
    write 'event "b" {}'
    client:reload_rules(function() told = told + 1 end)
    for _ = 1, 50 do client:poll() end
    assert.equal(2, told)
    assert.is_true(allows "b")
  end)

  it("gives way after each slice", function()
    local lines = {}
    for i = 1, 300 do
      lines[i] = ('event "e%d" { fields = { n = integer { max = 3 } }, '
        .. 'examples = { allow = { { n = 1 } } } }'):format(i)
    end
    start(table.concat(lines, "\n"))
    local turns, now = 0, fake.clock.now
    -- A clock that goes on by itself: each look at it costs something.
    client.context.rules.clock = { time = fake.clock.time, now = function()
      fake.clock.advance(0.0005)
      return now()
    end }
    local done
    client:reload_rules(function(ok) done = ok end)
    while done == nil do
      assert.equal(0, client:timeout())
      client:poll()
      turns = turns + 1
    end
    assert.is_true(done)
    assert.is_true(turns > 100, "only " .. turns .. " turns")
  end)

  it("is refused for rules that came from no file", function()
    fake = fakes.new()
    client = assert(stream_events.new(fake.options { rules = { events = { a = {} } } }))
    local ok, err = client:reload_rules()
    assert.same({ nil, "rule" }, { ok, err.kind })
    assert.truthy(err.message:find("not read from a file", 1, true))
  end)

  it("ends with the client", function()
    start 'event "a" {}'
    local told
    client:reload_rules(function(ok, err) told = { ok, err.kind } end)
    client:reload_rules(function() client:close() end)
    client:close()
    client:poll()
    assert.same({ nil, "closed" }, told)
    assert.equal("closed", (select(2, client:reload_rules())).kind)
  end)

  it("may be followed by close() in the logger or the callback", function()
    start 'event "a" {}'
    client.context.rules.log = function() client:close() end
    assert.is_true(client:reload_rules())
    assert.truthy(client.context.closed)
    start 'event "a" {}'
    client:reload_rules(function() client:close() end)
    for _ = 1, 50 do client:poll() end
    assert.truthy(client.context.closed)
  end)
end)

describe("a watched rule file", function()
  local fake, client, engine

  local function start(text, more)
    write(text)
    fake = fakes.new()
    local options = { rules = path, watch = true }
    for name, value in pairs(more or {}) do options[name] = value end
    client = assert(stream_events.new(fake.options(options)))
    engine = client.context.rules
  end

  -- Lets time go by, in looks at the file.
  local function looks(count)
    for _ = 1, count do
      fake.clock.advance(0.5)
      for _ = 1, 50 do client:poll() end
    end
  end

  it("is looked at twice a second, and only where it is watched", function()
    start 'event "a" {}'
    assert.equal(0.5, client:timeout())
    fake.clock.advance(0.2)
    assert.is_true(math.abs(client:timeout() - 0.3) < 1e-6)
    local calm = assert(stream_events.new(fakes.new().options { rules = path }))
    assert.is_nil(calm:timeout())
  end)

  it("is reloaded when it has changed and stands still", function()
    start 'event "a" {}'
    write 'event "a" {}\nevent "b" {}'
    looks(1)
    assert.equal(1, client:stats().rules.size) -- somebody may still be writing
    looks(1)
    assert.same({ 2, 1 }, { client:stats().rules.size, client:stats().rules.reloads })
    looks(5)
    assert.equal(1, client:stats().rules.reloads)
    assert.equal(1, #fake.logged "info")
  end)

  it("is not taken while it goes on changing", function()
    start 'event "a" {}'
    for i = 1, 5 do
      write(("-- %d\n"):format(i):rep(i))
      looks(1)
      assert.equal(0, client:stats().rules.reloads)
    end
    write 'event "b" {}'
    looks(2)
    assert.equal(1, client:stats().rules.reloads)
  end)

  it("changes nothing when what it says is the same", function()
    start 'event "a" {}'
    write 'event "a" {} '
    write 'event "a" {}'
    local stamp = native.file_stamp(path)
    engine.files[path] = stamp .. "x" -- it was touched
    looks(3)
    assert.equal(0, client:stats().rules.reloads)
    assert.equal(stamp, engine.files[path])
    assert.is_nil(engine.job)
  end)

  it("that is wrong is reported once for each change", function()
    start 'event "a" {}'
    write 'event "a" {'
    looks(8)
    assert.equal(1, #fake.logged "error")
    assert.truthy(client:stats().rules.last_error)
    write 'event "a" {{'
    looks(8)
    assert.equal(2, #fake.logged "error")
    write 'event "a" {}'
    looks(3)
    assert.equal(2, #fake.logged "error")
    assert.is_nil(client:stats().rules.last_error)
    assert.equal(0, client:stats().rules.reloads) -- the same as before
  end)

  it("is reloaded when a file changes that it includes, or that was missing", function()
    local name = block_path:match "[^/]+$"
    write('return { "eve" }', block_path)
    local text = ('local list = include "%s"\nevent "a" { from = { user = none_of(list) } }'):format(name)
    start(text)
    local function allows(user)
      local verdict = engine.core:decide(('{"type":"a","cid":"a:b","user":{"id":"%s"}}'):format(user))
      return verdict == "allow"
    end
    assert.same({ false, true }, { allows "eve", allows "bob" })
    write('return { "eve", "bob" }', block_path)
    looks(2)
    assert.same({ false, false }, { allows "eve", allows "bob" })
    os.remove(block_path)
    looks(3)
    assert.same({ false, false }, { allows "eve", allows "bob" })
    assert.equal(1, #fake.logged "error")
    write('return { "bob" }', block_path)
    looks(3)
    assert.same({ true, false }, { allows "eve", allows "bob" })
  end)

  it("that is gone leaves the rules in force until it is back", function()
    start 'event "a" {}'
    os.remove(path)
    looks(5)
    assert.equal(1, #fake.logged "error")
    assert.equal(0, client:stats().rules.reloads)
    write 'event "b" {}'
    looks(3)
    assert.equal(1, client:stats().rules.reloads)
  end)
end)

describe("what a client with rules receives", function()
  local SECRET = "lan-dev-secret"
  local ROOT = debug.getinfo(1, "S").source:match("^@(.*)spec/[^/]*$")
  local server, url, backend, last_channel
  local open, logs = {}, {}
  last_channel = 0

  setup(function()
    server = process.start("lua5.4", {
      (ROOT == "" and "./" or ROOT) .. "lua/bin/stream-events", "serve", "--port", "0",
      "--data", ":memory:", "--api-key", "devkey", "--api-secret", SECRET,
    })
    url = server:wait_for("stdout", "listening on (%S+)")
    backend = stream_events.new { api_key = "devkey", base_url = url, secret = SECRET }
    assert(backend:upsert_users { { id = "john" }, { id = "jane" }, { id = "eve" },
      { id = "boss", role = "admin" } })
  end)
  after_each(function()
    for _, client in ipairs(open) do client:close() end
    open, logs = {}, {}
  end)
  teardown(function()
    backend:close()
    server:kill "sigterm"
    server:finish()
    process.end_all()
  end)

  -- John, with these rules, watching a channel of his own; and a function that sends to it as someone.
  local function watching(given, more)
    local options = { api_key = "devkey", base_url = url, rules = given,
      logger = function(level, message, fields)
        if level ~= "info" then logs[#logs + 1] = { level = level, message = message, fields = fields } end
      end }
    for name, value in pairs(more or {}) do options[name] = value end
    local client = assert(stream_events.new(options))
    open[#open + 1] = client
    assert(client:connect_user({ id = "john" }, tokens.user(SECRET, "john")))
    last_channel = last_channel + 1
    local id = "rules" .. last_channel
    local channel = assert(client:channel("messaging", id, { members = { "john", "jane", "eve" } }):watch())
    local far = backend:channel("messaging", id)
    return client, channel, function(type, data, sender)
      assert(far:send_event(type, data, { user_id = sender or "jane" }))
    end
  end

  local function wait(client, condition)
    local ends = native.now() + 20
    while not condition() do
      if native.now() > ends then error("waited in vain", 2) end
      client:poll(0.01)
    end
  end

  -- Waits until what was sent has been dealt with: an event comes after it.
  local function settle(client, channel, send)
    local reached = false
    channel:subscribe_for_single("end", function() reached = true end)
    send "end"
    wait(client, function() return reached end)
  end

  local RULES = {
    events = {
      chat = { fields = { text = rules.string { max = 5 } } },
      ["end"] = {},
      notice = { trust = "server" },
      staff = { from = { role = "admin" } },
      odd = { extra = "keep", quarantine = "look at it" },
      shout = {
        fields = { text = rules.string },
        rewrite = function(event) return { text = event.text:lower() } end,
      },
      broken = { check = function() error("boom", 0) end },
    },
    refuse = { "noise" },
    honeypot = { "grant_admin" },
  }

  it("is what they allow, and nothing else", function()
    local client, channel, send = watching(RULES)
    local got = {}
    channel:subscribe(function(event) got[#got + 1] = { event.type, event.text } end)
    client:subscribe_for("notice", function(event) got[#got + 1] = { "a notice", event.trust } end)
    send("chat", { text = "hi" })
    send("chat", { text = "too long" })
    send("chat", { text = "hi", more = true })
    send "chat"
    send "noise"
    send "undeclared"
    send "notice"
    send "staff"
    send("staff", nil, "boss")
    send("shout", { text = "HEY" })
    assert(backend:send_user_custom_event("john", { type = "notice" }))
    settle(client, channel, send)
    assert.same({ { "chat", "hi" }, { "staff" }, { "shout", "hey" }, { "a notice", "server" }, { "end" } },
      got)
    local stats = client:stats()
    assert.same({ chat = { ["field-length"] = 1, ["extra-field"] = 1, ["field-missing"] = 1 },
      noise = { refused = 1 }, undeclared = { ["undeclared-type"] = 1 }, notice = { trust = 1 },
      staff = { from = 1 } }, (function()
        local dropped = {}
        for type, reasons in pairs(stats.dropped) do
          if native.type_class(type) == "custom" then dropped[type] = reasons end
        end
        return dropped
      end)())
    assert.equal(7, stats.refused)
    assert.same({ allow = { [""] = 1 },
      drop = { ["field-length"] = 1, ["extra-field"] = 1, ["field-missing"] = 1 } }, stats.rules.types.chat)
    assert.same({ drop = { refused = 1 } }, stats.rules.types.noise)
    assert.same({}, logs)
  end)

  it("is delivered in audit mode as it came, with what would have become of it", function()
    local client, channel, send = watching {
      mode = "audit",
      events = {
        chat = { fields = { text = rules.string { max = 5 } }, flag = "hm" },
        shout = { fields = { text = rules.string },
          rewrite = function(event) return { text = event.text:lower() } end },
        ["end"] = {},
      },
    }
    local got = {}
    channel:subscribe(function(event)
      got[#got + 1] = { event.type, event.text, event.verdict and event.verdict.verdict,
        event.verdict and event.verdict.reason }
    end)
    send("chat", { text = "too long" })
    send("shout", { text = "HEY", verdict = "mine" })
    send "undeclared"
    settle(client, channel, send)
    assert.same({ "chat", "too long", "audit", "field-length" }, got[1])
    assert.same({ "shout", "HEY", "audit", "extra-field" }, got[2])
    assert.same({ "undeclared", nil, "audit", "undeclared-type" }, got[3])
    assert.same({ "end" }, got[4])
  end)

  it("is told of as event.dropped, to whoever asks, without its data", function()
    local client, channel, send = watching(RULES)
    local got = {}
    channel:subscribe(function() end)
    local subscription = client:subscribe_for("event.dropped", function(event) got[#got + 1] = event end)
    send("chat", { text = "too long, and s3cret" })
    send("noise", { text = "s3cret" })
    send("odd", { text = "s3cret" })
    send "broken"
    send "grant_admin"
    send("chat", { text = "me" })
    settle(client, channel, function(type) send(type, nil, "eve") end)
    local reasons = {}
    for i, event in ipairs(got) do
      reasons[i] = { event.envelope.type, event.reason, event.rule }
      assert.same({ "event.dropped", client:stats().rules.hash }, { event.type, event.hash })
      local envelope = event.envelope
      assert.same({ channel.cid, "messaging", channel.id, "jane", "user" },
        { envelope.cid, envelope.channel_type, envelope.channel_id, envelope.user.id, envelope.trust })
      assert.same({ "string", "number", "number" },
        { type(envelope.created_at), type(envelope.received_at), type(envelope.size) })
      assert.is_nil(native.json.encode { event.text, envelope }:find("s3cret", 1, true))
    end
    assert.same({ { "chat", "field-length", "chat" }, { "noise", "refused", "noise" },
      { "odd", "quarantine", "odd" }, { "broken", "check-error", "broken" },
      { "grant_admin", "honeypot", "grant_admin" }, { "chat", "marked", "chat" } }, reasons)
    subscription:dispose()
    send("chat", { text = "too long" }, "eve")
    settle(client, channel, function(type) send(type, nil, "eve") end)
    assert.equal(6, #got)
  end)

  it("is told of with a user also where nobody is known to have sent it", function()
    local client, channel, send = watching { refuse = { "notice" }, events = { ["end"] = {} } }
    local got = {}
    client:subscribe_for("event.dropped", function(event)
      local envelope = event.envelope
      got[#got + 1] = { event.verdict, event.reason, envelope.type, envelope.user.id, envelope.trust }
    end)
    assert(backend:send_user_custom_event("john", { type = "notice" }))
    settle(client, channel, send)
    assert.same({ { "drop", "refused", "notice", nil, "server" } }, got)
  end)

  it("is told of, and counted, in the same form when it is no event", function()
    local fake, got = fakes.new(), {}
    local client = fake.connected { rules = { refuse = { "noise" } } }
    client:subscribe_for("event.dropped", function(event)
      got[#got + 1] = { event.verdict, event.reason, event.envelope.type, event.envelope.user.id }
      assert.same({ "number", "string" }, { type(event.envelope.received_at), type(event.text) })
    end)
    fake.socket:receive '{"type":"noise","type":"noise"}'
    fake.socket:receive "no event"
    client:poll()
    assert.same({ { "drop", "malformed" }, { "drop", "malformed" } }, got)
    assert.same({ ["*"] = { drop = { malformed = 2 } } }, client:stats().rules.types)
  end)

  it("is kept aside where they say so, as much of it as there is room for", function()
    local client, channel, send = watching(RULES, { limits = { quarantine = 3 } })
    channel:subscribe(function() end)
    for i = 1, 5 do send("odd", { n = i }) end
    settle(client, channel, send)
    local numbers = {}
    for i, entry in ipairs(client:quarantined()) do
      numbers[i] = entry.event.n
      assert.same({ "odd", "odd", "look at it", "jane" },
        { entry.type, entry.rule, entry.text, entry.user_id })
    end
    assert.same({ 3, 4, 5 }, numbers)
    assert.equal(5, client:stats().rules.quarantined)
  end)

  it("is reported when a function misbehaves: once, not for each event", function()
    local client, channel, send = watching(RULES)
    channel:subscribe(function() end)
    for _ = 1, 4 do send "broken" end
    settle(client, channel, send)
    assert.equal(1, #logs)
    assert.same({ "error", "broken", "check-error" },
      { logs[1].level, logs[1].fields.rule, logs[1].fields.reason })
    assert.equal(4, client:stats().rules.types.broken.drop["check-error"])
  end)

  it("is judged by new rules after a reload in a handler", function()
    write 'event "chat" { extra = "keep" }\nevent "end" {}'
    local client, channel, send = watching(path)
    local got = {}
    channel:subscribe_for("chat", function(event)
      got[#got + 1] = event.text
      write 'event "end" {}'
      assert(client:reload_rules())
      got[#got + 1] = "reloaded"
    end)
    send("chat", { text = "one" })
    wait(client, function() return #got == 2 end)
    send("chat", { text = "two" })
    settle(client, channel, send)
    assert.same({ "one", "reloaded" }, got)
  end)

  it("may have its client closed by the check that judges it", function()
    local client, closing
    local channel, send
    client, channel, send = watching { events = { chat = { check = function()
      if closing then client:close() end
      return rules.allow
    end } } }
    local got = 0
    channel:subscribe(function() got = got + 1 end)
    send "chat"
    wait(client, function() return got == 1 end)
    closing = true
    send "chat"
    wait(client, function() return client.context.closed end)
    for _ = 1, 3 do client:poll() end
    assert.equal(1, got)
  end)
end)
