--- Channels changed and removed: their data, their members, and who is told about it.
local native = require "stream_events.native"
local access = require "stream_events.server.access"
local channel_input = require "stream_events.server.channel_input"
local channels = require "stream_events.server.channels"
local clock = require "stream_events.server.clock"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"
local views = require "stream_events.server.views"

local json = native.json

local UPDATE = {
  add_members = "list", remove_members = "list", invites = "list", add_moderators = "list",
  demote_moderators = "list", assign_roles = "list", data = "object",
}

local function is_only(list, user_id)
  return #list == 1 and list[1] == user_id
end

local function ids_of(members)
  local ids = {}
  for i, member in ipairs(members) do ids[i] = member.user_id end
  return ids
end

-- Joining and leaving is less than changing the members: a caller who may do only that may do it
-- with itself.
local function check_members(context, channel, ids, own_action)
  if #ids == 0 then return true end
  local server, caller = context.server, context.caller
  local ok, failure = access.check(server, caller, "UpdateChannelMembers", channel.type, channel)
  if ok or not is_only(ids, caller.id) then return ok, failure end
  return access.check(server, caller, own_action, channel.type, channel)
end

local function check_roles(context, channel, roles, added)
  if #roles == 0 then return true end
  local ok, failure = access.check_server(context.caller, "giving a channel role")
  if not ok then return nil, failure end
  local present = {}
  for _, member in ipairs(added) do present[member.user_id] = true end
  for _, role in ipairs(roles) do
    if not channel.members[role.user_id] and not present[role.user_id] then
      return failures.fail(4, ("user %s is no member of %s"):format(role.user_id:sub(1, 64), channel.cid))
    end
  end
  return true
end

