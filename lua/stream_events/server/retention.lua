--- Custom events that are kept for those who were away, where the channel type says so
-- (custom_event_retention). In memory, in a ring per channel, bounded in number, age and bytes; no
-- event touches the database. A server that stops in good order leaves them there for the next one;
-- one that was killed cannot, and whoever asks is told of the gap.
local clock = require "stream_events.server.clock"
local event_ring = require "stream_events.server.event_ring"
local native = require "stream_events.native"

local M = {}

local KIND, STATE = "kept_events", "state" -- in the store; all other keys are cids
local CHANNEL_SHARE = 16 -- one channel may have this part of all the bytes
local WARN_EVERY = 60 -- seconds

---@class stream_events.server.RetentionPolicy of one channel type
---@field setting { seconds: integer, count: integer } as the channel type holds it
---@field age integer microseconds
---@field since integer the stamp from which on everything was kept, as far as there was room

---@class stream_events.server.Retention
---@field bytes integer of all events that are kept
---@field channels integer that have a ring
---@field private policies table<string, stream_events.server.RetentionPolicy> by channel type
---@field private floor integer stamp: what is asked for from before it is not all there
---@field private rings table<string, { ring: stream_events.server.EventRing, policy: table, type: string }>
local Retention = { __name = "stream_events.server.retention" }
Retention.__index = Retention

local function now()
  return (select(2, clock.stamp()))
end

local function forget(self, cid)
  local kept = self.rings[cid]
  if not kept then return end
  self.bytes = self.bytes - kept.ring.bytes
  self.channels = self.channels - 1
  self.rings[cid] = nil
end

local function drop_oldest(self, ring)
  local before = ring.bytes
  ring:drop()
  self.bytes = self.bytes - before + ring.bytes
end

local function each_of_type(self, type_name, act)
  for cid, kept in pairs(self.rings) do
    if kept.type == type_name then act(cid, kept) end
  end
end

-- With a clock that was set back, stamps no longer say what came first.
local function follow_clock(self)
  if self.jumps == clock.jumps then return end
  self.jumps = clock.jumps
  self.floor = clock.highest + 1
  for cid in pairs(self.rings) do forget(self, cid) end
  self.log("warn", "the clock was set back: the events that were kept are forgotten", {})
end

local function switch_off(self, type_name)
  self.policies[type_name] = nil
  each_of_type(self, type_name, function(cid) forget(self, cid) end)
end

local function switch_on(self, type_name, setting)
  local old = self.policies[type_name]
  local policy = {
    setting = setting, age = setting.seconds * 1000000, since = old and old.since or now(),
  }
  self.policies[type_name] = policy
  each_of_type(self, type_name, function(_, kept)
    kept.policy = policy
    local before = kept.ring.bytes
    kept.ring:resize(setting.count)
    self.bytes = self.bytes - before + kept.ring.bytes
  end)
  return policy
end

-- What holds for a channel type now. Changes of the setting, and of the clock, are met here.
local function policy_of(self, type_name)
  local channel_type = self.channel_types:get(type_name)
  local setting = channel_type and channel_type.settings.custom_event_retention
  local policy = self.policies[type_name]
  if self.jumps ~= clock.jumps then follow_clock(self) end
  if setting == (policy and policy.setting) then return policy end
  if setting then return switch_on(self, type_name, setting) end
  switch_off(self, type_name)
end

local function expire(self, kept, time)
  local ring, before = kept.ring, time - kept.policy.age
  while ring.count > 0 and ring:oldest() < before do drop_oldest(self, ring) end
end

-- All bytes are in use: the channels that have more than their share give up their oldest events.
local function make_room(self)
  local holding = 0
  for _, kept in pairs(self.rings) do
    if kept.ring.count > 0 then holding = holding + 1 end
  end
  local share = self.options.retention_bytes * 3 // 4 // holding
  for _, kept in pairs(self.rings) do
    while kept.ring.bytes > share do drop_oldest(self, kept.ring) end
  end
  local time = native.now()
  if self.warned and time - self.warned < WARN_EVERY then return end
  self.warned = time
  self.log("warn", "more events are to be kept than retention_bytes allows: the oldest are forgotten",
    { retention_bytes = self.options.retention_bytes })
end

--- Keeps an event that was distributed. Does nothing where the channel type keeps none.
---@param channel stream_events.server.Channel
---@param text string as distributed
---@param stamp integer of its created_at
function Retention:keep(channel, text, stamp)
  local policy = policy_of(self, channel.type)
  if not policy then return end
  local kept = self.rings[channel.cid]
  if not kept then
    kept = { ring = event_ring.new(policy.setting.count), policy = policy, type = channel.type }
    self.rings[channel.cid] = kept
    self.channels = self.channels + 1
  end
  local ring = kept.ring
  self.bytes = self.bytes + ring:push(text, stamp)
  local limit = self.options.retention_bytes
  if ring.bytes > limit // CHANNEL_SHARE then
    while ring.bytes > limit // CHANNEL_SHARE do drop_oldest(self, ring) end
  end
  if self.bytes > limit then make_room(self) end
  if ring.count > 0 and ring:oldest() < stamp - policy.age then expire(self, kept, stamp) end
end

--- Whether events of the channel are kept.
---@param channel stream_events.server.Channel
---@return boolean
function Retention:is_on(channel)
  return policy_of(self, channel.type) ~= nil
end

---@class stream_events.server.MissedSpan events of one channel: those after `low`, up to `high`
---@field cid string
---@field ring stream_events.server.EventRing
---@field low integer
---@field high integer

