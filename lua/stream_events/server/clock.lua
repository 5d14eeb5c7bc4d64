--- The time as the wire writes it, cheap enough for every event: within a second only the digits
-- behind the point change.
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"

local M = {}

local prefix_second, prefix

--- Now, RFC 3339, to the microsecond; zeros at the end are dropped.
---@return string
function M.stamp()
  local now = native.time()
  local second = now // 1
  if second ~= prefix_second then
    prefix_second, prefix = second, timestamp.format(second):sub(1, -2)
  end
  local micro = (now - second) * 1e6 // 1 | 0
  if micro % 10 ~= 0 then return ("%s.%06dZ"):format(prefix, micro) end
  if micro == 0 then return prefix .. "Z" end
  return ("%s.%06d"):format(prefix, micro):gsub("0+$", "") .. "Z"
end

return M
