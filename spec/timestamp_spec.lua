--- Timestamps: RFC 3339 both ways.
local lua = require "support.lua"
local timestamp = require "stream_events.timestamp"

local BOTH = {
  ["0001-01-01T00:00:00Z"] = -62135596800,
  ["1900-02-28T23:59:59Z"] = -2203891201,
  ["1969-12-31T23:59:59Z"] = -1,
  ["1970-01-01T00:00:00Z"] = 0,
  ["2000-02-29T12:00:00Z"] = 951825600,
  ["2026-01-01T00:00:00Z"] = 1767225600,
  ["2026-01-01T00:00:05.25Z"] = 1767225605.25,
  ["2026-06-24T11:44:48.428721Z"] = 1782301488.428721,
  ["2024-02-29T23:59:59.5Z"] = 1709251199.5,
  ["9999-12-31T23:59:59Z"] = 253402300799,
}

describe("timestamp", function()
  for text, seconds in pairs(BOTH) do
    it("writes and reads " .. text, function()
      assert.equal(text, timestamp.format(seconds))
      assert.equal(seconds, timestamp.parse(text))
    end)
  end

  it("agrees with the system about every day of a century and a half", function()
    for day = 0, 55000 do
      local seconds = day * 86400 + day % 86400
      assert.equal(os.date("!%Y-%m-%dT%H:%M:%SZ", seconds), timestamp.format(seconds))
      assert.equal(seconds, timestamp.parse(timestamp.format(seconds)))
    end
  end)

  it("shows no digits that a double cannot know, and no zeros at the end", function()
    assert.equal("2026-01-01T00:00:00.1Z", timestamp.format(1767225600.1))
    assert.equal("2026-01-01T00:00:01Z", timestamp.format(1767225600.9999999))
    assert.equal("2025-12-31T23:59:59.9Z", timestamp.format(1767225599.9))
    assert.equal("1969-12-31T23:59:59.75Z", timestamp.format(-0.25))
  end)

  it("reads nine digits, offsets, small letters and a leap second", function()
    assert.near(1782301489.167312339, timestamp.parse "2026-06-24T11:44:49.167312339Z", 1e-6)
    assert.equal(1767225600, timestamp.parse "2026-01-01T02:00:00+02:00")
    assert.equal(1767225600, timestamp.parse "2025-12-31T16:30:00-07:30")
    assert.equal(1767225600, timestamp.parse "2026-01-01t00:00:00z")
    assert.equal(1483228800, timestamp.parse "2016-12-31T23:59:60Z")
  end)

  it("gives an integer for whole seconds", function()
    assert.equal("integer", lua.number_type(timestamp.parse "2026-01-01T00:00:00Z"))
  end)

  it("refuses what is no point in time", function()
    for _, text in ipairs {
      "helloworld", "", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-13-01T00:00:00Z",
      "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
      "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z",
      "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00ZZ", "2026-01-01T00:00:00+2:00",
      "2026-01-01T00:00:00+24:00",
      "2026-01-01T00:00:00+00:60", "26-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n", " 2026-01-01T00:00:00Z",
    } do
      assert.is_nil(timestamp.parse(text), text)
    end
    assert.is_nil(timestamp.parse(1767225600))
    assert.is_nil(timestamp.parse(nil))
  end)

  it("raises on what cannot be written", function()
    for _, seconds in ipairs { 0 / 0, math.huge, -math.huge, 253402300800, -62135596801, "0" } do
      assert.has_error(function() timestamp.format(seconds) end)
    end
  end)
end)
