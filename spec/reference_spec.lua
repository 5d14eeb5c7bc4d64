--- The pages that `make doc` makes: whole, with every public function on one of them, and no link that leads
-- nowhere.
local annotations = require "support.annotations"
local command = require "support.command"
local folder = require "support.folder"
local markdown = require "doc.markdown"
local process = require "support.process"
local public = require "support.public"
local subjects = require "doc.subjects"

local ROOT = command.ROOT ~= "" and command.ROOT or "./"

describe("the reference", function()
  local place, pages, ids = nil, {}, {}

  setup(function()
    place = folder.new()
    local child = process.run("lua5.4", { ROOT .. "spec/doc/make.lua", ROOT, place.path }, {
      LUA_PATH = ROOT .. "spec/?.lua;;",
    })
    assert.equal(0, child.code, child.stderr)
    local pipe = assert(io.popen("ls " .. place.path))
    for name in pipe:lines() do
      if name:find "%.html$" then
        pages[name], ids[name] = place:read(name), {}
        for id in pages[name]:gmatch ' id="([^"]*)"' do
          assert.is_nil(ids[name][id], name .. " has twice: " .. id)
          ids[name][id] = true
        end
      end
    end
    pipe:close()
  end)

  teardown(function() place:remove() end)

  it("has a page for each chapter and subject, all in the index", function()
    local function listed(name)
      assert.truthy(pages["index.html"]:find(('class="card" href="%s"'):format(name), 1, true), name)
    end
    for _, chapter in ipairs(subjects.CHAPTERS) do
      listed(chapter.file:gsub("%.md$", ".html"))
      assert.is_string(pages[chapter.file:gsub("%.md$", ".html")])
    end
    for _, subject in ipairs(subjects.SUBJECTS) do listed("ref-" .. subject.id .. ".html") end
  end)

  it("has every chapter of the manual", function()
    local known = {}
    for _, chapter in ipairs(subjects.CHAPTERS) do known[chapter.file] = true end
    local pipe = assert(io.popen(("ls '%slua/stream_events/doc'"):format(ROOT)))
    for name in pipe:lines() do
      if name:find "%.md$" and name ~= "index.md" then assert.is_true(known[name], name) end
    end
    pipe:close()
  end)

  it("has links that lead somewhere", function()
    local count = 0
    for name, text in pairs(pages) do
      for target in text:gmatch 'href="([^"]*)"' do
        local path, id = target:match "^([^#]*)#?(.*)$"
        if path:find "%.html$" or path == "" then
          local page = path == "" and name or path
          assert.is_string(pages[page], name .. ": " .. target)
          assert.is_true(id == "" or ids[page][id], name .. ": " .. target)
          count = count + 1
        end
      end
    end
    assert.is_true(count > 1000)
  end)

  it("has every public function, with its parameters", function()
    local all = {}
    for _, text in pairs(pages) do all[#all + 1] = text end
    all = table.concat(all)
    local count = 0
    for _, list in ipairs { public.MODULES, public.CLASSES } do
      local module = list == public.MODULES or nil
      for _, each in ipairs(list) do
        for _, path in ipairs(each.files) do
          local file = annotations.read_file(ROOT .. public.LUA .. path)
          local bound = { M = module, core = module, ["core.json"] = module }
          for _, class in ipairs(file.classes) do
            for name in pairs(class.name == each.name and class.locals or {}) do bound[name] = true end
          end
          for _, one in ipairs(file.functions) do
            if not one.package and not one.name:find "^__" and bound[one.owner] then
              local heading = ("%s(%s)"):format(one.name, table.concat(one.arguments, ", "))
              local found = all:find(":" .. heading .. "<", 1, true)
                or all:find("." .. heading .. "<", 1, true)
              assert.truthy(found, path .. ": " .. heading)
              count = count + 1
            end
          end
        end
      end
    end
    assert.is_true(count > 150, count)
  end)
end)

describe("Markdown", function()
  for text, expected in pairs {
    ["a `b < c` **d**"] = "<p>a <code>b &lt; c</code> <strong>d</strong></p>",
    ["- one\n  more\n- two\n\n  three"] = "<ul>\n<li>one\nmore</li>\n<li>two\nthree</li>\n</ul>",
    ["| a | b |\n| --- | --- |\n| `x|y` | c\\|d |"] = '<div class="table"><table>'
      .. "<tr><th>a</th><th>b</th></tr>\n<tr><td><code>x|y</code></td><td>c|d</td></tr></table></div>",
    ["```lua\nlocal a = \"<\" -- b\n```"] = '<pre class="code"><code><span class="keyword">local</span> a = '
      .. '<span class="string">&quot;&lt;&quot;</span> <span class="comment">-- b</span></code></pre>',
    ["[a](b.md#c) 50%"] = '<p><a href="b.md#c">a</a> 50%</p>',
  } do
    it("makes HTML of " .. text:gsub("\n.*", " ..."), function()
      assert.equal(expected, (markdown.render(text, {})))
    end)
  end
end)
