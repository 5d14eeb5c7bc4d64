--- The watched channels, and how delivery is restored after a reconnect (protocol §3.8).
-- A watch ends with its connection. After a reconnect what the server has kept meanwhile is asked for,
-- and delivered before anything else (replay.lua); then all channels are watched again (rewatch.lua). When
-- each has its result, connection.recovered tells what could not be restored, and where events are missing.
local channel_state = require "stream_events.channel_state"
local timestamp = require "stream_events.timestamp"

local M = {}

-- Seconds, of which chance takes a part: what breaks many connections at once brings them back at once.
local SPREAD = 0.2

---@class stream_events.Recovery
---@field watches table<string, stream_events.Channel> by cid
---@field gaps integer recoveries after which events may be missing
---@field era integer another one after each session: a watch belongs to one
---@field run table|false the recovery under way; or `is_late`, what one has left over
---@field private complete_until number? by the server's clock: what was made until then has come
---@field private replay stream_events.Replay|false made when watches are lost for the first time
---@field private expected integer queries that watch, without an answer so far
---@field private is_doubtful boolean whether the connection may watch more than is known
---@field private kept stream_events.Channel? one of those that are watched and kept
---@field private uses integer how often channels were used so far
---@field private lost table<string, stream_events.Error> by cid: not yet reported
local Recovery = { __name = "stream_events.recovery" }
Recovery.__index = Recovery

---@param context table of the client: clock, random, identity, emit, log, paces
---@return stream_events.Recovery
function M.new(context)
  return setmetatable({
    context = context, watches = {}, uses = 0, lost = {}, gaps = 0, era = 0, expected = 0, run = false,
    replay = false, is_doubtful = false,
  }, Recovery)
end

--- A channel is used: the ones used last are watched again first.
---@param channel stream_events.Channel
function Recovery:use(channel)
  self.uses = self.uses + 1
  channel.used = self.uses
end

--- Of a turn in which events were handled: the channel of the last one.
---@param cid string
function Recovery:handled(cid)
  local channel = self.watches[cid]
  if channel then self:use(channel) end
end

-- The way of a connection counts where it watches what is kept; and where that is not known so far.
local function track(self)
  local is_unknown = self.expected > 0 or self.is_doubtful or self.run ~= false
  self.context.link:track(self.kept ~= nil or is_unknown)
end

--- A query that watches is about to be made.
function Recovery:expect()
  self.expected = self.expected + 1
  track(self)
end

--- It has its answer, whichever; after watched(), where that comes.
---@param err stream_events.Error? where it is not the service's the connection may watch all the same
function Recovery:settled(err)
  self.expected = self.expected - 1
  if err and (not err.status or err.status >= 500) then self.is_doubtful = true end
  track(self)
end

-- Only here: many a client never comes to it.
local function replay_of(self)
  if not self.replay then self.replay = require("stream_events.replay").new(self.context) end
  return self.replay
end

-- One of the channels whose events the server keeps; nil: none is. Where there is one, the way of the
-- connection has to be followed.
local function find_kept(channels)
  for _, channel in pairs(channels) do
    if channel_state.is_kept(channel) then return channel end
  end
  return nil
end

-- `channel`: only it has changed. All of them are looked at where that is not enough, so that many
-- watches cost no more together than one by one.
local function follow_connection(self, channel)
  local kept = self.kept
  local is_known = channel and kept ~= channel and (kept == nil or self.watches[kept.cid] == kept)
  if not is_known then
    kept = find_kept(self.watches)
  elseif kept == nil then
    kept = find_kept { channel }
  end
  self.kept = kept
  track(self)
end

local function new_run(self)
  local rewatch = require "stream_events.rewatch" -- only here: many a client never comes to it
  return { begins = self.context.clock.now(), rewatch = rewatch.new(self.context) }
end

--- A channel is watched now, on the present connection; or was, on the last one, where there is none.
---@param channel stream_events.Channel
function Recovery:watched(channel)
  self.watches[channel.cid] = channel
  self.lost[channel.cid] = nil
  channel.watching = true
  self:use(channel)
  follow_connection(self, channel)
  if self.run then self.run.rewatch:settle(channel) end
end

--- A channel is not watched any more.
---@param channel stream_events.Channel
function Recovery:forget(channel)
  channel.watching, channel.watched_at = false, nil
  if self.run then self.run.rewatch:forget(channel) end
  if channel.cid then
    self.watches[channel.cid] = nil
    if self.replay then self.replay:forget(channel.cid) end
  end
end

--- A channel is gone, or out of this user's reach: an event says so. Whoever was away when it happened finds
--- that among what could not be restored.
---@param channel stream_events.Channel
function Recovery:gone(channel)
  if self.run then self.run.rewatch:lose(channel) end
  self:forget(channel)
end

--- The present connection watches a channel, by an answer to a call that was made before the program has told
--- the client to stop.
---@param channel stream_events.Channel
function Recovery:stop_again(channel)
  if channel.watching or channel.being_watched or self.watches[channel.cid] then return end
  channel:leave(function() end)
end

local function cancel(self)
  if self.run then self.run.rewatch:cancel() end
  self.run = false
