--- What the environment says, checked: a bot that is told nonsense should not begin.
local log = require "log"

local M = {}

local function channels(text)
  local list = {}
  for cid in text:gmatch "[^%s,]+" do
    local kind, id = cid:match "^([%w_-]+):([%w_!-]+)$"
    if not kind then return nil, ("BOT_CHANNELS: %q is not TYPE:ID"):format(cid) end
    list[#list + 1] = { type = kind, id = id, cid = cid }
  end
  if not list[1] then return nil, "BOT_CHANNELS names no channel" end
  return list
end

-- Reads the token whenever one is needed: whoever renews it only has to replace the file.
local function token_in(path)
  return function()
    local file, problem = io.open(path)
    if not file then return nil, problem end
    local text = file:read "*l"
    file:close()
    if not text or text == "" then return nil, path .. " is empty" end
    return text
  end
end

--- Reads the settings.
---@param get fun(name: string): string?
---@param folder string where the bot lies
---@return table? settings
---@return string? problem
function M.read(get, folder)
  local credentials = get "CREDENTIALS_DIRECTORY"
  local path = get "BOT_TOKEN_FILE" or credentials and credentials .. "/token"
  if not path then return nil, "BOT_TOKEN_FILE is not set" end
  local token = token_in(path)
  local text, problem = token()
  if not text then return nil, problem end
  local list
  list, problem = channels(get "BOT_CHANNELS" or "")
  if not list then return nil, problem end
  local base_url, user = get "STREAM_BASE_URL", get "BOT_USER"
  if base_url and not base_url:find "^https?://[^/%s]+/*$" then
    return nil, "STREAM_BASE_URL is no address like https://chat.example.com"
  end
  if not user or user == "" then return nil, "BOT_USER is not set" end
  local key = get "STREAM_API_KEY"
  if not key or not key:find "^[%w_.-]+$" then return nil, "STREAM_API_KEY is not set, or no key" end
  local level = get "BOT_LOG_LEVEL" or "info"
  if not log.RANK[level] then return nil, "BOT_LOG_LEVEL must be debug, info, warning or error" end
  return {
    base_url = base_url, api_key = key, user = user, token = token, channels = list, log_level = level,
    rules = get "BOT_RULES" or folder .. "rules.lua", metrics = get "BOT_METRICS",
  }
end

return M
