--- What the parts of one client share: made once, handed to each of them, and closed in one place.
local api = require "stream_events.api"
local connection = require "stream_events.connection"
local delivery = require "stream_events.delivery"
local dispatch = require "stream_events.dispatch"
local errors = require "stream_events.error"
local identities = require "stream_events.identity"
local loggers = require "stream_events.logger"
local loops = require "stream_events.loop"
local native = require "stream_events.native"
local pacing = require "stream_events.pacing"
local recovery = require "stream_events.recovery"
local sessions = require "stream_events.session"
local tasks = require "stream_events.task"
local upkeep = require "stream_events.upkeep"
local workers = require "stream_events.workers"

local M = {}

local function new_transport(options)
  local limits = options.limits
  return native.transport {
    max_in_flight = limits.in_flight,
    max_waiting = limits.waiting,
    max_body = limits.answer_size,
    connect_timeout = math.min(options.timeouts.connect, 10),
    ca_file = options.ca_file,
    proxy = options.proxy,
    keep_content_type = false, -- what answers say of the rate is all that is read
  }
end

-- A uniform number in [0, 1) that does not touch the program's own random sequence.
local function random()
  local a, b, c = native.crypto.random(3):byte(1, 3)
  return ((a * 256 + b) * 256 + c) / 16777216
end

-- Events that the client makes itself become real only where somebody wants them.
local function emit(context, event)
  local by_cid = context.registry.lists[event.type]
  local list = by_cid and by_cid[event.cid or false]
    or context.registry:list(event.type, event.cid)
  if list.n == 0 then return nil end
  event.received_at = context.clock.time()
  return event
end

local function dropped(context, reason, excerpt)
  context.log("debug", "a message is no event",
    { reason = reason, excerpt = excerpt and errors.redact(excerpt) })
  return emit(context, {
    type = "event.dropped", reason = "malformed", verdict = "drop", text = reason, detail = reason,
    excerpt = excerpt and errors.redact(excerpt),
    envelope = { user = {}, received_at = context.clock.time() },
  })
end

-- Both parts of a channel's name, as far as the event's text says them.
local function channel_parts(cid)
  if not cid then return nil end
  return cid:match("^([^:]*):(.*)$")
end

-- What the rules did not let through as it was; gives the event that says so.
local function ruled_out(context, kind, report)
  local engine = context.rules
  if not engine then return nil end
  engine:note_fault(report)
  if kind == "quarantined" then engine:keep(report) end
  local channel_type, channel_id = channel_parts(report.cid)
  return emit(context, {
    type = "event.dropped", reason = report.reason or report.verdict, verdict = report.verdict,
    rule = report.rule, text = report.text, hash = report.hash,
    envelope = {
      type = report.type, cid = report.cid, channel_type = channel_type, channel_id = channel_id,
      user = { id = report.user_id }, created_at = report.created_at,
      received_at = report.received_at, trust = report.trust, size = report.size,
    },
  })
end

local function update_router(context)
  local wants = context.registry:wants()
  if context.rules then
    context.rules:observe(context.options.trace or context.registry:list("event.dropped").n > 0)
  end
  local ok, kind, message = context.router:set(wants)
  if ok then return end
  ok = context.router:set(dispatch.coarse(wants))
  if not ok then
    context.log("error", "the subscriptions cannot be set", { error = kind .. ": " .. message })
  end
end

-- A handler on a channel that is not watched will hear nothing: said once per channel.
local function warn_unwatched(context)
  if not context.check_unwatched or context.session.state ~= "online" then return end
  context.check_unwatched = false
  for cid, scope in pairs(context.registry.scopes) do
    local channel = scope.owner
    if not channel.watching and not channel.being_watched and not context.warned[channel] then
      context.warned[channel] = true
      context.log("warning", "a channel has handlers but is not watched: call channel:watch()",
        { cid = cid })
    end
  end
end

local function established(context, first)
  if context.sender then context.sender:online() end
  context.check_unwatched = true
  if not first or next(context.recovery.watches) ~= nil then
    context.recovery:start(context.link)
  else
    context.link:deliver()
  end
  local call = context.connect_call
  context.connect_call = nil
  if call then call:finish(context.identity.me or {}) end
end

local function ended(context, err)
  if context.sender then context.sender:user_gone(err) end
  context.identity:clear()
  local call = context.connect_call
  context.connect_call = nil
  if call then call:finish(nil, err) end
end

local function disconnected(context)
  local connecting = context.connect_call
  context.connect_call = nil
  if connecting then
    connecting:finish(nil, errors.new { kind = "closed", message = "disconnected while connecting" })
  end
  if context.sender then
    context.sender:user_gone(errors.new { kind = "closed", message = "not sent: disconnected" })
  end
  context.recovery:forget_all()
  context.identity:clear()
  local calls = context.disconnect_calls
  context.disconnect_calls = {}
  for _, call in ipairs(calls) do call:finish(true) end
