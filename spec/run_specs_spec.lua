-- How specs are run: what goes wrong in one of them must not get lost.
local folders = require "support.folder"
local lua = require "support.lua"
local process = require "support.process"

describe("run_specs", function()
  local folder
  before_each(function() folder = folders.new() end)
  after_each(function()
    process.end_all()
    folder:remove()
  end)

  local function run(files)
    local args = { "spec/support/run_specs.lua", arg[0] }
    for i, text in ipairs(files) do
      args[#args + 1] = folder:write(("number%d_spec.lua"):format(i), text)
    end
    local child = process.run(lua.INTERPRETER, args)
    return child.code, child.stdout
  end

  local GOOD = 'it("is well", function() end) it("is well, too", function() end)'

  it("adds up what went well", function()
    local code, text = run { GOOD, GOOD, GOOD }
    assert.equal(0, code)
    assert.matches("\nok +2  %S+number3_spec%.lua", "\n" .. text)
    assert.matches("\n6 successes / 0 failures / 0 errors / 0 pending : [%d.]+ seconds\n$", text)
  end)

  for what, case in pairs {
    ["a failure"] = { 'it("is wrong", function() assert.equal(1, 2) end)', "1 failures / 0 errors / 0" },
    ["an error"] = { 'it("breaks", function() error "no such luck" end)', "0 failures / 1 errors / 0" },
    ["a pending spec"] = { 'pending("later")', "0 failures / 0 errors / 1" },
    ["a crash"] = { "os.exit(3)", "0 failures / 1 errors / 0" },
    ["a process that is killed"] = {
      'local uv = require "luv" it("dies", function() uv.kill(uv.os_getpid(), "sigkill") end)',
      "0 failures / 1 errors / 0",
    },
    ["a file without specs"] = { "", "0 failures / 1 errors / 0" },
    ["a file that cannot be read as Lua"] = { "it(", "0 failures / 1 errors / 0" },
  } do
    it("tells of " .. what, function()
      local code, text = run { case[1], GOOD }
      assert.equal(1, code)
      assert.matches("\nFAILED +%S+number1_spec%.lua", text)
      assert.matches("\n2 successes / " .. case[2] .. " pending : [%d.]+ seconds\n$", text)
      local _, summaries = text:gsub("%d+ success", "")
      assert.equal(1, summaries)
    end)
  end

  it("shows what a failing spec says", function()
    local _, text = run { 'it("breaks", function() error "no such luck" end)' }
    assert.matches("no such luck", text, 1, true)
  end)
end)
