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

  for _, count in ipairs { 1, 3, 4, 16, 17, 41 } do
    it(("keeps %d in their order, all at once"):format(count), function()
      local added = add(count)
      assert.same({}, kept())
      assert.equal(count, outbox.unwritten)
      assert.same(added, outbox:commit())
      assert.equal(0, outbox.unwritten)
      local found = kept()
      assert.same(ids(added), ids(found))
      for i, delivery in ipairs(found) do
        assert.same({ hook = "h", id = "id-h-" .. i, type = 'a "type"', body = "body " .. i, number = i,
          attempt = 0 }, delivery)
      end
      assert.same({}, outbox:commit())
    end)
  end

  it("goes on behind what an earlier run has left", function()
    add(3)
    outbox:commit()
    outbox = outboxes.new(store)
    outbox:load()
    add(2, "other")
    outbox:commit()
    assert.same({ "id-h-1", "id-h-2", "id-h-3", "id-other-1", "id-other-2" }, ids(kept()))
  end)

  for name, which in pairs {
    ["every second one"] = function(i) return i % 2 == 0 end,
    ["all but the first and the last"] = function(i) return i > 1 and i < 40 end,
    ["the first and the last"] = function(i) return i == 1 or i == 40 end,
    ["two pieces, the later one first"] = function(i) return i >= 30 or (i > 3 and i < 12) end,
    ["all"] = function() return true end,
  } do
    it("lets go of " .. name .. " and of nothing else", function()
      local added, left = add(40), {}
      outbox:commit()
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
    local first = add(300)
    outbox:commit()
    remove(first, function(i) return i <= 100 end)
    add(1)
    outbox:commit()
    assert.equal(301, #kept())
    assert.is_false(outbox:is_full())
    remove(first, function(i) return i > 100 and i <= 200 end)
    add(1)
    outbox:commit()
    assert.equal(102, #kept())
    assert.equal(0, outbox.unremoved)
    remove({ first[201] }, function() return true end)
    outbox:commit(true)
    assert.equal(101, #kept())
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
    local added = add(3)
    outbox:commit()
    remove(added, function(i) return i == 2 end)
    local more = add(2, "other")
    local fault = { kind = "full" }
    store.add_all = function() error(fault) end
    local given, problem = outbox:commit(true)
    assert.same(more, given)
    assert.is_truthy(problem)
    store.add_all = nil
    assert.same(ids(added), ids(kept()))
    assert.same({}, outbox:commit(true))
    assert.same({ "id-h-1", "id-h-3" }, ids(kept()))
  end)

  it("does not wait for the disk, and lets a sync follow", function()
    local order = {}
    store.transaction = function() order[#order + 1] = "waits" end
    store.sync = function()
      order[#order + 1] = "sync"
      return #order < 2
    end
    outbox:sync()
    add(1)
    outbox:commit(true)
    for _ = 1, 4 do outbox:sync() end
    store.transaction, store.sync = nil, nil
    assert.same({ "sync", "sync" }, order) -- until there is nothing more to do
    assert.equal(1, #kept())
  end)
end)
