--- Webhooks: copies of events, sent to the app's backends by HTTP (protocol §10).
-- A send is answered only when its copies are in the database; from then on each is delivered, or
-- reported as failed in the log. At least once: after a crash some are sent again, with the same id.
--
-- Every hook has a queue of its own and so many requests under way; what one does to its own is
-- nothing to the others. Redirects are not followed. Addresses of the machine itself and of its
-- network are allowed, because that is where the backends of a small server are: who may change the
-- app's settings may let the server call whatever it reaches.
local errors = require "stream_events.error"
local histograms = require "stream_events.server.histogram"
local native = require "stream_events.native"
local couriers = require "stream_events.server.courier"
local http_date = require "stream_events.http_date"
local hook_bodies = require "stream_events.server.hook_body"
local hook_settings = require "stream_events.server.hook_settings"
local outboxes = require "stream_events.server.outbox"

local M = {}

local crypto = native.crypto

local QUEUE_BYTES = 32 << 20  -- and the bytes of their bodies
local MAX_IN_FLIGHT = 17 * 60 -- of the longest list of hooks and the older setting, the most that each may

local SHORTEST = 0.001 -- second that an attempt may take
local ATTEMPTS_BUSY, ATTEMPTS_NETWORK = 3, 2
local ATTEMPT_LINES = {}
for i = 1, ATTEMPTS_BUSY do ATTEMPT_LINES[i] = "X-Webhook-Attempt: " .. i end

-- Seconds from an event to a hook that has it: at once, after a wait, after attempts that failed.
local SECONDS = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60 }

local IDS = 256 -- that have all but the last two digits in common
local LAST_DIGITS = {}
for i = 0, IDS - 1 do LAST_DIGITS[i] = ("%02x"):format(i) end

local GONE = "the hook was removed or switched off"

---@class stream_events.server.HookStats
---@field queued integer waiting for their first attempt
---@field in_flight integer being sent, or waiting for the next attempt
---@field attempts integer requests made
---@field delivered integer
---@field failed integer given up after the last attempt, or because the hook was removed
---@field refused integer not taken, because the queue was full

---@class stream_events.server.WebhookStats: stream_events.server.HookStats
---@field hooks table<string, stream_events.server.HookStats> by the hook's id

---@class stream_events.server.Hook
---@field target stream_events.server.HookTarget
---@field prepared stream_events.server.CourierRequest? its requests, as far as all are the same
---@field gone boolean? removed or switched off
---@field queue table<integer, stream_events.server.HookDelivery>
---@field first integer
---@field last integer
---@field bytes integer of what is queued or not written yet
---@field unwritten integer
---@field stats table<string, integer>
---@field seconds stream_events.server.Histogram of those that were delivered
---@field unreported integer refused since the last report

---@class stream_events.server.Webhooks
---@field private app stream_events.server.App
---@field private outbox stream_events.server.Outbox
---@field private hooks stream_events.server.Hook[]
---@field private by_id table<string, stream_events.server.Hook>
---@field private of_gone table<string, integer> what hooks did that are gone
---@field private in_flight integer
---@field private left_behind integer of them, at the stop
---@field private is_packed boolean? whether bodies are compressed
---@field private has_new boolean? something was queued since the last send()
---@field private courier stream_events.server.Courier?
local Webhooks = { __name = "stream_events.server.webhooks" }
Webhooks.__index = Webhooks

local function no_stats()
  return { attempts = 0, delivered = 0, failed = 0, refused = 0 }
end

--- Takes up what an earlier run has not delivered; nothing is sent before start().
---@param parts { app: table, store: table, log: function }
---@param options stream_events.server.Options with their defaults
---@return stream_events.server.Webhooks
function M.new(parts, options)
  local self = setmetatable({
    app = parts.app, views = parts.views, log = parts.log, options = options,
    outbox = outboxes.new(parts.store), hooks = {}, by_id = {}, in_flight = 0,
    left_behind = 0,
    id_beginning = crypto.uuid():sub(1, 24), last_id = -1,
    bodies = hook_bodies.new(), signer = crypto.signer(parts.app.api_secret), lines = {},
    of_gone = no_stats(),
  }, Webhooks)
  self.left_over = self.outbox:load()
  return self
end

-- Counting and reporting ----------------------------------------------------------------------------

local function report(self, hook_id, delivery, reason)
  self.log("error", "a webhook was not delivered", {
    hook = hook_id, webhook_id = delivery.id, type = delivery.type,
    attempts = delivery.attempt, reason = errors.redact(reason),
  })
end

local function give_up(self, hook, delivery, reason)
  hook.stats.failed = hook.stats.failed + 1
  self.outbox:remove(delivery)
  report(self, hook.target.id, delivery, reason)
