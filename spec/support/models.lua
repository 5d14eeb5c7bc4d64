--- The server's models with a clock of their own and no sockets: requests go straight to the router.
local app = require "stream_events.server.app"
local auth = require "stream_events.server.auth"
local bans = require "stream_events.server.bans"
local channel_types = require "stream_events.server.channel_types"
local custom_permissions = require "stream_events.server.custom_permissions"
local grants = require "stream_events.server.grants"
local http = require "stream_events.server.http"
local logs = require "stream_events.server.log"
local native = require "stream_events.native"
local option_table = require "stream_events.server.options"
local permissions = require "stream_events.server.permissions"
local proxies = require "stream_events.server.proxies"
local rates = require "stream_events.server.rates"
local requests = require "stream_events.server.requests"
local rights_changes = require "stream_events.server.rights_changes"
local roles = require "stream_events.server.roles"
local store = require "stream_events.server.store"
local token = require "stream_events.token"
local users = require "stream_events.server.users"
local views = require "stream_events.server.views"
local webhooks = require "stream_events.server.webhooks"

local M = {}

M.KEY, M.SECRET = "devkey", "lan-dev-secret"

---@class support.Models
---@field clock number seconds since 1970; specs set it
local Models = {}
Models.__index = Models

--- Starts them on a database, an own one in memory unless given.
---@param database stream_events.server.Store?
---@return support.Models
function M.new(database)
  local self = setmetatable({ clock = 1767225600, logged = {} }, Models)
  local options = { now = function() return self.clock end }
  self.store = database or assert(store.open ":memory:")
  self.roles = roles.new(self.store, options)
  self.custom_permissions = custom_permissions.new(self.store, options)
  self.grants = grants.new(self.roles, self.custom_permissions)
  options.grants, options.roles = self.grants, self.roles
  self.app = app.new(self.store, { api_key = M.KEY, api_secret = M.SECRET, grants = self.grants })
  self.users = users.new(self.store, options)
  self.channel_types = channel_types.new(self.store, options)
  self.permissions = permissions.new(self.channel_types, self.app, self.custom_permissions)
  self.auth = auth.new(self.app, self.users, self.store, options)
  self.used_types = {}
  self.options = option_table.check({
    logger = function(_, message, fields) self.logged[#self.logged + 1] = { message, fields } end,
  }, 1)
  self.log = logs.new(self.options)
  self.channels = {
    uses_type = function(_, name) return self.used_types[name] or false end,
    awake = function() return function() return nil end end,
  }
  self.connections = { by_number = {}, of = function() return {} end }
  self.bans = bans.new(self.store, self.users, options)
  self.views = views.new(self)
  self.rights = rights_changes.new(self)
  self.proxies = proxies.new(self.options)
  self.retention = { follow = function() end }
  self.presence = { updated = function() end }
  self.webhooks = webhooks.new(self, self.options)
  self.requests = requests.new(self)
  self.router = http.new(self)
  self.rates = rates.new(self.options, self.router.endpoints, self.log)
  for _, name in ipairs { "users", "channel_types", "app" } do
    self.router:add(require("stream_events.server.routes." .. name))
  end
  return self
end

--- A second set of models on the same database: what a restart finds.
---@return support.Models
function Models:restart()
  return M.new(self.store)
end

--- Sends a request. `as` is "server", a user's id, or nil for anonymous.
---@param as string?
---@param method string
---@param target string path and perhaps a query
---@param body table|string|nil a string goes as it is
---@return integer status
---@return table answer decoded
function Models:request(as, method, target, body)
  local headers = { ["stream-auth-type"] = as and "jwt" or "anonymous" }
  if as then
    headers.authorization = as == "server" and token.server(M.SECRET) or token.user(M.SECRET, as)
  end
  local path, query = target:match "^([^?]*)%??(.*)$"
  if type(body) == "table" then body = assert(native.json.encode(body)) end
  local status, text = self.router:answer(1, {
    method = method, path = path, headers = headers, body = body or "", peer = "127.0.0.1",
    query = "api_key=" .. M.KEY .. (query ~= "" and "&" .. query or ""),
  })
  assert(not self.logged[1], self.logged[1] and self.logged[1][2].error)
  return status, assert(native.json.decode(text))
end

--- Decodes a JSON text: lists and null as requests have them.
---@param text string
---@return any
function M.json(text)
  return assert(native.json.decode(text))
end

return M
