--- Reads a settings file: lines of Lua like `max_event = 8192`, with Lua's comments, and nothing else.
-- It is read and never run, so it cannot loop, open files or take memory; and each value has a line.
local format = require "stream_events.command.format"
local lexer = require "stream_events.rules.lexer"
local luv = require "luv"

local M = {}

local MAX_BYTES = 1 << 20
local READABLE_FOR_OTHERS = 4 -- in the mode of a file

---@class stream_events.command.FileSetting
---@field value string|number|boolean|string[]
---@field line integer

local NO_VALUE = "a value is a number, a text in quotes, true, false, or a list of texts in { }"

-- What goes wrong while a file is read is raised, as a table that read() gets back.
local function fail(tokens, message, line)
  error({ line = line or tokens.first, message = message }, 0)
end

local function expect(tokens, operator, where, line)
  if tokens.op ~= operator then fail(tokens, ("'%s' expected %s"):format(operator, where), line) end
  tokens:next()
end

-- Only the text of a literal ever gets here.
local function text_of(tokens)
  local quote = tokens.text:sub(tokens.position - 1, tokens.position - 1)
  local value = tokens.value
  if quote == "]" then
    value = value:gsub("^\r?\n", "")
  else
    local literal = load("return " .. quote .. value .. quote, "=text", "t", {})
    if not literal then fail(tokens, "the text holds an escape that Lua does not know") end
    value = literal()
  end
  tokens:next()
  return value
end

local function number_of(tokens)
  local is_negative = tokens.op == "-"
  if is_negative then tokens:next() end
  local number = tokens.kind == "number" and tonumber(tokens.value)
  if not number then fail(tokens, NO_VALUE) end
  tokens:next()
  return is_negative and -number or number
end

local function list_of(tokens)
  local list = {}
  tokens:next()
  while tokens.op ~= "}" do
    if tokens.kind ~= "string" then fail(tokens, "a list holds texts in quotes, with commas between them") end
    list[#list + 1] = text_of(tokens)
    if tokens.op ~= "}" then expect(tokens, ",", "between the texts of a list") end
  end
  tokens:next()
  return list
end

local function value_of(tokens)
  if tokens.kind == "string" then return text_of(tokens) end
  if tokens.kind == "number" or tokens.op == "-" then return number_of(tokens) end
  if tokens.op == "{" then return list_of(tokens) end
  if tokens.op ~= "true" and tokens.op ~= "false" then fail(tokens, NO_VALUE) end
  local value = tokens.op == "true"
  tokens:next()
  return value
end

local function settings_of(text)
  local tokens, settings = lexer.new(text), {}
  tokens:next()
  while tokens.kind ~= "eof" do
    local name, line = tokens.value, tokens.first
    if tokens.kind ~= "name" then fail(tokens, "a setting expected, as in: max_event = 8192") end
    if settings[name] then
      fail(tokens, ("%s is set twice, before in line %d"):format(name, settings[name].line))
    end
    tokens:next()
    expect(tokens, "=", "behind " .. name, line)
    settings[name] = { value = value_of(tokens), line = line }
    if tokens.op == ";" then
      tokens:next()
    elseif tokens.kind ~= "eof" and tokens.first == line and tokens.kind ~= "name" then
      fail(tokens, NO_VALUE .. "; it stands alone")
    end
  end
  return settings
end

local function read_text(path)
  local stat, message = luv.fs_stat(path)
  if not stat then return nil, format.file_failure(message) end
  if stat.type ~= "file" then return nil, path .. " is no file" end
  if stat.size > MAX_BYTES then return nil, ("%s is larger than %d bytes"):format(path, MAX_BYTES) end
  local file
  file, message = io.open(path, "rb")
  if not file then return nil, message end
  local text = file:read "a"
  file:close()
  if not text then return nil, path .. " cannot be read" end
  text = text:gsub("^\u{FEFF}", "") -- as some editors begin a file
  return text, nil, stat.mode & READABLE_FOR_OTHERS ~= 0
end

--- Reads one.
---@param path string
---@return table<string, stream_events.command.FileSetting>? settings by name, whatever they are called
---@return string? message with the path and the line
---@return boolean? is_open whether everybody on this machine can read the file
function M.read(path)
  local text, message, is_open = read_text(path)
  if not text then return nil, "cannot read the settings: " .. message end
  local ok, result = pcall(settings_of, text)
  if ok then return result, nil, is_open end
  if type(result) ~= "table" then error(result, 0) end
  return nil, ("%s:%d: %s"):format(path, result.line, result.message)
end

return M
