--- Clients in short turns: programs that are fed until they end, each stopped while another runs.
-- A machine gets slower and faster by the second; with turns far shorter than that it does so for
-- all clients of a round alike. What feeds a client goes on until the kernel's buffers are full, so
-- that something always waits for the client.
local bench = require "bench.lib"
local uv = require "luv"

local M = {}

local TURN = 40 -- milliseconds
local CPU = bench.BENCH .. "cpu"

---@class bench.Client
---@field name string
---@field command string PORT stands for its feeder's port
---@field count integer of events
---@field feeder string[] a program that prints its port, and its arguments
---@field prints boolean? the client prints its CPU seconds itself: those of its start shall not count
---@field unit string? default "us CPU per event"
---@field times number? makes a figure of that unit of the seconds

local function words_of(command)
  local words = {}
  for word in command:gmatch "%S+" do words[#words + 1] = word end
  return words
end

-- A process group of its own, since `cpu` runs the program as its child; begins its life stopped.
local function start(client, number)
  local feeder = bench.start(bench.OTHER, table.unpack(client.feeder))
  local running = { client = client, feeder = feeder, report = ("%sturn-%d"):format(bench.BENCH, number) }
  os.remove(running.report)
  local out = assert(uv.fs_open(running.report .. ".out", "w", 420)) -- rw-r--r--
  local words = words_of((client.command:gsub("PORT", feeder.line)))
  running.handle, running.pid = uv.spawn("taskset", {
    args = { "-c", tostring(bench.MEASURED), CPU, running.report, table.unpack(words) },
    stdio = { nil, out, out }, detached = true,
  }, function() running.over = true end)
  uv.fs_close(out)
  assert(running.handle, running.pid)
  uv.kill(-running.pid, "sigstop")
  return running
end

local function finish(running)
  running.handle:close()
  bench.stop(running.feeder)
  local text = bench.read_file(running.report .. ".out")
  local user, system, _, status = bench.read_file(running.report):match "(%S+) (%S+) (%S+) (%S+)"
  if status ~= "0" then error(running.client.command .. " failed: " .. text) end
  if running.client.prints then return assert(tonumber(text:match "^[%d.]+"), text) end
  return tonumber(user) + tonumber(system)
end

local function take_turn(running, timer)
  local over = false
  timer:start(TURN, 0, function() over = true end)
  uv.kill(-running.pid, "sigcont")
  repeat uv.run "once" until over or running.over
  timer:stop()
  if not running.over then uv.kill(-running.pid, "sigstop") end
end

local function round(clients)
  local all, left = {}, #clients
  local timer = uv.new_timer()
  local ok, problem = pcall(function()
    for i, client in ipairs(clients) do all[i] = start(client, i) end
    while left > 0 do
      left = 0
      for _, running in ipairs(all) do
        if not running.over then take_turn(running, timer) end
        if not running.over then left = left + 1 end
      end
    end
  end)
  timer:close()
  for _, running in ipairs(all) do
    if not running.over then uv.kill(-running.pid, "sigkill") end
  end
  if not ok then error(problem, 0) end
  local seconds = {}
  for i, running in ipairs(all) do seconds[i] = finish(running) end
  return seconds
end

--- Runs the clients in rounds; prints and returns their figures, by name.
---@param clients bench.Client[]
---@return table<string, number[]>
function M.rounds_of(clients)
  local figures = {}
  for _, client in ipairs(clients) do
    client.unit = client.unit or "us CPU per event"
    client.times = client.times or 1e6 / client.count
    figures[client.name] = {}
  end
  for _ = 1, bench.rounds do
    local seconds = round(clients)
    for i, client in ipairs(clients) do
      table.insert(figures[client.name], seconds[i] * client.times)
    end
  end
  bench.print_figures(clients, figures)
  return figures
end

return M
