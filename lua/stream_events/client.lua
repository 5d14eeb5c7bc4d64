--- The client: one signed-in user, or one backend. Puts the parts together and is the object that
-- users hold; what it does is done in the modules it requires.
local backend = require "stream_events.backend"
local channel_state = require "stream_events.channel_state"
local connect = require "stream_events.connect"
local context_module = require "stream_events.context"
local errors = require "stream_events.error"
local loops = require "stream_events.loop"
local names = require "stream_events.names"
local native = require "stream_events.native"
local options_module = require "stream_events.options"
local poll_options = require "stream_events.poll_options"
local subscription = require "stream_events.subscription"

local M = {}

--- A client. Every call that waits for the service comes in three forms: with a last argument
--- `callback(result, err)` it returns at once; without one it suspends the handler it is made in;
--- anywhere else it runs this client's loop until the answer is there. What fails as expected gives
--- `nil, err`; misuse raises.
---@class stream_events.Client
---@field private context table
local Client = { __name = "stream_events.client" }
Client.__index = Client

for name, method in pairs(connect.methods) do Client[name] = method end
backend.add_to(Client)

-- Lua 5.1 and LuaJIT do not ask tables for __gc: a userdata is collected with the client.
local new_userdata = rawget(_G, "newproxy")
local function watch_collection(self)
  if not new_userdata then return end
  self.collected = new_userdata(true)
  getmetatable(self.collected).__gc = function() self:__gc() end
end

--- Makes a client. Nothing goes over the network yet.
---@param options stream_events.Options
---@param level integer whom to blame for wrong options, as for error()
---@return stream_events.Client? client
---@return stream_events.Error? err kind "rule"
function M.new(options, level)
  local self = setmetatable({}, Client)
  local checked = options_module.check(options, level + 1)
  local context, err = context_module.new(self, checked, level + 1)
  if not context then return nil, err end
  self.context = context
  watch_collection(self)
  channel_state.register(context)
  return self
end

function Client:__tostring()
  local context = self.context
  return ("stream_events client of %s, %s"):format(context.options.base_url,
    context.closed and "closed" or context.session.state)
end

-- Channels ----------------------------------------------------------------------------------------

--- A channel by type and id; the same object every time. Without an id it is the channel of
--- exactly these members, whose id is known after the first query (protocol §4.5).
---@param channel_type string letters, digits, `_`, `-`; at most 64
---@param id string|table|nil
---@param data table? what it is created with: members, name, any other fields
---@return stream_events.Channel
function Client:channel(channel_type, id, data)
  if type(id) == "table" and data == nil then id, data = nil, id end
  local ok, message = names.channel_type(channel_type)
  if ok and id ~= nil then ok, message = names.channel_id(id) end
  if not ok then error(message, 2) end
  if data ~= nil and type(data) ~= "table" then
    error("the data of a channel must be a table, not a " .. type(data), 2)
  end
  local _, unfit = native.json.encode(data or {})
  if unfit then error("the data of a channel: " .. unfit.message, 2) end
  if id == nil and not (data and type(data.members) == "table") then
    error("a channel without an id needs { members = { ... } }", 2)
  end
  local known = self.context.channels
  local channel = id and known[names.cid(channel_type, id)]
  if channel then
    if data then channel:create_with(data) end
    return channel
  end
  local channels = require "stream_events.channel" -- only here: backends may have none
  channel = channels.new(self.context, channel_type, id, data)
  if id then known[channel.cid] = channel end
  return channel
end

-- Subscribing -------------------------------------------------------------------------------------

local function add(self, made)
  local registry = self.context.registry
  return registry:add(registry.client_scope, made)
end

--- Calls a handler for every event of these types: user events, those of all channels, and the
--- events that the client makes itself: `connection.changed` (online, reason, code, will_retry,
--- retry_in), `connection.recovered` (gap: events may be missing; gap_cids: in these channels; replayed:
--- so many that were missed are delivered now; since; restored: cids; failed: errors by cid),
--- `capabilities.changed` (cid, own_capabilities), `event.dropped` (reason, rule, text, hash, verdict, and
--- envelope: all that is known of the event but its data, with a `user` that is never nil, but may have no
--- `id`; of a message that is no event also detail and excerpt). Types and patterns are those of
--- Channel:subscribe_for. Handlers of the client run before those of the channel, older before newer.
---@param types string|string[]
---@param handler stream_events.Handler
---@return stream_events.Disposable
function Client:subscribe_for(types, handler)
  if types == nil then error("event types expected", 2) end
  local made = add(self, subscription.new(types, handler, 2))
  return made
end

--- Like subscribe_for, but ends by itself with the first event.
---@param types string|string[]
---@param handler stream_events.Handler
---@return stream_events.Disposable
function Client:subscribe_for_single(types, handler)
  if types == nil then error("event types expected", 2) end
  local made = add(self, subscription.single(subscription.new(types, handler, 2)))
  return made
end

--- Calls a handler for every custom event, of users and of all channels.
---@param handler stream_events.Handler
---@return stream_events.Disposable
function Client:subscribe(handler)
  local made = add(self, subscription.new(nil, handler, 2))
  return made
end

-- The loop ----------------------------------------------------------------------------------------

local function outside_handlers(self, name)
  if self.context.workers.depth > 0 then
    error(("client:%s called in a handler: handlers run inside it already"):format(name), 3)
  end
end

