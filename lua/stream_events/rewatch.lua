--- One pass in which channels are watched again after a reconnect (protocol §3.8): many with one call, the
-- most recently used first, no faster than the service allows, each of them tried again by itself when it
-- fails. A channel that the service leaves out of its answer is lost: it is not asked for again, and never
-- by a query that could create it.
local backoff = require "stream_events.backoff"
local channel_state = require "stream_events.channel_state"
local errors = require "stream_events.error"

local M = {}

local GROUP = 30 -- channels in a call, the most that the service takes (protocol §4.4)
local AT_A_TIME = 4 -- calls in flight
local ATTEMPTS = 5 -- of one channel until it is reported; then it is tried on, with long waits
local LONGEST_WAIT = 120 -- seconds without a call to be made; longer than any rate makes us wait
local MEMBERS = 100 -- of a channel, in an answer; as many as a query of the channel gives

---@class stream_events.RewatchItem
---@field channel stream_events.Channel
---@field attempts integer
---@field alone boolean? not in a group any more
---@field due number? monotonic time of the next attempt

---@class stream_events.Rewatch
---@field restored string[] cids
---@field failed table<string, stream_events.Error> by cid
---@field private open table<stream_events.Channel, stream_events.RewatchItem> without a result so far
---@field private together stream_events.RewatchItem[] to be asked for in groups; the last comes first
---@field private alone stream_events.RewatchItem[] to be asked for one by one; likewise
---@field private delayed stream_events.RewatchItem[]
---@field private is_patient boolean? there is no last attempt
---@field private in_flight integer calls
---@field private wake number? when the service may be asked next
local Rewatch = { __name = "stream_events.rewatch" }
Rewatch.__index = Rewatch

---@param context table of the client: api, clock, random, paces, recovery, log
---@return stream_events.Rewatch
function M.new(context)
  return setmetatable({
    context = context, restored = {}, failed = {}, open = {}, together = {}, alone = {}, delayed = {},
    in_flight = 0,
  }, Rewatch)
end

-- What is to come first stands last.
local function least_used_first(a, b)
  if a.channel.used ~= b.channel.used then return a.channel.used < b.channel.used end
  return a.channel.cid > b.channel.cid
end

