--- The courier: requests of the server's own, whichever way they go, and what their callbacks may do.
local couriers = require "stream_events.server.courier"
local hooks = require "support.hook"
local http_client = require "support.http_client"
local peer = require "support.peer"
local proxies = require "support.proxy"
local uv = require "luv"

local function number_of(problem) return tostring(problem):match "of (%d+)" end

for name, is_proxied in pairs { ["over sockets of its own"] = false, ["by libcurl's HTTP"] = true } do
  describe("the courier, " .. name .. ",", function()
    local hook, courier, proxy

    before_each(function()
      if not is_proxied then return end
      proxy = proxies.start "socks5"
      uv.os_setenv("ALL_PROXY", proxy:url "socks5")
    end)

    after_each(function()
      uv.os_unsetenv "ALL_PROXY"
      local is_closed = false
      courier:close(function() is_closed = true end)
      while not is_closed do uv.run "once" end
      hook:stop()
      peer.stop_all()
    end)

    -- Sends so many requests at once, each with its number; and runs the loop until `is_done` says so.
    local function send(answers, count, answered, failed, is_done)
      hook = hooks.start(answers)
      courier = assert(couriers.open {
        max_in_flight = count, answered = answered, after = function() end, failed = failed,
      })
      local request = courier:prepare(hook.url, { "X-All: yes" })
      for i = 1, count do assert(courier:send(request, "body " .. i, { "X-Number: " .. i }, 6, i)) end
      courier:go()
      http_client.wait("the answers", is_done)
      assert.equal(is_proxied, proxy ~= nil and #proxy.asked > 0) -- it went the way that is meant
    end

    it("sends what it was given", function()
      local is_answered = false
      send(200, 1, function() is_answered = true end, error, function() return is_answered end)
      local request = hook.requests[1]
      assert.same({ "body 1", "yes", "1" },
        { request.raw, request.headers["x-all"], request.headers["x-number"] })
    end)

    it("hands on each answer, also when callbacks raise", function()
      local answers, problems = {}, {}
      send(200, 20, function(tag, status)
        answers[#answers + 1] = tag
        assert(status == 200)
        error("of " .. tag)
      end, function(problem) problems[#problems + 1] = number_of(problem) end,
        function() return #answers == 20 end)
      table.sort(answers)
      for i = 1, 20 do assert.equal(i, answers[i]) end
      assert.equal(20, #problems)
    end)

    it("says when to come back, and why there was no answer", function()
      local answers = {}
      send(function(request)
        return request.headers["x-number"] == "1" and hooks.answer(503, "Retry-After: 7\r\nDate: now\r\n")
          or "close"
      end, 2, function(tag, ...) answers[tag] = { ... } end, error,
        function() return answers[1] and answers[2] end)
      assert.same({ 503, nil, nil, { ["retry-after"] = "7", date = "now" } }, answers[1])
      assert.same({ nil, "network" }, { answers[2][1], answers[2][2] })
      assert.matches("server", answers[2][3])
    end)

    it("may be given more from a callback", function()
      local order, request = {}, nil
      send(200, 1, function(tag)
        order[#order + 1] = tag
        if tag < 5 then
          request = request or courier:prepare(hook.url, {})
          assert(courier:send(request, "again", {}, 6, tag + 1))
        end
      end, error, function() return #order == 5 end)
    end)
  end)
end
