--- The panel at the right and the bar below: who is here, what was kept out and why, and what it costs.
local Meter = require "lobby.meter"
local budget = require("lobby.network").BUDGET
local field = require "field"
local figures = require "lobby.figures"
local text = require "lobby.text"
local theme = require "lobby.theme"

local M = {}

local X, WIDTH, PAD = 926, 334, 18
local LEFT, RIGHT = X + PAD, X + WIDTH - PAD
local PANEL_AGE = 0.1 -- seconds that numbers stay, so that one can read them
local PLAYER_ROWS, REASON_ROWS, LINES = 7, 7, 5

local function card(y, height)
  theme.box(X, y, WIDTH, height, 14, theme.card, 1, theme.edge)
end

local function heading(page, words, y)
  page:text(words, LEFT, y, 11, theme.faint)
end

-- Connection ---------------------------------------------------------------------------------------

local STATES = {
  online = { theme.good, "online" },
  connecting = { theme.warn, "connecting" },
  waiting = { theme.warn, "offline" },
}

local function pill(page, game, y)
  local of, word = theme.bad, "no plugin"
  if game.network then
    local state = STATES[game.network.state]
    of, word = state[1], state[2]
  end
  local width = page:font(12):getWidth(word) + 34
  theme.box(RIGHT - width, y, width, 24, 12, of, 0.16)
  page:disc(RIGHT - width + 14, y + 12, 4, of)
  page:text(word, RIGHT - width + 24, y + 4, 12, of)
end

local function title(page, game)
  card(20, 58)
  page:text("The Lobby", LEFT, 28, 20, theme.text)
  page:text("livestream:lobby", LEFT, 53, 11, theme.faint)
  pill(page, game, 37)
end

-- Who is here --------------------------------------------------------------------------------------

local function player_row(page, player, y)
  page:disc(LEFT + 6, y + 8, 6, theme.players[player.hue])
  local width = page:text(player.name, LEFT + 20, y, 13, theme.text)
  if player.is_self then page:text("you", LEFT + 28 + width, y + 1, 12, theme.faint) end
  if player.dropped > 0 then
    page:text(("%d kept out"):format(player.dropped), RIGHT, y + 1, 12, theme.bad, "right")
  end
end