local function append(list, more, channel_role)
  for _, user_id in ipairs(more) do
    list[#list + 1] = { user_id = user_id, channel_role = channel_role }
  end
end

-- What the request asks for, checked: who comes, who goes, who gets which role.
local function read_members(context, channel, body)
  local server = context.server
  local add, failure = channel_input.members(context, body.add_members or {}, "add_members")
  if not add then return nil, failure end
  local lists = {}
  for _, name in ipairs { "remove_members", "add_moderators", "demote_moderators" } do
    lists[name], failure = channel_input.user_ids(server, body[name] or {}, name)
    if not lists[name] then return nil, failure end
  end
  local roles
  roles, failure = channel_input.roles(server, body.assign_roles or {})
  if not roles then return nil, failure end
  -- Moderators are members: who is none yet becomes one.
  append(add, lists.add_moderators)
  append(roles, lists.add_moderators, "channel_moderator")
  append(roles, lists.demote_moderators, "channel_member")

  local ok
  ok, failure = check_members(context, channel, ids_of(add), "JoinChannel")
  if ok then ok, failure = check_members(context, channel, lists.remove_members, "LeaveChannel") end
  if ok then ok, failure = check_roles(context, channel, roles, add) end
  if not ok then return nil, failure end
  local coming = {}
  for _, list in ipairs { add, roles } do
    for _, entry in ipairs(list) do coming[entry.user_id] = true end
  end
  for _, user_id in ipairs(lists.remove_members) do
    if coming[user_id] then
      return failures.fail(4, ("user %s cannot be added and removed at once"):format(user_id))
    end
  end
  if channels.is_distinct(channel) and #add > 0 then
    return failures.fail(17, "cannot add members to the distinct channel they don't belong to, "
      .. "please create a new distinct channel with the desired members")
  end
  return { add = add, remove = lists.remove_members, roles = roles }
end

-- A member who may no longer read the channel stops watching it.
local function end_watch(server, channel, user_id)
  for connection in pairs(server.connections:of(user_id)) do
    if connection.watches[channel.cid]
      and not access.check(server, connection.caller, "ReadChannel", channel.type, channel) then
      server.watching:stop(connection, channel)
    end
  end
end

local function tell_watchers(context, channel, event_type, text)
  context.server.events:to_watchers(channel, text)
  context.server.webhooks:copy_built_in(context, event_type, channel, text)
end

local function tell_member(context, channel, event_type, member)
  local server = context.server
  local text = server.events:text(event_type, channel, server.users:get(member.user_id),
    { member = server.views:member(channel, member) })
  tell_watchers(context, channel, event_type, text)
end

local function tell_elsewhere(server, channel, event_type, members)
  if #members == 0 then return end
  local view = server.views:channel(channel)
  for _, member in ipairs(members) do
    server.events:to_user_elsewhere(member.user_id, channel, server.events:text(event_type, channel,
      server.users:get(member.user_id),
      { channel = view, member = server.views:member(channel, member) }))
  end
end

local function tell_all(context, channel, added, removed, updated)
  local server = context.server
  for _, member in ipairs(added) do tell_member(context, channel, "member.added", member) end
  for _, member in ipairs(updated) do tell_member(context, channel, "member.updated", member) end
  for _, member in ipairs(removed) do
    tell_member(context, channel, "member.removed", member)
    end_watch(server, channel, member.user_id)
  end
  tell_elsewhere(server, channel, "notification.added_to_channel", added)
  tell_elsewhere(server, channel, "notification.removed_from_channel", removed)
end

-- Whether a change of the channel's own fields is one of what may be done there.
local function changes_rights(channel, fields)
  return fields.config_overrides ~= nil
    or (fields.disabled ~= nil and fields.disabled ~= (channel.disabled or false))
end

-- `rights_changed`: then everybody is told by itself, with what it may do now.
local function tell_updated(context, channel, rights_changed)
  local server, user = context.server, context.caller.user
  local text = server.events:text("channel.updated", channel, user,
    { channel = server.views:channel(channel) })
  if rights_changed then
    server.rights:of_channel(channel, user)
  else
    server.events:to_watchers(channel, text)
  end
  server.webhooks:copy_built_in(context, "channel.updated", channel, text)
end

-- The members that a change is about, as they are; false for who is none.
local function standing_of(channel, changes)
  local before = {}
  for _, list in ipairs { changes.add, changes.roles } do
    for _, entry in ipairs(list) do
      before[entry.user_id] = channel.members[entry.user_id] or false
    end
  end
  for _, user_id in ipairs(changes.remove) do
    before[user_id] = channel.members[user_id] or false
  end
  return before
end

local function answer(context, channel)
  return {
    channel = context.server.views:channel(channel, context.caller),
    members = context.server.views:members(channel, 100, 0),
  }
end

local function update_channel(context)
  local server = context.server
  local channel, failure = channel_input.channel(context)
  if not channel then return nil, failure end
  local body
  body, failure = input.read(context.body, UPDATE)
  if not body then return nil, failure end
  local changes
  changes, failure = read_members(context, channel, body)
  if not changes then return nil, failure end
  if body.data then
    local ok
    ok, failure = access.check(server, context.caller, "UpdateChannel", channel.type, channel)
    if not ok then return nil, failure end
    local fields, custom = channel_input.data(context, body.data)
    if not fields then return nil, custom end
    ok, failure = input.check_data(custom, "the custom data of a channel")
    if not ok then return nil, failure end
    fields.custom = custom
    changes.fields = fields
  end
  if not (changes.fields or #changes.add + #changes.remove + #changes.roles > 0) then
    local ok
    ok, failure = access.check(server, context.caller, "ReadChannel", channel.type, channel)
    if not ok then return nil, failure end
    return 201, answer(context, channel)
  end
  local before = standing_of(channel, changes)
  local rights_changed = changes.fields ~= nil and changes_rights(channel, changes.fields)
  local added, removed, updated = server.channels:change(channel, changes)
  tell_all(context, channel, added, removed, updated)
  for user_id, member in pairs(before) do server.rights:of_member(channel, user_id, member) end
  if changes.fields then tell_updated(context, channel, rights_changed) end
  return 201, answer(context, channel)
end

-- What "set" and "unset" make of a channel's fields.
local function patched(context, channel, set, unset)
  local fields, custom = channel_input.data(context, set)
  if not fields then return nil, custom end
  local merged = {}
  for name, value in pairs(channel.custom) do merged[name] = value end
  for name, value in pairs(custom) do merged[name] = value end
  for _, name in ipairs(unset) do
    if name == "team" or name == "config_overrides" then
      local ok, failure = access.check_server(context.caller, ("taking away %q"):format(name))
      if not ok then return nil, failure end
      fields[name] = false
    elseif views.is_channel_field(name) then
      return failures.fail(4, ("%q cannot be taken away from a channel"):format(name))
    end
    merged[name] = nil
  end
  local ok, failure = input.check_data(merged, "the custom data of a channel")
  if not ok then return nil, failure end
  fields.custom = merged
  return fields
end

local function patch_channel(context)
  local server = context.server
  local channel, failure = channel_input.channel(context)
  if not channel then return nil, failure end
  local ok
  ok, failure = access.check(server, context.caller, "UpdateChannel", channel.type, channel)
  if not ok then return nil, failure end
  local body
  body, failure = input.read(context.body, { set = "object", unset = "strings" })
  if not body then return nil, failure end
  local fields
  fields, failure = patched(context, channel, body.set or {}, body.unset or {})
  if not fields then return nil, failure end
  local rights_changed = changes_rights(channel, fields)
  server.channels:change(channel, { fields = fields })
  tell_updated(context, channel, rights_changed)
  return 200, answer(context, channel)
end

local function delete_channel(context)
  local server = context.server
  local channel, failure = channel_input.channel(context)
  if not channel then return nil, failure end
  local ok
  ok, failure = access.check(server, context.caller, "DeleteChannel", channel.type, channel)
  if not ok then return nil, failure end
  local view = server.views:channel(channel)
  view.deleted_at = clock.stamp()
  local members = {}
  for user_id in pairs(channel.members) do members[#members + 1] = user_id end
  -- Together: a ban that stayed would be one in the next channel of that name.
  server.store:transaction(function()
    server.channels:delete(channel)
    server.bans:clear(nil, channel.cid)
  end)
  server.retention:drop(channel)
  local user, fields = context.caller.user, { channel = view }
  tell_watchers(context, channel, "channel.deleted",
    server.events:text("channel.deleted", channel, user, fields))
  local text = server.events:text("notification.channel_deleted", channel, user, fields)
  for _, user_id in ipairs(members) do server.events:to_user_elsewhere(user_id, channel, text) end
  server.watching:end_all(channel)
  server.presence:end_all(channel)
  return 200, { channel = view, members = json.array {} }
end

return {
  { "POST", "/channels/{type}/{id}", endpoint = "UpdateChannel", handler = update_channel },
  { "PATCH", "/channels/{type}/{id}", endpoint = "UpdateChannelPartial", handler = patch_channel },
  { "DELETE", "/channels/{type}/{id}", endpoint = "DeleteChannel", handler = delete_channel },
}
