--- The rules of the server: what they refuse reaches nobody, whoever sends it.
local fixtures = require "support.server"
local folders = require "support.folder"
local http_client = require "support.http_client"
local rules = require "stream_events.rules"
local server = require "stream_events.server"

local EVENT = "/channels/messaging/lobby/event"

local RULES = [[
default "drop"
event "flare" { fields = { x = integer { min = 0, max = 100 } } }
event "note" { fields = { text = string { max = 10 } }, extra = "strip" }
event "shout" {
  fields = { text = string },
  rewrite = function(event) return { text = event.text .. "!" } end,
}
event "odd" { fields = {}, flag = "look at it" }
event "strange" { fields = {}, quarantine = "a person should see it" }
event "reset" { trust = "server", fields = {} }
event "from_users" { trust = "user", fields = {} }
event "from_self" { trust = "self", fields = {} }
event "from_admins" { from = { role = "admin" }, fields = {} }
event "in_teams" { from = { channel_type = "team" }, fields = {} }
event "once" { rate = { count = 1, seconds = 3600 }, fields = {} }
event "small" { size = 100, fields = {} }
event "broken" { fields = {}, check = function() error "the rule is wrong" end }
event "endless" { fields = {}, check = function() while true do end end }
event "typing.start" { from = { user = none_of "bob" }, extra = "keep" }
refuse "noise"
honeypot "grant_admin"
]]

