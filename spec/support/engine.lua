--- Engines of rules for specs, and events for them to judge.
local core = require "stream_events.core"

local M = {}

--- When all of it happens.
M.NOW = 1700000000

--- A compiled set of these rules.
function M.set_of(rules, more)
  local description = { default = "drop", mode = "enforce", hash = "c0ffee", rules = rules }
  for key, value in pairs(more or {}) do description[key] = value end
  return assert(core.rule_set(description))
end

--- An engine with these rules in force.
function M.engine_of(rules, more, limits)
  local engine = core.rules(limits)
  engine:use(M.set_of(rules, more))
  return engine
end

--- Decides about one text; returns the verdict, the reason, and the decision or {}.
function M.decide(engine, text, input)
  local given = { now = M.NOW }
  for key, value in pairs(input or {}) do given[key] = value end
  local verdict, decision = engine:decide(text, given)
  return verdict, decision and decision.reason, decision or {}
end

M.FROM_BOB = '"cid":"messaging:general","user":{"id":"bob","role":"user"},'

--- The text of an event of bob's with this data.
function M.event(data, type)
  return ('{"type":"%s",%s%s}'):format(type or "poke", M.FROM_BOB,
    data == "" and '"created_at":"now"' or data)
end

return M
