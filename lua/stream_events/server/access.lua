--- May this caller do that here? The permissions decide, but for what no permission is about.
local failures = require "stream_events.server.failure"

local M = {}

local MOST_REMEMBERED = 32 -- allowed sends of one caller

-- A disabled channel is closed to everybody, and every channel to those who are banned in it.
local function check_open(server, caller, channel)
  if channel.disabled then
    return failures.fail(17, ("channel %s is disabled"):format(channel.cid))
  end
  local ban = server.bans:in_channel(caller.id, channel.cid)
  if ban and not ban.shadow then
    return failures.fail(17, ("User '%s' is banned from channel %s"):format(caller.id, channel.cid))
  end
  return true
end

--- Refuses whatever others would notice, of those who can only read: who has no token, whatever that role
--- was granted, and who is banned from the whole app.
---@param server table
---@param caller stream_events.server.Caller
---@return true? ok
---@return stream_events.server.Failure? failure
function M.check_noticeable(server, caller)
  if caller.kind == "anonymous" then return failures.fail(17, "anonymous users can only read") end
  local ban = caller.kind ~= "server" and server.bans:in_app(caller.id) or nil
  if not ban or ban.shadow then return true end
  return failures.fail(17, ("User '%s' is banned"):format(caller.id))
end

-- What is left to those: everything else is a way to say something to others.
local FREE = { ReadChannel = true, LeaveChannel = true }

--- Server tokens may do everything; a disabled channel is closed to everybody else, a channel to who is
--- banned in it; who is banned from the app may read and leave, who has no token may read.
---@param server table
---@param caller stream_events.server.Caller
---@param action string e.g. "ReadChannel"
---@param channel_type string
---@param channel stream_events.server.Channel? nil for what concerns no channel yet
---@return true? ok
---@return stream_events.server.Failure? failure
function M.check(server, caller, action, channel_type, channel)
  if caller.kind == "server" then return true end
  if channel then
    local ok, failure = check_open(server, caller, channel)
    if not ok then return nil, failure end
  end
  if not FREE[action] then
    local ok, failure = M.check_noticeable(server, caller)
    if not ok then return nil, failure end
  end
  local member = channel and channel.members[caller.id]
  return server.permissions:check(caller, action, channel_type, channel, member)
end

--- Whether a caller may send events of a custom type. One who is banned from the app may read and not
--- send; of those under a shadow ban nobody is told.
---@param server table
---@param caller stream_events.server.Caller
---@param event_type string
---@param channel stream_events.server.Channel
---@return true? ok
---@return stream_events.server.Failure? failure
function M.check_send(server, caller, event_type, channel)
  if caller.kind == "server" then return true end
  local ok, failure = check_open(server, caller, channel)
  if not ok then return nil, failure end
  return server.permissions:check_send(caller, event_type, channel, channel.members[caller.id])
end

--- Whether this very send was found allowed before, and nothing that could have changed that was written
--- since: who may what is all in the database. Bans that end by themselves forbid and never allow.
---@param server table
---@param caller stream_events.server.Caller
---@param event_type string
---@param channel stream_events.server.Channel
---@return boolean
function M.remembers_send(server, caller, event_type, channel)
  if caller.sends_at ~= server.store.revision then return false end
  local types = caller.sends[channel]
  return types ~= nil and types[event_type] == true
end

--- Remembers that a send was allowed: many come again.
---@param server table
---@param caller stream_events.server.Caller
---@param event_type string
---@param channel stream_events.server.Channel
function M.remember_send(server, caller, event_type, channel)
  local revision = server.store.revision
  if caller.sends_at ~= revision or caller.send_count >= MOST_REMEMBERED then
    caller.sends, caller.send_count, caller.sends_at = {}, 0, revision
  end
  local types = caller.sends[channel]
  if not types then
    types = {}
    caller.sends[channel] = types
  end
  types[event_type] = true
  caller.send_count = caller.send_count + 1
end

--- Refuses everybody but server tokens.
---@param caller stream_events.server.Caller
---@param what string what it is that only they may do
---@return true? ok
---@return stream_events.server.Failure? failure
function M.check_server(caller, what)
  if caller.kind == "server" then return true end
  return failures.fail(17, what .. " is only allowed with a server token")
end

return M
