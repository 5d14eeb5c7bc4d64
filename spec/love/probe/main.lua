--- The lobby with somebody who looks into it: a spec. It writes what it wants to know, as Lua, into the
-- files LOBBY_PROBE.1, LOBBY_PROBE.2 and so on, and reads the answers from standard output.
-- In a question `game` is the game; what it returns is the answer, or what it calls reply() with later.
local folder, questions = os.getenv "LOBBY", os.getenv "LOBBY_PROBE"
package.path = folder .. "/?.lua;" .. package.path
io.stdout:setvbuf "line"

-- The rules lie beside the game, not beside this file.
local read = love.filesystem.read
function love.filesystem.read(name) -- luacheck: ignore 122
  local file = io.open(folder .. "/" .. name, "rb")
  if not file then return read(name) end
  local text = file:read "*a"
  file:close()
  return text
end

local Game = require "lobby.game"
local new = Game.new
local game
function Game.new(...) -- luacheck: ignore 122
  game = new(...)
  return game
end
dofile(folder .. "/main.lua")

local number = 0

local function answer(ok, ...)
  local words = { ok and "answer" or "error", tostring(number) }
  for i = 1, select("#", ...) do words[#words + 1] = tostring((select(i, ...))) end
  print((table.concat(words, "\t"):gsub("\n", " ")))
end

local function look()
  local path = ("%s.%d"):format(questions, number + 1)
  local file = io.open(path)
  if not file then return end
  local text = file:read "*a"
  file:close()
  number = number + 1
  local is_open = true
  local function reply(...)
    is_open = false
    answer(true, ...)
  end
  local chunk, message = loadstring("local game, reply = ...\n" .. text)
  if not chunk then return answer(false, message) end
  local function finish(ok, ...)
    if not ok then return answer(false, ...) end
    if is_open and select("#", ...) > 0 then answer(true, ...) end
  end
  finish(pcall(chunk, game, reply))
end

local update = love.update
function love.update(dt) -- luacheck: ignore 122
  look()
  update(dt)
end
