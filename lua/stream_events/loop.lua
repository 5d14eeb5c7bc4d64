--- The client's loop: one turn does what is possible now, first I/O, then handlers.
-- The only place that ever sleeps, and only as long as it was told to.
local errors = require "stream_events.error"

local M = {}

-- Events in a turn where nobody said how many; finite, so that one can count with it.
local UNLIMITED = 9007199254740992

---@class stream_events.Loop
---@field longest number seconds of the longest turn so far, without what it slept
local Loop = { __name = "stream_events.loop" }
Loop.__index = Loop

-- What can be done now, or can first be done within these seconds: answers are taken, connects go on.
local function io(self, seconds, late)
  local context = self.context
  context.transport:step(seconds)
  context.api:collect(late)
  if context.session.state ~= "online" and not context.closed then context.link:step() end
end

-- After everything was read: only then is silence the server's.
local function tick(self)
  local context = self.context
  if context.upkeep.woke and context.delivery.dry() then context.upkeep:check() end
  local due = context.session.due
  if due and context.clock.now() >= due then context.session:input("tick", context.link:heard()) end
end

-- The turn of a call made inside a handler that cannot suspend (in a coroutine of the user's own,
-- say): delivers no events, that is for the turn outside.
local function turn_inside(self)
  local context = self.context
  local ran = context.delivery.aside(context.workers.run, context.workers)
  tick(self)
  return ran
end

local function too_many_wait(context)
  return context.workers.suspended >= context.limits.handlers
end

-- What follows the I/O in a turn: callbacks, events, timers.
local function deliver(self, limit, late)
  local context = self.context
  local workers = context.workers
  if context.recovery.run then context.recovery:step() end
  if context.rules then context.rules:step() end
  context.upkeep:step()
  context.api:sweep()
  local sender = context.sender
  if sender and sender.active then sender:step() end
  if workers.depth > 0 then return turn_inside(self) end
  local ran = workers:run(limit, late)
  if context.closed then return ran end
  context.link:pause(too_many_wait(context))
  local delivered = context.delivery.run(limit - ran, late)
  if context.closed then return ran + delivered end
  self.more = (not context.delivery.dry() or context.link:is_replaying())
    and not too_many_wait(context) and context.session.state == "online"
  context.link:after_delivery()
  tick(self)
  return ran + delivered
end

local function turn(self, limit, late)
  -- On a closed client only that is left which close() has ended and nobody was told so far.
  if self.context.closed then return self.context.workers:run(nil, late) end
  io(self, 0, late)
  if self.context.closed then return self.context.workers:run(nil, late) end
  return deliver(self, limit, late)
end

--- One turn.
---@param limit number events at most
---@param budget number? seconds after which nothing more is begun, but for one event
---@return integer ran
---@return number over when it was over
---@return number began
function Loop:turn(limit, budget)
  local now = self.context.clock.now
  local began = now()
  if budget then self.ends = began + budget end
  local ran = turn(self, limit, budget and self.late)
  local over = now()
  if over - began > self.longest then self.longest = over - began end
  return ran, over, began
end

local NEVER = math.huge

-- Seconds until something is to be done that does not come from the transport, `longest` at most.
local function own_timeout(self, longest)
  local context = self.context
  local workers = context.workers
  local due = workers.due
  if due > longest then due = longest end
  if due == 0 or context.closed then return due end
  if (self.more or context.delivery.waiting) and workers.depth == 0 then return 0 end
  local timer, other = context.api.due, context.session.due
  if other and other < timer then timer = other end
  other = context.upkeep:deadline()
  if other and other < timer then timer = other end
  if context.recovery.run then timer = math.min(timer, context.recovery:deadline() or NEVER) end
  other = context.sender
  if other and other.active then timer = math.min(timer, other:deadline() or NEVER) end
  local left = timer - context.clock.now()
  if left < due then due = left > 0 and left or 0 end
  if context.rules then due = math.min(due, context.rules:timeout() or NEVER) end
  return due
end

