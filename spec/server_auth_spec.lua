--- Who is calling: keys, tokens of every kind, guests, anonymous callers, refusals.
local auth = require "stream_events.server.auth"
local models = require "support.models"
local native = require "stream_events.native"
local token = require "stream_events.token"

local json = models.json
local KEY, SECRET = models.KEY, models.SECRET

local ALICE = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoiYWxpY2UifQ."
  .. "CVuL048LyYE92Cf4m70VX0KDuzavcF3eNgZ2pNJ7VXI"
local ALICE_2026 = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoiYWxpY2UiLCJpYXQiOjE3NjcyMj"
  .. "U2MDAsImV4cCI6MTc2NzIyOTIwMH0.0pqBgbYQaivXTQblOJPJkTGt8Cr5kkT6fGAwx8IX_-4"
local SERVER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzZXJ2ZXIiOnRydWV9."
  .. "dcnk_GeJ2iHa5XBTHNBlbXV5-dwNU8jv-xgw112Xkgw"
local HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
local FROM, UNTIL = 1767225600, 1767229200 -- iat and exp of ALICE_2026

local function part(text) return native.crypto.base64url_encode(text) end

local function signed(header, claims, secret)
  local text = part(header) .. "." .. part(claims)
  return text .. "." .. part(native.crypto.hmac_sha256(secret or SECRET, text))
end

local HS256 = '{"alg":"HS256","typ":"JWT"}'

-- Tokens that are never good, with the code of their refusal.
local BAD_TOKENS = {
  ["one that is expired"] = { token.sign(SECRET, { user_id = "alice", exp = FROM - 1 }), 40 },
  ["one that expires this second"] = { token.sign(SECRET, { user_id = "alice", exp = FROM }), 40 },
  ["one that is not valid yet"] = { token.sign(SECRET, { user_id = "alice", nbf = FROM + 60 }), 41 },
  ["one from the future"] = { token.sign(SECRET, { user_id = "alice", iat = FROM + 60 }), 42 },
  ["one of another app"] = { token.user("other-secret", "alice"), 43 },
  ["one with another's signature"] = { HEADER .. part '{"user_id":"bob"}' .. ALICE:match "%.[^.]*$", 43 },
  ["one without a signature"] = { HEADER .. part '{"user_id":"alice"}' .. ".", 43 },
  ["alg none"] = { part '{"alg":"none","typ":"JWT"}' .. "." .. part '{"user_id":"alice"}' .. ".", 5 },
  ["alg none, signed"] = { signed('{"alg":"none"}', '{"user_id":"alice"}'), 5 },
  ["alg HS512, signed with HS256"] = { signed('{"alg":"HS512"}', '{"user_id":"alice"}'), 5 },
  ["alg in lower case"] = { signed('{"alg":"hs256"}', '{"user_id":"alice"}'), 5 },
  ["two parts"] = { "a.b", 5 },
  ["four parts"] = { ALICE .. ".x", 5 },
  ["rubbish"] = { "\0\255", 5 },
  ["a header that is no JSON"] = { signed("x", '{"user_id":"alice"}'), 5 },
  ["claims that are no object"] = { signed(HS256, '["alice"]'), 5 },
  ["an exp that is no integer"] = { signed(HS256, '{"user_id":"alice","exp":"never"}'), 5 },
  ["nobody in it"] = { signed(HS256, "{}"), 5 },
  ["a number for a user"] = { signed(HS256, '{"user_id":7}'), 5 },
  ["server that is not true"] = { signed(HS256, '{"server":"true"}'), 5 },
  ["a very long one"] = { HEADER .. ("a"):rep(20000) .. ".b", 5 },
  ["a developer token"] = { token.developer "alice", 5 },
}

