--- Who may send an event, how long it may be and how often it may come: trust, from, size, rate.
local marks = require "stream_events.rules.marks"
local names = require "stream_events.names"
local values = require "stream_events.rules.values"

local M = {}

local TRUST = { server = true, self = true, user = true }

---@param value any
---@param place stream_events.rules.Place
---@return string[]?
function M.trust(value, place)
  if type(value) == "string" then
    local word = values.word(value, place, TRUST)
    return word and { word } or nil
  end
  local count = marks.is_table(value) and values.list_length(value)
  if not count or count == 0 then
    place:wrong("must be \"server\", \"self\" or \"user\", or a list of them")
    return nil
  end
  local result, seen = {}, {}
  for i = 1, count do
    local word = values.word(value[i], place:at(i), TRUST)
    if word and not seen[word] then
      seen[word] = true
      result[#result + 1] = word
    end
  end
  return result[1] and result or nil
end

-- ------------------------------------------------------------------------------------- from

local function wrong_name(check)
  return function(value)
    local ok, message = check(value)
    return not ok and "cannot be: " .. message or nil
  end
end

local function wrong_role(value)
  local wrong = values.wrong_text(value)
  if wrong then return wrong end
  if #value > 255 or value:find("%c") then return "cannot be a role" end
end

local SOURCES = {
  user = wrong_name(names.user_id),
  role = wrong_role,
  channel_type = wrong_name(names.channel_type),
  cid = wrong_name(names.split_cid),
}
local MEANT = {
  user_id = "user", users = "user", id = "user", sender = "user", roles = "role", channel = "cid",
  channels = "cid", channel_id = "cid", channel_types = "channel_type", type = "channel_type",
  cids = "cid",
}

local function source(value, place, check)
  local kind = marks.kind(value)
  if kind == nil then
    local list = values.one_or_list(value, place, check)
    return list and { list = list } or nil
  end
  place = place:inside(value)
  if kind ~= "none_of" and kind ~= "one_of" then
    place:wrong(("must be a string, a list or none_of { ... }, not '%s'"):format(kind))
    return nil
  elseif value.options == nil then
    place:wrong(("%s takes a string or a list"):format(kind))
    return nil
  elseif kind == "none_of" and marks.is_table(value.options) and next(value.options) == nil then
    return nil -- keeps nobody out: a block list may be empty
  end
  local list = values.one_or_list(value.options, place, check)
  return list and { list = list, none = kind == "none_of" or nil } or nil
end

---@param value any
---@param place stream_events.rules.Place
---@return table<string, stream_events.core.RuleSource>?
function M.from(value, place)
  if not marks.is_table(value) then
    place:wrong("must be a table of conditions, like { role = \"admin\" }, not " .. values.describe(value))
    return nil
  end
  place:refuse_unknown(value, SOURCES, MEANT)
  local result = {}
  for _, key in ipairs { "user", "role", "channel_type", "cid" } do
    if value[key] ~= nil then result[key] = source(value[key], place:at(key), SOURCES[key]) end
  end
  return next(result) ~= nil and result or nil
end

-- ----------------------------------------------------------------------------- size and rate

local SHORTEST = #'{"type":""}' -- and the name of the type
local MOST_BYTES = 1073741824   -- no message is longer

---@param value any
---@param place stream_events.rules.Place
---@param name string of the rule
---@return integer?
function M.size(value, place, name)
  if not values.is_whole(value) or value < 1 or value > MOST_BYTES then
    place:wrong(("must be a whole number of bytes, not %s"):format(values.describe(value)))
    return nil
  end
  local least = SHORTEST + #name:gsub("%*$", "")
  if value < least then
    place:wrong(("no event of this type is shorter than %d bytes"):format(least))
    return nil
  end
  return value
end

local PER = { sender = true, channel = true, all = true }
local RATE = { count = true, seconds = true, per = true }
local RATE_MEANT = {
  events = "count", limit = "count", max = "count", period = "seconds", window = "seconds",
  time = "seconds", by = "per", burst = "count", key = "per", every = "seconds",
}
local MOST_COUNT = 1000000000
local LONGEST = 31622400 -- seconds: a year
local MOST_RATES = 16

local function number_between(given, key, place, least, most)
  local value = given[key]
  if value == nil then
    place:wrong(("a rate needs '%s', like { count = 5, seconds = 60 }"):format(key))
  elseif not values.is_number(value) or value < least or value > most then
    place:wrong(("'%s' must be a number from %s to %d, not %s"):format(key, least, most,
      values.describe(value)), nil, key)
  else
    return value
  end
  return nil
end

local function rate(given, place)
  if not marks.is_table(given) then
    place:wrong("must be a table, like { count = 5, seconds = 60 }, not " .. values.describe(given))
    return nil
  end
  place:refuse_unknown(given, RATE, RATE_MEANT)
  local per = "sender"
  if given.per ~= nil then per = values.word(given.per, place:at("per"), PER) end
  local count = number_between(given, "count", place, 1, MOST_COUNT)
  local seconds = number_between(given, "seconds", place, 0.001, LONGEST)
  return count and seconds and per and { count = count, seconds = seconds, per = per } or nil
end

---@param value any one rate, or a list of them
---@param place stream_events.rules.Place
---@return { count: number, seconds: number, per: string }[]?
function M.rates(value, place)
  local count = marks.is_table(value) and values.list_length(value)
  if not count then
    local one = rate(value, place)
    return one and { one } or nil
  elseif count == 0 or count > MOST_RATES then
    place:wrong(("must be one rate, like { count = 5, seconds = 60 }, or a list of up to %d")
      :format(MOST_RATES))
    return nil
  end
  local result = {}
  for i = 1, count do result[#result + 1] = rate(value[i], place:at(i)) end
  return result
end

return M
