--- One channel as a client sees it: watching it, and subscribing to its events.
local capabilities = require "stream_events.capabilities"
local dispatch = require "stream_events.dispatch"
local errors = require "stream_events.error"
local lazy = require "stream_events.lazy"
local names = require "stream_events.names"
local sending = require "stream_events.channel_send"
local state = require "stream_events.channel_state"
local subscription = require "stream_events.subscription"
local turns = require "stream_events.turns"
local url = require "stream_events.url"

local M = {}

--- A channel. Every call comes in three forms: with a last argument `callback(result, err)` it
--- returns at once, inside a handler it suspends the handler, anywhere else it runs the client's
--- loop until the answer is there. What fails as expected gives `nil, err`; misuse raises.
---@class stream_events.Channel
---@field type string channel type
---@field id string? nil for a distinct channel that has not been queried
---@field cid string? type:id
---@field data table its fields as the service last sent them; before that what it is created with
---@field config table? of its channel type, from the last query
---@field members table<string, table> member objects by user id, those that the service sent
---@field membership table? this user's own member object
---@field own_capabilities string[]? what this user may do here, as far as it is known
---@field watcher_count integer? from the last query
---@field watched_at string? since when this connection watches, where the server keeps its events
---@field package used integer? when it was used last, as a count of all uses
---@field watching boolean whether its events come in (again after every reconnect)
---@field client stream_events.Client
local Channel = { __name = "stream_events.channel" }
Channel.__index = Channel

for name, method in pairs(sending.methods) do Channel[name] = method end
lazy.methods(Channel, "stream_events.", {
  channel_changes = "get update_partial update delete add_members remove_members assign_role "
    .. "get_grant_overrides set_grant_overrides",
})

function Channel:__tostring()
  return "channel " .. (self.cid or self.type .. " (no id yet)")
end

local function set_id(self, id)
  self.id, self.cid = id, names.cid(self.type, id)
  self.path = url.path("channels", self.type, id)
  self.scope = self.context.registry:bind(self.scope, self.cid)
end

---@param context table of the client
---@param channel_type string
---@param id string?
---@param data table?
---@return stream_events.Channel
function M.new(context, channel_type, id, data)
  local self = setmetatable({
    context = context, client = context.client,
    type = channel_type, creation = data or {}, data = data or {},
    members = {}, watching = false,
  }, Channel)
  self.scope = dispatch.scope(self)
  if id then set_id(self, id) end
  return self
end

--- Replaces what the channel is created with, as long as it has not been queried.
---@package
---@param data table
function Channel:create_with(data)
  self.creation = data
  if not self.config then self.data = data end
end

--- Whether this user may do something here, by the last query and what the service has said since.
--- Takes the names of capabilities (`send-custom-events`) and those of permissions
--- (`send-custom-event`) alike. Nil when the channel has not been queried as a user (protocol §8.6).
---@param capability string
---@return boolean?
function Channel:can(capability)
  if type(capability) ~= "string" then
    error("a capability must be a string, not a " .. type(capability), 2)
  end
  local set = self.capability_set
  if not set then return nil end
  return set[capability] == true or set[capability .. "s"] == true
    or set[(capability:gsub("s$", ""))] == true
end

-- Queries -----------------------------------------------------------------------------------------

-- The data of a request: lists in it stay lists when they are empty.
local function creation_data(self)
  local data = {}
  for name, value in pairs(self.creation) do data[name] = value end
  for _, name in ipairs { "members", "invites" } do
    if type(data[name]) == "table" then data[name] = state.list(data[name]) end
  end
  return next(data) ~= nil and data or nil
end

--- Takes over the answer of a query: the id of a distinct channel, and all that is in it.
---@package
---@param answer table
---@return true? ok
---@return stream_events.Error? err
function Channel:take_answer(answer)
  if not self.id then
    local fields = type(answer.channel) == "table" and answer.channel
    if not fields or not names.channel_id(fields.id) then
      return errors.fail("protocol", "the answer of the query names no channel")
    end
    set_id(self, fields.id)
    local channels = self.context.channels
    channels[self.cid] = channels[self.cid] or self
  end
  if state.apply_answer(self, answer) then capabilities.announce(self) end
  return true
end

