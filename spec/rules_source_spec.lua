--- The files of a rule set: reading, including, hashing.
local rules = require "stream_events.rules"
local source = require "stream_events.rules.source"

-- Reads out of a table of texts; remembers what was asked for.
local function reader(texts)
  local asked = {}
  return function(path)
    asked[#asked + 1] = path
    if texts[path] then return texts[path] end
    return nil, path .. ": no such file"
  end, asked
end

local function load(texts, path)
  local read, asked = reader(texts)
  local set, err = rules.load(path or "rules.lua", { read = read })
  return set, err, asked
end

describe("a rule set's files", function()
  it("are read from the file system", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write("event 'x' { fields = {} }")
    file:close()
    local set = assert(rules.load(path))
    os.remove(path)
    assert.same({ path }, set.files)
    assert.same({ "x" }, set.names)
  end)

  it("that cannot be read are an error", function()
    local set, err = rules.load("/nonexistent/rules.lua")
    assert.is_nil(set)
    assert.equal("rule", err.kind)
    assert.truthy(err.message:find("cannot read the rules: /nonexistent/rules.lua", 1, true))
    set, err = rules.load("/")
    assert.is_nil(set)
    assert.equal("rule", err.kind)
    set, err = load({})
    assert.is_nil(set)
    assert.equal("cannot read the rules: rules.lua: no such file", err.message)
  end)

  it("that are too long are an error", function()
    local set, err = load({ ["rules.lua"] = ("-"):rep(1048577) })
    assert.is_nil(set)
    assert.truthy(err.message:find("longer than 1048576 bytes", 1, true))
  end)

  it("may include others beside them", function()
    local set, err, asked = load({
      ["some/folder/rules.lua"] = "local list = include 'blocked.lua'\n"
        .. "event 'x' { from = { user = none_of(list) }, fields = {} }",
      ["some/folder/blocked.lua"] = "refuse 'noise'\nreturn { 'bob', 'eve' }",
    }, "some/folder/rules.lua")
    assert(set, tostring(err))
    assert.same({ "some/folder/rules.lua", "some/folder/blocked.lua" }, asked)
    assert.same(asked, set.files)
    assert.same({ "noise", "x" }, set.names)
  end)

  it("are read but once, and give the same values again", function()
    local set, err, asked = load({
      ["rules.lua"] = "local a, b = include 'a.lua', include 'b.lua' assert(a == b.a and a.n == 1)",
      ["a.lua"] = "return { n = 1 }",
      ["b.lua"] = "return { a = include 'a.lua' }",
    })
    assert(set, tostring(err))
    assert.same({ "rules.lua", "a.lua", "b.lua" }, asked)
  end)

  for name, case in pairs {
    ["another folder"] = { "a/b.lua" }, ["the folder above"] = { "..\\b.lua" }, ["dots"] = { ".." },
    ["no name"] = { "" }, ["a control character"] = { "a\\0b" },
    ["a file that is not there"] = { "missing.lua", "missing.lua: no such file" },
  } do
    it("cannot include " .. name, function()
      local set, err = load({ ["rules.lua"] = "\nlocal x = include '" .. case[1] .. "'" })
      assert.is_nil(set)
      assert.equal(1, #err.problems)
      assert.equal(2, err.problems[1].line)
      assert.equal("rules.lua", err.problems[1].file)
      local says = case[2] or "include takes the name of a file beside this one, without a folder"
      assert.truthy(err.problems[1].message:find(says, 1, true), err.problems[1].message)
    end)
  end

  it("cannot include each other in a circle", function()
    local set, err = load({
      ["rules.lua"] = "include 'a.lua'", ["a.lua"] = "include 'b.lua'", ["b.lua"] = "\ninclude 'a.lua'",
    })
    assert.is_nil(set)
    assert.equal("rule", err.kind)
    set = load({ ["rules.lua"] = "include 'rules.lua'" })
    assert.is_nil(set)
  end)

  it("are at most 64", function()
    local texts = { ["rules.lua"] = "for i = 1, 64 do include('f' .. i .. '.lua') end" }
    for i = 1, 64 do texts["f" .. i .. ".lua"] = "" end
    local set, err = load(texts)
    assert.is_nil(set)
    assert.truthy(err.message:find("more than 64 files", 1, true))
    texts["rules.lua"] = texts["rules.lua"]:gsub("64", "63")
    assert(load(texts))
  end)

  it("are named in problems as they were read", function()
    local set, err = load({
      ["d/rules.lua"] = "event 'y' { extra = 'keep' }\ninclude 'a.lua'\nevent 'x' { filds = 1, fields = {} }",
      ["d/a.lua"] = "\n\nevent 'x' {\n  frm = {}, fields = {} }\nlocal function y() return strng end",
    }, "d/rules.lua")
    assert.is_nil(set)
    local list = {}
    for i, each in ipairs(err.problems) do list[i] = ("%s:%d %s"):format(each.file, each.line,
      each.message) end
    assert.same({
      "d/rules.lua:3 event \"x\": declared twice: d/a.lua:3 has it already",
      "d/a.lua:4 event \"x\": unknown key 'frm'",
      "d/a.lua:5 unknown name 'strng'",
    }, list)
  end)

  it("that are included and are no Lua are named with their own line", function()
    local set, err = load({ ["d/rules.lua"] = "\ninclude 'a.lua'", ["d/a.lua"] = "\n\nlocal =" },
      "d/rules.lua")
    assert.is_nil(set)
    assert.equal(1, #err.problems)
    assert.same({ "d/a.lua", 3 }, { err.problems[1].file, err.problems[1].line })
  end)

  it("cannot be included by a text that stands nowhere", function()
    local set, err = rules.parse("include 'a.lua'")
    assert.is_nil(set)
    assert.truthy(err.message:find("this text stands in no folder", 1, true))
    assert(rules.parse("include 'a.lua'", { read = function() return "" end }))
  end)
end)

describe("the hash of a rule set", function()
  local function hash(texts, path)
    return assert(load(texts, path)).hash
  end
  local A = "event 'x' { fields = {} }"

  it("is the beginning of a SHA-256 over names and the SHA-256 of texts", function()
    -- printf '%s 9:rules.lua\n' "$(printf "event 'x' { fields = {} }" | sha256sum | cut -c1-64)" | sha256sum
    assert.equal("fa14e652e02f", hash { ["rules.lua"] = A })
    assert.equal("fa14e652e02f", source.hash { { "rules.lua", A } })
  end)

  it("is the same in another folder", function()
    assert.equal(hash { ["rules.lua"] = A }, hash({ ["some/folder/rules.lua"] = A }, "some/folder/rules.lua"))
  end)

  it("is another one for every other text, name or included file", function()
    local seen = {}
    for _, texts in ipairs {
      { ["rules.lua"] = A }, { ["rules.lua"] = A .. " " }, { ["rules.lua"] = "include 'a.lua'",
        ["a.lua"] = "" },
      { ["rules.lua"] = "include 'a.lua'", ["a.lua"] = " " }, { ["rules.lua"] = "include 'b.lua'",
        ["b.lua"] = "" },
    } do
      local it = hash(texts)
      assert.is_nil(seen[it])
      seen[it] = true
    end
    assert.is_nil(seen[hash({ ["other.lua"] = A }, "other.lua")])
  end)

  it("does not take a part for another", function()
    assert.not_equal(source.hash { { "a", "b" }, { "c", "d" } }, source.hash { { "a", "bcd" } })
    assert.not_equal(source.hash { { "a", "b" }, { "c", "d" } }, source.hash { { "a", "" }, { "bc", "d" } })
    assert.not_equal(source.hash { { "ab", "c" } }, source.hash { { "a", "bc" } })
  end)
end)
