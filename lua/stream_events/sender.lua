--- Sends on their way: which go out at once, which wait, which are tried again. Each ends in exactly one
-- answer.
--
-- | What happens                                 | The send                                             |
-- | -------------------------------------------- | ---------------------------------------------------- |
-- | nothing stands in its way                    | goes out                                             |
-- | too many calls under way, or too fast        | waits for its turn                                   |
-- | the user's session is not online             | fails (network); waits with `queue`                  |
-- | the session has ended, or ends, for good     | fails as the session did                             |
-- | refused for the rate (429)                   | waits as long as the service says                    |
-- | the server was not reached                   | fails (network); with `queue` waits and goes again   |
-- | sent, but no answer: nobody knows            | fails, `maybe_sent`; goes again where its id counts  |
-- | waits longer than its age limit              | fails (timeout)                                      |
-- | too many wait, or its turn would be too late | fails (full)                                         |
-- | a newer one with its key comes while it waits| fails (full), `superseded`                           |
--
-- A gate is what sends have in common that are counted together by the service: those of the user to
-- channels, those of the backend to channels, and those of the backend to users.
local backoff = require "stream_events.backoff"
local errors = require "stream_events.error"
local options_module = require "stream_events.options"
local pacing = require "stream_events.pacing"
local payload = require "stream_events.payload"

local M = {}

---@class stream_events.Gate
---@field is_user boolean its sends need the user's session
---@field pace stream_events.Pace
---@field queue stream_events.SendQueue? made when the first one waits
---@field failures integer of the network, in a row
---@field held number? monotonic time before which nothing goes out
---@field paced_at number? monotonic time at which one had to wait for the service's rate, the last time
---@field expires number? monotonic time at which the first of those that wait may be too old

---@class stream_events.Send : stream_events.Call, stream_events.Waiting
---@field gate stream_events.Gate
---@field queue boolean? waits while offline
---@field max_age number? seconds that it may wait
---@field ends number monotonic time at which it is too old to go out
---@field repeats integer? so often it may be sent again when its connection broke, since its id counts
---@field prepare fun(send: stream_events.Send): true?, stream_events.Error? makes it ready to go out as
---  who the client is by now
---@field package since number? monotonic time since when it waits
---@field package maybe_sent boolean?
---@field package last_error stream_events.Error?

---@class stream_events.Sender
---@field gates { user: stream_events.Gate, backend: stream_events.Gate, to_users: stream_events.Gate }
---@field active boolean some may wait
---@field counts { superseded: integer, expired: integer, paced: integer, retried: integer }
local Sender = { __name = "stream_events.sender" }
Sender.__index = Sender

local function new_gate(is_user, pace)
  return { is_user = is_user, pace = pace, failures = 0 }
end

-- Only users have rates that are known from the start, and only on the hosted service.
local function user_pace(options)
  local is_hosted = options.base_url == options_module.HOSTED
  return pacing.new { minute = is_hosted and pacing.HOSTED.minute or nil, is_spread = true }
end

local function backend_pace()
  return pacing.new { is_spread = true }
end

---@param context table of the client: options, api, clock
---@return stream_events.Sender
function M.new(context)
  local gates = {
    user = new_gate(true, user_pace(context.options)),
    backend = new_gate(false, backend_pace()), to_users = new_gate(false, backend_pace()),
  }
  return setmetatable({
    context = context, api = context.api, now = context.clock.now,
    limits = context.limits, timeouts = context.options.timeouts,
    gates = gates, order = { gates.user, gates.backend, gates.to_users },
    active = false, turn = 0,
    counts = { superseded = 0, expired = 0, paced = 0, retried = 0 },
  }, Sender)
end

--- Gives a client what it sends with: its sender, and what writes its events.
---@param context table
function M.begin(context)
  context.encoder = payload.new(context.limits.event_size)
  context.sender = M.new(context)
end

-- Errors ------------------------------------------------------------------------------------------

local UNKNOWN = "whether the event has arrived is not known"

