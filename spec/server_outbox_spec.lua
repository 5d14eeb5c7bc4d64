-- The outbox: what is kept of deliveries, and from when to when.
local outboxes = require "stream_events.server.outbox"
local stores = require "stream_events.server.store"

describe("the outbox", function()
  local store, outbox

  before_each(function()
    store = assert(stores.open ":memory:")
    outbox = outboxes.new(store)
  end)

  after_each(function() store:close() end)

  -- Adds so many to those of one hook; gives them.
  local function add(count, hook)
    local deliveries = {}
    for i = 1, count do
      deliveries[i] = { id = ("id-%s-%d"):format(hook or "h", i), type = 'a "type"', body = "body " .. i }
      outbox:add(hook or "h", deliveries[i])
    end
    return deliveries
  end

  local function kept()
    return outboxes.new(store):load()
  end

  local function ids(deliveries)
    local list = {}
    for i, delivery in ipairs(deliveries) do list[i] = delivery.id end
    return list
  end

  local function remove(deliveries, which)
    for i, delivery in ipairs(deliveries) do
      if which(i) then outbox:remove(delivery) end
    end
  end

  local function rows()
    local count = 0
    for _ in store:each_with_body "webhook" do count = count + 1 end
    return count
  end

  for count, expected in pairs { [1] = 1, [3] = 1, [64] = 1, [65] = 2, [200] = 4 } do
    it(("keeps %d in their order, all at once, in %d rows"):format(count, expected), function()
      local added = add(count)
      assert.same({}, kept())
      assert.equal(count, outbox.unwritten)
      assert.same(added, outbox:commit())
      assert.equal(0, outbox.unwritten)
      assert.equal(expected, rows())
      local found = kept()
      assert.same(ids(added), ids(found))
      for i, delivery in ipairs(found) do
        delivery.row = nil
        assert.same({ hook = "h", id = "id-h-" .. i, type = 'a "type"', body = "body " .. i, attempt = 0,
          deadline = false }, delivery)
      end
      assert.same({}, outbox:commit())
    end)
  end

  it("keeps bodies of any bytes, and of none", function()
    for i, body in ipairs { "", "\xE2\x82\xAC", "", "x" } do
      outbox:add("h", { id = "i" .. i, type = "t", body = body })
    end
    outbox:commit()
    local bodies = {}
    for i, delivery in ipairs(kept()) do bodies[i] = delivery.body end
    assert.same({ "", "\xE2\x82\xAC", "", "x" }, bodies)
  end)

  it("goes on behind what an earlier run has left, and lets go of that", function()
    add(3)
    outbox:commit()
    outbox = outboxes.new(store)
    local left = outbox:load()
    add(2, "other")
    outbox:commit()
    assert.same({ "id-h-1", "id-h-2", "id-h-3", "id-other-1", "id-other-2" }, ids(kept()))
    remove(left, function() return true end)
    outbox:commit(true)
    assert.same({ "id-other-1", "id-other-2" }, ids(kept()))
  end)

  it("keeps those of a row until all of it is let go of, and those of another hook apart", function()
    local mixed = {}
    for i = 1, 4 do
      mixed[i] = { id = "mixed-" .. i, type = "t", body = "b" }
      outbox:add(i % 2 == 0 and "even" or "odd", mixed[i])
    end
    outbox:commit()
    assert.equal(2, rows())
    remove(mixed, function(i) return i ~= 3 end)
    outbox:commit(true)
    assert.same({ "mixed-1", "mixed-3" }, ids(kept()))
    assert.equal(0, outbox.unremoved)
    remove(mixed, function(i) return i == 3 end)
    assert.equal(2, outbox.unremoved)
    outbox:commit(true)
    assert.same({}, kept())
  end)

  for name, which in pairs {
    ["every second one"] = function(i) return i % 2 == 0 end,
    ["all but the first and the last"] = function(i) return i > 1 and i < 40 end,
    ["the first and the last"] = function(i) return i == 1 or i == 40 end,
    ["two pieces, the later one first"] = function(i) return i >= 30 or (i > 3 and i < 12) end,
    ["all"] = function() return true end,
  } do
    it("lets go of " .. name .. " of many rows, and of nothing else", function()
      local added, left = {}, {}
      for i = 1, 40 do
        added[i] = { id = "id-" .. i, type = "t", body = "b" }
        outbox:add("h", added[i])
        outbox:commit()
      end
      remove({ table.unpack(added, 21, 40) }, function(i) return which(i + 20) end)
      remove({ table.unpack(added, 1, 20) }, which)
      for i, delivery in ipairs(added) do
        if not which(i) then left[#left + 1] = delivery.id end
      end
      outbox:commit(true)
      assert.equal(0, outbox.unremoved)
      assert.same(left, ids(kept()))
    end)
  end

  it("writes few removals when it is asked to, and many along with additions", function()
    local first = add(320)
    outbox:commit()
    remove(first, function(i) return i <= 64 end)
    add(1)
    outbox:commit()
    assert.equal(321, #kept())
    assert.is_false(outbox:is_full())
    remove(first, function(i) return i > 64 and i <= 128 end)
    add(1)
    outbox:commit()
    assert.equal(194, #kept())
    assert.equal(0, outbox.unremoved)
    remove(first, function(i) return i > 128 and i <= 192 end)
    outbox:commit(true)
    assert.equal(130, #kept())
  end)

  it("says when removals have waited for long enough", function()
    local added = add(256)
    outbox:commit()
    remove(added, function(i) return i < 256 end)
    assert.is_false(outbox:is_full())
    remove(added, function(i) return i == 256 end)
    assert.is_true(outbox:is_full())
    outbox:commit()
    assert.same({}, kept())
  end)

  it("gives additions back that cannot be written, and tries removals again", function()
    local first = add(1)
    outbox:commit()
    local second = add(1, "second")
    outbox:commit()
    remove(first, function() return true end)
    local more = add(2, "other")
    local fault = { kind = "full" }
    store.add = function() error(fault) end
    local given, problem = outbox:commit(true)
    assert.same(more, given)
    assert.is_truthy(problem)
    store.add = nil
    assert.same({ "id-h-1", "id-second-1" }, ids(kept()))
    assert.same({}, outbox:commit(true))
    assert.same(ids(second), ids(kept()))
  end)
end)
