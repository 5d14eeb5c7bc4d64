--- Event hooks: where the service posts copies of events to (protocol §10.1). For backends only.
-- The service takes the list of hooks as a whole; here one of them is added, changed or removed, and
-- the others go back as they were read.
local calls = require "stream_events.backend.call"
local channel_state = require "stream_events.channel_state"
local errors = require "stream_events.error"
local native = require "stream_events.native"

local M = { methods = {} }

---@class stream_events.Client
local methods = M.methods
local array, null = native.json.array, native.json.null
local NOT_FOUND = 16

local function reading()
  return { method = "GET", path = "/app", as = "server" }
end

local function hooks_of(answer)
  local app = type(answer.app) == "table" and answer.app
  if not app then return nil end
  return type(app.event_hooks) == "table" and app.event_hooks or array {}
end

--- All event hooks.
---@param callback (fun(hooks: table[]?, err: stream_events.Error?))?
---@return table[]? hooks id, webhook_url, enabled, event_types, should_send_custom_events, ...
---@return stream_events.Error? err kind "auth": made without the secret; else as of every call
function methods:list_event_hooks(callback)
  local call = self.context.tasks:begin(callback)
  return calls.ask(self, call, reading(), hooks_of)
end

--- The event types that hooks can be about, beside custom ones.
---@param callback (fun(events: table[]?, err: stream_events.Error?))?
---@return table[]? events name, description, products
---@return stream_events.Error? err kind "auth": made without the secret; else as of every call
function methods:list_hook_events(callback)
  local call = self.context.tasks:begin(callback)
  return calls.ask(self, call, { method = "GET", path = "/hook/events", as = "server" },
    calls.member "events")
end

-- A hook as it is sent. The list of types stays one when it is empty, which stands for all.
local function hook_body(hook, level)
  calls.expect_table(hook, "a hook", level + 1)
  local body = {}
  for name, value in pairs(hook) do body[name] = value end
  if body.webhook_url ~= nil then calls.expect_text(body.webhook_url, "'webhook_url'", level + 1) end
  if body.event_types ~= nil and body.event_types ~= null then
    calls.expect_table(body.event_types, "'event_types'", level + 1)
    body.event_types = calls.as_list(body.event_types)
  end
  calls.expect_json(body, "a hook", level + 1)
  return body
end

-- Reads the list, lets `change(list)` make the new one, and writes it. change gives the hook it is
-- about, or nil and an error.
local function change(self, call, change_list)
  return calls.change(self, call, "event hooks", reading(), function(answer)
    local hooks = hooks_of(answer)
    if not hooks then
      return errors.fail("protocol", "the answer lacks the settings of the app")
    end
    local list = channel_state.list(hooks)
    local hook, err = change_list(list)
    if not hook then return nil, err end
    return {
      method = "PATCH", path = "/app", as = "server", body = { event_hooks = list },
    }, function() return hook end
  end)
end

local function find(list, id)
  for i, hook in ipairs(list) do
    if type(hook) == "table" and hook.id == id then return i, hook end
  end
  return errors.fail("api", ("there is no event hook with the id %q"):format(id), {
    code = NOT_FOUND, status = 404,
    hint = "client:list_event_hooks gives the hooks there are, with their ids.",
  })
end

--- Adds an event hook. What is not given is the service's default; custom events come only where
--- `should_send_custom_events` is true. Errors: code 4 a field it does not understand.
---@param hook table webhook_url, event_types (empty: all), should_send_custom_events, enabled, timeout_ms
---@param callback (fun(hook: table?, err: stream_events.Error?))?
---@return table? hook as it was sent, with the id it has from now on
---@return stream_events.Error? err
function methods:add_event_hook(hook, callback)
  local call = self.context.tasks:begin(callback)
  local new = hook_body(hook, 2)
  calls.expect_text(new.webhook_url, "'webhook_url'", 2)
  if new.id ~= nil then calls.expect_name(new.id, "the id of a hook", 2) end
  new.id = new.id or native.crypto.uuid()
  new.hook_type = new.hook_type or "webhook"
  if new.enabled == nil then new.enabled = true end
  return change(self, call, function(list)
    if find(list, new.id) then
      return errors.fail("api", ("there is an event hook with the id %q already"):format(new.id),
        { code = 4, status = 400 })
    end
    list[#list + 1] = new
    return new
  end)
end

--- Changes the given fields of an event hook; null takes one back to its default. Errors: code 16 no
--- such hook, 4 a field it does not understand.
---@param id string
---@param changes table
---@param callback (fun(hook: table?, err: stream_events.Error?))?
---@return table? hook
---@return stream_events.Error? err
function methods:update_event_hook(id, changes, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_name(id, "the id of a hook", 2)
  local body = hook_body(changes, 2)
  if body.id ~= nil and body.id ~= id then error("the id of a hook cannot be changed", 2) end
  return change(self, call, function(list)
    local at, old = find(list, id)
    if not at then return nil, old end
    local new = {}
    for name, value in pairs(old) do new[name] = value end
    for name, value in pairs(body) do
      new[name] = value
      if value == null then new[name] = nil end
    end
    list[at] = new
    return new
  end)
end

--- Removes an event hook. What waits for it is given up. Errors: code 16 no such hook.
---@param id string
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:remove_event_hook(id, callback)
  local call = self.context.tasks:begin(callback)
  calls.expect_name(id, "the id of a hook", 2)
  return change(self, call, function(list)
    local at, err = find(list, id)
    if not at then return nil, err end
    table.remove(list, at)
    return true
  end)
end

return M
