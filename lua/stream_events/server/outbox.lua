--- What is still to be delivered by webhooks, kept in the database: after a kill -9 it is all there.
-- Additions are gathered and written together, in one transaction, by commit(); so are removals, but
-- nobody waits for those: what was removed and not yet written is delivered once more after a crash.
local native = require "stream_events.native"

local M = {}

local encode = native.json.encode

local KIND = "webhook"
local CACHE_ENTRIES = 1024

---@class stream_events.server.HookDelivery
---@field hook string id of the hook
---@field id string of the event, the same for all attempts
---@field type string of the event
---@field body string
---@field key string|false in the database
---@field owner table? whose it is
---@field attempt integer of those made since the start
---@field deadline number|false of all attempts, native.now()

---@class stream_events.server.Outbox
---@field unwritten integer of additions
---@field unremoved integer of removals that are not written
---@field private store stream_events.server.Store
---@field private number integer of the last key
---@field private added stream_events.server.HookDelivery[]
---@field private removed string[] keys
local Outbox = { __name = "stream_events.server.outbox" }
Outbox.__index = Outbox

---@param store stream_events.server.Store
---@return stream_events.server.Outbox
function M.new(store)
  return setmetatable({
    store = store, number = 0, added = {}, removed = {}, unwritten = 0, unremoved = 0,
    quoted = {}, quoted_count = 0,
  }, Outbox)
end

--- What an earlier run has left, the oldest first. To be called before anything is added.
---@return stream_events.server.HookDelivery[]
function Outbox:load()
  local deliveries = {}
  for key, document, body in self.store:each_with_body(KIND) do
    document.key, document.attempt = key, 0
    document.body = body or document.body
    deliveries[#deliveries + 1] = document
    self.number = tonumber(key, 16)
  end
  return deliveries
end

--- Whether it outlives the server.
---@return boolean
function Outbox:is_lasting()
  return self.store.path ~= ":memory:"
end

--- Takes a delivery; it is kept from the next commit on.
---@param delivery stream_events.server.HookDelivery
function Outbox:add(delivery)
  self.number = self.number + 1
  delivery.key = ("%016x"):format(self.number)
  self.unwritten = self.unwritten + 1
  self.added[self.unwritten] = delivery
end

--- Lets go of one that was delivered, or given up.
---@param delivery stream_events.server.HookDelivery
function Outbox:remove(delivery)
  self.unremoved = self.unremoved + 1
  self.removed[self.unremoved] = delivery.key
end

-- Names as JSON: the same come again and again. Emptied when it is full.
local function quoted(self, name)
  local text = self.quoted[name]
  if text then return text end
  if self.quoted_count >= CACHE_ENTRIES then self.quoted, self.quoted_count = {}, 0 end
  text = encode(name)
  self.quoted[name], self.quoted_count = text, self.quoted_count + 1
  return text
end

-- What is kept of a delivery beside its body, as JSON. There is one for every event a hook wants, hence
-- no table. An id is of our making and needs no escapes.
local function text_of(self, delivery)
  return '{"hook":' .. quoted(self, delivery.hook) .. ',"id":"' .. delivery.id .. '","type":'
    .. quoted(self, delivery.type) .. "}"
end

local function write(self, added)
  self.store:delete_all(KIND, self.removed)
  local keys, texts, bodies = {}, {}, {}
  for i, delivery in ipairs(added) do
    keys[i], texts[i], bodies[i] = delivery.key, text_of(self, delivery), delivery.body
  end
  self.store:add_all(KIND, keys, texts, bodies)
end

--- Writes all of it, or nothing. Whatever comes of it, the additions are the caller's from then on;
--- removals that could not be written are tried again with the next.
---@return stream_events.server.HookDelivery[] added in the order in which they came
---@return any problem nil: they are kept
function Outbox:commit()
  local added = self.added
  if self.unwritten + self.unremoved == 0 then return added end
  self.added, self.unwritten = {}, 0
  local ok, problem = pcall(self.store.transaction, self.store, write, self, added)
  if not ok then return added, problem end
  self.removed, self.unremoved = {}, 0
  return added
end

return M
