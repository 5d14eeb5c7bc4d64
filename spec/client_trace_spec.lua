--- Tracing: what a client tells, as debug lines, of what it does.
local fakes = require "support.fake_transport"
local native = require "stream_events.native"

describe("a client with trace", function()
  local fake, client
  before_each(function()
    fake = fakes.new()
    client = fake.connected { trace = true }
  end)
  after_each(function() client:close() end)

  -- The lines with this message since the last call, without their level and what is left out.
  local first = 1
  before_each(function() first = 1 end)
  local function lines(message, ...)
    local found = {}
    for i = first, #fake.logs do
      local line = fake.logs[i]
      if line.message == message then
        assert.equal("debug", line.level)
        local fields = {}
        for _, name in ipairs { ... } do fields[#fields + 1] = line.fields[name] or "none" end
        found[#found + 1] = table.concat(fields, " ")
      end
    end
    first = #fake.logs + 1
    return found
  end

  it("tells each change of the session's state", function()
    assert.same({ "idle token", "token connecting", "connecting online" }, lines("session", "from", "to"))
    fake.socket:finish("network", "reset")
    for _ = 1, 4 do client:poll(5) end
    assert.same({ "online waiting", "waiting token", "token connecting", "connecting online" },
      lines("session", "from", "to"))
  end)

  it("tells each call and its answer, and only the path of it", function()
    local channel = client:channel("messaging", "general")
    assert(channel:send_event("poke"))
    assert.same({ "POST /channels/messaging/general/event" }, lines("call", "call"))
    fake.answer = function(request) fake.reply(request, 403, '{"code":17,"message":"no"}') end
    assert.is_nil(channel:send_event("poke"))
    assert.same({ "POST /channels/messaging/general/event 403 17 no" },
      lines("answer", "call", "status", "code", "error"))
    for _, line in ipairs(fake.logs) do
      for _, value in pairs(line.fields) do
        assert.is_nil(tostring(value):find(fake.token, 1, true))
        assert.is_nil(tostring(value):find("api_key", 1, true))
      end
    end
  end)

  it("tells the envelope of each event, wanted or not, and nothing of its data", function()
    local heard = 0
    client:subscribe_for("wanted", function() heard = heard + 1 end)
    fake.socket:event("wanted", { text = "between us" })
    fake.socket:event("unwanted", { text = "between us" })
    while client:poll() > 0 do end -- luacheck: ignore 542
    assert.equal(1, heard)
    assert.equal(1, client:stats().unwanted)
    assert.same({ "wanted messaging:general user", "unwanted messaging:general user" },
      lines("event", "type", "cid", "trust"))
    for _, line in ipairs(fake.logs) do
      assert.is_nil(native.json.encode(line.fields):find("between us", 1, true))
    end
  end)

  it("tells what is no event", function()
    fake.socket:receive("rubbish")
    client:poll()
    assert.equal(1, #lines("no event", "reason"))
  end)

  it("tells its health checks", function()
    client:poll(26)
    assert.equal(1, #lines("health check"))
  end)
end)

describe("a client without trace", function()
  it("tells none of it, and wants no more than it has handlers for", function()
    local fake = fakes.new()
    local client = fake.connected()
    client:subscribe_for("wanted", function() end)
    fake.socket:event("unwanted")
    client:poll()
    assert(client:channel("messaging", "general"):send_event("poke"))
    assert.is_false(fake.router.wants.custom)
    for _, line in ipairs(fake.logs) do assert.not_equal("debug", line.level) end
    client:close()
  end)
end)
