--- Where the command finds the service and what it may do there: the environment, with the bundled
--- server's own values as defaults.
-- These defaults serve a server on this machine only: its secret is no secret.
local M = {}

M.API_KEY = "devkey"
M.API_SECRET = "lan-dev-secret"
M.BASE_URL = "http://127.0.0.1:3030"

---@class stream_events.command.Settings
---@field api_key string
---@field base_url string
---@field is_local boolean whether base_url is on this machine
---@field secret string? allows everything that a backend may do
---@field user_token string? used as it is instead of one that is signed here
---@field ca_file string? PEM file of the certificates to trust instead of the system's

--- Whether a host name stands for this machine.
---@param host string
---@return boolean
function M.is_loopback(host)
  host = host:lower():gsub("^%[(.*)%]$", "%1")
  return host == "localhost" or host == "::1" or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

--- Where a URL leads to.
---@param url string
---@return { scheme: string, host: string, port: integer }? place nil: it is no URL; the host without brackets
function M.place(url)
  local scheme, authority = url:match("^(%a[%w+.-]*)://([^/?#]*)")
  if not authority then return nil end
  authority = authority:gsub("^.*@", "")
  local host = authority:match("^%[([^%]]*)%]") or authority:match("^[^:]*")
  scheme = scheme:lower()
  local port = tonumber(authority:match(":(%d+)$")) or (scheme == "https" and 443 or 80)
  return { scheme = scheme, host = host:lower(), port = math.tointeger(port) }
end

local function variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

--- What the environment says.
---@return stream_events.command.Settings? settings
---@return string? message
function M.read()
  local base_url = variable "STREAM_BASE_URL" or M.BASE_URL
  local place = M.place(base_url)
  if not place or not base_url:find("^https?://") then
    return nil, "STREAM_BASE_URL must begin with http:// or https://"
  end
  local is_local = M.is_loopback(place.host)
  local api_key = variable "STREAM_API_KEY" or is_local and M.API_KEY
  if not api_key then
    return nil, "STREAM_API_KEY is not set; only a server on this machine has a default key"
  end
  return {
    base_url = base_url,
    is_local = is_local,
    api_key = api_key,
    secret = variable "STREAM_API_SECRET" or is_local and M.API_SECRET or nil,
    user_token = variable "STREAM_USER_TOKEN",
    ca_file = variable "STREAM_CA_FILE",
  }
end

return M
