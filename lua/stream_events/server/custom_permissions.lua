--- Custom permissions: ids of an operator's own that grants may name (protocol §8.3). Each stands for
-- one action that this server judges, everywhere or (owner) only in what one made oneself: two ids
-- for the same action can be granted and taken away independently of each other.
local names = require "stream_events.names"
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"
local permission_ids = require "stream_events.server.permission_ids"

local M = {}

local json = native.json

local MAX_CUSTOM = 100
local MAX_ID, MAX_TEXT, MAX_TAGS = 64, 255, 16

---@class stream_events.server.CustomPermission
---@field id string
---@field name string
---@field description string
---@field action string
---@field owner boolean
---@field tags string[]
---@field created_at string
---@field updated_at string

---@class stream_events.server.CustomPermissions
---@field version integer another one after every change
---@field private store stream_events.server.Store
---@field private by_id table<string, stream_events.server.CustomPermission> never written to
local CustomPermissions = { __name = "stream_events.server.custom_permissions" }
CustomPermissions.__index = CustomPermissions

--- Takes up what the store holds.
---@param store stream_events.server.Store
---@param options { now: (fun(): number)? }?
---@return stream_events.server.CustomPermissions
function M.new(store, options)
  local clock = options and options.now or native.time
  local self = setmetatable({
    store = store, by_id = {}, version = 0,
    now = function() return timestamp.format(clock()) end,
  }, CustomPermissions)
  for id, permission in store:each "permission" do self.by_id[id] = permission end
  return self
end

--- The same as it is now, whatever is changed later; only to be read.
---@return stream_events.server.CustomPermissions
function CustomPermissions:frozen()
  local by_id = {}
  for id, permission in pairs(self.by_id) do by_id[id] = permission end
  return setmetatable({ by_id = by_id, version = self.version }, CustomPermissions)
end

---@param id any
---@return stream_events.server.CustomPermission? not to be changed
function CustomPermissions:get(id)
  return self.by_id[id]
end

--- The built-in permission that a granted id has the effect of.
---@param id string built-in or custom
---@return string
function CustomPermissions:effect(id)
  local permission = self.by_id[id]
  if not permission then return id end
  local ids = permission_ids.ACTIONS[permission.action]
  return permission.owner and ids.owner or ids.all
end

local function describe_custom(permission)
  return {
    id = permission.id, name = permission.name, description = permission.description,
    action = permission.action, owner = permission.owner, same_team = false, custom = true,
    level = permission_ids.ACTIONS[permission.action].level, owner_resource = "",
    tags = permission.tags,
  }
end

local function describe_built_in(permission)
  local name, description = permission_ids.describe(permission)
  return {
    id = permission.id, name = name, description = description, action = permission.action,
    owner = permission.owner, same_team = false, custom = false, level = permission.level,
    owner_resource = "", tags = json.array {},
  }
end

--- A permission as answers show it, built-in or custom.
---@param id string
---@return table? permission
---@return stream_events.server.Failure? failure
function CustomPermissions:describe(id)
  if self.by_id[id] then return describe_custom(self.by_id[id]) end
  if permission_ids.KNOWN[id] then return describe_built_in(permission_ids.KNOWN[id]) end
  return failures.fail(16, ("there is no permission %q"):format(id:sub(1, MAX_ID)))
end

