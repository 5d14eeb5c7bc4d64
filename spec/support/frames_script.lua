--- A client through all that can happen to it, frame by frame: every poll(0), and every other call
-- that a frame may make, is measured and must not sleep. Run under callgrind with frame_meter
-- preloaded; usage: lua5.4 frames_script.lua CERTIFICATE KEY OTHER_CERTIFICATE MANY ["system"]: those of
-- the listener, and one that is not its; of how many channels and sends there are at once; and whether the
-- system's own certificates are tried as well.
-- Ends with "done", or with the first call that would have slept.
local uv = require "luv"
local meter = require "frame_meter"
local native = require "stream_events.native"
local peer = require "support.peer"
local stream_events = require "stream_events"
local tls = require "support.tls"

local CERTIFICATE, KEY, OTHER_CERTIFICATE = arg[1], arg[2], arg[3]
local MANY, SYSTEM = tonumber(arg[4]), arg[5] == "system"
local json = native.json
local PATIENCE = 200 -- seconds: nothing is fast in here

-- The server ---------------------------------------------------------------------------------------

local server = { reconnects = true, held = {} }

local function greeting(id)
  return peer.frame("text", json.encode {
    type = "health.check", cid = "*", created_at = "2026-01-01T00:00:00Z", connection_id = id,
    me = { id = "john", role = "user" },
  })
end

-- A channel as a query gives it, with what is usual around it.
local function channel_answer(channel_type, id)
  local members = {}
  for i = 1, 3 do
    local user = { id = "user-" .. i, name = "User " .. i, role = "user", online = true }
    members[i] = { user_id = user.id, user = user, created_at = "2026-01-01T00:00:00Z" }
  end
  return {
    channel = {
      type = channel_type, id = id, cid = channel_type .. ":" .. id, config = { custom_events = true },
      own_capabilities = { "send-custom-events", "read-events" },
    },
    members = json.array(members), messages = json.array {}, read = json.array {}, watcher_count = 1,
  }
end

