--- Sends that wait to go out: which of them is next. Pure: no I/O and no clock.
--
-- Each belongs to a lane. In an ordered lane, one per channel and priority, the next one comes only when the
-- one before has its answer, so that they arrive in the order in which they were made. All that ask for
-- no order share one lane per priority, which holds nobody up.
--
-- As long as an urgent one waits no other goes, and no bulk as long as a normal one waits; lanes of the same
-- priority take turns. What was passed over so many times comes all the same, so that nothing waits for ever.
--
-- Of the sends with the same key only the newest waits, behind what its lane holds by then; and it waits for
-- the one of its key that is on its way, or that could overtake it.
local M = {}

local LOWEST = 3 -- priority: 1 is urgent, 2 normal, 3 bulk
local PATIENCE = 8 -- times that a priority is passed over

---@class stream_events.Waiting a send as far as this module is concerned; most of it are calls
---@field priority integer 1 to 3
---@field order string? the lane in which it keeps its place; nil: it has none
---@field key string? what it supersedes, and is superseded by; needs an order
---@field package lane stream_events.Lane? while it waits, or holds its lane
---@field package previous stream_events.Waiting?
---@field package following stream_events.Waiting?

---@class stream_events.Lane
---@field name string? nil: holds nobody up
---@field priority integer
---@field is_held boolean one of it is on its way
---@field is_ready boolean stands in the row of its priority
---@field first stream_events.Waiting?
---@field last stream_events.Waiting?

---@class stream_events.SendQueue
---@field count integer sends that wait
local Queue = { __name = "stream_events.send_queue" }
Queue.__index = Queue

---@return stream_events.SendQueue
function M.new()
  local self = setmetatable({ count = 0, lanes = {}, rows = {}, newest = {}, flying = {} }, Queue)
  for priority = 1, LOWEST do
    self.lanes[priority] = {} -- by name
    self.rows[priority] = { count = 0, passed = 0 } -- of lanes that are ready; sends that wait in any
  end
  return self
end

-- Doubly linked lists -----------------------------------------------------------------------------

local function append(list, node)
  node.previous, node.following = list.last, nil
  if list.last then list.last.following = node else list.first = node end
  list.last = node
end

local function prepend(list, node)
  node.previous, node.following = nil, list.first
  if list.first then list.first.previous = node else list.last = node end
  list.first = node
end

local function take_out(list, node)
  if node.previous then node.previous.following = node.following else list.first = node.following end
  if node.following then node.following.previous = node.previous else list.last = node.previous end
  node.previous, node.following = nil, nil
end

-- Lanes -------------------------------------------------------------------------------------------

-- Puts a lane into the row of its priority, takes it out there, or forgets it, as it is now.
local function arrange(self, lane)
  local is_ready = lane.first ~= nil and not lane.is_held
  if is_ready ~= lane.is_ready then
    lane.is_ready = is_ready
    local row = self.rows[lane.priority]
    if is_ready then append(row, lane) else take_out(row, lane) end
  end
  if not lane.first and not lane.is_held then self.lanes[lane.priority][lane.name or false] = nil end
end

local function count_in(self, lane, change)
  local row = self.rows[lane.priority]
  row.count, self.count = row.count + change, self.count + change
end

local function lane_of(self, send)
  local flying = send.key and self.flying[send.key]
  if flying then return flying.lane end -- behind it, whatever the priority
  local lanes, name = self.lanes[send.priority], send.order or false
  local lane = lanes[name]
  if not lane then
    lane = { name = send.order, priority = send.priority, is_held = false, is_ready = false }
    lanes[name] = lane
  end
  return lane
end

--- The one that would be superseded by a send of this key.
---@param key string?
---@return stream_events.Waiting?
function Queue:waiting_for(key)
  return key and self.newest[key] or nil
end

--- Adds a send at the end of its lane. One of the same key that waits has to be removed before.
---@param send stream_events.Waiting
function Queue:add(send)
  local lane = lane_of(self, send)
  send.lane = lane
  append(lane, send)
  if send.key then self.newest[send.key] = send end
  count_in(self, lane, 1)
  arrange(self, lane)
end

--- Takes out a send that waits.
---@param send stream_events.Waiting
function Queue:remove(send)
  local lane = send.lane
  take_out(lane, send)
  send.lane = nil
  if send.key then self.newest[send.key] = nil end
  count_in(self, lane, -1)
  arrange(self, lane)
end

-- The priority whose turn it is; nil: none may go now.
local function choose(self)
  local rows = self.rows
  for priority = LOWEST, 2, -1 do
    if rows[priority].first and rows[priority].passed >= PATIENCE then return priority end
  end
  for priority = 1, LOWEST do
    if rows[priority].count > 0 then return rows[priority].first and priority or nil end
  end
  return nil
end

--- Whether one may go out now.
---@return boolean
function Queue:is_ready()
  return self.count > 0 and choose(self) ~= nil
end

--- Takes out the send that is to go out now. release() or put_back() has to follow.
---@return stream_events.Waiting? send nil: none waits, or all of them wait for others
function Queue:next()
  local priority = choose(self)
  if not priority then return nil end
  local row = self.rows[priority]
  row.passed = 0
  for lower = priority + 1, LOWEST do
    if self.rows[lower].first then self.rows[lower].passed = self.rows[lower].passed + 1 end
  end
  local lane = row.first
  local send = lane.first
  take_out(lane, send)
  count_in(self, lane, -1)
  if send.key then self.newest[send.key], self.flying[send.key] = nil, send end
  -- The lane goes to the end of its row, or out of it.
  take_out(row, lane)
  lane.is_ready = false
  lane.is_held = lane.name ~= nil
  if not lane.is_held then send.lane = nil end
  arrange(self, lane)
  return send
end

local function let_lane_go(self, send)
  local lane = send.lane
  if send.key then self.flying[send.key] = nil end
  if not lane then return nil end
  lane.is_held = false
  return lane
end

--- A send that was taken out by next() has its answer: the next one of its lane may go.
---@param send stream_events.Waiting
function Queue:release(send)
  local lane = let_lane_go(self, send)
  send.lane = nil
  if lane then arrange(self, lane) end
end

--- A send that was taken out by next(), or went out without, is to be sent again: before the others of its
--- lane. Not when a newer one of its key waits.
---@param send stream_events.Waiting
---@return boolean done false: it is superseded, and release() has to follow
function Queue:put_back(send)
  if send.key and self.newest[send.key] then return false end
  local lane = let_lane_go(self, send) or lane_of(self, send)
  send.lane = lane
  prepend(lane, send)
  if send.key then self.newest[send.key] = send end
  count_in(self, lane, 1)
  arrange(self, lane)
  return true
end

--- All that wait, for sends that end before their turn.
---@return stream_events.Waiting[]
function Queue:all()
  local list = {}
  for priority = 1, LOWEST do
    for _, lane in pairs(self.lanes[priority]) do
      local send = lane.first
      while send do
        list[#list + 1] = send
        send = send.following
      end
    end
  end
  return list
end

return M
