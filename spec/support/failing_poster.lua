-- Run by failing_memory: requests of the poster, again and again, with one allocation after another
-- failing, until they need no more of them. Writes how many there were. The first argument is the URL
-- of a server that answers 503, and when to come back, to every request; those to /together it answers with
-- 200, once it is asked for /go and has 64 of them, and /go until then with 404.
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

-- What is lost is lost at once: nobody waits for an answer that cannot be heard.
local function attempt_soon(...)
  local begun = os.time()
  local outcome = table.pack(attempt(...))
  assert(os.time() - begun < 10, "an answer that came too late")
  return table.unpack(outcome, 1, outcome.n)
end

local n = 0
repeat
  n = n + 1
  collectgarbage()
until not check(n, attempt_soon(n, lasting, run))
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

-- Those that were accepted are told of, or are there to be told of again: none is lost.
local MANY = 64
local many = assert(core.poster { max_in_flight = MANY, max_body = 100, connect_timeout = 5 })
local together = assert(many:prepare { url = (url:gsub("/a%?b$", "/together")) })
local go = assert(poster:prepare { url = (url:gsub("/a%?b$", "/go")) })
local telling = 0
repeat
  telling = telling + 1
  local tags, told, has_failed = {}, 0, false
  for i = 1, MANY do tags[assert(many:send(together, "", {}, 20))] = i end
  repeat many:step() until outcome_of(poster, go) == "503 5"
  while next(tags) do
    assert(os.time() < DEADLINE, "requests of which nothing is told")
    many:step()
    local answer = { attempt(has_failed and 0 or telling, lasting, many.accepted, false, many, tags) }
    has_failed = has_failed or answer[1]
    if answer[2] == "ok" then told = told + (answer[4] or 0) end
    local left = 0
    for _ in pairs(tags) do left = left + 1 end
    if told + left ~= MANY then error(("allocation %d: %d lost"):format(telling, MANY - told - left), 0) end
  end
until not has_failed
io.stdout:write(n, " ", reading, " ", telling)
