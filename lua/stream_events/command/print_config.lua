--- `stream-events serve --print-config`: the settings in force and where each is from; secrets are not
--- shown. As text it is a settings file.
local format = require "stream_events.command.format"
local output = require "stream_events.command.output"
local options = require "stream_events.command.serve_options"

local M = {}

-- A value as a settings file has it.
local function literal(value)
  if type(value) == "table" then
    local parts = {}
    for i, item in ipairs(value) do parts[i] = literal(item) end
    return "{ " .. table.concat(parts, ", ") .. " }"
  elseif type(value) == "string" then
    return '"' .. value:gsub('[%c"\\\128-\255]', function(c) return ("\\%03d"):format(c:byte()) end) .. '"'
  end
  return tostring(value)
end

local function shown_origin(origin)
  return origin.where and format.plain(origin.where) or origin.from
end

local function line(option, value, origin)
  if value == nil then return ("-- %s is not set"):format(option.name) end
  if option.is_secret then
    return ("-- %s is set, and not shown (%s)"):format(option.name, shown_origin(origin))
  end
  return ("%s = %s -- %s"):format(option.name, literal(value), shown_origin(origin))
end

local function text(settings)
  local group
  for _, option in ipairs(options.list()) do
    if option.group ~= group then
      output.line((group and "\n" or "") .. "-- " .. option.group)
      group = option.group
    end
    output.line(line(option, settings.values[option.name], settings.origins[option.name]))
  end
end

local function as_json(settings)
  local result = {}
  for _, option in ipairs(options.list()) do
    local value, origin = settings.values[option.name], settings.origins[option.name]
    local entry = { from = origin.from, where = origin.where, set = value ~= nil }
    if option.is_secret then entry.hidden = true else entry.value = value end
    result[option.name] = entry
  end
  output.line(format.encoded(result))
end

--- Prints them.
---@param settings stream_events.command.ServeSettings
---@param args { json: boolean? }
---@return integer exit code
function M.run(settings, args)
  if args.json then as_json(settings) else text(settings) end
  return output.OK
end

return M
