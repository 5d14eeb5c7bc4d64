-- The transport as a loop sees it: one descriptor, one timeout, steps that wait only when told to,
-- waits that end in time; and TLS, which both of its halves share.
local lua = require "support.lua"
local uv = require "luv"
local core = require "stream_events.core"
local peer = require "support.peer"
local process = require "support.process"
local tls = require "support.tls"

local transport

before_each(function() transport = core.transport() end)
after_each(function()
  transport:close()
  peer.stop_all()
  process.end_all()
end)

--- Whether the transport's descriptor is readable now, by a loop that is not its own.
local function readable(of)
  local poll, seen = uv.new_poll(of:pollfd()), false
  poll:start("r", function() seen = true end)
  uv.run "nowait"
  poll:close()
  uv.run "nowait"
  return seen
end

describe("transport", function()
  it("has one descriptor, which is readable when step has work", function()
    assert.equal("integer", lua.number_type(transport:pollfd()))
    assert.equal("r", transport:events())
    assert.is_false(readable(transport))
    local server = peer.websocket()
    local connection = transport:connect { url = server:url "ws" }
    peer.pump(transport, function() return connection:state() == "open" end)
    peer.pump(transport, function() return transport:timeout() == nil or connection:next() end)
    assert.is_false(readable(transport))
    server.connections[1]:say(peer.frame("text", "x"))
    peer.pump(nil, function() return readable(transport) end, "the descriptor")
    transport:step()
    assert.equal("x", (connection:next()))
    assert.is_nil(connection:next())
    assert.is_false(readable(transport))
  end)

  it("has no timeout while nothing is under way", function()
    assert.is_nil(transport:timeout())
    transport:step()
    assert.is_nil(transport:timeout())
    assert.is_nil(transport:next_response())
  end)

  it("wants its first step at once, then at the earliest deadline", function()
    transport:close()
    transport = core.transport { connect_timeout = 2000 }
    local server = peer.listen()
    transport:request { method = "GET", url = server:url "http", timeout = 1000 }
    assert.equal(0, transport:timeout())
    local connection = transport:connect { url = server:url "ws", timeout = 500 }
    peer.pump(transport, function()
      local timeout = transport:timeout()
      return timeout > 400 and timeout <= 500
    end, "the deadline of the connection")
    connection:abort()
    local timeout = transport:timeout()
    assert.is_true(timeout > 900 and timeout <= 1000)
  end)

  it("waits until there is work", function()
    local server = peer.http(function(_, connection) connection:answer(200, "x") end)
    local id = transport:request { method = "GET", url = server:url "http" }
    local found
    for _ = 1, 1000 do
      transport:step()
      found = transport:next_response()
      if found then break end
      transport:wait(0.01) -- the server lives in this process: it must get its turn
      uv.run "nowait"
    end
    assert.equal(id, found)
  end)

  it("waits no longer than told, and not at all for 0 or when there is work", function()
    transport:wait(0)
    transport:wait(0.001)
    local server = peer.listen()
    transport:request { method = "GET", url = server:url "http" }
    transport:wait(1000)
    transport:close()
    transport:wait(1000)
    assert.has_error(function() transport:wait(-1) end)
    assert.has_error(function() transport:wait(0 / 0) end)
    assert.has_error(function() transport:wait() end)
  end)

  it("asks and hears in one step that may wait", function()
    -- The server is a process of its own: nothing runs here meanwhile.
    local child = process.start(lua.INTERPRETER, { "-e", [[
      local server = require("support.peer").http(function(_, connection)
        connection:answer(200, "x")
      end)
      print(server.port)
      io.stdout:flush()
      require("luv").run()
    ]] }, { LUA_PATH = package.path })
    local url = ("http://127.0.0.1:%s/"):format(child:wait_for("stdout", "(%d+)\n"))
    local id = transport:request { method = "GET", url = url }
    local found
    repeat
      transport:step(10)
      found = transport:next_response()
    until found -- the first one connects, which takes several steps
    assert.equal(id, found)
    for _ = 1, 10 do
      id = transport:request { method = "GET", url = url }
      transport:step(10)
      assert.equal(id, (transport:next_response()))
    end
  end)

  it("waits in a step no longer than told, and not at all when there is work", function()
    transport:step(0)
    transport:step(0.001)
    local id = transport:request { method = "GET", url = "http://127.0.0.1:99999/" }
    transport:step(1000) -- fails at once
    transport:step(1000) -- nobody has looked at it so far
    assert.equal(id, (transport:next_response()))
    transport:close()
    transport:step(1000)
    assert.has_error(function() transport:step(-1) end)
    assert.has_error(function() transport:step(0 / 0) end)
    assert.has_error(function() transport:step "x" end)
  end)

  it("ends a wait when a signal comes", function()
    -- In a process of its own, which a shell sends signals to until it has ended.
    local program = [[
      local uv = require "luv"
      local core = require "stream_events.core"
      local transport = core.transport()
      local signal, seen = uv.new_signal(), false
      signal:start("sigusr1", function() seen = true end)
      uv.spawn("/bin/sh", { args = { "-c", ("while kill -USR1 %d 2>/dev/null; do sleep 0.05; done")
        :format(uv.os_getpid()) } }, function() end)
      local begun = core.now()
      transport:wait(30)
      while not seen do uv.run "once" end
      io.write(core.now() - begun < 20 and "handled" or "late")
      os.exit(0)
    ]]
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(program)
    file:close()
    local pipe = io.popen(("%s %s 2>&1"):format(lua.INTERPRETER, path))
    local text = pipe:read "*a"
    pipe:close()
    os.remove(path)
    assert.equal("handled", text)
  end)

  it("has an alarm that makes its descriptor readable once, and only the last one set", function()
    if not transport:alarm(1000) then return end -- a system without such a clock
    transport:alarm(0.01)
    local before = core.now()
    transport:wait(10)
    assert.is_true(core.now() - before < 5)
    transport:step()
    assert.is_nil(transport:timeout())
    before = core.now()
    transport:wait(0.02)
    assert.is_true(core.now() - before >= 0.02)
    for _, wrong in ipairs { 0, -1, 0 / 0, 1e9 } do
      assert.has_error(function() transport:alarm(wrong) end)
    end
    transport:alarm(0.01)
    transport:close()
    assert.is_false(transport:alarm(1))
  end)

  it("makes new connections once idle ones are ended, and leaves those alone that are in use", function()
    local held
    local server = peer.http(function(request, connection)
      if request.target == "/slow" then held = connection else connection:answer(200, "x") end
    end)
    local function ask(path) return transport:request { method = "POST", url = server:url("http", path) } end
    local function answered(id)
      return peer.pump(transport, function()
        local done, status = transport:next_response()
        return done == id and status
      end)
    end
    transport:end_idle()
    assert.equal(200, answered(ask "/"))
    local slow = ask "/slow"
    peer.pump(transport, function() return held end)
    assert.equal(200, answered(ask "/"))
    assert.equal(2, #server.connections)
    transport:end_idle()
    assert.equal(200, answered(ask "/"))
    assert.equal(3, #server.connections)
    held:answer(200, "late")
    assert.equal(200, answered(slow))
    transport:close()
    transport:end_idle()
  end)

  it("is harmless after close, but has no descriptor any more", function()
    transport:close()
    transport:close()
    transport:step()
    transport:cancel(1)
    assert.is_nil(transport:timeout())
    assert.is_nil(transport:next_response())
    assert.same({ nil, "closed" }, { (transport:request { method = "GET", url = "http://x/" }),
      (select(2, transport:request { method = "GET", url = "http://x/" })) })
    assert.equal("closed", (select(2, transport:connect { url = "ws://x/" })))
    assert.has_error(function() transport:pollfd() end)
  end)

  it("leaves no descriptor behind, whatever it was doing", function()
    local function count()
      local found = 0
      local folder = uv.fs_scandir "/proc/self/fd"
      if not folder then return nil end
      while uv.fs_scandir_next(folder) do found = found + 1 end
      return found
    end
    local function use()
      local server = peer.http(function(_, connection) connection:answer(200) end)
      local sockets = peer.websocket()
      local other = core.transport { max_in_flight = 2 }
      for _ = 1, 5 do other:request { method = "GET", url = server:url "http" } end
      local connection = other:connect { url = sockets:url "ws" }
      peer.pump(other, function() return connection:state() == "open" end)
      other:connect { url = sockets:url "ws" }
      other:connect { url = "ws://localhost:" .. sockets.port .. "/" } -- a name to be resolved
      other:step()
      other:close()
      peer.stop_all()
    end
    use()
    local before = count()
    if not before then return end -- no /proc on this system
    for _ = 1, 3 do use() end
    peer.pump(nil, function() return count() <= before end, "descriptors to be closed")
  end)

  it("serves requests and connections to the same host side by side", function()
    local server = peer.websocket(function(connection, request)
      assert.equal("/ws", request.target)
      connection:say(peer.frame("text", "x"))
    end)
    local pages = peer.http(function(_, connection) connection:answer(200, "page") end)
    local connections, requests, messages = {}, 0, 0
    for i = 1, 10 do
      transport:request { method = "GET", url = pages:url "http" }
      connections[i] = transport:connect { url = server:url("ws", "/ws") }
    end
    peer.pump(transport, function()
      while transport:next_response() do requests = requests + 1 end
      for _, connection in ipairs(connections) do
        if connection:next() then messages = messages + 1 end
      end
      return requests == 10 and messages == 10
    end)
  end)

  -- What a transport of these options keeps of the head of an answer.
  local function headers_kept(options, server)
    local other = core.transport(options)
    other:request { method = "GET", url = server:url "http" }
    local headers
    peer.pump(other, function()
      local id, _, _, found = other:next_response()
      headers = found
      return id
    end)
    other:close()
    return headers
  end

  it("keeps the date of an answer where it is asked to", function()
    local date = "Sun, 06 Nov 1994 08:49:37 GMT"
    local server = peer.http(function(_, connection) connection:answer(200, "", { "Date: " .. date }) end)
    for _, asked in ipairs { false, true } do
      local headers = headers_kept({ keep_date = asked }, server)
      assert.equal(asked and date or nil, headers and headers.date)
    end
  end)

  it("keeps the date of an answer that refuses, for what it asks to wait until then", function()
    local date = "Sun, 06 Nov 1994 08:49:37 GMT"
    local server = peer.http(function(_, connection)
      connection:say "HTTP/1.1 103 Early Hints\r\n\r\n"
      connection:answer(503, "", { "Date: " .. date, "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT" })
    end)
    transport:request { method = "GET", url = server:url "http" }
    local status, headers
    peer.pump(transport, function()
      local id, found, _, lines = transport:next_response()
      status, headers = found, lines
      return id
    end)
    assert.same({ 503, date }, { status, headers.date })
  end)

  it("keeps the type of an answer unless it is asked not to", function()
    local server = peer.http(function(_, connection)
      connection:answer(200, "", { "Content-Type: text/plain", "Retry-After: 7" })
    end)
    for _, case in ipairs { {}, { asked = true }, { asked = false } } do
      assert.same({ ["content-type"] = case.asked ~= false and "text/plain" or nil, ["retry-after"] = "7" },
        headers_kept({ keep_content_type = case.asked }, server))
    end
  end)

  it("resolves names without stopping the loop", function()
    local server = peer.http(function(_, connection) connection:answer(200, "x") end)
    local id = transport:request { method = "GET", url = "http://localhost:" .. server.port .. "/" }
    assert.equal(id, peer.pump(transport, function() return (transport:next_response()) end))
    local connection = transport:connect { url = "ws://name.invalid/?token=secret" }
    peer.pump(transport, function() return connection:state() == "closed" end)
    local _, kind, message = connection:state()
    assert.equal("network", kind)
    assert.truthy(message:find("name.invalid", 1, true))
    assert.is_nil(message:find("secret", 1, true))
  end)
end)

describe("TLS", function()
  local certificates, stops

  setup(function()
    certificates = tls.certificates { good = "IP:127.0.0.1,DNS:localhost",
      other = "DNS:other.test" }
  end)
  teardown(function() certificates.remove() end)
  before_each(function() stops = {} end)
  after_each(function()
    transport:close()
    for _, stop in ipairs(stops) do stop() end
  end)

  --- The port of TLS, with that certificate, before a peer.
  local function before(server, name)
    local port, stop = tls.forward(certificates.path(name .. ".pem"),
      certificates.path(name .. ".key"), server.port)
    stops[#stops + 1] = stop
    return port
  end

  local function page()
    return peer.http(function(_, connection) connection:answer(200, "page") end)
  end

  local function answer(options)
    local got
    transport:request(options)
    peer.pump(transport, function()
      got = lua.pack(transport:next_response())
      return got[1]
    end)
    return lua.unpack(got, 2, 4)
  end

  it("carries requests, on one connection", function()
    local server = page()
    local port = before(server, "good")
    transport:close()
    transport = core.transport { ca_file = certificates.path "good.pem" }
    for _ = 1, 3 do
      local status, body = answer { method = "GET", url = ("https://127.0.0.1:%d/"):format(port) }
      assert.same({ 200, "page" }, { status, body })
    end
    assert.equal(1, #server.connections)
  end)

  it("carries WebSockets, with nothing left behind in its buffers", function()
    -- 300 KB in frames and then silence: what TLS has decrypted already must come without more.
    local server = peer.websocket(function(connection)
      connection:say(peer.frame("text", ("x"):rep(100)):rep(3000))
    end, function(connection, item)
      if item.kind == "text" then
        connection:say(peer.frame("text", item.data))
      else
        connection:say(connection.ws:output())
        connection:close()
      end
    end)
    local port = before(server, "good")
    local connection = assert(transport:connect { ca_file = certificates.path "good.pem",
      url = ("wss://127.0.0.1:%d/"):format(port) })
    local got = 0
    peer.pump(transport, function()
      while connection:next() do got = got + 1 end
      return got == 3000
    end)
    local text = ("y"):rep(500000)
    assert.is_true(connection:send(text))
    local echo
    peer.pump(transport, function()
      echo = connection:next()
      return echo
    end)
    assert.is_true(echo == text)
    connection:close()
    peer.pump(transport, function()
      connection:next()
      return connection:state() == "closed"
    end)
    assert.equal("closed", (select(2, connection:state())))
  end)

  it("sends what a slow server could not take at first", function()
    local server = peer.websocket()
    local port = before(server, "good")
    local connection = assert(transport:connect { ca_file = certificates.path "good.pem",
      url = ("wss://127.0.0.1:%d/"):format(port), max_output = 30000000 })
    peer.pump(transport, function() return connection:state() == "open" end)
    local far = server.connections[1]
    far:stall()
    local sent = 0
    for i = 1, 200 do
      local ok = connection:send(("%d "):format(i):rep(20000 + i))
      if ok then sent = sent + 1 end
      transport:step()
    end
    assert.equal(200, sent)
    far:resume()
    peer.pump(transport, function() return #far.items == 200 end)
    for i = 1, 200 do
      assert.is_true(far.items[i].data == ("%d "):format(i):rep(20000 + i))
    end
  end)

  for what, case in pairs {
    ["a certificate that nobody vouches for"] = { "good", nil, "certificate", "trust" },
    ["a certificate for another name"] = { "other", "other.pem", "127.0.0.1", "certificate" },
    ["another authority's certificate"] = { "good", "other.pem", "certificate", "trust" },
  } do
    it("refuses " .. what, function()
      local server = peer.http(function() error "no request must come" end)
      local port = before(server, case[1])
      local ca_file = case[2] and certificates.path(case[2])
      transport:close()
      transport = core.transport { ca_file = ca_file }
      local status, kind, message = answer { method = "GET",
        url = ("https://127.0.0.1:%d/?token=secret"):format(port) }
      assert.is_nil(status)
      assert.equal(case[4], kind)
      assert.truthy(message:find(case[3], 1, true), message)
      local connection = transport:connect {
        url = ("wss://127.0.0.1:%d/?token=secret"):format(port) }
      peer.pump(transport, function() return connection:state() == "closed" end)
      kind, message = select(2, connection:state())
      assert.equal(case[4], kind)
      assert.truthy(message:find(case[3], 1, true), message)
      assert.is_nil(message:find("secret", 1, true))
    end)
  end

  it("tells whose certificate came, good or bad", function()
    local port = before(page(), "good")
    transport:close()
    transport = core.transport { ca_file = certificates.path "good.pem" }
    local url = ("https://127.0.0.1:%d/"):format(port)
    assert.is_nil(transport:certificate())
    assert.equal(200, (answer { method = "GET", url = url }))
    local good = transport:certificate()
    if not core.libraries().same_openssl then return end -- nothing is known then
    assert.same({ "127.0.0.1, localhost", true }, { good.names, good.is_trusted })
    assert.matches("^CN=", good.subject)
    assert.matches("^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d UTC$", good.from)
    assert.is_true(good.from < good.until_date)
    transport:close()
    assert.is_nil(transport:certificate())
    transport = core.transport()
    assert.is_nil((answer { method = "GET", url = url }))
    assert.is_false(transport:certificate().is_trusted)
  end)

  it("is not found in a server that speaks in the clear", function()
    local server = peer.listen(function(connection)
      connection:say "HTTP/1.1 400 Bad Request\r\n\r\n"
    end)
    local _, kind, message = answer { method = "GET", url = server:url "https" }
    assert.equal("tls", kind)
    assert.truthy(message:find("does not speak TLS at this port", 1, true), message)
    local connection = transport:connect { url = server:url "wss" }
    peer.pump(transport, function() return connection:state() == "closed" end)
    assert.equal("tls", (select(2, connection:state())))
  end)
end)