end

-- What broke the WebSocket has mostly broken the connections as well that HTTP keeps for later: calls
-- would wait in vain on them.
local NETWORK = { network = true, timeout = true }

local function announce(context, change)
  if not change.online then
    if NETWORK[change.kind] then context.transport:end_idle() end
    context.recovery:interrupted(context.clock.now() - (context.link.last_heard or context.clock.now()))
    if context.sender then context.sender:offline() end
  end
  change.type = "connection.changed"
  context.emit(change) -- first: whoever reads the log may bring about the next one
  context.log("info", change.online and "online" or "offline", {
    reason = change.reason, code = change.code, retry_in = change.retry_in,
  })
end

local function session_actions(context)
  local link = context.link
  return {
    fetch_token = function(fresh, insists) link:fetch_token(fresh, insists) end,
    open = function() link:open() end,
    drop = function() link:drop() end,
    mute = function() link:mute() end,
    close = function() link:close() end,
    send_health = function() link:send_health() end,
    renewable = function() return context.identity:renewable() end,
    announce = function(change) announce(context, change) end,
    established = function(first) established(context, first) end,
    ended = function(err) ended(context, err) end,
    disconnected = function() disconnected(context) end,
  }
end

--- Makes the parts of a client.
---@param client stream_events.Client
---@param options table as of options.check
---@param level integer where the program gave the options, as for error()
---@return table? context
---@return stream_events.Error? err kind "rule": with rules that cannot be used there is no client
function M.new(client, options, level)
  local context = {
    client = client, options = options, limits = options.limits,
    clock = options.clock or { now = native.now, time = native.time, slept = native.slept },
    random = options.random or random,
    log = loggers.safe(options.logger),
    channels = setmetatable({}, { __mode = "v" }), -- by cid
    warned = setmetatable({}, { __mode = "k" }), -- channels that were warned about
    disconnect_calls = {},
    turns = {}, -- changes that wait for the one before, by what they are about
    sender = false, encoder = false, -- made with the first send: many a client only receives
  }
  context.emit = function(event)
    event = emit(context, event)
    if event then context.delivery.push(event) end
  end
  context.update_router = function() update_router(context) end
  context.look_for_unwatched = function() context.check_unwatched = true end
  context.warn_unwatched = function() warn_unwatched(context) end
  if options.rules ~= nil then
    -- Only here: what a program does without is not to fill its memory, and its processor's cache.
    local rule_engines = require "stream_events.rules.engine"
    local engine, err = rule_engines.new {
      rules = options.rules, limits = options.limits, watch = options.watch,
      log = context.log, clock = context.clock, level = level + 1,
    }
    if not engine then return nil, err end
    context.rules = engine
  end
  context.transport = options.transport or new_transport(options)
  context.router = options.router or native.router()
  if context.rules then context.router:rules(context.rules.core) end
  context.registry = dispatch.new()
  context.workers = workers.new(context.log)
  context.tasks = tasks.new(context.workers)
  context.identity = identities.new(context)
  context.paces = pacing.endpoints(options.hosted and pacing.HOSTED or nil)
  context.api = api.new(context)
  context.delivery = delivery.new(context, function(reason, excerpt)
    return dropped(context, reason, excerpt)
  end, function(kind, report)
    return ruled_out(context, kind, report)
  end)
  context.recovery = recovery.new(context)
  context.link = connection.new(context)
  context.session = sessions.new {
    now = context.clock.now, random = context.random, timeouts = options.timeouts,
    actions = session_actions(context),
  }
  context.link:register(context.registry)
  context.upkeep = upkeep.new(context)
  context.loop = loops.new(context)
  if options.trace then require("stream_events.trace").install(context) end
  return context
end

--- Ends everything; what waits gets the error.
---@param context table
---@param err stream_events.Error
function M.close(context, err)
  if context.closed then return end
  context.closed = err
  if context.attachment then context.attachment:closing() end
  local link = context.link
  if link.socket and context.session.state == "online" then
    -- A word to the server, as far as it goes without waiting.
    link:close()
    context.transport:step()
  end
  link:drop()
  context.transport:close()
  context.delivery.discard()
  if context.rules then context.rules:close(err) end
  context.session:close()
  context.recovery:forget_all()
  context.identity:give_up(err)
  if context.sender then context.sender:close(err) end
  context.api:close(err)
  if context.connect_call then context.connect_call:finish(nil, err) end
  disconnected(context)
  context.loop:stop()
end

return M
