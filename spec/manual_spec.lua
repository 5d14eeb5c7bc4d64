--- The README and the manual: every block of code in them runs as printed, every link leads somewhere, and
-- what the chapters say about codes and kinds is complete. What single programs do is told by specs of their
-- own.
local command = require "support.command"
local luv = require "luv"
local manual = require "support.manual"
local native = require "stream_events.native"
local process = require "support.process"
local rules = require "stream_events.rules"
local shells = require "support.manual_shell"
local stream_events = require "stream_events"

local ROOT = command.ROOT

-- Settings of other programs: the spec that has them read by those.
local SETTINGS = {
  nginx = "server_proxy_spec", caddy = "server_proxy_spec", ini = "manual_spec", yaml = "manual_spec",
}

-- What stands for something of the reader's own, by chapter.
local PLACEHOLDERS = {
  ["server.md"] = {
    ["/var/backups/"] = "", KEY = "devkey",
    SERVER_TOKEN = require("stream_events.token").server "lan-dev-secret", ['"..."'] = '"lan-dev-secret"',
    ["/etc/stream-events/rules.lua"] = "rules.lua",
  },
}

-- Who is there before the first line of a chapter.
local PEOPLE = { "jane", "eve", "john" }
local OTHERS = { ["server.md"] = { "jane", "eve" } } -- john is made there

local function people(shell, chapter)
  local client = stream_events.new {
    api_key = "devkey", secret = "lan-dev-secret", base_url = shell.base_url,
  }
  local users, ids = {}, OTHERS[chapter] or PEOPLE
  for i, id in ipairs(ids) do users[i] = { id = id } end
  assert(client:upsert_users(users))
  assert(client:channel("messaging", "general", { members = ids, created_by_id = "jane" }):create())
  assert(client:add_event_hook {
    id = "5f3a9c1e-7a39-4d0b-9a55-1f0c7ad1c001", webhook_url = "http://127.0.0.1:9/",
  })
  client:close()
end

local function with_placeholders(chapter, text)
  for word, own in pairs(PLACEHOLDERS[chapter] or {}) do
    text = text:gsub("%f[%w/\"]" .. word:gsub("%p", "%%%0") .. (word:find "%w$" and "%f[%W]" or ""),
      (own:gsub("%%", "%%%%")))
  end
  return text
end

local function succeeds(child)
  assert.equal(0, child.code, child.stderr .. "\n" .. child.stdout)
end

local function compiles(text)
  local ok, message = load(text, "=block")
  assert.truthy(ok, message)
end

local check = {}

function check.lua(shell, block, chapter)
  local text = with_placeholders(chapter, block.text)
  if block.by_hand then return compiles(text) end
  if manual.rule_file(block) then
    local set, err = rules.parse(text, { name = manual.rule_file(block), read = function(name)
      for _, other in ipairs(manual.blocks(chapter, "lua")) do
        if manual.rule_file(other) == name then return other.text end
      end
    end })
    assert(set, err and err.message)
    return assert(set:check())
  end
  if text:find "^%-%- /etc/stream%-events/settings%.lua" then
    shell:write("settings.lua", text)
    return succeeds(shell:run "stream-events serve --print-config --config settings.lua")
  end
  local child = shell:program(text)
  succeeds(child)
  local printed = child.stdout:gsub("%s+", " ")
  for expected in text:gmatch "%-%->%s*([^\n]+)" do
    assert.truthy(printed:find(expected, 1, true), expected .. " is not in: " .. printed)
  end
end

function check.sh(shell, block, chapter)
  if block.by_hand then return succeeds(process.run("sh", { "-n", "-c", block.text })) end
  shell:fill()
  succeeds(shell:run(with_placeholders(chapter, block.text)))
end

check[""] = function(shell, block, chapter)
  -- Without a language it is what a shell takes; the README also shows a call and a rule file so.
  local first = block.text:match "^%S+"
  if first == "event" then return assert(rules.parse(block.text)) end
  if first:find "^%a+:%a" then return check.lua(shell, block, chapter) end
  return check.sh(shell, block, chapter)
end

function check.c(_, block)
  local flags = io.popen "pkg-config --cflags lua5.4":read "l"
  local compiler = "cc -x c -fsyntax-only -Icsrc " .. flags .. " -"
  succeeds(process.run("sh", { "-c", compiler }, { LD_PRELOAD = false }, nil, block.text))
end

function check.json(_, block)
  assert(native.json.decode(block.text))
end

function check.text() end

function check.ini(_, block)
  for line in block.text:gmatch "[^\n]+" do
    assert.truthy(line:find "^#" or line:find "^%[%a+%]$" or line:find "^%u%a+=", line)
  end
