--- The rules of the server: what they refuse reaches nobody.
-- An event is judged as the text that receivers would get, after all other checks. Whoever sends to a
-- channel is "self" to itself and "user" to everyone else; a backend that sends to a user is "server".
local drivers = require "stream_events.rules.driver"
local engines = require "stream_events.rules.engine"
local errors = require "stream_events.error"
local failures = require "stream_events.server.failure"
local native = require "stream_events.native"

local M = {}

local NOT_ALLOWED = 17

local TO_CHANNEL, TO_USER = { trust = "any" }, { trust = "server" }

---@class stream_events.server.Rules
---@field engine stream_events.rules.Engine
local Rules = { __name = "stream_events.server.rules" }
Rules.__index = Rules

--- Makes the rules that a server is started with.
---@param options stream_events.server.Options
---@param log fun(level: string, message: string, fields: table)
---@return stream_events.server.Rules? rules
---@return stream_events.Error? err kind "rule"
function M.new(options, log)
  local engine, err = engines.new {
    rules = options.rules, watch = options.watch, log = log, clock = native,
    limits = {
      rule_instructions = options.rule_instructions, rule_seconds = options.rule_seconds,
      rule_memory = options.rule_memory, rule_breaches = options.rule_breaches,
    },
  }
  if not engine then return nil, err end
  return setmetatable({ engine = engine, core = engine.core, log = log }, Rules)
end

--- Begins to look after files and reloads, in the loop of the program.
function Rules:start()
  self.driver = drivers.new(self.engine, function(err)
    self.log("error", "a callback of a reload failed", { error = tostring(err) })
  end)
end

-- Where a rule itself failed, the text speaks of its file, which is nobody's business but the log's.
local FAULTS = {
  ["check-error"] = true, ["bad-verdict"] = true, ["budget-instructions"] = true, ["budget-time"] = true,
  ["budget-memory"] = true,
}

local function refused(decision)
  local reason, text = decision.reason or decision.verdict, decision.text
  if FAULTS[reason] then
    text = "a rule of the server failed, and so refuses this event"
  elseif text == "" then
    text = "the rules refuse this event: " .. reason
  end
  local failure = failures.new(NOT_ALLOWED, text, nil, { reason })
  failure.reason, failure.rule = reason, decision.rule
  return nil, failure
end

--- The text as it is to be delivered.
---@param text string
---@param to_user boolean? it goes to a user and not to a channel
---@return string? text
---@return stream_events.server.Failure? failure
function Rules:judge(text, to_user)
  local verdict, decision = self.core:decide(text, to_user and TO_USER or TO_CHANNEL)
  if not decision then return text end
  self.engine:note_fault(decision)
  if verdict == "drop" or verdict == "quarantine" then return refused(decision) end
  return decision.changed or text
end

--- Whether a rule speaks about a built-in type.
---@param event_type string
---@return boolean
function Rules:names(event_type)
  return self.core:route(event_type) ~= "pass"
end

---@param done fun(ok: true?, err: stream_events.Error?)
function Rules:reload(done)
  self.driver:reload(done)
end

---@return stream_events.RuleStats
function Rules:stats()
  return self.engine:stats()
end

---@param closed fun()
function Rules:stop(closed)
  self.driver:close(errors.new { kind = "closed", message = "the server was stopped" }, closed)
end

return M
