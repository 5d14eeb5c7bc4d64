--- What is still to be delivered by webhooks, kept in the database: after a kill -9 it is all there.
-- Additions are gathered and written together, in one transaction, by commit(); so are removals, but
-- nobody waits for those: what was removed and not yet written is delivered once more after a crash.
local M = {}

local KIND = "webhook"

---@class stream_events.server.HookDelivery
---@field hook string id of the hook
---@field id string of the event, the same for all attempts
---@field type string of the event
---@field body string
---@field key string? in the database
---@field owner table? whose it is, until it is written
---@field attempt integer? of those made since the start
---@field deadline number? of all attempts, native.now()

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
  }, Outbox)
end

--- What an earlier run has left, the oldest first. To be called before anything is added.
---@return stream_events.server.HookDelivery[]
function Outbox:load()
  local deliveries = {}
  for key, document in self.store:each(KIND) do
    document.key = key
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

--- Writes all of it, or nothing. Whatever comes of it, the additions are the caller's from then on;
--- removals that could not be written are tried again with the next.
---@return stream_events.server.HookDelivery[] added in the order in which they came
---@return any problem nil: they are kept
function Outbox:commit()
  local store, added, removed = self.store, self.added, self.removed
  if self.unwritten + self.unremoved == 0 then return added end
  self.added, self.unwritten = {}, 0
  local ok, problem = pcall(store.transaction, store, function()
    for _, key in ipairs(removed) do store:delete(KIND, key) end
    for _, each in ipairs(added) do
      store:put(KIND, each.key, { hook = each.hook, id = each.id, type = each.type, body = each.body })
    end
  end)
  if not ok then return added, problem end
  self.removed, self.unremoved = {}, 0
  return added
end

return M
