--- The mod for Luanti, in a real server of it that has no players: a probe mod does what they would do.
local command = require "support.command"
local folder = require "support.folder"
local free_port = require "support.free_port"
local love = require "support.love"
local luv = require "luv"
local manual = require "support.manual"
local people = require "support.people"
local process = require "support.process"

local ROOT = assert(luv.fs_realpath(command.ROOT ~= "" and command.ROOT or "."))
local MOD = ROOT .. "/lua/examples/luanti"
-- The settings that the manual shows.
local function settings_of_manual()
  local found = {}
  for _, text in ipairs(manual.texts("engines.md", "text")) do
    if text:find("secure.trusted_mods", 1, true) then
      for name, value in text:gmatch "([%w_.]+) = ([^\n]+)\n" do found[name] = value end
    end
  end
  assert(found.stream_events_token_file and found.stream_events_base_url)
  return found
end

local BARE = { LUA_PATH = "/nonexistent/?.lua", LUA_CPATH = "/nonexistent/?.so" }

describe("the mod for Luanti", function()
  local place, world, base_url, bob, backend

  setup(function()
    command.need_build()
    local _
    _, base_url = command.serve()
    bob, backend = people.user(base_url, "bob", "livestream", "luanti"), people.backend(base_url)
  end)
  teardown(function()
    people.close_all()
    process.end_all()
  end)

  before_each(function()
    place = folder.new()
    for _, name in ipairs { "games", "games/nothing", "games/nothing/mods", "world", "world/worldmods" } do
      assert(luv.fs_mkdir(place:at(name), 448))
    end
    place:write("games/nothing/game.conf", "title = Nothing\n")
    world = place:at "world"
    place:write("world/world.mt", [[
gameid = nothing
backend = dummy
player_backend = sqlite3
auth_backend = sqlite3
mod_storage_backend = sqlite3
load_mod_stream_events_bridge = true
load_mod_probe = true
]])
    assert(luv.fs_symlink(MOD, world .. "/worldmods/stream_events_bridge"))
    assert(luv.fs_symlink(ROOT .. "/spec/luanti/probe", world .. "/worldmods/probe"))
    place:write("token", backend:create_token "luanti" .. "\n")
  end)
  after_each(function() love.remove(place.path) end)

  local function start(settings, env)
    local lines = { "mg_name = singlenode", "server_announce = false", "bind_address = 127.0.0.1" }
    local all = settings_of_manual()
    all.stream_events_base_url, all.stream_events_token_file = base_url, place:at "token"
    for name, value in pairs(settings or {}) do all[name] = value end
    for name, value in pairs(all) do
      if value then lines[#lines + 1] = name .. " = " .. value end
    end
    local variables = {
      HOME = place.path, MINETEST_SUBGAME_PATH = place:at "games", MINETEST_GAME_PATH = place:at "games",
      LUA_PATH = ROOT .. "/lua/?.lua;" .. ROOT .. "/lua/?/init.lua;;",
      LUA_CPATH = ROOT .. "/build/lua5.1/?.so;;", LD_PRELOAD = false,
    }
    for name, value in pairs(env or {}) do variables[name] = value end
    return process.start(os.getenv "LUANTI_SERVER" or "/usr/games/minetestserver", {
      "--world", world, "--config", place:write("conf", table.concat(lines, "\n") .. "\n"),
      "--logfile", "", "--port", tostring(free_port.udp()), "--color", "never",
    }, variables)
  end

  local function deed(server, what)
    place:write("world/deed", what)
    server:wait_for("stderr", "%[probe%] done: " .. what)
  end

  local function stop(server)
    server:wait_for("stderr", "%[probe%] running\n") -- a signal that comes earlier may be missed
    server:kill "sigterm"
    assert.equal(0, server:finish(), server.stderr)
    assert.is_nil(server.stderr:find "ERROR", server.stderr)
  end

  -- The events of a type that the spec's user has heard.
  local function heard(event_type)
    process.wait(function() return bob.heard[event_type] end, event_type .. " has come")
    local list = bob.heard[event_type]
    bob.heard[event_type] = nil
    return list
  end

  it("shares what is said, and who comes and goes", function()
    local server = start()
    server:wait_for("stderr", "%[stream_events_bridge%] online\n")
    assert(bob.channel:send_event("chat", { text = "Anybody\nhere? \27(c@#f00)" }))
    server:wait_for("stderr", "%[probe%] said: <bob> Anybody here%?  %(c@#f00%)\n")
    assert(bob.channel:send_event("chat", { name = "Bob", text = "Hello" }))
    server:wait_for("stderr", "%[probe%] said: <Bob, bob> Hello\n")

    deed(server, "ann comes")
    assert.equal("ann", heard("player_joined")[1].name)
    deed(server, "ann speaks")
    local said = bob.heard.chat
    process.wait(function() return #bob.heard.chat == 3 end, "bob has heard it")
    assert.same({ "luanti", "ann", "Hi from below" }, { said[3].user.id, said[3].name, said[3].text })
    deed(server, "ann goes")
    assert.equal("ann", heard("player_left")[1].name)

    assert(backend:send_user_custom_event("luanti", { type = "announcement", text = "It rains" }))
    server:wait_for("stderr", "%[probe%] said: %*%*%* It rains\n")
    deed(server, "how is it")
    server:wait_for("stderr",
      "%[probe%] online; %d+ events received, %d+ delivered, longest turn %d+%.%d ms\n")
    assert.equal(3, select(2, server.stderr:gsub("%[probe%] said", ""))) -- ann's is not said twice
    stop(server)
  end)

  it("drops what its rules do not accept", function()
    local server = start()
    server:wait_for("stderr", "%[stream_events_bridge%] online\n")
    assert(bob.channel:send_event("announcement", { text = "I am the admin" }))
    assert(bob.channel:send_event("chat", { text = 5 }))
    assert(bob.channel:send_event("chat", { text = "Honestly" }))
    server:wait_for("stderr", "%[probe%] said: <bob> Honestly\n")
    assert.equal(1, select(2, server.stderr:gsub("%[probe%] said", "")))
    stop(server)
  end)

  it("gives the network no more than its budget in a step, however much waits", function()
    local server = start()
    server:wait_for("stderr", "%[stream_events_bridge%] online\n")
    deed(server, "be slow")
    assert(bob.channel:send_event("chat", { text = "first" }))
    server:wait_for("stderr", "%[probe%] said: <bob> first\n")
    for _ = 1, 8 do assert(bob.channel:send_event("chat", { text = "more" })) end
    assert(bob.channel:send_event("chat", { text = "last" }))
    place:write("world/sent", "")
    local most = server:wait_for("stderr", "%[probe%] at most (%d+)\n")
    assert.is_true(tonumber(most) <= 3, most) -- the last begins before the two milliseconds are over
    stop(server)
  end)

  it("leaves nothing that other mods could use", function()
    local server = start()
    server:wait_for("stderr", "%[probe%] found: \n")
    stop(server)
  end)

  it("goes on trying while there is no server, and with a token that comes later", function()
    os.remove(place:at "token")
    local server = start()
    server:wait_for("stderr", "%[stream_events_bridge%] [^\n]*No such file or directory")
    place:write("token", backend:create_token "luanti")
    server:wait_for("stderr", "%[stream_events_bridge%] online\n")
    stop(server)
  end)

  it("connects nothing without a token file", function()
    local server = start { stream_events_token_file = false }
    server:wait_for("stderr", "stream_events_token_file is not set: nothing is connected\n")
    stop(server)
  end)

  for what, case in pairs {
    ["is not trusted"] = {
      { ["secure.trusted_mods"] = "none" }, {}, "secure.trusted_mods = stream_events_bridge",
    },
    ["finds no plugin"] = { {}, BARE, "module 'stream_events' not found" },
  } do
    it("says what to do when it " .. what, function()
      local server = start(case[1], case[2])
      assert.not_equal(0, server:finish())
      assert.truthy(server.stderr:find(case[3], 1, true), server.stderr)
    end)
  end
end)
