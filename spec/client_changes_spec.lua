--- What the service takes only as a whole and a backend changes in part: grants of a role, event hooks.
local backend_case = require "support.backend_case"
local native = require "stream_events.native"
local stream_events = require "stream_events"

local answering, backend, FAILED = backend_case.answering, backend_case.backend, backend_case.FAILED

describe("lists of an answer", function()
  it("stay lists, so that what was read can be written back", function()
    local fake, client = backend()
    answering(fake, '{"users":[{"id":"a","teams":[],"big":9007199254740993,"none":null}]}')
    local users = assert(client:query_users())
    local text = native.json.encode(users[1])
    assert.truthy(text:find('"teams":[]', 1, true), text)
    assert.equal(native.json.null, users[1].none)
  end)

  it("are read also where the nesting is deeper than an event's may be", function()
    local fake, client = backend()
    local deep = ('{"a":'):rep(35) .. "1" .. ("}"):rep(35)
    answering(fake, '{"users":[{"id":"a","deep":' .. deep .. "}]}")
    assert.equal("a", assert(client:query_users())[1].id)
  end)
end)

describe("add_grants and remove_grants", function()
  local READ = '{"name":"team","grants":{"user":["read-channel","create-channel"],"guest":["x"]}}'

  for name, case in pairs {
    ["add, each once and behind those that are there"] = {
      call = function(client)
        return client:add_grants("team", "user", { "join-channel", "read-channel", "join-channel" })
      end,
      list = { "create-channel", "join-channel", "read-channel" },
    },
    ["add to a role that had none"] = {
      call = function(client) return client:add_grants("team", "admin", "read-channel") end,
      role = "admin", list = { "read-channel" },
    },
    ["remove, and pass over what is not there"] = {
      call = function(client) return client:remove_grants("team", "user", { "read-channel", "fly" }) end,
      list = { "create-channel" },
    },
    ["remove the last, which leaves a list"] = {
      call = function(client) return client:remove_grants("team", "guest", "x") end,
      role = "guest", list = {}, text = '"guest":[]',
    },
  } do
    it(name, function()
      local fake, client = backend()
      answering(fake, READ, "{}")
      local list = assert(case.call(client))
      local sorted = {}
      for i, permission in ipairs(list) do sorted[i] = permission end
      table.sort(sorted)
      assert.same(case.list, sorted)
      local write = fake.requests[2]
      assert.same({ "PUT", "/channeltypes/team" }, { write.method, write.path })
      assert.same({ grants = { [case.role or "user"] = list } }, native.json.decode(write.body))
      if case.text then assert.truthy(write.body:find(case.text, 1, true)) end
    end)
  end

  it("change the app's scope", function()
    local fake, client = backend()
    answering(fake, '{"app":{"grants":{"guest":["search-user"]}}}', "{}")
    assert.same({}, (client:remove_grants(".app", "guest", "search-user")))
    assert.same({ "PATCH", "/app", '{"grants":{"guest":[]}}' },
      { fake.requests[2].method, fake.requests[2].path, fake.requests[2].body })
  end)

  it("give the error of either request, and write nothing after the first", function()
    local fake, client = backend()
    answering(fake, FAILED)
    local result, err = client:add_grants("team", "user", "x")
    assert.same({ nil, -1 }, { result, err.code })
    answering(fake, READ, FAILED)
    result, err = client:add_grants("team", "user", "x")
    assert.same({ nil, -1 }, { result, err.code })
  end)
end)

describe("a change of what is only written as a whole", function()
  it("waits for the one before, whatever becomes of that", function()
    local fake, client = backend()
    fake.answer = function() return nil end
    local ended = {}
    for i = 1, 3 do
      client:add_event_hook({ id = "h" .. i, webhook_url = "http://x/" }, function(_, err)
        ended[i] = err and "failed" or "done"
      end)
    end
    client:add_grants("team", "user", "x", function() ended.grants = true end) -- another subject
    local function requests() return #fake.requests end
    assert.equal(2, requests()) -- one of the hooks, one of the grants
    fake.reply(fake.requests[1], 500, "{}")
    client:poll(1)
    assert.equal("failed", ended[1])
    assert.equal(3, requests())
    fake.reply(fake.requests[3], 200, '{"app":{"event_hooks":[]}}')
    client:poll(1)
    assert.equal(4, requests()) -- the third has not begun to read
    fake.reply(fake.requests[4], 200, "{}")
    client:poll(1)
    assert.equal("done", ended[2])
    assert.equal("GET", fake.requests[5].method)
    client:close()
    client:poll(1)
    assert.equal("failed", ended[3])
  end)
end)

