--- The listener over real sockets: HTTP requests, whole, cut, refused and timed out.
local core = require "stream_events.server.core"
local cjson = require "cjson"
local listening = require "support.listening"

describe("listen", function()
  it("takes a free port and tells it", function()
    local listener <close> = assert(core.listen())
    local host, port = listener:address()
    assert.equal("127.0.0.1", host)
    assert.is_true(port > 0)
  end)

  it("listens on IPv6 too", function()
    local listener <close> = assert(core.listen { host = "::1" })
    assert.equal("::1", (listener:address()))
  end)

  it("says why it cannot", function()
    local listener <close> = assert(core.listen())
    local _, port = listener:address()
    local again, kind, message = core.listen { port = port }
    assert.is_nil(again)
    assert.equal("network", kind)
    assert.equal(("cannot listen on 127.0.0.1:%d: address already in use"):format(port), message)
    again, kind, message = core.listen { host = "no such host" }
    assert.is_nil(again)
    assert.equal("network", kind)
    assert.matches("cannot listen on no such host:0: ", message, 1, true)
  end)

  for name, options in pairs {
    ["a port out of range"] = { port = 65536 },
    ["a port that is no number"] = { port = "many" },
    ["a host that is no string"] = { host = {} },
    ["a header limit over what offsets hold"] = { max_header = 65536 },
    ["no connections"] = { max_connections = 0 },
    ["a time of nothing"] = { idle_timeout = 0 },
    ["a time that is no number"] = { body_timeout = 0 / 0 },
  } do
    it("raises for " .. name, function()
      assert.error(function() core.listen(options) end)
    end)
  end
end)

