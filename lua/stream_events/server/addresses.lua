--- IP addresses and networks as texts: read, compared, written in one way for each.
-- Knows no names and asks nobody: what is no address is nil.
local M = {}

local GROUPS = 8 -- of 16 bits; an IPv4 address is one of ::ffff:0:0/96
local MAPPED = { 0, 0, 0, 0, 0, 0xffff }
local LONGEST = 64

local function read_four(text)
  local parts = { text:match "^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$" }
  if not parts[1] then return nil end
  for i, part in ipairs(parts) do
    -- A zero before other digits means octal to some and nothing to others.
    if #part > 1 and part:byte() == 48 or tonumber(part) > 255 then return nil end
    parts[i] = tonumber(part)
  end
  return parts[1] << 8 | parts[2], parts[3] << 8 | parts[4]
end

-- Adds the groups of one side of a "::" to a list; nil: something else is in there.
local function read_groups(text, groups)
  if text == "" then return groups end
  for part in (text .. ":"):gmatch "([^:]*):" do
    if #groups == GROUPS or not part:find "^%x%x?%x?%x?$" then return nil end
    groups[#groups + 1] = tonumber(part, 16)
  end
  return groups
end

local function read_six(text)
  -- The last 32 bits may be written as an IPv4 address.
  local head, tail = text:match "^(.*:)(%d[%d.]*%.[%d.]*)$"
  if head then
    local high, low = read_four(tail)
    if not high then return nil end
    text = ("%s%x:%x"):format(head, high, low)
  end
  local before, after = text:match "^(.-)::(.*)$"
  local groups = read_groups(before or text, {})
  if not groups then return nil end
  if not before then return #groups == GROUPS and groups or nil end
  local rest = read_groups(after, {})
  if not rest or #groups + #rest > GROUPS - 1 then return nil end
  while #groups + #rest < GROUPS do groups[#groups + 1] = 0 end
  return table.move(rest, 1, #rest, #groups + 1, groups)
end

-- The groups of an address, or nil.
local function read(text)
  if type(text) ~= "string" or #text > LONGEST then return nil end
  if text:find(":", 1, true) then return read_six(text) end
  local high, low = read_four(text)
  if not high then return nil end
  local groups = table.move(MAPPED, 1, 6, 1, {})
  groups[7], groups[8] = high, low
  return groups
end

local function is_mapped(groups)
  for i = 1, 6 do
    if groups[i] ~= MAPPED[i] then return false end
  end
  return true
end

-- Where the longest run of zeros begins and how long it is (RFC 5952 leaves out that one).
local function longest_zeros(groups)
  local best, most, length = 1, 0, 0
  for i = 1, GROUPS do
    length = groups[i] == 0 and length + 1 or 0
    if length > most then best, most = i - length + 1, length end
  end
  return best, most
end

local function write_groups(groups, from, to)
  local parts = {}
  for i = from, to do parts[#parts + 1] = ("%x"):format(groups[i]) end
  return table.concat(parts, ":")
end

--- An address as it is always written: IPv4 with dots, also where it came as ::ffff:192.0.2.1, IPv6
--- as RFC 5952 says.
---@param text any
---@return string? address nil: that is none
function M.canonical(text)
  local groups = read(text)
  if not groups then return nil end
  if is_mapped(groups) then
    local high, low = groups[7], groups[8]
    return ("%d.%d.%d.%d"):format(high >> 8, high & 255, low >> 8, low & 255)
  end
  local from, length = longest_zeros(groups)
  if length < 2 then return write_groups(groups, 1, GROUPS) end
  return write_groups(groups, 1, from - 1) .. "::" .. write_groups(groups, from + length, GROUPS)
end

--- What one client can have for itself of the addresses around its own: IPv4 alone, IPv6 by its first 64
--- bits, since whoever has one of those has them all.
---@param text string an address
---@return string
function M.owner(text)
  if not text:find(":", 1, true) then return text end
  local groups = read(text)
  if not groups or is_mapped(groups) then return M.canonical(text) or text:sub(1, LONGEST) end
  return write_groups(groups, 1, 4) .. "::/64"
end

---@class stream_events.server.Network
---@field groups integer[]
---@field bits integer of 128 that count

--- A network: "10.0.0.0/8", "2001:db8::/32", or a single address.
---@param text any
---@return stream_events.server.Network? network
---@return string? message
function M.network(text)
  if type(text) ~= "string" then return nil, "an address must be a string, not a " .. type(text) end
  local address, length = text:match "^([^/]*)/(%d%d?%d?)$"
  local groups = read(address or text)
  if not groups then
    return nil, ("%q is no IP address, and no network like 10.0.0.0/8"):format(text:sub(1, LONGEST))
  end
  local most = (address or text):find(":", 1, true) and 128 or 32
  local bits = length and tonumber(length) or most
  if bits > most then return nil, ("%q has a length over %d"):format(text, most) end
  return { groups = groups, bits = bits + 128 - most }
end

--- Whether an address lies in one of the networks.
---@param text string
---@param networks stream_events.server.Network[]
---@return boolean
function M.is_in(text, networks)
  local groups = read(text)
  if not groups then return false end
  for _, network in ipairs(networks) do
    local same = true
    for i = 1, GROUPS do
      local counting = math.max(0, math.min(16, network.bits - 16 * (i - 1)))
      local mask = 0xffff << (16 - counting) & 0xffff
      if (groups[i] ~ network.groups[i]) & mask ~= 0 then same = false end
    end
    if same then return true end
  end
  return false
end

local LOOPBACK = { M.network "127.0.0.0/8", M.network "::1" }

--- Whether an address is of this machine itself.
---@param text string
---@return boolean
function M.is_loopback(text)
  return M.is_in(text, LOOPBACK)
end

return M
