-- A backend that gets a copy of every event. Tell the server: client:update_app { event_hooks = { {
--   webhook_url = "http://127.0.0.1:3040", should_send_custom_events = true } } }
io.stdout:setvbuf "line"
local hooks = require("stream_events.webhook").receiver { secret = "lan-dev-secret" }
local web = assert(require("stream_events.server.listener").open { port = 3040 }) -- or any other
web:start {
  request = function(_, request)
    local delivery, status, err = hooks:receive(request.body, request.headers)
    if delivery then print(delivery.event.type, delivery.text) end
    return status, err and tostring(err) or ""
  end,
  upgrade = function(connection) web.core:respond(connection, 400, "") end,
  second = function() end, message = print, closed = print, failed = print,
}
print "listening on http://127.0.0.1:3040"
require("luv").run()
