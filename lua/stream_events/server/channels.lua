--- Channels and their members: kept in memory, written through to the store before anything else
-- hears of a change. Who may do what, and who has to be told, is decided elsewhere.
--
-- Most of many channels are silent for a long time: until it is asked for, a channel is kept as the
-- text it is stored as, and its members as one text until somebody looks at them. That makes a start
-- quick and memory small.
local names = require "stream_events.names"
local native = require "stream_events.native"
local clock = require "stream_events.server.clock"
local moments = require "stream_events.server.moments"

local M = {}

-- What of a channel is stored; the rest is made again at every start.
local STORED = {
  "type", "id", "created_at", "updated_at", "created_by_id", "frozen", "disabled", "team",
  "config_overrides", "custom",
}
-- What a channel need not have: a change to false takes it away.
local OPTIONAL = { team = true, config_overrides = true }

---@class stream_events.server.Channel
---@field cid string
---@field type string
---@field id string
---@field created_at string
---@field updated_at string
---@field created_by_id string?
---@field frozen boolean
---@field disabled boolean
---@field team string?
---@field config_overrides table?
---@field custom table<string, any>
---@field members table<string, stream_events.server.Member>
---@field member_count integer
---@field envelope string the channel's names as they stand in every event behind its type, JSON
---@field audience table? who watches; belongs to the watching module

---@class stream_events.server.Member
---@field user_id string
---@field channel_role string
---@field created_at string
---@field updated_at string

---@class stream_events.server.Channels
---@field count integer
---@field private store stream_events.server.Store
---@field private by_cid table<string, stream_events.server.Channel|string>
---@field private member_texts table<string, string> by cid, of those nobody has looked at
---@field private by_member table<string, string|table<string, true>> a user's cid, or all of them
---@field private dormant table the metatable of channels whose members nobody has looked at
local Channels = { __name = "stream_events.server.channels" }
Channels.__index = Channels

local function adopt(self, channel)
  channel.cid = names.cid(channel.type, channel.id)
  channel.envelope = (',"cid":"%s","channel_id":"%s","channel_type":"%s"'):format(
    channel.cid, channel.id, channel.type)
  self.by_cid[channel.cid] = channel
  return channel
end

local function adopt_member(channel, member)
  if not channel.members[member.user_id] then channel.member_count = channel.member_count + 1 end
  channel.members[member.user_id] = member
  channel.sorted = nil
end

-- Most are members of one channel or two.
local function note_membership(self, user_id, cid)
  local cids = self.by_member[user_id]
  if cids == nil then
    self.by_member[user_id] = cid
  elseif type(cids) == "table" then
    cids[cid] = true
  elseif cids ~= cid then
    self.by_member[user_id] = { [cids] = true, [cid] = true }
  end
end

local function forget_membership(self, user_id, cid)
  local cids = self.by_member[user_id]
  if type(cids) == "table" then
    cids[cid] = nil
    if next(cids) == nil then self.by_member[user_id] = nil end
  elseif cids == cid then
    self.by_member[user_id] = nil
  end
end

-- Makes a record of a channel that was only a text so far; its members stay one.
local function wake(self, cid, text)
  local channel = self.store:decode("channel", cid, text)
  -- Earlier versions wrote what was switched off by leaving it out.
  channel.frozen, channel.disabled = channel.frozen or false, channel.disabled or false
  return setmetatable(adopt(self, channel), self.dormant)
end

local function wake_members(self, channel)
  local text = self.member_texts[channel.cid]
  local list = text and self.store:decode("member", channel.cid, text) or {}
  setmetatable(channel, nil)
  channel.members, channel.member_count = {}, 0
  for _, member in ipairs(list) do adopt_member(channel, member) end
  self.member_texts[channel.cid] = nil
end

-- What is missing of a channel whose members nobody has looked at.
local function dormant_in(self)
  return {
    __index = function(channel, name)
      if name ~= "members" and name ~= "member_count" then return nil end
      wake_members(self, channel)
      return channel[name]
    end,
  }
end

--- Takes up what the store holds.
---@param store table
---@return stream_events.server.Channels
function M.new(store)
  local self = setmetatable({
    store = store, by_cid = {}, by_member = {}, member_texts = {}, count = 0,
  }, Channels)
  self.dormant = dormant_in(self)
  for cid, text, members, user_ids in store:texts_with("channel", "member") do
    self.by_cid[cid], self.member_texts[cid] = text, members
    self.count = self.count + 1
    for user_id in (user_ids or ""):gmatch "[^ ]+" do note_membership(self, user_id, cid) end
  end
  return self
