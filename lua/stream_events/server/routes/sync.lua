--- POST /sync: what a client missed while it was away. Custom events come back where the channel type
-- has them kept; every channel of which more was lost than kept is named, which the hosted service
-- does not do. Beyond that the answer tells which channels the caller no longer reaches.
local names = require "stream_events.names"
local native = require "stream_events.native"
local access = require "stream_events.server.access"
local channel_input = require "stream_events.server.channel_input"
local clock = require "stream_events.server.clock"
local failures = require "stream_events.server.failure"
local http = require "stream_events.server.http"
local input = require "stream_events.server.input"
local missed = require "stream_events.server.missed"

local json = native.json

local MAX_CHANNELS = 255
local MAX_AGE = 30 * 24 * 3600 * 1000000

local SHAPE = {
  channel_cids = "strings", last_sync_at = "string", with_inaccessible_cids = "boolean",
  watch = "boolean",
}

local function flag(context, body, name)
  return body[name] or context.query[name] == "true"
end

-- The moment of the last sync; checks the rest as well.
local function read_since(body)
  local cids = body.channel_cids or {}
  if #cids < 1 or #cids > MAX_CHANNELS then
    return failures.fail(4, ("channel_cids must hold 1 to %d channels"):format(MAX_CHANNELS))
  end
  for _, cid in ipairs(cids) do
    local channel_type, message = names.split_cid(cid)
    if not channel_type then return failures.fail(4, message) end
  end
  local since = clock.micros(body.last_sync_at)
  if not since then return failures.fail(4, "last_sync_at must be a date as RFC 3339 writes it") end
  if since < native.time() * 1000000 - MAX_AGE then
    return failures.fail(4, "Too old last_sync_at time, please have last_sync_at argument no later "
      .. "than 30 days ago")
  end
  return since
end

-- The connection that the call names: it may be told what it has not been sent. To watch there must
-- be one.
local function named_connection(context, watch)
  if watch then return channel_input.connection(context) end
  local id = context.query.connection_id or context.body.connection_id
  return type(id) == "string" and context.server.connections:find(id, context.caller) or nil
end

-- Up to when a connection has missed the channel's events: it was sent what came after it began to
-- watch. The second result: it has missed none.
local function missed_until(server, connection, channel)
  if not connection or not connection.watches[channel.cid] then return nil, false end
  local began = server.watching:began(connection, channel)
  return began and clock.micros(began), not began
end

-- Goes through the channels once each: what is kept of them, and whether that is all.
local function look_up(context, cids, since, connection, watch)
  local server = context.server
  local found = { spans = {}, gaps = {}, inaccessible = json.array {} }
  local seen = {}
  for _, cid in ipairs(cids) do
    local channel = server.channels:get(cid)
    local readable = channel
      and access.check(server, context.caller, "ReadChannel", channel.type, channel)
    if readable and not seen[cid] then
      local before, nothing = missed_until(server, connection, channel)
      local span, complete = server.retention:missed(channel, since, before)
      if not nothing then found.spans[#found.spans + 1] = span end
      if not complete then found.gaps[cid] = true end
      if watch then server.watching:start(connection, channel) end
    elseif not readable then
      if not seen[cid] then found.inaccessible[#found.inaccessible + 1] = cid end
      found.gaps[cid] = true
    end
    seen[cid] = true
  end
  return found
end

local function encode(value)
  return assert(json.encode(value))
end

local function sorted(set)
  local list = json.array {}
  for cid in pairs(set) do list[#list + 1] = cid end
  table.sort(list)
  return encode(list)
end

-- What tells a client that does not ask for a list: an event for each channel (§3.10), the same whether
-- the channel is closed to the caller or was never there.
local function removals(context, cids)
  local texts = {}
  for i, cid in ipairs(cids) do
    local channel_type, id = names.split_cid(cid)
    texts[i] = context.server.events:text("notification.removed_from_channel", nil, context.caller.user,
      { cid = cid, channel_type = channel_type, channel_id = id })
  end
  return texts
end

local function sync(context)
  local body, failure = input.read(context.body, SHAPE)
  if not body then return nil, failure end
  local since
  since, failure = read_since(body)
  if not since then return nil, failure end
  local watch = flag(context, body, "watch")
  local connection
  connection, failure = named_connection(context, watch)
  if watch and not connection then return nil, failure end
  local found = look_up(context, body.channel_cids, since, connection, watch)
  local texts, cut = missed.collect(found.spans)
  for cid in pairs(cut) do found.gaps[cid] = true end
  local lists_lost = flag(context, body, "with_inaccessible_cids")
  if not lists_lost then
    for _, text in ipairs(removals(context, found.inaccessible)) do texts[#texts + 1] = text end
  end
  -- The texts are what was distributed, byte for byte.
  local parts = {
    '{"events":[', table.concat(texts, ","), '],"gap_cids":', sorted(found.gaps),
    ',"synced_at":"', (clock.stamp()), '"',
  }
  if lists_lost then
    parts[#parts + 1] = ',"inaccessible_cids":' .. encode(found.inaccessible)
  end
  parts[#parts + 1] = (',"duration":"%s"}'):format(http.duration(context.started))
  return 201, table.concat(parts)
end

return {
  { "POST", "/sync", endpoint = "Sync", handler = sync },
}
