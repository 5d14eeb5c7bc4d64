--- The events that the server itself makes, and the ways an event takes to those who get it.
-- An event is built once, as JSON text; the listener shares the bytes between all connections.
local native = require "stream_events.native"
local clock = require "stream_events.server.clock"

local M = {}

---@class stream_events.server.Events
local Events = { __name = "stream_events.server.events" }
Events.__index = Events

---@param parts { listener: table, connections: table, users: table }
---@return stream_events.server.Events
function M.new(parts)
  return setmetatable({
    listener = parts.listener, connections = parts.connections, users = parts.users,
    sent = 0, deliveries = 0,
  }, Events)
end

local function encode(value)
  local text, err = native.json.encode(value)
  if not text then error("an event cannot be encoded: " .. err.message) end
  return text
end

--- The text of an event of the service's own.
---@param event_type string
---@param channel stream_events.server.Channel?
---@param user table? the record of the user it is about
---@param fields table<string, any>? what else belongs to it
---@return string text
function Events:text(event_type, channel, user, fields)
  local parts = { '{"type":"', event_type, '"' }
  if channel then parts[#parts + 1] = channel.envelope end
  if user then parts[#parts + 1] = ',"user":' .. self.users:json(user) end
  parts[#parts + 1] = ',"created_at":"' .. clock.stamp() .. '"'
  for name, value in pairs(fields or {}) do
    parts[#parts + 1] = ',"' .. name .. '":' .. encode(value)
  end
  parts[#parts + 1] = "}"
  return table.concat(parts)
end

-- Queues an event for a group, or for nobody.
local function broadcast(self, group, text)
  self.sent = self.sent + 1
  local receivers = group and self.listener:broadcast(group, text) or 0
  self.deliveries = self.deliveries + receivers
  return receivers
end

--- To every connection that watches the channel.
---@param channel stream_events.server.Channel
---@param text string
---@return integer receivers
function Events:to_watchers(channel, text)
  return broadcast(self, channel.audience and channel.audience.group, text)
end

--- To every connection of a user.
---@param user_id string
---@param text string
---@return integer receivers
function Events:to_user(user_id, text)
  return broadcast(self, self.connections:group_of(user_id), text)
end

--- To those connections of a user that watch the channel.
---@param user_id string
---@param channel stream_events.server.Channel
---@param text string
---@return integer receivers
function Events:to_user_watching(user_id, channel, text)
  self.sent = self.sent + 1
  local receivers = 0
  for connection in pairs(self.connections:of(user_id)) do
    if connection.watches[channel.cid] and self.listener:send(connection.number, text) then
      receivers = receivers + 1
    end
  end
  self.deliveries = self.deliveries + receivers
  return receivers
end

--- To every connection that watches one of these channels, to those of the user they have in common,
--- and to more; once to each.
---@param user_id string
---@param channels table<string, stream_events.server.Channel>
---@param receivers table<stream_events.server.Connection, true> more of them; the others are added
---@param text string
function Events:to_company(user_id, channels, receivers, text)
  for connection in pairs(self.connections:of(user_id)) do receivers[connection] = true end
  for _, channel in pairs(channels) do
    for key in pairs(channel.audience and channel.audience.present or {}) do
      for connection in pairs(self.connections:behind(key)) do
        if connection.watches[channel.cid] then receivers[connection] = true end
      end
    end
  end
  self.sent = self.sent + 1
  for connection in pairs(receivers) do
    if self.listener:send(connection.number, text) then self.deliveries = self.deliveries + 1 end
  end
end

--- To one connection.
---@param connection stream_events.server.Connection
---@param text string
function Events:to_connection(connection, text)
  self.sent = self.sent + 1
  if self.listener:send(connection.number, text) then self.deliveries = self.deliveries + 1 end
end

--- To those connections of a user that do not watch the channel.
---@param user_id string
---@param channel stream_events.server.Channel
---@param text string
function Events:to_user_elsewhere(user_id, channel, text)
  self.sent = self.sent + 1
  for connection in pairs(self.connections:of(user_id)) do
    if not connection.watches[channel.cid] and self.listener:send(connection.number, text) then
      self.deliveries = self.deliveries + 1
    end
  end
end

return M
