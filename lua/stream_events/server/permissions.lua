--- Who may do what (protocol §8). A call is judged by the union of what the caller's user role and,
-- for members, its channel role have been granted in the scope: a channel type with the channel's own
-- overrides, or ".app". Server tokens are never judged.
--
-- The order (§8.2, §7.4), for each role by itself: the grants of the type, then what the channel adds,
-- then what it takes away with "!". Beyond the protocol, permissions to send may name one event type:
-- a role with "send-custom-event" may send everything, one without it what it has been granted by
-- type, and "!send-custom-event:x" of a channel keeps a role from sending x whatever else it has.
local native = require "stream_events.native"
local failures = require "stream_events.server.failure"
local grants = require "stream_events.server.grants"
local permission_ids = require "stream_events.server.permission_ids"

local M = {}

local ACTIONS = permission_ids.ACTIONS
local SENDING = ACTIONS.SendCustomEvent
local NOTHING = {}

-- What a role may do in one place, for look-ups: every event that is sent is judged by it.
---@class stream_events.server.Rights
---@field ids table<string, true> built-in permissions
---@field types table<string, stream_events.server.TypeRights> by event type; empty for most
---@field some_types boolean whether there is a type that may be sent anywhere
---@field some_own_types boolean likewise, in one's own channels

---@class stream_events.server.TypeRights
---@field all boolean? may be sent
---@field owner boolean? may be sent in one's own channels
---@field forbidden boolean? may not, whatever is granted
---@field owner_forbidden boolean? not by the right of an owner

local function type_rights(rights, event_type)
  rights.types[event_type] = rights.types[event_type] or {}
  return rights.types[event_type]
end

-- `ids`: what is granted; `taken`: permissions for single types that the channel takes away.
local function compile(custom, ids, taken)
  local rights = { ids = {}, types = {}, some_types = false, some_own_types = false }
  for id in pairs(ids) do
    local base, event_type = grants.split(id)
    if not event_type then
      rights.ids[custom:effect(id)] = true
    else
      type_rights(rights, event_type)[base == SENDING.owner and "owner" or "all"] = true
    end
  end
  for id in pairs(taken) do
    local base, event_type = grants.split(id)
    type_rights(rights, event_type)[base == SENDING.owner and "owner_forbidden" or "forbidden"] = true
  end
  for _, named in pairs(rights.types) do
    if not named.forbidden then
      rights.some_types = rights.some_types or named.all == true
      rights.some_own_types = rights.some_own_types or (named.owner and not named.owner_forbidden) == true
    end
  end
  return rights
end

local function set_of(list)
  local set = {}
  for _, id in ipairs(list or NOTHING) do set[id] = true end
  return set
end

-- A channel's overrides for one role: bare permissions are added, those behind "!" taken away,
-- whatever their order.
local function overridden(list, overrides)
  local ids, taken = set_of(list), {}
  for _, id in ipairs(overrides) do
    if id:sub(1, 1) ~= "!" then ids[id] = true end
  end
  for _, id in ipairs(overrides) do
    if id:sub(1, 1) == "!" then
      id = id:sub(2)
      ids[id] = nil
      if id:find(":", 1, true) then taken[id] = true end
    end
  end
  return ids, taken
end

---@class stream_events.server.Permissions
---@field private channel_types stream_events.server.ChannelTypes
---@field private app stream_events.server.App
---@field private custom stream_events.server.CustomPermissions
---@field private version integer of the custom permissions that the rights below were made with
---@field private rights table<table, table<string, stream_events.server.Rights>> by grants and role
---@field private own table<table, table> by a channel's overrides: { base, roles = by role }
local Permissions = { __name = "stream_events.server.permissions" }
Permissions.__index = Permissions

---@param channel_types stream_events.server.ChannelTypes
---@param app stream_events.server.App
---@param custom stream_events.server.CustomPermissions
---@return stream_events.server.Permissions
function M.new(channel_types, app, custom)
  -- Changed grants are new tables, so what was made of the old ones is simply never asked for again.
  return setmetatable({
    channel_types = channel_types, app = app, custom = custom, version = custom.version,
    rights = setmetatable({}, { __mode = "k" }),
    own = setmetatable({}, { __mode = "k" }),
  }, Permissions)
