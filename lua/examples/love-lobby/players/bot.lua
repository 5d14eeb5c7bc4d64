--- An honest player: strolls, waves back, trades.
local actors = require "players.actor"
local field = require "field"

local M = {}

local NEAR = 170 -- units in which one sees another

local Bot = setmetatable({}, { __index = actors.Actor })
Bot.__index = Bot

-- Some seconds, so that not all do the same at once.
local function while_of(least, most)
  return least + (most - least) * math.random()
end

local function answer_offer(self, event)
  if event.to ~= self.id then return end
  coroutine.wrap(function()
    self:sleep(while_of(0.8, 2))
    self:send("trade_accept", { id = event.raw_data.id })
  end)()
end

local function answer_wave(self, event)
  local other = self.others[event.user.id]
  if event.user.id == self.id or not other or math.random() > 0.4 then return end
  if math.abs(other.x - self.x) + math.abs(other.y - self.y) > NEAR then return end
  coroutine.wrap(function()
    self:sleep(while_of(0.3, 0.9))
    self:send("wave", { to = event.user.id })
  end)()
end

---@param settings lobby.Settings
---@param folder string where rules.lua is
---@param name string
---@return players.Actor
function M.new(settings, folder, name)
  local self = actors.new(settings, "bot-" .. name:lower(), name, folder .. "/rules.lua")
  setmetatable(self, Bot)
  self.offers = 0
  self.channel:subscribe_for("trade_offer", function(event) answer_offer(self, event) end)
  self.channel:subscribe_for("wave", function(event) answer_wave(self, event) end)
  return self
end

local function offer(self, to)
  self.offers = self.offers + 1
  local first = math.random(#field.items)
  self:send("trade_offer", {
    id = ("%s-%d"):format(self.id, self.offers), to = to,
    give = field.items[first], want = field.items[first % #field.items + 1],
  })
end

--- A stroll to somewhere, and perhaps a word with whoever is there.
function Bot:act()
  self:run_to(math.random(60, field.width - 60), math.random(80, field.height - 60))
  self:sleep(while_of(0.4, 1.6))
  local other, distance = self:nearest()
  if not other or distance > NEAR then return end
  local mood = math.random()
  if mood < 0.3 then
    self:send("wave", { to = other })
  elseif mood < 0.5 then
    offer(self, other)
    self:sleep(3)
  end
end

return M
