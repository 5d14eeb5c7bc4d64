--- Clients in a cqueues controller: their turns run in a thread of it.
--
--     local loop = cqueues.new()
--     require("stream_events.loop.cqueues").attach(client, { loop = loop })
--     assert(loop:loop())
--
-- A call without a callback suspends the thread of the controller that it is made in; outside of one
-- it drives the client alone until the answer is there.
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local attachments = require "stream_events.attachment"

local M = {}

local LONGEST = 3600 -- seconds between two turns where nothing is due

-- Suspends a thread of any controller until the call is done.
local function suspend(call)
  local _, is_thread = cqueues.running()
  if not is_thread then return false end
  local done = condition.new()
  call.parked = function() done:signal() end
  while not call.done do done:wait() end
  return true
end

--- Has a controller drive a client, until the client is closed or stop() is called.
---@param client stream_events.Client
---@param options { loop: table?, max_events: integer?, max_milliseconds: number? }? the controller, by
---  default the one that runs; the others of each turn, as of client:poll
---@return stream_events.Attachment attachment with stop()
function M.attach(client, options)
  options = options or {}
  local loop = options.loop or cqueues.running()
  if not loop then error("a controller expected as option 'loop': none is running", 2) end
  local limits = {}
  for name, value in pairs(options) do limits[name] = name ~= "loop" and value or nil end
  local attachment = attachments.new(client, limits)
  local changed, fd, watching = condition.new(), client:pollfd(), true
  local source = { pollfd = fd, events = client:events() }

  attachment:use {
    wake = function() changed:signal() end,
    release = function()
      watching = false
      cqueues.cancel(fd)
    end,
    ended = function() changed:signal() end,
    suspend = suspend,
  }
  loop:wrap(function()
    while attachment:is_active() do
      local seconds = attachment:turn() or LONGEST
      if watching and seconds > 0 then
        cqueues.poll(source, changed, seconds)
      elseif attachment:is_active() then
        cqueues.poll(0) -- the others' turn
      end
    end
  end)
  return attachment
end

return M
