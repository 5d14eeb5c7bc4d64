--- The faults of the soak: picked by chance, each at one user's proxy or at the server, and counted.
local kinds = require "support.fault_kinds"
local uv = require "luv"

local M = {}

local random = math.random

---@class support.Chaos
---@field server_is_away boolean
local Chaos = {}
Chaos.__index = Chaos

local function later(self, milliseconds, run)
  local timer = uv.new_timer()
  self.timers[timer] = true
  timer:start(milliseconds, 0, function()
    self.timers[timer] = nil
    timer:close()
    run()
  end)
end

------------------------------------------------------------------------------------- at a connection

local frame = kinds.frame
local CODES = { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999 }
local SPOILED = {
  frame(3, "x"), frame("text", "{}", { mask = true }), frame("text", "{}", { rsv = 0x40 }),
  frame("text", '"\xff\xfe"'), frame("text", "x", { length = 2 ^ 21 }), frame("ping", ("x"):rep(126)),
  frame("continuation", "x"), frame("close", "x"), kinds.close_frame(1006), "\0\255\129\7",
}

local function one_of(list) return list[random(#list)] end

local function everywhere(method, ...)
  local arguments = table.pack(...)
  return function(_, proxy) proxy:each("websocket", method, table.unpack(arguments, 1, arguments.n)) end
end

-- The next upgrades, or connections, or calls meet a fault.
local function planned(what, fault, most)
  return function(_, proxy)
    proxy:plan(what, fault, random(most or 3))
    if what ~= "http" then proxy:each("websocket", "reset") end
  end
end

local function shaped(make)
  return function(_, proxy)
    local shape = make()
    for _, link in ipairs(proxy:live "websocket") do link.shape = link.shape or shape end
    proxy:plan("http", kinds.shaped(shape), random(5))
  end
end

local function dead_network(self, proxy)
  proxy:each(nil, "silence", "both")
  proxy:plan("accept", kinds.nothing, 1000)
  later(self, random(5000), function()
    proxy.plans.accept = nil
    -- What was lost in between makes the rest of these connections worthless.
    for _, link in ipairs(proxy:live()) do
      if link.silent.up then link:reset() end
    end
  end)
end

local function nobody_listens(self, proxy)
  if proxy.is_refusing then return end
  proxy.is_refusing = true
  proxy:refuse()
  proxy:each("websocket", "reset")
  later(self, random(3000), function()
    proxy:listen()
    proxy.is_refusing = false
  end)
end

------------------------------------------------------------------------------------------ at the server

local function stop(self, most)
  local server = self.soak.server
  self.server_is_away = true
  server:kill "sigstop"
  later(self, random(most), function()
    server:kill "sigcont"
    self.server_is_away = false
  end)
end

-- Waiting for the new one happens in a timer of its own: not inside another wait.
local function restart(self, signal)
  local soak = self.soak
  self.server_is_away = true
  local old = soak.server
  old:kill(signal)
  local function look()
    if not old.code then return later(self, 20, look) end
    later(self, random(2000), function()
      soak:serve()
      self.server_is_away = false
    end)
  end
  look()
end

local SERVER = {
  ["server stopped for a moment"] = function(self) stop(self, 300) end,
  ["server stopped for longer"] = function(self) stop(self, 6000) end,
}
local RESTARTS = {
  ["server killed"] = function(self) restart(self, "sigkill") end,
  ["server ended"] = function(self) restart(self, "sigterm") end,
}

local NETWORK = {
  ["reset"] = everywhere "reset",
  ["end"] = everywhere "close",
  ["close frame"] = function(_, proxy)
    proxy:each("websocket", "inject", kinds.close_frame(one_of(CODES), "so"))
  end,
  ["spoiled frame"] = function(_, proxy) proxy:each("websocket", "inject", one_of(SPOILED)) end,
  ["half a frame"] = function(_, proxy)
    proxy:each("websocket", "inject", frame("text", "{", { length = 90 }))
    proxy:each("websocket", "close")
  end,
  ["half-open both ways"] = everywhere("silence", "both"),
  ["half-open down"] = everywhere("silence", "down"),
  ["half-open up"] = everywhere("silence", "up"),
  ["dead network"] = dead_network,
  ["nobody listens"] = nobody_listens,
  ["late bytes"] = shaped(function() return kinds.late(random(300)) end),
  ["single bytes"] = shaped(function() return kinds.drip end),
  ["split bytes"] = shaped(function() return kinds.split(function() return random(200) end) end),
  ["upgrade: 200"] = planned("websocket", kinds.answer(200)),
  ["upgrade: 301"] = planned("websocket", kinds.answer(301, { "Location: http://127.0.0.1:1/" })),
  ["upgrade: 429"] = planned("websocket", kinds.answer(429, { "Retry-After: 1" })),
  ["upgrade: 500"] = planned("websocket", kinds.answer(500)),
  ["upgrade: 503"] = planned("websocket", kinds.answer(503)),
  ["upgrade: HTML"] = planned("websocket", kinds.html(502)),
  ["upgrade: end"] = planned("websocket", kinds.ends "close"),
  ["upgrade: silence"] = planned("websocket", kinds.nothing, 1),
  ["upgrade: half an answer"] = planned("websocket", kinds.cut_head(50, "close")),
  ["no first frame"] = planned("websocket", kinds.no_first_frame, 1),
  ["accept: reset"] = planned("accept", kinds.ends "reset"),
  ["call: 502"] = planned("http", kinds.html(502), 5),
  ["call: 503"] = planned("http", kinds.answer(503), 5),
  ["call: answer cut"] = planned("http", kinds.cut_answer(-20, "close"), 5),
  ["call: answer lost"] = planned("http", kinds.loses_answer "close", 5),
  ["call: not heard"] = planned("http", kinds.ends "reset", 5),
  ["call: end behind the answer"] = planned("http", kinds.ends_behind_answer "close", 5),
  ["call: no answer"] = planned("http", kinds.nothing, 3),
  ["call: noise"] = planned("http", kinds.bytes("\0\1\2\3\r\n\r\n", "close"), 3),
}

local function sorted(faults)
  local names = {}
  for name in pairs(faults) do names[#names + 1] = name end
  table.sort(names) -- the same seed picks the same
  return names
end

local NETWORK_NAMES, SERVER_NAMES, RESTART_NAMES = sorted(NETWORK), sorted(SERVER), sorted(RESTARTS)

--- One more fault.
function Chaos:strike()
  local dice = random()
  local name, fault
  if dice < 0.1 then
    name = one_of(SERVER_NAMES)
    fault = SERVER[name]
  elseif dice < 0.15 and self.may_restart() then
    name = one_of(RESTART_NAMES)
    fault = RESTARTS[name]
  else
    name = one_of(NETWORK_NAMES)
    fault = NETWORK[name]
  end
  if not NETWORK[name] and self.server_is_away then return end
  self.counts[name] = (self.counts[name] or 0) + 1
  fault(self, one_of(self.soak.users).proxy)
end

--- No fault any more: what is dead ends, what was planned is forgotten.
function Chaos:make_peace()
  for _, user in ipairs(self.soak.users) do
    local proxy = user.proxy
    proxy:clear()
    for _, link in ipairs(proxy:live()) do
      if link.silent.up or link.silent.down then link:reset() end
    end
  end
end

--- How often each was done, as lines.
function Chaos:report()
  local lines = {}
  for _, name in ipairs(sorted(self.counts)) do
    lines[#lines + 1] = ("%4d %s"):format(self.counts[name], name)
  end
  return lines
end

--- @param soak table users with their proxies, server, serve()
--- @param may_restart fun(): boolean
function M.new(soak, may_restart)
  return setmetatable({
    soak = soak, may_restart = may_restart, counts = {}, timers = {}, server_is_away = false,
  }, Chaos)
end

return M
