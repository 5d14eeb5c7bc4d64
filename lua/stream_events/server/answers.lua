--- The answers of one turn: they are given when all that came in is handled, one behind the other. Who
-- reads them on this machine is then not woken for each of them, which may cost more than the request did;
-- and those that may not be given before something is kept wait for it together.
local M = {}

local MOST_BYTES = 256 * 1024 -- of bodies: with more, the turn does not wait for its end
local FIELDS = 5              -- number, status, body, headers, whether it waits

---@class stream_events.server.Answers
---@field private core stream_events.server.core.Listener
---@field private handlers stream_events.server.Handlers
---@field private guarded fun(what: string, work: function, ...: any): boolean
---@field private list any[] FIELDS for each answer; what lies behind `count` is left from earlier turns
---@field private count integer of fields
---@field private given integer likewise
---@field private bytes integer
---@field private has_waiting boolean
local Answers = { __name = "stream_events.server.answers" }
Answers.__index = Answers

---@param core stream_events.server.core.Listener
---@param handlers stream_events.server.Handlers
---@param guarded fun(what: string, work: function, ...: any): boolean calls `work`; false: it raised
---@return stream_events.server.Answers
function M.new(core, handlers, guarded)
  return setmetatable({
    core = core, handlers = handlers, guarded = guarded,
    list = {}, count = 0, given = 0, bytes = 0, has_waiting = false,
  }, Answers)
end

--- An answer to whose request nothing else came: it would be waited for for ever.
---@param number integer of its connection
---@param headers string[]? of the answer that it would have been
function Answers:apologize(number, headers)
  local body = self.handlers.unsettled
  self.core:respond(number, 500, body and body() or "", headers)
end

-- Gives what is not given yet. What is given is no longer kept here.
local function give_all(self, kept)
  local core, list = self.core, self.list
  while self.given < self.count do
    local at = self.given
    local number, status, body, headers = list[at + 1], list[at + 2], list[at + 3], list[at + 4] or nil
    list[at + 3] = false
    self.given = at + FIELDS
    if kept or not list[at + 5] then
      core:respond(number, status, body, headers)
    else
      self:apologize(number, headers)
    end
  end
end

--- Gives them all.
function Answers:give()
  if self.count == 0 then return end
  local kept = true
  if self.has_waiting then
    kept = false
    self.guarded("settle", function() kept = self.handlers.settle() end)
  end
  while not self.guarded("answer", give_all, self, kept) do
    self.guarded("answer", self.apologize, self, self.list[self.given - FIELDS + 1])
  end
  self.count, self.given, self.bytes, self.has_waiting = 0, 0, 0, false
end

--- Adds an answer. Without a status there is none: it comes later, on another way.
---@param number integer of its connection
---@param status integer?
---@param body string?
---@param headers string[]?
---@param waits boolean? it may only be given when what was done for it is kept
function Answers:add(number, status, body, headers, waits)
  if not status then return end
  local list, at = self.list, self.count
  list[at + 1], list[at + 2], list[at + 3] = number, status, body
  list[at + 4], list[at + 5] = headers or false, waits or false
  self.count, self.bytes = at + FIELDS, self.bytes + #body
  if waits then self.has_waiting = true end
  if self.bytes > MOST_BYTES then self:give() end
end

return M
