--- Texts of strangers, made fit to be shown: of valid UTF-8, on one line, and not long.
local M = {}

local CHARACTER = "[%z\1-\127\194-\244][\128-\191]*"

--- At most so many characters, with "…" in place of what is left out.
---@param value any what is no string gives nil
---@param most integer
---@return string?
function M.clip(value, most)
  if type(value) ~= "string" then return nil end
  local characters = {}
  for character in value:gmatch(CHARACTER) do
    if #characters == most then
      characters[most] = "…"
      break
    end
    characters[#characters + 1] = character:find "^%c" and " " or character
  end
  return table.concat(characters)
end

--- As much of a text as there is room for.
---@param value string
---@param width_of fun(value: string): number
---@param room number
---@return string
function M.fit(value, width_of, room)
  local shown, most = value, 40
  while width_of(shown) > room and most > 1 do
    shown, most = M.clip(value, most), most - 1
  end
  return shown
end

return M
