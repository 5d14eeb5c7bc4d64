--- When a call may be made so that no limit of the service is ever met.
local pacing = require "stream_events.pacing"

local WALL = 1767225600 -- the beginning of a minute

-- Makes as many calls as the pace allows, each answered `round_trip` seconds later; gives the times.
local function times_of(pace, count, round_trip, from)
  local now, open, times = from or 100, {}, {}
  while #times < count do
    local at = pace:next(now)
    if at and (not open[1] or at <= open[1]) then
      now = at
      pace:made()
      times[#times + 1] = now
      open[#open + 1] = now + round_trip
    else
      now = table.remove(open, 1)
      pace:answered(now, nil, WALL)
    end
  end
  return times
end

local function most_in(times, seconds)
  local most = 0
  for i, from in ipairs(times) do
    local count = 0
    for j = i, #times do
      if times[j] < from + seconds then count = count + 1 end
    end
    most = math.max(most, count)
  end
  return most
end

describe("a pace", function()
  it("knows no limit where none was said", function()
    local pace = pacing.new()
    for _ = 1, 1000 do
      assert.equal(7, pace:next(7))
      pace:made()
    end
    for _ = 1, 1000 do pace:answered(8, nil, WALL) end
    assert.equal(8, pace:next(8))
    assert.equal(0, pace:duration(500))
  end)

  for _, round_trip in ipairs { 0, 0.02, 0.7, 3 } do
    it(("makes 2 calls a second and 60 a minute, answered after %g s"):format(round_trip), function()
      local times = times_of(pacing.new(pacing.HOSTED), 150, round_trip)
      assert.is_true(most_in(times, 1) <= 2)
      assert.is_true(most_in(times, 60) <= 60)
      assert.equal(times[1], times[2]) -- and is not slower than it has to be
      assert.near(times[1] + 1.01 + round_trip, times[3], 1e-6)
    end)
  end

  it("says how long so many calls take", function()
    local pace = pacing.new(pacing.HOSTED)
    for _, case in ipairs { { 0, 0 }, { 2, 0 }, { 3, 1.01 }, { 17, 8.08 }, { 60, 29.29 }, { 61, 60.1 } } do
      assert.near(case[2], pace:duration(case[1]), 1e-9)
    end
    local times = times_of(pacing.new(pacing.HOSTED), 130, 0)
    assert.near(times[130] - times[1], pace:duration(130), 0.001)
  end)

  it("spreads the second half of a minute's calls where it is told to", function()
    local times = times_of(pacing.new { minute = 60, is_spread = true }, 200, 0.02)
    assert.is_true(most_in(times, 1) <= 2)
    assert.is_true(most_in(times, 60) <= 60)
    assert.is_true(times[30] - times[1] < 16) -- a burst
    for i = 2, #times do assert.is_true(times[i] - times[i - 1] < 5) end
    assert.is_true(times[200] - times[1] < 220)
  end)

  it("spreads what others have left, too", function()
    local pace = pacing.new { is_spread = true }
    pace:made()
    pace:answered(100, {
      ["x-ratelimit-limit"] = "600", ["x-ratelimit-remaining"] = "9",
      ["x-ratelimit-reset"] = tostring(WALL + 50),
    }, WALL)
    assert.near(105, pace:next(100), 0.2)
  end)

  it("is told of an answer without a time where nothing is limited", function()
    local pace = pacing.new()
    pace:made()
    assert.is_false(pace:answered_freely(nil)) -- the first shows what is allowed
    pace:answered(100, {}, WALL)
    pace:made()
    assert.is_true(pace:answered_freely(nil))
    assert.is_true(pace:answered_freely { ["content-type"] = "x" })
    assert.equal(0, pace.in_flight)
    assert.is_false(pace:answered_freely { ["x-ratelimit-limit"] = "60" })
    assert.is_false(pacing.new(pacing.HOSTED):answered_freely(nil))
  end)

  it("waits for an answer when as many are under way as one second may have", function()
    local pace = pacing.new(pacing.HOSTED)
    pace:made()
    pace:made()
    assert.is_nil(pace:next(100))
    pace:answered(105, nil, WALL)
    assert.near(106.01, pace:next(105), 1e-9)
  end)

  local function headers(limit, left, reset)
    return {
      ["x-ratelimit-limit"] = tostring(limit), ["x-ratelimit-remaining"] = tostring(left),
      ["x-ratelimit-reset"] = tostring(reset),
    }
  end

  -- One call, answered at once.
  local function call(pace, now, ...)
    pace:made()
    pace:answered(now, headers(...), WALL)
  end

  it("takes the limit from the first answer that tells one", function()
    local pace = pacing.new()
    call(pace, 100, 600, 599, WALL + 60)
    assert.same({ 600, 20 }, { pace.minute, pace.second })
    call(pace, 100, 10000, 12, WALL + 60) -- that of the app, which is nearer now
    assert.equal(600, pace.minute)
    call(pace, 100, 300, 299, WALL + 60)
    assert.equal(300, pace.minute)
    call(pace, 100, 900, 899, WALL + 120) -- the operator has raised it
    assert.equal(900, pace.minute)
  end)

  it("forgets a limit that answers do not name any more", function()
    for limits, expected in pairs { [false] = { n = 2 }, [pacing.HOSTED] = { 60, 2, n = 2 } } do
      local pace = pacing.new(limits or nil)
      call(pace, 100, 1, 0, WALL + 30)
      pace:made()
      pace:answered(130, {}, WALL + 30) -- it may be one of those that say nothing
      assert.equal(1, pace.minute)
      pace:made()
      pace:answered(165, {}, WALL + 65)
      assert.same(expected, { pace.minute, pace.second, n = 2 })
      assert.equal(165.5, pace:next(165.5))
      pace:made()
      assert.equal(not limits, pace:answered_freely(nil))
    end
  end)

  it("never goes beyond what it was made with", function()
    local pace = pacing.new(pacing.HOSTED)
    call(pace, 100, 10000, 9999, WALL + 60)
    assert.equal(60, pace.minute)
    call(pace, 100, 10, 9, WALL + 60)
    assert.same({ 10, 1 }, { pace.minute, pace.second })
  end)

  it("waits for the next minute when others have used up this one", function()
    local pace = pacing.new()
    call(pace, 100, 600, 0, WALL + 42)
    assert.equal(142, pace:next(100))
    assert.equal(150, pace:next(150))
    call(pace, 150, 600, 1, WALL + 42)
    pace:made()
    assert.equal(192, pace:next(150))
  end)

  it("counts what is under way when an answer tells what is left", function()
    local pace = pacing.new()
    pace:made()
    pace:made()
    pace:made()
    pace:answered(100, headers(600, 2, WALL + 30), WALL)
    assert.equal(130, pace:next(100))
  end)

  it("waits no longer than a minute, whatever the clocks say", function()
    local pace = pacing.new()
    call(pace, 100, 600, 0, WALL + 100000)
    assert.near(160.1, pace:next(100), 1e-9)
    pace = pacing.new()
    call(pace, 100, 600, 0, WALL - 100000)
    assert.equal(100, pace:next(100))
  end)

  it("obeys when a call was one too many", function()
    local pace = pacing.new()
    pace:made()
    pace:refused(100, 17)
    assert.equal(117, pace:next(100))
    pace:made()
    pace:refused(100.5)
    assert.equal(117, pace:next(100.5))
    assert.equal(118, pace:next(118))
  end)

  it("takes headers for what they are: text of a stranger", function()
    for _, text in ipairs { "", "many", "-1", "1e400", "nan", "0x10", "5.5", "0", " 60 " } do
      local pace = pacing.new(pacing.HOSTED)
      call(pace, 100, text, text, text)
      assert.is_true(pace.minute >= 1 and pace.minute <= 60, text)
      local at = pace:next(100)
      assert.is_true(at >= 100 and at <= 161, text)
    end
    local pace = pacing.new()
    pace:answered(100, { ["x-ratelimit-limit"] = "0" }, WALL)
    assert.is_nil(pace.minute)
  end)

  it("keeps no more than a minute's calls", function()
    local pace = pacing.new { minute = 600 }
    times_of(pace, 3000, 0.01)
    assert.is_true(pace.last - pace.first < 600)
  end)

  it("is one for each endpoint", function()
    local paces = pacing.endpoints(pacing.HOSTED)
    assert.equal(paces:of "Sync", paces:of "Sync")
    assert.are_not.equal(paces:of "Sync", paces:of "QueryChannels")
    assert.equal(60, paces:of "Sync".minute)
    assert.is_nil(pacing.endpoints():of "Sync".minute)
  end)

  it("says whether what is allowed is known", function()
    assert.is_true(pacing.new(pacing.HOSTED).is_known)
    local pace = pacing.new()
    pace:made()
    pace:answered(100, nil, WALL) -- there was no answer
    assert.is_false(pace.is_known)
    pace:made()
    pace:answered(100, {}, WALL) -- which knows no limits
    assert.is_true(pace.is_known)
  end)
end)
