--- Channels: queried, made and watched; one of them or many.
local names = require "stream_events.names"
local native = require "stream_events.native"
local access = require "stream_events.server.access"
local channel_filter = require "stream_events.server.channel_filter"
local channel_input = require "stream_events.server.channel_input"
local channels = require "stream_events.server.channels"
local failures = require "stream_events.server.failure"
local input = require "stream_events.server.input"

local json = native.json

local PAGE = 100 -- members or watchers in one answer
local QUERY_DEFAULT, QUERY_LIMIT, OFFSET_LIMIT = 10, 30, 1000

local QUERY = {
  state = "boolean", watch = "boolean", presence = "boolean", data = "object",
  members = "object", watchers = "object",
}

-- The parts of a query that an answer depends on.
local function page_of(body)
  local page = {}
  page.members, page.offset = input.page(body.members, "members", PAGE, PAGE)
  if not page.members then return nil, page.offset end
  if body.watchers then
    page.watchers_limit, page.watchers_offset = input.page(body.watchers, "watchers", PAGE, PAGE)
    if not page.watchers_limit then return nil, page.watchers_offset end
  end
  if not body.state then page.members = 0 end
  return page
end

-- `watching` is the connection that watches by this query. Where events of the channel are kept it is
-- told since when, so that its client can say where it left off.
local function state(context, channel, page, watching)
  local server = context.server
  local view = server.views:state(channel, context.caller, {
    members = page.members,
    offset = page.offset,
    watcher_count = server.watching:count(channel),
    watchers = page.watchers_limit
      and server.watching:list(channel, page.watchers_limit, page.watchers_offset),
  })
  view.watched_at = watching and server.watching:began(watching, channel)
  return view
end

-- Who makes a channel: the caller, or whom a server names.
local function creator(context, data)
  if context.caller.kind ~= "server" then return context.caller.id end
  local id = data.created_by_id
  if input.is_object(data.created_by) then id = data.created_by.id end
  if id == nil or id == json.null then
    return failures.fail(4, "either data.created_by or data.created_by_id must be provided when "
      .. "using server side auth.")
  end
  local ids, failure = channel_input.user_ids(context.server, { id }, "created_by_id")
  return ids and ids[1], failure
end

local function create(context, channel_type, id, data)
  local server = context.server
  local ok, failure = access.check(server, context.caller, "CreateChannel", channel_type)
  if not ok then return nil, failure end
  local fields, custom = channel_input.data(context, data)
  if not fields then return nil, custom end
  ok, failure = input.check_data(custom, "the custom data of a channel")
  if not ok then return nil, failure end
  fields.created_by_id, failure = creator(context, data)
  if not fields.created_by_id then return nil, failure end
  if data.members ~= nil and data.members ~= json.null and not input.is_list(data.members) then
    return failures.fail(4, "data.members must be a list")
  end
  local members
  members, failure = channel_input.members(context, input.is_list(data.members) and data.members or {},
    "data.members")
  if not members then return nil, failure end
  fields.type, fields.id, fields.custom = channel_type, id, custom
  return server.channels:create(fields, members)
end

local function announce_new(server, channel)
  if channel.member_count == 0 then return end
  local text = server.events:text("notification.added_to_channel", channel, nil,
    { channel = server.views:channel(channel) })
  for user_id in pairs(channel.members) do
    server.events:to_user_elsewhere(user_id, channel, text)
  end
end

-- What the single and the distinct query have in common once the id is known.
local function query(context, channel_type, id)
  local server, caller = context.server, context.caller
  local body, failure = input.read(context.body, QUERY)
  if not body then return nil, failure end
  if not server.channel_types:get(channel_type) then
    return failures.fail(16, ("channel type %s does not exist"):format(channel_type))
  end
  local page, connection
  page, failure = page_of(body)
  if not page then return nil, failure end
  if body.watch or body.presence then
    connection, failure = channel_input.connection(context)
    if not connection then return nil, failure end
  end
  local channel = server.channels:get(names.cid(channel_type, id))
  local created = not channel
  if created then
    channel, failure = create(context, channel_type, id, body.data or {})
    if not channel then return nil, failure end
  end
  -- Who just made a channel may still not be allowed to read it; the channel stays, with its members.
  local ok
  ok, failure = access.check(server, caller, "ReadChannel", channel_type, channel)
  if ok and body.presence then ok, failure = server.presence:follow_channels(connection, { channel }) end
  if ok and body.watch then server.watching:start(connection, channel) end
  if created then announce_new(server, channel) end
  if not ok then return nil, failure end
  return 201, state(context, channel, page, body.watch and connection)
