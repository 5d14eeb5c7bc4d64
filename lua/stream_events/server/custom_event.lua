--- A custom event on its way through the server: read out of a request, judged by its type, and
-- put together as everybody receives it. What the sender wrote is passed on as raw JSON text, so
-- that no digit of a number and no empty list is lost; nothing is decoded but the type.
local names = require "stream_events.names"
local native = require "stream_events.native"
local clock = require "stream_events.server.clock"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"

local M = {}

local json, type_class = native.json, native.type_class

-- Only the server says these; what a sender put there is left out. The first eight are part of the
-- event or say who sends it, the others are what clients believe of any event that carries them, and
-- webhooks of its copy.
local SPLITTER = json.splitter({ "type", "user", "user_id", "id" }, {
  "cid", "channel_id", "channel_type", "created_at", "received_at",
  "me", "connection_id", "watcher_count", "total_unread_count", "unread_channels", "request_info",
})
-- More keys than this, and receivers refuse the event; the server adds up to six of its own.
local MAX_KEYS = 250
local MAX_ID = 64

-- Built-in events that clients send themselves, with the switch of the channel type they depend on.
local CLIENT_TYPES = {
  ["typing.start"] = "typing_events",
  ["typing.stop"] = "typing_events",
  ["message.read"] = "read_events",
  ["ai_indicator.update"] = true,
  ["ai_indicator.clear"] = true,
  ["ai_indicator.stop"] = true,
}

---@class stream_events.server.CustomEvent
---@field type string
---@field raw_type string as JSON
---@field data string what the sender's fields are, as raw members of an object; may be empty
---@field size integer bytes of the event as it was sent
---@field user string? raw value of "user"
---@field user_id string? raw value of "user_id"
---@field id string? raw value of "id", which is one of the sender's fields as well

local function text_of(raw)
  if raw and raw:byte() == 34 then
    if not raw:find("\\", 1, true) then return raw:sub(2, -2) end
    return (json.decode(raw))
  end
  return nil
end

-- Types come again and again; what is remembered is forgotten when there is too much of it.
local MOST_TYPES = 1024
local types, plain, type_count = {}, {}, 0

-- The type that a raw value is, and the same as JSON without needless escapes.
local function type_of(raw)
  local event_type = types[raw]
  if event_type then return event_type, plain[raw] end
  event_type = text_of(raw)
  if not event_type then return failures.fail(4, "event.type must be a string") end
  local ok, message = names.event_type(event_type)
  if not ok then return failures.fail(4, "event.type: " .. message) end
  if type_count >= MOST_TYPES then types, plain, type_count = {}, {}, 0 end
  types[raw], type_count = event_type, type_count + 1
  plain[raw] = raw:find("\\", 1, true) and json.encode(event_type) or raw
  return event_type, plain[raw]
end

-- What is wrong with a body that could not be taken apart.
local function unreadable(kind, message)
  if kind == "missing" then return failures.fail(4, "event is a required field") end
  return failures.fail(4, "the body is no JSON object with an event: " .. message)
end

--- Reads the event out of a request body, {"event":{"type":...}}.
---@param body string
---@return stream_events.server.CustomEvent? event
---@return stream_events.server.Failure? failure
function M.read(body)
  local data, count, size, raw_type, user, user_id, id = json.split(SPLITTER, body, "event")
  if not data then return unreadable(count, size) end
  if count > MAX_KEYS then
    return failures.fail(4, ("event has %d fields, %d are allowed"):format(count, MAX_KEYS))
  end
  if not raw_type then return failures.fail(4, "event.type is a required field") end
  local event_type, as_json = type_of(raw_type)
  if not event_type then return nil, as_json end
  if id then data = ('%s%s"id":%s'):format(data, data == "" and "" or ",", id) end
  return {
    type = event_type, raw_type = as_json, data = data, size = size, user = user, user_id = user_id,
    id = id,
  }
end

--- The id by which a repeated send is known.
---@param event stream_events.server.CustomEvent with an id
---@return string? id
---@return stream_events.server.Failure? failure
function M.repeat_id(event)
  local id = text_of(event.id)
  if id and #id >= 1 and #id <= MAX_ID and not id:find("%c") then return id end
  return failures.fail(4, ("event.id must be a string of 1 to %d bytes without control characters, "
    .. "because ids count here (custom_event_ids)"):format(MAX_ID))
end

--- Whom a server-side sender sends for.
---@param event stream_events.server.CustomEvent
---@return string? user_id
---@return stream_events.server.Failure? failure
function M.sender(event)
  local user = event.user ~= "null" and event.user or nil
  local user_id = event.user_id ~= "null" and event.user_id or nil
  if user and user_id then
    return failures.fail(4, "cannot set both event.user and event.user_id.")
  elseif not user and not user_id then
    return failures.fail(4,
      "either event.user or event.user_id must be provided when using server side auth.")
  end
  local id
  if user_id then
    id = text_of(user_id)
    if not id then return failures.fail(4, "event.user_id must be a string") end
  else
    local decoded = json.decode(user)
    if not input.is_object(decoded) or decoded.id == nil then
      return failures.fail(4, "event.user must be an object with an id")
    end
    id = decoded.id
  end
  local ok, message = names.user_id(id)
  if not ok then return failures.fail(4, message) end
  return id
end

--- What kind of type it is: "custom"; "client" for a built-in type that clients may send, then also
--- with the switch it depends on; "forged" for one that only the service may send.
---@param event_type string
---@return "custom"|"client"|"forged" kind
---@return string? switch a field of the channel's config
function M.kind(event_type)
  if type_class(event_type) == "custom" then return "custom" end
  local switch = CLIENT_TYPES[event_type]
  if not switch then return "forged" end
  return "client", switch ~= true and switch or nil
end

--- The event as it is distributed.
---@param event stream_events.server.CustomEvent
---@param user_json string the user it is from; for a user event, the one it goes to
---@param channel stream_events.server.Channel? nil for a user event
---@return string text
---@return integer stamp its created_at in microseconds
function M.text(event, user_json, channel)
  local created_at, stamp = clock.stamp()
  local data = event.data
  return '{"type":' .. event.raw_type .. (channel and channel.envelope or "") .. ',"user":' .. user_json
    .. ',"created_at":"' .. created_at .. (data == "" and '"' or '",') .. data .. "}", stamp
end

return M
