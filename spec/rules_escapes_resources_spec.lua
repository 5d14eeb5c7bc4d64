--- Attempts to take more than a rule's share: instructions, time, memory, the C stack. See
--- support.rule_case: here each case ends under the reason of the budget, as far as one is broken.
local rule_case = require "support.rule_case"

local MIB = 1024 * 1024

local function endless(name, source, body)
  return { name, source, "budget-instructions", body }
end

local loops = {
  endless("while", "mozilla lua_sandbox", "while true do end"),
  endless("repeat", "", "repeat until false"),
  endless("repeat with a variable of its own", "", "repeat local done = false until done"),
  endless("goto", "", "::again:: goto again"),
  endless("goto out of a block", "", "::again:: do local x = 1 goto again end"),
  endless("for to the end of the integers", "", "for _ = 1, math.maxinteger do end return allow"),
  endless("for of floats that cannot reach its end", "", "for _ = 1, math.huge do end return allow"),
  endless("for of floats that do not grow", "", "for _ = 2.0^53, 2.0^53 + 10, 0.5 do end return allow"),
  endless("for, downwards", "", "for _ = 0, math.mininteger, -1 do end return allow"),
  endless("an iterator that never ends", "", "for _ in function() return 1 end do end return allow"),
  endless("a table that grows while it is gone through", "", [[
    local t = { 1 }
    for i in ipairs(t) do t[i + 1] = nil t[1] = 1 if i > 0 then t[i + 1] = true t[i] = nil end end
    while true do end]]),
  endless("tail calls", "mesecons #241", "local function f() return f() end return f()"),
  endless("tail calls of two", "mesecons #241", [[
    local f, g
    function f() return g() end
    function g() return f() end
    return f()]]),
  endless("a method that calls itself at its end", "mesecons #241", [[
    local o = {}
    function o:f() return self:f() end
    return o:f()]]),
  endless("recursion, wide", "", [[
    local function f(n) if n > 0 then f(n - 1) f(n - 1) end end
    f(60)
    return allow]]),
  endless("a loop inside a comparator", "", [[
    table.sort({ 1, 2, 3 }, function() while true do end end)
    return allow]]),
  endless("a loop behind an error that is caught by nobody", "kikito/sandbox #12", [[
    while true do
      local function f() while true do end end
      f()
    end]]),
  endless("calls of helpers only", "", "while true do (''):rep(1) end"),
  endless("calls of the context only", "", "while true do context.marked('x', 'y') end"),
  endless("looks at the event only", "", "while true do local _ = event.text end"),
  endless("looks into the depth of the event", "", "while true do local _ = event.nested.deep.x end"),
  endless("verdicts only", "", "while true do drop('x') end"),
  endless("going through the event", "", "while true do for _ in pairs(event) do end end"),
  endless("empty calls", "", "local function f() end while true do f() end"),
  endless("closures", "", "while true do local x = {} local _ = function() return x end end"),
  endless("garbage", "", "while true do local _ = { {}, {}, { 'x' .. 1 } } end"),
  endless("variable arguments", "", "local function f(...) return ... end while true do f(1, 2, 3) end"),
  endless("characters of a text that has none", "", [[
    local step, text = utf8.codes "", ("\x80"):rep(100000)
    for _ = 1, 100 do step(text, 1) end
    return allow]]),
  endless("arithmetic", "", "local x = 1 while true do x = x * 3 // 2 % 1000003 + 1 end"),
}
for name, body in pairs {
  ["while"] = "while true do end",
  ["tail calls"] = "local function f() return f() end return f()",
  ["calls of helpers"] = "while true do (''):rep(1) end",
  ["a comparator"] = "table.sort({ 1, 2, 3 }, function() while true do end end)",
  ["long texts"] = "local s = ('x'):rep(10000) while true do local _ = s .. s end",
  ["searches"] = "local s = ('a'):rep(10000) while true do s:contains 'b' end",
  ["comparisons of long texts"] = [[
    local a, b = ('a'):rep(20000) .. 'a', ('a'):rep(20000) .. 'b'
    while true do local _ = a < b end]],
  ["wildcards"] = "local s = ('a'):rep(1000) while true do s:glob '*a*a*a*b' end",
  ["sorting"] = "local t = {} for i = 1, 100 do t[i] = i end while true do table.sort(t) end",
} do
  loops[#loops + 1] = { name .. ", on the clock", "", "budget-time", body,
    limits = { instructions = 1e15, seconds = 0.01 } }
