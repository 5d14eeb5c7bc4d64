--- The coroutines in which everything of the user's runs: handlers, callbacks, spawned functions.
-- A worker is a loop that takes one piece of work after another, so that none of them costs a new
-- coroutine or a protected call. Something that raises ends only its worker; something that waits
-- suspends its worker, and another one goes on with what follows.
local errors = require "stream_events.error"

local M = {}

local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield

-- What workers yield. Anything else comes from a handler that yields by itself: it goes on in the
-- next turn, and such turns come at least this often.
M.LATER = 0.01 -- seconds
local NOTHING = math.huge -- seconds until something is due, where nothing is
M.IDLE = { "idle" }
M.WAIT = { "wait" }

---@class stream_events.Pool workers that run the same loop
---@field main function
---@field idle thread?
---@field running any what the worker in front is doing, for error messages

---@class stream_events.Workers
---@field depth integer how many workers are active, one inside the other
---@field suspended integer how many wait for something
---@field failures integer how often something of the user's raised
---@field due number seconds until run() has something to do; math.huge: nothing so far
---@field on_wake (fun()|false)? told that something has begun or is due; of the adapter for a foreign loop
local Workers = { __name = "stream_events.workers" }
Workers.__index = Workers

---@param log stream_events.Logger
---@return stream_events.Workers
function M.new(log)
  local self = setmetatable({
    log = log,
    depth = 0, suspended = 0, failures = 0,
    owners = setmetatable({}, { __mode = "k" }), -- thread to pool
    current = setmetatable({}, { __mode = "k" }), -- thread to the job it does
    ready = {}, first_ready = 1, last_ready = 0,
    later = {}, -- threads that yielded by themselves
    jobs = {}, first_job = 1, last_job = 0,
    budget = 0, -- jobs that may still begin in this turn
    due = NOTHING, on_wake = false,
  }, Workers)
  self.job_pool = self:pool(function() self:work() end)
  return self
end

--- A kind of workers.
---@param main function a loop that yields IDLE when there is nothing to do
---@return stream_events.Pool
function Workers:pool(main)
  return { main = main }
end

-- Inside a C function (a comparison for table.sort, say) one cannot yield. Lua 5.1 can only look for
-- one among the callers; it raises when it was a metamethod or an iterator that came in between.
M.is_yieldable = coroutine.isyieldable or function()
  for level = 2, math.huge do
    local info = debug.getinfo(level, "S")
    if not info or info.what == "C" then return not info end
  end
end

--- Whether this coroutine is one of these workers and may wait by yielding.
---@return thread?
function Workers:here()
  local thread = coroutine.running()
  if not thread or not self.owners[thread] then return nil end
  if not M.is_yieldable() then return nil end
  return thread
end

local function text_of(failure)
  local ok, text = pcall(tostring, failure) -- an error object may fail to show itself
  return errors.redact(ok and text or "(an error value that cannot be shown)")
end

--- Reports that something of the user's raised.
---@param what string
---@param failure any
---@param thread thread?
function Workers:report(what, failure, thread)
  self.failures = self.failures + 1
  local text = text_of(failure)
  self.log("error", what .. " failed", {
    error = text,
    traceback = thread and errors.redact(debug.traceback(thread, text)) or text,
  })
end

-- A coroutine that failed leaves open what was marked <close> in it (Lua 5.4 has both).
local function close_what_it_held(self, thread, what, failure)
  if not coroutine.close then return end
  self.depth = self.depth + 1 -- what is called there is called inside
  local ok, another = coroutine.close(thread)
  self.depth = self.depth - 1
  if not ok and another ~= failure then self:report(what, another) end
end

local function failed(self, thread, pool, failure)
  local job = self.current[thread]
  self.owners[thread], self.current[thread] = nil, nil
  local what = job and job.what or pool.what or "a handler"
  if job and job.failed then
    job.failed(text_of(failure))
  else
    self:report(what, failure, thread)
  end
  close_what_it_held(self, thread, what, failure)
end

