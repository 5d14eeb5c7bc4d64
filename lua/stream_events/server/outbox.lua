--- What is still to be delivered by webhooks, kept in the database: after a kill -9 it is all there, and
-- after a power cut what was there by the last sync().
-- Additions are gathered and written together, in one transaction, by commit(). Nobody waits for
-- removals: they are written when there are many, whole pages at a time. What was removed and not yet
-- written is delivered once more after a crash.
local native = require "stream_events.native"

local M = {}

local encode = native.json.encode

local KIND = "webhook"
local MANY = 128 -- removals that go along with additions
local MOST = 256 -- removals that wait for some
local CACHE_ENTRIES = 1024

---@class stream_events.server.HookDelivery
---@field hook string? id of the hook, of one that an earlier run has left
---@field id string of the event, the same for all attempts
---@field type string of the event
---@field body string
---@field number integer|false in the order in which they came
---@field owner table? whose it is
---@field attempt integer of those made since the start
---@field deadline number|false of all attempts, native.now()
---@field since number|false native.now() when it was accepted; of one that an earlier run has left, taken up

---@class stream_events.server.Outbox
---@field unwritten integer of additions
---@field unremoved integer of removals that are not written
---@field private has_written boolean? since sync() had nothing to do
---@field private store stream_events.server.Store
---@field private number integer of the last key
---@field private added stream_events.server.HookDelivery[]
---@field private rows any[] of these: key, document and body of each
---@field private removed integer[] their numbers
local Outbox = { __name = "stream_events.server.outbox" }
Outbox.__index = Outbox

---@param store stream_events.server.Store
---@return stream_events.server.Outbox
function M.new(store)
  return setmetatable({
    store = store, number = 0, added = {}, rows = {}, removed = {}, unwritten = 0, unremoved = 0,
    beginnings = {}, beginning_count = 0,
  }, Outbox)
end

--- What an earlier run has left, the oldest first. To be called before anything is added.
---@return stream_events.server.HookDelivery[]
function Outbox:load()
  local deliveries = {}
  for key, document, body in self.store:each_with_body(KIND) do
    self.number = key
    document.number, document.attempt = self.number, 0
    document.body = body or document.body
    deliveries[#deliveries + 1] = document
  end
  return deliveries
end

--- Whether it outlives the server.
---@return boolean
function Outbox:is_lasting()
  return self.store.path ~= ":memory:"
end

-- What is kept of a delivery beside its body is a JSON object that ends in its id. The beginning, up to
-- the id, is the same again and again. Emptied when it is full.
local function beginning(self, hook, event_type)
  local of_hook = self.beginnings[hook]
  local text = of_hook and of_hook[event_type]
  if text then return text end
  if self.beginning_count >= CACHE_ENTRIES then
    self.beginnings, self.beginning_count, of_hook = {}, 0, nil
  end
  if not of_hook then
    of_hook = {}
    self.beginnings[hook] = of_hook
  end
  text = ('{"hook":%s,"type":%s,"id":"'):format(encode(hook), encode(event_type))
  of_hook[event_type], self.beginning_count = text, self.beginning_count + 1
  return text
end

--- Takes a delivery; it is kept from the next commit on.
---@param hook string its id
---@param delivery stream_events.server.HookDelivery whose id needs no escapes
function Outbox:add(hook, delivery)
  local rows, n = self.rows, 3 * self.unwritten
  self.number = self.number + 1
  delivery.number = self.number
  rows[n + 1] = delivery.number + 0.0
  rows[n + 2] = beginning(self, hook, delivery.type) .. delivery.id .. '"}'
  rows[n + 3] = delivery.body
  self.unwritten = self.unwritten + 1
  self.added[self.unwritten] = delivery
end

--- Lets go of one that was delivered, or given up.
---@param delivery stream_events.server.HookDelivery
function Outbox:remove(delivery)
  self.unremoved = self.unremoved + 1
  self.removed[self.unremoved] = delivery.number
end

--- Lets go of the first so many of these.
---@param deliveries stream_events.server.HookDelivery[]
---@param count integer
function Outbox:remove_all(deliveries, count)
  local removed, before = self.removed, self.unremoved
  for i = 1, count do removed[before + i] = deliveries[i].number end
  self.unremoved = before + count
end

--- Whether so many removals wait that they should be written.
---@return boolean
function Outbox:is_full()
  return self.unremoved >= MOST
end

-- The first and the last key of each row of numbers without a gap: what came together is mostly removed
-- together.
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
  self.store:add_all(KIND, rows)
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
  self.added, self.rows, self.unwritten = {}, {}, 0
  local ok, problem = pcall(self.store.quick_transaction, self.store, write, self, rows, with_removals)
  if not ok then return added, problem end
  self.has_written = true
  if with_removals then self.removed, self.unremoved = {}, 0 end
  return added
end

--- To be called about once a second: what was written by then outlasts a power cut, a little later.
function Outbox:sync()
  self.has_written = self.has_written and self.store:sync()
end

return M
