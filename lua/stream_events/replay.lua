--- What was missed while the connection was gone, asked for where the server keeps custom events
-- (custom_event_retention of the channel type): POST /sync, from where each channel was left off. The
-- hosted service keeps none, and is not asked.
--
-- A channel is left off at the greatest of two dates, both the server's: that of the last event which
-- the lost connection gave, and that of the beginning of its watch. Only this server writes the second
-- one (`watched_at` of a query, `synced_at` of a sync).
local backoff = require "stream_events.backoff"
local channel_state = require "stream_events.channel_state"
local errors = require "stream_events.error"
local native = require "stream_events.native"
local plain_json = require "stream_events.plain_json"
local timestamp = require "stream_events.timestamp"

local M = {}

local AT_ONCE = 100 -- channels in one call, as official clients ask for (protocol §3.10)
local AT_A_TIME = 4 -- calls in flight
-- What broke the WebSocket has mostly broken kept connections of HTTP as well, and that shows only now;
-- and many calls at once may be too many.
local ATTEMPTS = 3
local NO_CONNECTION = 46 -- the code for a connection that the server does not know any more

---@class stream_events.Replay
---@field private context table of the client
---@field private since table<string, string> by cid: where a channel was left off
---@field private missing table<string, true> cids of which events may be missing, not yet reported
---@field private refused table<string, true> cids that could not be asked for, since for the server the
---  connection is gone: it did not watch them, and the next one asks from the same place on
---@field private run table? the calls under way
local Replay = { __name = "stream_events.replay" }
Replay.__index = Replay

---@param context table of the client: api, clock, options, limits, paces, log
---@return stream_events.Replay
function M.new(context)
  return setmetatable({ context = context, since = {}, missing = {}, refused = {} }, Replay)
end

-- Dates of one server, in UTC; without the "Z", or "5.25Z" would come behind "5.253Z".
local function is_later(a, b)
  return b == nil or a:sub(1, -2) > b:sub(1, -2)
end

local function later(a, b)
  if a == nil or (b ~= nil and is_later(b, a)) then return b end
  return a
end

local function date(value)
  return type(value) == "string" and value:sub(-1) == "Z" and timestamp.parse(value) and value or nil
end

--- Notes where the channels were left off: their connection is gone.
---@param watches table<string, stream_events.Channel>
---@param position string? date of the last event that the connection gave
---@param replaying boolean whether that was still one of those asked for
function Replay:left_off(watches, position, replaying)
  position = date(position)
  for cid, channel in pairs(watches) do
    local began = channel_state.is_kept(channel) and date(channel.watched_at)
    if began and replaying then
      -- What came live after the sync of this channel was not given yet.
      local reached = position and (is_later(began, position) and position or began)
      self.since[cid] = later(self.since[cid], reached)
    elseif began then
      self.since[cid] = later(self.since[cid], later(began, position))
    elseif self.missing[cid] and position and channel_state.is_kept(channel) then
      -- Its sync had no answer, and yet it may have been watched: what was given is not to come again. What
      -- was not is in a gap as it is.
      self.since[cid] = later(self.since[cid], position)
    end
  end
end

--- Forgets a channel that is no longer watched.
---@param cid string
function Replay:forget(cid)
  self.since[cid], self.missing[cid], self.refused[cid] = nil, nil, nil
  if self.run then self.run.watches[cid] = nil end
end

--- Forgets everything.
function Replay:forget_all()
  self.since, self.missing, self.refused, self.run = {}, {}, {}, nil
end

--- Gives up what is under way: the connection is gone again.
function Replay:cancel()
  self.run = nil
end

-- Answers --------------------------------------------------------------------------------------------

