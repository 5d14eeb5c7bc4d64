--- Who may do what: actions, roles, grants (protocol §8).
-- A call is judged by the union of what the caller's user role and, for members, its channel role
-- have been granted in the scope: a channel type with the channel's own overrides, or ".app".
-- Server tokens are never judged.
local native = require "stream_events.native"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"

local M = {}

--- The scope of everything that belongs to no channel.
M.APP = ".app"

-- Action to the permission that allows it everywhere. Two suffixes make others of it: "-owner" (only
-- on what the user made), "-any-team" (in the channels of every team; here every user is in reach of
-- every channel, so it allows what the plain one does).
local ACTIONS = {
  SendCustomEvent = "send-custom-event",
  ReadChannel = "read-channel",
  CreateChannel = "create-channel",
  UpdateChannel = "update-channel",
  UpdateChannelMembers = "update-channel-members",
  DeleteChannel = "delete-channel",
  JoinChannel = "join-channel",
  LeaveChannel = "leave-channel",
  SearchUser = "search-user",
  UpdateUser = "update-user",
}

-- Permissions of the service for things that this server has not got. Grants may name them, so that
-- a list made for the service can be used as it is.
local WITHOUT_EFFECT = {
  "add-links", "ban-channel-member", "ban-user", "create-attachment", "create-call", "create-mention",
  "create-message", "create-reaction", "create-reply", "create-restricted-visibility-message",
  "create-system-message", "delete-attachment", "delete-message", "delete-reaction", "flag-message",
  "flag-user", "join-call", "mute-channel", "mute-user", "pin-message", "read-channel-members",
  "read-flag-reports", "read-message-flags", "recreate-channel", "remove-own-channel-membership",
  "run-message-action", "skip-channel-cooldown", "skip-message-moderation", "truncate-channel",
  "unblock-message", "update-channel-cooldown", "update-channel-frozen", "update-flag-reports",
  "update-message", "update-thread", "update-user-role", "update-user-teams", "upload-attachment",
  "use-frozen-channel",
}

local IDS = {} -- action -> the three permissions that allow it
local KNOWN = {}
for action, id in pairs(ACTIONS) do
  IDS[action] = { all = id, owner = id .. "-owner", any_team = id .. "-any-team" }
end
local function know(id)
  KNOWN[id], KNOWN[id .. "-owner"], KNOWN[id .. "-any-team"] = true, true, true
end
for _, id in pairs(ACTIONS) do know(id) end
for _, id in ipairs(WITHOUT_EFFECT) do know(id) end

--- Roles a user can have; every connection without a token has "anonymous".
M.USER_ROLES = {
  user = true, guest = true, admin = true, moderator = true, global_moderator = true,
  global_admin = true,
}

--- Roles a member can have.
M.CHANNEL_ROLES = { channel_member = true, channel_moderator = true }

local ROLES = { anonymous = true }
for role in pairs(M.USER_ROLES) do ROLES[role] = true end
for role in pairs(M.CHANNEL_ROLES) do ROLES[role] = true end

local R, S, C = "read-channel", "send-custom-event", "create-channel"
local R_OWN, S_OWN = "read-channel-owner", "send-custom-event-owner"
local JOIN, LEAVE = "join-channel", "leave-channel"
local MEMBERS, MEMBERS_OWN = "update-channel-members", "update-channel-members-owner"
local UPDATE, UPDATE_OWN = "update-channel", "update-channel-owner"
local DELETE, DELETE_OWN = "delete-channel", "delete-channel-owner"

local ADMIN = { R, S, C, JOIN, LEAVE, MEMBERS, MEMBERS_OWN, UPDATE, DELETE }
local MODERATOR = { R, S, C, JOIN, LEAVE, MEMBERS, UPDATE }
local MEMBER = { R, S, JOIN, LEAVE }

