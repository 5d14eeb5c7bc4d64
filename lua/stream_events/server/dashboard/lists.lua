--- What the dashboard shows of channels, of who watches them, and of connections: a page at a time, so
-- that ten thousand of them cost the server little and the page nothing.
local native = require "stream_events.native"
local failures = require "stream_events.server.failure"
local first = require "stream_events.server.first"

local M = {}

local json = native.json

local PAGE, MOST = 50, 100
local FURTHEST = 1000 -- whoever looks for something beyond has to say what
local MAX_QUERY = 255
local SHOWN_CHANNELS = 20 -- of one connection

local function whole(text, default, least, most, name)
  if text == nil then return default end
  local number = text:find("^%d+$") and math.tointeger(tonumber(text))
  if number and number >= least and number <= most then return number end
  return failures.fail(4, ("%s must be a whole number from %d to %d"):format(name, least, most))
end

-- What the query asks for: { limit, offset, text }.
local function request_of(query)
  local limit, no_limit = whole(query.limit, PAGE, 1, MOST, "limit")
  if not limit then return nil, no_limit end
  local offset, no_offset = whole(query.offset, 0, 0, FURTHEST, "offset")
  if not offset then return nil, no_offset end
  local text = (query.q or ""):lower()
  if #text > MAX_QUERY then
    return failures.fail(4, ("q must have at most %d bytes"):format(MAX_QUERY))
  end
  return { limit = limit, offset = offset, text = text }
end

local function holds(name, text)
  return text == "" or name:lower():find(text, 1, true) ~= nil
end

-- The page of those that were kept, made into what is shown.
local function page(kept, total, request, show)
  local list = json.array {}
  local sorted = kept:sorted()
  for i = request.offset + 1, math.min(#sorted, request.offset + request.limit) do
    list[#list + 1] = show(sorted[i])
  end
  return list, { total = total, offset = request.offset, limit = request.limit, furthest = FURTHEST }
end

-- Watchers by cid, of the channels that have some.
local function watched(server)
  local counts = {}
  for cid, channel in server.channels:awake() do
    if channel.audience then counts[cid] = channel.audience.count end
  end
  return counts
end

--- Channels, the most watched first.
---@param server table
---@param query table<string, string> q, limit, offset
---@return table? answer
---@return stream_events.server.Failure? failure
function M.channels(server, query)
  local request, failure = request_of(query)
  if not request then return nil, failure end
  local counts, total = watched(server), 0
  local kept = first.new(request.offset + request.limit, function(a, b)
    local more, less = counts[a], counts[b]
    if more == less then return a < b end
    return (more or 0) > (less or 0)
  end)
  for cid in server.channels:cids() do
    if holds(cid, request.text) then
      total = total + 1
      kept:add(cid)
    end
  end
  local list, answer = page(kept, total, request, function(cid)
    local channel = server.channels:get(cid)
    return {
      cid = cid, type = channel.type, id = channel.id, member_count = channel.member_count,
      watcher_count = counts[cid] or 0, frozen = channel.frozen or nil,
      disabled = channel.disabled or nil,
      has_own_grants = channel.config_overrides and channel.config_overrides.grants and true or nil,
    }
  end)
  answer.channels = list
  return answer
end

local function by_key(a, b) return a.key < b.key end

--- Who watches a channel.
---@param channel stream_events.server.Channel
---@param query table<string, string> q, limit, offset
---@return table? answer
---@return stream_events.server.Failure? failure
function M.watchers(channel, query)
  local request, failure = request_of(query)
  if not request then return nil, failure end
  local kept, total = first.new(request.offset + request.limit, by_key), 0
  for key, present in pairs(channel.audience and channel.audience.present or {}) do
    if holds(present.user.id, request.text) then
      total = total + 1
      kept:add { key = key, present = present }
    end
  end
  local list, answer = page(kept, total, request, function(watcher)
    local user = watcher.present.user
    return {
      id = user.id, name = user.name, role = user.role, connections = watcher.present.count,
      is_member = channel.members[user.id] ~= nil,
    }
  end)
  answer.watchers, answer.cid, answer.member_count = list, channel.cid, channel.member_count
  return answer
end

local function by_user(a, b)
  local one, other = a.caller.id, b.caller.id
  if one ~= other then return one < other end
  return a.number < b.number
end

local function watches_of(connection)
  local cids, count = first.new(SHOWN_CHANNELS, function(a, b) return a < b end), 0
  for cid in pairs(connection.watches) do
    count = count + 1
    cids:add(cid)
  end
  return json.array(cids:sorted()), count
end

--- Connections, by user.
---@param server table
---@param query table<string, string> q, limit, offset
---@return table? answer
---@return stream_events.server.Failure? failure
function M.connections(server, query)
  local request, failure = request_of(query)
  if not request then return nil, failure end
  local kept, total = first.new(request.offset + request.limit, by_user), 0
  for _, connection in pairs(server.connections.by_number) do
    if holds(connection.caller.id, request.text) then
      total = total + 1
      kept:add(connection)
    end
  end
  local now = native.now()
  local list, answer = page(kept, total, request, function(connection)
    local user = connection.caller.user
    local cids, count = watches_of(connection)
    return {
      -- The whole id would let whoever looks over a shoulder act for an anonymous connection.
      id = connection.id:sub(1, 8), user = user.id, name = user.name, role = user.role,
      seconds = (now - connection.opened) // 1 | 0, channels = cids, watch_count = count,
    }
  end)
  answer.connections = list
  return answer
end

return M
