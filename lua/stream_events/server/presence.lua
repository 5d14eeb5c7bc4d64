--- Who wants to know who is online: connections that asked for it with `presence` (protocol §4.2, §9.1),
-- about single users or about the members of a channel, whoever they are by then. What is asked for
-- belongs to the connection and ends with it. Invisible users look offline, and coming and going of
-- theirs is told to nobody.
local access = require "stream_events.server.access"
local failures = require "stream_events.server.failure"

local M = {}

local MOST = 1000 -- users and channels that one connection may follow

---@class stream_events.server.Presence
---@field private parts table
---@field private users table<string, table<stream_events.server.Connection, true>> who follows a user
---@field private channels table<string, table<stream_events.server.Connection, true>> by cid
---@field private count integer of all that is followed
local Presence = { __name = "stream_events.server.presence" }
Presence.__index = Presence

local function fits(connection, more)
  if (connection.follow_count or 0) + more <= MOST then return true end
  return failures.fail(4, ("a connection may follow the presence of %d users and channels, no more")
    :format(MOST))
end

local function follow(self, kind, key, connection)
  local followers = self[kind][key]
  if followers and followers[connection] then return end
  if not followers then
    followers = {}
    self[kind][key] = followers
  end
  followers[connection] = true
  connection.follows = connection.follows or { users = {}, channels = {} }
  connection.follows[kind][key] = true
  connection.follow_count = (connection.follow_count or 0) + 1
  self.count = self.count + 1
end

local function unfollow(self, kind, key, connection)
  local followers = self[kind][key]
  if not (followers and followers[connection]) then return end
  followers[connection] = nil
  if next(followers) == nil then self[kind][key] = nil end
  connection.follows[kind][key] = nil
  connection.follow_count = connection.follow_count - 1
  self.count = self.count - 1
end

local function new_among(self, kind, keys, connection)
  local count, seen = 0, {}
  for _, key in ipairs(keys) do
    local followers = self[kind][key]
    if not seen[key] and not (followers and followers[connection]) then count = count + 1 end
    seen[key] = true
  end
  return count
end

local function follow_all(self, kind, keys, connection)
  local ok, failure = fits(connection, new_among(self, kind, keys, connection))
  if not ok then return nil, failure end
  for _, key in ipairs(keys) do follow(self, kind, key, connection) end
  return true
end

--- Lets a connection follow the members of channels: all of them, or none when they are too many.
---@param connection stream_events.server.Connection
---@param channels stream_events.server.Channel[]
---@return true? ok
---@return stream_events.server.Failure? failure
function Presence:follow_channels(connection, channels)
  local cids = {}
  for i, channel in ipairs(channels) do cids[i] = channel.cid end
  return follow_all(self, "channels", cids, connection)
end

--- Lets a connection follow users, likewise.
---@param connection stream_events.server.Connection
---@param users stream_events.server.User[]
---@return true? ok
---@return stream_events.server.Failure? failure
function Presence:follow_users(connection, users)
  local ids = {}
  for i, user in ipairs(users) do ids[i] = user.id end
  return follow_all(self, "users", ids, connection)
end

--- A connection no longer follows a channel.
---@param connection stream_events.server.Connection
---@param channel stream_events.server.Channel
function Presence:stop(connection, channel)
  unfollow(self, "channels", channel.cid, connection)
end

--- A connection is gone.
---@param connection stream_events.server.Connection
function Presence:stop_all(connection)
  local follows = connection.follows
  if not follows then return end
  for kind, keys in pairs(follows) do
    for key in pairs(keys) do unfollow(self, kind, key, connection) end
  end
end

--- A channel is gone.
---@param channel stream_events.server.Channel
function Presence:end_all(channel)
  for connection in pairs(self.channels[channel.cid] or {}) do
    unfollow(self, "channels", channel.cid, connection)
  end
end

--- The connections that follow a user, as keys. Those that follow a channel must still be allowed to
--- read it.
---@param user stream_events.server.User
---@return table<stream_events.server.Connection, true> followers the caller's
function Presence:followers(user)
  local parts, found = self.parts, {}
  for connection in pairs(self.users[user.id] or {}) do found[connection] = true end
  if next(self.channels) == nil then return found end
  for cid, channel in pairs(parts.channels:of_member(user.id)) do
    for connection in pairs(self.channels[cid] or {}) do
      if not found[connection]
        and access.check(parts, connection.caller, "ReadChannel", channel.type, channel) then
        found[connection] = true
      end
    end
  end
  return found
end

local function tell(self, event_type, user)
  if self.count == 0 then return end
  local followers = self:followers(user)
  if next(followers) == nil then return end
  local parts = self.parts
  local text = parts.events:text(event_type, nil, user)
  for connection in pairs(followers) do parts.events:to_connection(connection, text) end
end

--- A user came, or went, as others see it.
---@param user stream_events.server.User
function Presence:changed(user)
  tell(self, "user.presence.changed", user)
end

--- What is known of a user has changed.
---@param user stream_events.server.User
function Presence:updated(user)
  tell(self, "user.updated", user)
end

---@param parts table channels, events, permissions and what else access looks at
---@return stream_events.server.Presence
function M.new(parts)
  local self = setmetatable({ parts = parts, users = {}, channels = {}, count = 0 }, Presence)
  parts.users:observe_presence(function(user) self:changed(user) end)
  return self
end

return M
