--- What the server answers when it refuses: a code of the protocol, a text, and the HTTP status.
-- Made by whoever finds the fault, turned into the wire's error envelope here and nowhere else.
local native = require "stream_events.native"

local M = {}

local MORE_INFO = "https://getstream.io/chat/docs/api_errors_response"

-- The HTTP status that belongs to a code unless the failure names another.
local STATUS = {
  [-1] = 500, [2] = 401, [4] = 400, [5] = 401, [6] = 400, [9] = 429, [16] = 404, [17] = 403,
  [18] = 400, [19] = 400, [22] = 413, [23] = 408, [24] = 431, [40] = 401, [41] = 401, [42] = 401,
  [43] = 401, [46] = 400, [70] = 403, [99] = 403,
}

---@class stream_events.server.Failure
---@field code integer of the protocol
---@field message string for people, without the name of the endpoint
---@field status integer of the HTTP answer
---@field details table
---@field headers string[]? lines for the HTTP answer
---@field reason string? of a refusal by rules: its code
---@field rule string? likewise: the rule that refused
local Failure = { __name = "stream_events.server.failure" }
Failure.__index = Failure

function Failure:__tostring()
  return ("%s (code %d, status %d)"):format(self.message, self.code, self.status)
end

---@param code integer
---@param message string
---@param status integer? default: the one that belongs to the code
---@param details table? list for the envelope
---@return stream_events.server.Failure
function M.new(code, message, status, details)
  return setmetatable({
    code = code,
    message = message,
    status = status or STATUS[code] or 400,
    details = details or {},
  }, Failure)
end

--- For handlers: `return failure.fail(4, "...")` is `return nil, failure.new(4, "...")`.
---@return nil, stream_events.server.Failure
function M.fail(code, message, status, details)
  return nil, M.new(code, message, status, details)
end

--- What went wrong inside the server; says nothing about it, the log does.
---@return stream_events.server.Failure
function M.internal()
  return M.new(-1, "internal error, see the server's log")
end

---@param value any
---@return boolean
function M.is(value)
  return getmetatable(value) == Failure
end

-- Messages quote what was sent, which may be no UTF-8, or be cut within a character.
local function well_formed(text)
  return utf8.len(text) and text or (text:gsub("[\128-\255]", "?"))
end

--- The envelope as it travels.
---@param failure stream_events.server.Failure
---@param endpoint string? prefixes the message; absent where the request never reached one
---@param duration string
---@return table
function M.envelope(failure, endpoint, duration)
  local message = failure.message
  if endpoint then message = ('%s failed with error: "%s"'):format(endpoint, message) end
  return {
    code = failure.code,
    message = well_formed(message),
    StatusCode = failure.status,
    duration = duration,
    more_info = MORE_INFO,
    details = native.json.array(failure.details),
  }
end

return M
