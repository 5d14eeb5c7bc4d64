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
---@field scale number units of the window for one of the page
---@field sharp number pixels for one unit of the page
---@field glow love.Image a soft round light
---@field round love.Image a disc
---@field spark love.Shader makes points small lights
local Theme = {}
Theme.__index = Theme

-- Round pictures are made of what `light` says: how strong it is from the middle, 0, to the rim, 1.
local function new_round(size, light)
  local data = love.image.newImageData(size, size)
  data:mapPixel(function(x, y)
    local dx, dy = (x + 0.5) / size * 2 - 1, (y + 0.5) / size * 2 - 1
    return 1, 1, 1, light(math.sqrt(dx * dx + dy * dy))
  end)
  local image = love.graphics.newImage(data, { mipmaps = true })
  image:setMipmapFilter "nearest" -- half the work of taking the middle of two
  return image
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

-- The same light as above, made for a point: a third of the work of a picture, where there are many.
local SPARK = [[
  vec4 effect(vec4 colour, Image image, vec2 at, vec2 pixel) {
    float light = max(0.0, 1.0 - 2.0 * length(gl_PointCoord - vec2(0.5)));
    return vec4(colour.rgb, colour.a * light * light);
  }]]

---@return lobby.Theme
function M.new()
  local self = setmetatable({
    glow = new_round(64, glow), round = new_round(128, disc), spark = love.graphics.newShader(SPARK),
  }, Theme)
  self:resize()
  return self
end

local function round(number)
  return math.floor(number + 0.5)
end

--- Fits the page into the window as it is now; letters are made anew, so that they are sharp.
function Theme:resize()
  local width, height = love.graphics.getDimensions()
  local density = love.graphics.getDPIScale() -- pixels for one unit of the window
  self.scale = math.min(width / M.WIDTH, height / M.HEIGHT)
  self.sharp = self.scale * density
  -- Whole pixels, so that what is drawn of pictures and letters stays sharp.
  self.left = round((width - M.WIDTH * self.scale) / 2 * density) / density
  self.top = round((height - M.HEIGHT * self.scale) / 2 * density) / density
  self.fonts, self.pictures = {}, {}
end

-- The pixels of the window that a part of the page takes.
local function new_picture(self, x, y, width, height)
  local s = self.sharp
  local left, top = round(x * s), round(y * s)
  local canvas = love.graphics.newCanvas(math.max(1, round((x + width) * s) - left),
    math.max(1, round((y + height) * s) - top), { dpiscale = 1 })
  canvas:setFilter("nearest", "nearest") -- a pixel of it is one of the window
  return { canvas = canvas, left = left, top = top, made = -math.huge }
end

--- Paints what seldom changes once, on a picture, and anew when it is too old or the window has another size.
--- Comes before begin(): to draw on something else in the middle of a frame costs a whole one.
---@param name string
---@param x number of the page
---@param y number
---@param width number
---@param height number
---@param age number seconds
---@param paint fun() draws on the page
function Theme:prepare(name, x, y, width, height, age, paint)
  local now = love.timer.getTime()
  local picture = self.pictures[name] or new_picture(self, x, y, width, height)
  self.pictures[name] = picture
  if now - picture.made < age then return end
  picture.made = now
  love.graphics.push "all"
  love.graphics.reset()
  love.graphics.setCanvas(picture.canvas)
  love.graphics.clear(M.page)
  love.graphics.translate(-picture.left, -picture.top)
  love.graphics.scale(self.sharp)
  self:hold_text()
  paint()
  self:release_text()
  love.graphics.pop()
end

--- Draws a picture where it belongs. It hides what is below it, pixel for pixel: to mix, or to take the
--- middle of several, is half of what a frame costs where no graphics card does it.
---@param name string
function Theme:picture(name)
  local picture, density = self.pictures[name], self.sharp / self.scale
  love.graphics.push()
  love.graphics.origin()
  love.graphics.translate(self.left, self.top)
  love.graphics.scale(1 / density)
  M.paint(M.white)
  love.graphics.setBlendMode("replace", "premultiplied")
  love.graphics.draw(picture.canvas, picture.left, picture.top)
  love.graphics.setBlendMode "alpha"
  love.graphics.pop()
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
    font = love.graphics.newFont(size, "normal", math.max(1, self.sharp))
    self.fonts[size] = font
  end
  return font
end

local function print_line(self, text, x, y, of, alpha)
  M.paint(of, alpha)
  love.graphics.print(text, round(x * self.sharp) / self.sharp, round(y * self.sharp) / self.sharp)
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
  if self.held then
    local lines = self.held[size] or {}
    self.held[size] = lines
    lines[#lines + 1] = { text, x, y, of, alpha }
  else
    love.graphics.setFont(font)
    print_line(self, text, x, y, of, alpha)
  end
  return width
end

--- Text is not drawn until release_text(). What is drawn in turns, letters here and shapes there, takes ten
--- times as long as all shapes and then all letters.
function Theme:hold_text()
  self.held = {}
end

--- Draws the text that was held.
function Theme:release_text()
  local held = self.held
  self.held = nil
  for size, lines in pairs(held) do
    love.graphics.setFont(self:font(size))
    for _, line in ipairs(lines) do print_line(self, line[1], line[2], line[3], line[4], line[5]) end
  end
end

--- A soft light.
function Theme:light(x, y, radius, of, alpha)
  M.paint(of, alpha)
  love.graphics.draw(self.glow, x, y, 0, radius / 32, radius / 32, 32, 32)
end

--- A disc, or an ellipse.
---@param radius number
---@param tall number? its other radius
function Theme:disc(x, y, radius, of, alpha, tall)
  M.paint(of, alpha)
  love.graphics.draw(self.round, x, y, 0, radius / 60, (tall or radius) / 60, 64, 64)
end

return M
