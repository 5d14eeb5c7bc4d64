--- The manual's section on frames and loops: its programs run, and its numbers are the defaults.
local fakes = require "support.fake_transport"
local luv = require "luv"
local manual = require "support.manual"
local options = require "stream_events.options"
local peer = require "support.peer"
local native = require "stream_events.native"
local stream_events = require "stream_events"

local load_text = loadstring or load -- luacheck: ignore 113 (Lua 5.1)

describe("the manual's section on frames and loops", function()
  local blocks = manual.lua_blocks("connections.md", "Frames and loops")

  it("has a frame that takes no more than its time", function()
    assert.equal(2, #blocks)
    local fake, count = fakes.new(), 0
    local client = fake.connected()
    client:subscribe_for("poke", function()
      count = count + 1
      fake.clock.advance(0.0009)
    end)
    for _ = 1, 5 do fake.socket:event "poke" end
    local frame = assert(load_text("local client = ... ; " .. blocks[1] .. " return frame"))(client)
    frame()
    assert.equal(3, count)
    frame()
    assert.equal(5, count)
  end)

  it("has a program in luv's loop, which ends", function()
    local said
    local server = peer.http(function(_, connection)
      connection:answer(201, '{"channel":{"type":"livestream","id":"lobby","cid":"livestream:lobby"}}')
    end)
    local client = stream_events.new {
      api_key = "devkey", secret = "lan-dev-secret", base_url = server:url("http", ""),
    }
    -- Without a connection there is nothing that could be watched: a query stands for it.
    local block = blocks[2]:gsub("channel:watch%(%)", "channel:query()")
    local program = assert(load_text("local client, print = ... ; " .. block))
    local run = luv.run
    luv.run = function() -- the server of this spec lives in the same loop, and does not end
      local ends = native.now() + 20
      while not said and native.now() < ends do run "once" end
    end
    local ok, problem = pcall(program, client, function(text) said = text end)
    luv.run = run
    client:close()
    peer.stop_all()
    assert(ok, problem)
    assert.equal("watching", said)
  end)

  it("names the limit that is the default", function()
    assert.equal(4096, options.check({ api_key = "devkey" }, 1).limits.handlers)
  end)
end)
