--- Errors: what they say, and what they never say.
local errors = require "stream_events.error"
local native = require "stream_events.native"

local JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
  .. ".eyJ1c2VyX2lkIjoiYWxpY2UifQ.CVuL048LyYE92Cf4m70VX0KDuzavcF3eNgZ2pNJ7VXI"

local function envelope(code, status, message)
  return native.json.encode {
    code = code, message = message or "X failed", StatusCode = status, duration = "0.00ms",
  }
end

describe("error.from_response", function()
  for name, case in pairs {
    ["an internal fault"] = { -1, 500, kind = "api", retryable = true },
    ["a wrong API key"] = { 2, 401, kind = "auth", hint = "api_key" },
    ["a bad request"] = { 4, 400, kind = "api" },
    ["a malformed token"] = { 5, 401, kind = "auth", hint = "disable_auth_checks" },
    ["too many calls"] = { 9, 429, kind = "api", retryable = true, hint = "retry_after" },
    ["a missing user"] = { 16, 404, kind = "api", hint = "upsert_users" },
    ["a missing grant"] = { 17, 403, kind = "api", hint = "SendCustomEvent" },
    ["custom events switched off"] = { 18, 400, kind = "api", hint = "custom_events = true" },
    ["an event too large"] = { 22, 413, kind = "api", hint = "5 KiB" },
    ["a time-out of the service"] = { 23, 408, kind = "api", retryable = true },
    ["an expired token"] = { 40, 401, kind = "auth", hint = "expired" },
    ["a token not valid yet"] = { 41, 401, kind = "auth", hint = "clock" },
    ["a token from the future"] = { 42, 401, kind = "auth", hint = "clock" },
    ["a wrong signature"] = { 43, 401, kind = "auth", hint = "STREAM_API_SECRET" },
    ["a lost connection id"] = { 46, 400, kind = "api", retryable = true },
    ["slow mode"] = { 60, 403, kind = "api", retryable = true },
    ["no access to the channels"] = { 70, 403, kind = "api" },
    ["too many connections"] = { 71, 429, kind = "api", retryable = true },
    ["a code of the future"] = { 4711, 400, kind = "api" },
    ["a code of the future that may pass"] = { 4711, 503, kind = "api", retryable = true },
  } do
    it("understands " .. name, function()
      local err = errors.from_response(case[2], envelope(case[1], case[2]), {})
      assert.is_true(errors.is(err))
      assert.same({ case.kind, case[1], case[2], case.retryable or false },
        { err.kind, err.code, err.status, err.retryable })
      assert.equal("X failed", err.message)
      if case.hint then assert.truthy(err.hint:find(case.hint, 1, true), err.hint) end
    end)
  end

  it("copes with answers that are not the service's JSON", function()
    for name, case in pairs {
      ["HTML of a proxy"] = { 502, "<html><body>Bad gateway</body></html>", kind = "api", retryable = true },
      ["nothing"] = { 503, "", kind = "api", retryable = true },
      ["no body at all"] = { 404, nil, kind = "api", retryable = false },
      ["half an object"] = { 500, '{"code":4,"mess', kind = "api", retryable = true },
      ["an array"] = { 400, "[]", kind = "api", retryable = false },
      ["another object"] = { 429, '{"error":"slow down"}', kind = "api", retryable = true },
      ["a message that is no text"] = { 400, '{"code":4,"message":{}}', kind = "api", retryable = false },
      ["plain text"] = { 401, "token invalid", kind = "auth", retryable = false },
      ["null"] = { 400, "null", kind = "api", retryable = false },
    } do
      local err = errors.from_response(case[1], case[2], {})
      assert.same({ case.kind, case[1], case.retryable }, { err.kind, err.status, err.retryable }, name)
      assert.is_nil(err.code)
      assert.truthy(err.message:find(tostring(case[1]), 1, true))
    end
  end)

  for name, case in pairs {
    ["the rules of a server"] = { '17,"details":["rate"]', "rate", true },
    ["a missing grant"] = { '17,"details":[]', nil, false },
    ["a missing grant, with details of another kind"] = { '17,"details":[5]', nil, false },
    ["details that are no list"] = { '17,"details":"rate"', nil, false },
    ["something else with details"] = { '18,"details":["rate"]', nil, false },
  } do
    it("tells whether it was rules that refused: " .. name, function()
      local err = errors.from_response(403, '{"message":"m","code":' .. case[1] .. "}")
      assert.equal(case[2], err.reason)
      assert.equal(case[3], err.hint:find("serve --rules", 1, true) ~= nil)
    end)
  end

  it("ignores a code that is no number", function()
    local err = errors.from_response(400, '{"code":"18","message":"m"}')
    assert.is_nil(err.code)
    assert.equal("m", err.message)
  end)

  it("says how long to wait", function()
    assert.equal(7, errors.from_response(429, envelope(9, 429), { ["retry-after"] = "7" }).retry_after)
    assert.equal(0, errors.from_response(429, envelope(9, 429), { ["x-ratelimit-reset"] = "1" }).retry_after)
    local headers = { ["x-ratelimit-reset"] = tostring(os.time() + 60) }
    local soon = errors.from_response(429, "", headers).retry_after
    assert.truthy(soon >= 58 and soon <= 60)
    assert.is_nil(errors.from_response(429, envelope(9, 429), {}).retry_after)
    assert.is_nil(errors.from_response(429, envelope(9, 429), { ["retry-after"] = "tomorrow" }).retry_after)
  end)

  it("says how long to wait until a date, by the clock of who says so", function()
    local function wait(headers)
      return errors.from_response(503, "", headers).retry_after
    end
    local date, later = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT"
    assert.equal(30, wait { ["retry-after"] = later, date = date })
    assert.equal(0, wait { ["retry-after"] = date, date = later })
    assert.equal(3600, wait { ["retry-after"] = "Sun, 06 Nov 2994 08:50:07 GMT", date = date })
    -- Where it has no date, by our own.
    assert.equal(0, wait { ["retry-after"] = later })
    local soon = wait { ["retry-after"] = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 60) }
    assert.truthy(soon >= 58 and soon <= 60, soon)
    assert.is_true(wait { ["retry-after"] = later, date = "yesterday" } == 0)
  end)

  it("says how long to wait until the limit is lifted, by the clock of who says so", function()
    local headers = { ["x-ratelimit-reset"] = "784111800", date = "Sun, 06 Nov 1994 08:49:37 GMT" }
    assert.equal(23, errors.from_response(429, "", headers).retry_after)
  end)

  it("never says to wait for ever, whatever stands in the headers", function()
    for headers, expected in pairs {
      [{ ["retry-after"] = "1e300" }] = 3600, [{ ["retry-after"] = "1e999" }] = 3600,
      [{ ["retry-after"] = "-5" }] = 0,
      -- A date in milliseconds.
      [{ ["x-ratelimit-reset"] = os.time() .. "000" }] = 60, [{ ["x-ratelimit-reset"] = "-1e300" }] = 0,
    } do
      assert.equal(expected, errors.from_response(429, "", headers).retry_after)
    end
    local seconds = errors.from_response(429, "", { ["retry-after"] = "nan" }).retry_after
    assert.is_nil(seconds) -- some Luas take it for a number
  end)

  it("believes the service that a failure is final", function()
    local err = errors.from_response(500, '{"code":-1,"message":"m","unrecoverable":true}')
    assert.is_false(err.retryable)
  end)

  it("takes the status from the envelope of a first frame", function()
    local err = errors.from_response(nil, envelope(40, 401))
    assert.same({ "auth", 401 }, { err.kind, err.status })
  end)
