--- What the specs of faults run in: the real server as a process of its own, which can be stopped,
-- killed and started again, a proxy that spoils, and two users.
--
-- john is connected to the server itself. jane goes through the proxy, watches two channels, one whose
-- events the server keeps and one whose events it does not, and has the same handlers from beginning to
-- end. Everything that either sends is noted, and everything that jane's handlers get; account() says
-- whether each event is where it has to be.
--
-- A client is turned only when its descriptor is ready or its time has come, and the turns are counted:
-- one that spins shows.
local accounts = require "support.accounts"
local backoff = require "stream_events.backoff"
local command = require "support.command"
local folders = require "support.folder"
local free_port = require "support.free_port"
local http_client = require "support.http_client"
local native = require "stream_events.native"
local proxies = require "support.fault_proxy"
local servers = require "support.server"
local stream_events = require "stream_events"
local tokens = require "stream_events.token"
local uv = require "luv"

local M = {}

M.SECRET = "lan-dev-secret"
M.PLAIN, M.KEPT = "messaging:plain", "gaming:kept" -- by what the server does with their events

-- So many are kept for those who come back: more than a spec sends while jane is away.
local KEPT_EVENTS = 40

local PATIENCE = 30 -- seconds: a guard, specs wait on conditions

-- A back-off is seconds long. What a fault does after a thousandth of it is the same.
local SHORTER = 1000
local real_delay = backoff.delay

--- Makes the back-off short, of all clients, until long_waits().
function M.short_waits()
  function backoff.delay(failures, random) return real_delay(failures, random) / SHORTER end
end

function M.long_waits()
  backoff.delay = real_delay
end

--------------------------------------------------------------------------------------------- clients

---@class support.FaultUser a client in luv's loop
---@field client stream_events.Client
---@field turns integer
local User = {}
User.__index = User

--- A client that runs in luv's loop.
---@param id string
---@param options stream_events.Options
---@return support.FaultUser
function M.user(id, options)
  local self = setmetatable({ id = id, turns = 0, timer = uv.new_timer() }, User)
  self.client = stream_events.new(options)
  self.on_turn = function() self:turn() end
  self.poll = uv.new_poll(self.client:pollfd())
  self.poll:start("r", self.on_turn)
  return self
end

--- Asks when the next turn is due; to be called after every call that is made outside of a turn.
function User:plan()
  if self.closed then return end
  local seconds = self.client:timeout()
  self.timer:stop()
  if not seconds then return end
  uv.update_time()
  -- For 0 it would be called again before the loop has looked at anything else.
  self.timer:start(math.max(1, math.ceil(seconds * 1000)), 0, self.on_turn)
end

function User:turn()
  if self.closed then return end
  self.turns = self.turns + 1
  self.client:poll(0)
  self:plan()
end

function User:close()
  self.closed = true
  self.poll:stop()
  self.poll:close()
  self.timer:close()
  self.client:close()
end

------------------------------------------------------------------------------------------------- rig

---@class support.FaultRig
---@field john support.FaultUser
---@field jane support.FaultUser
---@field proxy support.FaultProxy
---@field changes table[] jane's connection.changed
---@field recovered table[] jane's connection.recovered
---@field sends table[] everything that was sent, with its answers
---@field got table<integer, integer> how often jane's handlers got an event, by its number
---@field accounts support.Accounts
local Rig = {}
Rig.__index = Rig

--- Runs the loop until condition() gives something.
function Rig:wait(what, condition)
  return http_client.wait(what, condition, PATIENCE * 1000)
end

local function ask(self, user, object, method, ...)
  local done, result, err
  local arguments = table.pack(...)
  arguments[arguments.n + 1] = function(given, failure) done, result, err = true, given, failure end
  object[method](object, table.unpack(arguments, 1, arguments.n + 1))
  user:plan()
  self:wait(method, function() return done end)
  return assert(result, err and tostring(err))
end

local function watch_both(self, user)
  user.channels = {}
  for _, cid in ipairs { M.PLAIN, M.KEPT } do
    local channel = user.client:channel(cid:match "^(.-):(.*)$")
    user.channels[cid] = channel
    ask(self, user, channel, "watch")
  end
end

