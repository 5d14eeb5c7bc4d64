--- The listening sockets in a luv loop: does a turn of I/O whenever the loop says so, and hands what
-- happened to the handlers it was given. The only module here that knows the loop.
local uv = require "luv"
local core = require "stream_events.server.core"
local native = require "stream_events.native"
local answers = require "stream_events.server.answers"

local M = {}

-- Two packages hold the two halves; nobody has tried others together.
if core.version ~= native.version then
  error(("the server is of version %s and stream-events of %s: install the same version of both"):format(
    core.version or "0.1.0 or older", native.version), 0)
end

---@class stream_events.server.Handlers
---@field request fun(number: integer, request: stream_events.server.Request): ...
---  gives status, body and headers of the answer; and true when the answer has to wait for settle. Without a
---  status, respond() has to be called for it
---@field settle (fun(): boolean)? called once for all that wait; false: they cannot be answered so
---@field unsettled (fun(): string)? the body of the answer to those, and to what a handler failed at
---@field upgrade fun(number: integer, request: stream_events.server.Request)
---@field message fun(number: integer)
---@field closed fun(number: integer, code: integer)
---@field second fun() called about once a second
---@field rest (fun(): boolean)? called in every turn for work that is spread over turns; true: there is more
---@field flushed (fun())? called in every turn behind all that is sent
---@field failed fun(what: string, err: any) a handler raised

---@class stream_events.server.Loop
---@field core stream_events.server.core.Listener
local Loop = { __name = "stream_events.server.loop" }
Loop.__index = Loop

--- Opens the listening socket; nothing is accepted before start().
---@param options stream_events.server.ListenOptions
---@return stream_events.server.Loop? loop
---@return stream_events.Error? err
function M.open(options)
  local listener, kind, message = core.listen(options)
  if not listener then return nil, native.error(kind, message) end
  return setmetatable({ core = listener, alarms = {} }, Loop)
end

-- Descriptors beside those of connections: the database, the program's own, and webhooks, of which 17 may
-- have 32 requests under way.
local SPARE = 640

--- Lets this process have as many descriptors as so many connections need.
---@param connections integer
---@return integer allowed what the system lets it have
---@return integer needed
function M.room_for(connections)
  local needed = connections + SPARE
  return core.room(needed), needed
end

-- A client on this machine is its operator, or a proxy that nobody has told us of.
local OWN = { "127.0.0.0/8", "::1" }

