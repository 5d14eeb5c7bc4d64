--- One user of the soak, in a process of its own: sends and receives in two channels, and writes what
--- happens on its standard output, a line each, fields between tabs.
--
-- soak_user.lua ID BASE_URL TOKEN SEED PACE CID...
-- SIGHUP: begins to send. SIGUSR1: sends no more, and writes "quiet" when nothing is under way.
-- SIGUSR2: some last sends, at once.
-- SIGTERM: ends.
local backoff = require "stream_events.backoff"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local uv = require "luv"

local id, base_url, token, seed, pace = table.unpack(arg, 1, 5)
local cids = { table.unpack(arg, 6) }
local LAST_SENDS = 5
local SHORTER = 8 -- a back-off takes so many times less: there is less waiting, and more happens

local real_delay = backoff.delay
function backoff.delay(failures, random) return real_delay(failures, random) / SHORTER end

math.randomseed(math.tointeger(tonumber(seed)))
io.stdout:setvbuf "line"

local function tell(...)
  io.stdout:write(table.concat({ ... }, "\t"), "\n")
end

local client = stream_events.new {
  api_key = "devkey", base_url = base_url, proxy = "",
  timeouts = { request = 3, connect = 3, close = 0.5, health = 1, silence = 3 },
}
require("stream_events.loop.luv").attach(client)

local channels, number, under_way, sending, restored = {}, 0, 0, true, true

client:subscribe_for("connection.changed", function(change)
  restored = change.reason == "connected" -- there was nothing before the first connection
  tell("changed", change.online and "online" or "offline", change.kind or "", change.reason or "")
end)

client:subscribe_for("connection.recovered", function(event)
  restored = true
  tell("recovered", ("%.6f"):format(native.time()), event.since or "", event.gap and "gap" or "whole",
    event.replayed, table.concat(event.gap_cids, " "))
end)

-- How a send may be made; most are made without more ado.
local WAYS = {
  nil, nil, nil, nil, { idempotent = true }, { idempotent = true }, { queue = true }, { priority = "urgent" },
  { queue = true, coalesce = "position" }, { queue = true, max_age = 1 },
}

local function send(way)
  number = number + 1
  local name = id .. "/" .. number
  local cid = cids[math.random(#cids)]
  tell("sent", name, cid)
  under_way = under_way + 1
  local function answered(event, err)
    under_way = under_way - 1
    if event then
      tell("answered", name, event.created_at)
    else
      tell("failed", name, err.kind, tostring(err))
    end
  end
  local data = { name = name, pad = ("x"):rep(math.random(0, 300)) }
  if way then
    channels[cid]:send_event("tick", data, way, answered)
  else
    channels[cid]:send_event("tick", data, answered)
  end
end

local timer = uv.new_timer()
local function go_on()
  if sending then
    for _ = 1, math.random(3) do send(WAYS[math.random(10)]) end
    timer:start(math.random(math.ceil(4000 / tonumber(pace))), 0, go_on)
  elseif under_way == 0 and client:online() and restored then
    tell "quiet"
  else
    timer:start(50, 0, go_on)
  end
end

local handlers = {
  sighup = function() timer:start(1, 0, go_on) end,
  sigusr1 = function() sending = false end,
  sigusr2 = function() for _ = 1, LAST_SENDS do send() end end,
  sigterm = function()
    local stats = client:stats()
    tell("stats", stats.handler_errors, stats.reconnects, ("%.2f"):format(os.clock()))
    client:close()
    uv.walk(function(handle)
      if not handle:is_closing() then handle:close() end
    end)
  end,
}
for name, handler in pairs(handlers) do uv.new_signal():start(name, handler) end

client:spawn(function()
  assert(client:connect_user({ id = id }, token))
  for _, cid in ipairs(cids) do
    local channel = assert(client:channel(cid:match "^(.-):(.*)$"):watch())
    channels[cid] = channel
    channel:subscribe_for("tick", function(event)
      tell("got", event.name, event.cid, event.created_at)
    end)
  end
  tell "ready"
end)
uv.run()