---@class stream_events.PollOptions
---@field seconds number? as the first argument of poll()
---@field max_events integer? as its second
---@field max_milliseconds number? once so much time has passed, no further handler or callback begins,
---  nothing more is read or decoded, and no other answer is taken in: all that waits for the next turn.
---  One event gets through in any case. Time that was slept does not count.

--- One turn: I/O, then handlers. Returns as soon as something ran, or when the time is over; 0, the
--- default, never sleeps.
---@param seconds number|stream_events.PollOptions|nil
---@param max_events integer? delivers no more than these; the others wait for the next turn
---@return integer ran handlers and callbacks
function Client:poll(seconds, max_events)
  outside_handlers(self, "poll")
  local milliseconds
  if type(seconds) == "table" then
    if max_events ~= nil then error("poll takes a table, or seconds and max_events", 2) end
    seconds, max_events, milliseconds = poll_options.take(seconds, 2)
  end
  seconds = seconds or 0
  poll_options.check(seconds, max_events, milliseconds, 2)
  self.context.loop.stopping = false
  self.context.warn_unwatched()
  return self.context.loop:poll(seconds, max_events, milliseconds and milliseconds / 1000)
end

--- Runs until stop() or close(); for bots. A session that ended for good (a refused token, say)
--- ends it too, with the error.
---@return true? ok
---@return stream_events.Error? err
function Client:run()
  outside_handlers(self, "run")
  self.context.warn_unwatched()
  return self.context.loop:run()
end

--- Makes run() return after the present turn.
function Client:stop()
  self.context.loop:stop()
end

--- Runs a function in the next turn as handlers are run: calls in it suspend it and nothing else.
---@param run function
---@param ... any arguments
function Client:spawn(run, ...)
  if type(run) ~= "function" then
    error("a function expected, not a " .. type(run), 2)
  end
  local count, arguments = select("#", ...), { ... }
  local unpack = table.unpack or unpack -- luacheck: ignore 113 (Lua 5.1)
  self.context.workers:push("a spawned function", function()
    return run(unpack(arguments, 1, count))
  end)
end

--- The descriptor to wait on in a foreign event loop; call poll() when it is ready for events(). For luv,
--- cqueues and copas there are adapters, `stream_events.loop.*`.
--- It stays the same until close(), and a closed client has none: asking for it raises.
---@return integer
function Client:pollfd()
  if self.context.closed then error("the client is closed: it has no descriptor any more", 2) end
  return self.context.transport:pollfd()
end

--- What to wait for at the descriptor: always reading.
---@return "r"
function Client:events()
  return self.context.transport:events()
end

--- Seconds after which poll() is to be called even if the descriptor stays quiet; nil: never. Ask
--- again after every turn, and after every call made outside of one: what it sends goes out in poll().
---@return number?
function Client:timeout()
  return self.context.loop:timeout()
end

-- Rules -------------------------------------------------------------------------------------------

--- Reads the rule file again, as `watch = true` does by itself when it changes: all of it, then its own
--- examples; only then do the new rules take the place of the old ones. On any error the old ones stay
--- in force. Rate limits, marks and counters survive; a rule that was switched off is on again.
---@param callback (fun(ok: true?, err: stream_events.Error?))?
---@return true? ok
---@return stream_events.Error? err kind "rule", with `problems`
function Client:reload_rules(callback)
  local context = self.context
  local call = context.tasks:begin(callback)
  if context.closed then return context.tasks:fail(call, context.closed) end
  if not context.rules then
    return context.tasks:fail(call, errors.new {
      kind = "rule", message = "this client has no rules", hint = "Give it the option rules.",
    })
  end
  context.rules:reload(function(ok, err) call:finish(ok, err) end)
  return context.tasks:wait(call)
end

--- The events that rules have set aside for a person to look at, older ones first: at most
--- limits.quarantine, and 1 MiB.
---@return stream_events.Quarantined[]
function Client:quarantined()
  local engine = self.context.rules
  return engine and engine:list() or {}
end

-- State -------------------------------------------------------------------------------------------

--- What has happened so far, as numbers.
---@return stream_events.Stats
function Client:stats()
  return require("stream_events.stats").collect(self.context)
end

--- Tells the client that the network may be another one, or back: what a system says to its programs.
--- While offline the next attempt is made at once (but no two within a second), and further ones wait as
--- briefly as the first. While online the connection is checked: when the server is not heard within
--- timeouts.check, it is made anew. An attempt that is under way for longer than that is begun again, once.
---@return true? ok
---@return stream_events.Error? err kind "closed": there is no session, or it has ended for good
function Client:reconnect_now()
  local context = self.context
  local session = context.session
  if context.closed then return nil, context.closed end
  if session:at_rest() or session.state == "closing" then
    local failure = session.failure
    return errors.fail("closed", "no session to reconnect" ..
      (failure and ": it ended with: " .. failure.message or ""),
      { hint = "connect_user begins one.", cause = failure })
  end
  session:input "check"
  context.workers:stir()
  return true
end

--- Whether the connection stands.
---@return boolean
function Client:online()
  return self.context.session.state == "online"
end

--- The connected user as the service sent it; nil when there is none.
---@return table?
function Client:user()
  return self.context.identity.me
end

--- Ends everything at once: connection, requests, deliveries. Every call that still waits gets an
--- error of kind "closed"; callbacks get theirs with the next poll(). Any number of times, also
--- inside a handler.
function Client:close()
  context_module.close(self.context, loops.closed_error())
end

Client.__close = Client.close

-- Nobody is left who could be told anything.
function Client:__gc()
  local context = rawget(self, "context")
  if context and not context.closed then context.transport:close() end
end

return M
