--- How many calls are allowed: the numbers of the hosted service (protocol §12.2), and the settings that
-- change them.
local M = {}

-- All clients of one platform together, by endpoint and minute.
local HOSTED = {}
for most, names in pairs {
  [10000] = "Connect GetOrCreateChannel QueryChannels GetApp MarkRead SendEvent SendUserCustomEvent LongPoll",
  [1000] = "CreateGuest QueryUsers StopWatchingChannel SendMessage Sync",
  [300] = "Ban Unban UpdateChannel UpdateChannelPartial UpdateUsers UpdateUsersPartial QueryMembers",
  [60] = "ListChannelTypes CreateChannelType GetChannelType UpdateChannelType DeleteChannelType UpdateApp",
} do
  for name in names:gmatch "%S+" do HOSTED[name] = most end
end
local OTHERS = 300 -- of which the documentation says nothing

local SECONDS = 30 -- a second may have this part of what a minute may
local MOST = 1000000000

--- What a second may have of so many calls in a minute.
---@param most integer
---@return integer
function M.burst(most)
  return math.max(1, math.ceil(most / SECONDS))
end

-- "SendEvent=600, Connect=0" as a table; nil and the part that is none of that kind.
local function read(text)
  local numbers = {}
  for part in text:gmatch "[^,]+" do
    local name, number = part:match "^%s*(%a+)%s*=%s*(%d+)%s*$"
    number = number and #number <= 10 and math.tointeger(tonumber(number))
    if not number or number > MOST then return nil, part end
    numbers[name] = number
  end
  return numbers
end

--- What is wrong with a text like "SendEvent=600, Connect=0"; nil: nothing.
---@param text any
---@return string?
function M.wrong(text)
  if type(text) ~= "string" then return "must be a text, not a " .. type(text) end
  local numbers, part = read(text)
  if numbers then return nil end
  return ("must name endpoints with calls a minute, like SendEvent=600, Connect=30; %q is not that")
    :format(part:sub(1, 64))
end

---@class stream_events.server.RateSettings
---@field of_user integer
---@field user_texts string?
---@field app_texts string?
---@field failures integer
---@field users table<string, integer> by endpoint
---@field apps table<string, integer>

--- The settings as the options have them now; nil when they are still those.
---@param options stream_events.server.Options
---@param settings stream_events.server.RateSettings?
---@return stream_events.server.RateSettings?
function M.changed(options, settings)
  if settings and settings.of_user == options.rate_user and settings.failures == options.max_auth_failures
    and settings.user_texts == options.rate_user_endpoints
    and settings.app_texts == options.rate_app_endpoints then
    return nil
  end
  return {
    of_user = options.rate_user, failures = options.max_auth_failures,
    user_texts = options.rate_user_endpoints, app_texts = options.rate_app_endpoints,
    users = read(options.rate_user_endpoints or ""), apps = read(options.rate_app_endpoints or ""),
  }
end

--- The endpoints that the settings name.
---@param settings stream_events.server.RateSettings
---@return string[]
function M.names(settings)
  local names = {}
  for _, numbers in ipairs { settings.users, settings.apps } do
    for name in pairs(numbers) do names[#names + 1] = name end
  end
  return names
end

--- Calls a minute of one user at an endpoint; 0: any number.
---@param settings stream_events.server.RateSettings
---@param endpoint string
---@return integer
function M.of_user(settings, endpoint)
  return settings.users[endpoint] or settings.of_user
end

--- Calls a minute of all clients of a platform at an endpoint; 0: any number.
---@param settings stream_events.server.RateSettings
---@param endpoint string
---@return integer
function M.of_app(settings, endpoint)
  return settings.apps[endpoint] or HOSTED[endpoint] or OTHERS
end

return M