describe("rules of the server", function()
  local fixture, folder
  before_each(function() folder = folders.new() end)
  after_each(function()
    if fixture then fixture:stop() end
    fixture = nil
    folder:remove()
  end)

  local function start(text, options)
    options = options or {}
    options.rules = options.rules or folder:write("rules.lua", text)
    fixture = fixtures.start(options)
    fixture:users({ id = "alice", name = "Alice" }, "bob", { id = "root", role = "admin" })
    fixture:channel("messaging:lobby", { "alice", "bob", "root" })
  end

  local function watching(who)
    local socket = fixture:connect(who)
    fixture:watch(socket, "messaging:lobby")
    socket:settled()
    return socket
  end

  local function send(who, event, path)
    return fixture:call(who, "POST", path or EVENT, { event = event })
  end

  local function deliveries() return fixture.server:stats().deliveries end

  describe("refuse", function()
    before_each(function() start(RULES, { rule_instructions = 50000, rule_seconds = 10 }) end)

    -- Each: who sends, the event, the reason code, a part of the message.
    for name, case in pairs {
      ["a type that no rule names"] = { "alice", { type = "other" }, "undeclared-type", "no rule" },
      ["a refused type"] = { "alice", { type = "noise" }, "refused", "" },
      ["a honeypot's type"] = { "alice", { type = "grant_admin" }, "honeypot", "" },
      ["what only a backend may send to a user"] = { "alice", { type = "reset" }, "trust", "" },
      ["the same from a backend, in a channel"] =
        { "server", { type = "reset", user_id = "alice" }, "trust", "" },
      ["the wrong sender"] = { "alice", { type = "from_admins" }, "from", "" },
      ["the wrong channel"] = { "alice", { type = "in_teams" }, "from", "" },
      ["too many bytes"] = { "alice", { type = "small" }, "too-large", "" },
      ["a missing field"] = { "alice", { type = "flare" }, "field-missing", "x" },
      ["a field of another type"] = { "alice", { type = "flare", x = "1" }, "field-type", "x" },
      ["a field out of range"] = { "alice", { type = "flare", x = 101 }, "field-range", "100" },
      ["a field that is too long"] =
        { "alice", { type = "note", text = "eleven char" }, "field-length", "text" },
      ["a field that no rule names"] = { "alice", { type = "flare", x = 1, y = 2 }, "extra-field", "y" },
      ["a rule that raises"] = { "alice", { type = "broken" }, "check-error", "a rule of the server failed" },
      ["a rule without end"] = { "alice", { type = "endless" }, "budget-", "" },
      ["what is quarantined"] = { "alice", { type = "strange" }, "quarantine", "a person should see it" },
      ["a built-in type that a rule names"] = { "bob", { type = "typing.start" }, "from", "" },
      ["a backend's event of a user"] =
        { "server", { type = "flare", x = -1, user_id = "alice" }, "field-range", "0" },
    } do
      it(name, function()
        local bob, before = watching "bob", deliveries()
        local status, body = send(case[1], case[2])
        assert.same({ 403, 17, 403 }, { status, body.code, body.StatusCode })
        assert.equal(1, #body.details)
        assert.equal(case[3], body.details[1]:sub(1, #case[3]))
        assert.matches(case[4], body.message, 1, true)
        assert.matches('^SendEvent failed with error: "', body.message)
        assert.is_nil(body.message:find("rules.lua", 1, true))
        assert.same({}, bob:settled())
        assert.equal(before, deliveries())
      end)
    end

    it("after the other checks, which keep their own answers", function()
      for name, case in pairs {
        forged = { send("alice", { type = "message.new" }), 400 },
        ["no type"] = { send("alice", { x = 1 }), 400 },
        ["no member"] = { send("alice", { type = "noise" }, "/channels/messaging/none/event"), 404 },
      } do
        assert.equal(case[2], case[1], name)
      end
    end)

    it("a rate's excess, and nothing of what was refused counts", function()
      local bob = watching "bob"
      for _ = 1, 3 do send("alice", { type = "once", more = 1 }) end
      assert.equal(201, (send("alice", { type = "once" })))
      local status, body = send("alice", { type = "once" })
      assert.same({ 403, { "rate" } }, { status, { body.details[1] } })
      assert.equal(201, (send("root", { type = "once" })))
      local senders = {}
      for i = 1, 2 do senders[i] = bob:expect("once").user.id end
      assert.same({ "alice", "root" }, senders)
      assert.same({}, bob:settled())
    end)

    it("everything of who fell into a honeypot", function()
      assert.equal(201, (send("alice", { type = "flare", x = 1 })))
      send("alice", { type = "grant_admin" })
      local status, body = send("alice", { type = "flare", x = 1 })
      assert.same({ 403, "marked" }, { status, body.details[1] })
      assert.equal(201, (send("bob", { type = "flare", x = 1 })))
    end)

    it("a rule for good that breaks its budgets again and again, and say so in the log", function()
      for _ = 1, 5 do send("alice", { type = "endless" }) end
      local _, body = send("alice", { type = "endless" })
      assert.equal("tripped", body.details[1])
      assert.same({ "endless" }, fixture.server:stats().rules.tripped)
      local told = {}
      for _, entry in ipairs(fixture.log) do
        if entry.level == "error" then told[#told + 1] = entry.message end
      end
      assert.equal(2, #told, table.concat(told, "\n")) -- that it failed, and that it is off
      assert.equal("endless", fixture.log[#fixture.log].fields.rule)
      assert.equal(201, (send("alice", { type = "flare", x = 1 })))
    end)
  end)

  describe("let pass", function()
    before_each(function() start(RULES) end)

    local function sent_and_received(who, event)
      local bob = watching "bob"
      local status, body = send(who, event)
      assert.equal(201, status, body.message)
      local received, text = bob:expect(event.type)
      return body.event, received, text
    end

    it("what fits, byte for byte", function()
      local bob = watching "bob"
      local status, _, answer = fixture:call("alice", "POST", EVENT, '{"event":{"type":"flare","x":\t7}}')
      assert.equal(201, status)
      local _, text = bob:expect "flare"
      assert.equal(text, answer.text:match('^{"event":(.*),"duration":"[^"]*"}$'))
      assert.equal(1, fixture.server:stats().rules.types.flare.allow[""])
    end)

    it("what was flagged", function()
      local _, received = sent_and_received("alice", { type = "odd" })
      assert.equal("alice", received.user.id)
    end)

    it("what remains of data that are stripped, to the sender too", function()
      local answered, received = sent_and_received("alice", { type = "note", text = "hi", more = true })
      assert.is_nil(received.more)
      assert.same(answered, received)
      assert.same({ "hi", "Alice", "messaging:lobby" }, { received.text, received.user.name, received.cid })
    end)

    it("what a rule made of it", function()
      local answered, received = sent_and_received("alice", { type = "shout", text = "hi" })
      assert.equal("hi!", received.text)
      assert.same(answered, received)
    end)

    it("events of users that rules want from users, or from oneself", function()
      sent_and_received("alice", { type = "from_users" })
      sent_and_received("alice", { type = "from_self" })
    end)

    it("built-in types that no rule names, and those it allows", function()
      sent_and_received("alice", { type = "typing.stop" })
      sent_and_received("alice", { type = "typing.start" })
    end)
  end)

  describe("of events to a user", function()
    before_each(function() start(RULES) end)

    it("see a server, and no sender", function()
      local bob = fixture:connect "bob"
      bob:settled()
      assert.equal(201, (send("server", { type = "reset" }, "/users/bob/event")))
      assert.equal("bob", bob:expect("reset").user.id)
      local before = deliveries()
      for _, case in ipairs {
        { { type = "from_users" }, "trust" }, { { type = "other" }, "undeclared-type" },
        { { type = "from_admins" }, "from" }, { { type = "flare", x = 101 }, "field-range" },
      } do
        local status, body = send("server", case[1], "/users/bob/event")
        assert.same({ 403, 17, { case[2] } }, { status, body.code, { body.details[1] } })
        assert.matches('^SendUserCustomEvent failed with error: "', body.message)
      end
      assert.same({}, bob:settled())
      assert.equal(before, deliveries())
    end)

    it("change them", function()
      local bob = fixture:connect "bob"
      bob:settled()
      assert.equal(201, (send("server", { type = "shout", text = "hi" }, "/users/bob/event")))
      assert.equal("hi!", bob:expect("shout").text)
    end)
  end)

  it("in audit mode deliver, and count what they would have refused", function()
    start('mode "audit"\nevent "flare" { fields = { x = integer } }')
    local bob = watching "bob"
    assert.equal(201, (send("alice", { type = "other", text = "hi" })))
    assert.equal("hi", bob:expect("other").text)
    assert.equal(1, fixture.server:stats().rules.types.other.audit["undeclared-type"])
  end)

  it("are counted by type, verdict and reason", function()
    start(RULES)
    send("alice", { type = "flare", x = 1 })
    send("alice", { type = "flare", x = 101 })
    send("alice", { type = "flare", x = 101 })
    local stats = fixture.server:stats().rules
    assert.same({ allow = { [""] = 1 }, drop = { ["field-range"] = 2 } }, stats.types.flare)
    assert.equal("enforce", stats.mode)
    assert.matches("^%x%x%x%x%x%x%x%x%x%x%x%x$", stats.hash)
  end)

  it("can be a set, or a table", function()
    start(nil, { rules = assert(rules.parse 'event "flare" {}') })
    assert.equal(403, (send("alice", { type = "other" })))
    fixture:stop()
    start(nil, { rules = { events = { flare = {} } } })
    assert.equal(403, (send("alice", { type = "other" })))
    assert.equal(201, (send("alice", { type = "flare" })))
  end)

  it("are not needed", function()
    fixture = fixtures.start()
    assert.is_nil(fixture.server:stats().rules)
  end)

  describe("that are wrong", function()
    local function started(options)
      options.port = 0
      return server.start(options)
    end

    it("keep the server from starting", function()
      local none, err = started {
        rules = folder:write("rules.lua", 'default "drop"\nevent "x" { feilds = {} }'),
      }
      assert.is_nil(none)
      assert.equal("rule", err.kind)
      assert.same({ 2 }, { err.problems[1].line })
      none, err = started { rules = folder:at "none.lua" }
      assert.is_nil(none)
      assert.is_string(err.message)
    end)

    it("by their own examples keep it from starting, too", function()
      local none, err = started {
        rules = folder:write("rules.lua", 'event "x" { fields = {}, examples = { drop = { {} } } }'),
      }
      assert.is_nil(none)
      assert.equal("rule", err.kind)
    end)

    it("in kind are a mistake of the program", function()
      assert.has_error(function() started { rules = 5 } end)
      assert.has_error(function() started { rules = "" } end)
      assert.has_error(function() started { watch = true } end)
      assert.has_error(function() started { rules = folder:write("r.lua", ""), watch = "yes" } end)
    end)
  end)

  describe("reload", function()
    local function hash() return fixture.server:stats().rules.hash end
    local function reload()
      local done, ok, err
      fixture.server:reload_rules(function(...) done, ok, err = true, ... end)
      http_client.wait("the reload", function() return done end)
      return ok, err
    end

    it("when told, and keep rates and marks", function()
      start 'event "once" { rate = { count = 1, seconds = 3600 } }\nhoneypot "trap"'
      assert.equal(201, (send("alice", { type = "once" })))
      send("bob", { type = "trap" })
      local before = hash()
      folder:write("rules.lua",
        'event "once" { rate = { count = 1, seconds = 3600 } }\nhoneypot "trap"\nevent "new" {}')
      assert.is_true((reload()))
      assert.not_equal(before, hash())
      assert.equal(201, (send("alice", { type = "new" })))
      assert.equal("rate", select(2, send("alice", { type = "once" })).details[1])
      assert.equal("marked", select(2, send("bob", { type = "new" })).details[1])
      assert.equal(1, fixture.server:stats().rules.reloads)
    end)

    it("only where there are rules in a file, and while the server runs", function()
      start(nil, { rules = { events = { flare = {} } } })
      local ok, err = reload()
      assert.is_nil(ok)
      assert.equal("rule", err.kind)
      fixture:stop()
      ok, err = reload()
      assert.is_nil(ok)
      assert.equal("closed", err.kind)
      fixture = fixtures.start()
      ok, err = reload()
      assert.is_nil(ok)
      assert.equal("rule", err.kind)
    end)

    it("say how that ended also when the server stops meanwhile", function()
      local many = {}
      for i = 1, 500 do many[i] = ('event "type%d" { fields = { x = integer } }'):format(i) end
      start(table.concat(many, "\n"))
      local called = 0
      fixture.server:reload_rules(function() called = called + 1 end)
      fixture:stop()
      fixture = nil
      assert.equal(1, called) -- whether it was ready by then or not
    end)

    it("in small steps: events are judged meanwhile", function()
      local many = {}
      for i = 1, 1000 do many[i] = ('event "type%d" { fields = { x = integer } }'):format(i) end
      start(table.concat(many, "\n"))
      local done
      fixture.server:reload_rules(function() done = true end)
      local sent = 0
      repeat
        assert.equal(201, (send("alice", { type = "type7", x = 1 })))
        sent = sent + 1
      until done
      assert.truthy(sent > 1, "the reload took no more than one turn")
    end)

    for name, text in pairs {
      ["a file that is no Lua"] = "event 'x' {", ["a misspelt word"] = "evnet 'x' {}",
      ["examples that do not hold"] = 'event "x" { examples = { drop = { {} } } }',
    } do
      it("not by " .. name .. ": the old ones stay, and the log says why", function()
        start 'event "flare" {}'
        local before = hash()
        folder:write("rules.lua", text)
        local ok, err = reload()
        assert.is_nil(ok)
        assert.equal("rule", err.kind)
        assert.equal(before, hash())
        assert.equal(201, (send("alice", { type = "flare" })))
        assert.is_string(fixture.server:stats().rules.last_error)
        local last = fixture.log[#fixture.log]
        assert.equal("error", last.level)
        assert.matches("rules.lua", last.message .. tostring(last.fields.error), 1, true)
      end)
    end

    it("by themselves when the file changes, or one that it includes", function()
      folder:write("list.lua", 'return { "noise" }')
      start('refuse(include "list.lua")\nevent "flare" {}', { watch = true })
      local before = hash()
      folder:write("rules.lua", 'refuse(include "list.lua")\nevent "flare" {}\nevent "new" {}')
      http_client.wait("the new rules", function() return hash() ~= before end)
      assert.equal(201, (send("alice", { type = "new" })))
      before = hash()
      folder:write("list.lua", 'return { "noise", "nuisance" }')
      http_client.wait("the new list", function() return hash() ~= before end)
      assert.equal("refused", select(2, send("alice", { type = "nuisance" })).details[1])
    end)
  end)
end)
