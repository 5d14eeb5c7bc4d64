--- GET /connect: a WebSocket handshake becomes a signed-in connection. Refusals are said in the first
-- frame of an accepted WebSocket, because clients take a refused handshake for a broken network.
local native = require "stream_events.native"
local clock = require "stream_events.server.clock"
local failures = require "stream_events.server.failure"
local url = require "stream_events.server.url"

local json = native.json

local M = {}

local function encode(value)
  local text, err = json.encode(value)
  if not text then error("a frame cannot be encoded: " .. err.message) end
  return text
end

local function refuse(server, number, failure, connection_id)
  local envelope = failures.envelope(failure, "Connect", "")
  envelope.more_info = ""
  server.listener:send(number, encode {
    type = "connection.error", connection_id = connection_id or "", created_at = clock.stamp(),
    error = envelope,
  })
  server.listener:close(number, 1000, "")
end

local function welcome(server, connection)
  server.listener:send(connection.number, encode {
    type = "health.check", connection_id = connection.id, cid = "*", created_at = clock.stamp(),
    me = server.views:me(connection.caller.user),
  })
end

-- Signs in whoever connects; its user is made or updated. The query holds a token and comes but once:
-- the router's cache is not for it.
local function admit(context)
  local server, number, request = context.server, context.connection, context.request
  local query, failure = url.query(request.query)
  if not query then return nil, failure end
  local function allow(caller, asked)
    if server.options.rate_limits ~= "hosted" then return true end
    return server.rates:take(context.started, "Connect", caller, context.address,
      query["X-Stream-Client"] or request.headers["x-stream-client"] or asked["X-Stream-Client"])
  end
  local caller
  caller, failure = server.auth:connect(query, request.headers, allow)
  if not caller then return nil, server.rates:auth_failed(context.started, context.address, failure) end
  context.caller = caller
  local connection = server.connections:open(number, caller)
  welcome(server, connection)
  server.log("debug", "connected", { user = caller.id, connection_id = connection.id })
  return true
end

-- How it ended, as a status for the log and the counters.
local function try_to_admit(context)
  local server = context.server
  local ok, admitted, failure = xpcall(admit, debug.traceback, context)
  if ok and admitted then return 101 end
  if not ok then
    server.log("error", "a connect failed", { error = tostring(admitted) })
    failure = failures.internal()
  end
  refuse(server, context.connection, failure)
  return failure.status
end

--- A handshake at /connect.
---@param server table
---@param number integer
---@param request stream_events.server.Request
function M.upgrade(server, number, request)
  if not server.listener:accept(number) then return end
  local context = server.requests:begin(number, request)
  context.endpoint = "Connect"
  server.requests:finish(context, try_to_admit(context))
end

--- A connection is gone: its watches end, and its user may be offline.
---@param server table
---@param number integer
---@param code integer
function M.closed(server, number, code)
  local connection, last = server.connections:close(number)
  if not connection then return end
  server.presence:stop_all(connection)
  if last then server.users:set_online(connection.caller.id, false) end
  server.watching:stop_all(connection)
  server.log("debug", "disconnected",
    { user = connection.caller.id, connection_id = connection.id, code = code })
end

--- Ends a connection whose user may not have it any more. An error frame and 1000 after it tell
--- clients not to come back with what they have (protocol §3.5).
---@param server table
---@param connection stream_events.server.Connection
---@param failure stream_events.server.Failure
function M.expel(server, connection, failure)
  refuse(server, connection.number, failure, connection.id)
  -- At once: what is sent from now on is not for it.
  M.closed(server, connection.number, 1000)
end

--- Ends the connections whose tokens are not taken any more, as calls with them are refused now.
---@param server table
---@param connections table<any, stream_events.server.Connection>
function M.expel_refused(server, connections)
  local refused = {}
  for _, connection in pairs(connections) do
    local ok, failure = server.auth:check_connected(connection.caller)
    if not ok then refused[#refused + 1] = { connection, failure } end
  end
  for _, each in ipairs(refused) do M.expel(server, each[1], each[2]) end
end

local function no_upgrade()
  return failures.fail(4, "this is for WebSockets: the request needs the header Upgrade: websocket")
end

M.routes = {
  { "GET", "/connect", endpoint = "Connect", access = "open", counted = true, handler = no_upgrade },
}

return M
