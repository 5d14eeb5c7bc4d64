--- Finds the plugin. Beside main.lua or where LuaJIT looks, require finds it by itself. In a .love archive
-- its native part cannot be loaded from where it is: it is copied to the save directory first, which LÖVE
-- searches before the archive.
--
-- In an archive it lies in native/SYSTEM-PROCESSOR/, such as native/Linux-x64/stream_events/core.so, so one
-- archive can serve several systems.
local M = {}

local function copy(from, to)
  local data, message = love.filesystem.read(from)
  if not data then error(message, 0) end
  -- What is there is from an earlier start, perhaps of another version.
  if love.filesystem.read(to) == data then return end
  local folder = to:match "^(.*)/[^/]*$"
  if folder then love.filesystem.createDirectory(folder) end
  local written
  written, message = love.filesystem.write(to, data)
  if not written then error(message, 0) end
end

local function copy_all(from, to)
  for _, name in ipairs(love.filesystem.getDirectoryItems(from)) do
    local source, target = from .. "/" .. name, to and to .. "/" .. name or name
    if love.filesystem.getInfo(source, "directory") then
      copy_all(source, target)
    else
      copy(source, target)
    end
  end
end

-- The rules, from wherever LÖVE finds them: in an archive they have no path.
local function read_rules()
  return require("stream_events.rules").load("rules.lua", {
    read = function(path) return love.filesystem.read(path) end,
  })
end

--- The plugin, and the rules of the lobby.
---@return table? stream_events
---@return stream_events.RuleSet|string rules or why there is none
function M.load()
  local native = ("native/%s-%s"):format(jit.os, jit.arch)
  local ok, result = pcall(function()
    copy_all(native)
    return require "stream_events"
  end)
  if not ok then return nil, tostring(result):match "^[^\n]*" end
  local rules, err = read_rules()
  if not rules then return nil, tostring(err) end
  return result, rules
end

return M
