--- A rule set that is made rule by rule, as reading a long file does it.
local core = require "stream_events.core"
local garbage = require "support.garbage"

describe("a rule set that is made rule by rule", function()
  it("is the same as one that is made at once", function()
    local list = { { name = "a*", kind = "event", extra = "keep" }, { name = "ab", kind = "refuse" },
      { name = "trap", kind = "honeypot", mark = "m" }, { name = "b", kind = "event", mode = "enforce" } }
    local builder = core.rule_set_builder {}
    for _, rule in ipairs(list) do builder:add(rule) end
    local sets = {
      assert(core.rule_set { rules = list, default = "allow", mode = "audit", hash = "h" }),
      assert(builder:finish { default = "allow", mode = "audit", hash = "h" }),
    }
    local results = {}
    for i, set in ipairs(sets) do
      local judge = core.rules()
      judge:use(set)
      results[i] = {}
      for _, name in ipairs { "a", "ab", "abc", "trap", "b", "c", "message.new" } do
        local _, decision = judge:decide(('{"type":"%s","n":1,"user":{"id":"u"},"cid":"m:a"}'):format(name), {
          trace = true, now = 1,
        })
        decision.instructions, decision.seconds, decision.bytes = nil, nil, nil
        results[i][name] = { set:find(name) or false, { judge:route(name) }, decision }
      end
    end
    assert.same(results[1], results[2])
  end)

  it("takes many", function()
    local builder = core.rule_set_builder {}
    for i = 1, 3000 do
      builder:add { name = "n" .. i, kind = "event", rates = { { count = 1, seconds = i, per = "all" } } }
    end
    local set = assert(builder:finish {})
    for i = 1, 3000, 7 do assert.equal("n" .. i, set:find("n" .. i)) end
  end)

  it("is finished once, and not after an error", function()
    local builder = core.rule_set_builder {}
    assert(builder:finish {})
    assert.has_error(function() builder:finish {} end)
    assert.has_error(function() builder:add { name = "a" } end)
    builder = core.rule_set_builder {}
    assert.has_error(function() builder:add { name = 5 } end)
    assert.has_error(function() builder:add { name = "a" } end)
    assert.has_error(function() builder:finish {} end)
    assert.has_error(function() core.rule_set_builder { state = 5 } end)
    builder = core.rule_set_builder {}
    builder:add { name = "a" }
    builder:add { name = "a" }
    local set, kind = builder:finish {}
    assert.is_nil(set)
    assert.equal("argument", kind)
  end)

  it("keeps the functions of the program", function()
    local builder = core.rule_set_builder {}
    for _, word in ipairs { "drop", "allow" } do
      builder:add { name = word, kind = "event", check = function() return core.verdicts[word] end }
    end
    local set = assert(builder:finish {})
    builder = nil -- luacheck: ignore 311
    garbage.collect()
    local judge = core.rules()
    judge:use(set)
    assert.equal("drop", (judge:decide('{"type":"drop"}')))
    assert.equal("allow", (judge:decide('{"type":"allow"}')))
  end)
end)
