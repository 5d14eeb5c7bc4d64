--- Filters and sort orders as queries of the protocol carry them:
-- { "role": "admin", "id": { "$in": [...] }, "$or": [...] }, [{ "field": "name", "direction": 1 }].
local native = require "stream_events.native"
local failures = require "stream_events.server.failure"
local operators = require "stream_events.server.filter_operators"
local input = require "stream_events.server.input"

local M = {}

local json = native.json

local MAX_DEPTH = 8
local MAX_CONDITIONS = 256
local MAX_SORTS = 8
local MAX_FIELD = 512 -- bytes of a field's name, which is looked up in every record

local is_list, is_object = input.is_list, input.is_object

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
  local operator = operators.find(name, state.times[field])
  if not operator then
    return failures.fail(4, ("the filter on %q has the unknown operator %q"):format(field, name))
  end
  local test = operator.make(operand)
  if not test then
    return failures.fail(4, ("%s on %q needs %s"):format(name, field, operator.needs))
  end
  local ok, failure = count(state)
  if not ok then return nil, failure end
  local read = state.read
  return function(record) return test(read(record, field)) end
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
---@param times table<string, true>? the fields that are times, as this server writes them
---@return (fun(record: table): boolean)? predicate
---@return stream_events.server.Failure? failure
function M.compile(conditions, read, times)
  if conditions == nil or conditions == json.null then return function() return true end end
  return compile_object(conditions, { read = read, times = times or {}, conditions = 0 }, 1)
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
---@param times table<string, true>? the fields that are times, as this server writes them
---@return (fun(a: table, b: table): boolean)? comparison
---@return stream_events.server.Failure? failure
function M.order(sort, read, finally, times)
  if sort == nil or sort == json.null then return finally end
  local ok, failure = check_sort(sort)
  if not ok then return nil, failure end
  local before = {}
  for i, item in ipairs(sort) do before[i] = operators.before(times and times[item.field]) end
  return function(a, b)
    for i, item in ipairs(sort) do
      local x, y = read(a, item.field), read(b, item.field)
      -- Values of different types are ordered by the names of their types, so that the order is one.
      if type(x) ~= type(y) then
        if x == nil or y == nil then return y == nil end
        return type(x) < type(y)
      elseif x ~= y and operators.comparable(x, y) then
        if item.direction == -1 then x, y = y, x end
        return before[i](x, y)
      end
    end
    return finally(a, b)
  end
end

return M
