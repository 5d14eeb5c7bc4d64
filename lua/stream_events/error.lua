--- Errors: what an expected failure returns beside nil.
-- Programs branch on `kind` and `code`; `message` and `hint` are for people. Neither ever holds a
-- token, a secret or a password: what looks like one is taken out here, whoever wrote the text.
local M = {}

---@alias stream_events.ErrorKind
---| "api" the service refused the call
---| "auth" the service refused the token or the API key
---| "network" no connection, or it broke
---| "timeout" no answer in time
---| "closed" the object was closed, or disconnected on purpose
---| "rule" a rule refused the event
---| "protocol" somebody sent what cannot be understood or cannot be sent
---| "full" a limit was reached
local KINDS = {
  api = true, auth = true, network = true, timeout = true,
  closed = true, rule = true, protocol = true, full = true,
}

-- Kinds of failures that may pass by themselves, when nothing more is known.
local PASSING = { network = true, timeout = true }

local AUTH_CODES = { [2] = true, [5] = true, [40] = true, [41] = true, [42] = true, [43] = true }

-- Codes of the service that are worth another try, later, without a change.
local RETRYABLE_CODES =
  { [-1] = true, [9] = true, [23] = true, [45] = true, [46] = true, [60] = true, [71] = true }

local HINTS = {
  [2] = "Check api_key (STREAM_API_KEY): it must be the key of the app behind base_url, and calls "
    .. "made for a backend need the secret of the same app.",
  [4] = "The message names the field that was not understood; nothing was changed.",
  [5] = "Sign the token with this app's secret and connect as the user it names; developer tokens "
    .. "work only while the app has disable_auth_checks switched on.",
  [9] = "Too many calls: wait retry_after seconds, and gather frequent updates into fewer events.",
  [16] = "Check the id. A channel comes to be when somebody watches it, a user when it connects or "
    .. "with client:upsert_users.",
  [17] = "This user's role lacks the grant, or the user is banned: watching needs read-channel, sending "
    .. "send-custom-event (SendCustomEvent). Members of a channel have both: add the user to its members, "
    .. "or grant more from a backend with client:add_grants(\"messaging\", \"guest\", \"read-channel\").",
  [18] = "Custom events are off for this channel type, or the type is one that the service keeps for "
    .. "itself. Switch them on from a backend with client:update_channel_type(\"messaging\", "
    .. "{ custom_events = true }), or in the dashboard under the channel type's settings.",
  [19] = "This feature is off for the channel type: client:update_channel_type switches it on.",
  [22] = "An event may hold 5 KiB: send a reference to what is larger.",
  [23] = "The service took too long; trying again is safe when receiving the event twice is.",
  [40] = "The token has expired: give connect_user a function that fetches a new one, or sign with a "
    .. "later exp.",
  [41] = "The token is not valid yet: compare the clock of the machine that signed it with the "
    .. "service's.",
  [42] = "The token claims to be issued in the future: compare the clock of the machine that signed "
    .. "it with the service's.",
  [43] = "The token was signed with another secret than the one of this API key "
    .. "(STREAM_API_SECRET).",
  [46] = "The connection this call belongs to is gone; it works again after the reconnect.",
  [60] = "The channel is in slow mode.",
  [69] = "This app lives in another region: set base_url to that region's address.",
  [71] = "The app has as many connections as it may have.",
  [99] = "The app is suspended; its owner has to contact the service.",
}

-- The same code, when it was the rules of the bundled server.
local NOT_ALLOWED = 17
local REFUSED_HINT = "The server has rules (serve --rules FILE) that do not accept this event. Whoever runs "
  .. "it sees each step of the decision with: stream-events rules explain FILE."

-- Parameters and fields whose values are nobody's business.
local HIDDEN = {}
for i, name in ipairs { "authorization", "api_key", "api_secret", "secret", "user_token", "access_token" } do
  local any_case = name:gsub("%a", function(c) return "[" .. c .. c:upper() .. "]" end)
  HIDDEN[i] = "(%f[%w_]" .. any_case .. "=)[^&%s\"']+"
