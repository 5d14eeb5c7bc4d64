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
local concat = table.concat

-- Only the server says these; what a sender put there is left out. The first seven are part of the
-- event, the others are what clients believe of any event that carries them, and
-- webhooks of its copy.
local RESERVED = {
  type = true, cid = true, channel_id = true, channel_type = true, user = true, user_id = true,
  created_at = true,
  received_at = true, me = true, connection_id = true, watcher_count = true,
  total_unread_count = true, unread_channels = true, request_info = true,
}
-- More keys than this, and receivers refuse the event; the server adds up to six of its own.
local MAX_KEYS = 250

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
---@field members { [1]: string, [2]: string }[] key and raw value
---@field size integer bytes of the event as it was sent
---@field user string? raw value of "user"
---@field user_id string? raw value of "user_id"

local function text_of(raw)
  if raw and raw:byte() == 34 then
    if not raw:find("\\", 1, true) then return raw:sub(2, -2) end
    return (json.decode(raw))
  end
  return nil
end

--- Reads the event out of a request body, {"event":{"type":...}}.
---@param body string
---@return stream_events.server.CustomEvent? event
---@return stream_events.server.Failure? failure
function M.read(body)
  local outer, err = json.members(body)
  if not outer then
    return failures.fail(4, "the body is not a JSON object: " .. err.message)
  end
  local raw
  for i = 1, #outer do
    if outer[i][1] == "event" then raw = outer[i][2] end
  end
  if not raw then return failures.fail(4, "event is a required field") end
  if raw:byte() ~= 123 then return failures.fail(4, "event must be an object") end
  local members
  members, err = json.members(raw)
  if not members then return failures.fail(4, "event is malformed: " .. err.message) end
  if #members > MAX_KEYS then
    return failures.fail(4, ("event has %d fields, %d are allowed"):format(#members, MAX_KEYS))
  end
  local event = { members = members, size = #raw }
  for i = 1, #members do
    local member = members[i]
    local key = member[1]
    if key == "type" then
      event.type, event.raw_type = text_of(member[2]), member[2]
      if not event.type then return failures.fail(4, "event.type must be a string") end
    elseif key == "user" then
      event.user = member[2]
    elseif key == "user_id" then
      event.user_id = member[2]
    end
  end
  if not event.raw_type then return failures.fail(4, "event.type is a required field") end
  local ok, message = names.event_type(event.type)
  if not ok then return failures.fail(4, "event.type: " .. message) end
  if event.raw_type:find("\\", 1, true) then event.raw_type = json.encode(event.type) end
  return event
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
function M.text(event, user_json, channel)
  local parts = {
    '{"type":', event.raw_type, channel and "," or "", channel and channel.envelope or "",
    ',"user":', user_json, ',"created_at":"', clock.stamp(), '"',
  }
  local n = #parts
  local members = event.members
  for i = 1, #members do
    local member = members[i]
    local key = member[1]
    if not RESERVED[key] then
      -- The key comes unescaped; most need no escapes at all.
      if key:find("[^%w_%-. ]") then
        parts[n + 1], parts[n + 2] = ",", json.encode(key)
        parts[n + 3] = ":"
      else
        parts[n + 1], parts[n + 2], parts[n + 3] = ',"', key, '":'
      end
      parts[n + 4] = member[2]
      n = n + 4
    end
  end
  parts[n + 1] = "}"
  return concat(parts)
end

return M
