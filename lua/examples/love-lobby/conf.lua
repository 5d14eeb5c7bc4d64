-- What LÖVE reads before the game starts.
function love.conf(t) -- luacheck: ignore 122
  t.identity = "stream-events-lobby" -- names the save directory
  t.version = "11.4"
  t.window.title = "Lobby"
  t.window.width, t.window.height = 1280, 720
  t.window.minwidth, t.window.minheight = 640, 360
  t.window.resizable = true
  t.window.highdpi = true
  t.window.vsync = 1
  t.modules.audio, t.modules.sound, t.modules.video = false, false, false
  t.modules.physics, t.modules.joystick, t.modules.touch = false, false, false
end
