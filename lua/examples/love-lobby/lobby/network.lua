--- The lobby's connection: signs in and goes on trying, hands events on to the world, sends what the player
-- does. All of it happens in update(), within the budget of a frame.
local M = {}

-- What one frame may give to the network: so many events, and so much time. A burst takes more frames then,
-- not longer ones.
M.BUDGET = { max_events = 200, max_milliseconds = 2 }

local LAST = 0.5 -- of these milliseconds: the plugin begins nothing in them, but ends what it has begun

local MOVE_EVERY = 0.1 -- seconds; what was not sent in time is superseded by what is newer
local RETRY_FIRST, RETRY_MOST = 1, 5 -- seconds until the next attempt to sign in
local NOTE = 4 -- seconds that a note is shown

---@class lobby.Network
---@field state "connecting"|"online"|"waiting"
---@field was_online boolean
---@field problem string? why it is not online
---@field is_refused boolean? the server answers, but not as we would like
---@field retry_at number? when the next attempt is made, by the clock
---@field note string? what the player is to know for a moment
---@field client stream_events.Client
local Network = {}
Network.__index = Network

-- The token of the player. A real game asks its own backend for it: only a backend has the secret.
local function token_of(settings)
  if settings.token then return settings.token end
  return function(user_id)
    if not settings.secret then return nil, "STREAM_USER_TOKEN is not set" end
    return require("stream_events.token").user(settings.secret, user_id)
  end
end

---@param parts { stream_events: table, rules: stream_events.RuleSet, settings: lobby.Settings,
---  world: lobby.World, drops: lobby.Drops, meter: lobby.Meter, clock: fun(): number }
---@return lobby.Network
function M.new(parts)
  local settings = parts.settings
  local self = setmetatable({
    world = parts.world, drops = parts.drops, meter = parts.meter, clock = parts.clock, settings = settings,
    state = "connecting", was_online = false, pause = RETRY_FIRST, offers = 0,
    sent_at = 0, sent_x = nil, sent_y = nil, note_until = 0,
    turn = { max_events = M.BUDGET.max_events, max_milliseconds = M.BUDGET.max_milliseconds - LAST },
  }, Network)
  self.client = parts.stream_events.new {
    api_key = settings.api_key, base_url = settings.base_url, rules = parts.rules,
    logger = function() end, -- the panel says it
  }
  self.token = token_of(settings)
  self.channel = self.client:channel(settings.channel_type, settings.channel_id)
  self:listen()
  self:sign_in()
  return self
end

-- Being online ------------------------------------------------------------------------------------

-- No connection, and nobody but us will make one.
function Network:wait(err)
  self.state, self.problem = "waiting", err.message
  self.is_refused = err.kind == "auth" or err.kind == "api"
  self.retry_at = self.clock() + self.pause
  self.retry = self.sign_in
  self.pause = math.min(self.pause * 1.5, RETRY_MOST)
end

function Network:sign_in()
  self.state, self.retry_at, self.retry = "connecting", nil, nil
  local user = { id = self.settings.id, name = self.settings.name }
  self.client:connect_user(user, self.token, function(me, err)
    if me then self:enter() else self:wait(err) end
  end)
end

-- The watch is bound to the connection; after later losses the client renews both by itself.
function Network:enter()
  self.channel:watch(function(channel, err)
    if channel then return self:arrived() end
    self.client:disconnect(function() self:wait(err) end)
  end)
end

--- Does not wait any longer.
function Network:reconnect()
  if self.retry then self.retry_at = self.clock() else self.client:reconnect_now() end
end

function Network:arrived()
  self.state, self.was_online, self.problem, self.retry_at = "online", true, nil, nil
  self.pause = RETRY_FIRST
  self:send_move(true)
end

function Network:changed(event)
  if event.online then return end -- connection.recovered, or the answer to watch(), follows
  self.world:leave_all()
  if event.will_retry then
    self.state, self.problem = "waiting", tostring(event.reason)
    self.retry_at = event.retry_in and self.clock() + event.retry_in
  elseif self.state ~= "connecting" then -- else the call that connects says it
    self:wait { message = tostring(event.reason) }
  end
end

-- What comes in -----------------------------------------------------------------------------------

function Network:dropped(event)
  local user = event.envelope.user
  local player = self.world.players[user.id]
  local who = player and player.name or user.id
  self.drops:add(who, event.envelope.type, event.reason, event.text, self.clock())
  self.world:dropped(user.id, event.reason)
