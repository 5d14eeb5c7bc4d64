--- Webhooks: copies of events, sent to the app's backends by HTTP (protocol §10).
-- A send is answered only when its copies are in the database; from then on each is delivered, or
-- reported as failed in the log. At least once: after a crash some are sent again, with the same id.
--
-- Every hook has a queue of its own and so many requests under way; what one does to its own is
-- nothing to the others. Redirects are not followed. Addresses of the machine itself and of its
-- network are allowed, because that is where the backends of a small server are: who may change the
-- app's settings may let the server call whatever it reaches.
local errors = require "stream_events.error"
local native = require "stream_events.native"
local couriers = require "stream_events.server.courier"
local hook_bodies = require "stream_events.server.hook_body"
local hook_settings = require "stream_events.server.hook_settings"
local outboxes = require "stream_events.server.outbox"

local M = {}

local crypto = native.crypto

local QUEUE_BYTES = 32 << 20  -- and the bytes of their bodies
local MAX_IN_FLIGHT = 17 * 60 -- of the longest list of hooks and the older setting, the most that each may
local MANY_REMOVED = 256      -- delivered ones that are taken out of the database before the second is over

local ATTEMPTS_BUSY, ATTEMPTS_NETWORK = 3, 2

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
---@field gone boolean? removed or switched off
---@field queue table<integer, stream_events.server.HookDelivery>
---@field first integer
---@field last integer
---@field bytes integer of what is queued or not written yet
---@field unwritten integer
---@field stats table<string, integer>
---@field unreported integer refused since the last report

---@class stream_events.server.Webhooks
---@field private app stream_events.server.App
---@field private outbox stream_events.server.Outbox
---@field private hooks stream_events.server.Hook[]
---@field private by_id table<string, stream_events.server.Hook>
---@field private totals table<string, integer>
---@field private in_flight integer
---@field private courier stream_events.server.Courier?
local Webhooks = { __name = "stream_events.server.webhooks" }
Webhooks.__index = Webhooks

--- Takes up what an earlier run has not delivered; nothing is sent before start().
---@param parts { app: table, store: table, log: function }
---@param options stream_events.server.Options with their defaults
---@return stream_events.server.Webhooks
function M.new(parts, options)
  local self = setmetatable({
    app = parts.app, views = parts.views, log = parts.log, options = options,
    outbox = outboxes.new(parts.store), hooks = {}, by_id = {}, in_flight = 0,
    id_beginning = crypto.uuid():sub(1, 24), last_id = 0,
    bodies = hook_bodies.new(), lines = {}, request = { method = "POST", once = true },
    key_line = "X-Api-Key: " .. parts.app.api_key:gsub("%c", ""),
    totals = { attempts = 0, delivered = 0, failed = 0, refused = 0 },
  }, Webhooks)
  self.left_over = self.outbox:load()
  return self
end

-- Counting and reporting ----------------------------------------------------------------------------

local function count(self, hook, what)
  self.totals[what] = self.totals[what] + 1
  hook.stats[what] = hook.stats[what] + 1
end

local function report(self, delivery, reason)
  self.log("error", "a webhook was not delivered", {
    hook = delivery.hook, webhook_id = delivery.id, type = delivery.type,
    attempts = delivery.attempt, reason = errors.redact(reason),
  })
end

local function give_up(self, hook, delivery, reason)
  count(self, hook, "failed")
  self.outbox:remove(delivery)
  report(self, delivery, reason)
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
  count(self, hook, "refused")
  hook.unreported = hook.unreported + 1
  if not hook.reported_at or native.now() - hook.reported_at >= 1 then report_refused(self, hook) end
end

-- Queues --------------------------------------------------------------------------------------------

local function push(hook, delivery)
  hook.last = hook.last + 1
  hook.queue[hook.last] = delivery
end

local function shift(hook)
  if hook.first > hook.last then return nil end
  local delivery = hook.queue[hook.first]
  hook.queue[hook.first] = nil
  hook.first = hook.first + 1
  hook.bytes = hook.bytes - #delivery.body
  return delivery
end

local function queued(hook)
  return hook.last - hook.first + 1
end

-- Attempts ------------------------------------------------------------------------------------------

