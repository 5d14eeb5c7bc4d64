--- The demo: a server of its own, two users, and every kind of custom event between them.
-- Ends by itself: with 0 when every step happened as told, else with 1. Run it with `make demo`.
local luv = require "luv"
local stream_events = require "stream_events"
local token = require "stream_events.token"

local STEP_SECONDS = 10 -- for one step; the whole takes a fraction of one second
local API_KEY, SECRET = "demo-key", "demo-secret"

io.stdout:setvbuf "line"
local folder = arg[0]:match("^(.*)[/\\][^/\\]*$") or "."
-- The command of the checkout that this lies in; of an installation, the one on the path.
local COMMAND = folder .. "/../bin/stream-events"
local in_checkout = luv.fs_stat(COMMAND) ~= nil
if not in_checkout then COMMAND = "stream-events" end
local RULES = folder .. "/rules.lua"

local no_color = os.getenv "NO_COLOR"
local colour = luv.guess_handle(1) == "tty" and (no_color == nil or no_color == "")
local function paint(code, text)
  return colour and ("\27[%sm%s\27[0m"):format(code, text) or text
end

local steps = 0
local function step(title)
  steps = steps + 1
  print(paint("1", ("%d. %s"):format(steps, title)))
end

local function tell(format, ...)
  print(paint("32", "   ok ") .. format:format(...))
end

local clients, handles, interrupted = {}, {}, nil

