--- Users: who there is, what each says about itself, and who is online (protocol §9.1, §3.1).
-- In memory, written through to the store before a record changes. A record is the same table for
-- as long as the user exists, so connections may keep it; only this module writes to it.
-- Most of many users do nothing for a long time: each is kept as the text it is stored as until
-- somebody asks for it, which is what makes a start quick and memory small.
local names = require "stream_events.names"
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local failures = require "stream_events.server.failure"
local roles_module = require "stream_events.server.roles"
local user_fields = require "stream_events.server.user_fields"
local user_query = require "stream_events.server.user_query"

local M = {}

local json = native.json

M.MAX_PER_CALL = 100
-- Seconds by which a stored last_active may lag behind: connecting again need not write.
local ACTIVE_EVERY = 15 * 60

---@class stream_events.server.User
---@field id string
---@field name string?
---@field image string?
---@field language string
---@field role string
---@field teams string[]
---@field invisible boolean? looks offline to others
---@field privacy_settings table? shown to nobody else
---@field created_at string
---@field updated_at string
---@field last_active string?
---@field deactivated_at string? may not connect or call until it is reactivated
---@field deleted_at string? likewise, until it is restored
---@field is_erased boolean? deleted for good
---@field revoke_tokens_issued_before string?
---@field custom table<string, any>

---@class stream_events.server.Users
---@field private store stream_events.server.Store
---@field private roles stream_events.server.Roles
---@field private clock fun(): number
---@field private by_id table<string, stream_events.server.User|string>
---@field private online table<stream_events.server.User, true>
---@field private texts table<stream_events.server.User, string> encoded public form
---@field private bans table<string, stream_events.server.Ban> those that are shown, by user
---@field private stored_active table<stream_events.server.User, number> when last written
---@field private anonymous_user stream_events.server.User
local Users = { __name = "stream_events.server.users" }
Users.__index = Users

--- Takes up what the store holds.
---@param store stream_events.server.Store
---@param options { now: (fun(): number)?, roles: stream_events.server.Roles? }?
---@return stream_events.server.Users
function M.new(store, options)
  options = options or {}
  local self = setmetatable({
    store = store,
    roles = options.roles or roles_module.new(store, options),
    clock = options.now or native.time,
    by_id = {},
    online = {},
    texts = setmetatable({}, { __mode = "k" }),
    bans = {},
    stored_active = {},
  }, Users)
  for id, text in store:texts("user") do self.by_id[id] = text end
  local now = timestamp.format(self.clock())
  self.anonymous_user = {
    id = "!anon", language = "", role = "anonymous", teams = json.array {}, created_at = now,
    updated_at = now, custom = {},
  }
  self.online[self.anonymous_user] = true
  return self
end

-- Makes a record of a user who was only a text so far.
local function wake(self, id, text)
  local user = self.store:decode("user", id, text)
  self.by_id[id] = user
  self.stored_active[user] = timestamp.parse(user.last_active)
  return user
end

local function find(self, id)
  local user = self.by_id[id]
  if type(user) == "string" then return wake(self, id, user) end
  return user
end

--- A user who exists, deactivated and deleted ones included.
---@param id string
---@return stream_events.server.User?
function Users:get(id)
  return find(self, id)
end

--- Whom a connection without a token belongs to; not stored.
---@return stream_events.server.User
function Users:anonymous()
  return self.anonymous_user
end

