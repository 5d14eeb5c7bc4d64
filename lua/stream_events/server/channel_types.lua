--- Channel types: their settings, the custom-events switch among them, and their grants (protocol §7).
-- In memory, written through; a change is in force with the next request.
local names = require "stream_events.names"
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local channel_settings = require "stream_events.server.channel_settings"
local failures = require "stream_events.server.failure"
local grants = require "stream_events.server.grants"
local input = require "stream_events.server.input"

local M = {}

local json = native.json

local MAX_TYPES = 50

local BUILT_IN = { "messaging", "livestream", "team", "gaming", "commerce" }

local READ_ONLY = { name = true, created_at = true, updated_at = true }

local function copy_of(source)
  local copy = {}
  for name, value in pairs(source) do copy[name] = value end
  return copy
end

---@class stream_events.server.ChannelType
---@field name string
---@field created_at string
---@field updated_at string
---@field settings table<string, any> what §7.2 lists, but for grants
---@field own_grants table<string, string[]> of the roles whose list was replaced
---@field grants table<string, string[]> of all roles; replaced when changed, never written to
---@field config table the settings as answers hold them; replaced when changed

---@class stream_events.server.ChannelTypes
---@field private store stream_events.server.Store
---@field private by_name table<string, stream_events.server.ChannelType>
---@field private grants_check stream_events.server.Grants
---@field private own_configs table<table, table> by a channel's overrides: { channel_type, config }
---@field private now fun(): string
local ChannelTypes = { __name = "stream_events.server.channel_types" }
ChannelTypes.__index = ChannelTypes

-- Settings in the shape of an answer.
local function as_config(channel_type, settings)
  local config = copy_of(settings)
  config.name = channel_type.name
  config.created_at = channel_type.created_at
  config.updated_at = channel_type.updated_at
  config.commands = channel_settings.command_objects(settings.commands)
  config.permissions = nil
  return config
end

-- Puts together what is derived: the effective grants and the config of answers.
local function complete(channel_type)
  channel_type.grants =
    grants.effective(grants.defaults(channel_type.name), channel_type.own_grants)
  channel_type.config = as_config(channel_type, channel_type.settings)
  return channel_type
end

-- Writes a type and only then makes it the one in force. It is a new object every time, so nothing
-- changes when the write fails.
local function save(self, channel_type)
  self.store:put("channel_type", channel_type.name, {
    name = channel_type.name, created_at = channel_type.created_at,
    updated_at = channel_type.updated_at, settings = channel_type.settings,
    grants = channel_type.own_grants,
  })
  self.by_name[channel_type.name] = complete(channel_type)
  return channel_type
end

--- Takes up what the store holds; a store without any type gets the built-in ones.
---@param store stream_events.server.Store
---@param options { now: (fun(): number)?, grants: stream_events.server.Grants }
---@return stream_events.server.ChannelTypes
function M.new(store, options)
  local clock = options.now or native.time
  local self = setmetatable({
    store = store,
    grants_check = options.grants,
    by_name = {},
    own_configs = setmetatable({}, { __mode = "k" }),
    now = function() return timestamp.format(clock()) end,
  }, ChannelTypes)
  for name, document in store:each("channel_type") do
    -- A setting that a newer version added gets its default.
    local settings = channel_settings.defaults(name)
    channel_settings.apply(settings, document.settings)
    self.by_name[name] = complete {
      name = name, created_at = document.created_at, updated_at = document.updated_at,
      settings = settings, own_grants = document.grants,
    }
  end
  if next(self.by_name) == nil then
    store:transaction(function()
      for _, name in ipairs(BUILT_IN) do
        local now = self.now()
        save(self, {
          name = name, created_at = now, updated_at = now, settings = channel_settings.defaults(name),
          own_grants = {},
        })
      end
    end)
  end
  return self
end

--- The same as they are now, whatever is changed later; only to be read.
---@return stream_events.server.ChannelTypes
function ChannelTypes:frozen()
  return setmetatable({
    by_name = copy_of(self.by_name), own_configs = setmetatable({}, { __mode = "k" }),
  }, ChannelTypes)
end

---@param name string
---@return stream_events.server.ChannelType?
function ChannelTypes:get(name)
  return self.by_name[name]
end

