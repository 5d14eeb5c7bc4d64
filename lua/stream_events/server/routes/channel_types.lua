--- /channeltypes: the settings and grants of channel types, for backends.
local failures = require "stream_events.server.failure"

local PATH = "/channeltypes/{name}"

local function list(context)
  local types = context.server.channel_types
  local by_name = {}
  for _, channel_type in ipairs(types:list()) do
    by_name[channel_type.name] = types:describe(channel_type)
  end
  return 200, { channel_types = by_name }
end

local function get(context)
  local types = context.server.channel_types
  local channel_type = types:get(context.params.name)
  if not channel_type then
    return failures.fail(16, ("there is no channel type %q"):format(context.params.name))
  end
  return 200, types:describe(channel_type)
end

local function create(context)
  local types = context.server.channel_types
  local channel_type, failure = types:create(context.body)
  if not channel_type then return nil, failure end
  context.server.retention:follow()
  return 201, types:describe(channel_type)
end

local function update(context)
  local server, types = context.server, context.server.channel_types
  local before = server.permissions:frozen()
  local channel_type, failure = types:update(context.params.name, context.body)
  if not channel_type then return nil, failure end
  context.server.retention:follow()
  server.rights:of_type(before, channel_type.name)
  return 201, types:describe(channel_type)
end

local function delete(context)
  local name = context.params.name
  local in_use = context.server.channels:uses_type(name)
  local ok, failure = context.server.channel_types:delete(name, in_use)
  if not ok then return nil, failure end
  return 200, {}
end

return {
  { "GET", "/channeltypes", endpoint = "ListChannelTypes", access = "server", handler = list },
  { "POST", "/channeltypes", endpoint = "CreateChannelType", access = "server", handler = create },
  { "GET", PATH, endpoint = "GetChannelType", access = "server", handler = get },
  { "PUT", PATH, endpoint = "UpdateChannelType", access = "server", handler = update },
  { "DELETE", PATH, endpoint = "DeleteChannelType", access = "server", handler = delete },
}
