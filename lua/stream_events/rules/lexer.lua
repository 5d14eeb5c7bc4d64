--- Tokens of Lua source text, 5.1 to 5.4. Reads any text: what is no Lua ends the tokens with "bad".
local M = {}

local find, byte, sub = string.find, string.byte, string.sub

-- `goto` is missing: where it is a name (Lua 5.1) and where a word, the parser sees.
local KEYWORDS = {}
for word in ([[and break do else elseif end false for function if in local nil not or repeat return
  then true until while]]):gmatch("%a+") do
  KEYWORDS[word] = true
end

local PAIRS = {}
for pair in ("== ~= <= >= // :: << >> .."):gmatch("%S+") do PAIRS[pair] = true end
local SINGLES = {}
for char in ("+-*/%^#&~|<>=(){}[];:,."):gmatch(".") do SINGLES[char] = true end

local LF, CR = 10, 13
local QUOTE, APOSTROPHE, DASH, DOT, OPEN, BACKSLASH = 34, 39, 45, 46, 91, 92

---@class stream_events.rules.Lexer
---@field kind "name"|"string"|"number"|"op"|"eof"|"bad" of the token
---@field value string its text; of a string what stands between its quotes, as it is written
---@field op string|false the value of an operator or keyword
---@field line integer where the token ends
---@field first integer where it begins
local Lexer = {}
Lexer.__index = Lexer

---@param text string
---@param position integer? where to begin, from 1
---@param line integer? the line of that position
---@return stream_events.rules.Lexer
function M.new(text, position, line)
  return setmetatable({
    text = text, position = position or 1, line = line or 1, first = line or 1,
    kind = "eof", value = "", op = false,
  }, Lexer)
end

-- Behind the line break at `at`: a pair of CR and LF, either way round, is one.
local function behind_break(text, at)
  local one, two = byte(text, at, at + 1)
  if (two == LF or two == CR) and two ~= one then return at + 2 end
  return at + 1
end

local function count_breaks(self, from, to)
  local text = self.text
  local at = find(text, "[\r\n]", from)
  while at and at <= to do
    self.line = self.line + 1
    at = find(text, "[\r\n]", behind_break(text, at))
  end
end

local function set(self, kind, value, op, position)
  self.kind, self.value, self.op, self.position = kind, value, op, position
  return kind
end

-- No way on: every further token is "bad" as well.
local function bad(self)
  return set(self, "bad", "", false, #self.text + 2)
end

-- The end of a long bracket that begins at `at`, and where its text begins and ends; nil: there is
-- none, or no end of it.
local function long_bracket(self, at)
  local _, open, level = find(self.text, "^%[(=*)%[", at)
  if not open then return nil end
  local from, to = find(self.text, "]" .. level .. "]", open + 1, true)
  if not from then return nil end
  return to, open + 1, from - 1
end

-- The position behind a comment that begins at `at`; nil: it does not end.
local function behind_comment(self, at)
  if find(self.text, "^%[=*%[", at + 2) then
    local to = long_bracket(self, at + 2)
    if not to then return nil end
    count_breaks(self, at, to)
    return to + 1
  end
  return find(self.text, "[\r\n]", at) or #self.text + 1
end

-- The position of the next token.
local function skip_space(self)
  local text, at = self.text, self.position
  while true do
    at = find(text, "[^ \t\v\f]", at)
    if not at then return #text + 1 end
    local char = byte(text, at)
    if char == LF or char == CR then
      self.line = self.line + 1
      at = behind_break(text, at)
    elseif char == DASH and byte(text, at + 1) == DASH then
      at = behind_comment(self, at)
      if not at then return nil end
    else
      return at
    end
  end
end

local function skip_escape(self, at)
  local char = byte(self.text, at + 1)
  if char == LF or char == CR then
    self.line = self.line + 1
    return behind_break(self.text, at + 1)
  elseif char == 122 then -- \z skips all space that follows
    local stop = find(self.text, "[^%s]", at + 2) or #self.text + 1
    count_breaks(self, at + 2, stop - 1)
    return stop
  end
  return at + 2
end

local ENDS = { [QUOTE] = '[\\\r\n"]', [APOSTROPHE] = "[\\\r\n']" }

local function read_string(self, start, quote)
  local text, class = self.text, ENDS[quote]
  local at = start + 1
  while true do
    at = find(text, class, at)
    local char = at and byte(text, at)
    if char == quote then return set(self, "string", sub(text, start + 1, at - 1), false, at + 1) end
    if char ~= BACKSLASH then return bad(self) end
    at = skip_escape(self, at)
  end
end

local function read_number(self, start)
  local text = self.text
  local _, stop = find(text, "^0[xX][%x%.]*", start)
  local exponent = "^[pP][+-]?%d*"
  if not stop then
    _, stop = find(text, "^[%d%.]+", start)
    exponent = "^[eE][+-]?%d*"
  end
  local _, more = find(text, exponent, stop + 1)
  _, stop = find(text, "^[%w_]*", (more or stop) + 1) -- LuaJIT's suffixes
  return set(self, "number", sub(text, start, stop), false, stop + 1)
end

local function read_operator(self, start)
  local text = self.text
  if sub(text, start, start + 2) == "..." then return set(self, "op", "...", "...", start + 3) end
  local pair = sub(text, start, start + 1)
  if PAIRS[pair] then return set(self, "op", pair, pair, start + 2) end
  local single = sub(pair, 1, 1)
  if SINGLES[single] then return set(self, "op", single, single, start + 1) end
  return bad(self)
end

--- Goes on to the next token.
---@return string kind
function Lexer:next()
  local text = self.text
  local start = skip_space(self)
  if not start then return bad(self) end
  self.first = self.line
  local _, stop = find(text, "^[%a_][%w_]*", start)
  if stop then
    local word = sub(text, start, stop)
    if KEYWORDS[word] then return set(self, "op", word, word, stop + 1) end
    return set(self, "name", word, false, stop + 1)
  end
  local char = byte(text, start)
  if not char then
    return set(self, self.kind == "bad" and "bad" or "eof", "", false, start)
  elseif char == QUOTE or char == APOSTROPHE then
    return read_string(self, start, char)
  elseif (char >= 48 and char <= 57) or (char == DOT and find(text, "^%.%d", start)) then
    return read_number(self, start)
  elseif char == OPEN then
    local to, from, last = long_bracket(self, start)
    if to then
      count_breaks(self, start, to)
      return set(self, "string", sub(text, from, last), false, to + 1)
    end
  end
  return read_operator(self, start)
end

return M
