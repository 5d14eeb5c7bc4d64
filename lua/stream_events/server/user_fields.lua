--- The fields of a user as requests write them: what may be set, by whom, and what is left alone.
-- Clients send back whole user objects they once received. So the fields that are the server's own
-- are checked, because rubbish in them is a mistake worth hearing of, and then passed over.
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"

local M = {}

local json = native.json

local MAX_TEAMS, MAX_TEAM = 250, 255
local MAX_PARTS = 16 -- of the path to a custom field: data may not be nested deeper

local is_list, is_object = input.is_list, input.is_object

local TEXT = { function(value) return type(value) == "string" end, "a text" }
local BOOLEAN = { function(value) return type(value) == "boolean" end, "true or false" }
local NUMBER = { function(value) return type(value) == "number" end, "a number" }
local OBJECT = { is_object, "an object" }
local LIST = { is_list, "a list" }
local DATE = { function(value) return timestamp.parse(value) ~= nil end, "a date as in RFC 3339" }
local ROLE = {
  function(value, roles) return type(value) == "string" and roles:is_for_users(value) end,
  "a role that users can have",
}
local TEAMS = {
  function(value)
    if not is_list(value) or #value > MAX_TEAMS then return false end
    for _, team in ipairs(value) do
      if type(team) ~= "string" or team == "" or #team > MAX_TEAM then return false end
    end
    return true
  end,
  ("a list of at most %d team names of at most %d bytes"):format(MAX_TEAMS, MAX_TEAM),
}

-- What users may say about themselves.
local OWN = {
  name = TEXT, image = TEXT, language = TEXT, invisible = BOOLEAN, privacy_settings = OBJECT,
}
-- What only a backend may say.
local RESTRICTED = { role = ROLE, teams = TEAMS, revoke_tokens_issued_before = DATE }
-- What only the server knows.
local SERVERS = {
  created_at = DATE, updated_at = DATE, last_active = DATE, deleted_at = DATE,
  deactivated_at = DATE, ban_expires = DATE, last_engaged_at = DATE,
  online = BOOLEAN, banned = BOOLEAN, shadow_banned = BOOLEAN,
  devices = LIST, mutes = LIST, channel_mutes = LIST, blocked_user_ids = LIST,
  unread_count = NUMBER, total_unread_count = NUMBER, unread_channels = NUMBER,
  unread_threads = NUMBER, avg_response_time = NUMBER,
  push_preferences = OBJECT, push_notifications = OBJECT, teams_role = OBJECT,
}

-- What a field is when nobody has set it; nil where it is then absent.
local function default(name)
  if name == "language" then return "" end
  if name == "role" then return "user" end
  if name == "teams" then return json.array {} end
  return nil
end

local function equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    -- 1 and 1.0 are written differently, so they are two values.
    return a == b and math.type(a) == math.type(b)
  end
  if is_list(a) ~= is_list(b) then return false end
  for key, value in pairs(a) do
    if not equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

--- A user about whom nothing has been said yet.
---@param id string
---@param now string
---@return stream_events.server.User
function M.empty(id, now)
  return {
    id = id, language = default "language", role = default "role", teams = default "teams",
    created_at = now, updated_at = now, custom = {},
  }
end

local function check_value(name, value, spec, roles)
  if spec[1](value, roles) then return true end
  return failures.fail(4, ("the user's %s must be %s"):format(name, spec[2]))
end

-- Whether one field may be set. nil, false: it may not, but is passed over; nil, failure: refused.
local function settable(name, value, by, old, roles)
  local null = value == json.null
  local restricted = RESTRICTED[name]
  if restricted then
    if by == "connect" then return nil, false end
    local now = old and old[name]
    if now == nil then now = default(name) end
    if by == "self" and not (null and now == nil) and not equal(value, now) then
      return failures.fail(17, ("users cannot change their own %s"):format(name))
    end
  elseif SERVERS[name] then
    if not null then
      local ok, failure = check_value(name, value, SERVERS[name])
      if not ok then return nil, failure end
    end
    return nil, false
  end
  local spec = restricted or OWN[name]
  if null or not spec then return true end
  return check_value(name, value, spec, roles)
end

--- Checks what a request says about a user.
---@param fields any decoded
---@param id string the user's; fields may repeat it
---@param by "server"|"self"|"connect" a backend; the user itself; the user as it connects
---@param old stream_events.server.User?
---@param roles stream_events.server.Roles
---@return table<string, any>? changes by name, custom ones included; json.null for what is null
---@return stream_events.server.Failure? failure
function M.check(fields, id, by, old, roles)
  if not is_object(fields) then return failures.fail(4, "a user must be an object") end
  if fields.id ~= nil and fields.id ~= id then
    return failures.fail(4, "the id inside a user must be its own")
  end
  local changes = {}
  for name, value in pairs(fields) do
    if name ~= "id" then
      local ok, failure = settable(name, value, by, old, roles)
      if failure then return nil, failure end
      if ok then changes[name] = value end
    end
  end
  return changes
