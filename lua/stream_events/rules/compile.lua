--- From the statements of a rule file to the rules that the core compiles. Everything is checked here,
-- and everything that is wrong is said.
local conditions = require "stream_events.rules.conditions"
local examples = require "stream_events.rules.examples"
local field = require "stream_events.rules.field"
local marks = require "stream_events.rules.marks"
local problems = require "stream_events.rules.problems"
local reach = require "stream_events.rules.reach"
local suggest = require "stream_events.suggest"
local values = require "stream_events.rules.values"

local M = {}

local show = problems.show

local KEYS = {
  fields = true, extra = true, trust = true, from = true, size = true, rate = true, check = true,
  rewrite = true, quarantine = true, flag = true, examples = true, mode = true,
}
local MEANT = {
  schema = "fields", data = "fields", limit = "rate", rates = "rate", rate_limit = "rate",
  max_size = "size", sender = "from", source = "from", role = "from", user = "from", cid = "from",
  tests = "examples", additional = "extra", transform = "rewrite", validate = "check", filter = "check",
}
local EXTRA = { refuse = true, keep = true, strip = true }
local MODES = { enforce = true, audit = true }
local DEFAULTS = { drop = true, allow = true }

local QUARANTINED = "kept aside for a person to look at"
local FLAGGED = "flagged by its rule"

local function word(given, key, place, known)
  if given[key] == nil then return nil end
  return values.word(given[key], place:at(key), known)
end

local function callable(given, key, place)
  if given[key] == nil then return nil end
  local called = marks.callable(given[key])
  if called == nil then
    place:wrong(("'%s' must be a function, like function(event, context) return allow end, not %s")
      :format(key, values.describe(given[key])), nil, key)
  end
  return called
end

-- true or a text; false says the same as nothing.
local function note(given, key, place, text)
  local value = given[key]
  if value == nil or value == false then return nil end
  if value == true then return text end
  local wrong = values.wrong_text(value)
  if wrong then
    place:wrong(("'%s' must be true or a text, not %s"):format(key, values.describe(value)), nil, key)
    return nil
  end
  return value
end

local function part(given, key, place, compile, more)
  if given[key] == nil then return nil end
  return compile(given[key], place:at(key), more)
end

local function data(given, place, rule)
  rule.fields = part(given, "fields", place, field.fields, 1)
  rule.extra = word(given, "extra", place, EXTRA) or "refuse"
  if given.fields == nil and rule.extra == "refuse" then
    place:odd("accepts no data, since it names no fields: 'fields = {}' says that this is meant, "
      .. "'extra = \"keep\"' takes any")
    rule.fields = {}
  end
end

local function event(statement, place, rule, tests)
  local given = statement.value
  if not marks.is_table(given) then
    place:wrong(("must be followed by a table: event %s { ... }"):format(show(statement.name)))
    return
  end
  place:refuse_unknown(given, KEYS, MEANT)
  rule.mode = word(given, "mode", place, MODES)
  rule.trust = part(given, "trust", place, conditions.trust)
  rule.from = part(given, "from", place, conditions.from)
  rule.size = part(given, "size", place, conditions.size, rule.name)
  rule.rates = part(given, "rate", place, conditions.rates)
  data(given, place, rule)
  rule.check = callable(given, "check", place)
  rule.rewrite = callable(given, "rewrite", place)
  rule.quarantine = note(given, "quarantine", place, QUARANTINED)
  rule.flag = note(given, "flag", place, FLAGGED)
  reach.check(rule, place)
  if given.examples ~= nil then examples.compile(given.examples, rule, place:at("examples"), tests) end
end

local HONEYPOT = { seconds = true, mark = true }
local LONGEST = 3162240000 -- a hundred years

