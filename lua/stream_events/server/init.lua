--- The server: everything put together, running inside a luv loop of the caller's.
--
--   local server = assert(require "stream_events.server".start { port = 0, data = ":memory:" })
--   print(server.url, server.api_key, server.api_secret)
--   require "luv".run()
--
-- It starts no loop, prints nothing and handles no signals: the program around it does.
local app = require "stream_events.server.app"
local auth = require "stream_events.server.auth"
local channel_types = require "stream_events.server.channel_types"
local channels = require "stream_events.server.channels"
local connect = require "stream_events.server.routes.connect"
local connections = require "stream_events.server.connections"
local errors = require "stream_events.error"
local events = require "stream_events.server.events"
local http = require "stream_events.server.http"
local listener = require "stream_events.server.listener"
local native = require "stream_events.native"
local permissions = require "stream_events.server.permissions"
local rules_module = require "stream_events.server.rules"
local store = require "stream_events.server.store"
local users = require "stream_events.server.users"
local views = require "stream_events.server.views"
local watching = require "stream_events.server.watching"
local webhooks = require "stream_events.server.webhooks"

local M = {}

local ROUTES = {
  require "stream_events.server.routes.hi",
  connect.routes,
  require "stream_events.server.routes.channels",
  require "stream_events.server.routes.channel_update",
  require "stream_events.server.routes.events",
  require "stream_events.server.routes.sync",
  require "stream_events.server.routes.users",
  require "stream_events.server.routes.channel_types",
  require "stream_events.server.routes.app",
}

local MAX_EVENT = 5120 -- bytes of a custom event, as the hosted service documents for its like
local SERVICE_RESTART = 1012 -- tells clients to come back
local MAX_NOTED_TYPES = 256

-- Options, and the type of each; the limits of the listener go on to it under the same names.
local LIMITS = {
  max_connections = true, max_header = true, max_body = true, max_message = true, max_output = true,
  header_timeout = true, body_timeout = true, keepalive_timeout = true, idle_timeout = true,
}
local OPTIONS = {
  host = "string", port = "number", data = "string", api_key = "string", api_secret = "string",
  logger = "function", max_event = "number", watch = "boolean",
  webhook_queue = "number", webhook_in_flight = "number", webhook_total = "number",
  webhook_retry = "number",
  rule_instructions = "number", rule_seconds = "number", rule_memory = "number", rule_breaches = "number",
}

---@class stream_events.server.Options
---@field host string? default "127.0.0.1"
---@field port integer? default 0: a free one
---@field data string? a file for the state, or ":memory:", the default: none
---@field api_key string? without it one is made up, and kept with the data
---@field api_secret string? likewise
---@field logger (fun(level: "debug"|"info"|"warn"|"error", message: string, fields: table))?
---@field max_event integer? bytes of a custom event, default 5120
---@field rules string|table|stream_events.RuleSet|nil what may be sent: the path of a rule file, the
---  rules themselves as a table, or a rule set of `stream_events.rules`; default: everything
---@field watch boolean? reload the rule file when it changes
---@field rule_instructions integer? of one call of a rule's function, default 1 000 000
---@field rule_seconds number? likewise, default 0.005
---@field rule_memory integer? bytes of all that a rule file makes, default 8 MiB
---@field rule_breaches integer? so many broken budgets switch a rule off until reload, default 5
---@field webhook_queue integer? deliveries that may wait for one hook, default 10 000; more are not taken
---@field webhook_in_flight integer? requests to one hook at a time, 1 to 60, default 8; with 1 events
---  arrive in their order, and each waits for the one before it
---@field webhook_total number? seconds for all attempts to deliver one event, default 15
---@field webhook_retry number? seconds before the second attempt, default 0.5; twice that before the third
---@field max_connections integer? and the other limits of stream_events.server.ListenOptions

-- What stands for rules: a path, or a table of whatever kind.
local function check_rules(options)
  local kind = type(options.rules)
  if kind ~= "nil" and kind ~= "string" and kind ~= "table" then
    error("option \"rules\" must be a path, a table of rules or a rule set, not a " .. kind, 4)
  elseif options.rules == "" then
    error("option \"rules\" must not be empty", 4)
  elseif options.watch and kind ~= "string" then
    error("option \"watch\" needs the path of a rule file as option \"rules\"", 4)
  end
  for _, name in ipairs { "rule_instructions", "rule_seconds", "rule_memory", "rule_breaches" } do
    local value = options[name]
    local whole = name == "rule_seconds" or math.type(value) == "integer"
    if value ~= nil and not (value > 0 and value < 2 ^ 31 and whole) then
      error(("option %q must be a positive number, and whole unless it is of seconds"):format(name), 4)
    end
  end
