--- POST and DELETE /moderation/ban, GET /query_banned_users (protocol §9.2).
local access = require "stream_events.server.access"
local ban_query = require "stream_events.server.ban_query"
local failures = require "stream_events.server.failure"
local grants = require "stream_events.server.grants"
local input = require "stream_events.server.input"
local names = require "stream_events.names"
local native = require "stream_events.native"

local MAX_REASON = 1024
local MAX_TIMEOUT = 100 * 366 * 24 * 60 -- minutes: more is no timeout

-- The channel that a request names, as channel_cid or, as older clients do, as type and id. nil
-- without a failure: none.
local function channel_of(server, fields)
  local cid = fields.channel_cid
  if not cid and (fields.type or fields.id) then
    cid = ("%s:%s"):format(fields.type or "", fields.id or "")
  end
  if not cid or cid == "" then return nil end
  local ok, message = names.split_cid(cid)
  if not ok then return failures.fail(4, "channel_cid: " .. message) end
  local channel = server.channels:get(cid)
  if channel then return channel end
  return failures.fail(16, ("Can't find channel with id %s"):format(cid))
end

local function target_of(server, id)
  if id == nil then return failures.fail(4, "target_user_id is a required field") end
  local ok, message = names.user_id(id)
  if not ok then return failures.fail(4, "target_user_id: " .. message) end
  local user = server.users:get(id)
  if user and not user.is_erased then return user end
  return failures.fail(16, ("Can't find user with id %s"):format(id))
end

-- Moderators may ban where they are moderators, those of the app everywhere.
local function check_allowed(context, channel)
  local server, caller = context.server, context.caller
  local ok, failure = access.check_noticeable(server, caller)
  if not ok then return nil, failure end
  local app_wide
  app_wide, failure = server.permissions:check(caller, "BanUser", grants.APP)
  if app_wide or not channel then return app_wide, failure end
  return access.check(server, caller, "BanChannelMember", channel.type, channel)
end

local BAN = {
  target_user_id = "string", channel_cid = "string", type = "string", id = "string", timeout = "count",
  reason = "string", shadow = "boolean", ip_ban = "boolean", banned_by_id = "string",
}

local function check_fields(fields)
  if fields.ip_ban then
    return failures.fail(4, "ip_ban is not offered by this server: addresses behind a proxy or a router "
      .. "are those of many; refuse them at the firewall")
  elseif fields.timeout and (fields.timeout < 1 or fields.timeout > MAX_TIMEOUT) then
    return failures.fail(4, ("timeout must be a number of minutes from 1 to %d"):format(MAX_TIMEOUT))
  elseif #(fields.reason or "") > MAX_REASON then
    return failures.fail(4, ("reason must be a text of at most %d bytes"):format(MAX_REASON))
  end
  return true
end

-- Whose ban it is: the caller's, or whom a backend names.
local function banned_by(context, fields)
  local caller, id = context.caller, fields.banned_by_id
  if caller.kind ~= "server" then
    if id and id ~= caller.id then
      return failures.fail(17, "only backends may ban in the name of somebody else")
    end
    return caller.id
  elseif not id then
    return nil
  elseif not context.server.users:get(id) then
    return failures.fail(16, ("Can't find user with id %s"):format(id:sub(1, 255)))
  end
  return id
end

local function ban(context)
  local server = context.server
  local fields, failure = input.read(context.body, BAN)
  if not fields then return nil, failure end
  local ok
  ok, failure = check_fields(fields)
  if not ok then return nil, failure end
  local target, channel, by
  target, failure = target_of(server, fields.target_user_id)
  if not target then return nil, failure end
  channel, failure = channel_of(server, fields)
  if failure then return nil, failure end
  ok, failure = check_allowed(context, channel)
  if not ok then return nil, failure end
  by, failure = banned_by(context, fields)
  if failure then return nil, failure end
  if target.id == context.caller.id or target.id == by then
    return failures.fail(4, "nobody can ban itself")
  end
  server.moderation:ban(context, {
    target_user_id = target.id, cid = channel and channel.cid, banned_by_id = by,
    reason = fields.reason, shadow = fields.shadow, timeout = fields.timeout,
  })
  return 201, {}
end

local function unban(context)
  local server, query = context.server, context.query
  local target, channel, failure
  target, failure = target_of(server, query.target_user_id)
  if not target then return nil, failure end
  channel, failure = channel_of(server, query)
  if failure then return nil, failure end
  local ok
  ok, failure = check_allowed(context, channel)
  if not ok then return nil, failure end
  server.moderation:unban(context, target.id, channel and channel.cid)
  return 200, {}
end

-- What a caller may know of: only backends of shadow bans.
local function known_to(caller, bans)
  if caller.kind == "server" then return bans end
  local open = {}
  for _, each in ipairs(bans) do
    if not each.shadow then open[#open + 1] = each end
  end
  return open
end

local function view(context, each)
  local views, channel = context.server.views, each.cid and context.server.channels:get(each.cid)
  return {
    user = views:user(each.target_user_id),
    channel = channel and views:channel(channel, context.caller) or nil,
    banned_by = each.banned_by_id and views:user(each.banned_by_id) or nil,
    reason = each.reason, shadow = each.shadow, created_at = each.created_at, expires = each.expires,
  }
end

-- Who may ban may see the bans: everywhere, or in the one channel that the filter names.
local function query(context)
  local payload = context.payload or {}
  local conditions = payload.filter_conditions
  local cid = input.is_object(conditions) and conditions.channel_cid
  if input.is_object(cid) then cid = cid["$eq"] end
  local channel, ok, found, failure
  if type(cid) == "string" then
    channel, failure = channel_of(context.server, { channel_cid = cid })
    if failure then return nil, failure end
  end
  ok, failure = check_allowed(context, channel)
  if not ok then return nil, failure end
  found, failure = ban_query.find(payload, known_to(context.caller, context.server.bans:all()))
  if not found then return nil, failure end
  local list = native.json.array {}
  for i, each in ipairs(found) do list[i] = view(context, each) end
  return 200, { bans = list }
end

return {
  { "GET", "/query_banned_users", endpoint = "QueryBannedUsers", handler = query },
  { "POST", "/moderation/ban", endpoint = "Ban", handler = ban },
  { "DELETE", "/moderation/ban", endpoint = "Unban", handler = unban },
}
