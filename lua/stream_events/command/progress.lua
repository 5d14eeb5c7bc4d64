--- How far long work has come: one line on standard error, written over and over, for people at a terminal.
-- Nothing at all where standard error is no terminal, TERM is dumb, or the output is for programs; and
-- nothing for work that is soon done.
local format = require "stream_events.command.format"
local luv = require "luv"
local native = require "stream_events.native"
local output = require "stream_events.command.output"

local M = {}

local AFTER, EVERY = 0.5, 0.1 -- seconds
local LONGEST = 40 -- columns of what is being done: the line must fit where people look at it
local CLEAR = "\r\27[K"

---@class stream_events.command.Progress
---@field private what string
---@field private due number? nil: nobody looks
local Progress = {}
Progress.__index = Progress

local function is_seen()
  return not output.json and luv.guess_handle(2) == "tty" and os.getenv "TERM" ~= "dumb"
end

local function short(what)
  what = format.plain(what)
  return #what <= LONGEST and what or "..." .. what:sub(-LONGEST + 3)
end

-- 1234567 as 1,234,567.
local function grouped(number)
  local text = ("%d"):format(number):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^,", ""))
end

-- "checking a.db: 42%, 1,234 documents"
local function line_of(what, share, count, unit)
  local parts = {}
  if share then parts[1] = ("%d%%"):format(math.floor(math.max(0, math.min(1, share)) * 100)) end
  if count and count > 0 then parts[#parts + 1] = grouped(count) .. " " .. unit end
  return parts[1] and what .. ": " .. table.concat(parts, ", ") or what .. " ..."
end

--- Begins to tell of some work.
---@param what string "checking server.db"
---@return stream_events.command.Progress
function M.new(what)
  return setmetatable({ what = short(what), due = is_seen() and native.now() + AFTER or nil }, Progress)
end

--- Says how far it has come; to be called as often as there is something new.
---@param share number? of the whole, 0 to 1; nil: that is not known
---@param count integer?
---@param unit string? "documents"
function Progress:at(share, count, unit)
  if not self.due or native.now() < self.due then return end
  self.due = native.now() + EVERY
  io.stderr:write(CLEAR, line_of(self.what, share, count, unit))
  output.on_write = function() self:clear() end
end

--- Takes the line away: something else is to be written, or the work is done.
function Progress:clear()
  if not output.on_write then return end
  output.on_write = nil
  io.stderr:write(CLEAR)
end

-- Runs in a thread of its own, with nothing of this file's: tells how a file grows until the other end of
-- a pipe is closed.
local function watch_file(path, size, what, stop, after, every, clear)
  local uv = require "luv"
  local waited, shown = 0, false
  while uv.fs_read(stop, 1) == nil do
    uv.sleep(every)
    waited = waited + every
    local stat = uv.fs_stat(path)
    if stat and waited >= after then
      shown = true
      io.stderr:write(clear, ("%s: %d%%"):format(what, math.min(99, stat.size * 100 // size)))
    end
  end
  if shown then io.stderr:write(clear) end
end

--- Tells how a file grows, while a library that says nothing itself writes it.
---@param what string
---@param path string of the file
---@param size integer bytes that it will have, about
---@return fun() stop
function M.of_file(what, path, size)
  local ends = is_seen() and size > 0 and luv.pipe({ nonblock = true }, {})
  if not ends then return function() end end
  local thread = luv.new_thread(watch_file, path, math.tointeger(size), short(what), ends.read,
    math.floor(AFTER * 1000), math.floor(EVERY * 500), CLEAR)
  return function()
    luv.fs_close(ends.write)
    if thread then luv.thread_join(thread) end
    luv.fs_close(ends.read)
  end
end

return M
