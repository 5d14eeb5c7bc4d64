--- What rules remember: bounded tables of buckets, marks and counters, whatever clock and senders do.
local core = require "stream_events.core"
local engines = require "support.engine"

local NAN = 0 / 0

local function event_of(user)
  return ('{"type":"poke","cid":"messaging:a","user":{"id":"%s"}}'):format(user)
end

--- Numbers from 1 to n that are the same every time, on every Lua.
local function generator(seed)
  return function(n)
    seed = seed * 16807 % 2147483647
    return math.floor(seed / 1024) % n + 1
  end
end

describe("a mark", function()
  local function marks(limit) return core.rules { marks = limit } end

  it("lasts as long as it was made for, and is of one user and one name", function()
    local memory = marks(10)
    memory:mark("bob", "thief", 10, 100)
    assert.is_true(memory:marked("bob", "thief", 100))
    assert.is_true(memory:marked("bob", "thief", 109.9))
    assert.is_false(memory:marked("bob", "thief", 110))
    for _, other in ipairs { { "eve", "thief" }, { "bob", "liar" }, { "bobt", "hief" }, { "", "bobthief" },
      { "bob\0", "thief" }, { "thief", "bob" } } do
      assert.is_false(memory:marked(other[1], other[2], 100))
    end
  end)

  it("is as long as the longest, and can be taken away", function()
    local memory = marks(10)
    memory:mark("bob", "x", 10, 100)
    memory:mark("bob", "x", 2, 101)
    assert.is_true(memory:marked("bob", "x", 109))
    memory:mark("bob", "x", 50, 102)
    assert.is_true(memory:marked("bob", "x", 151))
    memory:mark("bob", "x", 0, 102)
    assert.is_false(memory:marked("bob", "x", 102))
    assert.equal(0, memory:sizes().marks)
    memory:mark("bob", "x", -1, 102)
    memory:mark("bob", "x", math.huge, 102)
    assert.is_true(memory:marked("bob", "x", 1e300))
  end)

  it("is not changed by what is no number", function()
    local memory = marks(10)
    memory:mark("bob", "x", NAN, 100)
    assert.is_false(memory:marked("bob", "x", 100))
    memory:mark("bob", "x", 10, 100)
    memory:mark("bob", "x", NAN, 100)
    assert.is_true(memory:marked("bob", "x", NAN))
    memory:mark("bob", "x", 10, NAN)
    memory:mark("bob", "x", 10, math.huge)
    assert.is_true(memory:marked("bob", "x", 109))
    assert.is_false(memory:marked("bob", "x", 110))
  end)

  it("makes room for a new one where it would end first", function()
    local memory = marks(4)
    for i, seconds in ipairs { 50, 20, 40, 30 } do memory:mark("u" .. i, "x", seconds, 100) end
    memory:mark("u2", "x", 60, 100) -- now u4 ends first
    memory:mark("u5", "x", 10, 100)
    assert.is_false(memory:marked("u4", "x", 100))
    memory:mark("u6", "x", 10, 100) -- u5 makes room
    local left = {}
    for i = 1, 6 do left[i] = memory:marked("u" .. i, "x", 100) end
    assert.same({ true, true, true, false, false, true }, left)
    assert.equal(4, memory:sizes().marks)
  end)

  it("keeps its order through thousands of others", function()
    local memory, ends = marks(500), {}
    local random = generator(7)
    for step = 1, 20000 do
      local user = "u" .. random(400) -- fewer than there is room for: nothing is forgotten early
      if random(5) == 1 then
        memory:mark(user, "x", 0, step)
        ends[user] = nil
      else
        local seconds = random(3000)
        memory:mark(user, "x", seconds, step)
        ends[user] = math.max(ends[user] or 0, step + seconds)
      end
    end
    for i = 1, 400 do
      local user = "u" .. i
      assert.equal((ends[user] or 0) > 20000, memory:marked(user, "x", 20000))
    end
  end)

  it("ends in time after the clock has jumped back", function()
    local memory = marks(10)
    memory:mark("bob", "x", 10, 1000000)
    assert.is_true(memory:marked("bob", "x", 100))
    assert.is_true(memory:marked("bob", "x", 109))
    assert.is_false(memory:marked("bob", "x", 110))
  end)

  it("cannot be made of a user that is too long", function()
    local memory = marks(10)
    memory:mark(("u"):rep(255), ("n"):rep(128), 10, 100)
    assert.is_true(memory:marked(("u"):rep(255), ("n"):rep(128), 100))
    assert.has_error(function() memory:mark(("u"):rep(600), "x", 10, 100) end)
    assert.is_false(memory:marked(("u"):rep(600), "x", 100))
    for _, names in ipairs { { 255, 254 }, { 300, 300 }, { 512, 512 }, { 1, 508 } } do
      local user, name = ("u"):rep(names[1]), ("n"):rep(names[2])
      assert.has_error(function() memory:mark(user, name, 10, 100) end)
      assert.is_false(memory:marked(user, name, 100))
    end
  end)
end)

