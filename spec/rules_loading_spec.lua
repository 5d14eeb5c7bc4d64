--- A rule file is loaded in parts, so that a program that receives events meanwhile stands still for
-- none of them; and what is left of it afterwards is little.
local core = require "stream_events.core"
local lua = require "support.lua"
local rules = require "stream_events.rules"

local TEXT = [[
default "drop"
local often = { count = 5, seconds = 60 }
event "wave" { fields = { at = string { max = 9 } }, rate = often, check = function() return allow end }
refuse { "noise", "spam" }
include "more.lua"
]]
local OPTIONS = {
  functions = {}, fields = {},
  read = function(name) return name == "more.lua" and 'honeypot "trap"' or nil end,
}

describe("a rule state", function()
  it("gives the same statements in parts as at once", function()
    local whole = assert(core.rule_state():load("rules.lua", TEXT, OPTIONS))
    local state, list, parts = core.rule_state(), {}, 1
    state:begin("rules.lua", TEXT, OPTIONS)
    while state:go_on() do parts = parts + 1 end
    assert.equal(4, parts)
    for statement in function() return state:next() end do list[#list + 1] = statement end
    assert.equal(4, #list)
    assert.same(whole, list)
    assert.is_nil(state:next())
    assert.equal(OPTIONS.functions, getmetatable(list[2].value.check))
  end)

  it("says when there is nothing more to do", function()
    local state, answers = core.rule_state(), {}
    state:begin("rules.lua", TEXT, OPTIONS)
    repeat answers[#answers + 1] = state:go_on() until not answers[#answers]
    assert.same({ true, true, true, false }, answers)
  end)

  for what, case in pairs {
    ["no Lua"] = { "event event", 1, "argument", "^rules.lua:1: " },
    ["an error when it runs"] = { "\nerror 'no'", 2, "argument", "^rules.lua:2: no" },
    ["what no rule can hold"] = { 'event "x" { check = { error } }', 3, "argument", "^rules.lua:1: " },
  } do
    it("says at once what is wrong: " .. what, function()
      local state = core.rule_state()
      state:begin("rules.lua", case[1], OPTIONS)
      for _ = 2, case[2] do assert.is_true(state:go_on()) end
      local more, kind, message = state:go_on()
      assert.is_nil(more)
      assert.equal(case[3], kind)
      assert.truthy(message:find(case[4]), message)
      assert.has_error(function() state:go_on() end)
      assert.is_nil(state:next())
      assert.equal(4, #assert(state:load("rules.lua", TEXT, OPTIONS)))
    end)
  end

  it("wants the parts in their order, and arguments of the right kind", function()
    local state = core.rule_state()
    assert.has_error(function() state:go_on() end)
    assert.is_nil(state:next())
    assert.has_error(function() state:begin("rules.lua", TEXT, { functions = {} }) end)
    assert.has_error(function() state:begin("rules.lua", TEXT, { functions = {}, fields = {}, read = 1 }) end)
    assert.has_error(function() state:begin("rules\0.lua", TEXT, OPTIONS) end)
    assert.has_error(function() state:begin("rules.lua", nil, OPTIONS) end)
    assert.has_error(function() state:go_on() end)
  end)

  it("begins anew whenever it is told to, also by a file that it reads", function()
    local state, problem = core.rule_state(), nil
    local function read()
      problem = select(2, pcall(state.begin, state, "other.lua", "", OPTIONS))
      assert.is_false((pcall(state.next, state)))
      return ""
    end
    state:begin("rules.lua", TEXT, { functions = {}, fields = {}, read = read })
    state:go_on()
    assert.is_true(state:go_on())
    assert.truthy(tostring(problem):find("loading a file already", 1, true))
    state:begin("rules.lua", 'refuse "a"', OPTIONS)
    repeat until not state:go_on()
    assert.equal("a", state:next().name)
    assert.is_nil(state:next())
  end)

  it("keeps its place when a finalizer begins anew in the middle of a statement", function()
    lua.collect_at_once(true)
    local state = core.rule_state()
    state:begin("rules.lua", TEXT, OPTIONS)
    repeat until not state:go_on()
    local call, ran = state.next, false
    local function on_collected()
      ran = true
      state:begin("rules.lua", "", OPTIONS)
    end
    collectgarbage()
    lua.finalized(on_collected)
    collectgarbage "restart"
    local statement = call(state)
    lua.collect_at_once(false)
    assert.is_true(ran)
    assert.equal("default", statement.kind)
    assert.is_nil(state:next())
  end)
end)

describe("an engine", function()
  it("forgets what it is told to forget, and nothing else", function()
    local engine = core.rules()
    engine:use(assert(core.rule_set { default = "drop", mode = "enforce", hash = "0123456789ab", rules = {
      { name = "a", kind = "event", rates = { { count = 1, seconds = 60, per = "all" } } },
    } }))
    local text = '{"type":"a","cid":"x:y","user":{"id":"ann"}}'
    assert.equal("allow", (engine:decide(text)))
    assert.equal("drop", (engine:decide(text)))
    engine:mark("ann", "rude", 60)
    engine:forget()
    assert.same({ buckets = 0, marks = 0, counts = 0 }, engine:sizes())
    assert.is_false(engine:marked("ann", "rude"))
    assert.equal("allow", (engine:decide(text)))
    assert.equal("drop", (engine:decide(text)))
    assert.same({ a = { allow = { [""] = 2 }, drop = { rate = 2 } } }, engine:counts())
  end)
end)

describe("a rule set", function()
  it("is made in steps, and says which of them take long", function()
    local short, long = 0, 0
    local set = assert(rules.parse(TEXT, {
      read = OPTIONS.read,
      step = function(is_long)
        if is_long then long = long + 1 else short = short + 1 end
      end,
    }))
    assert.equal(4, set.size)
    assert.equal(4, long) -- compiled, run, written down, tidied up
    assert.is_true(short >= 4)
  end)

  it("judges no example by what another one left, and says where one fails", function()
    local set = assert(rules.parse([[
event "once" {
  rate = { count = 1, seconds = 1000, per = "all" },
  examples = { allow = { {}, {} }, drop = {
    {},
  } },
}
event "slow" {
  check = function() while true do end end,
  examples = { drop = {
    { reason = "budget-instructions" }, { reason = "budget-instructions" },
    { reason = "budget-instructions" }, { reason = "budget-instructions" },
    { reason = "budget-instructions" }, { reason = "budget-instructions" },
  } },
}]], { limits = { instructions = 1000, seconds = 1 } }))
    local ok, err = set:check()
    assert.is_nil(ok)
    assert.equal(1, #err.problems)
    assert.equal(4, err.problems[1].line)
    local failed = 0
    for _, result in ipairs(set:test()) do
      assert.equal("number", type(result.line))
      if not result.ok then failed = failed + 1 end
    end
    assert.equal(1, failed)
  end)
end)
