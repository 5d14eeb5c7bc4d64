--- The frame of all pages: navigation, contents, and how they look.
local html = require "doc.html"
local subjects = require "doc.subjects"

local M = {}

local function link(target, title, current)
  return ('<li><a href="%s.html"%s>%s</a></li>'):format(target,
    target == current and ' aria-current="page"' or "", html.escape(title))
end

local function navigation(current)
  local out = { '<nav class="site" aria-label="Pages"><a class="home" href="index.html">stream-events</a>',
    "<h2>Manual</h2><ul>" }
  for _, chapter in ipairs(subjects.CHAPTERS) do
    out[#out + 1] = link(chapter.file:gsub("%.md$", ""), chapter.title, current)
  end
  out[#out + 1] = "</ul><h2>Reference</h2><ul>"
  for _, subject in ipairs(subjects.SUBJECTS) do
    out[#out + 1] = link("ref-" .. subject.id, subject.title, current)
  end
  out[#out + 1] = "</ul></nav>"
  return table.concat(out, "\n")
end

local function contents(titles)
  local out = {}
  for _, title in ipairs(titles) do
    if title.level == 2 or title.level == 3 then
      out[#out + 1] = ('<li class="level%d"><a href="#%s">%s</a></li>'):format(title.level, title.id,
        html.inline(title.title))
    end
  end
  if #out < 2 then return "" end
  return '<nav class="contents" aria-label="On this page"><h2>On this page</h2><ul>'
    .. table.concat(out, "\n") .. "</ul></nav>"
end

--- A whole page.
---@param options { id: string, title: string, body: string, titles: table[] }
---@return string
function M.frame(options)
  return table.concat({
    "<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    ("<title>%s</title>"):format(html.escape(options.title)),
    '<link rel="stylesheet" href="style.css"></head><body>',
    '<a class="skip" href="#main">To the text</a>',
    '<details class="menu"><summary>Pages</summary>' .. navigation(options.id) .. "</details>",
    '<div class="frame">', navigation(options.id),
    '<main id="main">' .. options.body .. "</main>", contents(options.titles), "</div></body></html>", "",
  }, "\n")
end

--- The body of the page that lists all others.
---@return string
function M.index()
  local out = { "<h1>stream-events</h1>", [[<p class="about">Custom events of Stream Chat for Lua: send them,
    receive them, and decide by rules which of them reach your program.</p>]] }
  local function cards(title, list, target)
    out[#out + 1] = "<h2>" .. title .. '</h2><div class="cards">'
    for _, each in ipairs(list) do
      out[#out + 1] = ('<a class="card" href="%s.html"><strong>%s</strong><span>%s</span></a>'):format(
        target(each), html.escape(each.title), html.escape(each.about))
    end
    out[#out + 1] = "</div>"
  end
  cards("Manual", subjects.CHAPTERS, function(each) return (each.file:gsub("%.md$", "")) end)
  cards("Reference", subjects.SUBJECTS, function(each) return "ref-" .. each.id end)
  return table.concat(out, "\n")
end

return M
