--- Who plays, and the keys by which their games are known. A real backend has them in its database, and gives
-- a key when a player signs in.
local webhook = require "stream_events.webhook"

local M = {}

local Players = {}
Players.__index = Players

-- Looking up a digest instead of the key tells nobody, by the time it takes, how much of a key was right.
local function digest(key)
  return webhook.sign(key, "players")
end

--- Reads a file with lines `ID KEY`; what begins with # is a remark.
---@param path string
---@return table? players
---@return string? problem
function M.read(path)
  local file, problem = io.open(path)
  if not file then return nil, problem end
  local self = setmetatable({ by_digest = {}, order = {} }, Players)
  for line in file:lines() do
    local id, key = line:match "^([%w_@-]+)%s+(%S+)%s*$"
    if id then
      self.by_digest[digest(key)] = id
      self.order[#self.order + 1] = id
    elseif not line:find "^%s*#" and line:find "%S" then
      problem = path .. ": a line is not ID KEY" -- which might be shown, and the key with it
    end
  end
  file:close()
  if problem or not self.order[1] then return nil, problem or path .. ": there is nobody" end
  return self
end

--- The player whose key that is; nil: nobody's.
---@param key string
---@return string? id
function Players:of_key(key)
  return self.by_digest[digest(key)]
end

---@return string[]
function Players:ids()
  return self.order
end

return M
