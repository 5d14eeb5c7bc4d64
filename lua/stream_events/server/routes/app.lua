--- GET and PATCH /app: the settings of the app.
local function get(context)
  local server = context.server
  if context.caller.kind == "server" then
    return 200, { app = server.app:describe(server.channel_types) }
  end
  return 200, { app = server.app:public() }
end

local function update(context)
  local ok, failure = context.server.app:update(context.body)
  if not ok then return nil, failure end
  return 200, {}
end

return {
  { "GET", "/app", endpoint = "GetApp", handler = get },
  { "PATCH", "/app", endpoint = "UpdateApp", access = "server", handler = update },
}
