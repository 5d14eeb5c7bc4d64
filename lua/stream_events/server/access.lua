--- May this caller do that here? The permissions decide, but for what no permission is about.
local failures = require "stream_events.server.failure"

local M = {}

--- Server tokens may do everything; a disabled channel is closed to everybody else.
---@param server table
---@param caller stream_events.server.Caller
---@param action string e.g. "ReadChannel"
---@param channel_type string
---@param channel stream_events.server.Channel? nil for what concerns no channel yet
---@return true? ok
---@return stream_events.server.Failure? failure
function M.check(server, caller, action, channel_type, channel)
  if caller.kind == "server" then return true end
  if channel and channel.disabled then
    return failures.fail(17, ("channel %s is disabled"):format(channel.cid))
  end
  local member = channel and channel.members[caller.id]
  return server.permissions:check(caller, action, channel_type, channel, member)
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
