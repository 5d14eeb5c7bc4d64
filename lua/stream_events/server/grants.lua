--- Grants: which permissions each role has, by default and as an operator writes it (protocol §8.3,
-- §8.4). Beyond the protocol a permission to send may be one for a single event type:
-- "send-custom-event:trade_offer".
local names = require "stream_events.names"
local native = require "stream_events.native"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"
local permission_ids = require "stream_events.server.permission_ids"

local M = {}

local KNOWN = permission_ids.KNOWN

--- The scope of everything that belongs to no channel.
M.APP = ".app"

-- Of one role in one scope; far more than there are ids, so there is room for event types.
local MAX_IDS = 512

local R, S, C = "read-channel", "send-custom-event", "create-channel"
local R_OWN, S_OWN = "read-channel-owner", "send-custom-event-owner"
local JOIN, LEAVE, BAN = "join-channel", "leave-channel", "ban-channel-member"
local MEMBERS, MEMBERS_OWN = "update-channel-members", "update-channel-members-owner"
local UPDATE, UPDATE_OWN = "update-channel", "update-channel-owner"
local DELETE, DELETE_OWN = "delete-channel", "delete-channel-owner"

local ADMIN = { R, S, C, JOIN, LEAVE, MEMBERS, MEMBERS_OWN, UPDATE, DELETE, BAN }
local MODERATOR = { R, S, C, JOIN, LEAVE, MEMBERS, UPDATE, BAN }
local MEMBER = { R, S, JOIN, LEAVE }
local CHANNEL_MODERATOR = { R, S, JOIN, LEAVE, BAN }

-- What the built-in channel types grant (§8.4). A role that is not named has nothing.
local DEFAULTS = {
  messaging = {
    admin = ADMIN, moderator = MODERATOR, channel_member = MEMBER,
    channel_moderator = CHANNEL_MODERATOR,
    user = { R_OWN, S_OWN, C, MEMBERS_OWN, UPDATE_OWN, DELETE_OWN },
  },
  gaming = {
    admin = ADMIN, moderator = { R, S, JOIN, LEAVE, BAN }, channel_member = MEMBER,
    channel_moderator = CHANNEL_MODERATOR, user = { R_OWN, S_OWN },
  },
  commerce = {
    admin = ADMIN, moderator = MODERATOR, channel_member = MEMBER,
    channel_moderator = CHANNEL_MODERATOR,
    user = { R_OWN, S_OWN, MEMBERS_OWN, UPDATE_OWN, DELETE_OWN }, guest = { R_OWN, C },
  },
  livestream = {
    admin = ADMIN, moderator = { R, S, C, JOIN, LEAVE, BAN }, user = { R, S, C, JOIN, LEAVE },
    guest = { R }, anonymous = { R },
  },
}
DEFAULTS.team = DEFAULTS.messaging

