--- Who is where on the field, and what goes on between them. Pure: events and time come in, what is drawn
-- is read out of it. What comes in has passed the rules; but a truth from a lie that fits they cannot tell,
-- so an answer to an offer counts only where there is such an offer to that player.
local field = require "field"
local text = require "lobby.text"

local M = {}

-- Strangers decide how many of these there are; more are not kept.
local MOST_PLAYERS, MOST_OFFERS, MOST_SPARKS, MOST_MARKS, MOST_GIFTS = 64, 32, 1200, 24, 32

local GLIDE = 0.14 -- seconds to where an event says that a player is: a little more than between two events
local WAVE, OFFER, SPARK, MARK, GIFT = 2.4, 9, 1.6, 2, 0.9 -- seconds that they are to be seen
local HUES = 10

---@class lobby.Player
---@field id string
---@field name string
---@field hue integer which of the colours
---@field x number where it is drawn
---@field y number
---@field to_x number where it is, by the last event
---@field to_y number
---@field look number direction it looks in, radians
---@field stride number how far it has run, for its gait
---@field is_running boolean
---@field wave number seconds left of waving
---@field dropped integer events of it that the rules kept out
---@field is_self boolean

---@class lobby.Offer
---@field id string
---@field from lobby.Player
---@field to lobby.Player
---@field give string
---@field want string
---@field left number seconds

---@class lobby.World
---@field me lobby.Player
---@field players table<string, lobby.Player> by id
---@field order lobby.Player[] in the order in which they came
---@field offers lobby.Offer[]
---@field sparks table[] x, y, vx, vy, hue, left
---@field marks table[] player, reason, count, left: what was kept out, where it came from
---@field gifts table[] from, to, item, left: on the way from one player to the other
---@field pouch table<string, integer> what I have
---@field coins integer
local World = {}
World.__index = World

-- One that follows from the id; where others have it already, the next that is free.
local function hue_of(id, order)
  local sum, taken = 7, {}
  for i = 1, #id do sum = (sum * 31 + id:byte(i)) % 65521 end
  for _, player in ipairs(order) do taken[player.hue] = true end
  for i = 0, HUES - 1 do
    local hue = (sum + i) % HUES + 1
    if not taken[hue] then return hue end
  end
  return sum % HUES + 1
end

local function clamp(value, most)
  return math.max(0, math.min(value, most))
end

local function new_player(id, name, x, y, order)
  return {
    id = id, name = text.clip(name, 16) or text.clip(id, 16), hue = hue_of(id, order),
    x = x, y = y, from_x = x, from_y = y, to_x = x, to_y = y, glide = 1,
    look = math.pi / 2, stride = 0, is_running = false, wave = 0, dropped = 0, is_self = false,
  }
end

---@param id string of the own user
---@param name string
---@param random fun(): number
---@return lobby.World
function M.new(id, name, random)
  local x = field.width * (0.3 + 0.4 * random())
  local y = field.height * (0.62 + 0.2 * random())
  local me = new_player(id, name, math.floor(x), math.floor(y), {})
  me.is_self = true
  local pouch = {}
  for _, item in ipairs(field.items) do pouch[item] = 3 end
  return setmetatable({
    me = me, players = { [id] = me }, order = { me }, random = random,
    offers = {}, sparks = {}, marks = {}, gifts = {}, pouch = pouch, coins = 0,
  }, World)
end

-- Events ------------------------------------------------------------------------------------------

