--- The tables of the database: what each version of the schema added, and how data of an older one is
--- brought up to date.
local database = require "stream_events.server.database"

local M = {}

local run = database.run

-- Each entry leads from one schema version to the next; entries are never changed, only added.
-- Version 1: a table for each kind of document. Version 2: what webhooks have not delivered yet.
-- Version 3: the events that are kept for those who were away, while no server runs.
-- Version 4: custom roles and permissions, bans. Version 5: the bodies of webhooks as they are, beside
-- their documents; those of earlier ones are in them. Version 6: the keys of what webhooks have not
-- delivered are numbers, which take no index beside the table.
local MIGRATIONS = {
  {
    "CREATE TABLE users (key TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL)",
    "CREATE TABLE channels (key TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL)",
    "CREATE TABLE members (key TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL)",
    "CREATE TABLE channel_types (key TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL)",
    "CREATE TABLE app (key TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL)",
  },
  { "CREATE TABLE webhooks (key TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL)" },
  { "CREATE TABLE kept_events (key TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL)" },
  {
    "CREATE TABLE roles (key TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL)",
    "CREATE TABLE permissions (key TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL)",
    "CREATE TABLE bans (key TEXT PRIMARY KEY NOT NULL, document TEXT NOT NULL)",
  },
  { "ALTER TABLE webhooks ADD COLUMN body TEXT" },
  {
    "CREATE TABLE outbox (key INTEGER PRIMARY KEY NOT NULL, document TEXT NOT NULL, body TEXT)",
    "INSERT INTO outbox (document, body) SELECT document, body FROM webhooks ORDER BY key",
    "DROP TABLE webhooks",
    "ALTER TABLE outbox RENAME TO webhooks",
  },
}

--- The table of each kind of document.
M.TABLES = {
  user = "users", channel = "channels", member = "members", channel_type = "channel_types",
  app = "app", webhook = "webhooks", kept_events = "kept_events",
  role = "roles", permission = "permissions", ban = "bans",
}

M.MIGRATIONS, M.VERSION = MIGRATIONS, #MIGRATIONS

-- WAL with FULL: one fsync a commit, and readers from outside (a backup) do not stop us. Somebody
-- who writes from outside is waited for, in milliseconds. What is deleted is written over only where
-- that costs no write of its own: most of it are deliveries of webhooks.
M.PATIENCE, M.SYNCHRONOUS = 1000, "FULL"
local PRAGMAS = {
  "PRAGMA busy_timeout = " .. M.PATIENCE, "PRAGMA journal_mode = WAL",
  "PRAGMA synchronous = " .. M.SYNCHRONOUS,
  "PRAGMA secure_delete = FAST",
}

local function migrate(connection, version)
  local ok, message = run(connection, "BEGIN IMMEDIATE")
  for step = version + 1, #MIGRATIONS do
    for _, sql in ipairs(MIGRATIONS[step]) do
      if ok then ok, message = run(connection, sql) end
    end
  end
  if ok then ok, message = run(connection, ("PRAGMA user_version = %d"):format(#MIGRATIONS)) end
  if ok then ok, message = run(connection, "COMMIT") end
  if not ok then
    run(connection, "ROLLBACK")
    return nil, message
  end
  return true
end

--- Whether a schema of that version is one this program knows.
---@param version integer
---@param has_tables boolean
---@return true? ok
---@return string? message
function M.check_version(version, has_tables)
  if version > #MIGRATIONS then
    return nil, ("it was written by a newer version of this program (its schema is %d, known here "
      .. "is %d)"):format(version, #MIGRATIONS)
  end
  if version == 0 and has_tables then return nil, "it holds the data of another program" end
  return true
end

--- Brings the schema to this version, and shows that the database can be written.
---@param connection table
---@return true? ok
---@return string? message
function M.set_up(connection)
  local version, message = run(connection, "PRAGMA user_version")
  if not version then return nil, message end
  version = version[1]
  local tables
  tables, message = run(connection, "SELECT name FROM sqlite_master")
  if not tables then return nil, message end
  local ok
  ok, message = M.check_version(version, tables[1] ~= nil)
  if not ok then return nil, message end
  for _, pragma in ipairs(PRAGMAS) do
    ok, message = run(connection, pragma)
    if not ok then return nil, message end
  end
  return migrate(connection, version)
end

return M
