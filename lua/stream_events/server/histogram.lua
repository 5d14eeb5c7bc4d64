--- Counts how often a number was how large, in a few fixed classes: cheap enough for every request.
local M = {}

---@class stream_events.server.Histogram
---@field bounds number[] upper bounds of the classes, rising; one more class is for what is above all
---@field counts integer[] by class, #bounds + 1 of them
---@field sum number of all that was added
local Histogram = { __name = "stream_events.server.histogram" }
Histogram.__index = Histogram

---@param bounds number[] shared, read only
---@return stream_events.server.Histogram
function M.new(bounds)
  local counts = {}
  for i = 1, #bounds + 1 do counts[i] = 0 end
  return setmetatable({ bounds = bounds, counts = counts, sum = 0 }, Histogram)
end

---@param value number
function Histogram:add(value)
  local bounds, counts, class = self.bounds, self.counts, 1
  local bound = bounds[1]
  while bound and value > bound do
    class = class + 1
    bound = bounds[class]
  end
  counts[class] = counts[class] + 1
  self.sum = self.sum + value
end

return M
