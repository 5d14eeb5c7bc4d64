--- A picture of the lobby for the README, with company and fireworks, to be looked at.
--
--   lua5.4 spec/love/picture.lua build/lobby.png [SECONDS]
--
-- Of the moments in which a lot goes on it takes the one with the highest frame rate: software draws here,
-- and other programs may want the machine. At 60 it ends at once.
package.path = "spec/?.lua;" .. package.path
local love = require "support.love"
local luv = require "luv"
local process = require "support.process"

local SECONDS = tonumber(arg[2] or 180)
local FIRST = 40 -- seconds of play before it, so that the cheater has something to show
local ENOUGH = 59 -- frames a second
local PORT = 3999

-- Runs inside the game.
local WATCH = [[
  local update, asked = game.update, -10
  best = 0
  local function is_good()
    local world, waves = game.world, 0
    for _, player in ipairs(world.order) do
      if player.wave > 0.8 then waves = waves + 1 end
    end
    local mark = world.marks[#world.marks]
    return waves > 0 and #world.offers > 0 and mark and mark.left > 0.8 and #world.sparks > 700
      and not game.network.note
  end
  function game:update(dt)
    update(self, dt)
    if #self.world.sparks < 10 and self.time - asked > 6 and not self.world:offer_to_me() then
      asked = self.time
      self:key "b"
    end
    local rate = love.timer.getFPS()
    if rate <= best or not is_good() then return end
    best = rate
    love.graphics.captureScreenshot(function(image) taken = image:encode("png"):getString() end)
  end
  return true]]

local function pass(seconds)
  local over = false
  local timer = luv.new_timer()
  timer:start(math.ceil(seconds * 1000), 0, function()
    over = true
    timer:close()
  end)
  while not over do luv.run "once" end
end

local function main(path)
  local url = "http://127.0.0.1:" .. PORT
  local players = process.start("lua5.4", { love.LOBBY .. "/players.lua", "--serve", "--url", url })
  players:wait_for("stdout", "listening on (%S+)\n")
  local game = love.probe(url, "Robin")
  game:wait("game.network.state == 'online'", "it is online")
  pass(FIRST)
  game:ask(WATCH)
  local left = SECONDS
  while left > 0 and tonumber((game:ask "return best")) < ENOUGH do
    pass(1)
    left = left - 1
  end
  game:ask(([[
    local file = assert(io.open(%q, "wb"))
    file:write(assert(taken, "there was no good moment"))
    file:close()
    return true]]):format(path))
  print(("%s frames a second"):format((game:ask "return best")))
  game:quit()
  game:clean()
  players:kill "sigterm"
  players:finish()
end

local path = arg[1] or "build/lobby.png"
if path:sub(1, 1) ~= "/" then path = luv.cwd() .. "/" .. path end
local ok, failure = xpcall(main, debug.traceback, path)
process.end_all()
if not ok then
  io.stderr:write(failure, "\n")
  os.exit(1)
end
