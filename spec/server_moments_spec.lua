--- Points in time as texts: which lies before which, and what clients may write.
local clock = require "stream_events.server.clock"
local moments = require "stream_events.server.moments"
local timestamp = require "stream_events.timestamp"

describe("moments.before", function()
  -- As texts, the "Z" of a shorter one comes behind every digit, and behind the point.
  it("orders stamps of one second, however many digits they have", function()
    local stamps = {}
    for _, fraction in ipairs { "", ".000001", ".1", ".2", ".25", ".250001", ".253", ".5", ".999999" } do
      stamps[#stamps + 1] = "2026-01-01T00:00:01" .. fraction .. "Z"
    end
    for i, a in ipairs(stamps) do
      for j, b in ipairs(stamps) do assert.equal(i < j, moments.before(a, b), a .. " before " .. b) end
    end
  end)

  it("agrees with the seconds that stamps stand for", function()
    local last
    for i = -20000, 20000 do
      local seconds = i * 0.000123 + 1767225600 + i // 100
      local text = timestamp.format(seconds)
      if last then
        assert(moments.before(last, text) and not moments.before(text, last), last .. " before " .. text)
      end
      last = text
    end
  end)

  it("orders what the clock gives", function()
    local last = clock.stamp()
    for _ = 1, 10000 do
      local text = clock.stamp()
      assert(moments.before(last, text) and not moments.before(text, last), last .. " before " .. text)
      last = text
    end
  end)
end)

describe("moments.read", function()
  for text, expected in pairs {
    ["2026-01-01T00:00:01.25Z"] = "2026-01-01T00:00:01.25Z",
    ["2026-01-01T00:00:01.500Z"] = "2026-01-01T00:00:01.5Z", -- as browsers write it
    ["2026-01-01T00:00:01.000Z"] = "2026-01-01T00:00:01Z",
    ["2026-01-01t00:00:01z"] = "2026-01-01T00:00:01Z",
    ["2026-01-01T02:00:01.25+02:00"] = "2026-01-01T00:00:01.25Z",
    ["2025-12-31T16:30:01.5-07:30"] = "2026-01-01T00:00:01.5Z",
    ["2026-01-01T00:00:01-00:00"] = "2026-01-01T00:00:01Z",
    ["2026-06-24T11:44:49.167312339Z"] = "2026-06-24T11:44:49.167312339Z", -- no double keeps these
    ["2026-06-24T11:44:49.9999999999Z"] = "2026-06-24T11:44:49.999999999Z",
    ["2016-12-31T23:59:60.5Z"] = "2017-01-01T00:00:00.5Z",
    ["0001-01-01T00:00:00Z"] = "0001-01-01T00:00:00Z",
    ["0001-01-01T00:00:00+02:00"] = "0001-01-01T00:00:00Z",
    ["9999-12-31T23:59:59-02:00"] = "9999-12-31T23:59:59Z",
  } do
    it("takes " .. text, function() assert.equal(expected, moments.read(text)) end)
  end

  it("keeps what the server writes as it is", function()
    for _ = 1, 1000 do
      local text = clock.stamp()
      assert.equal(text, moments.read(text))
    end
  end)

  it("is not long, whatever a client writes", function()
    local text = moments.read("2026-01-01T00:00:01." .. ("3"):rep(100000) .. "Z")
    assert.equal("2026-01-01T00:00:01.333333333Z", text)
  end)

  it("refuses what is no date", function()
    for _, text in ipairs {
      "", "today", "2026-01-01", "2026-01-01T00:00:01", "2026-01-01T00:00:01.Z", "2026-01-01T00.5:00:01Z",
      "2026-01-01T00:00:01+02:00.5Z", "2026-02-30T00:00:00.5Z", "2026-01-01T00:00:01.5",
      "2026-01-01T00:00:01.5+2", "2026-01-01T00:00:01.5.5Z", "2026-01-01T00:00:01..5Z",
    } do
      assert.is_nil(moments.read(text), text)
    end
    assert.is_nil(moments.read(1767225600))
    assert.is_nil(moments.read(nil))
  end)
end)
