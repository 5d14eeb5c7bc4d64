--- The life of a session: one signed-in user, through connects, losses and reconnects.
-- A state machine without I/O: what happens is told to it with input(), what is to be done it says
-- through `actions`, the time comes from a clock that is passed in (protocol §3).
--
-- | State      | Means                          | Leaves it on                                        |
-- | ---------- | ------------------------------ | --------------------------------------------------- |
-- | idle       | nobody wants to be connected   | connect -> token                                    |
-- | token      | the token is being fetched     | token -> connecting; no_token, time -> (failure)    |
-- | connecting | the socket is being opened     | opened -> greeting; lost, time -> (failure)         |
-- | greeting   | waits for the first frame      | hello -> online; refused, lost, time -> (failure)   |
-- | online     | connected                      | lost, refused, silence -> (failure)                 |
-- | waiting    | offline, the retry is planned  | time -> token                                       |
-- | closing    | our close frame is on its way  | lost, time -> idle                                  |
-- | failed     | stopped: a retry would not help| connect -> token                                    |
--
-- (failure): before the first success -> idle, the caller of connect gets the error; after it ->
-- waiting, or -> failed where no retry can help. disconnect leads to idle from everywhere, from
-- online by way of closing. An input that a state does not name changes nothing.
local backoff = require "stream_events.backoff"
local errors = require "stream_events.error"

local M = {}

---@class stream_events.SessionActions
---@field fetch_token fun(fresh: boolean) answers with input("token") or input("no_token", err)
---@field open fun() begins to connect; answers with "opened", "hello", "refused", "lost"
---@field drop fun() ends the connection at once
---@field close fun() begins the closing handshake; answers with "lost"
---@field send_health fun()
---@field renewable fun(): boolean whether a new token can be had
---@field announce fun(change: table) the fields of connection.changed
---@field established fun(first: boolean) connected; first: for the first time since connect
---@field ended fun(err: stream_events.Error) connect has failed
---@field disconnected fun() disconnect is done

---@class stream_events.Session
---@field state string
---@field due number? monotonic time of the next tick that has something to do; nil: none
---@field failures integer consecutive ones
---@field reconnects integer
---@field failure stream_events.Error? why the state is "failed"
---@field last_reason string? of the last loss
local Session = { __name = "stream_events.session" }
Session.__index = Session

---@class stream_events.SessionOptions
---@field now fun(): number monotonic seconds
---@field random fun(): number in [0, 1)
---@field timeouts stream_events.Timeouts
---@field actions stream_events.SessionActions

---@param options stream_events.SessionOptions
---@return stream_events.Session
function M.new(options)
  return setmetatable({
    state = "idle",
    now = options.now, random = options.random,
    timeouts = options.timeouts, actions = options.actions,
    failures = 0, reconnects = 0,
  }, Session)
end

-- Codes that no retry with the same token and key can change (protocol §2.7).
local FATAL = { [2] = true, [5] = true, [41] = true, [42] = true, [43] = true }

local function enter(self, state, due)
  self.state, self.due = state, due
end

local function fetch(self, fresh)
  enter(self, "token", self.now() + self.timeouts.connect) -- for the whole attempt
  self.actions.fetch_token(fresh)
end

local function announce_offline(self, err, retry_in)
  self.last_reason = err.message
  self.actions.announce {
    online = false, reason = err.message, kind = err.kind, code = err.code, error = err,
    will_retry = retry_in ~= nil, retry_in = retry_in,
  }
end

local function plan_retry(self, err)
  self.failures = self.failures + 1
  local delay = backoff.delay(self.failures, self.random)
  enter(self, "waiting", self.now() + delay)
  announce_offline(self, err, delay)
end

local function stop(self, err)
  enter(self, "failed")
  self.failure = err
  announce_offline(self, err, nil)
end

-- An attempt, or a connection, has come to nothing.
local function fail(self, err, fatal)
  self.actions.drop()
  if not self.was_online then
    enter(self, "idle")
    self.actions.ended(err)
  elseif fatal then
    stop(self, err)
  else
    plan_retry(self, err)
  end
end

local function lost(self, err)
  fail(self, err, false)
end