-- The public form as a list of { name, value }, in the order in which it is written.
local function public_fields(self, user)
  local fields = { { "id", user.id } }
  local function add(name, value)
    if value ~= nil then fields[#fields + 1] = { name, value } end
  end
  add("name", user.name)
  add("image", user.image)
  add("language", user.language)
  add("role", user.role)
  add("teams", user.teams)
  add("created_at", user.created_at)
  add("updated_at", user.updated_at)
  local ban = self.bans[user.id]
  add("banned", ban ~= nil)
  add("online", self:is_online(user))
  add("last_active", user.last_active)
  add("ban_expires", ban and ban.expires)
  add("deactivated_at", user.deactivated_at)
  add("deleted_at", user.deleted_at)
  add("blocked_user_ids", json.array {})
  local custom = {}
  for name in pairs(user.custom) do custom[#custom + 1] = name end
  table.sort(custom)
  for _, name in ipairs(custom) do add(name, user.custom[name]) end
  return fields
end

--- What others may see of a user, as a table for answers. The caller's to change at its top level.
---@param user stream_events.server.User
---@return table
function Users:public(user)
  local view = {}
  for _, field in ipairs(public_fields(self, user)) do view[field[1]] = field[2] end
  return view
end

--- The same as JSON text; made once, until the user changes.
---@param user stream_events.server.User
---@return string
function Users:json(user)
  local text = self.texts[user]
  if text then return text end
  local parts = {}
  for _, field in ipairs(public_fields(self, user)) do
    parts[#parts + 1] = json.encode(field[1]) .. ":" .. json.encode(field[2])
  end
  text = "{" .. table.concat(parts, ",") .. "}"
  self.texts[user] = text
  return text
end

--- Shows to everybody that a user is banned from the app, or is not any more. Shadow bans stay hidden.
---@param id string
---@param ban stream_events.server.Ban?
function Users:show_ban(id, ban)
  self.bans[id] = ban and not ban.shadow and ban or nil
  local user = self.by_id[id]
  if user then self.texts[user] = nil end
end

--- Some user who has a role.
---@param role string
---@return stream_events.server.User?
function Users:with_role(role)
  local written = ('"role":"%s"'):format(role)
  for id, user in pairs(self.by_id) do
    -- Custom data may hold the same words, so a text that does is looked at.
    if type(user) ~= "string" or user:find(written, 1, true) then
      user = find(self, id)
      if user.role == role then return user end
    end
  end
  return nil
end

--- Whether a user looks online to others.
---@param user stream_events.server.User
---@return boolean
function Users:is_online(user)
  return self.online[user] == true and not user.invisible
end

-- Notes that a user is there. Written now and then only, and when that fails nobody is turned away
-- for it: the next one tries again. Of one who is erased nothing is to be known any more.
local function note_active(self, user)
  self.texts[user] = nil
  if user.is_erased then return end
  local now = self.clock()
  user.last_active = timestamp.format(now)
  local stored = self.stored_active[user]
  if not stored or now - stored >= ACTIVE_EVERY then
    if pcall(self.store.put, self.store, "user", user.id, user) then self.stored_active[user] = now end
  end
end

-- Tells whoever looks on when others see another presence of a user than before.
local function look_again(self, user, before)
  if self.presence_observer and self:is_online(user) ~= before then self.presence_observer(user) end
end

--- Notes that a user's first connection was opened, or its last one is gone.
---@param id string
---@param online boolean
function Users:set_online(id, online)
  local user = find(self, id)
  if not user then return end
  local before = self:is_online(user)
  self.online[user] = online or nil
  note_active(self, user)
  look_again(self, user, before)
end

--- Has a function told of every user that looks online to others from now on, or no longer does.
---@param observer fun(user: stream_events.server.User)
function Users:observe_presence(observer)
  self.presence_observer = observer
end

--- Notes that a user is still there.
---@param id string
function Users:touch(id)
  local user = find(self, id)
  if user then note_active(self, user) end
end

-- Puts a record in the place of what is in memory.
local function adopt(self, user, record)
  local before = self.by_id[user.id] ~= nil and self:is_online(user)
  if user == record then
    self.by_id[record.id] = user
  else
    for name in pairs(user) do
      if record[name] == nil then user[name] = nil end
    end
    for name, value in pairs(record) do user[name] = value end
  end
  self.texts[user] = nil
  self.stored_active[user] = timestamp.parse(user.last_active)
  look_again(self, user, before)
end

-- Writes records, all or none, and only then puts them in the place of what is in memory.
local function save(self, records)
  local users = {}
  for i, record in ipairs(records) do users[i] = find(self, record.id) or record end
  self.store:transaction(function()
    for _, record in ipairs(records) do self.store:put("user", record.id, record) end
  end)
  self.store:on_commit(function()
    for i, record in ipairs(records) do adopt(self, users[i], record) end
  end)
  return users
end

local function copy_of(source)
  local copy = {}
  for name, value in pairs(source) do copy[name] = value end
  return copy
end

-- The parts of a user that a full replacement keeps.
local KEPT = { "id", "created_at", "last_active", "deactivated_at", "revoke_tokens_issued_before" }
-- And those that only a backend replaces.
local KEPT_FROM_CLIENTS = { "role", "teams" }

-- What a user is after a full replacement by these fields.
local function replacement(self, id, fields, options)
  local ok, message = names.user_id(id)
  if not ok then return failures.fail(4, message) end
  local old = find(self, id)
  if old and old.deleted_at then return failures.fail(4, ("user %q was deleted"):format(id)) end
  local changes, failure = user_fields.check(fields, id, options.trusted and "server" or "self", old,
    self.roles)
  if not changes then return nil, failure end
  local now = timestamp.format(self.clock())
  local record = user_fields.empty(id, now)
  for _, name in ipairs(old and KEPT or {}) do record[name] = old[name] end
  for _, name in ipairs(old and not options.trusted and KEPT_FROM_CLIENTS or {}) do
    record[name] = old[name]
  end
  return user_fields.merge(record, changes)
end

--- Makes users, or replaces all that is known about them; all of them or none. A client
--- (not trusted) keeps its role and teams whatever it says.
---@param list { id: string, fields: table }[] decoded
---@param options { trusted: boolean? }
---@return stream_events.server.User[]? users
---@return stream_events.server.Failure? failure
function Users:upsert_all(list, options)
  local records = {}
  for i, item in ipairs(list) do
    local record, failure = replacement(self, item.id, item.fields, options)
    if not record then return nil, failure end
    records[i] = record
  end
  return save(self, records)
end

--- As upsert_all, for one.
---@param id string
---@param fields table decoded
---@param options { trusted: boolean? }
---@return stream_events.server.User? user
---@return stream_events.server.Failure? failure
function Users:upsert(id, fields, options)
  local users, failure = self:upsert_all({ { id = id, fields = fields } }, options)
  return users and users[1], failure
end

--- Changes single fields of users; all of them or none. Names may lead into objects: "address.city".
---@param list { id: string, set: table?, unset: string[]? }[] decoded
---@param options { trusted: boolean? }
---@return stream_events.server.User[]? users
---@return stream_events.server.Failure? failure
function Users:patch_all(list, options)
  local records, seen = {}, {}
  for i, item in ipairs(list) do
    local old = find(self, item.id)
    if not old or old.deleted_at then
      return failures.fail(16, ("user %q does not exist"):format(tostring(item.id)))
    elseif seen[item.id] then
      return failures.fail(4, ("user %q is named twice"):format(item.id))
    end
    seen[item.id] = true
    local record, failure = user_fields.patch(copy_of(old), item.set, item.unset,
      options.trusted and "server" or "self", self.roles)
    if not record then return nil, failure end
    record.updated_at = timestamp.format(self.clock())
    records[i] = record
  end
  return save(self, records)
end

--- As patch_all, for one.
---@param id string
---@param set table? decoded
---@param unset string[]? decoded
---@param options { trusted: boolean? }
---@return stream_events.server.User? user
---@return stream_events.server.Failure? failure
function Users:patch(id, set, unset, options)
  local users, failure = self:patch_all({ { id = id, set = set, unset = unset } }, options)
  return users and users[1], failure
end

--- Whether a user may connect and call.
---@param user stream_events.server.User
---@return true? ok
---@return stream_events.server.Failure? failure
function Users.check_alive(_, user)
  if user.deleted_at then return failures.fail(5, ("User %q was deleted"):format(user.id)) end
  if user.deactivated_at then return failures.fail(5, ("User %q was deactivated"):format(user.id)) end
  return true
end

--- What connecting does to a user: it is made if new, else what it says about itself is added or
--- changed, never removed; and it is online. Role and teams are not the client's to say.
---@param id string of the token
---@param details table? decoded user_details
---@return stream_events.server.User? user
---@return stream_events.server.Failure? failure
function Users:connect(id, details)
  local ok, message = names.user_id(id)
  if not ok then return failures.fail(5, message) end
  local old = find(self, id)
  if old then
    local alive, dead = self:check_alive(old)
    if not alive then return nil, dead end
  end
  local changes, failure = user_fields.check(details or {}, id, "connect", old, self.roles)
  if not changes then return nil, failure end
  local now = timestamp.format(self.clock())
  local base = old and copy_of(old) or user_fields.empty(id, now)
  local record, too_large = user_fields.merge(base, changes)
  if not record then return nil, too_large end
  -- Most connect with what is known already; that costs no write.
  if not (old and user_fields.same(old, record)) then
    record.updated_at, record.last_active = now, now
    save(self, { record })
  end
  self:set_online(id, true)
  return find(self, id)
end

--- Makes a guest.
---@param fields table decoded: id, name, ...
---@return stream_events.server.User? user
---@return stream_events.server.Failure? failure
function Users:create_guest(fields)
  local ok, message = names.user_id(fields.id)
  if not ok then return failures.fail(4, message) end
  local id = ("guest-%s-%s"):format(native.crypto.uuid(), fields.id)
  ok, message = names.user_id(id)
  if not ok then return failures.fail(4, "with what guests are called by, " .. message) end
  local changes, failure = user_fields.check(fields, fields.id, "connect", nil, self.roles)
  if not changes then return nil, failure end
  local record, too_large =
    user_fields.merge(user_fields.empty(id, timestamp.format(self.clock())), changes)
  if not record then return nil, too_large end
  record.role = "guest"
  return save(self, { record })[1]
end

-- Sets one of the fields that are no request's to name.
local function mark(self, id, field, value, set)
  local user = find(self, id)
  if not user or user.deleted_at then
    return failures.fail(16, ("user %q does not exist"):format(id))
  end
  local record = copy_of(user)
  if set then
    local ok, failure = user_fields.patch(record, set, nil, "server", self.roles)
    if not ok then return nil, failure end
  end
  record[field] = value
  record.updated_at = timestamp.format(self.clock())
  return save(self, { record })[1]
end

--- Locks a user out until it is reactivated.
---@param id string
---@return stream_events.server.User? user
---@return stream_events.server.Failure? failure
function Users:deactivate(id)
  return mark(self, id, "deactivated_at", timestamp.format(self.clock()))
end

--- Lets a user in again.
---@param id string
---@param name any? decoded; nil: it stays
---@return stream_events.server.User? user
---@return stream_events.server.Failure? failure
function Users:reactivate(id, name)
  return mark(self, id, "deactivated_at", nil, name and { name = name } or nil)
end

--- Locks a user out until it is restored. The record stays: channels name it as their maker.
---@param id string
---@return stream_events.server.User? user
---@return stream_events.server.Failure? failure
function Users:delete(id)
  return mark(self, id, "deleted_at", timestamp.format(self.clock()))
end

--- Locks a user out for good, and forgets all that was known about it but its id, which nobody else
--- may have.
---@param id string
---@return stream_events.server.User? user
---@return stream_events.server.Failure? failure
function Users:erase(id)
  local user = find(self, id)
  if not user or user.is_erased then
    return failures.fail(16, ("user %q does not exist"):format(id))
  end
  local now = timestamp.format(self.clock())
  local record = user_fields.empty(id, user.created_at)
  record.updated_at, record.deleted_at, record.is_erased = now, user.deleted_at or now, true
  return save(self, { record })[1]
end

--- Lets users in again that were deleted and not erased; all of them or none.
---@param ids string[]
---@return stream_events.server.User[]? users
---@return stream_events.server.Failure? failure
function Users:restore(ids)
  local records = {}
  for i, id in ipairs(ids) do
    local user = find(self, id)
    if not user then return failures.fail(16, ("user %q does not exist"):format(id)) end
    if not user.deleted_at or user.is_erased then
      return failures.fail(4, ("user %q cannot be restored: it %s"):format(id,
        user.is_erased and "was deleted for good" or "is not deleted"))
    end
    records[i] = copy_of(user)
    records[i].deleted_at = nil
    records[i].updated_at = timestamp.format(self.clock())
  end
  return save(self, records)
end

-- What queries may ask about: public fields, and custom data.
local READABLE = {
  id = true, name = true, image = true, language = true, role = true, teams = true,
  created_at = true, updated_at = true, last_active = true,
}

--- Finds users; without a sort order the newest come first.
---@param request table decoded: filter_conditions, sort, limit, offset, include_deactivated_users
---@return stream_events.server.User[]? users
---@return stream_events.server.Failure? failure
function Users:query(request)
  return user_query.find(request, self.by_id, function(id) return find(self, id) end,
    function(user, field)
      if READABLE[field] then return user[field] end
      if field == "banned" then return self.bans[user.id] ~= nil end
      return user.custom[field]
    end)
end

return M
