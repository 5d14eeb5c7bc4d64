--- GET /rate_limits: what backends may ask about the limits of the app (protocol §12.2).
local failures = require "stream_events.server.failure"
local rates = require "stream_events.server.rates"

local MAX_NAMES = 200

local SWITCHES = { ["true"] = true, ["1"] = true, ["false"] = false, ["0"] = false, [""] = false }

-- The platforms that are asked for; nil: none in particular.
local function platforms_of(query)
  local chosen = {}
  for _, platform in ipairs(rates.PLATFORMS) do
    local value = query[platform]
    if value and SWITCHES[value] == nil then
      return failures.fail(4, ("%s must be true or false"):format(platform))
    elseif value and SWITCHES[value] then
      chosen[#chosen + 1] = platform
    end
  end
  return chosen
end

local function endpoints_of(text)
  if not text or text == "" then return nil end
  local names = {}
  for name in text:gmatch "[^,%s]+" do
    if #names == MAX_NAMES then
      return failures.fail(4, ("endpoints must hold at most %d names"):format(MAX_NAMES))
    end
    names[#names + 1] = name
  end
  return names
end

local function rate_limits(context)
  local platforms, failure = platforms_of(context.query)
  if not platforms then return nil, failure end
  local endpoints
  endpoints, failure = endpoints_of(context.query.endpoints)
  if failure then return nil, failure end
  return 200, context.server.rates:describe(platforms[1] and platforms, endpoints)
end

return {
  { "GET", "/rate_limits", endpoint = "GetRateLimits", access = "server", handler = rate_limits },
}
