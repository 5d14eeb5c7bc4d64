--- The app's settings about webhooks (protocol §10.1): which of them can be used, and what they mean.
-- The current form is a list of hooks, replaced as a whole; the older one is a single URL.
local names = require "stream_events.names"
local native = require "stream_events.native"
local clock = require "stream_events.server.clock"
local input = require "stream_events.server.input"

local M = {}

local json = native.json

local MAX_HOOKS = 16
local MAX_TYPES = 500
local MAX_URL = 2048
local MAX_ID = 255
local LONGEST = 15000 -- milliseconds: all attempts together get no more
local DEFAULT_TIMEOUT = 6000

--- What stands for the older setting among the ids of hooks.
M.OLDER = "webhook_url"

--- The built-in events of which hooks get copies. What happens all the time, typing and watching, is
--- none of them.
M.TYPES = {
  "channel.deleted", "channel.updated", "member.added", "member.removed", "member.updated",
  "user.banned", "user.deactivated", "user.deleted", "user.reactivated", "user.unbanned",
}

-- Each gives what is kept, or nil and what is wrong.
local function fixed(...)
  local allowed = { ... }
  return function(value)
    for _, each in ipairs(allowed) do
      if value == each then return value end
    end
    local texts = {}
    for i, each in ipairs(allowed) do texts[i] = json.encode(each) end
    return nil, ("can only be %s on this server"):format(table.concat(texts, " or "))
  end
end

local function switch(value)
  if type(value) == "boolean" then return value end
  return nil, "must be true or false"
end

local function identifier(value)
  if type(value) == "string" and #value > 0 and #value <= MAX_ID and not value:find("%c")
    and value ~= M.OLDER then
    return value
  end
  return nil, ("must be a text of 1 to %d bytes, and not %q"):format(MAX_ID, M.OLDER)
end

local function milliseconds(value)
  local whole = type(value) == "number" and math.tointeger(value)
  if whole and whole >= 1 and whole <= LONGEST then return whole end
  return nil, ("must be a whole number from 1 to %d"):format(LONGEST)
end

local function is_port(text)
  local number = text:find "^%d+$" and #text <= 5 and tonumber(text)
  return number and number >= 1 and number <= 65535
end

-- A name or password in a URL would be shown wherever the URL is.
local function url(value)
  if type(value) ~= "string" or #value > MAX_URL or value:find("[%s%c]") then
    return nil, ("must be a URL of at most %d bytes"):format(MAX_URL)
  end
  local host = value:match("^[hH][tT][tT][pP][sS]?://([^/?#]+)")
  if not host then return nil, "must begin with http:// or https:// and a host" end
  if host:find("@", 1, true) then return nil, "must not hold a user name or a password" end
  local port = host:match "^[^%[%]:]*:(.*)$" or host:match "%]:(.*)$"
  if port and not is_port(port) then return nil, "must have a port from 1 to 65535, or none" end
  return value
end

--- The list `event_types` of a hook, and `webhook_events`.
---@param value any decoded
---@return string[]? list
---@return string? wrong
function M.check_types(value)
  if not input.is_list(value) or #value > MAX_TYPES then
    return nil, ("must be a list of at most %d event types"):format(MAX_TYPES)
  end
  for _, event_type in ipairs(value) do
    local ok, message = names.event_type(event_type)
    if not ok then return nil, "holds what is no event type: " .. message end
  end
  return value
end

--- `webhook_url`: a URL, or an empty text to switch it off.
---@param value any decoded
---@return string? url
---@return string? wrong
function M.check_url(value)
  if value == "" then return value end
  return url(value)
end

local FIELDS = {
  id = identifier, hook_type = fixed "webhook", enabled = switch, event_types = M.check_types,
  webhook_url = url, timeout_ms = milliseconds, product = fixed("chat", "all"),
  should_send_custom_events = switch,
  -- Only the server says these; what somebody read here may be sent back as it is.
  created_at = function() return false end, updated_at = function() return false end,
}