-- An error frame. The server closes with 1000 after it, which asks for no reconnect; we come back
-- only when its code says that waiting helps, or when the token is what has to change.
local function refused(self, err)
  if err.code == 40 and self.actions.renewable() then
    local again = self.renewed
    self.fresh, self.renewed = true, true
    if again then
      err.hint = "The token function was asked again, and its new token has expired too: it must sign "
        .. "a new one each time, on a machine whose clock is right."
      return fail(self, err, false)
    end
    self.actions.drop()
    if self.state == "online" then announce_offline(self, err, 0) end
    return fetch(self, true)
  end
  fail(self, err, FATAL[err.code] or not err.retryable)
end

local function begin(self)
  self.was_online, self.failure, self.fresh, self.renewed = false, nil, false, false
  self.failures = 0
  fetch(self, false)
end

local function have_token(self)
  self.state = "connecting"
  self.actions.open()
end

-- Silence is over the limit only just after it.
local function plan_tick(self, heard)
  self.due = math.min(self.health_at, heard + self.timeouts.silence + 0.001)
end

local function hello(self)
  local first = not self.was_online
  self.state = "online"
  self.was_online, self.failures, self.fresh, self.renewed = true, 0, false, false
  local now = self.now()
  self.health_at = now + self.timeouts.health
  plan_tick(self, now)
  if not first then self.reconnects = self.reconnects + 1 end
  self.actions.announce { online = true, will_retry = false }
  self.actions.established(first)
end

local function attempt_tick(self)
  if self.now() < self.due then return end
  local what = self.state == "token" and "no token" or "no connection"
  fail(self, errors.new {
    kind = "timeout", message = ("%s within %g seconds"):format(what, self.timeouts.connect),
  }, false)
end

local function online_tick(self, heard)
  local now = self.now()
  if now - heard > self.timeouts.silence then
    return fail(self, errors.new {
      kind = "timeout",
      message = ("nothing heard from the server for %g seconds"):format(self.timeouts.silence),
    }, false)
  end
  if now >= self.health_at then
    self.health_at = now + self.timeouts.health
    self.actions.send_health()
  end
  plan_tick(self, heard)
end

local function waiting_tick(self)
  if self.now() >= self.due then fetch(self, self.fresh) end
end

local function said_goodbye(self)
  self.actions.drop()
  enter(self, "idle")
  announce_offline(self, errors.new { kind = "closed", message = "disconnected", code = 1000 }, nil)
  self.actions.disconnected()
end

local function closing_tick(self)
  if self.now() >= self.due then said_goodbye(self) end
end

local function say_goodbye(self)
  -- The transport ends the handshake itself; this is for one that does not.
  enter(self, "closing", self.now() + self.timeouts.close + 0.5)
  self.actions.close()
end

-- disconnect while there is no connection to say goodbye on.
local function leave(self)
  local first = not self.was_online
  self.actions.drop()
  enter(self, "idle")
  if first then
    self.actions.ended(errors.new { kind = "closed", message = "disconnected while connecting" })
  end
  self.actions.disconnected()
end

local function nothing_to_leave(self)
  enter(self, "idle")
  self.actions.disconnected()
end

local function heard_health(self)
  self.health_at = self.now() + self.timeouts.health
end

local on = {
  idle = { connect = begin, disconnect = nothing_to_leave },
  failed = { connect = begin, disconnect = nothing_to_leave },
  token = { token = have_token, no_token = lost, tick = attempt_tick, disconnect = leave },
  connecting = {
    opened = function(self) self.state = "greeting" end,
    hello = hello, refused = refused, lost = lost, tick = attempt_tick, disconnect = leave,
  },
  greeting = {
    hello = hello, refused = refused, lost = lost, tick = attempt_tick, disconnect = leave,
  },
  online = {
    health = heard_health, refused = refused, lost = lost, tick = online_tick,
    disconnect = say_goodbye,
  },
  waiting = { tick = waiting_tick, disconnect = leave },
  closing = { lost = said_goodbye, tick = closing_tick },
}

--- Tells the session what has happened.
---@param name "connect"|"token"|"no_token"|"opened"|"hello"|"refused"|"lost"|"health"|"tick"|"disconnect"
---@param value any the error of no_token, refused and lost; the time bytes last came, of tick
function Session:input(name, value)
  local act = on[self.state][name]
  if act then act(self, value) end
end

--- Ends it without another action: the client is closed.
function Session:close()
  enter(self, "idle")
end

--- Whether connect may be told to it.
---@return boolean
function Session:at_rest()
  return self.state == "idle" or self.state == "failed"
end

return M
