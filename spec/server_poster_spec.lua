--- The poster: POST requests over sockets of the server's own, against peers that answer rightly, wrongly,
--- late or never.
local core = require "stream_events.server.core"
local peer = require "support.peer"
local uv = require "luv"

local OK = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
local MAX_BODY = 1000

local poster

local function new_poster(options)
  options = options or {}
  poster = assert(core.poster {
    max_in_flight = options.max_in_flight or 1000, max_body = MAX_BODY,
    connect_timeout = options.connect_timeout or 5, idle_timeout = options.idle_timeout,
  })
  return poster
end

before_each(function() new_poster() end)
after_each(function()
  poster:close()
  peer.stop_all()
end)

local function take(list)
  local id, status, kind, more = poster:next_response()
  while id do
    list[#list + 1] = {
      id = id, status = status, kind = not status and kind or nil, message = not status and more or nil,
      headers = status and more or nil,
    }
    id, status, kind, more = poster:next_response()
  end
  return list
end

-- So many answers, in the order in which they came.
local function answers(count)
  local list = {}
  peer.pump(poster, function() return #take(list) >= count end, count .. " answers")
  return list
end

local function send(target, body, lines, timeout)
  return assert(poster:send(target, body or "{}", lines or {}, timeout or 20))
end

local function answer_to(target, ...)
  send(target, ...)
  return answers(1)[1]
end

-- A peer that says the same to every request, and the target that leads there.
local function saying(bytes)
  local server = peer.http(function(_, connection) connection:say(bytes) end)
  return poster:prepare { url = server:url "http" }, server
end

describe("a request of the poster", function()
  it("has the target, the lines of all and its own, and the body", function()
    local seen
    local server = peer.http(function(request, connection)
      seen = request
      connection:say(OK)
    end)
    local target = poster:prepare {
      url = server:url("http", "/a/../b%20c?d=e&f#g"),
      headers = { "X-All: of all", "Accept:", "X-Blank: ", "User-Agent: spec/1" },
    }
    local id = send(target, "a\0b", { "X-Own: 1", "X-None:" })
    assert.same({ { id = id, status = 200 } }, answers(1))
    assert.same({ "POST", "/b%20c?d=e&f", "a\0b" }, { seen.method, seen.target, seen.body })
    assert.same({ host = "127.0.0.1:" .. server.port, ["x-all"] = "of all", ["x-own"] = "1",
      ["user-agent"] = "spec/1", ["content-length"] = "3" }, seen.headers)
  end)

  it("may have no body, and no path in its URL", function()
    local seen
    local server = peer.http(function(request, connection)
      seen = request
      connection:say(OK)
    end)
    assert.equal(200, answer_to(poster:prepare { url = "HTTP://127.0.0.1:" .. server.port }, "").status)
    assert.same({ "/", "", "0" }, { seen.target, seen.body, seen.headers["content-length"] })
  end)

  it("goes to a name as well, which the Host header then has", function()
    local seen
    local server = peer.http(function(request, connection)
      seen = request
      connection:say(OK)
    end)
    local url = ("http://localhost:%d/"):format(server.port)
    assert.equal(200, answer_to(poster:prepare { url = url }).status)
    assert.equal("localhost:" .. server.port, seen.headers.host)
  end)

  it("may be larger than the socket takes at a time, and a server slow", function()
    local body = ("0123456789abcdef"):rep(1 << 19)
    local connection
    local server = peer.listen(function(accepted)
      connection = accepted
      function accepted.on_bytes(self)
        local request = self:take_request()
        if request then self:say(request.body == body and OK or "HTTP/1.1 400 \r\n\r\n") end
      end
    end)
    local target = poster:prepare { url = server:url "http" }
    send(target, body)
    peer.pump(poster, function() return connection end)
    connection:stall()
    for _ = 1, 5 do poster:step() end
    connection:resume()
    assert.equal(200, answers(1)[1].status)
    -- The next one shares the connection, and nothing is left of the first.
    assert.equal(200, answer_to(target, body).status)
    assert.equal(1, #server.connections)
  end)

  it("may be answered before all of it is sent: the connection is not used again", function()
    local first = true
    local server = peer.listen(function(connection)
      if first then
        first = false
        connection:stall()
        connection:say "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
      else
        function connection.on_bytes(self)
          if self:take_request() then self:say(OK) end
        end
      end
    end)
    local target = poster:prepare { url = server:url "http" }
    assert.equal(413, answer_to(target, ("x"):rep(32 << 20)).status)
    assert.equal(200, answer_to(target).status)
    assert.equal(2, #server.connections)
  end)

  it("may be refused in words, and then by a reset: the words count", function()
    local connection
    local server = peer.listen(function(accepted)
      connection = accepted
      accepted:stall()
    end)
    local target = poster:prepare { url = server:url "http" }
    send(target, ("x"):rep(32 << 20))
    peer.pump(poster, function() return connection end)
    local is_reset = false
    connection:say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", function()
      connection:abort()
      is_reset = true
    end)
    peer.pump(nil, function() return is_reset end)
    assert.equal(413, answers(1)[1].status)
  end)

  it("has a time, in which it may wait for anything", function()
    local target, server = saying "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf"
    local answer = answer_to(target, "", {}, 0.05)
    assert.same({ "timeout", "no answer within 0.05 seconds" }, { answer.kind, answer.message })
    peer.pump(poster, function() return server.connections[1].ended end, "the end of its connection")
  end)

  it("has a time of its own, however many others are under way", function()
    local target = poster:prepare { url = peer.http(function() end):url "http" }
    local late = { [send(target, "", {}, 0.15)] = 0.15, [send(target, "", {}, 0.05)] = 0.05 }
    late[send(target, "", {}, 0.1)] = 0.1
    for _, answer in ipairs(answers(3)) do
      assert.equal(("no answer within %g seconds"):format(late[answer.id]), answer.message)
    end
    assert.is_nil(poster:timeout())
  end)

  it("that has ended is to be fetched at once", function()
    local target = saying(OK)
    send(target)
    peer.pump(poster, function() return poster:timeout() == 0 and #take {} == 1 end)
    assert.not_equal(0, poster:timeout())
  end)

  it("is one of so many", function()
    poster:close()
    new_poster { max_in_flight = 2 }
    local waiting = {}
    local server = peer.http(function(_, connection) waiting[#waiting + 1] = connection end)
    local target = poster:prepare { url = server:url "http" }
    send(target)
    send(target)
    local id, kind, message = poster:send(target, "", {}, 5)
    assert.same({ nil, "full" }, { id, kind })
    assert.matches("^too many", message)
    peer.pump(poster, function() return #waiting == 2 end)
    for _, connection in ipairs(waiting) do connection:say(OK) end
    answers(2)
    send(target)
  end)

  it("that cannot be one is refused before anything happens", function()
    local target = poster:prepare { url = "http://127.0.0.1:1/" }
    for _, line in ipairs { "no colon", "X: a\r\nY: b", "X: a\nb", ": a", 1, "A: \0b" } do
      local lines = { line }
      assert.has_error(function() poster:send(target, "", lines, 1) end)
      assert.has_error(function() poster:prepare { url = "http://127.0.0.1/", headers = lines } end)
    end
    for _, timeout in ipairs { -1, 0 / 0, math.huge } do
      assert.has_error(function() poster:send(target, "", {}, timeout) end)
    end
    assert.has_error(function() poster:send({}, "", {}, 1) end)
    assert.has_error(function() poster:send(target, nil, {}, 1) end)
    assert.has_error(function() poster:prepare {} end)
    assert.has_error(function() core.poster { max_in_flight = 0, max_body = 1, connect_timeout = 1 } end)
    assert.is_nil((poster:next_response()))
  end)
end)

describe("the poster leaves to libcurl's HTTP", function()
  for name, url in pairs {
    ["TLS"] = "https://127.0.0.1/", ["another scheme"] = "ftp://127.0.0.1/", ["no scheme"] = "127.0.0.1:80/",
    ["a user's name"] = "http://ann@127.0.0.1/", ["a password"] = "http://ann:secret@127.0.0.1/",
    ["an empty name"] = "http://@127.0.0.1/",
    ["letters of other alphabets"] = "http://b\195\188cher.example/",
    ["such letters, encoded"] = "http://b%C3%BCcher.example/", ["a zero"] = "http://127.0.0.1/\0",
    ["a space"] = "http://127.0.0.1/a b",
    ["a line feed"] = "http://127.0.0.1/a\r\nX: y", ["no port"] = "http://a:b/",
    ["a zone"] = "http://[fe80::1%25eth0]/",
  } do
    it(name, function() assert.is_nil((poster:prepare { url = url })) end)
  end

  for _, name in ipairs { "http_proxy", "ALL_PROXY" } do
    it("everything, where the environment names a proxy in " .. name, function()
      poster:close()
      uv.os_setenv(name, "http://127.0.0.1:1")
      finally(function() uv.os_unsetenv(name) end)
      new_poster()
      assert.is_nil((poster:prepare { url = "http://127.0.0.1/" }))
    end)
  end
end)

-- Each has to be understood however its bytes are cut.
local ANSWERS = {
  ["with a length"] = {
    bytes = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", status = 200, kept = true,
  },
  ["in chunks"] = {
    bytes = "HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na;x=y\r\n0123456789\r\n0\r\n"
      .. "Retry-After: 5\r\n\r\n",
    status = 201, kept = true,
  },
  ["without a body"] = { bytes = "HTTP/1.1 204 None\r\n\r\n", status = 204, kept = true },
  ["up to the end"] = { bytes = "HTTP/1.1 200 OK\r\n\r\nabc", ends = true, status = 200 },
  ["of HTTP/1.0"] = { bytes = "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", status = 200 },
  ["of HTTP/1.0 that goes on"] = {
    bytes = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", status = 200,
    kept = true,
  },
  ["that says it is the last"] = {
    bytes = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", status = 200,
  },
  ["behind others of 1xx"] = {
    bytes = "HTTP/1.1 100 Continue\r\nRetry-After: 1\r\n\r\nHTTP/1.1 103 Hints\r\nDate: x\r\n\r\n"
      .. "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
    status = 503, headers = {}, kept = true,
  },
  ["that leads to another protocol"] = {
    bytes = "HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", status = 101, headers = {},
  },
  ["that says when to come back"] = {
    bytes = "HTTP/1.1 429 No\r\nrETRY-aFTER: \t12 \t\r\nX: y\r\nDate: today\r\nContent-Length: 0\r\n\r\n",
    status = 429, headers = { ["retry-after"] = "12", date = "today" }, kept = true,
  },
  ["that says so twice"] = {
    bytes = "HTTP/1.1 500 No\r\nRetry-After: 1\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
    status = 500, headers = { ["retry-after"] = "2" }, kept = true,
  },
  ["that says it behind its body"] = {
    bytes = "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\nDate: now\r\n\r\n1\r\nx\r\n0\r\n"
      .. "Retry-After: 5\r\nDate: \1\r\n\r\n",
    status = 503, headers = { date = "now" }, kept = true,
  },
  ["that says it with a control character"] = {
    bytes = "HTTP/1.1 500 No\r\nRetry-After: \1" .. "1\r\nContent-Length: 0\r\n\r\n", status = 500,
    headers = {}, kept = true,
  },
  ["that says it at length"] = {
    bytes = "HTTP/1.1 500 No\r\nRetry-After: " .. ("9"):rep(64) .. "\r\nContent-Length: 0\r\n\r\n",
    status = 500, headers = {}, kept = true,
  },
  ["with names that only begin alike"] = {
    bytes = "HTTP/1.1 500 No\r\nRetry-Afters: 1\r\nDat: 2\r\nRetry-After-And-So-On: 3\r\n"
      .. "Content-Length: 0\r\n\r\n",
    status = 500, headers = {}, kept = true,
  },
  ["as long as may be"] = {
    bytes = "HTTP/1.1 200 OK\r\nContent-Length: " .. MAX_BODY .. "\r\n\r\n" .. ("x"):rep(MAX_BODY),
    status = 200, kept = true, whole = true,
  },
  ["that is too long"] = {
    bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" .. ("x"):rep(MAX_BODY + 1), kind = "full",
    message = "the answer is too long", whole = true,
  },
  ["whose chunks are too many"] = {
    bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" .. ("1\r\nx\r\n"):rep(MAX_BODY + 1),
    kind = "full", message = "the answer is too long", whole = true,
  },
  ["whose head is endless"] = {
    bytes = "HTTP/1.1 200 OK\r\n" .. ("X: y\r\n"):rep(20000), kind = "full",
    message = "the head of the answer is too long", whole = true,
  },
  ["behind others of 1xx that never end"] = {
    bytes = ("HTTP/1.1 100 Continue\r\n\r\n"):rep(30000), kind = "full", message = "the answer is too long",
    whole = true,
  },
  ["whose chunks say more than they are"] = {
    bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. ("1;" .. ("x"):rep(60000) .. "\r\nx\r\n"):rep(10),
    kind = "full", message = "the answer is too long", whole = true,
  },
  ["that ends in its head"] = {
    bytes = "HTTP/1.1 200 OK\r\nContent-Le", ends = true, kind = "network",
    message = "the server ended the connection within its answer",
  },
  ["that ends in its body"] = {
    bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", ends = true, kind = "network",
    message = "the server ended the connection within its answer",
  },
  ["that ends before it begins"] = {
    bytes = "", ends = true, kind = "network",
    message = "the server ended the connection without an answer",
  },
  ["that is none"] = {
    bytes = "SSH-2.0-OpenSSH_9.2\r\n", kind = "protocol", message = "the answer is no HTTP",
  },
  ["of HTTP/2"] = { bytes = "\0\0\18\4\0\0\0\0\0", kind = "protocol", message = "the answer is no HTTP" },
  ["with two lengths"] = {
    bytes = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", kind = "protocol",
    message = "the answer is no HTTP",
  },
  ["with a length that is none"] = {
    bytes = "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", kind = "protocol",
    message = "the answer is no HTTP",
  },
  ["with chunks of no size"] = {
    bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", kind = "protocol",
    message = "the answer is no HTTP",
  },
}

-- Says the first so many bytes, and the rest in a later turn.
local function say_in_two(connection, bytes, at, ends)
  local function rest()
    connection:say(bytes:sub(at + 1), ends and function() connection:shut() end)
  end
  if at == 0 then return rest() end
  connection:say(bytes:sub(1, at), function() uv.new_timer():start(0, 0, rest) end)
end

describe("the poster reads an answer", function()
  for name, case in pairs(ANSWERS) do
    local function expect(answer)
      assert.same({ case.status, case.kind, case.message, case.headers },
        { answer.status, answer.kind, answer.message, answer.headers })
    end

    it(name, function()
      local server = peer.http(function(_, connection)
        say_in_two(connection, case.bytes, 0, case.ends)
      end)
      local target = poster:prepare { url = server:url "http" }
      expect(answer_to(target))
      expect(answer_to(target))
      assert.equal(case.kept and 1 or 2, #server.connections)
      if not case.kept then
        peer.pump(poster, function() return server.connections[1].ended end, "the end of its connection")
      end
    end)

    if not case.whole then
      it(name .. ", cut anywhere", function()
        local cut = 0
        local server = peer.http(function(_, connection)
          cut = cut + 1
          say_in_two(connection, case.bytes, cut, case.ends)
        end)
        local target = poster:prepare { url = server:url "http" }
        for _ = 1, #case.bytes do expect(answer_to(target)) end
      end)

      it(name .. ", byte by byte", function()
        local target
        target = poster:prepare { url = peer.http(function(_, connection)
          connection:drip(case.bytes, case.ends and function() connection:shut() end)
        end):url "http" }
        expect(answer_to(target))
      end)
    end
  end
end)

describe("a connection of the poster", function()
  it("is used for one request after another, and for one at a time", function()
    local waiting = {}
    local server = peer.http(function(request, connection)
      waiting[#waiting + 1] = { request.body, connection }
    end)
    local target = poster:prepare { url = server:url "http" }
    for round = 1, 3 do
      send(target, "a" .. round)
      send(target, "b" .. round)
      peer.pump(poster, function() return #waiting == 2 end)
      assert.not_equal(waiting[1][2], waiting[2][2])
      for _, request in ipairs(waiting) do request[2]:say(OK) end
      waiting = {}
      answers(2)
    end
    assert.equal(2, #server.connections)
  end)

  it("is used for any number of requests, whatever their answers add up to", function()
    local long = "X: " .. ("y"):rep(60000)
    local target, server = saying("HTTP/1.1 200 OK\r\n" .. long .. "\r\nContent-Length: 0\r\n\r\n")
    for _ = 1, 12 do assert.equal(200, answer_to(target).status) end
    assert.equal(1, #server.connections)
  end)

  it("is ended when it was not used for long, though others were", function()
    poster:close()
    new_poster { idle_timeout = 1e-9 }
    local target, server = saying(OK)
    for _ = 1, 3 do send(target) end
    answers(3)
    assert.equal(3, #server.connections)
    answer_to(target)
    assert.equal(4, #server.connections)
    peer.pump(poster, function()
      for i = 1, 3 do
        if not server.connections[i].ended then return false end
      end
      return true
    end, "the end of three connections")
    assert.is_false(server.connections[4].ended)
  end)

  it("is the one that was used last, so that those of a burst grow old", function()
    local used = {}
    local server = peer.http(function(_, connection)
      used[#used + 1] = connection
      connection:say(OK)
    end)
    local target = poster:prepare { url = server:url "http" }
    for _ = 1, 3 do send(target) end
    answers(3)
    assert.equal(3, #server.connections)
    for _ = 1, 4 do answer_to(target) end
    for i = 5, 7 do assert.equal(used[4], used[i]) end
  end)

  it("has its time to be made, however long the request may take", function()
    poster:close()
    new_poster { connect_timeout = 0.05 }
    -- One is taken and not looked at; a few wait behind it; the system answers no others.
    local busy = uv.new_tcp()
    finally(function() busy:close() end)
    assert(busy:bind("127.0.0.1", 0))
    busy:listen(1, function() end)
    local target = poster:prepare { url = ("http://127.0.0.1:%d/"):format(busy:getsockname().port) }
    for _ = 1, 10 do send(target) end
    local answer = answers(1)[1]
    assert.equal("timeout", answer.kind)
    assert.matches("[Cc]onnect", answer.message)
  end)

  it("that the server has ended meanwhile is none: the request goes over another", function()
    local target, server = saying(OK)
    for i = 1, 3 do
      assert.equal(200, answer_to(target).status)
      server.connections[i]:close()
      -- Nobody looks at what the sockets have to say: the poster meets it when it wants to send.
      peer.pump(nil, function() return server.connections[i].socket:is_closing() end)
      uv.run "nowait"
    end
    assert.equal(3, #server.connections)
  end)

  it("that the server has ended is let go of when that is seen", function()
    local target, server = saying(OK)
    answer_to(target)
    server.connections[1]:shut()
    peer.pump(poster, function() return server.connections[1].ended end, "its end")
    assert.equal(200, answer_to(target).status)
  end)

  it("on which something is said that nobody asked for is no longer used", function()
    local target, server = saying(OK)
    answer_to(target)
    server.connections[1]:say "HTTP/1.1 500 Forged\r\nContent-Length: 0\r\n\r\n"
    peer.pump(poster, function() return server.connections[1].ended end, "its end")
    assert.equal(200, answer_to(target).status)
    assert.equal(2, #server.connections)
  end)

  it("with more behind an answer is not used for the next one", function()
    local target, server = saying(OK .. "HTTP/1.1 500 Forged\r\nContent-Length: 0\r\n\r\n")
    for _ = 1, 3 do assert.equal(200, answer_to(target).status) end
    assert.equal(3, #server.connections)
  end)

  it("that ends behind a request takes the request with it, which is not sent again", function()
    local count = 0
    local server = peer.http(function(_, connection)
      count = count + 1
      if count == 1 then connection:say(OK) else connection:close() end
    end)
    local target = poster:prepare { url = server:url "http" }
    answer_to(target)
    local answer = answer_to(target)
    assert.same({ "network", "the server ended the connection without an answer" },
      { answer.kind, answer.message })
    assert.equal(2, count)
  end)

  it("that is reset says so", function()
    local server = peer.http(function(_, connection) connection:abort() end)
    local answer = answer_to(poster:prepare { url = server:url "http" })
    assert.equal("network", answer.kind)
    assert.matches("reset", answer.message)
  end)

  it("that cannot be made says why", function()
    local server = peer.listen()
    local url = server:url "http"
    server:stop()
    uv.run "nowait"
    local answer = answer_to(poster:prepare { url = url })
    assert.equal("network", answer.kind)
    assert.matches("127.0.0.1", answer.message)
    answer = answer_to(poster:prepare { url = "http://nobody.invalid/" })
    assert.equal("network", answer.kind)
    assert.matches("nobody.invalid", answer.message)
  end)

  -- One of its connections is in use, the other is not.
  local function expect_end_after(let_go)
    local waiting = {}
    local server = peer.http(function(_, connection) waiting[#waiting + 1] = connection end)
    do
      local target = poster:prepare { url = server:url "http" }
      send(target)
      send(target)
      peer.pump(poster, function() return #waiting == 2 end)
      waiting[1]:say(OK)
      answers(1)
      let_go(target)
    end
    collectgarbage()
    peer.pump(poster, function() return waiting[1].ended end, "the end of what is not in use")
    assert.is_false(waiting[2].ended)
    waiting[2]:say(OK)
    assert.equal(200, answers(1)[1].status)
    peer.pump(poster, function() return waiting[2].ended end, "the end of what was in use")
  end

  it("is ended when its target is collected", function()
    expect_end_after(function() end)
  end)

  it("is ended when its target is closed", function()
    local closed
    expect_end_after(function(target)
      target:close()
      target:close()
      closed = target
    end)
    assert.same({ n = 3, nil, "closed", "the target is closed" },
      table.pack(poster:send(closed, "", {}, 1)))
  end)
end)

describe("a poster that is closed", function()
  it("ends everything, and has nothing more to say", function()
    local waiting = {}
    local server = peer.http(function(_, connection)
      waiting[#waiting + 1] = connection
      if #waiting == 1 then connection:say(OK) end
    end)
    local target = poster:prepare { url = server:url "http" }
    answer_to(target)
    for _ = 1, 3 do send(target) end
    peer.pump(poster, function() return #waiting == 4 end)
    waiting[4]:say(OK)
    send(poster:prepare { url = "http://127.0.0.1:1/" }) -- libcurl has only begun
    poster:close()
    poster:close()
    assert.is_nil((poster:next_response()))
    assert.is_nil(poster:timeout())
    poster:step()
    assert.equal("closed", select(2, poster:send(target, "", {}, 1)))
    assert.is_nil((poster:prepare { url = server:url "http" }))
    assert.has_error(function() poster:pollfd() end, nil)
    peer.pump(nil, function()
      for _, connection in ipairs(server.connections) do
        if not connection.ended then return false end
      end
      return true
    end, "the end of all connections")
  end)

  it("may be gone before its targets, or after them", function()
    local targets = {}
    for i = 1, 4 do targets[i] = poster:prepare { url = "http://127.0.0.1:1/" } end
    targets[1], targets[3] = nil, nil
    collectgarbage()
    poster:close()
    targets[4] = nil
    collectgarbage()
    assert.equal("closed", select(2, poster:send(targets[2], "", {}, 1)))
  end)
end)
