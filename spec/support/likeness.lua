--- Whether a value holds what is wanted: of tables, the named fields, whatever else there is.
local native = require "stream_events.native"

local json = native.json

local function shown(value)
  return json.encode(value) or tostring(value)
end

local unlike

local function unlike_list(value, wanted, path)
  if getmetatable(value) ~= json.array_mt and #value ~= #wanted then return path .. " is no such list" end
  if #value ~= #wanted then return ("%s has %d items, not %d"):format(path, #value, #wanted) end
  for i, inner in ipairs(wanted) do
    local problem = unlike(value[i], inner, ("%s[%d]"):format(path, i))
    if problem then return problem end
  end
end

--- What is missing; nil: nothing. In `wanted` the text "*" is anything but nil, and "$absent" is nil.
function unlike(value, wanted, path)
  if wanted == "*" then return value == nil and path .. " is missing" or nil end
  if wanted == "$absent" then wanted = nil end
  -- An event is read like a table.
  if type(wanted) ~= "table"
    or (type(value) ~= "table" and (type(value) ~= "userdata" or value == json.null)) then
    return value ~= wanted and ("%s is %s, not %s"):format(path, shown(value), shown(wanted)) or nil
  elseif getmetatable(wanted) == json.array_mt then
    return unlike_list(value, wanted, path)
  end
  for key, inner in pairs(wanted) do
    local problem = unlike(value[key], inner, path .. "." .. key)
    if problem then return problem end
  end
end

return unlike
