--- What a channel overrides of its type's configuration (protocol §7.4). Answers do not show it: it is
-- where the configuration of the channel differs from that of the type.
local native = require "stream_events.native"

local M = {}

-- What can be overridden, apart from the grants, which a channel's configuration shows only then.
local NAMES = {
  "blocklist", "blocklist_behavior", "chat_preferences", "commands", "count_messages",
  "max_message_length", "push_level", "quotes", "reactions", "replies", "shared_locations",
  "typing_events", "uploads", "url_enrichment", "user_message_reminders",
}

local function equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- Commands are shown as objects, and set by their names.
local function settable(name, value)
  if name ~= "commands" or type(value) ~= "table" then return value end
  local list = {}
  for i, command in ipairs(value) do
    list[i] = type(command) == "table" and command.name or command
  end
  return native.json.array(list)
end

--- The overrides, as they can be written back.
---@param config table of the channel
---@param type_config table of its type
---@return table overrides
function M.of(config, type_config)
  local found = {}
  for _, name in ipairs(NAMES) do
    if config[name] ~= nil and not equal(config[name], type_config[name]) then
      found[name] = settable(name, config[name])
    end
  end
  if type(config.grants) == "table" and next(config.grants) ~= nil then found.grants = config.grants end
  return found
end

return M
