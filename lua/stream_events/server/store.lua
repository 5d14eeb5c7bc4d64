--- The server's memory across restarts: JSON documents by kind and key, in SQLite.
-- The models keep everything in memory and write here before they answer; nothing is ever looked
-- up here. What put, delete or transaction have returned from survives a kill -9 or a power cut; what
-- quick_transaction has, a kill -9 and, from the next sync() on, a power cut.
--
-- A write that fails (a full disk, say) raises an error object: whoever forgot to look at a result
-- would acknowledge what is lost.
local uv = require "luv"
local database = require "stream_events.server.database"
local errors = require "stream_events.error"
local histograms = require "stream_events.server.histogram"
local native = require "stream_events.native"
local schema = require "stream_events.server.schema"

local M = {}

local json, run, reason = native.json, database.run, database.reason
local TABLES = schema.TABLES

local BEGIN = "BEGIN IMMEDIATE"
local PATIENCE = schema.PATIENCE
-- Of the disk: a fast one needs fractions of a millisecond.
local COMMIT_SECONDS = { 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1 }

-- Rows that one statement writes, where there are many.
local BATCHES = { 16, 4, 1 }

---@class stream_events.server.Store
---@field path string
---@field private log string? the write-ahead log; nil in memory
---@field revision integer changes with every document that is written or removed, but for many at once
---@field private connection table
---@field private statements table<string, table> by their text
---@field private reading table<table, true> statements of loops that go on
---@field private lock table? the connection that holds FILE-lock
---@field private depth integer of open transactions
---@field private following function[] what is to be done when the open transaction is on the disk
---@field private patience integer milliseconds for which a write waits for another program
---@field private synchronous "FULL"|"NORMAL" whether a commit waits for the disk
---@field private is_ahead boolean? of what is on the disk
---@field private is_syncing boolean? something is on its way there
---@field commits stream_events.server.Histogram seconds that each write took until it was there to last
local Store = { __name = "stream_events.server.store" }
Store.__index = Store

--- The error for a database that cannot be used.
---@param path string
---@param message string
---@return nil
---@return stream_events.Error err
function M.fail(path, message)
  return errors.fail("protocol", ("cannot use the database %s: %s"):format(path, message))
end

--- Where `stream-events serve` keeps its state when nobody says so.
---@return string
function M.default_path()
  local state = os.getenv("XDG_STATE_HOME")
  -- The standard has relative paths ignored.
  if not state or state:sub(1, 1) ~= "/" then
    state = (uv.os_homedir() or ".") .. "/.local/state"
  end
  return state .. "/stream-events/server.db"
end

--- Opens a database, makes it when it is missing.
---@param path string ":memory:" or a file in a folder that exists; those of default_path() are made
---@return stream_events.server.Store? store
---@return stream_events.Error? err
function M.open(path)
  local ok, message, held, connection
  if type(path) ~= "string" or path == "" or path:find("%z") then
    error("the path of a database must be a string that is not empty", 2)
  end
  if path == M.default_path() then
    ok, message = database.make_folders(path)
    if not ok then return M.fail(path, message) end
  end
  if path ~= ":memory:" then
    ok, message = database.prepare_file(path)
    if not ok then return M.fail(path, message) end
    held, message = database.lock(path)
    if not held then return M.fail(path, message) end
  end
  connection, message = database.connect(path)
  if connection then
    ok, message = schema.set_up(connection)
    if ok then
      local log = path ~= ":memory:" and database.log_of(path) or nil
      if log then database.extend_log(connection, log) end
      return setmetatable({
        path = path, log = log, connection = connection, statements = {}, reading = {}, lock = held,
        depth = 0, following = {}, revision = 0, patience = PATIENCE, synchronous = schema.SYNCHRONOUS,
        commits = histograms.new(COMMIT_SECONDS),
      }, Store)
    end
    connection:close()
  end
  if held then held:close() end
  return M.fail(path, message)
end

