--- The archive for engines that load no modules: what it defines, and a program that is linked with it.
local packing = require "support.packing"
local process = require "support.process"

local VERSION = require "stream_events".version
local ARCHIVE = "build/libstream_events.a"
local LINKED = { -- what csrc/stream_events.h says
  core = "-lcurl -lssl -lcrypto -lz -lm",
  server = "-lhttp_parser -lcurl -lssl -lcrypto",
}

local function shell(text)
  return packing.must({ "sh", "-c", text }).stdout
end

describe("make static", function()
  local folder, host, server_host

  -- Compiles the host; what it is linked with names only the archive for our part.
  local function link(name, flags, libraries)
    local path = folder .. "/" .. name
    shell(([[
      lua=$(pkg-config --variable=libdir lua5.4)
      cc %s -o %s spec/rocks/static_host.c -Icsrc $(pkg-config --cflags lua5.4) \
        %s $lua/liblua5.4-cjson.a $lua/liblua5.4.a %s -ldl -lm
    ]]):format(flags, path, ARCHIVE, libraries))
    return path
  end

  local function write(name, text)
    local path = folder .. "/" .. name
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
  end

  lazy_setup(function()
    folder = shell("mktemp -d"):match "%S+"
    packing.must { "make", "-s", "static" }
    host = link("host", "", LINKED.core)
    server_host = link("server_host", "-DWITH_SERVER", LINKED.core .. " " .. LINKED.server)
  end)
  lazy_teardown(function()
    process.end_all()
    packing.must { "rm", "-rf", folder }
  end)

  it("defines the functions of its header, and names that begin with se_", function()
    local header = assert(io.open "csrc/stream_events.h")
    local declared = {}
    for name in header:read("a"):gmatch "(luaopen_[%w_]+)%(lua_State" do declared[name] = true end
    header:close()
    local found = 0
    for kind, name in shell("nm -g " .. ARCHIVE):gmatch " ([A-Z]) ([%w_]+)" do
      if kind ~= "U" and not name:find "^se_" then
        assert.truthy(declared[name], name)
        found = found + 1
      end
    end
    assert.equal(2, found)
  end)

  it("asks nothing of a loader of modules", function()
    local needed = shell("nm -g " .. ARCHIVE)
    for _, name in ipairs { "dlopen", "dlsym", "dladdr", "dlclose" } do
      assert.is_nil(needed:find(" U " .. name, 1, true), name)
    end
  end)

  it("makes the plugin part of a program: it connects, sends and receives", function()
    local server = process.start("lua/bin/stream-events", { "serve", "--port", "0", "--data", ":memory:" })
    local url = server:wait_for("stdout", "listening on (%S+)")
    local token = packing.must({ "lua/bin/stream-events", "token", "john" }).stdout:match "%S+"
    local script = write("script.lua", packing.CONVERSATION .. " print((pcall(require, 'luv')))")
    local run = packing.must({ host, script, url, token },
      { env = { LUA_PATH = "lua/?.lua;lua/?/init.lua" } })
    assert.equal(("Lua 5.4\t4711\t%s\nfalse\n"):format(VERSION), run.stdout)
    server:kill "sigterm"
    assert.equal(0, server:finish())
  end)

  it("takes the server only for who names it", function()
    local script = write("version.lua",
      'print(pcall(function() return require("stream_events.server.core").version end))')
    assert.equal("true\t" .. VERSION .. "\n", packing.must({ server_host, script }).stdout)
    assert.equal("false", packing.must({ host, script }).stdout:match "^%a+")
    assert.is_nil(shell("nm " .. host):find("http_parser", 1, true))
  end)
end)
