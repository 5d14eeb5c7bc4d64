--- The log of `listen --record`: what arrived, as it arrived, one JSON object a line, with the time.
-- Appends to what is there, so that a recording can be continued.
local format = require "stream_events.command.format"
local judge = require "stream_events.command.rules.judge"
local luv = require "luv"
local native = require "stream_events.native"

local M = {}

---@class stream_events.command.Recorder
---@field private fd integer
---@field private path string
local Recorder = {}
Recorder.__index = Recorder

---@param path string
---@return stream_events.command.Recorder? recorder
---@return string? message
function M.open(path)
  local fd, message = luv.fs_open(path, "a", 384) -- rw-------: it holds what people wrote
  if not fd then return nil, "cannot write " .. format.file_failure(message) end
  return setmetatable({ fd = fd, path = path }, Recorder)
end

--- Writes an event down at once: whoever ends the process loses nothing.
---@param event stream_events.Event
---@return true? ok
---@return string? message
function Recorder:add(event)
  local line = judge.recorded(native.event.text(event), event.received_at) .. "\n"
  local written, message = luv.fs_write(self.fd, line, -1)
  if written == #line then return true end
  return nil, ("cannot write %s: %s"):format(self.path, message or "no space left")
end

function Recorder:close()
  luv.fs_close(self.fd)
end

return M
