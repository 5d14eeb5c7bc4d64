--- Copies a database, while a server writes to it or without one: one moment of it, in one file.
-- The copy appears under its name only when it is complete and on the disk.
local uv = require "luv"
local database = require "stream_events.server.database"
local errors = require "stream_events.error"
local schema = require "stream_events.server.schema"
local store = require "stream_events.server.store"

local M = {}

local function fail(target, message)
  return errors.fail("protocol", ("cannot write the backup %s: %s"):format(target, message))
end

-- What was written is on the disk when this returns.
local function sync(path)
  local file, message = uv.fs_open(path, "r", 0)
  if not file then return nil, message end
  local ok
  ok, message = uv.fs_fsync(file)
  uv.fs_close(file)
  return ok, message
end

local function folder_of(path)
  return path:match "^(.*)/[^/]*$" and path:match "^(.*/)[^/]*$" or "."
end

-- Gives a finished file its name, which nothing else may have. Where a file cannot have two names,
-- somebody may take it between the look and the change.
local function publish(partial, target)
  local ok, message, name = uv.fs_link(partial, target)
  if ok then
    uv.fs_unlink(partial)
  elseif name == "EEXIST" then
    return nil, message
  elseif uv.fs_stat(target) then
    return nil, "EEXIST: file already exists"
  else
    ok, message = uv.fs_rename(partial, target)
    if not ok then return nil, message end
  end
  return sync(folder_of(target))
end

-- SQLite fills a file that is there and empty, and leaves its mode as it is.
local function copy(connection, target)
  local file, partial = uv.fs_mkstemp(target .. ".XXXXXX")
  if not file then return nil, partial end
  uv.fs_close(file)
  local ok, message = uv.fs_chmod(partial, database.OWNER_ONLY)
  if ok then ok, message = database.run(connection, "VACUUM INTO ?", partial) end
  if ok then ok, message = sync(partial) end
  if ok then ok, message = publish(partial, target) end
  if not ok then uv.fs_unlink(partial) end
  return ok, message
end

-- Whether what is to be copied is a database of this program.
local function check_source(connection)
  local version, message = database.run(connection, "PRAGMA user_version")
  local tables
  if version then tables, message = database.run(connection, "SELECT name FROM sqlite_master") end
  if not tables then return nil, message end
  return schema.check_version(version[1], tables[1] ~= nil)
end

--- Writes a copy of a database. The copy is the user's alone (0600).
---@param path string the database
---@param target string must not exist
---@return true? ok
---@return stream_events.Error? err the database cannot be read, or the copy cannot be written
function M.write(path, target)
  if uv.fs_lstat(target) then return fail(target, "it exists already") end
  local connection, message = database.connect_to_read(path)
  if not connection then return store.fail(path, message) end
  local ok
  ok, message = check_source(connection)
  if not ok then
    connection:close()
    return store.fail(path, message)
  end
  ok, message = copy(connection, target)
  connection:close()
  if not ok then return fail(target, message) end
  return true
end

return M
