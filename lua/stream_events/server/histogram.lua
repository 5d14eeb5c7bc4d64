--- Counts how often a number was how large, in a few fixed classes: cheap enough for every request.
local M = {}

---@class stream_events.server.Histogram
---@field bounds number[] upper bounds of the classes, rising; one more class is for what is above all
---@field counts integer[] by class, #bounds + 1 of them
---@field sum number of all that was added
---@field private last integer the class of the last number: the next one is mostly near
local Histogram = { __name = "stream_events.server.histogram" }
Histogram.__index = Histogram

---@param bounds number[] shared, read only
---@return stream_events.server.Histogram
function M.new(bounds)
  local counts = {}
  for i = 1, #bounds + 1 do counts[i] = 0 end
  return setmetatable({ bounds = bounds, counts = counts, sum = 0, last = 1 }, Histogram)
end

---@param value number
function Histogram:add(value)
  local bounds, counts, class = self.bounds, self.counts, self.last
  local bound = bounds[class]
  while bound and value > bound do
    class = class + 1
    bound = bounds[class]
  end
  while class > 1 and value <= bounds[class - 1] do class = class - 1 end
  counts[class] = counts[class] + 1
  self.sum, self.last = self.sum + value, class
end

return M
