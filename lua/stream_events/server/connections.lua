--- The WebSocket connections that are signed in: who each belongs to, and their health checks.
-- Two numbers name a connection: the listener's own, which never leaves this process, and the
-- connection id, a random UUID that the client repeats in its calls.
local native = require "stream_events.native"
local clock = require "stream_events.server.clock"

local M = {}

-- Clients take a connection for dead after 30 to 40 seconds without a health check; one that asked
-- for none so long gets one anyway.
local SILENCE = 27
-- How long a user's last_active may lag behind what its connections do.
local ACTIVE_EVERY = 15 * 60
local HEALTH_CHECK = '{"type":"health.check","connection_id":"%s","cid":"*","created_at":"%s"}'

---@class stream_events.server.Connection
---@field number integer the listener's
---@field id string the connection id
---@field caller stream_events.server.Caller
---@field key string counts as one watcher: the user's id; for anonymous ones the connection id
---@field watches table<string, table> cid to channel
---@field follows table? whose presence it follows; belongs to the presence module
---@field began table<string, string>? cid to the date since when, where events are kept
---@field opened number native.now() of its beginning

---@class stream_events.server.Connections
local Connections = { __name = "stream_events.server.connections" }
Connections.__index = Connections

---@param listener stream_events.server.core.Listener
---@return stream_events.server.Connections
function M.new(listener)
  return setmetatable({
    listener = listener,
    by_number = {},
    by_id = {},
    by_user = {}, -- user id -> { [connection] = true }
    groups = {}, -- user id -> the group of all of them
    due = {}, -- whole second -> connections whose silence may have lasted too long by then
    last_due = native.now() // 1,
    last_group = 0,
    count = 0,
  }, Connections)
end

--- A number for a group of the listener that nobody else uses.
---@return integer
function Connections:new_group()
  self.last_group = self.last_group + 1
  return self.last_group
end

local function expect_silence(self, connection, second)
  local bucket = self.due[second]
  if bucket then
    bucket[#bucket + 1] = connection
  else
    self.due[second] = { connection }
  end
end

--- Registers a connection whose first frame is about to be sent.
---@param number integer
---@param caller stream_events.server.Caller
---@return stream_events.server.Connection connection
function Connections:open(number, caller)
  local id = native.crypto.uuid()
  local now = native.now()
  local connection = {
    number = number,
    id = id,
    caller = caller,
    key = caller.kind == "anonymous" and "!anon/" .. id or caller.id,
    watches = {},
    opened = now,
    checked = now,
    active = now,
  }
  self.by_number[number] = connection
  self.by_id[id] = connection
  self.count = self.count + 1
  if caller.kind ~= "anonymous" then
    local own = self.by_user[caller.id]
    if not own then
      own = {}
      self.by_user[caller.id], self.groups[caller.id] = own, self:new_group()
    end
    own[connection] = true
    self.listener:join(self.groups[caller.id], number)
  end
  expect_silence(self, connection, now // 1 + SILENCE)
  return connection
end

--- Forgets a connection that is gone.
---@param number integer
---@return stream_events.server.Connection? connection nil when it had never been signed in
---@return boolean? last whether it was the last one of its user
function Connections:close(number)
  local connection = self.by_number[number]
  if not connection then return nil end
  self.by_number[number] = nil
  self.by_id[connection.id] = nil
  self.count = self.count - 1
  local id = connection.caller.id
  local own = self.by_user[id]
  if own and own[connection] then
    own[connection] = nil
    self.listener:leave(self.groups[id], number)
    if next(own) == nil then
      self.by_user[id], self.groups[id] = nil, nil
      return connection, true
    end
  end
  return connection, false
end

--- The connection with that id, if it belongs to that caller. Anonymous callers are all the same
-- user; the id, which nobody can guess, tells them apart.
---@param id string?
---@param caller stream_events.server.Caller
---@return stream_events.server.Connection?
function Connections:find(id, caller)
  local connection = id and self.by_id[id]
  if connection and connection.caller.id == caller.id
    and (connection.caller.kind == "anonymous") == (caller.kind == "anonymous") then
    return connection
  end
  return nil
end

--- The group of all connections of a user.
---@param user_id string
---@return integer? group nil when there are none
function Connections:group_of(user_id)
  return self.groups[user_id]
end

--- The connections of a user, as keys.
---@param user_id string
---@return table<stream_events.server.Connection, true>
function Connections:of(user_id)
  return self.by_user[user_id] or {}
end

--- The connections behind a Connection.key: all of a user's, or the one that is anonymous. As keys.
---@param key string
---@return table<stream_events.server.Connection, true>
function Connections:behind(key)
  local id = key:match "^!anon/(.*)$"
  if not id then return self:of(key) end
  local connection = self.by_id[id]
  return connection and { [connection] = true } or {}
end

local function check(self, connection, now)
  connection.checked = now
  self.listener:send(connection.number, HEALTH_CHECK:format(connection.id, clock.stamp()))
end

--- Answers whatever a client sent: every message and every ping is a health check.
---@param number integer
---@return string? active the user's id, when it is time to note that it is active
function Connections:heard(number)
  local connection = self.by_number[number]
  if not connection then return nil end
  local now = native.now()
  check(self, connection, now)
  if now - connection.active >= ACTIVE_EVERY and connection.caller.kind ~= "anonymous" then
    connection.active = now
    return connection.caller.id
  end
  return nil
end

--- Sends health checks to those that have had none for too long. Call it about once a second.
---@param now number native.now()
function Connections:tick(now)
  local this = now // 1
  for second = self.last_due, this do
    local bucket = self.due[second]
    self.due[second] = nil
    for _, connection in ipairs(bucket or {}) do
      if self.by_number[connection.number] == connection then
        if now - connection.checked >= SILENCE - 1 then check(self, connection, now) end
        expect_silence(self, connection, connection.checked // 1 + SILENCE)
      end
    end
  end
  self.last_due = this + 1
end

return M
