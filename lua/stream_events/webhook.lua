--- Webhooks: the copies of events that the service sends to a backend by HTTP.
-- `verify` and `sign` are about the signature alone. A receiver does all of it: size, gzip, signature,
-- repeats.
--
--   local hooks = webhook.receiver { secret = secret }
--   local delivery, status, err = hooks:receive(body, headers)   -- body: the bytes as they came
--   if delivery then handle(delivery.event) end
--   -- then answer with `status`; the service tries again when that does not begin with a 2
local errors = require "stream_events.error"
local native = require "stream_events.native"

local crypto = native.crypto

local M = {}

local function check(body, secret)
  if type(body) ~= "string" then error("the body must be the text as it came", 3) end
  if type(secret) ~= "string" or secret == "" then
    error("the secret must be a string that is not empty", 3)
  end
end

--- The value of the header X-Signature for a body.
---@param body string not compressed
---@param secret string
---@return string signature 64 hexadecimal digits, lower case
function M.sign(body, secret)
  check(body, secret)
  return crypto.hex(crypto.hmac_sha256(secret, body))
end

--- Checks the signature of a body, in constant time. Takes the body exactly as it came, compression
--- undone: a decoded and encoded one has another signature.
---@param body string
---@param signature string? the header X-Signature; nil, when it is missing, is refused
---@param secret string
---@return true? ok
---@return stream_events.Error? err kind "auth": it does not fit, or is missing
function M.verify(body, signature, secret)
  check(body, secret)
  if type(signature) ~= "string" or not crypto.equals(M.sign(body, secret), signature) then
    return errors.fail("auth", "the webhook's signature does not fit its body", {
      hint = "The body must be the bytes as they came, the secret that of the app which sends.",
    })
  end
  return true
end

--- Makes a receiver. It holds what it needs to know repeats; one serves a whole backend.
---@param options stream_events.webhook.Options
---@return stream_events.webhook.Receiver
function M.receiver(options)
  local made = require("stream_events.webhook_receiver").new(options, 2)
  return made
end

return M