end

---@param cid string
---@return stream_events.server.Channel?
function Channels:get(cid)
  local channel = self.by_cid[cid]
  if type(channel) == "string" then return wake(self, cid, channel) end
  return channel
end

--- The channels a user is a member of, by cid.
---@param user_id string
---@return table<string, stream_events.server.Channel> the caller's
function Channels:of_member(user_id)
  local cids, found = self.by_member[user_id], {}
  if type(cids) == "string" then cids = { [cids] = true } end
  for cid in pairs(cids or {}) do found[cid] = self:get(cid) end
  return found
end

--- All channels, by cid.
---@return table<string, stream_events.server.Channel>
function Channels:all()
  for cid, channel in pairs(self.by_cid) do
    if type(channel) == "string" then wake(self, cid, channel) end
  end
  return self.by_cid
end

--- The channels somebody has looked at since the start: those that are watched are among them.
---@return fun(): string?, stream_events.server.Channel?
function Channels:awake()
  local cid, channel
  return function()
    repeat cid, channel = next(self.by_cid, cid) until type(channel) ~= "string"
    return cid, channel
  end
end

--- The names of all channels; it wakes none of them.
---@return fun(): string?
function Channels:cids()
  local cid
  return function()
    cid = next(self.by_cid, cid)
    return cid
  end
end

-- Whether one of the members of a channel has a role.
local function holds_role(self, cid, role)
  local text = self.member_texts[cid]
  if text then return text:find(('"channel_role":"%s"'):format(role), 1, true) ~= nil end
  local channel = self.by_cid[cid]
  for _, member in pairs(type(channel) == "table" and channel.members or {}) do
    if member.channel_role == role then return true end
  end
  return false
end

--- Some channel that has a member with a channel role.
---@param role string
---@return string? cid
function Channels:with_role(role)
  for cid in pairs(self.by_cid) do
    if holds_role(self, cid, role) then return cid end
  end
  return nil
end

