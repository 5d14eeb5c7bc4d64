--- Queries for users: filter, order and page (protocol §9.1).
local native = require "stream_events.native"
local filter = require "stream_events.server.filter"
local first = require "stream_events.server.first"
local input = require "stream_events.server.input"
local moments = require "stream_events.server.moments"

local M = {}

local json = native.json

local MAX_PAGE, DEFAULT_PAGE, MAX_OFFSET = 100, 30, 1000

local TIMES = { created_at = true, updated_at = true, last_active = true }

local function newest_first(a, b)
  if a.created_at ~= b.created_at then return moments.before(b.created_at, a.created_at) end
  return a.id < b.id
end

-- Where a filter names its users only those are looked at: a set of ids, or everybody.
local function candidates(by_id, conditions)
  local ids = input.is_object(conditions) and conditions.id
  if input.is_object(ids) then ids = ids["$in"] or ids["$eq"] end
  if type(ids) == "string" then ids = json.array { ids } end
  if not input.is_list(ids) then return by_id end
  local set = {}
  for _, id in ipairs(ids) do set[id] = by_id[id] and true end
  return set
end

--- Finds users; without a sort order the newest come first. Deleted ones are never found.
---@param request table decoded: filter_conditions, sort, limit, offset, include_deactivated_users
---@param by_id table<string, any> whose keys are the ids of all users
---@param get fun(id: string): stream_events.server.User
---@param read fun(user: stream_events.server.User, field: string): any
---@return stream_events.server.User[]? users
---@return stream_events.server.Failure? failure
function M.find(request, by_id, get, read)
  local limit, wrong_limit = input.bounded(request.limit, "limit", DEFAULT_PAGE, 0, MAX_PAGE)
  if not limit then return nil, wrong_limit end
  local offset, wrong_offset = input.bounded(request.offset, "offset", 0, 0, MAX_OFFSET)
  if not offset then return nil, wrong_offset end
  local matches, wrong_filter = filter.compile(request.filter_conditions, read, TIMES)
  if not matches then return nil, wrong_filter end
  local before, wrong_sort = filter.order(request.sort, read, newest_first, TIMES)
  if not before then return nil, wrong_sort end
  if limit == 0 then return {} end
  local found = first.new(offset + limit, before)
  for id in pairs(candidates(by_id, request.filter_conditions)) do
    local user = get(id)
    local there = not user.deleted_at
      and (not user.deactivated_at or request.include_deactivated_users == true)
    if there and matches(user) then found:add(user) end
  end
  return found:page(offset)
end

return M
