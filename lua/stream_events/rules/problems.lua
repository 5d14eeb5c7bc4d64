--- What is wrong with a rule file: gathered with file, line and what was probably meant.
local errors = require "stream_events.error"
local locate = require "stream_events.rules.locate"
local suggest = require "stream_events.suggest"

local M = {}

local MOST = 100 -- nobody reads more at a time
local LONGEST = 500 -- bytes of a message

---@class stream_events.rules.Problem
---@field file string
---@field line integer?
---@field message string
---@field suggestion string? what was probably meant
---@field severity "error"|"warning"
---@field name string? of a global that is unknown

--- A problem in one line, as compilers write them.
---@param problem stream_events.rules.Problem
---@return string
function M.format(problem)
  local place = problem.line and ("%s:%d"):format(problem.file, problem.line) or problem.file
  local hint = problem.suggestion and (": did you mean '%s'?"):format(problem.suggestion) or ""
  return ("%s: %s%s"):format(place, problem.message, hint)
end

--- The error that says what is wrong.
---@param list stream_events.rules.Problem[] at least one
---@return stream_events.Error err kind "rule", with all of them in `problems`
function M.error(list)
  local text = M.format(list[1])
  if #list > 1 then text = ("%s (and %d more)"):format(text, #list - 1) end
  local err = errors.new { kind = "rule", message = text }
  err.problems = list
  return err
end

--- A value for people to read in a message, in one line.
---@param value any
---@return string
function M.show(value)
  if type(value) ~= "string" then
    return type(value) == "number" and tostring(value)
      or type(value) == "boolean" and tostring(value) or "a " .. type(value)
  end
  local text = value:gsub("[%c\\\"]", function(char)
    return char:find("[\\\"]") and "\\" .. char or ("\\%d"):format(char:byte())
  end)
  return #text <= 64 and '"' .. text .. '"' or '"' .. text:sub(1, 60) .. '..."'
end

--- Where something stands: a statement, a constructor, or a key below one of them.
---@class stream_events.rules.Place
---@field private report stream_events.rules.Report
---@field private parent stream_events.rules.Place?
---@field private key any below the parent
---@field private is_silent boolean? the subject says it already
---@field private subject string? of a statement
---@field private file string? of an anchor
---@field private line integer?
---@field private word string? which stands on that line
---@field private name string? and the string behind that word
local Place = {}
Place.__index = Place

---@class stream_events.rules.Report
---@field problems stream_events.rules.Problem[] those that make the file unusable
---@field warnings stream_events.rules.Problem[]
---@field sources table<string, { path: string, text: string? }> by the name the compiler knows
local Report = {}
Report.__index = Report

--- An empty list of problems of some files.
---@param sources table<string, { path: string, text: string? }>
---@return stream_events.rules.Report
function M.new(sources)
  return setmetatable({ problems = {}, warnings = {}, sources = sources }, Report)
end

---@param problem stream_events.rules.Problem file: as the compiler knows it
function Report:add(problem)
  local source = self.sources[problem.file]
  if source then problem.file = source.path end
  problem.severity = problem.severity or "error"
  if #problem.message > LONGEST then -- up to the end of a character
    problem.message = problem.message:sub(1, LONGEST):gsub("[\192-\255]?[\128-\191]*$", "") .. "..."
  end
  local list = problem.severity == "error" and self.problems or self.warnings
  if #list < MOST then list[#list + 1] = problem end
end

--- Problems in the order of the text: files as they were read, lines, and as they were found.
---@param list stream_events.rules.Problem[]
---@return stream_events.rules.Problem[]
function Report:sorted(list)
  local order, rank = {}, {}
  for _, source in pairs(self.sources) do order[source.path] = source.order or 0 end
  for i, problem in ipairs(list) do rank[problem] = i end
  table.sort(list, function(a, b)
    if a.file ~= b.file then
      local x, y = order[a.file] or 0, order[b.file] or 0
      if x ~= y then return x < y end
      return a.file < b.file
    end
    if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
    return rank[a] < rank[b]
  end)
  return list
end