end)

describe("error.new", function()
  it("keeps every field", function()
    local cause = {}
    local err = errors.new {
      kind = "rule", message = "m", code = 3, status = 200, retryable = true, retry_after = 1.5,
      hint = "h", cause = cause,
    }
    assert.same({ "rule", "m", 3, 200, true, 1.5, "h" },
      { err.kind, err.message, err.code, err.status, err.retryable, err.retry_after, err.hint })
    assert.equal(cause, err.cause)
  end)

  it("holds worth another try only what may pass by itself", function()
    for kind, retryable in pairs {
      api = false, auth = false, closed = false, rule = false, protocol = false, full = false,
      network = true, timeout = true,
    } do
      assert.equal(retryable, errors.new({ kind = kind, message = "m" }).retryable, kind)
    end
    assert.is_false(errors.new({ kind = "network", message = "m", retryable = false }).retryable)
  end)

  it("raises on a kind that does not exist, and without a message", function()
    assert.has_error(function() errors.new { kind = "odd", message = "m" } end)
    assert.has_error(function() errors.new { kind = "api" } end)
  end)

  it("prints one line, whatever a server wrote", function()
    local err = errors.new {
      kind = "api", message = "two\nlines\27[31m\194\155red", code = 18, status = 400, hint = "try\nthis",
    }
    assert.equal("api: two lines [31m red (code 18, HTTP 400) -- try this", tostring(err))
    assert.equal("closed: gone", tostring(errors.new { kind = "closed", message = "gone" }))
  end)

  it("never holds a token", function()
    local _, err = errors.fail("network", "cannot open ws://h/connect?authorization=" .. JWT .. "&x=1",
      { cause = JWT })
    assert.is_nil(tostring(err):find("eyJ", 1, true))
    assert.is_nil(err.cause:find("eyJ", 1, true))
  end)
end)

