--- The command's subcommands about rules, run as people run them.
local command = require "support.command"
local folders = require "support.folder"
local native = require "stream_events.native"
local process = require "support.process"

local RULES = [[
default "drop"
event "flare" { fields = { x = integer { min = 0, max = 100 } } }
event "note" { fields = { text = string { max = 10 } }, extra = "strip" }
event "odd" { fields = {}, flag = "look at it" }
event "shout" {
  fields = { text = string },
  rewrite = function(event) return { text = event.text .. "!" } end,
}
event "strange" { fields = {}, quarantine = "a person should see it" }
event "once" { rate = { count = 1, seconds = 60 }, fields = {} }
event "mine" { trust = "self", fields = {} }
event "reset" { trust = "server", fields = {} }
event "endless" { fields = {}, check = function() while true do end end }
refuse "noise"
honeypot "trap"
]]

local server_env -- of a server that a `describe` below starts
local folder

local function run(args, input, env)
  return command.run(args, env, input)
end

local function lines(text)
  local result = {}
  for line in text:gmatch("([^\n]*)\n") do result[#result + 1] = line end
  return result
end

local function decoded(text)
  local result = {}
  for i, line in ipairs(lines(text)) do result[i] = assert(native.json.decode(line)) end
  return result
end

local function event(fields)
  local members = { cid = "messaging:general", user = { id = "ann", role = "user" } }
  for name, value in pairs(fields) do members[name] = value end
  return (assert(native.json.encode(members)))
end

describe("the command rules", function()
  setup(function() command.need_build() end)
  teardown(process.end_all)
  before_each(function() folder = folders.new() end)
  after_each(function() folder:remove() end)

  for _, name in ipairs { "", "new", "check", "test", "explain", "replay" } do
    it("explains itself with examples: " .. (name == "" and "rules" or name), function()
      local child = run(name == "" and { "rules", "--help" } or { "rules", name, "--help" })
      assert.equal(0, child.code)
      assert.truthy(child.stdout:find("Examples:\n.*\n[^\n]*stream%-events rules " .. name)
        or child.stdout:find("Examples:\n[^\n]*stream%-events rules " .. name), child.stdout)
      for _, line in ipairs(lines(child.stdout)) do assert.truthy(#line <= 110, line) end
    end)
  end

  describe("called in a way that cannot work", function()
    for name, args in pairs {
      ["without a subcommand"] = {},
      ["with an unknown one"] = { "dance" },
      ["check without a file"] = { "check" },
      ["check of what is not there"] = { "check", "none.lua" },
      ["check of a folder"] = { "check", "/" },
      ["test of what is not there"] = { "test", "none.lua" },
      ["test with cases that are not there"] = { "test", "RULES", "none.lua" },
      ["test in a format that is none"] = { "test", "RULES", "--format", "html" },
      ["test in two formats"] = { "test", "RULES", "--format", "tap", "--json" },
      ["explain of what is not there"] = { "explain", "none.lua" },
      ["explain of events that are not there"] = { "explain", "RULES", "none.jsonl" },
      ["explain of a folder"] = { "explain", "RULES", "/" },
      ["explain in a direction that is none"] = { "explain", "RULES", "--direction", "up" },
      ["replay of one file"] = { "replay", "RULES", "RULES" },
      ["replay of a log that is not there"] = { "replay", "RULES", "RULES", "none.jsonl" },
      ["replay against what is not there"] = { "replay", "RULES", "none.lua", "-" },
      ["new in a folder that is not there"] = { "new", "/nonexistent/rules.lua" },
      ["new where a file is"] = { "new", "RULES" },
    } do
      it(name .. " says what is wrong and ends with 2", function()
        local path = folder:write("rules.lua", RULES)
        local words = { "rules" }
        for i, word in ipairs(args) do words[i + 1] = word == "RULES" and path or word end
        local child = run(words)
        assert.equal(2, child.code, child.stdout)
        assert.equal("", child.stdout)
        local says = args[#args] == "--json" and '{"error":' or "stream-events: "
        assert.truthy(child.stderr:find(says, 1, true), child.stderr)
        assert.is_nil(child.stderr:find("stack traceback", 1, true))
        assert.equal(RULES, folder:read "rules.lua")
      end)
    end

    it("says what was meant, in one line", function()
      local child = run { "rules", "chekc", "rules.lua" }
      assert.matches("\nstream%-events: unknown command 'chekc': did you mean 'check'%?\n$", child.stderr)
    end)

    it("says it in JSON to programs", function()
      for _, args in ipairs {
        { "rules", "chekc", "rules.lua", "--json" }, { "rules", "check", folder:at "none.lua", "--json" },
        { "rules", "explain", folder:at "none.lua", "/", "--json" }, { "rules", "check", "", "--json" },
      } do
        local child = run(args)
        assert.same({ 2, "" }, { child.code, child.stdout })
        local answers = decoded(child.stderr)
        assert.same({ 1, "usage", "string" },
          { #answers, answers[1].error.kind, type(answers[1].error.message) })
      end
    end)

    it("says how to make the file that is not there", function()
      local child = run { "rules", "check", folder:at "none.lua" }
      assert.truthy(child.stderr:find(command.COMMAND .. " rules new " .. folder:at "none.lua", 1, true))
    end)
  end)

  describe("new", function()
    it("makes a file that is fine, and says what comes next; all of that works", function()
      local path = folder:at "my.lua"
      local child = run { "rules", "new", path }
      assert.equal(0, child.code)
      assert.equal("wrote " .. path .. "\n", child.stdout)
      local checked = run { "rules", "check", path, "--strict" }
      assert.equal(0, checked.code, checked.stdout)
      local count = 0
      for words in child.stderr:gmatch("%d%. ([^\n]* rules [^\n]*)") do
        local shell = process.run("sh", { "-c", words })
        assert.equal(0, shell.code, words .. "\n" .. shell.stdout .. shell.stderr)
        count = count + 1
      end
      assert.equal(3, count)
      assert.truthy(child.stderr:find("listen", 1, true))
    end)

    it("writes the same to standard output", function()
      local child = run { "rules", "new" }
      assert.equal(0, child.code)
      run { "rules", "new", folder:at "my.lua" }
      assert.equal(folder:read "my.lua", child.stdout)
    end)

    it("speaks JSON", function()
      local child = run { "rules", "new", "--json" }
      local answer = decoded(child.stdout)[1]
      assert.equal(run({ "rules", "new" }).stdout, answer.text)
      assert.truthy(#answer.next >= 3)
      assert.equal("", child.stderr)
    end)
  end)

  describe("check", function()
    -- Each: the file, the line that is to blame, words that must be said.
    for name, case in pairs {
      ["what is no Lua"] = { "event 'x' {\n", 2, "" },
      ["an unknown statement"] = { "\nevnet 'x' {}\n", 2, "event" },
      ["an unknown key"] = { "event 'x' {\n  feilds = {},\n}\n", 1, "fields" },
      ["a type declared twice"] = { "event 'x' {}\nevent 'x' {}\n", 2, "x" },
      ["a rule that no event can reach"] =
        { "event 'x' { trust = 'server', from = { role = 'admin' } }\n", 1, "" },
      ["an example that does not hold"] =
        { "event 'x' { fields = {}, examples = { drop = { {} } } }\n", 1, "drop" },
    } do
      it("finds " .. name, function()
        local path = folder:write("rules.lua", case[1])
        local child = run { "rules", "check", path }
        assert.equal(1, child.code)
        local found = child.stdout:match("^(%d+): [^\n]+\n", #path + 2)
        assert.equal(path, child.stdout:sub(1, #path))
        assert.truthy(tonumber(found), child.stdout)
        assert.truthy(child.stdout:find(case[3], 1, true), child.stdout)
        assert.truthy(child.stdout:find("\n" .. path .. ": 1 problem", 1, true), child.stdout)

        child = run { "rules", "check", path, "--json" }
        assert.equal(1, child.code)
        local answer = decoded(child.stdout)[1]
        assert.is_false(answer.ok)
        assert.same({ "error", path, tonumber(found) },
          { answer.problems[1].severity, answer.problems[1].file, answer.problems[1].line })
        assert.equal("", child.stderr)
      end)
    end

    it("is content with what is right, and says what comes next", function()
      local path = folder:write("rules.lua", RULES)
      local child = run { "rules", "check", path }
      assert.equal(0, child.code, child.stdout)
      assert.truthy(child.stdout:find(path .. " is fine: 11 rules", 1, true), child.stdout)
      assert.truthy(child.stdout:find(command.COMMAND .. " rules test " .. path, 1, true))
      local answer = decoded(run({ "rules", "check", path, "--json" }).stdout)[1]
      assert.same({ true, "drop", "enforce", {} },
        { answer.ok, answer.default, answer.mode, answer.problems })
    end)

    it("comes back with an event that the examples allow", function()
      local example = [[event "%s" { fields = { n = integer }, trust = %s,
        examples = { allow = { { n = 1, user = "it's me" } }, drop = { { n = "" } } } }
      ]]
      local path = folder:write("rules.lua", example:format("first", '"self"')
        .. example:format("second_*", '{ "user", "self" }'))
      local text, command_line = run({ "rules", "check", path }).stdout:match("\n  echo ('.-') | ([^\n]*)\n")
      local line = "echo " .. text .. " | " .. command_line .. " --json"
      local answer = decoded(process.run("sh", { "-c", line }).stdout)[1]
      assert.same({ "second_example", "allow" }, { answer.type, answer.verdict })
      assert.matches('^.{"type":"second_example","cid":"messaging:general","user":{.*},"n":1}.$', text)
    end)

    it("finds what a file includes", function()
      folder:write("list.lua", "return { 'noise',\n 5 + }")
      local path = folder:write("rules.lua", 'refuse(include "list.lua")')
      local child = run { "rules", "check", path }
      assert.equal(1, child.code)
      assert.truthy(child.stdout:find("list.lua:2: ", 1, true), child.stdout)
    end)

    it("counts warnings as mistakes only when told", function()
      local path = folder:write("rules.lua", 'event "x" { trust = "user" }')
      local child = run { "rules", "check", path }
      assert.equal(0, child.code)
      assert.truthy(child.stdout:find("rules.lua:1: warning: ", 1, true), child.stdout)
      assert.equal(1, run({ "rules", "check", path, "--strict" }).code)
    end)

    it("prints nothing of a hostile file to a terminal as it stands", function()
      local path = folder:write("rules.lua", 'event "x\27[2J" {}\nevnet\27[0m "y" {}')
      local child = run({ "rules", "check", path }, nil, { TERM = "xterm" })
      assert.equal(1, child.code)
      assert.is_nil(child.stdout:find("\27", 1, true))
    end)
  end)

  describe("test", function()
    local SPEC = [==[
return {
  { name = "a <good> & \"fine\" one", event = { type = "flare", x = 1 }, verdict = "allow" },
  { name = "too far # or not", event = { type = "flare", x = 101 }, verdict = "drop",
    reason = "field-range" },
  { name = "a flag is an allow", event = { type = "odd" }, verdict = "allow" },
  { name = "a flag is a flag", event = { type = "odd" }, verdict = "flag" },
  { name = "strips", event = { type = "note", text = "hi", more = 1 }, verdict = "allow",
    becomes = { text = "hi" } },
  { name = "rewrites", event = { type = "shout", text = "hi" }, verdict = "rewrite",
    becomes = { text = "hi!" } },
  { name = "keeps aside", event = { type = "strange" }, verdict = "quarantine" },
  { name = "once a minute", events = { { type = "once" }, { type = "once" }, { type = "once" } },
    at = { 0, 1, 61 }, verdict = { "allow", "drop", "allow" } },
  { name = "for each", events = { { type = "once", user = "a" }, { type = "once", user = "b" } },
    verdict = "allow" },
  { name = "a trap", events = { { type = "trap" }, { type = "flare", x = 1 } }, verdict = "drop",
    reason = "marked" },
  { name = "as text", event = [[{"type":"flare","x":1e2}]], verdict = "drop", reason = "field-type" },
  { name = "no event", event = "hello", verdict = "drop", reason = "malformed" },
  { name = "from a backend", event = { type = "reset", trust = "server" }, verdict = "allow" },
  { name = "from others", event = { type = "mine", trust = "user" }, verdict = "drop", reason = "trust" },
}
]==]

    before_each(function()
      folder:write("rules.lua", RULES .. "event 'ex' { fields = {}, examples = { allow = { {} } } }")
      folder:write("spec.lua", SPEC)
    end)

    local function test(...)
      return run { "rules", "test", folder:at "rules.lua", ... }
    end

    it("reports examples and cases as TAP", function()
      local child = test(folder:at "spec.lua")
      assert.equal(0, child.code, child.stdout)
      local report = lines(child.stdout)
      assert.equal("TAP version 13", report[1])
      assert.equal("1..15", report[2])
      assert.matches("^ok 1 %- ex: allow", report[3])
      assert.equal('ok 2 - a <good> & "fine" one', report[4])
      assert.equal("ok 3 - too far \\# or not", report[5])
    end)

    it("reports what fails, why, and ends with 1", function()
      folder:write("spec.lua", [[return {
        { name = "one", event = { type = "flare", x = 101 }, verdict = "allow" },
        { name = "two", event = { type = "flare", x = 101 }, verdict = "drop", reason = "rate" },
        { name = "three", event = { type = "note", text = "hi", more = 1 }, verdict = "allow",
          becomes = { more = 1 } },
        { events = { { type = "once" }, { type = "once" } }, verdict = { "drop", "drop" } },
      }]])
      local child = test(folder:at "spec.lua")
      assert.equal(1, child.code)
      for _, words in ipairs {
        "not ok 2 - one\n  ---\n  message: \"expected allow, found drop\"", '  reason: "field-range"',
        "not ok 3 - two", "expected the reason rate, found field-range", "not ok 4 - three", "`becomes`",
        "not ok 5 - case 4", "event 1: expected drop, found allow", "# 1 passed, 4 failed",
      } do
        assert.truthy(child.stdout:find(words, 1, true), words .. "\n" .. child.stdout)
      end
      child = test(folder:at "spec.lua", "--json")
      assert.equal(1, child.code)
      local results = decoded(child.stdout)
      assert.same({ "one", false, "drop", "field-range" },
        { results[2].name, results[2].ok, results[2].verdict, results[2].reason })
      assert.same({ passed = 1, failed = 4, ok = false }, results[6])
    end)

    it("reports as JUnit", function()
      local child = test(folder:at "spec.lua", "--format", "junit")
      assert.equal(0, child.code)
      assert.truthy(child.stdout:find('<testsuite name="[^"]*rules.lua" tests="15" failures="0" errors="0">'))
      assert.truthy(child.stdout:find('name="a &lt;good&gt; &amp; &quot;fine&quot; one"', 1, true))
      folder:write("spec.lua", 'return { { event = { type = "noise" }, verdict = "allow" } }')
      child = test(folder:at "spec.lua", "--format", "junit")
      assert.equal(1, child.code)
      local failure = '<failure type="drop (refused)" message="expected allow, found drop">'
      assert.truthy(child.stdout:find(failure, 1, true), child.stdout)
    end)

    it("tells of examples that do not hold", function()
      folder:write("rules.lua",
        'event "x" { fields = {}, examples = { allow = { { y = 1 } }, drop = { {} } } }')
      local child = test()
      assert.equal(1, child.code)
      assert.truthy(child.stdout:find("not ok 1 - x: allow", 1, true), child.stdout)
      assert.truthy(child.stdout:find("not ok 2 - x: drop", 1, true), child.stdout)
    end)

    it("of a file with mistakes bails out", function()
      folder:write("rules.lua", "evnet 'x' {}")
      local child = test()
      assert.equal(1, child.code)
      assert.truthy(child.stdout:find("Bail out!", 1, true))
      assert.truthy(child.stdout:find("rules.lua:1: ", 1, true))
      child = test("--format", "junit")
      assert.equal(1, child.code)
      assert.truthy(child.stdout:find("<error ", 1, true))
      child = test("--json")
      assert.equal(1, child.code)
      assert.is_false(decoded(child.stdout)[1].ok)
    end)

    for name, text in pairs {
      ["no Lua"] = "return {", ["nothing"] = "", ["no list"] = "return 5", ["no case"] = "return {}",
      ["bytecode"] = string.dump(function() return {} end),
      ["a call of a function"] = "return { { event = {}, verdict = 'allow', x = os.time() } }",
      ["an unknown key"] = "return { { evnet = {}, verdict = 'allow' } }",
      ["no event"] = "return { { verdict = 'allow' } }",
      ["no verdict"] = "return { { event = { type = 'x' } } }",
      ["an unknown verdict"] = "return { { event = { type = 'x' }, verdict = 'alow' } }",
      ["a loop without an end"] = "while true do end",
      ["too few verdicts"] = "return { { events = { {}, {} }, verdict = { 'allow' } } }",
      ["a time that is none"] = "return { { event = {}, verdict = 'allow', at = -1 } }",
      ["an event that is none"] = "return { { event = 5, verdict = 'allow' } }",
      ["an event without a type"] = "return { { event = {}, verdict = 'allow' } }",
    } do
      it("refuses a spec that holds " .. name, function()
        local child = test(folder:write("spec.lua", text))
        assert.equal(2, child.code, child.stdout)
        assert.equal("", child.stdout)
        assert.truthy(child.stderr:find("spec.lua", 1, true), child.stderr)
        assert.is_nil(child.stderr:find("traceback", 1, true))
      end)
    end
  end)

  describe("explain", function()
    -- Each: the line; type, verdict, rule, reason.
    local null = native.json.null
    local CASES = {
      { event { type = "flare", x = 1 }, "flare", "allow" },
      { event { type = "flare", x = 101 }, "flare", "drop", "flare", "field-range" },
      { event { type = "flare" }, "flare", "drop", "flare", "field-missing" },
      { event { type = "note", text = "hi", more = 1 }, "note", "allow", "note" },
      { event { type = "shout", text = "hi" }, "shout", "rewrite", "shout" },
      { event { type = "odd" }, "odd", "allow", "odd" },
      { event { type = "strange" }, "strange", "quarantine", "strange" },
      { event { type = "other" }, "other", "drop", null, "undeclared-type" },
      { event { type = "noise" }, "noise", "drop", "noise", "refused" },
      { event { type = "mine" }, "mine", "drop", "mine", "trust" },
      { event { type = "mine", user = { id = "bob" } }, "mine", "allow" },
      { '{"type":"reset","user":{"id":"bob"}}', "reset", "allow" },
      { event { type = "connection.changed" }, "connection.changed", "drop", null, "reserved-type" },
      { event { type = "message.new" }, "message.new", "allow" },
      { "hello", null, "drop", null, "malformed" },
      { "", null, "drop", null, "malformed" },
      { "[]", null, "drop", null, "malformed" },
      { '{"type":"flare","type":"noise"}', null, "drop", null, "malformed" },
      { '{"type":"\255"}', null, "drop", null, "malformed" },
      { '{"type":"flare"\0}', null, "drop", null, "malformed" },
      { '{"type":"note","text":"' .. ("x"):rep(1048576) .. '"}', null, "drop", null, "malformed" },
      { event { type = "trap", user = { id = "eve" } }, "trap", "drop", "trap", "honeypot" },
      { event { type = "flare", x = 1, user = { id = "eve" } }, "flare", "drop", null, "marked" },
    }

    local function explain(input, ...)
      return run({ "rules", "explain", folder:write("rules.lua", RULES), ... }, input)
    end

    local function all_lines()
      local texts = {}
      for i, case in ipairs(CASES) do texts[i] = case[1] end
      return table.concat(texts, "\n")
    end

    it("judges each line, whatever it is, in JSON", function()
      local child = explain(all_lines(), "-", "--json", "--self", "bob")
      assert.equal(0, child.code, child.stderr)
      assert.equal("", child.stderr)
      local answers = lines(child.stdout)
      assert.equal(#CASES, #answers)
      for i, case in ipairs(CASES) do
        assert.matches('^{"line":' .. i .. ',"type":[^{}]-,"verdict":"%l+","rule":[^{}]-,"reason":[^{}]-,'
          .. '"text":".-"[,}]', answers[i])
        local answer = native.json.decode(answers[i])
        assert.equal(case[2], answer.type)
        assert.equal(case[3], answer.verdict, answers[i])
        if case[4] and case[5] ~= "marked" then assert.equal(case[4], answer.rule, answers[i]) end
        if case[5] then assert.equal(case[5], answer.reason) end
        assert.is_table(answer.steps)
        assert.matches("^%x+$", answer.hash)
      end
      local odd = native.json.decode(answers[6])
      assert.same({ true, "look at it" }, { odd.flagged, odd.text })
      assert.equal("hi", native.json.decode(answers[4]).changed.text)
      assert.equal("hi!", native.json.decode(answers[5]).changed.text)
      assert.is_nil(native.json.decode(answers[4]).changed.more)
    end)

    it("shows the steps to people, and the numbers at the end", function()
      local child = explain(event { type = "flare", x = 101 } .. "\n" .. event { type = "flare", x = 1 })
      assert.equal(0, child.code)
      assert.equal("line 1: flare -> drop (field-range, rule flare): ", child.stdout:match("^.-%): "))
      assert.truthy(child.stdout:find("\n  fields ", 1, true))
      assert.truthy(child.stdout:find("\n  cost ", 1, true))
      assert.truthy(child.stdout:find("line 2: flare -> allow", 1, true))
      assert.equal("2 lines: 1 allow, 1 drop\n", child.stderr)
    end)

    it("says what functions cost, and when a budget ended them", function()
      local child = explain(event { type = "endless" }, "--json")
      local answer = decoded(child.stdout)[1]
      assert.matches("^budget%-", answer.reason)
      assert.truthy(answer.instructions > 0 and answer.microseconds > 0)
    end)

    it("takes the time from the events, and else a second a line", function()
      local function verdicts(...)
        local texts = { ... }
        local result = {}
        for i, answer in ipairs(decoded(explain(table.concat(texts, "\n"), "--json").stdout)) do
          result[i] = answer.verdict
        end
        return result
      end
      local once = event { type = "once" }
      assert.same({ "allow", "drop" }, verdicts(once, once))
      assert.same({ "allow", "drop", "allow" }, verdicts(
        event { type = "once", created_at = "2026-03-01T10:00:00Z" },
        event { type = "once", created_at = "2026-03-01T10:00:10Z" },
        event { type = "once", created_at = "2026-03-01T10:01:11Z" }))
      assert.same({ "allow", "allow" }, verdicts(
        event { type = "once", created_at = "2026-03-01T10:00:00Z", received_at = 1000 },
        event { type = "once", created_at = "2026-03-01T10:00:00Z", received_at = 1070.5 }))
      assert.same({ "allow", "drop" }, verdicts(
        event { type = "once", received_at = 1e300 }, event { type = "once", received_at = -5 }))
    end)

    it("judges what is sent as others will see it", function()
      local child = explain(event { type = "mine" } .. "\n" .. event { type = "reset" }, "--direction", "out",
        "--json")
      local answers = decoded(child.stdout)
      assert.same({ "allow", "drop", "trust" }, { answers[1].verdict, answers[2].verdict, answers[2].reason })
    end)

    it("reads a file, with any end of line, and none at the end", function()
      local path = folder:write("log.jsonl",
        event { type = "flare", x = 1 } .. "\r\n" .. event { type = "flare", x = 2 })
      local child = explain(nil, path, "--json")
      assert.equal(0, child.code)
      assert.equal(2, #decoded(child.stdout))
      child = explain(nil, folder:write("log.jsonl", ""), "--json")
      assert.same({ 0, "" }, { child.code, child.stdout })
    end)

    it("writes nothing that steers a terminal, nor colours into a pipe", function()
      local child = explain(event { type = "x\u{9b}2J\u{202E}", text = "\27[2J" } .. "\nhello\27[2J\n")
      assert.equal(0, child.code)
      assert.is_nil(child.stdout:find("[^\n -~]"), child.stdout)
    end)

    it("does not judge by rules with mistakes", function()
      folder:write("bad.lua", "evnet 'x' {}")
      local child = run({ "rules", "explain", folder:at "bad.lua" }, "{}\n")
      assert.same({ 1, "" }, { child.code, child.stdout })
      assert.truthy(child.stderr:find("bad.lua:1: ", 1, true), child.stderr)
      child = run({ "rules", "explain", folder:at "bad.lua", "--json" }, "{}\n")
      assert.equal(1, child.code)
      assert.equal(1, decoded(child.stderr)[1].error.problems[1].line)
    end)

    it("answers a line before the next one comes", function()
      local pipe = folder:at "pipe"
      assert.equal(0, process.run("mkfifo", { pipe }).code)
      local child = command.start { "rules", "explain", folder:write("rules.lua", RULES), pipe, "--json" }
      local writer = process.start("sh", { "-c", 'exec >"$1"; echo "$2"; exec sleep 1000', "sh", pipe,
        event { type = "flare", x = 1 } })
      child:wait_for("stdout", '"line":1,')
      child:kill "sigint"
      assert.not_equal(0, child:finish())
      assert.is_nil(child.stderr:find("traceback", 1, true), child.stderr)
      writer:kill "sigkill"
      writer:finish()
    end)
  end)

  describe("replay", function()
    local LOG = table.concat({
      event { type = "flare", x = 1 }, event { type = "flare", x = 101 }, "hello",
      event { type = "note", text = "hi", more = 1 }, event { type = "other" },
    }, "\n")

    local function replay(new, ...)
      return run({
        "rules", "replay", folder:write("old.lua", RULES), folder:write("new.lua", new), "-", ...,
      }, LOG)
    end

    it("finds no difference between the same", function()
      local child = replay(RULES .. "\n-- the same")
      assert.same({ 0, "5 lines, no difference\n" }, { child.code, child.stdout })
    end)

    it("takes data that a function made for the same in any order", function()
      local rules = [[event "*" { extra = "keep", rewrite = function(event)
        return { a = 1, b = 2, c = 3, d = 4, e = { f = 5, g = 6, h = { 1, 2 } }, i = 7, j = 8 }
      end }]]
      folder:write("old.lua", rules)
      folder:write("new.lua", rules)
      for _ = 1, 5 do
        local child = run({ "rules", "replay", folder:at "old.lua", folder:at "new.lua", "-" }, LOG)
        assert.same({ 0, "5 lines, no difference\n" }, { child.code, child.stdout })
      end
      folder:write("new.lua", (rules:gsub("1, 2 }", "1, 2, 3 }")))
      assert.equal(1, run({ "rules", "replay", folder:at "old.lua", folder:at "new.lua", "-" }, LOG).code)
    end)

    it("shows each difference, and ends with 1", function()
      local new = RULES:gsub("max = 100 ", "max = 101 "):gsub('extra = "strip"', 'extra = "keep"')
        :gsub("default \"drop\"", 'default "allow"')
      local child = replay(new)
      assert.equal(1, child.code)
      local report = lines(child.stdout)
      assert.equal(4, #report, child.stdout)
      assert.matches("^line 2: flare: drop %(field%-range, rule flare%).* %-> allow", report[1])
      assert.matches("^line 4: note: allow .* %-> allow.*; becomes nothing else instead of ", report[2])
      assert.matches("^line 5: other: drop %(undeclared%-type%).* %-> allow", report[3])
      assert.equal("5 lines, 3 differences", report[4])

      child = replay(new, "--json")
      assert.equal(1, child.code)
      local answers = decoded(child.stdout)
      assert.same({ 2, "flare", "drop", "field-range", "allow", "flare" }, {
        answers[1].line, answers[1].type, answers[1].old.verdict, answers[1].old.reason,
        answers[1].new.verdict, answers[1].new.rule,
      })
      assert.same({ 5, 3 }, { answers[4].lines, answers[4].differences })
      assert.not_equal(answers[4].old_hash, answers[4].new_hash)
    end)

    it("needs two files without mistakes", function()
      local child = replay "evnet 'x' {}"
      assert.same({ 1, "" }, { child.code, child.stdout })
      assert.truthy(child.stderr:find("new.lua:1: ", 1, true))
    end)
  end)

  describe("on a server:", function()
    setup(function()
      local _, url = command.serve()
      server_env = { STREAM_BASE_URL = url }
    end)

    local function send(cid, ...)
      local child = run({ "send", cid, ... }, nil, server_env)
      assert.equal(0, child.code, child.stderr)
    end

    local function listen(...)
      local listener = command.start({ "listen", ... }, server_env)
      listener:wait_for("stderr", "listening for ")
      return listener
    end

    local function finish(listener)
      listener:kill "sigint"
      assert.equal(0, listener:finish())
    end

    it("listen --rules shows what is dropped, and why", function()
      local path = folder:write("rules.lua", RULES)
      local plain = listen("messaging:a", "--as", "thierry", "--rules", path)
      local json = listen("messaging:a", "--as", "thierry", "--rules", path, "--json")
      send("messaging:a", "flare", "x:=101", "--as", "tommaso")
      send("messaging:a", "odd", "--as", "tommaso")
      send("messaging:a", "shout", "text=hi", "--as", "tommaso")
      send("messaging:a", "strange", "--as", "tommaso")
      send("messaging:a", "x\u{202E}y", "--as", "tommaso")
      plain:wait_for("stdout", "u202e")
      local shown = lines(plain.stdout)
      assert.matches("^%d%d:%d%d:%d%d%.%d%d%d messaging:a dropped flare from tommaso: "
        .. "field%-range %(flare%): .*100", shown[1])
      assert.matches("^%d%d:.* odd tommaso {} %[flag.*look at it%]$", shown[2])
      assert.matches('^%d%d:.* shout tommaso {"text":"hi!"} %[rewrite', shown[3])
      assert.matches("^%d%d:.* messaging:a quarantined strange from tommaso: ", shown[4])
      assert.matches("^%d%d:.* messaging:a dropped x\\u202ey from tommaso: undeclared%-type", shown[5])
      json:wait_for("stdout", "undeclared")
      local answers = decoded(json.stdout)
      assert.same({ "flare", "drop", "field-range", "flare", "tommaso", "user" }, {
        answers[1].dropped.type, answers[1].dropped.verdict, answers[1].dropped.reason,
        answers[1].dropped.rule, answers[1].dropped.user.id, answers[1].dropped.trust,
      })
      assert.same({ "flag", "look at it" }, { answers[2].verdict.verdict, answers[2].verdict.text })
      assert.same({ "rewrite", { text = "hi!" } }, { answers[3].verdict.verdict, answers[3].data })
      assert.equal("quarantine", answers[4].dropped.verdict)
      finish(plain)
      finish(json)
    end)

    it("listen --rules shows of the others nothing that was not asked for, but lets them count", function()
      local listener = listen("messaging:b", "--as", "thierry", "--type", "flare", "--rules",
        folder:write("rules.lua", RULES))
      send("messaging:b", "noise", "--as", "tommaso")
      send("messaging:b", "trap", "--as", "tommaso")
      send("messaging:b", "flare", "x:=1", "--as", "tommaso")
      listener:wait_for("stdout", "messaging:b dropped flare from tommaso: marked")
      finish(listener)
      assert.equal(1, #lines(listener.stdout))
    end)

    it("listen --rules reads the file again when it changes, and keeps the old when it is wrong", function()
      local path = folder:write("rules.lua", RULES)
      local listener = listen("messaging:c", "--as", "thierry", "--rules", path)
      folder:write("rules.lua", "evnet 'x' {}")
      listener:wait_for("stderr", "rules were not reloaded.*rules.lua")
      send("messaging:c", "noise", "--as", "tommaso")
      listener:wait_for("stdout", "dropped noise from tommaso: refused")
      folder:write("rules.lua", "event 'noise' { fields = {} }")
      listener:wait_for("stderr", "rules were reloaded")
      send("messaging:c", "noise", "--as", "tommaso")
      listener:wait_for("stdout", "messaging:c noise tommaso {}\n")
      finish(listener)
    end)

    it("listen --rules does not begin with a file that is wrong", function()
      for text, code in pairs { ["evnet 'x' {}"] = 1, ["event 'x' { examples = { drop = { {} } } }"] = 1 } do
        local child = run({ "listen", "--as", "thierry", "--rules", folder:write("rules.lua", text) }, nil,
          server_env)
        assert.same({ code, "" }, { child.code, child.stdout })
        assert.truthy(child.stderr:find("rules.lua:1: ", 1, true), child.stderr)
      end
      local child = run({ "listen", "--as", "thierry", "--rules", folder:at "none.lua" }, nil, server_env)
      assert.same({ 2, "" }, { child.code, child.stdout })
    end)

    it("listen --record writes what arrived, also what rules drop, for explain and replay", function()
      local log = folder:at "log.jsonl"
      local rules = folder:write("rules.lua", RULES)
      local listener = listen("messaging:d", "--as", "thierry", "--rules", rules, "--record", log,
        "--type", "nothing")
      send("messaging:d", "flare", "x:=1", "--as", "tommaso")
      send("messaging:d", "other", "n:=9007199254740993", "--as", "tommaso")
      send("messaging:d", "mine", "--as", "thierry")
      folder:wait_for("log.jsonl", '"mine"')
      finish(listener)
      assert.equal("", listener.stdout)
      local recorded = lines(folder:read "log.jsonl")
      assert.equal(3, #recorded)
      assert.truthy(recorded[2]:find('"n":9007199254740993', 1, true))
      for _, line in ipairs(recorded) do assert.matches('"received_at":%d+%.%d+}$', line) end

      local child = run { "rules", "explain", rules, log, "--self", "thierry", "--json" }
      local answers = decoded(child.stdout)
      local verdicts = {}
      for i, answer in ipairs(answers) do verdicts[i] = answer.verdict end
      assert.same({ "allow", "drop", "allow" }, verdicts)
      child = run { "rules", "replay", rules, folder:write("new.lua", 'default "allow"'), log, "--self",
        "thierry" }
      assert.equal(1, child.code)
      assert.truthy(child.stdout:find("line 2: other: drop (undeclared-type)", 1, true), child.stdout)

      listener = listen("messaging:d", "--as", "thierry", "--record", log)
      send("messaging:d", "again", "--as", "tommaso")
      listener:wait_for("stdout", "again")
      finish(listener)
      assert.equal(4, #lines(folder:read "log.jsonl"))
    end)

    it("listen --record says that there is no place for the log", function()
      local child = run({ "listen", "--as", "thierry", "--record", "/nonexistent/log.jsonl" }, nil,
        server_env)
      assert.same({ 2, "" }, { child.code, child.stdout })
    end)

    it("listen --record ends when the log cannot grow", function()
      local listener = listen("messaging:e", "--as", "thierry", "--record", "/dev/full")
      send("messaging:e", "hello", "--as", "tommaso")
      assert.equal(1, listener:finish())
      assert.truthy(listener.stderr:find("/dev/full", 1, true), listener.stderr)
    end)

    describe("serve --rules", function()
      it("refuses for everybody, and reads the file again when it changes or on SIGHUP", function()
        local path = folder:write("rules.lua", "event 'flare' { fields = {} }")
        local own, url = command.serve { "--rules", path }
        local env = { STREAM_BASE_URL = url }
        local function sent(...) return run({ "send", "messaging:a", ... }, nil, env) end
        assert.equal(0, sent("flare", "--as", "tommaso").code)
        local child = sent("other", "--as", "tommaso", "--json")
        assert.equal(1, child.code)
        local err = native.json.decode(child.stderr).error
        assert.same({ 17, 403, "undeclared-type" }, { err.code, err.status, err.reason })
        assert.truthy(err.hint:find("rules", 1, true), err.hint)

        folder:write("rules.lua", "evnet 'x' {}")
        own:wait_for("stderr", "rules were not reloaded")
        assert.equal(0, sent("flare", "--as", "tommaso").code)
        folder:write("rules.lua", "event 'other' { fields = {} }")
        own:wait_for("stderr", "rules were reloaded")
        assert.equal(0, sent("other", "--as", "tommaso").code)
        assert.equal(1, sent("flare", "--as", "tommaso").code)
        own:kill "sighup"
        own:wait_for("stderr", "rules were reloaded.*rules were reloaded")
        own:kill "sigterm"
        assert.equal(0, own:finish())
      end)

      for name, case in pairs {
        ["mistakes"] = { "evnet 'x' {}", 1, "rules.lua:1: " },
        ["examples that do not hold"] = { "event 'x' { examples = { drop = { {} } } }", 1, "rules.lua:1: " },
        ["nothing at all: it is not there"] = { nil, 2, "rules new" },
      } do
        it("does not start with a file that holds " .. name, function()
          if case[1] then folder:write("rules.lua", case[1]) end
          local child = run { "serve", "--port", "0", "--data", ":memory:", "--rules", folder:at "rules.lua" }
          assert.same({ case[2], "" }, { child.code, child.stdout })
          assert.truthy(child.stderr:find(case[3], 1, true), child.stderr)
        end)
      end
    end)
  end)
end)
