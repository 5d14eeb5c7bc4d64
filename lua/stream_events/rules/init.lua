--- Rules: what a client accepts of others, what it may send itself, and what a server takes.
--
-- A rule set comes from a file (`load`), a text (`parse`) or a table (`new`); the same words mean the
-- same in all three. What is wrong with it is gathered: err.message is about the first problem,
-- err.problems has them all. A set never changes; a reload makes a new one.
local compile = require "stream_events.rules.compile"
local errors = require "stream_events.error"
local escapes = require "stream_events.rules.escapes"
local examples = require "stream_events.rules.examples"
local globals = require "stream_events.rules.globals"
local inline = require "stream_events.rules.inline"
local marks = require "stream_events.rules.marks"
local native = require "stream_events.native"
local problems = require "stream_events.rules.problems"
local source = require "stream_events.rules.source"

---@class stream_events.rules
---@field string stream_events.rules.Constructed
---@field integer stream_events.rules.Constructed
---@field number stream_events.rules.Constructed
---@field boolean stream_events.rules.Constructed
---@field array stream_events.rules.Constructed
---@field object stream_events.rules.Constructed
---@field any stream_events.rules.Constructed
---@field one_of stream_events.rules.Constructed
---@field optional stream_events.rules.Constructed
---@field none_of stream_events.rules.Constructed
---@field allow any verdict
---@field drop any verdict; drop "why"
---@field quarantine any verdict; quarantine "why"
---@field flag any verdict; flag "why"
---@field rewrite any verdict; rewrite { new data }
local M = inline.constructors()
for word, verdict in pairs(native.verdicts or {}) do M[word] = verdict end

---@class stream_events.rules.Options
---@field read (fun(path: string): string?, string?)? reads files instead of the file system
---@field step fun(long: boolean?)? called between pieces of work: a program that must not stand still
---  yields here, best whenever the piece that follows is a long one
---@field limits { memory: integer?, instructions: integer?, seconds: number? }? of the functions
---@field name string? of the text, for messages (parse); default "rules.lua"
---@field level integer? who wrote the table, as for error() (new); default 2: the caller

---@class stream_events.RuleSet
---@field hash string what it was made of, in 12 hex digits
---@field files string[] paths
---@field size integer rules
---@field names string[] of the rules, in order
---@field default "drop"|"allow"
---@field mode "enforce"|"audit"
---@field problems stream_events.rules.Problem[] warnings
---@field core stream_events.core.RuleSet
---@field private tests stream_events.rules.Example[]
---@field private report stream_events.rules.Report
local RuleSet = { __name = "stream_events.rule_set" }
RuleSet.__index = RuleSet

--- Judges the examples of the rules, each with nothing remembered.
---@param step fun()? called after each
---@return stream_events.rules.Result[] results
function RuleSet:test(step)
  local results, judge = {}, examples.judge(self.core)
  for i, example in ipairs(self.tests) do
    results[i] = judge(example)
    self:place(results[i], example)
    if step then step() end
  end
  return results
end

--- Notes in a result where its example stands.
---@package
---@param result stream_events.rules.Result
---@param example stream_events.rules.Example
function RuleSet:place(result, example)
  local file, line = example.list:at(example.index):position()
  local from = self.report.sources[file]
  result.file, result.line = from and from.path or file, line
end

