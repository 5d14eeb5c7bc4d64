--- Makes the manual and the reference as pages of HTML. `make doc` runs it:
--
--     lua5.4 spec/doc/make.lua ROOT FOLDER
local root, folder = arg[1], arg[2]
local model = require("doc.model").read(root)
local markdown = require "doc.markdown"
local pages = require "doc.page"
local reference = require "doc.reference"
local subjects = require "doc.subjects"

local MANUAL = root .. "/lua/stream_events/doc/"

local function read(path, mode)
  local file = assert(io.open(path, mode or "r"))
  local text = file:read "a"
  file:close()
  return text
end

local function write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "w"))
  file:write(text)
  assert(file:close())
end

local function write_page(id, title, body, titles)
  write(id .. ".html", pages.frame { id = id, title = title, body = body, titles = titles })
end

-- Links of a chapter: to other chapters, to pictures, and to files of the sources.
local pictures = {}
local function chapter_link(target)
  if target:find "^https?:" or target:find "^#" then return target end
  if target:find "%.png$" then
    pictures[target] = true
    return target
  end
  local name, anchor = target:match "^([%w_-]+)%.md(.*)$"
  if name then return name .. ".html" .. anchor end
  return "../../lua/stream_events/doc/" .. target
end

for _, page in ipairs(model.pages) do page.id = "ref-" .. page.id end
for _, page in ipairs(model.pages) do
  local body, titles = reference.render(model, page)
  write_page(page.id, page.subject.title .. " - stream-events", body, titles)
end
local function called(code)
  local name = code:gsub("%(.*$", "")
  local found = model.functions[name] or name:find "_" and model.by_name[name]
  return found and ("%s.html#%s"):format(found.page.id, found.id) or nil
end
for _, chapter in ipairs(subjects.CHAPTERS) do
  local body, titles = markdown.render(read(MANUAL .. chapter.file), { link = chapter_link, word = called })
  write_page(chapter.file:gsub("%.md$", ""), chapter.title .. " - stream-events", body, titles)
end
write_page("index", "stream-events", pages.index(), {})
write("style.css", read(root .. "/spec/doc/style.css"))
for name in pairs(pictures) do write(name, read(MANUAL .. name, "rb")) end
print(("%s/index.html: %d chapters, %d pages of reference"):format(folder, #subjects.CHAPTERS, #model.pages))
