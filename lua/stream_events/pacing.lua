--- When the next call may go out, so that the service need not refuse it (protocol §1.5, §12.2).
-- Pure: no I/O; the clocks are passed in. A pacer counts the calls of one user at one endpoint. Rates are
-- so many a minute and a thirtieth of that a second. It knows them from the start, or learns them from
-- what answers say; until then nothing is held back.
--
-- Two token buckets, one for the second and one for the minute, keep below the rates whenever the service's
-- own seconds and minutes begin. Once an answer has said how many calls the minute has left, that
-- takes the place of the second bucket: exact, and it counts the user's other devices as well.
local M = {}

local MINUTE = 60
local SECONDS = 30 -- a second may have a thirtieth of a minute's calls
-- What is kept away from a rate, for calls that arrive closer together than they were made.
local MARGIN = 1.05
-- The longest that a time on the service's clock is believed to be away: its windows are minutes.
local LONGEST_WINDOW = MINUTE
local SOON = 0.0001 -- seconds; nobody sleeps for less

---@class stream_events.Bucket
---@field burst number calls that may go at once
---@field interval number seconds for one to come back
---@field full_at number monotonic time at which all are back

---@class stream_events.Pacer
---@field limit integer? calls a minute; nil: not known, nothing is held back
---@field left integer? calls that the service's minute has left; nil: not known
---@field reset_at number? monotonic time at which that minute is over
---@field package not_before number the service has refused until then
local Pacer = { __name = "stream_events.pacer" }
Pacer.__index = Pacer

-- At most `limit` calls in any span of so many seconds, `burst` of them at once.
local function bucket(limit, seconds, burst)
  burst = math.max(1, math.floor(burst))
  return { burst = burst, interval = seconds * MARGIN / (limit - burst + 1), full_at = -math.huge }
end

local function keep_rate(self, limit)
  if limit == self.limit then return end
  self.limit = limit
  local second = math.max(1, math.ceil(limit / SECONDS))
  local by_second = bucket(second, 1, second / 2)
  local by_minute = bucket(limit, MINUTE, limit * self.burst_share)
  if self.by_second then -- what was taken stays taken
    by_second.full_at, by_minute.full_at = self.by_second.full_at, self.by_minute.full_at
  end
  self.by_second, self.by_minute = by_second, by_minute
end

---@class stream_events.PacerOptions
---@field now fun(): number monotonic seconds
---@field time fun(): number Unix seconds
---@field limit integer? calls a minute that are known to be allowed
---@field burst_share number? of a minute's calls that may go as fast as the second's rate lets them,
---  default a third; a larger burst leaves less for what follows it

---@param options stream_events.PacerOptions
---@return stream_events.Pacer
function M.new(options)
  local self = setmetatable({
    now = options.now, time = options.time, burst_share = options.burst_share or 1 / 3,
    not_before = -math.huge,
  }, Pacer)
  if options.limit then keep_rate(self, options.limit) end
  return self
end

-- Seconds until a bucket has one to give.
local function bucket_delay(of, now)
  return of.full_at - (of.burst - 1) * of.interval - now
end

local function take_from(of, now)
  of.full_at = math.max(of.full_at, now) + of.interval
end

-- The service's minute is over: the next one begins with all of its calls.
local function roll(self, now)
  if self.reset_at and now >= self.reset_at then
    self.left = self.limit
    self.reset_at = self.reset_at + MINUTE * (1 + math.floor((now - self.reset_at) / MINUTE))
    self.window = nil
  end
end

-- Seconds by what the minute has left. While half of it is there nothing is held back; from then on
-- the rest is spread over the time that is left, so that nobody has to wait for the whole of it.
local function window_delay(self, now)
  if self.left <= 0 then return self.reset_at - now end
  if self.left * 2 > self.limit then return 0 end
  return (self.last or -math.huge) + (self.reset_at - now) / (self.left + 1) - now
end

--- Seconds until the next call may go out; 0: now.
---@return number
function Pacer:delay()
  local now = self.now()
  local delay = self.not_before - now
  if self.limit then
    roll(self, now)
    local by_minute = self.left and window_delay(self, now) or bucket_delay(self.by_minute, now)
    delay = math.max(delay, bucket_delay(self.by_second, now), by_minute)
  end
  return delay > SOON and delay or 0
end

--- Counts a call that goes out now.
function Pacer:take()
  if not self.limit then return end
  local now = self.now()
  self.last = now
  take_from(self.by_second, now)
  take_from(self.by_minute, now)
  if self.left then self.left = self.left - 1 end
end

-- A whole number in a header; nil for everything else that a server may write there.
local function whole(text)
  local number = tonumber(text)
  if number and number >= 0 and number < 1e9 and number % 1 == 0 then return number end
end

--- Takes in what an answer says of the minute's calls. Not of an answer that refuses the call for its
--- rate: what that says may be of the second, or of an address.
---@param headers table<string, string>? in lower case
---@param others integer? calls that went out after the one answered, and have no answer so far
function Pacer:learn(headers, others)
  local limit = headers and whole(headers["x-ratelimit-limit"])
  if not limit or limit < 1 then return end
  local left, reset = whole(headers["x-ratelimit-remaining"]), tonumber(headers["x-ratelimit-reset"])
  local is_known = reset ~= nil and reset == self.window
  -- Where several limits count, an answer names the one that is met first: so within a minute the
  -- lowest is kept.
  keep_rate(self, is_known and math.min(limit, self.limit) or limit)
  if not left or not reset then return end
  if is_known then
    self.left = math.min(self.left, left)
    return
  end
  local wait = reset - self.time()
  if not (wait > 0 and wait <= LONGEST_WINDOW) then return end -- of a minute before, or a clock is wrong
  self.window, self.reset_at = reset, self.now() + wait
  self.left = math.max(0, left - (others or 0))
end

--- The service has refused a call for its rate (HTTP 429): none goes out for so long.
---@param seconds number? as the error's retry_after says; default a second
function Pacer:refused(seconds)
  self.not_before = math.max(self.not_before, self.now() + (seconds or 1))
end

return M
