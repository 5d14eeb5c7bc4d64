--- What the rules kept out: how often for which reason, and the last of it. Pure.
local text = require "lobby.text"

local M = {}

local MOST_LINES = 6
local MOST_REASONS = 32 -- there are fewer codes; what comes over it is not told apart
local TOGETHER = 1.5 -- seconds in which the same again is one line

---@class lobby.DropLine
---@field who string
---@field type string
---@field reason string
---@field text string? of the rule, for people
---@field count integer
---@field at number

---@class lobby.Drops
---@field total integer
---@field reasons { reason: string, count: integer }[] the most frequent first
---@field lines lobby.DropLine[] the last ones, newest first
local Drops = {}
Drops.__index = Drops

---@return lobby.Drops
function M.new()
  return setmetatable({ total = 0, reasons = {}, lines = {}, by_reason = {} }, Drops)
end

local function more_often(a, b)
  if a.count ~= b.count then return a.count > b.count end
  return a.reason < b.reason
end

function Drops:count(reason)
  self.total = self.total + 1
  local entry = self.by_reason[reason]
  if not entry then
    if #self.reasons >= MOST_REASONS then return end
    entry = { reason = reason, count = 0 }
    self.by_reason[reason] = entry
    self.reasons[#self.reasons + 1] = entry
  end
  entry.count = entry.count + 1
  table.sort(self.reasons, more_often)
end

--- Notes one.
---@param who string? the sender's name
---@param event_type any
---@param reason string
---@param why string? the rule's own words
---@param now number seconds
function Drops:add(who, event_type, reason, why, now)
  self:count(reason)
  who, event_type = text.clip(who, 18) or "?", text.clip(event_type, 18) or "?"
  for _, line in ipairs(self.lines) do
    if line.who == who and line.type == event_type and line.reason == reason
      and now - line.at < TOGETHER then
      line.count, line.at = line.count + 1, now
      return
    end
  end
  table.insert(self.lines, 1, {
    who = who, type = event_type, reason = reason, text = text.clip(why, 40), count = 1, at = now,
  })
  self.lines[MOST_LINES + 1] = nil
end

return M
