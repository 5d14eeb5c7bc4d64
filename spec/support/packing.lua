--- For the specs of packages: a copy of these files in a folder of its own, LuaRocks there, and programs
--- that are run as their users run them, with nothing of this checkout in their environment.
local command = require "support.command"
local luv = require "luv"
local process = require "support.process"

local M = {}

local SECONDS = 300 -- a guard for what compiles: specs wait on conditions
local ROOT = command.ROOT ~= "" and command.ROOT or "."
local SOURCE = "https://github.com/stream-events/stream-events.git"

-- What a user's shell does not have.
local CLEAN = {
  LUA_PATH = false, LUA_CPATH = false, LUA_PATH_5_4 = false, LUA_CPATH_5_4 = false, LUA_INIT = false,
  LUAROCKS_CONFIG = false, MAKEFLAGS = false, MAKELEVEL = false, MFLAGS = false, LD_PRELOAD = false,
  STREAM_BASE_URL = false, STREAM_API_KEY = false, STREAM_API_SECRET = false, STREAM_USER_TOKEN = false,
  DESTDIR = false, PREFIX = false, BUILD = false, CFLAGS = false, LUA = false, LUA_PC = false,
}

--- What a client does on any Lua: connects, sends, receives. Takes the server's address and a token.
M.CONVERSATION = [[
  local base_url, token = ...
  local stream_events = require "stream_events"
  local client = stream_events.new { api_key = "devkey", base_url = base_url }
  assert(client:connect_user({ id = "john" }, token))
  local room = client:channel("livestream", "room")
  assert(room:watch())
  local heard
  room:subscribe_for("ping", function(event) heard = event.n end)
  assert(room:send_event("ping", { n = 4711 }))
  while not heard do client:poll(1) end
  client:disconnect()
  print(_VERSION, heard, stream_events.version)
]]

---@class support.Packing
---@field folder string everything is below it; gone with remove()
---@field checkout string the copy, whose name says nothing
local Packing = {}
Packing.__index = Packing

--- Runs a program to its end.
---@param words string[]
---@param options { env: table?, cwd: string?, input: string? }?
---@return support.Process
function M.run(words, options)
  options = options or {}
  local env = {}
  for name, value in pairs(CLEAN) do env[name] = value end
  for name, value in pairs(options.env or {}) do env[name] = value end
  local child = process.start(words[1], table.move(words, 2, #words, 1, {}), env, options.cwd,
    options.input)
  child:finish(SECONDS)
  return child
end

--- Likewise; raises when it fails.
function M.must(words, options)
  local child = M.run(words, options)
  if child.code ~= 0 then
    error(("%s ended with %s\n%s%s"):format(
      table.concat(words, " "), child.code, child.stdout, child.stderr), 2)
  end
  return child
end

--- The lines that a program writes.
function M.lines(words, options)
  local list = {}
  for line in M.must(words, options).stdout:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

--- The files below a folder, sorted; none when it is missing.
---@param folder string
---@return string[] paths from there
function M.files(folder)
  if not luv.fs_stat(folder) then return {} end
  local list = M.lines({ "find", ".", "-not", "-type", "d" }, { cwd = folder })
  for i, path in ipairs(list) do list[i] = path:sub(3) end
  table.sort(list)
  return list
end

--- A copy of the checkout, with what is built there: nothing need be compiled twice.
---@return support.Packing
function M.new()
  local folder = assert(luv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/stream-events-XXXXXX"))
  local self = setmetatable({ folder = folder, checkout = folder .. "/checkout" }, Packing)
  M.must({ "sh", "-c", [[
    mkdir "$1"
    find . -not -type d -not -path './build/*' -not -path './.git/*' | tar -cf - -T - | tar -xf - -C "$1"
    mkdir "$1/build" && cd build && cp -Rp obj stream_events libraries "$1/build"
    mkdir "$1/build/lua5.1" && cp -Rp lua5.1/obj lua5.1/stream_events lua5.1/libraries "$1/build/lua5.1"
  ]], "sh", self.checkout }, { cwd = ROOT })
  -- Nothing is to be fetched: not even an attempt is made.
  M.must({ "sh", "-c", "{ cat rockspec/debian.lua; echo 'rocks_servers = {}'; } >../luarocks.lua" },
    { cwd = self.checkout })
  return self
end

--- Makes the copy a repository of which a commit is the release.
---@param tag string
---@return table environment in which git finds it at the project's address
function Packing:release(tag)
  local origin = self.folder .. "/origin"
  M.must({ "sh", "-c", [[
    mkdir "$2" && cd "$1" && tar -cf - --exclude=./build . | tar -xf - -C "$2" && cd "$2"
    git init -q && git add -A && git -c user.name=spec -c user.email=spec@localhost commit -q -m release
    git tag "$3"
  ]], "sh", self.checkout, origin, tag })
  return {
    GIT_CONFIG_COUNT = "1", GIT_CONFIG_KEY_0 = ("url.%s.insteadOf"):format("file://" .. origin),
    GIT_CONFIG_VALUE_0 = SOURCE,
  }
end

--- The path of something in the folder.
function Packing:at(name)
  return self.folder .. "/" .. name
end

--- Runs LuaRocks, which takes Debian's packages for the rocks they stand for.
---@param lua string version
---@param tree string name of a tree in the folder
---@param words string[]
---@param options { env: table?, cwd: string?, may_fail: boolean? }?
---@return support.Process
function Packing:luarocks(lua, tree, words, options)
  options = options or {}
  local env = { LUAROCKS_CONFIG = self:at "luarocks.lua" }
  for name, value in pairs(options.env or {}) do env[name] = value end
  local all = { "luarocks", "--lua-version=" .. lua, "--tree=" .. self:at(tree) }
  table.move(words, 1, #words, #all + 1, all)
  return (options.may_fail and M.run or M.must)(all, { env = env, cwd = options.cwd or self.checkout })
end

--- The environment that `luarocks path` gives a user's shell for a tree.
---@param lua string
---@param tree string
---@return table<string, string>
function Packing:shell(lua, tree)
  local root = self:at(tree)
  return {
    LUA_PATH = ("%s/share/lua/%s/?.lua;%s/share/lua/%s/?/init.lua;;"):format(root, lua, root, lua),
    LUA_CPATH = ("%s/lib/lua/%s/?.so;;"):format(root, lua),
    PATH = ("%s/bin:%s"):format(root, os.getenv "PATH"),
  }
end

function Packing:remove()
  M.must { "rm", "-rf", self.folder }
end

return M
