--- What became of every event: each that was sent has one answer, and each that was accepted has reached
-- each receiver once, in order, or lies within a gap that the receiver was told of.
local timestamp = require "stream_events.timestamp"

local M = {}

---@class support.Accounts
---@field sends table[] { name, cid, answers, created_at, err } in the order in which they were made
---@field receivers table<string, table> by user: { got, gaps, latest, disorder, replayed, gap_count }
local Accounts = {}
Accounts.__index = Accounts

---@param receivers string[] users
---@return support.Accounts
function M.new(receivers)
  local self = setmetatable({ sends = {}, receivers = {} }, Accounts)
  for _, id in ipairs(receivers) do
    self.receivers[id] = { got = {}, gaps = {}, latest = {}, disorder = {}, replayed = 0 }
  end
  return self
end

--- Notes a send.
---@param name any the same one that got() is told
---@param cid string
---@return table send to be told with answered()
function Accounts:sent(name, cid)
  local send = { name = name, cid = cid, answers = 0 }
  self.sends[#self.sends + 1] = send
  return send
end

--- Notes an answer.
function Accounts.answered(_, send, event, err)
  send.answers = send.answers + 1
  send.event, send.err = event, err
  send.created_at = event and event.created_at
end

--- Notes an event that a receiver's handler got.
function Accounts:got(id, name, cid, created_at)
  local receiver = self.receivers[id]
  receiver.got[name] = (receiver.got[name] or 0) + 1
  local last = receiver.latest[cid]
  -- Without the "Z", or "5.25Z" would come behind "5.253Z".
  if last and created_at:sub(1, -2) < last:sub(1, -2) then
    receiver.disorder[#receiver.disorder + 1] =
      ("%s got %s of %s behind one of %s"):format(id, name, created_at, last)
  end
  receiver.latest[cid] = created_at
end

--- Notes a connection.recovered of a receiver.
---@param at number when it came
function Accounts:recovered(id, event, at)
  local receiver = self.receivers[id]
  receiver.replayed = receiver.replayed + event.replayed
  if not event.gap then return end
  local gap = { since = event.since and timestamp.parse(event.since), till = at, cids = {} }
  for _, cid in ipairs(event.gap_cids) do gap.cids[cid] = true end
  receiver.gaps[#receiver.gaps + 1] = gap
end

local function in_gap(receiver, send)
  local at = timestamp.parse(send.created_at)
  for _, gap in ipairs(receiver.gaps) do
    if gap.cids[send.cid] and gap.since and gap.since <= at and at <= gap.till then return true end
  end
  return false
end

-- What became of a send at one receiver, and whether that is wrong.
local function fate(receiver, send)
  local count = receiver.got[send.name] or 0
  if count > 1 then return ("was delivered %d times"):format(count), true end
  if count == 1 then return "delivered" end
  if send.err then return "refused" end
  if in_gap(receiver, send) then return "gap" end
  return ("of %s is lost without a word"):format(send.created_at), true
end

--- Counts what became of what was sent.
---@return table tally sent, answered, failed (an error was the answer) and, of each pair of event and
---  receiver, delivered, refused (not delivered, and the sender knows), gap; replayed
---@return string[] wrong everything that must not be, as texts
function Accounts:balance()
  local tally = { sent = #self.sends, answered = 0, failed = 0, delivered = 0, refused = 0, gap = 0,
    replayed = 0 }
  local wrong = {}
  for _, receiver in pairs(self.receivers) do
    tally.replayed = tally.replayed + receiver.replayed
    for _, text in ipairs(receiver.disorder) do wrong[#wrong + 1] = text end
  end
  for _, send in ipairs(self.sends) do
    if send.answers == 1 then
      tally.answered = tally.answered + 1
      if send.err then tally.failed = tally.failed + 1 end
      for id, receiver in pairs(self.receivers) do
        local what, is_wrong = fate(receiver, send)
        if is_wrong then
          wrong[#wrong + 1] = ("%s to %s, at %s: %s"):format(send.name, send.cid, id, what)
        else
          tally[what] = tally[what] + 1
        end
      end
    else
      wrong[#wrong + 1] = ("%s to %s got %d answers"):format(send.name, send.cid, send.answers)
    end
  end
  table.sort(wrong)
  return tally, wrong
end

return M
