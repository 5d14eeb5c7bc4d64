--- Which names mean what where in a rule file: the scopes that a parser walks through, and what is
-- unknown in them.
local suggest = require "stream_events.suggest"
local words = require "stream_events.rules.words"

local M = {}

---@class stream_events.rules.Finding
---@field line integer
---@field message string
---@field suggestion string?
---@field name string? of the unknown global

---@class stream_events.rules.Scopes
---@field found stream_events.rules.Finding[]
---@field private visible table<string, "local"|"context"> locals, and what they are
---@field private undo any[] names and what they were before, for the end of a block
---@field private written table<string, true> globals that are set
local Scopes = {}
Scopes.__index = Scopes

---@return stream_events.rules.Scopes
function M.new()
  return setmetatable({
    found = {}, visible = {}, undo = {}, known = {}, written = {}, methods = {}, defined = {},
  }, Scopes)
end

--- What a block begins with: where its names begin, for `leave`.
---@return integer mark
function Scopes:enter()
  return #self.undo
end

--- Makes a name local from here to the end of the block.
---@param name string
---@param meaning "context"? what a check is given to look things up in
function Scopes:declare(name, meaning)
  local undo = self.undo
  undo[#undo + 1] = name
  undo[#undo + 1] = self.visible[name] or false
  self.visible[name] = meaning or "local"
end

--- A block ends.
---@param mark integer
function Scopes:leave(mark)
  local undo, visible = self.undo, self.visible
  for i = #undo - 1, mark + 1, -2 do
    visible[undo[i]] = undo[i + 1] or nil
    undo[i], undo[i + 1] = nil, nil
  end
end

local function report(self, line, message, suggestion, name)
  self.found[#self.found + 1] = { line = line, message = message, suggestion = suggestion, name = name }
end

local function read_global(self, name, line)
  if words.GLOBALS[name] or self.known[name] then return end
  self.known[name] = true
  local instead = words.MISSING[name]
  if instead then
    if instead == "" then instead = nil end
    report(self, line, ("'%s' is not available in rules"):format(name), instead, name)
  else
    report(self, line, ("unknown name '%s'"):format(name), suggest.nearest(name, words.GLOBALS), name)
  end
end

--- A name stands where its value is used.
---@param name string
---@param line integer
function Scopes:read(name, line)
  if not self.visible[name] then read_global(self, name, line) end
end

--- A name is set.
---@param name string
---@param line integer
function Scopes:write(name, line)
  if self.visible[name] or self.written[name] then return end
  self.written[name] = true
  report(self, line, ("'%s' is no local variable, and rules set no globals: make it local"):format(name),
    "local " .. name)
end

--- A field is looked up: one of a library, say, or of a check's context.
---@param base string the name before the dot
---@param field string
---@param line integer
---@param method boolean? it stood behind a colon
function Scopes:field(base, field, line, method)
  local meaning = self.visible[base]
  if meaning == "context" then
    if not words.CONTEXT[field] then
      report(self, line, ("unknown key '%s' of the context"):format(field),
        suggest.nearest(field, words.CONTEXT))
    elseif method then
      report(self, line, ("'%s:%s' hands over the context itself"):format(base, field),
        ("%s.%s"):format(base, field))
    end
    return
  end
  local library = not meaning and words.LIBRARIES[base]
  if library and not library[field] then
    -- What Lua itself calls so was meant, and there is nothing like it.
    local meant = not words.REMOVED[field] and suggest.nearest(field, library) or nil
    report(self, line, ("'%s.%s' is not available in rules"):format(base, field), meant)
  end
end

--- The file makes a field or method of this name.
---@param name string
function Scopes:define(name)
  self.defined[name] = true
end

--- A method of this name is called.
---@param name string
---@param line integer
function Scopes:call_method(name, line)
  if words.STRING_METHODS[name] then self.methods[#self.methods + 1] = { name = name, line = line } end
end

-- Methods that only strings could have had, unless the file makes some of that name itself.
local function report_methods(self)
  for _, method in ipairs(self.methods) do
    if not self.defined[method.name] then
      report(self, method.line, ("strings have no method '%s' in rules: there are starts_with, "
        .. "ends_with, contains, glob and a find without patterns"):format(method.name))
    end
  end
end

--- All that was found, in the order of the text but for methods.
---@return stream_events.rules.Finding[]
function Scopes:finish()
  report_methods(self)
  local result = {}
  for _, each in ipairs(self.found) do
    -- Once it is local, as was said, it is no unknown name any more.
    if not (each.name and self.written[each.name]) then result[#result + 1] = each end
  end
  return result
end

return M