end

-- Tokens: words in base64 that begin as a JSON object does, with a dot behind the first. One pattern for
-- the whole would look at the rest of a long word again for each "eyJ" in it.
local function without_tokens(text)
  local parts, from = {}, 1
  local at = text:find("eyJ", 1, true)
  while at do
    local _, last = text:find("^[%w_%-]+", at + 3)
    last = last or at + 2
    local _, stop = text:find("^%.[%w_%-+/=%%]*%.?[%w_%-]*", last + 1)
    if stop and last > at + 2 then
      parts[#parts + 1] = text:sub(from, at - 1) .. "[token]"
      from, last = stop + 1, stop
    end
    at = text:find("eyJ", last + 1, true)
  end
  return table.concat(parts) .. text:sub(from)
end

--- Takes out what must not be shown: tokens, secrets and keys in URLs and headers.
---@param text string
---@return string
function M.redact(text)
  text = without_tokens(text):gsub("(://)[^/%s@]+@", "%1[credentials]@")
  if text:find("=", 1, true) then
    for _, pattern in ipairs(HIDDEN) do text = text:gsub(pattern, "%1[hidden]") end
  end
  text = text:gsub("([Aa]uthorization:%s*)[^\r\n]+", "%1[hidden]")
  return text
end

---@class stream_events.Error
---@field kind stream_events.ErrorKind
---@field message string
---@field code integer? the service's code, or a close code
---@field status integer? HTTP status
---@field retryable boolean whether the same call may succeed later
---@field retry_after number? seconds to wait before that; at most an hour
---@field hint string? what to do about it
---@field cause any the error behind this one
---@field reason string? kind "rule": the code of what the rules found, e.g. "field-range"; kind "api":
---  likewise, where the bundled server's rules refused
---@field rule string? kind "rule": the name of the rule
---@field hash string? kind "rule": of the rule set
---@field problems table[]? kind "rule", of a rule file that cannot be used: { file, line, message,
---  suggestion } each
---@field maybe_sent boolean? of a send: it is not known whether the event has arrived
---@field superseded boolean? of a send: a newer event with the same `coalesce` took its place
local Error = { __name = "stream_events.error" }
Error.__index = Error

-- What a server wrote may hold line breaks or terminal control characters.
local function one_line(text)
  text = text:gsub("%c+", " "):gsub("\194[\128-\159]", " ")
  return text
end

--- What went wrong, in one line, without the hint.
---@param err stream_events.Error
---@return string
function M.headline(err)
  local notes = {}
  if err.code then notes[#notes + 1] = "code " .. err.code end
  if err.status then notes[#notes + 1] = "HTTP " .. err.status end
  local text = err.kind .. ": " .. err.message
  if notes[1] then text = text .. " (" .. table.concat(notes, ", ") .. ")" end
  return one_line(text)
end

--- The headline and the hint, in one line.
function Error:__tostring()
  local text = M.headline(self)
  return self.hint and text .. " -- " .. one_line(self.hint) or text
end

--- Makes an error.
---@param fields table kind and message, and any other field of an error
---@return stream_events.Error
function M.new(fields)
  if not KINDS[fields.kind] then error("no kind of error: " .. tostring(fields.kind), 2) end
  if type(fields.message) ~= "string" then error("an error needs a message", 2) end
  local retryable = fields.retryable
  if retryable == nil then retryable = PASSING[fields.kind] or false end
  return setmetatable({
    kind = fields.kind,
    message = M.redact(fields.message),
    code = fields.code,
    status = fields.status,
    retryable = retryable,
    retry_after = fields.retry_after,
    hint = fields.hint,
    cause = type(fields.cause) == "string" and M.redact(fields.cause) or fields.cause,
    reason = fields.reason,
    rule = fields.rule,
    hash = fields.hash,
    problems = fields.problems,
    maybe_sent = fields.maybe_sent,
    superseded = fields.superseded,
  }, Error)
end

--- Makes an error and returns it as functions do that fail.
---@param kind stream_events.ErrorKind
---@param message string
---@param extra table? more fields
---@return nil
---@return stream_events.Error
function M.fail(kind, message, extra)
  local fields = { kind = kind, message = message }
  for name, value in pairs(extra or {}) do fields[name] = value end
  return nil, M.new(fields)
end

--- Whether a value is such an error.
---@param value any
---@return boolean
function M.is(value)
  return getmetatable(value) == Error
end

-- The error envelope in the text of an answer; nil when the text is none (a proxy's page, say).
local function envelope(body)
  -- Required only here: it makes its own errors with this module.
  local fields = require("stream_events.plain_json").decode(body or "")
  if type(fields) == "table" and type(fields.message) == "string" then return fields end
  return nil
end

-- Not the service: a proxy that was asked for the whole URL.
local function proxy_refusal()
  return M.new {
    kind = "network", status = 407,
    message = "the proxy asks for a user name and a password, or refuses those it was given",
    hint = "Give them in the proxy's URL, as http://user:password@host:3128: option proxy, or the variable "
      .. "http_proxy.",
  }
end

local function may_pass(status, code)
  if RETRYABLE_CODES[code] then return true end
  return status ~= nil and (status == 408 or status == 429 or status >= 500)
end

local LONGEST_WAIT = 3600 -- seconds; who asks for more has a clock, or a unit, that is wrong
local LONGEST_RESET = 60 -- rates are counted by the minute (protocol §12.2)

-- A number of seconds within bounds. Some Luas read "nan" and "inf" as numbers.
local function bounded(seconds, most)
  if not seconds or seconds ~= seconds then return nil end
  return math.max(0, math.min(seconds, most))
end

-- Seconds the service asks to wait: Retry-After, else the time at which the limit is lifted.
local function wait_time(status, headers)
  local text, reset = headers["retry-after"], tonumber(headers["x-ratelimit-reset"])
  if not (text or reset) then return nil end
  local http_date = require "stream_events.http_date" -- only here: most clients never meet one
  local seconds = bounded(http_date.seconds_to_wait(text, headers.date), LONGEST_WAIT)
  if seconds or status ~= 429 or not reset then return seconds end
  return bounded(reset - http_date.time_there(headers.date), LONGEST_RESET)
end

--- The error in an answer of the service: of an HTTP call, or of the first frame of a connection.
---@param status integer? HTTP status
---@param body string? its text, JSON or not
---@param headers table<string, string>? in lower case
---@return stream_events.Error
function M.from_response(status, body, headers)
  local fields = envelope(body)
  if not fields and status == 407 then return proxy_refusal() end
  if not fields then
    return M.new {
      kind = status == 401 and "auth" or "api",
      message = ("the answer has HTTP status %s and is not the service's JSON"):format(status or "none"),
      status = status,
      retryable = may_pass(status),
      retry_after = wait_time(status, headers or {}),
    }
  end
  return M.from_envelope(fields, status, headers)
end

--- The error in an error envelope that is decoded already.
---@param fields table code, message, StatusCode
---@param status integer? HTTP status, when it came by HTTP
---@param headers table<string, string>? in lower case
---@return stream_events.Error
function M.from_envelope(fields, status, headers)
  local code = type(fields.code) == "number" and fields.code or nil
  local details = code == NOT_ALLOWED and type(fields.details) == "table" and fields.details or {}
  local reason = type(details[1]) == "string" and details[1] or nil
  status = status or (type(fields.StatusCode) == "number" and fields.StatusCode or nil)
  return M.new {
    kind = (AUTH_CODES[code] or (not code and status == 401)) and "auth" or "api",
    message = type(fields.message) == "string" and fields.message or "no message",
    code = code,
    status = status,
    retryable = fields.unrecoverable ~= true and may_pass(status, code),
    retry_after = wait_time(status, headers or {}),
    reason = reason,
    hint = reason and REFUSED_HINT or HINTS[code],
  }
end

return M
