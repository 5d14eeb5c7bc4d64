--- What an admin command shows to people: tables, fields and lines, on standard output.
local format = require "stream_events.command.format"
local luv = require "luv"
local output = require "stream_events.command.output"
local tables = require "stream_events.command.table"

local M = {}

local HEADER = "\27[1m%s\27[0m"

---@class stream_events.command.Page
---@field private colour boolean
---@field private limit integer? columns of the terminal; nil: it is none
local Page = {}
Page.__index = Page

-- The columns of the terminal on standard output; nil when it is none, and everything is shown.
local function terminal_width()
  if luv.guess_handle(1) ~= "tty" then return nil end
  local tty = luv.new_tty(1, false)
  if not tty then return nil end
  local width = tty:get_winsize()
  tty:close()
  luv.run "nowait"
  return width and width > 0 and width or nil
end

---@return stream_events.command.Page
function M.new()
  return setmetatable({ colour = output.colour(), limit = terminal_width() }, Page)
end

--- A line of its own.
---@param text string
function Page:line(text) -- luacheck: ignore 212/self
  output.line(format.plain(text))
end

--- A table whose columns have names; without rows the sentence that says so, on standard error.
---@param header string[]
---@param rows any[][]
---@param empty string "there are no channels"
function Page:table(header, rows, empty)
  if #rows == 0 then return output.note(empty) end
  local names = {}
  for i, name in ipairs(header) do names[i] = name:upper() end
  for i, line in ipairs(tables.lines(names, rows, #header, self.limit)) do
    if i == 1 and self.colour then line = HEADER:format(line) end
    if not output.line(line) then return end
  end
end

--- A table with a row for each object of a list; what is no object is passed over.
---@param header string[]
---@param list any[]
---@param row fun(item: table): any[]
---@param empty string
function Page:list(header, list, row, empty)
  local rows = {}
  for _, item in ipairs(list) do
    if type(item) == "table" then rows[#rows + 1] = row(item) end
  end
  self:table(header, rows, empty)
end

--- Names with values, one pair a line, aligned. Never cut: these are all there is about one thing.
---@param rows { [1]: string, [2]: any }[]
function Page:fields(rows) -- luacheck: ignore 212/self
  for _, line in ipairs(tables.lines(nil, rows, 2)) do
    if not output.line(line) then return end
  end
end

return M
