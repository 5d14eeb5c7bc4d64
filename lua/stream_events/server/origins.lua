--- Which pages of other origins may call the server from a browser (setting allowed_origins): the answers
-- of the CORS protocol (Fetch standard, "HTTP extensions"). Cookies are not used, so none are allowed.
local M = {}

local METHODS = "Access-Control-Allow-Methods: GET, POST, PUT, PATCH, DELETE"
local EXPOSED = "Access-Control-Expose-Headers: X-Request-Id, Retry-After, X-RateLimit-Limit, "
  .. "X-RateLimit-Remaining, X-RateLimit-Reset"
local MAX_AGE = "Access-Control-Max-Age: 7200" -- seconds; no browser keeps it longer
local VARY = "Vary: Origin"
local ANY = "*"
local DEFAULT_PORTS = { http = "80", https = "443" } -- a browser does not name them
local LONGEST = 1024 -- bytes of the list of headers that a page wants to send

--- What is wrong with an entry of the setting; nil: nothing.
---@param origin any
---@return string?
function M.wrong(origin)
  if type(origin) ~= "string" then return "must be a list of origins" end
  if origin == ANY then return nil end
  local scheme, host = origin:match "^([a-z][a-z0-9+.-]*)://([^/?#@%s%c*]+)$"
  local port = host and host:match ":(%d+)$"
  if host and host == host:lower() and not (port and port == DEFAULT_PORTS[scheme]) then return nil end
  return ("is wrong: %q is no origin like https://game.example or http://localhost:8080"):format(origin)
end

--- Whether the setting allows every page.
---@param value string|string[]|nil
---@return boolean
function M.are_all(value)
  if type(value) == "table" then value = table.concat(value, ",") end
  for origin in (value or ""):gmatch "[^,%s]+" do
    if origin == ANY then return true end
  end
  return false
end

---@class stream_events.server.Origins
---@field private options { allowed_origins: string[]? }
---@field private list string[]? what was read last
---@field private allowed table<string, true>
local Origins = { __name = "stream_events.server.origins" }
Origins.__index = Origins

---@param options stream_events.server.Options read at every request, so that they may change
---@return stream_events.server.Origins
function M.new(options)
  return setmetatable({ options = options, allowed = {} }, Origins)
end

-- The line that allows the origin of a request; nil: it is not allowed, or the request has none.
local function allow_line(self, request)
  local list, origin = self.options.allowed_origins, request.headers.origin
  if not list or not origin then return nil end
  if self.list ~= list then
    self.list, self.allowed = list, {}
    for _, each in ipairs(list) do self.allowed[each] = true end
  end
  if self.allowed[ANY] then return "Access-Control-Allow-Origin: *" end
  return self.allowed[origin] and "Access-Control-Allow-Origin: " .. origin or nil
end

--- The answer to a browser that asks whether a page may make a call; nil: that is not asked, or not allowed.
---@param request stream_events.server.Request
---@return integer? status
---@return string? body
---@return string[]? headers
function Origins:preflight(request)
  local headers = request.headers
  if request.method ~= "OPTIONS" or not headers["access-control-request-method"] then return nil end
  if not allow_line(self, request) then return nil end
  local lines = { METHODS, MAX_AGE }
  local asked = headers["access-control-request-headers"]
  if asked and #asked <= LONGEST and not asked:find "[^%w, _-]" then
    lines[#lines + 1] = "Access-Control-Allow-Headers: " .. asked
  end
  return 204, "", lines
end

--- Adds to the header lines of an answer those that let a page read it.
---@param request stream_events.server.Request
---@param headers string[]? left as they are
---@return string[]?
function Origins:add_to(request, headers)
  local line = allow_line(self, request)
  if not line then return headers end
  local lines = { line, EXPOSED, VARY }
  return headers and table.move(headers, 1, #headers, #lines + 1, lines) or lines
end

return M
