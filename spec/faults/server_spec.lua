--- A server that stops, dies and comes back on the same port while both users send: each send has one
-- answer, what the server kept comes back, what it did not keep is a gap, and delivery is restored.
local rigs = require "support.fault_rig"
local survival = require "support.survival"

local rig

-- Both users send as fast as answers come, until `over` says so.
local function keep_sending(over)
  local last = {}
  rig:wait("the end of the burst", function()
    for _, user in ipairs(rig.users) do
      for _, cid in ipairs { rigs.PLAIN, rigs.KEPT } do
        local name = user.id .. cid
        if not last[name] or last[name].answers > 0 then last[name] = rig:send(user, cid) end
      end
    end
    return over()
  end)
end

-- So many sends of the burst are answered.
local function sent(count)
  local before = #rig.sends
  return function() return #rig.sends >= before + count end
end

local function lost()
  local change = rig.changes[#rig.changes]
  return change and not change.online
end

local function all_is_well()
  rig:answered()
  rig:back()
  rig:wait("john is back", function() return rig.john.client:online() end)
  rig:prove()
  assert.same({}, rig:account())
end

local function turns_are_few()
  local allowed = survival.turns_allowed(rig)
  assert.is_true(rig.jane.turns <= allowed, ("%d turns where %d are enough"):format(rig.jane.turns, allowed))
end

describe("a server", function()
  setup(function()
    rig = rigs.begin {
      -- Longer than any moment for which a busy machine makes somebody wait.
      timeouts = { request = 4, connect = 1, close = 0.2, health = 0.5, silence = 3 },
    }
  end)

  before_each(function() rig:forget() end)

  teardown(function()
    rig:finish()
  end)

  it("that stops for a moment delays, and nothing else", function()
    keep_sending(sent(40))
    rig.server:kill "sigstop"
    local n = #rig.sends
    rig:burst(2)
    rig.server:kill "sigcont"
    rig:answered()
    assert.same({}, rig.changes)
    for i = n, #rig.sends do assert.is_truthy(rig.sends[i].event) end
    all_is_well()
    turns_are_few()
  end)

  it("that stops for longer is left, and found again when it goes on", function()
    keep_sending(sent(40))
    rig.server:kill "sigstop"
    keep_sending(lost)
    assert.equal("timeout", rig.changes[1].kind)
    rig:wait("an attempt that fails", function() return #rig.changes > 1 end)
    rig.server:kill "sigcont"
    all_is_well()
    turns_are_few()
  end)

  it("that is killed in a burst and started again has kept what it said it keeps", function()
    keep_sending(sent(100))
    rig.server:kill "sigkill"
    keep_sending(lost)
    assert.equal("network", rig.changes[1].kind)
    rig:serve_again()
    all_is_well()
    turns_are_few()
  end)

  it("that is killed again and again", function()
    for _ = 1, 4 do
      keep_sending(sent(30))
      rig.server:kill "sigkill"
      keep_sending(lost)
      rig:serve_again()
      rig:back()
    end
    all_is_well()
    turns_are_few()
  end)

  it("that is ended in a burst and started again says that it comes back", function()
    keep_sending(sent(100))
    rig.server:kill "sigterm"
    keep_sending(lost)
    assert.same({ "network", 1012 }, { rig.changes[1].kind, rig.changes[1].code })
    rig:serve_again()
    all_is_well()
    turns_are_few()
  end)

  it("that is away when both send is not asked by those who are offline", function()
    rig.server:kill "sigkill"
    keep_sending(lost)
    rig:wait("john notices", function() return not rig.john.client:online() end)
    rig:answered()
    local calls = rig.proxy.calls
    local offline = rig:send(rig.jane, rigs.PLAIN)
    rig:answered()
    assert.equal("network", offline.err.kind)
    assert.equal(calls, rig.proxy.calls)
    rig:serve_again()
    all_is_well()
  end)
end)
