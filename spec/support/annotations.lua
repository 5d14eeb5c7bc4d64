--- Reads the annotations of Lua files, as the Lua language server knows them: what a function, class or
-- alias says about itself. For the reference, and for the spec that finds what says nothing.
local M = {}

---@class Annotations.Value
---@field name string? of a parameter, field or result
---@field type string
---@field text string what it is for; "" where nothing is said
---@field visibility string? "private", "package", "protected"

---@class Annotations.Function
---@field owner string as written before the name: "M", "Client", "core.json"
---@field name string
---@field method boolean written with ":"
---@field text string
---@field parameters Annotations.Value[]
---@field results Annotations.Value[]
---@field arguments string[] as the code has them
---@field package boolean not for users
---@field deprecated string? what to use instead
---@field line integer

---@class Annotations.Class
---@field name string
---@field parent string?
---@field text string
---@field fields Annotations.Value[]
---@field locals table<string, true> the names of the tables that hold its methods
---@field line integer

---@class Annotations.File
---@field text string of its first comment
---@field functions Annotations.Function[]
---@field classes Annotations.Class[]
---@field aliases table<string, { type: string, text: string }>

local CLOSES = { ["("] = ")", ["{"] = "}", ["["] = "]", ["<"] = ">" }
local GOES_ON = { [":"] = true, ["|"] = true, [","] = true }

