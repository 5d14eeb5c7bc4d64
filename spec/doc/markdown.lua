--- The Markdown of the manual as HTML: headings, paragraphs, lists, tables, code in fences, and what
-- html.inline knows. Nothing else of Markdown is used there; what this does not know raises.
local html = require "doc.html"

local M = {}

local function cells(line)
  local found = {}
  -- A bar inside of code, or behind a backslash, is no border.
  line = line:gsub("`[^`]*`", function(code) return (code:gsub("|", "\3")) end):gsub("\\|", "\3")
  for cell in line:match "^|(.*)|%s*$":gmatch "([^|]*)|?" do found[#found + 1] = cell end
  if found[#found] == "" then found[#found] = nil end
  for i, cell in ipairs(found) do found[i] = cell:match "^%s*(.-)%s*$":gsub("\3", "|") end
  return found
end

local Reader = {}
Reader.__index = Reader

function Reader:inline(text)
  return html.inline(text, self.link, self.word)
end

function Reader:add(...)
  self.out[#self.out + 1] = (...):format(select(2, ...))
end

function Reader:peek() return self.lines[self.at] end

function Reader:heading(marks, title)
  local level, id = #marks, html.slug(title)
  self.titles[#self.titles + 1] = { level = level, title = title, id = id }
  self:add('<h%d id="%s">%s<a class="anchor" href="#%s" aria-label="link to this section">#</a></h%d>',
    level, id, self:inline(title), id, level)
end

function Reader:fence(indent, info)
  local text = {}
  while not self:peek():find "^ *```%s*$" do
    text[#text + 1] = self:peek():sub(#indent + 1)
    self.at = self.at + 1
  end
  self.at = self.at + 1
  self.out[#self.out + 1] = html.code(table.concat(text, "\n"), info:match "^%S*")
end

function Reader:table(first)
  local rows = { cells(first) }
  self.at = self.at + 1 -- the line between head and body
  while self:peek() and self:peek():find "^|" do
    rows[#rows + 1] = cells(self:peek())
    self.at = self.at + 1
  end
  local out = {}
  for i, row in ipairs(rows) do
    local tag, line = i == 1 and "th" or "td", {}
    for n = 1, #rows[1] do line[n] = ("<%s>%s</%s>"):format(tag, self:inline(row[n] or ""), tag) end
    out[i] = "<tr>" .. table.concat(line) .. "</tr>"
  end
  self.out[#self.out + 1] = '<div class="table"><table>' .. table.concat(out, "\n") .. "</table></div>"
end

local function item_of(line)
  local indent, mark, text = line:match "^( *)([-*])%s+(.*)$"
  if not indent then indent, mark, text = line:match "^( *)(%d+%.)%s+(.*)$" end
  return indent, mark, text
end

-- The lines that belong to one item are read by themselves.
function Reader:list(indent, mark)
  local tag = mark:find "%d" and "ol" or "ul"
  self:add("<%s>", tag)
  while self:peek() do
    local own, _, text = item_of(self:peek())
    if own ~= indent then break end
    local lines, width = { text }, #self:peek() - #text
    self.at = self.at + 1
    local inside = "^" .. (" "):rep(width)
    while self:peek() and (self:peek() == "" or self:peek():find(inside)) do
      if self:peek() == "" and not (self.lines[self.at + 1] or ""):find(inside) then break end
      lines[#lines + 1] = self:peek():sub(width + 1)
      self.at = self.at + 1
    end
    local inner = setmetatable({
      lines = lines, at = 1, out = {}, titles = self.titles, link = self.link, word = self.word, tight = true,
    }, Reader)
    inner:read()
    self.out[#self.out + 1] = "<li>" .. table.concat(inner.out, "\n") .. "</li>"
  end
  self:add("</%s>", tag)
end

function Reader:paragraph(first)
  local text = { first }
  while self:peek() and self:peek() ~= "" and not self:peek():find "^[|#]" and not self:peek():find "^ *```"
    and not item_of(self:peek()) do
    text[#text + 1] = self:peek()
    self.at = self.at + 1
  end
  local inner = self:inline(table.concat(text, "\n"))
  self.out[#self.out + 1] = self.tight and inner or "<p>" .. inner .. "</p>"
end

function Reader:read()
  while self:peek() do
    local line = self:peek()
    local marks, title = line:match "^(#+) (.*)$"
    local fence, info = line:match "^( *)```(.*)$"
    local indent, mark = item_of(line)
    if indent and not marks then
      self:list(indent, mark)
    else
      self.at = self.at + 1
      if marks then self:heading(marks, title)
      elseif fence then self:fence(fence, info)
      elseif line:find "^|" then self:table(line)
      elseif line:find "^[<>]" then error("Markdown that is not known here: " .. line)
      elseif line ~= "" then self:paragraph(line) end
    end
  end
end

---@param text string
---@param options { link: (fun(target: string): string)?, word: (fun(code: string): string?)? }
---@return string html
---@return { level: integer, title: string, id: string }[] titles
function M.render(text, options)
  local lines = {}
  for line in (text:gsub("\n$", "") .. "\n"):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  local reader = setmetatable({
    lines = lines, at = 1, out = {}, titles = {}, link = options.link, word = options.word,
  }, Reader)
  reader:read()
  return table.concat(reader.out, "\n"), reader.titles
end

return M
