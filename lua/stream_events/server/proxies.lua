--- Whose address a request is from. Proxies that are trusted (setting trusted_proxies) say it in
-- X-Forwarded-For or Forwarded; what anybody else says there is not believed.
local addresses = require "stream_events.server.addresses"

local M = {}

local MAX_HOPS = 32
local LONGEST_HOP = 128 -- bytes: an address in brackets and quotes, with a port, and some spaces
local CACHED = 1024 -- peers of which it is known whether they are trusted

---@class stream_events.server.Proxies
---@field private options { trusted_proxies: string[]? }
---@field private list string[]? what was read last
---@field private networks stream_events.server.Network[]
---@field private known table<string, boolean>
local Proxies = { __name = "stream_events.server.proxies" }
Proxies.__index = Proxies

---@param options stream_events.server.Options read at every request, so that they may change
---@return stream_events.server.Proxies
function M.new(options)
  return setmetatable({ options = options, networks = {}, known = {}, known_count = 0 }, Proxies)
end

local function read(self, list)
  self.list, self.networks, self.known, self.known_count = list, {}, {}, 0
  for i, text in ipairs(list) do self.networks[i] = assert(addresses.network(text)) end
end

local function is_trusted(self, address)
  local trusted = self.known[address]
  if trusted ~= nil then return trusted end
  trusted = addresses.is_in(address, self.networks)
  if self.known_count >= CACHED then self.known, self.known_count = {}, 0 end
  self.known[address], self.known_count = trusted, self.known_count + 1
  return trusted
end

-- An address as proxies write it: with a port perhaps, IPv6 then in brackets. nil: none, such as
-- "unknown".
local function bare(text)
  if #text > LONGEST_HOP then return nil end
  text = text:match "^%s*\"?(.-)\"?%s*$"
  return addresses.canonical(text:match "^%[(.*)%]:?%d*$" or text:match "^([%d.]+):%d+$" or text)
end

-- The hops of X-Forwarded-For: each proxy adds whom it was called by, at the end.
local function plain_hops(text)
  local hops = {}
  for hop in text:gmatch "[^,]+" do hops[#hops + 1] = bare(hop) or false end
  return hops
end

-- Those of Forwarded (RFC 7239). A quoted comma or semicolon is in no address: what is cut there is
-- none, and ends the way like any other hop that is not known.
local function forwarded_hops(text)
  local hops = {}
  for element in text:gmatch "[^,]+" do
    local value = (";" .. element):match ";%s*[Ff][Oo][Rr]=([^;]*)"
    hops[#hops + 1] = value and bare(value) or false
  end
  return hops
end

-- From the nearest hop back to the first that is not trusted; behind a hop that cannot be read
-- nothing is known.
local function first_stranger(self, peer, hops)
  local address = peer
  for i = #hops, math.max(1, #hops - MAX_HOPS + 1), -1 do
    if not hops[i] then return address end
    address = hops[i]
    if not is_trusted(self, address) then return address end
  end
  return address
end

--- The address of the client behind a request. Where two headers name two clients, one of them was
--- not written by the proxy; neither is believed, and the address is the proxy's.
---@param request stream_events.server.Request
---@return string address
function Proxies:client(request)
  local peer, list = request.peer, self.options.trusted_proxies
  if not list then return peer end
  if list ~= self.list then read(self, list) end
  if not is_trusted(self, peer) then return peer end
  local plain, forwarded = request.headers["x-forwarded-for"], request.headers.forwarded
  local by_plain = plain and first_stranger(self, peer, plain_hops(plain))
  local by_forwarded = forwarded and first_stranger(self, peer, forwarded_hops(forwarded))
  if by_plain and by_forwarded and by_plain ~= by_forwarded then return peer end
  return by_plain or by_forwarded or peer
end

-- What a proxy adds; clients that speak to the server themselves have no reason to.
local MARKS = { "x-forwarded-for", "forwarded", "x-real-ip", "via", "x-forwarded-host", "x-forwarded-proto" }
local LOCAL_NAMES = { localhost = true, ["[::1]"] = true }

--- Whether a request comes from this machine, not through a proxy that happens to run here, and not
--- from a page in a browser that has given this machine's address a name of its own.
---@param request stream_events.server.Request
---@return boolean
function M.is_local(request)
  if not addresses.is_loopback(request.peer) then return false end
  for _, name in ipairs(MARKS) do
    if request.headers[name] then return false end
  end
  local host = (request.headers.host or ""):lower():gsub(":%d*$", "")
  return LOCAL_NAMES[host] == true or addresses.is_loopback(host)
end

return M
