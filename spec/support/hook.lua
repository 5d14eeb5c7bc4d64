--- A backend that receives webhooks: a raw TCP server in this process' loop, which notes every request
-- and answers as the spec says.
local http_client = require "support.http_client"
local native = require "stream_events.native"
local uv = require "luv"
local webhook = require "stream_events.webhook"

local M = {}

local Hook = {}
Hook.__index = Hook

local function parse(text)
  local head, body_at = text:match("^(.-)\r\n\r\n()")
  if not head then return nil end
  local headers = {}
  for name, value in head:gmatch("\r\n([^:]+):%s*([^\r\n]*)") do headers[name:lower()] = value end
  local length = tonumber(headers["content-length"]) or 0
  if #text < body_at - 1 + length then return nil end
  return { head = head, headers = headers, raw = text:sub(body_at, body_at - 1 + length) },
    text:sub(body_at + length)
end

--- The bytes of an answer.
function M.answer(status, extra, body)
  body = body or ""
  return ("HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s"):format(status, extra or "", #body, body)
end

-- What an answer may be: a status, bytes, "close", or "hang".
local function reply(socket, answer)
  if answer == "hang" then return end
  if answer == "close" then return socket:close() end
  socket:write(type(answer) == "number" and M.answer(answer) or answer)
end

local function take(self, socket, request)
  local is_packed = request.headers["content-encoding"] == "gzip"
  request.text = is_packed and native.gunzip(request.raw, 2 ^ 20) or request.raw
  request.event = native.json.decode(request.text)
  request.id, request.attempt = request.headers["x-webhook-id"], request.headers["x-webhook-attempt"]
  request.reply = function(answer) reply(socket, answer) end
  self.requests[#self.requests + 1] = request
  self.open = self.open + 1
  self.most_open = math.max(self.most_open, self.open)
  local answer = self.answers(request, #self.requests)
  if answer ~= "hang" then self.open = self.open - 1 end
  reply(socket, answer)
end

local function serve(self, socket)
  local text = ""
  self.sockets[socket] = true
  socket:read_start(function(_, data)
    if not data then
      self.sockets[socket] = nil
      if not socket:is_closing() then socket:close() end
      return
    end
    text = text .. data
    local request, rest = parse(text)
    while request do
      text = rest
      take(self, socket, request)
      request, rest = parse(text)
    end
  end)
end

--- Starts one.
---@param answers integer|string|(fun(request: table, number: integer): integer|string) a status, bytes,
---  "close", "hang", or what says which for each request
---@param port integer?
function M.start(answers, port)
  local self = setmetatable({ requests = {}, sockets = {}, open = 0, most_open = 0 }, Hook)
  self.answers = type(answers) == "function" and answers or function() return answers end
  self.tcp = uv.new_tcp()
  assert(self.tcp:bind("127.0.0.1", port or 0))
  self.tcp:listen(128, function()
    local socket = uv.new_tcp()
    self.tcp:accept(socket)
    serve(self, socket)
  end)
  self.port = self.tcp:getsockname().port
  self.url = ("http://127.0.0.1:%d/hooks"):format(self.port)
  return self
end

--- Waits until so many requests have come; gives the last of them.
function Hook:expect(number)
  http_client.wait(("request %d of a webhook"):format(number), function() return self.requests[number] end)
  return self.requests[number]
end

--- The types of the events that came, in order.
function Hook:types()
  local types = {}
  for i, request in ipairs(self.requests) do types[i] = request.event.type end
  return types
end

--- Whether a request is signed with that secret.
function M.is_signed(request, secret)
  return webhook.verify(request.text, request.headers["x-signature"], secret) == true
end

function Hook:stop()
  if self.tcp:is_closing() then return end
  self.tcp:close()
  for socket in pairs(self.sockets) do
    if not socket:is_closing() then socket:close() end
  end
  http_client.settle()
end

return M