-- Likewise, with what comes from the transport.
local function timeout(self, longest)
  local due = own_timeout(self, longest)
  if due == 0 or self.context.closed then return due end
  return math.min(due, self.context.transport:timeout() or NEVER)
end

--- Seconds until the next turn is due even if the descriptor stays quiet; nil: never.
---@return number?
function Loop:timeout()
  local due = timeout(self, NEVER)
  return due < NEVER and due or nil
end

local function sleep(self, longest)
  local seconds = timeout(self, longest)
  if seconds > 0 then self.context.transport:wait(seconds) end
end

--- Turns until something ran or the time is over.
---@param seconds number
---@param limit number?
---@param budget number? as of turn(); what is slept does not count
---@return integer ran
function Loop:poll(seconds, limit, budget)
  limit = math.ceil(math.min(limit or UNLIMITED, UNLIMITED))
  local ran, now, began = self:turn(limit, budget)
  local ends = began + seconds
  while ran == 0 and now < ends and not self.stopping and not self.context.closed do
    sleep(self, ends - now)
    ran, now = self:turn(limit, budget)
  end
  return ran
end

-- The longest sleep where nothing is due: a bound for what might go wrong, not a rhythm.
local LONGEST = 60

--- Runs until stop(), until the client is closed, or until the session has failed for good.
---@return true? ok
---@return stream_events.Error? err
function Loop:run()
  local context = self.context
  self.stopping = false
  while not self.stopping and not context.closed do
    local failure = context.session.failure
    if failure and context.session.state == "failed" and self:timeout() ~= 0 then
      return nil, failure
    end
    self:poll(LONGEST)
  end
  return true
end

-- Calls in a row for whose answer nothing else is looked at, before a whole turn is made all the same.
local QUICK_CALLS = 16

-- Seconds that a call waits for its answer before it looks at the timers, where the call before it had its
-- own as soon: an answer from nearby costs no look at them, and so late one may be.
local BRIEF = 0.002

-- The first step of a call: waits for its answer as long as nothing else is due. While a connection is
-- being made or ended its state has to be looked at first.
local function await(self, call)
  local context = self.context
  local session = context.session
  if session.state ~= "online" and not session:at_rest() then return io(self, 0) end
  if self.is_brisk and not self.more and not context.delivery.waiting and context.workers.due > 0 then
    io(self, BRIEF)
    self.is_brisk = call.done
  else
    local now = context.clock.now
    local began = now()
    io(self, own_timeout(self, LONGEST))
    self.is_brisk = call.done and now() - began < BRIEF
  end
end

-- Turns until a call has its answer; for calls that cannot suspend.
---@param call stream_events.Call
local function work_for(self, call)
  local context = self.context
  local inside = context.workers.depth > 0
  while not call.done and not context.closed do
    -- Events are not for the turns inside a handler: left unread they must not wake it either.
    if inside and context.session.state == "online" then context.link:pause(true) end
    if inside then io(self, 0) else await(self, call) end
    if call.done and not inside and self.quick < QUICK_CALLS then
      self.quick = self.quick + 1
      break
    end
    self.quick = 0
    local ran = context.closed and 0 or deliver(self, UNLIMITED)
    if ran == 0 and not call.done and not context.closed then sleep(self, LONGEST) end
  end
  if inside then context.link:pause(too_many_wait(context)) end
  if not call.done then call:finish(nil, context.closed) end
end

--- Makes run() and a poll() that waits return after the present turn.
function Loop:stop()
  self.stopping = true
end

---@param context table of the client
---@return stream_events.Loop
function M.new(context)
  local self = setmetatable({
    context = context, stopping = false, more = false, quick = 0, is_brisk = false, longest = 0, ends = 0,
  }, Loop)
  local now = context.clock.now
  self.late = function() return now() >= self.ends end
  context.tasks.work, context.tasks.loop = work_for, self
  return self
end

--- The error that says what a call on a closed client gets.
---@return stream_events.Error
function M.closed_error()
  return errors.new { kind = "closed", message = "the client is closed" }
end

return M
