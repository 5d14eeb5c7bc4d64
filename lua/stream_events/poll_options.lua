--- What poll() is given: how long a turn may take, and how much it may do.

local M = {}

local KNOWN = { seconds = true, max_events = true, max_milliseconds = true }

--- The values of a table of options, as they stand there.
---@param options stream_events.PollOptions
---@param level integer whom to blame, as for error()
---@return number? seconds
---@return integer? max_events
---@return number? max_milliseconds
function M.take(options, level)
  for name in pairs(options) do
    if not KNOWN[name] then
      local meant = require("stream_events.suggest").nearest(name, KNOWN)
      error(("poll has no option '%s'%s"):format(tostring(name),
        meant and (": did you mean '%s'?"):format(meant) or ""), level + 1)
    end
  end
  return options.seconds, options.max_events, options.max_milliseconds
end

local function is_number(value, least)
  return type(value) == "number" and value >= least -- which NaN is not
end

--- Raises unless all of them are fit.
---@param seconds any
---@param max_events any nil: any number
---@param max_milliseconds any nil: no limit
---@param level integer whom to blame, as for error()
function M.check(seconds, max_events, max_milliseconds, level)
  if not is_number(seconds, 0) then
    error("seconds must be a number, not negative", level + 1)
  elseif max_events ~= nil and not (is_number(max_events, 0) and max_events > 0) then
    error("max_events must be a positive number", level + 1)
  elseif max_milliseconds ~= nil and not is_number(max_milliseconds, 0) then
    error("max_milliseconds must be a number, not negative", level + 1)
  end
end

return M
