--- Which known word a misspelt one was probably meant to be.
local M = {}

-- Longer words than this are no slip of the finger, and comparing them would take long.
local LONGEST = 64

--- Edits (insert, delete, replace a letter) that make one word of the other.
---@param a string
---@param b string
---@return integer
function M.distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local corner = row[0]
    row[0] = i
    for j = 1, #b do
      local above = row[j]
      local change = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(above + 1, row[j - 1] + 1, corner + change)
      corner = above
    end
  end
  return row[#b]
end

--- The known word that is nearest, if it is near enough to be what was meant.
---@param word any anything but a string is near to nothing
---@param known table<string, any> the known words are its keys
---@return string?
function M.nearest(word, known)
  if type(word) ~= "string" or #word > LONGEST then return nil end
  local lower = word:lower()
  local best, fewest
  for candidate in pairs(known) do
    local edits = M.distance(lower, candidate:lower())
    if not fewest or edits < fewest or (edits == fewest and candidate < best) then
      best, fewest = candidate, edits
    end
  end
  -- Of a word of three letters two are too many to be wrong: nearly every other is as near.
  local most = #word <= 3 and 1 or math.max(2, math.floor(#word / 3))
  if fewest and fewest <= most and fewest < #word then return best end
  return nil
end

return M