--- All of them, sorted by id.
---@return table[]
function CustomPermissions:list()
  local list = json.array {}
  for _, permission in pairs(permission_ids.KNOWN) do list[#list + 1] = describe_built_in(permission) end
  for _, permission in pairs(self.by_id) do list[#list + 1] = describe_custom(permission) end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

local SHAPE = {
  name = "string", description = "string", action = "string", owner = "boolean",
  same_team = "boolean", condition = "object", tags = "strings", level = "string",
}

local function check_texts(fields)
  for _, field in ipairs { "name", "description" } do
    local text = fields[field]
    if text and (#text > MAX_TEXT or not names.is_utf8(text)) then
      return failures.fail(4, ("%s must be a text of at most %d bytes"):format(field, MAX_TEXT))
    end
  end
  if #(fields.tags or {}) > MAX_TAGS then
    return failures.fail(4, ("tags may hold %d texts"):format(MAX_TAGS))
  end
  for _, tag in ipairs(fields.tags or {}) do
    if #tag > MAX_TEXT or not names.is_utf8(tag) then
      return failures.fail(4, ("tags must be texts of at most %d bytes"):format(MAX_TEXT))
    end
  end
  return true
end

-- What a permission of the hosted service could say and this server has nothing to judge by.
local function check_honourable(fields)
  if fields.same_team then
    return failures.fail(4, "same_team can only be false: this server has no teams to tell apart")
  elseif fields.condition and next(fields.condition) ~= nil then
    return failures.fail(4, "condition is not offered by this server: a permission is an action, and "
      .. "whether only the owner has it")
  end
  local action = fields.action
  if not action then return true end
  local ids = permission_ids.ACTIONS[action]
  if not ids then
    return failures.fail(4, ("action %q is none that this server judges; it judges %s"):format(
      action:sub(1, MAX_ID), table.concat(permission_ids.action_names(), ", ")))
  elseif fields.level and fields.level ~= ids.level then
    return failures.fail(4, ("the level of the action %s is %q"):format(action, ids.level))
  end
  return true
end

local function read(given)
  local fields, failure = input.read(given, SHAPE)
  if not fields then return nil, failure end
  local ok
  ok, failure = check_texts(fields)
  if ok then ok, failure = check_honourable(fields) end
  if not ok then return nil, failure end
  return fields
end

local function save(self, permission)
  self.store:put("permission", permission.id, permission)
  self.by_id[permission.id] = permission
  self.version = self.version + 1
  return describe_custom(permission)
end

local function check_id(self, id)
  if type(id) ~= "string" or id == "" or #id > MAX_ID or id:find("[^A-Za-z0-9_%-]") then
    return failures.fail(4, ("id must have 1 to %d letters, digits, '_' and '-'"):format(MAX_ID))
  elseif permission_ids.KNOWN[id] or self.by_id[id] then
    return failures.fail(4, ("there is a permission %q already"):format(id))
  end
  return true
end

--- Adds a permission: id, name and action, and what else there is to say.
---@param given table decoded
---@return table? permission as in list()
---@return stream_events.server.Failure? failure
function CustomPermissions:create(given)
  local ok, failure = check_id(self, given.id)
  if not ok then return nil, failure end
  local fields
  fields, failure = read(given)
  if not fields then return nil, failure end
  if not fields.action then return failures.fail(4, "action is a required field") end
  local count = 0
  for _ in pairs(self.by_id) do count = count + 1 end
  if count >= MAX_CUSTOM then
    return failures.fail(4, ("there are %d custom permissions, more are not allowed"):format(MAX_CUSTOM))
  end
  local now = self.now()
  return save(self, {
    id = given.id, name = fields.name or given.id, description = fields.description or "",
    action = fields.action, owner = fields.owner or false, tags = fields.tags or json.array {},
    created_at = now, updated_at = now,
  })
end

-- One that may be changed or removed.
local function own(self, id)
  if self.by_id[id] then return self.by_id[id] end
  if permission_ids.KNOWN[id] then
    return failures.fail(4, ("the permission %q is built in and stays as it is"):format(id))
  end
  return failures.fail(16, ("there is no permission %q"):format(id:sub(1, MAX_ID)))
end

--- Changes the given fields of a custom permission; grants that name it follow.
---@param id string
---@param given table decoded
---@return table? permission
---@return stream_events.server.Failure? failure
function CustomPermissions:update(id, given)
  local old, failure = own(self, id)
  if not old then return nil, failure end
  if given.id ~= nil and given.id ~= id then
    return failures.fail(4, "the id of a permission cannot be changed")
  end
  local fields
  fields, failure = read(given)
  if not fields then return nil, failure end
  local new = { id = id, created_at = old.created_at, updated_at = self.now() }
  for _, field in ipairs { "name", "description", "action", "owner", "tags" } do
    new[field] = fields[field]
    if new[field] == nil then new[field] = old[field] end
  end
  return save(self, new)
end

--- Removes a custom permission that no grant names.
---@param id string
---@param used string? what names it, for the message
---@return true? ok
---@return stream_events.server.Failure? failure
function CustomPermissions:delete(id, used)
  local permission, failure = own(self, id)
  if not permission then return nil, failure end
  if used then
    return failures.fail(4, ("the permission %q is in use by %s"):format(id, used))
  end
  self.store:delete("permission", id)
  self.by_id[id] = nil
  self.version = self.version + 1
  return true
end

return M