local function broken(self, kind, what, message)
  error(errors.new {
    kind = kind,
    message = ("the database %s cannot %s: %s"):format(self.path, what, reason(message)),
  }, 0)
end

-- Another program that writes is waited for, and all clients wait meanwhile. One that keeps the database
-- for longer is therefore waited for once: until a write works again, each is tried without waiting.
local function wait_for_others(self, milliseconds)
  if self.patience == milliseconds then return end
  self.patience = milliseconds
  run(self.connection, ("PRAGMA busy_timeout = %d"):format(milliseconds))
end

-- Whether commits wait for the disk from now on; of an open transaction that is decided.
local function set_synchronous(self, how)
  if self.synchronous == how or self.depth > 0 then return end
  local ok, message = run(self.connection, "PRAGMA synchronous = " .. how)
  if not ok then broken(self, "full", "be written", message) end
  self.synchronous = how
end

-- Runs a prepared statement; prepares it at first use. LuaDBI binds large integers wrongly, so
-- texts and floats are all that is bound.
local function execute(self, sql, ...)
  if not self.connection then error("the store is closed", 3) end
  if sql ~= BEGIN then set_synchronous(self, "FULL") end
  local statement = self.statements[sql]
  if not statement then
    local problem
    statement, problem = self.connection:prepare(sql)
    if not statement then broken(self, "full", "be used", problem) end
    self.statements[sql] = statement
  end
  local started = native.now()
  local ok, message = statement:execute(...)
  if self.synchronous == "FULL" and (sql == "COMMIT" or (self.depth == 0 and sql ~= BEGIN)) then
    self.commits:add(native.now() - started)
  end
  if not ok then
    -- Its error would be reported once more at its next use.
    statement:close()
    self.statements[sql] = nil
    if tostring(message):find("locked", 1, true) then wait_for_others(self, 0) end
    broken(self, "full", "be written", message)
  end
  wait_for_others(self, PATIENCE)
end

local function table_of(kind)
  return TABLES[kind] or error(("no kind of document: %s"):format(tostring(kind)), 3)
end

-- Statements by kind, made once: they are looked up by their texts for every write.
local function by_kind(pattern)
  local statements = {}
  for kind, name in pairs(TABLES) do statements[kind] = pattern:format(name) end
  return statements
end

local PUT = by_kind("INSERT INTO %s (key, document) VALUES (?, ?) "
  .. "ON CONFLICT (key) DO UPDATE SET document = excluded.document")
local DELETE = by_kind "DELETE FROM %s WHERE key = ?"
local DELETE_RANGE = by_kind "DELETE FROM %s WHERE key BETWEEN ? AND ?"

-- By the number of rows. What fails undoes the whole transaction: undoing it alone would take a copy of
-- each page before.
local ADD_MANY = {}
for _, rows in ipairs(BATCHES) do
  ADD_MANY[rows] = by_kind("INSERT OR ROLLBACK INTO %s (key, document, body) VALUES (?, ?, ?)"
    .. (", (?, ?, ?)"):rep(rows - 1))
end

local function check_key(key)
  if type(key) ~= "string" or key == "" or key:find("%z") then
    error("a document's key must be a string that is not empty", 3)
  end
end

--- Writes a document, in place of what was there.
---@param kind string a key of TABLES: "user", "channel", "member", ...
---@param key string
---@param document table anything that can be encoded as JSON
function Store:put(kind, key, document)
  table_of(kind)
  check_key(key)
  local text, err = json.encode(document)
  if not text then error(("%s %q cannot be stored: %s"):format(kind, key, err.message), 2) end
  self.revision = self.revision + 1
  execute(self, PUT[kind], key, text)
end

--- Removes a document; one that is not there may be removed as well.
---@param kind string
---@param key string
function Store:delete(kind, key)
  table_of(kind)
  check_key(key)
  self.revision = self.revision + 1
  execute(self, DELETE[kind], key)
end

