--- The rules of one client: the rule set in force, how it is replaced, and what it has set aside.
-- A set is replaced as a whole or not at all. While the new one is made events go on being judged by
-- the old one, and none of them waits: a reload is done in slices, one in each turn.
local errors = require "stream_events.error"
local native = require "stream_events.native"
local rules = require "stream_events.rules"
local texts = require "stream_events.rules.source"

local M = {}

local SLICE = 0.001 -- seconds of a turn that a reload may take
local LOOK_EVERY = 0.5 -- seconds between two looks at watched files
local MOST_KEPT_BYTES = 1048576 -- of quarantined events, whatever their number
local MOST_FAULTS = 1024 -- remembered, so that each is logged once

---@class stream_events.Quarantined what was set aside, and why
---@field event stream_events.Event? as it came; nil when it was too large to be kept
---@field type string
---@field cid string?
---@field user_id string? of the sender
---@field trust "server"|"self"|"user"
---@field size integer bytes
---@field created_at string?
---@field received_at number
---@field reason string?
---@field rule string?
---@field text string?
---@field hash string of the rule set

---@class stream_events.rules.Engine
---@field core stream_events.core.Rules
---@field set { hash: string, mode: "enforce"|"audit", size: integer } about the set in force
---@field reloads integer how often it was replaced
---@field last_error stream_events.Error? why it was not, the last time
local Engine = { __name = "stream_events.rules.engine" }
Engine.__index = Engine

-- Making a set ------------------------------------------------------------------------------------

-- A set that passes its own examples. `source` is what the option `rules` can be.
local function make(source, options)
  local set, err
  if type(source) == "string" then
    set, err = rules.load(source, options)
  elseif rules.is_set(source) then
    set = source
  else
    set, err = rules.new(source, options)
  end
  if not set then return nil, err end
  local ok, failure = set:check(options.step)
  if not ok then return nil, failure end
  return set
end

--- Makes the rules of a client. A set that cannot be made, or fails its own examples, is an error.
---@param options { rules: string|table, limits: table, log: stream_events.Logger, clock: table,
---  watch: boolean?, level: integer? } limits: as in the options of a client; level: who wrote rules
---  that are a table, as for error()
---@return stream_events.rules.Engine? engine
---@return stream_events.Error? err kind "rule"
function M.new(options)
  local limits = options.limits
  local self = setmetatable({
    source = options.rules, log = options.log, clock = options.clock,
    most_kept = limits.quarantine,
    budgets = {
      instructions = limits.rule_instructions, seconds = limits.rule_seconds,
      memory = limits.rule_memory,
    },
    core = native.rules { breaches = limits.rule_breaches },
    observing = false,
    reloads = 0,
    kept = {}, first_kept = 1, last_kept = 0, kept_bytes = 0, quarantined = 0,
    faults = {}, fault_count = 0,
    watching = options.watch or false,
  }, Engine)
  local files = {}
  local making = self:making(files)
  making.level = (options.level or 1) + 3
  local set, err = make(self.source, making)
  if not set then return nil, err end
  self:put_in_force(set)
  self:watch(files)
  return self
end

-- What a set is made with. The stamps of the files that were asked for are left in `files`, taken
-- before each is read: a change while it is being read then shows at the next look.
function Engine:making(files, step)
  return {
    limits = self.budgets, step = step,
    read = function(path)
      files[path] = native.file_stamp(path) or ""
      return texts.read(path)
    end,
  }
end

function Engine:put_in_force(set)
  self.core:use(set.core)
  -- What else is in a set, its examples above all, has done its duty: a program that keeps thousands of
  -- tables for nothing waits longer for the garbage collector.
  self.set = { hash = set.hash, mode = set.mode, size = set.size }
  self.faults, self.fault_count = {}, 0
end

-- Reloading ---------------------------------------------------------------------------------------