end

function Network:listen()
  local client, channel, world = self.client, self.channel, self.world
  client:subscribe_for("connection.changed", function(event) self:changed(event) end)
  client:subscribe_for("connection.recovered", function()
    if self.was_online then self:arrived() end
  end)
  client:subscribe_for("event.dropped", function(event) self:dropped(event) end)
  client:subscribe_for("grant_coins", function(event)
    world.coins = world.coins + event.coins
    self:say(("The backend gave you %d coins."):format(event.coins))
  end)
  channel:subscribe_for("move", function(event) world:move(event.user, event.x, event.y) end)
  channel:subscribe_for("wave", function(event) world:wave(event.user) end)
  channel:subscribe_for("trade_offer", function(event) world:offer(event.user, event.raw_data) end)
  channel:subscribe_for("trade_accept", function(event) world:accept(event.user, event.raw_data.id) end)
  channel:subscribe_for("spark", function(event) world:spark(event.x, event.y, event.hue) end)
  -- Whoever comes has seen none of our moves.
  channel:subscribe_for("user.watching.start", function() self:send_move(true) end)
  channel:subscribe_for("user.watching.stop", function(event) world:leave(event.user.id) end)
end

-- What goes out -----------------------------------------------------------------------------------

--- Has the player told something, for a moment.
---@param text string
function Network:say(text)
  self.note, self.note_until = text, self.clock() + NOTE
end

-- The client's own rules judge what we send before the network does.
local function told(self, what)
  return function(_, err)
    if not err then return end
    self:say(("%s: %s"):format(what, err.kind == "rule" and "refused by your own rules, " .. err.reason
      or err.message))
  end
end

-- Where we are now. Of several that wait only the newest goes out.
function Network:send_move(anyway)
  local me, now = self.world.me, self.clock()
  local x, y = math.floor(me.to_x + 0.5), math.floor(me.to_y + 0.5)
  if self.state ~= "online" then return end
  if not anyway and (x == self.sent_x and y == self.sent_y or now - self.sent_at < MOVE_EVERY) then return end
  self.sent_at, self.sent_x, self.sent_y = now, x, y
  self.channel:send_event("move", { x = x, y = y }, { coalesce = "move" }, function(_, err)
    -- Not sent, but for a newer one: what is sent next says it all again.
    if err and not err.superseded then self.sent_x = nil end
  end)
end

local function send(self, what, event_type, data)
  if self.state ~= "online" then return self:say "Not connected." end
  self.channel:send_event(event_type, data, told(self, what))
end

--- Waves.
function Network:wave()
  send(self, "Your wave", "wave", {})
end

--- Offers something to the player next to us.
function Network:offer()
  local other = self.world:nearest()
  if not other then return self:say "Nobody is here to trade with." end
  local items = require "field".items
  local give = items[self.offers % #items + 1]
  local want = items[(self.offers + 1) % #items + 1]
  if self.world.pouch[give] == 0 then return self:say("You have no " .. give .. " left.") end
  self.offers = self.offers + 1
  send(self, "Your offer", "trade_offer", {
    id = ("%s-%d"):format(self.settings.id:sub(1, 24), self.offers), to = other.id, give = give, want = want,
  })
end

--- Takes the offer that somebody made us.
function Network:accept()
  local offer = self.world:offer_to_me()
  if not offer then return self:say "Nobody offers you anything." end
  if self.world.pouch[offer.want] == 0 then return self:say("You have no " .. offer.want .. " left.") end
  send(self, "Your answer", "trade_accept", { id = offer.id })
end

--- Asks for fireworks: a burst of 10 000 events.
function Network:encore()
  send(self, "Your call", "encore", {})
end

-- Time --------------------------------------------------------------------------------------------

--- One turn of the plugin, within the budget.
function Network:update()
  local began = self.clock()
  if self.retry and began >= self.retry_at then self:retry() end
  self:send_move(false)
  local ran = self.client:poll(self.turn)
  local now = self.clock()
  self.meter:add_turn((now - began) * 1000, ran)
  if self.note and now >= self.note_until then self.note = nil end
end

--- Seconds until the next attempt to connect; nil: none is due.
---@return integer?
function Network:retry_in()
  return self.retry_at and math.max(0, math.ceil(self.retry_at - self.clock()))
end

function Network:close()
  self.client:close()
end

return M
