--- How often callers may call (protocol §12.2): each user at each endpoint, and all users of a platform
-- together at each endpoint; and how often an address may fail to say who it is.
--
-- Calls are counted by the minute and by the second of the clock. The counts of a minute are thrown away
-- whole when it is over: that is all the sweeping there is, and nothing is kept of those who do not call.
-- Within a minute there is room for so many callers; those beyond it share what one of them would
-- have, so who comes under many names gains nothing by it.
local native = require "stream_events.native"
local addresses = require "stream_events.server.addresses"
local failures = require "stream_events.server.failure"
local rate_settings = require "stream_events.server.rate_settings"
local suggest = require "stream_events.suggest"

local M = {}

-- Callers that are told apart in one minute, counted once for every endpoint they call; users and
-- addresses each. An entry takes about 40 bytes.
local ROOM = 100000
local BEYOND = "" -- all who find no room; no user and no address has this name

-- What somebody is told who has no good token. Whose token is only too old has one with a good signature,
-- and has to be told so, since a new one helps.
local GUESSES = { [2] = true, [5] = true, [43] = true }

local PLATFORMS = { "server_side", "android", "ios", "web", "unity" }
local MAX_SDK = 256 -- bytes of a client's name that are looked at
local MAX_SDKS = 512 -- names that are remembered

-- A count is one integer, so that it needs one look-up and nothing is allocated: the calls of the minute,
-- then the second of the minute in which the last one came, then the calls of that second.
local CALLS, SECOND = 32, 26 -- where they begin
local IN_SECOND = (1 << SECOND) - 1
local WHICH = (1 << CALLS) - 1 - IN_SECOND

---@class stream_events.server.Counter
---@field most integer in a minute
---@field burst integer in a second
---@field whom string for people
---@field line string of answers
---@field counts table<string, integer> of this minute
---@field lines table<integer, string[]> likewise, by what is left
---@field room { left: integer }?

---@class stream_events.server.Rates
---@field private options stream_events.server.Options
---@field private time fun(): number
---@field private ends number native.now() at which this second is over
---@field private limits table<string, { user: Counter, network: Counter, app: Counter }> by endpoint, a
---  Counter or false: no limit; users by id, callers without a user by address, the app's by platform
local Rates = { __name = "stream_events.server.rates" }
Rates.__index = Rates

---@param options stream_events.server.Options looked at again every second, so that they may change
---@param endpoints table<string, true> those that there are
---@param log function
---@param time (fun(): number)? Unix seconds
---@return stream_events.server.Rates
function M.new(options, endpoints, log, time)
  return setmetatable({
    options = options, endpoints = endpoints, log = log, time = time or native.time,
    ends = -math.huge, minute = 0,
    sdks = {}, sdk_count = 0,
  }, Rates)
end

local function counter(most, whom, room)
  if most == 0 then return false end
  return {
    most = most, burst = rate_settings.burst(most), whom = whom, line = "X-RateLimit-Limit: " .. most,
    counts = {}, lines = {}, room = room,
  }
end

-- Begins to count anew.
local function begin(self)
  self.limits = {}
  self.room = { users = { left = ROOM }, networks = { left = ROOM } }
  local most = self.settings.failures
  self.failed = counter(most, "an address", self.room.networks)
  if self.failed then self.failed.burst = most end
end

local function warn_of_unknown(self)
  for _, name in ipairs(rate_settings.names(self.settings)) do
    if not self.endpoints[name] then
      self.log("warn", "a rate is set for an endpoint that is not there",
        { endpoint = name, meant = suggest.nearest(name, self.endpoints) })
    end
  end
end

-- A new second, and perhaps a new minute, or other settings.
local function roll(self, now)
  local wall = self.time()
  local second, minute = wall // 1, wall // 60
  local settings = rate_settings.changed(self.options, self.settings)
  self.ends, self.next_second = now + (second + 1 - wall), math.tointeger(second + 1)
  self.stamp = math.tointeger(second - minute * 60) << SECOND
  if settings then
    self.settings = settings
    warn_of_unknown(self)
  end
  if settings or minute ~= self.minute then
    self.minute, self.reset_at = minute, math.tointeger((minute + 1) * 60)
    self.reset_line = "X-RateLimit-Reset: " .. self.reset_at
    begin(self)
  end
end

--- Takes over settings that have changed at once, not with the next call: what is wrong with them is to
--- be known when they are given.
function Rates:look_again()
  roll(self, native.now())
end

-- One call more of a caller: the name under which it is counted, and its count then. Nothing is written
-- yet. nil when there is none left, and whether it is the second that is over.
local function one_more(of, key, stamp)
  local count = of.counts[key]
  if not count then
    if of.room and of.room.left <= 0 then key = BEYOND end
    count = of.counts[key] or 0
  end
  if count >> CALLS >= of.most then return nil, false end
  local in_second = count & WHICH == stamp and count & IN_SECOND or 0
  if in_second >= of.burst then return nil, true end
  return key, (count >> CALLS) + 1 << CALLS | stamp | in_second + 1
end

local function keep(of, key, count)
  of.counts[key] = count
  if count >> CALLS == 1 then of.room.left = of.room.left - 1 end
end

-- Users all have the same few numbers left, so their lines are made once a minute.
local SHARED = 1000

-- The lines of an answer: how many are allowed, how many are left, when the count begins again.
local function lines_for(self, of, count)
  local left = of.most - (count >> CALLS)
  local lines = of.lines[left]
  if not lines then
    lines = { of.line, "X-RateLimit-Remaining: " .. left, self.reset_line }
    if left < SHARED then of.lines[left] = lines end
  end
  return lines