end

--- What is in force now, to be asked about after a change.
---@return stream_events.server.Permissions
function Permissions:frozen()
  return M.new(self.channel_types:frozen(), self.app:frozen(), self.custom:frozen())
end

local function scope_grants(self, scope)
  if scope == grants.APP then return self.app:grants() end
  return self.channel_types:grants(scope) or NOTHING
end

local function forget(self)
  self.version = self.custom.version
  self.rights = setmetatable({}, { __mode = "k" })
  self.own = setmetatable({}, { __mode = "k" })
end

---@return stream_events.server.Rights
local function rights_of(self, scope, role, channel)
  if self.version ~= self.custom.version then forget(self) end
  local granted = scope_grants(self, scope)
  local overrides = channel and channel.config_overrides and channel.config_overrides.grants
  if overrides and overrides[role] then
    local own = self.own[overrides]
    if not own or own.base ~= granted then
      own = { base = granted, roles = {} }
      self.own[overrides] = own
    end
    local rights = own.roles[role]
    if not rights then
      rights = compile(self.custom, overridden(granted[role], overrides[role]))
      own.roles[role] = rights
    end
    return rights
  end
  local by_role = self.rights[granted]
  if not by_role then
    by_role = {}
    self.rights[granted] = by_role
  end
  local rights = by_role[role]
  if not rights then
    rights = compile(self.custom, set_of(granted[role]), NOTHING)
    by_role[role] = rights
  end
  return rights
end

local function has(rights, ids, owner)
  local set = rights.ids
  return set[ids.all] or set[ids.any_team] or (owner and set[ids.owner]) or false
end

local function has_type(rights, event_type, owner)
  local named = rights.types[event_type]
  if not named then return has(rights, SENDING, owner) end
  if named.forbidden then return false end
  local ids = rights.ids
  if named.all or ids[SENDING.all] or ids[SENDING.any_team] then return true end
  return (owner and not named.owner_forbidden and (named.owner or ids[SENDING.owner])) or false
end

local function has_some_type(rights, _, owner)
  return has(rights, SENDING, owner) or rights.some_types or (owner and rights.some_own_types)
end

-- Asks one role after the other. `holds(rights, what, owner)` says whether a role's rights do.
local function judge(self, caller, scope, channel, member, holds, what, owner)
  if caller.kind == "server" or self.app:get "disable_permissions_checks" then return true end
  if channel then owner = caller.id ~= nil and channel.created_by_id == caller.id end
  local role = caller.user and caller.user.role or "anonymous"
  if holds(rights_of(self, scope, role, channel), what, owner) then return true end
  if not member then return false, role end
  local channel_role = member.channel_role
  if holds(rights_of(self, scope, channel_role, channel), what, owner) then return true end
  return false, role, channel_role
end

--- Whether a caller may do something. Where there is no channel (yet) the caller counts as the owner
--- of what it is about.
---@param caller stream_events.server.Caller
---@param action string "SendCustomEvent" (of some type), "ReadChannel", ...
---@param scope string a channel type's name, or ".app"
---@param channel stream_events.server.Channel?
---@param member stream_events.server.Member? the caller's own, if it is a member
---@return boolean allowed
---@return string? role that was asked in vain
---@return string? channel_role likewise
function Permissions:allowed(caller, action, scope, channel, member)
  local ids = ACTIONS[action] or error("no such action: " .. tostring(action), 2)
  return judge(self, caller, scope, channel, member, ids == SENDING and has_some_type or has, ids,
    not ids.about_others)
end

--- Whether a caller may send events of a custom type to a channel.
---@param caller stream_events.server.Caller
---@param event_type string
---@param channel stream_events.server.Channel
---@param member stream_events.server.Member?
---@return boolean allowed
---@return string? role that was asked in vain
---@return string? channel_role likewise
function Permissions:may_send(caller, event_type, channel, member)
  return judge(self, caller, channel.type, channel, member, has_type, event_type)
