--- How much garbage serve lets pile up.
local collector = require "stream_events.command.collector"
local luv = require "luv"

local MIB = 1024

describe("the collector of serve", function()
  it("allows a third while little is sent", function()
    for _, in_use in ipairs { 1 * MIB, 100 * MIB } do
      for _, sent in ipairs { 0, 99 } do assert.equal(135, collector.percent(in_use, sent)) end
    end
  end)

  it("allows some MiB while very much is sent, and never less than a third", function()
    assert.equal(1000, collector.percent(1 * MIB, 100)) -- the most that Lua can be told
    assert.equal(900, collector.percent(2 * MIB, 50000))
    assert.equal(500, collector.percent(4 * MIB, 50000))
    assert.equal(135, collector.percent(100 * MIB, 50000))
  end)

  it("sets Lua's at once, and keeps no loop alive", function()
    local pause, alive = collectgarbage("setpause", 200), luv.loop_alive()
    local stop = collector.start { stats = function() return { outcomes = { accepted = 0 } } end }
    assert.equal(alive, luv.loop_alive())
    stop()
    luv.run "nowait" -- until the timer is closed
    assert.equal(132, collectgarbage("setpause", pause)) -- Lua keeps it in steps of four
  end)
end)
