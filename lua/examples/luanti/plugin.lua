-- Loads the plugin for this mod alone. Mods have no `require`, and only parts of `io` and `os`; the modules
-- of the plugin get globals of their own with all of that, and nothing of it is put where other mods find it.
local insecure = ...

local globals = setmetatable({}, { __index = insecure })

local function find(name)
  local tried = {}
  for template in insecure.package.path:gmatch "[^;]+" do
    local path = template:gsub("%?", (name:gsub("%.", "/")))
    local file = insecure.io.open(path)
    if file then
      file:close()
      return path
    end
    tried[#tried + 1] = "\n\tno file '" .. path .. "'"
  end
  return nil, table.concat(tried)
end

-- Behind the one that looks into package.preload; the plugin's part in C is left to those that follow.
table.insert(insecure.package.loaders, 2, function(name)
  if name ~= "stream_events" and not name:find "^stream_events%." then return nil end
  local path, tried = find(name)
  if not path then return tried end
  local chunk, problem = insecure.loadfile(path)
  if not chunk then error(problem, 0) end
  return insecure.setfenv(chunk, globals)
end)

return insecure.require "stream_events"
