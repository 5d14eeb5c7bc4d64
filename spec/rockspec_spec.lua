--- The rockspecs: of each rock one for the sources as they are, and one for each release.
local native = require "stream_events.native"

local function rockspec(name, version)
  local env = {}
  assert(loadfile(("rockspec/%s-%s.rockspec"):format(name, version), "t", env))()
  return env
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

local RELEASE = native.version .. "-1"

describe("the rockspecs", function()
  for _, name in ipairs { "stream-events", "stream-events-server" } do
    it("of " .. name .. " are called as what is in them", function()
      for _, version in ipairs { "scm-1", RELEASE } do
        local found = rockspec(name, version)
        assert.equal(name, found.package)
        assert.equal(version, found.version)
      end
    end)

    it("of " .. name .. " differ in version and tag alone", function()
      local function plain(version)
        local text = read(("rockspec/%s-%s.rockspec"):format(name, version))
        return (text:gsub("\n  tag = [^\n]*", ""):gsub("%f[%w]" .. version:gsub("%p", "%%%0"), "VERSION"))
      end
      assert.equal(plain "scm-1", plain(RELEASE))
      assert.equal("v" .. native.version, rockspec(name, RELEASE).source.tag)
      assert.is_nil(rockspec(name, "scm-1").source.tag)
    end)
  end

  it("of the server ask for the client of the same version", function()
    for _, version in ipairs { "scm-1", RELEASE } do
      assert.truthy(table.concat(rockspec("stream-events-server", version).dependencies, "\n")
        :find("stream-events == " .. version, 1, true))
    end
  end)
end)

describe("the version", function()
  it("is a semantic one, and the same for programs and in the changelog", function()
    assert.truthy(native.version:find "^%d+%.%d+%.%d+$")
    assert.equal(native.version, require "stream_events".version)
    assert.equal(native.version, require "stream_events.server.core".version)
    -- The newest section is the one of this version, released or not.
    assert.equal(native.version, read "CHANGELOG.md":match "\n## [^\n]-(%d+%.%d+%.%d+)")
  end)

  it("is the same of both packages, or the server is not loaded", function()
    local NAMES = { "stream_events.server.core", "stream_events.server.listener", "stream_events.server" }
    local before = {}
    for _, name in ipairs(NAMES) do before[name], package.loaded[name] = package.loaded[name], nil end
    package.loaded[NAMES[1]] = { version = "9.8.7" }
    local server, message = require "stream_events.command.bundled".load "stream_events.server"
    for _, name in ipairs(NAMES) do package.loaded[name] = before[name] end
    assert.is_nil(server)
    assert.equal(("the server is of version 9.8.7 and stream-events of %s: install the same version of both")
      :format(native.version), message)
  end)
end)
