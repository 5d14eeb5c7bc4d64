--- The faults of support.fault_proxy: what is done in the place of passing on.
local peer = require "support.peer"
local uv = require "luv"

local M = {}

M.frame, M.close_frame = peer.frame, peer.close_frame

------------------------------------------------------------------------------------- how bytes travel

local function queued(write)
  return function(link, bytes)
    local queue = link.queue
    if not queue then
      queue = {}
      link.queue = queue
    end
    queue[#queue + 1] = bytes
    if queue.busy then return end
    queue.busy = true
    local function go_on()
      local next_bytes = table.remove(queue, 1)
      if not next_bytes then
        queue.busy = false
      else
        write(link, next_bytes, go_on)
      end
    end
    go_on()
  end
end

--- Writes each piece so many milliseconds later.
function M.late(milliseconds)
  return queued(function(link, bytes, done)
    local timer = uv.new_timer()
    uv.update_time()
    timer:start(milliseconds, 0, function()
      timer:close()
      link:say(bytes, done)
    end)
  end)
end

--- Writes one byte at a time, each in a turn of the loop of its own.
M.drip = queued(function(link, bytes, done)
  local at = 0
  local function next_byte()
    at = at + 1
    if at > #bytes or link.near:is_closing() then return done() end
    link:say(bytes:sub(at, at), next_byte)
  end
  next_byte()
end)

--- Writes every piece in two: cut behind its byte number `place()`.
function M.split(place)
  return queued(function(link, bytes, done)
    local at = math.min(place(), #bytes)
    link:say(bytes:sub(1, at), function()
      link:say(bytes:sub(at + 1), done)
    end)
  end)
end

------------------------------------------------------------------------------- in the place of an answer

--- Passes on, and writes what comes back in the way of `shape`.
function M.shaped(shape)
  return function(link, request)
    link.shape = shape
    link:pass(request)
  end
end

--- An answer of our own; the server is not asked.
---@param status integer
---@param headers string[]? lines
---@param body string?
---@param after "close"|"reset"|nil what comes then
function M.answer(status, headers, body, after)
  body = body or ""
  local lines = { ("HTTP/1.1 %d Whatever"):format(status), "Content-Length: " .. #body }
  for _, line in ipairs(headers or {}) do lines[#lines + 1] = line end
  local bytes = table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
  return function(link)
    link.kind = "http" -- no upgrade comes of it
    link:say(bytes)
    if after then link[after](link) end
  end
end

M.HTML = "<!DOCTYPE html><html><head><title>Bad Gateway</title></head><body>nginx</body></html>"

--- A page of HTML, as gateways have them.
function M.html(status)
  return M.answer(status, { "Content-Type: text/html" }, M.HTML)
end

--- Bytes that are no answer.
function M.bytes(text, after)
  return function(link)
    link:say(text)
    if after then link[after](link) end
  end
end

--- Says nothing, and takes no notice of what is said.
function M.nothing(link)
  link:silence "both"
end

--- Ends the connection in the place of an answer; the server does not hear of the request.
function M.ends(how)
  return function(link) link[how](link) end
end

--- Ends the connection in the place of an answer, when the server has done what was asked.
function M.loses_answer(how)
  return function(link, request)
    link:pass(request, function() link[how](link) end)
  end
end

--- Passes the answer on, and ends the connection with it; `met.ended` of the proxy counts that.
function M.ends_behind_answer(how)
  return function(link, request)
    link:pass(request, function(answer)
      link:say(answer, function()
        link[how](link)
        local met = link.proxy.met
        met.ended = (met.ended or 0) + 1
      end)
    end)
  end
end

--- The first bytes of the answer, and no more: then the end, or silence.
---@param bytes integer negative: so many are missing
---@param how "close"|"reset"|nil
function M.cut_answer(bytes, how)
  return function(link, request)
    link:pass(request, function(answer)
      link:say(answer:sub(1, bytes < 0 and bytes - 1 or bytes))
      if how then link[how](link) end
    end)
  end
end

--- The answer as another makes it.
function M.changed_answer(change)
  return function(link, request)
    link:pass(request, function(answer) link:say(change(answer)) end)
  end
end

--------------------------------------------------------------------------------------------- WebSockets

--- The upgrade's answer as another makes it.
function M.changed_head(change)
  return function(link, request)
    link.on_head = change
    link:pass(request)
  end
end

--- The first bytes of the answer to the upgrade, then the end, or silence.
function M.cut_head(bytes, how)
  return M.changed_head_then(function(head) return head:sub(1, bytes) end, how)
end

function M.changed_head_then(change, how)
  return function(link, request)
    link.on_head = change
    link.filter = function() end
    link:pass(request)
    link.shape = function(self, bytes)
      self:say(bytes)
      if how then self[how](self) end
    end
  end
end

--- The server's frames as another makes them: change(frame, number) gives what is sent instead.
function M.changed_frames(change)
  return function(link, request)
    link.filter = change
    link:pass(request)
  end
end

--- The server's first frame is kept back.
M.no_first_frame = M.changed_frames(function(frame, number) return number > 1 and frame or nil end)

--------------------------------------------------------------------------------------- raw connections

--- So many bytes of what the server says, then silence or an end: of TLS, a handshake half way.
function M.raw_cut(bytes, how)
  return function(link)
    local left = bytes
    link.shape = function(self, text)
      if left <= 0 then return end
      self:say(text:sub(1, left))
      left = left - #text
      if left > 0 then return end
      if how then self[how](self) else self:silence "both" end
    end
    return "pass"
  end
end

return M
