--- Whether the server can do its work: it is not about to stop, and its database can be written.
-- The database is tried at most once in a while, so that asking costs nothing.
local native = require "stream_events.native"

local M = {}

local TRY_EVERY = 5 -- seconds

---@class stream_events.server.Health
---@field stopping boolean? set when the server is told to stop
local Health = { __name = "stream_events.server.health" }
Health.__index = Health

---@param parts { store: table, log: stream_events.server.Log }
---@return stream_events.server.Health
function M.new(parts)
  return setmetatable({ store = parts.store, log = parts.log }, Health)
end

local function try(self)
  local ok, problem = pcall(self.store.try_to_write, self.store)
  if not ok and not self.problem then
    self.log("error", "the database cannot be written", { error = tostring(problem) })
  elseif ok and self.problem then
    self.log("info", "the database can be written again")
  end
  self.problem = not ok and problem or nil
end

--- How things are.
---@return "ok"|"stopping"|"database"
function Health:status()
  if self.stopping then return "stopping" end
  local now = native.now()
  if not self.tried or now - self.tried >= TRY_EVERY then
    self.tried = now
    try(self)
  end
  return self.problem and "database" or "ok"
end

return M
