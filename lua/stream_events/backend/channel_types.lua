--- Channel types: their settings, the custom-events switch among them (protocol §7). For backends only.
local calls = require "stream_events.backend.call"
local grant_lists = require "stream_events.backend.grant_lists"
local names = require "stream_events.names"
local url = require "stream_events.url"

local M = { methods = {} }

---@class stream_events.Client
local methods = M.methods

local function type_path(name, level)
  local ok, message = names.channel_type(name)
  if not ok then error(message, level + 1) end
  return url.path("channeltypes", name)
end

-- Lists of grants and commands stay lists when they are empty.
local function type_config(config, level)
  calls.expect_table(config, "a configuration", level + 1)
  local body = {}
  for name, value in pairs(config) do body[name] = value end
  body.commands = calls.as_list(body.commands)
  if type(body.grants) == "table" then body.grants = grant_lists.copy(body.grants) end
  calls.expect_json(body, "a configuration", level + 1)
  return body
end

--- All channel types with their configuration (protocol §7).
---@param callback (fun(types: table<string, table>?, err: stream_events.Error?))?
---@return table<string, table>? types by name
---@return stream_events.Error? err kind "auth": made without the secret; else as of every call
function methods:list_channel_types(callback)
  local call = self.context.tasks:begin(callback)
  return calls.ask(self, call, { method = "GET", path = "/channeltypes", as = "server" },
    calls.member "channel_types")
end

--- The configuration of a channel type. Errors: code 16 no such type.
---@param name string
---@param callback (fun(config: table?, err: stream_events.Error?))?
---@return table? config
---@return stream_events.Error? err
function methods:get_channel_type(name, callback)
  local call = self.context.tasks:begin(callback)
  return calls.ask(self, call, { method = "GET", path = type_path(name, 2), as = "server" }, calls.whole)
end

--- Creates a channel type. Custom events are on unless the configuration says otherwise. Errors:
--- code 4 when it exists.
---@param name string
---@param config table?
---@param callback (fun(config: table?, err: stream_events.Error?))?
---@return table? config
---@return stream_events.Error? err
function methods:create_channel_type(name, config, callback)
  config, callback = calls.optional(config, callback)
  local call = self.context.tasks:begin(callback)
  type_path(name, 2)
  local body = type_config(config or {}, 2)
  body.name = name
  return calls.ask(self, call, { method = "POST", path = "/channeltypes", as = "server", body = body },
    calls.whole)
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
  return calls.ask(self, call, {
    method = "PUT", path = type_path(name, 2), as = "server", body = type_config(config, 2),
  }, calls.whole)
end

--- Deletes a channel type that has no channels. Errors: code 16 no such type, 4 it has channels.
---@param name string
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:delete_channel_type(name, callback)
  local call = self.context.tasks:begin(callback)
  return calls.ask(self, call, { method = "DELETE", path = type_path(name, 2), as = "server" },
    calls.done)
end

return M
