--- The app: its settings and its rate limits (protocol §9.3, §12.2).
local calls = require "stream_events.backend.call"
local grant_lists = require "stream_events.backend.grant_lists"
local url = require "stream_events.url"

local M = { methods = {} }

---@class stream_events.Client
local methods = M.methods
local PLATFORMS = { "server_side", "android", "ios", "web", "unity" }

--- The settings of the app; without a secret only the few that users may see (protocol §9.3).
---@param callback (fun(app: table?, err: stream_events.Error?))?
---@return table? app
---@return stream_events.Error? err kind "closed": neither secret nor user; else as of every call
function methods:get_app(callback)
  local call = self.context.tasks:begin(callback)
  return calls.ask(self, call, { method = "GET", path = "/app", as = "backend" }, calls.member "app")
end

-- Settings whose lists stay lists when they are empty.
local function settings_body(settings, level)
  calls.expect_table(settings, "settings", level + 1)
  local body = {}
  for name, value in pairs(settings) do body[name] = value end
  for _, name in ipairs { "event_hooks", "webhook_events" } do
    body[name] = calls.as_list(body[name])
  end
  if type(body.grants) == "table" then body.grants = grant_lists.copy(body.grants) end
  calls.expect_json(body, "settings", level + 1)
  return body
end

--- Changes the given settings of the app. `event_hooks` is replaced as a whole: add_event_hook and its
--- siblings change one of them. Errors: code 4 a setting it does not know, or a value it cannot have.
---@param settings table
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err
function methods:update_app(settings, callback)
  local call = self.context.tasks:begin(callback)
  return calls.ask(self, call,
    { method = "PATCH", path = "/app", as = "server", body = settings_body(settings, 2) }, calls.done)
end

local function expect_endpoint(value, level)
  calls.expect_name(value, "an endpoint", level + 1)
end

--- The rate limits, and what is left of them (protocol §12.2).
---@param options table? endpoints: list of names ("SendEvent", "Connect"), nil: all; and switches:
---  server_side, android, ios, web, unity; none of them: all
---@param callback (fun(limits: table<string, table>?, err: stream_events.Error?))?
---@return table<string, table<string, table>>? limits platform to endpoint to limit, remaining, reset
---@return stream_events.Error? err kind "auth": made without the secret; else as of every call
function methods:rate_limits(options, callback)
  options, callback = calls.optional(options, callback)
  local call = self.context.tasks:begin(callback)
  local known = { endpoints = "table" }
  for _, name in ipairs(PLATFORMS) do known[name] = "boolean" end
  local given = calls.options(options, known, 2)
  local parameters = {}
  for i, name in ipairs(PLATFORMS) do parameters[i] = { name, given[name] and "true" or nil } end
  if given.endpoints then
    local list = calls.list_of(given.endpoints, expect_endpoint, 2)
    if list[1] then parameters[#parameters + 1] = { "endpoints", table.concat(list, ",") } end
  end
  return calls.ask(self, call, {
    method = "GET", path = "/rate_limits", as = "server", query = url.query(parameters),
  }, calls.whole)
end

return M
