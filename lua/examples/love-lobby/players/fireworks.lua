--- Lights fireworks when somebody asks for them: a burst of 10 000 events. And since it has the secret of a
-- backend it gives coins to whoever comes.
local actors = require "players.actor"
local field = require "field"

local M = {}

local SPARKS = 10000
local SHELLS = 24 -- places from which they come
local IN_FLIGHT = 48
local WELCOME = 50 -- coins

local Fireworks = setmetatable({}, { __index = actors.Actor })
Fireworks.__index = Fireworks

-- Places one after the other, the sparks of each around it.
local function spark(i, shells)
  local shell = shells[(i - 1) * SHELLS // SPARKS + 1]
  local angle, distance = math.random() * 2 * math.pi, 90 * math.sqrt(math.random())
  return {
    x = math.max(0, math.min(field.width, math.floor(shell.x + math.cos(angle) * distance))),
    y = math.max(0, math.min(field.height, math.floor(shell.y + math.sin(angle) * distance))),
    hue = (shell.hue + math.random(0, 40)) % 360,
  }
end

local function burst(self)
  if self.is_burning then return end
  self.is_burning = true
  local shells, sent, answered = {}, 0, 0
  for i = 1, SHELLS do
    local x, y = math.random(90, field.width - 90), math.random(90, field.height - 90)
    shells[i] = { x = x, y = y, hue = math.random(0, 359) }
  end
  local function go_on()
    sent = sent + 1
    self.channel:send_event("spark", spark(sent, shells), function()
      answered = answered + 1
      if sent < SPARKS and not self.stopped then go_on() end
      if answered == SPARKS then self.is_burning = false end
    end)
  end
  for _ = 1, IN_FLIGHT do go_on() end
end

local function welcome(self, user)
  if user.id == self.id or user.id:find "^bot%-" or user.id == "mallory" then return end
  self.client:send_user_custom_event(user.id, { type = "grant_coins", coins = WELCOME }, function() end)
end

---@param settings lobby.Settings
---@param folder string where rules.lua is
---@return players.Actor
function M.new(settings, folder)
  local self = actors.new(settings, field.firework, "Fireworks", folder .. "/rules.lua")
  setmetatable(self, Fireworks)
  self.channel:subscribe_for("encore", function() burst(self) end)
  self.channel:subscribe_for("user.watching.start", function(event) welcome(self, event.user) end)
  return self
end

--- Stands nowhere on the field.
function Fireworks:show() end

function Fireworks:act()
  self:sleep(3600)
end

return M
