--- Clients under copas: their turns run in a thread of it.
--
--     require("stream_events.loop.copas").attach(client)
--     copas.loop()
--
-- A call without a callback suspends the coroutine it is made in, as copas.receive() does; outside of
-- one it drives the client alone until the answer is there. Copas 1 knows no timers, and no thread that
-- waits for nothing but to be woken: the times of the client come through a descriptor, and what waits
-- for a call is put into a queue of our own.
local copas = require "copas"
local attachments = require "stream_events.attachment"
local native = require "stream_events.native"

local M = {}

-- Looks like a socket of LuaSocket to copas and to select(), which does not wait where it is told that
-- the socket holds something already.
---@class stream_events.CopasSocket
---@field due boolean a turn is due now
local Socket = {}
Socket.__index = Socket

function Socket:getfd() return self.alarm:pollfd() end
function Socket:dirty() return self.due end
function Socket.close() end
function Socket.settimeout() end

-- The first call waits; the next one is made once there is something.
function Socket:receive()
  self.asked = not self.asked
  if self.asked then return nil, "timeout" end
  return ""
end

-- Sleeps until the descriptor is readable, somebody says that a turn is due, or so many seconds are over.
-- An alarm that is set for an earlier time is left as it is: that turn will find the right one.
function Socket:sleep(seconds)
  local now = native.now()
  self.due = seconds == 0
  local at = seconds and now + seconds
  if at and not self.due and (not self.rings or self.rings <= now or at < self.rings) then
    self.alarm:set(seconds)
    self.rings = at
  elseif self.rings and self.rings <= now then
    self.alarm:set()
    self.rings = nil
  end
  copas.receive(self, 1)
end

-- Copas 2 and newer suspend and wake by themselves.
local pause = copas.pauseforever or (copas.wakeup and function() copas.sleep(-1) end)

local function suspend_by_copas(call, thread)
  call.parked = function() copas.wakeup(thread) end
  while not call.done do pause() end
  return true
end

local function suspend_by_queue(attachment, call)
  -- Copas hands the coroutine that it has to resume later to what is yielded here.
  local queue = { insert = function() end }
  local waiting
  function queue.push(_, _, thread) waiting = thread end
  call.parked = function() attachment:go_on(waiting) end
  while not call.done do coroutine.yield(call, queue) end
  return true
end

--- Has copas drive a client, until the client is closed or stop() is called.
---@param client stream_events.Client
---@param options { max_events: integer?, max_milliseconds: number? }? of each turn, as of client:poll
---@return stream_events.Attachment attachment with stop()
function M.attach(client, options)
  local attachment = attachments.new(client, options)
  local alarm, kind, message = native.alarm(client:pollfd())
  if not alarm then error(native.error(kind, message), 2) end
  local socket = setmetatable({ alarm = alarm, due = false, asked = false }, Socket)

  attachment:use {
    wake = function() socket.due = true end,
    release = function() alarm:release() end,
    ended = function() socket.due = true end, -- the thread is to see that it is over
    resume = copas.addthread,
    suspend = pause and suspend_by_copas
      or function(call) return suspend_by_queue(attachment, call) end,
  }
  copas.addthread(function()
    while attachment:is_active() do
      local seconds = attachment:turn()
      if attachment:is_active() then socket:sleep(seconds) end
    end
    alarm:close()
  end)
  return attachment
end

return M
