--- What this user may do in a channel, as far as the client knows (protocol §8.6): from queries, from
-- events that say so, and from refusals. The service may be hostile: a list is what it should be, or
-- it is passed over.
local native = require "stream_events.native"

local M = {}

local SENDING = "send-custom-events"
local NOT_SUPPORTED = 18 -- the code of a refusal because of the channel type's settings
local MOST, LONGEST = 256, 64 -- there are about fifty, the longest has half as many bytes

-- A copy of a list of names; nil when it is anything else.
local function checked(value)
  if type(value) ~= "table" or #value > MOST then return nil end
  local list = {}
  for i = 1, #value do
    local name = value[i]
    if type(name) == "string" and #name <= LONGEST then list[#list + 1] = name end
  end
  if next(value) ~= nil and #list == 0 then return nil end
  return list
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

local function same_set(a, b)
  for name in pairs(a) do if not b[name] then return false end end
  for name in pairs(b) do if not a[name] then return false end end
  return true
end

--- Takes over a list of capabilities; one that is none is passed over.
---@param channel stream_events.Channel
---@param value any decoded
---@return boolean changed whether they are others than those known before
function M.apply(channel, value)
  local list = checked(value)
  if not list then return false end
  local before, now = channel.capability_set, set_of(list)
  channel.own_capabilities, channel.capability_set = list, now
  return before ~= nil and not same_set(before, now)
end

--- Tells the program that they have changed.
---@param channel stream_events.Channel
function M.announce(channel)
  channel.context.emit {
    type = "capabilities.changed", cid = channel.cid, channel_type = channel.type,
    channel_id = channel.id, own_capabilities = channel.own_capabilities,
  }
end

-- The type of the event that a request was to send.
local function type_sent(body)
  local decoded = native.json.decode(body)
  local event = type(decoded) == "table" and decoded.event
  return type(event) == "table" and event.type
end

--- A custom event was refused. When custom events are off for the channel type, which a service may
--- tell nobody who watches, it is known now.
---@param channel stream_events.Channel
---@param err stream_events.Error
---@param body string of the request
function M.refused(channel, err, body)
  local set = channel.capability_set
  if err.code ~= NOT_SUPPORTED or not set or not set[SENDING] then return end
  local event_type = type_sent(body)
  if type(event_type) ~= "string" or native.type_class(event_type) ~= "custom" then return end
  local left = {}
  for _, name in ipairs(channel.own_capabilities) do
    if name ~= SENDING then left[#left + 1] = name end
  end
  M.apply(channel, left)
  -- The config says otherwise; an event that says so again is then seen to be a change.
  local config = {}
  for name, value in pairs(channel.config or {}) do config[name] = value end
  config.custom_events = false
  channel.config = config
  M.announce(channel)
end

--- What an event says about the channel. When it switches custom events on without saying what this
--- user may do, only a query can tell.
---@param channel stream_events.Channel
---@param was_on any config.custom_events before the event
---@param value any decoded own_capabilities
function M.heard(channel, was_on, value)
  if M.apply(channel, value) then M.announce(channel) end
  local is_on = channel.config and channel.config.custom_events
  if value == nil and was_on == false and is_on == true and channel.capability_set then
    channel:ask_again()
  end
end

return M
