--- The register of signed-in connections, without sockets: groups, ownership, unasked health checks.
local connections = require "stream_events.server.connections"
local native = require "stream_events.native"

-- The part of a listener that connections use; writes down what was sent and who is in which group.
local function fake_listener()
  local listener = { sent = {}, groups = {} }
  function listener:send(number, text)
    self.sent[#self.sent + 1] = { number = number, event = native.json.decode(text) }
    return true
  end
  function listener:join(group, number)
    self.groups[group] = self.groups[group] or {}
    self.groups[group][number] = true
    return true
  end
  function listener:leave(group, number)
    self.groups[group][number] = nil
    return true
  end
  return listener
end

local function user(id) return { kind = "user", id = id, user = { id = id } } end
local function anonymous() return { kind = "anonymous", id = "!anon", user = { id = "!anon" } } end

describe("connections", function()
  local listener, register
  before_each(function()
    listener = fake_listener()
    register = connections.new(listener)
  end)

  it("knows the last of a user", function()
    for number, name in ipairs { "alice", "alice", "bob" } do register:open(number, user(name)) end
    assert.is_false(select(2, register:close(1)))
    assert.is_true(select(2, register:close(2)))
    assert.is_nil(register:close(2))
    assert.equal(1, register.count)
  end)

  it("has all connections of a user in one group, and anonymous ones in none", function()
    register:open(1, user "alice")
    register:open(2, user "alice")
    register:open(3, user "bob")
    register:open(4, anonymous())
    assert.same({ true, true }, listener.groups[register:group_of "alice"])
    assert.not_equal(register:group_of "alice", register:group_of "bob")
    assert.is_nil(register:group_of "!anon")
    register:close(1)
    assert.same({ [2] = true }, listener.groups[register:group_of "alice"])
    register:close(2)
    assert.is_nil(register:group_of "alice")
  end)

  it("finds a connection for its owner only", function()
    local mine = register:open(1, user "alice")
    local nobody = register:open(2, anonymous())
    assert.equal(mine, register:find(mine.id, user "alice"))
    assert.is_nil(register:find(mine.id, user "bob"))
    assert.is_nil(register:find(mine.id, anonymous()))
    assert.is_nil(register:find(nobody.id, user "alice"))
    assert.equal(nobody, register:find(nobody.id, anonymous()))
    assert.is_nil(register:find("abc", user "alice"))
    assert.is_nil(register:find(nil, user "alice"))
    register:close(1)
    assert.is_nil(register:find(mine.id, user "alice"))
  end)

  it("counts anonymous connections as different watchers, those of a user as one", function()
    assert.equal((register:open(1, user "alice")).key, (register:open(2, user "alice")).key)
    assert.not_equal((register:open(3, anonymous())).key, (register:open(4, anonymous())).key)
  end)

  it("sends a health check after 25 to 30 seconds without one", function()
    local connection = register:open(1, user "alice")
    local start = native.now()
    for second = 1, 24 do register:tick(start + second) end
    assert.equal(0, #listener.sent)
    for second = 25, 30 do register:tick(start + second) end
    assert.equal(1, #listener.sent)
    local check = listener.sent[1].event
    assert.same({ 1, "health.check", connection.id, "*" },
      { listener.sent[1].number, check.type, check.connection_id, check.cid })
    for second = 31, 300 do register:tick(start + second) end
    assert.is_true(#listener.sent >= 10 and #listener.sent <= 12)
  end)

  it("sends none to connections that are gone, and makes up for turns that were missed", function()
    register:open(1, user "alice")
    register:open(2, user "bob")
    register:close(1)
    register:tick(native.now() + 100)
    assert.same({ 1, 2 }, { #listener.sent, listener.sent[1].number })
  end)

  it("answers what it hears from those it knows", function()
    register:open(7, user "alice")
    assert.is_nil(register:heard(7))
    assert.is_nil(register:heard(8))
    assert.same({ 1, 7 }, { #listener.sent, listener.sent[1].number })
  end)
end)
