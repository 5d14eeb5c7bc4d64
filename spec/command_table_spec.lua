--- Tables for people: aligned by what a terminal shows, cut at its edge, harmless.
local tables = require "stream_events.command.table"

describe("table.width", function()
  for text, width in pairs {
    [""] = 0, ["abc"] = 3, ["äöü"] = 3, ["日本"] = 4, ["🙂"] = 2, ["e\u{301}"] = 1, ["a\u{200D}b"] = 2,
    ["한"] = 2, ["Ж"] = 1, ["\u{1F1E6}"] = 1,
  } do
    it(("of %q is %d"):format(text, width), function() assert.equal(width, tables.width(text)) end)
  end
end)

describe("table.cell", function()
  for name, case in pairs {
    ["nothing"] = { nil, "" }, ["yes"] = { true, "yes" }, ["no"] = { false, "no" }, ["a number"] = { 3, "3" },
    ["a float"] = { 0.5, "0.5" }, ["an object"] = { { a = 1 }, '{"a":1}' },
    ["a text that steers"] = { "a\27[2Jb\u{202E}\n", "a\\u001b[2Jb\\u202e\\u000a" },
    ["bytes that are no text"] = { "a\255", "a?" },
  } do
    it("shows " .. name, function() assert.equal(case[2], tables.cell(case[1])) end)
  end
end)

describe("table.lines", function()
  local ROWS = { { "a", "first", 1 }, { "日本", nil, 22 }, { "abc", "x", nil } }

  it("aligns columns and leaves no blanks at the end", function()
    assert.same({
      "ID    NAME   N", "a     first  1", "日本         22", "abc   x",
    }, tables.lines({ "ID", "NAME", "N" }, ROWS, 3))
  end)

  it("does without a header", function()
    assert.same({ "a     first", "日本", "abc   x" }, tables.lines(nil, ROWS, 2))
  end)

  it("is empty without rows and header", function()
    assert.same({}, tables.lines(nil, {}, 2))
  end)

  for limit = 18, 60 do
    it(("fits into %d columns"):format(limit), function()
      local rows = { { ("a"):rep(20), ("日本"):rep(8), "short" }, { "b", "c", "d" } }
      for _, line in ipairs(tables.lines({ "ONE", "TWO", "THREE" }, rows, 3, limit)) do
        assert.truthy(tables.width(line) <= math.max(limit, 8 + 2 + 8 + 2 + 5), line)
        assert.truthy(utf8.len(line))
      end
    end)
  end

  it("marks what is cut, and cuts the widest column first", function()
    assert.same({ "ABCDEFGHI…  short" },
      tables.lines(nil, { { "ABCDEFGHIJKLMNOP", "short" } }, 2, 17))
  end)

  it("cuts nothing where there is no terminal", function()
    local long = ("x"):rep(500)
    assert.same({ long .. "  y" }, tables.lines(nil, { { long, "y" } }, 2))
  end)
end)