--- Writes many new documents that are JSON texts already, each with a body, in few statements: to be
--- called in a transaction, which ends when one of them is there already.
---@param kind "webhook" the one whose documents have bodies
---@param values any[] of each the key, a whole number as a float, the text of a JSON object, and the body,
---  any text
function Store:add_all(kind, values)
  table_of(kind)
  local done, n = 0, #values
  for _, rows in ipairs(BATCHES) do
    local sql, taken = ADD_MANY[rows][kind], 3 * rows
    while done + taken <= n do
      execute(self, sql, table.unpack(values, done + 1, done + taken))
      done = done + taken
    end
  end
end

--- Removes all documents whose keys lie in one of these ranges.
---@param kind string
---@param ranges number[][] the first and the last key of each, floats
function Store:delete_ranges(kind, ranges)
  table_of(kind)
  for _, range in ipairs(ranges) do execute(self, DELETE_RANGE[kind], range[1], range[2]) end
end

local function transact(self, synchronous, work, ...)
  if self.depth > 0 then return work(...) end
  if not self.connection then error("the store is closed", 3) end
  set_synchronous(self, synchronous)
  execute(self, BEGIN)
  self.depth, self.following = 1, {}
  local results = table.pack(xpcall(function(...)
    local returned = table.pack(work(...))
    execute(self, "COMMIT")
    return table.unpack(returned, 1, returned.n)
  end, function(problem)
    return errors.is(problem) and problem or debug.traceback(problem, 2)
  end, ...))
  self.depth = 0
  if not results[1] then
    -- A failed COMMIT may have ended the transaction already.
    run(self.connection, "ROLLBACK")
    error(results[2], 0)
  end
  -- Only sync() takes it back: a commit that changes nothing waits for no disk, whatever was asked for.
  if synchronous ~= "FULL" then self.is_ahead = true end
  for _, apply in ipairs(self.following) do apply() end
  return table.unpack(results, 2, results.n)
end

--- Runs a function whose writes all happen, or none: when it raises, they are undone and the error
--- goes on. Inside another transaction it is part of that one.
---@param work fun(...): ...
---@param ... any for the function
---@return any ... what the function returned
function Store:transaction(work, ...)
  return transact(self, "FULL", work, ...)
end

--- The same without waiting for the disk, for what is written with every event.
---@param work fun(...): ...
---@param ... any for the function
---@return any ... what the function returned
function Store:quick_transaction(work, ...)
  return transact(self, "NORMAL", work, ...)
end

--- Lets what was written quickly outlast a power cut as well: begins it, and waits for nothing. What fails is
--- tried again with the next call.
---@return boolean again false: there is nothing to do, until something is written
function Store:sync()
  -- One at a time: on a disk that stands still they would take every thread there is for files.
  if self.is_syncing then return true end
  if not self.is_ahead or not self.log then return false end
  self.is_ahead, self.is_syncing = false, true
  local function ended(problem)
    self.is_syncing = false
    if problem then self.is_ahead = true end
  end
  uv.fs_open(self.log, "r", 0, function(missing, file)
    if not file then return ended(missing) end
    uv.fs_fdatasync(file, function(problem)
      ended(problem)
      uv.fs_close(file, function() end)
    end)
  end)
  return true
end