describe("event hooks", function()
  local OTHER = { id = "other", webhook_url = "http://o/", event_types = {}, callback = native.json.null,
    failover_config = {} }
  local ONE = { id = "one", webhook_url = "http://a/", event_types = { "x" }, enabled = true, timeout_ms = 5 }
  local READ = native.json.encode { app = { event_hooks = native.json.array {
    { id = "other", webhook_url = "http://o/", event_types = native.json.array {},
      callback = native.json.null, failover_config = {} },
    ONE,
  } } }

  local function written(fake)
    local request = fake.requests[2]
    assert.same({ "PATCH", "/app" }, { request.method, request.path })
    -- The untouched one goes back as it came, its empty list included.
    assert.truthy(request.body:find('"event_types":[]', 1, true), request.body)
    return native.json.decode(request.body).event_hooks
  end

  it("are added behind the others, with an id", function()
    local fake, client = backend()
    answering(fake, READ, "{}")
    local hook = assert(client:add_event_hook {
      webhook_url = "https://b/", should_send_custom_events = true,
    })
    assert.equal(36, #hook.id)
    assert.same({ OTHER, ONE, {
      id = hook.id, webhook_url = "https://b/", should_send_custom_events = true, hook_type = "webhook",
      enabled = true,
    } }, written(fake))
  end)

  it("can be made switched off, for all types", function()
    local fake, client = backend()
    answering(fake, '{"app":{}}', "{}")
    assert(client:add_event_hook {
      id = "mine", webhook_url = "https://b/", enabled = false, event_types = {},
    })
    assert.same({ { id = "mine", webhook_url = "https://b/", hook_type = "webhook", enabled = false,
      event_types = {} } }, written(fake))
  end)

  it("are not added twice under one id", function()
    local fake, client = backend()
    answering(fake, READ)
    local result, err = client:add_event_hook { id = "one", webhook_url = "https://b/" }
    assert.same({ nil, "api", 4 }, { result, err.kind, err.code })
  end)

  it("are changed in the fields that are named", function()
    local fake, client = backend()
    answering(fake, READ, "{}")
    local hook = assert(client:update_event_hook("one",
      { enabled = false, timeout_ms = stream_events.null, event_types = { "y" } }))
    local expected = { id = "one", webhook_url = "http://a/", event_types = { "y" }, enabled = false }
    assert.same(expected, hook)
    assert.same({ OTHER, expected }, written(fake))
  end)

  it("are removed one by one", function()
    local fake, client = backend()
    answering(fake, READ, "{}")
    assert.is_true(client:remove_event_hook "one")
    assert.same({ OTHER }, written(fake))
  end)

  it("that are not there are neither changed nor removed", function()
    local fake, client = backend()
    for _, call in ipairs {
      function() return client:update_event_hook("nobody", {}) end,
      function() return client:remove_event_hook "nobody" end,
    } do
      answering(fake, READ)
      local result, err = call()
      assert.same({ nil, "api", 16, 404 }, { result, err.kind, err.code, err.status })
      assert.truthy(err.hint:find("list_event_hooks", 1, true))
    end
  end)

  it("give the error of either request", function()
    local fake, client = backend()
    answering(fake, READ, FAILED)
    local result, err = client:remove_event_hook "one"
    assert.same({ nil, -1 }, { result, err.code })
    answering(fake, '{"app":7}')
    result, err = client:remove_event_hook "one"
    assert.same({ nil, "protocol" }, { result, err.kind })
  end)
end)
