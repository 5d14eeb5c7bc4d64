--- Draws the field and who is on it.
local field = require "field"
local figures = require "lobby.figures"
local theme = require "lobby.theme"
local world_module = require "lobby.world"

local M = {}

M.X, M.Y = 20, 20 -- where the field begins on the page

--- A place on the page as one on the field; nil: it is beside the field.
---@return number? x
---@return number? y
function M.to_field(x, y)
  x, y = x - M.X, y - M.Y
  if x < 0 or y < 0 or x > field.width or y > field.height then return nil end
  return x, y
end

-- The ground ---------------------------------------------------------------------------------------

local DOT = 31 -- units between two dots
local dots = {}
for x = DOT / 2, field.width, DOT do
  for y = DOT / 2, field.height, DOT do
    dots[#dots + 1] = x
    dots[#dots + 1] = y
  end
end

local TREES = {
  { 70, 84, 30 }, { 112, 58, 22 }, { 820, 70, 28 }, { 780, 96, 18 }, { 60, 556, 24 }, { 836, 548, 32 },
  { 794, 572, 22 },
}
local LAMPS = { { 255, 160 }, { 635, 160 }, { 255, 460 }, { 635, 460 } }

local function tree(page, x, y, radius)
  page:light(x, y + radius * 0.5, radius * 1.7, theme.black, 0.5)
  page:disc(x, y, radius, { 0.11, 0.30, 0.29 })
  page:disc(x - radius * 0.12, y - radius * 0.16, radius * 0.78, { 0.14, 0.39, 0.35 })
  page:disc(x - radius * 0.26, y - radius * 0.32, radius * 0.42, { 0.19, 0.49, 0.42 })
end

local function lamp(page, x, y)
  page:light(x, y, 94, theme.gold, 0.17)
  page:disc(x, y + 2, 7, theme.black, 0.4)
  page:disc(x, y, 6, theme.gold)
  page:disc(x - 1.5, y - 1.5, 2.5, theme.white, 0.9)
end

local function basin(page, x, y)
  page:light(x, y, 130, theme.accent, 0.10)
  page:disc(x, y + 3, 62, theme.black, 0.35)
  page:disc(x, y, 60, { 0.20, 0.25, 0.42 })
  page:disc(x, y, 51, { 0.10, 0.24, 0.42 })
end

local function water(page, x, y, time)
  love.graphics.setLineWidth(1.5)
  for i = 0, 2 do
    local part = (time * 0.35 + i / 3) % 1
    theme.paint(theme.accent, 0.5 * (1 - part))
    love.graphics.circle("line", x, y, 10 + part * 38)
  end
  page:disc(x, y + 1, 11, theme.black, 0.3)
  page:disc(x, y, 10, { 0.30, 0.36, 0.56 })
  page:disc(x, y, 5, theme.accent, 0.9)
end

local function paint_ground(page)
  theme.box(0, 0, field.width, field.height, 18, theme.floor, 1, theme.edge)
  theme.paint(theme.path)
  love.graphics.setLineWidth(46)
  love.graphics.ellipse("line", field.width / 2, field.height / 2, 250, 205)
  theme.paint(theme.dots)
  love.graphics.setPointSize(2 * page.sharp)
  love.graphics.points(dots)
  for _, each in ipairs(TREES) do tree(page, each[1], each[2], each[3]) end
  for _, each in ipairs(LAMPS) do lamp(page, each[1], each[2]) end
  basin(page, field.width / 2, field.height / 2)
end

--- What never moves is painted, where that has to be done.
---@param page lobby.Theme
function M.prepare(page)
  page:prepare("ground", M.X, M.Y, field.width, field.height, math.huge, function()
    love.graphics.translate(M.X, M.Y)
    paint_ground(page)
  end)
end

-- Who is on it -------------------------------------------------------------------------------------

local sorted = {}

local function lower(a, b)
  if a.y ~= b.y then return a.y < b.y end
  return a.id < b.id
end

local function players(page, world, time)
  for i = #sorted, 1, -1 do sorted[i] = nil end
  for i, player in ipairs(world.order) do sorted[i] = player end
  table.sort(sorted, lower) -- who is nearer hides who is behind
  for _, player in ipairs(sorted) do figures.shadow(page, player) end
  figures.ring(world.me)
  for _, player in ipairs(sorted) do figures.body(page, player, time) end
end

-- Above the sparks, so that they can be read in a burst.
local function names(page)
  page:hold_text()
  for _, player in ipairs(sorted) do figures.name(page, player) end
  page:release_text()
end

local function bubbles(page, world, time)
  local said = {}
  for _, offer in ipairs(world.offers) do
    figures.offer(page, offer, offer.from.x, offer.from.y)
    said[offer.from] = true
  end
  for _, player in ipairs(world.order) do
    if player.wave > 0 and not said[player] then
      figures.wave(page, player, player.x, player.y, time, player.wave)
    end
  end
  local rows = {}
  for _, mark in ipairs(world.marks) do
    local row = rows[mark.player] or 0
    figures.mark(page, mark, mark.player.x, mark.player.y, row, world_module.TIMES.mark)
    rows[mark.player] = row + 1
  end
end

local function gifts(world)
  for _, gift in ipairs(world.gifts) do
    local part = 1 - gift.left / gift.whole
    local x = gift.from.x + (gift.to.x - gift.from.x) * part
    local y = gift.from.y + (gift.to.y - gift.from.y) * part - math.sin(part * math.pi) * 70
    figures.gem(gift.item, x, y - 10, 20)
  end
end

local function rgb(hue)
  local h = hue / 60
  local x = 1 - math.abs(h % 2 - 1)
  local r, g, b = 1, x, 0
  if h >= 5 then r, g, b = 1, 0, x elseif h >= 4 then r, g, b = x, 0, 1 elseif h >= 3 then r, g, b = 0, x, 1
  elseif h >= 2 then r, g, b = 0, 1, x elseif h >= 1 then r, g, b = x, 1, 0 end
  return 0.35 + 0.65 * r, 0.35 + 0.65 * g, 0.35 + 0.65 * b
end

local COLOURS = {}
for hue = 0, 359 do COLOURS[hue] = { rgb(hue) } end

local SIZE = 13 -- units that a spark is wide

local points, shown = {}, {}
for i = 1, world_module.MOST_SPARKS do points[i] = {} end

local function sparks(page, world)
  local count = #world.sparks
  if count == 0 then return end
  for i, spark in ipairs(world.sparks) do
    local point, of = points[i], COLOURS[spark.hue]
    point[1], point[2], point[3], point[4], point[5] = spark.x, spark.y, of[1], of[2], of[3]
    point[6] = math.min(1, spark.left)
    shown[i] = point
  end
  for i = #shown, count + 1, -1 do shown[i] = nil end
  local x, y = love.graphics.transformPoint(0, 0)
  local right, low = love.graphics.transformPoint(field.width, field.height)
  love.graphics.setScissor(x, y, right - x, low - y)
  love.graphics.setBlendMode "add"
  love.graphics.setShader(page.spark)
  theme.paint(theme.white)
  love.graphics.setPointSize(SIZE * page.scale)
  love.graphics.points(shown)
  love.graphics.setShader()
  love.graphics.setBlendMode "alpha"
  love.graphics.setScissor()
end

---@param game lobby.Game
function M.draw(game)
  local page, world, time = game.theme, game.world, game.time
  love.graphics.push()
  love.graphics.translate(M.X, M.Y)
  page:picture "ground"
  water(page, field.width / 2, field.height / 2, time)
  if game.goal then
    theme.paint(theme.white, 0.5)
    love.graphics.setLineWidth(1.5)
    love.graphics.circle("line", game.goal.x, game.goal.y, 7 + math.sin(time * 6) * 2)
  end
  players(page, world, time)
  gifts(world)
  sparks(page, world)
  names(page)
  bubbles(page, world, time)
  love.graphics.pop()
end

return M
