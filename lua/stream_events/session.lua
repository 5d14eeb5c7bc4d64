--- The life of a session: one signed-in user, through connects, losses and reconnects.
-- A state machine without I/O: what happens is told to it with input(), what is to be done it says
-- through `actions`, the time comes from a clock that is passed in (protocol §3).
--
-- | State      | Means                                      | Its time is over after                    |
-- | ---------- | ------------------------------------------ | ----------------------------------------- |
-- | idle       | nobody wants to be connected               |                                           |
-- | token      | the token is being fetched                 | timeouts.connect, of the whole attempt    |
-- | connecting | the socket is being opened                 | the same                                  |
-- | greeting   | open, waits for the first frame            | the same                                  |
-- | online     | connected                                  | timeouts.silence; timeouts.check in doubt |
-- | refused    | an error frame came; waits for its close   | timeouts.close                            |
-- | waiting    | offline, the retry is planned              | that of the retry                         |
-- | closing    | our close frame is on its way              | timeouts.close                            |
-- | failed     | stopped: a retry would not help            |                                           |
--
-- Where each input leads; a "." does nothing. `time` is a tick when the time is over: an earlier one sends
-- health checks while online, and does nothing elsewhere. `check`: the network may be another one now.
--
--               idle   token       connecting  greeting   online     refused    waiting  closing  failed
--   connect     token  .           .           .          .          .          .        .        token
--   token       .      connecting  .           .          .          .          .        .        .
--   no_token    .      (failure)   .           .          .          .          .        .        .
--   opened      .      .           greeting    .          .          .          .        .        .
--   hello       .      .           online      online     .          .          .        .        .
--   refused     .      .           (refusal)   (refusal)  (refusal)  .          .        .        .
--   lost        .      .           (failure)   (failure)  (failure)  (verdict)  .        idle     .
--   health      .      .           .           .          online     .          .        .        .
--   time        .      (failure)   (failure)   (failure)  (failure)  waiting    token    idle     .
--   check       .      .           (anew)      (anew)     online     .          (soon)   .        .
--   disconnect  idle   idle        idle        idle       closing    idle       idle     .        idle
--
-- (failure) of a first attempt, as long as connect has had no success: idle, its caller gets the error.
--           Later waiting; failed, where the code is one that no retry can change: 2, 5, 41, 42, 43.
-- (refusal) by the code of the error frame. 40, and another token can be had: token, at once; the second
--           time in a row a (failure). Of a first attempt: idle. 2, 5, 40 to 43: failed. What may pass by
--           itself (codes like 9 and -1): waiting. Any other: refused.
-- (verdict) closed with 1000: failed; otherwise waiting.
-- (anew)    token, when the attempt is older than timeouts.check; no second time before hello.
-- (soon)    token; when the last attempt began less than a second ago waiting, until it is a second.
local backoff = require "stream_events.backoff"
local errors = require "stream_events.error"

local M = {}

---@class stream_events.SessionActions
---@field fetch_token fun(fresh: boolean, insists: boolean) answers with input("token") or
---  input("no_token", err); fresh: another one than was refused; insists: this attempt was waited for
---@field open fun() begins to connect; answers with "opened", "hello", "refused", "lost"
---@field drop fun() ends the connection at once
---@field mute fun() delivers nothing more from the connection; answers with "lost"
---@field close fun() begins the closing handshake; answers with "lost"
---@field send_health fun()
---@field renewable fun(): boolean whether a new token can be had
---@field announce fun(change: table) the fields of connection.changed
---@field established fun(first: boolean) connected; first: for the first time since connect
---@field ended fun(err: stream_events.Error) connect has failed
---@field disconnected fun() disconnect is done

---@class stream_events.Session
---@field state "idle"|"token"|"connecting"|"greeting"|"online"|"refused"|"waiting"|"closing"|"failed"
---@field due number? monotonic time of the next tick that has something to do; nil: none
---@field failures integer consecutive ones; connections that were lost sooner than they were waited for count
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
---@field moved (fun(from: string, to: string))? told of each change of the state, once it is complete: it
---  may make another one

---@param options stream_events.SessionOptions
---@return stream_events.Session
function M.new(options)
  return setmetatable({
    state = "idle",
    now = options.now, random = options.random,
    timeouts = options.timeouts, actions = options.actions, moved = options.moved,
    failures = 0, reconnects = 0, moves = {},
  }, Session)
end

-- Codes that no retry with the same token and key can change (protocol §2.7).
local FATAL = { [2] = true, [5] = true, [41] = true, [42] = true, [43] = true }

