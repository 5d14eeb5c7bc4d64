--- Calls over HTTP: requests on their way, their answers and their errors (protocol §1, §11).
-- A request that fails with an expired token is repeated once with a new one.
local errors = require "stream_events.error"
local native = require "stream_events.native"
local plain_json = require "stream_events.plain_json"
local url = require "stream_events.url"

local M = {}

local NEVER = math.huge

---@class stream_events.Api
---@field package pending table<integer, stream_events.Call> by the transport's id
---@field package parked table<stream_events.Call, true> those that wait for a new token
---@field counts { sent: integer, failed: integer, in_flight: integer }
---@field due number monotonic time at which sweep() has something to do; math.huge: no such time
---@field closed stream_events.Error|false
local Api = { __name = "stream_events.api" }
Api.__index = Api

---@param context table of the client: options, transport, identity, clock
---@return stream_events.Api
function M.new(context)
  return setmetatable({
    transport = context.transport,
    identity = context.identity,
    now = context.clock.now,
    time = context.clock.time,
    base = context.options.base_url,
    timeout = context.options.timeouts.request,
    pending = {}, parked = {},
    counts = { sent = 0, failed = 0, in_flight = 0 },
    due = NEVER, closed = false,
  }, Api)
end

--- Sends a request: a table with method, url, headers, body, or `prepared` by the transport in the
--- place of all but the body; `acting` and `token` when it is made as the user; and settle(request,
--- err, status, body), called exactly once; with a `pace` it is counted there. `unsent` of a request that
--- failed without a status: the service has not taken it.
---@param request stream_events.Call|table
function Api:send(request)
  if self.closed then return request:settle(self.closed) end
  local timeout, expires, counts = request.timeout, request.expires, self.counts
  if not timeout then
    timeout = self.timeout
    request.timeout = timeout
  end
  if not expires then
    expires = self.now() + timeout
    request.expires = expires
  end
  local prepared = request.prepared
  local id, kind, message
  if prepared then
    id, kind, message = self.transport:send(prepared, request.body)
  else
    id, kind, message = self.transport:request(request)
  end
  if not id then
    counts.failed = counts.failed + 1
    request.unsent = true
    return request:settle(native.error(kind, message))
  end
  self.pending[id] = request
  local pace = request.pace
  if pace then pace:made() end
  counts.sent = counts.sent + 1
  counts.in_flight = counts.in_flight + 1
  if expires < self.due then self.due = expires end
end

-- Repeats a request with a new token; true when it will be.
local function renew(self, request, err)
  if err.code ~= 40 or request.renewed or not request.acting then return false end
  if not self.identity:renewable() then
    err.hint = "The token has expired, and it is a fixed one: give connect_user a function instead, "
      .. "which is then asked for a new token."
    return false
  end
  request.renewed, request.unsent = true, true
  self.parked[request] = true
  self.due = math.min(self.due, request.expires)
  self.identity:need_token(request.token, function(token, failure)
    if not self.parked[request] then return end -- too late, or closed
    self.parked[request] = nil
    if not token then return request:settle(failure) end
    request.headers, request.token, request.unsent = self.identity.acting, token, nil
    request.prepared = false -- with the token that was refused
    self:send(request)
  end)
  return true
end

local NO_HEADERS = {}

-- Tells the pace of a call what its answer says of the rate (protocol §1.5).
local function heed(self, pace, status, headers, err)
  local now = self.now()
  if status == 429 then
    pace:refused(now, err.retry_after)
  else
    pace:answered(now, status and (headers or NO_HEADERS), self.time())
  end
end

local function answered(self, request, status, body, headers, unsent)
  local err
  if not status then
    err = native.error(body, headers or "no answer")
    request.unsent = unsent
  elseif status < 200 or status > 299 then
    err = errors.from_response(status, body, headers)
  end
  local pace = request.pace
  if pace and (err or not pace:answered_freely(headers)) then heed(self, pace, status, headers, err) end
  if not err then return request:settle(nil, status, body) end
  if status and renew(self, request, err) then return end
  request:settle(err)
  self.counts.failed = self.counts.failed + 1
end

--- Takes in the answers that have come.
---@param late (fun(): boolean)? whether the others have to wait for the next time
function Api:collect(late)
  local counts = self.counts
  while counts.in_flight > 0 do -- nothing is once it is closed
    local id, status, body, headers, unsent = self.transport:next_response()
    if not id then return end
    local pending = self.pending
    local request = pending[id]
    if request then
      pending[id] = nil
      counts.in_flight = counts.in_flight - 1
      answered(self, request, status, body, headers, unsent)
    end
    if late and late() then return end
  end
end

local function too_late()
  return errors.new { kind = "timeout", message = "no answer in time" }
end

