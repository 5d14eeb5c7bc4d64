-- Run by failing_memory: one stage of the life of rules, again and again, with one allocation after
-- another failing, until it needs no more of them. Writes how many there were.
--
-- Each time the stage does what it should, says that there is no memory, or (a decision) drops the
-- event; and with memory again it does what it should, with the same objects.
local core = require "stream_events.core"
local rules = require "stream_events.rules"
local attempt = attempt -- luacheck: ignore 113

local stage_name, lasting = ...
lasting = lasting == "lasting"

local TEXT = [[
default "drop"
mode "enforce"
local words = include "words.lua"
local function known(word)
  for _, each in ipairs(words) do if each == word then return true end end
  return false
end
event "trade_*" {
  trust = "user",
  from = { role = { "user", "moderator" }, cid = none_of "messaging:closed" },
  size = 4000,
  rate = { { count = 100000, seconds = 60 }, { count = 100000, seconds = 60, per = "channel" } },
  fields = {
    item = string { max = 64, glob = { "s*d", "a*" } }, price = integer { min = 0, max = 100000 },
    tags = optional(array { items = one_of { "new", "old", 3 }, max = 8 }),
    place = optional(object { fields = { x = number, y = number }, extra = "strip" }),
    more = optional(object { keys = string { max = 8 }, each = boolean }),
  },
  check = function(event, context)
    if context.marked(event.user.id, "cheater") then return drop "sender is marked" end
    if context.count("trades:" .. event.user.id, 1, 60) < 1 then return drop "count" end
    if not known(event.item) then return drop(("no such item: %s"):format(event.item)) end
    local names = {}
    for key in pairs(event) do names[#names + 1] = tostring(key) end
    table.sort(names)
    context.mark(event.user.id, "trader", 60)
    return flag(table.concat(names, ","))
  end,
  rewrite = function(event)
    return { item = event.item:upper():lower(), price = event.price, tags = { "new", "old" } }
  end,
  examples = {
    allow = { { item = "sword", price = 3, user = { id = "u", role = "user" } } },
    drop = { { item = "sword", price = -1, user = { id = "u", role = "user" }, reason = "field-range" } },
  },
}
refuse { "noise", "more_noise" }
honeypot "grant_admin" { seconds = 60, mark = "cheater" }
]]
local EVENT = '{"type":"trade_offer","cid":"messaging:general","user":{"id":"bob","role":"user"},' ..
  '"created_at":"2024-01-01T00:00:00Z","item":"sword","price":3,"tags":["new",3],' ..
  '"place":{"x":1,"y":2.5,"z":3},"more":{"a":true}}'
local TRAP = '{"type":"grant_admin","cid":"messaging:general","user":{"id":"eve","role":"user"}}'
local INPUT = { self = "alice", now = 1750000000 }
local LIMITS = { memory = 1024 * 1024, instructions = 100000, seconds = 600 }

local function read(name)
  if name == "words.lua" then return "return { 'sword', 'axe' }" end
  return nil, "no such file"
end
local OPTIONS = { name = "rules.lua", read = read, limits = LIMITS }
local LOAD = { functions = {}, fields = {}, read = read }

local function set_of(text)
  local set, err = rules.parse(text or TEXT, OPTIONS)
  return assert(set, tostring(err))
end

local function engine_of(set)
  local engine = core.rules { breaches = 1000000 }
  engine:use(set.core)
  return engine
end

local function outcome(engine, text)
  local verdict, decision = engine:decide(text, INPUT)
  return verdict, decision and decision.reason, decision and decision.changed
end

local function no_memory(_, kind) return kind == "memory" end

-- A bucket or a mark that finds no place, a function that cannot run.
local function is_closed(verdict, reason)
  return verdict == "drop" and (reason == "budget-memory" or reason == "rate" or reason == "check-error")
end

-- prepare() is given all memory it wants; run(prepared) is not; good(results) and bad(results) say
-- what may come of it. After every failure, or each 'again'-th, the same is asked for once more.
local stages = {
  state = {
    prepare = function() end,
    run = function() return core.rule_state(LIMITS) end,
    good = function(state) return state ~= nil and state:memory() > 0 end,
    bad = no_memory,
  },
  load = {
    prepare = function() return assert(core.rule_state(LIMITS)) end,
    run = function(state) return state:load("rules.lua", TEXT, LOAD) end,
    good = function(statements) return type(statements) == "table" and #statements >= 4 end,
    bad = no_memory,
    again = math.huge, -- what a file that failed half way has declared is not asked for
  },
  parse = {
    prepare = function() end,
    run = function() return rules.parse(TEXT, OPTIONS) end,
    good = function(set) return set ~= nil and #set.hash == 12 end,
    bad = function(set, err) return set == nil and type(err) == "table" end,
    again = 16,
  },
  examples = {
    prepare = function() return set_of() end,
    run = function(set) return set:check() end,
    good = function(ok) return ok == true end,
    -- An example may also be dropped for lack of memory, as any event.
    bad = function(ok, err) return ok == nil and err.kind == "rule" end,
  },
  inline = {
    prepare = function()
      return engine_of(assert(rules.new { events = { ["trade_*"] = {
        fields = { item = rules.string, price = rules.integer }, extra = "strip",
        check = function(event, context)
          context.mark(event.user.id, "trader", 60)
          return rules.flag(event.item)
        end,
        rewrite = function(event) return { item = event.item, price = event.price } end,
      } } }))
    end,
    run = function(engine) return outcome(engine, EVENT) end,
    good = function(verdict, _, changed) return verdict == "rewrite" and changed:find '"item":"sword"' end,
    bad = is_closed,
  },
  engine = {
    prepare = function() return set_of() end,
    run = function(set) return engine_of(set) end,
    good = function(engine) return outcome(engine, EVENT) == "rewrite" end,
    bad = function() return false end,
  },
  decide = {
    prepare = function() return engine_of(set_of()) end,
    run = function(engine) return outcome(engine, EVENT) end,
    good = function(verdict, _, changed) return verdict == "rewrite" and changed:find '"item":"sword"' end,
    bad = is_closed,
  },
  honeypot = {
    prepare = function() return engine_of(set_of()) end,
    run = function(engine) return outcome(engine, TRAP) end,
    good = function(verdict, reason) return verdict == "drop" and reason == "honeypot" end,
    bad = function() return false end,
  },
  trace = {
    prepare = function() return engine_of(set_of()) end,
    run = function(engine)
      local verdict, decision = engine:decide(EVENT, { self = "alice", now = 1750000000, trace = true })
      return verdict, decision.reason, decision.changed, decision.steps
    end,
    good = function(verdict, _, _, steps) return verdict == "rewrite" and #steps > 3 end,
    bad = is_closed,
  },
  counts = {
    prepare = function()
      local engine = engine_of(set_of())
      for i = 1, 20 do engine:decide(('{"type":"n%d"}'):format(i), INPUT) end
      return engine
    end,
    run = function(engine)
      engine:mark("bob", "marked", 60, 1750000000)
      return engine:counts(), engine:marked("bob", "marked", 1750000000)
    end,
    good = function(counts, marked) return next(counts) ~= nil and marked end,
    bad = function(counts, marked) return next(counts) ~= nil and not marked end,
  },
}

local stage = assert(stages[stage_name], stage_name)
local function check(n, what, condition, ...)
  if condition then return end
  local seen = {}
  for i = 1, select("#", ...) do seen[i] = tostring((select(i, ...))) end
  error(("%s, allocation %d: %s: %s"):format(stage_name, n, what, table.concat(seen, ", ")), 0)
end

local function ran_out(status, message)
  return status == "memory" or status == "error" and tostring(message):find "not enough memory$"
end

local function examine(n, prepared, failed, status, ...)
  if ran_out(status, (...)) then
    check(n, "out of memory without need", failed)
  else
    check(n, "raised", status == "ok", ...)
    check(n, "gave", stage.good(...) or (failed and stage.bad(...)), ...)
  end
  if failed and n % (stage.again or 1) == 0 then
    check(n, "gave, with memory again", stage.good(stage.run(prepared)), stage.run(prepared))
  end
  return failed
end

-- What is only made when it is first needed is made now.
stage.run(stage.prepare())
local n = 0
repeat
  n = n + 1
  local prepared = stage.prepare()
  local failed = examine(n, prepared, attempt(n, lasting, function() return stage.run(prepared) end))
until not failed
io.stdout:write(n - 1, "\n")
