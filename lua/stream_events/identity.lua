--- Who this client is to the service: the user it acts as, the tokens, and what every call carries
-- because of that. Tokens live here and in the requests, and nowhere else.
local native = require "stream_events.native"
local token_supply = require "stream_events.token_supply"
local tokens = require "stream_events.token"
local url = require "stream_events.url"

local M = {}

M.AGENT = "stream-events-lua-" .. native.version

-- Header lines of a call. The tables are kept: the transport knows those it has seen before. The
-- name of this program is one of them, since libcurl would format its own option for every request.
local function header_lines(auth_type, token)
  local lines = {
    "stream-auth-type: " .. auth_type,
    "X-Stream-Client: " .. M.AGENT,
    "User-Agent: " .. M.AGENT,
    "Content-Type: application/json",
  }
  if token then lines[#lines + 1] = "Authorization: " .. token end
  return lines
end

---@class stream_events.Identity
---@field kind "user"|"guest"|"anonymous"|nil nil: nobody
---@field user_id string?
---@field details table? what connecting says about the user
---@field token string? in use now
---@field connection_id string? of the live connection
---@field generation integer changes with user and token: what is prepared holds for one of them
---@field acting string[]? header lines of calls made as the user
---@field supply stream_events.TokenSupply
local Identity = { __name = "stream_events.identity" }
Identity.__index = Identity

---@param context table of the client: options, workers, clock, random, log
---@return stream_events.Identity
function M.new(context)
  local options = context.options
  return setmetatable({
    secret = options.secret,
    supply = token_supply.new {
      clock = context.clock, random = context.random, workers = context.workers, log = context.log,
      limit = options.timeouts.connect,
    },
    api_key_query = url.query { { "api_key", options.api_key } },
    anonymous_headers = header_lines("anonymous"),
    server_headers = options.secret and header_lines("jwt", tokens.server(options.secret)),
    generation = 0,
  }, Identity)
end

local function use_token(self, token)
  self.token = token
  self.generation = self.generation + 1
  self.acting = header_lines("jwt", token)
end

--- Becomes a user.
---@param kind "user"|"guest"|"anonymous"
---@param details table with `id`
---@param token string|function|nil
---@return true? ok
---@return stream_events.Error? err
function Identity:become(kind, details, token)
  local ok, err = self.supply:begin(details.id, token, function(new) use_token(self, new) end)
  if not ok then return nil, err end
  self.kind, self.user_id, self.details = kind, details.id, details
  if kind == "anonymous" then self.acting = self.anonymous_headers end
  self.generation = self.generation + 1
  self.user_query = self.api_key_query .. "&" .. url.query { { "user_id", details.id } }
  return true
end

--- Whether a refused token can be replaced.
---@return boolean
function Identity:renewable()
  return self.supply:renewable()
end

--- Ends the waiting for a token.
---@param err stream_events.Error
function Identity:give_up(err)
  self.supply:give_up(err)
end

--- Becomes nobody again. Whoever waits for a token of the former user gets an error.
function Identity:clear()
  self.kind, self.user_id, self.details, self.token = nil, nil, nil, nil
  self.acting, self.user_query, self.connection_id, self.me = nil, nil, nil, nil
  self.generation = self.generation + 1
  self.supply:clear()
end

--- Gives a token to use now, as of TokenSupply:need.
---@param refused string? the token that the service no longer takes
---@param done fun(token: string?, err: stream_events.Error?) called at once when there is one
---@param insists boolean?
function Identity:need_token(refused, done, insists)
  if self.kind == "anonymous" then return done("") end
  self.supply:need(refused, insists, done)
end

--- The query part of a URL for calls made as the user, or by a backend.
---@param server boolean?
---@param with_connection boolean?
---@return string
function Identity:query(server, with_connection)
  if server or not self.user_query then return self.api_key_query end
  if with_connection and self.connection_id then
    return self.user_query .. "&" .. url.query { { "connection_id", self.connection_id } }
  end
  return self.user_query
end

return M
