--- One page of the reference: functions with parameters, results and errors, then the types that they name.
local html = require "doc.html"

local M = {}

local function short(name)
  return (name:gsub("^stream_events%.", ""))
end

local Writer = {}
Writer.__index = Writer

function Writer:add(...)
  self.out[#self.out + 1] = select("#", ...) > 1 and (...):format(select(2, ...)) or (...)
end

-- Where a type or a function is explained, from this page.
function Writer:place(name)
  local page = self.model.where[name]
  if page then return ("%s.html#%s"):format(page.id, html.id(name)) end
  local found = self.model.functions[name:gsub("%(.*$", "")]
  return found and ("%s.html#%s"):format(found.page.id, found.id) or nil
end

-- A type with its parts linked.
function Writer:type(text)
  local out, at = {}, 1
  for from, name, to in text:gmatch "()(stream_events%.[%w_.]+)()" do
    local target = self:place(name)
    out[#out + 1] = html.escape(text:sub(at, from - 1))
    out[#out + 1] = target and ('<a href="%s">%s</a>'):format(target, short(name)) or short(name)
    at = to
  end
  out[#out + 1] = html.escape(text:sub(at))
  return '<code class="type">' .. table.concat(out) .. "</code>"
end

-- Names of calls in running text lead to them: Client:poll, send_event. What is marked as code is left as it
-- is.
function Writer:words(text)
  local function link(name)
    local found
    if name:find "^%u%a+:[%l_]+$" then
      found = self.model.functions[name:gsub("^%u%a+", string.lower)]
    elseif name:find "^%l+_[%l_]+$" then
      found = self.model.by_name[name]
    end
    return found and ("[%s](%s.html#%s)"):format(name, found.page.id, found.id) or nil
  end
  return ((text .. "`"):gsub("([^`]*)(`[^`]*`?)", function(plain, code)
    return plain:gsub("%f[%w_.:][%a][%w_:]*", link) .. code
  end):gsub("`$", ""))
end

function Writer:prose(text)
  return html.inline(self:words(text), nil, function(code) return self:place(code) end)
end

function Writer:paragraphs(text)
  for part in (text .. "\n\n"):gmatch "(.-)\n\n+" do
    if part:find "^%s%s+" then
      self:add(html.code((part:gsub("^    ", ""):gsub("\n    ", "\n")), "lua"))
    elseif part:find "%S" then
      self:add("<p>" .. self:prose(part) .. "</p>")
    end
  end
end

-- Parameters, results or fields; what is said of an error stands in a box of its own.
function Writer:values(title, values)
  if not values[1] then return end
  self:add('<div class="table"><table class="values"><thead><tr><th class="name">' .. title
    .. "</th><td></td><td></td></tr></thead>")
  for _, value in ipairs(values) do
    self:add('<tr><td class="name">%s</td><td>%s</td><td>%s</td></tr>',
      value.name and "<code>" .. html.escape(value.name) .. "</code>" or "",
      self:type(value.type), self:prose(value.type == "stream_events.Error?" and "" or value.text))
  end
  self:add "</table></div>"
end

-- The text up to where it speaks of errors, and from there on.
local function parted(text)
  local at = text:find "%f[%w]Errors[%s:]"
  if not at then return text, nil end
  local errors = text:sub(at)
  local behind = errors:match "\n\n(.*)$"
  local own = behind and errors:sub(1, #errors - #behind - 2) or errors
  return text:sub(1, at - 1) .. (behind and "\n\n" .. behind or ""), own:gsub("^Errors:?%s*", "")
end

function Writer:errors(each, said)
  local lines = {}
  if said then lines[1] = said end
  for _, result in ipairs(each.results) do
    if result.type == "stream_events.Error?" and result.text ~= "" then lines[#lines + 1] = result.text end
  end
  if not lines[1] then return end
  self:add('<div class="errors"><strong>Errors</strong> %s</div>',
    self:prose(table.concat(lines, "; ")))
end

local function signature(each)
  return each.shown .. "(" .. table.concat(each.arguments, ", ") .. ")"
end

local function first_sentence(text)
  text = text:gsub("\n", " ")
  return (text .. " "):match "^(.-%.)%s" or text .. "."
end

function Writer:list(functions)
  if #functions < 3 then return end
  self:add '<div class="table"><table class="list">'
  for _, each in ipairs(functions) do
    self:add('<tr><td><a href="#%s"><code>%s</code></a></td><td>%s</td></tr>', each.id,
      html.escape(each.shown), html.inline((first_sentence(each.text))))
  end
  self:add "</table></div>"
end

function Writer:func(each)
  local text, errors = parted(each.text)
  self.titles[#self.titles + 1] = { level = 3, title = "`" .. each.name .. "`", id = each.id }
  self:add('<section class="function" id="%s"><h3><code>%s</code><a class="anchor" href="#%s" '
    .. 'aria-label="link to this function">#</a></h3>', each.id, html.escape(signature(each)), each.id)
  if each.deprecated then
    self:add('<div class="errors"><strong>Deprecated</strong> %s</div>', self:prose(each.deprecated))
  end
  self:paragraphs(text)
  self:values("Takes", each.parameters)
  self:values("Gives", each.results)
  self:errors(each, errors)
  self:add "</section>"
end

function Writer:heading(level, title, id)
  self.titles[#self.titles + 1] = { level = level, title = title, id = id }
  self:add('<h%d id="%s">%s<a class="anchor" href="#%s" aria-label="link to this section">#</a></h%d>', level,
    id, html.escape(title), id, level)
end

local function shown_fields(class)
  local list = {}
  for _, field in ipairs(class.fields) do
    if not field.visibility then list[#list + 1] = field end
  end
  return list
end

function Writer:class(class)
  self:paragraphs(class.text)
  if class.parent then
    self:add("<p>Has all of %s, and:</p>", self:type(class.parent))
  end
  self:values("Fields", shown_fields(class))
end

function Writer:group(group)
  local id = group.of_class and html.id(group.of_class) or html.slug(group.title or "more")
  self:heading(2, group.title or "More", id)
  if group.class then self:class(group.class) elseif group.text then self:paragraphs(group.text) end
  if group.module then self:add(html.code(('require "%s"'):format(group.module), "lua")) end
  self:list(group.functions)
  for _, each in ipairs(group.functions) do self:func(each) end
end

function Writer:type_heading(name)
  local id = html.id(name)
  self.titles[#self.titles + 1] = { level = 3, title = "`" .. short(name) .. "`", id = id }
  self:add('<section class="function" id="%s"><h3><code>%s</code></h3>', id, short(name))
end

function Writer:types(page)
  if not page.types[1] and not page.aliases[1] then return end
  self:heading(2, "Types", "types")
  for _, class in ipairs(page.types) do
    self:type_heading(class.name)
    self:class(class)
    self:add "</section>"
  end
  for _, alias in ipairs(page.aliases) do
    self:type_heading(alias.name)
    self:paragraphs(alias.text)
    if alias.type:find "\n" then
      self:add "<ul>"
      for choice in alias.type:gmatch "|%s*([^\n]+)" do
        local value, text = choice:match '^("[^"]*")%s*(.*)$'
        self:add("<li><code>" .. html.escape(value or choice) .. "</code> " .. self:prose(text or "")
          .. "</li>")
      end
      self:add "</ul>"
    else
      self:add("<p>" .. self:type(alias.type) .. "</p>")
    end
    self:add "</section>"
  end
end

--- The body of a page.
---@param model table of doc.model
---@param page table
---@return string html
---@return table titles
function M.render(model, page)
  local self = setmetatable({ model = model, out = {}, titles = {} }, Writer)
  local subject = page.subject
  self:add("<h1>" .. html.escape(subject.title) .. "</h1>")
  self:add('<p class="about">' .. html.escape(subject.about) .. "</p>")
  if subject.of_core then
    self:add [[<p>Everything that can fail gives nil, a kind and a message; wrong types of arguments raise.
      Programs use the modules in Lua, which make errors of it.</p>]]
  end
  for _, group in ipairs(page.groups) do
    if group.functions[1] or group.class then self:group(group) end
  end
  self:types(page)
  return table.concat(self.out, "\n"), self.titles
end

return M
