--- The exact form of decoded JSON: every field that belongs there, and no other.
-- A shape is a value that has to be equal, a table of shapes (these keys and no others), or a function
-- that says whether a value is right. Empty lists and empty objects are told apart.
local native = require "stream_events.native"

local M = {}

local json = native.json

local OPTIONAL = {}

--- May be absent.
function M.optional(shape)
  return setmetatable({ shape = shape }, OPTIONAL)
end

function M.is_list(value)
  return type(value) == "table" and getmetatable(value) == json.array_mt
end

function M.empty_list(value)
  return M.is_list(value) and #value == 0
end

function M.empty_object(value)
  return type(value) == "table" and next(value) == nil and not M.is_list(value)
end

function M.text(value) return type(value) == "string" end
function M.boolean(value) return type(value) == "boolean" end
function M.null(value) return value == json.null end

--- RFC 3339 in UTC, at most nine digits behind the second, none of them a last zero (§1.4).
function M.date(value)
  local fraction = type(value) == "string"
    and value:match "^%d%d%d%d%-[01]%d%-[0-3]%dT[0-2]%d:[0-5]%d:[0-6]%d(.*)Z$"
  if not fraction then return false end
  return fraction == "" or (fraction:find "^%.%d+$" and #fraction <= 10 and fraction:sub(-1) ~= "0")
end

local UUID = ("x"):rep(8) .. ("-xxxx"):rep(3) .. "-" .. ("x"):rep(12)
UUID = "^" .. UUID:gsub("x", "%%x"):gsub("%-", "%%-") .. "$"
function M.uuid(value) return type(value) == "string" and value:find(UUID) ~= nil end

local function shown(value)
  return json.encode(value) or tostring(value)
end

local mismatch

-- What is wrong with the fields of a table; nil: nothing.
local function mismatch_in(value, shape, path)
  if type(value) ~= "table" then return ("%s is %s, not an object"):format(path, shown(value)) end
  for key, inner in pairs(shape) do
    local problem
    if getmetatable(inner) == OPTIONAL then
      problem = value[key] ~= nil and mismatch(value[key], inner.shape, path .. "." .. key)
    else
      problem = mismatch(value[key], inner, path .. "." .. key)
    end
    if problem then return problem end
  end
  for key in pairs(value) do
    if shape[key] == nil then
      return ("%s.%s does not belong there: %s"):format(path, key, shown(value[key]))
    end
  end
end

mismatch = function(value, shape, path)
  if type(shape) == "function" then
    return not shape(value) and ("%s is %s"):format(path, shown(value)) or nil
  elseif type(shape) == "table" then
    return mismatch_in(value, shape, path)
  elseif value ~= shape then
    return ("%s is %s, not %s"):format(path, shown(value), shown(shape))
  end
end

--- Raises when a value has not that shape.
---@param value any
---@param shape any
---@param what string its name in the error
function M.check(value, shape, what)
  local problem = mismatch(value, shape, what)
  if problem then error(("%s, in %s"):format(problem, shown(value)), 2) end
end

--- A shape with other fields as well.
function M.with(shape, more)
  local result = {}
  for _, fields in ipairs { shape, more } do
    for key, value in pairs(fields) do result[key] = value end
  end
  return result
end

--- A user as answers and events show it (§4.2): the fields that are required, and those of §14.
---@param id string
---@param more table? its own
function M.user(id, more)
  return M.with({
    id = id, language = "", role = "user", teams = M.empty_list, created_at = M.date, updated_at = M.date,
    banned = false, online = M.boolean, last_active = M.optional(M.date), blocked_user_ids = M.empty_list,
    name = M.optional(M.text),
  }, more or {})
end

--- The connected user itself (§3.2).
function M.me(id, more)
  return M.user(id, M.with({
    online = true, last_active = M.date, invisible = false, devices = M.empty_list, mutes = M.empty_list,
    channel_mutes = M.empty_list, unread_count = 0, total_unread_count = 0, unread_channels = 0,
    unread_threads = 0,
  }, more or {}))
end

--- A first frame (§14.2).
function M.welcome(id, more)
  return M.with(M.health(M.uuid), { me = M.me(id, more) })
end

--- A later health check (§14.4).
function M.health(connection_id)
  return { type = "health.check", connection_id = connection_id, cid = "*", created_at = M.date }
end

--- An error envelope (§11.1).
function M.envelope(code, status, more)
  return M.with({
    code = code, message = function(text) return M.text(text) and text ~= "" end, StatusCode = status,
    duration = M.text, more_info = M.text, details = M.empty_list,
  }, more or {})
end

--- An event in a channel (§5.4).
---@param event_type string
---@param cid string
---@param user_id string
---@param more table? its other fields
function M.event(event_type, cid, user_id, more)
  local channel_type, channel_id = cid:match "^(.-):(.*)$"
  return M.with({
    type = event_type, cid = cid, channel_id = channel_id, channel_type = channel_type,
    user = M.user(user_id), created_at = M.date,
  }, more or {})
end

return M
