--- A rule file and events for it, through everything that rules are made of: the rule state, the modules
-- that read what was declared, the engine, and the functions of rules. An input is the text of a rule file,
-- then texts of events, with a line "%%" between each two. Called by lua_fuzz.c with one at a time.
-- Whatever the rule file and the events are: loading gives a set or an error, every event a verdict,
-- the type and the whole event agree, the same history gives the same decisions, and nothing of this
-- state has changed.
local core = require "stream_events.core"
local rules = require "stream_events.rules"

local LIMITS = { instructions = 20000, seconds = 1, memory = 1048576 }
local VERDICTS = { allow = true, flag = true, rewrite = true, quarantine = true, drop = true }

-- All that a rule file could do harm to.
local WATCHED = { _G, string, table, math, utf8, io, os, debug, coroutine, package,
  getmetatable(""), package.loaded }

local function snapshot()
  local copies = {}
  for i, watched in ipairs(WATCHED) do
    copies[i] = { of = watched, mt = debug.getmetatable(watched) }
    for key, value in next, watched do copies[i][key] = value end
  end
  return copies
end

local before = snapshot()

local function check_host()
  assert(debug.gethook() == nil, "there is a hook")
  for _, value in ipairs { 1, true, print } do assert(debug.getmetatable(value) == nil, "a metatable") end
  for i, now in ipairs(snapshot()) do
    for key, value in next, before[i] do assert(rawequal(now[key], value), "the host has changed") end
    for key in next, now do assert(before[i][key] ~= nil, "the host has something new") end
  end
end

local function split(input)
  local parts, at = {}, 1
  while true do
    local first, last = input:find("\n%%\n", at, true)
    parts[#parts + 1] = input:sub(at, (first or 0) - 1)
    if not first then return parts end
    at = last + 1
  end
end

--- What a rule file may include: a list, itself, and what is no Lua.
local function reader(text)
  local files = { ["list.lua"] = 'return { "ann", "ben" }', ["self.lua"] = text, ["bad.lua"] = "\27Lua" }
  return function(name)
    if files[name] then return files[name] end
    return nil, "no such file"
  end
end

-- Loads a rule file as a program does; nil when it is none.
local function load_set(text)
  local set, err = rules.parse(text, { name = "rules.lua", read = reader(text), limits = LIMITS })
  if set then
    for _, result in ipairs(set:test()) do assert(VERDICTS[result.verdict]) end
    return set
  end
  assert(err.kind == "rule" and type(err.message) == "string" and #err.problems > 0)
  for _, problem in ipairs(err.problems) do
    assert(type(problem.message) == "string" and type(problem.file) == "string")
  end
end

local DIRECTIONS = { { now = 1000, self = "ann" }, { now = 1000.5, self = "ann", trace = true },
  { now = 1001, direction = "out", trust = "any", sender = "ann", cid = "messaging:a",
    channel_type = "messaging" } }

local function judge(engine, text, input)
  local verdict, decision = engine:decide(text, input)
  assert(VERDICTS[verdict], "no verdict")
  local event = core.event.new(text)
  if not event then
    assert(verdict == "drop" and decision.reason == "malformed", "what is no event was let through")
    return verdict, decision
  end
  local changed = decision and decision.changed
  if changed then assert(core.event.new(changed).type == event.type, "the change has another type") end
  if core.type_class(event.type) ~= "local" then
    local route, reason, _, audit = engine:route(event.type)
    if route == "refuse" and not audit then
      assert(verdict == "drop" and decision.reason == reason, "the route says something else")
    end
  end
  return verdict, decision
end

local function try(parts)
  local set = load_set(parts[1])
  if set then
    local one, two = core.rules { breaches = 3 }, core.rules { breaches = 3 }
    one:use(set.core)
    two:use(set.core)
    for i = 2, #parts do
      for _, direction in ipairs(DIRECTIONS) do
        local verdict, decision = judge(one, parts[i], direction)
        local again, other = judge(two, parts[i], direction)
        local reason = decision and decision.reason or ""
        if reason:find "^budget" then return end -- when time and memory are used up may differ
        assert(verdict == again and reason == (other and other.reason or ""), "not the same twice")
      end
    end
  end
end

return function(input)
  try(split(input))
  check_host()
end