describe("the buckets", function()
  local function limited(limit, ...)
    return engines.engine_of({ { name = "poke", kind = "event", extra = "keep", rates = { ... } } }, {},
      { buckets = limit })
  end
  local function poke(engine, user, now) return (engine:decide(event_of(user), { now = now })) end

  it("have no token for a newcomer while all are in use", function()
    local engine = limited(3, { count = 2, seconds = 10 })
    for i = 1, 3 do assert.equal("allow", poke(engine, "u" .. i, 100)) end
    assert.equal("drop", poke(engine, "new", 100))
    assert.equal("allow", poke(engine, "u1", 100)) -- who is known is served
    assert.equal("drop", poke(engine, "new", 104.9))
    assert.equal("allow", poke(engine, "new", 105)) -- u2's is full again, and as good as none
    assert.equal("allow", poke(engine, "newer", 105))
    assert.equal("drop", poke(engine, "newest", 105))
    assert.equal("allow", poke(engine, "newest", 110))
    assert.equal(3, engine:sizes().buckets)
  end)

  it("take nothing from one where another has no place", function()
    local engine = limited(2, { count = 2, seconds = 10 }, { count = 100, seconds = 10, per = "all" })
    assert.equal("allow", poke(engine, "a", 100))
    for _ = 1, 10 do assert.equal("drop", poke(engine, "b", 100)) end
    assert.equal("allow", poke(engine, "a", 100))
    engine = limited(1, { count = 2, seconds = 10 }, { count = 100, seconds = 10, per = "all" })
    for _ = 1, 3 do assert.equal("drop", poke(engine, "a", 100)) end
    assert.equal("drop", poke(engine, "a", 1000))
    assert.equal(1, engine:sizes().buckets)
  end)

  it("find room again after the clock has jumped back", function()
    local engine = limited(2, { count = 1, seconds = 10 })
    assert.equal("allow", poke(engine, "a", 1e9))
    assert.equal("allow", poke(engine, "b", 1e9))
    assert.equal("allow", poke(engine, "c", 100))
  end)

  -- Walking through the table for each of these would take minutes.
  it("stay bounded, whoever invents users", function()
    local engine, allowed = limited(2000, { count = 3, seconds = 10 }), 0
    for i = 1, 200000 do
      if poke(engine, "u" .. i % 50000, 100 + i * 1e-6) == "allow" then allowed = allowed + 1 end
    end
    assert.equal(6000, allowed) -- three of each that had a place
    assert.equal(2000, engine:sizes().buckets)
  end)

  it("give each user what its rate says, whatever else is in the table", function()
    local engine = limited(100, { count = 2, seconds = 8 })
    local levels, random = {}, generator(3)
    for step = 1, 20000 do
      local user = random(90)
      local now = 1000 + step / 64 -- exact in binary, as is the rate
      local known = levels[user] or { 2, now }
      known[1] = math.min(2, known[1] + (now - known[2]) / 4)
      known[2] = now
      local expected = known[1] >= 1 and "allow" or "drop"
      if expected == "allow" then known[1] = known[1] - 1 end
      levels[user] = known
      assert.equal(expected, poke(engine, "u" .. user, now))
    end
  end)
end)

describe("a counter", function()
  local total
  local function counting(limit)
    local rule = { name = "poke", kind = "event", extra = "keep", check = function(event, context)
      total = context.count(event.key, event.n, event.seconds)
      return core.verdicts.allow
    end }
    return engines.engine_of({ rule }, {}, { counts = limit })
  end
  local function count(engine, key, n, seconds, now)
    total = nil
    local text = '{"type":"poke","key":%s,"n":%s,"seconds":%s}'
    engine:decide(text:format(core.json.encode(key), n, seconds), { now = now })
    return total
  end

  it("forgets what is older than its window, and nothing younger than half of it", function()
    local engine = counting(10)
    for i, case in ipairs { { 0, 1 }, { 4, 2 }, { 4.9, 3 }, { 6, 4 }, { 9.9, 5 }, { 10.1, 3 }, { 15.1, 2 },
      { 16, 3 }, { 100, 1 } } do
      assert.equal(case[2], count(engine, "k", 1, 10, 1000 + case[1]), "step " .. i)
    end
  end)

  it("never forgets too late or too early", function()
    local engine, added, random = counting(10), {}, generator(11)
    local now = 1000
    for _ = 1, 3000 do
      now = now + (random(40) - 1) / 8
      added[#added + 1] = now
      local least, most = 0, 0
      for _, time in ipairs(added) do
        if now - time < 5 then least = least + 1 end
        if now - time <= 10 then most = most + 1 end
      end
      local given = count(engine, "k", 1, 10, now)
      assert.is_true(given >= least and given <= most)
    end
  end)

  it("is another one for each key, and adds what it is given", function()
    local engine = counting(10)
    assert.equal(5, count(engine, "a", 5, 60, 100))
    assert.equal(2.5, count(engine, "b", 2.5, 60, 100))
    assert.equal(3, count(engine, "a", -2, 60, 100))
    assert.equal(0, count(engine, "a", -10, 60, 100))
    assert.equal(0, count(engine, "new", 0, 60, 100))
    assert.equal(2, engine:sizes().counts)
  end)

  it("is endless for a newcomer while all are in use, so that a limit holds", function()
    local engine = counting(2)
    assert.equal(1, count(engine, "a", 1, 10, 100))
    assert.equal(1, count(engine, "b", 1, 10, 100))
    assert.equal(math.huge, count(engine, "c", 1, 10, 100))
    assert.equal(2, count(engine, "a", 1, 10, 101))
    assert.equal(1, count(engine, "c", 1, 10, 110))
    assert.equal(2, engine:sizes().counts)
  end)

  it("is not stopped by a clock that jumps back for longer than its window", function()
    local engine = counting(2)
    count(engine, "a", 7, 10, 1e9)
    count(engine, "a", 0, 10, 100)
    assert.equal(0, count(engine, "a", 0, 10, 110))
  end)
end)

describe("limits of memory", function()
  for name, limits in pairs { ["no buckets"] = { buckets = 0 }, ["no number"] = { marks = NAN },
    ["far too many"] = { counts = 1e12 }, ["another type"] = { breaches = {} } } do
    it("cannot be " .. name, function()
      assert.has_error(function() core.rules(limits) end)
    end)
  end
end)
