--- Sends that wait: which is next.
local queues = require "stream_events.send_queue"

local queue

before_each(function() queue = queues.new() end)

local function send(name, priority, order, key)
  local made = { name = name, priority = priority or 2, order = order, key = key }
  queue:add(made)
  return made
end

-- Takes out so many, answered at once; their names.
local function drain(count)
  local names = {}
  for _ = 1, count or math.huge do
    local taken = queue:next()
    if not taken then break end
    names[#names + 1] = taken.name
    queue:release(taken)
  end
  return table.concat(names, " ")
end

local function assert_empty()
  assert.equal(0, queue.count)
  assert.is_false(queue:is_ready())
  assert.same({}, queue:all())
  for priority = 1, 3 do
    assert.is_nil(next(queue.lanes[priority]))
    assert.is_nil(queue.rows[priority].first)
    assert.equal(0, queue.rows[priority].count)
  end
  assert.is_nil(next(queue.newest))
  assert.is_nil(next(queue.flying))
end

describe("a queue of sends", function()
  after_each(function()
    drain()
    assert_empty()
  end)

  it("gives them in the order in which they came", function()
    for i = 1, 5 do send(i) end
    assert.equal("1 2 3 4 5", drain())
    assert.is_nil(queue:next())
  end)

  it("gives urgent ones first and bulk last", function()
    send("b1", 3)
    send("n1", 2, "a")
    send("u1", 1, "a")
    send("n2", 2)
    send("u2", 1)
    assert.equal("u1 u2 n1 n2 b1", drain())
  end)

  it("lets no other go while an urgent one waits for the one before it", function()
    send("u1", 1, "a")
    send("u2", 1, "a")
    send("n1", 2, "b")
    send("b1", 3, "b")
    local first = queue:next()
    assert.is_false(queue:is_ready())
    assert.is_nil(queue:next())
    queue:release(first)
    assert.equal("u2 n1 b1", drain())
  end)

  it("passes nothing over for ever", function()
    send("bulk", 3, "a")
    send("normal", 2, "a")
    local names = {}
    for i = 1, 20 do
      send("u", 1)
      names[i] = drain(1)
    end
    local text = table.concat(names, " ")
    assert.truthy(text:find("bulk", 1, true))
    assert.truthy(text:find("normal", 1, true))
    assert.equal("u u u u u u u u", table.concat(names, " ", 1, 8))
  end)

  it("passes over again what has just had its turn", function()
    local names = {}
    for i = 1, 20 do
      send("u", 1)
      send("b", 3)
      names[i] = drain(1)
    end
    assert.equal("u u u u u u u u b u u u u u u u u b u u", table.concat(names, " "))
  end)

  it("lets the next of a channel go only when the one before has its answer", function()
    for i = 1, 3 do send("a" .. i, 2, "a") end
    send("b1", 2, "b")
    local first = queue:next()
    assert.equal("a1", first.name)
    local other = queue:next()
    assert.equal("b1", other.name)
    assert.is_nil(queue:next())
    assert.equal(2, queue.count)
    assert.is_false(queue:is_ready())
    queue:release(first)
    assert.is_true(queue:is_ready())
    assert.equal("a2 a3", drain())
    queue:release(other)
  end)

  it("lets channels take turns", function()
    for i = 1, 3 do
      send("a" .. i, 2, "a")
      send("b" .. i, 2, "b")
    end
    assert.equal("a1 b1 a2 b2 a3 b3", drain())
  end)

  it("puts one back before the others of its channel", function()
    for i = 1, 3 do send("a" .. i, 2, "a") end
    local first = queue:next()
    assert.is_true(queue:put_back(first))
    assert.equal(3, queue.count)
    assert.equal("a1 a2 a3", drain())
  end)

  it("takes back one that went out without it", function()
    send(1)
    assert.is_true(queue:put_back { name = "direct", priority = 2 })
    assert.equal("direct 1", drain())
  end)

  it("knows the one that a key would supersede, until it goes out", function()
    local older = send("p1", 2, "a", "k")
    assert.equal(older, queue:waiting_for "k")
    assert.is_nil(queue:waiting_for "other")
    assert.is_nil(queue:waiting_for(nil))
    queue:remove(older)
    assert.is_nil(queue:waiting_for "k")
    local newer = send("p2", 2, "a", "k")
    assert.equal(newer, queue:next())
    assert.is_nil(queue:waiting_for "k")
    queue:release(newer)
  end)

  it("lets no other of its key overtake one that is on its way, whatever the priority", function()
    send("p1", 2, "a", "k")
    local flying = queue:next()
    send("p2", 1, "a", "k")
    assert.is_nil(queue:next())
    queue:release(flying)
    assert.equal("p2", drain())
  end)

  it("does not take one back that is superseded", function()
    send("p1", 2, "a", "k")
    local flying = queue:next()
    send("p2", 2, "a", "k")
    assert.is_false(queue:put_back(flying))
    queue:release(flying)
    assert.equal("p2", drain())
  end)

  it("lists all that wait, and forgets what is removed", function()
    local sends = {}
    for i = 1, 9 do sends[i] = send(i, i % 3 + 1, i % 2 == 0 and "a" or nil) end
    assert.equal(9, #queue:all())
    for i = 9, 1, -2 do queue:remove(sends[i]) end
    assert.equal(4, queue.count)
    assert.equal(4, #queue:all())
  end)
end)
