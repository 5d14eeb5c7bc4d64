--- Dates as HTTP writes them (RFC 9110 §5.6.7), and how long an answer asks to be left alone.
local timestamp = require "stream_events.timestamp"

local M = {}

local MONTHS = {}
for number, name in ipairs { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
  "Dec" } do
  MONTHS[name] = ("%02d"):format(number)
end
local TIME = "(%d%d:%d%d:%d%d)"

-- The form of today, and the two obsolete ones.
local function parts(text)
  local day, month, year, time = text:match("^%a+, (%d%d) (%a%a%a) (%d%d%d%d) " .. TIME .. " GMT$")
  if day then return year, month, day, time end
  day, month, year, time = text:match("^%a+, (%d%d)%-(%a%a%a)%-(%d%d) " .. TIME .. " GMT$")
  if day then return (tonumber(year) < 70 and "20" or "19") .. year, month, day, time end
  month, day, time, year = text:match("^%a%a%a (%a%a%a) ([ %d]%d) " .. TIME .. " (%d%d%d%d)$")
  return year, month, day and (day:gsub(" ", "0")), time
end

--- Seconds since 1970; nil when it is no date of HTTP.
---@param text string?
---@return integer? seconds
function M.parse(text)
  if not text then return nil end
  local year, month, day, time = parts(text)
  month = MONTHS[month or ""]
  return month and timestamp.parse(("%s-%s-%sT%sZ"):format(year, month, day, time))
end

--- What time it is by the clock of who answered; by ours, where the answer has no date.
---@param date string? the header Date
---@return integer seconds since 1970
function M.time_there(date)
  return M.parse(date) or os.time()
end

--- How long an answer asks to be left alone: so many seconds, or until a date.
---@param retry_after string? the header Retry-After
---@param date string? the header Date
---@return number? seconds any number at all; nil: it does not say
function M.seconds_to_wait(retry_after, date)
  local seconds = tonumber(retry_after)
  if seconds then return seconds end
  local till = M.parse(retry_after)
  return till and till - M.time_there(date)
end

return M
