--- What `stream-events doctor` looks at as the app and as a user of it: whether the service takes the key,
--- the secret and the token; a connection; an event there and back.
local acting = require "stream_events.command.acting"
local errors = require "stream_events.error"
local native = require "stream_events.native"
local probe = require "stream_events.command.doctor.probe"
local token = require "stream_events.token"
local url = require "stream_events.url"

local M = {}

local CHANNEL_TYPE, EVENT_TYPE = "messaging", "doctor_ping"
local REFUSED, NOT_ALLOWED = 5, 17

-- GET /app with a token: whether the service takes it.
local function asked(doctor, signed, user)
  local values = doctor.values
  local query = url.query { { "api_key", values.api_key }, { "user_id", user } }
  local answer = probe.get({
    url = ("%s/app?%s"):format(values.base_url:gsub("/+$", ""), query),
    headers = { "stream-auth-type: jwt", "Authorization: " .. signed },
  }, values.ca_file, doctor.seconds)
  if answer.err then return answer.err end
  if answer.status >= 200 and answer.status <= 299 then return nil end
  return errors.from_response(answer.status, answer.body, answer.headers)
end

local function failed(err)
  return "fail", errors.headline(err), err.hint
end

local function secret(doctor)
  local values = doctor.values
  if not values.secret then return "skip", "STREAM_API_SECRET is not set" end
  local err = asked(doctor, token.server(values.secret))
  -- Without it the command does as well, as long as there is a token.
  if err and not os.getenv "STREAM_API_SECRET" and values.user_token then
    return "skip", "the server has another than the one of this machine; STREAM_API_SECRET is not set"
  end
  if err then return failed(err) end
  doctor.is_backend = true
  return "ok", "the service takes the API key and the secret"
end

local function access(doctor)
  if not doctor.token then return "skip", "there is no token" end
  local err = asked(doctor, doctor.token, doctor.user)
  if err and err.code == REFUSED then
    -- It may be no more than that nobody has connected as this user so far: connecting tells.
    if not doctor.read_only then
      return "skip", "connecting shows whether the token is good: " .. err.message
    end
    return "warn", errors.headline(err), "Without --read-only it is tried to connect, which makes the user."
  end
  if err then return failed(err) end
  return "ok", ("the service takes the token of %s"):format(doctor.user)
end

-- What a secret has signed that is refused need not be tried.
local function needs_of_access(doctor)
  local is_signed_here = doctor.values and not doctor.values.user_token and doctor.values.secret
  return { "http", "token", is_signed_here and "secret" or nil }
end

local READ_ONLY = "left out: --read-only"

local function websocket(doctor)
  if doctor.read_only then return "skip", READ_ONLY end
  if not doctor.token then return "skip", "there is no token" end
  local begun = native.now()
  doctor.timeouts = { request = doctor.seconds, connect = doctor.seconds }
  doctor.actor = acting.with(doctor.values, doctor.user, {
    join = doctor.is_backend or false, timeouts = doctor.timeouts, quiet = true,
  })
  local me, err = doctor.actor.client:connect_user({ id = doctor.user }, doctor.token)
  if not me then return failed(err) end
  return "ok", ("connected as %s in %.0f ms"):format(doctor.user, (native.now() - begun) * 1000)
end

-- Sends an event in the channel, and waits until it has come: seconds that it took.
local function ping(doctor, channel)
  local nonce, arrived = native.crypto.uuid(), nil
  local heard = channel:subscribe_for(EVENT_TYPE, function(event)
    if event.nonce == nonce then arrived = native.now() end
  end)
  local begun = native.now()
  local sent, err = channel:send_event(EVENT_TYPE, { nonce = nonce })
  local deadline = native.now() + doctor.seconds
  while sent and not arrived and native.now() < deadline do
    doctor.actor.client:poll(deadline - native.now())
  end
  heard:dispose()
  if not sent then return nil, err end
  if arrived then return arrived - begun end
  return errors.fail("timeout", ("the event was sent, but did not come back within %d seconds"):format(
    doctor.seconds), { hint = "The connection may be held up by a proxy that buffers: look at its settings "
      .. "for WebSockets." })
end

-- Deletes it, as the backend where there is a secret.
local function remove(doctor, channel_id)
  local values = doctor.values
  local client = doctor.is_backend and acting.client(values, false, values.secret, doctor.timeouts)
    or doctor.actor.client
  local ok, err = client:channel(CHANNEL_TYPE, channel_id):delete()
  if client ~= doctor.actor.client then client:close() end
  return ok, err
end

local function round_trip(doctor)
  if doctor.read_only then return "skip", READ_ONLY end
  if not doctor.actor then return "skip", "there is no connection" end
  local id = "doctor-" .. native.crypto.hex(native.crypto.random(6))
  local took, err, is_made
  took, err = doctor.actor:in_channel(CHANNEL_TYPE .. ":" .. id, function(channel)
    local ok, failure = channel:watch()
    if not ok then return nil, failure end
    is_made = true
    return ping(doctor, channel)
  end)
  local removed, left = true, nil
  if is_made then removed, left = remove(doctor, id) end
  if not took and not is_made and err.code == NOT_ALLOWED then
    return "warn", ("%s may not make a channel of its own: sending was not tried"):format(doctor.user),
      "Set STREAM_API_SECRET as well, or try `stream-events send` in a channel of the user's."
  elseif not took then
    return failed(err)
  end
  local text = ("a custom event came back in %.0f ms"):format(took * 1000)
  if not removed then
    return "warn", ("%s; the channel %s:%s is still there"):format(text, CHANNEL_TYPE, id),
      errors.headline(left)
  end
  return "ok", text
end

---@type stream_events.command.doctor.Check[]
M.CHECKS = {
  { name = "secret", needs = { "http" }, run = secret },
  { name = "access", needs = needs_of_access, run = access },
  { name = "websocket", needs = { "http", "token", "access" }, run = websocket },
  { name = "round trip", needs = { "websocket" }, run = round_trip },
}

return M
