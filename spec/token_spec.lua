--- Tokens: the vectors of the protocol, and every way a token can be wrong.
local native = require "stream_events.native"
local token = require "stream_events.token"

local SECRET = "lan-dev-secret"
local HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
local ALICE = HEADER .. ".eyJ1c2VyX2lkIjoiYWxpY2UifQ.CVuL048LyYE92Cf4m70VX0KDuzavcF3eNgZ2pNJ7VXI"
local ALICE_TIMED = HEADER
  .. ".eyJ1c2VyX2lkIjoiYWxpY2UiLCJpYXQiOjE3NjcyMjU2MDAsImV4cCI6MTc2NzIyOTIwMH0"
  .. ".0pqBgbYQaivXTQblOJPJkTGt8Cr5kkT6fGAwx8IX_-4"
local SERVER = HEADER .. ".eyJzZXJ2ZXIiOnRydWV9.dcnk_GeJ2iHa5XBTHNBlbXV5-dwNU8jv-xgw112Xkgw"
local NOW = 1767225600

-- A token with a right signature over any two JSON texts.
local function forge(header, claims, secret)
  local url = native.crypto.base64url_encode
  local text = url(header) .. "." .. url(claims)
  return text .. "." .. url(native.crypto.hmac_sha256(secret or SECRET, text))
end

local CLAIMS = '{"user_id":"alice"}'
local HS256 = '{"alg":"HS256","typ":"JWT"}'

