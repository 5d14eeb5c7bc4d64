--- The live stream of the dashboard: what becomes of each event, and counters, for whoever looks on.
-- With nobody looking nothing is observed. What is sent is bounded: so many events a batch, so many
-- batches a second, the rest is only counted; and the listener ends a page that does not read.
local native = require "stream_events.native"
local clock = require "stream_events.server.clock"
local failures = require "stream_events.server.failure"

local M = {}

local json = native.json

local BATCH_SECONDS = 0.1
local BATCH_EVENTS = 40
local EXCERPT = 1024 -- bytes of an event's body
local LABEL = 255 -- bytes of a name
local MESSAGE = 500
local REASONS = 30
local VIEWERS = 16

---@class stream_events.server.dashboard.Live
---@field private viewers table<integer, true> numbers of their connections
---@field private batch table[] what goes out next
---@field private more integer what does not go out any more
local Live = { __name = "stream_events.server.dashboard.live" }
Live.__index = Live

---@param parts table listener, connections, outcomes, watching, channels, options, alarm
---@return stream_events.server.dashboard.Live
function M.new(parts)
  local self = setmetatable({
    parts = parts, group = parts.connections:new_group(), viewers = {}, count = 0, batch = {}, more = 0,
    started = native.now(),
  }, Live)
  self.alarm = parts.alarm(function() self:flush() end)
  return self
end

-- What was refused may be any bytes; a frame must be UTF-8, and not long.
local function clean(text, limit)
  if not text then return nil end
  if #text > limit then
    local last = limit
    while last > limit - 4 and (text:byte(last + 1) or 0) & 0xC0 == 0x80 do last = last - 1 end
    text = text:sub(1, last)
  end
  local _, wrong = utf8.len(text)
  if not wrong then return text end
  local parts, from = {}, 1
  while wrong do
    parts[#parts + 1] = text:sub(from, wrong - 1)
    from = wrong + 1
    _, wrong = utf8.len(text, from)
  end
  parts[#parts + 1] = text:sub(from)
  return table.concat(parts, "\u{FFFD}")
end

local function view(outcome)
  return {
    at = clock.stamp(), outcome = outcome.outcome, by = outcome.by, receivers = outcome.receivers,
    type = clean(outcome.type, LABEL), cid = clean(outcome.cid, LABEL),
    target = clean(outcome.target, LABEL), sender = clean(outcome.sender, LABEL),
    reason = clean(outcome.reason, LABEL), rule = clean(outcome.rule, LABEL),
    message = clean(outcome.message, MESSAGE),
    body = clean(outcome.body, EXCERPT), size = #outcome.body,
  }
end

local function encode(value)
  local text, err = json.encode(value)
  if not text then error("a frame of the dashboard cannot be encoded: " .. err.message) end
  return text
end

local function note(self, outcome)
  if #self.batch < BATCH_EVENTS then
    self.batch[#self.batch + 1] = view(outcome)
  else
    self.more = self.more + 1
  end
  if not self.is_due then
    self.is_due = true
    self.alarm.set(BATCH_SECONDS)
  end
end

--- Sends what has gathered.
function Live:flush()
  self.is_due = false
  if self.batch[1] and self.count > 0 then
    self.parts.listener:broadcast(self.group, encode {
      type = "events", events = json.array(self.batch), more = self.more,
    })
  end
  self.batch, self.more = {}, 0
end

-- Reasons as a list, most frequent first: their codes are the rules' own words.
local function reasons_of(stats)
  local list = json.array {}
  for code, number in pairs(stats.reasons) do
    list[#list + 1] = { reason = clean(code, LABEL), count = number }
  end
  table.sort(list, function(a, b)
    if a.count ~= b.count then return a.count > b.count end
    return a.reason < b.reason
  end)
  for i = #list, REASONS + 1, -1 do list[i] = nil end
  return list
end

--- The counters as they stand.
---@return table
function Live:counters()
  local parts, stats = self.parts, self.parts.outcomes:stats()
  return {
    at = clock.stamp(), uptime = (native.now() - self.started) // 1 | 0, accepted = stats.accepted,
    refused = stats.refused, deliveries = stats.receivers, reasons = reasons_of(stats),
    connections = parts.connections.count, watches = parts.watching.watches,
    channels = parts.channels.count,
  }
end

local function counters_frame(self)
  local frame = self:counters()
  frame.type, frame.idle_timeout = "counters", self.parts.options.idle_timeout
  return encode(frame)
end

--- Called about once a second.
function Live:second()
  if self.count > 0 then self.parts.listener:broadcast(self.group, counters_frame(self)) end
end

--- Whether one more may look on.
---@return true? ok
---@return stream_events.server.Failure? failure
function Live:check_room()
  if self.count < VIEWERS then return true end
  return failures.fail(71, ("%d dashboards are looking on, more are not allowed"):format(VIEWERS), 503)
end

--- Adds a WebSocket that was accepted.
---@param number integer
function Live:join(number)
  if self.count == 0 then
    self.ignore = self.parts.outcomes:observe(function(outcome) note(self, outcome) end)
  end
  self.viewers[number], self.count = true, self.count + 1
  self.parts.listener:join(self.group, number)
  self.parts.listener:send(number, counters_frame(self))
end

--- Forgets one that is gone.
---@param number integer
---@return boolean known
function Live:leave(number)
  if not self.viewers[number] then return false end
  self.viewers[number], self.count = nil, self.count - 1
  self.parts.listener:leave(self.group, number)
  if self.count == 0 then
    self.ignore()
    self.batch, self.more = {}, 0
  end
  return true
end

return M
