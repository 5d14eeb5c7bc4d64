--- Sends under random faults: whatever happens, each ends in exactly one answer, and that is true.
-- STREAM_EVENTS_SEED chooses another sequence, STREAM_EVENTS_RUNS how many there are. What fails says
-- which one it was.
local fakes = require "support.fake_transport"
local native = require "stream_events.native"
local stream_events = require "stream_events"

local SEED = tonumber(os.getenv "STREAM_EVENTS_SEED" or "20260101")
local RUNS = tonumber(os.getenv "STREAM_EVENTS_RUNS" or "60")
local OPERATIONS = 120
local LIMITS = { queued = 12, waiting = 40, in_flight = 4 }
local CHANNELS = { "a", "b", "c" }
local PRIORITIES = { "urgent", "normal", "bulk" }

local function new_random(seed)
  local state = seed % 2147483646 + 1
  local random = {}
  --- A whole number from 1 to `most`.
  function random.upto(most)
    state = state * 16807 % 2147483647
    return state % most + 1
  end
  function random.pick(list) return list[random.upto(#list)] end
  function random.chance(percent) return random.upto(100) <= percent end
  return random
end

-- A server that fails in every way, and knows what it has delivered.
local function new_server(fake, random)
  local server = { delivered = {}, ids = {}, is_bad = false }

  local function deliver(request)
    local event = native.json.decode(request.body).event
    if event.id and server.ids[event.id] then return end
    if event.id then server.ids[event.id] = true end
    server.delivered[#server.delivered + 1] = event.n
  end

  local function well(request)
    deliver(request)
    return fake.usual_answer(request)
  end

  local faults = {
    function(request) fake.reply(request, nil, "network", "could not connect", nil, true) end,
    function(request) fake.reply(request, nil, "network", "reset") end,
    function(request)
      deliver(request)
      fake.reply(request, nil, "network", "reset")
    end,
    function() end, -- no answer
    function(request) deliver(request) end, -- likewise
    function() return 429, "slow down", { ["retry-after"] = tostring(random.upto(9)) } end,
    function() return 503, "busy" end,
    function(request)
      deliver(request)
      return 502, "bad gateway"
    end,
    function() return 403, '{"code":17,"message":"no","StatusCode":403}' end,
    function(request) -- the answer takes its time
      local status, body = well(request)
      fake.at(random.upto(40) / 10, function() fake.reply(request, status, body) end)
    end,
  }

  function server.answer(request)
    if request.path:find "query$" then
      local id = request.path:match "([^/]+)/query$"
      return 201, native.json.encode { channel = {
        type = "messaging", id = id, cid = "messaging:" .. id, config = { custom_event_ids = id ~= "a" },
      } }
    elseif not request.path:find "event$" then
      return fake.usual_answer(request)
    end
    if server.is_bad and random.chance(50) then return random.pick(faults)(request) end
    return well(request)
  end

  return server
end

local function random_options(random)
  if random.chance(25) then return nil end
  local options = {}
  if random.chance(60) then options.queue = true end
  options.priority = random.pick(PRIORITIES)
  -- The same priority for all of a key.
  if random.chance(30) then options.coalesce = "position " .. options.priority end
  if random.chance(30) then options.max_age = random.upto(200) / 10 end
  return options
end

local function new_world(random)
  local world = { sends = {}, random = random }
  local fake = fakes.new()
  local server = new_server(fake, random)
  fake.answer = server.answer
  world.fake, world.server = fake, server
  world.client = stream_events.new(fake.options { limits = LIMITS, random = function()
    return random.upto(1000) / 1000 - 0.001
  end })
  world.channels = {}
  function world.connect()
    world.client:connect_user({ id = "john" }, fake.token, function() end)
    world.client:poll()
    for i, id in ipairs(CHANNELS) do
      world.channels[i] = world.client:channel("messaging", id)
      if id ~= "c" then world.channels[i]:query(function() end) end
    end
    world.client:poll()
  end
  world.connect()
  return world
end

-- Nothing grows, and the client does not run in circles.
local function check_bounds(world)
  local stats = world.client:stats()
  assert(stats.queued <= LIMITS.waiting, "too many wait: " .. stats.queued)
  assert(stats.in_flight <= LIMITS.in_flight + 2, "too many under way: " .. stats.in_flight)
end

local function pass(world, seconds)
  local clock, client = world.fake.clock, world.client
  local ends = clock.now() + seconds
  repeat
    client:poll(math.max(0, ends - clock.now()))
    check_bounds(world)
  until clock.now() >= ends
  world.fake.transport.steps = 0
end

local function send(world)
  local random = world.random
  local channel, options = random.pick(world.channels), random_options(random)
  local made = { n = #world.sends + 1, channel = channel, options = options, answers = 0 }
  world.sends[made.n] = made
  local function back(event, err)
    made.answers, made.event, made.err = made.answers + 1, event, err
  end
  channel:send_event("poke", { n = made.n }, options or back, options and back)
end

local OPERATION = {
  function(world) for _ = 1, world.random.upto(6) do send(world) end end,
  function(world) for _ = 1, world.random.upto(6) do send(world) end end,
  function(world) pass(world, world.random.upto(30) / 10) end,
  function(world) pass(world, world.random.upto(80) / 10) end,
  function(world) world.client:poll() end,
  function(world) world.server.is_bad = not world.server.is_bad end,
  function(world) -- the connection breaks, and comes back or not
    if world.fake.socket then world.fake.socket:finish("network", "reset by peer") end
    local greets = world.random.chance(60)
    world.fake.on_connect = function(socket) if greets then socket:greet() end end
  end,
  function(world) world.fake.on_connect = function(socket) socket:greet() end end,
  function(world) world.fake.refuses = world.random.chance(30) end,
  function(world)
    if not world.random.chance(15) then return end
    world.client:disconnect(function() end)
    pass(world, 1)
    world.connect()
  end,
}

-- One after the other, in the order in which they were made, in each channel and priority.
local function check_order(world)
  local last = {}
  for _, n in ipairs(world.server.delivered) do
    local made = world.sends[n]
    if made.options then
      local lane = made.channel.id .. made.options.priority
      assert((last[lane] or 0) < n, ("%d was delivered after %d"):format(n, last[lane] or 0))
      last[lane] = n
    end
  end
end

local function check_answers(world)
  local delivered = {}
  for _, n in ipairs(world.server.delivered) do delivered[n] = (delivered[n] or 0) + 1 end
  for n, made in ipairs(world.sends) do
    local about = ("send %d: %s"):format(n, made.err and tostring(made.err) or "sent")
    assert(made.answers == 1, ("send %d has %d answers"):format(n, made.answers))
    assert((made.event ~= nil) ~= (made.err ~= nil), about)
    assert((delivered[n] or 0) <= 1, about .. ", more than once")
    if made.event then
      assert(delivered[n] == 1 and made.event.n == n, about .. ", and not delivered")
    elseif not made.err.maybe_sent then
      assert(not delivered[n], about .. ", and delivered all the same")
    end
    if made.err and made.err.superseded then assert(made.options.coalesce, about) end
  end
end

local function run(random)
  local world = new_world(random)
  for _ = 1, OPERATIONS do
    random.pick(OPERATION)(world)
    check_bounds(world)
  end
  if random.chance(50) then
    world.client:close()
    for _ = 1, 3 do world.client:poll() end
  else
    pass(world, 60)
    local stats = world.client:stats()
    assert(stats.queued == 0 and stats.in_flight == 0, "something is left")
  end
  check_answers(world)
  check_order(world)
end

describe("sends under random faults", function()
  it("end in exactly one answer, which is true, in order, and nothing grows", function()
    for number = 1, RUNS do
      local ok, problem = pcall(run, new_random(SEED * 1009 + number))
      if not ok then
        error(("STREAM_EVENTS_SEED=%d, run %d: %s"):format(SEED, number,
          tostring(type(problem) == "table" and problem.message or problem)), 0)
      end
    end
  end)
end)
