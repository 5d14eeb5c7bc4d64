--- `stream-events serve`: runs the bundled server until it is told to stop.
local bundled = require "stream_events.command.bundled"
local collector = require "stream_events.command.collector"
local data = require "stream_events.command.data"
local file = require "stream_events.command.rules.file"
local format = require "stream_events.command.format"
local logs = require "stream_events.command.log"
local luv = require "luv"
local native = require "stream_events.native"
local output = require "stream_events.command.output"
local print_config = require "stream_events.command.print_config"
local serve_settings = require "stream_events.command.serve_settings"
local settings = require "stream_events.command.settings"

local M = {}

local function warn(say, found)
  for _, warning in ipairs(found.warnings) do say("warn", warning) end
end

-- Without room for its connections a server refuses them long before its own limit.
local function make_room(module, values, say)
  local allowed, needed = module.room_for(values.max_connections)
  if allowed >= needed then return end
  say("warn", "the system lets this process open fewer files than max_connections needs: raise `ulimit -n`, "
    .. "or LimitNOFILE of the service", { allowed = allowed, needed = needed })
end

-- Reads settings and rules again. What is wrong with either leaves both as they are.
local function reload(server, args, log)
  local function say(...) server:log(...) end -- so that /metrics counts it
  local function failed(why)
    say("error", "the settings were not reloaded: the ones before stay in force", { error = tostring(why) })
  end
  local found, message = serve_settings.gather(args)
  if not found then return failed(message) end
  warn(say, found)
  server:reload(serve_settings.for_server(found, log.write), function(report, err)
    if not report then return failed(err) end
    log.configure(found.values)
    make_room(require "stream_events.server", found.values, say)
    say("info", "the settings were reloaded", { file = found.file })
  end)
end

-- Ends the server on the first signal; whoever sends a second one does not want to wait.
local function obey_signals(server, args, log)
  local signals, stopping = {}, false
  local function on(name, act)
    local signal = assert(luv.new_signal())
    signal:start(name, act)
    signals[#signals + 1] = signal
  end
  local function stop(name)
    if stopping then os.exit(output.code_of(name)) end
    stopping = true
    server:log("info", "the server is stopping", { signal = name })
    server:stop(function()
      server:log("info", "the server has stopped")
      for _, signal in ipairs(signals) do signal:close() end
    end)
  end
  on("sigint", stop)
  on("sigterm", stop)
  on("sighup", function() reload(server, args, log) end)
  -- Whoever read the log may be gone; the server goes on without.
  on("sigpipe", function() end)
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
local function explain_dashboard(server, say)
  if not server.dashboard_url then return end
  say("Dashboard: " .. server.dashboard_url
    .. (server.dashboard_url:find("#", 1, true) and "" or " (with the key it was given)"))
end

local function explain(server, args, path)
  local command = environment(server, args)
  output.note(([[
In two other terminals:
  %s listen messaging:general --as thierry
  %s send messaging:general friendship_request text='Hey there' --as tommaso
Clients set base_url = "%s" and api_key = "%s"; state in %s. Ctrl-C ends the server.]])
    :format(command, command, server.url, format.plain(server.api_key), format.plain(path)))
  explain_dashboard(server, output.note)
end

local function announce(server, args, found)
  local line = "listening on " .. server.url
  if args.json then
    line = native.json.encode {
      url = server.url, port = server.port, api_key = server.api_key, dashboard = server.dashboard_url,
    }
  end
  output.line(line)
  if found.values.log_format == "json" then
    -- Standard error holds nothing but the log then, and no log is to hold a key.
    if not args.json then explain_dashboard(server, output.line) end
    server:log("info", "the server is listening", { url = server.url, version = native.version })
  elseif not args.json then
    explain(server, args, found.values.data)
  end
end

-- Why one cannot listen at an address, by the reason that the system gives.
local function address_hint(message)
  if message:find("already in use", 1, true) then
    return "Is a server running there already? --port 0 picks a port that is free."
  elseif message:find("permission denied", 1, true) then
    return "Ports below 1024 are for root: take another one, and let a reverse proxy listen there."
  end
  return "--host takes an address of this machine: 127.0.0.1, or 0.0.0.0 for all it has."
end

local function failed(err, found, args)
  if err.kind == "rule" then return file.fail(err, found.values.rules, args) end
  if err.kind == "network" then
    err.hint = address_hint(err.message)
  elseif found.origins.data.from == "default" then
    err.hint = "Name a file of your own with --data, or --data :memory:."
  end
  return output.fail(err, args.json)
end

---@param args table
---@return integer exit code
function M.run(args)
  local module, message = bundled.load "stream_events.server"
  if not module then return output.fail(message) end
  local found
  found, message = serve_settings.gather(args, args.check_data and not args.print_config)
  if not found then return output.misuse(message) end
  local log = logs.new(found.values)
  warn(log.write, found)
  if args.print_config then return print_config.run(found, args) end
  if args.check_data then return data.check(found, args) end
  if found.values.rules then
    local ok
    ok, message = file.readable(found.values.rules, args)
    if not ok then return output.misuse(message) end
  end
  make_room(module, found.values, log.write)
  local server, err = module.start(serve_settings.for_server(found, log.write))
  if not server then return failed(err, found, args) end
  obey_signals(server, args, log)
  announce(server, args, found)
  local stop_collector = collector.start(server)
  luv.run()
  stop_collector()
  luv.run() -- until the timer is closed
  return output.OK
end

return M