end

-- One line for all that came since the last; a flood of events must not become one of lines.
local function report_refused(self, hook)
  if hook.unreported == 0 then return end
  self.log("error", "events were not taken for a webhook: too many wait for it", {
    hook = hook.target.id, events = hook.unreported, limit = self.options.webhook_queue,
  })
  hook.unreported, hook.reported_at = 0, native.now()
end

local function refuse(self, hook)
  hook.stats.refused = hook.stats.refused + 1
  hook.unreported = hook.unreported + 1
  if not hook.reported_at or native.now() - hook.reported_at >= 1 then report_refused(self, hook) end
end

-- Queues --------------------------------------------------------------------------------------------

local function push(hook, delivery)
  local last = hook.last + 1
  hook.last, hook.queue[last] = last, delivery
end

local function shift(hook)
  local first, queue = hook.first, hook.queue
  local delivery = queue[first]
  if not delivery then return nil end
  queue[first], hook.first = nil, first + 1
  hook.bytes = hook.bytes - #delivery.body
  return delivery
end

local function queued(hook)
  return hook.last - hook.first + 1
end

-- Attempts ------------------------------------------------------------------------------------------

-- What all requests to a hook have in common, until the settings change.
local function prepare(self, hook)
  hook.prepared = self.courier:prepare(hook.target.url, {
    "User-Agent: stream-events/" .. native.version,
    "Content-Type: application/json",
    "X-Api-Key: " .. self.app.api_key:gsub("%c", ""),
    "Accept:", -- what it answers is not looked at
    self.is_packed and "Content-Encoding: gzip" or nil,
  })
  return hook.prepared
end

-- Its connections must not wait for the garbage collector: each change of settings would leave its own.
local function unprepare(self, hook)
  if hook.prepared then self.courier:release(hook.prepared) end
  hook.prepared = nil
end

-- The lines of a request that only this one has, in a table that serves every one.
local function own_lines(self, delivery)
  local lines = self.lines
  lines[1] = "X-Signature: " .. self.signer:sign(delivery.body)
  lines[2] = "X-Webhook-Id: " .. delivery.id
  lines[3] = ATTEMPT_LINES[delivery.attempt]
  return lines
end

-- How often it may be tried, as things went this time.
local function attempts_allowed(status, kind)
  if not status then return kind == "timeout" and ATTEMPTS_BUSY or ATTEMPTS_NETWORK end
  return (status >= 500 or status == 408 or status == 429) and ATTEMPTS_BUSY or 1
end

local pump, retry

-- So many requests have come to an end.
local function come_down(self, count)
  self.in_flight = self.in_flight - count
  if self.stopping and self.in_flight == 0 then self.finish() end
end

local function land(self, hook)
  hook.flying = hook.flying - 1
  come_down(self, 1)
  pump(self, hook)
end

-- The next run begins again with what the outbox still has.
local function leave_behind(self, hook)
  self.left_behind = self.left_behind + 1
  land(self, hook)
end

-- Seconds until the next attempt; nil when there is to be none.
local function retry_in(self, hook, delivery, status, kind, headers)
  if hook.gone or delivery.attempt >= attempts_allowed(status, kind) then return nil end
  local seconds = self.options.webhook_retry * 2 ^ (delivery.attempt - 1)
  local asked = headers and http_date.seconds_to_wait(headers["retry-after"], headers.date)
  if asked and asked > seconds then seconds = asked end
  return native.now() + seconds < delivery.deadline and seconds or nil
end

-- Most of it, all that came in a turn.
local function delivered(self, deliveries, count)
  local now = native.now()
  for i = 1, count do
    local delivery = deliveries[i]
    local hook = delivery.owner
    hook.flying, hook.stats.delivered = hook.flying - 1, hook.stats.delivered + 1
    hook.seconds:add(now - delivery.since)
  end
  self.outbox:remove_all(deliveries, count)
  come_down(self, count)
  for _, hook in ipairs(self.hooks) do pump(self, hook) end
end

local function not_delivered(self, delivery, status, kind, message, headers)
  local hook = delivery.owner
  if self.stopping then return leave_behind(self, hook) end
  local seconds = retry_in(self, hook, delivery, status, kind, headers)
  if seconds then
    self.courier:call_later(seconds, function() retry(self, delivery) end)
    return
  end
  give_up(self, hook, delivery, status and ("it answered with status %d"):format(status)
    or message or "it could not be sent")
  land(self, hook)
end