end

function check.yaml(_, block)
  for line in block.text:gmatch "[^\n]+" do
    assert.truthy(line:find "^[%s-]*[%w_]+:" or line:find "^%s*#" or line:find "^%s*%- ", line)
  end
end

local function run(shell, block, chapter)
  local way = check[block.language]
  if way then return way(shell, block, chapter) end
  assert(SETTINGS[block.language], "a block in a language that nobody tries: " .. block.language)
end

for _, chapter in ipairs(manual.chapters()) do
  local blocks = manual.blocks(chapter)
  describe(chapter, function()
    local shell

    setup(function()
      if not blocks[1] then return end
      shell = shells.new()
      people(shell, chapter)
    end)

    teardown(function()
      if shell then shell:close() end
      process.end_all()
    end)

    for _, block in ipairs(blocks) do
      it(("has code that works at line %d (%s)"):format(block.line, block.language), function()
        run(shell, block, chapter)
      end)
    end

    it("has no code but in fences", function()
      local fenced, before = false, ""
      for line in manual.read(chapter):gmatch "([^\n]*)\n" do
        if line:find "^%s*```" then fenced = not fenced end
        if not fenced and before == "" then assert.is_nil(line:find "^    +[^%s]", line) end
        before = line
      end
    end)

    it("links to what there is", function()
      local folder = chapter == "README.md" and "" or "lua/stream_events/doc/"
      local function anchors(text)
        local found = {}
        for title in ("\n" .. text):gmatch "\n#+ ([^\n]+)" do
          found[title:lower():gsub("[^%w %-]", ""):gsub(" ", "-")] = true
        end
        return found
      end
      local text = manual.read(chapter)
      local prose = text:gsub("\n *```.-\n *```", "")
      for target in prose:gmatch "%]%(([^)%s]+)%)" do
        local path, anchor = target:match "^([^#]*)#?(.*)$"
        if not path:find "^https?:" then
          local linked = text
          if path ~= "" then
            assert.is_table(luv.fs_stat(ROOT .. folder .. path), target)
            if anchor ~= "" then linked = manual.read(path) end
          end
          if anchor ~= "" then assert.is_true(anchors(linked)[anchor], target) end
        end
      end
    end)
  end)
end

describe("the manual", function()
  it("has an index that names every chapter", function()
    local index = manual.read "index.md"
    for _, chapter in ipairs(manual.chapters()) do
      local named = index:find("(" .. chapter .. ")", 1, true)
      assert.truthy(named or chapter == "README.md" or chapter == "index.md", chapter)
    end
  end)

  it("has settings that a spec has read", function()
    for language, spec in pairs(SETTINGS) do
      local file = assert(io.open(ROOT .. "spec/" .. spec .. ".lua"))
      local text = file:read "a"
      file:close()
      assert.truthy(text:find(('manual.block "%s"'):format(language), 1, true)
        or text:find(("function check.%s("):format(language), 1, true), language)
    end
  end)

  local trouble = manual.read "troubleshooting.md"
  local function rows(title)
    local section = assert((trouble .. "\n## "):match("\n## " .. title .. "\n(.-)\n## "), title)
    local found = {}
    for first, rest in section:gmatch "\n| ([^|]+) |([^\n]*)" do found[first] = rest end
    return found
  end

  it("explains every kind of error", function()
    local file = assert(io.open(ROOT .. "lua/stream_events/error.lua"))
    local kinds = file:read("a"):match "alias stream_events.ErrorKind\n(.-)\nlocal"
    file:close()
    local told, count = rows "Kinds", 0
    for kind in kinds:gmatch '| "(%a+)"' do
      assert.truthy(told["`" .. kind .. "`"], kind)
      count = count + 1
    end
    assert.equal(8, count)
  end)

  it("explains every code of the service, with the kind that it has", function()
    local errors = require "stream_events.error"
    local told = rows "Codes"
    for _, code in ipairs {
      -1, 2, 3, 4, 5, 6, 9, 16, 17, 18, 19, 20, 21, 22, 23, 24, 40, 41, 42, 43, 44, 45, 46,
      60, 69, 70, 71, 73, 99,
    } do
      local row = assert(told[tostring(code)], code)
      local status = tonumber(row:match "^ (%d+)")
      local err = errors.from_envelope({ code = code, message = "x", StatusCode = status }, status)
      assert.equal(err.kind, row:match "`(%a+)`", code)
      told[tostring(code)] = nil
    end
    for first in pairs(told) do assert.is_nil(tonumber(first), first) end
  end)
end)
