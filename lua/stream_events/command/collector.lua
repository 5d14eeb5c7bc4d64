--- How much garbage `serve` lets pile up before Lua collects it.
-- Most of the memory belongs to connections that are idle, so usually that is a third of what is in use.
-- But each cycle looks at everything in use, and while very many events are sent there are very many
-- cycles: then some MiB of garbage are allowed, which saves a quarter of the time.
local luv = require "luv"

local M = {}

local LEAST, MOST = 135, 1000 -- percent of what is in use, at which a cycle begins
local STEP = 200
local ALLOWANCE = 16384 -- KiB of garbage, while it is busy
local BUSY = 100 -- events a second
local SECOND = 1000
local FORGET = 1.1 -- by so much what is in use may seem to grow in a second

--- At how many percent of what is in use a cycle is to begin.
---@param in_use number KiB
---@param sent integer events in the last second
---@return integer
function M.percent(in_use, sent)
  if sent < BUSY then return LEAST end
  return math.max(LEAST, math.min(MOST, (100 + 100 * ALLOWANCE / in_use) // 1 | 0))
end

--- Looks after it from now on. Keeps no loop alive that has nothing else to do.
---@param server stream_events.server.Server
---@return fun() stop
function M.start(server)
  local sent, in_use = 0, nil
  local timer = luv.new_timer()
  local function tune()
    local now, before = collectgarbage "count", sent
    sent = server:stats().outcomes.accepted
    -- The heap right after a cycle is what is in use; nobody says when that was, but the least of what
    -- was seen lately comes near.
    in_use = math.min(now, (in_use or now) * FORGET)
    collectgarbage("incremental", M.percent(in_use, sent - before), STEP)
  end
  collectgarbage("incremental", LEAST, STEP)
  timer:unref()
  timer:start(SECOND, SECOND, tune)
  return function() timer:close() end
end

return M
