--- Answers with lists of events, and texts of many kinds, through what takes JSON apart: json.list,
-- json.split and json.members, against json.decode.
-- Called by lua_fuzz.c with one input at a time.
local json = require("stream_events.core").json

local splitter = json.splitter({ "type", "id" }, { "cid" })

-- As se_fail returns it.
local function must_fail(value, kind, message)
  assert(value == nil and type(kind) == "string" and (message == nil or type(message) == "string"))
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b and math.type(a) == math.type(b) end
  if getmetatable(a) ~= getmetatable(b) then return false end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function check_list(text)
  local elements, rest, message = json.list(text, "events")
  if not elements then return must_fail(elements, rest, message) end
  for _, element in ipairs(elements) do assert(json.decode(element) ~= nil) end
  -- An element may be as deep as a text, so the whole may be deeper than one.
  local whole = json.decode(text)
  if not whole then return end
  assert(same(whole.events, json.decode("[" .. table.concat(elements, ",") .. "]")))
  whole.events = json.array {}
  assert(same(whole, json.decode(rest)))
end

local function check_members(text)
  local whole, members = json.decode(text), json.members(text)
  local is_object = type(whole) == "table" and getmetatable(whole) ~= json.array_mt
  assert((members ~= nil) == is_object)
  local rest, count, _, kind, id = json.split(splitter, text)
  if not rest then return end
  assert(is_object and count == #members)
  for _, member in ipairs(members) do assert(same(whole[member[1]], json.decode(member[2]))) end
  assert(same(whole.type, kind and json.decode(kind)) and same(whole.id, id and json.decode(id)))
  whole.type, whole.id, whole.cid = nil, nil, nil
  assert(same(whole, json.decode("{" .. rest .. "}")))
end

return function(text)
  check_list(text)
  check_members(text)
  json.split(splitter, text, "event")
end
