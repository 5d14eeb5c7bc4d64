--- Channel types: their settings, the custom-events switch among them, and their grants (protocol §7).
-- In memory, written through; a change is in force with the next request.
local names = require "stream_events.names"
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local failures = require "stream_events.server.failure"
local grants = require "stream_events.server.grants"
local input = require "stream_events.server.input"

local M = {}

local json = native.json

local MAX_TYPES = 50
local MAX_TEXT = 255

local BUILT_IN = { "messaging", "livestream", "team", "gaming", "commerce" }

local SWITCHES = {
  "custom_events", "typing_events", "read_events", "connect_events", "delivery_events", "reactions",
  "replies", "quotes", "search", "mutes", "uploads", "url_enrichment", "push_notifications", "polls",
  "shared_locations", "count_messages", "user_message_reminders", "mark_messages_pending",
  "skip_last_msg_update_for_system_msgs", "reminders",
}
local OFF_BY_DEFAULT = {
  polls = true, shared_locations = true, count_messages = true, user_message_reminders = true,
  mark_messages_pending = true, skip_last_msg_update_for_system_msgs = true, reminders = true,
}

-- The slash commands the service has; a name of a set stands for all in it.
local COMMANDS = {
  { name = "giphy", description = "Post a random gif to the channel", args = "[text]", set = "fun_set" },
  { name = "flag", description = "Flag a user", args = "[@username]", set = "moderation_set" },
  { name = "ban", description = "Ban a user", args = "[@username] [text]", set = "moderation_set" },
  { name = "unban", description = "Unban a user", args = "[@username]", set = "moderation_set" },
  { name = "mute", description = "Mute a user", args = "[@username]", set = "moderation_set" },
  { name = "unmute", description = "Unmute a user", args = "[@username]", set = "moderation_set" },
}

local is_list, is_object = input.is_list, input.is_object

local function is_text(value)
  return type(value) == "string" and #value <= MAX_TEXT
end

-- Each checker gives the value to keep, or nil and what the value must be.
local function boolean(value)
  if type(value) == "boolean" then return value end
  return nil, "must be true or false"
end

local function one_of(...)
  local allowed = { ... }
  return function(value)
    for _, candidate in ipairs(allowed) do
      if value == candidate then return value end
    end
    return nil, 'must be "' .. table.concat(allowed, '" or "') .. '"'
  end
end

local function integer(least, most)
  return function(value)
    local whole = type(value) == "number" and math.tointeger(value)
    if whole and whole >= least and whole <= most then return whole end
    return nil, ("must be a whole number from %d to %d"):format(least, most)
  end
end

local function text(value)
  if is_text(value) then return value end
  return nil, ("must be a text of at most %d bytes"):format(MAX_TEXT)
end

local function retention(value)
  if value == "infinite" or (is_text(value) and value:find("^%d+$")) then return value end
  return nil, 'must be "infinite" or a number of hours, as a text'
end

local function texts(value)
  local copy = json.array {}
  for i, item in ipairs(is_list(value) and value or { false }) do
    if not is_text(item) then
      return nil, ("must be a list of texts of at most %d bytes"):format(MAX_TEXT)
    end
    copy[i] = item
  end
  return copy
end

local function object(value)
  if not is_object(value) then return nil, "must be an object" end
  local ok, failure = input.check_data(value, "the object")
  if not ok then return nil, ("cannot be kept: %s"):format(failure.message) end
  return value
end

-- How long, and how many of a channel, custom events are kept for those who were away; null: not at all.
local RETENTION = { seconds = integer(1, 30 * 86400), count = integer(1, 10000) }

local function custom_event_retention(value)
  if not is_object(value) then return nil, "must be null, or an object with seconds and count" end
  local kept = {}
  for name in pairs(value) do
    if not RETENTION[name] then return nil, ("has no field %q, only seconds and count"):format(name) end
  end
  for name, check in pairs(RETENTION) do
    local number, wrong = check(value[name])
    if not number then return nil, ("needs %s, which %s"):format(name, wrong) end
    kept[name] = number
  end
  return kept
end

local blocklist_behavior = one_of("flag", "block", "shadow_block")

local function blocklists(value)
  local wrong = "must be a list of objects with blocklist and behavior"
  if not is_list(value) then return nil, wrong end
  local copy = json.array {}
  for i, item in ipairs(value) do
    if not (is_object(item) and is_text(item.blocklist) and blocklist_behavior(item.behavior)) then
      return nil, wrong
    end
    copy[i] = { blocklist = item.blocklist, behavior = item.behavior }
  end
  return copy
end

