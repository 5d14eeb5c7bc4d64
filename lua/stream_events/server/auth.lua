--- Who is calling: API key, tokens, guests and anonymous callers (protocol §2, §3.1).
-- A token is believed, and nothing else a request says about its sender. No token appears in a
-- failure.
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"
local token = require "stream_events.token"
local failures = require "stream_events.server.failure"

local M = {}

local json = native.json

-- Only tokens with a good signature are remembered, so nobody without the secret can fill this; when
-- one half is full the older half is forgotten.
local REMEMBERED = 2048

-- What a token says, and at the same time the caller of every request that carries it.
---@class stream_events.server.Identity: stream_events.server.Caller
---@field kind "server"|"user"|"guest"
---@field exp integer?
---@field iat integer?
---@field unchecked boolean? it was taken while the app's checks were off
---@field accepted_at integer? the store's revision when it was found good for a request: all that could
---  change that, but for its end, is written there

---@class stream_events.server.Auth
---@field private app stream_events.server.App
---@field private users stream_events.server.Users
---@field private store stream_events.server.Store
---@field private now fun(): number
---@field private young table<string, stream_events.server.Identity>
---@field private young_count integer
---@field private old table<string, stream_events.server.Identity>
local Auth = { __name = "stream_events.server.auth" }
Auth.__index = Auth

---@param app stream_events.server.App
---@param users stream_events.server.Users
---@param store stream_events.server.Store where both keep what they know
---@param options { now: (fun(): number)? }?
---@return stream_events.server.Auth
function M.new(app, users, store, options)
  return setmetatable({
    app = app,
    users = users,
    store = store,
    now = options and options.now or native.time,
    young = {}, young_count = 0, old = {},
  }, Auth)
end

local function refuse(err)
  return failures.fail(err.code or 5, err.message, 401)
end

local function remember(self, text, identity)
  if self.young_count >= REMEMBERED then
    self.old, self.young, self.young_count = self.young, {}, 0
  end
  self.young[text] = identity
  self.young_count = self.young_count + 1
  return identity
end

local function identity_of(claims)
  if claims.server == true then return { kind = "server", exp = claims.exp, iat = claims.iat } end
  if type(claims.user_id) ~= "string" or claims.user_id == "" then
    return failures.fail(5, "JWTAuth error: the token names no user_id")
  end
  local identity = { kind = "user", id = claims.user_id }
  if claims.exp then identity.exp = claims.exp end
  if claims.iat then identity.iat = claims.iat end
  return identity
end

-- With the app's checks off, for development, any token is good that names a user; server tokens,
-- which may do everything, have to be signed even then.
local function unchecked(text)
  local claims, err = token.decode(text)
  if not claims then return refuse(err) end
  if claims.server == true then return nil end
  local identity, failure = identity_of { user_id = claims.user_id }
  if not identity then return nil, failure end
  identity.unchecked = true
  return identity
end

local function verify(self, text)
  local identity = self.young[text]
  if not identity then
    identity = self.old[text]
    if identity then remember(self, text, identity) end
  end
  if identity and not (identity.exp and self.now() >= identity.exp) then return identity end
  local claims, err = token.verify(text, self.app.api_secret, {
    now = self.now(), api_key = self.app.api_key,
  })
  if claims then
    local failure
    identity, failure = identity_of(claims)
    if not identity then return nil, failure end
    return remember(self, text, identity)
  elseif self.app:get "disable_auth_checks" then
    local failure
    identity, failure = unchecked(text)
    if identity or failure then return identity, failure end
  end
  return refuse(err)
end

local function check_key(self, query)
  local key = query.api_key
  if key == nil or key == "" then
    return failures.fail(2, "api_key is missing")
  elseif key ~= self.app.api_key then
    return failures.fail(2, ("api_key not valid: %q is not the key of this app"):format(key:sub(1, 64)))
  end
  return true
end

-- Tokens issued before a date; for a user, also those that do not say when they were.
local function is_revoked(identity, date, strict)
  if not date then return false end
  if not identity.iat then return strict end
  return identity.iat < timestamp.parse(date)
end

local function revoked_for(self, identity, user)
  return is_revoked(identity, self.app:get "revoke_tokens_issued_before", false)
    or is_revoked(identity, user and user.revoke_tokens_issued_before, true)
end

-- To a client it is the same as a token that has expired: who can get a new one comes back with it. One
-- that is issued in the second of the revocation is refused as well, since `iat` has whole seconds; the
-- next one will do.
local function check_revoked(self, identity, user)
  if not revoked_for(self, identity, user) then return true end
  return failures.fail(40, "JWTAuth error: token was revoked")
end

--- Whether the token of somebody who is connected would still be taken: not when it has been revoked
--- since, or was one that nobody checked and tokens are checked again.
---@param caller stream_events.server.Caller
---@return true? ok
---@return stream_events.server.Failure? failure
function Auth:check_connected(caller)
  if caller.kind == "anonymous" then return true end
  if caller.unchecked and not self.app:get "disable_auth_checks" then
    return failures.fail(5, "JWTAuth error: the token was not checked, and tokens are checked again")
  end
  return check_revoked(self, caller, caller.user)
end

