-- rewatch_client.lua -- a client that watches channels, says so with a line, and waits for the loss of its
-- connections. Then a line with: seconds from the new connection until everything was restored; which part
-- of the clock's second was over when it began; seconds that the same calls take by themselves; channels
-- restored. usage: lua rewatch_client.lua URL USER CHANNELS
local native = require "stream_events.native"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local GROUP, IN_FLIGHT = 30, 4

local url, user, count = arg[1], arg[2], tonumber(arg[3])
local client = stream_events.new { api_key = "devkey", base_url = url }
assert(client:connect_user({ id = user }, tokens.user("lan-dev-secret", user)))

local function until_all(total, most, begin)
  local begun, done = 0, 0
  while done < total do
    while begun < total and begun - done < most do
      begun = begun + 1
      begin(begun, function(ok, err)
        assert(ok, err)
        done = done + 1
      end)
    end
    client:poll(1)
  end
end

-- Seconds of the calls that watch everything; in a second of the limit only as many as it has.
local function bare(limited)
  local calls = math.ceil(count / GROUP)
  local asked = limited and 1 or calls
  if limited then client:poll(1.1) end
  local began = native.now()
  until_all(asked, IN_FLIGHT, function(i, done)
    local cids = {}
    for n = (i - 1) * GROUP + 1, math.min(i * GROUP, count) do cids[#cids + 1] = "livestream:c" .. n end
    client:query_channels({ cid = { ["$in"] = cids } }, { watch = true, limit = GROUP }, done)
  end)
  return (native.now() - began) * calls / asked
end

local online, part, seconds, restored
client:subscribe_for("connection.changed", function(change)
  if change.online then online, part = native.now(), native.time() % 1 end
end)
client:subscribe_for("connection.recovered", function(recovered)
  seconds, restored = native.now() - online, #recovered.restored
  client:stop()
end)
until_all(count, 32, function(i, done) client:channel("livestream", "c" .. i):watch(done) end)
print "ready"
io.stdout:flush()
client:run()
print(("%.4f %.4f %.4f %d"):format(seconds, part, bare(seconds > 2), restored))
io.stdout:flush()
client:run()
