--- Escapes in the strings of rule files that Lua 5.1 does not know: it takes "\xE9" for "xE9", and a
-- rule would look, without a word, for something else than stands there.
local lexer = require "stream_events.rules.lexer"

local M = {}

local KNOWN = "\x41" == "A" -- everywhere else
local WRONG = "\\999" -- which is an error in 5.1, too

local CONTINUED = { 0, 0x80, 0x800, 0x10000, 0x110000 } -- the first code points of so many bytes
local LEADS = { 0, 0xC0, 0xE0, 0xF0 }

local function decimal(byte) return ("\\%03d"):format(byte) end

-- A code point's UTF-8, as escapes.
local function utf8(point)
  local count = 1
  while CONTINUED[count + 1] and point >= CONTINUED[count + 1] do count = count + 1 end
  if not LEADS[count] then return WRONG end
  local rest = ""
  for _ = 2, count do
    rest = decimal(0x80 + point % 64) .. rest
    point = math.floor(point / 64)
  end
  return decimal(LEADS[count] + point) .. rest
end

-- What stands for the escape at `at`; where it ends; and line breaks that it leaves out.
local function escape(text, at)
  local letter = text:sub(at + 1, at + 1)
  if letter == "x" then
    local digits = text:match("^%x%x", at + 2)
    if not digits then return WRONG, at + 1 end
    return decimal(tonumber(digits, 16)), at + 3
  elseif letter == "u" then
    local digits, stop = text:match("^{0*(%x+)}()", at + 2)
    if not digits or #digits > 6 then return WRONG, at + 1 end
    return utf8(tonumber(digits, 16)), stop - 1
  elseif letter == "z" then
    local space, stop = text:match("^(%s*)()", at + 2)
    return "", stop - 1, (space:gsub("\r\n", "\n"):gsub("[^\r\n]", ""))
  end
  return text:sub(at, at + 1), at + 1
end

local function rewritten(text)
  local parts, breaks, from = {}, "", 1
  local at = text:find("\\", 1, true)
  while at do
    local made, stop, left_out = escape(text, at)
    parts[#parts + 1] = text:sub(from, at - 1) .. made
    breaks = breaks .. (left_out or "")
    from = stop + 1
    at = text:find("\\", from, true)
  end
  return table.concat(parts) .. text:sub(from), breaks
end

--- The same text with escapes that every Lua reads. No line moves.
---@param text string
---@return string
function M.translate(text)
  if not text:find "\\[xuz]" then return text end
  local tokens, parts, copied = lexer.new(text), {}, 1
  local kind
  repeat
    kind = tokens:next()
    local closing = tokens.position - 1
    if kind == "string" and text:find("^[\"']", closing) then
      local inner, breaks = rewritten(tokens.value)
      parts[#parts + 1] = text:sub(copied, closing - #tokens.value - 1) .. inner
        .. text:sub(closing, closing) .. breaks
      copied = closing + 1
    end
  until kind == "eof" or kind == "bad"
  return table.concat(parts) .. text:sub(copied)
end

--- A text as this Lua has to be given it.
---@param text string
---@return string
function M.readable(text)
  return KNOWN and text or M.translate(text)
end

return M
