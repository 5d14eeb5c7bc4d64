--- The way from a received event to its handlers: the loop that runs for every single one.
-- Its state is in local variables and shared by all workers of one client: when a handler waits or
-- raises, the next worker finds here which handlers of which event are still to be called.
local workers = require "stream_events.workers"

local M = {}

local yield = coroutine.yield
local IDLE = workers.IDLE
local NOTHING = { n = 0 }

---@class stream_events.Delivery
---@field source fun(connection: stream_events.core.Connection?) sets where events are read from
---@field push fun(event: table) queues an event that this client made itself
---@field run fun(limit: number, late: (fun(): boolean)?): integer delivers at most so many events, a
---  finite number; `late` says that no handler may begin any more, but for one; returns how many ran
---@field aside fun(run: function, ...): any runs a function while no event is delivered
---@field discard fun() forgets everything that has not been delivered
---@field waiting boolean whether run() has something to do that it knows of
---@field dry fun(): boolean whether the last run() read everything there was
---@field totals fun(): { delivered: integer, unhandled: integer, malformed: integer }

---@param context table of the client: registry, workers, router, limits
---@param malformed fun(reason: string, excerpt: string?): table? told of each text that is no event;
---  gives the event to deliver instead
---@param ruled_out fun(kind: string, report: stream_events.core.RuleReport): table? told of what the
---  rules kept back, as the connection reports it; likewise
---@return stream_events.Delivery
function M.new(context, malformed, ruled_out)
  local registry, crew = context.registry, context.workers
  local lists = registry.lists
  local counts = { delivered = 0, unhandled = 0, malformed = 0 }
  local granted, unhandled = 0, 0 -- of the present run

  -- The event at hand, and how far its handlers have been called.
  local event, list, index, count = nil, NOTHING, 0, 0
  local left, ran, dry = 0, 0, true
  local late, begun = nil, false -- whether the time of this run is limited; whether it has begun anything
  local connection, receive = nil, nil
  local seen, seen_type, seen_cid, seen_excerpt = nil, nil, nil, nil -- received, and not yet begun
  local own, first_own, last_own = {}, 1, 0
  local self = { waiting = false }

  local function push(item)
    last_own = last_own + 1
    own[last_own] = item
    self.waiting = true
  end

  local function next_own()
    local item = own[first_own]
    own[first_own] = nil
    first_own = first_own + 1
    self.waiting = first_own <= last_own
    return item, item.type, item.cid
  end

  -- An event whose list is still to be made, or in which the client itself has a part.
  local function begin(event_type, cid)
    local by_cid = lists[event_type]
    list = by_cid and by_cid[cid or false] or registry:list(event_type, cid)
    index, count = 0, list.n
    if count > 0 then
      left = left - 1
    elseif not list.hook then
      unhandled = unhandled + 1
    end
    if list.hook then list.hook(event) end
  end

  -- Whether there is nothing to do: most turns find nothing, and need no worker for that.
  local function idle()
    if index < count or first_own <= last_own or seen ~= nil then return false end
    if registry.stale then context.update_router() end
    if connection then seen, seen_type, seen_cid, seen_excerpt = receive(connection) end
    return seen == nil
  end

  local function take_seen()
    local first = seen
    seen = nil
    return first, seen_type, seen_cid, seen_excerpt
  end

  local function drop(kind, reason, excerpt)
    local made
    if kind == "malformed" then
      counts.malformed = counts.malformed + 1
      made = malformed(reason, excerpt)
    else
      made = ruled_out(kind, reason)
    end
    if made then push(made) end
  end

  -- However late it is, a run begins one thing: so one event after another gets through.
  local function must_stop()
    if not begun then
      begun = true
      return false
    end
    return late()
  end

  local function work()
    while true do
      while index < count do
        if late and index > 0 and must_stop() then
          dry = false
          yield(IDLE) -- the next run begins with the handlers that are left
        else
          index = index + 1
          local handler = list[index].handler
          if handler then
            ran = ran + 1
            handler(event)
          end
        end
      end
      local event_type, cid, excerpt
      local stops = late and must_stop()
      event = nil
      if left > 0 and not stops then
        if registry.stale then context.update_router() end
        if first_own <= last_own then
          event, event_type, cid = next_own()
        elseif seen ~= nil then
          event, event_type, cid, excerpt = take_seen()
        elseif connection then
          event, event_type, cid, excerpt = receive(connection)
        end
      end
      if event then
        local by_cid = lists[event_type]
        local known = by_cid and by_cid[cid or false]
        if known and known.plain then
          -- Most lists have one handler: it is called here, without another turn of the loop above.
          list, index, count = known, 1, known.n
          left = left - 1
          local handler = known[1].handler
          if handler then
            ran = ran + 1
            handler(event)
          end
        else
          begin(event_type, cid)
        end
      elseif event == false then
        drop(event_type, cid, excerpt)
      else
        dry = left > 0 and not stops
        yield(IDLE)
      end
    end
  end

  local pool = crew:pool(work)
  local function enough()
    return crew.suspended >= context.limits.handlers
  end

  -- Moves what the present run has counted so far to the totals.
  local function settle()
    counts.delivered = counts.delivered + (granted - left) -- `granted` may be as large as a float holds
    counts.unhandled = counts.unhandled + unhandled
    granted, unhandled = left, 0
  end

  local function run(limit, too_late)
    ran, dry = 0, false
    late, begun = too_late, false
    if enough() then return 0 end
    if idle() then
      dry = true
      return 0
    end
    granted, left, unhandled = limit, limit, 0
    crew:drain(pool, enough)
    settle()
    granted, left = 0, 0
    if list.cid then context.recovery:handled(list.cid) end
    return ran
  end

  -- The turn inside a handler: the workers it resumes must not go on with the outer event.
  local function aside(inner, ...)
    local saved_event, saved_list, saved_index, saved_count = event, list, index, count
    local saved_left, saved_ran = left, ran
    settle()
    granted = 0
    list, index, count, left = NOTHING, 0, 0, 0
    local result = inner(...)
    if count >= 0 then
      event, list, index, count = saved_event, saved_list, saved_index, saved_count
      granted, left = saved_left, saved_left
    else
      count = 0 -- everything was discarded meanwhile
    end
    ran = saved_ran
    return result
  end

  local function discard()
    own, first_own, last_own = {}, 1, 0
    self.waiting = false
    seen = nil
    settle()
    granted = 0
    event, list, index, count, left = nil, NOTHING, 0, -1, 0
  end

  function self.totals()
    settle()
    return counts
  end
  function self.source(from)
    connection, receive, seen = from, from and from.next, nil
  end
  function self.dry() return dry end
  self.push, self.run, self.aside, self.discard = push, run, aside, discard
  return self
end

return M
