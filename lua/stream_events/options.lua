--- The options of a client: names, types, defaults. An unknown name is an error that says which
-- one was probably meant.

local M = {}

M.HOSTED = "https://chat.stream-io-api.com" -- protocol §1.1
local HOSTED_HOSTS = "^https?://[%w.-]+%.stream%-io%-api%.com" -- its regions have hosts of their own

---@class stream_events.Timeouts seconds
---@field request number? an HTTP call, from the call to its answer; default 6
---@field queued number? a send with `queue` that waits to go out; default 30
---@field connect number? token, socket and first frame of one attempt; default 15
---@field close number? how long disconnect() waits for the server's goodbye; default 1
---@field health number? after a health check, until the next one is sent; default 25, or less where `silence`
---  is shorter: it is to be asked for in time
---@field silence number? without a byte from the server the connection counts as dead; default 35
---@field check number? how long the server may take to be heard after reconnect_now(), or when the machine
---  was asleep; default 3

---@class stream_events.Limits
---@field event_size integer? bytes of a custom event that is sent, default 5120
---@field frame_size integer? bytes of a received message, default 1 MiB
---@field answer_size integer? bytes of an HTTP answer, default 8 MiB
---@field in_flight integer? HTTP calls at a time, default 32; more wait in order
---@field waiting integer? calls that may wait, default 4096
---@field queued integer? sends that may wait while offline, default 256
---@field handlers integer? handlers that may be waiting for something, default 4096
---@field rule_instructions integer? of one call of a rule's function, default 1 000 000
---@field rule_seconds number? of one call of a rule's function, default 0.005
---@field rule_memory integer? bytes of all that a rule file makes, default 8 MiB
---@field rule_breaches integer? so many broken budgets, each within an hour of
---  the last, switch a rule off until reload; default 5
---@field quarantine integer? quarantined events that are kept, default 64 (and at most 1 MiB)

---@class stream_events.Options
---@field api_key string public key of the app
---@field base_url string? default: the hosted service
---@field secret string? backends only: signs tokens, allows user events
---@field developer_tokens boolean? connect without a real token; the app must have its checks off
---@field logger stream_events.Logger?
---@field trace boolean? the logger also gets, as "debug", each change of state, each call and the envelope of
---  each custom event, wanted or not: for debugging, since every event becomes a Lua value for it
---@field timeouts stream_events.Timeouts?
---@field limits stream_events.Limits?
---@field ca_file string? PEM bundle instead of the system's
---@field proxy string? URL of a proxy, as http://user:password@host:3128; also https, socks4, socks4a,
---  socks5 and, with names resolved by the proxy, socks5h; "": none. Default: what http_proxy, https_proxy
---  or all_proxy in the environment say. Hosts in no_proxy are reached without
---@field rules string|table|stream_events.RuleSet|nil what may come in and go out: the path of a rule
---  file, the rules themselves as a table, or a rule set of `stream_events.rules`; default: everything
---@field watch boolean? reload the rule file when it changes
---@field package transport any? stands in for the C transport in specs
---@field package router any? likewise
---@field package clock { now: fun(): number, time: fun(): number }? likewise
---@field package random (fun(): number)? likewise

local TYPES = {
  api_key = "string", base_url = "string", secret = "string", developer_tokens = "boolean",
  logger = "function", trace = "boolean", timeouts = "table", limits = "table", ca_file = "string",
  proxy = "string", transport = "any", router = "any", clock = "table", random = "function", rules = "any",
  watch = "boolean",
}

local TIMEOUTS = { request = 6, queued = 30, connect = 15, close = 1, health = 25, silence = 35, check = 3 }
local LIMITS = {
  event_size = 5120, frame_size = 1048576, answer_size = 8388608,
  in_flight = 32, waiting = 4096, queued = 256, handlers = 4096,
  rule_instructions = 1000000, rule_seconds = 0.005, rule_memory = 8388608, rule_breaches = 5,
  quarantine = 64,
}

-- More than this is no limit any more: the core counts bytes in 30 bits, and no wait is that long.
local LONGEST = 1000000 -- seconds
local MOST = {
  event_size = 1073741824, frame_size = 1073741824, answer_size = 1073741824,
  in_flight = 1024, waiting = 1048576, queued = 1048576, handlers = 1048576,
  rule_instructions = 1000000000, rule_memory = 1073741824, rule_breaches = 1000000,
  quarantine = 65536,
}

local function refuse_unknown(given, known, prefix, level)
  for name in pairs(given) do
    if known[name] == nil then
      local meant = require("stream_events.suggest").nearest(name, known)
      error(("unknown option '%s%s'%s"):format(prefix, tostring(name),
        meant and (": did you mean '%s%s'?"):format(prefix, meant) or ""), level + 1)
    end
  end
end

-- A table of numbers with defaults; `check(name, value)` gives what is wrong with one.
local function numbers(given, defaults, name, check, level)
  given = given or {}
  refuse_unknown(given, defaults, name .. ".", level + 1)
  local result = {}
  for key, default in pairs(defaults) do
    local value = given[key]
    if value == nil then value = default end
    local wrong = check(key, value)
    if wrong then error(("option '%s.%s' %s"):format(name, key, wrong), level + 1) end
    result[key] = value
  end
  return result
