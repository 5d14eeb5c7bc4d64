--- What an event costs the database, and what becomes of the server when the database cannot be
--- written: events and everything that is only read go on.
local command = require "support.command"
local fixtures = require "support.server"
local folders = require "support.folder"
local hooks = require "support.hook"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local process = require "support.process"
local sql = require "support.sql"
local store = require "stream_events.server.store"
local token = require "stream_events.token"
local DBI = require "DBI"

describe("the way of an event", function()
  local fixture, open, calls

  -- Servers that are started from here on have a store that counts what is asked of it.
  before_each(function()
    open, calls = store.open, {}
    store.open = function(path)
      local database, err = open(path)
      if not database then return nil, err end
      return setmetatable({}, { __index = function(_, name)
        local value = database[name]
        if type(value) ~= "function" then return value end
        return function(_, ...)
          calls[name] = (calls[name] or 0) + 1
          return value(database, ...)
        end
      end })
    end
    fixture = fixtures.start()
    fixture:users("alice", "bob")
    fixture:channel("messaging:lobby", { "alice", "bob" })
  end)

  after_each(function()
    store.open = open
    fixture:stop()
  end)

  local function send(who, event)
    assert.equal(201, (fixture:call(who, "POST", "/channels/messaging/lobby/event", { event = event })))
  end

  it("asks nothing of the database", function()
    local bob = fixture:connect("bob")
    fixture:watch(bob, "messaging:lobby")
    calls = {}
    for number = 1, 10 do send("alice", { type = "tick", number = number }) end
    send("server", { type = "tick", user_id = "alice", number = 11 })
    assert.equal(201, (fixture:call("server", "POST", "/users/bob/event", { event = { type = "gift" } })))
    fixture:call("alice", "POST", "/channels/messaging/lobby/event", { event = { type = "message.new" } })
    for number = 1, 11 do assert.equal(number, bob:expect("tick").number) end
    bob:expect "gift"
    assert.same({}, calls)
  end)

  it("costs one transaction a turn for all copies that webhooks want", function()
    local hook = hooks.start(200)
    fixture:call("server", "PATCH", "/app", { event_hooks = native.json.array {
      { webhook_url = hook.url, should_send_custom_events = true },
    } })
    local clients, headers = {}, { Authorization = token.user("lan-dev-secret", "alice") }
    for i = 1, 40 do
      clients[i] = http_client.new(fixture.server)
      clients[i]:request("GET", "/hi")
    end
    calls = {}
    -- All of them lie before the server when it looks next.
    for number, client in ipairs(clients) do
      client:send("POST", "/channels/messaging/lobby/event?api_key=devkey", headers,
        native.json.encode { event = { type = "tick", number = number } })
    end
    for _, client in ipairs(clients) do assert.equal(201, client:next_answer().status) end
    assert.is_true(calls.quick_transaction <= 2, calls.quick_transaction)
    assert.is_nil(calls.put)
    hook:expect(40)
    for _, client in ipairs(clients) do client:close() end
    hook:stop()
  end)
end)