describe("token.user", function()
  it("signs the vectors of the protocol to the byte", function()
    assert.equal(ALICE, token.user(SECRET, "alice"))
    assert.equal(ALICE_TIMED, token.user(SECRET, "alice", { iat = NOW, exp = NOW + 3600 }))
    assert.equal(SERVER, token.server(SECRET))
  end)

  it("takes whole seconds that arrive as floats", function()
    assert.equal(ALICE_TIMED, token.user(SECRET, "alice", { iat = NOW + 0.0, exp = NOW + 3600.0 }))
  end)

  it("raises on misuse, and never shows the secret", function()
    for _, call in ipairs {
      function() token.user("", "alice") end,
      function() token.user(nil, "alice") end,
      function() token.user(SECRET, "") end,
      function() token.user(SECRET, 7) end,
      function() token.user(SECRET, "alice", { exp = 1.5 }) end,
      function() token.user(SECRET, "alice", { exp = "1" }) end,
      function() token.user(SECRET, "alice", { expires = 4000000000 }) end,
      function() token.user(SECRET, "alice", 4000000000) end,
      function() token.sign(SECRET, { user_id = "alice", odd = print }) end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.is_nil(tostring(message):find(SECRET, 1, true))
    end
  end)
end)

describe("token.sign", function()
  it("writes further claims after the usual ones, in a fixed order", function()
    local text = token.sign(SECRET, { zone = "b", area = { 1, 2 }, exp = 5, user_id = "a", iat = 4 })
    local payload = native.crypto.base64url_decode((text:match("%.([^.]+)%.")))
    assert.equal('{"user_id":"a","iat":4,"exp":5,"area":[1,2],"zone":"b"}', payload)
  end)

  it("reproduces the example of RFC 7515 A.1 through the same primitives", function()
    local key = native.crypto.base64url_decode(
      "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
    local text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
      .. ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    local whole = text .. ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    local claims = assert(token.verify(whole, key, { now = 1300819379 }))
    assert.equal("joe", claims.iss)
    assert.is_true(claims["http://example.com/is_root"])
  end)
end)

describe("token.verify", function()
  it("gives the claims of a good token", function()
    assert.same({ user_id = "alice" }, token.verify(ALICE, SECRET))
    assert.same({ server = true }, token.verify(SERVER, SECRET))
    assert.equal(NOW + 3600, token.verify(ALICE_TIMED, SECRET, { now = NOW }).exp)
  end)

  it("asks the clock of this machine when no time is given", function()
    local _, err = token.verify(ALICE_TIMED, SECRET)
    assert.equal(native.time() < NOW + 3600 and "none" or 40, err and err.code or "none")
    assert.is_table(token.verify(token.user(SECRET, "a", { exp = math.floor(native.time()) + 60 }), SECRET))
  end)

  local text43 = 'JWTAuth error: signature is not valid. Make sure the token is created using the '
    .. 'secret for API key "devkey"'
  local segments = "JWTAuth error: token contains an invalid number of segments"
  local timed = '{"user_id":"alice","nbf":1767225600,"iat":1767225600,"exp":1767229200}'
  for name, case in pairs {
    ["expires at the second of exp"] = {
      ALICE_TIMED, now = NOW + 3600, code = 40, message = "JWTAuth error: token is expired",
    },
    ["is good one second before"] = { ALICE_TIMED, now = NOW + 3599 },
    ["grants leeway after exp"] = { ALICE_TIMED, now = NOW + 3604, leeway = 5 },
    ["ends the leeway"] = { ALICE_TIMED, now = NOW + 3605, leeway = 5, code = 40 },
    ["is not valid before nbf"] = { forge(HS256, timed), now = NOW - 1, code = 41 },
    ["is valid from nbf on"] = { forge(HS256, timed), now = NOW },
    ["grants leeway before nbf and iat"] = { forge(HS256, timed), now = NOW - 5, leeway = 5 },
    ["is not used before iat"] = { ALICE_TIMED, now = NOW - 1, code = 42 },
    ["refuses another secret"] = { token.user("other", "alice"), code = 43, message = text43 },
    ["refuses a changed payload"] = { (ALICE:gsub("YWxpY2Ui", "YWxpY2Uj")), code = 43, message = text43 },
    ["refuses a signature that is cut off"] = { ALICE:sub(1, -2), code = 43 },
    ["refuses an empty signature"] = { ALICE:match("^(.*%.)"), code = 43 },
    ["refuses a padded signature"] = { ALICE .. "=", code = 43 },
    ["refuses two segments"] = { "a.b", code = 5, message = segments },
    ["refuses four segments"] = { ALICE .. ".x", code = 5, message = segments },
    ["refuses an empty text"] = { "", code = 5, message = segments },
    ["refuses what is no text"] = { 7, code = 5, message = segments },
    ["refuses nothing at all"] = { nil, code = 5, message = segments },
    ["refuses the word token"] = { "token invalid", code = 5, message = segments },
    ["refuses one that is far too long"] = { HEADER .. "." .. ("a"):rep(9000) .. ".b", code = 5 },
    ["refuses alg none"] = { forge('{"alg":"none"}', CLAIMS), code = 5 },
    ["refuses alg none without a signature"] = { forge('{"alg":"none"}', CLAIMS):match("^(.*%.)"), code = 5 },
    ["refuses alg HS512"] = { forge('{"alg":"HS512"}', CLAIMS), code = 5 },
    ["refuses alg in small letters"] = { forge('{"alg":"hs256"}', CLAIMS), code = 5 },
    ["refuses a header without alg"] = { forge('{"typ":"JWT"}', CLAIMS), code = 5 },
    ["refuses two algs"] = { forge('{"alg":"none","alg":"HS256"}', CLAIMS), code = 5 },
    ["refuses a header with crit"] = { forge('{"alg":"HS256","crit":["x"]}', CLAIMS), code = 5 },
    ["refuses a header that is no object"] = { forge('["HS256"]', CLAIMS), code = 5 },
    ["refuses a header that is no JSON"] = { forge("HS256", CLAIMS), code = 5 },
    ["refuses claims that are an array"] = { forge(HS256, '["alice"]'), code = 5 },
    ["refuses claims that are no JSON"] = { forge(HS256, "alice"), code = 5 },
    ["refuses claims named twice"] = { forge(HS256, '{"user_id":"alice","user_id":"bob"}'), code = 5 },
    ["refuses a fractional exp"] = { forge(HS256, '{"exp":1767229200.5}'), now = NOW, code = 5 },
    ["refuses a text as exp"] = { forge(HS256, '{"exp":"1767229200"}'), now = NOW, code = 5 },
    ["refuses null as exp"] = { forge(HS256, '{"user_id":"alice","exp":null}'), now = NOW, code = 5 },
    ["refuses a text as iat"] = { forge(HS256, '{"user_id":"alice","iat":"x"}'), now = NOW, code = 5 },
    ["refuses a developer token"] = {
      token.developer("alice"), code = 5,
      message = "JWTAuth error: development tokens are not allowed for this application",
    },
  } do
    it(name, function()
      local claims, err = token.verify(case[1], SECRET,
        { now = case.now or NOW, leeway = case.leeway, api_key = "devkey" })
      if not case.code then return assert.is_table(claims, tostring(err)) end
      assert.is_nil(claims)
      assert.same({ "auth", case.code, 401 }, { err.kind, err.code, err.status })
      if case.message then assert.equal(case.message, err.message) end
      assert.is_nil(tostring(err):find("eyJ", 1, true))
      assert.is_nil(tostring(err):find(SECRET, 1, true))
    end)
  end

  -- Nobody has signed it. Looking at all the padding that follows for each "=" would take minutes.
  it("refuses one that is mostly padding, as fast as others", function()
    local text = ("="):rep(8000) .. "x.y.z"
    for _ = 1, 1000 do assert.is_nil((token.verify(text, SECRET))) end
  end)

  it("refuses every single changed character", function()
    for i = 1, #ALICE do
      local other = ALICE:sub(i, i) == "A" and "B" or "A"
      local claims = token.verify(ALICE:sub(1, i - 1) .. other .. ALICE:sub(i + 1), SECRET)
      assert.is_nil(claims, "position " .. i)
    end
  end)
end)

describe("developer tokens", function()
  it("are made in the form that the protocol shows", function()
    assert.equal(HEADER .. ".eyJ1c2VyX2lkIjoiYWxpY2UifQ==.devtoken", token.developer("alice"))
  end)

  for name, text in pairs {
    ["padded"] = HEADER .. ".eyJ1c2VyX2lkIjoiYWxpY2UifQ==.devtoken",
    ["without padding"] = HEADER .. ".eyJ1c2VyX2lkIjoiYWxpY2UifQ.devtoken",
    ["with the other literal"] = HEADER .. ".eyJ1c2VyX2lkIjoiYWxpY2UifQ.devToken",
  } do
    it("are known when " .. name, function()
      assert.is_true(token.is_developer(text))
      assert.equal("alice", token.decode(text).user_id)
    end)
  end

  it("are read in both alphabets", function()
    local claims = '{"user_id":"a","x":"?>?>~~~"}'
    local plain = native.crypto.base64_encode(claims)
    assert.truthy(plain:find("[+/]"))
    for _, payload in ipairs { plain, native.crypto.base64url_encode(claims) } do
      assert.equal("?>?>~~~", token.decode(HEADER .. "." .. payload .. ".devtoken").x)
    end
  end)

  it("are not taken for others", function()
    for _, text in ipairs { ALICE, "devtoken", "a.devtoken", "", "a.b.c.devtoken" } do
      assert.is_false(token.is_developer(text))
    end
    assert.is_false(token.is_developer(nil))
  end)
end)

describe("token.decode", function()
  it("shows claims and header of any token", function()
    local claims, header = token.decode(token.user("whatever", "bob"))
    assert.same({ user_id = "bob" }, claims)
    assert.same({ alg = "HS256", typ = "JWT" }, header)
  end)

  it("says so when it is none", function()
    for _, text in ipairs { "", "a.b", "!.!.!", HEADER .. ".e30x.y" } do
      local claims, err = token.decode(text)
      assert.is_nil(claims)
      assert.equal(5, err.code)
    end
  end)
end)
