--- The first few of many by some order, without sorting the rest: a page of a long list.
local M = {}

---@class stream_events.server.First
---@field private heap any[] the last of the kept ones is on top
local First = { __name = "stream_events.server.first" }
First.__index = First

---@param most integer so many are kept, at least 1
---@param before fun(a: any, b: any): boolean
---@return stream_events.server.First
function M.new(most, before)
  return setmetatable({ heap = {}, most = most, before = before }, First)
end

local function rise(heap, before)
  local i = #heap
  while i > 1 do
    local parent = i // 2
    if not before(heap[parent], heap[i]) then return end
    heap[parent], heap[i] = heap[i], heap[parent]
    i = parent
  end
end

local function sink(heap, before)
  local i, size = 1, #heap
  while true do
    local last = i
    for child = 2 * i, math.min(2 * i + 1, size) do
      if before(heap[last], heap[child]) then last = child end
    end
    if last == i then return end
    heap[last], heap[i] = heap[i], heap[last]
    i = last
  end
end

--- Keeps an item, if it belongs to the first.
---@param item any
function First:add(item)
  local heap = self.heap
  if #heap < self.most then
    heap[#heap + 1] = item
    rise(heap, self.before)
  elseif self.before(item, heap[1]) then
    heap[1] = item
    sink(heap, self.before)
  end
end

--- What is kept, in order. Nothing can be added afterwards.
---@return any[]
function First:sorted()
  table.sort(self.heap, self.before)
  return self.heap
end

--- The page at the end of what is kept: all but so many of the first.
---@param offset integer
---@return any[]
function First:page(offset)
  return { table.unpack(self:sorted(), offset + 1) }
end

return M