-- What the built-in channel types grant (§8.4). A role that is not named has nothing.
local DEFAULTS = {
  messaging = {
    admin = ADMIN, moderator = MODERATOR, channel_member = MEMBER, channel_moderator = MEMBER,
    user = { R_OWN, S_OWN, C, MEMBERS_OWN, UPDATE_OWN, DELETE_OWN },
  },
  gaming = {
    admin = ADMIN, moderator = { R, S, JOIN, LEAVE }, channel_member = MEMBER,
    channel_moderator = MEMBER, user = { R_OWN, S_OWN },
  },
  commerce = {
    admin = ADMIN, moderator = MODERATOR, channel_member = MEMBER, channel_moderator = MEMBER,
    user = { R_OWN, S_OWN, MEMBERS_OWN, UPDATE_OWN, DELETE_OWN }, guest = { R_OWN, C },
  },
  livestream = {
    admin = ADMIN, moderator = { R, S, C, JOIN, LEAVE }, user = { R, S, C, JOIN, LEAVE },
    guest = { R }, anonymous = { R },
  },
}
DEFAULTS.team = DEFAULTS.messaging

local APP_USER = { "flag-user", "mute-user", "search-user", "update-user-owner" }
local APP_MODERATOR = {
  "flag-user", "mute-user", "search-user", "update-user-owner", "read-flag-reports",
  "update-flag-reports",
}
local APP_DEFAULTS =
  { user = APP_USER, guest = APP_USER, moderator = APP_MODERATOR, admin = APP_MODERATOR }

--- The grants a scope starts with: those of a built-in channel type, for other types those of
--- messaging.
---@param scope string a channel type's name, or ".app"
---@return table<string, string[]> role to permissions; not to be changed
function M.defaults(scope)
  if scope == M.APP then return APP_DEFAULTS end
  return DEFAULTS[scope] or DEFAULTS.messaging
end

local function check_grant(id, overrides)
  if type(id) ~= "string" then return "must be a list of permissions" end
  if overrides and id:sub(1, 1) == "!" then id = id:sub(2) end
  if not KNOWN[id] then
    local hint = ""
    if KNOWN[id:gsub("s$", "")] then
      hint = (", did you mean %q? Capabilities are written with an s, permissions without")
        :format((id:gsub("s$", "")))
    end
    return ("names the unknown permission %q%s"):format(id, hint)
  end
end

