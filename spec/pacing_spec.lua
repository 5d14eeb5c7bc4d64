--- Pacing: calls stay below the service's rates, whenever its seconds and minutes begin.
local pacing = require "stream_events.pacing"

-- The clocks, and a service that counts calls by the second and the minute of its own.
local function world(limit, phase)
  local now = 5000
  local self = { refused = 0, calls = 0, at = {} }
  local counts = {}
  function self.now() return now end
  function self.time() return 1767225600 + now + phase end
  function self.sleep(seconds) now = now + seconds end
  function self.call()
    local wall = self.time()
    local second, minute = "s" .. math.floor(wall), "m" .. math.floor(wall / 60)
    counts[second], counts[minute] = (counts[second] or 0) + 1, (counts[minute] or 0) + 1
    self.calls = self.calls + 1
    self.at[self.calls] = now
    if counts[minute] > limit or counts[second] > math.max(1, math.ceil(limit / 30)) then
      self.refused = self.refused + 1
    end
    return {
      ["x-ratelimit-limit"] = tostring(limit),
      ["x-ratelimit-remaining"] = tostring(math.max(0, limit - counts[minute])),
      ["x-ratelimit-reset"] = ("%d"):format(math.floor(wall / 60) * 60 + 60),
    }
  end
  --- Uses calls up as another device of the same user does.
  function self.elsewhere(count)
    local minute = "m" .. math.floor(self.time() / 60)
    counts[minute] = (counts[minute] or 0) + count
  end
  return self
end

-- Makes so many calls as fast as the pacer lets them go.
local function hurry(pacer, service, count, learns)
  for _ = 1, count do
    local turns = 0
    while pacer:delay() > 0 do
      service.sleep(pacer:delay())
      turns = turns + 1
      assert(turns < 5, "the delay never ends")
    end
    pacer:take()
    local headers = service.call()
    if learns then pacer:learn(headers) end
  end
end

local PHASES = { 0, 0.25, 0.999, 13.5, 29.9, 59.7 }

describe("a pacer", function()
  it("holds nothing back as long as no rate is known", function()
    local service = world(60, 0)
    local pacer = pacing.new { now = service.now, time = service.time }
    for _ = 1, 1000 do
      assert.equal(0, pacer:delay())
      pacer:take()
    end
    pacer:learn(nil)
    pacer:learn { ["content-type"] = "application/json" }
    assert.equal(0, pacer:delay())
  end)

  for _, limit in ipairs { 1, 7, 30, 60, 61, 600 } do
    it(("stays below %d a minute wherever the minutes begin, told by nobody"):format(limit), function()
      for _, phase in ipairs(PHASES) do
        local service = world(limit, phase)
        local pacer = pacing.new { now = service.now, time = service.time, limit = limit }
        hurry(pacer, service, limit * 3)
        service.sleep(200) -- all tokens are back
        hurry(pacer, service, limit * 2)
        assert.equal(0, service.refused, "phase " .. phase)
      end
    end)

    it(("stays below %d a minute by what answers say, and uses nearly all of it"):format(limit), function()
      for _, phase in ipairs(PHASES) do
        local service = world(limit, phase)
        local pacer = pacing.new { now = service.now, time = service.time, limit = limit }
        hurry(pacer, service, limit * 6, true)
        assert.equal(0, service.refused, "phase " .. phase)
        assert.is_true(service.at[service.calls] - service.at[1] <= 7 * 60, "phase " .. phase)
      end
    end)
  end

  it("lets a burst go as fast as the second's rate, then slows down", function()
    local service = world(60, 0)
    local pacer = pacing.new { now = service.now, time = service.time, limit = 60 }
    hurry(pacer, service, 20)
    assert.is_true(service.at[20] - service.at[1] < 19 * 0.6)
    hurry(pacer, service, 20)
    assert.is_true(service.at[40] - service.at[38] > 3)
  end)

  it("counts what others have used up, as the answers say it", function()
    local service = world(60, 0)
    local pacer = pacing.new { now = service.now, time = service.time, limit = 60 }
    hurry(pacer, service, 1, true)
    service.elsewhere(49)
    hurry(pacer, service, 80, true)
    assert.equal(0, service.refused)
  end)

  it("leaves out of what is left those calls that have no answer so far", function()
    local service = world(60, 0)
    local pacer = pacing.new { now = service.now, time = service.time }
    pacer:learn({
      ["x-ratelimit-limit"] = "60", ["x-ratelimit-remaining"] = "5",
      ["x-ratelimit-reset"] = tostring(service.time() + 30),
    }, 5)
    assert.equal(0, pacer.left)
    assert.near(30, pacer:delay(), 0.01)
    service.sleep(30)
    assert.equal(0, pacer:delay())
  end)

  it("waits as long as a refusal says, and a second when it says nothing", function()
    local service = world(60, 0)
    local pacer = pacing.new { now = service.now, time = service.time }
    pacer:refused(7)
    assert.near(7, pacer:delay(), 0.001)
    pacer:refused()
    assert.near(7, pacer:delay(), 0.001) -- the later of both
    service.sleep(7)
    assert.equal(0, pacer:delay())
    pacer:refused()
    assert.near(1, pacer:delay(), 0.001)
  end)

  it("follows a rate that is raised with the next minute, and keeps the lowest within one", function()
    local service = world(60, 0)
    local pacer = pacing.new { now = service.now, time = service.time, limit = 60 }
    local function say(limit, left, reset)
      pacer:learn {
        ["x-ratelimit-limit"] = tostring(limit), ["x-ratelimit-remaining"] = tostring(left),
        ["x-ratelimit-reset"] = tostring(reset),
      }
    end
    local minute = service.time() + 40
    say(60, 30, minute)
    say(10000, 25, minute)
    assert.equal(60, pacer.limit)
    assert.equal(25, pacer.left)
    service.sleep(41)
    say(600, 599, minute + 60)
    assert.equal(600, pacer.limit)
    assert.equal(599, pacer.left)
  end)

  it("does without what is no number, and without a time that a wrong clock made", function()
    local service = world(60, 0)
    local pacer = pacing.new { now = service.now, time = service.time }
    local function say(limit, reset)
      pacer:learn {
        ["x-ratelimit-limit"] = limit, ["x-ratelimit-remaining"] = "0", ["x-ratelimit-reset"] = reset,
      }
    end
    for _, limit in ipairs { "", "x", "-1", "0", "nan", "inf", "1e300", "1.5" } do
      say(limit, "1")
      assert.is_nil(pacer.limit)
    end
    for _, reset in ipairs { "", "x", "nan", "-5", "inf", tostring(service.time() + 86400) } do
      say("60", reset)
      assert.equal(60, pacer.limit)
      assert.is_nil(pacer.left)
      assert.is_true(pacer:delay() < 2)
    end
  end)
end)
