-- Finalizers of a program's objects run wherever Lua allocates: also in the middle of a call into
-- the C core, and when the state closes, in any order. What they do to the same objects must harm
-- nobody (AddressSanitizer sees more of that than the assertions here).
local garbage = require "support.garbage"
local lua = require "support.lua"
local uv = require "luv"
local core = require "stream_events.core"
local peer = require "support.peer"
local server_core = _VERSION == "Lua 5.4" and require "stream_events.server.core"

local transport

before_each(function()
  transport = core.transport()
  lua.collect_at_once(true)
end)
after_each(function()
  lua.collect_at_once(false)
  transport:close()
  peer.stop_all()
end)

--- Calls method(object, ...) so that its first allocation runs 'finalizer'; returns its results.
local function call_collecting(finalizer, object, method, ...)
  local call, ran = object[method], false
  local function on_collected()
    ran = true
    finalizer()
  end
  collectgarbage()
  lua.finalized(on_collected)
  collectgarbage "restart" -- the next step is due at once
  local results = lua.pack(call(object, ...))
  assert(ran, "the finalizer was not called")
  return results
end

--- A connection that has one more message in memory than next() has returned.
local function with_message(texts, router)
  local server = peer.websocket(function(connection)
    local frames = {}
    for i, text in ipairs(texts) do frames[i] = peer.frame("text", text) end
    connection:say(table.concat(frames))
  end)
  local connection = assert(transport:connect { url = server:url "ws", router = router })
  peer.pump(transport, function() return connection:next() ~= nil end, "the first message")
  return connection
end

local function custom_router()
  local router = core.router()
  router:set { custom = true }
  return router
end

local EVENT = ('{"type":"poke","cid":"messaging:general","pad":"%s"}'):format(("x"):rep(400))

describe("a finalizer that runs while next() makes an event", function()
  for what, finalizer in pairs {
    ["ends the connection"] = function(connection) connection:abort() end,
    ["closes the transport"] = function() transport:close() end,
    ["takes the next event"] = function(connection) connection:next() end,
  } do
    it(what .. ": then that event is gone", function()
      local connection = with_message({ EVENT, EVENT, EVENT }, custom_router())
      assert.equal(0, call_collecting(function() finalizer(connection) end, connection, "next").n)
    end)
  end

  it("does something else: then the event is as it came", function()
    local connection = with_message({ EVENT, EVENT }, custom_router())
    local results = call_collecting(function() connection:pause(true) end, connection, "next")
    assert.same({ "poke", "messaging:general" }, { results[2], results[3] })
    assert.equal(EVENT, core.event.text(results[1]))
  end)

  it("ends another connection of the transport: then the event is as it came", function()
    local other = with_message({ EVENT, EVENT }, custom_router())
    local connection = with_message({ EVENT, EVENT }, custom_router())
    local results = call_collecting(function() other:abort() end, connection, "next")
    assert.same({ "poke", "messaging:general" }, { results[2], results[3] })
    assert.equal(EVENT, core.event.text(results[1]))
  end)

  it("ends the connection of a text that is no event: the reason is still told", function()
    local broken = "broken" .. ("x"):rep(500)
    local connection = with_message({ EVENT, broken }, custom_router())
    local results = call_collecting(function() transport:close() end, connection, "next")
    assert.same({ false, "malformed" }, { results[1], results[2] })
    assert.equal(broken:sub(1, 200), results[4])
  end)
end)

describe("a finalizer that runs while rules judge an event", function()
  local verdicts = core.verdicts
  local RULES = {
    ["as it is"] = {},
    ["and flag it"] = { flag = "hm" },
    ["and quarantine it"] = { quarantine = "hm" },
    ["and drop it, which is observed"] = { size = 1 },
    ["and strip it"] = { extra = "strip" },
    ["with a function"] = { check = function() return verdicts.allow end },
    ["with a function that rewrites it"] = {
      rewrite = function() return verdicts.rewrite { text = "new" } end,
      fields = { text = { kind = "string", optional = true } }, extra = "strip",
    },
    ["with a function that raises"] = { check = function() error "no" end },
  }
  local function engine_of(rule)
    local engine = core.rules()
    local description = { name = "poke", kind = "event", extra = "keep" }
    for name, value in pairs(rule) do description[name] = value end
    engine:use(assert(core.rule_set {
      rules = { description }, default = "drop", mode = "enforce", hash = "0123456789ab",
    }))
    engine:observe(true)
    return engine
  end

  for how, rule in pairs(RULES) do
    for what, finalizer in pairs {
      ["ends the connection"] = function(world) world.connection:abort() end,
      ["closes the transport"] = function() transport:close() end,
      ["takes the next event"] = function(world) world.connection:next() end,
      ["puts other rules in force"] = function(world) world.engine:use(nil) end,
      ["takes the rules away"] = function(world)
        world.router:rules(nil)
        world.engine = nil
      end,
      ["has another event judged"] = function(world) world.engine:decide('{"type":"poke","cid":"a:b"}') end,
    } do
      it(("%s %s: nobody is harmed"):format(what, how), function()
        local world = { router = custom_router(), engine = engine_of(rule) }
        world.router:rules(world.engine)
        world.connection = with_message({ '{"type":"poke"}', EVENT, EVENT, EVENT }, world.router)
        call_collecting(function() finalizer(world) end, world.connection, "next")
        for _ = 1, 5 do
          local event, kind = world.connection:next()
          assert(event or kind ~= "malformed", "an event was damaged")
        end
        for type in pairs(world.router:counts()) do assert.equal("poke", type) end
      end)
    end
  end
end)