local APP_USER = { "flag-user", "mute-user", "search-user", "update-user-owner" }
local APP_MODERATOR = {
  "flag-user", "mute-user", "search-user", "update-user-owner", "read-flag-reports",
  "update-flag-reports", "ban-user",
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

--- Grants with some lists replaced, as a new table.
---@param grants table<string, string[]>
---@param replaced table<string, string[]>
---@return table<string, string[]>
function M.effective(grants, replaced)
  local result = {}
  for role, list in pairs(grants) do result[role] = list end
  for role, list in pairs(replaced) do result[role] = list end
  return result
end

--- Both halves of a permission for a single event type.
---@param id string without "!"
---@return string base the permission
---@return string? event_type nil for a permission about everything
function M.split(id)
  local base, event_type = id:match "^([^:]*):(.*)$"
  return base or id, event_type
end

local SENDING = permission_ids.ACTIONS.SendCustomEvent

local function check_typed(base, event_type)
  if base ~= SENDING.all and base ~= SENDING.owner and base ~= SENDING.any_team then
    return ("names %q with an event type: only permissions to send custom events can have one")
      :format(base:sub(1, 64))
  end
  local ok, message = names.event_type(event_type)
  if not ok then return "names what is no event type: " .. message end
  if native.type_class(event_type) ~= "custom" then
    return ("names %q, which is no custom event type"):format(event_type)
  elseif event_type:find("*", 1, true) then
    -- In rules and subscriptions a star stands for any ending; who means that here must hear of it.
    return ("names %q: a permission names one event type in full, a '*' stands for nothing")
      :format(event_type)
  end
end

---@class stream_events.server.Grants checks grants by what there is
---@field roles stream_events.server.Roles
---@field custom stream_events.server.CustomPermissions
local Grants = { __name = "stream_events.server.grants" }
Grants.__index = Grants

---@param roles stream_events.server.Roles
---@param custom stream_events.server.CustomPermissions
---@return stream_events.server.Grants
function M.new(roles, custom)
  return setmetatable({ roles = roles, custom = custom }, Grants)
end

-- What is wrong with one permission of a list; nil: nothing.
local function check_id(self, id, overrides)
  if type(id) ~= "string" then return "must be a list of permissions" end
  if id:sub(1, 1) == "!" then
    if not overrides then
      return ("names %q: '!' takes away in one channel, by its config_overrides; "
        .. "here leave the permission out"):format(id)
    end
    id = id:sub(2)
  end
  local base, event_type = M.split(id)
  if event_type then return check_typed(base, event_type) end
  if KNOWN[id] or self.custom:get(id) then return nil end
  local hint, singular = "", id:gsub("s$", "")
  if KNOWN[singular] then
    hint = (", did you mean %q? Capabilities are written with an s, permissions without")
      :format(singular)
  end
  return ("names the unknown permission %q%s"):format(id, hint)
end

-- The list of one role, each permission once.
local function check_list(self, list, overrides)
  if not input.is_list(list) then return nil, "must be a list of permissions" end
  if #list > MAX_IDS then
    return nil, ("holds %d permissions, %d are allowed"):format(#list, MAX_IDS)
  end
  local copy, seen = native.json.array {}, {}
  for _, id in ipairs(list) do
    local wrong = check_id(self, id, overrides)
    if wrong then return nil, wrong end
    if not seen[id] then
      seen[id] = true
      copy[#copy + 1] = id
    end
  end
  return copy
end

--- Checks grants as they come in a request: an object of role to a list of permissions.
---@param value any decoded
---@param overrides boolean? for a channel: "!permission" takes one away
---@return table<string, string[]>? grants
---@return stream_events.server.Failure? failure
function Grants:check(value, overrides)
  if not input.is_object(value) then
    return failures.fail(4, "grants must be an object: each role with its list of permissions")
  end
  local grants = {}
  for role, list in pairs(value) do
    if not self.roles:exists(role) then
      return failures.fail(4, ("grants names the unknown role %q"):format(role))
    end
    local copy, wrong = check_list(self, list, overrides)
    if not copy then return failures.fail(4, ("grants.%s %s"):format(role, wrong)) end
    local says_nothing = overrides and #copy == 0
    if not says_nothing then grants[role] = copy end
  end
  return grants
end

--- The replaced lists of a scope after a request: each role it names gets its list, null resets all.
---@param old table<string, string[]>
---@param value any decoded; nil: nothing changes
---@return table<string, string[]>? grants
---@return stream_events.server.Failure? failure
function Grants:merge(old, value)
  if value == nil then return old end
  if value == native.json.null then return {} end
  local replaced, failure = self:check(value)
  if not replaced then return nil, failure end
  local merged = M.effective(old, replaced)
  -- Custom roles have no defaults that an empty list would stand against; leaving them out lets them
  -- be deleted.
  for role, list in pairs(replaced) do
    if #list == 0 and self.roles:is_custom(role) then merged[role] = nil end
  end
  return merged
end

return M