-- The answer of a send that ends with an error. Errors may be shared, so this changes none.
local function refusal(send, err)
  if not send.maybe_sent or err.maybe_sent then return err end
  local fields = {}
  for name, value in pairs(err) do fields[name] = value end
  fields.maybe_sent = true
  fields.message = ("%s; %s"):format(err.message, UNKNOWN)
  fields.hint = err.hint or (send.repeats and "Sent again with the same id it arrives once."
    or "Look before sending it again; with an id, where ids count, a repeated send arrives once.")
  return errors.new(fields)
end

local ENDED = { idle = true, closing = true }

-- Why a send of the user cannot go out; is_final: waiting would not help.
local function offline(session)
  if session.state == "failed" then
    local failure = session.failure
    return errors.new {
      kind = failure.kind, code = failure.code, hint = failure.hint, cause = failure, retryable = false,
      message = "not sent, the session has ended: " .. failure.message,
    }, true
  elseif ENDED[session.state] then
    return errors.new { kind = "closed", message = "not sent: disconnected" }, true
  end
  local reason = session.last_reason
  return errors.new {
    kind = "network", message = "not sent: offline" .. (reason and " (" .. reason .. ")" or ""),
    hint = "With { queue = true } a send waits until the connection is back.",
  }, false
end

local function too_old(seconds, last_error)
  return errors.new {
    kind = "timeout", message = ("not sent: it waited for %g seconds"):format(seconds), cause = last_error,
  }
end

local function superseded()
  return errors.new {
    kind = "full", superseded = true, message = "not sent: a newer event with the same key took its place",
  }
end

local function no_room(limit)
  return errors.new {
    kind = "full", retryable = true, message = ("not sent: %d sends wait already"):format(limit),
  }
end

local RATE_LIMIT = 9 -- the service's code for it

local function too_fast(seconds)
  return errors.new {
    kind = "full", code = RATE_LIMIT, retryable = true, retry_after = seconds,
    message = ("not sent: by the service's rate its turn comes in %.3g seconds"):format(seconds),
    hint = "Gather frequent updates into fewer events, or let newer ones supersede older ones (coalesce).",
  }
end

local function unreachable(seconds)
  return errors.new {
    kind = "network", retry_after = seconds,
    message = ("not sent: the server could not be reached, the next try is in %.3g seconds"):format(seconds),
  }
end

local function end_with(send, err)
  send:finish(nil, refusal(send, err))
end

-- Going out ---------------------------------------------------------------------------------------

-- The time from which on a gate lets the next one out, not before `now`; nil: an answer has to come first.
local function next_time(gate, now)
  local at = gate.pace:next(now)
  if gate.held and gate.held <= now then gate.held = nil end
  if at and gate.held and gate.held > at then return gate.held end
  return at
end

local function is_offline(self, gate)
  return gate.is_user and self.context.session.state ~= "online"
end

local function may_go(self, gate)
  return gate.queue ~= nil and self.api.counts.in_flight < self.limits.in_flight
    and not is_offline(self, gate) and gate.queue:is_ready()
end

local function go(self, send)
  local ok, err = send:prepare()
  if not ok then
    send.gate.queue:release(send)
    return end_with(send, err)
  end
  if send.max_age then send.expires = nil end -- its time for an answer begins now
  send.unsent = nil -- of the time before, where it goes again
  if (send.gate.paced_at or -math.huge) >= send.since then
    self.counts.paced = self.counts.paced + 1
    send.since = math.huge -- no second time
  end
  self.api:send(send)
end

local function expire(self, send)
  self.counts.expired = self.counts.expired + 1
  end_with(send, too_old(send.max_age or self.timeouts.request, send.last_error))
end

local function pump_gate(self, gate)
  local queue = gate.queue
  while may_go(self, gate) do
    local now = self.now()
    local at = next_time(gate, now)
    if not at or at > now then
      if not at or at ~= gate.held then gate.paced_at = now end
      return
    end
    local send = queue:next()
    if send.ends <= now then
      queue:release(send)
      expire(self, send)
    else
      go(self, send)
    end
  end
