--- Sending custom events to one channel: each costs one small table, whatever it has in common with
-- the others is prepared once.
local capabilities = require "stream_events.capabilities"
local errors = require "stream_events.error"
local names = require "stream_events.names"
local native = require "stream_events.native"
local send_options = require "stream_events.send_options"

local M = { methods = {} }

local new_event = native.plain.new_event

---@class stream_events.Channel
local methods = M.methods

-- The answer holds the event as it was distributed.
local function settle_sent(call, err, _, body)
  local gate = call.gate
  if err then
    local failure = call.context.sender:failed(call, err)
    if not failure then return end
    capabilities.refused(call.channel, err, call.body)
    call:finish(nil, failure)
  else
    local event, kind, message = new_event(body, call.event_options)
    call:finish(event, kind and native.error(kind, message))
  end
  if gate.queue then call.context.sender:answered(call, not err) end
end

local sending

-- Makes a send that has waited one of whom the client is by now: of the token in use.
local function prepare(call)
  if call.gate.is_user and call.user_id ~= call.context.identity.user_id then
    return errors.fail("closed", "not sent: disconnected")
  end
  local class, err = sending(call.channel, call.as)
  if not class then return nil, err end
  if getmetatable(call) ~= class then
    call.headers, call.token, call.prepared, call.renewed = nil, nil, nil, nil
    setmetatable(call, class)
  end
  return true
end

-- What the sends of this channel have in common, whoever signs them.
local function new_common(self, as)
  local context = self.context
  local gates = context.sender.gates
  local gate = as == "acting" and context.identity.kind and gates.user or gates.backend
  return {
    method = "POST", settle = settle_sent, timeout = context.api.timeout, channel = self,
    context = context, as = as, user_id = context.identity.user_id, gate = gate, pace = gate.pace,
    priority = 2, prepare = prepare,
  }
end

-- As a class of calls: it holds as long as the client is the same user with the same token.
local function new_sending(self, as)
  local context = self.context
  if not self.path then
    return errors.fail("protocol", "the channel has no id yet: query or watch it first")
  end
  local common = new_common(self, as)
  local server, err = context.api:sign(common, as)
  if err then return nil, err end
  common.url = context.api.base .. self.path .. "/event?" .. context.identity:query(server)
  common.prepared = context.transport:prepare(common)
  common.event_options = { member = "event", self = not server and context.identity.user_id or nil }
  return context.tasks:class(common)
end

sending = function(self, as)
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

-- The class of a send that waits for the user's first token.
local function unsigned(self)
  local identity = self.context.identity
  if not (self.path and identity.kind) or identity.acting or self.context.closed then return nil end
  return self.context.tasks:class(new_common(self, "acting"))
end

---@class stream_events.ChannelSendOptions : stream_events.SendOptions
---@field user_id string? backends say here for whom they send
---@field id string? 1 to 64 bytes, the field `id` of the event
---@field idempotent boolean? an id is made up

local SEND_OPTIONS = { user_id = true, id = true, idempotent = true }
for name in pairs(send_options.KNOWN) do SEND_OPTIONS[name] = true end
local REPEATS = 2 -- of a send whose connection broke
local MOST_ID = 64 -- bytes

local function is_id(id)
  return type(id) == "string" and #id >= 1 and #id <= MOST_ID and not id:find("%c")
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
  if options.id ~= nil and not is_id(options.id) then
    error(("the id of an event must be a string of 1 to %d bytes without control characters")
      :format(MOST_ID), level + 1)
  end
  if options.idempotent ~= nil and type(options.idempotent) ~= "boolean" then
    error("option 'idempotent' must be true or false", level + 1)
  end
  send_options.check(options, level + 1)
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

-- Whether an event with an id arrives once, however often it is sent.
local function ids_count(self)
  return self.config ~= nil and self.config.custom_event_ids == true
end

-- The id of an event; made_up: nobody has asked for it, but it makes a send that waits safe to repeat.
local function id_of(self, data, options)
  if options.id then return options.id, false end
  if options.idempotent then return native.crypto.uuid(), false end
  local has_own = type(data) == "table" and data.id ~= nil
  if options.queue and not has_own and ids_count(self) then return native.crypto.uuid(), true end
  return nil, false
end

--- Sends a custom event to everyone who watches the channel, this client included (protocol §5).
--- The result is the event as it was distributed. It needs no watch.
---
--- A send goes out at once, and several at a time, which may overtake each other. It waits while
--- limits.in_flight calls are under way, while the service's rate is used up, and when the service refused
--- it for its rate: for timeouts.request at most, and it fails at once when that cannot be enough. The
--- options queue, priority, coalesce and max_age say otherwise; sends that have one of them go out one
--- after the other, in their order, in each channel and priority.
---
--- Errors: code 18 custom events are off for the channel type, or the type belongs to the service;
--- 17 this user may not; 16 no such channel; kind "protocol" for a type that is none and for data
--- under a name that the service uses itself; kind "rule", with reason and rule, when this client's own
--- rules refuse it; kind "network" while the user is offline, at once unless it is to wait; "timeout": it
--- has waited too long, or got no answer; "full": more than 5 KiB, too many wait, its turn would come too
--- late (with retry_after), or a newer one took its place (`superseded`); "closed": disconnected or closed
--- meanwhile. With `maybe_sent` it is not known whether the event has arrived. Data that is no JSON
--- (functions, NaN, mixed tables) raises.
---
--- With an id a send can be repeated safely, by the program or, when the connection broke on the way, by
--- the client itself: where the channel type says that ids count (`config.custom_event_ids`, of the
--- bundled server), an event with an id that this user has sent to this channel before is not delivered
--- again, and the answer is the event of the first send. Elsewhere the id is a field like any other. Where
--- ids count, a send with queue gets one by itself.
---@param event_type string
---@param data table? the event's own fields
---@param options stream_events.ChannelSendOptions|function|nil a callback may stand in their place
---@param callback (fun(event: stream_events.Event?, err: stream_events.Error?))?
---@return stream_events.Event? event
---@return stream_events.Error? err
function methods:send_event(event_type, data, options, callback)
  local sender, id, is_made_up
  if type(options) == "function" then options, callback = nil, options end
  if options ~= nil then
    check_options(options, 2)
    sender = options.user_id
    id, is_made_up = id_of(self, data, options)
  end
  local context = self.context
  if not context.sender then require("stream_events.sender").begin(context) end
  local tasks, encoder, rules = context.tasks, context.encoder, context.rules
  local class, err = sending(self, sender and "server" or "acting")
  if not class and options and options.queue then class = unsigned(self) end
  local call = tasks:begin(callback, class)
  local body, refusal = encoder:encode(event_type, data, sender, 2, id)
  if rules and class then body, refusal = by_rules(self, body, refusal, sender) end
  if is_made_up and not body and (refusal.kind == "rule" or refusal.kind == "full") then
    -- There is no room for it, or the rules want no id in the event: it goes without.
    id = nil
    body, refusal = encoder:encode(event_type, data, sender, 2)
    if rules and class then body, refusal = by_rules(self, body, refusal, sender) end
  end
  if not body or not class then return tasks:fail(call, refusal or err) end
  call.body = body
  context.recovery:use(self)
  if options then
    if ids_count(self) and (id or is_id(data and data.id)) then call.repeats = REPEATS end
    send_options.apply(call, options, self.path, sender, context.options.timeouts)
  end
  context.sender:send(call)
  return tasks:wait(call)
end

return M