local NORMAL = 1000 -- the close code that asks for no reconnect, after an error frame (protocol §3.5)
-- Seconds that the server's wish to be left alone (Retry-After) is heeded for. Calls obey longer; but here
-- a gateway's page would keep a client away that has nothing else to see by that the server is back.
local LONGEST_ASKED = 300
local EAGER = 1 -- seconds between attempts at least, however often one is asked for

local function enter(self, state, due)
  if self.moved then self.moves[#self.moves + 1] = { self.state, state } end
  self.state, self.due = state, due
end

local function tell_moves(self)
  while self.moves[1] do
    local move = table.remove(self.moves, 1)
    self.moved(move[1], move[2])
  end
end

local function begin_attempt(self)
  self.attempted = self.now()
  enter(self, "token", self.attempted + self.timeouts.connect) -- for the whole attempt
end

local function fetch(self, fresh, insists)
  begin_attempt(self)
  self.actions.fetch_token(fresh, insists)
end

local function announce_offline(self, err, retry_in)
  self.last_reason, self.last_error = err.message, err
  self.actions.announce {
    online = false, reason = err.message, kind = err.kind, code = err.code, error = err,
    will_retry = retry_in ~= nil, retry_in = retry_in,
  }
end

-- A server that greets and hangs up at once is to be left alone as one that does not greet.
local function has_lasted(self)
  return self.online_at ~= nil and self.now() - self.online_at >= self.waited
end

---@param asked number? seconds that the server wants to be left alone
local function plan_retry(self, err, asked)
  if has_lasted(self) then self.failures = 0 end
  self.failures = self.failures + 1
  local delay = backoff.delay(self.failures, self.random)
  self.online_at, self.waited = nil, delay
  -- As long as the server asks for; and then spread by chance, as ever.
  delay = delay + math.min(asked or 0, LONGEST_ASKED)
  enter(self, "waiting", self.now() + delay)
  announce_offline(self, err, delay)
end

local function stop(self, err)
  enter(self, "failed")
  self.failure = err
  announce_offline(self, err, nil)
end

-- An attempt, or a connection, has come to nothing.
local function fail(self, err, fatal, asked)
  self.actions.drop()
  if not self.was_online then
    enter(self, "idle")
    self.actions.ended(err)
  elseif fatal then
    stop(self, err)
  else
    plan_retry(self, err, asked)
  end
end

local function lost(self, err)
  fail(self, err, FATAL[err.code], err.retry_after)
end

-- When the function may be asked again is its supply's matter.
local function no_token(self, err)
  fail(self, err, FATAL[err.code])
end

-- A token that the service no longer takes, where another can be had.
local function expired(self, err)
  local again = self.renewed
  self.fresh, self.renewed = true, true
  if again then
    err.hint = "The token function was asked again, and its new token has expired too: it must sign "
      .. "a new one each time, on a machine whose clock is right."
    return fail(self, err, false)
  end
  local is_news = self.state == "online"
  self.actions.drop()
  begin_attempt(self)
  if is_news then announce_offline(self, err, 0) end
  -- Whoever was told may have disconnected.
  if self.state == "token" then self.actions.fetch_token(true, false) end
end

-- An error frame.
local function refused(self, err)
  local is_expired = err.code == 40
  if is_expired and self.actions.renewable() then return expired(self, err) end
  local is_fatal = FATAL[err.code] or is_expired
  if is_fatal or err.retryable or not self.was_online then return fail(self, err, is_fatal) end
  self.refusal = err
  enter(self, "refused", self.now() + self.timeouts.close)
  self.actions.mute()
end

-- What followed the error frame.
local function judge(self, err)
  fail(self, self.refusal, err.code == NORMAL)
end

local function begin(self)
  self.was_online, self.failure, self.fresh, self.renewed = false, nil, false, false
  self.failures, self.waited, self.online_at, self.is_anew = 0, 0, nil, false
  fetch(self, false, true)
end

local function have_token(self)
  enter(self, "connecting", self.due)
  self.actions.open()
end

-- Silence is over the limit only just after it.
local function plan_tick(self, heard)
  self.due = math.min(self.health_at, heard + self.timeouts.silence + 0.001)
  if self.doubted then self.due = math.min(self.due, self.doubted + self.timeouts.check) end
end

local function hello(self)
  local first = not self.was_online
  enter(self, "online")
  self.was_online, self.fresh, self.renewed = true, false, false
  self.is_anew, self.doubted = false, nil
  local now = self.now()
  self.online_at = now
  self.health_at = now + self.timeouts.health
  plan_tick(self, now)
  if not first then self.reconnects = self.reconnects + 1 end
  self.actions.announce {
    online = true, reason = first and "connected" or "reconnected", will_retry = false,
  }
  -- Whoever was told may have disconnected.
  if self.state == "online" then self.actions.established(first) end
end

local function attempt_tick(self)
  if self.now() < self.due then return end
  local what = self.state == "token" and "no token" or "no connection"
  fail(self, errors.new {
    kind = "timeout", message = ("%s within %g seconds"):format(what, self.timeouts.connect),
  }, false)
end

local function silent(self, seconds)
  fail(self, errors.new {
    kind = "timeout", message = ("nothing heard from the server for %g seconds"):format(seconds),
  }, false)
end

local function online_tick(self, heard)
  local now = self.now()
  if self.doubted and heard > self.doubted then self.doubted = nil end
  if self.doubted and now >= self.doubted + self.timeouts.check then
    return silent(self, self.timeouts.check)
  elseif now - heard > self.timeouts.silence then
    return silent(self, self.timeouts.silence)
  end
  local is_due = now >= self.health_at
  if is_due then self.health_at = now + self.timeouts.health end
  plan_tick(self, heard)
  if is_due then self.actions.send_health() end
end

-- In doubt: the server has to be heard soon.
local function doubt(self)
  if self.doubted then return end
  local now = self.now()
  self.doubted, self.health_at = now, now + self.timeouts.health
  self.due = math.min(self.due, now + self.timeouts.check)
  self.actions.send_health()
end

local function waiting_tick(self)
  if self.now() >= self.due then fetch(self, self.fresh, true) end
end

-- The network may be back: without waiting for the time that was planned, and from the shortest waits on.
local function hurry(self)
  self.failures = 0
  local wait = self.attempted + EAGER - self.now()
  if wait <= 0 then return fetch(self, self.fresh, true) end
  if self.now() + wait >= self.due then return end
  self.due = self.now() + wait
  announce_offline(self, self.last_error, wait)
end

-- An attempt may hang that was begun over a network which is gone. One that is only slow must not be
-- given up again and again.
local function try_anew(self)
  if self.is_anew or self.now() - self.attempted < self.timeouts.check then return end
  self.is_anew = true
  self.actions.drop()
  fetch(self, self.fresh, true)
end

local function announce_goodbye(self)
  announce_offline(self, errors.new { kind = "closed", message = "disconnected", code = NORMAL }, nil)
end

local function said_goodbye(self)
  self.actions.drop()
  enter(self, "idle")
  announce_goodbye(self)
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
  self.actions.drop()
  enter(self, "idle")
  if self.was_online then
    announce_goodbye(self)
  else
    self.actions.ended(errors.new { kind = "closed", message = "disconnected while connecting" })
  end
  self.actions.disconnected()
end

local function nothing_to_leave(self)
  enter(self, "idle")
  self.actions.disconnected()
end

local function heard_health(self)
  self.doubted = nil
  self.health_at = self.now() + self.timeouts.health
end

local function refused_tick(self)
  if self.now() >= self.due then fail(self, self.refusal, false) end
end

local on = {
  idle = { connect = begin, disconnect = nothing_to_leave },
  failed = { connect = begin, disconnect = nothing_to_leave },
  token = { token = have_token, no_token = no_token, tick = attempt_tick, disconnect = leave },
  connecting = {
    opened = function(self) enter(self, "greeting", self.due) end,
    hello = hello, refused = refused, lost = lost, tick = attempt_tick, check = try_anew,
    disconnect = leave,
  },
  greeting = {
    hello = hello, refused = refused, lost = lost, tick = attempt_tick, check = try_anew,
    disconnect = leave,
  },
  online = {
    health = heard_health, refused = refused, lost = lost, tick = online_tick, check = doubt,
    disconnect = say_goodbye,
  },
  refused = { lost = judge, tick = refused_tick, disconnect = leave },
  waiting = { tick = waiting_tick, check = hurry, disconnect = leave },
  closing = { lost = said_goodbye, tick = closing_tick },
}

--- Tells the session what has happened.
---@param name "connect"|"token"|"no_token"|"opened"|"hello"|"refused"|"lost"|"health"|"tick"|"check"
---  |"disconnect"
---@param value any the error of no_token, refused and lost; the time bytes last came, of tick
function Session:input(name, value)
  local act = on[self.state][name]
  if act then act(self, value) end
  tell_moves(self)
end

--- Ends it without another action: the client is closed.
function Session:close()
  enter(self, "idle")
  tell_moves(self)
end

--- Whether connect may be told to it.
---@return boolean
function Session:at_rest()
  return self.state == "idle" or self.state == "failed"
end

return M
