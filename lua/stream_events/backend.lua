--- The calls of a backend: users, channel types, app settings, user events (protocol §6, §7, §9).
-- A client made with the secret makes them with its own authority. Some of them a user may make too,
-- with fewer rights: those work for a connected client without a secret.
local channels = require "stream_events.channel"
local channel_state = require "stream_events.channel_state"
local errors = require "stream_events.error"
local names = require "stream_events.names"
local native = require "stream_events.native"
local api = require "stream_events.api"
local tokens = require "stream_events.token"
local url = require "stream_events.url"

local M = { methods = {} }

local methods = M.methods

-- Makes a call and gives the part of the answer that `pick` takes out.
local function ask(self, call, request, pick)
  local context = self.context
  context.api:call(request, function(answer, err)
    if not answer then return call:finish(nil, err) end
    local result = pick(answer)
    if result == nil then
      call:finish(nil, errors.new {
        kind = "protocol", message = "the answer lacks what was asked for",
      })
    else
      call:finish(result)
    end
  end)
  return context.tasks:wait(call)
end

local function done() return true end

local function whole(answer)
  answer.duration = nil
  return answer
end

local function member(name)
  return function(answer)
    return type(answer[name]) == "table" and answer[name] or nil
  end
end

local function expect_table(value, what, level)
  if type(value) ~= "table" then
    error(what .. " must be a table, not a " .. type(value), level + 1)
  end
end

local function expect_user_id(value, level)
  local ok, message = names.user_id(value)
  if not ok then error(message, level + 1) end
end

local function expect_json(value, what, level)
  local _, err = native.json.encode(value)
  if err then error(what .. ": " .. err.message, level + 1) end
end

-- Users -------------------------------------------------------------------------------------------

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
  expect_json(by_id, "users", 2)
  return ask(self, call, {
    method = "POST", path = "/users", as = "backend", body = { users = by_id },
  }, member "users")
end

--- Changes some fields of users: { { id = , set = { ... }, unset = { ... } } } (protocol §9.1).
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
      unset = change.unset and channel_state.list(change.unset),
    }
  end
  expect_json(list, "changes", 2)
  return ask(self, call, {
    method = "PATCH", path = "/users", as = "backend", body = { users = channel_state.list(list) },
  }, member "users")
end

local function query_body(filter, options, level)
  if filter ~= nil then expect_table(filter, "a filter", level + 1) end
  if options ~= nil then expect_table(options, "options", level + 1) end
  local body = {}
  for name, value in pairs(options or {}) do body[name] = value end
  body.filter_conditions = filter or {}
  if body.sort ~= nil then expect_table(body.sort, "'sort'", level + 1) end
  body.sort = channel_state.list(body.sort or {})
  expect_json(body, "the query", level + 1)
  return body
end

--- Finds users (protocol §9.1).
---@param filter table? { id = { ["$in"] = { ... } } }; nil: all
---@param options { sort: table[]?, limit: integer?, offset: integer? }|function|nil
---@param callback (fun(users: table[]?, err: stream_events.Error?))?
---@return table[]? users
---@return stream_events.Error? err
function methods:query_users(filter, options, callback)
  if type(options) == "function" then options, callback = nil, options end
  local call = self.context.tasks:begin(callback)
  local body = query_body(filter, options, 2)
  return ask(self, call, {
    method = "GET", path = "/users", as = "backend", query = api.payload(body),
  }, member "users")
end

--- Signs the token with which a user connects. Needs the secret, and no network.
---@param user_id string
---@param options stream_events.TokenOptions? exp: Unix seconds at which it expires
---@return string? token
---@return stream_events.Error? err
function methods:create_token(user_id, options)
  expect_user_id(user_id, 2)
  local secret = self.context.options.secret
  if not secret then
    return errors.fail("auth", "only a backend may do this: the client was made without a secret")
  end
  local token = tokens.user(secret, user_id, options, 3)
  return token
end

--- Sends a custom event to a user: to every connection of theirs, watching or not (protocol §6).
--- Errors: kind "auth" without a secret; code 16 no such user; 4 a type with a `.`; kinds "protocol",
--- "full" and "rule" as Channel:send_event.
---@param user_id string
---@param event table type, and the event's own fields
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:send_user_custom_event(user_id, event, callback)
  local context = self.context
  local call = context.tasks:begin(callback)
  expect_user_id(user_id, 2)
  expect_table(event, "an event", 2)
  local data = {}
  for name, value in pairs(event) do
    if name ~= "type" then data[name] = value end
  end
  local body, err = context.encoder:encode(event.type, data, nil, 2)
  if context.rules then
    body, err = context.encoder:ruled(body, err, context.rules, { trust = "server" })
  end
  if not body then return context.tasks:fail(call, err) end
  return ask(self, call, {
    method = "POST", path = url.path("users", user_id, "event"), as = "server", body = body,
  }, done)
end

-- Channel types -----------------------------------------------------------------------------------

local function type_path(name, level)
  local ok, message = names.channel_type(name)
  if not ok then error(message, level + 1) end
  return url.path("channeltypes", name)
end

-- Lists of grants and commands stay lists when they are empty.
local function type_config(config, level)
  expect_table(config, "a configuration", level + 1)
  local body = {}
  for name, value in pairs(config) do body[name] = value end
  if type(body.commands) == "table" then body.commands = channel_state.list(body.commands) end
  if type(body.grants) == "table" then
    local grants = {}
    for role, list in pairs(body.grants) do
      grants[role] = type(list) == "table" and channel_state.list(list) or list
    end
    body.grants = grants
  end
  expect_json(body, "a configuration", level + 1)
  return body
end

