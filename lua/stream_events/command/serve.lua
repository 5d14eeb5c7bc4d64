--- `stream-events serve`: runs the bundled server until it is told to stop.
local luv = require "luv"
local native = require "stream_events.native"
local output = require "stream_events.command.output"
local settings = require "stream_events.command.settings"

local M = {}

-- Ends the server on the first signal; whoever sends a second one does not want to wait.
local function stop_on_signals(server)
  local signals = {}
  local stopping = false
  local function stop()
    if stopping then os.exit(output.FAILURE) end
    stopping = true
    server:stop()
    for _, signal in ipairs(signals) do signal:unref() end
  end
  for i, name in ipairs { "sigint", "sigterm" } do
    signals[i] = luv.new_signal()
    signals[i]:start(name, stop)
  end
end

local function explain(server)
  output.note(([[
API key %s; clients set base_url = "%s".
In two other terminals:
  stream-events listen messaging:general --as thierry
  stream-events send messaging:general friendship_request text="Hey there" --as tommaso
Ctrl-C ends the server.]]):format(server.api_key, server.url))
end

---@param args table
---@return integer exit code
function M.run(args)
  local values, message = settings.for_server(args)
  if not values then return output.misuse(message) end
  local found, bundled = pcall(require, "stream_events.server")
  if not found then
    if not tostring(bundled):find("module 'stream_events.server' not found", 1, true) then
      return output.fail(tostring(bundled))
    end
    return output.fail "the server is a package of its own: luarocks install stream-events-server"
  end

  local server, err = bundled.start {
    host = args.host, port = args.port, data = args.data,
    api_key = values.api_key, api_secret = values.secret,
  }
  if not server then return output.fail(err, args.json) end
  stop_on_signals(server)
  local line = "listening on " .. server.url
  if args.json then
    line = native.json.encode { url = server.url, port = server.port, api_key = server.api_key }
  end
  output.line(line)
  if not args.json then explain(server) end
  luv.run()
  return output.OK
end

return M
