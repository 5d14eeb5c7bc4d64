--- A small lobby: who is in the channel livestream:lobby runs about on one field, waves and trades. Each of
-- these is a custom event; what rules.lua does not accept is dropped, and the panel at the right shows it.
-- Start it, a server and some bots with `make lobby`; how to pack it is in stream_events/doc/engines.md.
local Game = require "lobby.game"

local game

function love.load(arguments)
  game = Game.new(arguments)
end

function love.update(dt)
  game:update(dt)
end

function love.draw()
  game:draw()
end

function love.keypressed(key, _, is_repeat)
  if not is_repeat then game:key(key) end
end

function love.resize()
  game:resize()
end

function love.quit()
  game:close()
end
