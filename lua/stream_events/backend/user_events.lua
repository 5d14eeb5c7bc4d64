--- Events that a backend sends to users (protocol §6).
local calls = require "stream_events.backend.call"
local errors = require "stream_events.error"
local plain_json = require "stream_events.plain_json"
local send_options = require "stream_events.send_options"
local url = require "stream_events.url"

local M = { methods = {} }

---@class stream_events.Client
local methods = M.methods

local function settle(call, err, status, body)
  local sender, gate = call.context.sender, call.gate
  local failure
  if err then
    failure = sender:failed(call, err)
    if not failure then return end
  elseif type(plain_json.decode(body)) ~= "table" then
    failure = errors.new {
      kind = "protocol", status = status, message = "the answer is not the service's JSON",
    }
  end
  call:finish(not failure or nil, failure)
  if gate.queue then sender:answered(call, not err) end
end

-- What all of them have in common: the backend's token is the same for ever.
local function class_of(context)
  local class = context.user_event_class
  if class then return class end
  local gate = context.sender.gates.to_users
  local common = {
    method = "POST", settle = settle, context = context, gate = gate, pace = gate.pace, priority = 2,
    prepare = function() return true end,
  }
  local _, err = context.api:sign(common, "server")
  if err then return nil, err end
  common.query = context.identity:query(true)
  context.user_event_class = context.tasks:class(common)
  return context.user_event_class
end

--- Sends a custom event to a user: to every connection of theirs, watching or not (protocol §6). Where its
--- rate is used up, or the service refused it for its rate, it waits, as Channel:send_event does. With the
--- option queue it also waits while the server cannot be reached.
---
--- Errors: kind "auth" without a secret; code 16 no such user; 4 a type with a `.`; kinds "protocol", "full",
--- "rule", "network", "timeout" and "closed", and `maybe_sent`, as Channel:send_event.
---@param user_id string
---@param event table type, and the event's own fields
---@param options stream_events.SendOptions|function|nil a callback may stand in their place
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:send_user_custom_event(user_id, event, options, callback)
  options, callback = calls.optional(options, callback)
  if options ~= nil then
    calls.options(options, send_options.KNOWN, 2)
    send_options.check(options, 2)
  end
  local context = self.context
  calls.expect_user_id(user_id, 2)
  calls.expect_table(event, "an event", 2)
  if not context.sender then require("stream_events.sender").begin(context) end
  local class, err = class_of(context)
  local call = context.tasks:begin(callback, class)
  local data = {}
  for name, value in pairs(event) do
    if name ~= "type" then data[name] = value end
  end
  local body, refusal = context.encoder:encode(event.type, data, nil, 2)
  if context.rules then
    body, refusal = context.encoder:ruled(body, refusal, context.rules, { trust = "server" })
  end
  if not body or not class then return context.tasks:fail(call, refusal or err) end
  local path = url.path("users", user_id, "event")
  call.body, call.url = body, context.api.base .. path .. "?" .. class.__index.query
  if options then send_options.apply(call, options, path, nil, context.options.timeouts) end
  context.sender:send(call)
  return context.tasks:wait(call)
end

return M
