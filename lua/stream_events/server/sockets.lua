--- The kinds of WebSockets, by the path of their handshake: whoever takes the handshake also hears of
-- the end.
local connect = require "stream_events.server.routes.connect"
local dashboard = require "stream_events.server.routes.dashboard"

local M = {}

local BY_PATH = { ["/connect"] = connect, ["/dashboard/live"] = dashboard }

--- A handshake. Paths that are not for WebSockets answer it as any other request.
---@param server table
---@param number integer
---@param request stream_events.server.Request
function M.upgrade(server, number, request)
  local kind = BY_PATH[request.path]
  if kind then return kind.upgrade(server, number, request) end
  server.listener:respond(number, server.router:answer(number, request))
end

--- A WebSocket that had been accepted is gone.
---@param server table
---@param number integer
---@param code integer
function M.closed(server, number, code)
  if not dashboard.closed(server, number) then connect.closed(server, number, code) end
end

return M
