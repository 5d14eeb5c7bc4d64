--- Another program at work on a database: statements from outside.
local DBI = require "DBI"

--- Runs statements; gives the first column of all their rows.
---@param path string
---@param ... string
---@return any[]
return function(path, ...)
  local connection = assert(DBI.Connect("SQLite3", path))
  connection:autocommit(true)
  local values = {}
  for _, text in ipairs { ... } do
    local statement = assert(connection:prepare(text))
    assert(statement:execute())
    for row in statement:rows() do values[#values + 1] = row[1] end
    statement:close() -- one left open would keep the database open
  end
  connection:close()
  return values
end
