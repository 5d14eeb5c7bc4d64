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
local function fill(connection, partial, target, watch)
  local ok, message = uv.fs_chmod(partial, database.OWNER_ONLY)
  if not ok then return nil, message end
  local stop = watch and watch(partial)
  ok, message = database.run(connection, "VACUUM INTO ?", partial)
  if stop then stop() end
  if ok then ok, message = sync(partial) end
  if ok then ok, message = publish(partial, target) end
  return ok, message
end

-- Half a copy is none: also when somebody interrupts it.
local function copy(connection, target, watch)
  local file, partial = uv.fs_mkstemp(target .. ".XXXXXX")
  if not file then return nil, partial end
  uv.fs_close(file)
  local went, ok, message = pcall(fill, connection, partial, target, watch)
  if not went or not ok then uv.fs_unlink(partial) end
  if not went then error(ok, 0) end
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
---@param watch (fun(partial: string): fun())? called with the file that grows meanwhile; what it gives is
---  called when that has its size
---@return true? ok
---@return stream_events.Error? err the database cannot be read, or the copy cannot be written
function M.write(path, target, watch)
  if uv.fs_lstat(target) then return fail(target, "it exists already") end
  local connection, message = database.connect_to_read(path)
  if not connection then return store.fail(path, message) end
  local ok
  ok, message = check_source(connection)
  if not ok then
    connection:close()
    return store.fail(path, message)
  end
  ok, message = copy(connection, target, watch)
  connection:close()
  if not ok then return fail(target, message) end
  return true
end

return M
