--- Tokens: JSON Web Tokens (RFC 7519), signed with HS256 and nothing else.
-- A token never appears in an error; neither does the secret.
local errors = require "stream_events.error"
local native = require "stream_events.native"

local crypto, json = native.crypto, native.json

local M = {}

local HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" -- {"alg":"HS256","typ":"JWT"}
local LONGEST = 8192 -- bytes; more would not fit into a request line
-- Claims that are written first, in this order, as other clients of the protocol do.
local FIRST_CLAIMS = { "user_id", "server", "iat", "exp" }

local function check_secret(secret)
  if type(secret) ~= "string" or secret == "" then
    error("the secret must be a string that is not empty", 3)
  end
end

local function encoded_claims(claims)
  local parts, written = {}, {}
  local function add(name)
    local value, err = json.encode(claims[name])
    if not value then error(("claim %q: %s"):format(name, err.message), 5) end
    parts[#parts + 1] = json.encode(name) .. ":" .. value
    written[name] = true
  end
  for _, name in ipairs(FIRST_CLAIMS) do
    if claims[name] ~= nil then add(name) end
  end
  local others = {}
  for name in pairs(claims) do
    if not written[name] then others[#others + 1] = name end
  end
  table.sort(others)
  for _, name in ipairs(others) do add(name) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function signed(secret, claims)
  local text = HEADER .. "." .. crypto.base64url_encode(encoded_claims(claims))
  return text .. "." .. crypto.base64url_encode(crypto.hmac_sha256(secret, text))
end

--- A token with any claims.
---@param secret string
---@param claims table<string, any>
---@return string
function M.sign(secret, claims)
  check_secret(secret)
  local token = signed(secret, claims) -- no tail call: errors blame the caller by its level
  return token
end

---@class stream_events.TokenOptions
---@field exp integer? Unix seconds at which it expires; without it never
---@field iat integer? Unix seconds at which it was issued; needed where tokens are revoked by date

local function check_options(options, level)
  if type(options) ~= "table" then
    error("the options of a token must be a table, not a " .. type(options), level + 1)
  end
  for name in pairs(options) do
    -- A misspelt expiry must not make a token that is valid for ever.
    if name ~= "exp" and name ~= "iat" then
      error(("unknown option '%s'"):format(tostring(name)), level + 1)
    end
  end
end

local function check_time(options, name, level)
  local value = options[name]
  if value ~= nil and (type(value) ~= "number" or value % 1 ~= 0) then
    error(("'%s' must be Unix seconds, a whole number"):format(name), level + 1)
  end
  return value and (math.tointeger and math.tointeger(value) or value)
end

--- The token of a user.
---@param secret string
---@param user_id string
---@param options stream_events.TokenOptions?
---@param level integer? whom to blame for wrong arguments, as for error(); default: the caller
---@return string
function M.user(secret, user_id, options, level)
  level = level or 2
  check_secret(secret)
  if type(user_id) ~= "string" or user_id == "" then error("a token needs the id of a user", level) end
  options = options or {}
  check_options(options, level)
  local token = signed(secret, {
    user_id = user_id, iat = check_time(options, "iat", level), exp = check_time(options, "exp", level),
  })
  return token
end

--- The token of a backend: may do everything, so it stays on machines that hold the secret anyway.
---@param secret string
---@return string
function M.server(secret)
  check_secret(secret)
  return signed(secret, { server = true })
end

--- A token without a signature, for apps that have switched their checks off for development.
---@param user_id string
---@return string
function M.developer(user_id)
  if type(user_id) ~= "string" or user_id == "" then error("a token needs the id of a user", 2) end
  local claims = encoded_claims { user_id = user_id }
  return HEADER .. "." .. crypto.base64_encode(claims) .. ".devtoken"
end

-- Clients differ in the alphabet and the padding of developer tokens.
local function decode_part(text)
  text = text:gsub("%+", "-"):gsub("/", "_"):gsub("==?$", "")
  local data = crypto.base64url_decode(text)
  local value = data and json.decode(data)
  return type(value) == "table" and getmetatable(value) ~= json.array_mt and value or nil
end

local function refuse(code, message)
  return errors.fail("auth", "JWTAuth error: " .. message, { code = code, status = 401 })
end

local function split(text)
  if type(text) ~= "string" or #text > LONGEST then return nil end
  return text:match("^([^.]+)%.([^.]+)%.([^.]*)$")
end

--- What a token claims. Checks no signature: for showing, and for a token of one's own. The error has
--- code 5: what was given is no token.
---@param text string
---@return table? claims
---@return table|stream_events.Error header_or_err
function M.decode(text)
  local header, payload = split(text)
  if not header then return refuse(5, "token contains an invalid number of segments") end
  local head, claims = decode_part(header), decode_part(payload)
  if not head or not claims then return refuse(5, "token is malformed") end
  return claims, head
end

--- Whether it has the form of a developer token.
---@param text any
---@return boolean
function M.is_developer(text)
  local _, _, signature = split(text)
  return signature ~= nil and signature:lower() == "devtoken"
end

-- One of the times in a token; false when there is something else in its place.
local function claimed_time(claims, name)
  local value = claims[name]
  if value == nil then return nil end
  return type(value) == "number" and value % 1 == 0 and value or false
end

local function check_times(claims, now, leeway)
  local exp, nbf, iat =
    claimed_time(claims, "exp"), claimed_time(claims, "nbf"), claimed_time(claims, "iat")
  if exp == false or nbf == false or iat == false then
    return refuse(5, "json: cannot unmarshal exp, nbf or iat: they must be integers")
  elseif exp and now >= exp + leeway then
    return refuse(40, "token is expired")
  elseif nbf and now < nbf - leeway then
    return refuse(41, "token is not valid yet")
  elseif iat and now < iat - leeway then
    return refuse(42, "token used before issue at (iat)")
  end
  return claims
end

---@class stream_events.VerifyOptions
---@field now number? seconds since 1970, default: this machine's clock
---@field api_key string? named in the message about a wrong signature
---@field leeway number? seconds that clocks may differ, default 0

--- What a token claims, when it was signed with this secret and is valid now. The error has the
--- code of the protocol: 5, 40, 41, 42 or 43.
---@param text any
---@param secret string
---@param options stream_events.VerifyOptions?
---@return table? claims
---@return stream_events.Error? err
function M.verify(text, secret, options)
  check_secret(secret)
  options = options or {}
  local header, payload, signature = split(text)
  if not header then return refuse(5, "token contains an invalid number of segments") end
  if M.is_developer(text) then
    return refuse(5, "development tokens are not allowed for this application")
  end
  local head = decode_part(header)
  if not head then return refuse(5, "token is malformed") end
  -- `crit` names extensions that must be understood (RFC 7515 §4.1.11); none is.
  if head.alg ~= "HS256" or head.crit ~= nil then
    return refuse(5, "signing method is not HS256")
  end
  local expected = crypto.base64url_encode(crypto.hmac_sha256(secret, header .. "." .. payload))
  if not crypto.equals(expected, signature) then
    return refuse(43, ("signature is not valid. Make sure the token is created using the secret for "
      .. 'API key "%s"'):format(options.api_key or ""))
  end
  local claims = decode_part(payload)
  if not claims then return refuse(5, "token is malformed") end
  return check_times(claims, options.now or native.time(), options.leeway or 0)
end

return M
