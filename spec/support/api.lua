--- All that is public, as text: a line for each function, field, option, default, flag, variable, number and
-- name that programs, operators or scripts rely on. What is said about it is no part of it: texts may change.
-- Made out of the annotations, which a spec compares with what modules export, and of the things themselves.
local annotations = require "support.annotations"
local argparse_parser = require "stream_events.command.parser"
local client_options = require "stream_events.options"
local luv = require "luv"
local output = require "stream_events.command.output"
local public = require "support.public"
local serve_options = require "stream_events.command.serve_options"
local server_options = require "stream_events.server.options"
local words = require "stream_events.rules.words"

local M = {}

local ROOT = debug.getinfo(1, "S").source:match "^@(.*)spec/support/api%.lua$" or ""

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list, function(a, b) return tostring(a) < tostring(b) end)
  return list
end

local function files_below(folder)
  local list = {}
  local pipe = assert(io.popen(("cd '%slua' && find %s -name '*.lua' | LC_ALL=C sort"):format(
    ROOT == "" and "./" or ROOT, folder)))
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

local function text_of(path)
  local file = assert(io.open(ROOT .. path))
  local text = file:read "a"
  file:close()
  return text
end

-- Annotations ------------------------------------------------------------------------------------

local read = {}
local function annotated(path)
  read[path] = read[path] or annotations.read_file(ROOT .. public.LUA .. path)
  return read[path]
end