-- Fields of the hosted service that mean something only when they are set.
local NOT_OFFERED = { callback = true, failover_config = true }

local function is_unset(value)
  return value == json.null or (type(value) == "table" and next(value) == nil)
end

local function check_hook(given, now)
  if not input.is_object(given) then return nil, "must be an object" end
  local hook = {
    hook_type = "webhook", enabled = true, event_types = json.array {}, timeout_ms = DEFAULT_TIMEOUT,
    product = "all", should_send_custom_events = false, created_at = now, updated_at = now,
  }
  for name, value in pairs(given) do
    local check = FIELDS[name]
    if not check then
      if NOT_OFFERED[name] and not is_unset(value) then
        return nil, ("%s is not offered by this server"):format(name)
      end
    elseif value ~= json.null then
      local kept, wrong = check(value)
      if kept == nil then return nil, ("%s %s"):format(name, wrong) end
      if kept ~= false or type(value) == "boolean" then hook[name] = kept end
    end
  end
  if not hook.webhook_url then return nil, "webhook_url is missing" end
  hook.id = hook.id or native.crypto.uuid()
  return hook
end

local function same(a, b)
  return json.encode(a) == json.encode(b)
end

-- A hook that was there before keeps its dates, the second one as long as nothing else changes.
local function keep_dates(hook, old)
  if not old then return end
  hook.created_at = old.created_at
  for name, value in pairs(hook) do
    if name ~= "updated_at" and not same(value, old[name]) then return end
  end
  hook.updated_at = old.updated_at
end

--- `event_hooks`: the whole list.
---@param value any decoded
---@param before table? the list so far
---@return table? hooks
---@return string? wrong
function M.check_hooks(value, before)
  if not input.is_list(value) or #value > MAX_HOOKS then
    return nil, ("must be a list of at most %d hooks"):format(MAX_HOOKS)
  end
  local by_id, seen, hooks = {}, {}, json.array {}
  for _, hook in ipairs(before or {}) do by_id[hook.id] = hook end
  local now = clock.stamp()
  for i, given in ipairs(value) do
    local hook, wrong = check_hook(given, now)
    if not hook then return nil, ("[%d] %s"):format(i - 1, wrong) end
    if seen[hook.id] then return nil, ("has two hooks with the id %q"):format(hook.id) end
    seen[hook.id] = true
    keep_dates(hook, by_id[hook.id])
    hooks[i] = hook
  end
  return hooks
end

---@class stream_events.server.HookTarget
---@field id string
---@field url string
---@field timeout number seconds of an attempt
---@field wants fun(event_type: string, is_custom: boolean): boolean

local function set_of(list)
  local set = {}
  for _, each in ipairs(list) do set[each] = true end
  return next(set) and set or nil
end

local function target(id, address, timeout, wants)
  return { id = id, url = address, timeout = timeout / 1000, wants = wants }
end

--- What is to be delivered where, out of the settings. The older form has no switch for custom events:
--- it gets those whose type it names.
---@param app stream_events.server.App
---@return stream_events.server.HookTarget[]
function M.targets(app)
  local targets = {}
  for _, hook in ipairs(app:get "event_hooks") do
    if hook.enabled then
      local types, custom = set_of(hook.event_types), hook.should_send_custom_events
      targets[#targets + 1] = target(hook.id, hook.webhook_url, hook.timeout_ms,
        function(event_type, is_custom)
          return (custom or not is_custom) and (not types or types[event_type] == true)
        end)
    end
  end
  local older = app:get "webhook_url"
  if older ~= "" then
    local types = set_of(app:get "webhook_events")
    targets[#targets + 1] = target(M.OLDER, older, DEFAULT_TIMEOUT, function(event_type, is_custom)
      if types then return types[event_type] == true end
      return not is_custom
    end)
  end
  return targets
end

return M
