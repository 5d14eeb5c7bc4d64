--- What packagers and builders meet: what is installed and removed, and what is said when a library is
--- missing.
local luv = require "luv"
local packing = require "support.packing"
local process = require "support.process"

-- What the build says of each header: its packages on every system that it knows.
local PACKAGES = {
  ["curl/curl.h"] = {
    "libcurl4%-openssl%-dev", "libcurl%-devel", "pacman %-S [^\n]*curl", "brew install [^\n]*curl",
    "curl%-dev",
  },
  ["openssl/ssl.h"] = {
    "libssl%-dev", "openssl%-devel", "pacman %-S [^\n]*openssl", "openssl@3", "openssl%-dev",
  },
  ["zlib.h"] = {
    "zlib1g%-dev", "zlib%-devel", "pacman %-S [^\n]*zlib", "brew install [^\n]*zlib", "zlib%-dev",
  },
  ["http_parser.h"] = {
    "libhttp%-parser%-dev", "http%-parser%-devel", "Arch: [^\n]*source", "Homebrew: [^\n]*source",
    "http%-parser%-dev",
  },
  ["lua.h"] = { "liblua5.4%-dev", "lua%-devel", "lua54", "lua@5.4", "lua5.4%-dev" },
}

local DOC = "share/doc/stream-events/"

describe("the build", function()
  local at

  lazy_setup(function() at = packing.new() end)
  lazy_teardown(function()
    process.end_all()
    at:remove()
  end)

  -- A compiler to which some headers are unknown.
  local function compiler_without(headers)
    local path = at:at "compiler"
    local file = assert(io.open(path, "w"))
    file:write("#!/bin/sh\nfor word in \"$@\"; do case $word in *.c)\n")
    for _, header in ipairs(headers) do
      file:write(("grep -q '<%s>' \"$word\" && { echo 'no such header' >&2; exit 1; }\n"):format(header))
    end
    file:write("esac; done\nexec cc \"$@\"\n")
    file:close()
    luv.fs_chmod(path, tonumber("755", 8))
    return path
  end

  local function assert_names(text, header)
    assert.truthy(text:find(header, 1, true), text)
    for _, package in ipairs(PACKAGES[header]) do
      assert.truthy(text:find(package), package .. "\n" .. text)
    end
  end

  local function build(cc)
    local run = packing.run({ "make", "build", "BUILD=build/other", "CC=" .. cc }, { cwd = at.checkout })
    assert.equal(2, run.code)
    assert.is_nil(run.stdout:find(" -c -o ", 1, true)) -- nothing is compiled before
    return run.stderr
  end

  for header in pairs(PACKAGES) do
    it("says that " .. header .. " is missing, and what its packages are called", function()
      local text = build(compiler_without { header })
      assert_names(text, header)
      for other in pairs(PACKAGES) do
        assert.truthy(other == header or not text:find("(" .. other .. ")", 1, true), text)
      end
    end)
  end

  it("names all that is missing at once", function()
    local missing = { "curl/curl.h", "zlib.h", "http_parser.h" }
    local text = build(compiler_without(missing))
    for _, header in ipairs(missing) do assert_names(text, header) end
  end)

  it("says when there is no compiler", function()
    local text = build "no-such-compiler"
    assert.truthy(text:find("the C compiler 'no-such-compiler' does not work", 1, true), text)
  end)

  it("says the same by way of LuaRocks", function()
    local needs = { ["stream-events"] = "curl/curl.h", ["stream-events-server"] = "http_parser.h" }
    for rock, header in pairs(needs) do
      packing.must { "rm", "-rf", at.checkout .. "/build/libraries" } -- what was found is not asked again
      local run = at:luarocks("5.4", "tree", {
        "make", "--deps-mode=none", ("rockspec/%s-scm-1.rockspec"):format(rock),
        "CC=" .. compiler_without { header },
      }, { may_fail = true })
      assert.not_equal(0, run.code)
      assert_names(run.stderr, header)
    end
  end)
end)

describe("make install", function()
  local at

  lazy_setup(function() at = packing.new() end)
  lazy_teardown(function()
    process.end_all()
    at:remove()
  end)

  local function make(words)
    return packing.must({ "make", "-s", table.unpack(words) }, { cwd = at.checkout })
  end

  local function lua_files(condition)
    return packing.lines({ "sh", "-c", ("cd lua && find stream_events -name '*.lua' %s"):format(condition) },
      { cwd = at.checkout })
  end

  it("puts everything below DESTDIR and PREFIX, and uninstall leaves nothing of it", function()
    local where = { "DESTDIR=" .. at:at "a stage", "PREFIX=/opt/events" }
    make { "install", table.unpack(where) }
    make { "install-static", table.unpack(where) }
    local found, root = {}, at:at "a stage" .. "/opt/events"
    for _, file in ipairs(packing.files(root)) do found[file] = true end
    for _, file in ipairs(lua_files "") do
      assert.truthy(found["share/lua/5.4/" .. file], file)
    end
    for _, file in ipairs {
      "bin/stream-events", "lib/lua/5.4/stream_events/core.so", "lib/lua/5.4/stream_events/server/core.so",
      "share/lua/5.4/stream_events/server/dashboard/page/index.html", "lib/libstream_events.a",
      "include/stream_events.h", DOC .. "README.md", DOC .. "LICENSE", DOC .. "CHANGELOG.md",
      DOC .. "lua/stream_events/doc/rules.md", DOC .. "lua/stream_events/doc/dashboard.png",
      DOC .. "lua/examples/demo.lua", DOC .. "lua/examples/love-lobby/main.lua",
      "share/man/man1/stream-events.1", "share/bash-completion/completions/stream-events",
      "share/zsh/site-functions/_stream-events", "share/fish/vendor_completions.d/stream-events.fish",
    } do
      assert.truthy(found[file], file)
    end
    local demo = packing.run({ "lua5.4", root .. "/" .. DOC .. "lua/examples/demo.lua" }, {
      env = {
        PATH = root .. "/bin:" .. os.getenv "PATH", LUA_PATH = root .. "/share/lua/5.4/?.lua;" .. root
          .. "/share/lua/5.4/?/init.lua;;", LUA_CPATH = root .. "/lib/lua/5.4/?.so;;",
      }, cwd = at.folder,
    })
    assert.equal(0, demo.code, demo.stderr)

    make { "uninstall", table.unpack(where) }
    assert.same({}, packing.files(at:at "a stage"))
    assert.same({}, packing.lines({ "find", at:at "a stage", "-name", "stream*" }))
  end)

  it("gives another Lua its modules alone, and takes nothing else away", function()
    local where = { "DESTDIR=" .. at:at "both", "PREFIX=/usr" }
    local for_51 = { "LUA=lua5.1", "LUA_PC=lua5.1", table.unpack(where) }
    make { "install", table.unpack(where) }
    local before = packing.files(at:at "both")
    make { "install", table.unpack(for_51) }
    local expected = { "lib/lua/5.1/stream_events/core.so" }
    for _, file in ipairs(lua_files "-not -path '*/server/*' -not -path '*/command/*'") do
      expected[#expected + 1] = "share/lua/5.1/" .. file
    end
    table.sort(expected)
    local more, known = {}, {}
    for _, file in ipairs(before) do known[file] = true end
    for _, file in ipairs(packing.files(at:at "both")) do
      if not known[file] then more[#more + 1] = file:sub(#"usr/" + 1) end
    end
    assert.same(expected, more)
    make { "uninstall", table.unpack(for_51) }
    assert.same(before, packing.files(at:at "both"))
  end)
end)
