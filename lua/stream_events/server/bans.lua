--- Bans: users who must not send, in the whole app or in one channel (protocol §9.2). A shadow ban is
-- one that its user does not notice: what it sends reaches itself and nobody else.
-- In memory, written through. A ban with a timeout ends by itself.
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"

local M = {}

---@class stream_events.server.Ban
---@field target_user_id string
---@field cid string? nil: in the whole app
---@field banned_by_id string?
---@field reason string?
---@field shadow boolean
---@field created_at string
---@field expires string? RFC 3339; nil: until somebody ends it

---@class stream_events.server.Bans
---@field private store stream_events.server.Store
---@field private users stream_events.server.Users shows who is banned
---@field private clock fun(): number
---@field private app table<string, stream_events.server.Ban> by user
---@field private channels table<string, table<string, stream_events.server.Ban>> by user, then cid
---@field private ends table<stream_events.server.Ban, number> those that end by themselves, and when
---@field private next_end number? the earliest of them
local Bans = { __name = "stream_events.server.bans" }
Bans.__index = Bans

-- User ids hold no "/".
local function key_of(user_id, cid)
  return user_id .. "/" .. (cid or "")
end

local function note_end(self, ban)
  if not ban.expires then return end
  local at = timestamp.parse(ban.expires)
  self.ends[ban] = at
  if not self.next_end or at < self.next_end then self.next_end = at end
end

local function adopt(self, ban)
  local user_id = ban.target_user_id
  if ban.cid then
    self.channels[user_id] = self.channels[user_id] or {}
    self.channels[user_id][ban.cid] = ban
  else
    self.app[user_id] = ban
    self.users:show_ban(user_id, ban)
  end
  note_end(self, ban)
end

--- Takes up what the store holds; what has ended meanwhile goes with the first tick().
---@param store stream_events.server.Store
---@param users stream_events.server.Users
---@param options { now: (fun(): number)? }?
---@return stream_events.server.Bans
function M.new(store, users, options)
  local self = setmetatable({
    store = store, users = users, clock = options and options.now or native.time,
    app = {}, channels = {}, ends = {},
  }, Bans)
  for _, ban in store:each "ban" do adopt(self, ban) end
  return self
end

local function in_force(self, ban)
  local at = ban and self.ends[ban]
  if at and at <= self.clock() then return nil end
  return ban
end

--- The ban of a user in the whole app, if there is one.
---@param user_id string?
---@return stream_events.server.Ban?
function Bans:in_app(user_id)
  local ban = self.app[user_id]
  return ban and in_force(self, ban)
end

--- The ban of a user in one channel, if there is one.
---@param user_id string?
---@param cid string
---@return stream_events.server.Ban?
function Bans:in_channel(user_id, cid)
  local own = self.channels[user_id]
  return own and in_force(self, own[cid])
end

--- Whether a user must not send to a channel, as far as it is to know of it.
---@param user_id string?
---@param cid string
---@return boolean
function Bans:silences(user_id, cid)
  local app, own = self:in_app(user_id), self:in_channel(user_id, cid)
  return (app ~= nil and not app.shadow) or (own ~= nil and not own.shadow)
end

--- Whether what a user sends to a channel reaches nobody else.
---@param user_id string?
---@param cid string
---@return boolean
function Bans:shadows(user_id, cid)
  if not (self.app[user_id] or self.channels[user_id]) then return false end -- nearly always
  local app, own = self:in_app(user_id), self:in_channel(user_id, cid)
  return (app ~= nil and app.shadow) or (own ~= nil and own.shadow) or false
end

local function forget(self, ban)
  local user_id = ban.target_user_id
  self.ends[ban] = nil
  if not ban.cid then
    self.app[user_id] = nil
    self.users:show_ban(user_id, nil)
    return
  end
  local own = self.channels[user_id]
  own[ban.cid] = nil
  if next(own) == nil then self.channels[user_id] = nil end
end

--- The ban of exactly this user and place, in force or not.
---@param user_id string
---@param cid string?
---@return stream_events.server.Ban?
function Bans:get(user_id, cid)
  if cid then return (self.channels[user_id] or {})[cid] end
  return self.app[user_id]
end

--- All bans that are in force, in any order.
---@return stream_events.server.Ban[]
function Bans:all()
  local list = {}
  local function take(ban)
    if in_force(self, ban) then list[#list + 1] = ban end
  end
  for _, ban in pairs(self.app) do take(ban) end
  for _, own in pairs(self.channels) do
    for _, ban in pairs(own) do take(ban) end
  end
  return list
end

--- Bans a user, in place of an earlier ban in the same place.
---@param fields table target_user_id, cid, banned_by_id, reason, shadow, and timeout in minutes
---@return stream_events.server.Ban
function Bans:add(fields)
  local now = self.clock()
  local ban = {
    target_user_id = fields.target_user_id, cid = fields.cid, banned_by_id = fields.banned_by_id,
    reason = fields.reason, shadow = fields.shadow or false, created_at = timestamp.format(now),
    expires = fields.timeout and timestamp.format(now + fields.timeout * 60) or nil,
  }
  self.store:put("ban", key_of(ban.target_user_id, ban.cid), ban)
  local old = self:get(ban.target_user_id, ban.cid)
  if old then forget(self, old) end
  adopt(self, ban)
  return ban
end

--- Ends a ban.
---@param ban stream_events.server.Ban one that get() gave
function Bans:remove(ban)
  self.store:delete("ban", key_of(ban.target_user_id, ban.cid))
  forget(self, ban)
end

--- Removes all bans of a user who is gone, or in a channel that is.
---@param user_id string?
---@param cid string?
function Bans:clear(user_id, cid)
  local gone = {}
  if user_id then
    gone[1] = self.app[user_id]
    for _, ban in pairs(self.channels[user_id] or {}) do gone[#gone + 1] = ban end
  else
    for _, own in pairs(self.channels) do gone[#gone + 1] = own[cid] end
  end
  if not gone[1] then return end
  self.store:transaction(function()
    for _, ban in ipairs(gone) do
      self.store:delete("ban", key_of(ban.target_user_id, ban.cid))
    end
  end)
  self.store:on_commit(function()
    for _, ban in ipairs(gone) do forget(self, ban) end
  end)
end

--- Ends the bans whose time is over.
---@return stream_events.server.Ban[] ended
function Bans:tick()
  local now = self.clock()
  if not self.next_end or self.next_end > now then return {} end
  local ended = {}
  self.next_end = nil
  for ban, at in pairs(self.ends) do
    if at <= now then
      ended[#ended + 1] = ban
    elseif not self.next_end or at < self.next_end then
      self.next_end = at
    end
  end
  local ok, problem = pcall(self.store.transaction, self.store, function()
    for _, ban in ipairs(ended) do
      self.store:delete("ban", key_of(ban.target_user_id, ban.cid))
    end
  end)
  if not ok then
    self.next_end = now -- they are not in force any more; the next tick tries again to forget them
    error(problem, 0)
  end
  for _, ban in ipairs(ended) do forget(self, ban) end
  return ended
end

return M
