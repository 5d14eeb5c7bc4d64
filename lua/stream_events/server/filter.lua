--- Filters and sort orders as queries of the protocol carry them:
-- { "role": "admin", "id": { "$in": [...] }, "$or": [...] }, [{ "field": "name", "direction": 1 }].
local native = require "stream_events.native"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"

local M = {}

local json = native.json

local MAX_DEPTH = 8
local MAX_CONDITIONS = 256
local MAX_SORTS = 8
local MAX_FIELD = 512 -- bytes of a field's name, which is looked up in every record

local is_list, is_object = input.is_list, input.is_object

local function is_scalar(value)
  return type(value) == "string" or type(value) == "number" or type(value) == "boolean"
end

local function comparable(a, b)
  return type(a) == type(b) and (type(a) == "number" or type(a) == "string")
end

local function contains(list, wanted)
  if type(list) == "table" then
    for _, item in ipairs(list) do
      if item == wanted then return true end
    end
  end
  return false
end

local function equal(value, operand)
  return value == operand
end

local function compares(test)
  return function(value, operand) return comparable(value, operand) and test(value, operand) end
end

local SCALAR = { is_scalar, "a text, a number, true or false" }
local SCALAR_OR_NULL =
  { function(value) return is_scalar(value) or value == json.null end, SCALAR[2] .. ", or null" }
local ORDERED = { function(value) return comparable(value, value) end, "a text or a number" }
local TEXT = { function(value) return type(value) == "string" end, "a text" }
local BOOLEAN = { function(value) return type(value) == "boolean" end, "true or false" }
local SCALARS = {
  function(value)
    if not is_list(value) then return false end
    for _, item in ipairs(value) do
      if not is_scalar(item) then return false end
    end
    return true
  end,
  "a list of texts, numbers and booleans",
}

-- A list as a set, so that a long one costs no record more than a short one.
local function set_of(list)
  local set = {}
  for _, item in ipairs(list) do set[item] = true end
  return set
end

local function is_in(value, set) return value ~= nil and set[value] == true end