-- Names of commands and of sets; kept as the names of commands, in the order of the table above.
local function commands(value)
  if not is_list(value) then return nil, "must be a list of names" end
  local wanted = {}
  for _, name in ipairs(value) do
    local known = false
    for _, command in ipairs(COMMANDS) do
      if name == command.name or name == command.set or name == "all" then
        wanted[command.name], known = true, true
      end
    end
    if not known then
      return nil, ("names the unknown command %s"):format(type(name) == "string" and ("%q"):format(name)
        or type(name))
    end
  end
  local list = json.array {}
  for _, command in ipairs(COMMANDS) do
    if wanted[command.name] then list[#list + 1] = command.name end
  end
  return list
end

local function no_policies(value)
  if is_list(value) and value[1] == nil then return value end
  return nil, "must be empty: legacy policies are not offered, use grants"
end

local CHECKS = {
  max_message_length = integer(1, 20000),
  message_retention = retention,
  automod = one_of("disabled", "simple", "AI"),
  automod_behavior = one_of("flag", "block", "shadow_block"),
  blocklist = text,
  blocklists = blocklists,
  blocklist_behavior = blocklist_behavior,
  commands = commands,
  permissions = no_policies,
  push_level = text,
  partition_size = integer(1, 1000000),
  partition_ttl = text,
  chat_preferences = object,
  allowed_flag_reasons = texts,
  custom_event_retention = custom_event_retention,
  custom_event_ids = boolean,
}
for _, name in ipairs(SWITCHES) do CHECKS[name] = boolean end

-- null takes these away.
local NULLABLE = {
  blocklist = true, blocklists = true, push_level = true, partition_size = true, partition_ttl = true,
  chat_preferences = true, allowed_flag_reasons = true, permissions = true,
  custom_event_retention = true, custom_event_ids = true,
}

-- What one channel may have otherwise than its type (§7.4); custom_events is not among it.
local OVERRIDABLE = {
  blocklist = true, blocklist_behavior = true, chat_preferences = true, commands = true,
  count_messages = true, max_message_length = true, push_level = true, quotes = true,
  reactions = true, replies = true, shared_locations = true, typing_events = true, uploads = true,
  url_enrichment = true, user_message_reminders = true,
}

local READ_ONLY = { name = true, created_at = true, updated_at = true }

local function default_settings(name)
  local settings = {
    max_message_length = 5000, message_retention = "infinite", automod = "disabled",
    automod_behavior = "flag", blocklist_behavior = "flag", commands = commands(json.array { "all" }),
  }
  for _, switch in ipairs(SWITCHES) do settings[switch] = not OFF_BY_DEFAULT[switch] end
  if name == "livestream" then
    settings.typing_events, settings.read_events, settings.url_enrichment = false, false, false
  end
  return settings
end

-- Checks settings as they come in a request. Gives those to set (null: json.null).
local function check_settings(fields, allowed, what)
  local settings = {}
  for name, value in pairs(fields) do
    local check = allowed[name] and CHECKS[name]
    if not check then
      return failures.fail(4, ("%s has no field %q that could be set"):format(what, name))
    end
    if value == json.null and NULLABLE[name] then
      settings[name] = json.null
    else
      local kept, wrong = check(value)
      if kept == nil then return failures.fail(4, ("%s %s"):format(name, wrong)) end
      settings[name] = kept
    end
  end
  return settings
end

local function apply(settings, changes)
  for name, value in pairs(changes) do
    if value == json.null then value = nil end
    settings[name] = value
  end
end

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

local function command_objects(list)
  local objects = json.array {}
  for _, command in ipairs(COMMANDS) do
    for _, name in ipairs(list) do
      if name == command.name then objects[#objects + 1] = command end
    end
  end
  return objects
end

-- Settings in the shape of an answer.
local function as_config(channel_type, settings)
  local config = copy_of(settings)
  config.name = channel_type.name
  config.created_at = channel_type.created_at
  config.updated_at = channel_type.updated_at
  config.commands = command_objects(settings.commands)
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
    local settings = default_settings(name)
    apply(settings, document.settings)
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
          name = name, created_at = now, updated_at = now, settings = default_settings(name),
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
  if not is_object(value) then return failures.fail(4, "config_overrides must be an object") end
  local fields = copy_of(value)
  fields.grants = nil
  local overrides, failure = check_settings(fields, OVERRIDABLE, "config_overrides")
  if not overrides then return nil, failure end
  -- Absent and null are the same here: nothing is overridden.
  apply(overrides, copy_of(overrides))
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
  local changes, failure = check_settings(rest, CHECKS, "a channel type")
  if not changes then return nil, failure end
  local settings = copy_of(old.settings)
  apply(settings, changes)
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
    name = name, created_at = self.now(), settings = default_settings(name), own_grants = {},
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