-- The kind of authentication a request claims: "jwt" or "anonymous".
local function claimed_kind(kind, text)
  if kind == "anonymous" then return kind end
  if kind ~= nil and kind ~= "" and kind ~= "jwt" then
    return failures.fail(5, "stream-auth-type must be jwt or anonymous")
  elseif text == nil or text == "" then
    return failures.fail(5, "JWTAuth error: the token is missing")
  end
  return "jwt"
end

local function bare_token(text)
  -- The protocol has no "Bearer", but many HTTP tools put it there. Tokens themselves begin with "e".
  if not text or text:byte() == 101 then return text end
  return (text:gsub("^[Bb][Ee][Aa][Rr][Ee][Rr]%s+", ""))
end

local function anonymous_caller(self)
  local user = self.users:anonymous()
  return { kind = "anonymous", id = user.id, user = user }
end

local function caller_of(identity, user)
  identity.kind, identity.user = user.role == "guest" and "guest" or "user", user
  return identity
end

-- Whoever sent the last request with this token, when that was found good and nothing was written since.
local function remembered(self, headers, query)
  local identity = self.young[headers.authorization]
  if identity and identity.accepted_at == self.store.revision and query.api_key == self.app.api_key
    and headers["stream-auth-type"] == "jwt" and not (identity.exp and self.now() >= identity.exp) then
    return identity
  end
end

--- Who sent an HTTP request. Callers are shared between requests: read only.
--- A user comes to be by connecting, as a guest, or by a backend's doing; a good token alone does
--- not make one.
---@param request { headers: table<string, string> } names in lower case
---@param query table<string, string>
---@return stream_events.server.Caller? caller
---@return stream_events.server.Failure? failure
function Auth:http(request, query)
  local caller = remembered(self, request.headers, query)
  if caller then return caller end
  local ok, failure = check_key(self, query)
  if not ok then return nil, failure end
  local text = bare_token(request.headers.authorization)
  local kind, no_kind = claimed_kind(request.headers["stream-auth-type"], text)
  if not kind then return nil, no_kind end
  if kind == "anonymous" then return anonymous_caller(self) end
  local revision = self.store.revision
  local identity, bad_token = verify(self, text)
  if not identity then return nil, bad_token end
  local user = identity.id and self.users:get(identity.id)
  ok, failure = check_revoked(self, identity, user)
  if not ok then return nil, failure end
  if identity.kind ~= "server" then
    if not user then
      return failures.fail(5, ("user %q does not exist: a user comes to be by connecting, or when a "
        .. "backend creates it"):format(identity.id))
    end
    ok, failure = self.users:check_alive(user)
    if not ok then return nil, failure end
    caller_of(identity, user)
  end
  identity.accepted_at = revision
  return identity
end

-- The query parameter `json` of a connect.
local function connect_request(query)
  if query.json == nil or query.json == "" then return {} end
  local value, err = json.decode(query.json)
  if value == nil then
    return failures.fail(4, "the query parameter json is not valid JSON: " .. err.message)
  elseif type(value) ~= "table" or getmetatable(value) == json.array_mt then
    return failures.fail(4, "the query parameter json must be a JSON object")
  end
  return value
end

local function user_details(request)
  local details = request.user_details
  if details == nil or details == json.null then return {} end
  if type(details) ~= "table" or getmetatable(details) == json.array_mt then
    return failures.fail(4, "user_details must be an object")
  end
  return details
end

-- Whether a connect names another user than its token does.
local function check_named(identity, request, details)
  for _, named in ipairs { request.user_id or false, details.id or false } do
    if named and named ~= json.null and named ~= identity.id then
      return failures.fail(5, "the token belongs to another user than the one who connects")
    end
  end
  return true
end

local function anybody() return true end

--- Who opens a WebSocket; makes the user or updates it with what it says about itself. Query
--- parameters go before headers.
---@param query table<string, string>
---@param headers table<string, string> names in lower case
---@param allow (fun(caller: stream_events.server.Caller, said: table): any, stream_events.server.Failure?)?
---  asked when it is clear who that is, before anything is done for it; with what `json` says
---@return stream_events.server.Caller? caller
---@return stream_events.server.Failure? failure
function Auth:connect(query, headers, allow)
  allow = allow or anybody
  local ok, failure = check_key(self, query)
  if not ok then return nil, failure end
  local text = bare_token(query.authorization or headers.authorization)
  local kind, no_kind = claimed_kind(query["stream-auth-type"] or headers["stream-auth-type"], text)
  if not kind then return nil, no_kind end
  local request, no_request = connect_request(query)
  if not request then return nil, no_request end
  if kind == "anonymous" then
    local caller = anonymous_caller(self)
    ok, failure = allow(caller, request)
    return ok and caller, failure
  end
  local identity, bad_token = verify(self, text)
  if not identity then return nil, bad_token end
  if identity.kind == "server" then
    return failures.fail(5, "a server token cannot open a WebSocket: sign a user token")
  end
  local details, no_details = user_details(request)
  if not details then return nil, no_details end
  ok, failure = check_named(identity, request, details)
  if not ok then return nil, failure end
  ok, failure = check_revoked(self, identity, self.users:get(identity.id))
  if not ok then return nil, failure end
  ok, failure = allow(identity, request)
  if not ok then return nil, failure end
  local user, refused = self.users:connect(identity.id, details)
  if not user then return nil, refused end
  return caller_of(identity, user)
end

return M
