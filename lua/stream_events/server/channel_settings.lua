--- The settings of a channel type (protocol §7.2): what each may be, what it is when nobody says, and
-- which of them one channel may have otherwise (§7.4).
local native = require "stream_events.native"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"

local M = {}

local json = native.json

local MAX_TEXT = 255

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

--- What a type starts with.
---@param name string the type's
---@return table<string, any> settings the caller's
function M.defaults(name)
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

local function check_one(name, value)
  if value == json.null and NULLABLE[name] then return json.null end
  local kept, wrong = CHECKS[name](value)
  if kept == nil then return failures.fail(4, ("%s %s"):format(name, wrong)) end
  return kept
end

-- What a type has and nobody can set (§7.1).
local NOT_SETTABLE = { name = true, created_at = true, updated_at = true }

-- Those to set (null: json.null). Fields that no type has are nobody's business here (protocol §15).
local function check_all(fields, allowed, what)
  local settings = {}
  for name, value in pairs(fields) do
    if CHECKS[name] or NOT_SETTABLE[name] then
      if not allowed[name] then return failures.fail(4, ("%s cannot be set in %s"):format(name, what)) end
      local kept, failure = check_one(name, value)
      if failure then return nil, failure end
      settings[name] = kept
    end
  end
  return settings
end

--- Checks settings of a type as they come in a request.
---@param fields table decoded
---@return table<string, any>? changes json.null for what is taken away
---@return stream_events.server.Failure? failure
function M.check(fields)
  return check_all(fields, CHECKS, "a channel type")
end

--- Checks those that one channel is to have otherwise than its type.
---@param fields table decoded
---@return table<string, any>? changes
---@return stream_events.server.Failure? failure
function M.check_overrides(fields)
  return check_all(fields, OVERRIDABLE, "config_overrides")
end

--- Changes settings.
---@param settings table<string, any> are changed
---@param changes table<string, any> as of check()
function M.apply(settings, changes)
  for name, value in pairs(changes) do
    if value == json.null then value = nil end
    settings[name] = value
  end
end

--- Commands as answers show them.
---@param list string[] their names
---@return table[]
function M.command_objects(list)
  local objects = json.array {}
  for _, command in ipairs(COMMANDS) do
    for _, name in ipairs(list) do
      if name == command.name then objects[#objects + 1] = command end
    end
  end
  return objects
end

return M
