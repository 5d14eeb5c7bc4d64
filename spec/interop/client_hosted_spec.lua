--- The plugin at a server that is not ours: what the service may write in one way or another, and all of
-- its refusals.
local hosted_server = require "support.hosted"
local native = require "stream_events.native"
local process = require "support.process"
local tokens = require "stream_events.token"
local unlike = require "support.likeness"

local json = native.json
local SECRET = hosted_server.SECRET

local function like(value, wanted, what)
  local problem = unlike(value, wanted, what or "it")
  if problem then error(problem, 2) end
end

-- The codes of §11.2, with their status, and what a client makes of them.
local CODES = {
  { -1, 500, kind = "api", retryable = true }, { 2, 401, kind = "auth" }, { 4, 400, kind = "api" },
  { 5, 401, kind = "auth" }, { 6, 400, kind = "api" }, { 9, 429, kind = "api", retryable = true },
  { 16, 404, kind = "api" }, { 17, 403, kind = "api" }, { 18, 400, kind = "api" }, { 19, 400, kind = "api" },
  { 20, 400, kind = "api" }, { 21, 400, kind = "api" }, { 22, 413, kind = "api" },
  { 23, 408, kind = "api", retryable = true }, { 24, 431, kind = "api" }, { 40, 401, kind = "auth" },
  { 41, 401, kind = "auth" }, { 42, 401, kind = "auth" }, { 43, 401, kind = "auth" },
  { 44, 400, kind = "api" },
  { 45, 400, kind = "api", retryable = true }, { 46, 400, kind = "api", retryable = true },
  { 60, 403, kind = "api", retryable = true }, { 69, 400, kind = "api" }, { 70, 403, kind = "api" },
  { 71, 400, kind = "api", retryable = true }, { 73, 400, kind = "api" }, { 99, 403, kind = "api" },
}

local function envelope(code, status, more)
  local fields = {
    code = code, message = "Something failed with error: \"no\"", StatusCode = status, duration = "0.00ms",
    more_info = "", details = json.array {},
  }
  for name, value in pairs(more or {}) do fields[name] = value end
  return fields
end

local QUERY = "/channels/messaging/lobby/query"
local EVENT = "/channels/messaging/lobby/event"

