--- What the fields of an event may hold: from `string { max = 280 }` to what the core compares with.
local marks = require "stream_events.rules.marks"
local names = require "stream_events.names"
local problems = require "stream_events.rules.problems"
local suggest = require "stream_events.suggest"
local values = require "stream_events.rules.values"
local words = require "stream_events.rules.words"

local M = {}

local show = problems.show

local DEEPEST = 32 -- as deep as events may be
local MOST = 256   -- keys of an object: no event has more

local TEXTS = { "starts_with", "ends_with", "contains", "glob" }

local OPTIONS = {
  string = { min = true, max = true, starts_with = true, ends_with = true, contains = true, glob = true,
    one_of = true },
  integer = { min = true, max = true, one_of = true },
  number = { min = true, max = true, one_of = true },
  boolean = {},
  any = {},
  array = { items = true, min = true, max = true },
  object = { fields = true, keys = true, each = true, min = true, max = true, extra = true },
}

local EXTRA = { refuse = true, keep = true, strip = true }

-- Words that other tools have for the same.
local MEANT = {
  minimum = "min", maximum = "max", min_length = "min", max_length = "max", minLength = "min",
  maxLength = "max", length = "max", size = "max", pattern = "glob", match = "glob", matches = "glob",
  prefix = "starts_with", suffix = "ends_with", enum = "one_of", values = "one_of", choices = "one_of",
  properties = "fields", additional = "extra", element = "items", elements = "items", of = "items",
}

local compile

-- Names that an event has of its own, or that this library gives it: no data can be called so.
local ENVELOPE = {
  type = "the name behind 'event'", cid = "from = { cid = ... }",
  channel_type = "from = { channel_type = ... }", channel_id = "from = { cid = ... }",
  user = "from = { user = ... }", user_id = "from = { user = ... }", trust = "trust = ...",
  created_at = "context.now", received_at = "context.now", watcher_count = "",
  verdict = "", raw_data = "",
}

-- ----------------------------------------------------------------------------------- bounds

-- min and max, each a whole number unless `fraction`, and not below `least`.
local function bounds(options, place, result, least, fraction)
  for _, key in ipairs { "min", "max" } do
    local value = options[key]
    local fine = value == nil or (fraction and values.is_number(value)) or values.is_whole(value)
    if not fine then
      place:wrong(("'%s' must be a %snumber, not %s"):format(key, fraction and "" or "whole ",
        values.describe(value)), nil, key)
    elseif value and least and value < least then
      place:wrong(("'%s' must not be below %d"):format(key, least), nil, key)
    else
      result[key] = value
    end
  end
  if result.min and result.max and result.min > result.max then
    place:wrong(("'min' (%s) is above 'max' (%s): nothing fits"):format(result.min, result.max), nil, "min")
  end
end

-- Whether a size lies outside of the bounds that are set.
local function outside(result, size)
  return (result.min ~= nil and size < result.min) or (result.max ~= nil and size > result.max)
end

-- A list of texts one of which must fit; at least one must be short enough to.
local function matcher(options, key, place, result)
  if options[key] == nil then return end
  local list = values.one_or_list(options[key], place:at(key), values.wrong_text)
  if not list then return end
  if key ~= "glob" and result.max then
    local shortest = math.huge
    for _, text in ipairs(list) do shortest = math.min(shortest, values.length(text)) end
    if shortest > result.max then
      place:wrong(("'%s' is longer than 'max' (%s): nothing fits"):format(key, result.max), nil, key)
    end
  end
  result[key] = list
end

local ONE_OF = {
  string = function(value) return type(value) ~= "string" and values.wrong_text(value) or nil end,
  integer = function(value)
    if not values.is_whole(value) then return "must be a whole number, not " .. values.describe(value) end
  end,
  number = function(value)
    if not values.is_number(value) then return "must be a number, not " .. values.describe(value) end
  end,
  one_of = function(value)
    if type(value) == "boolean" or values.is_number(value) then return nil end
    if type(value) ~= "string" then
      return "must be a string, a number or a boolean, not " .. values.describe(value)
    end
  end,
}

local function wrong_choice(kind)
  return function(value)
    local wrong = ONE_OF[kind](value)
    if wrong then return wrong end
    if type(value) == "string" and not names.is_utf8(value) then return "is not UTF-8: no event holds it" end
  end
