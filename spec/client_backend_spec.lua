--- The calls of a backend: what goes over the wire, and what comes back.
local backend_case = require "support.backend_case"
local fakes = require "support.fake_transport"
local native = require "stream_events.native"
local tokens = require "stream_events.token"

local SECRET = "lan-dev-secret"

local backend = backend_case.backend

for name, case in pairs {
  upsert_users = {
    call = { "upsert_users", { { id = "a", name = "A" }, { id = "b" } } },
    sends = { "POST", "/users", { users = { a = { id = "a", name = "A" }, b = { id = "b" } } } },
    answer = '{"users":{"a":{"id":"a","role":"user"}}}', gives = { a = { id = "a", role = "user" } },
  },
  ["upsert_users of one"] = {
    call = { "upsert_users", { id = "a" } },
    sends = { "POST", "/users", { users = { a = { id = "a" } } } },
    answer = '{"users":{}}', gives = {},
  },
  update_users = {
    call = { "update_users", { { id = "a", set = { x = 1 }, unset = {} } } },
    sends = { "PATCH", "/users", { users = { { id = "a", set = { x = 1 }, unset = {} } } } },
    answer = '{"users":{"a":{"id":"a"}}}', gives = { a = { id = "a" } },
  },
  query_users = {
    call = { "query_users", { id = { ["$in"] = { "a" } } }, { limit = 5 } },
    sends = { "GET", "/users" },
    payload = { filter_conditions = { id = { ["$in"] = { "a" } } }, sort = {}, limit = 5 },
    answer = '{"users":[{"id":"a"}]}', gives = { { id = "a" } },
  },
  send_user_custom_event = {
    call = { "send_user_custom_event", "a@b", { type = "gift", n = 1 } },
    sends = { "POST", "/users/a%40b/event", { event = { type = "gift", n = 1 } } },
    answer = '{"duration":"1ms"}', gives = true,
  },
  list_channel_types = {
    call = { "list_channel_types" },
    sends = { "GET", "/channeltypes" },
    answer = '{"channel_types":{"team":{"name":"team"}}}', gives = { team = { name = "team" } },
  },
  get_channel_type = {
    call = { "get_channel_type", "team" },
    sends = { "GET", "/channeltypes/team" },
    answer = '{"name":"team","custom_events":true,"duration":"1ms"}',
    gives = { name = "team", custom_events = true },
  },
  create_channel_type = {
    call = { "create_channel_type", "lan", { commands = {} } },
    sends = { "POST", "/channeltypes", { name = "lan", commands = {} } },
    answer = '{"name":"lan","duration":"1ms"}', gives = { name = "lan" },
  },
  update_channel_type = {
    call = { "update_channel_type", "team", { custom_events = false, grants = { guest = {} } } },
    sends = { "PUT", "/channeltypes/team", { custom_events = false, grants = { guest = {} } } },
    text = '"guest":[]', answer = '{"name":"team","duration":"1ms"}', gives = { name = "team" },
  },
  delete_channel_type = {
    call = { "delete_channel_type", "lan" },
    sends = { "DELETE", "/channeltypes/lan" }, answer = '{"duration":"1ms"}', gives = true,
  },
  get_app = {
    call = { "get_app" },
    sends = { "GET", "/app" }, answer = '{"app":{"name":"x"}}', gives = { name = "x" },
  },
  update_app = {
    call = { "update_app", { disable_auth_checks = true } },
    sends = { "PATCH", "/app", { disable_auth_checks = true } }, answer = '{"duration":"1ms"}', gives = true,
  },
  sync = {
    call = { "sync", { "messaging:a" }, "2026-01-01T00:00:00Z" },
    sends = { "POST", "/sync", { channel_cids = { "messaging:a" }, last_sync_at = "2026-01-01T00:00:00Z" } },
    answer = '{"events":[]}', gives = {},
  },
} do
  describe(name, function()
    for sentence, check in pairs(backend_case.checks(case)) do it(sentence, check) end
  end)
end

describe("a backend's call without the secret", function()
  for name, call in pairs {
    send_user_custom_event = function(client) return client:send_user_custom_event("a", { type = "x" }) end,
    update_channel_type = function(client) return client:update_channel_type("a", {}) end,
    list_channel_types = function(client) return client:list_channel_types() end,
    delete_channel_type = function(client) return client:delete_channel_type("a") end,
    update_app = function(client) return client:update_app {} end,
    create_token = function(client) return client:create_token("a") end,
  } do
    it(name .. " is refused without asking", function()
      local fake = fakes.new()
      local client = fake.connected()
      local result, err = call(client)
      assert.is_nil(result)
      assert.equal("auth", err.kind)
      assert.truthy(err.message:find("only a backend", 1, true))
      assert.same({}, fake.requests)
    end)
  end

  for name, call in pairs {
    query_users = function(client) return client:query_users() end,
    get_app = function(client) return client:get_app() end,
    upsert_users = function(client) return client:upsert_users { { id = "john" } } end,
  } do
    it(name .. " is made as the user", function()
      local fake = fakes.new()
      fake.answer = function() return 200, '{"users":[],"app":{}}' end
      local client = fake.connected()
      assert.is_truthy(call(client))
      assert.truthy(fake.requests[1].query:find("user_id=john", 1, true))
      assert.truthy(fake.requests[1].headers:find("Authorization: " .. fake.token, 1, true))
    end)
  end
end)

