--- LÖVE on a screen that nobody sees, for the specs of the lobby: starts it, asks it, looks at its pixels.
local command = require "support.command"
local folder = require "support.folder"
local luv = require "luv"
local process = require "support.process"

local M = {}

local ROOT = assert(luv.fs_realpath(command.ROOT ~= "" and command.ROOT or "."))
M.LOBBY = ROOT .. "/lua/examples/love-lobby"

---@class support.Love
---@field process support.Process
---@field folder table where it saves, and finds questions
local Love = {}
Love.__index = Love

local screen -- of all that are started here

-- Xvfb says itself which display is free.
local function display()
  if not screen or screen.code then
    screen = process.start("Xvfb", {
      "-displayfd", "1", "-screen", "0", "1280x720x24", "-nolisten", "tcp", "-noreset",
    })
  end
  return ":" .. screen:wait_for("stdout", "(%d+)\n")
end

--- Starts LÖVE.
---@param arguments string[] the game, and its own arguments
---@param env table<string, string|false>?
---@return support.Love
function M.start(arguments, env)
  local place = folder.new()
  local all = {
    DISPLAY = display(), LIBGL_ALWAYS_SOFTWARE = "1", SDL_AUDIODRIVER = "dummy", ALSOFT_DRIVERS = "null",
    HOME = place.path,
    XDG_DATA_HOME = place.path, LOBBY = M.LOBBY, LOBBY_PROBE = place:at "question", LD_PRELOAD = false,
    LUA_PATH = ROOT .. "/lua/?.lua;" .. ROOT .. "/lua/?/init.lua;;",
    LUA_CPATH = ROOT .. "/build/lua5.1/?.so;;", LUA_PATH_5_4 = false, LUA_CPATH_5_4 = false,
    STREAM_API_KEY = false, STREAM_API_SECRET = false, STREAM_USER_TOKEN = false, STREAM_BASE_URL = false,
  }
  for name, value in pairs(env or {}) do all[name] = value end
  return setmetatable({
    process = process.start("love", arguments, all, ROOT), folder = place, asked = 0,
  }, Love)
end

--- Starts the lobby with the probe that answers questions.
---@param base_url string
---@param name string of the player
---@param env table<string, string|false>?
---@return support.Love
function M.probe(base_url, name, env)
  return M.start({ ROOT .. "/spec/love/probe", "--name", name, "--url", base_url }, env)
end

--- Asks something: Lua that runs inside, between two frames, with `game` and `reply`.
---@param question string
---@return string ... what it returns, or replies, as texts
function Love:ask(question)
  self.asked = self.asked + 1
  self.folder:write("question." .. self.asked, question)
  local kind, words = self.process:wait_for("stdout", ("(%%l+)\t%d\t?([^\n]*)\n"):format(self.asked))
  if kind == "error" then error(words, 2) end
  local results = {}
  for word in (words .. "\t"):gmatch "([^\t]*)\t" do results[#results + 1] = word end
  return table.unpack(results)
end

--- Asks until the answer is true.
---@param question string an expression
---@param what string what is waited for
function Love:wait(question, what)
  local tries = 0
  while self:ask("return " .. question) ~= "true" do
    tries = tries + 1
    if tries > 3000 then error("waited too long until " .. what, 2) end
  end
end

--- Reads pixels of the next frame.
---@param places number[][] x and y
---@return number[][] colours red, green and blue, 0 to 255
function Love:pixels(places)
  local list = {}
  for i, place in ipairs(places) do list[i] = ("{ %d, %d }"):format(place[1], place[2]) end
  local answer = self:ask(([[
    love.graphics.captureScreenshot(function(image)
      local all = {}
      for _, place in ipairs { %s } do
        local r, g, b = image:getPixel(place[1], place[2])
        all[#all + 1] = ("%%d %%d %%d"):format(r * 255 + 0.5, g * 255 + 0.5, b * 255 + 0.5)
      end
      reply(table.concat(all, ";"))
    end)]]):format(table.concat(list, ", ")))
  local colours = {}
  for r, g, b in answer:gmatch "(%d+) (%d+) (%d+)" do colours[#colours + 1] = { r + 0, g + 0, b + 0 } end
  return colours
end

--- Writes what is on the screen as a picture.
---@param path string
function Love:picture(path)
  self:ask(([[
    love.graphics.captureScreenshot(function(image)
      local file = assert(io.open(%q, "wb"))
      file:write(image:encode("png"):getString())
      file:close()
      reply(true)
    end)]]):format(path))
end

--- Closes the window as a player does; returns its exit code.
---@return integer?
function Love:quit()
  self:ask "love.event.quit() return true"
  return self.process:finish()
end

--- Removes a folder with all that is in it.
---@param path string
function M.remove(path)
  for name, kind in luv.fs_scandir_next, assert(luv.fs_scandir(path)) do
    if kind == "directory" then M.remove(path .. "/" .. name) else os.remove(path .. "/" .. name) end
  end
  luv.fs_rmdir(path)
end

--- Takes away what it left behind. It must have ended.
function Love:clean()
  M.remove(self.folder.path)
end

return M
