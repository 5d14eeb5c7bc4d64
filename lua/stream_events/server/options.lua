--- The options of a server: what each may be, and what it is when nobody says.
-- One table describes them all. start() checks what a program gives by it; the command makes its
-- flags, the names of variables and the keys of a settings file out of it.
local addresses = require "stream_events.server.addresses"
local origins = require "stream_events.server.origins"
local rate_settings = require "stream_events.server.rate_settings"
local suggest = require "stream_events.suggest"

local M = {}

---@class stream_events.server.Options
---@field host string? default "127.0.0.1"
---@field port integer? default 0: a free one
---@field data string? a file for the state, or ":memory:", the default: none
---@field api_key string? without it one is made up, and kept with the data
---@field api_secret string? likewise
---@field logger (fun(level: "debug"|"info"|"warn"|"error", message: string, fields: table))?
---@field log_level "debug"|"info"|"warn"|"error"|nil what is less important is not logged; default "info"
---@field access_log boolean? log every HTTP request
---@field metrics_key string? who shows it may read GET /metrics; without one, who is on this machine
---@field stop_timeout number? seconds that a stop may take, default 5
---@field rate_limits "off"|"hosted"|nil default "off"; "hosted": calls are limited (protocol §12.2)
---@field rate_user integer? calls a minute of each user at each endpoint, default 60; 0: any number
---@field rate_user_endpoints string? other numbers for some of them: "SendEvent=600, Connect=30"
---@field rate_app_endpoints string? likewise for all users of a platform together
---@field max_auth_failures integer? of an address in a minute, default 300; 0: any number
---@field max_event integer? bytes of a custom event, default 5120
---@field rules string|table|stream_events.RuleSet|nil what may be sent: the path of a rule file, the
---  rules themselves as a table, or a rule set of `stream_events.rules`; default: everything
---@field watch boolean? reload the rule file when it changes
---@field rule_instructions integer? of one call of a rule's function, default 1 000 000
---@field rule_seconds number? likewise, default 0.005
---@field rule_memory integer? bytes of all that a rule file makes, default 8 MiB
---@field rule_breaches integer? so many broken budgets switch a rule off until reload, default 5
---@field webhook_queue integer? deliveries that may wait for one hook, default 10 000; more are not taken
---@field webhook_in_flight integer? requests to one hook at a time, 1 to 60, default 32; with 1 events
---  arrive in their order, and each waits for the one before it
---@field webhook_total number? seconds for all attempts to deliver one event, default 15
---@field webhook_retry number? seconds before the second attempt, default 0.5; twice that before the third
---@field trusted_proxies string|string[]|nil addresses and networks, as a list or with commas between
---  them; default: none
---@field allowed_origins string|string[]|nil pages that may call the server from a browser: origins, or
---  "*" for all, as a list or with commas between them; default: those of the server itself
---@field event_id_seconds number? a send with the id of an earlier one is a repeated one for so long,
---  where ids count (custom_event_ids); default 300
---@field event_id_count integer? and up to so many sends are remembered, default 10 000
---@field retention_bytes integer? of all custom events that are kept for those who were away, where
---  channel types say so (custom_event_retention); default 64 MiB. One channel has at most a sixteenth
---@field dashboard boolean? offer the dashboard, default true
---@field dashboard_key string? what opens it, at least 12 bytes; without it one is made up at every start
---@field max_connections integer? and the other limits of stream_events.server.ListenOptions

---@class stream_events.server.OptionSpec
---@field name string
---@field kind "text"|"switch"|"whole"|"seconds"|"function"|"rules"|"addresses"|"origins"|"choice"|"rates"
---@field choices string[]? of a choice
---@field default any? nil: none, or made up by whoever needs it
---@field least integer? of whole ones, default 1; of texts bytes, default 1
---@field most number? of whole ones and seconds
---@field is_secret boolean? never shown
---@field is_sent boolean? clients send it in a header, which begins and ends with no blank
---@field is_live boolean? takes effect when the settings are read again, without a restart
---@field is_listener boolean? handed on to the listening socket, which takes changes, too
---@field group string? what it and those behind it belong to
---@field about string for people: a sentence

local DAY = 86400

