--- Sends that come again: an event with an id of the sender's, where the channel type or the app says
-- that ids count (custom_event_ids), is delivered once, and a repeated send gets the same answer.
-- In memory, for some time and up to some number and bytes; what is older is taken for new.
local M = {}

local MOST_BYTES = 32 << 20
local OVERHEAD = 200 -- of an entry, beside its text and its key

---@class stream_events.server.Repeats
---@field private options table event_id_seconds, event_id_count
---@field private entries table<string, table> by key
---@field private queue table<integer, table> oldest first, from `first` to `last`
local Repeats = { __name = "stream_events.server.repeats" }
Repeats.__index = Repeats

---@param parts { options: stream_events.server.Options }
---@return stream_events.server.Repeats
function M.new(parts)
  return setmetatable({
    options = parts.options, entries = {}, queue = {}, first = 1, last = 0, bytes = 0, unsettled = {},
  }, Repeats)
end

-- None of the parts can hold a zero byte.
local function key_of(sender, place, id)
  return sender .. "\0" .. place .. "\0" .. id
end

local function drop_oldest(self)
  local entry = self.queue[self.first]
  self.queue[self.first] = nil
  self.first = self.first + 1
  self.bytes = self.bytes - entry.bytes
  if self.entries[entry.key] == entry then self.entries[entry.key] = nil end
end

local function expire(self, now)
  local before = now - self.options.event_id_seconds
  while self.first <= self.last and self.queue[self.first].at < before do drop_oldest(self) end
end

---@class stream_events.server.SentBefore
---@field text string the event as it was distributed
---@field is_owed boolean whether its sender was told of a failure: the copy for webhooks was not kept
---@field is_unsettled boolean whether that is not known yet: whoever repeats it has to wait as well

--- What was sent with an id before.
---@param sender string
---@param place string a cid; for a user event the user's id
---@param id string
---@param now number native.now()
---@return stream_events.server.SentBefore?
function Repeats:find(sender, place, id, now)
  expire(self, now)
  return self.entries[key_of(sender, place, id)]
end

--- Notes what was distributed under an id.
---@param sender string
---@param place string
---@param id string
---@param text string
---@param now number
---@param waits boolean whether its answer waits until the copy for webhooks is kept
function Repeats:note(sender, place, id, text, now, waits)
  expire(self, now)
  local key = key_of(sender, place, id)
  local entry = {
    key = key, text = text, at = now, bytes = #text + #key + OVERHEAD, is_owed = false, is_unsettled = waits,
  }
  self.last = self.last + 1
  self.queue[self.last], self.entries[key] = entry, entry
  self.bytes = self.bytes + entry.bytes
  while self.last - self.first >= self.options.event_id_count or self.bytes > MOST_BYTES do
    drop_oldest(self)
  end
  if waits then self.unsettled[#self.unsettled + 1] = entry end
end

--- What waited is kept now, or it is not, and its senders are told so.
---@param kept boolean
function Repeats:settled(kept)
  for _, entry in ipairs(self.unsettled) do entry.is_owed, entry.is_unsettled = not kept, false end
  self.unsettled = {}
end

--- A send that came again has its copy on the way once more.
---@param entry stream_events.server.SentBefore
function Repeats:owe_again(entry)
  entry.is_owed, entry.is_unsettled = false, true
  self.unsettled[#self.unsettled + 1] = entry
end

--- How many are remembered.
---@return integer
function Repeats:count()
  return self.last - self.first + 1
end

return M
