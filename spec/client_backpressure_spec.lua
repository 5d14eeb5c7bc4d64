--- A client whose handlers cannot keep up stops reading: the server feels it, and nothing piles up.
local garbage = require "support.garbage"
local luv = require "luv"
local native = require "stream_events.native"
local peer = require "support.peer"
local stream_events = require "stream_events"

local MOST = 16 -- handlers that may wait
local COUNT = 20000
local PATIENCE = 20

local json = native.json

local client, socket, held, unwritten

-- Requests are kept until the spec answers them; a WebSocket is greeted.
local function take(connection)
  local request = connection:take_request()
  while request do
    if request.headers.upgrade then
      socket = connection
      connection.on_bytes = function() connection.received = "" end
      return connection:say(peer.accept(request) .. peer.frame("text", json.encode {
        type = "health.check", cid = "*", created_at = "2026-01-01T00:00:00Z",
        connection_id = "one", me = { id = "john" },
      }))
    end
    held[#held + 1] = function() connection:answer(201, '{"event":{"type":"ack"}}') end
    request = connection:take_request()
  end
end

local function event(n)
  return peer.frame("text", json.encode {
    type = "poke", n = n, pad = ("x"):rep(300), cid = "messaging:general", user = { id = "jane" },
    created_at = "2026-01-01T00:00:01Z",
  })
end

--- Frames of a game, until the condition holds, each with so many handlers at most.
local function frames(condition, what, most)
  local ends, count = native.now() + PATIENCE, 0
  repeat
    if native.now() > ends then error("waited in vain: " .. what, 2) end
    client:poll(0, most)
    luv.run "nowait"
    count = count + 1
  until condition(count)
end

local function backlog() return socket.socket:get_write_queue_size() end

before_each(function()
  held = {}
  local listener = peer.listen(function(connection)
    function connection.on_bytes() take(connection) end
  end)
  client = stream_events.new {
    api_key = "devkey", secret = "lan-dev-secret", base_url = listener:url("http", ""),
    limits = { handlers = MOST }, timeouts = { request = 600 }, logger = function() end,
  }
  local online
  client:connect_user({ id = "john" }, nil, function(me) online = me end)
  frames(function() return online end, "the connection")
  unwritten = COUNT
end)
after_each(function()
  client:close()
  peer.stop_all()
end)

-- The server says as much as fits, and waits with the rest, as servers do.
local function flood()
  local parts = {}
  for n = 1, COUNT do
    parts[#parts + 1] = event(n)
    if n % 100 == 0 then
      socket:say(table.concat(parts), function() unwritten = unwritten - 100 end)
      parts = {}
    end
  end
end

describe("a client whose handlers wait", function()
  it("reads no more than they take, and goes on where it stopped", function()
    local begun, ended, received, waits = {}, 0, client:stats().received, true
    client:subscribe_for("poke", function(poke)
      begun[#begun + 1] = poke.n
      if waits then client:channel("messaging", "general"):send_event("ack", {}) end
      ended = ended + 1
    end)
    flood()
    frames(function() return #held == MOST end, "the handlers wait")
    local memory, waiting, left = garbage.in_use(), backlog(), unwritten
    frames(function(count) return count == 500 end, "many frames")
    -- What the kernel and one block of ours hold is all that has left the server.
    assert.equal(MOST, #begun)
    assert.equal(received + MOST, client:stats().received)
    assert.equal(MOST, client:stats().handlers_waiting)
    assert.equal(waiting, backlog())
    assert.is_true(backlog() > 300 * COUNT / 4)
    assert.equal(left, unwritten)
    assert.is_true(garbage.in_use() - memory < 64)
    assert.is_true(client:online()) -- that nothing is heard is not the server's fault
    assert.is_true((client:timeout() or 1) > 0) -- nor is there anything to do
    held[1]() -- one that may go on lets one more in
    frames(function() return #held == MOST + 1 end, "one more")
    assert.equal(1, ended)
    assert.equal(MOST + 1, #begun)
    waits = false
    for i = 2, #held do held[i]() end
    frames(function() return ended == COUNT end, "all handlers have ended")
    assert.equal(0, backlog())
    for n = 1, COUNT do assert(begun[n] == n) end
    assert.equal(COUNT, client:stats().delivered)
  end)

  it("is slow: then each frame takes what it may, and the rest stays where it is", function()
    local got = 0
    client:subscribe_for("poke", function(poke) got = poke.n end)
    flood()
    -- Few from the beginning: the window of a client that reads much grows until all of it is in the kernel.
    frames(function() return got > 0 end, "the first events", 5)
    local memory, before, received = garbage.in_use(), got, client:stats().received
    for _ = 1, 100 do
      assert.is_true(client:poll(0, 5) <= 5)
      luv.run "nowait"
    end
    assert.equal(before + 500, got)
    assert.is_true(client:stats().received <= received + 500)
    assert.is_true(backlog() > 0)
    assert.is_true(garbage.in_use() - memory < 64)
    frames(function() return got == COUNT end, "everything")
    assert.equal(COUNT, client:stats().delivered)
  end)
end)