--- Judges the examples, and says what is wrong with the rules where one is not as it should be.
---@param step fun()?
---@return true? ok
---@return stream_events.Error? err kind "rule", with `problems`
function RuleSet:check(step)
  local failed, judge = {}, examples.judge(self.core)
  for _, example in ipairs(self.tests) do
    local result = judge(example)
    if not result.ok then
      self:place(result, example)
      failed[#failed + 1] = result
    end
    if step then step() end
  end
  local err = examples.failure(failed)
  if err then return nil, err end
  return true
end

--- An event that a rule's examples allow, to try the rules with.
---@return string? text JSON; nil: there is none that others could send
function RuleSet:example()
  for _, each in ipairs(self.tests) do
    if each.kind == "allow" and each.trust ~= "self" then return each.text end
  end
  return nil
end

--- Whether a value is a rule set.
---@param value any
---@return boolean
function M.is_set(value)
  return getmetatable(value) == RuleSet
end

-- ----------------------------------------------------------------------------------- common

local function failed(report)
  return nil, problems.error(report:sorted(report.problems))
end

-- Compiles statements, of which `next_statement` gives one after the other, unless something is wrong:
-- rule by rule, so that nothing of a file is held as a whole. `place` is the file, and the line if there
-- is one, that says nothing when there is none.
local function finish(next_statement, report, options, hash, place, state)
  local builder = native.rule_set_builder { state = state }
  local compiled = compile.compile(next_statement, report, function(rule) builder:add(rule) end,
    options.step)
  if not compiled.names[1] and compiled.default == "drop" then
    report:add {
      file = place[1], line = place[2], severity = "warning",
      message = "declares nothing: every custom event is dropped",
    }
  end
  if report.problems[1] then return failed(report) end
  local core, kind, message = builder:finish {
    default = compiled.default, mode = compiled.mode, hash = hash,
  }
  if not core then return nil, native.error(kind, message) end
  return setmetatable({
    hash = hash, files = {}, size = #compiled.names, names = compiled.names, default = compiled.default,
    mode = compiled.mode, problems = report:sorted(report.warnings), core = core,
    tests = compiled.tests, report = report,
  }, RuleSet)
end

local function check_options(options, level)
  if options ~= nil and type(options) ~= "table" then
    error("a table of options expected", level + 1)
  end
  return options or {}
end

-- ------------------------------------------------------------------------------------ files

-- The sandbox puts "FILE:LINE: " before what it says where it can.
local function loading_problem(files, message)
  local name, line, text = message:match("^([^:\n]+):(%d+): (.*)$")
  if not (name and files.by_name[name]) then
    name, line = files.name, nil
    text = message:sub(1, #name + 2) == name .. ": " and message:sub(#name + 3) or message
  end
  local said, suggestion = text:match("^(.*): did you mean '([^']*)'%?$")
  return { file = name, line = tonumber(line), message = said or text, suggestion = suggestion }
end

local function check_globals(files, from, report, step)
  for i = from, #files.list do
    local each = files.list[i]
    local name = each.path:sub(#files.folder + 1)
    for _, found in ipairs(globals.check(each.text, step)) do
      report:add {
        file = name, line = found.line, message = found.message, suggestion = found.suggestion,
        name = found.name,
      }
    end
  end
end

-- A name that is unknown is also what running the file stumbles over, there or where it comes again.
local function is_known(report, problem)
  for _, each in ipairs(report.problems) do
    if each.line == problem.line then return true end
    if each.name and problem.message:find("'" .. each.name .. "'", 1, true) then return true end
  end
  return false
end

local function build(files, options)
  local report = problems.new(files.by_name)
  local step = options.step
  check_globals(files, 1, report, step)
  local state, kind, message = native.rule_state(options.limits or {})
  if not state then return nil, native.error(kind, message) end
  local more
  state:begin(files.name, escapes.readable(files.list[1].text), {
    functions = marks.functions, fields = marks.fields,
    read = function(name)
      local included, failure = files:include(name)
      return included and escapes.readable(included), failure
    end,
  })
  repeat
    if step then step(true) end
    more, kind, message = state:go_on()
  until not more
  check_globals(files, 2, report, step)
  if more == nil then
    if kind == "memory" then return nil, native.error(kind, message) end
    local problem = loading_problem(files, message)
    if not is_known(report, problem) then report:add(problem) end
    return failed(report)
  end
  local hash = files:hash(step)
  local set, err = finish(function() return state:next() end, report, options, hash, { files.name }, state)
  if set then set.files = files:paths() end
  return set, err
end

--- The rule set of a file.
---@param path string
---@param options stream_events.rules.Options?
---@return stream_events.RuleSet? set
---@return stream_events.Error? err kind "rule"; with `problems` where the text is wrong
function M.load(path, options)
  if type(path) ~= "string" or path == "" then error("the path of a rule file expected", 2) end
  options = check_options(options, 2)
  local files = source.new(path, options.read)
  local text, message = files:read(files.name)
  if not text then return errors.fail("rule", "cannot read the rules: " .. message) end
  if options.step then options.step() end
  return build(files, options)
end

--- The rule set of a text.
---@param text string
---@param options stream_events.rules.Options?
---@return stream_events.RuleSet? set
---@return stream_events.Error? err kind "rule", with `problems`
function M.parse(text, options)
  if type(text) ~= "string" then error("the text of a rule file expected", 2) end
  options = check_options(options, 2)
  local files = source.new(options.name or "rules.lua", options.read or function(path)
    return nil, path .. ": this text stands in no folder"
  end)
  files:add(files.name, text)
  return build(files, options)
end

-- ------------------------------------------------------------------------------------ table

--- The rule set of a table: { default=, mode=, events = { NAME = { ... } }, refuse = { ... },
--- honeypot = { ... } }, with the words of a rule file from this module. Its functions are the
--- program's own: they run without a budget.
---@param given table
---@param options stream_events.rules.Options?
---@return stream_events.RuleSet? set
---@return stream_events.Error? err kind "rule", with `problems`
function M.new(given, options)
  if type(given) ~= "table" then error("a table of rules expected", 2) end
  options = check_options(options, 2)
  local file, line = inline.where(options.level or 2)
  local report = problems.new {}
  local statements = inline.statements(given, file, line, report)
  return finish(compile.one_by_one(statements), report, options, inline.hash(given), { file, line })
end

return M
