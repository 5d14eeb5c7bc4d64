--- Attempts to get out of a rule by means of the language: what must not be there, what must not be
--- changed, what only pretends to be a verdict. See support.rule_case.
local rule_case = require "support.rule_case"

-- Reaching 'allow' means that the attempt was successful, unless a case expects it.

--- What sandboxes were left through, by name and in ways that no look at the source can find.
local function absent(name, source)
  return { name .. " by its name", source, "refused",
    ("if %s ~= nil then return allow end error 'absent'"):format(name) }
end

local function hidden(name, source)
  local first, rest = name:sub(1, 1), name:sub(2)
  return { name .. " out of the environment", source, "refused",
    ("local name = %q .. %q if _ENV[name] ~= nil then return allow end error 'absent'"):format(first, rest) }
end

local reaching = {}
for _, entry in ipairs {
  { "pcall", "kikito/sandbox #12, mesecons #229" }, { "xpcall", "mesecons #229" },
  { "load", "Redis #2854" }, { "loadstring", "CVE-2025-49844" }, { "loadfile", "Redis #2854" },
  { "dofile", "Redis #2854" }, { "require", "Luanti #10877" }, { "module", "Luanti #10877" },
  { "package", "Redis CVE-2022-0543" }, { "os", "mozilla lua_sandbox" }, { "io", "mozilla lua_sandbox" },
  { "debug", "Luanti #8707" }, { "coroutine", "" }, { "collectgarbage", "CVE-2024-46981" },
  { "gcinfo", "" }, { "getmetatable", "CVE-2025-46818" }, { "setmetatable", "Redis #2854" },
  { "rawget", "Redis #2854" }, { "rawset", "Redis #2854" }, { "rawequal", "" }, { "rawlen", "" },
  { "getfenv", "Luanti #10162" }, { "setfenv", "Luanti #10162" }, { "newproxy", "CVE-2024-46981" },
  { "print", "mesecons #407" }, { "warn", "" }, { "_G", "Redis #2854" }, { "arg", "" }, { "jit", "" },
  { "ffi", "" }, { "bit", "CVE-2024-31449" }, { "bit32", "" }, { "cjson", "CVE-2022-24834" },
  { "cmsgpack", "CVE-2018-11218" }, { "struct", "CVE-2018-11219" }, { "redis", "" },
  { "stream_events", "" }, { "string_metatable", "" },
} do
  reaching[#reaching + 1] = absent(entry[1], entry[2])
  reaching[#reaching + 1] = hidden(entry[1], entry[2])
end
for _, name in ipairs { "string.dump", "string.gsub", "string.gmatch", "string.match", "string.pack",
  "string.unpack", "string.packsize", "math.random", "math.randomseed", "table.pack", "table.move",
  "table.foreach", "table.setn", "table.getn", "os.execute", "debug.upvaluejoin", "debug.getupvalue",
  "debug.sethook", "debug.getregistry", "io.open", "string.format.x", "string.__index",
  "string.__metatable" } do
  -- table.pack and table.move would do no harm; nobody asked for them, so they are not there.
  reaching[#reaching + 1] = absent(name, "")
end
for name, source in pairs { dump = "mesecons #380", gsub = "mesecons #456", gmatch = "mesecons #456",
  match = "mesecons #380", pack = "CVE-2018-11219", unpack = "CVE-2018-11219", evil = "mesecons #393",
  __index = "mesecons #393", __gc = "", __metatable = "" } do
  reaching[#reaching + 1] = { "the method " .. name .. " of a string", source, "refused",
    ("if (''):%s() ~= nil then return allow end return allow"):format(name) }
  reaching[#reaching + 1] = { "the member " .. name .. " of a string", source, "refused|check",
    ("if (''). %s ~= nil then return allow end return drop"):format(name) }
end

local function list(cases)
  return function(more)
    for _, case in ipairs(more) do cases[#cases + 1] = case end
    return cases
  end
end

list(reaching) {
  { "the environment itself, as a table to go through", "Redis #1865", "refused|check", [[
    for name, value in pairs(_ENV) do
      if name == "pcall" or name == "load" or name == "debug" then return allow end
    end
    return drop]] },
  { "its own environment with members of its own", "", "refused|allow", [[
    local _ENV = { allow = allow }
    return allow]] },
  { "an environment that is a parameter", "", "refused|allow", [[
    local run = function(_ENV) return verdict end
    return run { verdict = allow }]] },
  { "an environment that is a string", "", "refused", [[
    local _ENV = ""
    if rep then return dump(check) end
    error()]] },
  { "an environment that is the event", "", "refused|check", [[
    local drop = drop
    local _ENV = event
    if type ~= "attack" then return user end
    return drop]] },
  { "an environment that cannot be set", "CVE-2022-28805", "load", [[
    local _ENV <const> = {}
    local f = function() x = 1 end
    _ENV = f
    return allow]] },
  { "a name that no environment has", "CVE-2022-28805", "refused", [[
    local _ENV <const> = nil
    return (function() return x end)()]] },
  { "the environment exchanged for the whole file", "", "refused|bad-verdict", [[
    _ENV = {}
    return allow]], spoilt = true },
  { "the environment exchanged for an old one", "Luanti #3132", "allow|refused", [[
    local old = _ENV
    _ENV = { type = function() return "table" end }
    _ENV = old
    return allow]], spoilt = true },
  { "upvalues: a function of the state, by way of its parameters", "Luanti #3788", "refused", [[
    local f = string.format
    return f.upvalues or f[1] ]] },
  { "the metatable of a function", "CVE-2025-46818", "refused", "ipairs.__index = string return allow" },
  { "the metatable of nil", "CVE-2025-46818", "refused", "local n n.__index = {} return allow" },
  { "the metatable of a number", "CVE-2025-46818", "refused", "(1).__index = 1 return allow" },
  { "the metatable of a boolean", "CVE-2025-46818", "refused", "(true).__call = 1 return allow" },
  { "the metatable of a string, by assignment", "CVE-2025-46818", "refused",
    "local s = 'x' s.rep = function() end return allow" },
  { "a metatable by a field", "", "allow|check", [[
    local t = { __index = function() return 1 end, __gc = function() while true do end end,
      __metatable = {}, __mode = "k", __close = function() end, __call = function() end }
    t.__index = t
    if t.nothing ~= nil then return drop end
    return allow]] },
  { "a table with a finalizer in it is only a table", "CVE-2024-46981", "allow", [[
    for i = 1, 100 do local _ = { __gc = function() while true do end end } end
    return allow]] },
  { "a variable to be closed, of a table", "", "check-error", [[
    local x <close> = { __close = function() while true do end end }
    return allow]] },
  { "a variable to be closed, of the event", "", "check-error", "local x <close> = event return allow" },
  { "a variable to be closed, of a verdict", "", "check-error", "local x <close> = allow return allow" },
  { "a variable to be closed, of nothing", "", "allow", "local x <close> = nil return allow" },
  { "a variable to be closed, of a loop", "", "check-error|allow", [[
    for _ in function() return nil end, nil, nil, { __close = 1 } do end
    return allow]] },
  { "a variable to be closed, of the context", "", "check-error", "local x <close> = context return allow" },
  { "calls itself by the name of the statement", "", "refused", "return check(event, context)" },
  { "looks for a plain text, not a pattern", "mesecons #456", "allow", [[
    if ("aaa"):find "a?" or ("aaa"):find "a+" or ("x?y"):find "?" ~= 2 then return drop end
    return allow]] },
  { "asks for a pattern by the fourth argument", "mesecons #407", "check|check-error", [[
    if ("aaa"):find("a+", 1, false) then return allow end
    return drop]] },
}

local changing = list {} {
  { "a global", "Redis CVE-2022-24735", "refused", "stolen = event return allow" },
  { "a global out of the environment", "Redis CVE-2022-24735", "refused",
    "_ENV['sto' .. 'len'] = 1 return allow" },
  { "a global function", "", "refused", "function helper() end return allow" },
  { "a verdict for another", "Redis CVE-2022-24735", "refused", "drop = allow return allow" },
  { "a verdict for another, out of the environment", "Luanti #3132", "refused",
    "_ENV['dr' .. 'op'] = allow return allow" },
  { "ipairs", "Luanti #3132", "refused", "ipairs = nil return allow" },
  { "the string library", "Redis CVE-2022-24735", "refused", "string.rep = nil return allow" },
  { "the string library, something more", "", "refused", "string.evil = 1 return allow" },
  { "the string library, out of sight", "", "check-error",
    "local s = string s['re' .. 'p'] = 1 return allow" },
  { "the table library", "", "refused", "table.insert = table.remove return allow" },
  { "the math library", "", "refused", "math.huge = 0 return allow" },
  { "the utf8 library", "", "refused", "utf8.char = nil return allow" },
  { "the string library by table.insert", "", "check-error", "table.insert(string, 1) return allow" },
  { "the environment by table.insert", "", "refused", "table.insert(_ENV, 1) return allow" },
  { "the string library by table.remove", "", "check-error|allow",
    "table.remove(string) if string.rep then return allow end return allow" },
  { "the string library by table.sort", "", "check-error|allow", "table.sort(string) return allow" },
  { "the string library by next", "", "check-error|allow", [[
    for name in next, string do if name == "dump" or name == "gsub" then return drop end end
    return allow]] },
  { "the string library by pairs", "", "check-error|allow", [[
    for name in pairs(string) do if name == "dump" or name == "gsub" then return drop end end
    return allow]] },
  { "the event", "Luanti #3132", "check-error", "event.text = 'x' return allow" },
  { "the event's type", "", "check-error", "event.type = 'other' return allow" },
  { "the event, something more", "", "check-error", "event.more = 1 return allow" },
  { "the event, by a number", "", "check-error", "event[1] = 1 return allow" },
  { "the sender", "opencore #73", "check-error", "event.user.id = 'admin' return allow" },
  { "the sender's role", "opencore #73", "check-error", "event.user.role = 'admin' return allow" },
  { "what the event has of depth", "", "check-error", "event.nested.deep.x = 2 return allow" },
  { "a list of the event", "", "check-error", "event.list[1] = 2 return allow" },
  { "a list of the event, beyond its end", "", "check-error", "event.list[4] = 2 return allow" },
  { "a list of the event by table.insert", "", "check-error", "table.insert(event.list, 1) return allow" },
  { "a list of the event by table.insert, in the middle", "", "check-error",
    "table.insert(event.list, 1, 1) return allow" },
  { "a list of the event by table.remove", "", "check-error", "table.remove(event.list) return allow" },
  { "a list of the event by table.remove, the first", "", "check-error",
    "table.remove(event.list, 1) return allow" },
  { "a list of the event by table.sort", "", "check-error", "table.sort(event.list) return allow" },
  { "the event by table.insert", "", "check-error", "table.insert(event, 1) return allow" },
  { "an empty list that all might share", "", "check-error",
    "event.empty[1] = 1 return allow", event = '{"type":"attack","cid":"a:b","user":{"id":"u"},"empty":[]}' },
  { "the context", "", "check-error", "context.now = 0 return allow" },
  { "the context's trust", "", "check-error", "context.trust = 'server' return allow" },
  { "the context's functions", "", "check-error", "context.marked = function() end return allow" },
  { "a verdict", "", "check-error", "allow.verdict = 'drop' return allow" },
  { "a verdict with a text", "", "check-error", "local v = flag 'x' v.text = 'y' return v" },
  { "a constructor of verdicts", "", "check-error", "drop.reason = 1 return allow" },
  { "a constructor of verdicts, by table.insert", "", "check-error", "table.insert(drop, 1) return allow" },
  { "what it was given, by its own names", "", "allow", "event, context = nil, nil return allow" },
}

local addresses = {}
for _, value in ipairs { "{}", "ipairs", "event", "event.user", "event.list", "context", "context.mark",
  "allow", "drop", "drop 'x'", "rewrite {}", "string", "math", "function() end", "string.rep",
  "event.nothing" } do
  local look = [[
    for i = 1, #s do
      local byte = s:byte(i)
      if byte >= 48 and byte <= 57 then return allow end
    end
    return drop]]
  addresses[#addresses + 1] = { "tostring(" .. value .. ")", "PHP LuaSandbox", "check|check-error",
    "local s = tostring(" .. value .. ")" .. look }
  addresses[#addresses + 1] = { "%s with " .. value, "PHP LuaSandbox", "check|check-error",
    "local s = string.format('%s', " .. value .. ")" .. look }
  addresses[#addresses + 1] = { "%p with " .. value, "", "refused",
    "local s = string.format('%p', " .. value .. ") return allow" }
end

local verdicts = list {} {
  { "nothing", "Nakama", "bad-verdict", "" },
  { "nil", "Nakama", "bad-verdict", "return nil" },
  { "true", "Suricata", "bad-verdict", "return true" },
  { "1", "Suricata", "bad-verdict", "return 1" },
  { "a word", "", "bad-verdict", "return 'allow'" },
  { "a table that looks like one", "", "bad-verdict", "return { verdict = 'allow', kind = 'allow', allow }" },
  { "a list with one in it", "", "bad-verdict", "return { allow }" },
  { "a function", "", "bad-verdict", "return function() return allow end" },
  { "the event", "", "bad-verdict", "return event" },
  { "the context", "", "bad-verdict", "return context" },
  { "a function of the context", "", "bad-verdict", "return context.mark" },
  { "a library", "", "bad-verdict", "return string" },
  { "a field", "", "refused|bad-verdict", "return string { max = 3 }" },
  { "an optional field", "", "refused|bad-verdict", "return optional(string)" },
  { "one_of", "", "refused|bad-verdict", "return one_of { 1 }" },
  { "a statement", "", "refused|bad-verdict", "return refuse" },
  { "rewrite without data", "", "bad-verdict|refused", "return rewrite" },
  { "rewrite of nothing", "", "bad-verdict|refused", "return rewrite()" },
  { "rewrite of a text", "", "bad-verdict|refused", "return rewrite 'x'" },
  { "rewrite of a verdict", "", "bad-verdict|refused", "return rewrite(allow)" },
  { "rewrite of itself", "", "bad-verdict|refused", "return rewrite(rewrite)" },
  { "drop of a drop", "", "bad-verdict|refused", "return drop(drop)" },
  { "drop of the drop of a text", "", "bad-verdict|refused", "return drop(drop 'x')" },
  { "flag of a table", "", "bad-verdict|refused", "return flag {}" },
  { "flag of an event", "", "bad-verdict|refused", "return flag(event)" },
  { "allow of a text", "", "bad-verdict|refused", "return allow 'x'" },
  { "allow called", "", "bad-verdict|refused", "return allow()" },
  { "a sum of two", "", "refused", "return allow + drop" },
  { "two joined", "", "refused", "return allow .. drop" },
  { "the negative of one", "", "refused", "return -drop" },
  { "the length of one", "", "refused|bad-verdict", "return #drop" },
  { "two compared", "", "refused|bad-verdict", "return allow < drop" },
  { "a comparison that says what it is not", "", "allow",
    "if allow == drop then return drop end return allow" },
  { "an error that is one", "", "check-error", "error(allow)" },
  { "an error that is one with a text", "", "check-error", "error(flag 'x', 0)" },
  { "an assertion that is one", "", "check-error", "assert(false, allow)" },
  { "one from a call before", "", "flag", [[
    kept.verdict = kept.verdict or flag 'first'
    return kept.verdict]], times = 3, text = [[
    local kept
    event "attack" { extra = "keep", check = function()
      kept = kept or flag 'first'
      return kept
    end }]] },
  { "one made when the file was loaded", "", "check", "", text = [[
    local verdict = drop "earlier"
    event "attack" { extra = "keep", check = function() return verdict end }]], times = 3 },
  { "a rewrite kept and changed", "", "extra-field|bad-verdict|check-error", "", text = [[
    local data, verdict = { n = 1 }
    event "attack" { extra = "keep", check = function(event)
      verdict = verdict or rewrite(data)
      data.n = event.number
      data.cid = "other:channel"
      return verdict
    end }]], times = 3 },
  { "a text that is very long", "", "check", "return drop(('x'):rep(60000))" },
  { "a text that is cut within a character", "", "check", "return drop(('x'):rep(238) .. '\\u{20AC}')" },
  { "a text with broken characters", "", "check|bad-verdict", "return drop '\\255\\192x\\237\\160\\128'" },
  { "a text with zero in it", "", "check|bad-verdict", "return drop 'a\\0b'" },
  { "a text with control characters", "", "flag|bad-verdict", "return flag '\\27[2J\\r\\n\\8'" },
  { "an empty text", "", "quarantine", "return quarantine ''" },
  { "a number for a text", "", "check|bad-verdict|refused", "return drop(1)" },
  { "more than one", "", "allow|bad-verdict", "return allow, drop" },
  { "a verdict and a thousand more", "", "allow|bad-verdict|check-error", [[
    local t = {}
    for i = 1, 1000 do t[i] = i end
    return allow, table.unpack(t)]] },
}

local function rewriting(name, expected, data, more)
  local case = { name, "", expected, ("local data = %s return rewrite(data)"):format(data) }
  for key, value in pairs(more or {}) do case[key] = value end
  return case
end

local rewrites = list {
  rewriting("a plain one", "rewrite", "{ text = 'new', list = { 1, 2 }, deep = { x = { y = 1 } } }"),
  rewriting("nothing at all", "rewrite", "{}"),
  rewriting("a function", "bad-verdict", "{ f = function() end }"),
  rewriting("a function of the library", "bad-verdict", "{ f = string.rep }"),
  rewriting("a verdict", "bad-verdict", "{ f = drop }"),
  rewriting("a library", "bad-verdict", "{ f = string }"),
  rewriting("the context", "bad-verdict", "{ f = context }"),
  rewriting("the event", "bad-verdict|extra-field|rewrite|check-error", "{ f = event }"),
  rewriting("the event itself", "bad-verdict|extra-field|rewrite|check-error", "event"),
  rewriting("a part of the event", "bad-verdict|rewrite", "{ f = event.nested, g = event.list }"),
  rewriting("NaN", "bad-verdict", "{ n = 0/0 }"),
  rewriting("infinity", "bad-verdict", "{ n = math.huge }"),
  rewriting("the end of the integers", "rewrite", "{ n = math.mininteger, m = math.maxinteger }"),
  rewriting("numbers that are hard to write", "rewrite",
    "{ a = 5e-324, b = 1.7976931348623157e308, c = -0.0, d = 0.1, e = 2^53 }"),
  rewriting("a float for a key", "bad-verdict", "{ [1.5] = 1 }"),
  rewriting("a boolean for a key", "bad-verdict", "{ [true] = 1 }"),
  rewriting("a list instead of an object", "bad-verdict", "{ 1, 2, 3 }"),
  rewriting("a list with names in it", "bad-verdict", "{ n = { 1, 2, x = 3 } }"),
  rewriting("a list with holes", "bad-verdict", "{ n = { 1, nil, 3, nil, nil, 6 } }"),
  rewriting("a list of one, far away", "bad-verdict", "{ n = { [2^40 // 1 | 0] = 1 } }"),
  rewriting("a list that begins before 1", "bad-verdict", "{ n = { [0] = 1, [-1] = 2 } }"),
  rewriting("a broken text", "bad-verdict", "{ s = '\\255' }"),
  rewriting("half a pair of surrogates", "bad-verdict", "{ s = '\\237\\160\\128' }"),
  rewriting("a broken key", "bad-verdict", "{ ['\\255'] = 1 }"),
  rewriting("zero in a text", "rewrite", "{ s = 'a\\0b' }"),
  rewriting("zero in a key", "rewrite|bad-verdict", "{ ['a\\0b'] = 1 }"),
  rewriting("quotes and all control characters", "rewrite",
    "{ s = '\"\\\\\\0\\1\\2\\3\\b\\t\\n\\v\\f\\r\\27\\127', ['\"}]'] = 1 }"),
  rewriting("a text that grows when it is written", "rewrite|bad-verdict|too-large|budget-memory",
    "{ s = ('\\1'):rep(60000) }"), -- CVE-2022-24834
  rewriting("an empty key", "rewrite|bad-verdict", "{ [''] = 1 }"),
} {
  { "itself in itself", "CVE-2018-11218", "bad-verdict|budget-instructions|budget-memory", [[
    local t = {}
    t.t = t
    return rewrite(t)]] },
  { "two in each other", "", "bad-verdict|budget-instructions|budget-memory", [[
    local a, b = {}, {}
    a.b, b.a = { b }, { a }
    return rewrite(a)]] },
  { "one table a million times", "", "bad-verdict|too-large|budget-instructions|budget-memory|budget-time", [[
    local t = { x = 1 }
    for _ = 1, 20 do t = { a = t, b = t } end
    return rewrite(t)]] },
  { "one table a thousand million times", "",
    "bad-verdict|too-large|budget-instructions|budget-memory|budget-time", [[
    local t = { "xxxxxxxxxxxxxxxx" }
    for _ = 1, 30 do t = { t, t } end
    return rewrite { t = t }]] },
  { "depth 31", "", "rewrite|bad-verdict", [[
    local t = {}
    for _ = 1, 29 do t = { t = t } end
    return rewrite(t)]] },
  { "depth 1000", "CVE-2018-11218", "bad-verdict", [[
    local t = {}
    for _ = 1, 1000 do t = { t } end
    return rewrite { t = t }]] },
  { "depth 1000, with names", "CVE-2018-11218", "bad-verdict", [[
    local t = {}
    for _ = 1, 1000 do t = { x = t } end
    return rewrite(t)]] },
  { "depth 100000", "CVE-2018-11218", "bad-verdict|budget-memory", [[
    local t = {}
    for _ = 1, 100000 do t = { t } end
    return rewrite { t = t }]], limits = { instructions = 10000000, memory = 16 * 1024 * 1024 } },
  { "100000 elements", "CVE-2018-11218", "rewrite|bad-verdict|too-large|budget-memory", [[
    local t = {}
    for i = 1, 100000 do t[i] = i end
    return rewrite { t = t }]], limits = { instructions = 10000000, memory = 8 * 1024 * 1024 } },
  { "20000 members", "", "rewrite|bad-verdict|too-large|budget-memory", [[
    local t = {}
    for i = 1, 20000 do t["k" .. i] = i end
    return rewrite(t)]], limits = { instructions = 10000000, memory = 8 * 1024 * 1024 } },
  { "a text of megabytes", "CVE-2022-24834", "rewrite|bad-verdict|too-large|budget-memory|check-error", [[
    local s = ("\1"):rep(1000)
    for _ = 1, 12 do s = s .. s end
    return rewrite { a = s, b = s, c = s, d = s }]],
    limits = { instructions = 10000000, memory = 16 * 1024 * 1024 } },
  { "values that a table changes while it is read", "", "rewrite|bad-verdict", [[
    local t = { a = 1, b = 2 }
    local v = rewrite(t)
    for i = 1, 100 do t["c" .. i] = i end
    t.a = nil
    return v]] },
}

-- Names of the envelope: neither may they be taken for data, nor stand in for what the server said.
for _, name in ipairs { "type", "cid", "channel_type", "channel_id", "user", "created_at", "user_id",
  "received_at", "trust", "verdict", "raw_data", "watcher_count", "__index", "__metatable", "constructor" } do
  for _, value in ipairs { "'server'", "{ id = 'admin', role = 'admin' }", "1" } do
    rewrites[#rewrites + 1] = { ("%s = %s"):format(name, value), "opencore #73",
      "rewrite|bad-verdict|extra-field", ("return rewrite { %s = %s }"):format(name, value) }
  end
end

-- The same by the key of the rule, with fields that are checked again.
local keys = list {} {
  { "gives what fields refuse", "", "field-range", "", text = [[
    event "attack" { extra = "strip", fields = { number = integer { max = 10 } },
      rewrite = function() return { number = 11 } end }]] },
  { "leaves a field out", "", "field-missing", "", text = [[
    event "attack" { extra = "strip", fields = { number = integer }, rewrite = function() return {} end }]] },
  { "gives what no field names", "", "extra-field", "", text = [[
    event "attack" { fields = { number = integer }, extra = "refuse", check = function()
      return rewrite { number = 1, admin = true } end }]],
    event = '{"type":"attack","cid":"a:b","user":{"id":"u"},"number":1}' },
  { "grows beyond the size", "", "too-large", "", text = [[
    event "attack" { extra = "keep", size = 400,
      rewrite = function() return { text = ("x"):rep(400) } end }]] },
  { "gives nothing", "", "bad-verdict", "", text = [[
    event "attack" { extra = "keep", rewrite = function() end }]] },
  { "gives true", "", "bad-verdict", "", text = [[
    event "attack" { extra = "keep", rewrite = function() return true end }]] },
  { "gives itself", "", "bad-verdict|budget-instructions|budget-memory", "", text = [[
    event "attack" { extra = "keep", rewrite = function()
      local t = {}
      t.t = t
      return t
    end }]] },
  { "gives the event", "", "rewrite|bad-verdict|extra-field", "", text = [[
    event "attack" { extra = "keep", rewrite = function(event) return event end }]] },
  { "turns for ever", "", "budget-instructions", "", text = [[
    event "attack" { extra = "keep", check = function() return allow end,
      rewrite = function() while true do end end }]] },
  { "raises", "", "check-error", "", text = [[
    event "attack" { extra = "keep", rewrite = function() error({}) end }]] },
  { "is not asked after a drop", "", "check", "", text = [[
    event "attack" { extra = "keep", check = function() return drop end,
      rewrite = function() while true do end end }]] },
}

local function raising(name, source, body)
  return { name, source, "check-error", body }
end

local LONG = ("n"):rep(20000)
local errors = {
  raising("nothing", "", "error()"),
  raising("a table", "", "error {}"),
  raising("a table that wants to be a text", "", "error({ __tostring = function() while true do end end })"),
  raising("the event", "", "error(event)"),
  raising("the context", "", "error(context)"),
  raising("a function", "", "error(error)"),
  raising("a number", "", "error(1/0)"),
  raising("a text of another level", "", "error('x', 2)"),
  raising("a text of level -1", "", "error('x', -1)"),
  raising("a text of level 2^31", "", "error('x', 2147483648)"),
  raising("a text of the lowest level", "", "error('x', math.mininteger)"),
  raising("a long text", "", "error(('x'):rep(60000))"),
  raising("a broken text", "", "error '\\255\\0\\192'"),
  raising("a false assertion", "", "assert(false)"),
  raising("an assertion without a value", "", "assert()"),
  raising("an assertion with a table", "", "assert(nil, {})"),
  raising("a call of nothing", "", "event.nothing()"),
  raising("a call of a number", "", "local n = 1 n()"),
  raising("an index of nothing", "Garry's Mod #6276", "return event.missing.x"),
  raising("an index of a missing name", "", "return event[nil].x"),
  raising("a sum with a table", "", "return {} + 1"),
  raising("a text that is no number", "", "return 'x' + 1"),
  raising("a division by zero", "", "return 1 // 0"),
  { "a remainder of zero", "", "check-error|bad-verdict", "return 1 % 0" },
  raising("a float without an integer", "", "return 1.5 | 1"),
  raising("a huge float without an integer", "", "return 1e300 & 1"),
  raising("numbers compared with texts", "", "return 1 < 'x'"),
  raising("tables compared", "", "return {} < {}"),
  raising("tables joined", "", "return {} .. 'x'"),
  raising("the length of a number", "", "return #1"),
  raising("a key that is NaN", "", "local t = {} t[0/0] = 1 return allow"),
  raising("a key that is nil", "", "local t = {} t[nil] = 1 return allow"),
  { "a loop of step 0", "", "check-error|allow|budget-instructions",
    "for _ = 1, 10, 0 do end return allow" },
  raising("a loop from a table", "", "for _ = {}, 1 do end return allow"),
  raising("a loop over nothing", "", "for _ in nil do end return allow"),
  { "a key that next does not know", "", "allow|check-error", "next({}, 'x') return allow" },
  raising("a long name in a message", "CVE-2022-33099", "local t = {} t." .. LONG .. "() return allow"),
  raising("a long local name in a message", "CVE-2022-33099",
    "local " .. LONG .. " = nil return " .. LONG .. ".x"),
  raising("a long key in a message", "CVE-2021-44647", "local t = {} return t['" .. LONG .. "'].x"),
  raising("a name in a message that is none", "CVE-2021-44647", "for _ in 1, 2, 3 do end return allow"),
  raising("a message about an upvalue", "", "local u local f = function() return u.x.y end return f()"),
  raising("a comparator that raises", "", "table.sort({ 3, 2, 1 }, error) return allow"),
  raising("select of 0", "", "return select(0, 1)"),
  raising("select far below", "", "return select(math.mininteger, 1)"),
  raising("a base that is none", "", "return tonumber('1', 99)"),
  raising("a number for a text in a base", "", "return tonumber(1, 10)"),
  raising("ipairs of nothing", "", "ipairs() return allow"),
  raising("pairs of a number", "", "pairs(1) return allow"),
}
list(errors) {
  { "event at run time", "", "refused", "_ENV.event 'other' {} return allow" },
  { "refuse at run time", "", "refused", "refuse 'probe' return allow" },
  { "honeypot at run time", "", "refused", "honeypot 'probe' return allow" },
  { "default at run time", "", "refused", "default 'allow' return allow" },
  { "mode at run time", "", "refused", "mode 'audit' return allow" },
  { "include at run time", "", "refused", "include 'other.lua' return allow",
    read = function() return "return 1" end },
  { "statements kept and called at run time", "", "refused", "", text = [[
    local declare, rest = event, refuse
    event "attack" { extra = "keep", check = function()
      declare "probe2" {}
      rest "probe"
      return allow
    end }]] },
  { "a statement half said, ended at run time", "", "refused", "", text = [[
    local half = event "late"
    event "attack" { extra = "keep", check = function()
      half { extra = "keep" }
      return allow
    end }]] },
  { "include kept and called at run time", "", "refused", "", text = [[
    local f = include
    event "attack" { extra = "keep", check = function()
      f "other.lua"
      return allow
    end }]], read = function() return "return 1" end },
}

rule_case.specs("the language's", {
  ["an attempt to reach"] = reaching,
  ["an attempt to change"] = changing,
  ["an attempt to see an address by"] = addresses,
  ["given for a verdict:"] = verdicts,
  ["given for new data:"] = rewrites,
  ["a rewrite that"] = keys,
  ["raised in a check:"] = errors,
}, { describe = describe, it = it, setup = setup })
