--- The watched channels, and how they are watched again after a reconnect (protocol §3.8).
-- A watch ends with its connection. After a reconnect what the server has kept meanwhile is asked for,
-- and delivered before anything else; then every query is repeated, a few at a time. When all of them
-- have an answer, connection.recovered tells what could not be restored, and where events are missing.
local backoff = require "stream_events.backoff"
local replay = require "stream_events.replay"
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
  return setmetatable({ context = context, watches = {}, replay = replay.new(context) }, Recovery)
end

--- A query that watches is about to be made: from its beginning on the way of the connection counts.
function Recovery:expect()
  self.context.link:track(true)
end

local function follow_connection(self)
  self.context.link:track(self.replay:is_any_kept(self.watches))
end

--- A channel is watched now, on the connection that the query named.
---@param channel stream_events.Channel
---@param connection_id string
function Recovery:watched(channel, connection_id)
  self.watches[channel.cid] = channel
  channel.watching = true
  follow_connection(self)
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
  if channel.cid then
    self.watches[channel.cid] = nil
    self.replay:forget(channel.cid)
  end
end

--- No channel is watched any more.
function Recovery:forget_all()
  for _, channel in pairs(self.watches) do channel.watching = false end
  self.watches, self.run, self.since = {}, nil, nil
  self.replay:forget_all()
end

--- A connection that events were delivered from is gone.
---@param position string? as of Connection:position()
---@param replaying boolean
function Recovery:left_off(position, replaying)
  self.replay:left_off(self.watches, position, replaying)
end

--- The connection is gone: what is under way is void. Remembers since when events may be missing.
---@param silent number seconds since the server was heard last
function Recovery:interrupted(silent)
  self.run = nil
  self.replay:cancel()
  self.since = self.since or self.context.clock.time() - silent
end

function Recovery:new_run()
  return { queue = {}, in_flight = 0, delayed = {}, restored = {}, failed = {} }
end

local function by_cid(a, b)
  return a.channel.cid < b.channel.cid
end

--- Begins to watch everything again.
---@param link stream_events.Link delivers as soon as it is known what was missed
function Recovery:start(link)
  local run = self:new_run()
  for _, channel in pairs(self.watches) do
    run.queue[#run.queue + 1] = { channel = channel, attempts = 0 }
  end
  table.sort(run.queue, by_cid)
  run.report = true
  self.run = run
  run.waits = true
  self:expect()
  local asks = self.replay:begin(self.watches, function(texts)
    run.waits, run.replayed = false, #texts
    link:deliver(texts)
  end)
  if not asks then
    run.waits = false
    link:deliver()
  elseif run.waits then
    link:hold()
  end
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

-- The channels that may lack events: nobody kept them, or not all, or the channel is gone.
local function gaps(self, run)
  local cids = self.replay:report()
  local known = {}
  for _, cid in ipairs(cids) do known[cid] = true end
  for cid in pairs(run.failed) do
    if not known[cid] then cids[#cids + 1] = cid end
  end
  table.sort(cids)
  return cids
end

local function finish(self, run)
  self.run = nil
  follow_connection(self)
  if not run.report then return end
  local since, gap_cids = self.since, gaps(self, run)
  self.since = nil
  self.context.emit {
    type = "connection.recovered",
    -- Without a channel nobody can say.
    gap = #gap_cids > 0 or next(self.watches) == nil, gap_cids = gap_cids, replayed = run.replayed or 0,
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
  if run and run.waits then self.replay:step() end
  if not run or run.waits then return end
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
  local soonest = self.replay:deadline()
  for _, item in ipairs(self.run.delayed) do
    if not soonest or item.due < soonest then soonest = item.due end
  end
  return soonest
end

return M
