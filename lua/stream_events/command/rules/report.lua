--- Results of `rules test` as other programs read them: TAP 13, JUnit's XML, JSON.
-- A writer has begin(), case() for each, finish(), and broken() for a file that cannot be tried.
local format = require "stream_events.command.format"
local native = require "stream_events.native"
local output = require "stream_events.command.output"

local M = {}

---@class stream_events.command.TestResult
---@field name string
---@field ok boolean
---@field file string?
---@field line integer?
---@field expected string the verdict, and the reason where one was named
---@field verdict string
---@field rule string?
---@field reason string?
---@field text string?
---@field message string? what was wrong, when it was

-- A text in one line of YAML, in quotes: JSON is YAML.
local function quoted(value)
  return format.encoded(value)
end

local Tap = {}
Tap.__index = Tap

function Tap:begin(count)
  output.line("TAP version 13")
  output.line("1.." .. count)
end

-- '#' begins a directive.
local function description(name)
  return (format.plain(name):gsub("[\\#]", "\\%0"))
end

function Tap:case(result)
  self.count = self.count + 1
  output.line(("%s %d - %s"):format(result.ok and "ok" or "not ok", self.count, description(result.name)))
  if result.ok then return end
  output.line "  ---"
  for _, name in ipairs { "message", "expected", "verdict", "reason", "rule", "text", "file", "line" } do
    local value = result[name]
    if value then output.line(("  %s: %s"):format(name, quoted(value))) end
  end
  output.line "  ..."
end

function Tap:finish(passed, failed)
  output.line(("# %d passed, %d failed"):format(passed, failed))
end

function Tap:broken(problems)
  output.line("TAP version 13")
  for _, problem in ipairs(problems) do output.line("# " .. problem) end
  output.line("Bail out! the rule file has mistakes")
end

local Junit = {}
Junit.__index = Junit

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&apos;" }

-- XML has no way to write some characters; format.plain shows most of them as escapes.
local function xml(text)
  text = format.plain(tostring(text)):gsub("\239\191[\190\191]", "?")
  return (text:gsub("[&<>\"']", ENTITIES))
end

function Junit:begin(count)
  self.total = count
end

local function place(result)
  local parts = {}
  if result.file then parts[1] = (' file="%s"'):format(xml(result.file)) end
  if result.line then parts[#parts + 1] = (' line="%d"'):format(result.line) end
  return table.concat(parts)
end

function Junit:case(result)
  local head = ('    <testcase classname="%s" name="%s"%s'):format(
    xml(self.name), xml(result.name), place(result))
  if result.ok then
    self.cases[#self.cases + 1] = head .. "/>"
    return
  end
  local found = result.reason and ("%s (%s)"):format(result.verdict, result.reason) or result.verdict
  local failed = '%s>\n      <failure type="%s" message="%s">%s</failure>\n    </testcase>'
  local details = ("expected %s, found %s: %s"):format(result.expected, found, result.text or "")
  self.cases[#self.cases + 1] = failed:format(head, xml(found), xml(result.message), xml(details))
end

local function suite(name, tests, failures, errors, cases)
  output.line '<?xml version="1.0" encoding="UTF-8"?>'
  output.line(('<testsuites tests="%d" failures="%d" errors="%d">'):format(tests, failures, errors))
  output.line(('  <testsuite name="%s" tests="%d" failures="%d" errors="%d">'):format(
    xml(name), tests, failures, errors))
  for _, case in ipairs(cases) do output.line(case) end
  output.line "  </testsuite>"
  output.line "</testsuites>"
end

function Junit:finish(passed, failed)
  suite(self.name, passed + failed, failed, 0, self.cases)
end

function Junit:broken(problems)
  local text = xml(problems[1])
  suite(self.name, 1, 0, 1, {
    ('    <testcase classname="%s" name="the rule file can be used">'):format(xml(self.name)),
    ('      <error type="rule" message="%s">%s</error>'):format(text, xml(table.concat(problems, " | "))),
    "    </testcase>",
  })
end

local Json = {}
Json.__index = Json

function Json:begin() end

function Json:case(result)
  output.line(quoted {
    name = result.name, ok = result.ok, expected = result.expected, verdict = result.verdict,
    reason = result.reason or native.json.null, rule = result.rule or native.json.null,
    text = result.text or "", message = result.message, file = result.file, line = result.line,
  })
end

function Json:finish(passed, failed)
  output.line(quoted { passed = passed, failed = failed, ok = failed == 0 })
end

function Json:broken(problems)
  output.line(quoted { ok = false, problems = native.json.array(problems) })
end

local WRITERS = { tap = Tap, junit = Junit, json = Json }

---@param kind "tap"|"junit"|"json"
---@param name string of the file that is tried
function M.new(kind, name)
  return setmetatable({ name = name, count = 0, cases = {} }, WRITERS[kind])
end

return M