local function new_items(self, channels, attempts, list)
  for _, channel in pairs(channels) do
    local item = { channel = channel, attempts = attempts }
    self.open[channel] = item
    list[#list + 1] = item
  end
  table.sort(list, least_used_first)
  return list
end

--- Adds channels to those that are to be watched again.
---@param channels table<any, stream_events.Channel>
function Rewatch:add(channels)
  new_items(self, channels, 0, self.together)
end

--- A channel was watched by other means meanwhile.
---@param channel stream_events.Channel
function Rewatch:settle(channel)
  self.failed[channel.cid] = nil
  if not self.open[channel] then return end
  self.open[channel] = nil
  self.restored[#self.restored + 1] = channel.cid
end

--- A channel is not to be watched any more.
---@param channel stream_events.Channel
function Rewatch:forget(channel)
  self.open[channel] = nil
end

--- Whether every channel has its result.
---@return boolean
function Rewatch:is_done()
  return next(self.open) == nil and self.in_flight == 0
end

-- What came of it ----------------------------------------------------------------------------------------

local function fail(self, item, err)
  local channel = item.channel
  self.open[channel] = nil
  self.failed[channel.cid] = err
  self.context.log("warning", "a channel is not watched after the reconnect",
    { cid = channel.cid, error = tostring(err) })
  if err.kind == "api" and not err.retryable then self.context.recovery:forget(channel) end
end

-- Tries again later what may go well then; all of a group at once, so that it stays one.
local function try_later(self, items, err)
  local context = self.context
  local due = context.clock.now()
    + math.max(backoff.delay(items[1].attempts, context.random), err.retry_after or 0)
  for _, item in ipairs(items) do
    if self.is_patient or item.attempts < ATTEMPTS then
      item.due = due
      self.delayed[#self.delayed + 1] = item
    else
      fail(self, item, err)
    end
  end
end

--- Adds channels that another pass has given up: they are tried until there is another result.
---@param channels table<any, stream_events.Channel>
---@param err stream_events.Error
function Rewatch:go_on_with(channels, err)
  self.is_patient = true
  try_later(self, new_items(self, channels, ATTEMPTS, {}), err)
end

local function lost()
  return errors.new {
    kind = "api", retryable = false,
    message = "the channel is gone, or this user may not read it any more",
    hint = "The service left it out of its answer. channel:watch() asks for it again, and creates it "
      .. "where it is missing and this user may.",
  }
end

--- A channel is gone, by other news than an answer.
---@param channel stream_events.Channel
function Rewatch:lose(channel)
  if not self.open[channel] then return end
  self.open[channel] = nil
  self.failed[channel.cid] = lost()
end

local function take(self, item, view)
  local channel = item.channel
  if self.open[channel] ~= item then return self.context.recovery:stop_again(channel) end
  local ok, err = channel:take_answer(view)
  if ok then self:settle(channel) else fail(self, item, err) end
end

-- The channels of an answer, by cid.
local function by_cid(answer)
  if type(answer.channels) ~= "table" then return nil end
  local views = {}
  for _, view in ipairs(answer.channels) do
    local fields = type(view) == "table" and view.channel
    local cid = type(fields) == "table" and fields.cid
    if type(cid) == "string" then views[cid] = view end
  end
  return views
end

-- Items that still wait for a result.
local function still_open(self, items)
  local list = {}
  for _, item in ipairs(items) do
    if self.open[item.channel] == item then list[#list + 1] = item end
  end
  return list
end

local function group_failed(self, items, err)
  items = still_open(self, items)
  if items[1] == nil then return end
  -- An answer that is too large for the client has another size for each.
  local by_themselves = err.kind == "full" or (not err.retryable and err.kind ~= "auth")
  for _, item in ipairs(items) do item.alone = item.alone or by_themselves end
  if err.retryable then
    try_later(self, items, err)
  elseif by_themselves then
    for _, item in ipairs(items) do self.alone[#self.alone + 1] = item end
    table.sort(self.alone, least_used_first)
  else
    for _, item in ipairs(items) do fail(self, item, err) end
  end
end

local function group_answered(self, items, views)
  for _, item in ipairs(items) do
    local view = views[item.channel.cid]
    if view then
      take(self, item, view)
    elseif self.open[item.channel] == item then
      fail(self, item, lost())
    end
  end
end

-- Asking -------------------------------------------------------------------------------------------------

local function begin(self, items)
  self.in_flight = self.in_flight + 1
  for _, item in ipairs(items) do item.attempts = item.attempts + 1 end
end

-- False: the pass is over, the connection was lost again.
local function ended(self)
  self.in_flight = self.in_flight - 1
  return not self.is_cancelled
end

local function ask_together(self, items, pace)
  local cids = {}
  for i, item in ipairs(items) do cids[i] = item.channel.cid end
  begin(self, items)
  self.context.api:call({
    method = "POST", path = "/channels", as = "acting", connection = true, pace = pace,
    body = {
      filter_conditions = { cid = { ["$in"] = channel_state.list(cids) } },
      watch = true, state = true, presence = items[1].channel.presence or false,
      limit = GROUP, member_limit = MEMBERS, message_limit = 1,
    },
  }, function(answer, err)
    if not ended(self) then return end
    local views = answer and by_cid(answer)
    if views then return group_answered(self, items, views) end
    group_failed(self, items, err or errors.new {
      kind = "protocol", message = "the answer of the query names no channels",
    })
  end)
end

local function ask_alone(self, item)
  local channel = item.channel
  begin(self, { item })
  channel:watch_again(function(_, err)
    if not ended(self) then return end
    if self.open[channel] ~= item then
      if not err then self.context.recovery:stop_again(channel) end
    elseif not err then
      self:settle(channel)
    elseif err.retryable then
      try_later(self, { item }, err)
    else
      fail(self, item, err)
    end
  end)
end

-- Whether an endpoint may be called; else notes when it may be, where no answer decides that.
local function may_call(self, pace, now)
  local at = pace:next_of_many(now)
  if at and at > now and (not self.wake or at < self.wake) then self.wake = at end
  return at ~= nil and at <= now
end

local function drop_settled(self, list)
  while list[1] and self.open[list[#list].channel] ~= list[#list] do list[#list] = nil end
  return list[1] ~= nil
end

-- The next items for one call: those that are asked about presence, or those that are not.
local function next_group(self)
  local list, group = self.together, {}
  local presence = list[#list].channel.presence or false
  for i = #list, 1, -1 do
    local item = list[i]
    if self.open[item.channel] ~= item then
      table.remove(list, i)
    elseif (item.channel.presence or false) == presence then
      group[#group + 1] = table.remove(list, i)
      if #group == GROUP then break end
    end
  end
  return group
end

local function not_now(seconds)
  return errors.new {
    kind = "full", retryable = true, retry_after = seconds,
    message = ("not watched again so far: the service takes no such call for %.3g seconds"):format(seconds),
  }
end

-- The report is not to wait for a service that wants to be left alone for long: what is open has failed for
-- now, and is tried on after it.
local function end_long_wait(self, now)
  local soonest = self.in_flight == 0 and not self.is_patient and self:deadline()
  if not soonest or soonest - now <= LONGEST_WAIT then return end
  local err = not_now(soonest - now)
  for _, item in pairs(self.open) do fail(self, item, err) end
end

-- Delayed items whose time has come go back to where they belong.
local function requeue(self, now)
  local waiting = {}
  for _, item in ipairs(self.delayed) do
    local list = item.due > now and waiting or (item.alone and self.alone or self.together)
    list[#list + 1] = item
  end
  self.delayed = waiting
end

--- Goes on with what can be done now.
function Rewatch:step()
  local now, paces = self.context.clock.now(), self.context.paces
  self.wake = nil
  if self.delayed[1] then requeue(self, now) end
  local together, alone = paces:of "QueryChannels", paces:of "GetOrCreateChannel"
  while not self.is_cancelled and self.in_flight < AT_A_TIME do
    if drop_settled(self, self.together) and may_call(self, together, now) then
      ask_together(self, next_group(self), together)
    elseif drop_settled(self, self.alone) and may_call(self, alone, now) then
      ask_alone(self, table.remove(self.alone))
    else
      break
    end
  end
  end_long_wait(self, now)
end

--- Monotonic time at which step() has something to do that no answer will bring about.
---@return number?
function Rewatch:deadline()
  local soonest = self.in_flight < AT_A_TIME and self.wake or nil
  for _, item in ipairs(self.delayed) do
    if not soonest or item.due < soonest then soonest = item.due end
  end
  return soonest
end

--- Ends the pass: answers that come are left out.
function Rewatch:cancel()
  self.is_cancelled = true
end

return M
