--- The courier: requests of the server's own, and what their callbacks may do.
local couriers = require "stream_events.server.courier"
local hooks = require "support.hook"
local http_client = require "support.http_client"
local luv = require "luv"

describe("the courier", function()
  local hook, courier

  after_each(function()
    local is_closed = false
    courier:close(function() is_closed = true end)
    while not is_closed do luv.run "once" end
    hook:stop()
  end)

  -- Sends so many requests at once, each with its number; and runs the loop until `is_done` says so.
  local function send(count, answered, failed, is_done)
    hook = hooks.start(200)
    courier = assert(couriers.open {
      max_in_flight = count, answered = answered, after = function() end, failed = failed,
    })
    local prepared = courier:prepare(hook.url, {})
    for i = 1, count do assert(courier:send(prepared, "body " .. i, { "X-Number: " .. i }, 6, i)) end
    courier:go()
    http_client.wait("the answers", is_done)
  end

  it("hands on each answer, also when callbacks raise", function()
    local answers, problems = {}, {}
    send(20, function(tag, status)
      answers[#answers + 1] = tag
      assert(status == 200)
      error("of " .. tag)
    end, function(problem) problems[#problems + 1] = tostring(problem):match "of (%d+)" end,
      function() return #answers == 20 end)
    table.sort(answers)
    for i = 1, 20 do assert.equal(i, answers[i]) end
    assert.equal(20, #problems)
  end)
end)
