--- The session's state machine: every state with every input, and the cadence of retries.
local backoff = require "stream_events.backoff"
local errors = require "stream_events.error"
local sessions = require "stream_events.session"

local TIMEOUTS = { connect = 15, close = 1, health = 25, silence = 35, check = 3 }

local function network() return errors.new { kind = "network", message = "gone" } end
local function refusal(code, retryable)
  return errors.new { kind = "auth", message = "refused", code = code, retryable = retryable }
end

-- A session, and a record of what it asked for.
local function make(options)
  options = options or {}
  local world = { time = 100, did = {}, changes = {}, renewable = options.renewable or false }
  local function note(name)
    return function(value)
      world.did[#world.did + 1] = name
      world[name] = value
    end
  end
  local actions = {
    announce = function(change)
      world.did[#world.did + 1] = change.online and "online" or "offline"
      world.changes[#world.changes + 1] = change
    end,
    renewable = function() return world.renewable end,
  }
  for _, name in ipairs {
    "fetch_token", "open", "drop", "mute", "close", "send_health", "established", "ended", "disconnected",
  } do
    actions[name] = note(name)
  end
  world.session = sessions.new {
    now = function() return world.time end,
    random = options.random or function() return 0 end,
    timeouts = TIMEOUTS, actions = actions,
  }
  return world
end

-- What leads to each state: before the first success of a connect, and ("again") after it.
local ONLINE = { { "connect" }, { "token" }, { "opened" }, { "hello" } }

local function after(inputs, ...)
  local all = {}
  for _, input in ipairs(inputs) do all[#all + 1] = input end
  for _, input in ipairs { ... } do all[#all + 1] = input end
  return all
end

local RETRY = after(ONLINE, { "lost", network() }, { "later" }, { "tick" })
local REACH = {
  idle = {},
  token = { { "connect" } }, ["token again"] = RETRY,
  connecting = { { "connect" }, { "token" } }, ["connecting again"] = after(RETRY, { "token" }),
  greeting = { { "connect" }, { "token" }, { "opened" } },
  ["greeting again"] = after(RETRY, { "token" }, { "opened" }),
  online = ONLINE,
  refused = after(ONLINE, { "refused", refusal(4) }),
  waiting = after(ONLINE, { "later" }, { "lost", network() }),
  ["waiting soon"] = after(ONLINE, { "lost", network() }, { "due" }, { "token" }, { "lost", network() }),
  closing = after(ONLINE, { "disconnect" }),
  failed = after(ONLINE, { "refused", refusal(43) }),
}

local function reach(state, options)
  local world = make(options)
  for _, input in ipairs(REACH[state]) do
    if input[1] == "later" then
      world.time = world.time + 5
    elseif input[1] == "due" then
      world.time = world.session.due
      world.session:input("tick", world.time)
    else
      world.session:input(input[1], input[2])
    end
  end
  assert.equal(state:match "^%a+", world.session.state)
  world.did = {}
  return world
end

describe("a session", function()
  -- Every input, with each kind of value that makes a difference. A number is for how long nothing has
  -- happened before it.
  local INPUTS = {
    { "connect" }, { "token" }, { "no_token", network() }, { "no_token", refusal(5), as = "no_token 5" },
    { "opened" }, { "hello" },
    { "refused", refusal(43), as = "refused for good" },
    { "refused", refusal(9, true), as = "refused for now" },
    { "refused", refusal(4), as = "refused somehow" },
    { "refused", refusal(40), as = "refused, expired" },
    { "refused", refusal(40), as = "refused, renewable", renewable = true },
    { "lost", network() }, { "lost", refusal(1000), as = "lost with 1000" },
    { "lost", refusal(43), as = "lost for good" },
    { "health" }, { "tick", as = "tick too early" }, { "tick", as = "time", due = true },
    { "check" }, { "check", as = "check later", later = 3 },
    { "disconnect" },
  }

  -- Where a pair leads and what is done then; of a pair that is not here nothing comes.
  local function attempt(first)
    local failure = first and "idle: drop ended" or "waiting: drop offline"
    local final = first and "idle: drop ended" or "failed: drop offline"
    return {
      ["refused for good"] = final, ["refused for now"] = failure,
      ["refused somehow"] = first and failure or "refused: mute",
      ["refused, expired"] = final, ["refused, renewable"] = "token: drop fetch_token",
      lost = failure, ["lost with 1000"] = failure, ["lost for good"] = final,
      time = failure, ["check later"] = "token: drop fetch_token",
      disconnect = first and "idle: drop ended disconnected" or "idle: drop offline disconnected",
      hello = "online: online established",
    }
  end
  local function with(list, more)
    for name, value in pairs(more) do list[name] = value end
    return list
  end
  local function fetching(first)
    return {
      token = "connecting: open",
      no_token = first and "idle: drop ended" or "waiting: drop offline",
      ["no_token 5"] = first and "idle: drop ended" or "failed: drop offline",
      time = first and "idle: drop ended" or "waiting: drop offline",
      disconnect = first and "idle: drop ended disconnected" or "idle: drop offline disconnected",
    }
  end
  local DOES = {
    idle = { connect = "token: fetch_token", disconnect = "idle: disconnected" },
    failed = { connect = "token: fetch_token", disconnect = "idle: disconnected" },
    token = fetching(true), ["token again"] = fetching(false),
    connecting = with(attempt(true), { opened = "greeting:" }),
    ["connecting again"] = with(attempt(false), { opened = "greeting:" }),
    greeting = attempt(true), ["greeting again"] = attempt(false),
    online = with(attempt(false), {
      hello = false, ["refused, renewable"] = "token: drop offline fetch_token",
      check = "online: send_health", ["check later"] = "online: send_health",
      disconnect = "closing: close",
    }),
    refused = {
      lost = "waiting: drop offline", ["lost with 1000"] = "failed: drop offline",
      ["lost for good"] = "waiting: drop offline",
      time = "waiting: drop offline", disconnect = "idle: drop offline disconnected",
    },
    waiting = {
      time = "token: fetch_token", check = "token: fetch_token", ["check later"] = "token: fetch_token",
      disconnect = "idle: drop offline disconnected",
    },
    ["waiting soon"] = {
      time = "token: fetch_token", check = "waiting: offline", ["check later"] = "token: fetch_token",
      disconnect = "idle: drop offline disconnected",
    },
    closing = {
      lost = "idle: drop offline disconnected", ["lost with 1000"] = "idle: drop offline disconnected",
      ["lost for good"] = "idle: drop offline disconnected", time = "idle: drop offline disconnected",
    },
  }

  local function expected_of(state, input)
    return DOES[state][input.as or input[1]] or state:match "^%a+" .. ":"
  end

  -- The time is over: for online, when nothing was heard for long enough.
  local function put(world, input)
    local session, heard = world.session, world.time
    world.renewable = input.renewable or false
    world.time = world.time + (input.later or 0)
    if input.due then
      world.time = session.state == "online" and world.time + TIMEOUTS.silence + 1
        or session.due or world.time
    end
    session:input(input[1], input[1] == "tick" and heard or input[2])
  end

  for state in pairs(REACH) do
    for _, input in ipairs(INPUTS) do
      local expected = expected_of(state, input)
      it(("%s, on %s -> %s"):format(state, input.as or input[1], expected), function()
        local world = reach(state)
        put(world, input)
        assert.equal(expected, (world.session.state .. ": " .. table.concat(world.did, " ")):gsub(" $", ""))
      end)
    end
  end

  -- The grid in the head of the module: state and input to the text of the cell.
  local function grid()
    local file = assert(io.open "lua/stream_events/session.lua")
    local cells, states = {}, nil
    for line in file:lines() do
      local text = line:match "^%-%-   (.*)"
      if text and not states then
        states = {}
        for word in text:gmatch "%S+" do states[#states + 1] = word end
      elseif text and text:match "^%a" then
        local words = {}
        for word in text:gmatch "%S+" do words[#words + 1] = word end
        cells[words[1]] = {}
        for i, state in ipairs(states) do cells[words[1]][state] = words[i + 1] end
      end
    end
    file:close()
    return cells, states
  end

  -- What a cell of the grid allows, for a first attempt and later.
  local MEANS = {
    ["."] = {}, ["(failure)"] = { idle = true, waiting = true, failed = true },
    ["(refusal)"] = { idle = true, waiting = true, failed = true, token = true, refused = true },
    ["(verdict)"] = { failed = true, waiting = true }, ["(anew)"] = { token = true, [""] = true },
    ["(soon)"] = { token = true, waiting = true },
  }

  it("does what the table in the head of its module says, and nothing else", function()
    local cells, states = grid()
    assert.equal(9, #states)
    local seen = {}
    for state in pairs(REACH) do
      for _, input in ipairs(INPUTS) do
        local name = input.due and "time" or input[1]
        if input.as ~= "tick too early" then
          local cell = cells[name][state:match "^%a+"]
          local does = DOES[state][input.as or input[1]] or ""
          local leads = does:match "^%a*"
          local allowed = MEANS[cell] or { [cell] = true }
          local may_do_nothing = cell == "." or cell == "(anew)" or (cell == "online" and name == "health")
          assert.is_true(leads == "" and may_do_nothing or allowed[leads] == true,
            ("%s on %s: the table says %s, but it is %q"):format(state, input.as or name, cell, does))
          seen[name] = true
        end
      end
    end
    for name in pairs(cells) do assert.is_true(seen[name], name) end
    for name in pairs(seen) do assert.is_table(cells[name], name) end
  end)

  it("has nothing to do at any time but those its table names", function()
    for state in pairs(REACH) do
      local world = reach(state)
      local due = world.session.due
      assert.equal(state == "idle" or state == "failed", due == nil, state)
      if due then
        assert.is_true(due >= world.time, state)
        world.session:input("tick", world.time)
        assert.same({}, world.did)
      end
    end
  end)

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

  -- What was planned after the server has refused and asked to be left alone.
  local function planned(seconds)
    local world = reach("online")
    world.session:input("lost", errors.new {
      kind = "protocol", message = "busy", code = 503, retry_after = seconds,
    })
    return world, world.changes[#world.changes].retry_in
  end

  it("leaves a server alone for as long as it asks, and then comes when chance says", function()
    local world, retry_in = planned(60)
    assert.equal(60.25, retry_in)
    world.time = world.session.due - 0.001
    world.session:input("tick")
    assert.equal("waiting", world.session.state)
    world.time = world.session.due
    world.session:input("tick")
    assert.equal("token", world.session.state)
  end)

  it("leaves it alone for five minutes at most, and for no less than it would without a word", function()
    assert.equal(300.25, select(2, planned(3600)))
    assert.equal(0.25, select(2, planned(0)))
  end)

  it("tries before that when it is told that the network is back", function()
    local world = planned(60)
    world.time = world.time + 1
    world.session:input("check")
    assert.equal("token", world.session.state)
  end)

  it("counts from one again after one that has lasted, however long the server was left alone", function()
    local world = planned(60)
    world.time = world.session.due
    for _, input in ipairs { "tick", "token", "hello" } do world.session:input(input) end
    world.time = world.time + 1
    world.session:input("lost", network())
    assert.equal(1, world.session.failures)
  end)

  -- Lost again at once after four failures, then lost after so many seconds. Gives the two waits.
  local function flap(seconds)
    local world = reach("waiting")
    local function come_to(first)
      world.time = world.session.due
      world.session:input("tick")
      world.session:input("token")
      if first then world.session:input(first) end
    end
    for _ = 1, 3 do
      come_to()
      world.session:input("lost", network())
    end
    assert.equal(4, world.session.failures)
    come_to "hello"
    world.session:input("lost", network())
    local at_once = world.changes[#world.changes].retry_in
    come_to "hello"
    world.time = world.time + seconds
    world.session:input("lost", network())
    return at_once, world.changes[#world.changes].retry_in, world
  end

  it("waits longer each time for a server that greets and hangs up", function()
    local at_once, afterwards = flap(7.9)
    assert.same({ 8, 10 }, { at_once, afterwards })
  end)

  it("counts from one again after a connection that has lasted as long as it was waited for", function()
    local at_once, afterwards, world = flap(8)
    assert.same({ 8, 0.25 }, { at_once, afterwards })
    assert.equal(2, world.session.reconnects)
  end)

  for _, code in ipairs { 2, 5, 41, 42, 43, 40, 4, 99 } do
    it(("stops for good when refused with code %d and closed with 1000"):format(code), function()
      local world = reach("online")
      world.session:input("refused", refusal(code))
      world.session:input("lost", errors.new { kind = "network", message = "closed", code = 1000 })
      assert.equal(2, #world.changes)
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

  it("comes back when the close frame after an error frame is another one, or does not come", function()
    for _, code in ipairs { 1011, 1012, 1006 } do
      local world = reach("refused")
      world.session:input("lost", errors.new { kind = "network", message = "closed", code = code })
      local change = world.changes[#world.changes]
      assert.same({ "waiting", 4, true, 0.25 },
        { world.session.state, change.code, change.will_retry, change.retry_in })
    end
    local world = reach("refused")
    assert.equal(world.time + 1, world.session.due)
  end)

  it("comes back after a close with 1000 that no error frame came before", function()
    local world = reach("online")
    world.session:input("lost", errors.new { kind = "network", message = "bye", code = 1000 })
    assert.same({ "waiting", 1000, true },
      { world.session.state, world.changes[2].code, world.changes[2].will_retry })
  end)

  it("says that nobody comes back when it is told to disconnect while it waits", function()
    local world = reach("waiting")
    world.session:input("disconnect")
    local change = world.changes[#world.changes]
    assert.same({ false, "disconnected", false }, { change.online, change.reason, change.will_retry })
  end)

  describe("that is told that the network may have changed", function()
    local function check(world, later)
      world.time = world.time + (later or 0)
      world.session:input("check")
    end
    local function tick_at(world, time, heard)
      world.time = time
      world.session:input("tick", heard)
    end

    it("tries at once, and the next waits are those of a beginning", function()
      local world = reach("online")
      world.session:input("lost", network())
      for _ = 1, 9 do
        world.time = world.session.due
        world.session:input("tick")
        world.session:input("token")
        world.session:input("lost", network())
      end
      assert.equal(18, world.changes[#world.changes].retry_in)
      check(world, 2)
      assert.equal("token", world.session.state)
      world.session:input("token")
      world.session:input("lost", network())
      assert.equal(0.25, world.changes[#world.changes].retry_in)
    end)

    it("tries no more than once a second, however often it is told", function()
      local world = reach("online")
      world.session:input("lost", network())
      local attempts = 0
      for _ = 1, 600 do -- of a frame each
        if world.session.state == "token" then
          attempts = attempts + 1
          world.session:input("no_token", network())
        end
        check(world, 1 / 60)
      end
      assert.is_true(attempts >= 9 and attempts <= 10, tostring(attempts))
    end)

    it("says when it will try, where that is sooner than planned", function()
      local world = reach("waiting soon", { random = function() return 0.99 end })
      local before = world.session.due
      check(world, 0.25)
      local change = world.changes[#world.changes]
      assert.same({ false, "gone", true, 0.75 },
        { change.online, change.reason, change.will_retry, change.retry_in })
      assert.equal(world.time + 0.75, world.session.due)
      assert.is_true(world.session.due < before)
      local count = #world.changes
      check(world)
      assert.equal(count, #world.changes) -- nothing new
    end)

    it("stays connected when the server is heard", function()
      local world = reach("online")
      check(world)
      assert.same({ "send_health" }, world.did)
      assert.equal(world.time + 3, world.session.due)
      tick_at(world, 103, 100.5)
      assert.same({ "online", { "send_health" } }, { world.session.state, world.did })
      tick_at(world, 124, 100.5)
      assert.equal("online", world.session.state)
    end)

    it("has lost the connection when the server is not heard soon, however often it is told", function()
      local world = reach("online")
      check(world)
      check(world, 2)
      tick_at(world, 102.9, 100)
      assert.same({ "online", { "send_health" }, 103 },
        { world.session.state, world.did, world.session.due })
      tick_at(world, 103, 100)
      local change = world.changes[#world.changes]
      assert.same({ "waiting", "timeout", "nothing heard from the server for 3 seconds" },
        { world.session.state, change.kind, change.reason })
    end)

    it("does not doubt the next connection for what was asked of the last one", function()
      local world = reach("online")
      check(world)
      world.session:input("lost", network())
      world.time = world.session.due
      world.session:input("tick")
      world.session:input("token")
      world.session:input("hello")
      tick_at(world, world.time + 10, world.time)
      assert.equal("online", world.session.state)
    end)

    it("begins an attempt again that hangs, but only once", function()
      for _, state in ipairs { "connecting again", "greeting again", "connecting", "greeting" } do
        local world = reach(state)
        check(world, 2.9)
        assert.same({}, world.did)
        check(world, 0.1)
        assert.same({ "token", { "drop", "fetch_token" } }, { world.session.state, world.did })
        world.session:input("token")
        check(world, 10)
        assert.equal("connecting", world.session.state)
        world.session:input("hello")
        assert.equal("online", world.session.state)
      end
    end)
  end)

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
    assert.same({ "drop", "offline", "disconnected" }, world.did)
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
