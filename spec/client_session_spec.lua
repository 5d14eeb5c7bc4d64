--- The session's state machine: every state with every input, and the cadence of retries.
local backoff = require "stream_events.backoff"
local errors = require "stream_events.error"
local sessions = require "stream_events.session"

local TIMEOUTS = { connect = 15, close = 1, health = 25, silence = 35 }

local function network() return errors.new { kind = "network", message = "gone" } end
local function refusal(code, retryable)
  return errors.new { kind = "auth", message = "refused", code = code, retryable = retryable }
end

-- A session, and a record of what it asked for.
local function make(options)
  options = options or {}
  local world = { time = 100, did = {}, changes = {} }
  local function note(name)
    return function(value)
      world.did[#world.did + 1] = name
      world[name] = value
    end
  end
  world.session = sessions.new {
    now = function() return world.time end,
    random = options.random or function() return 0 end,
    timeouts = TIMEOUTS,
    actions = {
      fetch_token = note "fetch_token", open = note "open", drop = note "drop", close = note "close",
      send_health = note "send_health", established = note "established", ended = note "ended",
      disconnected = note "disconnected",
      announce = function(change) world.changes[#world.changes + 1] = change end,
      renewable = function() return options.renewable or false end,
    },
  }
  return world
end

local REACH = {
  idle = {},
  token = { { "connect" } },
  connecting = { { "connect" }, { "token" } },
  greeting = { { "connect" }, { "token" }, { "opened" } },
  online = { { "connect" }, { "token" }, { "opened" }, { "hello" } },
  waiting = { { "connect" }, { "token" }, { "opened" }, { "hello" }, { "lost", network() } },
  closing = { { "connect" }, { "token" }, { "opened" }, { "hello" }, { "disconnect" } },
  failed = { { "connect" }, { "token" }, { "opened" }, { "hello" }, { "refused", refusal(43) } },
}

local function reach(state, options)
  local world = make(options)
  for _, input in ipairs(REACH[state]) do world.session:input(input[1], input[2]) end
  assert.equal(state, world.session.state)
  world.did = {}
  return world
end

describe("a session", function()
  local INPUTS = {
    "connect", "token", "no_token", "opened", "hello", "refused", "lost", "health", "tick", "disconnect",
  }
  -- State after an input, where it changes; everything else stays.
  local LEADS = {
    idle = { connect = "token" },
    failed = { connect = "token", disconnect = "idle" },
    token = { token = "connecting", no_token = "idle", disconnect = "idle" },
    connecting = {
      opened = "greeting", hello = "online", refused = "idle", lost = "idle", disconnect = "idle",
    },
    greeting = { hello = "online", refused = "idle", lost = "idle", disconnect = "idle" },
    online = { refused = "failed", lost = "waiting", disconnect = "closing" },
    waiting = { disconnect = "idle" },
    closing = { lost = "idle" },
  }
  for state in pairs(REACH) do
    for _, input in ipairs(INPUTS) do
      local expected = LEADS[state][input] or state
      it(("goes from %s on %s to %s"):format(state, input, expected), function()
        local world = reach(state)
        local value = (input == "no_token" or input == "lost") and network()
          or input == "refused" and refusal(5) or input == "tick" and world.time or nil
        world.session:input(input, value)
        assert.equal(expected, world.session.state)
      end)
    end
  end

  it("ends a first attempt with its error, and says nothing of a change", function()
    for state, input in pairs { token = "no_token", connecting = "lost", greeting = "refused" } do
      local world = reach(state)
      local err = refusal(5)
      world.session:input(input, err)
      assert.equal(err, world.ended)
      assert.same({ "drop", "ended" }, world.did)
      assert.same({}, world.changes)
    end
  end)

  for state, says in pairs {
    token = "no token within 15 seconds", connecting = "no connection within 15 seconds",
    greeting = "no connection within 15 seconds",
  } do
    it("gives up an attempt that stays in " .. state, function()
      local world = reach(state)
      world.time = world.time + 14.999
      world.session:input("tick")
      assert.equal(state, world.session.state)
      world.time = world.time + 0.001
      world.session:input("tick")
      assert.equal("idle", world.session.state)
      assert.same({ "timeout", says }, { world.ended.kind, world.ended.message })
    end)
  end

  it("says how and why it was lost, and when it comes back", function()
    local world = reach("online")
    world.session:input("lost", errors.new { kind = "network", message = "going away", code = 1001 })
    local change = world.changes[#world.changes]
    assert.same({ false, "going away", "network", 1001, true, 0.25 },
      { change.online, change.reason, change.kind, change.code, change.will_retry, change.retry_in })
  end)

  it("retries by the protocol's formula, starting with n = 1, and for ever", function()
    for _, random in ipairs { 0, 0.5, 0.999999 } do
      local world = reach("online", { random = function() return random end })
      world.session:input("lost", network())
      for n = 1, 20 do
        local longest = math.min(500 + n * 2000, 25000)
        local shortest = math.min(math.max(250, (n - 1) * 2000), 25000)
        local delay = math.floor(random * (longest - shortest) + shortest) / 1000
        assert.equal(delay, world.changes[#world.changes].retry_in)
        world.time = world.session.due - 0.0001
        world.session:input("tick")
        assert.equal("waiting", world.session.state)
        world.time = world.time + 0.0002
        world.session:input("tick")
        assert.equal("token", world.session.state)
        world.session:input("token")
        world.session:input("lost", network())
      end
      assert.equal("waiting", world.session.state)
    end
  end)

  it("counts from one again after a good first frame", function()
    local world = reach("waiting")
    for _ = 1, 3 do
      world.time = world.session.due
      world.session:input("tick")
      world.session:input("token")
      world.session:input("lost", network())
    end
    assert.equal(4, world.session.failures)
    world.time = world.session.due
    world.session:input("tick")
    world.session:input("token")
    world.session:input("hello")
    assert.is_false(world.established)
    world.session:input("lost", network())
    assert.equal(0.25, world.changes[#world.changes].retry_in)
    assert.equal(1, world.session.reconnects)
  end)

  for _, code in ipairs { 2, 5, 41, 42, 43, 40, 4, 99 } do
    it(("stops for good when refused with code %d"):format(code), function()
      local world = reach("online")
      world.session:input("refused", refusal(code))
      assert.equal("failed", world.session.state)
      local change = world.changes[#world.changes]
      assert.same({ false, code, false }, { change.online, change.code, change.will_retry })
      assert.equal(code, world.session.failure.code)
      assert.is_nil(world.session.due)
    end)
  end

  for _, code in ipairs { -1, 9, 71 } do
    it(("comes back after a refusal that may pass, code %d"):format(code), function()
      local world = reach("online")
      world.session:input("refused", refusal(code, true))
      assert.equal("waiting", world.session.state)
    end)
  end

  it("fetches a new token at once when the old one expired, the second time with a wait", function()
    local world = reach("online", { renewable = true })
    world.session:input("refused", refusal(40))
    assert.same({ "token", true }, { world.session.state, world.fetch_token })
    assert.equal(0, world.changes[#world.changes].retry_in)
    world.session:input("token")
    world.session:input("refused", refusal(40))
    assert.equal("waiting", world.session.state)
    world.time = world.session.due
    world.fetch_token = nil
    world.session:input("tick")
    assert.same({ "token", true }, { world.session.state, world.fetch_token })
  end)

  it("gives up a first connect whose new token has expired too", function()
    local world = reach("greeting", { renewable = true })
    world.session:input("refused", refusal(40))
    assert.equal("token", world.session.state)
    world.session:input("token")
    world.session:input("refused", refusal(40))
    assert.equal("idle", world.session.state)
    assert.equal(40, world.ended.code)
    assert.truthy(world.ended.hint:find("token function was asked again", 1, true), world.ended.hint)
  end)

  it("retries when the provider gives no token on a reconnect", function()
    local world = reach("waiting")
    world.time = world.session.due
    world.session:input("tick")
    world.session:input("no_token", errors.new { kind = "auth", message = "no token" })
    assert.equal("waiting", world.session.state)
  end)

  it("sends a health check 25 s after the last one was received", function()
    local world = reach("online")
    local function tick_at(time)
      world.time = time
      world.session:input("tick", time)
    end
    tick_at(124.999)
    assert.same({}, world.did)
    tick_at(125)
    assert.same({ "send_health" }, world.did)
    world.time = 125.5
    world.session:input("health")
    tick_at(150.4)
    assert.same({ "send_health" }, world.did)
    tick_at(150.5)
    assert.same({ "send_health", "send_health" }, world.did)
  end)

  it("is dead after 35 s without a byte, not before, whatever was sent", function()
    local world = reach("online")
    world.time = 135
    world.session:input("tick", 100)
    assert.equal("online", world.session.state)
    world.time = 135.001
    world.session:input("tick", 100)
    assert.equal("waiting", world.session.state)
    assert.equal("timeout", world.changes[#world.changes].kind)
  end)

  it("says goodbye once, and waits for the answer no longer than it has to", function()
    local world = reach("closing")
    assert.is_nil(world.disconnected)
    world.time = world.session.due
    world.session:input("tick")
    assert.equal("idle", world.session.state)
    assert.same({ "drop", "disconnected" }, world.did)
    local change = world.changes[#world.changes]
    assert.same({ false, "disconnected", 1000, false },
      { change.online, change.reason, change.code, change.will_retry })
  end)

  it("answers the connect it gives up on disconnect", function()
    local world = reach("greeting")
    world.session:input("disconnect")
    assert.equal("closed", world.ended.kind)
    assert.same({ "drop", "ended", "disconnected" }, world.did)
  end)

  it("connects again after it stopped", function()
    local world = reach("failed")
    world.session:input("connect")
    assert.is_nil(world.session.failure)
    world.session:input("token")
    world.session:input("hello")
    assert.is_true(world.established)
  end)
end)

describe("backoff.delay", function()
  for _, case in ipairs {
    { 0, 0.25, 0.5 }, { 1, 0.25, 2.5 }, { 2, 2, 4.5 }, { 3, 4, 6.5 }, { 4, 6, 8.5 }, { 5, 8, 10.5 },
    { 10, 18, 20.5 }, { 12, 22, 24.5 }, { 13, 24, 25 }, { 14, 25, 25 }, { 1000, 25, 25 },
  } do
    it(("after %d failures is %g to %g seconds"):format(case[1], case[2], case[3]), function()
      assert.equal(case[2], backoff.delay(case[1], function() return 0 end))
      local longest = backoff.delay(case[1], function() return 0.9999999 end)
      assert.is_true(longest <= case[3] and longest >= case[3] - 0.002, tostring(longest))
    end)
  end
end)
