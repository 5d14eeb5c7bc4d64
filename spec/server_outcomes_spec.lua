--- What became of custom events: counted, and told to whoever looks on.
local fixtures = require "support.server"

describe("outcomes", function()
  local fixture
  before_each(function()
    fixture = fixtures.start {
      rules = { default = "drop", events = { flare = { extra = "keep" } } },
    }
    fixture:users("alice", "bob", "carol")
    fixture:channel("messaging:lobby", { "alice", "bob" })
  end)
  after_each(function() fixture:stop() end)

  local function outcomes() return fixture.server:stats().outcomes end

  local function send(who, event, path)
    return fixture:call(who, "POST", path or "/channels/messaging/lobby/event", { event = event })
  end

  it("count what was accepted, how many got it, and why others were refused", function()
    local bob = fixture:connect "bob"
    fixture:watch(bob, "messaging:lobby")
    assert.equal(201, (send("alice", { type = "flare" })))
    assert.equal(403, (send("carol", { type = "flare" })))
    assert.equal(403, (send("alice", { type = "grant_admin" })))
    assert.equal(400, (send("alice", { type = "message.new" })))
    assert.equal(400, (send("alice", {})))
    assert.equal(404, (send("alice", { type = "flare" }, "/channels/messaging/none/event")))
    assert.equal(413, (send("alice", { type = "flare", x = ("x"):rep(5200) })))
    assert.same({
      accepted = 1, receivers = 1, refused = 6, repeated = 0, reasons = {
        ["not-allowed"] = 1, ["undeclared-type"] = 1, ["not-supported"] = 1, malformed = 1, missing = 1,
        ["too-large"] = 1,
      },
    }, outcomes())
  end)

  it("are told to those who look on, until they stop", function()
    local seen = {}
    local stop = fixture.server.parts.outcomes:observe(function(outcome) seen[#seen + 1] = outcome end)
    send("alice", { type = "flare", x = 1 })
    send("alice", { type = "grant_admin", x = "<b>" })
    send("server", { type = "flare" }, "/users/bob/event")
    stop()
    send("alice", { type = "flare" })
    assert.equal(3, #seen)
    local accepted, refused, to_user = seen[1], seen[2], seen[3]
    assert.same({ "accepted", "flare", "messaging:lobby", "alice", "user", 0 },
      { accepted.outcome, accepted.type, accepted.cid, accepted.sender, accepted.by, accepted.receivers })
    assert.matches('"x":1', accepted.body, 1, true)
    assert.same({ "refused", "grant_admin", "undeclared-type" },
      { refused.outcome, refused.type, refused.reason })
    assert.matches("<b>", refused.body, 1, true)
    assert.same({ "accepted", "bob", "server" }, { to_user.outcome, to_user.target, to_user.by })
    assert.is_nil(to_user.cid)
    assert.is_nil(to_user.sender)
  end)

  it("of backends, too, when rules refuse what they send, to a channel or to a user", function()
    local seen = {}
    local stop = fixture.server.parts.outcomes:observe(function(outcome) seen[#seen + 1] = outcome end)
    assert.equal(403, (send("server", { type = "grant_admin", user_id = "alice" })))
    assert.equal(403, (send("server", { type = "grant_admin" }, "/users/bob/event")))
    stop()
    assert.equal(2, fixture.server:stats().outcomes.reasons["undeclared-type"])
    assert.same({ "refused", "undeclared-type", "messaging:lobby", "alice", "server" },
      { seen[1].outcome, seen[1].reason, seen[1].cid, seen[1].sender, seen[1].by })
    assert.same({ "refused", "undeclared-type", "bob", "server" },
      { seen[2].outcome, seen[2].reason, seen[2].target, seen[2].by })
  end)

  it("reach the others when one who looks on raises", function()
    local seen = 0
    local outcome = fixture.server.parts.outcomes
    outcome:observe(function() error "broken" end)
    outcome:observe(function() seen = seen + 1 end)
    assert.equal(201, (send("alice", { type = "flare" })))
    assert.equal(1, seen)
  end)
end)