describe("stream_events.server.auth", function()
  local m

  before_each(function() m = models.new() end)
  after_each(function() m.store:close() end)

  local function http(text, headers, query)
    headers = headers or { ["stream-auth-type"] = "jwt" } -- as every client says
    headers.authorization = text
    query = query or {}
    query.api_key = query.api_key or KEY
    return m.auth:http({ headers = headers }, query)
  end

  local function connect(text, request, query, headers)
    query = query or {}
    query.api_key = query.api_key or KEY
    query.authorization = query.authorization or text
    query.json = request
    return m.auth:connect(query, headers or {})
  end

  local function refused(code, caller, failure)
    assert.is_nil(caller)
    assert.equal(code, failure.code)
    assert.equal(401, failure.status)
    return failure
  end

  describe("http", function()
    before_each(function() assert(m.users:upsert("alice", {}, { trusted = true })) end)

    it("knows a user by its token", function()
      local caller = assert(http(ALICE))
      assert.same({ "user", "alice" }, { caller.kind, caller.id })
      assert.equal(m.users:get "alice", caller.user)
      assert.equal("user", assert(http(ALICE, { ["stream-auth-type"] = "jwt" })).kind)
    end)

    it("knows a backend by its token", function()
      local caller = assert(http(SERVER))
      assert.equal("server", caller.kind)
      assert.is_nil(caller.id)
      assert.is_nil(caller.user)
    end)

    it("takes a token with times between them only", function()
      for _, case in ipairs { { FROM - 1, 42 }, { FROM }, { UNTIL - 1 }, { UNTIL, 40 }, { UNTIL + 1, 40 } } do
        m.clock = case[1]
        if case[2] then refused(case[2], http(ALICE_2026)) else assert.is_table(http(ALICE_2026)) end
      end
    end)

    it("lets a remembered token expire", function()
      assert.is_table(http(ALICE_2026))
      assert.is_table(http(ALICE_2026))
      m.clock = UNTIL
      refused(40, http(ALICE_2026))
    end)

    describe("of a token that was good for the last request", function()
      local NOW = "2026-01-01T00:00:01Z" -- a second behind the token's `iat`

      it("looks at no user again, until something is written", function()
        local users, looked = m.users, 0
        m.auth.users = setmetatable({
          get = function(_, id)
            looked = looked + 1
            return users:get(id)
          end,
          check_alive = function(_, user) return users:check_alive(user) end,
        }, { __index = users })
        for _ = 1, 3 do assert.equal("alice", assert(http(ALICE)).id) end
        assert.equal(1, looked)
        m.store:put("channel", "a", {})
        assert(http(ALICE))
        assert.equal(2, looked)
      end)

      for what, change in pairs {
        ["its user is deactivated"] = function() assert(m.users:deactivate "alice") end,
        ["its user is deleted"] = function() assert(m.users:delete "alice") end,
        ["its user's tokens are revoked"] = function()
          assert(m.users:patch("alice", { revoke_tokens_issued_before = NOW }, nil, { trusted = true }))
        end,
        ["the app's tokens are revoked"] = function()
          assert(m.app:update { revoke_tokens_issued_before = NOW })
        end,
      } do
        it("refuses it when " .. what, function()
          for _ = 1, 2 do assert(http(ALICE_2026)) end
          change()
          for _ = 1, 2 do assert.equal(401, (select(2, http(ALICE_2026))).status) end
        end)
      end

      it("refuses it with another key, and of another kind", function()
        for _ = 1, 2 do assert(http(ALICE)) end
        refused(2, http(ALICE, nil, { api_key = "other" }))
        refused(5, http(ALICE, { ["stream-auth-type"] = "basic" }))
        assert.equal("anonymous", assert(http(ALICE, { ["stream-auth-type"] = "anonymous" })).kind)
      end)

      it("refuses it again when it was refused before, and nothing was written since", function()
        local text = token.user(SECRET, "nobody")
        for _ = 1, 3 do refused(5, http(text)) end
      end)
    end)

    it("says the same as one who remembers nobody, whatever happens to users and settings", function()
      local asked = 0
      local changing = setmetatable({}, { __index = function()
        asked = asked + 1
        return asked
      end })
      local forgetful = auth.new(m.app, m.users, changing, { now = function() return m.clock end })
      local guest = assert(m.users:create_guest { id = "zoe" }).id
      local ids, texts = { "alice", "bob", guest }, { SERVER, ALICE_2026, token.server("other") }
      for _, id in ipairs(ids) do
        for _, iat in ipairs { FROM, FROM + 2, false } do
          texts[#texts + 1] = token.user(SECRET, id, iat and { iat = iat, exp = iat + 200 } or nil)
        end
        texts[#texts + 1] = token.user("other", id)
      end
      local function dates()
        return ({ native.json.null, "2026-01-01T00:00:01Z", "2026-01-01T00:00:03Z" })[math.random(3)]
      end
      local trusted = { trusted = true }
      local changes = {
        function(id) return m.users:deactivate(id) end,
        function(id) return m.users:reactivate(id) end,
        function(id) return m.users:delete(id) end,
        function(id) return m.users:restore { id } end,
        function(id) return math.random(600) == 1 and m.users:erase(id) end,
        function(id)
          return m.users:upsert(id, { role = ({ "guest", "user" })[math.random(2)] }, trusted)
        end,
        function(id) return m.users:connect(id, { name = tostring(math.random(3)) }) end,
        function(id) return m.users:patch(id, { revoke_tokens_issued_before = dates() }, nil, trusted) end,
        function() return m.app:update { revoke_tokens_issued_before = dates() } end,
        function() return m.app:update { disable_auth_checks = math.random(2) == 1 } end,
      }
      for _ = 1, 1500 do
        local change, id = changes[math.random(#changes)], ids[math.random(#ids)]
        if math.random(4) == 1 then
          pcall(m.store.transaction, m.store, function()
            change(id)
            error "undone"
          end)
        else
          change(id)
        end
        m.clock = m.clock + math.random(0, 1) / 4
        for _ = 1, 3 do
          local text = texts[math.random(#texts)]
          for _ = 1, 2 do
            local request = { headers = { authorization = text, ["stream-auth-type"] = "jwt" } }
            local caller, failure = m.auth:http(request, { api_key = KEY })
            local expected, refusal = forgetful:http(request, { api_key = KEY })
            local is_same = caller and expected and caller.kind == expected.kind
              and caller.user == expected.user or not (caller or expected) and failure.code == refusal.code
            assert(is_same, failure and failure.message or refusal and refusal.message or text)
          end
        end
      end
    end)

    it("tolerates Bearer", function()
      assert.equal("alice", assert(http("Bearer " .. ALICE)).id)
      assert.equal("alice", assert(http("bearer  " .. ALICE)).id)
    end)

    it("believes the token and not the query", function()
      assert.equal("alice", assert(http(ALICE, nil, { user_id = "bob" })).id)
    end)

    it("tells guests from users", function()
      local guest = assert(m.users:create_guest { id = "zoe" })
      assert.equal("guest", assert(http(token.user(SECRET, guest.id))).kind)
      assert(m.users:patch(guest.id, { role = "user" }, nil, { trusted = true }))
      assert.equal("user", assert(http(token.user(SECRET, guest.id))).kind)
    end)

    it("lets the anonymous in, whatever token they send", function()
      for _, text in ipairs { "", "undefined", "rubbish", SERVER } do
        local caller = assert(http(text, { ["stream-auth-type"] = "anonymous" }))
        assert.same({ "anonymous", "!anon", "anonymous" }, { caller.kind, caller.id, caller.user.role })
      end
    end)

    it("refuses a missing key and a wrong one", function()
      for _, key in ipairs { "", "other", KEY .. "x" } do
        local failure = refused(2, http(ALICE, nil, { api_key = key }))
        assert.matches("api_key", failure.message)
      end
      refused(2, m.auth:http({ headers = { authorization = ALICE } }, {}))
    end)

    it("refuses a missing token and another kind of authentication", function()
      refused(5, http(nil))
      refused(5, http(""))
      refused(5, http(nil, { ["stream-auth-type"] = "jwt" }))
      refused(5, http(ALICE, { ["stream-auth-type"] = "basic" }))
    end)

    for name, case in pairs(BAD_TOKENS) do
      it("refuses a token: " .. name, function()
        for _ = 1, 2 do
          local failure = refused(case[2], http(case[1]))
          assert.is_nil(failure.message:find(case[1], 1, true))
        end
      end)
    end

    it("refuses a user who does not exist", function()
      local failure = refused(5, http(token.user(SECRET, "nobody")))
      assert.matches('"nobody" does not exist', failure.message)
      assert.is_nil(m.users:get "nobody")
    end)

    it("refuses who is deactivated or deleted, at once", function()
      assert.is_table(http(ALICE))
      m.users:deactivate "alice"
      assert.matches("deactivated", refused(5, http(ALICE)).message)
      m.users:reactivate "alice"
      assert.is_table(http(ALICE))
      m.users:delete "alice"
      assert.matches("deleted", refused(5, http(ALICE)).message)
    end)

    it("names the key in a refusal for the signature", function()
      local failure = refused(43, http(token.user("other", "alice")))
      assert.matches('API key "devkey"', failure.message, 1, true)
    end)

    it("goes on after more tokens than it remembers", function()
      -- Every one is another, so all that is remembered is pushed out on the way.
      for i = 1, 4200 do assert(http(token.sign(SECRET, { user_id = "alice", n = i }))) end
      assert.is_table(http(ALICE))
      local count = 0
      for _, half in ipairs { m.auth.young, m.auth.old } do
        for _ in pairs(half) do count = count + 1 end
      end
      assert.is_true(count <= 2 * 2048)
    end)
  end)

  describe("revoking", function()
    local OLD = token.user(SECRET, "alice", { iat = FROM - 60 })
    local NEW = token.user(SECRET, "alice", { iat = FROM })

    before_each(function() assert(m.users:upsert("alice", {}, { trusted = true })) end)

    it("by user refuses older tokens and those without iat, and no others'", function()
      assert(m.users:upsert("bob", {}, { trusted = true }))
      for _, text in ipairs { OLD, NEW, ALICE } do assert.is_table(http(text)) end
      assert(m.users:patch("alice", { revoke_tokens_issued_before = "2026-01-01T00:00:00Z" }, nil,
        { trusted = true }))
      refused(40, http(OLD))
      refused(40, http(ALICE))
      refused(40, connect(OLD, '{"user_id":"alice"}'))
      assert.is_table(http(NEW))
      assert.is_table(http(token.user(SECRET, "bob")))
      assert.is_table(http(SERVER))
    end)

    it("by app refuses older tokens, a backend's too", function()
      assert(m.app:update { revoke_tokens_issued_before = "2026-01-01T00:00:00Z" })
      refused(40, http(OLD))
      refused(40, http(token.sign(SECRET, { server = true, iat = FROM - 1 })))
      for _, text in ipairs { NEW, ALICE, SERVER } do assert.is_table(http(text)) end
      assert(m.app:update { revoke_tokens_issued_before = native.json.null })
      assert.is_table(http(OLD))
    end)
  end)

  describe("with the app's checks off", function()
    before_each(function()
      assert(m.users:upsert("alice", {}, { trusted = true }))
      assert(m.app:update { disable_auth_checks = true })
    end)

    for name, text in pairs {
      ["a developer token"] = HEADER .. "eyJ1c2VyX2lkIjoiYWxpY2UifQ==.devtoken",
      ["one in the other spelling"] = HEADER .. "eyJ1c2VyX2lkIjoiYWxpY2UifQ.devToken",
      ["a badly signed one"] = token.user("other", "alice"),
      ["an expired one"] = token.sign(SECRET, { user_id = "alice", exp = FROM - 1 }),
      ["a good one"] = ALICE,
    } do
      it("takes " .. name, function()
        assert.equal("alice", assert(http(text)).id)
        assert.equal("alice", assert(connect(text, '{"user_id":"alice"}')).id)
        assert(m.app:update { disable_auth_checks = false })
        assert.equal(text == ALICE, http(text) ~= nil)
      end)
    end

    for name, case in pairs {
      ["no token"] = { "", 5 },
      ["rubbish"] = { "a.b.c", 5 },
      ["one that names nobody"] = { HEADER .. part "{}" .. ".devtoken", 5 },
      ["a backend's token with a bad signature"] = { token.server "other", 43 },
      ["a developer token for a backend"] =
        { HEADER .. part '{"server":true,"user_id":"alice"}' .. ".devtoken", 5 },
      ["a user who does not exist"] = { token.developer "nobody", 5 },
    } do
      it("still refuses " .. name, function() refused(case[2], http(case[1])) end)
    end

    it("forgets what it took unchecked as soon as they are on again", function()
      local text = token.user("other", "alice")
      assert.is_table(http(text))
      assert(m.app:update { disable_auth_checks = false })
      refused(43, http(text))
    end)
  end)

  describe("connect", function()
    it("makes the user that the token names", function()
      local caller = assert(connect(ALICE,
        '{"user_id":"alice","user_details":{"id":"alice","name":"Alice"}}'))
      assert.same({ "user", "alice", "Alice" }, { caller.kind, caller.id, caller.user.name })
      assert.equal(caller.user, m.users:get "alice")
      assert.is_true(json(m.users:json(caller.user)).online)
      assert.equal("alice", assert(http(ALICE)).id)
    end)

    it("needs no json", function()
      assert.equal("alice", assert(connect(ALICE)).id)
      assert.equal("alice", assert(connect(ALICE, "{}")).id)
      assert.equal("alice", assert(connect(ALICE, '{"user_id":"alice","user_details":null}')).id)
    end)

    it("finds the token in the headers as well; the query goes first", function()
      local headers = { authorization = ALICE, ["stream-auth-type"] = "jwt" }
      assert.equal("alice", assert(connect(nil, nil, nil, headers)).id)
      local other = { authorization = token.user(SECRET, "bob"), ["stream-auth-type"] = "jwt" }
      assert.equal("bob", assert(connect(nil, nil, other, headers)).id)
    end)

    it("lets the anonymous in, with whatever stands for no token", function()
      local caller = assert(connect(nil, '{"user_id":"3f0c","user_details":{"id":"3f0c","anon":true}}',
        { ["stream-auth-type"] = "anonymous", authorization = "undefined" }))
      assert.same({ "anonymous", "!anon" }, { caller.kind, caller.id })
      assert.is_nil(m.users:get "3f0c")
    end)

    it("knows guests", function()
      local guest = assert(m.users:create_guest { id = "zoe" })
      assert.equal("guest", assert(connect(token.user(SECRET, guest.id),
        native.json.encode { user_id = guest.id })).kind)
    end)

    for name, case in pairs(BAD_TOKENS) do
      it("refuses a token: " .. name, function()
        refused(case[2], connect(case[1], '{"user_id":"alice"}'))
        assert.is_nil(m.users:get "alice")
      end)
    end

    for name, case in pairs {
      ["another user"] = { ALICE, '{"user_id":"bob"}', 5, 401 },
      ["another user in the details"] = { ALICE, '{"user_details":{"id":"bob"}}', 5, 401 },
      ["a user who is no text"] = { ALICE, '{"user_id":7}', 5, 401 },
      ["a backend's token"] = { SERVER, '{"user_id":"alice"}', 5, 401 },
      ["a token for a bad id"] = { token.user(SECRET, "a b"), '{"user_id":"a b"}', 5, 401 },
      ["no token"] = { "", '{"user_id":"alice"}', 5, 401 },
      ["json that is none"] = { ALICE, '{"user_id":', 4, 400 },
      ["json that is no object"] = { ALICE, "[]", 4, 400 },
      ["details that are no object"] = { ALICE, '{"user_id":"alice","user_details":[]}', 4, 400 },
      ["wrong details"] = { ALICE, '{"user_details":{"created_at":"helloworld"}}', 4, 400 },
      ["large details"] = { ALICE, '{"user_details":{"x":"' .. ("x"):rep(5200) .. '"}}', 22, 413 },
    } do
      it("refuses " .. name .. " and makes nobody", function()
        local caller, failure = connect(case[1], case[2])
        assert.is_nil(caller)
        assert.same({ case[3], case[4] }, { failure.code, failure.status })
        assert.same({}, m.users:query {})
        assert.same({}, m:restart().users:query {})
      end)
    end

    it("refuses a missing key and a wrong one", function()
      refused(2, m.auth:connect({ authorization = ALICE }, {}))
      refused(2, connect(ALICE, nil, { api_key = "other" }))
    end)
  end)
end)
