--- Grants as they are sent: each role with its list of permissions (protocol §8.3). An empty list
-- takes everything from a role, so it has to stay a list.
local calls = require "stream_events.backend.call"
local native = require "stream_events.native"

local M = {}

--- A copy whose lists encode as lists.
---@param grants table<string, any>
---@return table<string, any>
function M.copy(grants)
  local copy = {}
  for role, list in pairs(grants) do copy[role] = calls.as_list(list) end
  return copy
end

local function expect_permission(value, level)
  calls.expect_name(value, "a permission", level + 1)
end

--- The ids of permissions out of one or a list of them.
---@param value any
---@param level integer whom to blame, as for error()
---@return string[] list
function M.permissions(value, level)
  if value == nil then error("a permission or a list of permissions expected", level + 1) end
  local list = calls.list_of(value, expect_permission, level + 1)
  return list
end

local function without(list, unwanted)
  local set, rest = {}, {}
  for _, id in ipairs(unwanted) do set[id] = true end
  for _, id in ipairs(list) do
    if not set[id] then rest[#rest + 1] = id end
  end
  return rest
end

--- A list with permissions added behind those it has, each once.
---@param list string[]
---@param more string[]
---@return string[]
function M.with(list, more)
  local result = without(list, more)
  local seen = {}
  for _, id in ipairs(more) do
    if not seen[id] then
      seen[id] = true
      result[#result + 1] = id
    end
  end
  return native.json.array(result)
end

--- A list without some permissions.
---@param list string[]
---@param unwanted string[]
---@return string[]
function M.without(list, unwanted)
  return native.json.array(without(list, unwanted))
end

return M
