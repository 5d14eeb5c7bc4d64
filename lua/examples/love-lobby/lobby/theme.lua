--- How the lobby looks: colours, letters, and the few shapes that all of it is made of. Everything is drawn
-- on a page of 1280 by 720, which is fitted into the window, whatever its size.
local M = {}

M.WIDTH, M.HEIGHT = 1280, 720

local function colour(hex)
  local value = tonumber(hex, 16)
  return {
    math.floor(value / 65536) / 255, math.floor(value / 256) % 256 / 255, value % 256 / 255,
  }
end

M.page, M.card, M.edge = colour "0b0e1a", colour "141a2e", colour "242c49"
M.floor, M.dots, M.path = colour "1a2242", colour "2b3766", colour "212c54"
M.text, M.dim, M.faint = colour "eef1ff", colour "98a2c8", colour "5a6592"
M.accent, M.good, M.warn, M.bad = colour "6fd6ff", colour "5fe3a1", colour "ffca6b", colour "ff6f8b"
M.gold, M.white, M.black = colour "ffd873", colour "ffffff", colour "05070f"

M.players = {
  colour "6f9bff", colour "ff8fb0", colour "ffc76b", colour "63e0b0", colour "c08cff",
  colour "ff9a6b", colour "5ecbff", colour "b5e266", colour "f28be6", colour "8ee0e6",
}
M.items = { ruby = colour "ff5c7a", emerald = colour "43d98b", sapphire = colour "5b8cff" }

---@class lobby.Theme
---@field scale number pixels for one unit of the page
---@field glow love.Image a soft round light
---@field round love.Image a disc
---@field sparks love.SpriteBatch many small lights, drawn at once
local Theme = {}
Theme.__index = Theme

-- Round pictures are made of what `light` says: how strong it is from the middle, 0, to the rim, 1.
local function new_round(size, light)
  local data = love.image.newImageData(size, size)
  data:mapPixel(function(x, y)
    local dx, dy = (x + 0.5) / size * 2 - 1, (y + 0.5) / size * 2 - 1
    return 1, 1, 1, light(math.sqrt(dx * dx + dy * dy))
  end)
  return love.graphics.newImage(data, { mipmaps = true })
end

-- A light that fades to nothing.
local function glow(distance)
  return math.max(0, 1 - distance) ^ 2
end

-- A disc with a soft rim: smooth also where the window has no antialiasing, which is slow without a
-- graphics card. Its radius is 60 of 64.
local function disc(distance)
  return math.max(0, math.min(1, (60 / 64 - distance) * 64 + 0.5))
end

---@return lobby.Theme
function M.new()
  local self = setmetatable({ glow = new_round(64, glow), round = new_round(128, disc) }, Theme)
  self.sparks = love.graphics.newSpriteBatch(self.glow, 1000, "stream")
  self:resize()
  return self
end

--- Fits the page into the window as it is now; letters are made anew, so that they are sharp.
function Theme:resize()
  local width, height = love.graphics.getDimensions()
  self.scale = math.min(width / M.WIDTH, height / M.HEIGHT)
  self.left = (width - M.WIDTH * self.scale) / 2
  self.top = (height - M.HEIGHT * self.scale) / 2
  self.fonts, self.pictures = {}, {}
end

--- Draws what seldom changes: a picture of it, made anew when it is too old or the window has another size.
---@param name string
---@param x number of the page
---@param y number
---@param width number
---@param height number
---@param age number seconds
---@param paint fun() draws on the page
function Theme:picture(name, x, y, width, height, age, paint)
  local picture, now = self.pictures[name], love.timer.getTime()
  if not picture then
    local canvas = love.graphics.newCanvas(width, height, { dpiscale = self.scale })
    picture = { canvas = canvas, made = -math.huge }
    self.pictures[name] = picture
  end
  if now - picture.made >= age then
    picture.made = now
    love.graphics.push "all"
    love.graphics.reset()
    love.graphics.setCanvas(picture.canvas)
    love.graphics.clear(0, 0, 0, 0)
    love.graphics.translate(-x, -y)
    paint()
    love.graphics.pop()
  end
  M.paint(M.white)
  love.graphics.setBlendMode("alpha", "premultiplied")
  love.graphics.draw(picture.canvas, x, y)
  love.graphics.setBlendMode "alpha"
end

---@return number x of the page
---@return number y
function Theme:from_screen(x, y)
  return (x - self.left) / self.scale, (y - self.top) / self.scale
end

function Theme:begin()
  love.graphics.clear(M.page)
  love.graphics.push()
  love.graphics.translate(self.left, self.top)
  love.graphics.scale(self.scale)
end

function Theme:finish()
  love.graphics.pop()
end

-- Shapes ------------------------------------------------------------------------------------------

--- The colour of what follows.
---@param of number[]
---@param alpha number?
function M.paint(of, alpha)
  love.graphics.setColor(of[1], of[2], of[3], alpha or 1)
end

--- A rectangle with round corners, and perhaps an edge of another colour.
function M.box(x, y, width, height, radius, fill, alpha, edge)
  M.paint(fill, alpha)
  love.graphics.rectangle("fill", x, y, width, height, radius, radius)
  -- A line is smooth at its sides, so it makes the corners smooth.
  if edge or (alpha or 1) == 1 then
    M.paint(edge or fill, alpha)
    love.graphics.setLineWidth(1)
    love.graphics.rectangle("line", x + 0.5, y + 0.5, width - 1, height - 1, radius, radius)
  end
end

--- Letters of a size, made when they are first needed.
---@return love.Font
function Theme:font(size)
  local font = self.fonts[size]
  if not font then
    font = love.graphics.newFont(size, "normal", math.max(1, self.scale * love.graphics.getDPIScale()))
    self.fonts[size] = font
  end
  return font
end

--- A line of text.
---@param text string
---@param x number its left, middle or right end, as `align` says
---@param y number its top
---@param size number
---@param of number[] colour
---@param align "left"|"center"|"right"|nil
---@param alpha number?
---@return number width
function Theme:text(text, x, y, size, of, align, alpha)
  local font = self:font(size)
  local width = font:getWidth(text)
  if align == "center" then x = x - width / 2 elseif align == "right" then x = x - width end
  love.graphics.setFont(font)
  M.paint(of, alpha)
  love.graphics.print(text, math.floor(x * self.scale + 0.5) / self.scale,
    math.floor(y * self.scale + 0.5) / self.scale)
  return width
end

--- A soft light.
function Theme:light(x, y, radius, of, alpha)
  M.paint(of, alpha)
  love.graphics.draw(self.glow, x, y, 0, radius / 32, radius / 32, 32, 32)
end

--- A disc.
function Theme:disc(x, y, radius, of, alpha)
  M.paint(of, alpha)
  love.graphics.draw(self.round, x, y, 0, radius / 60, radius / 60, 64, 64)
end

return M