---@param channel_type string
---@return boolean
function Channels:uses_type(channel_type)
  local beginning = names.cid(channel_type, "")
  for cid in pairs(self.by_cid) do
    if cid:sub(1, #beginning) == beginning then return true end
  end
  return false
end

local function member_key(cid, user_id)
  return cid .. "/" .. user_id
end

-- Puts changes of its own fields into a channel, or into what is to be stored of it.
local function apply(target, changes)
  for name, value in pairs(changes) do
    if value == false and OPTIONAL[name] then value = nil end
    target[name] = value
  end
end

local function record_of(channel, changes)
  local record = {}
  for _, name in ipairs(STORED) do record[name] = channel[name] end
  apply(record, changes or {})
  return record
end

local function join(self, channel, member)
  adopt_member(channel, member)
  note_membership(self, member.user_id, channel.cid)
end

--- Makes a channel that does not exist yet.
---@param fields table type, id, created_by_id, custom, and what else a channel is made of
---@param members { user_id: string, channel_role: string? }[]
---@return stream_events.server.Channel
function Channels:create(fields, members)
  local now = clock.stamp()
  local cid = names.cid(fields.type, fields.id)
  local channel = {
    type = fields.type, id = fields.id, created_at = now, updated_at = now,
    created_by_id = fields.created_by_id, frozen = fields.frozen or false,
    disabled = fields.disabled or false, team = fields.team,
    config_overrides = fields.config_overrides, custom = fields.custom or {},
  }
  local records = {}
  for i, member in ipairs(members) do
    records[i] = {
      cid = cid, user_id = member.user_id, channel_role = member.channel_role or "channel_member",
      created_at = now, updated_at = now,
    }
  end
  self.store:transaction(function()
    self.store:put("channel", cid, record_of(channel))
    for _, record in ipairs(records) do
      self.store:put("member", member_key(cid, record.user_id), record)
    end
  end)
  channel.members, channel.member_count = {}, 0
  adopt(self, channel)
  self.count = self.count + 1
  for _, record in ipairs(records) do join(self, channel, record) end
  return channel
end

---@class stream_events.server.ChannelChanges
---@field fields table? a channel's own fields; false takes away what it need not have
---@field add { user_id: string, channel_role: string? }[]? who is a member already stays as it is
---@field remove string[]? user ids; who is no member is passed over
---@field roles { user_id: string, channel_role: string }[]? for members, new ones included

local function drop_member(self, channel, member)
  channel.members[member.user_id] = nil
  channel.member_count = channel.member_count - 1
  channel.sorted = nil
  forget_membership(self, member.user_id, channel.cid)
end

-- What becomes of the members, without touching them yet.
local function plan(channel, changes, now)
  local added, removed, updated, planned = {}, {}, {}, {}
  for _, wanted in ipairs(changes.add or {}) do
    if not channel.members[wanted.user_id] and not planned[wanted.user_id] then
      local member = {
        cid = channel.cid, user_id = wanted.user_id, created_at = now, updated_at = now,
        channel_role = wanted.channel_role or "channel_member",
      }
      added[#added + 1], planned[wanted.user_id] = member, member
    end
  end
  for _, role in ipairs(changes.roles or {}) do
    local member = planned[role.user_id]
    if not member then
      member = {}
      for name, value in pairs(channel.members[role.user_id]) do member[name] = value end
      updated[#updated + 1], planned[role.user_id] = member, member
    end
    member.channel_role, member.updated_at = role.channel_role, now
  end
  for _, user_id in ipairs(changes.remove or {}) do
    local member = channel.members[user_id]
    if member and not planned[user_id] then
      removed[#removed + 1], planned[user_id] = member, member
    end
  end
  return added, removed, updated
end

--- Changes a channel and its members, all of it or, when the store fails, nothing. Who is to be
--- removed must not be among those to be added or given a role.
---@param channel stream_events.server.Channel
---@param changes stream_events.server.ChannelChanges
---@return stream_events.server.Member[] added
---@return stream_events.server.Member[] removed
---@return stream_events.server.Member[] updated
function Channels:change(channel, changes)
  local now, cid = clock.stamp(), channel.cid
  local added, removed, updated = plan(channel, changes, now)
  local fields = { updated_at = now }
  for name, value in pairs(changes.fields or {}) do fields[name] = value end
  self.store:transaction(function()
    self.store:put("channel", cid, record_of(channel, fields))
    for _, list in ipairs { added, updated } do
      for _, member in ipairs(list) do
        self.store:put("member", member_key(cid, member.user_id), member)
      end
    end
    for _, member in ipairs(removed) do
      self.store:delete("member", member_key(cid, member.user_id))
    end
  end)
  apply(channel, fields)
  for _, member in ipairs(added) do join(self, channel, member) end
  for _, member in ipairs(updated) do adopt_member(channel, member) end
  for _, member in ipairs(removed) do drop_member(self, channel, member) end
  return added, removed, updated
end

--- Takes a user out of every channel it belongs to.
---@param user_id string
---@return { channel: stream_events.server.Channel, member: stream_events.server.Member }[] left
function Channels:remove_user(user_id)
  local left = {}
  for _, channel in pairs(self:of_member(user_id)) do
    left[#left + 1] = { channel = channel, member = channel.members[user_id] }
  end
  if not left[1] then return left end
  self.store:transaction(function()
    for _, each in ipairs(left) do
      self.store:delete("member", member_key(each.channel.cid, user_id))
    end
  end)
  self.store:on_commit(function()
    for _, each in ipairs(left) do drop_member(self, each.channel, each.member) end
  end)
  return left
end

--- Removes a channel and its members.
---@param channel stream_events.server.Channel
function Channels:delete(channel)
  self.store:transaction(function()
    self.store:delete("channel", channel.cid)
    for user_id in pairs(channel.members) do
      self.store:delete("member", member_key(channel.cid, user_id))
    end
  end)
  self.store:on_commit(function()
    for _, member in pairs(channel.members) do drop_member(self, channel, member) end
    self.by_cid[channel.cid] = nil
    self.count = self.count - 1
  end)
end

--- The members in the order they came.
---@param channel stream_events.server.Channel
---@return stream_events.server.Member[] list not to be changed
function Channels.members_of(_, channel)
  if not channel.sorted then
    local sorted = {}
    for _, member in pairs(channel.members) do sorted[#sorted + 1] = member end
    table.sort(sorted, function(a, b)
      if a.created_at ~= b.created_at then return moments.before(a.created_at, b.created_at) end
      return a.user_id < b.user_id
    end)
    channel.sorted = sorted
  end
  return channel.sorted
end

--- The id of the channel that belongs to a set of members, whatever their order.
---@param user_ids string[] without duplicates
---@return string
function M.distinct_id(user_ids)
  local sorted = { table.unpack(user_ids) }
  table.sort(sorted)
  local digest = native.crypto.sha256(table.concat(sorted, ","))
  return "!members-" .. native.crypto.base64url_encode(digest)
end

--- Whether the channel's members are its identity.
---@param channel stream_events.server.Channel
---@return boolean
function M.is_distinct(channel)
  return channel.id:find("^!members%-") ~= nil
end

return M
