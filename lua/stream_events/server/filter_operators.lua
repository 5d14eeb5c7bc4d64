--- The operators of filters, as in { "level": { "$gt": 3 } }: what each makes of a field's value. Where a
-- field is a time, points in time are compared, in whatever form a client writes one.
local native = require "stream_events.native"
local input = require "stream_events.server.input"
local moments = require "stream_events.server.moments"

local M = {}

local json = native.json

---@class stream_events.server.FilterOperator
---@field needs string what its operand must be
---@field make fun(operand: any): (fun(value: any): boolean)? a test of values; nil: the operand is another

---@class stream_events.server.FilterKind
---@field name string
---@field names string
---@field ordered string those that can be greater or less
---@field read fun(operand: any): any what is compared with; nil: it is none
---@field before fun(a: any, b: any): boolean

---@type stream_events.server.FilterKind
local VALUES = {
  name = "a text, a number, true or false", names = "a list of texts, numbers and booleans",
  ordered = "a text or a number",
  read = function(operand)
    local kind = type(operand)
    if kind == "string" or kind == "number" or kind == "boolean" then return operand end
    return nil
  end,
  before = function(a, b) return a < b end,
}

---@type stream_events.server.FilterKind
local TIMES = {
  name = "a date as in RFC 3339", names = "a list of dates as in RFC 3339", ordered = "a date as in RFC 3339",
  read = moments.read, before = moments.before,
}

--- Whether one of them can be less than the other.
---@param a any
---@param b any
---@return boolean
function M.comparable(a, b)
  return type(a) == type(b) and (type(a) == "number" or type(a) == "string")
end

local function equality(kind, result)
  return { needs = kind.name .. ", or null", make = function(operand)
    local wanted
    if operand ~= json.null then
      wanted = kind.read(operand)
      if wanted == nil then return nil end
    end
    return function(value) return (value == wanted) == result end
  end }
end

-- The list becomes a set, so that a long one costs no record more than a short one.
local function membership(kind, result)
  return { needs = kind.names, make = function(operand)
    if not input.is_list(operand) then return nil end
    local set = {}
    for _, item in ipairs(operand) do
      local wanted = kind.read(item)
      if wanted == nil then return nil end
      set[wanted] = true
    end
    return function(value) return (value ~= nil and set[value] == true) == result end
  end }
end

local function comparison(kind, test)
  return { needs = kind.ordered, make = function(operand)
    local wanted = kind.read(operand)
    if not M.comparable(wanted, wanted) then return nil end
    local type_of_wanted = type(wanted)
    return function(value) return type(value) == type_of_wanted and test(value, wanted) end
  end }
end

---@param kind stream_events.server.FilterKind
---@return table<string, stream_events.server.FilterOperator>
local function operators_of(kind)
  local before = kind.before
  return {
    ["$eq"] = equality(kind, true),
    ["$ne"] = equality(kind, false),
    ["$in"] = membership(kind, true),
    ["$nin"] = membership(kind, false),
    ["$gt"] = comparison(kind, function(value, operand) return before(operand, value) end),
    ["$gte"] = comparison(kind, function(value, operand) return not before(value, operand) end),
    ["$lt"] = comparison(kind, before),
    ["$lte"] = comparison(kind, function(value, operand) return not before(operand, value) end),
  }
end

local function contains(list, wanted)
  if type(list) == "table" then
    for _, item in ipairs(list) do
      if item == wanted then return true end
    end
  end
  return false
end

local OF_VALUES, OF_TIMES = operators_of(VALUES), operators_of(TIMES)

-- Those to which a time is like any other value.
---@type table<string, stream_events.server.FilterOperator>
local OTHERS = {
  ["$exists"] = { needs = "true or false", make = function(operand)
    if type(operand) ~= "boolean" then return nil end
    return function(value) return (value ~= nil) == operand end
  end },
  ["$contains"] = { needs = VALUES.name, make = function(operand)
    if VALUES.read(operand) == nil then return nil end
    return function(value) return contains(value, operand) end
  end },
  ["$autocomplete"] = { needs = "a text", make = function(operand)
    if type(operand) ~= "string" then return nil end
    local start = operand:lower()
    return function(value) return type(value) == "string" and value:lower():sub(1, #start) == start end
  end },
}

--- An operator by its name; nil: there is none.
---@param name string
---@param is_time boolean? whether the field is a time, as this server writes them
---@return stream_events.server.FilterOperator?
function M.find(name, is_time)
  return (is_time and OF_TIMES or OF_VALUES)[name] or OTHERS[name]
end

--- What says whether a value of a field comes before another one, where the two are comparable.
---@param is_time boolean?
---@return fun(a: any, b: any): boolean
function M.before(is_time)
  return (is_time and TIMES or VALUES).before
end

return M
