--- Pieces of the manuals: what people copy is what specs try.
local M = {}

local ROOT = debug.getinfo(1, "S").source:match "^@(.*)spec/support/[^/]*$"

local function read(name)
  local file = assert(io.open(ROOT .. "lua/stream_events/doc/" .. name))
  local text = file:read "*a"
  file:close()
  return text
end

--- The code blocks in Lua of a section.
---@param name string of the manual, "connections.md"
---@param title string
---@return string[]
function M.lua_blocks(name, title)
  local section = assert((read(name) .. "\n## "):match("\n## " .. title .. "\n(.-)\n## "), title)
  local blocks = {}
  for block in section:gmatch "\n```lua\n(.-)```" do blocks[#blocks + 1] = block end
  return blocks
end

--- The code block of a language in the server's manual.
---@param language string "nginx", "ini", ...
---@return string
function M.block(language)
  local block = read("server.md"):match("\n```" .. language .. "\n(.-)```")
  return assert(block, "the manual has no block in " .. language)
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
