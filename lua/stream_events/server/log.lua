--- The server's log: what it tells the logger that the program gave it. Leaves out what is less
-- important than the option log_level says, adds which request a line is about, and takes out secrets.
-- A logger that raises ends neither what it was told of nor the program.
local errors = require "stream_events.error"
local options_table = require "stream_events.server.options"
local requests = require "stream_events.server.requests"

local M = {}

local RANK = { debug = 1, info = 2, warn = 3, error = 4 }
-- A secret shorter than this is nobody's, and as a word it would be in every other line.
local SHORTEST_SECRET = 4

---@alias stream_events.server.LogLevel "debug"|"info"|"warn"|"error"

---@class stream_events.server.Log
---@field request stream_events.server.Context? the request under way; whoever handles one sets it
---@field counts table<stream_events.server.LogLevel, integer> lines so far
---@field private logger fun(level: string, message: string, fields: table)
---@field private options stream_events.server.Options
---@field private hidden string[]
---@overload fun(level: stream_events.server.LogLevel, message: string, fields: table?)
local Log = { __name = "stream_events.server.log" }
Log.__index = Log

--- What is called like a function to log a line.
---@param options stream_events.server.Options read at every line, so that log_level may change
---@return stream_events.server.Log
function M.new(options)
  return setmetatable({
    logger = options.logger or function() end, options = options,
    counts = { debug = 0, info = 0, warn = 0, error = 0 }, hidden = {},
  }, Log)
end

--- Has a secret left out that is no option: one that was made up.
---@param secret string
function Log:hide(secret)
  self.hidden[#self.hidden + 1] = secret
end

local function without(text, secret)
  if not secret or #secret < SHORTEST_SECRET then return text end
  return (text:gsub(secret:gsub("%p", "%%%0"), "[hidden]"))
end

-- Neither what looks like a token nor the server's own secrets, wherever they come from.
local function safe(self, text)
  text = errors.redact(text)
  for _, spec in ipairs(options_table.LIST) do
    if spec.is_secret then text = without(text, self.options[spec.name]) end
  end
  for _, secret in ipairs(self.hidden) do text = without(text, secret) end
  return text
end

local function write(self, level, message, fields)
  local shown = { request_id = self.request and safe(self, requests.id(self.request)) }
  for name, value in pairs(fields or {}) do
    shown[name] = type(value) == "string" and safe(self, value) or value
  end
  self.logger(level, safe(self, message), shown)
end

function Log:__call(level, message, fields)
  if RANK[level] < RANK[self.options.log_level] then return end
  self.counts[level] = self.counts[level] + 1
  pcall(write, self, level, message, fields)
end

return M