end

-- The values among which one must be. Those that the bounds exclude can never be.
local function choices(options, place, result)
  if options.one_of == nil then return end
  local given = options.one_of
  if marks.kind(given) == "one_of" then given = given.options end
  local below = place:at("one_of")
  local list = values.list(given, below, wrong_choice(result.kind))
  for _, value in ipairs(list or {}) do
    if outside(result, type(value) == "string" and values.length(value) or value) then
      below:wrong(("%s is outside of 'min' and 'max'"):format(show(value)))
    end
  end
  result.one_of = list
end

-- ------------------------------------------------------------------------------------ kinds

local function inner(value, place, key, depth)
  if value == nil then return nil end
  local result = compile(value, place:at(key), depth + 1)
  if result and result.optional then
    place:wrong(("'%s' cannot be optional"):format(key), nil, key)
  end
  return result
end

local KINDS = {}

local FITS = {
  starts_with = function(value, text) return value:sub(1, #text) == text end,
  ends_with = function(value, text) return #text <= #value and value:sub(#value - #text + 1) == text end,
  contains = function(value, text) return value:find(text, 1, true) ~= nil end,
}

-- Choices that a matcher excludes can never be, either.
local function excluded(result, place)
  for _, key in ipairs(TEXTS) do
    for _, value in ipairs(FITS[key] and result[key] and result.one_of or {}) do
      local fitting = false
      for _, text in ipairs(result[key]) do fitting = fitting or FITS[key](value, text) end
      if not fitting then place:at("one_of"):wrong(("%s does not fit '%s'"):format(show(value), key)) end
    end
  end
end

function KINDS.string(options, place, result)
  bounds(options, place, result, 0)
  for _, key in ipairs(TEXTS) do matcher(options, key, place, result) end
  choices(options, place, result)
  excluded(result, place)
end

function KINDS.integer(options, place, result)
  bounds(options, place, result)
  choices(options, place, result)
end

function KINDS.number(options, place, result)
  bounds(options, place, result, nil, true)
  choices(options, place, result)
end

function KINDS.boolean() end
KINDS.any = KINDS.boolean

function KINDS.array(options, place, result, depth)
  bounds(options, place, result, 0)
  result.items = inner(options.items, place, "items", depth)
end

local function key_names(options, place, result, depth)
  local keys = inner(options.keys, place, "keys", depth)
  if keys and keys.kind == "one_of" then
    for _, value in ipairs(keys.one_of) do
      if type(value) ~= "string" then
        place:wrong("the names of keys are strings", nil, "keys")
        return
      end
    end
  elseif keys and keys.kind ~= "string" then
    place:wrong("the names of keys are strings: 'keys' must be string or string { ... }", nil, "keys")
  end
  result.keys = keys
end

local function extra_keys(options, place, result)
  if options.extra ~= nil then
    if result.keys or result.each then
      place:wrong("'extra' says nothing where 'keys' or 'each' speaks about all other keys", nil, "extra")
    end
    result.extra = values.word(options.extra, place:at("extra"), EXTRA)
  elseif result.keys or result.each then
    result.each = result.each or { kind = "any" }
  else
    -- Nothing said about any key: any object.
    result.extra = options.fields == nil and "keep" or "refuse"
  end
end

-- How many of an object's fields there must be, and how many there can be.
local function count_keys(fields)
  local least, most = 0, 0
  for _, field in pairs(fields) do
    most = most + 1
    if not field.optional then least = least + 1 end
  end
  return least, most
end

function KINDS.object(options, place, result, depth)
  bounds(options, place, result, 0)
  if options.fields ~= nil then
    result.fields = M.fields(options.fields, place:at("fields"), depth + 1)
    local least, most = count_keys(result.fields or {})
    if result.max and least > result.max then
      place:wrong(("it has %d fields that may not be missing, and 'max' is %s: nothing fits")
        :format(least, result.max), nil, "max")
    end
    local alone = options.extra == nil or options.extra == "refuse"
    if result.min and result.min > most and alone and options.keys == nil and options.each == nil then
      place:wrong(("it has %d fields and no others, and 'min' is %s: nothing fits")
        :format(most, result.min), nil, "min")
    end
  end
  key_names(options, place, result, depth)
  result.each = inner(options.each, place, "each", depth)
  extra_keys(options, place, result)
end

-- ------------------------------------------------------------------------- from words to kinds

-- What was probably meant by something that is no field.
local function meant(value)
  if type(value) == "string" then
    return words.FIELDS[value] and value or suggest.nearest(value, words.FIELDS)
  end
  if not marks.is_table(value) or next(value) == nil then return nil end
  if values.list_length(value) then return "one_of { ... }" end
  for _, element in next, value do
    if not marks.kind(element) then return nil end
  end
  return "object { fields = { ... } }"
end

local function no_field(value, place)
  local kind = marks.kind(value)
  if kind == "none_of" then
    place:wrong("'none_of' is for 'from': a field is string, integer, number, boolean, array, object, "
      .. "one_of, optional or any")
    return nil
  end
  local text = "must say what it may hold: string, integer, number, boolean, array, object, one_of, "
    .. "optional or any"
  place:wrong(("%s, not %s"):format(text, values.describe(value)), meant(value))
  return nil
end

local function optional(value, place, depth)
  if marks.kind(value.options) == nil then
    place:wrong("optional(...) takes what the field may hold, like optional(string { max = 10 })")
    return nil
  end
  local result = compile(value.options, place, depth + 1)
  if result and result.optional then place:wrong("optional twice") end
  if result then result.optional = true end
  return result
end

local function one_of(value, place)
  if value.options == nil then
    place:wrong("one_of takes a list of values, like one_of { \"happy\", \"sad\" }")
    return nil
  end
  local list = values.list(value.options, place, wrong_choice("one_of"))
  return list and { kind = "one_of", one_of = list }
end

local function options_of(value, place)
  local options = value.options
  if options == nil then return {} end
  if not marks.is_table(options) then
    local example = value.kind .. " { ... }"
    if marks.kind(options) and value.kind == "array" then example = "array { items = ... }" end
    place:wrong(("%s takes a table: %s"):format(value.kind, example))
    return nil
  end
  place:refuse_unknown(options, OPTIONS[value.kind], MEANT)
  return options
end

--- One field. nil when there is nothing to be made of it; what is wrong is recorded.
---@param value any
---@param place stream_events.rules.Place
---@param depth integer
---@return stream_events.core.RuleField?
function compile(value, place, depth)
  local kind = marks.kind(value)
  if not words.FIELDS[kind] then return no_field(value, place) end
  if depth > DEEPEST then
    place:wrong(("events are not nested deeper than %d"):format(DEEPEST))
    return nil
  end
  place = place:inside(value)
  if kind == "optional" then return optional(value, place, depth) end
  if kind == "one_of" then return one_of(value, place) end
  local options = options_of(value, place)
  if not options then return nil end
  local result = { kind = kind }
  KINDS[kind](options, place, result, depth)
  return result
end

-- The name of a field: at the top level of an event some are taken.
local function check_name(name, place, depth)
  if type(name) ~= "string" then
    place:wrong(("fields have names: { text = %s }"):format("string"), nil, name)
    return false
  elseif not names.is_utf8(name) then
    place:wrong("the name of a field is not UTF-8: no event holds it", nil, name)
    return false
  end
  local instead = depth == 1 and ENVELOPE[name]
  if instead then
    place:wrong(("'%s' is no data: every event has its own%s"):format(name,
      instead ~= "" and (", and %s speaks about it"):format(instead) or ""), nil, name)
    return false
  end
  return true
end

local function by_text(a, b)
  return tostring(a) < tostring(b)
end

--- The fields of an event (depth 1), or of an object in it.
---@param given any
---@param place stream_events.rules.Place
---@param depth integer
---@return table<string, stream_events.core.RuleField>?
function M.fields(given, place, depth)
  if not marks.is_table(given) then
    place:wrong("must be a table of fields, like { text = string }, not " .. values.describe(given))
    return nil
  end
  local list, result = {}, {}
  for name in next, given do list[#list + 1] = name end
  if #list > MOST then
    place:wrong(("%d fields: no event has more than %d"):format(#list, MOST))
    return nil
  end
  table.sort(list, by_text)
  for _, name in ipairs(list) do
    if check_name(name, place, depth) then
      result[name] = compile(given[name], place:at(name), depth)
    end
  end
  return result
end

return M
