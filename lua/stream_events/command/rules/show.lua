--- A judgement about an event in words, and in JSON whose members keep an order.
local format = require "stream_events.command.format"

local M = {}

--- A value, or null.
---@param value any
---@return string JSON
function M.encoded(value)
  if value == nil then return "null" end
  return format.encoded(value)
end

--- The members that every decision has, in their order, without the braces.
---@param judged stream_events.command.Judgement
---@return string
function M.members(judged)
  return ('"verdict":%s,"rule":%s,"reason":%s,"text":%s'):format(M.encoded(judged.verdict),
    M.encoded(judged.rule), M.encoded(judged.reason), M.encoded(judged.text))
end

--- The members that not every decision has, each with a comma before it.
---@param judged stream_events.command.Judgement
---@return string
function M.remarks(judged)
  local parts = {}
  for _, name in ipairs { "flagged", "judged", "tripped" } do
    if judged[name] ~= nil then parts[#parts + 1] = (',"%s":%s'):format(name, M.encoded(judged[name])) end
  end
  -- JSON already, to the last digit.
  if judged.changed then parts[#parts + 1] = ',"changed":' .. format.one_line(judged.changed) end
  return table.concat(parts)
end

---@param judged stream_events.command.Judgement
---@return number to a tenth
function M.microseconds(judged)
  return math.floor(judged.seconds * 1e7 + 0.5) / 10
end

--- The verdict with what belongs to it, for people.
---@param judged stream_events.command.Judgement
---@return string
function M.headline(judged)
  local verdict = judged.verdict .. (judged.flagged and ", flagged" or "")
  if judged.judged then verdict = ("%s, audit: would be %s"):format(verdict, judged.judged) end
  local notes = {}
  if judged.reason then notes[#notes + 1] = judged.reason end
  if judged.rule then notes[#notes + 1] = "rule " .. judged.rule end
  if notes[1] then verdict = ("%s (%s)"):format(verdict, table.concat(notes, ", ")) end
  return judged.text ~= "" and ("%s: %s"):format(verdict, judged.text) or verdict
end

return M
