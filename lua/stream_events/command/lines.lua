--- Lines of a file or of standard input, one after the other, whatever their number.
-- Never more than one of them is in memory. One that is longer than the limit is left out, and told.
local format = require "stream_events.command.format"
local luv = require "luv"

local M = {}

M.LONGEST = 1024 * 1024 -- bytes of a line, without its end
local CHUNK = 65536
local STDIN = 0

---@class stream_events.command.Lines
---@field number integer of the line that next() gave last
---@field bytes integer that were read so far
---@field size integer? bytes of all; nil: that is not known
local Lines = {}
Lines.__index = Lines

--- Opens what the lines are read from; nil and "-" are standard input.
---@param path string?
---@return stream_events.command.Lines? lines
---@return string? message
function M.open(path)
  local fd, name = STDIN, "standard input"
  if path and path ~= "-" then
    local message
    fd, message = luv.fs_open(path, "r", 0)
    if not fd then return nil, "cannot read " .. format.file_failure(message) end
    name = path
  end
  local stat = luv.fs_fstat(fd)
  if stat and stat.type == "directory" then
    if fd ~= STDIN then luv.fs_close(fd) end
    return nil, ("cannot read %s: it is a folder"):format(name)
  end
  return setmetatable({
    fd = fd, name = name, number = 0, bytes = 0,
    size = stat and stat.type == "file" and stat.size > 0 and stat.size or nil,
    chunk = "", from = 1, -- what was read and is not taken yet
    parts = {}, length = 0, begun = false, -- the line so far
  }, Lines)
end

--- Whether a person types the lines.
---@return boolean
function Lines:is_keyboard()
  return luv.guess_handle(self.fd) == "tty"
end

local function take(self, piece)
  self.length = self.length + #piece
  if self.length > M.LONGEST then
    self.parts = {}
  else
    self.parts[#self.parts + 1] = piece
  end
end

local function finish(self)
  local line = self.length <= M.LONGEST and table.concat(self.parts)
  self.parts, self.length, self.begun = {}, 0, false
  self.number = self.number + 1
  return line
end

--- The next line without its end; false: it was longer than M.LONGEST; nil: there is none.
---@return string|false|nil line
---@return string? message reading failed
function Lines:next()
  while true do
    local at = self.chunk:find("\n", self.from, true)
    take(self, self.chunk:sub(self.from, at and at - 1))
    if at then
      self.from = at + 1
      return finish(self)
    end
    self.begun = self.begun or #self.chunk >= self.from
    local chunk, message = luv.fs_read(self.fd, CHUNK, -1)
    if not chunk then return nil, ("cannot read %s: %s"):format(self.name, message) end
    self.chunk, self.from, self.bytes = chunk, 1, self.bytes + #chunk
    if chunk == "" then
      if self.begun then return finish(self) end
      return nil
    end
  end
end

--- How much of all was read, 0 to 1; nil: that is not known.
---@return number?
function Lines:share()
  return self.size and self.bytes / self.size
end

function Lines:close()
  if self.fd and self.fd ~= STDIN then luv.fs_close(self.fd) end
  self.fd = nil
end

return M
