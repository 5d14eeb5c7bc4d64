--- What is known of a channel: taken over from answers and events of the service (protocol §4.2).
local capabilities = require "stream_events.capabilities"
local native = require "stream_events.native"

local M = {}

local function as_table(value)
  return type(value) == "table" and value or nil
end

local function add_member(channel, member)
  member = as_table(member)
  local user = member and as_table(member.user)
  local id = member and (member.user_id or (user and user.id))
  if type(id) == "string" then channel.members[id] = member end
  return id
end

-- The fields of the channel itself, without those that have a place of their own.
local function apply_fields(channel, fields)
  local data = {}
  for name, value in pairs(fields) do data[name] = value end
  channel.config = as_table(fields.config) or channel.config
  data.config, data.own_capabilities = nil, nil
  channel.data = data
end

-- Since when the connection watches; or, where that is later, up to when a sync has given its events.
local function apply_watch(channel, date)
  local before = channel.watched_at
  if type(date) ~= "string" or (before and before:sub(1, -2) > date:sub(1, -2)) then return end
  channel.watched_at = date
end

--- Takes over the answer of a query.
---@param channel stream_events.Channel
---@param answer table
---@return boolean changed whether the capabilities are others than those known before
function M.apply_answer(channel, answer)
  local changed = false
  local fields = as_table(answer.channel)
  if fields then
    apply_fields(channel, fields)
    changed = capabilities.apply(channel, fields.own_capabilities)
  end
  if as_table(answer.members) then
    channel.members = {}
    for _, member in ipairs(answer.members) do add_member(channel, member) end
  end
  channel.membership = as_table(answer.membership)
  apply_watch(channel, answer.watched_at)
  channel.watcher_count = type(answer.watcher_count) == "number" and answer.watcher_count or 0
  return changed
end

--- Takes over the answer of a change of members, which holds no state beside them.
---@param channel stream_events.Channel
---@param answer table
function M.apply_update(channel, answer)
  local fields = as_table(answer.channel)
  if fields then apply_fields(channel, fields) end
  for _, member in ipairs(as_table(answer.members) or {}) do add_member(channel, member) end
end

-- What an event says about the channel; hostile events may hold anything.
local APPLY = {
  ["channel.updated"] = function(channel, event)
    local fields = as_table(event.channel)
    if not fields then return end
    local was_on = channel.config and channel.config.custom_events
    apply_fields(channel, fields)
    capabilities.heard(channel, was_on, fields.own_capabilities)
  end,
  ["member.added"] = function(channel, event) add_member(channel, event.member) end,
  ["member.updated"] = function(channel, event) add_member(channel, event.member) end,
  ["member.removed"] = function(channel, event)
    local member = as_table(event.member)
    local user = as_table(event.user)
    local id = member and member.user_id or (user and user.id)
    if type(id) == "string" then channel.members[id] = nil end
  end,
}

-- Events after which a channel can no longer be watched.
local GONE = {
  "channel.deleted", "notification.channel_deleted", "notification.removed_from_channel",
}

--- Whether the server keeps its custom events for a while, as far as the client knows.
---@param channel stream_events.Channel
---@return boolean
function M.is_kept(channel)
  local config = channel.config
  return config ~= nil and type(config.custom_event_retention) == "table"
end

--- Keeps the known channels up to date.
---@param context table of the client: registry, channels, recovery
function M.register(context)
  for name, apply in pairs(APPLY) do
    context.registry:on(name, function(event)
      local channel = event.cid and context.channels[event.cid]
      if channel then apply(channel, event.raw_data) end
    end)
  end
  for _, name in ipairs(GONE) do
    context.registry:on(name, function(event)
      local channel = event.cid and context.channels[event.cid]
      local fields = channel and as_table(event.raw_data.channel)
      if fields and capabilities.apply(channel, fields.own_capabilities) then
        capabilities.announce(channel)
      end
      if channel and channel.watching then
        context.recovery:gone(channel)
        context.log("info", "a channel is no longer watched", { cid = channel.cid, reason = name })
      end
    end)
  end
end

--- A list that encodes as one even when it is empty.
---@param list any[]
---@return any[]
function M.list(list)
  local copy = {}
  for i, value in ipairs(list) do copy[i] = value end
  return native.json.array(copy)
end

return M
