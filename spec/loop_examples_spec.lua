--- The examples for other event loops: each does what it says, and ends.
local command = require "support.command"
local folder = require "support.folder"
local lua = require "support.lua"
local process = require "support.process"

local PRINTED = "http://127.0.0.1:3030"

local function read(name)
  local file = assert(io.open(command.ROOT .. "lua/examples/" .. name))
  local text = file:read "*a"
  file:close()
  return text
end

describe("the example of", function()
  local base_url

  setup(function()
    command.need_build()
    local _
    _, base_url = command.serve()
  end)
  teardown(process.end_all)

  for _, name in ipairs { "luv", "cqueues", "copas" } do
    it(name .. " lets two clients and the rest of the program run", function()
      local text, count = read("loop_" .. name .. ".lua"):gsub(PRINTED:gsub("%p", "%%%0"), base_url)
      assert.equal(1, count)
      local place = folder.new()
      local path = place:write("example.lua", text)
      -- Debian has copas for the oldest Luas alone.
      local paths = os.getenv "LUA_PATH" .. ";/usr/share/lua/5.1/?.lua"
      local child = process.run(lua.INTERPRETER, { path }, { LUA_PATH = paths })
      place:remove()
      assert.equal("", child.stderr)
      assert.equal(0, child.code)
      assert.truthy(child.stdout:find("^bob was poked by ann\n[%l ]+ ran as well\n$"), child.stdout)
    end)
  end
end)
