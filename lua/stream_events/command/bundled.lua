--- The modules of the bundled server, which is a package of its own and may be missing.
local M = {}

--- Loads one of them.
---@param name string "stream_events.server", ...
---@return any? module
---@return string? message for people
function M.load(name)
  local found, module = pcall(require, name)
  if found then return module end
  if tostring(module):find(("module '%s' not found"):format(name), 1, true) then
    return nil, "the server is a package of its own: luarocks install stream-events-server"
  end
  return nil, tostring(module)
end

return M
