--- What specs use of Lua 5.4 and what is missing, or named differently, where the client runs too:
--- Lua 5.1, LuaJIT and Lua 5.3. Kept out of the globals, since the client must do without it.
local M = {}

M.HAS_INTEGERS = math.type ~= nil -- else all numbers are floats, exact up to 2^53
M.MAX_INTEGER = math.maxinteger or 2 ^ 63
M.MIN_INTEGER = math.mininteger or -2 ^ 63
M.IS_JIT = rawget(_G, "jit") ~= nil
M.HAS_PAIRS = _VERSION ~= "Lua 5.1" -- pairs() asks a userdata for __pairs

--- The interpreter of these specs, for children that are to run on the same.
M.INTERPRETER = arg and arg[-1] or "lua5.4"

M.load = loadstring or load -- luacheck: ignore 113
M.unpack = table.unpack or unpack -- luacheck: ignore 113

function M.pack(...)
  return { n = select("#", ...), ... }
end

--- As math.type. Without integers, whole numbers count as such.
M.number_type = math.type or function(value)
  if type(value) ~= "number" then return nil end
  return value % 1 == 0 and "integer" or "float"
end

--- Runs a function with a value that a to-be-closed variable holds meanwhile; nil where there are no
--- such variables.
M.closing = _VERSION == "Lua 5.4" and load [[
  local value, run = ...
  local held <close> = value
  return run(held)
]] or nil

--- An object whose finalizer calls the function.
---@param finalizer fun()
function M.finalized(finalizer)
  if not rawget(_G, "newproxy") then
    return setmetatable({}, { __gc = function() finalizer() end })
  end
  local object = newproxy(true) -- luacheck: ignore 113 (Lua 5.1 asks no tables)
  getmetatable(object).__gc = function() finalizer() end
  return object
end

--- Makes each step of the collector a whole collection, finalizers included; false: as usual again.
function M.collect_at_once(yes)
  if _VERSION == "Lua 5.4" then
    collectgarbage(yes and "generational" or "incremental")
  else
    collectgarbage("setstepmul", yes and 200000000 or 200)
  end
end

--- A number as bytes, the highest first; what is a string stands for itself.
---@param value number|string
---@param count integer
---@return string
function M.big_endian(value, count)
  if type(value) == "string" then return value end
  local bytes = {}
  for i = count, 1, -1 do
    bytes[i] = string.char(value % 256)
    value = math.floor(value / 256)
  end
  return table.concat(bytes)
end

local known = {}

--- The two bytes XORed.
function M.xor(a, b)
  local at = a * 256 + b
  if not known[at] then
    local result, bit = 0, 1
    for _ = 1, 8 do
      if a % 2 ~= b % 2 then result = result + bit end
      a, b, bit = math.floor(a / 2), math.floor(b / 2), bit * 2
    end
    known[at] = result
  end
  return known[at]
end

--- The UTF-8 of a code point.
---@param point integer
---@return string
function M.utf8_char(point)
  local continued = { 0, 0x80, 0x800, 0x10000 }
  local leads = { 0, 0xC0, 0xE0, 0xF0 }
  local count = #continued
  while point < continued[count] do count = count - 1 end
  local bytes = ""
  for _ = 2, count do
    bytes = string.char(0x80 + point % 64) .. bytes
    point = math.floor(point / 64)
  end
  return string.char(leads[count] + point) .. bytes
end

return M