--- Splits a type from what stands behind it. Brackets and quotes hold blanks together, and so do `|`,
--- `,` and the `:` before what a function gives.
---@param text string
---@return string type
---@return string rest
function M.split_type(text)
  local open, at, last = {}, 1, nil
  while at <= #text do
    local c = text:sub(at, at)
    if c == '"' or c == "'" then
      at = text:find(c, at + 1, true) or #text
    elseif CLOSES[c] then
      open[#open + 1] = CLOSES[c]
    elseif c == open[#open] then
      open[#open] = nil
    elseif c == " " and not open[1] then
      local next_one = text:match("^%s*(.)", at)
      if not GOES_ON[last] and next_one ~= "|" then break end
    end
    if c ~= " " then last = c end
    at = at + 1
  end
  return text:sub(1, at - 1), (text:sub(at):gsub("^%s+", ""))
end

local function joined(text, more)
  return text == "" and more or text .. " " .. more
end

-- What one comment block has gathered.
local function new_block()
  return { lines = {}, parameters = {}, results = {}, tags = {} }
end

local function add_parameter(block, rest)
  local name, behind = rest:match "^(%S+)%s+(.*)$"
  if not name then name, behind = rest, "" end
  local optional = name:sub(-1) == "?"
  local type, text = M.split_type(behind)
  if optional then name, type = name:sub(1, -2), type .. "?" end
  block.parameters[#block.parameters + 1] = { name = name, type = type, text = text }
  block.open = block.parameters[#block.parameters]
end

local function add_result(block, rest)
  local type, behind = M.split_type(rest)
  local name, text = behind:match "^([%a_.][%w_.]*)%s*(.*)$"
  if not name then name, text = nil, behind end
  block.results[#block.results + 1] = { name = name, type = type, text = text }
  block.open = block.results[#block.results]
end

local function add_field(block, rest)
  local class = block.class
  if not class then return end
  local visibility, behind = rest:match "^(%a+)%s+(.*)$"
  if visibility == "private" or visibility == "package" or visibility == "protected" then
    rest = behind
  else
    visibility = nil
  end
  local name, type, text
  if rest:sub(1, 1) == "[" then
    name, rest = M.split_type(rest)
  else
    name, rest = rest:match "^(%S+)%s+(.*)$"
  end
  type, text = M.split_type(rest or "")
  class.fields[#class.fields + 1] = { name = name, type = type, text = text, visibility = visibility }
  block.open = class.fields[#class.fields]
end

local function add_class(file, block, rest, line)
  local name, parent = rest:match "^([%w_.]+)%s*:?%s*([%w_.]*)"
  local text = rest:match "^[%w_.]+%s+([^:].*)$"
  block.class = {
    name = name, parent = parent ~= "" and not text and parent or nil, fields = {}, locals = {}, line = line,
    text = table.concat(block.lines, "\n"),
  }
  if text then block.class.text = joined(block.class.text, text) end
  block.lines, block.open = {}, nil
  file.classes[#file.classes + 1] = block.class
end

local function add_alias(file, block, rest)
  local name, behind = rest:match "^([%w_.]+)%s*(.*)$"
  block.alias = { type = behind, text = table.concat(block.lines, "\n") }
  block.lines = {}
  file.aliases[name] = block.alias
end

local function tagged(file, block, tag, rest, line)
  block.tags[tag] = rest
  if tag == "param" then add_parameter(block, rest)
  elseif tag == "return" then add_result(block, rest)
  elseif tag == "field" then add_field(block, rest)
  elseif tag == "class" then add_class(file, block, rest, line)
  elseif tag == "alias" then add_alias(file, block, rest)
  elseif tag == "type" then
    local type, text = M.split_type(rest)
    block.value = { type = type, text = text }
    block.open = block.value
  else
    block.open = nil
  end
end

local function commented(file, block, text, line)
  local tag, rest = text:match "^@([%a]+)%s*(.*)$"
  if tag then return tagged(file, block, tag, rest, line) end
  local choice = text:match "^|%s*(.*)$"
  if choice then
    if block.alias then block.alias.type = block.alias.type .. "\n| " .. choice end
  elseif text:find "^  " and block.open then
    block.open.text = joined(block.open.text, text:match "^%s*(.*)$")
  else
    block.lines[#block.lines + 1] = text:match "^ ?(.*)$"
  end
end

local function arguments_of(text)
  local list = {}
  for name in text:gmatch "[%w_.]+" do list[#list + 1] = name end
  return list
end

local function add_function(file, block, owner, colon, name, arguments, line)
  file.functions[#file.functions + 1] = {
    owner = owner, name = name, method = colon == ":", arguments = arguments_of(arguments), line = line,
    parameters = block.parameters, results = block.results, text = table.concat(block.lines, "\n"),
    package = block.tags.package ~= nil or block.tags.private ~= nil, deprecated = block.tags.deprecated,
  }
end

-- A function that was given by its type: M.room_for = listener.room_for.
local function add_typed(file, block, owner, name, line)
  local arguments, result = block.value.type:match "^fun(%b())%s*:?%s*(.*)$"
  if not arguments then return end
  local parameters = new_block()
  for each in (arguments:sub(2, -2) .. ","):gmatch "%s*([^,]+)," do
    add_parameter(parameters, (each:gsub(":", " ", 1)))
  end
  local names = {}
  for i, parameter in ipairs(parameters.parameters) do names[i] = parameter.name end
  block.parameters = parameters.parameters
  while result ~= "" do
    local first, rest = result:match "^([^,]+),%s*(.*)$"
    add_result(block, first or result)
    result = rest or ""
  end
  if block.results[1] then block.results[#block.results].text = block.value.text end
  add_function(file, block, owner, ".", name, table.concat(names, ","), line)
end

-- Another name for a function of the same file: Attachment.dispose = Attachment.stop.
local function add_second_name(file, block, text, line)
  local owner, name, first = text:match "^([%w_]+)%.([%w_]+) = [%w_]+%.([%w_]+)$"
  if not owner then return end
  for _, each in ipairs(file.functions) do
    if each.owner == owner and each.name == first then
      block.parameters, block.results = each.parameters, each.results
      return add_function(file, block, owner, each.method and ":" or ".", name,
        table.concat(each.arguments, ","), line)
    end
  end
end

local function coded(file, block, text, line)
  local owner, colon, name, arguments = text:match "^function ([%w_.]-)([.:])([%w_]+)%((.-)%)"
  if owner then
    add_function(file, block, owner, colon, name, arguments, line)
  elseif text:find "^function " then
    return
  elseif block.class then
    local bound = text:match "^local ([%w_]+)" or text:match "^([%w_.]+) ="
    if bound then block.class.locals[bound] = true end
  elseif block.value then
    owner, name = text:match "^([%w_.]+)%.([%w_]+) ="
    if owner then add_typed(file, block, owner, name, line) end
  elseif block.lines[1] then
    add_second_name(file, block, text, line)
  end
end

--- Reads the text of a Lua file.
---@param text string
---@return Annotations.File
function M.read(text)
  local file = { functions = {}, classes = {}, aliases = {}, text = nil }
  local block, number, header = new_block(), 0, {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    local comment = line:match "^%-%-%-(.*)$"
    if header and line:find "^%-%-" then
      if not line:find "^%-%-%-@" then header[#header + 1] = line:match "^%-%-%-? ?(.*)$" end
    elseif header then
      file.text, header = table.concat(header, "\n"), nil
    end
    if not header then
      if comment and not comment:find "^%-" then
        commented(file, block, comment, number)
      else
        coded(file, block, line, number)
        block = new_block()
      end
    end
  end
  file.text = file.text or ""
  return file
end

--- Reads a file.
---@param path string
---@return Annotations.File
function M.read_file(path)
  local handle = assert(io.open(path))
  local text = handle:read "*a"
  handle:close()
  return M.read(text)
end

return M
