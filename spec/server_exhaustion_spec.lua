-- A listener in a process that has no descriptors left. Each case is a process of its own, with few
-- descriptors to begin with.
local command = require "support.command"
local http_client = require "support.http_client"
local process = require "support.process"

after_each(process.end_all)

-- Takes all descriptors but 'spare' before it listens: one for the poller, one for the listening
-- socket, and one for the listener's reserve, where it is left one.
local PROGRAM = [[
local spare, uv = %d, require "luv"
local core, clock = require "stream_events.server.core", require "stream_events.core"
local deadline = clock.now() + 20
local client, taken, received = uv.new_tcp "inet", {}, ""
while true do
  local file = io.open "/dev/null"
  if not file then break end
  taken[#taken + 1] = file
end
for _ = 1, spare do table.remove(taken):close() end
local listener = assert(core.listen())
assert(not io.open "/dev/null", "there are descriptors left")

local _, port = listener:address()
local connected, readable
client:connect("127.0.0.1", port, function(err)
  connected = assert(not err, err)
  client:read_start(function(_, data) received = received .. (data or "") end)
end)
local poll, timer = uv.new_poll(listener:pollfd()), uv.new_timer()
poll:start("r", function() readable = true end)
local function turn(mode)
  assert(clock.now() < deadline, "waited in vain")
  local seconds = listener:timeout() or 20
  timer:start(math.ceil(seconds * 1000), 10, function() end)
  readable = false
  uv.run(mode)
end
repeat turn "once" until connected and readable
listener:step()
%s
client:close()
poll:close()
timer:close()
listener:close_all()
for _ = 1, 3 do uv.run "nowait" end
io.stdout:write "done"
]]

local function run(spare, rest)
  local child = process.run("/bin/sh",
    { "-c", 'ulimit -n 48 && exec lua5.4 -e "$0"', PROGRAM:format(spare, rest) })
  return child.stdout .. child.stderr
end

describe("serve", function()
  -- Runs it with these limits of open files, for a hundred connections.
  local function serve(limits)
    local folder = command.ROOT ~= "" and command.ROOT or nil
    local server = process.start("/bin/sh", { "-c", limits .. " && exec " .. command.COMMAND
      .. " serve --port 0 --data :memory: --max-connections 100" }, nil, folder)
    local port = tonumber((server:wait_for("stdout", "listening on http://127%.0%.0%.1:(%d+)\n")))
    return server, port
  end

  it("takes as many connections as it may have, whatever it was started with", function()
    local server, port = serve "ulimit -Sn 60"
    local sockets = {}
    for i = 1, 100 do
      sockets[i] = http_client.dial("127.0.0.1", port)
      sockets[i].tcp:write "GET /hi HTTP/1.1\r\nHost: localhost\r\n\r\n"
      http_client.wait("an answer", function() return sockets[i].received:find "\r\n\r\n" end)
      assert.matches("^HTTP/1.1 200 ", sockets[i].received)
    end
    assert.is_nil(server.stderr:match "warn[^\n]*")
    for _, socket in ipairs(sockets) do socket.close() end
    http_client.settle()
  end)

  it("says so when the system allows fewer", function()
    serve("ulimit -n 120"):wait_for("stderr", "raise `ulimit %-n`.*allowed=120 needed=740\n")
  end)
end)

describe("a listener without descriptors", function()
  it("tells who comes that there is no room", function()
    assert.equal("done", run(3, [[
      repeat turn "once" until received:find "HTTP/1.1 503 "
      assert(listener:stats().refused == 1)
    ]]))
  end)

  it("does not turn in circles when it cannot even do that, and goes on later", function()
    assert.equal("done", run(2, [[
      assert(listener:timeout(), "there must be a moment to try again")
      turn "nowait"
      assert(not readable, "the poller reports what cannot be accepted")
      for _ = 1, 3 do table.remove(taken):close() end
      repeat
        turn "once"
        listener:step()
      until listener:stats().accepted == 1
    ]]))
  end)
end)
