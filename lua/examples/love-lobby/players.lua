--- Company for the lobby: some players, a cheater, and somebody who lights fireworks.
--   lua5.4 lua/examples/love-lobby/players.lua [--serve] [--url URL]
-- With --serve it starts the bundled server as well, unless one runs there already. Ctrl-C ends all of it.
local folder = arg[0]:match "^(.*)[/\\][^/\\]*$" or "."
package.path = ("%s/?.lua;%s;%s/../../?.lua;%s/../../?/init.lua"):format(folder, package.path, folder, folder)
package.cpath = ("%s;%s/../../../build/?.so"):format(package.cpath, folder)

local Bot = require "players.bot"
local Cheater = require "players.cheater"
local Fireworks = require "players.fireworks"
local settings_module = require "lobby.settings"
local uv = require "luv"

local NAMES = { "Ada", "Bo", "Cleo", "Dex", "Enzo", "Fay" }
local SERVER_OUTPUT = 16 << 20 -- bytes that may wait for a game while a burst comes in faster than it reads

io.stdout:setvbuf "line"

local function read_arguments()
  local rest, serves = {}, false
  for _, word in ipairs(arg) do
    if word == "--serve" then serves = true else rest[#rest + 1] = word end
  end
  local settings, message = settings_module.read(rest, math.random)
  if settings and not settings.secret then message = "STREAM_API_SECRET is not set" end
  if not message then return settings, serves end
  io.stderr:write(message, "\nusage: lua5.4 players.lua [--serve] [--url http://HOST:PORT]\n")
  os.exit(2)
end

local function start_server(settings)
  local host, port = settings.base_url:match "^http://([%d.]+):(%d+)$"
  if not host then return nil, "--serve needs a URL like http://127.0.0.1:3030" end
  return require "stream_events.server".start {
    host = host, port = math.tointeger(port), data = ":memory:", max_output = SERVER_OUTPUT,
    api_key = settings.api_key, api_secret = settings.secret,
  }
end

local settings, serves = read_arguments()
local server
if serves then
  local err
  server, err = start_server(settings)
  if server then
    print("listening on " .. server.url)
  elseif err.kind == "network" then
    print("A server runs there already, it seems: " .. err.message)
  else
    io.stderr:write(tostring(err), "\n")
    os.exit(1)
  end
end

local actors = { Fireworks.new(settings, folder), Cheater.new(settings) }
for _, name in ipairs(NAMES) do actors[#actors + 1] = Bot.new(settings, folder, name) end
for _, actor in ipairs(actors) do actor:start() end
print(("%s, and Mallory who cheats, play at %s"):format(table.concat(NAMES, ", "), settings.base_url))

local signals = {}
local function stop()
  for _, signal in ipairs(signals) do signal:close() end
  signals = {}
  for _, actor in ipairs(actors) do actor:stop() end
  if server then server:stop() end
end
for _, name in ipairs { "sigint", "sigterm", "sighup" } do
  local signal = assert(uv.new_signal())
  signal:start(name, stop)
  signals[#signals + 1] = signal
end
uv.run()
