--- Where the lobby is and who comes: by the arguments, then by the environment, then as the bundled server
-- has it. `love lua/examples/love-lobby --name Ann --url http://192.168.0.7:3030`
local M = {}

M.USAGE = "usage: love love-lobby [--name NAME] [--url http://HOST:PORT]"

local NAMES = { "Robin", "Kiwi", "Juno", "Milo", "Pippa", "Otis", "Wren", "Hugo" }

-- These serve a server on this machine only: its secret is no secret.
local LOCAL_KEY, LOCAL_SECRET = "devkey", "lan-dev-secret"

---@class lobby.Settings
---@field base_url string
---@field api_key string
---@field secret string? for a server of one's own; a game that is given to others has none
---@field token string?
---@field id string of the user
---@field name string
---@field channel_type string
---@field channel_id string

local function variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function is_local(url)
  local host = url:match "^https?://([^/:]+)"
  return host == "localhost" or host ~= nil and host:find "^127%." ~= nil
end

-- An id that nobody else has: two players may have one name.
local function new_id(name, random)
  local id = name:lower():gsub("[^%w]+", "-"):sub(1, 24)
  return ("%s-%04x"):format(id, random(0, 0xFFFF))
end

--- Reads them.
---@param arguments string[] of the command line
---@param random fun(least: integer, most: integer): integer
---@return lobby.Settings? settings
---@return string? message
function M.read(arguments, random)
  local given, i = {}, 1
  while arguments[i] do
    local name = arguments[i]:match "^%-%-(%a+)$"
    if (name ~= "name" and name ~= "url") or not arguments[i + 1] then
      return nil, ("'%s' is not understood"):format(arguments[i])
    end
    given[name], i = arguments[i + 1], i + 2
  end
  local url = given.url or variable "STREAM_BASE_URL" or "http://127.0.0.1:3030"
  if not url:find "^https?://[^/%s]+" then return nil, "--url must be like http://127.0.0.1:3030" end
  local name = given.name or NAMES[random(1, #NAMES)]
  return {
    base_url = url, name = name, id = new_id(name, random),
    api_key = variable "STREAM_API_KEY" or LOCAL_KEY,
    secret = variable "STREAM_API_SECRET" or (is_local(url) and LOCAL_SECRET) or nil,
    token = variable "STREAM_USER_TOKEN",
    channel_type = "livestream", channel_id = "lobby",
  }
end

return M
