--- `stream-events serve`: runs the bundled server until it is told to stop.
local format = require "stream_events.command.format"
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
    server:stop(function()
      for _, signal in ipairs(signals) do signal:close() end
    end)
  end
  for i, name in ipairs { "sigint", "sigterm" } do
    signals[i] = luv.new_signal()
    signals[i]:start(name, stop)
  end
end

-- A word as a shell takes it.
local function quoted(word)
  if not word:find("[^%w_./-]") then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- How to call the command in another terminal: by its name, if that finds it.
local function spelled(program)
  local folder, name = program:match("^(.*)/([^/]+)$")
  for each in (os.getenv "PATH" or ""):gmatch("[^:]+") do
    if each == folder then return name end
  end
  return quoted(program)
end

-- The variables that other terminals need, because what the server was given is not the default.
local function environment(server, args)
  local words = {}
  if server.url ~= settings.BASE_URL then words[1] = "STREAM_BASE_URL=" .. server.url end
  if server.api_key ~= settings.API_KEY then words[#words + 1] = "STREAM_API_KEY=" .. server.api_key end
  if server.api_secret ~= settings.API_SECRET then words[#words + 1] = "STREAM_API_SECRET=..." end
  words[#words + 1] = spelled(args.program)
  return table.concat(words, " ")
end

local function explain(server, args)
  local command = environment(server, args)
  output.note(([[
In two other terminals:
  %s listen messaging:general --as thierry
  %s send messaging:general friendship_request text='Hey there' --as tommaso
Clients set base_url = "%s" and api_key = "%s"; state in %s. Ctrl-C ends the server.]])
    :format(command, command, server.url, server.api_key, args.data))
end

-- What the operator should know: a line, and below it the details, a traceback in several.
local function log(level, message, fields)
  if level ~= "warn" and level ~= "error" then return end
  local details = {}
  for name, value in pairs(fields or {}) do
    details[#details + 1] = name .. ": " .. tostring(value):gsub("\t", "  ")
  end
  table.sort(details)
  output.note(format.plain(level .. ": " .. message))
  for line in table.concat(details, "\n"):gmatch("[^\n]+") do output.note("  " .. format.plain(line)) end
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

  for _, name in ipairs { "data", "api_key", "api_secret" } do
    if args[name] == "" then return output.misuse(("--%s must not be empty"):format(name:gsub("_", "-"))) end
  end
  local by_default = not args.data
  args.data = args.data or require "stream_events.server.store".default_path()
  local server, err = bundled.start {
    host = args.host, port = args.port, data = args.data, logger = log,
    api_key = values.api_key, api_secret = values.secret,
  }
  if not server then
    if err.kind == "network" then
      err.hint = "Is a server running there already? --port 0 picks a port that is free."
    elseif by_default then
      err.hint = "Name a file of your own with --data, or --data :memory:."
    end
    return output.fail(err, args.json)
  end
  stop_on_signals(server)
  local line = "listening on " .. server.url
  if args.json then
    line = native.json.encode { url = server.url, port = server.port, api_key = server.api_key }
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
