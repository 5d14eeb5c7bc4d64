--- Faults of TLS: handshakes that stop half way, peers that speak something else, records that are
-- spoiled. Calls and the connection go through the same port; both meet them.
local certificates = require "support.tls"
local kinds = require "support.fault_kinds"
local rigs = require "support.fault_rig"
local survival = require "support.survival"

local rig, made

local function in_front(port)
  made = certificates.certificates { good = "IP:127.0.0.1" }
  local own, stop = certificates.forward(made.path "good.pem", made.path "good.key", port)
  return { port = own, ca_file = made.path "good.pem", stop = stop }
end

-- Everything that is open is reset; the next connections meet a fault.
local function next_ones(fault, attempt)
  return {
    function(at)
      at.proxy:plan("accept", fault, 2)
      at.proxy:each(nil, "reset")
    end,
    kind = "network",
    after = function(at)
      assert.is_truthy(at.proxy.met.accept, "no connection met the fault")
      local change = at.changes[2]
      -- A call may have met both.
      if not change.online and attempt then assert.equal(attempt, change.kind, change.reason) end
    end,
  }
end

local function start(seconds)
  return function()
    rig = rigs.begin {
      tls = in_front,
      timeouts = { request = seconds, connect = seconds, close = 0.2, health = 0.4, silence = 5 },
    }
  end
end

local function stop()
  rig:finish()
  made.remove()
end

describe("TLS survives", function()
  setup(start(20)) -- handshakes that come to an end take the time they need
  teardown(stop)

  survival.specs({
    ["an end in the place of the handshake"] = next_ones(kinds.ends "close"),
    ["a reset in the place of the handshake"] = next_ones(kinds.ends "reset"),
    ["an end within the first record"] = next_ones(kinds.raw_cut(3, "close")),
    ["an end within the handshake"] = next_ones(kinds.raw_cut(300, "close")),
    ["a reset within the handshake"] = next_ones(kinds.raw_cut(300, "reset")),
    ["a server that speaks HTTP"] = next_ones(kinds.bytes("HTTP/1.1 400 Bad Request\r\n\r\n", "close")),
    ["a server that speaks SSH"] = next_ones(kinds.bytes("SSH-2.0-OpenSSH_9.2\r\n", "close")),
    ["an alert"] = next_ones(kinds.bytes("\21\3\3\0\2\2\40", "close")),
    ["zeros"] = next_ones(kinds.bytes(("\0"):rep(4096), "close")),
    ["the end of all connections without a word of TLS"] = {
      function(at) at.proxy:each(nil, "close") end, kind = "network",
    },
  }, function() return rig end)

  it("a record that was changed on its way", function()
    rig:forget()
    rig.proxy:each(nil, "say", "\23\3\3\0\24" .. ("x"):rep(24))
    rig:wait("jane notices", function() return rig.changes[1] end)
    rig:back()
    -- Calls on the other spoiled connections find out by themselves.
    for _ = 1, 4 do rig:send(rig.jane, rigs.PLAIN) end
    rig:answered()
    rig:prove()
    assert.same({}, rig:account())
  end)
end)

describe("TLS whose time is over survives", function()
  setup(start(1))
  teardown(stop)

  survival.specs({
    ["silence in the place of the handshake"] = next_ones(kinds.nothing, "timeout"),
    ["silence within the first record"] = next_ones(kinds.raw_cut(3), "timeout"),
    ["silence within the handshake"] = next_ones(kinds.raw_cut(300), "timeout"),
  }, function() return rig end, { once = true })
end)
