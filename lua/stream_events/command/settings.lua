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

--- Whether a host name stands for this machine.
---@param host string
---@return boolean
function M.is_loopback(host)
  host = host:lower():gsub("^%[(.*)%]$", "%1")
  return host == "localhost" or host == "::1" or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

local function host_of(url)
  local authority = url:match("^%a[%w+.-]*://([^/?#]*)")
  if not authority then return nil end
  authority = authority:gsub("^.*@", "")
  return authority:match("^(%[[^%]]*%])") or authority:match("^[^:]*")
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
  local host = host_of(base_url)
  if not host or not base_url:find("^https?://") then
    return nil, "STREAM_BASE_URL must begin with http:// or https://"
  end
  local is_local = M.is_loopback(host)
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
  }
end

--- The values a server is started with: options first, then the environment, then the defaults.
---@param options { host: string, api_key: string?, api_secret: string? }
---@return { api_key: string, secret: string }? values
---@return string? message
function M.for_server(options)
  local secret = options.api_secret or variable "STREAM_API_SECRET"
  if not secret and not M.is_loopback(options.host) then
    return nil, ("%s can be reached from other machines: choose a secret with --api-secret or "
      .. "STREAM_API_SECRET"):format(options.host)
  end
  return {
    api_key = options.api_key or variable "STREAM_API_KEY" or M.API_KEY,
    secret = secret or M.API_SECRET,
  }
end

return M
