--- The settings of `stream-events serve` and where each may come from: made out of the server's table of
--- options, and those of the command itself.
local bundled = require "stream_events.command.bundled"

local M = {}

-- Those that the server itself does not know.
local OWN = {
  { name = "log_format", kind = "choice", choices = { "text", "json" }, default = "text", is_live = true,
    group = "Operation",
    about = "How the log is written to standard error: for people, or a JSON object a line." },
}

-- Where a server that people start by hand differs from one inside a program.
local DEFAULTS = { port = 3030 }
local DEFAULT_WORDS = {
  data = "in your state folder", api_key = "devkey", watch = "when there are rules",
  api_secret = "lan-dev-secret, on a loopback address alone",
}

-- Two that every subcommand knows.
local VARIABLES = { api_key = "STREAM_API_KEY", api_secret = "STREAM_API_SECRET" }

M.PREFIX = "STREAM_EVENTS_"
M.CONFIG_VARIABLE = M.PREFIX .. "CONFIG"

local SECRET = " Others can see it in the list of processes: prefer the environment."

---@class stream_events.command.ServeOption: stream_events.server.OptionSpec
---@field flag string
---@field variable string of the environment

local function made(spec)
  local option = {}
  for name, value in pairs(spec) do option[name] = value end
  if DEFAULTS[spec.name] ~= nil then option.default = DEFAULTS[spec.name] end
  if DEFAULT_WORDS[spec.name] then option.default = nil end
  option.flag = "--" .. spec.name:gsub("_", "-")
  option.variable = VARIABLES[spec.name] or M.PREFIX .. spec.name:upper()
  return option
end

local list

--- All of them, as they are shown. nil: the server is not installed.
---@return stream_events.command.ServeOption[]?
function M.list()
  if list then return list end
  local options = bundled.load "stream_events.server.options"
  if not options then return nil end
  list = {}
  for _, spec in ipairs(options.LIST) do
    if spec.kind ~= "function" then list[#list + 1] = made(spec) end
    if spec.name == "log_level" then
      for _, own in ipairs(OWN) do list[#list + 1] = made(own) end
    end
  end
  return list
end

--- Whether it is the command's, and nothing to be given to the server.
---@param name string
---@return boolean
function M.is_own(name)
  for _, own in ipairs(OWN) do
    if own.name == name then return true end
  end
  return false
end

-- Flags ---------------------------------------------------------------------------------------------

local WORDS = {
  whole = "<number>", seconds = "<seconds>", rules = "<file>", addresses = "<list>", text = "<text>",
  rates = "<list>", origins = "<list>",
}

local function shown_default(option)
  local words = DEFAULT_WORDS[option.name]
  if words then return words end
  if option.default == nil or option.kind == "switch" then return nil end
  return tostring(option.default)
end

local function about(option)
  local default = shown_default(option)
  return option.about .. (option.is_secret and SECRET or "")
    .. (default and (" Default: %s."):format(default) or "")
end

-- A value that is wrong ends the command here, with the words of the table.
local function converter(option)
  local from_text = require "stream_events.server.options".from_text
  return function(text)
    local value, message = from_text(option, text)
    if message then return nil, ("%s %s"):format(option.flag, message) end
    return value
  end
end

local function add_flag(command, option)
  if option.kind == "switch" then
    local flag = command:flag(option.flag, about(option)):target(option.name):action "store_true"
    command:flag("--no" .. option.flag:sub(2)):target(option.name):action "store_false":hidden(true)
    return flag
  end
  local flag = command:option(option.flag, about(option)):target(option.name):convert(converter(option))
  return flag:argname(option.kind == "choice" and "{" .. table.concat(option.choices, ",") .. "}"
    or WORDS[option.kind])
end

--- Adds a flag for each to a subcommand, in groups. Without the server there are none: the command then
--- takes any words, and says what is missing when it is run.
---@param command table of argparse
function M.add_flags(command)
  local options = M.list()
  if not options then
    command:handle_options(false)
    command:argument("words"):args "*":hidden(true)
    return
  end
  local groups, names = {}, {}
  for _, option in ipairs(options) do
    if not groups[option.group] then
      groups[option.group] = {}
      names[#names + 1] = option.group
    end
    table.insert(groups[option.group], add_flag(command, option))
  end
  for _, name in ipairs(names) do command:group(name, table.unpack(groups[name])) end
end

return M
