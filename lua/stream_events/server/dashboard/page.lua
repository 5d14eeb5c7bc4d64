--- The files of the dashboard's page: read once, and served with headers that let a browser run nothing
-- but them. They hold no data, so they need no key.
local errors = require "stream_events.error"
local native = require "stream_events.native"

local M = {}

local TYPES = {
  html = "text/html; charset=utf-8", css = "text/css; charset=utf-8",
  js = "text/javascript; charset=utf-8", svg = "image/svg+xml",
}

-- The first is the page itself.
local FILES = {
  "index.html", "style.css", "icon.svg", "main.js", "session.js", "stream.js", "events.js", "plot.js",
  "counters.js", "types.js", "grants.js", "lists.js", "send.js", "dom.js",
}

-- Even a text that got into the page as markup could load, run and send nothing; and nobody may frame it.
local SECURITY = {
  "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    .. "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    .. "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  "X-Content-Type-Options: nosniff",
  "X-Frame-Options: DENY",
  "Referrer-Policy: no-referrer",
  "Cross-Origin-Opener-Policy: same-origin",
  "Cross-Origin-Resource-Policy: same-origin",
  "Permissions-Policy: camera=(), geolocation=(), microphone=()",
}

local function headers_of(name, etag)
  local lines = {
    "Content-Type: " .. TYPES[name:match("%.(%w+)$")],
    "Cache-Control: no-cache", -- kept, but asked for again: an update must not mix with what was before
    "ETag: " .. etag,
  }
  for _, line in ipairs(SECURITY) do lines[#lines + 1] = line end
  return lines
end

-- Whether If-None-Match names the version we have.
local function is_known(request, etag)
  local known = request.headers["if-none-match"]
  return known ~= nil and (known == "*" or known:find(etag, 1, true) ~= nil)
end

local function route_of(path, name, content)
  local etag = '"' .. native.crypto.hex(native.crypto.sha256(content)):sub(1, 32) .. '"'
  local headers = headers_of(name, etag)
  return {
    "GET", path, endpoint = "Dashboard", access = "open",
    handler = function(context)
      if is_known(context.request, etag) then return 304, "", headers end
      return 200, content, headers
    end,
  }
end

-- The folder of this module's own files; nil when it was not loaded from a path.
local function folder()
  local module = package.searchpath("stream_events.server.dashboard.page", package.path)
  return module and module:gsub("%.lua$", "") .. "/"
end

--- Reads the files.
---@return table[]? routes one for each
---@return stream_events.Error? err a file is missing
function M.routes()
  local routes = {}
  local place = folder() or ""
  for i, name in ipairs(FILES) do
    local file, message = io.open(place .. name, "rb")
    if not file then
      return nil, errors.new {
        kind = "protocol", message = "the dashboard's page is not there: " .. message,
        hint = "Install the server again, or start it with dashboard = false.",
      }
    end
    routes[i] = route_of(i == 1 and "/dashboard" or "/dashboard/" .. name, name, file:read "a")
    file:close()
  end
  local moved = { "Location: ../dashboard", "Content-Type: text/plain" }
  routes[#routes + 1] = {
    "GET", "/dashboard/", endpoint = "Dashboard", access = "open",
    handler = function() return 308, "", moved end,
  }
  return routes
end

return M
