--- Where the client's log lines go: to a function of the user's, which may fail without harm.
-- The library itself never prints. Without a logger, warnings and errors go to Lua's own warning
-- system, which is silent until the program says warn("@on").
local errors = require "stream_events.error"

local M = {}

---@alias stream_events.LogLevel "debug"|"info"|"warning"|"error"
---@alias stream_events.Logger fun(level: stream_events.LogLevel, message: string, fields: table)

local RANK = { debug = 1, info = 2, warning = 3, error = 4 }

local function by_warn(level, message, fields)
  local emit = rawget(_G, "warn") -- absent before Lua 5.4
  if not emit or RANK[level] < RANK.warning then return end
  emit("stream-events: " .. message .. (fields.error and ": " .. tostring(fields.error) or ""))
end

-- Values of fields are for people: texts lose what looks like a token.
local function shown(fields)
  local result = {}
  for name, value in pairs(fields or {}) do
    result[name] = type(value) == "string" and errors.redact(value) or value
  end
  return result
end

--- Wraps a logger so that nothing secret reaches it and nothing it raises gets out.
---@param logger stream_events.Logger?
---@return stream_events.Logger
function M.safe(logger)
  logger = logger or by_warn
  return function(level, message, fields)
    pcall(logger, level, errors.redact(message), shown(fields))
  end
end

local function line(level, message, fields)
  local names, parts = {}, { level .. ": " .. message }
  for name in pairs(fields) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = name .. "=" .. tostring(fields[name]) end
  return (table.concat(parts, " "):gsub("[%c]+", " ")) .. "\n"
end

--- A logger that writes one line each to a file, standard error by default.
---@param least stream_events.LogLevel? what is less important is left out; default "info"
---@param file file*? default io.stderr
---@return stream_events.Logger
function M.to_file(least, file)
  least = least or "info"
  if not RANK[least] then error(("no log level: %s"):format(tostring(least)), 2) end
  file = file or io.stderr
  return function(level, message, fields)
    if RANK[level] >= RANK[least] then file:write("stream-events: ", line(level, message, fields)) end
  end
end

return M
