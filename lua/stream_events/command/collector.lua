--- How much garbage `serve` lets pile up before Lua collects it.
-- Each cycle looks at everything in use, so the fewer of them the better: a few MiB of garbage instead
-- of the usual share of a small heap save a busy server a fifth of its time. Of a large heap, which is
-- mostly idle connections, that share would be too much: there a third is allowed.
local luv = require "luv"

local M = {}

local ALLOWANCE = 4096 -- KiB
local LEAST, MOST = 135, 400 -- percent of what is in use, at which a cycle begins
local STEP = 200
local SECOND = 1000
local FORGET = 1.1 -- by so much what is in use may seem to grow in a second

-- The heap right after a cycle is what is in use; nobody says when that was, but the least of what was
-- seen lately comes near.
local function tune(in_use)
  local now = collectgarbage "count"
  in_use = math.min(now, (in_use or now) * FORGET)
  local pause = math.max(LEAST, math.min(MOST, 100 + 100 * ALLOWANCE // in_use))
  collectgarbage("incremental", math.tointeger(pause), STEP)
  return in_use
end

--- Looks after it from now on. Keeps no loop alive that has nothing else to do.
---@return fun() stop
function M.start()
  local in_use = tune()
  local timer = luv.new_timer()
  timer:unref()
  timer:start(SECOND, SECOND, function() in_use = tune(in_use) end)
  return function() timer:close() end
end

return M
