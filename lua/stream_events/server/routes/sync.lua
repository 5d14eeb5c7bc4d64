--- POST /sync: what a client missed while it was away. Custom events are never stored, so there is
-- nothing to repeat; what the answer can tell is which channels the caller no longer reaches.
local names = require "stream_events.names"
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local access = require "stream_events.server.access"
local channel_input = require "stream_events.server.channel_input"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"

local MAX_CHANNELS = 255
local MAX_AGE = 30 * 24 * 3600

local SHAPE = {
  channel_cids = "strings", last_sync_at = "string", with_inaccessible_cids = "boolean",
  watch = "boolean",
}

local function flag(context, body, name)
  return body[name] or context.query[name] == "true"
end

local function check(body)
  local cids = body.channel_cids or {}
  if #cids < 1 or #cids > MAX_CHANNELS then
    return failures.fail(4, ("channel_cids must hold 1 to %d channels"):format(MAX_CHANNELS))
  end
  for _, cid in ipairs(cids) do
    local channel_type, message = names.split_cid(cid)
    if not channel_type then return failures.fail(4, message) end
  end
  local since = timestamp.parse(body.last_sync_at)
  if not since then return failures.fail(4, "last_sync_at must be a date as RFC 3339 writes it") end
  if since < native.time() - MAX_AGE then
    return failures.fail(4, "Too old last_sync_at time, please have last_sync_at argument no later "
      .. "than 30 days ago")
  end
  return true
end

local function sync(context)
  local server = context.server
  local body, failure = input.read(context.body, SHAPE)
  if not body then return nil, failure end
  local ok
  ok, failure = check(body)
  if not ok then return nil, failure end
  local connection
  if flag(context, body, "watch") then
    connection, failure = channel_input.connection(context)
    if not connection then return nil, failure end
  end
  local inaccessible = native.json.array {}
  for _, cid in ipairs(body.channel_cids) do
    local channel = server.channels:get(cid)
    if channel and access.check(server, context.caller, "ReadChannel", channel.type, channel) then
      if connection then server.watching:start(connection, channel) end
    else
      inaccessible[#inaccessible + 1] = cid
    end
  end
  return 201, {
    events = native.json.array {},
    inaccessible_cids = flag(context, body, "with_inaccessible_cids") and inaccessible or nil,
  }
end

return {
  { "POST", "/sync", endpoint = "Sync", handler = sync },
}
