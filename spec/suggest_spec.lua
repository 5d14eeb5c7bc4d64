--- Suggestions for misspelt words.
local suggest = require "stream_events.suggest"

describe("distance", function()
  for _, case in ipairs {
    { "", "", 0 }, { "a", "", 1 }, { "", "abc", 3 }, { "fields", "filds", 1 }, { "kitten", "sitting", 3 },
    { "rate", "rate", 0 }, { "ab", "ba", 2 }, { "one_of", "none_of", 1 },
  } do
    it(("from %q to %q is %d, both ways"):format(case[1], case[2], case[3]), function()
      assert.equal(case[3], suggest.distance(case[1], case[2]))
      assert.equal(case[3], suggest.distance(case[2], case[1]))
    end)
  end
end)

describe("nearest", function()
  local known = { fields = true, from = true, rate = true, min = true, max = true, starts_with = true }
  for word, expected in pairs {
    filds = "fields", Fields = "fields", form = "from", rates = "rate", mx = "max", mim = "min",
    startswith = "starts_with", stat_with = "starts_with",
  } do
    it(("finds %q for %q"):format(expected, word), function()
      assert.equal(expected, suggest.nearest(word, known))
    end)
  end

  it("finds nothing where nothing is near", function()
    for _, word in ipairs { "", "x", "abc", "colour", ("fields"):rep(20), 12, false, {} } do
      assert.is_nil(suggest.nearest(word, known))
    end
    assert.is_nil(suggest.nearest(nil, known))
    assert.is_nil(suggest.nearest("fields", {}))
  end)

  it("takes the first in the alphabet of two that are as near", function()
    assert.equal("bar", suggest.nearest("baz", { bay = true, bar = true }))
  end)
end)