--- The place of a statement.
---@param statement stream_events.core.RuleStatement
---@return stream_events.rules.Place
function Report:statement(statement)
  local name = type(statement.name) == "string" and statement.name or nil
  local subject = statement.kind
  if name then subject = subject .. " " .. M.show(name) end
  return setmetatable({
    report = self, subject = subject, file = statement.file, line = statement.line,
    word = statement.kind, name = name,
  }, Place)
end

--- The place of one name in the list behind a statement.
---@param statement stream_events.core.RuleStatement
---@param index integer
---@return stream_events.rules.Place
function Report:listed(statement, index)
  local place = self:statement {
    kind = statement.kind, name = statement.name[index], file = statement.file, line = statement.line,
  }
  place.name = nil -- it does not follow the word
  local element = place:at(index)
  element.is_silent = true
  return element
end

--- The place of a key or an element here.
---@param key any
---@return stream_events.rules.Place
function Place:at(key)
  return setmetatable({ report = self.report, parent = self, key = key }, Place)
end

--- The same place, known better: a constructor was called there. Where it is not known so yet, the
--- place itself learns it.
---@param value { kind: string, file: string?, line: integer? }
---@return stream_events.rules.Place
function Place:inside(value)
  if not value.line or value.options == nil then return self end -- a bare word is no call
  local place = self.line and setmetatable({ report = self.report, parent = self }, Place) or self
  place.file, place.line, place.word = value.file, value.line, value.kind
  return place
end

local function reversed(list)
  local result = {}
  for i = #list, 1, -1 do result[#result + 1] = list[i] end
  return result
end

--- The file (as the compiler knows it) and the line.
---@return string file
---@return integer? line
function Place:position()
  local node, path, nearest = self, {}, nil
  while node do
    if node.line then
      nearest = nearest or node
      local source = self.report.sources[node.file]
      local line = source and source.text
        and locate.entry(source, node.line, node.word, node.name, reversed(path))
      if line then return node.file, line end
    end
    if node.key ~= nil then path[#path + 1] = node.key end
    node = node.parent
  end
  local source = self.report.sources[nearest.file]
  local word = path[1]
  local line = source and source.text and type(word) == "string" and locate.word(source, word)
  return nearest.file, line or nearest.line
end

-- 'event "trade": fields.price', or only the statement.
local function describe(self)
  local node, path = self, {}
  while node.parent do
    if node.key ~= nil and not node.is_silent then path[#path + 1] = node.key end
    node = node.parent
  end
  local text = ""
  for _, key in ipairs(reversed(path)) do
    if type(key) == "string" and key:find("^[%a_][%w_]*$") then
      text = text .. (text == "" and "" or ".") .. key
    else
      text = ("%s[%s]"):format(text, M.show(key))
    end
  end
  return text == "" and node.subject or node.subject .. ": " .. text
end

--- Records what is wrong here.
---@param message string
---@param suggestion string?
---@param key any the key below this place that it is about, for the line
function Place:wrong(message, suggestion, key)
  local place = self
  if key ~= nil then place = self:at(key) end
  local file, line = place:position()
  self.report:add {
    file = file, line = line, message = describe(self) .. ": " .. message, suggestion = suggestion,
  }
end

--- Records what is odd here, but no error.
---@param message string
function Place:odd(message)
  local file, line = self:position()
  self.report:add {
    file = file, line = line, message = describe(self) .. ": " .. message, severity = "warning",
  }
end

local function by_text(a, b)
  return tostring(a) < tostring(b)
end

--- Records every key of a table that is not known.
---@param given table
---@param known table<string, any>
---@param meant table<string, string>? what other words for known keys stand for
---@return boolean fine there is none
function Place:refuse_unknown(given, known, meant)
  local unknown = {}
  for key in next, given do
    if type(key) ~= "string" or known[key] == nil then unknown[#unknown + 1] = key end
  end
  table.sort(unknown, by_text)
  for _, key in ipairs(unknown) do
    if type(key) == "string" then
      local text = M.show(key):gsub('^"(.*)"$', "'%1'")
      self:wrong("unknown key " .. text, meant and meant[key] or suggest.nearest(key, known), key)
    else
      self:wrong(("what is this value for? It has no name (its key is %s)"):format(M.show(key)), nil, key)
    end
  end
  return unknown[1] == nil
end

return M
