--- The server: started, reloaded and stopped, inside a luv loop of the caller's.
--
--   local server = assert(require "stream_events.server".start { port = 0, data = ":memory:" })
--   print(server.url, server.api_key, server.api_secret)
--   require "luv".run()
--
-- It starts no loop, prints nothing and handles no signals: the program around it does.
local check = require "stream_events.server.check"
local errors = require "stream_events.error"
local listener = require "stream_events.server.listener"
local live = require "stream_events.server.live"
local logs = require "stream_events.server.log"
local native = require "stream_events.native"
local option_table = require "stream_events.server.options"
local parts_module = require "stream_events.server.parts"
local rules_module = require "stream_events.server.rules"
local sockets = require "stream_events.server.sockets"
local store = require "stream_events.server.store"

local M = {}

local SERVICE_RESTART = 1012 -- tells clients to come back

-- Where clients on the same machine find a server that listens everywhere.
local REACHABLE = { ["0.0.0.0"] = "127.0.0.1", ["::"] = "::1" }

local function url_of(host, port)
  host = REACHABLE[host] or host
  if host:find(":", 1, true) then host = "[" .. host .. "]" end
  return ("http://%s:%d"):format(host, port)
end

-- What a start takes up stays, so looking for garbage meanwhile is lost time.
local function without_collecting(work, ...)
  local collects = collectgarbage "isrunning"
  collectgarbage "stop"
  local results = table.pack(pcall(work, ...))
  if collects then collectgarbage "restart" end
  return table.unpack(results, 1, results.n)
end

local function handlers(parts)
  return {
    request = function(number, request)
      local unwritten = parts.webhooks:unwritten()
      local status, body, headers, waits = parts.router:answer(number, request)
      return status, body, headers, waits or parts.webhooks:unwritten() > unwritten
    end,
    settle = function()
      local kept = parts.webhooks:settle()
      parts.repeats:settled(kept)
      return kept
    end,
    unsettled = function() return parts.router:internal() end,
    upgrade = function(number, request) sockets.upgrade(parts, number, request) end,
    closed = function(number, code) sockets.closed(parts, number, code) end,
    message = function(number)
      local active = parts.connections:heard(number)
      if active then parts.users:touch(active) end
    end,
    second = function()
      parts.loop:exempt(parts.options.trusted_proxies)
      parts.connections:tick(native.now())
      parts.webhooks:tick()
      parts.retention:tick()
      parts.watching:tick()
      if parts.dashboard then parts.dashboard.live:second() end
      parts.moderation:tick() -- the last: it raises when the database cannot be written
      if parts.webhooks:unwritten() > 0 then parts.webhooks:settle() end
    end,
    rest = function() return parts.rights:step() end,
    flushed = function() parts.webhooks:send() end,
    failed = function(what, err)
      parts.log("error", ("the server failed at a %s"):format(what), { error = tostring(err) })
    end,
  }
end

--- Lets this process have as many descriptors open as so many connections need, as far as the system
--- does: usually far fewer at first. It is the program's own decision; start() does not do it.
---@type fun(connections: integer): integer, integer the allowed and the needed number
M.room_for = listener.room_for

---@class stream_events.server.Server
---@field url string where clients on this machine reach it
---@field host string the address it listens on
---@field port integer
---@field api_key string
---@field api_secret string
---@field dashboard_url string? with the key behind "#", unless the key was given; nil: there is none
---@field private parts table
local Server = { __name = "stream_events.server" }
Server.__index = Server

-- The key goes behind the "#", which no browser sends to anybody.
local function dashboard_url(parts, base)
  if not parts.dashboard then return nil end
  local keys = parts.dashboard.keys
  return base .. "/dashboard" .. (keys.is_made_up and "#key=" .. keys.key or "")
end

