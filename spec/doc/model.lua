--- What the reference shows: the annotations of all files, brought together by class and module.
local annotations = require "support.annotations"
local subjects = require "doc.subjects"

local M = {}

local function names(text)
  local list = {}
  for name in (text or ""):gmatch "%S+" do list[#list + 1] = name end
  return list
end

local function is_public(each)
  return not each.package and not each.name:find "^__"
end

---@class doc.Group functions that stand together, under one title
---@field title string?
---@field text string?
---@field prefix string what stands before the names of functions
---@field functions Annotations.Function[]
---@field class Annotations.Class?

local Model = {}
Model.__index = Model

function Model:file(name)
  local file = self.files[name]
  if not file then
    file = annotations.read_file(("%s/lua/stream_events/%s.lua"):format(self.root, name))
    self.files[name] = file
  end
  return file
end

-- The methods of a class in a file, or the functions of a module.
local function functions_of(file, class, owner)
  local bound, found = {}, {}
  for _, each in ipairs(file.classes) do
    if each.name == class then
      for name in pairs(each.locals) do bound[name] = true end
    end
  end
  for _, each in ipairs(file.functions) do
    local belongs = class and each.method and bound[each.owner] or not class and not each.method
      and (owner == nil or each.owner == owner)
    if belongs and is_public(each) then found[#found + 1] = each end
  end
  return found
end

-- The words before the first colon of a file's comment name its subject.
local function subject_of(file)
  local title, rest = file.text:match "^([^:.\n]+):%s*(.*)$"
  return title, rest
end

local function module_group(self, module)
  local list = {}
  for _, name in ipairs(names(module.files)) do
    for _, each in ipairs(functions_of(self:file(name), nil, "M")) do list[#list + 1] = each end
  end
  return { title = module.name, prefix = module.name .. ".", functions = list, module = module.name,
    text = self:file(names(module.files)[1]).text }
end

local function class_groups(self, groups, class, files)
  for i, name in ipairs(names(files)) do
    local file, own = self:file(name), nil
    for _, each in ipairs(file.classes) do
      if each.name == class and (each.text ~= "" or each.fields[1]) then own = own or each end
    end
    local title, text = subject_of(file)
    groups[#groups + 1] = {
      class = own, functions = functions_of(file, class),
      title = own and class:match "[^.]+$" or title, text = not own and text or nil,
      prefix = class:match "[^.]+$":lower() .. ":", of_class = i == 1 and class or nil,
    }
  end
end

-- A C module: its own functions by file, then the classes of that file.
local function core_groups(self, groups, subject)
  for _, name in ipairs(names(subject.core)) do
    local file = self:file("_meta/" .. name)
    local functions = {}
    for _, each in ipairs(file.functions) do
      if not each.method then functions[#functions + 1] = each end
    end
    local text = file.text:gsub("^@[^\n]*\n", "")
    groups[#groups + 1] = {
      title = name:find "core$" and "The module" or text:match "^[^.:\n]+", text = text,
      functions = functions, prefix = "owner",
    }
    for _, class in ipairs(file.classes) do
      if next(class.locals) and not class.locals.core and not class.name:find "%.core%.%l+$" then
        groups[#groups + 1] = {
          title = class.name:match "[^.]+$", class = class, functions = functions_of(file, class.name),
          prefix = class.name:match "[^.]+$":lower() .. ":", of_class = class.name,
        }
      end
    end
  end
end

-- Notes the types that are named, and by what they are made of those that these name.
local function need(self, text)
  for name in text:gmatch "stream_events%.[%w_.]+" do
    if not self.needed[name] then
      self.needed[name] = true
      local class, alias = self.classes[name], self.aliases[name]
      if class then
        for _, field in ipairs(class.fields) do
          if not field.visibility then need(self, field.type) end
        end
        need(self, class.parent or "")
      elseif alias then
        need(self, alias.type)
      end
    end
  end
end

local function need_all(self, page)
  for _, group in ipairs(page.groups) do
    if group.class then need(self, group.class.name) end
    for _, each in ipairs(group.functions) do
      for _, list in ipairs { each.parameters, each.results } do
        for _, value in ipairs(list) do need(self, value.type) end
      end
    end
  end
end

-- Classes without methods, and aliases, as far as something public names them: options, results.
local function add_types(self, page, file_name)
  local file = self:file(file_name)
  for _, class in ipairs(file.classes) do
    if self.needed[class.name] and not self.where[class.name] then
      page.types[#page.types + 1] = class
      self.where[class.name] = page
    end
  end
  for name, alias in pairs(file.aliases) do
    if self.needed[name] and not self.where[name] then
      page.aliases[#page.aliases + 1] = { name = name, type = alias.type, text = alias.text }
      self.where[name] = page
    end
  end
  table.sort(page.aliases, function(a, b) return a.name < b.name end)
end

local function files_of(subject)
  local list = {}
  local function add(text, before)
    for _, name in ipairs(names(text)) do list[#list + 1] = (before or "") .. name end
  end
  for _, module in ipairs(subject.modules or { subject.module }) do add(module.files) end
  for _, class in ipairs(subject.classes or {}) do add(class[2]) end
  add(subject.core, "_meta/")
  add(subject.also)
  return list
end

local function make_page(self, subject)
  local page = { id = subject.id, subject = subject, groups = {}, types = {}, aliases = {} }
  for _, module in ipairs(subject.modules or { subject.module }) do
    page.groups[#page.groups + 1] = module_group(self, module)
  end
  for _, class in ipairs(subject.classes or {}) do class_groups(self, page.groups, class[1], class[2]) end
  if subject.core then core_groups(self, page.groups, subject) end
  for _, group in ipairs(page.groups) do
    if group.of_class then self.where[group.of_class] = self.where[group.of_class] or page end
    for _, each in ipairs(group.functions) do
      each.shown = group.prefix == "owner" and each.owner .. "." .. each.name
        or group.prefix .. each.name
      each.id = each.shown:gsub("[:.]", "-")
      self.functions[each.shown] = { page = page, id = each.id }
      self.by_name[each.name] = self.by_name[each.name] == nil and { page = page, id = each.id } or false
    end
  end
  return page
end

--- Reads the sources.
---@param root string the folder of the sources
---@return table model pages, where (name of a type to its page), functions (name to its place)
function M.read(root)
  local self = setmetatable({
    root = root, files = {}, pages = {}, where = {}, functions = {}, by_name = {}, needed = {}, classes = {},
    aliases = {},
  }, Model)
  for i, subject in ipairs(subjects.SUBJECTS) do self.pages[i] = make_page(self, subject) end
  for _, subject in ipairs(subjects.SUBJECTS) do
    for _, name in ipairs(files_of(subject)) do
      local file = self:file(name)
      for _, class in ipairs(file.classes) do self.classes[class.name] = self.classes[class.name] or class end
      for alias, meaning in pairs(file.aliases) do self.aliases[alias] = meaning end
    end
  end
  for _, page in ipairs(self.pages) do need_all(self, page) end
  for i, subject in ipairs(subjects.SUBJECTS) do
    for _, name in ipairs(files_of(subject)) do add_types(self, self.pages[i], name) end
  end
  return self
end

return M
