--- HTTP as curl speaks it to the bundled server: what calls may look like beside their meaning.
local process = require "support.process"
local shape = require "support.shape"
local worlds = require "support.foreign_world"

local EVENT = "/channels/messaging/lobby/event"
local FLARE = '{"event":{"type":"flare"}}'

describe("the server, asked by curl,", function()
  local world

  setup(function()
    world = worlds.new "curl"
    world.fixture:users "alice"
    world.fixture:channel("messaging:lobby", { "alice" })
  end)

  teardown(function()
    world:stop()
    worlds.end_all()
  end)

  local ANSWER = { event = shape.event("flare", "messaging:lobby", "alice"), duration = shape.text }

  -- What a send may look like.
  local FORMS = {
    ["§1.2, §1.4: ignores parameters, headers and fields it does not know"] = {
      query = { of_tomorrow = "1", ["a[]"] = "&=+ %" }, headers = { ["X-Of-Tomorrow"] = "yes" },
      body = '{"of_tomorrow":{},"event":{"type":"flare"},"skip":[null]}',
    },
    ["§1.3: takes header names in capitals"] = { rename = string.upper },
    ["§1.3: takes header names in small letters"] = { rename = string.lower },
    ["§1.3: needs no Content-Type"] = { headers = { ["Content-Type"] = false } },
    ["§1.3: takes a Content-Type with a charset"] =
      { headers = { ["Content-Type"] = "application/json; charset=UTF-8" } },
    ["§1.3: takes another Content-Type"] = { headers = { ["Content-Type"] = "text/plain" } },
    ["§1.3: needs no stream-auth-type"] = { headers = { ["stream-auth-type"] = false } },
    ["§1.1: takes a body in chunks"] = { headers = { ["Transfer-Encoding"] = "chunked" } },
    ["§1.1: says that a body may come"] = { headers = { Expect = "100-continue" } },
    ["§1.1: stays with HTTP/1.1 when an upgrade to HTTP/2 is offered"] = { options = { "--http2" } },
    ["§1.1: answers HTTP/1.0"] = { options = { "--http1.0" } },
    ["§1.1: may answer without compression when any is welcome"] = { options = { "--compressed" } },
    ["§1.2: needs no user_id"] = { query = { user_id = false } },
    ["§1.2: trusts the token, not user_id"] = { query = { user_id = "somebody" } },
    ["§1.2: takes a path with encoded letters"] = { path = "/channels/messaging/lobb%79/event" },
  }
  for title, form in pairs(FORMS) do
    it(title, function()
      local answer
      if form.rename then
        local headers = { Authorization = false, ["stream-auth-type"] = false, ["Content-Type"] = false }
        headers[form.rename "Authorization"] = world.fixture:user_token "alice"
        headers[form.rename "stream-auth-type"] = "jwt"
        headers[form.rename "Content-Type"] = "application/json"
        form.headers = headers
      end
      answer = world:call("alice", "POST", form.path or EVENT, form.body or FLARE, form)
      shape.check(answer.status, 201, answer.text)
      shape.check(answer.body, ANSWER, "the answer")
      assert.matches("^application/json", answer.headers["content-type"])
    end)
  end

  it("§1.1: keeps the connection for the next call, after a refusal too", function()
    local url = world:url("http", EVENT, { api_key = "devkey" })
    local count = "%{http_code} %{num_connects} %{http_version}\n"
    local arguments = { "-sS", "-o", "/dev/null" }
    for i = 1, 3 do
      if i > 1 then
        for _, word in ipairs { "--next", "-sS", "-o", "/dev/null" } do arguments[#arguments + 1] = word end
      end
      local token = i == 2 and "bad" or world.fixture:user_token "alice"
      for _, word in ipairs { "-w", count, "-H", "Authorization: " .. token, "--data-binary", FLARE, url } do
        arguments[#arguments + 1] = word
      end
    end
    local run = process.run("curl", arguments, { LD_PRELOAD = false })
    assert.equal("201 1 1.1\n401 0 1.1\n201 0 1.1\n", run.stdout)
  end)

  -- What is refused before anybody looks at who is calling, or apart from it (§11).
  for title, case in pairs {
    ["a connect that is none"] = { 400, 4, "GET", "/connect" },
    ["a method that a path has not got"] = { 405, 16, "DELETE", EVENT },
    ["headers that are too long"] = { 431, 24, "POST", EVENT, FLARE, { ["X-Long"] = ("x"):rep(70000) } },
    ["a body that is too long"] = { 413, 22, "POST", EVENT, ("x"):rep(20000000) },
  } do
    local status, code, method, path, body, headers = table.unpack(case, 1, 6)
    it(("§11: refuses %s with %d (%d)"):format(title, status, code), function()
      local answer = world:call("alice", method, path, body, { headers = headers })
      assert.equal(status, answer.status)
      shape.check(answer.body, shape.envelope(code, status), "the answer")
    end)
  end

  it("§1.1: answers GET /hi, whoever asks", function()
    local answer = world:request { method = "GET", url = world:url("http", "/hi", {}) }
    assert.equal(200, answer.status)
  end)

  it("§1.2: takes a payload in the query", function()
    local answer = world:call("server", "GET", "/users", nil,
      { query = { payload = { filter_conditions = { id = { ["$in"] = { "alice", "bob" } } }, limit = 30 } } })
    local alice = shape.user("alice", { shadow_banned = shape.optional(shape.boolean) })
    shape.check(answer.body, { users = { alice }, duration = shape.text }, "the answer")
  end)

  -- Status by method (§1.4).
  for _, call in ipairs {
    { "GET", "/app", 200 }, { "PATCH", "/app", 200, "{}" }, { "GET", "/channeltypes", 200 },
    { "PUT", "/channeltypes/team", 201, "{}" }, { "POST", "/channeltypes", 201, '{"name":"party"}' },
    { "DELETE", "/channeltypes/party", 200 }, { "GET", "/roles", 200 }, { "GET", "/permissions", 200 },
    { "POST", "/users", 201, '{"users":{"dora":{"id":"dora"}}}' },
    { "PATCH", "/users", 200, '{"users":[{"id":"dora","set":{"x":1}}]}' },
    { "GET", "/rate_limits", 200, nil, { server_side = "true", endpoints = "SendEvent,Connect" } },
  } do
    local method, path, status, body, query = table.unpack(call, 1, 5)
    it(("§1.4: answers %s %s with %d and a duration"):format(method, path, status), function()
      local answer = world:call("server", method, path, body, { query = query })
      assert.equal(status, answer.status)
      shape.check(answer.body.duration, shape.text, "duration")
    end)
  end
end)
