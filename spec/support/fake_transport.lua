--- A transport without sockets and a clock without time, for specs of the client. Both stand still
-- until the client sleeps: wait() moves the clock on to the next thing that was planned with at().
local native = require "stream_events.native"
local timestamp = require "stream_events.timestamp"

local M = {}

local json = native.json
local unpack = table.unpack or unpack -- luacheck: ignore 113 (Lua 5.1)

-- Socket ------------------------------------------------------------------------------------------

local Socket = {}
Socket.__index = Socket

local function wanted(wants, event_type)
  for _, name in ipairs(wants.types or {}) do
    if name == event_type then return true end
  end
  local class = native.type_class(event_type)
  for _, prefix in ipairs(wants.prefixes or {}) do
    if event_type:sub(1, #prefix) == prefix and (class == "custom" or prefix:find(".", 1, true)) then
      return true
    end
  end
  return wants.custom == true and class == "custom"
end

function Socket:state()
  if self.ended and #self.inbox == 0 then
    self.told = true
    local ended = self.ended
    return "closed", ended.kind, ended.message, ended.code, ended.retry_after, ended.date
  end
  return self.now_state
end

local function is_later(date, than)
  return date ~= nil and (than == nil or date:sub(1, -2) > than:sub(1, -2))
end

-- The next text, those of a replay first.
function Socket:take()
  local missed = self.missed
  if missed and #missed > 0 then return table.remove(missed, 1) end
  if missed then self.missed, self.position_at = nil, nil end
  if self.paused or #self.inbox == 0 then return nil end
  self.heard_at = self.fake.clock.now() -- what lies in a socket unread has not been heard
  return table.remove(self.inbox, 1)
end

function Socket:replay(texts) self.missed = { unpack(texts) } end
function Socket:track(yes)
  self.tracks = yes
  if not yes then self.position_at = nil end
end
function Socket:position() return self.position_at, self.missed ~= nil end

function Socket:next()
  while true do
    local text = self:take()
    if not text then return nil end
    local router = self.fake.router
    local event, err = native.event.new(text,
      { self = self.options.self, received_at = self.fake.clock.time() })
    if not event then
      return false, "malformed", err.message, text:sub(1, 200)
    end
    router.received = router.received + 1
    local date = event.created_at
    if self.tracks and is_later(date, self.position_at) then self.position_at = date end
    if wanted(router.wants, event.type) then return event, event.type, event.cid end
    router.unwanted = router.unwanted + 1
  end
end

function Socket:heard() return self.heard_at end
function Socket:pause(yes) self.paused = yes end

function Socket:send(text)
  self.sent[#self.sent + 1] = text
  if self.on_send then self:on_send(text) end
  return true
end

function Socket:close(code, reason)
  self.close_code, self.close_reason = code, reason
  self.now_state = "closing"
  if self.fake.answers_close then self:finish("closed", "bye", code) end
end

function Socket:abort() self.aborted = true end

-- What a server does:

--- A text arrives; a table is encoded.
function Socket:receive(message)
  if type(message) == "table" then message = json.encode(message) end
  self.inbox[#self.inbox + 1] = message
end

--- The connection opens and is greeted; `date` is when that was by the server's clock, now by default.
function Socket:greet(me, date)
  self.now_state = "open"
  self.fake.greetings = self.fake.greetings + 1
  self:receive {
    type = "health.check", cid = "*", created_at = date or timestamp.format(self.fake.clock.time()),
    connection_id = "connection-" .. self.fake.greetings,
    me = me or { id = self.options.self or "!anon", role = "user" },
  }
end

--- The connection opens and is refused.
function Socket:refuse(code, message, more)
  self.now_state = "open"
  local err = { code = code, message = message or "refused", StatusCode = 401, details = json.array {} }
  for name, value in pairs(more or {}) do err[name] = value end
  self:receive {
    type = "connection.error", connection_id = "", created_at = "2026-01-01T00:00:00Z", error = err,
  }
  self:finish("closed", "", 1000)
end

--- A custom event arrives, by default from another user in messaging:general.
function Socket:event(event_type, data, cid)
  cid = cid or "messaging:general"
  local event = { type = event_type, created_at = "2026-01-01T00:00:01Z", user = { id = "jane" } }
  if cid ~= "" then
    event.cid, event.channel_type, event.channel_id = cid, cid:match("^(.-):(.*)$")
  end
  for name, value in pairs(data or {}) do event[name] = value end
  self:receive(event)
end

--- The connection ends; `retry_after` and `date` are those headers of a refused upgrade.
function Socket:finish(kind, message, code, retry_after, date)
  self.ended = { kind = kind, message = message, code = code, retry_after = retry_after, date = date }
end

-- Transport ---------------------------------------------------------------------------------------

local Transport = {}
Transport.__index = Transport

function Transport:pollfd() return 42 end
function Transport:events() return "r" end
-- Zero when there is something that was not yet taken, as a ready descriptor would say it.
function Transport:timeout()
  local socket, due = self.fake.socket, nil
  if #self.fake.replies > 0 then return 0 end
  if socket and not socket.aborted and not socket.paused
    and (#socket.inbox > 0 or (socket.ended and not socket.told)) then
    return 0
  end
  for _, plan in ipairs(self.fake.plans) do
    if not due or plan.at < due then due = plan.at end
  end
  return due and math.max(0, due - self.fake.clock.now())
end

function Transport:step(seconds)
  self.steps = self.steps + 1
  if self.steps > 100000 then error("the client runs in circles") end
  local fake = self.fake
  if seconds and seconds > 0 and self:timeout() ~= 0 then self:wait(seconds) end
  for i = #fake.plans, 1, -1 do
    local plan = fake.plans[i]
    if plan.at <= fake.clock.now() then
      table.remove(fake.plans, i)
      plan.run()
    end
  end
end

-- An alarm ends a sleep, as the descriptor does, and is not in the timeout.
function Transport:alarm(seconds)
  self.alarm_at = self.fake.clock.now() + seconds
  return true
end

function Transport:wait(seconds)
  if seconds > 1e6 then error("the client would sleep for ever") end
  local now = self.fake.clock.now()
  local alarm = self.alarm_at and self.alarm_at > now and self.alarm_at - now or seconds
  self.fake.clock.advance(math.min(seconds, self:timeout() or seconds, alarm))
end

function Transport:request(request)
  if self.closed then return nil, "closed", "the transport is closed" end
  if self.fake.refuses then return nil, "full", "too many requests wait" end
  self.last_id = self.last_id + 1
  local id = self.last_id
  local record = {
    id = id, method = request.method, url = request.url, body = request.body,
    headers = table.concat(request.headers, "\n"), timeout = request.timeout,
    path = request.url:match("^https?://[^/]+([^?]*)"), query = request.url:match("%?(.*)$"),
    header_table = request.headers,
  }
  self.fake.requests[#self.fake.requests + 1] = record
  local status, body, headers = self.fake.answer(record)
  if status then self.fake.reply(record, status, body, headers) end
  return id
end

function Transport:prepare(request)
  return { method = request.method, url = request.url, headers = request.headers, timeout = request.timeout }
end

function Transport:send(prepared, body)
  return self:request(setmetatable({ body = body }, { __index = prepared }))
end

function Transport:next_response()
  local reply = table.remove(self.fake.replies, 1)
  if not reply then return nil end
  return reply[1], reply[2], reply[3], reply[4], reply[5]
end

function Transport:end_idle() self.idle_ended = (self.idle_ended or 0) + 1 end

function Transport:cancel(id)
  self.fake.cancelled[id] = true
  local replies = self.fake.replies
  for i = #replies, 1, -1 do
    if replies[i][1] == id then table.remove(replies, i) end
  end
end

function Transport:connect(options)
  if self.fake.refuses_connect then return nil, "network", "no route" end
  local socket = setmetatable({
    fake = self.fake, options = options, inbox = {}, sent = {}, now_state = "connecting",
    heard_at = self.fake.clock.now(),
  }, Socket)
  self.fake.sockets[#self.fake.sockets + 1] = socket
  self.fake.socket = socket
  self.fake.on_connect(socket)
  return socket
end

function Transport:close() self.closed = true end

--- A channel as queries show it.
function M.view(cid)
  local channel_type, id = cid:match("^(.-):(.*)$")
  return {
    channel = {
      type = channel_type, id = id, cid = cid,
      config = { custom_events = true }, own_capabilities = { "send-custom-events", "read-events" },
    },
    members = json.array { { user_id = "john", user = { id = "john" } } }, watcher_count = 1,
  }
end

--- The cids that a query of many channels asks for; nil: the request is none.
function M.cids_of(request)
  if request.method ~= "POST" or request.path ~= "/channels" then return nil end
  return json.decode(request.body).filter_conditions.cid["$in"]
end

-- Answers as the service gives them to what the client asks most.
local function usual_answer(request)
  local channel_type, id = request.path:match("^/channels/([^/]+)/([^/]+)/query$")
  if channel_type then return 201, json.encode(M.view(channel_type .. ":" .. id)) end
  local cids = M.cids_of(request)
  if cids then
    local views = {}
    for i, cid in ipairs(cids) do views[i] = M.view(cid) end
    return 201, json.encode { channels = json.array(views) }
  end
  channel_type, id = request.path:match("^/channels/([^/]+)/([^/]+)/event$")
  if channel_type then
    local event = json.decode(request.body).event
    event.cid, event.channel_type, event.channel_id = channel_type .. ":" .. id, channel_type, id
    event.user = { id = event.user_id or "john" }
    event.user_id = nil
    event.created_at = "2026-01-01T00:00:02Z"
    return 201, json.encode { event = event, duration = "1ms" }
  end
  return 201, '{"duration":"0.00ms"}'
end

--- Everything a spec needs: options for stream_events.new, and the handles to move the world.
---@return table
function M.new()
  local time = 1000
  local fake = {
    requests = {}, replies = {}, cancelled = {}, sockets = {}, plans = {}, greetings = 0,
    answers_close = true, logs = {}, token = require("stream_events.token").user("lan-dev-secret", "john"),
  }
  fake.clock = {
    now = function() return time end,
    time = function() return 1767225600 + time - 1000 end,
    advance = function(seconds) time = time + seconds end,
  }
  fake.router = {
    wants = {}, received = 0, unwanted = 0, sets = 0,
    set = function(self, wants)
      self.wants, self.sets = wants, self.sets + 1
      return true
    end,
    rules = function(self, rules) self.ruled_by = rules end,
    totals = function(self)
      return { received = self.received, delivered = self.received - self.unwanted,
        unwanted = self.unwanted, refused = 0 }
    end,
    counts = function() return {} end,
  }
  fake.transport = setmetatable({ fake = fake, last_id = 0, steps = 0 }, Transport)
  fake.answer = usual_answer
  fake.usual_answer = usual_answer
  fake.on_connect = function(socket) socket:greet() end

  --- Answers a request that `answer` left open, unless it was cancelled. A nil status is a failure: its
  --- kind and message, and whether nothing of the request has gone out.
  function fake.reply(request, status, body, headers, unsent)
    if fake.cancelled[request.id] then return end
    fake.replies[#fake.replies + 1] = { request.id, status, body, headers, unsent }
  end

  --- Plans something for when the client has slept that long.
  function fake.at(seconds, run)
    fake.plans[#fake.plans + 1] = { at = time + seconds, run = run }
  end

  --- Options for a client on this transport; `more` overrides.
  function fake.options(more)
    local options = {
      api_key = "devkey", base_url = "http://fake.test:3030",
      transport = fake.transport, router = fake.router, clock = fake.clock,
      random = function() return 0.5 end,
      logger = function(level, message, fields)
        fake.logs[#fake.logs + 1] = { level = level, message = message, fields = fields }
      end,
    }
    for name, value in pairs(more or {}) do options[name] = value end
    return options
  end

  --- A client that is connected as john, with a token that names him.
  function fake.connected(more)
    local client = require("stream_events").new(fake.options(more))
    assert(client:connect_user({ id = "john" }, fake.token))
    return client
  end

  --- Log lines of a level.
  function fake.logged(level)
    local found = {}
    for _, entry in ipairs(fake.logs) do
      if entry.level == level then found[#found + 1] = entry end
    end
    return found
  end

  --- The last request whose path ends so.
  function fake.last(path)
    for i = #fake.requests, 1, -1 do
      if fake.requests[i].path:sub(-#path) == path then return fake.requests[i] end
    end
    return nil
  end

  return fake
end

return M