end

-- One call into C, which no hook interrupts, must be short by itself. Where it would not be, it
-- raises, or counts what it does.
local BOUND = "allow|check|check-error|budget-memory|budget-instructions|budget-time"
local function bound(name, source, body, limits)
  return { name, source, BOUND, body, limits = limits }
end
-- What is only ended by a budget.
local BROKEN = "budget-instructions|budget-time|budget-memory"
local function heavy(name, source, body, limits)
  return { name, source, BROKEN, body, limits = limits }
end
local LARGE = { memory = 32 * MIB, instructions = 1000000, seconds = 0.05 }
local WIDE = { memory = 8 * MIB, instructions = 1000000, seconds = 0.05 }

local calls = {
  bound("optional letters", "a?^n a^n", [[
    local s = ("a"):rep(30)
    s:find(("a?"):rep(30) .. s)
    return allow]]),
  bound("three dashes", "foundations", "(('x'):rep(3000)):find '.-.-.-b' return allow"),
  bound("wildcards over and over", "", "(('a'):rep(60000)):glob(('*a'):rep(10000) .. 'b') return allow",
    WIDE),
  bound("wildcards and one letter", "", "(('a'):rep(60000)):glob(('*'):rep(60000) .. 'b') return allow",
    WIDE),
  bound("a wildcard and a long end", "", [[
    local s = ('a'):rep(60000)
    s:glob('*' .. ('a'):rep(30000) .. 'b')
    return allow]], WIDE),
  bound("wildcards for single letters", "",
    "(('a'):rep(60000)):glob('*' .. ('?'):rep(30000) .. 'b') return allow",
    WIDE),
  heavy("a search for what is nearly everywhere", "", [[
    local s, t = ('a'):rep(1000), ('a'):rep(500)
    for _ = 1, 12 do s, t = s .. s, t .. t end
    s:find(t .. 'b')
    return allow]], LARGE),
  heavy("the same with contains", "", [[
    local s, t = ('a'):rep(1000), ('a'):rep(500)
    for _ = 1, 12 do s, t = s .. s, t .. t end
    s:contains(t .. 'b')
    return allow]], LARGE),
  heavy("sorting much", "foundations", [[
    local t = {}
    for i = 1, 100000 do t[i] = -i end
    table.sort(t)
    return allow]], WIDE),
  heavy("sorting what is all alike", "", [[
    local t = {}
    for i = 1, 100000 do t[i] = 1 end
    table.sort(t)
    return allow]], WIDE),
  bound("sorting a list that is long only by its end", "", [[
    local t = { 1 }
    for i = 0, 16 do t[2 ^ i // 1 | 0] = i end
    table.sort(t)
    return allow]], WIDE),
  bound("sorting long texts", "", [[
    local t, s = {}, ('x'):rep(10000)
    for i = 1, 300 do t[i] = s .. i end
    table.sort(t)
    return allow]], WIDE),
  heavy("removing from the front of a long list", "", [[
    local t = {}
    for i = 1, 50000 do t[i] = i end
    for _ = 1, 50000 do table.remove(t, 1) end
    return allow]], WIDE),
  heavy("inserting at the front of a long list", "", [[
    local t = {}
    for i = 1, 50000 do table.insert(t, 1, i) end
    return allow]], WIDE),
  heavy("joining the same long text", "", [[
    local t, s = {}, ('x'):rep(60000)
    for i = 1, 1000 do t[i] = s end
    local _ = table.concat(t)
    return allow]], WIDE),
  bound("the length of a table full of holes", "", [[
    local t = {}
    for i = 1, 60 do t[1 << i] = true end
    for _ = 1, 1000 do local _ = #t end
    return allow]], WIDE),
  heavy("turning a long text into upper case, often", "", [[
    local s = ('x'):rep(60000)
    for _ = 1, 10000 do s:upper() end
    return allow]], WIDE),
  heavy("reversing, often", "", [[
    local s = ('x'):rep(60000)
    for _ = 1, 10000 do s:reverse() end
    return allow]], WIDE),
  heavy("counting characters, often", "", [[
    local s = ('x'):rep(60000)
    for _ = 1, 10000 do utf8.len(s) end
    return allow]], WIDE),
  bound("a number of many digits", "", "for _ = 1, 1000 do tonumber(('9'):rep(60000)) end return allow",
    WIDE),
  bound("a number of many digits in base 36", "", "tonumber(('z'):rep(60000), 36) return allow", WIDE),
}

local memory = {
  { "a long text of the event, looked at again and again", "", "allow", [[
    local t = {}
    for i = 1, 50 do t[i] = event.text end
    return allow]], event = '{"type":"attack","text":"' .. ("\\u0061"):rep(30000) .. '"}' },
  heavy("a text doubled", "mesecons #516", "local s = 'x' while true do s = s .. s end"),
  bound("a text doubled, 30 times", "foundations",
    "local s = 'xx' for _ = 1, 30 do s = s .. s end return allow"),
  heavy("rep of a thousand million", "Kong #7167", "local _ = ('x'):rep(1000000000) return allow"),
  heavy("rep of rep", "mesecons #380", "local _ = ('abcd'):rep(1000):rep(1000):rep(1000) return allow"),
  heavy("rep beyond all integers", "", "local _ = ('xx'):rep(math.maxinteger) return allow"),
  bound("rep below all", "CVE-2024-31449",
    "local s = ('xx'):rep(math.mininteger) if s == '' then return allow end"),
  heavy("rep with something between", "", "local _ = (''):rep(1 << 40, 'xx') return allow"),
  heavy("rep with much between", "", "local s = ('x'):rep(60000) local _ = s:rep(60000, s) return allow"),
  bound("rep of nothing", "", "local s = (''):rep(math.maxinteger) if s == '' then return allow end"),
  bound("rep by a float", "", "local _ = ('x'):rep(1e300) return allow"),
  bound("a format with a width", "PHP LuaSandbox", "local _ = ('%99999d'):format(1) return allow"),
  bound("a format with a width that is allowed", "", "local _ = ('%99d'):format(1) return allow"),
  bound("a format with many digits", "", "local _ = ('%.99f'):format(1e308) return allow"),
  bound("a format with too many digits", "", "local _ = ('%.999999999f'):format(1) return allow"),
  bound("a format with many texts", "", "local _ = ('%s'):rep(200):format(('x'):rep(60000)) return allow"),
  bound("a format that repeats what it is given", "", [[
    local s = ('x'):rep(50000)
    local _ = ('%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s'):format(s, s, s, s, s, s, s, s, s, s, s, s, s, s, s,
      s, s, s, s, s)
    return allow]]),
  bound("a format that quotes", "", "local _ = ('%q'):format(('\\0'):rep(60000)) return allow"),
  bound("a format that quotes a table", "", "local _ = ('%q'):format({}) return allow"),
  bound("a format that writes where it should not", "", "local _ = ('%n'):format(1) return allow"),
  bound("a format without end", "", "local _ = ('%'):format(1) return allow"),
  bound("a format of flags only", "", "local _ = ('%-+ #0-+ #0-+ #0d'):format(1) return allow"),
  bound("a format without arguments", "", "local _ = ('%d%s%f'):format() return allow"),
  bound("a format with the number of its arguments", "", "local _ = ('%1$s'):format('x') return allow"),
  bound("a format with the lowest integer", "CVE-2024-31449", [[
    local _ = ('%d %i %x %X %o %u %c'):format(math.mininteger, math.mininteger, math.mininteger, 1, 2, 3, 4)
    return allow]]),
  bound("a format in base 16 with sign and precision", "CVE-2024-31449",
    "local _ = ('%+.99x'):format(math.mininteger) return allow"),
  bound("concat of a thousand million", "", "local _ = table.concat({}, 'x', 1, 1000000000) return allow"),
  bound("concat of all integers", "",
    "local _ = table.concat({}, '', math.mininteger, math.maxinteger) return allow"),
  bound("concat at the end of the integers", "",
    "local _ = table.concat({ [math.maxinteger] = 'x' }, '', math.maxinteger, math.maxinteger) return allow"),
  heavy("concat with much between", "", [[
    local t = {}
    for i = 1, 1000 do t[i] = 'x' end
    local _ = table.concat(t, ('x'):rep(60000))
    return allow]]),
  bound("concat of tables", "", "local _ = table.concat({ {} }) return allow"),
  bound("unpack of a hundred million", "",
    "local _ = select('#', table.unpack({}, 1, 100000000)) return allow"),
  bound("unpack of 2^31 - 1", "Redis CVE-2025-46817",
    "local _ = select('#', table.unpack({}, 0, 2147483647)) return allow"),
  bound("unpack of -1 to 2^31 - 1", "Redis CVE-2025-46817", "return table.unpack({ 1 }, -1, 2147483647)"),
  bound("unpack of all integers", "Redis CVE-2025-46817",
    "return table.unpack({}, math.mininteger, math.maxinteger)"),
  bound("unpack of -2^31 to 2^31 - 1", "Redis CVE-2025-46817",
    "local _ = { table.unpack({}, -2147483648, 2147483647) } return allow"),
  bound("unpack of half a million", "CVE-2018-11218",
    "local _ = { table.unpack({}, 1, 500000) } return allow",
    { memory = 8 * MIB }),
  bound("unpack at the end of the integers", "",
    "local _ = { table.unpack({}, math.maxinteger - 1, math.maxinteger) } return allow"),
  bound("unpack into a call", "", [[
    local t = {}
    for i = 1, 1000 do t[i] = i end
    local function f(...) return select('#', ...) end
    if f(table.unpack(t, 1, 200000)) == 200000 then return allow end
    return drop]], { memory = 8 * MIB }),
  bound("all bytes of a long text at once", "", "local _ = { (('x'):rep(60000)):byte(1, -1) } return allow"),
  bound("bytes beyond all integers", "",
    "local _ = { ('x'):byte(math.mininteger, math.maxinteger) } return allow"),
  bound("a text of bytes", "", "local _ = string.char(table.unpack({}, 1, 100000)) return allow"),
  bound("bytes that are none", "", "local _ = string.char(256, -1, math.maxinteger) return allow"),
  bound("insert far away", "", "table.insert({}, 1 << 40, 1) return allow"),
  bound("insert at the end of the integers", "", "table.insert({}, math.maxinteger, 1) return allow"),
  bound("insert before all integers", "", "table.insert({}, math.mininteger, 1) return allow"),
  bound("insert of nothing", "", "table.insert({}) return allow"),
  bound("insert of too much", "", "table.insert({}, 1, 2, 3) return allow"),
  bound("remove far away", "", "table.remove({}, 1 << 40) return allow"),
  bound("remove from the end of the integers", "",
    "table.remove({ [math.maxinteger] = 1 }, math.maxinteger) return allow"),
  bound("an element far away", "", "local t = {} t[1 << 53] = 1 t[math.maxinteger] = 1 return allow"),
  heavy("elements, more and more", "", "local t, n = {}, 0 while true do n = n + 1 t[n] = n end",
    { instructions = 10000000 }),
  heavy("members, more and more", "", "local t, n = {}, 0 while true do n = n + 1 t['k' .. n] = n end",
    { instructions = 10000000 }),
  heavy("tables, more and more", "", "local t = {} while true do t = { t } end", { instructions = 10000000 }),
  heavy("closures, more and more", "", "local f while true do local g = f f = function() return g end end",
    { instructions = 10000000 }),
  heavy("texts, more and more", "", "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end"),
  bound("texts of one size that end alike", "", [[
    local t = {}
    for i = 1, 100000 do t[i] = ('%040d'):format(i) end
    return allow]], { instructions = 10000000 }),
  heavy("verdicts, more and more", "",
    "local t = {} while true do t[#t + 1] = drop(('x'):rep(200) .. #t) end",
    { instructions = 10000000 }),
  heavy("rewrites, more and more", "", "local t = {} while true do t[#t + 1] = rewrite { t = t } end",
    { instructions = 10000000 }),
  bound("arguments, more and more", "CVE-2014-5461", [[
    local function f(...) return f(1, ...) end
    return f()]], { instructions = 10000000 }),
  bound("parameters that nobody gives", "CVE-2014-5461", [[
    local function f(a01, a02, a03, a04, a05, a06, a07, a08, a09, a10, a11, a12, a13, a14, a15, a16, a17,
      a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, ...)
      if a01 == 0 then return ... end
      return f((a01 or 200) - 1)
    end
    f()
    return allow]]),
  bound("results, more and more", "", [[
    local function f(n) if n == 0 then return 1 end return 1, f(n - 1) end
    local _ = { f(5000) }
    return allow]], { instructions = 1000000 }),
  bound("an error in a message that is too long", "", "error(('x'):rep(60000) .. ('y'):rep(60000))"),
}

for _, entry in ipairs {
  { "texts", "kept[#kept + 1] = ('x'):rep(1000) .. #kept" },
  { "events", "kept[#kept + 1] = event" },
  { "verdicts", "kept[#kept + 1] = drop(('x'):rep(100) .. #kept)" },
  { "closures with events in them", "kept[#kept + 1] = function() return event end" },
} do
  -- Each call keeps to its budget, and all together they do not: once the state is full, it says so.
  memory[#memory + 1] = { entry[1] .. " kept from call to call", "mesecons #393",
    "tripped|budget-memory|allow", "", times = 2000, spoilt = true,
    limits = { memory = 256 * 1024 }, text = ([[
      local kept = {}
      event "attack" { extra = "keep", check = function(event)
        %s
        return allow
      end }]]):format(entry[2]) }
end

local stack = {
  bound("recursion", "", "local function f() return 1 + f() end return f()"),
  { "recursion, with all the memory it wants", "CVE-2020-24342", "check-error|budget-memory",
    "local function f() return 1 + f() end return f()", times = 1,
    limits = { instructions = 100000000, memory = 64 * MIB } },
  bound("recursion through a comparator", "CVE-2021-43519", [[
    local function f() table.sort({ 1, 2, 3 }, f) return true end
    f()
    return allow]], { instructions = 10000000 }),
  bound("recursion through an iterator", "CVE-2021-43519", [[
    local function f() for _ in f do end end
    f()
    return allow]], { instructions = 10000000 }),
  bound("recursion in a comparator that raises at last", "", [[
    local depth = 0
    local function f()
      depth = depth + 1
      if depth > 150 then error 'deep' end
      table.sort({ 1, 2, 3 }, f)
    end
    f()
    return allow]], { instructions = 10000000 }),
  bound("recursion up to an error in the message", "CVE-2020-24342", [[
    local function f() local x <close> = nil return f() + error({}) end
    return f()]], { instructions = 10000000 }),
  bound("much of the stack, then a helper", "CVE-2018-11218", [[
    local function f(n)
      if n == 0 then return table.concat({ 'a', 'b' }) .. ('x'):rep(3) .. select('#', ('abc'):byte(1, 3)) end
      return (f(n - 1))
    end
    f(15000)
    return allow]], { instructions = 10000000, memory = 8 * MIB }),
  bound("much of the stack, then what the context counts", "", [[
    local function f(n)
      if n == 0 then return context.count('k', 1, 60) end
      return (f(n - 1))
    end
    f(15000)
    return allow]], { instructions = 10000000, memory = 8 * MIB }),
  bound("much of the stack, then a look at the event", "", [[
    local function f(n)
      if n == 0 then return event.nested.deep.x end
      return (f(n - 1))
    end
    f(15000)
    return allow]], { instructions = 10000000, memory = 8 * MIB }),
  bound("every depth of the C stack", "CVE-2021-43519", [[
    local function at(depth, f)
      if depth == 0 then return f() end
      table.sort({ 1, 2 }, function() at(depth - 1, f) return false end)
    end
    for depth = 1, 60 do at(depth, function() return ('x'):rep(10):upper() end) end
    return allow]], { instructions = 10000000 }),
}

local sorting = {}
for _, entry in ipairs {
  { "that says yes to everything", "return true" },
  { "that says no to everything", "return false" },
  { "that contradicts itself", "n = n + 1 return n % 2 == 0" },
  { "that contradicts itself, by threes", "n = n + 1 return n % 3 ~= 0" },
  { "that says nothing", "" },
  { "that says a verdict", "return drop" },
  { "that takes elements away", "t[#t] = nil return a ~= nil and b ~= nil and a < b" },
  { "that takes all elements away", "for i = 1, 60 do t[i] = nil end return true" },
  { "that adds elements", "t[#t + 1] = 1 return a < b" },
  { "that changes elements", "t[1], t[2], t[#t] = t[#t], {}, 'x' return true" },
  { "that sorts the same list", "if n < 20 then n = n + 1 table.sort(t) end return a < b" },
  { "that sorts with itself", "if n < 20 then n = n + 1 table.sort(t, again) end return a < b" },
  { "that raises in the middle", "n = n + 1 if n > 30 then error {} end return a < b" },
} do
  sorting[#sorting + 1] = bound(entry[1], "Lua: 'invalid order function'", ([[
    local n, t, again = 0, {}, nil
    for i = 1, 60 do t[i] = (i * 37) %% 60 end
    function again(a, b) %s end
    table.sort(t, again)
    return allow]]):format(entry[2]))
