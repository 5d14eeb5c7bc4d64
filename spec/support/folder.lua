--- A folder of a spec's own, with files in it; gone with remove().
local luv = require "luv"
local process = require "support.process"

local M = {}

local Folder = {}
Folder.__index = Folder

---@return table folder
function M.new()
  local path = assert(luv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/stream-events-XXXXXX"))
  return setmetatable({ path = path }, Folder)
end

--- The path of a file in it.
function Folder:at(name)
  return self.path .. "/" .. name
end

--- Writes a file, as editors do: a new one takes the place of the old. Gives its path.
function Folder:write(name, text)
  local path = self:at(name)
  local file = assert(io.open(path .. "~", "wb"))
  assert(file:write(text))
  assert(file:close())
  assert(os.rename(path .. "~", path))
  return path
end

---@return string? text nil: there is no such file
function Folder:read(name)
  local file = io.open(self:at(name), "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

--- Waits until a file holds a text.
---@param name string
---@param text string
function Folder:wait_for(name, text)
  local watcher, closed = assert(luv.new_fs_event()), false
  -- A file wakes no loop by itself: what waits for it would wait for something else to happen.
  assert(watcher:start(self.path, {}, function() end))
  local ok, problem = pcall(process.wait, function()
    return (self:read(name) or ""):find(text, 1, true)
  end, ("%s holds %s"):format(name, text))
  watcher:close(function() closed = true end)
  process.wait(function() return closed end, "the watcher is closed")
  if not ok then error(problem, 2) end
end

function Folder:remove()
  for name in luv.fs_scandir_next, assert(luv.fs_scandir(self.path)) do os.remove(self:at(name)) end
  luv.fs_rmdir(self.path)
end

return M