end

local function refuse(caller, action, scope, role, channel_role, event_type)
  local roles = channel_role and ("'%s', '%s'"):format(role, channel_role) or ("'%s'"):format(role)
  local about = event_type and (" with events of type '%s'"):format(event_type) or ""
  return failures.fail(17,
    ("User '%s' with roles [%s] is not allowed to perform action %s in scope '%s'%s"):format(
      caller.id, roles, action, scope, about))
end

--- As allowed, with the failure to answer.
---@param caller stream_events.server.Caller
---@param action string
---@param scope string
---@param channel stream_events.server.Channel?
---@param member stream_events.server.Member?
---@return true? ok
---@return stream_events.server.Failure? failure
function Permissions:check(caller, action, scope, channel, member)
  local allowed, role, channel_role = self:allowed(caller, action, scope, channel, member)
  if allowed then return true end
  return refuse(caller, action, scope, role, channel_role)
end

--- As may_send, with the failure to answer. It names the event type where other types would do.
---@param caller stream_events.server.Caller
---@param event_type string
---@param channel stream_events.server.Channel
---@param member stream_events.server.Member?
---@return true? ok
---@return stream_events.server.Failure? failure
function Permissions:check_send(caller, event_type, channel, member)
  local allowed, role, channel_role = self:may_send(caller, event_type, channel, member)
  if allowed then return true end
  local others = self:allowed(caller, "SendCustomEvent", channel.type, channel, member)
  return refuse(caller, "SendCustomEvent", channel.type, role, channel_role, others and event_type or nil)
end

-- Capabilities that are the channel type's, whoever asks.
local BY_CONFIG = {
  { "connect-events", "connect_events" }, { "delivery-events", "delivery_events" },
  { "read-events", "read_events" }, { "send-typing-events", "typing_events" },
  { "typing-events", "typing_events" },
}
-- Capabilities that are somebody's right. What this server cannot do (messages, polls) is in nobody's
-- list, whatever is granted.
local BY_RIGHT = {
  { "ban-channel-members", "BanChannelMember" }, { "delete-channel", "DeleteChannel" },
  { "join-channel", "JoinChannel" }, { "leave-channel", "LeaveChannel" },
  { "update-channel", "UpdateChannel" }, { "update-channel-members", "UpdateChannelMembers" },
}

--- The configuration of a channel: its type's, with what the channel overrides.
---@param channel stream_events.server.Channel
---@return table? config nil when there is no such type; not to be changed
function Permissions:config(channel)
  return self.channel_types:config(channel.type, channel.config_overrides)
end

--- The own_capabilities of a caller in a channel. `send-custom-events` is among them when the channel
--- type has custom events on, nobody banned the caller, and it may send at least one event type. Of the
--- other rights one who is banned has that to leave; who has no token has none.
---@param caller stream_events.server.Caller
---@param channel stream_events.server.Channel
---@param member stream_events.server.Member?
---@param banned boolean? whether the caller is banned, and must not send here
---@return string[] sorted
function Permissions:capabilities(caller, channel, member, banned)
  local config = self:config(channel) or NOTHING
  local reads_only = banned or caller.kind == "anonymous"
  local list = native.json.array {}
  for _, entry in ipairs(BY_CONFIG) do
    if config[entry[2]] then list[#list + 1] = entry[1] end
  end
  for _, entry in ipairs(BY_RIGHT) do
    if (not reads_only or banned and entry[2] == "LeaveChannel")
      and self:allowed(caller, entry[2], channel.type, channel, member) then
      list[#list + 1] = entry[1]
    end
  end
  if config.custom_events and not reads_only
    and self:allowed(caller, "SendCustomEvent", channel.type, channel, member) then
    list[#list + 1] = "send-custom-events"
  end
  table.sort(list)
  return list
end

return M
