--- Somebody in the lobby who is no human: a client in luv's loop, and a coroutine that says what it does.
local attach = require("stream_events.loop.luv").attach
local field = require "field"
local stream_events = require "stream_events"
local uv = require "luv"

local M = {}

local STEP = 0.1 -- seconds between two moves
local RETRY = 1 -- seconds until the next attempt to sign in

---@class players.Actor
---@field client stream_events.Client
---@field channel stream_events.Channel
---@field x number
---@field y number
---@field others table<string, { x: number, y: number }> by id
local Actor = {}
Actor.__index = Actor

---@param settings lobby.Settings
---@param id string
---@param name string
---@param rules string? path of a rule file
---@return players.Actor
function M.new(settings, id, name, rules)
  local client = stream_events.new {
    api_key = settings.api_key, base_url = settings.base_url, secret = settings.secret, rules = rules,
    logger = function() end, -- what fails is tried again
    limits = { in_flight = 64 },
  }
  local self = setmetatable({
    id = id, name = name, client = client, others = {}, timers = {},
    x = math.random(80, field.width - 80), y = math.random(80, field.height - 80),
    channel = client:channel(settings.channel_type, settings.channel_id),
  }, Actor)
  attach(client)
  self.channel:subscribe_for("move", function(event)
    self.others[event.user.id] = { x = tonumber(event.x), y = tonumber(event.y) }
  end)
  self.channel:subscribe_for("user.watching.stop", function(event) self.others[event.user.id] = nil end)
  return self
end

--- Suspends the coroutine.
---@param seconds number
function Actor:sleep(seconds)
  local thread, timer = coroutine.running(), assert(uv.new_timer())
  self.timers[timer] = true
  timer:start(math.ceil(seconds * 1000), 0, function()
    self.timers[timer] = nil
    timer:close()
    self:resume(thread)
  end)
  coroutine.yield()
end

function Actor:resume(thread)
  if self.stopped then return end
  local ok, err = coroutine.resume(thread)
  if not ok then io.stderr:write(debug.traceback(thread, self.name .. ": " .. tostring(err)), "\n") end
end

--- Says something; what becomes of it is not waited for.
---@param event_type string
---@param data table
---@param options table?
function Actor:send(event_type, data, options)
  self.channel:send_event(event_type, data, options, function() end)
end

--- Tells the others where it is.
function Actor:show()
  self:send("move", { x = math.floor(self.x + 0.5), y = math.floor(self.y + 0.5) }, { coalesce = "move" })
end

--- Runs to a place, step by step.
function Actor:run_to(x, y)
  local step = field.speed * STEP * 0.6
  while true do
    local dx, dy = x - self.x, y - self.y
    local distance = math.sqrt(dx * dx + dy * dy)
    local part = math.min(1, step / math.max(distance, 0.001))
    self.x, self.y = self.x + dx * part, self.y + dy * part
    self:show()
    if part == 1 then return end
    self:sleep(STEP)
  end
end

--- Whoever is next to it.
---@return string? id
---@return number? distance
function Actor:nearest()
  local found, least
  for id, other in pairs(self.others) do
    local distance = other.x and other.y and math.sqrt((other.x - self.x) ^ 2 + (other.y - self.y) ^ 2)
    if distance and id ~= self.id and (not least or distance < least) then found, least = id, distance end
  end
  return found, least
end

-- Signs in, as often as it takes.
local function enter(self)
  while true do
    local me, err = self.client:connect_user { id = self.id, name = self.name }
    if me then
      local watched
      watched, err = self.channel:watch()
      if watched then return end
      self.client:disconnect()
    end
    if self.told ~= err.message then
      self.told = err.message
      io.stderr:write(("%s is not in: %s\n"):format(self.name, err.message))
    end
    self:sleep(RETRY)
  end
end

--- Begins, and goes on until stop(). What it does is its method act().
function Actor:start()
  self:resume(coroutine.create(function()
    enter(self)
    -- Whoever comes has seen nobody's moves.
    self.channel:subscribe_for("user.watching.start", function() self:show() end)
    self:show()
    while true do self:act() end
  end))
end

function Actor:stop()
  self.stopped = true
  for timer in pairs(self.timers) do timer:close() end
  self.client:close()
end

M.Actor = Actor

return M
