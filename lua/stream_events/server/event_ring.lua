--- A bounded run of events of one channel, the oldest of which makes room for the newest.
-- Its slots are used again and again, so that keeping an event allocates nothing. An event is its
-- text and its stamp (microseconds); stamps grow, and say where a receiver has left off.
local M = {}

-- What an event costs beside the bytes of its text: the string's head, and two slots.
local OVERHEAD = 64

---@class stream_events.server.EventRing
---@field count integer events that are kept
---@field bytes integer
---@field lost integer the stamp of the newest event that is no longer kept; 0: none
---@field private capacity integer
---@field private first integer slot of the oldest
---@field private texts (string|false)[] by slot
---@field private stamps integer[] by slot
local Ring = { __name = "stream_events.server.event_ring" }
Ring.__index = Ring

---@param capacity integer
---@return stream_events.server.EventRing
function M.new(capacity)
  return setmetatable({
    capacity = capacity, first = 1, count = 0, bytes = 0, lost = 0, texts = {}, stamps = {},
  }, Ring)
end

--- Takes in the newest event.
---@param text string
---@param stamp integer
---@return integer change of the bytes that are kept
function Ring:push(text, stamp)
  local before = self.bytes
  local capacity, count = self.capacity, self.count
  if count == capacity then
    self:drop()
    count = count - 1
  end
  local at = (self.first + count - 1) % capacity + 1
  self.texts[at], self.stamps[at] = text, stamp
  self.count = count + 1
  self.bytes = self.bytes + #text + OVERHEAD
  return self.bytes - before
end

--- Forgets the oldest event.
function Ring:drop()
  local first = self.first
  self.bytes = self.bytes - #self.texts[first] - OVERHEAD
  self.lost = math.max(self.lost, self.stamps[first])
  self.texts[first] = false
  self.first = first % self.capacity + 1
  self.count = self.count - 1
  -- An empty one is to hold no memory: there may be one for every channel.
  if self.count == 0 and #self.texts > 16 then self.texts, self.stamps, self.first = {}, {}, 1 end
end

--- Forgets some events, wherever they stand: a gap for whoever was away before the newest of them.
---@param is_gone fun(text: string): boolean
function Ring:remove(is_gone)
  local gone, texts, stamps, count = {}, {}, {}, 0
  for place = 1, self.count do gone[place] = is_gone(self:get(place)) or nil end
  if next(gone) == nil then return end
  for place = 1, self.count do
    local text, stamp = self:get(place)
    if gone[place] then
      self.bytes = self.bytes - #text - OVERHEAD
      self.lost = math.max(self.lost, stamp)
    else
      count = count + 1
      texts[count], stamps[count] = text, stamp
    end
  end
  self.texts, self.stamps, self.first, self.count = texts, stamps, 1, count
end

--- The stamp of the oldest event; there must be one.
---@return integer
function Ring:oldest()
  return self.stamps[self.first]
end

--- An event by its place, from 1 for the oldest.
---@param place integer
---@return string text
---@return integer stamp
function Ring:get(place)
  local at = (self.first + place - 2) % self.capacity + 1
  return self.texts[at], self.stamps[at]
end

--- How many events have a stamp that is not greater.
---@param stamp integer
---@return integer
function Ring:up_to(stamp)
  local low, high = 0, self.count
  while low < high do
    local middle = (low + high + 1) // 2
    local _, found = self:get(middle)
    if found <= stamp then low = middle else high = middle - 1 end
  end
  return low
end

--- Makes it hold more events, or fewer.
---@param capacity integer
function Ring:resize(capacity)
  while self.count > capacity do self:drop() end
  local texts, stamps = {}, {}
  for place = 1, self.count do texts[place], stamps[place] = self:get(place) end
  self.texts, self.stamps, self.first, self.capacity = texts, stamps, 1, capacity
end

return M
