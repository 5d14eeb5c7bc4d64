--- Banning and what follows from it: who is told, and whose rights change (protocol §9.2).
local M = {}

---@class stream_events.server.Moderation
---@field private parts table the running server
local Moderation = { __name = "stream_events.server.moderation" }
Moderation.__index = Moderation

---@param parts table bans, users, channels, connections, events, views, rights, webhooks
---@return stream_events.server.Moderation
function M.new(parts)
  return setmetatable({ parts = parts }, Moderation)
end

-- What no request caused has no request_info.
local NOBODY = { caller = { kind = "server" } }

-- Watchers of the channel and the user itself hear of a ban; of a shadow ban only webhooks do.
local function tell(self, context, event_type, ban)
  local parts = self.parts
  local channel = ban.cid and parts.channels:get(ban.cid) or nil
  local user = parts.users:get(ban.target_user_id)
  local fields = { reason = ban.reason, expiration = ban.expires, shadow = ban.shadow or nil }
  if ban.banned_by_id then fields.created_by = parts.views:user(ban.banned_by_id) end
  local text = parts.events:text(event_type, channel, user, fields)
  if not ban.shadow then
    if channel then
      parts.events:to_watchers(channel, text)
      parts.events:to_user_elsewhere(ban.target_user_id, channel, text)
    else
      parts.events:to_user(ban.target_user_id, text)
    end
  end
  parts.webhooks:copy(context, event_type, false, text)
end

-- Whether a user was silenced in each channel, as it is now.
local function silenced_now(self, user_id)
  local bans = self.parts.bans
  local in_app, by_channel = bans:in_app(user_id), {}
  for connection in pairs(self.parts.connections:of(user_id)) do
    for cid in pairs(connection.watches) do by_channel[cid] = bans:silences(user_id, cid) end
  end
  local everywhere = in_app ~= nil and not in_app.shadow
  return function(cid)
    if by_channel[cid] ~= nil then return by_channel[cid] end
    return everywhere
  end
end

local function change_rights(self, ban, silenced)
  local channel = ban.cid and self.parts.channels:get(ban.cid) or nil
  if ban.cid and not channel then return end
  self.parts.rights:of_ban(ban.target_user_id, channel, silenced)
end

--- Bans a user.
---@param context stream_events.server.Context
---@param fields table as of Bans:add
function Moderation:ban(context, fields)
  local silenced = silenced_now(self, fields.target_user_id)
  local ban = self.parts.bans:add(fields)
  tell(self, context, "user.banned", ban)
  change_rights(self, ban, silenced)
end

--- Ends a ban; where there is none it is as if it had ended.
---@param context stream_events.server.Context
---@param user_id string
---@param cid string?
function Moderation:unban(context, user_id, cid)
  local ban = self.parts.bans:get(user_id, cid)
  if not ban then return end
  local silenced = silenced_now(self, user_id)
  self.parts.bans:remove(ban)
  tell(self, context, "user.unbanned", ban)
  change_rights(self, ban, silenced)
end

--- Ends the bans whose time is over. To be called about once a second.
function Moderation:tick()
  for _, ban in ipairs(self.parts.bans:tick()) do
    tell(self, NOBODY, "user.unbanned", ban)
    -- It was in force until its time was over, which nobody who watches has been told yet.
    change_rights(self, ban, function() return not ban.shadow end)
  end
end

return M
