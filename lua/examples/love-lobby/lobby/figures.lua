--- What stands on the field: players, what they say, and what they trade.
local theme = require "lobby.theme"

local M = {}

local RADIUS = 17

--- A gem of some item, in the middle of x and y.
function M.gem(item, x, y, size)
  local of = theme.items[item]
  local w, h = size * 0.5, size * 0.46
  local left, right, rim, top = x - w, x + w, y - h * 0.25, y - h
  theme.paint(of)
  love.graphics.setLineWidth(1)
  for _, mode in ipairs { "fill", "line" } do -- the line makes it smooth
    love.graphics.polygon(mode, left, rim, x - w * 0.55, top, x + w * 0.55, top, right, rim, x, y + h)
  end
  theme.paint(theme.white, 0.55)
  love.graphics.polygon("fill", x - w * 0.55, top, x + w * 0.55, top, x + w * 0.3, rim, x - w * 0.3, rim)
  theme.paint(theme.white, 0.22)
  love.graphics.polygon("fill", left, rim, x - w * 0.3, rim, x, y + h)
  theme.paint(theme.black, 0.16)
  love.graphics.polygon("fill", right, rim, x + w * 0.3, rim, x, y + h)
end

local function eye(page, x, y, dx, dy, blinks)
  if blinks then return page:disc(x, y, 4.5, theme.black, 0.7, 1.3) end
  page:disc(x, y, 5, theme.white)
  page:disc(x + dx * 2, y + dy * 2, 2.6, theme.black)
end

-- A player is drawn in steps, each of all players together: what is of one kind is drawn at once then.

--- What lies below a player on the ground.
---@param page lobby.Theme
---@param player lobby.Player
function M.shadow(page, player)
  page:light(player.x, player.y + RADIUS - 1, 26, theme.black, 0.75)
end

--- The ring around the own player.
---@param player lobby.Player
function M.ring(player)
  theme.paint(theme.white, 0.85)
  love.graphics.setLineWidth(2)
  love.graphics.ellipse("line", player.x, player.y + RADIUS - 2, 22, 9)
end

--- A player itself.
---@param page lobby.Theme
---@param player lobby.Player
---@param time number seconds, for what moves by itself
function M.body(page, player, time)
  local x = player.x
  local bob = player.is_running and math.abs(math.sin(player.stride / 14)) * 5 or math.sin(time * 2 + x) * 0.8
  local y = player.y - bob
  page:disc(x, y, RADIUS, theme.black, 0.35)
  page:disc(x, y, RADIUS - 1, theme.players[player.hue])
  page:disc(x - 4, y - 8, 8, theme.white, 0.18, 5)
  local dx, dy = math.cos(player.look), math.sin(player.look)
  local blinks = (time + player.hue * 0.7) % 3.4 < 0.12
  eye(page, x + dx * 4 - 5.5, y - 2 + dy * 3, dx, dy, blinks)
  eye(page, x + dx * 4 + 5.5, y - 2 + dy * 3, dx, dy, blinks)
end

--- Its name.
---@param page lobby.Theme
---@param player lobby.Player
function M.name(page, player)
  local x, y = player.x, player.y
  local of = player.is_self and theme.white or theme.text
  local width = page:text(player.name, x, y + 24, 12, of, "center")
  theme.box(x - width / 2 - 7, y + 22, width + 14, 18, 9, theme.black, 0.5)
end

-- A bubble over a head, with its tip above the player.
local function bubble(x, y, width, height, alpha)
  local left, top = x - width / 2, y - height - 8
  theme.box(left, top + 3, width, height, 12, theme.black, 0.25 * alpha)
  theme.box(left, top, width, height, 12, theme.text, alpha)
  love.graphics.polygon("fill", x - 6, y - 9, x + 6, y - 9, x, y - 1)
end

-- An open hand, its wrist in the middle.
local function hand(page, of, alpha)
  page:disc(0, -7, 6.5, of, alpha)
  for i, length in ipairs { 7, 9, 9, 7 } do
    local lean = (i - 2.5) * 0.22
    love.graphics.push()
    love.graphics.translate((i - 2.5) * 3.4, -10)
    love.graphics.rotate(lean)
    love.graphics.rectangle("fill", -1.6, -length, 3.2, length, 1.6, 1.6)
    love.graphics.pop()
  end
  love.graphics.push()
  love.graphics.translate(5, -6)
  love.graphics.rotate(0.9)
  love.graphics.rectangle("fill", -1.7, -8, 3.4, 8, 1.7, 1.7)
  love.graphics.pop()
end

--- A hand that waves.
---@param page lobby.Theme
---@param player lobby.Player
function M.wave(page, player, x, y, time, left)
  local alpha = math.min(1, left * 3)
  local top = y - RADIUS - 8
  bubble(x, top, 40, 34, alpha)
  love.graphics.push()
  love.graphics.translate(x, top - 13)
  love.graphics.rotate(math.sin(time * 12) * 0.35)
  hand(page, theme.players[player.hue], alpha)
  love.graphics.pop()
end

--- What somebody offers, to whom.
---@param page lobby.Theme
---@param offer lobby.Offer
function M.offer(page, offer, x, y)
  local top = y - RADIUS - 8
  local title = offer.to.is_self and "for you?" or "for " .. offer.to.name
  local width = math.max(84, page:font(11):getWidth(title) + 24)
  bubble(x, top, width, 48, 1)
  page:text(title, x, top - 52, 11, theme.faint, "center")
  M.gem(offer.give, x - 24, top - 24, 20)
  theme.paint(theme.faint)
  love.graphics.setLineWidth(2)
  love.graphics.line(x - 7, top - 24, x + 6, top - 24)
  love.graphics.polygon("fill", x + 9, top - 24, x + 3, top - 28, x + 3, top - 20)
  M.gem(offer.want, x + 24, top - 24, 20)
end

--- What was kept out, where it came from.
---@param page lobby.Theme
---@param mark table
function M.mark(page, mark, x, y, row, life)
  local alpha = math.min(1, mark.left * 2)
  theme.paint(theme.bad, alpha * 0.8)
  love.graphics.setLineWidth(2)
  love.graphics.circle("line", x, y, RADIUS + 5 + (1 - mark.left / life) * 10)
  local text = mark.reason .. (mark.count > 1 and "  ×" .. mark.count or "")
  local width = page:font(12):getWidth(text) + 34
  local top = y - RADIUS - 34 - row * 25
  theme.box(x - width / 2, top, width, 22, 11, theme.bad, alpha)
  local cx, cy = x - width / 2 + 14, top + 11
  theme.paint(theme.white, alpha)
  love.graphics.setLineWidth(2)
  love.graphics.circle("line", cx, cy, 5.5)
  love.graphics.line(cx - 3.8, cy - 3.8, cx + 3.8, cy + 3.8)
  page:text(text, x + 9, top + 3.5, 12, theme.white, "center", alpha)
end

return M
