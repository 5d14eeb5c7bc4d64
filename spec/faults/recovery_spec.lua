--- Faults while delivery is restored: the connection is back, but the calls that ask for what was missed
-- and that watch again meet gateways, cuts and further losses.
local kinds = require "support.fault_kinds"
local rigs = require "support.fault_rig"
local survival = require "support.survival"

local rig

-- The connection is reset, john sends meanwhile, and the first calls of the recovery meet a fault.
local function calls_meet(fault, times)
  return {
    function(at)
      at.proxy:plan("http", fault, times)
      at.proxy:each("websocket", "reset")
      for _ = 1, 3 do
        at:send(at.john, rigs.PLAIN)
        at:send(at.john, rigs.KEPT)
      end
    end,
    sends = 0, kind = "network",
    after = function(at) assert.equal(times or 1, at.proxy.met.http) end,
  }
end

-- What comes after the call of the recovery: the connection is lost once more.
local function lost_again(how)
  return function(link, request)
    local proxy = link.proxy
    if how == "before" then
      proxy:each("websocket", "reset")
      return link:pass(request)
    end
    link:pass(request, function(answer)
      proxy:each("websocket", "reset")
      link:say(answer)
    end)
  end
end

local function start(seconds)
  return function()
    rig = rigs.begin { timeouts = rigs.patience(seconds) }
  end
end

local function stop()
  rig:finish()
end

describe("restoring survives", function()
  setup(start(20)) -- an answer in single bytes takes its time
  teardown(stop)

  survival.specs({
    ["502 and HTML"] = calls_meet(kinds.html(502)),
    ["502 and HTML twice"] = calls_meet(kinds.html(502), 2),
    ["503"] = calls_meet(kinds.answer(503)),
    ["200 and HTML"] = calls_meet(kinds.html(200)),
    ["200 and nothing"] = calls_meet(kinds.answer(200)),
    ["an answer that is cut off"] = calls_meet(kinds.cut_answer(-20, "close")),
    ["a reset in the place of the answer"] = calls_meet(kinds.loses_answer "reset"),
    ["an end before the call is heard"] = calls_meet(kinds.ends "close"),
    ["an answer in single bytes"] = calls_meet(kinds.shaped(kinds.drip)),
    ["a second loss before the call"] = calls_meet(lost_again "before"),
    ["a second loss with the answer"] = calls_meet(lost_again "with"),
    ["a second loss at every of three calls"] = calls_meet(lost_again "with", 3),
  }, function() return rig end)
end)

describe("restoring whose time is over survives", function()
  setup(start(1))
  teardown(stop)

  survival.specs({
    ["no answer"] = calls_meet(kinds.nothing),
  }, function() return rig end, { once = true })
end)
