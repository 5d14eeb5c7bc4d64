--- The server's C parts when memory runs out.
local core_program = require "support.core_program"
local peer = require "support.peer"
local process = require "support.process"

describe("the poster's memory", function()
  local program

  setup(function()
    program = core_program.build("failing_memory", "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc", true)
  end)
  after_each(function()
    process.end_all()
    peer.stop_all()
  end)

  for _, mode in ipairs { "once", "lasting" } do
    it("may run out at any allocation, " .. mode, function()
      local server = peer.http(function(_, connection)
        connection:answer(503, "body", { "Retry-After: 5" })
      end)
      local run = process.run(program, { "spec/support/failing_poster.lua", server:url "http", mode },
        { LD_PRELOAD = false })
      assert.equal("", run.stderr)
      assert.same({ 0, 0 }, { run.code, run.signal })
      assert.is_true(tonumber(run.stdout) > 20, run.stdout)
    end)
  end
end)