-- The channels of a call that are still watched.
local function still_wanted(run, cids)
  local list = {}
  for _, cid in ipairs(cids) do
    if run.watches[cid] then list[#list + 1] = cid end
  end
  return list
end

local function is_gone(err)
  return type(err) == "table" and err.code == NO_CONNECTION
end

-- `may_watch`: the server may have heard of them before, and what it sent since then is given.
local function give_up(self, cids, err, may_watch)
  local list = is_gone(err) and not may_watch and self.refused or self.missing
  for _, cid in ipairs(cids) do list[cid] = true end
  self.context.log("warning", "what was missed in channels cannot be had",
    { channels = #cids, error = tostring(err) })
end

-- The events of an answer that are news, with their dates.
local function take_events(run, texts)
  local last = ""
  for _, text in ipairs(texts) do
    local event = native.event.new(text)
    local cid = event and event.cid
    local at = event and date(event.created_at)
    -- What is no event is judged like one that came in.
    local channel = cid and run.watches[cid]
    if not event or (at and channel and is_later(at, run.since[cid])) then
      last = at and at:sub(1, -2) or last
      run.found[#run.found + 1] = { at = last, order = #run.found, cid = cid, text = text, date = at }
    end
  end
end

local function take_answer(self, run, cids, body)
  local texts, rest, message = native.json.list(body, "events")
  local answer = texts and plain_json.decode(rest)
  if type(answer) ~= "table" or type(answer.gap_cids) ~= "table" then
    return cids[1] and give_up(self, cids, message or "the answer does not say what is missing")
  end
  for _, cid in ipairs(answer.gap_cids) do
    if run.watches[cid] then self.missing[cid] = true end
  end
  take_events(run, texts)
  for _, cid in ipairs(cids) do
    local channel = run.watches[cid]
    channel.watched_at = later(date(answer.synced_at), date(channel.watched_at))
  end
end

local function by_date(a, b)
  if a.at ~= b.at then return a.at < b.at end
  return a.order < b.order
end

-- All that was found as one row, of the length that one answer may have: the newest of it. And the cid of
-- each by its date.
local function in_order(self, run)
  local found = run.found
  table.sort(found, by_date)
  local texts, dates, bytes, first = {}, {}, 0, 1
  for i = #found, 1, -1 do
    bytes = bytes + #found[i].text
    if bytes > self.context.limits.answer_size then
      first = i + 1
      break
    end
  end
  for i, item in ipairs(found) do
    local is_wanted = item.cid == nil or run.watches[item.cid] ~= nil -- by now
    if i >= first and is_wanted then
      texts[#texts + 1] = item.text
      if item.date then dates[item.date] = item.cid end
    elseif item.cid and is_wanted then
      self.missing[item.cid] = true
    end
  end
  return texts, dates
end

-- Asking ---------------------------------------------------------------------------------------------

-- The earliest date at which one of the channels was left off.
local function earliest(run, cids)
  local since = run.since[cids[1]]
  for _, cid in ipairs(cids) do
    if is_later(since, run.since[cid]) then since = run.since[cid] end
  end
  return since
end

-- The connection watches them since the answer, but the program has told the client to stop meanwhile.
local function stop_again(self, run, call)
  for _, cid in ipairs(call.asked) do
    if not run.watches[cid] then self.context.recovery:stop_again(run.channels[cid]) end
  end
end

local function settle(self, run, call, body, err)
  local cids = still_wanted(run, call.cids)
  if body then
    take_answer(self, run, cids, body)
  elseif cids[1] then
    give_up(self, cids, err, call.may_watch)
  end
  if self.run ~= run then return end -- ended by whoever read that in the log
  run.pending = run.pending - 1 -- calls without a result
  if run.pending > 0 then return end
  self.run = nil
  run.done(in_order(self, run))
end

-- Monotonic time at which all of it is given up: what one call may take, and what the rate makes of many.
local function ends(self, run)
  return run.began + self.context.options.timeouts.request
    + self.context.paces:of "Sync":duration(run.calls)
end

-- Seconds until a call that failed is made again; nil: it is not.
local function again_in(self, run, attempt, err)
  -- What the server said when it ended the connection is not read before this is over.
  if attempt >= ATTEMPTS or is_gone(err) then return nil end
  local context, wait = self.context, 0
  if err.kind ~= "network" then
    if not err.retryable then return nil end
    wait = math.max(backoff.delay(attempt, context.random), err.retry_after or 0)
  end
  return context.clock.now() + wait < ends(self, run) and wait or nil
end

local function ask(self, run, call)
  call.asked = still_wanted(run, call.cids)
  if not call.asked[1] then return settle(self, run, call) end
  call.attempt = call.attempt + 1
  run.in_flight = run.in_flight + 1
  self.context.api:call({
    method = "POST", path = "/sync", as = "acting", connection = true, is_raw = true,
    pace = self.context.paces:of "Sync", expires = ends(self, run),
    body = {
      channel_cids = channel_state.list(call.asked), last_sync_at = earliest(run, call.asked), watch = true,
    },
  }, function(body, err)
    if self.run ~= run then return end -- the connection was lost again
    run.in_flight = run.in_flight - 1
    if body then stop_again(self, run, call) end
    local wait = err and again_in(self, run, call.attempt, err)
    if not wait then return settle(self, run, call, body, err) end
    if not err.status or err.status >= 500 then call.may_watch = true end
    call.due = self.context.clock.now() + wait
    run.waiting[#run.waiting + 1] = call
  end)
end

local function too_late()
  return errors.new { kind = "timeout", message = "no answer in time" }
end

--- Makes the calls whose time has come, no faster than the service allows.
function Replay:step()
  local run = self.run
  if not run or not run.waiting[1] then return end
  local now, pace, waiting = self.context.clock.now(), self.context.paces:of "Sync", run.waiting
  local is_over = now >= ends(self, run)
  run.waiting, run.wake = {}, nil
  for _, call in ipairs(waiting) do
    local at = run.in_flight < AT_A_TIME and pace:next_of_many(now) or nil
    if is_over then
      settle(self, run, call, nil, too_late())
    elseif at and math.max(at, call.due) <= now then
      ask(self, run, call)
    else
      at = at and math.max(at, call.due)
      if at and (not run.wake or at < run.wake) then run.wake = at end
      run.waiting[#run.waiting + 1] = call
    end
    if self.run ~= run then return end
  end
end

--- Monotonic time at which step() has something to do that no answer will bring about.
---@return number?
function Replay:deadline()
  local run = self.run
  if not run or not run.waiting[1] then return nil end
  return math.min(run.wake or math.huge, ends(self, run))
end

-- The channels to be asked for, in calls; the others have a gap.
local function calls_for(self, watches)
  local cids, calls = {}, {}
  for cid, channel in pairs(watches) do
    channel.watched_at = nil -- on the connection that is gone
    if channel_state.is_kept(channel) and self.since[cid] then
      cids[#cids + 1] = cid
    else
      self.missing[cid] = true
    end
  end
  table.sort(cids)
  for i, cid in ipairs(cids) do
    if (i - 1) % AT_ONCE == 0 then calls[#calls + 1] = {} end
    table.insert(calls[#calls], cid)
  end
  return calls
end

--- Asks for what was missed, and lets the present connection watch what it asks for. `done` is called
--- once, with the texts of the events in their order, and the cid of each by its date, unless cancel()
--- comes before. False: there is nothing to be asked, and `done` is not called.
---@param watches table<string, stream_events.Channel>
---@param done fun(texts: string[], dates: table<string, string>)
---@return boolean asks
function Replay:begin(watches, done)
  self.refused = {}
  local calls = calls_for(self, watches)
  if #calls == 0 then return false end
  local run = {
    watches = {}, channels = {}, since = {}, found = {}, waiting = {}, in_flight = 0,
    calls = #calls, pending = #calls, began = self.context.clock.now(), done = done,
  }
  for cid, channel in pairs(watches) do
    run.watches[cid], run.channels[cid], run.since[cid] = channel, channel, self.since[cid]
  end
  for i, cids in ipairs(calls) do run.waiting[i] = { cids = cids, attempt = 0, due = run.began } end
  self.run = run
  self:step()
  return true
end

--- The channels of which events may be missing; they count as reported.
---@return string[] cids
function Replay:report()
  local cids = {}
  for cid in pairs(self.missing) do cids[#cids + 1] = cid end
  for cid in pairs(self.refused) do
    if not self.missing[cid] then cids[#cids + 1] = cid end
  end
  self.missing, self.refused = {}, {}
  return cids
end

return M
