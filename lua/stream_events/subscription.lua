--- Subscriptions: what one handler wants, and the disposable that ends it.
local names = require "stream_events.names"

local M = {}

---@alias stream_events.Handler fun(event: stream_events.Event|table)

--- What subscribing returns. Every subscription has one of its own, also when several share a
--- handler.
---@class stream_events.Disposable
---@field package handler stream_events.Handler|false false once disposed
---@field package types string[] exact types
---@field package prefixes string[] of patterns "prefix*"
---@field package all boolean every custom type
---@field package order integer rank among all subscriptions: older ones come first
---@field package scope table where it belongs: the client, or a channel
---@field package registry stream_events.Registry
local Disposable = { __name = "stream_events.disposable" }
Disposable.__index = Disposable

--- Ends the subscription at once, also for an event whose delivery has begun. Twice is fine.
function Disposable:dispose()
  if not self.handler then return end
  self.handler = false
  self.registry:remove(self)
end

--- Whether it has ended.
---@return boolean
function Disposable:disposed()
  return not self.handler
end

Disposable.__close = Disposable.dispose

function Disposable:__tostring()
  local what = {}
  for _, name in ipairs(self.types) do what[#what + 1] = name end
  for _, prefix in ipairs(self.prefixes) do what[#what + 1] = prefix .. "*" end
  if self.all then what[1] = "every custom event" end
  return ("subscription to %s%s"):format(table.concat(what, ", "),
    self.handler and "" or " (disposed)")
end

local function add_pattern(self, pattern, level)
  local ok, prefix = names.pattern(pattern)
  if not ok then error(prefix, level + 1) end
  local list = prefix and self.prefixes or self.types
  list[#list + 1] = prefix or pattern
end

local function add_patterns(self, patterns, level)
  if type(patterns) ~= "table" then patterns = { patterns } end
  if #patterns == 0 then error("a list of event types must name at least one", level + 1) end
  for _, pattern in ipairs(patterns) do add_pattern(self, pattern, level + 1) end
end

--- Makes a subscription that is not yet part of a registry. Raises when the arguments are wrong.
---@param patterns string|string[]|nil nil: every custom event
---@param handler stream_events.Handler
---@param level integer whom to blame, as for error()
---@return stream_events.Disposable
function M.new(patterns, handler, level)
  if type(handler) ~= "function" then
    error("a handler must be a function, not a " .. type(handler), level + 1)
  end
  local self = setmetatable(
    { handler = handler, types = {}, prefixes = {}, all = patterns == nil }, Disposable)
  if patterns ~= nil then add_patterns(self, patterns, level + 1) end
  return self
end

--- Makes a subscription end itself just before its handler runs for the first time.
---@param self stream_events.Disposable
---@return stream_events.Disposable
function M.single(self)
  local handler = self.handler
  self.handler = function(event)
    self:dispose()
    return handler(event)
  end
  return self
end

return M
