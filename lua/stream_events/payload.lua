--- The body of a custom event that is sent: checked before the network sees it (protocol §5.1, §5.5).
local errors = require "stream_events.error"
local native = require "stream_events.native"
local names = require "stream_events.names"

local M = {}

local extend = native.plain.extend

-- What the service itself puts at the top level of events: data under these names is overwritten
-- or lost on the way. A plain table: only ever looked up with rawget's semantics.
local RESERVED = {}
for name in ([[type user user_id cid channel channel_id channel_type connection_id created_at
  received_at me message message_id poll poll_vote total_unread_count unread_channels reaction
  online member channel_last_message_at parent_id hard_delete deleted_for_me is_local ai_state
  ai_message thread unread_thread_messages unread_threads last_read_at unread_messages
  last_read_message_id draft reminder push_preference channel_push_preference
  channel_message_count watcher_count last_delivered_at last_delivered_message_id]])
  :gmatch("%S+") do
  RESERVED[name] = true
end

-- Some of them are what a built-in event that clients may send is made of (protocol §5.6).
local BUILTIN_DATA = { parent_id = true, message_id = true, ai_state = true, ai_message = true }

local MOST_HEADS = 256 -- types remembered
local BEGIN = '{"event":{"type":'
local TAIL = "}}"
-- Of what stands before the tail, what is not part of the event itself; its own last brace is.
local NOT_EVENT = #'{"event":' - #"}"

---@class stream_events.Encoder
local Encoder = { __name = "stream_events.encoder" }
Encoder.__index = Encoder

---@param limit integer bytes of the serialised event
---@return stream_events.Encoder
function M.new(limit)
  return setmetatable({ limit = limit, heads = {}, count = 0 }, Encoder)
end

local function fail(message, hint)
  return errors.fail("protocol", message, { hint = hint })
end

local function too_long(size, limit)
  return errors.fail("full", ("the event is %d bytes long, %d are allowed"):format(size, limit), {
    retryable = false,
    hint = "Send a reference to what is larger; limits.event_size is for services that take more.",
  })
end

-- `{"event":{"type":"x"` for a type; types come again and again.
local function head_of(self, event_type)
  local ok, message = names.event_type(event_type)
  if not ok then return fail(message) end
  if self.count >= MOST_HEADS then self.heads, self.count = {}, 0 end
  local head = BEGIN .. native.json.encode(event_type)
  self.heads[event_type] = head
  self.count = self.count + 1
  return head
end

local function reserved_name(data, event_type)
  for name in next, data do
    if RESERVED[name]
      and not (BUILTIN_DATA[name] and native.type_class(event_type) == "builtin") then
      return name
    end
  end
  return nil
end

-- The head, data that did not go in without more ado, and the tail: of a built-in event it may have names
-- that the service uses.
local function join_with_care(head, data, tail, event_type, level)
  local name = reserved_name(data, event_type)
  if name then
    return fail(("'%s' is a name that the service uses itself in events"):format(name),
      "Call it something else, or put your data one level deeper: { data = { ... } }.")
  end
  local text, _, message = extend(head, data, tail)
  if not text then error("the data of an event: " .. message, level + 1) end
  return text
end

--- The body of the request that sends an event. Raises on what is no data at all: functions, NaN,
--- tables that are neither list nor object.
---@param event_type string
---@param data table?
---@param sender string? id of the user a backend sends it for
---@param level integer whom to blame, as for error()
---@param id string? by which a repeated send is known
---@return string? body
---@return stream_events.Error? err kind "protocol" or "full"
function Encoder:encode(event_type, data, sender, level, id)
  local head = self.heads[event_type]
  if not head then
    local err
    if type(event_type) ~= "string" then
      error("an event type must be a string, not a " .. type(event_type), level + 1)
    end
    head, err = head_of(self, event_type)
    if not head then return nil, err end
  end
  local tail = sender and (',"user_id":' .. native.json.encode(sender) .. "}}") or TAIL
  if id then
    if type(data) == "table" and data.id ~= nil then
      error("the event has an id twice: in its data and in the options", level + 1)
    end
    tail = ',"id":' .. native.json.encode(id) .. tail
  end
  local body, refusal
  if data == nil then
    body = head .. tail
  elseif type(data) ~= "table" then
    error("the data of an event must be a table, not a " .. type(data), level + 1)
  else
    body = extend(head, data, tail, RESERVED)
    if not body then body, refusal = join_with_care(head, data, tail, event_type, level + 1) end
    if not body then return nil, refusal end
  end
  local size = #body - #tail - NOT_EVENT
  if size > self.limit then return too_long(size, self.limit) end
  return body
end

--- The body that goes out by the word of the client's own rules.
---@param body string? of encode(); nil, with its error: stays so
---@param err stream_events.Error?
---@param engine stream_events.rules.Engine
---@param input stream_events.core.RuleInput who sends it, and where to
---@return string? body
---@return stream_events.Error? err kind "rule" when they refuse it
function Encoder:ruled(body, err, engine, input)
  if not body then return nil, err end
  local changed, refusal = engine:judge_sent(body, input)
  if refusal then return nil, refusal end
  if not changed then return body end
  if #changed > self.limit then return too_long(#changed, self.limit) end
  return '{"event":' .. changed .. "}"
end

return M
