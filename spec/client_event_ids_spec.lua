--- Sends with an id: the client repeats those whose connection broke, where ids count.
local fakes = require "support.fake_transport"
local native = require "stream_events.native"

local fake, channel

local function begin(counts)
  fake = fakes.new()
  fake.answer = function(request)
    if request.path:find "query$" then
      return 201, native.json.encode { channel = {
        type = "messaging", id = "general", cid = "messaging:general",
        config = { custom_events = true, custom_event_ids = counts },
      } }
    end
    return fake.usual_answer(request)
  end
  local client = fake.connected()
  channel = client:channel("messaging", "general")
  assert(channel:watch())
  fake.requests = {}
end

-- The network fails so many times before an answer comes.
local function fail(times, kind)
  local usual = fake.answer
  fake.answer = function(request)
    if times == 0 then return usual(request) end
    times = times - 1
    fake.reply(request, nil, kind or "network", "reset")
  end
end

local function sent(i)
  return native.json.decode(fake.requests[i].body).event
end

describe("send_event with an id", function()
  it("puts it into the event", function()
    begin(true)
    local event = assert(channel:send_event("poke", { n = 1 }, { id = "a" }))
    assert.same({ type = "poke", n = 1, id = "a" }, sent(1))
    assert.equal("a", event.id)
    assert(channel:send_event("poke", nil, { id = "b" }))
    assert.same({ type = "poke", id = "b" }, sent(2))
  end)

  it("makes one up when it is to be idempotent, another one for each event", function()
    begin(true)
    assert(channel:send_event("poke", nil, { idempotent = true }))
    assert(channel:send_event("poke", nil, { idempotent = true }))
    assert.equal(36, #sent(1).id)
    assert.is_true(sent(1).id ~= sent(2).id)
    assert(channel:send_event("poke", nil, { idempotent = false }))
    assert.is_nil(sent(3).id)
    assert(channel:send_event("poke", nil, { idempotent = true, id = "a" }))
    assert.equal("a", sent(4).id)
  end)

  it("is repeated with the same id when its connection broke, twice at most", function()
    begin(true)
    fail(2)
    assert(channel:send_event("poke", nil, { idempotent = true }))
    assert.equal(3, #fake.requests)
    assert.same(sent(1), sent(3))
    fail(5)
    local event, err = channel:send_event("poke", nil, { id = "a" })
    assert.same({ nil, "network" }, { event, err.kind })
    assert.equal(6, #fake.requests)
  end)

  it("is not repeated by itself for other reasons, without an id, or where ids do not count", function()
    begin(true)
    fail(1, "timeout")
    assert.is_nil((channel:send_event("poke", nil, { id = "a" })))
    fail(1)
    assert.is_nil((channel:send_event "poke"))
    assert.equal(2, #fake.requests)
    begin(nil)
    fail(1)
    assert.is_nil((channel:send_event("poke", nil, { id = "a" })))
    assert.equal(1, #fake.requests)
  end)

  it("is refused as every other when it is too long", function()
    begin(true)
    local _, err = channel:send_event("poke", { text = ("x"):rep(5200) }, { id = "a" })
    assert.equal("full", err.kind)
  end)
end)
