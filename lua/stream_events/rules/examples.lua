--- The examples of a rule: events it must let through or drop. Written as data, with what is not said
-- filled in by what the rule asks for; judged as JSON text, the way an event comes in.
local marks = require "stream_events.rules.marks"
local names = require "stream_events.names"
local native = require "stream_events.native"
local problems = require "stream_events.rules.problems"
local suggest = require "stream_events.suggest"
local values = require "stream_events.rules.values"

local M = {}

local show = problems.show

local NOW = 1767225600 -- 2026-01-01: examples do not depend on the day
local CREATED = "2026-01-01T00:00:00Z"
-- One event needs hardly any memory of rules.
local LIMITS = { buckets = 64, marks = 64, counts = 256 }

local REASONS = {}
for code in ([[undeclared-type refused honeypot marked malformed too-large reserved-type trust from rate
  field-missing field-type field-range field-length field-value extra-field check check-error
  bad-verdict budget-instructions budget-time budget-memory tripped]]):gmatch("%S+") do
  REASONS[code] = true
end

local TRUST = { server = true, self = true, user = true }
local DELIVERED = { allow = true, flag = true, rewrite = true }

---@class stream_events.rules.Example
---@field rule string its name
---@field kind "allow"|"drop"
---@field index integer
---@field reason string? expected of a dropped one
---@field text string JSON
---@field trust "server"|"self"|"user"
---@field list stream_events.rules.Place where the list of it is

-- -------------------------------------------------------------------------------- envelope

-- The first of a condition's list, or what it does not exclude.
local function fitting(source, fallback)
  if not source then return fallback end
  if not source.none then return source.list[1] end
  local excluded = {}
  for _, value in ipairs(source.list) do excluded[value] = true end
  local result, count = fallback, 0
  while excluded[result] do
    count = count + 1
    result = fallback .. count
  end
  return result
end

