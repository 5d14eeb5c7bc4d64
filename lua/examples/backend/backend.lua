-- The backend of a small game: it gives its players tokens, is told by webhook what they send to channels,
-- and sends them rewards that no player can forge. It holds the secret; the game that players get does not.
--
--     STREAM_BASE_URL STREAM_API_KEY STREAM_API_SECRET   the service; default: `stream-events serve`, here
--     BACKEND_PORT      where it listens on this machine, behind a proxy that speaks TLS; default 3040
--     BACKEND_URL       where the service finds it; default http://127.0.0.1:PORT
--     BACKEND_PLAYERS   a file with a line for each player: ID KEY
--
--     POST /tokens      with "Authorization: Bearer KEY": {"user_id":...,"token":...,"expires":...}
--     POST /hooks       for the service
--
-- Its web server is that of the bundled server; any other does as well.
local folder = arg[0]:match "^(.*[/\\])" or "./"
package.path = folder .. "?.lua;" .. package.path

local attach = require("stream_events.loop.luv").attach
local listener = require "stream_events.server.listener"
local players = require "players"
local quests = require "quests"
local stream_events = require "stream_events"
local uv = require "luv"

local TOKEN_SECONDS = 3600
local HOOK_ID = "example-backend"

io.stdout:setvbuf "line"
local function say(format, ...) io.stderr:write(format:format(...), "\n") end

local function setting(name, default)
  local value = os.getenv(name)
  return value and value ~= "" and value or default
end

local function give_up(...)
  say(...)
  os.exit(1)
end

local port = tonumber((setting("BACKEND_PORT", "3040"):match "^%d+$"))
if not port or port > 65535 then give_up "BACKEND_PORT must be a number up to 65535" end
local secret = setting("STREAM_API_SECRET", "lan-dev-secret")
local file = setting("BACKEND_PLAYERS") or give_up "BACKEND_PLAYERS is not set: a file with lines ID KEY"
local known, problem = players.read(file)
if not known then give_up("BACKEND_PLAYERS: %s", problem) end

local client = assert(stream_events.new {
  api_key = setting("STREAM_API_KEY", "devkey"), secret = secret,
  base_url = setting("STREAM_BASE_URL", "http://127.0.0.1:3030"),
  logger = stream_events.stderr_logger "warning",
  timeouts = { request = 3 }, -- the service waits six seconds for what a webhook is answered with
})
local hooks = stream_events.webhook.receiver { secret = secret }
local web, trouble = listener.open { port = port, max_body = 65536 }
if not web then give_up("BACKEND_PORT: %s", tostring(trouble)) end
local _, actual = web.core:address()
local address = setting("BACKEND_URL", ("http://127.0.0.1:%d"):format(actual))

-- Answers: the status, a body, and lines of the header ----------------------------------------------

local routes = { ["/tokens"] = {}, ["/hooks"] = {} }

-- A player asks for a token, with the key that the game got when its player signed in.
routes["/tokens"].POST = function(request)
  local key = (request.headers.authorization or ""):match "^Bearer (%S+)$"
  local id = key and known:of_key(key)
  if not id then return 401, '{"problem":"no such key"}', { "WWW-Authenticate: Bearer" } end
  local expires = os.time() + TOKEN_SECONDS
  local token = assert(client:create_token(id, { exp = expires }))
  return 200, ('{"user_id":"%s","token":"%s","expires":%d}'):format(id, token, expires),
    { "Cache-Control: no-store" }
end

-- The service tells of an event. It is answered when the work is done: what could not be done comes again.
routes["/hooks"].POST = function(request)
  local delivery, status, err = hooks:receive(request.body, request.headers)
  if not delivery then
    if err then say("a webhook was refused: %s", tostring(err)) end
    return status, ""
  end
  local reward = quests.reward(delivery.event)
  if not reward then return status, "" end
  local ok, failure = client:send_user_custom_event(reward.user_id, {
    type = "reward", quest = reward.quest, coins = reward.coins,
  })
  if ok then
    print(("%s has %d coins for %s"):format(reward.user_id, reward.coins, reward.quest))
    return status, ""
  end
  reward.failed()
  say("no reward for %s: %s", reward.user_id, tostring(failure))
  if not failure.retryable then return status, "" end
  hooks:forget(delivery.id)
  return 503, ""
end

local function answer(request)
  local route = routes[request.path]
  if not route then return 404, '{"problem":"there is no such page"}' end
  if not route[request.method] then return 405, '{"problem":"only POST works here"}', { "Allow: POST" } end
  return route[request.method](request)
end

-- Each request has a coroutine, which calls of the client suspend.
local function respond(number, request)
  coroutine.wrap(function()
    local results = { pcall(answer, request) }
    if not results[1] then
      say("a request failed: %s", tostring(results[2]))
      results = { true, 500, "" }
    end
    web:respond(number, results[2], results[3], results[4])
  end)()
end

-- Beginning and end -----------------------------------------------------------------------------------

local handles = {}

local function stop()
  for _, handle in ipairs(handles) do handle:close() end
  handles = {}
  web:stop(1001, uv.hrtime() / 1e9 + 5, function() client:close() end)
end

-- Tells the service who the players are, and where it finds us.
local function introduce()
  local users = {}
  for i, id in ipairs(known:ids()) do users[i] = { id = id } end
  local ok, err = client:upsert_users(users)
  if not ok then return nil, err end
  local hook = {
    webhook_url = address .. "/hooks", event_types = { quests.EVENT }, should_send_custom_events = true,
    enabled = true,
  }
  ok, err = client:update_event_hook(HOOK_ID, hook)
  if not ok and err.code == 16 then -- there is none yet
    hook.id = HOOK_ID
    ok, err = client:add_event_hook(hook)
  end
  return ok, err
end

local code = 0
web:start {
  request = respond,
  upgrade = function(number) web:respond(number, 404, "") end,
  message = function() end,
  closed = function() end,
  second = function() end,
  failed = function(what, err) say("%s: %s", what, tostring(err)) end,
}
attach(client)
for _, name in ipairs { "sigterm", "sigint" } do
  local handle = uv.new_signal()
  handle:start(name, stop)
  handles[#handles + 1] = handle
end
coroutine.wrap(function()
  local ok, err = introduce()
  if ok then return print("listening on http://127.0.0.1:" .. actual) end
  say("the service does not take us: %s", tostring(err))
  code = 1
  stop()
end)()
uv.run()
os.exit(code)
