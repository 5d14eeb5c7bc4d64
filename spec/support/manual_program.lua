--- Runs a program of the manual as a reader would who pastes it into a program of their own: what it does not
-- make itself (a connected `client`, a watched `channel`, ...) is there as soon as it is named.
--
--     lua5.4 spec/support/manual_program.lua FILE BASE_URL
local path, base_url = arg[1], arg[2]
local stream_events = require "stream_events"

local SECRET = "lan-dev-secret"
local PATIENCE = 20 -- seconds: a guard, what is to be printed is waited for
local given, clients, printed = {}, {}, ""

-- Programs that run for ever do so for some turns.
local new = stream_events.new
function stream_events.new(options)
  local client, err = new(options)
  if not client then return nil, err end
  clients[#clients + 1] = client
  function client:run()
    for _ = 1, 10 do self:poll(0.01) end
    return true
  end
  return client
end

-- Frames are drawn at once.
local has_luv, luv = pcall(require, "luv")
if has_luv then luv.sleep = function() end end -- luacheck: ignore 122

local makers = {}

function makers.stream_events() return stream_events end

function makers.client()
  local client = assert(stream_events.new {
    api_key = "devkey", secret = SECRET, base_url = base_url, logger = function() end,
  })
  assert(client:connect_user { id = "john" })
  return client
end

function makers.channel()
  local channel = given.client:channel("messaging", "general", { members = { "john" } })
  assert(channel:watch())
  return channel
end

-- Where a backend of the reader's is asked for a token.
function makers.ask_my_backend()
  return function(where)
    return require("stream_events.token").user(SECRET, where:match "user=(%w+)", { exp = os.time() + 3600 })
  end
end

-- A webhook that has come in.
function makers.body() return '{"type":"trade_offer"}' end
function makers.headers()
  return { ["x-signature"] = require("stream_events.webhook").sign(given.body, SECRET) }
end

-- LÖVE, as far as its frames go; the real one has specs of its own.
function makers.love()
  return { graphics = setmetatable({}, { __index = function() return function() end end }) }
end

function makers.print()
  return function(...)
    for i = 1, select("#", ...) do printed = printed .. tostring((select(i, ...))) .. " " end
    print(...)
  end
end

setmetatable(given, { __index = function(_, name)
  local make = makers[name]
  local value = make and make()
  rawset(given, name, value)
  return value
end })

local env = setmetatable({}, { __index = function(_, name)
  local value = given[name]
  if value == nil then value = _G[name] end
  return value
end })

assert(loadfile(path, "t", env))()

local love = rawget(given, "love")
if love then
  for _, call in ipairs { "load", "update", "mousemoved", "draw", "quit" } do
    if love[call] then love[call](1, 2) end
  end
end
local function each_open(act)
  for _, client in ipairs(clients) do
    if not tostring(client):find("closed", 1, true) then act(client) end
  end
end

-- Whether all has been printed that the program says behind `-->`: handlers may do so after its last line.
local file = assert(io.open(path))
local text = file:read "a"
file:close()
local function has_printed()
  local so_far = printed:gsub("%s+", " ")
  for expected in text:gmatch "%-%->%s*([^\n]+)" do
    if not so_far:find(expected, 1, true) then return false end
  end
  return true
end

for _ = 1, 3 do each_open(function(client) client:poll(0.005) end) end
local ends = os.time() + PATIENCE
while not has_printed() and os.time() < ends do each_open(function(client) client:poll(0.05) end) end
each_open(function(client) client:close() end)
if has_luv then luv.run() end