-- The lines of a request, in a table that serves every one.
local function headers_of(self, delivery, is_packed)
  local app, lines = self.app, self.lines
  lines[1] = "X-Signature: " .. crypto.hex(crypto.hmac_sha256(app.api_secret, delivery.body))
  lines[2] = "X-Webhook-Id: " .. delivery.id
  lines[3] = "X-Webhook-Attempt: " .. delivery.attempt
  lines[4] = self.key_line
  lines[5] = "Content-Type: application/json"
  lines[6] = is_packed and "Content-Encoding: gzip" or nil
  return lines
end

-- How often it may be tried, as things went this time.
local function attempts_allowed(status, kind)
  if not status then return kind == "timeout" and ATTEMPTS_BUSY or ATTEMPTS_NETWORK end
  return (status >= 500 or status == 408 or status == 429) and ATTEMPTS_BUSY or 1
end

local pump, attempt

local function land(self, hook)
  hook.flying = hook.flying - 1
  self.in_flight = self.in_flight - 1
  if self.stopping then
    if self.in_flight == 0 then self.finish() end
  else
    pump(self, hook)
  end
end

-- Seconds until the next attempt; nil when there is to be none.
local function retry_in(self, hook, delivery, status, kind, headers)
  if hook.gone or delivery.attempt >= attempts_allowed(status, kind) then return nil end
  local seconds = self.options.webhook_retry * 2 ^ (delivery.attempt - 1)
  local asked = tonumber(headers and headers["retry-after"])
  if asked and asked > seconds then seconds = asked end
  return native.now() + seconds < delivery.deadline and seconds or nil
end

local function finished(self, delivery, status, kind, message, headers)
  local hook = delivery.owner
  if status and status >= 200 and status <= 299 then
    count(self, hook, "delivered")
    self.outbox:remove(delivery)
    return land(self, hook)
  end
  -- The next run begins again with what the outbox still has.
  if self.stopping then return land(self, hook) end
  local seconds = retry_in(self, hook, delivery, status, kind, headers)
  if seconds then
    self.courier:call_later(seconds, function() attempt(self, delivery) end)
    return
  end
  give_up(self, hook, delivery, status and ("it answered with status %d"):format(status)
    or message or "it could not be sent")
  land(self, hook)
end

attempt = function(self, delivery)
  local hook = delivery.owner
  if self.stopping then return land(self, hook) end
  if hook.gone then
    give_up(self, hook, delivery, GONE)
    return land(self, hook)
  end
  local now = native.now()
  delivery.attempt = delivery.attempt + 1
  delivery.deadline = delivery.deadline or now + self.options.webhook_total
  count(self, hook, "attempts")
  local is_packed = self.app:get "enable_hook_payload_compression"
  local request = self.request
  request.url, request.headers = hook.target.url, headers_of(self, delivery, is_packed)
  request.body = is_packed and native.gzip(delivery.body) or delivery.body
  request.timeout = math.min(hook.target.timeout, math.max(0.001, delivery.deadline - now))
  local ok, err = self.courier:send(request, delivery)
  if ok then return end
  self.courier:call_later(0, function()
    finished(self, delivery, nil, err.kind, err.message)
  end)
end

pump = function(self, hook)
  while hook.flying < self.options.webhook_in_flight and not self.stopping do
    local delivery = shift(hook)
    if not delivery then return end
    hook.flying = hook.flying + 1
    self.in_flight = self.in_flight + 1
    attempt(self, delivery)
  end
end

-- Settings ------------------------------------------------------------------------------------------

local function new_hook()
  return {
    queue = {}, first = 1, last = 0, bytes = 0, unwritten = 0, flying = 0, unreported = 0,
    stats = { attempts = 0, delivered = 0, failed = 0, refused = 0 },
  }
end

local function drop(self, hook)
  hook.gone = true
  report_refused(self, hook)
  for delivery in shift, hook do
    give_up(self, hook, delivery, GONE)
  end
end

--- Does as the app's settings say from now on. What waits for a hook goes where the hook leads now;
--- what waits for one that is gone is reported as failed.
function Webhooks:configure()
  local before = self.by_id
  self.hooks, self.by_id = {}, {}
  for i, target in ipairs(hook_settings.targets(self.app)) do
    local hook = before[target.id] or new_hook()
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
  self.last_id = self.last_id + 1
  return ("%s%012x"):format(self.id_beginning, self.last_id)
