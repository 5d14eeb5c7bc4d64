--- From a request to its answer: finds the route, authenticates the caller, decodes the body, runs
-- the handler, and makes the answer or the error envelope out of what it returns.
--
-- A route is a table { method, path, endpoint = name, handler = function, access = ..., raw = ...,
-- refused = ..., counted = ... }.
--   path      "/channels/{type}/{id}"; a literal segment goes before a parameter
--   endpoint  the protocol's name for it, the beginning of every error message
--   access    absent: whoever auth accepts; "server": server tokens only; "dashboard": whoever has the
--             dashboard's key; "open": no look at all
--   raw       true: the body is left as text (context.request.body)
--   refused   function(context, failure): told when there were too many calls, and the handler is not run
--   counted   true: it is open, and yet has a limit of calls, which the route sees to itself
-- handler(context) returns
--   status, answer [, headers]   answer: a table (`duration` is added) or a JSON text
--   nil, failure
local native = require "stream_events.native"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"
local url = require "stream_events.server.url"

local M = {}

-- Paths and query strings repeat: a client that sends events sends the same two every time. Both
-- caches are emptied when full, so that hostile variety costs time and little memory: what an entry
-- takes is bounded by its text, and by how many segments and parameters there may be.
local CACHE_ENTRIES = 2048
local CACHE_TEXT = 2048
local MAX_SEGMENTS = 8
local HAS_BODY = { POST = true, PUT = true, PATCH = true }

---@class stream_events.server.Caller
---@field kind "server"|"user"|"guest"|"anonymous"
---@field id string? the user's id; nil for server tokens
---@field user table? the user record
---@field package sends table? those that were found allowed: see access.remembers_send
---@field package sends_at integer? the store's revision at that time
---@field package send_count integer?

---@class stream_events.server.Context
---@field server table the running server: users, channels, connections, events, permissions, ...
---@field request stream_events.server.Request
---@field connection integer the listener's number of the HTTP connection
---@field address string of the client, also of one behind a trusted proxy
---@field id_line string of the answer's head: the id of the request, see stream_events.server.requests
---@field params table<string,string> decoded path parameters, and of a channel's its `cid`; shared, read only
---@field query table<string,string> decoded; shared, read only
---@field payload table? the decoded object of the query parameter `payload`
---@field body table? decoded; {} for a POST, PUT or PATCH without a body; nil otherwise
---@field caller stream_events.server.Caller
---@field started number native.now() at which work on the request began
---@field endpoint string? the route's name, once there is a route
---@field event_type string? of the custom event that is sent, once it is known
---@field sender table? likewise: the record of the user it is from
---@field rate_lines string[]? header lines of the answer, when calls are limited
---@field waits boolean? the answer says what another request has done, and that may not be kept yet

---@class stream_events.server.Router
---@field private server table
---@field endpoints table<string, true> those whose calls are counted, see stream_events.server.rates
---@field private root table
local Router = { __name = "stream_events.server.router" }
Router.__index = Router

local function node()
  return { literals = {}, parameter = nil, methods = nil }
end

---@param server table what handlers find as context.server; `auth`, `dashboard`, `origins`, `rates`,
---  `requests`, `options` and `log` are used here
---@return stream_events.server.Router
function M.new(server)
  return setmetatable({
    server = server,
    root = node(),
    endpoints = {},
    targets = {}, target_count = 0,
    queries = {}, query_count = 0,
  }, Router)
end

