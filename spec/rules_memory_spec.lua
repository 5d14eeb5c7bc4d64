--- Rules when memory runs out: within the cap of their own state, at every size of it; and in the
--- process, at every single allocation.
local core = require "stream_events.core"
local core_program = require "support.core_program"
local host_state = require "support.host_state"
local lua = require "support.lua"
local process = require "support.process"
local rules = require "stream_events.rules"

local TEXT = [[
local words = {}
for i = 1, 400 do words[i] = ("word"):rep(20) .. i end
event "attack" {
  fields = { text = string { max = 100, glob = "w*" }, list = array { items = integer, max = 20 } },
  check = function(event, context)
    local names = {}
    for i, word in ipairs(words) do names[i] = word:upper() .. event.text end
    context.count(table.concat(names, ","):sub(1, 20), 1, 60)
    return rewrite { text = "words", list = { #names } }
  end,
}]]
local EVENT = '{"type":"attack","cid":"a:b","user":{"id":"u"},"text":"word","list":[1,2,3]}'

describe("a rule state", function()
  local function each_cap(run)
    local cap, done = 1, false
    while not done do
      done = run(cap)
      cap = cap + 997
      assert.is_true(cap < 4 * 1024 * 1024, "it is never enough")
    end
  end

  it("is made, or not, under any cap", function()
    local before = host_state.take()
    local refused = 0
    each_cap(function(cap)
      local state, kind, message = core.rule_state { memory = cap }
      if state then
        assert.is_true(state:memory() <= cap)
        return true
      end
      refused = refused + 1
      assert.equal("memory", kind)
      assert.is_string(message)
    end)
    assert.is_true(refused > 10)
    assert.is_nil(host_state.difference(before, host_state.take()))
  end)

  it("loads a file, or does not, under any cap", function()
    local before = host_state.take()
    local refused = 0
    each_cap(function(cap)
      local state = core.rule_state { memory = cap, instructions = 100000, seconds = 600 }
      if not state then return end
      local statements, kind, message = state:load("rules.lua", TEXT, { functions = {}, fields = {} })
      assert.is_true(state:memory() <= cap)
      if statements then return true end
      refused = refused + 1
      assert.equal("full", kind, message)
    end)
    assert.is_true(refused > 10)
    assert.is_nil(host_state.difference(before, host_state.take()))
  end)

  it("decides, or drops, under any cap", function()
    local before = host_state.take()
    local seen = {}
    each_cap(function(cap)
      local set, err = rules.parse(TEXT, { name = "rules.lua",
        limits = { memory = cap, instructions = 100000, seconds = 600 } })
      if not set then
        assert.is_true(err.kind == "full" or err.kind == "rule", err.kind)
        seen.load = (seen.load or 0) + 1
        return
      end
      local engine = core.rules()
      engine:use(set.core)
      local verdict, decision = engine:decide(EVENT, { now = 1750000000 })
      assert.is_true(decision.bytes <= cap)
      seen[verdict] = (seen[verdict] or 0) + 1
      if verdict == "rewrite" then return true end
      assert.same({ "drop", "budget-memory" }, { verdict, decision.reason })
    end)
    assert.is_true((seen.load or 0) > 10)
    assert.is_true((seen.drop or 0) > 5)
    assert.is_nil(host_state.difference(before, host_state.take()))
  end)
end)

-- LuaJIT loads the very module that Lua 5.1 does.
if lua.IS_JIT then return end

describe("the process's memory", function()
  local program

  -- The objects that the module under test was made of, once more, with a main() of their own.
  setup(function()
    program = core_program.build("failing_memory", "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc")
  end)
  after_each(process.end_all)

  for _, stage in ipairs {
    "state", "load", "parse", "examples", "engine", "decide", "inline", "honeypot", "trace", "counts",
  } do
    for _, mode in ipairs { "once", "lasting" } do
      it(("may run out at any allocation of '%s', %s"):format(stage, mode), function()
        local run = process.run(program, { "spec/support/failing_rules.lua", stage, mode },
          { LD_PRELOAD = false })
        assert.equal("", run.stderr)
        assert.same({ 0, 0 }, { run.code, run.signal })
        assert.is_true(tonumber(run.stdout) > 1, run.stdout)
      end)
    end
  end
end)
