--- Channels, members and connecting users as answers and events show them.
local native = require "stream_events.native"

local M = {}

local json = native.json

-- Names of a channel's own fields: custom data cannot take their place.
local CHANNEL_FIELDS = {
  id = true, type = true, cid = true, created_at = true, updated_at = true, created_by = true,
  created_by_id = true, frozen = true, disabled = true, member_count = true, config = true,
  own_capabilities = true, hidden = true, blocked = true, message_count = true, team = true,
  config_overrides = true, members = true, last_message_at = true, deleted_at = true,
  truncated_at = true, cooldown = true, muted = true, watcher_count = true, invites = true,
}

--- Whether custom data of a channel may have that name.
---@param name string
---@return boolean
function M.is_channel_field(name)
  return CHANNEL_FIELDS[name] == true
end

---@class stream_events.server.Views
local Views = { __name = "stream_events.server.views" }
Views.__index = Views

---@param parts { users: table, channel_types: table, permissions: table, channels: table, bans: table }
---@return stream_events.server.Views
function M.new(parts)
  return setmetatable({
    users = parts.users, channel_types = parts.channel_types, permissions = parts.permissions,
    channels = parts.channels, bans = parts.bans,
  }, Views)
end

--- A user for an answer; a user who is gone still has an id.
---@param user_id string
---@return table
function Views:user(user_id)
  local user = self.users:get(user_id)
  if user then return self.users:public(user) end
  return { id = user_id, role = "user", deleted = true }
end

--- A user for an answer to a caller: a backend also sees what is hidden from everybody else.
---@param user stream_events.server.User
---@param caller stream_events.server.Caller
---@return table
function Views:account(user, caller)
  local view = self.users:public(user)
  if caller.kind ~= "server" then return view end
  local ban = self.bans:in_app(user.id)
  view.shadow_banned = ban ~= nil and ban.shadow or nil
  view.revoke_tokens_issued_before = user.revoke_tokens_issued_before
  return view
end

--- The configuration that holds in one channel: its type's, with what the channel overrides.
---@param channel stream_events.server.Channel
---@return table config not to be changed
function Views:config(channel)
  return self.channel_types:config(channel.type, channel.config_overrides)
end

local function legacy_role(channel, member)
  if member.user_id == channel.created_by_id then return "owner" end
  return member.channel_role == "channel_moderator" and "moderator" or "member"
end

--- A member as lists show it. That somebody is under a shadow ban is shown to backends only.
---@param channel stream_events.server.Channel
---@param member stream_events.server.Member
---@param for_backend boolean?
---@return table
function Views:member(channel, member, for_backend)
  local ban = self.bans:in_channel(member.user_id, channel.cid)
  local shadow = ban ~= nil and ban.shadow
  return {
    user_id = member.user_id,
    user = self:user(member.user_id),
    status = "member",
    created_at = member.created_at,
    updated_at = member.updated_at,
    banned = ban ~= nil and not shadow,
    ban_expires = ban and (for_backend or not shadow) and ban.expires or nil,
    shadow_banned = for_backend == true and shadow,
    role = legacy_role(channel, member),
    channel_role = member.channel_role,
    notifications_muted = false,
  }
end

--- A page of the members.
---@param channel stream_events.server.Channel
---@param limit integer
---@param offset integer
---@param for_backend boolean?
---@return table list
function Views:members(channel, limit, offset, for_backend)
  local all = self.channels:members_of(channel)
  local list = json.array {}
  for i = offset + 1, math.min(#all, offset + limit) do
    list[#list + 1] = self:member(channel, all[i], for_backend)
  end
  return list
end

--- A channel. What the caller may do in it is left out for events, which go to many.
---@param channel stream_events.server.Channel
---@param caller stream_events.server.Caller?
---@return table
function Views:channel(channel, caller)
  local view = {}
  for name, value in pairs(channel.custom) do view[name] = value end
  view.id = channel.id
  view.type = channel.type
  view.cid = channel.cid
  view.created_at = channel.created_at
  view.updated_at = channel.updated_at
  view.created_by = channel.created_by_id and self:user(channel.created_by_id) or nil
  view.frozen = channel.frozen or false
  view.disabled = channel.disabled or false
  view.team = channel.team
  view.member_count = channel.member_count
  view.config = self:config(channel)
  if caller then
    local member = caller.id and channel.members[caller.id]
    view.own_capabilities = self.permissions:capabilities(caller, channel, member,
      caller.kind ~= "server" and self.bans:silences(caller.id, channel.cid))
    view.hidden = false
    view.blocked = false
    view.message_count = 0
  end
  return view
end

--- The answer to a query: the channel, who belongs to it and who watches it.
---@param channel stream_events.server.Channel
---@param caller stream_events.server.Caller
---@param page { members: integer, offset: integer, watcher_count: integer, watchers: table? }
---@return table
function Views:state(channel, caller, page)
  local membership = caller.id and channel.members[caller.id]
  return {
    channel = self:channel(channel, caller),
    messages = json.array {},
    pinned_messages = json.array {},
    read = json.array {},
    threads = json.array {},
    watcher_count = page.watcher_count > 0 and page.watcher_count or nil,
    watchers = page.watchers,
    members = self:members(channel, page.members, page.offset, caller.kind == "server"),
    membership = membership and self:member(channel, membership) or nil,
  }
end

--- The connecting user's own view of itself, for the first frame.
---@param user table
---@return table
function Views:me(user)
  local me = self.users:public(user)
  me.online = true
  me.invisible = user.invisible or false
  me.devices = json.array {}
  me.mutes = json.array {}
  me.channel_mutes = json.array {}
  me.unread_count = 0
  me.total_unread_count = 0
  me.unread_channels = 0
  me.unread_threads = 0
  return me
end

return M
