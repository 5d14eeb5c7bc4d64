--- Rules as a Lua table: the constructors for it, and how it becomes the statements of a file.
local marks = require "stream_events.rules.marks"
local source = require "stream_events.rules.source"
local values = require "stream_events.rules.values"
local words = require "stream_events.rules.words"

local M = {}

--- Where the program called: its file and line.
---@param level integer as for error()
---@return string file
---@return integer line
function M.where(level)
  local info
  repeat -- past pcall and others of C, which stand in no file
    level = level + 1
    info = debug.getinfo(level, "Sl")
  until not info or info.currentline >= 0
  if not info then return "rules", 0 end
  local file = info.source:sub(1, 1) == "@" and info.source:sub(2) or info.short_src
  return file, info.currentline
end

-- `rules.string` is a field as it is, and one with bounds when it is called.
function marks.fields.__call(self, options)
  if self.line then error(self.kind .. " { ... } is called once", 2) end
  if options == nil then error(self.kind .. " is called with a table", 2) end
  local file, line = M.where(2)
  return setmetatable({ kind = self.kind, options = options, file = file, line = line }, marks.fields)
end

--- The constructors, by name.
---@return table<string, stream_events.rules.Constructed>
function M.constructors()
  local result = {}
  for kind in pairs(words.FIELDS) do result[kind] = setmetatable({ kind = kind }, marks.fields) end
  result.none_of = setmetatable({ kind = "none_of" }, marks.fields)
  return result
end

-- ------------------------------------------------------------------------------- statements

local KEYS = { default = true, mode = true, events = true, refuse = true, honeypot = true }
local MEANT = { event = "events", rules = "events", honeypots = "honeypot", refused = "refuse" }

local function sorted_keys(given)
  local keys = {}
  for key in next, given do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) < type(b) end
    if type(a) == "number" or type(a) == "string" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

-- Numbers are the places in a list of names; other keys are names.
local function each_name(given, add)
  if not marks.is_table(given) then return add(given) end
  for _, key in ipairs(sorted_keys(given)) do
    if type(key) == "number" then add(given[key]) else add(key, given[key]) end
  end
end

--- The statements that say the same as a table.
---@param given { default: string?, mode: string?, events: table?, refuse: any, honeypot: any }
---@param file string of the program
---@param line integer
---@param report stream_events.rules.Report
---@return stream_events.core.RuleStatement[]
function M.statements(given, file, line, report)
  local list = {}
  local function add(kind, name, value)
    list[#list + 1] = { kind = kind, name = name, value = value, file = file, line = line }
  end
  report:statement({ kind = "rules", file = file, line = line }):refuse_unknown(given, KEYS, MEANT)
  if given.default ~= nil then add("default", given.default) end
  if given.mode ~= nil then add("mode", given.mode) end
  if given.events ~= nil and not marks.is_table(given.events) then
    report:statement({ kind = "rules", file = file, line = line })
      :wrong("'events' must be a table of rules by name, not " .. values.describe(given.events))
  else
    for _, name in ipairs(sorted_keys(given.events or {})) do add("event", name, given.events[name]) end
  end
  if given.refuse ~= nil then add("refuse", given.refuse) end
  if given.honeypot ~= nil then
    each_name(given.honeypot, function(name, value) add("honeypot", name, value) end)
  end
  return list
end

-- ------------------------------------------------------------------------------------- hash

-- Of a function its code stands for it: what it closes over may differ from run to run.
local function function_text(value)
  local ok, code = pcall(string.dump, value)
  return ok and code or "function"
end

local write

local function write_table(value, out, depth)
  out[#out + 1] = "{"
  for _, key in ipairs(sorted_keys(value)) do
    write(key, out, depth + 1)
    write(value[key], out, depth + 1)
  end
  out[#out + 1] = "}"
end

function write(value, out, depth)
  if depth > 64 then return end -- the compiler says that it is nested too deep
  local kind = marks.kind(value)
  if kind then
    out[#out + 1] = "<" .. kind
    write(value.options, out, depth + 1)
  elseif type(value) == "table" then
    write_table(value, out, depth)
  else
    local text = type(value) == "function" and function_text(value) or tostring(value)
    out[#out + 1] = ("%s %d:"):format(type(value), #text) .. text
  end
end

--- What names a table of rules: the same rules, the same hash.
---@param given table
---@return string
function M.hash(given)
  local out = {}
  write(given, out, 0)
  return source.hash { { "inline", table.concat(out) } }
end

return M
