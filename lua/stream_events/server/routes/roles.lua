--- /roles and /permissions: the words that grants are made of, for backends (protocol §8.3).
local grants = require "stream_events.server.grants"
local native = require "stream_events.native"

local json = native.json

-- Each set of grants that is a scope: where it stands, in words; its name; role to permissions.
local function each_scope(server, visit)
  visit("the grants of the app", grants.APP, server.app:grants())
  for _, channel_type in ipairs(server.channel_types:list()) do
    visit(("the grants of the channel type %q"):format(channel_type.name), channel_type.name,
      channel_type.grants)
  end
end

-- The same with those of single channels, which have no name.
local function each_grants(server, visit)
  each_scope(server, visit)
  for cid, channel in pairs(server.channels:all()) do
    local own = channel.config_overrides and channel.config_overrides.grants
    if own then visit(("the grants of the channel %q"):format(cid), nil, own) end
  end
end

-- Where grants name a permission, or nil.
local function use_of_permission(server, wanted)
  local used
  each_grants(server, function(where, _, by_role)
    for _, list in pairs(by_role) do
      for _, id in ipairs(list) do
        if id == wanted or id == "!" .. wanted then used = used or where end
      end
    end
  end)
  return used
end

-- Who has a role, or which grants name it, or nil. An empty list grants nothing.
local function use_of_role(server, name)
  local user = server.users:with_role(name)
  if user then return ("the user %q"):format(user.id) end
  local cid = server.channels:with_role(name)
  if cid then return ("a member of the channel %q"):format(cid) end
  local used
  each_grants(server, function(where, _, by_role)
    if by_role[name] and #by_role[name] > 0 then used = used or where end
  end)
  return used
end

-- Roles with the scopes in which they have been granted something.
local function with_scopes(server, roles)
  local scopes = {}
  each_scope(server, function(_, scope, by_role)
    for role, list in pairs(by_role) do
      scopes[role] = scopes[role] or json.array {}
      if #list > 0 then table.insert(scopes[role], scope) end
    end
  end)
  local list = json.array {}
  for i, role in ipairs(roles) do
    role.scopes = scopes[role.name] or json.array {}
    list[i] = role
  end
  return list
end

local function list_roles(context)
  return 200, { roles = with_scopes(context.server, context.server.roles:list()) }
end

-- Those whose name holds a text; without one, all.
local function search_roles(context)
  local text = (context.query.query or context.query.name or ""):lower()
  local found = {}
  for _, role in ipairs(context.server.roles:list()) do
    if role.name:lower():find(text, 1, true) then found[#found + 1] = role end
  end
  return 200, { roles = with_scopes(context.server, found) }
end

local function create_role(context)
  local role, failure = context.server.roles:create(context.body.name)
  if not role then return nil, failure end
  return 201, { role = with_scopes(context.server, { role })[1] }
end

local function delete_role(context)
  local server, name = context.server, context.params.name
  local ok, failure = server.roles:delete(name, use_of_role(server, name))
  if not ok then return nil, failure end
  return 200, {}
end

local function list_permissions(context)
  return 200, { permissions = context.server.custom_permissions:list() }
end

local function get_permission(context)
  local permission, failure = context.server.custom_permissions:describe(context.params.id)
  if not permission then return nil, failure end
  return 200, { permission = permission }
end

local function create_permission(context)
  local permission, failure = context.server.custom_permissions:create(context.body)
  if not permission then return nil, failure end
  return 201, { permission = permission }
end

local function update_permission(context)
  local server = context.server
  local before = server.permissions:frozen()
  local permission, failure = server.custom_permissions:update(context.params.id, context.body)
  if not permission then return nil, failure end
  server.rights:everywhere(before)
  return 201, { permission = permission }
end

local function delete_permission(context)
  local server, id = context.server, context.params.id
  local ok, failure = server.custom_permissions:delete(id, use_of_permission(server, id))
  if not ok then return nil, failure end
  return 200, {}
end

local function route(method, path, endpoint, handler)
  return { method, path, endpoint = endpoint, access = "server", handler = handler }
end

return {
  route("GET", "/roles", "ListRoles", list_roles),
  route("GET", "/roles/search", "SearchRoles", search_roles),
  route("POST", "/roles", "CreateRole", create_role),
  route("DELETE", "/roles/{name}", "DeleteRole", delete_role),
  route("GET", "/permissions", "ListPermissions", list_permissions),
  route("POST", "/permissions", "CreatePermission", create_permission),
  route("GET", "/permissions/{id}", "GetPermission", get_permission),
  route("PUT", "/permissions/{id}", "UpdatePermission", update_permission),
  route("DELETE", "/permissions/{id}", "DeletePermission", delete_permission),
}