describe("error.fail", function()
  it("returns nil and the error", function()
    local result, err = errors.fail("timeout", "late", { retry_after = 2 })
    assert.is_nil(result)
    assert.same({ "timeout", "late", 2 }, { err.kind, err.message, err.retry_after })
  end)
end)

describe("error.is", function()
  it("knows errors from other values", function()
    assert.is_true(errors.is(errors.new { kind = "api", message = "m" }))
    for _, value in ipairs { {}, "api: m", 1, true, { kind = "api", message = "m" } } do
      assert.is_false(errors.is(value))
    end
    assert.is_false(errors.is(nil))
  end)
end)

describe("error.redact", function()
  for text, expected in pairs {
    ["ws://h/connect?json=%7B%7D&api_key=devkey&authorization=" .. JWT .. "&stream-auth-type=jwt"] =
      "ws://h/connect?json=%7B%7D&api_key=[hidden]&authorization=[hidden]&stream-auth-type=jwt",
    ["json=%7B%22user_token%22%3A%22" .. JWT .. "%22%7D"] = "json=%7B%22user_token%22%3A%22[token]%22%7D",
    ["Authorization: " .. JWT .. "\r\nHost: h"] = "Authorization: [hidden]\r\nHost: h",
    ["proxy http://me:pass@proxy:3128 refused"] = "proxy http://[credentials]@proxy:3128 refused",
    ["token " .. JWT .. " is bad"] = "token [token] is bad",
    ["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoiYWxpY2UifQ==.devtoken"] = "[token]",
    ["AUTHORIZATION=abc"] = "AUTHORIZATION=[hidden]",
    ["could not resolve host: nowhere"] = "could not resolve host: nowhere",
    ["the secret of bob@example.org"] = "the secret of bob@example.org",
  } do
    it("leaves of " .. text:sub(1, 30) .. " what may be seen", function()
      assert.equal(expected, errors.redact(text))
    end)
  end

  it("finds a token behind what only begins like one", function()
    assert.equal("eyJ.[token]", errors.redact("eyJ." .. JWT))
    assert.equal("eyJabc [token], eyJ", errors.redact("eyJabc " .. JWT .. ", eyJ"))
    assert.equal("[token]/[token]", errors.redact(JWT .. "/eyJ" .. JWT))
  end)

  -- With a pattern that looks at the rest of the text for each "eyJ" this would take hours.
  it("looks at each byte of a long text once", function()
    local text = ("eyJ"):rep(1048576)
    assert.is_true(text == errors.redact(text))
  end)
end)

describe("native.error", function()
  it("turns the core's failures into errors", function()
    for kind, expected in pairs {
      memory = "full", argument = "protocol", protocol = "protocol", network = "network",
      timeout = "timeout", closed = "closed", full = "full",
    } do
      assert.equal(expected, native.error(kind, "m").kind)
    end
    assert.equal(1006, native.error("closed", "m", 1006).code)
    assert.is_true(native.error("full", "m").retryable)
    assert.is_false(native.error("protocol", "m").retryable)
  end)

  it("stands behind the functions that can fail", function()
    for _, call in ipairs {
      function() return native.json.decode("{") end,
      function() return native.json.members("[]") end,
      function() return native.json.encode { bad = print } end,
      function() return native.event.new("{}", {}) end,
      function() return native.crypto.base64_decode("*") end,
      function() return native.crypto.base64url_decode("*") end,
    } do
      local result, err = call()
      assert.is_nil(result)
      assert.is_true(errors.is(err))
      assert.equal("protocol", err.kind)
    end
  end)

  it("does not take false and null for failures", function()
    assert.is_false(native.json.decode("false"))
    assert.equal(native.json.null, native.json.decode("null"))
  end)
end)
