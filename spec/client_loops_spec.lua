--- Clients in loops that are not theirs: the same specs under luv, cqueues and copas, each with the
--- real library and a real server.
local command = require "support.command"
local loops = require "support.loops"
local lua = require "support.lua"
local luv = require "luv"
local native = require "stream_events.native"
local process = require "support.process"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local PATIENCE = 20 -- seconds: a guard, specs wait on conditions

-- Open descriptors of this process; without /proc there is nothing to compare.
local function descriptors()
  local list = luv.fs_scandir "/proc/self/fd"
  if not list then return 0 end
  local count = 0
  while luv.fs_scandir_next(list) do count = count + 1 end
  return count
end

local function specs(loop)
  local url, clients

  setup(function()
    command.need_build()
    local _
    _, url = command.serve { "--api-key", "devkey", "--api-secret", "lan-dev-secret" }
  end)
  teardown(process.end_all)
  before_each(function() clients = {} end)
  after_each(function()
    for _, client in ipairs(clients) do client:close() end
    for _ = 1, 3 do loop.step() end -- what is left of the adapters goes
  end)

  local function new(more)
    local options = { api_key = "devkey", base_url = url, logger = function() end }
    for name, value in pairs(more or {}) do options[name] = value end
    local client = stream_events.new(options)
    clients[#clients + 1] = client
    return client
  end

  local function wait(what, condition)
    local ends = native.now() + PATIENCE
    while not condition() do
      if native.now() > ends then error("waited in vain: " .. what, 2) end
      loop.step()
    end
  end

  --- Runs a function in a coroutine of the loop to its end; gives what it returned. Not by pcall:
  --- Lua 5.1 cannot yield across it.
  local function within(run)
    local result
    loop.spawn(function() result = lua.pack(run()) end)
    wait("the coroutine's end", function() return result end)
    return lua.unpack(result, 1, result.n)
  end

  local function connect(client, id)
    return client:connect_user({ id = id }, tokens.user("lan-dev-secret", id))
  end

  it("delivers events to a client that nobody polls", function()
    local client, got = new(), nil
    loop.attach(client)
    local channel = client:channel("livestream", "one")
    channel:subscribe_for("poke", function(event) got = event.n end)
    client:connect_user({ id = "ann" }, tokens.user("lan-dev-secret", "ann"), function()
      channel:watch(function() channel:send_event("poke", { n = 7 }, function() end) end)
    end)
    wait("the event", function() return got end)
    assert.equal(7, got)
  end)

  it("suspends the coroutine that makes a call, and nothing else", function()
    local client = new()
    loop.attach(client)
    local log = {}
    loop.spawn(function()
      log[1] = "begins"
      log[3] = connect(client, "ann").id
    end)
    loop.spawn(function() log[2] = log[3] or "meanwhile" end)
    wait("the answer", function() return log[3] end)
    assert.same({ "begins", "meanwhile", "ann" }, log)
  end)

  it("lets several coroutines wait at a time, each for its own answer", function()
    local client, ended = new(), {}
    loop.attach(client)
    within(function()
      assert(connect(client, "ann"))
      assert(client:channel("livestream", "one"):watch())
    end)
    for i = 1, 5 do
      loop.spawn(function()
        local sent = client:channel("livestream", "one"):send_event("poke", { n = i })
        ended[#ended + 1] = sent and sent.n == i
      end)
    end
    assert.same({}, ended)
    wait("all answers", function() return #ended == 5 end)
    assert.same({ true, true, true, true, true }, ended)
  end)

  it("drives the client alone for a call outside of coroutines", function()
    local client = new()
    loop.attach(client)
    assert(connect(client, "ann"))
    local answered
    client:channel("livestream", "one"):watch(function(_, err) answered = err or true end)
    wait("the answer", function() return answered end)
    assert.is_true(answered)
  end)

  it("notices calls that are made while it sleeps", function()
    local client, sent = new(), nil
    loop.attach(client)
    within(function() assert(connect(client, "ann") and client:channel("livestream", "one"):watch()) end)
    for _ = 1, 20 do loop.step() end -- whatever was left to do is done
    client:channel("livestream", "one"):send_event("poke", {}, function(event) sent = event end)
    wait("the answer", function() return sent end)
    local ran
    client:spawn(function() ran = true end)
    wait("the function", function() return ran end)
  end)

  it("keeps the times of the client", function()
    local mute, failure = luv.new_tcp(), nil -- the system takes connections, and nobody answers
    mute:bind("127.0.0.1", 0)
    mute:listen(8, function() end)
    local client = new {
      base_url = "http://127.0.0.1:" .. mute:getsockname().port, timeouts = { connect = 0.2 },
    }
    loop.attach(client)
    client:connect_user({ id = "ann" }, "token", function(_, err) failure = err end)
    wait("the end of the attempt", function() return failure end)
    assert.equal("timeout", failure.kind)
    mute:close()
  end)

  it("drives two clients, and one goes on without the other", function()
    local ann, bob = new(), new()
    loop.attach(ann)
    local other = loop.attach(bob)
    local heard = {}
    for name, client in pairs { ann = ann, bob = bob } do
      client:subscribe_for("poke", function(event) heard[name .. event.n] = event.user.id end)
      within(function()
        assert(connect(client, name))
        assert(client:channel("livestream", "two"):watch())
      end)
    end
    within(function() assert(ann:channel("livestream", "two"):send_event("poke", { n = 1 })) end)
    within(function() assert(bob:channel("livestream", "two"):send_event("poke", { n = 2 })) end)
    wait("both events at both", function()
      return heard.ann1 and heard.ann2 and heard.bob1 and heard.bob2
    end)
    assert.same({ ann1 = "ann", ann2 = "bob", bob1 = "ann", bob2 = "bob" }, heard)
    other:stop()
    within(function() assert(ann:channel("livestream", "two"):send_event("poke", { n = 3 })) end)
    wait("the event", function() return heard.ann3 end)
    assert.is_nil(heard.bob3)
    bob:poll(PATIENCE)
    assert.equal("ann", heard.bob3)
  end)

  it("does no more in a turn than it was told", function()
    local client, count, most, in_turn = new(), 0, 0, 0
    loop.attach(client, { max_events = 3 })
    local channel = client:channel("livestream", "many")
    within(function() assert(connect(client, "ann") and channel:watch()) end)
    channel:subscribe_for("poke", function()
      count, in_turn = count + 1, in_turn + 1
      most = math.max(most, in_turn)
    end)
    local sender = new()
    assert(connect(sender, "bob"))
    for i = 1, 20 do assert(sender:channel("livestream", "many"):send_event("poke", { n = i })) end
    local poll = client.poll
    function client:poll(...)
      in_turn = 0
      return poll(self, ...)
    end
    wait("all events", function() return count == 20 end)
    assert.equal(3, most)
  end)

  describe("a client that is closed", function()
    local function closed_by(close)
      collectgarbage()
      local descriptors_before, handles_before = descriptors(), loop.handles()
      local client = new()
      local attachment = loop.attach(client)
      within(function() assert(connect(client, "ann") and client:channel("livestream", "one"):watch()) end)
      close(client)
      wait("the end", function() return not attachment:is_active() end)
      for _ = 1, 3 do loop.step() end
      assert.equal(descriptors_before, descriptors())
      assert.equal(handles_before, loop.handles())
    end

    it("inside a handler leaves nothing in the loop", function()
      closed_by(function(client)
        client:subscribe_for("poke", function() client:close() end)
        client:channel("livestream", "one"):send_event("poke", {}, function() end)
      end)
    end)

    it("inside a callback leaves nothing in the loop", function()
      closed_by(function(client)
        client:channel("livestream", "one"):send_event("poke", {}, function() client:close() end)
      end)
    end)

    it("by a coroutine of the loop leaves nothing in the loop", function()
      closed_by(function(client) loop.spawn(function() client:close() end) end)
    end)

    it("outside leaves nothing in the loop", function()
      closed_by(function(client) client:close() end)
    end)

    it("tells callbacks and coroutines that wait", function()
      local client, told = new(), {}
      loop.attach(client)
      within(function() assert(connect(client, "ann")) end)
      client:channel("livestream", "one"):watch(function(_, err) told.callback = err.kind end)
      loop.spawn(function()
        local _, err = client:channel("livestream", "two"):watch()
        told.coroutine = err.kind
      end)
      client:close()
      wait("both were told", function() return told.callback and told.coroutine end)
      assert.same({ callback = "closed", coroutine = "closed" }, told)
    end)
  end)

  describe("stop", function()
    it("leaves nothing in the loop, and the client as it was", function()
      local client, got = new(), nil
      within(function() end)
      collectgarbage()
      local descriptors_before, handles_before = descriptors(), loop.handles()
      local attachment = loop.attach(client)
      attachment:stop()
      attachment:stop()
      for _ = 1, 3 do loop.step() end
      assert.is_false(attachment:is_active())
      assert.equal(descriptors_before, descriptors())
      assert.equal(handles_before, loop.handles())
      assert(connect(client, "ann"))
      local channel = client:channel("livestream", "one")
      assert(channel:watch())
      channel:subscribe_for("poke", function() got = true end)
      channel:send_event("poke", {}, function() end)
      for _ = 1, 20 do loop.step() end
      assert.is_nil(got)
      local ends = native.now() + PATIENCE
      while not got and native.now() < ends do client:poll(1) end
      assert.is_true(got)
    end)

    it("in a handler ends the turn in an orderly way, and it can be attached again", function()
      local client, heard = new(), 0
      local attachment = loop.attach(client)
      local channel = client:channel("livestream", "one")
      within(function() assert(connect(client, "ann") and channel:watch()) end)
      channel:subscribe_for("poke", function()
        heard = heard + 1
        attachment:stop()
      end)
      within(function() channel:send_event("poke", {}, function() end) end)
      wait("the event", function() return heard == 1 end)
      attachment = loop.attach(client)
      within(function() channel:send_event("poke", {}, function() end) end)
      wait("the next event", function() return heard == 2 end)
    end)

    it("leaves a coroutine that waits to whoever drives the client", function()
      local client, ended = new(), nil
      local attachment = loop.attach(client)
      loop.spawn(function() ended = connect(client, "ann") end)
      attachment:stop()
      local ends = native.now() + PATIENCE
      while not ended and native.now() < ends do
        client:poll(0.05)
        loop.step()
      end
      assert.equal("ann", ended.id)
    end)
  end)

  describe("attach", function()
    local function refused(text, ...)
      local ok, message = pcall(loop.attach, ...)
      assert.is_false(ok)
      assert.truthy(tostring(message):find(text, 1, true), message)
    end

    it("refuses a client that is closed, attached or none", function()
      local client = new()
      refused("a client expected, not a string", "client")
      local attachment = loop.attach(client)
      refused("the client is in a loop already: stop() that first", client)
      attachment:stop()
      client:close()
      refused("the client is closed", client)
    end)

    it("refuses options that it does not have", function()
      local client = new()
      refused("a turn in a loop never waits", client, { seconds = 1 })
      refused("no option 'max_event': did you mean 'max_events'?", client, { max_event = 1 })
      refused("max_events must be a positive number", client, { max_events = 0 })
    end)
  end)
end

for name, loop in pairs(loops.all()) do
  describe("a client under " .. name, function() specs(loop) end)
end
