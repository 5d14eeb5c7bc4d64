-- What is said of a TLS connection that cannot be made: what is wrong, and with which certificate.
local core = require "stream_events.core"
local native = require "stream_events.native"
local peer = require "support.peer"
local tls = require "support.tls"

local PAST, YESTERDAY = "20200101000000Z", "20210101000000Z"
local FUTURE, LATER = "20900101000000Z", "20910101000000Z"
local HERE = "IP:127.0.0.1,DNS:localhost"

describe("a TLS connection that cannot be made", function()
  local certificates, transport, stops

  setup(function()
    certificates = tls.certificates { own = HERE }
    tls.authority(certificates, "Some-CA")
    local function issue(...) tls.issue(certificates, "Some-CA", ...) end
    issue("good", "/CN=good", HERE, PAST, LATER)
    issue("expired", "/CN=expired", HERE, PAST, YESTERDAY)
    issue("early", "/CN=early", HERE, FUTURE, LATER)
    issue("other", "/CN=other", "DNS:chat.example.com,DNS:*.example.org,IP:10.1.2.3,IP:fe80::1",
      PAST, LATER)
    local chain = assert(io.open(certificates.path "chain.pem", "w"))
    for _, name in ipairs { "good.pem", "Some-CA.pem" } do
      local file = assert(io.open(certificates.path(name)))
      chain:write(file:read "*a")
      file:close()
    end
    chain:close()
    issue("odd", '/CN=a"<b>\27[31m', HERE, PAST, YESTERDAY)
    issue("escape", "/CN=escape", "DNS:a\27[31m.test", PAST, LATER)
    issue("long", "/CN=" .. ("x"):rep(60),
      "DNS:" .. ("y"):rep(60) .. ".test,DNS:" .. ("z"):rep(60) .. ".test", PAST, LATER)
  end)
  teardown(function() certificates.remove() end)
  before_each(function() stops = {} end)
  after_each(function()
    transport:close()
    for _, stop in ipairs(stops) do stop() end
    peer.stop_all()
  end)

  -- Kind and message of a request and of a WebSocket to a server with that certificate.
  local function failures(name, ca_file, chain)
    local server = peer.http(function() error "no request must come" end)
    local port, stop = tls.forward(certificates.path(chain or name .. ".pem"),
      certificates.path(name .. ".key"), server.port)
    stops[#stops + 1] = stop
    transport = core.transport { ca_file = ca_file }
    transport:request { method = "GET", url = ("https://127.0.0.1:%d/?token=secret"):format(port) }
    local connection = transport:connect { url = ("wss://127.0.0.1:%d/?token=secret"):format(port) }
    local kind, message
    peer.pump(transport, function()
      local id, _, failure, text = transport:next_response()
      if id then kind, message = failure, text end
      return kind and connection:state() == "closed"
    end)
    local _, other_kind, other_message = connection:state()
    assert.same({ kind, message }, { other_kind, other_message })
    assert.is_nil(message:find("secret", 1, true))
    return kind, message
  end

  local authority = "Some-CA.pem"
  for what, case in pairs {
    ["expired"] = { "expired", authority, "certificate", "(subject CN=expired, issuer CN=Some-CA) has "
      .. "expired: it was valid until 2021-01-01 00:00 UTC" },
    ["not yet valid"] = { "early", authority, "certificate", "(subject CN=early, issuer CN=Some-CA) is "
      .. "not valid yet: it will be from 2090-01-01 00:00 UTC on" },
    ["for another host"] = { "other", authority, "certificate", "(subject CN=other, issuer CN=Some-CA) is "
      .. "for other names: chat.example.com, *.example.org, 10.1.2.3, fe80:0:0:0:0:0:0:1" },
    ["self-signed"] = { "own", nil, "trust", "(subject CN=own, issuer CN=own) is self-signed: nobody else "
      .. "vouches for it" },
    ["of an unknown issuer"] = { "good", nil, "trust", "(subject CN=good, issuer CN=Some-CA) comes from an "
      .. "issuer that is not known here" },
    ["of another issuer than the one that is trusted"] = { "good", "own.pem", "trust",
      "(subject CN=good, issuer CN=Some-CA) comes from an issuer that is not known here" },
  } do
    it("says of a certificate that it is " .. what, function()
      local kind, message = failures(case[1], case[2] and certificates.path(case[2]))
      assert.equal(case[3], kind)
      assert.truthy(message:find("the certificate of 127.0.0.1 " .. case[4], 1, true), message)
    end)
  end

  it("names the certificate of the chain with which something is wrong", function()
    local kind, message = failures("good", nil, "chain.pem")
    assert.equal("trust", kind)
    assert.truthy(message:find("a certificate in the chain of 127.0.0.1 (subject CN=Some-CA, issuer "
      .. "CN=Some-CA) is that of an authority which is not trusted here", 1, true), message)
  end)

  it("shows nothing of a certificate that is not printable, and not too much", function()
    local _, message = failures("odd", certificates.path(authority))
    assert.truthy(message:find("has expired", 1, true), message)
    assert.is_nil(message:find("[^ -~]"), message)
    _, message = failures("escape", certificates.path(authority))
    assert.truthy(message:find("is for other names: a?[31m.test", 1, true), message)
    local kind, long = failures("long", certificates.path(authority))
    assert.equal("certificate", kind)
    assert.truthy(long:find("is for other names: y", 1, true), long)
    assert.truthy(long:find("...", 1, true), long)
    assert.is_true(#long < 500, long)
  end)

  it("says that the file of authorities cannot be used", function()
    local kind, message = failures("good", certificates.path "missing.pem")
    assert.equal("trust", kind)
    assert.truthy(message:find("the file of authorities cannot be used", 1, true), message)
    assert.truthy(message:find("missing.pem", 1, true), message)
  end)

  for says, answer in pairs {
    ["ended the connection within the TLS handshake"] = "",
    ["offers no version of TLS that is taken here: 1.2 and newer are"] = "\21\3\1\0\2\2\70", -- an alert
    ["does not speak TLS at this port"] = "HTTP/1.1 400 Bad Request\r\n\r\n",
    ["the TLS handshake failed: "] = "\21\3\3\0\2\2\40",
  } do
    it("says that the server " .. says, function()
      local server = peer.listen(function(connection)
        function connection.on_bytes()
          if answer == "" then connection:abort() else connection:say(answer) end
        end
      end)
      transport = core.transport()
      local connection = transport:connect { url = server:url "wss" }
      peer.pump(transport, function() return connection:state() == "closed" end)
      local _, kind, message = connection:state()
      assert.equal("tls", kind)
      assert.truthy(message:find(says, 1, true), message)
    end)
  end

  it("comes to be once the certificate is in ca_file, by its authority or by itself", function()
    for name, ca_file in pairs { good = authority, own = "own.pem" } do
      local server = peer.http(function(_, connection) connection:answer(200, "fine") end)
      local port, stop = tls.forward(certificates.path(name .. ".pem"), certificates.path(name .. ".key"),
        server.port)
      stops[#stops + 1] = stop
      transport = core.transport { ca_file = certificates.path(ca_file) }
      transport:request { method = "GET", url = ("https://127.0.0.1:%d/"):format(port) }
      local status
      peer.pump(transport, function()
        local id, answer = transport:next_response()
        status = answer
        return id
      end)
      assert.equal(200, status)
      transport:close()
    end
  end)
end)

describe("native.error", function()
  for kind, hint in pairs {
    trust = "option ca_file", certificate = "this machine's clock", tls = "begin it with http://",
    proxy = "option proxy",
  } do
    it(("makes a failure of kind %s one of the network, with a hint"):format(kind), function()
      local err = native.error(kind, "it failed")
      assert.same({ "network", true }, { err.kind, err.retryable })
      assert.truthy(err.hint:find(hint, 1, true), err.hint)
    end)
  end
end)
