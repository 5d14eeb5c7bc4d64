--- What is shown over the field while the game is not online: what is missing, and what to do about it.
local draw = require "lobby.draw"
local field = require "field"
local text = require "lobby.text"
local theme = require "lobby.theme"

local M = {}

local WIDTH, MOST_PROBLEM = 560, 200 -- characters of what went wrong

local function no_plugin(game)
  return {
    title = "The plugin was not found",
    say = "The game runs, but without stream_events it stays alone. From a checkout, start it with:",
    commands = { "make lobby" },
    after = "or install the plugin for LuaJIT:  make install LUA_PC=lua5.1",
    problem = game.problem:gsub(":$", ""),
  }
end

local function no_server(game)
  return {
    title = "Nobody answers at " .. (text.clip(game.settings.base_url, 40)),
    say = "Start a server, with some players who are no humans, from the folder of the game:",
    commands = { "lua5.4 players.lua --serve" },
    after = "or a server alone:  stream-events serve",
    problem = game.network.problem,
  }
end

local function refused(game)
  return {
    title = "The server does not let you in",
    say = "It runs, but it refuses you. STREAM_API_KEY, and STREAM_API_SECRET or STREAM_USER_TOKEN, say who "
      .. "you are.",
    commands = {}, problem = game.network.problem,
  }
end

local function lost(game)
  return {
    title = "The connection was lost",
    say = "The game goes on as soon as the server is back. There is nothing to do.",
    commands = {}, problem = game.network.problem,
  }
end

local function connecting(game)
  return {
    title = "Connecting", say = "to " .. (text.clip(game.settings.base_url, 60)), commands = {},
  }
end

local function content(game)
  local network = game.network
  if not network then return no_plugin(game) end
  if network.was_online then return lost(game) end
  if network.problem then return (network.is_refused and refused or no_server)(game) end
  return connecting(game)
end

local function next_attempt(network)
  if not network then return nil end
  local seconds = network:retry_in()
  if network.state == "connecting" or seconds == 0 then return "trying now ..." end
  return seconds and ("trying again in %d s; R tries now"):format(seconds) or "waiting"
end

-- How much room a text takes in lines of the card.
local function lines_of(page, size, words)
  local _, lines = page:font(size):getWrap(words, WIDTH - 72)
  return lines
end

local function paragraph(page, words, x, y, size, of)
  for _, line in ipairs(lines_of(page, size, words)) do
    page:text(line, x, y, size, of)
    y = y + size * 1.5
  end
  return y
end

local function command(page, words, x, y)
  theme.box(x, y, WIDTH - 72, 32, 8, theme.black, 0.55)
  page:text("$", x + 12, y + 8, 13, theme.faint)
  page:text(words, x + 30, y + 8, 13, theme.accent)
  return y + 38
end

---@param game lobby.Game
function M.draw(game)
  local page, shown = game.theme, content(game)
  local problem = shown.problem and text.clip(shown.problem, MOST_PROBLEM)
  local height = 112 + #lines_of(page, 14, shown.say) * 21 + #shown.commands * 38
    + (shown.after and 30 or 0) + (problem and 14 + #lines_of(page, 12, problem) * 18 or 0)
  theme.box(draw.X, draw.Y, field.width, field.height, 18, theme.page, 0.72)
  local x, y = draw.X + (field.width - WIDTH) / 2, draw.Y + (field.height - height) / 2
  theme.box(x, y, WIDTH, height, 18, theme.card, 1, theme.edge)
  x, y = x + 36, y + 32
  page:text(shown.title, x, y, 20, theme.text)
  y = paragraph(page, shown.say, x, y + 38, 14, theme.dim) + 8
  for _, words in ipairs(shown.commands) do y = command(page, words, x, y) end
  if shown.after then y = paragraph(page, shown.after, x, y + 4, 13, theme.dim) end
  if problem then y = paragraph(page, problem, x, y + 6, 12, theme.warn) end
  local attempt = next_attempt(game.network)
  if attempt then page:text(attempt, x, y + 6, 12, theme.faint) end
end

return M
