--- Looking through the data, and copying it, beside a server and without one.
local backup = require "stream_events.server.backup"
local check = require "stream_events.server.check"
local command = require "support.command"
local fixtures = require "support.server"
local folders = require "support.folder"
local luv = require "luv"
local native = require "stream_events.native"
local process = require "support.process"
local sql = require "support.sql"
local schema = require "stream_events.server.schema"
local store = require "stream_events.server.store"

describe("the server's data", function()
  local folder, path

  -- What a server leaves that was used for a while.
  local function fill()
    local fixture = fixtures.start { data = path }
    fixture:users("alice", "bob")
    fixture:channel("messaging:lobby", { "alice", "bob" })
    for _, value in ipairs { true, false } do
      fixture:call("server", "PATCH", "/channels/messaging/lobby",
        { set = { frozen = value, disabled = value } })
    end
    fixture:call("server", "PUT", "/channeltypes/messaging", { grants = { user = { "send-custom-event" } } })
    fixture:call("server", "PATCH", "/app", { name = "App" })
    fixture:call("server", "POST", "/roles", { name = "elf" })
    assert.equal(201, (fixture:call("server", "POST", "/permissions",
      { id = "send-x", name = "Send X", action = "SendCustomEvent" })))
    fixture:call("server", "POST", "/channels/messaging/lobby/query",
      { data = { config_overrides = { grants = { elf = { "send-x" } } } } })
    assert.equal(201, (fixture:call("server", "POST", "/moderation/ban",
      { target_user_id = "bob", banned_by_id = "alice" })))
    fixture:stop()
    sql(path, [[INSERT INTO webhooks VALUES
      (1, '{"hook":"h","id":"i","type":"t","body":"{}"}', NULL),
      (2, '{"hook":"h","id":"i","type":"t"}', '{}')]])
  end

  before_each(function()
    folder = folders.new()
    path = folder:at "state.db"
    fill()
  end)

  after_each(function()
    process.end_all()
    folder:remove()
  end)

  local function text_of(problem)
    return ("%s %s: %s"):format(problem.kind or "file", problem.key or "", problem.message)
  end

  describe("check", function()
    it("finds nothing wrong with what a server leaves, and counts it", function()
      local report = assert(check.run(path))
      assert.same({}, report.problems)
      assert.equal(schema.VERSION, report.schema)
      assert.same({ 2, 1, 2, 5, 2 }, {
        report.documents.user, report.documents.channel, report.documents.member,
        report.documents.channel_type, report.documents.webhook,
      })
    end)

    it("takes a switch of a channel that is not there for one that is off, as the server does", function()
      sql(path, "UPDATE channels SET document = json_remove(document, '$.frozen', '$.disabled')")
      assert.same({}, assert(check.run(path)).problems)
      local fixture = fixtures.start { data = path }
      local _, body = fixture:call("server", "POST", "/channels",
        { filter_conditions = { frozen = false, disabled = false } })
      fixture:stop()
      assert.equal("messaging:lobby", body.channels[1].channel.cid)
    end)

    for name, case in pairs {
      ["a document that is no JSON"] =
        { "UPDATE users SET document = '{\"id\"' WHERE key = 'bob'", "^user bob: it is damaged" },
      ["a document that is no object"] =
        { "UPDATE users SET document = '[]' WHERE key = 'bob'", "^user bob: it is damaged: it is no object" },
      ["a user under another's key"] =
        { "UPDATE users SET document = json_set(document, '$.id', 'eve') WHERE key = 'bob'",
          '^user bob: its id is "eve"' },
      ["a field that is missing"] =
        { "UPDATE users SET document = json_remove(document, '$.role') WHERE key = 'bob'",
          "^user bob: role is missing" },
      ["a field of the wrong kind"] =
        { "UPDATE users SET document = json_set(document, '$.created_at', 'soon') WHERE key = 'bob'",
          "^user bob: created_at is not a date" },
      ["a channel of no type"] =
        { "DELETE FROM channel_types WHERE key = 'messaging'",
          '^channel messaging:lobby: there is no channel type "messaging"' },
      ["a channel with another's key"] =
        { "UPDATE channels SET document = json_set(document, '$.id', 'hall')",
          "^channel messaging:lobby: its type and id are others" },
      ["a maker who does not exist"] =
        { "UPDATE channels SET document = json_set(document, '$.created_by_id', 'eve')",
          '^channel messaging:lobby: there is no user "eve"' },
      ["grants of a channel that are none"] =
        { "UPDATE channels SET document = json_set(document, '$.config_overrides', json('{\"grants\":7}'))",
          "^channel messaging:lobby: grants must be an object" },
      ["a member who does not exist"] =
        { "UPDATE members SET key = 'messaging:lobby/eve', document = json_set(document, '$.user_id', 'eve') "
          .. "WHERE key LIKE '%/bob'", '^member messaging:lobby/eve: there is no user "eve"' },
      ["a member of no channel"] =
        { "UPDATE members SET key = 'messaging:hall/bob', document = json_set(document, '$.cid', "
          .. "'messaging:hall') WHERE key LIKE '%/bob'",
          '^member messaging:hall/bob: there is no channel "messaging:hall"' },
      ["a member with another's key"] =
        { "UPDATE members SET document = json_set(document, '$.user_id', 'alice') WHERE key LIKE '%/bob'",
          "^member messaging:lobby/bob: its channel or its user is another" },
      ["grants of a channel type that are none"] =
        { "UPDATE channel_types SET document = json_set(document, '$.grants.user', 7) WHERE key = 'team'",
          "^channel_type team: grants%.user must be a list of permissions" },
      ["grants for a role that does not exist"] =
        { "UPDATE channel_types SET document = json_set(document, '$.grants', json('{\"king\":[]}')) "
          .. "WHERE key = 'team'", '^channel_type team: grants names the unknown role "king"' },
      ["grants of a permission that does not exist"] =
        { "UPDATE app SET document = json_set(document, '$.grants', json('{\"user\":[\"fly\"]}')) "
          .. "WHERE key = 'settings'", '^app settings: grants.user names the unknown permission "fly"' },
      ["a user with a role that does not exist"] =
        { "UPDATE users SET document = json_set(document, '$.role', 'king') WHERE key = 'bob'",
          '^user bob: there is no role "king"' },
      ["a member with a role that does not exist"] =
        { "UPDATE members SET document = json_set(document, '$.channel_role', 'king')",
          '^member messaging:lobby/alice: there is no role "king"' },
      ["a role with another's name"] =
        { "UPDATE roles SET document = json_set(document, '$.name', 'king')",
          '^role elf: its name is "king"' },
      ["a ban of a user who does not exist"] =
        { "UPDATE bans SET key = 'eve/', document = json_set(document, '$.target_user_id', 'eve')",
          '^ban eve/: there is no user "eve"' },
      ["a ban with another's key"] =
        { "UPDATE bans SET key = 'alice/'", "^ban alice/: its user or its channel is another" },
      ["a permission with another's id"] =
        { "UPDATE permissions SET document = json_set(document, '$.id', 'x')",
          '^permission %S+: its id is "x"' },
      ["a channel type with another's name"] =
        { "UPDATE channel_types SET document = json_set(document, '$.name', 'x') WHERE key = 'team'",
          '^channel_type team: its name is "x"' },
      ["settings of the app that are none"] =
        { "UPDATE app SET document = '{\"grants\":{}}' WHERE key = 'settings'",
          "^app settings: settings is missing" },
      ["a key of the app that is none"] =
        { "INSERT INTO app VALUES ('other', '{}')", "^app other: nothing is kept under this key" },
      ["a delivery that is no event"] =
        { "UPDATE webhooks SET document = json_set(document, '$.body', 'x')",
          "^webhook 1: its body is no event" },
      ["a delivery without a body"] =
        { "UPDATE webhooks SET body = NULL", "^webhook 2: its body is no event" },
      ["a table that is missing"] = { "DROP TABLE app", "^file : the table app is missing" },
    } do
      it("reports " .. name, function()
        sql(path, case[1])
        local report = assert(check.run(path))
        assert.is_true(report.problem_count > 0)
        assert.matches(case[2], text_of(report.problems[1]))
      end)
    end

    it("reports a file whose pages are damaged", function()
      sql(path, "PRAGMA journal_mode = DELETE")
      local text = folder:read "state.db"
      local place = assert(text:find('"id":"alice"', 1, true)) // 4096 * 4096
      folder:write("state.db", text:sub(1, place) .. ("\255"):rep(4096) .. text:sub(place + 4097))
      local report = assert(check.run(path))
      assert.is_true(report.problem_count > 0)
      assert.is_nil(report.problems[1].kind)
    end)

    it("lists so many problems, and counts them all", function()
      sql(path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) "
        .. "INSERT INTO app SELECT 'x' || i, '{}' FROM n")
      local report = assert(check.run(path))
      assert.equal(1500, report.problem_count)
      assert.equal(1000, #report.problems)
    end)

    for name, case in pairs {
      ["a file that is missing"] = { function() os.remove(path) end, "ENOENT" },
      ["a newer schema"] = { function() sql(path, "PRAGMA user_version = 999") end, "newer version" },
      ["the data of another program"] =
        { function() sql(path, "PRAGMA user_version = 0") end, "another program" },
      ["a file that is no database"] =
        { function() folder:write("state.db", ("letter"):rep(1000)) end, "not a database" },
      ["a folder"] = { function()
        os.remove(path)
        luv.fs_mkdir(path, 448)
      end, "it is a folder" },
    } do
      it("gives an error for " .. name, function()
        case[1]()
        local report, err = check.run(path)
        assert.is_nil(report)
        assert.equal("protocol", err.kind)
        assert.matches(case[2], err.message)
        if luv.fs_stat(path) and luv.fs_stat(path).type == "directory" then luv.fs_rmdir(path) end
      end)
    end

    it("changes nothing, not even the schema of an older version", function()
      sql(path, "PRAGMA journal_mode = DELETE", "DROP TABLE webhooks", "PRAGMA user_version = 1")
      local before = folder:read "state.db"
      local report = assert(check.run(path))
      assert.same({ 1, {} }, { report.schema, report.problems })
      assert.is_nil(report.documents.webhook)
      assert.equal(before, folder:read "state.db")
    end)

    it("sees one moment of a server at work", function()
      local database = assert(store.open(path))
      database:put("app", "other", {})
      local report = assert(check.run(path))
      assert.equal("app other: nothing is kept under this key", text_of(report.problems[1]))
      database:delete("app", "other")
      database:close()
      assert.equal(0, check.run(path).problem_count)
    end)
  end)

  describe("check and backup", function()
    it("tell how far they are", function()
      local first, last
      local report = assert(check.run(path, function(done, total)
        first = first or { done, total }
        last = { done, total }
      end))
      local all = 0
      for _, count in pairs(report.documents) do all = all + count end
      assert.same({ 0 }, first)
      assert.same({ all, all }, last)
      local told, ended, size
      assert.is_true(backup.write(path, folder:at "copy.db", function(partial)
        told = partial
        return function()
          ended = true
          size = luv.fs_stat(partial).size
        end
      end))
      assert.matches(folder:at "copy.db" .. ".", told, 1, true)
      assert.is_true(ended and size > 0)
    end)

    it("end when they are interrupted, without a word about damage and without half a copy", function()
      local function interrupt() error("program.lua:1: interrupted!", 0) end
      for _, run in ipairs {
        function() check.run(path, interrupt) end,
        function() backup.write(path, folder:at "copy.db", interrupt) end,
      } do
        local ok, message = pcall(run)
        assert.same({ false, "program.lua:1: interrupted!" }, { ok, message })
      end
      for name in luv.fs_scandir_next, assert(luv.fs_scandir(folder.path)) do
        assert.is_nil(name:find "^copy")
      end
    end)
  end)

  describe("a server", function()
    for name, case in pairs {
      ["a document that is a list"] =
        { "UPDATE users SET document = '[]' WHERE key = 'alice'", 'the user "alice" is damaged' },
      ["a channel type without its settings"] =
        { "UPDATE channel_types SET document = '{}' WHERE key = 'team'", 'the channel type "team": ' },
      ["a ban of nobody"] = { "INSERT INTO bans VALUES ('x', '{}')", 'damaged: the ban "x": ' },
    } do
      it("does not start with " .. name .. ", and names it", function()
        sql(path, case[1])
        local server, err = require "stream_events.server".start { data = path }
        assert.is_nil(server)
        assert.equal("protocol", err.kind)
        assert.matches(case[2], err.message, 1, true)
      end)
    end
  end)

  describe("backup", function()
    local copy
    before_each(function() copy = folder:at "copy's.db" end)

    it("is complete, passes the check, belongs to the user alone, and serves as data", function()
      local database = assert(store.open(path))
      database:put("user", "carol", { id = "carol" }) -- still in the log
      assert.is_true(backup.write(path, copy))
      database:close()
      assert.equal("600", ("%o"):format(luv.fs_stat(copy).mode & 511))
      assert.same({ "alice", "bob", "carol" }, sql(copy, "SELECT key FROM users ORDER BY key"))
      assert.equal(schema.VERSION, check.run(copy).schema)
      local fixture = fixtures.start { data = copy }
      assert.equal(201, (fixture:call("alice", "POST", "/channels/messaging/lobby/query", { state = true })))
      fixture:stop()
    end)

    it("leaves nothing but the copy", function()
      local before = {}
      for name in luv.fs_scandir_next, luv.fs_scandir(folder.path) do before[name] = true end
      assert.is_true(backup.write(path, copy))
      assert.is_table((select(2, backup.write(path, copy))))
      assert.is_table((select(2, backup.write(path, folder:at "no/where.db"))))
      for name in luv.fs_scandir_next, luv.fs_scandir(folder.path) do
        assert.truthy(before[name] or name == "copy's.db" or name:find "%-shm$" or name:find "%-wal$", name)
      end
    end)

    it("leaves nothing of a copy that cannot be finished", function()
      sql(path, "PRAGMA journal_mode = DELETE")
      local text = folder:read "state.db"
      local place = assert(text:find('"id":"alice"', 1, true)) // 4096 * 4096
      folder:write("state.db", text:sub(1, place) .. ("\255"):rep(4096) .. text:sub(place + 4097))
      local ok, err = backup.write(path, copy)
      assert.is_nil(ok)
      assert.matches("cannot write the backup .*malformed", err.message)
      for name in luv.fs_scandir_next, luv.fs_scandir(folder.path) do
        assert.is_nil(name:find("copy", 1, true), name)
      end
    end)

    it("never replaces what is there, a link that leads nowhere included", function()
      folder:write("copy's.db", "a letter")
      local ok, err = backup.write(path, copy)
      assert.is_nil(ok)
      assert.equal("protocol", err.kind)
      assert.matches("exists already", err.message)
      assert.equal("a letter", folder:read "copy's.db")
      os.remove(copy)
      luv.fs_symlink(folder:at "nowhere", copy)
      assert.is_nil((backup.write(path, copy)))
    end)

    for name, case in pairs {
      ["data that is missing"] = { function() os.remove(path) end, "cannot use the database .*ENOENT" },
      ["data of a newer version"] =
        { function() sql(path, "PRAGMA user_version = 999") end, "newer version" },
      ["a place that is none"] =
        { function() copy = folder:at "no/copy.db" end, "cannot write the backup .*ENOENT" },
    } do
      it("gives an error for " .. name, function()
        case[1]()
        local ok, err = backup.write(path, copy)
        assert.is_nil(ok)
        assert.equal("protocol", err.kind)
        assert.matches(case[2], err.message)
        assert.is_nil(luv.fs_stat(copy))
      end)
    end
  end)

  describe("the command", function()
    setup(command.need_build)

    it("serve --check-data says that it is sound", function()
      local child = command.run { "serve", "--data", path, "--check-data" }
      assert.equal("", child.stderr)
      assert.matches("state%.db is sound %(schema %d+; .*user: 2", child.stdout)
      assert.equal(0, child.code)
    end)

    it("serve --check-data prints a problem a line, and fails", function()
      sql(path, "DELETE FROM users", "UPDATE app SET document = '{}' WHERE key = 'settings'")
      local child = command.run { "serve", "--data", path, "--check-data" }
      assert.equal(1, child.code)
      assert.matches('^app "settings": %a+ is missing\n', child.stdout)
      assert.matches('\nmember "messaging:lobby/bob": there is no user "bob"\n', child.stdout)
      assert.matches("\n[^\n]*is damaged in %d places[^\n]*\n$", child.stdout)
    end)

    it("serve --check-data --json prints an object", function()
      sql(path, "INSERT INTO app VALUES (CAST(x'ff' AS TEXT), '{}')")
      local child = command.run { "serve", "--data", path, "--check-data", "--json" }
      local report = assert(native.json.decode(child.stdout))
      assert.equal(1, child.code)
      assert.same({ false, 1, "app", 2 },
        { report.ok, report.problem_count, report.problems[1].kind, report.documents.user })
    end)

    it("backup copies, and says why it cannot", function()
      local child = command.run { "backup", "--data", path, folder:at "copy.db" }
      assert.same({ 0, "" }, { child.code, child.stderr })
      assert.equal(0, command.run({ "serve", "--data", folder:at "copy.db", "--check-data" }).code)
      child = command.run { "backup", "--data", path, folder:at "copy.db", "--json" }
      assert.equal(1, child.code)
      assert.matches("exists already", assert(native.json.decode(child.stderr)).error.message)
    end)

    it("needs no secret to look at the data of a server for others", function()
      local config = folder:write("settings.lua",
        ("data = %q\nhost = '0.0.0.0'\ntrusted_proxies = { '127.0.0.1' }"):format(path))
      for _, args in ipairs { { "serve", "--check-data" }, { "backup", folder:at "copy.db" } } do
        table.move({ "--config", config }, 1, 2, #args + 1, args)
        local child = command.run(args)
        assert.same({ 0, "" }, { child.code, child.stderr })
      end
      assert.equal(2, command.run({ "serve", "--config", config }).code)
    end)

    it("say how to name the data when it is not where it would be by itself", function()
      for _, args in ipairs { { "serve", "--check-data" }, { "backup", folder:at "copy.db" } } do
        local child = command.run(args, { XDG_STATE_HOME = folder.path })
        assert.equal(1, child.code)
        assert.matches("ENOENT.*%-%-data or %-%-config names", child.stderr)
      end
    end)

    for _, args in ipairs {
      { "backup" }, { "backup", "" }, { "backup", "copy.db", "--data", "" },
      { "backup", "copy.db", "--data", ":memory:" }, { "serve", "--check-data", "--data", ":memory:" },
      { "serve", "--check-data", "--data", "" },
    } do
      it(("ends with 2 for %q"):format(table.concat(args, " ")), function()
        assert.equal(2, command.run(args).code)
      end)
    end
  end)
end)