local function attempt(self, hook, delivery, now)
  local timeout, deadline = hook.target.timeout, delivery.deadline
  if not deadline then
    deadline = now + self.options.webhook_total
    delivery.deadline = deadline
  end
  local left = deadline - now
  if left < timeout then timeout = left > SHORTEST and left or SHORTEST end
  delivery.attempt = delivery.attempt + 1
  hook.stats.attempts = hook.stats.attempts + 1
  local ok, err = self.courier:send(hook.prepared or prepare(self, hook),
    self.is_packed and native.gzip(delivery.body) or delivery.body, own_lines(self, delivery), timeout,
    delivery)
  if ok then return end
  self.courier:call_later(0, function()
    not_delivered(self, delivery, nil, err.kind, err.message)
  end)
end

retry = function(self, delivery)
  local hook = delivery.owner
  if self.stopping then return leave_behind(self, hook) end
  if hook.gone then
    give_up(self, hook, delivery, GONE)
    return land(self, hook)
  end
  attempt(self, hook, delivery, native.now())
end

pump = function(self, hook)
  local free = self.options.webhook_in_flight - hook.flying
  if free <= 0 or self.stopping then return end
  local delivery = shift(hook)
  local now = delivery and native.now()
  while delivery do
    hook.flying = hook.flying + 1
    self.in_flight = self.in_flight + 1
    attempt(self, hook, delivery, now)
    free = free - 1
    delivery = free > 0 and shift(hook)
  end
end

-- Settings ------------------------------------------------------------------------------------------

local function new_hook()
  return {
    queue = {}, first = 1, last = 0, bytes = 0, unwritten = 0, flying = 0, unreported = 0,
    stats = no_stats(), seconds = histograms.new(SECONDS),
  }
end

local function add_stats(to, stats)
  for name, number in pairs(stats) do to[name] = to[name] + number end
end

local function drop(self, hook)
  hook.gone = true
  report_refused(self, hook)
  -- What is still under way for it counts there, too.
  add_stats(self.of_gone, hook.stats)
  hook.stats = self.of_gone
  for delivery in shift, hook do
    give_up(self, hook, delivery, GONE)
  end
  unprepare(self, hook)
end

--- Does as the app's settings say from now on. What waits for a hook goes where the hook leads now;
--- what waits for one that is gone is reported as failed.
function Webhooks:configure()
  local before, was_packed = self.by_id, self.is_packed
  self.hooks, self.by_id = {}, {}
  self.is_packed = self.app:get "enable_hook_payload_compression"
  for i, target in ipairs(hook_settings.targets(self.app)) do
    local hook = before[target.id] or new_hook()
    if hook.target and (hook.target.url ~= target.url or was_packed ~= self.is_packed) then
      unprepare(self, hook)
    end
    hook.target = target
    self.hooks[i], self.by_id[target.id] = hook, hook
  end
  for id, hook in pairs(before) do
    if not self.by_id[id] then drop(self, hook) end
  end
end

-- Copies --------------------------------------------------------------------------------------------

