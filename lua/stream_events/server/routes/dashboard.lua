--- /dashboard/api: what the dashboard's page asks for and does. The key stands for a server token; what
-- backends have a route for is that very route, under another path.
local channel_input = require "stream_events.server.channel_input"
local failures = require "stream_events.server.failure"
local lists = require "stream_events.server.dashboard.lists"
local url = require "stream_events.server.url"

local M = {}

local API = "/dashboard/api"
local HEADERS = { "Cache-Control: no-store", "X-Content-Type-Options: nosniff" }

-- A handler whose answers no browser keeps.
local function private(handler)
  return function(context)
    local status, answer = handler(context)
    return status, answer, status and HEADERS or nil
  end
end

-- The same routes, for whoever has the key.
local function borrowed(routes, wanted)
  local result = {}
  for _, route in ipairs(routes) do
    if wanted[route[1] .. " " .. route[2]] then
      result[#result + 1] = {
        route[1], API .. route[2], endpoint = route.endpoint, raw = route.raw, access = "dashboard",
        handler = private(route.handler),
      }
    end
  end
  return result
end

local function answered(answer, failure)
  if not answer then return nil, failure end
  return 200, answer
end

local function channels(context)
  return answered(lists.channels(context.server, context.query))
end

local function watchers(context)
  local channel, failure = channel_input.channel(context)
  if not channel then return nil, failure end
  return answered(lists.watchers(channel, context.query))
end

local function connections(context)
  return answered(lists.connections(context.server, context.query))
end

local function counters(context)
  return 200, context.server.dashboard.live:counters()
end

local DEFAULT_PORTS = { http = "80", https = "443" }

-- Whether a handshake comes from a page of this very server. Other programs send no Origin, and have
-- no browser that could be talked into something.
local function is_own_page(headers)
  local origin = headers.origin
  if not origin then return true end
  local scheme, authority = origin:lower():match("^(https?)://([^/]+)$")
  if not scheme then return false end
  local port = ":" .. DEFAULT_PORTS[scheme]
  local function plain(host) return host:sub(-#port) == port and host:sub(1, -#port - 1) or host end
  return plain(authority) == plain((headers.host or ""):lower())
end

local function check_page(headers)
  if is_own_page(headers) then return true end
  return failures.fail(17, "this is for the dashboard's own page: behind a proxy, have it hand on the Host "
    .. "header")
end

-- A page that could not use its ticket is told here, where it can read the answer: a browser says
-- nothing about a handshake that fails.
local function ticket(context)
  local ok, failure = check_page(context.request.headers)
  if not ok then return nil, failure end
  local text, seconds = context.server.dashboard.keys:ticket()
  return 201, { ticket = text, expires_in = seconds }
end

-- Those of others that the page uses. What a user may not do is refused to whoever acts as that user;
-- a route that is for backends alone needs a check of its own then.
local function backend_only(routes)
  for _, route in ipairs(routes) do
    local handler = route.handler
    route.handler = function(context)
      if context.caller.kind == "server" then return handler(context) end
      return failures.fail(17, "this cannot be done as a user")
    end
  end
  return routes
end

local function own(method, path, endpoint, handler)
  return { method, API .. path, endpoint = endpoint, access = "dashboard", handler = private(handler) }
end

local function no_upgrade()
  return failures.fail(4, "this is for WebSockets: the request needs the header Upgrade: websocket")
end

--- For the router, a list after the other.
M.routes = {
  borrowed(require "stream_events.server.routes.events", {
    ["POST /channels/{type}/{id}/event"] = true,
  }),
  backend_only(borrowed(require "stream_events.server.routes.events", {
    ["POST /users/{id}/event"] = true,
  })),
  backend_only(borrowed(require "stream_events.server.routes.channel_types", {
    ["GET /channeltypes"] = true, ["PUT /channeltypes/{name}"] = true,
  })),
  backend_only {
    own("GET", "/channels", "DashboardChannels", channels),
    own("GET", "/channels/{type}/{id}", "DashboardWatchers", watchers),
    own("GET", "/connections", "DashboardConnections", connections),
    own("GET", "/counters", "DashboardCounters", counters),
    own("POST", "/tickets", "DashboardTicket", ticket),
  },
  { { "GET", "/dashboard/live", endpoint = "DashboardLive", access = "open", handler = no_upgrade } },
}

local function check_handshake(server, request)
  local ok, failure = check_page(request.headers)
  if not ok then return nil, failure end
  local query
  query, failure = url.query(request.query)
  if not query then return nil, failure end
  if not server.dashboard.keys:redeem(query.ticket) then
    return failures.fail(5, "the ticket is not good any more")
  end
  return server.dashboard.live:check_room()
end

--- A handshake at /dashboard/live. The ticket in the query comes but once: the router's cache is not
--- for it.
---@param server table
---@param number integer
---@param request stream_events.server.Request
function M.upgrade(server, number, request)
  if not server.dashboard then
    return server.listener:respond(number, server.router:answer(number, request))
  end
  local context = server.requests:begin(number, request)
  context.endpoint = "DashboardLive"
  local ok, failure = check_handshake(server, request)
  if ok then
    server.requests:finish(context, 101)
    if server.listener:accept(number) then server.dashboard.live:join(number) end
  else
    local status, body, headers = server.router:refuse(context, failure)
    server.listener:respond(number, status, body, server.requests:finish(context, status, headers))
  end
end

--- A WebSocket is gone.
---@param server table
---@param number integer
---@return boolean known whether it was one of the dashboard's
function M.closed(server, number)
  return server.dashboard ~= nil and server.dashboard.live:leave(number)
end

return M
