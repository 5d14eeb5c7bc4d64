--- The permissions that exist whatever an operator sets: their ids, and the actions they allow
-- (protocol §8.1). An id is an action in kebab case. Two suffixes make others of it: "-owner" (only on
-- what the user made), "-any-team" (in the channels of every team; here every user is in reach of every
-- channel, so it allows what the plain one does).
local M = {}

---@class stream_events.server.ActionIds
---@field all string the id that allows the action everywhere
---@field owner string
---@field any_team string
---@field level "app"|"channel"
---@field about_others boolean never about what is one's own: the "-owner" variant allows nothing

-- What this server judges, with the level at which it does.
local ACTIONS = {
  SendCustomEvent = { "send-custom-event", "channel" },
  ReadChannel = { "read-channel", "channel" },
  CreateChannel = { "create-channel", "channel" },
  UpdateChannel = { "update-channel", "channel" },
  UpdateChannelMembers = { "update-channel-members", "channel" },
  DeleteChannel = { "delete-channel", "channel" },
  JoinChannel = { "join-channel", "channel" },
  LeaveChannel = { "leave-channel", "channel" },
  BanChannelMember = { "ban-channel-member", "channel" },
  BanUser = { "ban-user", "app", about_others = true },
  SearchUser = { "search-user", "app" },
  UpdateUser = { "update-user", "app" },
}

-- Permissions of the service for things that this server has not got. Grants may name them, so that
-- a list made for the service can be used as it is.
local WITHOUT_EFFECT = {
  channel = {
    "add-links", "create-attachment", "create-call", "create-mention", "create-message",
    "create-reaction", "create-reply", "create-restricted-visibility-message",
    "create-system-message", "delete-attachment", "delete-message", "delete-reaction", "flag-message",
    "join-call", "mute-channel", "pin-message", "read-channel-members", "read-message-flags",
    "recreate-channel", "remove-own-channel-membership", "run-message-action",
    "skip-channel-cooldown", "skip-message-moderation", "truncate-channel", "unblock-message",
    "update-channel-cooldown", "update-channel-frozen", "update-message", "update-thread",
    "upload-attachment", "use-frozen-channel",
  },
  app = {
    "flag-user", "mute-user", "read-flag-reports", "update-flag-reports", "update-user-role",
    "update-user-teams",
  },
}

--- The ids of each action that is judged here.
---@type table<string, stream_events.server.ActionIds>
M.ACTIONS = {}

---@class stream_events.server.BuiltInPermission
---@field id string
---@field action string
---@field owner boolean
---@field level "app"|"channel"
---@field has_effect boolean
---@field variant string "", "-owner" or "-any-team"

--- Every built-in permission by its id.
---@type table<string, stream_events.server.BuiltInPermission>
M.KNOWN = {}

local function know(id, action, level, has_effect)
  for _, variant in ipairs { "", "-owner", "-any-team" } do
    M.KNOWN[id .. variant] = {
      id = id .. variant, action = action, owner = variant == "-owner", level = level,
      has_effect = has_effect, variant = variant,
    }
  end
end

-- "pin-message" to "PinMessage"
local function action_of(id)
  return (("-" .. id):gsub("%-(%l)", string.upper))
end

for action, entry in pairs(ACTIONS) do
  local id, level = entry[1], entry[2]
  M.ACTIONS[action] =
    { all = id, owner = id .. "-owner", any_team = id .. "-any-team", level = level,
      about_others = entry.about_others or false }
  know(id, action, level, true)
end
for level, ids in pairs(WITHOUT_EFFECT) do
  for _, id in ipairs(ids) do know(id, action_of(id), level, false) end
end

--- The names of the actions that are judged here, sorted.
---@return string[]
function M.action_names()
  local names = {}
  for action in pairs(ACTIONS) do names[#names + 1] = action end
  table.sort(names)
  return names
end

local IN_WORDS = { [""] = "", ["-owner"] = ", in what one made oneself", ["-any-team"] = ", across teams" }

--- A built-in permission in words.
---@param permission stream_events.server.BuiltInPermission
---@return string name
---@return string description
function M.describe(permission)
  local name = permission.action:gsub("(%l)(%u)", "%1 %2") .. IN_WORDS[permission.variant]
  if not permission.has_effect then return name, "Has no effect on this server." end
  return name, ("Grants the action %s%s."):format(permission.action, IN_WORDS[permission.variant])
end

return M
