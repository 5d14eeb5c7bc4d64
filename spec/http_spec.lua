-- HTTP requests, against servers in this process that answer rightly, wrongly, late or never.
local core = require "stream_events.core"
local garbage = require "support.garbage"
local lua = require "support.lua"
local peer = require "support.peer"
local process = require "support.process"

local transport

local function new_transport(options)
  transport = core.transport(options)
  return transport
end

after_each(function()
  if transport then transport:close() end
  transport = nil
  peer.stop_all()
  process.end_all()
end)

--- Pumps until `count` requests are finished; answers by id, and the ids in order.
local function answers(count)
  local found, order = {}, {}
  peer.pump(transport, function()
    repeat
      local id, status, body, headers, unsent = transport:next_response()
      if id then
        found[id] = { status = status, body = body, headers = headers, unsent = unsent }
        order[#order + 1] = id
      end
    until not id
    return #order >= count
  end, count .. " answers")
  return found, order
end

local function answer_to(request)
  local id = assert(transport:request(request))
  return answers(1)[id]
end

describe("request", function()
  it("sends method, target, header lines and body, and brings the answer", function()
    local seen = {}
    local server = peer.http(function(request, connection)
      seen[#seen + 1] = request
      connection:answer(201, '{"ok":true}', { "Content-Type: application/json", "Retry-After: 7",
        "X-RateLimit-Remaining: 12 ", "Cache-Control: no-store", "X-Other: y" })
    end)
    new_transport { user_agent = "spec/1" }
    local answer = answer_to { method = "POST", url = server:url("http", "/a/b?c=d%20e"),
      headers = { "Authorization: token", "X-Empty:" }, body = '{"x":"\0\r\n"}' }
    assert.equal(201, answer.status)
    assert.equal('{"ok":true}', answer.body)
    assert.same({ ["content-type"] = "application/json", ["retry-after"] = "7",
      ["x-ratelimit-remaining"] = "12" }, answer.headers)
    local request = seen[1]
    assert.equal("POST", request.method)
    assert.equal("/a/b?c=d%20e", request.target)
    assert.equal('{"x":"\0\r\n"}', request.body)
    assert.equal("token", request.headers.authorization)
    assert.equal("spec/1", request.headers["user-agent"])
    assert.is_nil(request.headers.expect)
    assert.is_nil(request.headers["accept-encoding"])
  end)

  for _, case in ipairs {
    { "GET" }, { "DELETE" }, { "DELETE", "x" }, { "PUT", "put" }, { "PATCH", "patch" },
    { "POST", "" }, { "POST" }, { "OPTIONS" }, { "GET", "with a body" }, { "POST", ("z"):rep(3e6) },
  } do
    local method, body = case[1], case[2]
    it(("sends %s with %s"):format(method, body and #body .. " bytes" or "no body"), function()
      local server = peer.http(function(request, connection)
        connection:answer(200, request.method .. #request.body, { "X-RateLimit-Body: "
          .. request.body:sub(1, 20) })
      end)
      new_transport()
      -- Twice, with another method between: a handle remembers nothing of its last request.
      for _ = 1, 2 do
        local answer = answer_to { method = method, url = server:url "http", body = body }
        assert.equal(200, answer.status)
        assert.equal(method .. #(body or ""), answer.body)
        assert.equal("POST4", answer_to { method = "POST", url = server:url "http",
          body = "else" }.body)
        assert.equal("GET0", answer_to { method = "GET", url = server:url "http" }.body)
      end
      assert.equal(1, #server.connections)
    end)
  end

  it("sends HEAD, whose answer has no body", function()
    local server = peer.http(function(request, connection)
      assert.equal("HEAD", request.method)
      connection:say "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    end)
    new_transport()
    local answer = answer_to { method = "HEAD", url = server:url "http", timeout = 5 }
    assert.equal(200, answer.status)
    assert.equal("", answer.body)
  end)

  it("keeps one connection for one request after another", function()
    local server = peer.http(function(_, connection) connection:answer(200, "x") end)
    new_transport()
    for _ = 1, 20 do
      assert.equal(200, answer_to { method = "GET", url = server:url "http" }.status)
    end
    assert.equal(1, #server.connections)
  end)

  it("sends each request where it is to go, whatever its handle did before", function()
    local targets = {}
    local function handler(request, connection)
      targets[#targets + 1] = request.headers.host .. request.target
      connection:answer(200, request.headers.authorization)
    end
    local one, two = peer.http(handler), peer.http(handler)
    local first, second = "127.0.0.1:" .. one.port, "127.0.0.1:" .. two.port
    new_transport { max_in_flight = 1 }
    local function get(url)
      local answer = answer_to { method = "GET", url = url, timeout = 5 }
      return answer.status or answer.body, answer.body
    end
    for _, target in ipairs { "/a?b=c", "/a?b=c", "/a", "/a?b=d", "", "/%2e%2f/x#y" } do
      assert.equal(200, get("http://" .. first .. target))
    end
    assert.equal(200, get("http://" .. second .. "/a"))
    assert.equal("argument", get "http://[bad/")
    assert.equal("Basic bWU6aXQ=", select(2, get("http://me:it@" .. first .. "/a")))
    assert.equal("", select(2, get("http://" .. first .. "/a"))) -- no word of it in the next one
    assert.same({ first .. "/a?b=c", first .. "/a?b=c", first .. "/a", first .. "/a?b=d", first .. "/",
      first .. "/%2e%2f/x", second .. "/a", first .. "/a", first .. "/a" }, targets)
  end)

  it("makes a new connection when the server has closed the idle one", function()
    local server = peer.http(function(_, connection) connection:answer(200, "x") end)
    new_transport()
    for round = 1, 5 do
      assert.equal(200, answer_to { method = "GET", url = server:url "http" }.status)
      server.connections[round]:close()
      peer.pump(transport, function() return server.connections[round].socket:is_closing() end)
    end
    assert.equal(5, #server.connections)
  end)

  for method, sent in pairs { POST = 2, PATCH = 2, GET = 3, PUT = 3 } do
    it(("sends %s %s when a kept connection ends without an answer"):format(method,
      sent == 2 and "once" or "again"), function()
      local seen = 0
      local server = peer.http(function(_, connection)
        seen = seen + 1
        if seen == 2 then connection:close() else connection:answer(200, "ok") end
      end)
      new_transport()
      local request = { method = method, url = server:url "http", body = "once" }
      assert.equal(200, answer_to(request).status)
      local second = answer_to(request)
      assert.equal(sent, seen)
      if sent == 2 then
        assert.same({ body = "network",
          headers = "the server ended the connection without an answer" }, second)
      else
        assert.equal(200, second.status)
      end
      assert.equal(200, answer_to(request).status)
    end)
  end

  it("takes statuses for answers, whatever they are, and follows no redirect", function()
    local status
    local server = peer.http(function(_, connection)
      connection:answer(status, "b", { "Location: http://127.0.0.1:1/" })
    end)
    new_transport()
    for _, value in ipairs { 200, 204, 301, 302, 304, 400, 401, 404, 413, 429, 500, 599 } do
      status = value
      assert.equal(value, answer_to { method = "GET", url = server:url "http" }.status)
    end
  end)

  it("has only the headers of the last answer when there was a 100 before it", function()
    local server = peer.http(function(_, connection)
      connection:say "HTTP/1.1 100 Continue\r\nRetry-After: 1\r\n\r\n"
      connection:answer(200, "b")
    end)
    new_transport()
    local answer = answer_to { method = "POST", url = server:url "http", body = "x" }
    assert.equal(200, answer.status)
    assert.is_nil(answer.headers)
  end)

  it("reads an answer that comes byte by byte, chunked", function()
    local server = peer.http(function(_, connection)
      connection:drip("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        .. "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    end)
    new_transport()
    assert.equal("abcde", answer_to { method = "GET", url = server:url "http" }.body)
  end)

  it("uses the same header table again, and sees that it has grown", function()
    local seen = {}
    local server = peer.http(function(request, connection)
      seen[#seen + 1] = request.headers
      connection:answer(200)
    end)
    new_transport()
    local headers = { "A: 1" }
    answer_to { method = "GET", url = server:url "http", headers = headers }
    answer_to { method = "GET", url = server:url "http", headers = headers }
    headers[2] = "B: 2"
    answer_to { method = "GET", url = server:url "http", headers = headers }
    answer_to { method = "GET", url = server:url "http" }
    answer_to { method = "GET", url = server:url "http", headers = {} }
    assert.same({ "1", "1", "1" }, { seen[1].a, seen[2].a, seen[3].a })
    assert.is_nil(seen[2].b)
    assert.equal("2", seen[3].b)
    assert.is_nil(seen[4].a)
    assert.is_nil(seen[5].a)
  end)

  it("adds the lines of one prepared request to those of all, from a table that serves each", function()
    local server = peer.http(function(request, connection)
      local headers = request.headers
      connection:answer(200, table.concat({ headers.a, headers.b or "none", headers.c or "none" }, " "))
    end)
    new_transport { max_in_flight = 2 }
    local function prepare(headers)
      return transport:prepare { method = "POST", url = server:url "http", headers = headers }
    end
    local prepared, lines, expected = prepare { "A: all" }, {}, {}
    for i = 1, 20 do
      lines[1], lines[2] = "B: \tno\tcontrol \195\169 " .. i, i % 2 == 0 and "C: even" or nil
      local id = assert(transport:send(prepared, "x", lines))
      expected[id] = ("all \tno\tcontrol \195\169 %d %s"):format(i, i % 2 == 0 and "even" or "none")
    end
    lines = nil -- luacheck: ignore 311
    collectgarbage()
    local plain = assert(transport:send(prepared, "x"))
    expected[plain] = "all none none"
    local alone = assert(transport:send(prepare(nil), "x", { "A: own" }))
    expected[alone] = "own none none"
    local requested = assert(transport:request { method = "GET", url = server:url "http",
      headers = { "A: other" } })
    expected[requested] = "other none none"
    for id, answer in pairs((answers(23))) do assert.equal(expected[id], answer.body) end
  end)

  it("gives one prepared request its own time", function()
    local server = peer.http(function() end)
    new_transport()
    local id = assert(transport:send(transport:prepare { method = "POST", url = server:url "http" }, "x",
      nil, 0.05))
    local answer = answers(1)[id]
    assert.is_nil(answer.status)
    assert.equal("timeout", answer.body)
    assert.equal("no answer within 0.05 seconds", answer.headers)
  end)

  it("tells of a good answer only its status, when asked to be brief", function()
    local server = peer.http(function(request, connection)
      connection:answer(tonumber(request.target:sub(2)), "text", { "Retry-After: 7" })
    end)
    new_transport { read_size = 1024 }
    for status, results in pairs {
      [200] = { 200, n = 1 }, [299] = { 299, n = 1 },
      [300] = { 300, "text", { ["retry-after"] = "7" }, n = 3 },
      [503] = { 503, "text", { ["retry-after"] = "7" }, n = 3 },
    } do
      local id = assert(transport:request { method = "GET", url = server:url("http", "/" .. status) })
      local got
      peer.pump(transport, function()
        got = lua.pack(transport:next_response(true))
        return got.n > 0
      end, "an answer")
      assert.equal(id, table.remove(got, 1))
      got.n = got.n - 1
      assert.same(results, got)
      assert.equal(0, lua.pack(transport:next_response(true)).n)
    end
    transport:request { method = "GET", url = "http://127.0.0.1:1/" }
    local kind
    peer.pump(transport, function()
      local id, _, failure = transport:next_response(true)
      kind = failure
      return id
    end, "a failure")
    assert.equal("network", kind)
  end)

  it("reads a long answer in pieces of any size", function()
    local body = ("0123456789"):rep(30000)
    local server = peer.http(function(_, connection) connection:answer(200, body) end)
    for _, size in ipairs { 1024, 5000, 524288 } do
      new_transport { read_size = size }
      assert.equal(body, answer_to { method = "GET", url = server:url "http" }.body)
      transport:close()
    end
  end)

  it("keeps header lines alive while a request needs them", function()
    local server = peer.http(function(request, connection)
      connection:answer(200, request.headers.a)
    end)
    new_transport { max_in_flight = 2 }
    for i = 1, 20 do
      transport:request { method = "GET", url = server:url "http", headers = { "A: " .. i } }
      garbage.collect()
    end
    local found = answers(20)
    for i = 1, 20 do assert.equal(tostring(i), found[i].body) end
  end)
end)

describe("the queue", function()
  it("goes out as it was prepared, with another body each time", function()
    local seen = {}
    local server = peer.http(function(request, connection)
      seen[#seen + 1] = { request.method, request.target, request.headers.authorization, request.body }
      connection:answer(200, "x")
    end)
    local target = "/" .. ("long"):rep(100)
    local function prepare(method, token)
      return core.transport():prepare { method = method, url = server:url("http", target .. method),
        headers = { "Authorization: " .. token }, timeout = 5 }
    end
    local post, get = prepare("POST", "one"), prepare("GET", "two")
    collectgarbage() -- they need neither the tables they were made from, nor the transport
    new_transport { max_in_flight = 1 }
    assert(transport:send(post, "a"))
    assert(transport:send(get))
    assert(transport:send(post, "b\0c"))
    post, get = nil, nil -- luacheck: ignore 311
    collectgarbage()
    answers(3)
    assert.same({ { "POST", target .. "POST", "one", "a" }, { "GET", target .. "GET", "two", "" },
      { "POST", target .. "POST", "one", "b\0c" } }, seen)
  end)

  it("has so many under way and the rest in order", function()
    local under_way, waiting = 0, {}
    local server = peer.http(function(request, connection)
      under_way = under_way + 1
      waiting[#waiting + 1] = { request.target, connection }
    end)
    new_transport { max_in_flight = 3 }
    for i = 1, 10 do
      assert.equal(i, transport:request { method = "GET", url = server:url("http", "/" .. i) })
    end
    local order, reported = {}, {}
    while #order < 10 do
      peer.pump(transport, function() return under_way == math.min(3, 10 - #order) end, "requests")
      assert.equal(math.min(3, 10 - #order), #waiting)
      local last = table.remove(waiting)
      under_way = under_way - 1
      order[#order + 1] = tonumber(last[1]:sub(2))
      last[2]:answer(200, last[1])
      local _, ids = answers(1)
      reported[#reported + 1] = ids[1]
    end
    assert.same(order, reported) -- in the order of completion
    assert.is_true(#server.connections <= 3)
    -- Last in, first out was answered; what waited began in the order it was asked for.
    assert.same({ 1, 2, 3 }, (function()
      table.sort(order)
      return { order[1], order[2], order[3] }
    end)())
  end)

  it("is full at max_waiting, and takes more when something is done", function()
    local held
    local server = peer.http(function(_, connection) held = connection end)
    new_transport { max_in_flight = 1, max_waiting = 2 }
    local request = { method = "GET", url = server:url "http" }
    for _ = 1, 3 do assert.truthy(transport:request(request)) end
    local id, kind, message = transport:request(request)
    assert.is_nil(id)
    assert.equal("full", kind)
    assert.equal("string", type(message))
    peer.pump(transport, function() return held end)
    held:answer(200)
    answers(1)
    assert.truthy(transport:request(request))
    assert.is_nil(transport:request(request))
  end)

  it("takes nothing beyond what is under way when nothing may wait", function()
    local server = peer.http(function() end)
    new_transport { max_in_flight = 1, max_waiting = 0 }
    assert.truthy(transport:request { method = "GET", url = server:url "http" })
    assert.same({ nil, "full" }, { (transport:request { method = "GET", url = server:url "http" }),
      (select(2, transport:request { method = "GET", url = server:url "http" })) })
  end)

  it("forgets what is cancelled, whether it waits, is under way or done", function()
    local held = {}
    local server = peer.http(function(_, connection) held[#held + 1] = connection end)
    new_transport { max_in_flight = 1 }
    local ids = {}
    for i = 1, 4 do ids[i] = transport:request { method = "GET", url = server:url "http" } end
    transport:cancel(ids[2])                                    -- waits
    peer.pump(transport, function() return #held == 1 end)
    transport:cancel(ids[1])                                    -- is under way
    peer.pump(transport, function() return #held == 2 end)
    held[2]:answer(200, "third")
    peer.pump(transport, function() return transport:timeout() == 0 end)
    transport:step()
    transport:cancel(ids[3])                                    -- is done
    peer.pump(transport, function() return #held == 3 end)
    held[3]:answer(200, "fourth")
    local found, order = answers(1)
    assert.same({ ids[4] }, order)
    assert.equal("fourth", found[ids[4]].body)
    transport:cancel(12345)
    transport:cancel(ids[4])
    assert.is_nil(transport:next_response())
  end)
end)

describe("a request that fails", function()
  local function failure(request)
    local answer = answer_to(request)
    assert.is_nil(answer.status)
    assert.equal("string", type(answer.headers))
    assert.is_nil(answer.headers:find("secret", 1, true))
    return answer.body, answer.headers
  end

  it("names the network when nobody listens", function()
    local server = peer.listen()
    server:stop()
    new_transport()
    local kind, message = failure { method = "GET", url = server:url("http", "/?token=secret") }
    assert.equal("network", kind)
    assert.truthy(message:find("connect", 1, true))
  end)

  for what, case in pairs {
    ["no answer"] = function() end,
    ["half a head"] = function(_, connection) connection:say "HTTP/1.1 200 OK\r\nContent-" end,
    ["half a body"] = function(_, connection)
      connection:say "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"
    end,
  } do
    it("is over in time when the server sends " .. what, function()
      local server = peer.http(case)
      new_transport()
      local kind, message = failure { method = "GET", url = server:url "http", timeout = 0.05 }
      assert.equal("timeout", kind)
      assert.equal("no answer within 0.05 seconds", message)
    end)

    it("is of the network when the server closes after " .. what, function()
      local server = peer.http(function(request, connection)
        case(request, connection)
        connection:close()
      end)
      new_transport()
      assert.equal("network", (failure { method = "POST", url = server:url "http", body = "" }))
    end)

    it("is of the network when the server resets after " .. what, function()
      local server = peer.http(function(request, connection)
        case(request, connection)
        connection:abort()
      end)
      new_transport()
      assert.equal("network", (failure { method = "POST", url = server:url "http", body = "" }))
    end)
  end

  it("says when the server has seen nothing of a request, also after one that it has seen", function()
    local server = peer.http(function(request, connection)
      if request.target == "/close" then connection:close() else connection:answer(200, "{}") end
      if request.target == "/last" then connection:close() end
    end)
    new_transport { max_in_flight = 1 }
    local function post(target)
      return answer_to { method = "POST", url = server:url("http", target), body = "{}", timeout = 5 }
    end
    assert.is_nil(post("/").unsent)
    local closed = post "/close"
    assert.same({ "network", nil }, { closed.body, closed.unsent })
    assert.equal(200, post("/last").status)
    server:stop()
    local refused = post "/"
    assert.same({ "network", true }, { refused.body, refused.unsent })
    local wrong = answer_to { method = "POST", url = "http://[", body = "{}" }
    assert.is_true(wrong.unsent)
  end)

  it("counts its time from the start, waiting included", function()
    local server = peer.http(function() end)
    new_transport { max_in_flight = 1 }
    local first = transport:request { method = "GET", url = server:url "http", timeout = 10 }
    local second = transport:request { method = "GET", url = server:url "http", timeout = 0.05 }
    local found, order = answers(1)
    assert.same({ second }, order)
    assert.equal("timeout", found[second].body)
    assert.is_true(found[second].unsent)
    transport:cancel(first)
  end)

  it("does not take what is no HTTP for an answer", function()
    for _, text in ipairs { "SSH-2.0-OpenSSH_9.2p1\r\n", "\0\1\2\3\4", "<html></html>\r\n\r\n" } do
      local server = peer.listen(function(connection)
        connection:say(text)
        connection:close()
      end)
      new_transport()
      local kind = failure { method = "GET", url = server:url "http", timeout = 5 }
      assert.truthy(kind == "protocol" or kind == "network", kind)
      transport:close()
    end
  end)

  it("gives up a body over the limit, announced or not", function()
    for _, length in ipairs { "Content-Length: 101\r\n", "" } do
      local server = peer.http(function(_, connection)
        connection:say("HTTP/1.1 200 OK\r\n" .. length .. "\r\n" .. ("x"):rep(101))
        connection:close()
      end)
      new_transport { max_body = 100 }
      local kind, message = failure { method = "GET", url = server:url "http" }
      assert.equal("full", kind)
      assert.equal("the answer is longer than 100 bytes", message)
      transport:close()
    end
  end)

  it("gives up a head that does not end", function()
    local more = ("X-RateLimit-Remaining: 1\r\n"):rep(4000)
    local server = peer.http(function(_, connection)
      local function go_on(err)
        if not err then connection:say(more, go_on) end
      end
      connection:say("HTTP/1.1 200 OK\r\n", go_on)
    end)
    new_transport()
    local answer = answer_to { method = "GET", url = server:url "http" }
    assert.same({ body = "full", headers = "the head of the answer is over 256 KiB" }, answer)
  end)

  it("takes a body that is just within the limit", function()
    local server = peer.http(function(_, connection) connection:answer(200, ("x"):rep(100)) end)
    new_transport { max_body = 100 }
    assert.equal(100, #answer_to { method = "GET", url = server:url "http" }.body)
  end)

  it("forgets bodies that are of no interest, and counts them", function()
    local server = peer.http(function(request, connection)
      connection:answer(200, ("x"):rep(request.target == "/" and 100 or 101))
    end)
    new_transport { max_body = 100, keep_body = false }
    for _ = 1, 3 do assert.equal("", answer_to({ method = "GET", url = server:url("http", "/") }).body) end
    assert.equal("full", (failure { method = "GET", url = server:url("http", "/more") }))
  end)

  it("undoes the compression of an answer that nobody has asked to be compressed", function()
    local server = peer.http(function(_, connection)
      connection:answer(200, core.gzip('{"ok":true}'), { "Content-Encoding: gzip" })
    end)
    new_transport()
    for _ = 1, 2 do
      local answer = answer_to { method = "GET", url = server:url "http" }
      assert.equal('{"ok":true}', answer.body)
      assert.equal(200, answer.status)
    end
    assert.equal(1, #server.connections)
  end)

  it("gives up a compressed body that unfolds to more than the limit", function()
    local bytes = core.gzip(("x"):rep(10000000))
    local server = peer.http(function(_, connection)
      connection:answer(200, bytes, { "Content-Encoding: gzip" })
    end)
    new_transport { max_body = 100000 }
    local kind, message = failure { method = "GET", url = server:url "http" }
    assert.equal("full", kind)
    assert.equal("the answer is longer than 100000 bytes", message)
  end)

  it("refuses a body whose compression is broken, or unknown", function()
    for _, encoding in ipairs { "gzip", "deflate", "of-tomorrow" } do
      local server = peer.http(function(_, connection)
        connection:answer(200, '{"ok":true}', { "Content-Encoding: " .. encoding })
      end)
      new_transport()
      assert.equal("protocol", (failure { method = "GET", url = server:url "http" }), encoding)
      transport:close()
    end
  end)

  it("refuses URLs that are none", function()
    new_transport()
    for _, url in ipairs { "", "nonsense", "ftp://127.0.0.1/", "file:///etc/passwd", "gopher://x/",
      "ws://127.0.0.1/", "http:/x" } do
      local id, kind = transport:request { method = "GET", url = url }
      assert.is_nil(id)
      assert.equal("argument", kind)
    end
    for _, url in ipairs { "http://", "http://127.0.0.1:99999/", "http://a b/",
      "http://127.0.0.1/\r\nX: y" } do
      local kind = failure { method = "GET", url = url, timeout = 5 }
      assert.equal("argument", kind, url)
    end
  end)

  it("does not hold up a request to somewhere else", function()
    local silent = peer.http(function() end)
    local server = peer.http(function(_, connection) connection:answer(200, "fine") end)
    new_transport()
    transport:request { method = "GET", url = silent:url "http", timeout = 10 }
    assert.equal("fine", answer_to { method = "GET", url = server:url "http" }.body)
  end)
end)

describe("a proxy", function()
  local proxy, asked

  before_each(function()
    asked = {}
    proxy = peer.http(function(request, connection)
      asked[#asked + 1] = request.target
      connection:answer(200, "by proxy")
    end)
  end)

  it("is asked for the whole URL", function()
    new_transport { proxy = proxy:url("http", ""), max_in_flight = 1 }
    for _, url in ipairs { "http://stream.invalid/a?b=c", "http://stream.invalid:81/d" } do
      assert.equal("by proxy", answer_to { method = "GET", url = url }.body)
    end
    assert.same({ "http://stream.invalid/a?b=c", "http://stream.invalid:81/d" }, asked)
  end)

  for name, case in pairs {
    ["is taken from the environment"] = { "", 200 },
    ["is not taken from there when the program says that there is none"] = { "proxy = ''", nil },
  } do
    it(name, function()
      local child = process.start(lua.INTERPRETER, { "-e", ([[
        local transport = require("stream_events.core").transport { %s }
        transport:request { method = "GET", url = "http://stream.invalid/", timeout = 5 }
        local id, status
        repeat
          transport:step()
          transport:wait(1)
          id, status = transport:next_response()
        until id
        print(status)
      ]]):format(case[1]) }, { http_proxy = proxy:url("http", ""), no_proxy = false, NO_PROXY = false })
      assert.equal(0, child:finish(), child.stderr)
      assert.equal(tostring(case[2]), child.stdout:match "%S+")
      assert.equal(case[2] and 1 or 0, #asked)
    end)
  end
end)

describe("misuse", function()
  it("raises for wrong arguments, before anything happens", function()
    new_transport()
    local url = "http://127.0.0.1:9/"
    for _, wrong in ipairs { false, {}, { method = "GET" }, { url = url },
      { method = 1, url = url },
      { method = "GET", url = url, body = {} }, { method = "GET", url = url, timeout = "1" },
      { method = "GET", url = url, timeout = -1 }, { method = "GET", url = url, timeout = 0 / 0 },
      { method = "GET", url = url, headers = "A: b" },
      { method = "GET", url = url, headers = { 1 } },
      { method = "GET", url = url, headers = { "A: b\r\nC: d" } },
      { method = "GET", url = url, headers = { "A: b\0" } }, { method = "GET\0", url = url },
      { method = "GET", url = url, headers = { "no colon" } },
      { method = "GET", url = url, headers = { ": no name" } },
      { method = "GET", url = "http://127.0.0.1/\0" } } do
      assert.has_error(function() transport:request(wrong) end)
      if not (type(wrong) == "table" and wrong.body) then
        assert.has_error(function() transport:prepare(wrong) end)
      end
    end
    local prepared = transport:prepare { method = "PUT", url = url }
    for _, body in ipairs { 1, true, { "x" } } do
      assert.has_error(function() transport:send(prepared, body) end)
      assert.has_error(function() transport:request { method = "PUT", url = url, body = body } end)
    end
    for _, wrong in ipairs { "x", {}, transport } do
      assert.has_error(function() transport:send(wrong) end)
    end
    for _, lines in ipairs { "A: b", { 1 }, { "no colon" }, { "A: b\r\nC: d" }, { "A: b\0" }, { ": b" },
      { "A b: c" }, { "A\t: c" },
      { "A: 1", "A: 2", "A: 3", "A: 4", "A: 5", "A: 6", "A: 7", "A: 8", "A: 9" } } do
      assert.has_error(function() transport:send(prepared, "x", lines) end)
    end
    -- Lines are looked at in words of eight bytes.
    for place = 1, 20 do
      for _, wrong in ipairs { "\1", "\n", "\r", "\31", "\127" } do
        local line = "A: " .. ("x"):rep(place - 1) .. wrong .. ("x"):rep(20 - place)
        assert.has_error(function() transport:send(prepared, "x", { line }) end)
      end
    end
    for _, timeout in ipairs { -1, 0 / 0, "x", 1e7 } do
      assert.has_error(function() transport:send(prepared, "x", nil, timeout) end)
    end
    assert.is_nil(transport:timeout())
    for _, wrong in ipairs { { max_in_flight = 0 }, { max_body = -1 }, { max_waiting = "x" },
      { connect_timeout = 0 / 0 }, { read_size = 1023 }, { ca_file = 1 }, { user_agent = "a\r\nb: c" },
      "x" } do
      assert.has_error(function() core.transport(wrong) end)
    end
  end)

  it("returns an error for a method that is no word", function()
    new_transport()
    for _, method in ipairs { "", "GET /x HTTP/1.1", "get", "G\r\nT" } do
      local request = { method = method, url = "http://127.0.0.1:9/" }
      local id, kind = transport:request(request)
      assert.is_nil(id)
      assert.equal("argument", kind)
      id, kind = transport:send(transport:prepare(request))
      assert.is_nil(id)
      assert.equal("argument", kind)
    end
  end)
end)
