--- Changes about the same thing, made one after the other, in the order of the calls.
local M = {}

--- Runs begin(next_one) as soon as no other about the same subject is under way.
---@param context table of the client
---@param subject any
---@param begin fun(next_one: fun()) has to call next_one once, when it is over
function M.take(context, subject, begin)
  local waiting = context.turns[subject]
  if waiting then
    waiting[#waiting + 1] = begin
    return
  end
  waiting = {}
  context.turns[subject] = waiting
  local function next_one()
    local run = table.remove(waiting, 1)
    if run then return run(next_one) end
    context.turns[subject] = nil
  end
  begin(next_one)
end

return M
