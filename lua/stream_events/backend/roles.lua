--- Roles and permissions: which there are, and custom ones (protocol §8.2, §8.3). For backends only.
local calls = require "stream_events.backend.call"
local url = require "stream_events.url"

local M = { methods = {} }

---@class stream_events.Client
local methods = M.methods

-- Roles -------------------------------------------------------------------------------------------

--- All roles: the service's own and custom ones.
---@param callback (fun(roles: table[]?, err: stream_events.Error?))?
---@return table[]? roles name, custom, scopes, created_at, updated_at
---@return stream_events.Error? err kind "auth": made without the secret; else as of every call
function methods:list_roles(callback)
  local call = self.context.tasks:begin(callback)
  return calls.ask(self, call, { method = "GET", path = "/roles", as = "server" }, calls.member "roles")
end

--- Roles whose name holds a text.
---@param text string
---@param callback (fun(roles: table[]?, err: stream_events.Error?))?
---@return table[]? roles as of list_roles
---@return stream_events.Error? err kind "auth": made without the secret; else as of every call
function methods:search_roles(text, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_name(text, "what to look for", 2)
  return calls.ask(self, call, {
    method = "GET", path = "/roles/search", as = "server", query = url.query { { "query", text } },
  }, calls.member "roles")
end

--- Makes a custom role; there can be 25. Errors: code 4 when it exists, or the name cannot be one.
---@param name string at most 64 characters
---@param callback (fun(role: table?, err: stream_events.Error?))?
---@return table? role
---@return stream_events.Error? err
function methods:create_role(name, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_name(name, "a role", 2)
  return calls.ask(self, call,
    { method = "POST", path = "/roles", as = "server", body = { name = name } },
    calls.member_or_whole "role")
end

--- Deletes a custom role. Errors: code 16 no such role; 4 one of the service's own, or one in use.
---@param name string
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:delete_role(name, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_name(name, "a role", 2)
  return calls.ask(self, call, { method = "DELETE", path = url.path("roles", name), as = "server" },
    calls.done)
end

-- Permissions -------------------------------------------------------------------------------------

--- All permissions that grants can name.
---@param callback (fun(permissions: table[]?, err: stream_events.Error?))?
---@return table[]? permissions id, name, description, action, owner, same_team, custom, level, tags
---@return stream_events.Error? err kind "auth": made without the secret; else as of every call
function methods:list_permissions(callback)
  local call = self.context.tasks:begin(callback)
  return calls.ask(self, call, { method = "GET", path = "/permissions", as = "server" },
    calls.member "permissions")
end

--- One permission. Errors: code 16 no such permission.
---@param id string
---@param callback (fun(permission: table?, err: stream_events.Error?))?
---@return table? permission
---@return stream_events.Error? err
function methods:get_permission(id, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_name(id, "a permission", 2)
  return calls.ask(self, call, { method = "GET", path = url.path("permissions", id), as = "server" },
    calls.member_or_whole "permission")
end

--- Makes a custom permission. Errors: code 4 when it exists, or a field is not understood.
---@param permission table id, name, action, and what else it is made of
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:create_permission(permission, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_table(permission, "a permission", 2)
  calls.expect_name(permission.id, "the id of a permission", 2)
  calls.expect_json(permission, "a permission", 2)
  return calls.ask(self, call,
    { method = "POST", path = "/permissions", as = "server", body = permission }, calls.done)
end

--- Changes a custom permission. Errors: code 16 no such permission, 4 one of the service's own.
---@param id string
---@param changes table name, description, action, owner, ...
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:update_permission(id, changes, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_name(id, "a permission", 2)
  calls.expect_table(changes, "changes", 2)
  calls.expect_json(changes, "changes", 2)
  return calls.ask(self, call,
    { method = "PUT", path = url.path("permissions", id), as = "server", body = changes }, calls.done)
end

--- Deletes a custom permission. Errors: code 16 no such permission, 4 one of the service's own.
---@param id string
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:delete_permission(id, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_name(id, "a permission", 2)
  return calls.ask(self, call,
    { method = "DELETE", path = url.path("permissions", id), as = "server" }, calls.done)
end

return M
