--- Webhooks on the side of a backend: the vectors of the protocol, and all that comes otherwise.
local native = require "stream_events.native"
local webhook = require "stream_events.webhook"

local SECRET = "porewqKAFDSAKZssecretsercretfads"
local FLARE = '{"type":"ping-flare","cid":"messaging:lobby","channel_id":"lobby",'
  .. '"channel_type":"messaging","x":12,"y":40,"user":{"id":"alice","role":"user","name":"Alice"},'
  .. '"created_at":"2026-01-01T00:00:05.25Z","request_info":{"type":"client","ip":"192.168.1.20",'
  .. '"user_agent":"stream-events/0.1","sdk":"stream-events-0.1"}}'

describe("webhook.verify", function()
  for name, case in pairs {
    ["a text"] = {
      "text", SECRET, "d0b770e93a56adc3ee9ac5734533cc0acd71eea8e5e8204a28042ca0f60de1f3",
    },
    ["an object"] = {
      '{"a":1}', SECRET, "e527a6ad4993a4c9a30680c8be4b3eda1c36ab104f1f7d39c744bd27016a9624",
    },
    ["an event"] = {
      FLARE, "lan-dev-secret", "ae3f66a494a9e22ccbddd73b65392698692ec100321fb47975e07f5a9480249a" },
  } do
    it("accepts the signature of " .. name, function()
      local body, secret, signature = case[1], case[2], case[3]
      assert.equal(signature, webhook.sign(body, secret))
      assert.is_true(webhook.verify(body, signature, secret))
    end)

    it("refuses everything else for " .. name, function()
      local body, secret, signature = case[1], case[2], case[3]
      for what, wrong in pairs {
        body = { body .. " ", signature, secret },
        secret = { body, signature, secret .. "x" },
        digit = { body, (signature:gsub(".$", { ["0"] = "1" }):gsub("^%x", "x")), secret },
        short = { body, signature:sub(1, 63), secret },
        upper = { body, signature:upper(), secret },
        empty = { body, "", secret },
        missing = { body, nil, secret },
      } do
        local ok, err = webhook.verify(wrong[1], wrong[2], wrong[3])
        assert.is_nil(ok, what)
        assert.equal("auth", err.kind)
        assert.is_nil(tostring(err):find(secret, 1, true))
      end
    end)
  end

  it("raises without a secret or a body, and blames the caller", function()
    for _, call in ipairs {
      function() local _ = webhook.sign("text", nil) end, function() local _ = webhook.sign(nil, SECRET) end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.truthy(message:find("webhook_spec", 1, true), message)
    end
    assert.has_error(function() webhook.verify("text", "00", nil) end)
    assert.has_error(function() webhook.verify("text", "00", "") end)
    assert.has_error(function() webhook.verify({ a = 1 }, "00", SECRET) end)
  end)
end)

describe("gzip", function()
  local all = {}
  for i = 0, 255 do all[#all + 1] = string.char(i) end
  for name, text in pairs {
    ["nothing"] = "", ["a byte"] = "x", ["an event"] = FLARE, ["much of the same"] = ("x"):rep(100000),
    ["every byte"] = table.concat(all):rep(100),
  } do
    it("gives back " .. name, function()
      local packed = native.gzip(text)
      assert.equal("\31\139", packed:sub(1, 2))
      assert.equal(text, native.gunzip(packed, #text))
      assert.equal(text, native.gunzip(packed, #text + 1))
    end)
  end

  it("unfolds no byte more than it may, whatever is in there", function()
    local packed = native.gzip(("x"):rep(2 ^ 24))
    assert.is_true(#packed < 20000)
    for _, limit in ipairs { 0, 1, 8191, 8192, 8193, 100000, 2 ^ 24 - 1 } do
      local text, kind = native.gunzip(packed, limit)
      assert.same({ nil, "full" }, { text, kind })
    end
  end)

  it("refuses what is cut off, changed or followed by more", function()
    local packed = native.gzip(FLARE)
    for length = 0, #packed - 1 do
      local text, kind = native.gunzip(packed:sub(1, length), 10000)
      assert.same({ nil, "protocol" }, { text, kind })
    end
    for at = 11, #packed do
      local byte = string.char((packed:byte(at) + 1) % 256)
      local text = native.gunzip(packed:sub(1, at - 1) .. byte .. packed:sub(at + 1), 10000)
      assert.is_nil(text)
    end
    for _, more in ipairs { "\0", packed } do
      local text, kind = native.gunzip(packed .. more, 10000)
      assert.same({ nil, "protocol" }, { text, kind })
    end
  end)

  it("takes no limit that makes no sense", function()
    for _, limit in ipairs { -1, 2 ^ 31, 0 / 0 } do
      assert.has_error(function() native.gunzip("", limit) end)
    end
  end)
end)

describe("a receiver of webhooks", function()
  local now, hooks
  before_each(function()
    now = 1000
    hooks = webhook.receiver {
      secret = SECRET, max_body = 2000, remember = 3, seconds = 60, now = function() return now end,
    }
  end)

  local function headers(body, id, more)
    local result = {
      ["X-Signature"] = webhook.sign(body, SECRET), ["X-Webhook-Id"] = id, ["X-Webhook-Attempt"] = "2",
    }
    for name, value in pairs(more or {}) do result[name] = value end
    return result
  end

  it("gives the event, and what to answer with", function()
    local delivery, status, err = hooks:receive(FLARE, headers(FLARE, "a"))
    assert.same({ 200, nil }, { status, err })
    assert.same({ "ping-flare", "alice", FLARE, "a", 2 },
      { delivery.event.type, delivery.event.user.id, delivery.text, delivery.id, delivery.attempt })
  end)

  it("knows headers in every spelling", function()
    local signature = webhook.sign(FLARE, SECRET)
    local spellings = { "x-signature", "X-SIGNATURE", "X_SIGNATURE", "x_Signature", "HTTP_X_SIGNATURE" }
    for id, name in ipairs(spellings) do
      assert.truthy(hooks:receive(FLARE, { [name] = signature, ["X-Webhook-Id"] = "n" .. id }))
    end
  end)

  it("undoes gzip, whether a header tells of it or the first bytes", function()
    local packed = native.gzip(FLARE)
    for id, encoding in pairs { a = "gzip", b = "GZIP", c = false } do
      local delivery = hooks:receive(packed, headers(FLARE, id, { ["Content-Encoding"] = encoding or nil }))
      assert.equal(FLARE, delivery.text)
    end
  end)

  for name, case in pairs {
    ["another signature"] = { FLARE, { ["X-Signature"] = ("0"):rep(64) }, 401, "auth" },
    ["no signature"] = { FLARE, { ["X-Signature"] = false }, 401, "auth" },
    ["the signature of the compressed bytes"] = { native.gzip(FLARE), {
      ["X-Signature"] = webhook.sign(native.gzip(FLARE), SECRET) }, 401, "auth" },
    ["a body that is too large"] = { ("x"):rep(2001), {}, 413, "full" },
    ["a body that unfolds to too much"] = { native.gzip(("x"):rep(2001)), {}, 413, "full" },
    ["gzip that is none"] = { "\31\139nonsense", {}, 400, "protocol" },
    ["a header that lies about gzip"] = { FLARE, { ["Content-Encoding"] = "gzip" }, 400, "protocol" },
    ["what is no JSON"] = { "text", {}, 400, "protocol" },
    ["what is no object"] = { "12", {}, 400, "protocol" },
  } do
    it("refuses " .. name .. ", and remembers nothing of it", function()
      local wrong = headers(case[1], "a")
      for header, value in pairs(case[2]) do wrong[header] = value or nil end
      local delivery, status, err = hooks:receive(case[1], wrong)
      assert.same({ nil, case[3], case[4] }, { delivery, status, err.kind })
      assert.is_nil(tostring(err):find(SECRET, 1, true))
      assert.truthy(hooks:receive(FLARE, headers(FLARE, "a")))
    end)
  end

  it("refuses repeats without complaint, by id and not by body", function()
    assert.truthy(hooks:receive(FLARE, headers(FLARE, "a")))
    local delivery, status, err = hooks:receive(FLARE, headers(FLARE, "a"))
    assert.same({ nil, 200, nil }, { delivery, status, err })
    assert.truthy(hooks:receive(FLARE, headers(FLARE, "b")))
  end)

  it("takes the signature for an id that is missing or too long", function()
    for _, id in ipairs { false, ("x"):rep(256), "" } do
      hooks = webhook.receiver { secret = SECRET }
      assert.truthy(hooks:receive(FLARE, headers(FLARE, id or nil)))
      assert.is_nil((hooks:receive(FLARE, headers(FLARE, id or nil))))
    end
  end)

  it("remembers so many ids, and so long", function()
    local function is_new(id) return (hooks:receive(FLARE, headers(FLARE, id))) ~= nil end
    for _, id in ipairs { "a", "b", "c" } do assert.is_true(is_new(id)) end
    assert.is_false(is_new "a")
    assert.is_true(is_new "d") -- and "a" is too many
    assert.is_true(is_new "a")
    assert.is_false(is_new "c")
    now = now + 60
    assert.is_true(is_new "c")
  end)

  it("takes an event again that a backend has forgotten on purpose", function()
    hooks:receive(FLARE, headers(FLARE, "a"))
    hooks:forget "a"
    hooks:forget "unknown"
    assert.truthy(hooks:receive(FLARE, headers(FLARE, "a")))
    assert.is_nil((hooks:receive(FLARE, headers(FLARE, "a"))))
    for round = 1, 10 do
      hooks:receive(FLARE, headers(FLARE, "r" .. round))
      hooks:forget("r" .. round)
    end
    assert.truthy(hooks:receive(FLARE, headers(FLARE, "b")))
    assert.is_nil((hooks:receive(FLARE, headers(FLARE, "b"))))
  end)

  it("raises for wrong options and arguments", function()
    for _, options in ipairs {
      {}, { secret = "" }, { secret = 1 }, { secret = "s", remember = 0 }, { secret = "s", seconds = "1" },
      { secret = "s", max_body = 2 ^ 31 }, { secret = "s", colour = 1 }, { secret = "s", now = 1 },
    } do
      local ok, message = pcall(function() local _ = webhook.receiver(options) end)
      assert.is_false(ok)
      assert.truthy(message:find("webhook_spec", 1, true), message)
    end
    assert.has_error(function() webhook.receiver() end)
    assert.has_error(function() hooks:receive(nil, {}) end)
    assert.has_error(function() hooks:receive("", nil) end)
  end)
end)
