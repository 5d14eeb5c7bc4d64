--- How `stream-events doctor` reaches out: names, sockets, HTTP. None of it takes longer than it is told.
local luv = require "luv"
local native = require "stream_events.native"

local M = {}

-- Closes a handle to the end: one that is still closing when the program ends would crash it.
local function close(handle)
  local closed = false
  handle:close(function() closed = true end)
  while not closed do luv.run "nowait" end
end

-- Runs the loop until there is a result, or the time is over.
local function wait(seconds, done)
  local late = false
  local timer = assert(luv.new_timer())
  luv.update_time()
  timer:start(math.ceil(seconds * 1000), 0, function() late = true end)
  while not done() and not late do luv.run "once" end
  close(timer)
end

-- What the names of errors stand for.
local WORDS = {
  ECONNREFUSED = "refuses connections", ETIMEDOUT = "does not answer", ECONNRESET = "ends the connection",
  EHOSTUNREACH = "cannot be reached: there is no way to it", ENETUNREACH = "cannot be reached: there is "
    .. "no network to it",
  EAI_AGAIN = "no name server answers", EAI_NONAME = "nobody knows the name",
}

--- Looks a name up.
---@param host string
---@param seconds number
---@return string[]? addresses in the order in which they are to be tried
---@return string? message
function M.addresses(host, seconds)
  local failure, found
  luv.os_setenv("RES_OPTIONS", ("timeout:%d attempts:1"):format(math.ceil(seconds)))
  local request, message = luv.getaddrinfo(host, nil, { socktype = "stream" }, function(err, list)
    failure, found = err, list
  end)
  if not request then return nil, tostring(message) end
  wait(seconds, function() return failure or found end)
  if not found then
    return nil, WORDS[failure] or failure or ("no answer within %d seconds"):format(seconds)
  end
  local addresses = {}
  for i, entry in ipairs(found) do addresses[i] = entry.addr end
  return addresses
end

--- Connects to one address.
---@param address string
---@param port integer
---@param seconds number
---@return number? seconds that it took
---@return string? message
function M.connect(address, port, seconds)
  local socket, begun = assert(luv.new_tcp()), native.now()
  local over, failure = false, nil
  local request, message = socket:connect(address, port, function(err) over, failure = true, err end)
  if not request then over, failure = true, message:match "^%u+" or message end
  wait(seconds, function() return over end)
  local took = native.now() - begun
  close(socket)
  if over and not failure then return took end
  return nil, failure and (WORDS[failure] or failure)
    or ("does not answer within %d seconds"):format(seconds)
end

---@class stream_events.command.doctor.Answer
---@field status integer? nil: there was none
---@field body string?
---@field headers table<string, string>
---@field err stream_events.Error? why there was none
---@field seconds number that it took
---@field at number when it came, seconds since 1970 by this machine's clock
---@field certificate stream_events.core.Certificate?

--- Makes one HTTP request on a connection of its own.
---@param request { url: string, headers: string[]? }
---@param ca_file string?
---@param seconds number
---@return stream_events.command.doctor.Answer
function M.get(request, ca_file, seconds)
  local transport, kind, message = native.transport {
    user_agent = "stream-events-doctor", max_body = 1 << 20, connect_timeout = seconds, keep_date = true,
    ca_file = ca_file,
  }
  if not transport then return { err = native.error(kind, message), headers = {}, seconds = 0, at = 0 } end
  local begun = native.now()
  local started, why, text = transport:request {
    method = "GET", url = request.url, headers = request.headers, timeout = seconds,
  }
  local id, status, body, headers
  while started and not id do
    transport:step(1)
    id, status, body, headers = transport:next_response()
  end
  if id and not status then why, text = body, headers end
  local certificate = transport:certificate()
  transport:close()
  return {
    status = status, body = status and body, headers = status and headers or {},
    err = not status and native.error(why, text or "no answer") or nil,
    seconds = native.now() - begun, at = native.time(), certificate = certificate,
  }
end

return M
