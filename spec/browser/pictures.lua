--- Pictures of the dashboard with a busy server behind it, to be looked at: wide and narrow, light and dark.
--
--   lua5.4 spec/browser/pictures.lua build/pictures
--
-- It takes about a minute, so that the plot has something to show.
package.path = "spec/?.lua;" .. package.path
local command = require "support.command"
local fixtures = require "support.server"
local luv = require "luv"
local process = require "support.process"
local webdriver = require "support.webdriver"

local SECONDS = tonumber(arg[2] or 55)
local RULES = [[
default "drop"
event "friendship_request" { fields = { text = string { max = 280 } } }
event "trade_offer" {
  fields = { item = string { max = 40 }, price = integer { min = 0, max = 10000 } },
  rate = { count = 12, seconds = 10 },
}
event "move" { fields = { x = integer, y = integer } }
event "reaction" { fields = { kind = one_of { "cheer", "wow", "heart" } } }
event "round_start" { fields = { round = integer } }
event "reward" { trust = "server", fields = { coins = integer } }
honeypot "grant_admin"
]]

local USERS = { "thierry", "tommaso", "jane", "maya", "oliver", "sofia", "kenji", "amara", "lucas", "ines" }
local CHANNELS = {
  "messaging:general", "messaging:design-review", "gaming:arena-7", "gaming:lobby", "livestream:launch-day",
  "team:operations", "commerce:auction-12", "messaging:book-club",
}

local function pick(list) return list[math.random(#list)] end

local MADE = {
  { 8, function() return "move", { x = math.random(0, 63), y = math.random(0, 63) } end },
  { 4, function() return "reaction", { kind = pick { "cheer", "wow", "heart" } } end },
  { 3, function() return "trade_offer", { item = pick { "sword", "lantern", "map of the north" },
    price = math.random(1, 900) } end },
  { 2, function() return "friendship_request", { text = "Hey there, long time no see!" } end },
  { 1, function() return "trade_offer", { item = "sword", price = -5 } end },
  { 1, function() return "confetti", { colour = "red" } end },
  { 1, function() return "message.new", { text = "I am no message" } end },
}
local bag = {}
for _, entry in ipairs(MADE) do
  for _ = 1, entry[1] do bag[#bag + 1] = entry[2] end
end

local folder = arg[1] or "build/pictures"
assert(os.execute("mkdir -p '" .. folder .. "'"))
math.randomseed(7)

local undo = {} -- what is to be done at the end, the last first

local function main()
  local rules = os.tmpname()
  undo[#undo + 1] = function() os.remove(rules) end
  local file = assert(io.open(rules, "w"))
  file:write(RULES)
  file:close()
  local server = command.start { "serve", "--port", "0", "--data", ":memory:", "--rules", rules }
  local address = server:wait_for("stderr", "Dashboard: (%S+)\n")
  local backend = fixtures.attach {
    host = "127.0.0.1", port = math.tointeger(tonumber(address:match ":(%d+)/")), api_key = "devkey",
    api_secret = "lan-dev-secret",
  }
  undo[#undo + 1] = function() backend:stop() end
  backend:users("mallory", table.unpack(USERS))
  local members = { "mallory", table.unpack(USERS) }
  for _, cid in ipairs(CHANNELS) do backend:channel(cid, members) end
  local sockets = {}
  for i, user in ipairs(USERS) do
    local socket = backend:connect(user)
    sockets[i] = socket
    for j = 1, math.max(1, 5 - i // 2) do backend:watch(socket, CHANNELS[(i * j) % #CHANNELS + 1]) end
    backend:watch(socket, "messaging:general")
  end

  local browser = webdriver.start { width = 1440, height = 900 }
  undo[#undo + 1] = function() browser:stop() end
  browser:open(address)
  browser:wait_text("#link-text", "Live")

  local function send(user, event_type, data)
    if not event_type then event_type, data = pick(bag)() end
    data.type = event_type
    local path = "/channels/" .. pick(CHANNELS):gsub(":", "/") .. "/event"
    backend:call(user or pick(USERS), "POST", path, { event = data })
  end

  -- Waves of events, a few hundred milliseconds at a time.
  local started = luv.hrtime()
  local function elapsed() return (luv.hrtime() - started) / 1e9 end
  while elapsed() < SECONDS do
    local wave = 4 + 3 * math.sin(elapsed() / 5) + (math.random() < 0.15 and 4 or 0)
    for _ = 1, math.floor(wave + math.random()) do send() end
    if math.random() < 0.05 then send("mallory", "grant_admin", { to = "mallory" }) end
    for _, socket in ipairs(sockets) do
      if math.random() < 0.1 then socket:send "" end
    end
    local rung = false
    local timer = luv.new_timer()
    timer:start(250, 0, function() rung = true end)
    while not rung do luv.run "once" end
    timer:close()
  end
  backend:call("server", "POST", "/users/maya/event", { event = { type = "reward", coins = 50 } })
  for _ = 1, 3 do send() end
  browser:fill("#send-to", "gaming:arena-7")
  browser:fill("#send-type", "round_start")
  browser:fill("#send-user", "maya")
  browser:fill("#send-data", '{"round": 3}')
  browser:click "#send-button"
  browser:wait_text("#send-result", "Accepted")
  browser:click '.switch[aria-label="Custom events of commerce"]'
  browser:wait("the switch is flipped", [[
    const toggle = document.querySelector('.switch[aria-label="Custom events of commerce"]');
    return toggle.getAttribute("aria-checked") === "false" && !toggle.hasAttribute("aria-busy")]])
  browser:run [[
    document.activeElement.blur();
    scrollTo(0, 0);
    const summary = [...document.querySelectorAll("#log .refused summary")][0];
    if (summary) summary.click();]]

  -- With the fonts that many systems have, instead of the few of a bare one.
  browser:run [[
    const { style } = document.documentElement, now = getComputedStyle(document.documentElement);
    style.setProperty("--sans", "Inter, " + now.getPropertyValue("--sans"));
    style.setProperty("--mono", "'JetBrains Mono', " + now.getPropertyValue("--mono"));]]

  local function pictures(name, width, height, scale)
    browser:resize(width, height, scale)
    for _, colours in ipairs { "light", "dark" } do
      browser:dark(colours == "dark")
      browser:wait("the colours have settled", "return document.getAnimations().length === 0")
      browser:picture(("%s/%s-%s.png"):format(folder, name, colours))
      browser:picture(("%s/%s-%s-whole.png"):format(folder, name, colours), true)
    end
  end
  pictures("wide", 1440, 1000, 1)
  browser:run [[document.querySelectorAll("#types details")[3].open = true]]
  pictures("narrow", 380, 800, 2)
end

local ok, err = xpcall(main, debug.traceback)
for i = #undo, 1, -1 do pcall(undo[i]) end
process.end_all()
if not ok then
  io.stderr:write(err, "\n")
  os.exit(1)
end
