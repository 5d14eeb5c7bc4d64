--- What frames_script.lua has measured under callgrind: instructions of the longest call, by phase.
local M = {}

M.STEADY = "steady" -- the phase that the others are compared with
M.MOST = 3 -- times the longest steady frame: no call may cost more

--- The commands that build the meter and run the script under it. Run from the project's folder.
---@param meter string where the meter is put
---@param log string
---@param arguments string of the script
---@return string build
---@return string run
function M.commands(meter, log, arguments)
  local build = ("${CC:-cc} -std=c11 -g -O1 -Wall -Wextra -fPIC -shared -o '%s' spec/support/frame_meter.c "
    .. "$(pkg-config --cflags lua5.4) -ldl"):format(meter)
  local run = ("LD_PRELOAD='%s' valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file='%s' "
    .. "lua5.4 spec/support/frames_script.lua %s"):format(meter, log, arguments)
  return build, run
end

--- Reads the log.
---@param text string
---@return { name: string, calls: integer, longest: integer }[] phases in their order
---@return table<string, { name: string, calls: integer, longest: integer }> by_name
function M.read(text)
  local phases, by_name = {}, {}
  local before, name
  for line in text:gmatch "[^\n]+" do
    name = line:match "frame (.+)$" or name
    local count = tonumber(line:match "^events%-1: (%d+)")
    if count and name then
      local phase = by_name[name]
      if not phase then
        phase = { name = name, calls = 0, longest = 0 }
        phases[#phases + 1], by_name[name] = phase, phase
      end
      phase.calls = phase.calls + 1
      phase.longest = math.max(phase.longest, count - before)
      name = nil
    elseif count then
      before = count
    end
  end
  return phases, by_name
end

return M
