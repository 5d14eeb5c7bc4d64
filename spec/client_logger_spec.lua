--- Loggers that end the session, or the client, because of what they are told: at whatever line.
local fakes = require "support.fake_transport"
local stream_events = require "stream_events"
local token = require "stream_events.token"

local EXPIRED = { type = "connection.error", error = { code = 40, message = "expired", StatusCode = 401 } }

-- Connects, is told that the token has expired, loses the connection, is in doubt of it, and says goodbye.
-- `act(client)` is done at the line `at` of the log. Gives how many lines there were.
local function live(trace, at, act)
  local fake, client = fakes.new(), nil
  local lines, asked, answers, calls, failures = 0, 0, 0, 0, {}
  local function logger(_, message, fields)
    lines = lines + 1
    if fields and fields.traceback then failures[#failures + 1] = message .. ": " .. fields.traceback end
    if lines ~= at then return end
    local ok, failure = pcall(act, client)
    if not ok then failures[#failures + 1] = failure end
  end
  local function answered() answers = answers + 1 end
  local function call(method, ...)
    calls = calls + 1
    local arguments = { ... }
    arguments[#arguments + 1] = answered
    client[method](client, (table.unpack or unpack)(arguments)) -- luacheck: ignore 113 (Lua 5.1)
    for _ = 1, 3 do client:poll(1) end
  end
  fake.on_connect = function(socket)
    socket:greet()
    socket.on_send = function(self) self:receive { type = "health.check", cid = "*" } end
  end
  client = stream_events.new(fake.options { trace = trace, logger = logger })
  call("connect_user", { id = "john" }, function()
    asked = asked + 1
    return token.user("secret " .. asked, "john")
  end)
  client:channel("messaging", "general"):watch(function() end)
  client:poll(1)
  for _, happens in ipairs {
    function() fake.socket:receive(EXPIRED) end,
    function() fake.socket:finish("network", "reset") end,
    function() client:reconnect_now() end,
    function() fake.clock.advance(30) end,
  } do
    if fake.socket then happens() end
    for _ = 1, 5 do client:poll(5) end
  end
  call "disconnect"
  assert.same({}, failures)
  assert.equal(calls, answers)
  for _, socket in ipairs(fake.sockets) do assert.is_true(socket.aborted) end
  client:close()
  return lines
end

describe("a logger may", function()
  for name, act in pairs {
    ["close the client"] = function(client) client:close() end,
    ["wait for a disconnect"] = function(client) client:disconnect() end,
    ["disconnect"] = function(client) client:disconnect(function() end) end,
  } do
    for _, trace in ipairs { false, true } do
      it(name .. " at any line" .. (trace and " of a trace" or ""), function()
        local lines = live(trace, 0, act)
        assert.is_true(lines >= (trace and 20 or 6), lines)
        for at = 1, lines do live(trace, at, act) end
      end)
    end
  end

  it("disconnect when it reads of a loss: that is what handlers hear of last", function()
    local fake, client = fakes.new(), nil
    local heard = {}
    client = stream_events.new(fake.options {
      logger = function(_, message)
        if message == "offline" and #heard == 1 then client:disconnect(function() end) end
      end,
    })
    client:subscribe_for("connection.changed", function(change) heard[#heard + 1] = change.reason end)
    assert(client:connect_user({ id = "john" }, token.user("secret", "john")))
    client:poll()
    fake.socket:finish("network", "reset")
    for _ = 1, 5 do client:poll(1) end
    assert.same({ "connected", "reset", "disconnected" }, heard)
  end)
end)
