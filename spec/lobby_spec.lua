--- The parts of the LÖVE lobby that need no LÖVE: its rules, its world, its lists. What it shows is looked at
--- in spec/love.
local command = require "support.command"

local FOLDER = command.ROOT .. "lua/examples/love-lobby/"

describe("the lobby's", function()
  local path, World, Drops, Meter, text, settings

  setup(function()
    path = package.path
    package.path = FOLDER .. "?.lua;" .. path
    World, Drops, Meter = require "lobby.world", require "lobby.drops", require "lobby.meter"
    text, settings = require "lobby.text", require "lobby.settings"
  end)
  teardown(function() package.path = path end)

  describe("rules", function()
    it("hold their own examples, and cases of several events", function()
      local run = command.run { "rules", "test", FOLDER .. "rules.lua", FOLDER .. "rules_cases.lua" }
      assert.equal(0, run.code, run.stdout .. run.stderr)
      assert.truthy(run.stdout:find("ok %d+ %- nobody is there at once"))
      local check = command.run { "rules", "check", FOLDER .. "rules.lua" }
      assert.is_nil(check.stdout:find "warning", check.stdout)
    end)
  end)

  describe("world", function()
    local world
    local function user(id, name) return { id = id, name = name } end
    local function pass(seconds)
      for _ = 1, seconds * 60 do world:update(1 / 60) end
    end

    before_each(function()
      world = World.new("me", "Me", function() return 0.5 end)
    end)

    it("moves a player to where an event says, without a jump", function()
      world:move(user("ann", "Ann"), 100, 100)
      world:move(user "ann", 130, 100)
      local ann, largest, before = world.players.ann, 0, 100
      for _ = 1, 60 do
        world:update(1 / 60)
        largest, before = math.max(largest, ann.x - before), ann.x
      end
      assert.equal(130, ann.x)
      assert.is_true(largest < 5)
      assert.equal("Ann", ann.name)
    end)

    it("takes no word of others about where I am, and stays on the field", function()
      local me = world.me
      local x = me.x
      world:move(user "me", 1, 1)
      pass(1)
      assert.equal(x, me.x)
      for _ = 1, 600 do world:run(1, 1, 1 / 60) end
      pass(0.1)
      assert.same({ 890, 620 }, { me.x, me.y })
    end)

    it("runs as fast in every direction, and never faster after a long frame", function()
      local x, y = world.me.to_x, world.me.to_y
      world:run(1, -1, 0.1)
      local dx, dy = world.me.to_x - x, world.me.to_y - y
      assert.is_true(math.abs(math.sqrt(dx * dx + dy * dy) - 24) < 1e-9)
      x = world.me.to_x
      world:run(1, 0, 5)
      assert.is_true(math.abs(world.me.to_x - x - 24) < 1e-9)
      assert.is_false(world:run(0, 0, 1))
      assert.is_false(world:run_to(world.me.to_x + 1, world.me.to_y, 0.1))
    end)

    it("exchanges gems for the answer of whoever the offer is for, once", function()
      world:move(user "ann", 1, 1)
      world:move(user "ben", 1, 1)
      world:offer(user "ann", { id = "t", to = "me", give = "ruby", want = "emerald" })
      assert.equal("t", world:offer_to_me().id)
      world:accept(user "ben", "t")
      world:accept(user "ann", "t")
      assert.equal(3, world.pouch.ruby)
      world:accept(user "me", "t")
      world:accept(user "me", "t")
      assert.same({ 4, 2, 3 }, { world.pouch.ruby, world.pouch.emerald, world.pouch.sapphire })
      assert.equal(2, #world.gifts)
    end)

    it("forgets offers in time, with a newer one, and with who made them", function()
      world:move(user "ann", 1, 1)
      local function offer(id)
        world:offer(user "ann", { id = id, to = "me", give = "ruby", want = "emerald" })
      end
      offer "a"
      offer "b"
      assert.equal(1, #world.offers)
      assert.equal("b", world.offers[1].id)
      pass(10)
      assert.equal(0, #world.offers)
      offer "c"
      world:dropped("ann", "rate")
      world:leave "ann"
      assert.same({ 0, 0, 1 }, { #world.offers, #world.marks, #world.order })
      world:leave "me"
      assert.equal(1, #world.order)
    end)

    it("keeps a bounded number of everything", function()
      for i = 1, 200 do world:move(user("p" .. i), 1, 1) end
      assert.equal(64, #world.order)
      for i = 1, 200 do
        world:offer(user("p" .. i % 60 + 1), { id = "t", to = "me", give = "ruby", want = "emerald" })
        world:dropped("p" .. i % 60 + 1, "reason" .. i)
      end
      for _ = 1, 20000 do world:spark(1, 1, 1) end
      assert.is_true(#world.offers <= 32 and #world.marks <= 24 and #world.sparks <= 1200)
      pass(3)
      assert.same({ 0, 0 }, { #world.marks, #world.sparks })
    end)

    it("knows who is next to me, and gives players who are here colours of their own", function()
      assert.is_nil(world:nearest())
      local letters = "akublvcm" -- some of these would have the same colour
      for letter in letters:gmatch "." do world:move(user(letter), 800, 10) end
      world:move(user "near", world.me.x + 5, world.me.y)
      assert.equal("near", world:nearest().id)
      local seen = {}
      for i = 1, 10 do
        assert.is_nil(seen[world.order[i].hue])
        seen[world.order[i].hue] = true
      end
    end)

    it("takes names for what they are: texts of strangers", function()
      world:move(user("a", ("x"):rep(5000)), 1, 1)
      world:move(user("b", { "no name" }), 1, 1)
      world:move(user("c", "two\nlines\0"), 1, 1)
      world:move(user("d", ("ä"):rep(40)), 1, 1)
      assert.equal(("x"):rep(15) .. "…", world.players.a.name)
      assert.equal("b", world.players.b.name)
      assert.equal("two lines ", world.players.c.name)
      assert.equal(("ä"):rep(15) .. "…", world.players.d.name)
      for _, id in ipairs { "__index", "constructor", "__gc" } do
        world:move(user(id), 1, 1)
        assert.equal(id, world.players[id].id)
      end
    end)
  end)

  describe("list of what was kept out", function()
    it("counts by reason, the most frequent first", function()
      local drops = Drops.new()
      for i = 1, 5 do drops:add("ann", "wave", "rate", nil, i) end
      drops:add("ann", "move", "check", "too far", 6)
      drops:add("ben", "move", "check", "too far", 7)
      assert.equal(7, drops.total)
      assert.same({ { reason = "rate", count = 5 }, { reason = "check", count = 2 } }, drops.reasons)
    end)

    it("has a line for what comes together, and no more lines than fit", function()
      local drops = Drops.new()
      for i = 1, 40 do drops:add("ann", "wave", "rate", "often", i / 100) end
      assert.equal(1, #drops.lines)
      assert.equal(40, drops.lines[1].count)
      for i = 1, 40 do drops:add("ann", "t" .. i, "rate", nil, 10) end
      assert.equal(6, #drops.lines)
      assert.equal("t40", drops.lines[1].type)
      drops:add(nil, nil, "malformed", nil, 11)
      assert.equal("?", drops.lines[1].who)
    end)
  end)

  it("meter keeps the last frames in order, and the most of all", function()
    local meter = Meter.new()
    for i = 1, Meter.FRAMES + 10 do meter:add_frame(i) end
    local seen = {}
    for i, milliseconds in meter:each_frame() do seen[i] = milliseconds end
    assert.same({ 11, Meter.FRAMES + 10, Meter.FRAMES }, { seen[1], seen[#seen], #seen })
    meter:add_turn(0.5, 0)
    meter:add_turn(1.5, 200)
    meter:add_turn(0.1, 3)
    assert.same({ 200, 203, 2, 1.5 }, { meter.most, meter.total, meter.busy, meter.worst })
  end)

  it("texts fit where there is room for them", function()
    local function width(value) return #value end
    assert.equal("short", text.fit("short", width, 10))
    assert.is_true(#text.fit(("long "):rep(100), width, 30) <= 30)
    assert.is_nil(text.clip(7, 5))
  end)

  it("arguments are understood, or named", function()
    local function random(least) return least end
    local read = settings.read
    local found = assert(read({ "--name", "Zoë Q", "--url", "http://10.0.0.7:3030" }, random))
    assert.same({ "Zoë Q", "http://10.0.0.7:3030" }, { found.name, found.base_url })
    assert.truthy(found.id:find "^[%l%d-]+%-0000$")
    if not os.getenv "STREAM_API_SECRET" then assert.is_nil(found.secret) end
    for _, wrong in ipairs { { "--name" }, { "x" }, { "--colour", "red" }, { "--url", "ftp://x" } } do
      local none, message = read(wrong, random)
      assert.is_nil(none)
      assert.is_string(message)
    end
  end)
end)