--- Checks grants as they come in a request: an object of role to a list of permissions.
---@param value any decoded
---@param overrides boolean? for a channel: "!permission" takes one away
---@return table<string, string[]>? grants
---@return stream_events.server.Failure? failure
function M.check_grants(value, overrides)
  if type(value) ~= "table" or input.is_list(value) then
    return failures.fail(4, "grants must be an object: each role with its list of permissions")
  end
  local grants = {}
  for role, list in pairs(value) do
    if not ROLES[role] then
      return failures.fail(4, ("grants names the unknown role %q"):format(role))
    end
    local wrong = not input.is_list(list) and "must be a list of permissions" or nil
    local copy, seen = native.json.array {}, {}
    for _, id in ipairs(not wrong and list or {}) do
      wrong = wrong or check_grant(id, overrides)
      if not wrong and not seen[id] then
        seen[id] = true
        copy[#copy + 1] = id
      end
    end
    if wrong then return failures.fail(4, ("grants.%s %s"):format(role, wrong)) end
    grants[role] = copy
  end
  return grants
end

--- The replaced lists of a scope after a request: each role it names gets its list, null resets all.
---@param old table<string, string[]>
---@param value any decoded; nil: nothing changes
---@return table<string, string[]>? grants
---@return stream_events.server.Failure? failure
function M.merge_grants(old, value)
  if value == nil then return old end
  if value == native.json.null then return {} end
  local replaced, failure = M.check_grants(value)
  if not replaced then return nil, failure end
  return M.effective_grants(old, replaced)
end

--- Grants with some lists replaced, as a new table.
---@param grants table<string, string[]>
---@param replaced table<string, string[]>
---@return table<string, string[]>
function M.effective_grants(grants, replaced)
  local result = {}
  for role, list in pairs(grants) do result[role] = list end
  for role, list in pairs(replaced) do result[role] = list end
  return result
end

-- A caller's rights are looked up for every event that is sent, hence sets.
local function set_of(list)
  local set = {}
  for _, id in ipairs(list or {}) do set[id] = true end
  return set
end

-- A channel's overrides for one role: bare permissions are added, those behind "!" taken away,
-- whatever their order.
local function overridden(set, list)
  local result = {}
  for id in pairs(set) do result[id] = true end
  for _, id in ipairs(list) do
    if id:sub(1, 1) ~= "!" then result[id] = true end
  end
  for _, id in ipairs(list) do
    if id:sub(1, 1) == "!" then result[id:sub(2)] = nil end
  end
  return result
end

local NOTHING = {}

---@class stream_events.server.Permissions
---@field private channel_types stream_events.server.ChannelTypes
---@field private app stream_events.server.App
---@field private sets table<table, table<string, table<string, true>>> a scope's grants to sets
---@field private own table<table, table> a channel's overrides to { base, role -> set }
local Permissions = { __name = "stream_events.server.permissions" }
Permissions.__index = Permissions

---@param channel_types stream_events.server.ChannelTypes
---@param app stream_events.server.App
---@return stream_events.server.Permissions
function M.new(channel_types, app)
  -- Changed grants are new tables, so what was made of the old ones is simply never asked for again.
  return setmetatable({
    channel_types = channel_types,
    app = app,
    sets = setmetatable({}, { __mode = "k" }),
    own = setmetatable({}, { __mode = "k" }),
  }, Permissions)
end

local function scope_grants(self, scope)
  if scope == M.APP then return self.app:grants() end
  return self.channel_types:grants(scope) or NOTHING
end

-- What a role may do in a scope: set of permissions.
local function rights(self, scope, role, channel)
  local grants = scope_grants(self, scope)
  local sets = self.sets[grants]
  if not sets then
    sets = {}
    self.sets[grants] = sets
  end
  local set = sets[role]
  if not set then
    set = set_of(grants[role])
    sets[role] = set
  end
  local overrides = channel and channel.config_overrides and channel.config_overrides.grants
  if not overrides or not overrides[role] then return set end
  local own = self.own[overrides]
  if not own or own.base ~= grants then
    own = { base = grants, roles = {} }
    self.own[overrides] = own
  end
  own.roles[role] = own.roles[role] or overridden(set, overrides[role])
  return own.roles[role]
end

local function has(set, ids, owner)
  return set[ids.all] or set[ids.any_team] or (owner and set[ids.owner])
end

local function role_of(caller)
  return caller.user and caller.user.role or "anonymous"
end

--- Whether a caller may do something. Where there is no channel (yet) the caller counts as the owner
--- of what it is about.
---@param caller stream_events.server.Caller
---@param action string "SendCustomEvent", "ReadChannel", ...
---@param scope string a channel type's name, or ".app"
---@param channel stream_events.server.Channel?
---@param member stream_events.server.Member? the caller's own, if it is a member
---@return boolean allowed
---@return string[]? roles that were asked in vain
function Permissions:allowed(caller, action, scope, channel, member)
  local ids = IDS[action] or error("no such action: " .. tostring(action), 2)
  if caller.kind == "server" or self.app:get("disable_permissions_checks") then return true end
  local owner = true
  if channel then owner = caller.id ~= nil and channel.created_by_id == caller.id end
  local role = role_of(caller)
  if has(rights(self, scope, role, channel), ids, owner) then return true end
  if not member then return false, { role } end
  local channel_role = member.channel_role
  if has(rights(self, scope, channel_role, channel), ids, owner) then return true end
  return false, { role, channel_role }
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
  local allowed, roles = self:allowed(caller, action, scope, channel, member)
  if allowed then return true end
  return failures.fail(17,
    ("User '%s' with roles ['%s'] is not allowed to perform action %s in scope '%s'"):format(
      caller.id, table.concat(roles, "', '"), action, scope))
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
  { "delete-channel", "DeleteChannel" }, { "join-channel", "JoinChannel" },
  { "leave-channel", "LeaveChannel" }, { "update-channel", "UpdateChannel" },
  { "update-channel-members", "UpdateChannelMembers" },
}

--- The own_capabilities of a caller in a channel.
---@param caller stream_events.server.Caller
---@param channel stream_events.server.Channel
---@param member stream_events.server.Member?
---@return string[] sorted
function Permissions:capabilities(caller, channel, member)
  local config = self.channel_types:config(channel.type, channel.config_overrides) or NOTHING
  local list = native.json.array {}
  for _, entry in ipairs(BY_CONFIG) do
    if config[entry[2]] then list[#list + 1] = entry[1] end
  end
  for _, entry in ipairs(BY_RIGHT) do
    if self:allowed(caller, entry[2], channel.type, channel, member) then
      list[#list + 1] = entry[1]
    end
  end
  if config.custom_events
    and self:allowed(caller, "SendCustomEvent", channel.type, channel, member) then
    list[#list + 1] = "send-custom-events"
  end
  table.sort(list)
  return list
end

return M
