--- Clients of ours at a server that is not: spec/interop/hosted.py, where every API key is an app of its own.
local foreign = require "support.foreign"
local luv = require "luv"
local native = require "stream_events.native"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local M = {}

M.SECRET = "lan-dev-secret"

local PATIENCE = 20 -- seconds: a guard, conditions are waited for

---@class support.Hosted
local Hosted = {}
Hosted.__index = Hosted

--- Starts the server.
---@return support.Hosted
function M.start()
  local program = foreign.start("hosted.py", M.SECRET)
  local port = program:wait(function(report) return report.port end, "the server listens").port
  local url = "http://127.0.0.1:" .. port
  return setmetatable({ program = program, url = url, apps = 0, clients = {} }, Hosted)
end

function Hosted:stop()
  self.program:stop()
end

--- A new app: how it behaves is written at spec/interop/hosted.py.
---@param how table?
---@return string api_key
function Hosted:new_app(how)
  self.apps = self.apps + 1
  self.key = "app-" .. self.apps
  self:tell(how)
  return self.key
end

--- Changes how the present app behaves.
---@param how table?
---@param more table?
function Hosted:tell(how, more)
  local command = { key = self.key, how = how or {} }
  for name, value in pairs(more or {}) do command[name] = value end
  self.program:tell(command)
  self:heard "told"
end

--- Waits for the next report of the present app that has a field, and gives that.
function Hosted:heard(field)
  local function is_it(report) return report.key == self.key and report[field] ~= nil end
  return self:wait(function() return self.program:take(is_it) end)[field]
end

--- A client of the present app.
---@param more table? options
function Hosted:client(more)
  local options = { api_key = self.key, base_url = self.url, random = function() return 0 end }
  for name, value in pairs(more or {}) do options[name] = value end
  local client = stream_events.new(options)
  self.clients[#self.clients + 1] = client
  return client
end

--- A client that acts for a backend.
function Hosted:backend() return self:client { secret = M.SECRET } end

--- A client that is connected as a user.
function Hosted:user(id, more)
  local client = self:client(more)
  assert(client:connect_user({ id = id }, tokens.user(M.SECRET, id)))
  return client
end

--- Runs all clients until the condition gives something.
function Hosted:wait(condition)
  local ends = native.now() + PATIENCE
  while true do
    local result = condition()
    if result then return result end
    if native.now() > ends then error("waited in vain", 2) end
    for _, client in ipairs(self.clients) do client:poll(0.002) end
    luv.run "nowait"
  end
end

--- Closes the clients; for after_each.
function Hosted:close_clients()
  for _, client in ipairs(self.clients) do client:close() end
  self.clients = {}
end

return M
