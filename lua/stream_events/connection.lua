--- What a session does on the wire: the connect URL, the first frame, health checks, the end.
-- Carries out the session's actions on the transport, and tells it what came of them.
local errors = require "stream_events.error"
local identities = require "stream_events.identity"
local native = require "stream_events.native"
local url = require "stream_events.url"

local M = {}

---@class stream_events.Link
---@field socket stream_events.core.Connection?
---@field last_heard number? of a connection that is gone
---@field package context table of the client
local Link = { __name = "stream_events.link" }
Link.__index = Link

---@param context table of the client: options, transport, router, identity, delivery, session...
---@return stream_events.Link
function M.new(context)
  local options = context.options
  return setmetatable({
    context = context,
    base = (options.base_url:gsub("^http", "ws")),
    instance = native.crypto.uuid(), -- names this client in its health checks
    paused = false, held = false, delivers = false, replays = false,
  }, Link)
end

-- The user's data goes along the first time only: later it might overwrite what is newer there.
local function connect_url(self)
  local identity, options = self.context.identity, self.context.options
  local id = identity.user_id
  local details = self.context.session.was_online and { id = id } or identity.details
  local json = assert(native.json.encode { user_id = id, user_details = details })
  local anonymous = identity.kind == "anonymous"
  return self.base .. "/connect?" .. url.query {
    { "json", json },
    { "api_key", options.api_key },
    { "authorization", not anonymous and identity.token or nil },
    { "stream-auth-type", anonymous and "anonymous" or "jwt" },
    { "X-Stream-Client", identities.AGENT },
  }
end

-- What the session asks for -----------------------------------------------------------------------

function Link:fetch_token(fresh, insists)
  local session, identity = self.context.session, self.context.identity
  -- Not the present token: that may be newer than the one of the connection that was refused.
  identity:need_token(fresh and self.opened_with or nil, function(token, err)
    if token then session:input("token") else session:input("no_token", err) end
  end, insists)
end

function Link:open()
  local context = self.context
  local options, identity = context.options, context.identity
  if context.registry.stale then context.update_router() end
  local socket, kind, message = context.transport:connect {
    url = connect_url(self),
    router = context.router,
    self = identity.kind ~= "anonymous" and identity.user_id or nil,
    max_message = options.limits.frame_size,
    timeout = options.timeouts.connect,
    ca_file = options.ca_file,
    proxy = options.proxy,
  }
  if not socket then return context.session:input("lost", native.error(kind, message)) end
  self.socket, self.opened_with = socket, identity.token
end

function Link:drop()
  local socket = self.socket
  self.last_heard = self:heard() or self.last_heard
  if self.delivers then self.context.recovery:left_off(socket:position()) end
  self.socket, self.paused, self.held, self.delivers = nil, false, false, false
  self.context.delivery.source(nil)
  self.context.identity.connection_id = nil
  if socket then socket:abort() end
end

function Link:mute()
  self.context.delivery.source(nil)
  self.context.identity.connection_id = nil
  self.held = false
  self:pause(false)
end

function Link:close()
  self.context.delivery.source(nil)
  self.context.identity.connection_id = nil
  self.held, self.delivers = false, false
  self.socket:close(1000, "disconnect", self.context.options.timeouts.close)
end

function Link:send_health()
  local text = ('[{"type":"health.check","client_id":"%s--%s"}]')
    :format(self.context.identity.user_id, self.instance)
  -- When it cannot be sent the state of the connection says why.
  self.socket:send(text)
end

--- Nothing is delivered yet: what was missed has to come first. Meanwhile nothing is read.
function Link:hold()
  self.held = true
  self:pause(true)
end

--- Events may be delivered from now on: first these, which were missed, as if they came in now.
---@param texts string[]?
---@param dates table<string, string>? of them: the cid of each by its created_at
function Link:deliver(texts, dates)
  local socket, delivery = self.socket, self.context.delivery
  self.held, self.delivers = false, true
  if not texts or not texts[1] then return delivery.source(socket) end
  socket:replay(texts)
  self.replays = true
  if next(dates) == nil then return delivery.source(socket) end
  local given_already = require "stream_events.given_already" -- only here: few clients ever need it
  delivery.source(given_already.left_out(socket, dates, function()
    if self.socket == socket and self.delivers then delivery.source(socket) end
  end))
end

--- Whether events that were missed are still to be delivered; the descriptor does not say so.
---@return boolean
function Link:is_replaying()
  if self.replays then
    self.replays = self.socket ~= nil and select(2, self.socket:position())
  end
  return self.replays
end

--- Has the place noted up to which events have come, or no longer.
---@param yes boolean
function Link:track(yes)
  if self.socket then self.socket:track(yes) end
end

-- What comes in ------------------------------------------------------------------------------------

-- The error of an error frame, which comes with and without a type (protocol §3.2).
local function frame_error(frame)
  local fields = type(frame) == "table" and frame.error
  if type(fields) ~= "table" then return nil end
  return errors.from_envelope(fields)
