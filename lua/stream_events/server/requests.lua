--- What accompanies every HTTP request: an id for logs and for whoever asks about it, the address it is
-- from, and afterwards its place among the counters and, when access_log is on, a line in the log.
-- On the way of every event: with the log off it only counts.
local native = require "stream_events.native"
local DIGITS = require "stream_events.server.digits"
local histograms = require "stream_events.server.histogram"

local M = {}

local LONGEST_ID = 64
local HEADER = "X-Request-Id: "
local NOWHERE = "none" -- the endpoint of requests that lead to none
-- Seconds. A send takes some 20 microseconds; what waits for the disk takes milliseconds.
local SECONDS = { 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1 }

---@class stream_events.server.EndpointCount
---@field statuses table<integer, integer> requests by the HTTP status of their answer
---@field seconds stream_events.server.Histogram of the work on them

---@class stream_events.server.Requests
---@field endpoints table<string, stream_events.server.EndpointCount>
---@field private server table
---@field private own_line string the beginning of the header lines with ids that are made here
---@field private thousands string the same, and the number but for its last three digits
---@field private number integer
local Requests = { __name = "stream_events.server.requests" }
Requests.__index = Requests

---@param server { proxies: table, log: stream_events.server.Log, options: table } becomes context.server
---@return stream_events.server.Requests
function M.new(server)
  local own_line = HEADER .. native.crypto.hex(native.crypto.random(5)) .. "-"
  return setmetatable({
    server = server, endpoints = {}, number = 0, own_line = own_line, thousands = own_line .. 0,
  }, Requests)
end

--- The id of a request. What travels with it is the line of the answer's head that tells it: that one
--- is always needed, the id itself only for the log.
---@param context stream_events.server.Context
---@return string
function M.id(context)
  return context.id_line:sub(#HEADER + 1)
end

-- A client may name its request, as long as that is a name and no text.
local function id_line(self, asked)
  if asked and #asked <= LONGEST_ID and asked:find "^[%w_.:-]+$" then return HEADER .. asked end
  local number = self.number + 1
  self.number = number
  local rest = number % 1000
  if rest == 0 then self.thousands = self.own_line .. number // 1000 end
  return self.thousands .. DIGITS[rest]
end

--- A request comes in. finish() has to follow.
---@param connection integer
---@param request stream_events.server.Request
---@return stream_events.server.Context
function Requests:begin(connection, request)
  local server = self.server
  local context = {
    server = server, connection = connection, request = request, started = native.now(),
    id_line = id_line(self, request.headers["x-client-request-id"]),
    address = server.options.trusted_proxies and server.proxies:client(request) or request.peer,
    -- Known later; named here so that the table need not grow.
    endpoint = nil, params = nil, query = nil, caller = nil, body = nil, event_type = nil, sender = nil,
    rate_lines = nil, waits = nil,
  }
  server.log.request = context
  return context
end

local function count(self, endpoint, status, seconds)
  local own = self.endpoints[endpoint]
  if not own then
    own = { statuses = {}, seconds = histograms.new(SECONDS) }
    self.endpoints[endpoint] = own
  end
  own.statuses[status] = (own.statuses[status] or 0) + 1
  own.seconds:add(seconds)
end

-- The query may hold a token: it is never logged.
local function write_line(server, context, status, seconds)
  local request, caller = context.request, context.caller
  server.log("info", "request", {
    method = request.method, path = request.path, status = status, endpoint = context.endpoint,
    address = context.address, user = caller and caller.id, by = caller and caller.kind,
    milliseconds = tonumber(("%.3f"):format(seconds * 1000)),
  })
end

--- Its answer is known.
---@param context stream_events.server.Context
---@param status integer of the answer; of a WebSocket 101, or what its refusal stands for
---@param headers string[]? of the answer; left as they are
---@return string[] headers the same, and the one with the id
function Requests:finish(context, status, headers)
  local server, seconds = self.server, native.now() - context.started
  count(self, context.endpoint or NOWHERE, status, seconds)
  if server.options.access_log then write_line(server, context, status, seconds) end
  server.log.request = nil
  if headers then return { context.id_line, table.unpack(headers) } end
  return { context.id_line }
end

return M