--- Starts a server. It runs as long as the program's luv loop does, until stop().
---@param options stream_events.server.Options?
---@return stream_events.server.Server? server
---@return stream_events.Error? err the address is taken, the data cannot be opened or is damaged, or
---  (kind "rule") the rules cannot be used, see its `problems`
function M.start(options)
  options = option_table.check(options or {}, 2)
  local log = logs.new(options)
  local rules, loop, err
  if options.rules then
    rules, err = rules_module.new(options, log)
    if not rules then return nil, err end
  end
  loop, err = listener.open(option_table.for_listener(options))
  if not loop then return nil, err end
  local database
  database, err = store.open(options.data)
  if not database then
    loop.core:close_all()
    return nil, err
  end
  local ok, parts = without_collecting(parts_module.new, options, database, loop, rules, log)
  if not ok then
    loop.core:close_all()
    database:close()
    err = errors.is(parts) and parts or check.damage(options.data)
    if err then return nil, err end
    error(parts, 0)
  end
  local started
  started, err = parts.webhooks:start()
  if not started then
    loop.core:close_all()
    database:close()
    return nil, err
  end
  loop:exempt(options.trusted_proxies)
  loop:start(handlers(parts))
  if rules then rules:start() end
  local host, port = loop.core:address()
  return setmetatable({
    host = host, port = port, url = url_of(host, port),
    api_key = parts.app.api_key, api_secret = parts.app.api_secret,
    dashboard_url = dashboard_url(parts, url_of(host, port)),
    parts = parts, waiting = {},
  }, Server)
end

--- Stops: nothing more is accepted, what was accepted is answered, WebSockets are closed with 1012,
--- the database is closed. Takes a few turns of the loop, at most stop_timeout seconds; then whoever
--- still does not read is cut off. A second call waits with the first.
---@param callback fun()? called when all of it is done
function Server:stop(callback)
  if self.stopped then
    if callback then callback() end
    return
  end
  self.waiting[#self.waiting + 1] = callback
  if self.stopping then return end
  self.stopping = true
  local parts = self.parts
  parts.health.stopping = true
  local function finished()
    self.stopped = true
    local saved, problem = pcall(parts.retention.save, parts.retention)
    if not saved then
      parts.log("error", "the events that were kept are lost", { error = tostring(problem) })
    end
    parts.store:close()
    for _, waiting in ipairs(self.waiting) do waiting() end
  end
  local deadline = native.now() + parts.options.stop_timeout
  parts.loop:stop(SERVICE_RESTART, deadline, function()
    parts.webhooks:stop(deadline, function()
      if parts.rules then parts.rules:stop(finished) else finished() end
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

--- Takes other options while it runs, and reads the rule file again, if it has one. Either all of it
--- happens or, when the rules cannot be used, nothing. No connection is dropped. What cannot change
--- without a restart stays as it is and is named in the report, and in the log.
---@param options stream_events.server.Options as for start(): what is left out gets its default
---@param callback (fun(report: stream_events.server.LiveReport?, err: stream_events.Error?))?
function Server:reload(options, callback)
  callback = callback or function() end
  options = option_table.check(options, 2)
  local function change(ok, err)
    if ok then callback(live.apply(self.parts, options)) else callback(nil, err) end
  end
  if self.stopping or type(self.parts.options.rules) == "string" then
    self:reload_rules(change)
  else
    change(true)
  end
end

--- Writes a line to the server's log, for the program around it: counted, and without secrets, like the
--- server's own.
---@param level stream_events.server.LogLevel
---@param message string
---@param fields table?
function Server:log(level, message, fields)
  self.parts.log(level, message, fields)
end

---@class stream_events.server.Stats: stream_events.server.ListenerStats
---@field outcomes stream_events.server.OutcomeStats
---@field rules stream_events.RuleStats?
---@field webhooks stream_events.server.WebhookStats
---@field retention stream_events.server.RetentionStats
---@field [string] integer

--- Counters: those of the listener, and users' connections, watches, channels, events and deliveries;
--- in `outcomes` what became of the custom events that were sent; in `rules` what rules decided, where
--- there are some; in `webhooks` what became of their copies; in `retention` what is kept for those who
--- are away.
---@return stream_events.server.Stats
function Server:stats()
  local parts = self.parts
  local stats = self.stopped and {} or parts.listener:stats()
  stats.signed_in = parts.connections.count
  stats.watches = parts.watching.watches
  stats.channels = parts.channels.count
  stats.events = parts.events.sent
  stats.deliveries = parts.events.deliveries
  stats.outcomes = parts.outcomes:stats()
  stats.webhooks = parts.webhooks:stats()
  stats.retention = parts.retention:stats()
  stats.rules = parts.rules and parts.rules:stats() or nil
  return stats
end

return M