describe("a server that cannot write", function()
  local folder, path, fixture

  before_each(function()
    folder = folders.new()
    path = folder:at "state.db"
  end)

  after_each(function()
    process.end_all()
    folder:remove()
  end)

  local function works_on()
    assert.equal(201, (fixture:call("alice", "POST", "/channels/messaging/lobby/event",
      { event = { type = "tick" } })))
    assert.equal(201, (fixture:call("alice", "POST", "/channels/messaging/lobby/query", { state = true })))
    local status, body = fixture:call("server", "GET", "/users", nil,
      { payload = { filter_conditions = { id = "alice" } } })
    assert.equal(200, status)
    assert.equal("alice", body.users[1].id)
  end

  it("because another program holds the database, says so to whoever asks for it, and goes on", function()
    fixture = fixtures.start { data = path }
    fixture:users("alice")
    fixture:channel("messaging:lobby", { "alice" })
    local other = assert(DBI.Connect("SQLite3", path))
    other:autocommit(true)
    local statement = assert(other:prepare "BEGIN EXCLUSIVE")
    assert(statement:execute())
    statement:close()
    local status, body = fixture:call("server", "POST", "/users", { users = { bob = { id = "bob" } } })
    assert.same({ 500, -1 }, { status, body.code })
    works_on()
    other:close()
    fixture:users("bob")
    fixture:stop()
    assert.same({ "alice", "bob" }, sql(path, "SELECT key FROM users ORDER BY key"))
  end)

  describe("all of what a call changes", function()
    local function fails(trigger, ...)
      sql(path, "CREATE TRIGGER full BEFORE " .. trigger .. " BEGIN SELECT RAISE(ABORT, 'disk full'); END")
      assert.equal(500, (fixture:call("server", ...)))
      sql(path, "DROP TRIGGER full")
    end

    local function bans_found()
      local _, body = fixture:call("server", "GET", "/query_banned_users")
      return #body.bans
    end

    local function members()
      local _, body = fixture:call("server", "POST", "/channels/messaging/lobby/query", { state = true })
      return #body.members
    end

    before_each(function()
      fixture = fixtures.start { data = path }
      fixture:users("alice", "bob", "carol")
      fixture:channel("messaging:lobby", { "alice", "bob", "carol" })
      assert.equal(201, (fixture:call("server", "POST", "/moderation/ban",
        { target_user_id = "carol", channel_cid = "messaging:lobby" })))
    end)

    after_each(function() fixture:stop() end)

    it("changes none of it: a channel is deleted with the bans in it", function()
      local alice = fixture:connect "alice"
      fixture:watch(alice, "messaging:lobby")
      alice:settled()
      fails("DELETE ON bans", "DELETE", "/channels/messaging/lobby")
      works_on()
      assert.same({ 3, 1 }, { members(), bans_found() })
      assert.equal("tick", alice:expect("tick").type)
      assert.equal(200, (fixture:call("server", "DELETE", "/channels/messaging/lobby")))
      alice:expect "channel.deleted"
      assert.equal(0, bans_found())
      assert.same({}, sql(path, "SELECT key FROM bans"))
    end)

    it("changes none of it: users are deleted together, with their memberships and bans", function()
      local bob = fixture:connect "bob"
      local both = { user_ids = { "bob", "carol" }, user = "hard" }
      for _, trigger in ipairs {
        "UPDATE ON users WHEN new.key = 'carol'", "DELETE ON members WHEN old.key LIKE '%carol'",
        "DELETE ON bans",
      } do
        fails(trigger, "POST", "/users/delete", both)
        assert.same({ 3, 1 }, { members(), bans_found() })
        assert.same({}, bob:settled())
      end
      fails("DELETE ON members", "DELETE", "/users/bob", nil, { hard_delete = "true" })
      assert.equal(201, (fixture:call("bob", "POST", "/channels/messaging/lobby/event",
        { event = { type = "tick" } })))
      assert.equal(201, (fixture:call("server", "POST", "/users/delete", both)))
      assert.equal(5, bob:expect("connection.error").error.code)
      assert.same({ 1, 0 }, { members(), bans_found() })
    end)
  end)

  it("because the disk is full, keeps what it acknowledged, and goes on", function()
    command.need_build()
    -- No file may grow further than this, in the units of ulimit; the signal would end the process.
    local script = ("trap '' XFSZ; ulimit -f 400; exec %s serve --port 0 --data '%s'"):format(
      command.COMMAND, path)
    local function run(...)
      local server = process.start(...)
      local port = tonumber((server:wait_for("stdout", "listening on http://127%.0%.0%.1:(%d+)\n")))
      fixture = fixtures.attach {
        host = "127.0.0.1", port = port, api_key = "devkey", api_secret = "lan-dev-secret",
      }
      return server
    end
    local clean = { STREAM_API_KEY = false, STREAM_API_SECRET = false }
    local server = run("sh", { "-c", script }, clean)
    fixture:users("alice")
    fixture:channel("messaging:lobby", { "alice" })
    local kept = {}
    local status, body
    repeat
      local id = "user-" .. #kept + 1
      status, body = fixture:call("server", "POST", "/users",
        { users = { [id] = { id = id, padding = ("x"):rep(4000) } } })
      if status == 201 then kept[#kept + 1] = id end
    until status ~= 201 or #kept > 1000
    assert.same({ 500, -1 }, { status, body.code })
    works_on()
    assert.is_nil(server.code)
    assert.matches("cannot be written", server.stderr)
    server:kill "sigkill"
    server:finish()
    fixture:stop()
    run(command.COMMAND, { "serve", "--port", "0", "--data", path }, clean)
    works_on()
    assert.same({ #kept + 1 }, sql(path, "SELECT count(*) FROM users"))
    fixture:users("bob")
    fixture:stop()
  end)
end)
