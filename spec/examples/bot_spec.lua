--- The bot for a supervisor: what it does and says, how it ends, and the unit that starts it.
local command = require "support.command"
local folder = require "support.folder"
local free_port = require "support.free_port"
local luv = require "luv"
local native = require "stream_events.native"
local people = require "support.people"
local process = require "support.process"
local prometheus = require "support.prometheus"
local tokens = require "stream_events.token"

local EXAMPLE = command.ROOT .. "lua/examples/bot/"

-- What it has said: every line an object.
local function lines(bot)
  local list = {}
  for line in bot.stdout:gmatch "([^\n]*)\n" do list[#list + 1] = assert(native.json.decode(line)) end
  return list
end

local function said(bot, message)
  bot:wait_for("stdout", '"message":"' .. message .. '"[^\n]*}\n')
  for _, line in ipairs(lines(bot)) do
    if line.message == message then return line end
  end
end

describe("the bot", function()
  local place, base_url, ann

  setup(function()
    command.need_build()
    local _
    _, base_url = command.serve()
    ann = people.user(base_url, "ann", "livestream", "lobby")
  end)
  teardown(function()
    people.close_all()
    process.end_all()
  end)
  before_each(function()
    place = folder.new()
    place:write("token", tokens.user(people.SECRET, "greeter") .. "\n")
  end)
  after_each(function() place:remove() end)

  local function start(env)
    local all = {
      STREAM_BASE_URL = base_url, STREAM_API_KEY = "devkey", STREAM_API_SECRET = false, BOT_USER = "greeter",
      BOT_TOKEN_FILE = place:at "token", BOT_CHANNELS = "livestream:lobby", BOT_METRICS = place:at "metrics",
      BOT_RULES = false, BOT_LOG_LEVEL = false, CREDENTIALS_DIRECTORY = false,
    }
    for name, value in pairs(env or {}) do all[name] = value end
    return process.start("lua5.4", { EXAMPLE .. "bot.lua" }, all)
  end

  local function ready(env)
    local bot = start(env)
    said(bot, "ready")
    return bot
  end

  -- Ends as it should, and has said why.
  local function ends(bot, code, message)
    assert.equal(code, bot:finish(), bot.stdout .. bot.stderr)
    assert.equal("", bot.stderr)
    local line = said(bot, message)
    assert.equal(code == 0 and "info" or "error", line.level)
    assert.truthy(line.time:find "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", line.time)
    return line
  end

  local function numbers()
    return prometheus.parse(assert(place:read "metrics"))
  end

  local function ask(data)
    assert(ann.channel:send_event("friendship_request", data))
  end

  it("answers, drops what its rules do not accept, and writes its numbers down", function()
    local bot = ready()
    assert.equal(1, numbers():value "stream_events_bot_online")
    ann.heard = {}
    ask { text = "Hey", link = "http://evil.example" }
    local drop = said(bot, "an event was dropped")
    assert.same({ "friendship_request", "ann", "extra-field" }, { drop.event, drop.user, drop.reason })
    ask { text = "Hey" }
    process.wait(function() return ann.heard.friendship_answer end, "it has answered")
    local answer = ann.heard.friendship_answer[1]
    assert.same({ "greeter", "Hello, ann!" }, { answer.user.id, answer.text })
    assert.equal("ann", said(bot, "a friendship request").user)
    bot:kill "sigterm"
    ends(bot, 0, "stopped")
    local now = numbers()
    assert.equal(0, now:value "stream_events_bot_online")
    assert.is_true(now:value "stream_events_bot_delivered_total" >= 1)
    assert.equal(0, now:value "stream_events_bot_send_failures_total")
    assert.equal(1, now:value("stream_events_bot_dropped_total", { reason = "extra-field" }))
  end)

  it("reads its rules again on SIGHUP, and keeps the old ones when the new are wrong", function()
    local file = assert(io.open(EXAMPLE .. "rules.lua"))
    local text = file:read "a"
    file:close()
    place:write("rules.lua", text)
    local bot = ready { BOT_RULES = place:at "rules.lua" }
    place:write("rules.lua", "default 'drop' event 'friendship_request' { fields = { }")
    bot:kill "sighup"
    assert.equal("error", said(bot, "the old rules stay in force").level)
    ann.heard = {}
    ask { text = "first" }
    process.wait(function() return ann.heard.friendship_answer end, "it has answered")
    place:write("rules.lua", "default 'drop' refuse 'friendship_request'")
    bot:kill "sighup"
    said(bot, "the rules were read again")
    ask { text = "second" }
    bot:kill "sigint"
    ends(bot, 0, "stopped")
    assert.equal(1, select(2, bot.stdout:gsub('"a friendship request"', "")))
  end)

  it("goes on when nobody reads its log", function()
    local bot = ready()
    bot:stop_reading()
    ann.heard = {}
    ask { text = "Still there?" }
    process.wait(function() return ann.heard.friendship_answer end, "it has answered")
    bot:kill "sigterm"
    assert.equal(0, bot:finish())
  end)

  it("says that its numbers cannot be written, and leaves the old ones", function()
    place:write("metrics", "the old ones")
    assert(luv.fs_symlink("/dev/full", place:at "metrics.new")) -- a disk on which nothing has room
    local bot = ready()
    local line = said(bot, "the metrics cannot be written")
    assert.same({ "warning", "No space left on device" }, { line.level, line.error })
    assert.equal("the old ones", place:read "metrics")
    bot:kill "sigterm"
    ends(bot, 0, "stopped")
  end)

  it("ends with 75 when the service is away: another try may help", function()
    local last = ends(start { STREAM_BASE_URL = "http://127.0.0.1:1" }, 75, "no connection")
    assert.equal("network", last.kind)
  end)

  it("ends with 77 when it is refused: no other try helps", function()
    place:write("token", tokens.user("another secret", "greeter"))
    local bot = start()
    local last = ends(bot, 77, "no connection")
    assert.same({ "auth", 43 }, { last.kind, last.code })
    assert.is_nil(bot.stdout:find("eyJ", 1, true))
    place:write("token", tokens.user(people.SECRET, "greeter"))
    assert(ann.client:channel("messaging", "staff", { members = { "ann" } }):watch())
    bot = start { BOT_CHANNELS = "livestream:lobby, messaging:staff" }
    last = ends(bot, 77, "a channel cannot be watched")
    assert.same({ 17, "messaging:staff" }, { last.code, last.cid })
  end)

  it("comes back by itself, and ends when it is refused then", function()
    local port = tostring(free_port.tcp())
    local function serve(secret)
      local server = command.start { "serve", "--port", port, "--data", ":memory:", "--api-secret", secret }
      server:wait_for("stdout", "listening on ")
      return server
    end
    local function stop(server)
      server:kill "sigterm"
      assert.equal(0, server:finish())
    end
    local server = serve(people.SECRET)
    local bot = ready { STREAM_BASE_URL = "http://127.0.0.1:" .. port }
    stop(server)
    said(bot, "offline")
    server = serve(people.SECRET)
    bot:wait_for("stdout", '"offline".*"online"')
    stop(server)
    server = serve "another secret"
    assert.equal("auth", ends(bot, 77, "the connection is lost for good").kind)
    stop(server)
  end)

  for what, case in pairs {
    ["no token"] = { { BOT_TOKEN_FILE = false }, "BOT_TOKEN_FILE is not set" },
    ["a token file that is not there"] = { { BOT_TOKEN_FILE = "/nonexistent/token" }, "No such file" },
    ["no channel"] = { { BOT_CHANNELS = " , " }, "BOT_CHANNELS names no channel" },
    ["what is no channel"] = { { BOT_CHANNELS = "lobby" }, 'BOT_CHANNELS: "lobby" is not TYPE:ID' },
    ["no user"] = { { BOT_USER = "" }, "BOT_USER is not set" },
    ["no key"] = { { STREAM_API_KEY = false }, "STREAM_API_KEY is not set" },
    ["what is no address"] = { { STREAM_BASE_URL = "chat.example.com" }, "STREAM_BASE_URL is no address" },
    ["what is no level"] = { { BOT_LOG_LEVEL = "loud" }, "BOT_LOG_LEVEL must be" },
  } do
    it("ends with 78 when it is given " .. what, function()
      local last = ends(start(case[1]), 78, "the settings are not usable")
      assert.truthy(last.problem:find(case[2], 1, true), last.problem)
    end)
  end

  it("ends with 78 when its rules are not usable", function()
    place:write("rules.lua", "evnt 'x' {}")
    local last = ends(start { BOT_RULES = place:at "rules.lua" }, 78, "the rules are not usable")
    assert.truthy(last.error:find("evnt", 1, true), last.error)
  end)

  it("takes the token from systemd's credentials", function()
    local bot = ready { BOT_TOKEN_FILE = false, CREDENTIALS_DIRECTORY = place.path, BOT_METRICS = false }
    bot:kill "sigterm"
    ends(bot, 0, "stopped")
    assert.is_nil(place:read "metrics")
  end)

  it("has a unit that systemd takes, and that leaves it little to do harm with", function()
    local unit = assert(luv.fs_realpath(EXAMPLE .. "stream-events-bot.service"))
    local clean = { LD_PRELOAD = false }
    local run = process.run("systemd-analyze", { "verify", unit }, clean)
    assert.equal("", run.stderr)
    assert.equal(0, run.code)
    run = process.run("systemd-analyze", { "security", "--offline=true", "--threshold=20", unit }, clean)
    assert.equal(0, run.code, run.stdout)
    local file = assert(io.open(unit))
    assert.truthy(file:read("a"):find("\nRestartPreventExitStatus=77 78\n", 1, true))
    file:close()
  end)
end)