--- Has a model changed in memory when what it has written is on the disk: now, or after the transaction
--- around this, and not at all when that is undone. It must not raise.
---@param apply fun()
function Store:on_commit(apply)
  if self.depth == 0 then return apply() end
  self.following[#self.following + 1] = apply
end

-- The rows of a statement, one by one. The statement is finished even when the loop is left early: it
-- would hold back the write-ahead log for ever.
local function rows(self, sql)
  if not self.connection then error("the store is closed", 3) end
  local statement, message = self.connection:prepare(sql)
  if not statement then broken(self, "protocol", "be read", message) end
  self.reading[statement] = true
  local function finish()
    self.reading[statement] = nil
    statement:close()
  end
  local ok, problem = statement:execute()
  if not ok then
    finish()
    broken(self, "protocol", "be read", problem)
  end
  local next_row = statement:rows()
  local function step()
    local row = next_row()
    if row then return table.unpack(row, 1, 4) end
  end
  return step, nil, nil, setmetatable({}, { __close = finish })
end

local function damaged(self, kind, key, err)
  return broken(self, "protocol", "be read", ("the %s %q is damaged: %s"):format(kind, key,
    err and err.message or "it is no object"))
end

--- Makes a document of a text that texts() gave. Raises an error object when it is damaged.
---@param kind string
---@param key string
---@param text string
---@return table
function Store:decode(kind, key, text)
  local document, err = json.decode(text)
  if type(document) == "table" then return document end
  return damaged(self, kind, key, err)
end

--- Writes to the database without changing it; raises as a write does.
function Store:try_to_write()
  execute(self, ("PRAGMA user_version = %d"):format(schema.VERSION))
end

--- All documents of a kind, in the order of their keys: `for key, document in store:each "user"`.
--- Raises an error object when one cannot be read. Not to be mixed with writes of the same kind.
---@param kind string
---@return fun(): string?, table?
function Store:each(kind)
  local step, _, _, closing = rows(self, ("SELECT key, document FROM %s ORDER BY key"):format(table_of(kind)))
  return function()
    local key, text = step()
    if key then return key, self:decode(kind, key, text) end
  end, nil, nil, closing
end

--- As each(), for documents whose keys are numbers and which have bodies: key, document, and the body
--- where it has one.
---@param kind "webhook"
---@return fun(): integer?, table?, string?
function Store:each_with_body(kind)
  -- LuaDBI cuts large numbers.
  local step, _, _, closing = rows(self,
    ("SELECT CAST(key AS TEXT), document, body FROM %s ORDER BY key"):format(table_of(kind)))
  return function()
    local key, text, body = step()
    if key then return math.tointeger(key), self:decode(kind, key, text), body end
  end, nil, nil, closing
end

-- Raises an error object when one of the documents of a kind is no JSON object.
local function check_texts(self, kind)
  for key, text in rows(self, ("SELECT key, document FROM %s "
    .. "WHERE substr(document, 1, 1) <> '{' OR NOT json_valid(document) LIMIT 1"):format(table_of(kind))) do
    damaged(self, kind, key, select(2, json.decode(text)))
  end
end

--- All documents of a kind, in any order, as the texts they are stored as, for decode() when one is
--- needed: of many documents most are not used for a long time. Raises an error object when one is
--- damaged.
---@param kind string
---@return fun(): string?, string?
function Store:texts(kind)
  check_texts(self, kind)
  return rows(self, ("SELECT key, document FROM %s"):format(table_of(kind)))
end

--- As texts(), each with its parts: the documents of another kind whose keys are its own key, a "/" and
--- a name. Gives key, text, and nil or the parts as the text of a JSON list and their names, separated
--- by blanks. Far quicker than one by one.
---@param kind string
---@param part string kind of the parts; their names hold no blanks
---@return fun(): string?, string?, string?, string?
function Store:texts_with(kind, part)
  check_texts(self, kind)
  check_texts(self, part)
  -- "0" is what follows "/".
  local parts = ("FROM %s WHERE key > whole.key || '/' AND key < whole.key || '0'"):format(table_of(part))
  return rows(self, ("SELECT key, document, (SELECT '[' || group_concat(document) || ']' %s), "
    .. "(SELECT group_concat(substr(key, length(whole.key) + 2), ' ') %s) FROM %s AS whole")
    :format(parts, parts, table_of(kind)))
end

--- Closes the database. Any number of times; also __gc and __close.
function Store:close()
  if not self.connection then return end
  -- One statement left open would keep the database open.
  for _, statement in pairs(self.statements) do statement:close() end
  for statement in pairs(self.reading) do statement:close() end
  self.statements, self.reading = {}, {}
  self.connection:close()
  self.connection = nil
  if self.lock then self.lock:close() end
  self.lock = nil
end

Store.__close = Store.close
Store.__gc = Store.close

return M
