--- Names: what may be called how.
local names = require "stream_events.names"

describe("names", function()
  for rule, cases in pairs {
    channel_type = {
      good = { "messaging", "a", "Team_1-x", ("x"):rep(64) },
      bad = { "", "a b", "a:b", "a.b", "é", "a!", ("x"):rep(65), "a\n", "a\0", 1, false, {} },
    },
    channel_id = {
      good = { "general", "!members-abc_DEF-1", ("x"):rep(64) },
      bad = { "", "a/b", "a:b", "a@b", ("x"):rep(65), "..", "a\0b", 12 },
    },
    user_id = {
      good = { "tommaso", "john@example_com", "guest-0f4f1b0e-bob", ("x"):rep(255) },
      bad = { "", "!anon", "a b", "a.b", "a/b", ("x"):rep(256), "__index\n" },
    },
    word = {
      good = { "user", "a/b", "日本", "!", "*", ("x"):rep(255) },
      bad = { "", "a\n", "\27[2J", "\127", ("x"):rep(256), 7, true, {} },
    },
    event_type = {
      good = {
        "friendship_request", "constructor", "__index", "__proto__", "a b", "a.b", "Grüße", "日本", "😀",
        ("x"):rep(255), "\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}", "\u{D7FF}\u{E000}", "\u{A0}",
      },
      bad = {
        "", "a\n", "\0", "\27[31m", "\127", ("x"):rep(256), "\255", "\192\128", "\193\191", "\224\128\128",
        "\237\160\128", "\240\128\128\128", "\244\144\128\128", "\245\128\128\128", "a\195", "\195a",
        "\226\130", "\240\159\152", "\128", "\194\133", 7, true,
      },
    },
    pattern = {
      good = { "trade_*", "t*", "trade" },
      bad = { "*", "*x", "a*b", "a**", "", "\n*", "*a*" },
    },
  } do
    it(rule .. " accepts what is allowed", function()
      for _, value in ipairs(cases.good) do
        assert.is_true((names[rule](value)), ("%q"):format(value))
      end
    end)
    it(rule .. " says what is wrong with everything else", function()
      for _, value in ipairs(cases.bad) do
        local ok, message = names[rule](value)
        assert.is_nil(ok, tostring(value))
        assert.is_string(message)
      end
      assert.is_nil((names[rule](nil)))
    end)
  end

  it("pattern gives the prefix before a star", function()
    assert.same({ true, "trade_" }, { names.pattern "trade_*" })
    assert.same({ true }, { names.pattern "trade_" })
  end)

  it("joins and splits a cid", function()
    assert.equal("messaging:general", names.cid("messaging", "general"))
    assert.same({ "messaging", "general" }, { names.split_cid "messaging:general" })
  end)

  it("does not split what is no cid", function()
    for _, value in ipairs { "", ":", "messaging", "messaging:", ":general", "a:b:c", "a b:c", "a:b/c", 1 } do
      local channel_type, message = names.split_cid(value)
      assert.is_nil(channel_type, tostring(value))
      assert.is_string(message)
    end
    assert.is_nil((names.split_cid(nil)))
  end)
end)