end
for name, values in pairs { ["NaN"] = "0/0, 1, 0/0, 2, 3, 0/0", ["words and numbers"] = "1, 'x', 2",
  ["tables"] = "{}, {}, {}", ["holes"] = "1, nil, 3, nil, 5", ["booleans"] = "true, false, true",
  ["verdicts"] = "allow, drop, flag" } do
  sorting[#sorting + 1] = bound("of " .. name, "", "table.sort { " .. values .. " } return allow")
end

-- A list whose last element is, as far as Lua can tell, the largest integer there is.
local ENDLESS = { "[1] = 1" }
for i = 1, 62 do ENDLESS[#ENDLESS + 1] = ("[1 << %d] = 1"):format(i) end
ENDLESS = ("local t = { %s, [math.maxinteger] = 1 } "):format(table.concat(ENDLESS, ", "))
local lists = {}
for _, body in ipairs {
  "if #t ~= math.maxinteger then return drop end", "table.insert(t, 1)", "table.insert(t, 1, 1)",
  "table.insert(t, math.maxinteger, 1)", "table.insert(t, math.mininteger, 1)", "table.remove(t)",
  "table.remove(t, 1)", "table.remove(t, math.mininteger)", "table.sort(t)",
  "table.sort(t, function(a, b) return a < b end)", "local _ = { table.unpack(t) }", "table.concat(t)",
  "for _ in ipairs(t) do end", "for _ in pairs(t) do end", "local _ = next(t)", "t[#t] = nil",
  "return rewrite { t = t }",
} do
  local case = bound(body, "", ENDLESS .. ("if #t > 0 then %s end return allow"):format(body))
  case[3] = case[3] .. "|bad-verdict|rewrite"
  lists[#lists + 1] = case
end

-- What an iterator was not made for.
local iterators = {}
for _, maker in ipairs { "ipairs(event.list)", "pairs(event.list)", "pairs(event)", "pairs(event.nested)",
  "pairs({ 1, x = 2 })", "ipairs({})", "utf8.codes('abc')" } do
  for _, arguments in ipairs { "", "nil, nil", "{}, 1", "event, 1", "event, 'nothing'", "event.list, 'x'",
    "event.list, math.maxinteger", "event.list, math.mininteger", "event.list, 1.5", "'abc', math.maxinteger",
    "'abc', -5", "'', 0", "string, 'rep'", "context, 'now'", "allow, 1", "0, 0", "step, step" } do
    iterators[#iterators + 1] = { maker .. " called with " .. arguments, "", "allow|check-error",
      ("local step = %s for _ = 1, 20 do step(%s) end return allow"):format(maker, arguments) }
  end
end

local numbers = {}
for _, expression in ipairs {
  "math.mininteger // -1", "math.mininteger % -1", "math.maxinteger + 1", "math.mininteger - 1",
  "math.maxinteger * math.maxinteger", "-math.mininteger", "math.abs(math.mininteger)", "1 << 64", "1 << -64",
  "1 << math.mininteger", "1 >> math.maxinteger", "~0", "5.0 // 0", "-5 % math.huge", "5 % -math.huge", "0/0",
  "2^1024", "2^53 | 0", "'10' + 1", "'0x10' + 0", "'1e1' * 1", "' 10 ' + 0", "'10' // 1", "10 .. 20",
  "math.tointeger(3.5)", "math.tointeger('x')", "math.tointeger({})", "math.tointeger(2^63)",
  "math.floor(2^70)", "math.ceil(-2^70)", "math.floor(0/0)", "math.fmod(1, 0.0)",
    "math.fmod(math.mininteger, -1)",
  "math.ult(1, -1)", "math.max(0/0, 1)", "math.modf(1/0)", "math.modf(0/0)", "math.log(0)", "math.log(-1, 0)",
  "math.exp(1e300)", "math.sqrt(-1)", "math.type('1')", "math.type(1)", "tonumber('1e1000')",
  "tonumber('0x1p-2000')", "tonumber('0x' .. ('f'):rep(1000))", "tonumber('0x')", "tonumber('1e')",
    "tonumber('')",
  "tonumber(' ')", "tonumber('1 2')", "tonumber('1\\0')", "tonumber('inf')", "tonumber('nan')",
    "tonumber('0b1')",
  "tonumber('z', 36)", "tonumber('-zz', 36)", "tonumber('8', 8)", "tonumber('7' .. ('0'):rep(100), 8)",
  "tonumber('9223372036854775808')", "tonumber('-9223372036854775809')", "tonumber(('9'):rep(5000))",
  "tostring(0/0)", "tostring(-(0/0))", "tostring(1/0)", "tostring(2^63)", "tostring(-0.0)", "tostring(1e15)",
  "('x'):sub(math.mininteger, math.maxinteger)", "('xyz'):sub(-1, math.mininteger)",
  "('xyz'):sub(math.maxinteger)", "('xyz'):byte(math.mininteger)", "('xyz'):byte(math.maxinteger)",
  "('xyz'):find('', math.maxinteger)", "('xyz'):find('', math.mininteger)", "('xyz'):find('', 4)",
  "(''):find ''", "(''):contains ''", "(''):glob ''", "('x'):glob ''", "(''):glob '*'", "('\\0'):glob '?'",
  "('a\\0b'):contains '\\0b'", "('a\\0b'):glob 'a*b'", "('a\\0b'):starts_with 'a\\0'",
    "('a'):starts_with 'ab'",
  "('a'):ends_with 'ba'", "('\\xFF'):glob '?'", "('\\xE2\\x82'):glob '??'", "('\\u{20AC}'):glob '?'",
  "'a\\0b' < 'a\\0c'", "'a\\0' < 'a'", "('x'):rep(100, '\\0') < ('x'):rep(100, '\\1')", "'\\xFF' < '\\xFE'",
  "utf8.char(-1)", "utf8.char(0x7FFFFFFF)", "utf8.char(0x80000000)", "utf8.char(math.mininteger)",
  "utf8.char(0xD800)", "utf8.len('\\xFF')", "utf8.len('abc', 5)", "utf8.len('abc', 1, 99)",
  "utf8.len('abc', math.mininteger)", "utf8.len('abc', -3, math.maxinteger)", "utf8.codepoint('\\xFF')",
  "utf8.codepoint('abc', 1, -1)", "utf8.codepoint('abc', -1000)", "utf8.codepoint('abc', 4)",
  "utf8.offset('abc', math.maxinteger)", "utf8.offset('abc', math.mininteger)", "utf8.offset('\\x80', 1)",
  "utf8.offset('abc', 0, 99)", "utf8.codes('\\xF4\\x90\\x80\\x80')", "select('#')", "select(-1, 1, 2)",
  "select(2^31, 1)", "select(math.maxinteger, 1)", "select('x')", "next({}, nil)", "type()", "#event.list",
  "event[1]", "event[0]", "event[-1]", "event.list[0]", "event.list[4]", "event.list[1.0]", "event.list['1']",
  "event[1e300]", "event[0/0]", "event[{}]", "event[event]", "event[drop]", "event[('x'):rep(60000)]",
    "event['']",
  "event['a\\0b']", "event.__index", "event.__gc", "event.__metatable", "event.user.__index",
    "context.missing",
  "context[1]", "context[nil]", "#context", "#event", "event == event", "event == context", "event < event",
  "event .. 'x'", "event + 1", "event()", "context()", "context.now()", "drop.x", "drop[1]", "allow.x",
  "string.missing", "string[1]", "table.missing", "math.pi", "math.huge", "utf8.charpattern",
} do
  numbers[#numbers + 1] = { expression, "", "allow|refused",
    "local value = " .. expression .. " if value ~= nil then return allow end return allow" }
end

local honest = {}
for name, body in pairs {
  ["uses texts"] = [[
    local s = ("abc"):upper() .. ("%d/%s"):format(event.number, event.text)
    if s ~= "ABC7/hello" or #s ~= 10 then return drop(s) end
    return allow]],
  ["uses lists"] = [[
    local t = { 3, 1, 2 }
    table.sort(t)
    table.insert(t, 4)
    if table.concat(t, ",") ~= "1,2,3,4" then return drop end
    return allow]],
  ["makes garbage"] = "for i = 1, 500 do local _ = { ('x'):rep(100) .. i } end return allow",
  ["calls functions"] = [[
    local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end
    if f(100) ~= 100 then return drop end
    return allow]],
  ["goes through the event"] = [[
    local n = 0
    for _ in pairs(event) do n = n + 1 end
    if n < 6 then return drop("" .. n) end
    return allow]],
  ["goes through a list of the event"] = [[
    local sum = 0
    for _, value in ipairs(event.list) do sum = sum + value end
    if sum ~= 6 then return drop("" .. sum) end
    return allow]],
} do
  honest[#honest + 1] = { name, "", "allow", body, times = 200 }
end

rule_case.specs("the budgets'", {
  ["a check that never ends:"] = loops,
  ["one call of a helper:"] = calls,
  ["memory:"] = memory,
  ["the stack:"] = stack,
  ["a sort with a comparator"] = sorting,
  ["an expression that is at the edge:"] = numbers,
  ["a list that ends with the integers:"] = lists,
  ["the step of"] = iterators,
  ["an honest check, many times, that"] = honest,
}, { describe = describe, it = it, setup = setup })
