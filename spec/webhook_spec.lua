--- Webhook signatures: the vectors of the protocol.
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
