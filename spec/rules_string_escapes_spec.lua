--- Rule files say the same on Lua 5.1, which knows fewer escapes in strings.
local escapes = require "stream_events.rules.escapes"
local lua = require "support.lua"
local rules = require "stream_events.rules"

describe("escapes in strings", function()
  for text, same in pairs {
    [ [["\x41\xff\x00\xC3\xA9"]] ] = [["\065\255\000\195\169"]],
    [ [["\u{41}\u{e9}\u{20AC}\u{1F600}"]] ] = [["\065\195\169\226\130\172\240\159\152\128"]],
    [ [["\u{0}\u{0010FFFF}"]] ] = [["\000\244\143\191\191"]],
    [ [['\x411'  "\u{7F}0"]] ] = [['\0651'  "\1270"]],
    [ [["\\x41\\\x41\"\x41"]] ] = [["\\x41\\\065\"\065"]],
    [ "\"a\\z \n\t b\" c" ] = "\"ab\"\n c",
    [ "'a\\z\r\n\r\nb\\z' 'c'" ] = "'ab'\n\n 'c'",
    [ [=[[[\x41]] -- "\x41"]=] ] = [=[[[\x41]] -- "\x41"]=],
    [ [[x = a.x / "\n\065" -- \x41]] ] = [[x = a.x / "\n\065" -- \x41]],
  } do
    it("are written as every Lua reads them: " .. text:gsub("%c", " "), function()
      assert.equal(same, escapes.translate(text))
    end)
  end

  for _, text in ipairs { [["\x4"]], [["\xg0"]], [["\u41"]], [["\u{}"]], [["\u{110000}"]], [["\u{1234567}"]],
    [["\u{41"]] } do
    it("that are wrong stay so: " .. text, function()
      assert.is_nil((lua.load("return " .. escapes.translate(text))))
    end)
  end

  it("leave what is no Lua to the compiler", function()
    for _, text in ipairs { "'\\x41", "@ '\\x41'", "\\x", "[[\\x41" } do
      assert.equal(text, escapes.translate(text))
    end
  end)

  it("mean the same in a rule file and in what it includes", function()
    local set = assert(rules.parse([[
      local names = include "names.lua"
      event "a" { fields = { s = one_of { "\u{e9}", names[1] } } }
      event "b" { fields = { s = string { contains = "\xE2\x80\xAE" } } }]], {
      read = function() return [[return { "\x7E" }]] end,
    }))
    local core = require "stream_events.core"
    local engine = core.rules()
    engine:use(set.core)
    for _, case in ipairs {
      { "a", "\195\169", "allow" }, { "a", "~", "allow" }, { "a", "u{e9}", "drop" }, { "a", "x7E", "drop" },
      { "b", "-\226\128\174-", "allow" }, { "b", "xE2x80xAE", "drop" },
    } do
      local event = core.json.encode { type = case[1], cid = "m:c", user = { id = "u" }, s = case[2] }
      assert.equal(case[3], (engine:decide(event)), event)
    end
  end)
end)
