--- What no event can ever reach: names that none has, conditions that contradict each other.
local names = require "stream_events.names"
local native = require "stream_events.native"
local problems = require "stream_events.rules.problems"

local M = {}

local show = problems.show

-- What the client keeps to itself before any rule is asked.
local OWN = { ["health.check"] = true }

--- What is wrong with the name of a rule.
---@param name any
---@return string?
function M.wrong_name(name)
  if name == nil then return "needs the name of an event" end
  local ok, message = names.event_type(name)
  if not ok then return "no event can be called so: " .. message end
  local star = name:find("*", 1, true)
  if star and star < #name then
    return "no event is reached: '*' may only be the last character of a name"
  end
  if OWN[name] or native.type_class(name) == "local" then
    return "no rule is asked about it: the client keeps this type to itself"
  end
  return nil
end

local function only_server(trust)
  return trust ~= nil and #trust == 1 and trust[1] == "server"
end

-- Events of a server go to one user: they have no channel and no sender, and no dot in their type.
local function server_events(rule, place)
  if not only_server(rule.trust) then return end
  for _, key in ipairs { "user", "role", "channel_type", "cid" } do
    local source = rule.from and rule.from[key]
    if source and not source.none then
      place:at("from"):wrong(("'%s' never holds: what only a server can send has no channel and no sender")
        :format(key), nil, key)
    end
  end
  if rule.name:find(".", 1, true) then
    place:wrong("no event is reached: what only a server can send has no '.' in its type", nil, "trust")
  end
end

local function contains(list, value)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

-- A cid names its channel type.
local function channels(rule, place)
  local cids, types = rule.from and rule.from.cid, rule.from and rule.from.channel_type
  if not cids or not types or cids.none then return end
  for _, cid in ipairs(cids.list) do
    local channel_type = names.split_cid(cid)
    if contains(types.list, channel_type) == (types.none or false) then
      place:at("from"):wrong(("%s is excluded by 'channel_type'"):format(show(cid)), nil, "cid")
    end
  end
end

local function verdicts(rule, place)
  if rule.quarantine and rule.flag then
    place:wrong("'flag' never shows: 'quarantine' takes all that passes", nil, "flag")
  end
end

--- Records what of a compiled rule can never be.
---@param rule stream_events.core.Rule
---@param place stream_events.rules.Place
function M.check(rule, place)
  server_events(rule, place)
  channels(rule, place)
  verdicts(rule, place)
end

return M