local function default_cid(from)
  local cid = from.cid
  if cid and not cid.none then return cid.list[1] end
  local channel_type = fitting(from.channel_type, "messaging")
  local prefix = channel_type .. ":"
  local ids
  if cid then -- only the ids of that type are of interest
    ids = { none = true, list = {} }
    for _, each in ipairs(cid.list) do
      if each:sub(1, #prefix) == prefix then ids.list[#ids.list + 1] = each:sub(#prefix + 1) end
    end
  end
  return prefix .. fitting(ids, "general")
end

local function example_user(given, from)
  if type(given) == "string" then given = { id = given } end
  local user = {}
  for key, value in next, given or {} do user[key] = value end
  if user.id == nil then user.id = fitting(from.user, "example") end
  if user.role == nil then user.role = fitting(from.role, "user") end
  return user
end

local function check_user(given, place)
  if given == nil or type(given) == "string" then return true end
  if not marks.is_table(given) then
    place:wrong("'user' must be an id or { id = ..., role = ... }, not " .. values.describe(given), nil,
      "user")
    return false
  end
  for _, key in ipairs { "id", "role" } do
    if given[key] ~= nil and type(given[key]) ~= "string" then
      place:at("user"):wrong(("'%s' must be a string"):format(key), nil, key)
      return false
    end
  end
  return true
end

local function covers(rule, event_type)
  if rule.name:sub(-1) ~= "*" then return event_type == rule.name end
  local prefix = rule.name:sub(1, -2)
  return event_type:sub(1, #prefix) == prefix
end

-- The type of an example; nil: what it says is no type of this rule.
local function example_type(given, rule, place)
  local event_type = given.type
  if event_type == nil then return (rule.name:gsub("%*$", "example")) end
  local ok, message = names.event_type(event_type)
  if not ok then
    place:wrong("'type': " .. message, nil, "type")
    return nil
  elseif not covers(rule, event_type) then
    place:wrong(("%s is no event of this rule"):format(show(event_type)), nil, "type")
    return nil
  end
  return event_type
end

-- Whom an example comes from, unless it says so: a user where the rule takes users' events. What names
-- a channel is never from a server.
local function example_trust(given, rule, place)
  if given.trust ~= nil then return values.word(given.trust, place:at("trust"), TRUST) end
  local accepted = {}
  for _, trust in ipairs(rule.trust or { "user" }) do accepted[trust] = true end
  if accepted.user or given.cid ~= nil and not accepted.self then return "user" end
  return accepted.self and given.cid ~= nil and "self" or rule.trust[1]
end

local function envelope(given, rule, place)
  local event_type = example_type(given, rule, place)
  local trust = example_trust(given, rule, place)
  if not event_type or not trust or not check_user(given.user, place) then return nil end
  local from = rule.from or {}
  local result = { type = event_type, created_at = CREATED }
  local cid = given.cid
  if cid == nil and trust ~= "server" then cid = default_cid(from) end
  if cid ~= nil then
    local channel_type, id = names.split_cid(cid)
    if not channel_type then
      place:wrong("'cid': " .. id, nil, "cid")
      return nil
    end
    result.cid, result.channel_type, result.channel_id = cid, channel_type, id
  end
  if given.user ~= nil or trust ~= "server" then result.user = example_user(given.user, from) end
  return result, trust
end

-- ------------------------------------------------------------------------------------- text

-- A copy in which tables that a field calls an array are marked as such, so that empty ones are.
local shaped

local function shaped_array(value, field, depth)
  local result = {}
  for i, element in ipairs(value) do result[i] = shaped(element, field.items, depth) end
  return native.json.array(result)
end

function shaped(value, field, depth)
  if type(value) ~= "table" or getmetatable(value) ~= nil or not field or depth > 32 then return value end
  if field.kind == "array" and values.list_length(value) then
    return shaped_array(value, field, depth + 1)
  end
  local result = {}
  for key, inner in next, value do
    result[key] = shaped(inner, (field.fields and field.fields[key]) or field.each, depth + 1)
  end
  return result
end

local ENVELOPE = { user = true, cid = true, trust = true, type = true }

-- In the examples of a rule that has a field of that name, `reason` is data like any other.
local function is_data(key, kind, fields)
  if key == "reason" then return kind == "allow" or (fields ~= nil and fields.reason ~= nil) end
  return not ENVELOPE[key]
end

local function expected_reason(given, kind, rule, place)
  if kind == "allow" or is_data("reason", kind, rule.fields) or given.reason == nil then return nil end
  if not REASONS[given.reason] then
    place:wrong(("there is no reason %s"):format(values.describe(given.reason)),
      suggest.nearest(given.reason, REASONS), "reason")
  end
  return given.reason
end

local function encode(given, kind, rule, place)
  local event, trust = envelope(given, rule, place)
  if not event then return nil end
  for key, value in next, given do
    if is_data(key, kind, rule.fields) then
      if event[key] ~= nil then
        place:wrong(("'%s' is no data: every event has its own"):format(key), nil, key)
        return nil
      end
      event[key] = shaped(value, rule.fields and rule.fields[key], 1)
    end
  end
  local text, err = native.json.encode(event)
  if not text then
    place:wrong("this is no event: " .. err.message)
    return nil
  end
  return text, trust
end

local function prepare(given, kind, index, rule, below, list)
  local place = below:at(index)
  if not marks.is_table(given) then
    place:wrong("an example is a table of data, like { text = \"hello\" }, not " .. values.describe(given))
    return
  end
  local reason = expected_reason(given, kind, rule, place)
  local text, trust = encode(given, kind, rule, place)
  if not text then return end
  list[#list + 1] = {
    rule = rule.name, kind = kind, index = index, reason = reason, text = text, trust = trust, list = below,
  }
end

--- Turns the examples of a rule into events, and records what is wrong with them.
---@param given any
---@param rule stream_events.core.Rule compiled
---@param place stream_events.rules.Place
---@param list stream_events.rules.Example[] to which they are added
function M.compile(given, rule, place, list)
  if not marks.is_table(given) then
    place:wrong("must be a table, like { allow = { ... }, drop = { ... } }, not " .. values.describe(given))
    return
  end
  place:refuse_unknown(given, { allow = true, drop = true })
  for _, kind in ipairs { "allow", "drop" } do
    local events, below = given[kind], place:at(kind)
    local count = events ~= nil and marks.is_table(events) and values.list_length(events)
    if events ~= nil and not count then
      below:wrong("must be a list of events, like { { text = \"hello\" } }")
    end
    for index = 1, count or 0 do
      prepare(events[index], kind, index, rule, below, list)
    end
  end
end

-- -------------------------------------------------------------------------------- judgement

---@class stream_events.rules.Result
---@field rule string
---@field kind "allow"|"drop"
---@field index integer of the example in its list
---@field ok boolean
---@field verdict string what the rules say, in audit mode too
---@field reason string? code
---@field text string? for people
---@field expected string? the reason that was asked for
---@field file string
---@field line integer?

--- Judges examples, each with nothing remembered from any other. The results do not say yet where the
--- example stands: most need not.
---@param set stream_events.core.RuleSet
---@return fun(example: stream_events.rules.Example): stream_events.rules.Result
function M.judge(set)
  local rules = native.rules(LIMITS)
  rules:use(set)
  local input = { now = NOW }
  return function(example)
    input.trust = example.trust
    local verdict, decision = rules:decide(example.text, input)
    rules:forget()
    if decision then verdict = decision.judged or verdict end
    local reason = decision and decision.reason or nil
    if reason and reason:find("^budget") then rules:use(set) end -- no rule trips by its examples
    local ok = (DELIVERED[verdict] or false) == (example.kind == "allow")
    if example.reason and reason ~= example.reason then ok = false end
    return {
      rule = example.rule, kind = example.kind, index = example.index, ok = ok, verdict = verdict,
      reason = reason, text = decision and decision.text or nil, expected = example.reason,
    }
  end
end

local PAST = {
  allow = "was allowed", flag = "was allowed", rewrite = "was allowed", drop = "was dropped",
  quarantine = "was quarantined",
}

--- What a result that is not as it should be says.
---@param result stream_events.rules.Result
---@return string
function M.explain(result)
  local text = ("event %s: example %d of '%s' %s"):format(show(result.rule), result.index, result.kind,
    PAST[result.verdict])
  if result.reason then text = ("%s (%s)"):format(text, result.reason) end
  if result.expected and result.kind == "drop" and result.reason ~= result.expected then
    text = ("%s instead of dropped (%s)"):format(text, result.expected)
  end
  if result.text and result.text ~= "" then text = text .. ": " .. result.text end
  return text
end

--- The error about results that are not all as they should be.
---@param results stream_events.rules.Result[]
---@return stream_events.Error? err nil: all are
function M.failure(results)
  local list = {}
  for _, result in ipairs(results) do
    if not result.ok then
      list[#list + 1] = {
        file = result.file, line = result.line, message = M.explain(result), severity = "error",
      }
    end
  end
  return list[1] and problems.error(list) or nil
end

return M
