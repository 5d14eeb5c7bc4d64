-- The thread that reads the certificates which the system trusts.
local core_program = require "support.core_program"
local process = require "support.process"

describe("reading the system's certificates", function()
  after_each(process.end_all)

  it("is over before the process forks", function()
    local run = process.run(core_program.build "forking", {}, { LD_PRELOAD = false })
    assert.equal("", run.stderr)
    assert.same({ 0, 0, "there\n" }, { run.code, run.signal, run.stdout })
  end)
end)