local function answer_of(request)
  local path = request.target:match "^[^?]*"
  local channel_type, id = path:match "^/channels/([^/]+)/([^/]+)/query$"
  if channel_type then return channel_answer(channel_type, id) end
  channel_type, id = path:match "^/channels/([^/]+)/([^/]+)/event$"
  if channel_type then
    local event = json.decode(request.body).event
    event.cid, event.user = channel_type .. ":" .. id, { id = "john" }
    return { event = event, duration = "1ms" }
  end
  if path == "/channels" then
    local found = {}
    for cid in request.body:gmatch '"(messaging:[%w-]+)"' do
      found[#found + 1] = channel_answer(cid:match "^(.-):(.*)$")
    end
    return { channels = json.array(found), duration = "1ms" }
  end
  return { duration = "1ms", events = json.array {} }
end

local function take(connection)
  local request = connection:take_request()
  while request do
    if request.headers.upgrade then
      server.connections = (server.connections or 0) + 1
      server.socket = connection
      connection:say(peer.accept(request) .. greeting("connection-" .. server.connections))
      connection.received = ""
      connection.on_bytes = function() connection.received = "" end
      return
    end
    local current = request
    local function answer() connection:answer(201, json.encode(answer_of(current))) end
    if server.holds then server.held[#server.held + 1] = answer else answer() end
    request = connection:take_request()
  end
end

local listener = peer.listen(function(connection)
  function connection.on_bytes() take(connection) end
end)

local function event_frame(fields)
  fields.created_at, fields.user = "2026-01-01T00:00:01Z", { id = "jane" }
  fields.cid = fields.cid or "messaging:c1"
  return peer.frame("text", json.encode(fields))
end

-- Frames ---------------------------------------------------------------------------------------------

--- A call that is measured.
local function measured(name, run, ...)
  meter.begin()
  local result = table.pack(run(...))
  local sleeps, how = meter.finish(name)
  if sleeps > 0 then error(("%s: %d times in %s"):format(name, sleeps, how), 0) end
  return table.unpack(result, 1, result.n)
end

local watches = {}

-- Lets the peers go on, until there is something to do for a client or for them.
local function between(client)
  local timer = uv.new_timer()
  local fd = client:pollfd()
  local poll = watches[fd] or uv.new_poll(fd)
  watches[fd] = poll
  poll:start("r", function() end)
  local seconds = math.min(client:timeout() or 1, 1)
  uv.update_time()
  timer:start(math.ceil(seconds * 1000), 0, function() end)
  uv.run(seconds > 0 and "once" or "nowait")
  poll:stop()
  timer:close()
end

local function frames(name, client, condition)
  local ends = native.now() + PATIENCE
  repeat
    assert(native.now() < ends, name .. ": waited in vain")
    measured(name, client.poll, client, 0)
    between(client)
  until condition()
end

local function forget(client)
  local poll = watches[client:pollfd()]
  if poll then poll:close() end
  watches[client:pollfd()] = nil
end

local function close(client)
  forget(client)
  measured("close", client.close, client)
  repeat measured("close", client.poll, client, 0) until not client:timeout()
  uv.run "nowait"
end

local function new(options, timeouts)
  options.api_key, options.secret = "devkey", "lan-dev-secret"
  options.random = function() return 0.001 end
  options.timeouts = { request = 600, connect = 300, silence = 600 } -- it is slow in here
  for name, value in pairs(timeouts or {}) do options.timeouts[name] = value end
  return measured("new", stream_events.new, options)
end

local function connect(name, client)
  local result, failure
  measured(name, client.connect_user, client, { id = "john" }, nil, function(me, err)
    result, failure = me, err
  end)
  frames(name, client, function() return result or failure end)
  return result, failure
end

-- The phases -----------------------------------------------------------------------------------------

local client = new { base_url = listener:url("http", "") }
assert(connect("connect", client))

local count, sum = 0, 0
client:subscribe_for("position", function(event)
  count = count + 1
  sum = sum + event.x
end)

local function watch(name, many, first)
  local watched = 0
  for i = first or 1, many do
    local channel = client:channel("messaging", "c" .. i)
    measured(name, channel.watch, channel, function(_, err)
      assert(not err, tostring(err))
      watched = watched + 1
    end)
  end
  frames(name, client, function() return watched == many - (first or 1) + 1 end)
end
watch("watch one channel", 1)

-- Says so many events, and lets frames go by until they were handled.
local function flood(name, many)
  local one = event_frame { type = "position", x = 1, y = 2, pad = ("x"):rep(280) }
  count = 0
  local said = false
  server.socket:say(one:rep(many), function() said = true end)
  for _ = 1, 50 do uv.run "nowait" end -- as much of it as the socket takes lies there
  frames(name, client, function() return said and count == many end)
end
flood("warm", 1000)
flood("steady", 5000)
flood("10 000 queued events", 10000)

-- A frame of nearly 1 MiB, and one as large in many small values.
count = 0
server.socket:say(event_frame { type = "position", x = 1, pad = ("x"):rep(1048000) })
frames("1 MiB frame", client, function() return count == 1 end)
local numbers = {}
for i = 1, 90000 do numbers[i] = i end
server.socket:say(event_frame { type = "position", x = 1, list = json.array(numbers) })
frames("1 MiB frame of numbers", client, function() return count == 2 end)
local unwanted = event_frame { type = "other", pad = ("x"):rep(300) }
server.socket:say(unwanted:rep(10000) .. event_frame { type = "position", x = 1 })
frames("10 000 unwanted events", client, function() return count == 3 end)

-- Callbacks and functions, all at once.
local ran = 0
for _ = 1, 10000 do
  client:spawn(function() ran = ran + 1 end)
end
frames("10 000 functions", client, function() return ran == 10000 end)

-- Many sends, all answered at once.
local answered = 0
server.holds = true
for i = 1, MANY do
  local channel = client:channel("messaging", "c1")
  measured("send", channel.send_event, channel, "position", { x = i }, function(_, err)
    assert(not err, tostring(err))
    answered = answered + 1
  end)
end
frames("many sends", client, function() return #server.held > 0 end)
server.holds = false
for _, answer in ipairs(server.held) do answer() end
server.held = {}
frames("many sends", client, function() return answered == MANY end)

-- Many channels: watched, and watched again after the connection was lost.
watch("watch many channels", MANY, 2)
local recovered
client:subscribe_for("connection.recovered", function(event) recovered = event end)
server.socket:abort()
frames("reconnect with many channels", client, function() return recovered end)

-- Goodbye, and once more.
local over
measured("disconnect", client.disconnect, client, function() over = true end)
server.socket.on_bytes = function(connection)
  connection:say(peer.close_frame(1000))
  connection:shut()
end
frames("disconnect", client, function() return over end)
assert(connect("connect", client))
for i = 1, MANY do
  local channel = client:channel("messaging", "c" .. i)
  channel:send_event("position", { x = i }, function() end)
end
close(client)

-- TLS: with the listener's certificate, with another one, and with the system's.
local port, stop = tls.forward(CERTIFICATE, KEY, listener.port)
local secure = "https://127.0.0.1:" .. port
client = new { base_url = secure, ca_file = CERTIFICATE }
assert(connect("TLS handshake", client))
close(client)
local _, failure
local function refused(name, ca_file)
  client = new { base_url = secure, ca_file = ca_file }
  _, failure = connect(name, client)
  assert(failure.message:find "certificate", tostring(failure))
  close(client)
end
refused("TLS handshake refused", OTHER_CERTIFICATE)
if SYSTEM then refused "TLS with the system's certificates" end
stop()

-- Names that are not there, and a resolver that does not answer.
client = new { base_url = "http://nobody.invalid:1" }
_, failure = connect("DNS failure", client)
assert(failure.kind == "network", tostring(failure))
close(client)
meter.hang(true)
client = new({ base_url = "http://server.hang:1" }, { connect = 0.5 })
_, failure = connect("DNS hangs", client)
assert(failure.retryable, tostring(failure))
measured("DNS hangs", client.connect_user, client, { id = "john" }, nil, function() end)
for _ = 1, 3 do measured("DNS hangs", client.poll, client, 0) end
close(client)
meter.hang(false)

peer.stop_all()
print "done"
