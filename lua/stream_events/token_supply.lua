--- The tokens of one user: where they come from, how long they last, and who waits for one.
-- A fixed token is all there is. A provider, a function of the program's, is asked once at a time for
-- everybody: before the present token runs out, and when the service says that it has. When it fails,
-- or when its new tokens are refused as well, it is asked again with growing pauses; whoever needs a
-- token meanwhile gets the reason instead. No I/O: workers run the provider, a clock is passed in.
local backoff = require "stream_events.backoff"
local errors = require "stream_events.error"
local timestamp = require "stream_events.timestamp"
local tokens = require "stream_events.token"

local M = {}

-- Asked for so long before the end: a share of the token's life, but no more than a minute.
local SHARE, AHEAD = 0.2, 60
-- A token that is refused as expired when it is younger than this was as good as expired when it came.
local YOUNG = 30 -- seconds
local ENOUGH = 5 -- seconds that are left to a token which is still good for a call or a connect
local LONGEST = 1000000 -- seconds after which a time that lies further ahead is looked at again

---@class stream_events.TokenSupply
---@field token string? in use now
---@field asked integer how often the provider was asked
---@field failed integer how often it gave no token, or one that was of no use
---@field last_error stream_events.Error? why there is no newer token; nil: nothing is wrong
---@field private provider function?
---@field private waiting function[]
local Supply = { __name = "stream_events.token_supply" }
Supply.__index = Supply

---@class stream_events.TokenSupplyOptions
---@field clock { now: fun(): number, time: fun(): number }
---@field random fun(): number in [0, 1)
---@field workers stream_events.Workers
---@field log stream_events.Logger
---@field limit number seconds within which a provider has to answer

---@param options stream_events.TokenSupplyOptions
---@return stream_events.TokenSupply
function M.new(options)
  return setmetatable({
    clock = options.clock, random = options.random, workers = options.workers, log = options.log,
    limit = options.limit,
    asked = 0, failed = 0, era = 0, accepted = 0, skew = 0, failures = 0, rejected = 0, waiting = {},
  }, Supply)
end

-- Times ---------------------------------------------------------------------------------------------

local function server_time(self)
  return self.clock.time() + self.skew
end

local function seconds_left(self)
  return self.exp and self.exp - server_time(self) or math.huge
end

-- Sets when something is to be done about the token's end: so long before it that there is time for
-- several attempts. The token's life, by the server's clock, begins when we get it.
local function schedule(self)
  self.renew_at = nil
  if not self.exp or self.is_warned then return end
  local now, left = self.clock.now(), seconds_left(self)
  self.life = self.exp - (self.got_on + self.skew)
  self.ahead = math.max(0, math.min(AHEAD, SHARE * self.life))
  -- Over when it came: then one of the clocks is wrong, and the service says so in time.
  if left <= 0 and not self.was_good then return end
  self.was_good = true
  self.renew_at = now + math.max(0, math.min(left - self.ahead, LONGEST))
end

local function is_running_out(self)
  return seconds_left(self) <= (self.ahead or 0)
end

--- Our clock was set by so many seconds, forwards, and no time has passed with that: the token lasts as long
--- as before.
---@param seconds number
function Supply:clock_set(seconds)
  self.skew = self.skew - seconds
  if self.got_on then self.got_on = self.got_on + seconds end
end

--- The machine was asleep, or our clock was set: how long the token lasts is counted anew.
function Supply:clock_moved()
  self.is_skew_sure = false
  if self.token and not self.not_before then schedule(self) end
end

--- Learns how far the server's clock is from ours, from the date of a frame that has come. Frames can
--- only be late, so the one that makes most of the server's clock says it best.
---@param date any RFC 3339
---@param received_at number seconds since 1970, by our clock
---@param is_first boolean? of its connection, and perhaps of another server
function Supply:heard_date(date, received_at, is_first)
  local time = timestamp.parse(date)
  local skew = time and time - received_at
  if not time or (self.is_skew_sure and not is_first and skew <= self.skew) then return end
  self.skew, self.is_skew_sure = skew, true
  if self.token and not self.not_before then schedule(self) end
end

-- Taking a token ------------------------------------------------------------------------------------

