--- Plain values in rules: numbers within bounds, texts, lists of them. What is wrong goes to the place.
local marks = require "stream_events.rules.marks"
local names = require "stream_events.names"
local problems = require "stream_events.rules.problems"

local M = {}

local show = problems.show

--- What a value is, for messages.
---@param value any
---@return string
function M.describe(value)
  local kind = marks.kind(value)
  if kind then return "'" .. kind .. "'" end
  if marks.callable(value) then return "a function" end
  if type(value) == "table" then return "a table" end
  return type(value) == "nil" and "nothing" or show(value)
end

---@param value any
---@return boolean
function M.is_number(value)
  return type(value) == "number" and value == value and value > -math.huge and value < math.huge
end

---@param value any
---@return boolean
function M.is_whole(value)
  return M.is_number(value) and value % 1 == 0
end

--- Characters (code points) of a text.
---@param text string
---@return integer
function M.length(text)
  local _, count = text:gsub("[^\128-\191]", "")
  return count
end

--- The length of a list; nil: it is none.
---@param value table
---@return integer?
function M.list_length(value)
  local count = 0
  for key in next, value do
    if type(key) ~= "number" then return nil end
    count = count + 1
  end
  for i = 1, count do
    if value[i] == nil then return nil end
  end
  return count
end

--- What is wrong with a text that is to be found in an event.
---@param value any
---@return string?
function M.wrong_text(value)
  if type(value) ~= "string" then return "must be a string, not " .. M.describe(value) end
  if value == "" then return "must not be empty" end
  if not names.is_utf8(value) then return "is not UTF-8: no event holds it" end
  return nil
end

-- The elements that `check` has nothing against, each of them once.
local function checked(value, count, place, check)
  local result, seen = {}, {}
  for i = 1, count do
    local element = value[i]
    local wrong = check(element)
    if wrong then
      if not wrong:find(", not ", 1, true) then wrong = show(element) .. " " .. wrong end
      place:at(i):wrong(wrong)
    elseif not seen[element] then
      seen[element] = true
      result[#result + 1] = element
    end
  end
  return result[1] ~= nil and result or nil
end

--- One value, or a list of values, as a list. `check(value)` gives what is wrong with one.
---@param value any
---@param place stream_events.rules.Place
---@param check fun(value: any): string?
---@return any[]? list nil when there is something wrong with it, which has been recorded then
function M.one_or_list(value, place, check)
  if not marks.is_table(value) then
    local wrong = check(value)
    if wrong then
      place:wrong(wrong)
      return nil
    end
    return { value }
  end
  return M.list(value, place, check)
end

--- A list of values, not empty.
---@param value any
---@param place stream_events.rules.Place
---@param check fun(value: any): string?
---@return any[]?
function M.list(value, place, check)
  local count = marks.is_table(value) and M.list_length(value)
  if not count then
    place:wrong("must be a list, like { \"a\", \"b\" }")
  elseif count == 0 then
    place:wrong("an empty list fits nothing")
  else
    return checked(value, count, place, check)
  end
  return nil
end

--- A word out of a few.
---@param value any
---@param place stream_events.rules.Place
---@param known table<string, true>
---@return string?
function M.word(value, place, known)
  if type(value) == "string" and known[value] then return value end
  local list = {}
  for word in pairs(known) do list[#list + 1] = show(word) end
  table.sort(list)
  local last = table.remove(list)
  place:wrong(("must be %s or %s, not %s"):format(table.concat(list, ", "), last, M.describe(value)),
    require("stream_events.suggest").nearest(value, known))
  return nil
end

return M
