--- The numbers from 0 to 999 as three digits each: to look one up is a fraction of what writing it takes.
local DIGITS = {}
for number = 0, 999 do DIGITS[number] = ("%03d"):format(number) end

---@type table<integer, string>
return DIGITS
