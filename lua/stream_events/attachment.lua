--- A client in an event loop that is not its own: when its turns are due, and which coroutines of the
-- program wait for a call. What the loop can do is told by the adapters in `stream_events.loop`;
-- nothing here, or there, knows more of the client than pollfd(), timeout() and poll().
local poll_options = require "stream_events.poll_options"
local workers = require "stream_events.workers"

local M = {}

---@class stream_events.LoopHooks what an adapter does
---@field wake fun() sees to it that turn() is called soon, and not from inside this call
---@field release fun() stops watching the descriptor, which may be closed next; called once
---@field ended fun()? gives back the rest; called once, after release()
---@field suspend (fun(call: stream_events.Call, thread: thread): boolean)? suspends the running coroutine
---  until `call.done`; false: it is none of this loop's. Default: by a yield, and turn() resumes it
---@field resume fun(thread: thread)? resumes what go_on() was given; default: reports what it raises

--- What attach() of an adapter returns.
---@class stream_events.Attachment
---@field private context table of the client
---@field private hooks stream_events.LoopHooks
local Attachment = { __name = "stream_events.attachment" }
Attachment.__index = Attachment

-- The coroutine that may be suspended; nil: this is none, or it belongs to the client.
local function suspendable(context)
  if context.workers.depth > 0 then return nil end -- handlers are suspended otherwise
  local thread, is_main = coroutine.running()
  if not thread or is_main or not workers.is_yieldable() then return nil end
  return thread
end

-- Suspends by a plain yield. Whoever else resumes the coroutine meanwhile finds it waiting again.
local function yield_until_done(self, call, thread)
  call.parked = function() self:go_on(thread) end
  repeat coroutine.yield() until call.done
  return true
end

--- Begins to drive a client. Raises, blaming the adapter's caller, when that cannot be.
---@param client stream_events.Client
---@param options { max_events: integer?, max_milliseconds: number? }? of each turn, as of client:poll
---@return stream_events.Attachment
function M.new(client, options)
  local context = type(client) == "table" and client.context
  if not context or not context.workers then error("a client expected, not a " .. type(client), 3) end
  if context.closed then error("the client is closed", 3) end
  if context.attachment then error("the client is in a loop already: stop() that first", 3) end
  local seconds, events, milliseconds = poll_options.take(options or {}, 3)
  if seconds ~= nil then error("a turn in a loop never waits: it has no option 'seconds'", 3) end
  poll_options.check(0, events, milliseconds, 3)
  return setmetatable({
    client = client, context = context, active = true, turning = false, watching = true,
    options = { max_events = events, max_milliseconds = milliseconds }, woken = {},
  }, Attachment)
end

--- Has the hooks called from now on.
---@param hooks stream_events.LoopHooks
function Attachment:use(hooks)
  local context = self.context
  local suspend = hooks.suspend or function(call, thread) return yield_until_done(self, call, thread) end
  self.hooks = hooks
  context.attachment = self
  context.workers.on_wake = function()
    if not self.turning then hooks.wake() end
  end
  context.tasks.park = function(call)
    local thread = suspendable(context)
    return thread ~= nil and suspend(call, thread)
  end
end

-- Resumes what has its answer, outside of the client, where it may do everything.
local function resume_woken(self)
  while self.woken[1] do
    local woken = self.woken
    self.woken = {}
    for _, thread in ipairs(woken) do self:resume(thread) end
  end
end

--- Lets a coroutine go on; what it raises is reported as of a handler.
---@param thread thread
function Attachment:resume(thread)
  if coroutine.status(thread) ~= "suspended" then return end
  if self.hooks.resume then return self.hooks.resume(thread) end
  local ok, failure = coroutine.resume(thread)
  if not ok then self.context.workers:report("a coroutine", failure, thread) end
end

--- Lets a coroutine go on as soon as the present turn is over.
---@param thread thread
function Attachment:go_on(thread)
  if not self.active then -- whoever drives the client now
    self.context.workers:push("a coroutine", function() self:resume(thread) end)
    return
  end
  self.woken[#self.woken + 1] = thread
  if not self.turning then self.hooks.wake() end
end

--- One turn of the client.
---@return number? seconds until the next one is due, even if the descriptor stays quiet; nil: never
function Attachment:turn()
  if not self.active then return nil end
  -- A loop may run inside a handler: then the turn outside goes on with the client.
  if self.turning or self.context.workers.depth > 0 then return workers.LATER end
  self.turning = true
  local ok, failure = pcall(self.client.poll, self.client, self.options)
  self.turning = false
  if not ok then error(failure, 0) end
  resume_woken(self)
  local seconds = self.client:timeout()
  if self.context.closed and seconds == nil then self:stop() end
  return seconds
end

--- Whether it drives the client.
---@return boolean
function Attachment:is_active()
  return self.active
end

local function release(self)
  if not self.watching then return end
  self.watching = false
  self.hooks.release()
end

--- The client is about to close its descriptor; what it still has to tell is told in a turn.
function Attachment:closing()
  release(self)
  if not self.turning then self.hooks.wake() end
end

--- Takes the client out of the loop, which then keeps nothing of it. The client itself goes on where
--- somebody drives it otherwise. Any number of times, also in a handler; also `__close`.
function Attachment:stop()
  if not self.active then return end
  local context = self.context
  self.active = false
  context.attachment, context.workers.on_wake, context.tasks.park = nil, nil, nil
  release(self)
  if self.hooks.ended then self.hooks.ended() end
  local woken = self.woken
  self.woken = {}
  for _, thread in ipairs(woken) do self:go_on(thread) end
end

--- As stop(): what attach() returns is a disposable.
Attachment.dispose = Attachment.stop
Attachment.__close = Attachment.stop

return M