describe("a finalizer that runs while an answer is fetched", function()
  local body = ("b"):rep(10000)
  local function with_answer()
    local server = peer.http(function(_, connection)
      connection:answer(200, body, { "Content-Type: text/plain", "Retry-After: 7" })
    end)
    assert(transport:request { method = "GET", url = server:url "http" })
    local answered
    peer.pump(transport, function()
      local before = answered
      answered = server.connections[1] and transport:timeout() == 0
      return before and answered -- only an answer makes two steps due one after the other
    end, "an answer")
  end

  it("closes the transport: then there is none", function()
    with_answer()
    assert.equal(0, call_collecting(function() transport:close() end, transport,
      "next_response").n)
  end)

  it("fetches it: then it comes once", function()
    with_answer()
    local inner
    local outer = call_collecting(function() inner = lua.pack(transport:next_response()) end,
      transport, "next_response")
    assert.equal(0, outer.n)
    assert.same({ 200, body, { ["content-type"] = "text/plain", ["retry-after"] = "7" } },
      { inner[2], inner[3], inner[4] })
  end)
end)

describe("options that run code", function()
  local function closing(fields)
    return setmetatable({}, { __index = function(_, name)
      transport:close()
      return fields[name]
    end })
  end

  it("may close the transport that connects", function()
    local connection, kind = transport:connect(closing { url = "ws://127.0.0.1:1/" })
    assert.same({ nil, "closed" }, { connection, kind })
  end)

  it("may close the transport that requests", function()
    local id, kind = transport:request(closing { method = "GET", url = "http://127.0.0.1:1/" })
    assert.same({ nil, "closed" }, { id, kind })
  end)

  it("may give a router something else each time they are asked", function()
    local asked = 0
    local options = setmetatable({}, { __index = function(_, name)
      if name ~= "types" then return nil end
      asked = asked + 1
      return asked == 1 and { "poke" } or { {} }
    end })
    assert.is_true(core.router():set(options))
    assert.equal(1, asked)
  end)
end)

describe("a prepared request", function()
  it("is refused, not sent, when its header lines were finalized before it", function()
    local results
    -- Finalizers run in the reverse order of making: the header lines go before this object.
    local function forget()
      local prepared
      lua.finalized(function() results = lua.pack(transport:send(prepared, "body")) end)
      prepared = core.transport():prepare { method = "POST", url = "http://127.0.0.1:1/",
        headers = { "X-Test: y" } }
    end
    forget()
    garbage.collect()
    assert.same({ nil, "closed" }, { results[1], results[2] })
  end)
end)

if server_core then -- as the server, for 5.4 only
  describe("a finalizer that runs while the listener hands out a request", function()
    local function with_request()
      local listener = assert(server_core.listen())
      local _, port = listener:address()
      local socket = uv.new_tcp()
      socket:connect("127.0.0.1", port, function()
        socket:write "GET /abc?x=1 HTTP/1.1\r\nHost: here\r\nX-Test: y\r\n\r\n"
      end)
      finally(function()
        socket:close()
        listener:close_all()
      end)
      local deadline = core.now() + 20
      repeat -- no deadline runs any more when the request is complete
        assert(core.now() < deadline, "no request")
        uv.run "nowait"
        listener:step()
      until listener:stats().accepted == 1 and listener:timeout() == nil
      return listener
    end

    for what, finalizer in pairs {
      ["closes the listener"] = function(listener) listener:close_all() end,
      ["goes on with the turn"] = function(listener)
        listener:step()
        assert(listener:next() == nil)
      end,
    } do
      it(what .. ": then the request is whole", function()
        local listener = with_request()
        local results = call_collecting(function() finalizer(listener) end, listener, "next")
        assert.equal("request", results[1])
        assert.equal("/abc", results[3].path)
        assert.equal("y", results[3].headers["x-test"])
        assert.equal(what ~= "closes the listener", listener:respond(results[2], 200, ""))
      end)
    end
  end)
end

describe("an object of the core", function()
  it("does not give away its metatable, and with it its finalizer", function()
    local router = core.router()
    local connection = transport:connect { url = "ws://127.0.0.1:1/" }
    local objects = { router, transport, connection, core.ws "client", core.event.new '{"type":"poke"}' }
    if server_core then
      local listener = server_core.listen()
      finally(function() listener:close_all() end)
      objects[#objects + 1] = listener
    end
    for _, object in ipairs(objects) do
      assert.not_equal("table", type(getmetatable(object)))
      assert.is_false((pcall(setmetatable, object, {})))
    end
  end)
end)