end

--- No channel is watched any more.
function Recovery:forget_all()
  for _, channel in pairs(self.watches) do channel.watching, channel.watched_at = false, nil end
  cancel(self)
  self.watches, self.lost, self.since = {}, {}, nil
  self.era = self.era + 1
  if self.replay then self.replay:forget_all() end
end

--- A connection that events were delivered from is gone.
---@param position string? as of Connection:position()
---@param replaying boolean
function Recovery:left_off(position, replaying)
  if next(self.watches) ~= nil then replay_of(self):left_off(self.watches, position, replaying) end
end

--- A health check has come, and with it every event that the server sent before.
---@param date any when the server made it; RFC 3339
function Recovery:heard(date)
  self.complete_until = timestamp.parse(date)
end

--- The connection is gone: what is under way is void. Remembers since when events may be missing: the
--- last bytes that came say little, since what followed them may have been made before they arrived.
---@param silent number seconds since the server was heard last; for servers that do not date their health
---  checks
function Recovery:interrupted(silent)
  -- Who is lost will not be asked for again, and has to be reported all the same.
  for cid, err in pairs(self.run and self.run.rewatch.failed or {}) do
    if not self.watches[cid] then self.lost[cid] = err end
  end
  -- Where a channel was not watched since an earlier loss, events are missing since then.
  self.since = self.since or (self.run and self.run.since)
  cancel(self)
  if self.replay then self.replay:cancel() end
  self.is_doubtful = false
  self.since = self.since or self.complete_until or self.context.clock.time() - silent
end

--- Begins to restore delivery.
---@param link stream_events.Link delivers as soon as it is known what was missed
function Recovery:start(link)
  cancel(self)
  local run = new_run(self)
  run.waits = true
  run.rewatch:add(self.watches)
  if next(self.watches) then run.begins = run.begins + SPREAD * self.context.random() end
  self.run = run
  track(self)
  local asks = next(self.watches) ~= nil and replay_of(self):begin(self.watches, function(texts, dates)
    run.waits, run.replayed = false, #texts
    link:deliver(texts, dates)
  end)
  if not asks then
    run.waits = false
    link:deliver()
  elseif run.waits then
    link:hold()
  end
  self:step()
end

-- The channels that may lack events: nobody kept them, or not all, or the channel is gone, or was not
-- watched for some time.
local function gaps(self, run)
  local cids, known = {}, {}
  local function add(cid)
    if not known[cid] then
      known[cid], cids[#cids + 1] = true, cid
    end
  end
  for _, cid in ipairs(self.replay and self.replay:report() or {}) do add(cid) end
  for cid in pairs(run.rewatch.failed) do add(cid) end
  if run.is_late then
    for _, cid in ipairs(run.rewatch.restored) do add(cid) end
  end
  table.sort(cids)
  return cids
end

-- Channels that are reported and may be watched again all the same: a run of their own, as long as this
-- connection lasts.
local function go_on(self, failed, since)
  local left, last = {}, nil
  for cid, err in pairs(failed) do
    if err.retryable and self.watches[cid] then left[cid], last = self.watches[cid], err end
  end
  if not last then return end
  local run = new_run(self)
  run.is_late, run.since = true, since
  run.rewatch:go_on_with(left, last)
  self.run = run
end

local function finish(self, run)
  self.run = false
  follow_connection(self)
  local failed = run.rewatch.failed
  for cid, err in pairs(self.lost) do failed[cid] = failed[cid] or err end
  self.lost = {}
  local has_failed = next(failed) ~= nil
  -- A late run whose channels the program has taken back.
  if run.is_late and not has_failed and not run.rewatch.restored[1] then return end
  local since, gap_cids = self.since or run.since, gaps(self, run)
  self.since = nil
  table.sort(run.rewatch.restored)
  -- Without a channel nobody can say.
  local gap = #gap_cids > 0 or next(self.watches) == nil
  if gap then self.gaps = self.gaps + 1 end
  local count = 0
  for _ in pairs(failed) do count = count + 1 end
  self.context.log("info", "recovered", {
    restored = #run.rewatch.restored, failed = count, gaps = #gap_cids, replayed = run.replayed or 0,
  })
  self.context.emit {
    type = "connection.recovered",
    gap = gap, gap_cids = gap_cids, replayed = run.replayed or 0,
    since = since and timestamp.format(since),
    restored = run.rewatch.restored, failed = failed,
  }
  if has_failed then go_on(self, failed, since) end
end

--- Goes on with what can be done now.
function Recovery:step()
  local run = self.run
  if not run or not self.context.identity.connection_id then return end
  if run.waits then self.replay:step() end
  if self.run ~= run or run.waits or self.context.clock.now() < run.begins then return end
  run.rewatch:step()
  if self.run == run and run.rewatch:is_done() then finish(self, run) end
end

--- Monotonic time at which step() of a run has something to do that no answer will bring about.
---@return number?
function Recovery:deadline()
  local run = self.run
  if not self.context.identity.connection_id then return nil end
  if run.waits then return self.replay:deadline() end
  if self.context.clock.now() < run.begins then return run.begins end
  return run.rewatch:deadline()
end

return M
