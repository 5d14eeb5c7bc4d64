--- How the lobby starts: out of an archive, without a server, without the plugin, and with company.
local casts = require "support.lobby_cast"
local command = require "support.command"
local folder = require "support.folder"
local free_port = require "support.free_port"
local love = require "support.love"
local manual = require "support.manual"
local luv = require "luv"
local process = require "support.process"

local ARCHIVE = "build/lobby.love"
local ONLINE_NOW = "(game:key 'r' or true) and game.network.state == 'online'" -- a player who does not wait
local NOWHERE = { LUA_PATH = "/nonexistent/?.lua", LUA_CPATH = "/nonexistent/?.so" }

local function serve(port, secret)
  local server = command.start {
    "serve", "--port", tostring(port), "--data", ":memory:", "--api-secret", secret or "lan-dev-secret",
  }
  server:wait_for("stdout", "listening on (%S+)\n")
  return server
end

local function stop(child)
  child:kill "sigterm"
  assert.equal(0, child:finish())
end

local function with_name(cast, name)
  for _, move in ipairs(cast.heard.move or {}) do
    if move.from:find("^" .. name .. "%-%x+$") then return move end
  end
  return nil
end

describe("the lobby", function()
  setup(function() command.need_build() end)
  teardown(process.end_all)

  describe("in an archive", function()
    local base_url, ann

    setup(function()
      local _
      _, base_url = command.serve()
      ann = casts.new(base_url, "ann")
    end)
    teardown(function() ann:close() end)

    -- Plays until the others have heard of it.
    local function play(name, env)
      local all = {}
      for _, each in ipairs { NOWHERE, env or {} } do
        for key, value in pairs(each) do all[key] = value end
      end
      local game = love.start({ ARCHIVE, "--name", name, "--url", base_url }, all)
      process.wait(function() return with_name(ann, name:lower()) or game.process.code end, "it has come")
      assert.is_nil(game.process.code, game.process.stderr)
      game.process:kill "sigterm"
      game.process:finish()
      return game
    end

    it("brings the plugin and its native part along", function()
      play("Archie"):clean()
    end)

    it("replaces a native part that another version left behind", function()
      local saves = folder.new()
      local place = saves:at "love"
      for _, name in ipairs { "", "/stream-events-lobby", "/stream-events-lobby/stream_events" } do
        luv.fs_mkdir(place .. name, 448)
      end
      local path = place .. "/stream-events-lobby/stream_events/core.so"
      local file = assert(io.open(path, "wb"))
      file:write "an older one"
      file:close()
      play("Oldie", { XDG_DATA_HOME = saves.path }):clean()
      file = assert(io.open(path, "rb"))
      assert.equal("\127ELF", file:read(4))
      file:close()
      love.remove(saves.path)
    end)
  end)

  it("says what is missing when there is no plugin", function()
    local game = love.probe("http://127.0.0.1:1", "Robin", { LUA_CPATH = NOWHERE.LUA_CPATH })
    assert.truthy((game:ask "return game.problem"):find("module 'stream_events.core' not found", 1, true))
    game:ask "love.graphics.captureScreenshot(function() reply(true) end)" -- a frame was drawn
    assert.equal(0, game:quit())
    assert.equal("", game.process.stderr)
    game:clean()
  end)

  it("waits for a server, joins it by itself, and comes back when it comes back", function()
    local port = free_port.tcp()
    local game = love.probe("http://127.0.0.1:" .. port, "Robin")
    game:wait("game.network.problem ~= nil and game.network:retry_in() ~= nil", "it has tried")
    assert.equal("false", (game:ask "return game.network.was_online"))
    local server = serve(port)
    game:wait("game.network.state == 'online'", "it is online without a key being pressed")

    local ann = casts.new("http://127.0.0.1:" .. port, "ann")
    ann:send("move", { x = 10, y = 10 })
    game:wait("game.world.players.ann ~= nil", "ann is there")
    ann:close()
    stop(server)
    game:wait("game.network.state == 'waiting'", "the connection is lost")
    assert.equal("1", (game:ask "return #game.world.order"))
    server = serve(port)
    game:wait(ONLINE_NOW, "it is online again")

    stop(server)
    server = serve(port, "one that refuses the player")
    game:wait("(game:key 'r' or true) and game.network.is_refused", "it is refused for good")
    stop(server)
    server = serve(port)
    game:wait(ONLINE_NOW, "it has tried all the same")
    assert.equal(0, game:quit())
    assert.equal("", game.process.stderr)
    game:clean()
    stop(server)
  end)

  it("says so when the server refuses the player", function()
    local _, base_url = command.serve()
    local game = love.probe(base_url, "Robin", { STREAM_API_SECRET = "another secret" })
    game:wait("game.network.state == 'waiting'", "it was refused")
    assert.equal("true", (game:ask "return game.network.is_refused"))
    assert.equal(0, game:quit())
    game:clean()
  end)

  it("is as simple as the manual shows it", function()
    local _, base_url = command.serve()
    local program = manual.lua_blocks("engines.md", "In a frame")[1]
    local text, count = program:gsub("http://127%.0%.0%.1:3030", base_url)
    assert.equal(1, count)
    -- What the mouse does, and what is drawn, is told to the spec.
    local place = folder.new()
    place:write("main.lua", text .. [[
      local draw, moved = love.draw, love.mousemoved
      function love.graphics.rectangle(_, x, y) print("drawn at " .. x .. " " .. y) end
      function love.draw()
        if client:online() then moved(40, 50) end
        draw()
        if problem then error(problem) end
      end
      io.stdout:setvbuf "line"]])
    local ann = casts.new(base_url, "ann")
    local game = love.start { place.path }
    process.wait(function() return ann:last("move", "robin") end, "robin has moved")
    local last = ann:last("move", "robin")
    assert.same({ 40, 50 }, { last.x, last.y })
    game.process:wait_for("stdout", "drawn at 40 50\n")
    ann:close()
    game.process:kill "sigterm"
    game.process:finish()
    assert.equal("", game.process.stderr)
    game:clean()
    place:remove()
  end)

  it("fits any window", function()
    local game = love.probe("http://127.0.0.1:1", "Robin")
    assert.equal("700 350", (game:ask [[
      love.window.setMode(700, 500, { resizable = true })
      game:resize()
      local x = game.theme:from_screen(350, 0)
      love.graphics.captureScreenshot(function(image)
        reply(image:getWidth() .. " " .. game.theme.scale * x)
      end)]]))
    assert.equal(0, game:quit())
    assert.equal("", game.process.stderr)
    game:clean()
  end)

  it("refuses arguments that it does not know", function()
    local game = love.start { love.LOBBY, "--nmae", "Ann" }
    assert.equal(2, game.process:finish())
    assert.truthy(game.process.stderr:find("'--nmae' is not understood\nusage: ", 1, true))
    game:clean()
  end)

  it("has company: players who run and a cheater, with a server of their own", function()
    local url = "http://127.0.0.1:" .. free_port.tcp()
    local players = process.start("lua5.4", { love.LOBBY .. "/players.lua", "--serve", "--url", url }, {
      STREAM_API_KEY = false, STREAM_API_SECRET = false,
    })
    assert.equal(url, players:wait_for("stdout", "listening on (%S+)\n"))
    local game = love.probe(url, "Robin")
    game:wait("#game.world.order == 8", "all of them are here")
    game:wait("game.world.coins == 50", "the welcome has come")
    game:wait("game.drops.total > 0", "the cheater has tried something")
    game:wait("game.world.players.mallory.dropped == game.drops.total", "it is the cheater's alone")
    game:ask [[
      sparks = 0
      function game.world:spark() sparks = sparks + 1 end
      game:key "b"
      return true]]
    game:wait("sparks == 10000", "the fireworks have burnt")
    assert.equal("true", (game:ask "return game.meter.most <= 200"))
    assert.equal(0, game:quit())
    game:clean()
    stop(players)
    assert.equal("", players.stderr)
  end)

  it("has company that waits for a server, too", function()
    local port = free_port.tcp()
    local url = "http://127.0.0.1:" .. port
    local players = process.start("lua5.4", { love.LOBBY .. "/players.lua", "--url", url })
    players:wait_for("stderr", "Ada is not in: [^\n]+\n")
    local server = serve(port)
    local ann = casts.new(url, "ann")
    process.wait(function() return ann:last("move", "bot-ada") end, "Ada runs")
    ann:close()
    stop(players)
    stop(server)
  end)
end)