-- A coroutine of its own: where it may not yield (below a function of C's) the slice becomes longer.
-- A long piece of work has a turn for itself.
local function new_step(clock)
  local slice = { ends = 0 }
  return slice, function(long)
    if not long and clock.now() < slice.ends then return end
    if coroutine.isyieldable == nil or coroutine.isyieldable() then coroutine.yield() end
  end
end

local function begin(self, callbacks, by_watch)
  local files = {}
  local slice, step = new_step(self.clock)
  self.job = {
    files = files, slice = slice, callbacks = callbacks, by_watch = by_watch,
    thread = coroutine.create(function() return make(self.source, self:making(files, step)) end),
  }
end

--- Begins to read the rules again; step() goes on with it.
---@param done fun(ok: true?, err: stream_events.Error?)
function Engine:reload(done)
  if type(self.source) ~= "string" then
    return done(nil, errors.new {
      kind = "rule", message = "these rules were not read from a file",
      hint = "Give the option rules a path to be able to reload them.",
    })
  end
  -- What is under way may have read the old text already.
  local waiting = self.job and (self.waiting or {}) or { done }
  if self.job then
    waiting[#waiting + 1] = done
    self.waiting = waiting
  else
    begin(self, waiting, false)
  end
end

local function refused(self, err)
  self.log("error", "the rules were not reloaded: the ones before stay in force",
    { error = tostring(err), hash = self.set.hash })
end

local function replaced(self, set)
  local before = self.set.hash
  self:put_in_force(set)
  self.reloads = self.reloads + 1
  self.log("info", "the rules were reloaded", { hash = set.hash, before = before })
end

local function finish(self, job, set, err)
  self.job = nil
  self:watch(job.files)
  self.last_error = err
  if not set then
    refused(self, err)
  elseif not (job.by_watch and set.hash == self.set.hash) then
    replaced(self, set)
  end
  if self.waiting then
    begin(self, self.waiting, false)
    self.waiting = nil
  end
  for _, done in ipairs(job.callbacks) do
    if set then done(true) else done(nil, err) end
  end
end

-- One slice of a reload.
local function go_on(self, job)
  job.slice.ends = self.clock.now() + SLICE
  local ok, set, err = coroutine.resume(job.thread)
  if coroutine.status(job.thread) == "suspended" then return end
  if not ok then
    set, err = nil, errors.new { kind = "rule", message = "reading the rules raised: " .. tostring(set) }
  end
  finish(self, job, set, err)
end

-- Watching ----------------------------------------------------------------------------------------

--- From now on looks whether one of these files becomes another one than it was.
---@param files table<string, string> stamps by path
function Engine:watch(files)
  if not self.watching then return end
  self.files, self.changing = files, nil
  self.next_look = self.clock.now() + LOOK_EVERY
end

-- Reloads when a file has changed, and has stood still since the look before: editors write in
-- several steps, and half a file may well be a rule file too.
local function look(self)
  self.next_look = self.clock.now() + LOOK_EVERY
  local stamps, changed = {}, false
  for path, before in pairs(self.files) do
    stamps[path] = native.file_stamp(path) or ""
    if stamps[path] ~= before then changed = true end
  end
  local still = self.changing ~= nil
  for path, stamp in pairs(self.changing or {}) do
    if stamps[path] ~= stamp then still = false end
  end
  self.changing = changed and stamps or nil
  if changed and still then begin(self, {}, true) end
end

--- Does what is due: a slice of a reload, or a look at the files.
function Engine:step()
  if self.job then
    go_on(self, self.job)
  elseif self.next_look and self.clock.now() >= self.next_look then
    look(self)
  end
end

--- Seconds until step() has something to do; nil: never.
---@return number?
function Engine:timeout()
  if self.job then return 0 end
  return self.next_look and math.max(0, self.next_look - self.clock.now())
end

-- Deciding ----------------------------------------------------------------------------------------

--- Decides about an event that is to be sent. Nil, or the text that is to be sent instead.
---@param body string a request that has the event as its member "event"
---@param input stream_events.core.RuleInput who sends it, and where to
---@return string? changed
---@return stream_events.Error? err kind "rule"
function Engine:judge_sent(body, input)
  input.member, input.direction, input.now = "event", "out", self.clock.time()
  local verdict, decision = self.core:decide(body, input)
  if not decision then return nil end
  if verdict ~= "drop" and verdict ~= "quarantine" then return decision.changed end
  self:note_fault(decision)
  local reason = decision.reason or verdict
  return errors.fail("rule", decision.text or ("the rules refuse this event: " .. reason), {
    reason = reason, rule = decision.rule, hash = decision.hash, retryable = reason == "rate",
  })
end

--- Whether each event that is refused is to be reported.
---@param yes boolean
function Engine:observe(yes)
  if self.observing == yes then return end
  self.observing = yes
  self.core:observe(yes)
end

-- What was set aside ------------------------------------------------------------------------------

local FAULTS = {
  ["check-error"] = true, ["bad-verdict"] = true, ["budget-instructions"] = true,
  ["budget-time"] = true, ["budget-memory"] = true,
}

--- Logs that a function of a rule misbehaved: the first time for each reason, and when it was
--- switched off for it.
---@param decision stream_events.core.RuleDecision
function Engine:note_fault(decision)
  if not FAULTS[decision.reason] and not decision.tripped then return end
  local fields = { rule = decision.rule, reason = decision.reason, error = decision.text,
    hash = decision.hash }
  local key = tostring(decision.rule) .. "\0" .. tostring(decision.reason)
  if not self.faults[key] and self.fault_count < MOST_FAULTS then
    self.faults[key], self.fault_count = true, self.fault_count + 1
    self.log("error", "a rule failed, and the event was dropped", fields)
  end
  if decision.tripped then
    self.log("error", "a rule broke its budgets too often: it drops everything until the rules are "
      .. "reloaded", fields)
  end
end

local function let_go(self)
  local first = self.kept[self.first_kept]
  self.kept[self.first_kept] = nil
  self.first_kept = self.first_kept + 1
  self.kept_bytes = self.kept_bytes - first.size
end

--- Sets a quarantined event aside. The oldest ones make room for it.
---@param report stream_events.core.RuleReport
function Engine:keep(report)
  local entry = {}
  for name, value in pairs(report) do entry[name] = value end
  if entry.size > MOST_KEPT_BYTES then entry.event = nil end
  local bytes = entry.event and entry.size or 0
  self.quarantined = self.quarantined + 1
  self.last_kept = self.last_kept + 1
  self.kept[self.last_kept] = { entry = entry, size = bytes }
  self.kept_bytes = self.kept_bytes + bytes
  while self.last_kept - self.first_kept >= self.most_kept or self.kept_bytes > MOST_KEPT_BYTES do
    let_go(self)
  end
end

--- The events that were set aside, older ones first.
---@return stream_events.Quarantined[]
function Engine:list()
  local list = {}
  for i = self.first_kept, self.last_kept do list[#list + 1] = self.kept[i].entry end
  return list
end

---@class stream_events.RuleStats
---@field hash string of the rule set in force
---@field mode "enforce"|"audit"
---@field size integer rules
---@field types table<string, table<string, table<string, integer>>> what was decided about events that
---  came in or were to be sent: by type ("*": those beyond 1024, and what is no event), verdict
---  ("audit": let through by audit mode) and reason ("": none)
---@field tripped string[] rules that are off because their functions broke budgets
---@field quarantined integer events that were set aside, those included that have made room
---@field reloads integer
---@field last_error string? why the last reload was refused

---@return stream_events.RuleStats
function Engine:stats()
  return {
    hash = self.set.hash, mode = self.set.mode, size = self.set.size,
    types = self.core:counts(), tripped = self.core:tripped(),
    quarantined = self.quarantined, reloads = self.reloads,
    last_error = self.last_error and tostring(self.last_error) or nil,
  }
end

--- Ends what is under way.
---@param err stream_events.Error
function Engine:close(err)
  local job, waiting = self.job, self.waiting or {}
  self.job, self.waiting, self.next_look = nil, nil, nil
  for _, done in ipairs(job and job.callbacks or {}) do done(nil, err) end
  for _, done in ipairs(waiting) do done(nil, err) end
end

return M
