--- For whoever runs the server: GET /healthz says whether it works, GET /metrics how it fares.
local native = require "stream_events.native"
local expositions = require "stream_events.server.exposition"
local failures = require "stream_events.server.failure"
local metrics = require "stream_events.server.metrics"
local proxies = require "stream_events.server.proxies"

local function health(context)
  local status = context.server.health:status()
  return status == "ok" and 200 or 503, { status = status }, { "Cache-Control: no-store" }
end

-- Who holds the key; without one who asks on this machine itself, which is no page in a browser there; in
-- any case a backend.
local function may_read(context)
  local server, request = context.server, context.request
  local key = server.options.metrics_key
  local given = (request.headers.authorization or ""):match "^[Bb][Ee][Aa][Rr][Ee][Rr]%s+(.*)$"
  if key then
    if given and native.crypto.equals(given, key) then return true end
  elseif not request.headers.origin and proxies.is_local(request) then
    return true
  end
  local caller = server.auth:http(request, context.query)
  return caller ~= nil and caller.kind == "server"
end

local function read_metrics(context)
  if not may_read(context) then
    local _, failure = failures.fail(5, "the metrics are for whoever has the metrics_key, as a bearer token, "
      .. "or a server token; without a metrics_key also for this machine")
    failure.headers = { 'WWW-Authenticate: Bearer realm="metrics"' }
    return nil, context.server.rates:auth_failed(context.started, context.address, failure)
  end
  return 200, metrics.text(context.server),
    { "Content-Type: " .. expositions.CONTENT_TYPE, "Cache-Control: no-store" }
end

return {
  { "GET", "/healthz", endpoint = "Health", access = "open", handler = health },
  { "HEAD", "/healthz", endpoint = "Health", access = "open", handler = health },
  { "GET", "/metrics", endpoint = "Metrics", access = "open", handler = read_metrics },
}
