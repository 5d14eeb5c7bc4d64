--- The soak: two users and the server under random faults for some minutes, then the accounts. Each user
--- is a process, and has a proxy of its own that spoils.
--
-- soak.lua [MINUTES [SEED]]. Ends with 0 when every event is accounted for and no memory has grown.
local accounts = require "support.accounts"
local command = require "support.command"
local folders = require "support.folder"
local free_port = require "support.free_port"
local http_client = require "support.http_client"
local process = require "support.process"
local proxies = require "support.fault_proxy"
local servers = require "support.server"
local soak_faults = require "support.soak_faults"
local tokens = require "stream_events.token"
local uv = require "luv"

local MINUTES = tonumber(arg[1]) or 10
local SEED = math.tointeger(tonumber(arg[2])) or os.time() % 1000000
local SECRET = "lan-dev-secret"
local CIDS = { "messaging:plain", "gaming:kept" }
local PACE = 40 -- sends a second, of each user, about
local LONGEST_PAUSE = 4000 -- milliseconds between faults
local PATIENCE = 60000 -- milliseconds, for what must come at the end
-- What the server keeps for clients fills by and by, and is full after so many seconds: longer than a send is
-- repeated for.
local KEPT_SECONDS = 40

io.stdout:setvbuf "line"
math.randomseed(SEED)
print(("soak: %g minutes, seed %d; again with: make soak MINUTES=%g SEED=%d")
  :format(MINUTES, SEED, MINUTES, SEED))

local soak = {
  port = free_port.tcp(), users = {}, counts = {}, memory = {}, books = accounts.new { "john", "jane" },
}
local folder = folders.new()

--------------------------------------------------------------------------------- server and users

function soak:serve()
  self.server = command.start { "serve", "--port", tostring(self.port), "--data", folder:at "state.db",
    "--api-key", "devkey", "--api-secret", SECRET, "--event-id-seconds", tostring(KEPT_SECONDS) }
  self.served_at = uv.hrtime()
  self.server:wait_for("stdout", "listening on ")
end

local function set_up()
  local fixture = servers.attach {
    host = "127.0.0.1", port = soak.port, api_key = "devkey", api_secret = SECRET,
  }
  fixture:users("john", "jane")
  assert(201 == fixture:call("server", "PUT", "/channeltypes/gaming",
    { custom_event_retention = { seconds = KEPT_SECONDS, count = 2000 }, custom_event_ids = true }))
  for _, cid in ipairs(CIDS) do fixture:channel(cid, { "john", "jane" }) end
  fixture:stop()
end

local sends = {}

