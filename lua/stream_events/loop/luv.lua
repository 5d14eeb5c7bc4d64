--- Clients in a libuv loop, through luv: their turns run beside everything else in it.
--
--     require("stream_events.loop.luv").attach(client)
--     uv.run()
--
-- A call without a callback suspends the coroutine it is made in, as all of luv's programs do it that
-- wait in coroutines; outside of one it drives the client alone until the answer is there.
local uv = require "luv"
local attachments = require "stream_events.attachment"

local M = {}

--- Has the loop drive a client, until the client is closed or stop() is called.
---@param client stream_events.Client
---@param options { max_events: integer?, max_milliseconds: number? }? of each turn, as of client:poll
---@return stream_events.Attachment attachment with stop()
function M.attach(client, options)
  local attachment = attachments.new(client, options)
  -- What is due at once comes by an idle handle, not by a timer: one that is started again for now may
  -- be called before the loop has looked at anything else.
  local poll, timer, idle = assert(uv.new_poll(client:pollfd())), uv.new_timer(), uv.new_idle()

  local function turn()
    local seconds = attachment:turn()
    if not attachment:is_active() then return end
    if seconds == 0 then return idle:start(turn) end
    idle:stop()
    if seconds then
      uv.update_time() -- handlers may have run for long, and a timer counts from when the loop looked
      timer:start(math.ceil(seconds * 1000), 0, turn)
    else
      timer:stop()
    end
  end

  attachment:use {
    wake = function() idle:start(turn) end,
    release = function() poll:close() end,
    ended = function()
      timer:close()
      idle:close()
    end,
  }
  poll:start("r", turn)
  idle:start(turn)
  return attachment
end

return M
