--- For busted's --helper: lets Lua 5.1 read \xHH and \u{H} in the strings of specs. The product's own
-- modules, and everything on newer Luas, are loaded as they are.
local escapes = require "stream_events.rules.escapes"

if ("\x41") == "A" then return end -- luacheck: ignore 542

local loadfile_as_it_is = loadfile

function loadfile(name) -- luacheck: ignore 121 (busted loads specs with it)
  if not name:find "_spec%.lua$" then return loadfile_as_it_is(name) end
  local file, message = io.open(name, "rb")
  if not file then return nil, message end
  local text = file:read "*a"
  file:close()
  return loadstring(escapes.translate(text), "@" .. name) -- luacheck: ignore 113
end