end

-- Likewise: whole ones and their largest value, and seconds.
local WEBHOOK_LIMITS = {
  webhook_queue = 2 ^ 31, webhook_in_flight = 60, webhook_total = false, webhook_retry = false,
}

local function check_webhooks(options)
  for name, most in pairs(WEBHOOK_LIMITS) do
    local value = options[name]
    if most and value and not (math.type(value) == "integer" and value >= 1 and value <= most) then
      error(("option %q must be a whole number from 1 to %d"):format(name, most), 4)
    elseif value and not (value > 0 and value <= 3600) and not most then
      error(("option %q must be a number of seconds above 0, at most 3600"):format(name), 4)
    end
  end
end

local function check_options(options)
  for name, value in pairs(options) do
    local wanted = OPTIONS[name] or (LIMITS[name] and "number") or (name == "rules" and type(value))
    if not wanted then error(("there is no option %q"):format(tostring(name)), 3) end
    if type(value) ~= wanted then
      error(("option %q must be a %s, not a %s"):format(name, wanted, type(value)), 3)
    elseif value == "" then
      error(("option %q must not be empty"):format(name), 3)
    end
  end
  local max_event = options.max_event
  if max_event and (math.type(max_event) ~= "integer" or max_event < 1) then
    error("option \"max_event\" must be a whole number from 1 on", 3)
  end
  check_rules(options)
  check_webhooks(options)
end

-- A logger that raises must not end what it was told of, let alone the program.
local function careful(logger)
  return function(level, message, fields) pcall(logger, level, message, fields) end
end

local function listen_options(options)
  local result = { host = options.host, port = options.port }
  for name in pairs(LIMITS) do result[name] = options[name] end
  return result
end

-- Where clients on the same machine find a server that listens everywhere.
local REACHABLE = { ["0.0.0.0"] = "127.0.0.1", ["::"] = "::1" }

local function url_of(host, port)
  host = REACHABLE[host] or host
  if host:find(":", 1, true) then host = "[" .. host .. "]" end
  return ("http://%s:%d"):format(host, port)
end

-- What the handlers share. They find it as context.server.
local Parts = {}
Parts.__index = Parts

--- Dots are the mark of built-in types; a custom type with one may collide with a later built-in.
function Parts:note_dotted_type(event_type)
  if self.dotted[event_type] or self.dotted_count >= MAX_NOTED_TYPES then return end
  self.dotted[event_type] = true
  self.dotted_count = self.dotted_count + 1
  self.log("warn", "a custom event type holds a '.', the mark of built-in types", { type = event_type })
end

local function build(options, database, loop, rules, log)
  local self = setmetatable({ dotted = {}, dotted_count = 0 }, Parts)
  self.log = log
  self.rules = rules
  self.limits = { max_event = options.max_event or MAX_EVENT }
  self.listener = loop.core
  self.store = database
  self.app = app.new(database, { api_key = options.api_key, api_secret = options.api_secret })
  self.users = users.new(database)
  self.channel_types = channel_types.new(database)
  self.permissions = permissions.new(self.channel_types, self.app)
  self.auth = auth.new(self.app, self.users)
  self.channels = channels.new(database)
  self.connections = connections.new(self.listener)
  self.views = views.new(self)
  self.events = events.new(self)
  self.watching = watching.new(self)
  self.webhooks = webhooks.new(self, options)
  self.router = http.new(self)
  for _, routes in ipairs(ROUTES) do self.router:add(routes) end
  return self
end