-- The choices of an alias, without what they mean.
local function choices(type)
  local list = {}
  for line in (type .. "\n"):gmatch "%s*|?%s*([^\n]*)\n" do
    if line ~= "" then list[#list + 1] = (annotations.split_type(line)) end
  end
  return table.concat(list, " | ")
end

local function signature(each, sees)
  local given, gives = {}, {}
  for i, value in ipairs(each.parameters) do
    sees(value.type)
    given[i] = value.name .. ": " .. value.type
  end
  for i, value in ipairs(each.results) do
    sees(value.type)
    gives[i] = value.type
  end
  local text = ("%s(%s)"):format(each.name, table.concat(given, ", "))
  return gives[1] and text .. " -> " .. table.concat(gives, ", ") or text
end

-- Functions of a file that stand for a module (`methods` false), or for the objects of a class.
local function functions_of(file, class, sees, add)
  local tables = {}
  for _, each in ipairs(file.classes) do
    if each.name == class then tables = each.locals end
  end
  for _, each in ipairs(file.functions) do
    if not each.package then
      if class and each.method and tables[each.owner] then
        add(class .. ":" .. signature(each, sees))
      elseif not class and not each.method and each.owner == "M" then
        add(signature(each, sees))
      end
    end
  end
end

-- Everything that files say of classes and aliases, by name.
local function all_names()
  local classes, aliases = {}, {}
  for _, path in ipairs(files_below "stream_events") do
    if not path:find "/command/" then
      local file = annotated(path)
      for _, class in ipairs(file.classes) do
        classes[class.name] = classes[class.name] or { fields = {} }
        classes[class.name].parent = classes[class.name].parent or class.parent
        for _, field in ipairs(class.fields) do
          table.insert(classes[class.name].fields, field)
        end
      end
      for name, alias in pairs(file.aliases) do aliases[name] = alias end
    end
  end
  return classes, aliases
end

-- What loop adapters hand on without looking into it.
local OPAQUE = { ["stream_events.Call"] = true, ["stream_events.Tasks"] = true }

-- Modules, objects, and the fields of whatever these take and give.
local function code(section)
  local seen, waiting = {}, {}
  local function sees(type)
    for name in type:gmatch "stream_events[%w_.]*" do
      if not seen[name] then
        seen[name] = true
        waiting[#waiting + 1] = name
      end
    end
  end

  local modules, objects = section "modules", section "objects"
  for _, module in ipairs(public.MODULES) do
    if not module.of_core then
      modules(module.name)
      for _, path in ipairs(module.files) do
        functions_of(annotated(path), nil, sees, function(text) modules(module.name .. "." .. text) end)
      end
    end
  end
  for _, class in ipairs(public.CLASSES) do
    sees(class.name)
    for _, path in ipairs(class.files) do functions_of(annotated(path), class.name, sees, objects) end
  end

  local fields, values = section "fields", section "values"
  local classes, aliases = all_names()
  while waiting[1] do
    local name = table.remove(waiting)
    local class, alias = classes[name], aliases[name]
    if class and not OPAQUE[name] then
      if class.parent then
        sees(class.parent)
        fields(name .. ": all of " .. class.parent)
      end
      for _, field in ipairs(class.fields) do
        if not field.visibility then
          sees(field.type)
          fields(("%s.%s: %s"):format(name, field.name, field.type))
        end
      end
    elseif alias then
      sees(alias.type)
      values(("%s: %s"):format(name, choices(alias.type)))
    end
  end
end

-- What modules hold besides annotated functions: the words of rules among it.
local function exports(section)
  local add = section "what modules hold"
  for _, module in ipairs(public.MODULES) do
    if not module.of_core and not module.name:find "%.loop%." then -- not every machine has every loop
      for name, value in pairs(require(module.name)) do
        add(("%s.%s: %s"):format(module.name, name, type(value)))
      end
    end
  end
end

-- The client and its rules -----------------------------------------------------------------------

local function defaults(section)
  local add = section "defaults of a client"
  local checked = client_options.check({ api_key = "key" }, 1)
  add("base_url = " .. checked.base_url)
  for _, group in ipairs { "timeouts", "limits" } do
    for name, value in pairs(checked[group]) do add(("%s.%s = %s"):format(group, name, value)) end
  end
end

local function statistics(section)
  local add = section "statistics of a client that has rules"
  local client = assert(require "stream_events".new {
    api_key = "key", base_url = "http://127.0.0.1:1", rules = { default = "drop" },
  })
  local function walk(prefix, values)
    for name, value in pairs(values) do
      add(("%s%s: %s"):format(prefix, name, type(value)))
      if type(value) == "table" then walk(prefix .. name .. ".", value) end
    end
  end
  walk("", client:stats())
  client:close()
end

local function rule_words(section)
  local add = section "words of rule files"
  for name in pairs(words.GLOBALS) do add(name) end
  for library, names in pairs(words.LIBRARIES) do
    for name in pairs(names) do add(library .. "." .. name) end
  end
  for name in pairs(words.CONTEXT) do add("context." .. name) end
end

local function decisions(section)
  local verdicts, reasons = section "verdicts", section "reasons"
  for kind, name in text_of "csrc/rule_verdict.c":gmatch '%[SE_(%a+)_[%u_]+%] = "([%w%-]+)"' do
    if kind == "REASON" then reasons(name) else verdicts(name) end
  end
  local events = section "events that a client makes"
  for _, each in ipairs(annotated "stream_events/client.lua".functions) do
    if each.name == "subscribe_for" then
      for name in each.text:gmatch "`(%l+%.%l+)`" do events(name) end
    end
  end
end

-- The command ------------------------------------------------------------------------------------

local function subcommands(add, path, parser)
  add(path)
  for _, argument in ipairs(parser._arguments) do add(path .. " " .. argument:_get_usage()) end
  for _, option in ipairs(parser._options) do
    if not option._hidden and option._aliases[1] ~= "-h" then -- that one is everywhere
      local names = table.concat(option._aliases, "|")
      add(("%s %s"):format(path, (option:_get_usage():gsub("%-[-%w]+", names, 1))))
    end
  end
  for _, command in ipairs(parser._commands) do subcommands(add, path .. " " .. command._name, command) end
end

local function command(section)
  subcommands(section "command", "stream-events", argparse_parser.new(true))

  local add = section "exit codes"
  for name, value in pairs(output) do
    if math.type(value) == "integer" then add(("%d %s"):format(value, name:lower())) end
  end

  local found = {}
  for _, path in ipairs(files_below "stream_events/command") do
    for name in text_of("lua/" .. path):gmatch '"(STREAM_[A-Z_]*[A-Z])"' do found[name] = true end
  end
  for _, option in ipairs(serve_options.list()) do found[option.variable] = true end
  found[serve_options.CONFIG_VARIABLE], found.NO_COLOR = true, true
  add = section "environment"
  for name in pairs(found) do add(name) end
end

-- The server -------------------------------------------------------------------------------------

local function bounds(option)
  local list = {}
  for _, name in ipairs { "least", "most" } do
    if option[name] then list[#list + 1] = ("%s %s"):format(name, option[name]) end
  end
  if option.choices then list[#list + 1] = table.concat(option.choices, "|") end
  if option.is_live then list[#list + 1] = "live" end
  return list[1] and " (" .. table.concat(list, ", ") .. ")" or ""
end

local function endpoints(place, add)
  for _, method in pairs(place.methods or {}) do
    local route = method.route
    if not route[2]:find "^/dashboard/" then -- the page's own
      add(("%s %s (%s, %s)"):format(route[1], route[2], route.endpoint, route.access or "user"))
    end
  end
  for _, literal in pairs(place.literals) do endpoints(literal, add) end
  if place.parameter then endpoints(place.parameter, add) end
end

local function server(section)
  local add = section "options of the server"
  for _, option in ipairs(server_options.LIST) do
    local default = option.default == nil and "" or " = " .. tostring(option.default)
    add(("%s: %s%s%s"):format(option.name, option.kind, default, bounds(option)))
  end
  add = section "options of serve where they differ"
  for _, option in ipairs(serve_options.list()) do
    if option.default ~= nil then add(("%s = %s"):format(option.flag, tostring(option.default))) end
  end

  local started = assert(require "stream_events.server".start {})
  local parts = started.parts
  add = section "metrics"
  for kind_and_name in require "stream_events.server.metrics".text(parts):gmatch "# TYPE ([^\n]+)" do
    local name, kind = kind_and_name:match "^(%S+) (%S+)$"
    add(name .. ": " .. kind)
  end
  endpoints(parts.router.root, section "endpoints")
  local stopped
  started:stop(function() stopped = true end)
  while not stopped do luv.run "once" end
  luv.run()
end

-- For programs that link it ----------------------------------------------------------------------

local function symbols(section)
  local add = section "C functions"
  for name in text_of "csrc/stream_events.h":gmatch "int (luaopen_[%w_]+%([^)]*%));" do add(name) end
end

--- All of it.
---@return string
function M.text()
  local sections = {}
  local function section(title)
    local set = {}
    sections[#sections + 1] = { title = title, set = set }
    return function(line) set[line:gsub("%s+", " ")] = true end
  end
  code(section)
  exports(section)
  defaults(section)
  statistics(section)
  rule_words(section)
  decisions(section)
  command(section)
  server(section)
  symbols(section)
  local lines = {}
  for _, each in ipairs(sections) do
    lines[#lines + 1] = (#lines > 0 and "\n" or "") .. "# " .. each.title
    for _, line in ipairs(sorted(each.set)) do lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
