--- A proxy between a client and a server, in this process, that does to a connection what networks,
-- gateways and servers do to it: on purpose, at a place that the spec says.
--
-- It passes on what it is not told to spoil. What it is told is a fault: a function that is called in
-- the place of passing on (support.fault_kinds has them), planned for the next connection ("accept"),
-- the next upgrade ("websocket") or the next HTTP request ("http"). What is open already is spoiled
-- by the methods of its link. Nothing is ever reordered.
local free_port = require "support.free_port"
local uv = require "luv"

local M = {}

-- Who writes to somebody that has gone gets an error: that must not end the process.
local broken_pipe = uv.new_signal()
broken_pipe:start("sigpipe", function() end)
broken_pipe:unref()

------------------------------------------------------------------------------------ HTTP and frames

-- A whole HTTP message at the front of `bytes`, and what is behind it; nil: it is not all there.
local function take_message(bytes)
  local head = select(2, bytes:find("\r\n\r\n", 1, true))
  if not head then return nil end
  local length = tonumber(bytes:sub(1, head):lower():match("\ncontent%-length: *(%d+)") or 0)
  if #bytes < head + length then return nil end
  return bytes:sub(1, head + length), bytes:sub(head + length + 1)
end

-- A whole frame, of a server: without a mask. And what is behind it; nil: it is not all there.
local function take_frame(bytes)
  local length, at = bytes:byte(2), 2
  if not length then return nil end
  local wide = ({ [126] = 2, [127] = 8 })[length]
  if wide then
    if #bytes < at + wide then return nil end
    length = string.unpack(">I" .. wide, bytes, at + 1)
    at = at + wide
  end
  if #bytes < at + length then return nil end
  return bytes:sub(1, at + length), bytes:sub(at + length + 1)
end

------------------------------------------------------------------------------------------------ link

---@class support.FaultLink one accepted connection, and the one to the server that belongs to it
---@field kind string? "websocket" or "http", once a request has come
---@field filter (fun(frame: string, number: integer): string?)? of the server's frames; nil: swallowed
---@field shape (fun(link: support.FaultLink, bytes: string))? how bytes are written to the client
---@field on_head (fun(head: string): string)? of the server's answer to the upgrade
---@field silent { up: boolean?, down: boolean? } what is not passed on
local Link = {}
Link.__index = Link

local function shut(socket, how)
  if socket and not socket:is_closing() then socket[how](socket) end
end

--- Writes to the client at once.
function Link:say(bytes, done)
  if self.near:is_closing() or bytes == "" then
    if done then done() end
    return
  end
  self.proxy.writes = self.proxy.writes + 1
  self.near:write(bytes, done)
end

--- Writes to the client, in the way the fault says.
function Link:write(bytes)
  if self.silent.down then return end
  if self.shape then return self:shape(bytes) end
  self:say(bytes)
end

--- Ends both sides in an orderly way, after what was said.
function Link:close()
  if not self.near:is_closing() then
    local near = self.near
    if not near:shutdown(function() shut(near, "close") end) then shut(near, "close") end
  end
  self:leave()
end

--- Ends both sides with a reset.
function Link:reset()
  shut(self.near, "close_reset")
  self:leave()
end

--- Takes leave of the server alone.
function Link:leave()
  shut(self.far, "close_reset")
  self.proxy.links[self] = nil
end

--- Passes on nothing any more, and says so to nobody.
---@param direction "up"|"down"|"both"
function Link:silence(direction)
  if direction ~= "down" then self.silent.up = true end
  if direction ~= "up" then self.silent.down = true end
end

--- Writes a frame of our own between two of the server's.
function Link:inject(frame)
  self:write(frame)
end

