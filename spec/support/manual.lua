--- Pieces of the server's manual: what operators copy is what specs try.
local command = require "support.command"

local M = {}

--- The code block of a language.
---@param language string "nginx", "ini", ...
---@return string
function M.block(language)
  local file = assert(io.open(command.ROOT .. "lua/stream_events/doc/server.md"))
  local text = file:read "a"
  file:close()
  local block = text:match("\n```" .. language .. "\n(.-)```")
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