--- All channel types with their configuration (protocol §7).
---@param callback (fun(types: table<string, table>?, err: stream_events.Error?))?
---@return table<string, table>? types by name
---@return stream_events.Error? err
function methods:list_channel_types(callback)
  local call = self.context.tasks:begin(callback)
  return ask(self, call, { method = "GET", path = "/channeltypes", as = "server" },
    member "channel_types")
end

--- The configuration of a channel type. Errors: code 16 no such type.
---@param name string
---@param callback (fun(config: table?, err: stream_events.Error?))?
---@return table? config
---@return stream_events.Error? err
function methods:get_channel_type(name, callback)
  local call = self.context.tasks:begin(callback)
  return ask(self, call, { method = "GET", path = type_path(name, 2), as = "server" }, whole)
end

--- Creates a channel type. Custom events are on unless the configuration says otherwise. Errors:
--- code 4 when it exists.
---@param name string
---@param config table?
---@param callback (fun(config: table?, err: stream_events.Error?))?
---@return table? config
---@return stream_events.Error? err
function methods:create_channel_type(name, config, callback)
  if type(config) == "function" then config, callback = nil, config end
  local call = self.context.tasks:begin(callback)
  type_path(name, 2)
  local body = type_config(config or {}, 2)
  body.name = name
  return ask(self, call, { method = "POST", path = "/channeltypes", as = "server", body = body },
    whole)
end

--- Changes the given settings of a channel type, { custom_events = false } for example, and leaves
--- the others as they are (protocol §7.1). Errors: code 16 no such type, 4 a setting it does not know.
---@param name string
---@param config table
---@param callback (fun(config: table?, err: stream_events.Error?))?
---@return table? config all of it
---@return stream_events.Error? err
function methods:update_channel_type(name, config, callback)
  local call = self.context.tasks:begin(callback)
  return ask(self, call, {
    method = "PUT", path = type_path(name, 2), as = "server", body = type_config(config, 2),
  }, whole)
end

--- Deletes a channel type that has no channels.
---@param name string
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:delete_channel_type(name, callback)
  local call = self.context.tasks:begin(callback)
  return ask(self, call, { method = "DELETE", path = type_path(name, 2), as = "server" }, done)
end

-- App ---------------------------------------------------------------------------------------------

--- The settings of the app; without a secret only the few that users may see (protocol §9.3).
---@param callback (fun(app: table?, err: stream_events.Error?))?
---@return table? app
---@return stream_events.Error? err
function methods:get_app(callback)
  local call = self.context.tasks:begin(callback)
  return ask(self, call, { method = "GET", path = "/app", as = "backend" }, member "app")
end

--- Changes the given settings of the app.
---@param settings table
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:update_app(settings, callback)
  local call = self.context.tasks:begin(callback)
  expect_table(settings, "settings", 2)
  expect_json(settings, "settings", 2)
  return ask(self, call, { method = "PATCH", path = "/app", as = "server", body = settings }, done)
end

-- Channels ----------------------------------------------------------------------------------------

-- The channel objects of an answer, up to date; watched ones are so from now on.
local function take_channels(context, answer, connection_id)
  local list = {}
  for _, item in ipairs(answer.channels) do
    local fields = type(item) == "table" and item.channel
    if type(fields) == "table" and names.channel_type(fields.type) and names.channel_id(fields.id) then
      local cid = names.cid(fields.type, fields.id)
      local channel = context.channels[cid] or channels.new(context, fields.type, fields.id)
      context.channels[cid] = channel
      channel_state.apply_answer(channel, item)
      if connection_id then context.recovery:watched(channel, connection_id) end
      list[#list + 1] = channel
    end
  end
  return list
end

--- Finds channels, at most 30 at a time, and watches them where `watch` says so (protocol §4.4).
---@param filter table? { cid = { ["$in"] = { "messaging:general" } } }
---@param options { sort: table[]?, limit: integer?, offset: integer?, watch: boolean? }|function|nil
---@param callback (fun(channels: stream_events.Channel[]?, err: stream_events.Error?))?
---@return stream_events.Channel[]? channels
---@return stream_events.Error? err
function methods:query_channels(filter, options, callback)
  if type(options) == "function" then options, callback = nil, options end
  local context = self.context
  local call = context.tasks:begin(callback)
  local body = query_body(filter, options, 2)
  local connection_id = body.watch and context.identity.connection_id or nil
  if body.watch and not connection_id then
    return context.tasks:fail(call, errors.new {
      kind = context.session:at_rest() and "closed" or "network",
      message = "watching needs a connection",
    })
  end
  body.state = true
  return ask(self, call, {
    method = "POST", path = "/channels", as = "acting", body = body, connection = body.watch,
  }, function(answer)
    if type(answer.channels) ~= "table" then return nil end
    return take_channels(context, answer, connection_id)
  end)
end

--- What happened in channels since a point in time: channel, message and reaction events, as tables.
--- Custom events are not kept by the service, so none are among them (protocol §3.10).
---@param cids string[] at most 255
---@param last_sync_at string RFC 3339
---@param callback (fun(events: table[]?, err: stream_events.Error?))?
---@return table[]? events
---@return stream_events.Error? err
function methods:sync(cids, last_sync_at, callback)
  local call = self.context.tasks:begin(callback)
  expect_table(cids, "cids", 2)
  for _, cid in ipairs(cids) do
    local ok, message = names.split_cid(cid)
    if not ok then error(message, 2) end
  end
  if type(last_sync_at) ~= "string" then
    error("last_sync_at must be a time like 2026-01-01T00:00:00Z", 2)
  end
  return ask(self, call, {
    method = "POST", path = "/sync", as = "acting", connection = true,
    body = { channel_cids = channel_state.list(cids), last_sync_at = last_sync_at },
  }, member "events")
end

return M
