--- How the compiler knows the values of a rule file apart: by their metatables.
local M = {}

--- Of a function of the rule state: { reference=, file=, line= }.
M.functions = { __name = "stream_events.rule_function" }

--- Of what `string { ... }` and the like give: { kind=, options=, file=, line= }.
---@class stream_events.rules.Constructed
---@field kind string
---@field options any what it was called with; nil: it was not called
---@field file string?
---@field line integer?
M.fields = { __name = "stream_events.rule_field" }

--- The constructor's word, where the value is such a thing.
---@param value any
---@return string? kind
function M.kind(value)
  if type(value) == "table" and getmetatable(value) == M.fields then return value.kind end
  return nil
end

--- What a rule calls: the reference of a function in the rule state, or a function of the program's.
---@param value any
---@return integer|function|nil
function M.callable(value)
  if type(value) == "function" then return value end
  if type(value) == "table" and getmetatable(value) == M.functions then return value.reference end
  return nil
end

--- A table that the author wrote as such: no function, no constructor.
---@param value any
---@return boolean
function M.is_table(value)
  return type(value) == "table" and M.kind(value) == nil and M.callable(value) == nil
end

return M
