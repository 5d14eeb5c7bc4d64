--- The newest of the events that a receiver has missed, out of many channels: in their order, and no
-- more than an answer may hold.
local M = {}

-- The protocol knows no more of a sync (§3.10).
M.MAX_EVENTS = 2000
M.MAX_BYTES = 4 << 20

-- A heap of spans, on top of which stands the one with the newest event.
local function sift_down(heap, at)
  local item, size = heap[at], #heap
  while true do
    local child = at * 2
    if child > size then break end
    if child < size and heap[child + 1].newest > heap[child].newest then child = child + 1 end
    if heap[child].newest <= item.newest then break end
    heap[at], at = heap[child], child
  end
  heap[at] = item
end

local function heap_of(spans)
  local heap = {}
  for i, span in ipairs(spans) do
    local _, newest = span.ring:get(span.high)
    heap[i] = { span = span, at = span.high, newest = newest }
  end
  for at = #heap // 2, 1, -1 do sift_down(heap, at) end
  return heap
end

-- Takes the newest event away from the span on top.
local function advance(heap)
  local top = heap[1]
  top.at = top.at - 1
  if top.at > top.span.low then
    local _
    _, top.newest = top.span.ring:get(top.at)
  else
    heap[1] = heap[#heap]
    heap[#heap] = nil
  end
  if heap[1] then sift_down(heap, 1) end
end

local function reversed(list)
  local count = #list
  for i = 1, count // 2 do list[i], list[count + 1 - i] = list[count + 1 - i], list[i] end
  return list
end

--- The events of these spans, oldest first; where there are too many, the newest of them.
---@param spans stream_events.server.MissedSpan[] none of them empty
---@return string[] texts
---@return table<string, true> cut cids of which older ones had to be left out
function M.collect(spans)
  local heap, texts, bytes, cut = heap_of(spans), {}, 0, {}
  while heap[1] and #texts < M.MAX_EVENTS do
    local top = heap[1]
    local text = top.span.ring:get(top.at)
    bytes = bytes + #text
    if bytes > M.MAX_BYTES then break end
    texts[#texts + 1] = text
    advance(heap)
  end
  for _, left in ipairs(heap) do cut[left.span.cid] = true end
  return reversed(texts), cut
end

return M