--- Adds routes.
---@param routes table[]
function Router:add(routes)
  for _, route in ipairs(routes) do
    local method, path = route[1], route[2]
    local place, names = self.root, {}
    for segment in path:gmatch("/([^/]*)") do
      local name = segment:match("^{(.*)}$")
      if name then
        names[#names + 1] = name
        place.parameter = place.parameter or node()
        place = place.parameter
      else
        place.literals[segment] = place.literals[segment] or node()
        place = place.literals[segment]
      end
    end
    place.methods = place.methods or {}
    if place.methods[method] then error(("two routes for %s %s"):format(method, path), 2) end
    place.methods[method] = { names = names, route = route }
    if route.counted or (route.access ~= "open" and route.access ~= "dashboard") then
      self.endpoints[route.endpoint] = true
    end
  end
end

-- Literals first; where they lead nowhere, or not with this method, the parameter is tried: a role may
-- be called "search". `allowed` gathers the methods of the places that were passed by.
local function find(place, segments, i, values, method, allowed)
  local segment = segments[i]
  if segment == nil then
    local methods = place.methods
    if methods and methods[method] then return methods[method] end
    for name in pairs(methods or {}) do allowed[name] = true end
    return nil
  end
  local literal = place.literals[segment]
  local found = literal and find(literal, segments, i + 1, values, method, allowed)
  if found then return found end
  if place.parameter and segment ~= "" then
    values[#values + 1] = segment
    found = find(place.parameter, segments, i + 1, values, method, allowed)
    if not found then values[#values] = nil end
    return found
  end
end

local function listed(methods)
  local names = {}
  for name in pairs(methods) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

local function resolve(self, method, path)
  local segments = url.segments(path)
  if not segments then
    return failures.fail(4, "the path is not percent-encoded correctly")
  elseif #segments > MAX_SEGMENTS then
    return failures.fail(16, "there is nothing at this path")
  end
  local values, allowed = {}, {}
  local entry = find(self.root, segments, 1, values, method, allowed)
  if not entry then
    if next(allowed) == nil then
      return failures.fail(16, ("there is nothing at %s"):format(path:sub(1, 200)))
    end
    local failure = failures.new(16, ("%s is not offered at %s"):format(method, path:sub(1, 200)), 405)
    failure.headers = { "Allow: " .. listed(allowed) }
    return nil, failure
  end
  local params = {}
  for i, name in ipairs(entry.names) do params[name] = values[i] end
  if params.type and params.id then params.cid = params.type .. ":" .. params.id end
  return { route = entry.route, params = params }
end

--- The route of a request and its path parameters.
---@param method string
---@param path string as sent
---@return { route: table, params: table<string,string> }? target
---@return stream_events.server.Failure? failure
function Router:resolve(method, path)
  local by_path = self.targets[method]
  local target = by_path and by_path[path]
  if target then return target end
  local failure
  target, failure = resolve(self, method, path)
  if not target then return nil, failure end
  if #path <= CACHE_TEXT then
    if self.target_count >= CACHE_ENTRIES then self.targets, self.target_count = {}, 0 end
    self.targets[method] = self.targets[method] or {}
    self.targets[method][path] = target
    self.target_count = self.target_count + 1
  end
  return target
end

--- The decoded query string. The table is shared between requests: read only.
---@param text string
---@return table<string,string>? query
---@return stream_events.server.Failure? failure
function Router:query(text)
  local query = self.queries[text]
  if query then return query end
  local failure
  query, failure = url.query(text)
  if not query then return nil, failure end
  if #text <= CACHE_TEXT then
    if self.query_count >= CACHE_ENTRIES then self.queries, self.query_count = {}, 0 end
    self.queries[text] = query
    self.query_count = self.query_count + 1
  end
  return query
end

local function decode_object(text, what)
  local value, err = native.json.decode(text)
  if value == nil then
    return failures.fail(4, ("%s is not valid JSON: %s"):format(what, err.message))
  elseif not input.is_object(value) then
    return failures.fail(4, ("%s must be a JSON object"):format(what))
  end
  return value
end

-- Most answers take a few hundredths of a millisecond, so their texts are made once.
local DURATIONS = setmetatable({}, {
  __index = function(durations, hundredths)
    local text = ("%.2fms"):format(hundredths / 100)
    if hundredths >= 0 and hundredths < 1000 then durations[hundredths] = text end
    return text
  end,
})

--- How long the answer took, the way the protocol writes it.
---@param started number native.now() of the beginning
---@return string
function M.duration(started)
  return DURATIONS[((native.now() - started) * 100000 + 0.5) // 1 | 0]
end

-- Takes one of the calls that the caller may make. It comes before the request is looked at any closer,
-- so that who calls too often costs little.
local function take(self, context, route)
  local sdk = context.request.headers["x-stream-client"] or context.query["X-Stream-Client"]
  local lines, failure = self.server.rates:take(context.started, route.endpoint, context.caller,
    context.address, sdk)
  context.rate_lines = lines
  if failure and route.refused then route.refused(context, failure) end
  return failure
end

-- Fills the context step by step; the first failure ends it. The second result says that the
-- failure came before the endpoint was reached, so that its name does not belong in the message.
local function prepare(self, context, route)
  local failure
  context.query, failure = self:query(context.request.query)
  if not context.query then return failure end
  if route.access == "dashboard" then
    context.caller, failure = self.server.dashboard:caller(context)
    if not context.caller then return failure, true end
  elseif route.access ~= "open" then
    context.caller, failure = self.server.auth:http(context.request, context.query)
    if not context.caller then
      return self.server.rates:auth_failed(context.started, context.address, failure), true
    end
    if self.server.options.rate_limits == "hosted" then
      failure = take(self, context, route)
      if failure then return failure end
    end
    if route.access == "server" and context.caller.kind ~= "server" then
      return failures.new(17, "this is only allowed with a server token")
    end
  end
  local text = context.request.body
  if HAS_BODY[context.request.method] and not route.raw then
    if text == "" then
      context.body = {}
    else
      context.body, failure = decode_object(text, "the body")
      if not context.body then return failure end
    end
  end
  if context.query.payload then
    context.payload, failure = decode_object(context.query.payload, "the query parameter payload")
    if not context.payload then return failure end
  end
end

local function encode(answer, endpoint)
  local text, err = native.json.encode(answer)
  if not text then error(("the answer of %s cannot be encoded: %s"):format(endpoint, err.message)) end
  return text
end

local function refusal(context, failure, endpoint)
  local envelope = failures.envelope(failure, endpoint, M.duration(context.started))
  return failure.status, encode(envelope, endpoint), failure.headers
end

local function handle(self, context)
  local request = context.request
  local target, failure = self:resolve(request.method, request.path)
  if not target then
    local status, body, headers = self.server.origins:preflight(request)
    if status then return status, body, headers end
    return refusal(context, failure)
  end
  local route = target.route
  context.params, context.endpoint = target.params, route.endpoint
  local early
  failure, early = prepare(self, context, route)
  if failure then return refusal(context, failure, not early and route.endpoint or nil) end
  local status, answer, headers = route.handler(context)
  if not status then return refusal(context, answer, route.endpoint) end
  if type(answer) == "string" then return status, answer, headers end
  answer.duration = M.duration(context.started)
  return status, encode(answer, route.endpoint), headers
end

--- The answer to what is refused before it becomes a request: a handshake.
---@param context stream_events.server.Context
---@param failure stream_events.server.Failure
---@return integer status
---@return string body
---@return string[]? headers
function Router.refuse(_, context, failure)
  return refusal(context, failure, context.endpoint)
end

-- The header lines of an answer, those of the rate limits before them.
local function with_rates(context, headers)
  local lines = context.rate_lines
  if not headers then return lines end
  return table.move(headers, 1, #headers, #lines + 1, { table.unpack(lines) })
end

--- The body of an answer for what went wrong when the request had been handled.
---@return string
function Router.internal(_)
  return encode(failures.envelope(failures.internal(), nil, "0.00ms"), "a request")
end

--- Answers a request. Never raises: what a handler raises is logged and answered with code -1.
---@param connection integer
---@param request stream_events.server.Request
---@return integer status
---@return string body
---@return string[] headers
---@return boolean? waits the answer may only be given when what was done so far is kept
function Router:answer(connection, request)
  local requests = self.server.requests
  local context = requests:begin(connection, request)
  local ok, status, body, headers = xpcall(handle, debug.traceback, self, context)
  if not ok then
    self.server.log("error", ("%s %s failed"):format(request.method, request.path:sub(1, 200)),
      { error = tostring(status) })
    status, body, headers = refusal(context, failures.internal(), context.endpoint)
  end
  if context.rate_lines then headers = with_rates(context, headers) end
  if self.server.options.allowed_origins then headers = self.server.origins:add_to(request, headers) end
  return status, body, requests:finish(context, status, headers), context.waits
end

return M
