--- The cheater: tries one trick after the other. Has no rules of its own, which would keep it from all that.
local actors = require "players.actor"
local field = require "field"

local M = {}

local PAUSE = 1.6 -- seconds between two tricks
local FLOOD = 40 -- waves at once

local Cheater = setmetatable({}, { __index = actors.Actor })
Cheater.__index = Cheater

---@param settings lobby.Settings
---@return players.Actor
function M.new(settings)
  local self = setmetatable(actors.new(settings, "mallory", "Mallory", nil), Cheater)
  self.trick = 0
  return self
end

-- Is somewhere else at once.
local function teleport(self)
  local x = self.x < field.width / 2 and field.width - 40 or 40
  local y = self.y < field.height / 2 and field.height - 40 or 40
  self:send("move", { x = x, y = y })
end

local function leave_the_field(self)
  self:send("move", { x = field.width + 500, y = self.y })
end

local function send_other_types(self)
  self:send("move", { x = "everywhere", y = { 1, 2, 3 } })
end

local function slip_in_a_field(self)
  self:send("wave", { to = "you", role = "admin" })
end

local function give_itself_coins(self)
  self:send("grant_coins", { coins = 1000 })
end

local function trade_a_crown(self)
  local other = self:nearest()
  self:send("trade_offer", { id = "x-1", to = other or "you", give = "crown", want = "ruby" })
end

local function light_fireworks(self)
  self:send("spark", { x = self.x // 1, y = self.y // 1, hue = 0 })
end

local function make_up_a_type(self)
  self:send("kick_everybody", {})
end

local function flood(self)
  for _ = 1, FLOOD do self:send("wave", {}) end
end

-- A trap of the rules: from now on nothing of it is heard for a while.
local function try_a_trap(self)
  self:send("god_mode", { on = true })
  for _ = 1, 4 do
    self:sleep(PAUSE)
    self:send("wave", {})
  end
  self:sleep(PAUSE)
end

local TRICKS = {
  teleport, give_itself_coins, send_other_types, flood, slip_in_a_field, make_up_a_type, teleport,
  trade_a_crown, leave_the_field, light_fireworks, give_itself_coins, try_a_trap,
}

--- Runs like everybody else, then tries the next trick.
function Cheater:act()
  local x = math.max(60, math.min(field.width - 60, self.x + math.random(-160, 160)))
  local y = math.max(80, math.min(field.height - 60, self.y + math.random(-120, 120)))
  self:run_to(x, y)
  self.trick = self.trick % #TRICKS + 1
  TRICKS[self.trick](self)
  self:sleep(PAUSE)
end

return M