-- I, then those who try things, then the others; of each those who came first.
local function by_interest(order)
  local sorted = {}
  for group = 1, 3 do
    for _, player in ipairs(order) do
      local own = player.is_self and 1 or player.dropped > 0 and 2 or 3
      if own == group then sorted[#sorted + 1] = player end
    end
  end
  return sorted
end

local function here(page, world)
  card(88, 186)
  heading(page, "WHO IS HERE", 100)
  page:text(tostring(#world.order), RIGHT, 99, 12, theme.dim, "right")
  local shown = #world.order > PLAYER_ROWS and PLAYER_ROWS - 1 or #world.order
  local sorted = by_interest(world.order)
  for i = 1, shown do player_row(page, sorted[i], 100 + i * 22) end
  if shown < #world.order then
    page:text(("and %d more"):format(#world.order - shown), LEFT + 20, 100 + (shown + 1) * 22, 12, theme.dim)
  end
end

-- What was kept out --------------------------------------------------------------------------------

local function reasons(page, drops, y)
  local most = drops.reasons[1] and drops.reasons[1].count or 1
  for i = 1, math.min(#drops.reasons, REASON_ROWS) do
    local entry, top = drops.reasons[i], y + (i - 1) * 19
    page:text(entry.reason, LEFT, top, 12, theme.text)
    -- By the root of the number, so that a flood does not hide the rest.
    local length = math.max(4, 120 * math.sqrt(entry.count / most))
    theme.box(LEFT + 118, top + 4, 120, 7, 3.5, theme.edge)
    theme.box(LEFT + 118, top + 4, length, 7, 3.5, theme.bad)
    page:text(tostring(entry.count), RIGHT, top, 12, theme.dim, "right")
  end
end

-- What a function of the rules says is worth reading; the other codes speak for themselves.
local function reason_of(line)
  local words = line.reason == "check" and line.text or line.reason
  return line.count > 1 and ("%s  ×%d"):format(words, line.count) or words
end

local function lines(page, drops, y, now)
  local font = page:font(11)
  local function width_of(words) return font:getWidth(words) end
  for i = 1, math.min(#drops.lines, LINES) do
    local line, top = drops.lines[i], y + (i - 1) * 19
    local x = LEFT + 6 + page:text(line.who, LEFT, top, 11, theme.warn)
    x = x + 10 + page:text(line.type, x, top, 11, theme.text)
    local is_fresh = now - line.at < 0.6
    page:text(text.fit(reason_of(line), width_of, RIGHT - x), RIGHT, top, 11,
      is_fresh and theme.bad or theme.dim, "right")
  end
end

local function kept_out(page, drops, now)
  card(284, 282)
  heading(page, "KEPT OUT BY THE RULES", 298)
  page:text(tostring(drops.total), RIGHT, 291, 20, drops.total > 0 and theme.bad or theme.dim, "right")
  if drops.total == 0 then
    page:text("Nothing so far.", LEFT, 324, 13, theme.dim)
    return
  end
  reasons(page, drops, 323)
  theme.paint(theme.edge)
  love.graphics.rectangle("fill", LEFT, 460, RIGHT - LEFT, 1)
  lines(page, drops, 467, now)
end

-- What it costs ------------------------------------------------------------------------------------

local LEAST_FRAME = 1000 / 60 -- milliseconds

local function plot(meter, y)
  local width, height = WIDTH - 2 * PAD, 30
  local step = width / Meter.FRAMES
  local full = 2 * LEAST_FRAME
  for i, milliseconds in meter:each_frame() do
    local tall = math.min(1, milliseconds / full) * height
    theme.paint(milliseconds > LEAST_FRAME * 1.25 and theme.warn or theme.accent, 0.75)
    love.graphics.rectangle("fill", LEFT + (i - 1) * step, y + height - tall, math.max(1, step - 0.6), tall)
  end
  theme.paint(theme.text, 0.25)
  love.graphics.rectangle("fill", LEFT, y + height / 2, RIGHT - LEFT, 1)
end

local function gauge(page, name, value, part, y)
  page:text(name, LEFT, y, 12, theme.dim)
  page:text(value, RIGHT, y, 12, theme.text, "right")
  theme.box(LEFT, y + 17, WIDTH - 2 * PAD, 5, 2.5, theme.edge)
  if part > 0 then
    theme.box(LEFT, y + 17, math.max(5, (WIDTH - 2 * PAD) * math.min(1, part)), 5, 2.5, theme.good)
  end
end

local function costs(page, meter)
  card(576, 124)
  page:text(("%d frames a second"):format(love.timer.getFPS()), LEFT, 585, 12, theme.text)
  local frame = ("%.1f ms a frame"):format(love.timer.getAverageDelta() * 1000)
  page:text(frame, RIGHT, 585, 12, theme.dim, "right")
  plot(meter, 606)
  gauge(page, "the plugin's part", ("%.2f of %d ms"):format(meter.plugin, budget.max_milliseconds),
    meter.plugin / budget.max_milliseconds, 642)
  local events = ("%d of %d, at most %d so far"):format(meter.events, budget.max_events, meter.most)
  gauge(page, "its events", events, meter.events / budget.max_events, 669)
end

-- The bar below ------------------------------------------------------------------------------------

local BAR_Y, BAR_HEIGHT = 652, 48

local function key(page, name, what, x)
  local width = page:font(11):getWidth(name) + 14
  theme.box(x, BAR_Y + 14, width, 20, 5, theme.edge)
  page:text(name, x + 7, BAR_Y + 17, 11, theme.text)
  return x + width + 7 + page:text(what, x + width + 7, BAR_Y + 16, 12, theme.dim) + 16
end

local function bar(page, game)
  theme.box(20, BAR_Y, field.width, BAR_HEIGHT, 14, theme.card, 1, theme.edge)
  local x = key(page, "arrows", "run", 36)
  x = key(page, "space", "wave", x)
  x = key(page, "T", "offer a trade", x)
  x = key(page, "Y", "take it", x)
  key(page, "B", "10 000 events", x)
  local right = 20 + field.width - 18
  right = right - page:text(tostring(game.world.coins), right, BAR_Y + 15, 14, theme.gold, "right") - 18
  page:disc(right, BAR_Y + 24, 8, theme.gold)
  page:disc(right, BAR_Y + 24, 5, theme.warn)
  right = right - 24
  for i = #field.items, 1, -1 do
    local item = field.items[i]
    local count = tostring(game.world.pouch[item])
    right = right - page:text(count, right, BAR_Y + 15, 14, theme.text, "right") - 16
    figures.gem(item, right, BAR_Y + 24, 18)
    right = right - 22
  end
end

local function note(page, words)
  local width = page:font(14):getWidth(words) + 40
  local x = 20 + field.width / 2
  theme.box(x - width / 2, 594, width, 34, 17, theme.black, 0.8, theme.edge)
  page:text(words, x, 602, 14, theme.text, "center")
end

local function question(offer)
  return ("%s gives you 1 %s for 1 %s. Press Y to take it."):format(offer.from.name, offer.give, offer.want)
end

--- What stands still for a moment is painted, where that has to be done.
---@param game lobby.Game
function M.prepare(game)
  local page = game.theme
  page:prepare("panel", X, 0, WIDTH, theme.HEIGHT, PANEL_AGE, function()
    title(page, game)
    here(page, game.world)
    kept_out(page, game.drops, love.timer.getTime())
    costs(page, game.meter)
  end)
  page:prepare("bar", 20, BAR_Y, field.width, BAR_HEIGHT, PANEL_AGE, function() bar(page, game) end)
end

---@param game lobby.Game
function M.draw(game)
  local page = game.theme
  page:picture "panel"
  page:picture "bar"
  local offer = game.world:offer_to_me()
  if game.network and game.network.note then
    note(page, game.network.note)
  elseif offer then
    note(page, question(offer))
  end
end

return M
