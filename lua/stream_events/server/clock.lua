--- The time as the wire writes it, cheap enough for every event: within a second only the digits
-- behind the point change. No two stamps of a process are the same, and a later one is greater: so the
-- stamp of an event is what it is known by, its place in the order, and where one left off.
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local DIGITS = require "stream_events.server.digits"

local M = {
  --- How often the clock of this machine was set back so far that stamps had to follow.
  jumps = 0,
  --- The greatest stamp given before the last of those, in microseconds.
  highest = 0,
}

-- Set back by less than this, in microseconds, the clock is waited for; beyond that stamps would be
-- wrong for too long.
local BACK = 5000000

local last = 0
local prefix_second, prefix

local function text_of(micros)
  local second = micros // 1000000
  if second ~= prefix_second then
    prefix_second, prefix = second, timestamp.format(second):sub(1, -2) .. "."
  end
  local rest = micros - second * 1000000
  if rest % 10 ~= 0 then return prefix .. DIGITS[rest // 1000] .. DIGITS[rest % 1000] .. "Z" end
  local text = prefix .. DIGITS[rest // 1000] .. DIGITS[rest % 1000]
  return text:gsub("%.?0+$", "", 1) .. "Z"
end

--- Now, RFC 3339, to the microsecond; zeros at the end are dropped.
---@return string text
---@return integer micros the same, as microseconds since 1970
function M.stamp()
  local micros = native.time() * 1000000 // 1 | 0
  if micros <= last then
    if last - micros > BACK then
      M.jumps = M.jumps + 1
      if last > M.highest then M.highest = last end
    else
      micros = last + 1
    end
  end
  last = micros
  return text_of(micros), micros
end

--- Lets no later stamp be smaller than one that was given in an earlier life of the server.
---@param micros integer
function M.follow(micros)
  if micros > last then last = micros end
end

--- The microseconds since 1970 that a text stands for; nil when it is none.
---@param text any
---@return integer? micros
function M.micros(text)
  local seconds = timestamp.parse(text)
  -- A double holds the seconds of our time to a quarter of a microsecond.
  return seconds and math.tointeger((seconds * 1000000 + 0.5) // 1)
end

return M
