-- What the lobby accepts. Whatever is not named here is dropped, and the game shows it.
-- Try it:  stream-events rules check lua/examples/love-lobby/rules.lua
local field = include "field.lua"

default "drop"

local x = number { min = 0, max = field.width }
local y = number { min = 0, max = field.height }
local who = string { min = 1, max = 255 }
local item = one_of(field.items)
local trade_id = string { min = 1, max = 36 }

-- Where everybody was last, as far as it was accepted. What a player sends itself is kept apart: it is judged
-- on its way out, and again when it comes back.
local MOST_PLAYERS, FORGOTTEN = 256, 60 -- seconds
local places, count = {}, 0

local function make_room(now)
  for key, place in pairs(places) do
    if now - place.at > FORGOTTEN then
      places[key] = nil
      count = count - 1
    end
  end
  return count < MOST_PLAYERS
end

-- When the service took the event, in seconds of its day; 0 for what goes out. Nobody else can set it, and it
-- stays true when a busy game reads late what came in time.
local function sent(event)
  local text = event.created_at or ""
  local hours, minutes = tonumber(string.sub(text, 12, 13)), tonumber(string.sub(text, 15, 16))
  local seconds = tonumber(string.sub(text, 18, -2))
  return hours and minutes and seconds and hours * 3600 + minutes * 60 + seconds or 0
end

-- A player may be as far from the last place as one can run in the time since then, and a little further.
local function as_fast_as_one_can_run(event, context)
  local key, now, at = context.direction .. event.user.id, context.now, sent(event)
  local place = places[key]
  if not place then
    if count >= MOST_PLAYERS and not make_room(now) then return drop "the lobby is full" end
    count = count + 1
    places[key] = { x = event.x, y = event.y, at = now, sent = at, ahead = field.slack }
    return allow
  end
  local dx, dy = event.x - place.x, event.y - place.y
  local distance = math.sqrt(dx * dx + dy * dy)
  local reach = place.ahead + math.max(0, now - place.at, at - place.sent) * field.speed
  if distance > reach then return drop "further than anyone can run" end
  place.x, place.y, place.at, place.sent = event.x, event.y, now, at
  place.ahead = math.min(reach - distance, field.slack)
  return allow
end

event "move" {
  fields = { x = x, y = y },
  rate = { count = 30, seconds = 1 },
  check = as_fast_as_one_can_run,
  examples = {
    allow = { { user = "ann", x = 10, y = 20.5 } },
    drop = {
      { user = "ann", x = -1, y = 20, reason = "field-range" },
      { user = "ann", x = "10", y = 20, reason = "field-type" },
      { user = "ann", x = 10, reason = "field-missing" },
      { user = "ann", x = 10, y = 20, speed = 9000, reason = "extra-field" },
    },
  },
}

event "wave" {
  fields = { to = optional(who) },
  rate = { count = 3, seconds = 5 },
  examples = {
    allow = { {}, { to = "ben" } },
    drop = { { to = 7, reason = "field-type" } },
  },
}

event "trade_offer" {
  fields = { id = trade_id, to = who, give = item, want = item },
  rate = { count = 4, seconds = 8 },
  check = function(event)
    if event.to == event.user.id then return drop "a trade takes two" end
    return allow
  end,
  examples = {
    allow = { { user = "ann", id = "t-1", to = "ben", give = "ruby", want = "emerald" } },
    drop = {
      { user = "ann", id = "t-1", to = "ben", give = "crown", want = "ruby", reason = "field-value" },
      { user = "ann", id = "t-1", to = "ann", give = "ruby", want = "emerald", reason = "check" },
    },
  },
}

event "trade_accept" {
  fields = { id = trade_id },
  rate = { count = 4, seconds = 8 },
  examples = {
    allow = { { id = "t-1" } },
    drop = { { id = "t-1", give = "ruby", reason = "extra-field" } },
  },
}

-- Coins come from the backend, which sends them to one user. In the channel nobody can say so.
event "grant_coins" {
  trust = "server",
  fields = { coins = integer { min = 1, max = 1000 } },
  examples = {
    allow = { { trust = "server", coins = 50 } },
    drop = { { user = "mallory", cid = "livestream:lobby", coins = 999, reason = "trust" } },
  },
}

-- Fireworks: anybody may ask for them, one user lights them.
event "encore" {
  fields = {},
  rate = { { count = 1, seconds = 3 }, { count = 1, seconds = 3, per = "all" } },
}

event "spark" {
  from = { user = field.firework },
  fields = { x = x, y = y, hue = integer { min = 0, max = 359 } },
  examples = {
    allow = { { user = field.firework, x = 10, y = 20, hue = 200 } },
    drop = { { user = "mallory", x = 10, y = 20, hue = 200, reason = "from" } },
  },
}

-- No version of the game ever sends this. Who does is not heard for a while.
honeypot "god_mode" { seconds = 8 }
