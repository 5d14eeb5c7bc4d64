--- The words of a rule file: what its environment holds, and what else one may look for in it.
local M = {}

local function set(text)
  local result = {}
  for word in text:gmatch("%S+") do result[word] = true end
  return result
end

--- Kinds of fields.
M.FIELDS = set "string integer number boolean array object one_of optional any"

--- Every global name.
M.GLOBALS = set [[
  default mode event refuse honeypot include
  string integer number boolean array object one_of optional any none_of
  allow drop quarantine flag rewrite
  ipairs next pairs select tonumber tostring type assert error math table utf8]]

--- What each library holds.
M.LIBRARIES = {
  string = set [[byte char find format len lower rep reverse sub upper
    starts_with ends_with contains glob]],
  math = set [[abs ceil floor max min fmod modf sqrt exp log sin cos tan asin acos atan
    deg rad huge pi maxinteger mininteger tointeger type]],
  table = set "concat insert remove sort unpack",
  utf8 = set "char codepoint codes len offset",
}

--- What the `context` of a check holds.
M.CONTEXT = set "now trust cid size direction marked mark count"

--- Names of Lua's own that rules do not have, with what there is instead.
M.MISSING = {
  raise = "error",
}
for word in ([[_G _ENV _VERSION bit bit32 collectgarbage coroutine debug dofile getfenv getmetatable io
  jit load loadfile loadstring module newproxy os package pcall print rawequal rawget rawlen rawset
  require setfenv setmetatable unpack warn xpcall]]):gmatch("%S+") do
  M.MISSING[word] = M.MISSING[word] or ""
end
M.MISSING.unpack = "table.unpack"

--- Methods of strings that rules do not have.
M.STRING_METHODS = set "gsub gmatch match dump pack packsize unpack"

--- Functions of Lua's libraries that rules do not have.
M.REMOVED = set [[gsub gmatch match dump pack packsize unpack random randomseed move foreach foreachi getn
  maxn cosh sinh tanh pow frexp ldexp log10 ult charpattern]]

return M
