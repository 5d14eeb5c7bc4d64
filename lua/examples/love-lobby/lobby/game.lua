--- The game: its parts, and what keys and frames do to them.
local Drops = require "lobby.drops"
local Meter = require "lobby.meter"
local Network = require "lobby.network"
local World = require "lobby.world"
local draw = require "lobby.draw"
local hud = require "lobby.hud"
local notice = require "lobby.notice"
local plugin = require "lobby.plugin"
local settings_module = require "lobby.settings"
local theme = require "lobby.theme"

local M = {}

---@class lobby.Game
---@field world lobby.World
---@field drops lobby.Drops
---@field meter lobby.Meter
---@field network lobby.Network? nil: the plugin could not be loaded
---@field problem string? why
local Game = {}
Game.__index = Game

local function read_settings(arguments)
  local settings, message = settings_module.read(arguments, love.math.random)
  if settings then return settings end
  io.stderr:write(message, "\n", settings_module.USAGE, "\n")
  love.event.quit(2)
  return settings_module.read({}, love.math.random)
end

---@param arguments string[] of the command line
---@return lobby.Game
function M.new(arguments)
  local settings = read_settings(arguments)
  local self = setmetatable({
    settings = settings, drops = Drops.new(), meter = Meter.new(), theme = theme.new(), time = 0,
    world = World.new(settings.id, settings.name, love.math.random),
  }, Game)
  love.window.setTitle("Lobby: " .. settings.name)
  local stream_events, rules = plugin.load()
  if not stream_events then
    self.problem = rules
    return self
  end
  self.network = Network.new {
    stream_events = stream_events, rules = rules, settings = settings, world = self.world,
    drops = self.drops, meter = self.meter, clock = love.timer.getTime,
  }
  return self
end

local KEYS = { left = { -1, 0 }, right = { 1, 0 }, up = { 0, -1 }, down = { 0, 1 } }
KEYS.a, KEYS.d, KEYS.w, KEYS.s = KEYS.left, KEYS.right, KEYS.up, KEYS.down

local function run(self, dt)
  local dx, dy = 0, 0
  for key, direction in pairs(KEYS) do
    if love.keyboard.isDown(key) then dx, dy = dx + direction[1], dy + direction[2] end
  end
  if dx ~= 0 or dy ~= 0 then
    self.goal = nil
    self.world:run(dx, dy, dt)
    return
  end
  if love.mouse.isDown(1) then
    local x, y = draw.to_field(self.theme:from_screen(love.mouse.getPosition()))
    self.goal = x and { x = x, y = y } or self.goal
  end
  if self.goal and not self.world:run_to(self.goal.x, self.goal.y, dt) then self.goal = nil end
end

---@param dt number seconds
function Game:update(dt)
  self.time = self.time + dt
  self.meter:add_frame(dt * 1000)
  if not self.network then return end
  run(self, dt)
  self.network:update()
  self.world:update(dt)
end

function Game:draw()
  draw.prepare(self.theme)
  hud.prepare(self)
  self.theme:begin()
  draw.draw(self)
  hud.draw(self)
  if not self.network or self.network.state ~= "online" then notice.draw(self) end
  self.theme:finish()
end

local ACTIONS = { space = "wave", t = "offer", y = "accept", b = "encore", r = "reconnect" }

---@param key string
function Game:key(key)
  if key == "escape" then return love.event.quit() end
  local action = ACTIONS[key]
  if action and self.network then self.network[action](self.network) end
end

function Game:resize()
  self.theme:resize()
end

function Game:close()
  if self.network then self.network:close() end
end

return M
