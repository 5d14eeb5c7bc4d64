--- How often an endpoint may be called: so many calls in a minute and in a second (protocol §12.2), and
-- what the service says of it with its answers. Pure: the time is passed in.
--
-- A call counts from when it is made until a second, or a minute, after its answer. The service counts it
-- somewhere in between, so that no second and no minute of the service's clock ever sees too many.
local M = {}

-- What one user may do on the hosted service, at each endpoint.
M.HOSTED = { minute = 60 }

local SECONDS = 30 -- a second may have this part of what a minute may
local SECOND, MINUTE = 1.01, 60.1 -- a little more than they are: timers are not exact

---@class stream_events.Pace of one endpoint
---@field minute integer? calls in a minute; nil: any number
---@field is_free boolean no limit is known, so any number may be made
---@field second integer? calls in a second
---@field in_flight integer calls without an answer
---@field is_known boolean whether an answer has shown what is allowed
---@field private most integer? what `minute` never exceeds
---@field private is_spread boolean
---@field private times number[] when answers came, those of the last minute
---@field private held number? no call before that
---@field private left integer? calls that the service has left us, until `left_until`
---@field private reset number? of the limit that was told last
---@field private told_at number? when an answer named a limit
local Pace = { __name = "stream_events.pace" }
Pace.__index = Pace

local function set_limit(self, minute)
  self.minute, self.second, self.is_free = minute, math.max(1, math.ceil(minute / SECONDS)), false
end

---@param limits { minute: integer?, is_spread: boolean? }? minute: at most, whatever the service says; nil:
---  calls are not limited until it says that they are; is_spread: once half of a minute's calls are made the
---  rest is spread over what is left of it, for calls that must not have to wait for all of that
---@return stream_events.Pace
function M.new(limits)
  local most = limits and limits.minute
  local self = setmetatable({
    is_free = true, in_flight = 0, is_known = most ~= nil, times = {}, first = 1, last = 0, most = most,
    is_spread = limits and limits.is_spread or false,
  }, Pace)
  if most then set_limit(self, most) end
  return self
end

local function forget_old(self, now)
  while self.first <= self.last and self.times[self.first] <= now - MINUTE do
    self.times[self.first] = nil
    self.first = self.first + 1
  end
  if self.first > self.last then self.first, self.last = 1, 0 end
end

-- When there is room for one more among `most` calls in `span` seconds; nil: with the next answer.
local function room_at(self, most, span)
  local answered = most - self.in_flight -- that still leave no room
  if answered <= 0 then return nil end
  local at = self.last - answered + 1
  return at < self.first and -math.huge or self.times[at] + span
end

-- When the next one comes where they are spread.
local function spread_at(self)
  local last = self.times[self.last]
  if not last then return -math.huge end
  local room = self.minute - self.in_flight - (self.last - self.first + 1)
  local ends = self.times[self.first] + MINUTE -- of the time that `room` has to do for
  if self.left and self.left < room then room, ends = self.left, self.left_until end
  if room < 1 or room * 2 >= self.minute then return -math.huge end
  return last + (ends - last) / (room + 1)
end

--- The time from which on the next call may be made.
---@param now number monotonic seconds
---@return number? time not before `now`; nil: it takes an answer to one of those in flight
function Pace:next(now)
  local at = math.max(now, self.held or now)
  if not self.minute then return at end
  forget_old(self, now)
  local in_second = room_at(self, self.second, SECOND)
  local in_minute = in_second and room_at(self, self.minute, MINUTE)
  if not in_minute then return nil end
  at = math.max(at, in_second, in_minute)
  if self.left and self.left <= 0 then at = math.max(at, self.left_until) end
  if self.is_spread then at = math.max(at, spread_at(self)) end
  return at
end

--- The same for whoever has many calls to make: one after another, as long as no answer has shown what is
--- allowed.
---@param now number monotonic seconds
---@return number? time
function Pace:next_of_many(now)
  if not self.is_known and self.in_flight > 0 then return nil end
  return self:next(now)
end

