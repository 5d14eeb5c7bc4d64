--- The C core as the other modules see it: the same names, and failures as error objects.
-- This is the only module that requires `stream_events.core`. Routers, transports and connections
-- are the core's own objects; their methods give `nil, kind, message`, see `native.error`.
local core = require "stream_events.core"
local errors = require "stream_events.error"

---@class stream_events.native: stream_events.core
local M = setmetatable({}, { __index = core })

-- What the core calls a failure, where the kinds of errors have another word for it.
local KINDS = { memory = "full", argument = "protocol" }

--- Makes the error object out of a failure that the core reported as `nil, kind, message, code`.
---@param kind string
---@param message string
---@param code integer? HTTP status or close code
---@return stream_events.Error
function M.error(kind, message, code)
  kind = KINDS[kind] or kind
  -- Queues and memory that are full now need not be so later.
  return errors.new { kind = kind, message = message, code = code, retryable = kind == "full" or nil }
end

-- The part `name` of the core, with those functions that can fail giving `nil, err`. None of them
-- takes more than three arguments.
local function part(name, failing)
  local source = core[name]
  local result = {}
  for _, key in ipairs(failing) do
    local run = source[key]
    result[key] = function(a, b, c)
      local value, kind, message = run(a, b, c)
      if value == nil then return nil, M.error(kind, message) end
      return value
    end
  end
  return setmetatable(result, { __index = source })
end

M.json = part("json", { "decode", "encode", "extend", "members" })
M.event = part("event", { "new" })
M.crypto = part("crypto", { "base64_decode", "base64url_decode" })

return M
