--- Moderation: bans, users who are locked out or gone, tokens that count no longer (protocol §9.1, §9.2,
-- §2.7). Bans a moderator may make too, as a connected client without a secret.
local api = require "stream_events.api"
local calls = require "stream_events.backend.call"
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local url = require "stream_events.url"

local M = { methods = {} }

---@class stream_events.Client
local methods = M.methods
local MINUTES = 60 * 24 * 366 * 100 -- a century: what is longer is a slip

-- Bans --------------------------------------------------------------------------------------------

local BAN = {
  channel = "string", timeout = "number", reason = "string", shadow = "boolean", ip_ban = "boolean",
  banned_by = "string",
}

local function check_timeout(minutes, level)
  if minutes == nil then return end
  if minutes % 1 ~= 0 or minutes < 1 or minutes > MINUTES then
    error("option 'timeout' must be a whole number of minutes, at least 1", level + 1)
  end
end

---@class stream_events.BanOptions
---@field channel string? cid; nil: everywhere
---@field timeout integer? minutes after which it ends; nil: never
---@field reason string?
---@field shadow boolean? the user is not to notice
---@field ip_ban boolean?
---@field banned_by string? user id; backends say here who bans

--- Bans a user in a channel or everywhere: what it sends is refused with code 17 (protocol §9.2).
--- A second ban takes the place of the first. Errors: code 16 no such user or channel, 17 not allowed.
---@param user_id string
---@param options stream_events.BanOptions|function|nil
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:ban_user(user_id, options, callback)
  options, callback = calls.optional(options, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_user_id(user_id, 2)
  local given = calls.options(options, BAN, 2)
  if given.channel then calls.expect_cid(given.channel, 2) end
  if given.banned_by then calls.expect_user_id(given.banned_by, 2) end
  check_timeout(given.timeout, 2)
  local body = {
    target_user_id = user_id, channel_cid = given.channel, timeout = given.timeout,
    reason = given.reason, shadow = given.shadow, ip_ban = given.ip_ban, banned_by_id = given.banned_by,
  }
  calls.expect_json(body, "a ban", 2)
  return calls.ask(self, call,
    { method = "POST", path = "/moderation/ban", as = "backend", body = body }, calls.done)
end

--- Ends a ban. A ban of a channel and one from everywhere are two: each is ended by itself. Errors:
--- code 16 no such user or channel, 17 not allowed.
---@param user_id string
---@param options { channel: string? }|function|nil channel: cid
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:unban_user(user_id, options, callback)
  options, callback = calls.optional(options, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_user_id(user_id, 2)
  local given = calls.options(options, { channel = "string" }, 2)
  if given.channel then calls.expect_cid(given.channel, 2) end
  return calls.ask(self, call, {
    method = "DELETE", path = "/moderation/ban", as = "backend",
    query = url.query { { "target_user_id", user_id }, { "channel_cid", given.channel } },
  }, calls.done)
end

--- Finds bans, those of channels and those from everywhere: each with `user`, `channel` (nil: everywhere),
--- `banned_by`, `reason`, `created_at`, `expires` (nil: never), `shadow`. A moderator who may ban in one
--- channel alone names it in the filter. Errors: code 16 no such channel, 17 not allowed.
---@param filter table? by user_id, channel_cid, banned_by_id, reason, created_at; nil: all
---@param options table? sort: list of { field =, direction = 1 or -1 }, limit, offset
---@param callback (fun(bans: table[]?, err: stream_events.Error?))?
---@return table[]? bans the newest first
---@return stream_events.Error? err
function methods:query_banned_users(filter, options, callback)
  options, callback = calls.optional(options, callback)
  local call = self.context.tasks:begin(callback)
  local body = calls.query_body(filter, options, 2)
  return calls.ask(self, call, {
    method = "GET", path = "/query_banned_users", as = "backend", query = api.payload(body),
  }, calls.member "bans")
end

-- Users who are locked out, or gone ---------------------------------------------------------------

local function change_one(self, call, user_id, action, body)
  return calls.ask(self, call, {
    method = "POST", path = url.path("users", user_id, action), as = "server", body = body,
  }, calls.member_or_whole "user")
end

-- The body of a call that can do without one: an object, also when it is empty.
local function body_of(options, known, level)
  local body = {}
  for name, value in pairs(calls.options(options, known, level + 1)) do body[name] = value end
  return body
end

local DEACTIVATE = { mark_messages_deleted = "boolean", created_by_id = "string" }
local REACTIVATE = { restore_messages = "boolean", name = "string", created_by_id = "string" }

--- Locks a user out: it can neither connect nor call until it is reactivated. Errors: code 16 no such
--- user.
---@param user_id string
---@param options { mark_messages_deleted: boolean?, created_by_id: string? }|function|nil
---@param callback (fun(user: table?, err: stream_events.Error?))?
---@return table? user
---@return stream_events.Error? err
function methods:deactivate_user(user_id, options, callback)
  options, callback = calls.optional(options, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_user_id(user_id, 2)
  return change_one(self, call, user_id, "deactivate", body_of(options, DEACTIVATE, 2))
end

--- Lets a deactivated user in again. Errors: code 16 no such user.
---@param user_id string
---@param options { restore_messages: boolean?, name: string?, created_by_id: string? }|function|nil
---@param callback (fun(user: table?, err: stream_events.Error?))?
---@return table? user
---@return stream_events.Error? err
function methods:reactivate_user(user_id, options, callback)
  options, callback = calls.optional(options, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_user_id(user_id, 2)
  return change_one(self, call, user_id, "reactivate", body_of(options, REACTIVATE, 2))
end

--- Deletes one user at once. Errors: code 16 no such user.
---@param user_id string
---@param options { hard_delete: boolean?, mark_messages_deleted: boolean? }|function|nil hard_delete: for
---  good; without it the user can be restored
---@param callback (fun(user: table?, err: stream_events.Error?))?
---@return table? user
---@return stream_events.Error? err
function methods:delete_user(user_id, options, callback)
  options, callback = calls.optional(options, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_user_id(user_id, 2)
  local given = calls.options(options, { hard_delete = "boolean", mark_messages_deleted = "boolean" }, 2)
  local parameters = {}
  for i, name in ipairs { "hard_delete", "mark_messages_deleted" } do
    parameters[i] = { name, given[name] and "true" or nil }
  end
  return calls.ask(self, call, {
    method = "DELETE", path = url.path("users", user_id), as = "server", query = url.query(parameters),
  }, calls.member_or_whole "user")
end

local DELETE = {
  user = "string", messages = "string", conversations = "string", new_channel_owner_id = "string",
}
local WAYS = { soft = true, pruning = true, hard = true }

local function check_ways(body, level)
  for _, name in ipairs { "user", "messages", "conversations" } do
    if body[name] ~= nil and not WAYS[body[name]] then
      error(("option '%s' must be soft, pruning or hard"):format(name), level + 1)
    end
  end
end

--- Deletes users, at most 100. The service may take its time: the answer names the task. Softly deleted
--- ones can be restored. Errors: code 16 no such user.
---@param user_ids string|string[]
---@param options table? user: "soft" (default), "pruning" or "hard"; messages and conversations likewise;
---  new_channel_owner_id
---@param callback (fun(answer: table?, err: stream_events.Error?))?
---@return table? answer task_id
---@return stream_events.Error? err
function methods:delete_users(user_ids, options, callback)
  options, callback = calls.optional(options, callback)
  local call = self.context.tasks:begin(callback)
  local ids = calls.user_ids(user_ids, 2)
  local body = body_of(options, DELETE, 2)
  check_ways(body, 2)
  body.user = body.user or "soft"
  body.user_ids = ids
  return calls.ask(self, call, { method = "POST", path = "/users/delete", as = "server", body = body },
    calls.whole)
end

--- Brings softly deleted users back. Errors: code 16 no such user.
---@param user_ids string|string[]
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:restore_users(user_ids, callback)
  local call = self.context.tasks:begin(callback)
  return calls.ask(self, call, {
    method = "POST", path = "/users/restore", as = "server",
    body = { user_ids = calls.user_ids(user_ids, 2) },
  }, calls.done)
end

-- Tokens that count no longer ---------------------------------------------------------------------

-- The time that is sent: now, the one that was given, or null, which lifts what was said before.
local function revocation(self, before, level)
  local null = native.json.null
  if before == nil then return timestamp.format(self.context.clock.time()) end
  if before ~= null then calls.expect_date(before, "'before'", level + 1) end
  return before
end

--- Refuses all tokens of all users that were issued before a time (their `iat`). Errors: code 4 no time.
---@param before string|lightuserdata|function|nil RFC 3339; nil: now; stream_events.null: lifts it
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:revoke_tokens(before, callback)
  before, callback = calls.optional(before, callback)
  local call = self.context.tasks:begin(callback)
  local body = { revoke_tokens_issued_before = revocation(self, before, 2) }
  return calls.ask(self, call, { method = "PATCH", path = "/app", as = "server", body = body },
    calls.done)
end

--- Refuses the tokens of users that were issued before a time, and those that do not say when they
--- were. Errors: code 16 no such user.
---@param user_ids string|string[]
---@param before string|lightuserdata|function|nil RFC 3339; nil: now; stream_events.null: lifts it
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:revoke_user_tokens(user_ids, before, callback)
  before, callback = calls.optional(before, callback)
  local call = self.context.tasks:begin(callback)
  local time = revocation(self, before, 2)
  local changes = {}
  for i, id in ipairs(calls.user_ids(user_ids, 2)) do
    changes[i] = { id = id, set = { revoke_tokens_issued_before = time } }
  end
  return calls.ask(self, call, {
    method = "PATCH", path = "/users", as = "server", body = { users = native.json.array(changes) },
  }, calls.done)
end

return M
