--- The bot's log: a JSON object a line, on standard output, where supervisors look for it.
local cjson = require "cjson"
local uv = require "luv"

local M = {}

M.RANK = { debug = 1, info = 2, warning = 3, error = 4 }

--- What is less important is left out.
M.least = "info"

local function value(any)
  local kind = type(any)
  if kind == "boolean" or kind == "number" and any == any and math.abs(any) < math.huge then return any end
  return tostring(any)
end

--- Writes a line. Fits as the option `logger` of a client.
---@param level stream_events.LogLevel
---@param message string
---@param fields table<string, any>?
function M.write(level, message, fields)
  if M.RANK[level] < M.RANK[M.least] then return end
  local seconds, microseconds = uv.gettimeofday()
  local parts = { ('{"time":"%s.%03dZ","level":"%s","message":%s'):format(
    os.date("!%Y-%m-%dT%H:%M:%S", seconds), math.floor(microseconds / 1000), level, cjson.encode(message)) }
  local names = {}
  for name in pairs(fields or {}) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for _, name in ipairs(names) do
    parts[#parts + 1] = cjson.encode(name) .. ":" .. cjson.encode(value(fields[name]))
  end
  io.stdout:write(table.concat(parts, ","), "}\n")
  io.stdout:flush()
end

return M
