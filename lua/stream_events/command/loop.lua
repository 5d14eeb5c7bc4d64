--- Drives a client by luv, so that signals and the network are waited for in one place.
local luv = require "luv"

local M = {}

--- A loop that runs until stop(), which may be called in any handler or signal.
---@param client stream_events.Client
---@param on_signal fun(signal: "sigint"|"sigterm")
---@return { run: fun(), stop: fun(), wake: fun() } wake: take a turn soon, whoever asks
function M.new(client, on_signal)
  local handles = {}
  local function handle(new, ...)
    handles[#handles + 1] = assert(new(...))
    return handles[#handles]
  end
  local poll = handle(luv.new_poll, client:pollfd())
  local timer = handle(luv.new_timer)
  local failure

  local function stop()
    for _, each in ipairs(handles) do
      if not each:is_closing() then each:close() end
    end
  end

  local function turn()
    client:poll(0)
    if timer:is_closing() then return end
    local seconds = client:timeout()
    timer:stop()
    if seconds then timer:start(math.ceil(seconds * 1000), 0, turn) end
  end

  -- An error inside a callback of luv would only be printed; here it ends the loop and is raised.
  local function guarded(f)
    return function(...)
      local ok, err = xpcall(f, debug.traceback, ...)
      if not ok then
        failure = failure or err
        stop()
      end
    end
  end
  turn = guarded(turn)

  for _, name in ipairs { "sigint", "sigterm" } do
    handle(luv.new_signal):start(name, guarded(on_signal))
  end
  -- A pipe without a reader shows as a failed write; the signal would end the process.
  handle(luv.new_signal):start("sigpipe", function() end)
  poll:start("r", turn)
  timer:start(0, 0, turn)

  local function run()
    luv.run()
    if failure then error(failure, 0) end
  end
  local function wake()
    if not timer:is_closing() then timer:start(0, 0, turn) end
  end
  return { run = run, stop = stop, wake = wake }
end

return M