-- The player of an event; nil: there are too many.
local function player_of(self, user, x, y)
  local player = self.players[user.id]
  if player then
    -- A name that was not known at first.
    if player.name == player.id then player.name = text.clip(user.name, 16) or player.name end
    return player
  end
  if #self.order >= MOST_PLAYERS then return nil end
  player = new_player(user.id, user.name, x, y, self.order)
  self.players[user.id] = player
  self.order[#self.order + 1] = player
  return player
end

--- Somebody is at a place. What I did myself I know already.
---@param user { id: string, name: any }
---@param x number
---@param y number
function World:move(user, x, y)
  local player = player_of(self, user, x, y)
  if not player or player.is_self then return end
  player.from_x, player.from_y, player.glide = player.x, player.y, 0
  player.to_x, player.to_y = x, y
end

--- Somebody waves.
---@param user { id: string }
function World:wave(user)
  local player = self.players[user.id]
  if player then player.wave = WAVE end
end

--- Somebody offers a trade.
---@param user { id: string }
---@param offer { id: string, to: string, give: string, want: string }
function World:offer(user, offer)
  local from, to = self.players[user.id], self.players[offer.to]
  if not from or not to or #self.offers >= MOST_OFFERS then return end
  for i = #self.offers, 1, -1 do -- a new offer takes the place of the one before
    if self.offers[i].from == from then table.remove(self.offers, i) end
  end
  self.offers[#self.offers + 1] = {
    id = offer.id, from = from, to = to, give = offer.give, want = offer.want, left = OFFER,
  }
end

local function give(self, from, to, item)
  if #self.gifts < MOST_GIFTS then
    self.gifts[#self.gifts + 1] = { from = from, to = to, item = item, left = GIFT, whole = GIFT }
  end
  if from.is_self then self.pouch[item] = self.pouch[item] - 1 end
  if to.is_self then self.pouch[item] = self.pouch[item] + 1 end
end

--- Somebody takes an offer.
---@param user { id: string }
---@param id string of the offer
function World:accept(user, id)
  for i, offer in ipairs(self.offers) do
    if offer.id == id and offer.to.id == user.id then
      table.remove(self.offers, i)
      give(self, offer.from, offer.to, offer.give)
      give(self, offer.to, offer.from, offer.want)
      return
    end
  end
end

--- A light of the fireworks.
function World:spark(x, y, hue)
  if #self.sparks >= MOST_SPARKS then return end
  local angle, speed = self.random() * 2 * math.pi, 12 + 50 * self.random()
  self.sparks[#self.sparks + 1] = {
    x = x, y = y, vx = math.cos(angle) * speed, vy = math.sin(angle) * speed, hue = hue,
    left = SPARK * (0.5 + 0.5 * self.random()),
  }
end

--- The rules kept out what somebody sent.
---@param id string? of the sender
---@param reason string
function World:dropped(id, reason)
  local player = id and self.players[id]
  if not player then return end
  player.dropped = player.dropped + 1
  for _, mark in ipairs(self.marks) do
    if mark.player == player and mark.reason == reason then
      mark.count, mark.left = mark.count + 1, math.max(mark.left, MARK * 0.6)
      return
    end
  end
  if #self.marks >= MOST_MARKS then table.remove(self.marks, 1) end
  self.marks[#self.marks + 1] = { player = player, reason = reason, count = 1, left = MARK }
end

local function remove_where(list, is_gone)
  local kept = 0
  for i = 1, #list do
    local each = list[i]
    list[i] = nil
    if not is_gone(each) then
      kept = kept + 1
      list[kept] = each
    end
  end
end

--- Somebody has gone, and what began with them ends.
---@param id string
function World:leave(id)
  local player = self.players[id]
  if not player or player.is_self then return end
  self.players[id] = nil
  remove_where(self.order, function(each) return each == player end)
  remove_where(self.marks, function(mark) return mark.player == player end)
  for _, list in ipairs { self.offers, self.gifts } do
    remove_where(list, function(each) return each.from == player or each.to == player end)
  end
end

--- Nobody but me is here, as far as I know.
function World:leave_all()
  for i = #self.order, 1, -1 do self:leave(self.order[i].id) end
end

-- What I do ---------------------------------------------------------------------------------------

--- Runs in a direction.
---@param dx number
---@param dy number
---@param dt number seconds
---@return boolean moved
function World:run(dx, dy, dt)
  local length = math.sqrt(dx * dx + dy * dy)
  if length == 0 then return false end
  local me, step = self.me, field.speed * math.min(dt, 0.1)
  me.to_x = clamp(me.to_x + dx / length * step, field.width)
  me.to_y = clamp(me.to_y + dy / length * step, field.height)
  return true
end

--- Runs towards a place.
---@return boolean moved
function World:run_to(x, y, dt)
  local dx, dy = clamp(x, field.width) - self.me.to_x, clamp(y, field.height) - self.me.to_y
  local step = field.speed * math.min(dt, 0.1)
  if dx * dx + dy * dy <= step * step then return false end
  return self:run(dx, dy, dt)
end

--- The player next to me; nil: I am alone.
---@return lobby.Player?
function World:nearest()
  local found, least = nil, math.huge
  for _, player in ipairs(self.order) do
    local dx, dy = player.x - self.me.x, player.y - self.me.y
    local distance = dx * dx + dy * dy
    if not player.is_self and distance < least then found, least = player, distance end
  end
  return found
end

--- The oldest offer to me.
---@return lobby.Offer?
function World:offer_to_me()
  for _, offer in ipairs(self.offers) do
    if offer.to.is_self then return offer end
  end
  return nil
end

-- Time --------------------------------------------------------------------------------------------

local atan2 = math.atan2 or math.atan -- as Lua 5.4 calls it

local function glide(player, dt)
  local x, y = player.x, player.y
  if player.is_self then
    player.x, player.y = player.to_x, player.to_y
  elseif player.glide < 1 then
    player.glide = math.min(1, player.glide + dt / GLIDE)
    player.x = player.from_x + (player.to_x - player.from_x) * player.glide
    player.y = player.from_y + (player.to_y - player.from_y) * player.glide
  end
  local dx, dy = player.x - x, player.y - y
  local distance = math.sqrt(dx * dx + dy * dy)
  player.is_running = distance > 0.01
  player.stride = player.stride + distance
  if player.is_running then
    local turn = atan2(dy, dx) - player.look
    turn = (turn + math.pi) % (2 * math.pi) - math.pi
    player.look = player.look + turn * math.min(1, dt * 12)
  end
  player.wave = math.max(0, player.wave - dt)
end

local function run_out(list, dt)
  remove_where(list, function(each)
    each.left = each.left - dt
    return each.left <= 0
  end)
end

--- Lets time pass.
---@param dt number seconds
function World:update(dt)
  for _, player in ipairs(self.order) do glide(player, dt) end
  local drag = math.max(0, 1 - 1.8 * dt)
  for _, spark in ipairs(self.sparks) do
    spark.x, spark.y = spark.x + spark.vx * dt, spark.y + spark.vy * dt
    spark.vx, spark.vy = spark.vx * drag, spark.vy * drag + 14 * dt
  end
  for _, list in ipairs { self.offers, self.sparks, self.marks, self.gifts } do run_out(list, dt) end
end

M.TIMES = { wave = WAVE, offer = OFFER, spark = SPARK, mark = MARK }
M.HUES, M.MOST_SPARKS = HUES, MOST_SPARKS

return M