--- Ends the requests whose time is over. The transport has a timeout too, but only for those that
--- have gone out: this one covers what waits for its turn, or for a token.
function Api:sweep()
  local now = self.now()
  if now < self.due then return end
  local late, due = {}, NEVER
  for id, request in pairs(self.pending) do
    if request.expires <= now then late[request] = id else due = math.min(due, request.expires) end
  end
  for request in pairs(self.parked) do
    if request.expires <= now then late[request] = false else due = math.min(due, request.expires) end
  end
  self.due = due
  for request, id in pairs(late) do
    if self.closed then return end -- by whoever read of one of them in the log
    if id then
      self.transport:cancel(id)
      self.pending[id] = nil
      if request.pace then request.pace:answered(now, nil, 0) end
      self.counts.in_flight = self.counts.in_flight - 1
    end
    self.parked[request] = nil
    self.counts.failed = self.counts.failed + 1
    request:settle(too_late())
  end
end

--- Ends everything that is under way.
---@param err stream_events.Error
function Api:close(err)
  self.closed = err
  local open = {}
  for _, request in pairs(self.pending) do open[#open + 1] = request end
  for request in pairs(self.parked) do open[#open + 1] = request end
  self.pending, self.parked, self.due = {}, {}, NEVER
  self.counts.in_flight = 0
  for _, request in ipairs(open) do request:settle(err) end
end

local function not_connected()
  return errors.new { kind = "closed", message = "no user is connected: call connect_user first" }
end

local function no_secret()
  return errors.new {
    kind = "auth", message = "only a backend may do this: the client was made without a secret",
    hint = "Give stream_events.new the secret, on a machine that is yours; never ship it.",
  }
end

--- Fills in what a request carries because of who makes it.
---@param request table
---@param as "acting"|"server"|"backend"|"guest" acting: the connected user, else the backend;
---  server: the backend; backend: the backend, else the connected user; guest: nobody yet
---@return boolean? server whether it is made by the backend; nil: it cannot be made
---@return stream_events.Error? err
function Api:sign(request, as)
  local identity = self.identity
  if self.closed then return nil, self.closed end
  if as == "guest" then
    request.headers = identity.anonymous_headers
    return true
  end
  local user_first = as == "acting" and identity.kind ~= nil
  if as == "server" or (not user_first and identity.server_headers) then
    if not identity.server_headers then return nil, no_secret() end
    request.headers = identity.server_headers
    return true
  end
  if not identity.acting then return nil, not_connected() end
  request.headers, request.token, request.acting = identity.acting, identity.token, true
  return false
end

local function settle_json(request, err, status, body)
  if err then return request.receive(nil, err) end
  local answer, failure
  if request.exact then answer = native.json.decode(body) end
  if answer == nil then answer, failure = plain_json.decode(body) end
  -- Every answer is an object (protocol §1.4); a list that was read does not say that it is one.
  if type(answer) ~= "table" or not body:find "^%s*{" then
    return request.receive(nil, errors.new {
      kind = "protocol", status = status, cause = failure,
      message = "the answer is not the service's JSON",
    })
  end
  request.receive(answer)
end

local function settle_raw(request, err, _, body)
  request.receive(not err and body or nil, err)
end

---@class stream_events.Request
---@field method string
---@field path string
---@field query string? more of the query
---@field body table|string|nil
---@field as "acting"|"server"|"backend"|"guest"
---@field connection boolean? name the connection in the query
---@field expires number? monotonic time at which it counts as not answered; default: by timeouts.request
---@field pace stream_events.Pace? of the endpoint: the call and its answer are counted there
---@field is_raw boolean? the answer is given as the text it is
---@field exact boolean? lists of the answer stay lists when they are empty, numbers to the last digit

--- Makes a call whose answer is JSON.
---@param options stream_events.Request
---@param receive fun(answer: table|string|nil, err: stream_events.Error?)
function Api:call(options, receive)
  local request = {
    method = options.method, settle = options.is_raw and settle_raw or settle_json, receive = receive,
    exact = options.exact, expires = options.expires, pace = options.pace,
  }
  local server, err = self:sign(request, options.as)
  if err then return receive(nil, err) end
  local body = options.body
  if type(body) == "table" then
    local text, failure = native.json.encode(body)
    if not text then return receive(nil, failure) end
    body = text
  end
  request.body = body
  request.url = self.base .. options.path .. "?" .. self.identity:query(server, options.connection)
    .. ((options.query or "") ~= "" and "&" .. options.query or "")
  self:send(request)
end

--- The query parameter of calls that are asked with GET and a structure (protocol §1.2).
---@param structure table
---@return string
function M.payload(structure)
  return url.query { { "payload", assert(native.json.encode(structure)) } }
end

return M
