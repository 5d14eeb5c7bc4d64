--- Events that come in live although they were missed ones, and were given as such: where a connection
-- watches from before what was missed is asked for, by a call of the program's own, or by one whose answer
-- was lost. A date of the server's is that of one event only.
local M = {}

-- Without the "Z", or "5.25Z" would come behind "5.253Z".
local function is_later(a, b)
  return a:sub(1, -2) > b:sub(1, -2)
end

--- A connection without those, for the delivery to read from, until the first event comes that is newer than
--- all of them.
---@param socket stream_events.core.Connection gives first what was missed
---@param dates table<string, string> of what was missed: the cid of each by its created_at
---@param over fun() there are no more
---@return { next: function }
function M.left_out(socket, dates, over)
  local newest
  for date in pairs(dates) do
    if not newest or is_later(date, newest) then newest = date end
  end
  local function next_one()
    local event, kind, cid, excerpt = socket:next()
    local date = event and event.created_at
    if not date or select(2, socket:position()) then return event, kind, cid, excerpt end
    if dates[date] and dates[date] == cid then return next_one() end
    if is_later(date, newest) then over() end
    return event, kind, cid, excerpt
  end
  return { next = next_one }
end

return M
