--- What players get for what they have done. They say what they did; what it is worth is decided here.
local M = {}

--- The event that players send to their channel.
M.EVENT = "quest_done"

local COINS = { dragon = 50, river = 10 }

local given = {} -- a real backend has this in its database

--- The reward for an event; nil: there is none, or it was given already.
---@param event table as the webhook has it; its user was checked by the service, its other fields by nobody
---@return { user_id: string, quest: string, coins: integer, failed: fun() }?
function M.reward(event)
  local user, quest = event.user, event.quest
  if event.type ~= M.EVENT or type(user) ~= "table" or type(user.id) ~= "string" then return nil end
  local coins = type(quest) == "string" and COINS[quest]
  local key = coins and quest .. " " .. user.id
  if not coins or given[key] then return nil end
  given[key] = true -- from here on, so that another webhook gets nothing meanwhile
  return {
    user_id = user.id, quest = quest, coins = coins,
    failed = function() given[key] = nil end,
  }
end

return M
