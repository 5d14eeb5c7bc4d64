--- The manual's section on reconnecting: its programs run, and say what they are there to say.
local fakes = require "support.fake_transport"
local manual = require "support.manual"

local load_text = loadstring or load -- luacheck: ignore 113 (Lua 5.1)

describe("the manual's section on reconnecting", function()
  local blocks = manual.lua_blocks("connections.md", "Reconnecting")
  local fake, client, said

  local function run(block)
    local program = assert(load_text("local client, print = ... ; " .. block))
    program(client, function(text) said[#said + 1] = text end)
  end

  before_each(function()
    fake, said = fakes.new(), {}
    client = fake.connected()
    assert(client:channel("messaging", "general"):watch())
    assert(client:channel("messaging", "lobby"):watch())
  end)

  it("has a program for each of three things", function()
    assert.equal(3, #blocks)
  end)

  it("follows the connection", function()
    run(blocks[1])
    fake.socket:finish("network", "reset")
    for _ = 1, 4 do client:poll(1) end
    fake.socket:refuse(43, "wrong secret")
    for _ = 1, 2 do client:poll() end
    assert.same({ "offline (reset), trying again in 1.4 s", "reconnected",
      "offline for good (wrong secret, code 43)" }, said)
  end)

  it("says that the network is back", function()
    run(blocks[2])
    assert.same({}, said)
    client:disconnect()
    run(blocks[2])
    assert.same({ "no session to reconnect" }, said)
  end)

  it("hears how delivery was restored", function()
    run(blocks[3])
    fake.answer = function(request)
      if not fakes.cids_of(request) then return fake.usual_answer(request) end
      request.body = request.body:gsub('"messaging:lobby",', "")
      return fake.usual_answer(request)
    end
    fake.socket:finish("network", "reset")
    for _ = 1, 6 do client:poll(1) end
    assert.same({ "1 channels, 0 missed events",
      "messaging:lobby: the channel is gone, or this user may not read it any more",
      "events may be missing since 2026-01-01T00:00:00Z" }, said)
  end)

  it("names the seconds that are the default", function()
    local options = require "stream_events.options"
    assert.equal(3, options.check({ api_key = "devkey" }, 1).timeouts.check)
  end)
end)