end

-- Lets those out whose turn it is.
local function pump(self)
  self.turn = self.turn + 1 -- another gate each time comes first
  local count = #self.order
  for i = 1, count do pump_gate(self, self.order[(self.turn + i) % count + 1]) end
end

-- Waiting -----------------------------------------------------------------------------------------

local function watch_age(self, send)
  local gate = send.gate
  if not gate.expires or send.ends < gate.expires then gate.expires = send.ends end
  self.active = true
end

local function queue_of(gate)
  -- Only here: most clients never let a send wait.
  if not gate.queue then gate.queue = require("stream_events.send_queue").new() end
  return gate.queue
end

-- Why a send may not wait; nil: it may.
local function no_waiting(self, send, now)
  local gate = send.gate
  local limit = self.limits.waiting
  if is_offline(self, gate) then
    local err, is_final = offline(self.context.session)
    if is_final or not send.queue then return err end
    limit = self.limits.queued
  else
    local at = gate.pace:next(now)
    if at and at > send.ends then return too_fast(at - now) end
    if gate.held and gate.held > send.ends then return unreachable(gate.held - now) end
  end
  local queue = queue_of(gate)
  if queue.count >= limit and not queue:waiting_for(send.key) then return no_room(limit) end
  return nil
end

local function supersede(self, queue, send)
  queue:remove(send)
  self.counts.superseded = self.counts.superseded + 1
  end_with(send, superseded())
end

-- Lets a send wait for its turn, which may be now.
local function submit(self, send)
  local now = self.now()
  send.since = now
  if send.max_age then
    send.ends = now + send.max_age
  else -- a plain one: the time for its answer is all it has
    send.expires = now + self.timeouts.request
    send.ends = send.expires
  end
  local err = no_waiting(self, send, now)
  if err then return send:finish(nil, err) end
  local queue = send.gate.queue
  local older = queue:waiting_for(send.key)
  if older then supersede(self, queue, older) end
  queue:add(send)
  watch_age(self, send)
  pump(self)
end

--- Sends an event: at once, or when its turn comes.
---@param send stream_events.Send
function Sender:send(send)
  local api, gate = self.api, send.gate
  if api.closed then return send:finish(nil, api.closed) end
  local queue = gate.queue
  if send.order or (queue and queue.count > 0) or not gate.pace.is_free or gate.held
    or api.counts.in_flight >= self.limits.in_flight or is_offline(self, gate) then
    return submit(self, send)
  end
  api:send(send)
end

-- Answers -----------------------------------------------------------------------------------------

-- Puts a send back that is tried again, unless that would be too late, or nobody wants it any more.
local function put_back(self, send, err)
  local gate, now = send.gate, self.now()
  if not send.ends then send.ends = send.expires end -- it went out directly
  send.since, send.last_error = send.since or now, err
  local at = next_time(gate, now)
  if (at or now) >= send.ends then return false, err end
  if is_offline(self, gate) then
    local ended, is_final = offline(self.context.session)
    if is_final then return false, send.maybe_sent and err or ended end
    if not send.queue then return false, err end
  end
  if not queue_of(gate):put_back(send) then
    self.counts.superseded = self.counts.superseded + 1
    return false, superseded()
  end
  self.counts.retried = self.counts.retried + 1
  watch_age(self, send)
  return true
end

-- Nothing goes out for a while: the server cannot be reached, or says so itself; "now" from one that fails
-- would be a storm.
local function hold(self, gate, seconds)
  gate.failures = gate.failures + 1
  seconds = math.max(seconds or 0, backoff.delay(gate.failures, self.context.random))
  gate.held = math.max(gate.held or 0, self.now() + seconds)
end

-- Whether the failure of a send is one that another try may get over.
local function may_pass(err)
  if err.status then return err.retryable and (err.status == 408 or err.status >= 500) end
  return err.kind == "network" or err.kind == "timeout"
end

