--- Whose address a request is from: addresses and networks, and what proxies say about clients.
local addresses = require "stream_events.server.addresses"
local fixtures = require "support.server"
local hooks = require "support.hook"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local proxies = require "stream_events.server.proxies"

describe("an address", function()
  for text, expected in pairs {
    ["192.0.2.1"] = "192.0.2.1", ["0.0.0.0"] = "0.0.0.0", ["255.255.255.255"] = "255.255.255.255",
    ["::"] = "::", ["::1"] = "::1", ["1::"] = "1::", ["2001:DB8::1"] = "2001:db8::1",
    ["2001:0db8:0:0:0:0:0:1"] = "2001:db8::1", ["1:0:0:2:0:0:0:3"] = "1:0:0:2::3",
    ["1:2:3:4:5:6:7:8"] = "1:2:3:4:5:6:7:8", ["1:0:3:4:5:6:7:8"] = "1:0:3:4:5:6:7:8",
    ["::ffff:192.0.2.1"] = "192.0.2.1", ["::FFFF:c000:201"] = "192.0.2.1",
    ["64:ff9b::192.0.2.1"] = "64:ff9b::c000:201",
    [""] = false, ["1.2.3"] = false, ["1.2.3.4.5"] = false, ["1.2.3.256"] = false, ["1.2.3.04"] = false,
    ["1.2.3.4 "] = false, ["localhost"] = false, [":"] = false, [":::"] = false, ["1::2::3"] = false,
    ["1:2:3:4:5:6:7"] = false, ["1:2:3:4:5:6:7:8:9"] = false, ["1:2:3:4:5:6:7:8::"] = false,
    ["12345::"] = false, ["g::"] = false, ["::1%eth0"] = false, ["::1.2.3"] = false, ["1.2.3.4::"] = false,
    [("1:"):rep(200)] = false, ["::ffff:1.2.3.4:5"] = false, ["\255"] = false,
  } do
    it(("%q is read and written in one way, or refused"):format(text), function()
      assert.equal(expected or nil, addresses.canonical(text))
    end)
  end

  for _, case in ipairs {
    { "10.1.2.3", "10.0.0.0/8", true }, { "11.1.2.3", "10.0.0.0/8", false },
    { "192.0.2.130", "192.0.2.128/25", true }, { "192.0.2.127", "192.0.2.128/25", false },
    { "192.0.2.1", "192.0.2.1", true }, { "192.0.2.2", "192.0.2.1", false },
    { "8.8.8.8", "0.0.0.0/0", true }, { "2001:db8::1", "0.0.0.0/0", false },
    { "2001:db8:ffff::1", "2001:db8::/32", true }, { "2001:db9::1", "2001:db8::/32", false },
    { "::1", "::/0", true }, { "::ffff:10.0.0.1", "10.0.0.0/8", true }, { "rubbish", "::/0", false },
  } do
    it(("%s is in %s: %s"):format(case[1], case[2], case[3]), function()
      assert.equal(case[3], addresses.is_in(case[1], { assert(addresses.network(case[2])) }))
    end)
  end

  for _, text in ipairs { "10.0.0.0/33", "::/129", "10.0.0.0/", "/8", "example.com", "10.0.0/8" } do
    it(("%q is no network"):format(text), function()
      local network, message = addresses.network(text)
      assert.is_nil(network)
      assert.is_string(message)
    end)
  end
end)

