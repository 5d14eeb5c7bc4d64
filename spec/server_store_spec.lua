--- The database of the server: what was acknowledged stays, what it cannot use is left alone.
local databases = require "stream_events.server.database"
local luv = require "luv"
local native = require "stream_events.native"
local process = require "support.process"
local run_sql = require "support.sql"
local store = require "stream_events.server.store"

describe("stream_events.server.store", function()
  local folder, open

  local function opened(path)
    local database = assert(store.open(path))
    open[#open + 1] = database
    return database
  end

  local function path(name) return folder .. "/" .. name end

  local function write_file(name, text)
    local file = assert(io.open(path(name), "wb"))
    file:write(text)
    file:close()
    return path(name)
  end

  -- Another program at work on a database.
  local function sql(name, ...) return run_sql(path(name), ...) end

  local function all(database, kind)
    local found = {}
    for key, document in database:each(kind) do found[key] = document end
    return found
  end

  local function remove(place)
    for name, kind in luv.fs_scandir_next, assert(luv.fs_scandir(place)) do
      if kind == "directory" then remove(place .. "/" .. name) else luv.fs_unlink(place .. "/" .. name) end
    end
    luv.fs_rmdir(place)
  end

  before_each(function()
    open = {}
    folder = assert(luv.fs_mkdtemp(luv.os_tmpdir() .. "/stream-events-store-XXXXXX"))
  end)

  after_each(function()
    for _, database in ipairs(open) do database:close() end
    process.end_all()
    remove(folder)
  end)

  describe("put, delete and each", function()
    it("keep documents by kind and key, in the order of the keys", function()
      local database = opened(":memory:")
      database:put("user", "bob", { a = 1 })
      database:put("user", "alice", { b = { 2 } })
      database:put("channel", "bob", { c = 3 })
      local keys = {}
      for key in database:each "user" do keys[#keys + 1] = key end
      assert.same({ "alice", "bob" }, keys)
      assert.same({ bob = { c = 3 } }, all(database, "channel"))
    end)

    it("replace and remove", function()
      local database = opened(":memory:")
      database:put("app", "settings", { a = 1, b = 2 })
      database:put("app", "settings", { a = 3 })
      assert.same({ settings = { a = 3 } }, all(database, "app"))
      database:delete("app", "settings")
      database:delete("app", "settings")
      assert.same({}, all(database, "app"))
    end)

    -- By it others know that what they have found out may be wrong now.
    it("change the revision, also when they fail", function()
      local database = opened(":memory:")
      local seen = { [database.revision] = true }
      local function changes(write, ...)
        pcall(write, database, ...)
        assert.is_nil(seen[database.revision])
        seen[database.revision] = true
      end
      changes(database.put, "user", "a", {})
      changes(database.put, "user", "a", {})
      changes(database.delete, "user", "a")
      changes(database.transaction, function()
        database:delete("user", "b")
        error "undone"
      end)
      database:close()
      changes(database.put, "user", "a", {})
    end)

    it("give back exactly what went in", function()
      local text = '{"big":9007199254740993,"empty":[],"none":{},"null":null,"float":0.1,'
        .. '"quote":"\'); DROP TABLE users; --","nul":"a\\u0000b"}'
      local database = opened(path "exact.db")
      local document = assert(native.json.decode(text))
      database:put("user", "0123'; --", document)
      database:close()
      local _, found = opened(path "exact.db"):each "user"()
      assert.same(document, found)
      assert.equal("integer", math.type(found.big))
      assert.equal(native.json.array_mt, getmetatable(found.empty))
      assert.is_nil(getmetatable(found.none))
    end)

    for name, call in pairs {
      ["an unknown kind"] = function(database) database:put("users; DROP TABLE users", "a", {}) end,
      ["an empty key"] = function(database) database:put("user", "", {}) end,
      ["a key that SQLite would cut off"] = function(database) database:put("user", "a\0b", {}) end,
      ["a document that is no JSON"] = function(database) database:put("user", "a", { f = print }) end,
      ["a closed store"] = function(database)
        database:close()
        database:put("user", "a", {})
      end,
    } do
      it("refuse " .. name, function()
        local database = opened(":memory:")
        assert.has_error(function() call(database) end)
      end)
    end

    it("may be in the middle of a loop when the store is closed", function()
      local database = opened(path "middle.db")
      for i = 1, 10 do database:put("user", "u" .. i, {}) end
      local step = database:each "user"
      step()
      database:close()
      -- The last one who closes a database takes its log away.
      assert.is_nil(luv.fs_stat(path "middle.db-wal"))
    end)

    it("leave nothing behind when a loop ends early", function()
      local database = opened(path "early.db")
      for i = 1, 10 do database:put("user", "u" .. i, {}) end
      for key in database:each "user" do
        if key == "u2" then break end
      end
      -- A read that is still going on would keep the write-ahead log from being emptied.
      assert.same({ 0 }, sql("early.db", "PRAGMA wal_checkpoint(TRUNCATE)"))
    end)
  end)

  describe("the write-ahead log", function()
    local function log_size() return luv.fs_stat(path "log.db-wal").size end

    it("has its size from the beginning, and keeps it", function()
      local database = opened(path "log.db")
      local size = log_size()
      assert.is_true(size > 1000 * 4096)
      for _ = 1, 60 do
        database:transaction(function()
          for i = 1, 25 do database:put("user", "u" .. i, { text = ("x"):rep(3000) }) end
        end)
      end
      assert.equal(size, log_size())
      assert.equal("x", all(database, "user").u9.text:sub(1, 1))
    end)

    it("takes nothing where there is no room for all of it", function()
      -- No file may grow further than this, in the units of ulimit; the signal would end the process.
      local pipe = assert(io.popen(([[trap '' XFSZ; ulimit -f 400; lua5.4 -e '
        local database = assert(require "stream_events.server.store".open "%s")
        database:put("user", "alice", {})
        print(require "luv".fs_stat("%s-wal").size < 100000)']]):format(path "small.db", path "small.db")))
      local said = pipe:read "a"
      pipe:close()
      assert.equal("true\n", said)
    end)

    it("of a server that was killed is kept as it is, up to its end", function()
      local database = opened(path "log.db")
      for i = 1, 20 do database:put("user", "u" .. i, { n = i }) end
      for _, suffix in ipairs { "", "-wal" } do
        local file = assert(io.open(path "log.db" .. suffix, "rb"))
        local text = file:read "a"
        file:close()
        -- Cut behind what was written, and with a piece of a page that was not written to its end.
        if suffix == "-wal" then text = text:gsub("%z+$", "") .. ("x"):rep(1000) end
        file = assert(io.open(path "killed.db" .. suffix, "wb"))
        file:write(text)
        file:close()
      end
      local other = opened(path "killed.db")
      other:put("user", "last", {})
      local found = all(other, "user")
      for i = 1, 20 do assert.same({ n = i }, found["u" .. i]) end
      assert.same({}, found.last)
    end)
  end)

  describe("add_all and delete_ranges", function()
    local function rows(first, last)
      local values = {}
      for i = first, last do
        table.move({ i + 0.0, '{"n":' .. i .. "}", "body " .. i }, 1, 3, #values + 1, values)
      end
      return values
    end

    local function keys(database)
      local found = {}
      for key, document, body in database:each_with_body "webhook" do
        assert.same({ n = key }, document)
        assert.equal("body " .. key, body)
        found[#found + 1] = key
      end
      return found
    end

    it("write and remove many at a time", function()
      local database = opened(":memory:")
      database:transaction(database.add_all, database, "webhook", rows(1, 22))
      assert.equal(22, #keys(database))
      database:delete_ranges("webhook", { { 1.0, 3.0 }, { 5.0, 5.0 }, { 7.0, 21.0 } })
      assert.same({ 4, 6, 22 }, keys(database))
      database:add_all("webhook", {})
      database:delete_ranges("webhook", {})
      assert.same({ 4, 6, 22 }, keys(database))
    end)

    it("know keys that take more than 32 bits", function()
      local database = opened(":memory:")
      database:add_all("webhook", rows(1 << 40, (1 << 40) + 2))
      database:delete_ranges("webhook", { { 2.0 ^ 40, 2.0 ^ 40 } })
      assert.same({ (1 << 40) + 1, (1 << 40) + 2 }, keys(database))
    end)

    it("write nothing when one of them is there, and undo what came with it", function()
      local database = opened(":memory:")
      database:add_all("webhook", rows(20, 20))
      local ok, problem = pcall(database.transaction, database, function()
        database:put("user", "alice", {})
        database:add_all("webhook", rows(1, 20))
      end)
      assert.is_false(ok)
      assert.equal("full", problem.kind)
      assert.same({ 20 }, keys(database))
      assert.same({}, all(database, "user"))
      database:transaction(database.add_all, database, "webhook", rows(1, 19))
      assert.equal(20, #keys(database))
    end)
  end)

  describe("quick_transaction", function()
    it("does not wait for the disk; all else does", function()
      local database = opened(path "state.db")
      local function waits()
        return databases.run(database.connection, "PRAGMA synchronous")[1] == 2
      end
      local function quick() database:quick_transaction(function() database:put("user", "a", {}) end) end
      assert.is_true(waits())
      quick()
      assert.is_false(waits())
      database:put("user", "b", {})
      assert.is_true(waits())
      quick()
      database:transaction(function() assert.is_true(waits()) end)
      database:transaction(quick) -- part of one that waits
      assert.is_true(waits())
      local function measured()
        local count = 0
        for _, number in ipairs(database.commits.counts) do count = count + number end
        return count
      end
      local before = measured()
      quick()
      assert.equal(before, measured())
      database:delete("user", "b")
      assert.is_true(waits())
      assert.equal(before + 1, measured())
      assert.same({ a = {} }, all(database, "user"))
    end)

    it("undoes everything when its function raises, as the other", function()
      local database = opened(path "state.db")
      assert.has_error(function()
        database:quick_transaction(function()
          database:put("user", "a", {})
          error "no"
        end)
      end)
      assert.same({}, all(database, "user"))
    end)
  end)

  describe("sync", function()
    local fs_fdatasync, count, under_way

    before_each(function()
      fs_fdatasync, count, under_way = luv.fs_fdatasync, 0, 0
      luv.fs_fdatasync = function(file, done) -- luacheck: ignore 122
        count, under_way = count + 1, under_way + 1
        return fs_fdatasync(file, function(problem)
          under_way = under_way - 1
          done(problem)
        end)
      end
    end)
    after_each(function() luv.fs_fdatasync = fs_fdatasync end) -- luacheck: ignore 122

    -- How often it has been asked for since the last time.
    local function synced(database)
      count = 0
      database:sync()
      luv.run() -- there is nothing else in the loop
      assert.equal(0, under_way)
      return count
    end

    local function quick(database)
      database:quick_transaction(function() database:put("user", "a", {}) end)
    end

    it("brings what was written quickly to the disk, once", function()
      local database = opened(path "state.db")
      assert.equal(0, synced(database))
      quick(database)
      quick(database)
      assert.equal(1, synced(database))
      assert.equal(0, synced(database))
    end)

    it("is not deceived by a transaction that waits for no disk, as it has nothing to write", function()
      local database = opened(path "state.db")
      quick(database)
      database:transaction(function() database:delete("user", "nobody") end)
      assert.equal(1, synced(database))
    end)

    it("finds the log of a database that a link leads to", function()
      opened(path "state.db"):close()
      assert(luv.fs_symlink(path "state.db", path "link.db"))
      local database = opened(path "link.db")
      quick(database)
      assert.equal(1, synced(database))
    end)

    it("begins nothing more while something is under way, and forgets nothing meanwhile", function()
      local database = opened(path "state.db")
      quick(database)
      database:sync()
      quick(database)
      assert.equal(1, synced(database))
      assert.equal(1, synced(database))
      assert.equal(0, synced(database))
    end)

    it("tries again what has failed", function()
      local database = opened(path "state.db")
      quick(database)
      local fs_open = luv.fs_open
      luv.fs_open = function(name, _, mode, done) -- luacheck: ignore 122
        return fs_open(name .. "-missing", "r", mode, done)
      end
      assert.equal(0, synced(database))
      luv.fs_open = fs_open -- luacheck: ignore 122
      assert.equal(1, synced(database))
    end)

    it("has nothing to do in memory", function()
      local database = opened ":memory:"
      quick(database)
      assert.equal(0, synced(database))
    end)
  end)

  describe("transaction", function()
    it("returns what its function returns", function()
      local database = opened(":memory:")
      assert.same({ 1, nil, 3, n = 3 }, table.pack(database:transaction(function() return 1, nil, 3 end)))
    end)

    it("undoes everything when its function raises, and hands on the error", function()
      local database = opened(":memory:")
      database:put("user", "alice", { age = 1 })
      local ok, problem = pcall(database.transaction, database, function()
        database:put("user", "alice", { age = 2 })
        database:put("user", "bob", {})
        error "no"
      end)
      assert.is_false(ok)
      assert.matches("no", problem)
      assert.same({ alice = { age = 1 } }, all(database, "user"))
      database:transaction(function() database:put("user", "carol", {}) end)
      assert.same({}, all(database, "user").carol)
    end)

    it("is part of the one around it", function()
      local database = opened(":memory:")
      pcall(database.transaction, database, function()
        database:transaction(function() database:put("user", "alice", {}) end)
        error "no"
      end)
      assert.same({}, all(database, "user"))
    end)

    it("is followed by what models change in memory, in order, and only when it is on the disk", function()
      local database = opened(":memory:")
      local done = {}
      local function note(what) database:on_commit(function() done[#done + 1] = what end) end
      note "alone"
      assert.same({ "alone" }, done)
      database:transaction(function()
        note "first"
        database:transaction(function()
          database:put("user", "alice", {})
          note "second"
        end)
        assert.same({ "alone" }, done)
      end)
      assert.same({ "alone", "first", "second" }, done)
      pcall(database.transaction, database, function()
        note "never"
        error "no"
      end)
      database:transaction(function() database:put("user", "bob", {}) end)
      assert.same({ "alone", "first", "second" }, done)
    end)
  end)

  it("shows a write that fails, and the next one is tried anew", function()
    local database = opened(path "full.db")
    sql("full.db", "CREATE TRIGGER full BEFORE INSERT ON users WHEN new.key = 'bad' "
      .. "BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    local ok, problem = pcall(database.put, database, "user", "bad", {})
    assert.is_false(ok)
    assert.equal("full", problem.kind)
    assert.matches("disk full", problem.message)
    database:put("user", "good", {})
    assert.same({ good = {} }, all(database, "user"))
  end)

  it("waits once for a program that keeps the database, and again when a write has worked", function()
    local database = opened(path "locked.db")
    local other = assert(databases.connect(path "locked.db"))
    local function write(name) return pcall(database.put, database, "user", name, {}) end
    local function patience() return databases.run(database.connection, "PRAGMA busy_timeout")[1] end
    local patient = patience()
    assert.is_true(patient > 0)
    assert(databases.run(other, "BEGIN IMMEDIATE"))
    local ok, problem = write "alice"
    assert.is_false(ok)
    assert.matches("database is locked", problem.message)
    assert.equal(0, patience())
    assert.is_false((write "bob"))
    assert.is_false((pcall(database.transaction, database, function() database:put("user", "bob", {}) end)))
    assert.equal(0, patience())
    assert(databases.run(other, "ROLLBACK"))
    database:transaction(function() database:put("user", "carol", {}) end)
    assert.equal(patient, patience())
    other:close()
    assert.same({ carol = {} }, all(database, "user"))
  end)

  describe("reopening", function()
    it("finds what was written", function()
      local database = opened(path "state.db")
      database:put("user", "alice", { n = 1 })
      database:close()
      database:close()
      assert.same({ alice = { n = 1 } }, all(opened(path "state.db"), "user"))
    end)

    it("finds everything that was acknowledged before a kill -9", function()
      for round = 1, 3 do
        local name = path("killed-" .. round .. ".db")
        local writer = process.start(luv.exepath(), { "spec/support/store_writer.lua", name })
        writer:wait_for("stdout", "%f[%d]" .. round * 7 .. "\n")
        writer:kill "sigkill"
        assert.same({ nil, 9 }, { writer:finish() })
        local acknowledged = 0
        for number in writer.stdout:gmatch "(%d+)\n" do acknowledged = tonumber(number) end
        local database = opened(name)
        local users, channels = all(database, "user"), all(database, "channel")
        for number = 1, acknowledged do
          assert.same({ number = number }, users["user-" .. number])
          assert.equal(number, channels["channel-" .. number].number)
        end
        -- The transaction it was in happened as a whole or not at all.
        local unseen = acknowledged + 1
        assert.equal(users["user-" .. unseen] ~= nil, channels["channel-" .. unseen] ~= nil)
      end
    end)
  end)

  describe("open", function()
    local function refused(place, pattern)
      local database, err = store.open(place)
      assert.is_nil(database)
      assert.equal("protocol", err.kind)
      assert.matches(pattern, err.message)
      assert.matches(place, err.message, 1, true)
    end

    it("makes a file that is the user's alone", function()
      opened(path "private.db"):put("user", "alice", {})
      for _, name in ipairs { "private.db", "private.db-wal" } do
        assert.equal("600", ("%o"):format(luv.fs_stat(path(name)).mode & 511))
      end
    end)

    it("refuses a folder that does not exist", function() refused(path "no/such.db", "ENOENT") end)
    it("refuses a place where nothing can be written", function() refused("/proc/state.db", "E%u+") end)
    it("refuses a folder", function() refused(folder, "folder") end)
    it("refuses a device", function() refused("/dev/null", "no file") end)

    it("refuses a file that is no database, and leaves it as it is", function()
      local text = ("this is a letter, not a database\n"):rep(100)
      refused(write_file("letter.db", text), "not a database")
      assert.equal(text, assert(io.open(path "letter.db", "rb")):read "a")
    end)

    it("refuses the database of another program", function()
      sql("other.db", "CREATE TABLE recipes (name TEXT)")
      refused(path "other.db", "another program")
      assert.same({ "recipes" }, sql("other.db", "SELECT name FROM sqlite_master"))
    end)

    it("brings the data of an older version up to date, and keeps it", function()
      local database = opened(path "older.db")
      database:put("user", "alice", { n = 1 })
      database:close()
      for _, name in ipairs { "webhooks", "kept_events", "roles", "permissions", "bans" } do
        sql("older.db", "DROP TABLE " .. name)
      end
      sql("older.db", "PRAGMA user_version = 1")
      database = opened(path "older.db")
      database:put("role", "elf", { n = 2 })
      assert.same({ alice = { n = 1 } }, all(database, "user"))
      assert.same({ elf = { n = 2 } }, all(database, "role"))
    end)

    it("refuses a newer schema, and leaves it as it is", function()
      opened(path "newer.db"):close()
      sql("newer.db", "PRAGMA user_version = 999")
      refused(path "newer.db", "newer version")
      assert.same({ 999 }, sql("newer.db", "PRAGMA user_version"))
    end)

    it("refuses a database that another server uses, until that one closes it", function()
      local database = opened(path "shared.db")
      refused(path "shared.db", "another server")
      database:close()
      opened(path "shared.db")
    end)

    it("refuses it under another name as well", function()
      local database = opened(path "shared.db")
      assert(luv.fs_symlink(path "shared.db", path "link.db"))
      refused(path "link.db", "another server")
      database:close()
      opened(path "link.db")
      refused(path "shared.db", "another server")
    end)

    it("lets others read meanwhile", function()
      opened(path "read.db"):put("user", "alice", { a = 1 })
      assert.same({ "wal", '{"a":1}' },
        sql("read.db", "PRAGMA journal_mode", "SELECT document FROM users"))
    end)

    it("says which document is damaged", function()
      opened(path "damaged.db"):close()
      sql("damaged.db", "INSERT INTO users VALUES ('alice', '{\"id\":')")
      local ok, problem = pcall(all, opened(path "damaged.db"), "user")
      assert.is_false(ok)
      assert.equal("protocol", problem.kind)
      assert.matches('"alice" is damaged', problem.message)
    end)

    it("takes nothing but a path", function()
      for _, wrong in ipairs { "", "a\0b", 7, {} } do
        assert.has_error(function() store.open(wrong) end)
      end
      assert.has_error(function() store.open() end)
    end)

    it("makes the user's state folder, for the user alone", function()
      -- Read from the environment, so a process of its own has to show it.
      local script = [[
        local store = require "stream_events.server.store"
        assert(store.open(store.default_path())):put("user", "alice", {})
        print(store.default_path())
      ]]
      local state = path "a/state"
      local child = process.run(luv.exepath(), { "-e", script }, { XDG_STATE_HOME = state })
      assert.equal("", child.stderr)
      assert.equal(state .. "/stream-events/server.db\n", child.stdout)
      assert.equal("700", ("%o"):format(luv.fs_stat(state .. "/stream-events").mode & 511))
      assert.same({ "alice" }, sql("a/state/stream-events/server.db", "SELECT key FROM users"))
    end)
  end)

  describe("default_path", function()
    local function default_in(env)
      return process.run(luv.exepath(),
        { "-e", 'print(require "stream_events.server.store".default_path())' }, env).stdout
    end

    it("is below the home folder when the environment names no other", function()
      local expected = "/home/x/.local/state/stream-events/server.db\n"
      assert.equal(expected, default_in { HOME = "/home/x", XDG_STATE_HOME = false })
      assert.equal(expected, default_in { HOME = "/home/x", XDG_STATE_HOME = "relative" })
    end)
  end)
end)
