--- The admin commands as the command line knows them: every one has help, and every example in it works.
local admin = require "stream_events.command.admin"
local argparse = require "argparse"
local command = require "stream_events.command"
local convert = require "stream_events.command.convert"
local output = require "stream_events.command.output"
local manual = require "support.manual"
local tree = require "stream_events.command.admin.tree"
local words = require "stream_events.command.admin.words"

-- The words of a command line, as a shell takes them apart, up to a pipe or a comment.
local function split(line)
  local found, word, quote, at = {}, nil, nil, 1
  while at <= #line do
    local char = line:sub(at, at)
    if quote then
      if char == quote then
        quote = nil
      elseif char == "\\" and quote == '"' then
        at = at + 1
        word = word .. line:sub(at, at)
      else
        word = word .. char
      end
    elseif char == "'" or char == '"' then
      quote, word = char, word or ""
    elseif char == " " then
      if word then found[#found + 1] = word end
      word = nil
    elseif char == "|" or (char == "#" and not word) then
      return found
    else
      word = (word or "") .. char
    end
    at = at + 1
  end
  if word then found[#found + 1] = word end
  return found
end

local function new_parser()
  local parser = argparse "stream-events"
  parser:command_target "command"
  admin.add(parser, true)
  return parser
end

-- Calls visit(node, path) for every group and every command.
local function each(node, path, visit)
  visit(node, path)
  for _, child in ipairs(node.commands or {}) do each(child, path .. " " .. child.name, visit) end
end

-- Runs a command line in this process; gives the exit code, and what it wrote.
local function run_here(line)
  local streams, written = { stdout = io.stdout, stderr = io.stderr }, { stdout = {}, stderr = {} }
  for name in pairs(streams) do
    rawset(io, name, {
      write = function(self, ...)
        table.insert(written[name], table.concat { ... })
        return self
      end,
      flush = function() return true end,
    })
  end
  output.json = false
  local args = split(line)
  args[0] = "stream-events"
  local ok, code = pcall(command.run, args)
  for name, stream in pairs(streams) do rawset(io, name, stream) end
  assert(ok, code)
  return code, table.concat(written.stdout), table.concat(written.stderr)
end

describe("the admin commands", function()
  local parser = new_parser()

  each(admin.tree, "admin", function(node, path)
    it(path .. " says what it is for", function()
      assert.truthy(node.about:find "%.$", node.about)
      assert.truthy(#node.examples > 0)
      assert.is_true(node.commands ~= nil or type(node.json) == "string")
    end)

    for _, example in ipairs(node.examples) do
      it(path .. " gives an example that works: " .. example, function()
        local ok, args = parser:pparse(split("admin " .. example))
        assert.is_true(ok, args)
        local found = tree.find(admin.tree, args)
        assert.is_nil(found.check and found.check(args))
        if not node.commands then assert.equal(node, found) end
      end)
    end

    if not node.commands and not node.alone then
      it(path .. " can be run and shown", function()
        assert.is_function(node.run)
        assert.is_function(node.show)
      end)
    end
  end)
end)

describe("the manual", function()
  local parser = new_parser()
  local text = manual.read "server.md"

  it("has only lines that work", function()
    local count = 0
    for line in text:gmatch "stream%-events (admin [^\n`]+)" do
      if not line:find "^admin %u" then
        local ok, args = parser:pparse(split(line))
        assert.is_true(ok, line .. ": " .. tostring(args))
        local found = tree.find(admin.tree, args)
        assert.is_nil(found.check and found.check(args))
        count = count + 1
      end
    end
    assert.truthy(count >= 12)
  end)

  it("names every command", function()
    local section = text:match "\n## The admin command\n(.*)"
    each(admin.tree, "", function(node)
      assert.truthy(section:find("`" .. node.name, 1, true) or section:find(" " .. node.name .. "`", 1, true),
        node.name)
    end)
  end)
end)

describe("called in a way that cannot work", function()
  for _, line in ipairs {
    "", "dance", "users", "users dance", "channels members", "channel-types show", "channel-types show a/b",
    "channel-types set messaging", "channel-types set messaging word", "channel-types create lan x:={",
    "channel-types custom-events maybe messaging", "grants show a/b", "grants set messaging user",
    "grants set messaging user read-channel --none", "grants add messaging user", "roles create",
    "permissions show", "permissions set x", "permissions create x id=y", "users show a/b",
    "users create john role=user --role admin", "users set john", "users set john name=J --unset name",
    "users list --sort id:up",
    "users list --limit 101", "users list --offset -1", "users ban john --timeout soon",
    "users ban john --channel general", "users ban john --by a/b",
    "users bans a/b", "users bans --channel general", "users bans --limit 301",
    "users revoke-tokens john --yes --before yesterday",
    "users revoke-tokens john --yes --undo --before 2026-01-01T00:00:00Z", "users token",
    "channels show general", "channels create messaging:a", "channels create messaging:a --by a/b",
    "channels set messaging:a", "channels members add messaging:a", "channels members add messaging:a b/c",
    "channels grants set messaging:a user", "channels list --member a/b",
    "channels set messaging:a custom_events:=false",
    "channels create messaging:a --by b custom_events:=false",
    "channels create messaging:a --by b created_by_id=c",
    "channels create messaging:a --by b --member c members:=[]", "channels set messaging:a --unset ''",
    "users create john name=\255", "users ban john --reason \255", "users create john x:=1e999",
    "roles create " .. ("x"):rep(256), "grants add messaging user " .. ("x"):rep(256),
    "channels members role messaging:a " .. ("x"):rep(256) .. " john", "hooks show " .. ("x"):rep(256),
    "channels grants set messaging:a user !", "rate-limits --endpoints " .. ("x"):rep(256),
    "hooks add http://x/ --types ,", "hooks add ftp://x/",
    "hooks set x", "hooks set x --types a --all-types", "hooks add http://x/ --timeout 0", "app set",
    "app set x", "rate-limits --platform amiga",
  } do
    local shown = line:sub(1, 60):gsub("\255", "?")
    it("ends with 2 and says why, without asking anybody: admin " .. shown, function()
      local code, out, err = run_here("admin " .. line)
      assert.same({ 2, "" }, { code, out })
      assert.truthy(err:find("stream-events: ", 1, true), err)
      assert.is_nil(err:find("traceback", 1, true), err)
    end)
  end
end)

it("no more users are named at once than one call takes", function()
  local ids = (" u"):rep(101)
  for _, line in ipairs { "users delete", "users restore", "channels members add messaging:a" } do
    local code, _, err = run_here("admin " .. line .. ids)
    assert.equal(2, code)
    assert.truthy(err:find("101 users are named", 1, true), err)
  end
end)

describe("what takes something away", function()
  it("asks first", function()
    local asking = {}
    each(admin.tree, "", function(node, path)
      if node.confirm then asking[#asking + 1] = path:sub(2) end
    end)
    assert.same({
      "channel-types delete", "grants set", "grants reset", "roles delete", "permissions delete",
      "users deactivate", "users delete", "users revoke-tokens", "channels grants reset", "channels delete",
      "hooks remove", "app revoke-tokens",
    }, asking)
  end)
end)

describe("convert", function()
  for text, minutes in pairs {
    ["1"] = 1, ["30"] = 30, ["30m"] = 30, ["2h"] = 120, ["7d"] = 10080, ["0"] = false, ["-1"] = false,
    ["1.5h"] = false, ["h"] = false, [""] = false, ["2w"] = false, ["99999999999999999999"] = false,
    ["36500d"] = 52560000, ["36501d"] = false, ["1000000d"] = false,
  } do
    it(("takes %q for %s minutes"):format(text, tostring(minutes)), function()
      local value, message = convert.minutes(text)
      if minutes then return assert.equal(minutes, value) end
      assert.is_nil(value)
      assert.truthy(message:find("no time span", 1, true))
    end)
  end

  it("takes on and off, and nothing else", function()
    assert.is_true(convert.switch "on")
    assert.is_false(convert.switch "off")
    assert.is_nil((convert.switch "yes"))
  end)

  it("takes lists apart", function()
    assert.same({ "a", "b.c" }, convert.list "a,,b.c,")
    for _, text in ipairs { "", "," } do
      local value, message = convert.list(text)
      assert.is_nil(value)
      assert.truthy(message:find("is no list", 1, true))
    end
  end)

  it("takes whole numbers within bounds", function()
    local whole = convert.whole(1, 9, "digit")
    assert.equal(9, whole "9")
    for _, text in ipairs { "0", "10", "x", "1.0", "" } do
      local value, message = whole(text)
      assert.is_nil(value)
      assert.equal(("'%s' is no digit"):format(text), message)
    end
  end)
end)

describe("words.rows", function()
  it("puts some first, leaves some out, and has names for lists of things that have one", function()
    assert.same({ { "b", 2 }, { "a", "x, y" }, { "c", "one, two" }, { "d", { { z = 1 } } }, { "e", {} } },
      words.rows({ a = { "x", "y" }, b = 2, c = { { name = "one" }, { name = "two" } }, d = { { z = 1 } },
        e = {}, f = 3 }, { f = true }, { "b", "missing" }))
  end)
end)
