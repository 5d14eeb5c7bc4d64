--- What the bundled server refuses, asked by clients that are not ours: calls, and connects.
local refusals = require "interop.cases.refusals"
local shape = require "support.shape"
local worlds = require "support.foreign_world"

local CALLERS = { "curl", "websockets", "aiohttp", "ws" }

-- Alice and bob are members of messaging:lobby, carol is not. What refuses changes nothing, so that
-- most cases share a server.
local function start(client, options)
  local world = worlds.new(client, options)
  world.fixture:users("alice", "bob", "carol")
  world.fixture:channel("messaging:lobby", { "alice", "bob" })
  return world
end

local function check_call(world, case)
  if case.before then case.before(world) end
  local answer = world:call(case.who, case.method, case.path, case.body, case.changes and case.changes())
  shape.check(answer.status, case.status, "the status")
  shape.check(answer.body, shape.envelope(case.code, case.status), "the answer")
  assert.matches("^application/json", answer.headers["content-type"])
  local says = case.says or ""
  if says:sub(1, 1) == "^" then
    assert.matches(says, answer.body.message)
  else
    assert(answer.body.message:find(says, 1, true), answer.body.message)
  end
  for name, pattern in pairs(case.headers or {}) do
    assert.matches(pattern, answer.headers[name] or "no " .. name)
  end
end

for _, client in ipairs(CALLERS) do
  describe("the server, asked by " .. client .. ", refuses", function()
    local world
    setup(function() world = start(client) end)
    teardown(function()
      world:stop()
      worlds.end_all()
    end)

    for _, case in ipairs(refusals.calls) do
      it(("%s: %s (%d)"):format(case.section, case.title, case.code), function()
        if not case.server and not case.before then return check_call(world, case) end
        local own = start(client, case.server)
        finally(function() own:stop() end)
        check_call(own, case)
      end)
    end
  end)
end

for _, client in ipairs(worlds.CLIENTS) do
  describe("the server, for " .. client .. ", refuses to connect", function()
    local world
    setup(function() world = start(client) end)
    teardown(function()
      world:stop()
      worlds.end_all()
    end)

    for _, case in ipairs(refusals.connects) do
      it(("%s: %s (%d)"):format(case.section, case.title, case.code), function()
        local socket = world:open(world:parameters("alice", case.changes()))
        local frame = socket:next()
        local envelope = shape.envelope(case.code, case.status, { more_info = "", duration = "" })
        shape.check(frame, { type = "connection.error", connection_id = "", created_at = shape.date,
          error = envelope }, "the first frame")
        assert.matches("^Connect failed with error: ", frame.error.message)
        assert.equal(1000, socket:closed())
      end)
    end
  end)
end