local function handlers(parts)
  return {
    request = function(number, request)
      local unwritten = parts.webhooks:unwritten()
      local status, body, headers = parts.router:answer(number, request)
      return status, body, headers, parts.webhooks:unwritten() > unwritten
    end,
    settle = function() return parts.webhooks:settle() end,
    unsettled = function() return parts.router:internal() end,
    upgrade = function(number, request) connect.upgrade(parts, number, request) end,
    closed = function(number, code) connect.closed(parts, number, code) end,
    message = function(number)
      local active = parts.connections:heard(number)
      if active then parts.users:touch(active) end
    end,
    second = function()
      parts.connections:tick(native.now())
      parts.webhooks:tick()
    end,
    failed = function(what, err)
      parts.log("error", ("the server failed at a %s"):format(what), { error = tostring(err) })
    end,
  }
end

---@class stream_events.server.Server
---@field url string where clients on this machine reach it
---@field host string the address it listens on
---@field port integer
---@field api_key string
---@field api_secret string
---@field private parts table
---@field private loop stream_events.server.Loop
local Server = { __name = "stream_events.server" }
Server.__index = Server

--- Starts a server. It runs as long as the program's luv loop does, until stop().
---@param options stream_events.server.Options?
---@return stream_events.server.Server? server
---@return stream_events.Error? err the address is taken, the data cannot be opened or is damaged, or
---  (kind "rule") the rules cannot be used, see its `problems`
function M.start(options)
  options = options or {}
  check_options(options)
  local log = careful(options.logger or function() end)
  local rules, loop, err
  if options.rules then
    rules, err = rules_module.new(options, log)
    if not rules then return nil, err end
  end
  loop, err = listener.open(listen_options(options))
  if not loop then return nil, err end
  local database
  database, err = store.open(options.data or ":memory:")
  if not database then
    loop.core:close_all()
    return nil, err
  end
  local ok, parts = pcall(build, options, database, loop, rules, log)
  if not ok then
    loop.core:close_all()
    database:close()
    if errors.is(parts) then return nil, parts end
    error(parts, 0)
  end
  local started
  started, err = parts.webhooks:start()
  if not started then
    loop.core:close_all()
    database:close()
    return nil, err
  end
  loop:start(handlers(parts))
  if rules then rules:start() end
  local host, port = loop.core:address()
  return setmetatable({
    host = host, port = port, url = url_of(host, port),
    api_key = parts.app.api_key, api_secret = parts.app.api_secret,
    parts = parts, loop = loop, waiting = {},
  }, Server)
end

--- Stops: nothing more is accepted, what was accepted is answered, WebSockets are closed with 1012,
--- the database is closed. Takes a few turns of the loop; a second call waits with the first.
---@param callback fun()? called when all of it is done
function Server:stop(callback)
  if self.stopped then
    if callback then callback() end
    return
  end
  self.stopping = true
  self.waiting[#self.waiting + 1] = callback
  local rules = self.parts.rules
  local function finished()
    self.stopped = true
    self.parts.store:close()
    for _, waiting in ipairs(self.waiting) do waiting() end
  end
  self.loop:stop(SERVICE_RESTART, function()
    self.parts.webhooks:stop(function()
      if rules then rules:stop(finished) else finished() end
    end)
  end)
end

--- Reads the rule file again: all of it, then its own examples; only then do the new rules take the
--- place of the old ones. On any error the old ones stay in force. Takes a few turns of the loop.
---@param callback (fun(ok: true?, err: stream_events.Error?))?
function Server:reload_rules(callback)
  callback = callback or function() end
  local rules = self.parts.rules
  if self.stopping then
    callback(nil, errors.new { kind = "closed", message = "the server was stopped" })
  elseif not rules then
    callback(nil, errors.new {
      kind = "rule", message = "this server has no rules", hint = "Give it the option rules.",
    })
  else
    rules:reload(callback)
  end
end

--- Counters: those of the listener, and users' connections, watches, channels, events and deliveries;
--- in `rules` what rules decided, where there are some; in `webhooks` what became of their copies.
---@return { rules: stream_events.RuleStats?, webhooks: stream_events.server.WebhookStats, [string]: integer }
function Server:stats()
  local parts = self.parts
  local stats = self.stopped and {} or parts.listener:stats()
  stats.signed_in = parts.connections.count
  stats.watches = parts.watching.watches
  stats.channels = parts.channels.count
  stats.events = parts.events.sent
  stats.deliveries = parts.events.deliveries
  stats.webhooks = parts.webhooks:stats()
  stats.rules = parts.rules and parts.rules:stats() or nil
  return stats
end

return M
