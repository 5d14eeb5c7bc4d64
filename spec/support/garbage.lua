--- Collects garbage until only what is in use is left.
-- LuaJIT's traces take memory when they are made, whenever that is, and keep what they were made for.
local M = {}

local jit = package.loaded.jit

--- Frees all that nobody can reach any more.
function M.collect()
  if jit then jit.flush() end
  collectgarbage()
  collectgarbage() -- what had a finalizer
end

--- How much memory is in use.
---@return number KiB
function M.in_use()
  M.collect()
  return collectgarbage "count"
end

return M
