--- How a connection fares, in one line for each change that matters to whoever reads along.
local format = require "stream_events.command.format"

local M = {}

local MANY = 3 -- channels that a line names; of more, only how many there are

local function seconds(value)
  if value < 10 then return ("%.1f s"):format(value) end
  if value < 120 then return ("%.0f s"):format(value) end
  return ("%.0f min"):format(value / 60)
end

local function channels(cids)
  if #cids > MANY then return ("%d channels"):format(#cids) end
  return table.concat(cids, ", ")
end

---@class stream_events.command.Changes
---@field private now fun(): number seconds
---@field private lost_at number? nil: connected
local Changes = {}
Changes.__index = Changes

---@param now fun(): number monotonic seconds
---@return stream_events.command.Changes
function M.new(now)
  return setmetatable({ now = now }, Changes)
end

--- The line for a connection.changed; nil when there is nothing to say: it is the first connection,
--- or one that is gone for good, whose error is told by whoever ends because of it.
---@param change table
---@return string?
function Changes:changed(change)
  if change.online then
    local lost_at = self.lost_at
    self.lost_at = nil
    return lost_at and ("connected again after %s"):format(seconds(self.now() - lost_at))
  elseif change.will_retry then
    local what = self.lost_at and "still no connection" or "connection lost"
    self.lost_at = self.lost_at or self.now()
    local wait = change.retry_in and change.retry_in > 0 and " in " .. seconds(change.retry_in) or ""
    return ("%s (%s); trying again%s"):format(what, format.plain(change.reason), wait)
  end
end

--- The lines for a connection.recovered: what came back, what is missing, what is not heard any more.
---@param recovery table
---@return string[]
function Changes:recovered(recovery)
  local lines = {}
  if recovery.replayed > 0 then
    lines[1] = ("%d events that were sent meanwhile are shown now"):format(recovery.replayed)
  end
  if recovery.gap then
    local where = #recovery.gap_cids > 0 and " to " .. channels(recovery.gap_cids) or ""
    lines[#lines + 1] = ("events that were sent meanwhile%s may be lost"):format(where)
  end
  local failed = {}
  for cid in pairs(recovery.failed) do failed[#failed + 1] = cid end
  table.sort(failed)
  for _, cid in ipairs(failed) do
    local why = format.plain(tostring(recovery.failed[cid]))
    lines[#lines + 1] = ("not watching %s any more: %s"):format(cid, why)
  end
  return lines
end

return M
