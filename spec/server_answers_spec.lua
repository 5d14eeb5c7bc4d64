--- The answers of a turn: given together, those that wait for something only when that is kept.
local answers = require "stream_events.server.answers"

describe("the answers of a turn", function()
  local given, failed, handlers, core, list

  before_each(function()
    given, failed = {}, {}
    handlers = {
      settle = function() error "nothing waits" end,
      unsettled = function() return "sorry" end,
    }
    core = {
      respond = function(_, number, status, body, headers)
        if status == 0 then error "no status" end
        given[#given + 1] = { number, status, body, headers and headers[1] }
        return true
      end,
    }
    list = answers.new(core, handlers, function(what, work, ...)
      local ok = pcall(work, ...)
      if not ok then failed[#failed + 1] = what end
      return ok
    end)
  end)

  it("are given when asked for, in their order, and once", function()
    list:add(1, 200, "a", { "A: 1" })
    list:add(2, 404, "b")
    assert.same({}, given)
    list:give()
    assert.same({ { 1, 200, "a", "A: 1" }, { 2, 404, "b" } }, given)
    list:give()
    assert.equal(2, #given)
    list:add(3, 200, "c")
    list:give()
    assert.same({ 3, 200, "c" }, given[3])
  end)

  it("are none where a request has no status yet", function()
    list:add(1)
    list:give()
    assert.same({}, given)
  end)

  it("wait until what they say is kept, all for the same", function()
    local asked = 0
    handlers.settle = function()
      asked = asked + 1
      assert.same({}, given)
      return true
    end
    list:add(1, 201, "a", nil, true)
    list:add(2, 200, "b")
    list:add(3, 201, "c", nil, true)
    list:give()
    assert.same({ { 1, 201, "a" }, { 2, 200, "b" }, { 3, 201, "c" } }, given)
    list:add(4, 200, "d")
    list:give()
    assert.equal(1, asked)
  end)

  for name, settle in pairs {
    ["cannot be kept"] = function() return false end,
    ["raises when it is kept"] = function() error "disk" end,
  } do
    it("are apologies where what they say " .. name .. ", and the others are as they were", function()
      handlers.settle = settle
      list:add(1, 201, "a", { "A: 1" }, true)
      list:add(2, 200, "b")
      list:give()
      assert.same({ { 1, 500, "sorry", "A: 1" }, { 2, 200, "b" } }, given)
    end)
  end

  it("go on behind one that cannot be given, for which there is an apology", function()
    for number, status in ipairs { 200, 0, 201, 0 } do list:add(number, status, "x") end
    list:give()
    assert.same({ { 1, 200, "x" }, { 2, 500, "sorry" }, { 3, 201, "x" }, { 4, 500, "sorry" } }, given)
    assert.same({ "answer", "answer" }, failed)
  end)

  it("go on when not even an apology can be given", function()
    handlers.unsettled = function() error "no words" end
    list:add(1, 0, "x")
    list:add(2, 200, "y")
    list:give()
    assert.same({ { 2, 200, "y" } }, given)
  end)

  it("are given before the end of the turn when there is much in them", function()
    local body = ("x"):rep(100 * 1024)
    for number = 1, 2 do list:add(number, 200, body) end
    assert.same({}, given)
    list:add(3, 200, body)
    assert.equal(3, #given)
    list:add(4, 200, body)
    assert.equal(3, #given) -- there is little again
  end)

  it("wait no more because those of an earlier turn did", function()
    handlers.settle = function() return true end
    list:add(1, 201, "a", nil, true)
    list:give()
    handlers.settle = function() return false end
    list:add(2, 200, "b")
    list:add(3, 201, "c", nil, true)
    list:give()
    assert.same({ { 1, 201, "a" }, { 2, 200, "b" }, { 3, 500, "sorry" } }, given)
  end)

  it("are not kept when they are given", function()
    local bodies = setmetatable({}, { __mode = "v" })
    core.respond = function(_, _, _, body) return body ~= nil end
    bodies[1] = { "stands for a long text" }
    local body = setmetatable(bodies[1], { __len = function() return 1 end })
    list:add(1, 200, body)
    body = nil -- luacheck: ignore
    list:give()
    collectgarbage()
    assert.is_nil(bodies[1])
  end)
end)
