-- Networks that are only half there: addresses that do not answer, names that nobody resolves, and
-- connections whose other end has gone without a word.
local uv = require "luv"
local core = require "stream_events.core"
local lua = require "support.lua"
local peer = require "support.peer"
local process = require "support.process"
local relays = require "support.relay"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"

local SECRET = "lan-dev-secret"
local HERE = debug.getinfo(1, "S").source:match "^@(.*)[/\\][^/\\]*$"
local ROOT = HERE:gsub("/?spec$", "")

after_each(function()
  peer.stop_all()
  process.end_all()
end)

-- An address that takes no connection and refuses none, as behind a firewall: its queue is full. Gives
-- what ends it. Without IPv6, or where the port is taken, there is just nothing.
local function silent_ipv6(port)
  local sockets, taken = { uv.new_tcp() }, false
  local ok = sockets[1]:bind("::1", port) and sockets[1]:listen(1, function() taken = true end)
  for i = 2, ok and 8 or 1 do
    sockets[i] = uv.new_tcp()
    sockets[i]:connect("::1", port, function() end)
    while not taken do uv.run "once" end -- one is taken out of the queue, and no other
  end
  return function()
    for _, socket in ipairs(sockets) do socket:close() end
    uv.run "nowait"
  end
end

describe("names", function()
  local library

  setup(function()
    library = os.tmpname()
    local built = os.execute(("env -u LD_PRELOAD ${CC:-cc} -shared -fPIC -o %s %s/support/odd_names.c -ldl")
      :format(library, HERE))
    assert(built == true or built == 0)
  end)
  teardown(function() os.remove(library) end)

  -- What a program prints that runs with the odd names; `finish` runs a transport until it is closed.
  local function run(program)
    local child = process.start(lua.INTERPRETER, { "-e", [[
      local core = require "stream_events.core"
      local transport, ends = core.transport(), core.now() + 30
      local function turn_until(condition)
        repeat
          transport:step()
          local result = condition()
          if not result then transport:wait(1) end
          if core.now() > ends then os.exit(1) end
        until result
      end
    ]] .. program }, {
      LD_PRELOAD = (os.getenv "LD_PRELOAD" or "") .. " " .. library,
      ASAN_OPTIONS = "detect_leaks=0:verify_asan_link_order=0",
    })
    assert.equal(0, child:finish(), child.stderr)
    return child.stdout
  end

  it("of two addresses are reached by the one that answers, without waiting for the other", function()
    local pages = peer.http(function(_, connection) connection:answer(200, "page") end)
    local websockets = peer.websocket()
    local over, over_too = silent_ipv6(pages.port), silent_ipv6(websockets.port)
    -- Half of the time to connect for the first address would be more than there is.
    local said = run(([[
      transport:request { method = "GET", url = "http://both.test:%d/", timeout = 4 }
      local connection = transport:connect { url = "ws://both.test:%d/", timeout = 4 }
      local status
      turn_until(function()
        local id, answer, kind = transport:next_response()
        if id then status = answer or kind end
        return status and connection:state() ~= "connecting"
      end)
      print(status, connection:state())
    ]]):format(pages.port, websockets.port))
    assert.equal("200\topen", said:match "[^\r\n]+")
    over()
    over_too()
  end)

  it("that no name server answers for hold up nothing else, not even the end of the program", function()
    local pages = peer.http(function(_, connection) connection:answer(200, "page") end)
    local said = run(([[
      local hangs = transport:request { method = "GET", url = "http://hangs.test/", timeout = 30 }
      local connection = transport:connect { url = "ws://hangs.test/", timeout = 30 }
      local got = {}
      for i = 1, 3 do
        local id = transport:request { method = "GET", url = "http://127.0.0.1:%d/" .. i, timeout = 20 }
        turn_until(function()
          local done, status = transport:next_response()
          if done then got[#got + 1] = (done == hangs and "hangs: " or "page: ") .. tostring(status) end
          return done == id
        end)
      end
      print(table.concat(got, ", "), connection:state())
      -- Others, whose time is short: what came before has none to race against.
      transport:request { method = "GET", url = "http://hangs.test/", timeout = 0.4 }
      connection = transport:connect { url = "ws://hangs.test/", timeout = 0.4 }
      turn_until(function()
        local done, _, kind = transport:next_response()
        if done then print("hangs: " .. kind) end
        return done
      end)
      turn_until(function() return connection:state() == "closed" end)
      print(select(2, connection:state()))
      transport:request { method = "GET", url = "http://hangs.test/", timeout = 100 }
      transport:step()
      transport:close()
    ]]):format(pages.port))
    assert.truthy(said:find("page: 200, page: 200, page: 200\tconnecting", 1, true), said)
    assert.truthy(said:find("hangs: timeout", 1, true), said)
    -- By our own time or by that of libcurl, which is the same: whichever is looked at first.
    assert.truthy(said:find "\ntimeout\tnot open within 0%.4 seconds: no connection"
      or said:find "\ntimeout\tResolving timed out", said)
  end)
end)

describe("a connection whose other end has gone without a word", function()
  local function serve()
    local child = process.start("lua5.4", {
      (ROOT == "" and "." or ROOT) .. "/lua/bin/stream-events", "serve", "--port", "0",
      "--data", ":memory:", "--api-key", "devkey", "--api-secret", SECRET,
    })
    return tonumber(child:wait_for("stdout", "listening on http://[^:]+:(%d+)"))
  end

  -- Runs the clients and what is in this process until the condition holds.
  local function wait(condition, ...)
    local ends = core.now() + 20
    while not condition() do
      assert(core.now() < ends, "waited in vain")
      uv.run "nowait"
      for _, client in ipairs { ... } do client:poll(0.002) end
    end
  end

  it("is found dead by its silence, and made anew with all that was watched", function()
    local port = serve()
    local relay = relays.to("127.0.0.1", port)
    local function new(base_url, id)
      local client = stream_events.new {
        api_key = "devkey", base_url = base_url, timeouts = { health = 0.4, silence = 2 },
        random = function() return 0 end,
      }
      local connected
      client:connect_user({ id = id }, tokens.user(SECRET, id), function(me, err)
        connected = me or error(err)
      end)
      wait(function() return connected end, client)
      return client
    end
    local john, jane = new(relay.url, "john"), new(("http://127.0.0.1:%d"):format(port), "jane")
    local changes, heard, watching = {}, {}, 0
    john:subscribe_for("connection.*", function(event) changes[#changes + 1] = event end)
    local here = john:channel("messaging", "general", { members = { "john", "jane" } })
    here:subscribe_for("poke", function(event) heard[#heard + 1] = event.i end)
    here:watch(function(ok, err) watching = ok and 1 or error(err) end)
    wait(function() return watching == 1 end, john, jane)

    relay:freeze()
    wait(function() return #changes > 0 end, john, jane)
    assert.same({ false, "timeout", "nothing heard from the server for 2 seconds", true },
      { changes[1].online, changes[1].kind, changes[1].reason, changes[1].will_retry })
    wait(function() return changes[#changes].type == "connection.recovered" end, john, jane)
    local sent
    jane:channel("messaging", "general"):send_event("poke", { i = 1 }, function(ok, err)
      sent = ok or error(err)
    end)
    wait(function() return sent and heard[1] end, john, jane)
    assert.same({ 1 }, heard)
    john:close()
    jane:close()
    relay:close()
  end)

  it("is checked at once when the machine was asleep meanwhile", function()
    local port = serve()
    local relay = relays.to("127.0.0.1", port)
    local slept, changes, answers = 0, {}, 0
    local function new(check)
      local client = stream_events.new {
        api_key = "devkey", base_url = relay.url, timeouts = { check = check },
        clock = { now = core.now, time = core.time, slept = function() return slept end },
        random = function() return 0 end,
      }
      local connected
      client:connect_user({ id = "john" }, tokens.user(SECRET, "john"), function(me, err)
        connected = me or error(err)
      end)
      wait(function() return connected end, client)
      client:subscribe_for("connection.changed", function(event) changes[#changes + 1] = event end)
      client:subscribe_for("health.check", function() answers = answers + 1 end)
      return client
    end

    local client = new(20) -- it is answered, and that may take its time
    slept = 600
    wait(function() return answers == 1 end, client)
    assert.same({ 1, 0 }, { client:stats().sleeps, #changes })
    client:close()

    client = new(0.3)
    relay:freeze()
    slept = 1200
    wait(function() return #changes == 2 end, client)
    assert.same({ "nothing heard from the server for 0.3 seconds", true },
      { changes[1].reason, changes[2].online })
    client:close()
    relay:close()
  end)
end)