--- All types, in the order of their names.
---@return stream_events.server.ChannelType[]
function ChannelTypes:list()
  local list = {}
  for _, channel_type in pairs(self.by_name) do list[#list + 1] = channel_type end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

--- The grants in force: role to permissions. Not to be changed.
---@param name string
---@return table<string, string[]>? grants
function ChannelTypes:grants(name)
  local channel_type = self.by_name[name]
  return channel_type and channel_type.grants
end

--- The `config` of a channel in answers. Not to be changed.
---@param name string
---@param overrides table? the channel's config_overrides
---@return table? config nil when there is no such type
function ChannelTypes:config(name, overrides)
  local channel_type = self.by_name[name]
  if not channel_type then return nil end
  if not overrides or next(overrides) == nil then return channel_type.config end
  -- Asked for with every event, so it is kept as long as the type and the overrides stay the same.
  local own = self.own_configs[overrides]
  if own and own.channel_type == channel_type then return own.config end
  local settings = copy_of(channel_type.settings)
  for key, value in pairs(overrides) do settings[key] = value end
  own = { channel_type = channel_type, config = as_config(channel_type, settings) }
  self.own_configs[overrides] = own
  return own.config
end

--- A type as GET /channeltypes shows it: its config and its grants. The caller's to change.
---@param channel_type stream_events.server.ChannelType
---@return table
function ChannelTypes.describe(_, channel_type)
  local answer = copy_of(channel_type.config)
  answer.grants = channel_type.grants
  answer.permissions = json.array {}
  return answer
end

--- Checks the config_overrides of a channel.
---@param value any decoded
---@return table? overrides
---@return stream_events.server.Failure? failure
function ChannelTypes:check_overrides(value)
  if not input.is_object(value) then return failures.fail(4, "config_overrides must be an object") end
  local fields = copy_of(value)
  fields.grants = nil
  local overrides, failure = channel_settings.check_overrides(fields)
  if not overrides then return nil, failure end
  -- Absent and null are the same here: nothing is overridden.
  channel_settings.apply(overrides, copy_of(overrides))
  if value.grants ~= nil and value.grants ~= json.null then
    overrides.grants, failure = self.grants_check:check(value.grants, true)
    if not overrides.grants then return nil, failure end
  end
  return overrides
end

-- The type that comes of an old one and a request. The old one stays as it is.
local function changed(self, old, fields)
  local rest = copy_of(fields)
  local own_grants, grants_failure = self.grants_check:merge(old.own_grants, rest.grants)
  if not own_grants then return nil, grants_failure end
  rest.grants = nil
  local changes, failure = channel_settings.check(rest)
  if not changes then return nil, failure end
  local settings = copy_of(old.settings)
  channel_settings.apply(settings, changes)
  settings.permissions = nil
  return {
    name = old.name, created_at = old.created_at, updated_at = self.now(), settings = settings,
    own_grants = own_grants,
  }
end

--- Changes the given settings. grants replaces the list of each role it names, null resets all.
---@param name string
---@param fields table decoded
---@return stream_events.server.ChannelType? channel_type
---@return stream_events.server.Failure? failure
function ChannelTypes:update(name, fields)
  local old = self.by_name[name]
  if not old then return failures.fail(16, ("there is no channel type %q"):format(name)) end
  for field in pairs(READ_ONLY) do
    if fields[field] ~= nil then
      return failures.fail(4, ("%s of a channel type cannot be changed"):format(field))
    end
  end
  local new, failure = changed(self, old, fields)
  if not new then return nil, failure end
  return save(self, new)
end

--- Makes a type. What is not given has the defaults, the grants those of messaging.
---@param fields table decoded: name and settings
---@return stream_events.server.ChannelType? channel_type
---@return stream_events.server.Failure? failure
function ChannelTypes:create(fields)
  local name = fields.name
  if name == nil then return failures.fail(4, "name is a required field") end
  local ok, message = names.channel_type(name)
  if not ok then return failures.fail(4, "name: " .. message) end
  if self.by_name[name] then
    return failures.fail(4, ("there is a channel type %q already"):format(name))
  elseif #self:list() >= MAX_TYPES then
    return failures.fail(4, ("there are %d channel types, more are not allowed"):format(MAX_TYPES))
  end
  local rest = copy_of(fields)
  rest.name = nil
  local fresh = {
    name = name, created_at = self.now(), settings = channel_settings.defaults(name), own_grants = {},
  }
  local new, failure = changed(self, fresh, rest)
  if not new then return nil, failure end
  new.updated_at = new.created_at
  return save(self, new)
end

--- Removes a type that no channel has.
---@param name string
---@param in_use boolean whether there are channels of it
---@return true? ok
---@return stream_events.server.Failure? failure
function ChannelTypes:delete(name, in_use)
  if not self.by_name[name] then
    return failures.fail(16, ("there is no channel type %q"):format(name))
  elseif in_use then
    return failures.fail(4, ("there are channels of the type %q, delete them first"):format(name))
  end
  self.store:delete("channel_type", name)
  self.by_name[name] = nil
  return true
end

return M
