--- The rockspecs: they name every file there is, each once, in the right rock.
local function rockspec(name)
  local env = {}
  assert(loadfile(("rockspec/%s-scm-1.rockspec"):format(name), "t", env))()
  return env
end

local function files(command)
  local list = {}
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  table.sort(list)
  return list
end

-- The Lua files and the C sources that a rockspec takes.
local function taken(spec)
  local lua, c = {}, {}
  for name, module in pairs(spec.build.modules) do
    if type(module) == "table" then
      for _, source in ipairs(module.sources) do c[#c + 1] = source end
    else
      lua[#lua + 1] = module
      local expected = module:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
      assert.equal(expected, name)
    end
  end
  table.sort(lua)
  table.sort(c)
  return lua, c
end

describe("the rockspec", function()
  it("of stream-events takes all of the client", function()
    local lua, c = taken(rockspec "stream-events")
    assert.same(files "find lua/stream_events -name '*.lua' -not -path '*/server/*'", lua)
    assert.same(files "ls csrc/*.c", c)
  end)

  it("of stream-events-server takes all of the server, and what it shares with the client", function()
    local lua, c = taken(rockspec "stream-events-server")
    assert.same(files "find lua/stream_events -name '*.lua' -path '*/server/*'", lua)
    local own, shared = {}, {}
    for _, source in ipairs(c) do
      local list = source:find("^csrc/server/") and own or shared
      list[#list + 1] = source
    end
    assert.same(files "ls csrc/server/*.c", own)
    assert.same(files "make -s --no-print-directory print-shared", shared)
  end)

  it("of stream-events-server takes the dashboard's page, into the folder of its own", function()
    local page = {}
    for name, file in pairs(rockspec "stream-events-server".build.install.lua) do
      page[#page + 1] = file
      assert.equal("lua/" .. name:gsub("%.[^.]*$", ""):gsub("%.", "/"), (file:gsub("/[^/]*$", "")))
    end
    table.sort(page)
    assert.same(files "find lua/stream_events/server -type f -not -name '*.lua'", page)
  end)
end)