end

local function check_size(record)
  return input.check_data({
    name = record.name, image = record.image, language = record.language,
    privacy_settings = record.privacy_settings, custom = record.custom,
  }, "the user's data")
end

local function is_own(name)
  return OWN[name] ~= nil or RESTRICTED[name] ~= nil
end

--- Adds checked changes to a record; what is null in them is left as it is.
---@param record stream_events.server.User is changed
---@param changes table<string, any>
---@return stream_events.server.User? record
---@return stream_events.server.Failure? failure
function M.merge(record, changes)
  local custom = {}
  for name, value in pairs(record.custom) do custom[name] = value end
  for name, value in pairs(changes) do
    if value ~= json.null then
      if is_own(name) then record[name] = value else custom[name] = value end
    end
  end
  record.custom = custom
  local ok, failure = check_size(record)
  if not ok then return nil, failure end
  return record
end

-- A copy of custom data in which the object that holds the last part of a path may be written to;
-- that object and the last part. Nothing when there is something else in the way. `copies` are the
-- objects that were copied for earlier paths: each is copied once, however many paths lead through it.
local function open_path(custom, path, copies)
  local place, rest = custom, path
  while true do
    local name, further = rest:match("^([^.]*)%.(.+)$")
    if not name then return place, rest end
    local inner = place[name]
    if inner ~= nil and not is_object(inner) then return nil end
    if not copies[inner] then
      local copy = {}
      for key, value in pairs(inner or {}) do copy[key] = value end
      place[name], copies[copy] = copy, true
      inner = copy
    end
    place, rest = inner, further
  end
end

local function set_custom(custom, path, value, copies)
  local first = path:match("^([^.]*)%..+$")
  if first and (first == "id" or is_own(first) or SERVERS[first]) then
    return failures.fail(4, ("%s of a user can only be set as a whole"):format(first))
  elseif select(2, path:gsub("%.", "", MAX_PARTS)) == MAX_PARTS then
    return failures.fail(4, ("%q has more than %d parts"):format(path:sub(1, 64), MAX_PARTS))
  end
  local place, name = open_path(custom, path, copies)
  if not place then
    return failures.fail(4, ("%q leads through something that is no object"):format(path:sub(1, 64)))
  end
  place[name] = value
  return true
end

local function set_field(record, name, value, by, roles, copies)
  local ok, failure = settable(name, value, by, record, roles)
  if failure then return nil, failure end
  if not ok then return true end
  if value == json.null then value = nil end
  if is_own(name) then
    if value == nil then value = default(name) end
    record[name] = value
    return true
  end
  return set_custom(record.custom, name, value, copies)
end

local function unset_field(record, name, by, roles, copies)
  if type(name) ~= "string" then return failures.fail(4, "unset must be a list of names") end
  if SERVERS[name] or name == "id" then
    return failures.fail(4, ("%s of a user cannot be unset"):format(name))
  end
  return set_field(record, name, json.null, by, roles, copies)
end

--- Changes single fields of a record.
---@param record stream_events.server.User a copy; is changed
---@param set any decoded
---@param unset any decoded
---@param by "server"|"self"
---@param roles stream_events.server.Roles
---@return stream_events.server.User? record
---@return stream_events.server.Failure? failure
function M.patch(record, set, unset, by, roles)
  if set == nil or set == json.null then set = {} end
  if unset == nil or unset == json.null then unset = json.array {} end
  if not is_object(set) then return failures.fail(4, "set must be an object") end
  if not is_list(unset) then return failures.fail(4, "unset must be a list of names") end
  local custom, copies = {}, {}
  for name, value in pairs(record.custom) do custom[name] = value end
  record.custom = custom
  if set.id ~= nil and set.id ~= record.id then
    return failures.fail(4, "the id of a user cannot be changed")
  end
  for _, name in ipairs(unset) do
    local ok, failure = unset_field(record, name, by, roles, copies)
    if not ok then return nil, failure end
  end
  for name, value in pairs(set) do
    if name ~= "id" then
      local ok, failure = set_field(record, name, value, by, roles, copies)
      if not ok then return nil, failure end
    end
  end
  local ok, failure = check_size(record)
  if not ok then return nil, failure end
  return record
end

--- Whether two records say the same.
---@param a stream_events.server.User
---@param b stream_events.server.User
---@return boolean
function M.same(a, b)
  return equal(a, b)
end

return M
