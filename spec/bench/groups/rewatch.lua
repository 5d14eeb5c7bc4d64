--- Delivery restored: a client that watches 500 channels loses its connections, and comes back.
-- Bare: the same calls by themselves. Necessary, where the rate is limited: the time that a client would
-- take which knows the server's clock, and makes both calls of a second at its first moment.
local bench = require "bench.lib"
local load = require "bench.load"
local relays = require "support.relay"

local CHANNELS, GROUP, A_SECOND = 500, 30, 2
local MOST_ROUNDS = 3 -- of those that a rate limit makes ten seconds long

-- What the channels are watched with at first is not what is measured.
local HOSTED = {
  "--rate-limits", "hosted", "--rate-user-endpoints", "GetOrCreateChannel=1000000",
  "--rate-app-endpoints", "GetOrCreateChannel=1000000",
}

local function prepare(client)
  assert(client:upsert_users { { id = "owner" } })
  for i = 1, CHANNELS do
    assert(client:channel("livestream", "c" .. i, { created_by_id = "owner" }):create())
  end
end

-- Calls that the server has refused because of their rate, seen on the way.
local function watch_refusals(relay)
  local tails, count = {}, 0
  relay.sees = function(connection, bytes)
    local text = (tails[connection] or "") .. bytes
    for _ in text:gmatch "HTTP/1%.1 429 " do count = count + 1 end
    tails[connection] = text:sub(-12):gsub("HTTP/1%.1 429 ", "")
  end
  return function() return count end
end

-- One reconnect of a new user's. Seconds until delivery was restored, what part of the server's second was
-- over when it began, and seconds that the same calls took by themselves.
local function reconnect(relay, user)
  local client = bench.start(bench.OTHER, bench.LUA, "spec/bench/rewatch_client.lua", relay.url, user,
    tostring(CHANNELS))
  relay:cut()
  local line = bench.ask(client, "")
  bench.stop(client)
  local seconds, part, bare, restored = line:match "(%S+) (%S+) (%S+) (%S+)"
  assert(tonumber(restored) == CHANNELS, line)
  return tonumber(seconds), tonumber(part), tonumber(bare)
end

local function measure(flags, rounds)
  local server = load.this_server(flags, prepare)()
  local relay = relays.to("127.0.0.1", tonumber(server.port))
  local refusals = watch_refusals(relay)
  local found = { seconds = {}, part = {}, bare = {} }
  for i = 1, rounds do
    found.seconds[i], found.part[i], found.bare[i] = reconnect(relay, load.user(i))
  end
  relay:close()
  bench.stop(server)
  found.refused = refusals()
  return found
end

local function necessary(found)
  local calls, list = math.ceil(CHANNELS / GROUP), {}
  for i, part in ipairs(found.part) do
    list[i] = math.ceil(calls / A_SECOND) - 1 - part + found.bare[i] / calls
  end
  return list
end

return function()
  print(("re-watching %d channels after a reconnect"):format(CHANNELS))
  local limited = measure(HOSTED, math.min(bench.rounds, MOST_ROUNDS))
  bench.verdict("hosted rates: seconds", limited.seconds)
  bench.verdict("hosted rates: seconds / necessary", bench.ratios(limited.seconds, necessary(limited)),
    "at most", 1.2)
  bench.verdict("hosted rates: calls refused with 429", { limited.refused }, "at most", 0)
  local free = measure(nil, bench.rounds)
  bench.verdict("no rate limits: seconds", free.seconds)
  bench.verdict("no rate limits: seconds of the same calls, bare", free.bare)
end
