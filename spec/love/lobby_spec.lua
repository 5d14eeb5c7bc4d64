--- The lobby as it is played: LÖVE runs, others send events, and state and pixels are looked at.
local casts = require "support.lobby_cast"
local command = require "support.command"
local love = require "support.love"
local luv = require "luv"
local process = require "support.process"

local LEFT, TOP = 20, 20 -- of the field on the page, which is as large as the window here
local BURST = 10000
local FLOOD = 40
local BUDGET = 200 -- events in a frame, as network.lua says
local AT_WORK = 1.5 -- milliseconds of a frame in which the plugin begins something
local DRAWINGS = 60 -- in a frame, with the panel painted anew; shapes and letters in turns would be 150

describe("the lobby", function()
  local base_url, game, ann, mallory

  local function id() return (game:ask "return game.settings.id") end

  setup(function()
    command.need_build()
    local _
    _, base_url = command.serve { "--max-output", tostring(16 << 20) }
    ann = casts.new(base_url, "ann")
    game = love.probe(base_url, "Robin")
    game:wait("game.network.state == 'online'", "it is online")
  end)
  teardown(function()
    for _, cast in ipairs { ann, mallory } do cast:close() end
    process.end_all()
    game:clean()
  end)

  -- What a player's colour is, as the pixels have it.
  local function colour_of(who)
    local r, g, b = game:ask(([[
      local of = require("lobby.theme").players[game.world.players[%q].hue]
      return math.floor(of[1] * 255 + 0.5), math.floor(of[2] * 255 + 0.5), math.floor(of[3] * 255 + 0.5)
    ]]):format(who))
    return { tonumber(r), tonumber(g), tonumber(b) }
  end

  local function is_at(who, x, y)
    local player = ("game.world.players[%q]"):format(who)
    game:wait(("%s ~= nil and %s.x == %d and %s.y == %d"):format(player, player, x, player, y),
      who .. " is there")
  end

  -- Two places in the lower half of a player who stands there, where no eye is.
  local function body(x, y)
    return { LEFT + x - 8, TOP + y + 9 }, { LEFT + x + 8, TOP + y + 9 }
  end

  it("draws a player where an event puts it", function()
    ann:send("move", { x = 300, y = 200 })
    is_at("ann", 300, 200)
    local first, second = body(300, 200)
    local beside = { LEFT + 400, TOP + 209 }
    local of = colour_of "ann"
    assert.same({ of, of }, { table.unpack(game:pixels { first, second }, 1, 2) })
    local before = game:pixels { beside }[1]
    assert.not_same(of, before)

    ann:send("move", { x = 400, y = 200 }) -- a step that the rules let pass, however soon it comes
    is_at("ann", 400, 200)
    local third = body(400, 200)
    local now = game:pixels { first, third, { LEFT + 300, TOP + 215 } }
    assert.not_same(of, now[1])
    assert.same(of, now[2])
  end)

  it("moves a player smoothly from one place to the next", function()
    local bea = casts.new(base_url, "bea")
    bea:send("move", { x = 400, y = 300 })
    is_at("bea", 400, 300)
    game:ask [[
      seen = {}
      function game.world:update(dt)
        getmetatable(self).update(self, dt)
        seen[#seen + 1] = self.players.bea.x
      end
      return true]]
    bea:send("move", { x = 490, y = 300 }) -- a step that the rules let pass, however soon
    is_at("bea", 490, 300)
    local first, last, backwards = game:ask [[
      game.world.update = nil
      local backwards = 0
      for i = 2, #seen do
        if seen[i] < seen[i - 1] then backwards = backwards + 1 end
      end
      return seen[1], seen[#seen], backwards]]
    assert.same({ "400", "490", "0" }, { first, last, backwards })
    bea:close()
  end)

  it("shows who waves, and who has gone", function()
    ann:send("wave", {})
    game:wait("game.world.players.ann.wave > 0", "ann waves")
    local ben = casts.new(base_url, "ben")
    ben:send("move", { x = 100, y = 300 })
    is_at("ben", 100, 300)
    ben:close()
    game:wait("game.world.players.ben == nil", "ben is gone")
  end)

  it("tells the others where the player runs, in few events", function()
    local first = tonumber((game:ask "return game.world.me.x"))
    process.wait(function() return ann:last("move", id()) end, "the first place is known")
    local count = #ann.heard.move
    game:ask [[
      is_down = love.keyboard.isDown
      function love.keyboard.isDown(key) return key == "left" end
      return true]]
    game:wait(("game.world.me.x < %d - 120"):format(first), "it has run")
    game:ask "love.keyboard.isDown = is_down return true"
    local x, y = game:ask "return math.floor(game.world.me.x + 0.5), math.floor(game.world.me.y + 0.5)"
    process.wait(function()
      local last = ann:last("move", id())
      return last.x == tonumber(x) and last.y == tonumber(y)
    end, "the others know the last place")
    assert.is_true(#ann.heard.move - count <= 16) -- half a second of running, ten a second
  end)

  it("trades what is offered to the player, and takes no answer from somebody else", function()
    ann:send("trade_offer", { id = "t-1", to = id(), give = "sapphire", want = "ruby" })
    game:wait("game.world:offer_to_me() ~= nil", "there is an offer")
    game:ask "game:key 'y' return true"
    process.wait(function() return ann:last("trade_accept", id()) end, "ann has the answer")
    assert.equal("t-1", ann:last("trade_accept", id()).id)
    game:wait("game.world.pouch.sapphire == 4 and game.world.pouch.ruby == 2", "the gems are exchanged")

    game:ask "game:key 't' return true"
    process.wait(function() return ann:last("trade_offer", id()) end, "ann has an offer")
    local offer = ann:last("trade_offer", id())
    assert.equal("ann", offer.to)
    local carl = casts.new(base_url, "carl")
    carl:send("move", { x = 800, y = 600 })
    is_at("carl", 800, 600)
    carl:send("trade_accept", { id = offer.id })
    carl:send("wave", {})
    game:wait("game.world.players.carl.wave > 0", "carl's answer has come")
    assert.equal("4 2", (game:ask "return game.world.pouch.sapphire .. ' ' .. game.world.pouch.ruby"))
    ann:send("trade_accept", { id = offer.id })
    local left = offer.give == "ruby" and 1 or 2
    game:wait(("game.world.pouch[%q] == %d"):format(offer.give, left), "it counts")
    carl:close()
  end)

  it("gives coins that the backend sends, and none that a player sends", function()
    assert(ann.client:send_user_custom_event(id(), { type = "grant_coins", coins = 50 }))
    game:wait("game.world.coins == 50", "there are coins")
    ann:send("grant_coins", { coins = 500 })
    game:wait("game.drops.by_reason.trust ~= nil", "it is dropped")
    assert.equal("50", (game:ask "return game.world.coins"))
  end)

  it("keeps out what a cheater sends, and shows how often and why", function()
    mallory = casts.new(base_url, "mallory")
    mallory:send("move", { x = 150, y = 450 })
    is_at("mallory", 150, 450)
    local before = tonumber((game:ask "return game.drops.total"))
    mallory:send("move", { x = 850, y = 50 })
    mallory:send("move", { x = "everywhere", y = 1 })
    mallory:send("wave", { role = "admin" })
    mallory:send("grant_coins", { coins = 1000 })
    mallory:send("spark", { x = 1, y = 1, hue = 1 })
    mallory:send("kick_everybody")
    local flood = mallory:burst(FLOOD, "wave", function() return {} end)
    process.wait(function() return flood.answered == FLOOD end, "the flood has come")
    mallory:send("god_mode", { on = true })
    mallory:send("move", { x = 150, y = 452 })
    local expected = {
      check = 1, ["field-type"] = 1, ["extra-field"] = 1, trust = 1, from = 1, ["undeclared-type"] = 1,
      honeypot = 1, marked = 1,
    }
    game:wait("game.drops.by_reason.marked ~= nil", "all of it is dropped")
    -- Three are within the rate, and some more when this takes seconds.
    local rate = tonumber((game:ask "return game.drops.by_reason.rate.count"))
    assert.is_true(rate > FLOOD / 2 and rate <= FLOOD - 3, rate)
    expected.rate = rate
    assert.equal(before + rate + 8, tonumber((game:ask "return game.drops.total")))
    for reason, count in pairs(expected) do
      if reason == "trust" then count = count + 1 end -- ann's, above
      local shown = game:ask(("return game.drops.by_reason[%q].count"):format(reason))
      assert.equal(tostring(count), shown, reason)
    end
    -- The plugin's own numbers say the same.
    assert.equal("true", (game:ask [[
      local own, shown = {}, game.drops.by_reason
      for _, verdicts in pairs(game.network.client:stats().rules.types) do
        for reason, count in pairs(verdicts.drop or {}) do own[reason] = (own[reason] or 0) + count end
      end
      for reason, count in pairs(own) do
        if not shown[reason] or shown[reason].count ~= count then return false, reason, count end
      end
      return true]]))
    -- It is still where it was, and has been since.
    local x, y, dropped = game:ask "local m = game.world.players.mallory return m.x, m.y, m.dropped"
    assert.same({ "150", "450", tostring(rate + 8) }, { x, y, dropped })
    local newest = game:ask "return game.drops.lines[1].who .. ' ' .. game.drops.lines[1].reason"
    assert.equal("Mallory marked", newest)
  end)

  it("has the numbers on the screen", function()
    -- The bar of the most frequent reason is as long as can be; below the last one is nothing.
    local bad = game:ask "return table.concat(require('lobby.theme').bad, ' ')"
    local r, g, b = bad:match "(%S+) (%S+) (%S+)"
    local of = { math.floor(r * 255 + 0.5), math.floor(g * 255 + 0.5), math.floor(b * 255 + 0.5) }
    local pixels = game:pixels { { 1068, 330 }, { 1175, 330 }, { 1068, 349 }, { 1175, 349 } }
    assert.same(of, pixels[1])
    assert.same(of, pixels[2])
    assert.same(of, pixels[3])
    assert.not_same(of, pixels[4])
  end)

  it("takes a burst of 10 000 events in without ever going over the budget of a frame", function()
    local fireworks = casts.new(base_url, "fireworks")
    game:ask [[
      sparks, turns, most, frames = 0, 0, 0, 0
      local spark, poll = game.world.spark, game.network.client.poll
      function game.world:spark(...)
        sparks = sparks + 1
        return spark(self, ...)
      end
      local ffi = require "ffi"
      ffi.cdef "struct time { long s, ns; }; int clock_gettime(int, struct time *);"
      local time, THREAD = ffi.new "struct time", 3
      local function worked()
        ffi.C.clock_gettime(THREAD, time)
        return tonumber(time.s) * 1e3 + tonumber(time.ns) / 1e6
      end
      began, work = love.timer.getTime(), 0
      local client = game.network.client
      local delivered = client:stats().delivered
      function client:poll(options)
        local before = worked()
        local ran = poll(self, options)
        work = math.max(work, worked() - before)
        local now = self:stats().delivered
        most, delivered = math.max(most, now - delivered), now
        if ran > 0 then turns = turns + 1 end
        if sparks == 10000 and not ended then ended = love.timer.getTime() end
        if not ended then frames = frames + 1 end
        return ran
      end
      return true]]
    local state = fireworks:burst(BURST, "spark", function(i)
      return { x = i % 890, y = i % 620, hue = i % 360 }
    end)
    -- The game stands still for a moment: more is waiting then than one frame may take.
    process.wait(function() return state.answered > BURST / 4 end, "a part of it is sent")
    game:ask "love.timer.sleep(0.5) began = began + 0.5 return true"
    process.wait(function() return state.answered == BURST end, "all of it is sent")
    assert.is_nil(state.failed)
    game:wait(("sparks == %d"):format(BURST), "all of it has come")
    local most, turns, shown, kept, rate, worst, work = game:ask [[
      return most, turns, game.meter.most, #game.world.sparks, ("%.1f"):format(frames / (ended - began)),
        ("%.1f"):format(game.meter.worst), ("%.1f"):format(work)]]
    assert.is_true(tonumber(most) <= BUDGET, most)
    assert.is_true(tonumber(shown) <= BUDGET, shown)
    assert.is_true(tonumber(turns) >= BURST / BUDGET, turns)
    assert.is_true(tonumber(kept) <= 1200)
    assert.equal("online", (game:ask "return game.network.state"))
    assert.equal("0", (game:ask "return game.network.client:stats().reconnects"))
    print(("burst of %d events: at most %s in a frame, %s frames a second, longest turn of the plugin %s ms,"
      .. " of which it worked %s ms"):format(BURST, most, rate, worst, work))
    fireworks:close()
  end)

  it("draws a frame in few steps, however much there is to see", function()
    local calls, sparks = game:ask [[
      for i = 1, 1200 do game.world:spark(i % 890, i % 620, i % 360) end
      for i = 1, 12 do game.world:move({ id = "p" .. i, name = "P" .. i }, i * 60, 500) end
      game.theme.pictures.panel.made = 0
      local draw = game.draw
      function game:draw()
        draw(self)
        self.draw = nil
        love.graphics.flushBatch()
        for i = 1, 12 do self.world:leave("p" .. i) end
        reply(love.graphics.getStats().drawcalls, #self.world.sparks)
      end]]
    assert.is_true(tonumber(sparks) > 1000, sparks)
    assert.is_true(tonumber(calls) <= DRAWINGS, calls)
  end)

  it("begins nothing more in a frame when the time of it is nearly over", function()
    local fireworks = casts.new(base_url, "fireworks")
    game:ask [[
      sparks, most = 0, 0
      local poll = game.network.client.poll
      function game.network.client:poll(options)
        local before = sparks
        local ran = poll(self, options)
        most = math.max(most, sparks - before)
        return ran
      end
      function game.world:spark()
        sparks = sparks + 1
        local ends = love.timer.getTime() + 0.0001
        while love.timer.getTime() < ends do end
      end
      return true]]
    local state = fireworks:burst(300, "spark", function() return { x = 1, y = 1, hue = 1 } end)
    process.wait(function() return state.answered == 300 end, "all of it is sent")
    game:wait("sparks == 300", "all of it has come")
    local most = tonumber((game:ask "return most"))
    assert.is_true(most <= AT_WORK / 0.1 + 1, most)
    fireworks:close()
  end)

  it("leaves a picture", function()
    luv.fs_mkdir(command.ROOT .. "build", 493)
    local path = assert(luv.fs_realpath(command.ROOT .. "build")) .. "/lobby.png"
    game:picture(path)
    local file = assert(io.open(path, "rb"))
    local head = file:read(24)
    file:close()
    assert.equal("\137PNG", head:sub(1, 4))
    assert.same({ 1280, 720 }, { table.unpack({ string.unpack(">I4I4", head, 17) }, 1, 2) })
  end)

  it("ends when the window is closed", function()
    assert.equal(0, game:quit())
    assert.equal("", game.process.stderr)
  end)
end)
