--- Pages of other origins that call the server from a browser.
local fixtures = require "support.server"
local native = require "stream_events.native"
local options = require "stream_events.server.options"

local GAME = "https://game.example"

describe("allowed_origins", function()
  local fixture

  after_each(function()
    if fixture then fixture:stop() end
    fixture = nil
  end)

  local function ask(method, path, headers)
    fixture.client:send(method, path, headers, method == "POST" and "{}" or nil)
    return fixture.client:next_answer()
  end

  local function preflight(origin, more)
    local headers = {
      Origin = origin, ["Access-Control-Request-Method"] = "POST",
      ["Access-Control-Request-Headers"] = "authorization,content-type,stream-auth-type",
    }
    for name, value in pairs(more or {}) do headers[name] = value or nil end
    return ask("OPTIONS", "/channels/messaging/lobby/event?api_key=devkey", headers)
  end

  local function get(origin)
    return ask("GET", "/app?api_key=devkey", {
      Origin = origin, Authorization = fixture:user_token "alice", ["stream-auth-type"] = "jwt",
    })
  end

  it("lets a page make its calls and read what they answer, failures as well", function()
    fixture = fixtures.start { allowed_origins = { GAME, "http://localhost:8080" } }
    fixture:users "alice"
    local allowed = preflight(GAME)
    assert.same({ 204, GAME, "authorization,content-type,stream-auth-type", "7200", "Origin" }, {
      allowed.status, allowed.headers["access-control-allow-origin"],
      allowed.headers["access-control-allow-headers"], allowed.headers["access-control-max-age"],
      allowed.headers.vary,
    })
    for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE" } do
      assert.matches(method, allowed.headers["access-control-allow-methods"], 1, true)
    end
    local answer = get "http://localhost:8080"
    assert.same({ 200, "http://localhost:8080" },
      { answer.status, answer.headers["access-control-allow-origin"] })
    assert.matches("Retry-After", answer.headers["access-control-expose-headers"], 1, true)
    assert.is_nil(answer.headers["access-control-allow-credentials"])
    local refused = ask("GET", "/nowhere", { Origin = GAME })
    assert.same({ 404, GAME }, { refused.status, refused.headers["access-control-allow-origin"] })
  end)

  it("lets a page read as well that its event could not be kept for a webhook", function()
    fixture = fixtures.start { allowed_origins = { GAME } }
    fixture:users "alice"
    fixture:channel("messaging:lobby", { "alice" })
    assert.equal(200, (fixture:call("server", "PATCH", "/app", { event_hooks = native.json.array {
      { id = "h", webhook_url = "http://127.0.0.1:1/", should_send_custom_events = true },
    } })))
    fixture.server.parts.webhooks.settle = function() return false end
    fixture.client:send("POST", "/channels/messaging/lobby/event?api_key=devkey", {
      Origin = GAME, Authorization = fixture:user_token "alice", ["stream-auth-type"] = "jwt",
    }, '{"event":{"type":"flare"}}')
    local answer = fixture.client:next_answer()
    assert.same({ 500, GAME }, { answer.status, answer.headers["access-control-allow-origin"] })
  end)

  it("tells a page of another origin nothing", function()
    fixture = fixtures.start { allowed_origins = { GAME } }
    fixture:users "alice"
    for _, origin in ipairs {
      "https://evil.example", "https://game.example.evil.example", "http://game.example",
      "https://game.example:8443", "null", "",
    } do
      local refused = preflight(origin)
      assert.same({ 405, nil }, { refused.status, refused.headers["access-control-allow-origin"] }, origin)
      assert.is_nil(get(origin).headers["access-control-allow-origin"], origin)
    end
  end)

  it("is no page's but the server's own when nothing is said", function()
    fixture = fixtures.start()
    fixture:users "alice"
    local answer = get(GAME)
    assert.same({ 405, 200 }, { preflight(GAME).status, answer.status })
    assert.is_nil(answer.headers["access-control-allow-origin"])
  end)

  it("may be all", function()
    fixture = fixtures.start { allowed_origins = "*" }
    fixture:users "alice"
    assert.equal("*", get("null").headers["access-control-allow-origin"])
    assert.equal("*", preflight("https://any.example").headers["access-control-allow-origin"])
  end)

  it("repeats no list of headers that is none", function()
    fixture = fixtures.start { allowed_origins = { GAME } }
    for _, list in ipairs { "a\tb", "a:b", ("x"):rep(1025) } do
      local answer = preflight(GAME, { ["Access-Control-Request-Headers"] = list })
      assert.same({ 204, nil }, { answer.status, answer.headers["access-control-allow-headers"] })
    end
  end)

  it("answers OPTIONS that asks for no leave as ever", function()
    fixture = fixtures.start { allowed_origins = { GAME } }
    assert.equal(405, preflight(GAME, { ["Access-Control-Request-Method"] = false }).status)
  end)

  it("shows the metrics to no page, though its browser is on this machine", function()
    fixture = fixtures.start { allowed_origins = "*" }
    assert.equal(200, ask("GET", "/metrics", {}).status)
    assert.equal(401, ask("GET", "/metrics", { Origin = GAME }).status)
  end)

  it("may change while the server runs", function()
    fixture = fixtures.start()
    fixture:users "alice"
    fixture.server:reload { allowed_origins = { GAME } }
    assert.equal(GAME, get(GAME).headers["access-control-allow-origin"])
    fixture.server:reload { allowed_origins = { "https://other.example" } }
    assert.is_nil(get(GAME).headers["access-control-allow-origin"])
  end)

  it("is origins, and nothing else", function()
    local spec = options.BY_NAME.allowed_origins
    for _, good in ipairs {
      "*", GAME, "http://localhost:8080, https://[::1]:3000", "http://a:443", { "app://game" }, {},
    } do assert.is_nil(options.wrong(spec, good)) end
    for _, bad in ipairs {
      "game.example", "https://game.example/", "https://Game.example", "https://a@b", "https://a b",
      "https://a\r\nX: y", { 1 }, 5, "", "https://*.example", "https://a:443", "http://a:80",
    } do assert.is_string(options.wrong(spec, bad), tostring(bad)) end
    assert.same({ GAME, "*" }, options.check({ allowed_origins = GAME .. ", *" }, 1).allowed_origins)
  end)
end)
