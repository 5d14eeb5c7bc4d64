--- The manual's section on faults: its program runs, and comes to its end.
local folders = require "support.folder"
local manual = require "support.manual"
local process = require "support.process"

describe("the manual's section on testing with faults", function()
  it("has a program that pulls a server away, and is told of the recovery", function()
    local folder = folders.new()
    local blocks = manual.lua_blocks("connections.md", "Testing with faults")
    assert.equal(1, #blocks)
    local text = manual.with(blocks[1], { { '"test.db"', ("%q"):format(folder:at "test.db") } })
    local program = process.run("lua5.4", { folder:write("program.lua", text) })
    folder:remove()
    assert.same({ 0, "back; missed events: maybe; watching again: messaging:general\n", "" },
      { program.code, program.stdout, program.stderr })
  end)
end)
