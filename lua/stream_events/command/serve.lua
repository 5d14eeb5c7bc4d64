--- `stream-events serve`: runs the bundled server until it is told to stop.
local bundled = require "stream_events.command.bundled"
local data = require "stream_events.command.data"
local file = require "stream_events.command.rules.file"
local luv = require "luv"
local native = require "stream_events.native"
local output = require "stream_events.command.output"
local settings = require "stream_events.command.settings"

local M = {}

-- Ends the server on the first signal; whoever sends a second one does not want to wait. SIGHUP reads
-- the rules again.
local function obey_signals(server, has_rules)
  local signals = {}
  local stopping = false
  local function stop()
    if stopping then os.exit(output.FAILURE) end
    stopping = true
    server:stop(function()
      for _, signal in ipairs(signals) do signal:close() end
    end)
  end
  for i, name in ipairs { "sigint", "sigterm" } do
    signals[i] = luv.new_signal()
    signals[i]:start(name, stop)
  end
  if not has_rules then return end
  signals[#signals + 1] = luv.new_signal()
  signals[#signals]:start("sighup", function() server:reload_rules() end)
end

-- The variables that other terminals need, because what the server was given is not the default.
local function environment(server, args)
  local words = {}
  if server.url ~= settings.BASE_URL then words[1] = "STREAM_BASE_URL=" .. server.url end
  if server.api_key ~= settings.API_KEY then words[#words + 1] = "STREAM_API_KEY=" .. server.api_key end
  if server.api_secret ~= settings.API_SECRET then words[#words + 1] = "STREAM_API_SECRET=..." end
  words[#words + 1] = args.program
  return table.concat(words, " ")
end

-- Who gave a key knows it, and does not want to read it where others may, too.
local function explain_dashboard(server)
  if not server.dashboard_url then return end
  output.note("Dashboard: " .. server.dashboard_url
    .. (server.dashboard_url:find("#", 1, true) and "" or " (with the key it was given)"))
end

local function explain(server, args)
  local command = environment(server, args)
  output.note(([[
In two other terminals:
  %s listen messaging:general --as thierry
  %s send messaging:general friendship_request text='Hey there' --as tommaso
Clients set base_url = "%s" and api_key = "%s"; state in %s. Ctrl-C ends the server.]])
    :format(command, command, server.url, server.api_key, args.data))
  explain_dashboard(server)
end

---@param args table
---@return integer exit code
function M.run(args)
  if args.check_data then return data.check(args) end
  local values, message = settings.for_server(args)
  if not values then return output.misuse(message) end
  local module
  module, message = bundled.load "stream_events.server"
  if not module then return output.fail(message) end

  for _, name in ipairs { "data", "rules", "api_key", "api_secret" } do
    if args[name] == "" then return output.misuse(("--%s must not be empty"):format(name:gsub("_", "-"))) end
  end
  local by_default = not args.data
  if args.rules then
    local ok
    ok, message = file.readable(args.rules, args)
    if not ok then return output.misuse(message) end
  end
  args.data = args.data or require "stream_events.server.store".default_path()
  local server, err = module.start {
    host = args.host, port = args.port, data = args.data, logger = output.log,
    api_key = values.api_key, api_secret = values.secret,
    rules = args.rules, watch = args.rules and true or nil,
  }
  if not server then
    if err.kind == "rule" then return file.fail(err, args.rules, args) end
    if err.kind == "network" then
      err.hint = "Is a server running there already? --port 0 picks a port that is free."
    elseif by_default then
      err.hint = "Name a file of your own with --data, or --data :memory:."
    end
    return output.fail(err, args.json)
  end
  obey_signals(server, args.rules ~= nil)
  local line = "listening on " .. server.url
  if args.json then
    line = native.json.encode {
      url = server.url, port = server.port, api_key = server.api_key, dashboard = server.dashboard_url,
    }
  end
  output.line(line)
  if not args.json then explain(server, args) end
  -- Most of the memory belongs to connections that are idle; by default Lua lets the heap grow to
  -- twice what is in use before it collects.
  collectgarbage("incremental", 135, 200)
  luv.run()
  return output.OK
end

return M
