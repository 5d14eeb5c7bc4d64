--- Random lives of a client at a server that keeps events: connections that break, answers that are late,
--- lost or refusals, tokens that are not to be had, a program that watches and stops in between. Whatever
--- happens: each call has one answer, each event comes once and in order, what does not come lies in a gap
--- that was told, and in the end the server watches for the client what the program wants watched.
local fakes = require "support.fake_transport"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local timestamp = require "stream_events.timestamp"
local tokens = require "stream_events.token"

local LIVES, STEPS = 100, 200
local CIDS = { "gaming:a", "gaming:b", "messaging:c", "messaging:d" } -- those of gaming are kept
local WAYS = {
  { queue = true }, { queue = true, coalesce = "x" }, { priority = "urgent" }, { idempotent = true },
  { queue = true, max_age = 2 }, { priority = "bulk", queue = true },
}
local NO_CONNECTION = '{"code":46,"message":"no such connection","StatusCode":400}'
local json = native.json

-- Lua's own generator is another one in each Lua, and in each version.
local function generator(seed)
  local state = seed * 7919 % 2147483647
  local function random()
    state = (state * 16807) % 2147483647
    return state / 2147483647
  end
  return random, function(most) return math.floor(random() * most) + 1 end
end

------------------------------------------------------------------------------------------ the server

-- A server as far as delivery is concerned, behind the fake transport.
local Server = {}
Server.__index = Server

local function is_kept(cid) return cid:sub(1, 7) == "gaming:" end

-- No two are the same.
function Server:stamp()
  self.micros = math.max(math.floor(self.clock.time() * 1e6), self.micros + 10)
  local seconds = math.floor(self.micros / 1e6)
  return (timestamp.format(seconds):gsub("Z$", (".%06dZ"):format(self.micros - seconds * 1e6)))
end

local function is_there(connection)
  local socket = connection and connection.socket
  return socket and not socket.aborted and not socket.ended and socket.now_state == "open"
end

function Server:emit(cid, user, fields)
  local event = {
    type = "tick", cid = cid, created_at = self:stamp(), user = { id = user }, n = #self.events + 1,
  }
  event.channel_type, event.channel_id = cid:match "^(.-):(.*)$"
  for name, value in pairs(fields or {}) do event[name] = value end
  self.events[event.n] = { cid = cid, at = self.micros, body = event }
  for _, connection in pairs(self.connections) do
    if is_there(connection) and connection.watches[cid] then connection.socket:receive(event) end
  end
  return event
end

-- What a query shows of a channel; where a connection is to watch it, since when it does.
function Server:view(cid, connection)
  local view = fakes.view(cid)
  if is_kept(cid) then
    view.channel.config.custom_event_ids = true
    view.channel.config.custom_event_retention = { seconds = 60, count = 1000 }
  end
  if connection then
    connection.watches[cid] = connection.watches[cid] or self:stamp()
    view.watched_at = is_kept(cid) and connection.watches[cid] or nil
  end
  return view
end

