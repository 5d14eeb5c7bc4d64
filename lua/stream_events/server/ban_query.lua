--- Finds bans by the filters and in the order that queries ask for (protocol §9.2).
local filter = require "stream_events.server.filter"
local first = require "stream_events.server.first"
local input = require "stream_events.server.input"
local moments = require "stream_events.server.moments"

local M = {}

local MAX_PAGE, DEFAULT_PAGE, MAX_OFFSET = 300, 100, 1000

-- What clients call a ban's fields.
local FIELDS = {
  user_id = "target_user_id", channel_cid = "cid", banned_by_id = "banned_by_id", reason = "reason",
  shadow = "shadow", created_at = "created_at", expires = "expires",
}
local TIMES = { created_at = true, expires = true }

local function read(ban, field)
  return ban[FIELDS[field]]
end

local function newest_first(a, b)
  if a.created_at ~= b.created_at then return moments.before(b.created_at, a.created_at) end
  if a.target_user_id ~= b.target_user_id then return a.target_user_id < b.target_user_id end
  return (a.cid or "") < (b.cid or "")
end

--- Finds bans that are in force; without a sort order the newest come first.
---@param request table decoded: filter_conditions, sort, limit, offset
---@param bans stream_events.server.Ban[]
---@return stream_events.server.Ban[]? found
---@return stream_events.server.Failure? failure
function M.find(request, bans)
  local limit, offset, matches, before, failure
  limit, failure = input.bounded(request.limit, "limit", DEFAULT_PAGE, 0, MAX_PAGE)
  if not limit then return nil, failure end
  offset, failure = input.bounded(request.offset, "offset", 0, 0, MAX_OFFSET)
  if not offset then return nil, failure end
  matches, failure = filter.compile(request.filter_conditions, read, TIMES)
  if not matches then return nil, failure end
  before, failure = filter.order(request.sort, read, newest_first, TIMES)
  if not before then return nil, failure end
  if limit == 0 then return {} end
  local found = first.new(offset + limit, before)
  for _, ban in ipairs(bans) do
    if matches(ban) then found:add(ban) end
  end
  return found:page(offset)
end

return M
