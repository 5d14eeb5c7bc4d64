--- How long frames take, and what of that is the plugin's. Pure: it is told.
local M = {}

local FRAMES = 150 -- that are kept

---@class lobby.Meter
---@field frames number[] milliseconds of the last frames, a ring
---@field at integer index of the newest
---@field plugin number milliseconds of the plugin in this frame, smoothed
---@field worst number milliseconds of its longest
---@field events integer handlers and callbacks that ran in this frame
---@field most integer that ever ran in one
---@field total integer that ran so far
---@field busy integer frames in which any ran
local Meter = {}
Meter.__index = Meter

---@return lobby.Meter
function M.new()
  local frames = {}
  for i = 1, FRAMES do frames[i] = 0 end
  return setmetatable({
    frames = frames, at = FRAMES, plugin = 0, worst = 0,
    events = 0, most = 0, total = 0, busy = 0,
  }, Meter)
end

--- One frame has passed.
---@param milliseconds number
function Meter:add_frame(milliseconds)
  self.at = self.at % FRAMES + 1
  self.frames[self.at] = milliseconds
end

--- The plugin has had its turn in this frame.
---@param milliseconds number
---@param events integer
function Meter:add_turn(milliseconds, events)
  self.plugin = self.plugin + (milliseconds - self.plugin) * 0.1
  self.worst = math.max(self.worst, milliseconds)
  self.events, self.total = events, self.total + events
  self.most = math.max(self.most, events)
  if events > 0 then self.busy = self.busy + 1 end
end

--- The frames from the oldest to the newest.
---@return fun(): integer?, number?
function Meter:each_frame()
  local i = 0
  return function()
    if i == FRAMES then return nil end
    i = i + 1
    return i, self.frames[(self.at + i - 1) % FRAMES + 1]
  end
end

M.FRAMES = FRAMES

return M