describe("the plugin, at a server of somebody else,", function()
  local hosted

  setup(function() hosted = hosted_server.start() end)
  after_each(function() hosted:close_clients() end)
  teardown(function()
    hosted:stop()
    process.end_all()
  end)

  -- A whole life, however the server writes what it says.
  for _, form in ipairs {
    { dress = "plain" }, { dress = "bare" }, { dress = "nulls" }, { dress = "extra" },
    { dress = "backwards" }, { dress = "spacious" }, { dress = "escaped" }, { compress = "gzip" },
    { compress = "deflate" }, { chunked = true }, { chunked = true, compress = "gzip", dress = "extra" },
  } do
    it("§1.4, §5, §6: lives with " .. json.encode(form), function()
      hosted:new_app(form)
      local backend, john, jane = hosted:backend(), hosted:user "john", hosted:user "jane"
      local here = assert(john:channel("messaging", "lobby", { members = { "john", "jane" } }):watch())
      local there = assert(jane:channel("messaging", "lobby"):watch())
      assert.is_true(here:can "send-custom-events")
      local events, started = {}, 0
      there:subscribe_for("user.watching.start", function() started = started + 1 end)
      jane:subscribe(function(event) events[#events + 1] = event end)
      jane:subscribe_for("member.*", function(event) events[#events + 1] = event end)
      jane:subscribe_for("event.dropped", function(event) error(event.text) end)
      local data = { text = "é/\"\\", list = json.array {}, none = json.null, number = -1.5, deep = { { 1 } },
        object = {} }
      local sent = assert(here:send_event("flare", data))
      local wanted = {
        type = "flare", cid = "messaging:lobby", channel_type = "messaging", channel_id = "lobby",
        user = { id = "john" }, created_at = "2026-06-24T11:44:49.167312339Z", raw_data = data,
      }
      like(sent, wanted, "the answer")
      assert.equal("self", sent.trust)
      assert(backend:channel("messaging", "lobby"):send_event("round", { n = 1 }, { user_id = "jane" }))
      assert(backend:send_user_custom_event("jane", { type = "gift", n = 2 }))
      assert(backend:channel("messaging", "lobby"):add_members { "dora" })
      hosted:wait(function() return #events == 4 end)
      like(events[1], wanted, "the event")
      like(events[2], { type = "round", n = 1, user = { id = "jane" }, trust = "self" }, "the backend's")
      like(events[3], { type = "gift", n = 2, user = { id = "jane" }, trust = "server", cid = "$absent" },
        "the gift")
      like(events[4], { type = "member.added", user = { id = "dora" } }, "the member's")
      assert.same({ "user", "self", "server" }, { events[1].trust, events[2].trust, events[3].trust })
      assert.equal("dora", there.members.dora.user_id)
      assert.is_true(here:stop_watching())
      assert.is_true(john:disconnect())
    end)
  end

  -- Tokens, which the server checks by itself ------------------------------------------------------

  it("§2.1, §2.7: has its tokens taken, and learns why another is refused", function()
    hosted:new_app()
    assert.equal("john", hosted:client({ secret = SECRET }):connect_user({ id = "john" }).id)
    local now = math.floor(native.time())
    local base64url = native.crypto.base64url_encode
    local not_yet = tokens.user(SECRET, "john"):match "^[^.]*%." .. base64url(
      ('{"user_id":"john","nbf":%d}'):format(now + 86400))
    not_yet = not_yet .. "." .. base64url(native.crypto.hmac_sha256(SECRET, not_yet))
    for name, case in pairs {
      signature = { tokens.user("other", "john"), 43 },
      expired = { tokens.user(SECRET, "john", { exp = now - 60 }), 40 },
      early = { tokens.user(SECRET, "john", { iat = now + 86400 }), 42 },
      ["not valid yet"] = { not_yet, 41 },
      developer = { tokens.developer "john", 5 },
      ["another user's"] = { tokens.user(SECRET, "jane"), 5 },
    } do
      local _, err = hosted:client():connect_user({ id = "john" }, case[1])
      like(err, { kind = "auth", code = case[2] }, name)
    end
  end)

  it("§2.4: comes in with a developer token where checks are off", function()
    hosted:new_app { developer = true }
    assert.equal("john", hosted:client({ developer_tokens = true }):connect_user({ id = "john" }).id)
    assert.matches("^eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9%.[%w+/]+=*%.devtoken$", hosted:heard "token")
  end)

  it("§2.5: becomes a guest", function()
    hosted:new_app()
    local client = hosted:client()
    like(client:connect_guest { id = "gerd", name = "Gerd" }, { id = "guest-1f-gerd", name = "Gerd" }, "me")
    assert(client:channel("livestream", "show"):watch())
  end)

  it("§2.7: gets a new token when the service says that the old one has expired", function()
    hosted:new_app()
    local asked = 0
    local client = hosted:client()
    assert(client:connect_user({ id = "john" }, function()
      asked = asked + 1
      return tokens.user(SECRET, "john", { iat = asked })
    end))
    hosted:tell { refuse = { [EVENT] = { status = 401, text = json.encode(envelope(40, 401)) } } }
    assert(client:channel("messaging", "lobby"):send_event "flare")
    assert.equal(2, asked)
  end)

  -- Refusals ---------------------------------------------------------------------------------------

  for _, case in ipairs(CODES) do
    local code, status = case[1], case[2]
    local outcome = { kind = case.kind, code = code, status = status, retryable = case.retryable or false }
    for form, frame in pairs {
      ["with a type"] = {
        type = "connection.error", connection_id = "", created_at = "2026-01-01T00:00:00.1Z",
        error = envelope(code, status),
      },
      ["without a type"] = { error = envelope(code, status) },
    } do
      it(("§3.2: is refused in the first frame, %s: %d"):format(form, code), function()
        hosted:new_app { first = json.encode(frame) }
        local client = hosted:client()
        local me, err = client:connect_user({ id = "john" }, tokens.user(SECRET, "john"))
        assert.is_nil(me)
        like(err, outcome, "the error")
        assert.is_false(client:online())
      end)
    end

    it(("§5.7, §11.2: is refused a call: %d"):format(code), function()
      local refusal = { status = status, text = json.encode(envelope(code, status)), times = 9 }
      hosted:new_app { refuse = { [QUERY] = refusal } }
      local _, err = hosted:user("john"):channel("messaging", "lobby"):watch()
      like(err, outcome, "the error")
    end)
  end

  for name, text in pairs {
    ["a text"] = "token invalid", ["an empty text"] = "", ["a list"] = "[]", ["a page"] = "<html></html>",
    ["half an object"] = '{"type":"health.check"',
  } do
    it("§2.7: survives a first frame that is " .. name, function()
      hosted:new_app { first = text }
      local client = hosted:client()
      local me, err = client:connect_user({ id = "john" }, tokens.user(SECRET, "john"))
      assert.is_nil(me)
      assert.equal("protocol", err.kind)
      hosted:tell()
      assert(client:connect_user({ id = "john" }, tokens.user(SECRET, "john")))
    end)
  end

  for name, case in pairs {
    ["details that are numbers"] = { { details = { 1, 2 } } },
    ["details that are objects"] = { { details = { { code = 1, messages = { "x" } } } } },
    ["details that are texts"] = { { details = { "x" } } },
    ["details of null"] = { { details = json.null } },
    ["further fields"] = { { exception_fields = { name = "bad" }, of_tomorrow = {} } },
    ["nothing more to be tried"] = { { code = -1, unrecoverable = true }, { retryable = false, code = -1 } },
    ["an unknown code"] = { { code = 12345 }, { code = 12345 } },
  } do
    it("§11.1: reads an error with " .. name, function()
      local text = json.encode(envelope(4, 400, case[1]))
      hosted:new_app { refuse = { [QUERY] = { status = 400, text = text } } }
      local _, err = hosted:user("john"):channel("messaging", "lobby"):query()
      like(err, case[2] or { kind = "api", code = 4, status = 400, retryable = false }, "the error")
      assert.equal('Something failed with error: "no"', err.message)
    end)
  end

  -- Answers that are no envelope (§1.5).
  for name, case in pairs {
    ["a page with 502"] = {
      { status = 502, text = "<html>bad</html>", head = { ["Content-Type"] = "text/html" } },
      { kind = "api", status = 502, retryable = true },
    },
    ["nothing with 503"] = { { status = 503 }, { kind = "api", status = 503, retryable = true } },
    ["nothing with 401"] = { { status = 401 }, { kind = "auth", status = 401, retryable = false } },
    ["nothing with 403"] = { { status = 403 }, { kind = "api", status = 403, retryable = false } },
    ["a page with 429 and Retry-After"] = {
      { status = 429, text = "<html>", head = { ["Retry-After"] = "7", ["Content-Type"] = "text/html" } },
      { kind = "api", status = 429, retryable = true, retry_after = 7 },
    },
    ["429 without Retry-After"] = { { status = 429, text = "slow down" },
      { kind = "api", status = 429, retryable = true, retry_after = "$absent" } },
    ["a redirection"] = { { status = 302, head = { Location = "http://127.0.0.1:1/" } },
      { kind = "api", status = 302, retryable = false } },
    ["half an envelope"] = { { status = 400, text = '{"code":4,"mess' }, { kind = "api", status = 400 } },
    ["a list"] = { { status = 400, text = "[]" }, { kind = "api", status = 400 } },
    ["a page with 200"] = { { status = 200, text = "<html>" }, { kind = "protocol", status = 200 } },
    ["nothing with 204"] = { { status = 204 }, { kind = "protocol", status = 204 } },
    ["a list with 201"] = { { status = 201, text = "[]" }, { kind = "protocol" } },
  } do
    it("§1.4, §1.5: makes an error of " .. name, function()
      hosted:new_app { refuse = { [QUERY] = case[1] } }
      local _, err = hosted:user("john"):channel("messaging", "lobby"):query()
      like(err, case[2], "the error")
    end)
  end

  it("§1.4: takes any 2xx", function()
    local text = '{"event":{"type":"flare","cid":"messaging:lobby","user":{"id":"john"}}}'
    for _, status in ipairs { 200, 201, 202 } do
      hosted:new_app { refuse = { [EVENT] = { status = status, text = text } } }
      local channel = hosted:user("john"):channel("messaging", "lobby")
      assert.equal("flare", assert(channel:send_event "flare").type)
    end
  end)

  it("§1.5: takes X-RateLimit-Reset in the place of Retry-After", function()
    local reset = tostring(os.time() + 60)
    hosted:new_app { refuse = { [QUERY] = { status = 429, text = json.encode(envelope(9, 429)),
      head = { ["X-RateLimit-Remaining"] = "0", ["X-RateLimit-Reset"] = reset } } } }
    local _, err = hosted:user("john"):channel("messaging", "lobby"):query()
    assert.equal(9, err.code)
    assert(err.retry_after > 30 and err.retry_after <= 60, tostring(err.retry_after))
  end)

  it("§3.2: survives a handshake that is refused with an envelope", function()
    for status, kind in pairs { [401] = "auth", [503] = "api", [404] = "api" } do
      hosted:new_app { status = status, text = json.encode(envelope(status == 401 and 5 or -1, status)) }
      local client = hosted:client()
      local me, err = client:connect_user({ id = "john" }, tokens.user(SECRET, "john"))
      assert.is_nil(me)
      assert(err.kind == "network" or err.kind == "protocol" or err.kind == kind, tostring(err))
      hosted:tell()
      assert(client:connect_user({ id = "john" }, tokens.user(SECRET, "john")))
    end
  end)

  -- Coming back ------------------------------------------------------------------------------------

  it("§3.8: watches again one by one where the query of many is refused: 70", function()
    hosted:new_app()
    local client, recovered = hosted:user "john", nil
    for _, id in ipairs { "a", "b" } do assert(client:channel("messaging", id):watch()) end
    client:subscribe_for("connection.recovered", function(event) recovered = event end)
    hosted:tell({ refuse = { ["/channels"] = { status = 403, text = json.encode(envelope(70, 403)) } } },
      { drop = true })
    hosted:wait(function() return recovered end)
    assert.same({ "messaging:a", "messaging:b" }, recovered.restored)
    local got
    client:subscribe_for("flare", function(event) got = event end)
    assert(hosted:backend():channel("messaging", "b"):send_event("flare", {}, { user_id = "jane" }))
    hosted:wait(function() return got end)
  end)

  it("§3.1: says only its id when it comes back", function()
    hosted:new_app()
    local client = hosted:client()
    assert(client:connect_user({ id = "john", name = "John" }, tokens.user(SECRET, "john")))
    like(hosted:heard("asked").user_details, { id = "john", name = "John" })
    hosted:tell({}, { drop = true })
    like(hosted:heard("asked").user_details, { id = "john", name = "$absent" })
  end)
end)