function Server:sync(body, connection)
  local missed, gaps = {}, {}
  for _, event in ipairs(self.events) do
    local is_asked = false
    for _, cid in ipairs(body.channel_cids) do is_asked = is_asked or cid == event.cid end
    if is_asked and is_kept(event.cid) and event.body.created_at > body.last_sync_at then
      missed[#missed + 1] = event.body
    end
  end
  for _, cid in ipairs(body.channel_cids) do
    connection.watches[cid] = connection.watches[cid] or self:stamp()
    if not is_kept(cid) then gaps[#gaps + 1] = cid end
  end
  return 201, json.encode {
    events = json.array(missed), gap_cids = json.array(gaps), synced_at = self:stamp(),
  }
end

function Server:answer(request)
  local channel_type, id, what = request.path:match "^/channels/([^/]+)/([^/]+)/([%w%-]+)$"
  local cid = channel_type and channel_type .. ":" .. id
  local body = json.decode(request.body or "{}")
  local connection = self.connections[request.query:match "connection_id=([%w%-]+)" or ""]
  if what == "event" then
    local event = body.event
    local known = event.id and self.ids[cid .. event.id]
    local sent = known or self:emit(cid, "john", { id = event.id })
    if event.id and is_kept(cid) then self.ids[cid .. event.id] = sent end
    return 201, json.encode { event = sent }
  elseif not is_there(connection) then
    return 400, NO_CONNECTION
  elseif what == "query" then
    return 201, json.encode(self:view(cid, body.watch and connection))
  elseif what == "stop-watching" then
    connection.watches[cid] = nil
  elseif request.path == "/sync" then
    return self:sync(body, connection)
  else
    local views = {}
    for i, one in ipairs(fakes.cids_of(request)) do views[i] = self:view(one, connection) end
    return 201, json.encode { channels = json.array(views) }
  end
  return 201, '{"duration":"1ms"}'
end

-- A call is heard late, or not at all; its answer comes late, or gets lost.
function Server:hear(request)
  local fake, random = self.fake, self.random
  local fate, slowness = self.is_well and 1 or random(), self.is_well and 0.05 or 2
  fake.at(random() * random() * slowness, function()
    if fate < 0.05 then return fake.reply(request, nil, "network", "could not connect", true) end
    if fate < 0.08 then return fake.reply(request, 503, "busy", { ["retry-after"] = "0" }) end
    if fate < 0.10 then return fake.reply(request, 429, "slow", { ["retry-after"] = "2" }) end
    if fate < 0.12 then return end
    local status, text = self:answer(request)
    if fate < 0.14 then return end
    fake.at(random() * random() * slowness, function()
      if fate < 0.19 then return fake.reply(request, nil, "network", "reset") end
      fake.reply(request, status, text)
    end)
  end)
end

function Server:greet(socket)
  if socket.aborted or socket.ended then return end
  local id = "connection-" .. (self.fake.greetings + 1)
  self.connections[id] = { socket = socket, watches = {} }
  self.last = self.connections[id]
  socket:greet(nil, self:stamp())
  function socket.on_send()
    if socket.ended or socket.is_dumb then return end
    socket:receive { type = "health.check", cid = "*", connection_id = id, created_at = self:stamp() }
  end
end

function Server:take(socket)
  local random = self.random
  local fate = self.is_well and 1 or random()
  if fate < 0.1 then return socket:finish("network", "refused") end
  if fate < 0.15 then return socket:finish("protocol", "busy", 503, "3") end
  if fate < 0.2 then return self.fake.at(random(), function() socket:finish("network", "reset") end) end
  if fate < 0.25 then return end
  if fate < 0.3 then return socket:refuse(40, "expired") end
  if fate < 0.35 then return socket:refuse(9, "slow down") end
  if fate < 0.45 then return self:greet(socket) end
  self.fake.at(random() * random(), function() self:greet(socket) end)
end

----------------------------------------------------------------------------------------- the program

local Life = {}
Life.__index = Life

local function new_life(seed)
  local self = setmetatable({
    calls = {}, got = {}, latest = {}, gaps = {}, online = {}, reports = {}, errors = {},
    wanted = {}, newest = {}, spans = {}, stopped = {}, wrong = {}, signed = 0,
  }, Life)
  self.random, self.pick = generator(seed)
  self.fake = fakes.new()
  self.server = setmetatable({
    fake = self.fake, clock = self.fake.clock, random = self.random, micros = 0,
    connections = {}, events = {}, ids = {}, is_well = false,
  }, Server)
  self.fake.answer = function(request) self.server:hear(request) end
  self.fake.on_connect = function(socket) self.server:take(socket) end
  self.client = stream_events.new(self.fake.options {
    random = self.random,
    logger = function(level, message, fields)
      if level == "error" then self.wrong[#self.wrong + 1] = message .. ": " .. tostring(fields.traceback) end
    end,
  })
  self:subscribe()
  return self
end

function Life:now() return self.fake.clock.time() * 1e6 end

function Life:complain(format, ...) self.wrong[#self.wrong + 1] = format:format(...) end

function Life:subscribe()
  self.client:subscribe_for("connection.changed", function(change)
    if change.online then self.online[#self.online + 1] = self:now() end
  end)
  self.client:subscribe_for("connection.recovered", function(event)
    self.reports[#self.reports + 1] = self:now()
    local gap = { since = timestamp.parse(event.since) * 1e6, till = self:now() }
    for _, cid in ipairs(event.gap_cids) do gap[cid] = true end
    self.gaps[#self.gaps + 1] = gap
  end)
  self.client:subscribe_for("tick", function(event)
    if self.got[event.n] then self:complain("event %d of %s came again", event.n, event.cid) end
    if (self.latest[event.cid] or 0) > event.n then self:complain("event %d came too late", event.n) end
    if self.stopped[event.cid] then self:complain("event %d of a channel that is left", event.n) end
    self.got[event.n], self.latest[event.cid] = true, event.n
  end)
end

-- `done`, where there is one, is called with the result.
function Life:call(what, done, object, method, ...)
  local call = { what = what, answers = 0 }
  self.calls[#self.calls + 1] = call
  local arguments = { ... }
  arguments[#arguments + 1] = function(result)
    call.answers = call.answers + 1
    if done then done(result) end
  end
  object[method](object, (table.unpack or unpack)(arguments)) -- luacheck: ignore 113 (Lua 5.1)
end

function Life:channel(cid) return self.client:channel(cid:match "^(.-):(.*)$") end

-- The program counts on a channel's events from the answer to watch() to whatever ends that.
function Life:ends(cid)
  self.newest[cid] = (self.newest[cid] or 0) + 1
  if self.wanted[cid] then
    self.spans[#self.spans + 1] = { cid = cid, from = self.wanted[cid], till = self:now() }
    self.wanted[cid] = nil
  end
end

function Life:watch(cid)
  local mine = (self.newest[cid] or 0) + 1
  self.newest[cid] = mine
  self:call("watch " .. cid, function(channel)
    if channel and self.newest[cid] == mine then self.wanted[cid] = self.wanted[cid] or self:now() end
  end, self:channel(cid), "watch")
end

function Life:stop(cid)
  self:ends(cid)
  self:call("stop " .. cid, nil, self:channel(cid), "stop_watching")
end

function Life:connect()
  self:call("connect", nil, self.client, "connect_user", { id = "john" }, function(user_id)
    local fate = self.server.is_well and 1 or self.random()
    if fate < 0.2 then return nil, "none" end
    self.signed = self.signed + 1
    return tokens.user("secret " .. self.signed, user_id)
  end)
end

function Life:disconnect()
  for _, cid in ipairs(CIDS) do self:ends(cid) end
  self:call("disconnect", nil, self.client, "disconnect")
end

local EXPIRED = { type = "connection.error", error = { code = 40, message = "expired", StatusCode = 401 } }
local CLOSES = { 1000, 1001, 1006, 1011 }

-- What happens, by its share of a hundred.
local HAPPENS = {
  { 12, function(self, cid) self:watch(cid) end },
  { 5, function(self, cid) self:stop(cid) end },
  { 20, function(self, cid) self.server:emit(cid, "jane") end },
  { 10, function(self, cid)
    self:call("send", nil, self:channel(cid), "send_event", "tick", {}, WAYS[self.pick(#WAYS)])
  end },
  { 8, function(self)
    local socket = self.fake.socket
    if socket and not socket.ended then
      socket:finish(self.random() < 0.5 and "network" or "closed", "lost", CLOSES[self.pick(4)])
    end
  end },
  { 2, function(self)
    local socket = self.fake.socket
    if socket and socket.now_state == "open" and not socket.ended then socket:receive(EXPIRED) end
  end },
  { 2, function(self) self.client:reconnect_now() end },
  { 2, function(self) if self.fake.socket then self.fake.socket.is_dumb = true end end },
  { 1, function(self) self.fake.clock.advance(15 + self.pick(25)) end },
  { 1, function(self) self:disconnect() end },
  { 2, function(self) self:connect() end },
  { 35, function(self)
    self.client:poll { seconds = self.random() * 2, max_events = self.random() < 0.2 and 1 or nil }
  end },
}

function Life:step()
  local dice = self.random() * 100
  for _, one in ipairs(HAPPENS) do
    dice = dice - one[1]
    if dice < 0 then
      one[2](self, CIDS[self.pick(#CIDS)])
      break
    end
  end
  if self.random() < 0.5 then self.client:poll(self.random() * 0.3) end
end

function Life:polls(count, seconds)
  for _ = 1, count do self.client:poll(seconds) end
end

-- All is well again: the program watches two of the channels, and no longer the others.
function Life:settle()
  self.server.is_well = true
  self:polls(60, 5)
  if not self.client:online() then
    self:connect()
    self:polls(20, 5)
  end
  for i, cid in ipairs(CIDS) do
    if i % 2 == 0 then self:stop(cid) else self:watch(cid) end
  end
  self:polls(20, 2)
  for i, cid in ipairs(CIDS) do self.stopped[cid] = i % 2 == 0 end
  for _, cid in ipairs(CIDS) do
    for _ = 1, 3 do self.server:emit(cid, "jane") end
  end
  self:polls(10, 1)
end

------------------------------------------------------------------------------------------ the judgement

-- Whether a later connection has reported, while the program still counted on the channel.
function Life:was_told_since(event, span)
  for _, online in ipairs(self.online) do
    for _, at in ipairs(online > event.at and self.reports or {}) do
      if at >= online and at < span.till then return true end
    end
  end
  return false
end

function Life:lies_in_gap(event)
  for _, gap in ipairs(self.gaps) do
    if gap[event.cid] and gap.since - 2 <= event.at and event.at <= gap.till + 2 then return true end
  end
  return false
end

function Life:judge()
  for i, cid in ipairs(CIDS) do
    local is_wanted = i % 2 == 1
    local watches = self.server.last.watches[cid] ~= nil
    if watches ~= is_wanted then self:complain("the server watches %s: %s", cid, tostring(watches)) end
    if self:channel(cid).watching ~= is_wanted then self:complain("the client is wrong about %s", cid) end
    self:ends(cid)
  end
  for n, event in ipairs(self.server.events) do
    for _, span in ipairs(not self.got[n] and self.spans or {}) do
      if span.cid == event.cid and span.from < event.at and event.at < span.till
        and self:was_told_since(event, span) and not self:lies_in_gap(event) then
        self:complain("event %d of %s is lost without a word", n, event.cid)
      end
    end
  end
  for _, call in ipairs(self.calls) do
    if call.answers ~= 1 then self:complain("%s had %d answers", call.what, call.answers) end
  end
  local stats = self.client:stats()
  assert.same({ {}, 0, 0 }, { self.wrong, stats.in_flight, stats.queued })
end

describe("a client whose connections break at random", function()
  for seed = 1, LIVES do
    it(("delivers each event once, or says where some may be missing: life %d"):format(seed), function()
      local life = new_life(seed)
      life:connect()
      for _ = 1, STEPS do life:step() end
      life:settle()
      life:judge()
      life.client:close()
    end)
  end
end)