--- What is kept of a channel between two moments.
---@param channel stream_events.server.Channel
---@param after integer stamp: only later events
---@param before integer? stamp: only earlier events
---@return stream_events.server.MissedSpan? span nil when there is none
---@return boolean complete whether none is missing between them
function Retention:missed(channel, after, before)
  local policy = policy_of(self, channel.type)
  if not policy then return nil, false end
  local time = now()
  local complete = after >= policy.since and after >= self.floor and after < time
  local kept = self.rings[channel.cid]
  if not kept then return nil, complete end
  expire(self, kept, time)
  local ring = kept.ring
  local low, high = ring:up_to(after), before and ring:up_to(before - 1) or ring.count
  local span = low < high and { cid = channel.cid, ring = ring, low = low, high = high } or nil
  complete = complete and after >= ring.lost
  -- Where custom events are switched off nobody is to receive any, those from before included.
  if span and not self.channel_types:get(channel.type).settings.custom_events then return nil, false end
  return span, complete
end

--- Forgets the events of a channel that is gone.
---@param channel stream_events.server.Channel
function Retention:drop(channel)
  forget(self, channel.cid)
end

--- Forgets what users sent who are gone for good: each event holds its sender's name and data.
---@param users table<string, true> by id
function Retention:forget_senders(users)
  if next(users) == nil then return end
  local function is_gone(text)
    for id in text:gmatch '"id":"([^"]*)"' do
      if users[id] then
        local event = native.json.decode(text)
        return event ~= nil and users[event.user.id] == true
      end
    end
    return false
  end
  for _, kept in pairs(self.rings) do
    local before = kept.ring.bytes
    kept.ring:remove(is_gone)
    self.bytes = self.bytes - before + kept.ring.bytes
  end
end

--- Meets what has changed in the channel types.
function Retention:follow()
  for _, channel_type in ipairs(self.channel_types:list()) do policy_of(self, channel_type.name) end
  for name in pairs(self.policies) do policy_of(self, name) end -- whose type is gone
end

--- Forgets what is too old. Call it about once a second.
function Retention:tick()
  self:follow()
  local time
  for _, kept in pairs(self.rings) do
    if kept.ring.count > 0 then
      time = time or now()
      expire(self, kept, time)
    end
  end
end

-- Over a restart ----------------------------------------------------------------------------------

local function same_setting(a, b)
  return a ~= nil and b ~= nil and a.seconds == b.seconds and a.count == b.count
end

local function take_up_policies(self, state)
  for name, stored in pairs(state.policies) do
    local channel_type = self.channel_types:get(name)
    local setting = channel_type and channel_type.settings.custom_event_retention
    if same_setting(setting, stored.setting) then
      self.policies[name] = { setting = setting, age = setting.seconds * 1000000, since = stored.since }
    end
  end
  self.floor = state.floor
  clock.follow(state.last)
end

local function take_up_ring(self, cid, document)
  local channel = self.channels_model:get(cid)
  local policy = channel and self.policies[channel.type]
  if not policy then return end
  local ring = event_ring.new(policy.setting.count)
  ring.lost = document.lost
  for i, text in ipairs(document.texts) do ring:push(text, document.stamps[i]) end
  self.rings[cid] = { ring = ring, policy = policy, type = channel.type }
  self.bytes, self.channels = self.bytes + ring.bytes, self.channels + 1
end

-- What the last server left is taken up and removed: a kill must not bring it back a second time.
local function take_up(self)
  local documents = {}
  for key, document in self.store:each(KIND) do documents[key] = document end
  local state = documents[STATE]
  if not state then return end
  take_up_policies(self, state)
  for cid, document in pairs(documents) do
    if cid ~= STATE then take_up_ring(self, cid, document) end
  end
  self.store:transaction(function()
    for key in pairs(documents) do self.store:delete(KIND, key) end
  end)
end

--- Leaves everything in the store, for the next server. Raises when it cannot be written.
function Retention:save()
  if next(self.policies) == nil then return end
  local policies = {}
  for name, policy in pairs(self.policies) do
    policies[name] = { setting = policy.setting, since = policy.since }
  end
  self.store:transaction(function()
    self.store:put(KIND, STATE, { policies = policies, floor = self.floor, last = now() })
    for cid, kept in pairs(self.rings) do
      local ring = kept.ring
      local texts, stamps = native.json.array {}, native.json.array {}
      for place = 1, ring.count do texts[place], stamps[place] = ring:get(place) end
      self.store:put(KIND, cid, { lost = ring.lost, texts = texts, stamps = stamps })
    end
  end)
end

---@class stream_events.server.RetentionStats
---@field events integer
---@field bytes integer
---@field channels integer

---@return stream_events.server.RetentionStats
function Retention:stats()
  local events = 0
  for _, kept in pairs(self.rings) do events = events + kept.ring.count end
  return { events = events, bytes = self.bytes, channels = self.channels }
end

--- Takes up what a server that stopped in good order has left.
---@param parts { store: table, channel_types: table, channels: table, options: table, log: function }
---@return stream_events.server.Retention
function M.new(parts)
  local self = setmetatable({
    store = parts.store, channel_types = parts.channel_types, channels_model = parts.channels,
    options = parts.options, log = parts.log,
    rings = {}, policies = {}, bytes = 0, channels = 0, floor = 0, jumps = clock.jumps,
  }, Retention)
  take_up(self)
  self:tick()
  return self
end

return M
