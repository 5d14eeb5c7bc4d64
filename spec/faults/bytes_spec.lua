--- Bytes that come late, slowly and in pieces: nothing is lost by that, and nobody loses patience.
local kinds = require "support.fault_kinds"
local rigs = require "support.fault_rig"
local survival = require "support.survival"

local rig

-- The connection is made anew, and everything that the server says on it is written by `shape`.
local function anew(shape)
  return function(at)
    at.proxy:plan("websocket", kinds.shaped(shape))
    at.proxy:each("websocket", "reset")
  end
end

-- HTTP answers are written by `shape`, too.
local function everything(shape)
  return function(at)
    at.proxy:plan("http", kinds.shaped(shape), 1000)
    anew(shape)(at)
  end
end

describe("a connection survives bytes that come", function()
  setup(function()
    -- Nothing here is about time, and single bytes take turns.
    rig = rigs.begin { timeouts = { request = 20, connect = 20, close = 0.3, health = 0.4, silence = 20 } }
  end)

  teardown(function()
    rig:finish()
  end)

  survival.specs({
    ["late"] = { everything(kinds.late(15)), kind = "network" },
    ["one at a time"] = { everything(kinds.drip), kind = "network" },
    ["in two pieces"] = { everything(kinds.split(function() return 2 end)), kind = "network" },
    ["in a pause that has been seen before"] = {
      function(at)
        local held = {}
        for _, link in ipairs(at.proxy:live "websocket") do
          link.shape = function(_, bytes) held[#held + 1] = bytes end
          at.held = function()
            link.shape = nil
            link:say(table.concat(held))
          end
        end
      end,
      during = function(at) at.held() end,
    },
  }, function() return rig end)

  it("cut behind every byte of an event", function()
    rig:forget()
    local place, longest = 0, 0
    for _, link in ipairs(rig.proxy:live "websocket") do
      link.shape = kinds.split(function()
        place = place + 1
        return place
      end)
      link.filter = function(frame)
        longest = math.max(longest, #frame)
        return frame
      end
    end
    repeat
      rig:prove()
    until place > 0 and place >= longest
    assert.is_true(longest > 100)
    assert.same({}, rig:account())
    assert.same({}, rig.changes)
    rig.proxy:each("websocket", "reset")
    rig:wait("jane notices", function() return #rig.changes > 0 end)
    rig:back()
  end)

  it("cut behind every byte of the answer to the upgrade, and in many places of the first frame", function()
    rig:forget()
    local place, length = 0, 1
    while place < length do
      place = place + (place < 200 and 1 or 41)
      local before, at, cut = #rig.recovered, 0, place
      rig.proxy:plan("websocket", kinds.shaped(function(link, bytes)
        at = at + #bytes
        length = math.max(length, at < 2000 and at or 0)
        if at < cut or at - #bytes >= cut then return link:say(bytes) end
        local here = cut - (at - #bytes)
        -- The second piece has a turn of its own: the write before it is done then.
        link.queue = link.queue or {}
        link:say(bytes:sub(1, here), function() link:say(bytes:sub(here + 1)) end)
      end))
      rig.proxy:each("websocket", "reset")
      rig:wait("jane is back", function() return #rig.recovered > before and rig.jane.client:online() end)
      rig.changes = {}
    end
    assert.is_true(length > 300, length)
    rig:prove()
  end)
end)