-- Keeps a handle of luv until the end: what Lua forgets, luv closes.
local function keep(handle)
  handles[#handles + 1] = assert(handle)
  return handle
end

-- luv wakes up for whatever reaches a client, and now and then for the clients' own deadlines.
local function wake() end
keep(luv.new_timer()):start(10, 10, wake)

-- Runs everything there is, until condition() holds. Raises when it never does.
local function drive(what, condition)
  local deadline = luv.now() + STEP_SECONDS * 1000
  while not condition() do
    local busy = false
    for _, client in ipairs(clients) do
      client:poll()
      busy = busy or client:timeout() == 0
    end
    luv.run(busy and "nowait" or "once")
    if interrupted then error("interrupted", 0) end
    if luv.now() > deadline then error(("no sign of it: %s"):format(what), 0) end
  end
end

-- Makes a call in its callback form and waits for the answer. Blocking calls would do as well, if
-- the other client had not to be kept running meanwhile.
local function await(what, object, method, ...)
  local done, result, err = false, nil, nil
  local count, args = select("#", ...) + 1, { ... }
  args[count] = function(...)
    done, result, err = true, ...
  end
  object[method](object, (table.unpack or unpack)(args, 1, count)) -- luacheck: ignore 113 (Lua 5.1)
  drive(what, function() return done end)
  return result, err
end

local function must(what, object, method, ...)
  local result, err = await(what, object, method, ...)
  if not result then error(("%s: %s"):format(what, err), 0) end
  return result
end

local function refused(what, code, object, method, ...)
  local result, err = await(what, object, method, ...)
  if result then error(what .. ": it was not refused", 0) end
  if err.code ~= code then error(("%s: refused with another error: %s"):format(what, err), 0) end
  return err
end

-- Starts the command as a child; returns its handle and the address it listens on.
local function start_server()
  local out = assert(luv.new_pipe(false))
  local text, ended = "", false
  local handle
  handle = assert(luv.spawn(COMMAND, {
    args = {
      "serve", "--port", "0", "--data", ":memory:", "--api-key", API_KEY, "--api-secret", SECRET,
      "--log-level", "warn", "--json",
    },
    stdio = { nil, out, 2 },
  }, function()
    ended = true
    handle:close()
  end))
  out:read_start(function(_, data) text = text .. (data or "") end)
  local server = {}
  function server.stop()
    out:close()
    if ended then return end
    handle:kill "sigterm"
    local patience = assert(luv.new_timer())
    patience:start(5000, 0, function() handle:kill "sigkill" end)
    while not ended do luv.run "once" end
    patience:close()
  end
  function server.wait()
    drive("the server listens", function() return ended or text:find("\n", 1, true) end)
    if ended then error("the server ended at once", 0) end
    return text:match('"url":"([^"]*)"')
  end
  return server
end

local function new_client(base_url, options)
  options.api_key, options.base_url = API_KEY, base_url
  local client = assert(stream_events.new(options))
  clients[#clients + 1] = client
  keep(luv.new_poll(client:pollfd())):start("r", wake)
  return client
end

local function connect(base_url, id, name, rules)
  local client = new_client(base_url, { rules = rules })
  must(id .. " connects", client, "connect_user", { id = id, name = name }, token.user(SECRET, id))
  return client
end

local function run(server)
  step "Start the bundled server on a free port"
  local base_url = server.wait()
  tell("listening on %s", base_url)

  step "Connect two users and let them watch messaging:general"
  local thierry = connect(base_url, "thierry", "Thierry", RULES)
  local tommaso = connect(base_url, "tommaso", "Tommaso")
  local his = tommaso:channel("messaging", "general", { members = { "tommaso", "thierry" } })
  must("tommaso watches", his, "watch")
  local hers = thierry:channel("messaging", "general")
  must("thierry watches", hers, "watch")
  tell("tommaso and thierry are connected; thierry accepts what %s says", RULES)

  step "tommaso sends a friendship_request, thierry's handler answers it"
  local request, answer
  hers:subscribe_for("friendship_request", function(event)
    request = event
    hers:send_event("friendship_answer", { text = "With pleasure!" })
  end)
  his:subscribe_for("friendship_answer", function(event) answer = event end)
  local began = luv.hrtime()
  must("tommaso sends", his, "send_event", "friendship_request", { text = "Hey there, long time no see!" })
  drive("the answer arrives", function() return answer end)
  local milliseconds = (luv.hrtime() - began) / 1e6
  tell("thierry received %q from %s", request.text, request.user.id)
  tell("tommaso received %q; round trip %.1f ms", answer.text, milliseconds)

  step "A backend sends an event to tommaso alone"
  local backend, bonus = new_client(base_url, { secret = SECRET }), nil
  tommaso:subscribe_for("bonus", function(event) bonus = event end)
  must("the backend sends", backend, "send_user_custom_event", "tommaso", { type = "bonus", coins = 50 })
  drive("tommaso receives it", function() return bonus end)
  tell("tommaso received %d coins; trust: %s, which no user can forge", bonus.coins, bonus.trust)

  step "What is not allowed is refused"
  local stranger = connect(base_url, "stranger")
  local err = refused("a stranger sends", 17, stranger:channel("messaging", "general"), "send_event",
    "friendship_request", { text = "Let me in" })
  tell("a stranger who is no member gets %d: code %d", err.status, err.code)
  err = refused("tommaso forges message.new", 18, his, "send_event", "message.new", { text = "forged" })
  tell("a forged message.new gets: %s", err.message)

  step "What the rules do not accept reaches no handler"
  local resets, drops = {}, {}
  thierry:subscribe_for("password_reset", function(event) resets[#resets + 1] = event end)
  thierry:subscribe_for("event.dropped", function(drop) drops[#drops + 1] = drop end)
  must("tommaso forges a password_reset", his, "send_event", "password_reset",
    { url = "https://accounts.example/reset?code=666" })
  drive("thierry's client drops it", function() return drops[1] end)
  tell("a forged password_reset from %s: dropped, reason: %s", drops[1].envelope.user.id, drops[1].reason)
  must("the backend sends a password_reset", backend, "send_user_custom_event", "thierry",
    { type = "password_reset", url = "https://accounts.example/reset?code=4711" })
  drive("thierry receives the real one", function() return resets[1] end)
  if #resets > 1 or resets[1].trust ~= "server" then error("a forged event reached a handler", 0) end
  tell("the backend's password_reset: delivered, trust: %s", resets[1].trust)
end

local function suggest()
  local above = folder:match "^(.*)/examples$"
  local command = in_checkout and above and above .. "/bin/stream-events" or COMMAND
  if command:find("[^%w_./-]") then command = "'" .. command:gsub("'", "'\\''") .. "'" end
  print()
  print "Try it yourself, in three terminals:"
  print(("  %s serve"):format(command))
  print(("  %s listen messaging:general --as thierry"):format(command))
  print(("  %s send messaging:general friendship_request text='Hey there' --as tommaso"):format(command))
  print "Then write down what you accept, and see what is dropped:"
  print(("  %s rules new rules.lua"):format(command))
  print(("  %s listen messaging:general --rules rules.lua --as thierry"):format(command))
end

for _, name in ipairs { "sigint", "sigterm", "sighup" } do
  keep(luv.new_signal()):start(name, function() interrupted = true end)
end
-- Nobody reads any more, as after `| head`: that must not end the demo before its server has ended.
local deaf = luv.new_signal()
deaf:start("sigpipe", function() end)
deaf:unref() -- it stays to the end, and keeps nothing running

local server = start_server()
local ok, failure = pcall(run, server)
for _, client in ipairs(clients) do client:disconnect() end
server.stop()
for _, handle in ipairs(handles) do handle:close() end
luv.run() -- until every handle is closed
for _, client in ipairs(clients) do client:close() end
if not ok then
  io.stderr:write(paint("31", "The demo failed: "), tostring(failure), "\n")
  os.exit(1)
end
suggest()