describe("a request", function()
  local fixture

  after_each(function()
    fixture:close()
    fixture = nil
  end)

  for name, case in pairs {
    ["with nothing special"] = {
      "GET /a/b?c=d&e HTTP/1.1\r\nHost: x\r\n\r\n",
      { method = "GET", path = "/a/b", query = "c=d&e", body = "", headers = { host = "x" } },
    },
    ["with percent signs"] = {
      "PATCH /%2e%2E?q=%00?x HTTP/1.1\r\nHost: x\r\n\r\n",
      { method = "PATCH", path = "/%2e%2E", query = "q=%00?x", body = "", headers = { host = "x" } },
    },
    ["in absolute form"] = {
      "GET http://example.org:3030/p?q HTTP/1.1\r\nHost: example.org\r\n\r\n",
      { method = "GET", path = "/p", query = "q", body = "", headers = { host = "example.org" } },
    },
    ["in absolute form without a path"] = {
      "GET http://example.org?q HTTP/1.1\r\nHost: example.org\r\n\r\n",
      { method = "GET", path = "/", query = "q", body = "", headers = { host = "example.org" } },
    },
    ["for no path at all"] = {
      "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
      { method = "OPTIONS", path = "*", query = "", body = "", headers = { host = "x" } },
    },
    ["after empty lines"] = {
      "\r\n\r\nDELETE / HTTP/1.1\r\nHost: x\r\n\r\n",
      { method = "DELETE", path = "/", query = "", body = "", headers = { host = "x" } },
    },
    ["with repeated and empty headers"] = {
      "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nEmpty:\r\nB:  two \t\r\na:3\r\nA:\r\n\r\n",
      { method = "GET", path = "/", query = "", body = "",
        headers = { host = "x", a = "1, 3, ", b = "two", empty = "" } },
    },
    ["of HTTP/1.0 without a host"] = {
      "GET / HTTP/1.0\r\n\r\n",
      { method = "GET", path = "/", query = "", body = "", headers = {} },
    },
    ["with a body"] = {
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\0\r\n\n!",
      { method = "POST", path = "/", query = "", body = "\0\r\n\n!",
        headers = { host = "x", ["content-length"] = "5" } },
    },
    ["with a body in chunks, and trailers"] = {
      "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n" ..
        "5;a=b\r\nhello\r\n00A\r\n \r\n world!\r\n0\r\nHost: y\r\nSecret: z\r\n\r\n",
      { method = "PUT", path = "/", query = "", body = "hello \r\n world!",
        headers = { host = "x", ["transfer-encoding"] = "Chunked" } },
    },
    ["with an offer of another protocol"] = {
      "POST / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok",
      { method = "POST", path = "/", query = "", body = "ok", headers = {
        host = "x", upgrade = "h2c", connection = "Upgrade", ["content-length"] = "2" } },
    },
  } do
    it(name .. " is handed out", function()
      fixture = listening.open()
      local client = fixture:client()
      client:write(case[1])
      local number, request = fixture:expect "request"
      case[2].peer = "127.0.0.1"
      assert.same(case[2], request)
      assert.is_true(fixture.listener:respond(number, 200, "{}"))
      client:expect "^HTTP/1.1 200 OK\r\n.*{}$"
    end)
  end

  it("is from the address that its client has, whoever sent the last one", function()
    local sources = { "127.0.0.1", "127.0.0.2", "127.0.0.1", "127.1.0.1" }
    local six = core.listen { host = "::1" }
    if six then -- some systems have no IPv6
      six:close_all()
      sources[#sources + 1] = "::1"
    end
    fixture = listening.open { host = six and "::" or nil }
    local clients = {}
    for i, source in ipairs(sources) do clients[i] = fixture:client(source) end
    for _ = 1, 2 do
      for i, client in ipairs(clients) do
        client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        local number, request = fixture:expect "request"
        assert.equal(sources[i], request.peer)
        fixture.listener:respond(number, 200, "{}")
      end
    end
  end)

  it("has all its headers, however many there may be", function()
    fixture = listening.open()
    local client = fixture:client()
    for _, count in ipairs { 14, 15, 16, 17, 98, 99 } do
      local lines, expected = { "GET / HTTP/1.1", "Host: x" }, { host = "x" }
      for i = 1, count do
        lines[#lines + 1] = ("H-%d: value %d"):format(i, i * 7)
        expected["h-" .. i] = "value " .. i * 7
      end
      client:write(table.concat(lines, "\r\n") .. "\r\n\r\n")
      local number, request = fixture:expect "request"
      assert.same(expected, request.headers)
      fixture.listener:respond(number, 200, "{}")
    end
  end)

  it("may be cut anywhere, and be followed by the next one", function()
    fixture = listening.open()
    local text = "POST /one HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" ..
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"
    for cut = 1, #text - 1 do
      local client = fixture:client()
      client:write(text:sub(1, cut))
      fixture:turn()
      client:write(text:sub(cut + 1))
      local number, request = fixture:expect "request"
      assert.equal("abcde", request.body)
      fixture.listener:respond(number, 200, "1")
      number, request = fixture:expect "request"
      assert.equal("/two", request.path)
      assert.equal("b", request.headers.a)
      fixture.listener:respond(number, 200, "2")
      client:expect "1HTTP/1.1 200 OK.*2$"
      client:close()
    end
  end)

  it("may come byte by byte", function()
    fixture = listening.open()
    local client = fixture:client()
    for byte in ("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"):gmatch "." do
      client:write(byte)
      fixture:turn()
    end
    local _, request = fixture:expect "request"
    assert.equal("abc", request.body)
  end)

  it("waits for the answer to the one before it", function()
    fixture = listening.open()
    local client = fixture:client()
    local requests = {}
    for i = 1, 5 do requests[i] = ("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(i) end
    client:write(table.concat(requests))
    for i = 1, 5 do
      local number, request = fixture:expect "request"
      assert.equal("/" .. i, request.path)
      client:write(("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(i + 5))
      fixture:turn()
      fixture:turn()
      assert.same({}, fixture.results)
      assert.is_true(fixture.listener:respond(number, 200, tostring(i)))
      assert.is_false(fixture.listener:respond(number, 200, "again")) -- that one was not asked yet
    end
    client:expect "1HTTP.*2HTTP.*3HTTP.*4HTTP.*5$"
  end)

  it("keeps its connection when the client wants that", function()
    for text, keeps in pairs {
      ["GET / HTTP/1.1\r\nHost: x\r\n\r\n"] = true,
      ["GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"] = false,
      ["GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] = true,
      ["GET / HTTP/1.0\r\n\r\n"] = false,
    } do
      fixture = fixture or listening.open()
      local client = fixture:client()
      client:write(text)
      fixture.listener:respond(fixture:expect "request", 200, "body")
      if keeps then
        client:expect "Connection: keep%-alive\r\n.*body$"
        client:write(text)
        fixture.listener:respond(fixture:expect "request", 200, "second")
        client:expect "second$"
      else
        assert.matches("Connection: close\r\n.*body$", client:finish())
      end
    end
  end)

  it("is told to go on when it asks before it sends its body", function()
    fixture = listening.open()
    local client = fixture:client()
    client:write "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    client:expect "^HTTP/1.1 100 Continue\r\n\r\n$"
    client:write "ok"
    local number, request = fixture:expect "request"
    assert.equal("ok", request.body)
    fixture.listener:respond(number, 201, "{}")
    client:expect "^HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created"
  end)

  it("is answered also when the client has shut its side", function()
    fixture = listening.open()
    local client = fixture:client()
    client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    client:shut()
    fixture.listener:respond(fixture:expect "request", 200, "late")
    assert.matches("late$", client:finish())
  end)

  it("that is never answered may be given up by its client", function()
    fixture = listening.open()
    local client = fixture:client()
    client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    local number = fixture:expect "request"
    client.tcp:close_reset()
    fixture:wait("the connection is gone", function()
      return fixture.listener:stats().connections == 0
    end)
    assert.is_false(fixture.listener:respond(number, 200, ""))
  end)
end)

describe("an answer", function()
  local fixture, client, number

  local function ask(text)
    client = fixture:client()
    client:write(text or "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    number = fixture:expect "request"
  end

  before_each(function() fixture = listening.open() end)
  after_each(function() fixture:close() end)

  it("has length, date and type", function()
    ask()
    fixture.listener:respond(number, 200, "{}")
    local head = client:expect "^(.*\r\n\r\n){}$"
    assert.matches("Date: %a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT\r\n", head)
    assert.matches("Content-Length: 2\r\n", head, 1, true)
    assert.matches("Content-Type: application/json\r\n", head, 1, true)
  end)

  it("has the headers it was given, and their type", function()
    ask()
    fixture.listener:respond(number, 404, "no", { "content-type: text/plain", "X-Y: ä z" })
    local head = client:expect "^HTTP/1.1 404 Not Found\r\n(.*\r\n\r\n)no$"
    assert.matches("content-type: text/plain\r\nX-Y: ä z\r\n", head, 1, true)
    assert.not_matches("application/json", head, 1, true)
  end)

  it("to HEAD has no body, but its length", function()
    ask "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
    fixture.listener:respond(number, 200, "12345")
    client:write "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
    fixture.listener:respond(fixture:expect "request", 200, "second")
    client:expect "Content%-Length: 5\r\n.*\r\n\r\nHTTP/1.1 200 OK\r\n.*second$"
  end)

  it("without content has neither body nor length", function()
    ask()
    fixture.listener:respond(number, 204, "ignored")
    assert.not_matches("Content%-Length", client:expect "^(HTTP/1.1 204 No Content\r\n.*\r\n\r\n)$")
  end)

  for name, line in pairs {
    ["a line break"] = "A: b\r\nC: d",
    ["no colon"] = "nothing",
    ["no name"] = ": value",
    ["a space in the name"] = "A : b",
    ["the length"] = "content-length: 3",
    ["the connection"] = "Connection: close",
    ["a number"] = 7,
  } do
    it("refuses a header line with " .. name, function()
      ask()
      assert.error(function() fixture.listener:respond(number, 200, "", { line }) end)
      assert.is_true(fixture.listener:respond(number, 200, ""))
    end)
  end

  it("refuses a status that is none", function()
    ask()
    assert.error(function() fixture.listener:respond(number, 101, "") end)
    assert.error(function() fixture.listener:respond(number, 600, "") end)
  end)

  it("is sent in parts when the client is slow to read", function()
    fixture:close()
    fixture = listening.open { max_output = 1024 * 1024 }
    ask "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
    client:stop_reading()
    local body = ("0123456789abcdef"):rep(1 << 20)
    assert.is_true(fixture.listener:respond(number, 200, body))
    fixture:turn()
    fixture:turn()
    assert.is_true(fixture.listener:stats().queued_bytes > 0)
    assert.same({}, fixture.results) -- the second request waits for its predecessor's answer
    client:read()
    fixture.listener:respond(fixture:expect "request", 200, "second")
    client:expect_end "second"
    assert.is_true(client:text():find(body, 1, true) ~= nil)
  end)

  it("ends the connection when it is more than may wait", function()
    ask()
    client:stop_reading()
    assert.is_false(fixture.listener:respond(number, 200, ("x"):rep(32 << 20)))
    assert.equal(1, fixture.listener:stats().too_slow)
    assert.equal(0, fixture.listener:stats().connections)
  end)

  it("ends the connection when too many that large wait already, and hinders no small one", function()
    fixture:close()
    fixture = listening.open { max_output = 1024 * 1024 }
    local body, taken = ("x"):rep(14 << 20), 0
    for _ = 1, 8 do
      local other = fixture:client()
      other:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      other:stop_reading()
      if fixture.listener:respond(fixture:expect "request", 200, body) then taken = taken + 1 end
    end
    assert.is_true(taken >= 4 and taken < 8)
    assert.equal(8 - taken, fixture.listener:stats().too_slow)
    assert.is_true(fixture.listener:stats().queued_bytes <= 64 << 20)
    local small = fixture:client()
    small:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert.is_true(fixture.listener:respond(fixture:expect "request", 200, "small"))
    small:expect "small$"
  end)

  it("to an unknown connection is not sent", function()
    for _, other in ipairs { 0, -1, 1, math.maxinteger, math.mininteger, 1 << 20 } do
      assert.is_false(fixture.listener:respond(other, 200, ""))
    end
  end)
end)

describe("the listener refuses", function()
  local HEAD = "POST / HTTP/1.1\r\nHost: x\r\n"
  local fixture

  after_each(function()
    fixture:close()
    fixture = nil
  end)

  local cases = {
    ["garbage"] = { "\1\2\3\r\n\r\n" },
    ["the greeting of TLS"] = { "\22\3\1\2\0\1\0\1\252\3\3" },
    ["the preface of HTTP/2"] = { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
    ["an unknown method"] = { "FETCH / HTTP/1.1\r\nHost: x\r\n\r\n" },
    ["CONNECT"] = { "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n" },
    ["no version"] = { "GET /\r\n\r\n", 505 },
    ["version 2"] = { "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505 },
    ["a target that is no path"] = { "GET example HTTP/1.1\r\nHost: x\r\n\r\n" },
    ["a fragment in the target"] = { "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n" },
    ["bytes over 127 in the target"] = { "GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n" },
    ["a missing host"] = { "GET / HTTP/1.1\r\n\r\n" },
    ["two hosts"] = { "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n" },
    ["a bare line feed"] = { "GET / HTTP/1.1\nHost: x\r\n\r\n" },
    ["bare line feeds everywhere"] = { "GET / HTTP/1.1\nHost: x\n\n" },
    ["a bare carriage return"] = { "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n" },
    ["a folded line"] = { "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n" },
    ["a space before the colon"] = { HEAD .. "Content-Length : 3\r\n\r\nabc" },
    ["a name that is no token"] = { HEAD .. "A(b): c\r\n\r\n" },
    ["a zero byte in a value"] = { HEAD .. "A: b\0c\r\n\r\n" },
    ["a zero byte before a value"] = { HEAD .. "A:\0b\r\n\r\n" },
    ["a length twice"] = { HEAD .. "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" },
    ["a list of lengths"] = { HEAD .. "Content-Length: 3, 3\r\n\r\nabc" },
    ["a negative length"] = { HEAD .. "Content-Length: -3\r\n\r\nabc" },
    ["a length with a sign"] = { HEAD .. "Content-Length: +3\r\n\r\nabc" },
    ["a length in hex"] = { HEAD .. "Content-Length: 0x3\r\n\r\nabc" },
    ["an empty length"] = { HEAD .. "Content-Length:\r\n\r\nabc" },
    ["a length with more digits than one can have"] =
      { HEAD .. "Content-Length: 0000000000000000003\r\n\r\nabc" },
    ["a length beyond 64 bits"] = { HEAD .. "Content-Length: 99999999999999999999\r\n\r\nabc" },
    ["a length and chunks"] =
      { HEAD .. "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    ["chunks and a length"] =
      { HEAD .. "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" },
    ["an unknown encoding"] = { HEAD .. "Transfer-Encoding: gzip\r\n\r\n" },
    ["two encodings"] = { HEAD .. "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
    ["chunked twice"] =
      { HEAD .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    ["chunks that are only called so"] = { HEAD .. "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" },
    ["chunks in HTTP/1.0"] = { "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    ["a chunk size that is no number"] = { HEAD .. "Transfer-Encoding: chunked\r\n\r\nz\r\n" },
    ["a chunk that is longer than it says"] =
      { HEAD .. "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" },
    ["a chunk size ended by a bare line feed"] =
      { HEAD .. "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n" },
    ["a chunk size ended by a carriage return and something else"] =
      { HEAD .. "Transfer-Encoding: chunked\r\n\r\n1\rxa\r\n0\r\n\r\n" },
    ["a folded trailer"] =
      { HEAD .. "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n" },
    ["an expectation it does not know"] = { HEAD .. "Expect: wonders\r\n\r\n", 417 },
    ["a body that is announced too long"] = { HEAD .. "Content-Length: 1001\r\n\r\n", 413, 22 },
    ["a body that is announced much too long, although the client asks first"] =
      { HEAD .. "Expect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n", 413, 22 },
    ["chunks that become too long"] = { HEAD .. "Transfer-Encoding: chunked\r\n\r\n" ..
      ("64\r\n" .. ("x"):rep(100) .. "\r\n"):rep(11), 413, 22 },
    ["a chunk that is announced too long"] =
      { HEAD .. "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n", 413, 22 },
    ["a chunk size beyond 64 bits"] =
      { HEAD .. "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" },
    ["a head that is too long"] = { "GET / HTTP/1.1\r\nA: " .. ("x"):rep(2000), 431, 24 },
    ["a target that is too long"] = { "GET /" .. ("x"):rep(2000), 431, 24 },
    ["a head with too many lines"] =
      { "GET / HTTP/1.1\r\nHost: x\r\n" .. ("a:\r\n"):rep(100) .. "\r\n", 431, 24 },
    ["empty lines without end"] = { ("\r\n"):rep(600), 431, 24 },
  }
  for name, case in pairs(cases) do
    it(name, function()
      fixture = listening.open { max_header = 1024, max_body = 1000 }
      local client = fixture:client()
      client:write(case[1])
      local text = client:finish()
      local status = case[2] or 400
      local body = text:match(
        ("^HTTP/1.1 %d [%%a ]+\r\n.*Connection: close\r\n.*\r\n\r\n({.*})$"):format(status))
      assert.is_truthy(body, text)
      local envelope = cjson.decode(body)
      assert.equal(status, envelope.StatusCode)
      assert.equal(case[3] or 4, envelope.code)
      assert.matches('^Request failed with error: ".+"$', envelope.message)
      assert.same({}, fixture.results)
      assert.equal(1, fixture.listener:stats().refused)
      fixture:wait("forgotten", function()
        client:close()
        return fixture.listener:stats().connections == 0
      end)
    end)
  end

  it("a request that ends early", function()
    for _, text in ipairs { "GET", HEAD, HEAD .. "Content-Length: 9\r\n\r\nshort" } do
      fixture = fixture or listening.open()
      local client = fixture:client()
      client:write(text)
      fixture:turn()
      client:shut()
      assert.matches("^HTTP/1.1 400 Bad Request\r\n", client:finish())
    end
    assert.same({}, fixture.results)
  end)

  it("what follows a request it has served", function()
    fixture = listening.open()
    local client = fixture:client()
    client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\nrubbish\r\n\r\n"
    fixture.listener:respond(fixture:expect "request", 200, "good")
    assert.matches("goodHTTP/1.1 400 Bad Request\r\n", client:finish())
  end)

  it("uploads without losing the answer", function()
    fixture = listening.open { max_body = 1000 }
    local client = fixture:client()
    client:write(HEAD .. "Content-Length: 1000000\r\n\r\n")
    for _ = 1, 10 do client:post(("x"):rep(100000)) end
    assert.matches("^HTTP/1.1 413 ", client:finish())
    assert.is_nil(client.broken)
  end)

  it("to be flooded after an answer", function()
    fixture = listening.open { max_body = 1000 }
    local client = fixture:client()
    client:write(HEAD .. "Content-Length: 100000000\r\n\r\n")
    for _ = 1, 100 do client:post(("x"):rep(100000)) end
    fixture:wait("cut off", function() return fixture.listener:stats().connections == 0 end)
  end)

  it("more connections than it may have", function()
    fixture = listening.open { max_connections = 2 }
    local first = fixture:client()
    fixture:client()
    local third = fixture:client()
    assert.matches('^HTTP/1.1 503 .*"code":71', third:finish())
    first:close()
    fixture:wait("one has gone", function() return fixture.listener:stats().connections == 1 end)
    local fourth = fixture:client()
    fourth:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    fixture:expect "request"
    assert.equal(1, fixture.listener:stats().refused)
  end)
end)

describe("time", function()
  local fixture

  after_each(function() fixture:close() end)

  it("runs out for a head", function()
    fixture = listening.open { header_timeout = 0.05 }
    local silent, slow = fixture:client(), fixture:client()
    slow:write "GET / HTTP/1.1\r\nHos"
    assert.matches('^HTTP/1.1 408 Request Timeout\r\n.*"code":23', slow:finish())
    assert.equal("", silent:finish())
    assert.equal(2, fixture.listener:stats().timed_out)
    assert.same({}, fixture.results)
  end)

  it("runs out for the head of a later request", function()
    fixture = listening.open { header_timeout = 0.05 }
    local client = fixture:client()
    client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET "
    fixture.listener:respond(fixture:expect "request", 200, "first")
    assert.matches("firstHTTP/1.1 408 ", client:finish())
  end)

  it("runs out for a body", function()
    fixture = listening.open { body_timeout = 0.05 }
    local client = fixture:client()
    client:write "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab"
    assert.matches("^HTTP/1.1 408 ", client:finish())
  end)

  it("runs out between requests", function()
    fixture = listening.open { keepalive_timeout = 0.05 }
    local client = fixture:client()
    client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    fixture.listener:respond(fixture:expect "request", 200, "only")
    assert.matches("only$", client:finish())
    assert.equal(0, fixture.listener:stats().timed_out)
  end)

  it("runs out for an answer that is not read", function()
    fixture = listening.open { body_timeout = 0.05, max_output = 64 << 20 }
    local client = fixture:client()
    client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    client:stop_reading()
    fixture.listener:respond(fixture:expect "request", 200, ("x"):rep(32 << 20))
    fixture:wait("dropped", function() return fixture.listener:stats().connections == 0 end)
    assert.equal(1, fixture.listener:stats().timed_out)
  end)

  it("does not run out while the answer is owed", function()
    fixture = listening.open { header_timeout = 0.02, body_timeout = 0.02, keepalive_timeout = 0.02 }
    local client = fixture:client()
    client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    local number = fixture:expect "request"
    fixture:client():finish() -- in the same time another one is thrown out
    assert.is_nil(fixture.listener:timeout())
    assert.is_true(fixture.listener:respond(number, 200, "patience"))
    client:expect "patience"
  end)

  it("runs out for hundreds of connections that never finish their request", function()
    fixture = listening.open { header_timeout = 0.3 }
    local clients = {}
    for i = 1, 400 do -- both ends count against the limit of open files
      clients[i] = fixture:client()
      clients[i]:write "POST / HTTP/1.1\r\nHost: x\r\n"
    end
    for _, client in ipairs(clients) do
      assert.matches("^HTTP/1.1 408 ", client:finish())
      client:close()
    end
    fixture:wait("all gone", function() return fixture.listener:stats().connections == 0 end)
    assert.equal(400, fixture.listener:stats().timed_out)
    assert.is_nil(fixture.listener:timeout())
  end)
end)
