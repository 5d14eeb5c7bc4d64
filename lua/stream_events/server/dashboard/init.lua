--- The dashboard: its key, its live stream, and in whose name its requests act.
local native = require "stream_events.native"
local failures = require "stream_events.server.failure"
local keys = require "stream_events.server.dashboard.keys"
local live = require "stream_events.server.dashboard.live"
local names = require "stream_events.names"

local M = {}

---@class stream_events.server.Dashboard
---@field keys stream_events.server.dashboard.Keys
---@field live stream_events.server.dashboard.Live
---@field private users stream_events.server.Users
local Dashboard = { __name = "stream_events.server.dashboard" }
Dashboard.__index = Dashboard

---@param parts table what the server is made of, see live.lua
---@return stream_events.server.Dashboard
function M.new(parts)
  return setmetatable({
    keys = keys.new(parts.options.dashboard_key, native.now), live = live.new(parts), users = parts.users,
  }, Dashboard)
end

local function caller_as(self, user_id)
  local ok, message = names.user_id(user_id)
  if not ok then return failures.fail(4, "as: " .. message) end
  local user = self.users:get(user_id)
  if not user then return failures.fail(16, ("Can't find user with id %s"):format(user_id)) end
  local alive, failure = self.users:check_alive(user)
  -- Not 401: the key was right.
  if not alive then return failures.fail(17, failure.message) end
  return { kind = user.role == "guest" and "guest" or "user", id = user.id, user = user }
end

--- Who a request of the page counts as: with the right key a backend, or the user that the query
--- parameter `as` names, judged like that user.
---@param context stream_events.server.Context
---@return stream_events.server.Caller? caller
---@return stream_events.server.Failure? failure
function Dashboard:caller(context)
  local ok, failure = self.keys:check(context.request.headers["x-dashboard-key"], context.address)
  if not ok then return nil, failure end
  if context.query.as then return caller_as(self, context.query.as) end
  return { kind = "server" }
end

return M
