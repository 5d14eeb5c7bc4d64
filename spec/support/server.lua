--- A real server for specs: in memory, on a free port, in this process; with everything to act as a
-- backend or as a user. `stop` ends it and whatever was opened through it.
local http_client = require "support.http_client"
local server = require "stream_events.server"
local token = require "stream_events.token"

local M = {}

local Fixture = {}
Fixture.__index = Fixture

---@param options table? for the server
function M.start(options)
  local settings = { port = 0, data = ":memory:", api_key = "devkey", api_secret = "lan-dev-secret" }
  local log = {}
  settings.logger = function(level, message, fields)
    log[#log + 1] = { level = level, message = message, fields = fields }
  end
  for name, value in pairs(options or {}) do settings[name] = value end
  local started = assert(server.start(settings))
  return setmetatable({
    server = started, log = log, client = http_client.new(started), opened = {},
  }, Fixture)
end

--- The same for a server that runs elsewhere: `stop` closes what was opened, and leaves it alone.
---@param address { host: string, port: integer, api_key: string, api_secret: string }
function M.attach(address)
  local self = setmetatable({ server = address, client = http_client.new(address), opened = {} }, Fixture)
  self.stop = function()
    self.client:close()
    for _, socket in ipairs(self.opened) do socket:abort() end
    http_client.settle()
  end
  return self
end

--- Stops the server and waits until everything is closed.
function Fixture:stop()
  self.client:close()
  for _, socket in ipairs(self.opened) do socket:abort() end
  local done = false
  self.server:stop(function() done = true end)
  http_client.wait("the server's end", function() return done end)
  http_client.settle()
end

function Fixture:user_token(user_id, options)
  return token.user(self.server.api_secret, user_id, options)
end

function Fixture:server_token()
  return token.server(self.server.api_secret)
end

-- Who calls: "server" for a backend, "anonymous", or a user's id.
local function credentials(self, who)
  if who == "anonymous" then return { ["stream-auth-type"] = "anonymous" } end
  local jwt = who == "server" and self:server_token() or self:user_token(who)
  return { Authorization = jwt, ["stream-auth-type"] = "jwt" }
end

--- One call. Gives status, decoded body and the whole answer.
---@param who string "server", "anonymous" or a user's id
function Fixture:call(who, method, path, body, query)
  local parameters = { api_key = self.server.api_key }
  for name, value in pairs(query or {}) do parameters[name] = value end
  local answer = self.client:request(method, path,
    { headers = credentials(self, who), body = body, query = parameters })
  return answer.status, answer.body, answer
end

--- Makes users; each is an id, or a table with id, role and so on.
function Fixture:users(...)
  local users = {}
  for _, user in ipairs { ... } do
    if type(user) == "string" then user = { id = user } end
    users[user.id] = user
  end
  local status, body = self:call("server", "POST", "/users", { users = users })
  assert(status == 201, body and body.message)
end

--- Makes a channel with members.
function Fixture:channel(cid, members, data)
  local channel_type, id = cid:match("^(.-):(.*)$")
  data = data or {}
  data.members = members
  data.created_by_id = data.created_by_id or members[1]
  local status, body = self:call("server", "POST", ("/channels/%s/%s/query"):format(channel_type, id),
    { data = data })
  assert(status == 201, body and body.message)
  return body.channel
end

--- Opens a WebSocket with any query parameters; the first frame is still to be read.
function Fixture:open(parameters, headers)
  local socket = http_client.websocket(self.server, "/connect?" .. http_client.query(parameters), headers)
  self.opened[#self.opened + 1] = socket
  return socket
end

--- Connects a user, or "anonymous", and reads the first frame: socket.id is the connection id.
function Fixture:connect(who, details)
  local parameters = { api_key = self.server.api_key }
  if who == "anonymous" then
    parameters["stream-auth-type"] = "anonymous"
    parameters.json = { user_id = "b1a2", user_details = { id = "b1a2", anon = true } }
  else
    details = details or {}
    details.id = who
    parameters.authorization = self:user_token(who)
    parameters["stream-auth-type"] = "jwt"
    parameters.json = { user_id = who, user_details = details }
  end
  local socket = self:open(parameters)
  local first = socket:next()
  assert(first.type == "health.check", "refused")
  socket.id, socket.me, socket.who = first.connection_id, first.me, who
  return socket
end

--- Lets a connection watch a channel.
function Fixture:watch(socket, cid)
  local status, body = self:call(socket.who, "POST", "/channels/" .. cid:gsub(":", "/") .. "/query",
    { watch = true, state = true }, { connection_id = socket.id })
  assert(status == 201, body and body.message)
  return body
end

return M
