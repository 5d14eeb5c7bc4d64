--- What the groups of comparisons share: programs that are started and measured, and figures.
-- A round runs every contender once, in turn, so that a machine that gets slower meanwhile gets
-- slower for all of them; a ratio is taken within its round. Shown: median (lowest-highest).
-- What is measured and what feeds it run on cores of their own where there are two: moving about
-- and sharing caches costs more than most of what is compared here.
local uv = require "luv"

local M = {}

M.BENCH = "build/bench/"
M.LUA = "lua5.4"
M.rounds = 5
M.missed = 0

local BENCH = M.BENCH

-- Programs ---------------------------------------------------------------------------------------

--- A whole file; raises when it cannot be read.
function M.read_file(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local cores = #uv.cpu_info()
M.MEASURED, M.OTHER = 0, math.min(1, cores - 1)

-- What programs say besides their figures; kept, for when one of them fails.
local REMARKS = BENCH .. "remarks.txt"
local remarks = assert(uv.fs_open(REMARKS, "w", 420)) -- rw-r--r--

local running = {} -- by pid: ended with this program, however it ends

local function next_line(process)
  while not process.text:find("\n", 1, true) do
    assert(not process.code, "a program ended early, see " .. REMARKS)
    uv.run "once"
  end
  local line, rest = process.text:match "^([^\n]*)\n(.*)"
  process.text = rest
  return line
end

--- Starts a program on a core; returns it with the first line it printed.
function M.start(core, command, ...)
  local into, out = uv.new_pipe(), uv.new_pipe()
  local process = { text = "", into = into, out = out }
  local options = { args = { "-c", tostring(core), command, ... }, stdio = { into, out, remarks } }
  process.handle, process.pid = uv.spawn("taskset", options, function(code) process.code = code end)
  if not process.handle then
    into:close()
    out:close()
    error(command .. ": " .. process.pid)
  end
  running[process.pid] = process
  out:read_start(function(_, data) process.text = process.text .. (data or "") end)
  process.line = next_line(process)
  return process
end

--- Gives a program a line to read, and waits for the one it answers with.
function M.ask(process, line)
  process.into:write(line .. "\n")
  return next_line(process)
end

--- Ends a program.
function M.stop(process)
  if not process.code then process.handle:kill "sigterm" end
  while not process.code do uv.run "once" end
  running[process.pid] = nil
  process.into:close()
  process.out:close()
  process.handle:close()
  uv.run "nowait"
end

--- Ends what a comparison that failed has left.
function M.stop_all()
  for _, process in pairs(running) do M.stop(process) end
end

-- Figures ----------------------------------------------------------------------------------------

-- Median, lowest and highest.
local function summary(values)
  local sorted = { table.unpack(values) }
  table.sort(sorted)
  local n = #sorted
  local median = n % 2 == 1 and sorted[(n + 1) // 2] or (sorted[n // 2] + sorted[n // 2 + 1]) / 2
  return median, sorted[1], sorted[n]
end

--- One line: a ratio with its spread, and the bar it has to reach ("at least" or "at most").
function M.verdict(label, values, word, bar)
  local median, low, high = summary(values)
  local text = ("  %-58s %8.2f  (%.2f-%.2f)"):format(label, median, low, high)
  if bar then
    local reached
    if word == "at least" then reached = median >= bar else reached = median <= bar end
    if not reached then M.missed = M.missed + 1 end
    text = ("%s   bar: %s %g  %s"):format(text, word, bar, reached and "reached" or "MISSED")
  end
  print(text)
end

--- Prints what contenders have reached.
---@param contenders { name: string, unit: string }[]
---@param figures table<string, number[]> by name
function M.print_figures(contenders, figures)
  for _, contender in ipairs(contenders) do
    local median, low, high = summary(figures[contender.name])
    print(("  %-58s %8.3f  (%.3f-%.3f) %s"):format(contender.name, median, low, high, contender.unit))
  end
end

--- Runs contenders in interleaved rounds. Returns name -> list of figures.
function M.rounds_of(contenders)
  local figures = {}
  for _ = 1, M.rounds do
    for _, contender in ipairs(contenders) do
      figures[contender.name] = figures[contender.name] or {}
      table.insert(figures[contender.name], contender.run())
    end
  end
  M.print_figures(contenders, figures)
  return figures
end

--- The ratios of two lists, round by round.
function M.ratios(above, below)
  local values = {}
  for i = 1, #above do values[i] = above[i] / below[i] end
  return values
end

return M
