--- What may be called how: channel types, ids, cids, user ids, event types.
-- Names are data: nothing here ever looks one up in a table.
local M = {}

local function checked(value, what, class, longest, allowed)
  if type(value) ~= "string" then
    return nil, ("%s must be a string, not a %s"):format(what, type(value))
  elseif value == "" then
    return nil, what .. " must not be empty"
  elseif #value > longest then
    return nil, ("%s is %d characters long, %d are allowed"):format(what, #value, longest)
  elseif value:find(class) then
    return nil, ("%s may hold only %s"):format(what, allowed)
  end
  return true
end

--- Each gives true, or nil and what is wrong.
---@param value any
---@return true? ok
---@return string? message
function M.channel_type(value)
  return checked(value, "a channel type", "[^A-Za-z0-9_%-]", 64, "letters, digits, '_' and '-'")
end

---@param value any
---@return true? ok
---@return string? message
function M.channel_id(value)
  return checked(value, "a channel id", "[^A-Za-z0-9_!%-]", 64, "letters, digits, '_', '-' and '!'")
end

---@param value any
---@return true? ok
---@return string? message
function M.user_id(value)
  return checked(value, "a user id", "[^A-Za-z0-9@_%-]", 255, "letters, digits, '@', '_' and '-'")
end

--- What a role, a permission, an endpoint or a hook is called: the rest is the service's to say.
---@param value any
---@param what string? for the message: "a role"
---@return true? ok
---@return string? message
function M.word(value, what)
  return checked(value, what or "a name", "%c", 255, "text without control characters")
end

local function follows(byte, low, high)
  return byte ~= nil and byte >= (low or 0x80) and byte <= (high or 0xBF)
end

--- Well-formed UTF-8 (RFC 3629). Lua 5.1 has no utf8 library.
---@param text string
---@return boolean
function M.is_utf8(text)
  local i = text:find("[\128-\255]")
  while i do
    local a, b, c, d = text:byte(i, i + 3)
    if a >= 0xC2 and a <= 0xDF and follows(b) then
      i = i + 2
    elseif a >= 0xE0 and a <= 0xEF
      and follows(b, a == 0xE0 and 0xA0, a == 0xED and 0x9F) and follows(c) then
      i = i + 3
    elseif a >= 0xF0 and a <= 0xF4
      and follows(b, a == 0xF0 and 0x90, a == 0xF4 and 0x8F) and follows(c) and follows(d) then
      i = i + 4
    else
      return false
    end
    i = text:find("[\128-\255]", i)
  end
  return true
end

--- An event type: any text up to 255 bytes, without control characters.
---@param value any
---@return true? ok
---@return string? message
function M.event_type(value)
  local ok, message = checked(value, "an event type", "%c", 255, "text without control characters")
  if not ok then return nil, message end
  if not M.is_utf8(value) then return nil, "an event type must be UTF-8" end
  if value:find("\194[\128-\159]") then
    return nil, "an event type may hold only text without control characters"
  end
  return true
end

--- What one can subscribe to: an event type, or the beginning of one with a `*` at its end.
---@param value any
---@return true? ok
---@return string? prefix_or_message the prefix of "prefix*"; nil for a plain type
function M.pattern(value)
  local ok, message = M.event_type(value)
  if not ok then return nil, message end
  local star = value:find("*", 1, true)
  if not star then return true end
  if star < #value then return nil, "in an event type '*' may only be the last character" end
  if star == 1 then return nil, "'*' alone is no event type: subscribe(handler) is for every event" end
  return true, value:sub(1, -2)
end

---@param channel_type string
---@param channel_id string
---@return string
function M.cid(channel_type, channel_id)
  return channel_type .. ":" .. channel_id
end

--- The two parts of a cid.
---@param cid any
---@return string? channel_type
---@return string channel_id_or_message
function M.split_cid(cid)
  local channel_type, channel_id
  if type(cid) == "string" then channel_type, channel_id = cid:match("^([^:]*):([^:]*)$") end
  if not channel_type then return nil, "a channel is named type:id, for example messaging:general" end
  local ok, message = M.channel_type(channel_type)
  if ok then ok, message = M.channel_id(channel_id) end
  if not ok then return nil, message end
  return channel_type, channel_id
end

return M
