--- The manual's chapter on rules: every file in it works as printed, and what it says about codes,
-- defaults and the order of a decision is what the code does.
local command = require "support.command"
local core = require "stream_events.core"
local folder = require "support.folder"
local lua = require "support.lua"
local luv = require "luv"
local manual = require "support.manual"
local native = require "stream_events.native"
local options = require "stream_events.options"
local process = require "support.process"
local rules = require "stream_events.rules"

local ROOT = debug.getinfo(1, "S").source:match "^@(.*)spec/rules_manual_spec%.lua$" or ""

local function read(path)
  local file = assert(io.open(ROOT .. path))
  local text = file:read "*a"
  file:close()
  return text
end

local COMMAND = luv.fs_realpath(command.COMMAND)
local CHAPTER = manual.read "rules.md"

local function section(title)
  return assert((CHAPTER .. "\n## "):match("\n##+ " .. title .. "\n(.-)\n## "), "no section " .. title)
end

--- The first two columns of the table in a section.
local function rows(text)
  local found = {}
  for first, second in text:gmatch "\n| `([^`|]+)` | ([^|]+) |" do found[#found + 1] = { first, second } end
  return found
end

-- Rule files begin with a comment that names them, programs with one that says so.
local files, programs, included = {}, {}, {}
for _, block in ipairs(manual.blocks("rules.md", "lua")) do
  local name, text = manual.rule_file(block), block.text
  if name then
    files[#files + 1] = { name = name, text = text }
    files[name] = text
    for other in text:gmatch 'include "([^"]+)"' do included[other] = true end
  elseif not block.by_hand then
    programs[#programs + 1] = text
  end
end

local function load_file(name)
  return rules.parse(files[name], { name = name, read = function(other)
    if files[other] then return files[other] end
    return nil, "no such file"
  end })
end

local function engine_of(name)
  local set = assert(load_file(name))
  local engine = core.rules {}
  engine:use(set.core)
  return engine
end

--- An event of a user in a channel.
local function event_of(type, user, data)
  data.type, data.cid, data.channel_type, data.channel_id = type, "messaging:a", "messaging", "a"
  data.user = { id = user, role = "user" }
  return native.json.encode(data)
end

describe("the manual's chapter on rules", function()
  it("has ten worked files, one to start with, and a list that one of them includes", function()
    assert.equal(12, #files)
    assert.same({ ["blocklist.lua"] = true }, included)
    local _, worked = section("Ten worked rules"):gsub("\n### ", "")
    assert.equal(10, worked)
    assert.equal(3, #programs)
  end)

  for _, file in ipairs(files) do
    if not included[file.name] then
      it("has a file " .. file.name .. " whose examples hold", function()
        local set, err = load_file(file.name)
        assert(set, err and err.message)
        assert.same({}, set.problems)
        local seen = { allow = 0, drop = 0 }
        for _, result in ipairs(set:test()) do
          assert.is_true(result.ok, ("%s %s %s: %s %s"):format(result.rule, result.kind, result.index,
            result.verdict, result.text or ""))
          seen[result.kind] = seen[result.kind] + 1
        end
        assert.is_true(seen.allow > 0 and seen.drop > 0, "an example of each kind")
        -- Each says what it fails for: an example that fails for another reason shows nothing.
        local _, reasons = file.text:gsub("reason = ", "")
        assert.equal(seen.drop, reasons)
      end)
    end
  end

  it("has a block list with nothing but names", function()
    for _, name in ipairs(assert(lua.load(files["blocklist.lua"]))()) do
      assert.equal("string", type(name))
    end
  end)

  it("has programs that are Lua, and a table of rules that works", function()
    local ran
    for _, text in ipairs(programs) do
      local chunk = assert(lua.load(text))
      if text:find("rules.new", 1, true) then
        chunk()
        ran = true
      end
    end
    assert.is_true(ran)
  end)

  describe("says the truth about", function()
    it("a rate: the sixth friend request of a minute is dropped, another sender's is not", function()
      local engine = engine_of "friend_request.lua"
      local function ask(user, now)
        local text = event_of("friend_request", user, { to = "ben" })
        local verdict, decision = engine:decide(text, { now = now })
        return decision and decision.reason or verdict
      end
      for _ = 1, 5 do assert.equal("allow", ask("ann", 1000)) end
      assert.equal("rate", ask("ann", 1000))
      assert.equal("allow", ask("eve", 1000))
      assert.equal("allow", ask("ann", 1012))
      assert.equal("rate", ask("ann", 1012))
    end)

    it("a honeypot: nothing else of its sender passes, for as long as it says", function()
      local engine = engine_of "honeypot.lua"
      local function ask(type, user, now)
        local verdict, decision = engine:decide(event_of(type, user, type == "wave" and { at = "ben" } or {}),
          { now = now })
        return decision and decision.reason or verdict
      end
      assert.equal("allow", ask("wave", "mallory", 1000))
      assert.equal("honeypot", ask("grant_admin", "mallory", 1000))
      assert.equal("honeypot", ask("debug_dump", "trudy", 1000))
      assert.equal("marked", ask("wave", "mallory", 1001))
      assert.equal("marked", ask("wave", "trudy", 1599))
      assert.equal("allow", ask("wave", "ann", 1001))
      assert.equal("allow", ask("wave", "trudy", 1601))
      assert.equal("marked", ask("wave", "mallory", 87399))
      assert.equal("allow", ask("wave", "mallory", 87401))
    end)

    it("audit: a rule in that mode delivers what it would drop, and says so", function()
      local engine = engine_of "emotes.lua"
      local verdict, decision = engine:decide(event_of("sticker", "ann", { name = "../../secret" }))
      assert.equal("allow", verdict)
      assert.equal("drop", decision.judged)
      assert.equal("field-value", decision.reason)
      assert.equal(1, engine:counts().sticker.audit["field-value"])
      assert.equal("drop", (engine:decide(event_of("emote", "ann", { name = "" }))))
    end)

    it("a rewrite: whole numbers on the map, and nothing that was not asked for", function()
      local engine = engine_of "position.lua"
      local verdict, decision = engine:decide(event_of("position", "ann", { x = -5.5, y = 1e9, junk = 1 }))
      assert.equal("rewrite", verdict)
      local event = assert(core.event.new(decision.changed))
      assert.equal(0, event.x)
      assert.equal(479, event.y)
      assert.is_nil(event.junk)
      assert.equal("ann", event.user.id)
    end)

    it("a shared list: its names are part of the file's hash", function()
      local first = assert(load_file "guestbook.lua").hash
      local kept = files["blocklist.lua"]
      files["blocklist.lua"] = kept:gsub("trudy", "oscar")
      local second = assert(load_file "guestbook.lua").hash
      files["blocklist.lua"] = kept
      assert.equal(12, #first)
      assert.are_not.equal(first, second)
    end)
  end)

  it("explains every reason code, and no other", function()
    local codes, explained = {}, {}
    for code in read "csrc/rule_verdict.c":gmatch "%[SE_REASON_[%u_]+%] = \"([%l-]+)\"" do
      codes[#codes + 1] = code
    end
    for _, row in ipairs(rows(section "Reason codes")) do explained[#explained + 1] = row[1] end
    assert.is_true(#codes >= 23)
    assert.same(codes, explained)
  end)

  it("names every verdict", function()
    for _, word in ipairs { "allow", "drop", "flag", "rewrite", "quarantine" } do
      assert.truthy(section("Verdicts"):find("\n| `" .. word, 1, true), word)
    end
  end)

  it("has the defaults of the settings", function()
    local limits = options.check({ api_key = "x" }, 1).limits
    local told = {}
    for _, row in ipairs(rows(section "Limits and settings")) do told[row[1]] = tonumber(row[2]) end
    for name, value in pairs(told) do assert.equal(limits[name], value, name) end
    for name in pairs(limits) do
      if name:find "^rule_" then assert.truthy(told[name], name) end
    end
    assert.equal(64, told.quarantine)
  end)

  it("has the bounds that are fixed", function()
    local header = read "csrc/rule_memory.h"
    for name, value in pairs { BUCKETS = 65536, MARKS = 65536, COUNTS = 65536, KEY = 512 } do
      assert.equal(value, tonumber(header:match("SE_MEMORY_" .. name .. " (%d+)")), name)
      assert.truthy(section("Limits and settings"):find(value, 1, true), name)
    end
    assert.equal(240, tonumber(read("csrc/rule_verdict.h"):match "SE_RULE_TEXT (%d+)"))
  end)

  it("has the order in which a decision is made", function()
    local set = assert(rules.parse([[
      event "all" {
        trust = "user", from = { user = "ann" }, size = 1000, fields = { x = integer },
        rate = { count = 1, seconds = 1 }, check = function() return allow end,
        rewrite = function() return { x = 2 } end, flag = true,
      }
    ]], { name = "all.lua" }))
    local engine = core.rules {}
    engine:use(set.core)
    local _, decision = engine:decide(event_of("all", "ann", { x = 1 }), { trace = true })
    local told, made, seen = {}, {}, {}
    for word in section("Order of a decision"):gmatch "\n%d+%. %*%*(%w+)" do
      told[#told + 1] = word:lower()
    end
    for _, step in ipairs(decision.steps) do
      if not seen[step.step] then made[#made + 1] = step.step end
      seen[step.step] = true
    end
    assert.equal(10, #told)
    assert.same({ "type", "trust", "marks", "from", "size", "fields", "rate", "check", "rewrite",
      "quarantine" }, told)
    local at = 0
    for _, step in ipairs(made) do
      for i, word in ipairs(told) do
        if word == step or word == step .. "s" or step == "flag" and word == "quarantine" then
          assert.is_true(i >= at, step .. " comes too late")
          at = i
        end
      end
    end
    assert.is_true(at >= 9, "steps: " .. table.concat(made, " "))
  end)

  it("shows commands that work", function()
    local ran = {}
    for _, text in ipairs(manual.texts("rules.md", "")) do
      local here = folder.new()
      here:write("log.jsonl", event_of("noise", "ann", {}) .. "\n")
      if not text:find("rules new", 1, true) then
        here:write("rules.lua", 'refuse "noise"')
        here:write("new.lua", 'refuse "noise"')
      end
      for line in text:gmatch "[^\n]+" do
        local words = {}
        for word in line:gsub("%s+#.*", ""):gmatch "%S+" do words[#words + 1] = word end
        if words[1] == "stream-events" and words[2] == "rules" then
          local child = process.run(COMMAND, { lua.unpack(words, 2) }, nil, here.path)
          assert.equal(0, child.code, line .. "\n" .. child.stderr)
          ran[words[3]] = true
        end
      end
      here:remove()
    end
    assert.same({ new = true, check = true, explain = true, replay = true }, ran)
  end)

  it("links only to sections that exist", function()
    local anchors = {}
    for title in CHAPTER:gmatch "\n##+ ([^\n]+)" do
      anchors[title:lower():gsub("[^%w %-]", ""):gsub(" ", "-")] = true
    end
    local count = 0
    for anchor in CHAPTER:gmatch "%]%(#([^)]+)%)" do
      assert.is_true(anchors[anchor], anchor)
      count = count + 1
    end
    assert.is_true(count > 8)
  end)
end)
