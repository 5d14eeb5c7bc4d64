--- Looks through a database, its file and its documents, for whatever is wrong. Changes nothing, and may
-- be done while a server is using it: what it sees is one moment.
local database = require "stream_events.server.database"
local documents = require "stream_events.server.documents"
local native = require "stream_events.native"
local schema = require "stream_events.server.schema"
local store = require "stream_events.server.store"

local M = {}

local MAX_PROBLEMS = 1000 -- more are only counted

---@class stream_events.server.DataProblem
---@field kind string? of the document; nil: the file itself
---@field key string?
---@field message string

---@class stream_events.server.DataReport
---@field path string
---@field schema integer the version of its schema; 0: nothing was ever stored in it
---@field documents table<string, integer> how many there are of each kind
---@field problems stream_events.server.DataProblem[] in the order of kinds and keys
---@field problem_count integer all of them; the list may be shorter

local function reporter(report)
  return function(kind, key, message)
    report.problem_count = report.problem_count + 1
    if report.problem_count > MAX_PROBLEMS then return end
    table.insert(report.problems, { kind = kind, key = key, message = message })
  end
end

-- Calls `each(key, text, body)` for the documents of a table, with a body where the table has one. When
-- it cannot be read further: nil, why.
local function walk(connection, name, each)
  -- LuaDBI cuts large numbers.
  local statement, message =
    connection:prepare(("SELECT CAST(key AS TEXT), * FROM %s ORDER BY key"):format(name))
  if not statement then return nil, database.reason(message) end
  local ok
  ok, message = statement:execute()
  if ok then
    ok, message = pcall(function()
      for row in statement:rows() do each(tostring(row[1]), tostring(row[3]), row[4]) end
    end)
  end
  statement:close()
  -- Ctrl-C is no damage.
  if not ok and tostring(message):find "interrupted!$" then error(message, 0) end
  if not ok then return nil, database.reason(message) end
  return true
end

local function check_file(connection, problem)
  local lines, message = database.run(connection, "PRAGMA integrity_check")
  if not lines then return problem(nil, nil, message) end
  for _, line in ipairs(lines) do
    if line ~= "ok" then problem(nil, nil, (tostring(line):gsub("%s+", " "))) end
  end
end

-- The kinds that a schema of that version has, in the order of their names.
local function kinds_of(connection, version, problem)
  local tables = {}
  for _, name in ipairs(database.run(connection, "SELECT name FROM sqlite_master WHERE type = 'table'")
    or {}) do
    tables[name] = true
  end
  local kinds = {}
  for kind, name in pairs(schema.TABLES) do
    if tables[name] then
      kinds[#kinds + 1] = kind
    elseif version == schema.VERSION then
      problem(nil, nil, ("the table %s is missing"):format(name))
    end
  end
  table.sort(kinds)
  return kinds
end

-- The keys come first: documents speak of others of any kind.
local function check_documents(connection, report, problem, tell)
  local kinds, keys = kinds_of(connection, report.schema, problem), {}
  local total, done = 0, 0
  for _, kind in ipairs(kinds) do
    local set = {}
    keys[kind] = set
    local ok, message = walk(connection, schema.TABLES[kind], function(key)
      set[key] = true
      total = total + 1
      tell(0)
    end)
    if not ok then problem(kind, nil, message) end
  end
  local function known(kind, key)
    return keys[kind] == nil or keys[kind][key] == true
  end
  for _, kind in ipairs(kinds) do
    local count = 0
    walk(connection, schema.TABLES[kind], function(key, text, body)
      count, done = count + 1, done + 1
      tell(done, total)
      documents.check(kind, key, text, known, function(message) problem(kind, key, message) end, body)
    end)
    report.documents[kind] = count
  end
end

local function look(connection, report, tell)
  -- One transaction, so that a server at work changes nothing under our eyes.
  local ok, message = database.run(connection, "BEGIN")
  if not ok then return nil, message end
  local version
  version, message = database.run(connection, "PRAGMA user_version")
  if not version then return nil, message end
  report.schema = version[1]
  local tables
  tables, message = database.run(connection, "SELECT name FROM sqlite_master")
  if not tables then return nil, message end
  ok, message = schema.check_version(version[1], tables[1] ~= nil)
  if not ok then return nil, message end
  local problem = reporter(report)
  check_file(connection, problem)
  check_documents(connection, report, problem, tell)
  return report
end

--- The error for a database with which a server could not start: what is wrong with it first.
---@param path string
---@return stream_events.Error? err nil: nothing is wrong with the database
function M.damage(path)
  local report = path ~= ":memory:" and M.run(path)
  local first = report and report.problems[1]
  if not first then return nil end
  local what = first.kind and ("the %s %q: "):format(first.kind:gsub("_", " "), first.key or "") or ""
  local _, err = store.fail(path, "it is damaged: " .. what .. first.message)
  err.hint = "`stream-events serve --check-data` lists all that is wrong; a backup has it as it was."
  return err
end

--- Checks a database.
---@param path string of a file
---@param tell (fun(done: integer, total: integer?))? called for each document, with their number once it is
---  known
---@return stream_events.server.DataReport? report what was found, sound or not
---@return stream_events.Error? err it cannot be looked at: it is missing, no database of this program, ...
function M.run(path, tell)
  local connection, message = database.connect_to_read(path)
  if not connection then return store.fail(path, message) end
  local report = {
    path = path, schema = 0, documents = {}, problems = native.json.array {}, problem_count = 0,
  }
  local found
  found, message = look(connection, report, tell or function() end)
  connection:close()
  if not found then return store.fail(path, message) end
  return found
end

return M