-- Whether a send that failed so may go again by itself.
local function goes_again(self, send, err, is_unknown)
  if err.status == 429 then
    send.gate.held = math.max(send.gate.held or 0, self.now() + pacing.wait(err.retry_after))
    return true
  elseif is_unknown and not send.repeats then
    return false
  elseif send.queue then
    if not may_pass(err) then return false end
    hold(self, send.gate, err.retry_after)
    return true
  elseif send.repeats and send.repeats > 0 and err.kind == "network" then
    send.repeats = send.repeats - 1
    return true
  end
  return false
end

--- A send has failed. Gives the error to end it with; nil: it waits, to go out again.
---@param send stream_events.Send
---@param err stream_events.Error
---@return stream_events.Error?
function Sender:failed(send, err)
  local is_unknown
  if err.status then
    is_unknown = err.status >= 500 or err.status == 408
  else
    is_unknown = not send.unsent
  end
  if is_unknown then send.maybe_sent = true end
  if not self.api.closed and goes_again(self, send, err, is_unknown) then
    local done, failure = put_back(self, send, err)
    if done then return nil end
    err = failure
  end
  return refusal(send, err)
end

--- A send has its answer, and others may wait for that: they go out with the next step(). To be called where
--- its gate has a queue.
---@param send stream_events.Send
---@param is_good boolean
function Sender:answered(send, is_good)
  if is_good then send.gate.failures = 0 end
  send.gate.queue:release(send)
end

-- Changes -----------------------------------------------------------------------------------------

-- Ends those that wait at a gate and that `which`, where it is given, names.
local function end_waiting(gate, err, which)
  local queue = gate.queue
  if not queue or queue.count == 0 then return end
  for _, send in ipairs(queue:all()) do
    if not which or which(send) then
      queue:remove(send)
      end_with(send, err)
    end
  end
end

local function does_not_wait(send) return not send.queue end

--- The session is online: what waited for that goes out with the next step().
function Sender:online()
  local gate = self.gates.user
  gate.held, gate.failures = nil, 0
end

--- The session is not online any more.
function Sender:offline()
  if not self.active then return end
  local err, is_final = offline(self.context.session)
  end_waiting(self.gates.user, err, not is_final and does_not_wait or nil)
end

--- There is no user any more, and none of theirs goes out.
---@param err stream_events.Error
function Sender:user_gone(err)
  local gate = self.gates.user
  end_waiting(gate, err)
  gate.pace, gate.held, gate.failures = user_pace(self.context.options), nil, 0
end

--- Ends all that wait.
---@param err stream_events.Error
function Sender:close(err)
  for _, gate in ipairs(self.order) do end_waiting(gate, err) end
  self.active = false
end

-- Time --------------------------------------------------------------------------------------------

-- Ends what has become too old, and finds the next time to look.
local function sweep(self, gate, now)
  gate.expires = nil
  for _, send in ipairs(gate.queue:all()) do
    if send.ends <= now then
      gate.queue:remove(send)
      expire(self, send)
    else
      watch_age(self, send)
    end
  end
end

--- Does what is due; to be called while it is active.
function Sender:step()
  local now = self.now()
  self.active = false
  for _, gate in ipairs(self.order) do
    if gate.expires and now >= gate.expires then sweep(self, gate, now) end
    if gate.queue and gate.queue.count > 0 then self.active = true end
  end
  if self.active then pump(self) end
end

--- Monotonic time at which step() has something to do; nil: when an answer comes.
---@return number?
function Sender:deadline()
  local now, due = self.now(), nil
  for _, gate in ipairs(self.order) do
    if gate.queue and gate.queue.count > 0 then
      local at = may_go(self, gate) and next_time(gate, now) or gate.expires
      if gate.expires and gate.expires < at then at = gate.expires end
      if not due or at < due then due = at end
    end
  end
  return due
end

--- How many wait.
---@return integer
function Sender:waiting()
  local count = 0
  for _, gate in ipairs(self.order) do
    if gate.queue then count = count + gate.queue.count end
  end
  return count
end

return M
