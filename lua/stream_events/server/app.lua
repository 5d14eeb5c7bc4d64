--- The app: its key and secret, and the settings of GET and PATCH /app (protocol §9.3).
-- One server is one app. A setting is in force with the next request.
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local failures = require "stream_events.server.failure"
local grants = require "stream_events.server.grants"
local hook_settings = require "stream_events.server.hook_settings"

local M = {}

local json = native.json

local SETTINGS, CREDENTIALS = "settings", "credentials" -- keys in the store
local MAX_NAME = 255

local function boolean(value)
  if type(value) == "boolean" then return value end
  return nil, "must be true or false"
end

local function name(value)
  if type(value) == "string" and #value <= MAX_NAME then return value end
  return nil, ("must be a text of at most %d bytes"):format(MAX_NAME)
end

local function date(value)
  if timestamp.parse(value) then return value end
  return nil, "must be a date as in RFC 3339, or null"
end

local function only(expected)
  return function(value)
    if value == expected then return value end
    return nil, ("can only be %s on this server"):format(json.encode(expected))
  end
end

-- What can be set; everything else that answers show is as it is. Each gives what is kept, or nil and
-- what is wrong; some of it depends on what was there before.
local CHECKS = {
  name = name,
  organization = name,
  disable_auth_checks = boolean,
  disable_permissions_checks = boolean,
  guest_user_creation_disabled = boolean,
  revoke_tokens_issued_before = date,
  permission_version = only "v2",
  multi_tenant_enabled = only(false),
  enforce_unique_usernames = only "no",
  suspended = only(false), -- whoever wants that is not to believe that it was done
  event_hooks = hook_settings.check_hooks,
  webhook_url = hook_settings.check_url,
  webhook_events = hook_settings.check_types,
  enable_hook_payload_compression = boolean,
  custom_event_ids = boolean,
}

local DEFAULTS = {
  name = "stream-events",
  organization = "",
  disable_auth_checks = false,
  disable_permissions_checks = false,
  guest_user_creation_disabled = false,
  permission_version = "v2",
  multi_tenant_enabled = false,
  enforce_unique_usernames = "no",
  event_hooks = json.array {},
  webhook_url = "",
  webhook_events = json.array {},
  enable_hook_payload_compression = false,
  custom_event_ids = false,
}

---@class stream_events.server.App
---@field api_key string
---@field api_secret string
---@field private store stream_events.server.Store
---@field private settings table<string, any>
---@field private own_grants table<string, string[]> of the roles whose list was replaced
---@field private all_grants table<string, string[]>
---@field private grants_check stream_events.server.Grants
local App = { __name = "stream_events.server.app" }
App.__index = App

local function adopt(self, settings, own_grants)
  self.settings = setmetatable(settings, { __index = DEFAULTS })
  self.own_grants = own_grants
  self.all_grants = grants.effective(grants.defaults(grants.APP), own_grants)
end

-- Tokens must stay valid over a restart, so what is made up here is kept. Options go before it.
local function adopt_credentials(self, stored, options)
  local credentials = stored or {
    api_key = native.crypto.hex(native.crypto.random(6)),
    api_secret = native.crypto.hex(native.crypto.random(32)),
  }
  self.api_key = options.api_key or credentials.api_key
  self.api_secret = options.api_secret or credentials.api_secret
  if not stored and not (options.api_key and options.api_secret) then
    self.store:put("app", CREDENTIALS, credentials)
  end
end

---@param store stream_events.server.Store
---@param options { api_key: string?, api_secret: string?, grants: stream_events.server.Grants } an absent
---  key or secret is made up once and kept
---@return stream_events.server.App
function M.new(store, options)
  local self = setmetatable({ store = store, grants_check = options.grants }, App)
  local stored = {}
  for key, document in store:each("app") do stored[key] = document end
  local settings = stored[SETTINGS] or { settings = {}, grants = {} }
  adopt(self, settings.settings, settings.grants)
  adopt_credentials(self, stored[CREDENTIALS], options)
  return self
end

--- The same as it is now, whatever is changed later; only to be read.
---@return stream_events.server.App
function App:frozen()
  return setmetatable({ settings = self.settings, all_grants = self.all_grants }, App)
end

--- The value of a setting.
---@param setting string
---@return any
function App:get(setting)
  return self.settings[setting]
end

--- The grants of the scope ".app": role to permissions. Not to be changed.
---@return table<string, string[]>
function App:grants()
  return self.all_grants
end

local function set(settings, setting, value)
  local check = CHECKS[setting]
  if not check then
    return true -- none of this server's: to be ignored (protocol §15)
  elseif setting == "revoke_tokens_issued_before" and value == json.null then
    settings[setting] = nil
    return true
  end
  local kept, wrong = check(value, settings[setting])
  if kept == nil then return failures.fail(4, ("%s %s"):format(setting, wrong)) end
  settings[setting] = kept
  return true
end

--- Changes the given settings, all or none of them.
---@param fields table decoded
---@return true? ok
---@return stream_events.server.Failure? failure
function App:update(fields)
  local own_grants, wrong = self.grants_check:merge(self.own_grants, fields.grants)
  if not own_grants then return nil, wrong end
  local settings = {}
  for setting, value in pairs(self.settings) do settings[setting] = value end
  for setting, value in pairs(fields) do
    if setting ~= "grants" then
      local ok, failure = set(settings, setting, value)
      if not ok then return nil, failure end
    end
  end
  self.store:put("app", SETTINGS, { settings = settings, grants = own_grants })
  adopt(self, settings, own_grants)
  return true
end

local function upload_config()
  local function none() return json.array {} end
  return {
    allowed_file_extensions = none(), blocked_file_extensions = none(),
    allowed_mime_types = none(), blocked_mime_types = none(), size_limit = 0,
  }
end

--- What GET /app shows to everybody.
---@return table
function App:public()
  return {
    id = 1, name = self.settings.name, placement = "local",
    async_url_enrich_enabled = false, auto_translation_enabled = false,
    file_upload_config = upload_config(), image_upload_config = upload_config(),
  }
end

--- What GET /app shows to a backend.
---@param channel_types stream_events.server.ChannelTypes
---@return table
function App:describe(channel_types)
  local answer = self:public()
  for setting, default in pairs(DEFAULTS) do answer[setting] = default end
  for setting, value in pairs(self.settings) do answer[setting] = value end
  answer.revoke_tokens_issued_before = self.settings.revoke_tokens_issued_before or json.null
  answer.channel_configs = {}
  for _, channel_type in ipairs(channel_types:list()) do
    answer.channel_configs[channel_type.name] = channel_types:describe(channel_type)
  end
  answer.grants = self.all_grants
  answer.policies = {}
  answer.use_hook_v2 = #answer.event_hooks > 0
  answer.suspended = false
  answer.suspended_explanation = ""
  return answer
end

return M
