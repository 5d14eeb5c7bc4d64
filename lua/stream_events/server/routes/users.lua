--- POST, GET and PATCH /users, POST /guest.
local native = require "stream_events.native"
local token = require "stream_events.token"
local channel_input = require "stream_events.server.channel_input"
local connect = require "stream_events.server.routes.connect"
local failures = require "stream_events.server.failure"
local grants = require "stream_events.server.grants"
local input = require "stream_events.server.input"
local users_model = require "stream_events.server.users"

local json = native.json

local function check_count(count)
  if count == 0 then return failures.fail(4, "users is empty") end
  return input.check_count(count, users_model.MAX_PER_CALL, "users", "users")
end

-- Backends may change everybody, users themselves, all others nobody.
local function check_own(context, list)
  local caller = context.caller
  if caller.kind == "server" then return true end
  for _, item in ipairs(list) do
    if caller.kind == "anonymous" or item.id ~= caller.id then
      return failures.fail(17, "only the user itself and backends may change a user")
    end
  end
  return context.server.permissions:check(caller, "UpdateUser", grants.APP)
end

local function answer(context, users)
  local by_id = {}
  for _, user in ipairs(users) do
    by_id[user.id] = context.server.views:account(user, context.caller)
  end
  return { users = by_id, membership_deletion_task_id = "" }
end

-- The roles of users before a change, by id.
local function roles_of(server, list)
  local roles = {}
  for _, item in ipairs(list) do
    local user = server.users:get(item.id)
    roles[item.id] = user and user.role
  end
  return roles
end

-- What a change of users means for those of their connections that are open.
local function take_effect(server, users, roles)
  for _, user in ipairs(users) do
    server.presence:updated(user)
    if roles[user.id] and roles[user.id] ~= user.role then
      server.rights:of_user(user, roles[user.id])
    end
    if user.revoke_tokens_issued_before then
      local open = {}
      for connection in pairs(server.connections:of(user.id)) do open[#open + 1] = connection end
      connect.expel_refused(server, open)
    end
  end
end

local function upsert(context)
  local given = context.body.users
  if not input.is_object(given) then
    return failures.fail(4, "users must be an object: each user's id with the user")
  end
  local list = {}
  for id, fields in pairs(given) do list[#list + 1] = { id = id, fields = fields } end
  local ok, failure = check_count(#list)
  if ok then ok, failure = check_own(context, list) end
  if not ok then return nil, failure end
  local trusted = context.caller.kind == "server"
  local roles = roles_of(context.server, list)
  local users, refused = context.server.users:upsert_all(list, { trusted = trusted })
  if not users then return nil, refused end
  take_effect(context.server, users, roles)
  return 201, answer(context, users)
end

local function patch(context)
  local given = context.body.users
  if not input.is_list(given) then
    return failures.fail(4, "users must be a list of objects with id, set and unset")
  end
  for _, item in ipairs(given) do
    if not input.is_object(item) or type(item.id) ~= "string" then
      return failures.fail(4, "users must be a list of objects with id, set and unset")
    end
  end
  local ok, failure = check_count(#given)
  if ok then ok, failure = check_own(context, given) end
  if not ok then return nil, failure end
  local trusted = context.caller.kind == "server"
  local roles = roles_of(context.server, given)
  local users, refused = context.server.users:patch_all(given, { trusted = trusted })
  if not users then return nil, refused end
  take_effect(context.server, users, roles)
  return 200, answer(context, users)
end

local function query(context)
  local ok, failure =
    context.server.permissions:check(context.caller, "SearchUser", grants.APP)
  if not ok then return nil, failure end
  local payload = context.payload or {}
  local connection
  if payload.presence == true then
    connection, failure = channel_input.connection(context)
    if not connection then return nil, failure end
  end
  local users, refused = context.server.users:query(payload)
  if not users then return nil, refused end
  if connection then
    ok, failure = context.server.presence:follow_users(connection, users)
    if not ok then return nil, failure end
  end
  local list = json.array {}
  for i, user in ipairs(users) do list[i] = context.server.views:account(user, context.caller) end
  return 200, { users = list }
end

-- Anybody with the API key may become a guest, unless the app says otherwise.
local function guest(context)
  local server = context.server
  if server.app:get "guest_user_creation_disabled" then
    return failures.fail(17, "guests are not allowed for this application")
  elseif not input.is_object(context.body.user) then
    return failures.fail(4, "user must be an object with an id")
  end
  local user, failure = server.users:create_guest(context.body.user)
  if not user then return nil, failure end
  return 201, {
    user = server.users:public(user),
    access_token = token.user(server.app.api_secret, user.id),
  }
end

return {
  { "POST", "/users", endpoint = "UpdateUsers", handler = upsert },
  { "PATCH", "/users", endpoint = "UpdateUsersPartial", handler = patch },
  { "GET", "/users", endpoint = "QueryUsers", handler = query },
  { "POST", "/guest", endpoint = "CreateGuest", handler = guest },
}