local function follow(self)
  local jane = self.jane.client
  jane:subscribe_for("connection.changed", function(change) self.changes[#self.changes + 1] = change end)
  jane:subscribe_for("connection.recovered", function(event)
    self.accounts:recovered("jane", event, native.time())
    for _, change in ipairs(self.changes) do change.recovered = true end
    self.recovered[#self.recovered + 1] = event
  end)
  for cid, channel in pairs(self.jane.channels) do
    channel:subscribe_for("n", function(event)
      assert(event.cid == cid)
      self.accounts:got("jane", event.n, cid, event.created_at)
    end)
  end
end

local function set_up_server(self)
  local fixture = self.fixture
  fixture:users("john", "jane")
  assert(201 == fixture:call("server", "PUT", "/channeltypes/gaming",
    { custom_event_retention = { seconds = 3600, count = KEPT_EVENTS }, custom_event_ids = true }))
  for _, cid in ipairs { M.PLAIN, M.KEPT } do fixture:channel(cid, { "john", "jane" }) end
end

local function connect(self, id, base_url, more)
  local options = {
    api_key = "devkey", base_url = base_url, random = function() return 0 end, proxy = "",
    timeouts = { request = 5, connect = 5, close = 0.3, health = 0.4, silence = 5 },
  }
  for name, value in pairs(more or {}) do options[name] = value end
  local user = M.user(id, options)
  self.users[#self.users + 1] = user
  ask(self, user, user.client, "connect_user", { id = id }, tokens.user(M.SECRET, id))
  return user
end

local function serve(self)
  local args = { "serve", "--port", tostring(self.port), "--data", self.folder:at "state.db",
    "--api-key", "devkey", "--api-secret", M.SECRET }
  for _, word in ipairs(self.flags) do args[#args + 1] = word end
  self.server = command.start(args)
  self.server:wait_for("stdout", "listening on ")
end

--- Starts the server once more, on the same port and with the same data.
function Rig:serve_again()
  self.server:finish()
  serve(self)
end

--- Ends the server as an operator does, and looks how it ended: a sanitizer would tell of leaks there.
function Rig:end_server()
  self.server:kill "sigterm"
  local code = self.server:finish()
  assert(code == 0 and not self.server.stderr:find("Sanitizer", 1, true), self.server.stderr)
end

--- Starts all of it.
---@param options table? timeouts: of jane; flags: of the server; limits: of jane; tls: gives what is in
---  front of the server, { port, ca_file, stop }, and the proxy passes on to that without looking
---@return support.FaultRig
function M.start(options)
  options = options or {}
  local self = setmetatable({
    users = {}, number = 0,
    folder = folders.new(), flags = options.flags or {}, port = free_port.tcp(),
  }, Rig)
  self:forget()
  serve(self)
  self.fixture = servers.attach {
    host = "127.0.0.1", port = self.port, api_key = "devkey", api_secret = M.SECRET,
  }
  set_up_server(self)
  self.tls = options.tls and options.tls(self.port)
  self.proxy = proxies.to("127.0.0.1", self.tls and self.tls.port or self.port, self.tls ~= nil)
  self.john = connect(self, "john", "http://127.0.0.1:" .. self.port)
  self.jane = connect(self, "jane", self.proxy.url,
    { timeouts = options.timeouts, ca_file = self.tls and self.tls.ca_file, limits = options.limits })
  for _, user in ipairs(self.users) do watch_both(self, user) end
  follow(self)
  for _ = 1, KEPT_EVENTS do self:send(self.john, M.KEPT) end -- from now on it keeps as many as it may
  self:answered()
  self:prove()
  return self
end

--- The same with short waits, until finish().
---@param options table?
---@return support.FaultRig
function M.begin(options)
  M.short_waits()
  return M.start(options)
end

--- Time-outs for calls that may take so long.
---@param seconds number
---@return table
function M.patience(seconds)
  return { request = seconds, connect = 5, close = 0.3, health = 2, silence = 5 }
end

--- Ends all of it. Twice is fine: where another rig could not be started its teardown meets this one again,
--- and must not hide why.
function Rig:stop()
  if self.stopped then return end
  self.stopped = true
  for _, user in ipairs(self.users) do user:close() end
  self.proxy:stop()
  if self.tls then self.tls.stop() end
  self.fixture:stop()
  self:end_server()
  self.folder:remove()
end

--- Ends what begin() has made.
function Rig:finish()
  self:stop()
  M.long_waits()
end

--- Sends an event; its answers are noted.
---@param user support.FaultUser
---@param cid string
---@param data table?
---@param options table? of send_event
---@return table send
function Rig:send(user, cid, data, options)
  self.number = self.number + 1
  local send = self.accounts:sent(self.number, cid)
  send.n, send.user = self.number, user
  local fields = { n = send.n }
  for name, value in pairs(data or {}) do fields[name] = value end
  local function answered(event, err) self.accounts:answered(send, event, err) end
  if options then
    user.channels[cid]:send_event("n", fields, options, answered)
  else
    user.channels[cid]:send_event("n", fields, answered)
  end
  user:plan()
  return send
end

--- Sends from both users to both channels.
function Rig:burst(count)
  for _ = 1, count do
    for _, user in ipairs(self.users) do
      for _, cid in ipairs { M.PLAIN, M.KEPT } do self:send(user, cid) end
    end
  end
end

--- Waits until every send has an answer.
function Rig:answered()
  self:wait("every answer", function()
    for _, send in ipairs(self.sends) do
      if send.answers == 0 then return false end
    end
    return true
  end)
end

--- Waits until jane is connected, watches both channels and was told that this is restored.
function Rig:back()
  self:wait("jane is back", function()
    local last = self.changes[#self.changes]
    return self.jane.client:online() and self.jane.client:stats().watched == 2
      and (not last or last.online and last.recovered)
  end)
end

--- Everything that went wrong with what was sent so far, as texts.
---@return string[]
function Rig:account()
  return (select(2, self.accounts:balance()))
end

--- Sends from both to both channels, and waits until jane's handlers have got all of it.
function Rig:prove()
  local first = #self.sends + 1
  self:burst(1)
  self:wait("what is sent afterwards is answered and delivered", function()
    for i = first, #self.sends do
      local send = self.sends[i]
      assert(not send.err, send.err and ("%s: %s"):format(send.user.id, tostring(send.err)))
      if not send.event or not self.got[send.n] then return false end
    end
    return true
  end)
end

--- What must be as before after a fault.
function Rig:standing()
  local stats = self.jane.client:stats()
  return { subscriptions = stats.subscriptions, watched = stats.watched, errors = stats.handler_errors,
    in_flight = stats.in_flight, online = stats.online }
end

--- Forgets what was noted.
function Rig:forget()
  self.accounts = accounts.new { "jane" }
  self.sends, self.got = self.accounts.sends, self.accounts.receivers.jane.got
  self.changes, self.recovered = {}, {}
  if not self.proxy then return end
  self.proxy.met, self.proxy.writes, self.proxy.reads, self.jane.turns = {}, 0, 0, 0
end

--- Kilobytes of all that lives in this Lua state.
function M.memory()
  http_client.settle()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count"
end

return M
