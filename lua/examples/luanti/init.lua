-- A Luanti (Minetest) server that shares its chat with a channel: what is said on one side is heard on the
-- other, and who comes and goes is told. A step of the server gives the network two milliseconds at most.
local BUDGET = { max_events = 50, max_milliseconds = 2 }
local RETRY = 2 -- seconds

local insecure = minetest.request_insecure_environment()
if not insecure then
  error("stream_events_bridge needs the network. Trust it in the server's configuration:\n"
    .. "secure.trusted_mods = stream_events_bridge", 0)
end
local folder = minetest.get_modpath(minetest.get_current_modname())
local stream_events = assert(loadfile(folder .. "/plugin.lua"))(insecure)

local function setting(name, default)
  return minetest.settings:get("stream_events_" .. name) or default
end

local function log(level, text)
  minetest.log(level, "[stream_events_bridge] " .. text)
end

local token_file = setting "token_file"
if not token_file then
  log("warning", "stream_events_token_file is not set: nothing is connected")
  return
end

-- Asked for whenever one is needed, so a new token can be put there at any time.
local open = insecure.io.open
local function token()
  local file, problem = open(token_file)
  if not file then return nil, problem end
  local text = file:read "*l"
  file:close()
  return text, text == nil and "the token file is empty" or nil
end

local LEVELS = { debug = "verbose", info = "info", warning = "warning", error = "error" }
local client, problem = stream_events.new {
  base_url = setting("base_url", "http://127.0.0.1:3030"),
  api_key = setting("api_key", "devkey"),
  rules = folder .. "/rules.lua",
  logger = function(level, message, fields)
    log(LEVELS[level], message .. (fields.error and ": " .. tostring(fields.error) or ""))
  end,
}
if not client then error(tostring(problem), 0) end
local channel = client:channel(setting("channel", "livestream:luanti"):match "^(.-):(.*)$")

-- Connecting --------------------------------------------------------------------------------------

local wait = 0 -- seconds until the next attempt; nil: none is due

local function later(err)
  log("warning", tostring(err))
  wait = RETRY
end

-- Connecting and watching are tried once; what is lost after that comes back by itself.
local function connect()
  wait = nil
  client:connect_user({ id = setting("user", "luanti") }, token, function(me, err)
    if not me then return later(err) end
    channel:watch(function(watched, failure)
      if not watched then return client:disconnect(function() later(failure) end) end
      log("action", "online")
    end)
  end)
end

minetest.register_globalstep(function(seconds)
  if wait then
    wait = wait - seconds
    if wait <= 0 then connect() end
  end
  client:poll(BUDGET)
end)

minetest.register_on_shutdown(function()
  client:disconnect() -- a second at most
  client:close()
end)

-- From the channel --------------------------------------------------------------------------------

-- Escapes colour text, and more, on the screens of players; new lines would look like somebody else's.
local function plain(text)
  return (text:gsub("%c+", " "))
end

channel:subscribe_for("chat", function(event)
  if event.trust == "self" then return end -- said here
  local name = event.name and event.name .. ", " .. event.user.id or event.user.id
  minetest.chat_send_all(("<%s> %s"):format(plain(name), plain(event.text)))
end)

client:subscribe_for("announcement", function(event)
  minetest.chat_send_all("*** " .. plain(event.text))
end)

-- To the channel ----------------------------------------------------------------------------------

local function send(event_type, data)
  if not client:online() then return end
  channel:send_event(event_type, data, function(sent, err)
    if not sent then log("warning", ("%s was not sent: %s"):format(event_type, tostring(err))) end
  end)
end

minetest.register_on_chat_message(function(name, text)
  if text:sub(1, 1) ~= "/" then
    send("chat", { name = name, text = plain(minetest.strip_colors(text)) })
  end
end)
minetest.register_on_joinplayer(function(player)
  send("player_joined", { name = player:get_player_name() })
end)
minetest.register_on_leaveplayer(function(player)
  send("player_left", { name = player:get_player_name() })
end)

minetest.register_chatcommand("stream", {
  description = "How the connection to the channel fares",
  privs = { server = true },
  func = function()
    local stats = client:stats()
    return true, ("%s; %d events received, %d delivered, longest turn %.1f ms"):format(
      stats.online and "online" or "offline", stats.received, stats.delivered, stats.longest_poll * 1000)
  end,
})
