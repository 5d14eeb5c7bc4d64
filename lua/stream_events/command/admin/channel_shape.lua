--- A channel as admin commands give it to programs, and show it to people.
local names = require "stream_events.names"
local native = require "stream_events.native"
local words = require "stream_events.command.admin.words"

local M = {}

M.NO_CHANNEL = "`stream-events admin channels list` shows the channels there are, and `stream-events admin "
  .. "channels create` makes one."

--- The channel that the command line names.
---@param client stream_events.Client
---@param args { cid: string }
---@return stream_events.Channel
function M.channel(client, args)
  local channel_type, id = names.split_cid(args.cid)
  return client:channel(channel_type --[[@as string]], id)
end

--- A channel's own data.
---@param channel stream_events.Channel
---@return table
function M.brief(channel)
  local shape = {}
  for name, value in pairs(channel.data) do shape[name] = value end
  return shape
end

--- The members in the order of their ids.
---@param channel stream_events.Channel
---@return table[]
function M.members(channel)
  local list = native.json.array {}
  for i, id in ipairs(words.keys(channel.members)) do list[i] = channel.members[id] end
  return list
end

--- All that is known of a channel, as one object.
---@param channel stream_events.Channel? nil: a call failed
---@param err stream_events.Error?
---@return table?
---@return stream_events.Error?
function M.whole(channel, err)
  if not channel then return nil, err end
  local shape = M.brief(channel)
  shape.config, shape.members = channel.config, M.members(channel)
  shape.watcher_count = channel.watcher_count
  return shape
end

--- What is unusual about it, in a word.
---@param channel table
---@return string
function M.state(channel)
  local texts = {}
  if channel.disabled then texts[1] = "disabled" end
  if channel.frozen then texts[#texts + 1] = "frozen" end
  return words.joined(texts)
end

--- Shows the members, one a line.
---@param page stream_events.command.Page
---@param list table[]
function M.show_members(page, list)
  page:list({ "member", "name", "channel role", "role", "state" }, list, function(member)
    local user = type(member.user) == "table" and member.user or {}
    return {
      member.user_id or user.id, user.name, member.channel_role, user.role,
      member.banned and "banned" or user.online and "online" or "",
    }
  end, "there are no members")
end

local APART = { config = true, members = true, created_by = true, own_capabilities = true }

--- Shows a channel.
---@param page stream_events.command.Page
---@param channel table as of whole()
function M.show(page, channel)
  local rows = words.rows(channel, APART, { "cid", "name", "frozen", "disabled" })
  local owner = type(channel.created_by) == "table" and channel.created_by.id
  rows[#rows + 1] = { "created by", owner }
  local config = channel.config
  if config then
    rows[#rows + 1] = { "custom events", words.on_off(config.custom_events) }
    local own = config.grants
    rows[#rows + 1] = { "grants of its own", type(own) == "table" and next(own) and own or "none" }
  end
  page:fields(rows)
  page:line ""
  M.show_members(page, channel.members)
end

return M
