--- The manual's section on sending: its program runs, and its numbers are those of the code.
local fakes = require "support.fake_transport"
local manual = require "support.manual"
local options = require "stream_events.options"

local load_text = loadstring or load -- luacheck: ignore 113 (Lua 5.1)

describe("the manual's section on sending", function()
  local blocks = manual.lua_blocks("connections.md", "Sending")
  local fake, client, said

  local function run(answer)
    assert.equal(1, #blocks)
    fake, said = fakes.new(), {}
    client = fake.connected()
    fake.answer = answer or fake.answer
    local program = assert(load_text("local channel, print = ... ; " .. blocks[1]))
    program(client:channel("messaging", "general"), function(text) said[#said + 1] = text end)
    for _ = 1, 5 do client:poll() end
  end

  it("sends, in the order of its options", function()
    run()
    assert.equal(3, #fake.requests)
    assert.same({ "offered" }, said)
  end)

  it("tells what may have arrived from what has not", function()
    run(function(request) fake.reply(request, nil, "network", "reset") end)
    assert.equal("it may have arrived, or not: reset; whether the event has arrived is not known", said[1])
    run(function() return 403, '{"code":17,"message":"no","StatusCode":403}' end)
    assert.equal("certainly not sent: no", said[1])
  end)

  it("names the numbers that are the defaults", function()
    local checked = options.check({ api_key = "devkey" }, 1)
    assert.same({ 32, 256, 4096, 30, 6 }, { checked.limits.in_flight, checked.limits.queued,
      checked.limits.waiting, checked.timeouts.queued, checked.timeouts.request })
  end)
end)
