--- What requests say about channels: their names, the connection that is to watch, members, and
-- the data of a channel. Everything is checked here before a handler changes anything.
local names = require "stream_events.names"
local native = require "stream_events.native"
local access = require "stream_events.server.access"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"
local views = require "stream_events.server.views"

local M = {}

local MAX_MEMBERS = 100 -- in one call

--- The channel that the path names.
---@param context stream_events.server.Context
---@return stream_events.server.Channel?
---@return stream_events.server.Failure? failure
function M.channel(context)
  local params = context.params
  local channel = context.server.channels:get(params.cid)
  if channel then return channel end
  local channel_type, id = params.type, params.id
  local ok, message = M.check_names(channel_type, id)
  if not ok then return failures.fail(4, message) end
  return failures.fail(16, ("Can't find channel with id %s"):format(names.cid(channel_type, id)))
end

---@param channel_type string
---@param id string
---@return true? ok
---@return string? message
function M.check_names(channel_type, id)
  local ok, message = names.channel_type(channel_type)
  if ok then ok, message = names.channel_id(id) end
  return ok, message
end

--- The caller's own connection that the request names, in the query or in the body.
---@param context stream_events.server.Context
---@return stream_events.server.Connection?
---@return stream_events.server.Failure? failure
function M.connection(context)
  local id = context.query.connection_id or (context.body or {}).connection_id
  if context.caller.kind == "server" or type(id) ~= "string" or id == "" then
    return failures.fail(4, "Watch or Presence requires an active websocket connection, "
      .. "please make sure to include your websocket connection_id")
  end
  local connection = context.server.connections:find(id, context.caller)
  if connection then return connection end
  return failures.fail(46, ("there is no connection %s of this user"):format(id:sub(1, 64)))
end

local function check_user(server, user_id)
  local ok, message = names.user_id(user_id)
  if not ok then return failures.fail(4, message) end
  local user = server.users:get(user_id)
  if not user or user.is_erased then
    return failures.fail(4, ("user %s does not exist, please create the user first"):format(user_id))
  end
  return true
end

--- A list of user ids, each of them a user that exists and was not deleted for good, without duplicates.
---@param server table
---@param list any[] decoded
---@param where string for the message
---@return string[]? user_ids
---@return stream_events.server.Failure? failure
function M.user_ids(server, list, where)
  local ok, failure = input.check_count(#list, MAX_MEMBERS, where, "members")
  if not ok then return nil, failure end
  local ids, seen = {}, {}
  for _, id in ipairs(list) do
    ok, failure = check_user(server, id)
    if not ok then return nil, failure end
    if not seen[id] then ids[#ids + 1], seen[id] = id, true end
  end
  return ids
end

local function check_role(server, role)
  if type(role) == "string" and server.roles:is_for_members(role) then return true end
  if type(role) ~= "string" then return failures.fail(4, "channel_role must be a string") end
  return failures.fail(4, ("channel_role %q is not the name of a role that members can have")
    :format(role:sub(1, 64)))
end

--- Members to be: ids, or objects with user_id and channel_role. Giving a role needs a server token.
---@param context stream_events.server.Context
---@param list any[] decoded
---@param where string for the message
---@return { user_id: string, channel_role: string? }[]? members without duplicates
---@return stream_events.server.Failure? failure
function M.members(context, list, where)
  local ids, roles = {}, {}
  for i, item in ipairs(list) do
    local id = item
    if input.is_object(item) then
      id = item.user_id
      local role = item.channel_role
      if role ~= nil and role ~= native.json.null then
        local ok, failure = check_role(context.server, role)
        if ok and role ~= "channel_member" then
          ok, failure = access.check_server(context.caller, "giving a channel role")
        end
        if not ok then return nil, failure end
        if type(id) == "string" then roles[id] = role end
      end
    end
    ids[i] = id == nil and native.json.null or id
  end
  local user_ids, failure = M.user_ids(context.server, ids, where)
  if not user_ids then return nil, failure end
  local members = {}
  for i, id in ipairs(user_ids) do members[i] = { user_id = id, channel_role = roles[id] } end
  return members
end

--- Roles for members.
---@param server table
---@param list any[] decoded, of { user_id, channel_role }
---@return { user_id: string, channel_role: string }[]? roles
---@return stream_events.server.Failure? failure
function M.roles(server, list)
  local ok, failure = input.check_count(#list, MAX_MEMBERS, "assign_roles", "entries")
  if not ok then return nil, failure end
  local roles = {}
  for i, item in ipairs(list) do
    if not input.is_object(item) or type(item.user_id) ~= "string" then
      return failures.fail(4, "assign_roles must be a list of objects with user_id and channel_role")
    end
    ok, failure = check_role(server, item.channel_role)
    if not ok then return nil, failure end
    roles[i] = { user_id = item.user_id, channel_role = item.channel_role }
  end
  return roles
end

-- Fields that change what others may do in the channel.
local SERVER_FIELDS = { "disabled", "config_overrides" }

--- The data of a channel: its own fields, and the custom rest.
---@param context stream_events.server.Context
---@param data table decoded
---@return table? fields frozen, disabled, team, config_overrides
---@return table|stream_events.server.Failure custom_or_failure
function M.data(context, data)
  local fields, failure = input.read(data, {
    frozen = "boolean", disabled = "boolean", team = "string", config_overrides = "object",
  }, "data")
  if not fields then return nil, failure end
  for _, name in ipairs(SERVER_FIELDS) do
    if fields[name] ~= nil then
      local ok
      ok, failure = access.check_server(context.caller, ("setting %q"):format(name))
      if not ok then return nil, failure end
    end
  end
  if fields.config_overrides then
    fields.config_overrides, failure =
      context.server.channel_types:check_overrides(fields.config_overrides)
    if not fields.config_overrides then return nil, failure end
  end
  local custom = {}
  for name, value in pairs(data) do
    if not views.is_channel_field(name) then custom[name] = value end
  end
  return fields, custom
end

return M
