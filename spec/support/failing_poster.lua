-- Run by failing_memory: requests of the poster, again and again, with one allocation after another
-- failing, until they need no more of them. Writes how many there were. The first argument is the URL
-- of a server that answers 503, and when to come back, to every request.
--
-- Each time all requests are answered, or it is said that there is no memory for one, or it is too late,
-- since libcurl has a socket that could not be watched; nothing hangs.
local core = require "stream_events.server.core"
local attempt = attempt -- luacheck: ignore 113

local url, lasting = ...
lasting = lasting == "lasting"

local OPTIONS = { max_in_flight = 4, max_body = 100, connect_timeout = 0.2 }
local WITHOUT_MEMORY = { memory = true, network = true, timeout = true }
local DEADLINE = os.time() + 60

-- What came of a request: a status, or the kind of a failure.
local function outcome_of(poster, target)
  local id, kind = poster:send(target, "body", { "X-Own: line" }, 20)
  if not id then return kind end
  local answered, status, body, headers
  repeat
    assert(os.time() < DEADLINE, "an answer that does not come")
    poster:step()
    answered, status, body, headers = poster:next_response()
  until answered
  assert(answered == id)
  return status and status .. " " .. headers["retry-after"] or body
end

local function run()
  local poster, kind = core.poster(OPTIONS)
  if not poster then return kind end
  local outcomes = {}
  local target = poster:prepare { url = url, headers = { "X-All: line" } }
  for i = 1, 3 do outcomes[i] = outcome_of(poster, target) end
  poster:close()
  return table.unpack(outcomes)
end

local function check(n, failed, status, ...)
  if status == "memory" or tostring((...)):find "not enough memory$" then
    assert(failed, "out of memory without need")
    return failed
  end
  if status ~= "ok" then error(("allocation %d: %s"):format(n, (...)), 0) end
  for i = 1, select("#", ...) do
    local outcome = select(i, ...)
    if outcome ~= "503 5" and not (failed and WITHOUT_MEMORY[outcome]) then
      error(("allocation %d: request %d: %s"):format(n, i, tostring(outcome)), 0)
    end
  end
  return failed
end

local n = 0
repeat
  n = n + 1
  collectgarbage()
until not check(n, attempt(n, lasting, run))
check(0, false, "ok", run())

-- A URL is read to its end, or not at all: a part that there was no memory for is not taken for none.
local poster = assert(core.poster(OPTIONS))
local request = { url = url }
local function prepare() return (poster:prepare(request)) end
local reading = 0
local failed, status, target
repeat
  reading = reading + 1
  collectgarbage()
  failed, status, target = attempt(reading, lasting, prepare, true)
  if status == "ok" then
    local outcome = target and outcome_of(poster, target)
    if outcome ~= "503 5" then error(("allocation %d of a URL: %s"):format(reading, outcome), 0) end
  else
    assert(failed and tostring(target):find "not enough memory$", target)
  end
until not failed
io.stdout:write(n, " ", reading)