-- Queries the channel; receive(ok, err) after its state has been taken over.
local function query(self, options, receive)
  local body = {
    data = options.creates and creation_data(self) or nil, state = options.state, watch = options.watch,
    presence = options.presence or false,
  }
  self.context.api:call({
    method = "POST", as = "acting", body = body, connection = options.watch,
    pace = self.context.paces:of "GetOrCreateChannel",
    path = (self.path or url.path("channels", self.type)) .. "/query",
  }, function(answer, err)
    if not answer then return receive(nil, err) end
    receive(self:take_answer(answer))
  end)
end

local function offline(self)
  if self.context.closed then return self.context.closed end
  if self.context.session:at_rest() then
    return errors.new {
      kind = "closed", message = "watching needs a connection: call connect_user first",
    }
  end
  return errors.new {
    kind = "network", message = "not connected at the moment",
    hint = "Wait for connection.recovered, or for connection.changed with online = true.",
  }
end

local function session_over()
  return errors.new { kind = "closed", message = "disconnected meanwhile: the watch has ended with that" }
end

-- Watching, and no longer watching, the same channel: one call after the other, since two at once may
-- overtake each other, and what was wanted last would not be what the service does.
local function in_turn(self, receive, begin)
  turns.take(self.context, self, function(next_one)
    begin(function(ok, err)
      receive(ok, err)
      next_one()
    end)
  end)
end

-- Queries with a watch that is bound to the present connection. Where that is another one by the answer, the
-- watch went with the one before: events would be missing, and nobody told, until it was made again.
local function watch(self, presence, receive)
  local connection_id = self.context.identity.connection_id
  if not connection_id then return receive(nil, offline(self)) end
  local recovery = self.context.recovery
  local era = recovery.era
  recovery:expect()
  query(self, { creates = true, state = true, watch = true, presence = presence }, function(ok, err)
    local current = self.context.identity.connection_id
    local is_over = recovery.era ~= era
    local is_bound = ok and not is_over and (current == nil or current == connection_id)
    if is_bound then
      self.presence = presence
      recovery:watched(self)
    end
    recovery:settled(err)
    if ok and is_over then return receive(nil, session_over()) end
    if ok and not is_bound then return watch(self, presence, receive) end
    receive(ok, err)
  end)
end

local function watch_in_turn(self, presence, receive)
  self.being_watched = (self.being_watched or 0) + 1
  in_turn(self, function(ok, err)
    self.being_watched = self.being_watched > 1 and self.being_watched - 1 or nil
    receive(ok, err)
  end, function(done) watch(self, presence, done) end)
end

--- Has the present connection no longer watch.
---@package
---@param receive fun(ok: true?, err: stream_events.Error?)
function Channel:leave(receive)
  local context = self.context
  context.recovery:forget(self)
  in_turn(self, receive, function(done)
    context.recovery:forget(self) -- a watch was still under way
    -- Without a connection its watches have ended.
    if not self.path or not context.identity.connection_id then return done(true) end
    context.api:call({
      method = "POST", as = "acting", body = "{}", connection = true, path = self.path .. "/stop-watching",
    }, function(answer, err) done(answer and true or nil, err) end)
  end)
end

--- Watches again after a reconnect, without data to create it with.
---@package
---@param receive fun(ok: true?, err: stream_events.Error?)
function Channel:watch_again(receive)
  query(self, { state = true, watch = true, presence = self.presence }, receive)
end

--- Queries without watching, to learn what this user may do now; one query at a time.
---@package
function Channel:ask_again()
  if self.asking then return end
  self.asking = true
  query(self, { state = true, watch = false }, function(ok, err)
    self.asking = nil
    if ok then return end
    self.context.log("warning", "what may be done in a channel is not known for certain",
      { cid = self.cid, error = tostring(err) })
  end)
end

local function finish_with_self(self, call)
  return function(ok, err) call:finish(ok and self or nil, err) end
end

local function check_watch_options(options, level)
  if type(options) ~= "table" then
    error("options must be a table, not a " .. type(options), level + 1)
  end
  for name, value in pairs(options) do
    if name ~= "presence" then error("unknown option '" .. tostring(name) .. "'", level + 1) end
    if type(value) ~= "boolean" then error("option 'presence' must be true or false", level + 1) end
  end
