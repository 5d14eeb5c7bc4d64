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

-- Looks like a socket of LuaSocket to copas and to select().
local function socket_of(alarm)
  local heard = false
  return {
    getfd = function() return alarm:pollfd() end,
    dirty = function() return false end,
    -- The first call waits; the next one is made once the descriptor is readable.
    receive = function()
      heard = not heard
      if heard then return nil, "timeout" end
      return ""
    end,
    close = function() end,
    settimeout = function() end,
  }
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
  local socket = socket_of(alarm)

  attachment:use {
    wake = function() alarm:set(0) end,
    release = function() alarm:release() end,
    ended = function() alarm:set(0) end, -- the thread is to see that it is over
    resume = copas.addthread,
    suspend = pause and suspend_by_copas
      or function(call) return suspend_by_queue(attachment, call) end,
  }
  copas.addthread(function()
    while attachment:is_active() do
      alarm:set(attachment:turn())
      if attachment:is_active() then copas.receive(socket, 1) end
    end
    alarm:close()
  end)
  return attachment
end

return M
