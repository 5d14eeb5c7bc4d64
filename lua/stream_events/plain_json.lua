--- JSON that is no event: the answers of calls over HTTP. Read by lua-cjson, in an instance of our
-- own, so that neither a program's settings nor ours reach the other.
-- Two libraries go by that name, and they read numbers differently: here whole numbers are integers
-- with both. What must come through to the last digit, or as an empty list, is the core's: events.
local cjson = require("cjson").new()
local errors = require "stream_events.error"

cjson.decode_invalid_numbers(false)
cjson.decode_max_depth(64)

local M = {}

local to_integer = math.tointeger
local EXACT = 2 ^ 53 -- from here on a float may stand for several integers

local function whole(value)
  if type(value) == "number" then
    return value > -EXACT and value < EXACT and to_integer(value) or value
  end
  if type(value) == "table" then
    for key, inner in pairs(value) do value[key] = whole(inner) end
  end
  return value
end

--- null becomes cjson.null, which is stream_events.null.
---@param text string
---@return any value
---@return stream_events.Error? err kind "protocol"
function M.decode(text)
  local ok, value = pcall(cjson.decode, text)
  if not ok then return errors.fail("protocol", "no JSON: " .. tostring(value)) end
  return to_integer and whole(value) or value
end

return M
