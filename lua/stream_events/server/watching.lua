--- Who watches which channel. A watch belongs to one connection and ends with it; what is counted
-- and announced are users: a second connection of the same user changes nothing for the others,
-- while every anonymous connection is somebody of its own.
local native = require "stream_events.native"
local clock = require "stream_events.server.clock"

local M = {}

-- In a crowd, coming and going is announced at most once in a while (protocol §4.3). Of what falls into
-- that while only the last is announced at its end, so that everybody ends up with the right count.
local CROWD = 100
local CROWD_NOTICE_EVERY = 5

---@class stream_events.server.Audience
---@field group integer the listener's group of the watching connections
---@field present table<string, { count: integer, user: table }> by Connection.key
---@field count integer distinct watchers
---@field noticed number? native.now() of the last announcement

---@class stream_events.server.Watching
local Watching = { __name = "stream_events.server.watching" }
Watching.__index = Watching

---@param parts { listener: table, connections: table, events: table, views: table, retention: table }
---@return stream_events.server.Watching
function M.new(parts)
  return setmetatable({
    listener = parts.listener, connections = parts.connections, events = parts.events,
    views = parts.views, retention = parts.retention, watches = 0,
    owed = {}, -- channel -> { event type, user } that is still to be announced
  }, Watching)
end

--- How many users watch a channel.
---@param channel stream_events.server.Channel
---@return integer
function Watching.count(_, channel)
  return channel.audience and channel.audience.count or 0
end

--- Whether so many watch that coming, going and typing are no longer told to everybody.
---@param channel stream_events.server.Channel
---@return boolean
function Watching:crowded(channel)
  return self:count(channel) > CROWD
end

--- A page of those who watch.
---@param channel stream_events.server.Channel
---@param limit integer
---@param offset integer
---@return table list of users
function Watching:list(channel, limit, offset)
  local list = native.json.array {}
  local keys = {}
  for key in pairs(channel.audience and channel.audience.present or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  for i = offset + 1, math.min(#keys, offset + limit) do
    list[#list + 1] = self.views.users:public(channel.audience.present[keys[i]].user)
  end
  return list
end

local function announce(self, channel, event_type, user)
  local audience = channel.audience
  self.owed[channel] = nil
  if not audience or not self.views:config(channel).connect_events then return end
  local now = native.now()
  if audience.count > CROWD and audience.noticed and now - audience.noticed < CROWD_NOTICE_EVERY then
    self.owed[channel] = { event_type, user }
    return
  end
  audience.noticed = now
  self.events:to_watchers(channel,
    self.events:text(event_type, channel, user, { watcher_count = audience.count }))
end

--- Announces what had to wait. Call it about once a second.
function Watching:tick()
  local due = {}
  for channel, what in pairs(self.owed) do due[channel] = what end
  for channel, what in pairs(due) do announce(self, channel, what[1], what[2]) end
end

--- Lets a connection receive the channel's events.
---@param connection stream_events.server.Connection
---@param channel stream_events.server.Channel
---@return boolean started false when it watched already
function Watching:start(connection, channel)
  if connection.watches[channel.cid] then return false end
  local audience = channel.audience
  if not audience then
    audience = { group = self.connections:new_group(), present = {}, count = 0 }
    channel.audience = audience
  end
  connection.watches[channel.cid] = channel
  if self.retention:is_on(channel) then
    connection.began = connection.began or {}
    connection.began[channel.cid] = clock.stamp()
  end
  self.watches = self.watches + 1
  self.listener:join(audience.group, connection.number)
  local present = audience.present[connection.key]
  if present then
    present.count = present.count + 1
    return true
  end
  audience.present[connection.key] = { count = 1, user = connection.caller.user }
  audience.count = audience.count + 1
  announce(self, channel, "user.watching.start", connection.caller.user)
  return true
end

--- Since when a connection watches a channel, where events of it are kept: the moment that divides
--- what it was sent from what it missed.
---@param connection stream_events.server.Connection
---@param channel stream_events.server.Channel
---@return string? date nil when it does not watch, or watched before events were kept
function Watching.began(_, connection, channel)
  return connection.began and connection.began[channel.cid]
end

--- Ends a watch.
---@param connection stream_events.server.Connection
---@param channel stream_events.server.Channel
---@return boolean stopped false when it did not watch
function Watching:stop(connection, channel)
  if not connection.watches[channel.cid] then return false end
  local audience = channel.audience
  connection.watches[channel.cid] = nil
  if connection.began then connection.began[channel.cid] = nil end
  self.watches = self.watches - 1
  self.listener:leave(audience.group, connection.number)
  local present = audience.present[connection.key]
  present.count = present.count - 1
  if present.count > 0 then return true end
  audience.present[connection.key] = nil
  audience.count = audience.count - 1
  if audience.count == 0 then
    channel.audience = nil
  else
    announce(self, channel, "user.watching.stop", present.user)
  end
  return true
end

--- Ends all watches of a connection that is gone.
---@param connection stream_events.server.Connection
function Watching:stop_all(connection)
  for _, channel in pairs(connection.watches) do
    self:stop(connection, channel)
  end
end

--- Ends all watches of a channel that is gone; nobody is left who could be told.
---@param channel stream_events.server.Channel
function Watching:end_all(channel)
  local audience = channel.audience
  if not audience then return end
  channel.audience, self.owed[channel] = nil, nil
  for _, connection in pairs(self.connections.by_number) do
    if connection.watches[channel.cid] then
      connection.watches[channel.cid] = nil
      if connection.began then connection.began[channel.cid] = nil end
      self.watches = self.watches - 1
      self.listener:leave(audience.group, connection.number)
    end
  end
end

return M
