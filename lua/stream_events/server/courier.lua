--- Sends POST requests of the server's own, in its luv loop, and calls back when they are answered or
-- time is up. Knows nothing of webhooks.
--
-- There are two ways for them. What goes to an http:// URL is the core's own work, a small part of what
-- libcurl's HTTP costs; with TLS, a proxy or a user name in the URL it is libcurl's.
local uv = require "luv"
local core = require "stream_events.server.core"
local native = require "stream_events.native"

local M = {}

local MAX_ANSWER = 65536 -- bytes: what a hook answers beside its status is of no interest
local READ_SIZE = 1024   -- bytes: libcurl makes room for so many anew for each
local CONNECT_TIMEOUT = 6
local SHORTEST = 1 -- millisecond: luv calls a timer of none again and again before it looks at sockets

---@class stream_events.server.CourierWay
---@field carrier stream_events.server.core.Poster|stream_events.core.Transport
---@field under_way table<integer, any> what was sent along, by the number of the request
---@field tells_accepted boolean
---@field closes boolean? what is prepared for it has connections of its own
---@field is_ready boolean? its descriptor is readable
---@field poll userdata

---@class stream_events.server.Courier
---@field private ways stream_events.server.CourierWay[]
---@field private has_handed boolean? on an answer, since a loop over them began
---@field private later table<fun(), number> what is to be called, and when
local Courier = { __name = "stream_events.server.courier" }
Courier.__index = Courier

