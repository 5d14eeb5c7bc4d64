--- Drives the rules of a program that runs in a luv loop: looks at watched files, and goes on with
--- reloads, when it is time. Keeps no loop alive that has nothing else to do.
local luv = require "luv"

local M = {}

---@class stream_events.rules.Driver
---@field engine stream_events.rules.Engine
local Driver = { __name = "stream_events.rules.driver" }
Driver.__index = Driver

local SHORTEST = 1 -- millisecond: luv calls a timer of none again and again before it looks at sockets

local function arm(self)
  if self.timer:is_closing() then return end
  local seconds = self.engine:timeout()
  self.timer:stop()
  if seconds then self.timer:start(math.max(SHORTEST, math.ceil(seconds * 1000)), 0, self.turn) end
end

--- Starts.
---@param engine stream_events.rules.Engine
---@param failed fun(err: any) told of what a callback of a reload raised
---@return stream_events.rules.Driver
function M.new(engine, failed)
  local self = setmetatable({ engine = engine, timer = assert(luv.new_timer()) }, Driver)
  self.timer:unref()
  self.turn = function()
    local ok, err = xpcall(engine.step, debug.traceback, engine)
    if not ok then failed(err) end
    arm(self)
  end
  arm(self)
  return self
end

--- Reads the rules again; the old ones stay in force if anything is wrong with the new.
---@param done fun(ok: true?, err: stream_events.Error?)
function Driver:reload(done)
  self.engine:reload(done)
  arm(self)
end

--- Ends what is under way.
---@param err stream_events.Error
---@param closed fun()? called when nothing of it is left
function Driver:close(err, closed)
  self.engine:close(err)
  self.timer:close(closed)
end

return M