--- In the order in which they are shown.
---@type stream_events.server.OptionSpec[]
M.LIST = {
  { name = "host", group = "Address, state and keys", kind = "text", default = "127.0.0.1",
    about = "Address to listen on." },
  { name = "port", kind = "whole", default = 0, least = 0, most = 65535,
    about = "Port to listen on; 0 picks a free one." },
  { name = "data", kind = "text", default = ":memory:",
    about = "File to keep the state in, or :memory:." },
  { name = "api_key", kind = "text", about = "API key that clients use." },
  { name = "api_secret", kind = "text", is_secret = true, about = "Secret of backends." },
  { name = "logger", kind = "function", about = "Told of what happens: level, message, fields." },

  { name = "log_level", group = "Operation", kind = "choice", default = "info",
    choices = { "debug", "info", "warn", "error" }, is_live = true,
    about = "What is less important is not logged." },
  { name = "access_log", kind = "switch", default = false, is_live = true,
    about = "Log every HTTP request." },
  { name = "metrics_key", kind = "text", is_secret = true, is_live = true, is_sent = true,
    about = "Who shows it may read /metrics; without one, who is on this machine." },
  { name = "stop_timeout", kind = "seconds", default = 5, most = DAY, is_live = true,
    about = "Seconds that a stop may take." },

  { name = "rules", group = "Rules", kind = "rules", about = "Rule file that every custom event must pass." },
  { name = "watch", kind = "switch", default = false, about = "Read the rule file again when it changes." },
  { name = "rule_instructions", kind = "whole", default = 1000000, most = 2 ^ 31,
    about = "Instructions of one call of a rule's function." },
  { name = "rule_seconds", kind = "seconds", default = 0.005, most = DAY,
    about = "Seconds of one call of a rule's function." },
  { name = "rule_memory", kind = "whole", default = 8 << 20, most = 2 ^ 31,
    about = "Bytes of all that a rule file makes." },
  { name = "rule_breaches", kind = "whole", default = 5, most = 2 ^ 31,
    about = "So many broken budgets switch a rule off until it is read again." },

  { name = "rate_limits", group = "Calls", kind = "choice", choices = { "off", "hosted" }, default = "off",
    is_live = true, about = "Limit calls by minute and second: off, or as the hosted service does." },
  { name = "rate_user", kind = "whole", default = 60, least = 0, most = 1000000000, is_live = true,
    about = "Calls a minute of a user at each endpoint, or of an address that says no user; 0: any number." },
  { name = "rate_user_endpoints", kind = "rates", is_live = true,
    about = "Other numbers for some endpoints, like SendEvent=600, Connect=30." },
  { name = "rate_app_endpoints", kind = "rates", is_live = true,
    about = "Calls a minute of all clients of a platform at some endpoints; the others are as hosted." },
  { name = "max_auth_failures", kind = "whole", default = 300, least = 0, most = 1000000000, is_live = true,
    about = "Failed authentications of an address that are answered in a minute; 0: any number." },

  { name = "max_event", group = "Events", kind = "whole", default = 5120, most = 2 ^ 30, is_live = true,
    about = "Bytes of a custom event." },

  { name = "event_id_seconds", kind = "seconds", default = 300, most = DAY, is_live = true,
    about = "Seconds for which a send with the id of an earlier one is taken for a repeated one." },
  { name = "event_id_count", kind = "whole", default = 10000, most = 1000000, is_live = true,
    about = "Sends with an id that are remembered." },
  { name = "retention_bytes", kind = "whole", default = 64 << 20, least = 65536, most = 2 ^ 36,
    is_live = true, about = "Bytes of custom events that are kept for those who were away." },

  { name = "webhook_queue", group = "Webhooks", kind = "whole", default = 10000, most = 2 ^ 31,
    is_live = true, about = "Deliveries that may wait for one hook; more are not taken." },
  { name = "webhook_in_flight", kind = "whole", default = 32, most = 60, is_live = true,
    about = "Requests to one hook at a time; with 1 events arrive in their order." },
  { name = "webhook_total", kind = "seconds", default = 15, most = 3600, is_live = true,
    about = "Seconds for all attempts to deliver one event." },
  { name = "webhook_retry", kind = "seconds", default = 0.5, most = 3600, is_live = true,
    about = "Seconds before the second attempt; twice that before the third." },

  { name = "dashboard", group = "Dashboard", kind = "switch", default = true,
    about = "Offer the dashboard." },
  { name = "dashboard_key", kind = "text", least = 12, is_secret = true, is_sent = true,
    about = "What opens the dashboard; without it a key is made up at every start." },

  { name = "trusted_proxies", group = "Connections", kind = "addresses", is_live = true,
    about = "Proxies whose X-Forwarded-For is believed: addresses and networks, with commas between them." },
  { name = "allowed_origins", kind = "origins", is_live = true,
    about = "Pages that may call from a browser: origins like https://game.example, or * for all." },
  { name = "max_connections", kind = "whole", default = 10000, most = 1000000,
    is_listener = true, about = "Connections at a time; more are answered 503." },
  { name = "max_connections_per_address", kind = "whole", default = 1000, least = 0, most = 1000000,
    is_listener = true,
    about = "Connections from one address that is not this machine or a trusted proxy; 0: any number." },
  { name = "max_message_rate", kind = "whole", default = 50, least = 0, most = 1000000, is_listener = true,
    about = "Messages and pings a second over one WebSocket; more closes it with 1008. 0: any number." },
  { name = "max_header", kind = "whole", default = 16384, least = 64, most = 65535, is_listener = true,
    about = "Bytes of a request line and its headers; more is 431." },
  { name = "max_body", kind = "whole", default = 1 << 20, most = 2 ^ 30, is_listener = true,
    about = "Bytes of a request's body; more is 413." },
  { name = "max_message", kind = "whole", default = 65536, most = 2 ^ 30, is_listener = true,
    about = "Bytes of an incoming WebSocket message." },
  { name = "max_output", kind = "whole", default = 1 << 20, least = 1024, most = 2 ^ 30, is_listener = true,
    about = "Bytes that may wait for a client that does not read; more closes it with 1013." },
  { name = "header_timeout", kind = "seconds", default = 10, most = DAY, is_listener = true,
    about = "Seconds for a complete head of a request." },
  { name = "body_timeout", kind = "seconds", default = 30, most = DAY, is_listener = true,
    about = "Seconds for a complete body." },
  { name = "keepalive_timeout", kind = "seconds", default = 65, most = DAY, is_listener = true,
    about = "Seconds an HTTP connection may be idle." },
  { name = "idle_timeout", kind = "seconds", default = 60, most = DAY, is_listener = true,
    about = "Seconds a WebSocket may be without inbound bytes; then it is closed with 1001." },
  { name = "slow_timeout", kind = "seconds", default = 10, most = DAY, is_listener = true,
    about = "Seconds that a client which did not read has to read that it is closed." },
}

