--- The C core as the other modules see it: the same names, and failures as error objects.
-- This is the only module that requires `stream_events.core`. Routers, transports and connections
-- are the core's own objects; their methods give `nil, kind, message`, see `native.error`.
local core = require "stream_events.core"
local errors = require "stream_events.error"

---@class stream_events.native: stream_events.core
local M = setmetatable({}, { __index = core })

-- What the core calls a failure, where the kinds of errors have another word for it.
local KINDS = {
  memory = "full", argument = "protocol",
  tls = "network", certificate = "network", trust = "network", proxy = "network",
}

-- What to do about the failures of networks that somebody can do something about.
local HINTS = {
  tls = "base_url must name a port where the server speaks TLS 1.2 or newer; begin it with http:// for a "
    .. "server of your own without TLS.",
  certificate = "Compare the names in the certificate with base_url, and its dates with this machine's "
    .. "clock; whoever runs the server has to renew a certificate that has expired.",
  trust = "For a certificate of your own, or of an authority of your own, give the PEM file of that "
    .. "authority, or of the certificate itself, as option ca_file.",
  proxy = "The proxy is that of option proxy, else of the variables http_proxy, https_proxy and all_proxy, "
    .. "like http://user:password@host:3128 or socks5h://host:1080; no_proxy names hosts to reach without.",
}

--- Makes the error object out of a failure that the core reported as `nil, kind, message, code`.
---@param kind string
---@param message string
---@param code integer? HTTP status or close code
---@return stream_events.Error
function M.error(kind, message, code)
  local hint = HINTS[kind]
  kind = KINDS[kind] or kind
  -- Queues and memory that are full now need not be so later.
  return errors.new {
    kind = kind, message = message, code = code, hint = hint, retryable = kind == "full" or nil,
  }
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

--- What every send goes through, without anything around it: failures are `nil, kind, message`.
M.plain = { extend = core.json.extend, new_event = core.event.new }

return M