local function honeypot(statement, place, rule)
  rule.seconds, rule.mark = 3600, "honeypot"
  local given = statement.value
  if given == nil then return end
  if not marks.is_table(given) then
    place:wrong("takes a table, like { seconds = 3600, mark = \"honeypot\" }")
    return
  end
  place:refuse_unknown(given, HONEYPOT)
  local seconds, mark = given.seconds, given.mark
  if seconds ~= nil and (not values.is_number(seconds) or seconds <= 0 or seconds > LONGEST) then
    place:wrong(("'seconds' must be a positive number, not %s"):format(values.describe(seconds)), nil,
      "seconds")
  end
  if mark ~= nil and (values.wrong_text(mark) or #mark > 128) then
    place:wrong("'mark' must be a name of up to 128 bytes", nil, "mark")
  end
  rule.seconds, rule.mark = seconds or rule.seconds, mark or rule.mark
end

local RULES = { event = event, honeypot = honeypot, refuse = function() end }

-- ------------------------------------------------------------------------------- statements

local Compiler = {}
Compiler.__index = Compiler

-- A rule under one name, unless there is something wrong with that or it is taken.
local function add(self, statement, name, place)
  local wrong = reach.wrong_name(name)
  if wrong then
    place:wrong((name ~= nil and type(name) ~= "string") and values.describe(name) .. ": " .. wrong or wrong)
    return
  end
  local earlier = self.declared[name]
  if earlier then
    place:wrong(("declared twice: %s:%d has it already"):format(self:path(earlier.file), earlier.line or 0))
    return
  end
  self.declared[name] = { file = statement.file, line = statement.line }
  local rule = { name = name, kind = statement.kind }
  RULES[statement.kind](statement, place, rule, self.tests)
  self.names[#self.names + 1] = name
  if self.report.problems[1] then return end -- there will be no set
  local ok, message = pcall(self.use, rule)
  if not ok then place:wrong(tostring(message)) end
end

-- `refuse` takes a list as well; one that files share may be empty.
local function declare(self, statement)
  local list = statement.name
  local count = statement.kind == "refuse" and marks.is_table(list) and values.list_length(list)
  if not count then return add(self, statement, list, self.report:statement(statement)) end
  for i = 1, count do add(self, statement, list[i], self.report:listed(statement, i)) end
end

-- `default` and `mode`: once, one word out of two.
local function setting(self, statement, known)
  local place = self.report:statement(statement)
  local earlier = self.settings[statement.kind]
  if earlier then
    place:wrong(("said twice: %s:%d has it already"):format(self:path(earlier.file), earlier.line or 0))
    return
  end
  self.settings[statement.kind] = statement
  if values.word(statement.name, place, known) then self[statement.kind] = statement.name end
end

function Compiler:path(file)
  local source = self.report.sources[file]
  return source and source.path or file
end

function Compiler:add(statement)
  if statement.kind == "default" then
    setting(self, statement, DEFAULTS)
  elseif statement.kind == "mode" then
    setting(self, statement, MODES)
  elseif RULES[statement.kind] then
    declare(self, statement)
  else
    self.report:statement(statement):wrong("is no statement of a rule file",
      suggest.nearest(statement.kind, RULES))
  end
end

---@class stream_events.rules.Compiled
---@field names string[] of the rules, in order
---@field tests stream_events.rules.Example[]
---@field default "drop"|"allow"
---@field mode "enforce"|"audit"

--- A list of statements, as compile() takes them.
---@param statements stream_events.core.RuleStatement[]
---@return fun(): stream_events.core.RuleStatement?
function M.one_by_one(statements)
  local count = 0
  return function()
    count = count + 1
    return statements[count]
  end
end

--- Compiles statements; what is wrong goes into the report.
---@param next_statement fun(): stream_events.core.RuleStatement? gives one after the other: nobody needs
---  to have them all at a time
---@param report stream_events.rules.Report
---@param use fun(rule: stream_events.core.Rule) takes each rule, as long as nothing is wrong
---@param step fun()? called after each statement
---@return stream_events.rules.Compiled
function M.compile(next_statement, report, use, step)
  local self = setmetatable({
    report = report, use = use, names = {}, tests = {}, declared = {}, settings = {},
    default = "drop", mode = "enforce",
  }, Compiler)
  for statement in next_statement do
    self:add(statement)
    if step then step() end
  end
  return self
end

return M
