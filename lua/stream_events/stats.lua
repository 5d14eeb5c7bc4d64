--- The numbers of a client, gathered from its parts.
local M = {}

---@class stream_events.Stats
---@field online boolean
---@field received integer events that came in, wanted or not
---@field delivered integer events that had at least one handler, the client's own among them
---@field unwanted integer events that nobody wanted: the types, and the channels
---@field refused integer events that nobody may send, or that the rules keep back
---@field malformed integer messages that are no events
---@field dropped table<string, table<string, integer>> by type, then by reason; "*": type unknown
---@field reconnects integer
---@field gaps integer those of them after which events may be missing
---@field last_reason string? of the last loss of the connection
---@field sleeps integer how often the machine, or the program, was asleep
---@field token_expires number? seconds since 1970 at which the present token runs out
---@field tokens_asked integer calls of the token function
---@field tokens_failed integer those of them that gave no token
---@field sends integer HTTP calls made
---@field failed integer HTTP calls that ended with an error
---@field in_flight integer HTTP calls without an answer so far
---@field queued integer sends that wait to go out
---@field superseded integer sends whose place a newer one took
---@field expired integer sends that waited longer than they may
---@field paced integer sends that had to wait for the service's rate
---@field retried integer how often a send was put back to go out again
---@field handlers_waiting integer handlers and callbacks that wait for something
---@field handler_errors integer how often one of them raised
---@field longest_poll number seconds of the longest turn, handlers included, without what it slept
---@field subscriptions integer
---@field watched integer channels
---@field rules stream_events.RuleStats? nil: there are none

-- Of a client that has sent nothing so far.
local NO_SENDS = { superseded = 0, expired = 0, paced = 0, retried = 0 }

local function size(set)
  local count = 0
  for _ in pairs(set) do count = count + 1 end
  return count
end

local function subscriptions(registry)
  local count = registry.client_scope.size
  for _, scope in pairs(registry.scopes) do count = count + scope.size end
  return count
end

-- What is no event gets as far as no rule: it is counted in with what they dropped.
local function rule_stats(context, malformed)
  if not context.rules then return nil end
  local stats = context.rules:stats()
  if malformed > 0 then
    local unknown = stats.types["*"] or {}
    stats.types["*"], unknown.drop = unknown, unknown.drop or {}
    unknown.drop.malformed = (unknown.drop.malformed or 0) + malformed
  end
  return stats
end

---@param context table of the client
---@return stream_events.Stats
function M.collect(context)
  local totals, counts = context.router:totals(), context.delivery.totals()
  local dropped = context.router:counts()
  local sender = context.sender
  local sends = sender and sender.counts or NO_SENDS
  if counts.malformed > 0 then
    dropped["*"] = dropped["*"] or {}
    dropped["*"].malformed = counts.malformed
  end
  return {
    online = context.session.state == "online",
    received = totals.received, delivered = counts.delivered,
    unwanted = totals.unwanted + counts.unhandled,
    refused = totals.refused, malformed = counts.malformed,
    dropped = dropped,
    reconnects = context.session.reconnects, gaps = context.recovery.gaps,
    last_reason = context.session.last_reason,
    sleeps = context.upkeep.sleeps,
    token_expires = (context.identity.supply:expires()),
    tokens_asked = context.identity.supply.asked, tokens_failed = context.identity.supply.failed,
    sends = context.api.counts.sent, failed = context.api.counts.failed,
    in_flight = context.api.counts.in_flight,
    queued = sender and sender:waiting() or 0,
    superseded = sends.superseded, expired = sends.expired, paced = sends.paced, retried = sends.retried,
    handlers_waiting = context.workers.suspended, handler_errors = context.workers.failures,
    longest_poll = context.loop.longest,
    subscriptions = subscriptions(context.registry), watched = size(context.recovery.watches),
    rules = rule_stats(context, counts.malformed),
  }
end

return M