-- Operator to { what its operand must be, function(value of the field, operand), what is first made of the
-- operand }.
local OPERATORS = {
  ["$eq"] = { SCALAR_OR_NULL, equal },
  ["$ne"] = { SCALAR_OR_NULL, function(value, operand) return value ~= operand end },
  ["$in"] = { SCALARS, is_in, set_of },
  ["$nin"] = { SCALARS, function(value, operand) return not is_in(value, operand) end, set_of },
  ["$gt"] = { ORDERED, compares(function(value, operand) return value > operand end) },
  ["$gte"] = { ORDERED, compares(function(value, operand) return value >= operand end) },
  ["$lt"] = { ORDERED, compares(function(value, operand) return value < operand end) },
  ["$lte"] = { ORDERED, compares(function(value, operand) return value <= operand end) },
  ["$exists"] = { BOOLEAN, function(value, operand) return (value ~= nil) == operand end },
  ["$contains"] = { SCALAR, contains },
  ["$autocomplete"] = {
    TEXT,
    function(value, operand)
      return type(value) == "string" and value:lower():sub(1, #operand) == operand
    end,
    string.lower,
  },
}

local function all_of(predicates)
  return function(record)
    for _, predicate in ipairs(predicates) do
      if not predicate(record) then return false end
    end
    return true
  end
end

local function any_of(predicates)
  return function(record)
    for _, predicate in ipairs(predicates) do
      if predicate(record) then return true end
    end
    return false
  end
end

local function none_of(predicates)
  local any = any_of(predicates)
  return function(record) return not any(record) end
end

local COMBINERS = { ["$and"] = all_of, ["$or"] = any_of, ["$nor"] = none_of }

-- One condition more, since every record is judged by each of them.
local function count(state)
  state.conditions = state.conditions + 1
  if state.conditions <= MAX_CONDITIONS then return true end
  return failures.fail(4, ("the filter has more than %d conditions"):format(MAX_CONDITIONS))
end

-- What says nothing is a condition as well: a filter may hold very many of those.
local function all_counted(predicates, state)
  if predicates[1] == nil then
    local ok, failure = count(state)
    if not ok then return nil, failure end
  end
  return all_of(predicates)
end

local compile_object

local function compile_combiner(name, value, state, depth)
  if not is_list(value) or value[1] == nil then
    return failures.fail(4, ("%s must be a list of filters"):format(name))
  end
  local predicates = {}
  for i, item in ipairs(value) do
    local predicate, failure = compile_object(item, state, depth + 1)
    if not predicate then return nil, failure end
    predicates[i] = predicate
  end
  return COMBINERS[name](predicates)
end

-- Also of a sort order.
local function check_field(field)
  if #field <= MAX_FIELD then return true end
  return failures.fail(4, ("the name of a field has more than %d bytes"):format(MAX_FIELD))
end

local function compile_operator(field, name, operand, state)
  local operator = OPERATORS[name]
  if not operator then
    return failures.fail(4, ("the filter on %q has the unknown operator %q"):format(field, name))
  end
  local expected, test, prepare = operator[1], operator[2], operator[3]
  if not expected[1](operand) then
    return failures.fail(4, ("%s on %q needs %s"):format(name, field, expected[2]))
  end
  local ok, failure = count(state)
  if not ok then return nil, failure end
  if operand == json.null then operand = nil end
  if prepare then operand = prepare(operand) end
  local read = state.read
  return function(record) return test(read(record, field), operand) end
end

local function compile_field(field, value, state)
  local ok, too_long = check_field(field)
  if not ok then return nil, too_long end
  if not is_object(value) then
    return compile_operator(field, is_list(value) and "$in" or "$eq", value, state)
  end
  local predicates = {}
  for name, operand in pairs(value) do
    local predicate, failure = compile_operator(field, name, operand, state)
    if not predicate then return nil, failure end
    predicates[#predicates + 1] = predicate
  end
  return all_counted(predicates, state)
end

function compile_object(value, state, depth)
  if not is_object(value) then
    return failures.fail(4, "a filter must be an object")
  elseif depth > MAX_DEPTH then
    return failures.fail(4, ("the filter is nested more than %d deep"):format(MAX_DEPTH))
  end
  local predicates = {}
  for name, item in pairs(value) do
    local predicate, failure
    if COMBINERS[name] then
      predicate, failure = compile_combiner(name, item, state, depth)
    elseif name:sub(1, 1) == "$" then
      predicate, failure = failures.fail(4, ("the filter has the unknown operator %q"):format(name))
    else
      predicate, failure = compile_field(name, item, state)
    end
    if not predicate then return nil, failure end
    predicates[#predicates + 1] = predicate
  end
  return all_counted(predicates, state)
end

--- Makes a function out of filter conditions.
---@param conditions any decoded; nil or {}: everything passes
---@param read fun(record: table, field: string): any the value of a record's field, nil for none
---@return (fun(record: table): boolean)? predicate
---@return stream_events.server.Failure? failure
function M.compile(conditions, read)
  if conditions == nil or conditions == json.null then return function() return true end end
  return compile_object(conditions, { read = read, conditions = 0 }, 1)
end

local function check_sort(sort)
  if not is_list(sort) or #sort > MAX_SORTS then
    return failures.fail(4, ("sort must be a list of at most %d objects"):format(MAX_SORTS))
  end
  for _, item in ipairs(sort) do
    local direction = is_object(item) and item.direction
    if direction == nil or direction == json.null then direction = 1 end
    if not is_object(item) or type(item.field) ~= "string" or (direction ~= 1 and direction ~= -1) then
      return failures.fail(4, "each entry of sort needs a field and a direction, 1 or -1")
    end
    local ok, failure = check_field(item.field)
    if not ok then return nil, failure end
  end
  return true
end

--- Makes a comparison for table.sort out of a sort order. Records without a field come last.
---@param sort any decoded; nil: only `finally` decides
---@param read fun(record: table, field: string): any
---@param finally fun(a: table, b: table): boolean decides between equals; a strict order
---@return (fun(a: table, b: table): boolean)? comparison
---@return stream_events.server.Failure? failure
function M.order(sort, read, finally)
  if sort == nil or sort == json.null then return finally end
  local ok, failure = check_sort(sort)
  if not ok then return nil, failure end
  return function(a, b)
    for _, item in ipairs(sort) do
      local x, y = read(a, item.field), read(b, item.field)
      -- Values of different types are ordered by the names of their types, so that the order is one.
      if type(x) ~= type(y) then
        if x == nil or y == nil then return y == nil end
        return type(x) < type(y)
      elseif x ~= y and comparable(x, y) then
        if item.direction == -1 then return x > y end
        return x < y
      end
    end
    return finally(a, b)
  end
end

return M