-- What is due now; those that a call adds are looked at in the next turn.
local function call_due(self)
  if not next(self.later) then return end
  local now, due = native.now(), {}
  for call, at in pairs(self.later) do
    if at <= now then due[#due + 1] = call end
  end
  for _, call in ipairs(due) do
    self.later[call] = nil
    self.guarded(call)
  end
end

-- Those that were accepted, as far as they come first: all at once, where the way can tell them so.
local function hand_on_accepted(self, way)
  if not way.tells_accepted then return end
  local tags, count = way.carrier:accepted(way.under_way)
  if not tags then return end
  self.has_handed = true
  self.accepted(tags, count)
end

-- Hands on the answers that are there.
local function hand_on(self, way)
  local carrier, under_way = way.carrier, way.under_way
  self.has_handed = false
  hand_on_accepted(self, way)
  local id, status, body, headers = carrier:next_response(true)
  while id do
    local tag = under_way[id]
    under_way[id] = nil
    self.has_handed = true
    if status and status >= 200 and status <= 299 then
      self.accepted({ tag }, 1)
    elseif status then
      self.refused(tag, status, nil, nil, headers)
    else
      self.refused(tag, nil, body, headers) -- here the kind of failure, and the message
    end
    hand_on_accepted(self, way)
    id, status, body, headers = carrier:next_response(true)
  end
end

-- All of them: what a callback raises ends a loop, and another one goes on with those that are left.
local function take_answers(self, way)
  repeat until self.guarded(hand_on, self, way) or not self.has_handed
end

local function is_in_use(way)
  return way.is_ready or next(way.under_way) ~= nil
end

local function step(self)
  for _, way in ipairs(self.ways) do
    if is_in_use(way) then
      way.is_ready = false
      way.carrier:step()
      take_answers(self, way)
    end
  end
end

local function earlier(one, other)
  if not one or (other and other < one) then return other end
  return one
end

-- The timer is left alone when it will ring early enough: a turn too many costs less than setting it
-- anew in every turn.
local function arm(self)
  if self.closed then return end
  local now = native.now()
  local at
  for _, way in ipairs(self.ways) do
    local seconds = is_in_use(way) and way.carrier:timeout()
    at = earlier(at, seconds and now + seconds)
  end
  for _, other in pairs(self.later) do at = earlier(at, other) end
  if not at or (self.rings and self.rings > now and self.rings <= at) then return end
  self.rings = at
  self.timer:start(math.max(SHORTEST, math.ceil((at - now) * 1000)), 0, self.ring)
end

-- What was asked for meanwhile goes out before the loop waits.
local function begin(self)
  for _, way in ipairs(self.ways) do
    if is_in_use(way) and way.carrier:timeout() == 0 then way.carrier:step() end
  end
  arm(self)
end

local function turn(self)
  if self.closed or self.in_turn then return end
  self.in_turn = true
  step(self)
  call_due(self)
  self.after()
  begin(self)
end

---@class stream_events.server.CourierOptions
---@field max_in_flight integer
---@field accepted fun(tags: any[], count: integer) called in a later turn with those of all requests that
---  were answered with a status from 200 to 299
---@field refused fun(tag: any, status: integer?, kind: string?, message: string?, headers: table?) called for
---  each other one; kind and message when there was no answer, or else its headers by their names in small
---  letters
---@field after fun() called once a turn, behind all callbacks
---@field failed fun(err: any) told of what a callback raised

--- Opens it. It keeps no loop alive that has nothing else to do.
---@param options stream_events.server.CourierOptions
---@return stream_events.server.Courier? courier
---@return stream_events.Error? err
function M.open(options)
  local limits = {
    max_in_flight = options.max_in_flight, max_waiting = options.max_in_flight, max_body = MAX_ANSWER,
    connect_timeout = CONNECT_TIMEOUT, read_size = READ_SIZE, keep_content_type = false, keep_body = false,
  }
  local poster, kind, message = core.poster(limits)
  if not poster then return nil, native.error(kind, message) end
  local transport
  transport, kind, message = native.transport(limits)
  if not transport then
    poster:close()
    return nil, native.error(kind, message)
  end
  local self = setmetatable({ later = {}, accepted = options.accepted, refused = options.refused }, Courier)
  self.ways = {
    { carrier = poster, under_way = {}, tells_accepted = true, closes = true },
    { carrier = transport, under_way = {}, tells_accepted = false },
  }
  self.guarded = function(callback, ...)
    local ok, err = xpcall(callback, debug.traceback, ...)
    if not ok then options.failed(err) end
    return ok
  end
  self.after = function() self.guarded(options.after) end
  self.turn = function()
    self.guarded(turn, self)
    self.in_turn = false
  end
  self.ring = function()
    self.rings = nil
    self.turn()
  end
  self.timer = assert(uv.new_timer())
  self.timer:unref()
  for _, way in ipairs(self.ways) do
    way.poll = assert(uv.new_poll(way.carrier:pollfd()))
    way.poll:unref()
    way.poll:start("r", function()
      way.is_ready = true
      self.turn()
    end)
  end
  return self
end

---@class stream_events.server.CourierRequest
---@field way stream_events.server.CourierWay
---@field prepared stream_events.server.core.PostTarget|stream_events.core.Prepared

--- Reads what many requests have in common.
---@param url string
---@param headers string[] lines
---@return stream_events.server.CourierRequest
function Courier:prepare(url, headers)
  local request = { method = "POST", url = url, headers = headers }
  for _, way in ipairs(self.ways) do
    local prepared = way.carrier:prepare(request)
    if prepared then return { way = way, prepared = prepared } end
  end
end

--- Ends the connections that are kept for such requests, and, once they are answered, those of requests
--- that are under way. libcurl's HTTP keeps connections for whatever goes to the same place.
---@param request stream_events.server.CourierRequest which nothing can be sent with any more
function Courier:release(request) -- luacheck: no self
  if request.way.closes then request.prepared:close() end
end

--- Begins a request.
---@param request stream_events.server.CourierRequest
---@param body string
---@param lines string[] of its head, beside the prepared ones
---@param timeout number seconds
---@param tag any not nil; accepted() or refused() gets it back
---@return true? ok
---@return stream_events.Error? err
function Courier:send(request, body, lines, timeout, tag)
  local way = request.way
  local id, kind, message = way.carrier:send(request.prepared, body, lines, timeout)
  if not id then return nil, native.error(kind, message) end
  way.under_way[id] = tag
  return true
end

--- Calls a function in so many seconds.
---@param seconds number
---@param call fun() each time another one
function Courier:call_later(seconds, call)
  self.later[call] = native.now() + seconds
end

--- Lets what was asked for begin.
function Courier:go()
  if not self.in_turn and not self.closed then begin(self) end
end

--- Ends everything that is under way; nothing more is called.
---@param closed fun() called when luv has let go of all of it
function Courier:close(closed)
  if self.closed then return closed() end
  self.closed = true
  self.later = {}
  local handles = { self.timer }
  for _, way in ipairs(self.ways) do handles[#handles + 1] = way.poll end
  local open = #handles
  local function done()
    open = open - 1
    if open > 0 then return end
    for _, way in ipairs(self.ways) do way.carrier:close() end
    closed()
  end
  for _, handle in ipairs(handles) do handle:close(done) end
end

return M
