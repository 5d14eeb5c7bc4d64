--- The courier: requests of the server's own, whichever way they go, and what their callbacks may do.
local couriers = require "stream_events.server.courier"
local hooks = require "support.hook"
local http_client = require "support.http_client"
local peer = require "support.peer"
local proxies = require "support.proxy"
local uv = require "luv"

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
    local function send(answers, count, callbacks, is_done)
      hook = hooks.start(answers)
      courier = assert(couriers.open {
        max_in_flight = count, accepted = callbacks.accepted or error, refused = callbacks.refused or error,
        after = callbacks.after or function() end, failed = callbacks.failed or error,
      })
      local request = courier:prepare(hook.url, { "X-All: yes" })
      for i = 1, count do assert(courier:send(request, "body " .. i, { "X-Number: " .. i }, 6, i)) end
      courier:go()
      http_client.wait("the answers", is_done)
      assert.equal(is_proxied, proxy ~= nil and #proxy.asked > 0) -- it went the way that is meant
    end

    it("sends what it was given", function()
      local is_accepted = false
      send(200, 1, { accepted = function() is_accepted = true end }, function() return is_accepted end)
      local request = hook.requests[1]
      assert.same({ "body 1", "yes", "1" },
        { request.raw, request.headers["x-all"], request.headers["x-number"] })
    end)

    it("comes to rest when a connection that waits for more is ended", function()
      local is_accepted, turns = false, 0
      send(200, 1, {
        accepted = function() is_accepted = true end, after = function() turns = turns + 1 end,
      }, function() return is_accepted end)
      for socket in pairs(hook.sockets) do socket:shutdown() end
      if not is_proxied then
        http_client.wait("its other end", function() return next(hook.sockets) == nil end)
      end
      turns = 0
      for _ = 1, 100 do uv.run "nowait" end
      assert.is_true(turns < 20, turns) -- a descriptor that nobody looks at has a turn in each of them
    end)

    it("hands on each answer, whatever they are", function()
      local seen, count = {}, 0
      send(function(request)
        return ({ [0] = 200, 503, "close", 299, 300 })[request.headers["x-number"] % 5]
      end, 40, {
        accepted = function(tags, number)
          assert(#tags == number)
          for _, tag in ipairs(tags) do seen[tag] = "accepted" end
          count = count + number
        end,
        refused = function(tag, status, kind)
          seen[tag] = status or kind
          count = count + 1
        end,
      }, function() return count == 40 end)
      for i = 1, 40 do
        assert.equal(({ [0] = "accepted", 503, "network", "accepted", 300 })[i % 5], seen[i])
      end
    end)

    it("goes on when callbacks raise", function()
      local accepted, refused, problems = 0, 0, {}
      send(function(request) return request.headers["x-number"] % 2 == 0 and 200 or 400 end, 20, {
        accepted = function(_, count)
          accepted = accepted + count
          error "of accepted"
        end,
        refused = function()
          refused = refused + 1
          error "of refused"
        end,
        failed = function(problem)
          local which = tostring(problem):match "of (%a+)"
          problems[which] = (problems[which] or 0) + 1
        end,
      }, function() return accepted == 10 and refused == 10 end)
      assert.equal(10, problems.refused)
      assert.is_true(problems.accepted > 0)
    end)

    it("says when to come back, and why there was no answer", function()
      local answers, count = {}, 0
      send(function(request)
        return request.headers["x-number"] == "1" and hooks.answer(503, "Retry-After: 7\r\nDate: now\r\n")
          or "close"
      end, 2, {
        refused = function(tag, ...)
          answers[tag] = { ... }
          count = count + 1
        end,
      }, function() return count == 2 end)
      assert.same({ 503, nil, nil, { ["retry-after"] = "7", date = "now" } }, answers[1])
      assert.same({ nil, "network" }, { answers[2][1], answers[2][2] })
      assert.matches("server", answers[2][3])
    end)

    it("may be given more from a callback", function()
      local order, request = {}, nil
      send(200, 1, {
        accepted = function(tags)
          order[#order + 1] = tags[1]
          if #order < 5 then
            request = request or courier:prepare(hook.url, {})
            assert(courier:send(request, "again", {}, 6, tags[1] + 1))
          end
        end,
      }, function() return #order == 5 end)
      assert.same({ 1, 2, 3, 4, 5 }, order)
    end)
  end)
end
