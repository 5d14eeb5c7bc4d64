--- Runs files of specs, each in a busted of its own and several at once, and adds up what they say.
-- usage: lua run_specs.lua BUSTED [OPTION]... FILE...
-- One process for all of them keeps what every spec has ever made, and collects it again and again. Each
-- in its own is quicker, and one that crashes takes nothing with it.
-- What is well is a line; what is not is shown as busted shows it. The last line is busted's own for all
-- files together. Ends with 1 when anything failed, crashed or was left pending.
local uv = require "luv"

local ESCAPES = "\27%[[%d;]*m"
local SUMMARY = "(%d+) success%a* / (%d+) failures? / (%d+) errors? / (%d+) pending : ([%d.]+)[^\n]*\n?"

local at_once = tonumber(os.getenv "JOBS") or #uv.cpu_info()
local command, options, files = arg[1], {}, {}
for i = 2, #arg do
  local list = arg[i]:find "^%-" and options or files
  list[#list + 1] = arg[i]
end

local totals, all_well, running = { 0, 0, 0, 0 }, true, 0

local function add(numbers)
  for i, number in ipairs(numbers) do totals[i] = totals[i] + number end
end

local function report(file, text, code, signal)
  local good, bad, broken, pending, seconds = text:gsub(ESCAPES, ""):match(SUMMARY)
  local well = good and code == 0 and signal == 0 and bad + broken + pending == 0 and good + 0 > 0
  if well then
    add { good, bad, broken, pending }
    io.write(("ok %5d  %s (%.1f s)\n"):format(good, file, seconds))
    return
  end
  all_well = false
  -- Without a summary, or with one that denies it, something else went wrong: that counts as an error.
  if good and bad + broken + pending > 0 then add { good, bad, broken, pending } else add { 0, 0, 1, 0 } end
  io.write(("\nFAILED  %s (status %d, signal %d)\n"):format(file, code, signal),
    (text:gsub(ESCAPES, ""):gsub(SUMMARY, "")), "\n")
end

local start_next

local function start(file)
  local out, err, parts = uv.new_pipe(false), uv.new_pipe(false), {}
  local args = { command }
  for _, option in ipairs(options) do args[#args + 1] = option end
  args[#args + 1] = file
  local handle, code, signal
  local open = 3 -- the process, and the two that it writes to
  local function ended()
    open = open - 1
    if open > 0 then return end
    running = running - 1
    report(file, table.concat(parts), code, signal)
    start_next()
  end
  local problem
  handle, problem = uv.spawn(uv.exepath(), { args = args, stdio = { nil, out, err } }, function(...)
    code, signal = ...
    handle:close(ended)
  end)
  assert(handle, problem)
  running = running + 1
  for _, pipe in ipairs { out, err } do
    pipe:read_start(function(_, data)
      if data then parts[#parts + 1] = data else pipe:close(ended) end
    end)
  end
end

start_next = function()
  while running < at_once and files[1] do start(table.remove(files, 1)) end
end

io.stdout:setvbuf "line"
assert(files[1], "no files of specs")
local began = uv.hrtime()
start_next()
uv.run()
io.write(("%d successes / %d failures / %d errors / %d pending : %.1f seconds\n"):format(
  totals[1], totals[2], totals[3], totals[4], (uv.hrtime() - began) / 1e9))
os.exit(all_well and 0 or 1)
