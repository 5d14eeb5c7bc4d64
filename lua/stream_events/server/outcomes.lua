--- What became of each custom event that somebody tried to send: counted, and told to whoever looks on.
-- On the way of every event, so with nobody looking on it only counts.
local histograms = require "stream_events.server.histogram"

local M = {}

local RECEIVERS = { 0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000 }

-- Refusals of the protocol by code; those of rules have a reason code of their own.
local REASONS = {
  [4] = "malformed", [9] = "rate-limited", [16] = "missing", [17] = "not-allowed", [18] = "not-supported",
  [22] = "too-large",
}

---@class stream_events.server.Outcome
---@field outcome "accepted"|"refused"
---@field type string? of the event; nil when it has none that could be read
---@field cid string? where it was sent to
---@field target string? the user it was sent to, for user events
---@field sender string? id of the user it is from; nil for a backend's that says nothing
---@field by "server"|"user"|"guest"|"anonymous" who called
---@field reason string? of a refusal: a reason code of rules, or what the protocol's code stands for
---@field rule string? the rule that refused it
---@field message string? of a refusal, for people
---@field receivers integer? of an accepted one: connections
---@field body string the event as it was distributed; of a refusal the request's body. Hostile

---@class stream_events.server.Outcomes
---@field accepted_count integer
---@field repeated_count integer sends that came again, which deliver nothing
---@field receivers stream_events.server.Histogram of accepted events
---@field reasons table<string, integer> refusals
---@field private observers fun(outcome: stream_events.server.Outcome)[]
local Outcomes = { __name = "stream_events.server.outcomes" }
Outcomes.__index = Outcomes

---@param parts { log: function }
---@return stream_events.server.Outcomes
function M.new(parts)
  return setmetatable({
    log = parts.log, accepted_count = 0, repeated_count = 0,
    receivers = histograms.new(RECEIVERS), refused_count = 0,
    reasons = {}, observers = {},
  }, Outcomes)
end

local function tell(self, outcome)
  for _, observer in ipairs(self.observers) do
    local ok, err = pcall(observer, outcome)
    if not ok then self.log("error", "who looks on at events failed", { error = tostring(err) }) end
  end
end

-- What a handler knows of the event when its outcome is known; it notes these as it learns them.
local function describe(context, outcome)
  local caller, sender = context.caller, context.sender
  return {
    outcome = outcome, type = context.event_type, by = caller.kind,
    cid = context.params.cid, target = not context.params.cid and context.params.id or nil,
    sender = sender and sender.id or caller.id,
  }
end

--- An event went out.
---@param context stream_events.server.Context with event_type and, where there is one, sender
---@param text string
---@param receivers integer
function Outcomes:accepted(context, text, receivers)
  self.accepted_count = self.accepted_count + 1
  self.receivers:add(receivers)
  if not self.observers[1] then return end
  local outcome = describe(context, "accepted")
  outcome.receivers, outcome.body = receivers, text
  tell(self, outcome)
end

--- An event came again that had been sent: nobody gets it a second time.
function Outcomes:repeated()
  self.repeated_count = self.repeated_count + 1
end

--- An event was refused.
---@param context stream_events.server.Context
---@param failure stream_events.server.Failure
function Outcomes:refused(context, failure)
  local reason = failure.reason or REASONS[failure.code] or "other"
  self.refused_count = self.refused_count + 1
  self.reasons[reason] = (self.reasons[reason] or 0) + 1
  if not self.observers[1] then return end
  local outcome = describe(context, "refused")
  outcome.reason, outcome.rule, outcome.message = reason, failure.rule, failure.message
  outcome.body = context.request.body
  tell(self, outcome)
end

--- Has a function told of every outcome from now on.
---@param observer fun(outcome: stream_events.server.Outcome)
---@return fun() stop
function Outcomes:observe(observer)
  table.insert(self.observers, observer)
  return function()
    for i, each in ipairs(self.observers) do
      if each == observer then return table.remove(self.observers, i) end
    end
  end
end

---@class stream_events.server.OutcomeStats
---@field accepted integer
---@field refused integer
---@field repeated integer sends that came again
---@field receivers integer connections that accepted events were queued for
---@field reasons table<string, integer> of refusals

---@return stream_events.server.OutcomeStats
function Outcomes:stats()
  local reasons = {}
  for reason, number in pairs(self.reasons) do reasons[reason] = number end
  return {
    accepted = self.accepted_count, refused = self.refused_count, repeated = self.repeated_count,
    receivers = self.receivers.sum,
    reasons = reasons,
  }
end

return M
