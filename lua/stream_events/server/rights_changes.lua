--- What a change of rights means for those who watch: who may no longer read a channel stops watching
-- it, and whose capabilities (or the channel's config) are others now gets a channel.updated with
-- own_capabilities of its own. What everybody may do is judged by the new state from the first moment
-- on; telling so many is spread over turns of the loop.
local access = require "stream_events.server.access"
local native = require "stream_events.native"

local M = {}

local PER_TURN = 500 -- watching connections judged in one turn
local MOST_JOBS = 32 -- that wait; who changes things faster than they can be told waits for it

---@class stream_events.server.RightsJob
---@field before stream_events.server.Permissions what was in force
---@field channels stream_events.server.Channel[] still to be visited
---@field keys string[]? of the present channel's audience, still to be visited
---@field actor table? the user who made the change
---@field forced boolean? everybody is told, for the channel itself has changed
---@field memo table what was found out already; of one turn, for it may be otherwise in the next

---@class stream_events.server.RightsChanges
---@field private parts table the running server
---@field private jobs stream_events.server.RightsJob[]
local RightsChanges = { __name = "stream_events.server.rights_changes" }
RightsChanges.__index = RightsChanges

---@param parts table permissions, channels, connections, watching, events, views, bans, users
---@return stream_events.server.RightsChanges
function M.new(parts)
  return setmetatable({ parts = parts, jobs = {} }, RightsChanges)
end

local function encoded(value)
  return (assert(native.json.encode(value)))
end

-- Capabilities are the same for all callers of one standing in one channel.
local function standing(caller, channel, member, banned)
  local owner = caller.id ~= nil and channel.created_by_id == caller.id
  return ("%s/%s/%s/%s"):format(caller.user.role, member and member.channel_role or "",
    owner and "owner" or "", banned and "banned" or "")
end

local function remembered(memo, place, key, make)
  local kept = memo[place]
  if not kept then
    kept = {}
    memo[place] = kept
  end
  local value = kept[key]
  if value == nil then
    value = make()
    kept[key] = value
  end
  return value
end

-- The capabilities as JSON text, by what was or is in force.
local function capabilities(job, permissions, caller, channel, member, banned)
  local memo = job.memo[permissions] or {}
  job.memo[permissions] = memo
  -- Channels with overrides are judged by themselves, the others of a type all alike.
  return remembered(memo, channel.config_overrides or channel.type,
    standing(caller, channel, member, banned), function()
      return encoded(permissions:capabilities(caller, channel, member, banned))
    end)
end

-- The config as text, without the date: that changes with whatever else is changed.
local function config_text(permissions, channel)
  local config = {}
  local found = permissions:config(channel)
  for name, value in pairs(found or {}) do config[name] = value end
  config.updated_at = nil
  local names, parts = {}, {}
  for name in pairs(config) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = name .. "=" .. encoded(config[name]) end
  return table.concat(parts, ",")
end

local function config_changed(job, permissions, channel)
  return remembered(job.memo, "config", channel.config_overrides or channel.type, function()
    return config_text(job.before, channel) ~= config_text(permissions, channel)
  end)
end

local function updated_text(self, job, channel, own)
  return remembered(job.memo, channel, own, function()
    local parts = self.parts
    local view = parts.views:channel(channel)
    view.own_capabilities = native.json.decode(own)
    return parts.events:text("channel.updated", channel, job.actor, { channel = view })
  end)
end

-- A watch ends that is no longer allowed; its connection is told as those of a removed member are.
local function end_watch(self, connection, channel)
  local parts = self.parts
  parts.watching:stop(connection, channel)
  local view = parts.views:channel(channel, connection.caller)
  local member = channel.members[connection.caller.id]
  parts.listener:send(connection.number, parts.events:text("notification.removed_from_channel", channel,
    connection.caller.user, { channel = view, member = member and parts.views:member(channel, member) }))
end

-- What was the case for this caller before the change, as far as it was about the caller.
---@class stream_events.server.Earlier
---@field caller stream_events.server.Caller?
---@field member stream_events.server.Member|false|nil false: was none
---@field banned boolean?

---@param job stream_events.server.RightsJob
---@param earlier stream_events.server.Earlier
local function judge(self, job, connection, channel, earlier)
  local parts, caller = self.parts, connection.caller
  if not access.check(parts, caller, "ReadChannel", channel.type, channel) then
    return end_watch(self, connection, channel)
  end
  local member, banned = channel.members[caller.id], parts.bans:silences(caller.id, channel.cid)
  local now = capabilities(job, parts.permissions, caller, channel, member, banned)
  if not job.forced and not config_changed(job, parts.permissions, channel) then
    local banned_before, member_before = earlier.banned, earlier.member
    if banned_before == nil then banned_before = banned end
    if member_before == nil then member_before = member end
    local before = capabilities(job, job.before, earlier.caller or caller, channel,
      member_before or nil, banned_before)
    if before == now then return end
  end
  parts.listener:send(connection.number, updated_text(self, job, channel, now))
end

local NOTHING = {}

local function visit(self, job, key, channel)
  local visited = {}
  for connection in pairs(self.parts.connections:behind(key)) do
    if connection.watches[channel.cid] == channel then visited[#visited + 1] = connection end
  end
  for _, connection in ipairs(visited) do judge(self, job, connection, channel, NOTHING) end
  return math.max(1, #visited)
end

-- Goes on with a job; what is left of the budget.
local function go_on(self, job, budget)
  job.memo = {}
  while budget > 0 do
    local channel = job.channels[#job.channels]
    if not channel then return budget end
    if not job.keys then
      job.keys = {}
      for key in pairs(channel.audience and channel.audience.present or NOTHING) do
        job.keys[#job.keys + 1] = key
      end
    end
    local key = table.remove(job.keys)
    if key then
      budget = budget - visit(self, job, key, channel)
    else
      table.remove(job.channels)
      job.keys = nil
      -- What was written for one channel is of no use for the next.
      job.memo[channel] = nil
    end
  end
  return budget
end

--- Does a turn's share of what is to be done. To be called in every turn.
---@return boolean more whether something is left for the next turn
function RightsChanges:step()
  local budget = PER_TURN
  while budget > 0 do
    -- Taken out first: one that raises must not be begun again in every turn.
    local job = table.remove(self.jobs, 1)
    if not job then return false end
    budget = go_on(self, job, budget)
    if job.channels[1] then table.insert(self.jobs, 1, job) end
  end
  return self.jobs[1] ~= nil
end

local function begin(self, job)
  if not job.channels[1] then return end
  if #self.jobs >= MOST_JOBS then go_on(self, table.remove(self.jobs, 1), math.huge) end
  self.jobs[#self.jobs + 1] = job
end

local function watched(self, channel_type)
  local list = {}
  for _, channel in self.parts.channels:awake() do
    if channel.audience and (not channel_type or channel.type == channel_type) then
      list[#list + 1] = channel
    end
  end
  return list
end

--- Something changed that may concern every channel.
---@param before stream_events.server.Permissions what was in force: permissions:frozen()
function RightsChanges:everywhere(before)
  begin(self, { before = before, channels = watched(self) })
end

--- A channel type's config or grants changed.
---@param before stream_events.server.Permissions
---@param channel_type string
function RightsChanges:of_type(before, channel_type)
  begin(self, { before = before, channels = watched(self, channel_type) })
end

--- A channel itself changed, and with it what may be done there: everybody who watches it is told.
---@param channel stream_events.server.Channel
---@param actor table? the user who changed it
function RightsChanges:of_channel(channel, actor)
  if not channel.audience then return end
  begin(self, { before = self.parts.permissions, channels = { channel }, actor = actor, forced = true })
end

-- All that one user watches, or one channel of it. `earlier` gives what was the case in a channel.
local function judge_watches(self, user_id, only, earlier)
  local job = { before = self.parts.permissions, memo = {} }
  for connection in pairs(self.parts.connections:of(user_id)) do
    local channels = {}
    for _, channel in pairs(connection.watches) do
      if not only or channel == only then channels[#channels + 1] = channel end
    end
    for _, channel in ipairs(channels) do judge(self, job, connection, channel, earlier(channel)) end
  end
end

--- A user's role changed.
---@param user stream_events.server.User
---@param role string the one it had
function RightsChanges:of_user(user, role)
  local earlier = { caller = { kind = "user", id = user.id, user = { role = role } } }
  judge_watches(self, user.id, nil, function() return earlier end)
end

--- A user became a member, is none any more, or has another channel role.
---@param channel stream_events.server.Channel
---@param user_id string
---@param before stream_events.server.Member|false what it was; false: no member
function RightsChanges:of_member(channel, user_id, before)
  judge_watches(self, user_id, channel, function() return { member = before } end)
end

--- A user was banned, or is banned no more.
---@param user_id string
---@param channel stream_events.server.Channel? nil: in all of them
---@param silenced fun(cid: string): boolean whether it was silenced there before
function RightsChanges:of_ban(user_id, channel, silenced)
  judge_watches(self, user_id, channel, function(each) return { banned = silenced(each.cid) } end)
end

return M
