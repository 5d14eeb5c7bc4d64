--- A shell in which command lines of the manual run as printed: in a folder of their own, with what a reader
-- would have there, against a server that is there for them. What would go on for ever ends once it is ready.
local command = require "support.command"
local luv = require "luv"
local process = require "support.process"

local M = {}
M.__index = M

local ROOT = assert(luv.fs_realpath(command.ROOT ~= "" and command.ROOT or "."))

-- Stands in front of the real command: `serve` and `listen` are ended when they say that they are ready, and
-- what would ask a person is told yes.
local COMMAND = [[
#!/bin/sh
until_ready() {
  wanted=$1; shift
  pipe=$(mktemp -u); mkfifo "$pipe"
  "$@" >"$pipe" 2>&1 & child=$!
  ready=
  while read -r line; do
    case $line in *"$wanted"*) ready=yes; kill -TERM $child ;; esac
    echo "$line"
  done <"$pipe"
  rm "$pipe"
  wait $child
  [ -n "$ready" ]
}
case "$*" in
  *--help*|*--check-data*|*--print-config*) exec '%s' "$@" ;;
  serve*) until_ready "listening on " '%s' "$@" --port 0 ;;
  admin*" reset "*|admin*" deactivate "*) exec '%s' "$@" --yes ;;
  listen*) until_ready "listening for " '%s' "$@" ;;
  *) exec '%s' "$@" ;;
esac
]]

-- What is known to work by specs of its own has to be there, and no more.
local MAKE = [[
#!/bin/sh
for word in "$@"; do
  case $word in
    *=*) ;;
    *) grep -q "^$word:" '%s/Makefile' || { echo "make: no target $word" >&2; exit 2; } ;;
  esac
done
]]

local SUDO = '#!/bin/sh\nexec "$@"\n'

local RULES = 'event "friendship_request" { fields = { text = optional(string) } }\nrefuse "noise"\n'
local LOG = '{"type":"noise","cid":"messaging:a","user":{"id":"john","role":"user"},'
  .. '"created_at":"2026-01-01T00:00:00Z"}\n'

function M:write(name, text, mode)
  local file = assert(io.open(self.path .. "/" .. name, "w"))
  file:write(text)
  file:close()
  if mode then assert(luv.fs_chmod(self.path .. "/" .. name, mode)) end
end

--- A shell for the blocks of a chapter, with a server of its own.
---@return table shell
function M.new()
  command.need_build()
  local path = assert(luv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/stream-events-XXXXXX"))
  local self = setmetatable({ path = path }, M)
  local _
  _, self.base_url = command.serve { "--api-key", "devkey", "--api-secret", "lan-dev-secret" }
  assert(luv.fs_mkdir(path .. "/bin", 448))
  local real = ROOT .. "/lua/bin/stream-events"
  self:write("bin/stream-events", COMMAND:gsub("%%s", real), 448)
  self:write("bin/make", MAKE:format(ROOT), 448)
  self:write("bin/sudo", SUDO, 448)
  for _, name in ipairs { "lua", "build", "rockspec" } do
    assert(luv.fs_symlink(ROOT .. "/" .. name, path .. "/" .. name))
  end
  self:fill()
  return self
end

--- Puts the files there again that command lines are about.
function M:fill()
  for _, name in ipairs { "rules.lua", "new.lua", "old.lua" } do self:write(name, RULES) end
  for _, name in ipairs { "log.jsonl", "events.jsonl" } do self:write(name, LOG) end
  local data = io.open(self.path .. "/.local/state/stream-events/server.db", "rb")
  if data then
    self:write("backup.db", data:read "a")
    data:close()
  end
end

--- Runs command lines to their end.
---@param text string
---@return support.Process
function M:run(text)
  if text:find("rules new", 1, true) then os.remove(self.path .. "/rules.lua") end
  text = text:gsub("%f[%w]lua/bin/stream%-events", "stream-events")
  text = text:gsub("http://127%.0%.0%.1:3030", function() return self.base_url end)
  return process.run("sh", { "-e", "-c", text }, {
    PATH = self.path .. "/bin:" .. os.getenv "PATH", HOME = self.path, XDG_STATE_HOME = false,
    XDG_DATA_HOME = false, XDG_CONFIG_HOME = false, STREAM_EVENTS_DATA = false,
    LUA_PATH = ROOT .. "/lua/?.lua;" .. ROOT .. "/lua/?/init.lua;;", LUA_CPATH = ROOT .. "/build/?.so;;",
    STREAM_BASE_URL = self.base_url, STREAM_API_KEY = "devkey", STREAM_API_SECRET = "lan-dev-secret",
    STREAM_USER_TOKEN = false, NO_COLOR = "1", LD_PRELOAD = false,
  }, self.path)
end

--- Runs a program in Lua to its end.
---@param text string
---@return support.Process
function M:program(text)
  self:write("program.lua", (text:gsub("http://127%.0%.0%.1:3030", function() return self.base_url end)))
  return process.run("lua5.4", { ROOT .. "/spec/support/manual_program.lua", "program.lua", self.base_url }, {
    LUA_PATH = ROOT .. "/lua/?.lua;" .. ROOT .. "/lua/?/init.lua;;", LUA_CPATH = ROOT .. "/build/?.so;;",
    STREAM_API_SECRET = "lan-dev-secret", LD_PRELOAD = false,
  }, self.path)
end

function M:close()
  process.run("rm", { "-r", self.path })
end

return M