end

local function wrong_timeout(_, value)
  if type(value) ~= "number" or not (value > 0 and value <= LONGEST) then
    return ("must be a positive number of seconds, at most %d"):format(LONGEST)
  end
end

local IN_TIME = 5 / 7 -- of the silence that counts as dead, a health check is sent: 25 of 35

-- Whoever asks later than the connection counts as dead would end every quiet one.
local function check_health(given, timeouts, level)
  if (given or {}).health == nil then
    timeouts.health = math.min(timeouts.health, timeouts.silence * IN_TIME)
  elseif timeouts.health >= timeouts.silence then
    error(("option 'timeouts.health' must be shorter than 'timeouts.silence' (%g)"):format(timeouts.silence),
      level + 1)
  end
end

local function wrong_limit(name, value)
  if name == "rule_seconds" then return wrong_timeout(name, value) end
  local most = MOST[name]
  if type(value) ~= "number" or not (value >= 1 and value <= most) or value % 1 ~= 0 then
    return ("must be a whole number from 1 to %d"):format(most)
  end
end

local function check_types(given, level)
  for name, expected in pairs(TYPES) do
    local value = given[name]
    if value ~= nil and expected ~= "any" and type(value) ~= expected then
      error(("option '%s' must be a %s, not a %s"):format(name, expected, type(value)), level + 1)
    elseif expected == "string" and name ~= "secret" and value and value:find("%c") then
      error(("option '%s' must not hold control characters"):format(name), level + 1)
    end
  end
end

local function check_rules(given, level)
  local kind = type(given.rules)
  if kind ~= "nil" and kind ~= "string" and kind ~= "table" then
    error("option 'rules' must be a path, a table of rules or a rule set, not a " .. kind, level + 1)
  elseif given.rules == "" then
    error("option 'rules' must not be empty: it is the path of a rule file", level + 1)
  elseif given.watch and kind ~= "string" then
    error("option 'watch' needs the path of a rule file as option 'rules'", level + 1)
  end
end

local function base_url(text, level)
  text = text:gsub("/+$", "")
  local host, path = text:match("^https?://([^/]+)(.*)$")
  local port = host and tonumber(host:match(":(%d+)$") or 1)
  if not host or host:find("[%s?#@]") or path:find("[%s?#]") or port < 1 or port > 65535 then
    error("option 'base_url' must be like https://chat.example.com, "
      .. "http or https and without a query", level + 1)
  end
  return text
end

local PROXIES = {
  http = true, https = true, socks4 = true, socks4a = true, socks5 = true, socks5h = true,
}

-- What is wrong is not shown: it holds a password.
local function proxy(text, level)
  if text == nil or text == "" then return text end
  local scheme, rest = text:match("^([%w+.-]*)://(.*)$")
  scheme, rest = (scheme or "http"):lower(), (rest or text):gsub("/$", "")
  local credentials, place = rest:match("^(.*)@([^@]*)$")
  place = place or rest
  local port = place:match("^%[[%x:.]+[%w%%]*%](.*)$") or place:match("^[%w._%-]+(.*)$")
  local number = tonumber(port == "" and 1 or (port or ""):match("^:(%d+)$"))
  if not PROXIES[scheme] or not number or number < 1 or number > 65535
    or (credentials and credentials:find("[%s/?#]")) then
    error("option 'proxy' must be like http://host:3128, or begin with https, socks4, socks4a, socks5 or "
      .. "socks5h; a user and a password stand before the host, as user:password@, and what is no letter or "
      .. "digit in them is escaped (%40 for @)", level + 1)
  end
  return scheme .. "://" .. rest
end

--- Checks the options and fills in what was left out. Raises on the first that is wrong.
---@param given stream_events.Options
---@param level integer whom to blame, as for error()
---@return table
function M.check(given, level)
  if type(given) ~= "table" then error("a table of options expected", level + 1) end
  refuse_unknown(given, TYPES, "", level + 1)
  check_types(given, level + 1)
  check_rules(given, level + 1)
  if given.api_key == nil or not given.api_key:find("^[%w_%-.]+$") then
    error("option 'api_key' is needed: the public key of the app", level + 1)
  end
  if given.secret == "" then error("option 'secret' must not be empty", level + 1) end
  local result = {}
  for name, value in pairs(given) do result[name] = value end
  result.base_url = base_url(given.base_url or M.HOSTED, level + 1)
  result.hosted = result.base_url:find(HOSTED_HOSTS) ~= nil
  result.proxy = proxy(given.proxy, level + 1)
  result.timeouts = numbers(given.timeouts, TIMEOUTS, "timeouts", wrong_timeout, level + 1)
  check_health(given.timeouts, result.timeouts, level + 1)
  result.limits = numbers(given.limits, LIMITS, "limits", wrong_limit, level + 1)
  return result
end

return M
