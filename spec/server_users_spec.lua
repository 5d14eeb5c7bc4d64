--- Users: replacing, changing, connecting, guests, queries; who may change whom.
local models = require "support.models"
local native = require "stream_events.native"
local token = require "stream_events.token"

local json = models.json

describe("stream_events.server.users", function()
  local m

  before_each(function() m = models.new() end)
  after_each(function() m.store:close() end)

  local function public(id)
    local user = m.users:get(id)
    return user and json(m.users:json(user))
  end

  -- Everything that is known, here and after a restart.
  local function everything()
    local found = {}
    for _, models_now in ipairs { m, m:restart() } do
      for _, user in ipairs(assert(models_now.users:query(json '{"limit":100}'))) do
        found[#found + 1] = models_now.users:public(user)
        found[#found].online = nil
      end
    end
    return found
  end

  describe("json and public", function()
    it("show what the protocol names, custom data flat beside it", function()
      assert(m.users:upsert("alice", json [[{"id":"alice","name":"Alice","image":"http://x/a.png",
        "language":"en","role":"admin","teams":["red"],"invisible":true,"privacy_settings":{"a":1},
        "score":9007199254740993,"tags":[],"note":{}}]], { trusted = true }))
      local text = '{"id":"alice","name":"Alice","image":"http://x/a.png","language":"en",'
        .. '"role":"admin","teams":["red"],"created_at":"2026-01-01T00:00:00Z",'
        .. '"updated_at":"2026-01-01T00:00:00Z","banned":false,"online":false,"blocked_user_ids":[],'
        .. '"note":{},"score":9007199254740993,"tags":[]}'
      assert.equal(text, m.users:json(m.users:get "alice"))
      assert.same(json(text), m.users:public(m.users:get "alice"))
    end)

    it("are made anew when the user changes, and only then", function()
      local user = assert(m.users:upsert("alice", {}, { trusted = true }))
      local before = m.users:json(user)
      assert.equal(before, m.users:json(user))
      assert(m.users:patch("alice", { name = "A" }, nil, { trusted = true }))
      assert.equal("A", json(m.users:json(user)).name)
      m.users:set_online("alice", true)
      assert.is_true(json(m.users:json(user)).online)
      m.users:set_online("alice", false)
      assert.is_false(json(m.users:json(user)).online)
    end)

    it("escape what is hostile", function()
      local name = '"},"role":"admin","x":{"'
      assert(m.users:upsert("alice", { name = name, [name] = 1 }, { trusted = true }))
      assert.same({ name, "user", 1 }, { public "alice".name, public "alice".role, public "alice"[name] })
    end)
  end)

  describe("POST /users", function()
    local function post(as, body) return m:request(as, "POST", "/users", body) end

    it("makes users", function()
      local status, answer = post("server",
        '{"users":{"alice":{"id":"alice","role":"admin","age":7},"bob@home":{"name":"Bob"}}}')
      assert.equal(201, status)
      assert.same({ "admin", 7, "Bob", "user" }, {
        answer.users.alice.role, answer.users.alice.age, answer.users["bob@home"].name,
        answer.users["bob@home"].role,
      })
      assert.equal("", answer.membership_deletion_task_id)
      assert.equal("2026-01-01T00:00:00Z", answer.users.alice.created_at)
    end)

    it("replaces everything but what is the server's", function()
      local user = m.users:connect("alice", json '{"name":"Alice","age":7}')
      post("server", '{"users":{"alice":{"role":"moderator","teams":["red"]}}}')
      m.clock = m.clock + 60
      post("server", '{"users":{"alice":{"image":"i","created_at":"2000-01-01T00:00:00Z","online":false}}}')
      local found = public "alice"
      assert.same({
        id = "alice", image = "i", language = "", role = "user", teams = {}, banned = false,
        online = true, created_at = "2026-01-01T00:00:00Z", updated_at = "2026-01-01T00:01:00Z",
        last_active = "2026-01-01T00:00:00Z", blocked_user_ids = {},
      }, found)
      -- Connections keep the record.
      assert.equal(user, m.users:get "alice")
    end)

    for name, case in pairs {
      ["no users"] = { '{"users":{}}', "empty" },
      ["users that are a list"] = { '{"users":[{"id":"a"}]}', "must be an object" },
      ["nothing"] = { "", "must be an object" },
      ["a bad id"] = { '{"users":{"a b":{}}}', "may hold only" },
      ["an empty id"] = { '{"users":{"":{}}}', "empty" },
      ["another id inside"] = { '{"users":{"a":{"id":"b"}}}', "its own" },
      ["a user that is no object"] = { '{"users":{"a":"b"}}', "must be an object" },
      ["a name that is no text"] = { '{"users":{"a":{"name":1}}}', "name must be a text" },
      ["an unknown role"] = { '{"users":{"a":{"role":"king"}}}', "role" },
      ["the role of nobody"] = { '{"users":{"a":{"role":"anonymous"}}}', "role" },
      ["the role of a member"] = { '{"users":{"a":{"role":"channel_member"}}}', "role" },
      ["teams that are no list"] = { '{"users":{"a":{"teams":"red"}}}', "teams" },
      ["a team that is no text"] = { '{"users":{"a":{"teams":[1]}}}', "teams" },
      ["a date that is none"] =
        { '{"users":{"a":{"created_at":"helloworld"}}}', "created_at must be a date" },
      ["a wrong online"] = { '{"users":{"a":{"online":"yes"}}}', "online must be true or false" },
      ["a wrong date of revoking"] = { '{"users":{"a":{"revoke_tokens_issued_before":1}}}', "date" },
      ["deep data"] = { '{"users":{"a":{"x":' .. ("["):rep(17) .. ("]"):rep(17) .. "}}}", "nested" },
      ["one bad user among good ones"] =
        { '{"users":{"new":{},"alice":{"name":"new"},"b":{"name":1}}}', "name" },
    } do
      it("refuses " .. name .. " and changes nothing", function()
        assert(m.users:upsert("alice", json '{"name":"Alice"}', { trusted = true }))
        local before = everything()
        local status, answer = post("server", case[1])
        assert.same({ 400, 4 }, { status, answer.code })
        assert.matches(case[2], answer.message, 1, true)
        assert.same(before, everything())
      end)
    end

    it("takes 5 KB of data and no more", function()
      local status, answer = post("server", { users = { a = { x = ("x"):rep(5200) } } })
      assert.same({ 413, 22 }, { status, answer.code })
      assert.is_nil(m.users:get "a")
      assert.equal(413, (post("server", { users = { a = { name = ("x"):rep(5200) } } })))
      assert.equal(201, (post("server", { users = { a = { x = ("x"):rep(5000) } } })))
    end)

    it("takes 100 users and no more", function()
      local list = {}
      for i = 1, 101 do list["u" .. i] = { name = "n" } end
      assert.equal(413, (post("server", { users = list })))
      assert.is_nil(m.users:get "u1")
      list.u101 = nil
      assert.equal(201, (post("server", { users = list })))
    end)
  end)

  describe("PATCH /users", function()
    local function patch(as, body) return m:request(as, "PATCH", "/users", body) end

    before_each(function()
      assert(m.users:upsert("alice", json [[{"name":"Alice","role":"admin","language":"en",
        "home":{"city":"Rome","zip":1},"tags":["a"]}]], { trusted = true }))
    end)

    it("changes and removes single fields", function()
      m.clock = m.clock + 1
      local status, answer = patch("server", [[{"users":[{"id":"alice",
        "set":{"home.city":"Oslo","home.flag.red":true,"level":2,"role":"moderator"},
        "unset":["name","tags","language","home.zip"]}]}]])
      assert.equal(200, status, answer.message)
      assert.same({
        id = "alice", language = "", role = "moderator", teams = {}, banned = false, online = false,
        created_at = "2026-01-01T00:00:00Z", updated_at = "2026-01-01T00:00:01Z",
        blocked_user_ids = {}, home = { city = "Oslo", flag = { red = true } }, level = 2,
      }, answer.users.alice)
      m = m:restart()
      assert.same(answer.users.alice, public "alice")
    end)

    it("leaves what was there as it is until all is checked", function()
      local home = m.users:get "alice".custom.home
      local status = patch("server",
        '{"users":[{"id":"alice","set":{"home.city":"Oslo","home.zip":2,"tags.x":1}}]}')
      assert.equal(400, status)
      assert.same({ city = "Rome", zip = 1 }, home)
    end)

    -- With a copy of the object for each of the paths this would take hours.
    it("copies an object once, however many paths lead through it", function()
      local paths = {}
      for i = 1, 100000 do paths[i] = ('"home.k%d":1'):format(i) end
      local status, answer =
        patch("server", '{"users":[{"id":"alice","set":{' .. table.concat(paths, ",") .. "}}]}")
      assert.same({ 413, 22 }, { status, answer.code })
    end)

    it("can set a date before which tokens do not count, and take it back", function()
      patch("server", json
        '{"users":[{"id":"alice","set":{"revoke_tokens_issued_before":"2026-01-01T00:00:00Z"}}]}')
      assert.equal("2026-01-01T00:00:00Z", m.users:get "alice".revoke_tokens_issued_before)
      assert.is_nil(public "alice".revoke_tokens_issued_before)
      patch("server", '{"users":[{"id":"alice","unset":["revoke_tokens_issued_before"]}]}')
      assert.is_nil(m.users:get "alice".revoke_tokens_issued_before)
    end)

    for name, case in pairs {
      ["a user who does not exist"] = { '{"users":[{"id":"nobody","set":{}}]}', 404, 16 },
      ["a good one before a bad one"] =
        { '{"users":[{"id":"alice","set":{"name":"x"}},{"id":"nobody"}]}', 404, 16 },
      ["a user twice"] = { '{"users":[{"id":"alice","set":{"a":1}},{"id":"alice","set":{"b":1}}]}', 400, 4 },
      ["no list"] = { '{"users":{"alice":{}}}', 400, 4 },
      ["an empty list"] = { '{"users":[]}', 400, 4 },
      ["no id"] = { '{"users":[{"set":{}}]}', 400, 4 },
      ["a set that is no object"] = { '{"users":[{"id":"alice","set":[]}]}', 400, 4 },
      ["an unset that is no list"] = { '{"users":[{"id":"alice","unset":"name"}]}', 400, 4 },
      ["an unset of numbers"] = { '{"users":[{"id":"alice","unset":[1]}]}', 400, 4 },
      ["another id"] = { '{"users":[{"id":"alice","set":{"id":"bob"}}]}', 400, 4 },
      ["unsetting the id"] = { '{"users":[{"id":"alice","unset":["id"]}]}', 400, 4 },
      ["unsetting a time"] = { '{"users":[{"id":"alice","unset":["created_at"]}]}', 400, 4 },
      ["the inside of a reserved field"] = { '{"users":[{"id":"alice","set":{"role.x":1}}]}', 400, 4 },
      ["the inside of a server's field"] = { '{"users":[{"id":"alice","set":{"created_at.x":1}}]}', 400, 4 },
      ["a way through a list"] = { '{"users":[{"id":"alice","set":{"tags.x":1}}]}', 400, 4 },
      ["a wrong role"] = { '{"users":[{"id":"alice","set":{"role":"king"}}]}', 400, 4 },
      ["a path that nests too deep"] =
        { '{"users":[{"id":"alice","set":{"' .. ("a."):rep(20) .. 'b":1}}]}', 400, 4 },
      ["a path of very many parts"] =
        { '{"users":[{"id":"alice","unset":["' .. ("a."):rep(500000) .. 'b"]}]}', 400, 4 },
      ["too much"] = { '{"users":[{"id":"alice","set":{"x":"' .. ("x"):rep(5200) .. '"}}]}', 413, 22 },
    } do
      it("refuses " .. name .. " and changes nothing", function()
        local before = everything()
        local status, answer = patch("server", case[1])
        assert.same({ case[2], case[3] }, { status, answer.code }, answer.message)
        assert.same(before, everything())
      end)
    end
  end)

  describe("clients", function()
    before_each(function()
      assert(m.users:upsert("alice", json '{"name":"Alice","teams":["red"],"age":7}', { trusted = true }))
      assert(m.users:upsert("bob", {}, { trusted = true }))
    end)

    it("may change themselves", function()
      local status, answer = m:request("alice", "POST", "/users", '{"users":{"alice":{"name":"A","n":1}}}')
      assert.equal(201, status)
      assert.same({ "A", 1, nil, { "red" } },
        { answer.users.alice.name, answer.users.alice.n, answer.users.alice.age, answer.users.alice.teams })
      assert.equal(200, (m:request("alice", "PATCH", "/users", '{"users":[{"id":"alice","set":{"n":2}}]}')))
      assert.equal(2, public "alice".n)
    end)

    it("stay what they are when they say nothing of it", function()
      assert(m.users:upsert("gerd", json '{"role":"guest"}', { trusted = true }))
      local status, answer = m:request("gerd", "POST", "/users", '{"users":{"gerd":{"name":"G"}}}')
      assert.same({ 201, "guest" }, { status, answer.users.gerd.role })
    end)

    it("may repeat the role and the teams they have", function()
      assert.equal(201, (m:request("alice", "POST", "/users",
        '{"users":{"alice":{"role":"user","teams":["red"]}}}')))
    end)

    for name, case in pairs {
      ["others"] = { "alice", "POST", '{"users":{"bob":{"name":"B"}}}' },
      ["others beside themselves"] = { "alice", "POST", '{"users":{"alice":{},"bob":{}}}' },
      ["others by PATCH"] = { "alice", "PATCH", '{"users":[{"id":"bob","set":{"name":"B"}}]}' },
      ["somebody new"] = { "alice", "POST", '{"users":{"carol":{}}}' },
      ["their role"] = { "alice", "POST", '{"users":{"alice":{"role":"admin"}}}' },
      ["their role by PATCH"] = { "alice", "PATCH", '{"users":[{"id":"alice","set":{"role":"admin"}}]}' },
      ["their teams"] = { "alice", "POST", '{"users":{"alice":{"teams":["blue"]}}}' },
      ["their teams by PATCH"] = { "alice", "PATCH", '{"users":[{"id":"alice","unset":["teams"]}]}' },
      ["what revokes their tokens"] = {
        "alice", "PATCH",
        '{"users":[{"id":"alice","set":{"revoke_tokens_issued_before":"2000-01-01T00:00:00Z"}}]}',
      },
      ["anybody without a token"] = { nil, "POST", '{"users":{"!anon":{}}}' },
    } do
      it("may not change " .. name, function()
        local before = everything()
        local status, answer = m:request(case[1], case[2], "/users", case[3])
        assert.same({ 403, 17 }, { status, answer.code })
        assert.same(before, everything())
      end)
    end
  end)

  describe("connect", function()
    it("makes the user, and ignores role and teams", function()
      local user = assert(m.users:connect("alice", json
        '{"id":"alice","name":"Alice","role":"admin","teams":["red"],"role2":1,"invisible":false}'))
      assert.same({ "Alice", "user", {}, 1 }, { user.name, user.role, user.teams, user.custom.role2 })
      assert.is_true(public "alice".online)
      assert.equal("2026-01-01T00:00:00Z", public "alice".last_active)
      m = m:restart()
      assert.equal("Alice", public "alice".name)
      assert.is_false(public "alice".online)
    end)

    it("adds and changes fields, and never removes one", function()
      m.users:connect("alice", json '{"name":"Alice","a":1,"b":{"c":1}}')
      m.clock = m.clock + 1
      m.users:connect("alice", json '{"name":null,"b":{"d":2},"e":3}')
      local found = public "alice"
      assert.same({ "Alice", 1, { d = 2 }, 3 }, { found.name, found.a, found.b, found.e })
      assert.equal("2026-01-01T00:00:01Z", found.updated_at)
      m = m:restart()
      assert.equal(3, public "alice".e)
    end)

    it("with nothing new is no update", function()
      m.users:connect("alice", json '{"name":"Alice","a":[1,{}]}')
      m.clock = m.clock + 1
      for _, details in ipairs { '{"id":"alice"}', '{"name":"Alice","a":[1,{}]}' } do
        m.users:connect("alice", json(details))
        assert.equal("2026-01-01T00:00:00Z", public "alice".updated_at)
        assert.equal("2026-01-01T00:00:01Z", public "alice".last_active)
      end
    end)

    it("keeps apart what only looks the same", function()
      m.users:connect("alice", json '{"a":1,"b":[]}')
      m.users:connect("alice", json '{"a":1.0,"b":{}}')
      assert.equal("float", math.type(public "alice".a))
      assert.is_nil(getmetatable(public "alice".b))
    end)

    for name, case in pairs {
      ["a wrong date"] = { '{"created_at":"helloworld"}', 4 },
      ["a wrong name"] = { '{"name":{}}', 4 },
      ["another id"] = { '{"id":"bob"}', 4 },
      ["too much data"] = { '{"x":"' .. ("x"):rep(5200) .. '"}', 22 },
    } do
      it("refuses " .. name .. " and changes nothing", function()
        assert(m.users:upsert("alice", { name = "Alice" }, { trusted = true }))
        local before = everything()
        local user, failure = m.users:connect("alice", json(case[1]))
        assert.is_nil(user)
        assert.equal(case[2], failure.code)
        assert.same(before, everything())
        assert.is_false(public "alice".online)
        assert.is_nil(m.users:connect("carol", json(case[1])))
        assert.is_nil(m.users:get "carol")
      end)
    end

    it("refuses the deactivated until they are reactivated, and the deleted", function()
      m.users:connect "alice"
      assert(m.users:deactivate "alice")
      local _, failure = m.users:connect("alice", { name = "x" })
      assert.matches("was deactivated", failure.message)
      assert(m.users:reactivate "alice")
      assert.is_truthy(m.users:connect "alice")
      assert(m.users:delete "alice")
      _, failure = m.users:connect "alice"
      assert.matches("was deleted", failure.message)
      _, failure = m:restart().users:connect "alice"
      assert.matches("was deleted", failure.message)
      assert.equal(16, select(2, m.users:reactivate "alice").code)
      assert.equal(400, (m:request("server", "POST", "/users", '{"users":{"alice":{}}}')))
    end)

    it("lets nobody see who is invisible", function()
      m.users:connect("alice", { invisible = true })
      assert.is_false(public "alice".online)
      assert.is_nil(public "alice".invisible)
    end)
  end)

  it("does without writing the time of the last activity when the store fails", function()
    m.users:connect "alice"
    local put = m.store.put
    m.store.put = function() error "the disk is full" end
    m.clock = m.clock + 3600
    assert(m.users:connect "alice")
    m.users:touch "alice"
    m.users:set_online("alice", false)
    assert.is_false(public "alice".online)
    m.store.put = put
    m.users:touch "alice"
    assert.equal("2026-01-01T01:00:00Z", m:restart().users:get "alice".last_active)
  end)

  it("writes the time of the last activity only now and then", function()
    m.users:connect "alice"
    local function stored() return m:restart().users:get "alice".last_active end
    local steps =
      { { 600, "00:00:00" }, { 299, "00:00:00" }, { 1, "00:15:00" }, { 899, "00:15:00" } }
    for _, case in ipairs(steps) do
      m.clock = m.clock + case[1]
      m.users:touch "alice"
      assert.equal("2026-01-01T" .. case[2] .. "Z", stored())
    end
    assert.equal("2026-01-01T00:29:59Z", public "alice".last_active)
    m.users:touch "nobody"
    m.users:set_online("nobody", true)
  end)

  describe("POST /guest", function()
    local function post(body) return m:request(nil, "POST", "/guest", body) end

    it("makes a guest and a token for it", function()
      local status, answer = post '{"user":{"id":"zoe","name":"Zoe","role":"admin","age":3}}'
      assert.equal(201, status)
      assert.matches("^guest%-%x+%-%x+%-%x+%-%x+%-%x+%-zoe$", answer.user.id)
      assert.same({ "guest", "Zoe", 3 }, { answer.user.role, answer.user.name, answer.user.age })
      assert.equal(answer.user.id, assert(token.verify(answer.access_token, models.SECRET)).user_id)
      local caller = assert(m.auth:http(
        { headers = { authorization = answer.access_token } }, { api_key = models.KEY }))
      assert.equal("guest", caller.kind)
      local _, other = post '{"user":{"id":"zoe"}}'
      assert.not_equal(answer.user.id, other.user.id)
    end)

    for name, body in pairs {
      ["no user"] = "{}",
      ["a user that is no object"] = '{"user":"zoe"}',
      ["no id"] = '{"user":{"name":"Zoe"}}',
      ["a bad id"] = '{"user":{"id":"a b"}}',
      ["an id too long with what goes before it"] = { user = { id = ("a"):rep(230) } },
      ["a wrong name"] = '{"user":{"id":"zoe","name":1}}',
    } do
      it("refuses " .. name, function()
        local before = everything()
        local status, answer = post(body)
        assert.same({ 400, 4 }, { status, answer.code })
        assert.same(before, everything())
      end)
    end

    it("refuses everybody while the app says so", function()
      assert(m.app:update { guest_user_creation_disabled = true })
      local status, answer = post '{"user":{"id":"zoe"}}'
      assert.same({ 403, 17 }, { status, answer.code })
    end)
  end)

  describe("GET /users", function()
    before_each(function()
      for i, id in ipairs { "alice", "bob", "carol", "dave" } do
        m.clock = m.clock + 1
        assert(m.users:upsert(id, {
          name = id:upper(), role = i == 4 and "admin" or "user", level = i, secret = i == 1 or nil,
          privacy_settings = { x = 1 },
        }, { trusted = true }))
      end
    end)

    local function query(payload, as)
      local escaped = payload:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end)
      local status, answer = m:request(as or "server", "GET", "/users?payload=" .. escaped)
      if status ~= 200 then return status, answer end
      local ids = {}
      for i, user in ipairs(answer.users) do
        ids[i] = user.id
        assert.is_nil(user.privacy_settings)
      end
      return table.concat(ids, " "), answer
    end

    for name, case in pairs {
      ["without a filter gives the newest first"] = { "{}", "dave carol bob alice" },
      ["by id"] = { '{"filter_conditions":{"id":"bob"}}', "bob" },
      ["$eq"] = { '{"filter_conditions":{"id":{"$eq":"bob"}}}', "bob" },
      ["$in"] = { '{"filter_conditions":{"id":{"$in":["bob","nobody","alice"]}}}', "bob alice" },
      ["$nin"] = { '{"filter_conditions":{"id":{"$nin":["bob","alice"]}}}', "dave carol" },
      ["a list"] = { '{"filter_conditions":{"id":["bob"]}}', "bob" },
      ["role"] = { '{"filter_conditions":{"role":"admin"}}', "dave" },
      ["$autocomplete"] = { '{"filter_conditions":{"name":{"$autocomplete":"ca"}}}', "carol" },
      ["custom fields"] = { '{"filter_conditions":{"level":{"$gte":2,"$lt":4}}}', "carol bob" },
      ["$gt and $lte"] = { '{"filter_conditions":{"level":{"$gt":2,"$lte":4}}}', "dave carol" },
      ["$exists"] = { '{"filter_conditions":{"secret":{"$exists":true}}}', "alice" },
      ["null"] = { '{"filter_conditions":{"secret":null,"level":{"$ne":2}}}', "dave carol" },
      ["$or"] = { '{"filter_conditions":{"$or":[{"id":"bob"},{"role":"admin"}]}}', "dave bob" },
      ["$and with $nor"] =
        { '{"filter_conditions":{"$and":[{"role":"user"},{"$nor":[{"id":"bob"}]}]}}', "carol alice" },
      ["a private field matches nothing"] =
        { '{"filter_conditions":{"privacy_settings":{"$exists":true}}}', "" },
      ["different types do not compare"] = { '{"filter_conditions":{"level":{"$gt":"1"}}}', "" },
      ["sorted"] = { '{"sort":[{"field":"role","direction":1},{"field":"id","direction":1}]}',
        "dave alice bob carol" },
      ["sorted downwards"] = { '{"sort":[{"field":"level","direction":-1}]}', "dave carol bob alice" },
      ["those without the field last"] = { '{"sort":[{"field":"secret"}]}', "alice dave carol bob" },
      ["a page"] = { '{"limit":2,"offset":1}', "carol bob" },
      ["a page behind the end"] = { '{"offset":9}', "" },
    } do
      it(name, function() assert.equal(case[2], (query(case[1]))) end)
    end

    it("is open to users and guests, not to the anonymous", function()
      assert.equal("dave", (query('{"limit":1}', "alice")))
      local status, answer = m:request(nil, "GET", "/users")
      assert.same({ 403, 17 }, { status, answer.code })
    end)

    it("shows neither the deleted nor, unless asked for, the deactivated", function()
      m.users:delete "alice"
      m.users:deactivate "bob"
      assert.equal("dave carol", (query "{}"))
      assert.equal("dave carol bob", (query '{"include_deactivated_users":true}'))
    end)

    for name, payload in pairs {
      ["an unknown operator"] = '{"filter_conditions":{"id":{"$like":"a"}}}',
      ["an unknown combination"] = '{"filter_conditions":{"$xor":[]}}',
      ["an empty combination"] = '{"filter_conditions":{"$or":[]}}',
      ["a filter that is no object"] = '{"filter_conditions":[]}',
      ["a list of lists"] = '{"filter_conditions":{"id":{"$in":[[]]}}}',
      ["an $in without a list"] = '{"filter_conditions":{"id":{"$in":"bob"}}}',
      ["a deep filter"] = '{"filter_conditions":' .. ('{"$and":['):rep(9) .. "{}" .. ("]}"):rep(9) .. "}",
      ["a sort that is no list"] = '{"sort":{"id":1}}',
      ["a wrong direction"] = '{"sort":[{"field":"id","direction":2}]}',
      ["a wrong limit"] = '{"limit":101}',
      ["a limit that is no number"] = '{"limit":"1"}',
      ["a negative offset"] = '{"offset":-1}',
      ["an offset too far"] = '{"offset":1001}',
      ["no JSON"] = '{"limit"',
    } do
      it("refuses " .. name, function()
        local status, answer = query(payload)
        assert.same({ 400, 4 }, { status, answer.code })
      end)
    end

    it("refuses a filter with too many conditions", function()
      local many = {}
      for i = 1, 300 do many[i] = { id = "a" } end
      local ok, failure = m.users:query { filter_conditions = { ["$or"] = native.json.array(many) } }
      assert.is_nil(ok)
      assert.matches("256 conditions", failure.message)
    end)
  end)

  describe("anonymous", function()
    it("is a user who is not stored", function()
      local user = m.users:anonymous()
      assert.equal("!anon", user.id)
      assert.same({ "anonymous", true }, { json(m.users:json(user)).role, json(m.users:json(user)).online })
      assert.is_nil(m.users:get "!anon")
    end)
  end)

  it("changes nothing when the database cannot be written", function()
    assert(m.users:upsert("alice", { name = "Alice" }, { trusted = true }))
    local before = public "alice"
    m.store.put = function() error "disk full" end
    for _, call in ipairs {
      function() m.users:upsert("alice", { name = "B" }, { trusted = true }) end,
      function() m.users:patch("alice", { name = "B" }, nil, { trusted = true }) end,
      function() m.users:connect("alice", { name = "B" }) end,
      function() m.users:connect("bob") end,
      function() m.users:delete "alice" end,
      function() m.app:update { name = "B" } end,
      function() m.channel_types:update("messaging", { custom_events = false }) end,
      function() m.channel_types:create { name = "lobby" } end,
    } do
      assert.has_error(call)
    end
    assert.same(before, public "alice")
    assert.is_nil(m.users:get "bob")
    assert.not_equal("B", m.app:get "name")
    assert.is_true(m.channel_types:config("messaging").custom_events)
    assert.is_nil(m.channel_types:get "lobby")
  end)
end)