local told = {
  sent = function(_, name, cid) sends[name] = soak.books:sent(name, cid) end,
  answered = function(_, name, created_at)
    soak.books:answered(sends[name], { created_at = created_at })
    sends[name] = nil
  end,
  failed = function(user, name, kind)
    soak.books:answered(sends[name], nil, kind)
    sends[name] = nil
    user.failures[kind] = (user.failures[kind] or 0) + 1
  end,
  got = function(user, name, cid, created_at) soak.books:got(user.id, name, cid, created_at) end,
  recovered = function(user, at, since, gap, replayed, cids)
    local event = { since = since ~= "" and since or nil, gap = gap == "gap", replayed = tonumber(replayed),
      gap_cids = {} }
    for cid in cids:gmatch "%S+" do event.gap_cids[#event.gap_cids + 1] = cid end
    soak.books:recovered(user.id, event, tonumber(at))
  end,
  changed = function() end,
  ready = function(user) user.ready = true end,
  quiet = function(user) user.quiet = true end,
  stats = function(user, errors, reconnects, cpu)
    user.errors, user.reconnects, user.cpu = tonumber(errors), tonumber(reconnects), tonumber(cpu)
  end,
}

local function split(line)
  local fields = {}
  for field in (line .. "\t"):gmatch "(.-)\t" do fields[#fields + 1] = field end
  return fields
end

-- Takes in what a user has written.
local function listen(user)
  local text = user.process.stdout
  local last = text:match ".*()\n"
  if not last then return end
  user.process.stdout = text:sub(last + 1)
  for line in text:sub(1, last):gmatch "([^\n]*)\n" do
    local fields = split(line)
    told[fields[1]](user, table.unpack(fields, 2))
  end
end

local function join(id)
  local user = { id = id, proxy = proxies.to("127.0.0.1", soak.port), failures = {} }
  user.process = process.start("lua5.4", { command.ROOT .. "spec/faults/soak_user.lua", id, user.proxy.url,
    tokens.user(SECRET, id), tostring(SEED + #id * 7 + #soak.users), tostring(PACE), table.unpack(CIDS) })
  soak.users[#soak.users + 1] = user
end

local function check_alive()
  for _, user in ipairs(soak.users) do
    listen(user)
    if user.process.code then
      error(("%s has ended: %s"):format(user.id, user.process.stderr), 0)
    end
  end
end

local function wait(what, condition, patience)
  http_client.wait(what, function()
    check_alive()
    return condition()
  end, patience or PATIENCE)
end

local function both(what, field)
  wait(what, function() return soak.users[1][field] and soak.users[2][field] end)
end

------------------------------------------------------------------------------------------- memory

local function resident(pid)
  local file = io.open(("/proc/%d/statm"):format(pid))
  if not file then return nil end
  local pages = tonumber(file:read "a":match "^%d+ (%d+)")
  file:close()
  return pages and pages * 4 -- kilobytes
end

local began = uv.hrtime()
local function elapsed() -- 0 to 1
  return (uv.hrtime() - began) / 1e9 / (MINUTES * 60)
end

-- Since when a process's memory is compared: users are warm after a quarter; the server that runs in the
-- second half is no longer killed, and is warm when all is full that it keeps.
local FROM = { john = 0.25, jane = 0.25, server = 0.6 }

local function is_warm(name)
  if name == "server" and uv.hrtime() - soak.served_at < (KEPT_SECONDS + 5) * 1e9 then return false end
  return elapsed() >= FROM[name]
end

local function note(name, kilobytes)
  soak.memory[name] = soak.memory[name] or {}
  table.insert(soak.memory[name], kilobytes)
end

-- How much Lua has in the server; one that is stopped does not say, and is asked again.
local function note_heap()
  local socket, text = uv.new_tcp(), ""
  local function over()
    if not socket:is_closing() then socket:close() end
    local bytes = text:match "\nstream_events_lua_heap_bytes (%S+)"
    if bytes then note("the server's Lua", tonumber(bytes) / 1024) end
  end
  socket:connect("127.0.0.1", soak.port, function(failure)
    if failure then return over() end
    socket:write "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    socket:read_start(function(problem, bytes)
      if problem or not bytes then return over() end
      text = text .. bytes
    end)
  end)
end

local function sample()
  local pids = { server = soak.server.pid }
  for _, user in ipairs(soak.users) do pids[user.id] = user.process.pid end
  for name, pid in pairs(pids) do
    local kilobytes = is_warm(name) and resident(pid)
    if kilobytes then note(name, kilobytes) end
  end
  if is_warm "server" then note_heap() end
end

local function middle(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function least(list) return math.min(table.unpack(list)) end

-- What a process may have more in the last fifth of the samples than in the first, in KiB. A server that was
-- busy for a second lets 16 MiB of garbage pile up before it looks for some, and what it had once it may
-- keep: how much of its memory is in use is what Lua has at least.
local MEMORIES = {
  { name = "john", of = middle, more = 1024 }, { name = "jane", of = middle, more = 1024 },
  { name = "server", of = middle, more = 20 * 1024 }, { name = "the server's Lua", of = least, more = 2048 },
}

-- Early and late, and whether that has grown.
local function growth(memory)
  local list = soak.memory[memory.name] or {}
  if #list < 5 then return nil end
  local fifth = #list // 5
  local early = memory.of { table.unpack(list, 1, fifth) }
  local late = memory.of { table.unpack(list, #list - fifth + 1, #list) }
  return early, late, late > early * 1.1 + memory.more
end

-------------------------------------------------------------------------------------------- the run

soak:serve()
set_up()
join "john"
join "jane"
both("both users are there", "ready")
for _, user in ipairs(soak.users) do user.process:kill "sighup" end

local timers = {}
local function every(milliseconds, run)
  local timer = uv.new_timer()
  timers[#timers + 1] = timer
  timer:start(milliseconds, milliseconds, run)
end

local chaos = soak_faults.new(soak, function() return elapsed() < 0.55 end)
local pause = uv.new_timer()
timers[#timers + 1] = pause
local function next_fault()
  chaos:strike()
  pause:start(math.random(LONGEST_PAUSE), 0, next_fault)
end
pause:start(1000, 0, next_fault)
every(math.max(200, math.ceil(MINUTES * 60000 / 200)), sample)

wait("the end of the time", function() return elapsed() >= 1 end, math.ceil(MINUTES * 60000) + PATIENCE)
for _, timer in ipairs(timers) do timer:close() end
chaos:make_peace()
wait("the server is back", function() return not chaos.server_is_away end)
for _, user in ipairs(soak.users) do user.process:kill "sigusr1" end
both("both users are online, with an answer to each send", "quiet")

-- What is sent now must arrive.
local first_last = #soak.books.sends + 1
for _, user in ipairs(soak.users) do user.process:kill "sigusr2" end

-- Why that has not happened so far; nil: it has.
local function missing()
  if #soak.books.sends < first_last + 9 then return "not all were sent" end
  for i = first_last, #soak.books.sends do
    local send = soak.books.sends[i]
    for id, receiver in pairs(soak.books.receivers) do
      if not receiver.got[send.name] then
        return ("%s got no %s of %s (%s)"):format(id, send.name, send.cid,
          send.err or send.created_at or "no answer")
      end
    end
  end
  return nil
end
local all_came, why = pcall(wait, "the last events reach both", function() return not missing() end)
if not all_came then why = missing() or why end
for _, user in ipairs(soak.users) do
  user.process:kill "sigterm"
  user.ended = user.process:finish()
  listen(user)
  user.proxy:stop()
end
soak.server:kill "sigterm"
local server_code = soak.server:finish()
folder:remove()

----------------------------------------------------------------------------------------- the report

local failures = 0
local function complain(format, ...)
  failures = failures + 1
  print("WRONG: " .. format:format(...))
end

if not all_came then complain("the last events did not reach both: %s", why) end
local tally, wrong = soak.books:balance()
print(("events: %d sent, %d accepted, %d answered with an error")
  :format(tally.sent, tally.answered - tally.failed, tally.failed))
print(("of %d deliveries to two users: %d came (%d events were replayed), %d were not to be, %d lie in a gap")
  :format(2 * tally.sent, tally.delivered, tally.replayed, tally.refused, tally.gap))
for _, user in ipairs(soak.users) do
  local parts = {}
  for kind, count in pairs(user.failures) do parts[#parts + 1] = ("%s %d"):format(kind, count) end
  table.sort(parts)
  print(("%s: %d reconnects, %s s CPU; errors: %s")
    :format(user.id, user.reconnects, user.cpu, table.concat(parts, ", ")))
  if user.errors > 0 then complain("%d of %s's handlers failed", user.errors, user.id) end
  if user.ended ~= 0 or user.process.stderr ~= "" then
    complain("%s ended with %s: %s", user.id, tostring(user.ended), user.process.stderr)
  end
end
if server_code ~= 0 then
  complain("the server ended with %s: %s", tostring(server_code), soak.server.stderr)
end
for i = 1, math.min(#wrong, 20) do complain("%s", wrong[i]) end
if #wrong > 20 then complain("and %d more of the kind", #wrong - 20) end
for _, memory in ipairs(MEMORIES) do
  local name, early, late, grown = memory.name, growth(memory)
  if early then
    print(("memory of %s: %.1f MB early, %.1f MB late"):format(name, early / 1024, late / 1024))
    if grown then complain("the memory of %s has grown", name) end
  else
    print(("memory of %s: too short a time to tell"):format(name))
  end
end
print "faults:"
for _, line in ipairs(chaos:report()) do print("  " .. line) end
local balance = tally.delivered + tally.refused + tally.gap
print(("balance: %d of %d accounted for%s"):format(balance, 2 * tally.sent,
  failures == 0 and "; nothing is wrong" or ("; %d things are wrong"):format(failures)))
http_client.settle()
os.exit(failures == 0 and balance == 2 * tally.sent and 0 or 1)
