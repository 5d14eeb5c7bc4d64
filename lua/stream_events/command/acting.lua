--- Acting as a user for a subcommand: connects it, and lets it into channels.
-- Into channels only where `join` allows it and only after the service refused: nothing changes for
-- a user who may do what was asked.
local loggers = require "stream_events.logger"
local names = require "stream_events.names"
local output = require "stream_events.command.output"
local settings = require "stream_events.command.settings"
local stream_events = require "stream_events"
local token = require "stream_events.token"

local M = {}

local MISSING, NOT_ALLOWED = 16, 17

---@class stream_events.command.Acting
---@field client stream_events.Client
---@field user string
---@field settings stream_events.command.Settings
---@field join boolean
---@field timeouts stream_events.Timeouts?
---@field quiet boolean? tells nobody whom it made a member
local Acting = {}
Acting.__index = Acting

--- A client by the settings.
---@param values stream_events.command.Settings
---@param debug boolean? tells on standard error what it does
---@param secret string? for a backend
---@param timeouts stream_events.Timeouts?
---@return stream_events.Client
function M.client(values, debug, secret, timeouts)
  return stream_events.new {
    api_key = values.api_key, base_url = values.base_url, secret = secret, trace = debug,
    ca_file = values.ca_file, timeouts = timeouts, logger = debug and loggers.to_file("debug") or nil,
  }
end

--- Prepares to act as a user. Nothing is sent yet.
---@param args { user: string, join: boolean?, debug: boolean? }
---@return stream_events.command.Acting? acting
---@return string? message
function M.new(args)
  local ok, message = names.user_id(args.user)
  if not ok then return nil, message end
  local values
  values, message = settings.read()
  if not values then return nil, message end
  if not values.user_token and not values.secret then
    return nil, "neither STREAM_USER_TOKEN nor STREAM_API_SECRET is set: one of them gives the user a token"
  end
  local join = args.join
  if join == nil then join = values.is_local and values.secret ~= nil end
  if join and not values.secret then return nil, "--join needs STREAM_API_SECRET" end
  return M.with(values, args.user, { join = join, debug = args.debug })
end

--- The same, by settings that were read and found good.
---@param values stream_events.command.Settings
---@param user string
---@param how { join: boolean, debug: boolean?, timeouts: stream_events.Timeouts?, quiet: boolean? }
---@return stream_events.command.Acting
function M.with(values, user, how)
  return setmetatable({
    client = M.client(values, how.debug, nil, how.timeouts), timeouts = how.timeouts,
    user = user, settings = values, join = how.join, quiet = how.quiet,
  }, Acting)
end

--- Makes the error of a connection that failed say what to do next.
---@param err stream_events.Error
---@param values stream_events.command.Settings
---@return stream_events.Error
function M.explain(err, values)
  if err.kind == "network" and not err.hint and values.is_local then
    err.hint = "Is the server running? `stream-events serve` starts it; STREAM_BASE_URL names another one."
  elseif (err.kind == "network" or err.kind == "timeout") and not err.hint then
    err.hint = "`stream-events doctor` tries each step of the way there."
  end
  return err
end

--- Connects; the service creates the user if it is not there yet.
---@return true? ok
---@return stream_events.Error? err
function Acting:connect()
  local user_token = self.settings.user_token or token.user(self.settings.secret, self.user)
  local ok, err = self.client:connect_user({ id = self.user }, user_token)
  if not ok then return nil, M.explain(err, self.settings) end
  return true
end

-- As a backend: creates the channel if it is missing, and makes the user a member of it.
local function let_in(self, channel_type, channel_id)
  local values = self.settings
  local backend = M.client(values, false, values.secret, self.timeouts)
  local channel = backend:channel(channel_type, channel_id,
    { created_by_id = self.user, members = { self.user } })
  local ok, err = channel:create()
  if ok then ok, err = channel:add_members { self.user } end
  backend:close()
  if ok and not self.quiet then
    output.note(("made %s a member of %s:%s"):format(self.user, channel_type, channel_id))
  end
  return ok, err
end

--- Does something in a channel, after letting the user in if that is what it lacks.
---@param cid string a good one
---@param attempt fun(channel: stream_events.Channel): any, stream_events.Error?
---@return any result
---@return stream_events.Error? err
function Acting:in_channel(cid, attempt)
  local channel_type, channel_id = names.split_cid(cid)
  local channel = self.client:channel(channel_type, channel_id)
  local result, err = attempt(channel)
  if result or not self.join then return result, err end
  local lacks = err.code == MISSING or (err.code == NOT_ALLOWED and not err.reason) -- rules have reasons
  if not lacks then return nil, err end
  local ok
  ok, err = let_in(self, channel_type, channel_id)
  if not ok then return nil, err end
  return attempt(channel)
end

--- Says goodbye to the service.
function Acting:disconnect()
  self.client:disconnect()
  self.client:close()
end

return M
