--- Pieces of the README and the manual: what people copy is what specs try. A block says by its info string
-- what it is:
--
--     lua            a program, or a rule file when its first line is a comment "NAME.lua: ..."; it prints
--                    what stands behind "-->"
--     sh, or none    command lines
--     c              C, as it can be compiled
--     json           JSON
--     text           what is printed, or lies in a folder: there is nothing to try
--     LANGUAGE by hand   cannot be run where specs run; it is still checked to be of that language
--
-- Other languages (nginx, ini, ...) are settings of other programs, which have specs of their own.
local M = {}

local ROOT = debug.getinfo(1, "S").source:match "^@(.*)spec/support/[^/]*$"
local FOLDER = "lua/stream_events/doc/"

--- The text of a chapter.
---@param name string "connections.md"; "README.md" is the one at the top
---@return string
function M.read(name)
  local path = name == "README.md" and name or FOLDER .. name
  local file = assert(io.open(ROOT .. path))
  local text = file:read "*a"
  file:close()
  return text
end

--- The README and all chapters.
---@return string[]
function M.chapters()
  local names = { "README.md" }
  local pipe = assert(io.popen(("ls '%s%s'"):format(ROOT, FOLDER)))
  for name in pipe:lines() do
    if name:find "%.md$" then names[#names + 1] = name end
  end
  pipe:close()
  return names
end

---@class support.Block
---@field language string "lua", "sh", "nginx", ...; "": none is said
---@field by_hand boolean
---@field text string without the indent of a list
---@field line integer where its text begins
---@field sections table<string, true> titles of the sections around it
---@field section string the innermost one

--- All code blocks of a text, in order.
---@param text string
---@return support.Block[]
function M.blocks_of(text)
  local found, block, indent, lines, titles, number = {}, nil, nil, nil, {}, 0
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    local spaces, info = line:match "^( *)```(.*)$"
    local level, title = line:match "^(#+) (.*)$"
    if block and spaces then
      assert(info == "", "a block ends oddly at line " .. number)
      block.text = table.concat(lines, "\n") .. "\n"
      found[#found + 1] = block
      block = nil
    elseif block then
      lines[#lines + 1] = line:sub(#indent + 1)
    elseif spaces then
      indent, lines = spaces, {}
      block = {
        language = info:match "^%S*", by_hand = info:find " by hand$" ~= nil, line = number + 1,
        sections = {},
      }
      for i = 1, #titles do
        if titles[i] then block.sections[titles[i]] = true end
        block.section = titles[i] or block.section
      end
    elseif level then
      titles[#level] = title
      for i = 1, #level do titles[i] = titles[i] or false end
      for i = #titles, #level + 1, -1 do titles[i] = nil end
    end
  end
  assert(not block, "a block has no end")
  return found
end

--- The code blocks of a chapter, of one language or all.
---@param name string as for read()
---@param language string?
---@param title string? of the section they are in
---@return support.Block[]
function M.blocks(name, language, title)
  local found, seen = {}, title == nil
  for _, block in ipairs(M.blocks_of(M.read(name))) do
    local inside = title == nil or block.sections[title]
    seen = seen or inside
    if inside and (language == nil or block.language == language) then found[#found + 1] = block end
  end
  assert(seen, "no block in a section " .. tostring(title))
  return found
end

local function texts(blocks)
  local list = {}
  for i, block in ipairs(blocks) do list[i] = block.text end
  return list
end

--- The texts of the blocks in Lua of a section.
---@param name string of the chapter, "connections.md"
---@param title string
---@return string[]
function M.lua_blocks(name, title)
  return texts(M.blocks(name, "lua", title))
end

--- The texts of all blocks of a language.
---@param name string of the chapter
---@param language string
---@return string[]
function M.texts(name, language)
  return texts(M.blocks(name, language))
end

--- The first code block of a language in the server's manual.
---@param language string "nginx", "ini", ...
---@return string
function M.block(language)
  local block = M.blocks("server.md", language)[1]
  return assert(block, "the manual has no block in " .. language).text
end

--- The name of a rule file that a block is.
---@param block support.Block
---@return string? name nil: it is a program
function M.rule_file(block)
  return not block.text:find("require", 1, true) and block.text:match "^%-%- ([%w_]+%.lua): " or nil
end

--- A block with parts of it replaced; each has to be in there.
---@param text string
---@param changes string[][] { old, new }, plain texts, one after the other
---@return string
function M.with(text, changes)
  for _, change in ipairs(changes) do
    local old, new = change[1], change[2]
    local from, to = text:find(old, 1, true)
    assert(from, "the manual does not have: " .. old)
    while from do
      text = text:sub(1, from - 1) .. new .. text:sub(to + 1)
      from, to = text:find(old, from + #new, true)
    end
  end
  return text
end

return M
