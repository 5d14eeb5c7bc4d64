--- Finds channels by the filters and in the order that queries ask for. Beyond what every filter
-- can, {"members":{"$in":["alice"]}} finds where alice is a member, {"members":{"$eq":["alice","bob"]}}
-- where these are all the members there are.
local native = require "stream_events.native"
local failures = require "stream_events.server.failure"
local filters = require "stream_events.server.filter"
local first = require "stream_events.server.first"
local input = require "stream_events.server.input"
local moments = require "stream_events.server.moments"

local M = {}

local array = native.json.array

local MAX_MEMBERS = 100 -- in one condition

local FIELDS = {
  id = true, cid = true, type = true, created_at = true, updated_at = true, created_by_id = true,
  frozen = true, disabled = true, team = true, member_count = true,
}
-- Times of messages, which this server has not got: what comes nearest.
local STANDS_FOR = { last_message_at = "updated_at", last_updated = "updated_at" }
local TIMES = { created_at = true, updated_at = true, last_message_at = true, last_updated = true }
-- "members/alice" is true where alice is a member. No field has a "/" by itself here.
local MEMBER = "members/"

local function read(channel, field)
  field = STANDS_FOR[field] or field
  if FIELDS[field] then return channel[field] end
  if field:sub(1, #MEMBER) == MEMBER then
    return channel.members[field:sub(#MEMBER + 1)] ~= nil
  end
  local value = channel.custom[field]
  return value ~= native.json.null and value or nil
end

local function member_tests(ids)
  local tests = array {}
  for i, id in ipairs(ids) do
    if type(id) ~= "string" then return failures.fail(4, "members can only be compared with user ids") end
    tests[i] = { [MEMBER .. id] = true }
  end
  if #tests == 0 or #tests > MAX_MEMBERS then
    return failures.fail(4, ("a condition on members needs 1 to %d user ids"):format(MAX_MEMBERS))
  end
  return tests
end

local function member_condition(operand)
  local operator = "$eq"
  if input.is_object(operand) then
    operator, operand = next(operand)
    if operator ~= "$eq" and operator ~= "$in" then
      return failures.fail(4, "members can only be compared with $eq and $in")
    end
  end
  local exact = operator == "$eq" and input.is_list(operand)
  local tests, failure = member_tests(input.is_list(operand) and operand or { operand })
  if not tests then return nil, failure end
  if operator == "$in" then return { ["$or"] = tests } end
  if exact then tests[#tests + 1] = { member_count = #operand } end
  return { ["$and"] = tests }
end

-- Puts tests of single members in place of conditions on members, at any depth.
local function without_members(filter)
  local result, extra = {}, nil
  for name, operand in pairs(filter) do
    if name == "members" then
      local failure
      extra, failure = member_condition(operand)
      if not extra then return nil, failure end
    elseif (name == "$and" or name == "$or" or name == "$nor") and input.is_list(operand) then
      local list = array {}
      for i, item in ipairs(operand) do
        if not input.is_object(item) then
          return failures.fail(4, ("%s must be a list of filters"):format(name))
        end
        local failure
        list[i], failure = without_members(item)
        if not list[i] then return nil, failure end
      end
      result[name] = list
    else
      result[name] = operand
    end
  end
  if not extra then return result end
  if next(result) == nil then return extra end
  return { ["$and"] = array { result, extra } }
end

local function texts(operand, operator)
  if input.is_object(operand) then operand = operand[operator] end
  if type(operand) == "string" then return { operand } end
  return input.is_list(operand) and operand or nil
end

-- Where a filter names its channels or a member, only those are looked at.
local function candidates(channels, filter)
  local cids = texts(filter.cid, "$in") or texts(filter.cid, "$eq")
  local members = texts(filter.members, "$in")
  if not cids and not members then return channels:all() end
  local found = {}
  for _, cid in ipairs(cids or {}) do found[cid] = channels:get(cid) end
  for _, id in ipairs(not cids and members or {}) do
    for cid, channel in pairs(channels:of_member(id)) do found[cid] = channel end
  end
  return found
end

local function newest_first(a, b)
  if a.updated_at ~= b.updated_at then return moments.before(b.updated_at, a.updated_at) end
  return a.cid < b.cid
end

---@class stream_events.server.ChannelPage
---@field sort table? decoded list of { field, direction }
---@field limit integer
---@field offset integer
---@field allow fun(channel: stream_events.server.Channel): any those that it refuses are passed over

--- A page of the channels that a filter selects, in order.
---@param channels stream_events.server.Channels
---@param filter table decoded
---@param page stream_events.server.ChannelPage
---@return stream_events.server.Channel[]? list
---@return stream_events.server.Failure? failure
function M.select(channels, filter, page)
  local plain, failure = without_members(filter)
  if not plain then return nil, failure end
  local matches, order
  matches, failure = filters.compile(plain, read, TIMES)
  if not matches then return nil, failure end
  order, failure = filters.order(page.sort, read, newest_first, TIMES)
  if not order then return nil, failure end
  if page.limit == 0 then return {} end
  local found = first.new(page.offset + page.limit, order)
  for _, channel in pairs(candidates(channels, filter)) do
    if matches(channel) and page.allow(channel) then found:add(channel) end
  end
  return found:page(page.offset)
end

return M
