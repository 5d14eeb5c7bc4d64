--- What the command reads and writes line by line: logs of events.
local folders = require "support.folder"
local judge = require "stream_events.command.rules.judge"
local lines = require "stream_events.command.lines"
local native = require "stream_events.native"
local spec = require "stream_events.command.rules.spec"

local LONGEST = lines.LONGEST

describe("lines", function()
  local folder
  before_each(function() folder = folders.new() end)
  after_each(function() folder:remove() end)

  local function read(text)
    local source = assert(lines.open(folder:write("log", text)))
    local result = {}
    local line, message = source:next()
    while line ~= nil do
      result[#result + 1] = line
      assert.equal(#result, source.number)
      line, message = source:next()
    end
    assert.is_nil(message)
    source:close()
    return result
  end

  for name, case in pairs {
    ["nothing"] = { "", {} },
    ["one without an end"] = { "a", { "a" } },
    ["one with an end"] = { "a\n", { "a" } },
    ["empty ones"] = { "\n\na\n\n", { "", "", "a", "" } },
    ["bytes of every kind"] = { "\0\255\r\n\0", { "\0\255\r", "\0" } },
    ["the longest"] = { ("x"):rep(LONGEST) .. "\nb", { ("x"):rep(LONGEST), "b" } },
    ["longer ones, and goes on"] =
      { ("x"):rep(LONGEST + 1) .. "\nb\n" .. ("y"):rep(3 * LONGEST), { false, "b", false } },
    ["ends where pieces of the file do"] = {
      ("x"):rep(65535) .. "\n" .. ("y"):rep(65536) .. "\nz",
      { ("x"):rep(65535), ("y"):rep(65536), "z" },
    },
  } do
    it("reads " .. name, function() assert.same(case[2], read(case[1])) end)
  end

  it("keeps no more than a line in memory", function()
    local file = assert(io.open(folder:at "large", "wb"))
    for _ = 1, 64 do file:write(("x"):rep(LONGEST)) end
    file:close()
    local source = assert(lines.open(folder:at "large"))
    collectgarbage()
    local before = collectgarbage "count"
    assert.is_false(source:next())
    collectgarbage()
    assert.truthy(collectgarbage "count" - before < 1024)
    source:close()
  end)

  it("says what cannot be read", function()
    local none, message = lines.open(folder:at "none")
    assert.is_nil(none)
    assert.matches("none", message, 1, true)
    none, message = lines.open(folder.path)
    assert.is_nil(none)
    assert.matches("folder", message, 1, true)
  end)
end)

describe("a recorded event", function()
  for name, case in pairs {
    ["has the time behind what arrived"] =
      { '{"type":"x","n":9007199254740993}', '{"type":"x","n":9007199254740993,"received_at":12.500000}' },
    ["is one line"] =
      { '{"type":"x",\r\n"a":[1,\n2] }\n', '{"type":"x",  "a":[1, 2] ,"received_at":12.500000}' },
    ["has no other such time"] =
      { '{"type":"x","received_at":"no","a":1.0}', '{"type":"x","a":1.0,"received_at":12.500000}' },
    ["not even in disguise"] =
      { '{"type":"x","received\\u005fat":5,"a\\"b":1}', '{"type":"x","a\\"b":1,"received_at":12.500000}' },
    ["keeps that of others inside"] = {
      '{"type":"x","a":{"received_at":5.0}}', '{"type":"x","a":{"received_at":5.0},"received_at":12.500000}',
    },
  } do
    it(name, function()
      local line = judge.recorded(case[1], 12.5)
      assert.equal(case[2], line)
      assert.truthy(native.event.new(line))
    end)
  end

  it("is judged as it arrived: without the time", function()
    local rules = require "stream_events.rules"
    local text = '{"type":"x","cid":"messaging:general","user":{"id":"ann"}}'
    for most, verdict in pairs { [#text] = "allow", [#text - 1] = "drop" } do
      local decide = judge.new(assert(rules.parse(('event "x" { size = %d, fields = {} }'):format(most))), {})
      assert.equal(verdict, decide(judge.recorded(text, 12.5), 1).verdict)
    end
  end)
end)

describe("expected data", function()
  for name, case in pairs {
    ["part of an object"] = { { a = 1 }, { a = 1, b = 2 }, true },
    ["part of an object inside"] = { { a = { b = "x" } }, { a = { b = "x", c = 1 } }, true },
    ["another value"] = { { a = 1 }, { a = 2 }, false },
    ["a missing value"] = { { a = 1 }, {}, false },
    ["a table for a text"] = { { a = {} }, { a = "x" }, false },
    ["a list"] = { { a = { 1, 2 } }, { a = { 1, 2 } }, true },
    ["a longer list"] = { { a = { 1 } }, { a = { 1, 2 } }, false },
  } do
    it((case[3] and "hold for " or "do not hold for ") .. name, function()
      assert.equal(case[3], spec.holds(case[1], case[2]))
    end)
  end
end)
