--- What rules have to decide, written down a second time: slowly, on decoded events, from the manual.
-- Knows declarations alone; functions of rules have specs of their own. Where several things are
-- wrong with an event at the same step any of their reasons will do, so a judgement holds them all.
local core = require "stream_events.core"
local generator = require "support.rule_generator"

local M = {}

local NULL, ARRAY = core.json.null, core.json.array_mt
local ENVELOPE = { type = true, cid = true, channel_type = true, channel_id = true, user = true,
  created_at = true }

--------------------------------------------------------------------------------------------- fields

local function is_array(value) return type(value) == "table" and getmetatable(value) == ARRAY end
local function is_object(value) return type(value) == "table" and getmetatable(value) ~= ARRAY end

--- Whether a JSON number is an integer: it was written as one and fits into 64 bits.
function M.is_integer(value)
  if math.type then return math.type(value) == "integer" end
  return type(value) == "number" and value == math.floor(value) and value >= -2 ^ 53 and value <= 2 ^ 53
end

--- Whether a list of code points fits a glob, by trying every way.
local function glob(pattern, p, codes, c)
  if p > #pattern then return c > #codes end
  if pattern[p] == 42 then -- '*'
    return glob(pattern, p + 1, codes, c) or c <= #codes and glob(pattern, p, codes, c + 1)
  end
  return c <= #codes and (pattern[p] == 63 or pattern[p] == codes[c]) and glob(pattern, p + 1, codes, c + 1)
end

