--- For busted's --helper: lets Lua 5.1 read the \xHH and \u{H} in the strings of specs, which are
--- letters to it. The product's own modules, and everything on newer Luas, are loaded as they are.
local lua = require "support.lua"

if ("\x41") == "A" then return end -- luacheck: ignore 542

local function decimal(bytes)
  return (bytes:gsub(".", function(byte) return ("\\%03d"):format(byte:byte()) end))
end

local function translated(text)
  return (text:gsub("\\(.)({?)(%x?%x?%x?%x?%x?%x?)(}?)", function(letter, opening, digits, closing)
    if letter == "x" and opening == "" and #digits >= 2 then
      return decimal(string.char(tonumber(digits:sub(1, 2), 16))) .. digits:sub(3) .. closing
    elseif letter == "u" and opening == "{" and closing == "}" then
      return decimal(lua.utf8_char(tonumber(digits, 16)))
    end
  end))
end

local loadfile_as_it_is = loadfile

function loadfile(name) -- luacheck: ignore 121 (busted loads specs with it)
  if not name:find "_spec%.lua$" then return loadfile_as_it_is(name) end
  local file, message = io.open(name, "rb")
  if not file then return nil, message end
  local text = file:read "*a"
  file:close()
  return loadstring(translated(text), "@" .. name) -- luacheck: ignore 113
end