--- Lets a worker go on. True: it has nothing more to do.
---@param thread thread
---@return boolean idle
function Workers:resume(thread)
  local pool = self.owners[thread]
  self.depth = self.depth + 1
  local ok, token = resume(thread)
  self.depth = self.depth - 1
  if not ok then
    failed(self, thread, pool, token)
  elseif token == M.IDLE then
    pool.idle = pool.idle or thread
    return true
  else
    self.suspended = self.suspended + 1
    if token ~= M.WAIT then
      self.later[#self.later + 1] = thread
      self.due = math.min(self.due, M.LATER)
    end
  end
  return false
end

--- Lets a worker of a pool do what there is, until there is nothing or until `enough` says so.
---@param pool stream_events.Pool
---@param enough (fun(): boolean)?
function Workers:drain(pool, enough)
  local idle
  repeat
    local thread = pool.idle
    pool.idle = nil
    if not thread then
      thread = create(pool.main)
      self.owners[thread] = pool
    end
    idle = self:resume(thread)
  until idle or (enough and enough())
end

--- Something has begun, or is due, that a loop which sleeps elsewhere cannot know of.
function Workers:stir()
  if self.on_wake then self.on_wake() end
end

--- Suspends the worker that calls this until wake().
function Workers:wait()
  yield(M.WAIT)
end

--- Lets a suspended worker go on in the next turn.
---@param thread thread
function Workers:wake(thread)
  self.last_ready = self.last_ready + 1
  self.ready[self.last_ready] = thread
  self.due = 0
  if self.on_wake then self.on_wake() end
end

--- Runs a function in a worker in the next turn, with up to three arguments.
---@param what string for the error message
---@param run function
function Workers:push(what, run, a, b, c)
  return self:push_job { run, a, b, c, what = what }
end

---@param job table a call that is done, for its callback; or function and arguments, `what`, and
---  `failed`: called with the text of an error instead of reporting it
function Workers:push_job(job)
  self.last_job = self.last_job + 1
  self.jobs[self.last_job] = job
  self.due = 0
  if self.on_wake then self.on_wake() end
end

-- The loop of a worker for jobs.
function Workers:work()
  local thread = coroutine.running()
  while true do
    if self.budget > 0 and self.first_job <= self.last_job then
      local job = self.jobs[self.first_job]
      self.jobs[self.first_job] = nil
      self.first_job = self.first_job + 1
      if self.first_job > self.last_job then self.first_job, self.last_job = 1, 0 end
      self.budget = self.budget - 1
      self.current[thread] = job
      local callback = job.callback
      if callback then callback(job.result, job.err) else job[1](job[2], job[3], job[4]) end
      self.current[thread] = nil
    else
      yield(M.IDLE)
    end
  end
end

local function go_on(self, thread)
  self.suspended = self.suspended - 1
  self:resume(thread)
end

local function wake_up(self, late)
  local count = self.last_ready - self.first_ready + 1
  for i = 1, count do
    if late and i > 1 and late() then return i - 1 end
    local thread = self.ready[self.first_ready]
    self.ready[self.first_ready] = nil
    self.first_ready = self.first_ready + 1
    go_on(self, thread)
  end
  return count
end

-- Lets those go on that have yielded by themselves.
local function go_on_later(self, late)
  local later = self.later
  if not later[1] then return end
  self.later = {}
  for i, thread in ipairs(later) do
    if late and i > 1 and late() then
      for j = i, #later do table.insert(self.later, later[j]) end
      return
    end
    go_on(self, thread)
  end
end

local function run_jobs(self, most, late)
  -- A turn inside a turn must not take away what the outer one has left.
  local before, ran = self.budget, 0
  local at_once = late and 1 or most
  repeat
    self.budget = at_once
    self:drain(self.job_pool)
    local begun = at_once - self.budget
    ran = ran + begun
  until not late or begun == 0 or ran >= most or late()
  self.budget = before
  return ran
end

local function next_due(self)
  if self.first_ready <= self.last_ready or self.first_job <= self.last_job then return 0 end
  return self.later[1] and M.LATER or NOTHING
end

--- Runs what is due now: workers that were woken, then jobs. What these bring about is for the next
--- turn, so that a turn ends.
---@param most integer? jobs
---@param late (fun(): boolean)? whether nothing more may begin; one of each kind may in any case
---@return integer ran
function Workers:run(most, late)
  local ran = wake_up(self, late)
  go_on_later(self, late)
  local due = math.min(self.last_job - self.first_job + 1, most or math.huge)
  if due > 0 then ran = ran + run_jobs(self, due, late) end
  self.due = next_due(self)
  return ran
end

return M