end

--- Starts to receive the channel's events, and goes on after reconnects. Creates the channel if it
--- is missing and this user may (protocol §4.2). Errors: code 17 no permission, 16 no such channel
--- type, kind "network" while offline.
---
--- With `presence` the events user.presence.changed come as well, to the client: when a member comes
--- online, or goes.
---@param options { presence: boolean? }|function|nil a callback may stand in their place
---@param callback (fun(channel: stream_events.Channel?, err: stream_events.Error?))?
---@return stream_events.Channel? self
---@return stream_events.Error? err
function Channel:watch(options, callback)
  if type(options) == "function" then options, callback = nil, options end
  if options ~= nil then check_watch_options(options, 2) end
  local tasks = self.context.tasks
  local call = tasks:begin(callback)
  watch_in_turn(self, options and options.presence or false, finish_with_self(self, call))
  return tasks:wait(call)
end

--- Reads the channel's state without watching it, and creates it as watch() does. A backend has to
--- name `created_by_id` in the data of a channel that does not exist yet.
---@param callback (fun(channel: stream_events.Channel?, err: stream_events.Error?))?
---@return stream_events.Channel? self
---@return stream_events.Error? err code 17 not allowed; 16 no such channel type; 4 data that the
---  service does not take
function Channel:query(callback)
  local tasks = self.context.tasks
  local call = tasks:begin(callback)
  self.context.recovery:use(self)
  query(self, { creates = true, state = true, watch = false }, finish_with_self(self, call))
  return tasks:wait(call)
end

--- Creates the channel if it is missing, without reading its state.
---@param callback (fun(channel: stream_events.Channel?, err: stream_events.Error?))?
---@return stream_events.Channel? self
---@return stream_events.Error? err as of query()
function Channel:create(callback)
  local tasks = self.context.tasks
  local call = tasks:begin(callback)
  query(self, { creates = true, state = false, watch = false }, finish_with_self(self, call))
  return tasks:wait(call)
end

--- Ends the watch (protocol §4.3). Subscriptions stay, and get events again after the next watch().
--- This and watch() are done one after the other, in the order of the calls.
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err as of every call: kind "network", "timeout", "closed"; the watch is not
---  renewed in any case
function Channel:stop_watching(callback)
  local tasks = self.context.tasks
  local call = tasks:begin(callback)
  self:leave(function(ok, err) call:finish(ok, err) end)
  return tasks:wait(call)
end

-- Subscribing -------------------------------------------------------------------------------------

-- Of the events that a client makes itself only this one belongs to a channel.
local function refuse_client_events(made, level)
  for _, name in ipairs(made.types) do
    if dispatch.class(name) == "local" and name ~= "capabilities.changed" then
      error(("'%s' belongs to the client: client:subscribe_for(%q, handler)"):format(name, name),
        level + 1)
    end
  end
end

local function subscribe(self, made)
  refuse_client_events(made, 3)
  self.context.registry:add(self.scope, made)
  self.context.look_for_unwatched()
  return made
end

--- Calls a handler for every event of these types in this channel: exact types, and patterns like
--- "trade_*" for all types that begin so (built-in types only where the pattern itself holds a '.').
--- An event that several of them name is handled once. Handlers may wait, send, subscribe, dispose
--- and close the client; one that raises is logged and harms no other.
---@param types string|string[]
---@param handler stream_events.Handler
---@return stream_events.Disposable
function Channel:subscribe_for(types, handler)
  if types == nil then error("event types expected", 2) end
  local made = subscribe(self, subscription.new(types, handler, 2))
  return made
end

--- Like subscribe_for, but ends by itself with the first event.
---@param types string|string[]
---@param handler stream_events.Handler
---@return stream_events.Disposable
function Channel:subscribe_for_single(types, handler)
  if types == nil then error("event types expected", 2) end
  local made = subscribe(self, subscription.single(subscription.new(types, handler, 2)))
  return made
end

--- Calls a handler for every custom event in this channel.
---@param handler stream_events.Handler
---@return stream_events.Disposable
function Channel:subscribe(handler)
  local made = subscribe(self, subscription.new(nil, handler, 2))
  return made
end

return M
