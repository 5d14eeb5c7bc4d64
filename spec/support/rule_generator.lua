--- Random rule sets and random events for them: what fits, what nearly fits, and what is hostile.
-- Everything comes from one seed, and is the same on every Lua.
local M = {}

-------------------------------------------------------------------------------------------- chance

---@class support.Random
local Random = {}
Random.__index = Random

--- A sequence of its own (Park and Miller); math.random belongs to the program.
---@param seed integer
function M.random(seed)
  local self = setmetatable({ state = seed % 2147483646 + 1 }, Random)
  for _ = 1, 8 do self:int(0, 1) end -- neighbouring seeds begin alike
  return self
end

function Random:int(low, high)
  self.state = self.state * 16807 % 2147483647
  return low + math.floor(self.state / 2147483647 * (high - low + 1))
end

function Random:chance(share) return self:int(0, 999) < share * 1000 end
function Random:pick(list) return list[self:int(1, #list)] end

--- Some of a list, at least one.
function Random:some(list)
  local found = {}
  for _, value in ipairs(list) do
    if self:chance(0.4) then found[#found + 1] = value end
  end
  if #found == 0 then found[1] = self:pick(list) end
  return found
end

---------------------------------------------------------------------------------------- rule sets

-- Few of each, so that rules and events meet.
M.TYPES = { "a", "ab", "abc", "abd", "b", "b_c", "x.y", "é", "message.new", "typing.start" }
M.PREFIXES = { "*", "a*", "ab*", "b_*", "x.*", "message.*", "é*" }
M.FIELDS = { "n", "m", "text", "list", "box", "é", "k k" }
M.USERS = { "ann", "ben", "eve" }
M.ROLES = { "user", "admin", "guest" }
M.CIDS = { "messaging:a", "messaging:b", "team:a" }
local CHANNEL_TYPES = { "messaging", "team" }
local PARTS = { "a", "ab", "aXb", "éa", "漢", "\240\159\152\128", "a\0b", "\\\"" }
local WORDS = { "", "a", "ab", "aXb", "éa", "漢", "\240\159\152\128", "a\0b", "\\\"" }
local NUMBERS = { -3, 0, 1, 2, 2.5, 7, 1e15, -1e300, 9007199254740993 }

local function bounds(random, field, low, high)
  local a, b = random:int(low, high), random:int(low, high)
  if random:chance(0.5) then field.min = math.min(a, b) end
  if random:chance(0.5) then field.max = math.max(a, b) end
end

local KINDS = { "string", "integer", "number", "boolean", "array", "object", "one_of", "any" }
local MAKE = {}

-- What contradicts itself is an error, so bounds, beginnings and the like, and lists of values do not
-- come together.
function MAKE.string(random, field)
  if random:chance(0.5) then return bounds(random, field, 0, 4) end
  if random:chance(0.15) then
    field.one_of = random:some(WORDS)
    return
  end
  if random:chance(0.1) then field.min = 1 end
  for _, matcher in ipairs { "starts_with", "ends_with", "contains" } do
    if random:chance(0.1) then field[matcher] = random:some(PARTS) end
  end
  if random:chance(0.15) then field.glob = random:some { "*", "a*", "?", "*b", "?*a", "a?b", "é*" } end
end

function MAKE.integer(random, field)
  if random:chance(0.6) then return bounds(random, field, -4, 8) end
  if random:chance(0.2) then field.one_of = random:some { -3, 0, 1, 2, 7 } end
end

function MAKE.number(random, field)
  if random:chance(0.6) then return bounds(random, field, -4, 8) end
  if random:chance(0.2) then field.one_of = random:some(NUMBERS) end
end

function MAKE.array(random, field, depth)
  bounds(random, field, 0, 3)
  if depth > 0 and random:chance(0.7) then field.items = M.field(random, depth - 1) end
end

function MAKE.object(random, field, depth)
  if depth > 0 and random:chance(0.7) then
    field.fields = M.fields(random, depth - 1)
  elseif random:chance(0.5) then
    bounds(random, field, 0, 3)
  end
  if random:chance(0.2) then
    field.keys, field.each = { kind = "string" }, { kind = "any" }
    MAKE.string(random, field.keys)
  end
  if depth > 0 and random:chance(0.3) then field.each = M.field(random, depth - 1) end
  if not field.each then
    field.extra = field.fields and random:pick { "refuse", "refuse", "keep", "strip" } or "keep"
  end
end

function MAKE.one_of(random, field)
  field.one_of = random:some { "a", "é", 1, 2.5, true, "" }
end

--- One field, as deep as `depth` allows.
function M.field(random, depth)
  local field = { kind = random:pick(KINDS) }
  if MAKE[field.kind] then MAKE[field.kind](random, field, depth) end
  return field
end

function M.fields(random, depth)
  local fields = {}
  for _, name in ipairs(M.FIELDS) do
    if random:chance(0.35) then
      fields[name] = M.field(random, depth)
      if random:chance(0.4) then fields[name].optional = true end
    end
  end
  return fields
end

local function source(random, list)
  return { list = random:some(list), none = random:chance(0.3) or nil }
end

local function from(random)
  local conditions = {}
  if random:chance(0.4) then conditions.user = source(random, M.USERS) end
  if random:chance(0.3) then conditions.role = source(random, M.ROLES) end
  -- One of the two: together they may contradict each other, which is an error.
  if random:chance(0.2) then
    conditions.cid = source(random, M.CIDS)
  elseif random:chance(0.2) then
    conditions.channel_type = source(random, CHANNEL_TYPES)
  end
  return next(conditions) and conditions or nil
end

-- Powers of two, so that adding up tokens is exact however it is done.
local function rates(random)
  local list = {}
  for i = 1, random:int(1, 2) do
    list[i] = { count = random:pick { 1, 2, 4 }, seconds = random:pick { 1, 2, 8, 1024 },
      per = random:pick { "sender", "channel", "all" } }
  end
  return list
end

local function event_rule(random, name)
  local rule = { kind = "event", name = name }
  if random:chance(0.2) then rule.trust = random:some { "server", "self", "user" } end
  if random:chance(0.25) then rule.from = from(random) end
  if random:chance(0.2) then rule.size = random:int(60, 400) end
  if random:chance(0.25) then rule.rates = rates(random) end
  if random:chance(0.85) then rule.fields = M.fields(random, 2) end
  if random:chance(0.6) then rule.extra = random:pick { "refuse", "keep", "strip" } end
  if random:chance(0.1) then rule.mode = random:pick { "audit", "enforce" } end
  if random:chance(0.1) then rule[random:pick { "flag", "flag", "quarantine" }] = "noted" end
  if rule.trust and #rule.trust == 1 and rule.trust[1] == "server" then
    rule.from = nil -- what only a server can send has no sender and no '.': an error
    if name:find(".", 1, true) then rule.trust = nil end
  end
  return rule
end

--- A rule set, as core.rule_set takes it: declarations alone.
---@param random support.Random
---@return table model
function M.rule_set(random)
  local model = {
    default = random:chance(0.75) and "drop" or "allow", mode = random:chance(0.9) and "enforce" or "audit",
    rules = {}, hash = "0123456789ab",
  }
  for _, list in ipairs { M.TYPES, M.PREFIXES } do
    for _, name in ipairs(list) do
      if random:chance(0.35) then
        local kind = random:pick { "event", "event", "event", "event", "event", "refuse", "honeypot" }
        local rule
        if kind == "event" then
          rule = event_rule(random, name)
        else
          rule = { kind = kind, name = name }
          if kind == "honeypot" then
            rule.mark, rule.seconds = random:pick { "honeypot", "other" }, random:pick { 4, 1024 }
          end
        end
        table.insert(model.rules, random:int(1, #model.rules + 1), rule)
      end
    end
  end
  return model
end

------------------------------------------------------------------------------------- JSON, by hand

local function utf8_of(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64,
      0x80 + code % 64)
  end
  return string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64,
    0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

--- The code points of valid UTF-8.
function M.codes(text)
  local codes = {}
  for lead, rest in text:gmatch "([%z\1-\127\194-\244])([\128-\191]*)" do
    local byte = lead:byte()
    local code = byte - (byte < 0x80 and 0 or byte < 0xE0 and 0xC0 or byte < 0xF0 and 0xE0 or 0xF0)
    for i = 1, #rest do code = code * 64 + rest:byte(i) - 0x80 end
    codes[#codes + 1] = code
  end
  return codes
end

local SHORT = { [8] = "b", [9] = "t", [10] = "n", [12] = "f", [13] = "r", [34] = '"', [92] = "\\",
  [47] = "/" }

--- A JSON string; each character in one of the ways it can be written.
---@param escapes number share of the characters that are escaped without need
function M.quote(random, text, escapes)
  local parts = {}
  for _, code in ipairs(M.codes(text)) do
    local must = code < 32 or code == 34 or code == 92
    if must and SHORT[code] and random:chance(0.5) then
      parts[#parts + 1] = "\\" .. SHORT[code]
    elseif must or random:chance(escapes) then
      if code >= 0x10000 then
        local above = code - 0x10000
        parts[#parts + 1] = ("\\u%04x\\u%04X")
          :format(0xD800 + math.floor(above / 1024), 0xDC00 + above % 1024)
      else
        parts[#parts + 1] = (random:chance(0.5) and "\\u%04x" or "\\u%04X"):format(code)
      end
    else
      parts[#parts + 1] = utf8_of(code)
    end
  end
  return '"' .. table.concat(parts) .. '"'
end

local function space(random)
  return random:chance(0.9) and "" or random:pick { " ", "\n", "\t ", "\r\n" }
end

--- An object or array out of raw texts.
local function join(random, open, parts, close)
  local text = {}
  for i, part in ipairs(parts) do
    text[i] = space(random) .. part .. space(random)
  end
  return open .. table.concat(text, ",") .. close
end

local function member(random, key, value)
  return M.quote(random, key, 0.05) .. space(random) .. ":" .. space(random) .. value
end

-- A Lua without integers cannot tell how a whole number was written, or which one above 2^53.
local NUMBERS_TO_COME = { "0", "1", "-1", "2.5", "3", "1E400", "0.1", "1e308" }
if math.type then
  for text in ("-0 0.0 1.0 1e0 10e-1 -1e308 1e-400 9223372036854775807 9223372036854775808 "
    .. "-9223372036854775808 100000000000000000000 4.0000000000000001 9007199254740993"):gmatch "%S+" do
    table.insert(NUMBERS_TO_COME, text)
  end
end

--- Any value at all.
function M.hostile(random, depth)
  local kind = random:int(1, depth > 0 and 8 or 6)
  if kind == 1 then return "null" end
  if kind == 2 then return random:pick { "true", "false" } end
  if kind <= 4 then return random:pick(NUMBERS_TO_COME) end
  if kind <= 6 then return M.quote(random, random:pick(WORDS) .. random:pick(WORDS), 0.1) end
  local parts, at = {}, random:int(1, #M.FIELDS)
  for i = 1, random:int(0, 4) do
    local value = M.hostile(random, depth - 1)
    parts[i] = kind == 7 and value or member(random, M.FIELDS[(at + i) % #M.FIELDS + 1], value)
  end
  return kind == 7 and join(random, "[", parts, "]") or join(random, "{", parts, "}")
end

--- A value that has a good chance to fit a field.
local FIT = {}

function FIT.string(random, field)
  local words = field.one_of or WORDS
  local text = random:pick(words)
  if field.starts_with then text = random:pick(field.starts_with) .. text end
  if field.ends_with then text = text .. random:pick(field.ends_with) end
  return M.quote(random, text, 0.05)
end

--- A number as text, exactly.
function M.number(value)
  local whole = value == math.floor(value) and value < 2 ^ 62 and value > -2 ^ 62
  return (whole and "%d" or "%.17g"):format(value)
end

local function number(random, field, step)
  local value = field.one_of and random:pick(field.one_of)
    or random:int((field.min or -4) / step, (field.max or 8) / step) * step
  if random:chance(0.1) then -- just inside or outside of a bound
    value = (random:chance(0.5) and field.min or field.max or value) + random:pick { -1, -0.5, 0.5, 1 }
  end
  return M.number(value)
end
function FIT.integer(random, field) return number(random, field, 1) end
function FIT.number(random, field) return number(random, field, random:pick { 1, 0.5 }) end
function FIT.boolean(random) return random:pick { "true", "false" } end
function FIT.any(random) return M.hostile(random, 2) end

function FIT.one_of(random, field)
  local value = random:pick(field.one_of)
  if type(value) == "string" then return M.quote(random, value, 0.05) end
  return type(value) == "number" and M.number(value) or tostring(value)
end

function FIT.array(random, field)
  local parts = {}
  for i = 1, random:int(field.min or 0, field.max or 3) do
    parts[i] = field.items and M.fit(random, field.items) or M.hostile(random, 1)
  end
  return join(random, "[", parts, "]")
end

function FIT.object(random, field)
  local parts = M.members(random, field.fields or {})
  local free = field.each or field.extra == "keep" or field.extra == "strip" or not field.fields
  if free and random:chance(0.5) then
    local value = field.each and M.fit(random, field.each) or M.hostile(random, 1)
    parts[#parts + 1] = member(random, random:pick { "other", "a", "aXb" }, value)
  end
  return join(random, "{", parts, "}")
end

function M.fit(random, field)
  if random:chance(0.06) then return M.hostile(random, 2) end
  return FIT[field.kind](random, field)
end

--- Members for fields, as raw texts.
function M.members(random, fields)
  local parts = {}
  for _, name in ipairs(M.FIELDS) do -- in an order of our own: that of pairs is not the same each time
    local field = fields[name]
    if field and not (field.optional and random:chance(0.4)) and not random:chance(0.03) then
      parts[#parts + 1] = member(random, name, M.fit(random, field))
    end
  end
  return parts
end

-------------------------------------------------------------------------------------------- events

-- A name of the envelope: its letters are nearly never escaped, since that is refused.
local function known(random, key, value)
  key = M.quote(random, key, random:chance(0.01) and 0.2 or 0)
  return key .. space(random) .. ":" .. space(random) .. value
end

local function envelope(random, parts, user)
  local cid = random:chance(0.8) and random:pick(M.CIDS) or nil
  if cid then
    parts[#parts + 1] = known(random, "cid", '"' .. cid .. '"')
    if random:chance(0.8) then
      local channel_type, channel_id = cid:match "(.*):(.*)"
      parts[#parts + 1] = known(random, "channel_type", '"' .. channel_type .. '"')
      parts[#parts + 1] = known(random, "channel_id", '"' .. channel_id .. '"')
    end
  end
  if user then
    local about = { '"id":"' .. user .. '"' }
    if random:chance(0.7) then
      about[2] = member(random, "role", random:chance(0.9) and '"' .. random:pick(M.ROLES) .. '"'
        or M.hostile(random, 1))
    end
    if random:chance(0.3) then about[#about + 1] = '"name":"Somebody"' end
    parts[#parts + 1] = known(random, "user", join(random, "{", about, "}"))
  end
  if random:chance(0.5) then parts[#parts + 1] = '"created_at":"2026-01-01T00:00:00Z"' end
  if random:chance(0.1) then
    parts[#parts + 1] = '"watcher_count":' .. random:pick { "3", "0", "2.5", '"3"', "null" }
  end
  if random:chance(0.1) then parts[#parts + 1] = '"user_id":"' .. random:pick(M.USERS) .. '"' end
  if random:chance(0.05) then
    parts[#parts + 1] = '"received_at":' .. random:pick { "1", '"x"', "true", "{}" }
  end
end

-- What no parser may fall for.
local BREAK = {
  function(_, text) return text:sub(1, -2) end,
  function(_, text) return text .. "x" end,
  function(random, text) return text:sub(1, random:int(0, #text)) end,
  function(_, text) return (text:gsub("}$", ',"n":1,"\\u006e":2}')) end, -- the second of the same name
  function(_, text) return (text:gsub("}$", ',"odd":"\\ud800"}')) end,
  function(_, text) return (text:gsub("}$", ',"odd":"\255"}')) end,
  function(_, text) return (text:gsub("}$", ',"odd":NaN}')) end,
  function(_, text) return (text:gsub("}$", ',"odd":01}')) end,
  function(_, text) return (text:gsub("}$", ',"ty\\u0070e":"a"}')) end,
  function(_, text) return (text:gsub("}$", ',"trust":"server","verdict":null,"raw_data":{}}')) end,
  function(_, text) return (text:gsub("}$", ',"deep":' .. ("["):rep(40) .. ("]"):rep(40) .. "}")) end,
  function(_, text) return (text:gsub("}$", ',"deep":' .. ("["):rep(31) .. ("]"):rep(31) .. "}")) end,
  -- A name that comes twice further inside: the decoder takes the last.
  function(_, text) return (text:gsub("}$", ',"box":{"n":1,"n":"two"}}')) end,
  function(_, text) return (text:gsub("}$", ',"box":{"n":"two","\\u006e":1}}')) end,
  function(_, text) return (text:gsub('"user":{', '%0"role":"admin","role":"user",')) end,
  function(_, text) return (text:gsub('"user":{', '%0"role":"admin","ro\\u006ce":"user",')) end,
}

local function shuffle(random, list)
  for i = #list, 2, -1 do
    local j = random:int(1, i)
    list[i], list[j] = list[j], list[i]
  end
end

local function find_rule(model, event_type)
  local best
  for _, rule in ipairs(model.rules) do
    local prefix = rule.name:match "^(.*)%*$"
    if rule.name == event_type then return rule end
    if prefix and event_type:sub(1, #prefix) == prefix and (not best or #best.name < #rule.name) then
      best = rule
    end
  end
  return best
end

--- An event for a rule set: its JSON text, right or wrong.
---@param random support.Random
---@param model table
---@return string text
---@return boolean odd something was done to it that other JSON parsers see differently
function M.event(random, model)
  local event_type = random:pick(M.TYPES)
  if random:chance(0.05) then event_type = random:pick { "abcdef", "b_", "zzz", "connection.changed", "" } end
  local rule = find_rule(model, event_type)
  local parts = { '"type":' .. M.quote(random, event_type, 0.02) }
  envelope(random, parts, random:chance(0.95) and random:pick(M.USERS) or nil)
  for _, part in ipairs(M.members(random, rule and rule.fields or {})) do parts[#parts + 1] = part end
  if random:chance(rule and rule.extra and rule.extra ~= "refuse" and 0.4 or 0.08) then
    parts[#parts + 1] = member(random, random:pick { "extra", "note", "id" }, M.hostile(random, 2))
  end
  shuffle(random, parts)
  local text = join(random, "{", parts, "}")
  if random:chance(0.08) then return random:pick(BREAK)(random, text), true end
  return text, false
end

-------------------------------------------------------------------------------- rules as rule text

local RESERVED = { ["k k"] = true, ["é"] = true }

local function literal(value)
  if type(value) == "string" then return (("%q"):format(value):gsub("\n", "n"):gsub("%z", "0")) end
  if type(value) ~= "number" then return tostring(value) end
  return M.number(value)
end

local function list_of(values)
  local parts = {}
  for i, value in ipairs(values) do parts[i] = literal(value) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local field_text

local function fields_text(fields)
  local parts = {}
  for _, name in ipairs(M.FIELDS) do
    if fields[name] then
      local key = RESERVED[name] and "[" .. literal(name) .. "]" or name
      parts[#parts + 1] = key .. " = " .. field_text(fields[name])
    end
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

function field_text(field)
  local parts = {}
  for _, name in ipairs { "min", "max" } do
    if field[name] then parts[#parts + 1] = name .. " = " .. literal(field[name]) end
  end
  for _, name in ipairs { "starts_with", "ends_with", "contains", "glob", "one_of" } do
    local list = field.kind ~= "one_of" and field[name]
    if list then parts[#parts + 1] = name .. " = " .. list_of(list) end
  end
  for _, name in ipairs { "items", "keys", "each" } do
    if field[name] then parts[#parts + 1] = name .. " = " .. field_text(field[name]) end
  end
  if field.fields then parts[#parts + 1] = "fields = " .. fields_text(field.fields) end
  if field.extra then parts[#parts + 1] = "extra = " .. literal(field.extra) end
  local text = field.kind
  if field.kind == "one_of" then
    text = text .. " " .. list_of(field.one_of)
  elseif #parts > 0 then
    text = text .. " { " .. table.concat(parts, ", ") .. " }"
  end
  return field.optional and "optional(" .. text .. ")" or text
end

local function event_text(rule, functions)
  local lines = {}
  local function add(key, text) lines[#lines + 1] = ("  %s = %s,"):format(key, text) end
  for _, key in ipairs { "mode", "size", "extra", "flag", "quarantine" } do
    if rule[key] then add(key, literal(rule[key])) end
  end
  if rule.trust then add("trust", list_of(rule.trust)) end
  if rule.from then
    local parts = {}
    for _, name in ipairs { "user", "role", "channel_type", "cid" } do
      local condition = rule.from[name]
      if condition then
        parts[#parts + 1] = ("%s = %s%s")
          :format(name, condition.none and "none_of " or "", list_of(condition.list))
      end
    end
    add("from", "{ " .. table.concat(parts, ", ") .. " }")
  end
  if rule.rates then
    local parts = {}
    for i, rate in ipairs(rule.rates) do
      parts[i] = ("{ count = %d, seconds = %d, per = %q }"):format(rate.count, rate.seconds, rate.per)
    end
    add("rate", #parts == 1 and parts[1] or "{ " .. table.concat(parts, ", ") .. " }")
  end
  if rule.fields then add("fields", fields_text(rule.fields)) end
  for _, key in ipairs { "check", "rewrite" } do
    local body = functions[key]
    if body then add(key, "function(event, context) " .. body .. " end") end
  end
  return "event " .. literal(rule.name) .. " {\n" .. table.concat(lines, "\n") .. "\n}"
end

--- The same rule set, as the text of a rule file.
---@param model table
---@param functions table<string, { check: string?, rewrite: string? }>? bodies, by name of the rule
---@return string
function M.text(model, functions)
  local parts = { "default " .. literal(model.default), "mode " .. literal(model.mode) }
  for _, rule in ipairs(model.rules) do
    if rule.kind == "event" then
      parts[#parts + 1] = event_text(rule, functions and functions[rule.name] or {})
    elseif rule.kind == "refuse" then
      parts[#parts + 1] = "refuse " .. literal(rule.name)
    else
      parts[#parts + 1] = ("honeypot %s { seconds = %d, mark = %q }")
        :format(literal(rule.name), rule.seconds, rule.mark)
    end
  end
  return table.concat(parts, "\n") .. "\n"
end

return M
