-- Digests, HMAC and encodings against the vectors of their standards.
local core = require "stream_events.core"
local crypto = core.crypto

local function bytes(hex)
  return (hex:gsub("%s", ""):gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

describe("sha256 and sha1", function()
  local block56 = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
  local block112 = "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
    .. "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
  for name, case in pairs { -- FIPS 180-4 and its examples
    ["of nothing"] = { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
    ["of abc"] = { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "a9993e364706816aba3e25717850c26c9cd0d89d" },
    ["of two blocks"] = { block56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
      "84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
    ["of 112 bytes"] = { block112, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
      "a49b2446a02c645bf419f995b67091253a04a259" },
    ["of a million a"] = { ("a"):rep(1000000),
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
      "34aa973cd4c4daa4f61eeb2bdbad27316534016f" },
  } do
    it(name, function()
      assert.equal(case[2], crypto.hex(crypto.sha256(case[1])))
      assert.equal(case[3], crypto.hex(crypto.sha1(case[1])))
    end)
  end
end)

describe("hmac_sha256", function()
  for name, case in pairs { -- RFC 4231 §4
    ["case 1"] = { ("\x0b"):rep(20), "Hi There",
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
    ["case 2"] = { "Jefe", "what do ya want for nothing?",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
    ["case 3"] = { ("\xaa"):rep(20), ("\xdd"):rep(50),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
    ["case 4"] = { bytes "0102030405060708090a0b0c0d0e0f10111213141516171819", ("\xcd"):rep(50),
      "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
    ["case 6"] = { ("\xaa"):rep(131), "Test Using Larger Than Block-Size Key - Hash Key First",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
    ["case 7"] = { ("\xaa"):rep(131), "This is a test using a larger than block-size key and a "
      .. "larger than block-size data. The key needs to be hashed before being used by the HMAC "
      .. "algorithm.", "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
    ["with an empty key and no data"] = { "", "",
      "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
    ["of a webhook's body"] = { "porewqKAFDSAKZssecretsercretfads", "text",
      "d0b770e93a56adc3ee9ac5734533cc0acd71eea8e5e8204a28042ca0f60de1f3" },
    ["of a webhook's JSON body"] = { "porewqKAFDSAKZssecretsercretfads", '{"a":1}',
      "e527a6ad4993a4c9a30680c8be4b3eda1c36ab104f1f7d39c744bd27016a9624" },
    ["of a whole event"] = { "lan-dev-secret", '{"type":"ping-flare","cid":"messaging:lobby",'
      .. '"channel_id":"lobby","channel_type":"messaging","x":12,"y":40,"user":{"id":"alice",'
      .. '"role":"user","name":"Alice"},"created_at":"2026-01-01T00:00:05.25Z","request_info":'
      .. '{"type":"client","ip":"192.168.1.20","user_agent":"stream-events/0.1",'
      .. '"sdk":"stream-events-0.1"}}',
      "ae3f66a494a9e22ccbddd73b65392698692ec100321fb47975e07f5a9480249a" },
  } do
    it(name, function()
      assert.equal(case[3], crypto.hex(crypto.hmac_sha256(case[1], case[2])))
      local signer = crypto.signer(case[1])
      for _, text in ipairs { "another", case[2], case[2] } do
        assert.equal(crypto.hex(crypto.hmac_sha256(case[1], text)), signer:sign(text))
      end
    end)
  end

  it("agrees with the truncated case 5 of RFC 4231", function()
    local digest = crypto.hmac_sha256(("\x0c"):rep(20), "Test With Truncation")
    assert.equal("a3b6167473100ee06e0c796c2955552b", crypto.hex(digest:sub(1, 16)))
  end)

  it("signs the example of RFC 7515 A.1", function()
    local key = crypto.base64url_decode(
      "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
    local header = '{"typ":"JWT",\r\n "alg":"HS256"}'
    local payload = '{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
    local input = crypto.base64url_encode(header) .. "." .. crypto.base64url_encode(payload)
    assert.equal("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkz"
      .. "ODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ", input)
    assert.equal("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
      crypto.base64url_encode(crypto.hmac_sha256(key, input)))
  end)

  for payload, signature in pairs {
    ['{"user_id":"alice"}'] = "CVuL048LyYE92Cf4m70VX0KDuzavcF3eNgZ2pNJ7VXI",
    ['{"user_id":"alice","iat":1767225600,"exp":1767229200}'] =
      "0pqBgbYQaivXTQblOJPJkTGt8Cr5kkT6fGAwx8IX_-4",
    ['{"server":true}'] = "dcnk_GeJ2iHa5XBTHNBlbXV5-dwNU8jv-xgw112Xkgw",
  } do
    it("signs the token of " .. payload, function()
      local input = crypto.base64url_encode '{"alg":"HS256","typ":"JWT"}' .. "."
        .. crypto.base64url_encode(payload)
      assert.equal(signature, crypto.base64url_encode(crypto.hmac_sha256("lan-dev-secret", input)))
    end)
  end
end)

describe("base64", function()
  -- RFC 4648 §10.
  local vectors = { [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==",
    fooba = "Zm9vYmE=", foobar = "Zm9vYmFy" }
  for data, text in pairs(vectors) do
    it(("writes and reads %q"):format(data), function()
      local bare = text:gsub("=", "")
      assert.equal(text, crypto.base64_encode(data))
      assert.equal(data, (crypto.base64_decode(text)))
      assert.equal(bare, crypto.base64url_encode(data))
      assert.equal(data, (crypto.base64url_decode(bare)))
    end)
  end

  it("brings back every byte in every position", function()
    for length = 0, 5 do
      for byte = 0, 255 do
        local data = ("\x5a"):rep(length) .. string.char(byte) .. ("\xa5"):rep(5 - length)
        assert.equal(data, (crypto.base64_decode(crypto.base64_encode(data))))
        assert.equal(data, (crypto.base64url_decode(crypto.base64url_encode(data))))
      end
    end
    local long = crypto.random(65536)
    assert.equal(long, (crypto.base64_decode(crypto.base64_encode(long))))
  end)

  it("uses the alphabet that was asked for", function()
    assert.equal("++//", crypto.base64_encode "\xfb\xef\xff")
    assert.equal("--__", crypto.base64url_encode "\xfb\xef\xff")
  end)

  for name, text in pairs {
    ["no padding"] = "Zg", ["too little padding"] = "Zg=", ["too much padding"] = "Zm8==",
    ["nothing but padding"] = "====", ["two characters of padding alone"] = "==",
    ["three characters of padding"] = "Z===", ["padding inside"] = "Zg==Zg==",
    ["a padding character first"] = "=Zg=", ["bits left over, 4"] = "Zh==",
    ["bits left over, 2"] = "Zm9=", ["a line break"] = "Zm9v\n", ["a space"] = "Zm 9",
    ["the other alphabet's minus"] = "--__", ["a zero byte"] = "Zm9\0", ["a high byte"] = "Zm9\xff",
    ["five characters"] = "Zm9vZ", ["one character"] = "Z",
  } do
    it("refuses " .. name, function()
      local data, kind, message = crypto.base64_decode(text)
      assert.is_nil(data)
      assert.equal("protocol", kind)
      assert.is_string(message)
    end)
  end

  for name, text in pairs {
    ["padding"] = "Zg==", ["one character"] = "A", ["five characters"] = "Zm9vA",
    ["bits left over, 4"] = "Zh", ["bits left over, 2"] = "Zm9", ["a plus"] = "++//",
    ["a dot"] = "Zm9v.", ["a line break"] = "Zm\n9",
  } do
    it("refuses in base64url " .. name, function()
      local data, kind = crypto.base64url_decode(text)
      assert.is_nil(data)
      assert.equal("protocol", kind)
    end)
  end
end)

describe("hex", function()
  it("writes two lower case digits a byte", function()
    assert.equal("00017f80ff", crypto.hex "\0\1\x7f\x80\xff")
    assert.equal("", crypto.hex "")
  end)
end)

describe("random", function()
  it("gives as many bytes as asked for, never the same", function()
    for _, count in ipairs { 0, 1, 16, 65536 } do
      assert.equal(count, #crypto.random(count))
    end
    assert.not_equal(crypto.random(16), crypto.random(16))
  end)

  it("raises for a count out of range", function()
    assert.has_error(function() crypto.random(-1) end)
    assert.has_error(function() crypto.random(65537) end)
  end)
end)

describe("uuid", function()
  it("is of version 4 and its variant, in lower case, and new each time", function()
    local seen = {}
    for _ = 1, 200 do
      local id = crypto.uuid()
      assert.truthy(id:match "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$")
      assert.equal(id:lower(), id)
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)
end)

describe("equals", function()
  it("compares every byte, and the length", function()
    assert.is_true(crypto.equals("", ""))
    assert.is_true(crypto.equals("a\0b", "a\0b"))
    assert.is_false(crypto.equals("a\0b", "a\0c"))
    assert.is_false(crypto.equals("abc", "ab"))
    assert.is_false(crypto.equals("", "a"))
  end)

  it("raises for what is no string", function()
    assert.has_error(function() crypto.equals(nil, "a") end)
    assert.has_error(function() crypto.equals("a", {}) end)
  end)
end)
