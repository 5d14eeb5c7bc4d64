--- GET and PATCH /app: the settings of the app; GET /hook/events: what webhooks can be about.
local connect = require "stream_events.server.routes.connect"
local hook_settings = require "stream_events.server.hook_settings"
local native = require "stream_events.native"

local function get(context)
  local server = context.server
  if context.caller.kind == "server" then
    return 200, { app = server.app:describe(server.channel_types) }
  end
  return 200, { app = server.app:public() }
end

local function update(context)
  local server = context.server
  local before = server.permissions:frozen()
  local ok, failure = server.app:update(context.body)
  if not ok then return nil, failure end
  server.webhooks:configure()
  if context.body.disable_permissions_checks ~= nil then server.rights:everywhere(before) end
  if context.body.revoke_tokens_issued_before ~= nil or context.body.disable_auth_checks ~= nil then
    connect.expel_refused(server, server.connections.by_number)
  end
  return 200, {}
end

local function hook_events()
  local events = native.json.array {}
  for i, name in ipairs(hook_settings.TYPES) do
    events[i] = { name = name, description = "", products = native.json.array { "chat" } }
  end
  return 200, { events = events }
end

return {
  { "GET", "/app", endpoint = "GetApp", handler = get },
  { "PATCH", "/app", endpoint = "UpdateApp", access = "server", handler = update },
  { "GET", "/hook/events", endpoint = "GetHookEvents", access = "server", handler = hook_events },
}
