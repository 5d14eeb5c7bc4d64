--- SQLite files: makes them for the user alone, keeps a second server out, opens connections to them and
-- runs statements. Knows nothing of what is in them. Everything here gives nil and a text when it fails.
local DBI = require "DBI"
local uv = require "luv"

local M = {}

local OWNER_ONLY, OWNER_ONLY_FOLDER = 384, 448 -- 0600, 0700
M.OWNER_ONLY = OWNER_ONLY

--- The words of SQLite, without those that LuaDBI puts before them.
---@param message any
---@return string
function M.reason(message)
  message = tostring(message):gsub("^Error preparing statement handle: ", "")
    :gsub("^Execute failed:? ", "")
  return message
end

--- Runs a statement once.
---@param connection table
---@param sql string
---@param ... string for its parameters
---@return any[]? values the first column of its rows
---@return string? message
function M.run(connection, sql, ...)
  local statement, message = connection:prepare(sql)
  if not statement then return nil, M.reason(message) end
  local ok
  ok, message = statement:execute(...)
  local values = {}
  if ok then
    -- A row that cannot be read raises.
    ok, message = pcall(function()
      for row in statement:rows() do values[#values + 1] = row[1] end
    end)
  end
  statement:close()
  if not ok then return nil, M.reason(message) end
  return values
end

---@param path string
---@return table? connection
---@return string? message
function M.connect(path)
  local connection, message = DBI.Connect("SQLite3", path)
  if not connection then return nil, M.reason(message) end
  connection:autocommit(true)
  return connection
end

-- Whether SQLite was built so that names may be URIs; else it would make a file of that name.
local function knows_uris()
  local connection = M.connect ":memory:"
  if not connection then return false end
  local values = M.run(connection, "SELECT sqlite_compileoption_used('USE_URI')")
  connection:close()
  return values ~= nil and values[1] == 1
end

local function uri(path)
  return "file:" .. path:gsub("[^%w/._-]", function(letter) return ("%%%02X"):format(letter:byte()) end)
    .. "?mode=ro"
end

--- Opens a file that exists, to look at it only; a server may be using it.
---@param path string
---@return table? connection
---@return string? message
function M.connect_to_read(path)
  local found, missing = uv.fs_stat(path)
  if not found then return nil, missing end
  local ok, message = M.check_kind(found)
  if not ok then return nil, message end
  local connection
  connection, message = M.connect(knows_uris() and uri(path) or path)
  if not connection then return nil, message end
  ok, message = M.run(connection, "PRAGMA busy_timeout = 1000")
  if ok then return connection end
  connection:close()
  return nil, message
end

--- Whether a file can be a database at all.
---@param found table? as of fs_stat
---@return true? ok
---@return string? message
function M.check_kind(found)
  if found and found.type == "directory" then return nil, "it is a folder" end
  if found and found.type ~= "file" then return nil, "it is no file" end
  return true
end

--- Makes the file first, so that it is never readable for others, and learns in plain words why it
--- cannot be made.
---@param path string
---@return true? ok
---@return string? message
function M.prepare_file(path)
  local ok, message = M.check_kind(uv.fs_stat(path))
  if not ok then return nil, message end
  local file
  file, message = uv.fs_open(path, "a", OWNER_ONLY)
  if not file then return nil, message end
  uv.fs_close(file)
  return true
end

--- Two servers with one database would each overwrite what the other remembers. The lock is a
--- transaction on a file beside it; the system ends it with this process, however that ends. Links
--- lead to the same lock.
---@param path string
---@return table? connection to be closed to let go of it
---@return string? message
function M.lock(path)
  path = uv.fs_realpath(path) or path
  local ok, message = M.prepare_file(path .. "-lock")
  if not ok then return nil, message end
  local connection
  connection, message = M.connect(path .. "-lock")
  if not connection then return nil, message end
  ok, message = M.run(connection, "BEGIN EXCLUSIVE")
  if ok then return connection end
  connection:close()
  if message:find("locked", 1, true) then message = "another server is using it" end
  return nil, message
end

-- What SQLite lets the write-ahead log grow to before it begins anew at its front: 1000 pages, and those
-- of the write that comes to them, each behind a header of 24 bytes.
local LOG_BYTES = 32 + 1064 * (24 + 4096)
local BLOCK = 1 << 16

-- Appends zeros, until there are so many bytes; none where there is no room for all.
local function fill_up(file, bytes)
  local found = uv.fs_fstat(file)
  local at = found and found.size or bytes
  if at >= bytes then return end
  local zeros = ("\0"):rep(BLOCK)
  while at < bytes do
    local written = uv.fs_write(file, zeros:sub(1, bytes - at), at)
    if not written then
      uv.fs_ftruncate(file, found.size)
      return
    end
    at = at + written
  end
  uv.fs_fsync(file)
end

--- The write-ahead log of a database: it lies beside the file itself, and not beside a link to it.
---@param path string
---@return string
function M.log_of(path)
  return (uv.fs_realpath(path) or path) .. "-wal"
end

--- Gives the write-ahead log the size that it will have. While a file grows, each write that is to last
--- waits for the journal of the file system, too, and takes twice the time. SQLite reads the log as far
--- as what it has written there goes; zeros behind that mean nothing to it. Where there is no room, the
--- log grows as it would without.
---@param connection table
---@param log string its path
function M.extend_log(connection, log)
  if not M.run(connection, "BEGIN IMMEDIATE") then return end -- so that nobody else writes to it
  local file = uv.fs_open(log, "r+", OWNER_ONLY)
  if file then
    fill_up(file, LOG_BYTES)
    uv.fs_close(file)
  end
  M.run(connection, "COMMIT")
end

--- Makes the folders that lead to a file; those it makes are the user's alone.
---@param path string
---@return true? ok
---@return string? message
function M.make_folders(path)
  local ends = 1
  while true do
    ends = path:find("/", ends + 1, true)
    if not ends then return true end
    local folder = path:sub(1, ends - 1)
    local ok, message, name = uv.fs_mkdir(folder, OWNER_ONLY_FOLDER)
    if not ok and name ~= "EEXIST" and not uv.fs_stat(folder) then return nil, message end
  end
end

return M
