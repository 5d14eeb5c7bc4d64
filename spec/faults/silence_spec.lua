--- Connections that nobody ended, and that carry nothing any more: noticed by silence.
local kinds = require "support.fault_kinds"
local rigs = require "support.fault_rig"
local survival = require "support.survival"

local rig

local function silence(direction)
  return function(at) at.proxy:each("websocket", "silence", direction) end
end

-- Nothing goes through any more, whatever it is.
local function dead_network(at)
  at.proxy:each(nil, "silence", "both")
  at.proxy:plan("accept", kinds.nothing, 2)
end

local function start(options)
  return function()
    rig = rigs.begin(options)
  end
end

local function stop()
  rig:finish()
end

describe("silence", function()
  setup(start {
    -- Long enough that a busy machine is not taken for a dead network.
    timeouts = { request = 2, connect = 1, close = 0.2, health = 0.4, silence = 1.5 },
  })
  teardown(stop)

  survival.specs({
    ["both ways is noticed"] = { silence "both", kind = "timeout" },
    ["towards the client is noticed"] = { silence "down", kind = "timeout" },
    ["towards the server is noticed"] = { silence "up", kind = "timeout" },
    ["of all connections, and of new ones, is noticed"] = { dead_network, kind = "timeout" },
  }, function() return rig end, { once = true })

  it("is slept through: nothing is done while nothing happens", function()
    rig:forget()
    rig.proxy:each("websocket", "silence", "both")
    rig:wait("jane notices", function() return rig.changes[1] end)
    -- Health checks, the look when the silence is too long, and what the loss brings with it.
    assert.is_true(rig.jane.turns < 20, rig.jane.turns)
    rig:back()
  end)
end)

describe("silence that only the server hears", function()
  setup(start { flags = { "--idle-timeout", "3" } })
  teardown(stop)

  it("makes it say so, also while events go on coming", function()
    rig:forget()
    rig.proxy:each("websocket", "silence", "up")
    rig:wait("jane is told to come back", function()
      if #rig.sends == 0 or rig.got[rig.sends[#rig.sends].n] then rig:send(rig.john, rigs.PLAIN) end
      return rig.changes[1]
    end)
    assert.same({ "network", 1001 }, { rig.changes[1].kind, rig.changes[1].code })
    rig:answered()
    rig:back()
    rig:prove()
    assert.same({}, rig:account())
  end)
end)
