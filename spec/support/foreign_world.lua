--- A bundled server, and a client of somebody else's as users of it: python3-websockets, aiohttp, Node's
-- ws, or curl, which knows calls alone.
local fixtures = require "support.server"
local foreign = require "support.foreign"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local process = require "support.process"
local shape = require "support.shape"

local M = {}

local json = native.json

M.CLIENTS = { "websockets", "aiohttp", "ws" }

local drivers = {}

-- One program serves all specs of a file.
local function driver(client)
  if not drivers[client] then
    drivers[client] = client == "ws" and foreign.start "driver.js" or foreign.start("driver.py", client)
  end
  return drivers[client]
end

-- Of a call or a socket: no two are the same, since a program goes on talking of what is over.
local names = 0
local function new_name()
  names = names + 1
  return "n" .. names
end

--- Ends the programs; for teardown.
function M.end_all()
  for _, program in pairs(drivers) do program:stop() end
  drivers = {}
  process.end_all()
end

---@class support.ForeignWorld
local World = {}
World.__index = World

---@param client string one of CLIENTS, or "curl"
---@param options table? of the server
function M.new(client, options)
  return setmetatable({ client = client, fixture = fixtures.start(options) }, World)
end

function World:stop()
  self.fixture:stop()
end

-- Calls -------------------------------------------------------------------------------------------

-- Curl's answer: the head of the last one that came, and the body.
local function curl_answer(text)
  local head, body = text:match "^(.-)\r\n\r\n(.*)$"
  while head and head:find "^HTTP/1.1 100" do head, body = body:match "^(.-)\r\n\r\n(.*)$" end
  local headers = {}
  for name, value in head:gmatch "\r\n([^:]+):%s*([^\r\n]*)" do headers[name:lower()] = value end
  return {
    status = tonumber(head:match "^HTTP/1.1 (%d+)"), headers = headers, text = body,
    body = json.decode(body),
  }
end

local function curl(request)
  local arguments = { "-sS", "-i", "--max-time", "20", "-X", request.method, "-H", "Content-Type:" }
  for name, value in pairs(request.headers) do
    arguments[#arguments + 1] = "-H"
    arguments[#arguments + 1] = name .. ": " .. value
  end
  if request.body then
    arguments[#arguments + 1] = "--data-binary"
    arguments[#arguments + 1] = "@-"
  end
  for _, option in ipairs(request.options or {}) do arguments[#arguments + 1] = option end
  arguments[#arguments + 1] = request.url
  local run = process.run("curl", arguments, { LD_PRELOAD = false }, nil, request.body)
  if run.code ~= 0 then error("curl: " .. run.stderr, 0) end
  return curl_answer(run.stdout)
end

-- Any request, as it is.
function World:request(request)
  request.headers = request.headers or {}
  if self.client == "curl" then return curl(request) end
  local id = new_name()
  local program = driver(self.client)
  program:tell { ["do"] = "call", id = id, method = request.method, url = request.url,
    headers = request.headers, body = request.body }
  return program:wait(function(report) return report.id == id end, "an answer came")
end

function World:url(scheme, path, query)
  local server = self.fixture.server
  return ("%s://%s:%d%s?%s"):format(scheme, server.host, server.port, path, http_client.query(query))
end

--- A call as "server", "anonymous" or a user. Query and headers may be changed; false: left out.
---@param changes { query: table?, headers: table?, options: string[]? }?
---@return table answer with status, headers, text and body, decoded
function World:call(who, method, path, body, changes)
  changes = changes or {}
  local query = { api_key = "devkey" }
  local headers = { ["stream-auth-type"] = "jwt", ["Content-Type"] = "application/json" }
  if who == "server" then
    headers.Authorization = self.fixture:server_token()
  elseif who == "anonymous" then
    headers["stream-auth-type"] = "anonymous"
  elseif who then
    headers.Authorization, query.user_id = self.fixture:user_token(who), who
  end
  for name, value in pairs(changes.query or {}) do query[name] = value or nil end
  for name, value in pairs(changes.headers or {}) do headers[name] = value or nil end
  if type(body) == "table" then body = assert(json.encode(body)) end
  return self:request { method = method, url = self:url("http", path, query), headers = headers, body = body,
    options = changes.options }
end

--- A call that has to go well.
function World:done(...)
  local answer = self:call(...)
  if answer.status > 299 then error(answer.text, 2) end
  return answer
end

-- Sockets -----------------------------------------------------------------------------------------

---@class support.ForeignSocket
local Socket = {}
Socket.__index = Socket

--- Opens a WebSocket at /connect with these query parameters and headers.
---@return support.ForeignSocket
function World:open(query, headers)
  local socket = setmetatable({ name = new_name(), program = driver(self.client) }, Socket)
  socket.program:tell { ["do"] = "open", socket = socket.name, url = self:url("ws", "/connect", query),
    headers = headers or {} }
  local report = socket:wait(function(given) return given.opened or given.failed end, "a socket opened")
  if report.failed then error("not opened: " .. report.failed, 2) end
  socket.extensions = report.extensions
  return socket
end

--- The query of a connect as §14.1 has it, changed; false: left out.
function World:parameters(user_id, changes)
  local query = {
    api_key = "devkey", authorization = self.fixture:user_token(user_id), ["stream-auth-type"] = "jwt",
    json = { user_id = user_id, user_details = { id = user_id } },
  }
  for name, value in pairs(changes or {}) do query[name] = value or nil end
  return query
end

--- Connects a user, whose first frame has to be a welcome.
---@param more table? fields of the user's own
function World:connect(user_id, more)
  local details = shape.with({ id = user_id }, more or {})
  local socket = self:open(self:parameters(user_id, { json = { user_id = user_id, user_details = details } }))
  socket.who = user_id
  local first = socket:next()
  shape.check(first, shape.welcome(user_id, more), "the first frame")
  socket.id = first.connection_id
  return socket
end

--- Lets a connection watch a channel; the answer's body. What it is told of itself is read.
function World:watch(socket, cid, data)
  local answer = self:done(socket.who, "POST", "/channels/" .. cid:gsub(":", "/") .. "/query",
    { data = data, state = true, watch = true, presence = false }, { query = { connection_id = socket.id } })
  socket:await "user.watching.start"
  return answer.body
end

function Socket:wait(is_it, what)
  local name = self.name
  return self.program:wait(function(report) return report.socket == name and is_it(report) end, what)
end

--- The next frame, decoded by its own client, and its text.
---@return table? frame
---@return string text
function Socket:next()
  local report = self:wait(function(given) return given.text or given.closed end, "a frame came")
  if not report.text then error(("closed with %s instead of a frame"):format(tostring(report.closed)), 2) end
  return report.frame, report.text
end

--- The next frame of a type; the others are passed over.
function Socket:await(event_type)
  local report = self:wait(function(given)
    return given.text and given.frame.type == event_type
  end, event_type .. " came")
  return report.frame, report.text
end

function Socket:send(text)
  self.program:tell { ["do"] = "send", socket = self.name, text = text }
end

function Socket:send_fragments(...)
  self.program:tell { ["do"] = "send", socket = self.name, fragments = { ... } }
end

function Socket:ping()
  self.program:tell { ["do"] = "ping", socket = self.name }
  self:wait(function(given) return given.pong end, "a pong came")
end

function Socket:close(code)
  self.program:tell { ["do"] = "close", socket = self.name, code = code }
end

--- The code it is closed with.
function Socket:closed()
  return self:wait(function(given) return given.closed end, "a socket closed").closed
end

return M
