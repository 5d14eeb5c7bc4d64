--- Child processes for specs: what they write is collected, and whatever is left is ended.
local luv = require "luv"

local M = {}

local SECONDS = 30 -- only a guard: specs wait on conditions

---@class support.Process
---@field stdout string
---@field stderr string
---@field code integer? set when it has ended
---@field signal integer?
local Process = {}
Process.__index = Process

local running = {}

--- Runs the loop until condition() holds; raises when that takes too long.
---@param condition fun(): any
---@param what string
---@param seconds integer? default 30
function M.wait(condition, what, seconds)
  local late = false
  local timer = assert(luv.new_timer())
  luv.update_time() -- specs may have run for long without the loop, and it counts from when it last looked
  timer:start((seconds or SECONDS) * 1000, 0, function() late = true end)
  while not condition() and not late do luv.run "once" end
  local closed = false
  timer:close(function() closed = true end)
  while not closed do luv.run "nowait" end -- a handle still closing when the state ends crashes luv 1.44
  if late then error("waited too long until " .. what, 2) end
end

local function collect(process, name)
  local pipe = assert(luv.new_pipe(false))
  return pipe, function()
    pipe:read_start(function(_, data)
      if data then
        process[name] = process[name] .. data
      else
        process.open = process.open - 1
        pipe:close()
      end
    end)
  end
end

-- A descriptor from which a child reads a text; nil: there is none. A file, because a child that ends
-- without reading would end whoever writes into a pipe.
local function source_of(input)
  if not input then return nil end
  local fd, path = assert(luv.fs_mkstemp((os.getenv "TMPDIR" or "/tmp") .. "/stream-events-XXXXXX"))
  assert(luv.fs_write(fd, input, 0) == #input)
  luv.fs_close(fd)
  fd = assert(luv.fs_open(path, "r", 0))
  luv.fs_unlink(path)
  return fd
end

local function environment(changes)
  local values, list = luv.os_environ(), {}
  for name, value in pairs(changes or {}) do values[name] = value or nil end
  for name, value in pairs(values) do list[#list + 1] = name .. "=" .. value end
  return list
end

--- Starts a program.
---@param file string
---@param args string[]
---@param env table<string, string|false>? changes to the environment; false removes a variable
---@param cwd string?
---@param input string|true|nil for its standard input; true: what write() gives it
---@return support.Process
function M.start(file, args, env, cwd, input)
  local self = setmetatable({
    stdout = "", stderr = "", open = 2, name = file .. " " .. table.concat(args, " "),
  }, Process)
  local out, read_out = collect(self, "stdout")
  local err, read_err = collect(self, "stderr")
  local into = input == true and assert(luv.new_pipe(false)) or source_of(input)
  local handle, pid = luv.spawn(file, {
    args = args, env = environment(env), cwd = cwd, stdio = { into, out, err },
  }, function(code, signal)
    self.code, self.signal = code, signal
    running[self] = nil
    self.handle:close()
    if self.input then self.input:close() end
  end)
  if input == true then self.input = into elseif into then luv.fs_close(into) end
  assert(handle, ("cannot start %s: %s"):format(self.name, pid))
  self.handle, self.pid, self.out, self.err = handle, pid, out, err
  running[self] = true
  read_out()
  read_err()
  return self
end

--- Waits until what was written to `stream` contains a match of the pattern; returns its captures.
---@param stream "stdout"|"stderr"
---@param pattern string
---@return string
function Process:wait_for(stream, pattern)
  local function found() return self[stream]:find(pattern) end
  M.wait(function() return found() or self.open == 0 end, self.name .. " wrote " .. pattern)
  if not found() then
    error(("%s ended without writing %s\nstdout: %s\nstderr: %s"):format(
      self.name, pattern, self.stdout, self.stderr), 2)
  end
  return self[stream]:match(pattern)
end

--- Writes to its standard input.
---@param text string
function Process:write(text)
  self.input:write(text)
end

---@param signal string "sigint", "sigterm", ...
function Process:kill(signal)
  self.handle:kill(signal)
end

--- Closes our end of its standard output, as a reader does that has seen enough.
function Process:stop_reading()
  self.open = self.open - 1
  self.out:close()
end

--- Waits for its end; returns its exit code, or nil and the signal that ended it.
---@param seconds integer? that this may take; default 30
---@return integer? code
---@return integer? signal
function Process:finish(seconds)
  M.wait(function() return self.code and self.open == 0 end, self.name .. " ended", seconds)
  if self.signal ~= 0 then return nil, self.signal end
  return self.code
end

--- Starts a program and waits for its end.
---@return support.Process
function M.run(...)
  local process = M.start(...)
  process:finish()
  return process
end

--- Ends everything that is still running.
function M.end_all()
  for process in pairs(running) do process:kill "sigkill" end
  M.wait(function() return next(running) == nil end, "all children ended")
end

return M
