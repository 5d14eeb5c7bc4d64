--- A stand-in for lua-cjson with the habits that the installed one does not have.
-- Two libraries share the name "cjson". Debian's reads every number as a float and writes 14
-- digits; the fork that LuaRocks installs keeps integers. This one behaves like the fork: integers
-- stay integers and are written exactly, floats get 17 digits. As both: null is a light userdata
-- NULL, an empty table is an object, "/" is escaped, the last of repeated keys wins, and NaN and
-- broken UTF-8 pass. Put it into package.loaded.cjson to see that nothing here minds.
local lua = require "support.lua"
local null = require "stream_events.core".json.null -- the only NULL that Lua code can get hold of

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local LETTERS = { ["\b"] = "b", ["\f"] = "f", ["\n"] = "n", ["\r"] = "r", ["\t"] = "t",
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }
local WORDS = { ["true"] = true, ["false"] = false, null = null, NaN = 0 / 0, nan = 0 / 0 }

local function fail(text, at)
  error(("Expected value but found invalid token at character %d of %d"):format(at, #text), 0)
end

local function read_string(text, at)
  local parts = {}
  while true do
    local plain, stop = text:match('^([^"\\]*)()', at)
    parts[#parts + 1], at = plain, stop + 1
    local c = text:sub(stop, stop)
    if c == '"' then return table.concat(parts), at end
    if c == "" then fail(text, stop) end
    local letter = text:sub(at, at)
    at = at + 1
    if letter == "u" then
      local code = tonumber(text:match("^%x%x%x%x", at), 16) or fail(text, at)
      at = at + 4
      local low = code >= 0xD800 and code < 0xDC00 and text:match("^\\u(%x%x%x%x)", at)
      if low then
        code = 0x10000 + (code - 0xD800) * 1024 + (tonumber(low, 16) - 0xDC00)
        at = at + 6
      end
      parts[#parts + 1] = lua.utf8_char(code)
    else
      parts[#parts + 1] = ESCAPES[letter] or letter
    end
  end
end

local read

local function read_list(text, at, close, item)
  local result, index = {}, 0
  at = text:match("^%s*()", at)
  if text:sub(at, at) == close then return result, at + 1 end
  while true do
    index = index + 1
    at = item(result, index, at)
    local mark
    mark, at = text:match("^%s*(.)%s*()", at)
    if mark == close then return result, at end
    if mark ~= "," then fail(text, at or #text) end
  end
end

function read(text, at)
  at = text:match("^%s*()", at)
  local c = text:sub(at, at)
  if c == '"' then return read_string(text, at + 1) end
  if c == "[" then
    return read_list(text, at + 1, "]", function(result, index, from)
      local value, stop = read(text, from)
      result[index] = value
      return stop
    end)
  end
  if c == "{" then
    return read_list(text, at + 1, "}", function(result, _, from)
      local start = text:match('^%s*"()', from) or fail(text, from)
      local key, stop = read_string(text, start)
      local value
      value, stop = read(text, text:match("^%s*:()", stop) or fail(text, stop))
      result[key] = value
      return stop
    end)
  end
  local word, stop = text:match("^(%a+)()", at)
  if word and WORDS[word] ~= nil then return WORDS[word], stop end
  local number
  number, stop = text:match("^(-?[%x.xX+eE-]+)()", at)
  local value = number and tonumber(number)
  if not value then fail(text, at) end
  return value, stop
end

local function write_string(text)
  return '"' .. text:gsub('[%c"\\/\127]', function(c)
    return LETTERS[c] and "\\" .. LETTERS[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local function write(value)
  local kind = type(value)
  if value == null then return "null" end
  if kind == "string" then return write_string(value) end
  if kind == "boolean" then return tostring(value) end
  if lua.number_type(value) == "integer" then return ("%d"):format(value) end
  if kind == "number" then return ("%.17g"):format(value) end
  if kind ~= "table" then error("Cannot serialise " .. kind .. ": type not supported", 0) end
  local parts = {}
  if #value > 0 then
    for i = 1, #value do parts[i] = write(value[i]) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, member in pairs(value) do
    parts[#parts + 1] = write_string(tostring(key)) .. ":" .. write(member)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function nested(value)
  local deepest = 0
  for _, inner in pairs(type(value) == "table" and value or {}) do
    if type(inner) == "table" then deepest = math.max(deepest, nested(inner)) end
  end
  return deepest + 1
end

local M = { null = null, _NAME = "cjson", _VERSION = "stand-in" }

--- An instance with settings of its own.
function M.new()
  local instance = { null = null, new = M.new, encode = write }
  local lax, deepest = true, 1000
  function instance.decode_invalid_numbers(yes) lax = yes end
  function instance.decode_max_depth(depth) deepest = depth end
  function instance.decode(text)
    if not lax and (text:find "0[xX]" or text:find "[nN]a[nN]") then fail(text, 1) end
    local value, at = read(text, 1)
    if text:find("%S", at) then fail(text, at) end
    if type(value) == "table" and nested(value) > deepest then fail(text, 1) end
    return value
  end
  --- Settings that programs use and that change nothing here.
  for _, name in ipairs { "encode_sparse_array", "encode_max_depth", "encode_number_precision",
    "encode_keep_buffer", "encode_invalid_numbers" } do
    instance[name] = function(value) return value end
  end
  return instance
end

for name, value in pairs(M.new()) do M[name] = value end

return M
