--- `stream-events admin rate-limits`: how many calls are allowed, and how many are left.
local convert = require "stream_events.command.convert"
local words = require "stream_events.command.admin.words"

local NONE = "there are no such limits; the bundled server has them after "
  .. "`stream-events serve --rate-limits hosted`"
local PLATFORMS = { "server_side", "android", "ios", "web", "unity" }

---@type stream_events.command.AdminCommand
return {
  name = "rate-limits", about = "Show the rate limits, and what is left of them.",
  json = "an object: platform, endpoint, then limit, remaining and reset",
  examples = {
    "rate-limits", "rate-limits --endpoints SendEvent,Connect --platform web",
    "rate-limits --json | jq .server_side.SendEvent",
  },
  arguments = function(command)
    command:option("--endpoints", "Only these: a,b. May be repeated."):convert(convert.list):count "*"
      :argname "<names>"
    command:option("--platform", "Only this platform. May be repeated."):count "*":choices(PLATFORMS)
      :argname "<platform>"
  end,
  check = function(args)
    for _, some in ipairs(args.endpoints) do
      local wrong = words.wrong_in(some, function(name) return words.wrong_name(name, "an endpoint") end)
      if wrong then return wrong end
    end
  end,
  run = function(client, args)
    local options = { endpoints = {} }
    for _, some in ipairs(args.endpoints) do
      for _, name in ipairs(some) do options.endpoints[#options.endpoints + 1] = name end
    end
    for _, name in ipairs(args.platform) do options[name] = true end
    return client:rate_limits(options)
  end,
  show = function(page, limits)
    local rows = {}
    for _, platform in ipairs(words.keys(limits)) do
      local endpoints = limits[platform]
      for _, name in ipairs(type(endpoints) == "table" and words.keys(endpoints) or {}) do
        local each = type(endpoints[name]) == "table" and endpoints[name] or {}
        rows[#rows + 1] = {
          platform, name, each.limit, each.remaining,
          math.type(each.reset) == "integer" and os.date("!%Y-%m-%dT%H:%M:%SZ", each.reset) or nil,
        }
      end
    end
    page:table({ "platform", "endpoint", "limit", "left", "full again" }, rows, NONE)
  end,
}
