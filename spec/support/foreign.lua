--- Programs that share no code with ours, as clients or as servers: they read one JSON object a line,
-- and write what happened in the same way.
local lua = require "support.lua"
local native = require "stream_events.native"
local process = require "support.process"

local M = {}

local json = native.json
local ROOT = debug.getinfo(1, "S").source:match("^@(.*)spec/support/[^/]*$")
ROOT = ROOT == "" and "./" or ROOT

-- The system's own Python has the system's packages. A sanitizer that these specs run under is not for
-- other programs, and Node finds what the Makefile has installed for it.
local ENVIRONMENT = { LD_PRELOAD = false, NODE_PATH = ROOT .. "build/node_modules" }
local KINDS = {
  py = { "/usr/bin/python3", "-c", "import websockets, aiohttp",
    "Debian's python3-websockets and python3-aiohttp" },
  js = { "node", "-e", 'require("ws")', "node, and the npm package ws below build/" },
}

---@class support.Foreign
---@field reports table[] what it has said and nobody has taken yet
local Foreign = {}
Foreign.__index = Foreign

-- A spec that is left out says nothing: what is missing is an error.
local found = {}
local function look_for(kind)
  if found[kind] then return end
  local command, option, program, name = lua.unpack(KINDS[kind])
  local ok, probe = pcall(process.run, command, { option, program }, ENVIRONMENT)
  if not ok or probe.code ~= 0 then
    error(("%s: needed, `make deps` installs it\n%s"):format(name, ok and probe.stderr or probe), 0)
  end
  found[kind] = true
end

--- Starts a script of spec/interop.
---@param script string NAME.py or NAME.js
---@param ... string its arguments
---@return support.Foreign
function M.start(script, ...)
  local kind = script:match "%.(%w+)$"
  look_for(kind)
  local child = process.start(KINDS[kind][1], { ROOT .. "spec/interop/" .. script, ... }, ENVIRONMENT,
    nil, true)
  return setmetatable({ name = script, child = child, read = 0, reports = {} }, Foreign)
end

--- Tells it to do something.
---@param command table
function Foreign:tell(command)
  self.child:write(assert(json.encode(command)) .. "\n")
end

-- Takes in the lines that have come.
local function collect(self)
  local child = self.child
  while true do
    local line, after = child.stdout:match("^([^\n]*)\n()", self.read + 1)
    if not line then return end
    self.read = after - 1
    local report, err = json.decode(line)
    if not report then error(("%s wrote no JSON: %s: %s"):format(self.name, err.message, line), 0) end
    self.reports[#self.reports + 1] = report
  end
end

--- Takes the first report for which is_it(report) holds; nil: there is none yet.
---@param is_it fun(report: table): any
---@return table?
function Foreign:take(is_it)
  collect(self)
  for i, report in ipairs(self.reports) do
    if is_it(report) then return table.remove(self.reports, i) end
  end
  local child = self.child
  if child.code or child.stderr ~= "" then
    error(("%s has %s: %s"):format(self.name, child.code and "ended" or "complained", child.stderr), 0)
  end
end

--- Waits for such a report.
---@param is_it fun(report: table): any
---@param what string what is waited for, for the error
---@return table
function Foreign:wait(is_it, what)
  local report
  local ok, err = pcall(process.wait, function()
    report = self:take(is_it)
    return report
  end, what)
  if not ok then
    local seen = json.encode(json.array(self.reports)) or "?"
    error(("%s\n%s has said: %s\n%s"):format(err, self.name, seen, self.child.stderr), 2)
  end
  return report
end

--- Ends it.
function Foreign:stop()
  if not self.child.code then self.child:kill "sigterm" end
  self.child:finish()
end

return M
