--- Custom events of Stream Chat: send them, receive them, filter them.
--
--     local stream_events = require "stream_events"
--     local client = stream_events.new { api_key = "...", base_url = "http://127.0.0.1:3030" }
--     assert(client:connect_user({ id = "john" }, token))
local clients = require "stream_events.client"
local errors = require "stream_events.error"
local loggers = require "stream_events.logger"
local native = require "stream_events.native"
local tokens = require "stream_events.token"
local webhook = require "stream_events.webhook"

local M = {
  version = native.version,
  webhook = webhook,
}

--- What stands for JSON's null in the data of events. It counts as true in a condition.
M.null = native.json.null

--- Makes a client. Nothing goes over the network before connect_user, or before a backend's first
--- call. Raises when an option is missing, unknown or of a wrong type. Rules that cannot be used, or
--- that fail their own examples, give nil and an error with all their `problems`.
---@param options stream_events.Options
---@return stream_events.Client? client
---@return stream_events.Error? err kind "rule"
function M.new(options)
  local client, err = clients.new(options, 2)
  return client, err
end

--- A token without a signature, for apps whose checks are switched off for development.
---@param user_id string
---@return string
function M.developer_token(user_id)
  return tokens.developer(user_id)
end

--- Marks a table as a list, so that an empty one is sent as `[]`. Returns the same table.
---@param list any[]
---@return any[]
function M.array(list)
  if type(list) ~= "table" then error("a table expected, not a " .. type(list), 2) end
  return native.json.array(list)
end

--- Whether a value is an error as the calls of this library return them.
---@param value any
---@return boolean
function M.is_error(value)
  return errors.is(value)
end

--- A logger that writes a line each to standard error, for the `logger` option.
---@param least stream_events.LogLevel? what is less important is left out; default "info"
---@return stream_events.Logger
function M.stderr_logger(least)
  return loggers.to_file(least)
end

return M
