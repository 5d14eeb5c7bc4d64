--- What a client does by the clock beside its session: renews tokens ahead of time, and notices that
-- the machine or the program was asleep. What was a connection before may be none then; and the clock
-- that deadlines go by has stood still.
local M = {}

local INTERVAL = 5 -- seconds between two looks at the clocks where nothing else brings a turn
local SLEEP = 2 -- seconds of sleep, or of a clock that was set, that are worth a look at the connection
local PAUSE = 15 -- seconds without a turn: the program was stopped, or did something else

-- States of the session in which somebody waits for something of the network's.
local LOOKS = { connecting = true, greeting = true, online = true, waiting = true }

---@class stream_events.Upkeep
---@field sleeps integer how often that was noticed
---@field woke boolean check() is to be called
local Upkeep = { __name = "stream_events.upkeep" }
Upkeep.__index = Upkeep

---@param context table of the client: clock, transport, identity, session, log
---@return stream_events.Upkeep
function M.new(context)
  local clock = context.clock
  -- A clock of the program's own need not have slept().
  local slept = clock.slept or function() return clock.time() - clock.now() end
  return setmetatable({
    context = context, session = context.session, supply = context.identity.supply,
    clock = clock, now = clock.now, slept = slept,
    last = clock.now(), offset = slept(), dates = clock.time() - clock.now() - slept(),
    sleeps = 0, woke = false, ticks = false,
  }, Upkeep)
end

-- The clock of dates was set: it is not where the clock leads that goes on in sleep. (Where that one is made
-- of dates itself, it looks like sleep.)
local function look_at_dates(self, now, offset)
  local dates = self.clock.time() - now - offset
  local set = dates - self.dates
  if math.abs(set) < SLEEP then return end
  self.dates = dates
  self.supply:clock_set(set)
end

-- The alarm goes off by the clock that does not stand still; where there is none, a turn has to come.
local function set_alarm(self, now)
  local transport = self.context.transport
  local is_set = transport.alarm and transport:alarm(INTERVAL)
  self.look_at, self.ticks = now + INTERVAL, not is_set
end

local function awake(self, asleep, paused)
  self.sleeps = self.sleeps + 1
  self.context.log("info", "awake again: the connection is checked", { asleep = asleep, paused = paused })
  self.supply:clock_moved()
  self.context.transport:end_idle()
  self.woke = true
end

--- To be called after all that had arrived before was read: only what comes now is a sign of life.
function Upkeep:check()
  self.woke = false
  self.session:input("check")
end

--- To be called once a turn, before events are delivered.
function Upkeep:step()
  local now, offset = self.now(), self.slept()
  local asleep, paused = offset - self.offset, now - self.last
  self.last, self.offset = now, offset
  look_at_dates(self, now, offset)
  local session = self.session
  if not LOOKS[session.state] then
    self.look_at = nil
    return
  end
  if asleep >= SLEEP or paused >= PAUSE then awake(self, asleep, paused) end
  if session.state == "online" then self.supply:step() end
  if not self.look_at or now >= self.look_at then set_alarm(self, now) end
end

--- Monotonic time at which step() has something to do; nil: no such time.
---@return number?
function Upkeep:deadline()
  local state = self.session.state
  local due = state == "online" and self.supply:deadline() or nil
  if not self.ticks or not LOOKS[state] then return due end -- an alarm brings the looks, or there are none
  local look_at = self.look_at
  return look_at and (not due or look_at < due) and look_at or due
end

return M