describe("the client of a request", function()
  local function client(trusted, peer, headers)
    return proxies.new({ trusted_proxies = trusted }):client { peer = peer, headers = headers }
  end

  for name, case in pairs {
    ["is the peer when no proxy is trusted"] =
      { nil, "127.0.0.1", { ["x-forwarded-for"] = "192.0.2.9" }, "127.0.0.1" },
    ["is the peer when another proxy is trusted"] =
      { { "10.0.0.1" }, "127.0.0.1",
        { ["x-forwarded-for"] = "192.0.2.9", forwarded = "for=192.0.2.9" }, "127.0.0.1" },
    ["is whom the proxy names"] =
      { { "127.0.0.1" }, "127.0.0.1", { ["x-forwarded-for"] = "192.0.2.9" }, "192.0.2.9" },
    ["is the last that the proxy names, not what its client claims"] =
      { { "127.0.0.1" }, "127.0.0.1", { ["x-forwarded-for"] = "1.1.1.1, 192.0.2.9" }, "192.0.2.9" },
    ["is found behind several trusted proxies"] = { { "127.0.0.1", "10.0.0.0/8" }, "127.0.0.1",
      { ["x-forwarded-for"] = "1.1.1.1, 192.0.2.9, 10.0.0.2, 10.0.0.1" }, "192.0.2.9" },
    ["is the farthest when all are trusted"] =
      { { "10.0.0.0/8" }, "10.0.0.1", { ["x-forwarded-for"] = "10.0.0.3,10.0.0.2" }, "10.0.0.3" },
    ["may have a port"] =
      { { "127.0.0.1" }, "127.0.0.1", { ["x-forwarded-for"] = "192.0.2.9:4711" }, "192.0.2.9" },
    ["may be IPv6"] =
      { { "127.0.0.1" }, "127.0.0.1", { ["x-forwarded-for"] = "2001:DB8::0:1" }, "2001:db8::1" },
    ["may be IPv6 with a port"] =
      { { "::1" }, "::1", { ["x-forwarded-for"] = "[2001:db8::1]:4711" }, "2001:db8::1" },
    ["is read out of Forwarded"] = { { "127.0.0.1" }, "127.0.0.1",
      { forwarded = 'for=1.1.1.1, proto=https;FOR="[2001:db8::1]:4711";by=x' }, "2001:db8::1" },
    ["is the proxy when what it says is no address"] =
      { { "127.0.0.1" }, "127.0.0.1", { ["x-forwarded-for"] = "192.0.2.9, unknown" }, "127.0.0.1" },
    ["is the proxy when it says nothing"] = { { "127.0.0.1" }, "127.0.0.1", {}, "127.0.0.1" },
    ["is the proxy when it says an empty word"] =
      { { "127.0.0.1" }, "127.0.0.1", { ["x-forwarded-for"] = " , " }, "127.0.0.1" },
    ["is the proxy when Forwarded hides it"] =
      { { "127.0.0.1" }, "127.0.0.1", { forwarded = "for=_hidden" }, "127.0.0.1" },
    ["is the proxy when two headers name two"] = { { "127.0.0.1" }, "127.0.0.1",
      { ["x-forwarded-for"] = "192.0.2.9", forwarded = "for=1.1.1.1" }, "127.0.0.1" },
    ["is what two headers agree on"] = { { "127.0.0.1" }, "127.0.0.1",
      { ["x-forwarded-for"] = "192.0.2.9", forwarded = "for=192.0.2.9" }, "192.0.2.9" },
  } do
    it(name, function() assert.equal(case[4], client(case[1], case[2], case[3])) end)
  end

  -- A client may have written most of it. With work for each byte and all that follow it this would
  -- take hours.
  it("is found at the end of a header of any length", function()
    for _, claim in ipairs { "1" .. (" "):rep(4 << 20) .. "1", ("1.1.1.1,"):rep(1 << 18) .. "1.1.1.1" } do
      assert.equal("192.0.2.9", client({ "127.0.0.1" }, "127.0.0.1",
        { ["x-forwarded-for"] = claim .. ", 192.0.2.9" }))
      assert.equal("192.0.2.9", client({ "127.0.0.1" }, "127.0.0.1",
        { forwarded = "for=" .. claim .. ", for=192.0.2.9" }))
    end
  end)

  it("follows the option when it changes", function()
    local options = { trusted_proxies = { "10.0.0.1" } }
    local known = proxies.new(options)
    local request = { peer = "127.0.0.1", headers = { ["x-forwarded-for"] = "192.0.2.9" } }
    assert.equal("127.0.0.1", known:client(request))
    options.trusted_proxies = { "127.0.0.0/8" }
    assert.equal("192.0.2.9", known:client(request))
    options.trusted_proxies = nil
    assert.equal("127.0.0.1", known:client(request))
  end)

  for name, case in pairs {
    ["is on this machine"] = { "127.0.0.1", { host = "localhost:3030" }, true },
    ["is on this machine, by IPv6"] = { "::1", { host = "[::1]:3030" }, true },
    ["is elsewhere"] = { "192.0.2.1", { host = "localhost" }, false },
    ["came through a proxy here"] =
      { "127.0.0.1", { host = "localhost", ["x-forwarded-for"] = "127.0.0.1" }, false },
    ["came through a proxy here that says Forwarded"] =
      { "127.0.0.1", { host = "localhost", forwarded = "for=127.0.0.1" }, false },
    ["came through a proxy here that says Via"] =
      { "127.0.0.1", { host = "localhost", via = "1.1 x" }, false },
    ["used a name of its own for this machine"] = { "127.0.0.1", { host = "evil.example:3030" }, false },
    ["named no host"] = { "127.0.0.1", {}, false },
  } do
    it(("%s: local is %s"):format(name, tostring(case[3])), function()
      assert.equal(case[3], proxies.is_local { peer = case[1], headers = case[2] })
    end)
  end
end)

describe("a running server", function()
  it("knows IPv4 clients of an IPv6 socket by their address, and tells hooks whom a proxy named", function()
    local hook = hooks.start(200)
    local fixture = fixtures.start { host = "::", trusted_proxies = "127.0.0.1" }
    fixture.client:close()
    fixture.client = http_client.new { host = "127.0.0.1", port = fixture.server.port }
    fixture:users("alice")
    fixture:channel("messaging:lobby", { "alice" })
    assert.equal(200, (fixture:call("server", "PATCH", "/app", { event_hooks = native.json.array {
      { id = "h", webhook_url = hook.url, should_send_custom_events = true },
    } })))
    local path = "/channels/messaging/lobby/event?api_key=devkey"
    local headers = { Authorization = fixture:user_token "alice", ["stream-auth-type"] = "jwt" }
    for i, claimed in ipairs { false, "203.0.113.1, 192.0.2.9" } do
      headers["X-Forwarded-For"] = claimed or nil
      fixture.client:send("POST", path, headers, '{"event":{"type":"flare"}}')
      assert.equal(201, fixture.client:next_answer().status)
      http_client.wait("the webhook", function() return #hook.requests == i end)
    end
    assert.equal("127.0.0.1", hook.requests[1].event.request_info.ip)
    assert.equal("192.0.2.9", hook.requests[2].event.request_info.ip)
    fixture:stop()
    hook:stop()
  end)

  it("refuses networks that are none", function()
    assert.error_matches(function() fixtures.start { trusted_proxies = "10.0.0.0/40" } end, "trusted_proxies")
    assert.error_matches(function() fixtures.start { trusted_proxies = { 1 } } end, "trusted_proxies")
    assert.error_matches(function() fixtures.start { trusted_proxies = true } end, "trusted_proxies")
  end)
end)