-- What a token may look like at all; a line break in one would end the header it stands in. Gives what
-- it claims, as far as that can be read.
local function check(token, user_id)
  if type(token) ~= "string" then
    return errors.fail("auth", "the token must be a string, not a " .. type(token))
  elseif token == "" then
    return errors.fail("auth", "the token must not be empty")
  end
  if token:find("[^\33-\126]") then
    return errors.fail("auth", "the token holds a space, a line break or other characters that no "
      .. "token has", { hint = "A token read from a file may end in a line break." })
  end
  local claims = tokens.decode(token) or {}
  local owner = claims.user_id
  if owner ~= nil and owner ~= user_id then
    return errors.fail("auth", ("the token is for the user '%s', not for '%s'")
      :format(tostring(owner), user_id),
      { code = 5, hint = "Every user has a token of their own: sign one for this id." })
  elseif claims.server then
    return errors.fail("auth", "this is a backend's token, not one of the user '" .. user_id .. "'",
      { code = 5, hint = "Sign a token that names this user." })
  end
  return claims
end

local function use(self, token, claims)
  local exp = claims.exp
  self.token, self.exp = token, type(exp) == "number" and exp == exp and exp or nil
  self.got_at, self.got_on = self.clock.now(), self.clock.time()
  self.is_refused, self.is_warned, self.was_good = false, false, false
  schedule(self)
  self.changed(token)
end

--- Begins to supply a user.
---@param user_id string
---@param source string|function|nil a token, a function that fetches one, or nil where none is needed
---@param changed fun(token: string) told of each token that is used from then on
---@return true? ok
---@return stream_events.Error? err kind "auth": a token that cannot be this user's
function Supply:begin(user_id, source, changed)
  local claims, err
  if type(source) == "string" then
    claims, err = check(source, user_id)
    if not claims then return nil, err end
  end
  self.user_id, self.changed = user_id, changed
  self.provider = type(source) == "function" and source or nil
  if claims then use(self, source, claims) end
  return true
end

-- The provider ---------------------------------------------------------------------------------------

local function answer(self, token, err)
  local waiting = self.waiting
  self.waiting, self.asking = {}, nil
  for _, done in ipairs(waiting) do done(token, err) end
end

-- The provider is to be left alone for a while.
---@param err stream_events.Error? nil: it has not failed
local function pause(self, failures, err)
  self.last_error = err
  self.not_before = self.clock.now() + backoff.delay(failures, self.random)
  self.renew_at = self.not_before
end

local function failed(self, err)
  self.failed, self.failures = self.failed + 1, self.failures + 1
  pause(self, self.failures, err)
  self.log("warning", "the token provider gave no token", {
    error = tostring(err), again_in = self.not_before - self.clock.now(),
  })
  -- Better than none: it may have to be renewed, but it is still good.
  local is_good = self.token and not self.is_refused and seconds_left(self) > 0
  answer(self, is_good and self.token or nil, err)
end

local function no_token(reason)
  local cause = errors.is(reason) and reason or (reason ~= nil and tostring(reason) or nil)
  return errors.new {
    kind = "auth", message = "the token provider gave no token"
      .. (cause and ": " .. (errors.is(cause) and cause.message or cause) or ""),
    cause = cause, retryable = true,
  }
end

local SAME_AGAIN = "The token function is asked when a token has expired, or is about to: it must then "
  .. "sign a new one, or fetch one that was signed just now."

-- The token that we have, once more: a provider that keeps its tokens may do that until they expire.
local function same_again(self)
  if self.is_refused then
    return failed(self, errors.new {
      kind = "auth", code = 40, message = "the token provider gave the token again that has expired",
      hint = SAME_AGAIN, retryable = true,
    })
  end
  self.failures = self.failures + 1
  pause(self, self.failures, nil)
  answer(self, self.token)
end

local function take(self, asking, token, claims)
  self.accepted = asking.number
  self.failures, self.not_before, self.last_error = 0, nil, nil
  use(self, token, claims)
  self.log("debug", "a new token", { expires = self.exp })
end

local function provided(self, asking, token, reason)
  if asking.era ~= self.era then return end -- another user, or closed meanwhile
  local is_late = self.asking ~= asking
  if is_late and (token == nil or self.accepted > asking.number) then return end
  if token == nil then return failed(self, no_token(reason)) end
  local claims, err = check(token, self.user_id)
  if is_late then
    if claims and token ~= self.token then take(self, asking, token, claims) end
  elseif not claims then
    failed(self, err)
  elseif token == self.token then
    same_again(self)
  else
    take(self, asking, token, claims)
    answer(self, token)
  end
end

