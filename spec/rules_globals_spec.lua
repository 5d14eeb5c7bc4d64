--- Unknown names in rule files, found without running them.
local globals = require "stream_events.rules.globals"
local lexer = require "stream_events.rules.lexer"
local lua = require "support.lua"

-- "LINE MESSAGE [SUGGESTION]" of each finding.
local function findings(text, step)
  local list = {}
  for i, each in ipairs(globals.check(text, step)) do
    list[i] = ("%d %s"):format(each.line, each.message)
    if each.suggestion then list[i] = ("%s [%s]"):format(list[i], each.suggestion) end
  end
  return list
end

describe("the names in a rule file", function()
  for name, text in pairs {
    ["statements and constructors"] = [[
      default "drop" mode "audit" refuse { "a" } honeypot "b" { seconds = 1 }
      event "x" { fields = { a = string { max = 1 }, b = optional(one_of { 1 }), c = any, d = number,
        e = integer, f = boolean, g = array { items = any }, h = object {} },
        from = { user = none_of "x" } }
      local list = include "other.lua"]],
    ["verdicts in a check"] = [[event "x" { check = function(event, context)
      if event.text == "a" then return drop "x" elseif event.b then return quarantine end
      if context.marked(event.user.id, "y") then context.mark("z", "y", 5) end
      return context.count("a", 1, 60) > 5 and flag or context.now > 0 and rewrite { a = 1 } or allow end }]],
    ["libraries"] = [[local n = math.floor(1.5) + math.max(1, 2) + string.len("x") + #table.concat({})
      local s = string.upper("x"):sub(1, 2):rep(3) local t = utf8 and utf8.len("x")
      for i, v in ipairs({}) do table.insert({}, v) end for k in pairs {} do local _ = k end
      assert(select("#", 1) == 1) local q = tostring(tonumber("1")) error("x") local y = type(next({}))]],
    ["locals of every kind"] = [[local a, b = 1, 2 local function f(x, ...) return f(x, a, ...) end
      for i = a, b do local c = i end for k, v in next, {} do local d = k .. v end
      repeat local e = a until e > b while a < b do local g = a end
      do local h = f(1) end
      local o = { m = 1 } function o.f(x) return x end function o:g(x) return self.m + x end
      local const <const> = 5 local z <close> = nil goto done ::done:: a = const; a, b = b, a;
      o.x = 1 o[a].y.z = b]],
    ["operators, numbers and strings"] = [==[
      local a = 0x1p4 + 1e-5 + .5 + 3. + 0xA.8 // 2 ~ 1 | 2 & 3 << 4 >> 5 ~= ~6
      local b = "a\"b" .. 'c\'d' .. [[long
      ]] .. [=[ ]] ]=] .. "\z
         x" .. "line\
      two" -- comment with unknown names: foo bar
      --[[ and foo
      bar ]] --[=[ ]] foo ]=]
      local c = not -a == #b and (a)(b){c = 1}"x":y() [1] or function(...) return ... end]==],
    ["a name that Lua 5.1 allows"] = [[local goto = 1 goto = 2 local x = goto + 1]],
    ["a field called like a global of Lua"] = [[
      local t = { print = 1, os = 2 } local x = t.print + t.os.time]],
    ["a local that shadows a library"] = [[local string = { gsub = 1 } local x = string.gsub]],
    ["a method that the file makes itself"] = [[
      local t = {} function t:match() return 1 end local x = t:match()]],
    ["an own function as a context"] = [[local function f(context) return context.anything end
      event "x" { other = function(a, context) return context.whatever end }]],
    ["nothing"] = "",
    ["only a comment"] = "-- nothing",
    ["a long comment at the end"] = "--[[ x ]]",
    ["carriage returns"] = "local a = 1\r\nlocal b = a\r\n",
  } do
    it("are all known: " .. name, function()
      assert.same({}, findings(text))
    end)
  end

  for name, case in pairs {
    ["a misspelt statement"] = { '\nevnt "x" {}', "2 unknown name 'evnt' [event]" },
    ["a misspelt constructor"] = { "event 'x' { fields = {\n a = strng } }",
      "2 unknown name 'strng' [string]" },
    ["a misspelt verdict"] = { "event 'x' { check = function() return alow end }",
      "1 unknown name 'alow' [allow]" },
    ["something else"] = { "local x = whatever", "1 unknown name 'whatever'" },
    ["a function of Lua's"] = { "print(1)", "1 'print' is not available in rules" },
    ["pcall"] = { "local ok = pcall(error)", "1 'pcall' is not available in rules" },
    ["a library of Lua's"] = { "local t = os.time()", "1 'os' is not available in rules" },
    ["the environment"] = { "local e = _ENV", "1 '_ENV' is not available in rules" },
    ["unpack"] = { "local a = unpack({})", "1 'unpack' is not available in rules [table.unpack]" },
    ["a function of a library"] = { "local a = string.lenn",
      "1 'string.lenn' is not available in rules [len]" },
    ["patterns"] = { "\nlocal a = string.gmatch('a', 'b')", "2 'string.gmatch' is not available in rules" },
    ["randomness"] = { "local a = math.random(1)", "1 'math.random' is not available in rules" },
    ["a misspelt function of a library"] = { "local a = table.conct({})",
      "1 'table.conct' is not available in rules [concat]" },
    ["a method with patterns"] = { "local a = ('x')\nlocal b = a:gsub('a', 'b')",
      "2 strings have no method 'gsub' in rules: there are starts_with, ends_with, contains, glob and a find "
        .. "without patterns" },
    ["a global that is set"] = { "\n\nlimit = 5 local x = limit",
      "3 'limit' is no local variable, and rules set no globals: make it local [local limit]" },
    ["a known global that is set"] = { "string = 5",
      "1 'string' is no local variable, and rules set no globals: make it local [local string]" },
    ["a global function"] = { "function check() end",
      "1 'check' is no local variable, and rules set no globals: make it local [local check]" },
    ["one of several that are set"] = { "local a a, b = 1, 2",
      "1 'b' is no local variable, and rules set no globals: make it local [local b]" },
    ["a field of an unknown name"] = { "foo.bar = 1", "1 unknown name 'foo'" },
    ["a method of an unknown name"] = { "function foo:bar() end", "1 unknown name 'foo'" },
    ["a local outside of its block"] = { "do local a = 1 end local b = a", "1 unknown name 'a'" },
    ["a local before it is there"] = { "local a = a", "1 unknown name 'a'" },
    ["a loop's name behind it"] = { "for i = 1, 2 do end local b = i", "1 unknown name 'i'" },
    ["a parameter outside of its function"] = { "local function f(x) end local b = x", "1 unknown name 'x'" },
    ["a shadowed name is itself again"] = { "do local string = {} end local x = string.gsub",
      "1 'string.gsub' is not available in rules" },
    ["a misspelt key of the context"] = {
      "event 'x' { check = function(event, context)\n return context.is_marked('a') end }",
      "2 unknown key 'is_marked' of the context [marked]" },
    ["the context under another name, in a rewrite"] = {
      "event 'x' { rewrite = function(e, c) local x = function() return c.nwo end end }",
      "1 unknown key 'nwo' of the context" },
    ["a method call of the context"] = {
      "event 'x' { check = function(event, context) return context:marked('a', 'b') end }",
      "1 'context:marked' hands over the context itself [context.marked]" },
    ["each name once"] = { "local a = foo\nlocal b = foo", "1 unknown name 'foo'" },
    ["the line behind long strings"] = { "local a = [[\n\n]] local b = foo", "3 unknown name 'foo'" },
    ["the line behind escaped line breaks"] = { "local a = 'x\\\ny\\z\n\n z' local b = foo",
      "4 unknown name 'foo'" },
    ["the line with CR LF"] = { "local a = 1\r\n\r\nlocal b = foo", "3 unknown name 'foo'" },
    ["the line behind a long comment"] = { "--[==[\n\n]] ]==] local b = foo", "3 unknown name 'foo'" },
  } do
    it("that are unknown: " .. name, function()
      assert.same({ case[2] }, findings(case[1]))
    end)
  end

  it("that are unknown are all found, in order", function()
    assert.same({
      "1 unknown name 'strng' [string]", "2 'print' is not available in rules",
      "3 'x' is no local variable, and rules set no globals: make it local [local x]",
    }, findings("local a = strng\nprint(a)\nx = 1"))
  end)

  it("of a text that is no Lua are left to the compiler", function()
    for _, text in ipairs {
      "foo bar", "local = 1 foo()", "foo(", "foo = {", "foo = 'abc", "foo = [[abc", "--[[ foo", "foo = 1 +",
      "if foo then", "foo = function(", "for foo", "repeat foo()", "foo() end", "return foo }", "\0foo",
        "foo = @",
      "foo = 'a\nb'", "local function 5", "goto", "::", "foo:", "foo.", "foo[", "local a <", "{", "}", ")",
        "=",
      "...", "foo,", "foo, bar", "a.b:c = 1", "\255\254", "elseif", "foo = 1 then",
    } do
      if not lua.load(text) then assert.same({}, findings(text), text) end
    end
  end)

  it("are given up on when nested too deep, without harm", function()
    for _, pair in ipairs {
      { "(", ")" }, { "{", "}" }, { "function() return ", " end" }, { "f(", ")" }, { "a[", "]" }, { "-", "" },
      { "f{g=", "}" },
    } do
      local text = "local x = foo + " .. pair[1]:rep(100000) .. "1" .. pair[2]:rep(100000)
      local result = findings(text)
      assert.is_true(#result <= 2)
    end
    assert.same({}, findings(("do "):rep(100000) .. "foo()" .. (" end"):rep(100000)))
    assert.same({}, findings(("if foo then "):rep(50000)))
  end)

  it("are found as deep as Lua itself reads", function()
    local text = "local x = " .. ("{"):rep(150) .. "foo" .. ("}"):rep(150)
    assert.truthy(lua.load(text))
    assert.same({ "1 unknown name 'foo'" }, findings(text))
  end)

  it("are read in turns", function()
    local turns = 0
    local text = ("local a = { 1, 2, 3 }\n"):rep(1000)
    assert.same({}, findings(text, function() turns = turns + 1 end))
    assert.is_true(turns > 20, tostring(turns))
  end)

  it("do not depend on how the text is cut short: every beginning of one ends", function()
    local text = [[event "x" { fields = { a = string { max = 0x1F } }, check = function(e, c) -- y
      local t <const>, u = e.text, [==[ x ]==] for i = 1,
        2 do if t then return c.now else goto z end ::z:: end
      repeat local q = u .. 'a\'' until q return allow end }]]
    assert.same({}, findings(text))
    for i = 0, #text do findings(text:sub(1, i)) end
    for i = 1, #text do findings(text:sub(i)) end
  end)

  it("survive rubbish", function()
    local state = 12345
    local function random(n)
      state = (state * 1103515245 + 12345) % 2147483648
      return math.floor(state / 65536) % n
    end
    local pieces = { "event", " ", "{", "}", "(", ")", "function", "end", "if", "then", "local", "=", ",",
      "a", "'x'",
      "[[", "]]", "--", "\n", "::", ":", ".", "...", "for", "in", "do", "repeat", "until", "\\", "\"", "1",
        "+", "not",
      "goto", "<", "return", ";", "\255", "\0", "[", "]" }
    for _ = 1, 500 do
      local list = {}
      for i = 1, random(60) do list[i] = pieces[random(#pieces) + 1] end
      globals.check(table.concat(list, random(2) == 0 and " " or ""))
    end
  end)
end)

describe("tokens", function()
  local function all(text)
    local tokens, list = lexer.new(text), {}
    repeat
      tokens:next()
      list[#list + 1] = tokens.kind .. ":" .. tokens.value .. ":" .. tokens.first
    until tokens.kind == "eof" or tokens.kind == "bad"
    return table.concat(list, " ")
  end

  for text, expected in pairs {
    [""] = "eof::1",
    ["a.b"] = "name:a:1 op:.:1 name:b:1 eof::1",
    ["a..1 .5"] = "name:a:1 op:..:1 number:1:1 number:.5:1 eof::1",
    ["...=="] = "op:...:1 op:==:1 eof::1",
    ["x\n'y'\n[=[\n]] ]=] z"] = "name:x:1 string:y:2 string:\n]] :3 name:z:4 eof::4",
    ["0x1p-3 1e+5 12LL"] = "number:0x1p-3:1 number:1e+5:1 number:12LL:1 eof::1",
    ["[a]"] = "op:[:1 name:a:1 op:]:1 eof::1",
    ["a\r\n\n\rb"] = "name:a:1 name:b:3 eof::3",
    ["'abc"] = "bad::1",
    ["a ? b"] = "name:a:1 bad::1",
    ["[==[ x"] = "op:[:1 op:==:1 op:[:1 name:x:1 eof::1",
    ["--"] = "eof::1",
    ["--[[ x"] = "bad::1",
    ["'\\"] = "bad::1",
  } do
    it(("of %q"):format(text), function()
      assert.equal(expected, all(text))
    end)
  end
end)

describe("the words of a rule file", function()
  local words = require "stream_events.rules.words"
  local core = require "stream_events.core"

  -- Whether the rule state itself knows a name.
  local function is_there(name)
    local state = assert(core.rule_state {})
    local statements, kind, message = state:load("x", ("local x = %s"):format(name), {
      functions = {}, fields = {},
    })
    if statements then return true end
    assert.equal("argument", kind)
    assert.truthy(message:find("unknown name", 1, true), message)
    return false
  end

  -- What one might think is there: what is said to be, and what Lua has.
  local function candidates(known, ...)
    local names = {}
    for name in pairs(known) do names[name] = true end
    for i = 1, select("#", ...) do
      for name in pairs((select(i, ...))) do
        if type(name) == "string" and name:find("^[%a_][%w_]*$") then names[name] = true end
      end
    end
    return names
  end

  it("are those that the rule state has", function()
    for name in pairs(candidates(words.GLOBALS, words.MISSING, _G)) do
      if name ~= "_ENV" then assert.equal(words.GLOBALS[name] or false, is_there(name), name) end
    end
  end)

  for library, known in pairs(words.LIBRARIES) do
    it("are those that the rule state has in " .. library, function()
      for name in pairs(candidates(known, words.REMOVED, _G[library] or {})) do
        assert.equal(known[name] or false, is_there(library .. "." .. name), library .. "." .. name)
      end
    end)
  end

  it("are those that the context has", function()
    local rules = require "stream_events.rules"
    for name in pairs(words.CONTEXT) do
      local set = assert(rules.parse(([[event "x" { fields = {}, check = function(event, context)
        assert(context.%s ~= nil) return allow end }]]):format(name)))
      local judge = core.rules()
      judge:use(set.core)
      local verdict, decision = judge:decide('{"type":"x","cid":"messaging:a","user":{"id":"bob"}}')
      assert.equal("allow", verdict, name .. ": " .. tostring(decision and decision.text))
    end
  end)
end)
