--- `stream-events doctor`: runs one check after the other, tells what each found and what to do about it.
local format = require "stream_events.command.format"
local native = require "stream_events.native"
local output = require "stream_events.command.output"
local words = require "stream_events.command.doctor.words"

local M = {}

---@alias stream_events.command.doctor.State "ok"|"warn"|"fail"|"skip"

---@class stream_events.command.doctor.Check
---@field name string
---@field needs string[]|(fun(doctor: table): string[])|nil names of checks without which it cannot be tried
---@field run fun(doctor: table): stream_events.command.doctor.State, string, string?

---@class stream_events.command.doctor.Finding
---@field name string
---@field state stream_events.command.doctor.State
---@field text string
---@field advice string?

local SHOWN = { ok = "ok", warn = "warn", fail = "FAIL", skip = "skip" }
local COLOURS = { ok = "\27[32m", warn = "\27[33m", fail = "\27[1;31m", skip = "\27[2m" }

-- All of them, in the order in which they are run.
local function checks()
  local list = {}
  for _, part in ipairs { "machine", "network", "account" } do
    local more = require("stream_events.command.doctor." .. part).CHECKS
    table.move(more, 1, #more, #list + 1, list)
  end
  return list
end

-- A check that cannot be tried says what stands in its way.
local function missing(check, doctor, states)
  local needs = check.needs or {}
  if type(needs) == "function" then needs = needs(doctor) end
  for _, name in ipairs(needs) do
    if states[name] == "fail" or states[name] == "blocked" then return name end
  end
end

local function examine(check, doctor, states)
  local missed = missing(check, doctor, states)
  if missed then
    states[check.name] = "blocked"
    return { name = check.name, state = "skip", text = ("not tried: it needs %s"):format(missed) }
  end
  local ok, state, text, advice = pcall(check.run, doctor)
  if not ok then
    if tostring(state):find "interrupted!$" then error(state, 0) end
    state, text, advice = "fail", tostring(state), "This is a mistake in stream-events: please report it."
  end
  states[check.name] = state
  return { name = check.name, state = state, text = text, advice = advice }
end

local function show(finding, colour)
  local state = ("%-4s"):format(SHOWN[finding.state])
  if colour then state = COLOURS[finding.state] .. state .. "\27[0m" end
  output.line(("%s  %-13s  %s"):format(state, finding.name, format.plain(finding.text)))
  if finding.advice then output.line("      " .. format.plain(finding.advice)) end
end

local function counted(count, word)
  return ("%d %s%s"):format(count, word, count == 1 and "" or "s")
end

---@param args { user: string?, read_only: boolean?, timeout: integer?, json: boolean? }
---@return integer exit code
function M.run(args)
  local doctor = { user = args.user, read_only = args.read_only, seconds = args.timeout or words.SECONDS }
  local states, found, counts = {}, native.json.array {}, { ok = 0, warn = 0, fail = 0, skip = 0 }
  local colour = not args.json and output.colour()
  for i, check in ipairs(checks()) do
    local finding = examine(check, doctor, states)
    found[i] = finding
    counts[finding.state] = counts[finding.state] + 1
    if not args.json then show(finding, colour) end
  end
  if doctor.actor then doctor.actor:disconnect() end
  if args.json then
    output.line(format.encoded {
      ok = counts.fail == 0, failed = counts.fail, warnings = counts.warn, skipped = counts.skip,
      checks = found,
    })
  else
    output.line(("%s: %d ok, %s, %d failed, %d skipped"):format(counted(#found, "check"), counts.ok,
      counted(counts.warn, "warning"), counts.fail, counts.skip))
  end
  return counts.fail == 0 and output.OK or output.FAILURE
end

return M
