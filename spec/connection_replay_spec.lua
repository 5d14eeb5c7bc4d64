--- Texts that a connection gives out before what comes in, and how it notes how far it has come.
local core = require "stream_events.core"
local peer = require "support.peer"

local transport

before_each(function() transport = core.transport() end)
after_each(function()
  transport:close()
  peer.stop_all()
end)

local function text_of(type, n)
  return core.json.encode {
    type = type, cid = "messaging:general", user = { id = "jane" }, n = n,
    created_at = ("2026-01-01T00:00:%02dZ"):format(n),
  }
end

-- A connection on which these texts come, and the far end of it.
local function connect(texts, wants)
  local router = core.router()
  assert(router:set(wants or { custom = true }))
  local frames, far = {}, nil
  for i, text in ipairs(texts) do frames[i] = peer.frame("text", text) end
  local server = peer.websocket(function(connection)
    far = connection
    connection:say(table.concat(frames))
  end)
  local connection = assert(transport:connect { url = server:url "ws", router = router, self = "jane" })
  peer.pump(transport, function() return connection:state() == "open" end, "open")
  return connection, router, far
end

-- The numbers of the next so many events.
local function numbers(connection, count)
  local got = {}
  peer.pump(transport, function()
    local event = connection:next()
    while event do
      got[#got + 1] = event.n
      event = #got < count and connection:next()
    end
    return #got >= count
  end, "events")
  return got
end

describe("connection:replay", function()
  it("comes first, is counted, and is like what comes in", function()
    local connection, router = connect { text_of("tick", 3) }
    connection:replay { text_of("tick", 1), text_of("message.new", 9), text_of("tick", 2) }
    local event, type, cid = connection:next()
    assert.same({ 1, "tick", "messaging:general", "self" }, { event.n, type, cid, event.trust })
    assert.is_number(event.received_at)
    assert.same({ 2, 3 }, numbers(connection, 2))
    assert.same({ received = 4, delivered = 3, unwanted = 1, refused = 0 }, router:totals())
  end)

  it("says of a text that is no event what it is", function()
    local connection = connect {}
    connection:replay { "oops", '{"type":5}', text_of("tick", 1) }
    local event, kind, reason, excerpt = connection:next()
    assert.same({ false, "malformed", "oops" }, { event, kind, excerpt })
    assert.is_string(reason)
    event, kind = connection:next()
    assert.same({ false, "malformed" }, { event, kind })
    assert.equal(1, connection:next().n)
  end)

  it("may hold nothing, or nothing that is wanted", function()
    local connection = connect { text_of("tick", 1), text_of("tick", 2) }
    connection:replay {}
    assert.same({ 1 }, numbers(connection, 1))
    connection:replay { text_of("message.new", 9) }
    assert.same({ 2 }, numbers(connection, 1))
    assert.same({ nil, false }, { connection:position() })
  end)

  it("has a list of its own, which is let go in the end", function()
    local connection = connect {}
    local texts, padding = {}, (" "):rep(262144)
    for n = 1, 50 do texts[n] = text_of("tick", n) .. padding end
    connection:replay(texts)
    for n = 1, 50 do texts[n] = n end
    collectgarbage()
    local held = collectgarbage "count"
    for n = 1, 50 do
      assert.equal(n, connection:next().n)
      collectgarbage()
    end
    assert.is_nil(connection:next())
    collectgarbage()
    assert.is_true(collectgarbage "count" < held - 10000)
  end)

  it("is refused while there is one, and for what is no list of texts", function()
    local connection = connect {}
    connection:replay { text_of("tick", 1) }
    assert.error(function() connection:replay {} end)
    local other = connect {}
    assert.error(function() other:replay { 5 } end)
    assert.error(function() other:replay "x" end)
    local raw = assert(transport:connect { url = "ws://127.0.0.1:1/" })
    assert.error(function() raw:replay {} end)
  end)

  it("stays undone when the connection ends, and says so", function()
    local connection = connect {}
    connection:track(true)
    connection:replay { text_of("tick", 1), text_of("tick", 2) }
    assert.equal(1, connection:next().n)
    connection:abort()
    assert.is_nil(connection:next())
    assert.same({ "2026-01-01T00:00:01Z", true }, { connection:position() })
  end)
end)

describe("connection:position", function()
  it("is the date of the last event that was given out, once it is tracked", function()
    local connection = connect { text_of("tick", 1), text_of("tick", 2), text_of("noise.x", 3), "oops" }
    assert.same({ nil, false }, { connection:position() })
    assert.same({ 1 }, numbers(connection, 1))
    assert.is_nil((connection:position()))
    connection:track(true)
    assert.is_nil((connection:position()))
    assert.same({ 2 }, numbers(connection, 1))
    assert.equal("2026-01-01T00:00:02Z", (connection:position()))
    connection:track(false)
    assert.is_nil((connection:position()))
  end)

  it("tells what is replayed from what comes in", function()
    local connection = connect { text_of("tick", 5) }
    connection:track(true)
    connection:replay { text_of("tick", 7), text_of("tick", 8) }
    assert.same({ nil, true }, { connection:position() })
    assert.same({ 7, 8 }, numbers(connection, 2))
    assert.same({ "2026-01-01T00:00:08Z", true }, { connection:position() })
    assert.same({ 5 }, numbers(connection, 1))
    assert.same({ "2026-01-01T00:00:05Z", false }, { connection:position() })
  end)

  it("never goes back", function()
    local dates = { "05Z", "05.25Z", "05.2Z", "05.253Z", "04.9Z", "05.26Z", "06Z", "" }
    local texts = {}
    for n, date in ipairs(dates) do
      texts[n] = ('{"type":"tick","n":%d,"created_at":"%s"}'):format(n,
        date ~= "" and "2026-01-01T00:00:" .. date or "")
    end
    local connection = connect(texts)
    connection:track(true)
    local seen = {}
    for n in ipairs(dates) do
      assert.same({ n }, numbers(connection, 1))
      seen[n] = connection:position():sub(18)
    end
    assert.same({ "05Z", "05.25Z", "05.25Z", "05.253Z", "05.253Z", "05.26Z", "06Z", "06Z" }, seen)
  end)

  it("holds no date that is longer than any", function()
    local connection = connect { ('{"type":"tick","n":1,"created_at":"%s"}'):format(("1"):rep(41)) }
    connection:track(true)
    assert.same({ 1 }, numbers(connection, 1))
    assert.is_nil((connection:position()))
  end)
end)
