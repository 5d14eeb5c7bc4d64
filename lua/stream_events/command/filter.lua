--- Rules for `listen`: what they say about each event that arrives, and what is shown of it.
-- The client itself has no rules here, so that a recording holds also what rules drop.
local drivers = require "stream_events.rules.driver"
local engines = require "stream_events.rules.engine"
local errors = require "stream_events.error"
local file = require "stream_events.command.rules.file"
local format = require "stream_events.command.format"
local luv = require "luv"
local native = require "stream_events.native"
local output = require "stream_events.command.output"

local M = {}

---@class stream_events.command.Filter
---@field engine stream_events.rules.Engine
---@field private self_id string
local Filter = {}
Filter.__index = Filter

--- Loads a rule file that is read again whenever it changes; what is wrong with it goes to standard
--- error.
---@param path string
---@param user_id string who listens
---@param log fun(level: string, message: string, fields: table) told of reloads and of failing rules
---@param args { program: string, json: boolean? }
---@return stream_events.command.Filter? filter
---@return integer? code to end with
function M.open(path, user_id, log, args)
  local ok, message = file.readable(path, args)
  if not ok then return nil, output.misuse(message) end
  local engine, err = engines.new { rules = path, watch = true, limits = {}, log = log, clock = native }
  if not engine then return nil, file.fail(err, path, args) end
  return setmetatable({ engine = engine, self_id = user_id, log = log }, Filter)
end

--- Begins to look after the file, in luv's loop.
function Filter:start()
  self.driver = drivers.new(self.engine, function(err)
    self.log("error", "looking after the rules failed", { error = tostring(err) })
  end)
end

--- Ends that, and lets luv forget it.
function Filter:close()
  if not self.driver then return end
  self.driver:close(errors.new { kind = "closed", message = "no more events are judged" })
  luv.run()
end

--- The event, as a handler would get it if it gets it; and what the rules had to say, if anything.
---@param event stream_events.Event
---@return stream_events.Event event
---@return stream_events.core.RuleDecision? decision
function Filter:judge(event)
  local verdict, decision = self.engine.core:decide(native.event.text(event),
    { self = self.self_id, now = event.received_at })
  if decision then self.engine:note_fault(decision) end
  if verdict ~= "drop" and verdict ~= "quarantine" and decision and decision.changed then
    event = assert(native.event.new(decision.changed,
      { self = self.self_id, received_at = event.received_at }))
  end
  return event, decision
end

--- What a handler finds in event.verdict; nil: nothing.
---@param decision stream_events.core.RuleDecision
---@return { verdict: string, judged: string, rule: string?, reason: string?, text: string? }?
function M.remark(decision)
  local verdict = decision.judged ~= decision.verdict and "audit" or decision.verdict
  if verdict == "allow" then return nil end
  return {
    verdict = verdict, judged = decision.judged, rule = decision.rule, reason = decision.reason,
    text = decision.text,
  }
end

--- A message that is no event, as the client reports it, in the form of what rules drop.
---@param dropped { detail: string, received_at: number }
---@return table event
---@return { verdict: "drop", reason: "malformed", text: string } decision
function M.malformed(dropped)
  return { received_at = dropped.received_at },
    { verdict = "drop", reason = "malformed", text = dropped.detail }
end

local DONE = { drop = "dropped", quarantine = "quarantined" }

-- Whom an event is from; a user event has no sender but the backend.
local function sender_of(event)
  if event.trust == "server" then return "server" end
  return event.user and event.user.id or "-"
end

--- What was dropped, when, where and why, in one line.
---@param event stream_events.Event
---@param decision stream_events.core.RuleDecision
---@return string
function M.line(event, decision)
  local text = ("%s %s from %s: %s"):format(DONE[decision.verdict] or decision.verdict,
    event.type or "a message", sender_of(event), decision.reason or "")
  if decision.rule then text = ("%s (%s)"):format(text, decision.rule) end
  if decision.text and decision.text ~= "" then text = ("%s: %s"):format(text, decision.text) end
  return ("%s %s %s"):format(format.clock(event.received_at), format.place(event), format.plain(text))
end

--- The same for programs; without the data, which are hostile.
---@param event stream_events.Event
---@param decision stream_events.core.RuleDecision
---@return string
function M.json(event, decision)
  local null = native.json.null
  return format.encoded { dropped = {
    type = event.type or null, cid = event.cid or null, trust = event.trust or null,
    user = event.user and event.user.id and { id = event.user.id } or null,
    created_at = event.created_at, received_at = event.received_at,
    verdict = decision.verdict, reason = decision.reason or null, rule = decision.rule or null,
    text = decision.text or "", hash = decision.hash,
  } }
end

return M
