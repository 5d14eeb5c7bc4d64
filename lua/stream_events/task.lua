--- The three forms of every call. With a callback it returns at once; without one it suspends the
-- worker it was made in, and anywhere else it runs the client's loop until the answer is there.
-- Every call ends exactly once, with a result or an error.
local M = {}

--- A call that has begun. It is also the request that goes to the transport, so that an event
--- costs one small table to send.
---@class stream_events.Call
---@field tasks stream_events.Tasks
---@field callback (fun(result: any, err: stream_events.Error?)|false)?
---@field package waiter thread?
---@field parked fun()? called at the end; of a coroutine that is not the client's and waits for it
---@field done boolean
---@field result any
---@field err stream_events.Error?
---@field body string|false of a send, once it is known
---@field expires (number|false)? monotonic time at which it counts as not answered
local Call = { what = "a callback" }

--- Ends the call. Only the first time counts.
---@param result any
---@param err stream_events.Error?
function Call:finish(result, err)
  if self.done then return end
  self.done, self.result = true, result
  if err then self.err = err end
  if self.callback then
    self.tasks.workers:push_job(self)
  elseif self.waiter then
    self.tasks.workers:wake(self.waiter)
  elseif self.parked then
    self.parked()
  end
end

---@class stream_events.Tasks
---@field package workers stream_events.Workers
---@field work fun(loop: stream_events.Loop, call: stream_events.Call) runs the loop until the call is done;
---  set by it
---@field loop stream_events.Loop likewise
---@field park (fun(call: stream_events.Call): boolean)|false|nil suspends the coroutine of a foreign loop
---  until the call is done; false: it cannot. Of the adapter for such a loop
local Tasks = { __name = "stream_events.tasks" }
Tasks.__index = Tasks

---@param workers stream_events.Workers
---@return stream_events.Tasks
function M.new(workers)
  local self = setmetatable({ workers = workers, park = false }, Tasks)
  self.plain = self:class {}
  return self
end

--- A class of calls that have fields in common, so that a call need not hold them itself.
---@param fields table
---@return table
function Tasks:class(fields)
  for name, value in pairs(Call) do fields[name] = value end
  fields.tasks = self
  return { __index = fields }
end

--- Begins a call of the user's. Raises, blaming the caller's caller, when `callback` is none.
---@param callback any
---@param class table? of class()
---@return stream_events.Call
function Tasks:begin(callback, class)
  if callback ~= nil and type(callback) ~= "function" then
    error("the callback must be a function, not a " .. type(callback), 3)
  end
  local on_wake = self.workers.on_wake
  if on_wake then on_wake() end
  return setmetatable({
    -- What it has itself is found at once, and not looked for in its class; and a table that has to grow
    -- costs more than the rest of a send.
    callback = callback or false, done = false, expires = false, body = false, result = false,
  }, class or self.plain)
end

--- Gives the result of a call in the form that the caller chose.
---@param call stream_events.Call
---@return any result nothing in the callback form
---@return stream_events.Error? err
function Tasks:wait(call)
  if call.callback then return end
  if not call.done then
    local thread = self.workers.depth > 0 and self.workers:here()
    if thread then
      call.waiter = thread
      self.workers:wait()
    elseif not (self.park and self.park(call)) then
      self.work(self.loop, call)
    end
  end
  return call.result, call.err
end

--- Ends a call that failed before it went anywhere.
---@param call stream_events.Call
---@param err stream_events.Error
---@return any
---@return stream_events.Error? err
function Tasks:fail(call, err)
  call:finish(nil, err)
  return self:wait(call)
end

return M
