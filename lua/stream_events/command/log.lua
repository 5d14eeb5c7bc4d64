--- Writes a server's log to standard error: one line an entry, as text for people or as a JSON object.
-- What comes from the network is in it, so no byte steers a terminal or makes one entry look like two.
local format = require "stream_events.command.format"
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"

local M = {}

local json = native.json

local RANK = { debug = 1, info = 2, warn = 3, error = 4 }
local LONGEST = 8192 -- bytes of one value
local RESERVED = { time = true, level = true, message = true }

local function now()
  local time = native.time()
  return timestamp.format(time // 1):sub(1, -2) .. (".%03dZ"):format((time % 1) * 1000 // 1)
end

local function sorted_names(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names
end

local function short(text)
  return #text <= LONGEST and text or text:sub(1, LONGEST) .. "..."
end

local function text_value(value)
  -- What is no escape of ours must not look like one.
  local shown = format.plain((short(tostring(value)):gsub("\\", "\\\\")))
  if shown:find "^[%w_./:@%%+*-]+$" then return shown end
  return '"' .. shown:gsub('"', '\\"') .. '"'
end

-- "2026-01-01T00:00:00.000Z error   message key=value other="a text"".
local function text_line(level, message, fields)
  local parts = { ("%s %-5s %s"):format(now(), level, format.plain(short(message))) }
  for _, name in ipairs(sorted_names(fields)) do
    parts[#parts + 1] = name .. "=" .. text_value(fields[name])
  end
  return table.concat(parts, " ")
end

local function json_value(value)
  local kind = math.type(value) or type(value)
  if kind == "integer" or kind == "boolean" or (kind == "float" and value - value == 0) then
    return json.encode(value)
  end
  local text = short(tostring(value))
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  return json.encode(text)
end

local function json_line(level, message, fields)
  local parts = {
    '"time":' .. json_value(now()), '"level":' .. json_value(level), '"message":' .. json_value(message),
  }
  for _, name in ipairs(sorted_names(fields)) do
    local key = RESERVED[name] and name .. "_" or name
    parts[#parts + 1] = json.encode(key) .. ":" .. json_value(fields[name])
  end
  return format.one_line("{" .. table.concat(parts, ",") .. "}")
end

--- One entry.
---@param how "text"|"json"
---@param level string
---@param message string
---@param fields table<string, any>?
---@return string line without its end
function M.line(how, level, message, fields)
  return (how == "json" and json_line or text_line)(level, message, fields or {})
end

---@class stream_events.command.Log
---@field format "text"|"json" may change
---@field level string likewise: what is less important is not written
---@field configure fun(settings: { log_format: string, log_level: string })
---@field write fun(level: string, message: string, fields: table<string, any>?)

--- A log to standard error.
---@param settings { log_format: "text"|"json", log_level: string }
---@return stream_events.command.Log
function M.new(settings)
  local self = {}
  function self.configure(values)
    self.format, self.level = values.log_format, values.log_level
  end
  function self.write(level, message, fields)
    if RANK[level] < RANK[self.level] then return end
    io.stderr:write(M.line(self.format, level, message, fields) .. "\n")
  end
  self.configure(settings)
  return self
end

return M
