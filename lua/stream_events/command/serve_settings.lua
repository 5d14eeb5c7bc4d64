--- What `stream-events serve` is to do: flags, then the environment, then a settings file, then the
--- defaults; and for each setting where its value is from.
local luv = require "luv"
local options = require "stream_events.command.serve_options"
local settings = require "stream_events.command.settings"
local settings_file = require "stream_events.command.settings_file"
local suggest = require "stream_events.suggest"

local M = {}

---@class stream_events.command.Origin
---@field from "flag"|"environment"|"file"|"default"
---@field where string? the flag, the variable, or file:line

---@class stream_events.command.ServeSettings
---@field values table<string, any> by name; absent: not set
---@field origins table<string, stream_events.command.Origin>
---@field file string? the settings file that was read
---@field warnings string[] about what is worth a thought, and no mistake

-- Where a value is taken from: each gives the value, and where it was found; or nil, nil, a message.

local function by_flag(args, option)
  local value = args[option.name]
  if value ~= nil then return value, { from = "flag", where = option.flag } end
end

local function by_environment(option, from_text)
  local text = os.getenv(option.variable)
  if not text or text == "" then return nil end
  local value, message = from_text(option, text)
  if message then return nil, nil, ("%s %s"):format(option.variable, message) end
  return value, { from = "environment", where = option.variable }
end

local function by_file(file, path, option, wrong)
  local setting = file[option.name]
  if not setting then return nil end
  -- Only a program of its own can give rules as a table.
  local message = option.kind == "rules" and type(setting.value) == "table" and "must be a path"
    or wrong(option, setting.value)
  if message then return nil, nil, ("%s:%d: %s %s"):format(path, setting.line, option.name, message) end
  return setting.value, { from = "file", where = ("%s:%d"):format(path, setting.line) }
end

-- The lowest line first, so that two runs complain about the same one.
local function unknown_setting(file, path, known)
  local found
  for name, setting in pairs(file) do
    if not known[name] and (not found or setting.line < found.line) then
      found = { name = name, line = setting.line }
    end
  end
  if not found then return nil end
  local meant = suggest.nearest(found.name, known)
  return ("%s:%d: there is no setting %s%s"):format(path, found.line, found.name,
    meant and (", did you mean %s?"):format(meant) or "")
end

-- Variables that look like settings and are none: most likely slips.
local function unknown_variables(list, warnings)
  local known = { CONFIG = options.CONFIG_VARIABLE } -- by what is behind the prefix: that makes any two alike
  for _, option in ipairs(list) do known[option.name:upper()] = option.variable end
  for name in pairs(luv.os_environ()) do
    local own = name:sub(#options.PREFIX + 1)
    if name:find(options.PREFIX, 1, true) == 1 and known[own] ~= name then
      local meant = known[own] or known[suggest.nearest(own, known)]
      if meant then
        warnings[#warnings + 1] = ("there is no variable %s, did you mean %s?"):format(name, meant)
      end
    end
  end
end

local function read_file(result, path, list)
  local known = {}
  for _, option in ipairs(list) do known[option.name] = option end
  local file, message, is_open = settings_file.read(path)
  if not file then return nil, message end
  message = unknown_setting(file, path, known)
  if message then return nil, message end
  for name in pairs(file) do
    if is_open and known[name].is_secret then
      result.warnings[#result.warnings + 1] =
        ("everybody on this machine can read %s, which holds %s: chmod o-r, or set %s instead"):format(
          path, name, known[name].variable)
    end
  end
  result.file = path
  return file
end

-- What depends on other settings. The secret that everybody knows is for this machine alone.
local function fill_in(result, for_data)
  local values, origins = result.values, result.origins
  local function default(name, value)
    if values[name] == nil then values[name], origins[name] = value, { from = "default" } end
  end
  default("data", require "stream_events.server.store".default_path())
  default("api_key", settings.API_KEY)
  default("watch", values.rules ~= nil)
  if values.api_secret or for_data then return true end
  local choose = "choose a secret, as api_secret in the settings file or in STREAM_API_SECRET"
  if not settings.is_loopback(values.host) then
    return nil, ("%s can be reached from other machines: %s"):format(values.host, choose)
  elseif values.trusted_proxies and #values.trusted_proxies > 0 then
    return nil, "a server behind a proxy can be reached from other machines: " .. choose
  elseif require("stream_events.server.origins").are_all(values.allowed_origins) then
    return nil, "a server that pages of all origins may call can be reached by every page: " .. choose
  end
  default("api_secret", settings.API_SECRET)
  return true
end

--- Gathers them.
---@param args table of argparse
---@param for_data boolean? only the data is looked at, and nothing served: that needs no secret
---@return stream_events.command.ServeSettings? result
---@return string? message what is wrong, and where
function M.gather(args, for_data)
  local list, table_of_options = options.list(), require "stream_events.server.options"
  local result, file = { values = {}, origins = {}, warnings = {} }, {}
  local path = args.config or os.getenv(options.CONFIG_VARIABLE)
  local message
  if path and path ~= "" then
    file, message = read_file(result, path, list)
    if not file then return nil, message end
  elseif args.config then
    return nil, "--config must not be empty"
  end
  unknown_variables(list, result.warnings)
  for _, option in ipairs(list) do
    -- Whatever is given has to be right, also where something else goes before it.
    local in_file, file_origin, file_message = by_file(file, path, option, table_of_options.wrong)
    local in_environment, variable, variable_message = by_environment(option, table_of_options.from_text)
    if file_message or variable_message then return nil, file_message or variable_message end
    local value, origin = by_flag(args, option)
    if not origin then value, origin = in_environment, variable end
    if not origin then value, origin = in_file, file_origin end
    if not origin then value, origin = option.default, { from = "default" } end
    result.values[option.name], result.origins[option.name] = value, origin
  end
  local ok
  ok, message = fill_in(result, for_data)
  if not ok then return nil, message end
  if result.values.watch and not result.values.rules then
    return nil, "watch needs the path of a rule file as rules"
  end
  return result
end

--- What the server is to be given.
---@param result stream_events.command.ServeSettings
---@param logger function
---@return stream_events.server.Options
function M.for_server(result, logger)
  local given = { logger = logger }
  for name, value in pairs(result.values) do
    if not options.is_own(name) then given[name] = value end
  end
  return given
end

return M
