--- What a running server is made of: its models, who tells whom, and the routes. The handlers find it
-- as context.server.
local app = require "stream_events.server.app"
local auth = require "stream_events.server.auth"
local bans = require "stream_events.server.bans"
local channel_types = require "stream_events.server.channel_types"
local channels = require "stream_events.server.channels"
local connections = require "stream_events.server.connections"
local custom_permissions = require "stream_events.server.custom_permissions"
local dashboard = require "stream_events.server.dashboard"
local events = require "stream_events.server.events"
local grants = require "stream_events.server.grants"
local health = require "stream_events.server.health"
local http = require "stream_events.server.http"
local moderation = require "stream_events.server.moderation"
local native = require "stream_events.native"
local origins = require "stream_events.server.origins"
local outcomes = require "stream_events.server.outcomes"
local page = require "stream_events.server.dashboard.page"
local permissions = require "stream_events.server.permissions"
local presence = require "stream_events.server.presence"
local proxies = require "stream_events.server.proxies"
local rates = require "stream_events.server.rates"
local requests = require "stream_events.server.requests"
local repeats = require "stream_events.server.repeats"
local retention = require "stream_events.server.retention"
local rights_changes = require "stream_events.server.rights_changes"
local roles = require "stream_events.server.roles"
local users = require "stream_events.server.users"
local views = require "stream_events.server.views"
local watching = require "stream_events.server.watching"
local webhooks = require "stream_events.server.webhooks"

local M = {}

local ROUTES = {
  require "stream_events.server.routes.hi",
  require "stream_events.server.routes.connect".routes,
  require "stream_events.server.routes.channels",
  require "stream_events.server.routes.channel_update",
  require "stream_events.server.routes.events",
  require "stream_events.server.routes.sync",
  require "stream_events.server.routes.users",
  require "stream_events.server.routes.accounts",
  require "stream_events.server.routes.channel_types",
  require "stream_events.server.routes.roles",
  require "stream_events.server.routes.moderation",
  require "stream_events.server.routes.app",
  require "stream_events.server.routes.operation",
  require "stream_events.server.routes.rate_limits",
}

local MAX_NOTED_TYPES = 256

---@class stream_events.server.Parts
local Parts = {}
Parts.__index = Parts

--- Dots are the mark of built-in types; a custom type with one may collide with a later built-in.
function Parts:note_dotted_type(event_type)
  if self.dotted[event_type] or self.dotted_count >= MAX_NOTED_TYPES then return end
  self.dotted[event_type] = true
  self.dotted_count = self.dotted_count + 1
  self.log("warn", "a custom event type holds a '.', the mark of built-in types", { type = event_type })
end

local function add_dashboard(self)
  local routes, err = page.routes()
  if not routes then error(err, 0) end
  self.dashboard = dashboard.new(self)
  self.log:hide(self.dashboard.keys.key)
  self.router:add(routes)
  for _, list in ipairs(require "stream_events.server.routes.dashboard".routes) do self.router:add(list) end
end

--- Puts a server together on what was opened for it. Raises an error object when the data is damaged.
---@param options stream_events.server.Options with their defaults
---@param database stream_events.server.Store
---@param loop stream_events.server.Loop
---@param rules stream_events.server.Rules?
---@param log stream_events.server.Log
---@return stream_events.server.Parts
function M.new(options, database, loop, rules, log)
  local self = setmetatable({ dotted = {}, dotted_count = 0 }, Parts)
  self.log = log
  self.rules = rules
  self.options = options
  self.started_at = native.time()
  self.proxies = proxies.new(options)
  self.origins = origins.new(options)
  self.requests = requests.new(self)
  self.loop, self.listener = loop, loop.core
  self.alarm = function(call) return loop:alarm(call) end
  self.store = database
  self.health = health.new(self)
  self.roles = roles.new(database)
  self.custom_permissions = custom_permissions.new(database)
  self.grants = grants.new(self.roles, self.custom_permissions)
  self.app = app.new(database,
    { api_key = options.api_key, api_secret = options.api_secret, grants = self.grants })
  log:hide(self.app.api_secret)
  self.users = users.new(database, { roles = self.roles })
  self.channel_types = channel_types.new(database, { grants = self.grants })
  self.permissions = permissions.new(self.channel_types, self.app, self.custom_permissions)
  self.auth = auth.new(self.app, self.users, database)
  self.channels = channels.new(database)
  self.retention = retention.new(self)
  self.repeats = repeats.new(self)
  self.connections = connections.new(self.listener)
  self.bans = bans.new(database, self.users)
  self.views = views.new(self)
  self.events = events.new(self)
  self.watching = watching.new(self)
  self.presence = presence.new(self)
  self.rights = rights_changes.new(self)
  self.moderation = moderation.new(self)
  self.webhooks = webhooks.new(self, options)
  self.outcomes = outcomes.new(self)
  self.router = http.new(self)
  for _, routes in ipairs(ROUTES) do self.router:add(routes) end
  if options.dashboard then add_dashboard(self) end
  self.rates = rates.new(options, self.router.endpoints, log)
  self.rates:look_again()
  return self
end

return M
