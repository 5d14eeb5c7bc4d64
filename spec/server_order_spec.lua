--- The order of events under load: several senders at once, each with many sends in flight, and several
-- watchers, some of them senders. What one sender sends never overtakes itself; all who watch a channel
-- see one and the same order; everybody gets everything once.
local http_client = require "support.http_client"
local native = require "stream_events.native"
local servers = require "support.server"

local SENDERS, EACH, IN_FLIGHT = 5, 60, 12
local LOBBY = "messaging:lobby"
local fixture, senders

local function names()
  local list = {}
  for i = 1, SENDERS do list[i] = "sender" .. i end
  return list
end

before_each(function()
  fixture = servers.start()
  local list = names()
  fixture:users("watcher", table.unpack(list))
  list[#list + 1] = "watcher"
  fixture:channel(LOBBY, list)
  senders = {}
  for i, id in ipairs(names()) do
    senders[i] = {
      id = id, client = http_client.new(fixture.server), sent = 0, answers = {},
      headers = { Authorization = fixture:user_token(id), ["stream-auth-type"] = "jwt" },
    }
  end
end)

after_each(function()
  for _, sender in ipairs(senders) do sender.client:close() end
  fixture:stop()
end)

local function send_next(sender)
  sender.sent = sender.sent + 1
  sender.client:send("POST", "/channels/messaging/lobby/event?api_key=devkey", sender.headers,
    ('{"event":{"type":"tick","n":%d,"pad":"%s"}}'):format(sender.sent, ("x"):rep(sender.sent % 7 * 50)))
end

-- All senders at once: each keeps some sends in flight without waiting for their answers.
local function send_all()
  for _ = 1, IN_FLIGHT do
    for _, sender in ipairs(senders) do send_next(sender) end
  end
  for _ = 1, EACH do
    for _, sender in ipairs(senders) do
      local answer = sender.client:next_answer()
      assert.equal(201, answer.status)
      sender.answers[#sender.answers + 1] = answer.body.event
      if sender.sent < EACH then send_next(sender) end
    end
  end
end

-- What a connection got, as "sender n" in its order; checks what holds for each connection by itself.
local function seen_by(socket)
  local order, last, stamp = {}, {}, ""
  for _, event in ipairs(socket:settled()) do
    if event.type == "tick" then
      local id = event.user.id
      assert.equal((last[id] or 0) + 1, event.n, id)
      last[id] = event.n
      assert.is_true(event.created_at:sub(1, -2) > stamp)
      stamp = event.created_at:sub(1, -2)
      order[#order + 1] = id .. " " .. event.n
    end
  end
  return order
end

describe("under load", function()
  it("every watcher sees every event once, all in one order, and no sender overtakes itself", function()
    local sockets = { fixture:connect "watcher", fixture:connect "watcher", fixture:connect "sender1",
      fixture:connect "sender2", fixture:connect "sender2" }
    for _, socket in ipairs(sockets) do fixture:watch(socket, LOBBY) end
    send_all()
    local first = seen_by(sockets[1])
    assert.equal(SENDERS * EACH, #first)
    for i = 2, #sockets do assert.same(first, seen_by(sockets[i])) end
    -- The answers a sender got are of its events in their order.
    for _, sender in ipairs(senders) do
      for n, event in ipairs(sender.answers) do assert.equal(n, event.n) end
    end
  end)

  it("one who begins to watch in the middle sees the rest without a hole, and one who ends sees a beginning",
    function()
      local early, late = fixture:connect "watcher", fixture:connect "watcher"
      local whole = fixture:connect "watcher"
      fixture:watch(whole, LOBBY)
      fixture:watch(early, LOBBY)
      for _ = 1, IN_FLIGHT do
        for _, sender in ipairs(senders) do send_next(sender) end
      end
      fixture:watch(late, LOBBY)
      fixture:call("watcher", "POST", "/channels/messaging/lobby/stop-watching", {},
        { connection_id = early.id })
      for _, sender in ipairs(senders) do
        for _ = 1, IN_FLIGHT do assert.equal(201, sender.client:next_answer().status) end
        for _ = 1, IN_FLIGHT do send_next(sender) end
      end
      for _, sender in ipairs(senders) do
        for _ = 1, IN_FLIGHT do assert.equal(201, sender.client:next_answer().status) end
      end
      local all = seen_by(whole)
      assert.equal(2 * SENDERS * IN_FLIGHT, #all)
      local function ticks(socket)
        local list = {}
        for _, event in ipairs(socket:settled()) do
          if event.type == "tick" then list[#list + 1] = event.user.id .. " " .. event.n end
        end
        return list
      end
      local beginning, rest = ticks(early), ticks(late)
      assert.same({ table.unpack(all, 1, #beginning) }, beginning)
      assert.same({ table.unpack(all, #all - #rest + 1) }, rest)
      assert.is_true(#rest >= SENDERS * IN_FLIGHT)
    end)

  it("events to a user reach all of its connections in their order, among those of channels", function()
    local sockets = {}
    for i = 1, 20 do sockets[i] = fixture:connect "watcher" end
    fixture:watch(sockets[1], LOBBY)
    local backend = http_client.new(fixture.server)
    local headers = { Authorization = fixture:server_token(), ["stream-auth-type"] = "jwt" }
    for n = 1, 50 do
      backend:send("POST", "/users/watcher/event?api_key=devkey", headers,
        native.json.encode { event = { type = "gift", n = n } })
      send_next(senders[1])
    end
    for _ = 1, 50 do assert.equal(201, backend:next_answer().status) end
    for _ = 1, 50 do assert.equal(201, senders[1].client:next_answer().status) end
    backend:close()
    for i, socket in ipairs(sockets) do
      local gifts, ticks = 0, 0
      for _, event in ipairs(socket:settled()) do
        if event.type == "gift" then
          gifts = gifts + 1
          assert.equal(gifts, event.n)
        elseif event.type == "tick" then
          ticks = ticks + 1
        end
      end
      assert.same({ 50, i == 1 and 50 or 0 }, { gifts, ticks })
    end
  end)
end)
