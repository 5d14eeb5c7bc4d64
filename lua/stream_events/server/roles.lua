--- Roles: what users and members can be. The protocol's own, and those that an operator adds (§8.2).
-- In memory, written through.
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local failures = require "stream_events.server.failure"

local M = {}

local MAX_CUSTOM = 25
local MAX_NAME = 64

-- To what a role can be given: users, members, or by nobody: every connection without a token has
-- "anonymous".
local BUILT_IN = {
  user = "user", guest = "user", admin = "user", moderator = "user", global_moderator = "user",
  global_admin = "user", channel_member = "member", channel_moderator = "member",
  anonymous = "nobody",
}

---@class stream_events.server.Role
---@field name string
---@field created_at string
---@field updated_at string

---@class stream_events.server.Roles
---@field private store stream_events.server.Store
---@field private custom table<string, stream_events.server.Role>
---@field private started string stands for the day on which the built-in roles were made
local Roles = { __name = "stream_events.server.roles" }
Roles.__index = Roles

--- Takes up what the store holds.
---@param store stream_events.server.Store
---@param options { now: (fun(): number)? }?
---@return stream_events.server.Roles
function M.new(store, options)
  local clock = options and options.now or native.time
  local self = setmetatable({
    store = store, custom = {},
    now = function() return timestamp.format(clock()) end,
  }, Roles)
  self.started = self.now()
  for name, role in store:each "role" do self.custom[name] = role end
  return self
end

--- Whether a role is one of the protocol's own.
---@param name any
---@return boolean
function M.is_built_in(name)
  return BUILT_IN[name] ~= nil
end

--- Whether there is such a role.
---@param name any
---@return boolean
function Roles:exists(name)
  return BUILT_IN[name] ~= nil or self.custom[name] ~= nil
end

--- Whether an operator added the role.
---@param name any
---@return boolean
function Roles:is_custom(name)
  return self.custom[name] ~= nil
end

--- Whether a user can have the role. Custom ones are for users and members alike.
---@param name any
---@return boolean
function Roles:is_for_users(name)
  return BUILT_IN[name] == "user" or self.custom[name] ~= nil
end

--- Whether a member can have it in a channel.
---@param name any
---@return boolean
function Roles:is_for_members(name)
  return BUILT_IN[name] == "member" or self.custom[name] ~= nil
end

local function describe(self, name)
  local role = self.custom[name]
  return {
    name = name, custom = role ~= nil, created_at = role and role.created_at or self.started,
    updated_at = role and role.updated_at or self.started,
  }
end

--- All roles, sorted by name, as new tables: name, custom, created_at, updated_at.
---@return table[]
function Roles:list()
  local list = {}
  for name in pairs(BUILT_IN) do list[#list + 1] = describe(self, name) end
  for name in pairs(self.custom) do list[#list + 1] = describe(self, name) end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local function check_name(name)
  if type(name) ~= "string" or name == "" or #name > MAX_NAME or name:find("[^A-Za-z0-9_%-]") then
    return failures.fail(4, ("the name of a role must have 1 to %d letters, digits, '_' and '-'")
      :format(MAX_NAME))
  end
  return true
end

--- Adds a role.
---@param name any decoded
---@return table? role as in list()
---@return stream_events.server.Failure? failure
function Roles:create(name)
  local ok, failure = check_name(name)
  if not ok then return nil, failure end
  if self:exists(name) then return failures.fail(4, ("there is a role %q already"):format(name)) end
  local count = 0
  for _ in pairs(self.custom) do count = count + 1 end
  if count >= MAX_CUSTOM then
    return failures.fail(4, ("there are %d custom roles, more are not allowed"):format(MAX_CUSTOM))
  end
  local now = self.now()
  local role = { name = name, created_at = now, updated_at = now }
  self.store:put("role", name, role)
  self.custom[name] = role
  return describe(self, name)
end

--- Removes a custom role that nobody has and no grant names.
---@param name string
---@param used string? what uses it, for the message
---@return true? ok
---@return stream_events.server.Failure? failure
function Roles:delete(name, used)
  if not self:exists(name) then
    return failures.fail(16, ("there is no role %q"):format(name:sub(1, MAX_NAME)))
  elseif not self.custom[name] then
    return failures.fail(4, ("the role %q is built in and cannot be deleted"):format(name))
  elseif used then
    return failures.fail(4, ("the role %q is in use by %s"):format(name, used))
  end
  self.store:delete("role", name)
  self.custom[name] = nil
  return true
end

return M