local function pass_frames(self, bytes)
  self.arrived = self.arrived .. bytes
  if not self.upgraded then
    local head, rest = take_message(self.arrived)
    if not head then return end
    self.upgraded, self.arrived = true, rest
    self:write(self.on_head and self.on_head(head) or head)
  end
  local whole = {}
  local frame, rest = take_frame(self.arrived)
  while frame do
    self.arrived, self.frames = rest, self.frames + 1
    if self.filter then frame = self.filter(frame, self.frames) end
    whole[#whole + 1] = frame
    frame, rest = take_frame(rest)
  end
  self:write(table.concat(whole))
end

local function from_server(self, bytes)
  if self.kind == "websocket" then return pass_frames(self, bytes) end
  if not self.on_answer then return self:write(bytes) end
  self.arrived = self.arrived .. bytes
  local answer, rest = take_message(self.arrived)
  if not answer then return end
  local on_answer = self.on_answer
  self.arrived, self.on_answer = rest, nil
  on_answer(answer)
end

local function reach_server(self)
  if self.far then return end
  self.far = uv.new_tcp()
  self.far:connect(self.proxy.host, self.proxy.to, function(err)
    if err then return self:close() end
    self.far:nodelay(true)
    self.far:read_start(function(failure, bytes)
      if bytes then return from_server(self, bytes) end
      if not self.silent.down then self[failure and "reset" or "close"](self) end
    end)
  end)
end

--- Passes on to the server.
---@param bytes string
---@param on_answer (fun(answer: string))? gets the whole answer in the place of the client
function Link:pass(bytes, on_answer)
  if self.silent.up then return end
  self.on_answer = on_answer
  reach_server(self)
  if not self.far:is_closing() then self.far:write(bytes) end
end

local function on_request(self, request)
  self.kind = request:lower():find("\nupgrade: *websocket") and "websocket" or "http"
  self.shape = nil -- a fault is of one request
  if self.kind == "http" then self.proxy.calls = self.proxy.calls + 1 end
  local fault = self.proxy:take(self.kind)
  if fault then fault(self, request) else self:pass(request) end
end

local function from_client(self, bytes)
  self.proxy.reads = self.proxy.reads + 1
  if self.silent.up then return end
  if self.proxy.raw or self.kind == "websocket" then return self:pass(bytes) end
  self.received = self.received .. bytes
  local request, rest = take_message(self.received)
  while request do
    self.received = rest
    on_request(self, request)
    if self.kind == "websocket" then return end
    request, rest = take_message(rest)
  end
end

local function read(self)
  self.near:read_start(function(err, bytes)
    if bytes then return from_client(self, bytes) end
    if not self.silent.up then self[err and "reset" or "close"](self) end
    shut(self.near, "close")
  end)
end

----------------------------------------------------------------------------------------------- proxy

---@class support.FaultProxy
---@field url string
---@field port integer
---@field writes integer how many there were to clients
---@field reads integer likewise
---@field calls integer HTTP requests that came
---@field raw boolean passes bytes on without looking at them, as for TLS
local Proxy = {}
Proxy.__index = Proxy

--- Plans a fault for what comes next.
---@param kind "accept"|"websocket"|"http"
---@param fault fun(link: support.FaultLink, request: string?)
---@param times integer? how many of those; default 1
function Proxy:plan(kind, fault, times)
  self.plans[kind] = { fault = fault, left = times or 1 }
end

function Proxy:take(kind)
  local plan = self.plans[kind]
  if not plan then return nil end
  plan.left = plan.left - 1
  if plan.left <= 0 then self.plans[kind] = nil end
  self.met[kind] = (self.met[kind] or 0) + 1
  return plan.fault
end

--- Forgets what was planned.
function Proxy:clear()
  self.plans = {}
end

--- The open links of a kind; all of them without one.
---@param kind string?
---@return support.FaultLink[]
function Proxy:live(kind)
  local found = {}
  for link in pairs(self.links) do
    if not kind or link.kind == kind then found[#found + 1] = link end
  end
  return found
end

--- Calls a method of every open link of a kind.
---@param kind string?
---@param method string
function Proxy:each(kind, method, ...)
  for _, link in ipairs(self:live(kind)) do link[method](link, ...) end
end

local function accept(self)
  local link = setmetatable({
    proxy = self, near = uv.new_tcp(), received = "", arrived = "", frames = 0,
    silent = {},
  }, Link)
  self.socket:accept(link.near)
  link.near:nodelay(true)
  self.links[link] = true
  local fault = self:take "accept"
  if fault and fault(link) ~= "pass" then return end
  read(link)
end

--- Begins to listen, on the same port as before when it was closed.
function Proxy:listen()
  self.socket = uv.new_tcp()
  assert(self.socket:bind("127.0.0.1", self.port))
  assert(self.socket:listen(128, function(err)
    assert(not err, err)
    accept(self)
  end))
end

--- Takes no connections any more; whoever tries is refused.
function Proxy:refuse()
  shut(self.socket, "close")
end

--- Ends it, and everything that goes through it.
function Proxy:stop()
  self:refuse()
  self:each(nil, "reset")
end

--- Listens on a free port and passes on to a server's.
---@param host string
---@param port integer
---@param raw boolean?
---@return support.FaultProxy
function M.to(host, port, raw)
  local self = setmetatable({
    port = free_port.tcp(), host = host, to = port, raw = raw == true, links = {}, plans = {}, met = {},
    writes = 0, reads = 0, calls = 0,
  }, Proxy)
  self:listen()
  self.url = ("%s://127.0.0.1:%d"):format(raw and "https" or "http", self.port)
  return self
end

return M
