--- Points in time as texts that can be compared: what this server stamps its records with, and what
-- clients write made into the same form. A listing compares very many of them, and to take a stamp apart
-- costs thirty times as much as to look at it.
local timestamp = require "stream_events.timestamp"

local M = {}

local FRACTION = "^(" .. ("."):rep(19) .. ")%.(%d+)([^%d.].*)$"
local DIGITS = 9 -- of a fraction: the protocol knows no more
-- Offsets reach a little beyond the years that can be written.
local FIRST, LAST = timestamp.parse "0001-01-01T00:00:00Z", timestamp.parse "9999-12-31T23:59:59Z"

--- Whether one point in time lies before another. Both as this server writes them: UTC with a "Z", without
--- zeros at the end of a fraction.
---@param a string
---@param b string
---@return boolean
function M.before(a, b)
  if #a == #b then return a < b end
  -- The "Z" of the shorter one would meet a digit or the point of the other.
  if #a < #b then return a:sub(1, -2) < b end
  return a < b:sub(1, -2)
end

--- What a client wrote, whatever its offset and number of digits, as this server writes it; nil when it is
--- no date as in RFC 3339. Equal points in time become equal texts.
---@param text any
---@return string?
function M.read(text)
  if type(text) ~= "string" then return nil end
  local head, fraction, zone = text:match(FRACTION)
  local seconds = timestamp.parse(head and head .. zone or text)
  if not seconds then return nil end
  local stamp = timestamp.format(math.max(FIRST, math.min(seconds, LAST)))
  -- As digits: a double would not keep all of them.
  fraction = fraction and fraction:sub(1, DIGITS):gsub("0+$", "") or ""
  return fraction == "" and stamp or ("%s.%sZ"):format(stamp:sub(1, -2), fraction)
end

return M
