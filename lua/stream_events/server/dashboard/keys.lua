--- Who may use the dashboard: whoever has the key; and tickets, with which a page that has shown the
-- key opens its live stream without the key in a URL.
local native = require "stream_events.native"
local addresses = require "stream_events.server.addresses"
local failures = require "stream_events.server.failure"

local M = {}

local crypto = native.crypto

-- Wrong keys in one second: of one address (of IPv6 those that are one client's), and addresses that are
-- told apart. Beyond that nothing is compared until the second is over, so a key that somebody chose
-- cannot be found by trying.
local WRONG_PER_SECOND = 5
local ADDRESSES = 1024

local TICKET_SECONDS = 30
local TICKETS = 64 -- at a time; the oldest goes

---@class stream_events.server.dashboard.Keys
---@field key string
---@field is_made_up boolean false when the key was given: then it is not for showing
---@field private tickets { text: string, ends: number }[]
---@field private wrong table<string, integer> address to wrong keys in `second`
local Keys = { __name = "stream_events.server.dashboard.keys" }
Keys.__index = Keys

---@param key string? nil: one is made up
---@param now (fun(): number)? seconds that only go forward
---@return stream_events.server.dashboard.Keys
function M.new(key, now)
  return setmetatable({
    key = key or crypto.hex(crypto.random(16)), is_made_up = key == nil, now = now or native.now,
    tickets = {}, wrong = {}, addresses = 0, second = 0,
  }, Keys)
end

local function too_many()
  local failure = failures.new(9, "too many wrong keys, try again in a second")
  failure.headers = { "Retry-After: 1" }
  return nil, failure
end

local function note_wrong(self, address)
  if not self.wrong[address] then self.addresses = self.addresses + 1 end
  self.wrong[address] = (self.wrong[address] or 0) + 1
  return failures.fail(5, "this is not the key of the dashboard")
end

--- Compares in a time that says nothing about the key.
---@param given string? as the client sent it
---@param address string of the client
---@return true? ok
---@return stream_events.server.Failure? failure
function Keys:check(given, address)
  if not given or given == "" then
    return failures.fail(5, "the key of the dashboard is missing: send it as X-Dashboard-Key")
  end
  local second = self.now() // 1
  address = addresses.owner(address)
  if second ~= self.second then self.second, self.wrong, self.addresses = second, {}, 0 end
  local wrong = self.wrong[address] or (self.addresses >= ADDRESSES and WRONG_PER_SECOND or 0)
  if wrong >= WRONG_PER_SECOND then return too_many() end
  -- Digests are of one length, whatever was sent.
  if crypto.equals(crypto.sha256(given), crypto.sha256(self.key)) then return true end
  return note_wrong(self, address)
end

--- A ticket for one use, soon.
---@return string ticket
---@return integer seconds it is good for
function Keys:ticket()
  if #self.tickets >= TICKETS then table.remove(self.tickets, 1) end
  local text = crypto.hex(crypto.random(16))
  self.tickets[#self.tickets + 1] = { text = text, ends = self.now() + TICKET_SECONDS }
  return text, TICKET_SECONDS
end

--- Whether a ticket is good; it is not any more afterwards.
---@param text string?
---@return boolean
function Keys:redeem(text)
  if not text then return false end
  for i, ticket in ipairs(self.tickets) do
    if crypto.equals(ticket.text, text) then
      table.remove(self.tickets, i)
      return self.now() < ticket.ends
    end
  end
  return false
end

return M
