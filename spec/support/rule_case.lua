--- Runs one attempt to get out of the rules, and looks at what must not have suffered from it.
---
--- A case is a rule file, or the body of a check. Whatever stands in it, it ends in a verdict or in an
--- error when the file is loaded, within its budgets; the host is as it was, and the rule set, where
--- there is one, still answers.
local assert = require "luassert"
local core = require "stream_events.core"
local escapes = require "stream_events.rules.escapes"
local host_state = require "support.host_state"
local lua = require "support.lua"
local rules = require "stream_events.rules"

local M = {}

local MEMORY = 1024 * 1024
-- Enough for any honest check. Time has no say here unless a case is about it: a slow machine must not
-- change a reason.
local LIMITS = { instructions = 200000, seconds = 600, memory = MEMORY }
local HOOK = 1000 -- instructions that may pass until a budget is looked at
local BREACHES = 5
local NOW = 1750000000
local TEXT = 240 -- bytes of a decision's text

M.EVENT = '{"type":"attack","cid":"messaging:general","user":{"id":"mallory","role":"user"},' ..
  '"text":"hello","number":7,"list":[3,1,2],"nested":{"deep":{"x":1}},"flag":true,"nothing":null}'

local PROBE = '\nevent "probe" { extra = "keep", check = function(event) ' ..
  'return drop(event.text .. " " .. ("ab"):upper():rep(2)) end }\n'
local PROBE_EVENT = '{"type":"probe","cid":"messaging:general","user":{"id":"bob"},"text":"still here"}'

---@class support.RuleCase
---@field [1] string name
---@field [2] string where it was published, or ""
---@field [3] string what may come of it, "a|b": the reason of a drop, "allow", "flag", "rewrite",
---  "quarantine"; "load": the file is refused; "refused": the file, or "check-error"
---@field [4] string body of the check
---@field text string? the whole file instead; a rule for "attack" stands in it, unless it is refused
---@field event string? JSON
---@field limits table? other limits
---@field read function? for include
---@field message string? plain text that is in the error
---@field spoilt boolean? the case may also break the other rules of its own file
---@field times integer? decide so often; the last outcome counts

--- Whether the Lua at hand can read the text.
---@param text string
---@return boolean
function M.is_lua(text)
  -- Where a parser goes too deep, the handler of errors hears of it even though load() does not raise;
  -- a handler of busted's would take the spec for one that failed.
  local _, chunk = pcall(lua.load, text)
  return type(chunk) == "function"
end

local function allowed(expected, outcome)
  for word in expected:gmatch "[^|]+" do
    if word == outcome then return true end
    if word == "refused" and (outcome == "load" or outcome == "check-error") then return true end
  end
  return false
end

local function limits_of(case)
  local limits = {}
  for key, value in pairs(LIMITS) do limits[key] = value end
  for key, value in pairs(case.limits or {}) do limits[key] = value end
  return limits
end

local function file_of(case)
  local text = case.text
  if not text then
    text = 'event "attack" { extra = "keep", check = function(event, context)\n' .. case[4] .. "\nend }"
  end
  return case[3] == "load" and text or text .. PROBE
end

local function is_text(value)
  return type(value) == "string" and #value < TEXT and core.json.encode(value) ~= nil
end

--- The envelope is nobody's to change: also where a check gives new data.
local function check_changed(changed, text)
  local before, after = assert(core.json.decode(text)), core.json.decode(changed)
  assert.is_table(after, changed)
  for _, name in ipairs { "type", "cid", "user", "created_at", "channel_id", "channel_type" } do
    assert.same(before[name], after[name])
  end
end

local function outcome_of(verdict, decision, limits, text)
  if not decision then return verdict end
  assert.is_true(decision.instructions <= limits.instructions + HOOK,
    "instructions: " .. decision.instructions)
  assert.is_true(decision.bytes <= limits.memory, "bytes: " .. decision.bytes)
  if decision.text ~= nil then assert.is_true(is_text(decision.text), "text of the decision") end
  if decision.changed then check_changed(decision.changed, text) end
  if verdict == "drop" then return decision.reason end
  return verdict
end

local INPUT = { self = "alice", now = NOW }

local function judge(engine, text, limits)
  local verdict, decision = engine:decide(text, INPUT)
  return outcome_of(verdict, decision, limits, text), decision
end

local function check_probe(engine, limits)
  local outcome, decision = judge(engine, PROBE_EVENT, limits)
  assert.equal("check", outcome)
  assert.equal("still here ABAB", decision.text)
end

--- A function that broke its budgets is off before long, and the rest of its file is not.
local function check_trips(engine, case, limits, breaches)
  for _ = breaches + 1, BREACHES do
    assert.matches("^budget%-", (judge(engine, case.event or M.EVENT, limits)))
  end
  assert.equal("tripped", (judge(engine, case.event or M.EVENT, limits)))
  assert.same({ "attack" }, engine:tripped())
  if not case.spoilt then check_probe(engine, limits) end
end

