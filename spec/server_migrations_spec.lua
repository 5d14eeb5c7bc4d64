--- Data of every earlier version of the schema: a server of today finds all of it.
local check = require "stream_events.server.check"
local fixtures = require "support.server"
local folders = require "support.folder"
local hooks = require "support.hook"
local native = require "stream_events.native"
local sql = require "support.sql"
local schema = require "stream_events.server.schema"
local store = require "stream_events.server.store"

-- The digests of all migrations. A database out there has gone through them as they are: one that is
-- changed makes two kinds of databases with the same version. Add the digest of a new one at the end.
local DIGESTS = {
  "58b4d317edeca574", "1a479ae55dad2a40", "d3ac11d82cfa639f", "cf011d1ebee16099", "427737f55251b0ed",
  "843ec9621547a700",
}

local function digest(statements)
  return native.crypto.hex(native.crypto.sha256(table.concat(statements, ";"))):sub(1, 16)
end

describe("migrations", function()
  local folder, recent, made

  -- What a server of today leaves, as the source of data that looks as it should.
  setup(function()
    folder, made = folders.new(), 0
    recent = folder:at "recent.db"
    local fixture = fixtures.start { data = recent }
    fixture:users("alice", "bob", "carol")
    fixture:channel("messaging:lobby", { "alice", "bob" }, { name = "Lobby" })
    fixture:call("server", "PUT", "/channeltypes/team", { custom_events = false })
    fixture:call("server", "PATCH", "/app", { name = "App" })
    fixture:call("server", "POST", "/roles", { name = "elf" })
    fixture:call("server", "POST", "/moderation/ban", { target_user_id = "carol", banned_by_id = "alice" })
    fixture:stop()
    sql(recent, [[INSERT INTO webhooks (key, document) VALUES (1,
      '{"hook":"gone","id":"i","type":"t","body":"{}"}')]])
  end)

  teardown(function() folder:remove() end)

  local function tables_of(path)
    local found = {}
    for _, name in ipairs(sql(path, "SELECT name FROM sqlite_master WHERE type = 'table'")) do
      found[name] = true
    end
    return found
  end

  -- A database as that version left it, with data in each of its tables.
  local function make(version)
    made = made + 1
    local path = folder:at(("made-%d.db"):format(made))
    for step = 1, version do sql(path, table.unpack(schema.MIGRATIONS[step])) end
    sql(path, "PRAGMA user_version = " .. version)
    local copy = { ("ATTACH '%s' AS recent"):format(recent) }
    for name in pairs(tables_of(path)) do
      copy[#copy + 1] =
        ("INSERT INTO %s (key, document) SELECT key, document FROM recent.%s"):format(name, name)
    end
    sql(path, table.unpack(copy))
    return path
  end

  it("are never changed, and every one is known here", function()
    for version, statements in ipairs(schema.MIGRATIONS) do
      assert.equal(digest(statements), DIGESTS[version], "version " .. version)
    end
    assert.equal(#DIGESTS, schema.VERSION)
  end)

  it("give each kind of document its table", function()
    local tables = tables_of(recent)
    for kind, name in pairs(schema.TABLES) do assert.is_true(tables[name], kind) end
  end)

  for version = 1, schema.VERSION do
    it(("lead from version %d to this one, and keep what is there"):format(version), function()
      local path = make(version)
      local before = {}
      for name in pairs(tables_of(path)) do
        before[name] = sql(path, ("SELECT key || document FROM %s ORDER BY key"):format(name))
        assert.is_true(#before[name] > 0 or name == "kept_events" or name == "permissions", name)
      end
      assert(store.open(path)):close()
      assert.same({ schema.VERSION }, sql(path, "PRAGMA user_version"))
      for name, rows in pairs(before) do
        assert.same(rows, sql(path, ("SELECT key || document FROM %s ORDER BY key"):format(name)))
      end
      assert.same({}, assert(check.run(path)).problems)
    end)

    it(("let a server serve what version %d held"):format(version), function()
      local fixture = fixtures.start { data = make(version) }
      local _, body = fixture:call("alice", "POST", "/channels/messaging/lobby/query", { state = true })
      assert.equal("Lobby", body.channel.name)
      assert.equal(2, #body.members)
      _, body = fixture:call("server", "GET", "/channeltypes/team")
      assert.is_false(body.custom_events)
      _, body = fixture:call("server", "GET", "/app")
      assert.equal("App", body.app.name)
      assert.equal(201, (fixture:call("server", "POST", "/roles", { name = "dwarf" })))
      fixture:stop()
    end)
  end

  it("keep what webhooks of an older version have still to get", function()
    local path = make(2)
    local hook = hooks.start(200)
    sql(path, ([[INSERT OR REPLACE INTO app VALUES ('settings', '{"grants":{},"settings":{"event_hooks":[
      {"id":"gone","enabled":true,"event_types":[],"should_send_custom_events":true,"timeout_ms":6000,
       "webhook_url":"%s"}]}}')]]):format(hook.url), [[UPDATE webhooks SET document =
      '{"hook":"gone","id":"an id","type":"tick","body":"{\"type\": \"tick\"}"}']])
    local fixture = fixtures.start { data = path }
    local request = hook:expect(1)
    assert.same({ "an id", '{"type": "tick"}' }, { request.id, request.text })
    fixture:stop()
    hook:stop()
  end)

  it("keep the order in which webhooks are to get it", function()
    local path = make(5)
    sql(path, "DELETE FROM webhooks", [[INSERT INTO webhooks VALUES
      ('0000000000000010', '{"id":"third"}', 'c'), ('0000000000000009', '{"id":"first"}', 'a'),
      ('000000000000000a', '{"id":"second"}', 'b')]])
    local database, found = assert(store.open(path)), {}
    for _, document, body in database:each_with_body "webhook" do
      found[#found + 1] = document.id .. body
    end
    database:close()
    assert.same({ "firsta", "secondb", "thirdc" }, found)
  end)

  it("happen as a whole or not at all", function()
    local path = make(1)
    sql(path, "CREATE TABLE bans (x)") -- in the way of the third table of version 4
    local before = tables_of(path)
    local database, err = store.open(path)
    assert.is_nil(database)
    assert.matches("bans", err.message)
    assert.same({ 1 }, sql(path, "PRAGMA user_version"))
    assert.same(before, tables_of(path))
  end)
end)