end

local function query_channel(context)
  local channel_type, id = context.params.type, context.params.id
  local ok, message = channel_input.check_names(channel_type, id)
  if not ok then return failures.fail(4, message) end
  if id:find("!", 1, true) and not context.server.channels:get(names.cid(channel_type, id)) then
    return failures.fail(4, "a channel id with '!' is made by the server, from the members")
  end
  return query(context, channel_type, id)
end

local function query_distinct(context)
  local channel_type = context.params.type
  local ok, message = names.channel_type(channel_type)
  if not ok then return failures.fail(4, message) end
  local data = context.body.data
  local list = input.is_object(data) and data.members or nil
  local members, failure = channel_input.members(context, input.is_list(list) and list or {},
    "data.members")
  if not members then return nil, failure end
  if #members < 2 then
    return failures.fail(4, "When using member based IDs specify at least 2 members")
  end
  local ids = {}
  for i, member in ipairs(members) do ids[i] = member.user_id end
  return query(context, channel_type, channels.distinct_id(ids))
end

local function get_channel(context)
  local channel, failure = channel_input.channel(context)
  if not channel then return nil, failure end
  local ok
  ok, failure = access.check(context.server, context.caller, "ReadChannel", channel.type, channel)
  if not ok then return nil, failure end
  return 200, state(context, channel, { members = PAGE, offset = 0 })
end

local QUERY_MANY = {
  filter_conditions = "object", sort = "list", limit = "count", offset = "count",
  member_limit = "count", watch = "boolean", state = "boolean", presence = "boolean",
}

local function query_channels(context)
  local server = context.server
  local body, failure = input.read(context.body, QUERY_MANY)
  if not body then return nil, failure end
  local limit, offset = body.limit or QUERY_DEFAULT, body.offset or 0
  if limit > QUERY_LIMIT or offset > OFFSET_LIMIT then
    return failures.fail(4, ("limit must be at most %d and offset at most %d"):format(
      QUERY_LIMIT, OFFSET_LIMIT))
  end
  local connection
  if body.watch or body.presence then
    connection, failure = channel_input.connection(context)
    if not connection then return nil, failure end
  end
  local shown
  shown, failure = channel_filter.select(server.channels, body.filter_conditions or {}, {
    sort = body.sort, limit = limit, offset = offset,
    allow = function(channel)
      return access.check(server, context.caller, "ReadChannel", channel.type, channel)
    end,
  })
  if not shown then return nil, failure end
  local page = {
    members = body.state and math.min(body.member_limit or PAGE, PAGE) or 0, offset = 0,
  }
  local list = json.array {}
  if body.presence then
    local ok
    ok, failure = server.presence:follow_channels(connection, shown)
    if not ok then return nil, failure end
  end
  for i, channel in ipairs(shown) do
    if body.watch then server.watching:start(connection, channel) end
    list[i] = state(context, channel, page, body.watch and connection)
  end
  return 201, { channels = list }
end

local function stop_watching(context)
  local channel, failure = channel_input.channel(context)
  if not channel then return nil, failure end
  local connection
  connection, failure = channel_input.connection(context)
  if not connection then return nil, failure end
  context.server.watching:stop(connection, channel)
  context.server.presence:stop(connection, channel)
  return 201, {}
end

return {
  { "POST", "/channels", endpoint = "QueryChannels", handler = query_channels },
  { "POST", "/channels/{type}/query", endpoint = "GetOrCreateChannel", handler = query_distinct },
  { "POST", "/channels/{type}/{id}/query", endpoint = "GetOrCreateChannel", handler = query_channel },
  { "GET", "/channels/{type}/{id}", endpoint = "GetChannel", handler = get_channel },
  { "POST", "/channels/{type}/{id}/stop-watching", endpoint = "StopWatchingChannel",
    handler = stop_watching },
}
