--- Sending custom events to one channel: each costs one small table, whatever it has in common with
-- the others is prepared once.
local capabilities = require "stream_events.capabilities"
local errors = require "stream_events.error"
local names = require "stream_events.names"
local native = require "stream_events.native"

local M = { methods = {} }

---@class stream_events.Channel
local methods = M.methods

-- The answer holds the event as it was distributed.
local function settle_sent(call, err, _, body)
  if err and call.repeats and err.kind == "network" then
    call.repeats = call.repeats > 1 and call.repeats - 1 or nil
    return call.context.api:send(call)
  elseif err then
    capabilities.refused(call.channel, err, call.body)
    return call:finish(nil, err)
  end
  call:finish(native.event.new(body, call.event_options))
end

-- What the sends of this channel have in common, as a class of calls: it holds as long as the client
-- is the same user with the same token.
local function new_sending(self, as)
  local context = self.context
  if not self.path then
    return errors.fail("protocol", "the channel has no id yet: query or watch it first")
  end
  local common = {
    method = "POST", settle = settle_sent, timeout = context.api.timeout, channel = self,
    context = context,
  }
  local server, err = context.api:sign(common, as)
  if err then return nil, err end
  common.url = context.api.base .. self.path .. "/event?" .. context.identity:query(server)
  common.prepared = context.transport:prepare(common)
  common.event_options = { member = "event", self = not server and context.identity.user_id or nil }
  return context.tasks:class(common)
end

local function sending(self, as)
  local generation = self.context.identity.generation
  if self.prepared_for ~= generation then
    self.prepared, self.prepared_for = {}, generation
  end
  local class, err = self.prepared[as], nil
  if not class then
    class, err = new_sending(self, as)
    self.prepared[as] = class
  end
  return class, err
end

local SEND_OPTIONS = { user_id = true, id = true, idempotent = true }
local REPEATS = 2 -- of a send whose connection broke
local MOST_ID = 64 -- bytes

local function check_id(id, level)
  if type(id) ~= "string" or #id < 1 or #id > MOST_ID or id:find("%c") then
    error(("the id of an event must be a string of 1 to %d bytes without control characters")
      :format(MOST_ID), level + 1)
  end
end

local function check_options(options, level)
  if type(options) ~= "table" then
    error("options must be a table, not a " .. type(options), level + 1)
  end
  for name in pairs(options) do
    if not SEND_OPTIONS[name] then error("unknown option '" .. tostring(name) .. "'", level + 1) end
  end
  -- An empty one is a mistake, too: what was to stand in it was nil.
  if options.user_id ~= nil or next(options) == nil then
    local ok, message = names.user_id(options.user_id)
    if not ok then error(message, level + 1) end
  end
  if options.id ~= nil then check_id(options.id, level + 1) end
  if options.idempotent ~= nil and type(options.idempotent) ~= "boolean" then
    error("option 'idempotent' must be true or false", level + 1)
  end
end

-- The id that makes a send safe to repeat; nil: it has none.
local function repeat_id(options)
  return options.id or (options.idempotent and native.crypto.uuid()) or nil
end

-- The body as the client's own rules let it out: everyone else will judge it likewise.
local function by_rules(self, body, err, sender)
  local context = self.context
  local me = context.identity.me
  return context.encoder:ruled(body, err, context.rules, {
    trust = "any", sender = sender or context.identity.user_id,
    role = not sender and me and type(me.role) == "string" and me.role or nil,
    cid = self.cid, channel_type = self.type,
  })
end

--- Sends a custom event to everyone who watches the channel, this client included (protocol §5).
--- The result is the event as it was distributed. It needs no watch. Events that are sent without
--- waiting for the answer of the one before may overtake each other.
---
--- Errors: code 18 custom events are off for the channel type, or the type belongs to the service;
--- 17 this user may not; 16 no such channel; kind "protocol" for a type that is none and for data
--- under a name that the service uses itself; kind "full" for more than 5 KiB; kind "rule", with reason
--- and rule, when this client's own rules refuse it. Data that is no JSON (functions, NaN, mixed tables)
--- raises.
---
--- With an id a send can be repeated safely, by the program or, when the connection broke on the way, by
--- the client itself: where the channel type says that ids count (`config.custom_event_ids`, of the
--- bundled server), an event with an id that this user has sent to this channel before is not delivered
--- again, and the answer is the event of the first send. Elsewhere the id is a field like any other.
---@param event_type string
---@param data table? the event's own fields
---@param options { user_id: string?, id: string?, idempotent: boolean? }|function|nil user_id: backends
---  say here for whom they send; id: 1 to 64 bytes, the field `id` of the event; idempotent: an id is made
---  up; a callback may stand in the place of options
---@param callback (fun(event: stream_events.Event?, err: stream_events.Error?))?
---@return stream_events.Event? event
---@return stream_events.Error? err
function methods:send_event(event_type, data, options, callback)
  if type(options) == "function" then options, callback = nil, options end
  if options ~= nil then check_options(options, 2) end
  local sender, id
  if options then sender, id = options.user_id, repeat_id(options) end
  local context = self.context
  local tasks = context.tasks
  local class, err = sending(self, sender and "server" or "acting")
  local call = tasks:begin(callback, class)
  local body, refusal = context.encoder:encode(event_type, data, sender, 2, id)
  if context.rules and not err then body, refusal = by_rules(self, body, refusal, sender) end
  if not body or err then return tasks:fail(call, refusal or err) end
  call.body = body
  context.recovery:use(self)
  if id and self.config and self.config.custom_event_ids == true then call.repeats = REPEATS end
  context.api:send(call)
  return tasks:wait(call)
end

return M
