--- The rocks: made, packed, installed from what was packed, and used where no checkout is.
local luv = require "luv"
local packing = require "support.packing"
local process = require "support.process"

local ROCKS = { "stream-events", "stream-events-server" }
local ROCKSPECS = {}
for _, name in ipairs(ROCKS) do
  for _, version in ipairs { "scm-1", "0.1.0-1" } do
    ROCKSPECS[#ROCKSPECS + 1] = ("rockspec/%s-%s.rockspec"):format(name, version)
  end
end

describe("the rocks", function()
  local at

  lazy_setup(function() at = packing.new() end)
  lazy_teardown(function()
    process.end_all()
    at:remove()
  end)

  -- The demo out of an installed tree, in a folder where nothing else is.
  local function demo(tree)
    local folder = at:at "elsewhere"
    luv.fs_mkdir(folder, tonumber("755", 8))
    local env = at:shell("5.4", tree)
    local script = packing.lines({ "find", at:at(tree), "-name", "demo.lua" })
    assert.equal(1, #script)
    local run = packing.run({ "lua5.4", script[1] }, { env = env, cwd = folder })
    assert.equal("", run.stderr)
    assert.equal(0, run.code)
    assert.truthy(run.stdout:find('thierry received "Hey there, long time no see!" from tommaso', 1, true))
    assert.truthy(run.stdout:find("\n  stream-events serve\n", 1, true), run.stdout)
  end

  it("have rockspecs that LuaRocks finds nothing wrong with", function()
    for _, file in ipairs(ROCKSPECS) do
      local lint = at:luarocks("5.4", "none", { "lint", file })
      assert.equal("", lint.stdout .. lint.stderr)
    end
  end)

  it("are made in a checkout; without the server's, serve says what to install", function()
    at:luarocks("5.4", "made", { "make" }) -- rockspec/rockspec says which
    local env = { PATH = at:shell("5.4", "made").PATH }
    assert.truthy(packing.must({ "stream-events", "--version" }, { env = env }).stdout
      :find "^stream%-events %d+%.%d+%.%d+\n$")
    for _, words in ipairs { { "serve" }, { "serve", "--help" }, { "backup", at:at "backup.db" } } do
      local run = packing.run({ "stream-events", table.unpack(words) }, { env = env })
      assert.truthy((run.stdout .. run.stderr):find("luarocks install stream-events-server", 1, true),
        table.concat(words, " ") .. ": " .. run.stdout .. run.stderr)
    end
    at:luarocks("5.4", "made", { "make", "rockspec/stream-events-server-scm-1.rockspec" })
    demo "made"
  end)

  it("are packed, installed from that into a fresh tree, and used with the checkout gone", function()
    for _, name in ipairs(ROCKS) do at:luarocks("5.4", "made", { "pack", name }, { cwd = at.folder }) end
    packing.must { "mv", at.checkout, at:at "moved-away" }
    finally(function() packing.must { "mv", at:at "moved-away", at.checkout } end)
    for _, name in ipairs(ROCKS) do
      local rock = packing.lines({ "sh", "-c", ("ls %s-scm-1.*.rock"):format(name) }, { cwd = at.folder })
      at:luarocks("5.4", "fresh", { "install", rock[1] }, { cwd = at.folder })
    end
    demo "fresh"
    for _, name in ipairs { ROCKS[2], ROCKS[1] } do
      at:luarocks("5.4", "fresh", { "remove", name }, { cwd = at.folder })
    end
    for _, file in ipairs(packing.files(at:at "fresh")) do
      assert.truthy(file:find "^lib/luarocks/rocks%-5%.4/manifest", file)
    end
  end)

  it("are packed as sources of the tagged release, and built from that", function()
    local env = at:release "v0.1.0"
    for _, name in ipairs(ROCKS) do
      at:luarocks("5.4", "built", { "pack", at.checkout .. "/rockspec/" .. name .. "-0.1.0-1.rockspec" },
        { cwd = at.folder, env = env })
      -- Without optimizing, it takes half as long.
      at:luarocks("5.4", "built", {
        "install", name .. "-0.1.0-1.src.rock", "CFLAGS=-O0 -fPIC", "MAKE=make -j" .. #luv.cpu_info(),
      }, { cwd = at.folder })
    end
    demo "built"
  end)

  it("are the client alone for Lua 5.1 and LuaJIT", function()
    local rockspec = "rockspec/stream-events-scm-1.rockspec"
    at:luarocks("5.1", "made51", { "make", rockspec })
    at:luarocks("5.1", "made51", { "pack", "stream-events" }, { cwd = at:at "made51" })
    local rock = packing.lines({ "sh", "-c", "ls *.rock" }, { cwd = at:at "made51" })
    at:luarocks("5.1", "fresh51", { "install", at:at("made51/" .. rock[1]) })
    for _, file in ipairs(packing.files(at:at "fresh51")) do
      assert.is_nil(file:find "server" or file:find "/command/" or file:find "^bin/", file)
    end
    local env = at:shell("5.4", "made")
    for name in pairs(env) do if name ~= "PATH" then env[name] = false end end
    local server = process.start("stream-events", { "serve", "--port", "0", "--data", ":memory:" }, env)
    local url = server:wait_for("stdout", "listening on (%S+)")
    local token = packing.must({ "stream-events", "token", "john" }, { env = env }).stdout:match "%S+"
    for lua, shown in pairs { ["lua5.1"] = "Lua 5.1", luajit = "Lua 5.1" } do
      local run = packing.must({ lua, "-", url, token },
        { env = at:shell("5.1", "fresh51"), input = packing.CONVERSATION })
      assert.equal(shown .. "\t4711\t", run.stdout:match "^(.*\t)")
    end
    server:kill "sigterm"
    assert.equal(0, server:finish())
  end)
end)
