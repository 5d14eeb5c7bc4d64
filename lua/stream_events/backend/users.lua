--- Users as a backend sees them: what is known of them, and their tokens (protocol §9.1).
-- Some of this a user may do too, with fewer rights: it works for a connected client without a secret.
local api = require "stream_events.api"
local calls = require "stream_events.backend.call"
local channel_state = require "stream_events.channel_state"
local errors = require "stream_events.error"
local tokens = require "stream_events.token"

local M = { methods = {} }

---@class stream_events.Client
local methods = M.methods
local expect_table, expect_user_id = calls.expect_table, calls.expect_user_id

--- Creates users, or replaces all the data of those that exist; at most 100 (protocol §9.1).
--- Errors: code 17 without a secret for anybody but oneself, 4 for bad fields.
---@param users table[] each with an id
---@param callback (fun(users: table<string, table>?, err: stream_events.Error?))?
---@return table<string, table>? users by id, as stored
---@return stream_events.Error? err
function methods:upsert_users(users, callback)
  local call = self.context.tasks:begin(callback)
  expect_table(users, "users", 2)
  if users.id ~= nil then users = { users } end
  local by_id = {}
  for _, user in pairs(users) do
    expect_table(user, "a user", 2)
    expect_user_id(user.id, 2)
    by_id[user.id] = user
  end
  calls.expect_json(by_id, "users", 2)
  return calls.ask(self, call, {
    method = "POST", path = "/users", as = "backend", body = { users = by_id },
  }, calls.member "users")
end

--- Changes some fields of users: { { id = , set = { ... }, unset = { ... } } } (protocol §9.1).
--- Errors: code 16 no such user; 17 without a secret for anybody but oneself, and for role and teams.
---@param changes table[]
---@param callback (fun(users: table<string, table>?, err: stream_events.Error?))?
---@return table<string, table>? users by id
---@return stream_events.Error? err
function methods:update_users(changes, callback)
  local call = self.context.tasks:begin(callback)
  expect_table(changes, "changes", 2)
  if changes.id ~= nil then changes = { changes } end
  local list = {}
  for i, change in ipairs(changes) do
    expect_table(change, "a change", 2)
    expect_user_id(change.id, 2)
    if change.set ~= nil then expect_table(change.set, "'set'", 2) end
    if change.unset ~= nil then expect_table(change.unset, "'unset'", 2) end
    list[i] = {
      id = change.id, set = change.set,
      unset = calls.as_list(change.unset),
    }
  end
  calls.expect_json(list, "changes", 2)
  return calls.ask(self, call, {
    method = "PATCH", path = "/users", as = "backend", body = { users = channel_state.list(list) },
  }, calls.member "users")
end

--- Finds users (protocol §9.1).
---@param filter table? { id = { ["$in"] = { ... } } }; nil: all
---@param options table? sort: list of { field =, direction = 1 or -1 }, limit, offset,
---  include_deactivated_users
---@param callback (fun(users: table[]?, err: stream_events.Error?))?
---@return table[]? users
---@return stream_events.Error? err kind "closed": neither secret nor user; code 4 a filter that is none; 17
---  not allowed
function methods:query_users(filter, options, callback)
  options, callback = calls.optional(options, callback)
  local call = self.context.tasks:begin(callback)
  local body = calls.query_body(filter, options, 2)
  return calls.ask(self, call, {
    method = "GET", path = "/users", as = "backend", query = api.payload(body),
  }, calls.member "users")
end

--- Signs the token with which a user connects. Needs the secret, and no network.
---@param user_id string
---@param options stream_events.TokenOptions? exp: Unix seconds at which it expires
---@return string? token
---@return stream_events.Error? err kind "auth": made without the secret
function methods:create_token(user_id, options)
  expect_user_id(user_id, 2)
  local secret = self.context.options.secret
  if not secret then
    return errors.fail("auth", "only a backend may do this: the client was made without a secret")
  end
  local token = tokens.user(secret, user_id, options, 3)
  return token
end

return M