end

-- A first frame that is no event. Error frames without a type are, and so is the plain text that
-- the service once sent; only its beginning is known then.
local function odd_frame(reason, excerpt)
  local err = frame_error(native.json.decode(excerpt or ""))
  if err then return err end
  local inner = excerpt and excerpt:match('"error"%s*:%s*(%b{})')
    or excerpt and excerpt:match('"error"%s*:%s*({.*)')
  local code = inner and tonumber(inner:match('"code"%s*:%s*(%-?%d+)'))
  if code then
    return errors.from_envelope { code = code, message = inner:match('"message"%s*:%s*"([^"]*)') }
  end
  return nil, errors.new {
    kind = "protocol", retryable = true,
    message = ("the server's first frame is no event: %s: %q"):format(reason or "?", excerpt or ""),
  }
end

local function explain(self, err)
  if err.code == 40 and not self.context.identity:renewable() then
    err.hint = "The token has expired, and it is a fixed one: sign a new one, or give connect_user "
      .. "a function, which is then asked for it."
  end
  return err
end

local function greet(self, event)
  local session, identity = self.context.session, self.context.identity
  local frame = event.raw_data
  local err = frame_error(frame)
  if err then return session:input("refused", explain(self, err)) end
  local id = frame.connection_id
  if event.type ~= "health.check" or type(id) ~= "string" then return end -- not yet the greeting
  identity.connection_id = id
  identity.supply:heard_date(event.created_at, event.received_at, true)
  self.context.recovery:heard(event.created_at)
  identity.me = type(frame.me) == "table" and frame.me or identity.me
  session:input("hello")
end

local LOWEST_CLOSE_CODE = 1000 -- what is lower is a status of HTTP: the upgrade was refused

local function closed_error(kind, message, code, retry_after, date)
  if kind == "closed" then
    return errors.new {
      kind = "network", code = code, message = message or "the server closed the connection",
    }
  end
  local err = native.error(kind or "network", message or "the connection broke", code)
  if code and code < LOWEST_CLOSE_CODE then
    local refusal = errors.from_response(code, nil, { ["retry-after"] = retry_after, date = date })
    err.retryable, err.retry_after = refusal.retryable, refusal.retry_after
  end
  return err
end

-- Tells the session when the connection has ended.
local function check_end(self)
  local socket = self.socket
  if not socket then return end
  local state, kind, message, code, retry_after, date = socket:state()
  if state == "closed" then
    self.context.session:input("lost", closed_error(kind, message, code, retry_after, date))
  elseif state == "open" then
    self.context.session:input("opened")
  end
end

-- Reads up to the first frame; what follows is for the delivery.
local function read_greeting(self)
  local session, socket = self.context.session, self.socket
  while self.socket == socket and (session.state == "connecting" or session.state == "greeting") do
    local event, kind, reason, excerpt = socket:next()
    if event then
      greet(self, event)
    elseif event == false and kind ~= "malformed" then -- luacheck: ignore 542 (too early for events)
    elseif event == false then
      local err, other = odd_frame(reason, excerpt)
      if err then session:input("refused", explain(self, err)) else session:input("lost", other) end
    else
      return check_end(self)
    end
  end
end

-- Nothing is delivered any more, but the peer's close frame has to be read.
local function read_goodbye(self)
  local socket = self.socket
  local event = socket:next()
  while event ~= nil do event = socket:next() end
  check_end(self)
end

--- Goes on with a connection that is being made or ended.
function Link:step()
  if not self.socket then return end
  local state = self.context.session.state
  if state == "connecting" or state == "greeting" then
    read_greeting(self)
  elseif state == "closing" or state == "refused" then
    read_goodbye(self)
  end
end

--- Looks whether the connection has ended, once everything it brought has been delivered.
function Link:after_delivery()
  if self.context.session.state == "online" and self.context.delivery.dry() then check_end(self) end
end

--- Time at which bytes last came; while reading is paused nothing can come.
---@return number?
function Link:heard()
  if not self.socket then return nil end
  if self.paused then return self.context.clock.now() end
  return self.socket:heard()
end

--- Stops reading while too many handlers wait, and goes on afterwards.
---@param yes boolean
function Link:pause(yes)
  yes = yes or self.held
  if self.paused == yes then return end
  self.paused = yes
  if self.socket then self.socket:pause(yes) end
end

--- What the client itself does with events that concern the connection.
---@param registry stream_events.Registry
function Link:register(registry)
  local session, identity = self.context.session, self.context.identity
  local recovery = self.context.recovery
  registry:on("health.check", function(event)
    local err = frame_error(event.raw_data)
    if err then return session:input("refused", explain(self, err)) end
    identity.supply:heard_date(event.created_at, event.received_at)
    recovery:heard(event.created_at)
    session:input("health")
  end)
  registry:on("connection.error", function(event)
    local err = frame_error(event.raw_data)
    if err then session:input("refused", explain(self, err)) end
  end)
end

return M
