--- Who this client is to the service: the user it acts as, the tokens, and what every call carries
-- because of that. Tokens live here and in the requests, and nowhere else.
local errors = require "stream_events.error"
local native = require "stream_events.native"
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
local Identity = { __name = "stream_events.identity" }
Identity.__index = Identity

---@param context table of the client: options, workers, clock
---@return stream_events.Identity
function M.new(context)
  local options = context.options
  return setmetatable({
    secret = options.secret,
    workers = context.workers,
    clock = context.clock,
    api_key_query = url.query { { "api_key", options.api_key } },
    anonymous_headers = header_lines("anonymous"),
    server_headers = options.secret and header_lines("jwt", tokens.server(options.secret)),
    generation = 0,
    waiting = {}, -- callbacks of those who wait for the provider
  }, Identity)
end

-- What a token may look like at all; a line break in one would end the header it stands in.
local function check_token(token, user_id)
  if type(token) ~= "string" then
    return errors.fail("auth", "the token must be a string, not a " .. type(token))
  elseif token == "" then
    return errors.fail("auth", "the token must not be empty")
  end
  if token:find("[^\33-\126]") then
    return errors.fail("auth", "the token holds a space, a line break or other characters that no "
      .. "token has", { hint = "A token read from a file may end in a line break." })
  end
  local claims = tokens.decode(token)
  local owner = claims and claims.user_id
  if owner ~= nil and owner ~= user_id then
    return errors.fail("auth", ("the token is for the user '%s', not for '%s'")
      :format(tostring(owner), user_id),
      { code = 5, hint = "Every user has a token of their own: sign one for this id." })
  elseif claims and claims.server then
    return errors.fail("auth", "this is a backend's token, not one of the user '" .. user_id .. "'",
      { code = 5, hint = "Sign a token that names this user." })
  end
  return true
end

local function use_token(self, token)
  self.token = token
  self.generation = self.generation + 1
  self.acting = self.kind and header_lines("jwt", token) or nil
end

--- Becomes a user.
---@param kind "user"|"guest"|"anonymous"
---@param details table with `id`
---@param token string|function|nil
---@return true? ok
---@return stream_events.Error? err
function Identity:become(kind, details, token)
  if type(token) == "string" then
    local ok, err = check_token(token, details.id)
    if not ok then return nil, err end
  end
  self.kind, self.user_id, self.details = kind, details.id, details
  self.provider = type(token) == "function" and token or nil
  self.generation = self.generation + 1
  if kind == "anonymous" then
    self.acting = self.anonymous_headers
  elseif type(token) == "string" then
    use_token(self, token)
  end
  self.user_query = self.api_key_query .. "&" .. url.query { { "user_id", details.id } }
  return true
end

--- Whether a refused token can be replaced.
---@return boolean
function Identity:renewable()
  return self.provider ~= nil
end

local function expired(self)
  local claims = self.token and tokens.decode(self.token)
  local exp = claims and claims.exp
  return type(exp) == "number" and exp <= self.clock.time()
end

local function answer(self, token, err)
  local waiting = self.waiting
  self.waiting, self.asking = {}, nil
  for _, done in ipairs(waiting) do done(token, err) end
end

local function provided(self, asking, token, err)
  if self.asking ~= asking then return end -- another user, or closed meanwhile
  if token == nil then
    local cause = errors.is(err) and err or (err ~= nil and tostring(err) or nil)
    return answer(self, nil, errors.new {
      kind = "auth", message = "the token provider gave no token"
        .. (cause and ": " .. (errors.is(cause) and cause.message or cause) or ""),
      cause = cause, retryable = true,
    })
  end
  local ok, failure = check_token(token, self.user_id)
  if not ok then return answer(self, nil, failure) end
  use_token(self, token)
  answer(self, token)
end

-- The provider runs as a worker: it may wait for an answer as handlers may.
local function ask(self)
  local asking = {}
  self.asking = asking
  local provider, user_id = self.provider, self.user_id
  self.workers:push_job {
    function() provided(self, asking, provider(user_id)) end,
    what = "the token provider",
    failed = function(text) provided(self, asking, nil, "it raised: " .. text) end,
  }
end

--- Ends the waiting for a token.
---@param err stream_events.Error
function Identity:give_up(err)
  answer(self, nil, err)
end

--- Becomes nobody again. Whoever waits for a token of the former user gets an error.
function Identity:clear()
  self.kind, self.user_id, self.details, self.token, self.provider = nil, nil, nil, nil, nil
  self.acting, self.user_query, self.connection_id, self.me = nil, nil, nil, nil
  self.generation = self.generation + 1
  self:give_up(errors.new { kind = "closed", message = "disconnected" })
end

--- Gives a token to use now. The provider is asked once, for everybody who waits.
---@param refused string? the token that the service no longer takes
---@param done fun(token: string?, err: stream_events.Error?) called at once when there is one
function Identity:need_token(refused, done)
  if self.kind == "anonymous" then return done("") end
  local good = self.token and self.token ~= refused
  if good and not (self.provider and expired(self)) then return done(self.token) end
  if not self.provider then
    return done(nil, errors.new { kind = "auth", code = 40, message = "the token was refused" })
  end
  self.waiting[#self.waiting + 1] = done
  if not self.asking then ask(self) end
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
