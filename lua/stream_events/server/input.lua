--- Reads what a client wrote: checks each field that is known, leaves out the rest, and takes null
-- for absent, as clients of other languages mean it.
local native = require "stream_events.native"
local failures = require "stream_events.server.failure"

local M = {}

local json = native.json

---@param value any
---@return boolean
function M.is_list(value)
  return type(value) == "table" and getmetatable(value) == json.array_mt
end

---@param value any
---@return boolean
function M.is_object(value)
  return type(value) == "table" and getmetatable(value) ~= json.array_mt
end

local function is_strings(value)
  if not M.is_list(value) then return false end
  for _, item in ipairs(value) do
    if type(item) ~= "string" then return false end
  end
  return true
end

local CHECKS = {
  string = { function(value) return type(value) == "string" end, "a string" },
  boolean = { function(value) return type(value) == "boolean" end, "true or false" },
  count = { function(value) return math.type(value) == "integer" and value >= 0 end,
    "a whole number that is not negative" },
  object = { M.is_object, "an object" },
  list = { M.is_list, "a list" },
  strings = { is_strings, "a list of strings" },
}

--- The fields of `source` that `shape` names.
---@param source table a decoded object
---@param shape table<string, string> name to "string" "boolean" "count" "object" "list" "strings"
---@param where string? what the object is, for the message, e.g. "data"
---@return table? fields
---@return stream_events.server.Failure? failure
function M.read(source, shape, where)
  local fields = {}
  for name, kind in pairs(shape) do
    local value = source[name]
    if value ~= nil and value ~= json.null then
      local check = CHECKS[kind]
      if not check[1](value) then
        local path = where and where .. "." .. name or name
        return failures.fail(4, ("%s must be %s"):format(path, check[2]))
      end
      fields[name] = value
    end
  end
  return fields
end

local MAX_DATA = 5120 -- bytes of it as JSON
local MAX_DEPTH = 16 -- answers and events carry it some levels deep inside of themselves

local function is_deeper(value, limit)
  if type(value) ~= "table" then return false end
  if limit == 0 then return true end
  for _, inner in pairs(value) do
    if is_deeper(inner, limit - 1) then return true end
  end
  return false
end

--- Refuses what somebody wants to be kept, when it is too large or nested too deep to be handed on.
---@param data table decoded
---@param what string for the message
---@return true? ok
---@return stream_events.server.Failure? failure
function M.check_data(data, what)
  if is_deeper(data, MAX_DEPTH) then
    return failures.fail(4, ("%s is nested more than %d deep"):format(what, MAX_DEPTH))
  end
  local text, err = json.encode(data)
  if not text then return failures.fail(4, ("%s cannot be stored: %s"):format(what, err.message)) end
  if #text <= MAX_DATA then return true end
  return failures.fail(22, ("%s has %d bytes, %d are allowed"):format(what, #text, MAX_DATA))
end

--- Refuses a list that is too long for one call.
---@param count integer of its entries
---@param most integer
---@param name string of the list
---@param entries string what it holds, for the message
---@return true? ok
---@return stream_events.server.Failure? failure
function M.check_count(count, most, name, entries)
  if count <= most then return true end
  return failures.fail(22, ("%s holds %d %s, %d are allowed in one call"):format(name, count, entries, most))
end

--- A whole number within bounds, or its default where there is none.
---@param value any decoded
---@param name string for the message
---@param default integer
---@param least integer
---@param most integer
---@return integer? number
---@return stream_events.server.Failure? failure
function M.bounded(value, name, default, least, most)
  if value == nil or value == json.null then return default end
  local whole = type(value) == "number" and math.tointeger(value)
  if whole and whole >= least and whole <= most then return whole end
  return failures.fail(4, ("%s must be a whole number from %d to %d"):format(name, least, most))
end

--- A page of a list: limit and offset, within bounds.
---@param source table? an object with limit and offset, or nil
---@param where string for the message
---@param default integer
---@param longest integer
---@return integer? limit
---@return integer|stream_events.server.Failure offset_or_failure
function M.page(source, where, default, longest)
  local page, failure = M.read(source or {}, { limit = "count", offset = "count" }, where)
  if not page then return nil, failure end
  local limit, offset = page.limit or default, page.offset or 0
  if limit > longest then
    return failures.fail(4, ("%s.limit must be at most %d"):format(where, longest))
  end
  return limit, offset
end

return M