end

--- Copies an event for the hooks that want it. The request that caused it may be answered after the
--- next settle().
---@param context stream_events.server.Context
---@param event_type string
---@param is_custom boolean
---@param text string as it is distributed
---@param members table? for a built-in event of a channel: the first of its members
function Webhooks:copy(context, event_type, is_custom, text, members)
  local body, id
  for _, hook in ipairs(self.hooks) do
    if hook.target.wants(event_type, is_custom) then
      body, id = body or self.bodies:make(text, context, members), id or next_id(self)
      if queued(hook) + hook.unwritten >= self.options.webhook_queue or hook.bytes + #body > QUEUE_BYTES then
        refuse(self, hook)
      else
        hook.bytes, hook.unwritten = hook.bytes + #body, hook.unwritten + 1
        self.outbox:add {
          hook = hook.target.id, id = id, type = event_type, body = body, owner = hook,
          key = false, attempt = 0, deadline = false,
        }
      end
    end
  end
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

--- Writes what was copied, and only then begins to send it.
---@return boolean ok false: it could not be written, and those who caused it have to be told
function Webhooks:settle()
  local added, problem = self.outbox:commit()
  if problem then
    self.log("error", "the copies of events for webhooks cannot be written", { error = tostring(problem) })
  end
  local touched = {}
  for _, delivery in ipairs(added) do
    local hook = delivery.owner
    hook.unwritten = hook.unwritten - 1
    if not problem and not hook.gone then
      push(hook, delivery)
      touched[hook] = true
    else
      hook.bytes = hook.bytes - #delivery.body
      if problem then
        report(self, delivery, "it could not be written to the database")
      else
        give_up(self, hook, delivery, GONE) -- in the same turn
      end
    end
  end
  if self.courier and next(touched) then
    for hook in pairs(touched) do pump(self, hook) end
    self.courier:go()
  end
  return not problem
end

--- To be called about once a second.
function Webhooks:tick()
  for _, hook in ipairs(self.hooks) do report_refused(self, hook) end
  if self.outbox.unremoved > 0 then self:settle() end
end

-- Life ----------------------------------------------------------------------------------------------

--- Begins to send.
---@return true? ok
---@return stream_events.Error? err
function Webhooks:start()
  local err
  self.courier, err = couriers.open {
    max_in_flight = MAX_IN_FLIGHT,
    user_agent = "stream-events/" .. native.version,
    answered = function(delivery, ...) finished(self, delivery, ...) end,
    failed = function(problem)
      self.log("error", "the server failed at a webhook", { error = tostring(problem) })
    end,
    after = function()
      if self.outbox.unremoved >= MANY_REMOVED then self:settle() end
    end,
  }
  if not self.courier then return nil, err end
  self:configure()
  for _, delivery in ipairs(self.left_over) do
    local hook = self.by_id[delivery.hook]
    if hook then
      delivery.owner = hook
      push(hook, delivery)
      hook.bytes = hook.bytes + #delivery.body
    else
      self.totals.failed = self.totals.failed + 1
      self.outbox:remove(delivery)
      report(self, delivery, GONE)
    end
  end
  self.left_over = nil
  for _, hook in ipairs(self.hooks) do pump(self, hook) end
  self.courier:go()
  return true
end

-- What nobody will take up again.
local function report_lost(self)
  local lost = self.in_flight
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
      if self.outbox.unremoved > 0 then self:settle() end
      closed()
    end)
  end
  if self.in_flight == 0 then return self.finish() end
  self.courier:call_later(math.max(0, deadline - native.now()), self.finish)
  self.courier:go()
end

--- Counters; by hook those of the hooks there are now.
---@return stream_events.server.WebhookStats
function Webhooks:stats()
  local stats = { in_flight = self.in_flight, queued = 0, hooks = {} }
  for name, number in pairs(self.totals) do stats[name] = number end
  for _, hook in ipairs(self.hooks) do
    local own = { queued = queued(hook), in_flight = hook.flying }
    for name, number in pairs(hook.stats) do own[name] = number end
    stats.queued = stats.queued + own.queued
    stats.hooks[hook.target.id] = own
  end
  return stats
end

return M
