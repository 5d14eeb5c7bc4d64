--- The watched channels, and how they are watched again after a reconnect (protocol §3.8).
-- A watch ends with its connection. After a reconnect every query is repeated, a few at a time;
-- when all of them have an answer, connection.recovered tells what could not be restored.
local backoff = require "stream_events.backoff"
local timestamp = require "stream_events.timestamp"

local M = {}

local AT_A_TIME = 8 -- queries in flight: a burst of them would hit the rate limit (protocol §12.2)
local ATTEMPTS = 5 -- of one channel in one recovery; the next reconnect begins anew

---@class stream_events.Recovery
---@field watches table<string, stream_events.Channel> by cid
---@field run table? the recovery under way
local Recovery = { __name = "stream_events.recovery" }
Recovery.__index = Recovery

---@param context table of the client: clock, random, identity, emit, log
---@return stream_events.Recovery
function M.new(context)
  return setmetatable({ context = context, watches = {} }, Recovery)
end

--- A channel is watched now, on the connection that the query named.
---@param channel stream_events.Channel
---@param connection_id string
function Recovery:watched(channel, connection_id)
  self.watches[channel.cid] = channel
  channel.watching = true
  local current = self.context.identity.connection_id
  -- Reconnected while the query was under way: the watch is bound to a connection that is gone.
  if current and current ~= connection_id then
    self.run = self.run or self:new_run()
    self.run.queue[#self.run.queue + 1] = { channel = channel, attempts = 0 }
  end
end

--- A channel is not watched any more.
---@param channel stream_events.Channel
function Recovery:forget(channel)
  channel.watching = false
  if channel.cid then self.watches[channel.cid] = nil end
end

--- No channel is watched any more.
function Recovery:forget_all()
  for _, channel in pairs(self.watches) do channel.watching = false end
  self.watches, self.run, self.since = {}, nil, nil
end

--- The connection is gone: what is under way is void. Remembers since when events may be missing.
---@param silent number seconds since the server was heard last
function Recovery:interrupted(silent)
  self.run = nil
  self.since = self.since or self.context.clock.time() - silent
end

function Recovery:new_run()
  return { queue = {}, in_flight = 0, delayed = {}, restored = {}, failed = {} }
end

local function by_cid(a, b)
  return a.channel.cid < b.channel.cid
end

--- Begins to watch everything again.
function Recovery:start()
  local run = self:new_run()
  for _, channel in pairs(self.watches) do
    run.queue[#run.queue + 1] = { channel = channel, attempts = 0 }
  end
  table.sort(run.queue, by_cid)
  run.report = true
  self.run = run
  self:step()
end

local function answered(self, run, item, err)
  run.in_flight = run.in_flight - 1
  if self.run ~= run then return end -- the connection was lost again
  local channel = item.channel
  if not err then
    run.restored[#run.restored + 1] = channel.cid
  elseif err.retryable and item.attempts < ATTEMPTS then
    item.due = self.context.clock.now()
      + math.max(backoff.delay(item.attempts, self.context.random), err.retry_after or 0)
    run.delayed[#run.delayed + 1] = item
  else
    run.failed[channel.cid] = err
    if not err.retryable then self:forget(channel) end
    self.context.log("warning", "a channel is not watched after the reconnect",
      { cid = channel.cid, error = tostring(err) })
  end
end

local function ask(self, run, item)
  item.attempts = item.attempts + 1
  run.in_flight = run.in_flight + 1
  item.channel:watch_again(function(err) answered(self, run, item, err) end)
end

local function finish(self, run)
  self.run = nil
  if not run.report then return end
  local since = self.since
  self.since = nil
  self.context.emit {
    type = "connection.recovered",
    gap = true, -- the service keeps no custom events: what came meanwhile is lost
    since = since and timestamp.format(since),
    restored = run.restored, failed = run.failed,
  }
end

-- Delayed items whose time has come go back into the queue.
local function requeue(self, run)
  local now = self.context.clock.now()
  for i = #run.delayed, 1, -1 do
    if run.delayed[i].due <= now then
      run.queue[#run.queue + 1] = table.remove(run.delayed, i)
    end
  end
end

--- Goes on with what can be done now.
function Recovery:step()
  local run = self.run
  if not run then return end
  requeue(self, run)
  while run.in_flight < AT_A_TIME and #run.queue > 0 do
    local item = table.remove(run.queue, 1)
    if item.channel.watching then ask(self, run, item) end
    if self.run ~= run then return end
  end
  if run.in_flight == 0 and #run.delayed == 0 and #run.queue == 0 then finish(self, run) end
end

--- Monotonic time at which step() of a run has something to do that no answer will bring about.
---@return number?
function Recovery:deadline()
  local soonest
  for _, item in ipairs(self.run.delayed) do
    if not soonest or item.due < soonest then soonest = item.due end
  end
  return soonest
end

return M
