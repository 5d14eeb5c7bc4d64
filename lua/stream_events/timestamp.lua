--- Points in time as the protocol writes them: RFC 3339, UTC.
-- Own arithmetic, because what os.date and os.time accept differs between systems.
local M = {}

-- Days between 0000-03-01 and 1970-01-01, in the calendar counted backwards as well.
local EPOCH_DAYS = 719468
local FIRST, LAST = -62135596800, 253402300799 -- years 1 to 9999

local floor = math.floor
local whole = math.tointeger or function(number) return number end

-- Years begin in March here, so that the leap day is the last of its year.
local function civil(days)
  days = days + EPOCH_DAYS
  local era = floor(days / 146097)
  local day_of_era = days - era * 146097
  local year_of_era = floor((day_of_era - floor(day_of_era / 1460) + floor(day_of_era / 36524)
    - floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era - (365 * year_of_era + floor(year_of_era / 4) - floor(year_of_era / 100))
  local shifted = floor((5 * day_of_year + 2) / 153)
  local day = day_of_year - floor((153 * shifted + 2) / 5) + 1
  local month = shifted < 10 and shifted + 3 or shifted - 9
  return year_of_era + era * 400 + (month <= 2 and 1 or 0), month, day
end

local function days_since_epoch(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = floor(year / 400)
  local year_of_era = year - era * 400
  local shifted = month > 2 and month - 3 or month + 9
  local day_of_year = floor((153 * shifted + 2) / 5) + day - 1
  return era * 146097 + year_of_era * 365 + floor(year_of_era / 4) - floor(year_of_era / 100)
    + day_of_year - EPOCH_DAYS
end

--- Seconds since 1970 as text, to the microsecond (a double knows no more of our time); zeros at
--- the end are dropped.
---@param seconds number
---@return string
function M.format(seconds)
  if type(seconds) ~= "number" or not (seconds >= FIRST and seconds <= LAST) then
    error("no point in time between the years 1 and 9999: " .. tostring(seconds), 2)
  end
  local second = floor(seconds)
  local micro = floor((seconds - second) * 1e6 + 0.5)
  if micro == 1000000 then second, micro = second + 1, 0 end
  local days = floor(second / 86400)
  local rest = second - days * 86400
  local year, month, day = civil(days)
  local text = ("%04d-%02d-%02dT%02d:%02d:%02d"):format(
    year, month, day, floor(rest / 3600), floor(rest / 60) % 60, rest % 60)
  if micro > 0 then text = text .. (".%06d"):format(micro):gsub("0+$", "") end
  return text .. "Z"
end

local MONTH_DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function days_in(year, month)
  if month == 2 and (year % 4 == 0 and year % 100 ~= 0 or year % 400 == 0) then return 29 end
  return MONTH_DAYS[month]
end

-- Seconds to take off for "Z", "+02:00" or "-07:30"; nil for anything else.
local function offset(zone)
  if zone == "Z" or zone == "z" then return 0 end
  local sign, hours, minutes = zone:match("^([+-])(%d%d):(%d%d)$")
  if not sign or tonumber(hours) > 23 or tonumber(minutes) > 59 then return nil end
  local seconds = tonumber(hours) * 3600 + tonumber(minutes) * 60
  return sign == "+" and seconds or -seconds
end

--- Seconds since 1970 of an RFC 3339 text; an integer when it names no fraction. nil when it is
--- none, or no date that exists.
---@param text any
---@return number? seconds
function M.parse(text)
  if type(text) ~= "string" then return nil end
  local year, month, day, hour, minute, second, rest =
    text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt](%d%d):(%d%d):(%d%d)(.+)$")
  if not year then return nil end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  local fraction, zone = rest:match("^(%.%d+)(.+)$")
  local shift = offset(zone or rest)
  local real = shift and month >= 1 and month <= 12 and day >= 1 and day <= days_in(year, month)
    and hour <= 23 and minute <= 59 and second <= 60 -- 60: a leap second
  if not real then return nil end
  local seconds = days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - shift
  return fraction and seconds + tonumber("0" .. fraction) or whole(seconds)
end

return M