describe("misuse of a backend's call", function()
  for name, call in pairs {
    ["a user without an id"] = function(client) local _ = client:upsert_users { { name = "x" } } end,
    ["users that are a text"] = function(client) local _ = client:upsert_users "john" end,
    ["user data that is no JSON"] = function(client)
      local _ = client:upsert_users { { id = "a", f = print } }
    end,
    ["a change without an id"] = function(client) local _ = client:update_users { {} } end,
    ["a filter that is a text"] = function(client) local _ = client:query_users "x" end,
    ["an id with a slash"] = function(client)
      local _ = client:send_user_custom_event("a/b", { type = "x" })
    end,
    ["an event without a type"] = function(client) local _ = client:send_user_custom_event("a", {}) end,
    ["an event that is a text"] = function(client) local _ = client:send_user_custom_event("a", "x") end,
    ["a type with a slash"] = function(client) local _ = client:get_channel_type "../app" end,
    ["a configuration that is none"] = function(client) local _ = client:update_channel_type("a", true) end,
    ["a cid without a colon"] = function(client) local _ = client:sync({ "general" }, "x") end,
    ["a sync without a time"] = function(client) local _ = client:sync({ "a:b" }) end,
    ["a token without a user"] = function(client) local _ = client:create_token() end,
    ["a token with a misspelt expiry"] = function(client)
      local _ = client:create_token("john", { expires = 4000000000 })
    end,
    ["a token with options that are none"] = function(client) local _ = client:create_token("john", 60) end,
    ["a sort that is none"] = function(client) local _ = client:query_users({}, { sort = "id" }) end,
    ["changes to a user that are none"] = function(client)
      local _ = client:update_users { { id = "john", set = 7 } }
    end,
    ["fields to take away that are no list"] = function(client)
      local _ = client:update_users { { id = "john", unset = "name" } }
    end,
  } do
    it("raises on " .. name, function()
      local fake, client = backend()
      local ok, message = pcall(call, client)
      assert.is_false(ok)
      assert.truthy(message:find("client_backend_spec", 1, true), "blames the caller: " .. message)
      assert.same({}, fake.requests)
    end)
  end
end)

describe("create_token", function()
  it("signs what connect_user takes", function()
    local fake, client = backend()
    local token = assert(client:create_token("john", { exp = 4000000000 }))
    assert.same({ user_id = "john", exp = 4000000000 }, tokens.verify(token, SECRET))
    assert.is_truthy(client:connect_user({ id = "john" }, token))
    assert.equal(1, #fake.sockets)
  end)
end)

describe("send_user_custom_event", function()
  it("checks the data as channel events do", function()
    local fake, client = backend()
    for _, event in ipairs { { type = "" }, { type = "x", user = 1 }, { type = "x", t = ("x"):rep(6000) } } do
      local result, err = client:send_user_custom_event("a", event)
      assert.is_nil(result)
      assert.is_true(err.kind == "protocol" or err.kind == "full")
    end
    assert.same({}, fake.requests)
  end)
end)

describe("query_channels", function()
  local function answer(...)
    local list = {}
    for i, id in ipairs { ... } do
      list[i] = {
        channel = { type = "messaging", id = id, cid = "messaging:" .. id, own_capabilities = { "x" } },
      }
    end
    return native.json.encode { channels = native.json.array(list) }
  end

  it("gives the channel objects, up to date", function()
    local fake = fakes.new()
    local client = fake.connected()
    local known = client:channel("messaging", "a")
    fake.answer = function() return 201, answer("a", "b") end
    local channels = assert(client:query_channels({ type = "messaging" }, { limit = 2 }))
    assert.equal(2, #channels)
    assert.equal(known, channels[1])
    assert.equal(client:channel("messaging", "b"), channels[2])
    assert.is_true(channels[2]:can "x")
    assert.is_false(channels[1].watching)
    assert.same({ filter_conditions = { type = "messaging" }, sort = {}, limit = 2, state = true },
      native.json.decode(fake.requests[1].body))
  end)

  it("watches them, and goes on after a reconnect", function()
    local fake = fakes.new()
    local client = fake.connected()
    fake.answer = function(request)
      if request.path == "/channels" then return 201, answer("a", "b") end
      return fake.usual_answer(request)
    end
    local changed = 0
    client:subscribe_for("capabilities.changed", function() changed = changed + 1 end)
    local channels = assert(client:query_channels({}, { watch = true }))
    assert.truthy(fake.requests[1].query:find("connection_id=connection-1", 1, true))
    assert.is_true(channels[1].watching and channels[2].watching)
    fake.socket:finish("network", "reset")
    for _ = 1, 5 do client:poll(5) end
    assert.equal(2, #fake.requests)
    assert.same({ "messaging:b", "messaging:a" }, fakes.cids_of(fake.requests[2]))
    assert.equal(0, changed)
  end)

  it("needs a connection to watch", function()
    local fake, client = backend()
    local result, err = client:query_channels({}, { watch = true })
    assert.is_nil(result)
    assert.equal("closed", err.kind)
    assert.same({}, fake.requests)
  end)

  it("leaves out what is no channel", function()
    local fake = fakes.new()
    fake.answer = function()
      return 201, '{"channels":[1,{},{"channel":{"id":"a/b","type":"x"}},{"channel":7}]}'
    end
    assert.same({}, fake.connected():query_channels())
  end)
end)
