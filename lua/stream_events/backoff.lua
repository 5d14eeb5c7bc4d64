--- How long to wait before the next attempt to connect (protocol §3.7).
-- Pure: the same for every client of this protocol, so that a server knows what comes back when.
local M = {}

--- The wait before a retry, spread by chance so that many clients do not return at once.
---@param failures integer consecutive failures; 1 before the first retry
---@param random fun(): number in [0, 1)
---@return number seconds with whole milliseconds
function M.delay(failures, random)
  local longest = math.min(500 + failures * 2000, 25000)
  local shortest = math.min(math.max(250, (failures - 1) * 2000), 25000)
  return math.floor(random() * (longest - shortest) + shortest) / 1000
end

return M