-- A UUID for an event: a random beginning for this run, and a number. One made anew each time would
-- cost more than all else about it.
local function next_id(self)
  local id = self.last_id + 1
  self.last_id = id
  local last = id % IDS
  if last == 0 then self.id_middle = ("%s%010x"):format(self.id_beginning, id // IDS) end
  return self.id_middle .. LAST_DIGITS[last]
end

--- Copies an event for the hooks that want it. The request that caused it may be answered after the
--- next settle().
---@param context stream_events.server.Context
---@param event_type string
---@param is_custom boolean
---@param text string as it is distributed
---@param members table? for a built-in event of a channel: the first of its members
---@return boolean unwritten whether there are copies that are not in the database yet
function Webhooks:copy(context, event_type, is_custom, text, members)
  if not self.hooks[1] then return false end
  local body, id
  for _, hook in ipairs(self.hooks) do
    if hook.target.wants(event_type, is_custom) then
      body, id = body or self.bodies:make(text, context, members), id or next_id(self)
      local bytes, unwritten = hook.bytes + #body, hook.unwritten
      if queued(hook) + unwritten >= self.options.webhook_queue or bytes > QUEUE_BYTES then
        refuse(self, hook)
      else
        hook.bytes, hook.unwritten = bytes, unwritten + 1
        self.outbox:add(hook.target.id, {
          id = id, type = event_type, body = body, owner = hook, number = false, attempt = 0,
          deadline = false, since = false,
        })
      end
    end
  end
  return self.outbox.unwritten > 0
end

--- A copy of an event of the service's own, about a channel.
---@param context stream_events.server.Context
---@param event_type string
---@param channel stream_events.server.Channel
---@param text string
function Webhooks:copy_built_in(context, event_type, channel, text)
  if self.hooks[1] then self:copy(context, event_type, false, text, self.views:members(channel, 50, 0)) end
end

--- How many copies are not in the database yet.
---@return integer
function Webhooks:unwritten()
  return self.outbox.unwritten
end

--- Writes what was copied. Only then may it be sent, with send().
---@param with_delivered boolean? takes what was delivered out of the database, also when that is little
---@return boolean ok false: it could not be written, and those who caused it have to be told
function Webhooks:settle(with_delivered)
  local added, problem = self.outbox:commit(with_delivered)
  if problem then
    self.log("error", "the copies of events for webhooks cannot be written", { error = tostring(problem) })
  end
  local now = native.now()
  for _, delivery in ipairs(added) do
    local hook = delivery.owner
    hook.unwritten = hook.unwritten - 1
    delivery.since = now
    if not problem and not hook.gone then
      push(hook, delivery)
      self.has_new = true
    else
      hook.bytes = hook.bytes - #delivery.body
      if problem then
        report(self, hook.target.id, delivery, "it could not be written to the database")
      else
        give_up(self, hook, delivery, GONE) -- in the same turn
      end
    end
  end
  return not problem
end

--- Begins to send what was written since the last time. To be called when those who wait for the events
--- themselves have them.
function Webhooks:send()
  if not self.has_new or not self.courier then return end
  self.has_new = false
  for _, hook in ipairs(self.hooks) do pump(self, hook) end
  self.courier:go()
end

--- To be called about once a second.
function Webhooks:tick()
  for _, hook in ipairs(self.hooks) do report_refused(self, hook) end
  if self.outbox.unremoved > 0 then self:settle(true) end
  self.outbox:sync()
end

-- Life ----------------------------------------------------------------------------------------------

--- Begins to send.
---@return true? ok
---@return stream_events.Error? err
function Webhooks:start()
  local err
  self.courier, err = couriers.open {
    max_in_flight = MAX_IN_FLIGHT,
    accepted = function(deliveries, count) delivered(self, deliveries, count) end,
    refused = function(delivery, ...) not_delivered(self, delivery, ...) end,
    failed = function(problem)
      self.log("error", "the server failed at a webhook", { error = tostring(problem) })
    end,
    after = function()
      if self.outbox:is_full() then
        self:settle()
        self:send()
      end
    end,
  }
  if not self.courier then return nil, err end
  self:configure()
  local now = native.now()
  for _, delivery in ipairs(self.left_over) do
    local hook = self.by_id[delivery.hook]
    if hook then
      delivery.owner, delivery.since = hook, now
      push(hook, delivery)
      hook.bytes = hook.bytes + #delivery.body
    else
      self.of_gone.failed = self.of_gone.failed + 1
      self.outbox:remove(delivery)
      report(self, delivery.hook, delivery, GONE)
    end
  end
  self.left_over = nil
  self.has_new = true
  self:send()
  return true
end

-- What nobody will take up again.
local function report_lost(self)
  local lost = self.left_behind + self.in_flight
  for _, hook in ipairs(self.hooks) do lost = lost + queued(hook) end
  if lost > 0 and not self.outbox:is_lasting() then
    self.log("error", "webhooks were not delivered: the server was stopped, and its state was in memory",
      { deliveries = lost })
  end
end

--- Begins nothing more, and waits a little for what is under way. The rest stays in the database.
---@param deadline number native.now() at the latest
---@param closed fun()
function Webhooks:stop(deadline, closed)
  if not self.courier then return closed() end
  self.stopping = true
  self.finish = function()
    if self.finishing then return end
    self.finishing = true
    report_lost(self)
    self.courier:close(function()
      if self.outbox.unremoved > 0 then self:settle(true) end
      closed()
    end)
  end
  if self.in_flight == 0 then return self.finish() end
  self.courier:call_later(math.max(0, deadline - native.now()), self.finish)
  self.courier:go()
end

--- How long it took until the hooks there are now had what they got, by the hooks' ids.
---@return table<string, stream_events.server.Histogram>
function Webhooks:latencies()
  local by_id = {}
  for id, hook in pairs(self.by_id) do by_id[id] = hook.seconds end
  return by_id
end

--- Counters; by hook those of the hooks there are now.
---@return stream_events.server.WebhookStats
function Webhooks:stats()
  local stats = { in_flight = self.in_flight, queued = 0, hooks = {} }
  for name, number in pairs(self.of_gone) do stats[name] = number end
  for _, hook in ipairs(self.hooks) do
    local own = { queued = queued(hook), in_flight = hook.flying }
    for name, number in pairs(hook.stats) do own[name] = number end
    add_stats(stats, hook.stats)
    stats.queued = stats.queued + own.queued
    stats.hooks[hook.target.id] = own
  end
  return stats
end

return M