-- Judges what the case is about by a set; says what came of it, and the text.
local function judged(core_set, case, limits, trips)
  local engine = core.rules { breaches = BREACHES }
  engine:use(core_set)
  local outcome, decision
  for _ = 1, case.times or 1 do
    outcome, decision = judge(engine, case.event or M.EVENT, limits)
  end
  if outcome:find "^budget%-" then
    if trips and not case.times then check_trips(engine, case, limits, 1) end
  elseif not case.spoilt and outcome ~= "tripped" then
    check_probe(engine, limits)
  end
  return outcome, decision and decision.text
end

local function attempt(case)
  local limits = limits_of(case)
  local set, err = rules.parse(file_of(case),
    { name = "attack.lua", limits = limits, read = case.read })
  if not set then
    assert.equal("rule", err.kind)
    assert.is_string(err.message)
    assert.is_true(#err.message < 4096, "an error that goes on and on")
    assert.is_nil(err.message:find "%c", "an error that does something to a terminal")
    if case.message then
      assert.is_truthy(tostring(err):find(case.message, 1, true), tostring(err))
    end
    return "load", tostring(err)
  end
  return judged(set.core, case, limits, true)
end

-- The same past the look at the source, which finds unknown names before anything runs: the state
-- has to hold on its own.
local function attempt_unseen(case)
  local limits = limits_of(case)
  local state = assert(core.rule_state(limits))
  local statements, kind, message = state:load("attack.lua", escapes.readable(file_of(case)),
    { functions = {}, fields = {}, read = case.read })
  if not statements then
    assert.is_true(kind == "argument" or kind == "full" or kind == "memory", kind)
    assert.is_true(is_text(message:sub(1, TEXT - 1)) and #message < 4096, "message")
    return "load", message
  end
  local list = {}
  for i, statement in ipairs(statements) do
    local value = statement.value
    list[i] = { name = statement.name, kind = "event", extra = value.extra, check = value.check.reference }
  end
  return judged(assert(core.rule_set { rules = list, default = "drop", mode = "enforce", hash = "attack",
    state = state }), case, limits)
end

--- An ordinary rule file still works.
local function check_fresh()
  local set = assert(rules.parse('event "attack" { fields = { n = integer { max = 3 } } }',
    { name = "fresh.lua" }))
  local engine = core.rules()
  engine:use(set.core)
  assert.equal("allow", (engine:decide('{"type":"attack","n":3,"user":{"id":"u"},"cid":"a:b"}')))
  local verdict, decision = engine:decide('{"type":"attack","n":4,"user":{"id":"u"},"cid":"a:b"}')
  assert.same({ "drop", "field-range" }, { verdict, decision.reason })
end

local function hold_to(case, outcome, text)
  -- What is no Lua here, because it is that of another version, need only be refused.
  if outcome == "load" and not M.is_lua(file_of(case)) then return end
  if not allowed(case[3], outcome) then
    error(("ended in %s (%s), not in %s"):format(outcome, tostring(text), case[3]), 0)
  end
end

--- Runs cases, and then looks after the host.
---@param cases support.RuleCase[]
function M.run_all(cases)
  local before = host_state.take()
  for _, case in ipairs(cases) do
    hold_to(case, attempt(case))
    if not case.text then hold_to(case, attempt_unseen(case)) end
  end
  assert.is_nil(host_state.difference(before, host_state.take()))
  check_fresh()
end

---@param case support.RuleCase
function M.run(case)
  M.run_all { case }
end

--- The title of a case.
---@param case support.RuleCase
---@return string
function M.title(case)
  return case[2] == "" and case[1] or ("%s (%s)"):format(case[1], case[2])
end

--- Makes what is only made when it is first needed.
function M.warm_up()
  check_fresh()
  for _, body in ipairs { "return drop 'x'", "return rewrite { n = context.count('k', 1, 1) }" } do
    local case = { "", "", "check|rewrite", body }
    hold_to(case, attempt(case))
    hold_to(case, attempt_unseen(case))
  end
end

--- How much more memory of the host is in use after some of the cases have been run once more: the
-- least of some rounds, as buffers come and go.
---@param groups table<string, support.RuleCase[]>
---@return integer bytes
function M.growth(groups)
  if rawget(_G, "jit") then jit.off() end -- luacheck: ignore 113 (traces are memory, too)
  local function round()
    for _, cases in pairs(groups) do
      for i = 1, #cases, 13 do attempt(cases[i]) end
    end
  end
  round()
  local least = math.huge
  for _ = 1, 3 do
    local before = host_state.bytes()
    round()
    least = math.min(least, host_state.bytes() - before)
    if least <= 0 then break end
  end
  return least
end

--- The specs of one part of the corpus.
---@param part string its name
---@param groups table<string, table[]> cases by what they have in common
---@param busted { describe: function, it: function, setup: function }
function M.specs(part, groups, busted)
  busted.setup(M.warm_up)
  for name, cases in pairs(groups) do
    busted.describe(name, function()
      for _, case in ipairs(cases) do
        busted.it(M.title(case), function() M.run(case) end)
      end
    end)
  end
  busted.describe(part .. " part of the corpus", function()
    busted.it("leaves nothing in the host's memory", function()
      local bytes = M.growth(groups)
      assert(bytes < 256 * 1024, bytes)
    end)
  end)
end

return M
