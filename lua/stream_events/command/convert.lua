--- What a word on the command line stands for. Each gives nil and what is wrong with it, as argparse
--- wants it.
local M = {}

--- A whole number.
---@param low integer
---@param high integer
---@param what string "port"
---@return fun(text: string): integer?, string?
function M.whole(low, high, what)
  return function(text)
    local number = text:match("^%d+$") and math.tointeger(tonumber(text))
    if number and number >= low and number <= high then return number end
    return nil, ("'%s' is no %s"):format(text, what)
  end
end

local MOST = 100 * 365 * 24 * 60 -- minutes; what is longer is a slip
local UNITS = { [""] = 1, m = 1, h = 60, d = 60 * 24 }

--- A time span in minutes: 30, 30m, 2h, 7d.
---@param text string
---@return integer? minutes
---@return string? message
function M.minutes(text)
  local number, unit = text:match("^(%d+)([mhd]?)$")
  local minutes = number and #number <= 9 and math.tointeger(tonumber(number)) * UNITS[unit]
  if minutes and minutes >= 1 and minutes <= MOST then return minutes end
  return nil, ("'%s' is no time span, as 30 (minutes), 30m, 2h or 7d are"):format(text)
end

--- on or off.
---@param text string
---@return boolean? value
---@return string? message
function M.switch(text)
  if text == "on" then return true end
  if text == "off" then return false end
  return nil, ("'%s' is neither on nor off"):format(text)
end

--- A list in one word: a,b. Not an empty one, which would stand for all where lists choose.
---@param text string
---@return string[]? items
---@return string? message
function M.list(text)
  local items = {}
  for item in text:gmatch("[^,]+") do items[#items + 1] = item end
  if items[1] then return items end
  return nil, ("'%s' is no list, as a,b is"):format(text)
end

return M
