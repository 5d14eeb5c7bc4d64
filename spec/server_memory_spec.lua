--- The server's C parts when memory runs out.
local core_program = require "support.core_program"
local peer = require "support.peer"
local process = require "support.process"

describe("the poster's memory", function()
  local program

  setup(function()
    program = core_program.build("failing_memory",
      "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=epoll_ctl,--wrap=fcntl", true)
  end)
  after_each(function()
    process.end_all()
    peer.stop_all()
  end)

  for _, mode in ipairs { "once", "lasting" } do
    it("may run out at any allocation, " .. mode, function()
      local together = {}
      local server = peer.http(function(request, connection)
        if request.target == "/together" then
          together[#together + 1] = connection
          return
        end
        local is_right = request.target == "/a?b" and request.headers.host:find ":%d+$"
        if request.target == "/go" and #together == 64 then
          for _, each in ipairs(together) do each:answer(200) end
          together, is_right = {}, true
        end
        connection:answer(is_right and 503 or 404, "body", { "Retry-After: 5" })
      end)
      local url = server:url("http", "/a?b")
      local run = process.run(program, { "spec/support/failing_poster.lua", url, mode },
        { LD_PRELOAD = false })
      assert.equal("", run.stderr)
      assert.same({ 0, 0 }, { run.code, run.signal })
      local sending, reading, telling = run.stdout:match "^(%d+) (%d+) (%d+)$"
      assert.is_true(tonumber(sending) > 20 and tonumber(reading) > 10 and tonumber(telling) > 1, run.stdout)
    end)
  end
end)
