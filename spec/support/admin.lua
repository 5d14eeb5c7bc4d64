--- `stream-events admin` for specs: child processes against a real server, and a backend to prepare things.
local assert = require "luassert"
local command = require "support.command"
local native = require "stream_events.native"
local process = require "support.process"
local stream_events = require "stream_events"

local M = {}

M.SECRET = "lan-dev-secret"

--- Starts a server.
function M.start()
  local _
  _, M.base_url = command.serve()
  M.backend = stream_events.new { api_key = "devkey", base_url = M.base_url, secret = M.SECRET }
end

--- Ends everything.
function M.stop()
  M.backend:close()
  process.end_all()
end

local function split(line)
  local words = {}
  for word in line:gmatch("%S+") do words[#words + 1] = word end
  return words
end

--- Runs `admin` with the words of a line, or with a list of them.
---@param line string|string[]
---@param changes table<string, string|false>? to the environment
---@return support.Process
function M.run(line, changes)
  local args = { "admin" }
  for _, word in ipairs(type(line) == "table" and line or split(line)) do args[#args + 1] = word end
  local env = { STREAM_BASE_URL = M.base_url }
  for name, value in pairs(changes or {}) do env[name] = value end
  return command.run(args, env)
end

--- Runs it with --json; gives what it says, decoded and as text.
---@param line string|string[]
---@return any value
---@return string text
function M.ask(line)
  local args = type(line) == "table" and line or split(line)
  args[#args + 1] = "--json"
  local child = M.run(args)
  assert.equal(0, child.code, child.stderr)
  assert.equal("", child.stderr)
  assert.equal(1, select(2, child.stdout:gsub("\n", "")), "one line: " .. child.stdout)
  return assert(native.json.decode(child.stdout)), child.stdout
end

--- Runs it where it is to fail with this code; gives what it wrote.
---@param line string|string[]
---@param code integer
---@param changes table<string, string|false>? to the environment
---@return string
function M.refused(line, code, changes)
  local child = M.run(line, changes)
  assert.equal(code, child.code, child.stdout .. child.stderr)
  assert.equal("", child.stdout)
  assert.truthy(child.stderr:find "^stream%-events: ", child.stderr)
  assert.is_nil(child.stderr:find("traceback", 1, true), child.stderr)
  return child.stderr
end

--- Runs it in a terminal.
---@param line string
---@param options { columns: integer?, typed: string?, env: table? }
---@return string shown
---@return integer code
function M.in_terminal(line, options)
  -- A sanitizer that is loaded into these specs is for the command, and not for what makes the terminal.
  local preload = os.getenv "LD_PRELOAD" or ""
  local env = { STREAM_BASE_URL = M.base_url, TERM = "dumb", NO_COLOR = false, LD_PRELOAD = false }
  for name, value in pairs(options.env or {}) do env[name] = value end
  local child = process.run("script", {
    "-qec", ("stty cols %d; LD_PRELOAD='%s' exec %s admin %s"):format(options.columns or 80, preload,
      command.COMMAND, line), "/dev/null",
  }, env, nil, options.typed or "")
  return (child.stdout:gsub("\r", "")), child.code
end

--- Makes a user.
---@param id string
---@param fields table?
function M.user(id, fields)
  fields = fields or {}
  fields.id = id
  assert(M.backend:upsert_users { fields })
end

--- Makes a channel.
---@param cid string
---@param owner string
---@param fields table?
---@return stream_events.Channel
function M.channel(cid, owner, fields)
  fields = fields or {}
  fields.created_by_id = owner
  local channel_type, id = cid:match "^(.-):(.*)$"
  return assert(M.backend:channel(channel_type, id, fields):query())
end

return M
