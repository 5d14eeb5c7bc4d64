--- SPEC.lua of `rules test`: a table of cases, read and checked. Its form is in the command's help.
local names = require "stream_events.names"
local native = require "stream_events.native"
local suggest = require "stream_events.suggest"

local M = {}

local VERDICTS = { allow = true, flag = true, rewrite = true, quarantine = true, drop = true }
local TRUST = { server = true, self = true, user = true }
local KEYS = {
  name = "string", event = true, events = "table", verdict = true, reason = "string", at = true,
  becomes = "table", direction = "string",
}

---@class stream_events.command.Case
---@field name string
---@field events { text: string, trust: string? }[]
---@field at number[] seconds since the case began, one per event
---@field verdicts table<integer, string> by the number of the event
---@field reason string? of the last event
---@field becomes table? data of the last event after a rewrite
---@field direction "in"|"out"

local function list_of(value, count, what, fits)
  if #value ~= count then
    return nil, ("`%s` must be as long as `events`: %d, not %d"):format(what, count, #value)
  end
  for i, each in ipairs(value) do
    local ok, message = fits(each)
    if not ok then return nil, ("%s[%d]: %s"):format(what, i, message) end
  end
  return value
end

local function is_verdict(value)
  if VERDICTS[value] then return true end
  return nil, ("%s is no verdict (allow, flag, rewrite, quarantine, drop)"):format(
    type(value) == "string" and ("%q"):format(value) or "a " .. type(value))
end

local function is_second(value)
  if type(value) == "number" and value >= 0 and value < 1e12 then return true end
  return nil, "seconds must be a number from 0 on"
end

local function verdicts_of(case, count)
  if type(case.verdict) == "table" then return list_of(case.verdict, count, "verdict", is_verdict) end
  local ok, message = is_verdict(case.verdict)
  if not ok then return nil, case.verdict == nil and "`verdict` is missing" or message end
  return { [count] = case.verdict }
end

local function times_of(case, count)
  if type(case.at) == "table" then return list_of(case.at, count, "at", is_second) end
  local ok, message = is_second(case.at or 0)
  if not ok then return nil, "at: " .. message end
  local times = {}
  for i = 1, count do times[i] = case.at or 0 end
  return times
end

-- What an event says of itself beside its data; what it leaves out is filled in.
local function envelope(event)
  local ok, message = names.event_type(event.type)
  if not ok then return nil, "type: " .. message end
  local trust = event.trust or "user"
  if not TRUST[trust] then return nil, 'trust must be "server", "self" or "user"' end
  local result = { type = event.type, created_at = "2026-01-01T00:00:00Z" }
  local cid = event.cid
  if cid == nil and trust ~= "server" then cid = "messaging:general" end
  if cid ~= nil then
    result.channel_type, result.channel_id = names.split_cid(cid)
    if not result.channel_type then return nil, "cid: " .. result.channel_id end
    result.cid = cid
  end
  if event.user ~= nil or trust ~= "server" then
    local user = type(event.user) == "table" and event.user or { id = event.user }
    result.user = { id = "example", role = "user" }
    for key, value in pairs(user) do result.user[key] = value end
    ok, message = names.user_id(result.user.id)
    if not ok then return nil, "user: " .. message end
  end
  return result, trust
end

local BESIDE_DATA = { type = true, user = true, cid = true, trust = true }

-- The JSON text of an event as it comes in, and its trust.
local function read_event(event)
  if type(event) == "string" then return { text = event } end
  if type(event) ~= "table" then return nil, ("a %s, not a table or JSON text"):format(type(event)) end
  local members, trust = envelope(event)
  if not members then return nil, trust end
  for key, value in pairs(event) do
    if not BESIDE_DATA[key] then
      if members[key] ~= nil then return nil, ("`%s` is no data: every event has its own"):format(key) end
      members[key] = value
    end
  end
  local text, err = native.json.encode(members)
  if not text then return nil, err.message end
  return { text = text, trust = trust }
end

local function events_of(case)
  if (case.event == nil) == (case.events == nil) then return nil, "either `event` or `events` is needed" end
  local given = case.events or { case.event }
  if not given[1] then return nil, "`events` is empty" end
  local events = {}
  for i, event in ipairs(given) do
    local message
    events[i], message = read_event(event)
    if not events[i] then return nil, ("event %d: %s"):format(i, message) end
  end
  return events
end

local function check_keys(case)
  for key, value in pairs(case) do
    local wanted = KEYS[key]
    if not wanted then
      local near = suggest.nearest(key, KEYS)
      return nil, ("there is no key %s%s"):format(tostring(key),
        near and (", did you mean `%s`?"):format(near) or "")
    elseif wanted ~= true and type(value) ~= wanted then
      return nil, ("`%s` must be a %s, not a %s"):format(key, wanted, type(value))
    end
  end
  if case.direction and case.direction ~= "in" and case.direction ~= "out" then
    return nil, '`direction` must be "in" or "out"'
  end
  return true
end

local function read_case(case, index)
  if type(case) ~= "table" then return nil, ("a case must be a table, not a %s"):format(type(case)) end
  local ok, message = check_keys(case)
  if not ok then return nil, message end
  local events, verdicts, at
  events, message = events_of(case)
  if not events then return nil, message end
  verdicts, message = verdicts_of(case, #events)
  if not verdicts then return nil, message end
  at, message = times_of(case, #events)
  if not at then return nil, message end
  return {
    name = case.name or ("case %d"):format(index), events = events, verdicts = verdicts, at = at,
    reason = case.reason, becomes = case.becomes, direction = case.direction or "in",
  }
end

local MOST = 10000000 -- instructions: more than any table of cases takes

-- Runs the file, which may be wrong in that it never ends.
local function run(chunk, path)
  debug.sethook(function() error(path .. ": runs for too long", 0) end, "", MOST)
  local ok, result = pcall(chunk)
  debug.sethook()
  return ok, result
end

--- Reads the cases. The file runs without any function of ours.
---@param path string
---@return stream_events.command.Case[]? cases
---@return string? message
function M.read(path)
  local chunk, message = loadfile(path, "t", {})
  if not chunk then
    return nil, message:find(path, 1, true) and message or ("%s: %s"):format(path, message)
  end
  local ok, list = run(chunk, path)
  if not ok then return nil, tostring(list) end
  if type(list) ~= "table" then return nil, path .. ": must return a list of cases" end
  local cases = {}
  for i, case in ipairs(list) do
    cases[i], message = read_case(case, i)
    if not cases[i] then
      local name = type(case) == "table" and type(case.name) == "string" and (" (%s)"):format(case.name) or ""
      return nil, ("%s: case %d%s: %s"):format(path, i, name, message)
    end
  end
  if not cases[1] then return nil, path .. ": holds no case; a list of them must be returned" end
  return cases
end

--- Whether everything in `expected` is in `found` and equal to it; lists have no more either.
---@param expected any
---@param found any
---@return boolean
function M.holds(expected, found)
  if type(expected) ~= "table" or type(found) ~= "table" then return expected == found end
  if #expected ~= #found then return false end
  for key, value in pairs(expected) do
    if not M.holds(value, found[key]) then return false end
  end
  return true
end

--- The members of a JSON text, decoded.
---@param text string
---@return table
function M.decoded(text)
  return (native.json.decode(text)) or {}
end

return M
