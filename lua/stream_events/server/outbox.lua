--- What is still to be delivered by webhooks, kept in the database: after a kill -9 it is all there.
-- Additions are gathered and written together, in one transaction, by commit(); those of one hook in rows
-- of many, which cost a small part of as many rows. Nobody waits for removals: a row goes when all of it
-- was removed, and removals are written when there are many. What was removed and is still there is
-- delivered once more after a crash.
local native = require "stream_events.native"

local M = {}

local encode = native.json.encode

local KIND = "webhook"
local TOGETHER = 64 -- deliveries in a row: one that hangs keeps so many at most
local MANY = 128 -- removals that go along with additions
local MOST = 256 -- removals that wait for some
local CACHE_ENTRIES = 1024

---@class stream_events.server.HookDelivery
---@field hook string? id of the hook, of one that an earlier run has left
---@field id string of the event, the same for all attempts
---@field type string of the event
---@field body string
---@field row stream_events.server.OutboxRow|false
---@field owner table? whose it is
---@field attempt integer of those made since the start
---@field deadline number|false of all attempts, native.now()

---@class stream_events.server.OutboxRow
---@field number integer its key
---@field hook string? while it is not written, as the texts and bodies
---@field texts string[]? of each delivery, as JSON, what is kept beside its body
---@field bodies string[]?
---@field size integer deliveries in it
---@field left integer of those that are not removed

---@class stream_events.server.Outbox
---@field unwritten integer of additions
---@field unremoved integer of removals that are not written
---@field private store stream_events.server.Store
---@field private number integer of the last row
---@field private added stream_events.server.HookDelivery[]
---@field private rows stream_events.server.OutboxRow[] of these
---@field private open table<string, stream_events.server.OutboxRow> the last one of each hook
---@field private removed integer[] numbers of rows
local Outbox = { __name = "stream_events.server.outbox" }
Outbox.__index = Outbox

---@param store stream_events.server.Store
---@return stream_events.server.Outbox
function M.new(store)
  return setmetatable({
    store = store, number = 0, added = {}, rows = {}, open = {}, removed = {}, unwritten = 0, unremoved = 0,
    beginnings = {}, beginning_count = 0,
  }, Outbox)
end

--- What an earlier run has left, the oldest first. To be called before anything is added.
---@return stream_events.server.HookDelivery[]
function Outbox:load()
  local deliveries = {}
  for key, document, bodies in self.store:each_with_body(KIND) do
    self.number = key
    local row, at = { number = key, size = #document.deliveries, left = #document.deliveries }, 1
    for _, kept in ipairs(document.deliveries) do
      local event_type, id, length = kept[1], kept[2], kept[3]
      deliveries[#deliveries + 1] = {
        hook = document.hook, id = id, type = event_type, body = bodies:sub(at, at + length - 1), row = row,
        attempt = 0, deadline = false,
      }
      at = at + length
    end
  end
  return deliveries
end

--- Whether it outlives the server.
---@return boolean
function Outbox:is_lasting()
  return self.store.path ~= ":memory:"
end

-- What is kept of a delivery beside its body is a JSON list that begins with the event's type, which is
-- the same again and again. Emptied when it is full.
local function beginning(self, event_type)
  local text = self.beginnings[event_type]
  if text then return text end
  if self.beginning_count >= CACHE_ENTRIES then self.beginnings, self.beginning_count = {}, 0 end
  text = ('[%s,"'):format(encode(event_type))
  self.beginnings[event_type], self.beginning_count = text, self.beginning_count + 1
  return text
end

-- The row of a hook that has room for one more.
local function row_for(self, hook)
  local row = self.open[hook]
  if row and row.size < TOGETHER then return row end
  self.number = self.number + 1
  row = { number = self.number, hook = hook, texts = {}, bodies = {}, size = 0, left = 0 }
  self.open[hook], self.rows[#self.rows + 1] = row, row
  return row
end

--- Takes a delivery; it is kept from the next commit on.
---@param hook string its id
---@param delivery stream_events.server.HookDelivery whose id needs no escapes
function Outbox:add(hook, delivery)
  local row, body = row_for(self, hook), delivery.body
  local size = row.size + 1
  row.size, row.left = size, size
  row.texts[size] = beginning(self, delivery.type) .. delivery.id .. '",' .. #body .. "]"
  row.bodies[size] = body
  delivery.row = row
  self.unwritten = self.unwritten + 1
  self.added[self.unwritten] = delivery
end

--- Lets go of one that was delivered, or given up.
---@param delivery stream_events.server.HookDelivery
function Outbox:remove(delivery)
  local row = delivery.row
  row.left = row.left - 1
  if row.left > 0 then return end
  self.unremoved = self.unremoved + row.size
  self.removed[#self.removed + 1] = row.number
end

--- Whether so many removals wait that they should be written.
---@return boolean
function Outbox:is_full()
  return self.unremoved >= MOST
end

-- The first and the last of each run of numbers without a gap: what came together is mostly removed together.
local function ranges_of(numbers)
  table.sort(numbers)
  local ranges, first = {}, 1
  for i, number in ipairs(numbers) do
    if numbers[i + 1] ~= number + 1 then
      ranges[#ranges + 1] = { numbers[first] + 0.0, number + 0.0 }
      first = i + 1
    end
  end
  return ranges
end

local function write(self, rows, with_removals)
  if with_removals then self.store:delete_ranges(KIND, ranges_of(self.removed)) end
  for _, row in ipairs(rows) do
    self.store:add(KIND, row.number + 0.0,
      ('{"hook":%s,"deliveries":[%s]}'):format(encode(row.hook), table.concat(row.texts, ",")),
      table.concat(row.bodies))
  end
end

--- Writes all of it, or nothing. Whatever comes of it, the additions are the caller's from then on;
--- removals that could not be written are tried again with the next.
---@param with_removals boolean? also when there are few
---@return stream_events.server.HookDelivery[] added in the order in which they came
---@return any problem nil: they are kept
function Outbox:commit(with_removals)
  local added, rows = self.added, self.rows
  with_removals = with_removals or self.unremoved >= MANY
  if self.unwritten + (with_removals and self.unremoved or 0) == 0 then return added end
  self.added, self.rows, self.open, self.unwritten = {}, {}, {}, 0
  local ok, problem = pcall(self.store.transaction, self.store, write, self, rows, with_removals)
  for _, row in ipairs(rows) do row.texts, row.bodies = nil, nil end
  if not ok then return added, problem end
  if with_removals then self.removed, self.unremoved = {}, 0 end
  return added
end

return M