local MATCH = {
  starts_with = function(text, part) return text:sub(1, #part) == part end,
  ends_with = function(text, part) return part == "" or text:sub(-#part) == part end,
  contains = function(text, part) return text:find(part, 1, true) ~= nil end,
  glob = function(text, part) return glob(generator.codes(part), 1, generator.codes(text), 1) end,
}

local function any_of(list, accepts)
  for _, entry in ipairs(list) do
    if accepts(entry) then return true end
  end
  return false
end

local function same(value) return function(other) return rawequal(value, other) or value == other end end

local function in_bounds(field, n)
  return not (field.min and n < field.min or field.max and n > field.max)
end

local CHECK = {}

--- Adds to `why` whatever is wrong with a value.
local function check(field, value, why)
  CHECK[field.kind](field, value, why)
end

function CHECK.any() end
function CHECK.boolean(_, value, why)
  if type(value) ~= "boolean" then why["field-type"] = true end
end

function CHECK.string(field, value, why)
  if type(value) ~= "string" then
    why["field-type"] = true
    return
  end
  if not in_bounds(field, #generator.codes(value)) then why["field-length"] = true end
  for name, matches in pairs(MATCH) do
    if field[name] and not any_of(field[name], function(part) return matches(value, part) end) then
      why["field-value"] = true
    end
  end
  if field.one_of and not any_of(field.one_of, same(value)) then why["field-value"] = true end
end

local function check_number(field, value, why)
  if not in_bounds(field, value) then why["field-range"] = true end
  if field.one_of and not any_of(field.one_of, same(value)) then why["field-value"] = true end
end

function CHECK.number(field, value, why)
  if type(value) ~= "number" then
    why["field-type"] = true
  else
    check_number(field, value, why)
  end
end

function CHECK.integer(field, value, why)
  if not M.is_integer(value) then
    why["field-type"] = true
  else
    check_number(field, value, why)
  end
end

function CHECK.one_of(field, value, why)
  if not any_of(field.one_of, same(value)) then why["field-value"] = true end
end

function CHECK.array(field, value, why)
  if not is_array(value) then
    why["field-type"] = true
    return
  end
  if not in_bounds(field, #value) then why["field-length"] = true end
  if field.items then
    for _, element in ipairs(value) do check(field.items, element, why) end
  end
end

--- Members against fields; `each` and `extra` for all others. Returns what is left of it.
local function check_members(fields, value, extra, each, keys, why)
  for name, field in pairs(fields) do
    if value[name] ~= nil then
      check(field, value[name], why)
    elseif not field.optional then
      why["field-missing"] = true
    end
  end
  for name, member in pairs(value) do
    if fields[name] == nil then
      if keys then check(keys, name, why) end
      if each then
        check(each, member, why)
      elseif extra == "refuse" then
        why["extra-field"] = true
      end
    end
  end
end

function CHECK.object(field, value, why)
  if not is_object(value) then
    why["field-type"] = true
    return
  end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  if not in_bounds(field, count) then why["field-length"] = true end
  check_members(field.fields or {}, value, field.extra, field.each, field.keys, why)
end

--- A copy without what `extra = "strip"` takes away.
local function strip(field, value)
  if field.kind == "array" and is_array(value) and field.items then
    local copy = {}
    for i, element in ipairs(value) do copy[i] = strip(field.items, element) end
    return core.json.array(copy)
  elseif field.kind == "object" and is_object(value) then
    local copy = {}
    for name, member in pairs(value) do
      local of = (field.fields or {})[name]
      if of then
        copy[name] = strip(of, member)
      elseif field.each then
        copy[name] = strip(field.each, member)
      elseif field.extra == "keep" then
        copy[name] = member
      end
    end
    return copy
  end
  return value
end

---------------------------------------------------------------------------------------------- rules

--- Whether a top-level member belongs to the envelope rather than to the data.
local function is_envelope(name, value, sender)
  if ENVELOPE[name] then return true end
  if name == "watcher_count" then return M.is_integer(value) end
  if name == "user_id" then return sender ~= nil and value == sender end
  if name == "received_at" then return type(value) == "number" or type(value) == "string" end
  return false
end

local function names_it(rule, event_type)
  local prefix = rule.name:match "^(.*)%*$"
  if not prefix then return rule.name == event_type end
  if event_type:sub(1, #prefix) ~= prefix then return false end
  return core.type_class(event_type) == "custom" or prefix:find(".", 1, true) ~= nil
end

--- The rule for a type: the exact name, else the longest prefix.
local function find(model, event_type)
  local best
  for _, rule in ipairs(model.rules) do
    if names_it(rule, event_type) then
      if rule.name == event_type then return rule end
      if not best or #rule.name > #best.name then best = rule end
    end
  end
  return best
end

--- The event with other data in place of its own.
function M.with_data(event, sender, data)
  local result = {}
  for name, value in pairs(event) do
    if is_envelope(name, value, sender) then result[name] = value end
  end
  for name, value in pairs(data) do result[name] = value end
  return result
end

---@class support.Oracle
local Oracle = {}
Oracle.__index = Oracle

---@param model table a rule set of support.rule_generator
---@param self_id string? who the client is signed in as
function M.new(model, self_id)
  return setmetatable({ model = model, self_id = self_id, buckets = {}, marks = {} }, Oracle)
end

function Oracle:mode_of(rule) return rule and rule.mode or self.model.mode end

function Oracle:marked(user, now)
  for _, rule in ipairs(self.model.rules) do
    local ends = rule.kind == "honeypot" and user and self.marks[rule.mark .. "\0" .. user]
    if ends and now < ends then return true end
  end
  return false
end

local function holds(condition, value)
  if not condition then return true end
  local found = value ~= nil and any_of(condition.list, same(value))
  if condition.none then return not found end
  return found
end

local function fits_source(from, event, sender)
  local role = type(event.user) == "table" and event.user.role
  return holds(from.user, sender) and holds(from.role, sender and type(role) == "string" and role or nil)
    and holds(from.cid, event.cid) and holds(from.channel_type, event.channel_type)
end

--- Takes a token of each rate, or none.
function Oracle:take(rule, event, sender, now)
  local taken = {}
  for i, rate in ipairs(rule.rates) do
    local whose = rate.per == "sender" and (sender or "") or rate.per == "channel" and (event.cid or "") or ""
    local key = rule.name .. "\0" .. i .. "\0" .. whose
    local bucket = self.buckets[key] or { tokens = rate.count, at = now }
    self.buckets[key] = bucket
    local earned = (now - bucket.at) * rate.count / rate.seconds
    bucket.tokens, bucket.at = math.min(rate.count, bucket.tokens + earned), now
    if bucket.tokens < 1 then return false end
    taken[i] = bucket
  end
  for _, bucket in ipairs(taken) do bucket.tokens = bucket.tokens - 1 end
  return true
end

local function reasons(...)
  local set = {}
  for _, reason in ipairs { ... } do set[reason] = true end
  return set
end

--- What the fields of a rule make of an event: reasons against it, or what is left of its data.
function M.judge_fields(rule, event, sender)
  local data, why = {}, {}
  for name, value in pairs(event) do
    if not is_envelope(name, value, sender) then data[name] = value end
  end
  local fields, extra = rule.fields or {}, rule.extra or "refuse"
  check_members(fields, data, extra, nil, nil, why)
  local left = {}
  for name, value in pairs(event) do
    if data[name] == nil then
      left[name] = value
    elseif fields[name] then
      left[name] = strip(fields[name], value)
    elseif extra == "keep" then
      left[name] = value
    end
  end
  return why, left
end

--- The judgement: { verdict =, why = set of reasons, data = what is delivered }.
function Oracle:judge_rule(rule, text, event, trust, sender, now)
  local allowed = not rule.trust or any_of(rule.trust, same(trust))
  if not allowed then return { verdict = "drop", why = reasons "trust" } end
  if self:marked(sender, now) then return { verdict = "drop", why = reasons "marked" } end
  if rule.from and not fits_source(rule.from, event, sender) then
    return { verdict = "drop", why = reasons "from" }
  end
  if rule.size and #text > rule.size then return { verdict = "drop", why = reasons "too-large" } end
  local why, left = M.judge_fields(rule, event, sender)
  if next(why) then return { verdict = "drop", why = why } end
  if rule.rates and not self:take(rule, event, sender, now) then
    return { verdict = "drop", why = reasons "rate" }
  end
  if rule.quarantine then return { verdict = "quarantine", data = left } end
  return { verdict = rule.flag and "flag" or "allow", data = left }
end

--- What the type alone says: "pass", "ask", "trap" or "refuse", as Rules:route.
function Oracle:route(event_type)
  local class = core.type_class(event_type)
  local rule = find(self.model, event_type)
  if class == "local" then return "local" end
  if rule and rule.kind == "event" then return "ask", nil, rule end
  if rule then
    if rule.kind == "refuse" then return "refuse", "refused", rule end
    return "trap", "honeypot", rule
  end
  if class == "builtin" or self.model.default == "allow" then return "pass" end
  return "refuse", "undeclared-type"
end

--- Decides, and remembers.
---@param text string
---@param now number
---@return table judgement verdict, judged, why, data; rule
function Oracle:judge(text, now)
  local whole = core.event.new(text, { self = self.self_id, received_at = now })
  if not whole then return { verdict = "drop", judged = "drop", why = reasons "malformed" } end
  local event, trust = core.json.decode(text), whole.trust
  local id = event.cid and type(event.user) == "table" and event.user.id
  local sender = type(id) == "string" and id or nil
  for name, value in pairs(event) do
    if ENVELOPE[name] and value == NULL then event[name] = nil end
  end
  event.channel_type = whole.channel_type
  local route, reason, rule = self:route(event.type)
  local result
  if route == "local" then
    result = { verdict = "drop", why = reasons "reserved-type" }
  elseif route == "refuse" or route == "trap" then
    result = { verdict = "drop", why = reasons(reason) }
    if route == "trap" and trust == "user" and sender and self:mode_of(rule) == "enforce" then
      local key = rule.mark .. "\0" .. sender
      self.marks[key] = math.max(self.marks[key] or 0, now + rule.seconds)
    end
  elseif route == "pass" then
    local marked = core.type_class(event.type) == "custom" and self:marked(sender, now)
    result = marked and { verdict = "drop", why = reasons "marked" } or { verdict = "allow", data = event }
  else
    result = self:judge_rule(rule, text, event, trust, sender, now)
  end
  result.rule, result.judged, result.event, result.sender = rule, result.verdict, event, sender
  -- Audit mode delivers as if there were no rules.
  if self:mode_of(rule) == "audit" and route ~= "local" then
    result.verdict, result.data = "allow", event
  end
  return result
end

return M