end

local function refuse(self, of, is_second)
  local most, span = of.most, "minute"
  local reset = self.reset_at
  if is_second then most, span, reset = of.burst, "second", self.next_second end
  local wait = math.max(1, math.ceil(reset - self.time()))
  local failure = failures.new(9, ("Too many requests: %s may call this %d time%s a %s, try again in %d s")
    :format(of.whom, most, most == 1 and "" or "s", span, wait))
  failure.headers = {
    "X-RateLimit-Limit: " .. most, "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: " .. reset,
    "Retry-After: " .. wait,
  }
  return nil, failure
end

-- Makes the counters of an endpoint that is called for the first time in this minute.
local function make(self, endpoint)
  local of_user = rate_settings.of_user(self.settings, endpoint)
  local made = {
    user = counter(of_user, "a user", self.room.users),
    network = counter(of_user, "an address", self.room.networks),
    app = counter(rate_settings.of_app(self.settings, endpoint), "all clients of this kind together"),
  }
  self.limits[endpoint] = made
  return made
end

local function platform_of(text)
  text = text:sub(1, MAX_SDK):lower()
  if text:find("unity", 1, true) then return "unity" end
  if text:find("android", 1, true) then return "android" end
  if text:find("swift", 1, true) or text:find "%f[%a]ios%f[%A]" then return "ios" end
  return "web"
end

--- The platform of a call, out of what its X-Stream-Client says. Clients that it does not know, such as
--- this project's own, are counted with the Web's.
---@param caller stream_events.server.Caller
---@param sdk any hostile; what is no text says nothing
---@return "server_side"|"android"|"ios"|"web"|"unity"
function Rates:platform(caller, sdk)
  if caller.kind == "server" then return "server_side" end
  if type(sdk) ~= "string" then return "web" end
  local known = self.sdks[sdk]
  if known then return known end
  known = platform_of(sdk)
  if #sdk <= MAX_SDK then
    if self.sdk_count >= MAX_SDKS then self.sdks, self.sdk_count = {}, 0 end
    self.sdks[sdk], self.sdk_count = known, self.sdk_count + 1
  end
  return known
end

--- Takes a call, if there is one left. A call that is refused is not counted. Ask only when the option
--- rate_limits is on.
---@param now number native.now()
---@param endpoint string
---@param caller stream_events.server.Caller
---@param address string
---@param sdk any what X-Stream-Client says
---@return string[]? lines for the answer, shared: read only; empty without a limit
---@return stream_events.server.Failure? failure code 9, with the lines in its `headers`
function Rates:take(now, endpoint, caller, address, sdk)
  if now >= self.ends then roll(self, now) end
  local limits = self.limits[endpoint] or make(self, endpoint)
  local stamp, kind = self.stamp, caller.kind
  local of_user, of_app, key = limits.user, limits.app, caller.id
  local platform, count, app_count
  if kind == "server" then
    of_user = false
  elseif kind == "anonymous" then
    of_user, key = limits.network, addresses.owner(address)
  end
  if of_user then
    key, count = one_more(of_user, key, stamp)
    if not key then return refuse(self, of_user, count) end
  end
  if of_app then
    platform, app_count = one_more(of_app, self:platform(caller, sdk), stamp)
    if not platform then return refuse(self, of_app, app_count) end
    of_app.counts[platform] = app_count
  end
  if of_user then
    keep(of_user, key, count)
    -- What the caller is told of is what it will meet first.
    if not of_app or of_user.most - (count >> CALLS) <= of_app.most - (app_count >> CALLS) then
      return lines_for(self, of_user, count)
    end
  end
  return of_app and lines_for(self, of_app, app_count) or {}
end

--- Notes that a caller could not say who it is, by the setting max_auth_failures. A good token is never
--- looked at with this: who shares an address with an attacker goes on.
---@param now number native.now()
---@param address string
---@param failure stream_events.server.Failure what it would be told
---@return stream_events.server.Failure failure the same, or one with code 9 when there were too many
function Rates:auth_failed(now, address, failure)
  if now >= self.ends then roll(self, now) end
  local of = self.failed
  if not of or not GUESSES[failure.code] then return failure end
  local key, count = one_more(of, addresses.owner(address), self.stamp)
  if not key then
    local _, refused = refuse(self, of)
    refused.message = ("Too many failed attempts to authenticate: %d a minute are allowed to an address")
      :format(of.most)
    return refused
  end
  keep(of, key, count)
  return failure
end

--- The limits of the app and what is left of them.
---@param platforms string[]? nil: all
---@param endpoints string[]? nil: all. Those that are not there, or have no limit, are left out
---@return table<string, table<string, { limit: integer, remaining: integer, reset: integer }>>
function Rates:describe(platforms, endpoints)
  roll(self, native.now())
  if not endpoints then
    endpoints = {}
    for name in pairs(self.endpoints) do endpoints[#endpoints + 1] = name end
  end
  local result = {}
  for _, platform in ipairs(platforms or PLATFORMS) do
    local limits = {}
    for _, endpoint in ipairs(self.options.rate_limits == "hosted" and endpoints or {}) do
      local of = self.endpoints[endpoint] and (self.limits[endpoint] or make(self, endpoint)).app
      if of then
        local calls = (of.counts[platform] or 0) >> CALLS
        limits[endpoint] = { limit = of.most, remaining = of.most - calls, reset = self.reset_at }
      end
    end
    result[platform] = limits
  end
  return result
end

M.PLATFORMS = PLATFORMS

return M
