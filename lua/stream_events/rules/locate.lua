--- Finds in the text of a rule file the line on which something stands that is known only by where
-- it is in a table. Looks at the text as it is written, so it finds only what is written out there.
local lexer = require "stream_events.rules.lexer"

local M = {}

-- Words that open a block of code, and those that close one: commas in between part no entries.
local DEEPER = { ["("] = 1, ["["] = 1, ["{"] = 1, ["function"] = 1, ["if"] = 1, ["do"] = 1, ["repeat"] = 1,
  [")"] = -1, ["]"] = -1, ["}"] = -1, ["end"] = -1, ["until"] = -1 }

local function over(tokens)
  return tokens.kind == "eof" or tokens.kind == "bad"
end

-- Goes to the end of an entry: its comma, or the brace that closes the table. With `open` it stops at
-- the first brace of a table on the way, behind which it then stands; true: there is one.
local function finish_entry(tokens, open)
  local depth = 0
  while not over(tokens) do
    local op = tokens.op
    if depth == 0 and (op == "," or op == ";" or op == "}") then return false end
    if open and op == "{" then
      tokens:next()
      return true
    end
    depth = depth + (DEEPER[op] or 0)
    tokens:next()
  end
  return false
end

-- The key of the entry that begins here, and its line; stands on the value then.
local function entry_key(tokens, count)
  local line, name = tokens.first, tokens.value
  if tokens.kind == "name" then
    -- A name without '=' begins an expression; the rest of that is skipped as its end is looked for.
    tokens:next()
    if tokens.op == "=" then
      tokens:next()
      return name, line
    end
    return count + 1, line
  elseif tokens.op == "[" then
    tokens:next()
    local key = tokens.kind == "number" and tonumber(tokens.value) or tokens.value
    if tokens.kind ~= "string" and tokens.kind ~= "number" then key = false end
    while not over(tokens) and tokens.op ~= "=" do tokens:next() end
    tokens:next()
    return key, line
  end
  return count + 1, line
end

-- The line of the entry `key` of the table whose first token this is, standing on its value then.
local function find_entry(tokens, key)
  local count = 0
  while not over(tokens) and tokens.op ~= "}" do
    local found, line = entry_key(tokens, count)
    if found == key then return line end
    if type(found) == "number" then count = count + 1 end
    finish_entry(tokens)
    if tokens.op ~= "}" then tokens:next() end
  end
  return nil
end

-- Goes behind `word` (and the string `name`, when given) on a line.
local function find_word(tokens, line, word, name)
  tokens:next()
  while not over(tokens) and tokens.first <= line do
    local hit = tokens.kind == "name" and tokens.value == word
    tokens:next()
    if hit and name and tokens.op == "(" then tokens:next() end
    if hit and not name then return true end
    if hit and tokens.kind == "string" and tokens.value == name then
      tokens:next()
      if tokens.op == ")" then tokens:next() end
      return true
    end
  end
  return false
end

local function line_start(source, line)
  if not source.starts then
    local starts = { 1 }
    for at in source.text:gmatch("\n()") do starts[#starts + 1] = at end
    source.starts = starts
  end
  return source.starts[line]
end

--- The line of an entry in the table that follows a word.
---@param source { text: string } a cache is kept in it
---@param line integer on which the word stands
---@param word string `event`, `string`, ...
---@param name string? the string behind the word
---@param path any[] keys and indices that lead to the entry
---@return integer?
function M.entry(source, line, word, name, path)
  local start = line_start(source, line)
  if not start then return nil end
  local tokens = lexer.new(source.text, start, line)
  if not find_word(tokens, line, word, name) then
    -- The name may have come from a variable.
    if not name then return nil end
    return M.entry(source, line, word, nil, path)
  end
  if path[1] == nil then return line end
  if tokens.op == "(" then tokens:next() end
  if tokens.op ~= "{" then return nil end
  tokens:next()
  for i, key in ipairs(path) do
    local found = find_entry(tokens, key)
    if not found or i == #path then return found end
    if not finish_entry(tokens, true) then return nil end
  end
end

--- The line of a word that occurs but once, as a name or a string.
---@param source { text: string }
---@param word string
---@return integer?
function M.word(source, word)
  if not source.text:find(word, 1, true) then return nil end
  local tokens = lexer.new(source.text)
  local line
  while true do
    tokens:next()
    if over(tokens) then return line end
    if (tokens.kind == "name" or tokens.kind == "string") and tokens.value == word then
      if line then return nil end
      line = tokens.first
    end
  end
end

return M
