--- Tables for people: columns aligned by what a terminal shows, cut where the terminal ends.
-- Texts come from the network: each cell is made harmless before it is measured.
local format = require "stream_events.command.format"

local M = {}

local GAP = "  "
local NARROWEST = 8 -- columns to which a cut column shrinks at most
local CUT = "…"

-- Ranges of characters that are two columns wide in a terminal (East Asian Wide, emoji), and of those that
-- are none (combining marks, joiners, variation selectors). Both in order.
local WIDE = {
  { 0x1100, 0x115F }, { 0x2E80, 0x303E }, { 0x3041, 0x33FF }, { 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF },
  { 0xA000, 0xA4CF }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF }, { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 },
  { 0xFFE0, 0xFFE6 }, { 0x1F300, 0x1F64F }, { 0x1F680, 0x1F6FF }, { 0x1F900, 0x1F9FF },
  { 0x20000, 0x3FFFD },
}
local NONE = {
  { 0x0300, 0x036F }, { 0x0483, 0x0489 }, { 0x0591, 0x05BD }, { 0x0610, 0x061A }, { 0x064B, 0x065F },
  { 0x1AB0, 0x1AFF }, { 0x1DC0, 0x1DFF }, { 0x200B, 0x200D }, { 0x20D0, 0x20FF }, { 0xFE00, 0xFE0F },
  { 0xFE20, 0xFE2F },
}

local function within(ranges, code)
  for _, range in ipairs(ranges) do
    if code < range[1] then return false end
    if code <= range[2] then return true end
  end
  return false
end

local function char_width(code)
  if code < 0x300 then return 1 end
  if within(NONE, code) then return 0 end
  return within(WIDE, code) and 2 or 1
end

--- How many columns a text takes in a terminal.
---@param text string UTF-8 without control characters
---@return integer
function M.width(text)
  if not text:find("[\128-\255]") then return #text end
  local width = 0
  for _, code in utf8.codes(text) do width = width + char_width(code) end
  return width
end

-- The beginning of a text that fits, with a mark that there is more.
local function cut(text, limit)
  if M.width(text) <= limit then return text end
  local width, parts = 0, {}
  for _, code in utf8.codes(text) do
    width = width + char_width(code)
    if width > limit - 1 then break end
    parts[#parts + 1] = utf8.char(code)
  end
  return table.concat(parts) .. CUT
end

--- A value as one cell shows it.
---@param value any
---@return string
function M.cell(value)
  if value == nil then return "" end
  if type(value) == "boolean" then return value and "yes" or "no" end
  if type(value) == "string" then return format.plain(value) end
  return format.encoded(value)
end

-- The widths of the columns, the widest of them made narrower until a line fits.
local function fit(widths, limit)
  local total = #GAP * (#widths - 1)
  for _, width in ipairs(widths) do total = total + width end
  while limit and total > limit do
    local widest = 1
    for i, width in ipairs(widths) do
      if width > widths[widest] then widest = i end
    end
    if widths[widest] <= NARROWEST then return end
    widths[widest] = widths[widest] - 1
    total = total - 1
  end
end

local function line_of(cells, widths)
  local parts = {}
  for i, cell in ipairs(cells) do
    local text = cut(cell, widths[i])
    parts[i] = text .. (" "):rep(widths[i] - M.width(text))
  end
  return (table.concat(parts, GAP):gsub(" +$", ""))
end

--- The lines of a table; the first one names the columns, if there are names.
---@param header string[]? nil: without names
---@param rows any[][] each as long as `columns` says; nil is an empty cell
---@param columns integer
---@param limit integer? columns of the terminal; nil: nothing is cut
---@return string[] lines
function M.lines(header, rows, columns, limit)
  local cells, widths = {}, {}
  if header then cells[1] = header end
  for _, row in ipairs(rows) do
    local texts = {}
    for i = 1, columns do texts[i] = M.cell(row[i]) end
    cells[#cells + 1] = texts
  end
  for i = 1, columns do
    widths[i] = 0
    for _, texts in ipairs(cells) do widths[i] = math.max(widths[i], M.width(texts[i])) end
  end
  fit(widths, limit)
  local lines = {}
  for i, texts in ipairs(cells) do lines[i] = line_of(texts, widths) end
  return lines
end

return M
