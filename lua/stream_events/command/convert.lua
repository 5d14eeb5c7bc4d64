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

local MOST = 1000000
local UNITS = { [""] = 1, m = 1, h = 60, d = 60 * 24 }

--- A time span in minutes: 30, 30m, 2h, 7d.
---@param text string
---@return integer? minutes
---@return string? message
function M.minutes(text)
  local number, unit = text:match("^(%d+)([mhd]?)$")
  local count = number and math.tointeger(tonumber(number))
  if count and count >= 1 and count <= MOST then return count * UNITS[unit] end
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

--- A list in one word: a,b.
---@param text string
---@return string[]
function M.list(text)
  local items = {}
  for item in text:gmatch("[^,]+") do items[#items + 1] = item end
  return items
end

return M
