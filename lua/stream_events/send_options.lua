--- The options of a send that say when it goes out: queue, priority, coalesce, max_age.
local suggest = require "stream_events.suggest"

local M = {}

---@class stream_events.SendOptions
---@field queue boolean? while offline it waits, and goes out once when the connection is back
---@field priority "urgent"|"normal"|"bulk"|nil urgent: before all others that wait; bulk: after them, though
---  not for ever; default "normal"
---@field coalesce string? a name: of the events with the same name, for the same channel and by the same
---  user, only the newest waits, the ones before it end with an error that is `superseded`
---@field max_age number? seconds that it may wait to go out; default: with queue timeouts.queued, else
---  timeouts.request

M.KNOWN = { queue = true, priority = true, coalesce = true, max_age = true }

-- As in send_queue.lua, which is loaded only when something waits.
local PRIORITIES = { urgent = 1, normal = 2, bulk = 3 }
local LONGEST_NAME = 255 -- bytes
local LONGEST_AGE = 1000000 -- seconds

local function check_priority(value, level)
  if value == nil or PRIORITIES[value] then return end
  local meant = type(value) == "string" and suggest.nearest(value, PRIORITIES)
  error(("option 'priority' must be \"urgent\", \"normal\" or \"bulk\"%s")
    :format(meant and (": did you mean \"%s\"?"):format(meant) or ""), level + 1)
end

--- Raises on values that are none.
---@param options table
---@param level integer whom to blame, as for error()
function M.check(options, level)
  local queue, name, age = options.queue, options.coalesce, options.max_age
  if queue ~= nil and type(queue) ~= "boolean" then
    error("option 'queue' must be true or false", level + 1)
  end
  check_priority(options.priority, level + 1)
  if name ~= nil and (type(name) ~= "string" or #name < 1 or #name > LONGEST_NAME) then
    error(("option 'coalesce' must be a name of 1 to %d bytes"):format(LONGEST_NAME), level + 1)
  end
  if age ~= nil and (type(age) ~= "number" or not (age > 0 and age <= LONGEST_AGE)) then
    error(("option 'max_age' must be a positive number of seconds, at most %d"):format(LONGEST_AGE),
      level + 1)
  end
end

--- Tells a send when it goes out. One that has any of these options keeps its order among those of the same
--- channel and priority.
---@param send stream_events.Send
---@param options stream_events.SendOptions checked
---@param path string of what it is sent to
---@param sender string? the user for whom a backend sends it
---@param timeouts stream_events.Timeouts
function M.apply(send, options, path, sender, timeouts)
  local queue, name = options.queue, options.coalesce
  if not (queue or name or options.priority or options.max_age) then return end
  send.order, send.queue = path, queue
  send.priority = PRIORITIES[options.priority or "normal"]
  send.max_age = options.max_age or (queue and timeouts.queued or timeouts.request)
  if name then send.key = ("%s\n%s\n%s"):format(path, sender or "", name) end
end

return M