-- The provider runs as a worker: it may wait for an answer as handlers may.
local function ask(self)
  self.asked = self.asked + 1
  local asking = { number = self.asked, era = self.era, ends = self.clock.now() + self.limit }
  self.asking, self.renew_at = asking, nil
  local provider, user_id = self.provider, self.user_id
  self.workers:push_job {
    function() provided(self, asking, provider(user_id)) end,
    what = "the token provider",
    failed = function(text) provided(self, asking, nil, "it raised: " .. text) end,
  }
end

-- One that does not come back counts as failed; what it brings after all is still taken.
local function look_at_call(self)
  if not self.asking or self.clock.now() < self.asking.ends then return end
  failed(self, errors.new {
    kind = "timeout", message = ("the token provider gave nothing within %g seconds"):format(self.limit),
  })
end

--- Whether a refused token can be replaced.
---@return boolean
function Supply:renewable()
  return self.provider ~= nil
end

-- A token that is refused so early was as good as expired when it came.
local function is_young(self)
  local young = self.exp and math.min(YOUNG, self.life / 2) or YOUNG
  return self.clock.now() - self.got_at < young
end

-- The service takes the present token no longer. The first time a new one is asked for at once.
local function refused(self)
  self.is_refused = true
  self.rejected = is_young(self) and self.rejected + 1 or 1
  if self.rejected < 2 or not self.provider then return end
  pause(self, self.rejected - 1, errors.new {
    kind = "auth", code = 40, message = "the new token has expired too", hint = SAME_AGAIN, retryable = true,
  })
end

-- What one gets who comes while the provider is left alone. It is not for him to end that when the
-- provider's tokens are of no use.
local function wait_error(self, insists)
  local left = self.not_before and self.not_before - self.clock.now() or 0
  local err = self.last_error
  if left <= 0 or not err or (insists and self.rejected < 2) then return nil end
  return errors.new {
    kind = err.kind, message = err.message, code = err.code, hint = err.hint, cause = err,
    retryable = true, retry_after = left,
  }
end

--- Gives a token to use now. The provider is asked once, for everybody who waits.
---@param refuses string? the token that the service no longer takes
---@param insists boolean? for one who has waited between his attempts: a provider that has failed is
---  asked all the same
---@param done fun(token: string?, err: stream_events.Error?) called at once when there is one
function Supply:need(refuses, insists, done)
  look_at_call(self)
  if refuses and refuses == self.token and not self.is_refused then refused(self) end
  local provider = self.provider
  local is_good = self.token and self.token ~= refuses and not (provider and self.is_refused)
  if is_good and not (provider and is_running_out(self)) then return done(self.token) end
  if not provider then
    return done(nil, errors.new { kind = "auth", code = 40, message = "the token was refused" })
  end
  local err = not self.asking and wait_error(self, insists)
  is_good = is_good and seconds_left(self) > ENOUGH
  if err and not is_good then return done(nil, err) end
  if not is_good then self.waiting[#self.waiting + 1] = done end
  if not err and not self.asking then ask(self) end
  if is_good then done(self.token) end
end

--- Ends the waiting for a token.
---@param err stream_events.Error
function Supply:give_up(err)
  answer(self, nil, err)
end

--- Supplies nobody any more. Whoever waits for a token gets an error.
function Supply:clear()
  self.era = self.era + 1
  self.provider, self.token, self.exp, self.renew_at = nil, nil, nil, nil
  self.not_before, self.last_error, self.failures, self.rejected, self.accepted = nil, nil, 0, 0, 0
  self:give_up(errors.new { kind = "closed", message = "disconnected" })
end

-- By the clock -----------------------------------------------------------------------------------------

-- A fixed token cannot be replaced: somebody should know before it is over.
local function warn_of_end(self)
  self.renew_at, self.is_warned = nil, true
  self.log("warning", "the token is about to expire, and it is a fixed one: calls will fail with code 40",
    { seconds_left = math.floor(seconds_left(self)) })
end

--- Renews the token when it is time; to be called while the user is connected.
function Supply:step()
  look_at_call(self)
  if self.asking or not self.renew_at or self.clock.now() < self.renew_at then return end
  if not self.not_before and not is_running_out(self) then
    schedule(self)
  elseif self.provider then
    ask(self)
  else
    warn_of_end(self)
  end
end

--- Monotonic time at which step() has something to do; nil: no such time.
---@return number?
function Supply:deadline()
  return self.asking and self.asking.ends or self.renew_at
end

--- When the present token runs out.
---@return number? exp seconds since 1970 by the server's clock; nil: never, or there is no token
---@return stream_events.Error? err why there is no newer one, while the provider fails
function Supply:expires()
  return self.exp, self.last_error
end

return M