--- Seconds that so many calls take at least, when none was made before.
---@param count integer
---@return number
function Pace:duration(count)
  if not self.minute or count < 1 then return 0 end
  local minutes = math.floor((count - 1) / self.minute)
  return minutes * MINUTE + math.floor((count - minutes * self.minute - 1) / self.second) * SECOND
end

--- A call is made.
function Pace:made()
  self.in_flight = self.in_flight + 1
  if self.left then self.left = self.left - 1 end
end

local function number_of(text, most)
  local number = tonumber(text)
  if number and number >= 0 and number <= most and number % 1 == 0 then return number end
  return nil
end

-- Of a limit that answers have not named for a minute nothing is left: it was lifted, or it was somebody
-- else's on the way.
local function forget_limit(self, now)
  if not self.told_at or now - self.told_at < MINUTE then return end
  self.told_at, self.left, self.reset = nil, nil, nil
  if self.most then return set_limit(self, self.most) end
  self.minute, self.second, self.is_free = nil, nil, true
  self.times, self.first, self.last = {}, 1, 0
end

-- What an answer says: the limit that is nearest. It may be another one from answer to answer (that of the
-- user, that of the app), so a higher one counts only when a new minute has begun.
local function told(self, now, headers, wall)
  local limit = number_of(headers["x-ratelimit-limit"], 1e9)
  local left = number_of(headers["x-ratelimit-remaining"], 1e9)
  local reset = number_of(headers["x-ratelimit-reset"], 1e12)
  if not limit or limit < 1 then return forget_limit(self, now) end
  self.told_at = now
  if not self.minute or limit < self.minute or reset ~= self.reset then
    set_limit(self, math.min(limit, self.most or limit))
  end
  if not left or not reset then return end
  self.reset = reset
  self.left, self.left_until = left - self.in_flight, now + math.max(0, math.min(reset - wall, MINUTE))
end

--- A call has its answer, or will have none.
---@param now number monotonic seconds
---@param headers table<string, string>? of the answer, in lower case
---@param wall number Unix seconds
function Pace:answered(now, headers, wall)
  self.in_flight = math.max(0, self.in_flight - 1)
  if self.left and now >= self.left_until then self.left = nil end
  if headers then
    self.is_known = true
    told(self, now, headers, wall)
  end
  if not self.minute then return end
  forget_old(self, now)
  self.last = self.last + 1
  self.times[self.last] = now
end

--- A call has its answer, where nothing is limited so far and nothing in the answer says that something is:
--- what most servers of one's own give, and nobody has to ask the clocks for it.
---@param headers table<string, string>? in lower case
---@return boolean done false: answered() is to be called
function Pace:answered_freely(headers)
  if not self.is_free or not self.is_known or (headers and headers["x-ratelimit-limit"]) then return false end
  local in_flight = self.in_flight
  if in_flight > 0 then self.in_flight = in_flight - 1 end
  return true
end

local SHORTEST = 1 -- seconds; Retry-After knows no shorter ones

--- How long to wait after a call that was one too many (status 429). "Now", as a service says whose clock is
--- behind ours, too, would be a storm of calls that are refused as well.
---@param seconds number? as the answer says
---@return number seconds
function M.wait(seconds)
  return math.max(seconds or 0, SHORTEST)
end

--- A call has its answer: it was one too many (status 429).
---@param now number monotonic seconds
---@param seconds number? to wait, as the answer says (Retry-After)
function Pace:refused(now, seconds)
  self:answered(now, nil, 0)
  self.held = math.max(self.held or now, now + M.wait(seconds))
end

---@class stream_events.Paces of the connected user, each endpoint counted by itself
---@field private limits { minute: integer }?
---@field private by_name table<string, stream_events.Pace>
local Paces = { __name = "stream_events.paces" }
Paces.__index = Paces

---@param limits { minute: integer }? as of new(), for each endpoint
---@return stream_events.Paces
function M.endpoints(limits)
  return setmetatable({ limits = limits, by_name = {} }, Paces)
end

--- The pace of an endpoint.
---@param name string as in protocol §12.2
---@return stream_events.Pace
function Paces:of(name)
  local pace = self.by_name[name]
  if not pace then
    pace = M.new(self.limits)
    self.by_name[name] = pace
  end
  return pace
end

return M
