--- What a client does when the machine, or the program, was asleep: whether the connection is still one
--- shows within seconds, not by the next health check and the limit of silence.
local fakes = require "support.fake_transport"

-- A connected client on a clock that knows of sleep; `sleep` puts the machine to it.
local function asleep(more)
  local fake = fakes.new()
  local slept = 0
  fake.clock.slept = function() return slept end
  local world = { fake = fake, changes = {} }
  local time = fake.clock.time
  fake.clock.time = function() return time() + slept end
  function world.sleep(seconds) slept = slept + seconds end
  function world.alive(socket)
    socket.on_send = function(self) self:receive { type = "health.check" } end
  end
  world.client = fake.connected(more)
  world.client:subscribe_for("connection.changed", function(change)
    change.at = fake.clock.now()
    world.changes[#world.changes + 1] = change
  end)
  function world.pass(seconds)
    local ends = fake.clock.now() + seconds
    while fake.clock.now() < ends do world.client:poll(ends - fake.clock.now()) end
  end
  return world
end

describe("a client that was asleep", function()
  it("asks at once whether the server is there, and stays when it answers", function()
    local world = asleep()
    world.alive(world.fake.socket)
    world.pass(3)
    world.sleep(600)
    world.client:poll()
    assert.equal(1, #world.fake.socket.sent)
    assert.equal(1, world.fake.transport.idle_ended)
    world.pass(20)
    assert.is_true(world.client:online())
    assert.equal(1, #world.fake.sockets)
    assert.equal(1, world.client:stats().sleeps)
    assert.equal(1, #world.fake.socket.sent) -- the next one is due 25 s after this one's answer
  end)

  it("takes any word of the server's for a sign of life", function()
    local world = asleep()
    world.sleep(600)
    world.client:poll()
    world.fake.clock.advance(2)
    world.fake.socket:event("poke")
    world.client:poll()
    world.pass(15)
    assert.is_true(world.client:online())
  end)

  it("comes back after 3 s without an answer", function()
    local world = asleep()
    world.sleep(600)
    local began = world.fake.clock.now()
    world.client:poll()
    world.pass(10)
    assert.equal(2, #world.fake.sockets)
    assert.is_true(world.client:online())
    assert.near(3, world.changes[1].at - began, 0.01)
    assert.equal("timeout", world.changes[1].kind)
    assert.truthy(world.changes[1].reason:find("nothing heard from the server for 3 seconds", 1, true))
  end)

  it("comes back after as many seconds as the options say", function()
    local world = asleep { timeouts = { check = 0.5 } }
    world.sleep(600)
    local began = world.fake.clock.now()
    world.client:poll()
    world.pass(3)
    assert.near(0.5, world.changes[1].at - began, 0.01)
  end)

  it("does not take for a sign of life what had arrived before", function()
    local world = asleep()
    local heard = 0
    world.client:subscribe_for("poke", function() heard = heard + 1 end)
    world.fake.socket:event("poke")
    world.fake.socket:receive { type = "health.check" }
    world.sleep(600)
    world.client:poll()
    assert.equal(1, heard)
    world.pass(6)
    assert.is_false(world.changes[1].online)
  end)

  it("notices within 5 s of its waking although nothing else brings a turn", function()
    local world = asleep()
    world.alive(world.fake.socket)
    world.pass(26) -- the first health check has its answer
    world.sleep(600)
    local began, at = world.fake.clock.now(), nil
    world.fake.socket.on_send = function(self)
      at = at or world.fake.clock.now()
      self:receive { type = "health.check" }
    end
    world.pass(20)
    assert.is_true(at - began <= 5)
  end)

  it("has the time of its next turn told where the system has no alarm", function()
    local world = asleep()
    world.fake.transport.alarm = function() return false end
    world.pass(10)
    assert.is_true(world.client:timeout() <= 5)
  end)

  it("retries at once when it was waiting to", function()
    local world = asleep()
    world.fake.on_connect = function(socket) socket:finish("network", "no route") end
    world.fake.socket:finish("network", "reset")
    world.pass(30)
    world.fake.on_connect = function(socket) socket:greet() end
    local count, now = #world.fake.sockets, world.fake.clock.now()
    world.sleep(600)
    for _ = 1, 3 do world.client:poll() end
    assert.equal(count + 1, #world.fake.sockets)
    assert.is_true(world.client:online())
    assert.equal(now, world.fake.clock.now())
  end)

  it("gives up an attempt that was under way for a while", function()
    local world = asleep()
    world.fake.on_connect = function() end
    world.fake.socket:finish("network", "reset")
    world.pass(6)
    world.fake.on_connect = function(socket) socket:greet() end
    world.sleep(600)
    for _ = 1, 3 do world.client:poll() end
    assert.is_true(world.client:online())
    assert.is_true(world.fake.sockets[2].aborted)
  end)

  it("lets go of the connections that HTTP keeps, as after a loss by the network, not by a word", function()
    local world = asleep()
    world.fake.socket:finish("network", "reset")
    world.client:poll()
    assert.equal(1, world.fake.transport.idle_ended)
    world.pass(5)
    world.fake.socket:refuse(9, "too many", { StatusCode = 429 })
    world.client:poll()
    assert.is_false(world.client:online())
    assert.equal(1, world.fake.transport.idle_ended)
  end)

  it("is one that was stopped for long, too", function()
    local world = asleep()
    world.alive(world.fake.socket)
    world.fake.clock.advance(16)
    world.client:poll()
    assert.equal(1, #world.fake.socket.sent)
    world.pass(5)
    assert.is_true(world.client:online())
  end)

  it("is none when it was only quiet, or never connected", function()
    local world = asleep()
    world.alive(world.fake.socket)
    world.pass(300)
    assert.equal(0, world.client:stats().sleeps)
    world.client:disconnect()
    world.sleep(600)
    world.fake.clock.advance(600)
    world.client:poll()
    assert.equal(0, world.client:stats().sleeps)
    assert.is_truthy(world.client:connect_user({ id = "john" }, world.fake.token))
    world.client:poll()
    assert.equal(0, world.client:stats().sleeps)
  end)

  it("sees a step of the clock of dates where the system does not tell of sleep", function()
    local fake = fakes.new()
    local client = fake.connected()
    local time = fake.clock.time
    fake.clock.time = function() return time() + 3600 end
    client:poll()
    assert.equal(1, #fake.socket.sent)
    fake.clock.time = function() return time() - 3600 end -- set back: no sleep
    fake.socket:receive { type = "health.check" }
    client:poll()
    client:poll()
    assert.equal(1, client:stats().sleeps)
    assert.equal(1, #fake.socket.sent)
  end)

  it("gives handlers that keep it from reading no reason to drop the connection", function()
    local world = asleep { limits = { handlers = 1 } }
    local client = world.client
    client:subscribe_for("poke", function() coroutine.yield() end)
    world.fake.socket:event("poke")
    client:poll()
    world.sleep(600)
    for _ = 1, 40 do client:poll(0.5) end
    assert.is_true(client:online())
  end)
end)