--- The same by name.
---@type table<string, stream_events.server.OptionSpec>
M.BY_NAME = {}
do
  local group
  for _, spec in ipairs(M.LIST) do
    group = spec.group or group
    spec.group, M.BY_NAME[spec.name] = group, spec
  end
end

local TYPES = { text = "string", switch = "boolean", ["function"] = "function" }

local function wrong_number(spec, value)
  if type(value) ~= "number" then return "must be a number, not a " .. type(value) end
  if spec.kind == "seconds" then
    if value > 0 and value <= spec.most then return nil end
    return ("must be a number of seconds above 0, at most %d"):format(spec.most)
  end
  local least = spec.least or 1
  if math.type(value) == "integer" and value >= least and value <= spec.most then return nil end
  return ("must be a whole number from %d to %d"):format(least, spec.most)
end

local function wrong_rules(value)
  local kind = type(value)
  if kind == "string" or kind == "table" then return nil end
  return "must be a path, a table of rules or a rule set, not a " .. kind
end

-- A list out of a text with commas.
local function split(value)
  if type(value) ~= "string" then return value end
  local list = {}
  for part in value:gmatch "[^,]+" do list[#list + 1] = part:match "^%s*(.-)%s*$" end
  return list
end

local function wrong_addresses(value)
  value = split(value)
  if type(value) ~= "table" then return "must be a list of addresses, not a " .. type(value) end
  for _, address in ipairs(value) do
    local network, message = addresses.network(address)
    if not network then return "is wrong: " .. message end
  end
  return nil
end

local function wrong_origins(value)
  value = split(value)
  if type(value) ~= "table" then return "must be a list of origins, not a " .. type(value) end
  for _, origin in ipairs(value) do
    local wrong = origins.wrong(origin)
    if wrong then return wrong end
  end
  return nil
end

local function wrong_choice(spec, value)
  for _, choice in ipairs(spec.choices) do
    if value == choice then return nil end
  end
  return "must be one of " .. table.concat(spec.choices, ", ")
end

local WORDS = {
  ["true"] = true, yes = true, on = true, ["1"] = true,
  ["false"] = false, no = false, off = false, ["0"] = false,
}
-- As a number of each kind is written.
local NUMBERS = { whole = "^%d+$", seconds = "^%d*%.?%d+$" }

--- What is wrong with the value of an option; nil: nothing.
---@param spec stream_events.server.OptionSpec
---@param value any
---@return string?
function M.wrong(spec, value)
  if value == "" then return "must not be empty" end
  if spec.kind == "whole" or spec.kind == "seconds" then return wrong_number(spec, value) end
  if spec.kind == "rules" then return wrong_rules(value) end
  if spec.kind == "addresses" then return wrong_addresses(value) end
  if spec.kind == "origins" then return wrong_origins(value) end
  if spec.kind == "choice" then return wrong_choice(spec, value) end
  if spec.kind == "rates" then return rate_settings.wrong(value) end
  if type(value) ~= TYPES[spec.kind] then
    return ("must be a %s, not a %s"):format(TYPES[spec.kind], type(value))
  end
  if spec.kind ~= "text" then return nil end
  if value:find "%c" then return "must not hold control characters" end
  if spec.is_sent and (value:find "^ " or value:find " $") then
    return "must not begin or end with a blank"
  end
  if spec.least and #value < spec.least then return ("must have at least %d bytes"):format(spec.least) end
  return nil
end

--- The value of an option out of a text, as flags and the environment have it.
---@param spec stream_events.server.OptionSpec
---@param text string
---@return any value
---@return string? message what is wrong with it, when there is no value
function M.from_text(spec, text)
  if spec.kind == "function" then return nil, "cannot be a text" end
  local value = text
  if text == "" then
    return nil, M.wrong(spec, text)
  elseif spec.kind == "switch" then
    value = WORDS[text:lower()]
    if value == nil then return nil, ("must be true or false, not %q"):format(text) end
  elseif NUMBERS[spec.kind] then
    value = text:find(NUMBERS[spec.kind]) and tonumber(text)
    if not value then return nil, ("%s, not %q"):format(M.wrong(spec, -0.5), text) end
  end
  local wrong = M.wrong(spec, value)
  if wrong then return nil, wrong end
  return value
end

--- Checks what a program gave, and fills in what it left out. Raises on the first that is wrong.
---@param given table
---@param level integer whom to blame, as for error()
---@return table options
function M.check(given, level)
  local options = {}
  for name, value in pairs(given) do
    local spec = M.BY_NAME[name]
    if not spec then
      local meant = suggest.nearest(name, M.BY_NAME)
      error(("there is no option %q%s"):format(tostring(name),
        meant and (", did you mean %q?"):format(meant) or ""), level + 1)
    end
    local wrong = M.wrong(spec, value)
    if wrong then error(("option %q %s"):format(name, wrong), level + 1) end
    if spec.kind == "addresses" or spec.kind == "origins" then value = split(value) end
    options[name] = value
  end
  if options.watch and type(options.rules) ~= "string" then
    error("option \"watch\" needs the path of a rule file as option \"rules\"", level + 1)
  end
  for _, spec in ipairs(M.LIST) do
    if options[spec.name] == nil then options[spec.name] = spec.default end
  end
  return options
end

--- Whether an option may change while the server runs.
---@param spec stream_events.server.OptionSpec
---@return boolean
function M.is_live(spec)
  return spec.is_live or spec.is_listener or false
end

--- Those that belong to the listening socket.
---@param options table as of check()
---@return stream_events.server.ListenOptions
function M.for_listener(options)
  local result = { host = options.host, port = options.port }
  for _, spec in ipairs(M.LIST) do
    if spec.is_listener then result[spec.name] = options[spec.name] end
  end
  return result
end

return M
