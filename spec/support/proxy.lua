--- Little proxies on loopback, in this process: HTTP (requests and CONNECT), SOCKS5, SOCKS4 and SOCKS4a.
-- Every host they are asked for is this machine, so that a name that nobody can resolve shows that it
-- was left to the proxy.
local uv = require "luv"
local core = require "stream_events.core"
local peer = require "support.peer"

local M = {}

---@class support.Proxy
---@field asked string[] what it was asked for: "CONNECT host:port", "GET http://...", "SOCKS5 host:port"
---@field given string[] credentials that came, as "user:password", "" for none
local Proxy = {}
Proxy.__index = Proxy

local function close(socket)
  if not socket:is_closing() then socket:close() end
end

-- Passes everything on in both directions, after `hello` went to the client.
local function tunnel(connection, port, hello, first)
  local far, near = uv.new_tcp(), connection.socket
  near:read_stop()
  far:connect("127.0.0.1", port, function(err)
    if err or near:is_closing() then
      close(near)
      return close(far)
    end
    connection:say(hello)
    if first ~= "" then far:write(first) end
    local function pass(from, to)
      from:read_start(function(_, bytes)
        if bytes and not to:is_closing() then return to:write(bytes) end
        close(from)
        close(to)
      end)
    end
    pass(near, far)
    pass(far, near)
  end)
end

local function port_of(bytes)
  local high, low = bytes:byte(1, 2)
  return high * 256 + low
end

-- HTTP ----------------------------------------------------------------------------------------------------

local function credentials_of(request)
  local basic = (request.headers["proxy-authorization"] or ""):match("^Basic (%S+)$")
  return basic and core.crypto.base64_decode(basic) or ""
end

local function http(self, connection)
  if connection.received:find("^%A") then return connection:answer(400) end
  local request = connection:take_request()
  if not request then return end
  self.asked[#self.asked + 1] = request.method .. " " .. request.target
  self.given[#self.given + 1] = credentials_of(request)
  self.seen[#self.seen + 1] = request
  if self.wants and self.given[#self.given] ~= self.wants then
    return connection:answer(407, "", { 'Proxy-Authenticate: Basic realm="x"' })
  elseif self.refuses then
    return connection:answer(self.refuses)
  elseif request.method == "CONNECT" then
    connection.on_bytes = nil
    local port = tonumber(request.target:match(":(%d+)$"))
    return tunnel(connection, port, "HTTP/1.1 200 OK\r\n\r\n", connection.received)
  end
  connection:answer(200, "by proxy")
end

-- SOCKS ---------------------------------------------------------------------------------------------------

local function socks_target(self, connection, name, host, port, hello, rest)
  self.asked[#self.asked + 1] = ("%s %s:%d"):format(name, host, port)
  connection.on_bytes = nil
  tunnel(connection, port, hello, rest)
end

-- Reads the next part of a handshake, which is `connection.step`; false: it is not complete.
local socks5 = {}

function socks5.greet(self, connection, bytes)
  local count = bytes:byte(2)
  if not count or #bytes < 2 + count then return false end
  if bytes:byte(1) ~= 5 then
    connection:abort()
    return false
  end
  local method = self.wants and 2 or 0
  local offered = bytes:sub(3, 2 + count):find(string.char(method), 1, true)
  connection:say("\5" .. string.char(offered and method or 255))
  connection.step = self.wants and "credentials" or "request"
  return 2 + count
end

function socks5.credentials(self, connection, bytes)
  local user_len = bytes:byte(2)
  local password_len = user_len and bytes:byte(3 + user_len)
  if not password_len or #bytes < 3 + user_len + password_len then return false end
  local given = bytes:sub(3, 2 + user_len) .. ":" .. bytes:sub(4 + user_len, 3 + user_len + password_len)
  self.given[#self.given + 1] = given
  connection:say(given == self.wants and "\1\0" or "\1\1")
  connection.step = "request"
  return 3 + user_len + password_len
end

function socks5.request(self, connection, bytes)
  local kind, len = bytes:byte(4), bytes:byte(5)
  if not len then return false end
  local host, at
  if kind == 3 then
    host, at = bytes:sub(6, 5 + len), 6 + len
  else
    host, at = table.concat({ bytes:byte(5, 8) }, "."), 9
  end
  if #bytes < at + 1 then return false end
  if self.refuses then
    connection:say("\5" .. string.char(self.refuses) .. "\0\1\0\0\0\0\0\0")
    return at + 1
  end
  socks_target(self, connection, "SOCKS5", host, port_of(bytes:sub(at)), "\5\0\0\1\0\0\0\0\0\0",
    bytes:sub(at + 2))
  return #bytes
end

function socks5.read(self, connection)
  connection.step = connection.step or "greet"
  while connection.received ~= "" do
    local taken = socks5[connection.step](self, connection, connection.received)
    if not taken then return end
    connection.received = connection.received:sub(taken + 1)
  end
end

local function socks4(self, connection)
  local bytes = connection.received
  local user, after = bytes:match("^([^%z]*)%z()", 9)
  if not user then return end
  local host = table.concat({ bytes:byte(5, 8) }, ".")
  if host:find("^0%.0%.0%.") then -- SOCKS4a: the name comes behind
    local name = bytes:match("^([^%z]+)%z", after)
    if not name then return end
    host = name
  end
  self.given[#self.given + 1] = user
  if self.refuses then return connection:say("\0" .. string.char(self.refuses) .. "\0\0\0\0\0\0") end
  connection.received = ""
  socks_target(self, connection, "SOCKS4", host, port_of(bytes:sub(3)), "\0\90\0\0\0\0\0\0", "")
end

local SPEAKS = { http = http, socks5 = socks5.read, socks4 = socks4 }

--- Starts one.
---@param kind "http"|"socks5"|"socks4"
---@param options { wants: string?, refuses: integer? }? wants: "user:password"; refuses: every connection,
---  with this HTTP status or SOCKS reply
---@return support.Proxy
function M.start(kind, options)
  local self = setmetatable({ asked = {}, given = {}, seen = {} }, Proxy)
  for name, value in pairs(options or {}) do self[name] = value end
  local speaks = SPEAKS[kind]
  self.peer = peer.listen(function(connection)
    function connection.on_bytes() speaks(self, connection) end
  end)
  self.port = self.peer.port
  return self
end

--- Its URL.
---@param scheme string
---@param credentials string? "user:password", escaped
function Proxy:url(scheme, credentials)
  return ("%s://%s127.0.0.1:%d"):format(scheme, credentials and credentials .. "@" or "", self.port)
end

return M
