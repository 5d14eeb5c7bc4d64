--- Webhooks of the bundled server at a receiver that is not ours, which checks signatures by itself; and the
--- plugin's own check of what that receiver has found right.
local foreign = require "support.foreign"
local shape = require "support.shape"
local webhook = require "stream_events.webhook"
local worlds = require "support.foreign_world"

local SECRET = "lan-dev-secret"
local LOBBY = "messaging:lobby"
local EVENT = "/channels/messaging/lobby/event"

describe("a receiver of webhooks in Python", function()
  local world, receiver, port

  setup(function()
    receiver = foreign.start("receiver.py", SECRET)
    port = receiver:wait(function(report) return report.port end, "the receiver listens").port
  end)
  before_each(function()
    world = worlds.new("curl", { webhook_retry = 0.001 })
    world.fixture:users("alice", "bob")
    world.fixture:channel(LOBBY, { "alice", "bob" })
  end)
  after_each(function() world:stop() end)
  teardown(function()
    receiver:stop()
    worlds.end_all()
  end)

  local function hook(statuses, more)
    world:done("server", "PATCH", "/app", shape.with({ event_hooks = { {
      hook_type = "webhook", enabled = true, should_send_custom_events = true,
      webhook_url = ("http://127.0.0.1:%d/%s"):format(port, statuses),
    } } }, more or {}))
  end

  local function received()
    return receiver:wait(function(report) return report.method end, "a webhook came")
  end

  local function check_head(report, attempt)
    assert.is_true(report.holds)
    shape.check({
      report.method, report.headers["x-api-key"], report.headers["x-webhook-id"],
      report.headers["x-webhook-attempt"], report.headers["content-type"],
    }, { "POST", "devkey", shape.uuid, tostring(attempt), "application/json" }, "the head")
    assert(webhook.verify(report.text, report.headers["x-signature"], SECRET))
  end

  local INFO = { type = "client", ip = "127.0.0.1", user_agent = shape.text, sdk = "spec-1", ext = "more" }

  for name, settings in pairs { plain = {}, compressed = { enable_hook_payload_compression = true } } do
    it("§10.2, §10.3: finds the signature of a custom event right, " .. name, function()
      hook("200", settings)
      world:done("alice", "POST", EVENT, { event = { type = "flare", text = ("ä"):rep(1000) } },
        { headers = { ["X-Stream-Client"] = "spec-1", ["x-stream-ext"] = "more" } })
      local report = received()
      check_head(report, 1)
      assert.equal(name == "compressed" and "gzip" or nil, report.headers["content-encoding"])
      shape.check(report.body,
        shape.event("flare", LOBBY, "alice", { text = ("ä"):rep(1000), request_info = INFO }), "the body")
    end)
  end

  it("§10.3: gets a copy of an event to a user, without request_info", function()
    hook "200"
    world:done("server", "POST", "/users/bob/event", { event = { type = "gift", n = 1 } })
    local report = received()
    check_head(report, 1)
    shape.check(report.body, { type = "gift", n = 1, user = shape.user "bob", created_at = shape.date },
      "the body")
  end)

  it("§10.2, §10.4: is asked again under the same id after 503, and not after 400", function()
    hook "503,400,200"
    world:done("alice", "POST", EVENT, { event = { type = "flare", n = 1 } })
    local first, second = received(), received()
    check_head(first, 1)
    check_head(second, 2)
    assert.equal(first.headers["x-webhook-id"], second.headers["x-webhook-id"])
    assert.equal(first.text, second.text)
    world:done("alice", "POST", EVENT, { event = { type = "flare", n = 2 } })
    local other = received()
    check_head(other, 1)
    assert.equal(2, other.body.n)
    assert.not_equal(first.headers["x-webhook-id"], other.headers["x-webhook-id"])
  end)
end)