--- Says who is not held to the limit of connections from one address, beside this machine itself.
---@param networks string[]? addresses and networks; asked again with the same list it does nothing
function Loop:exempt(networks)
  networks = networks or OWN
  if self.exempted == networks then return end
  self.exempted = networks
  self.core:exempt(table.move(networks, 1, #networks, #OWN + 1, { table.unpack(OWN) }))
end

local function guarded(self, what, handler, ...)
  local ok, err = xpcall(handler, debug.traceback, ...)
  if not ok then self.handlers.failed(what, err) end
  return ok
end

-- Handles what has come in; notes what it is at, for whoever has to go on when that raises.
local function handle_all(self)
  local listener, handlers, given = self.core, self.handlers, self.answers
  self.what = "turn"
  local what, number, detail = listener:next()
  while what do
    self.what, self.number = what, number
    if what == "request" then
      given:add(number, handlers.request(number, detail))
    elseif what == "message" then
      handlers.message(number)
    elseif what == "upgrade" then
      handlers.upgrade(number, detail)
    elseif what == "closed" then
      handlers.closed(number, detail)
    end
    self.what = "turn"
    what, number, detail = listener:next()
  end
end

local function drain(self)
  while true do
    local ok, err = xpcall(handle_all, debug.traceback, self)
    if ok then return end
    local what = self.what
    self.handlers.failed(what, err)
    if what == "request" or what == "upgrade" then
      guarded(self, what, self.answers.apologize, self.answers, self.number)
    elseif what == "turn" then
      return -- there was no memory to hand out what came in
    end
  end
end

-- The timer is left alone when it will ring early enough: a turn too many costs less than setting
-- it anew in every turn. What waits for the very next turn does not get it from the timer: one that sets
-- itself to 0 again and again rings on, and the loop looks at nothing else.
local function arm(self)
  local seconds = self.more and 0 or self.core:timeout()
  if seconds == 0 then return self.hurry:start(self.turn) end
  self.hurry:stop()
  if not seconds then return end
  local now = native.now()
  local at = now + seconds
  if self.rings and self.rings > now and self.rings <= at then return end
  self.rings = at
  self.timer:start(math.ceil(seconds * 1000), 0, self.turn)
end

-- luv frees a handle only after its close callback; a program that ends before that crashes in luv,
-- so `done` waits for all of them.
local function finish(self)
  if self.finished then return end
  self.finished = true
  local handles = { self.poll, self.timer, self.hurry, self.clock, table.unpack(self.alarms) }
  local open = #handles
  local function closed()
    open = open - 1
    if open == 0 then guarded(self, "stop", self.done) end
  end
  for _, handle in ipairs(handles) do handle:close(closed) end
  self.core:close_all()
end

-- What has arrived by the time of the stop was accepted: it is answered before the goodbye.
local function wind_up(self)
  if not self.shut then
    self.shut = true
    self.core:shutdown(self.stop_code)
    self.core:flush()
  end
  if self.core:stats().connections == 0 or native.now() >= self.stop_by then finish(self) end
end

local function rest(self)
  self.more = self.handlers.rest()
end

local function turn(self)
  if self.finished then return end
  local listener = self.core
  listener:step()
  drain(self)
  self.answers:give()
  self.more = false
  if self.handlers.rest then guarded(self, "rest", rest, self) end
  listener:flush()
  if self.handlers.flushed then guarded(self, "flushed", self.handlers.flushed) end
  if self.stop_by then wind_up(self) end
  if not self.finished then arm(self) end
end

--- Begins to serve.
---@param handlers stream_events.server.Handlers
function Loop:start(handlers)
  self.handlers = handlers
  self.answers = answers.new(self.core, handlers, function(...) return guarded(self, ...) end)
  self.turn = function()
    guarded(self, "turn", turn, self)
  end
  self.poll = uv.new_poll(self.core:pollfd())
  self.timer = uv.new_timer()
  self.hurry = uv.new_idle() -- while it runs, each round of the loop has a turn
  self.clock = uv.new_timer()
  self.poll:start("r", self.turn)
  self.clock:start(1000, 1000, function()
    guarded(self, "second", handlers.second)
    self.turn()
  end)
  arm(self)
end

--- Has a function called once, so many seconds after the alarm was last set; what it queues is sent.
---@param call fun()
---@return { set: fun(seconds: number) } alarm not before start()
function Loop:alarm(call)
  local timer
  return {
    set = function(seconds)
      if self.finished then return end
      if not timer then
        timer = uv.new_timer()
        self.alarms[#self.alarms + 1] = timer
      end
      timer:start(math.ceil(seconds * 1000), 0, function()
        guarded(self, "alarm", call)
        self.turn()
      end)
    end,
  }
end

--- Answers a request whose handler gave no status.
---@param number integer of its connection
---@param status integer
---@param body string
---@param headers string[]? lines, "Name: value"
---@return boolean sent false: nobody waits for it any more
function Loop:respond(number, status, body, headers)
  if self.finished then return false end
  local sent = self.core:respond(number, status, body, headers)
  self.hurry:start(self.turn) -- which writes it, and stops this again
  return sent
end

--- Stops accepting, sends what is queued, closes WebSockets with that code; then calls `done`, once.
-- All of it happens in later turns, so handlers may call this.
---@param code integer
---@param deadline number native.now() at which whoever is not done is cut off
---@param done fun()
function Loop:stop(code, deadline, done)
  if self.stop_by then return end
  self.stop_code, self.stop_by, self.done = code, deadline, done
  self.rings = nil
  self.timer:start(0, 0, self.turn)
end

return M
